//! One decorator around the ports that write: it counts writes, and lets one of them fail before it happens, or
//! lets it happen and loses the answer. To the loop, either looks like a crash at that point.

use branchline::facts::GroupFacts;
use branchline::facts::group::GroupLook;
use branchline::facts::holdings::Held;
use branchline::facts::holdings::HeldArtifact;
use branchline::facts::holdings::HeldTraining;
use branchline::facts::holdings::Leftover;
use branchline::model::artifact::Artifact;
use branchline::model::git::CommitSha;
use branchline::model::history::Attribution;
use branchline::model::history::HistoryEntry;
use branchline::model::name::GroupName;
use branchline::model::name::ProjectName;
use branchline::model::name::StageName;
use branchline::model::name::TrainingName;
use branchline::model::training::StopCause;
use branchline::model::training::Training;
use branchline::model::version::Version;
use branchline::model::version::VersionNumber;
use branchline::ports::ApprovalChange;
use branchline::ports::ArtifactPlace;
use branchline::ports::ArtifactStore;
use branchline::ports::Changed;
use branchline::ports::Copied;
use branchline::ports::PortError;
use branchline::ports::PortErrorKind;
use branchline::ports::Progress;
use branchline::ports::Registered;
use branchline::ports::Registration;
use branchline::ports::Registry;
use branchline::ports::StartedTraining;
use branchline::ports::Trainer;
use branchline::ports::TrainingSpec;
use branchline::ports::WatchedTraining;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

/// What happens to the chosen write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails before it happens.
    Before,
    /// It happens, and its answer is lost.
    AnswerLost,
}

/// Counts writes, and strikes once.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    writes: usize,
    strike: Option<(usize, Fault)>,
    struck: bool,
}

impl Faults {
    /// Lets the write with this number (from 0) fail.
    pub fn strike(write: usize, fault: Fault) -> Self {
        Self { state: Mutex::new(State { writes: 0, strike: Some((write, fault)), struck: false }) }
    }

    /// How many writes there were.
    pub fn writes(&self) -> usize {
        self.state.lock().expect("nobody panics with the count").writes
    }

    /// Tells whether the fault has struck, once: asking takes the mark away.
    pub fn take_struck(&self) -> bool {
        std::mem::take(&mut self.state.lock().expect("nobody panics with the count").struck)
    }

    fn next(&self) -> Option<Fault> {
        let mut state = self.state.lock().expect("nobody panics with the count");
        let number = state.writes;
        state.writes += 1;
        match state.strike {
            Some((write, fault)) if write == number => {
                state.struck = true;
                Some(fault)
            }
            _ => None,
        }
    }

    async fn around<T>(&self, write: impl Future<Output = Result<T, PortError>>) -> Result<T, PortError> {
        match self.next() {
            None => write.await,
            Some(Fault::Before) => Err(injected("before")),
            Some(Fault::AnswerLost) => {
                write.await?;
                Err(injected("after"))
            }
        }
    }
}

fn injected(when: &str) -> PortError {
    PortError::because(PortErrorKind::Network, "reach the world", format!("a fault was injected {when} the write"))
}

/// A port with faults around its writes.
pub struct Faulty<T: ?Sized> {
    pub inner: Arc<T>,
    pub faults: Arc<Faults>,
}

#[async_trait::async_trait]
impl Trainer for Faulty<dyn Trainer> {
    async fn find(&self, names: &[TrainingName]) -> Result<Vec<Training>, PortError> {
        self.inner.find(names).await
    }
    async fn open(&self, project: &ProjectName) -> Result<Vec<Training>, PortError> {
        self.inner.open(project).await
    }
    async fn ended_since(&self, project: &ProjectName, since: jiff::Timestamp) -> Result<Vec<Training>, PortError> {
        self.inner.ended_since(project, since).await
    }
    async fn image_digest(&self, stage: &StageName, image: &str) -> Result<Result<Option<String>, String>, PortError> {
        self.inner.image_digest(stage, image).await
    }
    async fn start(&self, spec: &TrainingSpec) -> Result<StartedTraining, PortError> {
        self.faults.around(self.inner.start(spec)).await
    }
    async fn watch(
        &self,
        name: &TrainingName,
        cursor: u64,
        patience: Duration,
    ) -> Result<Option<WatchedTraining>, PortError> {
        self.inner.watch(name, cursor, patience).await
    }
    async fn stop(&self, name: &TrainingName, cause: StopCause) -> Result<(), PortError> {
        self.faults.around(self.inner.stop(name, cause)).await
    }
    async fn held(&self, project: &ProjectName) -> Result<Held<HeldTraining>, PortError> {
        self.inner.held(project).await
    }
    async fn remove(&self, name: &TrainingName) -> Result<bool, PortError> {
        self.faults.around(self.inner.remove(name)).await
    }
    async fn leftovers(&self) -> Result<Held<Leftover>, PortError> {
        self.inner.leftovers().await
    }
    async fn sweep(&self, name: &str) -> Result<bool, PortError> {
        self.faults.around(self.inner.sweep(name)).await
    }
    async fn log_tail(&self, name: &TrainingName, lines: usize) -> Result<Vec<String>, PortError> {
        self.inner.log_tail(name, lines).await
    }
}

#[async_trait::async_trait]
impl Registry for Faulty<dyn Registry> {
    async fn look(&self, group: &GroupName, look: &GroupLook) -> Result<GroupFacts, PortError> {
        self.inner.look(group, look).await
    }
    async fn list(
        &self,
        group: &GroupName,
        before: Option<VersionNumber>,
        limit: usize,
    ) -> Result<Vec<Version>, PortError> {
        self.inner.list(group, before, limit).await
    }
    async fn of_commits(&self, group: &GroupName, commits: &[CommitSha]) -> Result<Vec<Version>, PortError> {
        self.inner.of_commits(group, commits).await
    }
    async fn register(&self, registration: &Registration) -> Result<Registered, PortError> {
        self.faults.around(self.inner.register(registration)).await
    }
    async fn set_approval(&self, change: &ApprovalChange) -> Result<Changed, PortError> {
        self.faults.around(self.inner.set_approval(change)).await
    }
    async fn set_frozen(&self, group: &GroupName, frozen: bool, by: &Attribution) -> Result<Changed, PortError> {
        self.faults.around(self.inner.set_frozen(group, frozen, by)).await
    }
    async fn groups(&self) -> Result<Vec<GroupName>, PortError> {
        self.inner.groups().await
    }
    async fn forget(&self, group: &GroupName, number: VersionNumber, by: &Attribution) -> Result<Changed, PortError> {
        self.faults.around(self.inner.forget(group, number, by)).await
    }
    async fn history(
        &self,
        group: &GroupName,
        from: Option<jiff::Timestamp>,
        to: Option<jiff::Timestamp>,
    ) -> Result<Vec<HistoryEntry>, PortError> {
        self.inner.history(group, from, to).await
    }
}

#[async_trait::async_trait]
impl ArtifactStore for Faulty<dyn ArtifactStore> {
    async fn copy(&self, from: &Artifact, to: &ArtifactPlace, progress: &dyn Progress) -> Result<Copied, PortError> {
        self.faults.around(self.inner.copy(from, to, progress)).await
    }
    async fn verify(&self, artifact: &Artifact) -> Result<(), PortError> {
        self.inner.verify(artifact).await
    }
    async fn held(&self) -> Result<Held<HeldArtifact>, PortError> {
        self.inner.held().await
    }
    async fn remove(&self, artifact: &Artifact) -> Result<bool, PortError> {
        self.faults.around(self.inner.remove(artifact)).await
    }
    async fn fetch(&self, artifact: &Artifact, to: &Path) -> Result<(), PortError> {
        self.inner.fetch(artifact, to).await
    }
}
