//! `check` and `config show`: what the configuration says, and what it means.

use crate::adapters::aws::policy::Conflict;
use crate::adapters::aws::policy::conflicts;
use crate::cli::args::Format;
use crate::cli::compose;
use crate::cli::failure;
use crate::cli::failure::Failure;
use crate::cli::log;
use crate::cli::named_files;
use crate::cli::print;
use crate::cli::print_json;
use crate::config::Config;
use crate::config::Problems;
use crate::config::SourceText;
use crate::config::problem::Place;
use crate::config::problem::Problem;
use crate::config::route::Route;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::name::GroupName;
use crate::model::name::StageName;
use crate::model::stage::Does;
use crate::report::branch::BranchJson;
use crate::report::json::JSON_SCHEMA;
use crate::report::terminal::plain;
use serde::Serialize;
use std::path::Path;

/// Checks the file on disk, and answers what a branch reaches under it.
pub fn check(
    directory: Option<&Path>,
    file: Option<&Path>,
    branch: Option<&str>,
    format: Format,
) -> Result<u8, Failure> {
    let (source, place) = match file {
        Some(path) => {
            let path = directory.map_or_else(|| path.to_path_buf(), |directory| directory.join(path));
            let bytes = std::fs::read(&path)
                .map_err(|error| Failure::configuration(format!("could not read {}: {error}", path.display())))?;
            let source = SourceText::of_bytes(path.display().to_string(), &bytes);
            match compose::Place::find(directory, false) {
                Ok(place) => (place.with_included(source)?, Some(place)),
                Err(_) => (source, None),
            }
        }
        None => {
            let place = compose::Place::find(directory, false)?;
            (on_disk(&place)?, Some(place))
        }
    };
    let config = match crate::config::load(&source, &source) {
        Ok(config) => config,
        Err(problems) => return invalid(&source, &problems, format),
    };
    if let Some(problems) = unsafe_roles(&config, &source) {
        return invalid(&source, &problems, format);
    }
    if let Some(name) = branch {
        let answer = explain_branch(&config, name)?;
        return match format {
            Format::Text => print(&answer.text()),
            Format::Json => print_json(&answer),
        };
    }
    let next = place.as_ref().map(named_files::next_commit).transpose()?.flatten();
    if let Some(problems) = next.and_then(|next| named_files::problems(&next, &config, &source)) {
        return invalid(&source, &problems, format);
    }
    match format {
        Format::Text => print(&valid(&source, &config)),
        Format::Json => print_json(&CheckJson::valid(&source, &config)),
    }
}

fn invalid(source: &SourceText, problems: &Problems, format: Format) -> Result<u8, Failure> {
    match format {
        Format::Text => Err(Failure::problems(problems)),
        Format::Json => {
            print_json(&CheckJson::invalid(source, problems))?;
            Ok(failure::CONFIGURATION)
        }
    }
}

/// Says by which roles a lower stage could change what a higher one decides over. Only `check` and `doctor` say it: a
/// run cannot know whom IAM lets assume a role.
fn unsafe_roles(config: &Config, source: &SourceText) -> Option<Problems> {
    config.cloud.as_ref()?;
    let problem = |conflict: Conflict| {
        let route = match &conflict {
            Conflict::SharedRole { higher: stage, .. } | Conflict::TrainingWrites { stage, .. } => {
                role_route(config, stage, "assume_role_arn")
            }
            Conflict::ReaderWrites { stage, .. } => role_route(config, stage, "read_role_arn"),
            Conflict::Checkpoints { .. } => Route::of(&["models"]),
            Conflict::Branches { higher, .. } => Route::of(&["stages", higher.as_str(), "branches"]),
        };
        let place = config.span(&route).map_or(Place::START, |(_, place)| place);
        Problem { place, message: conflict.to_string(), hint: Some(conflict.hint()), route }
    };
    let list: Vec<Problem> = conflicts(config).into_iter().map(problem).collect();
    (!list.is_empty()).then(|| Problems { files: crate::config::by_file(source, &list) })
}

/// Where the role of a stage is written.
fn role_route(config: &Config, stage: &StageName, key: &str) -> Route {
    if config.accounts.contains_key(stage) {
        Route::of(&["accounts", stage.as_str(), key])
    } else {
        Route::of(&["backend", "sagemaker", key])
    }
}

fn explain_branch(config: &Config, name: &str) -> Result<BranchJson, Failure> {
    let branch = BranchName::parse(name).map_err(|error| Failure::usage(plain(&error.to_string())))?;
    let groups: Vec<_> =
        config.groups().map(|(model, target, group)| (model.to_string(), target.clone(), group.to_string())).collect();
    Ok(BranchJson::of(&branch, &config.stages, config.stage_of_branch(&branch), &groups))
}

fn valid(source: &SourceText, config: &Config) -> String {
    let mut text = format!("{} is valid: project {}\n", source.file, config.project);
    for stage in &config.stages {
        let does = match &stage.does {
            Does::Train { .. } => "trains".to_owned(),
            Does::Promote { from } => {
                let names: Vec<&str> = from.iter().map(|name| name.as_str()).collect();
                format!("promotes from {}", names.join(", "))
            }
        };
        let targets: Vec<&str> = stage.groups.keys().map(|target| target.as_str()).collect();
        text.push_str(&format!("  {} ({}) {does} into {}\n", stage.name, stage.branches, targets.join(" and ")));
    }
    for model in config.models.values() {
        let groups: Vec<&str> = model.groups.values().map(GroupName::as_str).collect();
        text.push_str(&format!("  model {}: groups {}\n", model.name, groups.join(", ")));
    }
    text
}

pub(super) fn on_disk(place: &compose::Place) -> Result<SourceText, Failure> {
    place
        .config_on_disk()?
        .ok_or_else(|| Failure::configuration("there is no branchline.yaml here").hint("write one: branchline init"))
}

#[derive(Serialize)]
struct CheckJson {
    schema: u32,
    file: String,
    valid: bool,
    project: Option<String>,
    problems: Vec<ProblemJson>,
}

#[derive(Serialize)]
struct ProblemJson {
    file: String,
    line: usize,
    column: usize,
    message: String,
    hint: Option<String>,
}

impl CheckJson {
    fn valid(source: &SourceText, config: &Config) -> Self {
        Self {
            schema: JSON_SCHEMA,
            file: source.file.clone(),
            valid: true,
            project: Some(config.project.to_string()),
            problems: Vec::new(),
        }
    }

    fn invalid(source: &SourceText, problems: &Problems) -> Self {
        let problems = problems.iter().map(|(file, problem)| ProblemJson {
            file: file.to_owned(),
            line: problem.place.line,
            column: problem.place.column,
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        });
        Self {
            schema: JSON_SCHEMA,
            file: source.file.clone(),
            valid: false,
            project: None,
            problems: problems.collect(),
        }
    }
}

/// Which file `config show` shows.
pub struct Shown<'a> {
    /// That of a branch's head.
    pub branch: Option<&'a str>,
    /// That of a commit.
    pub commit: Option<&'a str>,
    /// With every default filled in.
    pub resolved: bool,
    /// How to answer.
    pub format: Format,
}

#[derive(Serialize)]
struct ShownJson {
    schema: u32,
    file: String,
    commit: Option<CommitSha>,
    text: String,
    resolved: serde_json::Value,
}

/// Shows the configuration: the file on disk, or that of a branch or a commit.
pub fn config_show(directory: Option<&Path>, shown: &Shown<'_>) -> Result<u8, Failure> {
    let place = compose::Place::find(directory, false)?;
    let commit = match (shown.branch, shown.commit) {
        (_, Some(text)) => Some(place.git.resolve_commit(text).map_err(|error| Failure::git(&error))?),
        (Some(branch), None) => Some(log::start(&place, Some(branch))?.1),
        (None, None) => None,
    };
    let source = match &commit {
        Some(commit) => place.config_text(commit)?.ok_or_else(|| place.no_config(commit))?,
        None => on_disk(&place)?,
    };
    if shown.format == Format::Text && !shown.resolved {
        // As it is, also where it has problems: `check` names them.
        return print(&source.text.lines().map(|line| format!("{}\n", plain_line(line))).collect::<String>());
    }
    let config = crate::config::load(&source, &source).map_err(|problems| Failure::problems(&problems))?;
    match shown.format {
        Format::Text => print(&crate::config::resolved_yaml(&config)),
        Format::Json => print_json(&ShownJson {
            schema: JSON_SCHEMA,
            file: source.file.clone(),
            commit,
            text: source.text,
            resolved: crate::config::resolved_json(&config),
        }),
    }
}

/// A line of a file of a commit, which may be a stranger's: tabs stay, nothing moves the cursor.
fn plain_line(line: &str) -> String {
    line.split('\t').map(plain).collect::<Vec<_>>().join("\t")
}
