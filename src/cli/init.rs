//! `init`: writes a commented `branchline.yaml` from what is found in the repository, and with `--github` the workflow files.
//! Never overwrites.

use crate::adapters::git::Heads;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::named_files;
use crate::cli::named_files::Tree;
use crate::cli::print;
use crate::cli::workflows;
use crate::cli::workflows::PinnedAction;
use crate::config::SourceText;
use crate::config::proposal;
use crate::config::proposal::Seen;
use crate::config::starter;
use crate::config::starter::Found;
use crate::config::starter::FoundModel;
use crate::report::terminal::plain;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

/// Names of the branch that is tested, and of the one that is in production.
const DEVELOPMENT: [&str; 6] = ["dev", "develop", "development", "main", "master", "trunk"];
const PRODUCTION: [&str; 5] = ["prod", "production", "release", "main", "master"];

/// First parts of the names of branches that people work on.
const FEATURES: [&str; 12] = [
    "feature",
    "features",
    "feat",
    "exp",
    "experiment",
    "experiments",
    "model",
    "models",
    "topic",
    "task",
    "wip",
    "try",
];

/// Writes the file; with `github` also the workflow files, for the configuration that is there or was just written.
pub fn init(directory: Option<&Path>, github: bool, action: Option<&str>) -> Result<u8, Failure> {
    let action = action.map(PinnedAction::parse).transpose()?;
    let place = Place::find(directory, false)?;
    let root = place.git.work_dir().ok_or_else(|| {
        Failure::configuration("this repository is bare: there is no working tree to write branchline.yaml into")
    })?;
    let existing = crate::config::FILE_NAMES.into_iter().find(|name| root.join(name).exists());
    match (existing, github) {
        (Some(name), false) => Err(Failure::usage(format!("{name} exists already, and init never overwrites"))
            .hint("check it: branchline check; for the workflow files: branchline init --github")),
        (Some(_), true) => print(&workflow_files(&place, &root, action.as_ref())?),
        (None, _) => {
            let mut text = configuration(&place, &root)?;
            if github {
                text.push_str(&workflow_files(&place, &root, action.as_ref())?);
            }
            let files = if github { "branchline.yaml .github/workflows" } else { "branchline.yaml" };
            text.push_str(&format!(
                "next:\n  branchline check\n  git add {files} && git commit -m \"Let branches drive the model\"\n  branchline plan\n"
            ));
            print(&text)
        }
    }
}

/// Writes `branchline.yaml`, and says what was found, and what of it does not fit the repository yet.
fn configuration(place: &Place, root: &Path) -> Result<String, Failure> {
    let tree = named_files::next_commit(place)?.ok_or_else(|| Failure::configuration("this repository is bare"))?;
    let found = look(place, root, &tree)?;
    let text = starter::starter(&found);
    let path = root.join("branchline.yaml");
    let doing = || format!("write {}", path.display());
    let source = SourceText::new("branchline.yaml", text);
    // The file is tried before it is written: what is said of it is what it says.
    let config = crate::config::load(&source, &source).map_err(|problems| Failure::problems(&problems))?;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(source.text.as_bytes()))
        .map_err(|error| Failure::io(&doing(), &error))?;
    let mut said =
        format!("wrote branchline.yaml: project {}, {}\n{}\n", config.project, trained(&found), branches(&found));
    for note in found.models.iter().filter_map(|model| model.note.as_deref()) {
        said.push_str(&format!("before the first push: {}\n", plain(note)));
    }
    for problem in named_files::problems(&tree, &config, &source).iter().flat_map(|problems| problems.iter()) {
        let (_, problem) = problem;
        let hint = problem.hint.as_deref().map_or_else(String::new, |hint| format!(": {hint}"));
        said.push_str(&format!("before the first push: {}{hint}\n", plain(&problem.message)));
    }
    Ok(said)
}

/// Says what trains.
fn trained(found: &Found) -> String {
    match found.models.as_slice() {
        [] => "no training script found: write its command into the file".to_owned(),
        [FoundModel { training_script: None, .. }] => {
            "no training script found: write its command into the file".to_owned()
        }
        [FoundModel { training_script: Some(script), .. }] => format!("training script {}", plain(script)),
        several => {
            let names: Vec<String> = several.iter().filter_map(|model| model.name.as_deref()).map(plain).collect();
            format!("{} models: {}", several.len(), names.join(", "))
        }
    }
}

/// Writes the workflow files, and says which.
fn workflow_files(place: &Place, root: &Path, action: Option<&PinnedAction>) -> Result<String, Failure> {
    let source = place
        .config_on_disk()?
        .ok_or_else(|| Failure::configuration("there is no branchline.yaml here").hint("write one: branchline init"))?;
    let config = crate::config::load(&source, &source).map_err(|problems| Failure::problems(&problems))?;
    let written = workflows::write(root, &config, action)?;
    let mut text = String::new();
    for name in &written.new {
        text.push_str(&format!("wrote {name}\n"));
    }
    for name in &written.kept {
        text.push_str(&format!("{name} exists already: it stays as it is\n"));
    }
    if action.is_none() && !written.new.is_empty() {
        text.push_str(
            "in each of them `uses: branchline/branchline@0000...` must name a release: its page shows the line to paste\n",
        );
    }
    Ok(text)
}

fn branches(found: &Found) -> String {
    let name = |branch: &Option<String>, otherwise: &str| branch.clone().unwrap_or_else(|| otherwise.to_owned());
    format!(
        "pushes to {} and {} train, merges to {} promote",
        found.feature_patterns.join(", "),
        name(&found.dev_branch, "dev"),
        name(&found.prod_branch, "prod"),
    )
}

fn look(place: &Place, root: &Path, tree: &Tree) -> Result<Found, Failure> {
    let branches: BTreeSet<String> = place
        .git
        .branches(Heads::Local)
        .map_err(|error| Failure::git(&error))?
        .into_iter()
        .map(|(branch, _)| branch.to_string())
        .chain(place.current_branch().ok().map(|(branch, _)| branch.to_string()))
        .collect();
    let dev_branch = DEVELOPMENT.iter().find(|name| branches.contains(**name)).map(|name| (*name).to_owned());
    let prod_branch = PRODUCTION
        .iter()
        .find(|name| branches.contains(**name) && Some(**name) != dev_branch.as_deref())
        .map(|name| (*name).to_owned());
    let read = |path: &str| tree.text(path);
    // What is not added yet may be needed, too, and is named: `git add` is missing. It trains only where nothing else does.
    let all: BTreeSet<String> = tree.files.union(&tree.untracked).cloned().collect();
    let mut models = proposal::models(&Seen { files: &all, candidates: &tree.files, read: &read });
    if models.iter().all(|model| model.training_script.is_none()) {
        models = proposal::models(&Seen { files: &all, candidates: &all, read: &read });
    }
    Ok(Found {
        project: project_name(place, root),
        feature_patterns: feature_patterns(&branches),
        dev_branch,
        prod_branch,
        models,
    })
}

/// The patterns of feature branches: the usual ones, and those that the branches of this repository have.
fn feature_patterns(branches: &BTreeSet<String>) -> Vec<String> {
    let mut patterns = vec!["feature-*".to_owned(), "feature/**".to_owned()];
    for branch in branches {
        for (separator, rest) in [('/', "/**"), ('-', "-*")] {
            let Some((first, _)) = branch.split_once(separator) else { continue };
            let pattern = format!("{first}{rest}");
            if FEATURES.contains(&first) && !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
    }
    patterns
}

/// The repository's name: what a person would have called the project. The first file makes a legal name of it.
fn project_name(place: &Place, root: &Path) -> String {
    let remote = place.git.identity().remote.and_then(|remote| remote.rsplit('/').next().map(str::to_owned));
    let folder = root.file_name().map(|name| name.to_string_lossy().into_owned());
    remote.or(folder).unwrap_or_default()
}
