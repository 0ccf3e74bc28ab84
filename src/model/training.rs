//! Trainings: one execution on a backend, its attempts, and how each ended.

use crate::model::artifact::Artifact;
use crate::model::cloud::Serve;
use crate::model::dataset::Dataset;
use crate::model::digest::Sha256Digest;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::ObjectId;
use crate::model::identity::CodeId;
use crate::model::identity::ContentId;
use crate::model::identity::Fingerprint;
use crate::model::metric::MetricNote;
use crate::model::metric::Metrics;
use crate::model::name::ChannelName;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::name::TrainingName;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// Why a training failed, as far as it decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The settings ask for something impossible: a command that does not exist, an image that cannot start.
    Configuration,
    /// The training code: it exited non-zero, wrote no model, or wrote metrics that are not numbers.
    Code,
    /// It ran longer than `max_runtime`.
    TimeLimit,
    /// The data: missing, or changed under way.
    Data,
    /// No machine could be had.
    Capacity,
    /// The network or a service in between.
    Network,
    /// The machine or the process that supervised it vanished.
    LostWorker,
    /// Somebody stopped it by other means than ours.
    StoppedElsewhere,
    /// The disk was full.
    DiskFull,
}

impl Cause {
    /// Tells whether another attempt may end differently although nothing was changed.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Capacity | Self::Network | Self::LostWorker => true,
            Self::Configuration
            | Self::Code
            | Self::TimeLimit
            | Self::Data
            | Self::StoppedElsewhere
            | Self::DiskFull => false,
        }
    }

    /// Returns the words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Code => "code",
            Self::TimeLimit => "time limit",
            Self::Data => "data",
            Self::Capacity => "capacity",
            Self::Network => "network",
            Self::LostWorker => "lost worker",
            Self::StoppedElsewhere => "stopped elsewhere",
            Self::DiskFull => "disk full",
        }
    }
}

/// Why a training was ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopCause {
    /// The run that started it was cancelled.
    Cancelled,
    /// A newer push to its branch.
    NewerPush,
    /// Its branch was deleted.
    BranchDeleted,
    /// It had ended, and `prune` removed what it made. Its name stays taken.
    Pruned,
}

impl StopCause {
    /// Says it in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "the run was cancelled",
            Self::NewerPush => "a newer push to its branch wants something else",
            Self::BranchDeleted => "its branch was deleted",
            Self::Pruned => "what it made was removed",
        }
    }

    /// Says why a training that ended by this has left nothing, so that another one is needed.
    pub fn leaves(self, training: &TrainingName) -> String {
        match self {
            Self::Pruned => format!("what {training} made was removed by `prune`"),
            Self::Cancelled | Self::NewerPush | Self::BranchDeleted => {
                format!("{training} was stopped before it ended")
            }
        }
    }
}

/// Where a training stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum TrainingState {
    /// Prepared, but never begun: whoever comes next begins it.
    Prepared,
    /// Running now.
    Open,
    /// Ended well.
    Succeeded {
        /// What it measured.
        metrics: Metrics,
        /// What it made.
        artifacts: Vec<Artifact>,
        /// The data were not the same at the end as at the start.
        data_moved: bool,
        /// What it wrote beside its metrics and what is not a number.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<MetricNote>,
    },
    /// Ended badly.
    Failed {
        /// Why.
        cause: Cause,
        /// One sentence.
        message: String,
        /// The last lines of its log.
        log_tail: Vec<String>,
    },
    /// Ended from outside.
    Stopped {
        /// By what.
        cause: StopCause,
    },
}

/// What a training was started with: enough for any later run to finish what this one began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingOrigin {
    /// The model.
    pub model: ModelName,
    /// The stage that trains.
    pub stage: StageName,
    /// The commit.
    pub commit: CommitSha,
    /// The commit's tree.
    pub tree: ObjectId,
    /// The branch whose push asked for it.
    pub branch: BranchName,
    /// The code id.
    pub code_id: CodeId,
    /// The content of the commit.
    pub content: ContentId,
    /// The fingerprint.
    pub fingerprint: Fingerprint,
    /// The declared signature.
    pub signature: Option<String>,
    /// The data.
    pub datasets: BTreeMap<ChannelName, Dataset>,
    /// The hyperparameters.
    pub hyperparameters: BTreeMap<String, String>,
    /// The image as written.
    pub image: Option<String>,
    /// The digest that the image had: `sha256:…`.
    #[serde(default)]
    pub image_digest: Option<String>,
    /// How the model is served.
    #[serde(default)]
    pub serve: Option<Serve>,
    /// Who asked.
    pub actor: Option<String>,
    /// The pull request, where one is known.
    pub pull_request: Option<u64>,
    /// The run that asked: its address.
    pub run_url: Option<String>,
    /// The run that asked: a key that is the same over its re-runs.
    pub run_key: String,
    /// Which attempt of that run asked, from 1.
    pub run_attempt: u32,
    /// The reason that a person gave for training again.
    pub again: Option<String>,
}

/// One attempt of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Its derived name.
    pub name: TrainingName,
    /// Attempt, from 1.
    pub attempt: u32,
    /// What it was started with.
    pub origin: TrainingOrigin,
    /// When it began, UTC.
    pub started_at: Option<jiff::Timestamp>,
    /// When it ended, UTC.
    pub ended_at: Option<jiff::Timestamp>,
    /// Where it stands.
    pub state: TrainingState,
    /// Where people look at it, where the backend has such a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it is paid for, where the backend charges and says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill: Option<Bill>,
}

/// What a training is paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// The machine type.
    pub instance: String,
    /// How many machines.
    pub count: u32,
    /// Seconds that it trained.
    pub training_seconds: u64,
    /// Seconds that are charged: fewer where Spot capacity was used.
    pub billable_seconds: u64,
}

impl Training {
    /// Tells whether it may still change by itself.
    pub fn is_open(&self) -> bool {
        matches!(self.state, TrainingState::Open | TrainingState::Prepared)
    }

    /// Tells whether it has begun and has not ended: its end comes by waiting. One that was only prepared may never begin.
    pub fn is_running(&self) -> bool {
        matches!(self.state, TrainingState::Open)
    }

    /// Returns how long it ran, in seconds, where both ends are known.
    pub fn seconds(&self) -> Option<f64> {
        let (start, end) = (self.started_at?, self.ended_at?);
        Some(end.duration_since(start).as_secs_f64().max(0.0))
    }

    /// Returns the digest that its name carries.
    pub fn fingerprint_digest(&self) -> &Sha256Digest {
        self.origin.fingerprint.digest()
    }
}
