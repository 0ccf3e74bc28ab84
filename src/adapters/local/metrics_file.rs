//! The text of a file of metrics: JSON as people's programs write it. Pure.
//!
//! More than JSON is taken where Python's `json` and Windows' shells write more: `NaN` and `Infinity`, and byte-order
//! marks. Nested objects become names with dots. Places in errors are those of the file as it is written. Deliberately
//! absent: whether anybody needs what is not a number (`metrics`).

use crate::adapters::local::metrics::Measured;
use crate::model::metric::MetricName;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// Reads the bytes of a file. The error is the end of a sentence that names the file.
pub(super) fn parse(content: &[u8]) -> Result<Measured, String> {
    let Tree::Object(members) = tree(content)? else {
        return Err("the outermost value is not an object such as { \"accuracy\": 0.87 }".to_owned());
    };
    let mut measured = Measured::default();
    let mut seen = std::collections::BTreeSet::new();
    flatten(String::new(), members, &mut |name, value| {
        let value = if seen.insert(name.clone()) { number(&value) } else { Err("several values".to_owned()) };
        match (MetricName::parse(&name), value) {
            (Some(key), value) => measured.set(&key, value),
            (None, _) => {
                let shown: String = name.chars().take(40).flat_map(char::escape_default).collect();
                let what =
                    "a name that no metric can have (empty, longer than 128 characters, or with control characters)";
                measured.others.insert(shown, what.to_owned());
            }
        }
    });
    Ok(measured)
}

/// Finds one value by the path of its keys, joined by dots. A key that itself has dots is found, too. An index of a
/// list is a number.
pub(super) fn value_at(content: &[u8], path: &str) -> Result<Result<f64, String>, String> {
    let tree = tree(content)?;
    match find(&tree, path) {
        Some(found) => Ok(number(found)),
        None => Err(format!("it has no value at `{path}`")),
    }
}

fn find<'t>(tree: &'t Tree, path: &str) -> Option<&'t Tree> {
    if path.is_empty() {
        return Some(tree);
    }
    let below = |key: &str| {
        let rest = path.strip_prefix(key)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
    };
    match tree {
        // Of a key that is written more than once, the last counts, as in every JSON reader.
        Tree::Object(members) => {
            members.iter().rev().find_map(|(key, value)| find(value, below(key).filter(|_| !key.is_empty())?))
        }
        Tree::List(items) => {
            let (index, rest) = path.split_once('.').unwrap_or((path, ""));
            find(items.get(index.parse::<usize>().ok()?)?, rest)
        }
        Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Special(_) | Tree::Text(_) => None,
    }
}

fn tree(content: &[u8]) -> Result<Tree, String> {
    let text = decoded(content)?;
    let marked = Marked::of(&text);
    serde_json::from_str(&marked.text).map_err(|error| explained(&text, &marked, &error))
}

/// Takes UTF-8, with or without a byte-order mark, and UTF-16 with one, which Windows' shells write.
fn decoded(content: &[u8]) -> Result<Cow<'_, str>, String> {
    let units = |bytes: &[u8], order: fn([u8; 2]) -> u16| {
        let whole: Vec<u16> = bytes.chunks_exact(2).map(|pair| order([pair[0], pair[1]])).collect();
        String::from_utf16(&whole).map(Cow::Owned).map_err(|_| "it is not UTF-16 as its first bytes say".to_owned())
    };
    match content {
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest),
        [0xFF, 0xFE, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => units(rest, u16::from_be_bytes),
        _ => utf8(content),
    }
}

fn utf8(content: &[u8]) -> Result<Cow<'_, str>, String> {
    std::str::from_utf8(content).map(Cow::Borrowed).map_err(|error| {
        // What stands before the first bad byte is sound.
        let before = String::from_utf8_lossy(&content[..error.valid_up_to()]);
        let (line, column) = place(&before, before.len());
        format!("it is not UTF-8 text at line {line} column {column}")
    })
}

/// Returns line and column (in characters), both from 1, of a byte of a text.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before: String = text.char_indices().take_while(|(index, _)| *index < at).map(|(_, c)| c).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Says what is wrong, at the place where it stands in the file.
fn explained(text: &str, marked: &Marked, error: &serde_json::Error) -> String {
    let whole = error.to_string();
    let what = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(what, _)| what);
    let start: usize = marked.text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = marked.original(start + error.column().saturating_sub(1)).min(text.len());
    // A word that only begins like one of JSON's is shown whole: `nan`, which begins like `null`.
    let before = text.get(..at).unwrap_or_default();
    let at = before.trim_end_matches(char::is_alphabetic).len();
    let (line, column) = place(text, at);
    let rest = text.get(at..).unwrap_or_default();
    let word: String = rest.chars().take_while(|c| c.is_alphabetic()).take(20).collect();
    let word = if word.is_empty() { String::new() } else { format!(" (`{word}` is no JSON value)") };
    format!("{what} at line {line} column {column}{word}")
}

/// Names a value that is not a finite number.
fn number(value: &Tree) -> Result<f64, String> {
    match value {
        Tree::Number(number) if number.is_finite() => Ok(*number),
        Tree::Number(number) => Err(number.to_string()),
        Tree::Special(literal) => Err(literal.clone()),
        Tree::Text(text) => {
            let more = if text.chars().count() > 60 { "…" } else { "" };
            let start: String = text.chars().take(60).collect();
            Err(format!("the text {}", Value::String(format!("{start}{more}"))))
        }
        Tree::Null => Err("null".to_owned()),
        Tree::Bool(truth) => Err(truth.to_string()),
        Tree::List(items) => Err(format!("a list of {}", items.len())),
        Tree::Object(members) => Err(format!("an object of {}", members.len())),
    }
}

/// Hands every value over that is not an object with members, under its name with dots.
fn flatten(prefix: String, members: Vec<(String, Tree)>, take: &mut dyn FnMut(String, Tree)) {
    for (key, value) in members {
        let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Tree::Object(members) if !members.is_empty() => flatten(name, members, take),
            other => take(name, other),
        }
    }
}

/// What a number that JSON cannot write becomes before the JSON is parsed: text that no file contains by chance.
const MARK: &str = "\u{1}number:";

/// A text whose special numbers are marked text, and where each of them was.
struct Marked {
    text: String,
    /// For each: where it begins in the marked text, how long it is there, and where and how long it was.
    moved: Vec<(usize, usize, usize, usize)>,
}

impl Marked {
    /// Marks every bare word that is a number and that JSON or a 64-bit float cannot hold: Python's `json` writes `NaN`
    /// and `Infinity`, and one metric that is too large must not lose the others.
    fn of(text: &str) -> Self {
        let mut marked = Self { text: String::with_capacity(text.len()), moved: Vec::new() };
        let mut at = 0;
        while let Some(first) = text[at..].chars().next() {
            let rest = &text[at..];
            let length = if first == '"' {
                end_of_string(rest)
            } else if first.is_ascii_alphanumeric() || matches!(first, '-' | '+' | '.') {
                rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | '_')))
                    .unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            let word = &rest[..length];
            if is_special(word) {
                let begin = marked.text.len();
                marked.text.push_str("\"\\u0001number:");
                marked.text.push_str(word);
                marked.text.push('"');
                marked.moved.push((begin, marked.text.len() - begin, at, length));
            } else {
                marked.text.push_str(word);
            }
            at += length;
        }
        marked
    }

    /// Returns where a byte of the marked text was in the file.
    fn original(&self, at: usize) -> usize {
        let Some((begin, length, was, was_length)) = self.moved.iter().rev().find(|(begin, ..)| *begin <= at) else {
            return at;
        };
        if at < begin + length { *was } else { was + was_length + (at - begin - length) }
    }
}

fn is_special(word: &str) -> bool {
    let numeric = word.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && word.ends_with(|c: char| c.is_ascii_digit())
        && word.parse::<f64>().is_ok_and(f64::is_infinite);
    numeric || matches!(word, "NaN" | "-NaN" | "Infinity" | "-Infinity")
}

/// Returns where the string that `text` begins with ends, its closing quote included.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A value, the members of objects in the order of the file, repeated names included.
#[derive(Debug)]
enum Tree {
    Null,
    Bool(bool),
    Number(f64),
    Special(String),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(match text.strip_prefix(MARK) {
            Some(literal) => Tree::Special(literal.to_owned()),
            None => Tree::Text(text.to_owned()),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Tree>()? {
            if key.starts_with(MARK) {
                return Err(A::Error::custom("key must be a string"));
            }
            members.push((key, value));
        }
        Ok(Tree::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> MetricName {
        MetricName::parse(text).expect("a metric name")
    }

    fn read(text: &str) -> Measured {
        parse(text.as_bytes()).expect("it is JSON")
    }

    fn error(content: impl AsRef<[u8]>) -> String {
        parse(content.as_ref()).expect_err("it is not usable")
    }

    #[test]
    fn numbers_are_read_exactly() {
        let metrics = read(r#"{"accuracy": 0.30000000000000004, "n": 12, "loss": -1.5e-3, "x-1": 0}"#).metrics;
        assert_eq!(metrics[&name("accuracy")], 0.1 + 0.2);
        assert_eq!(metrics[&name("n")], 12.0);
        assert_eq!(metrics[&name("loss")], -0.0015);
        assert_eq!(metrics.len(), 4);
        assert_eq!(read("{}"), Measured::default());
        assert_eq!(read("{\"n\": 123456789012345678901234567890}").metrics[&name("n")], 1.2345678901234568e29);
    }

    #[test]
    fn nested_objects_become_names_with_dots_and_the_rest_is_kept_in_words() {
        let measured = read(
            r#"{"test": {"acc": 0.9, "per class": {"a": 1, "b": NaN}}, "labels": ["a", "b"], "lib": "xgboost",
                "ok": true, "none": null, "empty": {}, "": 1, "a.b": 1, "a": {"b": 2}}"#,
        );
        assert_eq!(measured.metrics, [(name("test.acc"), 0.9), (name("test.per class.a"), 1.0)].into());
        let others: Vec<(&str, &str)> = measured.others.iter().map(|(n, w)| (n.as_str(), w.as_str())).collect();
        assert_eq!(
            others,
            [
                ("", "a name that no metric can have (empty, longer than 128 characters, or with control characters)"),
                ("a.b", "several values"),
                ("empty", "an object of 0"),
                ("labels", "a list of 2"),
                ("lib", "the text \"xgboost\""),
                ("none", "null"),
                ("ok", "true"),
                ("test.per class.b", "NaN"),
            ]
        );
    }

    #[test]
    fn places_are_those_of_the_file_as_it_is_written() {
        for (text, place) in [
            ("{\"acc\": 0,93}", "key must be a string at line 1 column 11"),
            ("{\"a\": NaN, \"acc\": 0,93}", "key must be a string at line 1 column 21"),
            ("{\"a\": 1e999,\n \"b\": Infinity, \"c\" 1}", "expected `:` at line 2 column 21"),
            ("{\"é\": 1, }", "trailing comma at line 1 column 10"),
            ("{\"acc\": nan}", "column 9 (`nan` is no JSON value)"),
            ("{\"acc\": inf}", "line 1 column 9 (`inf` is no JSON value)"),
            ("{\"a\": 1", "EOF while parsing an object at line 1 column 7"),
            ("{NaN: 1}", "key must be a string at line 1"),
            ("", "EOF while parsing a value at line 1 column 1"),
        ] {
            assert!(error(text).contains(place), "{text}: {}", error(text));
        }
        for text in ["[1]", "0.9", "NaN", "\"x\"", "null"] {
            assert!(error(text).contains("the outermost value is not an object"), "{text}: {}", error(text));
        }
        assert_eq!(error(b"{\"a\": 1,\n \"caf\xe9\": 2}"), "it is not UTF-8 text at line 2 column 6");
    }

    #[test]
    fn byte_order_marks_are_no_part_of_the_text() {
        let with = |mark: &[u8], text: Vec<u8>| [mark, &text].concat();
        let text = "{\"acc\": 0.93}";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [with(b"\xef\xbb\xbf", text.into()), with(b"\xff\xfe", little), with(b"\xfe\xff", big)] {
            assert_eq!(parse(&bytes).expect("JSON with a mark").metrics, [(name("acc"), 0.93)].into());
        }
        let comma = with(b"\xef\xbb\xbf", b"{\"acc\": 0,93}".to_vec());
        assert!(error(comma).ends_with("at line 1 column 11"));
    }

    #[test]
    fn a_value_is_found_by_its_path() {
        let text = br#"{"test": {"acc": 0.5, "f1.macro": 2}, "folds": [{"acc": 3}, {"acc": NaN}]}"#;
        assert_eq!(value_at(text, "test.acc"), Ok(Ok(0.5)));
        assert_eq!(value_at(text, "test.f1.macro"), Ok(Ok(2.0)));
        assert_eq!(value_at(text, "folds.0.acc"), Ok(Ok(3.0)));
        assert_eq!(value_at(text, "folds.1.acc"), Ok(Err("NaN".to_owned())));
        assert_eq!(value_at(text, "test"), Ok(Err("an object of 2".to_owned())));
        assert_eq!(value_at(text, "test.auc"), Err("it has no value at `test.auc`".to_owned()));
        assert_eq!(value_at(b"0.25", ""), Ok(Ok(0.25)));
    }

    #[test]
    fn what_looks_like_a_number_in_a_name_stays_a_name() {
        let metrics = read(r#"{"NaN": 1, "p \"-1\" \\": 2}"#).metrics;
        assert_eq!(metrics[&name("NaN")], 1.0);
        assert_eq!(metrics[&name("p \"-1\" \\")], 2.0);
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
        assert!(error(&deep).contains("recursion limit exceeded"), "{}", error(&deep));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<Vec<u8>>()) {
            let _ = parse(&text);
        }

        #[test]
        fn no_damaged_file_panics(
            pieces in proptest::collection::vec(
                "(\\{|\\}|\"|\\\\|:|,|NaN|-Infinity|-|1e999|0x1|acc|\u{1}number:|\\[|\\]| |\n|é|\u{0})", 0..40,
            ),
        ) {
            let text = pieces.concat();
            let _ = parse(text.as_bytes());
            let _ = value_at(text.as_bytes(), "acc.acc");
        }

        #[test]
        fn every_finite_number_survives(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let text = serde_json::json!({ "m": value }).to_string();
            prop_assert_eq!(read(&text).metrics[&name("m")], value);
        }
    }
}
