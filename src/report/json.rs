//! Outcomes and versions as JSON: the documented, numbered shapes that programs read.
//!
//! Kept apart from the values that the engine stores, so that the engine can change without breaking anybody.

use crate::model::artifact::Address;
use crate::model::artifact::Artifact;
use crate::model::history::Freeze;
use crate::model::lineage::Lineage;
use crate::model::metric::Metrics;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::version::Version;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::plan::prediction::Candidate;
use crate::plan::prediction::Merging;
use crate::plan::reason::Reason;
use crate::report::comparison::ComparisonJson;
use serde::Serialize;

/// The number of these shapes. It grows when a member changes its meaning or goes away, not when one is added.
pub const JSON_SCHEMA: u32 = 1;

/// What `plan` and `run` print.
#[derive(Debug, Serialize)]
pub struct OutcomeJson {
    schema: u32,
    event: String,
    verdict: &'static str,
    exit_code: u8,
    reasons: Vec<ReasonJson>,
    models: Vec<ModelJson>,
    after_merge: Option<AfterMergeJson>,
}

#[derive(Debug, Serialize)]
struct AfterMergeJson {
    changes: Vec<String>,
    verdict: &'static str,
    reasons: Vec<ReasonJson>,
    models: Vec<ModelJson>,
}

#[derive(Debug, Serialize)]
struct ModelJson {
    model: ModelName,
    at: Option<String>,
    verdict: &'static str,
    reasons: Vec<ReasonJson>,
    steps: Vec<StepJson>,
    versions: Vec<VersionJson>,
    merging: Option<Merging>,
    candidate: Option<Candidate>,
    compared: Vec<ComparisonJson>,
}

#[derive(Debug, Serialize)]
struct ReasonJson {
    code: &'static str,
    message: String,
    hint: Option<String>,
    detail: serde_json::Value,
}

#[derive(Debug, Serialize)]
struct StepJson {
    kind: &'static str,
    result: &'static str,
    group: Option<GroupName>,
    note: String,
}

/// A version, as `status`, `show`, `plan` and `run` print it.
#[derive(Debug, Serialize)]
pub struct VersionJson {
    group: GroupName,
    version: u32,
    semver: String,
    fingerprint: String,
    content: String,
    code_id: String,
    commit: String,
    branch: Option<String>,
    approval: &'static str,
    rejection: Option<String>,
    superseded: bool,
    metrics: Metrics,
    sha256: Option<String>,
    artifacts: Vec<Artifact>,
    source: Option<SourceJson>,
    restores: Option<u32>,
    data_moved: bool,
    not_promotable: Option<String>,
    signature: Option<String>,
    registered_at: jiff::Timestamp,
    lineage: Lineage,
}

#[derive(Debug, Serialize)]
struct SourceJson {
    group: GroupName,
    version: u32,
}

/// A version by itself, as `show` prints it.
#[derive(Debug, Serialize)]
pub struct ShownJson {
    schema: u32,
    #[serde(flatten)]
    version: VersionJson,
    /// Where its first artifact can be opened.
    location: Option<String>,
    location_url: Option<String>,
}

impl ShownJson {
    /// Builds the shape.
    pub fn of(version: &Version, address: Option<Address>) -> Self {
        let (location, location_url) = address.map_or((None, None), |address| (Some(address.location), address.url));
        Self { schema: JSON_SCHEMA, version: VersionJson::of(version), location, location_url }
    }
}

/// What `get` prints.
#[derive(Debug, Serialize)]
pub struct GotJson {
    /// The number of the shape.
    pub schema: u32,
    /// The group.
    pub group: GroupName,
    /// The version.
    pub version: u32,
    /// Its semantic version.
    pub semver: String,
    /// Whether it is the group's current version.
    pub current: bool,
    /// The artifact's own name.
    pub artifact: String,
    /// The file that was written.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// The digest that the file was verified against, with its algorithm.
    pub digest: String,
    /// Where the artifact can be opened.
    pub location: String,
}

/// A group, as `status` prints it.
#[derive(Debug, Serialize)]
pub struct GroupJson {
    /// Its name.
    pub group: GroupName,
    /// Its model.
    pub model: ModelName,
    /// The stage that feeds it.
    pub stage: StageName,
    /// Its target.
    pub target: TargetName,
    /// The number of its current version.
    pub current: Option<u32>,
    /// Set while it is frozen.
    pub frozen: Option<Freeze>,
    /// Its versions, newest first.
    pub versions: Vec<VersionJson>,
}

/// What `status` prints.
#[derive(Debug, Serialize)]
pub struct StatusJson {
    /// The number of the shape.
    pub schema: u32,
    /// The project.
    pub project: String,
    /// All groups, lowest stage first.
    pub groups: Vec<GroupJson>,
    /// Open trainings by name.
    pub open_trainings: Vec<String>,
}

impl OutcomeJson {
    /// Builds the shape.
    pub fn of(outcome: &Outcome) -> Self {
        Self {
            schema: JSON_SCHEMA,
            event: outcome.event.clone(),
            verdict: outcome.verdict.as_str(),
            exit_code: outcome.exit_code(),
            reasons: outcome.reasons.iter().map(reason).collect(),
            models: outcome.models.iter().map(model).collect(),
            after_merge: outcome.after_merge.as_ref().map(|after| AfterMergeJson {
                changes: after.changes.clone(),
                verdict: after.outcome.verdict.as_str(),
                reasons: after.outcome.reasons.iter().map(reason).collect(),
                models: after.outcome.models.iter().map(model).collect(),
            }),
        }
    }
}

impl VersionJson {
    /// Builds the shape.
    pub fn of(version: &Version) -> Self {
        let content = &version.content;
        Self {
            group: version.group.clone(),
            version: version.number.0,
            semver: content.semver.to_string(),
            fingerprint: content.fingerprint.to_string(),
            content: content.content.to_string(),
            code_id: content.code_id.to_string(),
            commit: content.lineage.commit.to_string(),
            branch: content.lineage.branch.as_ref().map(ToString::to_string),
            approval: version.approval.as_str(),
            rejection: version.rejection.map(|rejection| match rejection {
                crate::model::version::Rejection::Person => "person".to_owned(),
                crate::model::version::Rejection::RolledBack => "rolled-back".to_owned(),
                crate::model::version::Rejection::Duplicate => "duplicate".to_owned(),
            }),
            superseded: version.superseded,
            metrics: content.metrics.clone(),
            sha256: version.sha256().map(ToString::to_string),
            artifacts: content.artifacts.clone(),
            source: content
                .source
                .as_ref()
                .map(|source| SourceJson { group: source.group.clone(), version: source.number.0 }),
            restores: content.restores.map(|number| number.0),
            data_moved: content.data_moved,
            not_promotable: content.not_promotable.clone(),
            signature: content.signature.clone(),
            registered_at: version.registered_at,
            lineage: content.lineage.clone(),
        }
    }
}

fn model(outcome: &ModelOutcome) -> ModelJson {
    ModelJson {
        model: outcome.model.clone(),
        at: outcome.at.clone(),
        verdict: outcome.verdict.as_str(),
        reasons: outcome.reasons.iter().map(reason).collect(),
        steps: outcome
            .steps
            .iter()
            .map(|record| StepJson {
                kind: record.step.kind(),
                result: record.result.as_str(),
                group: record.step.group().cloned(),
                note: record.note.clone(),
            })
            .collect(),
        versions: outcome.versions.iter().map(VersionJson::of).collect(),
        merging: outcome.merging.clone(),
        candidate: outcome.candidate.as_deref().cloned(),
        compared: outcome.compared.iter().map(ComparisonJson::of).collect(),
    }
}

fn reason(reason: &Reason) -> ReasonJson {
    ReasonJson {
        code: reason.code(),
        message: reason.message(),
        hint: reason.hint(),
        // Every variant serialises: plain data with string keys.
        detail: serde_json::to_value(reason).unwrap_or(serde_json::Value::Null),
    }
}
