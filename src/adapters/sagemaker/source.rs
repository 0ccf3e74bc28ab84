//! The source of a training: the watched paths of its commit, packed so that the same commit always makes the same
//! archive, and uploaded once.

use crate::adapters::local::Home;
use crate::adapters::local::SourceMaterial;
use crate::adapters::local::pack;
use crate::adapters::s3::CopySizes;
use crate::adapters::s3::objects::Created;
use crate::adapters::s3::objects::Objects;
use crate::adapters::sagemaker::contract::BOOTSTRAP;
use crate::adapters::sagemaker::keys::Keys;
use crate::model::digest::CanonicalFields;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::trainer::TrainingSpec;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// A packed source.
pub(super) struct Source {
    /// The folder that it lies in; removed with this value.
    _folder: tempfile::TempDir,
    archive: PathBuf,
    /// Over the archive and the bootstrap: the name of their place.
    pub(super) digest: String,
    /// What a person should know, such as a submodule that was left out.
    pub(super) notes: Vec<String>,
}

/// Packs the source.
pub(super) async fn packed(
    home: &Home,
    material: &Arc<dyn SourceMaterial>,
    spec: &TrainingSpec,
) -> Result<Source, PortError> {
    let (home, material, spec) = (home.clone(), Arc::clone(material), spec.clone());
    off_the_runtime(move || {
        let folder = temporary(&home, "source-")?;
        let code = folder.path().join("code");
        let archive = folder.path().join("source.tar.gz");
        let doing = || format!("pack the source of training {}", spec.name);
        fs::create_dir(&code).map_err(|error| PortError::because(PortErrorKind::Storage, doing(), error))?;
        let notes = material.checkout(&spec, &code)?;
        remove_dangling_links(&code).map_err(|error| PortError::because(PortErrorKind::Storage, doing(), error))?;
        let packed = pack::pack_directory(&code, &archive, &mut |_, _| {}).map_err(|error| {
            let kind = if error.is_disk_full() { PortErrorKind::DiskFull } else { PortErrorKind::Storage };
            PortError::because(kind, doing(), error)
        })?;
        let mut fields = CanonicalFields::new("branchline/source/1");
        fields.field("archive", packed.sha256.as_str().as_bytes()).field("bootstrap", BOOTSTRAP.as_bytes());
        Ok(Source { archive, digest: fields.digest().as_str().to_owned(), notes, _folder: folder })
    })
    .await
}

impl Source {
    /// Uploads it, unless it is there already, and returns the prefix where it lies. What lies there under the name is
    /// compared by its checksum before it is used: a name is no proof of a content.
    pub(super) async fn upload(&self, objects: &Objects, keys: Keys<'_>) -> Result<String, PortError> {
        const DOING: &str = "upload the source archive";
        let [archive, bootstrap] = ["source.tar.gz", "bootstrap.sh"].map(|what| keys.source(&self.digest, what));
        let there = objects.list(&keys.source(&self.digest, ""), None, 10, DOING).await?;
        objects.send(&archive, &self.archive, CopySizes::default(), there.contains(&archive), DOING).await?;
        let lies_there = match objects.get(&bootstrap, DOING).await? {
            Some(stored) => stored.value == BOOTSTRAP.as_bytes(),
            None => {
                let made = objects.create(&bootstrap, BOOTSTRAP.as_bytes().to_vec(), DOING).await?;
                matches!(made, Created::New(_))
            }
        };
        if !lies_there {
            return Err(occupied(&objects.location(&bootstrap), DOING));
        }
        Ok(objects.location(&keys.source(&self.digest, "")))
    }
}

/// Says that something else lies where the input of a training job belongs.
pub(super) fn occupied(location: &str, doing: impl Into<String>) -> PortError {
    let why = format!("{location} holds something that this run did not write, and its name says what it must hold");
    PortError::because(PortErrorKind::Corrupt, doing, why).hint(format!(
        "Nothing was started. Find out who wrote it, delete it (`aws s3 rm {location}`), then run again."
    ))
}

/// A link to what is not watched leads nowhere in the container either; an archive cannot hold it.
fn remove_dangling_links(code: &Path) -> io::Result<()> {
    for found in walkdir::WalkDir::new(code) {
        let found = found?;
        if found.path_is_symlink() && fs::metadata(found.path()).is_err() {
            fs::remove_file(found.path())?;
        }
    }
    Ok(())
}

/// Makes a folder for a moment, where the local home keeps such folders.
pub(super) fn temporary(home: &Home, prefix: &str) -> Result<tempfile::TempDir, PortError> {
    home.ensure()?;
    let place = home.temporary();
    tempfile::Builder::new().prefix(prefix).tempdir_in(&place).map_err(|error| {
        PortError::because(PortErrorKind::Storage, format!("make a folder in {}", place.display()), error)
    })
}

/// Runs file work on a thread where waiting for the disk holds up nobody else.
pub(super) async fn off_the_runtime<T, F>(work: F) -> Result<T, PortError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, PortError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(PortError::because(PortErrorKind::Bug, "finish work on files", error)),
    }
}
