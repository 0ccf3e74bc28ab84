//! Reads everything that is kept, for `prune`: all groups to their ends, trainings, artifacts and leftovers.
//!
//! Artifacts are listed before versions: what is registered in between is then found, and what is stored in
//! between is not listed.

use crate::config::Config;
use crate::facts::group::GroupLook;
use crate::facts::holdings::HeldGroup;
use crate::facts::holdings::HeldVersion;
use crate::facts::holdings::Holdings;
use crate::facts::holdings::Whose;
use crate::model::git::BranchName;
use crate::model::git::RepositoryId;
use crate::model::name::GroupName;
use crate::ports::PortError;
use crate::ports::Ports;
use std::collections::BTreeSet;

/// How many versions are read at a time.
const PAGE: usize = 500;

/// Reads everything that is kept. `branches`: those that exist, where all are known.
pub async fn read(
    config: &Config,
    repository: &RepositoryId,
    branches: Option<BTreeSet<BranchName>>,
    ports: &Ports,
) -> Result<Holdings, PortError> {
    let artifacts = ports.artifacts.held().await?;
    let trainings = ports.trainer.held(&config.project).await?;
    let leftovers = ports.trainer.leftovers().await?;
    let mut groups = Vec::new();
    for name in ports.registry.groups().await? {
        groups.push(group(config, repository, &name, ports).await?);
    }
    Ok(Holdings {
        now: ports.clock.now(),
        branches,
        groups,
        trainings: trainings.known,
        artifacts: artifacts.known,
        leftovers: leftovers.known,
        unknown: [artifacts.unknown, trainings.unknown, leftovers.unknown].concat(),
    })
}

async fn group(
    config: &Config,
    repository: &RepositoryId,
    name: &GroupName,
    ports: &Ports,
) -> Result<HeldGroup, PortError> {
    let look = GroupLook { with_former: true, ..GroupLook::default() };
    let facts = ports.registry.look(name, &look).await?;
    let ours = facts.owner.as_ref().is_some_and(|owner| !owner.is_foreign_to(repository));
    let configured = config.groups().find(|(_, _, group)| *group == name);
    let whose = match (ours, configured) {
        (false, _) => Whose::Foreign,
        (true, None) => Whose::NotConfigured,
        (true, Some((model, target, _))) => Whose::Ours { model: model.clone(), target: target.clone() },
    };
    Ok(HeldGroup {
        name: name.clone(),
        whose,
        frozen: facts.frozen.is_some(),
        current: facts.current_number(),
        formerly_current: facts.formerly_current.iter().map(|version| version.number).collect(),
        versions: versions(name, ports).await?,
    })
}

async fn versions(name: &GroupName, ports: &Ports) -> Result<Vec<HeldVersion>, PortError> {
    let mut all: Vec<HeldVersion> = Vec::new();
    loop {
        let before = all.last().map(|version| version.number);
        let page = ports.registry.list(name, before, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page.iter().map(HeldVersion::of));
    }
}

/// Reads which digests any version refers to, now.
pub async fn referred(ports: &Ports) -> Result<BTreeSet<String>, PortError> {
    let mut digests = BTreeSet::new();
    for name in ports.registry.groups().await? {
        digests.extend(versions(&name, ports).await?.into_iter().flat_map(|version| version.digests));
    }
    Ok(digests)
}
