//! Answers that are lost, requests that are throttled, and processes that die: one job, one end, whatever happens.

use super::Lab;
use super::ended;
use super::s3;
use super::spec;
use crate::world::aws::Crash;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use crate::world::aws::PROD;
use crate::world::aws::PROD_BUCKET;
use crate::world::aws::REGION;
use crate::world::aws::Script;
use branchline::adapters::aws::Accounts;
use branchline::model::name::StageName;
use branchline::model::name::TrainingName;
use branchline::model::training::StopCause;
use branchline::model::training::TrainingState;
use branchline::ports::StartedTraining;
use branchline::ports::Trainer as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_no_second_job() {
    for fault in [Fault::LostAnswer, Fault::HalfAnswer, Fault::Dropped, Fault::Status500Html] {
        let lab = Lab::new();
        lab.aws.next_job(Script::completed().model("w", "1"));
        lab.aws.fail_next("CreateTrainingJob", fault);
        let spec = spec("train");
        let trainer = lab.trainer().await;
        assert_eq!(trainer.start(&spec).await.expect("it starts"), StartedTraining::Fresh);
        let training = ended(&trainer, &spec.name).await;
        assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{:?}", training.state);
        assert_eq!((lab.jobs(), lab.aws.faults_left()), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_throttling_passes() {
    let lab = Lab::new();
    lab.aws.next_job(Script::completed().model("w", "1"));
    for operation in ["CreateTrainingJob", "DescribeTrainingJob", "PutObject", "GetObject", "CopyObject"] {
        lab.aws.throttle(operation, 20);
    }
    let training = lab.train(&spec("train")).await;
    assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{:?}", training.state);
    assert_eq!((lab.jobs(), lab.aws.faults_left()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_costs_few_requests() {
    let lab = Lab::new();
    lab.aws.next_job(Script::completed().model("w", "1"));
    let spec = spec("train");
    let trainer = lab.trainer().await;
    trainer.start(&spec).await.expect("it starts");
    assert_eq!(lab.requests_to_sagemaker(), 1);
    ended(&trainer, &spec.name).await;
    assert_eq!(lab.requests_to_sagemaker(), 1 + lab.aws.count("DescribeTrainingJob"));
    assert_eq!(lab.aws.count("ListTrainingJobs"), 0);
    assert_eq!(lab.aws.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_and_data_are_uploaded_once() {
    let lab = Lab::new();
    std::fs::write(lab.path().join("raw.csv"), "1\n").expect("it can be written");
    lab.aws.next_job(Script::forever());
    lab.aws.next_job(Script::forever());
    let one = lab.with_data(spec("train one"), "raw", s3("raw.csv")).await;
    let two = lab.with_data(spec("train two"), "raw", s3("raw.csv")).await;
    let trainer = lab.trainer().await;
    trainer.start(&one).await.expect("it starts");
    let (sources, data) = (
        lab.aws.keys(DEV_BUCKET, "branchline/churn/stages/dev/sources/"),
        lab.aws.keys(DEV_BUCKET, "branchline/churn/stages/dev/data/"),
    );
    assert_eq!((sources.len(), data.len()), (2, 1), "{sources:?} {data:?}");
    lab.aws.reset_requests();
    trainer.start(&two).await.expect("it starts");
    assert_eq!(lab.aws.keys(DEV_BUCKET, "branchline/churn/stages/dev/sources/"), sources);
    let again = lab.aws.requests().into_iter().filter(|seen| {
        seen.operation == "PutObject" && (seen.subject.contains("/sources/") || seen.subject.contains("/data/"))
    });
    assert_eq!(again.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_begin_one_job() {
    let lab = Lab::new();
    lab.aws.jobs_go(|_| Some(Script::completed().step("Training", 2).model("w", "1")));
    let spec = spec("train");
    let (one, two) = (lab.trainer().await, lab.trainer().await);
    let (first, second) = tokio::join!(one.start(&spec), two.start(&spec));
    let started = [first.expect("it starts"), second.expect("it starts")];
    assert!(started.contains(&StartedTraining::Fresh), "{started:?}");
    let (first, second) = tokio::join!(ended(&one, &spec.name), ended(&two, &spec.name));
    assert_eq!((first, lab.jobs()), (second, 1));
}

/// Dies at every request that changes something, before and after it came to effect; the next run finishes.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_leaves_what_the_next_one_finishes() {
    let whole = Lab::new();
    whole.aws.next_job(Script::completed().model("w", "1"));
    let training = whole.train(&spec("train")).await;
    let TrainingState::Succeeded { artifacts, .. } = &training.state else { panic!("{:?}", training.state) };
    let steps = whole.aws.mutations();
    assert!(steps >= 8, "{steps}");
    for step in 1..=steps {
        for crash in [Crash::Before, Crash::After] {
            let lab = Lab::new();
            lab.aws.jobs_go(|_| Some(Script::completed().model("w", "1")));
            lab.aws.crash_at(step, crash);
            let spec = spec("train");
            let dying = lab.trainer().await;
            let life = async {
                let _ = dying.start(&spec).await;
                ended(&dying, &spec.name).await
            };
            tokio::select! {
                _ = life => panic!("it did not die at {step}"),
                () = lab.aws.crashed() => {}
            }
            let next = lab.trainer().await;
            next.start(&spec).await.unwrap_or_else(|error| panic!("{step} {crash:?}: {}", error.chain()));
            let done = ended(&next, &spec.name).await;
            let TrainingState::Succeeded { artifacts: found, .. } = &done.state else {
                panic!("{step} {crash:?}: {:?}", done.state)
            };
            let digest = |artifacts: &[branchline::model::artifact::Artifact]| artifacts[0].digest.clone();
            assert_eq!((digest(found), lab.jobs()), (digest(artifacts), 1), "{step} {crash:?}");
            // The mark of an open training may outlive a crash between the last two steps, until somebody lists.
            assert!(next.open(&super::project()).await.expect("it can be listed").is_empty());
            assert!(lab.open_marks().is_empty(), "{step} {crash:?}");
            let since = done.ended_at.expect("it ended");
            let found = next.ended_since(&super::project(), since).await.expect("it can be listed");
            assert_eq!(found.len(), 1, "{step} {crash:?}");
        }
    }
}

/// The answer of every single request is lost once, or the request itself.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_needed_twice() {
    let whole = Lab::new();
    whole.aws.next_job(Script::completed().model("w", "1"));
    whole.train(&spec("train")).await;
    for nth in 1..=whole.aws.requests().len() {
        for fault in [Fault::LostAnswer, Fault::Dropped] {
            let lab = Lab::new();
            lab.aws.jobs_go(|_| Some(Script::completed().model("w", "1")));
            lab.aws.on_nth("*", nth, fault);
            let training = lab.train(&spec("train")).await;
            assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{nth}: {:?}", training.state);
            assert_eq!(lab.jobs(), 1, "{nth}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_finished_by_whoever_comes_next() {
    for step in 1..=4 {
        for crash in [Crash::Before, Crash::After] {
            let lab = Lab::new();
            lab.aws.next_job(Script::forever());
            let spec = spec("train");
            let trainer = lab.trainer().await;
            trainer.start(&spec).await.expect("it starts");
            lab.aws.crash_at(step, crash);
            let dying = lab.trainer().await;
            tokio::select! {
                _ = async {
                    let _ = dying.stop(&spec.name, StopCause::NewerPush).await;
                    let _ = ended(&dying, &spec.name).await;
                } => {}
                () = lab.aws.crashed() => {}
            }
            let next = lab.trainer().await;
            next.stop(&spec.name, StopCause::Cancelled).await.expect("it can be stopped");
            let state = ended(&next, &spec.name).await.state;
            let TrainingState::Stopped { cause } = state else { panic!("{step} {crash:?}: {state:?}") };
            let first_came = step > 1 || crash == Crash::After;
            let expected = if first_came { StopCause::NewerPush } else { StopCause::Cancelled };
            assert_eq!(cause, expected, "{step} {crash:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_began_can_be_stopped() {
    let lab = Lab::new();
    lab.aws.fail_next("CreateTrainingJob", Fault::limit());
    let spec = spec("train");
    let trainer = lab.trainer().await;
    trainer.start(&spec).await.expect_err("there is no room");
    trainer.stop(&spec.name, StopCause::NewerPush).await.expect("nothing to stop");
    let later = lab.trainer().await;
    assert_eq!(super::seen(&later, &spec.name).await.state, TrainingState::Stopped { cause: StopCause::NewerPush });
    assert_eq!(later.start(&spec).await.expect("it has ended"), StartedTraining::Found);
    assert_eq!(lab.jobs(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_trains_in_its_own_account_with_its_own_key() {
    let lab = Lab::new();
    lab.aws.next_job(Script::completed().model("w", "1"));
    let accounts = async || {
        let dev = lab.session().await;
        let prod = lab.session_of(PROD, PROD_BUCKET, Some("alias/models")).await;
        Accounts::one(dev).with_stage(StageName::parse("prod").expect("a name"), &prod, [])
    };
    let mut spec = spec("train");
    spec.origin.stage = StageName::parse("prod").expect("a name");
    spec.name = TrainingName::reported(&spec.name.as_str().replace("-dev-", "-prod-"));
    let trainer = lab.trainer_in(accounts().await, &["dev", "prod"]);
    trainer.start(&spec).await.expect("it starts");
    let training = ended(&trainer, &spec.name).await;
    let TrainingState::Succeeded { artifacts, .. } = &training.state else { panic!("{:?}", training.state) };
    assert!(artifacts[0].location.starts_with(&format!("s3://{PROD_BUCKET}/branchline/churn/stages/prod/trainings/")));
    let output = lab.aws.with(|state| {
        state.place(PROD, REGION).jobs[spec.name.as_str()].request["OutputDataConfig"]["KmsKeyId"].clone()
    });
    assert_eq!(output, "alias/models");
    let later = lab.trainer_in(accounts().await, &["dev", "prod"]);
    assert_eq!(super::seen(&later, &spec.name).await, training);
    assert!(lab.aws.keys(DEV_BUCKET, "").is_empty());
    // Everything that we write is encrypted with the key of the account.
    let puts = lab.aws.requests().into_iter().filter(|seen| seen.operation == "PutObject");
    let keys: Vec<_> =
        puts.map(|seen| seen.headers.get("x-amz-server-side-encryption-aws-kms-key-id").cloned()).collect();
    assert!(!keys.is_empty() && keys.iter().all(|key| key.as_deref() == Some("alias/models")), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_trains_by_itself_gets_its_data_and_nothing_else() {
    let lab = Lab::new();
    lab.aws.put(DEV_BUCKET, "data/a.csv", "1");
    lab.aws.next_job(Script::completed().model("w", "1"));
    let mut spec = lab.with_data(spec("-"), "train", s3("s3://acme-ml-dev/data/")).await;
    spec.settings.command = None;
    let training = lab.train(&spec).await;
    assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{:?}", training.state);
    let request = lab.aws.with(|state| state.place(DEV, REGION).jobs[spec.name.as_str()].request.clone());
    let names: Vec<_> =
        request["InputDataConfig"].as_array().into_iter().flatten().map(|one| &one["ChannelName"]).collect();
    assert_eq!(names, ["train"]);
    assert!(request["AlgorithmSpecification"]["ContainerEntrypoint"].is_null());
    assert!(lab.aws.keys(DEV_BUCKET, "branchline/churn/stages/dev/sources/").is_empty());
    assert_eq!(lab.aws.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_trainings_that_ended_cost_nothing() {
    let lab = Lab::new();
    lab.aws.next_job(Script::completed().model("w", "1"));
    let training = lab.train(&spec("train")).await;
    for number in 0..1000 {
        let time = format!("{:014}", 99_000_000_000_000_u64 + number);
        lab.aws.put(DEV_BUCKET, &format!("branchline/churn/stages/dev/ended/{time}-gone-{number}"), "");
    }
    lab.aws.reset_requests();
    let trainer = lab.trainer().await;
    let since = training.ended_at.expect("it ended");
    let found = trainer.ended_since(&super::project(), since).await.expect("it can be listed");
    assert_eq!(found, [training]);
    assert!(trainer.open(&super::project()).await.expect("it can be listed").is_empty());
    // Only what counts is compared with its job.
    assert_eq!((lab.requests_to_sagemaker(), lab.aws.count("DescribeTrainingJob")), (1, 1));
    assert!(lab.aws.requests().len() < 12, "{}", lab.aws.requests().len());
}
