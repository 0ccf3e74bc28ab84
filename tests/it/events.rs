//! Every payload in `fixtures/events`, read as the event that stands beside it; and payloads damaged in every
//! way that a single field can be.
//!
//! Deliberately absent: what follows from an event.

use branchline::event::Event;
use branchline::event::EventError;
use branchline::event::EventErrorKind;
use branchline::event::EventKind;
use branchline::event::RunnerVariables;
use branchline::event::Trust;
use branchline::event::parse;
use expect_test::expect_file;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

const DEFAULT_BRANCH_HEAD: &str = "cccccccccccccccccccccccccccccccccccccccc";
const TEST_MERGE: &str = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";

pub struct Fixture {
    pub name: String,
    pub payload: Vec<u8>,
    pub variables: BTreeMap<String, String>,
}

impl Fixture {
    fn load(name: &str) -> Self {
        let payload = fs::read(folder().join(format!("{name}.json"))).expect("the payload is readable");
        let mut variables = usual_variables(name, &serde_json::from_slice(&payload).unwrap_or(Value::Null));
        if let Ok(text) = fs::read(folder().join(format!("{name}.vars.json"))) {
            let own: BTreeMap<String, Option<String>> = serde_json::from_slice(&text).expect("variables are JSON");
            for (variable, value) in own {
                match value {
                    Some(value) => variables.insert(variable, value),
                    None => variables.remove(&variable),
                };
            }
        }
        Self { name: name.to_owned(), payload, variables }
    }

    pub fn all() -> Vec<Self> {
        payload_names().iter().map(|name| Self::load(name)).collect()
    }

    fn runner_variables(&self) -> RunnerVariables {
        RunnerVariables::from_lookup(|name| self.variables.get(name).cloned())
    }

    fn parse(&self) -> Result<Event, EventError> {
        parse(&self.runner_variables(), &self.payload)
    }

    fn parse_as(&self, payload: &Value) -> Result<Event, EventError> {
        parse(&self.runner_variables(), payload.to_string().as_bytes())
    }

    fn value(&self) -> Option<Value> {
        serde_json::from_slice(&self.payload).ok()
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/events")
}

fn file_names() -> Vec<String> {
    fs::read_dir(folder())
        .expect("the folder is readable")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect()
}

fn payload_names() -> Vec<String> {
    let mut names: Vec<String> = file_names()
        .iter()
        .filter(|file| !file.ends_with(".vars.json"))
        .filter_map(|file| file.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// What the runner would set beside such a payload, by the table "Events that trigger workflows" in GitHub's
/// documentation.
fn usual_variables(name: &str, payload: &Value) -> BTreeMap<String, String> {
    let text = |path: &str| payload.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let event = name.split('.').next().expect("a name").to_owned();
    let number = payload.pointer("/number").and_then(Value::as_u64);
    let default_branch = text("/repository/default_branch").map(|branch| format!("refs/heads/{branch}"));
    let on_default = (default_branch, Some(DEFAULT_BRANCH_HEAD.to_owned()));
    let (reference, sha) = match event.as_str() {
        "push" => (text("/ref"), text("/after")),
        "pull_request" => (number.map(|number| format!("refs/pull/{number}/merge")), Some(TEST_MERGE.to_owned())),
        "merge_group" => (text("/merge_group/head_ref"), text("/merge_group/head_sha")),
        "workflow_dispatch" => (text("/ref"), Some(DEFAULT_BRANCH_HEAD.to_owned())),
        _ => on_default,
    };
    let is_pull_request = event.starts_with("pull_request");
    let repository = text("/repository/full_name");
    let workflow = repository.as_ref().map(|slug| format!("{slug}/.github/workflows/models.yml@refs/heads/main"));
    let id = payload.pointer("/repository/id").and_then(Value::as_u64).map(|id| id.to_string());
    let actor = text("/sender/login");
    [
        ("GITHUB_EVENT_NAME", Some(event)),
        ("GITHUB_REF", reference),
        ("GITHUB_SHA", sha),
        ("GITHUB_HEAD_REF", text("/pull_request/head/ref").filter(|_| is_pull_request)),
        ("GITHUB_BASE_REF", text("/pull_request/base/ref").filter(|_| is_pull_request)),
        ("GITHUB_REPOSITORY", repository),
        ("GITHUB_REPOSITORY_ID", id),
        ("GITHUB_RUN_ID", Some("19400000001".to_owned())),
        ("GITHUB_RUN_ATTEMPT", Some("1".to_owned())),
        ("GITHUB_JOB", Some("models".to_owned())),
        ("GITHUB_ACTOR", actor.clone()),
        ("GITHUB_TRIGGERING_ACTOR", actor),
        ("GITHUB_SERVER_URL", Some("https://github.com".to_owned())),
        ("GITHUB_WORKFLOW_REF", workflow),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
    .collect()
}

fn picture(result: &Result<Event, EventError>) -> String {
    match result {
        Ok(event) => {
            let value = serde_json::to_value(event).expect("an event is serialisable");
            let mut text = serde_yaml::to_string(&value).expect("JSON is YAML");
            let commit = event.reported_commit().map_or("none", |commit| commit.as_str());
            let rules = event.rules_branch().map_or("unknown", |branch| branch.as_str());
            text.push_str(&format!("---\nreports belong to: {commit}\nrules come from: {rules}\n"));
            match &event.trust {
                Trust::Own => {}
                Trust::Foreign { why } => text.push_str(&format!("foreign: {why}\n")),
                Trust::Refused { why, .. } => text.push_str(&format!("refused: {why}\n")),
            }
            if let EventKind::NotOurs(why) = &event.kind {
                text.push_str(&format!("not ours: {why}\n"));
            }
            text
        }
        Err(error) => {
            let exit = match error.kind() {
                EventErrorKind::Payload => 21,
                EventErrorKind::Usage => 2,
            };
            format!("error, exit {exit}\n{}\n", chain(error).join("\n  because: "))
        }
    }
}

fn chain(error: &dyn Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string).collect()
}

/// Fails unless the result is an event, or an error that a person can read without harm.
fn check_readable(result: &Result<Event, EventError>, what: &str) {
    let sentences = match result {
        Ok(Event { kind: EventKind::NotOurs(why), .. }) => vec![why.to_string()],
        Ok(_) => return,
        Err(error) => chain(error),
    };
    for sentence in sentences {
        assert!(sentence.contains(' ') && sentence.chars().count() < 600, "{what}: {sentence}");
        assert!(!sentence.chars().any(char::is_control), "{what}: {}", sentence.escape_debug());
        assert!(!sentence.contains("Some(") && !sentence.contains("Error {"), "{what}: {sentence}");
    }
}

#[test]
fn every_payload_is_read_as_the_event_beside_it() {
    let fixtures = Fixture::all();
    assert!(fixtures.len() > 100, "the payloads are found");
    for fixture in fixtures {
        let result = fixture.parse();
        check_readable(&result, &fixture.name);
        expect_file![folder().join(format!("{}.event.txt", fixture.name))].assert_eq(&picture(&result));
    }
}

#[test]
fn nothing_stands_beside_a_payload_that_is_gone() {
    let files = file_names();
    for file in &files {
        let name = file.strip_suffix(".event.txt").or_else(|| file.strip_suffix(".vars.json"));
        if let Some(name) = name {
            assert!(files.contains(&format!("{name}.json")), "{file} belongs to no payload");
        }
    }
}

#[test]
fn an_event_can_be_stored_and_read_again() {
    for fixture in Fixture::all() {
        if let Ok(event) = fixture.parse() {
            let text = serde_json::to_string(&event).expect("written");
            assert_eq!(serde_json::from_str::<Event>(&text).expect("read"), event, "{}", fixture.name);
        }
    }
}

#[test]
fn a_pull_request_is_reported_on_its_head_and_judged_by_its_base() {
    let fixture = Fixture::load("pull_request.synchronize-stale-test-merge");
    let event = fixture.parse().expect("an event");
    let reported = event.reported_commit().expect("a commit").as_str();
    assert_ne!(Some(reported), fixture.variables.get("GITHUB_SHA").map(String::as_str));
    assert_eq!(
        Some(reported),
        fixture.value().expect("JSON").pointer("/pull_request/head/sha").and_then(Value::as_str)
    );
    assert_eq!(event.rules_branch().map(|branch| branch.as_str()), Some("main"));
}

#[test]
fn a_deleted_branch_never_moves() {
    for name in ["push.deleted-branch", "push.deleted-without-zeros", "push.zeros-without-deleted", "delete.branch"] {
        let event = Fixture::load(name).parse().expect("an event");
        assert!(matches!(event.kind, EventKind::BranchDeleted { .. }), "{name}");
    }
}

/// Replaces, one after the other, every value of a payload by every kind of other value, and hands on each result.
fn damage(payload: &Value, each: &mut dyn FnMut(&Value, &str)) {
    for pointer in pointers(payload) {
        for replacement in replacements() {
            each(&damaged(payload, &pointer, replacement), &pointer);
        }
    }
}

/// What a value is replaced by; `None` takes it away.
fn replacements() -> [Option<Value>; 8] {
    [
        None,
        Some(Value::Null),
        Some(json!(7)),
        Some(json!(-1.5)),
        Some(json!("x")),
        Some(json!("\u{1b}[31m\n::error::x")),
        Some(json!([])),
        Some(json!(true)),
    ]
}

fn damaged(payload: &Value, pointer: &str, replacement: Option<Value>) -> Value {
    let mut copy = payload.clone();
    match (replacement, pointer.rsplit_once('/')) {
        (Some(value), _) => {
            if let Some(place) = copy.pointer_mut(pointer) {
                *place = value;
            }
        }
        (None, Some((parent, name))) => {
            if let Some(Value::Object(members)) = copy.pointer_mut(parent) {
                members.remove(name);
            }
        }
        (None, None) => {}
    }
    copy
}

fn pointers(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), value)];
    while let Some((pointer, value)) = open.pop() {
        match value {
            Value::Object(members) => {
                open.extend(members.iter().map(|(name, inner)| (format!("{pointer}/{name}"), inner)));
            }
            Value::Array(items) => {
                open.extend(items.iter().enumerate().map(|(index, inner)| (format!("{pointer}/{index}"), inner)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        found.push(pointer);
    }
    found
}

#[test]
fn one_damaged_field_gives_an_event_or_a_sentence() {
    for name in [
        "push.merged",
        "create.branch",
        "delete.branch",
        "pull_request.edited-base",
        "pull_request_target.fork",
        "merge_group.nested-base",
        "workflow_dispatch.promote",
        "workflow_dispatch.rollback",
        "repository_dispatch.training-finished",
        "schedule.nightly",
        "workflow_run.of-a-fork",
        "issue_comment.created",
    ] {
        let fixture = Fixture::load(name);
        damage(&fixture.value().expect("JSON"), &mut |payload, pointer| {
            check_readable(&fixture.parse_as(payload), &format!("{name} without a good {pointer}"));
        });
    }
}

#[test]
fn one_damaged_field_never_makes_a_fork_our_own() {
    for name in [
        "pull_request.fork",
        "pull_request.fork-renamed",
        "pull_request.fork-deleted",
        "pull_request.merged-from-fork",
        "pull_request_target.fork",
        "pull_request_target.own",
        "workflow_run.of-a-fork",
    ] {
        let fixture = Fixture::load(name);
        damage(&fixture.value().expect("JSON"), &mut |payload, pointer| {
            if let Ok(event) = fixture.parse_as(payload) {
                assert!(!event.trust.may_write(), "{name} without a good {pointer}");
            }
        });
    }
}

const EVENTS: [&str; 11] = [
    "push",
    "create",
    "delete",
    "pull_request",
    "pull_request_target",
    "merge_group",
    "workflow_dispatch",
    "repository_dispatch",
    "schedule",
    "workflow_run",
    "fork",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop_oneof!["refs/heads/dev", "refs/tags/v1", "branch", "opened", "closed", "rollback", "[0-9a-f]{40}"]
            .prop_map(Value::from),
    ];
    let name = prop_oneof![
        "ref|after|before|deleted|action|number|pull_request|merge_group|inputs|ref_type|repository",
        "head|base|repo|sha|full_name|head_sha|head_ref|base_sha|base_ref|model|group|version|changes",
        any::<String>(),
    ];
    leaf.prop_recursive(5, 80, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_give_an_event_or_a_sentence(event in prop::sample::select(&EVENTS[..]), bytes: Vec<u8>) {
        let variables = RunnerVariables { event_name: Some(event.to_owned()), ..RunnerVariables::default() };
        check_readable(&parse(&variables, &bytes), event);
    }

    #[test]
    fn any_json_gives_an_event_or_a_sentence(
        event in prop::sample::select(&EVENTS[..]),
        payload in any_json(),
        git_ref: Option<String>,
        sha: Option<String>,
        other: Option<String>,
    ) {
        let variables = RunnerVariables {
            event_name: Some(event.to_owned()),
            git_ref,
            sha,
            run_id: other.clone(),
            run_attempt: other.clone(),
            server_url: other.clone(),
            workflow_ref: other.clone(),
            base_ref: other,
            ..RunnerVariables::default()
        };
        check_readable(&parse(&variables, payload.to_string().as_bytes()), event);
    }

    #[test]
    fn any_event_name_gives_an_event_or_a_sentence(name: String) {
        let variables = RunnerVariables { event_name: Some(name), ..RunnerVariables::default() };
        check_readable(&parse(&variables, b"{}"), "any name");
    }

    #[test]
    fn any_damaged_payload_gives_an_event_or_a_sentence(
        which: prop::sample::Index,
        place: prop::sample::Index,
        with in prop::sample::select(replacements().to_vec()),
    ) {
        let fixture = Fixture::load(which.get::<String>(&payload_names()));
        let payload = fixture.value().unwrap_or(Value::Null);
        let pointer = place.get(&pointers(&payload)).clone();
        check_readable(&fixture.parse_as(&damaged(&payload, &pointer, with)), &fixture.name);
    }
}
