//! Stories about taking away what ended trainings left in the bucket.

use super::Lab;
use super::ended;
use super::project;
use super::seen;
use super::spec;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use crate::world::aws::Script;
use branchline::facts::holdings::HeldTraining;
use branchline::model::training::StopCause;
use branchline::model::training::TrainingState;
use branchline::ports::StartedTraining;
use branchline::ports::Trainer;
use branchline::ports::TrainingSpec;

const GONE: TrainingState = TrainingState::Stopped { cause: StopCause::Pruned };

fn folder(lab: &Lab, spec: &TrainingSpec) -> Vec<String> {
    let prefix = lab.key(spec, "");
    lab.aws.keys(DEV_BUCKET, &prefix).into_iter().map(|key| key.trim_start_matches(&prefix).to_owned()).collect()
}

async fn held(trainer: &impl Trainer) -> Vec<HeldTraining> {
    trainer.held(&project()).await.expect("it can be listed").known
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_goes_and_its_name_stays_taken() {
    let lab = Lab::new();
    lab.aws.with(|state| state.page.insert("ListObjectsV2".to_owned(), 2));
    lab.aws.jobs_go(|_| Some(Script::completed().model("w", "1")));
    let (one, two) = (spec("train"), spec("train two"));
    let training = lab.train(&one).await;
    lab.train(&two).await;
    let trainer = lab.trainer().await;
    let mut listed = held(&trainer).await;
    listed.retain(|held| held.name == one.name);
    assert_eq!(listed.len(), 1);
    let listed = &listed[0];
    assert!(!listed.open && listed.bytes > 0 && listed.ended_at == training.ended_at, "{listed:?}");
    assert_eq!((&listed.model, &listed.fingerprint), (&one.origin.model, &one.origin.fingerprint));

    let (others, shared) = (folder(&lab, &two), lab.aws.keys(DEV_BUCKET, "branchline/churn/stages/dev/sources/"));
    assert!(trainer.remove(&one.name).await.expect("it can be taken away"));
    assert_eq!(folder(&lab, &one), ["end.json", "spec.json"]);
    assert_eq!(
        (folder(&lab, &two), lab.aws.keys(DEV_BUCKET, "branchline/churn/stages/dev/sources/")),
        (others, shared)
    );
    assert_eq!(lab.aws.keys(DEV_BUCKET, "branchline/churn/stages/dev/ended/").len(), 1);
    let names: Vec<_> = held(&trainer).await.into_iter().map(|held| held.name).collect();
    assert_eq!(names, std::slice::from_ref(&two.name));
    assert!(!trainer.remove(&one.name).await.expect("nothing is left"));
    assert!(!trainer.remove(&spec("other").name).await.expect("there is none"));

    // It is known for what it was, and its job is not taken for a result.
    let later = lab.trainer().await;
    let now = seen(&later, &one.name).await;
    assert_eq!((now.state, now.ended_at, now.bill), (GONE, training.ended_at, training.bill));
    assert_eq!(later.start(&one).await.expect("it is known"), StartedTraining::Found);
    let since = training.ended_at.expect("it ended");
    // Of what was removed nothing can come any more.
    let ended = later.ended_since(&project(), since).await.expect("it can be listed");
    assert_eq!(ended.into_iter().map(|training| training.name).collect::<Vec<_>>(), [two.name]);
    assert_eq!(lab.jobs(), 2);
    assert_eq!(lab.aws.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_or_unknown_stays() {
    let lab = Lab::new();
    lab.aws.next_job(Script::forever());
    let spec = spec("train");
    let trainer = lab.trainer().await;
    trainer.start(&spec).await.expect("it starts");
    for key in ["notes.txt", "somebody-s-job/output/model.tar.gz"] {
        lab.aws.put(DEV_BUCKET, &format!("branchline/churn/stages/dev/trainings/{key}"), b"x".to_vec());
    }
    let before = lab.aws.keys(DEV_BUCKET, "");
    let found = trainer.held(&project()).await.expect("it can be listed");
    assert!(found.known.len() == 1 && found.known[0].open, "{found:?}");
    let place = "s3://acme-ml-dev/branchline/churn/stages/dev/trainings";
    assert_eq!(found.unknown, [format!("{place}/notes.txt"), format!("{place}/somebody-s-job")]);
    let refused = trainer.remove(&spec.name).await.expect_err("it is open");
    assert!(refused.chain().contains("it is still open"), "{}", refused.chain());
    assert_eq!(lab.aws.keys(DEV_BUCKET, ""), before);
    lab.aws.deny(DEV, "s3:ListBucket");
    let found = lab.trainer().await.held(&project()).await.expect("what may not be listed stays");
    assert!(found.known.is_empty() && found.unknown == [format!("{place}/ (may not be listed)")], "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_was_interrupted_is_finished_by_the_next() {
    for nth in 1..=4 {
        let lab = Lab::new();
        lab.aws.next_job(Script::completed().model("w", "1"));
        let spec = spec("train");
        lab.train(&spec).await;
        lab.aws.on_nth("DeleteObject", nth, Fault::denied());
        let trainer = lab.trainer().await;
        trainer.remove(&spec.name).await.expect_err("it was interrupted");
        // Whatever is left of it, nobody finds a training that says it has a model.
        assert_eq!(seen(&lab.trainer().await, &spec.name).await.state, GONE, "{nth}");
        assert_eq!(held(&lab.trainer().await).await.len(), 1, "{nth}");
        assert!(lab.trainer().await.remove(&spec.name).await.expect("it can be finished"), "{nth}");
        assert_eq!(folder(&lab, &spec), ["end.json", "spec.json"], "{nth}");
        assert!(held(&lab.trainer().await).await.is_empty(), "{nth}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_takes_nothing_twice() {
    for operation in ["PutObject", "DeleteObject", "GetObject", "ListObjectsV2"] {
        let lab = Lab::new();
        lab.aws.next_job(Script::completed().model("w", "1"));
        let spec = spec("train");
        lab.train(&spec).await;
        lab.aws.fail_next(operation, Fault::LostAnswer);
        let trainer = lab.trainer().await;
        assert!(trainer.remove(&spec.name).await.expect("it can be taken away"), "{operation}");
        assert_eq!(ended(&trainer, &spec.name).await.state, GONE, "{operation}");
        assert_eq!(lab.aws.faults_left(), 0, "{operation}");
    }
}
