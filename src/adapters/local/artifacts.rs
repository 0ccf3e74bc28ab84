//! The local artifact store: one file for each content, whatever groups share it.
//!
//! A promotion within one home moves no bytes: the content is there already, and it is read and compared instead.

use crate::adapters::local::blob::BlobFile;
use crate::adapters::local::blob::Blobs;
use crate::adapters::local::blob::check_file;
use crate::adapters::local::blob::copy_hashed;
use crate::adapters::local::blob::corrupt;
use crate::adapters::local::home::Home;
use crate::adapters::local::home::blocking;
use crate::adapters::local::home::storage_error;
use crate::adapters::local::home::sync_folder;
use crate::adapters::regular;
use crate::adapters::regular::Links;
use crate::adapters::unfinished;
use crate::facts::holdings::Held;
use crate::facts::holdings::HeldArtifact;
use crate::model::artifact::Artifact;
use crate::model::artifact::ObjectDigest;
use crate::model::digest::Sha256Digest;
use crate::ports::artifacts::ArtifactPlace;
use crate::ports::artifacts::ArtifactStore;
use crate::ports::artifacts::Copied;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use crate::ports::progress::Progress;
use crate::ports::progress::Tick;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Artifacts in the local home.
#[derive(Debug, Clone)]
pub struct LocalArtifacts {
    home: Home,
    blobs: Blobs,
}

/// Where an artifact lies.
enum Location {
    Blob(Sha256Digest),
    File(PathBuf),
}

impl LocalArtifacts {
    /// Keeps artifacts in this home.
    pub fn new(home: Home) -> Self {
        let blobs = Blobs::new(home.artifacts(), home.temporary());
        Self { home, blobs }
    }

    /// Spells the location of a stored artifact.
    pub fn location(digest: &Sha256Digest) -> String {
        format!("blob:sha256:{digest}")
    }

    /// Says where an artifact of this home lies for a store of another home: as a file.
    pub fn as_file(&self, artifact: &Artifact) -> Result<Artifact, PortError> {
        let (_, location) = self.parse(artifact)?;
        Ok(Artifact { location: format!("file:{}", self.file(location).display()), ..artifact.clone() })
    }

    /// Returns the size of a stored artifact in bytes, for pruning. `None`: it is not stored.
    pub fn size_of(&self, digest: &Sha256Digest) -> Option<u64> {
        fs::metadata(self.blobs.path(digest)).ok().map(|about| about.len())
    }

    /// Removes a stored artifact, for pruning. `false`: it was not stored.
    pub fn remove(&self, digest: &Sha256Digest) -> Result<bool, PortError> {
        self.blobs.remove(digest)
    }

    fn store(&self, from: &Artifact, on_bytes: &mut dyn FnMut(u64)) -> Result<Copied, PortError> {
        let (digest, location) = self.parse(from)?;
        let (size, bytes_moved) = if self.blobs.path(&digest).exists() {
            // Whether the bytes are still those is only known by reading them.
            (self.blobs.check(&digest, on_bytes)?, 0)
        } else {
            match location {
                Location::Blob(_) => (self.blobs.check(&digest, on_bytes)?, 0),
                Location::File(path) => {
                    self.home.ensure()?;
                    let stored = self.blobs.store(&path, Some(&digest), on_bytes)?;
                    (stored.size, stored.size)
                }
            }
        };
        let artifact = Artifact {
            name: from.name.clone(),
            location: Self::location(&digest),
            digest: ObjectDigest::Sha256(digest),
            size,
        };
        Ok(Copied { artifact, bytes_moved })
    }

    fn list(&self) -> Result<Held<HeldArtifact>, PortError> {
        let mut held = Held::default();
        for file in self.blobs.list()? {
            match file {
                BlobFile::Known { digest, size, stored_at } => {
                    let artifact = Artifact {
                        name: digest.as_str().to_owned(),
                        location: Self::location(&digest),
                        digest: ObjectDigest::Sha256(digest),
                        size,
                    };
                    held.known.push(HeldArtifact { artifact, stored_at });
                }
                BlobFile::Unknown(path) => held.unknown.push(path.display().to_string()),
            }
        }
        Ok(held)
    }

    fn check(&self, artifact: &Artifact) -> Result<(), PortError> {
        let (digest, location) = self.parse(artifact)?;
        check_file(&self.file(location), &digest, &mut |_| {}).map(|_| ())
    }

    fn write_to(&self, artifact: &Artifact, to: &Path) -> Result<(), PortError> {
        let (digest, location) = self.parse(artifact)?;
        let path = self.file(location);
        // A missing or unreadable source is told apart from a full disk on the other side.
        let (mut source, _) = regular::open(&path, Links::Follow).map_err(|error| {
            PortError::because(PortErrorKind::NotFound, format!("read {}", path.display()), error)
                .hint("The artifact was removed from outside. Bring it back from a backup, or make the model anew: `branchline train --again --reason \"lost artifact\"`.")
        })?;
        let writing = |error| storage_error("write the artifact", to, error);
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let beside = || tempfile::Builder::new().prefix(".fetch-").tempfile_in(folder);
        let (mut temporary, _mark) = unfinished::make(beside, |made| made.path().to_owned()).map_err(writing)?;
        let (found, _) = copy_hashed(&mut source, temporary.as_file_mut(), &mut |_| {}).map_err(writing)?;
        if found != digest {
            return Err(corrupt(&path, &digest, found));
        }
        temporary.as_file().sync_all().map_err(writing)?;
        temporary.persist(to).map_err(|error| writing(error.error))?;
        sync_folder(folder).map_err(writing)
    }

    fn file(&self, location: Location) -> PathBuf {
        match location {
            Location::Blob(digest) => self.blobs.path(&digest),
            Location::File(path) => path,
        }
    }

    fn parse(&self, artifact: &Artifact) -> Result<(Sha256Digest, Location), PortError> {
        let unusable = |why: String| {
            PortError::because(PortErrorKind::Configuration, format!("use artifact {}", artifact.name), why).hint(
                "The local artifact store keeps what local training made. Use the artifact store that made this one.",
            )
        };
        let Some(digest) = artifact.digest.sha256() else {
            return Err(unusable(format!("its digest is {}, and local files are known by SHA-256", artifact.digest)));
        };
        let location = &artifact.location;
        if let Some(hex) = location.strip_prefix("blob:sha256:") {
            let named = Sha256Digest::parse(hex).map_err(|error| unusable(error.to_string()))?;
            if named != *digest {
                return Err(corrupt(&self.blobs.path(&named), digest, named));
            }
            return Ok((digest.clone(), Location::Blob(named)));
        }
        match location.strip_prefix("file:") {
            Some(path) => Ok((digest.clone(), Location::File(PathBuf::from(path)))),
            None => Err(unusable(format!("`{location}` is not on this machine"))),
        }
    }
}

#[async_trait::async_trait]
impl ArtifactStore for LocalArtifacts {
    async fn copy(&self, from: &Artifact, to: &ArtifactPlace, progress: &dyn Progress) -> Result<Copied, PortError> {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (store, artifact) = (self.clone(), from.clone());
        let what = format!("copying {}", from.name);
        let work = blocking(move || {
            store.store(&artifact, &mut |bytes| {
                // Nobody listens any more when the run was cancelled.
                let _ = tell.send(bytes);
            })
        });
        let listen = async {
            while let Some(done) = told.recv().await {
                progress.tick(&to.model, Tick::Moves { what: &what, done, total: Some(from.size) });
            }
        };
        let (result, ()) = tokio::join!(work, listen);
        result
    }

    async fn verify(&self, artifact: &Artifact) -> Result<(), PortError> {
        let (store, artifact) = (self.clone(), artifact.clone());
        blocking(move || store.check(&artifact)).await
    }

    async fn held(&self) -> Result<Held<HeldArtifact>, PortError> {
        let store = self.clone();
        blocking(move || store.list()).await
    }

    async fn remove(&self, artifact: &Artifact) -> Result<bool, PortError> {
        let (store, artifact) = (self.clone(), artifact.clone());
        blocking(move || match store.parse(&artifact)? {
            (digest, Location::Blob(_)) => store.blobs.remove(&digest),
            // What lies elsewhere was not stored here.
            (_, Location::File(_)) => Ok(false),
        })
        .await
    }

    async fn fetch(&self, artifact: &Artifact, to: &Path) -> Result<(), PortError> {
        let (store, artifact, to) = (self.clone(), artifact.clone(), to.to_owned());
        blocking(move || store.write_to(&artifact, &to)).await
    }
}
