//! What a person does manually: promote, approve, reject, roll back, freeze, unfreeze; from the command line or by
//! dispatch. The same loop as for events, with another aim.
//!
//! Which version is meant is settled here, before the loop begins: "whatever waits" must not mean another version
//! in the second turn.

use crate::cli::args::ApprovalArgs;
use crate::cli::args::ByHandArgs;
use crate::cli::args::FreezeArgs;
use crate::cli::args::OutcomeFormat;
use crate::cli::block_on;
use crate::cli::caller::Caller;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::compose::names_rules;
use crate::cli::failure;
use crate::cli::failure::Failure;
use crate::cli::host::About;
use crate::cli::host::Judged;
use crate::cli::read;
use crate::cli::run;
use crate::cli::signals::Signals;
use crate::cli::state_directory;
use crate::event::Command;
use crate::event::GroupChoice;
use crate::facts::GroupFacts;
use crate::facts::group::GroupLook;
use crate::model::history::Attribution;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::TargetName;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::outcome::Outcome;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::goal::Task;
use crate::plan::permission::Request;
use crate::plan::reason::BeforeVerdict;
use crate::plan::rollback;
use crate::plan::route::model_rules;
use std::path::Path;

/// A command, resolved: what should become true of which model, in words too.
pub struct Resolved {
    model: ModelName,
    aim: Aim,
    text: String,
    event: &'static str,
}

impl Resolved {
    /// Makes the task for the loop.
    pub fn task(&self, composed: &Composed, by: Attribution, run_attempt: u32) -> Result<Task, Failure> {
        let rules = model_rules(&composed.config, &self.model)
            .ok_or_else(|| Failure::usage(format!("there is no model `{}`", self.model)))?;
        let by = Attribution { event: self.event.to_owned(), ..by };
        Ok(Task { goal: Goal { aim: self.aim.clone(), by, run_attempt, predicts: false }, rules })
    }

    /// What should become true of which model.
    pub fn aim(&self) -> (&ModelName, &Aim) {
        (&self.model, &self.aim)
    }

    /// Says what is done, in words.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Resolves a command that was dispatched. `None`: it is not about one group.
pub async fn of_command(composed: &Composed, command: &Command) -> Result<Option<Resolved>, Failure> {
    let parts = |choice: &GroupChoice| {
        (choice.group.as_str().to_owned(), choice.model.as_ref().map(|model| model.as_str().to_owned()))
    };
    Ok(Some(match command {
        Command::Promote { model, from: Some(from), to, version, .. } => {
            let model = model.as_ref().map(ModelName::as_str);
            resolve_promotion(composed, model, from.as_str(), to.as_str(), *version).await?
        }
        Command::Promote { from: None, .. } => {
            return Err(Failure::usage("`promote` needs `from`: the group to copy from"));
        }
        Command::Approve { group, version, .. } => {
            let (group, model) = parts(group);
            resolve_approval(composed, &group, model.as_deref(), Some(*version), Verb::Approve).await?
        }
        Command::Reject { group, version, .. } => {
            let (group, model) = parts(group);
            resolve_approval(composed, &group, model.as_deref(), Some(*version), Verb::Reject).await?
        }
        Command::Rollback { group, to, .. } => {
            let (group, model) = parts(group);
            resolve_rollback(composed, &group, model.as_deref(), *to).await?
        }
        Command::Freeze { group, .. } => {
            let (group, model) = parts(group);
            resolve_freeze(composed, &group, model.as_deref(), true)?
        }
        Command::Unfreeze { group, .. } => {
            let (group, model) = parts(group);
            resolve_freeze(composed, &group, model.as_deref(), false)?
        }
        Command::Run
        | Command::Train { .. }
        | Command::Repin { .. }
        | Command::Reconcile { .. }
        | Command::Prune { .. } => return Ok(None),
    }))
}

/// Copies a version from group to group.
pub fn promote(
    directory: Option<&Path>,
    model: Option<&str>,
    from: &str,
    to: &str,
    version: Option<&str>,
    by_hand: &ByHandArgs,
) -> Result<u8, Failure> {
    let version = version.map(read::version_number).transpose()?;
    act(directory, by_hand, async |composed| resolve_promotion(composed, model, from, to, version).await)
}

/// Approves a version.
pub fn approve(directory: Option<&Path>, args: &ApprovalArgs) -> Result<u8, Failure> {
    approval(directory, args, Verb::Approve)
}

/// Rejects a version.
pub fn reject(directory: Option<&Path>, args: &ApprovalArgs) -> Result<u8, Failure> {
    approval(directory, args, Verb::Reject)
}

fn approval(directory: Option<&Path>, args: &ApprovalArgs, verb: Verb) -> Result<u8, Failure> {
    let version = args.version.as_deref().map(read::version_number).transpose()?;
    act(directory, &args.by_hand, async |composed| {
        resolve_approval(composed, &args.group, args.model.as_deref(), version, verb).await
    })
}

/// Goes back to an older version and freezes the group.
pub fn rollback(directory: Option<&Path>, args: &FreezeArgs, to: Option<&str>) -> Result<u8, Failure> {
    let to = to.map(read::version_number).transpose()?;
    act(directory, &args.by_hand(), async |composed| {
        resolve_rollback(composed, &args.group, args.model.as_deref(), to).await
    })
}

/// Stops automatic changes of a group, or allows them again.
pub fn freeze(directory: Option<&Path>, args: &FreezeArgs, frozen: bool) -> Result<u8, Failure> {
    act(directory, &args.by_hand(), async |composed| {
        resolve_freeze(composed, &args.group, args.model.as_deref(), frozen)
    })
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Approve,
    Reject,
}

async fn resolve_promotion(
    composed: &Composed,
    model: Option<&str>,
    from: &str,
    to: &str,
    version: Option<VersionNumber>,
) -> Result<Resolved, Failure> {
    let (source_model, source, source_group) = read::find_group(composed, from, model)?;
    let (target_model, target, target_group) = read::find_group(composed, to, model)?;
    if source_model != target_model {
        return Err(Failure::usage(format!(
            "{source_group} holds {source_model} and {target_group} holds {target_model}: a version stays with its model"
        )));
    }
    if source_group == target_group {
        return Err(Failure::usage(format!("{source_group} is both source and target")).hint(format!(
            "to bring an older version back: branchline rollback --group {source_group} --reason \"...\""
        )));
    }
    let named = version.is_some();
    let version = match version {
        Some(number) => number,
        None => look(composed, &source_group, None).await?.current_number().ok_or_else(|| {
            Failure::usage(format!("{source_group} has no current version"))
                .hint(format!("see what it holds: branchline show {source_group}"))
        })?,
    };
    Ok(Resolved {
        model: target_model,
        aim: Aim::PromoteByHand { from: source, to: target, version, named },
        text: format!("promote {source_group} {version} to {target_group} manually"),
        event: "promote",
    })
}

async fn resolve_approval(
    composed: &Composed,
    group: &str,
    model: Option<&str>,
    version: Option<VersionNumber>,
    verb: Verb,
) -> Result<Resolved, Failure> {
    let (model, target, group) = read::find_group(composed, group, model)?;
    let version = match version {
        Some(number) => number,
        None => {
            let facts = look(composed, &group, None).await?;
            let waiting = facts.recent.iter().find(|version| version.awaits_approval());
            waiting.map(|version| version.number).ok_or_else(|| {
                Failure::usage(format!("no version of {group} awaits approval"))
                    .hint(format!("see what it holds: branchline show {group}"))
            })?
        }
    };
    let (aim, event) = match verb {
        Verb::Approve => (Aim::Approve { target, version }, "approve"),
        Verb::Reject => (Aim::Reject { target, version }, "reject"),
    };
    Ok(Resolved { model, aim, text: format!("{event} {group} {version} manually"), event })
}

async fn resolve_rollback(
    composed: &Composed,
    group: &str,
    model: Option<&str>,
    to: Option<VersionNumber>,
) -> Result<Resolved, Failure> {
    let (model, target, group) = read::find_group(composed, group, model)?;
    let facts = look(composed, &group, to).await?;
    // The whole record: the rollback that made the current version may be long ago.
    let record =
        composed.drive.ports.registry.history(&group, None, None).await.map_err(|error| Failure::port(&error))?;
    let way = match rollback::choose(&facts, &record, to) {
        Ok(way) => way,
        // It is current already: approving what is approved says so, and changes nothing.
        Err(reason) if reason.says_nothing_to_do() => {
            let version = facts.current_number().unwrap_or(VersionNumber(1));
            let text = format!("rollback {group} manually");
            return Ok(Resolved { model, aim: Aim::Approve { target, version }, text, event: "rollback" });
        }
        Err(reason) => {
            let exit = match reason.before_verdict() {
                Some(BeforeVerdict::Usage) => failure::USAGE,
                Some(_) | None => failure::BLOCKED,
            };
            let failure = Failure::new(exit, reason.message());
            return Err(match reason.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            });
        }
    };
    Ok(Resolved {
        model,
        aim: Aim::Rollback { target, replaces: way.replaces, to: way.to },
        text: format!("rollback {group} from {} to {} manually", way.replaces, way.to),
        event: "rollback",
    })
}

fn resolve_freeze(composed: &Composed, group: &str, model: Option<&str>, frozen: bool) -> Result<Resolved, Failure> {
    let (model, target, group) = read::find_group(composed, group, model)?;
    let (aim, event) = if frozen { (Aim::Freeze { target }, "freeze") } else { (Aim::Unfreeze { target }, "unfreeze") };
    Ok(Resolved { model, aim, text: format!("{event} {group} manually"), event })
}

async fn look(composed: &Composed, group: &GroupName, asked: Option<VersionNumber>) -> Result<GroupFacts, Failure> {
    let look = GroupLook { numbers: asked.into_iter().collect(), with_former: true, ..GroupLook::default() };
    composed.drive.ports.registry.look(group, &look).await.map_err(|error| Failure::port(&error))
}

/// What a command judges, where the rules look at who made it.
pub(super) async fn judged(composed: &Composed, model: &ModelName, aim: &Aim) -> Result<Option<Judged>, Failure> {
    if !composed.config.not_author {
        return Ok(None);
    }
    let find = async |target: &TargetName, number: Option<VersionNumber>| match composed.config.group(model, target) {
        Some(group) => look(composed, group, number).await.map(Some),
        None => Ok(None),
    };
    let current = |facts: &GroupFacts| facts.current.as_ref().map(|current| current.content.lineage.commit.clone());
    let of = |version: Option<Version>, since| version.map(|version| Judged { model: model.clone(), version, since });
    Ok(match aim {
        Aim::Approve { target, version } => {
            let Some(facts) = find(target, Some(*version)).await? else { return Ok(None) };
            let since = current(&facts);
            of(facts.asked.into_iter().next(), since)
        }
        Aim::PromoteByHand { from, to, version, .. } => {
            let Some(source) = find(from, Some(*version)).await? else { return Ok(None) };
            let since = find(to, None).await?.as_ref().and_then(current);
            of(source.asked.into_iter().next(), since)
        }
        Aim::Import { version, .. } => of(Some(version.as_ref().clone()), None),
        _ => None,
    })
}

fn act(
    directory: Option<&Path>,
    by_hand: &ByHandArgs,
    resolve: impl AsyncFnOnce(&Composed) -> Result<Resolved, Failure>,
) -> Result<u8, Failure> {
    let place = Place::find(directory, names_rules(by_hand.caller.default_branch.as_ref()))?;
    block_on(async {
        let caller = Caller::find(&place, &by_hand.caller, by_hand.format != OutcomeFormat::Text).await?;
        let (composed, _) = read::open_to_act(&place, &caller).await?;
        state_directory::refuse_short_lived(&place, &composed.config)?;
        let resolved = resolve(&composed).await?;
        let by = caller.attribution(&place, resolved.event, by_hand.reason.clone());
        let task = resolved.task(&composed, by, 1)?;
        let show =
            |outcome: &Outcome, exit| run::show_on(&caller.host, by_hand.format, outcome, exit, &About::default());
        if let Some(request) = Request::of_aim(&task.rules, &task.goal.aim) {
            let judged = judged(&composed, &resolved.model, &resolved.aim).await?;
            let refused = caller.refusal(&place, &composed.config, &request, judged.as_ref(), &resolved.text).await;
            if let Some(refused) = refused {
                return show(&refused, refused.exit_code());
            }
        }
        let signals = Signals::listen(composed.drive.cancelled.clone());
        let models = if by_hand.dry_run {
            composed.drive.plan(std::slice::from_ref(&task)).await
        } else {
            composed.drive.run(vec![task]).await
        };
        let outcome = Outcome::of_models(resolved.text, models);
        show(&outcome, signals.exit_code(&outcome))
    })?
}
