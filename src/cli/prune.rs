//! `branchline prune`: says what may go and, only when told to, takes it away.
//!
//! Deliberately absent: what may go. `plan::prune` decides it.

use crate::apply::prune as effect;
use crate::apply::prune::Pruned;
use crate::cli::args::Format;
use crate::cli::args::OutcomeFormat;
use crate::cli::args::PruneArgs;
use crate::cli::block_on;
use crate::cli::caller::Caller;
use crate::cli::compose;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::compose::names_rules;
use crate::cli::dispatch::pruned;
use crate::cli::failure::Failure;
use crate::cli::host::About;
use crate::cli::notice;
use crate::cli::print;
use crate::cli::print_json;
use crate::cli::read;
use crate::cli::reconcile::may_act_for;
use crate::cli::run;
use crate::cli::state_directory;
use crate::event::Action;
use crate::facts::Holdings;
use crate::facts::holdings::Whose;
use crate::model::git::BranchName;
use crate::model::git::RepositoryId;
use crate::model::history::Attribution;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::observe::holdings;
use crate::outcome::Outcome;
use crate::plan::permission::Request;
use crate::plan::prune;
use crate::plan::prune::Pruning;
use crate::report::json::JSON_SCHEMA;
use crate::report::terminal::plain;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

#[derive(Serialize)]
struct PruneJson<'a> {
    schema: u32,
    /// Whether it was done, or only said.
    done: bool,
    items: Vec<ItemJson<'a>>,
    bytes: u64,
    left: Vec<String>,
}

#[derive(Serialize)]
struct ItemJson<'a> {
    #[serde(flatten)]
    pruning: &'a Pruning,
    result: &'static str,
}

/// Lists what may go, and with `--yes` takes it away.
pub fn prune(directory: Option<&Path>, args: &PruneArgs) -> Result<u8, Failure> {
    let place = Place::find(directory, names_rules(args.caller.default_branch.as_ref()))?;
    block_on(async {
        let caller = Caller::find(&place, &args.caller, args.format != Format::Text).await?;
        let (composed, repository) = read::open_to_act(&place, &caller).await?;
        let only = compose::chosen_models(&composed.config, &args.models)?;
        let branches = branches(&place)?;
        let request = Request::of(Action::Prune);
        if let Some(refused) =
            caller.refusal(&place, &composed.config, &request, None, "prune").await.filter(|_| args.yes)
        {
            let format = if args.format == Format::Json { OutcomeFormat::Json } else { OutcomeFormat::Text };
            return run::show_on(&caller.host, format, &refused, refused.exit_code(), &About::default());
        }
        let holdings = held(&composed, &repository, branches).await?;
        let list = prune::plan(&holdings, &composed.config.keep, &only);
        let mut results = vec!["planned"; list.len()];
        let mut outcome = Ok(());
        if args.yes {
            state_directory::refuse_short_lived(&place, &composed.config)?;
            let by = caller.attribution(&place, "prune", None);
            let mut done = 0;
            let mut note = |_: &Pruning, came: Pruned| {
                if let Some(result) = results.get_mut(done) {
                    *result = word(came);
                }
                done += 1;
            };
            outcome = effect::prune(&list, &by, &composed.drive.ports, &mut note).await;
        }
        let exit = match args.format {
            Format::Text => print(&text(&composed, &holdings, &list, &results, args.yes))?,
            Format::Json => print_json(&PruneJson {
                schema: JSON_SCHEMA,
                done: args.yes,
                items: list.iter().zip(&results).map(|(pruning, result)| ItemJson { pruning, result }).collect(),
                bytes: bytes(&list, &results),
                left: left(&holdings),
            })?,
        };
        outcome.map_err(|error| Failure::port(&error).hint("what was not removed yet: branchline prune --yes"))?;
        Ok(exit)
    })?
}

/// Lists what may go, or takes it away, for a dispatch.
pub async fn dispatched(
    place: &Place,
    composed: &Composed,
    by: &Attribution,
    only: &[ModelName],
    yes: bool,
    text: String,
) -> Result<Outcome, Failure> {
    let ports = &composed.drive.ports;
    let holdings = held(composed, composed.drive.observer.repository(), branches(place)?).await?;
    let list = prune::plan(&holdings, &composed.config.keep, only);
    let size = human(list.iter().map(|pruning| pruning.bytes).sum());
    if !yes {
        let said = format!("{} things may go, {size} in all; with `yes` they do", list.len());
        return Ok(pruned(text, said));
    }
    let (mut count, mut freed, mut left) = (0, 0, 0);
    let mut note = |pruning: &Pruning, came: Pruned| match came {
        Pruned::Done => (count, freed) = (count + 1, freed + pruning.bytes),
        Pruned::Left => left += 1,
        Pruned::Gone | Pruned::Needed => {}
    };
    effect::prune(&list, by, ports, &mut note).await.map_err(|error| Failure::port(&error))?;
    let mut said = format!("removed what is unreferenced: {count} things, {} in all", human(freed));
    if left > 0 {
        said.push_str(&format!("; {left} more are left to a job that may change them"));
    }
    Ok(pruned(text, said))
}

/// Reads everything that is kept. The groups of a stage that this run may not change are left to one that may.
async fn held(
    composed: &Composed,
    repository: &RepositoryId,
    branches: Option<BTreeSet<BranchName>>,
) -> Result<Holdings, Failure> {
    let config = &composed.config;
    let held = holdings::read(config, repository, branches, &composed.drive.ports).await;
    let mut held = held.map_err(|error| Failure::port(&error))?;
    for stage in &config.stages {
        if may_act_for(composed, stage).await? {
            continue;
        }
        let targets = config.models.keys().flat_map(|model| stage.groups.keys().map(move |target| (model, target)));
        let names: BTreeSet<&GroupName> = targets.filter_map(|(model, target)| config.group(model, target)).collect();
        for group in held.groups.iter_mut().filter(|group| names.contains(&group.name)) {
            group.whose = Whose::OnlyRead;
        }
    }
    Ok(held)
}

/// A clone in CI often has one branch only, and a missing one would then seem deleted.
fn branches(place: &Place) -> Result<Option<BTreeSet<BranchName>>, Failure> {
    if place.in_ci {
        notice("note: in CI not all branches are known here; none counts as deleted");
        return Ok(None);
    }
    let branches = place.git.branches(place.heads()).map_err(|error| Failure::git(&error))?;
    Ok(Some(branches.into_iter().map(|(branch, _)| branch).collect()))
}

fn word(came: Pruned) -> &'static str {
    match came {
        Pruned::Done => "done",
        Pruned::Gone => "gone",
        Pruned::Needed => "needed",
        Pruned::Left => "left",
    }
}

/// What is freed, or would be.
fn bytes(list: &[Pruning], results: &[&str]) -> u64 {
    let counted = list.iter().zip(results).filter(|(_, result)| matches!(**result, "planned" | "done"));
    counted.map(|(pruning, _)| pruning.bytes).sum()
}

fn left(holdings: &Holdings) -> Vec<String> {
    // One that was only ever frozen holds nothing, and belongs to nobody yet.
    let held = holdings.groups.iter().filter(|group| !group.versions.is_empty());
    let groups = held.filter_map(|group| match &group.whose {
        Whose::Ours { .. } => None,
        Whose::Foreign => Some(format!("group {}: it belongs to another repository", group.name)),
        Whose::NotConfigured => Some(format!("group {}: the configuration does not name it", group.name)),
        Whose::OnlyRead => {
            Some(format!("group {}: this job only reads it, and one of its stage may prune it", group.name))
        }
    });
    let unknown = holdings.unknown.iter().map(|path| format!("{path}: not known to be this project's"));
    groups.chain(unknown).collect()
}

fn text(composed: &Composed, holdings: &Holdings, list: &[Pruning], results: &[&str], done: bool) -> String {
    let mut text = String::new();
    for (pruning, result) in list.iter().zip(results) {
        let size = if pruning.bytes > 0 { format!(", {}", human(pruning.bytes)) } else { String::new() };
        let what = plain(&pruning.item.text());
        let line = match *result {
            "planned" if done => format!("not reached: {what}\n"),
            "planned" => format!("would remove {what}: {}{size}\n", pruning.why.as_str()),
            "done" => format!("removed {what}: {}{size}\n", pruning.why.as_str()),
            "gone" => format!("gone already: {what}\n"),
            "left" => format!("left to a job that may change it, this one only reads there: {what}\n"),
            _ => format!("stays, it is needed now: {what}\n"),
        };
        text.push_str(&line);
    }
    for left in left(holdings) {
        text.push_str(&format!("left: {}\n", plain(&left)));
    }
    if composed.config.keep.is_empty() {
        text.push_str("branchline.yaml has no `keep`: every version stays\n");
    }
    let freed = human(bytes(list, results));
    match (list.is_empty(), done) {
        (true, _) => text.push_str("nothing to remove\n"),
        (false, false) => text.push_str(&format!("{freed} in all; nothing was done: branchline prune --yes\n")),
        (false, true) => text.push_str(&format!("{freed} freed\n")),
    }
    text
}

/// Spells a size: exact bytes below 10 kB, then the unit that fits.
fn human(bytes: u64) -> String {
    let mut size = bytes;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if size < 10_000 {
            return format!("{size} {unit}");
        }
        size /= 1000;
    }
    format!("{size} TB")
}
