//! A candidate beside the current version of one group: metrics with their gates, code, data and settings.

use crate::facts::ContentFacts;
use crate::facts::Facts;
use crate::facts::GroupFacts;
use crate::facts::review::ChangedPaths;
use crate::model::dataset::Dataset;
use crate::model::lineage::Lineage;
use crate::model::metric::MetricName;
use crate::model::metric::Metrics;
use crate::model::name::ChannelName;
use crate::model::name::TargetName;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use crate::model::version::Version;
use crate::plan::gate;
use crate::plan::gate::Answer;
use crate::plan::gate::Baseline;
use crate::plan::gate::GateResult;
use crate::plan::goal::ModelRules;
use crate::plan::prediction::Candidate;
use crate::plan::prediction::Comparison;
use crate::plan::prediction::CurrentVersion;
use crate::plan::prediction::DataDifference;
use crate::plan::prediction::MetricRow;
use crate::plan::prediction::Point;
use crate::plan::prediction::SettingDifference;
use crate::plan::prediction::Standing;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// One side of a comparison: its data and settings.
pub(super) struct Side {
    datasets: BTreeMap<ChannelName, Dataset>,
    settings: BTreeMap<String, String>,
}

impl Side {
    pub(super) fn of(lineage: &Lineage) -> Self {
        Self::new(&lineage.datasets, &lineage.hyperparameters, lineage.image.as_ref())
    }

    pub(super) fn of_content(content: &ContentFacts) -> Self {
        Self::new(&content.datasets, &content.hyperparameters, content.image.as_ref())
    }

    fn new(
        datasets: &BTreeMap<ChannelName, Dataset>,
        hyperparameters: &BTreeMap<String, String>,
        image: Option<&String>,
    ) -> Self {
        let mut settings = hyperparameters.clone();
        settings.extend(image.map(|image| ("image".to_owned(), image.clone())));
        Self { datasets: datasets.clone(), settings }
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one comparison, already found by the caller")]
pub(super) fn compare(
    stage: &Stage,
    rules: &ModelRules,
    facts: &Facts,
    target: &TargetName,
    group: &GroupFacts,
    shown: Option<&(Candidate, Lineage)>,
    side: Option<Side>,
    recent: &[Version],
    code: Option<ChangedPaths>,
) -> Comparison {
    let receives = stage.groups.contains_key(target);
    let measured = shown.filter(|(candidate, _)| candidate.state.has_metrics());
    let mut results = measured.map_or_else(Vec::new, |(candidate, lineage)| {
        gate::judge(&rules.gates, &candidate.metrics, lineage, baseline(stage, rules, facts, group))
    });
    if !receives {
        results.retain(|result| result.compared_with.as_ref().is_some_and(|(name, _)| name == &group.name));
    }
    let current = group.current.as_ref();
    let (data, settings) = match (current, side) {
        (Some(current), Some(side)) => differences(&Side::of(&current.content.lineage), &side),
        _ => (Vec::new(), Vec::new()),
    };
    Comparison {
        target: target.clone(),
        group: group.name.clone(),
        receives,
        frozen: group.frozen.is_some(),
        current: current.map(|version| CurrentVersion {
            number: version.number,
            semver: version.content.semver.clone(),
            commit: version.content.lineage.commit.clone(),
            registered_at: version.registered_at,
            fingerprint: version.content.fingerprint.clone(),
            sha256: version.sha256().map(ToString::to_string),
            metrics: version.content.metrics.clone(),
        }),
        rows: rows(measured.map(|(candidate, _)| &candidate.metrics), current, &results),
        recent: recent
            .iter()
            .rev()
            .map(|version| Point {
                number: version.number,
                semver: version.content.semver.clone(),
                approval: version.approval,
                current: group.current_number() == Some(version.number),
                registered_at: version.registered_at,
                metrics: version.content.metrics.clone(),
            })
            .collect(),
        code,
        data,
        settings,
    }
}

fn rows(candidate: Option<&Metrics>, current: Option<&Version>, results: &[GateResult]) -> Vec<MetricRow> {
    let current = current.map(|version| &version.content.metrics);
    let mut names: BTreeSet<&MetricName> = results.iter().map(|result| &result.metric).collect();
    names.extend(candidate.into_iter().chain(current).flat_map(BTreeMap::keys));
    names
        .into_iter()
        .map(|name| {
            let value = |metrics: Option<&Metrics>| metrics.and_then(|metrics| metrics.get(name)).copied();
            let (ours, theirs) = (value(candidate), value(current));
            let gates: Vec<GateResult> = results.iter().filter(|result| &result.metric == name).cloned().collect();
            MetricRow {
                metric: name.clone(),
                candidate: ours,
                current: theirs,
                difference: ours.zip(theirs).map(|(ours, theirs)| ours - theirs),
                standing: standing(&gates),
                gates,
            }
        })
        .collect()
}

fn standing(gates: &[GateResult]) -> Standing {
    let any = |answer| gates.iter().any(|result| result.answer == answer);
    if gates.is_empty() {
        Standing::None
    } else if any(Answer::Fail) {
        Standing::Fail
    } else if any(Answer::Unknown) {
        Standing::Unknown
    } else {
        Standing::Pass
    }
}

fn differences(current: &Side, candidate: &Side) -> (Vec<DataDifference>, Vec<SettingDifference>) {
    let digest = |side: &Side, channel: &ChannelName| side.datasets.get(channel).map(|data| data.digest.clone());
    let channels: BTreeSet<&ChannelName> = current.datasets.keys().chain(candidate.datasets.keys()).collect();
    let data = channels
        .into_iter()
        .filter(|channel| digest(current, channel) != digest(candidate, channel))
        .map(|channel| DataDifference {
            channel: channel.clone(),
            current: current.datasets.get(channel).cloned(),
            candidate: candidate.datasets.get(channel).cloned(),
        })
        .collect();
    let names: BTreeSet<&String> = current.settings.keys().chain(candidate.settings.keys()).collect();
    let settings = names
        .into_iter()
        .filter(|name| current.settings.get(*name) != candidate.settings.get(*name))
        .map(|name| SettingDifference {
            name: name.clone(),
            current: current.settings.get(name).cloned(),
            candidate: candidate.settings.get(name).cloned(),
        })
        .collect();
    (data, settings)
}

/// What relative bounds compare with: as registering does in a training stage, as promoting does elsewhere.
pub(super) fn baseline<'a>(
    stage: &Stage,
    rules: &'a ModelRules,
    facts: &'a Facts,
    group: &'a GroupFacts,
) -> Baseline<'a> {
    let group = match &stage.does {
        Does::Promote { .. } => Some(group),
        Does::Train { .. } => stage.compare_with.as_ref().and_then(|target| facts.groups.get(target)),
    };
    let Some(group) = group.filter(|group| rules.groups.values().any(|name| name == &group.name)) else {
        return Baseline::NotConfigured;
    };
    group.current.as_ref().map_or(Baseline::NoneYet(&group.name), Baseline::Current)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::dataset::DatasetKind;

    fn side(datasets: &[(&str, &str)], settings: &[(&str, &str)], image: Option<&str>) -> Side {
        let data = |(channel, digest): &(&str, &str)| {
            let dataset = Dataset { uri: "data.csv".to_owned(), kind: DatasetKind::Git, digest: (*digest).to_owned() };
            (ChannelName::parse(channel).expect("a channel"), dataset)
        };
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Side::new(
            &datasets.iter().map(data).collect(),
            &settings.iter().map(text).collect(),
            image.map(str::to_owned).as_ref(),
        )
    }

    #[test]
    fn what_differs_is_named_with_both_sides() {
        let current = side(&[("train", "git:1"), ("same", "git:7")], &[("depth", "5"), ("rate", "0.1")], Some("a:1"));
        let candidate = side(&[("train", "git:2"), ("same", "git:7")], &[("depth", "6")], Some("a:2"));
        let (data, settings) = differences(&current, &candidate);
        let digests = |side: &Option<Dataset>| side.as_ref().map(|dataset| dataset.digest.clone());
        assert_eq!(data.len(), 1);
        assert_eq!(digests(&data[0].current), Some("git:1".to_owned()));
        assert_eq!(digests(&data[0].candidate), Some("git:2".to_owned()));
        let told: Vec<_> =
            settings.iter().map(|s| (s.name.as_str(), s.current.as_deref(), s.candidate.as_deref())).collect();
        assert_eq!(
            told,
            [("depth", Some("5"), Some("6")), ("image", Some("a:1"), Some("a:2")), ("rate", Some("0.1"), None)]
        );
        assert_eq!(differences(&candidate, &candidate), (Vec::new(), Vec::new()));
    }

    #[test]
    fn one_bound_that_fails_or_cannot_be_told_decides() {
        let result = |answer| GateResult {
            metric: MetricName::parse("accuracy").expect("a metric"),
            value: Some(0.8),
            bound: ">= 0.5".to_owned(),
            key: "min".to_owned(),
            compared_with: None,
            compared_value: None,
            answer,
            note: None,
        };
        assert_eq!(standing(&[]), Standing::None);
        assert_eq!(standing(&[result(Answer::Pass)]), Standing::Pass);
        assert_eq!(standing(&[result(Answer::Pass), result(Answer::Unknown)]), Standing::Unknown);
        assert_eq!(standing(&[result(Answer::Unknown), result(Answer::Fail)]), Standing::Fail);
    }
}
