//! The hermetic checkout: only the watched files, from the object database, never from the working tree.
//!
//! The bytes are those of the commit: no line-ending or LFS filter runs. Nothing in a tree can write outside the
//! folder: names are checked, files are created and never opened, and links come last.

use crate::adapters::git::error::GitError;
use crate::adapters::git::error::WatchError;
use crate::adapters::git::error::failed;
use crate::adapters::git::links::Layout;
use crate::adapters::git::links::Reach;
use crate::adapters::git::open::GitRepository;
use crate::adapters::git::tree::Budget;
use crate::adapters::git::tree::EXECUTABLE;
use crate::adapters::git::tree::SUBMODULE;
use crate::adapters::git::tree::SYMLINK;
use crate::adapters::git::tree::blob;
use crate::adapters::git::tree::tree_id;
use crate::adapters::git::tree::walk;
use crate::adapters::git::watch::Selector;
use crate::adapters::git::watch::plain;
use crate::model::git::ObjectId;
use crate::model::pointer::LFS_LIMIT;
use crate::model::pointer::lfs_pointer;
use crate::model::settings::Watched;
use git2::Oid;
use git2::Repository;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

/// What was checked out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedOut {
    /// Files and links written.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// What is not as a reader of the commit might expect.
    pub notes: Vec<CheckoutNote>,
}

/// Something that a training may stumble over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckoutNote {
    /// The commit holds only a pointer.
    LfsPointer {
        /// The file.
        path: String,
        /// Size of the real data in bytes.
        size: u64,
    },
    /// Another repository, which is not included.
    Submodule {
        /// Its folder.
        path: String,
    },
    /// A link that leads out of the checkout, or in a circle. Not created.
    LinkRefused {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// A link to something that is not watched. Created, but nothing is there.
    LinkDangling {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
}

impl fmt::Display for CheckoutNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LfsPointer { path, size } => {
                write!(f, "{path} is an LFS pointer, not the data ({size} bytes): declare it under `data`")
            }
            Self::Submodule { path } => write!(f, "{path} is a submodule and is not included"),
            Self::LinkRefused { path, target } => {
                write!(f, "{path} links to {target}, outside of what is watched: it was left out")
            }
            Self::LinkDangling { path, target } => {
                write!(f, "{path} links to {target}, which is not watched: add it to `paths`")
            }
        }
    }
}

impl GitRepository {
    /// Writes the watched files of a commit into `dest`, which must be empty or not exist yet.
    ///
    /// Folders, globs and [`Watched::All`] expand to their files, with mode 644 or 755. Fails where a watched path is
    /// missing, and on trees that no honest commit has. After a failure `dest` holds a part; nothing lies outside it.
    pub fn checkout(&self, commit: &ObjectId, watched: &Watched, dest: &Path) -> Result<CheckedOut, GitError> {
        self.watched_entries(commit, watched).map_err(|error| match error {
            WatchError::Git(error) => error,
            missing @ WatchError::Missing { .. } => GitError::Watched(Box::new(missing)),
        })?;
        self.write_out(commit, watched, b"", dest)
    }

    /// Writes Git-tracked data into `dest`: what a folder holds, or a single file by its own name.
    pub fn checkout_data(&self, commit: &ObjectId, path: &str, dest: &Path) -> Result<CheckedOut, GitError> {
        let path = plain(path);
        let watched = Watched::Paths(vec![path.to_owned()]);
        let entries = self.watched_entries(commit, &watched).map_err(|error| match error {
            WatchError::Git(error) => error,
            missing @ WatchError::Missing { .. } => GitError::Watched(Box::new(missing)),
        })?;
        let is_folder = entries.iter().any(|entry| entry.path == path && entry.mode == "040000");
        let above = if is_folder { path } else { path.rsplit_once('/').map_or("", |(folder, _)| folder) };
        self.write_out(commit, &watched, above.as_bytes(), dest)
    }

    fn write_out(
        &self,
        commit: &ObjectId,
        watched: &Watched,
        above: &[u8],
        dest: &Path,
    ) -> Result<CheckedOut, GitError> {
        let repo = self.repo();
        let selector = Selector::new(watched)?;
        let root = tree_id(&repo, commit)?;
        let plan = plan(&repo, root, &selector, above)?;
        prepare(dest)?;
        Writer { repo: &repo, dest, made: BTreeSet::new(), done: CheckedOut::default() }.write(plan)
    }
}

#[derive(Default)]
struct Planned {
    files: BTreeMap<Vec<u8>, (i32, Oid)>,
    links: BTreeMap<Vec<u8>, Vec<u8>>,
    submodules: Vec<String>,
    layout: Layout,
}

/// Lists what is to be written, each path checked, before the first byte is.
fn plan(repo: &Repository, root: Oid, selector: &Selector, above: &[u8]) -> Result<Planned, GitError> {
    let mut plan = Planned::default();
    let mut budget = Budget::new("check out");
    walk(repo, root, &mut budget, &mut |folder| selector.may_contain(folder), &mut |path, mode, id| {
        if !selector.covers(path) {
            return Ok(());
        }
        let path = below(path, above);
        check(path)?;
        let twice = match mode {
            SUBMODULE => {
                plan.submodules.push(shown(path));
                false
            }
            SYMLINK => {
                let target = blob(repo, id, &shown(path))?;
                plan.layout.add_link(path, &target);
                plan.links.insert(path.to_vec(), target).is_some()
            }
            _ => {
                plan.layout.add_file(path);
                plan.files.insert(path.to_vec(), (mode, id)).is_some()
            }
        };
        if twice || (plan.files.contains_key(path) && plan.links.contains_key(path)) {
            return Err(GitError::Hostile { path: shown(path), why: "the tree lists it twice" });
        }
        Ok(())
    })?;
    Ok(plan)
}

/// Tells what a checkout will hold, without writing any of it.
pub(super) fn layout(repo: &Repository, root: Oid, selector: &Selector, above: &str) -> Result<Layout, GitError> {
    plan(repo, root, selector, above.as_bytes()).map(|plan| plan.layout)
}

/// Returns a path as it is below a folder.
pub(super) fn below<'a>(path: &'a [u8], above: &[u8]) -> &'a [u8] {
    let rest = path.strip_prefix(above).unwrap_or(path);
    rest.strip_prefix(b"/").unwrap_or(rest)
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Refuses names that would leave the folder, or that some file system reads as `.git`.
fn check(path: &[u8]) -> Result<(), GitError> {
    for name in path.split(|b| *b == b'/') {
        let why = if matches!(name, b"" | b"." | b"..") {
            "the name would leave its folder"
        } else if is_dot_git(name) {
            "no commit may hold a `.git`"
        } else if cfg!(windows)
            && name.iter().any(|b| matches!(b, b'\\' | b':' | b'<' | b'>' | b'"' | b'|' | b'?' | b'*'))
        {
            "Windows has no such name"
        } else {
            continue;
        };
        return Err(GitError::Hostile { path: shown(path), why });
    }
    Ok(())
}

/// Tells whether a file system that ignores case, trailing dots or invisible characters would read `.git`.
///
/// The list of invisible characters is that of Git's `is_hfs_dotgit`.
fn is_dot_git(name: &[u8]) -> bool {
    let text: String = String::from_utf8_lossy(name)
        .chars()
        .filter(
            |c| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'),
        )
        .collect::<String>()
        .to_lowercase();
    // NTFS: a stream behind `:`, and dots and spaces at the end, do not make another file.
    let text = text.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    matches!(text, ".git" | "git~1")
}

fn prepare(dest: &Path) -> Result<(), GitError> {
    let fail = |source| GitError::Write { path: dest.to_owned(), source };
    fs::create_dir_all(dest).map_err(fail)?;
    if fs::read_dir(dest).map_err(fail)?.next().is_some() {
        return Err(GitError::NotEmpty { path: dest.to_owned() });
    }
    Ok(())
}

struct Writer<'a> {
    repo: &'a Repository,
    dest: &'a Path,
    made: BTreeSet<Vec<u8>>,
    done: CheckedOut,
}

impl Writer<'_> {
    /// Writes files first and links last, so that no file can be written through a link.
    fn write(mut self, plan: Planned) -> Result<CheckedOut, GitError> {
        for (path, (mode, id)) in &plan.files {
            self.file(path, *mode, *id)?;
        }
        for (path, target) in &plan.links {
            let note = (shown(path), shown(target));
            match plan.layout.reach(path) {
                Reach::Inside => self.link(path, target)?,
                Reach::Dangling => {
                    self.link(path, target)?;
                    self.done.notes.push(CheckoutNote::LinkDangling { path: note.0, target: note.1 });
                }
                Reach::Outside | Reach::Circle => {
                    self.done.notes.push(CheckoutNote::LinkRefused { path: note.0, target: note.1 });
                }
            }
        }
        let submodules = plan.submodules.into_iter().map(|path| CheckoutNote::Submodule { path });
        self.done.notes.extend(submodules);
        Ok(self.done)
    }

    fn file(&mut self, path: &[u8], mode: i32, id: Oid) -> Result<(), GitError> {
        let on_disk = self.place(path)?;
        let reading = |error| failed(self.repo, format!("read `{}` from the repository", shown(path)), error);
        let blob = self.repo.find_blob(id).map_err(reading)?;
        let content = blob.content();
        if content.len() <= LFS_LIMIT
            && let Some(pointer) = lfs_pointer(content)
        {
            self.done.notes.push(CheckoutNote::LfsPointer { path: shown(path), size: pointer.size });
        }
        // `create_new` neither follows a link nor overwrites.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&on_disk)
            .map_err(|source| taken_or(path, &on_disk, source))?;
        let fail = |source| GitError::Write { path: on_disk.clone(), source };
        file.write_all(content).map_err(fail)?;
        set_mode(&file, mode == EXECUTABLE).map_err(fail)?;
        self.done.files += 1;
        self.done.bytes += content.len() as u64;
        Ok(())
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), GitError> {
        let on_disk = self.place(path)?;
        symlink(&native(target)?, &on_disk).map_err(|source| taken_or(path, &on_disk, source))?;
        self.done.files += 1;
        Ok(())
    }

    /// Makes the folders above a path, each only once and never through something that was there before.
    fn place(&mut self, path: &[u8]) -> Result<PathBuf, GitError> {
        for (end, _) in path.iter().enumerate().filter(|(_, b)| **b == b'/') {
            let folder = &path[..end];
            if !self.made.contains(folder) {
                let on_disk = self.dest.join(native(folder)?);
                fs::create_dir(&on_disk).map_err(|source| taken_or(folder, &on_disk, source))?;
                self.made.insert(folder.to_vec());
            }
        }
        Ok(self.dest.join(native(path)?))
    }
}

fn taken_or(path: &[u8], on_disk: &Path, source: std::io::Error) -> GitError {
    if source.kind() == ErrorKind::AlreadyExists {
        GitError::Collision { path: shown(path) }
    } else {
        GitError::Write { path: on_disk.to_owned(), source }
    }
}

#[cfg(unix)]
fn native(path: &[u8]) -> Result<PathBuf, GitError> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
}

#[cfg(not(unix))]
fn native(path: &[u8]) -> Result<PathBuf, GitError> {
    let text = std::str::from_utf8(path).map_err(|_| GitError::NotUtf8 { path: shown(path) })?;
    Ok(text.split('/').collect())
}

#[cfg(unix)]
fn set_mode(file: &fs::File, executable: bool) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))
}

#[cfg(not(unix))]
fn set_mode(_file: &fs::File, _executable: bool) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    let is_folder = link.parent().is_some_and(|folder| folder.join(target).is_dir());
    if is_folder {
        std::os::windows::fs::symlink_dir(target, link)
    } else {
        std::os::windows::fs::symlink_file(target, link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_file_system_reads_as_git_are_refused() {
        for name in [".git", ".GIT", ".Git.", ".git ", "git~1", ".g\u{200c}it", ".git::$INDEX_ALLOCATION"] {
            assert!(check(format!("a/{name}/config").as_bytes()).is_err(), "{name}");
        }
        for name in [".gitignore", ".github", "git", "a.git", "..."] {
            assert!(check(format!("a/{name}").as_bytes()).is_ok(), "{name}");
        }
    }

    #[test]
    fn names_that_leave_are_refused() {
        for path in ["..", "../x", "a/../b", "a//b", "/etc/passwd", "./a"] {
            assert!(check(path.as_bytes()).is_err(), "{path}");
        }
    }
}
