//! Stories about local training, with real processes: how each kind of command ends, and that a training survives
//! whatever happens to those around it.

mod leftovers;

use branchline::adapters::local::Home;
use branchline::adapters::local::LocalDatasets;
use branchline::adapters::local::LocalTrainer;
use branchline::adapters::local::SourceMaterial;
use branchline::adapters::system::Stopwatch;
use branchline::model::artifact::ObjectDigest;
use branchline::model::cloud::CloudSettings;
use branchline::model::dataset::Dataset;
use branchline::model::dataset::DatasetKind;
use branchline::model::digest::Sha256Digest;
use branchline::model::git::BranchName;
use branchline::model::git::ObjectId;
use branchline::model::identity::CodeId;
use branchline::model::identity::ContentId;
use branchline::model::identity::Fingerprint;
use branchline::model::metric::MetricName;
use branchline::model::name::ChannelName;
use branchline::model::name::ModelName;
use branchline::model::name::ProjectName;
use branchline::model::name::StageName;
use branchline::model::name::TrainingName;
use branchline::model::pointer::PointedData;
use branchline::model::pointer::PointerKind;
use branchline::model::settings::DataSource;
use branchline::model::settings::TrainingSettings;
use branchline::model::settings::Watched;
use branchline::model::training::Cause;
use branchline::model::training::StopCause;
use branchline::model::training::Training;
use branchline::model::training::TrainingOrigin;
use branchline::model::training::TrainingState;
use branchline::ports::Datasets;
use branchline::ports::PortError;
use branchline::ports::PortErrorKind;
use branchline::ports::StartedTraining;
use branchline::ports::Trainer;
use branchline::ports::TrainingSpec;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

/// How long anything here may take on a busy machine before the test fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// A commit that is a folder: what is in it is what the checkout gets.
struct FolderMaterial {
    folder: PathBuf,
    /// What it only points at.
    pointed: Vec<PointedData>,
}

impl SourceMaterial for FolderMaterial {
    fn checkout(&self, _spec: &TrainingSpec, to: &Path) -> Result<Vec<String>, PortError> {
        for entry in fs::read_dir(self.folder.join("code")).expect("the commit can be read") {
            let entry = entry.expect("the commit can be read");
            fs::copy(entry.path(), to.join(entry.file_name())).expect("it can be copied");
        }
        Ok(vec!["submodule libs/x was left out".to_owned()])
    }

    fn git_data(
        &self,
        _spec: &TrainingSpec,
        channel: &ChannelName,
        to: &Path,
    ) -> Result<Option<Vec<String>>, PortError> {
        let from = self.folder.join("git-data").join(channel.as_str());
        if !from.exists() {
            return Ok(None);
        }
        fs::copy(from, to.join("tracked.csv")).expect("it can be copied");
        Ok(Some(Vec::new()))
    }

    fn pointed(&self, _spec: &TrainingSpec, _channel: &ChannelName) -> Result<Vec<PointedData>, PortError> {
        Ok(self.pointed.clone())
    }
}

/// A repository's folder, its home and its trainer.
pub struct World {
    folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().expect("a temporary folder can be made") };
        fs::create_dir(world.path().join("code")).expect("it can be made");
        world
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn home(&self) -> Home {
        Home::at(self.path().join(".branchline"))
    }

    pub fn folder_of(&self, spec: &TrainingSpec) -> PathBuf {
        self.home().trainings().join(spec.name.as_str())
    }

    pub fn trainer(&self) -> LocalTrainer {
        self.trainer_with(PathBuf::from(env!("CARGO_BIN_EXE_branchline")))
    }

    fn trainer_with(&self, worker: PathBuf) -> LocalTrainer {
        trainer_at(self.path(), worker)
    }

    /// Writes a program that stands between the trainer and the real worker.
    fn script(&self, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path().join("worker.sh");
        let text = text.replace("WORKER", env!("CARGO_BIN_EXE_branchline"));
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be set");
        path
    }

    /// Runs a command to its end.
    pub async fn train(&self, command: &str) -> Training {
        self.train_spec(&spec(command)).await
    }

    pub async fn train_spec(&self, spec: &TrainingSpec) -> Training {
        let trainer = self.trainer();
        assert_eq!(trainer.start(spec).await.expect("it starts"), StartedTraining::Fresh);
        ended(&trainer, &spec.name).await
    }
}

fn trainer_at(root: &Path, worker: PathBuf) -> LocalTrainer {
    trainer_that_points_at(root, worker, Vec::new())
}

fn trainer_that_points_at(root: &Path, worker: PathBuf, pointed: Vec<PointedData>) -> LocalTrainer {
    let material = Arc::new(FolderMaterial { folder: root.to_owned(), pointed });
    LocalTrainer::new(Home::at(root.join(".branchline")), root.to_owned(), worker, material)
}

pub fn project() -> ProjectName {
    ProjectName::parse("churn").expect("a name")
}

fn metric(name: &str) -> MetricName {
    MetricName::parse(name).expect("a name")
}

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("a name")
}

pub fn spec(command: &str) -> TrainingSpec {
    let fingerprint = Fingerprint::from_digest(Sha256Digest::of(command.as_bytes()));
    let model = ModelName::parse("churn").expect("a name");
    let stage = StageName::parse("dev").expect("a name");
    let object = ObjectId::parse(&"a".repeat(40)).expect("an id");
    TrainingSpec {
        name: TrainingName::derive(&project(), &model, &stage, fingerprint.digest(), 1),
        project: project(),
        attempt: 1,
        origin: TrainingOrigin {
            model,
            stage,
            commit: object.clone(),
            tree: object,
            branch: BranchName::parse("dev").expect("a name"),
            code_id: CodeId::from_digest(Sha256Digest::of(b"code")),
            content: ContentId::from_digest(Sha256Digest::of(b"content")),
            fingerprint,
            signature: None,
            datasets: BTreeMap::new(),
            hyperparameters: BTreeMap::new(),
            image: None,
            image_digest: None,
            serve: None,
            actor: None,
            pull_request: None,
            run_url: None,
            run_key: "run".to_owned(),
            run_attempt: 1,
            again: None,
        },
        settings: TrainingSettings {
            watched: Watched::All,
            command: Some(command.to_owned()),
            image: None,
            hyperparameters: BTreeMap::new(),
            environment: BTreeMap::new(),
            data: BTreeMap::new(),
            metrics: BTreeMap::new(),
            outputs: branchline::model::settings::Outputs::default(),
            signature: None,
            max_runtime: None,
            cloud: CloudSettings::default(),
            serve: None,
        },
        entries: Vec::new(),
        required_metrics: Vec::new(),
        pass_env: Vec::new(),
    }
}

pub async fn seen(trainer: &LocalTrainer, name: &TrainingName) -> Training {
    trainer.find(std::slice::from_ref(name)).await.expect("it can be looked up").pop().expect("it exists")
}

/// Watches a training to its end.
pub async fn ended(trainer: &LocalTrainer, name: &TrainingName) -> Training {
    let waiting = Stopwatch::start();
    let mut cursor = 0;
    while waiting.elapsed() < PATIENCE {
        let watched =
            trainer.watch(name, cursor, Duration::from_secs(5)).await.expect("it can be watched").expect("it exists");
        cursor = watched.cursor;
        if !watched.training.is_open() {
            return watched.training;
        }
    }
    panic!("{name} did not end");
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = Stopwatch::start();
    while !holds() {
        assert!(waiting.elapsed() < PATIENCE, "{what}: it never came to that");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the command has printed that it is up.
pub async fn runs(world: &World, spec: &TrainingSpec) {
    let log = world.folder_of(spec).join("log.txt");
    until("it prints", || fs::read_to_string(&log).is_ok_and(|text| text.contains("up\n"))).await;
}

pub fn failure(training: &Training) -> (Cause, &str) {
    match &training.state {
        TrainingState::Failed { cause, message, .. } => (*cause, message),
        other => panic!("it did not fail: {other:?}"),
    }
}

pub const MODEL: &str = "echo weights > $SM_MODEL_DIR/model.txt";

#[tokio::test]
async fn a_training_makes_a_model_and_metrics() {
    let world = World::new();
    let command = format!("{MODEL}; echo '{{\"accuracy\": 0.87}}' > $SM_OUTPUT_DATA_DIR/metrics.json; echo loss=0.125");
    let mut spec = spec(&command);
    spec.settings.metrics = [(metric("loss"), "loss=([0-9.]+)".to_owned())].into();
    spec.required_metrics = vec![metric("accuracy"), metric("loss")];
    let training = world.train_spec(&spec).await;
    let TrainingState::Succeeded { metrics, artifacts, data_moved, .. } = &training.state else {
        panic!("{:?}", training.state);
    };
    assert_eq!((metrics[&metric("accuracy")], metrics[&metric("loss")], *data_moved), (0.87, 0.125, false));
    assert_eq!(artifacts.len(), 1);
    let path = artifacts[0].location.strip_prefix("file:").expect("a local file");
    let bytes = fs::read(path).expect("it is there");
    assert_eq!(artifacts[0].digest, ObjectDigest::Sha256(Sha256Digest::of(&bytes)));
    assert_eq!(artifacts[0].size, bytes.len() as u64);
    assert!(training.seconds().is_some());
    assert_eq!(training.origin, spec.origin);
    let tail = world.trainer().log_tail(&spec.name, 9).await.expect("it can be read");
    assert_eq!(tail, ["branchline: submodule libs/x was left out", "loss=0.125"]);

    // It is found again, and nothing runs twice.
    assert_eq!(world.trainer().start(&spec).await.expect("it is found"), StartedTraining::Found);
    assert_eq!(seen(&world.trainer(), &spec.name).await, training);
    assert!(world.trainer().open(&project()).await.expect("it can be listed").is_empty());
}

#[tokio::test]
async fn the_command_sees_the_contract_and_nothing_else() {
    let world = World::new();
    fs::write(world.path().join("code/train.py"), include_str!("contract.py")).expect("it can be written");
    fs::create_dir(world.path().join("git-data")).expect("it can be made");
    fs::write(world.path().join("git-data/train"), "1\n").expect("it can be written");
    let mut spec = spec("python3 train.py");
    spec.settings.environment = [("MINE".to_owned(), "yes".to_owned())].into();
    spec.settings.hyperparameters =
        [("max_depth".to_owned(), "5".to_owned()), ("kind".to_owned(), "gini".to_owned())].into();
    spec.settings.data =
        [(channel("train"), DataSource { uri: "data/tracked.csv".to_owned(), version: None, version_from: None })]
            .into();
    let dataset = Dataset { uri: "data/tracked.csv".to_owned(), kind: DatasetKind::Git, digest: "git:1".to_owned() };
    spec.origin.datasets = [(channel("train"), dataset)].into();
    let training = world.train_spec(&spec).await;
    assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{:?}", training.state);
}

/// Adds a channel to a specification.
pub fn with_data(mut spec: TrainingSpec, uri: &str, kind: DatasetKind, digest: &str) -> TrainingSpec {
    let source = DataSource { uri: uri.to_owned(), version: None, version_from: None };
    spec.settings.data.insert(channel("train"), source);
    let dataset = Dataset { uri: uri.to_owned(), kind, digest: digest.to_owned() };
    spec.origin.datasets.insert(channel("train"), dataset);
    spec
}

#[tokio::test]
async fn training_sees_the_data_that_were_identified_or_nothing() {
    let world = World::new();
    fs::create_dir_all(world.path().join("data/sub")).expect("it can be made");
    fs::write(world.path().join("data/a.csv"), "a1").expect("it can be written");
    fs::write(world.path().join("data/sub/b.csv"), "b1").expect("it can be written");
    let datasets = LocalDatasets::new(world.home(), world.path().to_owned());
    for (uri, list) in [("data/a.csv", "a.csv"), ("data", "a.csv sub/b.csv")] {
        let source = DataSource { uri: uri.to_owned(), version: None, version_from: None };
        let dataset = datasets.identify(&source).await.expect("it can be asked").expect("it is there");
        let kept = world.home().data();
        assert!(!kept.exists() || uri == "data", "identifying keeps nothing");
        let command = format!("cd $SM_CHANNEL_TRAIN && cat {list} > $SM_MODEL_DIR/seen; cat {list}; echo");
        let first = with_data(spec(&command), uri, DatasetKind::Local, &dataset.digest);
        // What lies there may change between the look and the training.
        fs::write(world.path().join("data/a.csv"), "a2").expect("it can be written");
        if uri == "data/a.csv" {
            let error = world.trainer().start(&first).await.expect_err("they are other data now");
            assert_eq!(error.kind, PortErrorKind::Configuration);
            assert!(error.chain().contains("changed after this run identified them"), "{}", error.chain());
            assert!(!world.folder_of(&first).exists());
        }
        fs::write(world.path().join("data/a.csv"), "a1").expect("it can be written");
        let training = world.train_spec(&first).await;
        assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{:?}", training.state);
        let tail = world.trainer().log_tail(&first.name, 1).await.expect("it can be read");
        assert_eq!(tail, [if uri == "data" { "a1b1" } else { "a1" }]);
        // Once kept, they are what the next attempt sees, whatever lies there by then.
        fs::write(world.path().join("data/a.csv"), "a3").expect("it can be written");
        let again = with_data(spec(&format!("{command} again")), uri, DatasetKind::Local, &dataset.digest);
        let training = world.train_spec(&again).await;
        assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{:?}", training.state);
        fs::write(world.path().join("data/a.csv"), "a1").expect("it can be written");
    }
}

#[tokio::test]
async fn a_folder_of_many_files_is_kept_whole() {
    let world = World::new();
    for index in 0..40 {
        let path = world.path().join(format!("data/{}/{index}.csv", index % 3));
        fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        fs::write(path, format!("{}", index % 30)).expect("it can be written");
    }
    let source = DataSource { uri: "data".to_owned(), version: None, version_from: None };
    let datasets = LocalDatasets::new(world.home(), world.path().to_owned());
    let dataset = datasets.identify(&source).await.expect("it can be asked").expect("it is there");
    let command = format!("find $SM_CHANNEL_TRAIN -type f | wc -l; cat $SM_CHANNEL_TRAIN/2/29.csv; echo; {MODEL}");
    let spec = with_data(spec(&command), "data", DatasetKind::Local, &dataset.digest);
    let training = world.train_spec(&spec).await;
    assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{:?}", training.state);
    let tail = world.trainer().log_tail(&spec.name, 5).await.expect("it can be read");
    assert!(tail.iter().any(|line| line.trim() == "40") && tail.iter().any(|line| line == "29"), "{tail:?}");
    let kept = walkdir::WalkDir::new(world.home().data()).into_iter().flatten();
    let kept: Vec<_> = kept.filter(|entry| entry.file_type().is_file()).collect();
    assert_eq!(kept.len(), 31, "each content once, and their list");
    assert_eq!(fs::read_dir(world.home().temporary()).expect("it can be listed").count(), 0);
}

#[tokio::test]
async fn stored_data_that_somebody_wrote_to_are_not_trained_on() {
    let world = World::new();
    fs::write(world.path().join("a.csv"), "a1").expect("it can be written");
    let source = DataSource { uri: "a.csv".to_owned(), version: None, version_from: None };
    let datasets = LocalDatasets::new(world.home(), world.path().to_owned());
    let dataset = datasets.identify(&source).await.expect("it can be asked").expect("it is there");
    let hex = dataset.digest.strip_prefix("sha256:").expect("a digest");
    let stored = world.home().data().join("sha256").join(&hex[..2]).join(&hex[2..]);
    fs::create_dir_all(stored.parent().expect("a folder")).expect("it can be made");
    fs::write(&stored, "evil").expect("it can be written");
    let spec = with_data(spec(MODEL), "a.csv", DatasetKind::Local, &dataset.digest);
    let error = world.trainer().start(&spec).await.expect_err("it is damaged");
    assert_eq!(error.kind, PortErrorKind::Corrupt);
    assert!(error.hint.expect("there is one").contains(&stored.display().to_string()));
    assert!(!world.folder_of(&spec).exists());
    fs::remove_file(&stored).expect("it can be removed");
    fs::remove_file(world.path().join("a.csv")).expect("it can be removed");
    let error = world.trainer().start(&spec).await.expect_err("it is gone");
    assert_eq!(error.kind, PortErrorKind::NotFound);
}

#[tokio::test]
async fn data_behind_a_pointer_must_be_what_it_records() {
    let world = World::new();
    fs::write(world.path().join("big.csv"), "1\n").expect("it can be written");
    let command = format!("cat $SM_CHANNEL_TRAIN/big.csv && {MODEL}");
    // The MD5 of "1\n".
    let md5 = "b026324c6904b2a9cb4b88d6d61c81d1";
    let pointed = |kind, hash: &str| {
        let one = PointedData { path: "big.csv".to_owned(), kind, hash: hash.to_owned(), is_folder: false, size: None };
        trainer_that_points_at(world.path(), PathBuf::from(env!("CARGO_BIN_EXE_branchline")), vec![one])
    };
    let good = with_data(spec(&command), "big.csv.dvc", DatasetKind::Pointer, &format!("md5:{md5}"));
    let trainer = pointed(PointerKind::DvcMd5, md5);
    assert_eq!(trainer.start(&good).await.expect("it starts"), StartedTraining::Fresh);
    let training = ended(&trainer, &good.name).await;
    assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{:?}", training.state);
    for (trainer, kind, uri, digest, words) in [
        (
            pointed(PointerKind::Lfs, "0000"),
            DatasetKind::Pointer,
            "big.csv",
            "sha256:0000",
            "the commit's pointer file says sha256:0000",
        ),
        (world.trainer(), DatasetKind::Stated, "none.csv", "version:7", "none.csv"),
        (world.trainer(), DatasetKind::Stated, "/proc/self/environ", "version:7", "a folder of the system"),
        (world.trainer(), DatasetKind::Stated, ".branchline", "version:7", "state directory"),
        (world.trainer(), DatasetKind::Remote, "s3://b/k", "sha256:0000", "the local trainer reads no object store"),
        (world.trainer(), DatasetKind::Git, "data/x", "git:1", "the commit does not hold it"),
    ] {
        let spec = with_data(spec("other"), uri, kind, digest);
        let error = trainer.start(&spec).await.expect_err("it cannot be provided");
        assert!(error.chain().contains(words), "{}", error.chain());
        assert!(!world.folder_of(&spec).exists());
    }
    assert_eq!(fs::read_dir(world.home().temporary()).expect("it can be listed").count(), 0);
}

#[tokio::test]
async fn each_bad_end_has_its_cause() {
    let world = World::new();
    for (command, cause, words) in [
        ("no-such-command --x", Cause::Configuration, "command not found"),
        ("echo oh no; exit 3", Cause::Code, "exited with code 3: oh no"),
        ("kill -9 $$", Cause::Code, "killed by signal 9 (out of memory?)"),
        ("sh -c 'kill -11 $$'; exit $?", Cause::Code, "signal 11 (segmentation fault)"),
        ("true", Cause::Code, "wrote no model: nothing in $SM_MODEL_DIR"),
        ("mkdir $SM_MODEL_DIR/empty", Cause::Code, "wrote no model"),
        ("echo bad labels > $SM_OUTPUT_DIR/failure; exit 1", Cause::Code, "bad labels ("),
        ("python3 -c 'import features.text'", Cause::Code, "add it to `paths`"),
        ("python3 train.py", Cause::Code, "if train.py is a file of this repository, add it to `paths`"),
        ("head -c 9 /dev/zero > /dev/full || exit 1", Cause::Code, "exited with code 1"),
        (
            "ln -s /etc/passwd $SM_MODEL_DIR/link; echo > $SM_MODEL_DIR/m",
            Cause::Code,
            "link in the model's folder is a link to /etc/passwd",
        ),
    ] {
        let training = world.train(command).await;
        let (found, message) = failure(&training);
        assert!(found == cause && message.contains(words), "{command}: {found:?} {message}");
    }
    let no_command =
        TrainingSpec { settings: TrainingSettings { command: None, ..spec("image").settings }, ..spec("image") };
    let training = world.train_spec(&no_command).await;
    assert_eq!(failure(&training).0, Cause::Configuration);
    assert!(world.trainer().open(&project()).await.expect("it can be listed").is_empty());
}

#[tokio::test]
async fn metrics_that_are_no_numbers_fail_the_gate_that_names_them() {
    let world = World::new();
    for (json, words) in [
        (r#"{"accuracy": NaN}"#, "metric `accuracy` is NaN"),
        (r#"{"accuracy": "high"}"#, "metric `accuracy` is the text \"high\""),
        (r#"{"acc": 1}"#, "metric `accuracy` is missing: the training run wrote acc"),
        ("nonsense", "not a JSON object"),
    ] {
        let mut spec = spec(&format!("{MODEL}; echo '{json}' > $SM_OUTPUT_DATA_DIR/metrics.json"));
        spec.required_metrics = vec![metric("accuracy")];
        let training = world.train_spec(&spec).await;
        let (cause, message) = failure(&training);
        assert!(cause == Cause::Code && message.contains(words), "{json}: {message}");
    }
    let mut spec = spec(MODEL);
    spec.settings.metrics = [(metric("a"), "a=(".to_owned())].into();
    assert_eq!(failure(&world.train_spec(&spec).await).0, Cause::Configuration);
}

#[tokio::test]
async fn a_flood_of_output_neither_hangs_nor_fills_the_disk() {
    let world = World::new();
    let spec = spec(&format!("echo first; yes 'a line of some length' | head -c 100000000; echo last; {MODEL}"));
    let training = world.train_spec(&spec).await;
    assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{:?}", training.state);
    let logs: u64 = fs::read_dir(world.folder_of(&spec))
        .expect("it can be listed")
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("log"))
        .map(|entry| entry.metadata().expect("it exists").len())
        .sum();
    assert!(logs > 8 << 20 && logs <= 16 << 20, "{logs}");
    let tail = world.trainer().log_tail(&spec.name, 1).await.expect("it can be read");
    assert!(tail[0].ends_with("last"), "{tail:?}");
}

#[tokio::test]
async fn lines_arrive_while_it_runs() {
    let world = World::new();
    let spec = spec(&format!("echo one; while [ ! -e go ]; do sleep 0.02; done; echo two; {MODEL}"));
    let trainer = world.trainer();
    trainer.start(&spec).await.expect("it starts");
    let mut lines = Vec::new();
    let mut cursor = 0;
    let mut opened = false;
    loop {
        let watched = trainer.watch(&spec.name, cursor, PATIENCE).await.expect("it can be watched").expect("it exists");
        cursor = watched.cursor;
        lines.extend(watched.lines);
        if lines.last().is_some_and(|line| line == "one") && !opened {
            assert_eq!(watched.training.state, TrainingState::Open);
            let open = trainer.open(&project()).await.expect("it can be listed");
            assert_eq!(open.iter().map(|training| &training.name).collect::<Vec<_>>(), [&spec.name]);
            let other = ProjectName::parse("other").expect("a name");
            assert!(trainer.open(&other).await.expect("it can be listed").is_empty());
            fs::write(world.folder_of(&spec).join("code/go"), "").expect("it can be written");
            opened = true;
        }
        if !watched.training.is_open() {
            break;
        }
    }
    assert_eq!(lines[1..], ["one", "two"]);
    let patient = Stopwatch::start();
    let again = trainer.watch(&spec.name, cursor, PATIENCE).await.expect("it can be watched").expect("it exists");
    assert!(again.lines.is_empty() && patient.elapsed() < PATIENCE, "an ended training is told at once");
    assert!(trainer.watch(&TrainingName::reported("none-1"), 0, PATIENCE).await.expect("no error").is_none());
}

#[tokio::test]
async fn a_time_limit_ends_the_whole_group() {
    let world = World::new();
    let pids = world.path().join("pids");
    let mut spec = spec(&format!("sleep 600 & echo $! $$ > {}; wait", pids.display()));
    spec.settings.max_runtime = Some(Duration::from_millis(400));
    let training = world.train_spec(&spec).await;
    let (cause, message) = failure(&training);
    assert!(cause == Cause::TimeLimit && message.contains("max_runtime"), "{message}");
    let pids = fs::read_to_string(pids).expect("it was written");
    for pid in pids.split_whitespace() {
        assert!(is_gone(pid), "process {pid} is still there");
    }
}

/// A zombie that nobody takes counts as gone: it runs nothing any more.
pub fn is_gone(pid: &str) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')),
        Err(_) => true,
    }
}

#[tokio::test]
async fn stopping_is_polite_then_firm_and_safe_to_repeat() {
    let world = World::new();
    let trainer = world.trainer();
    let polite = spec("trap 'echo tidied up; exit 0' TERM; echo up; while :; do sleep 0.05; done");
    let deaf = spec("trap '' TERM; echo up; while :; do sleep 0.05; done");
    for (spec, cause) in [(&polite, StopCause::NewerPush), (&deaf, StopCause::BranchDeleted)] {
        trainer.start(spec).await.expect("it starts");
        let log = world.folder_of(spec).join("log.txt");
        until("it prints", || fs::read_to_string(&log).is_ok_and(|text| text.contains("up\n"))).await;
        trainer.stop(&spec.name, cause).await.expect("it stops");
        let training = seen(&trainer, &spec.name).await;
        assert_eq!(training.state, TrainingState::Stopped { cause });
        // The first end is the end.
        trainer.stop(&spec.name, StopCause::Cancelled).await.expect("it has ended");
        assert_eq!(seen(&trainer, &spec.name).await, training);
    }
    let tail = trainer.log_tail(&polite.name, 1).await.expect("it can be read");
    assert_eq!(tail, ["tidied up"]);
    let error = trainer.stop(&TrainingName::reported("none-1"), StopCause::Cancelled).await.expect_err("there is none");
    assert_eq!(error.kind, PortErrorKind::NotFound);
}

/// Finds the worker of a training.
fn worker_of(spec: &TrainingSpec) -> Option<i32> {
    fs::read_dir("/proc").expect("Linux has it").flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let arguments: Vec<&[u8]> = line.split(|b| *b == 0).collect();
        let ours = arguments.get(1) == Some(&b"train-worker".as_slice())
            && arguments.get(2)?.ends_with(spec.name.as_str().as_bytes());
        ours.then_some(pid)
    })
}

fn kill(pid: i32, signal: &str) {
    let status = Command::new("kill").arg(signal).arg(pid.to_string()).status().expect("kill runs");
    assert!(status.success());
}

#[tokio::test]
async fn a_killed_worker_is_lost_only_when_its_command_has_ended_too() {
    let world = World::new();
    let trainer = world.trainer();
    let spec = spec(&format!("echo up; while [ ! -e go ]; do sleep 0.02; done; {MODEL}"));
    trainer.start(&spec).await.expect("it starts");
    runs(&world, &spec).await;
    kill(worker_of(&spec).expect("it runs"), "-KILL");
    until("the worker is gone", || worker_of(&spec).is_none()).await;
    // The command goes on, so no other attempt may begin.
    assert_eq!(seen(&trainer, &spec.name).await.state, TrainingState::Open);
    assert_eq!(trainer.start(&spec).await.expect("it is found"), StartedTraining::Found);
    fs::write(world.folder_of(&spec).join("code/go"), "").expect("it can be written");
    let training = ended(&trainer, &spec.name).await;
    assert_eq!(failure(&training).0, Cause::LostWorker);
    assert!(training.ended_at.is_some());
    assert_eq!(trainer.start(&spec).await.expect("it is found"), StartedTraining::Found);
    assert_eq!(seen(&trainer, &spec.name).await, training, "a lost training stays lost");
    assert!(trainer.open(&project()).await.expect("it can be listed").is_empty());
}

#[tokio::test]
async fn a_command_without_its_worker_can_be_stopped() {
    let world = World::new();
    let trainer = world.trainer();
    let spec = spec("echo up; while :; do sleep 0.05; done");
    trainer.start(&spec).await.expect("it starts");
    runs(&world, &spec).await;
    kill(worker_of(&spec).expect("it runs"), "-KILL");
    trainer.stop(&spec.name, StopCause::Cancelled).await.expect("it stops");
    assert_eq!(failure(&seen(&trainer, &spec.name).await).0, Cause::LostWorker);
}

#[tokio::test]
async fn a_worker_that_is_asked_to_end_stops_its_command() {
    let world = World::new();
    let trainer = world.trainer();
    let spec = spec("while :; do sleep 0.05; done");
    trainer.start(&spec).await.expect("it starts");
    kill(worker_of(&spec).expect("it runs"), "-TERM");
    let training = ended(&trainer, &spec.name).await;
    assert_eq!(training.state, TrainingState::Stopped { cause: StopCause::Cancelled });
}

/// Not a test by itself: a run in a process of its own, for the stories about runs that are killed or race.
/// The other half of a test above: it is only something where that test starts this binary again.
#[expect(clippy::disallowed_methods, reason = "how the process that starts this one tells it what to do")]
#[tokio::test]
async fn run_in_another_process() {
    let (Ok(root), Ok(command)) = (std::env::var("IT_ROOT"), std::env::var("IT_COMMAND")) else { return };
    let trainer = trainer_at(Path::new(&root), PathBuf::from(env!("CARGO_BIN_EXE_branchline")));
    trainer.start(&spec(&command)).await.expect("it starts");
    ended(&trainer, &spec(&command).name).await;
}

fn other_process(world: &World, command: &str) -> std::process::Child {
    Command::new(std::env::current_exe().expect("it is known"))
        .args(["local_trainer::run_in_another_process", "--exact"])
        .env("IT_ROOT", world.path())
        .env("IT_COMMAND", command)
        .stdout(Stdio::null())
        .spawn()
        .expect("it can be started")
}

#[tokio::test]
async fn a_training_outlives_the_run_that_began_it() {
    let world = World::new();
    let command = format!("while [ ! -e go ]; do sleep 0.02; done; {MODEL}");
    let spec = spec(&command);
    let mut run = other_process(&world, &command);
    let started = world.folder_of(&spec).join("started.json");
    until("it starts", || started.exists()).await;
    run.kill().expect("it can be killed");
    run.wait().expect("it ends");
    let trainer = world.trainer();
    assert_eq!(trainer.open(&project()).await.expect("it can be listed").len(), 1);
    assert_eq!(trainer.start(&spec).await.expect("it is found"), StartedTraining::Found);
    fs::write(world.folder_of(&spec).join("code/go"), "").expect("it can be written");
    assert!(matches!(ended(&trainer, &spec.name).await.state, TrainingState::Succeeded { .. }));
}

#[tokio::test]
async fn of_many_starts_at_once_one_runs() {
    let world = World::new();
    let ran = world.path().join("ran");
    let command = format!("echo $$ >> {}; sleep 0.2; {MODEL}", ran.display());
    let runs: Vec<_> = (0..3).map(|_| other_process(&world, &command)).collect();
    let spec = spec(&command);
    let (trainer, other) = (world.trainer(), world.trainer());
    let (one, two) = tokio::join!(trainer.start(&spec), other.start(&spec));
    let fresh = [one.expect("it starts"), two.expect("it starts")]
        .into_iter()
        .filter(|started| *started == StartedTraining::Fresh)
        .count();
    assert!(fresh <= 1);
    for run in runs {
        assert!(run.wait_with_output().expect("it ends").status.success());
    }
    assert!(matches!(ended(&trainer, &spec.name).await.state, TrainingState::Succeeded { .. }));
    assert_eq!(fs::read_to_string(ran).expect("it was written").lines().count(), 1);
    assert_eq!(fs::read_dir(world.home().temporary()).expect("it can be listed").count(), 0);
    assert_eq!(fs::read_dir(world.home().open_locks()).expect("it can be listed").count(), 0);
}

#[tokio::test]
async fn a_prepared_training_is_begun_by_whoever_comes_next() {
    let world = World::new();
    let spec = spec(MODEL);
    // As after a crash between the name and the worker: the worker never came to anything.
    let dead = world.trainer_with(world.script("echo 'worker: no luck' >&2; exit 1"));
    let error = dead.start(&spec).await.expect_err("it cannot begin");
    assert!(error.chain().contains("worker: no luck"), "{}", error.chain());
    let trainer = world.trainer();
    assert_eq!(seen(&trainer, &spec.name).await.state, TrainingState::Prepared);
    assert_eq!(trainer.open(&project()).await.expect("it can be listed").len(), 1);
    assert_eq!(trainer.start(&spec).await.expect("it is found"), StartedTraining::Found);
    assert!(matches!(ended(&trainer, &spec.name).await.state, TrainingState::Succeeded { .. }));
}

#[tokio::test]
async fn a_prepared_training_can_be_stopped() {
    let world = World::new();
    let spec = spec(MODEL);
    let missing = world.trainer_with(world.path().join("no-such-program"));
    let error = missing.start(&spec).await.expect_err("it cannot begin");
    assert!(error.chain().contains("no-such-program"), "{}", error.chain());
    let trainer = world.trainer();
    trainer.stop(&spec.name, StopCause::BranchDeleted).await.expect("it stops");
    let stopped = TrainingState::Stopped { cause: StopCause::BranchDeleted };
    assert_eq!(seen(&trainer, &spec.name).await.state, stopped);
    trainer.start(&spec).await.expect("it is found");
    assert_eq!(seen(&trainer, &spec.name).await.state, stopped);
    assert!(trainer.open(&project()).await.expect("it can be listed").is_empty());
}

#[tokio::test]
async fn a_file_size_limit_on_the_model_is_a_full_disk() {
    let world = World::new();
    // 600 blocks of 512 bytes: room for all but the model's archive. The model itself is written in parts.
    let limited = world.trainer_with(world.script("trap '' XFSZ\nulimit -f 600\nexec WORKER \"$@\""));
    let spec = spec("for i in 1 2 3 4; do head -c 200000 /dev/urandom > $SM_MODEL_DIR/part$i; done");
    limited.start(&spec).await.expect("it starts");
    let training = ended(&limited, &spec.name).await;
    let (cause, message) = failure(&training);
    assert!(cause == Cause::DiskFull && message.contains("could not pack the model"), "{message}");
    assert!(!world.folder_of(&spec).join("model.tar.gz").exists());
}

#[tokio::test]
async fn a_home_that_cannot_be_written_is_told_with_its_path() {
    let world = World::new();
    fs::write(world.path().join(".branchline"), "a file in the way").expect("it can be written");
    let error = world.trainer().start(&spec(MODEL)).await.expect_err("it cannot be prepared");
    assert_eq!(error.kind, PortErrorKind::Storage);
    assert!(error.chain().contains(".branchline"), "{}", error.chain());
    assert!(error.hint.expect("there is one").contains("BRANCHLINE_HOME"));
}

#[tokio::test]
async fn looking_creates_nothing() {
    let world = World::new();
    let trainer = world.trainer();
    let name = TrainingName::reported("churn-dev-0123456789ab-1");
    assert!(trainer.find(&[name, TrainingName::reported("../../etc")]).await.expect("no error").is_empty());
    assert!(trainer.open(&project()).await.expect("no error").is_empty());
    assert!(!world.home().root().exists());
}

#[tokio::test]
async fn an_ended_training_can_be_removed_and_an_open_one_cannot() {
    let world = World::new();
    let trainer = world.trainer();
    // Folders that cannot be written are in nobody's way.
    let done = spec(&format!("{MODEL}; mkdir -p locked/in; touch locked/in/file; chmod -R a-w locked"));
    world.train_spec(&done).await;
    assert!(trainer.size(&done.name).await.expect("no error").is_some_and(|size| size > 0));
    assert!(trainer.remove(&done.name).await.expect("it can be removed"));
    assert!(!trainer.remove(&done.name).await.expect("there is none"));
    assert!(!world.folder_of(&done).exists());
    assert_eq!(fs::read_dir(world.home().temporary()).expect("it can be listed").count(), 0);

    let open = spec("while :; do sleep 0.05; done");
    trainer.start(&open).await.expect("it starts");
    assert!(trainer.remove(&open.name).await.expect_err("it is open").chain().contains("still open"));
    trainer.stop(&open.name, StopCause::Cancelled).await.expect("it stops");
}

#[tokio::test]
async fn whoever_watches_sees_how_far_packing_is() {
    let world = World::new();
    let spec = spec(&format!("while [ ! -e go ]; do sleep 0.02; done; {MODEL}"));
    let trainer = world.trainer();
    trainer.start(&spec).await.expect("it starts");
    let folder = world.folder_of(&spec);
    until("it starts", || folder.join("started.json").exists()).await;
    fs::write(folder.join("packing"), "5 10").expect("it can be written");
    let look = || trainer.watch(&spec.name, 0, Duration::from_millis(20));
    let seen = look().await.expect("it can be watched").expect("it exists");
    assert_eq!(seen.packing, Some((5, 10)));
    fs::write(folder.join("packing"), "half of it").expect("it can be written");
    assert_eq!(look().await.expect("it can be watched").expect("it exists").packing, None);
    fs::write(folder.join("code/go"), "").expect("it can be written");
    ended(&trainer, &spec.name).await;
}
