//! The index, in every form that Git writes.
//!
//! libgit2 refuses a split and a sparse index. Then Git itself lists the entries, and libgit2 goes on with those.

use crate::adapters::git::error::GitError;
use crate::adapters::git::error::failed;
use crate::adapters::git::trust::git_command;
use git2::Index;
use git2::IndexEntry;
use git2::IndexTime;
use git2::Oid;
use git2::Repository;
use std::path::Path;
use std::process::Stdio;

/// `GIT_INDEX_ENTRY_SKIP_WORKTREE`: a sparse checkout left the file out on purpose.
pub(super) const SKIP_WORKTREE: u16 = 1 << 14;

/// Where `GIT_INDEX_ENTRY_STAGEMASK` begins: the side of a conflict.
const STAGE: u16 = 12;

/// Reads the index anew; what libgit2 compares with it from then on knows it, too.
pub(super) fn index(repo: &Repository, work_dir: &Path) -> Result<Index, GitError> {
    let read = repo.index().and_then(|mut index| index.read(false).map(|()| index));
    read.or_else(|error| {
        let refused = |error| failed(repo, "read the index", error);
        // Where there is no Git, or it cannot read the index either, the first refusal counts.
        let Some(entries) = listed(work_dir) else { return Err(refused(error)) };
        let mut index = Index::new().map_err(refused)?;
        entries.iter().try_for_each(|entry| index.add(entry)).map_err(refused)?;
        repo.set_index(&mut index).map_err(refused)?;
        Ok(index)
    })
}

fn listed(work_dir: &Path) -> Option<Vec<IndexEntry>> {
    let mut command = git_command();
    command.arg("-C").arg(work_dir).args(["ls-files", "-z", "-t", "--stage"]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let lines = output.stdout.split(|byte| *byte == 0).filter(|line| !line.is_empty());
    output.status.success().then(|| lines.map(entry).collect()).flatten()
}

/// Reads `TAG MODE OID STAGE<tab>PATH`. Without size and times, libgit2 compares contents.
fn entry(line: &[u8]) -> Option<IndexEntry> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let (about, path) = line.split_at(tab);
    let mut words = std::str::from_utf8(about).ok()?.split(' ');
    let tag = words.next()?;
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let id = Oid::from_str(words.next()?).ok()?;
    let stage: u16 = words.next()?.parse().ok()?;
    let none = IndexTime::new(0, 0);
    Some(IndexEntry {
        ctime: none,
        mtime: none,
        dev: 0,
        ino: 0,
        mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: stage << STAGE,
        flags_extended: if tag == "S" { SKIP_WORKTREE } else { 0 },
        path: path.get(1..)?.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_git_is_an_entry() {
        let id = "d00491fd7e5bb6fa28c517a0bb32b8b506539d4d";
        let found = entry(format!("S 100755 {id} 2\tlib/a b").as_bytes()).expect("it can be read");
        assert_eq!((found.mode, found.id.to_string(), found.path), (0o100_755, id.to_owned(), b"lib/a b".to_vec()));
        assert_eq!((found.flags, found.flags_extended), (0x2000, SKIP_WORKTREE));
        assert!(entry(b"H 100644").is_none());
    }
}
