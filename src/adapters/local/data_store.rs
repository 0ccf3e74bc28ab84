//! Copies of local data, known by their content: what was identified is what training sees.
//!
//! A file is one stored file. A folder is a list (path, digest, size) beside its files, so that two states of a
//! large folder share what did not change. Deliberately absent: finding out what lies where (`datasets`).

use crate::adapters::local::blob::Blobs;
use crate::adapters::local::files::files_of;
use crate::adapters::local::home::Home;
use crate::adapters::local::home::storage_error;
use crate::adapters::local::home::write_atomically;
use crate::model::digest::CanonicalFields;
use crate::model::digest::Sha256Digest;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use serde::Deserialize;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

/// One file of a stored folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct FolderEntry {
    /// Relative to the folder, `/` between parts.
    pub(super) path: String,
    pub(super) digest: Sha256Digest,
    pub(super) size: u64,
}

/// The stored copies of a home.
#[derive(Debug, Clone)]
pub(super) struct DataStore {
    blobs: Blobs,
}

/// Computes the digest of a folder: over the path and the digest of each file, in byte order of the paths. Modes and
/// times do not count.
pub(super) fn folder_digest(entries: &[FolderEntry]) -> Sha256Digest {
    let mut sorted: Vec<&FolderEntry> = entries.iter().collect();
    sorted.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    let mut fields = CanonicalFields::new("branchline/folder/1");
    for entry in sorted {
        fields.field("path", entry.path.as_bytes()).field("digest", entry.digest.as_str().as_bytes());
    }
    fields.digest()
}

impl DataStore {
    pub(super) fn new(home: &Home) -> Self {
        Self { blobs: Blobs::new(home.data(), home.temporary()) }
    }

    /// Tells whether a file's content is stored.
    fn has(&self, digest: &Sha256Digest) -> bool {
        self.blobs.path(digest).is_file()
    }

    /// Keeps a copy of data that were identified: a file, or the files of a folder with their list. Where a copy is kept
    /// already, the data are not even looked for. Fails where they are other data by now.
    pub(super) fn keep(
        &self,
        digest: &str,
        find: impl FnOnce() -> Result<PathBuf, PortError>,
        shown: &str,
    ) -> Result<(), PortError> {
        let doing = || format!("keep a copy of the data {shown}");
        let unusable = |why: String| PortError::because(PortErrorKind::Configuration, doing(), why);
        let parsed = digest.strip_prefix("sha256:").and_then(|hex| Sha256Digest::parse(hex).ok());
        let parsed = parsed.ok_or_else(|| unusable(format!("{digest} is not a SHA-256 digest")))?;
        if self.holds(&parsed)? {
            return Ok(());
        }
        let from = find()?;
        let found = if from.is_dir() {
            let files = files_of(&from, shown).map_err(unusable)?;
            let places: Vec<PathBuf> = files.iter().map(|file| file.at.clone()).collect();
            let stored = self.blobs.store_all(&places)?;
            let entries = files.into_iter().zip(stored);
            let entries: Vec<FolderEntry> = entries
                .map(|(file, stored)| FolderEntry { path: file.path, digest: stored.digest, size: stored.size })
                .collect();
            self.put_folder(&entries)?
        } else {
            self.blobs.store(&from, None, &mut |_| {})?.digest
        };
        if found == parsed {
            return Ok(());
        }
        Err(unusable(format!(
            "the data changed after this run identified them: sha256:{found} now, sha256:{parsed} then"
        ))
        .hint("Run again when nothing writes to the data any more: Branchline identifies them anew."))
    }

    fn holds(&self, digest: &Sha256Digest) -> Result<bool, PortError> {
        Ok(match self.list(digest)? {
            Some(entries) => entries.iter().all(|entry| self.has(&entry.digest)),
            None => self.has(digest),
        })
    }

    /// Stores the list of a folder whose files are stored already, and returns the folder's digest.
    fn put_folder(&self, entries: &[FolderEntry]) -> Result<Sha256Digest, PortError> {
        let digest = folder_digest(entries);
        let path = self.list_path(&digest);
        if path.exists() {
            return Ok(digest);
        }
        let failed = |error| storage_error("keep the list of a data folder", &path, error);
        let text = serde_json::to_vec(entries).map_err(|error| failed(error.into()))?;
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        write_atomically(&path, &text).map_err(failed)?;
        Ok(digest)
    }

    /// Puts the data of a digest (`sha256:…`) into a folder: a file under `name`, a folder's files under their paths.
    pub(super) fn place(&self, digest: &str, name: &str, to: &Path) -> Result<(), PortError> {
        let gone = || {
            PortError::because(
                PortErrorKind::NotFound,
                format!("find the stored copy of the data {name}"),
                format!("nothing is stored for {digest}"),
            )
            .hint("The copy was removed after the data had been identified; run again to identify them anew.")
        };
        let parsed = digest.strip_prefix("sha256:").and_then(|hex| Sha256Digest::parse(hex).ok()).ok_or_else(gone)?;
        if let Some(entries) = self.list(&parsed)? {
            for entry in &entries {
                self.place_file(&entry.digest, &to.join(&entry.path))?;
            }
            return Ok(());
        }
        if self.has(&parsed) { self.place_file(&parsed, &to.join(name)) } else { Err(gone()) }
    }

    fn list_path(&self, digest: &Sha256Digest) -> PathBuf {
        self.blobs.path(digest).with_extension("folder.json")
    }

    fn list(&self, digest: &Sha256Digest) -> Result<Option<Vec<FolderEntry>>, PortError> {
        let path = self.list_path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(storage_error("read the list of a data folder", &path, error)),
        };
        let entries: Option<Vec<FolderEntry>> = serde_json::from_slice(&bytes).ok();
        // The list must be the one that has this digest, and its paths must stay where they belong.
        let sound = |entries: &Vec<FolderEntry>| {
            folder_digest(entries) == *digest
                && entries
                    .iter()
                    .all(|entry| Path::new(&entry.path).components().all(|part| matches!(part, Component::Normal(_))))
        };
        entries.filter(sound).map(Some).ok_or_else(|| {
            PortError::because(
                PortErrorKind::Corrupt,
                format!("use {}", path.display()),
                "it is not the list that was stored there",
            )
            .hint(format!("Remove {}, then run again: it is made anew from the data.", path.display()))
        })
    }

    /// Gives a training run a copy of its own, verified. A link would let it write into what later runs get: a
    /// read-only file can be made writable by its owner, who runs both.
    fn place_file(&self, digest: &Sha256Digest, to: &Path) -> Result<(), PortError> {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(|error| storage_error("place data for training", folder, error))?;
        }
        self.blobs.copy_out(digest, to).map_err(|error| match error.kind {
            PortErrorKind::Corrupt => error.hint(format!(
                "Remove {}, then run again: it is made anew from the data.",
                self.blobs.path(digest).display()
            )),
            _ => error,
        })
    }
}
