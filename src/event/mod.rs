//! What the CI host told us happened: runner variables and payload bytes in, a validated event out.
//!
//! [`parse`] is one pure function. It reads no environment, no disk and no clock: somebody else hands it the
//! variables and the bytes. Deliberately absent: what to do about an event (`plan`), which stage a branch
//! reaches (`config`), and whether a commit exists (`adapters::git`).

mod command;
mod command_inputs;
mod command_text;
mod dispatch;
mod error;
mod fields;
mod job;
mod not_ours;
mod parse;
mod pull_request;
mod push;
mod trust;
mod variables;

pub use command::Action;
pub use command::Command;
pub use command::GroupChoice;
pub use command_inputs::CommandError;
pub use command_inputs::CommandInputs;
pub use command_text::CommitText;
pub use command_text::GroupText;
pub use command_text::Reason;
pub use dispatch::FORM_INPUTS;
pub use dispatch::Hint;
pub use dispatch::HintCause;
pub use error::EventError;
pub use error::EventErrorKind;
pub use job::Job;
pub use not_ours::NotOurs;
pub use parse::parse;
pub use parse::parse_job;
pub use pull_request::MergeGroup;
pub use pull_request::PullRequestBase;
pub use pull_request::PullRequestChange;
pub use pull_request::PullRequestEvent;
pub use pull_request::PullRequestHead;
pub use push::BranchMoved;
pub use trust::ForeignCause;
pub use trust::RefusedCause;
pub use trust::Trust;
pub use variables::RunnerVariables;

use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::RepositoryId;
use crate::model::text::is_invisible;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// One thing that happened, validated, with how far it may be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The host's word for it, such as `push`. Foreign text where the event is not one of ours.
    pub name: String,
    /// What happened.
    pub kind: EventKind,
    /// How far it may be trusted.
    pub trust: Trust,
    /// The repository as `owner/name`, where the host said so.
    pub repository: Option<RepositorySlug>,
    /// The repository's identity as far as the host knows it. The root commit is never filled in here.
    pub repository_id: RepositoryId,
    /// The branch whose rules count for every event but a pull request.
    pub default_branch: Option<BranchName>,
    /// Who caused it, as the host names them.
    pub actor: Option<String>,
    /// Who ran it again, where that is somebody else than the actor.
    pub rerun_by: Option<String>,
    /// The branch and the commit that the run was started on. Only where a person chose them.
    pub started_on: Option<BranchHead>,
    /// The run on the CI host.
    pub run: Run,
}

impl Event {
    /// Returns the commit that reports belong to, where the event names one.
    ///
    /// For a pull request this is the head of its branch and never `GITHUB_SHA`: that is a test merge, and
    /// nobody finds a check on it. Hints and ticks name none; their commits are read from the trainings.
    pub fn reported_commit(&self) -> Option<&CommitSha> {
        match &self.kind {
            EventKind::BranchMoved(moved) => Some(&moved.after),
            EventKind::PullRequest(pull_request) => Some(&pull_request.head.sha),
            EventKind::MergeGroup(group) => Some(&group.head_sha),
            EventKind::ByHand(_) => self.started_on.as_ref().and_then(|head| head.sha.as_ref()),
            EventKind::BranchDeleted { .. } | EventKind::Hint(_) | EventKind::Tick { .. } | EventKind::NotOurs(_) => {
                None
            }
        }
    }

    /// Returns the person whose permission counts: see [`Job::person`].
    pub fn person(&self) -> Option<&str> {
        job::person(&self.name, self.actor.as_deref(), self.rerun_by.as_deref())
    }

    /// Returns who is recorded: see [`Job::acted_by`].
    pub fn acted_by(&self) -> Option<&str> {
        job::acted_by(&self.name, self.actor.as_deref(), self.rerun_by.as_deref())
    }

    /// Returns the branch whose rules judge this event: the base of a pull request or a merge queue, else the
    /// default branch. Never the branch that asks to be judged.
    pub fn rules_branch(&self) -> Option<&BranchName> {
        match &self.kind {
            EventKind::PullRequest(pull_request) => Some(&pull_request.base.branch),
            EventKind::MergeGroup(group) => Some(&group.base_branch),
            EventKind::BranchMoved(_)
            | EventKind::BranchDeleted { .. }
            | EventKind::ByHand(_)
            | EventKind::Hint(_)
            | EventKind::Tick { .. }
            | EventKind::NotOurs(_) => self.default_branch.as_ref(),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A branch was created or points at another commit now.
    BranchMoved(BranchMoved),
    /// A branch is gone.
    BranchDeleted {
        /// Its name.
        branch: BranchName,
        /// Where it last pointed, where the host said so.
        last: Option<CommitSha>,
    },
    /// A pull request was opened, changed or closed.
    PullRequest(PullRequestEvent),
    /// A merge queue asks whether a group of pull requests may be merged.
    MergeGroup(MergeGroup),
    /// A person asked for something.
    ByHand(Command),
    /// Something happened in the cloud: a reason to look, and nothing to believe.
    Hint(Hint),
    /// A schedule fired.
    Tick {
        /// The cron line as written in the workflow.
        cron: Option<String>,
    },
    /// Nothing for us, and why.
    NotOurs(NotOurs),
}

/// A branch and the commit that it pointed at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchHead {
    /// The branch.
    pub branch: BranchName,
    /// The commit, where the host said so.
    pub sha: Option<CommitSha>,
}

/// The run on the CI host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// `<run id>/<job>`: the same over re-runs of the job, so that a re-run takes over what its predecessor
    /// held. Absent where the host numbers no runs: then the caller makes a key that no other process has.
    pub key: Option<String>,
    /// Which attempt of the run this is, from 1. Above 1, a person asked to run it again.
    pub attempt: u32,
    /// Its address for people.
    pub url: Option<String>,
    /// The path of the workflow file, such as `.github/workflows/models.yml`.
    pub workflow: Option<String>,
}

/// A repository as `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositorySlug(String);

/// Text that is not `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a repository: write `owner/name`, with letters, digits, `.`, `_` and `-` in both parts")]
pub struct RepositorySlugError;

impl RepositorySlug {
    /// Parses `owner/name`.
    pub fn parse(text: &str) -> Result<Self, RepositorySlugError> {
        let is_part = |part: &str| {
            !part.is_empty()
                && part.len() <= 100
                && part != "."
                && part != ".."
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        match text.split_once('/') {
            Some((owner, name)) if is_part(owner) && is_part(name) => Ok(Self(text.to_owned())),
            _ => Err(RepositorySlugError),
        }
    }

    /// Returns `owner/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RepositorySlug {
    type Error = RepositorySlugError;
    fn try_from(text: String) -> Result<Self, RepositorySlugError> {
        Self::parse(&text)
    }
}

impl From<RepositorySlug> for String {
    fn from(slug: RepositorySlug) -> String {
        slug.0
    }
}

impl fmt::Display for RepositorySlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns foreign text in a form that is safe and short enough for a sentence: control and direction
/// characters become their escapes, and what is too long ends with `…`.
fn shown(text: &str) -> String {
    const LIMIT: usize = 80;
    let mut safe = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LIMIT {
            safe.push('…');
            break;
        }
        if c.is_control() || is_invisible(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_is_short_and_plain() {
        assert_eq!(shown("a\nb\u{202e}c`d`"), "a\\nb\\u{202e}c`d`");
        assert_eq!(shown("a\u{200b}b\u{feff}"), "a\\u{200b}b\\u{feff}");
        assert_eq!(shown(&"ü".repeat(500)).chars().count(), 81);
    }

    #[test]
    fn a_slug_has_two_plain_parts() {
        for text in ["", "a", "a/", "/b", "a/b/c", "a/..", "a b/c", "a/b\n", "a/ü"] {
            assert!(RepositorySlug::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(RepositorySlug::parse("acme/risk.models").map(String::from), Ok("acme/risk.models".to_owned()));
    }
}
