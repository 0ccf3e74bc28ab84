//! The HTTP face: which service and operation a request means, who sent it, and the faults on the way.

use super::contract::contract;
use super::ecr;
use super::faults::Crash;
use super::faults::Fault;
use super::logs;
use super::played;
use super::s3;
use super::sagemaker;
use super::state::Seen;
use super::state::State;
use super::sts;
use crate::world::github::contract::decoded;
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::body::Bytes;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::Context;
use std::task::Poll;

/// A request, read.
pub struct Request {
    /// `SageMaker`, `S3`, `ECR`, `Logs` or `STS`.
    pub service: &'static str,
    /// Such as `ListModelPackages`.
    pub operation: String,
    /// Such as `PUT`.
    pub method: String,
    /// Decoded.
    pub path: String,
    /// Decoded; of STS also the form.
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// As it came.
    pub body: Bytes,
    /// The body of a JSON request, else null.
    pub json: Value,
    /// Whose key signed it.
    pub account: String,
    /// The user or role session of the key.
    pub arn: String,
    /// Of the signature's scope.
    pub region: String,
}

impl Request {
    /// Returns a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Returns a value of the query.
    pub fn asked(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Returns a text of the JSON body.
    pub fn text(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_default()
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As it goes.
    pub body: Bytes,
}

impl Reply {
    /// Answers JSON.
    pub fn json(body: Value) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/x-amz-json-1.1".to_owned())],
            body: Bytes::from(body.to_string()),
        }
    }

    /// Refuses as the JSON services do.
    pub fn refused(status: u16, code: &str, message: &str) -> Self {
        let body = json!({ "__type": code, "message": message });
        Self { status, ..Self::json(body) }
    }

    /// Refuses with status 400 and the code `ValidationException`.
    pub fn invalid(message: &str) -> Self {
        Self::refused(400, "ValidationException", message)
    }

    /// Answers XML.
    pub fn xml(status: u16, body: String) -> Self {
        let body = Bytes::from(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}"));
        Self { status, headers: vec![("content-type".to_owned(), "application/xml".to_owned())], body }
    }

    /// Answers nothing but a status.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// Adds a header.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Refuses as this service does.
    pub fn refused_by(service: &str, status: u16, code: &str, message: &str) -> Self {
        match service {
            "S3" => s3::error(status, code, message),
            "STS" => sts::error(status, code, message),
            _ => Self::refused(status, code, message),
        }
    }
}

/// Accepts connections for ever.
pub async fn serve(listener: std::net::TcpListener, state: Arc<Mutex<State>>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(move |request| handle(request, Arc::clone(&state)));
            // A broken connection is part of the game.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn handle(
    request: hyper::Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<hyper::Response<Pieces>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let mut request = read(&head, body);
    let mut pause = None;
    let mut lost = false;
    let mut half = false;
    let reply = {
        let mut guard = state.lock().expect("nobody panics");
        let dies = changes(&request).then(|| counted(&mut guard)).flatten();
        if dies == Some(Crash::Before) {
            note(&mut guard, &request, None);
            None
        } else {
            let scripted = match guard.take_fault(&request.operation) {
                None => None,
                Some(Fault::LostAnswer) => {
                    lost = true;
                    None
                }
                Some(Fault::Dropped) => {
                    note(&mut guard, &request, None);
                    return Err(std::io::Error::other("dropped"));
                }
                Some(Fault::HalfAnswer) => {
                    half = true;
                    None
                }
                Some(Fault::Refused(status, code, message)) => {
                    Some(Reply::refused_by(request.service, status, code, message))
                }
                Some(Fault::Throttle) => Some(match request.service {
                    "S3" => s3::error(503, "SlowDown", "Please reduce your request rate."),
                    service => Reply::refused_by(service, 400, "ThrottlingException", "Rate exceeded"),
                }),
                Some(Fault::Status500Html) => Some(Reply {
                    status: 500,
                    headers: vec![("content-type".to_owned(), "text/html".to_owned())],
                    body: Bytes::from_static(b"<html><body>Internal error</body></html>"),
                }),
                Some(Fault::Slow(time)) => {
                    pause = Some(time);
                    None
                }
                Some(Fault::OkWithError(code)) => {
                    Some(Reply { status: 200, ..s3::error(500, code, "We encountered an internal error.") })
                }
                Some(Fault::Meanwhile(happens)) => {
                    happens(&mut guard);
                    None
                }
            };
            let reply = scripted.unwrap_or_else(|| respond(&mut guard, &mut request));
            let heard = (!lost && dies.is_none()).then_some(&reply);
            note(&mut guard, &request, heard);
            if dies.is_some() { None } else { Some(reply) }
        }
    };
    let Some(reply) = reply else {
        state.lock().expect("nobody panics").crashed.as_ref().map(|tell| tell.send_replace(true));
        std::future::pending::<()>().await;
        return Err(std::io::Error::other("nobody hears this"));
    };
    if lost {
        return Err(std::io::Error::other("the answer is lost"));
    }
    if let Some(time) = pause {
        tokio::time::sleep(time).await;
    }
    let id = format!("{:016X}", state.lock().expect("nobody panics").next());
    let mut response =
        hyper::Response::builder().status(reply.status).header("x-amz-request-id", &id).header("x-amzn-requestid", &id);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    // The answer to HEAD says how large the body would be.
    if half {
        response = response.header("content-length", reply.body.len());
    }
    let pieces = Pieces { left: Some(reply.body), half };
    response.body(pieces).map_err(std::io::Error::other)
}

/// Whether a request changes something.
fn changes(request: &Request) -> bool {
    const CHANGES: &[&str] =
        &["Create", "Put", "Update", "Delete", "Add", "Stop", "Copy", "Complete", "Upload", "Abort"];
    CHANGES.iter().any(|begin| request.operation.starts_with(begin))
}

fn counted(state: &mut State) -> Option<Crash> {
    state.mutations += 1;
    let (at, crash) = state.crash_at?;
    (at == state.mutations).then(|| {
        state.crash_at = None;
        crash
    })
}

fn note(state: &mut State, request: &Request, reply: Option<&Reply>) {
    let subject = match request.service {
        "S3" => request.path.trim_start_matches('/').to_owned(),
        _ => {
            let names = ["TrainingJobName", "ModelPackageName", "ModelPackageArn", "ModelPackageGroupName"];
            names.iter().map(|name| request.text(name)).find(|text| !text.is_empty()).unwrap_or_default().to_owned()
        }
    };
    state.seen.push(Seen {
        service: request.service,
        operation: request.operation.clone(),
        account: request.account.clone(),
        subject,
        status: reply.map(|reply| reply.status),
        bytes_in: request.body.len(),
        bytes_out: reply.map_or(0, |reply| reply.body.len()),
        headers: request.headers.clone(),
        body: request.json.clone(),
    });
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let read = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " ")))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(read).collect()
}

fn read(head: &hyper::http::request::Parts, body: Bytes) -> Request {
    let headers: BTreeMap<String, String> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let mut request = Request {
        service: "S3",
        operation: String::new(),
        method: head.method.as_str().to_owned(),
        path: decoded(head.uri.path()),
        query: pairs(head.uri.query().unwrap_or_default()),
        headers,
        body,
        json: Value::Null,
        account: String::new(),
        arn: String::new(),
        region: String::new(),
    };
    if let Some((prefix, operation)) = request.header("x-amz-target").and_then(|target| target.split_once('.')) {
        let service = match prefix {
            "SageMaker" => "SageMaker",
            "AmazonEC2ContainerRegistry_V20150921" => "ECR",
            "Logs_20140328" => "Logs",
            _ => "unknown",
        };
        let operation = operation.to_owned();
        request.service = service;
        request.operation = operation;
        request.json = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    } else if request.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        request.service = "STS";
        request.query = pairs(&String::from_utf8_lossy(&request.body));
        request.operation = request.asked("Action").unwrap_or_default().to_owned();
    } else {
        request.operation = s3::operation(&request).to_owned();
    }
    request
}

/// Finds out who asks. `Err`: the refusal.
fn identify(state: &State, request: &mut Request) -> Result<(), Reply> {
    if request.operation == "AssumeRoleWithWebIdentity" {
        return Ok(());
    }
    let refuse = |code: &str, s3_code: &str, message: &str| {
        let code = if request.service == "S3" { s3_code } else { code };
        Reply::refused_by(request.service, 403, code, message)
    };
    let scope = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("AWS4-HMAC-SHA256 Credential="))
        .and_then(|rest| rest.split([',', ' ']).next())
        .map(|scope| scope.split('/').map(str::to_owned).collect::<Vec<String>>());
    let Some([id, _, region, service, _]) = scope.as_deref() else {
        return Err(refuse("MissingAuthenticationTokenException", "AccessDenied", "Missing Authentication Token"));
    };
    let named = match request.service {
        "SageMaker" => "sagemaker",
        "ECR" => "ecr",
        "Logs" => "logs",
        "STS" => "sts",
        _ => "s3",
    };
    if service != named {
        return Err(refuse(
            "InvalidSignatureException",
            "AuthorizationHeaderMalformed",
            "Credential is for another service",
        ));
    }
    let Some(key) = state.keys.get(id) else {
        let message = "The security token included in the request is invalid.";
        return Err(refuse("UnrecognizedClientException", "InvalidAccessKeyId", message));
    };
    if key.expires.is_some_and(|end| end < state.now()) {
        let message = "The security token included in the request is expired";
        return Err(match request.service {
            "S3" => s3::error(400, "ExpiredToken", "The provided token has expired."),
            "STS" => sts::error(403, "ExpiredToken", message),
            _ => Reply::refused(400, "ExpiredTokenException", message),
        });
    }
    if id.starts_with("ASIA") && request.header("x-amz-security-token").is_none() {
        return Err(refuse("UnrecognizedClientException", "InvalidAccessKeyId", "The session has no token."));
    }
    request.account.clone_from(&key.account);
    request.arn.clone_from(&key.arn);
    request.region.clone_from(region);
    Ok(())
}

fn respond(state: &mut State, request: &mut Request) -> Reply {
    if let Err(refusal) = identify(state, request) {
        return refusal;
    }
    let action = format!("{}:{}", request.service.to_ascii_lowercase(), request.operation);
    if state.denied.contains(&(request.account.clone(), action.clone())) {
        let message = format!("User: {} is not authorized to perform: {action}", request.arn);
        let code = if matches!(request.service, "S3" | "STS") { "AccessDenied" } else { "AccessDeniedException" };
        return Reply::refused_by(request.service, if request.service == "S3" { 403 } else { 400 }, code, &message);
    }
    if matches!(request.service, "S3" | "STS") {
        let unplayed = played::unplayed(request);
        if !unplayed.is_empty() {
            let message = format!("{} with {} is not played", request.operation, unplayed.join(", "));
            state.violations.push(message.clone());
            return Reply::refused_by(request.service, 501, "NotImplemented", &message);
        }
    }
    match request.service {
        "S3" => s3::answer(state, request),
        "STS" => sts::answer(state, request),
        "SageMaker" | "ECR" | "Logs" => json_service(state, request),
        other => {
            state.violations.push(format!("no service {other}"));
            Reply::refused(501, "NotImplemented", "this World has no such service")
        }
    }
}

fn json_service(state: &mut State, request: &Request) -> Reply {
    let (service, operation) = (request.service, request.operation.as_str());
    // `DeleteTrainingJob` and `AddTags` are described; what is not described is not spoken.
    if !contract().knows(service, operation) {
        state.violations.push(format!("{service} has no operation {operation}"));
        return Reply::refused(501, "UnknownOperationException", "this World does not know the operation");
    }
    let faults = contract().faults_of_request(service, operation, &request.json);
    if !faults.is_empty() {
        let count = faults.len();
        let message =
            format!("{count} validation error{} detected: {}", if count == 1 { "" } else { "s" }, faults.join("; "));
        state.violations.push(format!("{operation}: {message}"));
        return Reply::invalid(&message);
    }
    let answered = match service {
        "SageMaker" => sagemaker::answer(state, request),
        "ECR" => ecr::answer(state, request),
        _ => logs::answer(state, request),
    };
    let mut body = match answered {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    for fault in contract().faults_of_answer(service, operation, &body) {
        state.own_faults.push(format!("answer of {operation}: {fault}"));
    }
    if body.is_null() {
        return Reply { body: Bytes::new(), ..Reply::json(Value::Null) };
    }
    // Members that nobody knows yet come any day.
    body["SomethingNew"] = json!({ "Since": 1.5e9, "Kinds": ["A", null] });
    if let Some(overlay) = state.overlays.get(operation) {
        body = crate::world::github::contract::overlaid(body, overlay.clone());
    }
    Reply::json(body)
}

/// A body that may break off.
pub struct Pieces {
    left: Option<Bytes>,
    half: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match (self.left.take(), self.half) {
            (Some(bytes), true) => Some(Ok(Frame::data(bytes.slice(..bytes.len() / 2)))),
            (Some(bytes), false) => Some(Ok(Frame::data(bytes))),
            (None, true) => Some(Err(std::io::Error::other("it breaks off"))),
            (None, false) => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        !self.half && self.left.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match (&self.left, self.half) {
            (Some(bytes), false) => hyper::body::SizeHint::with_exact(bytes.len() as u64),
            _ => hyper::body::SizeHint::default(),
        }
    }
}
