//! The texts of every [`Reason`]: its code and its sentence with the evidence. The next move is in `next_move`.
//!
//! Foreign text (branch names, commit subjects, log lines) stands in these sentences as it is; each report
//! escapes it for its own medium.

use crate::facts::commit::MissingNote;
use crate::facts::model::Nearest;
use crate::model::command::FileProblem;
use crate::model::version::Rejection;
use crate::plan::cloud;
use crate::plan::evidence::HeldAlready;
use crate::plan::evidence::Importing;
use crate::plan::evidence::PromotedGroup;
use crate::plan::evidence::SourceTraining;
use crate::plan::evidence::TooManyAttempts;
use crate::plan::evidence::Unchanged;
use crate::plan::gate::Answer;
use crate::plan::gate::GateResult;
use crate::plan::reason::Known;
use crate::plan::reason::NoPromotableVersion;
use crate::plan::reason::Reason;
use crate::plan::reason::ReviewMoved;
use std::fmt;

/// Most paths that the sentence about what is left out names.
const LEFT_OUT_SHOWN: usize = 10;

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.semver, self.version)
    }
}

impl Reason {
    /// Returns the code that stands for the reason in JSON and in `branchline explain`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TrainingNeeded { .. } => "training-needed",
            Self::TrainingRetried { .. } => "training-retried",
            Self::TrainingOpen { .. } => "training-open",
            Self::TrainingAdopted { .. } => "training-adopted",
            Self::TrainingLeft { .. } => "training-left",
            Self::TrainingStopped { .. } => "training-stopped",
            Self::AlreadyRegistered { .. } => "already-registered",
            Self::Adopted { .. } => "adopted",
            Self::GatesPassed { .. } => "gates-passed",
            Self::NoGates => "no-gates",
            Self::GateFailed { .. } => "gate-failed",
            Self::Registering { .. } => "registering",
            Self::Promoting { .. } => "promoting",
            Self::Restoring { .. } => "restoring",
            Self::Reinstating { .. } => "reinstating",
            Self::PromotingWithdrawn { .. } => "promoting-withdrawn",
            Self::DataBehind(_) => "data-behind",
            Self::FirstRules { .. } => "first-rules",
            Self::AlreadyCurrent { .. } => "already-current",
            Self::AwaitsApproval { .. } => "awaits-approval",
            Self::SourceAwaitsApproval { .. } => "source-awaits-approval",
            Self::SourceTrainingOpen { .. } => "source-training-open",
            Self::NothingToPromoteYet { .. } => "nothing-to-promote-yet",
            Self::NoPromotableVersion(_) => "no-promotable-version",
            Self::Frozen { .. } => "frozen",
            Self::FrozenButByHand { .. } => "frozen-but-by-hand",
            Self::LastRejected { .. } => "last-rejected",
            Self::NotRestorable { .. } => "not-restorable",
            Self::ForeignGroup { .. } => "foreign-group",
            Self::ReviewMoved(_) => "review-moved",
            Self::ReviewRequired { .. } => "review-required",
            Self::Unreviewed { .. } => "unreviewed",
            Self::NewerThanReview { .. } => "newer-than-review",
            Self::NotPermitted { .. } => "not-permitted",
            Self::Overtaken => "overtaken",
            Self::Superseded { .. } => "superseded",
            Self::RegisteredLate { .. } => "registered-late",
            Self::MissingData { .. } => "missing-data",
            Self::DataRefused { .. } => "data-refused",
            Self::DataNotHere { .. } => "data-not-here",
            Self::LeftOut { .. } => "left-out",
            Self::MissingPaths { .. } => "missing-paths",
            Self::CommandFileUnusable { .. } => "command-file-unusable",
            Self::NoSuchModel { .. } => "no-such-model",
            Self::Unreadable { .. } => "unreadable",
            Self::TrainingFailed { .. } => "training-failed",
            Self::NotStarted { .. } => "not-started",
            Self::MetricNotes { .. } => "metric-notes",
            Self::DataMoved { .. } => "data-moved",
            Self::Approving { .. } => "approving",
            Self::Rejecting { .. } => "rejecting",
            Self::Freezing { .. } => "freezing",
            Self::Unfreezing { .. } => "unfreezing",
            Self::AlreadyFrozen { .. } => "already-frozen",
            Self::NotFrozen { .. } => "not-frozen",
            Self::RollingBack { .. } => "rolling-back",
            Self::RolledBack { .. } => "rolled-back",
            Self::NothingToRollBack { .. } => "nothing-to-roll-back",
            Self::RulesIgnored { .. } => "rules-ignored",
            Self::Unchanged(_) => "unchanged",
            Self::LimitReached { .. } => "limit-reached",
            Self::Predicted { .. } => "predicted",
            Self::AlreadySo { .. } => "already-so",
            Self::OlderThanCurrent { .. } => "older-than-current",
            Self::NoSuchVersion { .. } => "no-such-version",
            Self::NotApproved { .. } => "not-approved",
            Self::NotPromotable { .. } => "not-promotable",
            Self::NoStage { .. } => "no-stage",
            Self::BranchDeleted { .. } => "branch-deleted",
            Self::NotOurs { .. } => "not-ours",
            Self::NoRules { .. } => "no-rules",
            Self::Refused { .. } => "refused",
            Self::MergeConflict { .. } => "merge-conflict",
            Self::Pruned { .. } => "pruned",
            Self::PortFailed { .. } => "port-failed",
            Self::TooBusy { .. } => "too-busy",
            Self::DoesNotConverge { .. } => "does-not-converge",
            Self::PlanBroken { .. } => "plan-broken",
            Self::TooManyAttempts(_) => "too-many-attempts",
            Self::Cancelled { .. } => "cancelled",
            Self::Left { .. } => "left",
            Self::UnknownTree { .. } => "unknown-tree",
            Self::HeldAlready(_) => "held-already",
            Self::PromotedGroup(_) => "promoted-group",
            Self::Importing(_) => "importing",
            Self::ImportedAlready { .. } => "imported-already",
            Self::MissingImage(_) => "missing-image",
            Self::InstanceNotAllowed(_) => "instance-not-allowed",
            Self::TagsRequired(_) => "tags-required",
            Self::VpcRequired(_) => "vpc-required",
            Self::KmsRequired(_) => "kms-required",
            Self::TrainingDetails(_) => "training-details",
            Self::ForeignSource { .. } => "foreign-source",
        }
    }

    /// Returns the sentence, with its numbers and names.
    pub fn message(&self) -> String {
        match self {
            Self::TrainingNeeded { training, commit, last_took, last_machines } => {
                let on = last_machines.as_ref().map_or_else(String::new, |machines| format!(" on {machines}"));
                let took =
                    last_took.map_or_else(String::new, |s| format!("; the last training took {}{on}", seconds(s)));
                format!(
                    "training {training}: no earlier run has this code, configuration and data (commit {}){took}",
                    commit.short()
                )
            }
            Self::TrainingRetried { training, attempt, because } => {
                format!("training again as {training} (attempt {attempt}): {because}")
            }
            Self::TrainingOpen { training, since } => match since {
                Some(since) => format!("training {training} has been running since {}", time(*since)),
                None => format!("training {training} is about to begin"),
            },
            Self::TrainingAdopted { training, stage } => {
                format!("not trained again: training {training} of stage {stage} had the same code, settings and data")
            }
            Self::TrainingLeft { training, wanted_by } => {
                format!(
                    "training {training} keeps running: the head of {wanted_by} has the same code, settings and data"
                )
            }
            Self::TrainingStopped { training, cause } => {
                format!("training {training} is stopped: {}", cause.as_str())
            }
            Self::AlreadyRegistered { version, commit, approval } => format!(
                "not trained: commit {} has the same code, settings and data as {version}, trained from commit {} ({approval})",
                commit.short(),
                version.commit.short()
            ),
            Self::Adopted { version, commit } => format!(
                "not trained: commit {} has the same code, settings and data as {version}, trained from commit {}",
                commit.short(),
                version.commit.short()
            ),
            Self::GatesPassed { results } => format!("gates passed: {}", bounds(results)),
            Self::NoGates => "no gate is configured: whatever trains is registered".to_owned(),
            Self::GateFailed { candidate, results, last_good } => {
                let bad: Vec<GateResult> =
                    results.iter().filter(|result| result.answer != Answer::Pass).cloned().collect();
                let mut text = format!("{candidate} failed its gates: {}", bounds(&bad));
                if let Some(good) = last_good {
                    text.push_str(&format!("; last good: {good}"));
                }
                text
            }
            Self::Registering { group, semver, approval } => format!("{semver} enters {group} as {approval}"),
            Self::Promoting { source, groups, approval, reviewed } => {
                let names: Vec<String> = groups.iter().map(ToString::to_string).collect();
                let review = if *reviewed { ", as reviewed" } else { "" };
                format!("{source} goes to {} as {approval}{review}: copied, not trained", names.join(" and "))
            }
            Self::Restoring { version, replaces, approval } => {
                let instead = replaces.as_ref().map_or_else(String::new, |known| format!(" in place of {known}"));
                format!(
                    "restoring {version}{instead} as {approval}: the group held exactly this content before; nothing is trained or copied"
                )
            }
            Self::Reinstating { version, approval } => {
                format!("{version} was marked superseded, but it has the content of the branch: it is {approval} now")
            }
            Self::PromotingWithdrawn { version, rejection } => {
                let how = withdrawn(*rejection);
                format!("{version}, the same artifact, {how} in {}: this command brings it back", version.version.group)
            }
            Self::DataBehind(behind) => behind.message(),
            Self::FirstRules { branch } => {
                format!("{branch} has no branchline.yaml yet: until it has one, the file of this commit counts")
            }
            Self::AlreadyCurrent { version } => {
                format!("nothing to do: {version} is current and has exactly this content")
            }
            Self::AwaitsApproval { version, .. } => format!("{version} awaits approval"),
            Self::SourceAwaitsApproval { version, stage } => {
                format!("{version} has this content, but awaits approval; stage {stage} takes it once it is approved")
            }
            Self::SourceTrainingOpen { training, stage } => {
                format!(
                    "training {training} of this content is still running; stage {stage} takes its version once it is approved"
                )
            }
            Self::NothingToPromoteYet { sources, .. } => {
                let names: Vec<String> = sources.iter().map(ToString::to_string).collect();
                format!("nothing to promote yet: {} holds no version at all", names.join(" and "))
            }
            Self::NoPromotableVersion(NoPromotableVersion { sources, excluded, training, nearest, .. }) => {
                no_promotable(sources, excluded, training.as_ref(), nearest)
            }
            Self::Frozen { group, freeze, stopped } => format!(
                "{group} is frozen since {}{}{}. {stopped}",
                time(freeze.since),
                by(freeze.by.actor.as_deref()),
                quoted(freeze.by.reason.as_deref())
            ),
            Self::FrozenButByHand { group, freeze } => format!(
                "{group} stays frozen (since {}{}{}): this manual command works all the same",
                time(freeze.since),
                by(freeze.by.actor.as_deref()),
                quoted(freeze.by.reason.as_deref())
            ),
            Self::LastRejected { version, rejection, .. } => {
                let how = withdrawn(*rejection);
                format!("{version} with this very content {how}: it does not come back automatically")
            }
            Self::NotRestorable { version } => format!(
                "{version} was registered outside Branchline and names no model in S3: Branchline cannot register it again"
            ),
            Self::ForeignGroup { group, owner, ours } => {
                format!("{group} belongs to {owner}, and this is {ours}: nothing is written to it")
            }
            Self::ReviewMoved(ReviewMoved { pull_request, reviewed, why, candidate, .. }) => {
                let instead = candidate.as_ref().map_or_else(String::new, |known| format!("; {known} has the content"));
                format!("pull request #{pull_request} showed {reviewed}, which cannot go forward: {why}{instead}")
            }
            Self::ReviewRequired { why, .. } => {
                format!("`require_review`: the rules promote only what an approved pull request showed: {why}")
            }
            Self::Unreviewed { version, why } => format!("unreviewed: no pull request showed {version}: {why}"),
            Self::NewerThanReview { newer, pull_request } => {
                format!(
                    "{newer} is newer and has the same content, but is not in the review of pull request #{pull_request}"
                )
            }
            Self::NotPermitted { actor, action, why } => format!("{actor} may not {action}: {why}"),
            Self::Overtaken => "somebody else changed the group after this run did: their change stands".to_owned(),
            Self::Superseded { commit, branch, head, .. } => match head {
                Some(head) => format!(
                    "superseded by {}: this is about commit {}, but {branch} has moved on; an old event never changes a group",
                    head.short(),
                    commit.short()
                ),
                None => format!("{branch} does not exist any more: nothing is done for its commit {}", commit.short()),
            },
            Self::RegisteredLate { group, head } => {
                let at = head.as_ref().map_or_else(|| "is gone".to_owned(), |head| format!("is at {}", head.short()));
                format!("the branch {at} by now: the result enters {group} pending and marked superseded")
            }
            Self::MissingData { missing } => {
                let parts: Vec<String> =
                    missing.iter().map(|m| format!("channel {}: {}: {}", m.channel, m.uri, m.why)).collect();
                format!("data missing: {}", parts.join("; "))
            }
            Self::DataRefused { refused } => {
                let parts: Vec<String> = refused.iter().map(|m| format!("channel {}: {}", m.channel, m.why)).collect();
                format!("data refused, so nobody can tell whether they changed: {}", parts.join("; "))
            }
            Self::DataNotHere { missing } => {
                let parts: Vec<String> = missing.iter().map(|m| format!("channel {}: {}", m.channel, m.why)).collect();
                format!("data not on this machine: {}", parts.join("; "))
            }
            Self::LeftOut { paths } => {
                let more = paths.len().saturating_sub(LEFT_OUT_SHOWN);
                let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                let shown: Vec<&str> = paths.iter().take(LEFT_OUT_SHOWN).map(String::as_str).collect();
                format!("not part of the training run: {}{more}", shown.join("; "))
            }
            Self::MissingPaths { commit, paths } => {
                let parts: Vec<String> = paths
                    .iter()
                    .map(|(path, note)| match note {
                        Some(MissingNote::Near(near)) => format!("`{path}` (did you mean `{near}`?)"),
                        Some(MissingNote::Uncommitted) => {
                            format!("`{path}` (it lies in the working tree, not committed)")
                        }
                        None => format!("`{path}`"),
                    })
                    .collect();
                format!("watched path missing at commit {}: {}", commit.short(), parts.join(", "))
            }
            Self::CommandFileUnusable { commit, file } => match file.problem {
                FileProblem::NotInCommit => {
                    format!("the command names `{}`, which is not in commit {}", file.path, commit.short())
                }
                FileProblem::NotWatched => {
                    format!(
                        "the command names `{}`, but `paths` does not cover it, so training would not find it",
                        file.path
                    )
                }
            },
            Self::NoSuchModel { model, commit } => {
                format!("the branchline.yaml of commit {} has no model `{model}`", commit.short())
            }
            Self::Unreadable { why } => why.clone(),
            Self::TrainingFailed { training, attempt, cause, message, .. } => {
                format!("training {training} (attempt {attempt}) failed, cause {}: {message}", cause.as_str())
            }
            Self::NotStarted { branch } => {
                format!("nothing was trained yet for the head of {branch}: reconcile starts no first attempt")
            }
            Self::MetricNotes { from, notes } => {
                let shown: Vec<String> =
                    notes.iter().take(5).map(|note| format!("`{}` is {}", note.name, note.value)).collect();
                let more = if notes.len() > shown.len() {
                    format!("; {} more", notes.len() - shown.len())
                } else {
                    String::new()
                };
                format!("{from} wrote more than numbers, which no gate uses: {}{more}", shown.join("; "))
            }
            Self::DataMoved { training } => {
                format!("the data changed while {training} ran: its version is not promotable by default")
            }
            Self::Approving { version, replaces } => match replaces {
                Some(old) => format!("{version} becomes current in place of {old}"),
                None => format!("{version} becomes current: the first of its group"),
            },
            Self::Rejecting { version, leaves, was_current } => {
                let mut text = format!("{version} is rejected and does not come back automatically");
                if *was_current {
                    match leaves {
                        Some(left) => text.push_str(&format!("; it was current, {left} is current again")),
                        None => text.push_str("; it was current, and nothing is current now"),
                    }
                }
                text
            }
            Self::Freezing { group } => {
                format!("{group} is frozen: nothing changes it automatically until it is unfrozen")
            }
            Self::Unfreezing { group, freeze } => format!(
                "{group} may change automatically again; it was frozen since {}{}{}",
                time(freeze.since),
                by(freeze.by.actor.as_deref()),
                quoted(freeze.by.reason.as_deref())
            ),
            Self::AlreadyFrozen { group, freeze } => format!(
                "nothing to do: {group} is frozen already, since {}{}{}",
                time(freeze.since),
                by(freeze.by.actor.as_deref()),
                quoted(freeze.by.reason.as_deref())
            ),
            Self::NotFrozen { group } => format!("nothing to do: {group} is not frozen"),
            Self::RollingBack { from, to } => {
                format!(
                    "rolling back from {from} to {to}: the one is withdrawn, the other registered again, the group frozen"
                )
            }
            Self::RolledBack { version, replaced } => format!(
                "{version} is current; {replaced} is marked as rolled back and does not come back automatically; the group is frozen"
            ),
            Self::NothingToRollBack { group } => {
                format!("{group} has nothing to go back to: no other version was ever current and still may be")
            }
            Self::RulesIgnored { branch, changes } => format!(
                "this commit changes rules, but those of {branch} count until it is merged there: {}",
                changes.join("; ")
            ),
            Self::Unchanged(Unchanged { base }) => format!(
                "unchanged by this merge: {base} already has this code, configuration and data; what follows is true of {base} itself"
            ),
            Self::LimitReached { limit, allowed, asked } => cloud::limit_message(limit, *allowed, *asked),
            Self::Predicted { base, trains } => {
                let what = if *trains { "merging will train" } else { "merging would do this" };
                format!("a prediction for the merge into {base}: {what}; nothing was written")
            }
            Self::AlreadySo { version, approval } => format!("nothing to do: {version} is {approval} already"),
            Self::OlderThanCurrent { version, current } => {
                format!("{version} is older than the current {current}: approving it would change nothing")
            }
            Self::NoSuchVersion { group, number, newest } => match newest {
                Some(newest) => format!("{group} has no {number}: its newest is {newest}"),
                None => format!("{group} has no {number}: it is empty"),
            },
            Self::NotApproved { version, approval } => {
                format!("{version} is {approval}: only an approved version is promoted")
            }
            Self::NotPromotable { version, why } => format!("{version} is not promotable: {why}"),
            Self::NoStage { branch, stages } => {
                format!("no stage has the branch {branch}: {}", stages.join(", "))
            }
            Self::BranchDeleted { branch } => format!("{branch} was deleted: nothing is trained or promoted for it"),
            Self::NotOurs { why } => why.clone(),
            Self::NoRules { branch, begins } => format!(
                "{branch} has no branchline.yaml yet, so no rules apply and nothing was done. Once it is merged there, {begins}"
            ),
            Self::Refused { why } => why.clone(),
            Self::MergeConflict { base, paths } => {
                format!("this cannot be merged into {base} as it is: {} conflict", paths.join(", "))
            }
            Self::Pruned { what } => what.clone(),
            Self::PortFailed { message, may_pass, .. } => {
                let again = if *may_pass { " (running it again may help)" } else { "" };
                format!("{message}{again}")
            }
            Self::TooBusy { what } => format!("gave up after several looks: {what} kept changing"),
            Self::DoesNotConverge { step } => {
                format!("`{step}` said done, but nothing changed: the loop was ended instead of repeating it")
            }
            Self::PlanBroken { what } => format!("the plan broke its own rule and was not applied: {what}"),
            Self::TooManyAttempts(TooManyAttempts { model, begun }) => format!(
                "this run began {begun} training runs of {model}, and none of them counts: it begins no further one (max_attempts)"
            ),
            Self::Cancelled { stopped, left } => {
                let names = |list: &[crate::model::name::TrainingName]| {
                    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                };
                match (stopped.is_empty(), left.is_empty()) {
                    (true, true) => "stopped by a signal before anything was left open".to_owned(),
                    (false, true) => format!("stopped by a signal; ended with it: {}", names(stopped)),
                    (true, false) => format!("stopped by a signal; still running: {}", names(left)),
                    (false, false) => {
                        format!("stopped by a signal; ended: {}; still running: {}", names(stopped), names(left))
                    }
                }
            }
            Self::Left { training } => format!("training {training} continues after this command exits"),
            Self::UnknownTree { why } => format!("this version is not promotable: {why}"),
            Self::HeldAlready(HeldAlready { version, approval, other_metrics }) => {
                let metrics = if *other_metrics { "; it keeps the metrics that it was registered with" } else { "" };
                let commit = version.commit.short();
                format!("nothing to do: {version} is this very artifact for commit {commit} ({approval}){metrics}")
            }
            Self::PromotedGroup(PromotedGroup { group, .. }) => {
                format!("{group} is fed by promotion only: an externally trained model enters a training stage first")
            }
            Self::Importing(Importing { version, group, approval, overtaken }) => {
                let mark = if *overtaken { ", superseded: the group stands for a version of its own" } else { "" };
                format!("{version} is imported into {group} as {approval}{mark}")
            }
            Self::ImportedAlready { version, here } => format!("nothing to do: {version} was imported as {here}"),
            Self::MissingImage(image) => image.message(),
            Self::InstanceNotAllowed(instance) => instance.message(),
            Self::TagsRequired(tags) => tags.message(),
            Self::VpcRequired(protection) => protection.message("require_vpc", "a private network"),
            Self::KmsRequired(protection) => protection.message("require_kms", "keys of your own"),
            Self::TrainingDetails(details) => details.message(),
            Self::ForeignSource { group, owner, ours } => {
                format!("{group} belongs to {owner}, and this is {ours}: nothing is imported from it")
            }
        }
    }
}

/// Writes a duration in seconds the way people say it.
pub fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let minutes = (seconds / 60.0).round();
    if minutes < 60.0 {
        return format!("{minutes} min");
    }
    format!("{:.0} h {:02.0} min", (minutes / 60.0).floor(), minutes % 60.0)
}

/// Writes a point in time the way people read it: UTC, to the minute.
pub fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// How a version was withdrawn from its group, as a clause.
fn withdrawn(rejection: Option<Rejection>) -> &'static str {
    match rejection {
        Some(Rejection::RolledBack) => "was rolled back",
        Some(Rejection::Person | Rejection::Duplicate) | None => "was rejected",
    }
}

fn by(actor: Option<&str>) -> String {
    actor.map_or_else(String::new, |actor| format!(" by {actor}"))
}

fn quoted(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(": \"{reason}\""))
}

fn bounds(results: &[GateResult]) -> String {
    results.iter().map(GateResult::sentence).collect::<Vec<_>>().join("; ")
}

fn no_promotable(
    sources: &[crate::model::name::GroupName],
    excluded: &[crate::plan::reason::Excluded],
    training: Option<&SourceTraining>,
    nearest: &[Nearest],
) -> String {
    let names: Vec<String> = sources.iter().map(ToString::to_string).collect();
    let mut text = format!("no version in {} matches this commit's content", names.join(" or "));
    if !excluded.is_empty() {
        let list: Vec<String> = excluded.iter().map(|e| format!("{} {}", e.version, e.why)).collect();
        text.push_str(&format!(": {}", list.join("; ")));
    }
    if let Some(training) = training {
        text.push_str(&format!(". Its training {} {}", training.training, training.end));
    }
    if let Some(near) = nearest.first() {
        text.push_str(&format!(". Nearest: {} ({})", near.semver, near.version));
        if near.in_place {
            text.push_str(", which is in place already");
        }
        if let Some(gone) = &near.withdrawn {
            text.push_str(&format!(
                ", which {} in {} as {}",
                withdrawn(gone.rejection),
                gone.version.group,
                gone.version.number
            ));
        }
        match &near.paths {
            Some(paths) if !paths.is_empty() => {
                let shown: Vec<String> = paths
                    .iter()
                    .take(5)
                    .map(|p| match &p.changed_by {
                        Some(commit) => format!("{} ({commit})", p.path),
                        None => p.path.clone(),
                    })
                    .collect();
                let more = if paths.len() > 5 { format!(" and {} more", paths.len() - 5) } else { String::new() };
                text.push_str(&format!(", which differs in {}{more}", shown.join(", ")));
            }
            Some(_) => {}
            None => text.push_str(", which differs in paths that Git cannot tell here"),
        }
        if !near.settings.is_empty() {
            text.push_str(&format!(", settings: {}", near.settings.join(", ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(0.25), "250 ms");
        assert_eq!(seconds(6.31), "6.3 s");
        assert_eq!(seconds(6600.0), "1 h 50 min");
        assert_eq!(seconds(125.0), "2 min");
    }
}
