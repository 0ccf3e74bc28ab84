//! What a first configuration says of the models of a repository: one model for each thing that trains, its command, and
//! what that command needs.
//!
//! Everything follows from the names and the texts of the repository's files; a caller lists and reads them. A proposal
//! is for a person to correct, so an unusual repository gets a plain answer and never an error.

mod closure;
mod data;
mod dvc;
mod pipelines;
mod python;
mod scripts;
#[cfg(test)]
mod tests;

use crate::config::proposal::closure::Closure;
use crate::config::proposal::scripts::Script;
use crate::config::starter::FoundModel;
use crate::model::command::FileKind;
use crate::model::command::Files;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Folders that hold one model or package in each of their folders.
const CONTAINERS: [&str; 11] = [
    "models",
    "packages",
    "projects",
    "services",
    "apps",
    "libs",
    "pipelines",
    "experiments",
    "ml",
    "src",
    "components",
];

/// More models than this are not proposed: a person chooses.
const MAX_MODELS: usize = 50;

/// The files of a repository.
pub struct Seen<'a> {
    /// Their paths from the root: what a script may need.
    pub files: &'a BTreeSet<String>,
    /// Those of them that may be the training script.
    pub candidates: &'a BTreeSet<String>,
    /// Reads one of them, if it is text.
    pub read: &'a dyn Fn(&str) -> Option<String>,
}

impl Files for Seen<'_> {
    fn kind(&self, path: &str) -> Option<FileKind> {
        if self.files.contains(path) {
            return Some(FileKind::File);
        }
        self.below(path).next().map(|_| FileKind::Folder)
    }

    fn is_watched(&self, _: &str) -> bool {
        true
    }

    fn text(&self, path: &str) -> Option<String> {
        self.files.contains(path).then(|| (self.read)(path)).flatten()
    }
}

impl Seen<'_> {
    /// Returns the files below a folder; the empty path is the root.
    fn below<'s>(&'s self, folder: &str) -> impl Iterator<Item = &'s str> {
        let inside = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let from = self.files.range(inside.clone()..);
        from.take_while(move |file| file.starts_with(&inside)).map(String::as_str)
    }

    fn has(&self, path: &str) -> bool {
        self.files.contains(path)
    }
}

/// A part of the repository that is one model.
struct Unit {
    /// The model's name; `None`: that of the project.
    name: Option<String>,
    /// Its folder; empty for the root.
    folder: String,
}

/// Proposes the models of a repository; one without a script where nothing that trains was found.
pub fn models(seen: &Seen<'_>) -> Vec<FoundModel> {
    let scripts = scripts::all(seen);
    let mut models: Vec<FoundModel> = units(seen, &scripts).iter().map(|unit| propose(seen, unit, &scripts)).collect();
    if models.len() > 1 {
        models.retain(|model| model.training_script.is_some());
    }
    models.truncate(MAX_MODELS);
    models
}

/// Finds the folders that are a model each: those of a container with a training script of their own, if there are two.
fn units(seen: &Seen<'_>, scripts: &[Script]) -> Vec<Unit> {
    let root = || vec![Unit { name: None, folder: String::new() }];
    if seen.has("dvc.yaml") {
        return root();
    }
    let declared = seen.files.iter().filter(|file| file.ends_with("/pyproject.toml"));
    let declared = declared.filter(|file| pipelines::training_entry(seen, file).is_some()).map(String::as_str);
    let trains = scripts.iter().filter(|script| script.is_entry()).map(|script| script.path.as_str());
    let mut by_container: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for path in trains.chain(declared) {
        let mut parts = path.split('/');
        if let (Some(container), Some(member), Some(_)) = (parts.next(), parts.next(), parts.next())
            && CONTAINERS.contains(&container)
        {
            by_container.entry(container).or_default().insert(member);
        }
    }
    let several = by_container.into_iter().find(|(_, members)| members.len() > 1);
    if let Some((container, members)) = several {
        let unit = |member: &&str| Unit { name: Some((*member).to_owned()), folder: format!("{container}/{member}") };
        return members.iter().map(unit).collect();
    }
    // Folders of the root with a training script right inside: a model each.
    let direct: BTreeSet<&str> =
        scripts.iter().filter(|script| script.is_entry()).filter_map(|script| member_of_root(&script.path)).collect();
    if direct.len() > 1 && scripts.iter().all(|script| script.path.contains('/') || !script.is_entry()) {
        let unit = |member: &&str| Unit { name: Some((*member).to_owned()), folder: (*member).to_owned() };
        return direct.iter().map(unit).collect();
    }
    root()
}

/// The folder of a file that lies in a folder of the root.
fn member_of_root(path: &str) -> Option<&str> {
    let (folder, file) = path.split_once('/')?;
    let ordinary = !CONTAINERS.contains(&folder) && folder != "scripts" && folder != "training";
    (ordinary && !file.contains('/')).then_some(folder)
}

/// Proposes one model.
fn propose(seen: &Seen<'_>, unit: &Unit, scripts: &[Script]) -> FoundModel {
    let (stage, note) = match dvc::stage(seen, unit, scripts) {
        Some(Ok(start)) => (Some(start), None),
        Some(Err(note)) => (None, Some(note)),
        None => (None, None),
    };
    let begun = stage
        .or_else(|| pipelines::make_target(seen, unit, scripts))
        .or_else(|| pipelines::entry(seen, unit))
        .or_else(|| scripts::best(unit, scripts));
    let Some(start) = begun else {
        return FoundModel { name: unit.name.clone(), note, ..FoundModel::default() };
    };
    let mut closure = Closure::of(seen, unit, &start);
    closure.watch_locks(seen, unit);
    let command = start.command(seen, unit, &closure);
    let mut watched = vec![start.script.clone()];
    watched.extend(start.needs.iter().cloned());
    watched.extend(closure.watched.iter().cloned());
    let mut seen_paths = BTreeSet::new();
    watched.retain(|path| seen_paths.insert(path.clone()));
    let data = start.data.clone().or_else(|| data::found(seen, unit, &closure));
    // What is data is not code, also where the script names it.
    watched.retain(|path| Some(path) != data.as_ref());
    FoundModel {
        name: unit.name.clone(),
        training_script: Some(start.script),
        command,
        watched,
        data,
        metrics: start.metrics,
        note,
    }
}

/// How training seems to begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Start {
    /// The file that the command names or leads to.
    script: String,
    /// How it is begun.
    how: How,
    /// Files and folders that are named beside it.
    needs: Vec<String>,
    /// Where its data seem to be.
    data: Option<String>,
    /// Names of the metrics that it seems to write.
    metrics: Vec<String>,
}

/// How a script is begun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum How {
    /// As a file of its kind.
    #[default]
    Script,
    /// With a command line that the repository writes down itself.
    Written(String),
    /// By calling a function of a module.
    Function {
        /// The module, with dots.
        module: String,
        /// The function.
        function: String,
    },
}

impl Start {
    /// Writes the command. It ends with the script's path wherever the program allows that, for people and for checks.
    fn command(&self, seen: &Seen<'_>, unit: &Unit, closure: &Closure) -> String {
        let script = quoted(&self.script);
        match &self.how {
            How::Written(line) => python::prefixed(&python3(line), closure),
            How::Function { module, function } => {
                let call = format!("import sys; from {module} import {function}; sys.exit({function}())");
                let line = format!("{} -c {} # {}", python::program(seen, unit), quoted(&call), self.script);
                python::prefixed(&line, closure)
            }
            How::Script => match scripts::ending(&self.script) {
                "py" if closure.relative_imports => match &closure.module {
                    Some(module) => {
                        let line = format!("{} -m {module} # {}", python::program(seen, unit), self.script);
                        python::prefixed(&line, closure)
                    }
                    None => format!("{} {script}", python::program(seen, unit)),
                },
                "py" => python::prefixed(&format!("{} {script}", python::program(seen, unit)), closure),
                "r" => format!("Rscript {script}"),
                "jl" if seen.has("Project.toml") => format!("julia --project=. {script}"),
                "jl" => format!("julia {script}"),
                "ipynb" => python::prefixed(&scripts::notebook_command(seen, &self.script), closure),
                _ => python::prefixed(&format!("{} {script}", scripts::shell(seen, &self.script)), closure),
            },
        }
    }
}

/// `python` is not everywhere; `python3` is, also in virtual environments.
fn python3(line: &str) -> String {
    line.strip_prefix("python ").map_or_else(|| line.to_owned(), |rest| format!("python3 {rest}"))
}

/// Writes a word so that a shell reads exactly it.
fn quoted(word: &str) -> String {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '=' | ':' | '+'));
    if plain && !word.is_empty() { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Joins a folder and a path below it.
fn join(folder: &str, path: &str) -> String {
    match (folder.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (false, true) => folder.to_owned(),
        (false, false) => format!("{folder}/{path}"),
    }
}

/// The folder that a file lies in.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
