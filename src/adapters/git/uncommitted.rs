//! What lies in the working tree and is not in `HEAD`: said, not trained.

use crate::adapters::git::error::GitError;
use crate::adapters::git::error::WhyUnknown;
use crate::adapters::git::error::failed;
use crate::adapters::git::index::SKIP_WORKTREE;
use crate::adapters::git::index::index;
use crate::adapters::git::open::GitRepository;
use crate::adapters::git::pointer::small_blob;
use crate::adapters::git::watch::Selector;
use crate::adapters::git::watch::is_in;
use crate::model::digest::Sha256Digest;
use crate::model::pointer::LFS_LIMIT;
use crate::model::pointer::lfs_pointer;
use crate::model::settings::Watched;
use git2::Delta;
use git2::Diff;
use git2::DiffDelta;
use git2::DiffOptions;
use git2::ErrorCode;
use git2::Index;
use git2::Patch;
use git2::Repository;
use sha2::Digest as _;
use std::fs::File;
use std::path::Path;

/// Files above this are said to have changed without counting their lines.
const COUNTED: i64 = 10 * 1024 * 1024;

/// So many changed files are counted: the note names fewer.
const COUNTED_FILES: usize = 200;

/// So many bytes are read at most in order to see that Git LFS put the files there.
const HASHED: u64 = 256 << 20;

/// The folder of the local backend. It is never part of a model.
pub(super) const OWN_FOLDER: &[u8] = b".branchline";

/// What is not committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uncommitted {
    /// Nothing. Also in a bare repository, which has no working tree.
    Clean,
    /// These files, sorted by path.
    Changed(Vec<ChangedFile>),
    /// It cannot be told.
    Unknown(WhyUnknown),
}

/// A file that is not in `HEAD` as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// Its path.
    pub path: String,
    /// Lines added. 0 for binary files, for files above 10 MB, and where only the mode changed.
    pub added: usize,
    /// Lines removed, likewise.
    pub removed: usize,
}

impl GitRepository {
    /// Compares the index and the working tree with `HEAD`, as far as any of `watched` covers it.
    ///
    /// Untracked files count unless Git ignores them; `.branchline` and submodules do not. A file that Git LFS has
    /// expanded is not a change.
    pub fn uncommitted(&self, watched: &[&Watched]) -> Result<Uncommitted, GitError> {
        let repo = self.repo();
        let Some(work_dir) = self.work_dir() else { return Ok(Uncommitted::Clean) };
        let selectors = watched.iter().map(|watched| Selector::new(watched)).collect::<Result<Vec<_>, _>>()?;
        if selectors.is_empty() {
            return Ok(Uncommitted::Clean);
        }
        match compare(&repo, &work_dir, &selectors) {
            Ok(files) if files.is_empty() => Ok(Uncommitted::Clean),
            Ok(files) => Ok(Uncommitted::Changed(files)),
            Err(error) => Ok(Uncommitted::Unknown(error.why_unknown())),
        }
    }
}

fn compare(repo: &Repository, work_dir: &Path, selectors: &[Selector]) -> Result<Vec<ChangedFile>, GitError> {
    let doing = "compare the working tree with HEAD";
    let fail = |error| failed(repo, doing, error);
    let head = match repo.head() {
        Ok(head) => Some(head.peel_to_tree().map_err(fail)?),
        Err(error) if error.code() == ErrorCode::UnbornBranch => None,
        Err(error) => return Err(fail(error)),
    };
    let index = index(repo, work_dir)?;
    let mut options = options(selectors);
    let diff = repo.diff_tree_to_workdir_with_index(head.as_ref(), Some(&mut options)).map_err(fail)?;
    let mut files = Vec::new();
    let mut hashed = 0;
    for (position, delta) in diff.deltas().enumerate() {
        let Some(path) = delta.new_file().path_bytes().or_else(|| delta.old_file().path_bytes()) else { continue };
        let watched = selectors.iter().any(|selector| selector.covers(path));
        if !watched || is_in(path, OWN_FOLDER) || is_left_out(&index, &delta) {
            continue;
        }
        if is_expanded_lfs(repo, work_dir, &delta, &mut hashed)? {
            continue;
        }
        let (added, removed) = if files.len() < COUNTED_FILES { lines(repo, &diff, position)? } else { (0, 0) };
        files.push(ChangedFile { path: String::from_utf8_lossy(path).into_owned(), added, removed });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn options(selectors: &[Selector]) -> DiffOptions {
    let mut options = DiffOptions::new();
    options
        .include_untracked(true)
        .recurse_untracked_dirs(true)
        .show_untracked_content(true)
        .include_typechange(true)
        .ignore_submodules(true)
        .context_lines(0)
        .max_size(COUNTED);
    // Without globs only the named paths have to be looked at on disk.
    let plain = selectors.iter().all(|selector| !selector.all && selector.is_plain());
    if plain {
        options.disable_pathspec_match(true);
        for literal in selectors.iter().flat_map(|selector| &selector.literals) {
            options.pathspec(literal.as_str());
        }
    }
    options
}

fn is_left_out(index: &Index, delta: &DiffDelta<'_>) -> bool {
    let entry = delta.old_file().path().and_then(|path| index.get_path(path, 0));
    delta.status() == Delta::Deleted && entry.is_some_and(|entry| entry.flags_extended & SKIP_WORKTREE != 0)
}

/// Tells whether the file on disk is exactly what the committed pointer stands for.
///
/// `hashed`: bytes read for that so far. Beyond a bound, a file of the right size is believed: it is only a note.
fn is_expanded_lfs(
    repo: &Repository,
    work_dir: &Path,
    delta: &DiffDelta<'_>,
    hashed: &mut u64,
) -> Result<bool, GitError> {
    if delta.status() != Delta::Modified {
        return Ok(false);
    }
    let Some(path) = delta.new_file().path() else { return Ok(false) };
    let shown = path.display().to_string();
    let content = small_blob(repo, delta.old_file().id(), LFS_LIMIT, &shown)?;
    let Some(pointer) = content.and_then(|content| lfs_pointer(&content)) else { return Ok(false) };
    let on_disk = work_dir.join(path);
    let same_size = on_disk.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() == pointer.size);
    *hashed = hashed.saturating_add(pointer.size);
    if *hashed > HASHED {
        return Ok(same_size);
    }
    // A file that cannot be read is no proof of sameness.
    Ok(same_size && file_sha256(&on_disk).is_ok_and(|digest| digest.as_str() == pointer.sha256))
}

fn file_sha256(path: &Path) -> std::io::Result<Sha256Digest> {
    let mut hasher = sha2::Sha256::new();
    std::io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(Sha256Digest::finish(hasher))
}

fn lines(repo: &Repository, diff: &Diff<'_>, position: usize) -> Result<(usize, usize), GitError> {
    let counting = |error| failed(repo, "count the changed lines", error);
    match Patch::from_diff(diff, position).map_err(counting)? {
        Some(patch) => patch.line_stats().map(|(_, added, removed)| (added, removed)).map_err(counting),
        None => Ok((0, 0)),
    }
}
