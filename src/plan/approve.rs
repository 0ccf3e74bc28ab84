//! A person says yes or no to a version.

use crate::facts::Facts;
use crate::facts::GroupFacts;
use crate::model::approval::Approval;
use crate::model::change::ApprovalChange;
use crate::model::name::TargetName;
use crate::model::verdict::Verdict;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::plan::Answered;
use crate::plan::Decision;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::goal::ModelRules;
use crate::plan::group;
use crate::plan::known;
use crate::plan::reason::Reason;
use crate::plan::refuse_foreign;
use crate::plan::settled;
use crate::plan::step::ApprovalStep;
use crate::plan::step::Step;
use crate::plan::train::broken;

/// Decides for `approve`.
pub(super) fn plan_approve(goal: &Goal, rules: &ModelRules, facts: &Facts) -> Answered {
    let Aim::Approve { target, version } = &goal.aim else { return broken("an approval was asked for") };
    approve(goal, rules, facts, target, *version).unwrap_or_else(|answer| answer)
}

/// Decides for `reject`.
pub(super) fn plan_reject(goal: &Goal, facts: &Facts) -> Answered {
    let Aim::Reject { target, version } = &goal.aim else { return broken("a rejection was asked for") };
    reject(goal, facts, target, *version).unwrap_or_else(|answer| answer)
}

fn approve(
    goal: &Goal,
    rules: &ModelRules,
    facts: &Facts,
    target: &TargetName,
    number: VersionNumber,
) -> Result<Answered, Answered> {
    let group = group(facts, target)?;
    refuse_foreign(facts, group)?;
    let version = chosen(group, number)?;
    if version.approval == Approval::Approved {
        return Ok(settled(
            Verdict::Passed,
            Reason::AlreadySo { version: known(version), approval: Approval::Approved },
        ));
    }
    // The branches that feed a shared group are siblings: there, an older number is not an older model.
    let shared = rules.stage_of_target(target).is_some_and(|stage| stage.is_shared_by_branches());
    let newer = group.current.as_ref().filter(|current| !shared && current.number > version.number);
    if let Some(current) = newer {
        return Err(settled(
            Verdict::Blocked,
            Reason::OlderThanCurrent { version: known(version), current: known(current) },
        ));
    }
    let mut reasons = vec![Reason::Approving { version: known(version), replaces: group.current.as_ref().map(known) }];
    reasons.extend(frozen(group));
    Ok((Decision::Act(vec![Step::Approve(change(goal, group, version, Approval::Approved, None))]), reasons))
}

fn reject(goal: &Goal, facts: &Facts, target: &TargetName, number: VersionNumber) -> Result<Answered, Answered> {
    let group = group(facts, target)?;
    refuse_foreign(facts, group)?;
    let version = chosen(group, number)?;
    if version.approval == Approval::Rejected {
        return Ok(settled(
            Verdict::Passed,
            Reason::AlreadySo { version: known(version), approval: Approval::Rejected },
        ));
    }
    let was_current = group.current_number() == Some(version.number);
    let leaves = group.formerly_current.iter().find(|former| former.approval == Approval::Approved);
    let mut reasons = vec![Reason::Rejecting {
        version: known(version),
        leaves: if was_current { leaves.map(known) } else { None },
        was_current,
    }];
    reasons.extend(frozen(group));
    let step = change(goal, group, version, Approval::Rejected, Some(Rejection::Person));
    Ok((Decision::Act(vec![Step::Reject(step)]), reasons))
}

/// The version that was named.
fn chosen(group: &GroupFacts, number: VersionNumber) -> Result<&Version, Answered> {
    group.asked.iter().find(|version| version.number == number).ok_or_else(|| {
        settled(Verdict::Errored, Reason::NoSuchVersion { group: group.name.clone(), number, newest: group.newest })
    })
}

fn change(
    goal: &Goal,
    group: &GroupFacts,
    version: &Version,
    to: Approval,
    rejection: Option<Rejection>,
) -> ApprovalStep {
    let artifacts = if to == Approval::Approved { version.content.artifacts.clone() } else { Vec::new() };
    ApprovalStep {
        artifacts,
        change: ApprovalChange {
            group: group.name.clone(),
            number: version.number,
            from: version.approval,
            to,
            rejection,
            reinstates: false,
            expected_current: group.current_number(),
            by: goal.by.clone(),
        },
    }
}

/// Says that a manual command works on a frozen group.
pub(super) fn frozen(group: &GroupFacts) -> Option<Reason> {
    group.frozen.as_ref().map(|freeze| Reason::FrozenButByHand { group: group.name.clone(), freeze: freeze.clone() })
}
