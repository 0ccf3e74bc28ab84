//! How far an event may be trusted: whose code it brings, and with which rights it runs.
//!
//! Unknown fails closed: an event of which it cannot be told whose code it brings counts as foreign.

use crate::event::fields::Fields;
use crate::model::git::CommitSha;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// The login of GitHub's own robot for dependency updates. Its pull requests come from the repository itself,
/// but run like those of a fork: read-only token, no secrets. Source: "Dependabot on GitHub Actions" in
/// GitHub's documentation.
const DEPENDABOT: &str = "dependabot[bot]";

/// How far an event may be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// It comes from somebody who may write to the repository.
    Own,
    /// It brings code of somebody who may not: nothing is written and no cloud is called.
    Foreign {
        /// Why.
        why: ForeignCause,
    },
    /// It runs with the repository's rights and may bring foreign code all the same.
    ///
    /// Where the checkout stands on `head`, or `head` is unknown, the run must be refused. Elsewhere it counts
    /// as foreign.
    Refused {
        /// Why.
        why: RefusedCause,
        /// The commit that must not be checked out in such a run.
        head: Option<CommitSha>,
    },
}

impl Trust {
    /// Tells whether anything may be written because of the event.
    pub fn may_write(&self) -> bool {
        match self {
            Self::Own => true,
            Self::Foreign { .. } | Self::Refused { .. } => false,
        }
    }
}

/// Why an event is foreign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignCause {
    /// The pull request comes from another repository.
    Fork,
    /// The pull request comes from a repository that is gone, or that the host did not name.
    ForkUnnamed,
    /// Dependabot opened the pull request.
    Dependabot,
    /// The host did not say who opened the pull request.
    AuthorUnknown,
    /// The event is none that we know, so neither is who can cause it.
    EventUnknown,
}

impl fmt::Display for ForeignCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fork => "the pull request comes from a fork",
            Self::ForkUnnamed => "the pull request comes from a fork that was deleted or is not named",
            Self::Dependabot => "Dependabot opened the pull request, and the host gives it no more rights than a fork",
            Self::AuthorUnknown => "the host did not say who opened the pull request",
            Self::EventUnknown => "anybody may have caused this event",
        })
    }
}

/// Why an event is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedCause {
    /// `pull_request_target`.
    PullRequestTarget,
    /// `workflow_run`.
    WorkflowRun,
}

impl fmt::Display for RefusedCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PullRequestTarget => {
                "`pull_request_target` runs with this repository's rights, so code of a pull request must not be checked out in it; use `pull_request`"
            }
            Self::WorkflowRun => {
                "`workflow_run` runs with this repository's rights whatever started the first workflow, so its code must not be checked out in it; use `push` or `pull_request`"
            }
        })
    }
}

/// Judges a `pull_request` by where its code comes from.
///
/// `head.repo.fork` says nothing here: it is also true for a pull request inside a fork. `head.repo` is null
/// once the fork is deleted.
pub(super) fn of_pull_request(fields: &Fields<'_>) -> Trust {
    if let Some(why) = fork(fields) {
        return Trust::Foreign { why };
    }
    match fields.told("pull_request.user.login") {
        Some(DEPENDABOT) => Trust::Foreign { why: ForeignCause::Dependabot },
        Some(_) => Trust::Own,
        None => Trust::Foreign { why: ForeignCause::AuthorUnknown },
    }
}

/// Tells whether a pull request comes from another repository, and why it is taken to.
pub(super) fn fork(fields: &Fields<'_>) -> Option<ForeignCause> {
    let head = fields.told("pull_request.head.repo.full_name");
    let base = fields.told("pull_request.base.repo.full_name").or_else(|| fields.told("repository.full_name"));
    match (head, base) {
        (Some(head), Some(base)) if head == base => None,
        (Some(_), Some(_)) => Some(ForeignCause::Fork),
        _ => Some(ForeignCause::ForkUnnamed),
    }
}
