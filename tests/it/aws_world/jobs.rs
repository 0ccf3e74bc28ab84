//! Training jobs.

use super::session;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Script;
use crate::world::aws::World;
use crate::world::aws::archive::unpacked;
use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::error::ProvideErrorMetadata;
use aws_sdk_sagemaker::operation::create_training_job::builders::CreateTrainingJobFluentBuilder;
use aws_sdk_sagemaker::types::AlgorithmSpecification;
use aws_sdk_sagemaker::types::Channel;
use aws_sdk_sagemaker::types::DataSource;
use aws_sdk_sagemaker::types::MetricDefinition;
use aws_sdk_sagemaker::types::OutputDataConfig;
use aws_sdk_sagemaker::types::ResourceConfig;
use aws_sdk_sagemaker::types::S3DataSource;
use aws_sdk_sagemaker::types::S3DataType;
use aws_sdk_sagemaker::types::SecondaryStatus;
use aws_sdk_sagemaker::types::StoppingCondition;
use aws_sdk_sagemaker::types::Tag;
use aws_sdk_sagemaker::types::TrainingInputMode;
use aws_sdk_sagemaker::types::TrainingInstanceType;
use aws_sdk_sagemaker::types::TrainingJobStatus;

/// A job that runs this shell command.
pub fn job(client: &Client, name: &str, command: &str) -> CreateTrainingJobFluentBuilder {
    let metric = MetricDefinition::builder().name("auc").regex("auc=([0-9.]+)").build();
    let algorithm = AlgorithmSpecification::builder()
        .training_image("111111111111.dkr.ecr.eu-central-1.amazonaws.com/train:1")
        .training_input_mode(TrainingInputMode::File)
        .container_entrypoint("sh")
        .container_arguments("-c")
        .container_arguments(command)
        .metric_definitions(metric)
        .build();
    let resources = ResourceConfig::builder()
        .instance_type(TrainingInstanceType::MlM5Large)
        .instance_count(1)
        .volume_size_in_gb(10);
    client
        .create_training_job()
        .training_job_name(name)
        .role_arn("arn:aws:iam::111111111111:role/train")
        .algorithm_specification(algorithm)
        .hyper_parameters("depth", "3")
        .environment("WHERE", "/opt/ml/model")
        .output_data_config(OutputDataConfig::builder().s3_output_path(format!("s3://{DEV_BUCKET}/out")).build())
        .resource_config(resources.build())
        .stopping_condition(StoppingCondition::builder().max_runtime_in_seconds(60).build())
        .tags(Tag::builder().key("branchline:stage").value("dev").build())
}

fn channel(name: &str, uri: &str) -> Channel {
    let source = S3DataSource::builder().s3_data_type(S3DataType::S3Prefix).s3_uri(uri).build();
    Channel::builder().channel_name(name).data_source(DataSource::builder().s3_data_source(source).build()).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_scripted_really_runs() {
    let world = World::start();
    let session = session(&world, DEV).await;
    world.put(DEV_BUCKET, "data/train/a.csv", "1,2\n");
    world.put(DEV_BUCKET, "source/bootstrap.sh", "cp /opt/ml/input/data/train/a.csv /opt/ml/model/seen.csv\n");
    let command = "sh /opt/ml/input/data/branchline/bootstrap.sh; echo auc=0.5; echo auc=0.75 >&2; \
                   cat /opt/ml/input/config/hyperparameters.json > $WHERE/h.json; echo x > /opt/ml/output/data/m.txt";
    job(&session.sagemaker, "real", command)
        .input_data_config(channel("train", &format!("s3://{DEV_BUCKET}/data/train/")))
        .input_data_config(channel("branchline", &format!("s3://{DEV_BUCKET}/source/")))
        .send()
        .await
        .expect("a job");
    world.wait_for_job(DEV, "real");
    let said = session.sagemaker.describe_training_job().training_job_name("real").send().await.expect("it");
    assert_eq!(said.training_job_status(), Some(&TrainingJobStatus::Completed), "{:?}", said.failure_reason());
    let uri = said.model_artifacts().and_then(|model| model.s3_model_artifacts()).unwrap_or_default().to_owned();
    assert_eq!(uri, format!("s3://{DEV_BUCKET}/out/real/output/model.tar.gz"));
    let files = unpacked(&world.object(DEV_BUCKET, "out/real/output/model.tar.gz").expect("a model"));
    assert_eq!(
        files,
        [("h.json".to_owned(), b"{\"depth\":\"3\"}".to_vec()), ("seen.csv".to_owned(), b"1,2\n".to_vec())]
    );
    assert_eq!(unpacked(&world.object(DEV_BUCKET, "out/real/output/output.tar.gz").expect("data")).len(), 1);
    let metric = said.final_metric_data_list().first().expect("a metric");
    assert_eq!((metric.metric_name(), metric.value()), (Some("auc"), Some(0.75)));
    let streams = session.logs.describe_log_streams().log_group_name("/aws/sagemaker/TrainingJobs");
    let streams = streams.log_stream_name_prefix("real/").send().await.expect("streams");
    let stream =
        streams.log_streams().first().and_then(|stream| stream.log_stream_name()).expect("a stream").to_owned();
    let read = || {
        let events = session.logs.get_log_events().log_group_name("/aws/sagemaker/TrainingJobs");
        events.log_stream_name(&stream).start_from_head(true)
    };
    let first = read().send().await.expect("lines");
    assert_eq!(first.events().len(), 2);
    let token = first.next_forward_token().expect("a token");
    let second = read().next_token(token).send().await.expect("lines");
    assert_eq!((second.events().len(), second.next_forward_token()), (0, Some(token)));
    let found = session.logs.filter_log_events().log_group_name("/aws/sagemaker/TrainingJobs");
    let found = found.log_stream_name_prefix("real/").filter_pattern("0.75").send().await.expect("lines");
    assert_eq!(found.events().len(), 1);
    world.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_job_fails_with_what_it_wrote_and_stops_when_asked() {
    let world = World::start();
    let client = session(&world, DEV).await.sagemaker;
    job(&client, "bad", "printf 'no data' > /opt/ml/output/failure; exit 3").send().await.expect("a job");
    job(&client, "long", "sleep 100").send().await.expect("a job");
    let twice = job(&client, "long", "true").send().await.expect_err("a name is given once");
    assert_eq!(twice.code(), Some("ResourceInUse"));
    client.stop_training_job().training_job_name("long").send().await.expect("stopping");
    world.wait_for_job(DEV, "bad");
    world.wait_for_job(DEV, "long");
    let bad = client.describe_training_job().training_job_name("bad").send().await.expect("it");
    assert_eq!(bad.training_job_status(), Some(&TrainingJobStatus::Failed));
    assert_eq!(bad.failure_reason(), Some("AlgorithmError: no data, exit code: 3"));
    let long = client.describe_training_job().training_job_name("long").send().await.expect("it");
    assert_eq!(long.training_job_status(), Some(&TrainingJobStatus::Stopped));
    let none = client.describe_training_job().training_job_name("none").send().await.expect_err("nothing");
    assert_eq!((none.code(), none.message()), (Some("ValidationException"), Some("Requested resource not found.")));
}

#[tokio::test]
async fn a_scripted_job_goes_on_when_it_is_looked_at() {
    let world = World::start();
    let client = session(&world, DEV).await.sagemaker;
    world.next_job(
        Script::completed().step("Pending", 1).step("Interrupted", 2).model("m", "1").log("auc=0.125").log("bye"),
    );
    world.next_job(Script::stopped("MaxRuntimeExceeded"));
    job(&client, "one", "true").send().await.expect("a job");
    job(&client, "two", "true").send().await.expect("a job");
    let mut seen = Vec::new();
    for _ in 0..4 {
        let said = client.describe_training_job().training_job_name("one").send().await.expect("it");
        seen.push(said.secondary_status().expect("one").as_str().to_owned());
    }
    assert_eq!(seen, ["Pending", "Interrupted", "Interrupted", "Completed"]);
    let two = client.describe_training_job().training_job_name("two").send().await.expect("it");
    assert_eq!(two.training_job_status(), Some(&TrainingJobStatus::Stopped));
    assert_eq!(two.secondary_status(), Some(&SecondaryStatus::MaxRuntimeExceeded));
    assert!(world.object(DEV_BUCKET, "out/one/output/model.tar.gz").is_some());
    assert!(world.object(DEV_BUCKET, "out/two/output/model.tar.gz").is_none());
    let listed = client.list_training_jobs().name_contains("o").max_results(1).send().await.expect("a list");
    assert_eq!((listed.training_job_summaries().len(), listed.next_token().is_some()), (1, true));
    let arn = "arn:aws:sagemaker:eu-central-1:111111111111:training-job/one";
    client.add_tags().resource_arn(arn).tags(Tag::builder().key("k").value("v").build()).send().await.expect("tags");
    assert_eq!(client.list_tags().resource_arn(arn).send().await.expect("tags").tags().len(), 2);
    client.delete_training_job().training_job_name("one").send().await.expect("gone");
}

#[tokio::test]
async fn a_request_that_the_model_forbids_is_refused_and_remembered() {
    let world = World::start();
    let client = session(&world, DEV).await.sagemaker;
    let bad = job(&client, "not_a_name", "true").send().await.expect_err("an underscore");
    assert_eq!(bad.code(), Some("ValidationException"));
    assert!(bad.message().is_some_and(|text| text.contains("'trainingJobName'")), "{:?}", bad.message());
    assert_eq!(world.violations().len(), 1);
    assert_eq!(world.job_status(DEV, "not_a_name"), None);
}
