//! What a training and a model need of a cloud: machine, network, keys, limits. The local backend uses none of it,
//! and none of it is part of any identity: it says where and how long, never what comes out.

use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The machines of a training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Amazon's name of the type, such as `ml.m5.xlarge`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many.
    pub count: u32,
    /// The volume of each, in gigabytes.
    pub volume_gb: u32,
    /// Spot capacity at a lower price, that may be interrupted: the training goes on from its checkpoint.
    pub spot: bool,
    /// For spot: the longest that waiting and training may take together. `None`: twice the longest run time.
    pub max_wait: Option<Duration>,
    /// How long machines stay warm for the next training, in seconds.
    pub keep_alive: Option<u32>,
}

/// How a command finds its way into the container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entrypoint {
    /// A small shell script of ours unpacks the source and runs the command: any image with `sh` and `tar`.
    #[default]
    Bootstrap,
    /// The image's own training toolkit, told by `sagemaker_program` and `sagemaker_submit_directory`.
    Toolkit,
}

/// How hyperparameters are spelled for the container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HyperparameterFormat {
    /// The text as it is written.
    #[default]
    Raw,
    /// As JSON: what is no JSON already becomes a quoted string. What the training toolkit of AWS decodes.
    Json,
}

/// The private network of a training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// Ids of the subnets, 1 to 16.
    pub subnets: Vec<String>,
    /// Ids of the security groups, 1 to 5.
    pub security_groups: Vec<String>,
}

/// Where a training leaves what it needs to resume after an interruption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// An `s3://` prefix. `None`: one of ours, by fingerprint.
    pub uri: Option<String>,
    /// The folder in the container; Amazon's default is `/opt/ml/checkpoints`.
    pub local_path: Option<String>,
}

/// How a training runs in the cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudSettings {
    /// The machines. Required where SageMaker trains.
    pub instance: Option<Instance>,
    /// How the command is begun.
    pub entrypoint: Entrypoint,
    /// How hyperparameters are spelled.
    pub hyperparameter_format: HyperparameterFormat,
    /// How data reach the container, by Amazon's words: `File`, `FastFile`, `Pipe`. `None`: `File`.
    pub input_mode: Option<String>,
    /// Key for the volumes of the machines.
    pub volume_kms_key: Option<String>,
    /// The private network.
    pub vpc: Option<Vpc>,
    /// No network at all for the container.
    pub network_isolation: bool,
    /// Traffic between machines is encrypted.
    pub encrypt_between: bool,
    /// Checkpoints.
    pub checkpoint: Option<Checkpoint>,
    /// How many times Amazon itself starts again after an internal error, 1 to 30.
    pub retries: Option<u32>,
    /// The role that the training runs under, instead of the backend's.
    pub execution_role_arn: Option<String>,
    /// Tags of the training job, beside ours.
    pub tags: BTreeMap<String, String>,
}

/// How a registered model is served: the inference specification of its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serve {
    /// The image, as written.
    pub image: String,
    /// What it accepts, such as `text/csv`.
    pub content_types: Vec<String>,
    /// What it answers. Empty: as it accepts.
    pub response_types: Vec<String>,
    /// Environment of the container, at most 16.
    pub environment: BTreeMap<String, String>,
    /// Machine types for endpoints.
    pub realtime_instances: Vec<String>,
    /// Machine types for batch transform.
    pub transform_instances: Vec<String>,
}

/// What the rules demand of every training in the cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudLimits {
    /// Only these machine types; patterns with `*`. Empty: any.
    pub instance_types: Vec<String>,
    /// At most so many machines for one training.
    pub max_instances: Option<u32>,
    /// At most so many machine hours (machines times longest run time) for all trainings of one event.
    pub max_hours: Option<u64>,
    /// Tags that every training must carry.
    pub required_tags: Vec<String>,
    /// Every training must run in a private network.
    pub require_vpc: bool,
    /// Every training must name a key for its volumes, and the bucket one for its objects.
    pub require_kms: bool,
}

/// Where a backend in the cloud lives, with everything filled in: the default one, or that of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountPlace {
    /// Twelve digits. `None`: whichever account the credentials belong to.
    pub account_id: Option<String>,
    /// Amazon's region, such as `eu-west-1`.
    pub region: String,
    /// The bucket of artifacts, manifests and records.
    pub bucket: String,
    /// Where ours begin in the bucket, without slashes around it.
    pub prefix: String,
    /// The role that we assume for this account. `None`: the credentials as they are.
    pub assume_role_arn: Option<String>,
    /// The role that a job assumes which may not assume the other one: it reads, and changes nothing.
    pub read_role_arn: Option<String>,
    /// The role that trainings run under.
    pub execution_role_arn: Option<String>,
    /// Key for objects: an id, an ARN or an `alias/…`. `None`: as the bucket does it.
    pub kms_key: Option<String>,
}

impl AccountPlace {
    /// Tells whether an identity may change what is here, as far as its name says: a session of the reading role may
    /// not. `arn`: of the user or the role session.
    pub fn lets_write(&self, arn: &str) -> bool {
        let (Some(writer), Some(_)) = (&self.assume_role_arn, &self.read_role_arn) else { return true };
        let name = writer.rsplit('/').next().unwrap_or(writer);
        arn.split_once(":assumed-role/").is_some_and(|(_, session)| session.split('/').next() == Some(name))
    }

    /// Tells whether an `s3://` prefix and ours have objects in common: whoever writes below the one writes the other.
    pub fn meets(&self, uri: &str) -> bool {
        let ours = format!("s3://{}/{}/", self.bucket, self.prefix);
        ours.starts_with(uri) || format!("{}/", uri.trim_end_matches('/')).starts_with(&ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_meets_ours_where_either_holds_the_other() {
        let place = AccountPlace {
            account_id: None,
            region: "eu-west-1".to_owned(),
            bucket: "acme-models".to_owned(),
            prefix: "branchline".to_owned(),
            assume_role_arn: None,
            read_role_arn: None,
            execution_role_arn: None,
            kms_key: None,
        };
        for uri in [
            "s3://acme-models",
            "s3://acme-models/",
            "s3://acme-models/branch",
            "s3://acme-models/branchline",
            "s3://acme-models/branchline/churn/stages/dev/",
        ] {
            assert!(place.meets(uri), "{uri}");
        }
        for uri in ["s3://acme-models/checkpoints/", "s3://acme-models/branchline-2/", "s3://acme/branchline/"] {
            assert!(!place.meets(uri), "{uri}");
        }
    }

    #[test]
    fn only_a_session_of_the_writing_role_may_write() {
        let mut place = AccountPlace {
            account_id: None,
            region: "eu-west-1".to_owned(),
            bucket: "acme-models".to_owned(),
            prefix: String::new(),
            assume_role_arn: Some("arn:aws:iam::222222222222:role/ml/branchline-prod".to_owned()),
            read_role_arn: None,
            execution_role_arn: None,
            kms_key: None,
        };
        let session = |role: &str| format!("arn:aws:sts::222222222222:assumed-role/{role}/branchline-17");
        assert!(place.lets_write(&session("readers")), "who has one role has no other");
        place.read_role_arn = Some("arn:aws:iam::222222222222:role/readers".to_owned());
        assert!(place.lets_write(&session("branchline-prod")));
        assert!(!place.lets_write(&session("readers")));
        assert!(!place.lets_write(&session("branchline-prod-2")));
        assert!(!place.lets_write("arn:aws:iam::222222222222:user/branchline-prod"));
    }
}
