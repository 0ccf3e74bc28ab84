//! A person goes back: the current version is withdrawn, an older one returns, and the group is frozen.
//!
//! One step in each turn, the freeze first, so that nothing automatic can come between. A rollback that was
//! killed half-way, or that is done, is recognized by the history line that it wrote: whoever froze the group.

use crate::facts::Facts;
use crate::facts::GroupFacts;
use crate::model::approval::Approval;
use crate::model::change::ApprovalChange;
use crate::model::history::HistoryAction;
use crate::model::history::HistoryEntry;
use crate::model::verdict::Verdict;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::plan::Answered;
use crate::plan::Decision;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::group;
use crate::plan::known;
use crate::plan::reason::Reason;
use crate::plan::refuse_foreign;
use crate::plan::register::restoring;
use crate::plan::settled;
use crate::plan::step::ApprovalStep;
use crate::plan::step::FreezeStep;
use crate::plan::step::Step;
use crate::plan::train::broken;

/// The event name under which a rollback writes its history.
const EVENT: &str = "rollback";

/// What a rollback does, settled before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The version that is withdrawn.
    pub replaces: VersionNumber,
    /// The version that comes back.
    pub to: VersionNumber,
}

/// Chooses the way back from what the group holds now: the version that was named, be it one that the group withdrew, or
/// the last one that was current, is not rejected, and differs in content or data from the one that is withdrawn.
///
/// `history`: the group's whole record, oldest first. The same command again finishes what it says of an earlier
/// rollback, or finds it done; it never goes back further. Whoever wants that names the version.
pub fn choose(group: &GroupFacts, history: &[HistoryEntry], to: Option<VersionNumber>) -> Result<Way, Box<Reason>> {
    let Some(current) = &group.current else {
        return Err(Box::new(Reason::NothingToRollBack { group: group.name.clone() }));
    };
    if let Some(way) = made(current, history).filter(|way| to.is_none_or(|to| to == way.to)) {
        return Ok(way);
    }
    let chosen = match to {
        Some(number) => {
            let found = group.asked.iter().find(|version| version.number == number).ok_or_else(|| {
                Box::new(Reason::NoSuchVersion { group: group.name.clone(), number, newest: group.newest })
            })?;
            if found.content.fingerprint == current.content.fingerprint {
                return Err(Box::new(Reason::AlreadyCurrent { version: known(current) }));
            }
            found
        }
        None => group
            .formerly_current
            .iter()
            .find(|former| {
                former.approval != Approval::Rejected && former.content.fingerprint != current.content.fingerprint
            })
            .ok_or_else(|| Box::new(Reason::NothingToRollBack { group: group.name.clone() }))?,
    };
    restorable(chosen)?;
    Ok(Way { replaces: current.number, to: chosen.number })
}

/// Refuses a version of which there is nothing to register again. Asked before anything is frozen.
fn restorable(version: &Version) -> Result<(), Box<Reason>> {
    if version.content.can_be_registered_again() {
        Ok(())
    } else {
        Err(Box::new(Reason::NotRestorable { version: known(version) }))
    }
}

/// Recognizes the rollback that made the current version, by the line that it wrote into the history.
fn made(current: &Version, history: &[HistoryEntry]) -> Option<Way> {
    let to = current.content.restores?;
    let restored = |entry: &HistoryEntry| {
        entry.action == HistoryAction::Restored && entry.version == Some(current.number) && entry.by.event == EVENT
    };
    let at = history.iter().rposition(restored)?;
    let before = history.get(..at)?.iter().rev();
    let replaces = before.filter_map(|entry| entry.current).find(|number| *number != current.number)?;
    Some(Way { replaces, to })
}

/// Decides the next step of a rollback.
pub(super) fn plan(goal: &Goal, facts: &Facts) -> Answered {
    decide(goal, facts).unwrap_or_else(|answer| answer)
}

fn decide(goal: &Goal, facts: &Facts) -> Result<Answered, Answered> {
    let Aim::Rollback { target, replaces, to } = &goal.aim else {
        return Err(broken("a rollback was asked for"));
    };
    let group = group(facts, target)?;
    refuse_foreign(facts, group)?;
    let find = |number: VersionNumber| {
        group.asked.iter().find(|version| version.number == number).ok_or_else(|| {
            settled(Verdict::Errored, Reason::NoSuchVersion { group: group.name.clone(), number, newest: group.newest })
        })
    };
    let (replaced, older) = (find(*replaces)?, find(*to)?);
    let mut reasons = vec![Reason::RollingBack { from: known(replaced), to: known(older) }];
    if older.is_banned() {
        reasons.push(Reason::PromotingWithdrawn { version: known(older), rejection: older.rejection });
    }
    restorable(older).map_err(|reason| settled(Verdict::Blocked, *reason))?;
    if group.frozen.is_none() {
        // A group is not frozen for a version that cannot come back.
        let verified = older.content.artifacts.clone();
        let step = Step::Freeze(FreezeStep { group: group.name.clone(), by: goal.by.clone(), verified });
        return Ok((Decision::Act(vec![step]), reasons));
    }
    let restored = group
        .current
        .as_ref()
        .filter(|current| current.content.restores == Some(older.number) && current.number > replaced.number);
    let Some(restored) = restored else {
        if group.current.as_ref().is_some_and(|current| current.number != replaced.number) {
            return Err(settled(
                Verdict::Errored,
                Reason::TooBusy { what: format!("the current version of {}", group.name) },
            ));
        }
        let (step, why) = restoring(goal, facts, target, group, older, Approval::Approved);
        reasons.push(why);
        return Ok((Decision::Act(vec![step]), reasons));
    };
    if replaced.approval == Approval::Rejected {
        return Ok(settled(
            Verdict::Passed,
            Reason::RolledBack { version: known(restored), replaced: known(replaced) },
        ));
    }
    let change = ApprovalChange {
        group: group.name.clone(),
        number: replaced.number,
        from: replaced.approval,
        to: Approval::Rejected,
        rejection: Some(Rejection::RolledBack),
        reinstates: false,
        expected_current: group.current_number(),
        by: goal.by.clone(),
    };
    Ok((Decision::Act(vec![Step::Reject(ApprovalStep { change, artifacts: Vec::new() })]), reasons))
}
