//! Where things of a training lie in the bucket: keys below the prefix of the account, as `Objects` wants them. Pure.

use crate::model::name::ProjectName;
use crate::model::name::TrainingName;

/// The number that times are subtracted from, so that the newest comes first: 14 digits reach to the year 5138.
const LAST_MOMENT: i64 = 99_999_999_999_999;

/// Keys of one project.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) project: &'a ProjectName,
}

impl Keys<'_> {
    fn below(&self, rest: &str) -> String {
        format!("{}/{rest}", self.project)
    }

    /// Where SageMaker writes the output of all trainings: `<name>/output/…` below it.
    pub(super) fn output(&self) -> String {
        self.below("trainings")
    }

    /// The folders of all trainings.
    pub(super) fn trainings(&self) -> String {
        self.below("trainings/")
    }

    /// Something of one training.
    pub(super) fn training(&self, name: &TrainingName, what: &str) -> String {
        self.below(&format!("trainings/{name}/{what}"))
    }

    /// The markers of open trainings, or one of them.
    pub(super) fn open(&self, name: &str) -> String {
        self.below(&format!("open/{name}"))
    }

    /// The markers of trainings that succeeded.
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

    /// The mark that uploaded data are whole.
    pub(super) fn data_complete(&self, digest: &str) -> String {
        self.below(&format!("data/{}.complete", plain(digest)))
    }

    /// Where spot trainings of one fingerprint leave their checkpoints.
    pub(super) fn checkpoints(&self, fingerprint: &str) -> String {
        self.below(&format!("checkpoints/{}/", fingerprint.get(..16).unwrap_or(fingerprint)))
    }
}

/// Only plain characters: a digest by version may hold any.
fn plain(digest: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if digest.chars().all(|c| legal(c) || c == ':') && digest.len() <= 128 {
        digest.replace(':', "-")
    } else {
        crate::model::digest::Sha256Digest::of(digest.as_bytes()).as_str().to_owned()
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
