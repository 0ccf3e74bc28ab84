//! The registry on SageMaker: the stories of every registry, and what only a cloud does: answers that are lost,
//! processes that die, people who change things in Studio, listings that lag.

mod far;
mod faults;
mod lease;
mod people;
mod requests;

use crate::registry_stories;
use crate::registry_stories::HeldClock;
use crate::registry_stories::Place;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::REGION;
use crate::world::aws::World;
use branchline::adapters::aws::Accounts;
use branchline::adapters::aws::Patience;
use branchline::adapters::aws::Session;
use branchline::adapters::aws::SessionOptions;
use branchline::adapters::sagemaker::registry::SageMakerRegistry;
use branchline::model::cloud::AccountPlace;
use branchline::model::name::ProjectName;
use std::sync::Arc;
use std::time::Duration;

/// An account of its own in an AWS of its own.
pub struct Cloud {
    pub world: World,
    pub session: Arc<Session>,
}

impl Place for Cloud {
    type Registry = SageMakerRegistry;

    async fn new() -> Self {
        let world = World::start();
        let place = AccountPlace {
            account_id: Some(DEV.to_owned()),
            region: REGION.to_owned(),
            bucket: DEV_BUCKET.to_owned(),
            prefix: "branchline".to_owned(),
            assume_role_arn: None,
            read_role_arn: None,
            execution_role_arn: None,
            kms_key: None,
        };
        let options = SessionOptions {
            endpoint: Some(world.endpoint().to_owned()),
            credentials: Some(world.credentials(DEV)),
            patience: Patience {
                first_pause: Duration::from_millis(1),
                longest_pause: Duration::from_millis(4),
                between_lists: Duration::ZERO,
                between_creations: Duration::ZERO,
                ..Patience::default()
            },
            ..SessionOptions::default()
        };
        let session = Arc::new(Session::new(place, &options).await);
        Self { world, session }
    }

    fn open(&self, clock: Arc<HeldClock>) -> SageMakerRegistry {
        let project = ProjectName::parse("risk").expect("name");
        SageMakerRegistry::new(Accounts::one(Arc::clone(&self.session)), project, clock)
    }
}

/// A home with one group in it.
pub type Home = registry_stories::Home<Cloud>;

registry_stories::registry_stories!(Cloud);
