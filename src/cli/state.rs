//! Which folder is the state directory: what `BRANCHLINE_HOME` names, else `branchline/` in the Git directory that all
//! working trees share.
//!
//! Git never writes there, so no branch can bring, replace or remove it. `.branchline` in the main working tree is only
//! a link for people; it is never followed. A commit that tracks the state directory is refused before anything is opened.

use crate::adapters::git::GitRepository;
use crate::adapters::local::Home;
use crate::cli::failure::Failure;
use crate::cli::notice;
use crate::model::git::ObjectId;
use std::fs;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

/// The link in the main working tree, and the folder that earlier releases kept the state in.
const LINK: &str = ".branchline";

/// The state directory of a repository.
#[derive(Debug, Clone)]
pub(super) struct StateDirectory {
    /// The folder.
    pub(super) root: PathBuf,
    /// Where people find it in the main working tree.
    link: Option<PathBuf>,
    /// Where it moves with the next run: an earlier release made it in the working tree.
    moves_to: Option<PathBuf>,
}

impl StateDirectory {
    /// Finds it without opening it. `named`: what `BRANCHLINE_HOME` says, as an absolute path.
    pub(super) fn find(git: &GitRepository, named: Option<PathBuf>) -> Result<Self, Failure> {
        refuse_tracked(git, None)?;
        if let Some(root) = named {
            refuse_tracked_home(git, &root)?;
            return Ok(Self { root, link: None, moves_to: None });
        }
        let root = git.common_dir().join("branchline");
        if fs::symlink_metadata(&root).is_ok_and(|about| about.file_type().is_symlink()) {
            return Err(Failure::configuration(format!("the state directory {} is a symbolic link", root.display()))
                .hint("remove the link, or name the folder that it leads to: BRANCHLINE_HOME=FOLDER"));
        }
        let link = git.main_work_dir().map(|work_dir| work_dir.join(LINK));
        match link {
            Some(old) if !Home::at(root.clone()).exists() && is_state(&old) => {
                Ok(Self { root: old, link: None, moves_to: Some(root) })
            }
            link => Ok(Self { root, link, moves_to: None }),
        }
    }

    /// Returns the folder with its layout.
    pub(super) fn home(&self) -> Home {
        let home = Home::at(self.root.clone());
        match &self.link {
            Some(link) => home.with_link(link.clone()),
            None => home,
        }
    }

    /// Moves what an earlier release made in the working tree to where Git cannot overwrite it, unless something is
    /// running there. Only a run that may write calls this.
    pub(super) fn settle(&mut self) {
        let Some(to) = self.moves_to.take() else { return };
        let old = self.root.clone();
        let is_quiet =
            fs::read_dir(Home::at(old.clone()).open_locks()).map_or(true, |mut locks| locks.next().is_none());
        if !is_quiet {
            notice(&format!(
                "note: {} stays in use while a training run is open there; the next run moves it to {}",
                old.display(),
                to.display()
            ));
            return;
        }
        match fs::rename(&old, &to) {
            Ok(()) => {
                notice(&format!(
                    "note: moved the state directory from {} to {}, where Git cannot overwrite it",
                    old.display(),
                    to.display()
                ));
                *self = Self { root: to, link: Some(old), moves_to: None };
                self.home().link();
            }
            Err(error) => notice(&format!(
                "note: {} stays the state directory: it could not be moved to {} ({error}). Set BRANCHLINE_HOME to a \
                 folder outside of the working tree.",
                old.display(),
                to.display()
            )),
        }
    }
}

/// Tells whether a folder in the working tree is a state directory: a real one, and not the link to it.
fn is_state(folder: &Path) -> bool {
    let is_folder = fs::symlink_metadata(folder).is_ok_and(|about| about.is_dir());
    is_folder && (folder.join("branchline.db").is_file() || folder.join("trainings").is_dir())
}

/// Refuses a commit that tracks `.branchline`: whoever checks it out would get a state directory that somebody else
/// made. `None`: what is checked out, and what is staged.
pub(super) fn refuse_tracked(git: &GitRepository, commit: Option<&ObjectId>) -> Result<(), Failure> {
    let tracked = git.tracks(commit, LINK).map_err(|error| Failure::git(&error))?;
    match tracked {
        Some(by) => Err(refusal(&by.to_string(), LINK)),
        None => Ok(()),
    }
}

/// Refuses a `BRANCHLINE_HOME` that a working tree brings: the tree itself, what Git tracks in it, and what a link leads
/// to there, in this working tree or in any other.
fn refuse_tracked_home(git: &GitRepository, home: &Path) -> Result<(), Failure> {
    refuse_home_in(git, home)?;
    let Ok(real) = fs::canonicalize(home) else { return Ok(()) };
    match GitRepository::discover(&real) {
        Ok(around) => refuse_home_in(&around, &real),
        // It lies in no repository, or in one that is not this user's.
        Err(_) => Ok(()),
    }
}

fn refuse_home_in(git: &GitRepository, home: &Path) -> Result<(), Failure> {
    let Some(work_dir) = git.work_dir() else { return Ok(()) };
    let Ok(inside) = home.strip_prefix(&work_dir) else { return Ok(()) };
    let parts: Option<Vec<&str>> = inside
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let Some(parts) = parts else { return Ok(()) };
    if parts.is_empty() {
        return Err(Failure::configuration(format!(
            "BRANCHLINE_HOME names the working tree {}: each commit could bring a registry of its own",
            work_dir.display()
        ))
        .hint("set BRANCHLINE_HOME to a folder outside of the working tree, or leave it out"));
    }
    let path = parts.join("/");
    match git.tracks(None, &path).map_err(|error| Failure::git(&error))? {
        Some(by) => Err(refusal(&by.to_string(), &path)),
        None => Ok(()),
    }
}

fn refusal(by: &str, path: &str) -> Failure {
    Failure::configuration(format!(
        "{by} tracks `{path}`, the place of Branchline's state directory: registry, artifacts and training runs are \
         never taken from a commit"
    ))
    .hint(format!("remove it from Git, and keep the files: git rm -r --cached {path} && git commit"))
    .hint("or set BRANCHLINE_HOME to a folder outside of the working tree, and remove it from Git all the same")
}
