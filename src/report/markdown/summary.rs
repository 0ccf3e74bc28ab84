//! The summary of a job: the full report, of whatever the run was about.

use crate::outcome::Outcome;
use crate::report::limit::STEP_SUMMARY;
use crate::report::markdown::Context;
use crate::report::markdown::sections;

/// Writes the full report. What a comment or a check leaves out for length stands here.
pub fn summary(outcome: &Outcome, context: &Context) -> String {
    // This is the full report: it does not link to itself.
    let context = Context { run_url: None, ..context.clone() };
    sections::fitted(&sections::report(outcome, &context, true), STEP_SUMMARY, None)
}
