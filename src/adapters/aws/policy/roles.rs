//! Which role each stage and its training jobs work under. Pure.
//!
//! A role that several stages name stays with one of them, and the others get one of their own: else branches of the
//! lower one could change what the higher one decides over.

use crate::config::Config;
use crate::model::digest::Sha256Digest;
use crate::model::iam::StageRoles;
use crate::model::name::StageName;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Longest name of a role.
const LONGEST: usize = 64;

/// The roles of every stage.
pub(super) struct Roles {
    /// The path and name of the role that jobs of a stage assume.
    jobs: BTreeMap<StageName, String>,
    /// The roles of its training jobs: as written, and as they are here.
    training: BTreeMap<StageName, BTreeMap<String, String>>,
    /// Stages of which one differs from what is written.
    separated: BTreeSet<StageName>,
}

impl Roles {
    /// Gives every stage its roles.
    pub(super) fn of(config: &Config) -> Self {
        let mut roles = Self { jobs: BTreeMap::new(), training: BTreeMap::new(), separated: BTreeSet::new() };
        let mut by_arn: BTreeMap<&str, Vec<&Stage>> = BTreeMap::new();
        let mut by_training: BTreeMap<String, Vec<&Stage>> = BTreeMap::new();
        for stage in &config.stages {
            let written = config.account_of(&stage.name).and_then(|place| place.assume_role_arn.as_deref());
            match written {
                Some(arn) => by_arn.entry(arn).or_default().push(stage),
                None => {
                    let name = clipped(&format!("branchline-{}-{}", config.project, stage.name));
                    roles.jobs.insert(stage.name.clone(), name);
                }
            }
            if matches!(stage.does, Does::Train { .. }) {
                for arn in written_for_training(config, &stage.name) {
                    by_training.entry(arn).or_default().push(stage);
                }
            }
        }
        for (arn, stages) in by_arn {
            let path = arn.split_once(":role/").map_or(arn, |(_, path)| path);
            let kept = kept(path, &stages);
            for stage in stages {
                let own = format!("branchline-{}-{}", config.project, stage.name);
                let path = roles.own(path, &own, stage, kept);
                roles.jobs.insert(stage.name.clone(), path);
            }
        }
        for (arn, stages) in by_training {
            let Some((account, path)) = arn.split_once(":role/") else { continue };
            let kept = kept(path, &stages);
            for stage in stages {
                let name = path.rsplit('/').next().unwrap_or(path);
                let path = roles.own(path, &format!("{name}-{}", stage.name), stage, kept);
                let training = roles.training.entry(stage.name.clone()).or_default();
                training.insert(arn.clone(), format!("{account}:role/{path}"));
            }
        }
        roles
    }

    /// The written role for the stage that keeps it, else one of its own beside it.
    fn own(&mut self, written: &str, own: &str, stage: &Stage, kept: Option<&StageName>) -> String {
        if kept == Some(&stage.name) {
            return written.to_owned();
        }
        self.separated.insert(stage.name.clone());
        let folder = written.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        format!("{folder}{}", clipped(own))
    }

    /// The path and name of the role of a stage's jobs.
    pub(super) fn path_of(&self, stage: &Stage) -> &str {
        self.jobs.get(&stage.name).map_or("", String::as_str)
    }

    /// The name of the role of a stage's jobs.
    pub(super) fn name_of(&self, stage: &Stage) -> &str {
        let path = self.path_of(stage);
        path.rsplit('/').next().unwrap_or(path)
    }

    /// The roles of a stage's training jobs.
    pub(super) fn training_of(&self, stage: &StageName) -> BTreeSet<String> {
        self.training.get(stage).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// What the configuration has to name for the stages that share a role in it.
    pub(super) fn separated(&self, config: &Config) -> Vec<StageRoles> {
        let separated = config.stages.iter().filter(|stage| self.separated.contains(&stage.name));
        let of_stage = |stage: &Stage| {
            let place = config.account_of(&stage.name)?;
            let written = place.assume_role_arn.as_deref();
            let account = written.and_then(|arn| arn.split_once(":role/")).map(|(account, _)| account);
            let training = place.execution_role_arn.as_ref();
            let own = training.and_then(|arn| self.training.get(&stage.name)?.get(arn)).or(training);
            Some(StageRoles {
                stage: stage.name.clone(),
                assume_role_arn: account.map(|account| format!("{account}:role/{}", self.path_of(stage))),
                read_role_arn: place.read_role_arn.clone(),
                execution_role_arn: own.filter(|_| matches!(stage.does, Does::Train { .. })).cloned(),
            })
        };
        separated.filter_map(of_stage).collect()
    }
}

/// The stage that keeps a role which several name: the one that it is called after, else the highest that trains, else
/// the lowest.
fn kept<'a>(path: &str, stages: &[&'a Stage]) -> Option<&'a StageName> {
    let called = stages.iter().filter(|stage| path.ends_with(&format!("-{}", stage.name)));
    let called = called.max_by_key(|stage| stage.name.as_str().len());
    let trains = || stages.iter().rev().find(|stage| matches!(stage.does, Does::Train { .. }));
    called.or_else(trains).or(stages.first()).map(|stage| &stage.name)
}

/// The roles that training jobs of a stage run under, as they are written.
pub(super) fn written_for_training(config: &Config, stage: &StageName) -> BTreeSet<String> {
    let place = config.account_of(stage).and_then(|place| place.execution_role_arn.clone());
    let settings = config.models.values().filter_map(|model| model.settings.get(stage));
    settings.filter_map(|settings| settings.cloud.execution_role_arn.clone().or_else(|| place.clone())).collect()
}

/// Cuts a name to what IAM takes. Two long names that begin alike stay apart.
pub(super) fn clipped(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let mark = Sha256Digest::of(name.as_bytes()).short().chars().take(8).collect::<String>();
    let kept: String = name.chars().take(LONGEST - mark.len() - 1).collect();
    format!("{kept}-{mark}")
}
