//! Metrics of a training, from `metrics.json` and from its log. Pure, but for the regular expressions' memory.
//!
//! A declared metric (one with a regular expression) is read from the log, line by line, and its last match wins,
//! also over a value of the same name in `metrics.json`. Deliberately absent: gates, and which metrics they need.

use crate::model::metric::MetricName;
use crate::model::metric::Metrics;
use regex::Regex;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// The largest `metrics.json` that is read, in bytes.
pub const METRICS_FILE_LIMIT: u64 = 1 << 20;

/// Why metrics cannot be used. Each says which, and what it is instead of a finite number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// The file is not a JSON object.
    #[error("metrics.json is not a JSON object of names and numbers: {why}")]
    NotAnObject {
        /// What it is.
        why: String,
    },
    /// A value is no finite number.
    #[error("metric `{name}` is {what}, not a finite number")]
    NotANumber {
        /// Which.
        name: String,
        /// What it is.
        what: String,
    },
    /// The same name twice.
    #[error("metric `{name}` stands twice in metrics.json")]
    Twice {
        /// Which.
        name: String,
    },
    /// A name that is none.
    #[error(
        "metrics.json has a metric with an unusable name (empty, longer than 128 characters, or with control characters)"
    )]
    Name,
    /// A declared pattern is no regular expression, or has no group.
    #[error("the pattern of metric `{name}` {why}")]
    Pattern {
        /// Which.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Something that a gate needs was not measured.
    #[error("metric `{name}` is missing: the training wrote {found}")]
    Missing {
        /// Which.
        name: String,
        /// What there is.
        found: String,
    },
}

/// Reads the text of `metrics.json`: a flat object of finite numbers.
pub fn parse_metrics(text: &str) -> Result<Metrics, MetricsError> {
    let marked = mark_special_numbers(text);
    let Pairs(pairs) =
        serde_json::from_str(&marked).map_err(|error| MetricsError::NotAnObject { why: error.to_string() })?;
    let mut metrics = Metrics::new();
    for (name, value) in pairs {
        let key = MetricName::parse(&name).ok_or(MetricsError::Name)?;
        let number = finite(&value).map_err(|what| MetricsError::NotANumber { name: name.clone(), what })?;
        if metrics.insert(key, number).is_some() {
            return Err(MetricsError::Twice { name });
        }
    }
    Ok(metrics)
}

/// Puts what the file and the log say together, and checks that nothing is missing.
pub fn complete(mut file: Metrics, log: Metrics, required: &[MetricName]) -> Result<Metrics, MetricsError> {
    file.extend(log);
    if let Some(name) = required.iter().find(|name| !file.contains_key(*name)) {
        let found = if file.is_empty() {
            "none (a metric comes from metrics.json in $SM_OUTPUT_DATA_DIR, or from the log by a declared pattern)"
                .to_owned()
        } else {
            let names: Vec<&str> = file.keys().take(10).map(MetricName::as_str).collect();
            let more = if file.len() > names.len() { ", …" } else { "" };
            format!("{}{more}", names.join(", "))
        };
        return Err(MetricsError::Missing { name: name.as_str().to_owned(), found });
    }
    Ok(file)
}

/// Reads what `metrics.json` holds: its size in bytes, and its content, which is not looked at where it is too large.
pub fn parse_file(size: u64, content: &[u8]) -> Result<Metrics, MetricsError> {
    if size > METRICS_FILE_LIMIT {
        let why = format!("it has {size} bytes, and {METRICS_FILE_LIMIT} are read");
        return Err(MetricsError::NotAnObject { why });
    }
    parse_metrics(&String::from_utf8_lossy(content))
}

/// Takes a metric that a service found in the log and keeps in single precision.
pub fn of_single(name: &MetricName, value: f32) -> Result<f64, MetricsError> {
    single_precision(&value.to_string())
        .map_err(|what| MetricsError::NotANumber { name: name.as_str().to_owned(), what })
}

/// Finds declared metrics in a log as it is written.
#[derive(Debug, Default)]
pub struct LogScan {
    patterns: Vec<(MetricName, Regex, Option<String>)>,
}

impl LogScan {
    /// Prepares the declared patterns, each with one group for the number.
    pub fn new(declared: &BTreeMap<MetricName, String>) -> Result<Self, MetricsError> {
        let mut patterns = Vec::new();
        for (name, pattern) in declared {
            let wrong = |why: String| MetricsError::Pattern { name: name.as_str().to_owned(), why };
            let regex = Regex::new(pattern).map_err(|error| wrong(format!("is not a regular expression: {error}")))?;
            if regex.captures_len() < 2 {
                return Err(wrong("has no group `( )` around the number".to_owned()));
            }
            patterns.push((name.clone(), regex, None));
        }
        Ok(Self { patterns })
    }

    /// Looks at whole lines.
    pub fn feed(&mut self, lines: &str) {
        if self.patterns.is_empty() {
            return;
        }
        for line in lines.lines() {
            for (_, regex, last) in &mut self.patterns {
                if let Some(found) = regex.captures_iter(line).filter_map(|captures| captures.get(1)).last() {
                    *last = Some(found.as_str().to_owned());
                }
            }
        }
    }

    /// Returns the last value of each pattern that matched, in single precision.
    pub fn metrics(&self) -> Result<Metrics, MetricsError> {
        let mut metrics = Metrics::new();
        for (name, _, last) in &self.patterns {
            if let Some(text) = last {
                let value = single_precision(text)
                    .map_err(|what| MetricsError::NotANumber { name: name.as_str().to_owned(), what })?;
                metrics.insert(name.clone(), value);
            }
        }
        Ok(metrics)
    }
}

/// Reads a number of the log as every backend does: in single precision, and then as people write that number.
///
/// SageMaker keeps such metrics as 32-bit floats, and a gate must not depend on the backend. 0.87 stays 0.87 this
/// way, where a plain conversion would make it 0.8700000047683716.
fn single_precision(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let quoted = || format!("`{}` in the log", text.chars().take(40).collect::<String>());
    let value: f32 = text.parse().map_err(|_| quoted())?;
    if !value.is_finite() {
        return Err(quoted());
    }
    value.to_string().parse().map_err(|_| quoted())
}

fn finite(value: &Value) -> Result<f64, String> {
    match value {
        Value::String(text) => match text.strip_prefix(MARK) {
            Some(literal) => match literal.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(number),
                Ok(_) | Err(_) => Err(literal.to_owned()),
            },
            None => Err(format!("the text {}", Value::String(text.chars().take(40).collect()))),
        },
        Value::Null => Err("null".to_owned()),
        Value::Bool(truth) => Err(truth.to_string()),
        Value::Array(_) => Err("a list".to_owned()),
        Value::Object(_) => Err("an object (metrics are flat: one name, one number)".to_owned()),
        Value::Number(number) => Err(number.to_string()),
    }
}

/// What a number becomes before the JSON is parsed: text that no file contains by chance.
const MARK: &str = "\u{1}number:";

/// Turns every bare word that may be a number into marked text.
///
/// Two reasons: Python's `json` writes `NaN` and `Infinity`, which are not JSON, and they are to be reported by the
/// name of their metric; and the value is then read by the standard library, exactly.
fn mark_special_numbers(text: &str) -> String {
    let mut marked = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let end = end_of_string(rest);
            marked.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if first.is_ascii_alphanumeric() || matches!(first, '-' | '+' | '.') {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | '_')))
                .unwrap_or(rest.len());
            let word = &rest[..end];
            let literal = matches!(word, "NaN" | "Infinity" | "-Infinity")
                || (word.starts_with(|c: char| c.is_ascii_digit() || c == '-') && word.parse::<f64>().is_ok());
            if literal {
                marked.push_str("\"\\u0001number:");
                marked.push_str(word);
                marked.push('"');
            } else {
                marked.push_str(word);
            }
            rest = &rest[end..];
        } else {
            marked.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    marked
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

/// The members of an object in the order of the file, repeated names included.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object such as { \"accuracy\": 0.87 }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> MetricName {
        MetricName::parse(text).expect("a metric name")
    }

    fn error(text: &str) -> String {
        parse_metrics(text).expect_err("it is not usable").to_string()
    }

    #[test]
    fn numbers_are_read_exactly() {
        let metrics = parse_metrics(r#"{"accuracy": 0.30000000000000004, "n": 12, "loss": -1.5e-3, "x-1": 0}"#)
            .expect("it is usable");
        assert_eq!(metrics[&name("accuracy")], 0.1 + 0.2);
        assert_eq!(metrics[&name("n")], 12.0);
        assert_eq!(metrics[&name("loss")], -0.0015);
        assert_eq!(metrics.len(), 4);
        assert!(parse_metrics("{}").expect("no metric is no error").is_empty());
    }

    #[test]
    fn what_is_no_number_is_named() {
        assert_eq!(error(r#"{"accuracy": NaN}"#), "metric `accuracy` is NaN, not a finite number");
        assert_eq!(error(r#"{"a": 1, "loss": -Infinity}"#), "metric `loss` is -Infinity, not a finite number");
        assert_eq!(error(r#"{"loss": 1e999}"#), "metric `loss` is 1e999, not a finite number");
        assert_eq!(error(r#"{"accuracy": "0.9"}"#), "metric `accuracy` is the text \"0.9\", not a finite number");
        assert_eq!(error(r#"{"accuracy": true}"#), "metric `accuracy` is true, not a finite number");
        assert_eq!(error(r#"{"accuracy": null}"#), "metric `accuracy` is null, not a finite number");
        assert_eq!(error(r#"{"a": [1]}"#), "metric `a` is a list, not a finite number");
        assert!(error(r#"{"eval": {"a": 1}}"#).starts_with("metric `eval` is an object"));
        assert_eq!(error(r#"{"a": 1, "a": 1}"#), "metric `a` stands twice in metrics.json");
        assert!(error(r#"{"": 1}"#).contains("unusable name"));
        for text in ["", "[1]", "0.9", "{\"a\": 1", "{\"a\": 1} x", "{\"a\": 1e}", "{\"a\": abc}", "{\"a"] {
            assert!(error(text).contains("not a JSON object"), "{text}: {}", error(text));
        }
    }

    #[test]
    fn what_looks_like_a_number_in_a_name_stays_a_name() {
        let metrics = parse_metrics(r#"{"NaN": 1, "p \"-1\" \\": 2}"#).expect("it is usable");
        assert_eq!(metrics[&name("NaN")], 1.0);
        assert_eq!(metrics[&name("p \"-1\" \\")], 2.0);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse_metrics(&text);
        }

        #[test]
        fn no_damaged_file_panics(
            pieces in proptest::collection::vec(
                "(\\{|\\}|\"|\\\\|:|,|NaN|-Infinity|-|1e999|0x1|acc|\u{1}number:|\\[|\\]| |\n|é|\u{0})", 0..40,
            ),
        ) {
            let _ = parse_metrics(&pieces.concat());
        }

        #[test]
        fn no_log_line_panics_or_hangs(
            lines in proptest::collection::vec("(acc|=|a{1,40}|[0-9]{1,50}|NaN|inf|-|\\.|e|\r|\n|é|\u{1b}\\[1m){0,20}", 0..8),
            pattern in prop::sample::select(&["acc=([0-9.]+)", "^(.*)$", "(a*)*=", "((a|aa)+)$", "acc=(.*?)", "", "x{0,1000}(acc)"][..]),
        ) {
            let _ = scan(pattern, &lines.concat());
        }

        #[test]
        fn every_finite_number_survives(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let text = serde_json::json!({ "m": value }).to_string();
            prop_assert_eq!(parse_metrics(&text).expect("it is usable")[&name("m")], value);
        }
    }

    fn scan(pattern: &str, log: &str) -> Result<Metrics, MetricsError> {
        let mut scan = LogScan::new(&[(name("acc"), pattern.to_owned())].into())?;
        scan.feed(log);
        scan.metrics()
    }

    #[test]
    fn the_last_match_in_the_log_wins_in_single_precision() {
        let metrics = scan("acc=([0-9.]+)", "acc=0.5 acc=0.6\nnothing\nacc=0.87\n").expect("it is usable");
        assert_eq!(metrics[&name("acc")], 0.87);
        let metrics = scan("^acc: (.*)$", "x acc: 1\nacc: 0.123456789012\n").expect("it is usable");
        assert_eq!(metrics[&name("acc")], 0.12345679);
        assert!(scan("acc=(.*)", "nothing\n").expect("no match is no error").is_empty());
    }

    #[test]
    fn patterns_and_their_matches_are_checked() {
        assert!(scan("acc=(.*)", "acc=nan\n").expect_err("nan").to_string().contains("`acc` is `nan` in the log"));
        assert!(
            scan("acc=(.*)", "acc=1e60\n").expect_err("too large for single precision").to_string().contains("1e60")
        );
        assert!(scan("acc=[0-9]", "").expect_err("no group").to_string().contains("no group"));
        assert!(scan("acc=(", "").expect_err("no expression").to_string().contains("not a regular expression"));
    }

    #[test]
    fn a_required_metric_that_is_missing_is_named_with_what_there_is() {
        let file = parse_metrics(r#"{"acc": 1}"#).expect("it is usable");
        let text = complete(file, Metrics::new(), &[name("accuracy")]).expect_err("missing").to_string();
        assert_eq!(text, "metric `accuracy` is missing: the training wrote acc");
        let text = complete(Metrics::new(), Metrics::new(), &[name("x")]).expect_err("missing").to_string();
        assert!(text.contains("metrics.json in $SM_OUTPUT_DATA_DIR"), "{text}");
        let log: Metrics = [(name("acc"), 0.5)].into();
        let both = complete(parse_metrics(r#"{"acc": 1}"#).expect("ok"), log, &[name("acc")]).expect("there");
        assert_eq!(both[&name("acc")], 0.5);
    }
}
