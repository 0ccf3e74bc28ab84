//! The files of local data, found by one rule for everything that reads them: identifying, keeping and placing.
//!
//! A link counts as the file that it points at, if that file is in the same data. What is no file, and what only
//! stands in for one (a pointer of Git LFS or git-annex), is an error that says so.

use crate::adapters::local::blob::hash_file;
use crate::model::digest::Sha256Digest;
use crate::model::pointer::LFS_LIMIT;
use crate::model::pointer::pointer_kind;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// One file of data.
pub(super) struct DataFile {
    /// Relative to the data, `/` between parts.
    pub(super) path: String,
    /// As a person knows it.
    pub(super) shown: String,
    /// Where it lies.
    pub(super) at: PathBuf,
}

/// Lists the files of a folder, by name. An error is a sentence for people.
pub(super) fn files_of(dir: &Path, shown: &str) -> Result<Vec<DataFile>, String> {
    let root = fs::canonicalize(dir).map_err(|error| unreadable(shown, &error))?;
    let mut files = Vec::new();
    for found in walkdir::WalkDir::new(dir).min_depth(1).follow_root_links(true).sort_by_file_name() {
        let found = found.map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let relative = found.path().strip_prefix(dir).unwrap_or(found.path());
        let Some(path) = slashed(relative) else {
            return Err(format!("{shown} has a file whose name is not valid text: {}", relative.display()));
        };
        let named = format!("{}/{path}", shown.trim_end_matches('/'));
        if found.file_name().eq_ignore_ascii_case(".git") {
            return Err(format!("{named} belongs to a Git repository: name a folder that holds only the data"));
        }
        if found.file_type().is_dir() {
            continue;
        }
        if found.path_is_symlink() {
            check_link(found.path(), &root, &named)?;
        } else if !found.file_type().is_file() {
            return Err(format!("{named} is neither a file, a folder nor a link"));
        }
        files.push(DataFile { path, shown: named, at: found.into_path() });
    }
    if files.is_empty() { Err(format!("{shown} is an empty folder")) } else { Ok(files) }
}

/// Refuses a pointer, whatever says that it is data. An error is a sentence for people.
pub(super) fn refuse_pointer(path: &Path, shown: &str) -> Result<(), String> {
    let size = fs::metadata(path).map_err(|error| unreadable(shown, &error))?.len();
    if size < LFS_LIMIT as u64 { hash_data(path, shown).map(drop) } else { Ok(()) }
}

/// Hashes a file of data. An error is a sentence for people.
pub(super) fn hash_data(path: &Path, shown: &str) -> Result<(Sha256Digest, u64), String> {
    let size = fs::metadata(path).map_err(|error| unreadable(shown, &error))?.len();
    if size < LFS_LIMIT as u64 {
        let bytes = fs::read(path).map_err(|error| unreadable(shown, &error))?;
        if let Some((what, fetch)) = pointer_kind(&bytes) {
            return Err(format!("{shown} is {what} and not the data: run `{fetch}` where it belongs"));
        }
        return Ok((Sha256Digest::of(&bytes), bytes.len() as u64));
    }
    hash_file(path, &mut |_| {}).map_err(|error| unreadable(shown, &error))
}

fn check_link(link: &Path, root: &Path, shown: &str) -> Result<(), String> {
    let target = fs::canonicalize(link).map_err(|error| format!("{shown} is a link that leads nowhere: {error}"))?;
    if !target.starts_with(root) {
        let target = target.display();
        return Err(format!(
            "{shown} is a link to {target}, outside of the data: copy the file, or name that place in `data`"
        ));
    }
    if !target.is_file() {
        return Err(format!("{shown} is a link to something other than a file: copy the files instead"));
    }
    Ok(())
}

pub(super) fn unreadable(shown: &str, error: &io::Error) -> String {
    format!("{shown} cannot be read: {error}")
}

fn slashed(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.components().map(|part| part.as_os_str().to_str()).collect();
    parts.map(|parts| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_keeps_beside_the_data_and_pointers_are_refused() {
        let place = tempfile::tempdir().expect("a folder");
        let data = place.path().join("data");
        fs::create_dir_all(data.join("sub/.git")).expect("it can be made");
        fs::write(data.join("a.csv"), "1").expect("writable");
        let why = files_of(&data, "data").err().expect("it is refused");
        assert_eq!(why, "data/sub/.git belongs to a Git repository: name a folder that holds only the data");
        fs::remove_dir(data.join("sub/.git")).expect("it can be removed");
        fs::write(data.join("sub/.git"), "gitdir: ../x").expect("writable");
        assert!(files_of(&data, "data").is_err());
        let pointer = data.join("a.csv");
        fs::write(&pointer, "/annex/objects/WORM-s3--a.csv\n").expect("writable");
        let why = refuse_pointer(&pointer, "data/a.csv").expect_err("it is refused");
        assert_eq!(why, "data/a.csv is a git-annex pointer and not the data: run `git annex get` where it belongs");
    }
}
