//! Review records beside the registry: for repositories that want no check runs, which keep them otherwise.

use crate::adapters::local::home::storage_error;
use crate::adapters::local::home::write_atomically;
use crate::model::digest::Sha256Digest;
use crate::model::git::CommitSha;
use crate::model::review::ReviewRecord;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// The records of one repository, one file for each pull request.
pub struct LocalReviews {
    folder: PathBuf,
}

impl LocalReviews {
    /// Looks below a home. `repository` is `owner/name`.
    pub fn new(home: &Path, repository: &str) -> Self {
        Self { folder: home.join("reviews").join(repository.replace('/', "--")) }
    }

    /// Returns the record of a pull request, if it has one.
    pub fn read(&self, pull_request: u64) -> Result<Option<ReviewRecord>, PortError> {
        let path = self.path(pull_request);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(storage_error("read the review record", &path, error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            PortError::because(PortErrorKind::Corrupt, format!("read the review record {}", path.display()), error)
                .hint("Take the file away: the next report of the pull request writes a new one.")
        })
    }

    /// Writes the record of a pull request, whole or not at all.
    pub fn write(&self, record: &ReviewRecord) -> Result<(), PortError> {
        let path = self.path(record.pull_request);
        let failed = |error| storage_error("write the review record", &path, error);
        let text = serde_json::to_vec_pretty(record)
            .map_err(|error| PortError::because(PortErrorKind::Bug, "write the review record", error))?;
        fs::create_dir_all(&self.folder).map_err(failed)?;
        write_atomically(&path, &text).map_err(failed)
    }

    /// Returns what the pull requests of a commit were told by the status of a name, as [`Self::tell`] got it.
    pub fn told(&self, commit: &CommitSha, name: &str) -> Result<Option<String>, PortError> {
        let path = self.told_path(commit, name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(storage_error("read what a status reported", &path, error)),
        }
    }

    /// Keeps what the pull requests of a commit were told by the status of a name.
    pub fn tell(&self, commit: &CommitSha, name: &str, text: &str) -> Result<(), PortError> {
        let path = self.told_path(commit, name);
        let failed = |error| storage_error("write what a status reported", &path, error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        write_atomically(&path, text.as_bytes()).map_err(failed)
    }

    /// The name of a status may hold any character; its digest holds none that a path cannot.
    fn told_path(&self, commit: &CommitSha, name: &str) -> PathBuf {
        let name = Sha256Digest::of(name.as_bytes());
        self.folder.join("statuses").join(format!("{commit}-{}.txt", name.short()))
    }

    fn path(&self, pull_request: u64) -> PathBuf {
        self.folder.join(format!("{pull_request}.json"))
    }
}
