//! The lease of a group: held by one, renewed, lost aloud. And groups that live in another account.

use super::Cloud;
use super::Home;
use crate::registry_stories::APPROVED;
use crate::registry_stories::HeldClock;
use crate::registry_stories::Place;
use crate::registry_stories::at;
use crate::registry_stories::by;
use crate::registry_stories::content;
use crate::registry_stories::repository;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::PROD;
use crate::world::aws::PROD_BUCKET;
use branchline::adapters::aws::Accounts;
use branchline::adapters::aws::Session;
use branchline::adapters::aws::SessionOptions;
use branchline::adapters::s3::lease::Lease;
use branchline::adapters::s3::objects::Objects;
use branchline::adapters::sagemaker::registry::SageMakerRegistry;
use branchline::model::history::HistoryAction;
use branchline::model::name::GroupName;
use branchline::model::name::ProjectName;
use branchline::model::name::StageName;
use branchline::ports::Clock;
use branchline::ports::Expected;
use branchline::ports::PortError;
use branchline::ports::Registered;
use branchline::ports::Registration;
use branchline::ports::Registry;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

const KEY: &str = "risk/g/lease.json";

async fn cloud() -> (Cloud, Objects, Arc<HeldClock>, Arc<dyn Clock>) {
    let cloud = Cloud::new().await;
    let objects = Objects::of(&cloud.session);
    let clock = Arc::new(HeldClock(Mutex::new(at("2026-11-09T08:00:00Z"))));
    let port: Arc<dyn Clock> = clock.clone();
    (cloud, objects, clock, port)
}

fn held(cloud: &Cloud) -> serde_json::Value {
    let bytes = cloud.world.object(DEV_BUCKET, &format!("branchline/{KEY}")).expect("a lease");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[tokio::test]
async fn a_lease_is_renewed_while_it_is_held_and_given_back() {
    let (cloud, objects, clock, port) = cloud().await;
    let lease = Lease::take(&objects, &port, KEY, "run-1", "write").await.expect("free");
    assert_eq!(held(&cloud)["until"], "2026-11-09T08:01:00Z");
    *clock.0.lock().expect("clock") = at("2026-11-09T08:00:50Z");
    let renewed = lease.renewed_every(Duration::from_millis(5)).holding(async {
        while held(&cloud)["until"] != "2026-11-09T08:01:50Z" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(held(&cloud)["owner"].clone())
    });
    assert_eq!(renewed.await.expect("held"), "run-1");
    assert_eq!(held(&cloud)["owner"], "", "given back");
    Lease::take(&objects, &port, KEY, "run-2", "write").await.expect("free again");
}

#[tokio::test]
async fn a_lease_that_is_lost_ends_the_work() {
    let (_cloud, objects, clock, port) = cloud().await;
    let lease = Lease::take(&objects, &port, KEY, "run-1", "write").await.expect("free");
    let error = Lease::take(&objects, &port, KEY, "run-2", "write").await.err().expect("held");
    assert!(error.chain().contains("the run run-1 is writing"), "{}", error.chain());
    // Its holder slept too long.
    *clock.0.lock().expect("clock") = at("2026-11-09T08:01:01Z");
    let _other = Lease::take(&objects, &port, KEY, "run-2", "write").await.expect("expired");
    let work = async {
        std::future::pending::<()>().await;
        Ok(())
    };
    let error: PortError = lease.renewed_every(Duration::from_millis(5)).holding(work).await.expect_err("lost");
    assert!(error.kind.may_pass() && error.chain().contains("taken over"), "{}", error.chain());
}

#[tokio::test]
async fn one_of_many_takes_it() {
    let (_cloud, objects, _, port) = cloud().await;
    let (objects, port) = (&objects, &port);
    let take = |owner: &'static str| Lease::take(objects, port, KEY, owner, "write");
    let (a, b, c) = tokio::join!(take("a"), take("b"), take("c"));
    assert_eq!([a.is_ok(), b.is_ok(), c.is_ok()].into_iter().filter(|taken| *taken).count(), 1);
}

#[tokio::test]
async fn a_group_of_another_account_is_kept_there() {
    let home = Home::new().await;
    home.register("a", APPROVED).await;
    let mut place = home.place.session.place.clone();
    place.account_id = Some(PROD.to_owned());
    place.bucket = PROD_BUCKET.to_owned();
    let options = SessionOptions {
        endpoint: Some(home.place.world.endpoint().to_owned()),
        credentials: Some(home.place.world.credentials(PROD)),
        ..SessionOptions::default()
    };
    let prod = Arc::new(Session::new(place, &options).await);
    let group = GroupName::parse("risk-churn-live").expect("name");
    let stage = StageName::parse("prod").expect("name");
    let accounts = Accounts::one(Arc::clone(&home.place.session)).with_stage(stage, &prod, [group.clone()]);
    let registry = SageMakerRegistry::new(accounts, ProjectName::parse("risk").expect("name"), home.clock.clone());
    let registration = Registration {
        group: group.clone(),
        repository: repository(),
        expected: Expected { newest: None, current: None, frozen: false },
        content: content("a"),
        approval: APPROVED,
        superseded: false,
        supersedes_older: true,
        action: HistoryAction::Promoted,
        by: by("author"),
    };
    assert!(matches!(registry.register(&registration).await.expect("register"), Registered::New(_)));
    let world = &home.place.world;
    assert_eq!(world.versions(PROD, group.as_str()).len(), 1);
    assert_eq!(world.versions(crate::world::aws::DEV, group.as_str()).len(), 0);
    assert!(world.keys(DEV_BUCKET, "branchline/risk/risk-churn-live/").is_empty());
    assert!(!world.keys(PROD_BUCKET, "branchline/risk/risk-churn-live/").is_empty());
    assert_eq!(registry.groups().await.expect("groups"), [group, home.group.clone()]);
    world.assert_clean();
}
