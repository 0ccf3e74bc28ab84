//! A person stops the automatic changes of a group, or allows them again.

use crate::facts::Facts;
use crate::model::verdict::Verdict;
use crate::plan::Answered;
use crate::plan::Decision;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::group;
use crate::plan::reason::Reason;
use crate::plan::refuse_foreign;
use crate::plan::settled;
use crate::plan::step::FreezeStep;
use crate::plan::step::Step;
use crate::plan::train::broken;

/// Decides for `freeze` and `unfreeze`.
pub(super) fn plan(goal: &Goal, facts: &Facts) -> Answered {
    decide(goal, facts).unwrap_or_else(|answer| answer)
}

fn decide(goal: &Goal, facts: &Facts) -> Result<Answered, Answered> {
    let (target, wanted) = match &goal.aim {
        Aim::Freeze { target } => (target, true),
        Aim::Unfreeze { target } => (target, false),
        _ => return Err(broken("a freeze was asked for")),
    };
    let group = group(facts, target)?;
    refuse_foreign(facts, group)?;
    let step = FreezeStep { group: group.name.clone(), by: goal.by.clone(), verified: Vec::new() };
    Ok(match (&group.frozen, wanted) {
        (None, true) => (Decision::Act(vec![Step::Freeze(step)]), vec![Reason::Freezing { group: group.name.clone() }]),
        (Some(freeze), false) => (
            Decision::Act(vec![Step::Unfreeze(step)]),
            vec![Reason::Unfreezing { group: group.name.clone(), freeze: freeze.clone() }],
        ),
        (Some(freeze), true) => {
            settled(Verdict::Passed, Reason::AlreadyFrozen { group: group.name.clone(), freeze: freeze.clone() })
        }
        (None, false) => settled(Verdict::Passed, Reason::NotFrozen { group: group.name.clone() }),
    })
}
