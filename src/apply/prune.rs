//! Takes away what `plan::prune` listed, in its order: a version before its artifacts. What is interrupted leaves
//! garbage that the next prune finds, never a version without its artifact.

use crate::model::history::Attribution;
use crate::observe::holdings;
use crate::plan::prune::Item;
use crate::plan::prune::Pruning;
use crate::ports::Changed;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::Ports;
use std::collections::BTreeSet;

/// What came of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pruned {
    /// It is removed.
    Done,
    /// It was gone already.
    Gone,
    /// The world moved: something needs it now, and it stays.
    Needed,
    /// This run only reads there: it is left to one that may change it.
    Left,
}

/// Takes the things away, and tells `on_done` of each.
pub async fn prune(
    list: &[Pruning],
    by: &Attribution,
    ports: &Ports,
    on_done: &mut (dyn FnMut(&Pruning, Pruned) + Send),
) -> Result<(), PortError> {
    // Read again only once every version is gone: what was registered meanwhile holds on to its artifacts.
    let mut referred: Option<BTreeSet<String>> = None;
    for pruning in list {
        let gone = |removed: bool| if removed { Pruned::Done } else { Pruned::Gone };
        let came = match &pruning.item {
            Item::Version { version } => {
                ports.registry.forget(&version.group, version.number, by).await.map(|changed| match changed {
                    Changed::Done => Pruned::Done,
                    Changed::Already => Pruned::Gone,
                    Changed::Stale(_) => Pruned::Needed,
                })
            }
            Item::Artifact { artifact } => {
                let referred = match &mut referred {
                    Some(referred) => referred,
                    None => referred.insert(holdings::referred(ports).await?),
                };
                if referred.contains(&artifact.digest.to_string()) {
                    Ok(Pruned::Needed)
                } else {
                    ports.artifacts.remove(artifact).await.map(gone)
                }
            }
            Item::Training { name } => ports.trainer.remove(name).await.map(gone),
            Item::Leftover { name } => ports.trainer.sweep(name).await.map(gone),
        };
        let came = match came {
            Err(error) if error.kind == PortErrorKind::ReadOnly => Pruned::Left,
            other => other?,
        };
        on_done(pruning, came);
    }
    Ok(())
}
