//! A push to a training stage: is there a version, a training, or nothing yet?

use crate::facts::CommitFacts;
use crate::facts::ContentFacts;
use crate::facts::ContentProblem;
use crate::facts::Facts;
use crate::facts::GroupFacts;
use crate::facts::HeadFacts;
use crate::facts::commit::DataProblem;
use crate::facts::commit::MissingData;
use crate::model::approval::Approval;
use crate::model::dataset::Dataset;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::identity::Fingerprint;
use crate::model::lineage::Lineage;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::name::TrainingName;
use crate::model::stage::Does;
use crate::model::stage::OnNewerPush;
use crate::model::stage::Stage;
use crate::model::training::Cause;
use crate::model::training::StopCause;
use crate::model::training::Training;
use crate::model::training::TrainingOrigin;
use crate::model::training::TrainingState;
use crate::model::verdict::Verdict;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::plan::Answered;
use crate::plan::Decision;
use crate::plan::cloud;
use crate::plan::cloud::MissingImage;
use crate::plan::evidence::DataBehind;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::goal::ModelRules;
use crate::plan::group;
use crate::plan::known;
use crate::plan::reason::Reason;
use crate::plan::refuse_foreign;
use crate::plan::register;
use crate::plan::settled;
use crate::plan::step::Step;
use crate::plan::step::StopStep;
use crate::plan::step::TrainStep;

/// Everything about the push that later questions need, taken apart once.
pub(crate) struct Push<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) branch: &'a BranchName,
    pub(crate) commit: &'a CommitFacts,
    pub(crate) content: &'a ContentFacts,
    pub(crate) fingerprint: &'a Fingerprint,
    pub(crate) again: Option<&'a str>,
    pub(crate) by_hand: bool,
    /// `None`: the branch stands for this very fingerprint. `Some`: it has moved on, to this commit or away.
    pub(crate) overtaken: Option<Option<CommitSha>>,
}

/// Decides for a push to a training stage, and for `train`.
pub(super) fn plan(goal: &Goal, rules: &ModelRules, facts: &Facts) -> Answered {
    match decide(goal, rules, facts) {
        Ok((Decision::Act(mut steps), mut reasons)) => {
            let (stops, why) = stop_older(rules, goal, facts);
            steps.splice(0..0, stops);
            reasons.extend(why);
            (Decision::Act(steps), reasons)
        }
        Ok((decision, mut reasons)) => {
            let (stops, why) = stop_older(rules, goal, facts);
            reasons.extend(why);
            if stops.is_empty() { (decision, reasons) } else { (Decision::Act(stops), reasons) }
        }
        Err(answer) => answer,
    }
}

fn decide(goal: &Goal, rules: &ModelRules, facts: &Facts) -> Result<Answered, Answered> {
    let push = read(goal, rules, facts)?;
    for target in push.stage.groups.keys() {
        refuse_foreign(facts, group(facts, target)?)?;
    }
    if push.again.is_none() {
        if let Some(answer) = satisfied(&push, rules, facts)? {
            return Ok(answer);
        }
        if let Some(answer) = register::bring_back(goal, &push, facts)? {
            return Ok(answer);
        }
    }
    let attempts = own_attempts(&push, facts);
    let last = attempts.last().copied().or_else(|| adoptable(&push, rules, facts));
    let last = last.filter(|training| !must_be_new(goal, facts, &push, training));
    for target in push.stage.groups.keys() {
        let group = group(facts, target)?;
        if let (Some(freeze), false) = (&group.frozen, push.by_hand) {
            let (group, freeze, stopped) = (group.name.clone(), freeze.clone(), held_back(&push, last));
            return Err(settled(Verdict::Blocked, Reason::Frozen { group, freeze, stopped }));
        }
    }
    match last {
        Some(training) => after(goal, rules, facts, &push, training, &attempts),
        None => begin(goal, rules, facts, &push, &attempts, None),
    }
}

/// What a freeze keeps from being done, as a sentence.
fn held_back(push: &Push<'_>, last: Option<&Training>) -> String {
    match last.map(|training| (&training.name, &training.state)) {
        Some((name, TrainingState::Succeeded { .. })) => format!("training {name} ended, and is not registered"),
        Some((name, TrainingState::Open)) => format!("training {name} is still running, and will not be registered"),
        Some((_, TrainingState::Prepared | TrainingState::Failed { .. } | TrainingState::Stopped { .. })) | None => {
            format!("commit {} was not trained", push.commit.commit.short())
        }
    }
}

/// Takes the push apart, or says why the model cannot be judged at this commit.
fn read<'a>(goal: &'a Goal, rules: &'a ModelRules, facts: &'a Facts) -> Result<Push<'a>, Answered> {
    let Aim::Train { stage, branch, again, by_hand, .. } = &goal.aim else {
        return Err(broken("a training plan was asked for something else"));
    };
    let (Some(stage), Some(commit)) = (rules.stage(stage), facts.commit.as_ref()) else {
        return Err(broken("the stage or the commit was not observed"));
    };
    let content = content_at(commit, &stage.name, &facts.model)?;
    let Some(fingerprint) = &content.fingerprint else {
        return Err(unidentified(content));
    };
    let overtaken = match &facts.head {
        None | Some(HeadFacts::Here) => None,
        Some(HeadFacts::Moved { fingerprint: now, content: at, to }) => {
            let same = match now {
                Some(now) => now == fingerprint,
                None => at.as_ref() == Some(&content.content),
            };
            if same { None } else { Some(Some(to.clone())) }
        }
        Some(HeadFacts::Gone) => Some(None),
    };
    Ok(Push { stage, branch, commit, content, fingerprint, again: again.as_deref(), by_hand: *by_hand, overtaken })
}

/// Blocks on what the content was to be trained from and could not be identified.
fn unidentified(content: &ContentFacts) -> Answered {
    let image = content.image.clone().zip(content.missing_image.clone());
    let image = image.map(|(image, why)| Reason::MissingImage(MissingImage { image, why }));
    let mut reasons: Vec<Reason> = data_reasons(&content.missing_data).into_iter().chain(image).collect();
    if reasons.is_empty() {
        reasons.push(Reason::MissingData { missing: Vec::new() });
    }
    (Decision::Settled(Verdict::Blocked), reasons)
}

/// Says what is wrong with data, each kind of problem in a reason of its own.
pub(crate) fn data_reasons(data: &[MissingData]) -> Vec<Reason> {
    let of = |problem: DataProblem| -> Option<Vec<MissingData>> {
        let found: Vec<_> = data.iter().filter(|one| one.problem == problem).cloned().collect();
        (!found.is_empty()).then_some(found)
    };
    let missing = of(DataProblem::Missing).map(|missing| Reason::MissingData { missing });
    let refused = of(DataProblem::Refused).map(|refused| Reason::DataRefused { refused });
    let not_here = of(DataProblem::NotHere).map(|missing| Reason::DataNotHere { missing });
    missing.into_iter().chain(refused).chain(not_here).collect()
}

/// Says what the training run does not get of what the model watches.
fn left_out(content: &ContentFacts) -> Option<Reason> {
    (!content.left_out.is_empty()).then(|| Reason::LeftOut { paths: content.left_out.clone() })
}

/// Returns a model's content at a commit, or settles with the reason why it has none.
pub(super) fn content_at<'a>(
    commit: &'a CommitFacts,
    stage: &StageName,
    model: &crate::model::name::ModelName,
) -> Result<&'a ContentFacts, Answered> {
    match commit.content.get(stage) {
        Some(Ok(content)) => Ok(content),
        Some(Err(ContentProblem::NoSuchModel)) => {
            Err(settled(Verdict::Errored, Reason::NoSuchModel { model: model.clone(), commit: commit.commit.clone() }))
        }
        Some(Err(ContentProblem::MissingPaths { paths })) => {
            Err(settled(Verdict::Errored, Reason::MissingPaths { commit: commit.commit.clone(), paths: paths.clone() }))
        }
        Some(Err(ContentProblem::Unreadable { why })) => {
            Err(settled(Verdict::Errored, Reason::Unreadable { why: why.clone() }))
        }
        None => Err(broken("the content for the stage was not observed")),
    }
}

/// Is a version of the fingerprint in place already, here or in a stage above?
fn satisfied(push: &Push<'_>, rules: &ModelRules, facts: &Facts) -> Result<Option<Answered>, Answered> {
    let mut standing: Vec<&Version> = Vec::new();
    for target in push.stage.groups.keys() {
        let group = group(facts, target)?;
        if let Some(version) = satisfying(group, push) {
            standing.push(version);
        } else if let Some(banned) = banned(group, push.fingerprint) {
            return Err(settled(
                Verdict::Blocked,
                Reason::LastRejected {
                    version: known(banned),
                    rejection: banned.rejection,
                    model: rules.model.clone(),
                },
            ));
        }
    }
    if !standing.is_empty() && standing.len() == push.stage.groups.len() {
        let mut reasons = Vec::new();
        for version in standing {
            reasons.push(Reason::AlreadyRegistered {
                version: known(version),
                commit: push.commit.commit.clone(),
                approval: version.approval,
            });
            if version.awaits_approval() && !push.stage.is_shared_by_branches() {
                reasons.extend(awaits(push.stage, rules, version));
            }
        }
        return Ok(Some((Decision::Settled(Verdict::Passed), reasons)));
    }
    for above in rules.training_stages_above(&push.stage.name) {
        for target in above.groups.keys() {
            let found = facts.groups.get(target).and_then(|group| {
                group
                    .matching
                    .iter()
                    .find(|v| &v.content.fingerprint == push.fingerprint && v.approval != Approval::Rejected)
            });
            if let Some(version) = found {
                return Ok(Some(settled(
                    Verdict::Passed,
                    Reason::Adopted { version: known(version), commit: push.commit.commit.clone() },
                )));
            }
        }
    }
    if let Some(head) = &push.overtaken {
        // Late results are still registered; but nothing new is begun, and nothing is restored.
        let begun = facts.trainings.iter().any(|t| {
            &t.origin.fingerprint == push.fingerprint
                && !matches!(t.state, TrainingState::Stopped { .. })
                && register::registered_from(facts, push, &t.name).is_none()
        });
        if !begun && !push.by_hand {
            return Err(superseded(push, head.clone()));
        }
    }
    Ok(None)
}

pub(super) fn superseded(push: &Push<'_>, head: Option<CommitSha>) -> Answered {
    settled(
        Verdict::Skipped,
        Reason::Superseded { commit: push.commit.commit.clone(), branch: push.branch.clone(), head, rollback: None },
    )
}

/// The version that makes a group stand for the fingerprint: the current one, or a newer one that waits. In a
/// group that many branches feed, any version of the fingerprint does.
pub(super) fn satisfying<'a>(group: &'a GroupFacts, push: &Push<'_>) -> Option<&'a Version> {
    let same = |version: &&Version| &version.content.fingerprint == push.fingerprint;
    if push.stage.is_shared_by_branches() {
        let mut matching = group.matching.iter().filter(same).filter(|v| v.rejection != Some(Rejection::Duplicate));
        let found = matching.clone().find(|version| version.approval != Approval::Rejected).or_else(|| matching.next());
        // The head of a branch reinstates what an older run marked.
        let is_marked = |version: &&Version| version.superseded && version.approval == Approval::PendingManualApproval;
        return found.filter(|version| push.overtaken.is_some() || !is_marked(version));
    }
    if let Some(current) = group.current.as_ref().filter(same) {
        return Some(current);
    }
    let above = group.current_number();
    group
        .matching
        .iter()
        .filter(same)
        .find(|version| version.awaits_approval() && above.is_none_or(|current| version.number > current))
        .or_else(|| {
            // A late result of an overtaken push was registered, marked; repeating that push finds it.
            let late = push.overtaken.is_some();
            group.matching.iter().filter(same).find(|version| late && version.superseded)
        })
}

/// The newest version of the fingerprint, where a person or a rollback withdrew it.
fn banned<'a>(group: &'a GroupFacts, fingerprint: &Fingerprint) -> Option<&'a Version> {
    group
        .matching
        .iter()
        .filter(|version| &version.content.fingerprint == fingerprint)
        .find(|version| version.rejection != Some(Rejection::Duplicate))
        .filter(|version| version.is_banned())
}

pub(super) fn awaits(stage: &Stage, rules: &ModelRules, version: &Version) -> Option<Reason> {
    let target = stage.groups.keys().find(|target| rules.groups.get(target) == Some(&version.group))?;
    Some(Reason::AwaitsApproval { version: known(version), target: target.clone(), model: rules.model.clone() })
}

fn own_attempts<'a>(push: &Push<'_>, facts: &'a Facts) -> Vec<&'a Training> {
    let mut attempts: Vec<&Training> = facts
        .trainings
        .iter()
        .filter(|t| t.origin.stage == push.stage.name && &t.origin.fingerprint == push.fingerprint)
        .collect();
    attempts.sort_by_key(|t| t.attempt);
    attempts
}

/// A training of another stage that this one may take over: of a stage above for free, of one below where the
/// rules say so. One that never began is begun by its own stage alone, and perhaps by nobody: nothing waits for it.
fn adoptable<'a>(push: &Push<'_>, rules: &ModelRules, facts: &'a Facts) -> Option<&'a Training> {
    let reuse: &[StageName] = match &push.stage.does {
        Does::Train { reuse_from } => reuse_from,
        Does::Promote { .. } => &[],
    };
    let allowed = |stage: &StageName| {
        reuse.contains(stage) || rules.training_stages_above(&push.stage.name).any(|above| &above.name == stage)
    };
    facts
        .trainings
        .iter()
        .filter(|t| &t.origin.fingerprint == push.fingerprint && allowed(&t.origin.stage))
        .filter(|t| t.is_running() || matches!(t.state, TrainingState::Succeeded { .. }))
        .max_by_key(|t| (matches!(t.state, TrainingState::Succeeded { .. }), t.attempt))
}

/// Does a person's `--again` still need a training of its own?
///
/// One that the same run began, or that was begun for the same reason and is not registered yet, is resumed.
fn must_be_new(goal: &Goal, facts: &Facts, push: &Push<'_>, training: &Training) -> bool {
    let Some(reason) = push.again else { return false };
    let same_run = training.origin.again.is_some() && training.origin.run_key == goal.by.run_key;
    let same_reason = training.origin.again.as_deref() == Some(reason);
    let unfinished = !matches!(training.state, TrainingState::Failed { .. } | TrainingState::Stopped { .. })
        && register::registered_from(facts, push, &training.name).is_none();
    !(same_run || (same_reason && unfinished))
}

/// A training exists: what follows from how it stands?
fn after(
    goal: &Goal,
    rules: &ModelRules,
    facts: &Facts,
    push: &Push<'_>,
    training: &Training,
    attempts: &[&Training],
) -> Result<Answered, Answered> {
    let mut reasons = Vec::new();
    if training.origin.stage != push.stage.name {
        reasons.push(Reason::TrainingAdopted { training: training.name.clone(), stage: training.origin.stage.clone() });
    }
    match &training.state {
        TrainingState::Prepared => {
            let step = Step::Train(TrainStep {
                name: training.name.clone(),
                attempt: training.attempt,
                origin: Box::new(training.origin.clone()),
                required_metrics: required_metrics(rules),
            });
            reasons.push(Reason::TrainingOpen { training: training.name.clone(), since: None });
            Ok((Decision::Act(vec![step]), reasons))
        }
        TrainingState::Open => {
            reasons.push(Reason::TrainingOpen { training: training.name.clone(), since: training.started_at });
            reasons.extend(left_out(push.content));
            reasons.extend(cloud::details(training));
            Ok((Decision::Wait(training.name.clone()), reasons))
        }
        TrainingState::Succeeded { metrics, artifacts, data_moved, .. } => {
            reasons.extend(cloud::details(training));
            register::plan(goal, rules, facts, push, training, metrics, artifacts, *data_moved).map(
                |(decision, why)| {
                    reasons.extend(why);
                    reasons.extend(left_out(push.content));
                    (decision, reasons)
                },
            )
        }
        TrainingState::Stopped { cause } => match push.overtaken.as_ref().filter(|_| !push.by_hand) {
            Some(head) => Err(superseded(push, head.clone())),
            None => begin(goal, rules, facts, push, attempts, Some(cause.leaves(&training.name))),
        },
        TrainingState::Failed { cause, message, log_tail } => {
            if let Some(head) = push.overtaken.as_ref().filter(|_| !push.by_hand) {
                return Err(superseded(push, head.clone()));
            }
            // Every failed attempt counts, whatever its cause: no class of failure begins attempts without an end.
            let failed = attempts.iter().filter(|t| matches!(t.state, TrainingState::Failed { .. })).count() as u32;
            let exhausted = failed >= rules.max_attempts;
            let passing = attempts
                .iter()
                .rev()
                .take_while(|t| matches!(t.state, TrainingState::Failed { cause, .. } if cause.is_transient()))
                .count() as u32;
            let automatic = cause.is_transient() && passing <= rules.max_auto_retries;
            // A full disk says nothing of the training, so a later run tries again without being asked to.
            let asked = (goal.run_attempt > 1 || *cause == Cause::DiskFull)
                && (training.origin.run_key.as_str(), training.origin.run_attempt)
                    != (goal.by.run_key.as_str(), goal.run_attempt);
            if !exhausted && (automatic || asked) {
                let because = if automatic || *cause == Cause::DiskFull {
                    format!("attempt {} ended by {}: {message}", training.attempt, cause.as_str())
                } else {
                    format!("attempt {} failed, and a person ran the job again", training.attempt)
                };
                return begin(goal, rules, facts, push, attempts, Some(because));
            }
            let mut reasons = vec![Reason::TrainingFailed {
                training: training.name.clone(),
                attempt: training.attempt,
                cause: *cause,
                message: message.clone(),
                log_tail: log_tail.clone(),
                exhausted,
                model: rules.model.clone(),
            }];
            reasons.extend(left_out(push.content));
            reasons.extend(cloud::details(training));
            Err((Decision::Settled(Verdict::Failed), reasons))
        }
    }
}

/// Begins the next attempt.
fn begin(
    goal: &Goal,
    rules: &ModelRules,
    facts: &Facts,
    push: &Push<'_>,
    attempts: &[&Training],
    because: Option<String>,
) -> Result<Answered, Answered> {
    let attempt = attempts.last().map_or(1, |t| t.attempt + 1);
    if let (Aim::Train { may_start: false, .. }, 1) = (&goal.aim, attempt) {
        let groups = push.stage.groups.keys().filter_map(|target| facts.groups.get(target));
        let behind = data_behind(push.branch, &rules.model, push.content, groups);
        let not_started = || Reason::NotStarted { branch: push.branch.clone() };
        return Err(settled(Verdict::Skipped, behind.map_or_else(not_started, Reason::DataBehind)));
    }
    if let Some(unusable) = &push.content.unusable_file {
        let (commit, file) = (push.commit.commit.clone(), unusable.clone());
        return Err(settled(Verdict::Errored, Reason::CommandFileUnusable { commit, file }));
    }
    if let Some(reason) = cloud::refused(rules.cloud.as_ref(), &push.stage.name, push.content) {
        return Err(settled(Verdict::Blocked, reason));
    }
    if !push.content.unusable_data.is_empty() {
        return Err((Decision::Settled(Verdict::Blocked), data_reasons(&push.content.unusable_data)));
    }
    let name = TrainingName::derive(&rules.project, &rules.model, &push.stage.name, push.fingerprint.digest(), attempt);
    let reason = match (because, push.again) {
        (Some(because), _) => Reason::TrainingRetried { training: name.clone(), attempt, because },
        (None, Some(again)) => {
            let because = format!("requested manually: \"{again}\"");
            Reason::TrainingRetried { training: name.clone(), attempt, because }
        }
        (None, None) => Reason::TrainingNeeded {
            training: name.clone(),
            commit: push.commit.commit.clone(),
            last_took: last(push, facts, |lineage| lineage.training_seconds),
            last_machines: last(push, facts, |lineage| lineage.bill.as_ref().map(cloud::machines)),
        },
    };
    let origin = TrainingOrigin {
        model: rules.model.clone(),
        stage: push.stage.name.clone(),
        commit: push.commit.commit.clone(),
        tree: push.commit.tree.clone(),
        branch: push.branch.clone(),
        code_id: push.content.code_id.clone(),
        content: push.content.content.clone(),
        fingerprint: push.fingerprint.clone(),
        signature: push.content.signature.clone(),
        datasets: push.content.datasets.clone(),
        hyperparameters: push.content.hyperparameters.clone(),
        image: push.content.image.clone(),
        image_digest: push.content.image_digest.clone(),
        serve: push.content.serve.clone(),
        actor: goal.by.actor.clone(),
        pull_request: goal.by.pull_request,
        run_url: goal.by.run_url.clone(),
        run_key: goal.by.run_key.clone(),
        run_attempt: goal.run_attempt,
        again: push.again.map(str::to_owned),
    };
    let step =
        Step::Train(TrainStep { name, attempt, origin: Box::new(origin), required_metrics: required_metrics(rules) });
    Ok((Decision::Act(vec![step]), std::iter::once(reason).chain(left_out(push.content)).collect()))
}

/// Finds out whether groups have versions of a content's code and settings, but none of its data.
pub fn data_behind<'a>(
    branch: &BranchName,
    model: &ModelName,
    content: &ContentFacts,
    groups: impl Iterator<Item = &'a GroupFacts>,
) -> Option<DataBehind> {
    let fingerprint = content.fingerprint.as_ref()?;
    let seen: Vec<&Version> = groups.flat_map(|group| group.recent.iter().chain(&group.current)).collect();
    if seen.iter().any(|version| &version.content.fingerprint == fingerprint) {
        return None;
    }
    let same_code = |version: &&&Version| version.content.code_id == content.code_id;
    let newest = seen.iter().filter(same_code).max_by_key(|version| version.number)?;
    let then = &newest.content.lineage.datasets;
    let digest = |data: Option<&Dataset>| data.map(|data| data.digest.clone());
    let channels: Vec<_> = content
        .datasets
        .keys()
        .filter(|channel| digest(then.get(*channel)) != digest(content.datasets.get(*channel)))
        .cloned()
        .collect();
    let version = known(newest);
    (!channels.is_empty()).then(|| DataBehind { branch: branch.clone(), version, channels, model: model.clone() })
}

fn required_metrics(rules: &ModelRules) -> Vec<crate::model::metric::MetricName> {
    let mut names: Vec<_> = rules.gates.iter().map(|gate| gate.metric.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// What the model's last registered training tells, as a hint of what is coming.
fn last<T>(push: &Push<'_>, facts: &Facts, told: impl Fn(&Lineage) -> Option<T>) -> Option<T> {
    push.stage
        .groups
        .keys()
        .filter_map(|target| facts.groups.get(target))
        .flat_map(|group| &group.recent)
        .find_map(|version| told(&version.content.lineage))
}

/// Ends older open trainings of the branch that nobody wants any more.
fn stop_older(rules: &ModelRules, goal: &Goal, facts: &Facts) -> (Vec<Step>, Vec<Reason>) {
    let stops = goal
        .aim
        .stage()
        .and_then(|name| rules.stage(name))
        .is_some_and(|stage| stage.on_newer_push == OnNewerPush::Stop);
    // An old event must not stop what the branch's newest push began.
    let ours_is_newest = matches!(facts.head, None | Some(HeadFacts::Here));
    if !stops || !ours_is_newest {
        return (Vec::new(), Vec::new());
    }
    end(facts, StopCause::NewerPush)
}

/// Decides for a branch that is gone: its open trainings end, unless another branch head wants them.
pub(super) fn plan_abandon(branch: &BranchName, facts: &Facts) -> Answered {
    let (steps, mut reasons) = end(facts, StopCause::BranchDeleted);
    if steps.is_empty() {
        reasons.push(Reason::BranchDeleted { branch: branch.clone() });
        return (Decision::Settled(Verdict::Skipped), reasons);
    }
    (Decision::Act(steps), reasons)
}

/// Ends every open training that no other branch head wants.
fn end(facts: &Facts, cause: StopCause) -> (Vec<Step>, Vec<Reason>) {
    let (mut steps, mut reasons) = (Vec::new(), Vec::new());
    for training in &facts.older_open {
        let wanted = facts.wanted_elsewhere.iter().find(|other| other.fingerprint == training.origin.fingerprint);
        match wanted {
            Some(other) => {
                reasons.push(Reason::TrainingLeft { training: training.name.clone(), wanted_by: other.branch.clone() })
            }
            None => {
                reasons.push(Reason::TrainingStopped { training: training.name.clone(), cause });
                steps.push(Step::Stop(StopStep { training: training.name.clone(), cause }));
            }
        }
    }
    (steps, reasons)
}

pub(super) fn broken(what: &str) -> Answered {
    settled(Verdict::Errored, Reason::PlanBroken { what: what.to_owned() })
}
