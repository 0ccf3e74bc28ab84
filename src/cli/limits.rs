//! Limits on a whole event: how many trainings it may begin, and how many machine hours they may take in all.
//!
//! One model knows only itself, so these are judged here, where all plans of an event lie side by side.

use crate::config::Config;
use crate::config::resolved::BackendKind;
use crate::drive::Drive;
use crate::model::verdict::Verdict;
use crate::outcome::ModelOutcome;
use crate::plan::cloud::machine_seconds;
use crate::plan::goal::Task;
use crate::plan::reason::Reason;
use crate::plan::step::Step;
use crate::plan::step::TrainStep;

/// Tells whether anything is limited: only then all models are planned before the first one runs.
fn has_any(config: &Config) -> bool {
    config.limits.max_trainings_per_event.is_some() || max_hours(config).is_some()
}

/// Refuses tasks that would begin more than the rules allow, before the first one.
pub(super) async fn refused(config: &Config, drive: &Drive, tasks: &[Task]) -> Option<Reason> {
    if !has_any(config) {
        return None;
    }
    too_many(config, &drive.plan(tasks).await)
}

/// What an event that looks at several branch heads has begun so far: the limits are the event's, not a head's.
#[derive(Default)]
pub(super) struct Begun {
    planned: Vec<ModelOutcome>,
}

impl Begun {
    /// Takes those tasks out that would begin more than the rules allow, each with its refusal.
    pub(super) async fn admit(&mut self, config: &Config, drive: &Drive, tasks: &mut Vec<Task>) -> Vec<ModelOutcome> {
        if !has_any(config) {
            return Vec::new();
        }
        let mut refused = Vec::new();
        for task in std::mem::take(tasks) {
            let planned = drive.plan(std::slice::from_ref(&task)).await;
            let begins =
                planned.iter().flat_map(|model| &model.steps).any(|record| matches!(record.step, Step::Train(_)));
            if !begins {
                tasks.push(task);
                continue;
            }
            let before = self.planned.len();
            self.planned.extend(planned);
            match too_many(config, &self.planned) {
                Some(reason) => {
                    self.planned.truncate(before);
                    let nothing = ModelOutcome::nothing(task.rules.model.clone());
                    refused.push(ModelOutcome { verdict: Verdict::Blocked, reasons: vec![reason], ..nothing });
                }
                None => tasks.push(task),
            }
        }
        refused
    }
}

/// Says of what is planned what its run would be told: none of it would be started.
pub(super) fn planned(config: &Config, mut models: Vec<ModelOutcome>) -> Vec<ModelOutcome> {
    let Some(reason) = too_many(config, &models) else { return models };
    for model in models.iter_mut().filter(|model| !model.steps.is_empty()) {
        model.verdict = Verdict::Blocked;
        model.reasons.insert(0, reason.clone());
    }
    models
}

/// Returns how many machine hours one event may ask for: only where a training is charged for.
fn max_hours(config: &Config) -> Option<u64> {
    config.cloud_limits.max_hours.filter(|_| config.backend.trainer == BackendKind::Cloud)
}

/// Refuses an event that asks for more trainings than the rules allow, before the first one.
fn too_many(config: &Config, planned: &[ModelOutcome]) -> Option<Reason> {
    let hours = max_hours(config);
    let trainings = config.limits.max_trainings_per_event;
    let begun: Vec<&TrainStep> = planned
        .iter()
        .flat_map(|model| &model.steps)
        .filter_map(|record| match &record.step {
            Step::Train(step) => Some(step),
            _ => None,
        })
        .collect();
    let bounded = |limit: &str, asked: u64, allowed: u64| {
        let number = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let (allowed_in_all, asked_in_all) = (number(allowed), number(asked));
        (asked > allowed).then(|| Reason::LimitReached {
            limit: limit.to_owned(),
            allowed: allowed_in_all,
            asked: asked_in_all,
        })
    };
    let count = u64::try_from(begun.len()).unwrap_or(u64::MAX);
    let seconds: u64 = begun.iter().map(|step| machine_seconds_of(config, step)).sum();
    trainings
        .and_then(|allowed| bounded("limits.max_trainings_per_event", count, u64::from(allowed)))
        .or_else(|| hours.and_then(|allowed| bounded("limits.max_hours", seconds.div_ceil(3600), allowed)))
}

/// Returns the machine seconds that a training may take at most.
fn machine_seconds_of(config: &Config, step: &TrainStep) -> u64 {
    let settings = config.model(&step.origin.model).and_then(|model| model.settings.get(&step.origin.stage));
    settings.map_or(0, |settings| {
        let count = settings.cloud.instance.as_ref().map_or(1, |instance| instance.count);
        machine_seconds(count, settings.max_runtime)
    })
}
