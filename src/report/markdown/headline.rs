//! The answer in one sentence, as plain text: the title of the check, the first line of everything else.

use crate::model::metric::display_value;
use crate::model::verdict::Verdict;
use crate::model::version::Version;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::outcome::StepResult;
use crate::plan::gate::Answer;
use crate::plan::prediction::Comparison;
use crate::plan::prediction::MergeDoes;
use crate::plan::prediction::Merging;
use crate::plan::reason::NoPromotableVersion;
use crate::plan::reason::Reason;
use crate::plan::step::Step;
use crate::plan::wording::seconds;
use crate::report::limit;
use crate::report::limit::Limit;
use crate::report::limit::Unit;
use crate::report::markdown::words;
use crate::report::markdown::words::is_prediction;
use crate::report::markdown::words::is_quiet;
use crate::report::markdown::words::known_name;
use crate::report::markdown::words::leading;
use crate::report::markdown::words::list;
use crate::report::markdown::words::signed;
use crate::report::terminal::plain;

/// A longer sentence is no title any more.
const LONGEST: Limit = Limit { size: 240, unit: Unit::Utf16 };

/// How many models are named in a sentence about several.
const NAMED: usize = 3;

/// Says in one sentence what came of a run, or what merging would do. Plain text: escape it for its place.
pub fn headline(outcome: &Outcome) -> String {
    let predicts = is_prediction(outcome);
    // `reconcile` passes although it finds what other runs said no to: that is no news.
    let known: Vec<String> = outcome
        .models
        .iter()
        .filter(|model| model.verdict.badness() > outcome.verdict.badness())
        .map(|model| format!("{}{} {}", model.model, at(model), model.verdict))
        .collect();
    let text = match outcome.models.as_slice() {
        _ if !known.is_empty() => {
            let more = known.len().saturating_sub(NAMED);
            let names: Vec<String> = known.into_iter().take(NAMED).collect();
            let names = if more > 0 { format!("{} and {more} more", names.join(", ")) } else { list(&names) };
            format!("Nothing newly wrong; as before: {names}")
        }
        [] => of_none(outcome, predicts),
        [model] => of_model(model, predicts),
        models => of_several(outcome.verdict, models, predicts),
    };
    limit::line(&plain(&text), LONGEST)
}

/// Says it of one model.
pub fn model_headline(model: &ModelOutcome) -> String {
    limit::line(&plain(&of_model(model, model.merging.is_some())), LONGEST)
}

fn at(model: &ModelOutcome) -> String {
    model.at.as_ref().map_or_else(String::new, |at| format!(" ({at})"))
}

fn of_none(outcome: &Outcome, predicts: bool) -> String {
    let first = outcome.reasons.iter().find(|reason| !matches!(reason, Reason::Predicted { .. }));
    match first {
        Some(Reason::NoRules { branch, .. }) => {
            format!("Nothing is judged yet: {branch} has no branchline.yaml")
        }
        Some(reason) => of_reason(outcome.verdict, reason, predicts),
        None => format!("Nothing to do: {}", outcome.event),
    }
}

fn of_several(verdict: Verdict, models: &[ModelOutcome], predicts: bool) -> String {
    let all = models.len();
    let worst: Vec<&ModelOutcome> = models.iter().filter(|model| model.verdict == verdict).collect();
    let first_no = worst.first().map_or_else(String::new, |model| {
        let why = model.reasons.first().map_or_else(|| model.verdict.to_string(), |reason| short(model, reason));
        format!("{}: {why}", model.model)
    });
    let number = worst.len();
    match verdict {
        Verdict::Passed | Verdict::Skipped => {
            let loud = models.iter().filter(|model| !is_quiet(model));
            let (busy, idle): (Vec<&ModelOutcome>, Vec<&ModelOutcome>) =
                loud.partition(|model| model.merging.as_ref().is_none_or(|merging| merging.does != MergeDoes::Nothing));
            let waiting: Vec<&ModelOutcome> = idle.into_iter().filter(|model| awaits_approval(model)).collect();
            let waits = match waiting.as_slice() {
                [] => String::new(),
                [_] => format!("{} awaits approval", first_names(&waiting)),
                _ => format!("{} await approval", first_names(&waiting)),
            };
            if busy.is_empty() {
                let what = if predicts { "Merging changes nothing" } else { "Nothing to do" };
                let waits = if waits.is_empty() { waits } else { format!(": {waits}") };
                return format!("{what} for all {all} models{waits}");
            }
            let does = if predicts { "Merging acts on" } else { "Done for" };
            let waits = if waits.is_empty() { waits } else { format!("; {waits}") };
            format!("{does} {} of {all} models: {}{waits}", busy.len(), first_names(&busy))
        }
        Verdict::Blocked if predicts => format!("Merging is blocked by {number} of {all} models: {first_no}"),
        Verdict::Blocked => format!("{number} of {all} models blocked: {first_no}"),
        Verdict::Waiting => format!("{number} of {all} models not ready yet: {first_no}"),
        Verdict::Failed => format!("{number} of {all} models failed: {first_no}"),
        Verdict::Errored => format!("{number} of {all} models could not be looked at: {first_no}"),
        Verdict::Cancelled => format!("Stopped, with {number} of {all} models under way: {first_no}"),
    }
}

/// The first few by name, and how many more there are.
fn first_names(models: &[&ModelOutcome]) -> String {
    let names: Vec<String> = models.iter().take(NAMED).map(|model| named(model)).collect();
    let more = models.len().saturating_sub(names.len());
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { list(&names) }
}

fn awaits_approval(model: &ModelOutcome) -> bool {
    model.reasons.iter().any(|reason| matches!(reason, Reason::AwaitsApproval { .. }))
}

fn named(model: &ModelOutcome) -> String {
    let does = model.merging.as_ref().map(|merging| merging.does);
    let version = model.candidate.as_ref().and_then(|candidate| candidate.version.as_ref());
    match (does, version, model.versions.last()) {
        (Some(MergeDoes::Train), ..) => format!("{} is trained", model.model),
        (_, Some(known), None) => format!("{} {}", model.model, known.semver),
        (_, _, Some(version)) => format!("{} {}", model.model, version.content.semver),
        (_, None, None) => model.model.to_string(),
    }
}

fn of_model(model: &ModelOutcome, predicts: bool) -> String {
    let first = model.reasons.first();
    match (model.verdict, first) {
        (Verdict::Passed, _) => match &model.merging {
            Some(merging) => merges(model, merging),
            None => done(model),
        },
        (verdict, Some(reason)) => match verdict {
            Verdict::Blocked if predicts => format!("Merging is blocked: {}", short(model, reason)),
            Verdict::Blocked => format!("{} is blocked: {}", model.model, short(model, reason)),
            Verdict::Waiting => format!("{} is not ready yet: {}", model.model, short(model, reason)),
            Verdict::Failed => format!("{} failed: {}", model.model, short(model, reason)),
            _ => of_reason(verdict, reason, predicts),
        },
        (verdict, None) => format!("{} ended as {verdict}", model.model),
    }
}

fn of_reason(verdict: Verdict, reason: &Reason, predicts: bool) -> String {
    match (verdict, reason) {
        (_, Reason::MergeConflict { base, paths }) => {
            format!("This cannot be merged into {base} as it is: {} in conflict", words::count(paths.len(), "file"))
        }
        (Verdict::Errored, _) if predicts => format!("Could not find out what merging does: {}", reason.message()),
        (Verdict::Errored, _) => format!("Could not find out what to do: {}", reason.message()),
        (Verdict::Cancelled, _) => format!("The run was stopped: {}", reason.message()),
        (Verdict::Blocked, _) => format!("Blocked: {}", reason.message()),
        (Verdict::Failed, _) => format!("Failed: {}", reason.message()),
        (Verdict::Waiting, _) => format!("Not ready yet: {}", reason.message()),
        (Verdict::Skipped, _) => format!("Nothing to do: {}", reason.message()),
        (Verdict::Passed, _) => reason.message(),
    }
}

/// The reason that says no, shorter than it stands below.
fn short(model: &ModelOutcome, reason: &Reason) -> String {
    match reason {
        Reason::GateFailed { results, .. } => {
            let missed: Vec<String> = results
                .iter()
                .filter(|result| result.answer != Answer::Pass)
                .map(|result| {
                    let value = result.value.map_or_else(|| "is missing".to_owned(), display_value);
                    format!(
                        "{} {value}, required {}",
                        result.metric,
                        result.bound.replace(">=", "≥").replace("<=", "≤")
                    )
                })
                .collect();
            let more = missed.len().saturating_sub(1);
            let first = missed.into_iter().next().unwrap_or_default();
            if more > 0 { format!("{first}, and {} more", words::count(more, "bound")) } else { first }
        }
        Reason::NoPromotableVersion(NoPromotableVersion { sources, .. }) => {
            let names: Vec<String> = sources.iter().map(|group| words::group_name(model, group)).collect();
            format!("{} has no version of exactly this content to promote", names.join(" or "))
        }
        Reason::Frozen { group, .. } => format!("{} is frozen", words::group_name(model, group)),
        Reason::TrainingOpen { .. } => "its training is still running".to_owned(),
        Reason::SourceTrainingOpen { .. } => "the training of this content is still running".to_owned(),
        Reason::SourceAwaitsApproval { version, .. } => format!("{} awaits approval", known_name(model, version)),
        Reason::TrainingFailed { message, cause, .. } => format!("cause {}: {message}", cause.as_str()),
        other => other.message(),
    }
}

/// What merging would do.
fn merges(model: &ModelOutcome, merging: &Merging) -> String {
    let name = &model.model;
    let first = model.reasons.iter().find(|reason| !matches!(reason, Reason::NewerThanReview { .. }));
    let result = result(model, true).map_or_else(String::new, |text| format!(": {text}"));
    match merging.does {
        MergeDoes::Train => {
            let again =
                if leading(model).is_some_and(|comparison| comparison.current.is_some()) { " again" } else { "" };
            let took = merging.expected_seconds.map_or_else(String::new, |s| format!(", about {}", seconds(s)));
            format!("Merging trains {name}{again}{took}: {}", why_again(model))
        }
        MergeDoes::Register => format!("Merging registers {name} in {}{result}", receivers(model)),
        MergeDoes::Promote => {
            let what = candidate(model).unwrap_or_else(|| name.to_string());
            format!("Merging promotes {what} to {}{result}", receivers(model))
        }
        MergeDoes::Restore => {
            let what = candidate(model).unwrap_or_else(|| name.to_string());
            format!("Merging brings {what} back in {}: nothing is trained or copied", receivers(model))
        }
        MergeDoes::Nothing => match first {
            Some(Reason::AwaitsApproval { version, .. }) => {
                format!("Nothing is left to merge for {name}: {} awaits approval", known_name(model, version))
            }
            Some(Reason::AlreadyCurrent { version }) => {
                format!("Merging changes nothing for {name}: {} has exactly this content", known_name(model, version))
            }
            Some(Reason::Adopted { version, .. } | Reason::AlreadyRegistered { version, .. }) => {
                format!("Merging trains nothing for {name}: {} is the very same", known_name(model, version))
            }
            Some(reason) => format!("Merging changes nothing for {name}: {}", reason.message()),
            None => format!("Merging changes nothing for {name}"),
        },
    }
}

fn candidate(model: &ModelOutcome) -> Option<String> {
    let version = model.candidate.as_ref()?.version.as_ref()?;
    Some(format!("{} {}", model.model, known_name(model, version)))
}

fn receivers(model: &ModelOutcome) -> String {
    let mut names: Vec<String> =
        model.compared.iter().filter(|comparison| comparison.receives).map(|one| one.target.to_string()).collect();
    if names.is_empty() {
        names =
            model.steps.iter().filter_map(|record| record.step.registration()).map(|r| r.group.to_string()).collect();
    }
    if names.is_empty() { "its group".to_owned() } else { list(&names) }
}

/// What is new against the version that is there.
fn why_again(model: &ModelOutcome) -> String {
    let Some(comparison) = leading(model) else {
        return "nothing was trained yet for what the merge gives".to_owned();
    };
    if comparison.current.is_none() {
        return format!("{} has no version yet", comparison.target);
    }
    let mut changed = Vec::new();
    if comparison.code.as_ref().is_some_and(|code| code.total > 0) {
        changed.push("the code".to_owned());
    }
    if !comparison.data.is_empty() {
        changed.push("the data".to_owned());
    }
    if !comparison.settings.is_empty() {
        changed.push("the settings".to_owned());
    }
    if changed.is_empty() {
        return "nothing was trained yet for what the merge gives".to_owned();
    }
    format!("{} changed", list(&changed))
}

/// The leading metric: `accuracy 0.87, +0.02 against what prod has now`.
fn result(model: &ModelOutcome, predicts: bool) -> Option<String> {
    let comparison = leading(model);
    let row = comparison.and_then(|comparison| {
        let gated = comparison.rows.iter().find(|row| !row.gates.is_empty() && row.candidate.is_some());
        gated.or_else(|| comparison.rows.iter().find(|row| row.candidate.is_some()))
    });
    let Some((comparison, row)) = comparison.zip(row) else {
        let (name, value) = model.candidate.as_ref()?.metrics.first_key_value()?;
        return Some(format!("{name} {}", display_value(*value)));
    };
    let value = display_value(row.candidate?);
    Some(format!("{} {value}{}", row.metric, against(comparison, row.difference, predicts)))
}

fn against(comparison: &Comparison, difference: Option<f64>, predicts: bool) -> String {
    let verb = match (predicts, comparison.receives) {
        (true, _) => "has now",
        (false, true) => "had before",
        (false, false) => "has",
    };
    match difference {
        Some(difference) if signed(difference) == "0" => format!(", the same as {} {verb}", comparison.target),
        Some(difference) => format!(", {} against what {} {verb}", signed(difference), comparison.target),
        None if comparison.current.is_none() && comparison.receives => {
            format!(", the first version in {}", comparison.target)
        }
        None => String::new(),
    }
}

/// What a run has done.
fn done(model: &ModelOutcome) -> String {
    let name = &model.model;
    let planned = model.steps.iter().any(|record| record.result == StepResult::Planned);
    let first = model.reasons.first().map_or_else(|| "nothing to do".to_owned(), Reason::message);
    if planned && model.verdict != Verdict::Blocked {
        return format!("{name} would run: {first}");
    }
    let by_hand = model.reasons.iter().find(|reason| {
        matches!(
            reason,
            Reason::RolledBack { .. }
                | Reason::RollingBack { .. }
                | Reason::Approving { .. }
                | Reason::Rejecting { .. }
        )
    });
    if let Some(reason) = by_hand {
        let settled = model.reasons.iter().find(|reason| matches!(reason, Reason::RolledBack { .. }));
        return format!("{name}: {}", settled.unwrap_or(reason).message());
    }
    let Some(version) = model.versions.last() else { return format!("{name}: {first}") };
    let semver = &version.content.semver;
    let waits = |version: &Version| version.awaits_approval();
    let all_wait = model.versions.iter().all(waits);
    let made: Vec<String> = model
        .versions
        .iter()
        .map(|version| {
            let marked = if waits(version) && !all_wait { " (awaiting approval)" } else { "" };
            format!("{}{marked}", words::version_name(model, &version.reference()))
        })
        .collect();
    let made = list(&made);
    let result = result(model, false).map_or_else(String::new, |text| format!(": {text}"));
    let waits = if all_wait { ", awaiting approval" } else { "" };
    let did = |wanted: fn(&Step) -> bool| model.steps.iter().any(|record| wanted(&record.step));
    if did(|step| matches!(step, Step::Promote(_))) {
        let source = version.content.source.as_ref();
        let from = source.map_or_else(String::new, |source| format!(" from {}", words::version_name(model, source)));
        format!("{name} {semver} went{from} to {made}{waits}{result}")
    } else if did(|step| matches!(step, Step::Restore(_))) {
        format!("{name} {semver} is back as {made}{waits}: nothing was trained or copied")
    } else if did(|step| matches!(step, Step::Train(_))) {
        format!("{name} {semver} was trained and registered as {made}{waits}{result}")
    } else {
        format!("{name} {semver} was registered as {made}{waits}{result}")
    }
}
