//! What people get wrong, each with its text.

use super::Lab;
use super::s3;
use super::seen;
use super::spec;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use crate::world::aws::REGION;
use crate::world::aws::Script;
use branchline::model::name::StageName;
use branchline::model::settings::DataSource;
use branchline::model::training::TrainingState;
use branchline::ports::Datasets as _;
use branchline::ports::PortError;
use branchline::ports::PortErrorKind;
use branchline::ports::StartedTraining;
use branchline::ports::Trainer as _;
use serde_json::json;

fn said(error: &PortError) -> String {
    format!("{}. {}", error.chain(), error.hint.as_deref().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_for_what_cannot_be() {
    let lab = Lab::new();
    let mut spec = spec("train");
    spec.settings.hyperparameters.insert("tree".to_owned(), "x".repeat(5000));
    let error = lab.trainer().await.start(&spec).await.expect_err("it is too long");
    assert_eq!(error.kind, PortErrorKind::Configuration);
    assert!(said(&error).contains("hyperparameter `tree` has 5000 characters, and SageMaker takes 2500"), "{error}");
    assert_eq!((lab.aws.mutations(), lab.aws.requests().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_job_of_the_same_name_is_left_alone() {
    let lab = Lab::new();
    let spec = spec("train");
    lab.aws.next_job(Script::forever());
    let elsewhere =
        aws_sdk_sagemaker::types::OutputDataConfig::builder().s3_output_path("s3://acme-ml-dev/mine").build();
    let algorithm = aws_sdk_sagemaker::types::AlgorithmSpecification::builder()
        .training_image(format!("{DEV}.dkr.ecr.{REGION}.amazonaws.com/x:1"))
        .training_input_mode(aws_sdk_sagemaker::types::TrainingInputMode::File);
    let theirs = lab.session().await.sagemaker.create_training_job().training_job_name(spec.name.as_str());
    let theirs = theirs.role_arn(format!("arn:aws:iam::{DEV}:role/x")).output_data_config(elsewhere);
    let limit = aws_sdk_sagemaker::types::StoppingCondition::builder().max_runtime_in_seconds(60).build();
    let theirs = theirs.stopping_condition(limit);
    theirs.algorithm_specification(algorithm.build()).send().await.expect("somebody may do that");
    for _ in 0..2 {
        let error = lab.trainer().await.start(&spec).await.expect_err("it is not ours");
        let text = said(&error);
        assert!(text.contains(&format!("SageMaker has a training job {} that is not ours", spec.name)), "{text}");
        assert!(text.contains("aws sagemaker delete-training-job"), "{text}");
        assert!(lab.open_marks().is_empty(), "nobody retries it automatically");
    }
    assert_eq!(seen(&lab.trainer().await, &spec.name).await.state, TrainingState::Prepared);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_zero_is_named_and_not_tried_again() {
    let lab = Lab::new();
    lab.aws.fail_next("CreateTrainingJob", Fault::limit());
    let spec = spec("train");
    let trainer = lab.trainer().await;
    let error = trainer.start(&spec).await.expect_err("there is no room");
    assert_eq!(error.kind, PortErrorKind::Quota);
    assert!(said(&error).contains("'ml.m5.large for training job usage' is 0 Instances"), "{}", said(&error));
    assert!(said(&error).contains("Service Quotas"), "{}", said(&error));
    assert_eq!((lab.aws.count("CreateTrainingJob"), lab.open_marks()), (1, Vec::new()));
    // The same push, run again after the quota was raised, begins it.
    lab.aws.next_job(Script::forever());
    assert_eq!(trainer.start(&spec).await.expect("there is room"), StartedTraining::Fresh);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_free_machine_may_pass() {
    let lab = Lab::new();
    let none = Fault::Refused(400, "CapacityError", "Unable to provision requested ML compute capacity.");
    lab.aws.fail_next("CreateTrainingJob", none);
    let spec = spec("train");
    let error = lab.trainer().await.start(&spec).await.expect_err("there is no machine");
    assert!(error.kind.may_pass(), "{error:?}");
    assert!(said(&error).contains("use another `instance.type`"), "{}", said(&error));
    assert_eq!(lab.open_marks().len(), 1, "`reconcile` tries it again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_nobody_may_assume_is_explained() {
    let lab = Lab::new();
    let refusal = Fault::Refused(400, "ValidationException", "Could not assume role arn:aws:iam::1:role/x.");
    lab.aws.fail_next("CreateTrainingJob", refusal);
    let error = lab.trainer().await.start(&spec("train")).await.expect_err("no such role");
    assert_eq!(error.kind, PortErrorKind::Configuration);
    assert!(said(&error).contains("must exist and trust sagemaker.amazonaws.com"), "{}", said(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_may_not_do_is_named() {
    let lab = Lab::new();
    lab.aws.deny(DEV, "sagemaker:CreateTrainingJob");
    let error = lab.trainer().await.start(&spec("train")).await.expect_err("it is denied");
    assert_eq!(error.kind, PortErrorKind::Permission);
    assert!(said(&error).contains("Allow sagemaker:CreateTrainingJob for this role"), "{}", said(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_found_by_its_digest() {
    let lab = Lab::new();
    let digest = lab.aws.push_image(DEV, "churn", "1", "one");
    let trainer = lab.trainer().await;
    let stage = StageName::parse("dev").expect("a name");
    let image = lab.aws.image(DEV, "churn");
    let ask = async |image: String| trainer.image_digest(&stage, &image).await.expect("it can be asked");
    assert_eq!(ask(format!("{image}:1")).await, Ok(Some(digest.clone())));
    let moved = lab.aws.push_image(DEV, "churn", "1", "two");
    assert_eq!(ask(format!("{image}:1")).await, Ok(Some(moved)));
    assert_eq!(ask(format!("{image}@{digest}")).await, Ok(Some(digest)));
    assert_eq!(ask("python:3.13".to_owned()).await, Ok(None));
    let no_tag = ask(format!("{image}:9")).await.expect_err("no such tag");
    assert_eq!(no_tag, format!("there is no image {image}:9: repository churn has no tag 9"));
    let no_repository = ask(lab.aws.image(DEV, "nothing")).await.expect_err("no such repository");
    assert!(no_repository.contains("there is no repository nothing in ECR of account 111111111111"), "{no_repository}");
    let far = ask(format!("{DEV}.dkr.ecr.us-east-1.amazonaws.com/churn:1")).await.expect_err("it is far away");
    assert!(far.contains("is in region us-east-1, and training runs in eu-central-1"), "{far}");
    let bad = ask(format!("{image}@sha256:1")).await.expect_err("no digest");
    assert!(bad.contains("names no digest after the @"), "{bad}");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_are_not_there_are_said_in_a_sentence() {
    let lab = Lab::new();
    let datasets = lab.datasets().await;
    let ask = async |source: DataSource| datasets.identify(&source).await.expect("it can be asked");
    let empty = ask(s3("s3://acme-ml-dev/none/")).await.expect_err("it is empty");
    assert_eq!(empty, "s3://acme-ml-dev/none/ is empty: no object begins with this prefix");
    let nowhere = ask(s3("s3://acme-nowhere/x/")).await.expect_err("no such bucket");
    assert_eq!(nowhere, "s3://acme-nowhere/x/: there is no bucket acme-nowhere");
    let cloud = ask(s3("gs://acme/x/")).await.expect_err("another cloud");
    assert_eq!(
        cloud,
        "gs://acme/x/ is no place that SageMaker reads: name an s3:// address, or a path on this machine"
    );
    let mixed = DataSource { version_from: Some("s3://acme-ml-dev/M".to_owned()), ..s3("raw") };
    assert!(ask(mixed).await.expect_err("mixed").contains("both are in a bucket, or neither is"));
    lab.aws.add_bucket("acme-far", DEV, "us-east-1");
    let far = ask(s3("s3://acme-far/x/")).await.expect_err("another region");
    assert!(far.contains("the bucket acme-far is not in region eu-central-1"), "{far}");
    lab.aws.add_bucket("acme-foreign", "333333333333", REGION);
    let foreign = datasets.identify(&s3("s3://acme-foreign/x/")).await.expect_err("it is not ours");
    assert_eq!(foreign.kind, PortErrorKind::Permission);
    assert!(said(&foreign).contains("Allow s3:ListBucket for this role"), "{}", said(&foreign));
    let by = |manifest: &str| DataSource { version_from: Some(manifest.to_owned()), ..s3("s3://acme-ml-dev/data/") };
    let missing = ask(by("s3://acme-ml-dev/MANIFEST.json")).await.expect_err("no such manifest");
    assert_eq!(missing, "s3://acme-ml-dev/MANIFEST.json does not exist");

    lab.aws.put(DEV_BUCKET, "MANIFEST.json", "v1");
    let manifest = ask(by("s3://acme-ml-dev/MANIFEST.json")).await.expect("it is there");
    let digest = branchline::model::digest::Sha256Digest::of(b"v1");
    assert_eq!(manifest.digest, format!("sha256:{digest}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_identifies_data_by_content_and_not_by_place() {
    let lab = Lab::new();
    let datasets = lab.datasets().await;
    let digest = async |uri: &str| datasets.identify(&s3(uri)).await.expect("it can be asked").expect("data").digest;
    for place in ["a", "b"] {
        lab.aws.put(DEV_BUCKET, &format!("{place}/1.csv"), "1");
        lab.aws.put(DEV_BUCKET, &format!("{place}/sub/2.csv"), "2");
    }
    lab.aws.put(DEV_BUCKET, "b/", "");
    let first = digest("s3://acme-ml-dev/a/").await;
    assert_eq!(first, digest("s3://acme-ml-dev/b/").await);
    lab.aws.with(|state| state.page.insert("ListObjectsV2".to_owned(), 1));
    assert_eq!(first, digest("s3://acme-ml-dev/a/").await);
    lab.aws.put(DEV_BUCKET, "a/1.csv", "3");
    assert_ne!(first, digest("s3://acme-ml-dev/a/").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_change_while_training_are_noticed() {
    for (uri, from) in [("s3://acme-ml-dev/data/", None), ("s3://acme-ml-dev/data/", Some("s3://acme-ml-dev/data/M"))] {
        let lab = Lab::new();
        lab.aws.put(DEV_BUCKET, "data/M", "1");
        lab.aws.next_job(Script::completed().model("w", "1"));
        let source = DataSource { version_from: from.map(str::to_owned), ..s3(uri) };
        let spec = lab.with_data(spec("train"), "train", source).await;
        lab.trainer().await.start(&spec).await.expect("it starts");
        lab.aws.put(DEV_BUCKET, "data/M", "2");
        let state = seen(&lab.trainer().await, &spec.name).await.state;
        assert!(matches!(state, TrainingState::Succeeded { data_moved: true, .. }), "{state:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_amazon_adds_later_are_no_error() {
    let lab = Lab::new();
    lab.aws.next_job(Script::forever());
    let spec = spec("train");
    let trainer = lab.trainer().await;
    trainer.start(&spec).await.expect("it starts");
    let overlay = json!({ "TrainingJobStatus": "Hibernating", "SecondaryStatus": "DeepSleep", "Mood": { "x": 1 } });
    lab.aws.with(|state| state.overlays.insert("DescribeTrainingJob".to_owned(), overlay));
    let watched = trainer.watch(&spec.name, 0, std::time::Duration::from_millis(50)).await.expect("it can be watched");
    let watched = watched.expect("it exists");
    assert_eq!((watched.training.state, watched.status.as_deref()), (TrainingState::Open, Some("deep sleep")));
}
