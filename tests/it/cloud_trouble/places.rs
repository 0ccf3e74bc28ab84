//! Regions, buckets, accounts, credentials and clocks that are not what the configuration takes them for.

use super::MODEL;
use super::Team;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use crate::world::aws::PROD;
use crate::world::aws::PROD_BUCKET;
use crate::world::aws::key_of;
use branchline::model::verdict::Verdict;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_another_region_is_named_with_both() {
    let team = Team::new();
    let config = std::fs::read_to_string(team.laptop.repository.root().join("branchline.yaml")).expect("readable");
    let far = config.replace("ecr.eu-central-1", "ecr.eu-west-1");
    assert_ne!(config, far);
    team.commit(&[("branchline.yaml", far.as_str())]);
    team.push("dev")
        .await
        .ends(Verdict::Blocked, &["missing-image"])
        .says(&["is in region eu-west-1, and training runs in eu-central-1", "-> "]);
    team.is_untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_in_another_region() {
    let team = Team::new();
    team.world().with(|state| state.buckets.get_mut(DEV_BUCKET).expect("a bucket").region = "us-east-1".to_owned());
    team.push("dev").await.ends(Verdict::Errored, &["port-failed"]).says(&[
        "acme-ml-dev",
        "us-east-1",
        "-> Write the bucket's own region into `backend.sagemaker.region`",
    ]);
    team.is_untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there() {
    let team = Team::new();
    team.world().with(|state| state.buckets.remove(DEV_BUCKET));
    team.push("dev").await.ends(Verdict::Errored, &["port-failed"]).says(&[
        "acme-ml-dev",
        "The specified bucket does not exist",
        "-> Make the bucket acme-ml-dev, or correct `bucket`: `branchline bootstrap` makes it.",
    ]);
    team.is_untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_somebody_else() {
    let team = Team::new();
    team.world().with(|state| {
        let bucket = state.buckets.get_mut(DEV_BUCKET).expect("a bucket");
        (bucket.owner, bucket.friends) = ("333333333333".to_owned(), Vec::new());
    });
    team.push("dev").await.ends(Verdict::Errored, &["port-failed"]).says(&[
        "acme-ml-dev",
        "asked by arn:aws:iam::111111111111:user/tests",
        "-> Allow s3:",
        "`branchline iam` prints the policy",
    ]);
    team.is_untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_another_account_write_nothing() {
    let team = Team::new();
    let id = key_of(DEV);
    let _ = team.world().credentials(DEV);
    team.world().with(|state| {
        let key = state.keys.get_mut(&id).expect("a key");
        (key.account, key.arn) = ("333333333333".to_owned(), "arn:aws:iam::333333333333:user/tests".to_owned());
    });
    team.push("dev").await.ends(Verdict::Errored, &["port-failed"]).says(&[
        "the credentials are those of account 333333333333 (arn:aws:iam::333333333333:user/tests), and the \
         configuration says 111111111111: nothing was written",
        "-> Use credentials of the configured account, or correct `account_id` (`id` under `accounts`) in branchline.yaml.",
    ]);
    team.is_untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_may_not_read_dev_writes_nothing_in_prod() {
    let team = Team::new();
    team.trained().await;
    team.world().with(|state| state.buckets.get_mut(DEV_BUCKET).expect("a bucket").friends.clear());
    team.world().reset_requests();
    team.push("prod").await.ends(Verdict::Errored, &["port-failed"]).says(&["acme-ml-dev", "-> Allow s3:GetObject"]);
    assert_eq!(team.versions(PROD), 0);
    assert!(!team.world().keys(PROD_BUCKET, "").iter().any(|key| key.ends_with("model.tar.gz")));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_trained_that_could_not_be_compared_afterwards() {
    let advanced = MODEL.replace("project: churn\n", "project: churn\ntopology: advanced\n");
    assert_ne!(advanced, MODEL);
    let team = Team::with(&advanced);
    team.world().with(|state| state.buckets.remove(PROD_BUCKET));
    team.push("dev").await.ends(Verdict::Errored, &["port-failed"]).says(&[
        "read the history of churn-champion",
        "acme-ml-prod",
        "The specified bucket does not exist",
    ]);
    team.is_untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_role_that_cannot_be_assumed() {
    let team = Team::new();
    let refusal = Fault::Refused(
        400,
        "ValidationException",
        "Could not assume role arn:aws:iam::111111111111:role/training. Please ensure that the role exists and allows \
         principal 'sagemaker.amazonaws.com' to assume the role.",
    );
    team.world().fail_next("CreateTrainingJob", refusal);
    team.push("dev").await.ends(Verdict::Errored, &["training-needed", "port-failed"]).says(&[
        "Could not assume role arn:aws:iam::111111111111:role/training",
        "-> The execution role must exist and trust sagemaker.amazonaws.com: `branchline iam`",
    ]);
    assert_eq!((team.world().count("CreateTrainingJob"), team.jobs().len()), (1, 0));
    // Once it is fixed the same push trains.
    team.push("dev").await.ends(Verdict::Passed, &["registering"]);
    assert_eq!((team.jobs().len(), team.versions(DEV)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong() {
    let team = Team::new();
    let skewed = Fault::Refused(
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    );
    team.world().fail_next("PutObject", skewed);
    team.push("dev").await.ends(Verdict::Errored, &["port-failed"]).says(&[
        "The difference between the request time and the current time is too large",
        "-> Set this machine's clock: Amazon refuses requests that are",
    ]);
    assert_eq!((team.jobs().len(), team.versions(DEV)), (0, 0));
    team.push("dev").await.ends(Verdict::Passed, &["registering"]);
    let skewed = Fault::Refused(
        400,
        "InvalidSignatureException",
        "Signature expired: 20261121T100000Z is now earlier than 20261121T110000Z (20261121T111500Z - 15 min.)",
    );
    team.merged();
    team.world().fail_next("CreateModelPackage", skewed);
    team.push("prod").await.ends(Verdict::Errored, &["port-failed"]).says(&["-> Set this machine's clock"]);
    assert_eq!(team.versions(PROD), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_in_the_middle_is_gone_on_with() {
    let expired = |status| Fault::Refused(status, "ExpiredTokenException", "The security token included is expired");
    for (operation, status) in
        [("CreateTrainingJob", 400), ("DescribeTrainingJob", 400), ("CopyObject", 403), ("CreateModelPackage", 400)]
    {
        let team = Team::new();
        // From then on it has ended, whichever request of this run comes first.
        for _ in 0..50 {
            team.world().fail_next(operation, expired(status));
        }
        team.push("dev").await.ends(Verdict::Errored, &["port-failed"]).says(&[
            "The security token included is expired",
            "-> The session ended. Run again: what was begun is found and finished.",
        ]);
        team.world().with(|state| state.faults.clear());
        assert_eq!(team.versions(DEV), 0, "{operation}");
        team.push("dev").await.ends(Verdict::Passed, &["registering"]);
        assert_eq!((team.jobs().len(), team.versions(DEV)), (1, 1), "{operation}");
    }
}
