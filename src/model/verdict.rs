//! Verdicts: the six ways in which a run can end for a model, and cancellation.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// How it ended. What each means to an exit code or a check stands in `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Done, or nothing needed doing.
    Passed,
    /// Not ours to act on.
    Skipped,
    /// Something goes on elsewhere; a later event finishes it.
    Waiting,
    /// A rule said no.
    Blocked,
    /// Training or a test ended badly.
    Failed,
    /// It could not be found out.
    Errored,
    /// Somebody stopped the run.
    Cancelled,
}

impl Verdict {
    /// Returns the word for people and for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::Cancelled => "cancelled",
        }
    }

    /// Orders verdicts of several models: the worst stands for the run.
    pub fn badness(self) -> u8 {
        match self {
            Self::Skipped => 0,
            Self::Passed => 1,
            Self::Waiting => 2,
            Self::Blocked => 3,
            Self::Failed => 4,
            Self::Errored => 5,
            Self::Cancelled => 6,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
