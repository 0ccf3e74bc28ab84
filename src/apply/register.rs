//! Registers versions: a training's result, a promotion, a restore.

use crate::apply::Applied;
use crate::apply::Made;
use crate::outcome::StepResult;
use crate::plan::step::RegisterStep;
use crate::ports::PortError;
use crate::ports::Ports;
use crate::ports::Registered;
use crate::ports::Stale;

/// Registers; `made` holds the copies that the version refers to, `None` for a restore, which shares bytes.
pub(super) async fn register(step: &RegisterStep, made: Option<&Made>, ports: &Ports) -> Result<Applied, PortError> {
    let mut registration = step.registration.as_ref().clone();
    match made.and_then(|made| made.copies.get(&registration.group)) {
        Some(copies) => registration.content.artifacts.clone_from(copies),
        // What is registered again must still be what it was.
        None => {
            for artifact in &registration.content.artifacts {
                ports.artifacts.verify(artifact).await?;
            }
        }
    }
    Ok(match ports.registry.register(&registration).await? {
        Registered::New(version) => Applied {
            result: StepResult::Done,
            note: format!("{} is {}", version.reference(), version.approval),
            version: Some(version),
        },
        Registered::Found(version) => Applied {
            result: StepResult::Found,
            note: format!("{} had been registered by this very operation", version.reference()),
            version: Some(version),
        },
        Registered::Stale(stale) => Applied::new(StepResult::Stale, stale_text(&stale)),
    })
}

pub(super) fn stale_text(stale: &Stale) -> String {
    match stale {
        Stale::Versions { newest, current } => {
            let number = |n: &Option<crate::model::version::VersionNumber>| {
                n.map_or_else(|| "none".to_owned(), |n| n.to_string())
            };
            format!("the group moved meanwhile: newest {}, current {}", number(newest), number(current))
        }
        Stale::Freeze => "the group was frozen or unfrozen meanwhile".to_owned(),
        Stale::Owner => "the group belongs to another repository".to_owned(),
        Stale::Approval(approval) => format!("the version became {approval} meanwhile"),
    }
}
