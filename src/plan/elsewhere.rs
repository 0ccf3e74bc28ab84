//! A model was trained externally: may it become a version, and as what?
//!
//! It is judged as a training's result is. Deliberately absent: reading or packing what was handed over, which is
//! done once, before the loop.

use crate::facts::ContentFacts;
use crate::facts::Facts;
use crate::facts::GroupFacts;
use crate::model::change::ArtifactPlace;
use crate::model::change::Registration;
use crate::model::git::BranchName;
use crate::model::history::HistoryAction;
use crate::model::identity::CodeId;
use crate::model::identity::ContentId;
use crate::model::identity::Fingerprint;
use crate::model::identity::code_id_unknown;
use crate::model::identity::content_id;
use crate::model::identity::fingerprint_elsewhere;
use crate::model::lineage::LINEAGE_SCHEMA;
use crate::model::lineage::Lineage;
use crate::model::name::TargetName;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use crate::model::verdict::Verdict;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionContent;
use crate::plan::Answered;
use crate::plan::Decision;
use crate::plan::approve;
use crate::plan::evidence::HeldAlready;
use crate::plan::evidence::PromotedGroup;
use crate::plan::gate;
use crate::plan::gate::Baseline;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::goal::ModelRules;
use crate::plan::goal::TrainedElsewhere;
use crate::plan::group;
use crate::plan::known;
use crate::plan::reason::Reason;
use crate::plan::refuse_foreign;
use crate::plan::register::counted_on;
use crate::plan::register::entering;
use crate::plan::register::expected;
use crate::plan::settled;
use crate::plan::step::CopyStep;
use crate::plan::step::RegisterStep;
use crate::plan::step::Step;
use crate::plan::train::broken;
use crate::plan::train::content_at;
use std::collections::BTreeMap;

/// The identities of an externally trained model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identities {
    /// The commit's own code id, or one of its own where no commit is known.
    pub code_id: CodeId,
    /// The commit's content, or one of its own where no commit is known: so no promotion selects it.
    pub content: ContentId,
    /// What it is found again by.
    pub fingerprint: Fingerprint,
}

/// Computes the identities beside a commit's content. `None`: the artifact is not known by SHA-256.
pub fn identify(content: &ContentFacts, result: &TrainedElsewhere) -> Option<Identities> {
    let digest = result.artifact.digest.sha256()?;
    let (code_id, content) = match &result.unknown_tree {
        None => (content.code_id.clone(), content.content.clone()),
        Some(_) => {
            let code_id = code_id_unknown(&content.code_id, digest);
            let content = content_id(&code_id, &BTreeMap::new());
            (code_id, content)
        }
    };
    Some(Identities { fingerprint: fingerprint_elsewhere(&code_id, digest), code_id, content })
}

/// Decides what becomes of it.
pub(super) fn plan(goal: &Goal, rules: &ModelRules, facts: &Facts) -> Answered {
    decide(goal, rules, facts).unwrap_or_else(|answer| answer)
}

fn decide(goal: &Goal, rules: &ModelRules, facts: &Facts) -> Result<Answered, Answered> {
    let Aim::RegisterElsewhere { target, branch, result, .. } = &goal.aim else {
        return Err(broken("an externally trained model was spoken of"));
    };
    let (Some(stage), Some(commit)) = (rules.stage_of_target(target), facts.commit.as_ref()) else {
        return Err(broken("the stage or the commit was not observed"));
    };
    let group = group(facts, target)?;
    refuse_promoted(rules, stage, target, group)?;
    refuse_foreign(facts, group)?;
    let content = content_at(commit, &stage.name, &facts.model)?;
    let Some(ids) = identify(content, result) else { return Err(broken("the artifact has no SHA-256")) };
    if let Some(version) = held(group, &ids.fingerprint) {
        return Ok(answer_held(rules, version, result));
    }

    let lineage = lineage(goal, facts, stage, branch.as_ref(), content, result)?;
    let results = gate::judge(&rules.gates, &result.metrics, &lineage, baseline(stage, rules, facts)?);
    if !gate::all_pass(&results) {
        let last_good = group.current.as_ref().map(known);
        let candidate = format!("{}, externally trained,", result.source);
        return Err(settled(Verdict::Blocked, Reason::GateFailed { candidate, results, last_good }));
    }
    let mut reasons = vec![if results.is_empty() { Reason::NoGates } else { Reason::GatesPassed { results } }];
    let semver = counted_on(rules, facts, &stage.name, &ids.code_id, content.signature.as_deref());
    let rule = stage.groups.get(target).copied().ok_or_else(|| broken("the stage does not feed the target"))?;
    let approval = entering(rule);
    if !result.metric_notes.is_empty() {
        reasons.push(Reason::MetricNotes { from: result.source.clone(), notes: result.metric_notes.clone() });
    }
    reasons.push(Reason::Registering { group: group.name.clone(), semver: semver.clone(), approval });
    reasons.extend(result.unknown_tree.as_ref().map(|why| Reason::UnknownTree { why: why.clone() }));
    reasons.extend(approve::frozen(group));

    let artifacts = vec![result.artifact.clone()];
    let copy = Step::Copy(CopyStep {
        artifacts: artifacts.clone(),
        from: result.source.clone(),
        to: ArtifactPlace {
            project: rules.project.clone(),
            group: group.name.clone(),
            model: rules.model.clone(),
            fingerprint: ids.fingerprint.clone(),
        },
    });
    let register = Step::Register(RegisterStep {
        target: target.clone(),
        registration: Box::new(Registration {
            group: group.name.clone(),
            repository: facts.repository.clone(),
            expected: expected(group),
            content: VersionContent {
                model: rules.model.clone(),
                semver,
                fingerprint: ids.fingerprint,
                code_id: ids.code_id,
                content: ids.content,
                signature: content.signature.clone(),
                metrics: result.metrics.clone(),
                artifacts,
                data_moved: false,
                lineage,
                source: None,
                restores: None,
                not_promotable: result.unknown_tree.clone(),
                serve: content.serve.clone(),
            },
            approval,
            superseded: false,
            supersedes_older: !stage.is_shared_by_branches(),
            action: HistoryAction::Registered,
            by: goal.by.clone(),
        }),
    });
    Ok((Decision::Act(vec![copy, register]), reasons))
}

/// What no training stage feeds is reached by promotion only.
fn refuse_promoted(rules: &ModelRules, stage: &Stage, target: &TargetName, group: &GroupFacts) -> Result<(), Answered> {
    let Does::Promote { from } = &stage.does else { return Ok(()) };
    let instead = from.iter().find_map(|name| rules.stage(name)?.groups.keys().next()).cloned();
    Err(settled(
        Verdict::Blocked,
        Reason::PromotedGroup(PromotedGroup {
            group: group.name.clone(),
            target: target.clone(),
            instead,
            model: rules.model.clone(),
        }),
    ))
}

/// Finds the version that this artifact became. One that lost a race bans nothing, and is none.
fn held<'a>(group: &'a GroupFacts, fingerprint: &Fingerprint) -> Option<&'a Version> {
    group
        .matching
        .iter()
        .filter(|version| &version.content.fingerprint == fingerprint)
        .find(|version| version.rejection != Some(Rejection::Duplicate))
}

fn answer_held(rules: &ModelRules, version: &Version, result: &TrainedElsewhere) -> Answered {
    if version.is_banned() {
        return settled(
            Verdict::Blocked,
            Reason::LastRejected { version: known(version), rejection: version.rejection, model: rules.model.clone() },
        );
    }
    settled(
        Verdict::Passed,
        Reason::HeldAlready(HeldAlready {
            version: known(version),
            approval: version.approval,
            other_metrics: version.content.metrics != result.metrics,
        }),
    )
}

fn baseline<'a>(stage: &Stage, rules: &'a ModelRules, facts: &'a Facts) -> Result<Baseline<'a>, Answered> {
    let Some(target) = &stage.compare_with else { return Ok(Baseline::NotConfigured) };
    let seen = group(facts, target)?;
    Ok(match (&seen.current, rules.groups.get(target)) {
        (Some(current), _) => Baseline::Current(current),
        (None, Some(name)) => Baseline::NoneYet(name),
        (None, None) => Baseline::NotConfigured,
    })
}

/// What is known of it. The data never are; the settings are the commit's, where there is one.
fn lineage(
    goal: &Goal,
    facts: &Facts,
    stage: &Stage,
    branch: Option<&BranchName>,
    content: &ContentFacts,
    result: &TrainedElsewhere,
) -> Result<Lineage, Answered> {
    let Some(commit) = &facts.commit else { return Err(broken("the commit was not observed")) };
    let is_known = result.unknown_tree.is_none();
    Ok(Lineage {
        schema: LINEAGE_SCHEMA,
        commit: commit.commit.clone(),
        tree: is_known.then(|| commit.tree.clone()),
        branch: branch.cloned(),
        repository: facts.repository.clone(),
        pull_request: None,
        actor: goal.by.actor.clone(),
        run_url: goal.by.run_url.clone(),
        datasets: BTreeMap::new(),
        hyperparameters: if is_known { content.hyperparameters.clone() } else { BTreeMap::new() },
        image: content.image.clone().filter(|_| is_known),
        image_digest: None,
        stage: Some(stage.name.clone()),
        training: None,
        attempt: None,
        again: None,
        training_seconds: None,
        bill: None,
        training_url: None,
        trained_at: None,
        elsewhere: Some(result.source.clone()),
        imported: None,
        metric_notes: result.metric_notes.clone(),
    })
}
