//! The identity token of a GitHub job: who this job is, signed by GitHub, good for five minutes.
//!
//! It is asked for anew whenever it is needed and never kept: a job that waits for hours outlives every token.

use crate::adapters::aws::refused::Class;
use crate::adapters::aws::refused::Refused;
use crate::adapters::aws::transport;
use crate::adapters::network::Network;
use crate::model::secret::Secret;
use crate::model::variables::ACTIONS_ID_TOKEN_REQUEST_TOKEN;
use crate::model::variables::ACTIONS_ID_TOKEN_REQUEST_URL;
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use http_body_util::Limited;
use serde::Deserialize;
use std::time::Duration;

/// Whom the token is for.
const AUDIENCE: &str = "sts.amazonaws.com";

/// Largest answer that is read, in bytes.
const LARGEST: usize = 64 << 10;

const ACTION: &str = "GitHub's identity token";

/// What GitHub hands a job that may ask for identity tokens (`permissions: id-token: write`).
#[derive(Debug, Clone)]
pub struct OidcEnvironment {
    /// Where to ask.
    pub url: String,
    /// What to ask with.
    pub token: Secret,
}

/// A token, and what it says about this job.
#[derive(Debug, Clone)]
pub(super) struct IdentityToken {
    pub(super) token: Secret,
    pub(super) claims: Claims,
}

/// What the token says: to be shown, never trusted. Amazon checks the signature.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    sub: String,
    repository: String,
    repository_id: String,
    repository_owner: String,
    repository_owner_id: String,
}

impl OidcEnvironment {
    /// Reads it from the variables of the job. `None`: the job may not ask for tokens.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let url = get(ACTIONS_ID_TOKEN_REQUEST_URL).filter(|url| !url.is_empty())?;
        let token = get(ACTIONS_ID_TOKEN_REQUEST_TOKEN).filter(|token| !token.is_empty())?;
        Some(Self { url, token: Secret::new(token) })
    }

    /// Asks for a new token.
    pub(super) async fn ask(&self, network: &Network) -> Result<IdentityToken, Refused> {
        let limits = HttpConnectorSettings::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(Duration::from_secs(10))
            .build();
        let connector = transport::connector(network, limits, SharedAsyncSleep::new(TokioSleep::new()));
        let separator = if self.url.contains('?') { '&' } else { '?' };
        let uri = format!("{}{separator}audience={AUDIENCE}", self.url);
        let unusable = || refused(Class::Invalid, format!("{ACTIONS_ID_TOKEN_REQUEST_URL} is no address"), None);
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(uri).map_err(|_| unusable())?;
        let bearer = format!("Bearer {}", self.token.expose());
        let headers = request.headers_mut();
        // The value stays out of every message: a header that cannot be made is said without it.
        headers
            .try_insert("authorization", bearer)
            .map_err(|_| refused(Class::Invalid, format!("{ACTIONS_ID_TOKEN_REQUEST_TOKEN} is no token"), None))?;
        headers.insert("accept", "application/json");
        let answer = connector.call(request).await.map_err(|error| {
            let class = if error.is_timeout() { Class::Lost } else { Class::Unreachable };
            refused(class, "GitHub's token service did not answer", None)
        })?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        let body = body.map_err(|_| refused(Class::Lost, "the answer broke off", Some(status)))?.to_bytes();
        if !(200..300).contains(&status) {
            let class = match status {
                429 => Class::Throttled,
                500..=599 => Class::Lost,
                _ => Class::Credentials,
            };
            return Err(refused(class, "does the job have `permissions: id-token: write`?", Some(status)));
        }
        let said: Said = serde_json::from_slice(&body)
            .map_err(|_| refused(Class::Other, "the answer holds no token", Some(status)))?;
        let claims = Claims::read(&said.value).unwrap_or_default();
        Ok(IdentityToken { token: Secret::new(said.value), claims })
    }
}

#[derive(Deserialize)]
struct Said {
    value: String,
}

impl Claims {
    /// Reads what the token says, without checking it.
    fn read(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        let mut base64: String = payload
            .chars()
            .map(|c| match c {
                '-' => '+',
                '_' => '/',
                other => other,
            })
            .collect();
        while !base64.len().is_multiple_of(4) {
            base64.push('=');
        }
        serde_json::from_slice(&aws_smithy_types::base64::decode(base64).ok()?).ok()
    }

    /// Returns the subject that was sent. Empty: the token could not be read.
    pub(super) fn subject(&self) -> &str {
        &self.sub
    }

    /// Returns the same subject in the other of the two forms: repositories made or renamed since July 2026 carry
    /// their numbers. A trust policy that knows one form refuses the other.
    pub(super) fn other_form(&self) -> Option<String> {
        let (owner, name) = self.repository.split_once('/')?;
        let classic = format!("repo:{owner}/{name}:");
        let numbered = format!("repo:{owner}@{}/{name}@{}:", self.repository_owner_id, self.repository_id);
        if let Some(rest) = self.sub.strip_prefix(&classic) {
            let known = !self.repository_id.is_empty() && !self.repository_owner_id.is_empty();
            return known.then(|| format!("{numbered}{rest}"));
        }
        self.sub.strip_prefix(&numbered).map(|rest| format!("{classic}{rest}"))
    }
}

fn refused(class: Class, message: impl Into<String>, status: Option<u16>) -> Refused {
    Refused { class, action: ACTION.to_owned(), code: None, message: message.into(), status, request_id: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &serde_json::Value) -> String {
        let payload = aws_smithy_types::base64::encode(claims.to_string());
        let payload: String = payload.replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned();
        format!("e30.{payload}.c2ln")
    }

    #[test]
    fn both_forms_of_the_subject_are_known() {
        let numbers = serde_json::json!({
            "sub": "repo:acme/churn:environment:prod", "repository": "acme/churn", "repository_id": "42",
            "repository_owner": "acme", "repository_owner_id": "7",
        });
        let claims = Claims::read(&token(&numbers)).expect("it can be read");
        assert_eq!(claims.subject(), "repo:acme/churn:environment:prod");
        assert_eq!(claims.other_form().as_deref(), Some("repo:acme@7/churn@42:environment:prod"));
        let mut newer = numbers;
        newer["sub"] = "repo:acme@7/churn@42:ref:refs/heads/dev".into();
        let claims = Claims::read(&token(&newer)).expect("it can be read");
        assert_eq!(claims.other_form().as_deref(), Some("repo:acme/churn:ref:refs/heads/dev"));
        assert_eq!(Claims::read("no token"), None);
        assert_eq!(Claims::default().other_form(), None);
    }

    #[test]
    fn a_job_without_the_permission_has_no_environment() {
        assert!(OidcEnvironment::from_variables(|_| None).is_none());
        let all = OidcEnvironment::from_variables(|name| Some(format!("of {name}"))).expect("it is there");
        assert_eq!(all.url, "of ACTIONS_ID_TOKEN_REQUEST_URL");
        assert!(!format!("{all:?}").contains("REQUEST_TOKEN"), "{all:?}");
    }
}
