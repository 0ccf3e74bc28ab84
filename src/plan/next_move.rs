//! The next move of every [`Reason`]: as a command that can be pasted, if possible.

use crate::facts::commit::MissingNote;
use crate::model::approval::Approval;
use crate::model::command::FileProblem;
use crate::model::git::BranchName;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::training::Cause;
use crate::model::version::Rejection;
use crate::model::version::VersionRef;
use crate::plan::evidence::PromotedGroup;
use crate::plan::evidence::SourceTraining;
use crate::plan::evidence::SourceTrainingEnd;
use crate::plan::evidence::TooManyAttempts;
use crate::plan::reason::NoPromotableVersion;
use crate::plan::reason::Reason;
use crate::plan::reason::ReviewMoved;

/// A next move as it is made on GitHub: *Run workflow*, with these inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatch {
    /// The action: `approve`.
    pub action: &'static str,
    /// The branch to choose, where it matters.
    pub branch: Option<BranchName>,
    /// What to fill in besides: name and value.
    pub inputs: Vec<(&'static str, String)>,
}

impl Dispatch {
    /// The approval of a version.
    pub fn approve(version: &VersionRef) -> Self {
        Self::of_version("approve", version)
    }

    fn of_version(action: &'static str, version: &VersionRef) -> Self {
        let number = version.number.0.to_string();
        Self { action, branch: None, inputs: vec![("group", version.group.to_string()), ("version", number)] }
    }

    fn of_group(action: &'static str, group: &GroupName) -> Self {
        Self { action, branch: None, inputs: vec![("group", group.to_string())] }
    }

    fn on(action: &'static str, branch: &BranchName) -> Self {
        Self { action, branch: Some(branch.clone()), inputs: Vec::new() }
    }
}

impl Reason {
    /// Returns the next move as a workflow that a person starts, where there is one action for it.
    pub fn dispatch(&self) -> Option<Dispatch> {
        match self {
            Self::AwaitsApproval { version, .. } | Self::SourceAwaitsApproval { version, .. } => {
                Some(Dispatch::approve(&version.version))
            }
            Self::NotApproved { version, approval: Approval::PendingManualApproval } => {
                Some(Dispatch::approve(&version.version))
            }
            Self::OlderThanCurrent { version, .. } => Some(Dispatch::of_version("rollback", &version.version)),
            Self::Frozen { group, .. } => Some(Dispatch::of_group("unfreeze", group)),
            Self::RolledBack { version, .. } => Some(Dispatch::of_group("unfreeze", &version.version.group)),
            Self::NotStarted { branch } => Some(Dispatch::on("run", branch)),
            Self::DataBehind(behind) => Some(Dispatch::on("run", &behind.branch)),
            Self::NothingToPromoteYet { branch: Some(branch), .. } => Some(Dispatch::on("run", branch)),
            _ => None,
        }
    }

    /// Returns the next move, where there is one: as a command that can be pasted, if possible.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Adopted { .. } | Self::AlreadyRegistered { .. } => None,
            Self::AwaitsApproval { version, target, model } => Some(format!(
                "branchline approve --model {model} --group {target} --version {}",
                version.version.number.0
            )),
            Self::SourceAwaitsApproval { version, .. } => Some(format!(
                "branchline approve --group {} --version {}",
                version.version.group, version.version.number.0
            )),
            Self::NothingToPromoteYet { branch, .. } => {
                branch.as_ref().map(|branch| format!("push to {branch} first: it trains there"))
            }
            Self::NoPromotableVersion(NoPromotableVersion {
                branch,
                source_branch,
                nearest,
                excluded,
                model,
                target,
                source_target,
                training,
                ..
            }) => {
                let waiting = excluded.iter().find(|e| e.why.contains("PendingManualApproval"));
                if let Some(waiting) = waiting {
                    return Some(format!(
                        "branchline approve --group {} --version {}",
                        waiting.version.version.group, waiting.version.version.number.0
                    ));
                }
                let refused = |start: &str| excluded.iter().find(|e| e.why.starts_with(start)).map(|e| &e.version.version);
                if let Some(version) = refused("is not promotable") {
                    return Some(format!(
                        "to promote it all the same: branchline promote --model {model} --from {source_target} --to {target} --version {} --reason \"...\"",
                        version.number.0
                    ));
                }
                if let Some(version) = refused("is Rejected") {
                    return Some(format!(
                        "commit something better; or, to take the rejection back: branchline approve --group {} --version {}",
                        version.group, version.number.0
                    ));
                }
                let road = road_to_a_version(branch, source_branch.as_ref(), training.as_ref(), model);
                Some(match nearest.iter().find(|near| near.may_go_forward()) {
                    Some(near) => format!(
                        "{road}; or ship {} as it is: branchline promote --model {model} --from {source_target} --to {target} --version {} --reason \"...\"",
                        near.semver, near.version.number.0
                    ),
                    None => road,
                })
            }
            Self::GateFailed { .. } => Some("improve the model, or change the gate on the default branch".to_owned()),
            Self::UnknownTree { .. } => {
                Some("commit what it was trained from, and name it: branchline register ... --commit SHA".to_owned())
            }
            Self::PromotedGroup(PromotedGroup { target, instead, model, .. }) => instead.as_ref().map(|instead| {
                format!("register with --group {instead}, then: branchline promote --model {model} --from {instead} --to {target}")
            }),
            Self::ForeignSource { .. } => {
                Some("if that is meant, say so: --foreign --reason \"...\"".to_owned())
            }
            Self::Frozen { group, .. } => {
                Some(format!("to lift it: branchline unfreeze --group {group} --reason \"...\", then run this again"))
            }
            Self::LastRejected { version, rejection: Some(Rejection::RolledBack), .. } => Some(format!(
                "commit a fix; who rolled it back, and why: branchline history {} --changes",
                version.version.group
            )),
            Self::LastRejected { version, .. } => Some(format!(
                "a person can bring it back: branchline approve --group {} --version {}",
                version.version.group, version.version.number.0
            )),
            Self::NotRestorable { version } => Some(format!(
                "name a version that Branchline registered: branchline rollback --group {} --to NUMBER --reason \"...\"",
                version.version.group
            )),
            Self::ForeignGroup { .. } => {
                Some("choose another `project:` or give the group its own name under `group_names:`".to_owned())
            }
            Self::ReviewMoved(ReviewMoved { reviewed, candidate, model, .. }) => Some(match candidate {
                Some(candidate) => format!(
                    "look at {candidate} and promote it manually: branchline promote --model {model} --from {} --to TARGET --version {} --reason \"...\"",
                    candidate.version.group, candidate.version.number.0
                ),
                None => format!("see what became of it: branchline show {} {}", reviewed.group, reviewed.number),
            }),
            Self::ReviewRequired { model, .. } => Some(format!(
                "merge through a pull request that names the version, or promote manually: branchline promote --model {model} --from GROUP --to TARGET --reason \"...\""
            )),
            Self::NewerThanReview { .. } => {
                Some("to take it: run the workflow manually with the action `repin` before merging".to_owned())
            }
            Self::NotPermitted { .. } => {
                Some("ask somebody who may, or change `permissions:` on the default branch".to_owned())
            }
            Self::Superseded { rollback, .. } => rollback
                .as_ref()
                .map(|group| format!("to go back: branchline rollback --group {group} --reason \"...\"")),
            Self::MissingData { .. } => {
                Some("put the data where the settings say, or correct `data:` in branchline.yaml".to_owned())
            }
            Self::DataRefused { .. } => Some(
                "name data in the repository, or allow their folder: `data_roots: [/mnt/datasets]` on the default branch"
                    .to_owned(),
            ),
            Self::DataNotHere { .. } => {
                Some("bring the data to this machine (`git lfs pull`, `dvc pull`, `git annex get`), then run again".to_owned())
            }
            Self::LeftOut { .. } => {
                Some("commit the files themselves, or take what the model needs from `data:`".to_owned())
            }
            Self::MissingImage(_) => {
                Some("push the image, or correct `image:` in branchline.yaml; branchline doctor looks at it".to_owned())
            }
            Self::InstanceNotAllowed(_) => Some(
                "choose another `instance.type`, or allow this one under `limits.instance_types` on the default branch"
                    .to_owned(),
            ),
            Self::TagsRequired(tags) => Some(tags.hint()),
            Self::VpcRequired(_) => {
                Some("add it to the model: `train: { vpc: { subnets: [...], security_groups: [...] } }`".to_owned())
            }
            Self::KmsRequired(protection) => {
                Some(format!("name a key at {}, as in `alias/models`", protection.keys.join(" and at ")))
            }
            Self::MissingPaths { paths, .. } => Some(missing_paths(paths)),
            Self::CommandFileUnusable { file, .. } => Some(match file.problem {
                FileProblem::NotInCommit => "commit the file, or correct `command:` in branchline.yaml".to_owned(),
                FileProblem::NotWatched => format!("add `{}` to the `paths:` of the model in branchline.yaml", file.path),
            }),
            Self::NoSuchModel { .. } => Some("add the model to branchline.yaml on that branch".to_owned()),
            Self::TrainingFailed { cause: Cause::DiskFull, exhausted: false, .. } => {
                Some("free space on the disk, then run the same again: it begins the next attempt".to_owned())
            }
            Self::TrainingFailed { cause: Cause::DiskFull, exhausted: true, model, .. } => Some(format!(
                "its attempts are used up; free space on the disk, then: branchline train --model {model} --again --reason \"...\""
            )),
            Self::TrainingFailed { cause: Cause::StoppedElsewhere, model, exhausted: false, .. } => Some(format!(
                "somebody stopped it by other means than ours, so it is not repeated automatically; to train it after all: branchline train --model {model} --again --reason \"...\""
            )),
            Self::TrainingFailed { cause: Cause::TimeLimit, .. } => {
                Some("give it longer with `max_runtime` in branchline.yaml, or make it faster".to_owned())
            }
            Self::TrainingFailed { cause, exhausted: true, model, .. } if cause.is_transient() => Some(format!(
                "its attempts are used up; when that has passed: branchline train --model {model} --again --reason \"...\""
            )),
            Self::TrainingFailed { exhausted, model, .. } => Some(if *exhausted {
                "the attempts are used up: change the code, the settings or the data".to_owned()
            } else {
                format!(
                    "re-running this commit gives the same result. After a change outside Git: branchline train --model {model} --again --reason \"...\""
                )
            }),
            Self::OlderThanCurrent { version, .. } => Some(format!(
                "to go back to it: branchline rollback --group {} --to {} --reason \"...\"",
                version.version.group, version.version.number.0
            )),
            Self::NoSuchVersion { group, .. } => Some(format!("branchline show {group}")),
            Self::NotApproved { version, approval } => (*approval == Approval::PendingManualApproval).then(|| {
                format!("branchline approve --group {} --version {}", version.version.group, version.version.number.0)
            }),
            Self::PortFailed { hint, .. } => hint.clone(),
            Self::TooBusy { .. } => Some("run it again when the other run has ended".to_owned()),
            Self::DoesNotConverge { .. } | Self::PlanBroken { .. } => {
                Some("this is a fault of Branchline: please report it with the output of `--format json`".to_owned())
            }
            Self::Cancelled { stopped, left } => Some(
                match (stopped.is_empty(), left.is_empty()) {
                    (true, true) => "run the same again",
                    (false, true) => "run the same again: a stopped training run is not resumed, the next attempt begins anew",
                    (true, false) => "run the same again: it finds what is still running and finishes it",
                    (false, false) => {
                        "run the same again: it finishes what is still running, and begins anew what was stopped"
                    }
                }
                .to_owned(),
            ),
            Self::TooManyAttempts(TooManyAttempts { model, .. }) => Some(format!(
                "find out why the records of its training runs vanish, then: branchline train --model {model} --again --reason \"...\""
            )),
            Self::TrainingOpen { .. } | Self::SourceTrainingOpen { .. } | Self::Left { .. } => {
                Some("a later run of the same event, or `branchline reconcile`, finishes it".to_owned())
            }
            Self::DataBehind(behind) => {
                Some(format!("to train: branchline run --branch {} --model {}", behind.branch, behind.model))
            }
            Self::PromotingWithdrawn { version, .. } => {
                Some(format!("who withdrew it, and why: branchline history {} --changes", version.version.group))
            }
            Self::FirstRules { branch } => Some(format!("merge branchline.yaml into {branch}")),
            Self::NotStarted { branch } => Some(format!("branchline run --branch {branch}")),
            Self::TrainingNeeded { .. }
            | Self::TrainingRetried { .. }
            | Self::TrainingAdopted { .. }
            | Self::TrainingLeft { .. }
            | Self::TrainingStopped { .. }
            | Self::GatesPassed { .. }
            | Self::NoGates
            | Self::Registering { .. }
            | Self::HeldAlready(_)
            | Self::Importing(_)
            | Self::TrainingDetails(_)
            | Self::ImportedAlready { .. }
            | Self::Promoting { .. }
            | Self::Restoring { .. }
            | Self::Reinstating { .. }
            | Self::AlreadyCurrent { .. }
            | Self::Unreviewed { .. }
            | Self::Overtaken
            | Self::FrozenButByHand { .. }
            | Self::RegisteredLate { .. }
            | Self::Unreadable { .. }
            | Self::MetricNotes { .. }
            | Self::DataMoved { .. }
            | Self::Approving { .. }
            | Self::Rejecting { .. }
            | Self::AlreadySo { .. }
            | Self::NotPromotable { .. }
            | Self::BranchDeleted { .. }
            | Self::NotOurs { .. }
            | Self::Refused { .. }
            | Self::Freezing { .. }
            | Self::Unfreezing { .. }
            | Self::AlreadyFrozen { .. }
            | Self::NotFrozen { .. }
            | Self::RollingBack { .. }
            | Self::Predicted { .. }
            | Self::RulesIgnored { .. }
            | Self::Unchanged(_)
            | Self::NoRules { .. }
            | Self::Pruned { .. } => None,
            Self::RolledBack { version, .. } => Some(format!(
                "when the cause is fixed: branchline unfreeze --group {} --reason \"...\"",
                version.version.group
            )),
            Self::NothingToRollBack { group } => Some(format!("branchline show {group}")),
            Self::MergeConflict { base, .. } => Some(format!("merge {base} into the branch and push again")),
            Self::LimitReached { limit, .. } if limit == "limits.max_instances" => {
                Some(format!("ask for fewer machines with `instance.count`, or raise {limit} on the default branch"))
            }
            Self::LimitReached { limit, .. } if limit == "limits.max_hours" => Some(format!(
                "shorten `max_runtime`, ask for fewer machines, narrow the run with --model, or raise {limit} on the \
                 default branch"
            )),
            Self::LimitReached { limit, .. } => {
                Some(format!("narrow the run with --model, or raise {limit} on the default branch"))
            }
            Self::NoStage { branch, .. } => {
                Some(format!("add a pattern for {branch} under `stages:`, or rename the branch"))
            }
        }
    }
}

/// How the content that a promoting branch asks for becomes a version. Where it was trained, merging it trains nothing.
fn road_to_a_version(
    branch: &BranchName,
    source_branch: Option<&BranchName>,
    training: Option<&SourceTraining>,
    model: &ModelName,
) -> String {
    let there = source_branch.map_or_else(|| "where it is trained".to_owned(), |source| format!("on {source}"));
    match (training.map(|training| &training.end), source_branch) {
        (Some(SourceTrainingEnd::MissedGate(_)), _) => {
            format!("improve the model {there}, or change the gate on the default branch")
        }
        (Some(SourceTrainingEnd::Failed { .. }), _) => format!(
            "correct it {there}; where the cause lay outside of Git, there: branchline train --model {model} --again --reason \"...\""
        ),
        (
            Some(SourceTrainingEnd::NotRegistered | SourceTrainingEnd::Stopped | SourceTrainingEnd::NeverBegun),
            Some(source),
        ) => format!("let {source} finish it: branchline run --branch {source} --model {model}"),
        (_, Some(source)) => format!("merge {branch} into {source}: it trains there"),
        (_, None) => "push this code to a training branch first".to_owned(),
    }
}

/// What lies in the working tree needs to be added; what does not may be spelled wrong.
fn missing_paths(paths: &[(String, Option<MissingNote>)]) -> String {
    match paths {
        [(path, Some(MissingNote::Uncommitted))] => format!("git add `{path}`, and commit it"),
        several if several.iter().all(|(_, note)| *note == Some(MissingNote::Uncommitted)) => {
            "git add these paths, and commit them".to_owned()
        }
        _ => "commit the file, or correct `paths:` in branchline.yaml".to_owned(),
    }
}
