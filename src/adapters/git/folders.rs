//! Large folders of the object database, remembered by their id: what an id names never changes.
//!
//! libgit2 itself remembers only small trees (its cache takes trees of up to 4 KiB), so a folder of a thousand models
//! would be unpacked and checked again for each of them. Deliberately absent: references, and whole walks.

use crate::adapters::git::error::GitError;
use crate::adapters::git::tree::find_tree;
use git2::Oid;
use git2::Repository;
use std::collections::HashMap;

/// Up to this many entries libgit2's own cache does as well.
const SMALL: usize = 64;

/// Most entries that are remembered in all: some megabytes.
const MOST: usize = 100_000;

/// What is remembered.
#[derive(Default)]
pub(super) struct Folders {
    known: HashMap<Oid, HashMap<Vec<u8>, (i32, Oid)>>,
    entries: usize,
}

impl Folders {
    /// Returns mode and id of what a folder has under a name.
    pub(super) fn child(
        &mut self,
        repo: &Repository,
        folder: Oid,
        name: &[u8],
    ) -> Result<Option<(i32, Oid)>, GitError> {
        if let Some(known) = self.known.get(&folder) {
            return Ok(known.get(name).copied());
        }
        let tree = find_tree(repo, folder)?;
        if tree.len() > SMALL && tree.len() <= MOST {
            if self.entries + tree.len() > MOST {
                *self = Self::default();
            }
            self.entries += tree.len();
            let entries = tree.iter().map(|entry| (entry.name_bytes().to_vec(), (entry.filemode(), entry.id())));
            self.known.insert(folder, entries.collect());
        }
        Ok(tree.get_name_bytes(name).map(|entry| (entry.filemode(), entry.id())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository in memory of the file system only, with folders of so many files.
    fn folders_of(repo: &Repository, sizes: &[usize]) -> Vec<Oid> {
        let folder = |files: usize| {
            let mut tree = repo.treebuilder(None).expect("a tree can be begun");
            let blob = repo.blob(format!("{files}").as_bytes()).expect("a blob can be written");
            for index in 0..files {
                tree.insert(format!("f{index}"), blob, 0o100_644).expect("an entry");
            }
            tree.write().expect("a tree can be written")
        };
        sizes.iter().map(|files| folder(*files)).collect()
    }

    #[test]
    fn remembering_changes_no_answer_and_has_a_bound() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let repo = Repository::init_bare(home.path()).expect("a repository");
        let sizes = [SMALL, SMALL + 1, MOST / 2, MOST / 2 + 1];
        let ids = folders_of(&repo, &sizes);
        let mut folders = Folders::default();
        for _ in 0..2 {
            for (id, files) in ids.iter().zip(sizes) {
                let last = format!("f{}", files - 1);
                let plain = find_tree(&repo, *id).expect("it is there");
                let expected = plain.get_name_bytes(last.as_bytes()).map(|entry| (entry.filemode(), entry.id()));
                assert!(expected.is_some());
                assert_eq!(folders.child(&repo, *id, last.as_bytes()).expect("readable"), expected);
                assert_eq!(folders.child(&repo, *id, b"none").expect("readable"), None);
                assert_eq!(folders.entries, folders.known.values().map(HashMap::len).sum::<usize>());
                assert!(folders.entries <= MOST);
            }
            assert!(!folders.known.contains_key(&ids[0]));
        }
    }
}
