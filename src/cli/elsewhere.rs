//! `register`: an externally trained model becomes a version, through the same loop as a training's result.
//!
//! What is meant (which bytes, which commit, which group) is settled here, before the loop begins.

use crate::adapters::git::Head;
use crate::adapters::git::Uncommitted;
use crate::adapters::local::bring::BringError;
use crate::adapters::local::bring::Brought;
use crate::adapters::local::bring::bring;
use crate::adapters::local::bring::bring_metrics;
use crate::adapters::local::pack::PackError;
use crate::cli::args::ByHandArgs;
use crate::cli::args::OutcomeFormat;
use crate::cli::args::RegisterArgs;
use crate::cli::block_on;
use crate::cli::caller::Caller;
use crate::cli::compose;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::compose::names_rules;
use crate::cli::failure;
use crate::cli::failure::Failure;
use crate::cli::host::About;
use crate::cli::notice;
use crate::cli::read;
use crate::cli::run;
use crate::cli::signals::Signals;
use crate::cli::state_directory;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::history::Attribution;
use crate::model::metric::MetricName;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::TargetName;
use crate::model::stage::Does;
use crate::outcome::Outcome;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::goal::Task;
use crate::plan::goal::TrainedElsewhere;
use crate::plan::permission::Request;
use crate::plan::route::model_rules;
use std::error::Error as _;
use std::path::Path;
use std::path::PathBuf;

/// Registers an externally trained model.
pub fn register(directory: Option<&Path>, args: &RegisterArgs) -> Result<u8, Failure> {
    let place = Place::find(directory, names_rules(args.by_hand.caller.default_branch.as_ref()))?;
    let (caller, composed) = block_on(open(&place, &args.by_hand))??;
    state_directory::refuse_short_lived(&place, &composed.config)?;
    let model = one_model(&composed, &args.model)?;
    let origin = origin(&place, &composed, &model, args.commit.as_deref())?;
    let (target, group) = choose_group(&place, &composed, &model, args.group.as_deref())?;
    let gated: Vec<MetricName> =
        composed.config.model(&model).iter().flat_map(|model| &model.gates).map(|gate| gate.metric.clone()).collect();
    let (metrics, metric_notes) =
        bring_metrics(&within(directory, &args.metrics), &gated).map_err(|error| refused(&error))?;
    let home = (!args.by_hand.dry_run).then(|| place.state());
    let brought =
        bring(&within(directory, &args.artifact), home.as_ref(), &mut |_, _| {}).map_err(|error| refused(&error))?;
    let Brought { source, artifact, .. } = &brought;
    let text = format!("register {source} for commit {} in {group} manually", origin.commit.short());
    let result = TrainedElsewhere {
        source: source.clone(),
        artifact: artifact.clone(),
        metrics,
        metric_notes,
        unknown_tree: origin.unknown_tree,
    };
    let aim = Aim::RegisterElsewhere { target, commit: origin.commit, branch: origin.branch, result: Box::new(result) };
    let by = caller.attribution(&place, "register", args.by_hand.reason.clone());
    let task = task(&composed, &model, aim, by)?;
    block_on(async {
        if let Some(request) = Request::of_aim(&task.rules, &task.goal.aim)
            && let Some(refused) = caller.refusal(&place, &composed.config, &request, None, &text).await
        {
            let (format, exit) = (args.by_hand.format, refused.exit_code());
            return run::show_on(&caller.host, format, &refused, exit, &About::default());
        }
        let signals = Signals::listen(composed.drive.cancelled.clone());
        let models = if args.by_hand.dry_run {
            composed.drive.plan(std::slice::from_ref(&task)).await
        } else {
            composed.drive.run(vec![task]).await
        };
        let outcome = Outcome::of_models(text, models);
        run::show_on(&caller.host, args.by_hand.format, &outcome, signals.exit_code(&outcome), &About::default())
    })?
}

/// Opens the registry for a command that brings a version in: not in a job whose event brings code of somebody else.
pub(super) async fn open(place: &Place, args: &ByHandArgs) -> Result<(Caller, Composed), Failure> {
    let caller = Caller::find(place, &args.caller, args.format != OutcomeFormat::Text).await?;
    if let Some(refused) = caller.refused_event() {
        return Err(Failure::new(failure::BLOCKED, refused.message()));
    }
    let (composed, _) = read::open_to_act(place, &caller).await?;
    Ok((caller, composed))
}

/// Finds a model by name.
pub(super) fn one_model(composed: &Composed, name: &str) -> Result<ModelName, Failure> {
    let found = compose::chosen_models(&composed.config, &[name.to_owned()])?;
    found.into_iter().next().ok_or_else(|| Failure::usage("no model was named"))
}

/// Makes the task for the loop.
pub(super) fn task(composed: &Composed, model: &ModelName, aim: Aim, by: Attribution) -> Result<Task, Failure> {
    let rules =
        model_rules(&composed.config, model).ok_or_else(|| Failure::usage(format!("there is no model `{model}`")))?;
    Ok(Task { goal: Goal { aim, by, run_attempt: 1, predicts: false }, rules })
}

/// Reads a path as it was typed: from the folder that the command acts in.
pub(super) fn within(directory: Option<&Path>, path: &Path) -> PathBuf {
    directory.map_or_else(|| path.to_path_buf(), |directory| directory.join(path))
}

/// The commit that a model was trained from.
struct Origin {
    commit: CommitSha,
    branch: Option<BranchName>,
    /// Why it is only the commit that it lies beside.
    unknown_tree: Option<String>,
}

/// A commit that a person names counts; else the one that is checked out, if the model's files are as it has them.
fn origin(place: &Place, composed: &Composed, model: &ModelName, named: Option<&str>) -> Result<Origin, Failure> {
    let head = place.git.head().map_err(|error| Failure::git(&error))?;
    let (branch, head) = match head {
        Head::Branch { branch, commit } => (Some(branch), Some(commit)),
        Head::Detached { commit } => (None, Some(commit)),
        Head::Unborn { .. } => (None, None),
    };
    if let Some(text) = named {
        let commit = place.git.resolve_commit(text).map_err(|error| Failure::git(&error))?;
        let branch = branch.filter(|_| head.as_ref() == Some(&commit));
        return Ok(Origin { commit, branch, unknown_tree: None });
    }
    let commit = head.ok_or_else(|| Failure::usage("there is no commit yet").hint("commit something first"))?;
    let watched: Vec<_> =
        composed.config.model(model).iter().flat_map(|model| model.settings.values()).map(|s| &s.watched).collect();
    let unknown_tree = match place.git.uncommitted(&watched).map_err(|error| Failure::git(&error))? {
        Uncommitted::Clean => None,
        Uncommitted::Changed(files) => {
            let first = files.first().map_or("", |file| file.path.as_str());
            let more = if files.len() > 1 { format!(" (+{})", files.len() - 1) } else { String::new() };
            let paths = if files.len() == 1 { "path" } else { "paths" };
            Some(format!("trained from a dirty tree: {} watched {paths} uncommitted: {first}{more}", files.len()))
        }
        Uncommitted::Unknown(_) => {
            Some("trained from an unknown tree: the working tree could not be compared with its commit".to_owned())
        }
    };
    Ok(Origin { commit, branch, unknown_tree })
}

/// The group that was named, or that of the current branch's training stage, or that of the first training stage.
fn choose_group(
    place: &Place,
    composed: &Composed,
    model: &ModelName,
    named: Option<&str>,
) -> Result<(TargetName, GroupName), Failure> {
    if let Some(text) = named {
        let (_, target, group) = read::find_group(composed, text, Some(model.as_str()))?;
        return Ok((target, group));
    }
    let config = &composed.config;
    let branch = match place.git.head().map_err(|error| Failure::git(&error))? {
        Head::Branch { branch, .. } | Head::Unborn { branch } => Some(branch),
        Head::Detached { .. } => None,
    };
    let reached = branch.as_ref().and_then(|branch| config.stage_of_branch(branch));
    let of_branch = reached.filter(|stage| matches!(stage.does, Does::Train { .. }));
    let stage = of_branch
        .or_else(|| config.training_stages().next())
        .ok_or_else(|| Failure::configuration("no stage trains, so no group takes an externally trained model"))?;
    let found = stage.groups.keys().find_map(|target| Some((target.clone(), config.group(model, target)?.clone())));
    let (target, group) =
        found.ok_or_else(|| Failure::configuration(format!("stage {} feeds no group of {model}", stage.name)))?;
    if of_branch.is_none() {
        let here = branch.map_or_else(
            || "no branch is checked out".to_owned(),
            |branch| format!("{branch} reaches no training stage"),
        );
        notice(&crate::report::terminal::plain(&format!(
            "note: {here}; {group} of the first one, {}, is taken (another: --group GROUP)",
            stage.name
        )));
    }
    Ok((target, group))
}

/// What cannot become a model is a wrong argument; metrics that are none are a training that ended badly.
fn refused(error: &BringError) -> Failure {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    match error {
        BringError::Missing { .. } | BringError::Kind { .. } | BringError::Empty { .. } => {
            Failure::usage(text).hint("--artifact takes the model's file or folder, --metrics a JSON file")
        }
        BringError::NotWhole { .. } => {
            Failure::usage(text).hint("write or download the model again, and register it when it is whole")
        }
        BringError::Changed { .. } | BringError::Pack { source: PackError::Changed { .. }, .. } => {
            Failure::usage(text).hint("wait until the program that writes it has ended, then register again")
        }
        BringError::Pack { source: PackError::Unsupported { .. }, .. } => {
            Failure::usage(text).hint("take it out of the folder, or pack the model yourself")
        }
        BringError::Metrics { .. } => Failure::new(failure::FAILED, text)
            .hint("write an object of names and finite numbers, as in {\"accuracy\": 0.87}"),
        BringError::Home { source, .. } => match &source.hint {
            Some(hint) => Failure::new(failure::ERRORED, text).hint(hint.clone()),
            None => Failure::new(failure::ERRORED, text),
        },
        BringError::Read { .. } | BringError::Pack { .. } => Failure::new(failure::ERRORED, text),
    }
}
