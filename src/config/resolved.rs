//! The configuration as it is meant: every default filled in, every name checked, rules and settings together.
//!
//! A value of these types cannot be wrong: they are only made by `resolve`.

use crate::config::lookup::Places;
use crate::model::cloud::AccountPlace;
use crate::model::cloud::CloudLimits;
use crate::model::gate::Gate;
use crate::model::git::BranchName;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::ProjectName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::settings::TrainingSettings;
use crate::model::stage::Stage;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Attempts beyond the first that capacity, network and lost workers may cost without anybody asking.
pub const AUTO_RETRIES: u32 = 2;

/// A resolved configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The name of the whole project.
    pub project: ProjectName,
    /// Which stages it began with.
    pub topology: Topology,
    /// The stages, low to high. At least one trains.
    pub stages: Vec<Stage>,
    /// The models by name. At least one.
    pub models: BTreeMap<ModelName, Model>,
    /// Where things run and are kept.
    pub backend: Backend,
    /// Where the cloud backend lives, where any part of it is used.
    pub cloud: Option<AccountPlace>,
    /// Stages that live in another account, with everything filled in.
    pub accounts: BTreeMap<StageName, AccountPlace>,
    /// What every training in the cloud must keep to.
    pub cloud_limits: CloudLimits,
    /// Variables of the machine that local training commands get beside the documented ones.
    pub pass_env: Vec<String>,
    /// How long a run waits for training; `None` where the file leaves it to the backend.
    pub wait: Option<Wait>,
    /// How many models a run works on at the same time: 1 to 64.
    pub parallel: usize,
    /// Bounds on what one event may cost.
    pub limits: Limits,
    /// What `prune` keeps. A target that is not named keeps everything.
    pub keep: BTreeMap<TargetName, Keep>,
    /// Whether a promotion needs an approved pull request.
    pub require_review: bool,
    /// The least role for each manual command. Every action has one.
    pub permissions: BTreeMap<Action, Role>,
    /// Who may approve and reject, by login without `@`. Empty: everybody with the role.
    pub approvers: Vec<String>,
    /// Whether the author of a commit may not approve what was trained from it.
    pub not_author: bool,
    /// How results are shown on commits.
    pub report: ReportAs,
    /// How many checks there are.
    pub checks: Checks,
    /// Folders outside of the repository from which a CI job may read data: absolute, without `..`.
    pub data_roots: Vec<String>,
    /// What a cancelled run does with the trainings that it started.
    pub on_cancel: OnCancel,
    /// Whether the local backend's state directory outlives a job on a GitHub-hosted runner.
    pub state_outlives_job: bool,
    /// Branch names that a stage writes out: they go before every pattern.
    pub(in crate::config) literal_branches: BTreeMap<BranchName, StageName>,
    /// Where everything stands in its file.
    pub(in crate::config) places: Places,
}

/// A model: its settings from the commit, its rules from the rules' side.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: ModelName,
    /// How it is trained, for each training stage.
    pub settings: BTreeMap<StageName, TrainingSettings>,
    /// The conditions on its metrics, in the order of the file.
    pub gates: Vec<Gate>,
    /// The groups of its versions, for every target.
    pub groups: BTreeMap<TargetName, GroupName>,
    /// How many trainings of one fingerprint are tried in all.
    pub max_attempts: u32,
    /// How many of them without anybody asking, beyond the first: for capacity, network and lost workers.
    pub max_auto_retries: u32,
}

/// Which stages a configuration begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Topology {
    /// feature, dev, prod.
    Baseline,
    /// prod feeds champion and challenger.
    Advanced,
    /// Only what is written.
    None,
}

/// Where things run and are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backend {
    /// Where training runs.
    pub trainer: BackendKind,
    /// Where versions are registered.
    pub registry: BackendKind,
    /// Where artifacts are kept.
    pub artifacts: BackendKind,
}

impl Backend {
    /// Tells whether any part of it is in the cloud.
    pub fn is_cloud(self) -> bool {
        [self.trainer, self.registry, self.artifacts].contains(&BackendKind::Cloud)
    }
}

/// One kind of backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// This machine.
    Local,
    /// Amazon: SageMaker trains and registers, S3 keeps artifacts.
    Cloud,
}

/// How long a run waits for training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until it ends.
    Done,
    /// At most so long; then it is left to a later event. Zero: not at all.
    Leave(Duration),
}

/// Bounds on what one event may cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// How many trainings one event may start.
    pub max_trainings_per_event: Option<u32>,
    /// The longest that any training may take. Already part of every model's settings.
    pub max_runtime: Option<Duration>,
}

/// What `prune` keeps of a target: whatever one of the conditions holds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The newest so many.
    pub last: Option<u32>,
    /// Of what `last` counts.
    pub per: KeepPer,
    /// What is younger than this.
    pub young: Option<Duration>,
}

/// Of what [`Keep::last`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepPer {
    /// Of each branch.
    Branch,
    /// Of the whole group.
    Group,
}

/// A manual command that needs a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// `branchline train`.
    Train,
    /// `branchline promote`.
    Promote,
    /// `branchline approve`.
    Approve,
    /// `branchline reject`.
    Reject,
    /// `branchline rollback`.
    Rollback,
    /// `branchline freeze`.
    Freeze,
    /// `branchline unfreeze`.
    Unfreeze,
    /// `branchline repin`.
    Repin,
    /// `branchline reconcile`.
    Reconcile,
    /// `branchline prune`.
    Prune,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 10] = [
        Self::Train,
        Self::Promote,
        Self::Approve,
        Self::Reject,
        Self::Rollback,
        Self::Freeze,
        Self::Unfreeze,
        Self::Repin,
        Self::Reconcile,
        Self::Prune,
    ];

    /// Returns the role that it needs where the file does not say.
    pub fn default_role(self) -> Role {
        match self {
            Self::Train | Self::Freeze | Self::Repin | Self::Reconcile => Role::Write,
            Self::Promote | Self::Approve | Self::Reject | Self::Rollback | Self::Unfreeze | Self::Prune => {
                Role::Maintain
            }
        }
    }

    /// Returns the word of the command and of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Promote => "promote",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Rollback => "rollback",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::Repin => "repin",
            Self::Reconcile => "reconcile",
            Self::Prune => "prune",
        }
    }
}

/// A role in the repository; a later one includes those before it. GitHub's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May read.
    Read,
    /// May manage issues.
    Triage,
    /// May push.
    Write,
    /// May manage the repository without its dangerous settings.
    Maintain,
    /// May do everything.
    Admin,
}

impl Role {
    /// Returns GitHub's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Write => "write",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }

    /// Parses GitHub's word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Read, Self::Triage, Self::Write, Self::Maintain, Self::Admin].into_iter().find(|r| r.as_str() == text)
    }
}

/// How results are shown on commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportAs {
    /// As check runs.
    Checks,
    /// As commit statuses.
    Statuses,
    /// As both.
    Both,
    /// Not at all.
    None,
}

/// How many checks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Checks {
    /// One for all models.
    One,
    /// One for each model.
    PerModel,
}

/// What a cancelled run does with the trainings that it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnCancel {
    /// They go on.
    Leave,
    /// They are stopped.
    Stop,
}
