//! Writes through ports, one function per step. Nothing is decided here, nothing sleeps, nothing retries.

mod approve;
mod copy;
pub mod prune;
mod register;
mod train;

use crate::model::artifact::Artifact;
use crate::model::name::GroupName;
use crate::model::version::Version;
use crate::observe::Observer;
use crate::outcome::StepResult;
use crate::plan::step::Step;
use crate::ports::PortError;
use crate::ports::Ports;
use std::collections::BTreeMap;

/// What came of one step.
#[derive(Debug)]
pub struct Applied {
    /// The result.
    pub result: StepResult,
    /// More about it, for people.
    pub note: String,
    /// A version that it made or found.
    pub version: Option<Version>,
}

impl Applied {
    fn new(result: StepResult, note: impl Into<String>) -> Self {
        Self { result, note: note.into(), version: None }
    }
}

/// What earlier steps of the same plan made: the copies that a registration refers to.
#[derive(Debug, Default)]
pub struct Made {
    copies: BTreeMap<GroupName, Vec<Artifact>>,
}

/// Lets a run that acts write down which data it identified. Without that, the next run reads them again.
pub async fn remember_data(ports: &Ports) {
    let _ = ports.datasets.remember().await;
}

/// Does one step.
pub async fn apply(step: &Step, made: &mut Made, observer: &Observer, ports: &Ports) -> Result<Applied, PortError> {
    match step {
        Step::Train(step) => train::start(step, observer, ports).await,
        Step::Stop(step) => train::stop(step, ports).await,
        Step::Copy(step) => copy::copy(step, made, ports).await,
        Step::Register(step) | Step::Promote(step) => register::register(step, Some(made), ports).await,
        Step::Restore(step) => register::register(step, None, ports).await,
        Step::Reinstate(step) | Step::Approve(step) | Step::Reject(step) => approve::set(step, ports).await,
        Step::Freeze(step) => approve::set_frozen(step, true, ports).await,
        Step::Unfreeze(step) => approve::set_frozen(step, false, ports).await,
    }
}
