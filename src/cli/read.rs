//! Commands that only read the registry's present: `status`, `show`.

use crate::adapters::git::Head;
use crate::cli::address;
use crate::cli::args::CallerArgs;
use crate::cli::args::Format;
use crate::cli::block_on;
use crate::cli::caller::Caller;
use crate::cli::compose;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::cli::print_json;
use crate::config::SourceText;
use crate::facts::GroupFacts;
use crate::facts::group::GroupLook;
use crate::model::artifact::Artifact;
use crate::model::git::RepositoryId;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::TargetName;
use crate::model::name::TrainingName;
use crate::model::stage::Does;
use crate::model::version::Version;
use crate::model::version::VersionContent;
use crate::model::version::VersionNumber;
use crate::plan::evidence::DataBehind;
use crate::plan::reason::Reason;
use crate::plan::train::data_behind;
use crate::ports::Forge;
use crate::ports::PortError;
use crate::ports::progress::Quiet;
use crate::report;
use crate::report::json::GroupJson;
use crate::report::json::JSON_SCHEMA;
use crate::report::json::ShownJson;
use crate::report::json::StatusJson;
use crate::report::json::VersionJson;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How many attempts of one training are looked up.
const ATTEMPTS_SHOWN: u32 = 20;

/// Opens the registry for reading: under the rules of the checked-out commit, or of the file on disk where
/// nothing is committed yet; in CI under those of the default branch, where it can be told which that is.
pub(super) fn open(place: &Place) -> Result<(Composed, RepositoryId), Failure> {
    let text = checked_out(place)?;
    block_on(async {
        let rules = if place.in_ci { Caller::find(place, &CallerArgs::default(), true).await } else { Err(no_file()) };
        let rules = match &rules {
            Ok(caller) => caller.rules(place, text.clone()).await,
            Err(_) => Err(no_file()),
        };
        match (rules, text) {
            (Ok((rules, settings)), _) => opened(place, rules, &settings, None).await,
            // Nothing is decided or written here: what is checked out says well enough which groups this machine has. An
            // account that only it names is not opened.
            (Err(failure), Some(text)) if place.in_ci && names_account(&text)? => Err(failure),
            (Err(_), Some(text)) => {
                place.reach_without_rules();
                opened(place, text.clone(), &text, None).await
            }
            (Err(failure), None) => Err(failure),
        }
    })?
}

/// Opens the registry for a command that acts: in CI under the rules of the default branch, and no others.
pub(super) async fn open_to_act(place: &Place, caller: &Caller) -> Result<(Composed, RepositoryId), Failure> {
    let (rules, settings) = caller.rules(place, checked_out(place)?).await?;
    opened(place, rules, &settings, caller.host.forge().cloned()).await
}

fn names_account(text: &SourceText) -> Result<bool, Failure> {
    let config = crate::config::load(text, text).map_err(|problems| Failure::problems(&problems))?;
    Ok(config.backend.is_cloud())
}

/// Reads the file of the checked-out commit, or the one on disk where nothing is committed yet.
fn checked_out(place: &Place) -> Result<Option<SourceText>, Failure> {
    let committed = match place.git.head().map_err(|error| Failure::git(&error))? {
        Head::Branch { commit, .. } | Head::Detached { commit } => place.config_text(&commit)?,
        Head::Unborn { .. } => None,
    };
    match committed {
        Some(text) => Ok(Some(text)),
        None => place.config_on_disk(),
    }
}

fn no_file() -> Failure {
    Failure::configuration("there is no branchline.yaml here").hint("write one: branchline init")
}

async fn opened(
    place: &Place,
    rules: SourceText,
    settings: &SourceText,
    forge: Option<Arc<dyn Forge>>,
) -> Result<(Composed, RepositoryId), Failure> {
    let repository = compose::repository_id(place, &RepositoryId::default());
    let (quiet, cancelled) = (Arc::new(Quiet), CancellationToken::new());
    let composed = compose::compose(place, rules, settings, repository.clone(), quiet, cancelled, forge).await?;
    Ok((composed, repository))
}

/// Shows what every group stands for.
pub fn status(directory: Option<&Path>, format: Format, models: &[String], limit: usize) -> Result<u8, Failure> {
    let place = Place::find(directory, false)?;
    let (composed, _) = open(&place)?;
    let only = compose::chosen_models(&composed.config, models)?;
    block_on(async {
        let mut rows = Vec::new();
        for (model, target, group) in all_groups(&composed, &only) {
            let facts = composed.drive.ports.registry.look(&group, &GroupLook::default()).await;
            rows.push((model, target, facts.map_err(|error: PortError| Failure::port(&error))?));
        }
        let behind = behind(&place, &composed, &rows).await.map_err(|error| Failure::port(&error))?;
        let open = composed.drive.ports.trainer.open(&composed.config.project).await;
        let open = open.map_err(|error| Failure::port(&error))?;
        match format {
            Format::Text => {
                let rows: Vec<_> = rows.into_iter().map(|(model, _, facts)| (model.to_string(), facts)).collect();
                let mut text = report::terminal::status(&rows);
                for data in &behind {
                    text.push_str(&report::terminal::reason(&Reason::DataBehind(data.clone())));
                }
                for training in &open {
                    text.push_str(&format!("training {} keeps running\n", training.name));
                }
                print(&text)
            }
            Format::Json => {
                let mut groups = Vec::new();
                for (model, target, facts) in rows {
                    let versions = composed.drive.ports.registry.list(&facts.name, None, limit).await;
                    let versions = versions.map_err(|error| Failure::port(&error))?;
                    let stage = composed.config.stage_of_target(&target).map(|stage| stage.name.clone());
                    let Some(stage) = stage else { continue };
                    groups.push(GroupJson {
                        group: facts.name.clone(),
                        model,
                        stage,
                        target,
                        current: facts.current_number().map(|number| number.0),
                        frozen: facts.frozen,
                        versions: versions.iter().map(VersionJson::of).collect(),
                    });
                }
                print_json(&StatusJson {
                    schema: JSON_SCHEMA,
                    project: composed.config.project.to_string(),
                    groups,
                    behind_data: behind,
                    open_trainings: open.iter().map(|training| training.name.to_string()).collect(),
                })
            }
        }
    })?
}

/// The training branches, known here, whose data changed since their model was trained.
async fn behind(
    place: &Place,
    composed: &Composed,
    rows: &[(ModelName, TargetName, GroupFacts)],
) -> Result<Vec<DataBehind>, PortError> {
    let mut behind = Vec::new();
    for stage in &composed.config.stages {
        let Some(branch) = stage.branches.only_branch().filter(|_| matches!(stage.does, Does::Train { .. })) else {
            continue;
        };
        let Ok(Some(head)) = place.git.branch_head(&branch, place.heads()) else { continue };
        for model in composed.config.models.keys() {
            let groups: Vec<&GroupFacts> = rows
                .iter()
                .filter(|(of, target, _)| of == model && stage.groups.contains_key(target))
                .map(|(_, _, facts)| facts)
                .collect();
            // Where nothing was trained yet, nobody has to read data.
            if groups.iter().all(|group| group.newest.is_none()) {
                continue;
            }
            let observer = &composed.drive.observer;
            if let Ok(content) = observer.content(&head, model, &stage.name, &composed.drive.ports).await? {
                behind.extend(data_behind(&branch, model, &content, groups.into_iter()));
            }
        }
    }
    Ok(behind)
}

fn all_groups(composed: &Composed, only: &[ModelName]) -> Vec<(ModelName, crate::model::name::TargetName, GroupName)> {
    let mut groups = Vec::new();
    for model in composed.config.models.values() {
        if !only.is_empty() && !only.contains(&model.name) {
            continue;
        }
        for stage in &composed.config.stages {
            for target in stage.groups.keys() {
                if let Some(group) = model.groups.get(target) {
                    groups.push((model.name.clone(), target.clone(), group.clone()));
                }
            }
        }
    }
    groups
}

/// Shows a group or one of its versions.
pub fn show(
    directory: Option<&Path>,
    group: &str,
    version: Option<&str>,
    model: Option<&str>,
    format: Format,
    limit: usize,
) -> Result<u8, Failure> {
    let place = Place::find(directory, false)?;
    let (composed, _) = open(&place)?;
    let (_, _, group) = find_group(&composed, group, model)?;
    let number = version.map(version_number).transpose()?;
    block_on(async {
        let registry = &composed.drive.ports.registry;
        let look = GroupLook { numbers: number.into_iter().collect(), ..GroupLook::default() };
        let facts = registry.look(&group, &look).await.map_err(|error| Failure::port(&error))?;
        if let Some(number) = number {
            let found = facts.asked.iter().find(|version| version.number == number).ok_or_else(|| {
                let newest = facts.newest.map_or_else(|| "it is empty".to_owned(), |n| format!("its newest is {n}"));
                Failure::usage(format!("{group} has no {number}: {newest}"))
            })?;
            return match format {
                Format::Text => {
                    let attempts = composed.drive.ports.trainer.find(&attempt_names(&composed, found)).await;
                    let attempts = attempts.map_err(|error| Failure::port(&error))?;
                    let current = facts.current_number() == Some(number);
                    let address = |artifact: &Artifact| address::of(&place.home, Some(&composed.config), artifact);
                    let shown = report::terminal::version(found, current, &attempts, &address);
                    print(&format!("{shown}{}", report::terminal::left_out(&left_out(&composed, found))))
                }
                Format::Json => print_json(&shown(&place, &composed, found)),
            };
        }
        let versions = registry.list(&group, None, limit).await.map_err(|error| Failure::port(&error))?;
        match format {
            Format::Text => print(&report::terminal::versions(&facts, &versions)),
            Format::Json => {
                let all: Vec<ShownJson> = versions.iter().map(|version| shown(&place, &composed, version)).collect();
                print_json(&all)
            }
        }
    })?
}

/// A version, with where its first artifact can be opened.
fn shown(place: &Place, composed: &Composed, version: &Version) -> ShownJson {
    let first = version.content.artifacts.first();
    ShownJson::of(version, first.map(|artifact| address::of(&place.home, Some(&composed.config), artifact)))
}

/// Names of trainings are derived: those of all attempts up to the one that made the version.
fn attempt_names(composed: &Composed, version: &Version) -> Vec<TrainingName> {
    let VersionContent { model, fingerprint, lineage, .. } = &version.content;
    let (Some(stage), Some(last)) = (&lineage.stage, lineage.attempt) else { return Vec::new() };
    let project = &composed.config.project;
    (1..=last.min(ATTEMPTS_SHOWN))
        .map(|attempt| TrainingName::derive(project, model, stage, fingerprint.digest(), attempt))
        .collect()
}

/// Says what the training run did not get of what the model watches, where the commit is in this clone.
fn left_out(composed: &Composed, version: &Version) -> Vec<String> {
    let VersionContent { model, lineage, .. } = &version.content;
    let observer = &composed.drive.observer;
    let config = observer.config_at(&lineage.commit).ok();
    let settings = config.as_ref().zip(lineage.stage.as_ref()).and_then(|(config, stage)| {
        config.models.get(model).and_then(|model| model.settings.get(stage)).map(|settings| &settings.watched)
    });
    let found = settings.map(|watched| observer.git().watched_stand_ins(&lineage.commit, watched));
    let found = found.and_then(Result::ok).unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

/// Finds a group by its full name, or by target with a model.
pub(super) fn find_group(
    composed: &Composed,
    group: &str,
    model: Option<&str>,
) -> Result<(ModelName, crate::model::name::TargetName, GroupName), Failure> {
    let model = match model {
        Some(name) => compose::chosen_models(&composed.config, &[name.to_owned()])?.into_iter().next(),
        None => None,
    };
    composed.config.find_group(group, model.as_ref()).map_err(|error| Failure::usage(error.to_string()))
}

/// Parses `12` or `v12`.
pub(super) fn version_number(text: &str) -> Result<VersionNumber, Failure> {
    text.strip_prefix('v').unwrap_or(text).parse().ok().filter(|number| *number > 0).map(VersionNumber).ok_or_else(
        || {
            Failure::usage(format!("`{}` is not a version number", report::terminal::plain(text)))
                .hint("versions are addressed by number: `--version 12`")
        },
    )
}
