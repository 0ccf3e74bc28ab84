//! The stand-in for AWS, driven by Amazon's own clients, so that other tests may trust it.

mod buckets;
mod faults;
mod jobs;
mod registry;
mod services;

use crate::world::aws::DEV_BUCKET;
use crate::world::aws::REGION;
use crate::world::aws::World;
use branchline::adapters::aws::session::Session;
use branchline::adapters::aws::session::SessionOptions;
use branchline::model::cloud::AccountPlace;

/// The clients of an account, as the product makes them.
async fn session(world: &World, account: &str) -> Session {
    let place = AccountPlace {
        account_id: None,
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
        credentials: Some(world.credentials(account)),
        ..SessionOptions::default()
    };
    Session::new(place, &options).await
}
