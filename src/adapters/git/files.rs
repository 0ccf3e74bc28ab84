//! The files of the next commit: what the index holds, and what lies beside it untracked and not ignored.
//!
//! For commands that look at a working tree before anything is committed. Whatever acts reads a commit instead.

use crate::adapters::git::error::GitError;
use crate::adapters::git::error::failed;
use crate::adapters::git::index::index;
use crate::adapters::git::open::GitRepository;
use crate::adapters::git::uncommitted::OWN_FOLDER;
use crate::adapters::git::watch::Selector;
use crate::adapters::git::watch::is_in;
use crate::model::settings::Watched;
use git2::Repository;
use git2::StatusOptions;
use git2::StatusShow;
use std::collections::BTreeSet;
use std::path::Path;

/// The files of the next commit, by path. In names that are not UTF-8, U+FFFD stands for what cannot be read.
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
        let Some(work_dir) = self.work_dir() else { return Ok(NextCommit::default()) };
        list(&self.repo(), &work_dir)
    }
}

fn list(repo: &Repository, work_dir: &Path) -> Result<NextCommit, GitError> {
    let index = index(repo, work_dir)?;
    let tracked = index.iter().map(|entry| shown(&entry.path)).collect();
    let mut options = StatusOptions::new();
    options.show(StatusShow::Workdir).include_untracked(true).recurse_untracked_dirs(true).exclude_submodules(true);
    let statuses =
        repo.statuses(Some(&mut options)).map_err(|error| failed(repo, "list the untracked files", error))?;
    let untracked = statuses
        .iter()
        .filter(|entry| entry.status().is_wt_new() && !is_in(entry.path_bytes(), OWN_FOLDER))
        .map(|entry| shown(entry.path_bytes()))
        .collect();
    Ok(NextCommit { tracked, untracked })
}

/// A path as it is shown. One that is not UTF-8 still counts for the folder that it lies in.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::git::Uncommitted;
    use std::process::Command;
    use std::process::Stdio;

    fn git(folder: &Path, args: &[&str]) {
        let mut command = Command::new("git");
        command.arg("-C").arg(folder).args(["-c", "user.name=A", "-c", "user.email=a@example.com"]).args(args);
        assert!(command.stdout(Stdio::null()).status().expect("git runs").success(), "{args:?}");
    }

    fn listed(prepare: impl Fn(&Path)) -> NextCommit {
        let (_folder, repository) = prepared(prepare);
        repository.next_commit().expect("it is listed")
    }

    fn prepared(prepare: impl Fn(&Path)) -> (tempfile::TempDir, GitRepository) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        git(root, &["init", "--quiet", "-b", "main"]);
        std::fs::create_dir(root.join("lib")).expect("a folder");
        for file in ["train.py", "lib/a.py"] {
            std::fs::write(root.join(file), "1").expect("a file");
        }
        git(root, &["add", "--all"]);
        git(root, &["commit", "--quiet", "-m", "first"]);
        prepare(root);
        std::fs::write(root.join("new.py"), "1").expect("a file");
        let repository = GitRepository::discover(root).expect("a repository");
        (folder, repository)
    }

    #[test]
    fn every_form_of_the_index_is_read() {
        let plain = listed(|_| {});
        assert!(plain.tracked.contains("lib/a.py") && plain.untracked.contains("new.py"), "{plain:?}");
        let split = listed(|root| git(root, &["update-index", "--split-index"]));
        assert_eq!(split, plain);
        let sparse = listed(|root| git(root, &["sparse-checkout", "set", "--cone", "--sparse-index", "nothing"]));
        assert_eq!(sparse, plain);
    }

    #[test]
    fn every_form_of_the_index_is_compared() {
        let plain: fn(&Path) = |_| {};
        let split: fn(&Path) = |root| git(root, &["update-index", "--split-index"]);
        let sparse: fn(&Path) = |root| git(root, &["sparse-checkout", "set", "--cone", "--sparse-index", "nothing"]);
        for prepare in [plain, split, sparse] {
            let (folder, repository) = prepared(prepare);
            let uncommitted = repository.uncommitted(&[&Watched::All]).expect("it is compared");
            let Uncommitted::Changed(files) = uncommitted else { panic!("{uncommitted:?}") };
            let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            assert_eq!(paths, ["new.py"], "what a sparse checkout left out is no change");
            std::fs::create_dir_all(folder.path().join("staged")).expect("a folder");
            std::fs::write(folder.path().join("staged/a"), "1").expect("a file");
            git(folder.path(), &["add", "--sparse", "staged"]);
            let tracked = repository.tracks(None, "staged").expect("it is looked up");
            assert!(tracked.is_some(), "what is staged is seen");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_that_is_not_utf8_counts_for_its_folder() {
        use std::os::unix::ffi::OsStrExt as _;
        let listed = listed(|root| {
            let name = std::ffi::OsStr::from_bytes(b"other/caf\xe9.txt");
            std::fs::create_dir(root.join("other")).expect("a folder");
            std::fs::write(root.join(name), "1").expect("a file");
            git(root, &["add", "--all"]);
        });
        let coverage = Coverage::of(&Watched::Paths(vec!["other".to_owned()])).expect("a plain path");
        assert!(listed.tracked.iter().any(|file| coverage.covers(file)), "{listed:?}");
    }
}
