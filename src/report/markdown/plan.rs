//! The steps in words: what merging would do, or what was done.

use crate::model::approval::Approval;
use crate::model::training::StopCause;
use crate::outcome::ModelOutcome;
use crate::outcome::StepRecord;
use crate::outcome::StepResult;
use crate::plan::prediction::MergeDoes;
use crate::plan::reason::Reason;
use crate::plan::step::RegisterStep;
use crate::plan::step::Step;
use crate::plan::wording::seconds;
use crate::report::escape::code_span;
use crate::report::escape::markdown_cell;
use crate::report::markdown::Context;
use crate::report::markdown::words::commit;
use crate::report::markdown::words::list;
use crate::report::markdown::words::sentence;

/// Numbers the steps of a plan, or of a run with what came of each.
pub(super) fn steps(model: &ModelOutcome, context: &Context) -> Option<String> {
    if model.steps.is_empty() {
        return None;
    }
    let planned = model.steps.iter().any(|record| record.result == StepResult::Planned);
    let title = match (&model.merging, planned) {
        (Some(_), _) => "What merging does",
        (None, true) => "What is to be done",
        (None, false) => "What was done",
    };
    let mut lines: Vec<String> =
        model.steps.iter().map(|record| format!("{}{}", words(model, context, record), came(record))).collect();
    lines.extend(afterwards(model));
    let numbered: Vec<String> = lines.iter().enumerate().map(|(at, line)| format!("{}. {line}", at + 1)).collect();
    Some(format!("**{title}**\n\n{}", numbered.join("\n")))
}

/// The machines of the last training, where they were rented. Their name is foreign text.
fn last_machines(model: &ModelOutcome) -> String {
    let told = model.reasons.iter().find_map(|reason| match reason {
        Reason::TrainingNeeded { last_machines, .. } => last_machines.as_deref(),
        _ => None,
    });
    told.map_or_else(String::new, |machines| format!(", last on {}", code_span(machines)))
}

fn words(model: &ModelOutcome, context: &Context, record: &StepRecord) -> String {
    match &record.step {
        Step::Train(step) => {
            let origin = &step.origin;
            let took = model.merging.as_ref().and_then(|merging| merging.expected_seconds);
            let took = took.map_or_else(String::new, |s| format!(", about {}", seconds(s)));
            let attempt = if step.attempt > 1 { format!(", attempt {}", step.attempt) } else { String::new() };
            // A merge that nobody has made yet has a tree, but no commit.
            let of = if model.merging.is_some() {
                "what the merge gives".to_owned()
            } else {
                format!("commit {}", commit(context, &origin.commit))
            };
            format!("Train {} in stage {} from {of}{attempt}{took}{}", origin.model, origin.stage, last_machines(model))
        }
        Step::Stop(step) => {
            let why = match step.cause {
                StopCause::Cancelled => "the run was cancelled",
                StopCause::NewerPush => "a newer push wants something else",
                StopCause::BranchDeleted => "its branch was deleted",
                StopCause::Pruned => "what it made was removed",
            };
            format!("Stop training {}: {why}", code_span(step.training.as_str()))
        }
        Step::Copy(step) => {
            let what = if step.artifacts.len() == 1 { "artifact" } else { "artifacts" };
            let group = code_span(step.to.group.as_str());
            format!("Copy the {what} of {} to {group} and verify every byte", markdown_cell(&step.from))
        }
        Step::Register(step) => enters("Register it", step),
        Step::Promote(step) => enters("Register the copy", step),
        Step::Restore(step) => {
            let old = step.registration.content.restores.map_or_else(String::new, |number| format!(" of {number}"));
            enters(&format!("Register the artifacts{old} again"), step)
        }
        Step::Reinstate(step) => {
            let (group, number) = (code_span(step.change.group.as_str()), step.change.number);
            format!("Remove the mark `superseded` of {group} {number}: it is {} now", step.change.to)
        }
        Step::Approve(step) => format!("Approve {} {}", code_span(step.change.group.as_str()), step.change.number),
        Step::Reject(step) => format!("Reject {} {}", code_span(step.change.group.as_str()), step.change.number),
        Step::Freeze(step) => format!("Freeze {}: nothing changes it automatically", code_span(step.group.as_str())),
        Step::Unfreeze(step) => format!("Unfreeze {}", code_span(step.group.as_str())),
    }
}

fn enters(what: &str, step: &RegisterStep) -> String {
    let registration = &step.registration;
    let how = match registration.approval {
        Approval::Approved => "approved by the rules",
        Approval::PendingManualApproval => "awaiting a person's approval",
        Approval::Rejected => "rejected",
    };
    let semver = &registration.content.semver;
    format!("{what} as {semver} in {}, {how}", code_span(registration.group.as_str()))
}

/// What came of it, where that is not what one expects.
fn came(record: &StepRecord) -> String {
    let note = |what: &str| {
        let note = sentence(&record.note);
        if note.is_empty() { format!(": **{what}**") } else { format!(": **{what}**, {note}") }
    };
    match record.result {
        StepResult::Planned | StepResult::Done => String::new(),
        StepResult::Found => " (was done already)".to_owned(),
        StepResult::Stale => note("the world had moved, looked again"),
        StepResult::Failed => note("failed"),
    }
}

/// What follows a training can only be known when it has ended.
fn afterwards(model: &ModelOutcome) -> Option<String> {
    let trains = model.merging.as_ref().is_some_and(|merging| merging.does == MergeDoes::Train);
    let ends_there = model.steps.last().is_some_and(|record| matches!(record.step, Step::Train(_)));
    if !(trains && ends_there) {
        return None;
    }
    let groups: Vec<String> = model
        .compared
        .iter()
        .filter(|comparison| comparison.receives)
        .map(|comparison| code_span(comparison.group.as_str()))
        .collect();
    let groups = if groups.is_empty() { "its group".to_owned() } else { list(&groups) };
    Some(format!("Then judge its gates, and register it in {groups} if they hold"))
}
