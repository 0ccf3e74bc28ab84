//! What every code, verdict and exit code means, why it comes, and what to do: the text of `branchline explain`.
//!
//! The sentence with the evidence of one run is in `plan::wording`; here stands what is always true of a code.

mod ends;
mod reasons;

use crate::report::json::JSON_SCHEMA;
use crate::report::terminal::BOLD;
use crate::report::terminal::lines;
use crate::report::terminal::table;
use serde::Serialize;

/// What kind of answer an entry explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The code of a reason.
    Reason,
    /// A verdict.
    Verdict,
    /// A process's exit code.
    ExitCode,
}

impl Kind {
    fn title(self) -> &'static str {
        match self {
            Self::Reason => "reason",
            Self::Verdict => "verdict",
            Self::ExitCode => "exit code",
        }
    }
}

/// One explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The code as it is printed: `gate-failed`, `blocked`, `30`.
    pub code: &'static str,
    /// What kind of code.
    pub kind: Kind,
    /// What it means.
    pub means: &'static str,
    /// Why it happens.
    pub why: &'static str,
    /// What to do.
    pub next: &'static str,
}

/// Every explanation: verdicts, exit codes, reasons.
pub fn all() -> impl Iterator<Item = Entry> {
    let entry = |kind| move |&[code, means, why, next]: &[&'static str; 4]| Entry { code, kind, means, why, next };
    ends::VERDICTS
        .iter()
        .map(entry(Kind::Verdict))
        .chain(ends::EXITS.iter().map(entry(Kind::ExitCode)))
        .chain(reasons::REASONS.iter().map(entry(Kind::Reason)))
}

/// Finds what a code means: a word may be both a verdict and a reason.
pub fn find(code: &str) -> Vec<Entry> {
    all().filter(|entry| entry.code == code).collect()
}

/// Returns the code that was most likely meant.
pub fn nearest(code: &str) -> Option<&'static str> {
    let wanted: String = code.chars().take(80).collect::<String>().to_lowercase().replace([' ', '_'], "-");
    let (score, code) = all()
        .map(|entry| {
            let part = if wanted.len() > 3 && entry.code.contains(&wanted) { 0.8 } else { 0.0 };
            (strsim::normalized_damerau_levenshtein(&wanted, entry.code).max(part), entry.code)
        })
        .max_by(|one, two| one.0.total_cmp(&two.0))?;
    (score >= 0.6).then_some(code)
}

/// Renders one or two entries for people.
pub fn text(entries: &[Entry]) -> String {
    let mut text = String::new();
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let title = entry.kind.title();
        text.push_str(&format!("{}{}{} ({title})\n", BOLD.render(), entry.code, BOLD.render_reset()));
        text.push_str(&format!("  means: {}\n  why:   {}\n  next:  {}\n", entry.means, entry.why, entry.next));
    }
    text
}

/// Renders the list of all codes for people.
pub fn list() -> String {
    let mut text = String::new();
    for kind in [Kind::Verdict, Kind::ExitCode, Kind::Reason] {
        text.push_str(&format!("{}{}s{}\n", BOLD.render(), kind.title(), BOLD.render_reset()));
        let mut table = table();
        for entry in all().filter(|entry| entry.kind == kind) {
            table.add_row(vec!["", entry.code, entry.means]);
        }
        text.push_str(&lines(&table));
        text.push('\n');
    }
    text.push_str("more of one of them: branchline explain CODE\n");
    text
}

/// What `explain --format json` prints.
#[derive(Debug, Serialize)]
pub struct ExplainJson {
    schema: u32,
    entries: Vec<Entry>,
}

impl ExplainJson {
    /// Builds the shape.
    pub fn of(entries: Vec<Entry>) -> Self {
        Self { schema: JSON_SCHEMA, entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::verdict::Verdict;
    use crate::outcome::before_verdict_exit;
    use crate::outcome::verdict_exit;
    use crate::plan::reason::BeforeVerdict;
    use std::collections::BTreeSet;

    /// The codes as the code itself gives them: the arms of `Reason::code`.
    fn codes_in_the_source() -> Vec<&'static str> {
        let source = include_str!("../../plan/wording.rs");
        let body = source.split("pub fn code(&self)").nth(1).expect("Reason::code is there");
        let body = body.split("\n    }\n").next().expect("it ends");
        let arms = body.lines().filter_map(|line| line.split_once("=> \"")?.1.strip_suffix("\","));
        arms.collect()
    }

    #[test]
    fn every_code_of_a_reason_is_explained_and_no_other() {
        let known: BTreeSet<&str> = codes_in_the_source().into_iter().collect();
        let variants = include_str!("../../plan/reason.rs");
        let variants = variants.split("pub enum Reason {").nth(1).and_then(|rest| rest.split("\n}\n").next());
        let count = variants
            .expect("the enum is there")
            .lines()
            .filter(|line| line.starts_with("    ") && line[4..].starts_with(|c: char| c.is_ascii_uppercase()))
            .count();
        assert_eq!(known.len(), count, "the source was not read right");
        let explained: BTreeSet<&str> = all().filter(|e| e.kind == Kind::Reason).map(|e| e.code).collect();
        assert_eq!(explained, known);
    }

    #[test]
    fn every_verdict_and_exit_code_is_explained() {
        let verdicts = [
            Verdict::Passed,
            Verdict::Skipped,
            Verdict::Waiting,
            Verdict::Blocked,
            Verdict::Failed,
            Verdict::Errored,
            Verdict::Cancelled,
        ];
        let refusals =
            [BeforeVerdict::Usage, BeforeVerdict::Configuration, BeforeVerdict::DoesNotConverge, BeforeVerdict::Bug];
        for verdict in verdicts {
            assert!(find(verdict.as_str()).iter().any(|entry| entry.kind == Kind::Verdict), "{verdict}");
        }
        // An event that cannot be read, and SIGTERM, have their codes in `cli`.
        let mut exits: BTreeSet<u8> = BTreeSet::from([21, 143]);
        exits.extend(verdicts.into_iter().map(verdict_exit));
        exits.extend(refusals.into_iter().map(before_verdict_exit));
        let explained: BTreeSet<u8> =
            all().filter(|e| e.kind == Kind::ExitCode).map(|e| e.code.parse().expect("a number")).collect();
        assert_eq!(explained, exits);
    }

    #[test]
    fn no_code_is_explained_twice_or_without_words() {
        let mut seen = BTreeSet::new();
        for entry in all() {
            assert!(seen.insert((entry.code, entry.kind.title())), "{} stands twice", entry.code);
            for text in [entry.means, entry.why, entry.next] {
                assert!(text.len() > 5 && !text.ends_with('.'), "{}: {text}", entry.code);
            }
        }
    }

    #[test]
    fn a_slip_finds_what_was_meant() {
        assert_eq!(nearest("gate-faild"), Some("gate-failed"));
        assert_eq!(nearest("Gate Failed"), Some("gate-failed"));
        assert_eq!(nearest("promotable"), Some("not-promotable"));
        assert_eq!(nearest("xyzzy"), None);
    }
}
