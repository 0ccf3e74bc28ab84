//! Evidence for "no promotable version": the nearest approved versions, and what differs from the commit.

use crate::facts::Facts;
use crate::facts::Nearest;
use crate::facts::PathDifference;
use crate::facts::Withdrawn;
use crate::facts::group::GroupLook;
use crate::model::approval::Approval;
use crate::model::git::CommitSha;
use crate::model::name::StageName;
use crate::model::settings::TrainingSettings;
use crate::model::settings::Watched;
use crate::model::stage::Stage;
use crate::model::version::Version;
use crate::observe::Observer;
use crate::plan::goal::ModelRules;
use crate::plan::goal::Task;
use crate::ports::PortError;
use crate::ports::Ports;

/// How many versions and how many paths are worth reading.
const MOST_VERSIONS: usize = 2;
const MOST_PATHS: usize = 20;

/// How far back the last change of a differing path is looked for.
const MOST_COMMITS: usize = 500;

impl Observer {
    /// Finds approved source versions of other content. Empty where a version of the content exists: then
    /// nobody needs the evidence.
    pub(super) async fn nearest(
        &self,
        task: &Task,
        ports: &Ports,
        stage: &Stage,
        sources: &[StageName],
        facts: &Facts,
    ) -> Result<Vec<Nearest>, PortError> {
        let rules = &task.rules;
        let Some(commit) = task.goal.aim.commit() else { return Ok(Vec::new()) };
        let approved = |version: &&Version| version.approval == Approval::Approved;
        if facts.groups.values().any(|group| group.matching.iter().any(|version| approved(&version))) {
            return Ok(Vec::new());
        }
        let mut nearest = Vec::new();
        for source in sources {
            let Some(below) = rules.stage(source) else { continue };
            let config = self.config_at(commit);
            let settings =
                config.as_ref().ok().and_then(|config| config.models.get(&rules.model)?.settings.get(source));
            for target in below.groups.keys() {
                let Some(group) = facts.groups.get(target) else { continue };
                for version in group.recent.iter().filter(approved) {
                    if nearest.len() < MOST_VERSIONS {
                        let near = self.difference(commit, version, settings);
                        nearest.push(self.at_targets(rules, ports, stage, version, near).await?);
                    }
                }
            }
        }
        // What may still go forward comes first: it is what the next move names.
        nearest.sort_by_key(|near| !near.may_go_forward());
        Ok(nearest)
    }

    /// Finds out whether a group that the stage feeds rejected a version's artifact, or was rolled back from it, and
    /// whether all of them stand for it.
    async fn at_targets(
        &self,
        rules: &ModelRules,
        ports: &Ports,
        stage: &Stage,
        version: &Version,
        mut near: Nearest,
    ) -> Result<Nearest, PortError> {
        let fingerprint = Some(version.content.fingerprint.clone());
        let look = GroupLook { fingerprint, recent_as_noted: true, ..GroupLook::default() };
        near.in_place = !stage.groups.is_empty();
        for target in stage.groups.keys() {
            let group = self.look(rules, ports, target, &look).await?;
            near.in_place &= group.current.as_ref().is_some_and(|current| current.holds_the_same(version));
            if let Some(there) = group.withdrawn(version) {
                near.withdrawn = Some(Withdrawn { version: there.reference(), rejection: there.rejection });
                break;
            }
        }
        Ok(near)
    }

    fn difference(&self, commit: &CommitSha, version: &Version, settings: Option<&TrainingSettings>) -> Nearest {
        let from = &version.content.lineage.commit;
        let watched = settings.map(|settings| &settings.watched);
        let paths = watched.and_then(|watched| {
            let differing = self.git.differing_paths(from, commit, watched, MOST_PATHS).ok()?;
            Some(differing.paths.into_iter().map(|path| self.changed_by(commit, path)).collect())
        });
        Nearest {
            version: version.reference(),
            semver: version.content.semver.clone(),
            paths,
            settings: settings.map(|settings| settings_differ(version, settings)).unwrap_or_default(),
            withdrawn: None,
            in_place: false,
        }
    }

    fn changed_by(&self, commit: &CommitSha, path: String) -> PathDifference {
        let watched = Watched::Paths(vec![path.clone()]);
        let last = self.git.last_commit_touching(commit, &watched, MOST_COMMITS).ok().flatten();
        PathDifference { path, changed_by: last.map(|info| format!("{} {}", info.id.short(), info.subject)) }
    }
}

fn settings_differ(version: &Version, settings: &TrainingSettings) -> Vec<String> {
    let (then, now) = (&version.content.lineage.hyperparameters, &settings.hyperparameters);
    let names: std::collections::BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let text = |value: Option<&String>| value.map_or_else(|| "not set".to_owned(), Clone::clone);
    names
        .into_iter()
        .filter(|name| then.get(*name) != now.get(*name))
        .map(|name| format!("{name}: {} -> {}", text(then.get(name)), text(now.get(name))))
        .collect()
}
