//! What an event asks of one model, and the rules that judge it.

use crate::model::artifact::Artifact;
use crate::model::gate::Gate;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::RepositoryId;
use crate::model::history::Attribution;
use crate::model::metric::MetricNote;
use crate::model::metric::Metrics;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::ProjectName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::review::Review;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::plan::cloud::CloudRules;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

/// The rules for one model, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRules {
    /// The project.
    pub project: ProjectName,
    /// The model.
    pub model: ModelName,
    /// All stages, lowest first.
    pub stages: Vec<Stage>,
    /// The model's groups by target.
    pub groups: BTreeMap<TargetName, GroupName>,
    /// The model's gates.
    pub gates: Vec<Gate>,
    /// How often one fingerprint may be tried in one stage.
    pub max_attempts: u32,
    /// How many of them without anybody asking, beyond the first: for capacity, network and lost workers.
    pub max_auto_retries: u32,
    /// The longest that a training may be allowed to take.
    pub max_runtime: Option<Duration>,
    /// Whether a push promotes only what a pull request recorded.
    #[serde(default)]
    pub require_review: bool,
    /// What trainings in the cloud must keep to. `None`: the trainer is not in the cloud.
    #[serde(default)]
    pub cloud: Option<CloudRules>,
}

impl ModelRules {
    /// Returns a stage by name.
    pub fn stage(&self, name: &StageName) -> Option<&Stage> {
        self.stages.iter().find(|stage| &stage.name == name)
    }

    /// Returns the stage that feeds a target.
    pub fn stage_of_target(&self, target: &TargetName) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.groups.contains_key(target))
    }

    /// Tells whether another stage promotes from a stage.
    pub fn is_promoted_from(&self, name: &StageName) -> bool {
        self.stages.iter().any(|stage| matches!(&stage.does, Does::Promote { from } if from.contains(name)))
    }

    /// Returns the targets whose versions share one series of semantic versions with those of a stage: what it may be
    /// promoted to, and what else is promoted there. Two artifacts that meet in one group never carry one number.
    pub fn series_of(&self, name: &StageName) -> Vec<&TargetName> {
        let mut joined: BTreeSet<&StageName> = self.stage(name).map(|stage| &stage.name).into_iter().collect();
        loop {
            let before = joined.len();
            for stage in &self.stages {
                let Does::Promote { from } = &stage.does else { continue };
                if joined.contains(&stage.name) || from.iter().any(|source| joined.contains(source)) {
                    joined.insert(&stage.name);
                    joined.extend(self.stages.iter().map(|stage| &stage.name).filter(|name| from.contains(name)));
                }
            }
            if joined.len() == before {
                break;
            }
        }
        self.stages.iter().filter(|stage| joined.contains(&stage.name)).flat_map(|stage| stage.groups.keys()).collect()
    }

    /// Returns the stages above a training stage: those that a lower one may read from for free.
    pub fn training_stages_above(&self, name: &StageName) -> impl Iterator<Item = &Stage> {
        self.stages
            .iter()
            .skip_while(move |stage| &stage.name != name)
            .skip(1)
            .filter(|stage| matches!(stage.does, Does::Train { .. }))
    }
}

/// What is asked of one model, with the rules that judge it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// What should become true.
    pub goal: Goal,
    /// The rules.
    pub rules: ModelRules,
}

/// What is asked of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// What should become true.
    pub aim: Aim,
    /// Who asks, from where and why: goes into lineage and history.
    pub by: Attribution,
    /// The number of the run's attempt, from 1.
    pub run_attempt: u32,
    /// Whether this only asks what a merge would do: `commit` is then the tree of the merge, which no branch
    /// points at, and nothing is ever applied.
    pub predicts: bool,
}

/// What should become true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "aim", rename_all = "kebab-case")]
pub enum Aim {
    /// A training stage holds a version of the commit's fingerprint.
    Train {
        /// The stage.
        stage: StageName,
        /// The branch that moved.
        branch: BranchName,
        /// The commit.
        commit: CommitSha,
        /// The reason of a person who asks to train again whatever the group holds.
        again: Option<String>,
        /// Whether a first attempt may be started. `reconcile` only finishes what others began.
        may_start: bool,
        /// Whether a person asked for this very commit: then a frozen group or a branch that has moved on does
        /// not stop it, though its result enters pending and marked where the branch has moved on.
        by_hand: bool,
    },
    /// Nothing of a branch that is gone goes on.
    Abandon {
        /// The stage that it reached.
        stage: StageName,
        /// The branch.
        branch: BranchName,
    },
    /// A promoting stage's groups hold a version of the commit's content.
    Promote {
        /// The stage.
        stage: StageName,
        /// The branch that moved.
        branch: BranchName,
        /// The commit.
        commit: CommitSha,
        /// Which version its pull request showed.
        #[serde(default)]
        review: Review,
    },
    /// A person copies one version from group to group.
    PromoteByHand {
        /// Where from.
        from: TargetName,
        /// Where to.
        to: TargetName,
        /// Which version. Where nobody named one it is the current version of `from` as it was when the command
        /// began: what is meant must not move while it is being done.
        version: VersionNumber,
        /// Whether the person named it: then even a version that is not promotable by default goes forward.
        named: bool,
    },
    /// A person approves a version.
    Approve {
        /// The group's target.
        target: TargetName,
        /// Which version.
        version: VersionNumber,
    },
    /// A person rejects a version.
    Reject {
        /// The group's target.
        target: TargetName,
        /// Which version.
        version: VersionNumber,
    },
    /// A person puts the current version out, brings an older one back, and freezes the group.
    Rollback {
        /// The group's target.
        target: TargetName,
        /// The version that is withdrawn: current when the command began.
        replaces: VersionNumber,
        /// The version that comes back.
        to: VersionNumber,
    },
    /// A person stops every automatic change of a group.
    Freeze {
        /// The group's target.
        target: TargetName,
    },
    /// A person allows automatic changes again.
    Unfreeze {
        /// The group's target.
        target: TargetName,
    },
    /// A group holds a model that a person trained externally.
    RegisterElsewhere {
        /// The group's target.
        target: TargetName,
        /// The commit that it was trained from, or that it lies beside.
        commit: CommitSha,
        /// The branch, where that commit is its head.
        branch: Option<BranchName>,
        /// What was trained.
        result: Box<TrainedElsewhere>,
    },
    /// A group holds a version that another group, or another state directory, holds.
    Import {
        /// The target of the group that takes it over.
        to: TargetName,
        /// The version as it was when the command began.
        version: Box<Version>,
        /// Whether its group is in this same registry.
        here: bool,
        /// The repository that its group belongs to.
        owner: Option<RepositoryId>,
        /// Whether a person said that it may be another repository's.
        foreign: bool,
    },
}

/// An externally trained model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedElsewhere {
    /// The name of the file or folder that it was taken from.
    pub source: String,
    /// The artifact where it is now.
    pub artifact: Artifact,
    /// What was measured.
    pub metrics: Metrics,
    /// What stood beside the metrics and is not a number.
    pub metric_notes: Vec<MetricNote>,
    /// Why no commit is known that it was trained from, as a clause. `None`: it is the goal's.
    pub unknown_tree: Option<String>,
}

impl Aim {
    /// Tells whether a person asks manually, and so may change a frozen group.
    pub fn is_by_hand(&self) -> bool {
        match self {
            Self::Train { by_hand, .. } => *by_hand,
            Self::Promote { .. } | Self::Abandon { .. } => false,
            Self::PromoteByHand { .. }
            | Self::Approve { .. }
            | Self::Reject { .. }
            | Self::Rollback { .. }
            | Self::Freeze { .. }
            | Self::Unfreeze { .. }
            | Self::RegisterElsewhere { .. }
            | Self::Import { .. } => true,
        }
    }

    /// Returns the stage whose branch moved.
    pub fn stage(&self) -> Option<&StageName> {
        match self {
            Self::Train { stage, .. } | Self::Promote { stage, .. } | Self::Abandon { stage, .. } => Some(stage),
            Self::PromoteByHand { .. }
            | Self::Approve { .. }
            | Self::Reject { .. }
            | Self::Rollback { .. }
            | Self::Freeze { .. }
            | Self::Unfreeze { .. }
            | Self::RegisterElsewhere { .. }
            | Self::Import { .. } => None,
        }
    }

    /// Returns the commit that is judged.
    pub fn commit(&self) -> Option<&CommitSha> {
        match self {
            Self::Train { commit, .. } | Self::Promote { commit, .. } | Self::RegisterElsewhere { commit, .. } => {
                Some(commit)
            }
            Self::Abandon { .. }
            | Self::PromoteByHand { .. }
            | Self::Approve { .. }
            | Self::Reject { .. }
            | Self::Rollback { .. }
            | Self::Freeze { .. }
            | Self::Unfreeze { .. }
            | Self::Import { .. } => None,
        }
    }

    /// Returns the branch that moved.
    pub fn branch(&self) -> Option<&BranchName> {
        match self {
            Self::Train { branch, .. } | Self::Promote { branch, .. } | Self::Abandon { branch, .. } => Some(branch),
            Self::PromoteByHand { .. }
            | Self::Approve { .. }
            | Self::Reject { .. }
            | Self::Rollback { .. }
            | Self::Freeze { .. }
            | Self::Unfreeze { .. }
            | Self::RegisterElsewhere { .. }
            | Self::Import { .. } => None,
        }
    }
}
