//! Training: start or find it, watch it, stop it. Names are derived, so starting twice finds the first.

use crate::facts::holdings::Held;
use crate::facts::holdings::HeldTraining;
use crate::facts::holdings::Leftover;
use crate::model::identity::WatchedEntry;
use crate::model::name::ProjectName;
use crate::model::name::StageName;
use crate::model::name::TrainingName;
use crate::model::settings::TrainingSettings;
use crate::model::training::StopCause;
use crate::model::training::Training;
use crate::model::training::TrainingOrigin;
use crate::ports::error::PortError;
use serde::Deserialize;
use serde::Serialize;

/// Everything that a trainer needs to begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingSpec {
    /// The derived name.
    pub name: TrainingName,
    /// The project: trainings of one project are listed together.
    pub project: ProjectName,
    /// Attempt, from 1.
    pub attempt: u32,
    /// What it is started with; kept beside the training for any later run.
    pub origin: TrainingOrigin,
    /// How to train.
    pub settings: TrainingSettings,
    /// What of the commit is checked out, from the object database.
    pub entries: Vec<WatchedEntry>,
    /// Metrics that must be there and finite when it ends: those that gates name.
    pub required_metrics: Vec<crate::model::metric::MetricName>,
    /// Variables of the machine that the rules hand on to a local training command, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_env: Vec<String>,
}

/// What starting came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartedTraining {
    /// It began now.
    Fresh,
    /// It existed already, and is adopted.
    Found,
}

/// A training, and what it printed since the last look.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedTraining {
    /// The training.
    pub training: Training,
    /// New whole lines of its log: foreign text.
    pub lines: Vec<String>,
    /// Where to go on reading.
    pub cursor: u64,
    /// How far packing its model is, in bytes done and in all, while that goes on.
    pub packing: Option<(u64, u64)>,
    /// What the backend says it is at, in a few words, such as `starting machines`.
    pub status: Option<String>,
}

/// Runs trainings.
#[async_trait::async_trait]
pub trait Trainer: Send + Sync {
    /// Looks trainings up by name. Those that do not exist are left out.
    async fn find(&self, names: &[TrainingName]) -> Result<Vec<Training>, PortError>;

    /// Lists the trainings of a project that are open: never a loop over finished ones.
    async fn open(&self, project: &ProjectName) -> Result<Vec<Training>, PortError>;

    /// Lists the trainings of a project that ended since a time, well or badly: the run that began them may have left
    /// before, and nobody has dealt with their end yet. A backend that keeps such a mark itself lists them as open.
    async fn ended_since(&self, project: &ProjectName, since: jiff::Timestamp) -> Result<Vec<Training>, PortError>;

    /// Finds the digest that an image has now, for a training of a stage. `Ok(Ok(None))`: this backend does not use
    /// the image. `Ok(Err(why))`: there is no such image.
    async fn image_digest(&self, stage: &StageName, image: &str) -> Result<Result<Option<String>, String>, PortError> {
        let _ = (stage, image);
        Ok(Ok(None))
    }

    /// Begins a training, or finds it. Safe to repeat.
    async fn start(&self, spec: &TrainingSpec) -> Result<StartedTraining, PortError>;

    /// Looks at one training and reads its log from `cursor` on, waiting up to `patience` for a change.
    async fn watch(
        &self,
        name: &TrainingName,
        cursor: u64,
        patience: std::time::Duration,
    ) -> Result<Option<WatchedTraining>, PortError>;

    /// Ends a training politely, then firmly, and returns when it has ended. Safe to repeat; one that has ended
    /// already keeps its end, and one that this process is still preparing never begins. `NotFound`: there is none.
    async fn stop(&self, name: &TrainingName, cause: StopCause) -> Result<(), PortError>;

    /// Lists all trainings of a project with what they take, and names what is not known among them.
    async fn held(&self, project: &ProjectName) -> Result<Held<HeldTraining>, PortError> {
        Err(PortError::no_pruning(&format!("list the trainings of {project}")))
    }

    /// Removes a training that has ended. `false`: there is no such training. One that is open is an error.
    async fn remove(&self, name: &TrainingName) -> Result<bool, PortError> {
        Err(PortError::no_pruning(&format!("remove training {name}")))
    }

    /// Lists what interrupted work left behind, and names what is not known among it.
    async fn leftovers(&self) -> Result<Held<Leftover>, PortError> {
        Ok(Held::default())
    }

    /// Removes a leftover by its plain name. `false`: it is gone already.
    async fn sweep(&self, name: &str) -> Result<bool, PortError> {
        Err(PortError::no_pruning(&format!("sweep {name}")))
    }

    /// Returns the last `lines` lines of the log, for evidence.
    async fn log_tail(&self, name: &TrainingName, lines: usize) -> Result<Vec<String>, PortError>;
}
