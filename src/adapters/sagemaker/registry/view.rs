//! A group as it is now: SageMaker's newest listing and the group's book, laid side by side.
//!
//! Where they differ, a person changed something or the listing lags behind: a description of the version decides.
//! Normally nothing differs, and a view costs one request however many versions there are. Left out: the view of a group
//! whose current version is far behind its newest ones, which is in `far`.

use crate::adapters::s3::objects::Stored;
use crate::adapters::sagemaker::registry::desk::Desk;
use crate::adapters::sagemaker::registry::listing::Described;
use crate::adapters::sagemaker::registry::listing::Entry;
use crate::adapters::sagemaker::registry::listing::Page;
use crate::adapters::sagemaker::registry::listing::Progress;
use crate::adapters::sagemaker::registry::metadata::decode_text;
use crate::adapters::sagemaker::registry::package::property;
use crate::adapters::sagemaker::registry::record::Book;
use crate::adapters::sagemaker::registry::record::FreezeMark;
use crate::adapters::sagemaker::registry::record::Intent;
use crate::adapters::sagemaker::registry::record::Manifest;
use crate::adapters::sagemaker::registry::record::Record;
use crate::facts::group::GroupLook;
use crate::model::approval::Approval;
use crate::model::digest::Sha256Digest;
use crate::model::history::Freeze;
use crate::model::name::GroupName;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionContent;
use crate::model::version::VersionNumber;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// How many differences are looked into at once; the newest first.
const DIFFERENCES: usize = 10;

/// How many versions without a record are described for one look.
const UNRECORDED: usize = 4;

/// How many versions may be newer than what was expected when an operation is looked for among them.
const CANDIDATES: usize = 20;

/// What a group is now.
pub(super) struct View {
    /// SageMaker has the group.
    pub(super) exists: bool,
    /// The newest versions, the highest number first.
    pub(super) entries: Vec<Entry>,
    /// Where the listing goes on, if there are more than those.
    pub(super) next: Option<String>,
    /// The book, as it was read.
    pub(super) book: Option<Stored<Book>>,
    /// The mark that stops automatic changes, as it was read.
    pub(super) freeze: Option<Stored<FreezeMark>>,
    /// What was described on the way.
    pub(super) described: BTreeMap<VersionNumber, Described>,
    /// Versions that the book knows and SageMaker does not have any more.
    pub(super) gone: BTreeSet<VersionNumber>,
    /// Set where only approved versions were listed: what the book stands for.
    pub(super) noted: Option<Noted>,
    /// The newest approved one beyond the entries, once it was looked for.
    approved_beyond: Option<Option<Entry>>,
}

/// What a view has from the book instead of from SageMaker.
pub(super) struct Noted {
    /// The highest number in the book.
    pub(super) newest: Option<VersionNumber>,
    /// Which entries are as they were noted last, or as a listing has them that may lag.
    pub(super) unsure: BTreeSet<VersionNumber>,
}

impl View {
    /// Lays side by side what was listed and what was read.
    pub(super) fn of(page: Option<Page>, book: Option<Stored<Book>>, freeze: Option<Stored<FreezeMark>>) -> Self {
        let exists = page.is_some();
        let page = page.unwrap_or_default();
        Self {
            exists,
            entries: page.entries,
            next: page.next,
            book,
            freeze,
            described: BTreeMap::new(),
            gone: BTreeSet::new(),
            noted: None,
            approved_beyond: None,
        }
    }

    pub(super) fn newest(&self) -> Option<VersionNumber> {
        let noted = self.noted.as_ref().and_then(|noted| noted.newest);
        self.entries.first().map(|entry| entry.number).max(noted)
    }

    pub(super) fn frozen(&self) -> Option<&Freeze> {
        self.freeze.as_ref()?.value.frozen.as_ref()
    }

    pub(super) fn entry(&self, number: VersionNumber) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.number == number)
    }

    /// Takes note of a version that was made or described just now.
    pub(super) fn put(&mut self, entry: Entry) {
        self.entries.retain(|known| known.number != entry.number);
        let at = self.entries.partition_point(|known| known.number > entry.number);
        self.entries.insert(at, entry);
        self.exists = true;
    }

    /// Returns the listings that would show this.
    pub(super) fn pages(&self) -> (Page, Option<Page>) {
        let newest = Page { entries: self.entries.clone(), next: self.next.clone() };
        let approved = self.approved_beyond.as_ref();
        let approved = approved.map(|found| Page { entries: found.iter().cloned().collect(), next: None });
        (newest, approved)
    }

    /// Takes note of an approval that was changed just now.
    pub(super) fn approve(&mut self, number: VersionNumber, approval: Approval) {
        for entry in self.entries.iter_mut().filter(|entry| entry.number == number) {
            entry.approval = approval;
        }
        self.approved_beyond = None;
    }

    fn is_within(&self, number: VersionNumber) -> bool {
        let listed = self.next.is_none() || self.entries.last().is_some_and(|oldest| number >= oldest.number);
        listed && self.noted.is_none()
    }

    /// Tells whether a version that is not among the entries may be there all the same.
    pub(super) fn may_be_beyond(&self, number: VersionNumber) -> bool {
        let older = self.next.is_some() && self.entries.last().is_some_and(|oldest| number < oldest.number);
        older || self.noted.is_some()
    }
}

impl Desk {
    /// Reads what the group is now.
    pub(super) async fn view(&self, doing: &str) -> Result<View, PortError> {
        let (book_key, freeze_key) = (self.book_key(), self.freeze_key());
        let freeze = self.objects.get_json::<FreezeMark>(&freeze_key, doing);
        let book = self.objects.get_json::<Book>(&book_key, doing);
        let (page, book, freeze) = tokio::join!(self.newest_page(doing), book, freeze);
        let mut view = View::of(page?, book?, freeze?);
        self.confirm(&mut view, doing).await?;
        Ok(view)
    }

    /// Reads what the group is now as far as a look needs it, which may repeat what was heard a moment ago.
    pub(super) async fn view_for(&self, look: &GroupLook, doing: &str) -> Result<View, PortError> {
        let Some(memory) = self.recalled() else { return self.view(doing).await };
        let book = self.objects.get_json::<Book>(&self.book_key(), doing).await?;
        // The book says whether what was heard still counts.
        memory.look(&self.group, book.as_ref().map(|book| book.etag.as_str()), self.clock.now());
        if let Some(book) = book.as_ref().filter(|_| memory.may_go_by_the_book(&self.group))
            && let Some(view) = Box::pin(self.far_view(book, look, doing)).await?
        {
            return Ok(view);
        }
        let freeze_key = self.freeze_key();
        let freeze = self.objects.get_json::<FreezeMark>(&freeze_key, doing);
        let (page, freeze) = tokio::join!(self.newest_page(doing), freeze);
        let mut view = View::of(page?, book, freeze?);
        self.confirm(&mut view, doing).await?;
        Ok(view)
    }

    /// Describes the versions of which the listing and the book say different things.
    pub(super) async fn confirm(&self, view: &mut View, doing: &str) -> Result<(), PortError> {
        let Some(book) = &view.book else { return Ok(()) };
        let (mut differing, mut missing) = (BTreeMap::new(), Vec::new());
        for (number, approval) in book.value.seen.iter().rev() {
            match view.entry(*number) {
                Some(entry) if entry.approval == *approval => {}
                Some(entry) => {
                    differing.insert(*number, entry.arn.clone());
                }
                None if view.is_within(*number) => missing.push(*number),
                None => {}
            }
        }
        missing.truncate(DIFFERENCES);
        for record in self.records(&missing, doing).await?.into_iter().flatten().filter(|record| !record.forgotten) {
            differing.insert(record.number, record.arn);
        }
        for (number, arn) in differing.into_iter().rev().take(DIFFERENCES) {
            match self.describe(&arn, doing).await? {
                Some(described) => {
                    view.put(described.entry.clone());
                    view.described.insert(number, described);
                }
                None => {
                    view.entries.retain(|entry| entry.number != number);
                    view.gone.insert(number);
                }
            }
        }
        Ok(())
    }

    /// Finds the newest approved version.
    pub(super) async fn current(&self, view: &mut View, doing: &str) -> Result<Option<Entry>, PortError> {
        if let Some(entry) = view.entries.iter().find(|entry| entry.is_approved()) {
            return Ok(Some(entry.clone()));
        }
        if view.next.is_none() {
            return Ok(None);
        }
        if let Some(found) = &view.approved_beyond {
            return Ok(found.clone());
        }
        let page = self.approved_page(doing).await?.unwrap_or_default();
        // The filter may lag: what was described just now knows better.
        let found = page.entries.into_iter().find(|entry| entry.is_approved() && view.entry(entry.number).is_none());
        view.approved_beyond = Some(found.clone());
        Ok(found)
    }

    /// Reads the versions behind entries, in the order given. The first ones without a record are described.
    pub(super) async fn versions(
        &self,
        entries: &[Entry],
        book: Option<&Book>,
        doing: &str,
    ) -> Result<Vec<Version>, PortError> {
        let numbers: Vec<VersionNumber> = entries.iter().map(|entry| entry.number).collect();
        let mut described = 0;
        let mut records = Vec::with_capacity(entries.len());
        for (entry, record) in entries.iter().zip(self.records(&numbers, doing).await?) {
            records.push(match record {
                Some(record) => as_listed(record, entry, book),
                None if described < UNRECORDED => {
                    described += 1;
                    match self.describe(&entry.arn, doing).await? {
                        Some(described) => self.recorded(&described, doing).await?,
                        None => continue,
                    }
                }
                None => their_record(entry, self.theirs_as_listed(entry, doing)?),
            });
        }
        records.retain(|record| !record.forgotten);
        let keys = records.iter().filter_map(|record| record.manifest.clone()).collect();
        let mut manifests = self.objects.get_many::<Manifest>(keys, doing).await?.into_iter();
        let mut versions = Vec::with_capacity(records.len());
        for record in records {
            let content = match (&record.manifest, &record.theirs) {
                (Some(key), _) => match manifests.next().flatten() {
                    Some(manifest) => manifest.value.content,
                    None => return Err(self.lost_manifest(key, record.number, doing)),
                },
                (None, Some(theirs)) => theirs.as_ref().clone(),
                (None, None) => return Err(self.lost_manifest("its content", record.number, doing)),
            };
            versions.push(version(&self.group, &record, content));
        }
        Ok(versions)
    }

    /// Makes the record of a version that has none: from its manifest, or of what SageMaker says of it.
    pub(super) async fn recorded(&self, described: &Described, doing: &str) -> Result<Record, PortError> {
        let Some((key, manifest)) = self.manifest_of(described, doing).await? else {
            return Ok(their_record(&described.entry, self.theirs(described, doing)?));
        };
        let mut record = Record::made(described.entry.number, &described.entry.arn, &key, &manifest);
        if record.approval != described.entry.approval {
            let duplicate = described.said.as_deref().is_some_and(|said| said.starts_with(DUPLICATE_OF));
            let rejection = if duplicate { Rejection::Duplicate } else { Rejection::Person };
            record.becomes(described.entry.approval, Some(rejection));
        }
        Ok(record)
    }

    /// Reads the manifest that a version names, and its key; `None`: it is not one of ours, of this group.
    pub(super) async fn manifest_of(
        &self,
        described: &Described,
        doing: &str,
    ) -> Result<Option<(String, Manifest)>, PortError> {
        let Some(operation) = operation_of(described) else { return Ok(None) };
        let location = described.properties.get(property::MANIFEST).and_then(|text| decode_text(text));
        let Some(key) = location.as_deref().and_then(|location| self.objects.key_of(location)) else { return Ok(None) };
        let Some(stored) = self.objects.get_json::<Manifest>(key, doing).await? else { return Ok(None) };
        // Anybody who may register a version may write any property.
        let ours = stored.value.group == self.group && stored.value.operation == operation;
        Ok(ours.then(|| (key.to_owned(), stored.value)))
    }

    /// Finds the versions that an operation made, the lowest number first, and counts those that came to nothing.
    pub(super) async fn made_by(
        &self,
        view: &View,
        operation: &Sha256Digest,
        after: Option<VersionNumber>,
        doing: &str,
    ) -> Result<(Vec<Described>, usize), PortError> {
        let (mut made, mut failed) = (Vec::new(), 0);
        let newer = view.entries.iter().filter(|entry| after.is_none_or(|after| entry.number > after));
        let unknown =
            newer.filter(|entry| view.book.as_ref().is_none_or(|book| !book.value.seen.contains_key(&entry.number)));
        for entry in unknown.take(CANDIDATES) {
            let Some(described) = self.describe(&entry.arn, doing).await? else { continue };
            if operation_of(&described).as_ref() == Some(operation) {
                if described.entry.progress == Progress::Failed {
                    failed += 1;
                } else {
                    made.push(described);
                }
            }
        }
        made.sort_by_key(|described| described.entry.number);
        Ok((made, failed))
    }

    fn lost_manifest(&self, what: &str, number: VersionNumber, doing: &str) -> PortError {
        let (group, location) = (&self.group, self.objects.location(what));
        PortError::because(
            PortErrorKind::Corrupt,
            doing,
            format!("{location}, which says what {group} {number} holds, is gone"),
        )
        .hint("Bring it back from the bucket's older versions, or delete the version in SageMaker.")
    }
}

/// How the approval description of a version that lost a race begins.
pub(super) const DUPLICATE_OF: &str = "duplicate of v";

/// Returns the operation that a version says it was made by.
pub(super) fn operation_of(described: &Described) -> Option<Sha256Digest> {
    let text = described.properties.get(property::OPERATION).and_then(|text| decode_text(text))?;
    Sha256Digest::parse(&text).ok()
}

/// What SageMaker says counts: a record that says otherwise is older, or a change is under way.
pub(super) fn as_listed(mut record: Record, entry: &Entry, book: Option<&Book>) -> Record {
    if record.approval == entry.approval {
        return record;
    }
    let rejection = match book.and_then(|book| book.intent.as_ref()) {
        Some(Intent::Approve { change, .. }) if change.number == entry.number && change.to == entry.approval => {
            change.rejection
        }
        _ => Some(Rejection::Person),
    };
    record.becomes(entry.approval, rejection);
    record
}

/// The record of a version that Branchline did not make.
pub(super) fn their_record(entry: &Entry, content: VersionContent) -> Record {
    Record {
        schema: crate::adapters::s3::objects::SCHEMA,
        number: entry.number,
        arn: entry.arn.clone(),
        manifest: None,
        operation: None,
        theirs: Some(Box::new(content)),
        registered_at: entry.created,
        approval: entry.approval,
        rejection: (entry.approval == Approval::Rejected).then_some(Rejection::Person),
        superseded: false,
        once_approved: entry.approval == Approval::Approved,
        forgotten: false,
    }
}

pub(super) fn version(group: &GroupName, record: &Record, content: VersionContent) -> Version {
    Version {
        group: group.clone(),
        number: record.number,
        registered_at: record.registered_at,
        approval: record.approval,
        rejection: record.rejection,
        superseded: record.superseded,
        once_approved: record.once_approved,
        content,
    }
}
