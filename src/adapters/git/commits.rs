//! Commits and the history of what a model watches.

use crate::adapters::git::changes::differ;
use crate::adapters::git::error::GitError;
use crate::adapters::git::error::failed;
use crate::adapters::git::open::GitRepository;
use crate::adapters::git::tree::lookup;
use crate::adapters::git::tree::object_id;
use crate::adapters::git::tree::oid;
use crate::adapters::git::watch::Selector;
use crate::model::git::CommitSha;
use crate::model::git::ObjectId;
use crate::model::settings::Watched;
use git2::Commit;
use git2::Oid;
use git2::Repository;
use git2::Sort;
use std::collections::BTreeSet;

/// Commits looked at for one answer about history, so that a long one cannot hold up a run.
const LOOKED_AT: usize = 50_000;

/// A commit, as far as it is shown or recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitSha,
    /// Its tree.
    pub tree: ObjectId,
    /// Its parents as the commit itself names them, also where a shallow clone does not have them.
    pub parents: Vec<CommitSha>,
    /// Parents that it names are not in this clone. A commit is a root only where `parents` is empty.
    pub shallow: bool,
    /// The first line of its message. Foreign text.
    pub subject: String,
    /// Who wrote it. Foreign text.
    pub author_name: String,
    /// The author's address. Foreign text.
    pub author_email: String,
    /// When it was committed.
    pub time: jiff::Timestamp,
}

/// Where a history ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryEnd {
    /// All of it was looked at.
    Root,
    /// Enough was found, or looked at.
    Limit,
    /// The clone is cut there; older commits exist elsewhere.
    Shallow,
}

/// The commits that changed something, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The commits.
    pub commits: Vec<CommitInfo>,
    /// Why there are no more.
    pub end: HistoryEnd,
}

impl GitRepository {
    /// Reads a commit.
    pub fn commit(&self, id: &CommitSha) -> Result<CommitInfo, GitError> {
        let repo = self.repo();
        info(&find(&repo, id)?)
    }

    /// Lists the commits reachable from `from` that changed a watched file, newest first, at most `limit`.
    ///
    /// A merge counts only where it differs from every parent. A commit at the cut of a shallow clone is not listed:
    /// what it changed cannot be known.
    pub fn history(&self, from: &CommitSha, watched: &Watched, limit: usize) -> Result<History, GitError> {
        self.search(from, watched, limit, LOOKED_AT)
    }

    /// Returns the newest commit that changed a watched file, looking at `look_at` commits: "hotfix #71".
    pub fn last_commit_touching(
        &self,
        from: &CommitSha,
        watched: &Watched,
        look_at: usize,
    ) -> Result<Option<CommitInfo>, GitError> {
        Ok(self.search(from, watched, 1, look_at.min(LOOKED_AT))?.commits.into_iter().next())
    }

    /// Returns the names of the authors of the commits that changed a watched file, and their logins where the address is
    /// one that GitHub gives out. Commits that `since` already has are left out. At most `look_at` are looked at.
    pub fn authors(
        &self,
        from: &CommitSha,
        since: Option<&CommitSha>,
        watched: &Watched,
        look_at: usize,
    ) -> Result<BTreeSet<String>, GitError> {
        let repo = self.repo();
        let selector = Selector::new(watched)?;
        let start = find(&repo, from)?.id();
        let walking = |error| failed(&repo, "walk the history", error);
        let mut walk = repo.revwalk().map_err(walking)?;
        walk.push(start).map_err(walking)?;
        if let Some(since) = since.and_then(|since| find(&repo, since).ok()) {
            walk.hide(since.id()).map_err(walking)?;
        }
        let mut authors = BTreeSet::new();
        for id in walk.take(look_at) {
            let commit = repo.find_commit(id.map_err(walking)?).map_err(walking)?;
            // What a commit at the cut of a shallow clone changed cannot be known: its author counts.
            if is_cut(&commit) || changes(&repo, &commit, &selector)? {
                let info = info(&commit)?;
                authors.extend(login_of_address(&info.author_email).map(str::to_owned));
                authors.insert(info.author_name);
            }
        }
        Ok(authors)
    }

    fn search(&self, from: &CommitSha, watched: &Watched, limit: usize, look_at: usize) -> Result<History, GitError> {
        let repo = self.repo();
        let selector = Selector::new(watched)?;
        let start = find(&repo, from)?.id();
        let walking = |error| failed(&repo, "walk the history", error);
        let mut walk = repo.revwalk().map_err(walking)?;
        walk.set_sorting(Sort::TIME).map_err(walking)?;
        walk.push(start).map_err(walking)?;
        let mut commits = Vec::new();
        let mut end = HistoryEnd::Root;
        for (looked_at, id) in walk.enumerate() {
            if commits.len() == limit || looked_at == look_at {
                return Ok(History { commits, end: HistoryEnd::Limit });
            }
            let commit = repo.find_commit(id.map_err(walking)?).map_err(walking)?;
            if is_cut(&commit) {
                end = HistoryEnd::Shallow;
            } else if changes(&repo, &commit, &selector)? {
                commits.push(info(&commit)?);
            }
        }
        Ok(History { commits, end })
    }
}

/// Reads the login out of `12345+login@users.noreply.github.com`. Source: "Setting your commit email address" in GitHub's
/// documentation.
fn login_of_address(address: &str) -> Option<&str> {
    let (local, host) = address.split_once('@')?;
    let login = local.split_once('+').map_or(local, |(_, login)| login);
    (host.starts_with("users.noreply.") && !login.is_empty()).then_some(login)
}

fn changes(repo: &Repository, commit: &Commit<'_>, selector: &Selector) -> Result<bool, GitError> {
    if commit.parent_count() == 0 {
        return differs(repo, None, commit.tree_id(), selector);
    }
    for parent in commit.parents() {
        if !differs(repo, Some(parent.tree_id()), commit.tree_id(), selector)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn differs(repo: &Repository, from: Option<Oid>, to: Oid, selector: &Selector) -> Result<bool, GitError> {
    // Without globs a few look-ups answer for a whole tree, whatever its size.
    let (Some(from), true) = (from, selector.is_plain() && !selector.all) else {
        return Ok(differ(repo, from, Some(to), Some(selector), 1)?.total > 0);
    };
    for literal in &selector.literals {
        let (old, new) = (lookup(repo, from, literal)?, lookup(repo, to, literal)?);
        if old != new {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finds a commit by its id.
pub(super) fn find<'r>(repo: &'r Repository, id: &CommitSha) -> Result<Commit<'r>, GitError> {
    oid(id).and_then(|id| repo.find_commit(id).ok()).ok_or_else(|| GitError::NoSuchCommit {
        text: id.short().to_owned(),
        shallow: repo.is_shallow(),
        near: Vec::new(),
    })
}

/// Returns the parents that the commit itself names. libgit2 hides those that a shallow clone does not have.
pub(super) fn real_parents(commit: &Commit<'_>) -> Vec<Oid> {
    commit
        .raw_header_bytes()
        .split(|b| *b == b'\n')
        .filter_map(|line| line.strip_prefix(b"parent "))
        .filter_map(|id| Oid::from_str(std::str::from_utf8(id).ok()?).ok())
        .collect()
}

/// Tells whether the clone is cut at this commit.
pub(super) fn is_cut(commit: &Commit<'_>) -> bool {
    real_parents(commit).len() != commit.parent_count()
}

fn info(commit: &Commit<'_>) -> Result<CommitInfo, GitError> {
    let author = commit.author();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let seconds = commit.time().seconds();
    let bound = if seconds < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    Ok(CommitInfo {
        id: object_id(commit.id())?,
        tree: object_id(commit.tree_id())?,
        parents: real_parents(commit).into_iter().map(object_id).collect::<Result<_, _>>()?,
        shallow: is_cut(commit),
        subject: commit.summary_bytes().map(text).unwrap_or_default(),
        author_name: text(author.name_bytes()),
        author_email: text(author.email_bytes()),
        time: jiff::Timestamp::from_second(seconds).unwrap_or(bound),
    })
}
