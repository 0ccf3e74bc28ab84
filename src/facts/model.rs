//! Everything seen for one model in one turn of the loop.

use crate::facts::commit::CommitFacts;
use crate::facts::commit::HeadFacts;
use crate::facts::commit::WantedElsewhere;
use crate::facts::group::GroupFacts;
use crate::model::git::RepositoryId;
use crate::model::name::ModelName;
use crate::model::name::TargetName;
use crate::model::training::Training;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionRef;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// One observation of the world, for one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// When it was made, UTC.
    pub now: jiff::Timestamp,
    /// The repository.
    pub repository: RepositoryId,
    /// The model.
    pub model: ModelName,
    /// The event's commit. `None` for commands that name a version instead.
    pub commit: Option<CommitFacts>,
    /// Where the event's branch is by now. `None` where no branch is concerned.
    pub head: Option<HeadFacts>,
    /// The groups in reach of the decision, by target.
    pub groups: BTreeMap<TargetName, GroupFacts>,
    /// Trainings of the wanted fingerprint, in this stage and in those that may be read or reused, oldest
    /// attempt first.
    pub trainings: Vec<Training>,
    /// Open trainings of the same branch and model that want something else.
    pub older_open: Vec<Training>,
    /// Other branch heads that want the fingerprint of one of `older_open`.
    pub wanted_elsewhere: Vec<WantedElsewhere>,
    /// Where promotion found no version of the content: the nearest approved ones, and what differs.
    pub nearest: Vec<Nearest>,
}

/// An approved version of other content, as evidence and as a way out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nearest {
    /// The version.
    pub version: VersionRef,
    /// Its semantic version.
    pub semver: semver::Version,
    /// Watched paths that differ between its commit and the event's. `None` where Git cannot tell.
    pub paths: Option<Vec<PathDifference>>,
    /// Settings that differ, as sentences: `hyperparameter max_depth: 5 -> 6`.
    pub settings: Vec<String>,
    /// Set where a group that it would go to withdrew it: then no hint offers it.
    #[serde(default)]
    pub withdrawn: Option<Withdrawn>,
    /// Set where the groups that it would go to stand for it already: then promoting it would change nothing.
    #[serde(default)]
    pub in_place: bool,
}

impl Nearest {
    /// Tells whether a person could send it forward.
    pub fn may_go_forward(&self) -> bool {
        self.withdrawn.is_none() && !self.in_place
    }
}

/// The same artifact in a group that rejected it or was rolled back from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The version there.
    pub version: VersionRef,
    /// How it was withdrawn.
    pub rejection: Option<Rejection>,
}

/// A watched path whose content differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathDifference {
    /// The path.
    pub path: String,
    /// The commit that last changed it on the event's side, as `1a2b3c4 subject`, where that is known.
    pub changed_by: Option<String>,
}

impl Facts {
    /// Finds a version among everything that was seen.
    pub fn version(&self, wanted: &VersionRef) -> Option<&Version> {
        let group = self.groups.values().find(|group| group.name == wanted.group)?;
        group
            .current
            .iter()
            .chain(&group.asked)
            .chain(&group.matching)
            .chain(&group.recent)
            .find(|version| version.number == wanted.number)
    }
}
