//! Versions as the evidence of a reason: named so that people know them.

use crate::model::git::CommitSha;
use crate::model::version::VersionRef;
use serde::Deserialize;
use serde::Serialize;

/// A version as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its address.
    pub version: VersionRef,
    /// Its semantic version.
    pub semver: semver::Version,
    /// The commit that was trained.
    pub commit: CommitSha,
}

/// A source version that may not be promoted, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// The version.
    pub version: Known,
    /// Why not, as a clause: `is PendingManualApproval`.
    pub why: String,
}
