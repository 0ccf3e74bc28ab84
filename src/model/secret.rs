//! A text that must not be seen: it can be used, and cannot be printed, compared or stored.

use std::fmt;

/// A token or a key. It has no `Display` and no `Serialize`, and its `Debug` says nothing.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Hands the text to what needs it: a header, a mask. It goes into no message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_in_its_debug_text() {
        assert_eq!(format!("{:?}", Some(Secret::new("ghs_abc"))), "Some(Secret(…))");
        assert_eq!(Secret::new("ghs_abc").expose(), "ghs_abc");
    }
}
