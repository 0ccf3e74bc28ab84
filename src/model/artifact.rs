//! Artifacts: files that belong to a version, each with the digest of its whole content.

use crate::model::digest::Sha256Digest;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// A digest of a whole object that names its algorithm.
///
/// Never an ETag and never a composite checksum: those depend on how the object was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "algorithm", content = "value", rename_all = "lowercase")]
pub enum ObjectDigest {
    /// SHA-256 over the whole object.
    Sha256(Sha256Digest),
    /// CRC64NVME over the whole object, base64: what S3 can give for an object above 5 GB.
    Crc64Nvme(String),
}

impl ObjectDigest {
    /// Returns the SHA-256, where that is the algorithm.
    pub fn sha256(&self) -> Option<&Sha256Digest> {
        match self {
            Self::Sha256(digest) => Some(digest),
            Self::Crc64Nvme(_) => None,
        }
    }
}

impl fmt::Display for ObjectDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => write!(f, "sha256:{digest}"),
            Self::Crc64Nvme(text) => write!(f, "crc64nvme:{text}"),
        }
    }
}

/// Where an artifact can be opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Address {
    /// For programs: an `s3://` URI, or the absolute path of a file.
    pub location: String,
    /// For a browser: its page in the console of the service that keeps it, where there is one.
    pub url: Option<String>,
}

/// One file of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The file's plain name, such as `model.tar.gz`.
    pub name: String,
    /// The digest of the whole file.
    pub digest: ObjectDigest,
    /// Size in bytes.
    pub size: u64,
    /// Where it lies, as the store that keeps it spells it: `blob:sha256:…`, `file:/…`, `s3://…`.
    pub location: String,
}
