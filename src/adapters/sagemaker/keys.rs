//! Where things of a training lie in the bucket: keys below the prefix of the account, as `Objects` wants them. Pure.

use crate::model::digest::Sha256Digest;
use crate::model::name::ProjectName;
use crate::model::name::StageName;
use crate::model::name::TrainingName;

/// The number that times are subtracted from, so that the newest comes first: 14 digits reach to the year 5138.
const LAST_MOMENT: i64 = 99_999_999_999_999;

/// Keys of one training stage of a project.
///
/// The stage comes first in every key, because rights in a bucket go by prefix: only the role of the stage writes below
/// `stages/<stage>/`, and what its training jobs write lies elsewhere, below `runs/<stage>/` and `checkpoints/<stage>/`.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) project: &'a ProjectName,
    pub(super) stage: &'a StageName,
}

impl Keys<'_> {
    fn below(&self, rest: &str) -> String {
        format!("{}/stages/{}/{rest}", self.project, self.stage)
    }

    fn beside(&self, what: &str, rest: &str) -> String {
        format!("{}/{what}/{}/{rest}", self.project, self.stage)
    }

    /// Where the output of all training jobs lies, by their names.
    pub(super) fn outputs(&self) -> String {
        self.beside("runs", "")
    }

    /// Everything that one training job writes beside its checkpoints.
    pub(super) fn outputs_of(&self, name: &TrainingName) -> String {
        self.beside("runs", &format!("{name}/"))
    }

    /// Where SageMaker writes the output of one training job: it adds `/<name>/output/…`. The digest of the
    /// specification is a part of the address, so that the job itself says what it was created with.
    pub(super) fn output(&self, name: &TrainingName, specification: &Sha256Digest) -> String {
        self.beside("runs", &format!("{name}/{specification}"))
    }

    /// The records of all training runs.
    pub(super) fn trainings(&self) -> String {
        self.below("trainings/")
    }

    /// Something of one training run.
    pub(super) fn training(&self, name: &TrainingName, what: &str) -> String {
        self.below(&format!("trainings/{name}/{what}"))
    }

    /// The markers of open training runs, or one of them.
    pub(super) fn open(&self, name: &str) -> String {
        self.below(&format!("open/{name}"))
    }

    /// The markers of training runs that succeeded.
    pub(super) fn ended(&self) -> String {
        self.below("ended/")
    }

    /// The marker of one that succeeded: the newest first in a listing.
    pub(super) fn ended_at(&self, name: &TrainingName, at: jiff::Timestamp) -> String {
        format!("{}{}-{name}", self.ended(), inverted(at))
    }

    /// A source archive and its bootstrap.
    pub(super) fn source(&self, digest: &str, what: &str) -> String {
        self.below(&format!("sources/{digest}/{what}"))
    }

    /// Uploaded data, or one file of them. `digest` begins with its scheme: `sha256:…`.
    pub(super) fn data(&self, digest: &str, path: &str) -> String {
        self.below(&format!("data/{}/{path}", plain(digest)))
    }

    /// Where spot training jobs of one fingerprint leave their checkpoints.
    pub(super) fn checkpoints(&self, fingerprint: &str) -> String {
        self.beside("checkpoints", &format!("{}/", fingerprint.get(..16).unwrap_or(fingerprint)))
    }
}

/// The specification of a training run that was begun before the records of stages were kept apart. Training jobs could
/// write there, so it is proof of nothing but that the name of its job is taken.
pub(super) fn earlier(project: &ProjectName, name: &TrainingName) -> String {
    format!("{project}/trainings/{name}/spec.json")
}

/// Only plain characters: a digest by version may hold any.
fn plain(digest: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if digest.chars().all(|c| legal(c) || c == ':') && digest.len() <= 128 {
        digest.replace(':', "-")
    } else {
        Sha256Digest::of(digest.as_bytes()).as_str().to_owned()
    }
}

/// Milliseconds counted backwards.
pub(super) fn inverted(at: jiff::Timestamp) -> String {
    format!("{:014}", LAST_MOMENT.saturating_sub(at.as_millisecond()).max(0))
}

/// Reads the marker of a training that succeeded: its inverted time and its name.
pub(super) fn read_ended(marker: &str) -> Option<(&str, TrainingName)> {
    let (time, name) = marker.split_at_checked(14)?;
    Some((time, TrainingName::reported(name.strip_prefix('-')?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_sorts_first() {
        let at = |text: &str| inverted(text.parse().expect("a time"));
        assert!(at("2026-11-21T10:00:00.001Z") < at("2026-11-21T10:00:00Z"));
        assert_eq!(at("2026-11-21T10:00:00Z").len(), 14);
        let marker = format!("{}-churn-dev-0123456789ab-1", at("2026-11-21T10:00:00Z"));
        assert_eq!(read_ended(&marker).map(|(_, name)| name.to_string()).as_deref(), Some("churn-dev-0123456789ab-1"));
        assert_eq!(read_ended("x"), None);
    }

    #[test]
    fn keys_are_plain() {
        assert_eq!(plain("git:0123"), "git-0123");
        assert_eq!(plain("version:2026 / ü").len(), 64);
    }
}
