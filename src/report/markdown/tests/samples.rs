//! Outcomes as they come about, built manually: what the tests render, and what the pictures in the docs show.

use crate::facts::Nearest;
use crate::facts::PathDifference;
use crate::facts::review::ChangedPaths;
use crate::model::approval::Approval;
use crate::model::artifact::Artifact;
use crate::model::artifact::ObjectDigest;
use crate::model::change::ApprovalChange;
use crate::model::change::ArtifactPlace;
use crate::model::change::Expected;
use crate::model::change::Registration;
use crate::model::dataset::Dataset;
use crate::model::dataset::DatasetKind;
use crate::model::digest::Sha256Digest;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::RepositoryId;
use crate::model::history::Attribution;
use crate::model::history::HistoryAction;
use crate::model::identity::CodeId;
use crate::model::identity::ContentId;
use crate::model::identity::Fingerprint;
use crate::model::lineage::Lineage;
use crate::model::metric::MetricName;
use crate::model::metric::Metrics;
use crate::model::metric::display_value;
use crate::model::name::ChannelName;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::name::TrainingName;
use crate::model::training::TrainingOrigin;
use crate::model::version::Version;
use crate::model::version::VersionContent;
use crate::model::version::VersionNumber;
use crate::model::version::VersionRef;
use crate::outcome::StepRecord;
use crate::outcome::StepResult;
use crate::plan::gate::Answer;
use crate::plan::gate::GateResult;
use crate::plan::prediction::Candidate;
use crate::plan::prediction::CandidateState;
use crate::plan::prediction::Comparison;
use crate::plan::prediction::CurrentVersion;
use crate::plan::prediction::DataDifference;
use crate::plan::prediction::MergeDoes;
use crate::plan::prediction::Merging;
use crate::plan::prediction::MetricRow;
use crate::plan::prediction::Point;
use crate::plan::prediction::SettingDifference;
use crate::plan::prediction::Standing;
use crate::plan::reason::Excluded;
use crate::plan::reason::Known;
use crate::plan::reason::NoPromotableVersion;
use crate::plan::reason::Reason;
use crate::plan::step::ApprovalStep;
use crate::plan::step::CopyStep;
use crate::plan::step::FreezeStep;
use crate::plan::step::RegisterStep;
use crate::plan::step::Step;
use crate::plan::step::TrainStep;
use crate::report::markdown::Context;
use std::collections::BTreeMap;

pub fn model(name: &str) -> ModelName {
    ModelName::parse(name).expect("a model name")
}

pub fn group(name: &str) -> GroupName {
    GroupName::parse(name).expect("a group name")
}

pub fn target(name: &str) -> TargetName {
    TargetName::parse(name).expect("a target name")
}

pub fn stage(name: &str) -> StageName {
    StageName::parse(name).expect("a stage name")
}

pub fn branch(name: &str) -> BranchName {
    BranchName::parse(name).expect("a branch name")
}

pub fn digest(of: &str) -> Sha256Digest {
    Sha256Digest::of(of.as_bytes())
}

pub fn commit(of: &str) -> CommitSha {
    CommitSha::parse(&digest(of).as_str()[..40]).expect("a commit")
}

pub fn metrics(values: &[(&str, f64)]) -> Metrics {
    values.iter().map(|(name, value)| (MetricName::parse(name).expect("a metric name"), *value)).collect()
}

pub fn time(day: u32) -> jiff::Timestamp {
    format!("2026-11-{day:02}T09:30:00Z").parse().expect("a time")
}

pub fn reference(name: &str, number: u32) -> VersionRef {
    VersionRef { group: group(name), number: VersionNumber(number) }
}

pub fn known(name: &str, number: u32, semver: &str) -> Known {
    Known { version: reference(name, number), semver: semver.parse().expect("semver"), commit: commit(semver) }
}

pub fn data(version: &str) -> Dataset {
    Dataset {
        uri: "data/train.csv".to_owned(),
        kind: DatasetKind::Git,
        digest: format!("git:{}", &digest(version).as_str()[..40]),
    }
}

pub fn context() -> Context {
    Context {
        repository: Some("acme/models".to_owned()),
        server_url: Some("https://github.com".to_owned()),
        run_url: Some("https://github.com/acme/models/actions/runs/4711".to_owned()),
        commit: Some(commit("head")),
        actor: Some("ada".to_owned()),
        pull_request: Some(42),
        base: Some(branch("prod")),
        head: Some(branch("dev")),
        review: None,
    }
}

pub fn candidate(name: &str, known: Known, values: &[(&str, f64)]) -> Candidate {
    Candidate {
        model: model(name),
        stage: stage("dev"),
        state: CandidateState::Registered,
        approval: Some(Approval::Approved),
        training: Some(TrainingName::reported(&format!("{name}-dev-9c1d22aa04be-1"))),
        commit: known.commit.clone(),
        before_merging: false,
        older_data: None,
        fingerprint: Fingerprint::from_digest(digest(&known.semver.to_string())),
        sha256: Some(digest(&format!("bytes of {}", known.semver)).to_string()),
        metrics: metrics(values),
        datasets: BTreeMap::from([(ChannelName::parse("train").expect("a channel"), data("new"))]),
        training_seconds: Some(6600.0),
        version: Some(known),
    }
}

/// A bound: `(metric, key, bound, holds)`.
pub fn bound(name: &str, key: &str, text: &str, value: Option<f64>, answer: Answer) -> GateResult {
    GateResult {
        metric: MetricName::parse(name).expect("a metric name"),
        value,
        bound: text.to_owned(),
        key: key.to_owned(),
        compared_with: None,
        compared_value: None,
        answer,
        note: None,
    }
}

pub fn row(name: &str, candidate: Option<f64>, current: Option<f64>, gates: Vec<GateResult>) -> MetricRow {
    let any = |answer| gates.iter().any(|gate| gate.answer == answer);
    MetricRow {
        metric: MetricName::parse(name).expect("a metric name"),
        candidate,
        current,
        difference: candidate.zip(current).map(|(candidate, current)| candidate - current),
        standing: match (gates.is_empty(), any(Answer::Fail), any(Answer::Unknown)) {
            (true, ..) => Standing::None,
            (_, true, _) => Standing::Fail,
            (.., true) => Standing::Unknown,
            _ => Standing::Pass,
        },
        gates,
    }
}

/// A group with a past of seven versions whose accuracy rose slowly.
pub fn compared(name: &str, to: &str, accuracy: Option<f64>) -> Comparison {
    let past = [0.81, 0.82, 0.79, 0.84, 0.835, 0.85, 0.85];
    let points: Vec<Point> = (1_u32..)
        .zip(past)
        .map(|(number, accuracy)| Point {
            number: VersionNumber(number + 4),
            semver: semver::Version::new(0, 2, u64::from(number)),
            approval: Approval::Approved,
            current: number == 7,
            registered_at: time(number),
            metrics: metrics(&[("accuracy", accuracy), ("auc", accuracy + 0.06)]),
        })
        .collect();
    let group_name = format!("{name}-{to}");
    let (standing, wanted) = match accuracy {
        Some(value) if value < 0.8 => (Answer::Fail, Some(value)),
        other => (Answer::Pass, other),
    };
    let mut drop =
        bound("accuracy", "max_drop", &format!("drop <= 0.01 against {group_name} v11 (0.85)"), wanted, standing);
    drop.compared_with = Some((group(&group_name), VersionNumber(11)));
    drop.compared_value = Some(0.85);
    let gates = match accuracy {
        Some(_) => vec![bound("accuracy", "min", ">= 0.8", wanted, standing), drop],
        None => Vec::new(),
    };
    Comparison {
        target: target(to),
        group: group(&group_name),
        receives: true,
        frozen: false,
        current: Some(CurrentVersion {
            number: VersionNumber(11),
            semver: semver::Version::new(0, 3, 2),
            commit: commit("0.3.2"),
            registered_at: time(7),
            fingerprint: Fingerprint::from_digest(digest("0.3.2")),
            sha256: Some(digest("bytes of 0.3.2").to_string()),
            metrics: metrics(&[("accuracy", 0.85), ("auc", 0.91)]),
        }),
        rows: vec![
            row("accuracy", accuracy, Some(0.85), gates),
            row("auc", accuracy.map(|value| value + 0.06), Some(0.91), Vec::new()),
            row("latency_ms", accuracy.map(|_| 11.4), Some(12.0), Vec::new()),
        ],
        recent: points,
        code: Some(ChangedPaths { paths: vec!["features/age.py".to_owned(), "train.py".to_owned()], total: 2 }),
        data: vec![DataDifference {
            channel: ChannelName::parse("train").expect("a channel"),
            current: Some(data("old")),
            candidate: Some(data("new")),
        }],
        settings: vec![SettingDifference {
            name: "max_depth".to_owned(),
            current: Some("5".to_owned()),
            candidate: Some("6".to_owned()),
        }],
    }
}

pub fn merging(into: &str, does: MergeDoes) -> Option<Merging> {
    let expected_seconds = (does == MergeDoes::Train).then_some(6600.0);
    Some(Merging { into: branch(into), does, expected_seconds })
}

pub fn predicted(base: &str, trains: bool) -> Reason {
    Reason::Predicted { base: branch(base), trains }
}

pub fn by(actor: &str) -> Attribution {
    Attribution { actor: Some(actor.to_owned()), event: "push".to_owned(), ..Attribution::default() }
}

pub fn artifact(semver: &str) -> Artifact {
    let digest = digest(&format!("bytes of {semver}"));
    Artifact {
        name: "model.tar.gz".to_owned(),
        location: format!("blob:sha256:{digest}"),
        digest: ObjectDigest::Sha256(digest),
        size: 48_231_004,
    }
}

pub fn lineage(semver: &str) -> Lineage {
    Lineage {
        schema: 1,
        commit: commit(semver),
        tree: None,
        branch: Some(branch("dev")),
        repository: RepositoryId::default(),
        pull_request: Some(39),
        actor: Some("ada".to_owned()),
        run_url: None,
        datasets: BTreeMap::from([(ChannelName::parse("train").expect("a channel"), data("new"))]),
        hyperparameters: BTreeMap::new(),
        image: None,
        image_digest: None,
        stage: Some(stage("dev")),
        training: Some(TrainingName::reported("churn-dev-9c1d22aa04be-1")),
        attempt: Some(1),
        again: None,
        training_seconds: Some(6600.0),
        bill: None,
        training_url: None,
        trained_at: Some(time(10)),
        elsewhere: None,
        imported: None,
        metric_notes: Vec::new(),
    }
}

pub fn content(name: &str, semver: &str, source: Option<VersionRef>) -> VersionContent {
    VersionContent {
        model: model(name),
        semver: semver.parse().expect("semver"),
        fingerprint: Fingerprint::from_digest(digest(semver)),
        code_id: CodeId::from_digest(digest("code")),
        content: ContentId::from_digest(digest("content")),
        signature: None,
        metrics: metrics(&[("accuracy", 0.87), ("auc", 0.93)]),
        artifacts: vec![artifact(semver)],
        data_moved: false,
        lineage: lineage(semver),
        source,
        restores: None,
        not_promotable: None,
        serve: None,
    }
}

pub fn version(name: &str, number: u32, content: VersionContent, approval: Approval) -> Version {
    Version {
        group: group(name),
        number: VersionNumber(number),
        registered_at: time(12),
        approval,
        rejection: None,
        superseded: false,
        once_approved: approval == Approval::Approved,
        content,
    }
}

pub fn step(step: Step, result: StepResult) -> StepRecord {
    StepRecord { step, result, note: String::new() }
}

pub fn copy(name: &str, from: &str, to: &str, result: StepResult) -> StepRecord {
    let place = ArtifactPlace {
        project: crate::model::name::ProjectName::parse("churn").expect("a project name"),
        group: group(to),
        model: model(name),
        fingerprint: Fingerprint::from_digest(digest("0.4.0")),
    };
    step(Step::Copy(CopyStep { artifacts: vec![artifact("0.4.0")], from: from.to_owned(), to: place }), result)
}

pub fn registers(to: &str, name: &str, content: VersionContent, approval: Approval) -> RegisterStep {
    RegisterStep {
        target: target(to),
        registration: Box::new(Registration {
            group: group(name),
            repository: RepositoryId::default(),
            expected: Expected { newest: Some(VersionNumber(11)), current: Some(VersionNumber(11)), frozen: false },
            content,
            approval,
            superseded: false,
            supersedes_older: true,
            action: HistoryAction::Promoted,
            by: by("ada"),
        }),
    }
}

pub fn trains(name: &str, result: StepResult) -> StepRecord {
    let origin = TrainingOrigin {
        model: model(name),
        stage: stage("dev"),
        commit: commit("merge"),
        tree: commit("tree"),
        branch: branch("dev"),
        code_id: CodeId::from_digest(digest("code")),
        content: ContentId::from_digest(digest("content")),
        fingerprint: Fingerprint::from_digest(digest("0.4.0")),
        signature: None,
        datasets: BTreeMap::new(),
        hyperparameters: BTreeMap::new(),
        image: None,
        image_digest: None,
        serve: None,
        actor: Some("ada".to_owned()),
        pull_request: None,
        run_url: None,
        run_key: "run".to_owned(),
        run_attempt: 1,
        again: None,
    };
    let train = TrainStep {
        name: TrainingName::reported(&format!("{name}-dev-9c1d22aa04be-1")),
        attempt: 1,
        origin: Box::new(origin),
        required_metrics: Vec::new(),
    };
    step(Step::Train(train), result)
}

pub fn rejects(name: &str, number: u32) -> StepRecord {
    let change = ApprovalChange {
        group: group(name),
        number: VersionNumber(number),
        from: Approval::Approved,
        to: Approval::Rejected,
        rejection: None,
        reinstates: false,
        expected_current: None,
        by: by("ada"),
    };
    step(Step::Reject(ApprovalStep { change, artifacts: Vec::new() }), StepResult::Done)
}

pub fn freezes(name: &str) -> StepRecord {
    step(Step::Freeze(FreezeStep { group: group(name), by: by("ada"), verified: Vec::new() }), StepResult::Done)
}

pub fn missed(value: f64) -> Reason {
    Reason::GateFailed {
        candidate: "training churn-dev-9c1d22aa04be-1".to_owned(),
        results: vec![bound("accuracy", "min", ">= 0.8", Some(value), Answer::Fail)],
        last_good: Some(known("churn-dev", 11, "0.3.2")),
    }
}

pub fn diverged() -> Reason {
    Reason::NoPromotableVersion(NoPromotableVersion {
        stage: stage("prod"),
        branch: branch("prod"),
        source_branch: Some(branch("dev")),
        sources: vec![group("churn-dev")],
        excluded: vec![Excluded {
            version: known("churn-dev", 13, "0.4.1"),
            why: format!("missed accuracy >= 0.8 with {}", display_value(0.79)),
        }],
        training: None,
        nearest: vec![Nearest {
            version: reference("churn-dev", 12),
            semver: semver::Version::new(0, 4, 0),
            paths: Some(vec![PathDifference {
                path: "libs/x.py".to_owned(),
                changed_by: Some("1a2b3c4 hotfix #71".to_owned()),
            }]),
            settings: Vec::new(),
            withdrawn: None,
            in_place: false,
        }],
        model: model("churn"),
        target: target("prod"),
        source_target: target("dev"),
    })
}
