//! Datasets as a training used them: where from, and the digest that says which.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// What kind of digest identifies a dataset, and so what a change of it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetKind {
    /// A path tracked by Git: the object id. Fixed by the commit.
    Git,
    /// A `.dvc`, `dvc.lock` or LFS pointer in the commit: the hash it records. Fixed by the commit.
    Pointer,
    /// `version:` in the settings, as it is. Fixed by the commit.
    Stated,
    /// A local path outside Git: a digest of its content.
    Local,
    /// An object store: a digest of the listing, or of the manifest that `version_from` names.
    Remote,
}

impl DatasetKind {
    /// Tells whether the commit alone fixes the data. Only such digests are part of a commit's content.
    pub fn is_fixed_by_commit(self) -> bool {
        match self {
            Self::Git | Self::Pointer | Self::Stated => true,
            Self::Local | Self::Remote => false,
        }
    }
}

/// One dataset, identified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Where it lies, as the settings say it.
    pub uri: String,
    /// How it is identified.
    pub kind: DatasetKind,
    /// The identity, prefixed by its scheme: `git:<object id>`, `md5:…`, `sha256:…`, `version:<text>`.
    pub digest: String,
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.uri, self.digest)
    }
}
