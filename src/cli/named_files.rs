//! What a configuration names in the repository: files that the next commit does not have, and files that a training
//! run would not get. For commands that look at the working tree; a run judges its commit (`observe`).

use crate::adapters::git::Coverage;
use crate::adapters::git::NextCommit;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::config::Problem;
use crate::config::Problems;
use crate::config::Route;
use crate::config::SourceText;
use crate::model::command::FileKind;
use crate::model::command::FileProblem;
use crate::model::command::Files;
use crate::model::command::UnusableFile;
use crate::model::command::unusable;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::settings::Watched;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Largest file that is read to judge a command, in bytes: a project file, never data.
const MAX_TEXT: u64 = 1 << 20;

/// The files of a working tree, as far as the next commit will have them.
pub(super) struct Tree {
    /// The root of the working tree.
    pub(super) root: PathBuf,
    /// What the next commit holds. In a repository where nothing was ever added: everything that is not ignored.
    pub(super) files: BTreeSet<String>,
    /// What lies beside it.
    pub(super) untracked: BTreeSet<String>,
}

/// Lists the files; `None` in a bare repository.
pub(super) fn next_commit(place: &Place) -> Result<Option<Tree>, Failure> {
    let Some(root) = place.git.work_dir() else { return Ok(None) };
    let NextCommit { tracked, untracked } = place.git.next_commit().map_err(|error| Failure::git(&error))?;
    let (files, untracked) = if tracked.is_empty() { (untracked, BTreeSet::new()) } else { (tracked, untracked) };
    Ok(Some(Tree { root, files, untracked }))
}

impl Tree {
    /// Tells what stands at a path.
    pub(super) fn kind(&self, path: &str) -> Option<FileKind> {
        kind(&self.files, path)
    }

    /// Reads a file of the working tree.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let path = self.root.join(path);
        let meta = path.symlink_metadata().ok()?;
        if !meta.is_file() || meta.len() > MAX_TEXT {
            return None;
        }
        std::fs::read(path).ok().and_then(|bytes| String::from_utf8(bytes).ok())
    }
}

fn kind(files: &BTreeSet<String>, path: &str) -> Option<FileKind> {
    if files.contains(path) {
        return Some(FileKind::File);
    }
    let inside = format!("{path}/");
    let next = files.range(inside.clone()..).next();
    next.filter(|file| file.starts_with(&inside)).map(|_| FileKind::Folder)
}

/// The tree, and what of it a model watches.
struct Watching<'a> {
    tree: &'a Tree,
    coverage: Coverage,
}

impl Files for Watching<'_> {
    fn kind(&self, path: &str) -> Option<FileKind> {
        self.tree.kind(path)
    }

    fn is_watched(&self, path: &str) -> bool {
        self.coverage.covers(path)
    }

    fn text(&self, path: &str) -> Option<String> {
        self.tree.text(path)
    }
}

/// Finds every file that a configuration names and that a training run would not find.
pub(super) fn problems(tree: &Tree, config: &Config, source: &SourceText) -> Option<Problems> {
    let mut list = Vec::new();
    for model in config.models.values() {
        for (stage, settings) in &model.settings {
            let Ok(coverage) = Coverage::of(&settings.watched) else { continue };
            let watching = Watching { tree, coverage };
            let unusable = settings.command.as_deref().and_then(|command| unusable(command, &watching));
            if let Watched::Paths(paths) = &settings.watched {
                // One sentence about a file is enough.
                let said = unusable.as_ref().map(|file| file.path.as_str());
                list.extend(missing_paths(tree, config, &model.name, paths, said));
            }
            list.extend(unusable.map(|file| command_problem(tree, config, &model.name, stage, &file)));
        }
    }
    if list.is_empty() {
        return None;
    }
    Some(Problems { files: crate::config::by_file(source, &list) })
}

fn missing_paths(
    tree: &Tree,
    config: &Config,
    model: &ModelName,
    paths: &[String],
    said: Option<&str>,
) -> Vec<Problem> {
    let missing = paths.iter().filter(|path| said != Some(path.as_str())).filter(|path| {
        let own = Coverage::of(&Watched::Paths(vec![(*path).clone()]));
        own.is_ok_and(|own| !tree.files.iter().any(|file| own.covers(file)))
    });
    missing
        .map(|path| {
            let message = format!("the path `{path}` of the model `{model}` is not in the commit");
            problem(config, Route::paths(model), message, to_commit(tree, path, "`paths`"))
        })
        .collect()
}

fn command_problem(tree: &Tree, config: &Config, model: &ModelName, stage: &StageName, file: &UnusableFile) -> Problem {
    let own = Route::model(model);
    let of_stage = own.key("stages").key(stage.as_str()).key("train").key("command");
    let route = if config.is_written(&of_stage) { of_stage } else { own.key("train").key("command") };
    let path = &file.path;
    let (message, hint) = match file.problem {
        FileProblem::NotInCommit => (
            format!("the command of the model `{model}` names `{path}`, which is not in the commit"),
            to_commit(tree, path, "the command"),
        ),
        FileProblem::NotWatched => (
            format!("the command of the model `{model}` names `{path}`, but `paths` does not cover it"),
            format!("training gets only what `paths` covers: add `{path}` to `paths`"),
        ),
    };
    problem(config, route, message, hint)
}

/// Says how a file comes into the commit: it may lie there, uncommitted or ignored.
fn to_commit(tree: &Tree, path: &str, names: &str) -> String {
    if kind(&tree.untracked, path).is_some() {
        return format!("`{path}` is not tracked yet: git add it, and commit it with branchline.yaml");
    }
    let on_disk = !path.starts_with("..") && tree.root.join(path).symlink_metadata().is_ok();
    if on_disk {
        return format!("Git ignores `{path}`: training gets only what is committed");
    }
    format!("commit the file, or correct {names}")
}

fn problem(config: &Config, route: Route, message: String, hint: String) -> Problem {
    let place = config.span(&route).map_or(crate::config::Place::START, |(_, place)| place);
    Problem { place, message, hint: Some(hint), route }
}
