//! The words of the cloud as `config show --resolved` prints them: what says nothing is left out.

use crate::config::duration;
use crate::model::cloud::AccountPlace;
use crate::model::cloud::Checkpoint;
use crate::model::cloud::CloudLimits;
use crate::model::cloud::CloudSettings;
use crate::model::cloud::Entrypoint;
use crate::model::cloud::HyperparameterFormat;
use crate::model::cloud::Instance;
use crate::model::cloud::Serve;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// A place in the cloud.
#[derive(Serialize)]
pub(in crate::config) struct PlaceView {
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    region: String,
    bucket: String,
    prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    assume_role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
}

impl PlaceView {
    pub(in crate::config) fn of(place: &AccountPlace) -> Self {
        Self {
            account_id: place.account_id.clone(),
            region: place.region.clone(),
            bucket: place.bucket.clone(),
            prefix: place.prefix.clone(),
            assume_role_arn: place.assume_role_arn.clone(),
            read_role_arn: place.read_role_arn.clone(),
            execution_role_arn: place.execution_role_arn.clone(),
            kms_key: place.kms_key.clone(),
        }
    }
}

/// What the rules demand of every training in the cloud.
#[derive(Serialize)]
pub(in crate::config) struct CloudLimitsView {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    instance_types: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_instances: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_hours: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    required_tags: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    require_vpc: bool,
    #[serde(skip_serializing_if = "is_false")]
    require_kms: bool,
}

impl CloudLimitsView {
    pub(in crate::config) fn of(limits: &CloudLimits) -> Self {
        Self {
            instance_types: limits.instance_types.clone(),
            max_instances: limits.max_instances,
            max_hours: limits.max_hours,
            required_tags: limits.required_tags.clone(),
            require_vpc: limits.require_vpc,
            require_kms: limits.require_kms,
        }
    }
}

/// How a training runs in the cloud.
#[derive(Serialize)]
pub(in crate::config) struct CloudView {
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<InstanceView>,
    #[serde(skip_serializing_if = "is_default")]
    entrypoint: Entrypoint,
    #[serde(skip_serializing_if = "is_default")]
    hyperparameter_format: HyperparameterFormat,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volume_kms_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc: Option<BTreeMap<&'static str, Vec<String>>>,
    #[serde(skip_serializing_if = "is_false")]
    network_isolation: bool,
    #[serde(skip_serializing_if = "is_false")]
    encrypt_between: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<BTreeMap<&'static str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_role_arn: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

impl CloudView {
    pub(in crate::config) fn of(cloud: &CloudSettings) -> Self {
        let checkpoint = |checkpoint: &Checkpoint| {
            let keys = [("uri", &checkpoint.uri), ("local_path", &checkpoint.local_path)];
            keys.into_iter().filter_map(|(key, text)| Some((key, text.clone()?))).collect()
        };
        Self {
            instance: cloud.instance.as_ref().map(InstanceView::of),
            entrypoint: cloud.entrypoint,
            hyperparameter_format: cloud.hyperparameter_format,
            input_mode: cloud.input_mode.clone(),
            volume_kms_key: cloud.volume_kms_key.clone(),
            vpc: cloud.vpc.as_ref().map(|vpc| {
                BTreeMap::from([("subnets", vpc.subnets.clone()), ("security_groups", vpc.security_groups.clone())])
            }),
            network_isolation: cloud.network_isolation,
            encrypt_between: cloud.encrypt_between,
            checkpoint: cloud.checkpoint.as_ref().map(checkpoint),
            retries: cloud.retries,
            execution_role_arn: cloud.execution_role_arn.clone(),
            tags: cloud.tags.clone(),
        }
    }
}

#[derive(Serialize)]
struct InstanceView {
    #[serde(rename = "type")]
    kind: String,
    count: u32,
    volume_gb: u32,
    spot: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_wait: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive: Option<String>,
}

impl InstanceView {
    fn of(instance: &Instance) -> Self {
        let seconds = |seconds: u32| duration::display(Duration::from_secs(u64::from(seconds)));
        Self {
            kind: instance.kind.clone(),
            count: instance.count,
            volume_gb: instance.volume_gb,
            spot: instance.spot,
            max_wait: instance.max_wait.map(duration::display),
            keep_alive: instance.keep_alive.map(seconds),
        }
    }
}

/// How a registered model is served.
#[derive(Serialize)]
pub(in crate::config) struct ServeView {
    image: String,
    content_types: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    response_types: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    environment: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    realtime_instances: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transform_instances: Vec<String>,
}

impl ServeView {
    pub(in crate::config) fn of(serve: &Serve) -> Self {
        Self {
            image: serve.image.clone(),
            content_types: serve.content_types.clone(),
            response_types: serve.response_types.clone(),
            environment: serve.environment.clone(),
            realtime_instances: serve.realtime_instances.clone(),
            transform_instances: serve.transform_instances.clone(),
        }
    }
}

// Both take a reference because serde does.
fn is_false(value: &bool) -> bool {
    !*value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
