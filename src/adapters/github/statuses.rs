//! Commit statuses. GitHub keeps all that were ever written (at most 1,000 for a commit and context); the newest
//! counts, so one that says nothing new is not written.

use crate::adapters::github::GitHub;
use crate::adapters::github::client::Call;
use crate::adapters::github::client::Created;
use crate::adapters::github::error::Refusal;
use crate::adapters::github::error::Subject;
use crate::adapters::github::wire;
use crate::model::git::CommitSha;
use crate::ports::error::PortError;
use crate::ports::forge::STATUS_DESCRIPTION_LIMIT;
use crate::ports::forge::Status;
use crate::ports::forge::StatusReport;
use crate::ports::forge::StatusState;
use crate::ports::forge::Write;
use crate::ports::forge::Written;
use serde_json::json;

impl GitHub {
    pub(super) async fn newest_status(&self, commit: &CommitSha, context: &str) -> Result<Option<Status>, PortError> {
        let route = self.route(&format!("/commits/{commit}/status?per_page=100"));
        let doing = format!("read the status {context} of commit {}", commit.short());
        let call = Call::get(route, doing, Subject::Statuses);
        // This list has only the newest of each context.
        let pages: Vec<wire::CombinedStatus> = self.client.pages(&call).await?;
        let found = pages
            .into_iter()
            .flat_map(|page| page.statuses)
            .find(|status| status.context.eq_ignore_ascii_case(context));
        Ok(found.map(|status| Status {
            state: state(&status.state),
            description: status.description.unwrap_or_default(),
            target_url: status.target_url,
        }))
    }

    pub(super) async fn write_status(&self, report: &StatusReport) -> Result<Written, PortError> {
        let doing = format!("write the status {} of commit {}", report.context, report.commit.short());
        let length = report.description.chars().count();
        if length > STATUS_DESCRIPTION_LIMIT {
            return Err(Refusal::too_long(&doing, "the description", length, STATUS_DESCRIPTION_LIMIT));
        }
        let wanted = Status {
            state: report.state,
            description: report.description.clone(),
            target_url: report.target_url.clone(),
        };
        let found = self.newest_status(&report.commit, &report.context).await?;
        let written = |write| Written { write, url: report.target_url.clone() };
        let write = match found {
            Some(found) if found == wanted => return Ok(written(Write::Unchanged)),
            Some(_) => Write::Updated,
            None => Write::Created,
        };
        let mut body = json!({
            "state": report.state.as_str(),
            "context": report.context,
            "description": report.description,
        });
        if let Some(url) = &report.target_url {
            body["target_url"] = json!(url);
        }
        let call = Call::post(self.route(&format!("/statuses/{}", report.commit)), body, doing, Subject::Statuses);
        let landed = || async {
            let found = self.newest_status(&report.commit, &report.context).await?;
            Ok(found.filter(|found| found == &wanted))
        };
        match self.client.create(&call, landed).await? {
            Created::Answered(answer) => answer.read::<serde::de::IgnoredAny>(&call).map(|_| written(write)),
            Created::Landed(_) => Ok(written(write)),
        }
    }
}

fn state(text: &str) -> StatusState {
    match text {
        "success" => StatusState::Success,
        "failure" => StatusState::Failure,
        "pending" => StatusState::Pending,
        _ => StatusState::Error,
    }
}
