//! Where the writing about one group is done: its account, its keys in the bucket, its clock.

use crate::adapters::aws::Session;
use crate::adapters::s3::lease::Lease;
use crate::adapters::s3::objects::Objects;
use crate::adapters::s3::version_folder;
use crate::adapters::sagemaker::registry::memory::Memory;
use crate::adapters::sagemaker::registry::record::Announcement;
use crate::adapters::sagemaker::registry::record::Finding;
use crate::adapters::sagemaker::registry::record::Line;
use crate::adapters::sagemaker::registry::record::Manifest;
use crate::adapters::sagemaker::registry::record::Record;
use crate::adapters::sagemaker::registry::record::StoredLine;
use crate::model::artifact::ObjectDigest;
use crate::model::digest::Sha256Digest;
use crate::model::history::Attribution;
use crate::model::identity::Fingerprint;
use crate::model::name::GroupName;
use crate::model::name::ProjectName;
use crate::model::version::VersionContent;
use crate::model::version::VersionNumber;
use crate::ports::Clock;
use crate::ports::PortError;
use std::sync::Arc;

/// The place of one group.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) session: Arc<Session>,
    pub(super) objects: Objects,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) project: ProjectName,
    pub(super) group: GroupName,
    /// Who we are to the lease where the run has no key.
    pub(super) instance: String,
    /// What the looks of this run share.
    pub(super) memory: Option<Arc<Memory>>,
    /// This is a look, which may use it. A change never does.
    pub(super) recalls: bool,
}

impl Desk {
    /// The present as it is stored: in microseconds, so that what is returned equals what is read back.
    pub(super) fn now(&self) -> jiff::Timestamp {
        let now = self.clock.now();
        jiff::Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// What was heard a moment ago, for a look.
    pub(super) fn recalled(&self) -> Option<&Memory> {
        self.memory.as_deref().filter(|_| self.recalls)
    }

    /// Takes the lease of the group, or waits for it.
    pub(super) async fn lease(&self, by: &Attribution, doing: &str) -> Result<Lease, PortError> {
        let owner = if by.run_key.is_empty() { &self.instance } else { &by.run_key };
        Lease::take(&self.objects, &self.clock, &self.key("lease.json"), owner, doing).await
    }

    /// Returns a key below the group's folder.
    pub(super) fn key(&self, rest: &str) -> String {
        format!("{}/{}/{rest}", self.project, self.group)
    }

    pub(super) fn book_key(&self) -> String {
        self.key("group.json")
    }

    pub(super) fn freeze_key(&self) -> String {
        self.key("freeze.json")
    }

    pub(super) fn record_key(&self, number: VersionNumber) -> String {
        self.key(&format!("versions/{:09}.json", number.0))
    }

    /// Where announcements of what is looked for lie, the newest first.
    pub(super) fn index_prefix(&self, finding: &Finding<'_>) -> String {
        match finding {
            Finding::Fingerprint(fingerprint) => self.key(&format!("index/fingerprint/{fingerprint}/")),
            Finding::Content(content) => self.key(&format!("index/content/{content}/")),
            Finding::Commit(commit) => self.key(&format!("index/commit/{commit}/")),
        }
    }

    /// The keys under which a version is announced.
    pub(super) fn index_keys(&self, manifest: &Manifest) -> Vec<String> {
        let newest_first = 99_999_999_999_999 - manifest.at.as_millisecond().clamp(0, 99_999_999_999_999);
        let name = format!("{newest_first:014}-{}.json", operation_digits(&manifest.operation));
        let content = &manifest.content;
        [
            Finding::Fingerprint(&content.fingerprint),
            Finding::Content(&content.content),
            Finding::Commit(&content.lineage.commit),
        ]
        .iter()
        .map(|finding| format!("{}{name}", self.index_prefix(finding)))
        .collect()
    }

    /// The folder of a version's files: where the store puts its first artifact.
    pub(super) fn folder(&self, content: &VersionContent) -> String {
        let digest = content.artifacts.first().map(|artifact| &artifact.digest);
        folder(&self.project, &self.group, &content.fingerprint, digest)
    }

    pub(super) fn history_key(&self, microseconds: i64, id: &str) -> String {
        self.key(&format!("history/{microseconds:016}-{id}.json"))
    }

    /// Reads what became of versions, in the order asked.
    pub(super) async fn records(
        &self,
        numbers: &[VersionNumber],
        doing: &str,
    ) -> Result<Vec<Option<Record>>, PortError> {
        let keys = numbers.iter().map(|number| self.record_key(*number)).collect();
        let found = self.objects.get_many::<Record>(keys, doing).await?;
        Ok(found.into_iter().map(|stored| stored.map(|stored| stored.value)).collect())
    }

    /// Reads the announcements of what is looked for, at most `most`, the newest first.
    pub(super) async fn announced(
        &self,
        finding: &Finding<'_>,
        most: usize,
        doing: &str,
    ) -> Result<Vec<Announcement>, PortError> {
        let keys = self.objects.list(&self.index_prefix(finding), None, most, doing).await?;
        let found = self.objects.get_many::<Announcement>(keys, doing).await?;
        Ok(found.into_iter().flatten().map(|stored| stored.value).collect())
    }

    /// Puts lines into the history. A line that is there already is there.
    pub(super) async fn publish(&self, lines: &[Line], doing: &str) -> Result<(), PortError> {
        for line in lines {
            let stored = StoredLine { schema: crate::adapters::s3::objects::SCHEMA, entry: line.entry.clone() };
            self.objects.create_json(&line.key, &stored, doing).await?;
        }
        Ok(())
    }
}

/// The digits of an operation that its objects carry in their names.
pub(super) fn operation_digits(operation: &Sha256Digest) -> &str {
    operation.as_str().get(..16).unwrap_or(operation.as_str())
}

fn folder(
    project: &ProjectName,
    group: &GroupName,
    fingerprint: &Fingerprint,
    digest: Option<&ObjectDigest>,
) -> String {
    // A version without artifacts has a manifest all the same.
    let none = ObjectDigest::Sha256(Sha256Digest::of(b""));
    version_folder(project, group, fingerprint, digest.unwrap_or(&none))
}
