//! The checker: rules that every plan keeps, whatever the facts. Used before apply, and by the tests.
//!
//! It repeats on purpose what the deciding code should already guarantee, from the other side.

use crate::facts::Facts;
use crate::model::approval::Approval;
use crate::model::approval::ApprovalRule;
use crate::model::name::GroupName;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use crate::model::verdict::Verdict;
use crate::plan::Decision;
use crate::plan::ModelPlan;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::goal::ModelRules;
use crate::plan::step::Step;
use std::collections::BTreeSet;

/// Returns every rule that the plan breaks, as sentences.
pub fn check(goal: &Goal, rules: &ModelRules, facts: &Facts, plan: &ModelPlan) -> Vec<String> {
    let mut broken = Vec::new();
    if plan.reasons.is_empty() {
        broken.push("a plan gives at least one reason".to_owned());
    }
    match &plan.decision {
        Decision::Act(steps) => check_steps(goal, rules, facts, steps, &mut broken),
        Decision::Wait(training) => {
            if !facts.trainings.iter().any(|t| &t.name == training && t.is_running()) {
                broken.push(format!("{training} is waited for, but does not run"));
            }
        }
        Decision::Settled(Verdict::Cancelled) => broken.push("a plan does not cancel".to_owned()),
        Decision::Settled(_) => {}
    }
    broken
}

fn check_steps(goal: &Goal, rules: &ModelRules, facts: &Facts, steps: &[Step], broken: &mut Vec<String>) {
    if steps.is_empty() {
        broken.push("acting means at least one step".to_owned());
    }
    let stage = goal.aim.stage().and_then(|name| rules.stage(name));
    let trains = stage.is_some_and(|stage| matches!(stage.does, Does::Train { .. }));
    let reach = reachable_groups(goal, rules, stage);
    let mut registered: BTreeSet<&GroupName> = BTreeSet::new();
    let mut copied: BTreeSet<&GroupName> = BTreeSet::new();
    for step in steps {
        if matches!(step, Step::Train(_) | Step::Stop(_)) && !trains {
            broken.push(format!("`{}` outside a training stage", step.kind()));
        }
        if let Some(group) = step.group() {
            if !reach.contains(group) {
                broken.push(format!("`{}` writes to {group}, which this goal does not reach", step.kind()));
            }
            let seen = facts.groups.values().find(|seen| &seen.name == group);
            match seen {
                None => broken.push(format!("`{}` writes to {group}, which was not observed", step.kind())),
                Some(seen) => {
                    if seen.owner.as_ref().is_some_and(|owner| owner.is_foreign_to(&facts.repository)) {
                        broken.push(format!("`{}` writes to a group of another repository", step.kind()));
                    }
                    if seen.frozen.is_some() && !goal.aim.is_by_hand() {
                        broken.push(format!("`{}` changes the frozen {group} automatically", step.kind()));
                    }
                }
            }
        }
        match step {
            Step::Copy(copy) => {
                if !registered.is_empty() {
                    broken.push("every copy comes before any registration".to_owned());
                }
                if copy.artifacts.is_empty() {
                    broken.push("a copy moves at least one artifact".to_owned());
                }
                copied.insert(&copy.to.group);
            }
            Step::Register(register) | Step::Promote(register) => {
                if !copied.contains(&register.registration.group) {
                    broken.push(format!("`{}` before its artifacts were copied", step.kind()));
                }
                check_registration(goal, rules, step, &mut registered, broken);
            }
            Step::Restore(restore) => {
                if restore.registration.content.restores.is_none() {
                    broken.push("a restore names the version that it restores".to_owned());
                }
                check_registration(goal, rules, step, &mut registered, broken);
            }
            Step::Reinstate(reinstate) => {
                if !reinstate.change.reinstates || reinstate.change.from != Approval::PendingManualApproval {
                    broken.push("only a pending version is reinstated".to_owned());
                }
                if reinstate.change.to == Approval::Approved && !enters_approved(rules, &reinstate.change.group) {
                    broken
                        .push(format!("{} is reinstated as approved, but its rule is manual", reinstate.change.group));
                }
            }
            Step::Approve(approve) => {
                if !goal.aim.is_by_hand() {
                    broken.push("only a person approves a version that exists".to_owned());
                }
                if approve.change.to != Approval::Approved {
                    broken.push("an approval approves".to_owned());
                }
            }
            Step::Reject(reject) => {
                if !goal.aim.is_by_hand() {
                    broken.push("only a person rejects".to_owned());
                }
                if reject.change.to != Approval::Rejected || reject.change.rejection.is_none() {
                    broken.push("a rejection rejects, and says what kind it is".to_owned());
                }
            }
            Step::Freeze(_) | Step::Unfreeze(_) => {
                if !goal.aim.is_by_hand() {
                    broken.push("only a person freezes or unfreezes".to_owned());
                }
            }
            Step::Train(_) | Step::Stop(_) => {}
        }
    }
}

fn check_registration<'a>(
    goal: &Goal,
    rules: &ModelRules,
    step: &'a Step,
    registered: &mut BTreeSet<&'a GroupName>,
    broken: &mut Vec<String>,
) {
    let Some(registration) = step.registration() else { return };
    if !registered.insert(&registration.group) {
        broken.push(format!("{} gets two versions in one plan", registration.group));
    }
    let by_rollback = matches!(goal.aim, Aim::Rollback { .. });
    // What is imported may stay approved where it was, and nowhere else.
    let stays_approved = matches!(&goal.aim, Aim::Import { version, .. } if version.approval == Approval::Approved);
    let may_enter_approved = enters_approved(rules, &registration.group) || by_rollback;
    let may_enter_approved = if matches!(goal.aim, Aim::Import { .. }) { stays_approved } else { may_enter_approved };
    if registration.approval == Approval::Approved && !may_enter_approved {
        broken.push(format!("a version enters {} approved, but its rule is manual", registration.group));
    }
    if registration.superseded && registration.approval == Approval::Approved {
        broken.push("a superseded version enters approved".to_owned());
    }
    let restores_theirs = matches!(step, Step::Restore(_)) && registration.content.can_be_registered_again();
    if registration.content.artifacts.is_empty() && !restores_theirs {
        broken.push("a version has at least one artifact".to_owned());
    }
    if matches!(goal.aim, Aim::Promote { .. }) && matches!(step, Step::Register(_)) {
        broken.push("a promoting stage registers a training".to_owned());
    }
    if let Aim::RegisterElsewhere { target, .. } = &goal.aim
        && !rules.stage_of_target(target).is_some_and(|stage| matches!(stage.does, Does::Train { .. }))
    {
        broken.push("an externally trained model enters a group that only promotion feeds".to_owned());
    }
}

/// Tells whether the rule of a group approves what enters it.
fn enters_approved(rules: &ModelRules, group: &GroupName) -> bool {
    let rule = rules
        .groups
        .iter()
        .find(|(_, name)| *name == group)
        .and_then(|(target, _)| rules.stage_of_target(target)?.groups.get(target).copied());
    rule == Some(ApprovalRule::Auto)
}

/// The groups that a goal may write to.
fn reachable_groups(goal: &Goal, rules: &ModelRules, stage: Option<&Stage>) -> BTreeSet<GroupName> {
    let targets: Vec<_> = match &goal.aim {
        Aim::Train { .. } | Aim::Promote { .. } | Aim::Abandon { .. } => {
            stage.map(|stage| stage.groups.keys().collect()).unwrap_or_default()
        }
        Aim::PromoteByHand { to, .. } => vec![to],
        Aim::Approve { target, .. }
        | Aim::Reject { target, .. }
        | Aim::Rollback { target, .. }
        | Aim::Freeze { target }
        | Aim::Unfreeze { target }
        | Aim::RegisterElsewhere { target, .. } => vec![target],
        Aim::Import { to, .. } => vec![to],
    };
    targets.into_iter().filter_map(|target| rules.groups.get(target).cloned()).collect()
}
