//! Trainings and their logs. moto runs nothing: a job is complete at once, whatever it says. So what a job would leave
//! behind is put there first, and its log is written manually.
//!
//! Not leaned on: moto keeps no environment, no number of retries and no patterns of metrics; it lets a name be taken
//! twice, and cannot stop a job.

use super::bucket;
use super::fresh;
use super::keys;
use super::moto;
use super::place;
use super::put;
use crate::sagemaker_trainer::FolderMaterial;
use crate::sagemaker_trainer::add_data;
use crate::sagemaker_trainer::ended;
use crate::sagemaker_trainer::failure;
use crate::sagemaker_trainer::followed;
use crate::sagemaker_trainer::metric;
use crate::sagemaker_trainer::project;
use crate::sagemaker_trainer::s3;
use crate::sagemaker_trainer::spec;
use crate::world::aws::archive;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use aws_sdk_sagemaker::types::AlgorithmSpecification;
use aws_sdk_sagemaker::types::OutputDataConfig;
use aws_sdk_sagemaker::types::StoppingCondition;
use aws_sdk_sagemaker::types::TrainingInputMode;
use branchline::adapters::aws::Accounts;
use branchline::adapters::aws::Session;
use branchline::adapters::aws::SessionOptions;
use branchline::adapters::local::DataPlaces;
use branchline::adapters::local::DataReach;
use branchline::adapters::local::Home;
use branchline::adapters::local::LocalDatasets;
use branchline::adapters::s3::S3Datasets;
use branchline::adapters::sagemaker::Pace;
use branchline::adapters::sagemaker::SageMakerTrainer;
use branchline::adapters::sagemaker::Setting;
use branchline::adapters::system::SystemClock;
use branchline::model::cloud::AccountPlace;
use branchline::model::cloud::Checkpoint;
use branchline::model::cloud::Vpc;
use branchline::model::digest::Sha256Digest;
use branchline::model::git::RepositoryId;
use branchline::model::name::StageName;
use branchline::model::training::Cause;
use branchline::model::training::StopCause;
use branchline::model::training::TrainingState;
use branchline::ports::Clock;
use branchline::ports::Datasets;
use branchline::ports::StartedTraining;
use branchline::ports::Trainer;
use branchline::ports::TrainingSpec;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const GROUP: &str = "/aws/sagemaker/TrainingJobs";

/// A machine with a checkout of one file, and a bucket of its own.
struct Machine {
    session: Arc<Session>,
    folder: tempfile::TempDir,
}

impl Machine {
    /// In the region in which every test shares one group of logs.
    async fn new() -> Self {
        let session = bucket("training").await;
        // Another test may have made it.
        let _ = session.logs.create_log_group().log_group_name(GROUP).send().await;
        Self::with(session)
    }

    fn with(session: Arc<Session>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("code")).expect("it can be made");
        std::fs::write(folder.path().join("code/train.sh"), "exit 0\n").expect("it can be written");
        Self { session, folder }
    }

    fn home(&self) -> Home {
        Home::at(self.folder.path().join(".branchline"))
    }

    /// A trainer that remembers nothing.
    fn trainer(&self) -> SageMakerTrainer {
        SageMakerTrainer::new(Setting {
            project: project(),
            repository: RepositoryId { remote: Some("github.com/acme/churn".to_owned()), ..RepositoryId::default() },
            accounts: Accounts::one(Arc::clone(&self.session)),
            stages: vec![StageName::parse("dev").expect("a name")],
            home: self.home(),
            places: DataPlaces::new(&self.home(), self.folder.path().to_owned(), DataReach::Machine),
            material: Arc::new(FolderMaterial { folder: self.folder.path().to_owned(), pointed: Vec::new() }),
            pace: Pace {
                first: Duration::from_millis(10),
                longest: Duration::from_millis(40),
                lag: Duration::from_millis(200),
            },
        })
    }

    fn key(&self, spec: &TrainingSpec, what: &str) -> String {
        format!("branchline/churn/stages/dev/trainings/{}/{what}", spec.name)
    }

    /// Puts what a job leaves where its job would leave it.
    async fn leaves(&self, spec: &TrainingSpec, what: &str, files: &[(&str, &str)]) {
        let files: Vec<(String, Vec<u8>)> =
            files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
        // The address says what the job was created with.
        let digest = Sha256Digest::of(&serde_json::to_vec(spec).expect("JSON"));
        let place = format!("branchline/churn/runs/dev/{0}/{digest}/{0}/output/{what}", spec.name);
        put(&self.session, &place, &archive::packed(&files)).await;
    }

    /// Prints lines on one machine of a job, each at its own millisecond after the first. Returns the time of the next.
    async fn prints(&self, stream: &str, from: i64, lines: &[String]) -> i64 {
        let (logs, mut at) = (&self.session.logs, from);
        let made = logs.create_log_stream().log_group_name(GROUP).log_stream_name(stream).send().await;
        drop(made);
        for some in lines.chunks(5_000) {
            let events = some.iter().map(|line| {
                at += 1;
                InputLogEvent::builder().timestamp(at - 1).message(line).build().expect("an event")
            });
            let sent = logs.put_log_events().log_group_name(GROUP).log_stream_name(stream);
            sent.set_log_events(Some(events.collect())).send().await.expect("they can be put");
        }
        at
    }
}

/// A training of its own.
fn fresh_spec() -> TrainingSpec {
    let mut spec = spec(&format!("sh train.sh # {}", fresh("")));
    spec.settings.cloud.execution_role_arn = Some("arn:aws:iam::123456789012:role/training".to_owned());
    spec
}

/// When the first line of a log was printed, in milliseconds.
fn a_minute_ago() -> i64 {
    SystemClock.now().as_millisecond() - 60_000
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: moto_agrees runs it"]
async fn a_training_begins_with_everything_is_found_again_and_ends_once() {
    let machine = Machine::new().await;
    let session = &machine.session;
    let data = format!("s3://{}/data/", session.place.bucket);
    put(session, "data/a.csv", b"1,2\n").await;
    let mut spec = fresh_spec();
    spec.origin.pull_request = Some(7);
    spec.settings.environment.insert("MODE".to_owned(), "fast".to_owned());
    spec.settings.hyperparameters.insert("seed".to_owned(), "007".to_owned());
    spec.settings.metrics.insert(metric("loss"), "loss=([0-9.]+)".to_owned());
    let cloud = &mut spec.settings.cloud;
    let instance = cloud.instance.as_mut().expect("machines");
    (instance.spot, instance.count) = (true, 2);
    cloud.volume_kms_key = Some("alias/volumes".to_owned());
    cloud.vpc = Some(Vpc { subnets: vec!["subnet-1a".to_owned()], security_groups: vec!["sg-1a".to_owned()] });
    cloud.checkpoint = Some(Checkpoint { uri: None, local_path: Some("/opt/ml/saved".to_owned()) });
    (cloud.network_isolation, cloud.encrypt_between, cloud.retries) = (true, true, Some(3));
    cloud.tags.insert("team".to_owned(), "growth é".to_owned());
    let datasets =
        S3Datasets::new(Arc::clone(session), LocalDatasets::new(machine.home(), machine.home().root().to_owned()));
    let identified = datasets.identify(&s3(&data)).await.expect("it can be asked").expect("there are data");
    add_data(&mut spec, "train", s3(&data), identified);
    machine.leaves(&spec, "model.tar.gz", &[("model.txt", "weights")]).await;
    machine.leaves(&spec, "output.tar.gz", &[("metrics.json", r#"{"accuracy": 0.87}"#)]).await;
    let lines = ["loss=0.9".to_owned(), "loss=0.25".to_owned()];
    machine.prints(&format!("{}/algo-1-1700000000", spec.name), a_minute_ago(), &lines).await;

    assert_eq!(machine.trainer().start(&spec).await.expect("it starts"), StartedTraining::Fresh);
    // Another process finds it by its name, and by its tags knows it as its own.
    assert_eq!(machine.trainer().start(&spec).await.expect("it is found"), StartedTraining::Found);
    let job = session.sagemaker.describe_training_job().training_job_name(spec.name.as_str()).send().await;
    let job = job.expect("it exists");
    let algorithm = job.algorithm_specification().expect("an algorithm");
    assert_eq!(algorithm.training_image(), spec.settings.image.as_deref());
    assert_eq!(algorithm.container_entrypoint(), ["/bin/sh", "/opt/ml/input/data/branchline/bootstrap.sh"]);
    assert_eq!(job.hyper_parameters().expect("they are kept")["seed"], "007");
    let channels: BTreeMap<&str, &str> = job
        .input_data_config()
        .iter()
        .filter_map(|channel| {
            let source = channel.data_source()?.s3_data_source()?;
            Some((channel.channel_name()?, source.s3_uri()?))
        })
        .collect();
    assert_eq!((channels.len(), channels["train"]), (3, data.as_str()));
    // Every address is one at which there is something.
    for address in channels.values() {
        let (bucket, prefix) = address.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).expect("an address");
        let listed = session.s3.list_objects_v2().bucket(bucket).prefix(prefix).send().await.expect("readable");
        assert!(listed.key_count() > Some(0), "{address}");
    }
    let resources = job.resource_config().expect("machines");
    assert_eq!((resources.instance_count(), resources.volume_kms_key_id()), (Some(2), Some("alias/volumes")));
    let network = job.vpc_config().expect("a network");
    assert_eq!(
        (network.subnets(), network.security_group_ids()),
        (&["subnet-1a".to_owned()][..], &["sg-1a".to_owned()][..])
    );
    let flags = [
        job.enable_network_isolation(),
        job.enable_inter_container_traffic_encryption(),
        job.enable_managed_spot_training(),
    ];
    assert_eq!(flags, [Some(true); 3]);
    let stopping = job.stopping_condition().expect("a limit");
    assert_eq!((stopping.max_runtime_in_seconds(), stopping.max_wait_time_in_seconds()), (Some(3600), Some(7200)));
    assert_eq!(job.checkpoint_config().and_then(|config| config.local_path()), Some("/opt/ml/saved"));
    let tags = session.sagemaker.list_tags().resource_arn(job.training_job_arn().expect("an ARN")).send().await;
    let tags = tags.expect("readable");
    let tag = |key: &str| tags.tags().iter().find(|tag| tag.key() == Some(key)).and_then(|tag| tag.value());
    let fingerprint = spec.origin.fingerprint.to_string();
    assert_eq!((tag("branchline:model"), tag("branchline:pull-request")), (Some("churn"), Some("7")));
    assert_eq!((tag("team"), tag("branchline:fingerprint")), (Some("growth é"), Some(fingerprint.as_str())));

    let training = ended(&machine.trainer(), &spec.name).await;
    let TrainingState::Succeeded { metrics, artifacts, data_moved, .. } = &training.state else {
        panic!("{:?}", training.state)
    };
    // moto's own metric is none of ours, and ours is found in the log.
    let measured: Vec<(String, f64)> = metrics.iter().map(|(name, value)| (name.to_string(), *value)).collect();
    assert_eq!(measured, [("accuracy".to_owned(), 0.87), ("loss".to_owned(), 0.25)]);
    assert_eq!((artifacts.len(), *data_moved), (1, false));
    let kept = format!("s3://{}/{}", session.place.bucket, machine.key(&spec, "model.tar.gz"));
    assert_eq!(artifacts[0].location, kept);
    // What ended has ended, for whoever asks in whatever way.
    let again = machine.trainer();
    assert_eq!(again.find(std::slice::from_ref(&spec.name)).await.expect("readable"), std::slice::from_ref(&training));
    assert_eq!(again.open(&project()).await.expect("readable"), []);
    let hour_ago = SystemClock.now() - jiff::SignedDuration::from_hours(1);
    assert_eq!(again.ended_since(&project(), hour_ago).await.expect("readable"), [training]);
    assert_eq!(again.start(&spec).await.expect("it is found"), StartedTraining::Found);
    again.stop(&spec.name, StopCause::Cancelled).await.expect("there is nothing to stop");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: moto_agrees runs it"]
async fn a_job_of_somebody_else_under_the_same_name_is_left_alone() {
    let machine = Machine::new().await;
    let spec = fresh_spec();
    machine.trainer().start(&spec).await.expect("it starts");
    let theirs = machine.session.sagemaker.create_training_job().training_job_name(spec.name.as_str());
    let algorithm = AlgorithmSpecification::builder().training_image("x").training_input_mode(TrainingInputMode::File);
    let theirs = theirs
        .role_arn("arn:aws:iam::123456789012:role/x")
        .output_data_config(OutputDataConfig::builder().s3_output_path("s3://theirs/mine").build())
        .stopping_condition(StoppingCondition::builder().max_runtime_in_seconds(60).build())
        .algorithm_specification(algorithm.build());
    theirs.send().await.expect("moto lets a name be taken twice");
    let refused = machine.trainer().start(&spec).await.expect_err("it is not ours").chain();
    assert!(refused.contains("that is not ours: it writes its output elsewhere"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: moto_agrees runs it"]
async fn a_job_that_leaves_no_model_failed_and_its_last_lines_say_why() {
    let machine = Machine::new().await;
    let spec = fresh_spec();
    let lines: Vec<String> = (0..100).map(|line| format!("line {line}")).collect();
    machine.prints(&format!("{}/algo-1-1700000000", spec.name), a_minute_ago(), &lines).await;
    machine.trainer().start(&spec).await.expect("it starts");
    let (cause, message, tail) = failure(&ended(&machine.trainer(), &spec.name).await);
    assert_eq!((cause, message.as_str()), (Cause::Code, "wrote no model: nothing in $SM_MODEL_DIR"));
    assert_eq!(tail, lines[70..]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: moto_agrees runs it"]
async fn a_long_log_is_read_whole_in_order_and_by_its_end() {
    let machine = Machine::new().await;
    let spec = fresh_spec();
    machine.leaves(&spec, "model.tar.gz", &[("model.txt", "weights")]).await;
    machine.trainer().start(&spec).await.expect("it starts");
    // Three pages of answers, foreign letters, a line that is long, and one event of two lines.
    let mut printed: Vec<String> = (0..21_000).map(|line| format!("step {line}: loss={line}.5 é")).collect();
    printed.push("x".repeat(100_000));
    printed.push("Traceback:\n  ValueError".to_owned());
    let name = format!("{}/algo-1-1700000000", spec.name);
    let next = machine.prints(&name, a_minute_ago(), &printed).await;
    // Another training whose name begins alike.
    machine.prints(&format!("{}0/algo-1-1700000000", spec.name), a_minute_ago(), &["not this one".to_owned()]).await;
    let lines: Vec<String> = printed.iter().flat_map(|event| event.lines().map(str::to_owned)).collect();

    let trainer = machine.trainer();
    let (_, seen, _) = followed(&trainer, &spec.name).await;
    assert_eq!(seen.len(), lines.len());
    assert!(seen == lines, "the lines are others, or in another order");
    let tail = machine.trainer().log_tail(&spec.name, 4).await.expect("readable");
    assert!(tail == lines[lines.len() - 4..], "{:?}", tail.len());
    // What comes late is read from there on.
    let late = vec!["late".to_owned()];
    machine.prints(&name, next, &late).await;
    let watched = trainer.watch(&spec.name, seen.len() as u64, Duration::ZERO).await.expect("readable");
    let watched = watched.expect("it exists");
    assert_eq!((watched.lines, watched.cursor), (late, seen.len() as u64 + 1));
    assert_eq!(trainer.log_tail(&spec.name, 1).await.expect("readable"), ["late"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: moto_agrees runs it"]
async fn lines_of_two_machines_are_told_apart_and_sorted_by_time() {
    let machine = Machine::new().await;
    let spec = fresh_spec();
    machine.trainer().start(&spec).await.expect("it starts");
    let from = a_minute_ago();
    for (host, at) in [(1, from), (2, from + 10), (1, from + 20), (2, from + 30)] {
        let line = format!("from {host} at {}", at - from);
        machine.prints(&format!("{}/algo-{host}-1700000000", spec.name), at, &[line]).await;
    }
    let tail = machine.trainer().log_tail(&spec.name, 3).await.expect("readable");
    assert_eq!(tail, ["[algo-2] from 2 at 10", "[algo-1] from 1 at 20", "[algo-2] from 2 at 30"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: moto_agrees runs it"]
async fn a_log_that_is_not_there_yet_has_no_lines() {
    // A region in which nobody made the group of logs.
    let far = AccountPlace { region: "eu-north-1".to_owned(), ..place(&fresh("training")) };
    let options = SessionOptions {
        endpoint: Some(moto()),
        credentials: Some(keys("AKIAIOSFODNN7EXAMPLE", "secret")),
        ..SessionOptions::default()
    };
    let far = Arc::new(Session::new(far, &options).await);
    let near = aws_sdk_s3::types::CreateBucketConfiguration::builder().location_constraint("eu-north-1".into()).build();
    let made = far.s3.create_bucket().bucket(&far.place.bucket).create_bucket_configuration(near).send().await;
    made.expect("it can be made");
    for machine in [Machine::with(far), Machine::new().await] {
        let spec = fresh_spec();
        machine.trainer().start(&spec).await.expect("it starts");
        let trainer = machine.trainer();
        assert_eq!(trainer.log_tail(&spec.name, 10).await.expect("no error"), Vec::<String>::new());
        let (cause, _, tail) = failure(&ended(&trainer, &spec.name).await);
        assert_eq!((cause, tail), (Cause::Code, Vec::new()));
    }
}
