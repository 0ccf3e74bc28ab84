//! The file as it is written: one struct for each mapping of `branchline.yaml`, one field for each key.
//!
//! The doc comments are the users' documentation: the JSON Schema takes its descriptions from them, and
//! `shape` holds every file against that schema, so the three cannot drift apart. Every field may be absent
//! here, even a required one: what is missing has been said by then, and the other problems still want to be
//! found. What the values mean is decided in `resolve`.
//!
//! The choices between a word and a mapping are `untagged`. That is harmless here only because `shape` has
//! already checked the value and made every text a string; serde's own messages are never seen.

mod bounds;

use crate::config::cloud::raw::RawAccount;
use crate::config::cloud::raw::RawCheckpoint;
use crate::config::cloud::raw::RawEntrypoint;
use crate::config::cloud::raw::RawHyperparameterFormat;
use crate::config::cloud::raw::RawInputMode;
use crate::config::cloud::raw::RawInstance;
use crate::config::cloud::raw::RawPart;
use crate::config::cloud::raw::RawPlace;
use crate::config::cloud::raw::RawServe;
use crate::config::cloud::raw::RawStore;
use crate::config::cloud::raw::RawVpc;
pub use bounds::RawChecks;
pub use bounds::RawKeep;
pub use bounds::RawKeepPer;
pub use bounds::RawLimits;
pub use bounds::RawOnCancel;
pub use bounds::RawPermissions;
pub use bounds::RawReport;
pub use bounds::RawRole;
use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Branchline: Git branches drive a team's machine-learning models.
///
/// Keys marked "(rule)" count as they stand on the repository's default branch (for a pull request: on its
/// base branch). Keys marked "(setting)" count as they stand in the commit that is trained.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "branchline.yaml")]
pub struct RawFile {
    /// The version of this file's format: 1.
    #[schemars(required, extend("x-branchline" = "rule", "const" = 1, "examples" = [1]))]
    pub version: Option<i64>,
    /// The name of the whole project: the first part of every model group's name. Letters, digits, `.`, `_`
    /// and `-`.
    #[schemars(required, extend("x-branchline" = "rule", "examples" = ["churn"]), with = "Text")]
    pub project: Option<String>,
    /// The stages to begin with. `baseline` (the default): feature, dev, prod. `advanced`: prod feeds the
    /// groups champion and challenger. `none`: only the stages that are written here.
    #[schemars(extend("x-branchline" = "rule"))]
    pub topology: Option<RawTopology>,
    /// Stages by name, low to high, laid over those of the topology key by key (lists replace). A branch
    /// belongs to one stage: a name written out goes before a pattern, then the order of the stages decides.
    #[schemars(extend("x-branchline" = "rule"))]
    pub stages: Option<BTreeMap<String, RawStage>>,
    /// The models that this repository trains, by name.
    #[schemars(required, extend("x-branchline" = "setting", "examples" = [json!({"churn": {"paths": ["train.py"], "train": {"command": "python3 train.py", "data": "none"}}})]))]
    pub models: Option<BTreeMap<String, RawModel>>,
    /// Settings that all models share, laid under each model's own key by key: a key of the model replaces, and so does a
    /// list. Only settings: gates and other rules stand in each model.
    #[schemars(extend("x-branchline" = "setting", "examples" = [json!({"train": {"environment": {"LANG": "C"}, "max_runtime": "2h"}})]))]
    #[expect(dead_code, reason = "the schema needs it; `layers` reads it from the tree")]
    pub defaults: Option<RawDefaults>,
    /// Files with the settings of more models, as paths and globs from the root of the repository, read at the same
    /// commit as this file. Each holds `models:` with settings alone: gates and other rules of those models stand here.
    #[schemars(extend("x-branchline" = "setting", "examples" = [["models/*/branchline.yaml"]]))]
    #[expect(dead_code, reason = "the schema needs it; `layers` reads it from the tree")]
    pub include: Option<Vec<String>>,
    /// Where training runs and where versions and artifacts are kept. `local` (the default): on this machine.
    /// `sagemaker`: in Amazon's cloud.
    #[schemars(extend("x-branchline" = "rule"))]
    pub backend: Option<RawBackend>,
    /// Stages that live in an account of their own, by stage. What is absent is as in `backend`.
    #[schemars(extend("x-branchline" = "rule", "examples" = [json!({"prod": {"id": "222222222222", "assume_role_arn": "arn:aws:iam::222222222222:role/branchline-prod", "bucket": "acme-models-prod"}})]))]
    pub accounts: Option<BTreeMap<String, RawAccount>>,
    /// Variables of the machine that local training commands get beside the documented ones, by name. Names that hold
    /// secrets or belong to CI, a cloud account or Branchline are refused. Default: none.
    #[schemars(extend("x-branchline" = "rule", "examples" = [["OMP_NUM_THREADS"]]))]
    pub pass_env: Option<Vec<String>>,
    /// How long a run waits for training: `done` (until it ends, the default with the local backend), `0`
    /// (not at all), or a time such as `30m` (the default in the cloud). What is still open then is finished by a
    /// later event.
    #[schemars(extend("x-branchline" = "rule", "examples" = ["done", "0", "30m"]), with = "Option<Text>")]
    pub wait: Option<String>,
    /// How many models a run works on at the same time. Default 4.
    #[schemars(extend("x-branchline" = "rule", "examples" = [4]), range(min = 1, max = 64))]
    pub parallel: Option<u32>,
    /// Bounds on what one event may cost.
    #[schemars(extend("x-branchline" = "rule"))]
    pub limits: Option<RawLimits>,
    /// What `prune` keeps, by target. A target that is not named keeps everything. The current version, and
    /// whatever was promoted from, is always kept.
    #[schemars(extend("x-branchline" = "rule", "examples" = [json!({"feature": "3 per branch, 30d"})]))]
    pub keep: Option<BTreeMap<String, RawKeep>>,
    /// Whether a push promotes only what a pull request showed that a person other than its author approved at its
    /// head, with write permission. Default false.
    #[schemars(extend("x-branchline" = "rule"))]
    pub require_review: Option<bool>,
    /// The least role in the repository that a person needs for a manual command, by action.
    #[schemars(extend("x-branchline" = "rule"))]
    pub permissions: Option<RawPermissions>,
    /// Who may decide which version is current, by login: approve, reject, rollback, and promote or import into a
    /// group that approves automatically. Default: everybody with the role that `permissions` names.
    #[schemars(extend("x-branchline" = "rule", "examples" = [["alice", "bob"]]))]
    pub approvers: Option<Vec<String>>,
    /// Whether the authors of a version's commits and pull requests may not approve, promote or import it. Default
    /// false.
    #[schemars(extend("x-branchline" = "rule"))]
    pub not_author: Option<bool>,
    /// How results are shown on commits: `checks` (the default), `statuses`, `both` or `none`.
    #[schemars(extend("x-branchline" = "rule"))]
    pub report: Option<RawReport>,
    /// Whether all models share `one` check (the default), or there is one `per_model`.
    #[schemars(extend("x-branchline" = "rule"))]
    pub checks: Option<RawChecks>,
    /// Folders outside of the repository from which a CI job may read data, as absolute paths. Everything below them
    /// is allowed, with links resolved. Default: none, so that a CI job reads data of the repository only. On a
    /// person's own machine data may lie in any folder.
    #[schemars(extend("x-branchline" = "rule", "examples" = [["/mnt/datasets"]]))]
    pub data_roots: Option<Vec<String>>,
    /// What a cancelled run does with the trainings that it started: `stop` them (the default with the local
    /// backend) or `leave` them running (the default in the cloud).
    #[schemars(extend("x-branchline" = "rule"))]
    pub on_cancel: Option<RawOnCancel>,
    /// What is known about the state directory of the local backend (`BRANCHLINE_HOME`).
    #[schemars(extend("x-branchline" = "rule"))]
    pub state: Option<RawState>,
}

/// What is known about the state directory of the local backend.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_rules)]
pub struct RawState {
    /// Whether the directory is on storage that outlives a job on a GitHub-hosted runner, such as a mounted network
    /// disk. Default false: the local backend is refused there. A directory inside the checkout is always refused in CI.
    pub outlives_job: Option<bool>,
}

/// The stages to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawTopology {
    /// feature, dev, prod.
    Baseline,
    /// As baseline, but prod feeds the groups champion and challenger, and dev compares with champion.
    Advanced,
    /// No stages but those of this file.
    None,
}

/// A stage: the branches that reach it, what a push there does, the groups it feeds.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_rules)]
pub struct RawStage {
    /// The branches, as names and patterns with the meaning of GitHub's workflow filters: `*` stops at `/`,
    /// `**` does not, `!` excludes, the last pattern that matches decides.
    #[schemars(extend("examples" = [["feature-*", "feature/**"]]))]
    pub branches: Option<Vec<String>>,
    /// What a push does: `train` and register, or `promote` what other stages hold.
    pub does: Option<RawDoes>,
    /// The groups that the stage feeds, by target.
    #[schemars(extend("examples" = [json!({"prod": {"approval": "manual"}})]))]
    pub groups: Option<BTreeMap<String, RawGroup>>,
    /// For `does: train`: the target whose current version relative gates compare with, or `none`.
    #[schemars(extend("examples" = ["prod"]), with = "Option<Text>")]
    pub compare_with: Option<String>,
    /// For `does: train`: what a newer push does to an older open training of its branch: `stop` it, or
    /// `keep` it going (the default outside the stage feature).
    pub on_newer_push: Option<RawOnNewerPush>,
    /// For `does: train`: lower training stages whose training runs are reused instead of training again.
    /// Off by default: it trusts whoever may write there.
    #[schemars(extend("examples" = [["feature"]]))]
    pub reuse_from: Option<Vec<String>>,
    /// For `does: promote`: the lower stages that versions are taken from, in this order of preference.
    #[schemars(extend("examples" = [["dev"]]))]
    pub promote_from: Option<Vec<String>>,
}

/// What a push to a stage's branch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawDoes {
    /// Train and register.
    Train,
    /// Copy forward what another stage holds. Never trains.
    Promote,
}

/// What a newer push does to an older open training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawOnNewerPush {
    /// Stop it, unless another branch wants the same.
    Stop,
    /// Let it finish.
    Keep,
}

/// A group that a stage feeds.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_rules)]
pub struct RawGroup {
    /// Who approves what enters: `auto` (whatever passed its gates) or `manual` (a person, the default).
    pub approval: Option<RawApproval>,
}

/// Who approves what enters a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawApproval {
    /// What passed its gates is approved as it is registered.
    Auto,
    /// A person, with `branchline approve`.
    Manual,
}

/// A model that the repository trains.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawModel {
    /// What the model is made of: files, folders and globs from the root of the repository. Training gets
    /// these and nothing else, and a change of anything else never trains. Required unless `checkout: all`.
    #[schemars(extend("x-branchline" = "setting", "examples" = [["train.py", "features/", "src/**/*.py"]]))]
    pub paths: Option<Vec<String>>,
    /// What callers of the model rely on, in any words. A change makes a new major version.
    #[schemars(extend("x-branchline" = "setting", "examples" = ["v1"]), with = "Option<Text>")]
    pub signature: Option<String>,
    /// How the model is trained.
    #[schemars(required, extend("x-branchline" = "setting", "examples" = [json!({"command": "python3 train.py", "data": {"train": "data/train.csv"}})]))]
    pub train: Option<RawTrain>,
    /// What differs in one training stage, laid over `train` key by key (lists replace).
    #[schemars(extend("x-branchline" = "setting", "examples" = [json!({"dev": {"train": {"hyperparameters": {"epochs": 50}}}})]))]
    pub stages: Option<BTreeMap<String, RawModelStage>>,
    /// How a registered model is served. For versions in SageMaker: what endpoints and batch jobs are told.
    #[schemars(extend("x-branchline" = "setting"))]
    pub serve: Option<RawServe>,
    /// Conditions on metrics, by metric. What misses one is not registered.
    #[schemars(extend("x-branchline" = "rule", "examples" = [json!({"accuracy": {"min": 0.8, "max_drop": "1%"}})]))]
    pub gates: Option<BTreeMap<String, RawGate>>,
    /// Names of groups that exist already, by target, instead of `<project>-<model>-<target>`.
    #[schemars(extend("x-branchline" = "rule", "examples" = [json!({"prod": "ChurnModelGroup"})]))]
    pub group_names: Option<BTreeMap<String, String>>,
    /// How many trainings of the same code, settings and data are tried in all. Default 3.
    #[schemars(extend("x-branchline" = "rule", "examples" = [3]), range(min = 1, max = 100))]
    pub max_attempts: Option<u32>,
}

/// Settings that all models share.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_settings)]
#[expect(dead_code, reason = "the schema needs them; `layers` lays them under each model")]
pub struct RawDefaults {
    /// What every model is made of, where a model does not name its own.
    #[schemars(extend("examples" = [["src/", "requirements.txt"]]))]
    pub paths: Option<Vec<String>>,
    /// What callers rely on, where a model does not say its own.
    #[schemars(extend("examples" = ["v1"]), with = "Option<Text>")]
    pub signature: Option<String>,
    /// How every model is trained, as far as a model does not say otherwise.
    #[schemars(extend("examples" = [json!({"max_runtime": "2h"})]))]
    pub train: Option<RawTrain>,
    /// What differs in one training stage.
    #[schemars(extend("examples" = [json!({"dev": {"train": {"hyperparameters": {"epochs": 50}}}})]))]
    pub stages: Option<BTreeMap<String, RawModelStage>>,
    /// How every model is served.
    pub serve: Option<RawServe>,
}

/// What differs in one training stage.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_settings)]
pub struct RawModelStage {
    /// Laid over the model's own `train` key by key.
    pub train: Option<RawTrain>,
}

/// How a model is trained.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_settings)]
pub struct RawTrain {
    /// The command line, run by `sh -c` in a checkout of the watched paths. May be left out where SageMaker trains
    /// with an image that trains by itself.
    #[schemars(extend("examples" = ["python3 train.py"]), with = "Option<Text>")]
    pub command: Option<String>,
    /// The container image. Part of the model's identity. SageMaker needs one; the local trainer does not use it.
    #[schemars(with = "Option<Text>")]
    pub image: Option<String>,
    /// What the training gets to see: the watched `paths` (the default), or `all` of the repository.
    pub checkout: Option<RawCheckout>,
    /// The data, by channel: a path, an `s3://` prefix, or a mapping with `uri`. `none` if there are none.
    #[schemars(extend("examples" = [json!({"train": "data/train.csv"})]))]
    pub data: Option<RawData>,
    /// Hyperparameters. Each arrives as text, exactly as it is written here (quotes removed).
    #[schemars(extend("examples" = [json!({"max_depth": 5})]), with = "Option<TextMap>")]
    pub hyperparameters: Option<BTreeMap<String, String>>,
    /// Environment variables of the command, exactly as they are written here.
    #[schemars(extend("examples" = [json!({"LANG": "C"})]), with = "Option<TextMap>")]
    pub environment: Option<BTreeMap<String, String>>,
    /// Metrics that are read from the log: a regular expression each, with one group around the number. The
    /// last match counts. Metrics that are not named here come from `metrics.json`.
    /// Or a JSON file that the command writes in its working folder, and the keys to the value joined by dots.
    #[schemars(extend("examples" = [json!({"loss": "loss=([0-9.]+)", "accuracy": {"json": "metrics/eval.json", "path": "test.acc"}})]))]
    pub metrics: Option<BTreeMap<String, RawMetric>>,
    /// What the command leaves in its working folder. For scripts that do not write to `$SM_MODEL_DIR`.
    #[schemars(extend("examples" = [json!({"model": ["model.pkl"], "metrics": "metrics.json"})]))]
    pub outputs: Option<RawOutputs>,
    /// The longest that one training may take, such as `2h`.
    #[schemars(extend("examples" = ["2h"]), with = "Option<Text>")]
    pub max_runtime: Option<String>,
    /// The machines. SageMaker needs them; the local trainer does not use this key, nor those below.
    #[schemars(extend("examples" = [json!({"type": "ml.m5.xlarge"})]))]
    pub instance: Option<RawInstance>,
    /// How the command is begun in the container: by our `bootstrap` (the default: any image with `sh` and `tar`),
    /// or by the training `toolkit` in the image.
    pub entrypoint: Option<RawEntrypoint>,
    /// How hyperparameters are spelled for the container: `raw` as they are written (the default), or as `json`.
    pub hyperparameter_format: Option<RawHyperparameterFormat>,
    /// How data reach the container, by Amazon's words. Default `File`.
    pub input_mode: Option<RawInputMode>,
    /// The key that the volumes of the machines are encrypted with: an id, an ARN, or `alias/…`.
    #[schemars(extend("examples" = ["alias/training"]))]
    pub volume_kms_key: Option<String>,
    /// The private network. Default: none.
    #[schemars(extend("examples" = [json!({"subnets": ["subnet-0a1b2c3d"], "security_groups": ["sg-0a1b2c3d"]})]))]
    pub vpc: Option<RawVpc>,
    /// Whether the container has no network at all. Default false.
    pub network_isolation: Option<bool>,
    /// Whether traffic between the machines is encrypted. Default false.
    pub encrypt_between: Option<bool>,
    /// Where the training leaves what it needs to resume after an interruption. Default: nowhere.
    #[schemars(extend("examples" = [json!({"local_path": "/opt/ml/checkpoints"})]))]
    pub checkpoint: Option<RawCheckpoint>,
    /// How many times Amazon itself starts again after an internal error. Default: not at all.
    #[schemars(extend("examples" = [2]), range(min = 1, max = 30))]
    pub retries: Option<u32>,
    /// The role that the training runs under, instead of the one in `backend`.
    #[schemars(extend("examples" = ["arn:aws:iam::111122223333:role/SageMakerExecution"]))]
    pub execution_role_arn: Option<String>,
    /// Tags of the training job.
    #[schemars(extend("examples" = [json!({"team": "growth"})]), with = "Option<TextMap>")]
    pub tags: Option<BTreeMap<String, String>>,
}

/// Where a metric comes from.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawMetric {
    /// A regular expression over the log.
    Expression(String),
    /// A value of a JSON file.
    Json(RawJsonMetric),
}

/// A value of a JSON file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_settings)]
pub struct RawJsonMetric {
    /// The file, from the working folder of the command: the root of the checkout.
    #[schemars(required, extend("examples" = ["metrics/eval.json"]))]
    pub json: Option<String>,
    /// The keys to the value, joined by dots. Default: the name of the metric.
    #[schemars(extend("examples" = ["test.acc"]), with = "Option<Text>")]
    pub path: Option<String>,
}

/// What the command leaves in its working folder.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_settings)]
pub struct RawOutputs {
    /// Files, folders and globs that become the model, each under its own name. Globs know `*`, `?` and `[a-z]`.
    #[schemars(extend("examples" = [["model.pkl"]]))]
    pub model: Option<Vec<String>>,
    /// A JSON file of metrics, instead of `metrics.json` in `$SM_OUTPUT_DATA_DIR`.
    #[schemars(extend("examples" = ["metrics.json"]))]
    pub metrics: Option<String>,
}

/// What the training gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawCheckout {
    /// The watched paths.
    Paths,
    /// The whole repository; every commit is a new model.
    All,
}

/// Data by channel, or the word that there are none.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawData {
    /// There are none.
    Word(RawNone),
    /// By channel.
    Channels(BTreeMap<String, RawChannel>),
}

/// The word `none`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawNone {
    /// There are none.
    None,
}

/// Where the data of a channel are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawChannel {
    /// A path or an `s3://` prefix.
    Uri(String),
    /// With a version.
    Source(RawSource),
}

/// Where the data of a channel are, and which version of them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_settings)]
pub struct RawSource {
    /// A path from the root of the repository, an absolute path, or an `s3://` prefix.
    #[schemars(required, extend("examples" = ["data/train.csv"]))]
    pub uri: Option<String>,
    /// The version, in your own words. It is believed: the data are the same as long as it is.
    #[schemars(extend("examples" = ["2026-11-09"]), with = "Option<Text>")]
    pub version: Option<String>,
    /// A manifest whose content says which version of the data this is.
    #[schemars(extend("examples" = ["s3://bucket/data/manifest.json"]))]
    pub version_from: Option<String>,
}

/// Conditions on one metric; all of them must hold.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_rules)]
pub struct RawGate {
    /// The value must be at least this.
    #[schemars(extend("examples" = [0.8]))]
    pub min: Option<f64>,
    /// The value must be at most this.
    #[schemars(extend("examples" = [0.5]))]
    pub max: Option<f64>,
    /// How far the value may fall below the version it is compared with: `0.01`, or `1%` of that value.
    #[schemars(extend("examples" = ["1%"]), with = "Option<Text>")]
    pub max_drop: Option<String>,
    /// How far the value may rise above the version it is compared with: `0.01`, or `1%` of that value.
    #[schemars(extend("examples" = ["1%"]), with = "Option<Text>")]
    pub max_rise: Option<String>,
    /// What `max_drop` and `max_rise` do when the two versions saw different data: compare and `mark` it
    /// (the default), or `refuse`.
    pub when_data_differs: Option<RawWhenDataDiffers>,
}

/// What relative bounds do when the data differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawWhenDataDiffers {
    /// Compare, and mark the result.
    Mark,
    /// Do not compare; the gate fails.
    Refuse,
}

/// One backend for everything, or one for each part.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawBackend {
    /// For everything.
    Kind(RawBackendKind),
    /// For each part.
    Parts(Box<RawBackendParts>),
}

/// A backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawBackendKind {
    /// This machine.
    Local,
}

/// A backend for each part.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_rules)]
pub struct RawBackendParts {
    /// All of it in Amazon's cloud: SageMaker trains and registers, S3 keeps artifacts.
    #[schemars(extend("examples" = [json!({"region": "eu-west-1", "bucket": "acme-models", "execution_role_arn": "arn:aws:iam::111122223333:role/SageMakerExecution"})]))]
    pub sagemaker: Option<RawPlace>,
    /// Where training runs: `local` (the default), or `{ sagemaker: … }`.
    pub trainer: Option<RawPart>,
    /// Where versions are registered: `local` (the default), or `{ sagemaker: … }`.
    pub registry: Option<RawPart>,
    /// Where artifacts are kept: `local` (the default), or `{ s3: … }`.
    pub artifacts: Option<RawStore>,
}

/// Text, as which a number or a truth value is read too: `signature: 1` means the text `1`.
///
/// Only the schema knows this type; in Rust it is a `String`.
pub(in crate::config) struct Text;

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Names and their texts.
pub(in crate::config) type TextMap = BTreeMap<String, Text>;
