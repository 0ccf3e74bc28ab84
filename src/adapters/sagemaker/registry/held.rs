//! A group under its lease: what it is, and the book in which a change is committed.
//!
//! A change goes in this order: the book says what is about to be done; SageMaker does it; the records of the versions
//! say so; the book is replaced, which commits the change and carries the lines of its history; the lines are put where
//! they belong. Whoever comes after a crash finds in the book how far it came, and completes it first.

use crate::adapters::s3::lease::lost;
use crate::adapters::s3::objects::Created;
use crate::adapters::s3::objects::Replaced;
use crate::adapters::s3::objects::Stored;
use crate::adapters::sagemaker::registry::desk::Desk;
use crate::adapters::sagemaker::registry::record::Book;
use crate::adapters::sagemaker::registry::record::Intent;
use crate::adapters::sagemaker::registry::record::Line;
use crate::adapters::sagemaker::registry::record::Record;
use crate::adapters::sagemaker::registry::view::View;
use crate::model::history::Attribution;
use crate::model::history::HistoryAction;
use crate::model::history::HistoryEntry;
use crate::model::version::VersionNumber;
use crate::ports::PortError;

/// A group under its lease.
pub(super) struct Held<'a> {
    pub(super) desk: &'a Desk,
    pub(super) doing: &'a str,
    pub(super) view: View,
    pub(super) book: Book,
    etag: Option<String>,
}

/// Something that happened, before it is known what is current after it.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub(super) action: HistoryAction,
    pub(super) number: Option<VersionNumber>,
    pub(super) by: Attribution,
    pub(super) at: jiff::Timestamp,
}

impl<'a> Held<'a> {
    /// Reads the group. Nothing is completed yet.
    pub(super) async fn read(desk: &'a Desk, doing: &'a str) -> Result<Self, PortError> {
        let view = Box::pin(desk.view(doing)).await?;
        let (book, etag) = match &view.book {
            Some(Stored { value, etag }) => (value.clone(), Some(etag.clone())),
            None => (Book::default(), None),
        };
        Ok(Self { desk, doing, view, book, etag })
    }

    /// Returns the number of the newest approved version.
    pub(super) async fn current(&mut self) -> Result<Option<VersionNumber>, PortError> {
        Ok(self.desk.current(&mut self.view, self.doing).await?.map(|entry| entry.number))
    }

    /// Says in the book what is about to be done.
    pub(super) async fn intend(&mut self, intent: Intent) -> Result<(), PortError> {
        self.book.intent = Some(intent);
        self.save().await
    }

    /// Commits what was done, and puts its lines into the history.
    pub(super) async fn commit(&mut self, happened: &[Happened], at: jiff::Timestamp) -> Result<(), PortError> {
        let current = self.current().await?;
        if current != self.book.currents.first().map(|former| former.number) {
            self.book.turn(current, at);
        }
        let mut lines = Vec::with_capacity(happened.len());
        for Happened { action, number, by, at } in happened {
            // The order of the keys is the order of writing, whatever the clock says.
            self.book.written = at.as_microsecond().max(self.book.written.saturating_add(1));
            let id = &uuid::Uuid::new_v4().simple().to_string()[..8];
            lines.push(Line {
                key: self.desk.history_key(self.book.written, id),
                entry: HistoryEntry {
                    at: *at,
                    group: self.desk.group.clone(),
                    action: *action,
                    version: *number,
                    current,
                    by: by.clone(),
                },
            });
        }
        self.book.intent = None;
        self.book.outbox = lines;
        self.save().await?;
        self.desk.publish(&self.book.outbox, self.doing).await
    }

    /// Lets the next look of this run begin with what this change left: the listing under the lease and the
    /// description of what was made after it.
    pub(super) fn leave_heard(&self) {
        let Some(memory) = &self.desk.memory else { return };
        let (newest, approved) = self.view.pages();
        memory.leave(&self.desk.group, self.etag.as_deref(), self.desk.clock.now(), newest, approved);
    }

    /// Keeps what is known of a version.
    pub(super) async fn keep(&self, record: &Record) -> Result<(), PortError> {
        let (desk, doing) = (self.desk, self.doing);
        let key = desk.record_key(record.number);
        let etag = match desk.objects.create_json(&key, record, doing).await? {
            Created::New(_) => return Ok(()),
            Created::Existing(stored) => stored.etag,
        };
        match desk.objects.replace_json(&key, &etag, record, doing).await? {
            Replaced::Done(_) => Ok(()),
            Replaced::Moved => Err(lost(doing)),
        }
    }

    async fn save(&mut self) -> Result<(), PortError> {
        let key = self.desk.book_key();
        let saved = match &self.etag {
            None => match self.desk.objects.create_json(&key, &self.book, self.doing).await? {
                Created::New(etag) => Some(etag),
                Created::Existing(_) => None,
            },
            Some(etag) => match self.desk.objects.replace_json(&key, etag, &self.book, self.doing).await? {
                Replaced::Done(etag) => Some(etag),
                Replaced::Moved => None,
            },
        };
        match saved {
            Some(etag) => {
                self.view.book = Some(Stored { value: self.book.clone(), etag: etag.clone() });
                self.etag = Some(etag);
                Ok(())
            }
            None => Err(lost(self.doing)),
        }
    }
}
