//! The limits of `CreateTrainingJob`, checked before anything is uploaded or sent. Pure.
//!
//! Source: the API's service model of 2017-07-24. The service would say the same later, in other words, after
//! everything had been uploaded.

use crate::adapters::local::hyperparameters::encode;
use crate::adapters::sagemaker::contract::Command;
use crate::adapters::sagemaker::contract::RUN_CHANNEL;
use crate::adapters::sagemaker::contract::SOURCE_CHANNEL;
use crate::model::cloud::AccountPlace;
use crate::model::cloud::HyperparameterFormat;
use crate::model::cloud::Instance;
use crate::ports::trainer::TrainingSpec;
use std::time::Duration;

/// What a container's arguments, environment and hyperparameters may be.
const HYPERPARAMETERS: usize = 100;
const HYPERPARAMETER_NAME: usize = 256;
pub(super) const HYPERPARAMETER_VALUE: usize = 2500;
const VARIABLES: usize = 100;
const VARIABLE: usize = 512;
const CHANNELS: usize = 20;
const CHANNEL_NAME: usize = 64;
const METRICS: usize = 40;
const METRIC_NAME: usize = 255;
const METRIC_PATTERN: usize = 500;
const TAGS: usize = 50;
const TAG_KEY: usize = 128;
pub(super) const TAG_VALUE: usize = 256;
const ADDRESS: usize = 1024;
const IMAGE: usize = 255;
const LONGEST_RUN: Duration = Duration::from_secs(28 * 24 * 3600);
const LONGEST_WARM: u32 = 21_600;
const INPUT_MODES: [&str; 3] = ["File", "FastFile", "Pipe"];
/// Tags of ours, at most.
const OUR_TAGS: usize = 11;

/// Says what SageMaker would refuse, as one sentence that names the key of the configuration.
pub(super) fn check(spec: &TrainingSpec, place: &AccountPlace, command: &Command) -> Result<(), String> {
    image(spec)?;
    machines(spec)?;
    inputs(spec, command)?;
    words(spec)?;
    tags(spec)?;
    let cloud = &spec.settings.cloud;
    if cloud.execution_role_arn.is_none() && place.execution_role_arn.is_none() {
        return Err(
            "no role is set for training: write `execution_role_arn` into `backend.sagemaker` of branchline.yaml"
                .into(),
        );
    }
    if let Some(uri) = cloud.checkpoint.as_ref().and_then(|checkpoint| checkpoint.uri.as_ref())
        && place.meets(uri)
    {
        return Err(format!(
            "`checkpoint.uri` is {uri}, where Branchline keeps its records: training code could change them. Leave `uri` out, \
             or name a prefix outside s3://{}/{}/",
            place.bucket, place.prefix
        ));
    }
    if let Some(vpc) = &cloud.vpc {
        within("`vpc.subnets`", vpc.subnets.len(), 1, 16)?;
        within("`vpc.security_groups`", vpc.security_groups.len(), 1, 5)?;
    }
    match cloud.retries {
        Some(retries) => within("`retries`", retries as usize, 1, 30),
        None => Ok(()),
    }
}

fn image(spec: &TrainingSpec) -> Result<(), String> {
    let Some(image) = &spec.settings.image else {
        return Err("`train.image` is not set: SageMaker runs every training in a container".to_owned());
    };
    at_most("`train.image`", image.len(), IMAGE, "characters")
}

fn machines(spec: &TrainingSpec) -> Result<(), String> {
    let Some(instance) = &spec.settings.cloud.instance else {
        return Err(
            "`train.instance` is not set: which machine shall train, such as { type: ml.m5.xlarge }?".to_owned()
        );
    };
    if !instance.kind.starts_with("ml.") {
        let kind = &instance.kind;
        return Err(format!(
            "`instance.type` is {kind}: SageMaker's machine types begin with `ml.`, as in ml.m5.xlarge"
        ));
    }
    if instance.count == 0 {
        return Err("`instance.count` is 0".to_owned());
    }
    if instance.volume_gb == 0 {
        return Err("`instance.volume_gb` is 0".to_owned());
    }
    if let Some(runtime) = spec.settings.max_runtime
        && runtime > LONGEST_RUN
    {
        return Err("`max_runtime` is longer than 28 days, the longest that SageMaker trains".to_owned());
    }
    match instance.keep_alive {
        Some(seconds) if seconds > LONGEST_WARM => {
            return Err("`instance.keep_alive` is longer than 6 hours".to_owned());
        }
        Some(_) if instance.spot => {
            return Err(
                "`instance.keep_alive` and `instance.spot` exclude each other: spot machines do not stay warm".into()
            );
        }
        Some(_) | None => {}
    }
    spot(spec, instance)
}

fn spot(spec: &TrainingSpec, instance: &Instance) -> Result<(), String> {
    let Some(wait) = instance.max_wait else { return Ok(()) };
    if !instance.spot {
        return Err("`instance.max_wait` is set, but not `instance.spot`: only spot machines are waited for".to_owned());
    }
    if wait < run_time(spec) {
        return Err(
            "`instance.max_wait` is shorter than `max_runtime`: it counts waiting and training together".to_owned()
        );
    }
    Ok(())
}

fn inputs(spec: &TrainingSpec, command: &Command) -> Result<(), String> {
    let ours = command.channels();
    let count = spec.origin.datasets.len();
    if count + ours > CHANNELS {
        let left = CHANNELS - ours;
        return Err(format!("{count} channels of data are declared, and SageMaker takes {left} beside ours"));
    }
    for channel in spec.origin.datasets.keys() {
        let name = channel.as_str();
        at_most(&format!("the name of channel `{name}`"), name.len(), CHANNEL_NAME, "characters")?;
        if ours > 0 && [SOURCE_CHANNEL, RUN_CHANNEL].contains(&name) {
            return Err(format!("channel `{name}` has a name that we need for the source: call it something else"));
        }
    }
    for (channel, source) in &spec.settings.data {
        at_most(&format!("the address of channel `{channel}`"), source.uri.len(), ADDRESS, "characters")?;
    }
    match spec.settings.cloud.input_mode.as_deref() {
        Some(mode) if !INPUT_MODES.contains(&mode) => {
            Err(format!("`input_mode` is {mode}: SageMaker knows File, FastFile and Pipe"))
        }
        Some(_) | None => Ok(()),
    }
}

fn words(spec: &TrainingSpec) -> Result<(), String> {
    let parameters = &spec.settings.hyperparameters;
    if parameters.len() > HYPERPARAMETERS {
        let count = parameters.len();
        return Err(format!("{count} hyperparameters are declared, and SageMaker takes {HYPERPARAMETERS}"));
    }
    for (name, value) in parameters {
        at_most(
            &format!("the name of hyperparameter `{name}`"),
            name.chars().count(),
            HYPERPARAMETER_NAME,
            "characters",
        )?;
        let length = match spec.settings.cloud.hyperparameter_format {
            HyperparameterFormat::Raw => value.chars().count(),
            HyperparameterFormat::Json => encode(value).chars().count(),
        };
        if length > HYPERPARAMETER_VALUE {
            return Err(format!(
                "hyperparameter `{name}` has {length} characters, and SageMaker takes {HYPERPARAMETER_VALUE}: put it into \
                 a file of the repository, and name the file in `paths`"
            ));
        }
    }
    let variables = &spec.settings.environment;
    if variables.len() > VARIABLES {
        let count = variables.len();
        return Err(format!("{count} environment variables are declared, and SageMaker takes {VARIABLES}"));
    }
    for (name, value) in variables {
        let legal = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !legal {
            return Err(format!("the environment variable `{name}` is not made of letters, digits and `_` alone"));
        }
        at_most(&format!("the environment variable `{name}`"), value.chars().count(), VARIABLE, "characters")?;
    }
    let metrics = &spec.settings.metrics;
    if metrics.len() > METRICS {
        let count = metrics.len();
        return Err(format!(
            "{count} metrics are read from the log, and SageMaker reads {METRICS}: write metrics.json"
        ));
    }
    for (name, pattern) in metrics {
        at_most(&format!("the name of metric `{name}`"), name.as_str().chars().count(), METRIC_NAME, "characters")?;
        at_most(&format!("the pattern of metric `{name}`"), pattern.chars().count(), METRIC_PATTERN, "characters")?;
    }
    Ok(())
}

fn tags(spec: &TrainingSpec) -> Result<(), String> {
    let tags = &spec.settings.cloud.tags;
    if tags.len() + OUR_TAGS > TAGS {
        let count = tags.len();
        return Err(format!("{count} tags are declared, and SageMaker takes {} beside ours", TAGS - OUR_TAGS));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > TAG_KEY || value.chars().count() > TAG_VALUE {
            return Err(format!("tag `{key}` is too long: a key has 1 to {TAG_KEY} characters, a value {TAG_VALUE}"));
        }
        if key.to_ascii_lowercase().starts_with("aws:") || key.starts_with("branchline:") {
            return Err(format!("tag `{key}` begins with a reserved word"));
        }
        if let Some(wrong) = key.chars().chain(value.chars()).find(|c| !is_tag_character(*c)) {
            return Err(format!(
                "tag `{key}` holds `{}`: letters, digits, space and _.:/=+-@ are allowed",
                wrong.escape_default()
            ));
        }
    }
    Ok(())
}

/// Tells whether a character may stand in a tag.
pub(super) fn is_tag_character(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c)
}

/// Returns the longest that a training may run: a day where nothing is said, as SageMaker does it.
pub(super) fn run_time(spec: &TrainingSpec) -> Duration {
    spec.settings.max_runtime.unwrap_or(Duration::from_secs(24 * 3600)).max(Duration::from_secs(1))
}

fn within(what: &str, count: usize, least: usize, most: usize) -> Result<(), String> {
    if (least..=most).contains(&count) {
        Ok(())
    } else {
        Err(format!("{what}: {least} to {most}, and there are {count}"))
    }
}

fn at_most(what: &str, length: usize, most: usize, unit: &str) -> Result<(), String> {
    if length <= most { Ok(()) } else { Err(format!("{what} has {length} {unit}, and SageMaker takes {most}")) }
}
