//! SHA-256 digests, and the one way in which structured values are turned into bytes to be hashed.

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use std::fmt;

/// A SHA-256 digest as 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256Digest(String);

impl Sha256Digest {
    /// Hashes bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(sha2::Sha256::digest(bytes)))
    }

    /// Takes the finished state of a streaming hash.
    pub fn finish(hasher: sha2::Sha256) -> Self {
        Self(hex::encode(hasher.finalize()))
    }

    /// Parses 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let legal = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if legal { Ok(Self(text.to_owned())) } else { Err(DigestError { text: text.to_owned() }) }
    }

    /// Returns all 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first 12 digits: what people see, and what derived names carry.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// Text that is not a SHA-256 digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a SHA-256 digest of 64 lower-case hexadecimal digits")]
pub struct DigestError {
    text: String,
}

impl TryFrom<String> for Sha256Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        Self::parse(&text)
    }
}

impl From<Sha256Digest> for String {
    fn from(digest: Sha256Digest) -> String {
        digest.0
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", &self.0)
    }
}

/// The canonical encoding under every identity: a sequence of fields, each written as
/// `<decimal byte length of the name>:<name>=<decimal byte length of the value>:<value>\n`.
///
/// Lengths make it injective: no value can imitate the border to the next field.
#[derive(Debug, Default, Clone)]
pub struct CanonicalFields {
    bytes: Vec<u8>,
}

impl CanonicalFields {
    /// Starts an encoding whose first field is `scheme`, so that two schemes never meet.
    pub fn new(scheme: &str) -> Self {
        let mut fields = Self::default();
        fields.field("scheme", scheme.as_bytes());
        fields
    }

    /// Appends one field.
    pub fn field(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(format!("{}:{name}={}:", name.len(), value.len()).as_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.push(b'\n');
        self
    }

    /// Returns the fields as name and value, for people: values that are not UTF-8 are shown as well as they can.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut rest = self.bytes.as_slice();
        while let Some((name, after)) = cut(rest, b'=') {
            let Some((value, after)) = cut(after, b'\n') else { break };
            pairs.push((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned()));
            rest = after;
        }
        pairs
    }

    /// Returns the exact bytes that are hashed: what `branchline fingerprint` can show.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hashes the fields.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(&self.bytes)
    }
}

/// Takes `<length>:<text><end>` from the front.
fn cut(bytes: &[u8], end: u8) -> Option<(&[u8], &[u8])> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
    let (text, rest) = bytes[colon + 1..].split_at_checked(length)?;
    Some((text, rest.strip_prefix(&[end])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_back_as_they_were_written() {
        let mut fields = CanonicalFields::new("t/1");
        fields.field("a=b", b"1\n1:b=1:2").field("", b"");
        let pairs = fields.pairs();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("scheme", "t/1"), ("a=b", "1\n1:b=1:2"), ("", "")]);
    }

    #[test]
    fn fields_cannot_imitate_each_other() {
        let mut one = CanonicalFields::new("t");
        one.field("a", b"1\n1:b=1:2");
        let mut two = CanonicalFields::new("t");
        two.field("a", b"1").field("b", b"2");
        assert_ne!(one.digest(), two.digest());
    }
}
