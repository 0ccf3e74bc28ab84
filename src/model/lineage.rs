//! Lineage: where a version comes from, in one schema that is read for ever.

use crate::model::dataset::Dataset;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::ObjectId;
use crate::model::git::RepositoryId;
use crate::model::metric::MetricNote;
use crate::model::name::ChannelName;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::name::TrainingName;
use crate::model::training::Bill;
use crate::model::version::VersionNumber;
use crate::model::version::VersionRef;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// The schema that is written. Readers accept every older one.
pub const LINEAGE_SCHEMA: u32 = 1;

/// Where a version comes from. Promotion and restore carry it along unchanged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// The schema of this record.
    pub schema: u32,
    /// The commit that was trained.
    pub commit: CommitSha,
    /// Its tree.
    pub tree: Option<ObjectId>,
    /// The branch that was pushed.
    pub branch: Option<BranchName>,
    /// The repository.
    pub repository: RepositoryId,
    /// The pull request, where one is known.
    #[serde(default)]
    pub pull_request: Option<u64>,
    /// Who pushed.
    #[serde(default)]
    pub actor: Option<String>,
    /// The address of the CI run.
    #[serde(default)]
    pub run_url: Option<String>,
    /// Data by channel.
    #[serde(default)]
    pub datasets: BTreeMap<ChannelName, Dataset>,
    /// Hyperparameters, as text.
    #[serde(default)]
    pub hyperparameters: BTreeMap<String, String>,
    /// The image as written.
    #[serde(default)]
    pub image: Option<String>,
    /// The digest that the image had: `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// The stage that trained.
    #[serde(default)]
    pub stage: Option<StageName>,
    /// The training, where we ran it.
    #[serde(default)]
    pub training: Option<TrainingName>,
    /// Which attempt of it, from 1.
    #[serde(default)]
    pub attempt: Option<u32>,
    /// Why it was trained again, where a person asked for that.
    #[serde(default)]
    pub again: Option<String>,
    /// How long training took, in seconds.
    #[serde(default)]
    pub training_seconds: Option<f64>,
    /// What training is paid for, where the backend charges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill: Option<Bill>,
    /// Where people look at the training, where the backend has such a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_url: Option<String>,
    /// When training ended, UTC.
    #[serde(default)]
    pub trained_at: Option<jiff::Timestamp>,
    /// The name of the artifact's file or folder, where it was trained externally and registered manually.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
    /// What it was before it was imported from another group or another state directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// What stood beside the metrics and is not a number, such as a text or a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metric_notes: Vec<MetricNote>,
}

/// What a version was before it was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Its address there.
    pub version: VersionRef,
    /// Its model there.
    pub model: ModelName,
    /// When it was registered there, UTC.
    pub registered_at: jiff::Timestamp,
    /// What it had been copied from there.
    #[serde(default)]
    pub source: Option<VersionRef>,
    /// Which version it had restored there.
    #[serde(default)]
    pub restores: Option<VersionNumber>,
}
