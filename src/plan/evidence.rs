//! The evidence of reasons: versions named so that people know them, and what some reasons carry.

use crate::facts::model::Nearest;
use crate::model::approval::Approval;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::name::ChannelName;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::name::TrainingName;
use crate::model::training::Cause;
use crate::model::version::VersionRef;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// A version as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its address.
    pub version: VersionRef,
    /// Its semantic version.
    pub semver: semver::Version,
    /// The commit that was trained.
    pub commit: CommitSha,
}

/// A source version that may not be promoted, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// The version.
    pub version: Known,
    /// Why not, as a clause: `is PendingManualApproval`.
    pub why: String,
}

/// An imported version: what [`Reason::Importing`](crate::plan::reason::Reason::Importing) says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Importing {
    /// The version where it is.
    pub version: Known,
    /// The group that takes it over.
    pub group: GroupName,
    /// How it enters.
    pub approval: Approval,
    /// The group stands for something of its own, so that it does not enter as it was.
    pub overtaken: bool,
}

/// A merge leaves the model as its base has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchanged {
    /// The base branch.
    pub base: BranchName,
}

/// A group that only promotion feeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromotedGroup {
    /// The group.
    pub group: GroupName,
    /// Its target, for the command.
    pub target: TargetName,
    /// The target to register into instead.
    pub instead: Option<TargetName>,
    /// The model, for the command.
    pub model: ModelName,
}

/// One run has begun as many training runs of a model as there may be attempts, and the plan asks for one more: their
/// records vanish, or something stops each of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TooManyAttempts {
    /// Of which model.
    pub model: ModelName,
    /// How many it has begun.
    pub begun: u32,
}

/// An artifact that the group holds for the commit already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldAlready {
    /// The version.
    pub version: Known,
    /// How it stands.
    pub approval: Approval,
    /// Whether other metrics were handed over this time.
    pub other_metrics: bool,
}

/// New data that a group has no version of: what [`Reason::DataBehind`](crate::plan::reason::Reason::DataBehind) says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataBehind {
    /// The branch whose head was looked at.
    pub branch: BranchName,
    /// The newest version of the same code and settings.
    pub version: Known,
    /// The channels whose data changed since.
    pub channels: Vec<ChannelName>,
    /// The model, for the command.
    pub model: ModelName,
}

impl DataBehind {
    /// Returns the sentence.
    pub(crate) fn message(&self) -> String {
        let Self { branch, version, channels, .. } = self;
        let names: Vec<String> = channels.iter().map(ToString::to_string).collect();
        format!(
            "{branch} is behind its data: the data of {} changed since {version} was trained; no training run started automatically",
            names.join(", ")
        )
    }
}

/// Why no version of the content may be promoted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoPromotableVersion {
    /// The stage that asks.
    pub stage: StageName,
    /// The branch that asks.
    pub branch: BranchName,
    /// The branch that trains.
    pub source_branch: Option<BranchName>,
    /// The groups that were searched.
    pub sources: Vec<GroupName>,
    /// Versions of the content that may not be promoted.
    pub excluded: Vec<Excluded>,
    /// What became of the content's training run.
    pub training: Option<SourceTraining>,
    /// Versions of other content.
    pub nearest: Vec<Nearest>,
    /// The model, for the command.
    pub model: ModelName,
    /// The target, for the command.
    pub target: TargetName,
    /// The source target, for the command.
    pub source_target: TargetName,
}

/// A training run of the content that is asked for, and why there is no version of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTraining {
    /// Its name.
    pub training: TrainingName,
    /// How it ended.
    pub end: SourceTrainingEnd,
}

/// Why a training run led to no version. Printed it is a clause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceTrainingEnd {
    /// It failed.
    Failed {
        /// The class of the cause.
        cause: Cause,
        /// The cause in words.
        message: String,
    },
    /// Its metrics do not reach these bounds.
    MissedGate(Vec<String>),
    /// It ended well, and nothing was made of it.
    NotRegistered,
    /// Somebody stopped it.
    Stopped,
    /// It never began.
    NeverBegun,
}

impl fmt::Display for SourceTrainingEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { cause, message } => write!(f, "failed, cause {}: {message}", cause.as_str()),
            Self::MissedGate(missed) => write!(f, "missed the gate: {}", missed.join(", ")),
            Self::NotRegistered => f.write_str("ended, but was not registered"),
            Self::Stopped => f.write_str("was stopped"),
            Self::NeverBegun => f.write_str("was prepared, but never begun"),
        }
    }
}

/// What a pull request showed, and why it cannot go forward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewMoved {
    /// The pull request.
    pub pull_request: u64,
    /// What it showed.
    pub reviewed: VersionRef,
    /// What moved, as a clause.
    pub why: String,
    /// What would go forward otherwise.
    pub candidate: Option<Known>,
    /// The model, for the command.
    pub model: ModelName,
}
