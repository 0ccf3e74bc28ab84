//! The model registry: groups, versions, approval, freeze and history.
//!
//! A write carries what it expects. If the world moved, it answers [`Stale`] and changes nothing.

use crate::facts::group::GroupFacts;
use crate::facts::group::GroupLook;
use crate::model::approval::Approval;
use crate::model::digest::CanonicalFields;
use crate::model::digest::Sha256Digest;
use crate::model::git::RepositoryId;
use crate::model::history::Attribution;
use crate::model::history::HistoryAction;
use crate::model::history::HistoryEntry;
use crate::model::name::GroupName;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionContent;
use crate::model::version::VersionNumber;
use crate::ports::error::PortError;
use serde::Deserialize;
use serde::Serialize;

/// What a write expects of its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The highest number when it was decided.
    pub newest: Option<VersionNumber>,
    /// The current version when it was decided.
    pub current: Option<VersionNumber>,
    /// Whether the group was frozen when it was decided. An automatic change expects `false`.
    pub frozen: bool,
}

/// A version to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// The group; made if it does not exist.
    pub group: GroupName,
    /// The repository that the group belongs to from its first version on.
    pub repository: RepositoryId,
    /// What it expects.
    pub expected: Expected,
    /// What is registered.
    pub content: VersionContent,
    /// How it enters.
    pub approval: Approval,
    /// It enters already overtaken: a training that finished after its branch had moved on.
    pub superseded: bool,
    /// Mark older pending versions as superseded: a promotion or a restore into a sequence.
    pub supersedes_older: bool,
    /// Which history line it writes: registered, promoted, restored or imported.
    pub action: HistoryAction,
    /// Who, from where and why.
    pub by: Attribution,
}

impl Registration {
    /// Derives the key under which repeating this very operation finds its first result.
    pub fn operation_key(&self) -> Sha256Digest {
        let number = |n: Option<VersionNumber>| n.map_or_else(|| "none".to_owned(), |n| n.0.to_string());
        let mut fields = CanonicalFields::new("branchline/operation/1");
        fields
            .field("group", self.group.as_str().as_bytes())
            .field("fingerprint", self.content.fingerprint.digest().as_str().as_bytes());
        if let Some(source) = &self.content.source {
            fields.field("source", source.to_string().as_bytes());
        }
        if let Some(restored) = self.content.restores {
            fields.field("restores", number(Some(restored)).as_bytes());
        }
        if let Some(training) = &self.content.lineage.training {
            fields.field("training", training.as_str().as_bytes());
        }
        fields
            .field("newest", number(self.expected.newest).as_bytes())
            .field("current", number(self.expected.current).as_bytes());
        fields.digest()
    }
}

/// What registering came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Registered {
    /// A new version.
    New(Version),
    /// The same operation had been done before.
    Found(Version),
    /// The world moved; nothing was changed.
    Stale(Stale),
}

/// How the world differs from what a write expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stale {
    /// Another version is the newest or the current one.
    Versions {
        /// The highest number found.
        newest: Option<VersionNumber>,
        /// The current version found.
        current: Option<VersionNumber>,
    },
    /// The group is frozen, or not any more.
    Freeze,
    /// The group belongs to another repository.
    Owner,
    /// The version is not in the state that was expected.
    Approval(Approval),
}

/// A change of approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalChange {
    /// The group.
    pub group: GroupName,
    /// The version.
    pub number: VersionNumber,
    /// What it was when it was decided.
    pub from: Approval,
    /// What it becomes.
    pub to: Approval,
    /// Why, where it becomes rejected.
    pub rejection: Option<Rejection>,
    /// The current version when it was decided.
    pub expected_current: Option<VersionNumber>,
    /// Who, from where and why.
    pub by: Attribution,
}

/// What a change came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Changed {
    /// Done now.
    Done,
    /// It was so already.
    Already,
    /// The world moved; nothing was changed.
    Stale(Stale),
}

/// Keeps groups and versions.
#[async_trait::async_trait]
pub trait Registry: Send + Sync {
    /// Looks at a group. One that does not exist is empty. The cost does not grow with the group.
    async fn look(&self, group: &GroupName, look: &GroupLook) -> Result<GroupFacts, PortError>;

    /// Reads versions for people, newest first, starting below `before`.
    async fn list(
        &self,
        group: &GroupName,
        before: Option<VersionNumber>,
        limit: usize,
    ) -> Result<Vec<Version>, PortError>;

    /// Registers a version, or finds the one that this very operation made before.
    async fn register(&self, registration: &Registration) -> Result<Registered, PortError>;

    /// Changes the approval of a version.
    async fn set_approval(&self, change: &ApprovalChange) -> Result<Changed, PortError>;

    /// Marks a pending version as overtaken. Safe to repeat.
    async fn supersede(&self, group: &GroupName, number: VersionNumber, by: &Attribution)
    -> Result<Changed, PortError>;

    /// Stops or allows automatic changes of a group.
    async fn set_frozen(&self, group: &GroupName, frozen: bool, by: &Attribution) -> Result<Changed, PortError>;

    /// Reads the history of a group, oldest first, from `from` until before `to`.
    async fn history(
        &self,
        group: &GroupName,
        from: Option<jiff::Timestamp>,
        to: Option<jiff::Timestamp>,
    ) -> Result<Vec<HistoryEntry>, PortError>;
}
