//! Steps: what may be written, each with all it needs and what it expects of the world.

use crate::model::artifact::Artifact;
use crate::model::change::ApprovalChange;
use crate::model::change::ArtifactPlace;
use crate::model::change::Registration;
use crate::model::history::Attribution;
use crate::model::metric::MetricName;
use crate::model::name::GroupName;
use crate::model::name::TargetName;
use crate::model::name::TrainingName;
use crate::model::training::StopCause;
use crate::model::training::TrainingOrigin;
use crate::model::version::VersionNumber;
use serde::Deserialize;
use serde::Serialize;

/// One write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Step {
    /// Begin a training, or find it.
    Train(TrainStep),
    /// End an open training that nobody wants any more.
    Stop(StopStep),
    /// Make artifacts available for a group, verified.
    Copy(CopyStep),
    /// Register a training's result.
    Register(RegisterStep),
    /// Register a copy of another group's version.
    Promote(RegisterStep),
    /// Register an older version's artifacts again.
    Restore(RegisterStep),
    /// Lift the mark `superseded` of a version, and apply the group's approval rule to it.
    Reinstate(ApprovalStep),
    /// Approve a version.
    Approve(ApprovalStep),
    /// Reject a version.
    Reject(ApprovalStep),
    /// Stop every automatic change of a group.
    Freeze(FreezeStep),
    /// Allow automatic changes of a group again.
    Unfreeze(FreezeStep),
}

/// What of a group a step changes. A run changes the same thing once: undoing what somebody else did since would
/// be a quarrel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupChange<'a> {
    /// Its newest version.
    Newest(&'a GroupName),
    /// The approval of one version.
    Approval(&'a GroupName, VersionNumber),
    /// Its freeze.
    Freeze(&'a GroupName),
}

/// Begins a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainStep {
    /// The derived name.
    pub name: TrainingName,
    /// Attempt, from 1.
    pub attempt: u32,
    /// What it is started with.
    pub origin: Box<TrainingOrigin>,
    /// Metrics that must come out of it.
    pub required_metrics: Vec<MetricName>,
}

/// Ends a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StopStep {
    /// Which.
    pub training: TrainingName,
    /// Why.
    pub cause: StopCause,
}

/// Copies artifacts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CopyStep {
    /// The artifacts where they are now.
    pub artifacts: Vec<Artifact>,
    /// What they belong to now: `churn-dev v12`, `training churn-dev-1a2b-1`.
    pub from: String,
    /// Where they shall be.
    pub to: ArtifactPlace,
}

/// Registers a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegisterStep {
    /// The target, for people.
    pub target: TargetName,
    /// What is written. Its artifacts are replaced by the copies that a `Copy` step of the same plan made for
    /// the group; a restore keeps them.
    pub registration: Box<Registration>,
}

/// Changes an approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalStep {
    /// What is written.
    pub change: ApprovalChange,
    /// What the version consists of: verified before it becomes current. Not a part of what is printed.
    #[serde(skip)]
    pub artifacts: Vec<Artifact>,
}

/// Sets or lifts a freeze.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FreezeStep {
    /// The group.
    pub group: GroupName,
    /// Who, from where and why.
    pub by: Attribution,
    /// What must be unharmed before it: the artifacts that come back with a rollback. Not a part of what is printed.
    #[serde(skip)]
    pub verified: Vec<Artifact>,
}

impl Step {
    /// Returns the word that stands for the step in JSON and in tables.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Train(_) => "train",
            Self::Stop(_) => "stop",
            Self::Copy(_) => "copy",
            Self::Register(_) => "register",
            Self::Promote(_) => "promote",
            Self::Restore(_) => "restore",
            Self::Reinstate(_) => "reinstate",
            Self::Approve(_) => "approve",
            Self::Reject(_) => "reject",
            Self::Freeze(_) => "freeze",
            Self::Unfreeze(_) => "unfreeze",
        }
    }

    /// Returns what of a group the step changes. Copies of artifacts and trainings change none.
    pub fn changes(&self) -> Option<GroupChange<'_>> {
        match self {
            Self::Train(_) | Self::Stop(_) | Self::Copy(_) => None,
            Self::Register(step) | Self::Promote(step) | Self::Restore(step) => {
                Some(GroupChange::Newest(&step.registration.group))
            }
            Self::Reinstate(step) | Self::Approve(step) | Self::Reject(step) => {
                Some(GroupChange::Approval(&step.change.group, step.change.number))
            }
            Self::Freeze(step) | Self::Unfreeze(step) => Some(GroupChange::Freeze(&step.group)),
        }
    }

    /// Returns the group that the step writes to.
    pub fn group(&self) -> Option<&GroupName> {
        match self {
            Self::Train(_) | Self::Stop(_) => None,
            Self::Copy(step) => Some(&step.to.group),
            Self::Register(step) | Self::Promote(step) | Self::Restore(step) => Some(&step.registration.group),
            Self::Reinstate(step) | Self::Approve(step) | Self::Reject(step) => Some(&step.change.group),
            Self::Freeze(step) | Self::Unfreeze(step) => Some(&step.group),
        }
    }

    /// Returns the registration, where the step makes a version.
    pub fn registration(&self) -> Option<&Registration> {
        match self {
            Self::Register(step) | Self::Promote(step) | Self::Restore(step) => Some(&step.registration),
            Self::Train(_)
            | Self::Stop(_)
            | Self::Copy(_)
            | Self::Reinstate(_)
            | Self::Approve(_)
            | Self::Reject(_)
            | Self::Freeze(_)
            | Self::Unfreeze(_) => None,
        }
    }
}
