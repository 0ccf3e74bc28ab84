//! The files of the next commit: what the index holds, and what lies beside it untracked and not ignored.
//!
//! For commands that look at a working tree before anything is committed. Whatever acts reads a commit instead.

use crate::adapters::git::error::GitError;
use crate::adapters::git::error::failed;
use crate::adapters::git::open::GitRepository;
use crate::adapters::git::uncommitted::OWN_FOLDER;
use crate::adapters::git::watch::Selector;
use crate::adapters::git::watch::is_in;
use crate::model::settings::Watched;
use git2::StatusOptions;
use git2::StatusShow;
use std::collections::BTreeSet;

/// The files of the next commit, by path. Names that are not UTF-8 are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NextCommit {
    /// What the index holds: the files of the next commit.
    pub tracked: BTreeSet<String>,
    /// What lies in the working tree, is not tracked, and is not ignored.
    pub untracked: BTreeSet<String>,
}

/// Which files watched paths cover, and which of the paths cover nothing.
pub struct Coverage(Selector);

impl GitRepository {
    /// Lists the files of the next commit. A bare repository has none.
    pub fn next_commit(&self) -> Result<NextCommit, GitError> {
        let repo = self.repo();
        if self.work_dir().is_none() {
            return Ok(NextCommit::default());
        }
        let mut index = repo.index().map_err(|error| failed(&repo, "read the index", error))?;
        index.read(false).map_err(|error| failed(&repo, "read the index", error))?;
        let tracked = index.iter().filter_map(|entry| String::from_utf8(entry.path).ok()).collect();
        let mut options = StatusOptions::new();
        options.show(StatusShow::Workdir).include_untracked(true).recurse_untracked_dirs(true).exclude_submodules(true);
        let statuses =
            repo.statuses(Some(&mut options)).map_err(|error| failed(&repo, "list the untracked files", error))?;
        let untracked = statuses
            .iter()
            .filter(|entry| entry.status().is_wt_new() && !is_in(entry.path_bytes(), OWN_FOLDER))
            .filter_map(|entry| entry.path().ok().map(str::to_owned))
            .collect();
        Ok(NextCommit { tracked, untracked })
    }
}

impl Coverage {
    /// Compiles watched paths. Fails where a glob cannot be read.
    pub fn of(watched: &Watched) -> Result<Self, GitError> {
        Selector::new(watched).map(Self)
    }

    /// Tells whether the paths cover the file at `path`.
    pub fn covers(&self, path: &str) -> bool {
        self.0.covers(path.as_bytes())
    }
}
