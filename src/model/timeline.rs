//! Timeline: from the lines of a group's history to the periods in which each version was the current one.
//!
//! Nothing is guessed: what was current is what each line recorded. A change that failed half-way therefore shows
//! as far as it came. Deliberately absent: what a version holds; that is looked up by its number.

use crate::model::history::Attribution;
use crate::model::history::HistoryAction;
use crate::model::history::HistoryEntry;
use crate::model::version::VersionNumber;
use std::collections::BTreeMap;

/// A stretch of time in which one version was what its group stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// The version.
    pub version: VersionNumber,
    /// From when on, UTC.
    pub from: jiff::Timestamp,
    /// Until before when, UTC. `None`: it is current now.
    pub until: Option<jiff::Timestamp>,
    /// The change that made it current.
    pub began: Turn,
    /// The change that ended it.
    pub ended: Option<Turn>,
    /// The change by which the version entered the group: a promotion, say, that a person approved later.
    pub entered: Option<Turn>,
    /// The approval that it stands on. `None` only where the history does not have it.
    pub approved: Option<Consent>,
}

impl Period {
    /// Returns the pull request that brought the version into the group, where the record names one.
    pub fn pull_request(&self) -> Option<u64> {
        let of = |turn: &Turn| turn.by.pull_request;
        of(&self.began).or_else(|| self.entered.as_ref().and_then(of))
    }

    /// Returns who approved that pull request.
    pub fn reviewed_by(&self) -> &[String] {
        let of = |turn: &Turn| turn.by.pull_request.is_some();
        let brought = if of(&self.began) { Some(&self.began) } else { self.entered.as_ref().filter(|turn| of(turn)) };
        brought.map_or(&[], |turn| &turn.by.reviewed_by)
    }
}

/// The change by which the current version became another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What happened.
    pub action: HistoryAction,
    /// To which version: not always the one that became current.
    pub version: Option<VersionNumber>,
    /// Who, from where and why.
    pub by: Attribution,
}

/// An approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// When, UTC.
    pub at: jiff::Timestamp,
    /// The rule `approval: auto` approved as the version entered; nobody was asked.
    pub by_rule: bool,
    /// Who, from where and why. Of a rule: who caused the change that it approved.
    pub by: Attribution,
}

/// Turns a whole history, in the order in which it was written, into periods, oldest first.
///
/// The order of the lines counts, also where the clock was set back between them: a change never happens before
/// the one that it followed.
pub fn periods(history: &[HistoryEntry]) -> Vec<Period> {
    let mut periods: Vec<Period> = Vec::new();
    let mut consents: BTreeMap<VersionNumber, Consent> = BTreeMap::new();
    let mut entered: BTreeMap<VersionNumber, Turn> = BTreeMap::new();
    let mut now = jiff::Timestamp::MIN;
    let mut current = None;
    for change in history.chunk_by(same_change) {
        let Some(first) = change.first() else { continue };
        now = now.max(first.at);
        for entry in change {
            if let Some(version) = entry.version.filter(|version| enters(entry, *version)) {
                // Reinstating is not the change that brought the version.
                let turn = Turn { action: entry.action, version: Some(version), by: entry.by.clone() };
                entered.entry(version).or_insert(turn);
            }
        }
        for entry in change.iter().filter(|entry| entry.action == HistoryAction::Approved) {
            if let Some(version) = entry.version {
                let by_rule = entry.by.event != "rollback" && change.iter().any(|other| enters(other, version));
                consents.insert(version, Consent { at: now, by_rule, by: entry.by.clone() });
            }
        }
        if first.current == current {
            continue;
        }
        let turn = turn(change, first, current);
        if let Some(open) = periods.last_mut().filter(|period| period.until.is_none()) {
            open.until = Some(now);
            open.ended = Some(turn.clone());
        }
        if let Some(version) = first.current {
            let approved = consents.get(&version).cloned();
            let entered = entered.get(&version).cloned();
            periods.push(Period { version, from: now, until: None, began: turn, ended: None, entered, approved });
        }
        current = first.current;
    }
    periods
}

/// Finds the period that a moment lies in.
pub fn at(periods: &[Period], moment: jiff::Timestamp) -> Option<&Period> {
    periods.iter().find(|period| period.from <= moment && period.until.is_none_or(|until| moment < until))
}

/// Keeps the periods of which some part lies from `from` on and before `to`.
pub fn between(
    periods: &[Period],
    from: Option<jiff::Timestamp>,
    to: Option<jiff::Timestamp>,
) -> impl Iterator<Item = &Period> {
    periods.iter().filter(move |period| {
        let begins_before = to.is_none_or(|to| period.from < to);
        let ends_after = from.is_none_or(|from| period.until.is_none_or(|until| until > from || period.from >= from));
        begins_before && ends_after
    })
}

/// Lines of one transaction have one time, one author and one result.
fn same_change(one: &HistoryEntry, two: &HistoryEntry) -> bool {
    one.at == two.at && one.current == two.current && one.by == two.by
}

fn enters(entry: &HistoryEntry, version: VersionNumber) -> bool {
    let entering = matches!(
        entry.action,
        HistoryAction::Registered
            | HistoryAction::Promoted
            | HistoryAction::Restored
            | HistoryAction::Imported
            | HistoryAction::Reinstated
    );
    entering && entry.version == Some(version)
}

/// Picks the line that tells best why the current version changed.
fn turn(change: &[HistoryEntry], first: &HistoryEntry, before: Option<VersionNumber>) -> Turn {
    let out = |action| matches!(action, HistoryAction::Rejected | HistoryAction::RolledBack);
    let line = change
        .iter()
        .find(|entry| entry.current.is_some_and(|current| enters(entry, current)))
        .or_else(|| change.iter().find(|e| e.action == HistoryAction::Approved && e.version == first.current))
        .or_else(|| change.iter().find(|e| out(e.action) && e.version == before))
        .unwrap_or(first);
    Turn { action: line.action, version: line.version, by: line.by.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::GroupName;
    use proptest::prelude::*;

    fn second(at: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(at).expect("time")
    }

    fn line(at: i64, action: HistoryAction, version: u32, current: u32, actor: &str, event: &str) -> HistoryEntry {
        let number = |number: u32| (number > 0).then_some(VersionNumber(number));
        HistoryEntry {
            at: second(at),
            group: GroupName::parse("churn-prod").expect("name"),
            action,
            version: number(version),
            current: number(current),
            by: Attribution { actor: Some(actor.to_owned()), event: event.to_owned(), ..Attribution::default() },
        }
    }

    fn shown(periods: &[Period]) -> Vec<String> {
        let text = |period: &Period| {
            let until = period.until.map_or_else(|| "now".to_owned(), |until| until.as_second().to_string());
            let approved = period.approved.as_ref().map_or_else(
                || "nobody".to_owned(),
                |c| format!("{}{}", if c.by_rule { "rule, " } else { "" }, c.by.actor.clone().unwrap_or_default()),
            );
            let ended = period.ended.as_ref().map_or_else(String::new, |turn| {
                format!(" ended by {} of v{}", turn.action.as_str(), turn.version.map_or(0, |number| number.0))
            });
            format!("{} {}..{until} {approved}{ended}", period.version, period.from.as_second())
        };
        periods.iter().map(text).collect()
    }

    #[test]
    fn a_version_is_current_from_its_approval_until_the_next() {
        use HistoryAction::*;
        let history = [
            line(1, Promoted, 1, 0, "ada", "push"),
            line(2, Approved, 1, 1, "ben", "approve"),
            line(3, Promoted, 2, 1, "ada", "push"),
            line(4, Frozen, 0, 1, "ben", "freeze"),
            line(5, Approved, 2, 2, "eve", "approve"),
        ];
        let found = periods(&history);
        assert_eq!(shown(&found), ["v1 2..5 ben ended by approved of v2", "v2 5..now eve"]);
        assert_eq!(at(&found, second(1)), None);
        assert_eq!(at(&found, second(4)).map(|period| period.version.0), Some(1));
        assert_eq!(at(&found, second(5)).map(|period| period.version.0), Some(2));
        let named = |from, to| between(&found, from, to).map(|period| period.version.0).collect::<Vec<_>>();
        assert_eq!(named(Some(second(5)), None), [2]);
        assert_eq!(named(None, Some(second(5))), [1]);
        assert_eq!(named(Some(second(3)), Some(second(9))), [1, 2]);
    }

    #[test]
    fn a_rule_that_approves_is_not_a_person() {
        use HistoryAction::*;
        let history = [line(1, Registered, 1, 1, "ada", "push"), line(1, Approved, 1, 1, "ada", "push")];
        let found = periods(&history);
        assert_eq!(shown(&found), ["v1 1..now rule, ada"]);
        assert_eq!(found[0].began.action, Registered);
    }

    #[test]
    fn rejecting_brings_back_what_was_approved_before() {
        use HistoryAction::*;
        let history = [
            line(1, Approved, 1, 1, "ada", "approve"),
            line(2, Approved, 2, 2, "ada", "approve"),
            line(3, Rejected, 2, 1, "eve", "reject"),
            line(4, Rejected, 1, 0, "eve", "reject"),
        ];
        let expected = [
            "v1 1..2 ada ended by approved of v2",
            "v2 2..3 ada ended by rejected of v2",
            "v1 3..4 ada ended by rejected of v1",
        ];
        assert_eq!(shown(&periods(&history)), expected);
        assert_eq!(at(&periods(&history), second(9)), None);
    }

    #[test]
    fn a_rollback_that_died_half_way_shows_as_far_as_it_came() {
        use HistoryAction::*;
        let history = [
            line(1, Approved, 1, 1, "ada", "approve"),
            line(2, Approved, 2, 2, "ada", "approve"),
            // The restored version entered, and then the run was killed.
            line(3, Restored, 3, 2, "eve", "rollback"),
        ];
        assert_eq!(shown(&periods(&history)), ["v1 1..2 ada ended by approved of v2", "v2 2..now ada"]);
    }

    #[test]
    fn a_clock_that_was_set_back_changes_no_order() {
        use HistoryAction::*;
        let history = [line(9, Approved, 1, 1, "ada", "approve"), line(3, Approved, 2, 2, "ada", "approve")];
        assert_eq!(shown(&periods(&history)), ["v1 9..9 ada ended by approved of v2", "v2 9..now ada"]);
    }

    proptest! {
        #[test]
        fn periods_never_overlap_and_leave_out_no_change(
            steps in proptest::collection::vec((0i64..20, 0u32..4), 0..30),
        ) {
            let history: Vec<HistoryEntry> = steps
                .iter()
                .map(|(at, current)| line(*at, HistoryAction::Approved, *current, *current, "ada", "approve"))
                .collect();
            let found = periods(&history);
            for pair in found.windows(2) {
                prop_assert!(pair[0].until.is_some_and(|until| until <= pair[1].from));
            }
            let last = history.last().and_then(|entry| entry.current);
            let open = found.last().filter(|period| period.until.is_none()).map(|period| period.version);
            prop_assert_eq!(open, last);
            let mut wanted: Vec<u32> = steps.iter().map(|(_, current)| *current).collect();
            wanted.dedup();
            wanted.retain(|current| *current > 0);
            let got: Vec<u32> = found.iter().map(|period| period.version.0).collect();
            prop_assert_eq!(got, wanted);
        }
    }
}
