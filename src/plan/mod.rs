//! The decision: facts in, the next steps and their reasons out. Pure, synchronous and total.
//!
//! One file for each question; this one only names the answer and asks them in order. Deliberately absent:
//! any clock, disk, network or environment, and any choice left open for `apply`.

pub mod approval;
pub mod approve;
pub mod candidate;
pub mod check;
pub mod cloud;
pub mod comparison;
pub mod elsewhere;
pub mod evidence;
pub mod freeze;
pub mod gate;
pub mod goal;
pub mod import;
pub mod next_move;
pub mod payload;
pub mod permission;
pub mod prediction;
pub mod promote;
pub mod prune;
pub mod reason;
pub mod refusal;
pub mod register;
mod review;
pub mod rollback;
pub mod route;
pub mod step;
pub mod train;
pub mod wording;

use crate::facts::Facts;
use crate::facts::GroupFacts;
use crate::model::name::ModelName;
use crate::model::name::TargetName;
use crate::model::name::TrainingName;
use crate::model::verdict::Verdict;
use crate::model::version::Version;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::goal::ModelRules;
use crate::plan::reason::Known;
use crate::plan::reason::Reason;
use crate::plan::step::Step;
use serde::Deserialize;
use serde::Serialize;

/// What should happen next for one model, and why.
#[must_use = "a plan that nobody reads explains nothing"]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelPlan {
    /// The model.
    pub model: ModelName,
    /// What to do.
    pub decision: Decision,
    /// Why, most important first.
    pub reasons: Vec<Reason>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", content = "with", rename_all = "kebab-case")]
pub enum Decision {
    /// Do these, in this order, then look again.
    Act(Vec<Step>),
    /// A training moves by itself: watch it, then look again.
    Wait(TrainingName),
    /// Nothing further can or should be done for this event.
    Settled(Verdict),
}

impl ModelPlan {
    /// Returns the steps still to do.
    pub fn steps(&self) -> &[Step] {
        match &self.decision {
            Decision::Act(steps) => steps,
            Decision::Wait(_) | Decision::Settled(_) => &[],
        }
    }
}

/// Decides what to do next for one model.
pub fn plan(goal: &Goal, rules: &ModelRules, facts: &Facts) -> ModelPlan {
    let answer = match &goal.aim {
        Aim::Train { .. } => train::plan(goal, rules, facts),
        Aim::Abandon { branch, .. } => train::plan_abandon(branch, facts),
        Aim::Promote { .. } => promote::plan(goal, rules, facts),
        Aim::PromoteByHand { .. } => promote::plan_by_hand(goal, rules, facts),
        Aim::Approve { .. } => approve::plan_approve(goal, rules, facts),
        Aim::Reject { .. } => approve::plan_reject(goal, facts),
        Aim::Rollback { .. } => rollback::plan(goal, facts),
        Aim::Freeze { .. } | Aim::Unfreeze { .. } => freeze::plan(goal, facts),
        Aim::RegisterElsewhere { .. } => elsewhere::plan(goal, rules, facts),
        Aim::Import { .. } => import::plan(goal, rules, facts),
    };
    let (decision, reasons) = answer;
    ModelPlan { model: rules.model.clone(), decision, reasons }
}

/// What each question answers with.
pub(crate) type Answered = (Decision, Vec<Reason>);

/// Settles with one reason.
pub(crate) fn settled(verdict: Verdict, reason: Reason) -> Answered {
    (Decision::Settled(verdict), vec![reason])
}

/// Names a version the way people know it.
pub(crate) fn known(version: &Version) -> Known {
    Known {
        version: version.reference(),
        semver: version.content.semver.clone(),
        commit: version.content.lineage.commit.clone(),
    }
}

/// Finds a group among the facts. `observe` reads every group that a goal can reach.
pub(crate) fn group<'a>(facts: &'a Facts, target: &TargetName) -> Result<&'a GroupFacts, Answered> {
    facts.groups.get(target).ok_or_else(|| {
        settled(Verdict::Errored, Reason::PlanBroken { what: format!("the group of target {target} was not observed") })
    })
}

/// Refuses a group that is known to belong to another repository.
pub(crate) fn refuse_foreign(facts: &Facts, group: &GroupFacts) -> Result<(), Answered> {
    match &group.owner {
        Some(owner) if owner.is_foreign_to(&facts.repository) => Err(settled(
            Verdict::Blocked,
            Reason::ForeignGroup { group: group.name.clone(), owner: owner.clone(), ours: facts.repository.clone() },
        )),
        Some(_) | None => Ok(()),
    }
}
