//! The model registry: groups, versions, approval, freeze and history.
//!
//! A write carries what it expects. If the world moved, it answers [`Stale`] and changes nothing.

use crate::facts::group::GroupFacts;
use crate::facts::group::GroupLook;
use crate::model::approval::Approval;
pub use crate::model::change::ApprovalChange;
pub use crate::model::change::Expected;
pub use crate::model::change::Registration;
use crate::model::git::CommitSha;
use crate::model::history::Attribution;
use crate::model::history::HistoryEntry;
use crate::model::name::GroupName;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::ports::error::PortError;
use serde::Deserialize;
use serde::Serialize;

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

    /// Reads the versions of a group that were trained from these commits, newest first for each commit in the
    /// order asked. The cost grows with the commits asked for, not with the group.
    async fn of_commits(&self, group: &GroupName, commits: &[CommitSha]) -> Result<Vec<Version>, PortError>;

    /// Registers a version, or finds the one that this very operation made before.
    async fn register(&self, registration: &Registration) -> Result<Registered, PortError>;

    /// Changes the approval of a version.
    async fn set_approval(&self, change: &ApprovalChange) -> Result<Changed, PortError>;

    /// Stops or allows automatic changes of a group.
    async fn set_frozen(&self, group: &GroupName, frozen: bool, by: &Attribution) -> Result<Changed, PortError>;

    /// Lists all groups, also those of other projects, by name: what any of them refers to must stay.
    ///
    /// A registry that cannot list them all refuses, and then nothing is pruned.
    async fn groups(&self) -> Result<Vec<GroupName>, PortError> {
        Err(PortError::no_pruning("list the groups"))
    }

    /// Takes a version out of its group and says so in the history. Its number is not given out again.
    ///
    /// Never the current or the newest version, one that awaits approval, or one of a frozen group: those are
    /// [`Stale`]. One that is gone already is [`Changed::Already`].
    async fn forget(&self, group: &GroupName, number: VersionNumber, by: &Attribution) -> Result<Changed, PortError> {
        let _ = by;
        Err(PortError::no_pruning(&format!("forget {group} {number}")))
    }

    /// Reads the history of a group, oldest first, from `from` until before `to`.
    async fn history(
        &self,
        group: &GroupName,
        from: Option<jiff::Timestamp>,
        to: Option<jiff::Timestamp>,
    ) -> Result<Vec<HistoryEntry>, PortError>;
}
