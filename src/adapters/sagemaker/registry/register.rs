//! Registering a version: once, whatever is lost on the way.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::s3::lease::lost;
use crate::adapters::s3::objects::Created;
use crate::adapters::s3::objects::Replaced;
use crate::adapters::s3::objects::write_json;
use crate::adapters::sagemaker::registry::desk::Desk;
use crate::adapters::sagemaker::registry::desk::operation_digits;
use crate::adapters::sagemaker::registry::held::Happened;
use crate::adapters::sagemaker::registry::held::Held;
use crate::adapters::sagemaker::registry::listing::Described;
use crate::adapters::sagemaker::registry::listing::Entry;
use crate::adapters::sagemaker::registry::listing::Progress;
use crate::adapters::sagemaker::registry::package::MetricsObject;
use crate::adapters::sagemaker::registry::package::MetricsPlace;
use crate::adapters::sagemaker::registry::record::Announcement;
use crate::adapters::sagemaker::registry::record::Finding;
use crate::adapters::sagemaker::registry::record::Intent;
use crate::adapters::sagemaker::registry::record::Manifest;
use crate::adapters::sagemaker::registry::record::Record;
use crate::adapters::sagemaker::registry::record::completed;
use crate::adapters::sagemaker::registry::view::DUPLICATE_OF;
use crate::adapters::sagemaker::registry::view::version;
use crate::model::approval::Approval;
use crate::model::digest::Sha256Digest;
use crate::model::history::HistoryAction;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::Registered;
use crate::ports::Registration;
use crate::ports::Stale;
use aws_sdk_sagemaker::types::InferenceSpecification;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a creation is sent whose answer was lost and of which nothing is found.
const SENDS: usize = 4;

/// The pause between two looks at a version that is being made.
const PAUSE: Duration = Duration::from_secs(2);

/// How often a version that is being made is looked at: three minutes.
const LOOKS: usize = 90;

impl Desk {
    /// Registers a version, or finds the one that this very operation made before.
    pub(super) async fn register(&self, registration: &Registration) -> Result<Registered, PortError> {
        let doing = format!("register {} in {}", registration.content.semver, registration.group);
        let lease = self.lease(&registration.by, &doing).await?;
        lease.holding(Box::pin(self.register_held(registration, &doing))).await
    }

    async fn register_held(&self, registration: &Registration, doing: &str) -> Result<Registered, PortError> {
        let mut held = Held::read(self, doing).await?;
        if held.book.owner.as_ref().is_some_and(|owner| owner.is_foreign_to(&registration.repository)) {
            return Ok(Registered::Stale(Stale::Owner));
        }
        Box::pin(held.settle()).await?;
        let manifest = Manifest::of(registration, self.now());
        if let Some(version) = held.made_before(&manifest).await? {
            return Ok(Registered::Found(version));
        }
        let expected = &registration.expected;
        if held.view.frozen().is_some() != expected.frozen {
            return Ok(Registered::Stale(Stale::Freeze));
        }
        let (newest, current) = (held.view.newest(), held.current().await?);
        if (newest, current) != (expected.newest, expected.current) {
            return Ok(Registered::Stale(Stale::Versions { newest, current }));
        }
        Box::pin(held.make(manifest, registration.supersedes_older)).await.map(Registered::New)
    }

    async fn make_group(&self, held: &Held<'_>, manifest: &Manifest) -> Result<(), PortError> {
        if held.view.exists {
            return Ok(());
        }
        self.ensure_group(Some(&manifest.repository), held.doing).await
    }
}

impl Held<'_> {
    /// Finds the version that an operation made.
    async fn made_before(&self, manifest: &Manifest) -> Result<Option<Version>, PortError> {
        let prefix = self.desk.index_prefix(&Finding::Fingerprint(&manifest.content.fingerprint));
        let ending = format!("-{}.json", operation_digits(&manifest.operation));
        let mut keys = self.desk.objects.list(&prefix, None, 1000, self.doing).await?;
        keys.retain(|key| key.ends_with(&ending));
        let announced = self.desk.objects.get_many::<Announcement>(keys, self.doing).await?;
        let mine = announced.into_iter().flatten().filter(|one| one.value.operation == manifest.operation);
        let Some(number) = mine.filter_map(|one| one.value.number).min() else { return Ok(None) };
        let versions = self.desk.read_versions(&[number], None, &self.view, Some(&self.book), self.doing).await?;
        Ok(versions.into_values().next())
    }

    async fn make(&mut self, manifest: Manifest, supersedes_older: bool) -> Result<Version, PortError> {
        let (desk, doing) = (self.desk, self.doing);
        let (key, manifest) = self.write_manifest(manifest).await?;
        let metrics = self.write_metrics(&key, &manifest).await?;
        let announcements = desk.index_keys(&manifest);
        self.announce(&announcements, &key, &manifest.operation, None).await?;
        let supersedes = if supersedes_older { self.pending().await? } else { Vec::new() };
        let newest = self.view.newest();
        self.intend(Intent::Register {
            operation: manifest.operation.clone(),
            manifest: key.clone(),
            announcements: announcements.clone(),
            newest,
            supersedes: supersedes.clone(),
        })
        .await?;
        desk.make_group(self, &manifest).await?;
        let arn = self.create(&manifest, &key, metrics.as_ref(), newest).await?;
        let made = self.await_made(&arn).await?;

        // Nothing lies between the newest one under the lease and this one: it is the only one of its operation.
        let expected = newest.map_or(1, |newest| newest.0.saturating_add(1));
        let mut made = vec![made];
        if made.iter().any(|made| made.entry.number.0 != expected) {
            self.look_again().await?;
            let (others, _) = desk.made_by(&self.view, &manifest.operation, newest, doing).await?;
            let mine = made.first().map(|made| made.entry.number);
            made.extend(others.into_iter().filter(|other| Some(other.entry.number) != mine));
            made.sort_by_key(|made| made.entry.number);
        }
        let first = made.remove(0);
        let record = self.finish_registration(&first, &key, &manifest, &announcements, &supersedes).await?;
        self.reject_duplicates(&made, first.entry.number, &manifest).await?;
        self.leave_heard();
        Ok(version(&desk.group, &record, manifest.content))
    }

    /// Keeps the manifest. One that says the same was written by an earlier try, and counts.
    async fn write_manifest(&self, manifest: Manifest) -> Result<(String, Manifest), PortError> {
        let (desk, doing) = (self.desk, self.doing);
        let name = format!("{}/manifest-{}", desk.folder(&manifest.content), operation_digits(&manifest.operation));
        let key = format!("{name}.json");
        let stored = match desk.objects.create_json(&key, &manifest, doing).await? {
            Created::New(_) => return Ok((key, manifest)),
            Created::Existing(stored) => stored,
        };
        let earlier: Manifest = desk.objects.read_json(&key, &stored.value, doing)?;
        if manifest.says_the_same_as(&earlier) {
            return Ok((key, earlier));
        }
        // The earlier try decided otherwise, under other rules say. Nothing is overwritten: both stand there.
        let digest = Sha256Digest::of(&write_json(&manifest, doing)?);
        let key = format!("{name}-{}.json", digest.short());
        desk.objects.create_json(&key, &manifest, doing).await?;
        Ok((key, manifest))
    }

    async fn write_metrics(&self, manifest_key: &str, manifest: &Manifest) -> Result<Option<MetricsPlace>, PortError> {
        let metrics = &manifest.content.metrics;
        if metrics.is_empty() {
            return Ok(None);
        }
        let key = format!("{}-metrics.json", manifest_key.trim_end_matches(".json"));
        let bytes = write_json(&MetricsObject::of(metrics), self.doing)?;
        let digest = Sha256Digest::of(&bytes);
        match self.desk.objects.create(&key, bytes, self.doing).await? {
            Created::New(_) => Ok(Some(MetricsPlace { location: self.desk.objects.location(&key), digest })),
            // Not what we wrote: nothing is claimed about it.
            Created::Existing(_) => Ok(None),
        }
    }

    /// Announces a version under what it can be found by, or completes its announcements.
    pub(super) async fn announce(
        &self,
        keys: &[String],
        manifest: &str,
        operation: &Sha256Digest,
        number: Option<VersionNumber>,
    ) -> Result<(), PortError> {
        let (objects, doing) = (&self.desk.objects, self.doing);
        let said = Announcement {
            schema: crate::adapters::s3::objects::SCHEMA,
            operation: operation.clone(),
            manifest: manifest.to_owned(),
            number,
        };
        for key in keys {
            let stored = match objects.create_json(key, &said, doing).await? {
                Created::New(_) => continue,
                Created::Existing(stored) => stored,
            };
            if number.is_some() {
                match objects.replace_json(key, &stored.etag, &said, doing).await? {
                    Replaced::Done(_) => {}
                    Replaced::Moved => return Err(lost(doing)),
                }
            }
        }
        Ok(())
    }

    /// The versions that await approval and were not overtaken, the oldest first: those of one listing, and older ones
    /// that the book knows.
    async fn pending(&mut self) -> Result<Vec<VersionNumber>, PortError> {
        let waits =
            |entry: &&Entry| entry.approval == Approval::PendingManualApproval && entry.progress != Progress::Failed;
        let mut numbers = self.pending_beyond().await?;
        numbers.extend(self.view.entries.iter().rev().filter(waits).map(|entry| entry.number));
        let records = self.desk.records(&numbers, self.doing).await?;
        let overtaken = |record: &Option<Record>| record.as_ref().is_some_and(|record| record.superseded);
        Ok(numbers
            .into_iter()
            .zip(records)
            .filter(|(_, record)| !overtaken(record))
            .map(|(number, _)| number)
            .collect())
    }

    /// The versions that wait and are older than the listing, the oldest first. What a person did with them meanwhile
    /// is asked for all at once, and only where there are any.
    async fn pending_beyond(&mut self) -> Result<Vec<VersionNumber>, PortError> {
        let Some(oldest) = self.view.entries.last().map(|entry| entry.number) else { return Ok(Vec::new()) };
        let older: Vec<VersionNumber> = self.book.waiting.range(..oldest).copied().collect();
        let records = self.desk.records(&older, self.doing).await?;
        let standing = |record: &Record| !record.superseded && !record.forgotten;
        let arns: BTreeMap<VersionNumber, String> =
            records.into_iter().flatten().filter(standing).map(|record| (record.number, record.arn)).collect();
        let mut waiting = BTreeSet::new();
        if !arns.is_empty() {
            let entries = self.desk.describe_many(&arns, self.doing).await?;
            let pending = entries.into_iter().filter(|entry| entry.approval == Approval::PendingManualApproval);
            waiting.extend(pending.filter(|entry| entry.progress != Progress::Failed).map(|entry| entry.number));
        }
        for number in older.into_iter().filter(|number| !waiting.contains(number)) {
            self.book.waiting.remove(&number);
        }
        Ok(waiting.into_iter().collect())
    }

    /// Has SageMaker make the version, and returns its address.
    async fn create(
        &mut self,
        manifest: &Manifest,
        key: &str,
        metrics: Option<&MetricsPlace>,
        newest: Option<VersionNumber>,
    ) -> Result<String, PortError> {
        let (desk, doing) = (self.desk, self.doing);
        let (_, mut failed) = desk.made_by(&self.view, &manifest.operation, None, doing).await?;
        let restored = self.restored(manifest).await?;
        let (mut last, mut has_group) = (None, false);
        for _ in 0..SENDS {
            let token = token(&manifest.operation, failed);
            let mut request = desk.package(manifest, key, metrics, &token, doing)?;
            if let Some(inference) = &restored {
                request = request.inference_specification(inference.clone());
            }
            let sent = desk.session.call(Kind::Create, "sagemaker:CreateModelPackage", || request.clone().send()).await;
            let refused = match sent {
                Ok(answer) => match answer.model_package_arn() {
                    Some(arn) => return Ok(arn.to_owned()),
                    None => {
                        return Err(PortError::because(PortErrorKind::Network, doing, "SageMaker named no version"));
                    }
                },
                Err(refused) => refused,
            };
            let no_group = refused.class == Class::NotFound && is_of_group(&refused);
            if refused.changed_nothing() && !no_group && refused.class != Class::Conflict {
                return Err(refused.into_port(doing));
            }
            last = Some(refused);
            if no_group && !has_group {
                // A listing may be empty for a group that does not exist: only this answer says so.
                desk.ensure_group(Some(&manifest.repository), doing).await?;
                has_group = true;
                continue;
            }
            // A group that was made just now is not there for every request at once.
            desk.clock.sleep(PAUSE).await;
            self.look_again().await?;
            let (made, none) = desk.made_by(&self.view, &manifest.operation, newest, doing).await?;
            if let Some(made) = made.first() {
                return Ok(made.entry.arn.clone());
            }
            failed = none;
        }
        match last {
            Some(refused) => Err(refused.into_port(doing)),
            None => Err(lost(doing)),
        }
    }

    /// How the version is served that a version of others brings back: Branchline keeps no artifact of it, so it is
    /// registered again as it was.
    async fn restored(&self, manifest: &Manifest) -> Result<Option<InferenceSpecification>, PortError> {
        let (Some(number), true) = (manifest.content.restores, manifest.content.artifacts.is_empty()) else {
            return Ok(None);
        };
        let missing = |why: &str| {
            let why = format!("{} {number} {why}", self.desk.group);
            PortError::because(PortErrorKind::NotFound, self.doing, why)
                .hint("Name another version: `branchline rollback --to NUMBER`.")
        };
        let entry = self.desk.find(&self.view, number, self.doing).await?.ok_or_else(|| missing("does not exist"))?;
        let inference = self.desk.inference_of(&entry.arn, self.doing).await?;
        inference.map(Some).ok_or_else(|| missing("has no inference specification: there is no model to serve"))
    }

    pub(super) async fn await_made(&self, arn: &str) -> Result<Described, PortError> {
        let (desk, doing) = (self.desk, self.doing);
        for _ in 0..LOOKS {
            // One that is not there is not everywhere yet.
            if let Some(described) = desk.describe(arn, doing).await? {
                match described.entry.progress {
                    Progress::Made => return Ok(described),
                    Progress::Making => {}
                    Progress::Failed => {
                        let why = described.said.as_deref().unwrap_or("it does not say why");
                        let why = format!("SageMaker could not make the version: {why}");
                        return Err(PortError::because(PortErrorKind::Configuration, doing, why)
                            .hint("Correct `serve`, or what it names, and run again."));
                    }
                }
            }
            desk.clock.sleep(PAUSE).await;
        }
        Err(PortError::because(PortErrorKind::Network, doing, "SageMaker has not finished making the version")
            .hint("Run again: what was begun is found and finished."))
    }

    async fn look_again(&mut self) -> Result<(), PortError> {
        let book = self.view.book.take();
        self.view = self.desk.view(self.doing).await?;
        self.view.book = book;
        Ok(())
    }

    /// Takes note of a version that was made: its record, its announcements, the book, the history.
    pub(super) async fn finish_registration(
        &mut self,
        made: &Described,
        key: &str,
        manifest: &Manifest,
        announcements: &[String],
        supersedes: &[VersionNumber],
    ) -> Result<Record, PortError> {
        let number = made.entry.number;
        let record = Record::made(number, &made.entry.arn, key, manifest);
        let known = self.desk.records(&[number], self.doing).await?.into_iter().next().flatten();
        if known.is_none() {
            self.keep(&record).await?;
        }
        let happens =
            |action, number| Happened { action, number: Some(number), by: manifest.by.clone(), at: manifest.at };
        let mut happened = vec![happens(manifest.action, number)];
        if record.once_approved {
            happened.push(happens(HistoryAction::Approved, number));
        }
        for older in supersedes {
            self.book.waiting.remove(older);
            if self.overtake(*older).await? {
                happened.push(happens(HistoryAction::Superseded, *older));
            }
        }
        self.announce(announcements, key, &manifest.operation, Some(number)).await?;
        self.book.owner = Some(completed(self.book.owner.as_ref(), &manifest.repository));
        self.book.raise(&manifest.content);
        // As it was asked for: a change by a person meanwhile shows as theirs.
        self.book.note(number, record.approval);
        if record.superseded {
            self.book.waiting.remove(&number);
        }
        self.view.put(made.entry.clone());
        self.commit(&happened, manifest.at).await?;
        Ok(record)
    }

    /// Marks a pending version as overtaken. `false`: it is gone.
    async fn overtake(&self, number: VersionNumber) -> Result<bool, PortError> {
        let known = self.desk.records(&[number], self.doing).await?.into_iter().next().flatten();
        let record = match (known, self.view.entry(number)) {
            (Some(record), _) => Some(record),
            (None, Some(entry)) => match self.desk.describe(&entry.arn, self.doing).await? {
                Some(described) => Some(self.desk.recorded(&described, self.doing).await?),
                None => None,
            },
            (None, None) => None,
        };
        let Some(mut record) = record else { return Ok(false) };
        record.superseded = true;
        self.keep(&record).await?;
        Ok(true)
    }

    /// Rejects what the same operation made once more. This bans nothing.
    pub(super) async fn reject_duplicates(
        &mut self,
        duplicates: &[Described],
        of: VersionNumber,
        manifest: &Manifest,
    ) -> Result<(), PortError> {
        let mut happened = Vec::new();
        for duplicate in duplicates {
            let entry = &duplicate.entry;
            let why = format!("{DUPLICATE_OF}{}", of.0);
            self.desk.update_approval(entry, Approval::Rejected, &why, self.doing).await?;
            let mut record = self.desk.recorded(duplicate, self.doing).await?;
            record.becomes(Approval::Rejected, Some(Rejection::Duplicate));
            record.once_approved = false;
            self.keep(&record).await?;
            self.view.put(entry.clone());
            self.view.approve(entry.number, Approval::Rejected);
            self.book.note(entry.number, Approval::Rejected);
            let mut by = manifest.by.clone();
            by.reason = Some(why);
            let at = self.desk.now();
            happened.push(Happened { action: HistoryAction::Rejected, number: Some(entry.number), by, at });
        }
        if happened.is_empty() {
            return Ok(());
        }
        let now = self.desk.now();
        self.commit(&happened, now).await
    }
}

/// Tells whether a version could not be made because its group does not exist. The same error may be about an image or
/// a model: those are not made by asking again.
fn is_of_group(refused: &Refused) -> bool {
    let said: String = refused.message.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    said.contains("modelpackagegroup") || said.contains("requestedresourcenotfound")
}

/// The token of a creation: the same for the same operation, another one after one that came to nothing.
fn token(operation: &Sha256Digest, failed: usize) -> String {
    let digest = Sha256Digest::of(format!("branchline/client-token/1 {operation} {failed}").as_bytes());
    let mut bytes = [0; 16];
    for (byte, digits) in bytes.iter_mut().zip(digest.as_str().as_bytes().chunks(2)) {
        *byte = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0);
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
