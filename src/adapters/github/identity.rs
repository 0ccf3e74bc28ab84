//! As whom we write, so that a comment of somebody else is never taken for ours.
//!
//! `GET /user` tells it for a person's token. An installation token, which that of a job is, may not ask; for it the
//! first thing written tells, or GraphQL's `viewer`, and until then it is taken for the job's own. Nobody is believed
//! because of what they wrote.

use crate::adapters::github::GitHub;
use crate::adapters::github::client::Call;
use crate::adapters::github::error::Subject;
use crate::adapters::github::wire;
use crate::model::secret::Secret;
use crate::ports::error::PortError;
use std::sync::Mutex;
use std::sync::PoisonError;

/// The author of what the token of a job writes.
const JOB: &str = "github-actions[bot]";

/// The App whose token a job has.
const JOB_APP: &str = "github-actions";

/// What is known of as whom we write.
pub(super) struct Identity {
    known: Mutex<Option<String>>,
    installation: bool,
}

impl Identity {
    pub(super) fn new(token: &Secret, author: Option<String>) -> Self {
        // The prefix of an installation token: "About authentication to GitHub", token formats.
        Self { known: Mutex::new(author), installation: token.expose().trim().starts_with("ghs_") }
    }

    /// The login, where it is certain.
    pub(super) fn certain(&self) -> Option<String> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells whether the token is an App's, so that its author is a bot.
    pub(super) fn is_installation(&self) -> bool {
        self.installation
    }

    /// Something of ours came back with its author.
    pub(super) fn learn(&self, login: &str) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(login.to_owned());
    }

    /// A check of ours came back with its App.
    pub(super) fn learn_app(&self, slug: &str) {
        self.learn(&format!("{slug}[bot]"));
    }
}

impl GitHub {
    /// The slug of the App whose checks are ours. `found`: the Apps of the checks that carry our mark.
    ///
    /// A person's token writes no checks, so those that it reads are the job's. An App's own token is asked for its name
    /// where checks are found that the job's token cannot have written; a host that does not tell it, as an Enterprise
    /// Server may, leaves the job's.
    pub(super) async fn own_app(&self, found: impl IntoIterator<Item = String>) -> Result<String, PortError> {
        let slug = |login: &str| login.strip_suffix("[bot]").map(str::to_owned);
        if let Some(known) = self.identity.certain() {
            return Ok(slug(&known).unwrap_or_else(|| JOB_APP.to_owned()));
        }
        let only_the_jobs = found.into_iter().all(|slug| slug.eq_ignore_ascii_case(JOB_APP));
        if only_the_jobs || !self.identity.installation {
            return Ok(JOB_APP.to_owned());
        }
        let question = serde_json::json!({ "query": "query { viewer { login } }" });
        let call = Call::post("/graphql".to_owned(), question, "find out as whom checks are written", Subject::People);
        let answer = self.client.send(&call).await?;
        if !answer.is_success() {
            return Ok(JOB_APP.to_owned());
        }
        let viewer: wire::Viewer = answer.read(&call)?;
        match viewer.data.and_then(|data| data.viewer) {
            Some(user) => {
                self.identity.learn(&user.login);
                Ok(slug(&user.login).unwrap_or_else(|| JOB_APP.to_owned()))
            }
            None => Ok(JOB_APP.to_owned()),
        }
    }

    /// The login that our comments carry.
    pub(super) async fn author(&self) -> Result<String, PortError> {
        if let Some(login) = self.identity.certain() {
            return Ok(login);
        }
        if self.identity.installation {
            return Ok(JOB.to_owned());
        }
        let call = Call::get("/user".to_owned(), "find out as whom comments are written", Subject::People);
        let answer = self.client.send(&call).await?;
        if matches!(answer.status.as_u16(), 403 | 404) {
            return Ok(JOB.to_owned());
        }
        let user: wire::User = answer.read(&call)?;
        self.identity.learn(&user.login);
        Ok(user.login)
    }
}
