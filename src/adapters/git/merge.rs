//! Common ancestors, and the tree that a merge would have, made in memory.

use crate::adapters::git::commits::is_cut;
use crate::adapters::git::commits::real_parents;
use crate::adapters::git::error::GitError;
use crate::adapters::git::error::WhyUnknown;
use crate::adapters::git::error::failed;
use crate::adapters::git::open::GitRepository;
use crate::adapters::git::tree::object_id;
use crate::adapters::git::tree::oid;
use crate::adapters::git::tree::why_missing;
use crate::model::git::CommitSha;
use crate::model::git::ObjectId;
use git2::Commit;
use git2::ErrorCode;
use git2::Index;
use git2::MergeOptions;
use git2::Oid;
use git2::Repository;

/// The best common ancestor of two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeBase {
    /// It is this one.
    Found(CommitSha),
    /// There is none: unrelated histories.
    None,
    /// The clone does not hold enough to say.
    Unknown(WhyUnknown),
}

/// What merging would make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// This tree. It may exist only in the memory of this [`GitRepository`], where every function here finds it.
    Tree(ObjectId),
    /// Nothing: these paths conflict.
    Conflict(Vec<String>),
    /// The clone does not hold enough to say.
    Unknown(WhyUnknown),
}

impl GitRepository {
    /// Finds the best common ancestor. Never an older one only because the clone is cut: that is unknown.
    pub fn merge_base(&self, one: &CommitSha, two: &CommitSha) -> Result<MergeBase, GitError> {
        let repo = self.repo();
        match pair(&repo, one, two) {
            Ok((one, two)) => base(&repo, one.id(), two.id()),
            Err(why) => Ok(MergeBase::Unknown(why)),
        }
    }

    /// Returns the tree of merging `head` into `base`, without writing anything to disk.
    ///
    /// `test_merge` is the host's own merge, used where its parents are exactly `base` and `head`: the host's answer
    /// beats ours, and it needs no history. Else the two are merged here, with renames.
    pub fn merged_tree(
        &self,
        base: &CommitSha,
        head: &CommitSha,
        test_merge: Option<&CommitSha>,
    ) -> Result<Merged, GitError> {
        let repo = self.repo();
        if let Some(tree) = test_merge.and_then(|merge| tree_of_merge(&repo, merge, base, head)) {
            return object_id(tree).map(Merged::Tree);
        }
        let (ours, theirs) = match pair(&repo, base, head) {
            Ok(both) => both,
            Err(why) => return Ok(Merged::Unknown(why)),
        };
        match self::base(&repo, ours.id(), theirs.id())? {
            MergeBase::Found(ancestor) if ancestor == *base => return object_id(theirs.tree_id()).map(Merged::Tree),
            MergeBase::Found(ancestor) if ancestor == *head => return object_id(ours.tree_id()).map(Merged::Tree),
            MergeBase::Found(_) => {}
            MergeBase::None => return Ok(Merged::Unknown(WhyUnknown::Unrelated)),
            MergeBase::Unknown(why) => return Ok(Merged::Unknown(why)),
        }
        match merge(&repo, &ours, &theirs) {
            Err(GitError::MissingObject { why, .. }) => Ok(Merged::Unknown(why)),
            other => other,
        }
    }
}

fn pair<'r>(repo: &'r Repository, one: &ObjectId, two: &ObjectId) -> Result<(Commit<'r>, Commit<'r>), WhyUnknown> {
    let find =
        |id: &ObjectId| oid(id).and_then(|found| repo.find_commit(found).ok()).ok_or_else(|| why_missing(repo, id));
    Ok((find(one)?, find(two)?))
}

fn base(repo: &Repository, one: Oid, two: Oid) -> Result<MergeBase, GitError> {
    let found = match repo.merge_base(one, two) {
        Ok(id) => Some(id),
        Err(error) if error.code() == ErrorCode::NotFound => None,
        Err(error) => return Err(failed(repo, "find the common ancestor", error)),
    };
    if repo.is_shallow() && reaches_a_cut(repo, one, two, found)? {
        return Ok(MergeBase::Unknown(WhyUnknown::Shallow));
    }
    found.map_or(Ok(MergeBase::None), |id| object_id(id).map(MergeBase::Found))
}

/// Tells whether the clone is cut somewhere between the two commits and their ancestor: behind the cut there could be
/// a better one.
fn reaches_a_cut(repo: &Repository, one: Oid, two: Oid, ancestor: Option<Oid>) -> Result<bool, GitError> {
    let walking = |error| failed(repo, "find the common ancestor", error);
    let mut walk = repo.revwalk().map_err(walking)?;
    walk.push(one).map_err(walking)?;
    walk.push(two).map_err(walking)?;
    if let Some(ancestor) = ancestor {
        walk.hide(ancestor).map_err(walking)?;
    }
    for id in walk {
        let commit = repo.find_commit(id.map_err(walking)?).map_err(walking)?;
        if is_cut(&commit) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn tree_of_merge(repo: &Repository, merge: &ObjectId, base: &ObjectId, head: &ObjectId) -> Option<Oid> {
    let commit = repo.find_commit(oid(merge)?).ok()?;
    (real_parents(&commit) == [oid(base)?, oid(head)?]).then(|| commit.tree_id())
}

fn merge(repo: &Repository, ours: &Commit<'_>, theirs: &Commit<'_>) -> Result<Merged, GitError> {
    let merging = |error| failed(repo, "merge the two commits in memory", error);
    let mut options = MergeOptions::new();
    options.find_renames(true);
    let mut index = repo.merge_commits(ours, theirs, Some(&options)).map_err(merging)?;
    if index.has_conflicts() {
        return conflicts(&index).map(Merged::Conflict).map_err(merging);
    }
    let tree = index.write_tree_to(repo).map_err(merging)?;
    object_id(tree).map(Merged::Tree)
}

fn conflicts(index: &Index) -> Result<Vec<String>, git2::Error> {
    let mut paths = Vec::new();
    for conflict in index.conflicts()? {
        let conflict = conflict?;
        let entry = conflict.our.or(conflict.their).or(conflict.ancestor);
        if let Some(entry) = entry {
            paths.push(String::from_utf8_lossy(&entry.path).into_owned());
        }
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}
