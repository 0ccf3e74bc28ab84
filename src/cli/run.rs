//! `run`, `plan`, `train` and `reconcile`: on the push of a branch, on an event, or on every branch head.

use crate::adapters::git::ChangedFile;
use crate::adapters::git::GitRepository;
use crate::adapters::git::Head;
use crate::adapters::git::Uncommitted;
use crate::cli::args::OutcomeFormat;
use crate::cli::args::RunArgs;
use crate::cli::block_on;
use crate::cli::caller::Caller;
use crate::cli::compose;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::compose::names_rules;
use crate::cli::failure::Failure;
use crate::cli::host::About;
use crate::cli::host::Host;
use crate::cli::limits;
use crate::cli::notice;
use crate::cli::occasion;
use crate::cli::occasion::Occasion;
use crate::cli::occasion::Ready;
use crate::cli::occasion::Subject;
use crate::cli::predict::Answer;
use crate::cli::predict::Question;
use crate::cli::print;
use crate::cli::print_json;
use crate::cli::pull_request;
use crate::cli::read;
use crate::cli::reconcile;
use crate::cli::reconcile::Heads;
use crate::cli::signals::Signals;
use crate::cli::state_directory;
use crate::config::Config;
use crate::config::SourceText;
use crate::drive::port_failed;
use crate::event::Action;
use crate::event::Command;
use crate::event::Event;
use crate::event::EventKind;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::history::Attribution;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::verdict::Verdict;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::plan::goal::Aim;
use crate::plan::permission::Request;
use crate::plan::reason::Reason;
use crate::plan::route;
use crate::plan::route::Route;
use crate::report;
use crate::report::json::OutcomeJson;
use crate::report::markdown::Context;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a look at uncommitted changes may take: it is only for a note.
const UNCOMMITTED_PATIENCE: Duration = Duration::from_secs(10);

/// How many uncommitted files the note names.
const UNCOMMITTED_SHOWN: usize = 20;

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

fn in_ci(args: &RunArgs) -> bool {
    args.event.is_some() || names_rules(args.default_branch.as_ref())
}

/// Runs or plans.
pub fn run(directory: Option<&Path>, args: &RunArgs, mode: &Mode) -> Result<u8, Failure> {
    block_on(async {
        let mut place = Place::find(directory, in_ci(args)).inspect_err(Host::tell_of_failure)?;
        let event = occasion::event(&place, args).inspect_err(Host::tell_of_failure)?;
        place.prepare_for(&event, *mode != Mode::Plan);
        let host = Host::of(&event, place.home.clone(), args.format != OutcomeFormat::Text).await;
        let done = react(&place, &host, args, mode, &event).await;
        if let Err(failure) = &done {
            host.report_failure(failure, &about(&event, args)).await;
        }
        done
    })?
}

async fn react(place: &Place, host: &Host, args: &RunArgs, mode: &Mode, event: &Event) -> Result<u8, Failure> {
    match occasion::occasion(place, host, args, event).await? {
        Occasion::Settled(verdict, reason) => {
            let concerns = !matches!(*reason, Reason::NotOurs { .. });
            let outcome = Outcome { verdict, ..Outcome::skipped(describe(place, event, args.into.as_ref()), *reason) };
            let about = about(event, args);
            if *mode == Mode::Run && concerns && about.pull_request.is_some() {
                host.publish(None, &outcome, &about).await;
            }
            let exit = outcome.exit_code();
            host.tell_step(None, &outcome, exit, &about);
            show_on(host, args.format, &outcome, exit, &about)
        }
        Occasion::Ready(ready) => {
            let Ready { subject, rules, rules_branch, backend_rules, settings, first_rules } = *ready;
            let files = Files { rules, rules_branch, backend_rules, settings };
            Reaction { place, host, args, mode, event, subject, first_rules }.run(files).await
        }
    }
}

/// Trains a commit manually.
pub fn train(directory: Option<&Path>, args: &RunArgs, again: bool, reason: Option<String>) -> Result<u8, Failure> {
    run(directory, args, &Mode::Train { again: reason.filter(|_| again) })
}

/// Finishes what is open on every stage branch.
pub fn reconcile(directory: Option<&Path>, stage: Option<&str>, args: &RunArgs) -> Result<u8, Failure> {
    block_on(async {
        let place = Place::find(directory, in_ci(args))?;
        let caller = Caller::find(&place, &args.caller(), args.format != OutcomeFormat::Text).await?;
        let host = &caller.host;
        let (composed, _) = read::open_to_act(&place, &caller).await?;
        let stage = stage.map(|text| known_stage(&composed.config, text)).transpose()?;
        let only = compose::chosen_models(&composed.config, &args.models)?;
        state_directory::refuse_short_lived(&place, &composed.config)?;
        let request = Request::of(Action::Reconcile);
        if let Some(refused) = caller.refusal(&place, &composed.config, &request, None, "reconcile").await {
            let exit = refused.exit_code();
            host.tell_step(Some(&composed.config), &refused, exit, &About::default());
            return show_on(host, args.format, &refused, exit, &About::default());
        }
        let signals = Signals::listen(composed.drive.cancelled.clone());
        let by = caller.attribution(&place, "reconcile", None);
        let heads = reconcile::heads(&place, host, &composed, Heads::All(stage.as_ref()), &by, &only).await?;
        reconcile::publish(&place, host, &composed, &by, &heads).await;
        let outcome = reconcile::outcome("reconcile".to_owned(), heads);
        let exit = signals.exit_code(&outcome);
        host.tell_step(Some(&composed.config), &outcome, exit, &About::default());
        show_on(host, args.format, &outcome, exit, &About::default())
    })?
}

/// What the reports of an event are about.
fn about(event: &Event, args: &RunArgs) -> About {
    let about = About {
        commit: event.reported_commit().cloned(),
        actor: event.acted_by().map(str::to_owned),
        ..About::default()
    };
    match &event.kind {
        EventKind::PullRequest(pull) => About {
            pull_request: Some(pull.number),
            base: Some(pull.base.branch.clone()),
            head: Some(pull.head.branch.clone()),
            ..about
        },
        EventKind::BranchMoved(moved) => match &args.into {
            Some(base) => About { base: Some(base.clone()), head: Some(moved.branch.clone()), ..about },
            None => About { base: Some(moved.branch.clone()), ..about },
        },
        EventKind::MergeGroup(group) => About { base: Some(group.base_branch.clone()), ..about },
        EventKind::ByHand(Command::Run | Command::Train { commit: None, .. }) => about,
        // These are about a group, or about whatever is open: no commit of theirs wants a check.
        _ => About { commit: None, ..about },
    }
}

fn known_stage(config: &Config, text: &str) -> Result<StageName, Failure> {
    StageName::parse(text).ok().filter(|name| config.stage(name).is_some()).ok_or_else(|| {
        let known: Vec<&str> = config.stages.iter().map(|stage| stage.name.as_str()).collect();
        Failure::usage(format!("there is no stage `{}`", report::terminal::plain(text)))
            .hint(format!("the stages are: {}", known.join(", ")))
    })
}

/// The files under which an event is looked at: see [`Ready`].
struct Files {
    rules: SourceText,
    rules_branch: Option<BranchName>,
    backend_rules: Option<SourceText>,
    settings: SourceText,
}

/// One event and how to react to it.
pub(super) struct Reaction<'a> {
    pub(super) place: &'a Place,
    pub(super) host: &'a Host,
    args: &'a RunArgs,
    pub(super) mode: &'a Mode,
    pub(super) event: &'a Event,
    subject: Subject,
    /// Set where no branch has rules yet that this event must obey.
    first_rules: Option<Reason>,
}

impl Reaction<'_> {
    async fn run(self, files: Files) -> Result<u8, Failure> {
        let Files { rules, rules_branch, backend_rules, settings } = files;
        let cancelled = CancellationToken::new();
        let shown = self.host.show_progress();
        let repository = compose::repository_id(self.place, &self.event.repository_id);
        let ignored = rules_branch.and_then(|branch| ignored_rules(&rules, &settings, branch));
        let (opened, of_opened) = match &backend_rules {
            Some(backend_rules) => (backend_rules.clone(), backend_rules),
            None => (rules.clone(), &settings),
        };
        let mut composed = compose::compose(
            self.place,
            opened,
            of_opened,
            repository,
            shown.progress(),
            cancelled.clone(),
            self.host.forge().cloned(),
        )
        .await?;
        state_directory::refuse_short_lived(self.place, &composed.config)?;
        if backend_rules.is_some() {
            composed = compose::to_predict(self.place, rules, &settings, &composed)?;
        }
        let only = compose::chosen_models(&composed.config, &self.args.models)?;
        let signals = Signals::listen(cancelled);
        let done = self.react(&composed, &settings, ignored, &only).await;
        shown.finish();
        let (outcome, about) = done?;
        if *self.mode == Mode::Run {
            self.publish(&composed, &outcome, &about).await;
        }
        let exit = signals.exit_code(&outcome);
        self.host.tell_step(Some(&composed.config), &outcome, exit, &about);
        show_on(self.host, self.args.format, &outcome, exit, &about)
    }

    async fn react(
        &self,
        composed: &Composed,
        settings: &SourceText,
        ignored: Option<Reason>,
        only: &[ModelName],
    ) -> Result<(Outcome, About), Failure> {
        let by = compose::attribution(self.place, self.event, None);
        let text = describe(self.place, self.event, self.args.into.as_ref());
        let about = about(self.event, self.args);
        let mut outcome = match &self.subject {
            Subject::Push => self.push(composed, &by, text, only).await?,
            Subject::Deleted(branch) => self.deleted(composed, &by, text, branch, only).await?,
            Subject::Heads => {
                let heads = reconcile::heads(self.place, self.host, composed, Heads::All(None), &by, only).await?;
                reconcile::publish(self.place, self.host, composed, &by, &heads).await;
                reconcile::outcome(text, heads)
            }
            Subject::ByHand(command) => self.dispatched(composed, &by, text, command, only).await?,
            Subject::Prediction(merge) => {
                let (place, host, ignored) = (self.place, self.host, ignored.as_ref());
                let by = &by;
                let question =
                    Question { place, host, composed, settings, ignored, by, text, merge, repin: false, only };
                let Answer { mut outcome, pin } = question.answer().await?;
                outcome.reasons.extend(self.first_rules.clone());
                return Ok((outcome, About { pin, ..about }));
            }
        };
        outcome.reasons.extend(ignored);
        outcome.reasons.extend(self.first_rules.clone());
        Ok((outcome, about))
    }

    /// Tells the host, where the event has a commit or a pull request that people look at.
    async fn publish(&self, composed: &Composed, outcome: &Outcome, about: &About) {
        // A branch of no stage gets no check, and what was asked of one group belongs to no commit.
        let concerns = match &self.subject {
            // Asked with `--into`: nobody's pull request, and the commit's own check is about its push.
            Subject::Prediction(_) => self.args.into.is_none(),
            Subject::Push | Subject::ByHand(_) => !outcome.models.is_empty(),
            Subject::Deleted(_) | Subject::Heads => false,
        };
        if !concerns {
            return;
        }
        self.host.publish(Some(&composed.config), outcome, about).await;
        let settled = outcome.models.iter().any(ModelOutcome::wrote);
        let branch = match (&self.subject, &self.event.kind) {
            (Subject::Push, EventKind::BranchMoved(moved)) => Some(&moved.branch),
            (Subject::ByHand(Command::Run | Command::Train { .. }), _) => {
                self.event.started_on.as_ref().map(|head| &head.branch)
            }
            _ => None,
        };
        if let (Some(branch), Some(commit), true) = (branch, &about.commit, settled) {
            let by = compose::attribution(self.place, self.event, None);
            pull_request::refresh(self.place, self.host, composed, &by, branch, commit).await;
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
        let uncommitted = UncommittedNote::of(self, &composed.config);
        if let EventKind::BranchMoved(moved) = &self.event.kind
            && let Err(error) = self.host.bind_reviews(&composed.config, &moved.branch, &moved.after, &mut tasks).await
        {
            return Ok(Outcome { verdict: Verdict::Errored, ..Outcome::skipped(text, port_failed(&error)) });
        }
        if *self.mode == Mode::Plan {
            // The index of a large repository takes as long to read as all the rest: beside it, on a handle of its own.
            let beside = uncommitted.map(|note| tokio::task::spawn_blocking(move || note.beside()));
            let models = composed.drive.plan(&tasks).await;
            if let Some(beside) = beside
                && let Ok(Ok(Some(note))) = tokio::time::timeout(UNCOMMITTED_PATIENCE, beside).await
            {
                notice(&note);
            }
            return Ok(Outcome::of_models(text, limits::planned(&composed.config, models)));
        }
        if let Some(note) = uncommitted {
            let look = tokio::task::spawn_blocking(move || note.beside());
            if let Ok(Ok(Some(note))) = tokio::time::timeout(UNCOMMITTED_PATIENCE, look).await {
                notice(&note);
            }
        }
        if let Some(reason) = limits::refused(&composed.config, &composed.drive, &tasks).await {
            return Ok(Outcome { verdict: Verdict::Blocked, ..Outcome::skipped(text, reason) });
        }
        let trained_in = tasks.first().and_then(|task| match &task.goal.aim {
            Aim::Train { stage, .. } => Some(stage.clone()),
            _ => None,
        });
        let mut models = composed.drive.run(tasks).await;
        // What waited above for this very result can go on now.
        let settled = models.iter().any(ModelOutcome::changed) && self.first_rules.is_none();
        if let (Some(stage), true) = (trained_in, settled) {
            let above = Heads::Above(&stage);
            let above = reconcile::heads(self.place, self.host, composed, above, by, only).await?;
            reconcile::publish(self.place, self.host, composed, by, &above).await;
            models.extend(above.into_iter().flat_map(|head| head.models).filter(ModelOutcome::wrote));
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
}

/// Tells a pusher that the rules which their own file changes gained nothing.
pub(super) fn ignored_rules(rules: &SourceText, settings: &SourceText, branch: BranchName) -> Option<Reason> {
    if rules.text == settings.text {
        return None;
    }
    let held = crate::config::load(rules, rules).ok()?;
    let own = crate::config::load(settings, settings).ok()?;
    let changes: Vec<String> = crate::config::rules_differ(&held, &own).iter().map(ToString::to_string).collect();
    (!changes.is_empty()).then_some(Reason::RulesIgnored { branch, changes })
}

/// Prints an outcome where people read it, and passes its exit code on.
pub(super) fn show_on(
    host: &Host,
    format: OutcomeFormat,
    outcome: &Outcome,
    exit: u8,
    about: &About,
) -> Result<u8, Failure> {
    match format {
        OutcomeFormat::Text if host.print(&report::terminal::outcome(outcome)) => {}
        _ => return show_in(format, outcome, exit, &host.context(about)),
    }
    Ok(exit)
}

/// Prints an outcome, with what Markdown can say and link beside it.
fn show_in(format: OutcomeFormat, outcome: &Outcome, exit: u8, context: &Context) -> Result<u8, Failure> {
    match format {
        OutcomeFormat::Text => print(&report::terminal::outcome(outcome))?,
        OutcomeFormat::Json => print_json(&OutcomeJson::of(outcome))?,
        OutcomeFormat::Md => print(&report::markdown::summary(outcome, context))?,
    };
    Ok(exit)
}

/// What to look at in order to name changes that are not part of the run.
struct UncommittedNote {
    git: Arc<GitRepository>,
    config: Arc<Config>,
}

impl UncommittedNote {
    /// Only where a person runs it on the very commit that is checked out.
    fn of(reaction: &Reaction<'_>, config: &Arc<Config>) -> Option<Self> {
        let EventKind::BranchMoved(moved) = &reaction.event.kind else { return None };
        if reaction.args.event.is_some() || reaction.place.in_ci {
            return None;
        }
        let git = &reaction.place.git;
        let here = matches!(git.head(), Ok(Head::Branch { commit, .. }) if commit == moved.after);
        here.then(|| Self { git: Arc::clone(git), config: Arc::clone(config) })
    }

    /// As [`text`](Self::text), without holding up whoever reads the repository meanwhile.
    fn beside(&self) -> Option<String> {
        let own = GitRepository::discover(&self.git.work_dir()?);
        self.text(own.as_ref().unwrap_or(&self.git))
    }

    fn text(&self, git: &GitRepository) -> Option<String> {
        let models = self.config.models.values();
        let watched: Vec<_> =
            models.flat_map(|model| model.settings.values()).map(|settings| &settings.watched).collect();
        match git.uncommitted(&watched) {
            Ok(Uncommitted::Clean) => None,
            Ok(Uncommitted::Changed(files)) => {
                let more = files.len().saturating_sub(UNCOMMITTED_SHOWN);
                let more = (more > 0).then(|| format!("and {more} more files"));
                let list: Vec<String> = files.iter().take(UNCOMMITTED_SHOWN).map(changed_file).chain(more).collect();
                Some(report::terminal::plain(&format!(
                    "note: these changes are NOT part of this run: {}. Commit them first.",
                    list.join(", ")
                )))
            }
            Ok(Uncommitted::Unknown(why)) => Some(report::terminal::plain(&format!(
                "note: cannot tell whether there are uncommitted changes: {why}"
            ))),
            Err(error) => Some(format!("note: cannot tell whether there are uncommitted changes: {error}")),
        }
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

/// Says in words what happened, or what is asked about.
fn describe(place: &Place, event: &Event, into: Option<&BranchName>) -> String {
    match &event.kind {
        EventKind::BranchMoved(moved) => {
            let (branch, commit) = (&moved.branch, moved.after.short());
            match into {
                Some(into) => format!("merge of {branch} at {commit} into {into}"),
                None => format!("push to {branch} at {commit}{}", subject(place, &moved.after)),
            }
        }
        EventKind::BranchDeleted { branch, .. } => format!("{branch} was deleted"),
        EventKind::PullRequest(pull) => format!("pull request #{}", pull.number),
        EventKind::MergeGroup(_) => "merge queue".to_owned(),
        EventKind::ByHand(command) => format!("{} manually", command.action().as_str()),
        EventKind::Hint(_) => "a hint from the cloud".to_owned(),
        EventKind::Tick { .. } => "schedule".to_owned(),
        EventKind::NotOurs(_) => event.name.clone(),
    }
}

fn subject(place: &Place, commit: &CommitSha) -> String {
    place.git.commit(commit).map_or_else(|_| String::new(), |info| format!(" \"{}\"", info.subject))
}
