//! `diff`: two versions side by side.

use crate::cli::args::Format;
use crate::cli::block_on;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::cli::print_json;
use crate::cli::read;
use crate::facts::group::GroupLook;
use crate::model::name::ModelName;
use crate::model::settings::Watched;
use crate::report::diff::CodeDifference;
use crate::report::diff::DiffJson;
use crate::report::diff::Side;
use std::path::Path;

/// How many differing files are named.
const PATHS_NAMED: usize = 20;

/// Compares two versions.
pub fn diff(directory: Option<&Path>, a: &str, b: &str, model: Option<&str>, format: Format) -> Result<u8, Failure> {
    let place = Place::find(directory, false)?;
    let (composed, _) = read::open(&place)?;
    let (left_model, left) = side(&composed, a, model)?;
    let (right_model, right) = side(&composed, b, model)?;
    if left_model != right_model {
        return Err(Failure::usage(format!(
            "{} is a version of {left_model} and {} one of {right_model}: versions of one model are compared",
            left.version.reference(),
            right.version.reference()
        )));
    }
    let code = code(&place, &composed, &left_model, &left, &right);
    let diff = DiffJson::of(&left, &right, code);
    match format {
        Format::Text => print(&diff.text(&left, &right)),
        Format::Json => print_json(&diff),
    }
}

/// Finds `GROUP:NUMBER`, or the current version of `GROUP`.
fn side(composed: &Composed, text: &str, model: Option<&str>) -> Result<(ModelName, Side), Failure> {
    let (group, number) = match text.split_once(':') {
        Some((group, number)) => (group, Some(read::version_number(number)?)),
        None => (text, None),
    };
    let (model, _, group) = read::find_group(composed, group, model)?;
    let registry = &composed.drive.ports.registry;
    let look = GroupLook { numbers: number.into_iter().collect(), ..GroupLook::default() };
    let read = block_on(async {
        let facts = registry.look(&group, &look).await?;
        Ok((facts, registry.history(&group, None, None).await?))
    })?;
    let (facts, history) = read.map_err(|error| Failure::port(&error))?;
    let current = facts.current_number();
    let version = match number {
        Some(number) => facts.asked.into_iter().next().ok_or_else(|| {
            let newest = facts.newest.map_or_else(|| "it is empty".to_owned(), |n| format!("its newest is {n}"));
            Failure::usage(format!("{group} has no {number}: {newest}")).hint(format!("branchline show {group}"))
        })?,
        None => facts.current.ok_or_else(|| {
            Failure::usage(format!("{group} has no current version"))
                .hint(format!("name one, as in {group}:1; see what it holds: branchline show {group}"))
        })?,
    };
    Ok((model, Side { is_current: current == Some(version.number), version, history }))
}

/// Finds the watched files that differ between the two commits, by today's settings.
fn code(place: &Place, composed: &Composed, model: &ModelName, a: &Side, b: &Side) -> CodeDifference {
    let (one, two) = (&a.version.content.lineage, &b.version.content.lineage);
    if one.commit == two.commit {
        return CodeDifference::SameCommit;
    }
    for commit in [&one.commit, &two.commit] {
        if !place.git.has_commit(commit) {
            return CodeDifference::Unknown(format!("commit {} is not in this clone: git fetch", commit.short()));
        }
    }
    let Some(watched) = watched(composed, model, b) else {
        return CodeDifference::Unknown(format!("branchline.yaml does not say what {model} watches"));
    };
    match place.git.differing_paths(&one.commit, &two.commit, &watched, PATHS_NAMED) {
        Ok(found) => CodeDifference::Paths(found.paths, found.total),
        Err(error) => CodeDifference::Unknown(format!("cannot tell: {error}")),
    }
}

/// What the second version's own commit watches; where that cannot be read, what is watched now.
fn watched(composed: &Composed, model: &ModelName, side: &Side) -> Option<Watched> {
    let lineage = &side.version.content.lineage;
    let of = |config: &crate::config::Config| {
        let settings = &config.models.get(model)?.settings;
        let stage = lineage.stage.as_ref().and_then(|stage| settings.get(stage));
        stage.or_else(|| settings.values().next()).map(|settings| settings.watched.clone())
    };
    let then = composed.drive.observer.config_at(&lineage.commit);
    then.ok().and_then(|config| of(&config)).or_else(|| of(&composed.config))
}
