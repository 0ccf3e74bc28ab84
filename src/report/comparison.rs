//! A candidate beside the current versions: as text for a terminal, and as the documented JSON.

use crate::facts::review::ChangedPaths;
use crate::model::metric::display_value;
use crate::outcome::ModelOutcome;
use crate::plan::prediction::Candidate;
use crate::plan::prediction::CandidateState;
use crate::plan::prediction::Comparison;
use crate::plan::prediction::CurrentVersion;
use crate::plan::prediction::DataDifference;
use crate::plan::prediction::MetricRow;
use crate::plan::prediction::Point;
use crate::plan::prediction::SettingDifference;
use crate::plan::prediction::Standing;
use crate::plan::wording::seconds;
use crate::plan::wording::time;
use crate::report::terminal::lines;
use crate::report::terminal::plain;
use crate::report::terminal::table;
use serde::Serialize;

/// How many differing files are named on a terminal.
const SHOWN_PATHS: usize = 10;

/// A comparison as `plan` and `run` print it.
#[derive(Debug, Serialize)]
pub struct ComparisonJson {
    target: String,
    group: String,
    receives: bool,
    frozen: bool,
    current: Option<CurrentVersion>,
    metrics: Vec<RowJson>,
    recent: Vec<Point>,
    code: Option<ChangedPaths>,
    data: Vec<DataDifference>,
    settings: Vec<SettingDifference>,
}

#[derive(Debug, Serialize)]
struct RowJson {
    metric: String,
    candidate: Option<f64>,
    current: Option<f64>,
    difference: Option<f64>,
    gate: Option<String>,
    standing: &'static str,
    notes: Vec<String>,
}

impl ComparisonJson {
    /// Builds the shape.
    pub fn of(comparison: &Comparison) -> Self {
        Self {
            target: comparison.target.to_string(),
            group: comparison.group.to_string(),
            receives: comparison.receives,
            frozen: comparison.frozen,
            current: comparison.current.clone(),
            metrics: comparison.rows.iter().map(RowJson::of).collect(),
            recent: comparison.recent.clone(),
            code: comparison.code.clone(),
            data: comparison.data.clone(),
            settings: comparison.settings.clone(),
        }
    }
}

impl RowJson {
    fn of(row: &MetricRow) -> Self {
        Self {
            metric: row.metric.to_string(),
            candidate: row.candidate,
            current: row.current,
            difference: row.difference,
            gate: row.gate_text(),
            standing: row.standing.as_str(),
            notes: row.gates.iter().filter_map(|result| result.note.clone()).collect(),
        }
    }
}

/// Renders a prediction: the candidate, and a table for each group that it is compared with.
pub fn text(model: &ModelOutcome) -> String {
    let mut text = match &model.candidate {
        Some(candidate) => format!("  candidate: {}\n", describe(candidate)),
        None => "  candidate: none yet\n".to_owned(),
    };
    if let Some(expected) = model.merging.as_ref().and_then(|merging| merging.expected_seconds) {
        text.push_str(&format!("  training takes about {}\n", seconds(expected)));
    }
    for comparison in &model.compared {
        push(&mut text, comparison);
    }
    text
}

/// Names a candidate in a line.
pub fn describe(candidate: &Candidate) -> String {
    let what = match (&candidate.version, &candidate.training) {
        (Some(version), _) => version.to_string(),
        (None, Some(training)) => format!("training {training}"),
        (None, None) => "a result without a name".to_owned(),
    };
    let state = match (candidate.state, candidate.approval) {
        (CandidateState::Registered, Some(approval)) => approval.to_string(),
        (state, _) => state.as_str().to_owned(),
    };
    let before = if candidate.before_merging { ", before merging" } else { "" };
    let data = candidate.older_data.map_or_else(String::new, |at| format!(", on data of {}", time(at)));
    format!("{what}, {state}{before}{data}")
}

fn push(text: &mut String, comparison: &Comparison) {
    let current = comparison.current.as_ref().map_or_else(
        || "no current version yet".to_owned(),
        |current| format!("{} {}", current.number, current.semver),
    );
    text.push_str(&format!("  against {} ({current})\n", comparison.group));
    let value = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), display_value);
    let mut rows = table();
    for row in &comparison.rows {
        let difference = row.difference.map_or_else(
            || "-".to_owned(),
            |difference| {
                let sign = if difference > 0.0 { "+" } else { "" };
                format!("{sign}{}", display_value(difference))
            },
        );
        let standing = if row.standing == Standing::None { "" } else { row.standing.as_str() };
        rows.add_row(vec![
            "  ".to_owned(),
            plain(row.metric.as_str()),
            value(row.candidate),
            value(row.current),
            difference,
            plain(&row.gate_text().unwrap_or_default()),
            standing.to_owned(),
        ]);
    }
    if !comparison.rows.is_empty() {
        text.push_str(&lines(&rows));
    }
    if let Some(code) = comparison.code.as_ref().filter(|code| code.total > 0) {
        let shown: Vec<String> = code.paths.iter().take(SHOWN_PATHS).map(|path| plain(path)).collect();
        let more = code.total.saturating_sub(shown.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!("    code: {}{more}\n", shown.join(", ")));
    }
    for data in &comparison.data {
        let side = |side: &Option<crate::model::dataset::Dataset>| {
            side.as_ref().map_or_else(|| "none".to_owned(), |dataset| plain(&dataset.digest))
        };
        text.push_str(&format!("    data {}: {} -> {}\n", data.channel, side(&data.current), side(&data.candidate)));
    }
    for setting in &comparison.settings {
        let side = |side: &Option<String>| side.as_ref().map_or_else(|| "not set".to_owned(), |value| plain(value));
        let name = plain(&setting.name);
        text.push_str(&format!("    {name}: {} -> {}\n", side(&setting.current), side(&setting.candidate)));
    }
}
