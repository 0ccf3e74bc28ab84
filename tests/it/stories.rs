//! Stories: each file of `fixtures/cases` tells what happens in a repository and what comes of it. Every story
//! is told again with a fault at each of its writes, and must end in the same state.
//!
//! After every telling nothing may be left to do: planning once more gives no step.

use crate::world::cloud::for_the_cloud;
use crate::world::faults::Fault;
use crate::world::faults::Faults;
use crate::world::laptop::Laptop;
use branchline::adapters::git::Merged;
use branchline::adapters::local::bring::bring;
use branchline::config::Config;
use branchline::drive::Drive;
use branchline::drive::Patience;
use branchline::facts::group::GroupLook;
use branchline::facts::review::UnderReview;
use branchline::model::git::BranchName;
use branchline::model::git::CommitSha;
use branchline::model::history::Attribution;
use branchline::model::metric::MetricName;
use branchline::model::name::GroupName;
use branchline::model::name::ModelName;
use branchline::model::verdict::Verdict;
use branchline::model::version::Version;
use branchline::model::version::VersionNumber;
use branchline::outcome::ModelOutcome;
use branchline::outcome::StepResult;
use branchline::plan::goal::Aim;
use branchline::plan::goal::Goal;
use branchline::plan::goal::Task;
use branchline::plan::goal::TrainedElsewhere;
use branchline::plan::route::model_rules;
use branchline::report::comparison::describe;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// The configuration of a story that brings none: one model whose script copies its score.
const CONFIG: &str = "version: 1
project: churn
models:
  churn:
    paths: [train.sh, score]
    train: { command: sh train.sh, data: none }
    gates:
      accuracy: { min: 0.5, max_drop: 0.05 }
";

/// A training that takes no time and measures what the watched file `score` says.
const SCRIPT: &str = "cp score \"$SM_MODEL_DIR/model.txt\"
printf '{\"accuracy\": %s}' \"$(cat score)\" > \"$SM_OUTPUT_DATA_DIR/metrics.json\"
";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// What it shows, in a sentence.
    #[serde(rename = "title")]
    _title: String,
    #[serde(default)]
    config: Option<String>,
    #[serde(default)]
    script: Option<String>,
    /// Why it can only be told of a laptop: its script kills the process that supervises it, say.
    #[serde(default)]
    only_on_a_laptop: Option<String>,
    story: Vec<Scene>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Scene {
    #[serde(flatten)]
    act: Act,
    #[serde(default)]
    expect: Option<Expect>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Act {
    /// Commit files on a branch.
    Commit(Commit),
    /// Delete a branch.
    DeleteBranch(String),
    /// Bring one branch into another.
    Merge(Merge),
    /// Revert the newest commit of a branch.
    Revert(String),
    /// The branch was pushed.
    Push(Push),
    /// A person promotes.
    Promote(Promotion),
    /// A person approves.
    Approve(Address),
    /// A person rejects.
    Reject(Address),
    /// A person goes back.
    Rollback(Rollback),
    /// A person stops automatic changes of a group.
    Freeze(String),
    /// A person allows them again.
    Unfreeze(String),
    /// A person trains again.
    Again(Again),
    /// The host says that a branch was deleted.
    Deleted(String),
    /// The branch was pushed, and the run leaves at once.
    PushAndLeave(String),
    /// Data that Git does not track changes.
    Data(BTreeMap<String, String>),
    /// A person runs the job of a push again.
    Rerun(Rerun),
    /// A pull request, or a merge queue's group, asks what merging would do.
    Predict(Prediction),
    /// A person registers an externally trained model.
    Register(Register),
    /// A person takes over a version of another group of this registry.
    Import(Import),
    /// What every named group holds now: its lines, newest first.
    Groups(BTreeMap<String, Vec<String>>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Commit {
    on: String,
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// A name for the commit.
    #[serde(default, rename = "as")]
    name: Option<String>,
    /// Where the branch begins, if it does not exist yet.
    #[serde(default)]
    from: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Merge {
    from: String,
    into: String,
    #[serde(default)]
    how: How,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum How {
    #[default]
    Merge,
    Squash,
    FastForward,
    CherryPick,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Push {
    Head(String),
    Older { branch: String, commit: String },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Promotion {
    from: String,
    to: String,
    version: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Register {
    /// The model file's content.
    model: String,
    /// What was measured.
    accuracy: f64,
    group: String,
    /// The commit, by default what is checked out.
    #[serde(default)]
    commit: Option<String>,
    /// Why no commit is known that it was trained from.
    #[serde(default)]
    unknown_tree: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Import {
    /// The group's full name.
    group: String,
    version: u32,
    to: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    group: String,
    version: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    group: String,
    #[serde(default)]
    to: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Again {
    branch: String,
    reason: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rerun {
    branch: String,
    attempt: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prediction {
    head: String,
    into: String,
    /// A merge queue asks: the head is the merge itself.
    #[serde(default)]
    queued: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    verdict: Verdict,
    #[serde(default)]
    reasons: Option<Vec<String>>,
    #[serde(default)]
    steps: Option<Vec<String>>,
    /// A piece of text that some message or hint has.
    #[serde(default)]
    says: Option<String>,
    /// The candidate of a prediction in words.
    #[serde(default)]
    candidate: Option<String>,
    #[serde(default)]
    exit: Option<u8>,
}

/// What a telling leaves behind: the lines of every group.
pub type Ending = BTreeMap<String, Vec<String>>;

pub struct Teller<'a> {
    name: &'a str,
    story: &'a Story,
    pub laptop: Laptop,
    commits: BTreeMap<String, String>,
    /// Whether a fault is injected: then an answer may differ, the ending may not.
    pub faulty: bool,
}

impl<'a> Teller<'a> {
    fn new(name: &'a str, story: &'a Story, faults: Faults, faulty: bool) -> Self {
        Self { name, story, laptop: Laptop::new(faults), commits: BTreeMap::new(), faulty }
    }

    /// The same story with SageMaker and S3 behind the ports.
    pub fn in_the_cloud(name: &'a str, story: &'a Story) -> Self {
        let laptop = Laptop::in_the_cloud(Faults::default());
        Self { name, story, laptop, commits: BTreeMap::new(), faulty: false }
    }

    /// Writes a file; a configuration is one for the backend of this telling.
    fn write(&self, path: &str, content: &str) {
        match &self.laptop.cloud {
            Some(world) if path == "branchline.yaml" => {
                self.laptop.repository.write(path, &for_the_cloud(content, world));
            }
            Some(_) | None => self.laptop.repository.write(path, content),
        }
    }

    async fn tell(mut self) -> (Ending, usize) {
        for (number, scene) in self.story.story.iter().enumerate() {
            self.laptop.clock.advance(60);
            self.play(number + 1, scene).await;
        }
        let ending = self.ending().await;
        (ending, self.laptop.faults.writes())
    }

    /// Plays all scenes but the last.
    pub async fn prepare(&mut self) {
        let last = self.story.story.len().saturating_sub(1);
        for (number, scene) in self.story.story.iter().take(last).enumerate() {
            self.laptop.clock.advance(60);
            self.play(number + 1, scene).await;
        }
        self.laptop.clock.advance(60);
    }

    /// Plays the last scene. It may be played again.
    pub async fn play_last(&mut self) {
        let Some(scene) = self.story.story.last() else { return };
        self.play(self.story.story.len(), scene).await;
    }

    async fn play(&mut self, number: usize, scene: &Scene) {
        match &scene.act {
            Act::Commit(commit) => self.commit(commit),
            Act::DeleteBranch(branch) => {
                let other =
                    if self.laptop.repository.git(&["branch", "--show-current"]) == *branch { "dev" } else { "" };
                if !other.is_empty() {
                    self.laptop.repository.switch(other);
                }
                self.laptop.repository.git(&["branch", "--quiet", "-D", branch]);
            }
            Act::Merge(merge) => self.merge(merge),
            Act::Revert(branch) => {
                self.laptop.repository.switch(branch);
                let parents = self.laptop.repository.git(&["rev-list", "--parents", "-n", "1", "HEAD"]);
                let mut args = vec!["revert", "--no-edit"];
                if parents.split_whitespace().count() > 2 {
                    args.extend(["--mainline", "1"]);
                }
                args.push("HEAD");
                self.laptop.repository.git(&args);
            }
            Act::Push(push) => {
                let (branch, commit) = match push {
                    Push::Head(branch) => (branch.clone(), self.resolve(branch)),
                    Push::Older { branch, commit } => (branch.clone(), self.resolve(commit)),
                };
                self.drive(number, scene, &commit, |config, by| tasks_of_push(config, by, &branch, &commit)).await;
            }
            Act::Promote(promotion) => {
                let aim = |config: &Config| Aim::PromoteByHand {
                    from: target(config, &promotion.from),
                    to: target(config, &promotion.to),
                    version: VersionNumber(promotion.version),
                    named: true,
                };
                self.by_hand(number, scene, aim).await;
            }
            Act::Approve(address) => {
                let aim = |config: &Config| Aim::Approve {
                    target: target(config, &address.group),
                    version: VersionNumber(address.version),
                };
                self.by_hand(number, scene, aim).await;
            }
            Act::Reject(address) => {
                let aim = |config: &Config| Aim::Reject {
                    target: target(config, &address.group),
                    version: VersionNumber(address.version),
                };
                self.by_hand(number, scene, aim).await;
            }
            Act::Rollback(rollback) => self.rollback(number, scene, rollback).await,
            Act::Freeze(group) => {
                self.by_hand(number, scene, |config| Aim::Freeze { target: target(config, group) }).await;
            }
            Act::Unfreeze(group) => {
                self.by_hand(number, scene, |config| Aim::Unfreeze { target: target(config, group) }).await;
            }
            Act::Register(register) => self.register(number, scene, register).await,
            Act::Import(import) => self.import(number, scene, import).await,
            Act::Again(asked) => {
                let commit = self.resolve(&asked.branch);
                self.drive(number, scene, &commit, |config, by| {
                    let mut tasks = tasks_of_push(config, by, &asked.branch, &commit);
                    for task in &mut tasks {
                        if let Aim::Train { again, by_hand, .. } = &mut task.goal.aim {
                            *again = Some(asked.reason.clone());
                            *by_hand = true;
                        }
                    }
                    tasks
                })
                .await;
            }
            Act::Deleted(branch) => {
                let head = self.resolve("HEAD");
                let name = BranchName::parse(branch).expect("a branch");
                self.drive(number, scene, &head, |config, by| {
                    match branchline::plan::route::deleted(config, &name, by, &[]) {
                        branchline::plan::route::Route::Tasks(tasks) => tasks,
                        branchline::plan::route::Route::Nothing(reason) => panic!("{}", reason.message()),
                    }
                })
                .await;
            }
            Act::PushAndLeave(branch) => {
                let commit = self.resolve(branch);
                self.laptop.patience = Patience::For(std::time::Duration::ZERO);
                self.drive(number, scene, &commit, |config, by| tasks_of_push(config, by, branch, &commit)).await;
                self.laptop.patience = Patience::UntilDone;
            }
            Act::Data(files) => {
                for (path, content) in files {
                    self.laptop.repository.write(path, content);
                }
            }
            Act::Rerun(rerun) => {
                let commit = self.resolve(&rerun.branch);
                self.drive(number, scene, &commit, |config, by| {
                    let mut tasks = tasks_of_push(config, by, &rerun.branch, &commit);
                    for task in &mut tasks {
                        task.goal.run_attempt = rerun.attempt;
                    }
                    tasks
                })
                .await;
            }
            Act::Predict(asked) => self.predict(number, scene, asked).await,
            Act::Groups(expected) => {
                let found = self.ending().await;
                for (group, lines) in expected {
                    let empty = Vec::new();
                    let there = found.get(group).unwrap_or(&empty);
                    assert_eq!(there, lines, "{} scene {number}: group {group}", self.name);
                }
            }
        }
    }

    fn commit(&mut self, commit: &Commit) {
        let repository = &self.laptop.repository;
        if let Some(from) = &commit.from {
            repository.switch(from);
        }
        repository.switch(&commit.on);
        if self.commits.is_empty() {
            self.write("branchline.yaml", self.story.config.as_deref().unwrap_or(CONFIG));
            self.write("train.sh", self.story.script.as_deref().unwrap_or(SCRIPT));
        }
        for (path, content) in &commit.files {
            self.write(path, content);
        }
        let id = repository.commit(&format!("Change {}", commit.files.keys().cloned().collect::<Vec<_>>().join(", ")));
        let name = commit.name.clone().unwrap_or_else(|| format!("#{}", self.commits.len()));
        self.commits.insert(name, id);
    }

    fn merge(&self, merge: &Merge) {
        let repository = &self.laptop.repository;
        repository.switch(&merge.into);
        match merge.how {
            How::Merge => drop(repository.git(&["merge", "--quiet", "--no-ff", "-m", "Merge", &merge.from])),
            How::FastForward => drop(repository.git(&["merge", "--quiet", "--ff-only", &merge.from])),
            How::CherryPick => drop(repository.git(&["cherry-pick", &merge.from])),
            How::Squash => {
                repository.git(&["merge", "--quiet", "--squash", &merge.from]);
                repository.commit("Squashed");
            }
        }
    }

    pub fn resolve(&self, name: &str) -> CommitSha {
        let text = match self.commits.get(name) {
            Some(id) => id.clone(),
            None => self.laptop.repository.id_of(name),
        };
        CommitSha::parse(&text).expect("a commit id")
    }

    /// Settles the way back as the command does, then goes it; after a fault the command is typed again.
    async fn rollback(&self, number: usize, scene: &Scene, rollback: &Rollback) {
        let head = self.resolve("HEAD");
        loop {
            let (config, drive) = self.laptop.run_for(&head).await;
            let target = target(&config, &rollback.group);
            let model = config.models.keys().next().expect("a model").clone();
            let group = config.group(&model, &target).expect("a group");
            let to = rollback.to.map(VersionNumber);
            let look = GroupLook { numbers: to.into_iter().collect(), with_former: true, ..GroupLook::default() };
            let facts = drive.ports.registry.look(group, &look).await.expect("readable group");
            let record = drive.ports.registry.history(group, None, None).await.expect("readable history");
            let way = branchline::plan::rollback::choose(&facts, &record, to)
                .unwrap_or_else(|reason| panic!("{} scene {number}: {}", self.name, reason.message()));
            let by = Attribution {
                event: "rollback".to_owned(),
                run_key: format!("run/{number}"),
                reason: Some("it declines everything".to_owned()),
                ..Attribution::default()
            };
            let tasks = vec![task(&config, &model, Aim::Rollback { target, replaces: way.replaces, to: way.to }, &by)];
            let models = drive.run(tasks.clone()).await;
            if self.laptop.faults.take_struck() {
                continue;
            }
            let outcome = branchline::outcome::Outcome::of_models(format!("scene {number}"), models);
            self.compare(number, scene, &outcome);
            self.nothing_is_left(number, &drive, &tasks, &outcome).await;
            return;
        }
    }

    /// Asks what a merge would do. Nothing may be written by it.
    async fn predict(&self, number: usize, scene: &Scene, asked: &Prediction) {
        let (base, head) = (self.resolve(&asked.into), self.resolve(&asked.head));
        let (config, drive) = self.laptop.run_for(&base).await;
        let tree = match drive.observer.git().merged_tree(&base, &head, None).expect("a readable repository") {
            Merged::Tree(tree) if !asked.queued => tree,
            Merged::Tree(_) => head.clone(),
            other => panic!("{} scene {number}: {other:?}", self.name),
        };
        let by = Attribution { run_key: format!("run/{number}"), ..Attribution::default() };
        let mut tasks = tasks_of_push(&config, &by, &asked.into, &tree);
        for task in &mut tasks {
            task.goal.predicts = true;
        }
        let own = BranchName::parse(&asked.head).ok().and_then(|branch| config.stage_of_branch(&branch));
        let reviewed = if asked.queued {
            UnderReview::default()
        } else {
            UnderReview { head: Some(head), stage: own.map(|stage| stage.name.clone()), base: Some(base) }
        };
        let before = self.laptop.faults.writes();
        let models = drive.predict(&tasks, &reviewed).await;
        assert_eq!(self.laptop.faults.writes(), before, "{} scene {number}: a prediction wrote", self.name);
        let outcome = branchline::outcome::Outcome::of_models(format!("scene {number}"), models);
        self.compare(number, scene, &outcome);
    }

    async fn register(&self, number: usize, scene: &Scene, register: &Register) {
        let file = self.laptop.home.with_file_name("model.pkl");
        fs::write(&file, &register.model).expect("writable");
        let brought = bring(&file, None, &mut |_, _| {}).expect("a model");
        let accuracy = MetricName::parse("accuracy").expect("a metric");
        let result = TrainedElsewhere {
            source: brought.source.clone(),
            artifact: brought.artifact.clone(),
            metrics: [(accuracy, register.accuracy)].into_iter().collect(),
            metric_notes: Vec::new(),
            unknown_tree: register.unknown_tree.clone(),
        };
        let commit = self.resolve(register.commit.as_deref().unwrap_or("HEAD"));
        let aim = |config: &Config| Aim::RegisterElsewhere {
            target: target(config, &register.group),
            commit: commit.clone(),
            branch: None,
            result: Box::new(result.clone()),
        };
        self.by_hand(number, scene, aim).await;
    }

    async fn import(&self, number: usize, scene: &Scene, import: &Import) {
        let (_, drive) = self.laptop.run_for(&self.resolve("HEAD")).await;
        let group = GroupName::parse(&import.group).expect("a group");
        let look = GroupLook { numbers: vec![VersionNumber(import.version)], ..GroupLook::default() };
        let facts = drive.ports.registry.look(&group, &look).await.expect("readable group");
        let version = facts.asked.first().expect("the version").clone();
        let aim = |config: &Config| Aim::Import {
            to: target(config, &import.to),
            version: Box::new(version.clone()),
            here: true,
            owner: facts.owner.clone(),
            foreign: false,
        };
        self.by_hand(number, scene, aim).await;
    }

    async fn by_hand(&self, number: usize, scene: &Scene, aim: impl Fn(&Config) -> Aim) {
        let head = self.resolve("HEAD");
        self.drive(number, scene, &head, |config, by| {
            let model = config.models.keys().next().expect("a model").clone();
            vec![task(config, &model, aim(config), by)]
        })
        .await;
    }

    /// Drives until no fault strikes any more, as a person runs a failed job again; then plans once more.
    async fn drive(
        &self,
        number: usize,
        scene: &Scene,
        commit: &CommitSha,
        tasks: impl Fn(&Config, &Attribution) -> Vec<Task>,
    ) {
        let by = Attribution {
            actor: Some("ada".to_owned()),
            event: "push".to_owned(),
            run_key: format!("run/{number}"),
            ..Attribution::default()
        };
        loop {
            let (config, drive) = self.laptop.run_for(commit).await;
            let tasks = tasks(&config, &by);
            let models = drive.run(tasks.clone()).await;
            if self.laptop.faults.take_struck() {
                continue;
            }
            let outcome = branchline::outcome::Outcome::of_models(format!("scene {number}"), models);
            self.compare(number, scene, &outcome);
            self.nothing_is_left(number, &drive, &tasks, &outcome).await;
            return;
        }
    }

    fn compare(&self, number: usize, scene: &Scene, outcome: &branchline::outcome::Outcome) {
        let Some(expect) = &scene.expect else { panic!("{} scene {number} expects nothing", self.name) };
        let told = told(outcome.models.as_slice());
        if self.faulty {
            // Part of the work may have been done by the run that the fault ended.
            assert_eq!(outcome.verdict, expect.verdict, "{} scene {number} after a fault:\n{told}", self.name);
            return;
        }
        assert_eq!(outcome.verdict, expect.verdict, "{} scene {number}:\n{told}", self.name);
        let codes: Vec<String> =
            outcome.models.iter().flat_map(|m| &m.reasons).map(|reason| reason.code().to_owned()).collect();
        // Only a cloud has a machine, a bill and a page of its own for a training; nothing is decided by that.
        let codes: Vec<String> = codes.into_iter().filter(|code| code != "training-details").collect();
        if let Some(reasons) = &expect.reasons {
            assert_eq!(&codes, reasons, "{} scene {number}:\n{told}", self.name);
        }
        let kinds: Vec<String> = outcome
            .models
            .iter()
            .flat_map(|m| &m.steps)
            .filter(|record| record.result != StepResult::Stale)
            .map(|record| record.step.kind().to_owned())
            .collect();
        let wanted = expect.steps.clone().unwrap_or_default();
        assert_eq!(kinds, wanted, "{} scene {number}:\n{told}", self.name);
        if let Some(says) = &expect.says {
            assert!(told.contains(says.as_str()), "{} scene {number} does not say {says:?}:\n{told}", self.name);
        }
        if let Some(candidate) = &expect.candidate {
            let shown: Vec<String> =
                outcome.models.iter().filter_map(|model| model.candidate.as_deref()).map(describe).collect();
            assert_eq!(&shown, std::slice::from_ref(candidate), "{} scene {number}:\n{told}", self.name);
        }
        if let Some(exit) = expect.exit {
            assert_eq!(outcome.exit_code(), exit, "{} scene {number}:\n{told}", self.name);
        }
    }

    async fn nothing_is_left(
        &self,
        number: usize,
        drive: &Arc<Drive>,
        tasks: &[Task],
        outcome: &branchline::outcome::Outcome,
    ) {
        let planned = drive.plan(tasks).await;
        let mut left: Vec<&str> =
            planned.iter().flat_map(|model| &model.steps).map(|record| record.step.kind()).collect();
        if outcome.verdict == Verdict::Waiting {
            // What it waits for may have ended since, and its result is registered then. Nothing is begun.
            left.retain(|kind| !matches!(*kind, "copy" | "register"));
        }
        assert!(
            left.is_empty(),
            "{} scene {number} ended as {}, but planning again gives {left:?}",
            self.name,
            outcome.verdict
        );
    }

    pub async fn ending(&self) -> Ending {
        let head = self.resolve("HEAD");
        let (config, drive) = self.laptop.run_for(&head).await;
        let mut ending = Ending::new();
        for (model, target, group) in config.groups() {
            let facts = drive.ports.registry.look(group, &GroupLook::default()).await.expect("readable group");
            let versions = drive.ports.registry.list(group, None, 1000).await.expect("readable versions");
            let lines: Vec<String> = versions.iter().map(|version| line(version, facts.current_number())).collect();
            let name = if config.models.len() == 1 { target.to_string() } else { format!("{model}/{target}") };
            if !lines.is_empty() {
                ending.insert(name, lines);
            }
        }
        ending
    }
}

/// One version in a line: `v2 0.2.0 Approved current accuracy=0.9 from churn-dev v3`.
fn line(version: &Version, current: Option<VersionNumber>) -> String {
    let mut text = format!("{} {} {}", version.number, version.content.semver, version.approval);
    if current == Some(version.number) {
        text.push_str(" current");
    }
    if version.superseded {
        text.push_str(" superseded");
    }
    for (name, value) in &version.content.metrics {
        text.push_str(&format!(" {name}={value}"));
    }
    if let Some(source) = &version.content.source {
        text.push_str(&format!(" from {source}"));
    }
    if let Some(restored) = version.content.restores {
        text.push_str(&format!(" restores {restored}"));
    }
    text
}

fn target(config: &Config, text: &str) -> branchline::model::name::TargetName {
    config.find_group(text, None).unwrap_or_else(|error| panic!("{error}")).1
}

pub fn tasks_of_push(config: &Config, by: &Attribution, branch: &str, commit: &CommitSha) -> Vec<Task> {
    use branchline::event::BranchMoved;
    use branchline::event::Event;
    use branchline::event::EventKind;
    use branchline::event::Run;
    use branchline::event::Trust;
    use branchline::plan::route::Route;
    let event = Event {
        name: "push".to_owned(),
        kind: EventKind::BranchMoved(BranchMoved {
            branch: BranchName::parse(branch).expect("a branch"),
            before: None,
            after: commit.clone(),
            created: false,
            forced: false,
        }),
        trust: Trust::Own,
        repository: None,
        repository_id: Default::default(),
        default_branch: None,
        actor: None,
        rerun_by: None,
        started_on: None,
        run: Run { key: None, attempt: 1, url: None, workflow: None },
    };
    match branchline::plan::route::route(config, &event, by, &[]) {
        Route::Tasks(tasks) => tasks,
        Route::Nothing(reason) => panic!("{branch}: {}", reason.message()),
    }
}

fn task(config: &Config, model: &ModelName, aim: Aim, by: &Attribution) -> Task {
    Task {
        goal: Goal { aim, by: by.clone(), run_attempt: 1, predicts: false },
        rules: model_rules(config, model).expect("a known model"),
    }
}

pub fn told(models: &[ModelOutcome]) -> String {
    let mut text = String::new();
    for model in models {
        text.push_str(&format!("{}: {}\n", model.model, model.verdict));
        for reason in &model.reasons {
            text.push_str(&format!("  [{}] {}\n", reason.code(), reason.message()));
            if let Some(hint) = reason.hint() {
                text.push_str(&format!("    -> {hint}\n"));
            }
        }
        for record in &model.steps {
            text.push_str(&format!("  {} {} ({})\n", record.step.kind(), record.result.as_str(), record.note));
        }
        if model.merging.is_some() {
            text.push_str(&branchline::report::comparison::text(model));
        }
    }
    text
}

fn cases() -> Vec<(String, Story)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cases");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("fixtures/cases")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "there are no stories");
    files
        .into_iter()
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("readable story");
            let story = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, story)
        })
        .collect()
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn every_story_ends_as_told() {
    let runtime = runtime();
    for (name, story) in cases() {
        runtime.block_on(Teller::new(&name, &story, Faults::default(), false).tell());
    }
}

/// One table of stories, two backends: verdicts, reasons, steps and endings are the same.
#[test]
fn every_story_ends_as_told_in_the_cloud() {
    let runtime = runtime();
    let mut told = 0;
    for (name, story) in cases() {
        if story.only_on_a_laptop.is_some() {
            continue;
        }
        let teller = Teller::in_the_cloud(&name, &story);
        runtime.block_on(teller.tell());
        told += 1;
    }
    assert!(told > 35, "only {told} stories were told");
}

/// A telling mostly waits for processes and the disk.
const TELLINGS_AT_ONCE: usize = 3;

/// Does something with each of many, a few at a time.
fn for_each<T: Sync>(many: &[T], done: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..TELLINGS_AT_ONCE {
            scope.spawn(|| {
                while let Some(one) = many.get(next.fetch_add(1, Ordering::Relaxed)) {
                    done(one);
                }
            });
        }
    });
}

fn every_write_may_fail(fault: Fault) {
    let struck = AtomicUsize::new(0);
    for_each(&cases(), |(name, story)| {
        let runtime = runtime();
        let (ending, writes) = runtime.block_on(Teller::new(name, story, Faults::default(), true).tell());
        for write in 0..writes {
            let faults = Faults::strike(write, fault);
            let (other, _) = runtime.block_on(Teller::new(name, story, faults, true).tell());
            assert_eq!(other, ending, "{name}: write {write} failed ({fault:?}), and the ending differs");
            struck.fetch_add(1, Ordering::Relaxed);
        }
    });
    let struck = struck.into_inner();
    assert!(struck > 300, "only {struck} writes were struck");
}

#[test]
fn a_write_that_fails_changes_no_ending() {
    every_write_may_fail(Fault::Before);
}

#[test]
fn a_write_whose_answer_is_lost_changes_no_ending() {
    every_write_may_fail(Fault::AnswerLost);
}

/// `wait: 0` leaves at once; the same event again finishes.
#[test]
fn a_run_that_leaves_is_finished_by_the_next() {
    let runtime = runtime();
    runtime.block_on(async {
        let mut laptop = Laptop::new(Faults::default());
        laptop.patience = Patience::For(std::time::Duration::ZERO);
        laptop.repository.write("branchline.yaml", CONFIG);
        laptop.repository.write("train.sh", &format!("sleep 0.4\n{SCRIPT}"));
        laptop.repository.write("score", "0.9");
        let commit = CommitSha::parse(&laptop.repository.commit("First")).expect("a commit");
        let by = Attribution { run_key: "run/1".to_owned(), ..Attribution::default() };
        let (config, drive) = laptop.run_for(&commit).await;
        let left = drive.run(tasks_of_push(&config, &by, "dev", &commit)).await;
        assert_eq!(left[0].verdict, Verdict::Waiting, "{}", told(&left));
        laptop.patience = Patience::UntilDone;
        let (config, drive) = laptop.run_for(&commit).await;
        let done = drive.run(tasks_of_push(&config, &by, "dev", &commit)).await;
        assert_eq!(done[0].verdict, Verdict::Passed, "{}", told(&done));
        assert!(!told(&done).contains("train "), "nothing is trained twice:\n{}", told(&done));
        assert_eq!(done[0].versions.len(), 1);
    });
}
