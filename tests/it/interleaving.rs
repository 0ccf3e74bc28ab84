//! Two runs at the same time over the same groups, call by call in every order that a schedule gives: the end is
//! one that some order of the two runs, one after the other, would have given.
//!
//! The registry and the artifacts are the real local ones; trainings end at once. Before each call through a port
//! a run stops, and the schedule says which of the two goes on.

use crate::world::faults::Faults;
use crate::world::laptop::Laptop;
use branchline::config::Config;
use branchline::drive::Drive;
use branchline::facts::GroupFacts;
use branchline::facts::group::GroupLook;
use branchline::model::artifact::Artifact;
use branchline::model::artifact::ObjectDigest;
use branchline::model::digest::Sha256Digest;
use branchline::model::git::BranchName;
use branchline::model::git::CommitSha;
use branchline::model::history::Attribution;
use branchline::model::history::HistoryEntry;
use branchline::model::metric::MetricName;
use branchline::model::name::GroupName;
use branchline::model::name::ProjectName;
use branchline::model::name::TargetName;
use branchline::model::name::TrainingName;
use branchline::model::training::StopCause;
use branchline::model::training::Training;
use branchline::model::training::TrainingState;
use branchline::model::version::Version;
use branchline::model::version::VersionNumber;
use branchline::plan::goal::Aim;
use branchline::plan::goal::Goal;
use branchline::plan::goal::Task;
use branchline::plan::route::Route;
use branchline::plan::route::model_rules;
use branchline::plan::route::push;
use branchline::ports::ApprovalChange;
use branchline::ports::ArtifactPlace;
use branchline::ports::ArtifactStore;
use branchline::ports::Changed;
use branchline::ports::Copied;
use branchline::ports::PortError;
use branchline::ports::Ports;
use branchline::ports::Progress;
use branchline::ports::Registered;
use branchline::ports::Registration;
use branchline::ports::Registry;
use branchline::ports::StartedTraining;
use branchline::ports::Trainer;
use branchline::ports::TrainingSpec;
use branchline::ports::WatchedTraining;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;

/// How many schedules each pair of runs is put through.
const SCHEDULES: u32 = 24;

const CONFIG: &str = "version: 1
project: churn
models:
  churn:
    paths: [score]
    train: { command: never started, data: none }
";

/// Lets one of two runs go on at a time.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Default)]
struct State {
    schedule: Vec<bool>,
    next: usize,
    waiting: [bool; 2],
    done: [bool; 2],
    granted: Option<usize>,
    switches: usize,
    last: usize,
}

impl Gate {
    fn new(schedule: Vec<bool>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { schedule, ..State::default() }), moved: Notify::new() })
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let answer = change(&mut self.state.lock().expect("nobody panics at the gate"));
        self.moved.notify_waiters();
        answer
    }

    /// Stops here until the schedule lets this run go on.
    async fn pass(&self, who: usize) {
        self.with(|state| {
            state.waiting[who] = true;
            state.choose();
        });
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let mine = {
                let mut state = self.state.lock().expect("nobody panics at the gate");
                let mine = state.granted == Some(who);
                if mine {
                    state.granted = None;
                    state.waiting[who] = false;
                }
                mine
            };
            if mine {
                return;
            }
            moved.await;
        }
    }

    fn finish(&self, who: usize) {
        self.with(|state| {
            state.done[who] = true;
            state.choose();
        });
    }

    fn switches(&self) -> usize {
        self.state.lock().expect("nobody panics at the gate").switches
    }
}

impl State {
    /// Chooses once nobody is between two calls.
    fn choose(&mut self) {
        let ready: Vec<usize> = (0..2).filter(|who| self.waiting[*who] && !self.done[*who]).collect();
        let all = (0..2).filter(|who| !self.done[*who]).count();
        if self.granted.is_some() || ready.len() < all || ready.is_empty() {
            return;
        }
        // Behind the end of the schedule the first run goes on to its end, then the second.
        let chosen = match ready[..] {
            [only] => only,
            _ => usize::from(self.schedule.get(self.next).copied().unwrap_or(false)),
        };
        self.next += 1;
        if chosen != self.last {
            self.switches += 1;
        }
        self.last = chosen;
        self.granted = Some(chosen);
    }
}

/// A port that stops before each call.
struct Stepped<T: ?Sized> {
    inner: Arc<T>,
    gate: Arc<Gate>,
    who: usize,
}

#[async_trait::async_trait]
impl Registry for Stepped<dyn Registry> {
    async fn look(&self, group: &GroupName, look: &GroupLook) -> Result<GroupFacts, PortError> {
        self.gate.pass(self.who).await;
        self.inner.look(group, look).await
    }
    async fn list(
        &self,
        group: &GroupName,
        before: Option<VersionNumber>,
        limit: usize,
    ) -> Result<Vec<Version>, PortError> {
        self.inner.list(group, before, limit).await
    }
    async fn of_commits(&self, group: &GroupName, commits: &[CommitSha]) -> Result<Vec<Version>, PortError> {
        self.inner.of_commits(group, commits).await
    }
    async fn register(&self, registration: &Registration) -> Result<Registered, PortError> {
        self.gate.pass(self.who).await;
        self.inner.register(registration).await
    }
    async fn set_approval(&self, change: &ApprovalChange) -> Result<Changed, PortError> {
        self.gate.pass(self.who).await;
        self.inner.set_approval(change).await
    }
    async fn set_frozen(&self, group: &GroupName, frozen: bool, by: &Attribution) -> Result<Changed, PortError> {
        self.gate.pass(self.who).await;
        self.inner.set_frozen(group, frozen, by).await
    }
    async fn history(
        &self,
        group: &GroupName,
        from: Option<jiff::Timestamp>,
        to: Option<jiff::Timestamp>,
    ) -> Result<Vec<HistoryEntry>, PortError> {
        self.inner.history(group, from, to).await
    }
}

#[async_trait::async_trait]
impl ArtifactStore for Stepped<dyn ArtifactStore> {
    async fn copy(&self, from: &Artifact, to: &ArtifactPlace, progress: &dyn Progress) -> Result<Copied, PortError> {
        self.gate.pass(self.who).await;
        self.inner.copy(from, to, progress).await
    }
    async fn verify(&self, artifact: &Artifact) -> Result<(), PortError> {
        self.inner.verify(artifact).await
    }
    async fn fetch(&self, artifact: &Artifact, to: &Path) -> Result<(), PortError> {
        self.inner.fetch(artifact, to).await
    }
}

/// Trainings that end the moment they begin. Each makes an artifact of its fingerprint.
struct AtOnce {
    trainings: Mutex<BTreeMap<TrainingName, Training>>,
    folder: PathBuf,
}

#[async_trait::async_trait]
impl Trainer for Stepped<AtOnce> {
    async fn find(&self, names: &[TrainingName]) -> Result<Vec<Training>, PortError> {
        self.gate.pass(self.who).await;
        let known = self.inner.trainings.lock().expect("nobody panics with the trainings");
        Ok(names.iter().filter_map(|name| known.get(name).cloned()).collect())
    }
    async fn open(&self, _project: &ProjectName) -> Result<Vec<Training>, PortError> {
        Ok(Vec::new())
    }
    async fn ended_since(&self, _project: &ProjectName, _since: jiff::Timestamp) -> Result<Vec<Training>, PortError> {
        Ok(self.inner.trainings.lock().expect("nobody panics with the trainings").values().cloned().collect())
    }
    async fn start(&self, spec: &TrainingSpec) -> Result<StartedTraining, PortError> {
        self.gate.pass(self.who).await;
        let bytes = spec.origin.fingerprint.to_string().into_bytes();
        let path = self.inner.folder.join(spec.name.as_str());
        fs::write(&path, &bytes).expect("a written artifact");
        let artifact = Artifact {
            name: "model.tar.gz".to_owned(),
            digest: ObjectDigest::Sha256(Sha256Digest::of(&bytes)),
            size: bytes.len() as u64,
            location: format!("file:{}", path.display()),
        };
        let accuracy = MetricName::parse("accuracy").expect("a metric");
        let training = Training {
            name: spec.name.clone(),
            attempt: spec.attempt,
            origin: spec.origin.clone(),
            started_at: None,
            ended_at: None,
            state: TrainingState::Succeeded {
                metrics: [(accuracy, 0.9)].into(),
                artifacts: vec![artifact],
                data_moved: false,
                notes: Vec::new(),
            },
            url: None,
            bill: None,
        };
        let mut known = self.inner.trainings.lock().expect("nobody panics with the trainings");
        if known.contains_key(&spec.name) {
            return Ok(StartedTraining::Found);
        }
        known.insert(spec.name.clone(), training);
        Ok(StartedTraining::Fresh)
    }
    async fn watch(
        &self,
        name: &TrainingName,
        cursor: u64,
        _patience: Duration,
    ) -> Result<Option<WatchedTraining>, PortError> {
        panic!("{name} is watched from {cursor}, but every training has ended");
    }
    async fn stop(&self, name: &TrainingName, _cause: StopCause) -> Result<(), PortError> {
        panic!("{name} is stopped, but every training has ended");
    }
    async fn log_tail(&self, _name: &TrainingName, _lines: usize) -> Result<Vec<String>, PortError> {
        Ok(Vec::new())
    }
}

/// What one run asks.
#[derive(Debug, Clone)]
enum Ask {
    Push(&'static str),
    Promote(u32),
    Approve(u32),
    Reject(u32),
    Rollback { replaces: u32, to: u32 },
    Freeze,
}

/// What is left: each version and the history of each group, without times and ids.
type Ending = BTreeMap<String, (Vec<String>, Vec<String>)>;

struct World {
    laptop: Laptop,
    /// The state that every run begins with.
    seed: PathBuf,
    trainings: BTreeMap<TrainingName, Training>,
    runtime: tokio::runtime::Runtime,
    cases: usize,
}

impl World {
    /// A history of four trained commits on `dev`; `prod` had the first and has the second. The branches `prod`
    /// and `feature-*` hold what is still to come.
    fn new(before: &[Ask]) -> Self {
        let laptop = Laptop::new(Faults::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let repository = &laptop.repository;
        repository.switch("dev");
        repository.write("branchline.yaml", CONFIG);
        let seed = laptop.home.clone();
        fs::create_dir_all(&seed).expect("a home");
        let mut world = Self { laptop, seed, trainings: BTreeMap::new(), runtime, cases: 0 };
        for score in ["0.80", "0.82", "0.84"] {
            world.laptop.repository.write("score", score);
            world.laptop.repository.commit(score);
            world.laptop.repository.git(&["branch", "--force", "prod"]);
            world.alone(&Ask::Push("dev"));
            if score != "0.84" {
                world.alone(&Ask::Push("prod"));
                world.alone(&Ask::Approve(if score == "0.80" { 1 } else { 2 }));
            }
        }
        for (branch, score) in [("feature-a", "0.90"), ("feature-b", "0.91")] {
            world.laptop.repository.git(&["switch", "--quiet", "--create", branch, "dev"]);
            world.laptop.repository.write("score", score);
            world.laptop.repository.commit(score);
        }
        for ask in before {
            world.alone(ask);
        }
        world
    }

    fn alone(&mut self, ask: &Ask) {
        let trainer = Arc::new(AtOnce { trainings: Mutex::new(self.trainings.clone()), folder: self.seed.clone() });
        let gate = Gate::new(Vec::new());
        gate.finish(1);
        let (drive, tasks) = self.runtime.block_on(self.run_of(0, ask, &trainer, &gate));
        self.runtime.block_on(drive.run(tasks));
        self.trainings = trainer.trainings.lock().expect("nobody panics with the trainings").clone();
    }

    async fn run_of(&self, who: usize, ask: &Ask, trainer: &Arc<AtOnce>, gate: &Arc<Gate>) -> (Arc<Drive>, Vec<Task>) {
        let branch = match ask {
            Ask::Push(branch) => branch,
            _ => "dev",
        };
        let commit = CommitSha::parse(&self.laptop.repository.git(&["rev-parse", branch])).expect("a commit");
        let (config, whole) = self.laptop.run_for(&commit).await;
        let gate = || Arc::clone(gate);
        let ports = Ports {
            trainer: Arc::new(Stepped { inner: Arc::clone(trainer), gate: gate(), who }),
            registry: Arc::new(Stepped { inner: Arc::clone(&whole.ports.registry), gate: gate(), who }),
            artifacts: Arc::new(Stepped { inner: Arc::clone(&whole.ports.artifacts), gate: gate(), who }),
            ..whole.ports.clone()
        };
        let drive = Drive {
            observer: Arc::clone(&whole.observer),
            ports,
            patience: whole.patience,
            on_cancel: whole.on_cancel,
            parallel: 1,
            cancelled: whole.cancelled.clone(),
        };
        let by = Attribution { run_key: format!("run/{who}"), ..Attribution::default() };
        (Arc::new(drive), tasks(&config, ask, branch, &commit, &by))
    }

    /// Runs both under a schedule, on a fresh copy of the seed. Returns the ending and how often it switched.
    fn both(&mut self, one: &Ask, two: &Ask, schedule: Vec<bool>) -> (Ending, usize) {
        self.cases += 1;
        let home = self.seed.with_file_name(format!("home-{}", self.cases));
        copy_folder(&self.seed, &home);
        self.laptop.home.clone_from(&home);
        let trainer = Arc::new(AtOnce { trainings: Mutex::new(self.trainings.clone()), folder: home.clone() });
        let gate = Gate::new(schedule);
        let (first, first_tasks) = self.runtime.block_on(self.run_of(0, one, &trainer, &gate));
        let (second, second_tasks) = self.runtime.block_on(self.run_of(1, two, &trainer, &gate));
        let ending = self.runtime.block_on(async {
            let run = async |who: usize, drive: &Arc<Drive>, tasks| {
                let outcomes = drive.run(tasks).await;
                gate.finish(who);
                outcomes
            };
            let (a, b) = tokio::join!(run(0, &first, first_tasks), run(1, &second, second_tasks));
            for outcome in a.iter().chain(&b) {
                let errored = outcome.verdict == branchline::model::verdict::Verdict::Errored;
                let said: Vec<String> = outcome.reasons.iter().map(|reason| reason.message()).collect();
                assert!(!errored, "{one:?} and {two:?}: {said:?}");
            }
            self.ending().await
        });
        drop((first, second));
        fs::remove_dir_all(&home).expect("a removed home");
        self.laptop.home.clone_from(&self.seed);
        (ending, gate.switches())
    }

    async fn ending(&self) -> Ending {
        let commit = CommitSha::parse(&self.laptop.repository.git(&["rev-parse", "dev"])).expect("a commit");
        let (config, drive) = self.laptop.run_for(&commit).await;
        let mut ending = Ending::new();
        for (_, target, group) in config.groups() {
            let facts = drive.ports.registry.look(group, &GroupLook::default()).await.expect("a readable group");
            let versions = drive.ports.registry.list(group, None, 100).await.expect("readable versions");
            let history = drive.ports.registry.history(group, None, None).await.expect("a readable history");
            let mut lines: Vec<String> = versions.iter().map(|version| line(version, &facts)).collect();
            lines.extend(facts.frozen.map(|_| "frozen".to_owned()));
            let told = history.iter().map(|entry| format!("{:?} {:?}", entry.action, entry.version)).collect();
            ending.insert(target.to_string(), (lines, told));
        }
        ending
    }
}

fn line(version: &Version, facts: &GroupFacts) -> String {
    let content = &version.content;
    format!(
        "{} {} {} {} {:?} {:?} {:?} {}{}",
        version.number,
        content.semver,
        content.fingerprint.short(),
        version.approval,
        version.rejection,
        content.source.as_ref().map(ToString::to_string),
        content.restores,
        if version.superseded { "superseded" } else { "" },
        if facts.current_number() == Some(version.number) { " current" } else { "" },
    )
}

fn tasks(config: &Config, ask: &Ask, branch: &str, commit: &CommitSha, by: &Attribution) -> Vec<Task> {
    let target = |text: &str| TargetName::parse(text).expect("a target");
    let prod = || target("prod");
    let aim = match ask {
        Ask::Push(_) => {
            let branch = BranchName::parse(branch).expect("a branch");
            return match push(config, &branch, commit, by, 1, &[]) {
                Route::Tasks(tasks) => tasks,
                Route::Nothing(reason) => panic!("{}", reason.message()),
            };
        }
        Ask::Promote(version) => {
            Aim::PromoteByHand { from: target("dev"), to: prod(), version: VersionNumber(*version), named: true }
        }
        Ask::Approve(version) => Aim::Approve { target: prod(), version: VersionNumber(*version) },
        Ask::Reject(version) => Aim::Reject { target: prod(), version: VersionNumber(*version) },
        Ask::Rollback { replaces, to } => {
            Aim::Rollback { target: prod(), replaces: VersionNumber(*replaces), to: VersionNumber(*to) }
        }
        Ask::Freeze => Aim::Freeze { target: prod() },
    };
    let model = config.models.keys().next().expect("a model");
    let goal = Goal { aim, by: by.clone(), run_attempt: 1, predicts: false };
    vec![Task { goal, rules: model_rules(config, model).expect("a known model") }]
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a readable folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copied file");
        }
    }
}

/// Puts a pair of runs through schedules; each must end as one of the two serial orders ends.
fn any_schedule_is_serial(before: &[Ask], one: Ask, two: Ask) {
    let mut world = World::new(before);
    let serial = [vec![false; 500], vec![true; 500]].map(|schedule| world.both(&one, &two, schedule).0);
    let world = Mutex::new(world);
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(SCHEDULES) });
    let mixed = std::cell::Cell::new(0);
    runner
        .run(&proptest::collection::vec(any::<bool>(), 0..40), |schedule| {
            let (ending, switches) =
                world.lock().unwrap_or_else(std::sync::PoisonError::into_inner).both(&one, &two, schedule);
            mixed.set(mixed.get() + usize::from(switches > 1));
            prop_assert!(serial.contains(&ending), "{one:?} and {two:?} ended as\n{ending:#?}\nnot as\n{serial:#?}");
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(mixed.get() > SCHEDULES as usize / 4, "the schedules hardly mixed the two runs: {}", mixed.get());
}

#[test]
fn two_promotions_of_the_same_version() {
    any_schedule_is_serial(&[], Ask::Promote(3), Ask::Push("prod"));
}

#[test]
fn two_promotions_of_different_versions() {
    any_schedule_is_serial(&[], Ask::Promote(3), Ask::Promote(1));
}

#[test]
fn a_push_and_a_promotion_by_hand() {
    any_schedule_is_serial(&[], Ask::Push("prod"), Ask::Promote(1));
}

#[test]
fn a_push_and_a_rollback() {
    any_schedule_is_serial(&[], Ask::Push("prod"), Ask::Rollback { replaces: 2, to: 1 });
}

#[test]
fn an_approval_and_a_promotion() {
    any_schedule_is_serial(&[Ask::Push("prod")], Ask::Approve(3), Ask::Promote(1));
}

#[test]
fn an_approval_and_a_rejection() {
    any_schedule_is_serial(&[Ask::Push("prod")], Ask::Approve(3), Ask::Reject(3));
}

#[test]
fn a_freeze_and_a_promotion() {
    any_schedule_is_serial(&[], Ask::Freeze, Ask::Push("prod"));
}

#[test]
fn two_pushes_of_the_same_content() {
    any_schedule_is_serial(&[], Ask::Push("feature-a"), Ask::Push("feature-a"));
}

#[test]
fn two_pushes_into_the_same_group() {
    any_schedule_is_serial(&[], Ask::Push("feature-a"), Ask::Push("feature-b"));
}
