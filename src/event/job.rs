//! What an event says of the job that it started: who, where, and how far that may be trusted.
//!
//! Deliberately absent: what the event asks for (`Event`).

use crate::event::RepositorySlug;
use crate::event::Run;
use crate::event::trust::Trust;
use crate::model::git::BranchName;
use crate::model::git::RepositoryId;

/// The event that starts a job when nobody does.
const SCHEDULE: &str = "schedule";

/// A job of the CI host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The host's word for the event that started it.
    pub name: String,
    /// How far the event may be trusted.
    pub trust: Trust,
    /// The repository as `owner/name`, where the host said so.
    pub repository: Option<RepositorySlug>,
    /// The repository's identity as far as the host knows it.
    pub repository_id: RepositoryId,
    /// The default branch, as the host names it.
    pub default_branch: Option<BranchName>,
    /// Who caused the event, as the host names them.
    pub actor: Option<String>,
    /// Who ran the job again, where that is somebody else.
    pub rerun_by: Option<String>,
    /// The run on the CI host.
    pub run: Run,
}

impl Job {
    /// Returns the person whose permission counts: who ran it again, else who caused it. `None` on a schedule:
    /// GitHub names whoever last changed the schedule, and they asked for nothing.
    pub fn person(&self) -> Option<&str> {
        person(&self.name, self.actor.as_deref(), self.rerun_by.as_deref())
    }

    /// Returns who is recorded: the person, or `schedule` where nobody started it.
    pub fn acted_by(&self) -> Option<&str> {
        acted_by(&self.name, self.actor.as_deref(), self.rerun_by.as_deref())
    }
}

pub(super) fn person<'a>(event: &str, actor: Option<&'a str>, rerun_by: Option<&'a str>) -> Option<&'a str> {
    rerun_by.or(actor.filter(|_| event != SCHEDULE))
}

pub(super) fn acted_by<'a>(event: &str, actor: Option<&'a str>, rerun_by: Option<&'a str>) -> Option<&'a str> {
    person(event, actor, rerun_by).or((event == SCHEDULE).then_some(SCHEDULE))
}
