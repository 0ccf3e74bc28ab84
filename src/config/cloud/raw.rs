//! The mappings of the file that only matter in the cloud, as they are written. See `raw` for the conventions.

use crate::config::raw::RawBackendKind;
use crate::config::raw::Text;
use crate::config::raw::TextMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// Where training runs or versions are registered: here, or in SageMaker.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawPart {
    /// This machine.
    Kind(RawBackendKind),
    /// SageMaker.
    Cloud(RawPartPlace),
}

/// A part of the backend in SageMaker.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_rules)]
pub struct RawPartPlace {
    /// Where in SageMaker.
    #[schemars(required, extend("examples" = [json!({"region": "eu-west-1", "bucket": "acme-models"})]))]
    pub sagemaker: Option<RawPlace>,
}

/// Where artifacts are kept: here, or in S3.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawStore {
    /// This machine.
    Kind(RawBackendKind),
    /// S3.
    Cloud(RawStorePlace),
}

/// Artifacts in S3.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_rules)]
pub struct RawStorePlace {
    /// Where in S3.
    #[schemars(required, extend("examples" = [json!({"region": "eu-west-1", "bucket": "acme-models"})]))]
    pub s3: Option<RawPlace>,
}

/// A place in Amazon's cloud.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_rules)]
pub struct RawPlace {
    /// Amazon's region. The bucket must be in it.
    #[schemars(extend("examples" = ["eu-west-1"]))]
    pub region: Option<String>,
    /// The bucket of artifacts, manifests and records.
    #[schemars(extend("examples" = ["acme-models"]))]
    pub bucket: Option<String>,
    /// Where ours begin in the bucket. Default `branchline`.
    #[schemars(extend("examples" = ["branchline"]), with = "Option<Text>")]
    pub prefix: Option<String>,
    /// The role that training jobs run under. Needed where SageMaker trains.
    #[schemars(extend("examples" = ["arn:aws:iam::111122223333:role/SageMakerExecution"]))]
    pub execution_role_arn: Option<String>,
    /// The account, twelve digits: nothing is written into any other. Default: the one that the roles belong to.
    #[schemars(extend("examples" = ["111122223333"]), with = "Option<Text>")]
    pub account_id: Option<String>,
    /// A role to assume for every request. Default: the credentials as they are.
    #[schemars(extend("examples" = ["arn:aws:iam::111122223333:role/branchline"]))]
    pub assume_role_arn: Option<String>,
    /// A role that only reads, for jobs that may not assume `assume_role_arn`, such as those of pull requests.
    /// Default: such a job stops.
    #[schemars(extend("examples" = ["arn:aws:iam::111122223333:role/branchline-churn-pull-request"]))]
    pub read_role_arn: Option<String>,
    /// The key that objects are encrypted with: an id, an ARN, or `alias/…`. Default: as the bucket does it.
    #[schemars(extend("examples" = ["alias/models"]))]
    pub kms_key: Option<String>,
}

/// A stage that lives in an account of its own. What is absent is as in the backend, but for the account and the
/// role that is assumed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_rules)]
pub struct RawAccount {
    /// The account, twelve digits. Default: the one that `assume_role_arn` belongs to.
    #[schemars(extend("examples" = ["222222222222"]), with = "Option<Text>")]
    pub id: Option<String>,
    /// The role to assume for requests to this account. Default: the credentials as they are.
    #[schemars(extend("examples" = ["arn:aws:iam::222222222222:role/branchline-prod"]))]
    pub assume_role_arn: Option<String>,
    /// A role that only reads, for jobs that may not assume `assume_role_arn`: pull requests, and stages that compare
    /// with this one. Default: such a job stops.
    #[schemars(extend("examples" = ["arn:aws:iam::222222222222:role/branchline-churn-pull-request"]))]
    pub read_role_arn: Option<String>,
    /// Amazon's region.
    #[schemars(extend("examples" = ["eu-west-1"]))]
    pub region: Option<String>,
    /// The bucket. Another account needs one of its own.
    #[schemars(extend("examples" = ["acme-models-prod"]))]
    pub bucket: Option<String>,
    /// Where ours begin in the bucket.
    #[schemars(extend("examples" = ["branchline"]), with = "Option<Text>")]
    pub prefix: Option<String>,
    /// The key that objects are encrypted with: an id, an ARN, or `alias/…`.
    #[schemars(extend("examples" = ["alias/models"]))]
    pub kms_key: Option<String>,
    /// The role that training jobs of this stage run under.
    #[schemars(extend("examples" = ["arn:aws:iam::222222222222:role/SageMakerExecution"]))]
    pub execution_role_arn: Option<String>,
}

/// The machines that SageMaker trains on.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_settings)]
pub struct RawInstance {
    /// Amazon's name of the machine type.
    #[serde(rename = "type")]
    #[schemars(extend("examples" = ["ml.m5.xlarge"]))]
    pub kind: Option<String>,
    /// How many machines. Default 1.
    #[schemars(extend("examples" = [1]), range(min = 1, max = 1000))]
    pub count: Option<u32>,
    /// The volume of each machine in gigabytes. Default 30.
    #[schemars(extend("examples" = [30]), range(min = 1, max = 16_384))]
    pub volume_gb: Option<u32>,
    /// Whether to train on Spot capacity: cheaper, but it may be interrupted. Default false.
    pub spot: Option<bool>,
    /// For `spot`: the longest that waiting and training may take together. Default: twice `max_runtime`.
    #[schemars(extend("examples" = ["4h"]), with = "Option<Text>")]
    pub max_wait: Option<String>,
    /// How long the machines stay warm for the next training, at most 6 hours. Default: not at all.
    #[schemars(extend("examples" = ["10m"]), with = "Option<Text>")]
    pub keep_alive: Option<String>,
}

/// How a command finds its way into the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawEntrypoint {
    /// A shell script of ours unpacks the source and runs the command.
    Bootstrap,
    /// The training toolkit in the image does.
    Toolkit,
}

/// How hyperparameters are spelled for the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawHyperparameterFormat {
    /// As they are written.
    Raw,
    /// As JSON.
    Json,
}

/// How data reach the container, by Amazon's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum RawInputMode {
    /// Copied before training begins.
    File,
    /// Read as files, fetched while they are read.
    FastFile,
    /// As a stream.
    Pipe,
}

/// The private network of a training.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_settings)]
pub struct RawVpc {
    /// Ids of the subnets, at most 16.
    #[schemars(extend("examples" = [["subnet-0a1b2c3d"]]))]
    pub subnets: Option<Vec<String>>,
    /// Ids of the security groups, at most 5.
    #[schemars(extend("examples" = [["sg-0a1b2c3d"]]))]
    pub security_groups: Option<Vec<String>>,
}

/// Where a training leaves what it needs to resume after an interruption.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_settings)]
pub struct RawCheckpoint {
    /// An `s3://` prefix. Default: one of ours, by fingerprint.
    #[schemars(extend("examples" = ["s3://acme-models/checkpoints/"]))]
    pub uri: Option<String>,
    /// The folder in the container. Default `/opt/ml/checkpoints`.
    #[schemars(extend("examples" = ["/opt/ml/checkpoints"]))]
    pub local_path: Option<String>,
}

/// How a registered model is served: what its version says to SageMaker's endpoints and batch jobs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::config::schema::mark_settings)]
pub struct RawServe {
    /// The container image that serves.
    #[schemars(required, extend("examples" = ["111122223333.dkr.ecr.eu-west-1.amazonaws.com/churn-serve:2026.11"]))]
    pub image: Option<String>,
    /// What it accepts.
    #[schemars(required, extend("examples" = [["text/csv"]]))]
    pub content_types: Option<Vec<String>>,
    /// What it answers. Default: as it accepts.
    #[schemars(extend("examples" = [["text/csv"]]))]
    pub response_types: Option<Vec<String>>,
    /// Environment variables of its container, at most 16.
    #[schemars(extend("examples" = [json!({"WORKERS": "2"})]), with = "Option<TextMap>")]
    pub environment: Option<BTreeMap<String, String>>,
    /// Machine types for endpoints.
    #[schemars(extend("examples" = [["ml.m5.large"]]))]
    pub realtime_instances: Option<Vec<String>>,
    /// Machine types for batch transform.
    #[schemars(extend("examples" = [["ml.m5.large"]]))]
    pub transform_instances: Option<Vec<String>>,
}
