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
use crate::model::training::TrainingOrigin;
use crate::model::training::TrainingState;
use crate::model::verdict::Verdict;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::plan::goal::Aim;
use crate::plan::goal::Task;
use crate::plan::reason::Reason;
use crate::plan::route::Route;
use crate::plan::route::push;
use crate::ports::PortError;
use jiff::SignedDuration;

/// How long ago a training may have ended that a run left behind. Longer than a check may stay open on GitHub.
const LEFT_BEHIND: SignedDuration = SignedDuration::from_hours(14 * 24);

/// How many of those that ended without a result are looked after, newest first: each costs a request to the host.
const MOST_ENDED: usize = 20;

/// Which heads are looked at.
pub enum Heads<'a> {
    /// Of every stage, or of one.
    All(Option<&'a StageName>),
    /// Of the stages that promote from this one.
    Above(&'a StageName),
}

/// What came of one branch head, or of a commit that is no head any more.
pub struct HeadOutcome {
    /// The branch.
    pub branch: BranchName,
    /// Its head, or what was its head when a training run began.
    pub commit: CommitSha,
    /// Its models.
    pub models: Vec<ModelOutcome>,
    /// Our report on the commit says that something goes on, and nothing does.
    left_open: bool,
}

/// A training run of a commit that is no head any more, whose end no run has dealt with.
struct LeftBehind {
    origin: TrainingOrigin,
    /// Whether a look at the commit can still register its result.
    may_register: bool,
    /// Whether its branch is gone.
    branch_gone: bool,
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
                    "this job may not assume the role of the stage {name}: what is open there is left to \
                     `branchline reconcile --stage {name}` where it may"
                ));
            }
            continue;
        }
        for (branch, commit) in &branches {
            if composed.config.stage_of_branch(branch).is_some_and(|found| found.name == stage.name) {
                let models = head(host, composed, &mut begun, branch, commit, by, only).await;
                let (branch, commit) = (branch.clone(), commit.clone());
                outcomes.push(HeadOutcome { branch, commit, models, left_open: false });
            }
        }
        let of_stage = |left: &&LeftBehind| left.origin.stage == stage.name;
        let asked = |left: &&LeftBehind| only.is_empty() || only.contains(&left.origin.model);
        for left in left.iter().filter(of_stage).filter(asked) {
            outcomes.extend(left_commit(host, composed, &mut begun, by, left).await);
        }
    }
    Ok(outcomes)
}

/// Deals with what a run left behind: registers its result, or at least ends the report that says it goes on.
async fn left_commit(
    host: &Host,
    composed: &Composed,
    begun: &mut Begun,
    by: &Attribution,
    left: &LeftBehind,
) -> Option<HeadOutcome> {
    let TrainingOrigin { branch, commit, model, .. } = &left.origin;
    let of = |models, left_open| HeadOutcome { branch: branch.clone(), commit: commit.clone(), models, left_open };
    let is_open = async || match host.is_open(&composed.config, commit).await {
        Ok(open) => open,
        Err(error) => {
            host.warn_of(&error);
            false
        }
    };
    if !left.may_register && !is_open().await {
        return None;
    }
    if left.branch_gone {
        let reasons = vec![Reason::BranchDeleted { branch: branch.clone() }];
        let at = Some(format!("{branch} at {}", commit.short()));
        return Some(of(vec![ModelOutcome { reasons, at, ..ModelOutcome::nothing(model.clone()) }], true));
    }
    let mut models = head(host, composed, begun, branch, commit, by, std::slice::from_ref(model)).await;
    let tells = |model: &ModelOutcome| model.wrote() || model.verdict == Verdict::Errored;
    let goes_on = models.iter().any(|model| model.verdict == Verdict::Waiting);
    // One that says no said so when its own run, or an earlier look, settled it: unless nobody did.
    let left_open = !goes_on && !models.iter().any(tells) && (!left.may_register || is_open().await);
    if !left_open {
        models.retain(tells);
    }
    Some(of(models, left_open))
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

/// Training runs of commits that are no head any more, and whose result nobody has registered: the run that began them
/// left, and no later push asks for them.
async fn left_behind(composed: &Composed, branches: &[(BranchName, CommitSha)]) -> Result<Vec<LeftBehind>, PortError> {
    let (config, ports) = (&composed.config, &composed.drive.ports);
    let since = ports.clock.now() - LEFT_BEHIND;
    let mut trainings = ports.trainer.open(&config.project).await?;
    let mut ended = ports.trainer.ended_since(&config.project, since).await?;
    ended.sort_by_key(|training| std::cmp::Reverse(training.ended_at));
    trainings.extend(ended);
    let mut left: Vec<LeftBehind> = Vec::new();
    let mut without_result = 0;
    for training in &trainings {
        let origin = &training.origin;
        let head = branches.iter().find(|(branch, _)| branch == &origin.branch);
        let is_head = head.is_some_and(|(_, commit)| commit == &origin.commit);
        let known = left.iter().any(|known| known.origin.commit == origin.commit && known.origin.model == origin.model);
        let Some(stage) = config.stage(&origin.stage).filter(|_| !is_head && !known) else { continue };
        let branch_gone = head.is_none();
        let ended_badly = matches!(training.state, TrainingState::Failed { .. } | TrainingState::Stopped { .. });
        if branch_gone || ended_badly {
            // Nothing comes of it any more: there may only be a report to end.
            if !training.is_open() && without_result < MOST_ENDED {
                without_result += 1;
                left.push(LeftBehind { origin: origin.clone(), may_register: false, branch_gone });
            }
            continue;
        }
        let look = GroupLook { fingerprint: Some(origin.fingerprint.clone()), ..GroupLook::default() };
        let mut registered = false;
        for target in stage.groups.keys() {
            if let Some(group) = config.group(&origin.model, target) {
                registered |= !ports.registry.look(group, &look).await?.matching.is_empty();
            }
        }
        if !registered {
            left.push(LeftBehind { origin: origin.clone(), may_register: true, branch_gone });
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
    let config = match config {
        Ok(config) => config,
        // A branch without a readable configuration has nothing open that this program began.
        Err(why) => {
            let git = composed.drive.observer.git();
            if !matches!(crate::observe::read_config(git, commit), Ok(None)) {
                let why = why.lines().next().unwrap_or_default();
                host.warn(&format!("{branch} at {} was skipped: {why}", commit.short()));
            }
            return Vec::new();
        }
    };
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
    // What a branch itself holds wrong is said to whoever pushes there, and fails nobody else's run.
    outcomes.retain(|outcome| match unusable(outcome) {
        Some(why) => {
            host.warn(&format!("{} of {branch} at {} was skipped: {why}", outcome.model, commit.short()));
            false
        }
        None => true,
    });
    for outcome in &mut outcomes {
        outcome.at = Some(format!("{branch} at {}", commit.short()));
    }
    outcomes
}

/// Why the commit itself cannot be judged, where nothing was done about it.
fn unusable(outcome: &ModelOutcome) -> Option<String> {
    let of_the_commit = |reason: &&Reason| {
        matches!(
            reason,
            Reason::MissingPaths { .. }
                | Reason::NoSuchModel { .. }
                | Reason::Unreadable { .. }
                | Reason::CommandFileUnusable { .. }
        )
    };
    let untouched = outcome.verdict == Verdict::Errored && !outcome.wrote();
    outcome.reasons.iter().find(of_the_commit).filter(|_| untouched).map(Reason::message)
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
    if head.left_open || head.models.iter().any(ModelOutcome::wrote) {
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
    let models = models
        .into_iter()
        .filter(|model| model.verdict != Verdict::Skipped || model.wrote() || is_behind(model))
        .collect();
    Outcome { event: text, verdict, reasons: Vec::new(), models, after_merge: None }
}

/// Tells whether new data wait for somebody to train on them: nothing else would say so.
fn is_behind(model: &ModelOutcome) -> bool {
    model.reasons.iter().any(|reason| matches!(reason, Reason::DataBehind(_)))
}
