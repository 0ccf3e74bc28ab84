//! Who wrote the commits of a pull request, and who reviewed it.

use crate::adapters::github::GitHub;
use crate::adapters::github::client::Call;
use crate::adapters::github::error::Refusal;
use crate::adapters::github::error::Subject;
use crate::adapters::github::wire;
use crate::model::git::CommitSha;
use crate::ports::error::PortError;
use crate::ports::forge::PullRequestReview;
use crate::ports::forge::ReviewState;
use std::collections::BTreeSet;

impl GitHub {
    pub(super) async fn read_commit_author(&self, commit: &CommitSha) -> Result<Option<String>, PortError> {
        let doing = format!("find out who wrote commit {}", commit.short());
        let call = Call::get(self.route(&format!("/commits/{commit}")), doing, Subject::Contents);
        let answer = self.client.send(&call).await?;
        // A commit that was never pushed, or is gone: GitHub knows no author, and the checkout's word counts.
        if matches!(answer.status.as_u16(), 404 | 422) {
            return Ok(None);
        }
        let found: wire::WholeCommit = answer.read(&call)?;
        Ok(found.author.and_then(|user| user.login))
    }

    pub(super) async fn list_pull_authors(&self, number: u64) -> Result<Vec<String>, PortError> {
        let route = self.route(&format!("/pulls/{number}/commits?per_page=100"));
        let call = Call::get(route, format!("list the commits of pull request {number}"), Subject::Pulls);
        let pages: Result<Vec<Vec<wire::WholeCommit>>, PortError> = self.client.pages(&call).await;
        let pages = match pages {
            // A host that has no such list: its author, and the checkout's commits, are what is known.
            Err(error) if error.kind == crate::ports::error::PortErrorKind::NotFound => return Ok(Vec::new()),
            pages => pages?,
        };
        let people = pages.into_iter().flatten().flat_map(|commit| [commit.author, commit.committer]);
        let logins: BTreeSet<String> = people.flatten().filter_map(|user| user.login).collect();
        Ok(logins.into_iter().collect())
    }

    pub(super) async fn list_reviews(&self, number: u64) -> Result<Vec<PullRequestReview>, PortError> {
        let route = self.route(&format!("/pulls/{number}/reviews?per_page=100"));
        let call = Call::get(route, format!("list the reviews of pull request {number}"), Subject::Pulls);
        let pages: Vec<Vec<wire::Review>> = self.client.pages(&call).await?;
        pages.into_iter().flatten().map(|review| read(review, &call)).collect()
    }
}

fn read(review: wire::Review, call: &Call) -> Result<PullRequestReview, PortError> {
    let commit = review.commit_id.as_deref().map(CommitSha::parse).transpose();
    Ok(PullRequestReview {
        reviewer: review.user.map(|user| user.login),
        state: match review.state.to_ascii_uppercase().as_str() {
            "APPROVED" => ReviewState::Approved,
            "CHANGES_REQUESTED" => ReviewState::ChangesRequested,
            "DISMISSED" => ReviewState::Dismissed,
            _ => ReviewState::Remark,
        },
        commit: commit.map_err(|why| Refusal::odd(call, why.to_string()))?,
    })
}
