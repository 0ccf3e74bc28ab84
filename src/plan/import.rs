//! A version of another group, or of another state directory, is to be imported: as what?
//!
//! It stays what it was: metrics, lineage, approval. Nothing is judged again. Deliberately absent: reading the
//! other group, which is done once, before the loop.

use crate::facts::Facts;
use crate::facts::GroupFacts;
use crate::model::approval::Approval;
use crate::model::change::ApprovalChange;
use crate::model::change::ArtifactPlace;
use crate::model::change::Registration;
use crate::model::history::HistoryAction;
use crate::model::lineage::Imported;
use crate::model::lineage::Lineage;
use crate::model::verdict::Verdict;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionContent;
use crate::plan::Answered;
use crate::plan::Decision;
use crate::plan::approve;
use crate::plan::evidence::Importing;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::goal::ModelRules;
use crate::plan::group;
use crate::plan::known;
use crate::plan::promote::semver_in;
use crate::plan::reason::Reason;
use crate::plan::refuse_foreign;
use crate::plan::register::expected;
use crate::plan::settled;
use crate::plan::step::ApprovalStep;
use crate::plan::step::CopyStep;
use crate::plan::step::RegisterStep;
use crate::plan::step::Step;
use crate::plan::train::broken;

/// Decides what becomes of it.
pub(super) fn plan(goal: &Goal, rules: &ModelRules, facts: &Facts) -> Answered {
    decide(goal, rules, facts).unwrap_or_else(|answer| answer)
}

fn decide(goal: &Goal, rules: &ModelRules, facts: &Facts) -> Result<Answered, Answered> {
    let Aim::Import { to, version, here, owner, foreign } = &goal.aim else {
        return Err(broken("a version to take over was spoken of"));
    };
    let group = group(facts, to)?;
    refuse_foreign(facts, group)?;
    if let Some(owner) = owner.as_ref().filter(|owner| !foreign && owner.is_foreign_to(&facts.repository)) {
        return Err(settled(
            Verdict::Blocked,
            Reason::ForeignSource {
                group: version.group.clone(),
                owner: owner.clone(),
                ours: facts.repository.clone(),
            },
        ));
    }
    if let Some(taken) = group.matching.iter().find(|candidate| is_taken_from(candidate, version)) {
        return Ok(complete(goal, group, version, taken));
    }

    let overtaken = version.approval == Approval::Approved && stands_for_other(group, version);
    // A rejected one is rejected right after: so the history has a line for it, and the registry its kind.
    let approval = if overtaken || version.approval == Approval::Rejected {
        Approval::PendingManualApproval
    } else {
        version.approval
    };
    let mut reasons =
        vec![Reason::Importing(Importing { version: known(version), group: group.name.clone(), approval, overtaken })];
    reasons.extend(approve::frozen(group));
    let copy = Step::Copy(CopyStep {
        artifacts: version.content.artifacts.clone(),
        from: version.reference().to_string(),
        to: ArtifactPlace {
            project: rules.project.clone(),
            group: group.name.clone(),
            model: rules.model.clone(),
            fingerprint: version.content.fingerprint.clone(),
        },
    });
    let register = Step::Register(RegisterStep {
        target: to.clone(),
        registration: Box::new(Registration {
            group: group.name.clone(),
            repository: facts.repository.clone(),
            expected: expected(group),
            content: VersionContent {
                model: rules.model.clone(),
                semver: semver_in(group, version),
                lineage: Lineage { imported: Some(origin(version)), ..version.content.lineage.clone() },
                // An address in another home would mean something else here.
                source: here.then(|| version.reference()),
                restores: None,
                ..version.content.clone()
            },
            approval,
            superseded: overtaken || (version.superseded && approval != Approval::Approved),
            supersedes_older: false,
            action: HistoryAction::Imported,
            by: goal.by.clone(),
        }),
    });
    Ok((Decision::Act(vec![copy, register]), reasons))
}

/// What it was before.
fn origin(version: &Version) -> Imported {
    Imported {
        version: version.reference(),
        model: version.content.model.clone(),
        registered_at: version.registered_at,
        source: version.content.source.clone(),
        restores: version.content.restores,
    }
}

fn is_taken_from(candidate: &Version, version: &Version) -> bool {
    // With its time, since two homes may have groups of one name.
    candidate.content.lineage.imported.as_ref().is_some_and(|imported| {
        imported.version == version.reference() && imported.registered_at == version.registered_at
    })
}

/// Tells whether the group stands for something that the version did not come before in its own group.
fn stands_for_other(group: &GroupFacts, version: &Version) -> bool {
    group.current.as_ref().is_some_and(|current| match &current.content.lineage.imported {
        Some(imported) => imported.version.group != version.group || imported.version.number >= version.number,
        None => true,
    })
}

/// It is here. One that was rejected there is rejected here, too, unless a person has decided otherwise since.
fn complete(goal: &Goal, group: &GroupFacts, version: &Version, taken: &Version) -> Answered {
    if version.approval == Approval::Rejected && taken.approval == Approval::PendingManualApproval {
        let was_current = group.current_number() == Some(taken.number);
        let reason = Reason::Rejecting { version: known(taken), leaves: None, was_current };
        let change = ApprovalChange {
            group: group.name.clone(),
            number: taken.number,
            from: taken.approval,
            to: Approval::Rejected,
            rejection: Some(version.rejection.unwrap_or(Rejection::Person)),
            reinstates: false,
            expected_current: group.current_number(),
            by: goal.by.clone(),
        };
        return (Decision::Act(vec![Step::Reject(ApprovalStep { change, artifacts: Vec::new() })]), vec![reason]);
    }
    settled(Verdict::Passed, Reason::ImportedAlready { version: version.reference(), here: known(taken) })
}
