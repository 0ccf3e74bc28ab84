//! What was seen for a prediction, beside the facts that the merge itself is judged by: what the pull request
//! already trained, and what its result would be compared with.

use crate::facts::commit::ContentFacts;
use crate::model::git::CommitSha;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::training::Training;
use crate::model::version::Version;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// How many of a group's newest versions are read for a chart.
pub const CHART_LIMIT: usize = 20;

/// What is under review. A merge queue's group has no head of its own: both are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderReview {
    /// The newest commit of the pull request.
    pub head: Option<CommitSha>,
    /// The training stage that its branch belongs to, where that branch is this repository's own.
    pub stage: Option<StageName>,
    /// The head of the base branch that the merge is made with. `None`: what the merge changes is not asked.
    #[serde(default)]
    pub base: Option<CommitSha>,
}

/// What was seen of the pull request's results.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReviewFacts {
    /// The stages that were looked at, in order of preference: where the merge would train or take from, then
    /// the pull request's own.
    pub stages: Vec<StageSeen>,
    /// The newest versions of the groups that the result is compared with, newest first, at most [`CHART_LIMIT`].
    pub recent: BTreeMap<TargetName, Vec<Version>>,
    /// The code that differs from each of their current versions.
    pub code: BTreeMap<TargetName, CodeDifference>,
    /// Whether the base branch has the model's code, settings and data exactly as the merge gives them, or lacks the same.
    #[serde(default)]
    pub unchanged: bool,
}

/// One stage, and what it has of the merge and of the head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageSeen {
    /// The stage.
    pub stage: StageName,
    /// The tree of the merge, as this stage would train it.
    pub merged: Option<ContentFacts>,
    /// The pull request's head, as this stage would train it.
    pub head: Option<ContentFacts>,
    /// Versions of either content in the stage's groups, newest first in each group.
    pub versions: Vec<Version>,
    /// Trainings of either fingerprint in the stage, oldest attempt first.
    pub trainings: Vec<Training>,
}

/// Watched files that differ from a current version's commit. `None` where Git cannot tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeDifference {
    /// In the tree of the merge.
    pub merged: Option<ChangedPaths>,
    /// In the pull request's head.
    pub head: Option<ChangedPaths>,
}

/// Files that differ: the first of them, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedPaths {
    /// The first, in the order of their paths.
    pub paths: Vec<String>,
    /// How many differ in all.
    pub total: usize,
}
