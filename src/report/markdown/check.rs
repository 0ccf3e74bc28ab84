//! The check of a commit: its title is the answer, its summary says why, its text has the rest.

use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::report::limit;
use crate::report::limit::CHECK_TEXT;
use crate::report::limit::STATUS_DESCRIPTION;
use crate::report::markdown::Context;
use crate::report::markdown::headline::headline;
use crate::report::markdown::sections;
use crate::report::markdown::sections::HEADINGS;
use serde::Deserialize;
use serde::Serialize;

/// What a section may rank to stand in the summary instead of the text.
const SUMMARY_RANK: u8 = 2;

/// The texts of a check run, and the line of a commit status that says the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckText {
    /// The answer: plain text, one line.
    pub title: String,
    /// Why, and the metrics: Markdown, at most 65,535 bytes.
    pub summary: String,
    /// Everything else: Markdown, at most 65,535 bytes. It may be empty.
    pub text: String,
    /// The answer for a commit status: plain text, at most 140 characters.
    pub description: String,
}

/// Writes the check of all models.
pub fn check(outcome: &Outcome, context: &Context) -> CheckText {
    let several = outcome.models.len() > 1;
    let mut summary = Vec::new();
    let mut text = Vec::new();
    for section in sections::report(outcome, context, false) {
        if section.rank > SUMMARY_RANK {
            text.push(section);
        } else {
            // The text needs to say whose changes and charts these are, too.
            text.extend((several && section.name == HEADINGS).then(|| section.clone()));
            summary.push(section);
        }
    }
    let full = context.run_url.as_deref();
    let title = headline(outcome);
    let text = if text.iter().all(|section| section.name == HEADINGS) {
        String::new()
    } else {
        sections::fitted(&text, CHECK_TEXT, full)
    };
    CheckText {
        description: limit::line(&title, STATUS_DESCRIPTION),
        summary: sections::fitted(&summary, CHECK_TEXT, full),
        title,
        text,
    }
}

/// Writes the check of one model, where each has its own.
pub fn model_check(outcome: &Outcome, model: &ModelOutcome, context: &Context) -> CheckText {
    let one = Outcome { verdict: model.verdict, models: vec![model.clone()], ..outcome.clone() };
    check(&one, context)
}
