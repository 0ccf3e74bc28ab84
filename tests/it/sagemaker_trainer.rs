//! Stories about training on SageMaker, in a world that really runs what it is asked to run.

mod bad_input;
mod ends;
mod faults;
mod records;
mod removal;
mod uploads;

use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::REGION;
use crate::world::aws::World;
use branchline::adapters::aws::Accounts;
use branchline::adapters::aws::Patience;
use branchline::adapters::aws::Session;
use branchline::adapters::aws::SessionOptions;
use branchline::adapters::local::DataPlaces;
use branchline::adapters::local::DataReach;
use branchline::adapters::local::Home;
use branchline::adapters::local::LocalDatasets;
use branchline::adapters::local::SourceMaterial;
use branchline::adapters::s3::S3Datasets;
use branchline::adapters::sagemaker::Pace;
use branchline::adapters::sagemaker::SageMakerTrainer;
use branchline::adapters::sagemaker::Setting;
use branchline::adapters::system::Stopwatch;
use branchline::model::cloud::AccountPlace;
use branchline::model::cloud::CloudSettings;
use branchline::model::cloud::Instance;
use branchline::model::dataset::Dataset;
use branchline::model::digest::Sha256Digest;
use branchline::model::git::BranchName;
use branchline::model::git::ObjectId;
use branchline::model::git::RepositoryId;
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
use branchline::model::settings::DataSource;
use branchline::model::settings::TrainingSettings;
use branchline::model::settings::Watched;
use branchline::model::training::Training;
use branchline::model::training::TrainingOrigin;
use branchline::model::training::TrainingState;
use branchline::ports::Datasets as _;
use branchline::ports::PortError;
use branchline::ports::StartedTraining;
use branchline::ports::Trainer;
use branchline::ports::TrainingSpec;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long anything here may take on a busy machine before the test fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// A commit that is a folder: `code` is the checkout, `git-data/<channel>` a file that Git tracks.
pub struct FolderMaterial {
    /// The folder.
    pub folder: PathBuf,
    /// What it only points at.
    pub pointed: Vec<PointedData>,
}

impl SourceMaterial for FolderMaterial {
    fn checkout(&self, _spec: &TrainingSpec, to: &Path) -> Result<Vec<String>, PortError> {
        for entry in fs::read_dir(self.folder.join("code")).expect("the commit can be read") {
            let entry = entry.expect("the commit can be read");
            fs::copy(entry.path(), to.join(entry.file_name())).expect("it can be copied");
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink("nowhere", to.join("dangling")).expect("it can be made");
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

/// An account, a repository's folder and its home.
struct Lab {
    aws: World,
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { aws: World::start(), folder: tempfile::tempdir().expect("a temporary folder can be made") };
        fs::create_dir(lab.path().join("code")).expect("it can be made");
        fs::write(lab.path().join("code/hello.txt"), "hello\n").expect("it can be written");
        lab
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn session(&self) -> Arc<Session> {
        self.session_of(DEV, DEV_BUCKET, None).await
    }

    async fn session_of(&self, account: &str, bucket: &str, kms_key: Option<&str>) -> Arc<Session> {
        let place = AccountPlace {
            account_id: None,
            region: REGION.to_owned(),
            bucket: bucket.to_owned(),
            prefix: "branchline".to_owned(),
            assume_role_arn: None,
            read_role_arn: None,
            execution_role_arn: Some(format!("arn:aws:iam::{account}:role/SageMakerExecution")),
            kms_key: kms_key.map(str::to_owned),
        };
        let quick = Patience {
            first_pause: Duration::from_millis(2),
            longest_pause: Duration::from_millis(10),
            between_lists: Duration::ZERO,
            between_creations: Duration::ZERO,
            ..Patience::default()
        };
        let options = SessionOptions {
            endpoint: Some(self.aws.endpoint().to_owned()),
            credentials: Some(self.aws.credentials(account)),
            patience: quick,
            ..SessionOptions::default()
        };
        Arc::new(Session::new(place, &options).await)
    }

    fn home(&self) -> Home {
        Home::at(self.path().join(".branchline"))
    }

    /// A trainer as a run of its own would have it: it remembers nothing.
    async fn trainer(&self) -> SageMakerTrainer {
        self.trainer_in(Accounts::one(self.session().await), &["dev"])
    }

    fn trainer_in(&self, accounts: Accounts, stages: &[&str]) -> SageMakerTrainer {
        self.trainer_at(accounts, stages, Duration::from_millis(10))
    }

    fn trainer_at(&self, accounts: Accounts, stages: &[&str], pause: Duration) -> SageMakerTrainer {
        SageMakerTrainer::new(Setting {
            project: project(),
            repository: RepositoryId { remote: Some("github.com/acme/churn".to_owned()), ..RepositoryId::default() },
            accounts,
            stages: stages.iter().map(|stage| StageName::parse(stage).expect("a name")).collect(),
            home: self.home(),
            places: DataPlaces::new(&self.home(), self.path().to_owned(), DataReach::Machine),
            material: Arc::new(FolderMaterial { folder: self.path().to_owned(), pointed: Vec::new() }),
            pace: Pace { first: pause, longest: pause * 4, lag: Duration::from_millis(200) },
        })
    }

    async fn datasets(&self) -> S3Datasets {
        S3Datasets::new(self.session().await, LocalDatasets::new(self.home(), self.path().to_owned()))
    }

    /// Gives a specification data, identified as they are now.
    async fn with_data(&self, mut spec: TrainingSpec, channel: &str, source: DataSource) -> TrainingSpec {
        let dataset = self.datasets().await.identify(&source).await.expect("it can be asked").expect("there are data");
        add_data(&mut spec, channel, source, dataset);
        spec
    }

    /// Trains to the end.
    async fn train(&self, spec: &TrainingSpec) -> Training {
        let trainer = self.trainer().await;
        assert_eq!(trainer.start(spec).await.expect("it starts"), StartedTraining::Fresh);
        ended(&trainer, &spec.name).await
    }

    fn key(&self, spec: &TrainingSpec, what: &str) -> String {
        format!("branchline/churn/stages/dev/trainings/{}/{what}", spec.name)
    }

    fn requests_to_sagemaker(&self) -> usize {
        self.aws.count_of("SageMaker")
    }

    fn jobs(&self) -> usize {
        self.aws.with(|state| state.place(DEV, REGION).jobs.len())
    }

    fn open_marks(&self) -> Vec<String> {
        self.aws.keys(DEV_BUCKET, "branchline/churn/stages/dev/open/")
    }
}

/// The project of these stories.
pub fn project() -> ProjectName {
    ProjectName::parse("churn").expect("a name")
}

/// Data at an address.
pub fn s3(uri: &str) -> DataSource {
    DataSource { uri: uri.to_owned(), version: None, version_from: None }
}

/// Gives a specification data.
pub fn add_data(spec: &mut TrainingSpec, channel: &str, source: DataSource, dataset: Dataset) {
    let channel = ChannelName::parse(channel).expect("a name");
    spec.settings.data.insert(channel.clone(), source);
    spec.origin.datasets.insert(channel, dataset);
}

/// A training of this command; another command is another training.
pub fn spec(command: &str) -> TrainingSpec {
    let fingerprint = Fingerprint::from_digest(Sha256Digest::of(command.as_bytes()));
    let model = ModelName::parse("churn").expect("a name");
    let stage = StageName::parse("dev").expect("a name");
    let object = ObjectId::parse(&"a".repeat(40)).expect("an id");
    let instance = Instance {
        kind: "ml.m5.large".to_owned(),
        count: 1,
        volume_gb: 10,
        spot: false,
        max_wait: None,
        keep_alive: None,
    };
    TrainingSpec {
        name: TrainingName::derive(&project(), &model, &stage, fingerprint.digest(), 1),
        project: project(),
        attempt: 1,
        pass_env: Vec::new(),
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
            image: Some(format!("{DEV}.dkr.ecr.{REGION}.amazonaws.com/churn:1")),
            hyperparameters: BTreeMap::new(),
            environment: BTreeMap::new(),
            data: BTreeMap::new(),
            metrics: BTreeMap::new(),
            outputs: branchline::model::settings::Outputs::default(),
            signature: None,
            max_runtime: Some(Duration::from_secs(3600)),
            cloud: CloudSettings { instance: Some(instance), ..CloudSettings::default() },
            serve: None,
        },
        entries: Vec::new(),
        required_metrics: Vec::new(),
    }
}

/// A name of a metric.
pub fn metric(name: &str) -> MetricName {
    MetricName::parse(name).expect("a name")
}

async fn seen(trainer: &SageMakerTrainer, name: &TrainingName) -> Training {
    trainer.find(std::slice::from_ref(name)).await.expect("it can be looked up").pop().expect("it exists")
}

/// Watches a training to its end.
pub async fn ended(trainer: &SageMakerTrainer, name: &TrainingName) -> Training {
    followed(trainer, name).await.0
}

/// Watches a training to its end; returns its lines and what it was at, too.
pub async fn followed(trainer: &SageMakerTrainer, name: &TrainingName) -> (Training, Vec<String>, Vec<String>) {
    let waiting = Stopwatch::start();
    let (mut cursor, mut lines, mut statuses) = (0, Vec::new(), Vec::new());
    while waiting.elapsed() < PATIENCE {
        let watched = trainer.watch(name, cursor, Duration::from_millis(500)).await.expect("it can be watched");
        let watched = watched.expect("it exists");
        cursor = watched.cursor;
        lines.extend(watched.lines);
        statuses.extend(watched.status);
        if !watched.training.is_open() {
            statuses.dedup();
            return (watched.training, lines, statuses);
        }
    }
    panic!("{name} did not end");
}

/// How a training failed.
pub fn failure(training: &Training) -> (branchline::model::training::Cause, String, Vec<String>) {
    match &training.state {
        TrainingState::Failed { cause, message, log_tail } => (*cause, message.clone(), log_tail.clone()),
        other => panic!("it did not fail: {other:?}"),
    }
}
