//! The host of the repository: what its people look at (checks, statuses, comments) and what it knows (pull
//! requests, branch heads, files at a ref, permissions).
//!
//! Everything that is written can be written again: it is found first, left alone where nothing changed, and
//! never doubled. Deliberately absent: what a report says and how it is cut to size (`report`), and files and
//! commands of a CI runner.

use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::ports::error::PortError;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// Longest summary or text of a check, in characters. Source: "Create a check run" in GitHub's REST reference.
pub const CHECK_TEXT_LIMIT: usize = 65_535;

/// Longest comment, in characters. Source: GitHub's answer "Body is too long (maximum is 65536 characters)".
pub const COMMENT_LIMIT: usize = 65_536;

/// Longest description of a commit status, in characters. Source: "Create a commit status" in the same reference.
pub const STATUS_DESCRIPTION_LIMIT: usize = 140;

/// A pull request, as far as anything here depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Whether it is open, merged or closed without merging.
    pub state: PullRequestState,
    /// Whether it is a draft.
    pub draft: bool,
    /// Its title: foreign text.
    pub title: String,
    /// Where people look at it.
    pub url: String,
    /// Login of its author. `None`: the account is gone.
    pub author: Option<String>,
    /// Its last commit.
    pub head: CommitSha,
    /// The branch of its head. It may be gone, and in a fork it is not one of ours.
    pub head_branch: BranchName,
    /// Whether the head is in another repository, or in one that is gone.
    pub from_fork: bool,
    /// The branch that it wants into.
    pub base_branch: BranchName,
}

/// How far a pull request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullRequestState {
    /// Open.
    Open,
    /// Merged.
    Merged,
    /// Closed without merging.
    Closed,
}

/// A person's review of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestReview {
    /// The reviewer's login. `None`: the account is gone.
    pub reviewer: Option<String>,
    /// What they said.
    pub state: ReviewState,
    /// The commit that they looked at. `None`: it is gone.
    pub commit: Option<CommitSha>,
}

/// What a review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewState {
    /// Yes.
    Approved,
    /// Not like this.
    ChangesRequested,
    /// It was one of the two, and does not count any more.
    Dismissed,
    /// Neither: a comment, or a review that is not sent yet. It changes nothing of what the person said before.
    Remark,
}

/// What a person may do in the repository, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Manage issues and pull requests.
    Triage,
    /// Push.
    Write,
    /// Manage the repository.
    Maintain,
    /// Everything.
    Admin,
}

impl Permission {
    /// Returns the word for people, for the rules and for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Write => "write",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a completed check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckConclusion {
    /// All is well.
    Success,
    /// It says no: a merge may be held up by it.
    Failure,
    /// It has no opinion.
    Neutral,
    /// It was stopped.
    Cancelled,
    /// A person has to do something.
    ActionRequired,
}

impl CheckConclusion {
    /// Returns the host's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Neutral => "neutral",
            Self::Cancelled => "cancelled",
            Self::ActionRequired => "action_required",
        }
    }
}

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// A later run will complete it.
    InProgress,
    /// It ended.
    Completed(CheckConclusion),
}

/// A check of ours, as it was found on a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The host's number of it.
    pub id: u64,
    /// How far it is. `None`: completed with a word that is not one of ours, such as `stale`.
    pub state: Option<CheckState>,
    /// What [`CheckReport::external_id`] said.
    pub external_id: String,
    /// Its text, with whatever data was kept in it.
    pub text: Option<String>,
    /// The texts of older checks of ours of that name on the commit, newest first: two runs may have made one each.
    pub older: Vec<String>,
    /// Where people look at it.
    pub url: Option<String>,
}

/// How much a note on a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnnotationLevel {
    /// Good to know.
    Notice,
    /// Worth a look.
    Warning,
    /// It says no.
    Failure,
}

/// A note on lines of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// The file, relative to the root of the repository.
    pub path: String,
    /// First line, from 1.
    pub start_line: u32,
    /// Last line.
    pub end_line: u32,
    /// How much it matters.
    pub level: AnnotationLevel,
    /// In a few words.
    pub title: Option<String>,
    /// In full.
    pub message: String,
}

/// What a check should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The commit: for a pull request its head, never the test merge.
    pub commit: CommitSha,
    /// The name: with the commit it identifies the check.
    pub name: String,
    /// What it belongs to, for a later run: at most 128 characters.
    pub external_id: String,
    /// How far it is.
    pub state: CheckState,
    /// The answer in a sentence.
    pub title: String,
    /// Markdown, at most [`CHECK_TEXT_LIMIT`].
    pub summary: String,
    /// More Markdown, at most [`CHECK_TEXT_LIMIT`].
    pub text: Option<String>,
    /// Where the whole report is.
    pub details_url: Option<String>,
    /// Notes on lines.
    pub annotations: Vec<Annotation>,
}

/// The state of a commit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusState {
    /// Not known yet.
    Pending,
    /// All is well.
    Success,
    /// It says no.
    Failure,
    /// It could not be found out.
    Error,
}

impl StatusState {
    /// Returns the host's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

/// What a commit status should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    /// The commit.
    pub commit: CommitSha,
    /// The name: with the commit it identifies the status. Upper and lower case count the same.
    pub context: String,
    /// The state.
    pub state: StatusState,
    /// In a sentence, at most [`STATUS_DESCRIPTION_LIMIT`].
    pub description: String,
    /// Where the whole report is.
    pub target_url: Option<String>,
}

/// A commit status, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: StatusState,
    /// In a sentence.
    pub description: String,
    /// Where the whole report is.
    pub target_url: Option<String>,
}

/// What writing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Write {
    /// It was not there.
    Created,
    /// It was there and said something else.
    Updated,
    /// It was there and said the same: nothing was sent.
    Unchanged,
}

/// What was written, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What writing came to.
    pub write: Write,
    /// Where people look at it.
    pub url: Option<String>,
}

/// The host of the repository.
///
/// A missing permission is [`PortErrorKind::Permission`](crate::ports::PortErrorKind::Permission) with a hint that
/// names the line to add; a report that is longer than the host allows is refused before it is sent.
#[async_trait::async_trait]
pub trait Forge: Send + Sync {
    /// Returns the default branch of the repository, read now.
    async fn default_branch(&self) -> Result<BranchName, PortError>;

    /// Returns the head of a branch, read now. `None`: there is no such branch.
    async fn branch_head(&self, branch: &BranchName) -> Result<Option<CommitSha>, PortError>;

    /// Returns a text file as it is at a branch, tag or commit. `None`: there is no such file.
    ///
    /// A folder, a submodule, a symbolic link that leads out of the repository, a file above 1 MB and one that is
    /// not UTF-8 are errors that say so.
    async fn file_at(&self, path: &str, ref_text: &str) -> Result<Option<String>, PortError>;

    /// Lists the pull requests that a commit belongs to, merged ones too, newest first.
    async fn pull_requests_of_commit(&self, commit: &CommitSha) -> Result<Vec<PullRequest>, PortError>;

    /// Lists the open pull requests from a branch of this repository that stand at a commit.
    async fn open_pull_requests_with_head(
        &self,
        branch: &BranchName,
        commit: &CommitSha,
    ) -> Result<Vec<PullRequest>, PortError>;

    /// Reads one pull request. `None`: there is none of that number.
    async fn pull_request(&self, number: u64) -> Result<Option<PullRequest>, PortError>;

    /// Returns the login of the author of a commit, where the host knows them.
    async fn commit_author(&self, commit: &CommitSha) -> Result<Option<String>, PortError>;

    /// Lists the logins of the authors and committers of a pull request's commits, each once.
    async fn pull_request_authors(&self, number: u64) -> Result<Vec<String>, PortError>;

    /// Lists the reviews of a pull request, oldest first.
    async fn reviews(&self, number: u64) -> Result<Vec<PullRequestReview>, PortError>;

    /// Tells what a person may do here. Somebody unknown may do nothing.
    async fn permission(&self, login: &str) -> Result<Permission, PortError>;

    /// Finds our newest check of a name on a commit, whichever run wrote it. Checks of another App do not count, whatever
    /// they say.
    async fn find_check(&self, commit: &CommitSha, name: &str) -> Result<Option<Check>, PortError>;

    /// Writes a check: created, updated or left alone. One that had completed and goes on is begun anew.
    async fn put_check(&self, report: &CheckReport) -> Result<Written, PortError>;

    /// Finds the newest commit status of a context.
    async fn find_status(&self, commit: &CommitSha, context: &str) -> Result<Option<Status>, PortError>;

    /// Writes a commit status, unless the newest one says the same.
    async fn put_status(&self, report: &StatusReport) -> Result<Written, PortError>;

    /// Writes the one comment of ours that has this key on a pull request: `[A-Za-z0-9._/-]`, at most 100.
    ///
    /// The body comes without any marker. A comment of somebody else that carries ours is not taken for it.
    async fn put_comment(&self, pull_request: u64, key: &str, body: &str) -> Result<Written, PortError>;
}
