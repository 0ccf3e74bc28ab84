//! The training job that a specification asks for. Pure: it makes the request and sends nothing.

use crate::adapters::local::hyperparameters::encode;
use crate::adapters::sagemaker::contract::Command;
use crate::adapters::sagemaker::contract::ML;
use crate::adapters::sagemaker::contract::RUN_CHANNEL;
use crate::adapters::sagemaker::contract::SOURCE_CHANNEL;
use crate::adapters::sagemaker::limits;
use crate::model::cloud::AccountPlace;
use crate::model::cloud::HyperparameterFormat;
use crate::model::digest::Sha256Digest;
use crate::model::git::RepositoryId;
use crate::ports::trainer::TrainingSpec;
use aws_sdk_sagemaker::operation::create_training_job::CreateTrainingJobInput;
use aws_sdk_sagemaker::operation::create_training_job::builders::CreateTrainingJobInputBuilder;
use aws_sdk_sagemaker::types::AlgorithmSpecification;
use aws_sdk_sagemaker::types::Channel;
use aws_sdk_sagemaker::types::CheckpointConfig;
use aws_sdk_sagemaker::types::DataSource;
use aws_sdk_sagemaker::types::MetricDefinition;
use aws_sdk_sagemaker::types::OutputDataConfig;
use aws_sdk_sagemaker::types::ResourceConfig;
use aws_sdk_sagemaker::types::RetryStrategy;
use aws_sdk_sagemaker::types::S3DataDistribution;
use aws_sdk_sagemaker::types::S3DataSource;
use aws_sdk_sagemaker::types::S3DataType;
use aws_sdk_sagemaker::types::StoppingCondition;
use aws_sdk_sagemaker::types::Tag;
use aws_sdk_sagemaker::types::TrainingInputMode;
use aws_sdk_sagemaker::types::TrainingInstanceType;
use aws_sdk_sagemaker::types::VpcConfig;
use std::time::Duration;

/// Where everything lies that the job reads and writes: `s3://` addresses.
#[derive(Debug, Clone, Default)]
pub(super) struct Inputs {
    /// The data, by channel.
    pub(super) data: Vec<(String, String)>,
    /// The prefix of the source archive and the bootstrap.
    pub(super) source: String,
    /// The prefix of what only this training needs.
    pub(super) run: String,
    /// Where the output goes: SageMaker adds the name. The digest of the specification is a part of it.
    pub(super) output: String,
    /// Where checkpoints of this fingerprint lie, unless the settings say it.
    pub(super) checkpoints: String,
}

/// Makes the request.
pub(super) fn request(
    spec: &TrainingSpec,
    place: &AccountPlace,
    repository: &RepositoryId,
    command: &Command,
    inputs: &Inputs,
) -> CreateTrainingJobInputBuilder {
    let cloud = &spec.settings.cloud;
    let role = cloud.execution_role_arn.as_ref().or(place.execution_role_arn.as_ref());
    let output =
        OutputDataConfig::builder().s3_output_path(&inputs.output).set_kms_key_id(place.kms_key.clone()).build();
    let mut job = CreateTrainingJobInput::builder()
        .training_job_name(spec.name.as_str())
        .set_role_arn(role.cloned())
        .algorithm_specification(algorithm(spec, command))
        .set_resource_config(machines(spec))
        .stopping_condition(stopping(spec))
        .output_data_config(output)
        .set_input_data_config(channels(spec, command, inputs))
        .set_tags(Some(tags(spec, repository)))
        .set_vpc_config(cloud.vpc.as_ref().map(|vpc| {
            VpcConfig::builder()
                .set_subnets(Some(vpc.subnets.clone()))
                .set_security_group_ids(Some(vpc.security_groups.clone()))
                .build()
        }))
        .set_retry_strategy(
            cloud.retries.map(|retries| RetryStrategy::builder().maximum_retry_attempts(number(retries)).build()),
        );
    if cloud.network_isolation {
        job = job.enable_network_isolation(true);
    }
    if cloud.encrypt_between {
        job = job.enable_inter_container_traffic_encryption(true);
    }
    let spot = cloud.instance.as_ref().is_some_and(|instance| instance.spot);
    if spot {
        job = job.enable_managed_spot_training(true);
    }
    if spot || cloud.checkpoint.is_some() {
        let checkpoint = cloud.checkpoint.as_ref();
        let uri =
            checkpoint.and_then(|checkpoint| checkpoint.uri.clone()).unwrap_or_else(|| inputs.checkpoints.clone());
        let local = checkpoint.and_then(|checkpoint| checkpoint.local_path.clone());
        job = job.checkpoint_config(CheckpointConfig::builder().s3_uri(uri).set_local_path(local).build());
    }
    for (name, value) in hyperparameters(spec, command, inputs) {
        job = job.hyper_parameters(name, value);
    }
    for (name, value) in &spec.settings.environment {
        job = job.environment(name, value);
    }
    job
}

/// Returns the image to run: by the digest that was found when the training was decided, so that a tag that moves
/// since changes nothing.
pub(super) fn pinned_image(image: &str, digest: Option<&str>) -> String {
    let Some(digest) = digest else { return image.to_owned() };
    let bare = image.split_once('@').map_or(image, |(bare, _)| bare);
    // A colon before the last slash belongs to the port of a registry.
    let tag = bare.rfind(':').filter(|at| !bare[*at..].contains('/'));
    format!("{}@{digest}", tag.map_or(bare, |at| &bare[..at]))
}

fn algorithm(spec: &TrainingSpec, command: &Command) -> AlgorithmSpecification {
    let image = spec.settings.image.as_deref().unwrap_or_default();
    let mut algorithm = AlgorithmSpecification::builder()
        .training_image(pinned_image(image, spec.origin.image_digest.as_deref()))
        .training_input_mode(input_mode(spec));
    if let Command::Bootstrap(_) = command {
        algorithm = algorithm
            .container_entrypoint("/bin/sh")
            .container_entrypoint(format!("{ML}/input/data/{SOURCE_CHANNEL}/bootstrap.sh"));
    }
    for (name, pattern) in &spec.settings.metrics {
        algorithm =
            algorithm.metric_definitions(MetricDefinition::builder().name(name.as_str()).regex(pattern).build());
    }
    algorithm.build()
}

fn machines(spec: &TrainingSpec) -> Option<ResourceConfig> {
    let instance = spec.settings.cloud.instance.as_ref()?;
    Some(
        ResourceConfig::builder()
            .instance_type(TrainingInstanceType::from(instance.kind.as_str()))
            .instance_count(number(instance.count))
            .volume_size_in_gb(number(instance.volume_gb))
            .set_volume_kms_key_id(spec.settings.cloud.volume_kms_key.clone())
            .set_keep_alive_period_in_seconds(instance.keep_alive.filter(|seconds| *seconds > 0).map(number))
            .build(),
    )
}

fn stopping(spec: &TrainingSpec) -> StoppingCondition {
    let runtime = limits::run_time(spec);
    let instance = spec.settings.cloud.instance.as_ref().filter(|instance| instance.spot);
    let wait = instance.map(|instance| seconds(instance.max_wait.unwrap_or(runtime * 2)));
    StoppingCondition::builder().max_runtime_in_seconds(seconds(runtime)).set_max_wait_time_in_seconds(wait).build()
}

fn input_mode(spec: &TrainingSpec) -> TrainingInputMode {
    TrainingInputMode::from(spec.settings.cloud.input_mode.as_deref().unwrap_or("File"))
}

fn channels(spec: &TrainingSpec, command: &Command, inputs: &Inputs) -> Option<Vec<Channel>> {
    let channel = |name: &str, uri: &str, mode: TrainingInputMode| {
        let s3 = S3DataSource::builder()
            .s3_data_type(S3DataType::S3Prefix)
            .s3_uri(uri)
            .s3_data_distribution_type(S3DataDistribution::FullyReplicated)
            .build();
        let source = DataSource::builder().s3_data_source(s3).build();
        Channel::builder().channel_name(name).data_source(source).input_mode(mode).build()
    };
    let mut channels: Vec<Channel> =
        inputs.data.iter().map(|(name, uri)| channel(name, uri, input_mode(spec))).collect();
    if let Command::Bootstrap(_) = command {
        channels.push(channel(SOURCE_CHANNEL, &inputs.source, TrainingInputMode::File));
        channels.push(channel(RUN_CHANNEL, &inputs.run, TrainingInputMode::File));
    }
    (!channels.is_empty()).then_some(channels)
}

fn hyperparameters(spec: &TrainingSpec, command: &Command, inputs: &Inputs) -> Vec<(String, String)> {
    let spell = |text: &String| match spec.settings.cloud.hyperparameter_format {
        HyperparameterFormat::Raw => text.clone(),
        HyperparameterFormat::Json => encode(text),
    };
    let mut all: Vec<(String, String)> =
        spec.settings.hyperparameters.iter().map(|(name, text)| (name.clone(), spell(text))).collect();
    if let Command::Toolkit(program) = command {
        let quoted = |text: String| serde_json::Value::String(text).to_string();
        all.push(("sagemaker_program".to_owned(), quoted(program.clone())));
        all.push(("sagemaker_submit_directory".to_owned(), quoted(format!("{}source.tar.gz", inputs.source))));
    }
    all
}

fn tags(spec: &TrainingSpec, repository: &RepositoryId) -> Vec<Tag> {
    let origin = &spec.origin;
    let mut ours: Vec<(&str, String)> = vec![
        ("project", spec.project.to_string()),
        ("repository", repository.to_string()),
        ("commit", origin.commit.as_str().to_owned()),
        ("branch", origin.branch.to_string()),
        ("stage", origin.stage.to_string()),
        ("model", origin.model.to_string()),
        ("attempt", spec.attempt.to_string()),
        ("fingerprint", origin.fingerprint.to_string()),
        ("settings", settings_digest(spec)),
    ];
    ours.extend(origin.pull_request.map(|number| ("pull-request", number.to_string())));
    ours.push(("run", origin.run_key.clone()));
    let ours = ours.into_iter().map(|(key, value)| (format!("branchline:{key}"), fitted(&value)));
    let theirs = spec.settings.cloud.tags.iter().map(|(key, value)| (key.clone(), value.clone()));
    ours.chain(theirs).map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Digests the settings, so that people can see whether two jobs were configured alike.
fn settings_digest(spec: &TrainingSpec) -> String {
    let text = serde_json::to_vec(&spec.settings).unwrap_or_default();
    Sha256Digest::of(&text).as_str().to_owned()
}

/// Makes a value legal for a tag. The truth stands in `spec.json`; a tag is for people and for recovery.
fn fitted(value: &str) -> String {
    let legal = value.chars().map(|c| if limits::is_tag_character(c) { c } else { '_' });
    legal.take(limits::TAG_VALUE).collect()
}

fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
