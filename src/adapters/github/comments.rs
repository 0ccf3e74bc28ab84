//! The one comment of ours on a pull request: found by a hidden marker *and* its author, and kept current.
//!
//! Nothing is read back from a comment: its state is the registry's, and anybody may edit it.

use crate::adapters::github::GitHub;
use crate::adapters::github::client::Call;
use crate::adapters::github::client::Created;
use crate::adapters::github::error::Refusal;
use crate::adapters::github::error::Subject;
use crate::adapters::github::wire;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use crate::ports::forge::COMMENT_LIMIT;
use crate::ports::forge::Write;
use crate::ports::forge::Written;
use serde_json::json;
use std::collections::BTreeSet;

impl GitHub {
    pub(super) async fn write_comment(&self, pull: u64, key: &str, body: &str) -> Result<Written, PortError> {
        let doing = format!("comment on pull request {pull}");
        let marker = marker(key).ok_or_else(|| {
            PortError::because(PortErrorKind::Bug, &doing, format!("`{key}` is not the key of a comment"))
        })?;
        let body = format!("{marker}\n{body}");
        let length = body.chars().count();
        if length > COMMENT_LIMIT {
            return Err(Refusal::too_long(&doing, "the comment with its marker", length, COMMENT_LIMIT));
        }
        let marked = self.marked_comments(pull, &marker).await?;
        let earlier: BTreeSet<u64> = marked.iter().map(|comment| comment.id).collect();
        let mut ours = self.only_ours(marked).await?;
        if !ours.is_empty() {
            let kept = ours.remove(0);
            self.remove_comments(pull, ours).await?;
            // None: somebody deleted it after it was listed, so it is written anew.
            if let Some(written) = self.update_comment(pull, &kept, &body).await? {
                return Ok(written);
            }
        }
        self.create_comment(pull, &marker, &body, &earlier).await
    }

    async fn create_comment(
        &self,
        pull: u64,
        marker: &str,
        body: &str,
        earlier: &BTreeSet<u64>,
    ) -> Result<Written, PortError> {
        let call = Call::post(
            self.route(&format!("/issues/{pull}/comments")),
            json!({ "body": body }),
            format!("comment on pull request {pull}"),
            Subject::Comments,
        );
        let landed = || async {
            // Not yet known may be as whom we write, so what is looked for is exactly this text, not there before,
            // from whom it can be from.
            let author = self.identity.certain();
            let found = self.marked_comments(pull, marker).await?.into_iter().find(|comment| {
                let by_us = comment.user.as_ref().is_some_and(|user| match &author {
                    Some(login) => user.login.eq_ignore_ascii_case(login),
                    None => !self.identity.is_installation() || user.kind == "Bot",
                });
                by_us && !earlier.contains(&comment.id) && same_text(comment.body.as_deref(), body)
            });
            Ok(found)
        };
        let created: wire::Comment = match self.client.create(&call, landed).await? {
            Created::Answered(answer) => answer.read(&call)?,
            Created::Landed(found) => found,
        };
        if let Some(user) = &created.user {
            self.identity.learn(&user.login);
        }
        // Another run may have done the same at the same time, or an earlier one may have written as somebody whom
        // we only now know to be us. All runs keep the oldest.
        let mut ours = self.only_ours(self.marked_comments(pull, marker).await?).await?;
        if ours.is_empty() {
            return Ok(Written { write: Write::Created, url: created.html_url });
        }
        let kept = ours.remove(0);
        self.remove_comments(pull, ours).await?;
        if kept.id == created.id {
            return Ok(Written { write: Write::Created, url: created.html_url });
        }
        let written = self.update_comment(pull, &kept, body).await?;
        Ok(written.unwrap_or(Written { write: Write::Updated, url: kept.html_url }))
    }

    /// Makes a comment say this. `None`: it is gone.
    async fn update_comment(
        &self,
        pull: u64,
        comment: &wire::Comment,
        body: &str,
    ) -> Result<Option<Written>, PortError> {
        if same_text(comment.body.as_deref(), body) {
            return Ok(Some(Written { write: Write::Unchanged, url: comment.html_url.clone() }));
        }
        let call = Call::patch(
            self.route(&format!("/issues/comments/{}", comment.id)),
            json!({ "body": body }),
            format!("update the comment on pull request {pull}"),
            Subject::Comments,
        );
        let answer = self.client.send(&call).await?;
        if matches!(answer.status.as_u16(), 404 | 410) {
            return Ok(None);
        }
        let updated: wire::Comment = answer.read(&call)?;
        Ok(Some(Written { write: Write::Updated, url: updated.html_url }))
    }

    /// Deletes second comments of ours. Another run may be doing the same.
    async fn remove_comments(&self, pull: u64, comments: Vec<wire::Comment>) -> Result<(), PortError> {
        for comment in comments {
            let call = Call::delete(
                self.route(&format!("/issues/comments/{}", comment.id)),
                format!("delete a second comment of ours on pull request {pull}"),
                Subject::Comments,
            );
            let answer = self.client.send(&call).await?;
            if !answer.is_success() && !matches!(answer.status.as_u16(), 404 | 410) {
                return Err(Refusal::of(&call, &answer));
            }
        }
        Ok(())
    }

    /// Those of marked comments that we wrote.
    async fn only_ours(&self, mut marked: Vec<wire::Comment>) -> Result<Vec<wire::Comment>, PortError> {
        // As whom we write is only asked where it matters.
        if !marked.is_empty() {
            let author = self.author().await?;
            marked.retain(|comment| comment.user.as_ref().is_some_and(|user| user.login.eq_ignore_ascii_case(&author)));
        }
        Ok(marked)
    }

    /// All comments that begin with the marker, whoever wrote them, oldest first.
    async fn marked_comments(&self, pull: u64, marker: &str) -> Result<Vec<wire::Comment>, PortError> {
        let route = self.route(&format!("/issues/{pull}/comments?per_page=100"));
        let call = Call::get(route, format!("list the comments of pull request {pull}"), Subject::Comments);
        let pages: Vec<Vec<wire::Comment>> = self.client.pages(&call).await?;
        let mut comments: Vec<wire::Comment> = pages
            .into_iter()
            .flatten()
            .filter(|comment| comment.body.as_deref().is_some_and(|body| body.starts_with(marker)))
            .collect();
        comments.sort_by_key(|comment| comment.id);
        // A page may show an entry again that moved while pages were read.
        comments.dedup_by_key(|comment| comment.id);
        Ok(comments)
    }
}

/// The first line of a comment: readers do not see it. `None`: the key has other characters than it may.
fn marker(key: &str) -> Option<String> {
    let legal = !key.is_empty()
        && key.len() <= 100
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-'));
    legal.then(|| format!("<!-- branchline:comment:{key} -->"))
}

/// GitHub keeps the text, but for ends of lines and space at the end.
fn same_text(found: Option<&str>, wanted: &str) -> bool {
    let plain = |text: &str| text.replace("\r\n", "\n").trim_end().to_owned();
    found.is_some_and(|found| plain(found) == plain(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_end_the_marker() {
        assert_eq!(marker("ci/churn").as_deref(), Some("<!-- branchline:comment:ci/churn -->"));
        for bad in ["", "a b", "a>b", "--> x", "a\nb", "ä"] {
            assert!(marker(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_github_does_to_a_text_is_no_change() {
        assert!(same_text(Some("a\r\nb\r\n"), "a\nb"));
        assert!(!same_text(Some("a\nb"), "a\nc"));
        assert!(!same_text(None, ""));
    }
}
