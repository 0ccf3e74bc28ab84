//! Takes away what `plan::prune` listed, in its order: a version before its artifacts. What is interrupted leaves
//! garbage that the next prune finds, never a version without its artifact.

use crate::model::history::Attribution;
use crate::observe::holdings;
use crate::plan::prune::Item;
use crate::plan::prune::Pruning;
use crate::ports::Changed;
use crate::ports::PortError;
use crate::ports::Ports;
use std::collections::BTreeSet;

/// What came of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pruned {
    /// It is taken away.
    Done,
    /// It was gone already.
    Gone,
    /// The world moved: something needs it now, and it stays.
    Needed,
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
            Item::Version { version } => match ports.registry.forget(&version.group, version.number, by).await? {
                Changed::Done => Pruned::Done,
                Changed::Already => Pruned::Gone,
                Changed::Stale(_) => Pruned::Needed,
            },
            Item::Artifact { artifact } => {
                let referred = match &mut referred {
                    Some(referred) => referred,
                    None => referred.insert(holdings::referred(ports).await?),
                };
                if referred.contains(&artifact.digest.to_string()) {
                    Pruned::Needed
                } else {
                    gone(ports.artifacts.remove(artifact).await?)
                }
            }
            Item::Training { name } => gone(ports.trainer.remove(name).await?),
            Item::Leftover { name } => gone(ports.trainer.sweep(name).await?),
        };
        on_done(pruning, came);
    }
    Ok(())
}
