//! Which models does an event concern, and what does it ask of each?

use crate::config::Config;
use crate::config::resolved::BackendKind;
use crate::event::Event;
use crate::event::EventKind;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::history::Attribution;
use crate::model::name::ModelName;
use crate::model::review::Review;
use crate::model::stage::Does;
use crate::plan::cloud::CloudRules;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::goal::ModelRules;
use crate::plan::goal::Task;
use crate::plan::reason::Reason;

/// What an event asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// Of each of these models, this.
    Tasks(Vec<Task>),
    /// Nothing, and why.
    Nothing(Box<Reason>),
}

/// Routes an event. `only` narrows to some models; empty means all.
pub fn route(config: &Config, event: &Event, by: &Attribution, only: &[ModelName]) -> Route {
    match &event.kind {
        EventKind::BranchMoved(moved) => push(config, &moved.branch, &moved.after, by, event.run.attempt, only),
        EventKind::BranchDeleted { branch, .. } => nothing(Reason::BranchDeleted { branch: branch.clone() }),
        EventKind::NotOurs(not_ours) => nothing(Reason::NotOurs { why: not_ours.to_string() }),
        EventKind::PullRequest(_)
        | EventKind::MergeGroup(_)
        | EventKind::ByHand(_)
        | EventKind::Hint(_)
        | EventKind::Tick { .. } => {
            nothing(Reason::NotOurs { why: format!("`{}` has no branch of its own", event.name) })
        }
    }
}

/// Routes the push of a branch: each model is trained, or promoted, as the branch's stage does.
pub fn push(
    config: &Config,
    branch: &BranchName,
    commit: &CommitSha,
    by: &Attribution,
    run_attempt: u32,
    only: &[ModelName],
) -> Route {
    let Some(stage) = config.stage_of_branch(branch) else {
        let stages = config.stages.iter().map(|stage| format!("{} ({})", stage.name, stage.branches)).collect();
        return nothing(Reason::NoStage { branch: branch.clone(), stages });
    };
    let aim = match &stage.does {
        Does::Train { .. } => Aim::Train {
            stage: stage.name.clone(),
            branch: branch.clone(),
            commit: commit.clone(),
            again: None,
            may_start: true,
            by_hand: false,
        },
        Does::Promote { .. } => Aim::Promote {
            stage: stage.name.clone(),
            branch: branch.clone(),
            commit: commit.clone(),
            review: Review::NotAsked,
        },
    };
    let tasks = config
        .models
        .keys()
        .filter(|model| only.is_empty() || only.contains(model))
        .filter_map(|model| {
            Some(Task {
                goal: Goal { aim: aim.clone(), by: by.clone(), run_attempt, predicts: false },
                rules: model_rules(config, model)?,
            })
        })
        .collect();
    Route::Tasks(tasks)
}

/// Routes the end of a branch: its open trainings are abandoned.
pub fn deleted(config: &Config, branch: &BranchName, by: &Attribution, only: &[ModelName]) -> Route {
    let gone = || nothing(Reason::BranchDeleted { branch: branch.clone() });
    let Some(stage) = config.stage_of_branch(branch) else { return gone() };
    if matches!(stage.does, Does::Promote { .. }) {
        return gone();
    }
    let aim = Aim::Abandon { stage: stage.name.clone(), branch: branch.clone() };
    let tasks = config
        .models
        .keys()
        .filter(|model| only.is_empty() || only.contains(model))
        .filter_map(|model| {
            let goal = Goal { aim: aim.clone(), by: by.clone(), run_attempt: 1, predicts: false };
            Some(Task { goal, rules: model_rules(config, model)? })
        })
        .collect();
    Route::Tasks(tasks)
}

/// Takes the rules of one model out of the configuration.
pub fn model_rules(config: &Config, model: &ModelName) -> Option<ModelRules> {
    let found = config.models.get(model)?;
    Some(ModelRules {
        project: config.project.clone(),
        model: model.clone(),
        stages: config.stages.clone(),
        groups: found.groups.clone(),
        gates: found.gates.clone(),
        max_attempts: found.max_attempts,
        max_auto_retries: found.max_auto_retries,
        max_runtime: config.limits.max_runtime,
        require_review: config.require_review,
        cloud: (config.backend.trainer == BackendKind::Cloud).then(|| CloudRules {
            limits: config.cloud_limits.clone(),
            unkeyed: config
                .training_stages()
                .filter(|stage| config.account_of(&stage.name).is_none_or(|place| place.kms_key.is_none()))
                .map(|stage| stage.name.clone())
                .collect(),
        }),
    })
}

fn nothing(reason: Reason) -> Route {
    Route::Nothing(Box::new(reason))
}
