//! What an externally trained model is judged by: the commit that it names, its group, and what its gates compare with.

use crate::facts::Facts;
use crate::facts::group::GroupLook;
use crate::model::git::CommitSha;
use crate::model::name::TargetName;
use crate::observe::Observer;
use crate::plan::elsewhere;
use crate::plan::goal::Task;
use crate::plan::goal::TrainedElsewhere;
use crate::ports::PortError;
use crate::ports::Ports;

impl Observer {
    pub(super) async fn observe_elsewhere(
        &self,
        task: &Task,
        ports: &Ports,
        target: &TargetName,
        commit: &CommitSha,
        result: &TrainedElsewhere,
        facts: &mut Facts,
    ) -> Result<(), PortError> {
        let rules = &task.rules;
        let Some(stage) = rules.stage_of_target(target) else { return Ok(()) };
        let content = self.content(commit, &rules.model, &stage.name, ports).await?;
        let ids = content.as_ref().ok().and_then(|content| elsewhere::identify(content, result));
        facts.commit = Some(self.commit_facts(commit, false, [(stage.name.clone(), content)])?);
        let look = GroupLook { fingerprint: ids.map(|ids| ids.fingerprint), ..GroupLook::default() };
        for target in std::iter::once(target).chain(&stage.compare_with) {
            if !facts.groups.contains_key(target) {
                facts.groups.insert(target.clone(), self.look(rules, ports, target, &look).await?);
            }
        }
        self.observe_series(rules, ports, &stage.name, facts).await
    }
}
