//! Copies artifacts and verifies them. Every copy of a fan-out is done before anything is registered.

use crate::apply::Applied;
use crate::apply::Made;
use crate::outcome::StepResult;
use crate::plan::step::CopyStep;
use crate::ports::PortError;
use crate::ports::Ports;

pub(super) async fn copy(step: &CopyStep, made: &mut Made, ports: &Ports) -> Result<Applied, PortError> {
    let (mut artifacts, mut moved, mut notes) = (Vec::new(), 0, Vec::new());
    for artifact in &step.artifacts {
        let copied = ports.artifacts.copy(artifact, &step.to, ports.progress.as_ref()).await?;
        notes.push(format!("{} {} equal", copied.artifact.name, short(&copied.artifact.digest.to_string())));
        moved += copied.bytes_moved;
        artifacts.push(copied.artifact);
    }
    made.copies.insert(step.to.group.clone(), artifacts);
    let how = if moved == 0 { "shared bytes".to_owned() } else { format!("{moved} bytes") };
    let result = if moved == 0 { StepResult::Found } else { StepResult::Done };
    Ok(Applied::new(result, format!("{}, {how}", notes.join(", "))))
}

fn short(digest: &str) -> &str {
    let end = digest.find(':').map_or(12, |colon| colon + 13);
    digest.get(..end).unwrap_or(digest)
}
