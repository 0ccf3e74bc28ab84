//! `HEAD`, branches, and the texts by which people name a commit.

use crate::adapters::git::error::GitError;
use crate::adapters::git::error::failed;
use crate::adapters::git::near::nearest;
use crate::adapters::git::open::GitRepository;
use crate::adapters::git::tree::object_id;
use crate::adapters::git::tree::oid;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::ObjectId;
use git2::ErrorCode;
use git2::Reference;
use git2::Repository;
use std::collections::BTreeMap;

const LOCAL: &str = "refs/heads/";
const REMOTE: &str = "refs/remotes/origin/";

/// What `HEAD` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// A branch is checked out.
    Branch {
        /// The branch.
        branch: BranchName,
        /// Its commit.
        commit: CommitSha,
    },
    /// A commit is checked out without a branch, as CI does for pull requests and tags.
    Detached {
        /// The commit.
        commit: CommitSha,
    },
    /// A branch that has no commit yet.
    Unborn {
        /// The branch.
        branch: BranchName,
    },
}

/// Whose word on a branch counts, where both the local branch and `origin/<branch>` exist.
///
/// On a laptop the local branch is what its owner means. In CI it may be left over from an earlier job on the same
/// machine, while `origin/<branch>` is what the checkout step fetched. Either falls back on the other: a shallow CI
/// checkout often has only one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heads {
    /// The local branch, else `origin/<branch>`: outside CI.
    Local,
    /// `origin/<branch>`, else the local branch: in CI.
    Remote,
}

impl GitRepository {
    /// Reads `HEAD`.
    pub fn head(&self) -> Result<Head, GitError> {
        let repo = self.repo();
        let head = repo.find_reference("HEAD").map_err(|error| failed(&repo, "read HEAD", error))?;
        let named = head.symbolic_target_bytes().and_then(|name| name.strip_prefix(LOCAL.as_bytes()));
        let Some(name) = named else {
            return Ok(Head::Detached { commit: commit_of(&repo, &head)? });
        };
        let name = String::from_utf8_lossy(name).into_owned();
        let branch = BranchName::parse(&name)
            .map_err(|error| GitError::Failed { doing: "read HEAD".to_owned(), source: Box::new(error) })?;
        match repo.find_reference(&format!("{LOCAL}{name}")) {
            Ok(reference) => Ok(Head::Branch { branch, commit: commit_of(&repo, &reference)? }),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(Head::Unborn { branch }),
            Err(error) => Err(failed(&repo, format!("read the branch {name}"), error)),
        }
    }

    /// Finds the commit that a text means: a full or short id, a branch, a tag, `HEAD`, or one of them with `~1`, `^2`.
    ///
    /// A branch that exists only as `origin/<text>` is found too. In a shallow clone an ancestor beyond the cut is an
    /// error that says so.
    pub fn resolve_commit(&self, text: &str) -> Result<CommitSha, GitError> {
        let repo = self.repo();
        let text = text.trim();
        // `:/text` and `^{/text}` search the history by a regular expression: nothing that an input should start.
        let searches = text.is_empty() || text.starts_with('-') || text.contains([':', '\0']) || text.contains("{/");
        if !searches {
            match repo.revparse_single(text) {
                Ok(object) => {
                    if let Ok(commit) = object.peel_to_commit() {
                        return object_id(commit.id());
                    }
                }
                Err(error) if error.code() == ErrorCode::Ambiguous => {
                    return Err(GitError::Ambiguous { text: text.to_owned() });
                }
                Err(_) => {
                    if let Ok(reference) = repo.find_reference(&format!("{REMOTE}{text}")) {
                        return commit_of(&repo, &reference);
                    }
                }
            }
        }
        let branches = all_branches(&repo, Heads::Local)?;
        Err(GitError::NoSuchCommit {
            text: text.to_owned(),
            shallow: repo.is_shallow(),
            near: nearest(text, branches.iter().map(|(name, _)| name.as_str())),
        })
    }

    /// Tells whether the commit is in this clone.
    pub fn has_commit(&self, commit: &CommitSha) -> bool {
        oid(commit).is_some_and(|id| self.repo().find_commit(id).is_ok())
    }

    /// Returns the commit of a branch, read now. None where neither this clone nor its `origin` knows the branch.
    pub fn branch_head(&self, branch: &BranchName, heads: Heads) -> Result<Option<CommitSha>, GitError> {
        let repo = self.repo();
        let order = match heads {
            Heads::Local => [LOCAL, REMOTE],
            Heads::Remote => [REMOTE, LOCAL],
        };
        for space in order {
            match repo.find_reference(&format!("{space}{branch}")) {
                Ok(reference) => return commit_of(&repo, &reference).map(Some),
                // A name that Git would not allow for a reference is no branch either.
                Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => {}
                Err(error) => return Err(failed(&repo, format!("read the branch {branch}"), error)),
            }
        }
        Ok(None)
    }

    /// Lists the branches of this clone and of its `origin` with their commits, sorted by name.
    pub fn branches(&self, heads: Heads) -> Result<Vec<(BranchName, CommitSha)>, GitError> {
        all_branches(&self.repo(), heads)
    }

    /// Lists the branches of `origin` alone, as the last fetch left them, sorted by name.
    pub fn fetched_branches(&self) -> Result<Vec<(BranchName, CommitSha)>, GitError> {
        branches_of(&self.repo(), &[REMOTE])
    }
}

fn all_branches(repo: &Repository, heads: Heads) -> Result<Vec<(BranchName, CommitSha)>, GitError> {
    // The later one of the two overwrites.
    match heads {
        Heads::Local => branches_of(repo, &[REMOTE, LOCAL]),
        Heads::Remote => branches_of(repo, &[LOCAL, REMOTE]),
    }
}

fn branches_of(repo: &Repository, spaces: &[&str]) -> Result<Vec<(BranchName, CommitSha)>, GitError> {
    let mut found = BTreeMap::new();
    for space in spaces.iter().copied() {
        let references =
            repo.references_glob(&format!("{space}*")).map_err(|error| failed(repo, "list the branches", error))?;
        for reference in references {
            let reference = reference.map_err(|error| failed(repo, "list the branches", error))?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            let Some(short) = name.strip_prefix(space) else { continue };
            // `origin/HEAD` points at the default branch and is none itself.
            if space == REMOTE && short == "HEAD" {
                continue;
            }
            if let (Ok(branch), Ok(commit)) = (BranchName::parse(short), commit_of(repo, &reference)) {
                found.insert(branch, commit);
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn commit_of(repo: &Repository, reference: &Reference<'_>) -> Result<ObjectId, GitError> {
    let commit = reference.peel_to_commit().map_err(|error| {
        failed(repo, format!("read the commit of {}", String::from_utf8_lossy(reference.name_bytes())), error)
    })?;
    object_id(commit.id())
}
