//! The forge on GitHub: github.com and Enterprise Server, over REST.
//!
//! octocrab carries the requests. Its models, its retries, its redirects and its error texts are not used: models
//! broke on answers that lacked a field that nothing needs, a retry sent a POST four times, and an error printed as
//! "GitHub". Deliberately absent: reading the environment (`cli`), and cutting reports to size (`report`).

mod checks;
mod client;
mod comments;
mod contents;
mod error;
mod identity;
mod permission;
mod pulls;
mod retry;
mod reviews;
mod statuses;
mod wire;

pub use client::TimeLimits;
pub use retry::Patience;

use crate::adapters::github::client::Call;
use crate::adapters::github::client::Client;
use crate::adapters::github::error::Refusal;
use crate::adapters::github::error::Subject;
use crate::adapters::github::identity::Identity;
use crate::adapters::network::Network;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::secret::Secret;
use crate::ports::clock::Clock;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use crate::ports::forge::Check;
use crate::ports::forge::CheckReport;
use crate::ports::forge::Forge;
use crate::ports::forge::Permission;
use crate::ports::forge::PullRequest;
use crate::ports::forge::PullRequestReview;
use crate::ports::forge::Status;
use crate::ports::forge::StatusReport;
use crate::ports::forge::Written;
use std::sync::Arc;
use std::sync::Mutex;
use tokio::sync::OnceCell;

/// How GitHub is reached, and as whom.
#[derive(Debug, Clone)]
pub struct GitHubSettings {
    /// The address of the API, such as `https://api.github.com` or `https://HOST/api/v3`: what the runner says in
    /// `GITHUB_API_URL`.
    pub api_url: String,
    /// `owner/name`.
    pub repository: String,
    /// The token. None is an error that says where one comes from.
    pub token: Option<Secret>,
    /// Login that comments are written as, where it is known: `github-actions[bot]` for the token of a job.
    pub author: Option<String>,
    /// How hosts outside are reached.
    pub network: Network,
    /// How long one request may take.
    pub time_limits: TimeLimits,
    /// How often and how long a request is tried.
    pub patience: Patience,
}

/// The repository on GitHub.
pub struct GitHub {
    client: Client,
    owner: String,
    name: String,
    identity: Identity,
    /// Whether the token sees the repository: asked once, where an answer of 404 could mean either.
    visible: OnceCell<()>,
    /// The checks that were listed last.
    listed: Mutex<Option<checks::Listed>>,
}

impl GitHub {
    /// Prepares to talk to GitHub. Nothing is sent.
    ///
    /// Asynchronous because octocrab starts a task of its own.
    pub async fn connect(settings: GitHubSettings, clock: Arc<dyn Clock>) -> Result<Self, PortError> {
        let doing = format!("talk to GitHub about {}", settings.repository);
        let configuration =
            |why: &str, hint: &str| PortError::because(PortErrorKind::Configuration, &doing, why.to_owned()).hint(hint);
        let GitHubSettings { api_url, repository, token, author, network, time_limits, patience } = settings;
        let Some(token) = token.filter(|token| !token.expose().trim().is_empty()) else {
            return Err(PortError::because(PortErrorKind::Permission, &doing, "there is no token").hint(
                "Set GITHUB_TOKEN for this step: `env: { GITHUB_TOKEN: \"${{ github.token }}\" }`. The Action does it \
                 by itself.",
            ));
        };
        let legal = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        let Some((owner, name)) = repository.split_once('/').filter(|(owner, name)| legal(owner) && legal(name)) else {
            return Err(configuration(
                "the repository is not written as `owner/name`",
                "The runner says it in GITHUB_REPOSITORY; elsewhere give it manually.",
            ));
        };
        let (owner, name) = (owner.to_owned(), name.to_owned());
        let identity = Identity::new(&token, author);
        let client = Client::new(&api_url, &token, &network, time_limits, patience, clock).map_err(|why| {
            configuration(
                &why,
                "Correct that variable of the step. The runner itself sets GITHUB_API_URL, the Action GITHUB_TOKEN.",
            )
        })?;
        Ok(Self { client, owner, name, identity, visible: OnceCell::new(), listed: Mutex::new(None) })
    }

    /// The path of something in the repository.
    fn route(&self, rest: &str) -> String {
        format!("/repos/{}/{}{rest}", self.owner, self.name)
    }

    /// Tells "it is not there" from "the token does not see the repository", which GitHub answers alike.
    async fn must_be_visible(&self, doing: &str) -> Result<(), PortError> {
        self.visible
            .get_or_try_init(|| async {
                let call = Call::get(self.route(""), doing, Subject::Repository);
                let answer = self.client.send(&call).await?;
                if answer.is_success() { Ok(()) } else { Err(Refusal::of(&call, &answer)) }
            })
            .await
            .copied()
    }
}

#[async_trait::async_trait]
impl Forge for GitHub {
    async fn default_branch(&self) -> Result<BranchName, PortError> {
        self.read_default_branch().await
    }

    async fn branch_head(&self, branch: &BranchName) -> Result<Option<CommitSha>, PortError> {
        self.read_branch_head(branch).await
    }

    async fn file_at(&self, path: &str, ref_text: &str) -> Result<Option<String>, PortError> {
        self.read_file_at(path, ref_text).await
    }

    async fn pull_requests_of_commit(&self, commit: &CommitSha) -> Result<Vec<PullRequest>, PortError> {
        self.list_pulls_of_commit(commit).await
    }

    async fn open_pull_requests_with_head(
        &self,
        branch: &BranchName,
        commit: &CommitSha,
    ) -> Result<Vec<PullRequest>, PortError> {
        self.list_open_pulls(branch, commit).await
    }

    async fn pull_request(&self, number: u64) -> Result<Option<PullRequest>, PortError> {
        self.read_pull(number).await
    }

    async fn commit_author(&self, commit: &CommitSha) -> Result<Option<String>, PortError> {
        self.read_commit_author(commit).await
    }

    async fn pull_request_authors(&self, number: u64) -> Result<Vec<String>, PortError> {
        self.list_pull_authors(number).await
    }

    async fn reviews(&self, number: u64) -> Result<Vec<PullRequestReview>, PortError> {
        self.list_reviews(number).await
    }

    async fn permission(&self, login: &str) -> Result<Permission, PortError> {
        self.read_permission(login).await
    }

    async fn find_check(&self, commit: &CommitSha, name: &str) -> Result<Option<Check>, PortError> {
        self.newest_check(commit, name).await
    }

    async fn put_check(&self, report: &CheckReport) -> Result<Written, PortError> {
        self.write_check(report).await
    }

    async fn find_status(&self, commit: &CommitSha, context: &str) -> Result<Option<Status>, PortError> {
        self.newest_status(commit, context).await
    }

    async fn put_status(&self, report: &StatusReport) -> Result<Written, PortError> {
        self.write_status(report).await
    }

    async fn put_comment(&self, pull_request: u64, key: &str, body: &str) -> Result<Written, PortError> {
        self.write_comment(pull_request, key, body).await
    }
}
