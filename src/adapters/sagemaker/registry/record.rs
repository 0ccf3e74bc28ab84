//! What is kept in the bucket beside SageMaker: the content of versions, what became of them, and the group's book.
//!
//! Every object says its schema; readers accept every older one. Of a manifest nothing is ever changed.

use crate::adapters::s3::objects::SCHEMA;
use crate::facts::group::SemverHighWater;
use crate::model::approval::Approval;
use crate::model::digest::Sha256Digest;
use crate::model::git::CommitSha;
use crate::model::git::RepositoryId;
use crate::model::history::Attribution;
use crate::model::history::Freeze;
use crate::model::history::HistoryAction;
use crate::model::history::HistoryEntry;
use crate::model::identity::ContentId;
use crate::model::identity::Fingerprint;
use crate::model::name::GroupName;
use crate::model::version::Rejection;
use crate::model::version::VersionContent;
use crate::model::version::VersionNumber;
use crate::ports::ApprovalChange;
use crate::ports::Registration;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// How many versions that were current are remembered: the current one, and the way back.
pub(super) const CURRENTS: usize = 51;

/// How many approvals are remembered, so that a change by a person shows: as many as one listing has.
pub(super) const SEEN: usize = 100;

/// How many versions that wait for a person are remembered beyond those. The oldest are dropped where there are more.
pub(super) const WAITING: usize = 500;

/// The truth about what a version holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) schema: u32,
    pub(super) group: GroupName,
    /// The key of the operation that registers it.
    pub(super) operation: Sha256Digest,
    pub(super) repository: RepositoryId,
    /// When it was decided, UTC: the time of registration.
    pub(super) at: jiff::Timestamp,
    /// How it enters.
    pub(super) approval: Approval,
    pub(super) superseded: bool,
    pub(super) action: HistoryAction,
    pub(super) by: Attribution,
    pub(super) content: VersionContent,
}

impl Manifest {
    pub(super) fn of(registration: &Registration, at: jiff::Timestamp) -> Self {
        Self {
            schema: SCHEMA,
            group: registration.group.clone(),
            operation: registration.operation_key(),
            repository: registration.repository.clone(),
            at,
            approval: registration.approval,
            superseded: registration.superseded,
            action: registration.action,
            by: registration.by.clone(),
            content: registration.content.clone(),
        }
    }

    /// Tells whether registering from either makes the same version. When and from which run may differ.
    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        let same = Self { at: other.at, by: other.by.clone(), ..self.clone() };
        same == *other
    }
}

/// What became of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) schema: u32,
    pub(super) number: VersionNumber,
    /// As SageMaker said it: never built manually, for its group is spelled in small letters there.
    pub(super) arn: String,
    /// The key of its manifest below the prefix; `None`: Branchline did not make it.
    pub(super) manifest: Option<String>,
    /// The operation that made it.
    pub(super) operation: Option<Sha256Digest>,
    /// What can be said of one that Branchline did not make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) theirs: Option<Box<VersionContent>>,
    pub(super) registered_at: jiff::Timestamp,
    /// As last seen.
    pub(super) approval: Approval,
    pub(super) rejection: Option<Rejection>,
    pub(super) superseded: bool,
    pub(super) once_approved: bool,
    /// It was taken out of its group.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) forgotten: bool,
}

impl Record {
    /// The record of a version that was just made from its manifest.
    pub(super) fn made(number: VersionNumber, arn: &str, key: &str, manifest: &Manifest) -> Self {
        Self {
            schema: SCHEMA,
            number,
            arn: arn.to_owned(),
            manifest: Some(key.to_owned()),
            operation: Some(manifest.operation.clone()),
            theirs: None,
            registered_at: manifest.at,
            approval: manifest.approval,
            rejection: None,
            superseded: manifest.superseded,
            once_approved: manifest.approval == Approval::Approved,
            forgotten: false,
        }
    }

    /// Takes on another approval. An approved version is neither rejected nor overtaken.
    pub(super) fn becomes(&mut self, approval: Approval, rejection: Option<Rejection>) {
        self.approval = approval;
        self.rejection = if approval == Approval::Rejected { rejection } else { None };
        if approval == Approval::Approved {
            self.superseded = false;
            self.once_approved = true;
        }
    }
}

/// Says where to find a version by what it holds: written before the version is made, completed after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Announcement {
    pub(super) schema: u32,
    pub(super) operation: Sha256Digest,
    /// The key of the manifest below the prefix.
    pub(super) manifest: String,
    /// Known once the version is made.
    pub(super) number: Option<VersionNumber>,
}

/// What a version can be found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding<'a> {
    Fingerprint(&'a Fingerprint),
    Content(&'a ContentId),
    Commit(&'a CommitSha),
}

/// The mark that stops automatic changes, or the place where it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FreezeMark {
    pub(super) schema: u32,
    pub(super) frozen: Option<Freeze>,
}

/// A version that was current.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Current {
    pub(super) number: VersionNumber,
    pub(super) at: jiff::Timestamp,
}

/// A line of the history under the key where it belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// Below the prefix.
    pub(super) key: String,
    pub(super) entry: HistoryEntry,
}

/// A line of the history as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredLine {
    pub(super) schema: u32,
    pub(super) entry: HistoryEntry,
}

/// What a writer is about to do in SageMaker, so that whoever comes after a crash can tell it from a person's doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "kebab-case")]
pub(super) enum Intent {
    Register {
        operation: Sha256Digest,
        /// The key of the manifest below the prefix.
        manifest: String,
        /// The keys of its announcements below the prefix.
        announcements: Vec<String>,
        /// The highest number before it.
        newest: Option<VersionNumber>,
        /// Which pending ones it overtakes.
        supersedes: Vec<VersionNumber>,
    },
    Approve {
        change: Box<ApprovalChange>,
        at: jiff::Timestamp,
    },
    Forget {
        number: VersionNumber,
        by: Attribution,
        at: jiff::Timestamp,
    },
    Freeze {
        frozen: bool,
        by: Attribution,
        at: jiff::Timestamp,
    },
}

/// The group's book: bounded, however many versions there are. Replacing it commits a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Book {
    pub(super) schema: u32,
    pub(super) owner: Option<RepositoryId>,
    pub(super) highest: Option<SemverHighWater>,
    /// Versions that were current, the newest first, each once.
    pub(super) currents: Vec<Current>,
    /// The approvals of the newest versions as we last saw them.
    pub(super) seen: BTreeMap<VersionNumber, Approval>,
    /// The versions that were pending when we last saw them, and were not overtaken: also those that `seen` has lost.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) waiting: BTreeSet<VersionNumber>,
    /// The time of the last line of the history, in microseconds: the next one comes after it, whatever the clock says.
    pub(super) written: i64,
    /// Lines of the last change. They may not be in the history yet.
    pub(super) outbox: Vec<Line>,
    pub(super) intent: Option<Intent>,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            owner: None,
            highest: None,
            currents: Vec::new(),
            seen: BTreeMap::new(),
            waiting: BTreeSet::new(),
            written: 0,
            outbox: Vec::new(),
            intent: None,
        }
    }
}

impl Book {
    /// Takes note of a version's approval; the oldest is dropped where there are too many.
    pub(super) fn note(&mut self, number: VersionNumber, approval: Approval) {
        self.seen.insert(number, approval);
        while self.seen.len() > SEEN {
            self.seen.pop_first();
        }
        if approval != Approval::PendingManualApproval {
            self.waiting.remove(&number);
        } else if self.waiting.insert(number) && self.waiting.len() > WAITING {
            self.waiting.pop_first();
        }
    }

    /// Tells whether the newest listing will not show what is current: as many versions are noted as it has, and none
    /// of them is approved. A person may have approved one since.
    pub(super) fn is_far_back(&self) -> bool {
        self.seen.len() >= SEEN && !self.seen.values().any(|approval| *approval == Approval::Approved)
    }

    /// Takes note of what is current now.
    pub(super) fn turn(&mut self, current: Option<VersionNumber>, at: jiff::Timestamp) {
        let Some(number) = current else { return };
        self.currents.retain(|former| former.number != number);
        self.currents.insert(0, Current { number, at });
        self.currents.truncate(CURRENTS);
    }

    /// Takes note of a semantic version that was given.
    pub(super) fn raise(&mut self, content: &VersionContent) {
        raise(&mut self.highest, content);
    }
}

/// Keeps the higher semantic version; of two alike the later one, for it says for which code it was given last.
pub(super) fn raise(highest: &mut Option<SemverHighWater>, content: &VersionContent) {
    let higher = highest.as_ref().is_none_or(|known| content.semver.cmp_precedence(&known.semver).is_ge());
    if higher {
        *highest = Some(SemverHighWater {
            semver: content.semver.clone(),
            code_id: content.code_id.clone(),
            signature: content.signature.clone(),
        });
    }
}

/// Fills in what was not known of an owner before, if the two are known to be the same repository. Two that merely
/// have nothing to compare stay apart: else a stranger could make himself part of the identity.
pub(super) fn completed(owner: Option<&RepositoryId>, seen: &RepositoryId) -> RepositoryId {
    let Some(owner) = owner else { return seen.clone() };
    let comparable = (owner.host_id.is_some() && seen.host_id.is_some())
        || (owner.remote.is_some() && seen.remote.is_some())
        || (owner.root.is_some() && seen.root.is_some());
    if !comparable && *owner != RepositoryId::default() {
        return owner.clone();
    }
    RepositoryId {
        host_id: owner.host_id.clone().or_else(|| seen.host_id.clone()),
        remote: owner.remote.clone().or_else(|| seen.remote.clone()),
        root: owner.root.clone().or_else(|| seen.root.clone()),
    }
}
