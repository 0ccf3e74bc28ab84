//! History: the append-only record of a group.

use crate::model::name::GroupName;
use crate::model::version::VersionNumber;
use serde::Deserialize;
use serde::Serialize;

/// What happened to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryAction {
    /// A training's result was registered.
    Registered,
    /// A version of another group was copied here.
    Promoted,
    /// An older version's artifacts were registered again.
    Restored,
    /// A version that existed before was imported.
    Imported,
    /// A version was approved.
    Approved,
    /// A version was rejected.
    Rejected,
    /// A pending version was overtaken.
    Superseded,
    /// A superseded version counts again: the head of its branch has its content.
    Reinstated,
    /// What was current was withdrawn and what was current before came back.
    RolledBack,
    /// Every automatic change was stopped.
    Frozen,
    /// Automatic changes were allowed again.
    Unfrozen,
    /// An artifact or a version was removed.
    Pruned,
}

impl HistoryAction {
    /// Returns the word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Promoted => "promoted",
            Self::Restored => "restored",
            Self::Imported => "imported",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::Reinstated => "reinstated",
            Self::RolledBack => "rolled-back",
            Self::Frozen => "frozen",
            Self::Unfrozen => "unfrozen",
            Self::Pruned => "pruned",
        }
    }

    /// Parses the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Registered,
            Self::Promoted,
            Self::Restored,
            Self::Imported,
            Self::Approved,
            Self::Rejected,
            Self::Superseded,
            Self::Reinstated,
            Self::RolledBack,
            Self::Frozen,
            Self::Unfrozen,
            Self::Pruned,
        ]
        .into_iter()
        .find(|action| action.as_str() == text)
    }
}

/// Who did something, from where, and why: carried by every step that writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// The person or the robot, as the CI host or Git names them.
    pub actor: Option<String>,
    /// The event that led here: `push`, `promote`, …
    pub event: String,
    /// The CI run's address.
    pub run_url: Option<String>,
    /// A key of the run that is the same over its re-runs: the owner of leases.
    pub run_key: String,
    /// The pull request, where one is known.
    pub pull_request: Option<u64>,
    /// Who approved that pull request, as the CI host names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewed_by: Vec<String>,
    /// The reason that a person gave.
    pub reason: Option<String>,
}

/// One line of a group's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When, UTC.
    pub at: jiff::Timestamp,
    /// The group.
    pub group: GroupName,
    /// What.
    pub action: HistoryAction,
    /// Which version.
    pub version: Option<VersionNumber>,
    /// What was current right after it.
    pub current: Option<VersionNumber>,
    /// Who, from where and why.
    pub by: Attribution,
}

/// A mark on a group that stops every automatic change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Since when, UTC.
    pub since: jiff::Timestamp,
    /// Who, from where and why.
    pub by: Attribution,
}
