//! Which version went where, with its digests, and who approved it or what is awaited.

use crate::model::approval::Approval;
use crate::model::version::Version;
use crate::outcome::ModelOutcome;
use crate::outcome::StepResult;
use crate::plan::next_move::Dispatch;
use crate::plan::prediction::Candidate;
use crate::plan::step::Step;
use crate::report::escape::code_cell;
use crate::report::escape::code_span;
use crate::report::escape::markdown_cell;
use crate::report::markdown::Context;
use crate::report::markdown::reasons::run_workflow;
use crate::report::markdown::words::commit;
use crate::report::markdown::words::folded;
use crate::report::markdown::words::pull_request;
use crate::report::markdown::words::short_digest;
use crate::report::markdown::words::version_name;

/// The table of the versions that a run made, and the commands that approve what is awaited.
pub(super) fn went(model: &ModelOutcome, context: &Context) -> Option<String> {
    if model.versions.is_empty() {
        return None;
    }
    let mut text = "| Now in | Version | From | SHA-256 | Approval |\n| :-- | :-- | :-- | :-- | :-- |".to_owned();
    for version in &model.versions {
        let content = &version.content;
        let sha256 = version.sha256().map_or_else(|| "–".to_owned(), |digest| code_cell(digest.short()));
        text.push_str(&format!(
            "\n| {} | **{}** ({}) | {} | {sha256} | {} |",
            code_cell(version.group.as_str()),
            content.semver,
            version.number,
            markdown_cell(&origin(model, version)),
            markdown_cell(&standing(model, version)),
        ));
    }
    let awaited: Vec<String> = model
        .versions
        .iter()
        .filter(|version| version.awaits_approval())
        .map(|version| {
            let command = format!("branchline approve --group {} --version {}", version.group, version.number.0);
            let dispatch = Dispatch::approve(&version.reference());
            format!("> **Next:** {}{}", code_span(&command), run_workflow(&dispatch, context))
        })
        .collect();
    if !awaited.is_empty() {
        text.push_str(&format!("\n\n{}", awaited.join("\n>\n")));
    }
    Some(text)
}

fn origin(model: &ModelOutcome, version: &Version) -> String {
    let content = &version.content;
    match (&content.restores, &content.source) {
        (Some(number), _) => format!("{number} of the same group"),
        (None, Some(source)) => version_name(model, source),
        (None, None) => "this training".to_owned(),
    }
}

/// `approved by ada`, `awaits approval`.
fn standing(model: &ModelOutcome, version: &Version) -> String {
    match version.approval {
        Approval::Rejected => "rejected".to_owned(),
        Approval::PendingManualApproval if version.superseded => "superseded".to_owned(),
        Approval::PendingManualApproval => "awaits approval".to_owned(),
        Approval::Approved => {
            let by_step = model.steps.iter().find_map(|record| match &record.step {
                Step::Approve(step)
                    if matches!(record.result, StepResult::Done | StepResult::Found)
                        && step.change.group == version.group
                        && step.change.number == version.number =>
                {
                    Some(step.change.by.actor.clone())
                }
                _ => None,
            });
            match by_step {
                Some(Some(actor)) => format!("approved by {actor}"),
                Some(None) => "approved".to_owned(),
                None => "approved by the rules".to_owned(),
            }
        }
    }
}

/// The whole digests and where each version comes from, folded.
pub(super) fn lineage(model: &ModelOutcome, context: &Context) -> Option<String> {
    let mut parts: Vec<String> = model.versions.iter().map(|version| of_version(version, context)).collect();
    if parts.is_empty() {
        parts.extend(model.candidate.as_deref().map(|candidate| of_candidate(candidate, context)));
    }
    (!parts.is_empty()).then(|| folded("Digests and where it comes from", &parts.join("\n\n")))
}

fn of_version(version: &Version, context: &Context) -> String {
    let content = &version.content;
    let lineage = &content.lineage;
    let mut rows = vec![
        ("Version".to_owned(), format!("{} {}", code_cell(version.group.as_str()), version.number)),
        ("Trained from".to_owned(), commit(context, &lineage.commit)),
    ];
    rows.extend(lineage.branch.as_ref().map(|branch| ("Branch".to_owned(), code_cell(branch.as_str()))));
    rows.extend(lineage.actor.as_ref().map(|actor| ("By".to_owned(), markdown_cell(actor))));
    rows.extend(lineage.pull_request.map(|number| ("Pull request".to_owned(), pull_request(context, number))));
    rows.extend(lineage.training.as_ref().map(|name| ("Training".to_owned(), code_cell(name.as_str()))));
    for artifact in &content.artifacts {
        rows.push((markdown_cell(&artifact.name), code_cell(&artifact.digest.to_string())));
    }
    rows.push(("Fingerprint".to_owned(), code_cell(&content.fingerprint.to_string())));
    rows.push(("Code id".to_owned(), code_cell(&content.code_id.to_string())));
    for (channel, data) in &lineage.datasets {
        rows.push((format!("Data {}", code_cell(channel.as_str())), code_cell(&data.to_string())));
    }
    table(&rows)
}

fn of_candidate(candidate: &Candidate, context: &Context) -> String {
    let mut rows = Vec::new();
    rows.extend(candidate.version.as_ref().map(|known| {
        ("Version".to_owned(), format!("{} {}", code_cell(known.version.group.as_str()), known.version.number))
    }));
    rows.push(("Trained from".to_owned(), commit(context, &candidate.commit)));
    rows.extend(candidate.training.as_ref().map(|name| ("Training".to_owned(), code_cell(name.as_str()))));
    rows.extend(candidate.sha256.as_ref().map(|digest| ("SHA-256".to_owned(), code_cell(digest))));
    rows.push(("Fingerprint".to_owned(), code_cell(&candidate.fingerprint.to_string())));
    for (channel, data) in &candidate.datasets {
        rows.push((format!("Data {}", code_cell(channel.as_str())), code_cell(&short_digest(&data.to_string()))));
    }
    table(&rows)
}

fn table(rows: &[(String, String)]) -> String {
    let mut text = "| | |\n| :-- | :-- |".to_owned();
    for (name, value) in rows {
        text.push_str(&format!("\n| {name} | {value} |"));
    }
    text
}
