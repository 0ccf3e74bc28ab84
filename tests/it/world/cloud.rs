//! The laptop's twin in the cloud: the real SageMaker and S3 adapters against an AWS of their own, in which jobs really
//! run their command. `dev` and whatever else trains live in one account, `prod` in another.

use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::PROD;
use crate::world::aws::PROD_BUCKET;
use crate::world::aws::REGION;
use crate::world::aws::World;
use branchline::adapters::aws::Accounts;
use branchline::adapters::aws::Patience;
use branchline::adapters::aws::Session;
use branchline::adapters::aws::SessionOptions;
use branchline::adapters::git::GitRepository;
use branchline::adapters::local::LocalDatasets;
use branchline::adapters::local::home::Home;
use branchline::adapters::material::GitMaterial;
use branchline::adapters::s3::S3Artifacts;
use branchline::adapters::s3::S3Datasets;
use branchline::adapters::sagemaker::Pace;
use branchline::adapters::sagemaker::SageMakerRegistry;
use branchline::adapters::sagemaker::SageMakerTrainer;
use branchline::adapters::sagemaker::Setting;
use branchline::config::Config;
use branchline::model::cloud::AccountPlace;
use branchline::model::git::RepositoryId;
use branchline::model::name::GroupName;
use branchline::model::stage::Does;
use branchline::ports::ArtifactStore;
use branchline::ports::Clock;
use branchline::ports::Datasets;
use branchline::ports::Registry;
use branchline::ports::Trainer;
use serde_yaml::Value;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What stands behind the ports.
pub struct Adapters {
    pub trainer: Arc<dyn Trainer>,
    pub registry: Arc<dyn Registry>,
    pub artifacts: Arc<dyn ArtifactStore>,
    pub datasets: Arc<dyn Datasets>,
}

/// An AWS with an image to train in.
pub fn world() -> World {
    let world = World::start();
    world.push_image(DEV, "churn", "1", "python and sh");
    // The bucket of dev lets the role of prod read; nobody but its own account writes it.
    world.with(|state| {
        if let Some(bucket) = state.buckets.get_mut(DEV_BUCKET) {
            bucket.friends.push(PROD.to_owned());
        }
    });
    world
}

/// Requests are tried again at once: the World has all day.
pub fn patience() -> Patience {
    Patience {
        tries: 24,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(4),
        between_lists: Duration::ZERO,
        between_creations: Duration::ZERO,
    }
}

/// Where an account lives.
pub fn place(account: &str, bucket: &str) -> AccountPlace {
    AccountPlace {
        account_id: Some(account.to_owned()),
        region: REGION.to_owned(),
        bucket: bucket.to_owned(),
        prefix: "branchline".to_owned(),
        assume_role_arn: None,
        read_role_arn: None,
        execution_role_arn: Some(format!("arn:aws:iam::{account}:role/training")),
        kms_key: None,
    }
}

/// The clients of an account.
pub async fn session(world: &World, account: &str, bucket: &str) -> Arc<Session> {
    let options = SessionOptions {
        endpoint: Some(world.endpoint().to_owned()),
        credentials: Some(world.credentials(account)),
        patience: patience(),
        ..SessionOptions::default()
    };
    Arc::new(Session::new(place(account, bucket), &options).await)
}

/// Puts the adapters together as the program does it.
pub async fn adapters(
    world: &World,
    config: &Config,
    git: &Arc<GitRepository>,
    home: &Path,
    clock: &Arc<dyn Clock>,
) -> Adapters {
    let dev = session(world, DEV, DEV_BUCKET).await;
    let prod = session(world, PROD, PROD_BUCKET).await;
    let mut accounts = Accounts::one(Arc::clone(&dev));
    for stage in config.stages.iter().filter(|stage| stage.name.as_str() == "prod") {
        let groups: Vec<GroupName> = config
            .models
            .keys()
            .flat_map(|model| stage.groups.keys().filter_map(|target| config.group(model, target)))
            .cloned()
            .collect();
        accounts = accounts.with_stage(stage.name.clone(), &prod, groups);
    }
    let (home, root) = (Home::at(home.to_path_buf()), git.main_work_dir().unwrap_or_else(|| PathBuf::from("/")));
    let trains = config.stages.iter().filter(|stage| matches!(stage.does, Does::Train { .. }));
    let repository: RepositoryId = git.identity();
    let trainer = SageMakerTrainer::new(Setting {
        project: config.project.clone(),
        repository,
        accounts: accounts.clone(),
        stages: trains.map(|stage| stage.name.clone()).collect(),
        home: home.clone(),
        root: root.clone(),
        material: Arc::new(GitMaterial::new(Arc::clone(git))),
        pace: Pace {
            first: Duration::from_millis(10),
            longest: Duration::from_millis(50),
            lag: Duration::from_millis(50),
        },
    });
    let registry = SageMakerRegistry::new(accounts.clone(), config.project.clone(), Arc::clone(clock));
    Adapters {
        trainer: Arc::new(trainer),
        registry: Arc::new(registry.remembering()),
        artifacts: Arc::new(S3Artifacts::new(accounts, config.project.clone(), Arc::clone(clock))),
        datasets: Arc::new(S3Datasets::new(dev, LocalDatasets::new(home, root))),
    }
}

/// Rewrites a configuration of the laptop for the cloud: each training gets an image and a machine. Nothing else differs.
pub fn for_the_cloud(text: &str, world: &World) -> String {
    let Ok(mut file) = serde_yaml::from_str::<Value>(text) else { return text.to_owned() };
    let Some(models) = file.get_mut("models").and_then(Value::as_mapping_mut) else { return text.to_owned() };
    for (_, model) in models.iter_mut() {
        let Some(train) = model.get_mut("train").and_then(Value::as_mapping_mut) else { continue };
        train.insert("image".into(), format!("{}:1", world.image(DEV, "churn")).into());
        let machine = "{ type: ml.m5.large, count: 1, volume_gb: 10 }";
        train.insert("instance".into(), serde_yaml::from_str(machine).expect("a machine"));
        train.entry("max_runtime".into()).or_insert("1h".into());
    }
    serde_yaml::to_string(&file).expect("YAML")
}
