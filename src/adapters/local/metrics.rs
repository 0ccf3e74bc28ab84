//! Metrics of a training run: what its files and its log say, put together. Pure, but for the regular expressions'
//! memory.
//!
//! What nobody asked for cannot lose a finished run: a value that is not a finite number, or a file that is not JSON,
//! is a note, unless a gate names the metric. A declared metric (one with a regular expression) is read from the log,
//! line by line, and its last match wins, also over a value of the same name in a file. Deliberately absent: the text of
//! a file (`metrics_file`), and which metrics the gates need.

use crate::adapters::local::metrics_file;
use crate::model::metric::METRIC_NOTES;
use crate::model::metric::MetricName;
use crate::model::metric::MetricNote;
use crate::model::metric::Metrics;
use regex::Regex;
use std::collections::BTreeMap;

/// The largest file of metrics that is read, in bytes.
pub const METRICS_FILE_LIMIT: u64 = 1 << 20;

/// Why metrics cannot be used. Each says which, and what it is instead of a finite number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// The file is not a JSON object.
    #[error("{file} is not a JSON object of names and numbers: {why}")]
    NotAnObject {
        /// The file.
        file: String,
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
    /// A declared pattern is no regular expression, or has no group.
    #[error("the pattern of metric `{name}` {why}")]
    Pattern {
        /// Which.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Something that a gate needs was not measured.
    #[error("metric `{name}` is missing: the training run wrote {found}")]
    Missing {
        /// Which.
        name: String,
        /// What there is.
        found: String,
    },
}

/// What one file or one log says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// The values that can be used.
    pub metrics: Metrics,
    /// What else has a name there, and what it is: `NaN`, `a list of 4`.
    pub others: BTreeMap<String, String>,
    /// Why the file as a whole cannot be used.
    pub unusable: Option<MetricsError>,
}

impl Measured {
    /// A file that cannot be used.
    pub fn unusable(file: &str, why: impl Into<String>) -> Self {
        Self { unusable: Some(MetricsError::NotAnObject { file: file.to_owned(), why: why.into() }), ..Self::default() }
    }

    /// Takes a value that was found, or what it is instead of one. The newest word for a name wins.
    pub fn set(&mut self, name: &MetricName, value: Result<f64, String>) {
        match value {
            Ok(value) => {
                self.others.remove(name.as_str());
                self.metrics.insert(name.clone(), value);
            }
            Err(what) => {
                self.metrics.remove(name);
                self.others.insert(name.as_str().to_owned(), what);
            }
        }
    }

    /// Lays what was read later over this.
    fn laid_over(mut self, over: Self) -> Self {
        for (name, value) in over.metrics {
            self.set(&name, Ok(value));
        }
        for (name, what) in over.others {
            if let Some(name) = MetricName::parse(&name) {
                self.metrics.remove(&name);
            }
            self.others.insert(name, what);
        }
        self.unusable = self.unusable.or(over.unusable);
        self
    }
}

/// Puts what the files and the log say together, the later over the earlier, and checks that nothing is missing which a
/// gate needs.
pub fn complete(
    parts: impl IntoIterator<Item = Measured>,
    required: &[MetricName],
) -> Result<(Metrics, Vec<MetricNote>), MetricsError> {
    let all = parts.into_iter().fold(Measured::default(), Measured::laid_over);
    usable(&all, required)?;
    if let Some(name) = required.iter().find(|name| !all.metrics.contains_key(*name)) {
        // A file that could not be read is the likelier reason than a name that was never written.
        return Err(match &all.unusable {
            Some(error) => error.clone(),
            None => MetricsError::Missing { name: name.as_str().to_owned(), found: found(&all.metrics, name) },
        });
    }
    Ok(told(all))
}

/// Refuses a required metric that is there and is not a finite number.
pub fn usable(measured: &Measured, required: &[MetricName]) -> Result<(), MetricsError> {
    match required.iter().find_map(|name| Some((name, measured.others.get(name.as_str())?))) {
        Some((name, what)) => Err(MetricsError::NotANumber { name: name.as_str().to_owned(), what: what.clone() }),
        None => Ok(()),
    }
}

/// Parts the values from what is only worth a note.
pub fn told(measured: Measured) -> (Metrics, Vec<MetricNote>) {
    let of_file = measured.unusable.map(|error| match error {
        MetricsError::NotAnObject { file, why } => MetricNote { name: file, value: format!("not used: {why}") },
        other => MetricNote { name: "metrics".to_owned(), value: other.to_string() },
    });
    let mut notes: Vec<MetricNote> = of_file.into_iter().collect();
    let count = measured.others.len();
    notes.extend(measured.others.into_iter().map(|(name, value)| MetricNote { name, value }).take(METRIC_NOTES));
    if count > METRIC_NOTES {
        let value = format!("{} more values that are not numbers", count - METRIC_NOTES);
        notes.push(MetricNote { name: "…".to_owned(), value });
    }
    (measured.metrics, notes)
}

fn found(metrics: &Metrics, wanted: &MetricName) -> String {
    if metrics.is_empty() {
        return "none (a metric comes from metrics.json in $SM_OUTPUT_DATA_DIR, or from the log by a declared pattern)"
            .to_owned();
    }
    let tail = format!(".{wanted}");
    if let Some(nested) = metrics.keys().find(|name| name.as_str().ends_with(&tail)) {
        return format!("`{nested}`: a gate names a nested metric by its whole path");
    }
    let names: Vec<&str> = metrics.keys().take(10).map(MetricName::as_str).collect();
    let more = if metrics.len() > names.len() { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

/// Reads what a file of metrics holds: its size in bytes, and its content, which is not looked at where it is too large.
pub fn parse_file(file: &str, size: u64, content: &[u8]) -> Measured {
    if size > METRICS_FILE_LIMIT {
        return Measured::unusable(file, format!("it has {size} bytes, and at most {METRICS_FILE_LIMIT} are read"));
    }
    match metrics_file::parse(content) {
        Ok(measured) => measured,
        Err(why) => Measured::unusable(file, why),
    }
}

/// Takes a metric that a service found in the log and keeps in single precision.
pub fn of_single(value: f32) -> Result<f64, String> {
    single_precision(&value.to_string())
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
    pub fn measured(&self) -> Measured {
        let mut measured = Measured::default();
        for (name, _, last) in &self.patterns {
            if let Some(text) = last {
                measured.set(name, single_precision(text));
            }
        }
        measured
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> MetricName {
        MetricName::parse(text).expect("a metric name")
    }

    fn file(text: &str) -> Measured {
        parse_file("metrics.json", text.len() as u64, text.as_bytes())
    }

    fn error(text: &str, required: &str) -> String {
        complete([file(text)], &[name(required)]).expect_err("it is not usable").to_string()
    }

    #[test]
    fn a_value_that_is_no_number_fails_only_the_gate_that_names_it() {
        for (text, what) in [
            (r#"{"acc": NaN, "n": 1}"#, "NaN"),
            (r#"{"acc": -Infinity, "n": 1}"#, "-Infinity"),
            (r#"{"acc": 1e999, "n": 1}"#, "1e999"),
            (r#"{"acc": "0.9", "n": 1}"#, "the text \"0.9\""),
            (r#"{"acc": true, "n": 1}"#, "true"),
            (r#"{"acc": null, "n": 1}"#, "null"),
            (r#"{"acc": [1, 2], "n": 1}"#, "a list of 2"),
            (r#"{"acc": 1, "acc": 2, "n": 1}"#, "several values"),
        ] {
            assert_eq!(error(text, "acc"), format!("metric `acc` is {what}, not a finite number"));
            let (metrics, notes) = complete([file(text)], &[name("n")]).expect("no gate names acc");
            assert_eq!(metrics, [(name("n"), 1.0)].into());
            assert_eq!(notes, [MetricNote { name: "acc".to_owned(), value: what.to_owned() }]);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_fails_only_what_a_gate_needs_of_it() {
        let bad = || file("{\"acc\": 0,93}");
        let text = complete([bad()], &[name("acc")]).expect_err("a gate needs it").to_string();
        assert_eq!(
            text,
            "metrics.json is not a JSON object of names and numbers: key must be a string at line 1 column 11"
        );
        let log = Measured { metrics: [(name("acc"), 0.5)].into(), ..Measured::default() };
        let (metrics, notes) = complete([bad(), log], &[name("acc")]).expect("the log has it");
        assert_eq!(metrics[&name("acc")], 0.5);
        assert!(notes[0].name == "metrics.json" && notes[0].value.starts_with("not used: key must be"), "{notes:?}");
        assert!(complete([bad()], &[]).expect("nobody asked").0.is_empty());
        let large = parse_file("m.json", METRICS_FILE_LIMIT + 1, b"");
        assert!(
            complete([large], &[name("x")]).expect_err("too large").to_string().contains("at most 1048576 are read")
        );
    }

    #[test]
    fn of_very_many_notes_some_are_kept_and_the_rest_is_counted() {
        let members: Vec<String> = (0..METRIC_NOTES + 7).map(|n| format!("\"t{n:03}\": \"x\"")).collect();
        let (_, notes) = complete([file(&format!("{{{}}}", members.join(",")))], &[]).expect("notes only");
        assert_eq!(notes.len(), METRIC_NOTES + 1);
        assert_eq!(notes[METRIC_NOTES].value, "7 more values that are not numbers");
    }

    proptest! {
        #[test]
        fn no_log_line_panics_or_hangs(
            lines in proptest::collection::vec("(acc|=|a{1,40}|[0-9]{1,50}|NaN|inf|-|\\.|e|\r|\n|é|\u{1b}\\[1m){0,20}", 0..8),
            pattern in prop::sample::select(&["acc=([0-9.]+)", "^(.*)$", "(a*)*=", "((a|aa)+)$", "acc=(.*?)", "", "x{0,1000}(acc)"][..]),
        ) {
            let _ = scan(pattern, &lines.concat());
        }
    }

    fn scan(pattern: &str, log: &str) -> Result<Measured, MetricsError> {
        let mut scan = LogScan::new(&[(name("acc"), pattern.to_owned())].into())?;
        scan.feed(log);
        Ok(scan.measured())
    }

    #[test]
    fn the_last_match_in_the_log_wins_in_single_precision() {
        let log = scan("acc=([0-9.]+)", "acc=0.5 acc=0.6\nnothing\nacc=0.87\n").expect("it is usable");
        assert_eq!(log.metrics[&name("acc")], 0.87);
        let log = scan("^acc: (.*)$", "x acc: 1\nacc: 0.123456789012\n").expect("it is usable");
        assert_eq!(log.metrics[&name("acc")], 0.12345679);
        assert_eq!(scan("acc=(.*)", "nothing\n").expect("no match is no error"), Measured::default());
    }

    #[test]
    fn a_match_that_is_no_number_hides_the_value_of_the_file() {
        for (log, what) in [("acc=nan\n", "`nan` in the log"), ("acc=1e60\n", "`1e60` in the log")] {
            let log = scan("acc=(.*)", log).expect("a pattern");
            let parts = [file(r#"{"acc": 0.9}"#), log.clone()];
            let text = complete(parts, &[name("acc")]).expect_err("the last word counts").to_string();
            assert_eq!(text, format!("metric `acc` is {what}, not a finite number"));
            assert!(complete([file(r#"{"acc": 0.9}"#), log], &[]).expect("nobody asked").0.is_empty());
        }
        assert!(scan("acc=[0-9]", "").expect_err("no group").to_string().contains("no group"));
        assert!(scan("acc=(", "").expect_err("no expression").to_string().contains("not a regular expression"));
    }

    #[test]
    fn a_required_metric_that_is_missing_is_named_with_what_there_is() {
        assert_eq!(error(r#"{"acc": 1}"#, "accuracy"), "metric `accuracy` is missing: the training run wrote acc");
        assert_eq!(
            error(r#"{"test": {"acc": 1}}"#, "acc"),
            "metric `acc` is missing: the training run wrote `test.acc`: a gate names a nested metric by its whole path"
        );
        let text = complete([Measured::default()], &[name("x")]).expect_err("missing").to_string();
        assert!(text.contains("metrics.json in $SM_OUTPUT_DATA_DIR"), "{text}");
        let log = Measured { metrics: [(name("acc"), 0.5)].into(), ..Measured::default() };
        let (both, _) = complete([file(r#"{"acc": 1}"#), log], &[name("acc")]).expect("there");
        assert_eq!(both[&name("acc")], 0.5);
    }
}
