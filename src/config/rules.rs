//! Rules: every key outside the models, with its default.

use crate::config::cloud;
use crate::config::duration;
use crate::config::lookup::Places;
use crate::config::problem::quoted;
use crate::config::raw::RawChecks;
use crate::config::raw::RawFile;
use crate::config::raw::RawKeep;
use crate::config::raw::RawKeepPer;
use crate::config::raw::RawOnCancel;
use crate::config::raw::RawPermissions;
use crate::config::raw::RawReport;
use crate::config::raw::RawRole;
use crate::config::raw::RawTopology;
use crate::config::resolve::Inquiry;
use crate::config::resolved::Action;
use crate::config::resolved::BackendKind;
use crate::config::resolved::Checks;
use crate::config::resolved::Config;
use crate::config::resolved::Keep;
use crate::config::resolved::KeepPer;
use crate::config::resolved::Limits;
use crate::config::resolved::Model;
use crate::config::resolved::OnCancel;
use crate::config::resolved::ReportAs;
use crate::config::resolved::Role;
use crate::config::resolved::Topology;
use crate::config::resolved::Wait;
use crate::config::route::Route;
use crate::config::shape::name;
use crate::config::stages;
use crate::config::stages::Names;
use crate::config::stages::Stages;
use crate::model::cloud::CloudLimits;
use crate::model::contract;
use crate::model::git::BranchName;
use crate::model::name::ModelName;
use crate::model::name::ProjectName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::stage::Stage;
use std::collections::BTreeMap;

/// The version of the format that this build reads.
const FORMAT: i64 = 1;
/// How many models a run works on at the same time where the file does not say.
const DEFAULT_PARALLEL: u32 = 4;

/// The rules of one file.
#[derive(Debug)]
pub(in crate::config) struct Rules {
    pub(in crate::config) project: ProjectName,
    topology: Topology,
    pub(in crate::config) stages: Vec<Stage>,
    literal_branches: BTreeMap<BranchName, StageName>,
    pub(in crate::config) names: Names,
    pub(in crate::config) places: cloud::place::Places,
    cloud_limits: CloudLimits,
    pass_env: Vec<String>,
    wait: Option<Wait>,
    parallel: usize,
    pub(in crate::config) limits: Limits,
    keep: BTreeMap<TargetName, Keep>,
    require_review: bool,
    permissions: BTreeMap<Action, Role>,
    approvers: Vec<String>,
    not_author: bool,
    report: ReportAs,
    checks: Checks,
    data_roots: Vec<String>,
    on_cancel: OnCancel,
    state_outlives_job: bool,
}

impl Rules {
    /// Completes the rules with the models.
    pub(in crate::config) fn with(&self, models: BTreeMap<ModelName, Model>, places: Places) -> Config {
        Config {
            project: self.project.clone(),
            topology: self.topology,
            stages: self.stages.clone(),
            models,
            backend: self.places.backend,
            cloud: self.places.cloud.clone(),
            accounts: self.places.accounts.clone(),
            cloud_limits: self.cloud_limits.clone(),
            pass_env: self.pass_env.clone(),
            wait: self.wait,
            parallel: self.parallel,
            limits: self.limits,
            keep: self.keep.clone(),
            require_review: self.require_review,
            permissions: self.permissions.clone(),
            approvers: self.approvers.clone(),
            not_author: self.not_author,
            report: self.report,
            checks: self.checks,
            data_roots: self.data_roots.clone(),
            on_cancel: self.on_cancel,
            state_outlives_job: self.state_outlives_job,
            literal_branches: self.literal_branches.clone(),
            places,
        }
    }
}

/// Resolves the rules. What could not be read has been said, and stands at its default.
pub(in crate::config) fn resolve(inquiry: &mut Inquiry<'_>, raw: &RawFile) -> Rules {
    if let Some(version) = raw.version.filter(|version| *version != FORMAT) {
        inquiry.say(
            &Route::of(&["version"]),
            format!("version {version} of the format is not known: this build reads version {FORMAT}"),
            if version > FORMAT { "update branchline" } else { "write `version: 1`" },
        );
    }
    let project = raw
        .project
        .as_deref()
        .and_then(|text| inquiry.name(&Route::of(&["project"]), "project", text, ProjectName::parse));
    let topology = match raw.topology {
        Some(RawTopology::Advanced) => Topology::Advanced,
        Some(RawTopology::None) => Topology::None,
        Some(RawTopology::Baseline) | None => Topology::Baseline,
    };
    let Stages { list: stages, literal_branches, names } = stages::resolve(inquiry, raw, topology);
    let cloud_limits = cloud::limits::resolve(inquiry, raw.limits.as_ref());
    let backend = cloud::place::resolve(inquiry, raw, &names);
    let limits = raw.limits.as_ref();
    let limits = Limits {
        max_trainings_per_event: limits.and_then(|limits| limits.max_trainings_per_event),
        max_runtime: limits.and_then(|limits| limits.max_runtime.as_deref()).and_then(|text| {
            let route = Route::of(&["limits", "max_runtime"]);
            let limit = inquiry.duration(&route, text)?;
            if limit.is_zero() {
                inquiry.say(
                    &route,
                    "no training could ever run: `limits.max_runtime` is 0",
                    "write a time such as `4h`",
                );
            }
            Some(limit)
        }),
    };
    Rules {
        // Never seen: without a sound project there is a problem, and with a problem no configuration.
        project: project.unwrap_or_else(|| ProjectName::parse("unknown").expect("a legal name")),
        topology,
        keep: keep(inquiry, raw, &names.targets),
        stages,
        names,
        literal_branches,
        wait: raw.wait.as_deref().and_then(|text| wait(inquiry, text)),
        parallel: usize::try_from(raw.parallel.unwrap_or(DEFAULT_PARALLEL)).unwrap_or(1),
        limits,
        require_review: raw.require_review.unwrap_or(false),
        permissions: permissions(raw.permissions.as_ref()),
        pass_env: pass_env(inquiry, raw),
        approvers: approvers(inquiry, raw),
        not_author: raw.not_author.unwrap_or(false),
        report: match raw.report {
            Some(RawReport::Statuses) => ReportAs::Statuses,
            Some(RawReport::Both) => ReportAs::Both,
            Some(RawReport::None) => ReportAs::None,
            Some(RawReport::Checks) | None => ReportAs::Checks,
        },
        checks: match raw.checks {
            Some(RawChecks::PerModel) => Checks::PerModel,
            Some(RawChecks::One) | None => Checks::One,
        },
        data_roots: data_roots(inquiry, raw.data_roots.as_deref().unwrap_or_default()),
        on_cancel: match raw.on_cancel {
            Some(RawOnCancel::Leave) => OnCancel::Leave,
            Some(RawOnCancel::Stop) => OnCancel::Stop,
            // Here a training would run without anybody who pays attention; there, a later run finishes it.
            None => match backend.backend.trainer {
                BackendKind::Local => OnCancel::Stop,
                BackendKind::Cloud => OnCancel::Leave,
            },
        },
        state_outlives_job: raw.state.as_ref().and_then(|state| state.outlives_job).unwrap_or(false),
        cloud_limits,
        places: backend,
    }
}

/// Takes the folders that data may lie in. A root that says nothing of where data lie is a problem.
fn data_roots(inquiry: &mut Inquiry<'_>, raw: &[String]) -> Vec<String> {
    for (index, root) in raw.iter().enumerate() {
        let parts: Vec<&str> = root.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let is_system = parts.first().is_some_and(|first| ["proc", "sys", "dev"].contains(first));
        if !root.starts_with('/') || parts.is_empty() || parts.contains(&"..") || is_system {
            inquiry.say(
                &Route::of(&["data_roots"]).item(index),
                format!("{} is not a folder that holds data", quoted(root)),
                "write an absolute path without `..`, as in `/mnt/datasets`; not `/`, `/proc`, `/sys` or `/dev`",
            );
        }
    }
    raw.to_vec()
}

fn wait(inquiry: &mut Inquiry<'_>, text: &str) -> Option<Wait> {
    if text == "done" { Some(Wait::Done) } else { inquiry.duration(&Route::of(&["wait"]), text).map(Wait::Leave) }
}

fn permissions(raw: Option<&RawPermissions>) -> BTreeMap<Action, Role> {
    let written = |action: Action| {
        raw.and_then(|raw| match action {
            Action::Train => raw.train,
            Action::Promote => raw.promote,
            Action::Approve => raw.approve,
            Action::Reject => raw.reject,
            Action::Rollback => raw.rollback,
            Action::Freeze => raw.freeze,
            Action::Unfreeze => raw.unfreeze,
            Action::Repin => raw.repin,
            Action::Reconcile => raw.reconcile,
            Action::Prune => raw.prune,
        })
    };
    let role = |raw: RawRole| match raw {
        RawRole::Read => Role::Read,
        RawRole::Triage => Role::Triage,
        RawRole::Write => Role::Write,
        RawRole::Maintain => Role::Maintain,
        RawRole::Admin => Role::Admin,
    };
    Action::ALL.into_iter().map(|action| (action, written(action).map_or(action.default_role(), role))).collect()
}

fn pass_env(inquiry: &mut Inquiry<'_>, raw: &RawFile) -> Vec<String> {
    let at = Route::of(&["pass_env"]);
    let mut names: Vec<String> = Vec::new();
    for (index, text) in raw.pass_env.iter().flatten().enumerate() {
        let item = at.item(index);
        if !contract::is_variable(text) {
            inquiry.say(
                &item,
                format!("{} cannot be the name of an environment variable", quoted(text)),
                "a name has letters, digits and `_`, and does not begin with a digit",
            );
        } else if contract::owner(text).is_some() {
            inquiry.say(
                &item,
                format!("{} is set for every training run and cannot be passed", quoted(text)),
                "take it out of the list",
            );
        } else if contract::may_hold_a_secret(text) {
            inquiry.say(
                &item,
                format!(
                    "{} may hold a secret, or belongs to CI or a cloud account: no training command gets it",
                    quoted(text)
                ),
                "let the training command read the secret from a file or a service that its own machine may use",
            );
        } else if names.contains(text) {
            inquiry.say(&item, format!("{} is written twice", quoted(text)), "keep one of the two");
        } else {
            names.push(text.clone());
        }
    }
    names
}

fn approvers(inquiry: &mut Inquiry<'_>, raw: &RawFile) -> Vec<String> {
    let at = Route::of(&["approvers"]);
    let mut logins: Vec<String> = Vec::new();
    for (index, text) in raw.approvers.iter().flatten().enumerate() {
        let login = text.strip_prefix('@').unwrap_or(text);
        let item = at.item(index);
        // GitHub's logins, those of enterprises (`_`) and of apps (`[bot]`) included.
        let legal = !login.is_empty()
            && login.len() <= 100
            && login.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '[' | ']'));
        if !legal {
            inquiry.say(
                &item,
                format!("{} is not a login", quoted(text)),
                "name single people by their login, as in `[alice, bob]`; for a team use `permissions`",
            );
        } else if logins.iter().any(|known| known.eq_ignore_ascii_case(login)) {
            inquiry.say(&item, format!("{} is written twice", quoted(text)), "keep one of the two");
        } else {
            logins.push(login.to_owned());
        }
    }
    if raw.approvers.as_ref().is_some_and(Vec::is_empty) && !inquiry.is_damaged(&at) {
        inquiry.say(
            &at,
            "`approvers` names nobody, so nothing could ever be approved",
            "name somebody, or take the line away",
        );
    }
    logins
}

fn keep(inquiry: &mut Inquiry<'_>, raw: &RawFile, targets: &[String]) -> BTreeMap<TargetName, Keep> {
    let at = Route::of(&["keep"]);
    let mut kept = BTreeMap::new();
    for (text, raw) in raw.keep.iter().flatten() {
        let below = at.key(text);
        if inquiry.is_damaged(&below) {
            continue;
        }
        if !targets.contains(text) {
            inquiry.say_of_key(
                &below,
                format!("there is no target {}", quoted(text)),
                stages::meant(text, "targets", targets),
            );
            continue;
        }
        let keep = match raw {
            RawKeep::Text(words) => keep_in_words(inquiry, &below, words),
            RawKeep::Parts(parts) => {
                let young = parts.young.as_deref().and_then(|text| inquiry.duration(&below.key("for"), text));
                if parts.last.is_none() && parts.young.is_none() && !inquiry.is_damaged(&below) {
                    inquiry.say_missing(
                        &below,
                        "last",
                        format!("this keeps nothing of {}", quoted(text)),
                        "say `last`, `for` or both, as in `{ last: 3, for: 30d }`",
                    );
                }
                let per = match parts.per {
                    Some(RawKeepPer::Group) => KeepPer::Group,
                    Some(RawKeepPer::Branch) | None => KeepPer::Branch,
                };
                Some(Keep { last: parts.last, per, young })
            }
        };
        if let (Ok(target), Some(keep)) = (TargetName::parse(text), keep) {
            kept.insert(target, keep);
        }
    }
    kept
}

/// Reads `3 per branch, 30d`: a count, a length of time, or both.
fn keep_in_words(inquiry: &mut Inquiry<'_>, route: &Route, words: &str) -> Option<Keep> {
    let mut keep = Keep { last: None, per: KeepPer::Branch, young: None };
    for part in words.split(',').map(str::trim) {
        let (count, per) = match part.split_once(" per ") {
            Some((count, per)) => (count.trim(), Some(per.trim())),
            None => (part, None),
        };
        let counted = count.parse::<u32>().ok().filter(|count| (1..=1_000_000).contains(count));
        let legal = match (counted, per) {
            (Some(count), None | Some("branch")) if keep.last.is_none() => {
                keep.last = Some(count);
                true
            }
            (Some(count), Some("group")) if keep.last.is_none() => {
                keep.last = Some(count);
                keep.per = KeepPer::Group;
                true
            }
            (None, None) if keep.young.is_none() => {
                keep.young = duration::parse(part).ok();
                keep.young.is_some()
            }
            _ => false,
        };
        if !legal {
            inquiry.say(
                route,
                format!("{} does not say what to keep: {}", name(route), quoted(words)),
                "write `3 per branch, 30d`: the newest 3 of each branch, and all that is younger than 30 days",
            );
            return None;
        }
    }
    Some(keep)
}
