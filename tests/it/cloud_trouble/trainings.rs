//! Trainings that do not go as they should: what Amazon says, what it means, and whether it is tried again.

use super::MODEL;
use super::Team;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use crate::world::aws::PROD;
use crate::world::aws::REGION;
use crate::world::aws::Script;
use crate::world::cloud::session;
use aws_sdk_sagemaker::types::AlgorithmSpecification;
use aws_sdk_sagemaker::types::OutputDataConfig;
use aws_sdk_sagemaker::types::StoppingCondition;
use aws_sdk_sagemaker::types::TrainingInputMode;
use branchline::model::verdict::Verdict;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there() {
    let team = Team::new();
    team.world().with(|state| state.place(DEV, REGION).repositories.clear());
    team.push("dev")
        .await
        .ends(Verdict::Blocked, &["missing-image"])
        .says(&["there is no repository churn in ECR of account 111111111111, region eu-central-1", "-> "]);
    team.is_untouched();
    team.world().push_image(DEV, "churn", "2", "another tag");
    team.push("dev").await.ends(Verdict::Blocked, &["missing-image"]).says(&["repository churn has no tag 1", "-> "]);
    team.is_untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moved_is_another_training() {
    let team = Team::new();
    team.push("dev").await.ends(Verdict::Passed, &["registering"]);
    team.push("dev").await.ends(Verdict::Passed, &["already-registered"]);
    let moved = team.world().push_image(DEV, "churn", "1", "python and sh, a month later");
    team.push("dev").await.ends(Verdict::Passed, &["training-needed", "registering"]);
    assert_eq!((team.jobs().len(), team.versions(DEV)), (2, 2));
    let images: Vec<String> = team.world().with(|state| {
        let jobs = state.place(DEV, REGION).jobs.values();
        jobs.map(|job| job.request["AlgorithmSpecification"]["TrainingImage"].to_string()).collect()
    });
    assert_eq!(images.iter().filter(|image| image.contains(&format!("@{moved}"))).count(), 1, "{images:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_zero_is_named_and_asked_once() {
    let team = Team::new();
    team.world().fail_next("CreateTrainingJob", Fault::limit());
    team.push("dev").await.ends(Verdict::Errored, &["training-needed", "port-failed"]).says(&[
        "'ml.m5.large for training job usage' is 0 Instances",
        "-> Ask for more in Service Quotas, or use another instance type. Trying again does not help.",
    ]);
    assert_eq!((team.world().count("CreateTrainingJob"), team.jobs().len()), (1, 0));
    assert!(
        team.world().keys(DEV_BUCKET, "branchline/churn/stages/dev/open/").is_empty(),
        "nobody retries it automatically"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_somebody_took() {
    let team = Team::new();
    team.world().fail_next("CreateTrainingJob", Fault::limit());
    team.push("dev").await.ends(Verdict::Errored, &["port-failed"]);
    let prepared = team.world().keys(DEV_BUCKET, "branchline/churn/stages/dev/trainings/");
    let name = prepared.iter().find_map(|key| key.strip_suffix("/spec.json")?.rsplit('/').next()).expect("a name");
    let algorithm = AlgorithmSpecification::builder()
        .training_image(format!("{}:1", team.world().image(DEV, "churn")))
        .training_input_mode(TrainingInputMode::File);
    team.world().next_job(Script::forever());
    let theirs = session(team.world(), DEV, DEV_BUCKET).await.sagemaker.create_training_job();
    let made = theirs
        .training_job_name(name)
        .role_arn(format!("arn:aws:iam::{DEV}:role/x"))
        .output_data_config(OutputDataConfig::builder().s3_output_path("s3://acme-ml-dev/mine").build())
        .stopping_condition(StoppingCondition::builder().max_runtime_in_seconds(60).build())
        .algorithm_specification(algorithm.build());
    made.send().await.expect("somebody may do that");
    for _ in 0..2 {
        team.push("dev").await.ends(Verdict::Errored, &["port-failed"]).says(&[
            &format!("SageMaker has a training job {name} that is not ours: it writes its output elsewhere"),
            &format!("aws sagemaker delete-training-job --training-job-name {name}"),
        ]);
    }
    assert_eq!(team.world().job_status(DEV, name).as_deref(), Some("InProgress"), "it is left alone");
    assert_eq!((team.jobs().len(), team.versions(DEV), team.world().count("StopTrainingJob")), (1, 0, 0));
}

/// The cloud's twin of `fixtures/cases/lost-workers.yaml`.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_fails_is_tried_twice_more() {
    let team = Team::new();
    for _ in 0..2 {
        team.world().next_job(Script::failed("InternalServerError: We encountered an internal error."));
    }
    let run = team.push("dev").await;
    let run = run.ends(Verdict::Passed, &["training-needed", "training-retried", "training-retried", "registering"]);
    run.says(&["SageMaker failed, not the training: We encountered an internal error."]);
    assert_eq!((team.jobs().len(), team.versions(DEV)), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_always_fails_is_given_up() {
    let team = Team::new();
    team.world().jobs_go(|_| Some(Script::failed("InternalServerError: We encountered an internal error.")));
    team.push("dev").await.ends(Verdict::Failed, &["training-failed"]).says(&[
        "(attempt 3) failed, cause lost worker: SageMaker failed, not the training",
        "-> its attempts are used up; when that has passed: branchline train --model churn --again --reason",
    ]);
    assert_eq!((team.jobs().len(), team.versions(DEV)), (3, 0));
    team.push("dev").await.ends(Verdict::Failed, &["training-failed"]);
    assert_eq!(team.jobs().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_machine_to_be_had_is_tried_again() {
    let team = Team::new();
    team.world().next_job(Script::failed("CapacityError: Unable to provision requested ML compute capacity."));
    team.push("dev")
        .await
        .ends(Verdict::Passed, &["training-retried", "registering"])
        .says(&["no machine could be had: Unable to provision requested ML compute capacity"]);
    assert_eq!((team.jobs().len(), team.versions(DEV)), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_end_the_same_again_is_not_repeated() {
    for (script, words) in [
        (
            Script::stopped("MaxRuntimeExceeded"),
            [
                "cause time limit: `sh train.sh` ran longer than max_runtime (1h) and was ended",
                "-> give it longer with `max_runtime`",
            ],
        ),
        (
            Script::stopped("Stopped"),
            ["somebody stopped it in SageMaker", "branchline train --model churn --again --reason"],
        ),
        (
            Script::failed("AlgorithmError: , exit code: 1").log("ValueError: no column `age`"),
            ["cause code: ", "exited with code 1: ValueError: no column `age`"],
        ),
        (
            Script::failed("ClientError: No S3 objects found under S3 URL \"s3://acme-ml-dev/x\"."),
            ["cause configuration: SageMaker could not run it: No S3 objects found", "-> "],
        ),
    ] {
        let team = Team::new();
        team.world().next_job(script);
        for _ in 0..2 {
            team.push("dev").await.ends(Verdict::Failed, &["training-failed"]).says(&words);
        }
        assert_eq!((team.jobs().len(), team.versions(DEV)), (1, 0), "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_somebody_deletes_is_not_made_again() {
    let team = Team::new();
    team.world().next_job(Script::forever());
    // Longer ago than a job may be invisible.
    let gone = Fault::Meanwhile(Box::new(|state| {
        let names: Vec<String> = std::mem::take(&mut state.place(DEV, REGION).jobs).into_keys().collect();
        for name in names {
            let begun = br#"{"schema": 1, "at": "2026-01-01T00:00:00Z"}"#.to_vec();
            state.write_object(DEV_BUCKET, &format!("branchline/churn/stages/dev/trainings/{name}/begun.json"), begun);
        }
    }));
    team.world().on_nth("DescribeTrainingJob", 3, gone);
    for _ in 0..2 {
        team.push("dev").await.ends(Verdict::Failed, &["training-failed"]).says(&[
            "somebody deleted its training job in SageMaker",
            "branchline train --model churn --again --reason",
        ]);
    }
    assert_eq!((team.world().count("CreateTrainingJob"), team.versions(DEV)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_change_under_way_make_a_version_that_goes_nowhere() {
    let data = "data: { train: { uri: 's3://acme-ml-dev/data/' } }";
    let team = Team::with(&MODEL.replace("data: none", data));
    team.world().put(DEV_BUCKET, "data/a.csv", "1,2\n");
    let changed = Fault::Meanwhile(Box::new(|state| state.write_object(DEV_BUCKET, "data/b.csv", b"3,4\n".to_vec())));
    team.world().on_nth("DescribeTrainingJob", 1, changed);
    team.push("dev")
        .await
        .ends(Verdict::Passed, &["data-moved", "registering"])
        .says(&["the data changed while churn-dev-", "its version is not promotable by default"]);
    team.merged();
    let run = team.push("prod").await;
    run.ends(Verdict::Blocked, &["no-promotable-version"]).says(&[
        "0.1.0 (churn-dev v1) is not promotable: the data changed while it was trained",
        "-> to promote it all the same: branchline promote --model churn --from dev --to prod --version 1 --reason",
    ]);
    assert_eq!((team.jobs().len(), team.versions(DEV), team.versions(PROD)), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn words_and_fields_that_amazon_adds_later_change_nothing() {
    let team = Team::new();
    team.world().with(|state| {
        for operation in [
            "CreateTrainingJob",
            "DescribeTrainingJob",
            "ListTags",
            "CreateModelPackageGroup",
            "DescribeModelPackageGroup",
            "CreateModelPackage",
            "DescribeModelPackage",
            "ListModelPackages",
            "UpdateModelPackage",
            "DescribeImages",
            "GetLogEvents",
        ] {
            let new = json!({ "Mood": { "Depth": [1, null, "blue"] }, "ModelLifeCycleStage": "Nirvana" });
            state.overlays.insert(operation.to_owned(), new);
        }
        let job =
            json!({ "SecondaryStatus": "DeepSleep", "Mood": 1, "TrainingPlanArn": "arn:aws:x", "BillableTokens": 7 });
        state.overlays.insert("DescribeTrainingJob".to_owned(), job);
    });
    team.push("dev").await.ends(Verdict::Passed, &["registering"]);
    team.merged();
    team.push("prod").await.ends(Verdict::Passed, &["promoting"]);
    assert_eq!((team.jobs().len(), team.versions(DEV), team.versions(PROD)), (1, 1, 1));
}
