//! `reconcile`: for the head of every stage branch, act as if it had just been pushed, but begin no first attempt.
//! Lower stages first, so that what one finishes the next can take.

use crate::cli::backend::Backend;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::host::About;
use crate::cli::host::Host;
use crate::cli::limits::Begun;
use crate::cli::pull_request;
use crate::drive::port_failed;
use crate::facts::group::GroupLook;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::history::Attribution;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use crate::model::training::Training;
use crate::model::training::TrainingOrigin;
use crate::model::verdict::Verdict;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::plan::goal::Aim;
use crate::plan::goal::Task;
use crate::plan::route::Route;
use crate::plan::route::push;
use crate::ports::PortError;
use jiff::SignedDuration;

/// How long ago a training may have ended that a run left behind. Longer than a check may stay open on GitHub.
const LEFT_BEHIND: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Which heads are looked at.
pub enum Heads<'a> {
    /// Of every stage, or of one.
    All(Option<&'a StageName>),
    /// Of the stages that promote from this one.
    Above(&'a StageName),
}

/// What came of one branch head.
pub struct HeadOutcome {
    /// The branch.
    pub branch: BranchName,
    /// Its head.
    pub commit: CommitSha,
    /// Its models.
    pub models: Vec<ModelOutcome>,
}

/// Looks at the heads and finishes what is open there.
pub async fn heads(
    place: &Place,
    host: &Host,
    composed: &Composed,
    which: Heads<'_>,
    by: &Attribution,
    only: &[ModelName],
) -> Result<Vec<HeadOutcome>, Failure> {
    let branches = place.branches().map_err(|error| Failure::git(&error))?;
    let mut begun = Begun::default();
    let left = match which {
        Heads::All(_) => left_behind(composed, &branches).await.map_err(|error| Failure::port(&error))?,
        Heads::Above(_) => Vec::new(),
    };
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
        if !matches!(which, Heads::All(Some(_))) && !may_act_for(composed, stage).await? {
            if matches!(which, Heads::All(_)) {
                let name = &stage.name;
                host.warn(&format!(
                    "this job may not take on the role of the stage {name}: what is open there is left to \
                     `branchline reconcile --stage {name}` where it may"
                ));
            }
            continue;
        }
        for (branch, commit) in &branches {
            if composed.config.stage_of_branch(branch).is_some_and(|found| found.name == stage.name) {
                let models = head(host, composed, &mut begun, branch, commit, by, only).await;
                outcomes.push(HeadOutcome { branch: branch.clone(), commit: commit.clone(), models });
            }
        }
        let of_stage = |origin: &&TrainingOrigin| origin.stage == stage.name;
        let asked = |origin: &&TrainingOrigin| only.is_empty() || only.contains(&origin.model);
        for TrainingOrigin { branch, commit, model, .. } in left.iter().filter(of_stage).filter(asked) {
            let only = std::slice::from_ref(model);
            let models = head(host, composed, &mut begun, branch, commit, by, only).await;
            // One that says no said so when its own run, or an earlier look, settled it.
            let models =
                models.into_iter().filter(|model| model.wrote() || model.verdict == Verdict::Errored).collect();
            outcomes.push(HeadOutcome { branch: branch.clone(), commit: commit.clone(), models });
        }
    }
    Ok(outcomes)
}

/// Tells whether this run may change what a stage keeps. One that lives with all others may be acted for, unless this
/// job was given the role that only reads there.
pub(super) async fn may_act_for(composed: &Composed, stage: &Stage) -> Result<bool, Failure> {
    match &composed.accounts {
        Some(accounts) => {
            let has_reader = accounts.of_stage(&stage.name).place.read_role_arn.is_some();
            if !has_reader && !composed.config.accounts.contains_key(&stage.name) {
                return Ok(true);
            }
            Backend::may_act_for(accounts, stage).await.map_err(|error| Failure::port(&error))
        }
        None => Ok(true),
    }
}

/// Trainings of commits that are no head any more, whose result nobody has registered: the run that began them
/// left, and no later push asks for them.
async fn left_behind(
    composed: &Composed,
    branches: &[(BranchName, CommitSha)],
) -> Result<Vec<TrainingOrigin>, PortError> {
    let (config, ports) = (&composed.config, &composed.drive.ports);
    let since = ports.clock.now() - LEFT_BEHIND;
    let mut trainings = ports.trainer.open(&config.project).await?;
    trainings.extend(ports.trainer.succeeded_since(&config.project, since).await?);
    let mut left: Vec<TrainingOrigin> = Vec::new();
    for Training { origin, .. } in trainings {
        let moved = branches.iter().any(|(branch, commit)| branch == &origin.branch && commit != &origin.commit);
        let known = left.iter().any(|known| known.commit == origin.commit && known.model == origin.model);
        let Some(stage) = config.stage(&origin.stage).filter(|_| moved && !known) else { continue };
        let look = GroupLook { fingerprint: Some(origin.fingerprint.clone()), ..GroupLook::default() };
        let mut registered = false;
        for target in stage.groups.keys() {
            if let Some(group) = config.group(&origin.model, target) {
                registered |= !ports.registry.look(group, &look).await?.matching.is_empty();
            }
        }
        if !registered {
            left.push(origin);
        }
    }
    Ok(left)
}

async fn head(
    host: &Host,
    composed: &Composed,
    begun: &mut Begun,
    branch: &BranchName,
    commit: &CommitSha,
    by: &Attribution,
    only: &[ModelName],
) -> Vec<ModelOutcome> {
    let config = composed.drive.observer.config_at(commit);
    // A branch without a readable configuration has nothing open that this program began.
    let Ok(config) = config else { return Vec::new() };
    let Route::Tasks(tasks) = push(&config, branch, commit, by, 1, only) else { return Vec::new() };
    let mut tasks: Vec<Task> = tasks.into_iter().map(without_first_attempts).collect();
    let refused = begun.admit(&config, &composed.drive, &mut tasks).await;
    let mut outcomes = match host.bind_reviews(&config, branch, commit, &mut tasks).await {
        Ok(()) => composed.drive.run(tasks).await,
        Err(error) => {
            let errored = |task: &Task| ModelOutcome {
                verdict: Verdict::Errored,
                reasons: vec![port_failed(&error)],
                ..ModelOutcome::nothing(task.rules.model.clone())
            };
            tasks.iter().map(errored).collect()
        }
    };
    outcomes.extend(refused);
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

/// Completes the checks of the commits that something was settled for, and brings their pull requests up to date.
pub async fn publish(place: &Place, host: &Host, composed: &Composed, by: &Attribution, heads: &[HeadOutcome]) {
    for head in heads {
        if !is_news(host, composed, head).await {
            continue;
        }
        let text = format!("{} at {}", head.branch, head.commit.short());
        let outcome = Outcome::of_models(text, head.models.clone());
        let about = About {
            commit: Some(head.commit.clone()),
            base: Some(head.branch.clone()),
            actor: by.actor.clone(),
            ..About::default()
        };
        host.publish(Some(&composed.config), &outcome, &about).await;
        pull_request::refresh(place, host, composed, by, &head.branch, &head.commit).await;
    }
}

/// Tells whether something is to be told of a head: something was done, or it was settled without a step (its
/// training failed, or a run died before its report) while our report says that it goes on.
async fn is_news(host: &Host, composed: &Composed, head: &HeadOutcome) -> bool {
    if head.models.iter().any(ModelOutcome::wrote) {
        return true;
    }
    let ended = |model: &ModelOutcome| !matches!(model.verdict, Verdict::Waiting | Verdict::Skipped);
    if head.models.is_empty() || !head.models.iter().all(ended) {
        return false;
    }
    match host.is_open(&composed.config, &head.commit).await {
        Ok(open) => open,
        Err(error) => {
            host.warn_of(&error);
            false
        }
    }
}

/// Joins what was found. Only what could not be looked at, or newly went wrong, is a failure of this run.
pub fn outcome(text: String, heads: Vec<HeadOutcome>) -> Outcome {
    let models: Vec<ModelOutcome> = heads.into_iter().flat_map(|head| head.models).collect();
    let verdict = models
        .iter()
        .filter(|model| model.verdict == Verdict::Errored || model.verdict == Verdict::Cancelled || model.wrote())
        .map(|model| model.verdict)
        .max_by_key(|verdict| verdict.badness())
        .unwrap_or(Verdict::Passed);
    let models = models.into_iter().filter(|model| model.verdict != Verdict::Skipped || model.wrote()).collect();
    Outcome { event: text, verdict, reasons: Vec::new(), models, after_merge: None }
}
