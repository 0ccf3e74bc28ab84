//! What a pull request already has: versions and trainings of the merged tree and of its head, in the stages that
//! the merge reaches and in the pull request's own; and what the result is compared with.

use crate::facts::ContentFacts;
use crate::facts::Facts;
use crate::facts::group::GroupLook;
use crate::facts::review::CHART_LIMIT;
use crate::facts::review::ChangedPaths;
use crate::facts::review::CodeDifference;
use crate::facts::review::ReviewFacts;
use crate::facts::review::StageSeen;
use crate::facts::review::UnderReview;
use crate::model::git::ObjectId;
use crate::model::name::StageName;
use crate::model::settings::TrainingSettings;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use crate::model::training::TrainingState;
use crate::observe::Observer;
use crate::observe::attempts;
use crate::plan::candidate::compared_targets;
use crate::plan::goal::ModelRules;
use crate::plan::goal::Task;
use crate::ports::PortError;
use crate::ports::Ports;
use jiff::SignedDuration;
use std::collections::BTreeSet;

/// How long ago a training run on older data may have ended that is still shown.
const OLDER_DATA: SignedDuration = SignedDuration::from_hours(14 * 24);

/// How many differing paths are worth naming.
const MOST_PATHS: usize = 50;

impl Observer {
    /// Looks at everything that a prediction shows beside the plan of the merge.
    pub async fn review(
        &self,
        task: &Task,
        reviewed: &UnderReview,
        facts: &Facts,
        ports: &Ports,
    ) -> Result<ReviewFacts, PortError> {
        let mut review = ReviewFacts::default();
        let rules = &task.rules;
        let stage = task.goal.aim.stage().and_then(|name| rules.stage(name));
        let (Some(stage), Some(merged)) = (stage, task.goal.aim.commit()) else { return Ok(review) };
        for name in stages(stage, reviewed) {
            if let Some(found) = rules.stage(&name) {
                review.stages.push(self.stage_seen(rules, found, merged, reviewed, ports).await?);
            }
        }
        if let Some(base) = &reviewed.base {
            review.unchanged = self.is_unchanged(base, merged, rules, stage, ports).await?;
        }
        let settings_of = review.stages.first().map(|seen| seen.stage.clone());
        let config = self.config_at(merged).ok();
        let settings = config
            .as_ref()
            .zip(settings_of)
            .and_then(|(config, stage)| config.models.get(&rules.model)?.settings.get(&stage));
        for target in compared_targets(stage) {
            let Some(group) = facts.groups.get(target) else { continue };
            review.recent.insert(target.clone(), ports.registry.list(&group.name, None, CHART_LIMIT).await?);
            if let (Some(current), Some(settings)) = (&group.current, settings) {
                let from = &current.content.lineage.commit;
                let head = reviewed.head.as_ref().and_then(|head| self.changed(from, head, settings));
                let merged = self.changed(from, merged, settings);
                review.code.insert(target.clone(), CodeDifference { merged, head });
            }
        }
        Ok(review)
    }

    /// Tells whether a merge leaves a model as its base has it, as every stage would train it whose results the merge takes.
    async fn is_unchanged(
        &self,
        base: &ObjectId,
        merged: &ObjectId,
        rules: &ModelRules,
        stage: &Stage,
        ports: &Ports,
    ) -> Result<bool, PortError> {
        let sources = match &stage.does {
            Does::Train { .. } => std::slice::from_ref(&stage.name),
            Does::Promote { from } => from.as_slice(),
        };
        for source in sources {
            let before = self.content(base, &rules.model, source, ports).await?;
            let after = self.content(merged, &rules.model, source, ports).await?;
            let same = match (&before, &after) {
                (Ok(before), Ok(after)) => before.content == after.content && before.missing_data == after.missing_data,
                (Err(before), Err(after)) => before == after,
                _ => false,
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn stage_seen(
        &self,
        rules: &ModelRules,
        stage: &Stage,
        merged: &ObjectId,
        reviewed: &UnderReview,
        ports: &Ports,
    ) -> Result<StageSeen, PortError> {
        let merged = self.content(merged, &rules.model, &stage.name, ports).await?.ok();
        let head = match &reviewed.head {
            Some(head) => self.content(head, &rules.model, &stage.name, ports).await?.ok(),
            None => None,
        };
        let both: Vec<&ContentFacts> = merged.iter().chain(head.iter()).collect();
        let (mut versions, mut trainings) = (Vec::new(), Vec::new());
        let look = GroupLook {
            contents: both.iter().map(|content| content.content.clone()).collect(),
            recent_as_noted: true,
            ..GroupLook::default()
        };
        for target in stage.groups.keys() {
            versions.extend(self.look(rules, ports, target, &look).await?.matching);
        }
        let fingerprints: BTreeSet<_> = both.iter().filter_map(|content| content.fingerprint.clone()).collect();
        for fingerprint in &fingerprints {
            trainings.extend(attempts(rules, ports, &stage.name, fingerprint).await?);
        }
        if versions.is_empty() && trainings.is_empty() && !both.is_empty() {
            // Names follow from the data too: what was trained before they changed is looked for by its content.
            let since = ports.clock.now() - OLDER_DATA;
            let ended = ports.trainer.ended_since(&rules.project, since).await?;
            trainings.extend(ended.into_iter().filter(|training| {
                let origin = &training.origin;
                let fits = both.iter().any(|content| content.content == origin.content);
                let succeeded = matches!(training.state, TrainingState::Succeeded { .. });
                succeeded && origin.model == rules.model && origin.stage == stage.name && fits
            }));
        }
        Ok(StageSeen { stage: stage.name.clone(), merged, head, versions, trainings })
    }

    fn changed(&self, from: &ObjectId, to: &ObjectId, settings: &TrainingSettings) -> Option<ChangedPaths> {
        let differing = self.git.differing_paths(from, to, &settings.watched, MOST_PATHS).ok()?;
        Some(ChangedPaths { paths: differing.paths, total: differing.total })
    }
}

/// Where the merge would train or take from, then where the pull request trains.
fn stages(stage: &Stage, reviewed: &UnderReview) -> Vec<StageName> {
    let mut names = match &stage.does {
        Does::Train { .. } => vec![stage.name.clone()],
        Does::Promote { from } => from.clone(),
    };
    if let Some(own) = &reviewed.stage
        && !names.contains(own)
    {
        names.push(own.clone());
    }
    names
}
