//! The rules that bound a project, as they are written: limits, what is kept, who may do what, and how it is reported.

use crate::config::raw::Text;
use schemars::JsonSchema;
use serde::Deserialize;

/// Bounds on what one event may cost.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_rules)]
pub struct RawLimits {
    /// How many trainings one event may start. Default: as many as there are models.
    #[schemars(extend("examples" = [10]), range(min = 1, max = 1000))]
    pub max_trainings_per_event: Option<u32>,
    /// The longest that any training may take, whatever its settings say, such as `4h`.
    #[schemars(extend("examples" = ["4h"]), with = "Option<Text>")]
    pub max_runtime: Option<String>,
    /// In the cloud: the only machine types that may train, as names and patterns with `*`.
    #[schemars(extend("examples" = [["ml.m5.*"]]))]
    pub instance_types: Option<Vec<String>>,
    /// In the cloud: how many machines one training may use.
    #[schemars(extend("examples" = [4]), range(min = 1, max = 1000))]
    pub max_instances: Option<u32>,
    /// In the cloud: how many machine hours (machines times `max_runtime`) the trainings of one event may take in all.
    #[schemars(extend("examples" = [100]), range(min = 1, max = 1_000_000))]
    pub max_hours: Option<u32>,
    /// In the cloud: tags that every training must carry.
    #[schemars(extend("examples" = [["team"]]))]
    pub required_tags: Option<Vec<String>>,
    /// In the cloud: whether every training must run in a private network. Default false.
    pub require_vpc: Option<bool>,
    /// In the cloud: whether the volumes of every training and the objects in the bucket must have a key of yours.
    /// Default false.
    pub require_kms: Option<bool>,
}

/// What `prune` keeps of a target.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawKeep {
    /// In words: `3 per branch, 30d`.
    Text(String),
    /// By key.
    Parts(RawKeepParts),
}

/// What `prune` keeps of a target: whatever one of these conditions holds on.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_rules)]
pub struct RawKeepParts {
    /// The newest so many.
    #[schemars(extend("examples" = [3]), range(min = 1, max = 1_000_000))]
    pub last: Option<u32>,
    /// Of what `last` counts: of each `branch` (the default), or of the whole `group`.
    pub per: Option<RawKeepPer>,
    /// What is younger than this, such as `30d`.
    #[serde(rename = "for")]
    #[schemars(extend("examples" = ["30d"]), with = "Option<Text>")]
    pub young: Option<String>,
}

/// Of what `last` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawKeepPer {
    /// Of each branch.
    Branch,
    /// Of the whole group.
    Group,
}

/// The least role that a person needs, by action.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_rules)]
pub struct RawPermissions {
    /// To train manually, again or elsewhere. Default `write`.
    pub train: Option<RawRole>,
    /// To promote manually. Default `maintain`.
    pub promote: Option<RawRole>,
    /// To approve a version. Default `maintain`.
    pub approve: Option<RawRole>,
    /// To reject a version. Default `maintain`.
    pub reject: Option<RawRole>,
    /// To roll a group back. Default `maintain`.
    pub rollback: Option<RawRole>,
    /// To freeze a group. Default `write`: stopping must be easy.
    pub freeze: Option<RawRole>,
    /// To let a frozen group move again. Default `maintain`.
    pub unfreeze: Option<RawRole>,
    /// To take a newer version into a pull request that was reviewed. Default `write`.
    pub repin: Option<RawRole>,
    /// To reconcile manually. Default `write`.
    pub reconcile: Option<RawRole>,
    /// To remove what is no longer kept. Default `maintain`.
    pub prune: Option<RawRole>,
}

/// A role in the repository, each including those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawRole {
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

/// How results are shown on commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawReport {
    /// As check runs.
    Checks,
    /// As commit statuses.
    Statuses,
    /// As both.
    Both,
    /// Not at all; the summary and the exit code remain.
    None,
}

/// How many checks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawChecks {
    /// One for all models.
    One,
    /// One for each model.
    PerModel,
}

/// What a cancelled run does with its trainings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawOnCancel {
    /// They go on.
    Leave,
    /// They are stopped.
    Stop,
}
