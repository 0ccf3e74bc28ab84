//! How a training ended, as it is written down once and for all.

use crate::model::training::Bill;
use crate::model::training::StopCause;
use crate::model::training::Training;
use crate::model::training::TrainingState;
use crate::ports::trainer::TrainingSpec;
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
