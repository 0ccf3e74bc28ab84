//! Why, and the next move where something says no.

use crate::model::verdict::Verdict;
use crate::outcome::ModelOutcome;
use crate::plan::next_move::Dispatch;
use crate::plan::reason::Reason;
use crate::report::escape::code_block;
use crate::report::escape::code_span;
use crate::report::markdown::Context;
use crate::report::markdown::words::folded;
use crate::report::markdown::words::linked;
use crate::report::markdown::words::next_move;
use crate::report::markdown::words::sentence;

/// Writes the reasons of a model: what says no stands in a box with its next move, the rest in a list.
pub(super) fn of_model(model: &ModelOutcome, context: &Context) -> Option<String> {
    let told = |reason: &&Reason| !told_elsewhere(model, reason);
    text(model.verdict, model.reasons.iter().filter(told), context)
}

/// Writes the reasons of a whole run. `rules_told`: what the rules would be has its own section.
pub(super) fn of_run(
    verdict: Verdict,
    reasons: &[Reason],
    alone: bool,
    rules_told: bool,
    context: &Context,
) -> Option<String> {
    let told = |reason: &&Reason| match reason {
        Reason::Predicted { .. } => false,
        Reason::RulesIgnored { .. } => !rules_told,
        _ => true,
    };
    // Beside models the run's reasons never decide: the models' own do.
    let verdict = if alone { verdict } else { Verdict::Passed };
    text(verdict, reasons.iter().filter(told), context)
}

fn text<'a>(verdict: Verdict, reasons: impl Iterator<Item = &'a Reason>, context: &Context) -> Option<String> {
    let reasons: Vec<&Reason> = reasons.collect();
    let says_no = !matches!(verdict, Verdict::Passed | Verdict::Skipped);
    let (first, rest) = match reasons.split_first() {
        Some((first, rest)) if says_no => (Some(*first), rest),
        Some(_) => (None, reasons.as_slice()),
        None => return None,
    };
    let mut parts = Vec::new();
    if let Some(first) = first {
        let mut boxed = format!("> **Why:** {}", sentence(&first.message()));
        if let Some(hint) = first.hint() {
            boxed.push_str(&format!("\n>\n> **Next:** {}{}", next_move(&hint), started(first, context)));
        }
        parts.push(boxed);
    }
    let bullets: Vec<String> = rest
        .iter()
        .map(|reason| {
            let hint = reason.hint().map_or_else(String::new, |hint| {
                format!(". **Next:** {}{}", next_move(&hint), started(reason, context))
            });
            format!("- {}{hint}", sentence(&reason.message()))
        })
        .collect();
    if !bullets.is_empty() {
        parts.push(bullets.join("\n"));
    }
    Some(parts.join("\n\n"))
}

fn started(reason: &Reason, context: &Context) -> String {
    reason.dispatch().map_or_else(String::new, |dispatch| run_workflow(&dispatch, context))
}

/// The same move on GitHub: which workflow to run, with what.
pub(super) fn run_workflow(dispatch: &Dispatch, context: &Context) -> String {
    let Some(page) = context.page("actions") else { return String::new() };
    let mut text = format!("; or {}", linked("*Run workflow*", Some(&page)));
    if let Some(branch) = &dispatch.branch {
        text.push_str(&format!(" on {}", code_span(branch.as_str())));
    }
    text.push_str(&format!(" with the action {}", code_span(dispatch.action)));
    for (name, value) in &dispatch.inputs {
        text.push_str(&format!(", {name} {}", code_span(value)));
    }
    text
}

/// The last lines of a training that failed, folded.
pub(super) fn logs(model: &ModelOutcome) -> Option<String> {
    let tails: Vec<String> = model
        .reasons
        .iter()
        .filter_map(|reason| match reason {
            Reason::TrainingFailed { training, log_tail, .. } if !log_tail.is_empty() => {
                let block = code_block(&log_tail.join("\n"), "text");
                Some(folded(
                    &format!("The last lines of the log of <code>{}</code>", plain_name(training.as_str())),
                    &block,
                ))
            }
            _ => None,
        })
        .collect();
    (!tails.is_empty()).then(|| tails.join("\n\n"))
}

/// A name inside of HTML: a remote one may hold anything.
fn plain_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '·' }).collect()
}

/// What the headline, a table or the steps say already.
fn told_elsewhere(model: &ModelOutcome, reason: &Reason) -> bool {
    match reason {
        Reason::Predicted { .. } | Reason::RulesIgnored { .. } => true,
        Reason::GatesPassed { .. } => !model.compared.is_empty(),
        Reason::Promoting { .. } | Reason::Registering { .. } | Reason::Restoring { .. } => !model.steps.is_empty(),
        Reason::TrainingNeeded { .. } => !model.steps.is_empty(),
        Reason::AwaitsApproval { version, .. } => model.versions.iter().any(|made| made.reference() == version.version),
        _ => false,
    }
}
