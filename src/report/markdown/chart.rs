//! Gated metrics over the last versions as Mermaid charts. Not every reader can see one, an e-mail shows its source:
//! the same values stand in a table beside it.

use crate::model::metric::MetricName;
use crate::model::metric::display_value;
use crate::outcome::ModelOutcome;
use crate::plan::prediction::Comparison;
use crate::plan::prediction::MergeDoes;
use crate::plan::prediction::MetricRow;
use crate::report::escape::chart_number;
use crate::report::escape::chart_text;
use crate::report::escape::code_block;
use crate::report::escape::markdown_cell;
use crate::report::markdown::words::folded;

/// How many metrics are drawn at most.
const CHARTS: usize = 3;

/// How many versions are drawn at most, without the candidate.
const POINTS: usize = 20;

/// A chart is wide and low: it stands between a table and a list. The colours, for the metric and for its gate, are
/// seen on white and on black; those of the hosts' own theme are too pale for a line.
const LOOK: &str = "%%{init: {\"xyChart\": {\"width\": 720, \"height\": 240}, \"themeVariables\": {\"xyChart\": {\"plotColorPalette\": \"#1f6feb, #d1242f\"}}}}%%";

/// One point: a version or the candidate.
struct Dot<'a> {
    label: String,
    semver: String,
    values: &'a crate::model::metric::Metrics,
    current: bool,
}

/// Draws up to three metrics, those with gates first, and folds the table of their values beneath.
pub(super) fn charts(model: &ModelOutcome) -> Option<String> {
    let with_past = |comparison: &&Comparison| !comparison.recent.is_empty();
    let comparison = model
        .compared
        .iter()
        .filter(|comparison| comparison.receives)
        .find(with_past)
        .or_else(|| model.compared.iter().find(with_past))?;
    let dots = dots(model, comparison);
    let gated = comparison.rows.iter().filter(|row| !row.gates.is_empty()).take(CHARTS);
    let mut rows: Vec<&MetricRow> = gated.collect();
    if rows.is_empty() {
        rows.extend(comparison.rows.first());
    }
    rows.retain(|row| drawn(&dots, &row.metric).count() >= 2);
    let mut drawn_charts: Vec<String> = rows.iter().map(|row| chart(comparison, &dots, row)).collect();
    if drawn_charts.is_empty() {
        return None;
    }
    let first = drawn_charts.remove(0);
    let table = folded("The same values as a table", &table(&dots, &rows));
    let mut parts = vec![first];
    if !drawn_charts.is_empty() {
        let names: Vec<String> = rows.iter().skip(1).map(|row| markdown_cell(row.metric.as_str())).collect();
        parts.push(folded(&format!("Charts of {}", names.join(" and ")), &drawn_charts.join("\n\n")));
    }
    parts.push(table);
    Some(parts.join("\n\n"))
}

fn dots<'a>(model: &'a ModelOutcome, comparison: &'a Comparison) -> Vec<Dot<'a>> {
    let skipped = comparison.recent.len().saturating_sub(POINTS);
    let mut dots: Vec<Dot<'a>> = comparison
        .recent
        .iter()
        .skip(skipped)
        .map(|point| Dot {
            label: point.number.to_string(),
            semver: point.semver.to_string(),
            values: &point.metrics,
            current: point.current,
        })
        .collect();
    let is_there = model.merging.as_ref().is_some_and(|merging| merging.does == MergeDoes::Nothing)
        && comparison.current.as_ref().map(|current| &current.fingerprint)
            == model.candidate.as_ref().map(|candidate| &candidate.fingerprint);
    if let Some(candidate) = model.candidate.as_ref().filter(|candidate| !candidate.metrics.is_empty() && !is_there) {
        dots.push(Dot {
            label: "this".to_owned(),
            semver: candidate.version.as_ref().map_or_else(String::new, |known| known.semver.to_string()),
            values: &candidate.metrics,
            current: false,
        });
    }
    dots
}

/// The points that can be drawn: label, number as text, number.
fn drawn<'a>(dots: &'a [Dot<'a>], metric: &'a MetricName) -> impl Iterator<Item = (&'a str, String, f64)> {
    dots.iter().filter_map(move |dot| {
        let value = *dot.values.get(metric)?;
        Some((dot.label.as_str(), chart_number(value)?, value))
    })
}

fn chart(comparison: &Comparison, dots: &[Dot<'_>], row: &MetricRow) -> String {
    let points: Vec<(&str, String, f64)> = drawn(dots, &row.metric).collect();
    let labels: Vec<String> = points.iter().map(|(label, ..)| format!("\"{}\"", chart_text(label))).collect();
    let values: Vec<&str> = points.iter().map(|(_, text, _)| text.as_str()).collect();
    let bounds: Vec<(f64, String)> = row
        .gates
        .iter()
        .filter_map(|result| {
            let text = result.bound.strip_prefix(">= ").or_else(|| result.bound.strip_prefix("<= "))?;
            let value: f64 = text.parse().ok()?;
            Some((value, chart_number(value)?))
        })
        .collect();
    let all = points.iter().map(|(.., value)| *value).chain(bounds.iter().map(|(value, _)| *value));
    let axis = range(all).map_or_else(String::new, |(low, high)| format!(" {low} --> {high}"));
    let mut source = format!(
        "{LOOK}\nxychart-beta\n    x-axis [{}]\n    y-axis \"{}\"{axis}\n    line [{}]\n",
        labels.join(", "),
        chart_text(row.metric.as_str()),
        values.join(", "),
    );
    for (_, bound) in &bounds {
        source.push_str(&format!("    line [{}]\n", vec![bound.as_str(); points.len()].join(", ")));
    }
    let with_this = if points.last().is_some_and(|(label, ..)| *label == "this") { ", then this one" } else { "" };
    let flat: Vec<String> = bounds.iter().map(|(value, _)| display_value(*value)).collect();
    let flat = match flat.len() {
        0 => String::new(),
        1 => format!("; the flat line is the gate, {}", flat[0]),
        _ => format!("; the flat lines are the gates, {}", flat.join(" and ")),
    };
    format!(
        "**{}** of the versions of {}{with_this}{flat}\n\n{}",
        markdown_cell(row.metric.as_str()),
        comparison.target,
        code_block(&source, "mermaid").trim_end()
    )
}

/// Room above and below, at numbers that read well. `None` where the axis is better left to the renderer.
fn range(values: impl Iterator<Item = f64>) -> Option<(String, String)> {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let span = if high > low { high - low } else { high.abs() * 0.1 };
    if !(span.is_finite() && span > 0.0) {
        return None;
    }
    let exponent = (span * 0.2).log10().floor();
    let step = 10_f64.powf(exponent);
    let decimals = if exponent < 0.0 { (-exponent).min(12.0) as usize } else { 0 };
    let at = |value: f64| format!("{value:.decimals$}");
    let (low, high) = (((low - span * 0.2) / step).floor() * step, ((high + span * 0.2) / step).ceil() * step);
    (chart_number(low).is_some() && chart_number(high).is_some() && at(low) != at(high)).then(|| (at(low), at(high)))
}

fn table(dots: &[Dot<'_>], rows: &[&MetricRow]) -> String {
    let names: Vec<String> = rows.iter().map(|row| markdown_cell(row.metric.as_str())).collect();
    let mut text = format!("| Version | | {} |\n| :-- | :-- |{}", names.join(" | "), " --: |".repeat(names.len()));
    for dot in dots {
        let values: Vec<String> = rows
            .iter()
            .map(|row| dot.values.get(&row.metric).map_or_else(|| "–".to_owned(), |value| display_value(*value)))
            .collect();
        let current = if dot.current { "current" } else { "" };
        let semver = if dot.semver.is_empty() { String::new() } else { format!(" ({})", dot.semver) };
        text.push_str(&format!("\n| {}{semver} | {current} | {} |", dot.label, values.join(" | ")));
    }
    text
}
