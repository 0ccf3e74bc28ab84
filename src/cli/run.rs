//! `run`, `plan`, `train` and `reconcile`: on the push of a branch, on an event, or on every branch head.

use crate::adapters::git::ChangedFile;
use crate::adapters::git::Uncommitted;
use crate::cli::args::Format;
use crate::cli::args::RunArgs;
use crate::cli::block_on;
use crate::cli::by_hand;
use crate::cli::compose;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::notice;
use crate::cli::occasion;
use crate::cli::occasion::Occasion;
use crate::cli::occasion::Ready;
use crate::cli::occasion::Subject;
use crate::cli::print;
use crate::cli::print_json;
use crate::cli::progress::TerminalProgress;
use crate::cli::read;
use crate::cli::reconcile;
use crate::cli::reconcile::Heads;
use crate::cli::signals::Signals;
use crate::config::Config;
use crate::config::SourceText;
use crate::event::Command;
use crate::event::Event;
use crate::event::EventKind;
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
use crate::plan::reason::Reason;
use crate::plan::route;
use crate::plan::route::Route;
use crate::report;
use crate::report::json::OutcomeJson;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Whether to act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Look and say.
    Plan,
    /// Look, say and do.
    Run,
    /// A person asks for this very commit to be trained.
    Train {
        /// The reason to train it although it was trained already.
        again: Option<String>,
    },
}

/// Runs or plans.
pub fn run(directory: Option<&Path>, args: &RunArgs, mode: &Mode) -> Result<u8, Failure> {
    let place = Place::find(directory, args.event.is_some())?;
    let event = occasion::event(&place, args)?;
    match occasion::occasion(&place, args, &event)? {
        Occasion::Settled(verdict, reason) => {
            let outcome = Outcome { verdict, ..Outcome::skipped(describe(&place, &event), *reason) };
            show(args.format, &outcome, outcome.exit_code())
        }
        Occasion::Ready(ready) => {
            let Ready { subject, rules, rules_branch, settings } = *ready;
            let reaction = Reaction { place: &place, args, mode, event: &event, subject };
            reaction.run(rules, rules_branch, &settings)
        }
    }
}

/// Trains a commit by hand.
pub fn train(directory: Option<&Path>, args: &RunArgs, again: bool, reason: Option<String>) -> Result<u8, Failure> {
    run(directory, args, &Mode::Train { again: reason.filter(|_| again) })
}

/// Finishes what is open on every stage branch.
pub fn reconcile(directory: Option<&Path>, stage: Option<&str>, args: &RunArgs) -> Result<u8, Failure> {
    let place = Place::find(directory, false)?;
    let (composed, _) = read::open(&place)?;
    let stage = stage.map(|text| known_stage(&composed.config, text)).transpose()?;
    let only = compose::chosen_models(&composed.config, &args.models)?;
    block_on(async {
        let signals = Signals::listen(composed.drive.cancelled.clone());
        let by = Attribution {
            actor: place.git.user_name(),
            event: "reconcile".to_owned(),
            run_key: format!("local/{}", uuid::Uuid::new_v4()),
            ..Attribution::default()
        };
        let models = reconcile::heads(&place, &composed, Heads::All(stage.as_ref()), &by, &only).await?;
        let outcome = reconcile::outcome("reconcile".to_owned(), models);
        show(args.format, &outcome, signals.exit_code(&outcome))
    })?
}

fn known_stage(config: &Config, text: &str) -> Result<StageName, Failure> {
    StageName::parse(text).ok().filter(|name| config.stage(name).is_some()).ok_or_else(|| {
        let known: Vec<&str> = config.stages.iter().map(|stage| stage.name.as_str()).collect();
        Failure::usage(format!("there is no stage `{}`", report::terminal::plain(text)))
            .hint(format!("the stages are: {}", known.join(", ")))
    })
}

/// One event and how to react to it.
struct Reaction<'a> {
    place: &'a Place,
    args: &'a RunArgs,
    mode: &'a Mode,
    event: &'a Event,
    subject: Subject,
}

impl Reaction<'_> {
    fn run(self, rules: SourceText, rules_branch: Option<BranchName>, settings: &SourceText) -> Result<u8, Failure> {
        block_on(async {
            let cancelled = CancellationToken::new();
            let progress = Arc::new(TerminalProgress::new(true));
            let repository = compose::repository_id(self.place, &self.event.repository_id);
            let ignored = rules_branch.and_then(|branch| ignored_rules(&rules, settings, branch));
            let composed =
                compose::compose(self.place, rules, settings, repository, progress.clone(), cancelled.clone())?;
            let only = compose::chosen_models(&composed.config, &self.args.models)?;
            let signals = Signals::listen(cancelled);
            let mut outcome = self.react(&composed, &only).await?;
            outcome.reasons.extend(ignored);
            progress.finish();
            show(self.args.format, &outcome, signals.exit_code(&outcome))
        })?
    }

    async fn react(&self, composed: &Composed, only: &[ModelName]) -> Result<Outcome, Failure> {
        let by = compose::attribution(self.place, self.event, None);
        let text = describe(self.place, self.event);
        match &self.subject {
            Subject::Push => self.push(composed, &by, text, only).await,
            Subject::Deleted(branch) => self.deleted(composed, &by, text, branch, only).await,
            Subject::Heads => {
                let models = reconcile::heads(self.place, composed, Heads::All(None), &by, only).await?;
                Ok(reconcile::outcome(text, models))
            }
            Subject::ByHand(command) => self.dispatched(composed, &by, text, command, only).await,
            Subject::Prediction { base, tree } => Ok(self.predict(composed, &by, text, base, tree, only).await),
        }
    }

    async fn push(
        &self,
        composed: &Composed,
        by: &Attribution,
        text: String,
        only: &[ModelName],
    ) -> Result<Outcome, Failure> {
        let mut tasks = match route::route(&composed.config, self.event, by, only) {
            Route::Nothing(reason) => return Ok(Outcome::skipped(text, *reason)),
            Route::Tasks(tasks) => tasks,
        };
        if let Mode::Train { again: asked } = self.mode {
            for task in &mut tasks {
                match &mut task.goal.aim {
                    Aim::Train { again, by_hand, .. } => {
                        again.clone_from(asked);
                        *by_hand = true;
                    }
                    _ => {
                        return Err(Failure::usage(
                            "this branch belongs to a stage that promotes: nothing is trained there",
                        )
                        .hint("name a branch of a training stage: branchline train --branch BRANCH"));
                    }
                }
                task.goal.by.reason.clone_from(asked);
            }
        }
        if self.args.event.is_none() && !self.place.in_ci {
            say_uncommitted(self.place, &composed.config, self.event);
        }
        if *self.mode == Mode::Plan {
            return Ok(Outcome::of_models(text, composed.drive.plan(&tasks).await));
        }
        if let Some(reason) = too_many(composed, &tasks).await {
            return Ok(Outcome { verdict: Verdict::Blocked, ..Outcome::skipped(text, reason) });
        }
        let trained_in = tasks.first().and_then(|task| match &task.goal.aim {
            Aim::Train { stage, .. } => Some(stage.clone()),
            _ => None,
        });
        let mut models = composed.drive.run(tasks).await;
        // What waited above for this very result can go on now.
        let settled = models.iter().any(|model| !model.versions.is_empty());
        if let (Some(stage), true) = (trained_in, settled) {
            let above = reconcile::heads(self.place, composed, Heads::Above(&stage), by, only).await?;
            models.extend(above.into_iter().filter(ModelOutcome::wrote));
        }
        Ok(Outcome::of_models(text, models))
    }

    /// Ends the open trainings of a branch that is gone.
    async fn deleted(
        &self,
        composed: &Composed,
        by: &Attribution,
        text: String,
        branch: &BranchName,
        only: &[ModelName],
    ) -> Result<Outcome, Failure> {
        match route::deleted(&composed.config, branch, by, only) {
            Route::Nothing(reason) => Ok(Outcome::skipped(text, *reason)),
            Route::Tasks(tasks) if *self.mode == Mode::Plan => {
                Ok(Outcome::of_models(text, composed.drive.plan(&tasks).await))
            }
            Route::Tasks(tasks) => Ok(Outcome::of_models(text, composed.drive.run(tasks).await)),
        }
    }

    async fn dispatched(
        &self,
        composed: &Composed,
        by: &Attribution,
        text: String,
        command: &Command,
        only: &[ModelName],
    ) -> Result<Outcome, Failure> {
        let by = Attribution { reason: command.reason().map(|reason| reason.as_str().to_owned()), ..by.clone() };
        if let Some(resolved) = by_hand::of_command(composed, command).await? {
            let task = resolved.task(composed, by, self.event.run.attempt)?;
            let models = match self.mode {
                Mode::Plan => composed.drive.plan(std::slice::from_ref(&task)).await,
                Mode::Run | Mode::Train { .. } => composed.drive.run(vec![task]).await,
            };
            return Ok(Outcome::of_models(resolved.text().to_owned(), models));
        }
        match command {
            Command::Reconcile { stage } => {
                let models = reconcile::heads(self.place, composed, Heads::All(stage.as_ref()), &by, only).await?;
                Ok(reconcile::outcome(text, models))
            }
            Command::Run | Command::Train { .. } => self.train_dispatched(composed, &by, text, command).await,
            _ => Ok(Outcome::skipped(
                text,
                Reason::NotYet { what: format!("`{}` by dispatch", command.action().as_str()) },
            )),
        }
    }

    /// `train` and `run` by dispatch: on the branch that the person chose.
    async fn train_dispatched(
        &self,
        composed: &Composed,
        by: &Attribution,
        text: String,
        command: &Command,
    ) -> Result<Outcome, Failure> {
        let started_on = self.event.started_on.as_ref().ok_or_else(|| {
            Failure::usage("this dispatch was not started on a branch").hint("choose a branch, not a tag")
        })?;
        let commit = match command {
            Command::Train { commit: Some(text), .. } => {
                self.place.git.resolve_commit(text.as_str()).map_err(|error| Failure::git(&error))?
            }
            _ => match &started_on.sha {
                Some(sha) => sha.clone(),
                None => {
                    self.place.git.resolve_commit(started_on.branch.as_str()).map_err(|error| Failure::git(&error))?
                }
            },
        };
        let config = composed.drive.observer.config_at(&commit);
        let config = config.map_err(Failure::configuration)?;
        let (only, asked) = match command {
            Command::Train { model, again, reason, .. } => (
                model.iter().cloned().collect(),
                again.then(|| reason.as_ref().map_or_else(String::new, |reason| reason.as_str().to_owned())),
            ),
            _ => (Vec::new(), None),
        };
        match route::push(&config, &started_on.branch, &commit, by, self.event.run.attempt, &only) {
            Route::Nothing(reason) => Ok(Outcome::skipped(text, *reason)),
            Route::Tasks(mut tasks) => {
                for task in &mut tasks {
                    if let Aim::Train { again, by_hand, .. } = &mut task.goal.aim {
                        again.clone_from(&asked);
                        *by_hand = matches!(command, Command::Train { .. });
                    }
                }
                Ok(Outcome::of_models(text, composed.drive.run(tasks).await))
            }
        }
    }

    /// What merging would do: planned on the tree of the merge, and never applied.
    async fn predict(
        &self,
        composed: &Composed,
        by: &Attribution,
        text: String,
        base: &BranchName,
        tree: &CommitSha,
        only: &[ModelName],
    ) -> Outcome {
        let mut tasks = match route::push(&composed.config, base, tree, by, self.event.run.attempt, only) {
            Route::Nothing(reason) => return Outcome::skipped(text, *reason),
            Route::Tasks(tasks) => tasks,
        };
        for task in &mut tasks {
            task.goal.predicts = true;
        }
        let trains =
            composed.config.stage_of_branch(base).is_some_and(|stage| matches!(stage.does, Does::Train { .. }));
        let models = composed.drive.plan(&tasks).await;
        let mut outcome = Outcome::of_models(text, models);
        outcome.reasons.push(Reason::Predicted { base: base.clone(), trains });
        outcome
    }
}

/// Tells a pusher that the rules which their own file changes gained nothing.
fn ignored_rules(rules: &SourceText, settings: &SourceText, branch: BranchName) -> Option<Reason> {
    if rules.text == settings.text {
        return None;
    }
    let held = crate::config::load(rules, rules).ok()?;
    let own = crate::config::load(settings, settings).ok()?;
    let changes: Vec<String> = crate::config::rules_differ(&held, &own).iter().map(ToString::to_string).collect();
    (!changes.is_empty()).then_some(Reason::RulesIgnored { branch, changes })
}

/// Refuses an event that asks for more trainings than the rules allow, before the first one.
async fn too_many(composed: &Composed, tasks: &[crate::plan::goal::Task]) -> Option<Reason> {
    let allowed = composed.config.limits.max_trainings_per_event?;
    let planned = composed.drive.plan(tasks).await;
    let asked = planned.iter().flat_map(|model| &model.steps).filter(|record| record.step.kind() == "train").count();
    let asked = u32::try_from(asked).unwrap_or(u32::MAX);
    (asked > allowed).then(|| Reason::LimitReached {
        limit: "limits.max_trainings_per_event".to_owned(),
        allowed,
        asked,
    })
}

/// Prints an outcome and passes its exit code on.
pub fn show(format: Format, outcome: &Outcome, exit: u8) -> Result<u8, Failure> {
    match format {
        Format::Text => print(&report::terminal::outcome(outcome))?,
        Format::Json => print_json(&OutcomeJson::of(outcome))?,
    };
    Ok(exit)
}

/// Names changes that are not part of the run.
fn say_uncommitted(place: &Place, config: &Config, event: &Event) {
    let here = place.git.head().ok().and_then(|head| match head {
        crate::adapters::git::Head::Branch { commit, .. } => Some(commit),
        crate::adapters::git::Head::Detached { .. } | crate::adapters::git::Head::Unborn { .. } => None,
    });
    let EventKind::BranchMoved(moved) = &event.kind else { return };
    if here.as_ref() != Some(&moved.after) {
        return;
    }
    let watched: Vec<_> =
        config.models.values().flat_map(|model| model.settings.values()).map(|settings| &settings.watched).collect();
    match place.git.uncommitted(&watched) {
        Ok(Uncommitted::Clean) => {}
        Ok(Uncommitted::Changed(files)) => {
            let list: Vec<String> = files.iter().map(changed_file).collect();
            notice(&report::terminal::plain(&format!(
                "note: these changes are NOT part of this run: {}. Commit them first.",
                list.join(", ")
            )));
        }
        Ok(Uncommitted::Unknown(why)) => {
            notice(&report::terminal::plain(&format!(
                "note: cannot tell whether there are uncommitted changes: {why}"
            )));
        }
        Err(error) => notice(&format!("note: cannot tell whether there are uncommitted changes: {error}")),
    }
}

fn changed_file(file: &ChangedFile) -> String {
    match (file.added, file.removed) {
        (0, 0) => file.path.clone(),
        (added, 0) => format!("{} (+{added})", file.path),
        (0, removed) => format!("{} (-{removed})", file.path),
        (added, removed) => format!("{} (+{added} -{removed})", file.path),
    }
}

/// Says in words what happened.
pub fn describe(place: &Place, event: &Event) -> String {
    match &event.kind {
        EventKind::BranchMoved(moved) => {
            let subject = subject(place, &moved.after);
            format!("push to {} at {}{subject}", moved.branch, moved.after.short())
        }
        EventKind::BranchDeleted { branch, .. } => format!("{branch} was deleted"),
        EventKind::PullRequest(pull) => format!("pull request #{}", pull.number),
        EventKind::MergeGroup(_) => "merge queue".to_owned(),
        EventKind::ByHand(command) => format!("{} by hand", command.action().as_str()),
        EventKind::Hint(_) => "a hint from the cloud".to_owned(),
        EventKind::Tick { .. } => "schedule".to_owned(),
        EventKind::NotOurs(_) => event.name.clone(),
    }
}

fn subject(place: &Place, commit: &CommitSha) -> String {
    place.git.commit(commit).map_or_else(|_| String::new(), |info| format!(" \"{}\"", info.subject))
}
