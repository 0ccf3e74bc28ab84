//! ECR, STS, and who may do what.

use super::session;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::PROD;
use crate::world::aws::REGION;
use crate::world::aws::World;
use crate::world::aws::checksum::encode;
use aws_sdk_ecr::types::ImageIdentifier;
use aws_sdk_sagemaker::error::ProvideErrorMetadata;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_image_is_found_by_its_tag_and_a_tag_moves() {
    let world = World::start();
    let ecr = session(&world, DEV).await.ecr;
    let digest = |tag: &str| {
        let ask =
            ecr.describe_images().repository_name("train").image_ids(ImageIdentifier::builder().image_tag(tag).build());
        async move { ask.send().await.map(|said| said.image_details()[0].image_digest().map(str::to_owned)) }
    };
    assert_eq!(digest("1").await.expect_err("no repository").code(), Some("RepositoryNotFoundException"));
    let old = world.push_image(DEV, "train", "1", "old");
    assert_eq!(digest("1").await.expect("it"), Some(old.clone()));
    let new = world.push_image(DEV, "train", "1", "new");
    assert_ne!(old, new);
    assert_eq!(digest("1").await.expect("it"), Some(new));
    let both = ecr.batch_get_image().repository_name("train");
    let both = both.image_ids(ImageIdentifier::builder().image_tag("1").build());
    let both = both.image_ids(ImageIdentifier::builder().image_tag("2").build()).send().await.expect("both");
    assert_eq!((both.images().len(), both.failures().len()), (1, 1));
    world.assert_clean();
    assert_eq!(digest("2").await.expect_err("no tag").code(), Some("ImageNotFoundException"));
}

#[tokio::test]
async fn a_web_identity_becomes_a_role_when_it_is_trusted() {
    let world = World::start();
    let role = format!("arn:aws:iam::{PROD}:role/deploy");
    world.trust_identity(&role, "sts.amazonaws.com", "repo:acme/churn:*");
    let sts = session(&world, DEV).await.sts;
    let now = world.with(|state| state.now()) as u64;
    let assume = |subject: &str, expires: u64| {
        let claims = json!({ "sub": subject, "aud": "sts.amazonaws.com", "exp": expires }).to_string();
        let token = format!("e30.{}.sig", encode(claims.as_bytes()).trim_end_matches('='));
        sts.assume_role_with_web_identity().role_arn(&role).role_session_name("run-1").web_identity_token(token).send()
    };
    let stranger = assume("repo:evil/churn:ref:refs/heads/main", now + 60).await.expect_err("a stranger");
    assert_eq!(stranger.code(), Some("AccessDenied"));
    let late = assume("repo:acme/churn:ref:refs/heads/main", now - 60).await.expect_err("too late");
    assert_eq!(late.code(), Some("ExpiredTokenException"));
    let granted = assume("repo:acme/churn:ref:refs/heads/main", now + 60).await.expect("a role");
    let given = granted.credentials().expect("credentials");
    let credentials = aws_sdk_s3::config::Credentials::new(
        given.access_key_id(),
        given.secret_access_key(),
        Some(given.session_token().to_owned()),
        None,
        "test",
    );
    let config = aws_sdk_sts::config::Builder::new()
        .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
        .region(aws_sdk_sts::config::Region::new(REGION))
        .endpoint_url(world.endpoint())
        .credentials_provider(credentials)
        .build();
    let as_role = aws_sdk_sts::Client::from_conf(config);
    let said = as_role.get_caller_identity().send().await.expect("somebody");
    assert_eq!(said.account(), Some(PROD));
    assert_eq!(said.arn(), Some(format!("arn:aws:sts::{PROD}:assumed-role/deploy/run-1").as_str()));
    world.advance(Duration::from_secs(4000));
    assert_eq!(as_role.get_caller_identity().send().await.expect_err("too late").code(), Some("ExpiredToken"));
    let asked: Vec<bool> = world.with(|state| state.assumed.iter().map(|one| one.granted).collect());
    assert_eq!(asked, [false, true, true]);
}

#[tokio::test]
async fn buckets_have_an_owner_and_a_region() {
    let world = World::start();
    world.add_bucket("elsewhere", DEV, "us-west-2");
    let dev = session(&world, DEV).await.s3;
    let prod = session(&world, PROD).await.s3;
    let there = dev.head_bucket().bucket("elsewhere").send().await.expect_err("another region");
    let raw = there.raw_response().expect("an answer");
    assert_eq!((raw.status().as_u16(), raw.headers().get("x-amz-bucket-region")), (301, Some("us-west-2")));
    let get = |client: &aws_sdk_s3::Client| client.get_object().bucket(DEV_BUCKET).key("k").send();
    world.put(DEV_BUCKET, "k", "1");
    assert_eq!(get(&prod).await.expect_err("not theirs").code(), Some("AccessDenied"));
    world.with(|state| state.buckets.get_mut(DEV_BUCKET).expect("it").friends.push(PROD.to_owned()));
    get(&prod).await.expect("a friend");
    world.deny(PROD, "s3:GetObject");
    assert_eq!(get(&prod).await.expect_err("denied").code(), Some("AccessDenied"));
}

#[tokio::test]
async fn nobody_is_refused() {
    let world = World::start();
    let config = aws_sdk_s3::config::Builder::new()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .region(aws_sdk_s3::config::Region::new(REGION))
        .endpoint_url(world.endpoint())
        .force_path_style(true)
        .allow_no_auth()
        .build();
    let nobody = aws_sdk_s3::Client::from_conf(config);
    let refused = nobody.get_object().bucket(DEV_BUCKET).key("k").send().await.expect_err("unsigned");
    assert_eq!(refused.raw_response().expect("an answer").status().as_u16(), 403);
}

#[tokio::test]
async fn a_key_becomes_a_role_of_another_account_for_a_time() {
    let world = World::start();
    let role = format!("arn:aws:iam::{PROD}:role/deploy");
    let dev = session(&world, DEV).await;
    let assume = || dev.sts.assume_role().role_arn(&role).role_session_name("run-1").send();
    assert_eq!(assume().await.expect_err("a stranger").code(), Some("AccessDenied"));
    world.trust_account(&role, DEV);
    let given = assume().await.expect("a role");
    let given = given.credentials().expect("credentials");
    let credentials = aws_sdk_s3::config::Credentials::new(
        given.access_key_id(),
        given.secret_access_key(),
        Some(given.session_token().to_owned()),
        None,
        "test",
    );
    let config = dev.s3.config().to_builder().credentials_provider(credentials).build();
    let as_role = aws_sdk_s3::Client::from_conf(config);
    let head = || as_role.head_bucket().bucket(crate::world::aws::PROD_BUCKET).send();
    head().await.expect("its bucket");
    world.expire_sessions();
    let late = head().await.expect_err("too late");
    assert_eq!(late.raw_response().map(|raw| raw.status().as_u16()), Some(400));
}
