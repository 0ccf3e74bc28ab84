//! Outcomes as Markdown for the host of the repository: the comment of a pull request, the check, the job summary.
//!
//! The answer stands first, in one sentence; what explains it follows, what few people need is folded. Everything
//! that did not come from this program is escaped for its place. Deliberately absent: sending any of it.

mod changes;
mod chart;
mod check;
mod comment;
mod headline;
mod metrics;
mod plan;
mod reasons;
mod review;
mod sections;
mod summary;
#[cfg(test)]
mod tests;
mod versions;
mod words;

pub use check::CheckText;
pub use check::check;
pub use check::model_check;
pub use comment::comment;
pub use headline::headline;
pub use headline::model_headline;
pub use summary::summary;

use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::review::ReviewRecord;
use serde::Deserialize;
use serde::Serialize;

/// What a report can say and link beside its outcome. All of it may be missing: then the report says less.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The repository on its host: `acme/models`.
    pub repository: Option<String>,
    /// The host: `https://github.com`.
    pub server_url: Option<String>,
    /// The page of this run, where the full report stands in the job summary.
    pub run_url: Option<String>,
    /// The commit that is reported on.
    pub commit: Option<CommitSha>,
    /// Who asked.
    pub actor: Option<String>,
    /// The pull request.
    pub pull_request: Option<u64>,
    /// The branch that it goes into, or that was pushed.
    pub base: Option<BranchName>,
    /// The branch that it comes from.
    pub head: Option<BranchName>,
    /// What the pull request's review has pinned.
    pub review: Option<ReviewRecord>,
}

impl Context {
    /// Returns the address of a page of the repository, where its host is known.
    fn page(&self, path: &str) -> Option<String> {
        let (server, repository) = (self.server_url.as_ref()?, self.repository.as_ref()?);
        Some(format!("{}/{repository}/{path}", server.trim_end_matches('/')))
    }
}
