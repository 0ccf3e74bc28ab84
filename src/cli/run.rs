//! `run` and `plan`: on the push of a branch, or on an event.

use crate::adapters::git::ChangedFile;
use crate::adapters::git::Uncommitted;
use crate::cli::args::Format;
use crate::cli::args::RunArgs;
use crate::cli::block_on;
use crate::cli::compose;
use crate::cli::compose::Place;
use crate::cli::env_vars;
use crate::cli::failure;
use crate::cli::failure::Failure;
use crate::cli::notice;
use crate::cli::print;
use crate::cli::print_json;
use crate::cli::progress::TerminalProgress;
use crate::cli::signals::Signals;
use crate::config::Config;
use crate::config::SourceText;
use crate::event::BranchMoved;
use crate::event::Event;
use crate::event::EventKind;
use crate::event::Run;
use crate::event::RunnerVariables;
use crate::event::Trust;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::RepositoryId;
use crate::model::stage::Does;
use crate::outcome::Outcome;
use crate::plan::reason::Reason;
use crate::plan::route::Route;
use crate::plan::route::route;
use crate::report;
use crate::report::json::OutcomeJson;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Whether to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Look and say.
    Plan,
    /// Look, say and do.
    Run,
}

/// Runs or plans.
pub fn run(directory: Option<&Path>, args: &RunArgs, mode: Mode) -> Result<u8, Failure> {
    let in_ci = compose::in_ci() || args.event.is_some();
    let place = Place::find(directory, in_ci)?;
    let event = event(&place, args)?;
    let outcome = prepare(&place, args, &event)?;
    match outcome {
        Prepared::Settled(outcome) => show(args.format, &outcome, outcome.exit_code()),
        Prepared::Ready { rules, settings } => act(&place, args, mode, &event, rules, &settings),
    }
}

/// What there is to do, before anything is opened.
enum Prepared {
    Settled(Outcome),
    Ready { rules: SourceText, settings: SourceText },
}

/// Reads the event: given, from the CI host, or as if a branch had just been pushed.
fn event(place: &Place, args: &RunArgs) -> Result<Event, Failure> {
    let mut variables = RunnerVariables::from_lookup(env_vars::get);
    if let Some(name) = &args.event {
        let path = args.payload.as_deref().ok_or_else(|| Failure::usage("--event needs --payload"))?;
        variables.event_name = Some(name.clone());
        return crate::event::parse(&variables, &payload(path)?).map_err(|error| Failure::event(&error));
    }
    let by_hand = args.branch.is_some() || args.commit.is_some();
    if env_vars::get(env_vars::GITHUB_EVENT_NAME).is_some() && !by_hand {
        let path = env_vars::get(env_vars::GITHUB_EVENT_PATH).ok_or_else(|| {
            Failure::new(failure::EVENT, "GITHUB_EVENT_NAME is set, but GITHUB_EVENT_PATH is not")
                .hint("run this inside a GitHub Actions job, or pass --event and --payload")
        })?;
        return crate::event::parse(&variables, &payload(Path::new(&path))?).map_err(|error| Failure::event(&error));
    }
    pushed(place, args, &variables)
}

fn payload(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(failure::EVENT, format!("could not read the payload {}: {error}", path.display()))
    })
}

/// Acts as if a branch had just been pushed.
fn pushed(place: &Place, args: &RunArgs, variables: &RunnerVariables) -> Result<Event, Failure> {
    let named = args
        .branch
        .as_deref()
        .map(|text| BranchName::parse(text).map_err(|error| Failure::usage(error.to_string())))
        .transpose()?;
    let (branch, head) = match named {
        Some(branch) => {
            let head = place.git.branch_head(&branch, place.heads()).map_err(|error| Failure::git(&error))?;
            (branch, head)
        }
        None => {
            let (branch, head) = place.current_branch()?;
            (branch, Some(head))
        }
    };
    let after = match (&args.commit, head) {
        (Some(text), _) => place.git.resolve_commit(text).map_err(|error| Failure::git(&error))?,
        (None, Some(head)) => head,
        (None, None) => {
            return Err(Failure::usage(format!("there is no branch {branch} here"))
                .hint("fetch it first, or name the commit too: --commit SHA"));
        }
    };
    let default_branch = args
        .default_branch
        .as_deref()
        .map(|text| BranchName::parse(text).map_err(|error| Failure::usage(error.to_string())))
        .transpose()?
        .or_else(|| place.git.default_branch());
    let _ = variables;
    Ok(Event {
        name: "push".to_owned(),
        kind: EventKind::BranchMoved(BranchMoved { branch, before: None, after, created: false, forced: false }),
        trust: Trust::Own,
        repository: None,
        repository_id: RepositoryId::default(),
        default_branch,
        actor: None,
        rerun_by: None,
        started_on: None,
        run: Run { key: None, attempt: 1, url: None, workflow: None },
    })
}

/// Finds whose file counts.
fn prepare(place: &Place, args: &RunArgs, event: &Event) -> Result<Prepared, Failure> {
    let commit = match &event.kind {
        EventKind::BranchMoved(moved) => moved.after.clone(),
        EventKind::NotOurs(why) => {
            return Ok(Prepared::Settled(Outcome::skipped(
                describe(place, event),
                Reason::NotOurs { why: why.to_string() },
            )));
        }
        EventKind::BranchDeleted { branch, .. } => {
            return Ok(Prepared::Settled(Outcome::skipped(
                describe(place, event),
                Reason::BranchDeleted { branch: branch.clone() },
            )));
        }
        EventKind::PullRequest(_)
        | EventKind::MergeGroup(_)
        | EventKind::ByHand(_)
        | EventKind::Hint(_)
        | EventKind::Tick { .. } => {
            return Ok(Prepared::Settled(Outcome::skipped(
                describe(place, event),
                Reason::NotYet { what: format!("`{}` events are not acted on in this release", event.name) },
            )));
        }
    };
    place.git.commit(&commit).map_err(|error| Failure::git(&error))?;
    let settings = place.config_text(&commit)?;
    if !place.in_ci {
        let settings = settings.ok_or_else(|| place.no_config(&commit))?;
        return Ok(Prepared::Ready { rules: settings.clone(), settings });
    }
    let default_branch = args
        .default_branch
        .as_deref()
        .and_then(|text| BranchName::parse(text).ok())
        .or_else(|| event.rules_branch().cloned())
        .or_else(|| place.git.default_branch());
    let Some(default_branch) = default_branch else {
        return Err(Failure::configuration("cannot tell which branch is the default one, whose rules count in CI")
            .hint("name it: --default-branch main"));
    };
    let rules = rules_of(place, &default_branch)?;
    match (rules, settings) {
        (Some(rules), Some(settings)) => Ok(Prepared::Ready { rules, settings }),
        (None, Some(settings)) => Ok(Prepared::Settled(Outcome::skipped(
            describe(place, event),
            Reason::NoRules { branch: default_branch, begins: begins(&settings)? },
        ))),
        (_, None) => Err(place.no_config(&commit)),
    }
}

fn rules_of(place: &Place, branch: &BranchName) -> Result<Option<SourceText>, Failure> {
    let head = place.git.branch_head(branch, place.heads()).map_err(|error| Failure::git(&error))?;
    let Some(head) = head else {
        return Err(Failure::configuration(format!(
            "the rules of the default branch {branch} count here, but this checkout does not have that branch"
        ))
        .hint("check out with `fetch-depth: 0`"));
    };
    place.config_text(&head)
}

/// What merging the first configuration will begin, in a clause.
fn begins(settings: &SourceText) -> Result<String, Failure> {
    let config = crate::config::load(settings, settings).map_err(|problems| Failure::problems(&problems))?;
    let models: Vec<&str> = config.models.keys().map(|model| model.as_str()).collect();
    let trains: Vec<String> = config
        .stages
        .iter()
        .filter(|stage| matches!(stage.does, Does::Train { .. }))
        .map(|stage| stage.branches.to_string())
        .collect();
    Ok(format!("pushes to {} train {}", trains.join(", "), models.join(", ")))
}

fn act(
    place: &Place,
    args: &RunArgs,
    mode: Mode,
    event: &Event,
    rules: SourceText,
    settings: &SourceText,
) -> Result<u8, Failure> {
    block_on(async {
        let cancelled = CancellationToken::new();
        let progress = Arc::new(TerminalProgress::new(true));
        let repository = compose::repository_id(place, &event.repository_id);
        let composed = compose::compose(place, rules, settings, repository, progress.clone(), cancelled.clone())?;
        let only = compose::chosen_models(&composed.config, &args.models)?;
        let by = compose::attribution(place, event, None);
        let signals = Signals::listen(cancelled);
        let text = describe(place, event);
        let outcome = match route(&composed.config, event, &by, &only) {
            Route::Nothing(reason) => Outcome::skipped(text, *reason),
            Route::Tasks(tasks) => {
                if args.event.is_none() && !place.in_ci {
                    say_uncommitted(place, &composed.config, event);
                }
                let models = match mode {
                    Mode::Plan => composed.drive.plan(&tasks).await,
                    Mode::Run => composed.drive.run(tasks).await,
                };
                Outcome::of_models(text, models)
            }
        };
        progress.finish();
        show(args.format, &outcome, signals.exit_code(&outcome))
    })?
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
