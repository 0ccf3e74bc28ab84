//! Does what a pull request showed bind a push to a promoting stage, and can it still go forward?

use crate::model::approval::Approval;
use crate::model::review::Review;
use crate::model::review::Reviewed;
use crate::model::verdict::Verdict;
use crate::model::version::Version;
use crate::plan::Answered;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::goal::ModelRules;
use crate::plan::known;
use crate::plan::reason::Excluded;
use crate::plan::reason::Reason;
use crate::plan::reason::ReviewMoved;
use crate::plan::settled;

/// Refuses whatever a push would change, where the rules require an approving review and there is none: a copy as well as
/// the return of an older version.
pub(super) fn refuse_unapproved(goal: &Goal, rules: &ModelRules) -> Result<(), Answered> {
    let Aim::Promote { review, .. } = &goal.aim else { return Ok(()) };
    match review {
        // A prediction is what makes a record: it cannot need one.
        Review::NotAsked if rules.require_review && !goal.predicts => {
            Err(required(rules, "no pull request can be asked for here".to_owned()))
        }
        Review::Unapproved { why } if rules.require_review => Err(required(rules, why.clone())),
        _ => Ok(()),
    }
}

/// Returns the version that a review recorded, where it is among the candidates.
///
/// A recorded version that cannot go forward is never replaced by another one in silence: the answer is then a
/// refusal that says what moved.
pub(super) fn pinned<'a>(
    goal: &Goal,
    rules: &ModelRules,
    candidates: &[&'a Version],
    excluded: &[Excluded],
) -> Result<Option<&'a Version>, Answered> {
    let Aim::Promote { review, .. } = &goal.aim else { return Ok(None) };
    refuse_unapproved(goal, rules)?;
    let (pull_request, reviewed) = match review {
        Review::Recorded { pull_request, reviewed } => (*pull_request, reviewed),
        Review::None { why } if rules.require_review => return Err(required(rules, why.clone())),
        Review::None { .. } | Review::NotAsked | Review::Unapproved { .. } => return Ok(None),
    };
    // Something else was merged into the base since: the report shows the new content, and pins that.
    if goal.predicts && candidates.iter().all(|version| version.content.content != reviewed.content) {
        return Ok(None);
    }
    let found = candidates.iter().find(|version| version.reference() == reviewed.version).copied();
    let why = match found {
        Some(version) if same_bytes(version, reviewed) => return Ok(Some(version)),
        Some(_) => "its bytes are not the ones that were reviewed".to_owned(),
        None => match excluded.iter().find(|excluded| excluded.version.version == reviewed.version) {
            Some(excluded) => format!("it {} now", excluded.why),
            // Other content: something else was merged meanwhile, or the head moved after the report.
            None => "what was merged has other code, settings or data than what was reviewed".to_owned(),
        },
    };
    Err(settled(
        Verdict::Blocked,
        Reason::ReviewMoved(ReviewMoved {
            pull_request,
            reviewed: reviewed.version.clone(),
            why,
            candidate: candidates.first().copied().map(known),
            model: rules.model.clone(),
        }),
    ))
}

/// Tells whether an older version of the target may be restored in place of what was reviewed.
pub(super) fn allows_restore(goal: &Goal, older: &Version) -> bool {
    match &goal.aim {
        Aim::Promote { review: Review::Recorded { reviewed, .. }, .. } => same_bytes(older, reviewed),
        _ => true,
    }
}

/// Says what else is true of the chosen version: nobody reviewed it, or there is a newer one.
pub(super) fn remark(goal: &Goal, chosen: &Version, versions: &[&Version]) -> Option<Reason> {
    let Aim::Promote { review, .. } = &goal.aim else { return None };
    match review {
        Review::NotAsked => None,
        Review::None { why } | Review::Unapproved { why } => {
            Some(Reason::Unreviewed { version: known(chosen), why: why.clone() })
        }
        Review::Recorded { pull_request, .. } => versions
            .iter()
            .filter(|version| version.group == chosen.group && version.number > chosen.number)
            .filter(|version| version.content.content == chosen.content.content)
            .find(|version| version.approval == Approval::Approved && version.content.not_promotable.is_none())
            .map(|newer| Reason::NewerThanReview { newer: known(newer), pull_request: *pull_request }),
    }
}

/// Tells whether the choice was a review's.
pub(super) fn is_recorded(goal: &Goal) -> bool {
    matches!(&goal.aim, Aim::Promote { review: Review::Recorded { .. }, .. })
}

fn required(rules: &ModelRules, why: String) -> Answered {
    settled(Verdict::Blocked, Reason::ReviewRequired { model: rules.model.clone(), why })
}

fn same_bytes(version: &Version, reviewed: &Reviewed) -> bool {
    let digests: Vec<String> = version.content.artifacts.iter().map(|artifact| artifact.digest.to_string()).collect();
    digests == reviewed.digests
}
