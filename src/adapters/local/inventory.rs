//! What lies in the home besides the registry and the artifacts: trainings and leftovers, for pruning.
//!
//! Deliberately absent: whether any of it may go. What is not known for ours is named and never touched.

use crate::adapters::local::folder::TrainingFolder;
use crate::adapters::local::home::Home;
use crate::adapters::local::home::storage_error;
use crate::adapters::local::prepare::remove_folder;
use crate::facts::holdings::Held;
use crate::facts::holdings::HeldTraining;
use crate::facts::holdings::Leftover;
use crate::model::name::ProjectName;
use crate::model::name::TrainingName;
use crate::model::training::Training;
use crate::ports::error::PortError;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fs;
use std::fs::DirEntry;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// How the names begin of what is made in `tmp/`.
const OUR_PREFIXES: [&str; 4] = ["training-", "removed-", "blob-", ".new-"];

/// Lists the trainings of a project. Those of other projects, and what cannot be read, are named as unknown.
pub(super) fn trainings(home: &Home, project: &ProjectName) -> Result<Held<HeldTraining>, PortError> {
    let mut held = Held::default();
    // The records of attempts name those whose folders vanished.
    let records = entries(&home.attempts(), "list the attempts")?;
    let folders = entries(&home.trainings(), "list the trainings")?;
    let mut seen = BTreeSet::new();
    for entry in folders.into_iter().chain(records) {
        let name = entry.file_name().into_string().unwrap_or_default();
        if !seen.insert(name.clone()) {
            continue;
        }
        let folder = TrainingFolder::of(home, &TrainingName::reported(&name)).filter(TrainingFolder::is_known);
        let known = folder.as_ref().and_then(|folder| {
            let ours = folder.card().ok().is_some_and(|card| card.project == *project);
            if ours { folder.training().ok().flatten() } else { None }
        });
        let (Some(folder), Some(training)) = (folder, known) else {
            held.unknown.push(entry.path().display().to_string());
            continue;
        };
        // One that vanished wrote no end down; what it last wrote says how old it is.
        let ended_at = training.ended_at.or(training.started_at).or_else(|| touched(folder.path()));
        held.known.push(HeldTraining {
            open: training.is_open(),
            name: training.name,
            model: training.origin.model,
            fingerprint: training.origin.fingerprint,
            ended_at,
            bytes: bytes(folder.path()),
        });
    }
    Ok(held)
}

/// Lists the trainings of a project that ended since a time.
pub(super) fn ended_since(home: &Home, project: &ProjectName, since: Timestamp) -> Result<Vec<Training>, PortError> {
    let mut found = Vec::new();
    for entry in entries(&home.trainings(), "list the trainings")? {
        let name = entry.file_name().into_string().unwrap_or_default();
        let folder = TrainingFolder::of(home, &TrainingName::reported(&name)).filter(TrainingFolder::exists);
        // What cannot be read is named by `prune`; here it only is no result.
        let Some(training) = folder.as_ref().and_then(|folder| folder.training().ok().flatten()) else { continue };
        let ours = folder.and_then(|folder| folder.card().ok()).is_some_and(|card| card.project == *project);
        let lately = training.ended_at.is_some_and(|ended| ended >= since);
        if ours && lately && !training.is_open() {
            found.push(training);
        }
    }
    Ok(found)
}

/// Lists what is in `tmp/`.
pub(super) fn leftovers(home: &Home) -> Result<Held<Leftover>, PortError> {
    let mut held = Held::default();
    for entry in entries(&home.temporary(), "list what was left behind")? {
        let path = entry.path();
        let name = entry.file_name().into_string().ok().filter(|name| is_ours(name));
        match (name, touched(&path)) {
            (Some(name), Some(touched_at)) => held.known.push(Leftover { name, touched_at, bytes: bytes(&path) }),
            // It has just been moved to its place.
            (Some(_), None) => {}
            (None, _) => held.unknown.push(path.display().to_string()),
        }
    }
    Ok(held)
}

/// Removes a leftover. `false`: it is gone already.
pub(super) fn sweep(home: &Home, name: &str) -> Result<bool, PortError> {
    let path = home.temporary().join(name);
    if !is_ours(name) || path.parent() != Some(&home.temporary()) {
        return Ok(false);
    }
    let failed = |error| storage_error("sweep what was left behind", &path, error);
    let about = match fs::symlink_metadata(&path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    let removed = if about.is_dir() { remove_folder(&path) } else { fs::remove_file(&path) };
    removed.map_err(failed)?;
    Ok(true)
}

fn is_ours(name: &str) -> bool {
    OUR_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !name.contains(['/', '\\'])
}

fn entries(folder: &Path, doing: &str) -> Result<Vec<DirEntry>, PortError> {
    let failed = |error| storage_error(doing, folder, error);
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut entries: Vec<DirEntry> = listing.collect::<io::Result<_>>().map_err(failed)?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

fn touched(path: &Path) -> Option<jiff::Timestamp> {
    let time: SystemTime = fs::symlink_metadata(path).ok()?.modified().ok()?;
    jiff::Timestamp::try_from(time).ok()
}

/// Adds up the sizes of the files below. Links are not followed: they take nothing here.
pub(super) fn bytes(path: &Path) -> u64 {
    let files = walkdir::WalkDir::new(path).into_iter().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(fs::Metadata::is_file).map(|about| about.len()).sum()
}
