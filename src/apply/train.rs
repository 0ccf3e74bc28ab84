//! Begins and ends trainings.

use crate::apply::Applied;
use crate::observe::Observer;
use crate::outcome::StepResult;
use crate::plan::step::StopStep;
use crate::plan::step::TrainStep;
use crate::ports::PortError;
use crate::ports::Ports;
use crate::ports::StartedTraining;

pub(super) async fn start(step: &TrainStep, observer: &Observer, ports: &Ports) -> Result<Applied, PortError> {
    let spec = observer.training_spec(step)?;
    Ok(match ports.trainer.start(&spec).await? {
        StartedTraining::Fresh => Applied::new(StepResult::Done, format!("{} began", step.name)),
        StartedTraining::Found => Applied::new(StepResult::Found, format!("{} existed already", step.name)),
    })
}

pub(super) async fn stop(step: &StopStep, ports: &Ports) -> Result<Applied, PortError> {
    ports.trainer.stop(&step.training, step.cause).await?;
    Ok(Applied::new(StepResult::Done, format!("{} ended", step.training)))
}
