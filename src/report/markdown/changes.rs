//! What is new against the version that is there: files of code, data, settings.

use crate::model::dataset::Dataset;
use crate::outcome::ModelOutcome;
use crate::plan::prediction::Comparison;
use crate::report::escape::code_span;
use crate::report::markdown::words::count;
use crate::report::markdown::words::folded;
use crate::report::markdown::words::leading;
use crate::report::markdown::words::short_digest;

/// How many files or settings stand open before the rest is folded.
const OPEN: usize = 5;

/// Lists the changes against the version that the first receiving group stands for.
pub(super) fn changes(model: &ModelOutcome, predicts: bool) -> Option<String> {
    let comparison = leading(model)?;
    let current = comparison.current.as_ref()?;
    let mut lines = Vec::new();
    let mut rest = Vec::new();
    code(comparison, &mut lines, &mut rest);
    for data in &comparison.data {
        let side = |side: &Option<Dataset>| {
            side.as_ref().map_or_else(|| "none".to_owned(), |data| code_span(&short_digest(&data.digest)))
        };
        let place = match (&data.current, &data.candidate) {
            (Some(old), Some(new)) if old.uri != new.uri => {
                format!(" ({} → {})", code_span(&old.uri), code_span(&new.uri))
            }
            (_, Some(one)) | (Some(one), None) => format!(" ({})", code_span(&one.uri)),
            (None, None) => String::new(),
        };
        let channel = code_span(data.channel.as_str());
        lines.push(format!("- Data {channel}{place}: {} → {}", side(&data.current), side(&data.candidate)));
    }
    let side = |side: &Option<String>| side.as_ref().map_or_else(|| "not set".to_owned(), |text| code_span(text));
    for (at, setting) in comparison.settings.iter().enumerate() {
        let line = format!(
            "- Setting {}: {} → {}",
            code_span(&setting.name),
            side(&setting.current),
            side(&setting.candidate)
        );
        if at < OPEN { lines.push(line) } else { rest.push(line) }
    }
    if lines.is_empty() && comparison.code.is_none() {
        return None;
    }
    if lines.is_empty() {
        lines.push("- Nothing: the same code, data and settings".to_owned());
    }
    let verb = if predicts || !comparison.receives { "has now" } else { "had before" };
    let mut text = format!(
        "**What changed** since {} ({}), which {} {verb}\n\n{}",
        current.semver,
        current.number,
        comparison.target,
        lines.join("\n")
    );
    if !rest.is_empty() {
        text.push_str(&format!("\n\n{}", folded("Everything that changed", &rest.join("\n"))));
    }
    Some(text)
}

fn code(comparison: &Comparison, lines: &mut Vec<String>, rest: &mut Vec<String>) {
    let Some(code) = comparison.code.as_ref().filter(|code| code.total > 0) else { return };
    let named: Vec<String> = code.paths.iter().map(|path| code_span(path)).collect();
    let open = named.iter().take(OPEN).cloned().collect::<Vec<_>>().join(", ");
    let more = code.total.saturating_sub(named.len().min(OPEN));
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    lines.push(format!("- Code, {}: {open}{more}", count(code.total, "file")));
    for path in named.iter().skip(OPEN) {
        rest.push(format!("- {path}"));
    }
    let unnamed = code.total.saturating_sub(named.len());
    if unnamed > 0 && !rest.is_empty() {
        rest.push(format!("- and {unnamed} more"));
    }
}
