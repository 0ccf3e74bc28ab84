//! Model versions: the entries of a group, and how semantic versions are counted.

use crate::model::approval::Approval;
use crate::model::artifact::Artifact;
use crate::model::cloud::Serve;
use crate::model::digest::Sha256Digest;
use crate::model::identity::CodeId;
use crate::model::identity::ContentId;
use crate::model::identity::Fingerprint;
use crate::model::lineage::Lineage;
use crate::model::metric::Metrics;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// The number of a version in its group, from 1. Versions are addressed by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionNumber(pub u32);

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// A version, addressed from outside its group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VersionRef {
    /// The group.
    pub group: GroupName,
    /// The number in it.
    pub number: VersionNumber,
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.group, self.number)
    }
}

/// Why a version stands as rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejection {
    /// A person said no. It never comes back automatically.
    Person,
    /// A rollback withdrew it. It never comes back automatically.
    RolledBack,
    /// It lost a race against the same operation. This bans nothing.
    Duplicate,
}

/// What is registered: everything of a version but its number, approval and marks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionContent {
    /// The model.
    pub model: ModelName,
    /// The semantic version.
    pub semver: semver::Version,
    /// What the training used.
    pub fingerprint: Fingerprint,
    /// The code and the settings that shape the result.
    pub code_id: CodeId,
    /// The content of the commit.
    pub content: ContentId,
    /// The declared signature.
    pub signature: Option<String>,
    /// What training measured.
    #[serde(deserialize_with = "crate::model::metric::numbers_or_texts")]
    pub metrics: Metrics,
    /// The files.
    pub artifacts: Vec<Artifact>,
    /// The data moved while training.
    pub data_moved: bool,
    /// Where it comes from.
    pub lineage: Lineage,
    /// The version of another group that this one was copied from.
    pub source: Option<VersionRef>,
    /// The older version of this group whose artifacts this one registers again.
    pub restores: Option<VersionNumber>,
    /// Why it must not be promoted by default: an unknown tree, say.
    pub not_promotable: Option<String>,
    /// How it is served, where the settings say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serve: Option<Serve>,
}

impl VersionContent {
    /// Tells whether a version of the same group can be made of it: by its artifacts, or, where somebody else registered
    /// it, by the model in S3 that it names.
    pub fn can_be_registered_again(&self) -> bool {
        let theirs = self.lineage.elsewhere.as_deref().is_some_and(|model| model.starts_with("s3://"));
        !self.artifacts.is_empty() || theirs
    }
}

/// An entry of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// The group.
    pub group: GroupName,
    /// The number in it.
    pub number: VersionNumber,
    /// When it was registered, UTC.
    pub registered_at: jiff::Timestamp,
    /// Whether it may be used.
    pub approval: Approval,
    /// Why it is rejected, where it is.
    pub rejection: Option<Rejection>,
    /// It was overtaken before anybody approved it. A mark, not a rejection.
    pub superseded: bool,
    /// It was approved at some time, even if it is not now.
    pub once_approved: bool,
    /// Everything else.
    pub content: VersionContent,
}

impl Version {
    /// Returns its address.
    pub fn reference(&self) -> VersionRef {
        VersionRef { group: self.group.clone(), number: self.number }
    }

    /// Returns the SHA-256 of the first artifact, where that is how it was digested.
    pub fn sha256(&self) -> Option<&Sha256Digest> {
        self.content.artifacts.first().and_then(|artifact| artifact.digest.sha256())
    }

    /// Tells whether another version has the same fingerprint and the same files.
    pub fn holds_the_same(&self, other: &Self) -> bool {
        let files = |version: &Self| -> Vec<String> {
            version.content.artifacts.iter().map(|file| format!("{} {}", file.name, file.digest)).collect()
        };
        self.content.fingerprint == other.content.fingerprint && files(self) == files(other)
    }

    /// Tells whether a person or a rollback withdrew it from its group.
    pub fn is_banned(&self) -> bool {
        self.approval == Approval::Rejected
            && matches!(self.rejection, Some(Rejection::Person | Rejection::RolledBack) | None)
    }

    /// Tells whether it waits for a person and nothing has overtaken it.
    pub fn awaits_approval(&self) -> bool {
        self.approval == Approval::PendingManualApproval && !self.superseded
    }
}

/// Counts the next semantic version in the group that a training enters.
///
/// Major when the declared signature changes, minor when the code id changes, patch otherwise; the first is
/// 0.1.0. Below 1.0.0 a changed signature still makes 1.0.0: it is a promise that somebody relied on.
pub fn next_semver(
    highest: Option<(&semver::Version, &CodeId, Option<&str>)>,
    code_id: &CodeId,
    signature: Option<&str>,
) -> semver::Version {
    let Some((version, last_code, last_signature)) = highest else {
        return semver::Version::new(0, 1, 0);
    };
    if last_signature != signature {
        semver::Version::new(version.major + 1, 0, 0)
    } else if last_code != code_id {
        semver::Version::new(version.major, version.minor + 1, 0)
    } else {
        semver::Version::new(version.major, version.minor, version.patch + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semver_counts_by_what_changed() {
        let code = |text: &str| CodeId::from_digest(Sha256Digest::of(text.as_bytes()));
        let (a, b) = (code("a"), code("b"));
        let at = |text: &str| semver::Version::parse(text).expect("version");
        assert_eq!(next_semver(None, &a, None), at("0.1.0"));
        let v = at("0.4.2");
        assert_eq!(next_semver(Some((&v, &a, None)), &a, None), at("0.4.3"));
        assert_eq!(next_semver(Some((&v, &a, None)), &b, None), at("0.5.0"));
        assert_eq!(next_semver(Some((&v, &a, None)), &b, Some("v2")), at("1.0.0"));
    }
}
