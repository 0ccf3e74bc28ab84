//! "Did you mean": names that resemble one that does not exist.

use crate::adapters::git::tree::Budget;
use crate::adapters::git::tree::Entry;
use crate::adapters::git::tree::entries;
use crate::adapters::git::tree::lookup;
use crate::adapters::git::tree::walk;
use git2::Oid;
use git2::Repository;
use std::cmp::Reverse;

/// Files looked at for one that has the same name in another folder: an error message is not worth more.
const SEARCHED: u64 = 20_000;

/// The longest name that is compared, in bytes: what file systems take.
const LONGEST: usize = 255;

/// Names offered at most.
const OFFERED: usize = 3;

/// Returns the candidates that resemble `name`, best first.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    // A name of any length must not cost more than a file can have.
    if name.len() > LONGEST {
        return Vec::new();
    }
    let wanted = name.to_lowercase();
    let mut scored: Vec<(u32, &str)> = candidates
        .into_iter()
        .map(|candidate| (score(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= 660)
        .collect();
    scored.sort_by_key(|(score, candidate)| (Reverse(*score), candidate.len(), (*candidate).to_owned()));
    scored.truncate(OFFERED);
    scored.into_iter().map(|(_, candidate)| candidate.to_owned()).collect()
}

/// Resemblance from 0 to 1,000: that of the letters, which swapped letters hardly lower.
fn score(one: &str, two: &str) -> u32 {
    let distance = strsim::normalized_damerau_levenshtein(one, two);
    // A missing or different ending is the commonest slip: `train` for `train.py`.
    let stems = if stem(one) == stem(two) { 0.9 } else { 0.0 };
    (distance.max(stems) * 1_000.0) as u32
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem })
}

/// Returns paths of the tree that resemble one it does not have.
pub(super) fn near_paths(repo: &Repository, root: Oid, path: &str) -> Vec<String> {
    let parts: Vec<&str> = path.split('/').collect();
    let mut folder = root;
    let mut known = String::new();
    for (index, part) in parts.iter().enumerate() {
        match lookup(repo, folder, part) {
            Ok(Some(entry)) if entry.is_folder() => {
                folder = entry.id;
                known.push_str(part);
                known.push('/');
            }
            Ok(_) => {
                let rest = &parts[index + 1..];
                let mut near = in_folder(repo, folder, &known, part, rest);
                if near.is_empty() {
                    near = elsewhere(repo, root, parts[parts.len() - 1]);
                }
                return near;
            }
            Err(_) => return Vec::new(),
        }
    }
    Vec::new()
}

/// Offers the names beside the missing part, with the rest of the path after them where that exists.
fn in_folder(repo: &Repository, folder: Oid, known: &str, part: &str, rest: &[&str]) -> Vec<String> {
    let Ok(siblings) = entries(repo, folder) else { return Vec::new() };
    let fits = |entry: &Entry| {
        rest.is_empty() || (entry.is_folder() && lookup(repo, entry.id, &rest.join("/")).is_ok_and(|e| e.is_some()))
    };
    let names: Vec<String> = siblings
        .iter()
        .filter(|entry| fits(entry))
        .filter_map(|entry| String::from_utf8(entry.name.clone()).ok())
        .collect();
    let tail: String = rest.iter().map(|part| format!("/{part}")).collect();
    nearest(part, names.iter().map(String::as_str)).iter().map(|name| format!("{known}{name}{tail}")).collect()
}

/// Offers files of exactly that name in other folders.
fn elsewhere(repo: &Repository, root: Oid, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut budget = Budget::new("look for a similar name").at_most(SEARCHED);
    // The budget ends the search; what was found until then is still a help.
    let _ = walk(repo, root, &mut budget, &mut |_| true, &mut |path, _, _| {
        let same = path.rsplit(|b| *b == b'/').next() == Some(name.as_bytes());
        if same && found.len() < OFFERED {
            found.push(String::from_utf8_lossy(path).into_owned());
        }
        Ok(())
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let names = ["train.py", "trainer.py", "README.md", "features"];
        assert_eq!(nearest("trian.py", names).first().map(String::as_str), Some("train.py"));
        assert_eq!(nearest("train", names).first().map(String::as_str), Some("train.py"));
        assert_eq!(nearest("Features", names), ["features"]);
        assert!(nearest("zebra.toml", names).is_empty());
    }
}
