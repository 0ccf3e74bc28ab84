//! Which local data are there, now? A digest of their content, remembered so that an unchanged file is not read again.
//!
//! Identifying only reads. What trains keeps a copy of exactly that content (`data_store`), and `remember` writes the
//! memory down. Deliberately absent: data that Git tracks, pointer files and `version:`; the commit tells those.

use crate::adapters::local::data_store::FolderEntry;
use crate::adapters::local::data_store::folder_digest;
use crate::adapters::local::files::files_of;
use crate::adapters::local::files::hash_data;
use crate::adapters::local::files::unreadable;
use crate::adapters::local::home::Home;
use crate::adapters::local::home::blocking;
use crate::adapters::local::home::storage_error;
use crate::adapters::local::home::write_atomically;
use crate::adapters::local::pointed;
use crate::adapters::local::reach::DataPlaces;
use crate::adapters::local::reach::DataReach;
use crate::adapters::local::reach::PlaceError;
use crate::adapters::system;
use crate::model::dataset::Dataset;
use crate::model::dataset::DatasetKind;
use crate::model::digest::Sha256Digest;
use crate::model::pointer::LFS_LIMIT;
use crate::model::pointer::PointedData;
use crate::model::settings::DataSource;
use crate::ports::datasets::Datasets;
use crate::ports::datasets::Unusable;
use crate::ports::error::PortError;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// A file that changed this recently is not remembered: it might change again within the same tick of its time.
const SETTLED: Duration = Duration::from_secs(2);

/// Identifies data on this machine.
#[derive(Debug, Clone)]
pub struct LocalDatasets {
    home: Home,
    places: DataPlaces,
    memory: Arc<Mutex<Option<Memory>>>,
}

/// What a file looked like when its content was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    size: u64,
    modified: i128,
    /// The time of the last change of anything about the file, which nobody can set back. Unix only.
    changed: i128,
    inode: u64,
}

/// A file as it was, and the digest of its content then.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Remembered {
    look: Look,
    digest: Sha256Digest,
}

/// What is known of files, by absolute path. Only ever a shortcut: without it everything is read again.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    files: BTreeMap<String, Remembered>,
    #[serde(skip)]
    is_new: bool,
}

impl LocalDatasets {
    /// Identifies paths relative to `root`, the root of the main working tree, on a person's own machine.
    pub fn new(home: Home, root: PathBuf) -> Self {
        let places = DataPlaces::new(&home, root, DataReach::Machine);
        Self { home, places, memory: Arc::default() }
    }

    /// Reads only in these places.
    pub fn within(self, places: DataPlaces) -> Self {
        Self { places, ..self }
    }

    fn find(&self, source: &DataSource) -> Result<Dataset, String> {
        let uri = &source.uri;
        let remote = |uri: &str| {
            let (scheme, _) = uri.split_once("://")?;
            let backend =
                if scheme == "s3" { "the S3 backend".to_owned() } else { format!("a backend for {scheme}://") };
            Some(format!("{uri} needs {backend}: with `backend: local` data are paths on this machine"))
        };
        if let Some(missing) = remote(uri).or_else(|| source.version_from.as_deref().and_then(remote)) {
            return Err(missing);
        }
        let path = self.resolved(uri)?;
        let digest = match &source.version_from {
            // The data are taken as they lie there when training starts: the manifest says which they are.
            Some(manifest) => self.manifest(manifest)?,
            None => {
                let about = fs::metadata(&path).map_err(|error| unreadable(uri, &error))?;
                if about.is_dir() {
                    self.folder(&path, uri)?
                } else if about.is_file() {
                    self.file(&path, uri)?.0
                } else {
                    return Err(format!("{uri} is neither a file nor a folder"));
                }
            }
        };
        Ok(Dataset { uri: uri.clone(), kind: DatasetKind::Local, digest: format!("sha256:{digest}") })
    }

    fn resolved(&self, shown: &str) -> Result<PathBuf, String> {
        self.places.resolve(shown).map_err(|error| match error {
            PlaceError::Refused(why) => why,
            PlaceError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => {
                format!("{shown} does not exist (looked for {})", self.places.looked_for(shown).display())
            }
            PlaceError::Io(error) => unreadable(shown, &error),
        })
    }

    fn manifest(&self, shown: &str) -> Result<Sha256Digest, String> {
        let path = self.resolved(shown)?;
        if !fs::metadata(&path).map_err(|error| unreadable(shown, &error))?.is_file() {
            return Err(format!("{shown}, named by `version_from`, is not a file"));
        }
        hash_data(&path, shown).map(|(digest, _)| digest)
    }

    fn file(&self, path: &Path, shown: &str) -> Result<(Sha256Digest, u64), String> {
        let before = Look::at(path).map_err(|error| unreadable(shown, &error))?;
        let key = path.display().to_string();
        // A small file is read in any case: it may be a pointer.
        if before.size >= LFS_LIMIT as u64
            && let Some(known) = self.memory().get_or_insert_with(|| Memory::read(&self.home)).files.get(&key)
            && known.look == before
        {
            return Ok((known.digest.clone(), before.size));
        }
        let (digest, size) = hash_data(path, shown)?;
        let after = Look::at(path).map_err(|error| unreadable(shown, &error))?;
        if before == after && before.is_settled() && before.size >= LFS_LIMIT as u64 {
            let mut memory = self.memory();
            let memory = memory.get_or_insert_with(|| Memory::read(&self.home));
            memory.is_new = true;
            memory.files.insert(key, Remembered { look: before, digest: digest.clone() });
        }
        Ok((digest, size))
    }

    fn folder(&self, dir: &Path, shown: &str) -> Result<Sha256Digest, String> {
        let mut entries = Vec::new();
        for file in files_of(dir, shown)? {
            let (digest, size) = self.file(&file.at, &file.shown)?;
            entries.push(FolderEntry { path: file.path, digest, size });
        }
        Ok(folder_digest(&entries))
    }

    /// A panic of another holder left a memory that is only a shortcut.
    fn memory(&self) -> MutexGuard<'_, Option<Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    fn at(path: &Path) -> std::io::Result<Self> {
        let about = fs::metadata(path)?;
        let modified = jiff::Timestamp::try_from(about.modified()?).map_or(0, |time| time.as_nanosecond());
        #[cfg(unix)]
        let (changed, inode) = {
            use std::os::unix::fs::MetadataExt as _;
            (i128::from(about.ctime()) * 1_000_000_000 + i128::from(about.ctime_nsec()), about.ino())
        };
        #[cfg(not(unix))]
        let (changed, inode) = (modified, 0);
        Ok(Self { size: about.len(), modified, changed, inode })
    }

    fn is_settled(&self) -> bool {
        let age = system::now().as_nanosecond() - self.modified.max(self.changed);
        age > i128::try_from(SETTLED.as_nanos()).unwrap_or(i128::MAX)
    }
}

impl Memory {
    fn read(home: &Home) -> Self {
        fs::read(home.data_cache()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn write(&self, home: &Home) -> Result<(), PortError> {
        let path = home.data_cache();
        let failed = |error| storage_error("remember the data", &path, error);
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        write_atomically(&path, &text).map_err(failed)
    }
}

#[async_trait::async_trait]
impl Datasets for LocalDatasets {
    async fn refused(&self, source: &DataSource) -> Result<Option<String>, PortError> {
        let (places, source) = (self.places.clone(), source.clone());
        blocking(move || {
            let named = std::iter::once(&source.uri).chain(&source.version_from);
            Ok(named.filter(|uri| !uri.contains("://")).find_map(|uri| places.refused(uri)))
        })
        .await
    }

    async fn identify(&self, source: &DataSource) -> Result<Result<Dataset, String>, PortError> {
        let (datasets, source) = (self.clone(), source.clone());
        blocking(move || Ok(datasets.find(&source))).await
    }

    async fn unusable(
        &self,
        source: &DataSource,
        dataset: &Dataset,
        pointed: &[PointedData],
    ) -> Result<Option<Unusable>, PortError> {
        // Nothing is trained for a fork, so nothing has to be there.
        if self.places.is_checkout_only() {
            return Ok(None);
        }
        let (places, source, dataset, pointed) =
            (self.places.clone(), source.clone(), dataset.clone(), pointed.to_vec());
        blocking(move || {
            if dataset.kind == DatasetKind::Stated
                && let Some(why) =
                    Some(&source.uri).filter(|uri| !uri.contains("://")).and_then(|uri| places.refused(uri))
            {
                return Ok(Some(Unusable::Refused(why)));
            }
            Ok(pointed.iter().find_map(|one| pointed::unusable(one, &places)))
        })
        .await
    }

    async fn remember(&self) -> Result<(), PortError> {
        let datasets = self.clone();
        blocking(move || {
            let mut memory = datasets.memory();
            let Some(memory) = memory.as_mut().filter(|memory| memory.is_new) else { return Ok(()) };
            datasets.home.ensure()?;
            memory.write(&datasets.home)?;
            memory.is_new = false;
            Ok(())
        })
        .await
    }
}
