//! Files known by the digest of their content. They appear whole, are read-only, and are never overwritten.

use crate::adapters::local::home::storage_error;
use crate::adapters::local::home::sync_folder;
use crate::adapters::regular;
use crate::adapters::regular::Links;
use crate::adapters::unfinished;
use crate::model::digest::Sha256Digest;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;

/// How much is copied between two signs of life.
const CHUNK: u64 = 8 << 20;

/// From so many files on, one request makes all of them durable.
const FEW: usize = 8;

/// The content of a file is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("its content is sha256:{found}, but sha256:{expected} was recorded")]
struct WrongContent {
    expected: Sha256Digest,
    found: Sha256Digest,
}

/// A folder of files known by their content: `sha256/<first 2 digits>/<other 62>`.
#[derive(Debug, Clone)]
pub(super) struct Blobs {
    folder: PathBuf,
    temporary: PathBuf,
}

/// What a listing finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BlobFile {
    /// A stored file.
    Known { digest: Sha256Digest, size: u64, stored_at: jiff::Timestamp },
    /// Something else.
    Unknown(std::path::PathBuf),
}

/// What storing came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) digest: Sha256Digest,
    pub(super) size: u64,
}

impl Blobs {
    /// Names a folder; `temporary` must be on the same file system.
    pub(super) fn new(folder: PathBuf, temporary: PathBuf) -> Self {
        Self { folder, temporary }
    }

    /// Returns the file of a digest, whether it exists or not.
    pub(super) fn path(&self, digest: &Sha256Digest) -> PathBuf {
        let (head, rest) = digest.as_str().split_at(2);
        self.folder.join("sha256").join(head).join(rest)
    }

    /// Copies a file's content in, hashing what is stored. If it is there already, it stays as it is.
    pub(super) fn store(
        &self,
        from: &Path,
        expected: Option<&Sha256Digest>,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<Stored, PortError> {
        let copying = |error| storage_error(&format!("copy {}", from.display()), &self.folder, error);
        let (mut source, _) =
            regular::open(from, Links::Follow).map_err(|error| storage_error("read the file", from, error))?;
        let beside = || tempfile::Builder::new().prefix("blob-").tempfile_in(&self.temporary);
        let (mut temporary, _mark) = unfinished::make(beside, |made| made.path().to_owned()).map_err(copying)?;
        // Dropping the temporary file removes it, whatever fails from here on.
        let (digest, size) = copy_hashed(&mut source, temporary.as_file_mut(), on_bytes).map_err(copying)?;
        if let Some(expected) = expected
            && *expected != digest
        {
            return Err(corrupt(from, expected, digest));
        }
        let path = self.path(&digest);
        if path.exists() {
            return Ok(Stored { digest, size });
        }
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(copying)?;
        seal(temporary.as_file()).map_err(copying)?;
        temporary.as_file().sync_all().map_err(copying)?;
        temporary.persist(&path).map_err(|error| copying(error.error))?;
        sync_folder(folder).map_err(copying)?;
        Ok(Stored { digest, size })
    }

    /// Copies many files in, as [`store`](Self::store) does each of them, and makes them durable together: all contents
    /// before the first name, so that a stored file is whole even after a power failure.
    pub(super) fn store_all(&self, files: &[PathBuf]) -> Result<Vec<Stored>, PortError> {
        if files.len() < FEW {
            return files.iter().map(|file| self.store(file, None, &mut |_| {})).collect();
        }
        let copying = |error| storage_error("copy the files", &self.folder, error);
        // Dropping the folder removes it, whatever fails from here on.
        let beside = || tempfile::Builder::new().prefix("blob-").tempdir_in(&self.temporary);
        let (batch, _mark) = unfinished::make(beside, |made| made.path().to_owned()).map_err(copying)?;
        let (mut all, mut fresh) = (Vec::new(), BTreeMap::new());
        for (index, from) in files.iter().enumerate() {
            let mut source = File::open(from).map_err(|error| storage_error("read the file", from, error))?;
            let aside = batch.path().join(index.to_string());
            let mut copy = File::options().read(true).write(true).create_new(true).open(&aside).map_err(copying)?;
            let (digest, size) = copy_hashed(&mut source, &mut copy, &mut |_| {}).map_err(copying)?;
            if !self.path(&digest).exists() {
                seal(&copy).map_err(copying)?;
                fresh.insert(digest.clone(), aside);
            }
            all.push(Stored { digest, size });
        }
        sync_all_below(batch.path(), fresh.values()).map_err(copying)?;
        let mut folders = BTreeSet::new();
        for (digest, aside) in &fresh {
            let path = self.path(digest);
            let folder = path.parent().unwrap_or(&self.folder);
            if folders.insert(folder.to_owned()) {
                fs::create_dir_all(folder).map_err(copying)?;
            }
            fs::rename(aside, &path).map_err(copying)?;
        }
        sync_all_below(&self.folder, folders.iter()).map_err(copying)?;
        Ok(all)
    }

    /// Reads a stored file and compares its content with its name. Returns its size.
    pub(super) fn check(&self, digest: &Sha256Digest, on_bytes: &mut dyn FnMut(u64)) -> Result<u64, PortError> {
        check_file(&self.path(digest), digest, on_bytes)
    }

    /// Copies a stored file to `to`, which does not exist yet, and verifies what arrived there. The copy shares nothing
    /// with the stored file but, where the file system can, blocks that a write to either of them parts.
    pub(super) fn copy_out(&self, digest: &Sha256Digest, to: &Path) -> Result<(), PortError> {
        let stored = self.path(digest);
        let (mut from, _) = regular::open(&stored, Links::Follow).map_err(|error| unreadable(&stored, error.into()))?;
        let copying = |error| storage_error("copy a stored file", to, error);
        let mut copy = File::options().read(true).write(true).create_new(true).open(to).map_err(copying)?;
        let (found, _) = copy_hashed(&mut from, &mut copy, &mut |_| {}).map_err(copying)?;
        if found != *digest {
            return Err(corrupt(&stored, digest, found));
        }
        let mut permissions = copy.metadata().map_err(copying)?.permissions();
        permissions.set_readonly(true);
        copy.set_permissions(permissions).map_err(copying)
    }

    /// Lists the stored files by path, and what lies between them without being one.
    pub(super) fn list(&self) -> Result<Vec<BlobFile>, PortError> {
        let root = self.folder.join("sha256");
        if !root.is_dir() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in walkdir::WalkDir::new(&root).sort_by_file_name() {
            let entry = entry.map_err(|error| storage_error("list the files", &root, error))?;
            if entry.file_type().is_dir() {
                continue;
            }
            let hex = entry.path().strip_prefix(&root).ok().map(|path| path.to_string_lossy().replace(['/', '\\'], ""));
            let digest = hex.and_then(|hex| Sha256Digest::parse(&hex).ok());
            let Some(digest) = digest.filter(|digest| entry.file_type().is_file() && self.path(digest) == entry.path())
            else {
                found.push(BlobFile::Unknown(entry.into_path()));
                continue;
            };
            let about = match entry.metadata() {
                Ok(about) => about,
                // Gone since it was listed.
                Err(error) if error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => continue,
                Err(error) => return Err(storage_error("look at the file", entry.path(), error)),
            };
            found.push(BlobFile::Known { digest, size: about.len(), stored_at: stored_at(&about) });
        }
        Ok(found)
    }

    /// Removes a stored file. `false`: there was none.
    pub(super) fn remove(&self, digest: &Sha256Digest) -> Result<bool, PortError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(storage_error("remove the file", &path, error)),
        }
    }
}

/// Makes files or folders durable: with one request for the whole file system where there is one, else each by itself.
fn sync_all_below<'a>(folder: &Path, each: impl Iterator<Item = &'a PathBuf>) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        drop(each);
        rustix::fs::syncfs(File::open(folder)?).map_err(io::Error::from)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = folder;
        for path in each {
            // Windows opens no folders.
            if cfg!(unix) || path.is_file() {
                File::open(path)?.sync_all()?;
            }
        }
        Ok(())
    }
}

/// Marks a file as one that is not written any more: read-only, and with a time that every later write changes.
fn seal(file: &File) -> io::Result<()> {
    filetime::set_file_handle_times(file, None, Some(filetime::FileTime::zero()))?;
    let mut permissions = file.metadata()?.permissions();
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o444);
    #[cfg(not(unix))]
    permissions.set_readonly(true);
    file.set_permissions(permissions)
}

/// Returns when a file came to its place. Its modification time is sealed, and says nothing. Where the system does
/// not tell, the file counts as new: it is never mistaken for an old one.
fn stored_at(about: &fs::Metadata) -> jiff::Timestamp {
    #[cfg(unix)]
    let seconds = Some(std::os::unix::fs::MetadataExt::ctime(about));
    #[cfg(not(unix))]
    let seconds = about
        .created()
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_secs()).ok());
    seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()).unwrap_or(jiff::Timestamp::MAX)
}

/// Reads a file and compares its content with a digest. Returns its size.
pub(super) fn check_file(
    path: &Path,
    expected: &Sha256Digest,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<u64, PortError> {
    let (found, size) = hash_file(path, on_bytes).map_err(|error| unreadable(path, error))?;
    if found == *expected { Ok(size) } else { Err(corrupt(path, expected, found)) }
}

fn unreadable(path: &Path, error: io::Error) -> PortError {
    if error.kind() == io::ErrorKind::NotFound {
        PortError::because(PortErrorKind::NotFound, format!("read {}", path.display()), error)
            .hint("The file was removed from outside. Bring it back from a backup, or make the model anew: `branchline train --again --reason \"lost artifact\"`.")
    } else {
        storage_error("read the file", path, error)
    }
}

/// Hashes a file's content.
pub(super) fn hash_file(path: &Path, on_bytes: &mut dyn FnMut(u64)) -> io::Result<(Sha256Digest, u64)> {
    let (mut file, _) = regular::open(path, Links::Follow)?;
    let mut hasher = sha2::Sha256::new();
    let size = hash_rest(&mut file, u64::MAX, &mut hasher, on_bytes)?;
    Ok((Sha256Digest::finish(hasher), size))
}

/// Copies one open file to another and hashes what then stands in the other.
///
/// The system copies (and shares blocks where the file system can), and the copy is read back: so the digest is
/// that of the bytes at their new place, and a source that changes meanwhile does no harm.
pub(super) fn copy_hashed(
    from: &mut File,
    to: &mut File,
    on_bytes: &mut dyn FnMut(u64),
) -> io::Result<(Sha256Digest, u64)> {
    let mut hasher = sha2::Sha256::new();
    let mut size = 0;
    loop {
        let copied = io::copy(&mut io::Read::by_ref(from).take(CHUNK), to)?;
        if copied == 0 {
            return Ok((Sha256Digest::finish(hasher), size));
        }
        to.seek(SeekFrom::Start(size))?;
        let read = hash_rest(to, copied, &mut hasher, &mut |_| {})?;
        if read != copied {
            return Err(io::Error::other("the copy is shorter than what was copied"));
        }
        size += copied;
        on_bytes(size);
    }
}

fn hash_rest(file: &mut File, limit: u64, hasher: &mut sha2::Sha256, on_bytes: &mut dyn FnMut(u64)) -> io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut done = 0_u64;
    let mut told = 0_u64;
    while done < limit {
        let wanted = usize::try_from(limit - done).unwrap_or(usize::MAX).min(buffer.len());
        let count = match file.read(&mut buffer[..wanted]) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..count]);
        done += count as u64;
        if done - told >= CHUNK {
            told = done;
            on_bytes(done);
        }
    }
    on_bytes(done);
    Ok(done)
}

/// Tells that a file does not hold what it should.
pub(super) fn corrupt(path: &Path, expected: &Sha256Digest, found: Sha256Digest) -> PortError {
    let shown = path.display();
    PortError::because(
        PortErrorKind::Corrupt,
        format!("use {shown}"),
        WrongContent { expected: expected.clone(), found },
    )
    .hint(format!(
        "Nothing was overwritten. Restore {shown} from a backup, or move it away and make it anew: \
         `branchline train --again --reason \"damaged artifact\"`."
    ))
}
