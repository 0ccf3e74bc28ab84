//! `init`: writes a commented `branchline.yaml` from what is found in the repository, and with `--github` the workflow files.
//! Never overwrites.

use crate::adapters::git::Heads;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::cli::workflows;
use crate::cli::workflows::PinnedAction;
use crate::config::starter;
use crate::config::starter::Found;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

/// Likely names of a training script, best first.
const SCRIPTS: [&str; 8] = [
    "train.py",
    "src/train.py",
    "training/train.py",
    "model/train.py",
    "scripts/train.py",
    "src/training/train.py",
    "main.py",
    "train.sh",
];

/// Files that fix the versions of what a script imports.
const LOCKS: [&str; 8] = [
    "requirements.txt",
    "requirements.lock",
    "uv.lock",
    "poetry.lock",
    "Pipfile.lock",
    "pdm.lock",
    "pyproject.toml",
    "environment.yml",
];

/// Likely places of data, best first.
const DATA: [&str; 5] = ["data/train.csv", "data/train", "data", "train.csv", "datasets"];

/// Names of the branch that is tested, and of the one that is in production.
const DEVELOPMENT: [&str; 4] = ["dev", "develop", "development", "main"];
const PRODUCTION: [&str; 5] = ["prod", "production", "release", "main", "master"];

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

/// Writes `branchline.yaml`, and says what was found.
fn configuration(place: &Place, root: &Path) -> Result<String, Failure> {
    let found = look(place, root)?;
    let text = starter::starter(&found);
    let path = root.join("branchline.yaml");
    let doing = || format!("write {}", path.display());
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::io(&doing(), &error))?;
    Ok(format!(
        "wrote branchline.yaml: project {}, {}\n{}\n",
        found.project,
        match &found.training_script {
            Some(script) => format!("training script {script}"),
            None => "no training script found: write its command into the file".to_owned(),
        },
        branches(&found),
    ))
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

fn look(place: &Place, root: &Path) -> Result<Found, Failure> {
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
    let script = SCRIPTS.iter().find(|path| root.join(path).is_file()).map(|path| (*path).to_owned());
    let mut watched: Vec<String> = script.iter().cloned().collect();
    if let Some(script) = &script {
        watched.extend(imported(root, script));
    }
    watched.extend(LOCKS.iter().filter(|path| root.join(path).is_file()).map(|path| (*path).to_owned()));
    watched.dedup();
    let data = DATA.iter().find(|path| root.join(path).exists()).map(|path| (*path).to_owned());
    let command = match &script {
        Some(script) if script.ends_with(".sh") => format!("sh {script}"),
        Some(script) => format!("python3 {script}"),
        None => "python3 train.py".to_owned(),
    };
    Ok(Found {
        project: project_name(place, root),
        feature_patterns: vec!["feature-*".to_owned(), "feature/**".to_owned()],
        dev_branch,
        prod_branch,
        training_script: script,
        command,
        watched,
        data,
        metrics: Vec::new(),
    })
}

/// Local modules and packages that a script imports: they are part of the model too.
fn imported(root: &Path, script: &str) -> Vec<String> {
    let Ok(text) = std::fs::read_to_string(root.join(script)) else { return Vec::new() };
    let folder = Path::new(script).parent().unwrap_or(Path::new(""));
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some("import" | "from"), Some(module)) = (words.next(), words.next()) else { continue };
        let top = module.trim_start_matches('.').split(['.', ',']).next().unwrap_or("");
        if top.is_empty() || !top.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        for base in [folder, Path::new("")] {
            let file = base.join(format!("{top}.py"));
            let package = base.join(top);
            if root.join(&file).is_file() {
                found.insert(file.display().to_string());
            } else if root.join(&package).is_dir() {
                found.insert(format!("{}/", package.display()));
            }
        }
    }
    found.into_iter().filter(|path| path != script).collect()
}

/// The repository's name as a project name: what a person would have called it.
fn project_name(place: &Place, root: &Path) -> String {
    let remote = place.git.identity().remote.and_then(|remote| remote.rsplit('/').next().map(str::to_owned));
    let folder = root.file_name().map(|name| name.to_string_lossy().into_owned());
    let text = remote.or(folder).unwrap_or_default();
    let clean: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' }).collect();
    let clean = clean.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
    if clean.is_empty() { "model".to_owned() } else { clean.chars().take(40).collect() }
}
