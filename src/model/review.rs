//! The review record: which version each model's pull request showed, so that exactly that goes forward.
//!
//! Deliberately absent: where it is kept (in our own check, or beside the registry) and what follows from it (`plan`).

use crate::model::git::CommitSha;
use crate::model::identity::ContentId;
use crate::model::name::ModelName;
use crate::model::version::VersionRef;
use serde::Deserialize;
use serde::Serialize;

/// The version of the record's shape.
pub const REVIEW_SCHEMA: u32 = 1;

/// What the report of one pull request showed, pinned at its first report of a head that names a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewRecord {
    /// The version of this shape.
    pub schema: u32,
    /// The pull request.
    pub pull_request: u64,
    /// The head that was reported on.
    pub head: CommitSha,
    /// What it showed, one entry for each model that had a version to show.
    pub versions: Vec<Reviewed>,
}

/// What was shown of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// The model.
    pub model: ModelName,
    /// The content that merging gives.
    pub content: ContentId,
    /// The version that merging promotes.
    pub version: VersionRef,
    /// The digests of its artifacts, each with its algorithm.
    pub digests: Vec<String>,
}

impl ReviewRecord {
    /// Returns what was shown of a model.
    pub fn of(&self, model: &ModelName) -> Option<&Reviewed> {
        self.versions.iter().find(|reviewed| &reviewed.model == model)
    }
}

/// What is known of the review of a push to a promoting stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "review", rename_all = "kebab-case")]
pub enum Review {
    /// There is nobody to ask: on a laptop, or for a manual command.
    #[default]
    NotAsked,
    /// No pull request of the commit has a record of the model.
    None {
        /// Why, as a clause: `no pull request brought commit 1a2b3c4`.
        why: String,
    },
    /// The rules require a review, and no pull request of the commit has one that approves.
    Unapproved {
        /// Why, as a clause.
        why: String,
    },
    /// A pull request recorded a version.
    Recorded {
        /// The pull request.
        pull_request: u64,
        /// What it showed.
        reviewed: Reviewed,
    },
}
