//! Changes approvals and marks.

use crate::apply::Applied;
use crate::apply::register::stale_text;
use crate::outcome::StepResult;
use crate::plan::step::ApprovalStep;
use crate::plan::step::FreezeStep;
use crate::ports::Changed;
use crate::ports::PortError;
use crate::ports::Ports;

pub(super) async fn set(step: &ApprovalStep, ports: &Ports) -> Result<Applied, PortError> {
    let what = format!("{} {}", step.change.group, step.change.number);
    // The bytes may have been replaced since they were registered. Whatever becomes current is what was judged.
    for artifact in &step.artifacts {
        ports.artifacts.verify(artifact).await?;
    }
    let changed = ports.registry.set_approval(&step.change).await?;
    Ok(applied(changed, &format!("{what} is {}", step.change.to)))
}

pub(super) async fn set_frozen(step: &FreezeStep, frozen: bool, ports: &Ports) -> Result<Applied, PortError> {
    for artifact in &step.verified {
        ports.artifacts.verify(artifact).await.map_err(|error| {
            error.hint("Nothing was changed. Bring the artifact back from a backup, or go back to another version: --to NUMBER.")
        })?;
    }
    let changed = ports.registry.set_frozen(&step.group, frozen, &step.by).await?;
    let state = if frozen { "frozen" } else { "not frozen any more" };
    Ok(applied(changed, &format!("{} is {state}", step.group)))
}

fn applied(changed: Changed, note: &str) -> Applied {
    match changed {
        Changed::Done => Applied::new(StepResult::Done, note),
        Changed::Already => Applied::new(StepResult::Found, format!("{note} already")),
        Changed::Stale(stale) => Applied::new(StepResult::Stale, stale_text(&stale)),
    }
}
