//! The one function that turns variables and bytes into an event: which reader an event has, and what is the
//! same for all of them.

use crate::event::Event;
use crate::event::EventKind;
use crate::event::RepositorySlug;
use crate::event::Run;
use crate::event::dispatch;
use crate::event::error::EventError;
use crate::event::fields::Fields;
use crate::event::job::Job;
use crate::event::not_ours::NotOurs;
use crate::event::pull_request;
use crate::event::push;
use crate::event::shown;
use crate::event::trust;
use crate::event::trust::ForeignCause;
use crate::event::trust::RefusedCause;
use crate::event::trust::Trust;
use crate::event::variables::RunnerVariables;
use crate::model::git::BranchName;
use crate::model::git::RepositoryId;
use crate::model::variables as names;
use serde_json::Value;

/// Reads an event.
///
/// The payload is what the file `GITHUB_EVENT_PATH` holds. Where a host has none, `{}` does for the events that
/// the variables describe fully: `push`, `workflow_dispatch` without inputs, `schedule`.
///
/// # Errors
///
/// A payload that is not a JSON object, lacks what its event cannot do without, or holds text that cannot be what
/// it stands for; and inputs that a person filled in wrongly. [`EventError::kind`] tells the two apart. An event
/// that is not for us is no error.
pub fn parse(variables: &RunnerVariables, payload: &[u8]) -> Result<Event, EventError> {
    let name = variables.event_name.as_deref().ok_or(EventError::NoName)?;
    let value = read_json(name, payload)?;
    let fields = Fields::new(name, &value)?;
    let mut started_on = None;
    let (kind, trust) = match name {
        "push" => (push::push(variables, &fields)?, Trust::Own),
        "create" => (push::create(&fields)?, Trust::Own),
        "delete" => (push::delete(&fields)?, Trust::Own),
        "pull_request" => (pull_request::pull_request(variables, &fields)?, trust::of_pull_request(&fields)),
        "pull_request_target" => {
            let head = fields.commit("pull_request.head.sha")?;
            let trust = Trust::Refused { why: RefusedCause::PullRequestTarget, head };
            (pull_request::pull_request(variables, &fields)?, trust)
        }
        // What is in a merge queue, somebody who may merge put there.
        "merge_group" => (pull_request::merge_group(variables, &fields)?, Trust::Own),
        "workflow_dispatch" => {
            let (kind, head) = dispatch::workflow_dispatch(variables, &fields)?;
            started_on = head;
            (kind, Trust::Own)
        }
        "repository_dispatch" => (dispatch::repository_dispatch(&fields)?, Trust::Own),
        "schedule" => (dispatch::schedule(&fields), Trust::Own),
        "workflow_run" => {
            let head = fields.commit("workflow_run.head_sha")?;
            (EventKind::NotOurs(NotOurs::WorkflowRun), Trust::Refused { why: RefusedCause::WorkflowRun, head })
        }
        other => (
            EventKind::NotOurs(NotOurs::UnknownEvent { name: other.to_owned() }),
            Trust::Foreign { why: ForeignCause::EventUnknown },
        ),
    };
    let Job { name, trust, repository, repository_id, default_branch, actor, rerun_by, run } =
        of_job(variables, &fields, name, trust)?;
    Ok(Event { name, kind, trust, repository, repository_id, default_branch, actor, rerun_by, started_on, run })
}

/// Reads what an event says of its job, whatever it asks for: who started it, where, and how far it may be trusted.
///
/// For a command of the command line, which says by itself what to do: inputs that belong to the workflow's author are
/// not read.
///
/// # Errors
///
/// A payload that is not a JSON object, and a repository or a default branch that cannot be one.
pub fn parse_job(variables: &RunnerVariables, payload: &[u8]) -> Result<Job, EventError> {
    let name = variables.event_name.as_deref().ok_or(EventError::NoName)?;
    let value = read_json(name, payload)?;
    let fields = Fields::new(name, &value)?;
    let trust = match name {
        "push" | "create" | "delete" | "merge_group" | "workflow_dispatch" | "repository_dispatch" | "schedule" => {
            Trust::Own
        }
        "pull_request" => trust::of_pull_request(&fields),
        "pull_request_target" => {
            let head = fields.commit("pull_request.head.sha")?;
            Trust::Refused { why: RefusedCause::PullRequestTarget, head }
        }
        "workflow_run" => {
            let head = fields.commit("workflow_run.head_sha")?;
            Trust::Refused { why: RefusedCause::WorkflowRun, head }
        }
        _ => Trust::Foreign { why: ForeignCause::EventUnknown },
    };
    of_job(variables, &fields, name, trust)
}

fn of_job(variables: &RunnerVariables, fields: &Fields<'_>, name: &str, trust: Trust) -> Result<Job, EventError> {
    let actor = variables.actor.clone().or_else(|| fields.told("sender.login").map(str::to_owned));
    let rerun_by = variables.triggering_actor.clone().filter(|again| actor.as_ref() != Some(again));
    let repository = repository(variables, fields)?;
    Ok(Job {
        name: name.to_owned(),
        trust,
        repository_id: repository_id(variables, fields, repository.as_ref()),
        default_branch: default_branch(variables, fields)?,
        actor,
        rerun_by,
        run: run(variables, repository.as_ref()),
        repository,
    })
}

fn read_json(event: &str, payload: &[u8]) -> Result<Value, EventError> {
    // Some shells write a byte order mark in front of what is otherwise good JSON.
    let bytes = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    serde_json::from_slice(bytes).map_err(|source| EventError::NotJson { event: shown(event), source })
}

/// Returns `owner/name`. The runner's word comes before the payload's: an earlier step of the job can rewrite the
/// file, but not the variable.
fn repository(variables: &RunnerVariables, fields: &Fields<'_>) -> Result<Option<RepositorySlug>, EventError> {
    let (field, text) = match (variables.repository.as_deref(), fields.told("repository.full_name")) {
        (Some(text), _) => (names::GITHUB_REPOSITORY, text),
        (None, Some(text)) => ("repository.full_name", text),
        (None, None) => return Ok(None),
    };
    RepositorySlug::parse(text).map(Some).map_err(|_| fields.illegal(field, text, "a repository", "write `owner/name`"))
}

fn repository_id(
    variables: &RunnerVariables,
    fields: &Fields<'_>,
    repository: Option<&RepositorySlug>,
) -> RepositoryId {
    let number = fields.at("repository.id").and_then(Value::as_u64).map(|id| id.to_string());
    let host_id = variables.repository_id.clone().or(number);
    let server = variables.server_url.as_deref().or_else(|| fields.told("repository.html_url"));
    let remote = match (server.and_then(host_of), repository) {
        (Some(host), Some(slug)) => Some(format!("{host}/{slug}")),
        _ => None,
    };
    RepositoryId { host_id, remote, root: None }
}

/// Returns the host and port of an address, without credentials.
fn host_of(address: &str) -> Option<&str> {
    let rest = web_address(address)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    (!host.is_empty()).then_some(host)
}

/// Returns what follows the scheme of an address that may stand in a sentence.
fn web_address(address: &str) -> Option<&str> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_~:/?#@%+=&[]".contains(c);
    rest.chars().all(is_plain).then_some(rest)
}

/// Returns the default branch. On a schedule and a `repository_dispatch` the run itself is on it.
fn default_branch(variables: &RunnerVariables, fields: &Fields<'_>) -> Result<Option<BranchName>, EventError> {
    if let Some(text) = &variables.default_branch {
        return fields.read_branch("default branch", text).map(Some);
    }
    if let Some(text) = fields.text("repository.default_branch")? {
        return fields.read_branch("repository.default_branch", text).map(Some);
    }
    let runs_on_it = matches!(variables.event_name.as_deref(), Some("schedule" | "repository_dispatch"));
    match variables.reference().as_deref().and_then(|reference| reference.strip_prefix("refs/heads/")) {
        Some(text) if runs_on_it => fields.read_branch(names::GITHUB_REF, text).map(Some),
        _ => Ok(None),
    }
}

fn run(variables: &RunnerVariables, repository: Option<&RepositorySlug>) -> Run {
    let id = variables.run_id.as_deref().filter(|id| id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    // Anything but a number from 1 counts as the first attempt: a later one means that a person asked.
    let attempt = variables.run_attempt.as_deref().and_then(|text| text.parse().ok()).unwrap_or(1).max(1);
    let key = id.map(|id| match &variables.job {
        Some(job) => format!("{id}/{job}"),
        None => id.to_owned(),
    });
    // An address with credentials in it is one to keep quiet about.
    let server = variables
        .server_url
        .as_deref()
        .filter(|url| web_address(url).is_some_and(|rest| !rest.is_empty() && !rest.contains('@')));
    let url = match (server, repository, id) {
        (Some(server), Some(repository), Some(id)) => {
            let run = format!("{}/{repository}/actions/runs/{id}", server.trim_end_matches('/'));
            Some(if attempt > 1 { format!("{run}/attempts/{attempt}") } else { run })
        }
        _ => None,
    };
    let workflow = variables.workflow_ref.as_deref().and_then(|text| {
        // `owner/name/<path>@<reference>`: the reference may contain `@`, the path of a workflow does not.
        let (file, _) = text.split_once('@')?;
        file.splitn(3, '/').nth(2).map(str::to_owned)
    });
    Run { key, attempt, url, workflow }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(change: impl Fn(&mut RunnerVariables)) -> Event {
        let mut variables = RunnerVariables {
            event_name: Some("push".to_owned()),
            git_ref: Some("refs/heads/dev".to_owned()),
            sha: Some("a1".repeat(20)),
            repository: Some("acme/risk".to_owned()),
            run_id: Some("7".to_owned()),
            job: Some("models".to_owned()),
            server_url: Some("https://github.com".to_owned()),
            ..RunnerVariables::default()
        };
        change(&mut variables);
        parse(&variables, b"{}").expect("an event")
    }

    #[test]
    fn the_key_of_a_run_outlives_its_re_run() {
        let first = push(|variables| variables.run_attempt = Some("1".to_owned()));
        let second = push(|variables| variables.run_attempt = Some("2".to_owned()));
        assert_eq!(first.run.key, second.run.key);
        assert_eq!((first.run.attempt, second.run.attempt), (1, 2));
        assert_ne!(first.run.key, push(|variables| variables.job = Some("other".to_owned())).run.key);
        assert_eq!(push(|variables| variables.run_id = None).run.key, None);
    }

    #[test]
    fn an_attempt_that_is_no_number_counts_as_the_first() {
        for text in ["", "0", "-1", "x", "99999999999"] {
            assert_eq!(push(|variables| variables.run_attempt = Some(text.to_owned())).run.attempt, 1, "{text}");
        }
    }

    #[test]
    fn credentials_in_the_server_address_go_nowhere() {
        let event = push(|variables| variables.server_url = Some("https://ci:secret@git.example.org:8443/".to_owned()));
        assert_eq!(event.repository_id.remote.as_deref(), Some("git.example.org:8443/acme/risk"));
        assert_eq!(event.run.url, None);
    }

    #[test]
    fn an_address_that_is_none_is_not_passed_on() {
        for text in ["github.com", "javascript:alert(1)", "https://", "https://a b", "https://x)](y"] {
            let event = push(|variables| variables.server_url = Some(text.to_owned()));
            assert_eq!(event.repository_id.remote, None, "{text}");
        }
        assert_eq!(push(|variables| variables.server_url = Some("https://x\n".to_owned())).run.url, None);
    }

    #[test]
    fn the_same_person_running_again_is_not_worth_a_word() {
        let by = |actor: &str, again: &str| {
            push(|variables| {
                variables.actor = Some(actor.to_owned());
                variables.triggering_actor = Some(again.to_owned());
            })
            .rerun_by
        };
        assert_eq!(by("ada", "ada"), None);
        assert_eq!(by("ada", "grace"), Some("grace".to_owned()));
    }

    #[test]
    fn a_job_is_read_whatever_its_inputs_are_for() {
        let variables = |event: &str| RunnerVariables {
            event_name: Some(event.to_owned()),
            actor: Some("ada".to_owned()),
            ..RunnerVariables::default()
        };
        let payload = br#"{ "inputs": { "version": "of their own" }, "repository": { "default_branch": "main" } }"#;
        let dispatched = variables("workflow_dispatch");
        assert!(parse(&dispatched, payload).is_err());
        let job = parse_job(&dispatched, payload).expect("a job");
        assert_eq!((job.person(), job.acted_by()), (Some("ada"), Some("ada")));
        assert_eq!(job.default_branch.as_ref().map(BranchName::as_str), Some("main"));
        // GitHub names whoever changed the schedule last: nobody started it.
        let scheduled = parse_job(&variables("schedule"), b"{}").expect("a job");
        assert_eq!((scheduled.person(), scheduled.acted_by()), (None, Some("schedule")));
        let again = RunnerVariables { triggering_actor: Some("mia".to_owned()), ..variables("schedule") };
        let again = parse_job(&again, b"{}").expect("a job");
        assert_eq!((again.person(), again.acted_by()), (Some("mia"), Some("mia")));
        let fork = parse_job(&variables("pull_request"), b"{}").expect("a job");
        assert!(!fork.trust.may_write(), "whose code it is was not said");
    }
}
