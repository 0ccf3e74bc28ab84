//! Identities that come from Git and from the host of the repository.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// Text that is not a Git object id or a branch name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}")]
pub struct GitNameError {
    what: &'static str,
    text: String,
}

/// A commit, tree or blob id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits, never all zeros.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId(String);

/// The id of a commit.
pub type CommitSha = ObjectId;

impl ObjectId {
    /// Parses a full object id. The all-zero id that hosts send for "no commit" is not one.
    pub fn parse(text: &str) -> Result<Self, GitNameError> {
        let lower = text.to_ascii_lowercase();
        let legal = matches!(lower.len(), 40 | 64)
            && lower.bytes().all(|b| b.is_ascii_hexdigit())
            && lower.bytes().any(|b| b != b'0');
        if legal { Ok(Self(lower)) } else { Err(GitNameError { what: "full commit id", text: text.to_owned() }) }
    }

    /// Returns all digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first 7 digits, as people write them.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl TryFrom<String> for ObjectId {
    type Error = GitNameError;
    fn try_from(text: String) -> Result<Self, GitNameError> {
        Self::parse(&text)
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> String {
        id.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A branch name without `refs/heads/`: any name that Git allows, hostile ones included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BranchName(String);

impl BranchName {
    /// Parses a short branch name by the rules of `git check-ref-format --branch`.
    pub fn parse(text: &str) -> Result<Self, GitNameError> {
        let illegal = text.is_empty()
            || text.len() > 1024
            || text == "@"
            || text.starts_with('-')
            || text.starts_with('/')
            || text.ends_with('/')
            || text.ends_with('.')
            || text.contains("..")
            || text.contains("//")
            || text.contains("@{")
            || text.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock"))
            || text
                .chars()
                .any(|c| c.is_ascii_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\'));
        if illegal {
            Err(GitNameError { what: "branch name", text: text.to_owned() })
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// Returns the short name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BranchName {
    type Error = GitNameError;
    fn try_from(text: String) -> Result<Self, GitNameError> {
        Self::parse(&text)
    }
}

impl From<BranchName> for String {
    fn from(name: BranchName) -> String {
        name.0
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of the repository's identity, strongest first.
///
/// A group belongs to one repository. Two observations are compared by the strongest kind that both have, so
/// that a clone, a rename on the host or a new remote is not taken for another repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryId {
    /// The host's own number, such as `GITHUB_REPOSITORY_ID`. It survives a rename.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_id: Option<String>,
    /// `host/owner/name`, from the CI host or the `origin` remote, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// The oldest root commit of the history, where it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<ObjectId>,
}

impl RepositoryId {
    /// Tells whether the other observation is known to be of another repository.
    pub fn is_foreign_to(&self, other: &RepositoryId) -> bool {
        if let (Some(mine), Some(theirs)) = (&self.host_id, &other.host_id) {
            return mine != theirs;
        }
        if let (Some(mine), Some(theirs)) = (&self.remote, &other.remote) {
            return !mine.eq_ignore_ascii_case(theirs);
        }
        match (&self.root, &other.root) {
            (Some(mine), Some(theirs)) => mine != theirs,
            // Nothing comparable is not proof of a stranger.
            _ => false,
        }
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.remote, &self.root, &self.host_id) {
            (Some(remote), _, _) => f.write_str(remote),
            (None, Some(root), _) => write!(f, "the repository that began with commit {}", root.short()),
            (None, None, Some(id)) => write!(f, "repository number {id}"),
            (None, None, None) => f.write_str("an unknown repository"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_not_a_commit() {
        assert!(ObjectId::parse(&"0".repeat(40)).is_err());
        assert!(ObjectId::parse(&"a".repeat(40)).is_ok());
        assert!(ObjectId::parse("abc1234").is_err());
    }

    #[test]
    fn hostile_but_legal_branch_names_are_names() {
        for name in ["zzz\";echo${IFS}\"x\";#", "feature/ünïcode", "feature/a_b", "a`b`", "$(x)"] {
            assert!(BranchName::parse(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a..b", "-x", "a\nb", "x.lock", "a/.b", "@", "a:b"] {
            assert!(BranchName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_strongest_common_kind_decides() {
        let id = |host: Option<&str>, remote: Option<&str>| RepositoryId {
            host_id: host.map(str::to_owned),
            remote: remote.map(str::to_owned),
            root: None,
        };
        assert!(!id(Some("1"), Some("h/a/b")).is_foreign_to(&id(Some("1"), Some("h/a/renamed"))));
        assert!(id(Some("1"), Some("h/a/b")).is_foreign_to(&id(Some("2"), Some("h/a/b"))));
        assert!(!id(None, Some("h/a/b")).is_foreign_to(&id(Some("1"), None)));
    }
}
