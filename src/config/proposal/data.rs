//! Where the data of a model seem to be: only what the commit has, or points to.

use crate::config::proposal::Seen;
use crate::config::proposal::Unit;
use crate::config::proposal::closure::Closure;
use crate::config::proposal::closure::DATA;
use crate::config::proposal::join;

/// Likely places of data, best first.
const PLACES: [&str; 8] =
    ["data/train.csv", "data/train", "data/raw", "data/processed", "data", "train.csv", "datasets", "dataset"];

/// Finds the data of a model: what its script names, else a usual place beside it or at the root.
pub(super) fn found(seen: &Seen<'_>, unit: &Unit, closure: &Closure) -> Option<String> {
    if let [only] = closure.data.as_slice() {
        return Some(only.clone());
    }
    if let Some(first) = closure.data.first() {
        let folder = first.rsplit_once('/').map(|(folder, _)| folder);
        let together = folder.filter(|folder| closure.data.iter().all(|path| path.starts_with(&format!("{folder}/"))));
        return Some(together.unwrap_or(first).to_owned());
    }
    let mut folders = vec![unit.folder.as_str()];
    if !unit.folder.is_empty() {
        folders.push("");
    }
    let places = folders.iter().flat_map(|folder| PLACES.iter().map(move |place| join(folder, place)));
    // A folder that only keeps its place in Git, or holds a page about data, is none.
    let mut places = places.filter(|place| is_data(seen, place));
    let first = places.next()?;
    // `data` with nothing but `data/raw` in it means both; the wider one stays right when more comes.
    let wider = first.strip_suffix("/raw").or_else(|| first.strip_suffix("/processed")).map(str::to_owned);
    match wider {
        Some(wider) if !has_pointer(seen, &first) => Some(wider),
        _ => Some(first),
    }
}

/// Tells whether the commit has data at a path, or a pointer of DVC to them.
pub(super) fn is_data(seen: &Seen<'_>, path: &str) -> bool {
    has_pointer(seen, path) || holds_data(path) && seen.has(path) || seen.below(path).any(holds_data)
}

fn has_pointer(seen: &Seen<'_>, path: &str) -> bool {
    seen.has(&format!("{path}.dvc"))
}

fn holds_data(file: &str) -> bool {
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    DATA.contains(&ending.as_str()) || matches!(ending.as_str(), "gz" | "zip" | "txt" | "png" | "jpg" | "wav" | "json")
}
