//! The history of a group, read in the order in which it was written.

use crate::adapters::sagemaker::registry::desk::Desk;
use crate::adapters::sagemaker::registry::record::Book;
use crate::adapters::sagemaker::registry::record::StoredLine;
use crate::model::history::HistoryEntry;
use crate::ports::PortError;
use std::collections::BTreeMap;

impl Desk {
    /// Reads the history from `from` until before `to`.
    pub(super) async fn history(
        &self,
        from: Option<jiff::Timestamp>,
        to: Option<jiff::Timestamp>,
    ) -> Result<Vec<HistoryEntry>, PortError> {
        let doing = format!("read the history of {}", self.group);
        // A line's key is never before its time: the order of writing may push it back, never forward.
        let after = from.map(|from| self.history_key(from.as_microsecond().saturating_sub(1).max(0), "~"));
        let prefix = self.key("history/");
        let book_key = self.book_key();
        let (keys, book) = tokio::join!(
            self.objects.list(&prefix, after.as_deref(), usize::MAX, &doing),
            self.objects.get_json::<Book>(&book_key, &doing),
        );
        let keys = keys?;
        let stored = self.objects.get_many::<StoredLine>(keys.clone(), &doing).await?;
        let mut lines: BTreeMap<String, HistoryEntry> = BTreeMap::new();
        for (key, line) in keys.into_iter().zip(stored) {
            if let Some(line) = line {
                lines.insert(key, line.value.entry);
            }
        }
        // Committed, and perhaps not there yet.
        for line in book?.into_iter().flat_map(|book| book.value.outbox) {
            lines.insert(line.key, line.entry);
        }
        let within =
            |entry: &HistoryEntry| from.is_none_or(|from| entry.at >= from) && to.is_none_or(|to| entry.at < to);
        Ok(lines.into_values().filter(within).collect())
    }
}
