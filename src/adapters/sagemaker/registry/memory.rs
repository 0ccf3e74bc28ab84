//! What SageMaker said of a group a moment ago, so that the turns of one run do not ask the same thing again.
//!
//! Only looks use it. A change reads everything anew under the lease, so what is a little old here can cost a turn and
//! no more. What was heard counts while the group's book is the same object: whatever any run of Branchline changes
//! replaces the book. So only a change by a person in SageMaker Studio can be missed, and not longer than [`LIFE`].
//!
//! Deliberately absent: anything that outlives the process, and versions that are still being made.

use crate::adapters::sagemaker::registry::listing::Described;
use crate::adapters::sagemaker::registry::listing::Entry;
use crate::adapters::sagemaker::registry::listing::Page;
use crate::adapters::sagemaker::registry::listing::Progress;
use crate::model::name::GroupName;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// How long what was heard is repeated.
const LIFE: Duration = Duration::from_secs(60);

/// How many descriptions are kept of one group.
const DESCRIPTIONS: usize = 200;

/// What was heard of the groups.
#[derive(Debug, Default)]
pub(super) struct Memory {
    groups: Mutex<BTreeMap<GroupName, Heard>>,
    /// Groups of which the book did not say the truth: a change that was decided on it was refused.
    doubted: Mutex<BTreeSet<GroupName>>,
}

/// What was heard of one group.
#[derive(Debug)]
struct Heard {
    /// The mark of the book at that time; `None`: it had none.
    book: Option<String>,
    at: jiff::Timestamp,
    /// The newest listing. `Some(None)`: there is no such group.
    newest: Option<Option<Page>>,
    /// The newest listing of approved versions.
    approved: Option<Option<Page>>,
    entries: BTreeMap<String, Entry>,
    described: BTreeMap<String, Described>,
}

impl Heard {
    fn new(book: Option<&str>, at: jiff::Timestamp) -> Self {
        Self {
            book: book.map(str::to_owned),
            at,
            newest: None,
            approved: None,
            entries: BTreeMap::new(),
            described: BTreeMap::new(),
        }
    }

    /// A clock that was set back makes nothing younger.
    fn is_fresh(&self, now: jiff::Timestamp) -> bool {
        now >= self.at && now.duration_since(self.at).unsigned_abs() < LIFE
    }
}

/// Which listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Newest,
    Approved,
}

impl Memory {
    /// Begins a look: what is old, or was heard beside another book, is dropped.
    pub(super) fn look(&self, group: &GroupName, book: Option<&str>, now: jiff::Timestamp) {
        let mut groups = self.groups();
        let counts = groups.get(group).is_some_and(|heard| heard.book.as_deref() == book && heard.is_fresh(now));
        if !counts {
            groups.insert(group.clone(), Heard::new(book, now));
        }
    }

    /// Drops what was heard of a group.
    pub(super) fn forget(&self, group: &GroupName) {
        self.groups().remove(group);
    }

    /// Drops what was heard of a group, and lets every further look of this run ask for all that it tells.
    pub(super) fn doubt(&self, group: &GroupName) {
        self.forget(group);
        self.doubted().insert(group.clone());
    }

    /// Tells whether the book of a group may stand for its newest listing, which was not heard.
    pub(super) fn may_go_by_the_book(&self, group: &GroupName) -> bool {
        let heard = self.groups().get(group).is_some_and(|heard| heard.newest.is_some());
        !heard && !self.doubted().contains(group)
    }

    /// Takes what a change left behind, as it was listed under the lease and described after it.
    pub(super) fn leave(
        &self,
        group: &GroupName,
        book: Option<&str>,
        now: jiff::Timestamp,
        newest: Page,
        approved: Option<Page>,
    ) {
        self.groups().insert(group.clone(), Heard::new(book, now));
        self.keep_page(group, Which::Newest, Some(&newest));
        if let Some(approved) = approved {
            self.keep_page(group, Which::Approved, Some(&approved));
        }
    }

    /// Returns a listing that was heard. `Some(None)`: there is no such group.
    pub(super) fn page(&self, group: &GroupName, which: Which) -> Option<Option<Page>> {
        let groups = self.groups();
        let heard = groups.get(group)?;
        match which {
            Which::Newest => heard.newest.clone(),
            Which::Approved => heard.approved.clone(),
        }
    }

    /// Keeps a listing, unless something in it is about to change by itself.
    pub(super) fn keep_page(&self, group: &GroupName, which: Which, page: Option<&Page>) {
        if page.is_some_and(|page| page.entries.iter().any(|entry| entry.progress == Progress::Making)) {
            return;
        }
        if let Some(heard) = self.groups().get_mut(group) {
            match which {
                Which::Newest => heard.newest = Some(page.cloned()),
                Which::Approved => heard.approved = Some(page.cloned()),
            }
        }
    }

    /// Returns a version that was heard of beyond the listings.
    pub(super) fn entry(&self, group: &GroupName, arn: &str) -> Option<Entry> {
        self.groups().get(group)?.entries.get(arn).cloned()
    }

    /// Keeps a version from beyond the listings.
    pub(super) fn keep_entry(&self, group: &GroupName, entry: &Entry) {
        if let Some(heard) = self.groups().get_mut(group)
            && heard.entries.len() < DESCRIPTIONS
            && entry.progress != Progress::Making
        {
            heard.entries.insert(entry.arn.clone(), entry.clone());
        }
    }

    /// Returns a description that was heard.
    pub(super) fn described(&self, group: &GroupName, arn: &str) -> Option<Described> {
        self.groups().get(group)?.described.get(arn).cloned()
    }

    /// Keeps a description.
    pub(super) fn keep_described(&self, group: &GroupName, arn: &str, described: &Described) {
        if let Some(heard) = self.groups().get_mut(group)
            && heard.described.len() < DESCRIPTIONS
            && described.entry.progress != Progress::Making
        {
            heard.described.insert(arn.to_owned(), described.clone());
        }
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<GroupName, Heard>> {
        // Nothing is left half done behind this lock.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doubted(&self) -> MutexGuard<'_, BTreeSet<GroupName>> {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
