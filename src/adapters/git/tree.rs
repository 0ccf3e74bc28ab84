//! Reading trees: single entries, files, and what a model watches at a commit.

use crate::adapters::git::error::GitError;
use crate::adapters::git::error::MissingPath;
use crate::adapters::git::error::WatchError;
use crate::adapters::git::error::WhyUnknown;
use crate::adapters::git::error::failed;
use crate::adapters::git::error::is_partial;
use crate::adapters::git::index::index;
use crate::adapters::git::near::near_paths;
use crate::adapters::git::open::GitRepository;
use crate::adapters::git::pointer::small_blob;
use crate::adapters::git::watch::Selector;
use crate::adapters::git::watch::is_in;
use crate::adapters::git::watch::plain;
use crate::model::git::ObjectId;
use crate::model::identity::WatchedEntry;
use crate::model::settings::Watched;
use git2::ObjectType;
use git2::Oid;
use git2::Repository;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

/// Deeper folders than Git itself allows by default are an attack on the stack, not a project.
const MAX_DEPTH: usize = 512;

/// More entries than the largest known repositories of models: a few objects can spell billions of files.
const MAX_ENTRIES: u64 = 1_000_000;

/// The largest file that is read whole, in bytes: more than any configuration may have.
const READ_LIMIT: usize = 16 << 20;

/// For so many missing paths, similar names are looked for.
const EXPLAINED: usize = 10;

const FOLDER: i32 = 0o040_000;
pub(super) const SYMLINK: i32 = 0o120_000;
pub(super) const SUBMODULE: i32 = 0o160_000;
pub(super) const EXECUTABLE: i32 = 0o100_755;

/// What a tree entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A file.
    File,
    /// A file with the executable bit.
    Executable,
    /// A symbolic link.
    Symlink,
    /// A folder.
    Folder,
    /// A submodule: a commit of another repository.
    Submodule,
}

/// One entry of a commit's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeObject {
    /// Git's mode, as in [`WatchedEntry::mode`].
    pub mode: String,
    /// The object's id.
    pub id: ObjectId,
    /// What it is.
    pub kind: ObjectKind,
}

/// What tracks a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackedBy {
    /// A commit.
    Commit(ObjectId),
    /// The commit that is checked out.
    Head,
    /// What is staged.
    Index,
}

impl fmt::Display for TrackedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(commit) => write!(f, "commit {}", commit.short()),
            Self::Head => f.write_str("the commit that is checked out"),
            Self::Index => f.write_str("the index (what is staged)"),
        }
    }
}

impl GitRepository {
    /// Returns the tree entries that the watched paths name, at a commit or in a tree (such as that of a merge).
    ///
    /// A file is its blob and a folder its tree, whatever it holds; a glob is its matching files; [`Watched::All`] is
    /// the root with an empty path. Sorted by path. Fails where a path or glob names nothing, listing all that do.
    pub fn watched_entries(&self, commit: &ObjectId, watched: &Watched) -> Result<Vec<WatchedEntry>, WatchError> {
        let repo = self.repo();
        let root = tree_id(&repo, commit).map_err(WatchError::Git)?;
        let selector = Selector::new(watched).map_err(WatchError::Git)?;
        let mut found = Vec::new();
        if *watched == Watched::All {
            found.push(watched_entry(b"", FOLDER, root).map_err(WatchError::Git)?);
            return Ok(found);
        }
        let glob_hits = self.once_bounded(root, || glob_matches(&repo, root, &selector, &mut found));
        let glob_hits = glob_hits.map_err(WatchError::Git)?;
        let mut missing = Vec::new();
        let globs: Vec<&str> = selector.glob_texts().collect();
        for literal in &selector.literals {
            let entry = self.find(&repo, root, literal).map_err(WatchError::Git)?;
            let matched = globs.iter().position(|glob| glob == literal).is_some_and(|index| glob_hits[index]);
            match entry {
                Some(entry) => {
                    found.push(watched_entry(literal.as_bytes(), entry.mode, entry.id).map_err(WatchError::Git)?);
                }
                None if matched => {}
                None => missing.push(self.missing(&repo, root, literal, missing.len() < EXPLAINED)),
            }
        }
        if !missing.is_empty() {
            return Err(WatchError::Missing { commit: commit.clone(), paths: missing });
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Walks a tree, unless a walk of the same tree went beyond the bounds before: other models watch it, too.
    pub(super) fn once_bounded<T>(&self, root: Oid, walk: impl FnOnce() -> Result<T, GitError>) -> Result<T, GitError> {
        if self.too_large().contains(&root) {
            let doing = "list the watched files".to_owned();
            return Err(GitError::TooLarge { doing, limit: "1 million entries, or folders too deep" });
        }
        let walked = walk();
        if matches!(walked, Err(GitError::TooLarge { .. })) {
            self.too_large().insert(root);
        }
        walked
    }

    /// As [`lookup`], remembering large folders on the way.
    fn find(&self, repo: &Repository, root: Oid, path: &str) -> Result<Option<Entry>, GitError> {
        let mut folders = self.folders();
        descend(root, path, |folder, name| folders.child(repo, folder, name))
    }

    fn missing(&self, repo: &Repository, root: Oid, literal: &str, is_explained: bool) -> MissingPath {
        if !is_explained {
            return MissingPath { path: literal.to_owned(), near: Vec::new(), uncommitted: false };
        }
        let on_disk = self.work_dir().is_some_and(|work_dir| {
            let relative = Path::new(literal);
            relative.is_relative() && work_dir.join(relative).symlink_metadata().is_ok()
        });
        MissingPath { path: literal.to_owned(), near: near_paths(repo, root, literal), uncommitted: on_disk }
    }

    /// Returns the entry at a path of a commit or tree. None where there is none; the empty path is the root.
    pub fn tree_object(&self, commit: &ObjectId, path: &str) -> Result<Option<TreeObject>, GitError> {
        let repo = self.repo();
        let root = tree_id(&repo, commit)?;
        let Some(entry) = self.find(&repo, root, plain(path))? else { return Ok(None) };
        Ok(Some(TreeObject { mode: mode_text(entry.mode), id: object_id(entry.id)?, kind: entry.kind() }))
    }

    /// Tells what tracks a path, or something below it, or a file in place of a folder above it: a commit, or without
    /// one `HEAD` and the index. Case does not count, as on file systems that ignore it.
    pub fn tracks(&self, commit: Option<&ObjectId>, path: &str) -> Result<Option<TrackedBy>, GitError> {
        let repo = self.repo();
        let tree = match commit {
            Some(commit) => Some(tree_id(&repo, commit)?),
            None => repo.head().ok().and_then(|head| head.peel_to_tree().ok()).map(|tree| tree.id()),
        };
        if let Some(tree) = tree
            && holds(&repo, tree, path)?
        {
            return Ok(Some(match commit {
                Some(commit) => TrackedBy::Commit(commit.clone()),
                None => TrackedBy::Head,
            }));
        }
        // What is staged only counts where it also lies on disk: the index of a large repository is slow to read.
        let is_there = |root: &PathBuf| root.join(path).symlink_metadata().is_ok_and(|about| about.is_dir());
        let Some(work_dir) = self.work_dir().filter(is_there).filter(|_| commit.is_none()) else { return Ok(None) };
        let index = index(&repo, &work_dir)?;
        let staged =
            index.iter().any(|entry| is_in(&entry.path.to_ascii_lowercase(), path.to_ascii_lowercase().as_bytes()));
        Ok(staged.then_some(TrackedBy::Index))
    }

    /// Returns the bytes of a file at a commit, such as `branchline.yaml`. None where there is none.
    ///
    /// Fails where the path is a folder, a submodule or a symbolic link: a link is not followed.
    pub fn read_file(&self, commit: &ObjectId, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        let repo = self.repo();
        let root = tree_id(&repo, commit)?;
        let Some(entry) = self.find(&repo, root, plain(path))? else { return Ok(None) };
        let what = match entry.kind() {
            ObjectKind::File | ObjectKind::Executable => {
                return match small_blob(&repo, entry.id, READ_LIMIT, path)? {
                    Some(content) => Ok(Some(content)),
                    None => Err(GitError::LargeFile { path: path.to_owned(), limit: "16 MiB" }),
                };
            }
            ObjectKind::Symlink => "a symbolic link",
            ObjectKind::Folder => "a folder",
            ObjectKind::Submodule => "a submodule",
        };
        Err(GitError::NotAFile { path: path.to_owned(), what })
    }
}

/// Tells whether a tree has a path, whatever its case, or a file where a folder above it would be.
fn holds(repo: &Repository, root: Oid, path: &str) -> Result<bool, GitError> {
    let mut folders = vec![root];
    let parts: Vec<&str> = path.split('/').collect();
    for (index, part) in parts.iter().enumerate() {
        let mut below = Vec::new();
        for folder in folders {
            let named = entries(repo, folder)?;
            let named = named.into_iter().filter(|entry| entry.name.eq_ignore_ascii_case(part.as_bytes()));
            for entry in named {
                if index + 1 == parts.len() || !entry.is_folder() {
                    return Ok(true);
                }
                below.push(entry.id);
            }
        }
        folders = below;
    }
    Ok(false)
}

/// Pushes the matches of all globs in one walk, and says which globs matched.
fn glob_matches(
    repo: &Repository,
    root: Oid,
    selector: &Selector,
    found: &mut Vec<WatchedEntry>,
) -> Result<Vec<bool>, GitError> {
    let mut hits = vec![false; selector.glob_texts().count()];
    if hits.is_empty() {
        return Ok(hits);
    }
    let mut which = Vec::new();
    let mut budget = Budget::new("list the watched files");
    walk(repo, root, &mut budget, &mut |folder| selector.glob_may_contain(folder), &mut |path, mode, id| {
        selector.matching(path, &mut which);
        if !which.is_empty() {
            for index in &which {
                hits[*index] = true;
            }
            found.push(watched_entry(path, mode, id)?);
        }
        Ok(())
    })?;
    Ok(hits)
}

fn watched_entry(path: &[u8], mode: i32, id: Oid) -> Result<WatchedEntry, GitError> {
    let path = std::str::from_utf8(path)
        .map_err(|_| GitError::NotUtf8 { path: String::from_utf8_lossy(path).into_owned() })?;
    Ok(WatchedEntry { path: path.to_owned(), mode: mode_text(mode), object: object_id(id)? })
}

/// Spells a mode as Git does: six octal digits.
pub(super) fn mode_text(mode: i32) -> String {
    format!("{mode:06o}")
}

/// Takes an id over into our words. Only the all-zero id has no place there.
pub(super) fn object_id(id: Oid) -> Result<ObjectId, GitError> {
    ObjectId::parse(&id.to_string())
        .map_err(|_| GitError::Hostile { path: id.to_string(), why: "an entry without an object" })
}

/// Takes an id over into libgit2's words. None for an id of SHA-256, which such a repository cannot hold.
pub(super) fn oid(id: &ObjectId) -> Option<Oid> {
    if id.as_str().len() != 40 {
        return None;
    }
    Oid::from_str(id.as_str()).ok()
}

/// Returns the tree of a commit, or the tree itself.
pub(super) fn tree_id(repo: &Repository, id: &ObjectId) -> Result<Oid, GitError> {
    let not_here =
        || GitError::NoSuchCommit { text: id.short().to_owned(), shallow: repo.is_shallow(), near: Vec::new() };
    let object = repo.find_object(oid(id).ok_or_else(not_here)?, None).map_err(|_| not_here())?;
    if object.kind() == Some(ObjectType::Blob) {
        return Err(not_here());
    }
    let tree =
        object.peel_to_tree().map_err(|error| failed(repo, format!("read the tree of {}", id.short()), error))?;
    Ok(tree.id())
}

/// Reads a blob whole.
pub(super) fn blob(repo: &Repository, id: Oid, path: &str) -> Result<Vec<u8>, GitError> {
    let blob = repo.find_blob(id).map_err(|error| failed(repo, format!("read `{path}` from the repository"), error))?;
    Ok(blob.content().to_vec())
}

/// A tree entry that owns its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) mode: i32,
    pub(super) id: Oid,
}

impl Entry {
    pub(super) fn is_folder(&self) -> bool {
        self.mode == FOLDER
    }

    /// Tells whether it is a file: no folder, no link and no submodule.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.kind(), ObjectKind::File | ObjectKind::Executable)
    }

    fn kind(&self) -> ObjectKind {
        match self.mode {
            FOLDER => ObjectKind::Folder,
            SYMLINK => ObjectKind::Symlink,
            SUBMODULE => ObjectKind::Submodule,
            EXECUTABLE => ObjectKind::Executable,
            _ => ObjectKind::File,
        }
    }
}

pub(super) fn find_tree(repo: &Repository, id: Oid) -> Result<git2::Tree<'_>, GitError> {
    repo.find_tree(id).map_err(|error| failed(repo, format!("read the folder {id} from the repository"), error))
}

/// Lists one folder.
pub(super) fn entries(repo: &Repository, tree: Oid) -> Result<Vec<Entry>, GitError> {
    let tree = find_tree(repo, tree)?;
    Ok(tree
        .iter()
        .map(|entry| Entry { name: entry.name_bytes().to_vec(), mode: entry.filemode(), id: entry.id() })
        .collect())
}

/// Finds the entry at a path below a tree. The cost grows with the depth of the path only.
pub(super) fn lookup(repo: &Repository, root: Oid, path: &str) -> Result<Option<Entry>, GitError> {
    descend(root, path, |folder, name| {
        let tree = find_tree(repo, folder)?;
        Ok(tree.get_name_bytes(name).map(|entry| (entry.filemode(), entry.id())))
    })
}

/// Goes down a path. `child` tells mode and id of what a folder has under a name.
fn descend(
    root: Oid,
    path: &str,
    mut child: impl FnMut(Oid, &[u8]) -> Result<Option<(i32, Oid)>, GitError>,
) -> Result<Option<Entry>, GitError> {
    let mut at = Entry { name: Vec::new(), mode: FOLDER, id: root };
    if path.is_empty() {
        return Ok(Some(at));
    }
    for part in path.split('/') {
        if !at.is_folder() {
            return Ok(None);
        }
        match child(at.id, part.as_bytes())? {
            Some((mode, id)) => at = Entry { name: part.into(), mode, id },
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// How much of a tree may be looked at before it is taken for an attack.
pub(super) struct Budget {
    doing: &'static str,
    left: u64,
}

impl Budget {
    /// Starts with the bound for real repositories.
    pub(super) fn new(doing: &'static str) -> Self {
        Self { doing, left: MAX_ENTRIES }
    }

    /// Lowers the bound.
    pub(super) fn at_most(mut self, entries: u64) -> Self {
        self.left = entries;
        self
    }

    /// Pays for one entry at a depth.
    pub(super) fn pay(&mut self, depth: usize) -> Result<(), GitError> {
        let too_large = |limit| GitError::TooLarge { doing: self.doing.to_owned(), limit };
        if depth > MAX_DEPTH {
            return Err(too_large("512 folders inside each other"));
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| too_large("1 million entries"))?;
        Ok(())
    }
}

/// Called for each file, link and submodule with its path, mode and id.
pub(super) type OnFile<'a> = &'a mut dyn FnMut(&[u8], i32, Oid) -> Result<(), GitError>;

/// Walks the files below a tree, entering the folders that `enter` wants, by their paths.
pub(super) fn walk(
    repo: &Repository,
    root: Oid,
    budget: &mut Budget,
    enter: &mut dyn FnMut(&[u8]) -> bool,
    found: OnFile<'_>,
) -> Result<(), GitError> {
    walk_below(repo, root, &mut Vec::new(), 0, budget, enter, found)
}

fn walk_below(
    repo: &Repository,
    tree: Oid,
    path: &mut Vec<u8>,
    depth: usize,
    budget: &mut Budget,
    enter: &mut dyn FnMut(&[u8]) -> bool,
    found: OnFile<'_>,
) -> Result<(), GitError> {
    let tree = find_tree(repo, tree)?;
    let folder = path.len();
    for entry in tree.iter() {
        budget.pay(depth)?;
        if folder > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(checked_name(entry.name_bytes(), path)?);
        let mode = entry.filemode();
        if mode == FOLDER {
            if enter(path) {
                walk_below(repo, entry.id(), path, depth + 1, budget, enter, found)?;
            }
        } else {
            found(path, mode, entry.id())?;
        }
        path.truncate(folder);
    }
    Ok(())
}

/// Refuses names that would read as a path: they exist only in trees made manually.
pub(super) fn checked_name<'a>(name: &'a [u8], folder: &[u8]) -> Result<&'a [u8], GitError> {
    if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
        let path = String::from_utf8_lossy(&[folder, name].concat()).into_owned();
        return Err(GitError::Hostile { path, why: "one name that spells a path" });
    }
    Ok(name)
}

/// Says why an object that a commit names is not here.
pub(super) fn why_missing(repo: &Repository, id: &ObjectId) -> WhyUnknown {
    if is_partial(repo) {
        WhyUnknown::Partial
    } else if repo.is_shallow() {
        WhyUnknown::Shallow
    } else {
        WhyUnknown::NoSuchCommit(id.clone())
    }
}
