//! A version as SageMaker is asked to make it: lineage, properties for people, metrics, how it is served.
//!
//! The truth is the manifest; what stands here is its index for people and for recovery. Tags are left out: a version
//! carries those of its group.

use crate::adapters::sagemaker::registry::desk::Desk;
use crate::adapters::sagemaker::registry::listing::status;
use crate::adapters::sagemaker::registry::metadata::pairs;
use crate::adapters::sagemaker::registry::record::Manifest;
use crate::model::artifact::Artifact;
use crate::model::cloud::Serve;
use crate::model::digest::Sha256Digest;
use crate::model::metric::Metrics;
use crate::model::version::VersionContent;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use aws_sdk_sagemaker::operation::create_model_package::builders::CreateModelPackageFluentBuilder;
use aws_sdk_sagemaker::types::InferenceSpecification;
use aws_sdk_sagemaker::types::MetadataProperties;
use aws_sdk_sagemaker::types::MetricsSource;
use aws_sdk_sagemaker::types::ModelMetrics;
use aws_sdk_sagemaker::types::ModelPackageContainerDefinition;
use aws_sdk_sagemaker::types::ModelQuality;
use aws_sdk_sagemaker::types::ProductionVariantInstanceType;
use aws_sdk_sagemaker::types::TransformInstanceType;
use serde::Serialize;
use std::collections::BTreeMap;

/// The properties that are read back.
pub(super) mod property {
    /// The key of the operation.
    pub(in super::super) const OPERATION: &str = "branchline.operation";
    /// The address of the manifest.
    pub(in super::super) const MANIFEST: &str = "branchline.manifest";
}

/// Longest text of lineage.
const LONGEST: usize = 1024;

/// Longest address of an image.
const LONGEST_IMAGE: usize = 255;

/// Most variables of a container.
const MOST_VARIABLES: usize = 16;

/// The metrics of a version as an object of their own, which Studio shows.
#[derive(Serialize)]
pub(super) struct MetricsObject<'a> {
    schema: u32,
    metrics: BTreeMap<&'a str, MetricValue>,
}

#[derive(Serialize)]
struct MetricValue {
    value: f64,
}

impl<'a> MetricsObject<'a> {
    pub(super) fn of(metrics: &'a Metrics) -> Self {
        let metrics = metrics.iter().map(|(name, value)| (name.as_str(), MetricValue { value: *value })).collect();
        Self { schema: crate::adapters::s3::objects::SCHEMA, metrics }
    }
}

/// Where the metrics of a version lie.
#[derive(Debug, Clone)]
pub(super) struct MetricsPlace {
    pub(super) location: String,
    pub(super) digest: Sha256Digest,
}

impl Desk {
    /// Writes the request that makes a version.
    pub(super) fn package(
        &self,
        manifest: &Manifest,
        key: &str,
        metrics: Option<&MetricsPlace>,
        token: &str,
        doing: &str,
    ) -> Result<CreateModelPackageFluentBuilder, PortError> {
        let content = &manifest.content;
        let location = self.objects.location(key);
        let mut request = self
            .session
            .sagemaker
            .create_model_package()
            .model_package_group_name(self.group.as_str())
            .client_token(token)
            .model_approval_status(status(manifest.approval))
            .metadata_properties(lineage(manifest, self.project.as_str()))
            .set_customer_metadata_properties(Some(properties(manifest, &location).into_iter().collect()));
        if let Some(metrics) = metrics {
            let source = MetricsSource::builder()
                .content_type("application/json")
                .content_digest(format!("sha256:{}", metrics.digest))
                .s3_uri(&metrics.location)
                .build();
            let quality = ModelQuality::builder().statistics(source).build();
            request = request.model_metrics(ModelMetrics::builder().model_quality(quality).build());
        }
        // Without `serve` there is none: SageMaker takes a version of a group so, and one may be added to it later. The
        // Python SDK registers versions that way (aws/sagemaker-python-sdk#4492).
        if let (Some(serve), Some(model)) = (&content.serve, model_archive(&content.artifacts)) {
            request = request.inference_specification(inference(serve, content, model, doing)?.build());
        }
        Ok(request)
    }
}

fn lineage(manifest: &Manifest, project: &str) -> MetadataProperties {
    let lineage = &manifest.content.lineage;
    let fit = |text: String| (text.chars().count() <= LONGEST && !text.contains('\n')).then_some(text);
    MetadataProperties::builder()
        .commit_id(lineage.commit.as_str())
        .set_repository(fit(lineage.repository.to_string()))
        .set_generated_by(manifest.by.run_url.clone().or_else(|| lineage.run_url.clone()).and_then(fit))
        .project_id(project)
        .build()
}

/// The pairs of a version, the most important first: what does not fit stands in the manifest all the same.
fn properties(manifest: &Manifest, location: &str) -> Vec<(String, String)> {
    let content = &manifest.content;
    let lineage = &content.lineage;
    let mut wanted = vec![
        (property::OPERATION.to_owned(), manifest.operation.to_string()),
        (property::MANIFEST.to_owned(), location.to_owned()),
        ("branchline.fingerprint".to_owned(), content.fingerprint.to_string()),
        ("branchline.code".to_owned(), content.code_id.to_string()),
        ("branchline.content".to_owned(), content.content.to_string()),
        ("branchline.semver".to_owned(), content.semver.to_string()),
        ("branchline.model".to_owned(), content.model.to_string()),
        ("branchline.commit".to_owned(), lineage.commit.to_string()),
    ];
    let mut more = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            wanted.push((key.to_owned(), value));
        }
    };
    more("branchline.branch", lineage.branch.as_ref().map(|branch| branch.as_str().to_owned()));
    more("branchline.source", content.source.as_ref().map(ToString::to_string));
    more("branchline.restores", content.restores.map(|number| number.to_string()));
    more("branchline.artifact", content.artifacts.first().map(|artifact| artifact.digest.to_string()));
    more("branchline.image", lineage.image_digest.clone().or_else(|| lineage.image.clone()));
    wanted.extend(content.metrics.iter().map(|(name, value)| (format!("metric.{name}"), value.to_string())));
    wanted.extend(lineage.hyperparameters.iter().map(|(name, value)| (format!("param.{name}"), value.clone())));
    wanted.extend(lineage.datasets.iter().map(|(name, data)| (format!("data.{name}"), data.digest.clone())));
    pairs(wanted)
}

/// The archive that a container is given: the one with the usual name, else the first.
fn model_archive(artifacts: &[Artifact]) -> Option<&Artifact> {
    let archives = || artifacts.iter().filter(|artifact| artifact.location.starts_with("s3://"));
    let usual = archives().find(|artifact| artifact.name == "model.tar.gz");
    usual.or_else(|| archives().find(|artifact| artifact.name.ends_with(".tar.gz")))
}

fn inference(
    serve: &Serve,
    content: &VersionContent,
    model: &Artifact,
    doing: &str,
) -> Result<aws_sdk_sagemaker::types::builders::InferenceSpecificationBuilder, PortError> {
    let (image, digest) = pinned(serve, content);
    let refuse = |why: String, hint: &str| {
        Err(PortError::because(PortErrorKind::Configuration, doing, why).hint(hint.to_owned()))
    };
    if image.chars().count() > LONGEST_IMAGE || image.contains(char::is_whitespace) {
        return refuse(format!("`{image}` is no address of an image"), "Correct `serve.image`.");
    }
    if serve.environment.len() > MOST_VARIABLES {
        let why =
            format!("`serve.environment` has {} variables; SageMaker takes {MOST_VARIABLES}", serve.environment.len());
        return refuse(why, "Put some of them into the image.");
    }
    let mut container = ModelPackageContainerDefinition::builder()
        .image(image)
        .set_image_digest(digest)
        .model_data_url(&model.location);
    for (name, value) in &serve.environment {
        container = container.environment(name, value);
    }
    let answers = if serve.response_types.is_empty() { &serve.content_types } else { &serve.response_types };
    let realtime = serve.realtime_instances.iter().map(|kind| ProductionVariantInstanceType::from(kind.as_str()));
    let transform = serve.transform_instances.iter().map(|kind| TransformInstanceType::from(kind.as_str()));
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    Ok(InferenceSpecification::builder()
        .containers(container.build())
        .set_supported_content_types(some(&serve.content_types))
        .set_supported_response_mime_types(some(answers))
        .set_supported_realtime_inference_instance_types(
            (!serve.realtime_instances.is_empty()).then(|| realtime.collect()),
        )
        .set_supported_transform_instance_types((!serve.transform_instances.is_empty()).then(|| transform.collect())))
}

/// Pins the image to its digest, where that is known: written so, or the very image that trained.
fn pinned(serve: &Serve, content: &VersionContent) -> (String, Option<String>) {
    if let Some((_, digest)) = serve.image.split_once('@') {
        return (serve.image.clone(), Some(digest.to_owned()));
    }
    let lineage = &content.lineage;
    match &lineage.image_digest {
        Some(digest) if lineage.image.as_ref() == Some(&serve.image) => {
            let name = match serve.image.rsplit_once(':') {
                // A colon before a slash belongs to a port.
                Some((name, tag)) if !tag.contains('/') => name,
                _ => serve.image.as_str(),
            };
            (format!("{name}@{digest}"), Some(digest.clone()))
        }
        Some(_) | None => (serve.image.clone(), None),
    }
}
