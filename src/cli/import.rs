//! `import`: the versions of another group, or of a group in another state directory, are imported, oldest first.
//!
//! Each goes through the same loop, one after the other, so that a killed import goes on where it ended.

use crate::adapters::local::artifacts::LocalArtifacts;
use crate::adapters::local::home::Home;
use crate::adapters::local::model_files;
use crate::adapters::local::registry::LocalRegistry;
use crate::adapters::system::SystemClock;
use crate::cli::args::ImportArgs;
use crate::cli::block_on;
use crate::cli::by_hand;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::compose::names_rules;
use crate::cli::elsewhere::one_model;
use crate::cli::elsewhere::open;
use crate::cli::elsewhere::task;
use crate::cli::elsewhere::within;
use crate::cli::failure::Failure;
use crate::cli::host::About;
use crate::cli::read;
use crate::cli::run;
use crate::cli::signals::Signals;
use crate::cli::state_directory;
use crate::facts::group::GroupLook;
use crate::model::approval::Approval;
use crate::model::git::RepositoryId;
use crate::model::name::GroupName;
use crate::model::verdict::Verdict;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::plan::goal::Aim;
use crate::plan::permission::Request;
use crate::ports::Registry;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// How many versions are read at a time.
const PAGE: usize = 500;

/// Most groups that a message lists.
const LISTED: usize = 12;

/// Takes over a group.
pub fn import(directory: Option<&Path>, args: &ImportArgs) -> Result<u8, Failure> {
    let place = Place::find(directory, names_rules(args.by_hand.caller.default_branch.as_ref()))?;
    let (caller, composed) = block_on(open(&place, &args.by_hand))??;
    state_directory::refuse_short_lived(&place, &composed.config)?;
    let model = one_model(&composed, &args.model)?;
    let (_, to, group) = read::find_group(&composed, &args.to, Some(model.as_str()))?;
    let source = GroupName::parse(&args.group).map_err(|error| Failure::usage(error.to_string()))?;
    let other = args.home.as_deref().map(|home| other_home(directory, home, &place)).transpose()?.flatten();
    if source == group && other.is_none() {
        return Err(Failure::usage(format!("{group} is both source and target")));
    }
    block_on(async {
        let signals = Signals::listen(composed.drive.cancelled.clone());
        let (owner, versions) = read_source(&composed, other.as_deref(), &source).await?;
        let from = other.as_ref().map_or_else(String::new, |home| format!(" of {}", home.display()));
        let text = format!("import {source}{from} into {group} manually");
        let by = caller.attribution(&place, "import", args.by_hand.reason.clone());
        let show =
            |outcome: &Outcome, exit| run::show_on(&caller.host, args.by_hand.format, outcome, exit, &About::default());
        let mut outcomes = Vec::new();
        for version in versions {
            let aim = Aim::Import {
                to: to.clone(),
                version: Box::new(version),
                here: other.is_none(),
                owner: owner.clone(),
                foreign: args.foreign,
            };
            let task = task(&composed, &model, aim, by.clone())?;
            if let Some(request) = Request::of_aim(&task.rules, &task.goal.aim) {
                let judged = by_hand::judged(&composed, &model, &task.goal.aim).await?;
                let refused = caller.refusal(&place, &composed.config, &request, judged.as_ref(), &text).await;
                if let Some(refused) = refused {
                    return show(&refused, refused.exit_code());
                }
            }
            let models = if args.by_hand.dry_run {
                composed.drive.plan(std::slice::from_ref(&task)).await
            } else {
                composed.drive.run(vec![task]).await
            };
            let ended_well = models.iter().all(|model| model.verdict == Verdict::Passed);
            outcomes.extend(models);
            // What comes later must not come in before what failed.
            if !ended_well {
                break;
            }
        }
        let outcome = Outcome::of_models(text, joined(outcomes).into_iter().collect());
        show(&outcome, signals.exit_code(&outcome))
    })?
}

/// Finds the state directory that was named, also by the folder around it. `None`: it is this very one.
fn other_home(directory: Option<&Path>, named: &Path, place: &Place) -> Result<Option<PathBuf>, Failure> {
    let path = within(directory, named);
    let candidates = [path.clone(), path.join(".git").join("branchline"), path.join(".branchline")];
    let found = candidates.into_iter().find(|home| Home::at(home.clone()).database().is_file()).ok_or_else(|| {
        Failure::usage(format!(
            "{} is not a state directory of Branchline: branchline.db not found in it",
            path.display()
        ))
        .hint("name the folder that BRANCHLINE_HOME named there, or the `.branchline` of its repository")
    })?;
    let found = std::fs::canonicalize(&found)
        .map_err(|error| Failure::usage(format!("could not enter {}: {error}", found.display())))?;
    let own = std::fs::canonicalize(&place.home).ok();
    Ok((own.as_ref() != Some(&found)).then_some(found))
}

/// Reads what is to be imported, oldest first. What lost a race is nobody's version.
async fn read_source(
    composed: &Composed,
    other: Option<&Path>,
    source: &GroupName,
) -> Result<(Option<RepositoryId>, Vec<Version>), Failure> {
    let home = other.map(|home| Home::at(home.to_path_buf()));
    let registry: Arc<dyn Registry> = match &home {
        Some(home) => Arc::new(LocalRegistry::at(&home.database(), Arc::new(SystemClock))),
        None => Arc::clone(&composed.drive.ports.registry),
    };
    let facts = registry.look(source, &GroupLook::default()).await.map_err(|error| Failure::port(&error))?;
    if facts.newest.is_none() {
        return Err(nothing_in(registry.as_ref(), source).await);
    }
    let mut versions: Vec<Version> = Vec::new();
    loop {
        let before = versions.last().map(|version| version.number);
        let page = registry.list(source, before, PAGE).await.map_err(|error| Failure::port(&error))?;
        let is_last = page.len() < PAGE;
        versions.extend(page);
        if is_last {
            break;
        }
    }
    versions.retain(|version| version.rejection != Some(Rejection::Duplicate));
    versions.reverse();
    if let Some(home) = home {
        let artifacts = LocalArtifacts::new(home);
        for version in &mut versions {
            for artifact in &mut version.content.artifacts {
                *artifact = artifacts.as_file(artifact).map_err(|error| Failure::port(&error))?;
            }
        }
        for version in &versions {
            check_whole(version)?;
        }
    }
    Ok((facts.owner, versions))
}

/// Refuses a version whose file is no model: the same rule as for what is trained or registered. One that was rejected
/// is imported as rejected. A file that is missing is reported by the copy.
fn check_whole(version: &Version) -> Result<(), Failure> {
    if version.approval == Approval::Rejected {
        return Ok(());
    }
    for artifact in &version.content.artifacts {
        let Some(path) = artifact.location.strip_prefix("file:").map(Path::new) else { continue };
        match model_files::check_file(path, &artifact.name) {
            Err(error) if path.exists() => {
                let reference = version.reference();
                return Err(Failure::usage(format!("could not import {reference}: its {}: {error}", artifact.name))
                    .hint(format!(
                        "reject it where it is registered: branchline reject {reference} --reason \"...\""
                    )));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

async fn nothing_in(registry: &dyn Registry, source: &GroupName) -> Failure {
    let failure = Failure::usage(format!("{source} holds no version: there is nothing to import"));
    let groups = registry.groups().await.unwrap_or_default();
    if groups.is_empty() {
        return failure;
    }
    let names: Vec<&str> = groups.iter().map(GroupName::as_str).take(LISTED).collect();
    let more = groups.len().saturating_sub(LISTED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    failure.hint(format!("the groups there are: {}{rest}", names.join(", ")))
}

/// Joins what came of each version into what came of the model. What had been imported before is only worth a
/// line where nothing else happened.
fn joined(outcomes: Vec<ModelOutcome>) -> Option<ModelOutcome> {
    let acted = outcomes.iter().any(|outcome| !outcome.steps.is_empty());
    let mut outcomes = outcomes.into_iter();
    let mut whole = outcomes.next()?;
    for next in outcomes {
        if next.verdict.badness() > whole.verdict.badness() {
            whole.verdict = next.verdict;
        }
        // What says no comes first.
        let at = if next.verdict == Verdict::Passed { whole.reasons.len() } else { 0 };
        let new: Vec<_> = next.reasons.into_iter().filter(|reason| !whole.reasons.contains(reason)).collect();
        whole.reasons.splice(at..at, new);
        whole.steps.extend(next.steps);
        whole.versions.extend(next.versions);
    }
    if acted {
        whole.reasons.retain(|reason| !reason.says_nothing_to_do());
    }
    Some(whole)
}
