//! Versions that Branchline did not make: registered in SageMaker Studio, by a notebook, by another tool.
//!
//! They count for the newest number and, once approved, as the current version, so that nothing overrules them in
//! silence. What SageMaker says of them is kept; nothing else is made up: their fingerprint, code and content are digests
//! of their address, which never equal those of a training of ours, so they match nothing, and they are not promoted by
//! default. Where no commit is named, the id of Git's empty tree stands for "no files known". Properties whose value is
//! a number are their metrics.

use crate::adapters::sagemaker::registry::desk::Desk;
use crate::adapters::sagemaker::registry::listing::Described;
use crate::adapters::sagemaker::registry::listing::Entry;
use crate::adapters::sagemaker::registry::metadata::decode_text;
use crate::model::digest::Sha256Digest;
use crate::model::git::CommitSha;
use crate::model::git::RepositoryId;
use crate::model::identity::CodeId;
use crate::model::identity::ContentId;
use crate::model::identity::Fingerprint;
use crate::model::lineage::LINEAGE_SCHEMA;
use crate::model::lineage::Lineage;
use crate::model::metric::MetricName;
use crate::model::metric::Metrics;
use crate::model::name::ModelName;
use crate::model::version::VersionContent;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use std::collections::BTreeMap;

/// Git's empty tree: an id that no commit has.
const NO_FILES: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

impl Desk {
    /// Says what can be said of a version that Branchline did not make.
    pub(super) fn theirs(&self, described: &Described, doing: &str) -> Result<VersionContent, PortError> {
        let mut content = self.theirs_as_listed(&described.entry, doing)?;
        if let Some(commit) = described.commit.as_deref().and_then(|text| CommitSha::parse(text).ok()) {
            content.lineage.commit = commit;
        }
        content.metrics = metrics(described);
        content.lineage.actor.clone_from(&described.created_by);
        content.lineage.image.clone_from(&described.image);
        content.lineage.elsewhere = Some(described.model.clone().unwrap_or_else(|| described.entry.arn.clone()));
        let who = described.created_by.as_deref().unwrap_or("somebody");
        content.not_promotable = Some(format!("it was registered in SageMaker by {who}, not by Branchline"));
        Ok(content)
    }

    /// As [`theirs`](Self::theirs), from no more than the listing.
    pub(super) fn theirs_as_listed(&self, entry: &Entry, doing: &str) -> Result<VersionContent, PortError> {
        let bug = |error: &dyn std::fmt::Display| PortError::because(PortErrorKind::Bug, doing, error.to_string());
        let digest = |what: &str| Sha256Digest::of(format!("branchline/theirs/1 {what} {}", entry.arn).as_bytes());
        Ok(VersionContent {
            model: ModelName::parse(self.group.as_str()).map_err(|error| bug(&error))?,
            semver: semver::Version::new(0, 0, 0),
            fingerprint: Fingerprint::from_digest(digest("fingerprint")),
            code_id: CodeId::from_digest(digest("code")),
            content: ContentId::from_digest(digest("content")),
            signature: None,
            metrics: Metrics::new(),
            artifacts: Vec::new(),
            data_moved: false,
            lineage: Lineage {
                schema: LINEAGE_SCHEMA,
                commit: CommitSha::parse(NO_FILES).map_err(|error| bug(&error))?,
                tree: None,
                branch: None,
                repository: RepositoryId::default(),
                pull_request: None,
                actor: None,
                run_url: None,
                datasets: BTreeMap::new(),
                hyperparameters: BTreeMap::new(),
                image: None,
                image_digest: None,
                stage: None,
                training: None,
                attempt: None,
                again: None,
                training_seconds: None,
                trained_at: None,
                elsewhere: Some(entry.arn.clone()),
                imported: None,
                metric_notes: Vec::new(),
                bill: None,
                training_url: None,
            },
            source: None,
            restores: None,
            not_promotable: Some("it was registered in SageMaker, not by Branchline".to_owned()),
            serve: None,
        })
    }
}

fn metrics(described: &Described) -> Metrics {
    let number = |(key, value): (&String, &String)| {
        let value: f64 = value.parse().ok()?;
        let key = decode_text(key).unwrap_or_else(|| key.clone());
        let name = MetricName::parse(key.strip_prefix("metric.").unwrap_or(&key))?;
        value.is_finite().then_some((name, value))
    };
    described.properties.iter().filter_map(number).collect()
}
