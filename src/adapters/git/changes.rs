//! What differs between two commits or trees, down to files.

use crate::adapters::git::error::GitError;
use crate::adapters::git::open::GitRepository;
use crate::adapters::git::tree::Budget;
use crate::adapters::git::tree::Entry;
use crate::adapters::git::tree::checked_name;
use crate::adapters::git::tree::entries;
use crate::adapters::git::tree::object_id;
use crate::adapters::git::tree::tree_id;
use crate::adapters::git::watch::Selector;
use crate::model::git::ObjectId;
use crate::model::settings::Watched;
use git2::Oid;
use git2::Repository;
use std::collections::BTreeMap;

/// A file that differs. A rename is one that went and one that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathChange {
    /// Its path.
    pub path: String,
    /// What it was. None where it is new.
    pub from: Option<ObjectId>,
    /// What it became. None where it went; the same as `from` where only the mode changed.
    pub to: Option<ObjectId>,
}

/// The files that differ: the first of them, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// The first, in the order of their paths.
    pub paths: Vec<String>,
    /// How many differ in all.
    pub total: usize,
}

impl GitRepository {
    /// Lists the files that differ between two commits or trees, watched ones only where `watched` is given.
    pub fn changed_paths(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        watched: Option<&Watched>,
    ) -> Result<Vec<PathChange>, GitError> {
        Ok(self.difference(from, to, watched, usize::MAX)?.shown)
    }

    /// Names the files that differ, at most `limit` of them, and counts all.
    pub fn differing_paths(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        watched: &Watched,
        limit: usize,
    ) -> Result<Differing, GitError> {
        let found = self.difference(from, to, Some(watched), limit)?;
        Ok(Differing { paths: found.shown.into_iter().map(|change| change.path).collect(), total: found.total })
    }

    fn difference(
        &self,
        from: &ObjectId,
        to: &ObjectId,
        watched: Option<&Watched>,
        limit: usize,
    ) -> Result<Found, GitError> {
        let repo = self.repo();
        let selector = watched.map(Selector::new).transpose()?;
        let (from, to) = (tree_id(&repo, from)?, tree_id(&repo, to)?);
        let mut search = Search::new(&repo, selector.as_ref(), limit, Enough::All);
        search.trees(Some(from), Some(to), &mut Vec::new(), 0)?;
        search.found.shown.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(search.found)
    }
}

/// Differences found.
pub(super) struct Found {
    pub(super) shown: Vec<PathChange>,
    pub(super) total: usize,
}

/// Looks for at most `limit` differences between two trees and stops there.
pub(super) fn differ(
    repo: &Repository,
    from: Option<Oid>,
    to: Option<Oid>,
    selector: Option<&Selector>,
    limit: usize,
) -> Result<Found, GitError> {
    let mut search = Search::new(repo, selector, limit, Enough::Limit);
    search.trees(from, to, &mut Vec::new(), 0)?;
    Ok(search.found)
}

#[derive(PartialEq, Eq)]
enum Enough {
    All,
    Limit,
}

struct Search<'a> {
    repo: &'a Repository,
    selector: Option<&'a Selector>,
    limit: usize,
    enough: Enough,
    budget: Budget,
    found: Found,
}

impl<'a> Search<'a> {
    fn new(repo: &'a Repository, selector: Option<&'a Selector>, limit: usize, enough: Enough) -> Self {
        let found = Found { shown: Vec::new(), total: 0 };
        Self { repo, selector, limit, enough, budget: Budget::new("compare two commits"), found }
    }

    fn is_done(&self) -> bool {
        self.enough == Enough::Limit && self.found.total >= self.limit
    }

    /// Compares folders name by name, entering only those whose ids differ.
    fn trees(&mut self, from: Option<Oid>, to: Option<Oid>, path: &mut Vec<u8>, depth: usize) -> Result<(), GitError> {
        if from == to {
            return Ok(());
        }
        let mut sides: BTreeMap<Vec<u8>, (Option<Entry>, Option<Entry>)> = BTreeMap::new();
        for entry in self.list(from)? {
            let name = entry.name.clone();
            sides.entry(name).or_default().0 = Some(entry);
        }
        for entry in self.list(to)? {
            let name = entry.name.clone();
            sides.entry(name).or_default().1 = Some(entry);
        }
        let folder = path.len();
        for (name, (from, to)) in sides {
            if self.is_done() {
                break;
            }
            self.budget.pay(depth)?;
            let same = from.as_ref().map(|e| (e.mode, e.id)) == to.as_ref().map(|e| (e.mode, e.id));
            if !same {
                if folder > 0 {
                    path.push(b'/');
                }
                path.extend_from_slice(checked_name(&name, path)?);
                self.entries(from, to, path, depth)?;
                path.truncate(folder);
            }
        }
        Ok(())
    }

    fn list(&self, tree: Option<Oid>) -> Result<Vec<Entry>, GitError> {
        tree.map_or_else(|| Ok(Vec::new()), |id| entries(self.repo, id))
    }

    fn entries(
        &mut self,
        from: Option<Entry>,
        to: Option<Entry>,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), GitError> {
        let folder = |entry: &Option<Entry>| entry.as_ref().filter(|entry| entry.is_folder()).map(|entry| entry.id);
        let file = |entry: &Option<Entry>| entry.as_ref().filter(|entry| !entry.is_folder()).map(|entry| entry.id);
        let (old, new) = (file(&from), file(&to));
        if (old.is_some() || new.is_some()) && self.selector.is_none_or(|selector| selector.covers(path)) {
            self.found.total += 1;
            if self.found.shown.len() < self.limit {
                self.found.shown.push(PathChange {
                    path: String::from_utf8_lossy(path).into_owned(),
                    from: old.map(object_id).transpose()?,
                    to: new.map(object_id).transpose()?,
                });
            }
        }
        let (old, new) = (folder(&from), folder(&to));
        if (old.is_some() || new.is_some()) && self.selector.is_none_or(|selector| selector.may_contain(path)) {
            self.trees(old, new, path, depth + 1)?;
        }
        Ok(())
    }
}
