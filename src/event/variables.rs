//! The runner's variables that matter, already taken out of the environment by somebody else.
//!
//! Deliberately absent: reading the environment, and variables about the machine rather than the event.

use crate::model::variables;
use std::borrow::Cow;

/// The variables that say what a run is about, under GitHub's names. Other hosts map theirs onto these.
///
/// Nothing here is validated: [`crate::event::parse`] does that. Source of the meanings: "Variables reference"
/// in GitHub's documentation of Actions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunnerVariables {
    /// `GITHUB_EVENT_NAME`: the event, such as `push`.
    pub event_name: Option<String>,
    /// `GITHUB_SHA`: the commit of a push; on pull requests a test merge; on most other events the head of the
    /// default branch. Never to be believed blindly.
    pub sha: Option<String>,
    /// `GITHUB_REF`: the full reference, such as `refs/heads/dev`.
    pub git_ref: Option<String>,
    /// `GITHUB_REF_NAME`: the short name of the reference.
    pub ref_name: Option<String>,
    /// `GITHUB_REF_TYPE`: `branch` or `tag`.
    pub ref_type: Option<String>,
    /// `GITHUB_HEAD_REF`: the branch of a pull request. Only on its events.
    pub head_ref: Option<String>,
    /// `GITHUB_BASE_REF`: the branch that a pull request goes into. Only on its events.
    pub base_ref: Option<String>,
    /// `GITHUB_REPOSITORY`: `owner/name`.
    pub repository: Option<String>,
    /// `GITHUB_REPOSITORY_ID`: the host's number, which survives a rename.
    pub repository_id: Option<String>,
    /// The repository's default branch. GitHub has no variable for it (the payload says it); other hosts do.
    pub default_branch: Option<String>,
    /// `GITHUB_RUN_ID`: the same over re-runs.
    pub run_id: Option<String>,
    /// `GITHUB_RUN_ATTEMPT`: from 1.
    pub run_attempt: Option<String>,
    /// `GITHUB_ACTOR`: who caused the event.
    pub actor: Option<String>,
    /// `GITHUB_TRIGGERING_ACTOR`: who started this run of it, which differs on a re-run.
    pub triggering_actor: Option<String>,
    /// `GITHUB_SERVER_URL`: such as `https://github.com`.
    pub server_url: Option<String>,
    /// `GITHUB_JOB`: the id of the job in its workflow.
    pub job: Option<String>,
    /// `GITHUB_WORKFLOW_REF`: `owner/name/<path of the workflow file>@<reference>`.
    pub workflow_ref: Option<String>,
}

impl RunnerVariables {
    /// Takes the variables from a look-up by GitHub's names. A variable that is empty counts as not set.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Self {
            event_name: get(variables::GITHUB_EVENT_NAME),
            sha: get(variables::GITHUB_SHA),
            git_ref: get(variables::GITHUB_REF),
            ref_name: get(variables::GITHUB_REF_NAME),
            ref_type: get(variables::GITHUB_REF_TYPE),
            head_ref: get(variables::GITHUB_HEAD_REF),
            base_ref: get(variables::GITHUB_BASE_REF),
            repository: get(variables::GITHUB_REPOSITORY),
            repository_id: get(variables::GITHUB_REPOSITORY_ID),
            default_branch: None,
            run_id: get(variables::GITHUB_RUN_ID),
            run_attempt: get(variables::GITHUB_RUN_ATTEMPT),
            actor: get(variables::GITHUB_ACTOR),
            triggering_actor: get(variables::GITHUB_TRIGGERING_ACTOR),
            server_url: get(variables::GITHUB_SERVER_URL),
            job: get(variables::GITHUB_JOB),
            workflow_ref: get(variables::GITHUB_WORKFLOW_REF),
        }
    }

    /// Returns the full reference, put together from its short name and type where only those are set.
    pub(super) fn reference(&self) -> Option<Cow<'_, str>> {
        if let Some(reference) = &self.git_ref {
            return Some(Cow::Borrowed(reference));
        }
        let folder = match self.ref_type.as_deref()? {
            "branch" => "heads",
            "tag" => "tags",
            _ => return None,
        };
        self.ref_name.as_ref().map(|name| Cow::Owned(format!("refs/{folder}/{name}")))
    }
}
