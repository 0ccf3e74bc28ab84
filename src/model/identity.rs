//! Identity, scheme 1: which bytes make two trainings the same training.
//!
//! The canonical encoding is that of [`CanonicalFields`]; the fields and their order stand in the functions
//! below, and `fixtures/identity/` holds test vectors, so that another implementation can find the same ids.
//! Deliberately not in any id: instance, volume, spot, run time, keys, network, tags, gates, approval, the
//! location of data, commit ids, branch names, times, and any key left at its default.

use crate::model::dataset::Dataset;
use crate::model::digest::CanonicalFields;
use crate::model::digest::DigestError;
use crate::model::digest::Sha256Digest;
use crate::model::git::ObjectId;
use crate::model::name::ChannelName;
use crate::model::settings::TrainingSettings;
use crate::model::settings::Watched;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Sha256Digest);

        impl $name {
            /// Wraps a digest that was computed by this scheme.
            pub fn from_digest(digest: Sha256Digest) -> Self {
                Self(digest)
            }

            /// Parses all 64 digits.
            pub fn parse(text: &str) -> Result<Self, DigestError> {
                Sha256Digest::parse(text).map(Self)
            }

            /// Returns the digest.
            pub fn digest(&self) -> &Sha256Digest {
                &self.0
            }

            /// Returns the first 12 digits.
            pub fn short(&self) -> &str {
                self.0.short()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

identity!(
    /// The settings that shape the result, and the Git tree that the model watches.
    CodeId
);
identity!(
    /// A commit's content: its code id and the digests of the data that the commit itself fixes.
    ContentId
);
identity!(
    /// What one training used: code id, every dataset's digest, the image's digest.
    Fingerprint
);

/// One entry of a Git tree that a watched path names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WatchedEntry {
    /// Path from the root of the repository, `/` between parts. Empty for the root itself.
    pub path: String,
    /// Git's mode: `100644`, `100755`, `120000`, `040000`, `160000`.
    pub mode: String,
    /// The object's id: a folder counts by its tree.
    pub object: ObjectId,
}

/// Computes the code id of the settings over the watched entries.
///
/// Fields, in this order: `command`, `image`, `signature` is *not* one (it changes the semantic version, not
/// the result), each hyperparameter, environment variable, metric declaration, declared output and channel name in byte order
/// of its name, `checkout` where it is `all`, then each entry sorted by path. Absent values write no field.
pub fn code_id(settings: &TrainingSettings, entries: &[WatchedEntry]) -> CodeId {
    CodeId(code_id_fields(settings, entries).digest())
}

/// Returns the fields behind [`code_id`], for people who want to see what went in.
pub fn code_id_fields(settings: &TrainingSettings, entries: &[WatchedEntry]) -> CanonicalFields {
    let mut fields = CanonicalFields::new("branchline/code-id/1");
    if let Some(command) = &settings.command {
        fields.field("command", command.as_bytes());
    }
    if let Some(image) = &settings.image {
        fields.field("image", image.as_bytes());
    }
    for (name, value) in &settings.hyperparameters {
        fields.field("hyperparameter", name.as_bytes()).field("value", value.as_bytes());
    }
    for (name, value) in &settings.environment {
        fields.field("environment", name.as_bytes()).field("value", value.as_bytes());
    }
    for (name, pattern) in &settings.metrics {
        fields.field("metric", name.as_str().as_bytes()).field("pattern", pattern.as_bytes());
    }
    for pattern in &settings.outputs.model {
        fields.field("output", pattern.as_bytes());
    }
    if let Some(file) = &settings.outputs.metrics {
        fields.field("output-metrics", file.as_bytes());
    }
    for (name, at) in &settings.outputs.values {
        let (json, path) = (at.json.as_bytes(), at.path.as_bytes());
        fields.field("output-metric", name.as_str().as_bytes()).field("json", json).field("at", path);
    }
    for channel in settings.data.keys() {
        fields.field("channel", channel.as_str().as_bytes());
    }
    if settings.watched == Watched::All {
        fields.field("checkout", b"all");
    }
    let mut sorted: Vec<&WatchedEntry> = entries.iter().collect();
    sorted.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    sorted.dedup();
    for entry in sorted {
        fields
            .field("path", entry.path.as_bytes())
            .field("mode", entry.mode.as_bytes())
            .field("object", entry.object.as_str().as_bytes());
    }
    fields
}

/// Computes a commit's content: the code id, and each dataset that the commit itself fixes.
pub fn content_id(code_id: &CodeId, datasets: &BTreeMap<ChannelName, Dataset>) -> ContentId {
    let mut fields = CanonicalFields::new("branchline/content/1");
    fields.field("code-id", code_id.digest().as_str().as_bytes());
    for (channel, dataset) in datasets.iter().filter(|(_, dataset)| dataset.kind.is_fixed_by_commit()) {
        fields.field("channel", channel.as_str().as_bytes()).field("digest", dataset.digest.as_bytes());
    }
    ContentId(fields.digest())
}

/// Computes what one training uses. The locations of data do not count, only their digests.
pub fn fingerprint(
    code_id: &CodeId,
    datasets: &BTreeMap<ChannelName, Dataset>,
    image_digest: Option<&str>,
) -> Fingerprint {
    Fingerprint(fingerprint_fields(code_id, datasets, image_digest).digest())
}

/// Computes what identifies an externally trained model: its code and the digest of its artifact.
///
/// It never equals what a training of ours computes, so that no push takes such a model for its own result.
pub fn fingerprint_elsewhere(code_id: &CodeId, artifact: &Sha256Digest) -> Fingerprint {
    let mut fields = CanonicalFields::new("branchline/elsewhere/1");
    fields.field("artifact", artifact.as_str().as_bytes()).field("code-id", code_id.digest().as_str().as_bytes());
    Fingerprint(fields.digest())
}

/// Computes the code id of a model that was trained from files which no commit holds: it is nobody else's, and the
/// same again for the same artifact beside the same commit.
pub fn code_id_unknown(beside: &CodeId, artifact: &Sha256Digest) -> CodeId {
    let mut fields = CanonicalFields::new("branchline/unknown-tree/1");
    fields.field("artifact", artifact.as_str().as_bytes()).field("code-id", beside.digest().as_str().as_bytes());
    CodeId(fields.digest())
}

/// Returns the fields behind [`fingerprint`].
pub fn fingerprint_fields(
    code_id: &CodeId,
    datasets: &BTreeMap<ChannelName, Dataset>,
    image_digest: Option<&str>,
) -> CanonicalFields {
    let mut fields = CanonicalFields::new("branchline/fingerprint/1");
    fields.field("code-id", code_id.digest().as_str().as_bytes());
    for (channel, dataset) in datasets {
        fields.field("channel", channel.as_str().as_bytes()).field("digest", dataset.digest.as_bytes());
    }
    if let Some(digest) = image_digest {
        fields.field("image-digest", digest.as_bytes());
    }
    fields
}
