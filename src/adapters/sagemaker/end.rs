//! How a training ended, as it is written down once and for all.

use crate::adapters::sagemaker::state;
use crate::adapters::sagemaker::state::Stand;
use crate::model::training::Bill;
use crate::model::training::StopCause;
use crate::model::training::Training;
use crate::model::training::TrainingState;
use crate::ports::trainer::TrainingSpec;
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use serde::Deserialize;
use serde::Serialize;

/// The schema of the records of a training.
pub(super) const SCHEMA: u32 = 1;

/// `end.json`: written once. Only `prune` replaces it, by one that says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EndRecord {
    pub(super) schema: u32,
    pub(super) started_at: Option<jiff::Timestamp>,
    pub(super) ended_at: jiff::Timestamp,
    pub(super) end: TrainingState,
    /// When SageMaker created the job that ended so; absent where there is no job to tell of. A success counts only
    /// beside the job itself, because a job is created by SageMaker alone, and a record by whoever may write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) job_created_at: Option<jiff::Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bill: Option<Bill>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
}

/// `stop.json`: why we stopped it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StopRecord {
    pub(super) schema: u32,
    pub(super) cause: StopCause,
    pub(super) at: jiff::Timestamp,
}

/// `begun.json`: the job was made. It tells one that was deleted from one that never was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BegunRecord {
    pub(super) schema: u32,
    pub(super) at: jiff::Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) arn: Option<String>,
}

impl EndRecord {
    /// An end that no job says.
    pub(super) fn without_job(ended_at: jiff::Timestamp, end: TrainingState) -> Self {
        Self { schema: SCHEMA, started_at: None, ended_at, end, job_created_at: None, bill: None, url: None }
    }

    /// Tells whether the record counts only beside the job that it tells of: it says that there is a model.
    pub(super) fn needs_its_job(&self) -> bool {
        matches!(self.end, TrainingState::Succeeded { .. })
    }

    /// Tells whether it says how this very job ended.
    pub(super) fn is_of(&self, job: &DescribeTrainingJobOutput) -> bool {
        let created = state::created(job);
        Stand::of(job) == Stand::Completed && created.is_some() && self.job_created_at == created
    }

    /// Tells whether it holds although another one would be written now.
    pub(super) fn holds_against(&self, other: &Self) -> bool {
        !self.needs_its_job() || (self.job_created_at.is_some() && self.job_created_at == other.job_created_at)
    }

    /// Puts the record and the specification together.
    pub(super) fn training(self, spec: &TrainingSpec) -> Training {
        Training {
            started_at: self.started_at,
            ended_at: Some(self.ended_at),
            url: self.url,
            bill: self.bill,
            ..open(spec, self.end)
        }
    }
}

/// A training that has not ended, or whose end is not written down yet.
pub(super) fn open(spec: &TrainingSpec, state: TrainingState) -> Training {
    Training {
        name: spec.name.clone(),
        attempt: spec.attempt,
        origin: spec.origin.clone(),
        started_at: None,
        ended_at: None,
        state,
        url: None,
        bill: None,
    }
}
