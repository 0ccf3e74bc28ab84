//! What a group stood for at any time: periods and changes as a table, CSV and Markdown, and as JSON in `json`.

mod json;

pub use crate::report::history::json::HistoryJson;

use crate::model::history::Attribution;
use crate::model::history::HistoryEntry;
use crate::model::metric::display_value;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::timeline::Consent;
use crate::model::timeline::Period;
use crate::model::timeline::Turn;
use crate::model::version::Version;
use crate::plan::wording::time;
use crate::report::escape::csv_cell;
use crate::report::escape::markdown_cell;
use crate::report::terminal::lines;
use crate::report::terminal::plain;
use crate::report::terminal::table;

/// Digits of a digest that a table shows.
const DIGEST_SHOWN: usize = 16;

/// The part of a group's history that was asked for.
pub struct HistoryView<'a> {
    /// The group.
    pub group: &'a GroupName,
    /// Its model.
    pub model: &'a ModelName,
    /// The moment asked for, where one was.
    pub at: Option<jiff::Timestamp>,
    /// From when on.
    pub from: Option<jiff::Timestamp>,
    /// Until before when.
    pub to: Option<jiff::Timestamp>,
    /// The periods, oldest first, each with the version where it could be read.
    pub periods: Vec<(Period, Option<Version>)>,
    /// Every line of the record, oldest first.
    pub changes: Vec<HistoryEntry>,
    /// Show the changes and not the periods.
    pub show_changes: bool,
}

/// Renders it for people.
pub fn text(view: &HistoryView<'_>) -> String {
    if view.show_changes {
        return rows_as_table(
            &format!("no change of {} is recorded{}\n", view.group, range(view)),
            &changes(view, Detail::Short),
        );
    }
    if let Some(at) = view.at {
        return match view.periods.first() {
            Some((period, version)) => moment(view.group, at, period, version.as_ref()),
            None => format!("nothing was current in {} at {}\n", view.group, time(at)),
        };
    }
    let nothing = format!("nothing was current in {}{}\n", view.group, range(view));
    let mut text = rows_as_table(&nothing, &periods(view, Detail::Short));
    if !view.changes.is_empty() {
        text.push_str(&format!(
            "{} recorded: branchline history {} --changes\n",
            counted(view.changes.len(), "change"),
            view.group
        ));
    }
    text
}

/// Renders it as a CSV file with a header.
pub fn csv(view: &HistoryView<'_>) -> String {
    let (header, rows) = rows(view, Detail::Full);
    let header = header.iter().map(|name| name.to_lowercase().replace(' ', "_")).collect();
    let line = |cells: &Vec<String>| {
        format!(
            "{}\r\n",
            cells
                .iter()
                .map(|cell| if cell == "-" { String::new() } else { csv_cell(cell) })
                .collect::<Vec<_>>()
                .join(",")
        )
    };
    std::iter::once(&header).chain(&rows).map(line).collect()
}

/// Renders it as a Markdown table.
pub fn markdown(view: &HistoryView<'_>) -> String {
    let (header, rows) = rows(view, Detail::Short);
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(header.iter().map(|name| sentence_case(name)).collect());
    text.push_str(&line(vec!["---".to_owned(); header.len()]));
    for row in rows {
        text.push_str(&line(row.iter().map(|cell| markdown_cell(cell)).collect()));
    }
    text
}

type Rows = (Vec<&'static str>, Vec<Vec<String>>);

/// How much of an id and of a time is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// What people recognise.
    Short,
    /// All of it.
    Full,
}

impl Detail {
    fn time(self, at: jiff::Timestamp) -> String {
        match self {
            Self::Short => time(at),
            Self::Full => at.to_string(),
        }
    }
}

fn rows_as_table(nothing: &str, (header, rows): &Rows) -> String {
    if rows.is_empty() {
        return nothing.to_owned();
    }
    // A column in which nobody has anything says nothing.
    let told: Vec<usize> = (0..header.len()).filter(|at| rows.iter().any(|row| row[*at] != "-")).collect();
    let mut table = table();
    table.set_header(told.iter().map(|at| header[*at]));
    for row in rows {
        table.add_row(told.iter().map(|at| plain(&row[*at])));
    }
    lines(&table)
}

fn periods(view: &HistoryView<'_>, detail: Detail) -> Rows {
    let mut header = vec![
        "VERSION",
        "SEMVER",
        "FROM",
        "UNTIL",
        "CHANGE",
        "APPROVED BY",
        "PULL REQUEST",
        "REVIEWED BY",
        "COMMIT",
        "DATA",
        "REASON",
    ];
    if detail == Detail::Full {
        header.extend(["ACTOR", "ENTERED BY", "APPROVAL RUN", "RUN", "DIGEST", "FINGERPRINT"]);
    }
    let row = |(period, version): &(Period, Option<Version>)| {
        let lineage = version.as_ref().map(|version| &version.content.lineage);
        let pull = period.pull_request().or_else(|| lineage.and_then(|lineage| lineage.pull_request));
        let mut row = vec![
            period.version.to_string(),
            version.as_ref().map_or_else(dash, |version| version.content.semver.to_string()),
            detail.time(period.from),
            period.until.map_or_else(|| "now".to_owned(), |until| detail.time(until)),
            brief(period),
            period.approved.as_ref().map_or_else(|| "unknown".to_owned(), consent),
            pull.map_or_else(dash, |number| format!("#{number}")),
            people(period.reviewed_by()),
            lineage.map_or_else(dash, |lineage| match detail {
                Detail::Short => lineage.commit.short().to_owned(),
                Detail::Full => lineage.commit.to_string(),
            }),
            version.as_ref().map_or_else(dash, |version| data(version, detail)),
            reason(period).unwrap_or_else(dash),
        ];
        if detail == Detail::Full {
            row.extend(provenance(period, version.as_ref()));
        }
        row
    };
    (header, view.periods.iter().map(row).collect())
}

/// Who, from where, and exactly which bytes: what an audit asks.
fn provenance(period: &Period, version: Option<&Version>) -> [String; 6] {
    let run = |by: Option<&Attribution>| by.and_then(|by| by.run_url.clone()).unwrap_or_else(dash);
    let entered = period.entered.as_ref().map(|turn| &turn.by);
    [
        who(&period.began.by),
        entered.map_or_else(dash, who),
        run(period.approved.as_ref().map(|approved| &approved.by)),
        run(entered.or(Some(&period.began.by))),
        version.and_then(digest).unwrap_or_else(dash),
        version.map_or_else(dash, |version| version.content.fingerprint.to_string()),
    ]
}

/// The digest of a version's first artifact.
fn digest(version: &Version) -> Option<String> {
    version.content.artifacts.first().map(|artifact| artifact.digest.to_string())
}

fn changes(view: &HistoryView<'_>, detail: Detail) -> Rows {
    let header = vec![
        "WHEN",
        "CHANGE",
        "VERSION",
        "CURRENT AFTER",
        "WHO",
        "EVENT",
        "PULL REQUEST",
        "REVIEWED BY",
        "RUN",
        "REASON",
    ];
    let row = |entry: &HistoryEntry| {
        vec![
            detail.time(entry.at),
            entry.action.as_str().to_owned(),
            entry.version.map_or_else(dash, |number| number.to_string()),
            entry.current.map_or_else(dash, |number| number.to_string()),
            who(&entry.by),
            entry.by.event.clone(),
            entry.by.pull_request.map_or_else(dash, |number| format!("#{number}")),
            people(&entry.by.reviewed_by),
            entry.by.run_url.clone().unwrap_or_else(dash),
            entry.by.reason.clone().unwrap_or_else(dash),
        ]
    };
    (header, view.changes.iter().map(row).collect())
}

fn rows(view: &HistoryView<'_>, detail: Detail) -> Rows {
    if view.show_changes { changes(view, detail) } else { periods(view, detail) }
}

/// What was current at one moment, line by line.
fn moment(group: &GroupName, at: jiff::Timestamp, period: &Period, version: Option<&Version>) -> String {
    let mut table = table();
    let mut row = |name: &str, value: String| {
        table.add_row(vec![name.to_owned(), plain(&value)]);
    };
    let semver = version.map_or_else(String::new, |version| format!(" {}", version.content.semver));
    row("current", format!("{group} {}{semver}", period.version));
    row("from", format!("{}, {}", time(period.from), turn(&period.began)));
    let until = match (period.until, &period.ended) {
        (Some(until), Some(ended)) => format!("{}, {}", time(until), turn(ended)),
        (Some(until), None) => time(until),
        (None, _) => "now".to_owned(),
    };
    row("until", until);
    let approved = match &period.approved {
        Some(approved) => format!("{} by {}", time(approved.at), consent(approved)),
        None => "unknown".to_owned(),
    };
    row("approved", approved);
    if let Some(reason) = reason(period) {
        row("reason", reason);
    }
    if let Some(url) = &period.began.by.run_url {
        row("run", url.clone());
    }
    if let Some(version) = version {
        let lineage = &version.content.lineage;
        if let Some(digest) = digest(version) {
            row("digest", digest);
        }
        if let Some(number) = period.pull_request().or(lineage.pull_request) {
            row("pull request", format!("#{number}"));
        }
        if !period.reviewed_by().is_empty() {
            row("reviewed by", people(period.reviewed_by()));
        }
        row("commit", lineage.commit.to_string());
        if let Some(branch) = &lineage.branch {
            row("branch", branch.to_string());
        }
        if let Some(source) = &version.content.source {
            row("copied from", source.to_string());
        }
        for (channel, dataset) in &lineage.datasets {
            row("data", format!("{channel}: {dataset}"));
        }
        for (name, value) in &version.content.metrics {
            row("metric", format!("{name} {}", display_value(*value)));
        }
        row("fingerprint", version.content.fingerprint.to_string());
    }
    format!("at {}:\n{}", time(at), lines(&table))
}

fn turn(turn: &Turn) -> String {
    let version = turn.version.map_or_else(String::new, |number| format!(" {number}"));
    format!("{}{version} by {}", turn.action.as_str(), who(&turn.by))
}

/// The change that began a period; who made it only where that is not who approved.
fn brief(period: &Period) -> String {
    let approver = period.approved.as_ref().map(|approved| &approved.by.actor);
    if approver == Some(&period.began.by.actor) {
        let version = period.began.version.map_or_else(String::new, |number| format!(" {number}"));
        return format!("{}{version}", period.began.action.as_str());
    }
    turn(&period.began)
}

fn who(by: &Attribution) -> String {
    by.actor.clone().unwrap_or_else(|| "unknown".to_owned())
}

fn people(logins: &[String]) -> String {
    if logins.is_empty() { dash() } else { logins.join(", ") }
}

fn consent(consent: &Consent) -> String {
    if consent.by_rule { format!("rule ({} by {})", consent.by.event, who(&consent.by)) } else { who(&consent.by) }
}

fn reason(period: &Period) -> Option<String> {
    period.began.by.reason.clone().or_else(|| period.approved.as_ref().and_then(|approved| approved.by.reason.clone()))
}

fn data(version: &Version, detail: Detail) -> String {
    let most = if detail == Detail::Full { usize::MAX } else { DIGEST_SHOWN };
    let short = |digest: &str| digest.chars().take(most).collect::<String>();
    let datasets = &version.content.lineage.datasets;
    let list: Vec<String> =
        datasets.iter().map(|(channel, data)| format!("{channel} {}", short(&data.digest))).collect();
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}

fn range(view: &HistoryView<'_>) -> String {
    match (view.from, view.to) {
        (None, None) => String::new(),
        (Some(from), None) => format!(" from {} on", time(from)),
        (None, Some(to)) => format!(" before {}", time(to)),
        (Some(from), Some(to)) => format!(" between {} and {}", time(from), time(to)),
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn sentence_case(text: &str) -> String {
    let lower = text.to_lowercase();
    let mut chars = lower.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn dash() -> String {
    "-".to_owned()
}
