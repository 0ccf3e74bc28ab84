//! What stands under `train` and only matters in the cloud: checked by itself, laid over by stage, filled in.

use crate::config::cloud::names;
use crate::config::cloud::names::shaped;
use crate::config::cloud::names::shaped_list;
use crate::config::cloud::raw::RawCheckpoint;
use crate::config::cloud::raw::RawEntrypoint;
use crate::config::cloud::raw::RawHyperparameterFormat;
use crate::config::cloud::raw::RawInputMode;
use crate::config::cloud::raw::RawInstance;
use crate::config::cloud::raw::RawVpc;
use crate::config::problem::quoted;
use crate::config::raw::RawTrain;
use crate::config::resolve::Inquiry;
use crate::config::route::Route;
use crate::config::shape::name;
use crate::model::cloud::Checkpoint;
use crate::model::cloud::CloudSettings;
use crate::model::cloud::Entrypoint;
use crate::model::cloud::HyperparameterFormat;
use crate::model::cloud::Instance;
use crate::model::cloud::Vpc;
use std::collections::BTreeMap;
use std::time::Duration;

/// The volume of a machine where the file does not say, in gigabytes.
const DEFAULT_VOLUME_GB: u32 = 30;
/// The longest that machines stay warm: Amazon's bound.
const LONGEST_WARM: Duration = Duration::from_secs(6 * 3600);
/// Most subnets and security groups of a training.
const SUBNETS: usize = 16;
const SECURITY_GROUPS: usize = 5;
/// Most tags of a training beside ours: Amazon takes 50, and 11 are ours.
const TAGS: usize = 39;

/// What is written, as far as it is sound.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct CloudDraft {
    instance: Option<InstanceDraft>,
    entrypoint: Option<RawEntrypoint>,
    hyperparameter_format: Option<RawHyperparameterFormat>,
    input_mode: Option<RawInputMode>,
    volume_kms_key: Option<String>,
    vpc: Option<RawVpc>,
    network_isolation: Option<bool>,
    encrypt_between: Option<bool>,
    checkpoint: Option<RawCheckpoint>,
    retries: Option<u32>,
    execution_role_arn: Option<String>,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default)]
struct InstanceDraft {
    kind: Option<String>,
    count: Option<u32>,
    volume_gb: Option<u32>,
    spot: Option<bool>,
    max_wait: Option<Duration>,
    keep_alive: Option<Duration>,
}

impl CloudDraft {
    /// Lays a stage's words over these: machine, network and checkpoint key by key, tags by name.
    pub(in crate::config) fn laid_over(mut self, over: Self) -> Self {
        self.tags.extend(over.tags);
        Self {
            instance: both(self.instance, over.instance, |base, over| InstanceDraft {
                kind: over.kind.or(base.kind),
                count: over.count.or(base.count),
                volume_gb: over.volume_gb.or(base.volume_gb),
                spot: over.spot.or(base.spot),
                max_wait: over.max_wait.or(base.max_wait),
                keep_alive: over.keep_alive.or(base.keep_alive),
            }),
            entrypoint: over.entrypoint.or(self.entrypoint),
            hyperparameter_format: over.hyperparameter_format.or(self.hyperparameter_format),
            input_mode: over.input_mode.or(self.input_mode),
            volume_kms_key: over.volume_kms_key.or(self.volume_kms_key),
            vpc: both(self.vpc, over.vpc, |base, over| RawVpc {
                subnets: over.subnets.or(base.subnets),
                security_groups: over.security_groups.or(base.security_groups),
            }),
            network_isolation: over.network_isolation.or(self.network_isolation),
            encrypt_between: over.encrypt_between.or(self.encrypt_between),
            checkpoint: both(self.checkpoint, over.checkpoint, |base, over| RawCheckpoint {
                uri: over.uri.or(base.uri),
                local_path: over.local_path.or(base.local_path),
            }),
            retries: over.retries.or(self.retries),
            execution_role_arn: over.execution_role_arn.or(self.execution_role_arn),
            tags: self.tags,
        }
    }

    /// Fills in every default. A machine without a type is none; half a network is none.
    pub(in crate::config) fn into_settings(self) -> CloudSettings {
        CloudSettings {
            instance: self.instance.and_then(|draft| {
                Some(Instance {
                    kind: draft.kind?,
                    count: draft.count.unwrap_or(1),
                    volume_gb: draft.volume_gb.unwrap_or(DEFAULT_VOLUME_GB),
                    spot: draft.spot.unwrap_or(false),
                    max_wait: draft.max_wait,
                    keep_alive: draft.keep_alive.and_then(|time| u32::try_from(time.as_secs()).ok()),
                })
            }),
            entrypoint: match self.entrypoint {
                Some(RawEntrypoint::Toolkit) => Entrypoint::Toolkit,
                Some(RawEntrypoint::Bootstrap) | None => Entrypoint::Bootstrap,
            },
            hyperparameter_format: match self.hyperparameter_format {
                Some(RawHyperparameterFormat::Json) => HyperparameterFormat::Json,
                Some(RawHyperparameterFormat::Raw) | None => HyperparameterFormat::Raw,
            },
            input_mode: self.input_mode.map(|mode| match mode {
                RawInputMode::File => "File".to_owned(),
                RawInputMode::FastFile => "FastFile".to_owned(),
                RawInputMode::Pipe => "Pipe".to_owned(),
            }),
            volume_kms_key: self.volume_kms_key,
            vpc: self.vpc.and_then(|vpc| Some(Vpc { subnets: vpc.subnets?, security_groups: vpc.security_groups? })),
            network_isolation: self.network_isolation.unwrap_or(false),
            encrypt_between: self.encrypt_between.unwrap_or(false),
            checkpoint: self.checkpoint.map(|raw| Checkpoint { uri: raw.uri, local_path: raw.local_path }),
            retries: self.retries,
            execution_role_arn: self.execution_role_arn,
            tags: self.tags,
        }
    }

    /// Tells which half of a private network is missing.
    pub(in crate::config) fn lacks_of_vpc(&self) -> Option<&'static str> {
        match self.vpc.as_ref().map(|vpc| (&vpc.subnets, &vpc.security_groups)) {
            Some((None, _)) => Some("subnets"),
            Some((Some(_), None)) => Some("security_groups"),
            Some((Some(_), Some(_))) | None => None,
        }
    }
}

fn both<T>(base: Option<T>, over: Option<T>, merge: impl FnOnce(T, T) -> T) -> Option<T> {
    match (base, over) {
        (Some(base), Some(over)) => Some(merge(base, over)),
        (base, over) => over.or(base),
    }
}

/// Resolves what stands under one `train`. What is unsound is said.
pub(in crate::config) fn resolve(inquiry: &mut Inquiry<'_>, route: &Route, raw: &RawTrain) -> CloudDraft {
    CloudDraft {
        instance: raw.instance.as_ref().map(|raw| instance(inquiry, &route.key("instance"), raw)),
        entrypoint: raw.entrypoint,
        hyperparameter_format: raw.hyperparameter_format,
        input_mode: raw.input_mode,
        volume_kms_key: shaped(inquiry, &route.key("volume_kms_key"), raw.volume_kms_key.as_deref(), names::key),
        vpc: raw.vpc.as_ref().map(|raw| vpc(inquiry, &route.key("vpc"), raw)),
        network_isolation: raw.network_isolation,
        encrypt_between: raw.encrypt_between,
        checkpoint: raw.checkpoint.as_ref().map(|raw| {
            let at = route.key("checkpoint");
            RawCheckpoint {
                uri: shaped(inquiry, &at.key("uri"), raw.uri.as_deref(), names::s3_uri),
                local_path: shaped(inquiry, &at.key("local_path"), raw.local_path.as_deref(), names::folder),
            }
        }),
        retries: raw.retries,
        execution_role_arn: shaped(
            inquiry,
            &route.key("execution_role_arn"),
            raw.execution_role_arn.as_deref(),
            names::role,
        ),
        tags: tags(inquiry, &route.key("tags"), raw.tags.as_ref()),
    }
}

fn instance(inquiry: &mut Inquiry<'_>, route: &Route, raw: &RawInstance) -> InstanceDraft {
    let mut time = |key: &str, text: &Option<String>| {
        let time = inquiry.duration(&route.key(key), text.as_deref()?)?;
        Some((route.key(key), time))
    };
    let (max_wait, keep_alive) = (time("max_wait", &raw.max_wait), time("keep_alive", &raw.keep_alive));
    if let Some((at, time)) = &keep_alive
        && *time > LONGEST_WARM
    {
        inquiry.say(at, format!("{} is longer than 6 hours", name(at)), "machines stay warm for at most `6h`");
    }
    InstanceDraft {
        kind: shaped(inquiry, &route.key("type"), raw.kind.as_deref(), names::machine),
        count: raw.count,
        volume_gb: raw.volume_gb,
        spot: raw.spot,
        max_wait: max_wait.map(|(_, time)| time),
        keep_alive: keep_alive.map(|(_, time)| time),
    }
}

fn vpc(inquiry: &mut Inquiry<'_>, route: &Route, raw: &RawVpc) -> RawVpc {
    let mut ids = |key: &str, texts: &Option<Vec<String>>, most: usize| {
        let at = route.key(key);
        let found = shaped_list(inquiry, &at, texts.as_deref(), names::network_id);
        let count = texts.as_ref().map_or(1, Vec::len);
        if !(1..=most).contains(&count) && !inquiry.is_damaged(&at) {
            inquiry.say(&at, format!("{} names {count} ids", name(&at)), format!("name 1 to {most}"));
        }
        found
    };
    RawVpc {
        subnets: ids("subnets", &raw.subnets, SUBNETS),
        security_groups: ids("security_groups", &raw.security_groups, SECURITY_GROUPS),
    }
}

fn tags(inquiry: &mut Inquiry<'_>, at: &Route, raw: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let raw = raw.cloned().unwrap_or_default();
    if raw.len() > TAGS {
        inquiry.say_of_key(
            at,
            format!("{} has {} tags, and SageMaker takes {TAGS} beside those of branchline", name(at), raw.len()),
            "take some away",
        );
    }
    for (key, value) in &raw {
        let below = at.key(key);
        if let Err((why, hint)) = names::tag_key(key) {
            inquiry.say_of_key(&below, format!("the tag {} {why}", quoted(key)), hint);
        } else if let Err((why, hint)) = names::tag_value(value) {
            inquiry.say(&below, format!("{} {why}: {}", name(&below), quoted(value)), hint);
        }
    }
    raw
}
