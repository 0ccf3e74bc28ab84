//! Reads the world through ports and Git into [`Facts`]. Nothing is decided here, and nothing is written.
//!
//! What a commit fixes is read once for a run and remembered; what can move (branch heads, groups, trainings)
//! is read anew in each turn.

mod branch;
mod command;
mod content;
mod elsewhere;
pub mod holdings;
mod nearest;
mod review;

use self::branch::BranchHeads;
use crate::adapters::git::GitRepository;
use crate::adapters::git::Heads;
use crate::adapters::git::WatchError;
use crate::config::Config;
use crate::config::FILE_NAMES;
use crate::config::IncludedText;
use crate::config::MAX_INCLUDED;
use crate::config::SourceText;
use crate::facts::CommitFacts;
use crate::facts::ContentFacts;
use crate::facts::ContentProblem;
use crate::facts::Facts;
use crate::facts::HeadFacts;
use crate::facts::commit::WantedElsewhere;
use crate::facts::group::GroupFacts;
use crate::facts::group::GroupLook;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::RepositoryId;
use crate::model::identity::Fingerprint;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::name::TrainingName;
use crate::model::settings::Watched;
use crate::model::stage::Does;
use crate::model::stage::OnNewerPush;
use crate::model::stage::Stage;
use crate::model::training::Training;
use crate::model::training::TrainingState;
use crate::plan::goal::Aim;
use crate::plan::goal::ModelRules;
use crate::plan::goal::Task;
use crate::plan::step::TrainStep;
use crate::ports::Forge;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::Ports;
use crate::ports::TrainingSpec;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Reads the world for one run.
pub struct Observer {
    git: Arc<GitRepository>,
    repository: RepositoryId,
    heads: BranchHeads,
    rules: SourceText,
    loaded: Option<(SourceText, Arc<Config>)>,
    configs: Mutex<HashMap<CommitSha, Result<Arc<Config>, String>>>,
    contents: Mutex<HashMap<ContentKey, Result<ContentFacts, ContentProblem>>>,
}

type ContentKey = (CommitSha, ModelName, StageName);

impl Observer {
    /// Makes an observer of one repository under one set of rules.
    pub fn new(git: Arc<GitRepository>, repository: RepositoryId, heads: Heads, rules: SourceText) -> Self {
        Self {
            git,
            repository,
            heads: BranchHeads::new(heads),
            rules,
            loaded: None,
            configs: Mutex::new(HashMap::new()),
            contents: Mutex::new(HashMap::new()),
        }
    }

    /// Hands over what these settings came to under the run's rules, so that they are not read again.
    pub fn with_loaded(mut self, settings: SourceText, config: Arc<Config>) -> Self {
        self.loaded = Some((settings, config));
        self
    }

    /// Lets the host be asked where branches stand now.
    pub fn asking(mut self, forge: Option<Arc<dyn Forge>>) -> Self {
        if let Some(forge) = forge {
            self.heads.ask(forge);
        }
        self
    }

    /// Returns the repository.
    pub fn git(&self) -> &GitRepository {
        &self.git
    }

    /// Returns the repository's identity.
    pub fn repository(&self) -> &RepositoryId {
        &self.repository
    }

    /// Looks at everything that the task's decision can depend on.
    pub async fn observe(&self, task: &Task, ports: &Ports) -> Result<Facts, PortError> {
        let mut facts = Facts {
            now: ports.clock.now(),
            repository: self.repository.clone(),
            model: task.rules.model.clone(),
            commit: None,
            head: None,
            groups: BTreeMap::new(),
            trainings: Vec::new(),
            older_open: Vec::new(),
            wanted_elsewhere: Vec::new(),
            nearest: Vec::new(),
        };
        match &task.goal.aim {
            Aim::Train { stage, branch, commit, .. } => {
                if let Some(stage) = task.rules.stage(stage) {
                    self.observe_training(task, ports, stage, branch, commit, &mut facts).await?;
                }
            }
            Aim::Abandon { stage, branch } => {
                if let Some(stage) = task.rules.stage(stage) {
                    self.observe_older(task, ports, stage, branch, None, &mut facts).await?;
                }
            }
            Aim::Promote { stage, branch, commit, .. } => {
                if let Some(stage) = task.rules.stage(stage) {
                    self.observe_promotion(task, ports, stage, branch, commit, &mut facts).await?;
                }
            }
            Aim::PromoteByHand { from, to, version, .. } => {
                let look = GroupLook { numbers: vec![*version], ..GroupLook::default() };
                let source = self.look(&task.rules, ports, from, &look).await?;
                let chosen = source.asked.iter().find(|found| found.number == *version);
                let fingerprint = chosen.map(|version| version.content.fingerprint.clone());
                let look = GroupLook { fingerprint, ..GroupLook::default() };
                facts.groups.insert(to.clone(), self.look(&task.rules, ports, to, &look).await?);
                facts.groups.insert(from.clone(), source);
            }
            Aim::Freeze { target } | Aim::Unfreeze { target } => {
                let look = GroupLook::default();
                facts.groups.insert(target.clone(), self.look(&task.rules, ports, target, &look).await?);
            }
            Aim::RegisterElsewhere { target, commit, result, .. } => {
                self.observe_elsewhere(task, ports, target, commit, result, &mut facts).await?;
            }
            Aim::Import { to, version, .. } => {
                let fingerprint = Some(version.content.fingerprint.clone());
                let look = GroupLook { fingerprint, ..GroupLook::default() };
                facts.groups.insert(to.clone(), self.look(&task.rules, ports, to, &look).await?);
            }
            Aim::Rollback { target, replaces, to } => {
                let numbers = vec![*replaces, *to];
                let look = GroupLook { numbers, with_former: true, ..GroupLook::default() };
                facts.groups.insert(target.clone(), self.look(&task.rules, ports, target, &look).await?);
            }
            Aim::Approve { target, version } | Aim::Reject { target, version } => {
                let look = GroupLook { numbers: vec![*version], with_former: true, ..GroupLook::default() };
                facts.groups.insert(target.clone(), self.look(&task.rules, ports, target, &look).await?);
            }
        }
        Ok(facts)
    }

    /// Completes a train step into all that a trainer needs.
    pub fn training_spec(&self, step: &TrainStep) -> Result<TrainingSpec, PortError> {
        let doing = || format!("prepare training {}", step.name);
        let config = self.config_at(&step.origin.commit);
        let config = config.map_err(|problem| PortError::because(PortErrorKind::Configuration, doing(), problem))?;
        let settings =
            config.models.get(&step.origin.model).and_then(|model| model.settings.get(&step.origin.stage)).ok_or_else(
                || {
                    let why = format!("commit {} has no such model", step.origin.commit.short());
                    PortError::because(PortErrorKind::Configuration, doing(), why)
                },
            )?;
        let entries = self
            .git
            .watched_entries(&step.origin.commit, &settings.watched)
            .map_err(|error| PortError::because(PortErrorKind::Configuration, doing(), error))?;
        Ok(TrainingSpec {
            name: step.name.clone(),
            project: config.project.clone(),
            attempt: step.attempt,
            origin: step.origin.as_ref().clone(),
            settings: settings.clone(),
            entries,
            required_metrics: step.required_metrics.clone(),
        })
    }

    /// Returns the configuration with this commit's settings under the run's rules.
    pub fn config_at(&self, commit: &CommitSha) -> Result<Arc<Config>, String> {
        if let Some(known) = locked(&self.configs).get(commit) {
            return known.clone();
        }
        let loaded = self.load_at(commit);
        locked(&self.configs).insert(commit.clone(), loaded.clone());
        loaded
    }

    fn load_at(&self, commit: &CommitSha) -> Result<Arc<Config>, String> {
        let text = read_config(&self.git, commit).map_err(|error| error.to_string())?;
        let Some(settings) = text else {
            return Err(format!("commit {} has no branchline.yaml", commit.short()));
        };
        match &self.loaded {
            Some((known, config)) if *known == settings => Ok(Arc::clone(config)),
            Some(_) | None => {
                crate::config::load(&self.rules, &settings).map(Arc::new).map_err(|problems| problems.to_string())
            }
        }
    }

    async fn observe_training(
        &self,
        task: &Task,
        ports: &Ports,
        stage: &Stage,
        branch: &BranchName,
        commit: &CommitSha,
        facts: &mut Facts,
    ) -> Result<(), PortError> {
        let rules = &task.rules;
        let content = self.content(commit, &rules.model, &stage.name, ports).await?;
        facts.commit = Some(self.commit_facts(commit, task.goal.predicts, [(stage.name.clone(), content.clone())])?);
        if !task.goal.predicts {
            facts.head = Some(self.head_facts(branch, commit, &rules.model, &stage.name, ports).await?);
        }
        let fingerprint = content.as_ref().ok().and_then(|content| content.fingerprint.clone());
        let look = GroupLook { fingerprint: fingerprint.clone(), recent_as_noted: true, ..GroupLook::default() };
        let above: Vec<&Stage> = rules.training_stages_above(&stage.name).collect();
        let mut targets: Vec<&TargetName> = stage.groups.keys().collect();
        targets.extend(above.iter().flat_map(|stage| stage.groups.keys()));
        for target in targets {
            if !facts.groups.contains_key(target) {
                facts.groups.insert(target.clone(), self.look(rules, ports, target, &look).await?);
            }
        }
        if let Some(fingerprint) = &fingerprint {
            let reuse: &[StageName] = match &stage.does {
                Does::Train { reuse_from } => reuse_from,
                Does::Promote { .. } => &[],
            };
            let stages = std::iter::once(&stage.name).chain(above.iter().map(|stage| &stage.name)).chain(reuse);
            for name in stages {
                facts.trainings.extend(attempts(rules, ports, name, fingerprint).await?);
            }
        }
        if let Some(target) = stage.compare_with.as_ref().filter(|target| !facts.groups.contains_key(*target)) {
            if task.goal.predicts || has_result(facts) {
                facts.groups.insert(target.clone(), self.look(rules, ports, target, &look).await?);
            } else if let (Some(group), true) = (rules.groups.get(target), facts.trainings.is_empty()) {
                // Nothing is compared yet. But a run that cannot reach it ends before a training is paid for.
                ports.registry.history(group, Some(facts.now), None).await?;
            }
        }
        if stage.on_newer_push == OnNewerPush::Stop && !task.goal.predicts {
            self.observe_older(task, ports, stage, branch, fingerprint.as_ref(), facts).await?;
        }
        Ok(())
    }

    /// Finds open trainings of the branch that its newest push does not want, and who else may want them.
    async fn observe_older(
        &self,
        task: &Task,
        ports: &Ports,
        stage: &Stage,
        branch: &BranchName,
        wanted: Option<&Fingerprint>,
        facts: &mut Facts,
    ) -> Result<(), PortError> {
        let model = &task.rules.model;
        facts.older_open = ports
            .trainer
            .open(&task.rules.project)
            .await?
            .into_iter()
            .filter(|t| &t.origin.model == model && &t.origin.branch == branch && t.origin.stage == stage.name)
            .filter(|t| Some(&t.origin.fingerprint) != wanted)
            .collect();
        if facts.older_open.is_empty() {
            return Ok(());
        }
        let branches = self.git.branches(self.heads.which()).map_err(|error| unreadable("list the branches", error))?;
        for (other, head) in branches {
            if &other == branch || !stage.branches.matches(&other) {
                continue;
            }
            if let Ok(content) = self.content(&head, model, &stage.name, ports).await?
                && let Some(fingerprint) = content.fingerprint
            {
                facts.wanted_elsewhere.push(WantedElsewhere { branch: other, fingerprint });
            }
        }
        Ok(())
    }

    async fn observe_promotion(
        &self,
        task: &Task,
        ports: &Ports,
        stage: &Stage,
        branch: &BranchName,
        commit: &CommitSha,
        facts: &mut Facts,
    ) -> Result<(), PortError> {
        let rules = &task.rules;
        let sources: &[StageName] = match &stage.does {
            Does::Promote { from } => from,
            Does::Train { .. } => &[],
        };
        let mut contents = Vec::new();
        for source in sources {
            contents.push((source.clone(), self.content(commit, &rules.model, source, ports).await?));
        }
        facts.commit = Some(self.commit_facts(commit, task.goal.predicts, contents.clone())?);
        if let (Some(first), false) = (sources.first(), task.goal.predicts) {
            facts.head = Some(self.head_facts(branch, commit, &rules.model, first, ports).await?);
        }
        let known: Vec<&ContentFacts> = contents.iter().filter_map(|(_, content)| content.as_ref().ok()).collect();
        let look = GroupLook {
            contents: known.iter().map(|content| content.content.clone()).collect(),
            recent_as_noted: true,
            ..GroupLook::default()
        };
        let source_targets = sources.iter().filter_map(|name| rules.stage(name)).flat_map(|s| s.groups.keys());
        for target in stage.groups.keys().chain(source_targets) {
            if !facts.groups.contains_key(target) {
                facts.groups.insert(target.clone(), self.look(rules, ports, target, &look).await?);
            }
        }
        for (source, content) in &contents {
            if let Ok(ContentFacts { fingerprint: Some(fingerprint), .. }) = content {
                facts.trainings.extend(attempts(rules, ports, source, fingerprint).await?);
            }
        }
        facts.nearest = self.nearest(rules, sources, commit, facts);
        Ok(())
    }

    fn commit_facts(
        &self,
        commit: &CommitSha,
        predicts: bool,
        content: impl IntoIterator<Item = (StageName, Result<ContentFacts, ContentProblem>)>,
    ) -> Result<CommitFacts, PortError> {
        // A prediction judges the tree of a merge that nobody has committed yet.
        let (tree, subject) = match self.git.commit(commit) {
            Ok(info) => (info.tree, info.subject),
            Err(_) if predicts => (commit.clone(), "the merge".to_owned()),
            Err(error) => return Err(unreadable(&format!("read commit {}", commit.short()), error)),
        };
        Ok(CommitFacts { commit: commit.clone(), tree, subject, content: content.into_iter().collect() })
    }

    async fn head_facts(
        &self,
        branch: &BranchName,
        commit: &CommitSha,
        model: &ModelName,
        stage: &StageName,
        ports: &Ports,
    ) -> Result<HeadFacts, PortError> {
        let head = self.heads.read(&self.git, branch, ports).await?;
        let Some(to) = head else { return Ok(HeadFacts::Gone) };
        if &to == commit {
            return Ok(HeadFacts::Here);
        }
        // A newer head that this checkout does not have is other content, as far as this run can know.
        let content = match self.git.commit(&to) {
            Ok(_) => self.content(&to, model, stage, ports).await?.ok(),
            Err(_) => None,
        };
        Ok(HeadFacts::Moved {
            to,
            fingerprint: content.as_ref().and_then(|content| content.fingerprint.clone()),
            content: content.map(|content| content.content),
        })
    }

    async fn look(
        &self,
        rules: &ModelRules,
        ports: &Ports,
        target: &TargetName,
        look: &GroupLook,
    ) -> Result<GroupFacts, PortError> {
        let name = rules.groups.get(target).ok_or_else(|| {
            let why = format!("no stage feeds a group for `{target}`");
            PortError::because(PortErrorKind::Configuration, format!("find the group of {}", rules.model), why)
        })?;
        ports.registry.look(name, look).await
    }
}

/// Tells whether something was trained that could be compared: before that, what it is compared with matters to nobody.
fn has_result(facts: &Facts) -> bool {
    let trained = |training: &Training| matches!(training.state, TrainingState::Succeeded { .. });
    facts.trainings.iter().any(trained) || facts.groups.values().any(|group| !group.matching.is_empty())
}

/// Reads the configuration text of a commit.
pub fn read_config(
    git: &GitRepository,
    commit: &CommitSha,
) -> Result<Option<SourceText>, crate::adapters::git::GitError> {
    for path in FILE_NAMES {
        if let Some(bytes) = git.read_file(commit, path)? {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let included = included(git, commit, path, &text)?;
            return Ok(Some(SourceText { included: Some(included), ..SourceText::new(path, text) }));
        }
    }
    Ok(None)
}

/// Reads the files that a configuration includes, at its own commit. Links and folders are left out, and what is more
/// than a configuration may include is not read to its end.
fn included(
    git: &GitRepository,
    commit: &CommitSha,
    own: &str,
    text: &str,
) -> Result<Vec<IncludedText>, crate::adapters::git::GitError> {
    let mut included = BTreeMap::new();
    for pattern in crate::config::include_patterns(text) {
        let entries = match git.watched_entries(commit, &Watched::Paths(vec![pattern])) {
            Ok(entries) => entries,
            // A pattern without a match is said by the configuration itself.
            Err(WatchError::Missing { .. }) => continue,
            Err(WatchError::Git(error)) => return Err(error),
        };
        for entry in entries.into_iter().filter(|entry| entry.mode.starts_with("100") && entry.path != own) {
            if included.len() > MAX_INCLUDED {
                break;
            }
            if let Some(bytes) = git.read_file(commit, &entry.path)? {
                included.insert(entry.path, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    Ok(included.into_iter().map(|(file, text)| IncludedText { file, text }).collect())
}

/// Reads the attempts of one fingerprint in one stage: names are derived, so none is searched for.
async fn attempts(
    rules: &ModelRules,
    ports: &Ports,
    stage: &StageName,
    fingerprint: &Fingerprint,
) -> Result<Vec<Training>, PortError> {
    let mut found = Vec::new();
    for attempt in 1.. {
        let name = TrainingName::derive(&rules.project, &rules.model, stage, fingerprint.digest(), attempt);
        match ports.trainer.find(&[name]).await?.into_iter().next() {
            Some(training) => found.push(training),
            None => break,
        }
    }
    Ok(found)
}

fn unreadable(doing: &str, error: impl std::error::Error + Send + Sync + 'static) -> PortError {
    PortError::because(PortErrorKind::Storage, doing, error)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is a memory of reads: a panic elsewhere cannot have broken it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
