//! Which adapters stand behind the ports: those of this machine, those of the cloud, or some of each, as the rules say.

use crate::adapters::aws::Accounts;
use crate::adapters::aws::CredentialOptions;
use crate::adapters::aws::OidcEnvironment;
use crate::adapters::aws::Patience;
use crate::adapters::aws::Session;
use crate::adapters::aws::SessionOptions;
use crate::adapters::aws::credentials_for;
use crate::adapters::local::DataPlaces;
use crate::adapters::local::artifacts::LocalArtifacts;
use crate::adapters::local::datasets::LocalDatasets;
use crate::adapters::local::registry::LocalRegistry;
use crate::adapters::local::trainer::LocalTrainer;
use crate::adapters::material::GitMaterial;
use crate::adapters::network::Network;
use crate::adapters::s3::S3Artifacts;
use crate::adapters::s3::S3Datasets;
use crate::adapters::sagemaker::Pace;
use crate::adapters::sagemaker::SageMakerRegistry;
use crate::adapters::sagemaker::SageMakerTrainer;
use crate::adapters::sagemaker::Setting;
use crate::cli::compose::Place;
use crate::cli::env_vars;
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::config::resolved::BackendKind;
use crate::model::cloud::AccountPlace;
use crate::model::git::RepositoryId;
use crate::model::name::GroupName;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use crate::model::variables;
use crate::ports::ArtifactStore;
use crate::ports::Clock;
use crate::ports::Datasets;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::Registry;
use crate::ports::Trainer;
use std::sync::Arc;

/// The adapters of a run.
pub(super) struct Backend {
    pub(super) trainer: Arc<dyn Trainer>,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) artifacts: Arc<dyn ArtifactStore>,
    pub(super) datasets: Arc<dyn Datasets>,
    /// The accounts that are used, where any part is in the cloud.
    pub(super) accounts: Option<Accounts>,
}

impl Backend {
    /// Chooses them. Nothing is sent yet.
    pub(super) async fn of(
        place: &Place,
        config: &Config,
        repository: &RepositoryId,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let home = place.state();
        let root = place.git.main_work_dir().unwrap_or_else(|| place.git.common_dir().to_path_buf());
        let material = Arc::new(GitMaterial::new(Arc::clone(&place.git)));
        let places = DataPlaces::new(&home, root.clone(), place.data_reach(config))
            .with_lfs_objects(place.git.common_dir().join("lfs").join("objects"));
        let accounts = match &config.cloud {
            Some(cloud) if config.backend.is_cloud() => Some(accounts(cloud, config, clock).await),
            Some(_) | None => None,
        };
        let parts = config.backend;
        let trainer: Arc<dyn Trainer> = match (parts.trainer, &accounts) {
            (BackendKind::Cloud, Some(accounts)) => Arc::new(SageMakerTrainer::new(Setting {
                project: config.project.clone(),
                repository: repository.clone(),
                accounts: accounts.clone(),
                stages: config.stages.iter().filter(|stage| trains(stage)).map(|stage| stage.name.clone()).collect(),
                home: home.clone(),
                places: places.clone(),
                material,
                pace: Pace::default(),
            })),
            (BackendKind::Cloud | BackendKind::Local, _) => {
                let worker =
                    std::env::current_exe().map_err(|error| Failure::io("find this program's own file", &error))?;
                Arc::new(LocalTrainer::new(home.clone(), root.clone(), worker, material).within(places.clone()))
            }
        };
        let registry: Arc<dyn Registry> = match (parts.registry, &accounts) {
            (BackendKind::Cloud, Some(accounts)) => {
                let registry = SageMakerRegistry::new(accounts.clone(), config.project.clone(), Arc::clone(clock));
                Arc::new(registry.remembering())
            }
            (BackendKind::Cloud | BackendKind::Local, _) => {
                Arc::new(LocalRegistry::at(&home.database(), Arc::clone(clock)))
            }
        };
        let artifacts: Arc<dyn ArtifactStore> = match (parts.artifacts, &accounts) {
            (BackendKind::Cloud, Some(accounts)) => {
                Arc::new(S3Artifacts::new(accounts.clone(), config.project.clone(), Arc::clone(clock)))
            }
            (BackendKind::Cloud | BackendKind::Local, _) => Arc::new(LocalArtifacts::new(home.clone())),
        };
        let local = LocalDatasets::new(home, root).within(places);
        let datasets: Arc<dyn Datasets> = match &accounts {
            Some(accounts) => Arc::new(S3Datasets::new(Arc::clone(accounts.default_account()), local)),
            None => Arc::new(local),
        };
        Ok(Self { trainer, registry, artifacts, datasets, accounts })
    }

    /// Tells whether what a stage keeps can be changed by this run, as far as its credentials say.
    pub(super) async fn may_act_for(accounts: &Accounts, stage: &Stage) -> Result<bool, PortError> {
        let session = accounts.of_stage(&stage.name);
        match session.identity().await {
            Ok(identity) => Ok(session.place.lets_write(&identity.arn)),
            Err(refused) => {
                let error = refused.into_port(format!("assume the role of the stage {}", stage.name));
                if error.kind == PortErrorKind::Permission { Ok(false) } else { Err(error) }
            }
        }
    }
}

/// Makes the clients of every account that the rules name.
async fn accounts(cloud: &AccountPlace, config: &Config, clock: &Arc<dyn Clock>) -> Accounts {
    let mut accounts = Accounts::one(session(cloud, clock, Patience::default()).await);
    for (name, place) in &config.accounts {
        let Some(stage) = config.stage(name) else { continue };
        let groups: Vec<GroupName> = config
            .models
            .keys()
            .flat_map(|model| stage.groups.keys().filter_map(|target| config.group(model, target)))
            .cloned()
            .collect();
        let session = session(place, clock, Patience::default()).await;
        accounts = accounts.with_stage(name.clone(), &session, groups);
    }
    accounts
}

/// Makes the clients of an account, with the credentials that it is to be used with.
pub(super) async fn session(place: &AccountPlace, clock: &Arc<dyn Clock>, patience: Patience) -> Arc<Session> {
    let github = OidcEnvironment::from_variables(env_vars::get);
    let run = env_vars::get(variables::GITHUB_RUN_ID);
    let network = Network::from_variables(env_vars::get);
    let options = CredentialOptions {
        endpoint: None,
        session_name: run.map_or_else(|| "branchline".to_owned(), |run| format!("branchline-{run}")),
        clock: Arc::clone(clock),
        patience,
        network: network.clone(),
    };
    let credentials = credentials_for(place, github.as_ref(), &options).await;
    let options = SessionOptions { endpoint: None, credentials, patience, network };
    Arc::new(Session::new(place.clone(), &options).await)
}

fn trains(stage: &Stage) -> bool {
    matches!(stage.does, Does::Train { .. })
}
