//! GitHub, as far as we use it: stateful, in process, with an HTTP face on 127.0.0.1, so that the adapter itself is
//! under test, and the real binary too.
//!
//! Every request that comes and every answer that goes is checked against GitHub's own description of its API. The
//! world must be ended with `finish`, which says what broke it.

pub mod answers;
pub mod contract;
pub mod state;

pub use state::Act;
pub use state::State;

use answers::Reply;
use answers::Request;
use branchline::model::digest::Sha256Digest;
use contract::contract;
use contract::decoded;
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::body::Bytes;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use state::Fault;
use state::Seen;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

/// A GitHub of its own for a test.
pub struct GitHubWorld {
    state: Arc<Mutex<State>>,
    /// The address of its API.
    pub api_url: String,
    finished: bool,
    stop: Option<tokio::sync::oneshot::Sender<Infallible>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl GitHubWorld {
    /// github.com: the API is at the root of its host.
    pub fn new() -> Self {
        Self::at("")
    }

    /// Enterprise Server: the API is below `/api/v3`.
    pub fn enterprise() -> Self {
        Self::at("/api/v3")
    }

    fn at(prefix: &'static str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener for tokio");
        let api_url = format!("http://{}{prefix}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State::new()));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        // A thread of its own: a test that waits for the binary does not run the server.
        let thread = std::thread::spawn({
            let (state, base) = (Arc::clone(&state), api_url.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async move {
                    tokio::select! {
                        () = serve(listener, state, base, prefix) => {}
                        _ = stopped => {}
                    }
                });
            }
        });
        Self { state, api_url, finished: false, stop: Some(stop), thread: Some(thread) }
    }

    /// Looks at what is true, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().expect("the server does not panic"))
    }

    /// The next request of this method whose path contains this meets a fault. Faults queue up.
    pub fn next(&self, method: &'static str, path: &str, act: Act) {
        self.with(|state| state.faults.push(Fault { method, path: path.to_owned(), act }));
    }

    /// How many requests came of this method, on this path of the description (below the repository).
    pub fn count(&self, method: &str, rest: &str) -> usize {
        let template = format!("/repos/{{owner}}/{{repo}}{rest}");
        self.with(|state| state.seen.iter().filter(|seen| seen.method == method && seen.template == template).count())
    }

    /// How many requests came in all.
    pub fn requests(&self) -> usize {
        self.with(|state| state.seen.len())
    }

    /// Ends the world, and fails if anything broke GitHub's description of its API, or a fault was never met.
    pub fn finish(mut self) {
        self.finished = true;
        self.with(|state| {
            assert!(state.violations.is_empty(), "{}", state.violations.join("\n"));
            let left: Vec<String> =
                state.faults.iter().map(|fault| format!("{} {}", fault.method, fault.path)).collect();
            let wire: Vec<String> =
                state.seen.iter().map(|seen| format!("{:?} {} {}", seen.status, seen.method, seen.target)).collect();
            assert!(left.is_empty(), "faults that nothing met: {left:?}\n{}", wire.join("\n"));
        });
    }
}

impl Drop for GitHubWorld {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                assert!(ended.is_ok(), "the server panicked");
                assert!(self.finished, "a world ends with `finish`");
            }
        }
    }
}

async fn serve(listener: std::net::TcpListener, state: Arc<Mutex<State>>, base: String, prefix: &'static str) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (state, base) = (Arc::clone(&state), base.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| handle(request, Arc::clone(&state), base.clone(), prefix));
            // A broken connection is part of the game.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Answered = Result<hyper::Response<Pieces>, std::io::Error>;

async fn handle(
    request: hyper::Request<Incoming>,
    state: Arc<Mutex<State>>,
    base: String,
    prefix: &'static str,
) -> Answered {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let method = head.method.as_str().to_owned();
    let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let path = head.uri.path().strip_prefix(prefix).unwrap_or("/outside").to_owned();
    let act = state.lock().expect("nobody panics").take_fault(&method, &path);
    let mut half = false;
    let mut lose = false;
    let reply = match act {
        None => None,
        Some(Act::Hang) => {
            note(&state, &method, &path, &target, None);
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return Err(std::io::Error::other("nobody waits for so long"));
        }
        Some(Act::Reset) => {
            note(&state, &method, &path, &target, None);
            return Err(std::io::Error::other("reset"));
        }
        Some(Act::LoseAnswer) => {
            lose = true;
            None
        }
        Some(Act::HalfBody) => {
            half = true;
            None
        }
        Some(Act::Meanwhile(happens)) => {
            happens(&mut state.lock().expect("nobody panics"));
            None
        }
        Some(Act::Answer(status, message)) => Some(Reply::no(status, message)),
        Some(Act::Html(status)) => {
            note(&state, &method, &path, &target, Some(status));
            let page = Pieces::whole(Bytes::from_static(b"<html><body>Bad gateway</body></html>"));
            return Ok(hyper::Response::builder().status(status).body(page).expect("a response"));
        }
        Some(Act::TooMany(seconds)) => {
            let mut reply = Reply::no(429, "Too many requests");
            reply.headers.push(("retry-after", seconds.to_string()));
            Some(reply)
        }
        Some(Act::Secondary) => {
            Some(Reply::no(403, "You have exceeded a secondary rate limit. Please wait a few minutes."))
        }
        Some(Act::Exhausted(reset)) => {
            let mut reply = Reply::no(403, "API rate limit exceeded for installation.");
            reply.headers.push(("x-ratelimit-remaining", "0".to_owned()));
            reply.headers.push(("x-ratelimit-reset", reset.to_string()));
            Some(reply)
        }
    };
    let mut guard = state.lock().expect("nobody panics");
    let reply = respond(&mut guard, &head, &path, &bytes, &base, reply);
    let template = contract().route(&method, &named(&path, &guard)).map(|route| route.template).unwrap_or_default();
    guard.seen.push(Seen { method, template, target, status: (!lose).then_some(reply.status) });
    let id = guard.seen.len();
    drop(guard);
    if lose {
        return Err(std::io::Error::other("the answer is lost"));
    }
    let text = reply.body.as_ref().map(Value::to_string).unwrap_or_default();
    let mut response =
        hyper::Response::builder().status(reply.status).header("x-github-request-id", format!("AB12:{id}"));
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    if reply.body.is_some() {
        response = response.header("content-type", "application/json; charset=utf-8");
    }
    if half {
        response = response.header("content-length", text.len());
        return Ok(response.body(Pieces::half(text)).expect("a response"));
    }
    if reply.status == 200 {
        let tag = format!("\"{}\"", Sha256Digest::of(text.as_bytes()).short());
        if head.headers.get("if-none-match").is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
            return Ok(response.status(304).body(Pieces::whole(Bytes::new())).expect("a response"));
        }
        response = response.header("etag", tag);
    }
    Ok(response.body(Pieces::whole(Bytes::from(text))).expect("a response"))
}

/// A path by number, as links and redirects have it, is the path by name.
fn named(path: &str, state: &State) -> String {
    match path.strip_prefix(&format!("/repositories/{}", state.id)) {
        Some(rest) => format!("/repos/{}/{}{rest}", state.owner, state.name),
        None => path.to_owned(),
    }
}

fn note(state: &Mutex<State>, method: &str, path: &str, target: &str, status: Option<u16>) {
    let mut state = state.lock().expect("nobody panics");
    let template = contract().route(method, &named(path, &state)).map(|route| route.template).unwrap_or_default();
    state.seen.push(Seen { method: method.to_owned(), template, target: target.to_owned(), status });
}

fn respond(
    state: &mut State,
    head: &hyper::http::request::Parts,
    path: &str,
    bytes: &Bytes,
    base: &str,
    scripted: Option<Reply>,
) -> Reply {
    let method = head.method.as_str();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let mut faults = Vec::new();
    for (name, begin) in
        [("x-github-api-version", "2022-11-28"), ("user-agent", "branchline/"), ("accept", "application/vnd.github")]
    {
        if !header(name).is_some_and(|value| value.starts_with(begin)) {
            faults.push(format!("header {name} is {:?}", header(name)));
        }
    }
    for name in ["user-agent", "authorization", "content-type"] {
        if head.headers.get_all(name).iter().count() > 1 {
            faults.push(format!("header {name} comes twice"));
        }
    }
    if (method, path) == ("POST", "/graphql") {
        let token = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        return answers::viewer(state, token);
    }
    let path = named(path, state);
    let Some(route) = contract().route(method, &path) else {
        state.violations.push(format!("{method} {path}: GitHub's description has no such path"));
        return Reply::no(404, "Not Found");
    };
    let query: Vec<(String, String)> = head
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    let body: Option<Value> = (!bytes.is_empty()).then(|| serde_json::from_slice(bytes).expect("a body of JSON"));
    faults.extend(contract().faults_of_request(method, &route, &query, body.as_ref()));
    let reply = match (&state.old_name, scripted) {
        (_, Some(scripted)) => scripted,
        (Some(old), None) if route.values.get("repo") == Some(old) => {
            let rest = path.splitn(5, '/').nth(4).map(|rest| format!("/{rest}")).unwrap_or_default();
            let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            let to = format!("{base}/repositories/{}{rest}{query}", state.id);
            let mut reply = Reply::no(if method == "GET" { 301 } else { 307 }, "Moved Permanently");
            if let Some(body) = &mut reply.body {
                body["url"] = Value::String(to.clone());
            }
            reply.headers.push(("location", to));
            reply
        }
        (_, None) if faults.is_empty() => {
            let token = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
            let request = Request { method, route: &route, query: &query, body: body.as_ref(), base, token };
            answers::answer(state, &request)
        }
        (_, None) => Reply::no(422, "it breaks the description"),
    };
    let answer_faults = contract().faults_of_answer(method, &route, reply.status, reply.body.as_ref());
    for fault in faults {
        state.violations.push(format!("request {method} {path}: {fault}"));
    }
    for fault in answer_faults {
        state.violations.push(format!("answer {} to {method} {path}: {fault}", reply.status));
    }
    reply
}

/// A body that may break off.
struct Pieces {
    left: Option<Bytes>,
    breaks: bool,
}

impl Pieces {
    fn whole(bytes: Bytes) -> Self {
        Self { left: (!bytes.is_empty()).then_some(bytes), breaks: false }
    }

    fn half(text: String) -> Self {
        let half = text.len() / 2;
        Self { left: Some(Bytes::from(text.into_bytes()).slice(..half)), breaks: true }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match (self.left.take(), self.breaks) {
            (Some(bytes), _) => Some(Ok(Frame::data(bytes))),
            (None, true) => Some(Err(std::io::Error::other("it breaks off"))),
            (None, false) => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none() && !self.breaks
    }
}
