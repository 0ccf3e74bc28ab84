//! What GitHub says no with, in words: its message, its documentation link, its request id, and the next move.

use crate::adapters::github::client::Answer;
use crate::adapters::github::client::Call;
use crate::adapters::network::ConnectFailure;
use crate::model::text::is_invisible;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::error::Error as StdError;
use std::time::Duration;

/// What a request is about, as far as permissions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Checks,
    Statuses,
    Comments,
    Pulls,
    Contents,
    People,
    Repository,
}

impl Subject {
    /// The line of `permissions:` that it needs.
    fn line(self) -> &'static str {
        match self {
            Self::Checks => "checks: write",
            Self::Statuses => "statuses: write",
            Self::Comments => "pull-requests: write",
            Self::Pulls => "pull-requests: read",
            Self::Contents | Self::Repository | Self::People => "contents: read",
        }
    }
}

/// GitHub's own form of an error.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody {
    message: String,
    #[serde(default)]
    documentation_url: Option<String>,
    #[serde(default)]
    errors: Vec<Value>,
}

impl ErrorBody {
    /// Tells whether it speaks of rate limits.
    pub(super) fn is_about_limits(&self) -> bool {
        let link = self.documentation_url.as_deref().unwrap_or_default();
        link.contains("rate-limit") || self.message.to_ascii_lowercase().contains("rate limit")
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    fn full(&self) -> String {
        let mut text = self.message.clone();
        for error in self.errors.iter().take(3) {
            let part = match error {
                Value::String(text) => text.clone(),
                Value::Object(fields) => {
                    let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
                    match field("message") {
                        "" => format!("{} {} {}", field("resource"), field("field"), field("code")).trim().to_owned(),
                        message => message.to_owned(),
                    }
                }
                _ => continue,
            };
            text.push_str(": ");
            text.push_str(&part);
        }
        text
    }
}

/// GitHub's answer as the cause of an error.
#[derive(Debug, thiserror::Error)]
#[error("GitHub answered {status}{}{}{}", self.said(), self.link(), self.request())]
pub(super) struct GitHubSays {
    status: u16,
    message: Option<String>,
    documentation: Option<String>,
    request_id: Option<String>,
}

impl GitHubSays {
    fn said(&self) -> String {
        match &self.message {
            Some(message) => format!(" \"{}\"", plain(message, 300)),
            None => " without a message of its own".to_owned(),
        }
    }

    fn link(&self) -> String {
        self.documentation.as_ref().map(|link| format!(", see {}", plain(link, 200))).unwrap_or_default()
    }

    fn request(&self) -> String {
        self.request_id.as_ref().map(|id| format!(" (request {})", plain(id, 80))).unwrap_or_default()
    }
}

/// Foreign text on one line, bounded.
fn plain(text: &str, limit: usize) -> String {
    let clean: String =
        text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c }).take(limit).collect();
    if text.chars().count() > limit { format!("{clean}…") } else { clean }
}

/// Why a request has no answer that can be used.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The host was not reached, or the connection to it broke.
    Unreached(ConnectFailure),
    /// The answer cannot be used.
    Transport(Box<dyn StdError + Send + Sync>),
    /// It took too long; the proxy in between.
    TooSlow(Duration, Option<String>),
    /// The service stumbled.
    Status(Box<GitHubSays>),
}

impl Trouble {
    /// `status_page`: the host is one whose health GitHub's status page tells.
    pub(super) fn into_error(self, call: &Call, status_page: bool) -> PortError {
        let network = PortErrorKind::Network;
        let (error, hint) = match self {
            Self::Unreached(failure) => {
                let hint = failure.hint();
                (PortError::because(network, &call.doing, failure), hint)
            }
            Self::Transport(why) => (PortError::because(network, &call.doing, why), None),
            Self::TooSlow(limit, proxy) => {
                let through = proxy.map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
                let why = format!("GitHub did not answer within {} s{through}", limit.as_secs_f32());
                (PortError::because(network, &call.doing, why), None)
            }
            Self::Status(says) => (PortError::because(network, &call.doing, *says), None),
        };
        let page = if status_page { " https://www.githubstatus.com shows outages of GitHub." } else { "" };
        let hint = hint.unwrap_or_else(|| "It was tried several times. Run the job again.".to_owned());
        error.hint(format!("{hint}{page}"))
    }
}

/// Makes errors of answers.
pub(super) struct Refusal;

impl Refusal {
    /// GitHub's answer as a cause.
    pub(super) fn cause(answer: &Answer) -> GitHubSays {
        let body = answer.error();
        GitHubSays {
            status: answer.status.as_u16(),
            message: body.as_ref().map(ErrorBody::full),
            documentation: body.and_then(|body| body.documentation_url),
            request_id: answer.header("x-github-request-id").map(str::to_owned),
        }
    }

    /// The error of an answer that is a no.
    pub(super) fn of(call: &Call, answer: &Answer) -> PortError {
        let message = answer.error().map(|body| body.message).unwrap_or_default();
        let line = call.subject.line();
        let (kind, hint) = match answer.status.as_u16() {
            401 => (
                PortErrorKind::Permission,
                "The token is wrong or has expired: the token of a job ends with the job and lives at most 24 h, that \
                 of an App 1 h. Run the job again, or give it a token that lives."
                    .to_owned(),
            ),
            403 if message.contains("authenticate via a GitHub App") => (
                PortErrorKind::Permission,
                "Only the job's own GITHUB_TOKEN or a GitHub App may write checks, a personal token may not. Use one \
                 of them, or report by commit status."
                    .to_owned(),
            ),
            // Every token of a job may read metadata: there is no line to add.
            403 if call.subject == Subject::People => (
                PortErrorKind::Permission,
                "The token may not read who works here: a fine-grained token needs `Metadata: read`.".to_owned(),
            ),
            403 => (
                PortErrorKind::Permission,
                format!(
                    "Add `{line}` to `permissions:` of the job. For a pull request from a fork or by Dependabot the \
                     token only reads, whatever stands there."
                ),
            ),
            404 | 410 => (
                PortErrorKind::NotFound,
                format!("Check that it exists, and that the token may see it (`{line}` in `permissions:` of the job)."),
            ),
            301 | 302 | 307 | 308 => (
                PortErrorKind::NotFound,
                "The repository was renamed or moved while the job ran. Run the job again: it will be told the new \
                 name."
                    .to_owned(),
            ),
            422 if message.starts_with("No commit found") => (
                PortErrorKind::NotFound,
                "GitHub does not know the commit: it was never pushed, or it is of another repository.".to_owned(),
            ),
            _ => (PortErrorKind::Bug, "GitHub did not accept what was sent. Report this, with the text.".to_owned()),
        };
        PortError::because(kind, &call.doing, Self::cause(answer)).hint(hint)
    }

    /// GitHub asks to wait for longer than we do.
    pub(super) fn limited(call: &Call, answer: &Answer, now: Timestamp, wait: Duration) -> PortError {
        let until = i64::try_from(wait.as_secs())
            .ok()
            .and_then(|seconds| now.checked_add(jiff::SignedDuration::from_secs(seconds)).ok())
            .map(|until| until.strftime("%H:%M:%S UTC").to_string())
            .unwrap_or_else(|| "tomorrow".to_owned());
        PortError::because(PortErrorKind::Throttling, &call.doing, Self::cause(answer))
            .hint(format!("GitHub limits how many requests the token may make. Run the job again after {until}."))
    }

    /// An answer of another shape than the one that was asked for.
    pub(super) fn not_understood(call: &Call, why: serde_json::Error) -> PortError {
        PortError::because(PortErrorKind::Bug, &call.doing, format!("GitHub's answer was not understood: {why}"))
            .hint("If this is an old Enterprise Server, update it; else report this, with the text.")
    }

    /// An answer that makes no sense.
    pub(super) fn odd(call: &Call, why: String) -> PortError {
        PortError::because(PortErrorKind::Network, &call.doing, format!("GitHub's answer is odd: {why}"))
            .hint("Check whether a proxy stands between this machine and GitHub.")
    }

    /// Something that cannot be.
    pub(super) fn bug(call: &Call) -> PortError {
        PortError::because(PortErrorKind::Bug, &call.doing, "a request that only reads was taken for one that landed")
    }

    /// A report that GitHub would not take.
    pub(super) fn too_long(doing: &str, what: &str, length: usize, limit: usize) -> PortError {
        PortError::because(
            PortErrorKind::Quota,
            doing,
            format!("{what} has {length} characters, and GitHub allows {limit}"),
        )
        .hint("The whole report stands in the summary of the job.")
    }
}
