//! What is kept for a project: versions, trainings, artifacts and leftovers, as `prune` sees them.
//!
//! Deliberately absent: what of it may go. `plan::prune` decides that, from these and the rules.

use crate::model::approval::Approval;
use crate::model::artifact::Artifact;
use crate::model::git::BranchName;
use crate::model::identity::Fingerprint;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::TargetName;
use crate::model::name::TrainingName;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::model::version::VersionRef;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeSet;

/// Everything that is kept, at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holdings {
    /// When it was seen, UTC.
    pub now: jiff::Timestamp,
    /// The branches that exist. `None` where not all of them are known: then none counts as deleted.
    pub branches: Option<BTreeSet<BranchName>>,
    /// Every group of the registry, also those of others: what they hold on to stays.
    pub groups: Vec<HeldGroup>,
    /// The project's trainings.
    pub trainings: Vec<HeldTraining>,
    /// The stored artifacts.
    pub artifacts: Vec<HeldArtifact>,
    /// What interrupted work left behind.
    pub leftovers: Vec<Leftover>,
    /// What lies between them and is not known: it is named and left.
    pub unknown: Vec<String>,
}

/// Whose a group is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "whose", rename_all = "kebab-case")]
pub enum Whose {
    /// It belongs to this repository, and the configuration names it.
    Ours {
        /// Its model.
        model: ModelName,
        /// Its target.
        target: TargetName,
    },
    /// It belongs to another repository, or to nobody.
    Foreign,
    /// It belongs to this repository, but the configuration does not name it.
    NotConfigured,
    /// It is configured, and this run may only read it: what it refers to in other groups stays for it.
    OnlyRead,
}

/// A group, with all of its versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldGroup {
    /// Its name.
    pub name: GroupName,
    /// Whose it is.
    pub whose: Whose,
    /// Whether automatic changes are stopped.
    pub frozen: bool,
    /// The current version.
    pub current: Option<VersionNumber>,
    /// What was current before, newest first.
    pub formerly_current: Vec<VersionNumber>,
    /// Its versions, newest first.
    pub versions: Vec<HeldVersion>,
}

/// A version, as far as it matters to what may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldVersion {
    /// Its number.
    pub number: VersionNumber,
    /// Its semantic version.
    pub semver: semver::Version,
    /// The branch that it was trained on.
    pub branch: Option<BranchName>,
    /// When it was registered, UTC.
    pub registered_at: jiff::Timestamp,
    /// Whether it may be used.
    pub approval: Approval,
    /// Whether a person or a rollback said no to it.
    pub banned: bool,
    /// Whether it was overtaken before anybody approved it.
    pub superseded: bool,
    /// The version of another group that it was copied from.
    pub source: Option<VersionRef>,
    /// The version of its own group that it brought back.
    pub restores: Option<VersionNumber>,
    /// What was trained.
    pub fingerprint: Fingerprint,
    /// The digests of its artifacts, with their algorithm.
    pub digests: Vec<String>,
}

impl HeldVersion {
    /// Takes what matters from a version.
    pub fn of(version: &Version) -> Self {
        let content = &version.content;
        Self {
            number: version.number,
            semver: content.semver.clone(),
            branch: content.lineage.branch.clone(),
            registered_at: version.registered_at,
            approval: version.approval,
            banned: version.is_banned(),
            superseded: version.superseded,
            source: content.source.clone(),
            restores: content.restores,
            fingerprint: content.fingerprint.clone(),
            digests: content.artifacts.iter().map(|artifact| artifact.digest.to_string()).collect(),
        }
    }

    /// Tells whether it waits for a person and nothing has overtaken it.
    pub fn awaits_approval(&self) -> bool {
        self.approval == Approval::PendingManualApproval && !self.superseded
    }
}

/// A training, as far as it matters to what may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldTraining {
    /// Its derived name.
    pub name: TrainingName,
    /// The model.
    pub model: ModelName,
    /// What was trained.
    pub fingerprint: Fingerprint,
    /// Whether it may still change by itself.
    pub open: bool,
    /// When anything last happened to it, UTC. `None`: it is not known.
    pub ended_at: Option<jiff::Timestamp>,
    /// What it takes on the disk, in bytes.
    pub bytes: u64,
}

/// A stored artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldArtifact {
    /// The artifact.
    pub artifact: Artifact,
    /// When it was stored, UTC.
    pub stored_at: jiff::Timestamp,
}

/// Something that interrupted work left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Its plain name.
    pub name: String,
    /// When it was last touched, UTC.
    pub touched_at: jiff::Timestamp,
    /// What it takes on the disk, in bytes.
    pub bytes: u64,
}

/// A listing, and what lies between its entries and is not known: foreign, and left as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Held<T> {
    /// What is known.
    pub known: Vec<T>,
    /// What is not, named for people.
    pub unknown: Vec<String>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { known: Vec::new(), unknown: Vec::new() }
    }
}
