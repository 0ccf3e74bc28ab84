//! Finding and opening the repository, and saying plainly why it cannot be opened.

use crate::adapters::git::error::GitError;
use crate::adapters::git::error::Unsupported;
use crate::adapters::git::folders::Folders;
use crate::adapters::git::stand_ins::Known;
use crate::adapters::git::trust;
use crate::adapters::git::trust::Answer;
use crate::model::git::ObjectId;
use git2::Config;
use git2::ErrorCode;
use git2::Oid;
use git2::Repository;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;

/// Objects of a merge in memory are written here and found first; the repository on disk is never written.
const IN_MEMORY_PRIORITY: i32 = 1_000;

/// A repository, opened for reading. References are read when asked for, never remembered; large folders, which
/// cannot change, are.
pub struct GitRepository {
    repo: Mutex<Repository>,
    folders: Mutex<Folders>,
    stand_ins: Mutex<Known>,
    too_large: Mutex<HashSet<Oid>>,
    work_dir: Option<PathBuf>,
    main_work_dir: Option<PathBuf>,
    git_dir: PathBuf,
    common_dir: PathBuf,
    pub(super) root: OnceLock<Option<ObjectId>>,
}

impl std::fmt::Debug for GitRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitRepository").field("git_dir", &self.git_dir).finish_non_exhaustive()
    }
}

impl GitRepository {
    /// Finds the repository that `start` lies in, from any folder inside it: ordinary, bare, or a linked worktree.
    ///
    /// Fails where there is none, where another user owns it, and where libgit2 cannot read its form.
    pub fn discover(start: &Path) -> Result<Self, GitError> {
        let repo = open(start)?;
        // Adding the backend can only fail for want of memory.
        repo.odb().and_then(|odb| odb.add_new_mempack_backend(IN_MEMORY_PRIORITY).map(drop)).map_err(|error| {
            GitError::Failed { doing: "prepare the object database".to_owned(), source: Box::new(error) }
        })?;
        let work_dir = repo.workdir().map(plain);
        let main_work_dir = if repo.is_worktree() || repo.commondir() != repo.path() {
            trust::open_verified(repo.commondir()).ok().and_then(|main| main.workdir().map(plain))
        } else {
            work_dir.clone()
        };
        Ok(Self {
            work_dir,
            main_work_dir,
            git_dir: plain(repo.path()),
            common_dir: plain(repo.commondir()),
            root: OnceLock::new(),
            repo: Mutex::new(repo),
            folders: Mutex::new(Folders::default()),
            stand_ins: Mutex::default(),
            too_large: Mutex::default(),
        })
    }

    /// Returns the root of the working tree that the search began in. None in a bare repository.
    pub fn work_dir(&self) -> Option<PathBuf> {
        self.work_dir.clone()
    }

    /// Returns the root of the main working tree, also from a linked worktree. None where the main one is bare.
    pub fn main_work_dir(&self) -> Option<PathBuf> {
        self.main_work_dir.clone()
    }

    /// Returns the `.git` folder of this working tree; for a linked worktree its own, below that of the main one.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Returns the `.git` folder that all working trees share.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// Tells whether the history is cut (`fetch-depth`, `--depth`).
    pub fn is_shallow(&self) -> bool {
        self.repo().is_shallow()
    }

    /// Locks the repository. A panic of another holder leaves nothing half-written: everything here only reads.
    pub(super) fn repo(&self) -> MutexGuard<'_, Repository> {
        self.repo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the remembered folders. Always taken after the repository.
    pub(super) fn folders(&self) -> MutexGuard<'_, Folders> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the roots whose walk went beyond the bounds: they are not walked again. Always taken after the repository.
    pub(super) fn too_large(&self) -> MutexGuard<'_, HashSet<Oid>> {
        self.too_large.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the remembered stand-ins. Always taken after the repository.
    pub(super) fn stand_ins(&self) -> MutexGuard<'_, Known> {
        self.stand_ins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the repository around a folder, if Git itself trusts it.
fn open(start: &Path) -> Result<Repository, GitError> {
    let opened = Repository::discover(start);
    let is_owned =
        |repo: &Repository| [Some(repo.path()), repo.workdir()].into_iter().flatten().all(trust::belongs_to_this_user);
    match opened {
        Ok(repo) if is_owned(&repo) => Ok(repo),
        // Somebody else's: Git's word counts, where there is a Git to ask.
        Ok(repo) => match trust::ask(start) {
            Answer::Trusted(_) | Answer::NoGit => Ok(repo),
            Answer::Refused => Err(GitError::ForeignOwner { path: trusted_as(start) }),
        },
        Err(error) if error.code() == ErrorCode::Owner => match trust::ask(start) {
            Answer::Trusted(place) => {
                let repo = trust::open_trusted(&place).map_err(|error| explain(start, error))?;
                // On this way libgit2 does not look at the form of the repository.
                match unsupported(repo.commondir()) {
                    Some(feature) => Err(GitError::Unsupported { path: trusted_as(start), feature }),
                    None => Ok(repo),
                }
            }
            Answer::Refused | Answer::NoGit => Err(explain(start, error)),
        },
        Err(error) => Err(explain(start, error)),
    }
}

/// Drops the trailing `/` that libgit2 writes.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

fn explain(start: &Path, error: git2::Error) -> GitError {
    if error.code() == ErrorCode::Owner {
        return GitError::ForeignOwner { path: trusted_as(start) };
    }
    let found = Repository::discover_path(start, std::iter::empty::<PathBuf>());
    match found {
        Ok(git_dir) => match unsupported(&common_dir_of(&git_dir)) {
            Some(feature) => GitError::Unsupported { path: trusted_as(start), feature },
            None => GitError::Failed {
                doing: format!("open the repository {}", trusted_as(start).display()),
                source: Box::new(error),
            },
        },
        Err(_) => GitError::NotARepository { start: start.to_owned() },
    }
}

/// Returns the path that `safe.directory` has to name: the working tree, or the repository itself where it is bare.
fn trusted_as(start: &Path) -> PathBuf {
    let start = start.canonicalize().unwrap_or_else(|_| start.to_owned());
    let has_git = start.ancestors().find(|folder| folder.join(".git").exists());
    match has_git {
        Some(folder) => folder.to_owned(),
        None => Repository::discover_path(&start, std::iter::empty::<PathBuf>()).map_or(start, |path| plain(&path)),
    }
}

fn common_dir_of(git_dir: &Path) -> PathBuf {
    match std::fs::read_to_string(git_dir.join("commondir")) {
        Ok(text) => git_dir.join(text.trim()),
        Err(_) => git_dir.to_owned(),
    }
}

/// Reads from the repository's own configuration which extension stands in the way. libgit2 has no code for it.
fn unsupported(common_dir: &Path) -> Option<Unsupported> {
    let config = Config::open(&common_dir.join("config")).ok()?;
    let is = |name: &str, value: &str| config.get_string(name).is_ok_and(|text| text.eq_ignore_ascii_case(value));
    if is("extensions.refstorage", "reftable") {
        return Some(Unsupported::Reftable);
    }
    if is("extensions.objectformat", "sha256") {
        return Some(Unsupported::Sha256);
    }
    if config.get_entry("extensions.partialclone").is_ok() {
        return Some(Unsupported::PartialClone);
    }
    let known = ["noop", "objectformat", "worktreeconfig", "preciousobjects", "relativeworktrees"];
    let mut entries = config.entries(Some("extensions\\..*")).ok()?;
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.name().unwrap_or_default().trim_start_matches("extensions.").to_owned();
        if !known.contains(&name.as_str()) {
            return Some(Unsupported::Extension(name));
        }
    }
    None
}
