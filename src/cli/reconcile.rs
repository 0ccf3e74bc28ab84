//! `reconcile`: for the head of every stage branch, act as if it had just been pushed, but begin no first attempt.
//! Lower stages first, so that what one finishes the next can take.

use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::history::Attribution;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::stage::Does;
use crate::model::verdict::Verdict;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::plan::goal::Aim;
use crate::plan::goal::Task;
use crate::plan::route::Route;
use crate::plan::route::push;

/// Which heads are looked at.
pub enum Heads<'a> {
    /// Of every stage, or of one.
    All(Option<&'a StageName>),
    /// Of the stages that promote from this one.
    Above(&'a StageName),
}

/// Looks at the heads and finishes what is open there.
pub async fn heads(
    place: &Place,
    composed: &Composed,
    which: Heads<'_>,
    by: &Attribution,
    only: &[ModelName],
) -> Result<Vec<ModelOutcome>, Failure> {
    let branches = place.git.branches(place.heads()).map_err(|error| Failure::git(&error))?;
    let mut outcomes = Vec::new();
    for stage in &composed.config.stages {
        let wanted = match (&which, &stage.does) {
            (Heads::All(None), _) => true,
            (Heads::All(Some(name)), _) => *name == &stage.name,
            (Heads::Above(below), Does::Promote { from }) => from.contains(below),
            (Heads::Above(_), Does::Train { .. }) => false,
        };
        if !wanted {
            continue;
        }
        for (branch, commit) in &branches {
            if composed.config.stage_of_branch(branch).is_some_and(|found| found.name == stage.name) {
                outcomes.extend(head(composed, branch, commit, by, only).await);
            }
        }
    }
    Ok(outcomes)
}

async fn head(
    composed: &Composed,
    branch: &BranchName,
    commit: &CommitSha,
    by: &Attribution,
    only: &[ModelName],
) -> Vec<ModelOutcome> {
    let config = composed.drive.observer.config_at(commit);
    // A branch without a readable configuration has nothing open that this program began.
    let Ok(config) = config else { return Vec::new() };
    let Route::Tasks(tasks) = push(&config, branch, commit, by, 1, only) else { return Vec::new() };
    let tasks = tasks.into_iter().map(without_first_attempts).collect();
    let mut outcomes = composed.drive.run(tasks).await;
    for outcome in &mut outcomes {
        outcome.at = Some(format!("{branch} at {}", commit.short()));
    }
    outcomes
}

fn without_first_attempts(mut task: Task) -> Task {
    if let Aim::Train { may_start, .. } = &mut task.goal.aim {
        *may_start = false;
    }
    task
}

/// Joins what was found. Only what could not be looked at, or newly went wrong, is a failure of this run.
pub fn outcome(text: String, models: Vec<ModelOutcome>) -> Outcome {
    let verdict = models
        .iter()
        .filter(|model| model.verdict == Verdict::Errored || model.verdict == Verdict::Cancelled || model.wrote())
        .map(|model| model.verdict)
        .max_by_key(|verdict| verdict.badness())
        .unwrap_or(Verdict::Passed);
    let models = models.into_iter().filter(|model| model.verdict != Verdict::Skipped || model.wrote()).collect();
    Outcome { event: text, verdict, reasons: Vec::new(), models }
}
