//! A training ended well: may its result be registered, and as what? Or may an older version return?

use crate::facts::Facts;
use crate::facts::GroupFacts;
use crate::model::approval::Approval;
use crate::model::approval::ApprovalRule;
use crate::model::artifact::Artifact;
use crate::model::change::ApprovalChange;
use crate::model::change::ArtifactPlace;
use crate::model::change::Expected;
use crate::model::change::Registration;
use crate::model::history::HistoryAction;
use crate::model::identity::CodeId;
use crate::model::lineage::LINEAGE_SCHEMA;
use crate::model::lineage::Lineage;
use crate::model::metric::MetricNote;
use crate::model::metric::Metrics;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::name::TrainingName;
use crate::model::training::Training;
use crate::model::training::TrainingState;
use crate::model::verdict::Verdict;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionContent;
use crate::model::version::next_semver;
use crate::plan::Answered;
use crate::plan::Decision;
use crate::plan::gate;
use crate::plan::gate::Baseline;
use crate::plan::goal::Goal;
use crate::plan::goal::ModelRules;
use crate::plan::group;
use crate::plan::known;
use crate::plan::reason::Reason;
use crate::plan::settled;
use crate::plan::step::ApprovalStep;
use crate::plan::step::CopyStep;
use crate::plan::step::RegisterStep;
use crate::plan::step::Step;
use crate::plan::train::Push;
use crate::plan::train::satisfying;

/// Decides what becomes of a training that ended well.
#[expect(clippy::too_many_arguments, reason = "the parts of one finished training, already matched by the caller")]
pub(super) fn plan(
    goal: &Goal,
    rules: &ModelRules,
    facts: &Facts,
    push: &Push<'_>,
    training: &Training,
    metrics: &Metrics,
    artifacts: &[Artifact],
    data_moved: bool,
) -> Result<Answered, Answered> {
    if let Some(version) = registered_from(facts, push, &training.name) {
        return Ok(settled(
            Verdict::Passed,
            Reason::AlreadyRegistered {
                version: known(version),
                commit: push.commit.commit.clone(),
                approval: version.approval,
            },
        ));
    }
    let lineage = lineage(facts, training);
    let results = gate::judge(&rules.gates, metrics, &lineage, baseline(push, rules, facts)?);
    if !gate::all_pass(&results) {
        let last_good =
            push.stage.groups.keys().find_map(|target| facts.groups.get(target)?.current.as_ref()).map(known);
        return Err(settled(
            Verdict::Blocked,
            Reason::GateFailed { candidate: format!("training {}", training.name), results, last_good },
        ));
    }
    let mut reasons = vec![if results.is_empty() { Reason::NoGates } else { Reason::GatesPassed { results } }];
    if !lineage.metric_notes.is_empty() {
        let from = format!("training {}", training.name);
        reasons.push(Reason::MetricNotes { from, notes: lineage.metric_notes.clone() });
    }
    if data_moved {
        reasons.push(Reason::DataMoved { training: training.name.clone() });
    }
    let (mut copies, mut registrations) = (Vec::new(), Vec::new());
    for (target, rule) in &push.stage.groups {
        let group = group(facts, target)?;
        let origin = &training.origin;
        let semver = counted_on(rules, facts, &push.stage.name, &origin.code_id, origin.signature.as_deref());
        let late = push.overtaken.is_some();
        let approval = if late { Approval::PendingManualApproval } else { entering(*rule) };
        if let Some(head) = &push.overtaken {
            reasons.push(Reason::RegisteredLate { group: group.name.clone(), head: head.clone() });
        }
        reasons.push(Reason::Registering { group: group.name.clone(), semver: semver.clone(), approval });
        copies.push(Step::Copy(CopyStep {
            artifacts: artifacts.to_vec(),
            from: format!("training {}", training.name),
            to: ArtifactPlace {
                project: rules.project.clone(),
                group: group.name.clone(),
                model: rules.model.clone(),
                fingerprint: training.origin.fingerprint.clone(),
            },
        }));
        let content = VersionContent {
            model: rules.model.clone(),
            semver,
            fingerprint: training.origin.fingerprint.clone(),
            code_id: training.origin.code_id.clone(),
            content: training.origin.content.clone(),
            signature: training.origin.signature.clone(),
            metrics: metrics.clone(),
            artifacts: artifacts.to_vec(),
            data_moved,
            lineage: lineage.clone(),
            source: None,
            restores: None,
            not_promotable: data_moved.then(|| "the data changed while it was trained".to_owned()),
            serve: training.origin.serve.clone(),
        };
        registrations.push(Step::Register(RegisterStep {
            target: target.clone(),
            registration: Box::new(Registration {
                group: group.name.clone(),
                repository: facts.repository.clone(),
                expected: expected(group),
                content,
                approval,
                superseded: late,
                supersedes_older: !late && !push.stage.is_shared_by_branches(),
                action: HistoryAction::Registered,
                by: goal.by.clone(),
            }),
        }));
    }
    copies.extend(registrations);
    Ok((Decision::Act(copies), reasons))
}

/// Counts the next semantic version on from the highest of every group that shares a series with the stage.
pub(super) fn counted_on(
    rules: &ModelRules,
    facts: &Facts,
    stage: &StageName,
    code_id: &CodeId,
    signature: Option<&str>,
) -> semver::Version {
    let highest = rules
        .series_of(stage)
        .into_iter()
        .filter_map(|target| facts.groups.get(target)?.highest.as_ref())
        .max_by(|one, other| one.semver.cmp(&other.semver));
    next_semver(highest.map(|h| (&h.semver, &h.code_id, h.signature.as_deref())), code_id, signature)
}

/// Finds the version that a training became.
pub(super) fn registered_from<'a>(facts: &'a Facts, push: &Push<'_>, training: &TrainingName) -> Option<&'a Version> {
    push.stage
        .groups
        .keys()
        .map(|target| {
            let made = |v: &&Version| v.content.lineage.training.as_ref() == Some(training);
            let counts = |v: &&Version| v.rejection != Some(Rejection::Duplicate);
            facts.groups.get(target)?.matching.iter().filter(counts).find(made)
        })
        // With several groups, all of them must hold it.
        .collect::<Option<Vec<_>>>()
        .and_then(|versions| versions.first().copied())
}

/// Makes a group stand for the fingerprint again without training: a version that was marked superseded counts again,
/// or an older version of a sequence is restored because the branch went back to it.
///
/// Only for the head of the branch. In a group that many branches feed nothing is restored: an older number is no older
/// model there.
pub(super) fn bring_back(goal: &Goal, push: &Push<'_>, facts: &Facts) -> Result<Option<Answered>, Answered> {
    if push.overtaken.is_some() {
        return Ok(None);
    }
    let (mut steps, mut reasons) = (Vec::new(), Vec::new());
    for (target, rule) in &push.stage.groups {
        let group = group(facts, target)?;
        if satisfying(group, push).is_some() {
            continue;
        }
        let same = |version: &&Version| &version.content.fingerprint == push.fingerprint;
        let older =
            group.matching.iter().filter(same).find(|version| {
                (version.once_approved || version.superseded) && version.approval != Approval::Rejected
            });
        let Some(older) = older else { return Ok(None) };
        let is_marked = older.superseded && older.approval == Approval::PendingManualApproval;
        let shared = push.stage.is_shared_by_branches();
        let (done, (step, reason)) = if is_marked && (shared || group.newest == Some(older.number)) {
            ("reinstated", reinstating(goal, group, older, entering(*rule)))
        } else if shared {
            return Ok(None);
        } else {
            ("restored", restoring(goal, facts, target, group, older, entering(*rule)))
        };
        if let Some(freeze) = &group.frozen {
            return Err(settled(
                Verdict::Blocked,
                Reason::Frozen {
                    group: group.name.clone(),
                    freeze: freeze.clone(),
                    stopped: format!("{} was not {done}", known(older)),
                },
            ));
        }
        steps.push(step);
        reasons.push(reason);
    }
    Ok((!steps.is_empty()).then_some((Decision::Act(steps), reasons)))
}

/// Builds the step that lifts the mark `superseded` and applies the approval rule.
fn reinstating(goal: &Goal, group: &GroupFacts, marked: &Version, approval: Approval) -> (Step, Reason) {
    let change = ApprovalChange {
        group: group.name.clone(),
        number: marked.number,
        from: marked.approval,
        to: approval,
        rejection: None,
        reinstates: true,
        expected_current: group.current_number(),
        by: goal.by.clone(),
    };
    let artifacts = if approval == Approval::Approved { marked.content.artifacts.clone() } else { Vec::new() };
    (Step::Reinstate(ApprovalStep { change, artifacts }), Reason::Reinstating { version: known(marked), approval })
}

/// Builds the step that registers an older version's artifacts again.
pub(super) fn restoring(
    goal: &Goal,
    facts: &Facts,
    target: &TargetName,
    group: &GroupFacts,
    older: &Version,
    approval: Approval,
) -> (Step, Reason) {
    let content =
        VersionContent { restores: Some(older.number), source: older.content.source.clone(), ..older.content.clone() };
    let step = Step::Restore(RegisterStep {
        target: target.clone(),
        registration: Box::new(Registration {
            group: group.name.clone(),
            repository: facts.repository.clone(),
            expected: expected(group),
            content,
            approval,
            superseded: false,
            supersedes_older: true,
            action: HistoryAction::Restored,
            by: goal.by.clone(),
        }),
    });
    let reason = Reason::Restoring { version: known(older), replaces: group.current.as_ref().map(known), approval };
    (step, reason)
}

/// What a write expects of the group as it was seen.
pub(super) fn expected(group: &GroupFacts) -> Expected {
    Expected { newest: group.newest, current: group.current_number(), frozen: group.frozen.is_some() }
}

/// How a version enters under a group's rule.
pub(super) fn entering(rule: ApprovalRule) -> Approval {
    match rule {
        ApprovalRule::Auto => Approval::Approved,
        ApprovalRule::Manual => Approval::PendingManualApproval,
    }
}

fn baseline<'a>(push: &Push<'_>, rules: &'a ModelRules, facts: &'a Facts) -> Result<Baseline<'a>, Answered> {
    let Some(target) = &push.stage.compare_with else { return Ok(Baseline::NotConfigured) };
    let seen = group(facts, target)?;
    Ok(match (&seen.current, rules.groups.get(target)) {
        (Some(current), _) => Baseline::Current(current),
        (None, Some(name)) => Baseline::NoneYet(name),
        (None, None) => Baseline::NotConfigured,
    })
}

/// What a training run that ended well wrote beside its metrics.
fn notes(training: &Training) -> Vec<MetricNote> {
    match &training.state {
        TrainingState::Succeeded { notes, .. } => notes.clone(),
        TrainingState::Prepared
        | TrainingState::Open
        | TrainingState::Failed { .. }
        | TrainingState::Stopped { .. } => Vec::new(),
    }
}

/// Where a version of this training comes from.
pub(super) fn lineage(facts: &Facts, training: &Training) -> Lineage {
    let origin = &training.origin;
    Lineage {
        schema: LINEAGE_SCHEMA,
        commit: origin.commit.clone(),
        tree: Some(origin.tree.clone()),
        branch: Some(origin.branch.clone()),
        repository: facts.repository.clone(),
        pull_request: origin.pull_request,
        actor: origin.actor.clone(),
        run_url: origin.run_url.clone(),
        datasets: origin.datasets.clone(),
        hyperparameters: origin.hyperparameters.clone(),
        image: origin.image.clone(),
        image_digest: origin.image_digest.clone(),
        stage: Some(origin.stage.clone()),
        training: Some(training.name.clone()),
        attempt: Some(training.attempt),
        again: origin.again.clone(),
        training_seconds: training.seconds(),
        bill: training.bill.clone(),
        training_url: training.url.clone(),
        trained_at: training.ended_at,
        elsewhere: None,
        imported: None,
        metric_notes: notes(training),
    }
}
