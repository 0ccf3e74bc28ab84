//! The names of artifacts below the prefix: `<project>/<group>/<fingerprint 16>-<digest 12>/<artifact name>`.

use crate::model::artifact::Artifact;
use crate::model::artifact::ObjectDigest;
use crate::model::digest::Sha256Digest;
use crate::model::identity::Fingerprint;
use crate::model::name::GroupName;
use crate::model::name::ProjectName;

/// What else lies in a group's folder, and is kept by the registry.
const RECORDS: [&str; 6] = ["index/", "versions/", "history/", "group.json", "freeze.json", "lease.json"];

/// What lies beside the groups of a project, and is kept by the trainer and the data sets.
/// The last five are those of an earlier layout.
const BESIDE: [&str; 8] = ["stages/", "runs/", "checkpoints/", "trainings/", "open/", "ended/", "sources/", "data/"];

/// Returns the folder of an artifact below the prefix, without a slash at its end.
pub fn version_folder(
    project: &ProjectName,
    group: &GroupName,
    fingerprint: &Fingerprint,
    digest: &ObjectDigest,
) -> String {
    let fingerprint: String = fingerprint.to_string().chars().take(16).collect();
    format!("{project}/{group}/{fingerprint}-{}", digits(digest))
}

/// Returns the key of an artifact below the prefix.
pub(super) fn artifact_key(
    project: &ProjectName,
    group: &GroupName,
    fingerprint: &Fingerprint,
    artifact: &Artifact,
) -> String {
    format!("{}/{}", version_folder(project, group, fingerprint, &artifact.digest), plain(&artifact.name))
}

/// Returns the first 12 hexadecimal digits of a digest.
fn digits(digest: &ObjectDigest) -> String {
    let hex = match digest {
        ObjectDigest::Sha256(digest) => digest.as_str().to_owned(),
        ObjectDigest::Crc64Nvme(text) => match aws_smithy_types::base64::decode(text) {
            Ok(bytes) => hex::encode(bytes),
            Err(_) => Sha256Digest::of(text.as_bytes()).as_str().to_owned(),
        },
    };
    hex.chars().take(12).collect()
}

/// Keeps plain characters. Where that changed the name, a short hash keeps two names apart.
fn plain(name: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && name.chars().all(legal) && !name.starts_with("manifest-") {
        return name.to_owned();
    }
    let kept: String = name.chars().map(|c| if legal(c) { c } else { '_' }).take(64).collect();
    format!("{}-{kept}", Sha256Digest::of(name.as_bytes()).short())
}

/// What a key below a project's folder is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose<'a> {
    /// An artifact with this name.
    Artifact(&'a str),
    /// A record of ours, which others take care of.
    Record,
    /// Nothing that we write.
    Unknown,
}

/// Tells what a key is; `rest` is what follows `<prefix>/<project>/`.
pub(super) fn whose(rest: &str) -> Whose<'_> {
    if BESIDE.iter().any(|beside| rest.starts_with(beside)) {
        return Whose::Record;
    }
    let Some((_, below)) = rest.split_once('/') else { return Whose::Unknown };
    if RECORDS.iter().any(|record| below == *record || (record.ends_with('/') && below.starts_with(record))) {
        return Whose::Record;
    }
    let Some((folder, name)) = below.split_once('/') else { return Whose::Unknown };
    let hex = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let ours = folder.split_once('-').is_some_and(|(fingerprint, digest)| hex(fingerprint, 16) && hex(digest, 12));
    if !ours || name.is_empty() || name.contains('/') {
        Whose::Unknown
    } else if name.starts_with("manifest-") {
        Whose::Record
    } else {
        Whose::Artifact(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, digest: ObjectDigest) -> String {
        let project = ProjectName::parse("churn").expect("a name");
        let group = GroupName::parse("churn-dev").expect("a name");
        let fingerprint = Fingerprint::from_digest(Sha256Digest::of(b"f"));
        let artifact = Artifact { name: name.to_owned(), digest, size: 1, location: String::new() };
        artifact_key(&project, &group, &fingerprint, &artifact)
    }

    #[test]
    fn a_key_says_what_and_whose() {
        let sha256 = ObjectDigest::Sha256(Sha256Digest::of(b""));
        let made = key("model.tar.gz", sha256.clone());
        assert_eq!(made, "churn/churn-dev/252f10c83610ebca-e3b0c44298fc/model.tar.gz");
        assert_eq!(whose("churn-dev/252f10c83610ebca-e3b0c44298fc/model.tar.gz"), Whose::Artifact("model.tar.gz"));
        let large = key("model.tar.gz", ObjectDigest::Crc64Nvme("rosUhgp5mIg=".to_owned()));
        assert_eq!(large, "churn/churn-dev/252f10c83610ebca-ae8b14860a79/model.tar.gz");
        for odd in ["../secret", "a b", "", "manifest-1.json", "ü/x"] {
            let made = key(odd, sha256.clone());
            let name = made.rsplit('/').next().expect("it has one");
            let rest = made.strip_prefix("churn/").expect("it is below the project");
            assert_eq!(whose(rest), Whose::Artifact(name), "{odd}: {made}");
        }
    }

    #[test]
    fn records_and_strangers_are_no_artifacts() {
        for record in [
            "churn-dev/252f10c83610ebca-e3b0c44298fc/manifest-0123456789abcdef.json",
            "churn-dev/index/fingerprint/x/y.json",
            "churn-dev/versions/000000001.json",
            "churn-dev/group.json",
            "trainings/churn-dev-0123-1/spec.json",
            "data/0123/train.csv",
        ] {
            assert_eq!(whose(record), Whose::Record, "{record}");
        }
        for unknown in ["notes.txt", "churn-dev/backup/model.tar.gz", "churn-dev/252f10c83610ebca-e3b0c44298fc/a/b"] {
            assert_eq!(whose(unknown), Whose::Unknown, "{unknown}");
        }
    }
}
