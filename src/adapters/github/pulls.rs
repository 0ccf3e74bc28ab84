//! Pull requests: of a commit, of a branch, by number.

use crate::adapters::github::GitHub;
use crate::adapters::github::client::Call;
use crate::adapters::github::client::encoded;
use crate::adapters::github::error::Refusal;
use crate::adapters::github::error::Subject;
use crate::adapters::github::wire;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::GitNameError;
use crate::ports::error::PortError;
use crate::ports::forge::PullRequest;
use crate::ports::forge::PullRequestState;

impl GitHub {
    pub(super) async fn list_pulls_of_commit(&self, commit: &CommitSha) -> Result<Vec<PullRequest>, PortError> {
        let route = self.route(&format!("/commits/{commit}/pulls?per_page=100"));
        self.list_pulls(Call::get(
            route,
            format!("find the pull requests of commit {}", commit.short()),
            Subject::Pulls,
        ))
        .await
    }

    pub(super) async fn list_open_pulls(
        &self,
        branch: &BranchName,
        commit: &CommitSha,
    ) -> Result<Vec<PullRequest>, PortError> {
        let head = encoded(&format!("{}:{branch}", self.owner));
        let route = self.route(&format!("/pulls?state=open&head={head}&per_page=100"));
        let call = Call::get(route, format!("find the open pull requests from {branch}"), Subject::Pulls);
        let mut pulls = self.list_pulls(call).await?;
        // A filter that GitHub does not understand is ignored by it, so everything is looked at again.
        pulls.retain(|pull| {
            pull.state == PullRequestState::Open
                && !pull.from_fork
                && &pull.head_branch == branch
                && &pull.head == commit
        });
        Ok(pulls)
    }

    pub(super) async fn read_pull(&self, number: u64) -> Result<Option<PullRequest>, PortError> {
        let doing = format!("read pull request {number}");
        let call = Call::get(self.route(&format!("/pulls/{number}")), &doing, Subject::Pulls);
        let answer = self.client.send(&call).await?;
        if answer.status.as_u16() == 404 {
            self.must_be_visible(&doing).await?;
            return Ok(None);
        }
        let pull: wire::Pull = answer.read(&call)?;
        convert(pull).map(Some).map_err(|why| Refusal::odd(&call, why.to_string()))
    }

    async fn list_pulls(&self, call: Call) -> Result<Vec<PullRequest>, PortError> {
        let pages: Vec<Vec<wire::Pull>> = self.client.pages(&call).await?;
        let mut pulls = pages
            .into_iter()
            .flatten()
            .map(convert)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|why| Refusal::odd(&call, why.to_string()))?;
        pulls.sort_by_key(|pull| std::cmp::Reverse(pull.number));
        Ok(pulls)
    }
}

fn convert(pull: wire::Pull) -> Result<PullRequest, GitNameError> {
    let state = match (&pull.merged_at, pull.state.as_str()) {
        (Some(_), _) => PullRequestState::Merged,
        (None, "open") => PullRequestState::Open,
        (None, _) => PullRequestState::Closed,
    };
    // Not `repo.fork`: that is also true within a fork. A number survives a rename, a name does not.
    let from_fork = match (&pull.head.repo, &pull.base.repo) {
        (Some(head), Some(base)) => head.id != base.id,
        _ => true,
    };
    Ok(PullRequest {
        number: pull.number,
        state,
        draft: pull.draft.unwrap_or(false),
        title: pull.title,
        url: pull.html_url,
        author: pull.user.map(|user| user.login),
        head: CommitSha::parse(&pull.head.sha)?,
        head_branch: BranchName::parse(&pull.head.branch)?,
        from_fork,
        base_branch: BranchName::parse(&pull.base.branch)?,
    })
}
