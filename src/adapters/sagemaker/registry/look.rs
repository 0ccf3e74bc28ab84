//! What is read: a group for a decision, versions for people, versions by commit.

use crate::adapters::sagemaker::registry::desk::Desk;
use crate::adapters::sagemaker::registry::listing::Entry;
use crate::adapters::sagemaker::registry::listing::PAGE;
use crate::adapters::sagemaker::registry::listing::Progress;
use crate::adapters::sagemaker::registry::record::Announcement;
use crate::adapters::sagemaker::registry::record::Book;
use crate::adapters::sagemaker::registry::record::Finding;
use crate::adapters::sagemaker::registry::record::Intent;
use crate::adapters::sagemaker::registry::record::raise;
use crate::adapters::sagemaker::registry::view::View;
use crate::facts::group::GroupFacts;
use crate::facts::group::GroupLook;
use crate::facts::group::MATCHING_LIMIT;
use crate::facts::group::RECENT_LIMIT;
use crate::model::git::CommitSha;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::ports::PortError;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// How many announcements of one thing are read: a version may have been announced twice.
const ANNOUNCED: usize = MATCHING_LIMIT + 14;

/// How many versions that were current before are read for a rollback.
const FORMER_LIMIT: usize = 50;

impl Desk {
    /// Looks at the group.
    pub(super) async fn look(&self, look: &GroupLook) -> Result<GroupFacts, PortError> {
        let doing = format!("look at the group {}", self.group);
        let findings: Vec<Finding<'_>> = look
            .fingerprint
            .iter()
            .map(Finding::Fingerprint)
            .chain(look.contents.iter().map(Finding::Content))
            .collect();
        let (view, announced) =
            tokio::join!(Box::pin(self.view_for(look, &doing)), Box::pin(self.announced_all(&findings, &doing)));
        let (mut view, announced) = (view?, announced?);
        let book = view.book.as_ref().map(|stored| stored.value.clone());

        let mut facts = GroupFacts::empty(self.group.clone());
        facts.frozen = view.frozen().cloned();
        facts.owner = book.as_ref().and_then(|book| book.owner.clone());
        facts.newest = view.newest();
        let current = self.current(&mut view, &doing).await?;
        let recent: Vec<VersionNumber> = standing(&view).take(RECENT_LIMIT).map(|entry| entry.number).collect();
        let mut matching = self.numbers(&announced, &view, &doing).await?;
        while matching.len() > MATCHING_LIMIT {
            matching.pop_first();
        }
        let former: Vec<VersionNumber> = match &book {
            Some(book) if look.with_former => {
                let current = current.as_ref().map(|entry| entry.number);
                let before = book.currents.iter().map(|former| former.number);
                before.filter(|number| Some(*number) != current).take(FORMER_LIMIT).collect()
            }
            Some(_) | None => Vec::new(),
        };

        view.ask_for(matching.iter().chain(&look.numbers).chain(&former));
        let mut wanted: Vec<VersionNumber> = current.iter().map(|entry| entry.number).collect();
        wanted.extend(&recent);
        wanted.extend(&matching);
        wanted.extend(&look.numbers);
        wanted.extend(&former);
        let mut found = self.read_versions(&wanted, current.as_ref(), &view, book.as_ref(), &doing).await?;
        // The newest few are at hand: what an index that was lost does not name is still found among them.
        let is_looked_for = |version: &Version| {
            let content = &version.content;
            look.fingerprint.as_ref() == Some(&content.fingerprint) || look.contents.contains(&content.content)
        };
        let at_hand = recent.iter().chain(current.as_ref().map(|entry| &entry.number));
        matching.extend(at_hand.filter(|number| found.get(number).is_some_and(is_looked_for)));
        let as_noted = view.ask_for(&matching);
        if !as_noted.is_empty() {
            found.retain(|number, _| !as_noted.contains(number));
            found.extend(self.read_versions(&as_noted, None, &view, book.as_ref(), &doing).await?);
        }
        let of = |numbers: &[VersionNumber]| -> Vec<Version> {
            numbers.iter().filter_map(|number| found.get(number).cloned()).collect()
        };

        facts.current = current.and_then(|entry| found.get(&entry.number).cloned());
        facts.recent = of(&recent);
        facts.asked = of(&look.numbers);
        facts.formerly_current = of(&former);
        let matching: Vec<VersionNumber> = matching.into_iter().rev().take(MATCHING_LIMIT).collect();
        facts.matching = of(&matching);
        facts.highest = book.and_then(|book| book.highest);
        let oldest_first = facts.recent.iter().rev().filter(|version| version.content.lineage.elsewhere.is_none());
        for version in oldest_first {
            raise(&mut facts.highest, &version.content);
        }
        Ok(facts)
    }

    /// Reads versions for people, the newest first.
    pub(super) async fn list(&self, before: Option<VersionNumber>, most: usize) -> Result<Vec<Version>, PortError> {
        let doing = format!("list the versions of {}", self.group);
        let view = Box::pin(self.view(&doing)).await?;
        let book = view.book.as_ref().map(|stored| stored.value.clone());
        let below = |entry: &&Entry| before.is_none_or(|before| entry.number < before);
        let mut entries: Vec<Entry> = standing(&view).filter(below).cloned().collect();
        let mut next = view.next.clone();
        while let Some(token) = next.take().filter(|_| entries.len() < most) {
            let page = self.page(Some(token), None, PAGE, &doing).await?.unwrap_or_default();
            let standing = page.entries.iter().filter(|entry| entry.progress != Progress::Failed);
            entries.extend(standing.filter(below).cloned());
            next = page.next;
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.number));
        entries.dedup_by_key(|entry| entry.number);
        entries.truncate(most);
        self.versions(&entries, book.as_ref(), &doing).await
    }

    /// Reads the versions that were trained from these commits.
    pub(super) async fn of_commits(&self, commits: &[CommitSha]) -> Result<Vec<Version>, PortError> {
        let doing = format!("look up commits in {}", self.group);
        let view = Box::pin(self.view(&doing)).await?;
        let book = view.book.as_ref().map(|stored| stored.value.clone());
        let mut found = Vec::new();
        for commit in commits {
            let announced = self.announced_all(&[Finding::Commit(commit)], &doing).await?;
            let numbers: Vec<VersionNumber> =
                self.numbers(&announced, &view, &doing).await?.into_iter().rev().collect();
            let numbers = numbers.get(..MATCHING_LIMIT).unwrap_or(&numbers);
            let versions = self.read_versions(numbers, None, &view, book.as_ref(), &doing).await?;
            found.extend(numbers.iter().filter_map(|number| versions.get(number).cloned()));
        }
        Ok(found)
    }

    async fn announced_all(&self, findings: &[Finding<'_>], doing: &str) -> Result<Vec<Announcement>, PortError> {
        let mut all = Vec::new();
        for finding in findings {
            all.extend(self.announced(finding, ANNOUNCED, doing).await?);
        }
        Ok(all)
    }

    /// Returns the numbers behind announcements. One without a number is looked for if it is being registered, or was
    /// when its writer died; else nothing came of it.
    async fn numbers(
        &self,
        announced: &[Announcement],
        view: &View,
        doing: &str,
    ) -> Result<BTreeSet<VersionNumber>, PortError> {
        let mut numbers: BTreeSet<VersionNumber> = announced.iter().filter_map(|one| one.number).collect();
        let intent = view.book.as_ref().and_then(|book| book.value.intent.as_ref());
        let Some(Intent::Register { operation, newest, .. }) = intent else { return Ok(numbers) };
        if announced.iter().any(|one| one.number.is_none() && one.operation == *operation) {
            let (made, _) = self.made_by(view, operation, *newest, doing).await?;
            numbers.extend(made.first().map(|described| described.entry.number));
        }
        Ok(numbers)
    }

    /// Reads versions by number, as far as they exist: those of the view at once, older ones with one request more.
    pub(super) async fn read_versions(
        &self,
        wanted: &[VersionNumber],
        current: Option<&Entry>,
        view: &View,
        book: Option<&Book>,
        doing: &str,
    ) -> Result<BTreeMap<VersionNumber, Version>, PortError> {
        let mut entries: Vec<Entry> = Vec::with_capacity(wanted.len());
        let mut beyond = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for number in wanted {
            if !taken.insert(*number) {
                continue;
            }
            let known = view.entry(*number).or_else(|| current.filter(|entry| entry.number == *number));
            match known {
                Some(entry) => entries.push(entry.clone()),
                None if view.may_be_beyond(*number) => {
                    beyond.insert(*number);
                }
                None => {}
            }
        }
        entries.extend(self.beyond(beyond, doing).await?);
        entries.retain(|entry| entry.progress != Progress::Failed);
        let versions = self.versions(&entries, book, doing).await?;
        Ok(versions.into_iter().map(|version| (version.number, version)).collect())
    }

    /// Finds versions that are older than the newest listing.
    async fn beyond(&self, numbers: BTreeSet<VersionNumber>, doing: &str) -> Result<Vec<Entry>, PortError> {
        let list: Vec<VersionNumber> = numbers.iter().copied().collect();
        let (mut arns, mut unrecorded) = (BTreeMap::new(), BTreeSet::new());
        for (number, record) in list.iter().zip(self.records(&list, doing).await?) {
            match record {
                Some(record) if record.forgotten => {}
                Some(record) => {
                    arns.insert(*number, record.arn);
                }
                None => {
                    unrecorded.insert(*number);
                }
            }
        }
        let mut entries = self.describe_many(&arns, doing).await?;
        // Older than our time in this group: only a person asks for those, by number.
        let mut token = None;
        while !unrecorded.is_empty() {
            let page = self.page(token.take(), None, PAGE, doing).await?.unwrap_or_default();
            for entry in page.entries {
                if unrecorded.remove(&entry.number) {
                    entries.push(entry);
                }
            }
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        Ok(entries)
    }

    /// Finds a version by number, wherever it is.
    pub(super) async fn find(
        &self,
        view: &View,
        number: VersionNumber,
        doing: &str,
    ) -> Result<Option<Entry>, PortError> {
        if let Some(entry) = view.entry(number) {
            return Ok(Some(entry.clone()));
        }
        if view.next.is_none() {
            return Ok(None);
        }
        Ok(self.beyond(BTreeSet::from([number]), doing).await?.into_iter().next())
    }
}

/// The versions that came into being, the newest first.
fn standing(view: &View) -> impl Iterator<Item = &Entry> {
    view.entries.iter().filter(|entry| entry.progress != Progress::Failed)
}
