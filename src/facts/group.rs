//! What was seen of one model group: bounded, however many versions it holds.

use crate::model::git::RepositoryId;
use crate::model::history::Freeze;
use crate::model::identity::CodeId;
use crate::model::identity::ContentId;
use crate::model::identity::Fingerprint;
use crate::model::name::GroupName;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use serde::Deserialize;
use serde::Serialize;

/// One group, as far as the decision at hand needs it. A group that does not exist yet is an empty one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupFacts {
    /// Its name.
    pub name: GroupName,
    /// The repository that it belongs to. `None` until its first version.
    pub owner: Option<RepositoryId>,
    /// Set while automatic changes are stopped.
    pub frozen: Option<Freeze>,
    /// The newest approved version.
    pub current: Option<Version>,
    /// The highest number given out.
    pub newest: Option<VersionNumber>,
    /// The highest semantic version, and what it was given for.
    pub highest: Option<SemverHighWater>,
    /// Versions with the wanted content or fingerprint, newest first, at most [`MATCHING_LIMIT`].
    pub matching: Vec<Version>,
    /// The versions asked for by number, in the order asked.
    pub asked: Vec<Version>,
    /// The newest few versions, whatever they hold, newest first: evidence for people.
    pub recent: Vec<Version>,
    /// What was current before the current version, newest first, without repetition: the way back.
    pub formerly_current: Vec<Version>,
}

/// How many matching versions are read at most. Only restores and races make more than a few.
pub const MATCHING_LIMIT: usize = 50;

/// How many recent versions are read as evidence.
pub const RECENT_LIMIT: usize = 5;

/// The highest semantic version of a group, and what it was given for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SemverHighWater {
    /// The version.
    pub semver: semver::Version,
    /// The code id that it was given for.
    pub code_id: CodeId,
    /// The signature that it was given for.
    pub signature: Option<String>,
}

/// What to look for in a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupLook {
    /// Versions of this content.
    pub contents: Vec<ContentId>,
    /// Versions of this fingerprint.
    pub fingerprint: Option<Fingerprint>,
    /// Versions with these numbers.
    pub numbers: Vec<VersionNumber>,
    /// Read what was current before, for a rollback.
    pub with_former: bool,
    /// The newest few may be as this program noted them last: nothing is decided on them. What a person did since is
    /// always seen in what is current and in what is looked for.
    #[serde(default)]
    pub recent_as_noted: bool,
}

impl GroupFacts {
    /// Returns a group that does not exist yet.
    pub fn empty(name: GroupName) -> Self {
        Self {
            name,
            owner: None,
            frozen: None,
            current: None,
            newest: None,
            highest: None,
            matching: Vec::new(),
            asked: Vec::new(),
            recent: Vec::new(),
            formerly_current: Vec::new(),
        }
    }

    /// Returns the version by which the group withdrew an artifact: the newest one with the same fingerprint and the
    /// same files, where a person rejected it or a rollback removed it. One that lost a race withdraws nothing.
    pub fn withdrawn(&self, artifact: &Version) -> Option<&Version> {
        self.matching
            .iter()
            .filter(|version| version.holds_the_same(artifact) && version.rejection != Some(Rejection::Duplicate))
            .max_by_key(|version| version.number)
            .filter(|version| version.is_banned())
    }

    /// Returns the number of the current version.
    pub fn current_number(&self) -> Option<VersionNumber> {
        self.current.as_ref().map(|version| version.number)
    }
}
