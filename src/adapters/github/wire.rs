//! GitHub's answers, cut to the fields that are read. Whatever else an answer has, or lacks, does not matter.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) login: String,
}

/// GraphQL's answer about itself: errors come with status 200 and without data.
#[derive(Debug, Deserialize)]
pub(super) struct Viewer {
    #[serde(default)]
    pub(super) data: Option<ViewerData>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ViewerData {
    #[serde(default)]
    pub(super) viewer: Option<User>,
}

#[derive(Debug, Deserialize)]
pub(super) struct GitRef {
    pub(super) object: GitObject,
}

#[derive(Debug, Deserialize)]
pub(super) struct GitObject {
    pub(super) sha: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Content {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) size: u64,
    #[serde(default)]
    pub(super) encoding: Option<String>,
    #[serde(default)]
    pub(super) content: Option<String>,
    #[serde(default)]
    pub(super) target: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pull {
    pub(super) number: u64,
    pub(super) state: String,
    #[serde(default)]
    pub(super) draft: Option<bool>,
    pub(super) title: String,
    pub(super) html_url: String,
    #[serde(default)]
    pub(super) user: Option<User>,
    #[serde(default)]
    pub(super) merged_at: Option<String>,
    pub(super) head: PullEnd,
    pub(super) base: PullEnd,
}

#[derive(Debug, Deserialize)]
pub(super) struct PullEnd {
    pub(super) sha: String,
    #[serde(rename = "ref")]
    pub(super) branch: String,
    /// Null where the fork is gone.
    #[serde(default)]
    pub(super) repo: Option<Repository>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WholeRepository {
    pub(super) default_branch: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    pub(super) id: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Review {
    /// Null where the account is gone.
    #[serde(default)]
    pub(super) user: Option<User>,
    pub(super) state: String,
    /// Null where the commit is gone.
    #[serde(default)]
    pub(super) commit_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WholeCommit {
    /// Null where GitHub knows no account of that address.
    #[serde(default)]
    pub(super) author: Option<CommitPerson>,
    #[serde(default)]
    pub(super) committer: Option<CommitPerson>,
}

/// Empty where the account is gone.
#[derive(Debug, Deserialize)]
pub(super) struct CommitPerson {
    #[serde(default)]
    pub(super) login: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Collaborator {
    pub(super) permission: String,
    /// Only here `maintain` and `triage` show. Older Enterprise Servers lack it.
    #[serde(default)]
    pub(super) role_name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckRuns {
    pub(super) check_runs: Vec<CheckRun>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct CheckRun {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) conclusion: Option<String>,
    #[serde(default)]
    pub(super) external_id: Option<String>,
    #[serde(default)]
    pub(super) html_url: Option<String>,
    #[serde(default)]
    pub(super) output: CheckOutput,
    #[serde(default)]
    pub(super) app: Option<App>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct CheckOutput {
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) annotations_count: usize,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct App {
    #[serde(default)]
    pub(super) slug: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckAnnotation {
    pub(super) path: String,
    pub(super) start_line: u32,
    pub(super) end_line: u32,
    #[serde(default)]
    pub(super) annotation_level: Option<String>,
    #[serde(default)]
    pub(super) title: Option<String>,
    #[serde(default)]
    pub(super) message: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CombinedStatus {
    pub(super) statuses: Vec<Status>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) state: String,
    pub(super) context: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) target_url: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Comment {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) html_url: Option<String>,
    #[serde(default)]
    pub(super) body: Option<String>,
    /// Null where the account is gone.
    #[serde(default)]
    pub(super) user: Option<CommentAuthor>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct CommentAuthor {
    pub(super) login: String,
    #[serde(rename = "type", default)]
    pub(super) kind: String,
}
