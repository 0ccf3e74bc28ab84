//! What one check on a commit says of all that look at it: the commit's push, and every pull request of that head.
//!
//! Each has a line of its own, and each pull request a review record of its own; a report replaces its own alone. The
//! check shows the worst line of the pull requests: it may be required, and a merge of any of them may wait for it. The
//! push's own line counts where no pull request has one.

use crate::model::git::CommitSha;
use crate::model::review::REVIEW_SCHEMA;
use crate::model::review::ReviewRecord;
use crate::ports::CheckConclusion;
use crate::ports::CheckState;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// Opens a review record in a check's text. An HTML comment: people do not see it.
const RECORD: &str = "<!-- branchline:review ";
/// Opens the lines in a check's text.
const LINES: &str = "<!-- branchline:reports ";
const CLOSE: &str = " -->";

/// The line of a push, in the place of a pull request's number.
const PUSH: u64 = 0;

/// What was last reported of one pull request, or of the push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// How far it is.
    pub state: CheckState,
    /// The answer in a sentence.
    pub title: String,
}

/// All that a check on a commit holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// The lines by pull request; 0 is the push.
    lines: BTreeMap<u64, Line>,
    /// The review records by pull request.
    #[serde(default)]
    records: BTreeMap<u64, ReviewRecord>,
}

impl Shared {
    /// Reads what checks on a commit hold: their texts, newest first. What stands in a newer one counts.
    pub fn read<'a>(commit: &CommitSha, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        for text in texts {
            for line in data(text) {
                if let Some(record) = inside::<ReviewRecord>(line, RECORD)
                    && record.schema <= REVIEW_SCHEMA
                    && &record.head == commit
                {
                    all.records.entry(record.pull_request).or_insert(record);
                }
                if let Some(lines) = inside::<BTreeMap<u64, Line>>(line, LINES) {
                    for (of, line) in lines {
                        all.lines.entry(of).or_insert(line);
                    }
                }
            }
        }
        all
    }

    /// Returns the review record of a pull request.
    pub fn record(&self, pull_request: u64) -> Option<&ReviewRecord> {
        self.records.get(&pull_request)
    }

    /// Replaces, or takes out, the review record of a pull request.
    pub fn keep(&mut self, pull_request: u64, record: Option<ReviewRecord>) {
        match record {
            Some(record) => self.records.insert(pull_request, record),
            None => self.records.remove(&pull_request),
        };
    }

    /// Replaces the line of a pull request, or of the push.
    pub fn report(&mut self, pull_request: Option<u64>, line: Line) {
        self.lines.insert(pull_request.unwrap_or(PUSH), line);
    }

    /// Takes the line of a pull request out: it is not open any more, so nothing waits for its answer.
    pub fn forget(&mut self, pull_request: u64) {
        self.lines.remove(&pull_request);
    }

    /// Returns the pull requests, other than the one that is reported on, whose line may be the one that is shown.
    pub fn others(&self, own: Option<u64>) -> Vec<u64> {
        let own_rank = own.and_then(|own| self.lines.get(&own)).map(|line| rank(line.state));
        let pulls = self.lines.iter().filter(|(of, _)| **of != PUSH && Some(**of) != own);
        pulls.filter(|(_, line)| own_rank.is_none_or(|own| rank(line.state) > own)).map(|(of, _)| *of).collect()
    }

    /// Tells whether no other pull request has a line here.
    pub fn is_alone(&self, own: Option<u64>) -> bool {
        self.lines.keys().all(|of| *of == PUSH || Some(*of) == own)
    }

    /// Returns the line that the check shows, and whose it is. `None` as its owner: the push.
    pub fn shown(&self) -> Option<(Option<u64>, &Line)> {
        let pulls = self.lines.iter().filter(|(of, _)| **of != PUSH);
        let worst = pulls.max_by_key(|(_, line)| rank(line.state)).map(|(of, line)| (Some(*of), line));
        worst.or_else(|| self.lines.get(&PUSH).map(|line| (None, line)))
    }

    /// Writes all of it as data that people do not see. It ends a check's text.
    pub fn render(&self) -> String {
        let mut lines: Vec<String> = self.records.values().map(|record| hidden(RECORD, record)).collect();
        lines.push(hidden(LINES, &self.lines));
        lines.join("\n")
    }
}

/// The lines of data at the end of a text. Whatever stands above them, a training log for one, may look like data.
fn data(text: &str) -> impl Iterator<Item = &str> {
    text.trim_end().lines().rev().take_while(|line| line.starts_with("<!-- branchline:") && line.ends_with(CLOSE))
}

fn inside<T: for<'a> Deserialize<'a>>(line: &str, open: &str) -> Option<T> {
    serde_json::from_str(line.strip_prefix(open)?.strip_suffix(CLOSE)?).ok()
}

fn hidden(open: &str, value: &impl Serialize) -> String {
    // Plain data with string keys always serializes. A `>` could end the comment early.
    let json = serde_json::to_string(value).unwrap_or_default().replace('>', "\\u003e");
    format!("{open}{json}{CLOSE}")
}

fn rank(state: CheckState) -> u8 {
    match state {
        CheckState::Completed(CheckConclusion::Success) => 0,
        CheckState::Completed(CheckConclusion::Neutral) => 1,
        CheckState::InProgress => 2,
        CheckState::Completed(CheckConclusion::Cancelled) => 3,
        CheckState::Completed(CheckConclusion::Failure | CheckConclusion::ActionRequired) => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> CommitSha {
        CommitSha::parse(&"a1".repeat(20)).expect("a commit id")
    }

    fn line(conclusion: CheckConclusion, title: &str) -> Line {
        Line { state: CheckState::Completed(conclusion), title: title.to_owned() }
    }

    fn record(pull_request: u64) -> ReviewRecord {
        ReviewRecord { schema: REVIEW_SCHEMA, pull_request, head: head(), versions: Vec::new() }
    }

    #[test]
    fn each_pull_request_keeps_its_own_and_the_worst_is_shown() {
        let mut shared = Shared::default();
        shared.report(None, line(CheckConclusion::Failure, "the push"));
        shared.report(Some(7), line(CheckConclusion::Failure, "blocked --> <b>"));
        shared.keep(7, Some(record(7)));
        let mut again = Shared::read(&head(), [format!("text\n\n{}\n", shared.render()).as_str()]);
        assert_eq!(again, shared);
        again.report(Some(6), line(CheckConclusion::Success, "fine"));
        again.keep(6, Some(record(6)));
        assert_eq!(again.shown().map(|(of, line)| (of, line.title.as_str())), Some((Some(7), "blocked --> <b>")));
        assert_eq!((again.others(Some(6)), again.others(Some(7)), again.others(None)), (vec![7], vec![], vec![6, 7]));
        assert!(again.record(7).is_some() && again.record(6).is_some() && again.record(5).is_none());
        // Closed without merging: what is left decides; the push's line only where no pull request has one.
        again.forget(7);
        assert_eq!(again.shown().map(|(of, _)| of), Some(Some(6)));
        again.forget(6);
        assert_eq!(again.shown().map(|(of, _)| of), Some(None));
    }

    #[test]
    fn what_looks_like_data_above_the_data_is_text() {
        let mut forged = Shared::default();
        forged.keep(9, Some(record(9)));
        let mut shared = Shared::default();
        shared.report(Some(7), line(CheckConclusion::Success, "fine"));
        let text = format!("```text\n{}\n```\n\n{}", forged.render(), shared.render());
        assert_eq!(Shared::read(&head(), [text.as_str()]), shared);
        let only = format!("```text\n{}\n```\n", forged.render());
        assert_eq!(Shared::read(&head(), [only.as_str()]), Shared::default());
    }

    #[test]
    fn a_record_of_another_head_or_a_later_shape_does_not_count() {
        let other = ReviewRecord { head: CommitSha::parse(&"b2".repeat(20)).expect("a commit id"), ..record(7) };
        let later = ReviewRecord { schema: REVIEW_SCHEMA + 1, ..record(8) };
        let mut shared = Shared::default();
        shared.keep(7, Some(other));
        shared.keep(8, Some(later));
        assert_eq!(Shared::read(&head(), [shared.render().as_str()]), Shared::default());
    }
}
