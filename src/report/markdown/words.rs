//! Small pieces that every section is made of: names, numbers, links, marks, and foreign sentences.

use crate::model::git::CommitSha;
use crate::model::metric::display_value;
use crate::model::name::GroupName;
use crate::model::verdict::Verdict;
use crate::model::version::VersionRef;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::plan::prediction::Comparison;
use crate::plan::reason::Known;
use crate::plan::reason::Reason;
use crate::plan::step::Step;
use crate::report::escape::code_span;
use crate::report::escape::link_target;
use crate::report::escape::markdown_cell;
use crate::report::escape::markdown_text;
use crate::report::markdown::Context;
use crate::report::terminal::plain;

/// How many digits of a digest are shown where all of them would only be noise.
const SHORT_DIGEST: usize = 12;

/// A sober mark, one for each verdict.
pub(super) fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✓",
        Verdict::Skipped => "–",
        Verdict::Waiting => "…",
        Verdict::Blocked | Verdict::Failed => "✗",
        Verdict::Errored => "!",
        Verdict::Cancelled => "■",
    }
}

/// Tells whether this is about a merge that nobody has made yet.
pub(super) fn is_prediction(outcome: &Outcome) -> bool {
    outcome.reasons.iter().any(|reason| matches!(reason, Reason::Predicted { .. }))
        || outcome.models.iter().any(|model| model.merging.is_some())
}

/// Tells whether there is nothing to say of a model but that nothing happens.
pub(super) fn is_quiet(model: &ModelOutcome) -> bool {
    let asks = |reason: &Reason| matches!(reason, Reason::AwaitsApproval { .. } | Reason::NewerThanReview { .. });
    matches!(model.verdict, Verdict::Passed | Verdict::Skipped)
        && model.steps.is_empty()
        && model.versions.is_empty()
        && !model.reasons.iter().any(asks)
}

/// Tells whether a merge leaves a model alone that its base has in trouble: that is worth more than a word in a list.
pub(super) fn is_held_up_by_its_base(model: &ModelOutcome) -> bool {
    model.reasons.iter().any(|reason| matches!(reason, Reason::Unchanged(_)))
}

/// The comparison that speaks for a model: the first group that receives it, else the first.
pub(super) fn leading(model: &ModelOutcome) -> Option<&Comparison> {
    model.compared.iter().find(|comparison| comparison.receives).or_else(|| model.compared.first())
}

/// Names a group the short way people speak of it: by its target where that is known.
pub(super) fn group_name(model: &ModelOutcome, group: &GroupName) -> String {
    let compared = model.compared.iter().find(|comparison| &comparison.group == group);
    let stepped = model.steps.iter().find_map(|record| match &record.step {
        Step::Register(step) | Step::Promote(step) | Step::Restore(step) if &step.registration.group == group => {
            Some(&step.target)
        }
        _ => None,
    });
    if let Some(target) = compared.map(|comparison| &comparison.target).or(stepped) {
        return target.to_string();
    }
    let marked = format!("{}-", model.model);
    match group.as_str().rsplit_once(marked.as_str()) {
        Some((_, target)) if !target.is_empty() => target.to_owned(),
        Some(_) | None => group.to_string(),
    }
}

/// `dev v12`.
pub(super) fn version_name(model: &ModelOutcome, version: &VersionRef) -> String {
    format!("{} {}", group_name(model, &version.group), version.number)
}

/// `0.4.0 (dev v12)`.
pub(super) fn known_name(model: &ModelOutcome, known: &Known) -> String {
    format!("{} ({})", known.semver, version_name(model, &known.version))
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `1 model`, `2 models`.
pub(super) fn count(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

/// `+0.02`, `-0.01`, `0`.
pub(super) fn signed(difference: f64) -> String {
    let text = display_value(difference);
    if difference > 0.0 && text != "0" { format!("+{text}") } else { text }
}

/// The beginning of a digest, with its scheme if it has one.
pub(super) fn short_digest(digest: &str) -> String {
    let (scheme, value) =
        digest.rsplit_once(':').map_or(("", digest), |(_, value)| (&digest[..digest.len() - value.len()], value));
    let is_hex = value.len() > SHORT_DIGEST && value.chars().all(|c| c.is_ascii_hexdigit());
    let kept = if is_hex { &value[..SHORT_DIGEST] } else { value };
    format!("{scheme}{kept}")
}

/// A commit as a link to its page, or as plain code.
pub(super) fn commit(context: &Context, sha: &CommitSha) -> String {
    let page = context.page(&format!("commit/{sha}"));
    linked(&code_span(sha.short()), page.as_deref())
}

/// A pull request as a link to its page.
pub(super) fn pull_request(context: &Context, number: u64) -> String {
    let page = context.page(&format!("pull/{number}"));
    // Without an address it must not become a link to something else: no host joins `no. 7`.
    page.as_deref()
        .and_then(link_target)
        .map_or_else(|| format!("no. {number}"), |target| format!("[#{number}]({target})"))
}

/// Markdown of ours as a link, where the address is one.
pub(super) fn linked(markdown: &str, url: Option<&str>) -> String {
    match url.and_then(link_target) {
        Some(target) => format!("[{markdown}]({target})"),
        None => markdown.to_owned(),
    }
}

/// Writes a sentence that may carry foreign text. What stands between backticks is shown as code, whoever wrote it.
pub(super) fn sentence(text: &str) -> String {
    let text = plain(text);
    let parts: Vec<&str> = text.split('`').collect();
    let paired = parts.len() % 2 == 1 && parts.iter().skip(1).step_by(2).all(|code| !code.trim().is_empty());
    if !paired || parts.len() == 1 {
        return markdown_text(&text);
    }
    let mut safe = String::new();
    for (at, part) in parts.iter().enumerate() {
        if at % 2 == 1 {
            safe.push_str(&code_span(part));
        } else if at == 0 {
            safe.push_str(&markdown_text(part));
            if part.ends_with(' ') && !part.trim().is_empty() {
                safe.push(' ');
            }
        } else {
            safe.push_str(&markdown_cell(part));
        }
    }
    safe
}

/// Writes a next move: the command in it is shown as code, so that it can be copied.
pub(super) fn next_move(hint: &str) -> String {
    const COMMAND: &str = "branchline ";
    let begins = |at: usize| at == 0 || hint[..at].ends_with(' ');
    let Some(at) = hint.match_indices(COMMAND).map(|(at, _)| at).find(|at| begins(*at)) else {
        return sentence(hint);
    };
    let (before, rest) = hint.split_at(at);
    let end = [", then ", "; or "].iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
    let (command, after) = rest.split_at(end);
    let before = if before.trim().is_empty() { String::new() } else { format!("{} ", sentence(before.trim_end())) };
    format!("{before}{}{}", code_span(command), markdown_cell(after))
}

/// Folds a long part away under a line. `summary` is Markdown without links; a blank line after it lets the body be
/// Markdown too.
pub(super) fn folded(summary: &str, body: &str) -> String {
    format!("<details>\n<summary>{summary}</summary>\n\n{}\n\n</details>", body.trim_matches('\n'))
}
