//! Which account a stage and a group live in.

use crate::adapters::aws::session::Session;
use crate::model::name::GroupName;
use crate::model::name::StageName;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The sessions of a run: the default one, and those of stages that live elsewhere.
#[derive(Clone)]
pub struct Accounts {
    default: Arc<Session>,
    stages: BTreeMap<StageName, Arc<Session>>,
    groups: BTreeMap<GroupName, Arc<Session>>,
}

impl Accounts {
    /// Everything lives in one account.
    pub fn one(default: Arc<Session>) -> Self {
        Self { default, stages: BTreeMap::new(), groups: BTreeMap::new() }
    }

    /// Lets a stage and the groups that it feeds live in another account.
    pub fn with_stage(
        mut self,
        stage: StageName,
        session: &Arc<Session>,
        groups: impl IntoIterator<Item = GroupName>,
    ) -> Self {
        self.stages.insert(stage, Arc::clone(session));
        for group in groups {
            self.groups.insert(group, Arc::clone(session));
        }
        self
    }

    /// Returns the account of a group; the default one where no stage of its own feeds it.
    pub fn of_group(&self, group: &GroupName) -> &Arc<Session> {
        self.groups.get(group).unwrap_or(&self.default)
    }

    /// Returns the account of a stage.
    pub fn of_stage(&self, stage: &StageName) -> &Arc<Session> {
        self.stages.get(stage).unwrap_or(&self.default)
    }

    /// Returns the account of everything that is not said to live elsewhere.
    pub fn default_account(&self) -> &Arc<Session> {
        &self.default
    }

    /// Returns every account once, the default one first.
    pub fn all(&self) -> Vec<&Arc<Session>> {
        let mut all = vec![&self.default];
        for session in self.stages.values() {
            if !all.iter().any(|known| Arc::ptr_eq(known, session)) {
                all.push(session);
            }
        }
        all
    }
}
