//! Changes to a registry and its artifacts, as values: what a step carries and what a port is given.

use crate::model::approval::Approval;
use crate::model::digest::CanonicalFields;
use crate::model::digest::Sha256Digest;
use crate::model::git::RepositoryId;
use crate::model::history::Attribution;
use crate::model::history::HistoryAction;
use crate::model::identity::Fingerprint;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::ProjectName;
use crate::model::version::Rejection;
use crate::model::version::VersionContent;
use crate::model::version::VersionNumber;
use serde::Deserialize;
use serde::Serialize;

/// Where a version's artifacts belong. A store derives the location from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactPlace {
    /// The project.
    pub project: ProjectName,
    /// The group.
    pub group: GroupName,
    /// The model, for progress.
    pub model: ModelName,
    /// The fingerprint.
    pub fingerprint: Fingerprint,
}

/// What a write expects of its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The highest number when it was decided.
    pub newest: Option<VersionNumber>,
    /// The current version when it was decided.
    pub current: Option<VersionNumber>,
    /// Whether the group was frozen when it was decided. An automatic change expects `false`.
    pub frozen: bool,
}

/// A version to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// The group; made if it does not exist.
    pub group: GroupName,
    /// The repository that the group belongs to from its first version on.
    pub repository: RepositoryId,
    /// What it expects.
    pub expected: Expected,
    /// What is registered.
    pub content: VersionContent,
    /// How it enters.
    pub approval: Approval,
    /// It enters already overtaken: a training that finished after its branch had moved on.
    pub superseded: bool,
    /// Mark older pending versions as superseded: a promotion or a restore into a sequence.
    pub supersedes_older: bool,
    /// Which history line it writes: registered, promoted, restored or imported.
    pub action: HistoryAction,
    /// Who, from where and why.
    pub by: Attribution,
}

impl Registration {
    /// Derives the key under which repeating this very operation finds its first result.
    pub fn operation_key(&self) -> Sha256Digest {
        let number = |n: Option<VersionNumber>| n.map_or_else(|| "none".to_owned(), |n| n.0.to_string());
        let mut fields = CanonicalFields::new("branchline/operation/1");
        fields
            .field("group", self.group.as_str().as_bytes())
            .field("fingerprint", self.content.fingerprint.digest().as_str().as_bytes());
        if let Some(source) = &self.content.source {
            fields.field("source", source.to_string().as_bytes());
        }
        if let Some(restored) = self.content.restores {
            fields.field("restores", number(Some(restored)).as_bytes());
        }
        if let Some(training) = &self.content.lineage.training {
            fields.field("training", training.as_str().as_bytes());
        }
        fields
            .field("newest", number(self.expected.newest).as_bytes())
            .field("current", number(self.expected.current).as_bytes());
        fields.digest()
    }
}

/// A change of approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalChange {
    /// The group.
    pub group: GroupName,
    /// The version.
    pub number: VersionNumber,
    /// What it was when it was decided.
    pub from: Approval,
    /// What it becomes.
    pub to: Approval,
    /// Why, where it becomes rejected.
    pub rejection: Option<Rejection>,
    /// The mark `superseded` is lifted with it: the branch has the version's content again, or still.
    #[serde(default)]
    pub reinstates: bool,
    /// The current version when it was decided.
    pub expected_current: Option<VersionNumber>,
    /// Who, from where and why.
    pub by: Attribution,
}

impl ApprovalChange {
    /// Says why this is no change that anybody may ask for: nothing takes a decision back, and the history has no word
    /// for it. Only what was marked superseded may await approval again.
    pub fn refusal(&self) -> Option<&'static str> {
        let takes_back = self.to == Approval::PendingManualApproval && !self.reinstates;
        takes_back.then_some("a decision can be changed, not taken back")
    }
}
