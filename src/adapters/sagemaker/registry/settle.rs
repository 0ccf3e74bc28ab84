//! What the next writer does first: complete what an earlier one began, and take note of what people did in SageMaker.
//!
//! People's changes enter the history as theirs, with the event `SageMaker`. A group that was made by others is taken
//! as it is: its newest versions are noted, none is changed. A book that was lost is written again from the versions'
//! manifests.

use crate::adapters::sagemaker::registry::held::Happened;
use crate::adapters::sagemaker::registry::held::Held;
use crate::adapters::sagemaker::registry::listing::Described;
use crate::adapters::sagemaker::registry::listing::PAGE;
use crate::adapters::sagemaker::registry::listing::Progress;
use crate::adapters::sagemaker::registry::record::Finding;
use crate::adapters::sagemaker::registry::record::Intent;
use crate::adapters::sagemaker::registry::record::Manifest;
use crate::adapters::sagemaker::registry::record::Record;
use crate::adapters::sagemaker::registry::record::SEEN;
use crate::adapters::sagemaker::registry::record::completed;
use crate::model::approval::Approval;
use crate::model::history::Attribution;
use crate::model::history::HistoryAction;
use crate::model::version::Rejection;
use crate::model::version::VersionNumber;
use crate::ports::PortError;

/// How many versions that nobody noted are looked into by one writer; the oldest first.
const UNNOTED: usize = 20;

/// How many versions of a group that is taken over are described: the newest ones.
const TAKEN_OVER: usize = 5;

/// The event that people's doings in SageMaker are journalled under.
const THEIR_EVENT: &str = "SageMaker";

impl Held<'_> {
    /// Completes what was begun, and takes note of what people did.
    pub(super) async fn settle(&mut self) -> Result<(), PortError> {
        // The last writer may have died before it published its lines.
        self.desk.publish(&self.book.outbox, self.doing).await?;
        self.book.outbox.clear();
        if self.view.book.is_none() && !self.view.entries.is_empty() {
            return self.begin().await;
        }
        if let Some(intent) = self.book.intent.clone() {
            self.complete(intent).await?;
        }
        self.note_people().await
    }

    /// Completes what the book says was about to be done, as far as SageMaker says it was.
    async fn complete(&mut self, intent: Intent) -> Result<(), PortError> {
        match intent {
            Intent::Register { operation, manifest, announcements, newest, supersedes } => {
                let (mut made, _) = self.desk.made_by(&self.view, &operation, newest, self.doing).await?;
                let stored = self.desk.objects.get_json::<Manifest>(&manifest, self.doing).await?;
                let (Some(stored), false) = (stored, made.is_empty()) else {
                    self.book.intent = None;
                    return Ok(());
                };
                let mut first = made.remove(0);
                if first.entry.progress == Progress::Making {
                    first = self.await_made(&first.entry.arn).await?;
                }
                self.finish_registration(&first, &manifest, &stored.value, &announcements, &supersedes).await?;
                self.reject_duplicates(&made, first.entry.number, &stored.value).await
            }
            Intent::Approve { change, at } => {
                let entry = self.desk.find(&self.view, change.number, self.doing).await?;
                match entry {
                    Some(entry) if entry.approval == change.to => self.finish_approval(&entry, &change, at).await,
                    Some(_) | None => {
                        self.book.intent = None;
                        Ok(())
                    }
                }
            }
            Intent::Forget { number, by, at } => {
                if self.desk.find(&self.view, number, self.doing).await?.is_some() {
                    self.book.intent = None;
                    return Ok(());
                }
                self.finish_forgetting(number, &by, at).await
            }
            Intent::Freeze { frozen, by, at } => {
                if self.view.frozen().is_some() != frozen {
                    self.book.intent = None;
                    return Ok(());
                }
                self.finish_freeze(frozen, &by, at).await
            }
        }
    }

    /// Takes note of what people changed, made and deleted.
    async fn note_people(&mut self) -> Result<(), PortError> {
        let mut happened = Vec::new();
        let mut noted = false;
        let changed: Vec<Described> = self.view.described.values().cloned().collect();
        for described in changed {
            let entry = &described.entry;
            if self.book.seen.get(&entry.number).is_none_or(|seen| *seen == entry.approval) {
                continue;
            }
            let record = self.desk.records(&[entry.number], self.doing).await?.into_iter().next().flatten();
            let mut record = match record {
                Some(record) => record,
                None => self.desk.recorded(&described, self.doing).await?,
            };
            record.becomes(entry.approval, Some(Rejection::Person));
            self.keep(&record).await?;
            self.book.note(entry.number, entry.approval);
            noted = true;
            let action = match entry.approval {
                Approval::Approved => HistoryAction::Approved,
                Approval::Rejected => HistoryAction::Rejected,
                // Taken back: there is no word for it, and nothing follows from it.
                Approval::PendingManualApproval => continue,
            };
            happened.push(theirs(action, entry.number, described.modified_by.clone(), described.modified, self));
        }
        let gone: Vec<VersionNumber> = self.view.gone.iter().copied().collect();
        for number in gone {
            self.strike(number).await?;
            noted = true;
            happened.push(theirs(HistoryAction::Pruned, number, None, None, self));
        }
        noted |= self.note_versions(&mut happened).await?;
        if !noted && happened.is_empty() {
            return Ok(());
        }
        let now = self.desk.now();
        self.commit(&happened, now).await
    }

    /// Takes note of versions that nobody noted: those of people, and ours whose writer died long ago.
    async fn note_versions(&mut self, happened: &mut Vec<Happened>) -> Result<bool, PortError> {
        let full = self.book.seen.len() >= SEEN;
        let oldest = self.book.seen.keys().next().copied().filter(|_| full);
        let unnoted = self.view.entries.iter().rev().filter(|entry| {
            !self.book.seen.contains_key(&entry.number) && oldest.is_none_or(|oldest| entry.number > oldest)
        });
        let unnoted: Vec<String> = unnoted.take(UNNOTED).map(|entry| entry.arn.clone()).collect();
        let mut noted = false;
        for arn in unnoted {
            let Some(described) = self.desk.describe(&arn, self.doing).await? else { continue };
            let number = described.entry.number;
            match described.entry.progress {
                Progress::Made => noted = true,
                // Whoever comes later sees what became of it.
                Progress::Making => continue,
                Progress::Failed => {
                    noted = true;
                    self.book.note(number, described.entry.approval);
                    continue;
                }
            }
            match self.desk.manifest_of(&described, self.doing).await? {
                Some((key, manifest)) => {
                    let finding = Finding::Fingerprint(&manifest.content.fingerprint);
                    let announced = self.desk.announced(&finding, 64, self.doing).await?;
                    let earlier = announced.iter().find(|one| one.operation == manifest.operation);
                    match earlier.and_then(|one| one.number).filter(|earlier| *earlier != number) {
                        Some(earlier) => self.reject_duplicates(&[described], earlier, &manifest).await?,
                        None => {
                            let announcements = self.desk.index_keys(&manifest);
                            self.finish_registration(&described, &key, &manifest, &announcements, &[]).await?;
                        }
                    }
                }
                None => {
                    let record = self.desk.recorded(&described, self.doing).await?;
                    self.keep(&record).await?;
                    self.book.note(number, record.approval);
                    let (who, when) = (described.created_by.clone(), Some(described.entry.created));
                    happened.push(theirs(HistoryAction::Registered, number, who.clone(), when, self));
                    if record.approval == Approval::Approved {
                        let who = described.modified_by.clone().or(who);
                        happened.push(theirs(HistoryAction::Approved, number, who, when, self));
                    }
                }
            }
        }
        Ok(noted)
    }

    /// Begins a book for a group that has versions already: taken over from others, or ours whose book was lost.
    async fn begin(&mut self) -> Result<(), PortError> {
        let newest: Vec<String> = self.view.entries.iter().take(TAKEN_OVER).map(|entry| entry.arn.clone()).collect();
        let current = self.desk.current(&mut self.view, self.doing).await?;
        let mut described = Vec::new();
        for arn in newest.iter().chain(current.iter().map(|entry| &entry.arn)) {
            described.extend(self.desk.describe(arn, self.doing).await?);
        }
        let mut ours = false;
        for one in &described {
            ours |= self.write_again(one).await?;
        }
        if ours {
            self.write_all_again().await?;
        }
        let entries: Vec<(VersionNumber, Approval)> =
            self.view.entries.iter().rev().map(|entry| (entry.number, entry.approval)).collect();
        for (number, approval) in entries {
            self.book.note(number, approval);
        }
        let now = self.desk.now();
        self.commit(&[], now).await
    }

    /// Goes through the whole listing once. It costs a request for each version, and happens only after a loss.
    async fn write_all_again(&mut self) -> Result<(), PortError> {
        let mut entries = self.view.entries.clone();
        let mut next = self.view.next.clone();
        while let Some(token) = next.take() {
            let page = self.desk.page(Some(token), None, PAGE, self.doing).await?.unwrap_or_default();
            entries.extend(page.entries);
            next = page.next;
        }
        entries.reverse();
        for entry in entries {
            if let Some(described) = self.desk.describe(&entry.arn, self.doing).await? {
                self.write_again(&described).await?;
            }
        }
        Ok(())
    }

    /// Writes record and announcements of a version again, where they are missing. `true`: it is one of ours.
    async fn write_again(&mut self, described: &Described) -> Result<bool, PortError> {
        let number = described.entry.number;
        let known = self.desk.records(&[number], self.doing).await?.into_iter().next().flatten();
        let record = match known {
            Some(record) => record,
            None => {
                let record = self.desk.recorded(described, self.doing).await?;
                self.keep(&record).await?;
                record
            }
        };
        let Some((key, manifest)) = self.desk.manifest_of(described, self.doing).await? else { return Ok(false) };
        if record.rejection != Some(Rejection::Duplicate) {
            self.announce(&self.desk.index_keys(&manifest), &key, &manifest.operation, Some(number)).await?;
        }
        self.book.owner = Some(completed(self.book.owner.as_ref(), &manifest.repository));
        self.book.raise(&manifest.content);
        Ok(true)
    }

    /// Strikes out a version that is not there any more.
    pub(super) async fn strike(&mut self, number: VersionNumber) -> Result<(), PortError> {
        let record: Option<Record> = self.desk.records(&[number], self.doing).await?.into_iter().next().flatten();
        if let Some(mut record) = record {
            record.forgotten = true;
            self.keep(&record).await?;
        }
        self.book.seen.remove(&number);
        self.book.waiting.remove(&number);
        self.view.entries.retain(|entry| entry.number != number);
        Ok(())
    }
}

fn theirs(
    action: HistoryAction,
    number: VersionNumber,
    actor: Option<String>,
    at: Option<jiff::Timestamp>,
    held: &Held<'_>,
) -> Happened {
    let by = Attribution { actor, event: THEIR_EVENT.to_owned(), ..Attribution::default() };
    Happened { action, number: Some(number), by, at: at.unwrap_or_else(|| held.desk.now()) }
}
