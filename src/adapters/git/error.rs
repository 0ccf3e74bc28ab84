//! What can go wrong with a repository, each with the next move. How libgit2 spells its errors stays here.

use crate::model::git::ObjectId;
use git2::ErrorClass;
use git2::ErrorCode;
use git2::Repository;
use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;

/// The cause of a failure, without the type of the library that raised it.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// A form of repository that libgit2 1.9 cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsupported {
    /// References in the reftable format.
    Reftable,
    /// Object ids of SHA-256.
    Sha256,
    /// A partial clone that says so in `extensions.partialClone`.
    PartialClone,
    /// Any other extension.
    Extension(String),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reftable => f.write_str(
                "its references are in the reftable format: convert them with `git refs migrate --ref-format=files`",
            ),
            Self::Sha256 => {
                f.write_str("its object ids are SHA-256, which is not supported: use a repository of SHA-1 object ids")
            }
            Self::PartialClone => f.write_str(
                "it is a partial clone (`extensions.partialClone`): make a full one, in a workflow without `filter:` \
                 on actions/checkout",
            ),
            Self::Extension(name) => {
                write!(f, "it uses the extension `{name}`, which is not supported: make a plain clone")
            }
        }
    }
}

/// Why a question about a repository has no certain answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyUnknown {
    /// The history is cut before the answer.
    Shallow,
    /// Objects were left out of a partial clone.
    Partial,
    /// The commit is not in the repository.
    NoSuchCommit(ObjectId),
    /// The two commits have no common ancestor, so that there is nothing to merge them over.
    Unrelated,
    /// Reading failed.
    Failed(String),
}

impl fmt::Display for WhyUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shallow => f.write_str(
                "the history is cut here (a shallow clone): set `fetch-depth: 0` on actions/checkout, or run `git \
                 fetch --unshallow`",
            ),
            Self::Partial => f.write_str(
                "files were left out of this clone (a partial clone): remove `filter:` from actions/checkout, or \
                 clone without `--filter`",
            ),
            Self::NoSuchCommit(id) => write!(
                f,
                "commit {} is not in this clone: set `fetch-depth: 0` on actions/checkout, or run `git fetch --all`",
                id.short()
            ),
            Self::Unrelated => f.write_str("the two commits have no common ancestor: their histories are unrelated"),
            Self::Failed(why) => write!(f, "reading the repository failed: {why}"),
        }
    }
}

/// A watched path that the commit does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPath {
    /// The path or glob, as the settings say it.
    pub path: String,
    /// Names in the commit that resemble it, best first.
    pub near: Vec<String>,
    /// It lies in the working tree, so it was only not committed.
    pub uncommitted: bool,
}

impl fmt::Display for MissingPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.path)?;
        if self.uncommitted {
            f.write_str(" (on disk, but not committed)")
        } else if let Some(best) = self.near.first() {
            write!(f, " (did you mean `{best}`?)")
        } else {
            Ok(())
        }
    }
}

/// A failure to find what a model watches.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Paths, or globs without a match, that the commit does not have: all of them.
    #[error("not in commit {}: {}; correct `paths`, or commit the files", .commit.short(), list(.paths))]
    Missing {
        /// The commit, or the tree of a merge.
        commit: ObjectId,
        /// All that are missing.
        paths: Vec<MissingPath>,
    },
    /// The repository could not be read.
    #[error(transparent)]
    Git(GitError),
}

fn list(paths: &[MissingPath]) -> String {
    paths.iter().map(MissingPath::to_string).collect::<Vec<_>>().join(", ")
}

/// A failure to read a repository or to check something out of it.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No repository here: in a workflow, no checkout step.
    #[error(
        "no Git repository at or above {}: run inside a clone, or in a workflow add this step first\n  - uses: \
         actions/checkout@v5\n    with:\n      fetch-depth: 0\n      persist-credentials: false", .start.display()
    )]
    NotARepository {
        /// Where the search began.
        start: PathBuf,
    },
    /// Another user owns the repository. Validation is never switched off.
    #[error(
        "the repository {} belongs to another user, so Git does not trust it: if you do, run\n  git config --global \
         --add safe.directory {}", .path.display(), quoted(.path)
    )]
    ForeignOwner {
        /// The folder that the `safe.directory` line has to name.
        path: PathBuf,
    },
    /// A repository of a form that cannot be read.
    #[error("cannot read the repository {}: {feature}", .path.display())]
    Unsupported {
        /// The folder of the repository.
        path: PathBuf,
        /// Which form.
        feature: Unsupported,
    },
    /// A text that names no commit of this repository.
    #[error("`{text}` is no commit, branch or tag of this repository{}{}", meant(.near), depth_hint(*.shallow))]
    NoSuchCommit {
        /// The text.
        text: String,
        /// The history is cut, so the commit may exist elsewhere.
        shallow: bool,
        /// Branches that resemble it.
        near: Vec<String>,
    },
    /// A short id that several commits share.
    #[error("`{text}` is short for more than one commit: write more digits")]
    Ambiguous {
        /// The text.
        text: String,
    },
    /// An object that should be there is not.
    #[error("cannot {doing}: {why}")]
    MissingObject {
        /// What was being done.
        doing: String,
        /// Why it is missing, as far as the repository says.
        why: WhyUnknown,
    },
    /// A path that is something else than a file.
    #[error("`{path}` is {what}, not a file")]
    NotAFile {
        /// The path in the repository.
        path: String,
        /// What it is, with its article.
        what: &'static str,
    },
    /// A pointer file of the commit that is not what its name says.
    #[error("cannot read `{file}` as a file of DVC: {why}")]
    Pointer {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file that is larger than what is read of its kind.
    #[error("`{path}` is larger than {limit}, which is more than is read of such a file")]
    LargeFile {
        /// The path in the repository.
        path: String,
        /// The bound that was passed.
        limit: &'static str,
    },
    /// A glob that cannot be read.
    #[error("`{pattern}` is not a usable glob: {why}")]
    Pattern {
        /// The glob.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file name that is not UTF-8, so that no other system could name it.
    #[error("the file name `{path}` is not UTF-8: rename the file")]
    NotUtf8 {
        /// The name, as far as it can be shown.
        path: String,
    },
    /// A tree entry that no honest commit has.
    #[error("refused to check out `{path}`: {why}")]
    Hostile {
        /// The path, as far as it can be shown.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two files that this file system cannot keep apart.
    #[error(
        "cannot check out `{path}`: this file system already has a file of that name; names may differ only by case"
    )]
    Collision {
        /// The path of the later one.
        path: String,
    },
    /// More entries, or deeper folders, than any real repository has.
    #[error("cannot {doing}: the tree has more than {limit}")]
    TooLarge {
        /// What was being done.
        doing: String,
        /// The bound that was passed.
        limit: &'static str,
    },
    /// Watched paths that the commit does not have.
    #[error(transparent)]
    Watched(Box<WatchError>),
    /// The folder to check out into is not empty.
    #[error("cannot check out into {}: the folder is not empty", .path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot write {}", .path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Anything else that libgit2 says.
    #[error("cannot {doing}")]
    Failed {
        /// What was being done.
        doing: String,
        /// What libgit2 says.
        #[source]
        source: Cause,
    },
}

impl GitError {
    /// Says why a question stays open, for answers that may be unknown instead of failing.
    pub fn why_unknown(&self) -> WhyUnknown {
        match self {
            Self::MissingObject { why, .. } => why.clone(),
            other => WhyUnknown::Failed(chain(other)),
        }
    }
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | ':' | '\\');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn meant(near: &[String]) -> String {
    near.first().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

fn depth_hint(shallow: bool) -> &'static str {
    if shallow {
        ": this clone is shallow; set `fetch-depth: 0` on actions/checkout, or run `git fetch --unshallow`"
    } else {
        ": if it is new, run `git fetch` first"
    }
}

/// Tells whether objects were left out on purpose: a promisor remote would have them.
///
/// `extensions.partialClone` is not asked for: libgit2 does not open such a repository at all.
pub(super) fn is_partial(repo: &Repository) -> bool {
    let Ok(config) = repo.config() else { return false };
    let Ok(mut entries) = config.entries(Some("remote\\..*\\.(promisor|partialclonefilter)")) else { return false };
    matches!(entries.next(), Some(Ok(_)))
}

/// Wraps what libgit2 says about an object or a reference.
pub(super) fn failed(repo: &Repository, doing: impl Into<String>, error: git2::Error) -> GitError {
    let doing = doing.into();
    if error.code() == ErrorCode::NotFound && matches!(error.class(), ErrorClass::Odb | ErrorClass::Object) {
        let why = if is_partial(repo) {
            WhyUnknown::Partial
        } else if repo.is_shallow() {
            WhyUnknown::Shallow
        } else {
            WhyUnknown::Failed(error.message().to_owned())
        };
        return GitError::MissingObject { doing, why };
    }
    GitError::Failed { doing, source: Box::new(error) }
}
