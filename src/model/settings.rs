//! Training settings: how one model is trained in one stage, with every default filled in.

use crate::model::cloud::CloudSettings;
use crate::model::cloud::Serve;
use crate::model::metric::MetricName;
use crate::model::name::ChannelName;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What of the repository the model is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Watched {
    /// Files, folders and globs, normalised and sorted: no `./`, no `..`, no trailing `/`.
    Paths(Vec<String>),
    /// Everything (`checkout: all`).
    All,
}

/// Where one channel's data come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSource {
    /// A path relative to the repository, an absolute path, or an `s3://` prefix.
    pub uri: String,
    /// A version stated in the configuration. It is the digest, as it is.
    pub version: Option<String>,
    /// A manifest whose content identifies the data.
    pub version_from: Option<String>,
}

/// A metric that a training command writes into a JSON file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonMetric {
    /// The file, relative to the working folder.
    pub json: String,
    /// The keys to the value, joined by dots; empty where the file is the value.
    pub path: String,
}

/// What a training command leaves in its working folder, for scripts that do not write to `$SM_MODEL_DIR`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outputs {
    /// Files, folders and globs that become the model, each under its own name.
    pub model: Vec<String>,
    /// A JSON file of metrics.
    pub metrics: Option<String>,
    /// Single metrics, by name.
    pub values: BTreeMap<MetricName, JsonMetric>,
}

impl Outputs {
    /// Tells whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.model.is_empty() && self.metrics.is_none() && self.values.is_empty()
    }

    /// Returns the files that metrics are read from, each once.
    pub fn files(&self) -> std::collections::BTreeSet<&str> {
        self.metrics.iter().map(String::as_str).chain(self.values.values().map(|at| at.json.as_str())).collect()
    }
}

/// How one model is trained. Per-stage settings are already laid over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingSettings {
    /// What the model is made of.
    pub watched: Watched,
    /// The command line, run by `sh -c` in the checkout. Absent for an image that trains by itself.
    pub command: Option<String>,
    /// The container image as written. Not used by the local trainer, but part of the code id.
    pub image: Option<String>,
    /// Hyperparameters, each the scalar's own text.
    pub hyperparameters: BTreeMap<String, String>,
    /// Environment variables of the training command.
    pub environment: BTreeMap<String, String>,
    /// Data by channel. Empty only where the file says `data: none`.
    pub data: BTreeMap<ChannelName, DataSource>,
    /// Metrics read from the log by a regular expression with one group; others come from `metrics.json`.
    pub metrics: BTreeMap<MetricName, String>,
    /// What the command leaves in its working folder.
    #[serde(default, skip_serializing_if = "Outputs::is_empty")]
    pub outputs: Outputs,
    /// What callers of the model rely on. A change makes a major version.
    pub signature: Option<String>,
    /// The longest that one training may take.
    pub max_runtime: Option<Duration>,
    /// How it runs in the cloud.
    #[serde(default)]
    pub cloud: CloudSettings,
    /// How what it makes is served.
    #[serde(default)]
    pub serve: Option<Serve>,
}
