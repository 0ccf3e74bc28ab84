//! A whole report: which sections there are, in which order, and which of them go first where space is short.

use crate::outcome::AfterMerge;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::plan::prediction::CandidateState;
use crate::report::comparison::describe;
use crate::report::escape::code_span;
use crate::report::escape::markdown_cell;
use crate::report::limit;
use crate::report::limit::Limit;
use crate::report::limit::Section;
use crate::report::markdown::Context;
use crate::report::markdown::changes;
use crate::report::markdown::chart;
use crate::report::markdown::headline::headline;
use crate::report::markdown::headline::model_headline;
use crate::report::markdown::metrics;
use crate::report::markdown::plan;
use crate::report::markdown::reasons;
use crate::report::markdown::review;
use crate::report::markdown::versions;
use crate::report::markdown::words::commit;
use crate::report::markdown::words::folded;
use crate::report::markdown::words::is_held_up_by_its_base;
use crate::report::markdown::words::is_prediction;
use crate::report::markdown::words::is_quiet;
use crate::report::markdown::words::linked;
use crate::report::markdown::words::mark;
use crate::report::markdown::words::sentence;

/// What the sections are called that name a model.
pub(super) const HEADINGS: &str = "headings";

/// How many rules that change are named before the rest is only counted.
const NAMED_RULES: usize = 20;

/// The whole report, the answer first. `titled` puts the answer on top; a check shows it as its own title already.
pub(super) fn report(outcome: &Outcome, context: &Context, titled: bool) -> Vec<Section> {
    let predicts = is_prediction(outcome);
    let mut sections = Vec::new();
    if titled {
        let title = format!("### {} {}", mark(outcome.verdict), markdown_cell(&headline(outcome)));
        sections.push(Section::new("the answer", 0, title));
    }
    sections.push(Section::new("what it is about", 0, about(outcome, context)));
    let several = outcome.models.len() > 1;
    let (quiet, busy): (Vec<&ModelOutcome>, Vec<&ModelOutcome>) =
        outcome.models.iter().partition(|model| several && is_quiet(model) && !is_held_up_by_its_base(model));
    if several && !busy.is_empty() {
        sections.push(Section::new("the overview", 1, overview(&busy)));
    }
    if let Some(text) = reasons::of_run(
        outcome.verdict,
        &outcome.reasons,
        outcome.models.is_empty(),
        outcome.after_merge.is_some(),
        context,
    ) {
        sections.push(Section::new("notes", 1, text));
    }
    for one in &busy {
        sections.extend(model(one, context, predicts, several));
    }
    if !quiet.is_empty() {
        sections.push(Section::new("models with nothing to do", 3, nothing_to_do(&quiet)));
    }
    if let Some(after) = &outcome.after_merge {
        sections.push(Section::new("the result under the new rules", 2, after_merge(outcome, after, context)));
    }
    sections.push(Section::new("the foot", 1, foot(context, predicts)));
    sections
}

/// Everything about one model.
pub(super) fn model(model: &ModelOutcome, context: &Context, predicts: bool, named: bool) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add = |name: &str, rank: u8, text: Option<String>| {
        sections.extend(text.map(|text| Section::new(name, rank, text)));
    };
    let at = model.at.as_ref().map_or_else(String::new, |at| format!(" ({})", markdown_cell(at)));
    let title = format!("#### {} {}{at}: {}", mark(model.verdict), markdown_cell(model.model.as_str()), model.verdict);
    add(HEADINGS, 1, named.then_some(title));
    add("reasons", 1, reasons::of_model(model, context));
    add("logs", 8, reasons::logs(model));
    add("which version went where", 1, versions::went(model, context));
    add("candidates", 2, candidate(model));
    add("metrics", 2, metrics::metrics(model, predicts));
    add("charts", 6, chart::charts(model));
    add("changes", 5, changes::changes(model, predicts));
    add("steps", 4, plan::steps(model, context));
    add("reviews", 2, review::review(model, context));
    add("digests", 7, versions::lineage(model, context));
    sections
}

/// Says where the candidate comes from, where that is not plain from the table.
fn candidate(model: &ModelOutcome) -> Option<String> {
    let candidate = model.candidate.as_ref().filter(|_| model.merging.is_some())?;
    let before = candidate.before_merging;
    let text = match candidate.state {
        CandidateState::Registered | CandidateState::Trained if candidate.older_data.is_some() => {
            "The data changed since it was measured. Merging trains on the new data."
        }
        CandidateState::Registered | CandidateState::Trained if before => {
            "Measured on this branch before merging; the merge itself gives other code, data or settings."
        }
        CandidateState::Training if before => "Still in training, on this branch before merging.",
        CandidateState::Training => "Still in training.",
        CandidateState::Failed => "Its training failed.",
        CandidateState::Stopped => "Its training was stopped.",
        CandidateState::Registered | CandidateState::Trained => return None,
    };
    Some(format!("Candidate: {}. {text}", markdown_cell(&describe(candidate))))
}

fn about(outcome: &Outcome, context: &Context) -> String {
    let mut parts = vec![format!("**{}**", outcome.verdict), markdown_cell(&outcome.event)];
    parts.extend(context.commit.as_ref().map(|sha| commit(context, sha)));
    parts.join(" · ")
}

fn overview(models: &[&ModelOutcome]) -> String {
    let mut text = "| Model | | |\n| :-- | :-- | :-- |".to_owned();
    for model in models {
        text.push_str(&format!(
            "\n| **{}** | {} {} | {} |",
            markdown_cell(model.model.as_str()),
            mark(model.verdict),
            model.verdict,
            markdown_cell(&model_headline(model))
        ));
    }
    text
}

fn nothing_to_do(models: &[&ModelOutcome]) -> String {
    let names: Vec<String> = models
        .iter()
        .map(|model| {
            let at = model.at.as_ref().map_or_else(String::new, |at| format!(" ({})", markdown_cell(at)));
            format!("{}{at}", markdown_cell(model.model.as_str()))
        })
        .collect();
    format!("Nothing to do for {}.", names.join(", "))
}

fn after_merge(outcome: &Outcome, after: &AfterMerge, context: &Context) -> String {
    let mut changes: Vec<String> =
        after.changes.iter().take(NAMED_RULES).map(|change| format!("- {}", code_span(change))).collect();
    let more = after.changes.len().saturating_sub(changes.len());
    if more > 0 {
        changes.push(format!("- and {more} more"));
    }
    let mut body = String::new();
    for model in &after.outcome.models {
        body.push_str(&format!(
            "**{}** {} {}: {}\n\n",
            markdown_cell(model.model.as_str()),
            mark(model.verdict),
            model.verdict,
            markdown_cell(&model_headline(model))
        ));
        if let Some(text) = reasons::of_model(model, context) {
            body.push_str(&format!("{text}\n\n"));
        }
        if let Some(table) = metrics::metrics(model, true) {
            body.push_str(&format!("{table}\n\n"));
        }
    }
    if let Some(text) =
        reasons::of_run(after.outcome.verdict, &after.outcome.reasons, after.outcome.models.is_empty(), true, context)
    {
        body.push_str(&text);
    }
    let folded =
        if body.trim().is_empty() { String::new() } else { format!("\n\n{}", folded("Under the new rules", &body)) };
    format!(
        "**This changes rules.** They count once they are merged; until then the old ones judge.\n\n{}\n\n\
         Under the old rules, which count: {} **{}**. Under the new ones: {} **{}**, {}.{folded}",
        changes.join("\n"),
        mark(outcome.verdict),
        outcome.verdict,
        mark(after.outcome.verdict),
        after.outcome.verdict,
        sentence(&headline(&after.outcome)),
    )
}

fn foot(context: &Context, predicts: bool) -> String {
    let mut parts = Vec::new();
    if predicts {
        parts.push("A prediction: nothing was written".to_owned());
    }
    if let Some(url) = &context.run_url {
        parts.push(linked("the run and its full report", Some(url)));
    }
    if parts.is_empty() { String::new() } else { format!("<sub>{}</sub>", parts.join(" · ")) }
}

/// Joins sections into a text that fits. What few people need goes first, in all models alike, and a sentence says so;
/// only when none but the indispensable is left is text cut.
pub(super) fn fitted(sections: &[Section], limit: Limit, full: Option<&str>) -> String {
    let most = sections.iter().map(|section| section.rank).max().unwrap_or(0);
    let mut text = String::new();
    for least in (1..=most.max(1)).rev() {
        text = joined(sections, least, full);
        if limit.fits(&text) {
            return text;
        }
    }
    limit::markdown(&text, limit, full)
}

fn joined(sections: &[Section], least: u8, full: Option<&str>) -> String {
    let shown = |section: &&Section| section.rank <= least && !section.text.trim().is_empty();
    let mut kept: Vec<String> =
        sections.iter().filter(shown).map(|section| section.text.trim_matches('\n').to_owned()).collect();
    let mut names: Vec<&str> = Vec::new();
    for section in sections.iter().filter(|section| section.rank > least) {
        if !names.contains(&section.name.as_str()) {
            names.push(&section.name);
        }
    }
    if !names.is_empty() {
        let link =
            full.map_or_else(String::new, |url| format!("; they stand in {}", linked("the full report", Some(url))));
        kept.push(format!("_Left out here for length: {}{link}._", names.join(", ")));
    }
    format!("{}\n", kept.join("\n\n"))
}
