//! The home of the local backend: one folder, its layout, and how a failing disk is told.
//!
//! It is `branchline/` of the Git directory or what `BRANCHLINE_HOME` names; the caller decides which.
//! Reading never creates it.
//!
//! ```text
//! .gitignore            `*`: Git ignores the home without a change to anybody's files
//! branchline.db         the registry
//! trainings/<name>/     one training attempt
//! open/<name>           its lock, while it is open
//! attempts/<name>       that it has begun, kept for as long as nobody prunes it
//! artifacts/sha256/…    artifacts by content
//! data/sha256/…         copies of local data by content
//! data-cache.json       which local file had which content, so that it is not read again
//! tmp/                  what is being made
//! ```

use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use std::fs;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use tokio::runtime::Handle;
use tokio::runtime::RuntimeFlavor;

/// The home folder.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
    /// Where people find it in the main working tree.
    link: Option<PathBuf>,
}

impl Home {
    /// Names a home, whether it exists or not.
    pub fn at(root: PathBuf) -> Self {
        // A relative path would mean another folder to the worker, which runs elsewhere.
        let root = std::path::absolute(&root).unwrap_or(root);
        Self { root, link: None }
    }

    /// Adds a link for people, which is made with the folder and never followed.
    pub fn with_link(self, link: PathBuf) -> Self {
        Self { link: Some(link), ..self }
    }

    /// Names a home and makes sure that it exists.
    pub fn open(root: PathBuf) -> Result<Self, PortError> {
        let home = Self::at(root);
        home.ensure()?;
        Ok(home)
    }

    /// Creates what is missing of the layout. Safe to repeat.
    pub fn ensure(&self) -> Result<(), PortError> {
        let failed = |path: &Path, error: io::Error| storage_error("prepare the state directory", path, error);
        private_folder(&self.root).map_err(|error| failed(&self.root, error))?;
        self.ignore_in_git().map_err(|error| failed(&self.root, error))?;
        let folders =
            [self.trainings(), self.open_locks(), self.attempts(), self.artifacts(), self.data(), self.temporary()];
        for folder in folders {
            if !folder.is_dir() {
                private_folder(&folder).map_err(|error| failed(&folder, error))?;
            }
        }
        self.link();
        Ok(())
    }

    /// Makes the link, and lets Git ignore it, where nothing is in its place. Without it everything works, too.
    pub fn link(&self) {
        let Some(link) = &self.link else { return };
        let (Some(work_dir), Some(git_dir)) = (link.parent(), self.root.parent()) else { return };
        let Some(name) = link.file_name().and_then(|name| name.to_str()) else { return };
        if fs::symlink_metadata(link).is_ok() || exclude(git_dir, &format!("/{name}")).is_err() {
            return;
        }
        #[cfg(unix)]
        {
            let target = self.root.strip_prefix(work_dir).unwrap_or(&self.root);
            let _ = std::os::unix::fs::symlink(target, link);
        }
        #[cfg(not(unix))]
        let _ = work_dir;
    }

    /// Tells whether the home was ever made.
    pub fn exists(&self) -> bool {
        self.trainings().is_dir()
    }

    /// Returns the folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the registry's file.
    pub fn database(&self) -> PathBuf {
        self.root.join("branchline.db")
    }

    /// Returns the folder of the trainings.
    pub fn trainings(&self) -> PathBuf {
        self.root.join("trainings")
    }

    /// Returns the folder of the locks of open trainings.
    pub fn open_locks(&self) -> PathBuf {
        self.root.join("open")
    }

    /// Returns the folder of the records of what has begun.
    pub fn attempts(&self) -> PathBuf {
        self.root.join("attempts")
    }

    /// Returns the folder of the artifacts.
    pub fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    /// Returns the folder of the copies of local data.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Returns the file that remembers the content of local files.
    pub fn data_cache(&self) -> PathBuf {
        self.root.join("data-cache.json")
    }

    /// Returns the folder of things in the making, on the same file system as all the rest.
    pub fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Writes the inner `.gitignore`, but never into a folder that somebody uses for other things, too.
    fn ignore_in_git(&self) -> io::Result<()> {
        let path = self.root.join(".gitignore");
        if path.exists() {
            return Ok(());
        }
        let ours = self.root.file_name().is_some_and(|name| name == ".branchline")
            || fs::read_dir(&self.root)?.next().is_none();
        if ours { write_atomically(&path, b"*\n") } else { Ok(()) }
    }
}

/// Adds a pattern to what Git ignores in every working tree of this repository.
fn exclude(git_dir: &Path, pattern: &str) -> io::Result<()> {
    let path = git_dir.join("info").join("exclude");
    let old = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    if old.lines().any(|line| line == pattern) {
        return Ok(());
    }
    fs::create_dir_all(git_dir.join("info"))?;
    let end = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
    fs::write(&path, format!("{old}{end}{pattern}\n"))
}

/// Creates a folder, and those above it, that only its owner can enter.
fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Replaces a file by another content so that every reader sees the old or the new one, whole, even after a
/// power failure.
pub(super) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Replaces a file as [`write_atomically`] does, for what means nothing any more after a power failure.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(content)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Only Unix opens folders; elsewhere the file system orders names by itself.
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Tells whether an error means that nothing more can be stored.
///
/// A file size limit (`ulimit -f`) and a quota are a full disk to whoever meets them.
pub(super) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Tells that the disk failed: what was being done, where, and what to do.
pub(super) fn storage_error(doing: &str, path: &Path, error: impl Into<io::Error>) -> PortError {
    let error = error.into();
    let shown = path.display();
    let (kind, hint) = if is_disk_full(&error) {
        (
            PortErrorKind::DiskFull,
            format!(
                "Free space on the disk that holds {shown}, or set BRANCHLINE_HOME to a folder with room, then run again."
            ),
        )
    } else {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                format!("Make {shown} writable for this user, or set BRANCHLINE_HOME to a folder that is.")
            }
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                format!("Move away the file that is in the way of {shown}, or set BRANCHLINE_HOME to another folder.")
            }
            _ => format!("Check that {shown} exists and can be read and written, then run again."),
        };
        (PortErrorKind::Storage, hint)
    };
    PortError::because(kind, format!("{doing} ({shown})"), error).hint(hint)
}

/// Runs file work on a thread where waiting for the disk holds up nobody else.
pub(super) async fn blocking<T, F>(work: F) -> Result<T, PortError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, PortError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(PortError::because(PortErrorKind::Bug, "finish work on the state directory", error)),
    }
}

/// Runs file work that takes less than handing it to another thread and back: a small read.
///
/// Where the runtime has other threads, they are told, so that waiting for the disk still holds up nobody else.
pub(super) async fn brief<T, F>(work: F) -> Result<T, PortError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, PortError> + Send + 'static,
{
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        Ok(_) | Err(_) => blocking(work).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder can be made")
    }

    #[test]
    fn naming_a_home_creates_nothing() {
        let folder = folder();
        let home = Home::at(folder.path().join(".branchline"));
        assert!(!home.exists());
        assert!(!home.root().exists());
    }

    #[test]
    fn a_home_is_private_and_ignored_by_git() {
        let folder = folder();
        let home = Home::open(folder.path().join(".branchline")).expect("it can be made");
        home.ensure().expect("twice is the same as once");
        assert_eq!(fs::read_to_string(home.root().join(".gitignore")).expect("it is there"), "*\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(home.root()).expect("it exists").permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }

    #[test]
    fn a_folder_with_other_things_in_it_is_not_hidden_from_git() {
        let folder = folder();
        fs::write(folder.path().join("notes.txt"), "mine").expect("it can be written");
        Home::open(folder.path().to_owned()).expect("it can be used");
        assert!(!folder.path().join(".gitignore").exists());
    }

    #[test]
    fn a_file_in_the_way_is_named_with_a_way_out() {
        let folder = folder();
        let file = folder.path().join("file");
        fs::write(&file, "").expect("it can be written");
        let error = Home::open(file.join(".branchline")).expect_err("a file has no folders in it");
        assert_eq!(error.kind, PortErrorKind::Storage);
        assert!(error.chain().contains(&file.display().to_string()), "{}", error.chain());
        assert!(error.hint.expect("there is one").contains("BRANCHLINE_HOME"));
    }

    #[test]
    fn no_space_left_is_a_full_disk() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = storage_error("write it", Path::new("/home/x"), full);
        assert_eq!(error.kind, PortErrorKind::DiskFull);
        assert!(error.hint.expect("there is one").starts_with("Free space"));
    }
}
