//! Which version goes forward, where to, and who says no? For a push to a promoting stage, and for `promote`.

use crate::facts::CommitFacts;
use crate::facts::ContentFacts;
use crate::facts::Facts;
use crate::facts::GroupFacts;
use crate::facts::HeadFacts;
use crate::model::approval::Approval;
use crate::model::approval::ApprovalRule;
use crate::model::change::ArtifactPlace;
use crate::model::change::Registration;
use crate::model::history::HistoryAction;
use crate::model::identity::ContentId;
use crate::model::identity::Fingerprint;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use crate::model::training::Training;
use crate::model::training::TrainingState;
use crate::model::verdict::Verdict;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionContent;
use crate::model::version::next_semver;
use crate::plan::Answered;
use crate::plan::Decision;
use crate::plan::approve;
use crate::plan::evidence::SourceTraining;
use crate::plan::evidence::SourceTrainingEnd;
use crate::plan::gate;
use crate::plan::gate::Baseline;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::goal::ModelRules;
use crate::plan::group;
use crate::plan::known;
use crate::plan::reason::Excluded;
use crate::plan::reason::NoPromotableVersion;
use crate::plan::reason::Reason;
use crate::plan::refuse_foreign;
use crate::plan::register::entering;
use crate::plan::register::expected;
use crate::plan::register::restoring;
use crate::plan::review;
use crate::plan::settled;
use crate::plan::step::CopyStep;
use crate::plan::step::RegisterStep;
use crate::plan::step::Step;
use crate::plan::train::awaits;
use crate::plan::train::broken;
use crate::plan::train::content_at;

/// Decides for a push to a promoting stage.
pub(super) fn plan(goal: &Goal, rules: &ModelRules, facts: &Facts) -> Answered {
    decide(goal, rules, facts).unwrap_or_else(|answer| answer)
}

/// Decides for `promote`.
pub(super) fn plan_by_hand(goal: &Goal, rules: &ModelRules, facts: &Facts) -> Answered {
    decide_by_hand(goal, rules, facts).unwrap_or_else(|answer| answer)
}

/// The content that a promoting stage wants, as each of its sources would have trained it.
struct Wanted<'a> {
    by_source: Vec<(&'a StageName, &'a ContentFacts)>,
}

impl Wanted<'_> {
    fn has_content(&self, content: &ContentId) -> bool {
        self.by_source.iter().any(|(_, wanted)| &wanted.content == content)
    }

    fn has_fingerprint(&self, fingerprint: &Fingerprint) -> bool {
        self.by_source.iter().any(|(_, wanted)| wanted.fingerprint.as_ref() == Some(fingerprint))
    }
}

fn decide(goal: &Goal, rules: &ModelRules, facts: &Facts) -> Result<Answered, Answered> {
    let Aim::Promote { stage, .. } = &goal.aim else { return Err(broken("a promotion was asked for")) };
    let (Some(stage), Some(commit)) = (rules.stage(stage), facts.commit.as_ref()) else {
        return Err(broken("the stage or the commit was not observed"));
    };
    let Does::Promote { from } = &stage.does else { return Err(broken("the stage does not promote")) };
    let wanted = wanted(from, commit, facts)?;
    refuse_superseded(goal, rules, facts, stage, commit, &wanted)?;

    let mut reasons = Vec::new();
    let mut open: Vec<(&TargetName, ApprovalRule, &GroupFacts)> = Vec::new();
    for (target, rule) in &stage.groups {
        let group = group(facts, target)?;
        refuse_foreign(facts, group)?;
        match satisfying(group, &wanted) {
            Some(version) if version.approval == Approval::Approved => {
                reasons.push(Reason::AlreadyCurrent { version: known(version) });
            }
            Some(version) => reasons.extend(awaits(stage, rules, version)),
            None => open.push((target, *rule, group)),
        }
    }
    if open.is_empty() {
        return Ok((Decision::Settled(Verdict::Passed), reasons));
    }
    for (_, _, group) in &open {
        refuse_banned(rules, group, &wanted)?;
    }
    fan_out(goal, rules, facts, stage, from, &wanted, &open).map(|(decision, why)| {
        reasons.splice(0..0, why);
        (decision, reasons)
    })
}

/// Every target gets its version, or none does.
fn fan_out(
    goal: &Goal,
    rules: &ModelRules,
    facts: &Facts,
    stage: &Stage,
    from: &[StageName],
    wanted: &Wanted<'_>,
    open: &[(&TargetName, ApprovalRule, &GroupFacts)],
) -> Result<Answered, Answered> {
    let (mut copies, mut registrations, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    let mut groups = Vec::new();
    let mut selected: Option<&Version> = None;
    for (target, rule, group) in open {
        let approval = entering(*rule);
        let older = group.matching.iter().find(|version| {
            wanted.has_content(&version.content.content)
                && version.once_approved
                && version.approval != Approval::Rejected
                && review::allows_restore(goal, version)
        });
        if let Some(older) = older {
            review::refuse_unapproved(goal, rules)?;
            refuse_frozen(group, &format!("{} was not restored", known(older)))?;
            let (step, reason) = restoring(goal, facts, target, group, older, approval);
            registrations.push(step);
            reasons.push(reason);
            continue;
        }
        let source = match selected {
            Some(source) => source,
            None => select(goal, rules, facts, stage, from, wanted)?,
        };
        selected = Some(source);
        refuse_frozen(group, &format!("{} was not promoted", known(source)))?;
        let passed = judge(rules, source, group)?;
        if reasons.is_empty() {
            reasons.extend(passed);
        }
        copies.push(copy(rules, source, group));
        registrations.push(register(goal, facts, target, group, source, approval));
        groups.push((group.name.clone(), approval));
    }
    if let (Some(source), Some((_, approval))) = (selected, groups.first()) {
        reasons.insert(
            0,
            Reason::Promoting {
                source: known(source),
                groups: groups.iter().map(|(name, _)| name.clone()).collect(),
                approval: *approval,
                reviewed: review::is_recorded(goal),
            },
        );
        let versions: Vec<&Version> = facts.groups.values().flat_map(|group| &group.matching).collect();
        reasons.extend(review::remark(goal, source, &versions));
    }
    copies.extend(registrations);
    Ok((Decision::Act(copies), reasons))
}

fn wanted<'a>(from: &'a [StageName], commit: &'a CommitFacts, facts: &Facts) -> Result<Wanted<'a>, Answered> {
    let mut by_source = Vec::new();
    let mut first_problem = None;
    for source in from {
        match content_at(commit, source, &facts.model) {
            Ok(content) => by_source.push((source, content)),
            Err(problem) => first_problem = first_problem.or(Some(problem)),
        }
    }
    match (by_source.is_empty(), first_problem) {
        (true, Some(problem)) => Err(problem),
        (true, None) => Err(broken("a promoting stage has no source")),
        (false, _) => Ok(Wanted { by_source }),
    }
}

/// An old event never moves a group back.
fn refuse_superseded(
    goal: &Goal,
    rules: &ModelRules,
    facts: &Facts,
    stage: &Stage,
    commit: &CommitFacts,
    wanted: &Wanted<'_>,
) -> Result<(), Answered> {
    let head = match &facts.head {
        None | Some(HeadFacts::Here) => return Ok(()),
        Some(HeadFacts::Moved { content: Some(content), .. }) if wanted.has_content(content) => return Ok(()),
        Some(HeadFacts::Moved { to, .. }) => Some(to.clone()),
        Some(HeadFacts::Gone) => None,
    };
    let Some(branch) = goal.aim.branch() else { return Ok(()) };
    let rollback = stage.groups.keys().next().and_then(|target| rules.groups.get(target)).cloned();
    Err(settled(
        Verdict::Skipped,
        Reason::Superseded { commit: commit.commit.clone(), branch: branch.clone(), head, rollback },
    ))
}

/// The version that makes a target stand for the content: the current one, or a newer one that waits.
fn satisfying<'a>(group: &'a GroupFacts, wanted: &Wanted<'_>) -> Option<&'a Version> {
    if let Some(current) = &group.current
        && wanted.has_content(&current.content.content)
    {
        return Some(current);
    }
    group.matching.iter().find(|version| {
        wanted.has_content(&version.content.content)
            && version.awaits_approval()
            && group.current_number().is_none_or(|current| version.number > current)
    })
}

/// What a person or a rollback withdrew does not come back automatically.
fn refuse_banned(rules: &ModelRules, group: &GroupFacts, wanted: &Wanted<'_>) -> Result<(), Answered> {
    let last = group
        .matching
        .iter()
        .filter(|version| wanted.has_content(&version.content.content))
        .find(|version| version.rejection != Some(Rejection::Duplicate));
    match last {
        Some(version) if version.is_banned() => Err(settled(
            Verdict::Blocked,
            Reason::LastRejected { version: known(version), rejection: version.rejection, model: rules.model.clone() },
        )),
        Some(_) | None => Ok(()),
    }
}

fn refuse_frozen(group: &GroupFacts, stopped: &str) -> Result<(), Answered> {
    match &group.frozen {
        Some(freeze) => Err(settled(
            Verdict::Blocked,
            Reason::Frozen { group: group.name.clone(), freeze: freeze.clone(), stopped: stopped.to_owned() },
        )),
        None => Ok(()),
    }
}

/// Chooses the source version: an equal fingerprint first, else the newest, in the order of the sources.
fn select<'a>(
    goal: &Goal,
    rules: &ModelRules,
    facts: &'a Facts,
    stage: &Stage,
    from: &[StageName],
    wanted: &Wanted<'_>,
) -> Result<&'a Version, Answered> {
    let sources = source_groups(rules, facts, from)?;
    let mut candidates: Vec<&Version> = Vec::new();
    let mut excluded: Vec<Excluded> = Vec::new();
    let mut pending: Option<&Version> = None;
    for (_, group) in &sources {
        for version in group.matching.iter().filter(|v| wanted.has_content(&v.content.content)) {
            match why_not(version) {
                None => candidates.push(version),
                Some(why) => {
                    if version.awaits_approval() {
                        pending = pending.or(Some(version));
                    }
                    excluded.push(Excluded { version: known(version), why });
                }
            }
        }
    }
    if !candidates.is_empty()
        && let Some(version) = review::pinned(goal, rules, &candidates, &excluded)?
    {
        return Ok(version);
    }
    let equal = candidates.iter().find(|version| wanted.has_fingerprint(&version.content.fingerprint)).copied();
    if let Some(version) = equal.or_else(|| candidates.first().copied()) {
        return Ok(version);
    }
    if let Some(training) = open_training(facts, wanted) {
        return Err((
            Decision::Wait(training.name.clone()),
            vec![Reason::SourceTrainingOpen { training: training.name.clone(), stage: stage.name.clone() }],
        ));
    }
    if let Some(version) = pending {
        return Err(settled(
            Verdict::Waiting,
            Reason::SourceAwaitsApproval { version: known(version), stage: stage.name.clone() },
        ));
    }
    let source_branch = from.iter().find_map(|name| rules.stage(name)?.branches.only_branch());
    let names = sources.iter().map(|(_, group)| group.name.clone()).collect();
    if sources.iter().all(|(_, group)| group.newest.is_none()) && facts.trainings.is_empty() {
        return Err(settled(Verdict::Skipped, Reason::NothingToPromoteYet { sources: names, branch: source_branch }));
    }
    let (Some(source), Some(target)) = (sources.first(), stage.groups.keys().next()) else {
        return Err(broken("a promoting stage has no source group or no target"));
    };
    let Some(branch) = goal.aim.branch().cloned() else { return Err(broken("a promotion has no branch")) };
    let held = !excluded.is_empty();
    Err(settled(
        Verdict::Blocked,
        Reason::NoPromotableVersion(NoPromotableVersion {
            stage: stage.name.clone(),
            branch,
            source_branch,
            sources: names,
            excluded,
            training: ended_training(rules, facts, wanted, held),
            nearest: facts.nearest.clone(),
            model: rules.model.clone(),
            target: target.clone(),
            source_target: source.0.clone(),
        }),
    ))
}

fn source_groups<'a>(
    rules: &ModelRules,
    facts: &'a Facts,
    from: &[StageName],
) -> Result<Vec<(TargetName, &'a GroupFacts)>, Answered> {
    let mut groups = Vec::new();
    for name in from {
        let Some(stage) = rules.stage(name) else { return Err(broken("a source stage is unknown")) };
        for target in stage.groups.keys() {
            groups.push((target.clone(), group(facts, target)?));
        }
    }
    Ok(groups)
}

/// Why a source version may not be promoted automatically.
fn why_not(version: &Version) -> Option<String> {
    if version.superseded && version.approval != Approval::Approved {
        return Some("was superseded before it was approved".to_owned());
    }
    if version.approval != Approval::Approved {
        return Some(format!("is {}", version.approval));
    }
    version.content.not_promotable.as_ref().map(|why| format!("is not promotable: {why}"))
}

fn open_training<'a>(facts: &'a Facts, wanted: &Wanted<'_>) -> Option<&'a Training> {
    facts.trainings.iter().find(|training| training.is_running() && wanted.has_content(&training.origin.content))
}

/// Says what became of the content's training. `held`: it has a version, which says more than that it ended well.
fn ended_training(rules: &ModelRules, facts: &Facts, wanted: &Wanted<'_>, held: bool) -> Option<SourceTraining> {
    let training = facts
        .trainings
        .iter()
        .filter(|training| wanted.has_content(&training.origin.content))
        .max_by_key(|training| training.attempt)?;
    let end = match &training.state {
        TrainingState::Failed { cause, message, .. } => {
            SourceTrainingEnd::Failed { cause: *cause, message: message.clone() }
        }
        TrainingState::Succeeded { metrics, .. } => {
            let missed: Vec<String> = rules
                .gates
                .iter()
                .filter_map(|gate| {
                    let value = metrics.get(&gate.metric)?;
                    let low = gate.min.filter(|min| value < min).map(|min| format!("< {min}"));
                    let high = gate.max.filter(|max| value > max).map(|max| format!("> {max}"));
                    low.or(high).map(|bound| format!("{} {value} {bound}", gate.metric))
                })
                .collect();
            match (missed.is_empty(), held) {
                (true, true) => return None,
                (true, false) => SourceTrainingEnd::NotRegistered,
                (false, _) => SourceTrainingEnd::MissedGate(missed),
            }
        }
        TrainingState::Stopped { .. } => SourceTrainingEnd::Stopped,
        TrainingState::Prepared => SourceTrainingEnd::NeverBegun,
        TrainingState::Open => return None,
    };
    Some(SourceTraining { training: training.name.clone(), end })
}

/// Judges a version for a target: absolute bounds, and relative ones against the target's current version.
fn judge(rules: &ModelRules, source: &Version, group: &GroupFacts) -> Result<Vec<Reason>, Answered> {
    let baseline = group.current.as_ref().map_or(Baseline::NoneYet(&group.name), Baseline::Current);
    let results = gate::judge(&rules.gates, &source.content.metrics, &source.content.lineage, baseline);
    if !gate::all_pass(&results) {
        return Err(settled(
            Verdict::Blocked,
            Reason::GateFailed {
                candidate: known(source).to_string(),
                results,
                last_good: group.current.as_ref().map(known),
            },
        ));
    }
    Ok(if results.is_empty() { Vec::new() } else { vec![Reason::GatesPassed { results }] })
}

fn copy(rules: &ModelRules, source: &Version, group: &GroupFacts) -> Step {
    Step::Copy(CopyStep {
        artifacts: source.content.artifacts.clone(),
        from: source.reference().to_string(),
        to: ArtifactPlace {
            project: rules.project.clone(),
            group: group.name.clone(),
            model: rules.model.clone(),
            fingerprint: source.content.fingerprint.clone(),
        },
    })
}

fn register(
    goal: &Goal,
    facts: &Facts,
    target: &TargetName,
    group: &GroupFacts,
    source: &Version,
    approval: Approval,
) -> Step {
    let semver = semver_in(group, source);
    let content = VersionContent { semver, source: Some(source.reference()), restores: None, ..source.content.clone() };
    Step::Promote(RegisterStep {
        target: target.clone(),
        registration: Box::new(Registration {
            group: group.name.clone(),
            repository: facts.repository.clone(),
            expected: expected(group),
            content,
            approval,
            superseded: false,
            supersedes_older: true,
            action: HistoryAction::Promoted,
            by: goal.by.clone(),
        }),
    })
}

/// The semantic version under which a copy enters: the one under which the group holds it already, or else the source's
/// own, unless another artifact of the group carries that.
pub(super) fn semver_in(group: &GroupFacts, source: &Version) -> semver::Version {
    let content = &source.content;
    let seen = || group.current.iter().chain(&group.matching).chain(&group.recent).chain(&group.formerly_current);
    if let Some(held) = seen().find(|version| version.holds_the_same(source)) {
        return held.content.semver.clone();
    }
    let mut others = seen().filter(|version| version.content.semver == content.semver);
    let taken = others.any(|version| !version.holds_the_same(source));
    match group
        .highest
        .as_ref()
        .filter(|highest| taken || (highest.semver == content.semver && highest.code_id != content.code_id))
    {
        Some(highest) => next_semver(
            Some((&highest.semver, &highest.code_id, highest.signature.as_deref())),
            &content.code_id,
            content.signature.as_deref(),
        ),
        None => content.semver.clone(),
    }
}

fn decide_by_hand(goal: &Goal, rules: &ModelRules, facts: &Facts) -> Result<Answered, Answered> {
    let Aim::PromoteByHand { from, to, version, named } = &goal.aim else {
        return Err(broken("a manual promotion was asked for"));
    };
    let source_group = group(facts, from)?;
    let target_group = group(facts, to)?;
    refuse_foreign(facts, source_group)?;
    refuse_foreign(facts, target_group)?;
    let Some(source) = source_group.asked.iter().find(|found| found.number == *version) else {
        return Err(settled(
            Verdict::Errored,
            Reason::NoSuchVersion { group: source_group.name.clone(), number: *version, newest: source_group.newest },
        ));
    };
    if source.approval != Approval::Approved {
        return Err(settled(
            Verdict::Blocked,
            Reason::NotApproved { version: known(source), approval: source.approval },
        ));
    }
    // A version that is not promotable by default goes forward only where a person names it.
    if let (Some(why), false) = (&source.content.not_promotable, named) {
        return Err(settled(Verdict::Blocked, Reason::NotPromotable { version: known(source), why: why.clone() }));
    }
    // Not even a person can have copied what is not kept.
    if source.content.artifacts.is_empty() {
        let why = "Branchline keeps no artifact of it".to_owned();
        return Err(settled(Verdict::Blocked, Reason::NotPromotable { version: known(source), why }));
    }
    let same = |v: &&Version| v.holds_the_same(source);
    if let Some(current) = target_group.current.as_ref().filter(same) {
        return Ok(settled(Verdict::Passed, Reason::AlreadyCurrent { version: known(current) }));
    }
    let waiting = target_group
        .matching
        .iter()
        .filter(same)
        .find(|v| v.awaits_approval() && target_group.current_number().is_none_or(|current| v.number > current));
    if let Some(waiting) = waiting {
        return Ok(settled(
            Verdict::Passed,
            Reason::AwaitsApproval { version: known(waiting), target: to.clone(), model: rules.model.clone() },
        ));
    }
    let rule =
        rules.stage_of_target(to).and_then(|stage| stage.groups.get(to)).copied().unwrap_or(ApprovalRule::Manual);
    let approval = entering(rule);
    let mut reasons = judge(rules, source, target_group)?;
    let older = target_group.matching.iter().filter(same).find(|v| v.once_approved && v.approval != Approval::Rejected);
    let steps = if let Some(older) = older {
        let (step, reason) = restoring(goal, facts, to, target_group, older, approval);
        reasons.insert(0, reason);
        vec![step]
    } else {
        reasons.insert(
            0,
            Reason::Promoting {
                source: known(source),
                groups: vec![target_group.name.clone()],
                approval,
                reviewed: false,
            },
        );
        vec![copy(rules, source, target_group), register(goal, facts, to, target_group, source, approval)]
    };
    reasons.extend(
        target_group
            .withdrawn(source)
            .map(|withdrawn| Reason::PromotingWithdrawn { version: known(withdrawn), rejection: withdrawn.rejection }),
    );
    reasons.extend(approve::frozen(target_group));
    Ok((Decision::Act(steps), reasons))
}
