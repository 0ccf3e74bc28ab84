//! What goes wrong on the way.

use super::jobs::job;
use super::session;
use crate::world::aws::Crash;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use crate::world::aws::Script;
use crate::world::aws::World;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sagemaker::error::ProvideErrorMetadata;
use aws_sdk_sagemaker::error::SdkError;
use serde_json::json;

#[tokio::test]
async fn an_answer_is_lost_after_the_deed() {
    let world = World::start();
    let client = session(&world, DEV).await.sagemaker;
    world.next_job(Script::forever());
    world.fail_next("CreateTrainingJob", Fault::LostAnswer);
    let lost = job(&client, "j", "true").send().await.expect_err("no answer");
    assert!(matches!(lost, SdkError::DispatchFailure(_)), "{lost:?}");
    assert_eq!(world.job_status(DEV, "j").as_deref(), Some("InProgress"));
    assert_eq!(world.count("CreateTrainingJob"), 1);
    world.fail_next("DescribeTrainingJob", Fault::HalfAnswer);
    let half = client.describe_training_job().training_job_name("j").send().await.expect_err("half an answer");
    assert!(!matches!(half, SdkError::ServiceError(_)), "{half:?}");
    assert_eq!(world.faults_left(), 0);
}

#[tokio::test]
async fn requests_are_throttled_refused_and_broken_by_number() {
    let world = World::start();
    let session = session(&world, DEV).await;
    let groups = || session.sagemaker.list_model_package_groups().send();
    world.on_nth("ListModelPackageGroups", 2, Fault::Throttle);
    groups().await.expect("the first");
    assert_eq!(groups().await.expect_err("the second").code(), Some("ThrottlingException"));
    groups().await.expect("the third");
    world.on_nth("ListModelPackageGroups", 3, Fault::denied());
    world.on_nth("ListModelPackageGroups", 1, Fault::limit());
    assert_eq!(groups().await.expect_err("the first").code(), Some("ResourceLimitExceeded"));
    groups().await.expect("the second");
    assert_eq!(groups().await.expect_err("the third").code(), Some("AccessDeniedException"));
    world.fail_next("ListModelPackageGroups", Fault::Status500Html);
    let broken = groups().await.expect_err("a page");
    assert_eq!(broken.raw_response().map(|raw| raw.status().as_u16()), Some(500));
    world.fail_next("PutObject", Fault::conflict());
    world.fail_next("PutObject", Fault::Throttle);
    let put = || session.s3.put_object().bucket(DEV_BUCKET).key("k").body(ByteStream::from_static(b"1")).send();
    assert_eq!(put().await.expect_err("a race").code(), Some("ConditionalRequestConflict"));
    assert_eq!(put().await.expect_err("too many").code(), Some("SlowDown"));
    world.fail_next(
        "PutObject",
        Fault::Meanwhile(Box::new(|state| state.write_object(DEV_BUCKET, "k", b"theirs".to_vec()))),
    );
    let lost = session.s3.put_object().bucket(DEV_BUCKET).key("k").if_none_match("*").send().await;
    assert_eq!(lost.expect_err("somebody was first").code(), Some("PreconditionFailed"));
}

#[tokio::test]
async fn a_client_dies_before_or_after_a_deed() {
    let world = World::start();
    let s3 = session(&world, DEV).await.s3;
    let work = async |from: usize| {
        for at in from..from + 3 {
            let put = s3.put_object().bucket(DEV_BUCKET).key(format!("k{at}")).body(ByteStream::from_static(b"1"));
            put.send().await.expect("room");
        }
    };
    for (from, crash, left) in [(0, Crash::Before, 1), (10, Crash::After, 2)] {
        world.crash_at(2, crash);
        let before = world.keys(DEV_BUCKET, "k").len();
        tokio::select! {
            () = work(from) => panic!("it did not die"),
            () = world.crashed() => {}
        }
        assert_eq!(world.keys(DEV_BUCKET, "k").len() - before, left);
    }
    assert_eq!(world.mutations(), 4);
}

#[tokio::test]
async fn answers_may_have_values_that_nobody_knows_yet() {
    let world = World::start();
    let client = session(&world, DEV).await.sagemaker;
    world.next_job(Script::forever());
    job(&client, "j", "true").send().await.expect("a job");
    let new = json!({ "TrainingJobStatus": "Meditating", "SecondaryStatus": "Thinking" });
    world.with(|state| state.overlays.insert("DescribeTrainingJob".to_owned(), new));
    let said = client.describe_training_job().training_job_name("j").send().await.expect("it");
    assert_eq!(said.training_job_status().map(|status| status.as_str()), Some("Meditating"));
}
