//! Text as SageMaker lets it be written beside a version: letters, digits, spaces and `_.:/=+-@`, keys to 128
//! characters, values from 1 to 256, at most 50 pairs.
//!
//! Any other character is written as `=` and two hexadecimal digits for each byte of its UTF-8, and so is `=` itself:
//! `max depth (5)` becomes `max depth =285=29`, `a=b` becomes `a=3Db`. What is still too long is not cut: `=@sha256:`
//! and the digest of the text stand in its place, and the text itself is in the manifest. An empty text has no pair.

use crate::model::digest::Sha256Digest;
use regex::Regex;
use std::sync::LazyLock;

/// Most pairs of one version.
pub const MOST_PAIRS: usize = 50;

/// Longest key.
pub const LONGEST_KEY: usize = 128;

/// Longest value.
pub const LONGEST_VALUE: usize = 256;

/// What stands for a text that is too long.
const MARK: &str = "=@sha256:";

static LEGAL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{Z}\p{N}_.:/+\-@]$").ok());

/// What a stored text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// The text itself.
    Text(String),
    /// Only the digest of a text that was too long.
    Digest(Sha256Digest),
}

/// Encodes a value; `None`: it is empty.
pub fn encode_value(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let encoded = escape(text);
    if length(&encoded) <= LONGEST_VALUE {
        return Some(encoded);
    }
    Some(format!("{MARK}{}", Sha256Digest::of(text.as_bytes())))
}

/// Encodes a key; `None`: it is empty or too long.
pub fn encode_key(text: &str) -> Option<String> {
    let encoded = escape(text);
    (!encoded.is_empty() && length(&encoded) <= LONGEST_KEY).then_some(encoded)
}

/// Reads back what [`encode_value`] or [`encode_key`] wrote; `None`: somebody else wrote it.
pub fn decode(text: &str) -> Option<Decoded> {
    if let Some(digest) = text.strip_prefix(MARK) {
        return Sha256Digest::parse(digest).ok().map(Decoded::Digest);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('=') {
        let (plain, escaped) = rest.split_at(at);
        bytes.extend_from_slice(plain.as_bytes());
        let digits = escaped.get(1..3)?;
        if !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = escaped.get(3..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok().map(Decoded::Text)
}

/// Reads a text of ours that was short enough to stand there in full.
pub fn decode_text(text: &str) -> Option<String> {
    match decode(text)? {
        Decoded::Text(text) => Some(text),
        Decoded::Digest(_) => None,
    }
}

/// Keeps the most important pairs, in the order given, as many as there is room for.
pub fn pairs(wanted: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let encoded = wanted.into_iter().filter_map(|(key, value)| Some((encode_key(&key)?, encode_value(&value)?)));
    encoded.take(MOST_PAIRS).collect()
}

fn escape(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    let mut buffer = [0; 4];
    for c in text.chars() {
        let part: &str = c.encode_utf8(&mut buffer);
        if is_legal(part) {
            encoded.push(c);
        } else {
            for byte in part.bytes() {
                encoded.push('=');
                encoded.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    encoded
}

fn is_legal(character: &str) -> bool {
    match character.as_bytes() {
        [byte] => byte.is_ascii_alphanumeric() || b" _.:/+-@".contains(byte),
        _ => LEGAL.as_ref().is_some_and(|legal| legal.is_match(character)),
    }
}

/// Counts as the strictest reader would: a character outside the basic plane is two.
fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn service_accepts(text: &str) -> bool {
        static WHOLE: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$").expect("a pattern"));
        WHOLE.is_match(text)
    }

    #[test]
    fn every_character_comes_back() {
        let mut kept = 0;
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            let encoded = encode_value(&text).expect("not empty");
            if encoded == text {
                kept += 1;
            }
            assert!(service_accepts(&encoded), "{c:?} became {encoded:?}");
            assert_eq!(decode(&encoded), Some(Decoded::Text(text)), "{c:?}");
        }
        assert!(kept > 100_000, "letters of every script stay as they are: {kept}");
    }

    #[test]
    fn it_reads_as_documented() {
        assert_eq!(encode_value("max depth (5)").as_deref(), Some("max depth =285=29"));
        assert_eq!(encode_value("a=b").as_deref(), Some("a=3Db"));
        assert_eq!(encode_value("naïve/größe@1.0").as_deref(), Some("naïve/größe@1.0"));
        assert_eq!(encode_value("{\"a\":1}").as_deref(), Some("=7B=22a=22:1=7D"));
        assert_eq!(encode_value("line\nbreak").as_deref(), Some("line=0Abreak"));
        assert_eq!(encode_value(""), None);
    }

    #[test]
    fn what_is_too_long_is_marked_and_never_cut() {
        let fits = "x".repeat(LONGEST_VALUE);
        assert_eq!(encode_value(&fits), Some(fits));
        for long in ["x".repeat(LONGEST_VALUE + 1), "{".repeat(86), "𝔸".repeat(129)] {
            let encoded = encode_value(&long).expect("marked");
            assert!(service_accepts(&encoded) && length(&encoded) <= LONGEST_VALUE);
            assert_eq!(decode(&encoded), Some(Decoded::Digest(Sha256Digest::of(long.as_bytes()))));
        }
        assert_eq!(encode_key(&"k".repeat(LONGEST_KEY)), Some("k".repeat(LONGEST_KEY)));
        assert_eq!(encode_key(&"k".repeat(LONGEST_KEY + 1)), None);
        assert_eq!(encode_key(""), None);
    }

    #[test]
    fn what_others_wrote_is_known_as_theirs() {
        for text in ["a=b", "=", "=4", "=zz", "=@sha256:12", "=c3"] {
            assert_eq!(decode(text), None, "{text}");
        }
        assert_eq!(decode("plain"), Some(Decoded::Text("plain".to_owned())));
    }

    #[test]
    fn fifty_pairs_are_kept_the_first_ones_first() {
        let wanted = (0..51).map(|n| (format!("param.{n}"), n.to_string()));
        let kept = pairs(wanted);
        assert_eq!(kept.len(), MOST_PAIRS);
        assert_eq!(kept.last(), Some(&("param.49".to_owned(), "49".to_owned())));
        assert!(pairs([("k".to_owned(), String::new())]).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_comes_back_or_is_marked(text in "(?s).{0,400}") {
            match encode_value(&text) {
                None => prop_assert!(text.is_empty()),
                Some(encoded) => {
                    prop_assert!(service_accepts(&encoded), "{encoded:?}");
                    prop_assert!((1..=LONGEST_VALUE).contains(&length(&encoded)));
                    let whole = Decoded::Text(text.clone());
                    let mark = Decoded::Digest(Sha256Digest::of(text.as_bytes()));
                    prop_assert!([Some(whole), Some(mark)].contains(&decode(&encoded)));
                }
            }
        }

        #[test]
        fn two_texts_never_meet(a in ".{0,40}", b in ".{0,40}") {
            prop_assume!(a != b);
            prop_assert_ne!(encode_value(&a), encode_value(&b));
        }

        #[test]
        fn reading_anything_never_fails_badly(text in ".{0,60}") {
            let _ = decode(&text);
        }
    }
}
