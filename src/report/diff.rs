//! Two versions side by side: what is different between them, and what is not.

use crate::model::history::HistoryAction;
use crate::model::history::HistoryEntry;
use crate::model::metric::display_value;
use crate::model::version::Version;
use crate::plan::wording::time;
use crate::report::json::JSON_SCHEMA;
use crate::report::json::VersionJson;
use crate::report::terminal::BOLD;
use crate::report::terminal::approval;
use crate::report::terminal::lines;
use crate::report::terminal::plain;
use crate::report::terminal::table;
use serde::Serialize;
use std::collections::BTreeSet;

/// One side: a version and its group's history.
pub struct Side {
    /// The version.
    pub version: Version,
    /// Whether it is what its group stands for.
    pub is_current: bool,
    /// The history of its group.
    pub history: Vec<HistoryEntry>,
}

/// How the code of the two differs.
pub enum CodeDifference {
    /// Both are of one commit.
    SameCommit,
    /// These watched files: the first of them, and how many in all.
    Paths(Vec<String>, usize),
    /// It cannot be told, and why.
    Unknown(String),
}

/// What `diff --format json` prints; the text shows the same.
#[derive(Debug, Serialize)]
pub struct DiffJson {
    schema: u32,
    a: VersionJson,
    b: VersionJson,
    same_fingerprint: bool,
    same_artifact: bool,
    metrics: Vec<MetricJson>,
    settings: Vec<ChangedJson>,
    data: Vec<ChangedJson>,
    code: CodeJson,
    approval: ChangedJson,
    when: ChangedJson,
    who: ChangedJson,
}

#[derive(Debug, Serialize)]
struct MetricJson {
    name: String,
    a: Option<f64>,
    b: Option<f64>,
    difference: Option<f64>,
}

#[derive(Debug, Serialize)]
struct ChangedJson {
    name: String,
    a: Option<String>,
    b: Option<String>,
    same: bool,
}

#[derive(Debug, Serialize)]
struct CodeJson {
    same_code_id: bool,
    paths: Option<Vec<String>>,
    total: Option<usize>,
    unknown: Option<String>,
}

impl DiffJson {
    /// Compares two versions.
    pub fn of(a: &Side, b: &Side, code: CodeDifference) -> Self {
        let (left, right) = (&a.version.content, &b.version.content);
        let names: BTreeSet<_> = left.metrics.keys().chain(right.metrics.keys()).collect();
        let metric = |name: &crate::model::metric::MetricName| {
            let (one, two) = (left.metrics.get(name).copied(), right.metrics.get(name).copied());
            let difference = one.zip(two).map(|(one, two)| two - one).filter(|difference| difference.is_finite());
            MetricJson { name: name.to_string(), a: one, b: two, difference }
        };
        let (paths, total, unknown) = match code {
            CodeDifference::SameCommit => (Some(Vec::new()), Some(0), None),
            CodeDifference::Paths(paths, total) => (Some(paths), Some(total), None),
            CodeDifference::Unknown(why) => (None, None, Some(why)),
        };
        Self {
            schema: JSON_SCHEMA,
            a: VersionJson::of(&a.version),
            b: VersionJson::of(&b.version),
            same_fingerprint: left.fingerprint == right.fingerprint,
            same_artifact: a.version.sha256().is_some() && a.version.sha256() == b.version.sha256(),
            metrics: names.into_iter().map(metric).collect(),
            settings: settings(&a.version, &b.version),
            data: data(&a.version, &b.version),
            code: CodeJson { same_code_id: left.code_id == right.code_id, paths, total, unknown },
            approval: changed("approval", Some(stands(a)), Some(stands(b))),
            when: changed(
                "registered",
                Some(a.version.registered_at.to_string()),
                Some(b.version.registered_at.to_string()),
            ),
            who: changed("approved by", approver(a), approver(b)),
        }
    }

    /// Renders it for people.
    pub fn text(&self, a: &Side, b: &Side) -> String {
        let mut table = table();
        let name = |side: &Side| format!("{} {}", side.version.reference(), side.version.content.semver);
        let style = |text: &str| format!("{}{text}{}", BOLD.render(), BOLD.render_reset());
        table.set_header(vec![String::new(), name(a), name(b), String::new()]);
        let mut row = |name: &str, one: String, two: String, note: &str| {
            table.add_row(vec![plain(name), plain(&one), plain(&two), plain(note)]);
        };
        for metric in &self.metrics {
            let value = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), display_value);
            let note = match metric.difference {
                Some(0.0) => "same".to_owned(),
                Some(difference) if difference > 0.0 => format!("+{}", display_value(difference)),
                Some(difference) => display_value(difference),
                None => "only one has it".to_owned(),
            };
            row(&metric.name, value(metric.a), value(metric.b), &note);
        }
        let differing = self.settings.iter().chain(&self.data).filter(|changed| !changed.same);
        for changed in differing {
            let value = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            row(&changed.name, value(&changed.a), value(&changed.b), "differs");
        }
        let lineage = |side: &Side| side.version.content.lineage.clone();
        let (left, right) = (lineage(a), lineage(b));
        let same = |same: bool| if same { "same" } else { "" };
        row(
            "commit",
            left.commit.short().to_owned(),
            right.commit.short().to_owned(),
            same(left.commit == right.commit),
        );
        let branch = |branch: &Option<crate::model::git::BranchName>| {
            branch.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)
        };
        row("branch", branch(&left.branch), branch(&right.branch), same(left.branch == right.branch));
        let by = |actor: &Option<String>| actor.clone().unwrap_or_else(|| "-".to_owned());
        row("pushed by", by(&left.actor), by(&right.actor), same(left.actor == right.actor));
        row("approval", stands(a), stands(b), "");
        row("approved by", by(&self.who.a), by(&self.who.b), "");
        row("registered", time(a.version.registered_at), time(b.version.registered_at), "");
        let mut text = lines(&table);
        text.push('\n');
        let mut say = |what: &str, sentence: String| text.push_str(&format!("{}: {sentence}\n", style(what)));
        say("settings", summary(&self.settings));
        say("data", summary(&self.data));
        say("code", self.code_sentence());
        if self.same_artifact {
            say("artifact", "the same bytes".to_owned());
        }
        text
    }

    fn code_sentence(&self) -> String {
        if self.code.same_code_id {
            return "the same code id".to_owned();
        }
        match (&self.code.paths, self.code.total, &self.code.unknown) {
            (Some(paths), Some(total), _) if total > 0 => {
                let more =
                    if total > paths.len() { format!(" and {} more", total - paths.len()) } else { String::new() };
                let word = if total == 1 { "file differs" } else { "files differ" };
                format!("{total} watched {word}: {}{more}", plain(&paths.join(", ")))
            }
            (_, _, Some(why)) => plain(why),
            _ => "the watched files are the same, but not the settings that shape the result".to_owned(),
        }
    }
}

fn summary(list: &[ChangedJson]) -> String {
    if list.is_empty() {
        return "none".to_owned();
    }
    let differing: Vec<String> = list.iter().filter(|c| !c.same).map(|c| plain(&c.name)).collect();
    if differing.is_empty() { "the same".to_owned() } else { format!("{} differ", differing.join(", ")) }
}

fn settings(a: &Version, b: &Version) -> Vec<ChangedJson> {
    let (one, two) = (&a.content.lineage, &b.content.lineage);
    let names: BTreeSet<&String> = one.hyperparameters.keys().chain(two.hyperparameters.keys()).collect();
    let mut list: Vec<ChangedJson> = names
        .into_iter()
        .map(|name| changed(name, one.hyperparameters.get(name).cloned(), two.hyperparameters.get(name).cloned()))
        .collect();
    for (name, left, right) in
        [("image", &one.image, &two.image), ("signature", &a.content.signature, &b.content.signature)]
    {
        if left.is_some() || right.is_some() {
            list.push(changed(name, left.clone(), right.clone()));
        }
    }
    list
}

fn data(a: &Version, b: &Version) -> Vec<ChangedJson> {
    let (one, two) = (&a.content.lineage.datasets, &b.content.lineage.datasets);
    let channels: BTreeSet<_> = one.keys().chain(two.keys()).collect();
    channels
        .into_iter()
        .map(|channel| {
            let digest = |set: &std::collections::BTreeMap<_, crate::model::dataset::Dataset>| {
                set.get(channel).map(|dataset| dataset.digest.clone())
            };
            changed(&format!("data {channel}"), digest(one), digest(two))
        })
        .collect()
}

fn changed(name: &str, a: Option<String>, b: Option<String>) -> ChangedJson {
    ChangedJson { name: name.to_owned(), same: a == b, a, b }
}

fn stands(side: &Side) -> String {
    format!("{}{}", approval(&side.version), if side.is_current { ", current" } else { "" })
}

/// Who approved it last, from the history of its group.
fn approver(side: &Side) -> Option<String> {
    let approved =
        |entry: &&HistoryEntry| entry.action == HistoryAction::Approved && entry.version == Some(side.version.number);
    let periods = crate::model::timeline::periods(&side.history);
    let consent = periods.iter().rev().find(|p| p.version == side.version.number).and_then(|p| p.approved.as_ref());
    match (consent, side.history.iter().rev().find(approved)) {
        (Some(consent), _) if consent.by_rule => Some(format!("rule ({})", consent.by.event)),
        (_, Some(entry)) => entry.by.actor.clone(),
        _ => None,
    }
}
