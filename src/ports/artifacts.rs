//! Artifacts: made available for a group, verified by the digest of the whole object. Nothing is overwritten.

use crate::facts::holdings::Held;
use crate::facts::holdings::HeldArtifact;
use crate::model::artifact::Artifact;
pub use crate::model::change::ArtifactPlace;
use crate::ports::error::PortError;
use crate::ports::progress::Progress;
use std::path::Path;

/// What copying came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The artifact at its new place.
    pub artifact: Artifact,
    /// Bytes that were moved. Zero where the place held them already, or shares them.
    pub bytes_moved: u64,
}

/// Keeps artifacts.
#[async_trait::async_trait]
pub trait ArtifactStore: Send + Sync {
    /// Makes an artifact available at a place and verifies its digest there. Safe to repeat.
    ///
    /// The source may be another place of this store or a file that a local trainer made (`file:` location).
    async fn copy(&self, from: &Artifact, to: &ArtifactPlace, progress: &dyn Progress) -> Result<Copied, PortError>;

    /// Reads the whole artifact and compares its digest.
    async fn verify(&self, artifact: &Artifact) -> Result<(), PortError>;

    /// Lists everything that is stored, and names what is not known among it.
    async fn held(&self) -> Result<Held<HeldArtifact>, PortError> {
        Err(PortError::no_pruning("list the stored artifacts"))
    }

    /// Removes a stored artifact. `false`: it is gone already. Whether anything needs it is not asked here.
    async fn remove(&self, artifact: &Artifact) -> Result<bool, PortError> {
        Err(PortError::no_pruning(&format!("remove {}", artifact.digest)))
    }

    /// Writes the artifact to a file, verified.
    async fn fetch(&self, artifact: &Artifact, to: &Path) -> Result<(), PortError>;
}
