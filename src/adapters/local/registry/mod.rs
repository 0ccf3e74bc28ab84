//! The local model registry: one SQLite file that any number of Branchlines on the machine share.
//!
//! Every write is one immediate transaction that compares what it expects and then happens whole or not at all;
//! there is no other lock. The file is made by the first write; reading where nothing was written finds empty
//! groups. Deliberately absent: the artifacts, which the store next door keeps.

mod failure;
mod read;
mod rows;
mod schema;
mod store;
mod write;

#[cfg(test)]
mod tests;

pub use crate::adapters::local::registry::read::FORMER_LIMIT;

use crate::adapters::local::home::brief;
use crate::adapters::local::registry::store::Store;
use crate::facts::group::GroupFacts;
use crate::facts::group::GroupLook;
use crate::model::git::CommitSha;
use crate::model::history::Attribution;
use crate::model::history::HistoryEntry;
use crate::model::name::GroupName;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::model::version::VersionRef;
use crate::ports::clock::Clock;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use crate::ports::registry::ApprovalChange;
use crate::ports::registry::Changed;
use crate::ports::registry::Registered;
use crate::ports::registry::Registration;
use crate::ports::registry::Registry;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a write waits for another Branchline. A write takes milliseconds; this stays below the seven
/// seconds in which a cancelled run has to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// A registry in a SQLite file.
#[derive(Clone)]
pub struct LocalRegistry {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
}

impl LocalRegistry {
    /// Names the registry file. Nothing is opened or made before it is needed.
    pub fn at(path: &Path, clock: Arc<dyn Clock>) -> Self {
        Self::with_patience(path, clock, PATIENCE)
    }

    /// As [`at`](Self::at), with another limit to how long another Branchline is waited for.
    pub fn with_patience(path: &Path, clock: Arc<dyn Clock>, patience: Duration) -> Self {
        Self { store: Arc::new(Store::new(path, patience)), clock }
    }

    /// As [`at`](Self::at), and finds out at once whether what is there can be used: an error if it is damaged,
    /// foreign, from a newer release or out of reach. A registry that does not exist yet is fine.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, PortError> {
        let registry = Self::at(path, clock);
        registry.store.read("open the registry", |_| Ok(()))?;
        Ok(registry)
    }

    /// Lists the groups whose names begin with `prefix`, by name. An empty prefix lists all.
    pub async fn groups(&self, prefix: &str) -> Result<Vec<GroupName>, PortError> {
        let prefix = prefix.to_owned();
        let work = move |connection: &Connection| read::groups(connection, &prefix);
        Ok(self.read("list the groups".to_owned(), work).await?.unwrap_or_default())
    }

    /// Counts the versions of a group. One that does not exist has none.
    pub async fn versions_count(&self, group: &GroupName) -> Result<u64, PortError> {
        let (doing, group) = (format!("count the versions of {group}"), group.clone());
        let work = move |connection: &Connection| read::versions_count(connection, &group);
        Ok(self.read(doing, work).await?.unwrap_or_default())
    }

    async fn read<T: Send + 'static>(
        &self,
        doing: String,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<Option<T>, PortError> {
        let store = Arc::clone(&self.store);
        brief(move || store.read(&doing, work)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        doing: String,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, PortError> {
        let store = Arc::clone(&self.store);
        off_the_runtime(doing, move |doing| store.write(doing, work)).await
    }

    /// Changes a version that must exist.
    async fn change(
        &self,
        doing: String,
        version: VersionRef,
        work: impl FnOnce(&Connection) -> rusqlite::Result<Option<Changed>> + Send + 'static,
    ) -> Result<Changed, PortError> {
        let changed = self.write(doing.clone(), work).await?;
        changed.ok_or_else(|| {
            PortError::because(PortErrorKind::NotFound, doing, format!("{version} does not exist"))
                .hint(format!("look up which versions {} has", version.group))
        })
    }

    /// The present as it is stored: in microseconds, so that what is returned equals what is read back.
    fn now(&self) -> jiff::Timestamp {
        let now = self.clock.now();
        jiff::Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}

/// The database blocks its thread, and may wait for another process: never a thread that drives other models.
async fn off_the_runtime<T: Send + 'static>(
    doing: String,
    work: impl FnOnce(&str) -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    let what = doing.clone();
    match tokio::task::spawn_blocking(move || work(&what)).await {
        Ok(answer) => answer,
        Err(error) => Err(PortError::because(PortErrorKind::Bug, doing, error)),
    }
}

#[async_trait::async_trait]
impl Registry for LocalRegistry {
    async fn look(&self, group: &GroupName, look: &GroupLook) -> Result<GroupFacts, PortError> {
        let (name, look) = (group.clone(), look.clone());
        let work = move |connection: &Connection| read::look(connection, &name, &look);
        let facts = self.read(format!("look at the group {group}"), work).await?;
        Ok(facts.unwrap_or_else(|| GroupFacts::empty(group.clone())))
    }

    async fn list(
        &self,
        group: &GroupName,
        before: Option<VersionNumber>,
        limit: usize,
    ) -> Result<Vec<Version>, PortError> {
        let name = group.clone();
        let work = move |connection: &Connection| match read::group(connection, &name)? {
            Some(row) => read::below(connection, &name, row.id, before, limit),
            None => Ok(Vec::new()),
        };
        Ok(self.read(format!("list the versions of {group}"), work).await?.unwrap_or_default())
    }

    async fn of_commits(&self, group: &GroupName, commits: &[CommitSha]) -> Result<Vec<Version>, PortError> {
        let (name, commits) = (group.clone(), commits.to_vec());
        let work = move |connection: &Connection| read::of_commits(connection, &name, &commits);
        Ok(self.read(format!("look up commits in {group}"), work).await?.unwrap_or_default())
    }

    async fn register(&self, registration: &Registration) -> Result<Registered, PortError> {
        let doing = format!("register {} in {}", registration.content.semver, registration.group);
        let (registration, now) = (registration.clone(), self.now());
        self.write(doing, move |connection| write::register(connection, &registration, now)).await
    }

    async fn set_approval(&self, change: &ApprovalChange) -> Result<Changed, PortError> {
        let version = VersionRef { group: change.group.clone(), number: change.number };
        let doing = format!("make {version} {}", change.to);
        if let Some(why) = change.refusal() {
            return Err(PortError::because(PortErrorKind::Bug, doing, why));
        }
        let (change, now) = (change.clone(), self.now());
        let work = move |connection: &Connection| write::set_approval(connection, &change, now);
        self.change(doing, version, work).await
    }

    async fn set_frozen(&self, group: &GroupName, frozen: bool, by: &Attribution) -> Result<Changed, PortError> {
        let doing = format!("{} the group {group}", if frozen { "freeze" } else { "unfreeze" });
        let (name, by, now) = (group.clone(), by.clone(), self.now());
        self.write(doing, move |connection| write::set_frozen(connection, &name, frozen, &by, now)).await
    }

    async fn groups(&self) -> Result<Vec<GroupName>, PortError> {
        self.groups("").await
    }

    async fn forget(&self, group: &GroupName, number: VersionNumber, by: &Attribution) -> Result<Changed, PortError> {
        let doing = format!("forget {group} {number}");
        let (name, by, now) = (group.clone(), by.clone(), self.now());
        self.write(doing, move |connection| write::forget(connection, &name, number, &by, now)).await
    }

    async fn history(
        &self,
        group: &GroupName,
        from: Option<jiff::Timestamp>,
        to: Option<jiff::Timestamp>,
    ) -> Result<Vec<HistoryEntry>, PortError> {
        let name = group.clone();
        let work = move |connection: &Connection| read::history(connection, &name, from, to);
        Ok(self.read(format!("read the history of {group}"), work).await?.unwrap_or_default())
    }
}
