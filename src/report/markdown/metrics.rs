//! The table of every metric: the candidate's value, the current one, the difference, the bounds and what they say.

use crate::model::metric::display_value;
use crate::outcome::ModelOutcome;
use crate::plan::gate::GateResult;
use crate::plan::prediction::Comparison;
use crate::plan::prediction::MetricRow;
use crate::plan::prediction::Standing;
use crate::report::escape::markdown_cell;
use crate::report::markdown::words::folded;
use crate::report::markdown::words::known_name;
use crate::report::markdown::words::signed;

/// Writes a table for each group that the candidate is compared with. The first is open, and so is each that says no.
pub(super) fn metrics(model: &ModelOutcome, predicts: bool) -> Option<String> {
    let shown: Vec<&Comparison> = model.compared.iter().filter(|comparison| !comparison.rows.is_empty()).collect();
    if shown.is_empty() {
        return alone(model);
    }
    let leads = shown.iter().position(|comparison| comparison.receives).unwrap_or(0);
    let mut order: Vec<usize> = (0..shown.len()).collect();
    order.sort_by_key(|at| *at != leads);
    let parts: Vec<String> = order
        .into_iter()
        .map(|at| {
            let comparison = shown[at];
            let says_no = comparison.rows.iter().any(|row| matches!(row.standing, Standing::Fail | Standing::Unknown));
            let table = table(model, comparison, predicts);
            if at == leads || says_no {
                table
            } else {
                folded(&format!("The same beside {}", current(comparison, predicts)), &table)
            }
        })
        .collect();
    Some(parts.join("\n\n"))
}

/// What was measured, where there is nothing to compare it with.
fn alone(model: &ModelOutcome) -> Option<String> {
    let candidate = model.candidate.as_ref().filter(|candidate| !candidate.metrics.is_empty())?;
    let mut text = format!("| Metric | {} |\n| :-- | --: |", markdown_cell(&head(model)));
    for (name, value) in &candidate.metrics {
        text.push_str(&format!("\n| {} | {} |", markdown_cell(name.as_str()), display_value(*value)));
    }
    Some(text)
}

fn head(model: &ModelOutcome) -> String {
    let version = model.candidate.as_ref().and_then(|candidate| candidate.version.as_ref());
    version.map_or_else(|| "Candidate".to_owned(), |known| known_name(model, known))
}

fn current(comparison: &Comparison, predicts: bool) -> String {
    let when = if predicts || !comparison.receives { "now" } else { "before" };
    let target = &comparison.target;
    match &comparison.current {
        Some(current) => format!("{target} {when}: {} ({})", current.semver, current.number),
        None => format!("{target} {when}: none"),
    }
}

fn table(model: &ModelOutcome, comparison: &Comparison, predicts: bool) -> String {
    let has_gates = comparison.rows.iter().any(|row| !row.gates.is_empty());
    let (gate_head, gate_rule) = if has_gates { (" Gate | Verdict |", " :-- | :-- |") } else { ("", "") };
    let mut text = format!(
        "| Metric | {} | {} | Difference |{gate_head}\n| :-- | --: | --: | --: |{gate_rule}",
        markdown_cell(&head(model)),
        markdown_cell(&current(comparison, predicts)),
    );
    for row in &comparison.rows {
        text.push_str(&format!("\n{}", line(comparison, row, has_gates)));
    }
    let mut notes: Vec<String> = Vec::new();
    for result in comparison.rows.iter().flat_map(|row| &row.gates) {
        if let Some(note) = &result.note {
            let note = format!("{}: {}", markdown_cell(result.metric.as_str()), markdown_cell(note));
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    for note in notes {
        text.push_str(&format!("\n\n{note}."));
    }
    text
}

fn line(comparison: &Comparison, row: &MetricRow, has_gates: bool) -> String {
    let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), display_value);
    let difference = row.difference.map_or_else(|| "–".to_owned(), signed);
    let name = markdown_cell(row.metric.as_str());
    // What stands under a gate is what the eye looks for.
    let ours = match row.candidate {
        Some(ours) if !row.gates.is_empty() => format!("**{}**", display_value(ours)),
        other => value(other),
    };
    let mut text = format!("| {name} | {ours} | {} | {difference} |", value(row.current));
    if has_gates {
        let bounds: Vec<String> = row.gates.iter().map(|result| bound(comparison, result)).collect();
        let verdict = match row.standing {
            Standing::Pass => "✓ pass",
            Standing::Fail => "**✗ fail**",
            Standing::Unknown => "**? unknown**",
            Standing::None => "",
        };
        text.push_str(&format!(" {} | {verdict} |", markdown_cell(&bounds.join(", "))));
    }
    text
}

/// A bound as people read it. What it compares with is left out where that is the column beside it.
fn bound(comparison: &Comparison, result: &GateResult) -> String {
    let beside = result.compared_with.as_ref().is_some_and(|(group, _)| group == &comparison.group);
    let text = match result.bound.split_once(" against ") {
        Some((text, _)) if beside => text,
        Some(_) | None => result.bound.as_str(),
    };
    text.replace(">=", "≥").replace("<=", "≤")
}
