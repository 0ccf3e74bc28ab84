//! How trainings end, and what is known of them afterwards.

use super::Lab;
use super::add_data;
use super::ended;
use super::failure;
use super::followed;
use super::metric;
use super::project;
use super::s3;
use super::seen;
use super::spec;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::REGION;
use crate::world::aws::Script;
use branchline::adapters::aws::Accounts;
use branchline::adapters::system;
use branchline::model::artifact::ObjectDigest;
use branchline::model::cloud::Entrypoint;
use branchline::model::cloud::HyperparameterFormat;
use branchline::model::cloud::Vpc;
use branchline::model::dataset::Dataset;
use branchline::model::dataset::DatasetKind;
use branchline::model::digest::Sha256Digest;
use branchline::model::settings::DataSource;
use branchline::model::training::Cause;
use branchline::model::training::StopCause;
use branchline::model::training::TrainingState;
use branchline::ports::Trainer as _;
use std::fs;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_trains_on_sagemaker_as_it_does_on_a_laptop() {
    let lab = Lab::new();
    lab.aws.put("acme-ml-dev", "data/train/a.csv", "1,2\n");
    fs::create_dir(lab.path().join("git-data")).expect("it can be made");
    fs::write(lab.path().join("git-data/labels"), "yes\n").expect("it can be written");
    fs::create_dir(lab.path().join("raw")).expect("it can be made");
    fs::write(lab.path().join("raw/x.txt"), "raw\n").expect("it can be written");
    let command = "cat hello.txt && cat \"$SM_CHANNEL_TRAIN/a.csv\" \"$SM_CHANNEL_LABELS/tracked.csv\" \"$SM_CHANNEL_RAW/x.txt\" \
         && printf '%s %s\\n' \"$SM_HP_QUOTE\" \"$SM_CURRENT_HOST\" && echo weights > \"$SM_MODEL_DIR/w\" \
         && printf '{\"auc\": 0.87}' > \"$SM_OUTPUT_DATA_DIR/metrics.json\" \
         && printf '%s' \"$SM_TRAINING_ENV\" > \"$SM_OUTPUT_DATA_DIR/env.json\" && echo loss=0.25";
    let mut spec = spec(command);
    spec.settings.hyperparameters.insert("quote".to_owned(), "it's; `id`".to_owned());
    spec.settings.metrics.insert(metric("loss"), "loss=([0-9.]+)".to_owned());
    spec.required_metrics = vec![metric("auc"), metric("loss")];
    let labels = Dataset { uri: "labels.csv".to_owned(), kind: DatasetKind::Git, digest: "git:0123".to_owned() };
    add_data(&mut spec, "labels", s3("labels.csv"), labels);
    let spec = lab.with_data(spec, "train", s3("s3://acme-ml-dev/data/train/")).await;
    let spec =
        lab.with_data(spec, "raw", DataSource { uri: "raw".to_owned(), version: None, version_from: None }).await;

    let trainer = lab.trainer().await;
    trainer.start(&spec).await.expect("it starts");
    let (training, lines, _) = followed(&trainer, &spec.name).await;
    let TrainingState::Succeeded { metrics, artifacts, data_moved, .. } = &training.state else {
        panic!("{:?}", training.state)
    };
    assert_eq!((metrics[&metric("auc")], metrics[&metric("loss")], *data_moved), (0.87, 0.25, false));
    let printed = ["branchline: submodule libs/x was left out", "hello", "1,2", "yes", "raw", "it's; `id` algo-1"];
    assert_eq!(lines, [&printed[..], &["loss=0.25"]].concat());
    let artifact = &artifacts[0];
    let kept = lab.aws.object(DEV_BUCKET, &lab.key(&spec, "model.tar.gz")).expect("it is kept");
    assert_eq!(artifact.digest, ObjectDigest::Sha256(Sha256Digest::of(&kept)));
    assert_eq!(artifact.location, format!("s3://{DEV_BUCKET}/{}", lab.key(&spec, "model.tar.gz")));
    assert_eq!(artifact.size, kept.len() as u64);
    let bill = training.bill.as_ref().expect("SageMaker says so");
    assert_eq!((bill.instance.as_str(), bill.count), ("ml.m5.large", 1));
    assert!(training.url.as_ref().is_some_and(|url| url.ends_with(spec.name.as_str())));
    assert_eq!(lab.aws.violations(), Vec::<String>::new());

    // From here on one look at its job is all that is asked of SageMaker, and nothing for one that never was.
    lab.aws.reset_requests();
    let later = lab.trainer().await;
    assert_eq!(seen(&later, &spec.name).await, training);
    assert!(later.find(&[super::spec("other").name]).await.expect("it can be asked").is_empty());
    assert!(later.open(&project()).await.expect("it can be listed").is_empty());
    let since = training.ended_at.expect("it ended");
    let found = later.ended_since(&project(), since).await.expect("it can be listed");
    assert_eq!(found, [training]);
    let none = later.ended_since(&project(), system::now() + Duration::from_secs(60)).await;
    assert!(none.expect("it can be listed").is_empty());
    assert_eq!((lab.requests_to_sagemaker(), lab.open_marks()), (1, Vec::new()));
    assert!(later.log_tail(&spec.name, 1).await.expect("it can be read") == ["loss=0.25"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_is_at_is_told() {
    let lab = Lab::new();
    let script = Script::completed().step("LaunchingMLInstances", 2).step("Downloading", 1).step("Interrupted", 1);
    lab.aws.next_job(script.step("Training", 1).log("epoch 1").model("w", "1"));
    let spec = spec("train");
    let trainer = lab.trainer().await;
    trainer.start(&spec).await.expect("it starts");
    let (training, lines, statuses) = followed(&trainer, &spec.name).await;
    assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{:?}", training.state);
    assert_eq!(lines, ["epoch 1"]);
    let expected = ["launching machines", "downloading data", "interrupted, waiting for a spot machine", "training"];
    assert_eq!(statuses, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_end_has_its_cause() {
    for (script, cause, text) in [
        (Script::failed("AlgorithmError: , exit code: 3"), Cause::Code, "`train` exited with code 3: boom"),
        (
            Script::failed("CapacityError: Unable to provision requested ML compute capacity."),
            Cause::Capacity,
            "no machine could be had: Unable to provision requested ML compute capacity.",
        ),
        (Script::failed("InternalServerError: oh"), Cause::LostWorker, "SageMaker failed, not the training: oh"),
        (
            Script::stopped("MaxRuntimeExceeded"),
            Cause::TimeLimit,
            "`train` ran longer than max_runtime (1h) and was ended",
        ),
        (Script::stopped("MaxWaitTimeExceeded"), Cause::Capacity, "no spot machine came within instance.max_wait"),
        (
            Script::stopped("Stopped").model("w", "half"),
            Cause::StoppedElsewhere,
            "somebody stopped it in SageMaker: neither a run nor a command of ours did",
        ),
        (Script::completed(), Cause::Code, "wrote no model: nothing in $SM_MODEL_DIR"),
        (
            Script::completed().model("w", "1").data("metrics.json", "{\"auc\": NaN}"),
            Cause::Code,
            "metric `auc` is NaN, not a finite number",
        ),
        (
            Script::completed().model("w", "1").data("metrics.json", "{\"acc\": 1}"),
            Cause::Code,
            "metric `auc` is missing: the training run wrote acc",
        ),
    ] {
        let lab = Lab::new();
        lab.aws.next_job(script.log("boom"));
        let mut spec = spec("train");
        spec.required_metrics = vec![metric("auc")];
        let training = lab.train(&spec).await;
        assert_eq!(failure(&training), (cause, text.to_owned(), vec!["boom".to_owned()]));
        assert!(lab.open_marks().is_empty());
        assert_eq!(seen(&lab.trainer().await, &spec.name).await, training);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_says_what_the_laptop_says() {
    let lab = Lab::new();
    let spec = spec("echo 'ModuleNotFoundError: No module named \"x\"' >&2; exit 3");
    let (cause, message, _) = failure(&lab.train(&spec).await);
    assert_eq!(cause, Cause::Code);
    assert!(message.contains("exited with code 3: ModuleNotFoundError"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_stop_is_stopped_and_what_ended_keeps_its_end() {
    let lab = Lab::new();
    lab.aws.next_job(Script::forever());
    let spec = spec("train");
    let trainer = lab.trainer().await;
    trainer.start(&spec).await.expect("it starts");
    trainer.stop(&spec.name, StopCause::NewerPush).await.expect("it can be stopped");
    let stopped = TrainingState::Stopped { cause: StopCause::NewerPush };
    assert_eq!(seen(&lab.trainer().await, &spec.name).await.state, stopped);
    trainer.stop(&spec.name, StopCause::Cancelled).await.expect("it is stopped already");
    assert_eq!(seen(&trainer, &spec.name).await.state, stopped);
    assert!(lab.open_marks().is_empty());

    lab.aws.next_job(Script::completed().model("w", "1"));
    let done = super::spec("done");
    let training = lab.train(&done).await;
    trainer.stop(&done.name, StopCause::Cancelled).await.expect("nothing to do");
    assert_eq!(seen(&lab.trainer().await, &done.name).await, training);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_stopped_hears_of_it() {
    let lab = Lab::new();
    let spec = spec("trap 'echo heard; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    let trainer = lab.trainer().await;
    trainer.start(&spec).await.expect("it starts");
    while trainer.log_tail(&spec.name, 1).await.expect("it can be read") != ["ready"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    trainer.stop(&spec.name, StopCause::BranchDeleted).await.expect("it can be stopped");
    lab.aws.wait_for_job(DEV, spec.name.as_str());
    assert_eq!(trainer.log_tail(&spec.name, 1).await.expect("it can be read"), ["heard"]);
    let stopped = TrainingState::Stopped { cause: StopCause::BranchDeleted };
    assert_eq!(seen(&lab.trainer().await, &spec.name).await.state, stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_outlives_the_run_that_began_it() {
    let lab = Lab::new();
    lab.aws.next_job(Script::completed().step("Training", 3).model("w", "1"));
    let spec = spec("train");
    lab.trainer().await.start(&spec).await.expect("it starts");
    let later = lab.trainer().await;
    let open = later.open(&project()).await.expect("it can be listed");
    assert_eq!(open.iter().map(|training| &training.origin).collect::<Vec<_>>(), [&spec.origin]);
    let (one, two) = (lab.trainer().await, lab.trainer().await);
    let (first, second) = tokio::join!(ended(&one, &spec.name), ended(&two, &spec.name));
    assert_eq!(first, second);
    assert!(matches!(first.state, TrainingState::Succeeded { .. }), "{:?}", first.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_somebody_deleted_failed() {
    let lab = Lab::new();
    lab.aws.next_job(Script::forever());
    let spec = spec("train");
    let trainer = lab.trainer().await;
    trainer.start(&spec).await.expect("it starts");
    lab.aws.with(|state| state.place(DEV, REGION).jobs.remove(spec.name.as_str()));
    // It may only be invisible yet.
    assert!(seen(&trainer, &spec.name).await.is_open());
    lab.aws.put(DEV_BUCKET, &lab.key(&spec, "begun.json"), r#"{"schema": 1, "at": "2026-01-01T00:00:00Z"}"#);
    let (cause, message, _) = failure(&seen(&trainer, &spec.name).await);
    assert_eq!((cause, message.as_str()), (Cause::StoppedElsewhere, "somebody deleted its training job in SageMaker"));
    assert!(lab.open_marks().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_sees_it_open_until_somebody_writes_its_end_down() {
    let lab = Lab::new();
    lab.aws.next_job(Script::completed().model("w", "1"));
    let spec = spec("train");
    lab.trainer().await.start(&spec).await.expect("it starts");
    lab.aws.deny(DEV, "s3:PutObject");
    let reader = lab.trainer().await;
    assert_eq!(seen(&reader, &spec.name).await.state, TrainingState::Open);
    // Who waits for it would wait for ever.
    let error = reader.watch(&spec.name, 0, Duration::ZERO).await.expect_err("it cannot be finished");
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("Allow s3:PutObject")), "{error:?}");
    lab.aws.with(|state| state.denied.clear());
    assert!(matches!(seen(&lab.trainer().await, &spec.name).await.state, TrainingState::Succeeded { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_can_be_set_is_within_amazon_s_model() {
    let lab = Lab::new();
    lab.aws.next_job(Script::completed().model("w", "1").log("loss=nan").log("loss=0.5"));
    let mut spec = spec("python3 train.py");
    let settings = &mut spec.settings;
    settings.environment.insert("MODE".to_owned(), "fast".to_owned());
    settings.hyperparameters.insert("seed".to_owned(), "007".to_owned());
    settings.metrics.insert(metric("loss"), "loss=([0-9.]+)".to_owned());
    let cloud = &mut settings.cloud;
    let machines = cloud.instance.as_mut().expect("machines");
    (machines.spot, machines.count) = (true, 2);
    cloud.entrypoint = Entrypoint::Toolkit;
    cloud.hyperparameter_format = HyperparameterFormat::Json;
    cloud.input_mode = Some("FastFile".to_owned());
    cloud.volume_kms_key = Some("alias/volumes".to_owned());
    cloud.vpc = Some(Vpc { subnets: vec!["subnet-1a".to_owned()], security_groups: vec!["sg-1a".to_owned()] });
    (cloud.network_isolation, cloud.encrypt_between, cloud.retries) = (true, true, Some(30));
    cloud.tags.insert("team".to_owned(), "growth é".to_owned());
    spec.origin.image_digest = Some(format!("sha256:{}", "b".repeat(64)));
    spec.origin.pull_request = Some(7);
    lab.aws.put(DEV_BUCKET, "data/a.csv", "1");
    let spec = lab.with_data(spec, "train", s3("s3://acme-ml-dev/data/")).await;
    let training = lab.train(&spec).await;
    let TrainingState::Succeeded { metrics, .. } = &training.state else { panic!("{:?}", training.state) };
    assert_eq!(metrics[&metric("loss")], 0.5);
    assert_eq!(lab.aws.violations(), Vec::<String>::new());
    let tags = lab.aws.with(|state| state.place(DEV, REGION).jobs[spec.name.as_str()].tags.clone());
    let ours = ["project", "repository", "commit", "branch", "stage", "model", "attempt", "fingerprint", "settings"];
    assert!(ours.iter().all(|key| tags.contains_key(&format!("branchline:{key}"))), "{tags:?}");
    assert_eq!((tags["branchline:pull-request"].as_str(), tags["team"].as_str()), ("7", "growth é"));
    assert_eq!(training.bill.expect("SageMaker says so").count, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_often_does_not_ask_amazon_often() {
    let lab = Lab::new();
    lab.aws.next_job(Script::forever());
    let spec = spec("train");
    let accounts = Accounts::one(lab.session().await);
    let trainer = lab.trainer_at(accounts, &["dev"], Duration::from_secs(30));
    trainer.start(&spec).await.expect("it starts");
    for _ in 0..20 {
        let seen = trainer.watch(&spec.name, 0, Duration::from_millis(5)).await.expect("it can be watched");
        assert_eq!(seen.expect("it exists").status.as_deref(), Some("training"));
    }
    assert_eq!(lab.aws.count("DescribeTrainingJob"), 1);
}
