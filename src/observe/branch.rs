//! The head of a branch, read now. A checkout is as old as its job, and a shallow one takes the event's own commit
//! for the head: so the host is asked where it can be.
//!
//! A host that shows no such branch decides nothing: then the checkout's word counts. So it does where the host does not
//! answer, unless the checkout is shallow: an old event that runs again there would take itself for the newest.

use super::locked;
use super::unreadable;
use crate::adapters::git::GitRepository;
use crate::adapters::git::Heads;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::ports::Forge;
use crate::ports::PortError;
use crate::ports::Ports;
use jiff::SignedDuration;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;

/// How long an answer of the host counts as now: the models of one event ask one after the other.
const FRESH: SignedDuration = SignedDuration::from_secs(2);

/// Where branches stand.
pub(super) struct BranchHeads {
    which: Heads,
    forge: Option<Arc<dyn Forge>>,
    /// What was answered, and when.
    known: Mutex<HashMap<BranchName, (Timestamp, Option<CommitSha>)>>,
}

impl BranchHeads {
    pub(super) fn new(which: Heads) -> Self {
        Self { which, forge: None, known: Mutex::new(HashMap::new()) }
    }

    /// Which word of the checkout counts.
    pub(super) fn which(&self) -> Heads {
        self.which
    }

    pub(super) fn ask(&mut self, forge: Arc<dyn Forge>) {
        self.forge = Some(forge);
    }

    pub(super) async fn read(
        &self,
        git: &GitRepository,
        branch: &BranchName,
        ports: &Ports,
    ) -> Result<Option<CommitSha>, PortError> {
        match self.asked(branch, ports).await {
            Ok(Some(head)) => return Ok(Some(head)),
            Err(error) if git.is_shallow() => return Err(error),
            Ok(None) | Err(_) => {}
        }
        git.branch_head(branch, self.which).map_err(|error| unreadable(&format!("read the branch {branch}"), error))
    }

    async fn asked(&self, branch: &BranchName, ports: &Ports) -> Result<Option<CommitSha>, PortError> {
        let Some(forge) = &self.forge else { return Ok(None) };
        let now = ports.clock.now();
        if let Some((at, head)) = locked(&self.known).get(branch)
            && now.duration_since(*at) < FRESH
        {
            return Ok(head.clone());
        }
        let head = forge.branch_head(branch).await?;
        locked(&self.known).insert(branch.clone(), (now, head.clone()));
        Ok(head)
    }
}
