//! Properties of the decision: for any facts, the plan keeps the checker's rules and never panics.

use branchline::facts::CommitFacts;
use branchline::facts::ContentFacts;
use branchline::facts::Facts;
use branchline::facts::GroupFacts;
use branchline::facts::HeadFacts;
use branchline::facts::SemverHighWater;
use branchline::model::approval::Approval;
use branchline::model::approval::ApprovalRule;
use branchline::model::artifact::Artifact;
use branchline::model::artifact::ObjectDigest;
use branchline::model::cloud::CloudSettings;
use branchline::model::digest::Sha256Digest;
use branchline::model::gate::Gate;
use branchline::model::git::BranchName;
use branchline::model::git::CommitSha;
use branchline::model::git::RepositoryId;
use branchline::model::history::Attribution;
use branchline::model::history::Freeze;
use branchline::model::identity::CodeId;
use branchline::model::identity::ContentId;
use branchline::model::identity::Fingerprint;
use branchline::model::lineage::Lineage;
use branchline::model::metric::MetricName;
use branchline::model::metric::Metrics;
use branchline::model::name::GroupName;
use branchline::model::name::ModelName;
use branchline::model::name::ProjectName;
use branchline::model::name::StageName;
use branchline::model::name::TargetName;
use branchline::model::name::TrainingName;
use branchline::model::review::Review;
use branchline::model::stage::BranchPatterns;
use branchline::model::stage::Does;
use branchline::model::stage::OnNewerPush;
use branchline::model::stage::Stage;
use branchline::model::training::Cause;
use branchline::model::training::StopCause;
use branchline::model::training::Training;
use branchline::model::training::TrainingOrigin;
use branchline::model::training::TrainingState;
use branchline::model::version::Rejection;
use branchline::model::version::Version;
use branchline::model::version::VersionContent;
use branchline::model::version::VersionNumber;
use branchline::plan;
use branchline::plan::goal::Aim;
use branchline::plan::goal::Goal;
use branchline::plan::goal::ModelRules;
use branchline::plan::goal::TrainedElsewhere;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A small universe, so that coincidences are common: three contents and as many repositories.
const CONTENTS: u8 = 3;

fn digest(kind: &str, which: u8) -> Sha256Digest {
    Sha256Digest::of(format!("{kind}{which}").as_bytes())
}

fn commit(which: u8) -> CommitSha {
    CommitSha::parse(&digest("commit", which).as_str()[..40]).expect("a commit id")
}

fn now() -> jiff::Timestamp {
    "2026-11-01T00:00:00Z".parse().expect("a timestamp")
}

fn stage_name(text: &str) -> StageName {
    StageName::parse(text).expect("a stage")
}

fn target(text: &str) -> TargetName {
    TargetName::parse(text).expect("a target")
}

fn accuracy() -> MetricName {
    MetricName::parse("accuracy").expect("a metric")
}

fn rules(gated: bool, manual_dev: bool, reuse: bool, advanced: bool) -> ModelRules {
    let project = ProjectName::parse("churn").expect("a project");
    let model = ModelName::parse("churn").expect("a model");
    let patterns = |list: &[&str]| {
        BranchPatterns::parse(&list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).expect("patterns")
    };
    let prod: &[&str] = if advanced { &["champion", "challenger"] } else { &["prod"] };
    let stage = |name: &str, list: &[&str], does, groups: Vec<(&str, ApprovalRule)>, compare: Option<&str>| Stage {
        name: stage_name(name),
        branches: patterns(list),
        does,
        groups: groups.into_iter().map(|(name, rule)| (target(name), rule)).collect(),
        compare_with: compare.map(target),
        on_newer_push: OnNewerPush::Stop,
    };
    let dev_rule = if manual_dev { ApprovalRule::Manual } else { ApprovalRule::Auto };
    let reuse_from = if reuse { vec![stage_name("feature")] } else { Vec::new() };
    let stages = vec![
        stage(
            "feature",
            &["feature-*"],
            Does::Train { reuse_from: Vec::new() },
            vec![("feature", ApprovalRule::Manual)],
            Some("dev"),
        ),
        stage("dev", &["dev"], Does::Train { reuse_from }, vec![("dev", dev_rule)], Some(prod[0])),
        stage(
            "prod",
            &["prod"],
            Does::Promote { from: vec![stage_name("dev")] },
            prod.iter().map(|name| (*name, ApprovalRule::Manual)).collect(),
            None,
        ),
    ];
    let groups = stages
        .iter()
        .flat_map(|stage| stage.groups.keys())
        .map(|target| (target.clone(), GroupName::derive(&project, &model, target)))
        .collect();
    let gate = Gate {
        metric: accuracy(),
        min: Some(0.5),
        max: None,
        max_drop: Some(branchline::model::gate::Tolerance::Absolute(0.1)),
        max_rise: None,
        when_data_differs: Default::default(),
    };
    ModelRules {
        project,
        model,
        stages,
        groups,
        gates: if gated { vec![gate] } else { Vec::new() },
        max_attempts: 3,
        max_auto_retries: 2,
        max_runtime: None,
        require_review: false,
        cloud: None,
    }
}

/// Content, data, approval, rejection, superseded, once approved, restores, score, data moved.
type Made = (u8, u8, Approval, Rejection, bool, bool, Option<u32>, Option<f64>, bool);

/// Versions, frozen, which repository owns it.
type MadeGroup = (Vec<Made>, bool, Option<u8>);

prop_compose! {
    fn any_version()(
        content in 0..CONTENTS,
        data in 0u8..2,
        approval in 0u8..3,
        rejection in 0u8..3,
        superseded: bool,
        once: bool,
        restores in proptest::option::of(1u32..4),
        score in proptest::option::of(0.0f64..1.0),
        data_moved in proptest::bool::weighted(0.1),
    ) -> Made {
        let approval = [Approval::PendingManualApproval, Approval::Approved, Approval::Rejected][usize::from(approval)];
        let rejection = [Rejection::Person, Rejection::RolledBack, Rejection::Duplicate][usize::from(rejection)];
        (content, data, approval, rejection, superseded, once, restores, score, data_moved)
    }
}

fn fingerprint(content: u8, data: u8) -> Fingerprint {
    Fingerprint::from_digest(digest(&format!("fingerprint-{content}-"), data))
}

fn version(group: &GroupName, number: u32, made: Made) -> Version {
    let (content, data, approval, rejection, superseded, once, restores, score, data_moved) = made;
    let metrics: Metrics = score.into_iter().map(|score| (accuracy(), score)).collect();
    Version {
        group: group.clone(),
        number: VersionNumber(number),
        registered_at: now(),
        approval,
        rejection: (approval == Approval::Rejected).then_some(rejection),
        superseded,
        once_approved: once || approval == Approval::Approved,
        content: VersionContent {
            model: ModelName::parse("churn").expect("a model"),
            semver: semver::Version::new(0, number.into(), 0),
            fingerprint: fingerprint(content, data),
            code_id: CodeId::from_digest(digest("code", content)),
            content: ContentId::from_digest(digest("content", content)),
            signature: None,
            metrics,
            artifacts: vec![artifact(content)],
            data_moved,
            lineage: lineage(content),
            source: None,
            restores: restores.filter(|old| *old < number).map(VersionNumber),
            not_promotable: data_moved.then(|| "the data moved".to_owned()),
            serve: None,
        },
    }
}

fn artifact(content: u8) -> Artifact {
    Artifact {
        name: "model.tar.gz".to_owned(),
        digest: ObjectDigest::Sha256(digest("artifact", content)),
        size: 1,
        location: format!("blob:{content}"),
    }
}

fn lineage(content: u8) -> Lineage {
    Lineage {
        schema: 1,
        commit: commit(content),
        tree: None,
        branch: None,
        repository: RepositoryId::default(),
        pull_request: None,
        actor: None,
        run_url: None,
        datasets: BTreeMap::new(),
        hyperparameters: BTreeMap::new(),
        image: None,
        image_digest: None,
        stage: None,
        training: None,
        attempt: None,
        again: None,
        training_seconds: None,
        bill: None,
        training_url: None,
        trained_at: None,
        elsewhere: None,
        imported: None,
        metric_notes: Vec::new(),
    }
}

prop_compose! {
    fn any_group()(
        versions in proptest::collection::vec(any_version(), 0..5),
        frozen in proptest::bool::weighted(0.2),
        owner in proptest::option::weighted(0.7, 0u8..2),
    ) -> MadeGroup {
        (versions, frozen, owner)
    }
}

fn repository(which: u8) -> RepositoryId {
    RepositoryId { remote: Some(format!("host/owner/{which}")), ..RepositoryId::default() }
}

fn group_facts(name: &GroupName, made: MadeGroup, wanted: (u8, u8), by_content: bool) -> GroupFacts {
    let (versions, frozen, owner) = made;
    let mut all: Vec<Version> =
        versions.into_iter().zip(1u32..).map(|(made, number)| version(name, number, made)).collect();
    all.reverse();
    let matching = all
        .iter()
        .filter(|version| {
            if by_content {
                version.content.content == ContentId::from_digest(digest("content", wanted.0))
            } else {
                version.content.fingerprint == fingerprint(wanted.0, wanted.1)
            }
        })
        .cloned()
        .collect();
    GroupFacts {
        name: name.clone(),
        owner: owner.map(repository),
        frozen: frozen.then(|| Freeze { since: now(), by: Attribution::default() }),
        current: all.iter().find(|version| version.approval == Approval::Approved).cloned(),
        newest: all.first().map(|version| version.number),
        highest: all.first().map(|version| SemverHighWater {
            semver: version.content.semver.clone(),
            code_id: version.content.code_id.clone(),
            signature: None,
        }),
        matching,
        asked: all.clone(),
        recent: all.clone(),
        formerly_current: all.iter().skip(1).filter(|version| version.once_approved).cloned().collect(),
    }
}

fn any_state() -> impl Strategy<Value = TrainingState> {
    prop_oneof![
        Just(TrainingState::Prepared),
        Just(TrainingState::Open),
        (proptest::option::of(0.0f64..1.0), any::<bool>()).prop_map(|(score, data_moved)| TrainingState::Succeeded {
            metrics: score.into_iter().map(|score| (accuracy(), score)).collect(),
            artifacts: vec![artifact(0)],
            data_moved,
            notes: Vec::new(),
        }),
        (0usize..4).prop_map(|which| TrainingState::Failed {
            cause: [Cause::Code, Cause::LostWorker, Cause::Network, Cause::TimeLimit][which],
            message: "it failed".to_owned(),
            log_tail: Vec::new(),
        }),
        Just(TrainingState::Stopped { cause: StopCause::NewerPush }),
        Just(TrainingState::Stopped { cause: StopCause::Pruned }),
    ]
}

fn training(stage: &str, attempt: u32, state: TrainingState, again: bool, rules: &ModelRules) -> Training {
    let fingerprint = fingerprint(0, 0);
    Training {
        name: TrainingName::derive(&rules.project, &rules.model, &stage_name(stage), fingerprint.digest(), attempt),
        attempt,
        origin: TrainingOrigin {
            model: rules.model.clone(),
            stage: stage_name(stage),
            commit: commit(0),
            tree: commit(9),
            branch: BranchName::parse("feature-x").expect("a branch"),
            code_id: CodeId::from_digest(digest("code", 0)),
            content: ContentId::from_digest(digest("content", 0)),
            fingerprint,
            signature: None,
            datasets: BTreeMap::new(),
            hyperparameters: BTreeMap::new(),
            image: None,
            image_digest: None,
            serve: None,
            actor: None,
            pull_request: None,
            run_url: None,
            run_key: "run/1".to_owned(),
            run_attempt: 1,
            again: again.then(|| "because".to_owned()),
        },
        started_at: None,
        ended_at: None,
        state,
        url: None,
        bill: None,
    }
}

fn any_aim() -> impl Strategy<Value = Aim> {
    let branch = |name: &str| BranchName::parse(name).expect("a branch");
    let train = move |stage: &'static str, name: &'static str| {
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(move |(again, may_start, by_hand)| Aim::Train {
            stage: stage_name(stage),
            branch: branch(name),
            commit: commit(0),
            again: (again && by_hand).then(|| "because".to_owned()),
            may_start,
            by_hand,
        })
    };
    let number = || (1u32..5).prop_map(VersionNumber);
    prop_oneof![
        3 => train("feature", "feature-x"),
        3 => train("dev", "dev"),
        5 => Just(Aim::Promote { stage: stage_name("prod"), branch: branch("prod"), commit: commit(0), review: Review::NotAsked }),
        2 => (number(), any::<bool>()).prop_map(|(version, named)| Aim::PromoteByHand {
            from: target("dev"), to: target("prod"), version, named,
        }),
        1 => number().prop_map(|version| Aim::Approve { target: target("prod"), version }),
        1 => number().prop_map(|version| Aim::Reject { target: target("dev"), version }),
        1 => (number(), number()).prop_map(|(replaces, to)| Aim::Rollback { target: target("prod"), replaces, to }),
        1 => Just(Aim::Freeze { target: target("prod") }),
        1 => Just(Aim::Unfreeze { target: target("dev") }),
        3 => (0usize..3, any::<bool>(), proptest::option::of(0.0f64..1.0)).prop_map(|(which, unknown, score)| {
            Aim::RegisterElsewhere {
                target: target(["feature", "dev", "prod"][which]),
                commit: commit(0),
                branch: None,
                result: Box::new(TrainedElsewhere {
                    source: "model.pkl".to_owned(),
                    artifact: artifact(0),
                    metrics: score.into_iter().map(|score| (accuracy(), score)).collect(),
                    metric_notes: Vec::new(),
                    unknown_tree: unknown.then(|| "a dirty tree".to_owned()),
                }),
            }
        }),
        3 => (any_version(), proptest::option::of(0u8..2), any::<bool>(), any::<bool>()).prop_map(
            |(made, owner, foreign, here)| Aim::Import {
                to: target("dev"),
                version: Box::new(version(&GroupName::parse("old-dev").expect("a group"), 3, made)),
                here,
                owner: owner.map(repository),
                foreign,
            },
        ),
    ]
}

fn any_head() -> impl Strategy<Value = Option<HeadFacts>> {
    prop_oneof![
        3 => Just(Some(HeadFacts::Here)),
        1 => Just(Some(HeadFacts::Gone)),
        2 => (0..CONTENTS).prop_map(|content| Some(HeadFacts::Moved {
            to: commit(7),
            content: Some(ContentId::from_digest(digest("content", content))),
            fingerprint: Some(fingerprint(content, 0)),
        })),
        1 => Just(None),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_plan_keeps_the_rules(
        aim in any_aim(),
        gated: bool,
        manual_dev: bool,
        reuse: bool,
        advanced in proptest::bool::weighted(0.2),
        head in any_head(),
        groups in proptest::collection::vec(any_group(), 4),
        states in proptest::collection::vec((any_state(), any::<bool>()), 0..4),
        trained_by in 0usize..2,
        known_data in proptest::bool::weighted(0.9),
        run_attempt in 1u32..3,
    ) {
        // Manual commands name the groups of the baseline.
        let by_hand = !matches!(aim, Aim::Train { .. } | Aim::Promote { .. });
        let rules = rules(gated, manual_dev, reuse, advanced && !by_hand);
        let promotes = matches!(aim, Aim::Promote { .. });
        let names: Vec<_> = rules.groups.iter().map(|(target, name)| (target.clone(), name.clone())).collect();
        let groups: BTreeMap<_, _> = names
            .into_iter()
            .zip(groups)
            .map(|((target, name), made)| (target, group_facts(&name, made, (0, 0), promotes)))
            .collect();
        let content = ContentFacts {
            code_id: CodeId::from_digest(digest("code", 0)),
            content: ContentId::from_digest(digest("content", 0)),
            fingerprint: known_data.then(|| fingerprint(0, 0)),
            datasets: BTreeMap::new(),
            missing_data: Vec::new(),
            unusable_data: Vec::new(),
            left_out: Vec::new(),
            signature: None,
            hyperparameters: BTreeMap::new(),
            image: None,
            image_digest: None,
            missing_image: None,
            cloud: CloudSettings::default(),
            max_runtime: None,
            serve: None,
            unusable_file: None,
        };
        let stages = ["feature", "dev"];
        let facts = Facts {
            now: now(),
            repository: repository(0),
            model: rules.model.clone(),
            commit: Some(CommitFacts {
                commit: commit(0),
                tree: commit(9),
                subject: "subject".to_owned(),
                content: stages.iter().map(|stage| (stage_name(stage), Ok(content.clone()))).collect(),
            }),
            head,
            groups,
            trainings: states
                .into_iter()
                .zip(1u32..)
                .map(|((state, again), attempt)| training(stages[trained_by], attempt, state, again, &rules))
                .collect(),
            older_open: Vec::new(),
            wanted_elsewhere: Vec::new(),
            nearest: Vec::new(),
        };
        let by = Attribution { run_key: "run/1".to_owned(), ..Attribution::default() };
        let goal = Goal { aim, by, run_attempt, predicts: false };
        let plan = plan::plan(&goal, &rules, &facts);
        let broken = plan::check::check(&goal, &rules, &facts, &plan);
        prop_assert!(broken.is_empty(), "{broken:?}\n{plan:#?}");
        if let Aim::Import { .. } = &goal.aim {
            let stands = facts.groups[&target("dev")].current.is_some();
            for registration in plan.steps().iter().filter_map(|step| step.registration()) {
                prop_assert!(!(stands && registration.approval == Approval::Approved), "{plan:#?}");
            }
        }
        for reason in &plan.reasons {
            prop_assert!(!reason.message().is_empty());
            prop_assert!(!reason.code().is_empty());
            let never = matches!(reason, plan::reason::Reason::PlanBroken { .. });
            prop_assert!(!never, "{}", reason.message());
        }
    }
}
