//! References that moved, appeared or went: `push`, `create` and `delete`.

use crate::event::EventKind;
use crate::event::error::EventError;
use crate::event::fields::Fields;
use crate::event::fields::is_zeros;
use crate::event::not_ours::MERGE_QUEUE_PREFIX;
use crate::event::not_ours::NotOurs;
use crate::event::variables::RunnerVariables;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::variables as names;
use serde::Deserialize;
use serde::Serialize;

/// A branch that was created or points at another commit now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchMoved {
    /// The branch.
    pub branch: BranchName,
    /// Where it pointed before. After a forced push that commit may be out of reach.
    pub before: Option<CommitSha>,
    /// Where it points now.
    pub after: CommitSha,
    /// It did not exist before.
    pub created: bool,
    /// Its history was rewritten.
    pub forced: bool,
}

/// What a full reference names.
pub(super) enum Reference {
    Branch(BranchName),
    MergeQueue(BranchName),
    Tag(String),
    Other(String),
}

impl Reference {
    /// Reads a full reference out of a field or a variable. A short name could be a branch or a tag: an error.
    pub(super) fn parse(fields: &Fields<'_>, field: &str, text: &str) -> Result<Self, EventError> {
        if let Some(short) = text.strip_prefix("refs/heads/") {
            let branch = fields.read_branch(field, short)?;
            let is_queue = branch.as_str().starts_with(MERGE_QUEUE_PREFIX);
            return Ok(if is_queue { Self::MergeQueue(branch) } else { Self::Branch(branch) });
        }
        if let Some(tag) = text.strip_prefix("refs/tags/") {
            return Ok(Self::Tag(tag.to_owned()));
        }
        if text.starts_with("refs/") {
            return Ok(Self::Other(text.to_owned()));
        }
        Err(fields.illegal(field, text, "a full reference", "write it out, as in `refs/heads/dev`"))
    }
}

/// Reads a `push`.
///
/// `GITHUB_REF` and `GITHUB_SHA` mean the same as `ref` and `after`, and stand in where those are missing.
pub(super) fn push(variables: &RunnerVariables, fields: &Fields<'_>) -> Result<EventKind, EventError> {
    let reference = match (fields.text("ref")?, variables.reference()) {
        (Some(text), _) => Reference::parse(fields, "ref", text)?,
        (None, Some(text)) => Reference::parse(fields, names::GITHUB_REF, &text)?,
        (None, None) => return Err(fields.missing("ref", Some(names::GITHUB_REF))),
    };
    let branch = match reference {
        Reference::Branch(branch) => branch,
        Reference::MergeQueue(branch) => return Ok(EventKind::NotOurs(NotOurs::MergeQueueBranch { branch })),
        Reference::Tag(tag) => return Ok(EventKind::NotOurs(NotOurs::Tag { tag })),
        Reference::Other(reference) => return Ok(EventKind::NotOurs(NotOurs::OtherReference { reference })),
    };
    let before = fields.commit("before")?;
    let after = fields.text("after")?;
    // Either sign is enough: on such a push GITHUB_SHA is the head of the default branch, and training that
    // would be wrong in every way.
    if fields.flag("deleted")? || after.is_some_and(is_zeros) {
        return Ok(EventKind::BranchDeleted { branch, last: before });
    }
    let after = match (after, &variables.sha) {
        (Some(text), _) => fields.read_commit("after", text, "pass on the payload as the host sent it")?,
        (None, Some(text)) => fields.read_commit(names::GITHUB_SHA, text, "leave the variable as the runner set it")?,
        (None, None) => return Err(fields.missing("after", Some(names::GITHUB_SHA))),
    };
    let created = fields.flag("created")? || fields.told("before").is_some_and(is_zeros);
    let forced = fields.flag("forced")?;
    Ok(EventKind::BranchMoved(BranchMoved { branch, before, after, created, forced }))
}

/// Reads a `create`. A new branch raises a push as well, so acting on both would train twice.
pub(super) fn create(fields: &Fields<'_>) -> Result<EventKind, EventError> {
    Ok(EventKind::NotOurs(match short_reference(fields)? {
        Reference::Branch(branch) => NotOurs::Create { branch },
        Reference::MergeQueue(branch) => NotOurs::MergeQueueBranch { branch },
        Reference::Tag(tag) => NotOurs::Tag { tag },
        Reference::Other(reference) => NotOurs::OtherReference { reference },
    }))
}

/// Reads a `delete`.
pub(super) fn delete(fields: &Fields<'_>) -> Result<EventKind, EventError> {
    Ok(match short_reference(fields)? {
        Reference::Branch(branch) => EventKind::BranchDeleted { branch, last: None },
        Reference::MergeQueue(branch) => EventKind::NotOurs(NotOurs::MergeQueueBranch { branch }),
        Reference::Tag(tag) => EventKind::NotOurs(NotOurs::Tag { tag }),
        Reference::Other(reference) => EventKind::NotOurs(NotOurs::OtherReference { reference }),
    })
}

/// Reads `ref` and `ref_type`. `GITHUB_REF` cannot stand in: on `delete` it is the default branch.
fn short_reference(fields: &Fields<'_>) -> Result<Reference, EventError> {
    let name = fields.required("ref")?;
    Ok(match fields.required("ref_type")? {
        "branch" => {
            let branch = fields.read_branch("ref", name)?;
            let is_queue = branch.as_str().starts_with(MERGE_QUEUE_PREFIX);
            if is_queue { Reference::MergeQueue(branch) } else { Reference::Branch(branch) }
        }
        "tag" => Reference::Tag(name.to_owned()),
        _ => Reference::Other(name.to_owned()),
    })
}
