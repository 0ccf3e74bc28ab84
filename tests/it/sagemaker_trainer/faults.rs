//! Answers that are lost, requests that are throttled, and processes that die: one job, one end, whatever happens.

use super::Lab;
use super::ended;
use super::s3;
use super::spec;
use crate::world::aws::Crash;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use crate::world::aws::Script;
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
    let (sources, data) =
        (lab.aws.keys(DEV_BUCKET, "branchline/churn/sources/"), lab.aws.keys(DEV_BUCKET, "branchline/churn/data/"));
    assert_eq!((sources.len(), data.len()), (2, 2), "{sources:?} {data:?}");
    lab.aws.reset_requests();
    trainer.start(&two).await.expect("it starts");
    assert_eq!(lab.aws.keys(DEV_BUCKET, "branchline/churn/sources/"), sources);
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
            let found = next.succeeded_since(&super::project(), since).await.expect("it can be listed");
            assert_eq!(found.len(), 1, "{step} {crash:?}");
        }
    }
}
