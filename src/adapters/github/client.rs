//! One request, carried out with time-outs, tried again where that is safe.
//!
//! octocrab is named here and nowhere else.

use crate::adapters::github::error::ErrorBody;
use crate::adapters::github::error::Refusal;
use crate::adapters::github::error::Subject;
use crate::adapters::github::error::Trouble;
use crate::adapters::github::retry::Judgement;
use crate::adapters::github::retry::Patience;
use crate::adapters::github::retry::judge;
use crate::adapters::github::retry::unsaid_wait;
use crate::adapters::network::ConnectFailure;
use crate::adapters::network::Connector;
use crate::adapters::network::Network;
use crate::model::secret::Secret;
use crate::ports::clock::Clock;
use crate::ports::error::PortError;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Uri;
use http_body_util::BodyExt;
use http_body_util::Limited;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use octocrab::AuthState;
use octocrab::OctoBody;
use octocrab::Octocrab;
use octocrab::OctocrabBuilder;
use octocrab::service::middleware::auth_header::AuthHeaderLayer;
use octocrab::service::middleware::base_uri::BaseUriLayer;
use octocrab::service::middleware::extra_headers::ExtraHeadersLayer;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// The version of the REST API that is asked for. `2026-03-10` drops fields that nothing here reads; Enterprise
/// Server knows this one longest.
const API_VERSION: &str = "2022-11-28";

/// How this program names itself to GitHub, which refuses requests without a name.
const USER_AGENT: &str = concat!("branchline/", env!("CARGO_PKG_VERSION"));

/// Largest answer that is read.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// Most pages of one list: 10,000 entries.
const MOST_PAGES: usize = 100;

/// How long one request may take.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// Until the connection stands.
    pub connect: Duration,
    /// Between two pieces of an answer.
    pub read: Duration,
    /// In all.
    pub total: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), read: Duration::from_secs(20), total: Duration::from_secs(40) }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Path and query, below the address of the API.
    pub(super) route: String,
    pub(super) body: Option<Value>,
    /// Completes "could not …".
    pub(super) doing: String,
    /// What it needs a permission for.
    pub(super) subject: Subject,
}

impl Call {
    pub(super) fn get(route: String, doing: impl Into<String>, subject: Subject) -> Self {
        Self { method: Method::GET, route, body: None, doing: doing.into(), subject }
    }

    pub(super) fn delete(route: String, doing: impl Into<String>, subject: Subject) -> Self {
        Self { method: Method::DELETE, route, body: None, doing: doing.into(), subject }
    }

    pub(super) fn post(route: String, body: Value, doing: impl Into<String>, subject: Subject) -> Self {
        Self { method: Method::POST, route, body: Some(body), doing: doing.into(), subject }
    }

    pub(super) fn patch(route: String, body: Value, doing: impl Into<String>, subject: Subject) -> Self {
        Self { method: Method::PATCH, route, body: Some(body), doing: doing.into(), subject }
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What GitHub says went wrong, where it says it in its own form.
    pub(super) fn error(&self) -> Option<ErrorBody> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Reads the answer of a call that succeeded; any other is its error.
    pub(super) fn read<T: DeserializeOwned>(&self, call: &Call) -> Result<T, PortError> {
        if !self.is_success() {
            return Err(Refusal::of(call, self));
        }
        serde_json::from_slice(&self.body).map_err(|why| Refusal::not_understood(call, why))
    }

    /// The address of the next page, as GitHub says it in `Link`.
    fn next_page(&self) -> Option<String> {
        let link = self.header("link")?;
        link.split(',').find_map(|part| {
            let (address, attributes) = part.split_once(';')?;
            let address = address.trim().strip_prefix('<')?.strip_suffix('>')?;
            attributes.split(';').any(|attribute| attribute.trim() == "rel=\"next\"").then(|| address.to_owned())
        })
    }
}

/// What became of creating something.
pub(super) enum Created<T> {
    /// GitHub answered.
    Answered(Answer),
    /// The answer was lost, and what was asked for is there.
    Landed(T),
}

/// Carries requests.
pub(super) struct Client {
    octocrab: Octocrab,
    base: Uri,
    /// What of the certificate authorities could not be read.
    unread: Vec<String>,
    /// The proxy in between, as messages name it.
    proxy: Option<String>,
    total: Duration,
    patience: Patience,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// The time by the run's own clock.
    pub(super) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// Prepares a client, or says what is wrong with the address or the token.
    pub(super) fn new(
        api_url: &str,
        token: &Secret,
        network: &Network,
        limits: TimeLimits,
        patience: Patience,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let base = base_address(api_url)?;
        let token = token.expose().trim();
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token has characters that no token has (is it two lines, or a path?)".to_owned());
        }
        let opened = Connector::to(&base, network)?;
        let mut connector = TimeoutConnector::new(opened.connector);
        connector.set_connect_timeout(Some(limits.connect));
        connector.set_read_timeout(Some(limits.read));
        connector.set_write_timeout(Some(limits.read));
        let client: HyperClient<_, OctoBody> = HyperClient::builder(TokioExecutor::new()).build(connector);
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| "the token has characters that no token has".to_owned())?;
        bearer.set_sensitive(true);
        // The layers of octocrab's own client, without its connector, which knows no proxy.
        let name = vec![(http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT))];
        let built = OctocrabBuilder::new_empty()
            .with_service(client)
            .with_layer(&ExtraHeadersLayer::new(Arc::new(name)))
            .with_layer(&BaseUriLayer::new(base.clone()))
            .with_layer(&AuthHeaderLayer::new(Some(bearer), base.clone(), base.clone()))
            .with_auth(AuthState::None)
            .build();
        let Ok(octocrab) = built;
        Ok(Self { octocrab, base, unread: opened.unread, proxy: opened.proxy, total: limits.total, patience, clock })
    }

    /// Carries out a request that may safely be sent twice, trying again on trouble, and waiting where GitHub asks
    /// for it. Any status that is not about trouble is an answer.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, PortError> {
        let never = || async { Ok(None::<()>) };
        match self.create(call, never).await? {
            Created::Answered(answer) => Ok(answer),
            Created::Landed(()) => Err(Refusal::bug(call)),
        }
    }

    /// Carries out a request that must not be sent twice: where it is not known whether it landed, `landed` looks
    /// before it is sent again.
    pub(super) async fn create<T, Looking>(
        &self,
        call: &Call,
        landed: impl Fn() -> Looking,
    ) -> Result<Created<T>, PortError>
    where
        Looking: Future<Output = Result<Option<T>, PortError>>,
    {
        let mut pauses = self.patience.pauses();
        let mut limited = 0;
        loop {
            let (trouble, asked) = match self.attempt(call).await {
                Ok(answer) => match judge(&answer, self.clock.now()) {
                    Judgement::Final => return Ok(Created::Answered(answer)),
                    Judgement::Limited(asked) => {
                        let wait = asked.unwrap_or_else(|| unsaid_wait(limited));
                        limited += 1;
                        if wait > self.patience.longest_wait || pauses.next().is_none() {
                            return Err(Refusal::limited(call, &answer, self.clock.now(), wait));
                        }
                        self.clock.sleep(wait).await;
                        continue;
                    }
                    Judgement::Unsure(asked) => (Trouble::Status(Box::new(Refusal::cause(&answer))), asked),
                },
                Err(trouble) => (trouble, None),
            };
            let asked = asked.unwrap_or_default().min(self.patience.longest_wait);
            let pause = pauses.next().map(|pause| pause.max(asked));
            if let Some(pause) = pause {
                self.clock.sleep(pause).await;
            }
            match landed().await {
                Ok(Some(found)) => return Ok(Created::Landed(found)),
                Ok(None) if pause.is_some() => {}
                // What went wrong first is what a person needs to read.
                Ok(None) | Err(_) => return Err(trouble.into_error(call, self.is_github_com())),
            }
        }
    }

    /// Reads all pages of a list.
    pub(super) async fn pages<T: DeserializeOwned>(&self, call: &Call) -> Result<Vec<T>, PortError> {
        let mut pages = Vec::new();
        let mut call = call.clone();
        loop {
            let answer = self.send(&call).await?;
            pages.push(answer.read(&call)?);
            let Some(next) = answer.next_page() else { return Ok(pages) };
            if pages.len() == MOST_PAGES {
                return Err(Refusal::odd(&call, format!("it has more than {MOST_PAGES} pages")));
            }
            call.route = self.own_route(&next).ok_or_else(|| {
                Refusal::odd(&call, "its next page is at another host, to which the token is not sent".to_owned())
            })?;
        }
    }

    /// One try. Redirects of a GET are followed, to the same host only.
    async fn attempt(&self, call: &Call) -> Result<Answer, Trouble> {
        let mut route = call.route.clone();
        for _ in 0..4 {
            let answer = tokio::time::timeout(self.total, self.exchange(call, &route))
                .await
                .map_err(|_| Trouble::TooSlow(self.total, self.proxy.clone()))??;
            let moved = matches!(answer.status.as_u16(), 301 | 302 | 307 | 308);
            match answer.header("location").and_then(|location| self.own_route(location)) {
                Some(next) if moved && call.method == Method::GET => route = next,
                _ => return Ok(answer),
            }
        }
        Err(Trouble::Transport("it was sent from one address to the next without end".into()))
    }

    async fn exchange(&self, call: &Call, route: &str) -> Result<Answer, Trouble> {
        let transport = |why: octocrab::Error| {
            let (host, proxy) = (self.host(), self.proxy.as_deref());
            Trouble::Unreached(ConnectFailure::of(&why, &host, &self.unread, proxy))
        };
        let body = call.body.as_ref().map(Value::to_string);
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(route)
            .header(http::header::ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", API_VERSION);
        if body.is_some() {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
        }
        let request =
            request.body(body.unwrap_or_default()).map_err(|why| Trouble::Transport(why.to_string().into()))?;
        let response = self.octocrab.execute(request).await.map_err(transport)?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER)
            .collect()
            .await
            .map_err(|why| Trouble::Transport(format!("the answer broke off: {}", root_cause(why.as_ref())).into()))?;
        let body = body.to_bytes().to_vec();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        // A proxy in between may answer with a page of its own, or cut an answer at a place where HTTP allows it.
        let empty = answer.body.is_empty();
        if answer.is_success() && !empty && serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).is_err() {
            return Err(Trouble::Transport("the answer is not JSON, or only half of it".into()));
        }
        Ok(answer)
    }

    /// Host and port, as a message shows them.
    fn host(&self) -> String {
        self.base.authority().map(ToString::to_string).unwrap_or_default()
    }

    /// Tells whether the API is github.com's, whose status page says how it is.
    fn is_github_com(&self) -> bool {
        self.base.host().is_some_and(|host| host.eq_ignore_ascii_case("api.github.com"))
    }

    /// Turns an address that GitHub gave into a route, if it is on the same host.
    fn own_route(&self, address: &str) -> Option<String> {
        if address.starts_with('/') && !address.starts_with("//") {
            return Some(address.to_owned());
        }
        let address: Uri = address.parse().ok()?;
        let same = address.scheme() == self.base.scheme() && address.authority() == self.base.authority();
        same.then(|| address.path_and_query().map(ToString::to_string)).flatten()
    }
}

/// Writes text as one part of a path or as a value of a query, all but unreserved characters encoded (RFC 3986).
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Reads the address of the API. A token goes over TLS, except to this very machine.
fn base_address(text: &str) -> Result<Uri, String> {
    let base: Uri = text
        .trim()
        .trim_end_matches('/')
        .parse()
        .map_err(|why| format!("`{text}` is not the address of an API: {why}"))?;
    let host = base.host().unwrap_or_default();
    match base.scheme_str() {
        Some("https") if !host.is_empty() => Ok(base),
        Some("http") if matches!(host, "127.0.0.1" | "localhost" | "[::1]") => Ok(base),
        Some("http") => Err(format!("a token is not sent to {host} over plain http: write https")),
        _ => Err(format!("`{text}` is not the address of an API: it begins with https://")),
    }
}

/// The innermost cause says what happened; the layers around it say which library was used.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_tls_or_stays_on_the_machine() {
        for fine in ["https://api.github.com", "https://ghe.example.com/api/v3/", "http://127.0.0.1:4000"] {
            assert!(base_address(fine).is_ok(), "{fine}");
        }
        for bad in ["http://ghe.example.com/api/v3", "api.github.com", "", "ftp://x", "https://", "http://a b"] {
            assert!(base_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hostile_names_stay_one_part_of_a_path() {
        assert_eq!(encoded("feature/a?b#c&d=%2e"), "feature%2Fa%3Fb%23c%26d%3D%252e");
        assert_eq!(encoded("ünïcode"), "%C3%BCn%C3%AFcode");
    }

    #[test]
    fn the_next_page_is_read_from_the_link_header() {
        let mut headers = HeaderMap::new();
        let link = "<https://h/x?page=1>; rel=\"prev\", <https://h/x?a=1&page=3>; rel=\"next\"";
        headers.insert("link", link.parse().expect("a header"));
        let answer = Answer { status: StatusCode::OK, headers, body: Vec::new() };
        assert_eq!(answer.next_page().as_deref(), Some("https://h/x?a=1&page=3"));
    }
}
