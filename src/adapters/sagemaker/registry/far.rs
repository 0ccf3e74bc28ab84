//! A look at a group whose current version is not among its newest hundred.
//!
//! The newest listing would not show it, and a listing of the approved ones would be needed beside it. So that a look of
//! a run costs one request here too, only the approved ones are listed, and the book stands for the rest: the newest
//! number, and the newest few versions, which are evidence. Whatever is looked for and is not approved is described.
//!
//! What the book cannot know is what people did in SageMaker Studio since: a version that one approved is in the listing,
//! and a current one that one rejected is missing in it. A version that one made and did not approve is seen by the next
//! change, which lists everything under the lease: it is refused once, and this run looks at everything then.

use crate::adapters::s3::objects::Stored;
use crate::adapters::sagemaker::registry::desk::Desk;
use crate::adapters::sagemaker::registry::listing::Entry;
use crate::adapters::sagemaker::registry::listing::Page;
use crate::adapters::sagemaker::registry::listing::Progress;
use crate::adapters::sagemaker::registry::record::Book;
use crate::adapters::sagemaker::registry::record::FreezeMark;
use crate::adapters::sagemaker::registry::view::Noted;
use crate::adapters::sagemaker::registry::view::View;
use crate::facts::group::GroupLook;
use crate::facts::group::RECENT_LIMIT;
use crate::model::version::VersionNumber;
use crate::ports::PortError;
use std::collections::BTreeSet;

/// How many records are read for the newest few: some versions came to nothing and have none.
const RECORDS: usize = RECENT_LIMIT + 3;

impl Desk {
    /// Reads a group for a look by its approved versions alone. `None`: the newest ones are to be listed, because the
    /// look asks for them, or the book does not say that none of them is approved.
    pub(super) async fn far_view(
        &self,
        book: &Stored<Book>,
        look: &GroupLook,
        doing: &str,
    ) -> Result<Option<View>, PortError> {
        let wanted = look.recent_as_noted && look.numbers.is_empty();
        // What a writer who died was about to do shows among the newest ones.
        if !wanted || book.value.intent.is_some() || !book.value.is_far_back() {
            return Ok(None);
        }
        let seen = &book.value.seen;
        let newest: Vec<VersionNumber> = seen.keys().rev().take(RECORDS).copied().collect();
        let freeze_key = self.freeze_key();
        let freeze = self.objects.get_json::<FreezeMark>(&freeze_key, doing);
        let (page, freeze, records) = tokio::join!(self.approved_page(doing), freeze, self.records(&newest, doing));
        let Some(page) = page? else { return Ok(None) };
        let mut recent: Vec<Entry> = Vec::with_capacity(RECENT_LIMIT);
        for record in records?.into_iter().flatten().filter(|record| !record.forgotten).take(RECENT_LIMIT) {
            recent.push(Entry {
                number: record.number,
                arn: record.arn,
                approval: seen.get(&record.number).copied().unwrap_or(record.approval),
                progress: Progress::Made,
                created: record.registered_at,
            });
        }
        if recent.len() < RECENT_LIMIT {
            return Ok(None);
        }
        recent.retain(|noted| page.entries.iter().all(|listed| listed.number != noted.number));
        let mut entries = page.entries;
        entries.extend(recent);
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.number));
        let mut view = View::of(Some(Page { entries, next: None }), Some(book.clone()), freeze?);
        view.noted = Some(Noted { newest: newest.first().copied(), unsure: BTreeSet::new() });
        self.confirm(&mut view, doing).await?;
        // The listing says what is current. Beside that it may lag, and the book does not know of people.
        let current = self.current(&mut view, doing).await?.map(|entry| entry.number);
        let sure = |number: &VersionNumber| Some(*number) == current || view.described.contains_key(number);
        let unsure = view.entries.iter().map(|entry| entry.number).filter(|number| !sure(number)).collect();
        if let Some(noted) = &mut view.noted {
            noted.unsure = unsure;
        }
        Ok(Some(view))
    }
}

impl View {
    /// Drops those of these versions that nobody was asked about, so that they are asked for, and names them.
    pub(super) fn ask_for<'a>(&mut self, numbers: impl IntoIterator<Item = &'a VersionNumber>) -> Vec<VersionNumber> {
        let Some(noted) = &mut self.noted else { return Vec::new() };
        let asked: Vec<VersionNumber> =
            numbers.into_iter().copied().filter(|number| noted.unsure.remove(number)).collect();
        self.entries.retain(|entry| !asked.contains(&entry.number));
        asked
    }
}
