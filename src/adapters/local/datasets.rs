//! Which local data are there, now? A digest of their content, remembered so that an unchanged file is not read again,
//! and a stored copy, so that training sees exactly what was identified.
//!
//! Deliberately absent: data that Git tracks, pointer files and `version:`; the commit tells those.

use crate::adapters::local::blob::hash_file;
use crate::adapters::local::data_store::DataStore;
use crate::adapters::local::data_store::FolderEntry;
use crate::adapters::local::home::Home;
use crate::adapters::local::home::blocking;
use crate::adapters::local::home::storage_error;
use crate::adapters::local::home::write_atomically;
use crate::adapters::system;
use crate::model::dataset::Dataset;
use crate::model::dataset::DatasetKind;
use crate::model::digest::Sha256Digest;
use crate::model::settings::DataSource;
use crate::ports::datasets::Datasets;
use crate::ports::error::PortError;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// A file that changed this recently is not remembered: it might change again within the same tick of its time.
const SETTLED: Duration = Duration::from_secs(2);

/// Identifies data on this machine.
#[derive(Debug, Clone)]
pub struct LocalDatasets {
    home: Home,
    root: PathBuf,
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

/// Data that cannot be identified: a sentence for people. Or the store failed.
enum Missing {
    Data(String),
    Store(PortError),
}

impl LocalDatasets {
    /// Identifies paths relative to `root`, the root of the main working tree.
    pub fn new(home: Home, root: PathBuf) -> Self {
        Self { home, root }
    }

    fn find(&self, source: &DataSource) -> Result<Dataset, Missing> {
        let uri = &source.uri;
        let remote = |uri: &str| {
            let (scheme, _) = uri.split_once("://")?;
            let backend =
                if scheme == "s3" { "the S3 backend".to_owned() } else { format!("a backend for {scheme}://") };
            Some(Missing::Data(format!("{uri} needs {backend}: with `backend: local` data are paths on this machine")))
        };
        if let Some(missing) = remote(uri).or_else(|| source.version_from.as_deref().and_then(remote)) {
            return Err(missing);
        }
        let path = self.root.join(uri);
        let mut memory = Memory::read(&self.home);
        let digest = match &source.version_from {
            // The data are taken as they lie there when training starts: the manifest says which they are.
            Some(manifest) => {
                exists(&path, uri)?;
                self.manifest(&self.root.join(manifest), manifest)?
            }
            None => {
                let about = exists(&path, uri)?;
                self.home.ensure().map_err(Missing::Store)?;
                if about.is_dir() {
                    self.folder(&path, uri, &mut memory)?
                } else if about.is_file() {
                    self.file(&path, uri, &mut memory)?
                } else {
                    return Err(Missing::Data(format!("{uri} is neither a file nor a folder")));
                }
            }
        };
        // Without the shortcut the next run is slower, not wrong.
        let _ = memory.write(&self.home);
        Ok(Dataset { uri: uri.clone(), kind: DatasetKind::Local, digest: format!("sha256:{digest}") })
    }

    fn manifest(&self, path: &Path, shown: &str) -> Result<Sha256Digest, Missing> {
        let about = exists(path, shown)?;
        if !about.is_file() {
            return Err(Missing::Data(format!("{shown}, named by `version_from`, is not a file")));
        }
        hash_file(path, &mut |_| {}).map(|(digest, _)| digest).map_err(|error| unreadable(shown, &error))
    }

    fn file(&self, path: &Path, shown: &str, memory: &mut Memory) -> Result<Sha256Digest, Missing> {
        let store = DataStore::new(&self.home);
        let before = Look::at(path).map_err(|error| unreadable(shown, &error))?;
        let key = path.display().to_string();
        if let Some(known) = memory.files.get(&key)
            && known.look == before
            && store.has(&known.digest)
        {
            return Ok(known.digest.clone());
        }
        // Told apart from a failing store: what cannot be read is the data's fault.
        fs::File::open(path).map_err(|error| unreadable(shown, &error))?;
        let digest = store.put(path).map_err(Missing::Store)?;
        let after = Look::at(path).map_err(|error| unreadable(shown, &error))?;
        if before == after && before.is_settled() {
            memory.is_new = true;
            memory.files.insert(key, Remembered { look: before, digest: digest.clone() });
        }
        Ok(digest)
    }

    fn folder(&self, dir: &Path, shown: &str, memory: &mut Memory) -> Result<Sha256Digest, Missing> {
        let root = fs::canonicalize(dir).map_err(|error| unreadable(shown, &error))?;
        let mut entries = Vec::new();
        for found in walkdir::WalkDir::new(dir).min_depth(1).follow_root_links(true).sort_by_file_name() {
            let found = found.map_err(|error| Missing::Data(format!("{shown} cannot be read: {error}")))?;
            let relative = found.path().strip_prefix(dir).unwrap_or(found.path());
            let Some(path) = slashed(relative) else {
                let name = relative.display();
                return Err(Missing::Data(format!("{shown} has a file whose name is not valid text: {name}")));
            };
            let named = format!("{}/{path}", shown.trim_end_matches('/'));
            if found.file_type().is_dir() {
                continue;
            }
            if found.path_is_symlink() {
                check_link(found.path(), &root, &named)?;
            } else if !found.file_type().is_file() {
                return Err(Missing::Data(format!("{named} is neither a file, a folder nor a link")));
            }
            let digest = self.file(found.path(), &named, memory)?;
            let size = fs::metadata(found.path()).map_err(|error| unreadable(&named, &error))?.len();
            entries.push(FolderEntry { path, digest, size });
        }
        if entries.is_empty() {
            return Err(Missing::Data(format!("{shown} is an empty folder")));
        }
        DataStore::new(&self.home).put_folder(&entries).map_err(Missing::Store)
    }
}

/// A link counts as the file that it points at, if that file is in the same folder.
fn check_link(link: &Path, root: &Path, shown: &str) -> Result<(), Missing> {
    let target = fs::canonicalize(link)
        .map_err(|error| Missing::Data(format!("{shown} is a link that leads nowhere: {error}")))?;
    if !target.starts_with(root) {
        let target = target.display();
        return Err(Missing::Data(format!(
            "{shown} is a link to {target}, outside of the data: copy the file, or name that place in `data`"
        )));
    }
    if !target.is_file() {
        return Err(Missing::Data(format!("{shown} is a link to something other than a file: copy the files instead")));
    }
    Ok(())
}

fn exists(path: &Path, shown: &str) -> Result<fs::Metadata, Missing> {
    fs::metadata(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            Missing::Data(format!("{shown} does not exist (looked for {})", path.display()))
        } else {
            unreadable(shown, &error)
        }
    })
}

fn unreadable(shown: &str, error: &std::io::Error) -> Missing {
    Missing::Data(format!("{shown} cannot be read: {error}"))
}

fn slashed(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.components().map(|part| part.as_os_str().to_str()).collect();
    parts.map(|parts| parts.join("/"))
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
        if !self.is_new {
            return Ok(());
        }
        let path = home.data_cache();
        let failed = |error| storage_error("remember the data", &path, error);
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        write_atomically(&path, &text).map_err(failed)
    }
}

#[async_trait::async_trait]
impl Datasets for LocalDatasets {
    async fn identify(&self, source: &DataSource) -> Result<Result<Dataset, String>, PortError> {
        let (datasets, source) = (self.clone(), source.clone());
        blocking(move || match datasets.find(&source) {
            Ok(dataset) => Ok(Ok(dataset)),
            Err(Missing::Data(why)) => Ok(Err(why)),
            Err(Missing::Store(error)) => Err(error),
        })
        .await
    }
}
