//! Which result would a merge bring, how does it compare, and what does that say about merging?
//!
//! The plan of the merged tree decides first. Where it would only begin a training, the result that the pull
//! request already has speaks: one that is still trained is waited for, one that misses a gate blocks.

use crate::facts::ContentFacts;
use crate::facts::Facts;
use crate::facts::GroupFacts;
use crate::facts::ReviewFacts;
use crate::facts::review::StageSeen;
use crate::model::approval::Approval;
use crate::model::git::BranchName;
use crate::model::lineage::Lineage;
use crate::model::metric::Metrics;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use crate::model::training::Training;
use crate::model::training::TrainingState;
use crate::model::verdict::Verdict;
use crate::model::version::Version;
use crate::plan::Decision;
use crate::plan::ModelPlan;
use crate::plan::cloud;
use crate::plan::comparison::Side;
use crate::plan::comparison::baseline;
use crate::plan::comparison::compare;
use crate::plan::evidence::Unchanged;
use crate::plan::gate;
use crate::plan::goal::Goal;
use crate::plan::goal::ModelRules;
use crate::plan::known;
use crate::plan::prediction::Candidate;
use crate::plan::prediction::CandidateState;
use crate::plan::prediction::Comparison;
use crate::plan::prediction::MergeDoes;
use crate::plan::prediction::Merging;
use crate::plan::reason::BeforeVerdict;
use crate::plan::reason::Reason;
use crate::plan::register;
use crate::plan::step::Step;

/// A plan of the merge, and what is shown beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// The plan; nothing of it is ever applied.
    pub plan: ModelPlan,
    /// The result that would go in.
    pub candidate: Option<Candidate>,
    /// What it is compared with.
    pub compared: Vec<Comparison>,
    /// What merging would do.
    pub merging: Option<Merging>,
}

/// A result that exists already: a version or a training.
#[derive(Clone, Copy)]
enum Made<'a> {
    Version(&'a Version),
    Training(&'a Training),
}

/// A result, and whether it is the merged tree's own.
struct Found<'a> {
    stage: &'a StageName,
    made: Made<'a>,
    before_merging: bool,
}

/// Returns the targets that a stage's result is compared with: its own, then the one that its gates compare with.
pub fn compared_targets(stage: &Stage) -> Vec<&TargetName> {
    let mut targets: Vec<&TargetName> = stage.groups.keys().collect();
    targets.extend(stage.compare_with.iter().filter(|target| !stage.groups.contains_key(*target)));
    targets
}

/// Adds to the plan of a merge what the pull request already has.
pub fn predict(goal: &Goal, rules: &ModelRules, facts: &Facts, review: &ReviewFacts, plan: ModelPlan) -> Predicted {
    let Some(stage) = goal.aim.stage().and_then(|name| rules.stage(name)) else {
        return Predicted { plan, candidate: None, compared: Vec::new(), merging: None };
    };
    let found = find(stage, rules, facts, review, &plan);
    let shown = found.as_ref().map(|found| shown(rules, facts, found));
    let candidate = shown.as_ref().map(|(candidate, _)| candidate);
    let wanted = review.stages.first().and_then(|seen| seen.merged.as_ref());
    let compared = compared_targets(stage)
        .into_iter()
        .filter_map(|target| {
            let group = facts.groups.get(target)?;
            let recent = review.recent.get(target).map_or(&[][..], Vec::as_slice);
            let code = review.code.get(target).and_then(|code| match candidate {
                Some(Candidate { before_merging: true, .. }) => code.head.clone(),
                Some(_) | None => code.merged.clone(),
            });
            let side = shown.as_ref().map(|(_, lineage)| Side::of(lineage)).or_else(|| wanted.map(Side::of_content));
            Some(compare(stage, rules, facts, target, group, shown.as_ref(), side, recent, code))
        })
        .collect();
    let expected_seconds = review
        .recent
        .values()
        .flatten()
        .chain(review.stages.iter().flat_map(|seen| &seen.versions))
        .find_map(|version| version.content.lineage.training_seconds)
        .or_else(|| candidate.and_then(|candidate| candidate.training_seconds));
    let does = merge_does(&plan);
    let merging = goal.aim.branch().map(|into| Merging {
        into: into.clone(),
        does,
        expected_seconds: expected_seconds.filter(|_| does == MergeDoes::Train),
    });
    let plan = match (&found, &shown) {
        (Some(found), Some((_, lineage))) if does == MergeDoes::Train => {
            judged(stage, rules, facts, found, lineage, plan)
        }
        _ => plan,
    };
    let plan = match goal.aim.branch() {
        Some(base) if review.unchanged => of_the_base(base, plan),
        _ => plan,
    };
    Predicted { plan, candidate: shown.map(|(candidate, _)| candidate), compared, merging }
}

/// Compares a version that a run made with what its group stood for before.
pub fn of_version(
    goal: &Goal,
    rules: &ModelRules,
    before: &Facts,
    version: &Version,
) -> Option<(Candidate, Vec<Comparison>)> {
    let stage = goal.aim.stage().and_then(|name| rules.stage(name))?;
    let lineage_stage = version.content.lineage.stage.as_ref().unwrap_or(&stage.name);
    let found = Found { stage: lineage_stage, made: Made::Version(version), before_merging: false };
    let shown = shown(rules, before, &found);
    let compared = compared_targets(stage)
        .into_iter()
        .filter_map(|target| {
            let group = before.groups.get(target)?;
            let side = Some(Side::of(&shown.1));
            Some(compare(stage, rules, before, target, group, Some(&shown), side, &group.recent, None))
        })
        .collect();
    Some((shown.0, compared))
}

/// Finds the result: the one that the plan names, else one of the merged tree, else one of the head.
fn find<'a>(
    stage: &'a Stage,
    rules: &'a ModelRules,
    facts: &'a Facts,
    review: &'a ReviewFacts,
    plan: &ModelPlan,
) -> Option<Found<'a>> {
    let named = plan.steps().iter().find_map(|step| named(step, facts)).map(|made| {
        let trained_in = match made {
            Made::Version(version) => version.content.lineage.stage.as_ref(),
            Made::Training(training) => Some(&training.origin.stage),
        };
        Found { stage: trained_in.unwrap_or(&stage.name), made, before_merging: false }
    });
    if named.is_some() {
        return named;
    }
    let same_data = matches!(stage.does, Does::Train { .. });
    let of = |seen: &'a StageSeen, content: Option<&ContentFacts>, before_merging: bool| {
        let made = best(seen, content?, same_data)?;
        Some(Found { stage: &seen.stage, made, before_merging })
    };
    review
        .stages
        .iter()
        .find_map(|seen| of(seen, seen.merged.as_ref(), false))
        .or_else(|| above(stage, rules, facts, review))
        .or_else(|| review.stages.iter().find_map(|seen| of(seen, seen.head.as_ref(), true)))
}

/// What a step would bring into a group.
fn named<'a>(step: &Step, facts: &'a Facts) -> Option<Made<'a>> {
    let registration = step.registration()?;
    let content = &registration.content;
    let group_named = |name| facts.groups.values().find(|group| &group.name == name);
    let in_group = |group: &'a GroupFacts, number| group.matching.iter().find(|version| version.number == number);
    match step {
        Step::Promote(_) => {
            let source = content.source.as_ref()?;
            in_group(group_named(&source.group)?, source.number).map(Made::Version)
        }
        Step::Restore(_) => in_group(group_named(&registration.group)?, content.restores?).map(Made::Version),
        Step::Register(_) => {
            let name = content.lineage.training.as_ref()?;
            facts.trainings.iter().find(|training| &training.name == name).map(Made::Training)
        }
        _ => None,
    }
}

/// A training stage reads what a stage above it holds of the same fingerprint.
fn above<'a>(stage: &Stage, rules: &'a ModelRules, facts: &'a Facts, review: &ReviewFacts) -> Option<Found<'a>> {
    let wanted = review.stages.first()?.merged.as_ref()?.fingerprint.as_ref()?;
    rules.training_stages_above(&stage.name).find_map(|above| {
        above.groups.keys().find_map(|target| {
            let group = facts.groups.get(target)?;
            let version = group
                .matching
                .iter()
                .find(|version| &version.content.fingerprint == wanted && version.approval != Approval::Rejected)?;
            Some(Found { stage: &above.name, made: Made::Version(version), before_merging: false })
        })
    })
}

/// The best version of a content in a stage, else its last training. A training stage wants the very data too.
fn best<'a>(seen: &'a StageSeen, content: &ContentFacts, same_data: bool) -> Option<Made<'a>> {
    let equal = |version: &Version| Some(&version.content.fingerprint) == content.fingerprint.as_ref();
    let rank = |version: &Version| {
        let standing = match version.approval {
            Approval::Approved => 3,
            Approval::PendingManualApproval if !version.superseded => 2,
            Approval::PendingManualApproval => 1,
            Approval::Rejected => 0,
        };
        (standing, equal(version), version.number)
    };
    let fits = |version: &&Version| {
        if same_data { equal(version) } else { version.content.content == content.content }
    };
    let version = seen.versions.iter().filter(fits).max_by_key(|version| rank(version));
    version.map(Made::Version).or_else(|| {
        let of = |training: &&Training| Some(&training.origin.fingerprint) == content.fingerprint.as_ref();
        seen.trainings.iter().filter(of).max_by_key(|training| training.attempt).map(Made::Training)
    })
}

/// Describes a result, with the lineage that gates compare by.
fn shown(rules: &ModelRules, facts: &Facts, found: &Found<'_>) -> (Candidate, Lineage) {
    match found.made {
        Made::Version(version) => {
            let content = &version.content;
            let candidate = Candidate {
                model: rules.model.clone(),
                stage: found.stage.clone(),
                state: CandidateState::Registered,
                version: Some(known(version)),
                approval: Some(version.approval),
                training: content.lineage.training.clone(),
                commit: content.lineage.commit.clone(),
                before_merging: found.before_merging,
                fingerprint: content.fingerprint.clone(),
                sha256: version.sha256().map(ToString::to_string),
                metrics: content.metrics.clone(),
                datasets: content.lineage.datasets.clone(),
                training_seconds: content.lineage.training_seconds,
            };
            (candidate, content.lineage.clone())
        }
        Made::Training(training) => {
            let (state, metrics, sha256) = match &training.state {
                TrainingState::Prepared | TrainingState::Open => (CandidateState::Training, Metrics::new(), None),
                TrainingState::Succeeded { metrics, artifacts, .. } => {
                    let sha256 = artifacts.first().and_then(|artifact| artifact.digest.sha256());
                    (CandidateState::Trained, metrics.clone(), sha256.map(ToString::to_string))
                }
                TrainingState::Failed { .. } => (CandidateState::Failed, Metrics::new(), None),
                TrainingState::Stopped { .. } => (CandidateState::Stopped, Metrics::new(), None),
            };
            let candidate = Candidate {
                model: rules.model.clone(),
                stage: found.stage.clone(),
                state,
                version: None,
                approval: None,
                training: Some(training.name.clone()),
                commit: training.origin.commit.clone(),
                before_merging: found.before_merging,
                fingerprint: training.origin.fingerprint.clone(),
                sha256,
                metrics,
                datasets: training.origin.datasets.clone(),
                training_seconds: training.seconds(),
            };
            (candidate, register::lineage(facts, training))
        }
    }
}

/// What a merge does not change says nothing about the merge: what its base suffers from is listed, and decides nothing.
fn of_the_base(base: &BranchName, plan: ModelPlan) -> ModelPlan {
    let misfit = |reason: &Reason| reason.before_verdict() == Some(BeforeVerdict::Configuration);
    let is_held_up = match &plan.decision {
        Decision::Wait(_) => true,
        Decision::Settled(Verdict::Waiting | Verdict::Blocked | Verdict::Failed) => true,
        Decision::Settled(Verdict::Errored) => plan.reasons.first().is_some_and(misfit),
        Decision::Settled(_) | Decision::Act(_) => false,
    };
    if !is_held_up {
        return plan;
    }
    let mut reasons = vec![Reason::Unchanged(Unchanged { base: base.clone() })];
    reasons.extend(plan.reasons);
    ModelPlan { decision: Decision::Settled(Verdict::Skipped), reasons, ..plan }
}

fn merge_does(plan: &ModelPlan) -> MergeDoes {
    let first = plan.steps().iter().find_map(|step| match step {
        Step::Train(_) => Some(MergeDoes::Train),
        Step::Register(_) => Some(MergeDoes::Register),
        Step::Promote(_) => Some(MergeDoes::Promote),
        Step::Restore(_) => Some(MergeDoes::Restore),
        _ => None,
    });
    first.unwrap_or(MergeDoes::Nothing)
}

/// What the pull request's own result says about a merge that would train.
fn judged(
    stage: &Stage,
    rules: &ModelRules,
    facts: &Facts,
    found: &Found<'_>,
    lineage: &Lineage,
    plan: ModelPlan,
) -> ModelPlan {
    let answer = |verdict, reason| {
        let mut reasons = vec![reason];
        if let Made::Training(training) = found.made {
            reasons.extend(cloud::details(training));
        }
        // That merging would train reads as if something had begun, where the answer is another.
        let trains =
            |reason: &&Reason| matches!(reason, Reason::TrainingNeeded { .. } | Reason::TrainingRetried { .. });
        reasons.extend(plan.reasons.iter().filter(|reason| !trains(reason)).cloned());
        ModelPlan { model: plan.model.clone(), decision: Decision::Settled(verdict), reasons }
    };
    let (metrics, name) = match found.made {
        Made::Version(version) => (&version.content.metrics, known(version).to_string()),
        Made::Training(training) => match &training.state {
            TrainingState::Prepared | TrainingState::Open => {
                let reason = Reason::TrainingOpen { training: training.name.clone(), since: training.started_at };
                return answer(Verdict::Waiting, reason);
            }
            TrainingState::Failed { cause, message, log_tail } => {
                let reason = Reason::TrainingFailed {
                    training: training.name.clone(),
                    attempt: training.attempt,
                    cause: *cause,
                    message: message.clone(),
                    log_tail: log_tail.clone(),
                    exhausted: training.attempt >= rules.max_attempts,
                    model: rules.model.clone(),
                };
                return answer(Verdict::Failed, reason);
            }
            TrainingState::Stopped { .. } => return plan,
            TrainingState::Succeeded { metrics, .. } => (metrics, format!("training {}", training.name)),
        },
    };
    // The gates of the stage that merging reaches, and those of the stage that trained it.
    let own = rules.stage(found.stage).filter(|own| own.name != stage.name);
    for judge in std::iter::once(stage).chain(own) {
        let Some(group) = judge
            .groups
            .keys()
            .find_map(|target| facts.groups.get(target))
            .or_else(|| judge.compare_with.as_ref().and_then(|target| facts.groups.get(target)))
        else {
            continue;
        };
        let results = gate::judge(&rules.gates, metrics, lineage, baseline(judge, rules, facts, group));
        if !gate::all_pass(&results) {
            let last_good =
                stage.groups.keys().find_map(|target| facts.groups.get(target)?.current.as_ref()).map(known);
            return answer(Verdict::Blocked, Reason::GateFailed { candidate: name, results, last_good });
        }
    }
    plan
}
