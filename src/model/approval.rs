//! Approval of a version, in SageMaker's words.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// Whether a version may be used by what its group stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Approval {
    /// Registered, and waiting for a person.
    PendingManualApproval,
    /// The newest approved version of a group is its current one.
    Approved,
    /// Said no to. It never comes back automatically.
    Rejected,
}

impl Approval {
    /// Returns SageMaker's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingManualApproval => "PendingManualApproval",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
        }
    }

    /// Parses SageMaker's spelling.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "PendingManualApproval" => Some(Self::PendingManualApproval),
            "Approved" => Some(Self::Approved),
            "Rejected" => Some(Self::Rejected),
            _ => None,
        }
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who approves what enters a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalRule {
    /// The rule itself: what passed its gates is approved as it is registered.
    Auto,
    /// A person, with `branchline approve`.
    Manual,
}
