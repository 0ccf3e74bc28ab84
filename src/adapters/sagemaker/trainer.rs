//! Trains on SageMaker: begins, finds, watches and stops training jobs.
//!
//! A training that is not known in the bucket does not exist, and one whose end is written there is not asked for
//! again: neither costs a request to SageMaker. Nothing ever lists training jobs.
//!
//! Three things are decided here. A job that was told to stop counts as stopped from the moment that SageMaker says
//! `Stopping`: its last words change nothing any more, and the two minutes of grace are not ours to wait. A job that
//! was made and is gone was deleted by somebody: it failed, by other means than ours. And a role that may only read
//! sees a job whose end nobody has written down as open.

use crate::adapters::aws::Accounts;
use crate::adapters::local::DataPlaces;
use crate::adapters::local::Home;
use crate::adapters::local::SourceMaterial;
use crate::adapters::s3::CopySizes;
use crate::adapters::s3::objects::Objects;
use crate::adapters::sagemaker::end::EndRecord;
use crate::adapters::sagemaker::end::SCHEMA;
use crate::adapters::sagemaker::end::StopRecord;
use crate::adapters::sagemaker::image;
use crate::adapters::sagemaker::keys;
use crate::adapters::sagemaker::keys::Keys;
use crate::adapters::sagemaker::logs;
use crate::adapters::sagemaker::look::Ending;
use crate::adapters::sagemaker::look::Inner;
use crate::adapters::sagemaker::look::Layout;
use crate::adapters::sagemaker::settle;
use crate::adapters::sagemaker::start;
use crate::adapters::sagemaker::start::Start;
use crate::adapters::sagemaker::state::Stand;
use crate::adapters::sagemaker::uploads::Machine;
use crate::adapters::system;
use crate::adapters::system::Stopwatch;
use crate::facts::holdings::Held;
use crate::facts::holdings::HeldTraining;
use crate::model::git::RepositoryId;
use crate::model::name::ProjectName;
use crate::model::name::StageName;
use crate::model::name::TrainingName;
use crate::model::training::StopCause;
use crate::model::training::Training;
use crate::model::training::TrainingState;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::trainer::StartedTraining;
use crate::ports::trainer::Trainer;
use crate::ports::trainer::TrainingSpec;
use crate::ports::trainer::WatchedTraining;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// How many trainings are looked at side by side.
const AT_ONCE: usize = 8;

/// How often a training is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Before the second look, and after every change.
    pub first: Duration,
    /// The longest pause: each is half as long again as the one before.
    pub longest: Duration,
    /// How long a job that was just made or stopped may take to show it.
    pub lag: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: Duration::from_secs(2), longest: Duration::from_secs(20), lag: Duration::from_secs(3) }
    }
}

/// What a trainer works with.
pub struct Setting {
    /// The project whose trainings these are.
    pub project: ProjectName,
    /// The repository, for the tags of a job.
    pub repository: RepositoryId,
    /// Which account each stage trains in.
    pub accounts: Accounts,
    /// The stages that train: where a training is looked for.
    pub stages: Vec<StageName>,
    /// Where files may lie for a moment, and where local data are kept.
    pub home: Home,
    /// Where data may be read.
    pub places: DataPlaces,
    /// What a commit holds.
    pub material: Arc<dyn SourceMaterial>,
    /// How often a training is looked at.
    pub pace: Pace,
}

/// Trains on SageMaker.
#[derive(Clone)]
pub struct SageMakerTrainer {
    inner: Arc<Inner>,
    sizes: CopySizes,
}

impl SageMakerTrainer {
    /// Trains with a setting. Nothing is sent yet.
    pub fn new(setting: Setting) -> Self {
        let inner = Inner { setting, known: Mutex::default(), proved: Mutex::default(), followed: Mutex::default() };
        Self { inner: Arc::new(inner), sizes: CopySizes::default() }
    }

    /// Moves the border between an upload in one request and one in parts.
    pub fn with_sizes(self, sizes: CopySizes) -> Self {
        Self { sizes, ..self }
    }
}

impl Inner {
    async fn stop(&self, name: &TrainingName, cause: StopCause) -> Result<(), PortError> {
        let known = self.existing(name).await?;
        let (session, keys, objects) = (&known.session, self.keys(&known.spec), Objects::of(&known.session));
        let stopping = format!("stop training {name}");
        let doing = |refused: crate::adapters::aws::Refused| refused.into_port(&stopping);
        if known.layout == Layout::Earlier {
            return start::send_stop(session, name).await.map_err(doing);
        }
        if let Some(end) = self.written_end(&known).await?
            && (!end.needs_its_job() || self.job_of(&known).await?.is_some_and(|job| end.is_of(&job)))
        {
            return Ok(());
        }
        let record = StopRecord { schema: SCHEMA, cause, at: system::now() };
        objects.create_json(&keys.training(name, "stop.json"), &record, &stopping).await?;
        start::send_stop(session, name).await.map_err(doing)?;
        let mut pause = self.setting.pace.first.min(self.setting.pace.lag) / 4;
        let waiting = Stopwatch::start();
        loop {
            let Some(job) = self.job_of(&known).await? else {
                let begun = keys.training(name, "begun.json");
                if objects.has(&begun, &stopping).await? && waiting.elapsed() < self.setting.pace.lag {
                    tokio::time::sleep(pause).await;
                    start::send_stop(session, name).await.map_err(doing)?;
                    continue;
                }
                let now = system::now();
                let record = EndRecord::without_job(now, TrainingState::Stopped { cause });
                return settle::write_down(session, keys, &known.spec, record).await.map(drop);
            };
            if Stand::of(&job) != Stand::Running || waiting.elapsed() > self.setting.pace.lag * 20 {
                // From here on it counts as stopped, or has its own end.
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.setting.pace.longest);
        }
    }

    async fn log_tail(&self, name: &TrainingName, lines: usize) -> Result<Vec<String>, PortError> {
        let known = self.existing(name).await?;
        let tail = logs::tail(&known.session, name, lines).await;
        tail.map_err(|refused| refused.into_port(format!("read the log of training {name}")))
    }
}

impl SageMakerTrainer {
    /// Looks at many trainings, some at a time, in the order of their names.
    async fn look_at(&self, names: Vec<TrainingName>) -> Result<Vec<Training>, PortError> {
        let mut waiting = names.into_iter();
        let mut looking: JoinSet<Result<Option<Training>, PortError>> = JoinSet::new();
        let mut found = Vec::new();
        loop {
            while looking.len() < AT_ONCE {
                let Some(name) = waiting.next() else { break };
                let inner = Arc::clone(&self.inner);
                looking.spawn(async move {
                    match inner.known(&name).await? {
                        Some(known) => inner.look(&known, Ending::IfAllowed).await.map(|look| Some(look.training)),
                        None => Ok(None),
                    }
                });
            }
            match looking.join_next().await {
                Some(Ok(training)) => found.extend(training?),
                Some(Err(panic)) => return Err(PortError::because(PortErrorKind::Bug, "look at trainings", panic)),
                None => break,
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Lists marks of trainings of every stage that trains: what follows the prefix, as long as it is wanted.
    async fn marked(
        &self,
        project: &ProjectName,
        prefix: impl Fn(Keys<'_>) -> String + Send + Sync,
        wanted: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<Vec<String>, PortError> {
        let doing = format!("list the trainings of {project}");
        let mut marks = Vec::new();
        for (stage, session) in self.inner.places(None) {
            let prefix = prefix(Keys { project, stage });
            let wanted = |key: &str| key.strip_prefix(&prefix).is_none_or(&wanted);
            let listed = Objects::of(session).list_while(&prefix, None, usize::MAX, wanted, &doing).await?;
            marks.extend(listed.iter().filter_map(|listed| listed.key.strip_prefix(&prefix)).map(str::to_owned));
        }
        Ok(marks)
    }
}

#[async_trait::async_trait]
impl Trainer for SageMakerTrainer {
    async fn find(&self, names: &[TrainingName]) -> Result<Vec<Training>, PortError> {
        self.look_at(names.to_vec()).await
    }

    async fn open(&self, project: &ProjectName) -> Result<Vec<Training>, PortError> {
        let marks = self.marked(project, |keys| keys.open(""), |_| true).await?;
        let names = marks.iter().map(|mark| TrainingName::reported(mark)).collect();
        let found = self.look_at(names).await?;
        for training in found.iter().filter(|training| training.ended_at.is_some() && !training.is_open()) {
            // A run that died between its last two steps left the mark.
            if let Some(known) = self.inner.known(&training.name).await? {
                let _ = settle::close(&known.session, self.inner.keys(&known.spec), &known.spec).await;
            }
        }
        Ok(found.into_iter().filter(Training::is_open).collect())
    }

    async fn ended_since(&self, project: &ProjectName, since: jiff::Timestamp) -> Result<Vec<Training>, PortError> {
        let oldest = keys::inverted(since);
        let wanted = move |mark: &str| keys::read_ended(mark).is_none_or(|(time, _)| time <= oldest.as_str());
        let marks = self.marked(project, |keys| keys.ended(), wanted).await?;
        let names = marks.iter().filter_map(|mark| keys::read_ended(mark)).map(|(_, name)| name).collect();
        let mut found = self.look_at(names).await?;
        found.retain(|training| !training.is_open());
        found.dedup_by(|a, b| a.name == b.name);
        Ok(found)
    }

    async fn image_digest(&self, stage: &StageName, image: &str) -> Result<Result<Option<String>, String>, PortError> {
        image::digest(self.inner.setting.accounts.of_stage(stage), image).await
    }

    async fn start(&self, spec: &TrainingSpec) -> Result<StartedTraining, PortError> {
        let setting = &self.inner.setting;
        let session = setting.accounts.of_stage(&spec.origin.stage);
        let start = Start {
            session,
            keys: self.inner.keys(spec),
            spec,
            repository: &setting.repository,
            machine: Machine {
                home: &setting.home,
                places: &setting.places,
                material: &setting.material,
                sizes: self.sizes,
            },
            pause: setting.pace.lag,
        };
        let started = start.run().await;
        // What was known of the name may be another specification by now.
        self.inner.known.lock().await.remove(&spec.name);
        started
    }

    async fn watch(
        &self,
        name: &TrainingName,
        cursor: u64,
        patience: Duration,
    ) -> Result<Option<WatchedTraining>, PortError> {
        self.inner.watch(name, cursor, patience).await
    }

    async fn stop(&self, name: &TrainingName, cause: StopCause) -> Result<(), PortError> {
        self.inner.stop(name, cause).await
    }

    async fn held(&self, project: &ProjectName) -> Result<Held<HeldTraining>, PortError> {
        self.inner.held(project).await
    }

    async fn remove(&self, name: &TrainingName) -> Result<bool, PortError> {
        self.inner.remove(name).await
    }

    async fn log_tail(&self, name: &TrainingName, lines: usize) -> Result<Vec<String>, PortError> {
        self.inner.log_tail(name, lines).await
    }
}
