//! The shape of `history --format json`.

use crate::model::git::BranchName;
use crate::model::history::Attribution;
use crate::model::history::HistoryEntry;
use crate::model::metric::Metrics;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::timeline::Period;
use crate::model::timeline::Turn;
use crate::model::version::Version;
use crate::report::history::HistoryView;
use crate::report::json::JSON_SCHEMA;
use serde::Serialize;
use std::collections::BTreeMap;

/// What `history --format json` prints.
#[derive(Debug, Serialize)]
pub struct HistoryJson {
    schema: u32,
    group: GroupName,
    model: ModelName,
    at: Option<jiff::Timestamp>,
    from: Option<jiff::Timestamp>,
    to: Option<jiff::Timestamp>,
    periods: Vec<PeriodJson>,
    changes: Vec<ChangeJson>,
}

#[derive(Debug, Serialize)]
struct PeriodJson {
    version: u32,
    semver: Option<String>,
    from: jiff::Timestamp,
    until: Option<jiff::Timestamp>,
    began: TurnJson,
    ended: Option<TurnJson>,
    entered: Option<TurnJson>,
    approved: Option<ConsentJson>,
    pull_request: Option<u64>,
    reviewed_by: Vec<String>,
    commit: Option<String>,
    branch: Option<BranchName>,
    copied_from: Option<String>,
    fingerprint: Option<String>,
    digest: Option<String>,
    sha256: Option<String>,
    metrics: Option<Metrics>,
    data: BTreeMap<String, DataJson>,
}

#[derive(Debug, Serialize)]
struct TurnJson {
    action: &'static str,
    version: Option<u32>,
    by: ByJson,
}

#[derive(Debug, Serialize)]
struct ConsentJson {
    at: jiff::Timestamp,
    by_rule: bool,
    by: ByJson,
}

#[derive(Debug, Serialize)]
struct ChangeJson {
    at: jiff::Timestamp,
    action: &'static str,
    version: Option<u32>,
    current_after: Option<u32>,
    by: ByJson,
}

#[derive(Debug, Serialize)]
struct DataJson {
    uri: String,
    digest: String,
}

#[derive(Debug, Serialize)]
struct ByJson {
    actor: Option<String>,
    event: String,
    pull_request: Option<u64>,
    reviewed_by: Vec<String>,
    run_url: Option<String>,
    reason: Option<String>,
}

impl HistoryJson {
    /// Builds the shape.
    pub fn of(view: &HistoryView<'_>) -> Self {
        let change = |entry: &HistoryEntry| ChangeJson {
            at: entry.at,
            action: entry.action.as_str(),
            version: entry.version.map(|number| number.0),
            current_after: entry.current.map(|number| number.0),
            by: by_json(&entry.by),
        };
        Self {
            schema: JSON_SCHEMA,
            group: view.group.clone(),
            model: view.model.clone(),
            at: view.at,
            from: view.from,
            to: view.to,
            periods: view.periods.iter().map(|(period, version)| period_json(period, version.as_ref())).collect(),
            changes: view.changes.iter().map(change).collect(),
        }
    }
}

fn period_json(period: &Period, version: Option<&Version>) -> PeriodJson {
    let content = version.map(|version| &version.content);
    let lineage = content.map(|content| &content.lineage);
    let turn = |turn: &Turn| TurnJson {
        action: turn.action.as_str(),
        version: turn.version.map(|number| number.0),
        by: by_json(&turn.by),
    };
    let datasets = lineage.map(|lineage| &lineage.datasets).into_iter().flatten();
    PeriodJson {
        version: period.version.0,
        semver: content.map(|content| content.semver.to_string()),
        from: period.from,
        until: period.until,
        began: turn(&period.began),
        ended: period.ended.as_ref().map(turn),
        entered: period.entered.as_ref().map(turn),
        approved: period.approved.as_ref().map(|consent| ConsentJson {
            at: consent.at,
            by_rule: consent.by_rule,
            by: by_json(&consent.by),
        }),
        pull_request: period.pull_request().or_else(|| lineage.and_then(|lineage| lineage.pull_request)),
        reviewed_by: period.reviewed_by().to_vec(),
        commit: lineage.map(|lineage| lineage.commit.to_string()),
        branch: lineage.and_then(|lineage| lineage.branch.clone()),
        copied_from: content.and_then(|content| content.source.as_ref().map(ToString::to_string)),
        fingerprint: content.map(|content| content.fingerprint.to_string()),
        digest: version.and_then(crate::report::history::digest),
        sha256: version.and_then(Version::sha256).map(ToString::to_string),
        metrics: content.map(|content| content.metrics.clone()),
        data: datasets
            .map(|(channel, data)| {
                (channel.to_string(), DataJson { uri: data.uri.clone(), digest: data.digest.clone() })
            })
            .collect(),
    }
}

fn by_json(by: &Attribution) -> ByJson {
    ByJson {
        actor: by.actor.clone(),
        event: by.event.clone(),
        pull_request: by.pull_request,
        reviewed_by: by.reviewed_by.clone(),
        run_url: by.run_url.clone(),
        reason: by.reason.clone(),
    }
}
