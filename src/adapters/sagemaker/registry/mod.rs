//! The model registry on SageMaker: model package groups, and objects in the bucket beside them.
//!
//! SageMaker is the truth for approval and for which versions exist. The bucket is the truth for what a version holds,
//! and an index: a look of a run costs one request to SageMaker however many versions there are. Nothing in the bucket is
//! overwritten without naming what it replaces. One writer of a group at a time holds its lease; `held` says in which
//! order a change is made, and `settle` how the next writer completes one that a crash cut short.
//!
//! Deliberately absent: the artifacts, which the store in `adapters::s3` copies.

mod approve;
mod desk;
mod far;
mod groups;
mod held;
mod history;
mod listing;
mod look;
mod memory;
pub mod metadata;
mod package;
mod record;
mod register;
mod settle;
mod theirs;
mod view;

use crate::adapters::aws::Accounts;
use crate::adapters::s3::objects::Objects;
use crate::adapters::sagemaker::registry::desk::Desk;
use crate::adapters::sagemaker::registry::memory::Memory;
use crate::adapters::sagemaker::registry::record::Book;
use crate::facts::group::GroupFacts;
use crate::facts::group::GroupLook;
use crate::model::git::CommitSha;
use crate::model::git::RepositoryId;
use crate::model::history::Attribution;
use crate::model::history::HistoryEntry;
use crate::model::name::GroupName;
use crate::model::name::ProjectName;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::ports::ApprovalChange;
use crate::ports::Changed;
use crate::ports::Clock;
use crate::ports::PortError;
use crate::ports::Registered;
use crate::ports::Registration;
use crate::ports::Registry;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use tokio::sync::OwnedMutexGuard;

/// What lies beside the groups of a project in the bucket, and is not a group.
const BESIDE: [&str; 8] = ["stages", "runs", "checkpoints", "trainings", "open", "ended", "sources", "data"];

/// How many folders of a project are listed.
const FOLDERS: usize = 10_000;

/// A registry in SageMaker.
pub struct SageMakerRegistry {
    accounts: Accounts,
    project: ProjectName,
    clock: Arc<dyn Clock>,
    /// Who we are to a lease where the run has no key.
    instance: String,
    /// One writer of a group at a time in this process: the lease cannot tell them apart.
    turns: Mutex<BTreeMap<GroupName, Arc<tokio::sync::Mutex<()>>>>,
    /// What the looks of this run share, if they do.
    memory: Option<Arc<Memory>>,
}

impl SageMakerRegistry {
    /// Names the registry. Nothing is sent yet.
    pub fn new(accounts: Accounts, project: ProjectName, clock: Arc<dyn Clock>) -> Self {
        let instance = uuid::Uuid::new_v4().to_string();
        Self { accounts, project, clock, instance, turns: Mutex::default(), memory: None }
    }

    /// Lets the looks of one run share for a minute what SageMaker said, until a group is changed. A change by a person
    /// in SageMaker Studio may be seen that much later. Not for a registry that lives longer than a run.
    pub fn remembering(mut self) -> Self {
        self.memory = Some(Arc::default());
        self
    }

    /// Makes the model package group, or finds it there and takes it as it is.
    pub async fn ensure_group(&self, group: &GroupName, repository: &RepositoryId) -> Result<(), PortError> {
        self.desk(group).ensure_group(Some(repository), &format!("make the group {group}")).await
    }

    fn desk(&self, group: &GroupName) -> Desk {
        let session = self.accounts.of_group(group);
        Desk {
            session: Arc::clone(session),
            objects: Objects::of(session),
            clock: Arc::clone(&self.clock),
            project: self.project.clone(),
            group: group.clone(),
            instance: self.instance.clone(),
            memory: self.memory.clone(),
            recalls: false,
        }
    }

    /// Drops what was heard of a group: this process is about to change it, or has tried to.
    fn forget_heard(&self, group: &GroupName) {
        if let Some(memory) = &self.memory {
            memory.forget(group);
        }
    }

    /// Lets the looks at a group ask for everything from now on: the world was not as a change expected it.
    fn doubt_book(&self, group: &GroupName) {
        if let Some(memory) = &self.memory {
            memory.doubt(group);
        }
    }

    async fn turn(&self, group: &GroupName) -> OwnedMutexGuard<()> {
        let turn = match self.turns.lock() {
            Ok(mut turns) => Arc::clone(turns.entry(group.clone()).or_default()),
            // Nothing is left half done behind this lock.
            Err(poisoned) => Arc::clone(poisoned.into_inner().entry(group.clone()).or_default()),
        };
        turn.lock_owned().await
    }
}

#[async_trait::async_trait]
impl Registry for SageMakerRegistry {
    async fn look(&self, group: &GroupName, look: &GroupLook) -> Result<GroupFacts, PortError> {
        let desk = Desk { recalls: true, ..self.desk(group) };
        Box::pin(desk.look(look)).await
    }

    async fn list(
        &self,
        group: &GroupName,
        before: Option<VersionNumber>,
        limit: usize,
    ) -> Result<Vec<Version>, PortError> {
        Box::pin(self.desk(group).list(before, limit)).await
    }

    async fn of_commits(&self, group: &GroupName, commits: &[CommitSha]) -> Result<Vec<Version>, PortError> {
        Box::pin(self.desk(group).of_commits(commits)).await
    }

    async fn register(&self, registration: &Registration) -> Result<Registered, PortError> {
        let _turn = self.turn(&registration.group).await;
        self.forget_heard(&registration.group);
        let registered = Box::pin(self.desk(&registration.group).register(registration)).await;
        if !matches!(registered, Ok(Registered::New(_))) {
            self.doubt_book(&registration.group);
        }
        registered
    }

    async fn set_approval(&self, change: &ApprovalChange) -> Result<Changed, PortError> {
        let _turn = self.turn(&change.group).await;
        self.forget_heard(&change.group);
        let changed = Box::pin(self.desk(&change.group).set_approval(change)).await;
        if matches!(changed, Ok(Changed::Done)) {
            self.forget_heard(&change.group);
        } else {
            self.doubt_book(&change.group);
        }
        changed
    }

    async fn set_frozen(&self, group: &GroupName, frozen: bool, by: &Attribution) -> Result<Changed, PortError> {
        let _turn = self.turn(group).await;
        self.forget_heard(group);
        let changed = Box::pin(self.desk(group).set_frozen(frozen, by)).await;
        self.forget_heard(group);
        changed
    }

    async fn groups(&self) -> Result<Vec<GroupName>, PortError> {
        const DOING: &str = "list the groups";
        let mut groups = BTreeSet::new();
        for session in self.accounts.all() {
            groups.extend(groups::groups_of(session, DOING).await?);
            // One that was frozen before its first version is only in the bucket.
            let objects = Objects::of(session);
            let folders = objects.folders(&format!("{}/", self.project), FOLDERS, DOING).await?;
            for name in folders.iter().filter(|name| !BESIDE.contains(&name.as_str())) {
                let Ok(group) = GroupName::parse(name) else { continue };
                if groups.contains(&group) {
                    continue;
                }
                if objects.get_json::<Book>(&self.desk(&group).book_key(), DOING).await?.is_some() {
                    groups.insert(group);
                }
            }
        }
        Ok(groups.into_iter().collect())
    }

    async fn forget(&self, group: &GroupName, number: VersionNumber, by: &Attribution) -> Result<Changed, PortError> {
        let _turn = self.turn(group).await;
        self.forget_heard(group);
        let changed = Box::pin(self.desk(group).forget(number, by)).await;
        self.forget_heard(group);
        changed
    }

    async fn history(
        &self,
        group: &GroupName,
        from: Option<jiff::Timestamp>,
        to: Option<jiff::Timestamp>,
    ) -> Result<Vec<HistoryEntry>, PortError> {
        Box::pin(self.desk(group).history(from, to)).await
    }
}
