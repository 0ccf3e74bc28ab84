//! The laptop: the real local backend around a repository, put together as the program does it.

use crate::world::aws::World;
use crate::world::clock::ManualClock;
use crate::world::cloud;
use crate::world::cloud::Adapters;
use crate::world::faults::Faults;
use crate::world::faults::Faulty;
use crate::world::repository::Repository;
use branchline::adapters::git::GitRepository;
use branchline::adapters::git::Heads;
use branchline::adapters::local::LocalArtifacts;
use branchline::adapters::local::LocalDatasets;
use branchline::adapters::local::LocalTrainer;
use branchline::adapters::local::home::Home;
use branchline::adapters::local::registry::LocalRegistry;
use branchline::adapters::material::GitMaterial;
use branchline::config::Config;
use branchline::config::SourceText;
use branchline::drive::Drive;
use branchline::drive::OnCancel;
use branchline::drive::Patience;
use branchline::model::git::CommitSha;
use branchline::observe::Observer;
use branchline::observe::read_config;
use branchline::ports::Clock;
use branchline::ports::Ports;
use branchline::ports::progress::Quiet;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A repository with a local backend.
pub struct Laptop {
    _folder: tempfile::TempDir,
    pub repository: Repository,
    pub home: PathBuf,
    pub clock: Arc<ManualClock>,
    pub faults: Arc<Faults>,
    pub patience: Patience,
    /// The AWS that stands behind the ports, instead of this machine.
    pub cloud: Option<World>,
}

impl Laptop {
    /// Makes a fresh one. `faults` strike where they were told to.
    pub fn new(faults: Faults) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let repository = Repository::new(&folder.path().join("repository"), "dev");
        Self {
            home: folder.path().join("home"),
            repository,
            clock: Arc::new(ManualClock::new()),
            faults: Arc::new(faults),
            patience: Patience::UntilDone,
            cloud: None,
            _folder: folder,
        }
    }

    /// Makes a fresh one whose backend is in the cloud.
    pub fn in_the_cloud(faults: Faults) -> Self {
        Self { cloud: Some(cloud::world()), ..Self::new(faults) }
    }

    /// Puts a run together, anew each time: a run remembers nothing of the one before.
    pub async fn run_for(&self, commit: &CommitSha) -> (Config, Arc<Drive>) {
        let git = Arc::new(GitRepository::discover(self.repository.root()).expect("the repository"));
        let text = read_config(&git, commit).expect("readable").expect("branchline.yaml is committed");
        self.put_together(git, text).await
    }

    async fn put_together(&self, git: Arc<GitRepository>, text: SourceText) -> (Config, Arc<Drive>) {
        let config = branchline::config::load(&text, &text).unwrap_or_else(|problems| panic!("{problems}"));
        let clock: Arc<dyn Clock> = self.clock.clone();
        let Adapters { trainer, registry, artifacts, datasets } = match &self.cloud {
            Some(world) => cloud::adapters(world, &config, &git, &self.home, &clock).await,
            None => self.local(&git, &clock),
        };
        let faults = &self.faults;
        let ports = Ports {
            trainer: Arc::new(Faulty { inner: trainer, faults: Arc::clone(faults) }),
            registry: Arc::new(Faulty { inner: registry, faults: Arc::clone(faults) }),
            artifacts: Arc::new(Faulty { inner: artifacts, faults: Arc::clone(faults) }),
            datasets,
            clock,
            progress: Arc::new(Quiet),
        };
        let repository = git.identity();
        let drive = Drive {
            observer: Arc::new(Observer::new(git, repository, Heads::Local, text)),
            ports,
            patience: self.patience,
            on_cancel: OnCancel::Stop,
            parallel: config.parallel,
            cancelled: CancellationToken::new(),
        };
        (config, Arc::new(drive))
    }

    fn local(&self, git: &Arc<GitRepository>, clock: &Arc<dyn Clock>) -> Adapters {
        let home = Home::at(self.home.clone());
        let root = self.repository.root().to_path_buf();
        let worker = PathBuf::from(env!("CARGO_BIN_EXE_branchline"));
        let material = Arc::new(GitMaterial::new(Arc::clone(git)));
        Adapters {
            trainer: Arc::new(LocalTrainer::new(home.clone(), root.clone(), worker, material)),
            registry: Arc::new(LocalRegistry::at(&home.database(), Arc::clone(clock))),
            artifacts: Arc::new(LocalArtifacts::new(home.clone())),
            datasets: Arc::new(LocalDatasets::new(home, root)),
        }
    }
}
