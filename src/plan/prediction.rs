//! What a pull request is shown: the candidate, what it is compared with, and what merging would do.
//!
//! Values that reports turn into tables and charts. How they are found is in `plan::candidate`.

use crate::facts::review::ChangedPaths;
use crate::model::approval::Approval;
use crate::model::dataset::Dataset;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::identity::Fingerprint;
use crate::model::metric::MetricName;
use crate::model::metric::Metrics;
use crate::model::name::ChannelName;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::name::TrainingName;
use crate::model::version::VersionNumber;
use crate::plan::gate::GateResult;
use crate::plan::reason::Known;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// The result that would go in, or that went in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The model.
    pub model: ModelName,
    /// The stage where it was found.
    pub stage: StageName,
    /// Where it stands.
    pub state: CandidateState,
    /// The version that it is, where it is one.
    pub version: Option<Known>,
    /// Whether that version may be used.
    pub approval: Option<Approval>,
    /// The training that it comes from.
    pub training: Option<TrainingName>,
    /// The commit that was trained.
    pub commit: CommitSha,
    /// It was made from the pull request's head: the merged tree is another one.
    pub before_merging: bool,
    /// Set where data outside Git changed since: when the result was made, UTC. Merging trains on the new data.
    #[serde(default)]
    pub older_data: Option<jiff::Timestamp>,
    /// What the training used.
    pub fingerprint: Fingerprint,
    /// The SHA-256 of its first artifact.
    pub sha256: Option<String>,
    /// What training measured.
    pub metrics: Metrics,
    /// The data.
    pub datasets: BTreeMap<ChannelName, Dataset>,
    /// How long training took, in seconds.
    pub training_seconds: Option<f64>,
}

/// Where a candidate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CandidateState {
    /// It is a version.
    Registered,
    /// It is trained, but no version.
    Trained,
    /// It is being trained.
    Training,
    /// Its training failed.
    Failed,
    /// Its training was stopped.
    Stopped,
}

impl CandidateState {
    /// Tells whether training has measured anything.
    pub fn has_metrics(self) -> bool {
        matches!(self, Self::Registered | Self::Trained)
    }

    /// Returns the word for people and for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Trained => "trained",
            Self::Training => "training",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// A candidate beside the current version of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The target.
    pub target: TargetName,
    /// Its group.
    pub group: GroupName,
    /// Whether the candidate goes there. `false`: gates compare with it, and nothing else.
    pub receives: bool,
    /// Whether automatic changes of the group are stopped.
    pub frozen: bool,
    /// The version that the group stood for. `None`: none yet.
    pub current: Option<CurrentVersion>,
    /// Every metric of either, or that a gate asks for, by name.
    pub rows: Vec<MetricRow>,
    /// The group's newest versions, oldest first, for a chart.
    pub recent: Vec<Point>,
    /// Watched files that differ. `None` where Git cannot tell or nobody looked.
    pub code: Option<ChangedPaths>,
    /// Data that differ.
    pub data: Vec<DataDifference>,
    /// Settings that differ.
    pub settings: Vec<SettingDifference>,
}

/// The version that a group stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurrentVersion {
    /// Its number.
    pub number: VersionNumber,
    /// Its semantic version.
    pub semver: semver::Version,
    /// The commit that was trained.
    pub commit: CommitSha,
    /// When it was registered, UTC.
    pub registered_at: jiff::Timestamp,
    /// What its training used.
    pub fingerprint: Fingerprint,
    /// The SHA-256 of its first artifact.
    pub sha256: Option<String>,
    /// What training measured.
    pub metrics: Metrics,
}

/// One metric of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricRow {
    /// Its name.
    pub metric: MetricName,
    /// The candidate's value.
    pub candidate: Option<f64>,
    /// The current version's.
    pub current: Option<f64>,
    /// The candidate's less the current one's.
    pub difference: Option<f64>,
    /// The bounds on it, judged.
    pub gates: Vec<GateResult>,
    /// All bounds together.
    pub standing: Standing,
}

/// What the bounds on a metric say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// All hold.
    Pass,
    /// One does not hold.
    Fail,
    /// One cannot be told. This fails closed.
    Unknown,
    /// There is none, or nothing to judge yet.
    None,
}

impl Standing {
    /// Returns the word for people and for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::None => "none",
        }
    }
}

impl MetricRow {
    /// Returns the bounds as people write them: `>= 0.8 and drop <= 0.01 against churn-dev v3 (0.87)`.
    pub fn gate_text(&self) -> Option<String> {
        let bounds: Vec<&str> = self.gates.iter().map(|result| result.bound.as_str()).collect();
        (!bounds.is_empty()).then(|| bounds.join(" and "))
    }
}

/// One version of a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Its number.
    pub number: VersionNumber,
    /// Its semantic version.
    pub semver: semver::Version,
    /// Whether it may be used.
    pub approval: Approval,
    /// Whether the group stands for it.
    pub current: bool,
    /// When it was registered, UTC.
    pub registered_at: jiff::Timestamp,
    /// What training measured.
    pub metrics: Metrics,
}

/// A channel whose data differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataDifference {
    /// The channel.
    pub channel: ChannelName,
    /// The current version's data.
    pub current: Option<Dataset>,
    /// The candidate's.
    pub candidate: Option<Dataset>,
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingDifference {
    /// Its name: a hyperparameter's own, or `image`.
    pub name: String,
    /// The current version's value.
    pub current: Option<String>,
    /// The candidate's.
    pub candidate: Option<String>,
}

/// What merging would do for one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Merging {
    /// The base branch.
    pub into: BranchName,
    /// The first thing that changes something.
    pub does: MergeDoes,
    /// How long training will take, in seconds, where merging trains and the model was trained before.
    pub expected_seconds: Option<f64>,
}

/// What merging would begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MergeDoes {
    /// Train.
    Train,
    /// Register what is trained.
    Register,
    /// Copy a version forward.
    Promote,
    /// Bring an older version back.
    Restore,
    /// Nothing: it is so already, or it waits, or a rule says no.
    Nothing,
}

impl MergeDoes {
    /// Returns the word for people and for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Register => "register",
            Self::Promote => "promote",
            Self::Restore => "restore",
            Self::Nothing => "nothing",
        }
    }
}
