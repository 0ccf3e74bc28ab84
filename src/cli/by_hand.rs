//! What a person does by hand: `promote`, `approve`, `reject`. The same loop as for events, with another aim.

use crate::cli::args::ApprovalArgs;
use crate::cli::args::ByHandArgs;
use crate::cli::block_on;
use crate::cli::compose;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::read;
use crate::cli::run;
use crate::cli::signals::Signals;
use crate::facts::GroupFacts;
use crate::facts::group::GroupLook;
use crate::model::history::Attribution;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::version::VersionNumber;
use crate::outcome::Outcome;
use crate::plan::goal::Aim;
use crate::plan::goal::Goal;
use crate::plan::goal::Task;
use crate::plan::route::model_rules;
use std::path::Path;

/// Copies a version from group to group.
pub fn promote(
    directory: Option<&Path>,
    model: Option<&str>,
    from: &str,
    to: &str,
    version: Option<&str>,
    by_hand: &ByHandArgs,
) -> Result<u8, Failure> {
    let place = Place::find(directory, compose::in_ci())?;
    let (composed, _) = read::open(&place)?;
    let (source_model, source, source_group) = read::find_group(&composed, from, model)?;
    let (target_model, target, target_group) = read::find_group(&composed, to, model)?;
    if source_model != target_model {
        return Err(Failure::usage(format!(
            "{source_group} holds {source_model} and {target_group} holds {target_model}: a version stays with its model"
        )));
    }
    if source_group == target_group {
        return Err(Failure::usage(format!("{source_group} is both source and target"))
            .hint("to bring an older version back: branchline rollback"));
    }
    let named = version.is_some();
    let version = match version {
        Some(text) => read::version_number(text)?,
        None => look(&composed, &source_group)?.current_number().ok_or_else(|| {
            Failure::usage(format!("{source_group} has no current version"))
                .hint(format!("branchline show {source_group}"))
        })?,
    };
    let text = format!("promote {source_group} {version} to {target_group} by hand");
    let aim = Aim::PromoteByHand { from: source, to: target, version, named };
    act(&place, &composed, &target_model, aim, text, "promote", by_hand)
}

/// Approves a version.
pub fn approve(directory: Option<&Path>, args: &ApprovalArgs) -> Result<u8, Failure> {
    let place = Place::find(directory, compose::in_ci())?;
    let (composed, _) = read::open(&place)?;
    let (model, target, group) = read::find_group(&composed, &args.group, args.model.as_deref())?;
    let version = named_or_waiting(&composed, &group, args.version.as_deref())?;
    let aim = Aim::Approve { target, version };
    act(&place, &composed, &model, aim, format!("approve {group} {version} by hand"), "approve", &args.by_hand)
}

/// Rejects a version.
pub fn reject(directory: Option<&Path>, args: &ApprovalArgs) -> Result<u8, Failure> {
    let place = Place::find(directory, compose::in_ci())?;
    let (composed, _) = read::open(&place)?;
    let (model, target, group) = read::find_group(&composed, &args.group, args.model.as_deref())?;
    let version = named_or_waiting(&composed, &group, args.version.as_deref())?;
    let aim = Aim::Reject { target, version };
    act(&place, &composed, &model, aim, format!("reject {group} {version} by hand"), "reject", &args.by_hand)
}

/// Returns the version that was named, or the newest that awaits approval now. It is settled before anything is
/// done: approving "whatever waits" twice must not approve two versions.
fn named_or_waiting(composed: &Composed, group: &GroupName, version: Option<&str>) -> Result<VersionNumber, Failure> {
    if let Some(text) = version {
        return read::version_number(text);
    }
    let facts = look(composed, group)?;
    let waiting = facts.recent.iter().find(|version| version.awaits_approval());
    waiting.map(|version| version.number).ok_or_else(|| {
        Failure::usage(format!("no version of {group} awaits approval"))
            .hint(format!("see what it holds: branchline show {group}"))
    })
}

fn look(composed: &Composed, group: &GroupName) -> Result<GroupFacts, Failure> {
    block_on(composed.drive.ports.registry.look(group, &GroupLook::default()))?.map_err(|error| Failure::port(&error))
}

fn act(
    place: &Place,
    composed: &Composed,
    model: &ModelName,
    aim: Aim,
    text: String,
    event: &str,
    by_hand: &ByHandArgs,
) -> Result<u8, Failure> {
    let rules =
        model_rules(&composed.config, model).ok_or_else(|| Failure::usage(format!("there is no model `{model}`")))?;
    let by = Attribution {
        actor: place.git.user_name(),
        event: event.to_owned(),
        run_url: None,
        run_key: format!("local/{}", uuid::Uuid::new_v4()),
        pull_request: None,
        reason: by_hand.reason.clone(),
    };
    let task = Task { goal: Goal { aim, by, run_attempt: 1 }, rules };
    block_on(async {
        let signals = Signals::listen(composed.drive.cancelled.clone());
        let models = if by_hand.dry_run {
            composed.drive.plan(std::slice::from_ref(&task)).await
        } else {
            composed.drive.run(vec![task]).await
        };
        let outcome = Outcome::of_models(text, models);
        run::show(by_hand.format, &outcome, signals.exit_code(&outcome))
    })?
}
