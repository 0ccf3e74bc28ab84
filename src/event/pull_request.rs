//! Proposals to merge: `pull_request`, `pull_request_target` and `merge_group`.

use crate::event::EventKind;
use crate::event::error::EventError;
use crate::event::fields::Fields;
use crate::event::fields::is_zeros;
use crate::event::not_ours::MERGE_QUEUE_PREFIX;
use crate::event::not_ours::NotOurs;
use crate::event::push::Reference;
use crate::event::trust;
use crate::event::variables::RunnerVariables;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::variables as names;
use serde::Deserialize;
use serde::Serialize;

/// A pull request that was opened, changed or closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestEvent {
    /// What happened to it.
    pub change: PullRequestChange,
    /// Its number.
    pub number: u64,
    /// Its title: foreign text, only to be shown.
    pub title: Option<String>,
    /// What it brings.
    pub head: PullRequestHead,
    /// Where it goes.
    pub base: PullRequestBase,
    /// Once merged: the merge, the squashed commit or the tip of the rebased ones. Before: the host's test
    /// merge, which may be missing or made of older commits. Its parents must be compared before it is used.
    pub merge_commit: Option<CommitSha>,
    /// The login of whoever opened it.
    pub author: Option<String>,
    /// It is not ready for review yet.
    pub draft: bool,
}

/// What happened to a pull request, as far as it can change what merging would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullRequestChange {
    /// It is new.
    Opened,
    /// Its commits changed.
    Synchronize,
    /// It was closed, and is open again.
    Reopened,
    /// It is no draft any more.
    ReadyForReview,
    /// It goes into another branch now.
    BaseChanged {
        /// Where it went before.
        from: Option<BranchName>,
    },
    /// It is done.
    Closed {
        /// It was merged, not thrown away.
        merged: bool,
    },
}

/// What a pull request brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestHead {
    /// Its branch, in whichever repository it lives.
    pub branch: BranchName,
    /// Its newest commit. Reports belong here.
    pub sha: CommitSha,
    /// It lives in another repository, or in one that is not known to be this one.
    pub fork: bool,
}

/// Where a pull request goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestBase {
    /// The branch.
    pub branch: BranchName,
    /// The commit that the host compared with. The branch may have moved on.
    pub sha: CommitSha,
}

/// A merge queue's question whether a group of pull requests may be merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeGroup {
    /// The commit that would become the head of the base branch.
    pub head_sha: CommitSha,
    /// The queue's own branch.
    pub head_ref: BranchName,
    /// The commit that it builds on.
    pub base_sha: CommitSha,
    /// The branch that it goes into.
    pub base_branch: BranchName,
    /// The last pull request of the group, as far as the queue's branch name tells.
    pub pull_request: Option<u64>,
}

/// Reads a `pull_request` or a `pull_request_target`.
pub(super) fn pull_request(variables: &RunnerVariables, fields: &Fields<'_>) -> Result<EventKind, EventError> {
    let action = fields.required("action")?;
    let change = match action {
        "opened" => PullRequestChange::Opened,
        "synchronize" => PullRequestChange::Synchronize,
        "reopened" => PullRequestChange::Reopened,
        "ready_for_review" => PullRequestChange::ReadyForReview,
        "edited" if fields.at("changes.base").is_some() => {
            let from = fields.text("changes.base.ref.from")?;
            let from = from.map(|text| fields.read_branch("changes.base.ref.from", text)).transpose()?;
            PullRequestChange::BaseChanged { from }
        }
        "closed" => PullRequestChange::Closed { merged: fields.flag("pull_request.merged")? },
        other => {
            let number = number(variables, fields)?;
            return Ok(EventKind::NotOurs(NotOurs::PullRequestAction { action: other.to_owned(), number }));
        }
    };
    let number = number(variables, fields)?.ok_or_else(|| fields.missing("number", None))?;
    let head = PullRequestHead {
        branch: branch(fields, "pull_request.head.ref", &variables.head_ref, names::GITHUB_HEAD_REF)?,
        sha: fields.required_commit("pull_request.head.sha")?,
        fork: trust::fork(fields).is_some(),
    };
    let base = PullRequestBase {
        branch: branch(fields, "pull_request.base.ref", &variables.base_ref, names::GITHUB_BASE_REF)?,
        sha: fields.required_commit("pull_request.base.sha")?,
    };
    let merge_commit = merge_commit(variables, fields, &change)?;
    Ok(EventKind::PullRequest(PullRequestEvent {
        change,
        number,
        title: fields.told("pull_request.title").map(str::to_owned),
        head,
        base,
        merge_commit,
        author: fields.told("pull_request.user.login").map(str::to_owned),
        draft: fields.flag("pull_request.draft")?,
    }))
}

/// Returns the commit of the merge, or of the host's test of it.
///
/// While a pull request is open, `GITHUB_SHA` is the test merge of this very run, and the payload's is older
/// or null; but only if `GITHUB_REF` says so: on `pull_request_target` it is the head of the default branch.
fn merge_commit(
    variables: &RunnerVariables,
    fields: &Fields<'_>,
    change: &PullRequestChange,
) -> Result<Option<CommitSha>, EventError> {
    let told = fields.commit("pull_request.merge_commit_sha")?;
    match change {
        PullRequestChange::Closed { merged: true } => Ok(told),
        PullRequestChange::Closed { merged: false } => Ok(None),
        PullRequestChange::Opened
        | PullRequestChange::Synchronize
        | PullRequestChange::Reopened
        | PullRequestChange::ReadyForReview
        | PullRequestChange::BaseChanged { .. } => match (&variables.sha, pull_number(variables)) {
            (Some(sha), Some(_)) if !is_zeros(sha) => {
                fields.read_commit(names::GITHUB_SHA, sha, "leave the variable as the runner set it").map(Some)
            }
            _ => Ok(told),
        },
    }
}

/// Returns the number, from where the host usually says it or from `refs/pull/<number>/merge`.
fn number(variables: &RunnerVariables, fields: &Fields<'_>) -> Result<Option<u64>, EventError> {
    if let Some(number) = fields.number("number")? {
        return Ok(Some(number));
    }
    Ok(fields.number("pull_request.number")?.or_else(|| pull_number(variables)))
}

fn pull_number(variables: &RunnerVariables) -> Option<u64> {
    variables.reference()?.strip_prefix("refs/pull/")?.strip_suffix("/merge")?.parse().ok()
}

fn branch(
    fields: &Fields<'_>,
    path: &str,
    variable: &Option<String>,
    variable_name: &'static str,
) -> Result<BranchName, EventError> {
    match (fields.text(path)?, variable) {
        (Some(text), _) => fields.read_branch(path, text),
        (None, Some(text)) => fields.read_branch(variable_name, text),
        (None, None) => Err(fields.missing(path, Some(variable_name))),
    }
}

/// Reads a `merge_group`. The runner's commit and reference are the group's own.
pub(super) fn merge_group(variables: &RunnerVariables, fields: &Fields<'_>) -> Result<EventKind, EventError> {
    // Hosts that send no action ask for checks: that was the only one at first.
    if let Some(action) = fields.text("action")?
        && action != "checks_requested"
    {
        return Ok(EventKind::NotOurs(NotOurs::MergeGroupAction { action: action.to_owned() }));
    }
    let head_sha = match (fields.commit("merge_group.head_sha")?, &variables.sha) {
        (Some(sha), _) => sha,
        (None, Some(text)) => fields.read_commit(names::GITHUB_SHA, text, "leave the variable as the runner set it")?,
        (None, None) => return Err(fields.missing("merge_group.head_sha", Some(names::GITHUB_SHA))),
    };
    let head_ref = match (fields.text("merge_group.head_ref")?, variables.reference()) {
        (Some(text), _) => full_branch(fields, "merge_group.head_ref", text)?,
        (None, Some(text)) => full_branch(fields, names::GITHUB_REF, &text)?,
        (None, None) => return Err(fields.missing("merge_group.head_ref", Some(names::GITHUB_REF))),
    };
    let base_sha = fields.required_commit("merge_group.base_sha")?;
    let base_branch = full_branch(fields, "merge_group.base_ref", fields.required("merge_group.base_ref")?)?;
    let pull_request = queued_pull_request(&head_ref);
    Ok(EventKind::MergeGroup(MergeGroup { head_sha, head_ref, base_sha, base_branch, pull_request }))
}

fn full_branch(fields: &Fields<'_>, field: &str, text: &str) -> Result<BranchName, EventError> {
    match Reference::parse(fields, field, text)? {
        Reference::Branch(branch) | Reference::MergeQueue(branch) => Ok(branch),
        Reference::Tag(_) | Reference::Other(_) => {
            Err(fields.illegal(field, text, "a branch", "pass on the payload as the host sent it"))
        }
    }
}

/// Reads `gh-readonly-queue/<base>/pr-<number>-<sha>`.
fn queued_pull_request(head_ref: &BranchName) -> Option<u64> {
    let queue = head_ref.as_str().strip_prefix(MERGE_QUEUE_PREFIX)?;
    let (_, last) = queue.rsplit_once('/')?;
    let (number, _) = last.strip_prefix("pr-")?.split_once('-')?;
    number.parse().ok()
}
