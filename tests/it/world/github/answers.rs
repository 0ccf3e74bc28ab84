//! What this GitHub answers, out of its state, and what a request does to it.

use super::contract::Route;
use super::contract::contract;
use super::contract::overlaid;
use super::state::CheckRun;
use super::state::Node;
use super::state::Pull;
use super::state::State;
use super::state::Status;
use super::state::Token;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;

const WHEN: &str = "2026-11-01T08:00:00Z";

/// An answer.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Value>,
}

/// A request, read.
pub struct Request<'a> {
    pub method: &'a str,
    pub route: &'a Route,
    pub query: &'a [(String, String)],
    pub body: Option<&'a Value>,
    /// The address of the API.
    pub base: &'a str,
    pub token: Option<&'a str>,
}

impl Reply {
    pub fn no(status: u16, message: &str) -> Self {
        let body = json!({
            "message": message,
            "documentation_url": "https://docs.github.com/rest/about",
            "status": status.to_string(),
        });
        Self { status, headers: Vec::new(), body: Some(body) }
    }

    fn yes(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Some(body) }
    }

    fn done() -> Self {
        Self { status: 204, headers: Vec::new(), body: None }
    }

    fn invalid(message: &str) -> Self {
        let body = json!({
            "message": "Validation Failed",
            "errors": [{ "resource": "Body", "field": "body", "code": "custom", "message": message }],
            "documentation_url": "https://docs.github.com/rest/about",
            "status": "422",
        });
        Self { status: 422, headers: Vec::new(), body: Some(body) }
    }
}

const REPO: &str = "/repos/{owner}/{repo}";

/// Answers.
pub fn answer(state: &mut State, request: &Request<'_>) -> Reply {
    let Some(token) = request.token.and_then(|token| state.tokens.get(token)).cloned() else {
        return Reply::no(401, "Bad credentials");
    };
    let template = request.route.template.as_str();
    let rest = template.strip_prefix(REPO);
    if rest.is_some() {
        let value = |name: &str| request.route.values[name].to_ascii_lowercase();
        if value("owner") != state.owner || value("repo") != state.name.to_ascii_lowercase() {
            return Reply::no(404, "Not Found");
        }
    }
    let needed = match rest {
        Some(rest) if rest.contains("check-runs") => "checks",
        Some(rest) if rest.contains("status") => "statuses",
        Some(rest) if rest.starts_with("/issues") || rest.contains("pulls") => "pull-requests",
        Some(rest) if rest.starts_with("/contents") || rest.starts_with("/git") || rest == "/commits/{ref}" => {
            "contents"
        }
        _ => "metadata",
    };
    if needed == "checks" && request.method != "GET" && token.app.is_none() {
        return Reply::no(403, "You must authenticate via a GitHub App.");
    }
    let writes = request.method != "GET";
    let may = token.permissions.contains(&format!("{needed}: write"))
        || (!writes && token.permissions.contains(&format!("{needed}: read")));
    if !may {
        return Reply::no(403, "Resource not accessible by integration");
    }
    let key = format!("{} {}", request.method, rest.unwrap_or(template));
    match key.as_str() {
        "GET /user" if token.app.is_some() => Reply::no(403, "Resource not accessible by integration"),
        "GET /user" => Reply::yes(200, overlaid(contract().sample_of("public-user"), json!({ "login": token.login }))),
        "GET " => Reply::yes(
            200,
            overlaid(
                contract().sample("GET", REPO, 200),
                json!({ "id": state.id, "name": state.name, "default_branch": "main" }),
            ),
        ),
        "GET /git/ref/{ref}" => branch(state, request),
        "GET /contents/{path}" => content(state, request),
        "GET /collaborators/{username}/permission" => permission(state, request),
        "GET /pulls" => pulls(state, request),
        "GET /pulls/{pull_number}" => pull(state, request),
        "GET /pulls/{pull_number}/reviews" => reviews(state, request),
        "GET /pulls/{pull_number}/commits" => pull_commits(state, request),
        "GET /commits/{ref}" => commit(state, request),
        "GET /commits/{commit_sha}/pulls" => pulls_of_commit(state, request),
        "GET /issues/{issue_number}/comments" => comments(state, request),
        "POST /issues/{issue_number}/comments" => add_comment(state, request, &token),
        "PATCH /issues/comments/{comment_id}" => change_comment(state, request),
        "DELETE /issues/comments/{comment_id}" => delete_comment(state, request),
        "GET /commits/{ref}/check-runs" => checks(state, request),
        "POST /check-runs" => add_check(state, request, &token),
        "GET /check-runs/{check_run_id}" => check(state, request),
        "PATCH /check-runs/{check_run_id}" => change_check(state, request, &token),
        "GET /check-runs/{check_run_id}/annotations" => annotations(state, request),
        "GET /commits/{ref}/status" => statuses(state, request),
        "POST /statuses/{sha}" => add_status(state, request),
        _ => panic!("this GitHub does not know {key} yet"),
    }
}

fn value<'a>(request: &'a Request<'_>, name: &str) -> &'a str {
    &request.route.values[name]
}

fn asked<'a>(request: &'a Request<'_>, name: &str) -> Option<&'a str> {
    request.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

fn number(request: &Request<'_>, name: &str) -> u64 {
    value(request, name).parse().expect("the description was checked")
}

/// Cuts a page out, and says in `Link` where the next is, by the number of the repository as GitHub does.
fn page(state: &State, request: &Request<'_>, all: Vec<Value>, wrap: impl Fn(Vec<Value>) -> Value) -> Reply {
    let of = |name, default: usize| asked(request, name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (size, at) = (of("per_page", 30).min(100), of("page", 1));
    let pages = all.len().div_ceil(size);
    let items: Vec<Value> = all.into_iter().skip((at - 1) * size).take(size).collect();
    let mut reply = Reply::yes(200, wrap(items));
    if at < pages {
        let mut rest = request.route.template.strip_prefix(REPO).expect("a list of the repository").to_owned();
        for (name, value) in &request.route.values {
            rest = rest.replace(&format!("{{{name}}}"), value);
        }
        let query: Vec<String> = request
            .query
            .iter()
            .filter(|(name, _)| name != "page")
            .map(|(name, value)| format!("{name}={}", value.replace(' ', "%20")))
            .collect();
        let address = format!("{}/repositories/{}{rest}?{}", request.base, state.id, query.join("&"));
        reply.headers.push((
            "link",
            format!("<{address}&page={}>; rel=\"next\", <{address}&page={pages}>; rel=\"last\"", at + 1),
        ));
    }
    reply
}

fn user(login: &str) -> Value {
    let kind = if login.ends_with("[bot]") { "Bot" } else { "User" };
    overlaid(contract().sample_of("simple-user"), json!({ "login": login, "type": kind }))
}

fn app(slug: &str) -> Value {
    overlaid(contract().sample_of("integration"), json!({ "slug": slug, "name": slug, "owner": user("github") }))
}

fn branch(state: &State, request: &Request<'_>) -> Reply {
    let asked = value(request, "ref");
    match asked.strip_prefix("heads/").and_then(|name| state.branches.get(name)) {
        Some(sha) => {
            let over = json!({ "ref": format!("refs/{asked}"), "object": { "type": "commit", "sha": sha } });
            Reply::yes(200, overlaid(contract().sample_of("git-ref"), over))
        }
        None => Reply::no(404, "Not Found"),
    }
}

fn content(state: &State, request: &Request<'_>) -> Reply {
    let path = value(request, "path");
    let at = asked(request, "ref").unwrap_or("main");
    if !state.files.keys().any(|(known, _)| known == at) {
        return Reply::no(404, &format!("No commit found for the ref {at}"));
    }
    let Some(node) = state.files.get(&(at.to_owned(), path.to_owned())) else {
        return Reply::no(404, "Not Found");
    };
    let of = |schema: &str, over: Value| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let whole = overlaid(contract().sample_of(schema), json!({ "name": name, "path": path }));
        Reply::yes(200, overlaid(whole, over))
    };
    match node {
        Node::File(bytes) => {
            of("content-file", json!({ "size": bytes.len(), "encoding": "base64", "content": base64(bytes) }))
        }
        Node::Large(size) => of("content-file", json!({ "size": size, "encoding": "none", "content": "" })),
        Node::Folder => Reply::yes(200, json!([])),
        Node::Submodule => of("content-submodule", json!({})),
        Node::Symlink(target) => of("content-symlink", json!({ "target": target })),
    }
}

fn permission(state: &State, request: &Request<'_>) -> Reply {
    let login = value(request, "username");
    match state.people.get(login) {
        Some((permission, role)) => {
            let over = json!({ "permission": permission, "role_name": role, "user": null });
            Reply::yes(200, overlaid(contract().sample_of("repository-collaborator-permission"), over))
        }
        None => Reply::no(404, &format!("{login} is not a user")),
    }
}

fn pull_value(state: &State, pull: &Pull, schema: &str) -> Value {
    let url = format!("https://github.example.com/{}/{}/pull/{}", state.owner, state.name, pull.number);
    let mut whole = overlaid(
        contract().sample_of(schema),
        json!({
            "number": pull.number,
            "state": pull.state,
            "title": pull.title,
            "html_url": url,
            "merged_at": pull.merged.then_some(WHEN),
            "draft": pull.draft,
            "user": pull.author.as_deref().map(user),
            "head": { "ref": pull.head_branch, "sha": pull.head, "repo": { "id": pull.head_repository } },
            "base": { "ref": pull.base_branch, "repo": { "id": state.id } },
        }),
    );
    if pull.head_repository.is_none() {
        whole["head"]["repo"] = Value::Null;
    }
    // Version 2026-03-10 of the API leaves it out, and nothing may read it.
    whole["merge_commit_sha"] = Value::Null;
    whole
}

fn pulls(state: &State, request: &Request<'_>) -> Reply {
    let wanted = asked(request, "state").unwrap_or("open");
    let head = asked(request, "head");
    let all = state
        .pulls
        .iter()
        .filter(|pull| wanted == "all" || pull.state == wanted)
        .filter(|pull| {
            head.is_none_or(|head| head.split_once(':').is_some_and(|(_, branch)| branch == pull.head_branch))
        })
        .map(|pull| pull_value(state, pull, "pull-request-simple"))
        .collect();
    page(state, request, all, Value::Array)
}

fn pull(state: &State, request: &Request<'_>) -> Reply {
    let number = number(request, "pull_number");
    match state.pulls.iter().find(|pull| pull.number == number) {
        Some(pull) => Reply::yes(200, pull_value(state, pull, "pull-request")),
        None => Reply::no(404, "Not Found"),
    }
}

fn reviews(state: &State, request: &Request<'_>) -> Reply {
    let number = number(request, "pull_number");
    let Some(pull) = state.pulls.iter().find(|pull| pull.number == number) else {
        return Reply::no(404, "Not Found");
    };
    let all = pull
        .reviews
        .iter()
        .map(|review| {
            let over = json!({ "user": user(&review.by), "state": review.state, "commit_id": review.commit.as_str() });
            overlaid(contract().sample_of("pull-request-review"), over)
        })
        .collect();
    page(state, request, all, Value::Array)
}

/// A commit by an author whom GitHub may know.
fn commit_value(author: Option<&str>) -> Value {
    overlaid(
        contract().sample_of("commit"),
        json!({ "author": author.map_or(json!({}), user), "committer": user("web-flow") }),
    )
}

fn pull_commits(state: &State, request: &Request<'_>) -> Reply {
    let number = number(request, "pull_number");
    let Some(pull) = state.pulls.iter().find(|pull| pull.number == number) else {
        return Reply::no(404, "Not Found");
    };
    let all = pull.authors.iter().map(|author| commit_value(Some(author))).collect();
    page(state, request, all, Value::Array)
}

fn commit(state: &State, request: &Request<'_>) -> Reply {
    let sha = value(request, "ref");
    if !known(state, sha) {
        return Reply::no(422, &format!("No commit found for SHA: {sha}"));
    }
    let author =
        state.commit_authors.iter().find(|(commit, _)| commit.as_str() == sha).map(|(_, login)| login.as_str());
    Reply::yes(200, commit_value(author))
}

/// Answers GraphQL's one question that is asked: as whom the token acts. It has no description of GitHub's REST API.
pub fn viewer(state: &State, token: Option<&str>) -> Reply {
    match token.and_then(|token| state.tokens.get(token)) {
        Some(token) => Reply::yes(200, json!({ "data": { "viewer": { "login": token.login } } })),
        None => Reply::no(401, "Bad credentials"),
    }
}

fn pulls_of_commit(state: &State, request: &Request<'_>) -> Reply {
    let sha = value(request, "commit_sha");
    let all = state
        .pulls
        .iter()
        .filter(|pull| pull.commits.iter().any(|commit| commit.as_str() == sha))
        .map(|pull| pull_value(state, pull, "pull-request-simple"))
        .collect();
    page(state, request, all, Value::Array)
}

fn comment_value(id: u64, issue: u64, author: &str, body: &str) -> Value {
    let over = json!({
        "id": id,
        "body": body,
        "user": user(author),
        "html_url": format!("https://github.example.com/acme/churn/pull/{issue}#issuecomment-{id}"),
    });
    overlaid(contract().sample_of("issue-comment"), over)
}

fn comments(state: &State, request: &Request<'_>) -> Reply {
    let issue = number(request, "issue_number");
    if !state.pulls.iter().any(|pull| pull.number == issue) {
        return Reply::no(404, "Not Found");
    }
    let all = state
        .comments
        .iter()
        .filter(|comment| comment.issue == issue)
        .map(|comment| comment_value(comment.id, issue, &comment.author, &comment.body))
        .collect();
    page(state, request, all, Value::Array)
}

fn sent_body(request: &Request<'_>) -> String {
    request.body.and_then(|body| body["body"].as_str()).unwrap_or_default().to_owned()
}

fn add_comment(state: &mut State, request: &Request<'_>, token: &Token) -> Reply {
    let issue = number(request, "issue_number");
    let body = sent_body(request);
    if body.chars().count() > 65_536 {
        return Reply::invalid("Body is too long (maximum is 65536 characters)");
    }
    let id = state.comment(issue, &token.login, &body);
    Reply::yes(201, comment_value(id, issue, &token.login, &body))
}

fn change_comment(state: &mut State, request: &Request<'_>) -> Reply {
    let id = number(request, "comment_id");
    let body = sent_body(request);
    if body.chars().count() > 65_536 {
        return Reply::invalid("Body is too long (maximum is 65536 characters)");
    }
    match state.comments.iter_mut().find(|comment| comment.id == id) {
        Some(comment) => {
            comment.body.clone_from(&body);
            Reply::yes(200, comment_value(id, comment.issue, &comment.author, &body))
        }
        None => Reply::no(404, "Not Found"),
    }
}

fn delete_comment(state: &mut State, request: &Request<'_>) -> Reply {
    let id = number(request, "comment_id");
    let before = state.comments.len();
    state.comments.retain(|comment| comment.id != id);
    if state.comments.len() == before { Reply::no(404, "Not Found") } else { Reply::done() }
}

fn check_value(run: &CheckRun) -> Value {
    let over = json!({
        "id": run.id,
        "head_sha": run.sha,
        "name": run.name,
        "status": run.status,
        "conclusion": run.conclusion,
        "external_id": run.external_id,
        "details_url": run.details_url,
        "html_url": format!("https://github.example.com/acme/churn/runs/{}", run.id),
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": run.annotations.len(),
            "annotations_url": "https://github.example.com/",
        },
        "app": app(&run.app),
        "check_suite": { "id": 5 },
    });
    overlaid(contract().sample_of("check-run"), over)
}

fn known(state: &State, sha: &str) -> bool {
    state.commits.iter().any(|commit| commit.as_str() == sha)
}

fn checks(state: &State, request: &Request<'_>) -> Reply {
    let sha = value(request, "ref");
    if !known(state, sha) {
        return Reply::no(422, &format!("No commit found for SHA: {sha}"));
    }
    let name = asked(request, "check_name");
    let mut runs: Vec<&CheckRun> =
        state.checks.iter().filter(|run| run.sha == sha && name.is_none_or(|name| name == run.name)).collect();
    // Newest first, and only the newest of each App unless all are wanted.
    runs.reverse();
    if asked(request, "filter") != Some("all") {
        let mut first = BTreeMap::new();
        runs.retain(|run| first.insert((run.app.clone(), run.name.clone()), ()).is_none());
    }
    let total = runs.len();
    let all = runs.into_iter().map(check_value).collect();
    page(state, request, all, |items| json!({ "total_count": total, "check_runs": items }))
}

fn write_check(run: &mut CheckRun, body: &Value) -> Result<(), Reply> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let output = &body["output"];
    for part in ["summary", "text"] {
        if output[part].as_str().is_some_and(|text| text.chars().count() > 65_535) {
            return Err(Reply::invalid("Only 65535 characters are allowed"));
        }
    }
    let none = Vec::new();
    let annotations = output["annotations"].as_array().unwrap_or(&none);
    if annotations.len() > 50 {
        return Err(Reply::invalid("No more than 50 items are allowed"));
    }
    if let Some(status) = text(&body["status"]) {
        run.status = status;
        run.conclusion = None;
    }
    if let Some(conclusion) = text(&body["conclusion"]) {
        run.status = "completed".to_owned();
        run.conclusion = Some(conclusion);
    }
    for (field, value) in [
        (&mut run.external_id, &body["external_id"]),
        (&mut run.details_url, &body["details_url"]),
        (&mut run.title, &output["title"]),
        (&mut run.summary, &output["summary"]),
        (&mut run.text, &output["text"]),
    ] {
        if let Some(text) = text(value) {
            *field = Some(text);
        }
    }
    run.annotations.extend(annotations.iter().cloned());
    Ok(())
}

fn add_check(state: &mut State, request: &Request<'_>, token: &Token) -> Reply {
    let body = request.body.expect("the description was checked");
    let sha = body["head_sha"].as_str().unwrap_or_default();
    if !known(state, sha) {
        return Reply::no(422, &format!("No commit found for SHA: {sha}"));
    }
    let mut run = CheckRun {
        id: state.next_id(),
        app: token.app.clone().expect("only Apps come here"),
        sha: sha.to_owned(),
        name: body["name"].as_str().unwrap_or_default().to_owned(),
        status: "queued".to_owned(),
        conclusion: None,
        external_id: None,
        details_url: None,
        title: None,
        summary: None,
        text: None,
        annotations: Vec::new(),
    };
    if let Err(no) = write_check(&mut run, body) {
        return no;
    }
    let reply = Reply::yes(201, check_value(&run));
    state.checks.push(run);
    reply
}

fn check(state: &State, request: &Request<'_>) -> Reply {
    let id = number(request, "check_run_id");
    match state.checks.iter().find(|run| run.id == id) {
        Some(run) => Reply::yes(200, check_value(run)),
        None => Reply::no(404, "Not Found"),
    }
}

fn change_check(state: &mut State, request: &Request<'_>, token: &Token) -> Reply {
    let id = number(request, "check_run_id");
    let Some(run) = state.checks.iter_mut().find(|run| run.id == id) else {
        return Reply::no(404, "Not Found");
    };
    if Some(&run.app) != token.app.as_ref() {
        let why = "Invalid app_id `1` - check run can only be modified by the GitHub App that created it.";
        return Reply::no(403, why);
    }
    match write_check(run, request.body.expect("the description was checked")) {
        Ok(()) => Reply::yes(200, check_value(run)),
        Err(no) => no,
    }
}

fn annotations(state: &State, request: &Request<'_>) -> Reply {
    let id = number(request, "check_run_id");
    let run = state.checks.iter().find(|run| run.id == id).expect("a check that was listed");
    let all = run
        .annotations
        .iter()
        .map(|sent| {
            let mut over = sent.clone();
            over["title"] = sent["title"].clone();
            overlaid(contract().sample_of("check-annotation"), over)
        })
        .collect();
    page(state, request, all, Value::Array)
}

fn statuses(state: &State, request: &Request<'_>) -> Reply {
    let sha = value(request, "ref");
    if !known(state, sha) {
        return Reply::no(422, &format!("No commit found for SHA: {sha}"));
    }
    let mut newest: BTreeMap<String, &Status> = BTreeMap::new();
    for status in state.statuses.iter().filter(|status| status.sha == sha) {
        newest.insert(status.context.to_ascii_lowercase(), status);
    }
    let total = newest.len();
    let all = newest
        .values()
        .map(|status| {
            let over = json!({
                "id": status.id,
                "state": status.state,
                "context": status.context,
                "description": status.description,
                "target_url": status.target_url,
            });
            overlaid(contract().sample_of("simple-commit-status"), over)
        })
        .collect();
    page(state, request, all, |items| {
        let over = json!({ "sha": sha, "total_count": total, "statuses": items });
        overlaid(contract().sample_of("combined-commit-status"), over)
    })
}

fn add_status(state: &mut State, request: &Request<'_>) -> Reply {
    let sha = value(request, "sha").to_owned();
    let body = request.body.expect("the description was checked");
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    if !known(state, &sha) {
        return Reply::no(422, &format!("No commit found for SHA: {sha}"));
    }
    if text("description").is_some_and(|text| text.chars().count() > 140) {
        return Reply::invalid("description is too long (maximum is 140 characters)");
    }
    let status = Status {
        id: state.next_id(),
        sha,
        context: text("context").unwrap_or_else(|| "default".to_owned()),
        state: text("state").expect("the description was checked"),
        description: text("description"),
        target_url: text("target_url"),
    };
    let over = json!({
        "id": status.id,
        "state": status.state,
        "context": status.context,
        "description": status.description,
        "target_url": status.target_url,
    });
    let reply = Reply::yes(201, overlaid(contract().sample_of("status"), over));
    state.statuses.push(status);
    reply
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for (at, chunk) in bytes.chunks(3).enumerate() {
        if at > 0 && at % 20 == 0 {
            out.push('\n');
        }
        let bits = chunk.iter().fold(0u32, |bits, &byte| (bits << 8) | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sextet = usize::try_from((bits >> (18 - 6 * place)) & 63).expect("six bits");
            out.push(if place <= chunk.len() { char::from(ALPHABET[sextet]) } else { '=' });
        }
    }
    out
}
