//! What a specification becomes, what is refused before anything is sent, and what Amazon's failures mean.

use crate::adapters::sagemaker::contract::Command;
use crate::adapters::sagemaker::contract::environment_file;
use crate::adapters::sagemaker::contract::quoted;
use crate::adapters::sagemaker::failure::explain;
use crate::adapters::sagemaker::job;
use crate::adapters::sagemaker::job::Inputs;
use crate::adapters::sagemaker::limits;
use crate::model::cloud::AccountPlace;
use crate::model::cloud::CloudSettings;
use crate::model::cloud::Entrypoint;
use crate::model::cloud::HyperparameterFormat;
use crate::model::cloud::Instance;
use crate::model::cloud::Vpc;
use crate::model::dataset::Dataset;
use crate::model::dataset::DatasetKind;
use crate::model::digest::Sha256Digest;
use crate::model::git::BranchName;
use crate::model::git::ObjectId;
use crate::model::git::RepositoryId;
use crate::model::identity::CodeId;
use crate::model::identity::ContentId;
use crate::model::identity::Fingerprint;
use crate::model::metric::MetricName;
use crate::model::name::ChannelName;
use crate::model::name::ModelName;
use crate::model::name::ProjectName;
use crate::model::name::StageName;
use crate::model::name::TrainingName;
use crate::model::settings::DataSource;
use crate::model::settings::TrainingSettings;
use crate::model::settings::Watched;
use crate::model::training::Cause;
use crate::model::training::TrainingOrigin;
use crate::ports::trainer::TrainingSpec;
use aws_sdk_sagemaker::operation::create_training_job::CreateTrainingJobInput;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

fn spec() -> TrainingSpec {
    let project = ProjectName::parse("churn").expect("a name");
    let fingerprint = Fingerprint::from_digest(Sha256Digest::of(b"x"));
    let model = ModelName::parse("churn").expect("a name");
    let stage = StageName::parse("dev").expect("a name");
    let object = ObjectId::parse(&"a".repeat(40)).expect("an id");
    let instance = Instance {
        kind: "ml.m5.xlarge".to_owned(),
        count: 1,
        volume_gb: 30,
        spot: false,
        max_wait: None,
        keep_alive: None,
    };
    TrainingSpec {
        name: TrainingName::derive(&project, &model, &stage, fingerprint.digest(), 1),
        project,
        attempt: 1,
        origin: TrainingOrigin {
            model,
            stage,
            commit: object.clone(),
            tree: object,
            branch: BranchName::parse("feature/a#b").expect("a name"),
            code_id: CodeId::from_digest(Sha256Digest::of(b"code")),
            content: ContentId::from_digest(Sha256Digest::of(b"content")),
            fingerprint,
            signature: None,
            datasets: BTreeMap::new(),
            hyperparameters: BTreeMap::new(),
            image: None,
            image_digest: Some(format!("sha256:{}", "b".repeat(64))),
            serve: None,
            actor: None,
            pull_request: Some(7),
            run_url: None,
            run_key: "run".to_owned(),
            run_attempt: 1,
            again: None,
        },
        settings: TrainingSettings {
            watched: Watched::All,
            command: Some("python3 train.py".to_owned()),
            image: Some("111122223333.dkr.ecr.eu-west-1.amazonaws.com/churn:1".to_owned()),
            hyperparameters: BTreeMap::new(),
            environment: BTreeMap::new(),
            data: BTreeMap::new(),
            metrics: BTreeMap::new(),
            outputs: crate::model::settings::Outputs::default(),
            signature: None,
            max_runtime: Some(Duration::from_secs(7200)),
            cloud: CloudSettings { instance: Some(instance), ..CloudSettings::default() },
            serve: None,
        },
        entries: Vec::new(),
        required_metrics: Vec::new(),
        pass_env: Vec::new(),
    }
}

fn place() -> AccountPlace {
    AccountPlace {
        account_id: None,
        region: "eu-west-1".to_owned(),
        bucket: "acme-models".to_owned(),
        prefix: "branchline".to_owned(),
        assume_role_arn: None,
        read_role_arn: None,
        execution_role_arn: Some("arn:aws:iam::111122223333:role/SageMakerExecution".to_owned()),
        kms_key: Some("alias/models".to_owned()),
    }
}

fn made(spec: &TrainingSpec) -> CreateTrainingJobInput {
    let command = Command::of(spec).expect("a command");
    limits::check(spec, &place(), &command).expect("within every limit");
    let inputs = Inputs {
        data: vec![("train".to_owned(), "s3://acme-data/train/".to_owned())],
        source: "s3://acme-models/branchline/churn/sources/d/".to_owned(),
        run: "s3://acme-models/branchline/churn/trainings/n/input/".to_owned(),
        output: "s3://acme-models/branchline/churn/trainings".to_owned(),
        checkpoints: "s3://acme-models/branchline/churn/checkpoints/f/".to_owned(),
    };
    job::request(spec, &place(), &RepositoryId::default(), &command, &inputs).build().expect("a request")
}

fn refused(change: impl FnOnce(&mut TrainingSpec)) -> String {
    let mut spec = spec();
    change(&mut spec);
    match Command::of(&spec) {
        Ok(command) => limits::check(&spec, &place(), &command).expect_err("it is refused"),
        Err(why) => why,
    }
}

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("a name")
}

fn dataset(uri: &str) -> Dataset {
    Dataset { uri: uri.to_owned(), kind: DatasetKind::Remote, digest: "sha256:0".to_owned() }
}

#[test]
fn a_job_runs_the_image_by_its_digest_and_the_command_by_our_bootstrap() {
    let job = made(&spec());
    let algorithm = job.algorithm_specification().expect("an algorithm");
    let image = format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/churn@sha256:{}", "b".repeat(64));
    assert_eq!(algorithm.training_image(), Some(image.as_str()));
    assert_eq!(algorithm.container_entrypoint(), ["/bin/sh", "/opt/ml/input/data/branchline/bootstrap.sh"]);
    let channels: Vec<&str> = job.input_data_config().iter().filter_map(|channel| channel.channel_name()).collect();
    assert_eq!(channels, ["train", "branchline", "branchline-run"]);
    let output = job.output_data_config().expect("an output");
    assert_eq!(output.kms_key_id(), Some("alias/models"));
    let stopping = job.stopping_condition().expect("a limit");
    assert_eq!((stopping.max_runtime_in_seconds(), stopping.max_wait_time_in_seconds()), (Some(7200), None));
    let tag = |key: &str| {
        let key = format!("branchline:{key}");
        job.tags().iter().find(|tag| tag.key() == Some(key.as_str())).and_then(|tag| tag.value()).unwrap_or("none")
    };
    assert_eq!((tag("stage"), tag("branch"), tag("pull-request")), ("dev", "feature/a_b", "7"));
    assert_eq!(tag("settings").len(), 64);
}

#[test]
fn spot_brings_its_checkpoint_and_its_longest_wait() {
    let mut spec = spec();
    if let Some(instance) = &mut spec.settings.cloud.instance {
        instance.spot = true;
    }
    let job = made(&spec);
    assert_eq!(job.enable_managed_spot_training(), Some(true));
    assert_eq!(job.stopping_condition().and_then(|limit| limit.max_wait_time_in_seconds()), Some(14_400));
    let checkpoint = job.checkpoint_config().and_then(|checkpoint| checkpoint.s3_uri());
    assert_eq!(checkpoint, Some("s3://acme-models/branchline/churn/checkpoints/f/"));
}

#[test]
fn network_and_keys_are_passed_on() {
    let mut spec = spec();
    spec.settings.cloud.vpc =
        Some(Vpc { subnets: vec!["subnet-1".to_owned()], security_groups: vec!["sg-1".to_owned()] });
    spec.settings.cloud.volume_kms_key = Some("alias/volumes".to_owned());
    spec.settings.cloud.network_isolation = true;
    spec.settings.cloud.encrypt_between = true;
    spec.settings.cloud.retries = Some(3);
    let job = made(&spec);
    assert_eq!(job.vpc_config().map(|vpc| vpc.subnets().len()), Some(1));
    assert_eq!(job.resource_config().and_then(|machines| machines.volume_kms_key_id()), Some("alias/volumes"));
    assert_eq!(
        (job.enable_network_isolation(), job.enable_inter_container_traffic_encryption()),
        (Some(true), Some(true))
    );
    assert_eq!(job.retry_strategy().and_then(|retry| retry.maximum_retry_attempts()), Some(3));
}

#[test]
fn the_toolkit_is_told_in_json_and_raw_values_stay_raw() {
    let mut spec = spec();
    spec.settings.hyperparameters = [("seed", "007"), ("on", "true"), ("rate", "1e5"), ("kind", "gini")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let raw = made(&spec);
    let value = |job: &CreateTrainingJobInput, name: &str| {
        job.hyper_parameters().and_then(|all| all.get(name)).cloned().unwrap_or_default()
    };
    assert_eq!((value(&raw, "seed"), value(&raw, "kind")), ("007".to_owned(), "gini".to_owned()));
    spec.settings.cloud.hyperparameter_format = HyperparameterFormat::Json;
    spec.settings.cloud.entrypoint = Entrypoint::Toolkit;
    let json = made(&spec);
    assert_eq!((value(&json, "seed"), value(&json, "kind")), ("\"007\"".to_owned(), "\"gini\"".to_owned()));
    assert_eq!((value(&json, "on"), value(&json, "rate")), ("true".to_owned(), "1e5".to_owned()));
    assert_eq!(value(&json, "sagemaker_program"), "\"train.py\"");
    assert_eq!(
        value(&json, "sagemaker_submit_directory"),
        "\"s3://acme-models/branchline/churn/sources/d/source.tar.gz\""
    );
    assert!(json.algorithm_specification().expect("an algorithm").container_entrypoint().is_empty());
}

#[test]
fn what_sagemaker_would_refuse_is_refused_before_anything_is_sent() {
    let long = |count: usize| "x".repeat(count);
    for (said, expected) in [
        (refused(|spec| spec.settings.image = None), "`train.image` is not set"),
        (refused(|spec| spec.settings.cloud.instance = None), "`train.instance` is not set"),
        (
            refused(|spec| drop(spec.settings.hyperparameters.insert("tree".to_owned(), long(5000)))),
            "hyperparameter `tree` has 5000 characters, and SageMaker takes 2500",
        ),
        (
            refused(|spec| {
                spec.settings.hyperparameters = (0..101).map(|n| (format!("p{n}"), String::new())).collect()
            }),
            "101 hyperparameters are declared, and SageMaker takes 100",
        ),
        (
            refused(|spec| drop(spec.settings.environment.insert("A".to_owned(), long(513)))),
            "the environment variable `A` has 513 characters, and SageMaker takes 512",
        ),
        (
            refused(|spec| drop(spec.settings.environment.insert("A-B".to_owned(), long(1)))),
            "`A-B` is not made of letters, digits and `_`",
        ),
        (
            refused(|spec| {
                spec.origin.datasets = (0..19).map(|n| (channel(&format!("c{n}")), dataset("s3://b/x/"))).collect();
            }),
            "19 channels of data are declared, and SageMaker takes 18 beside ours",
        ),
        (
            refused(|spec| drop(spec.origin.datasets.insert(channel("branchline"), dataset("s3://b/x/")))),
            "channel `branchline` has a name that we need",
        ),
        (
            refused(|spec| {
                let source = DataSource { uri: format!("s3://b/{}", long(1100)), version: None, version_from: None };
                spec.settings.data.insert(channel("train"), source);
            }),
            "the address of channel `train` has 1107 characters",
        ),
        (
            refused(|spec| {
                let name = |n: usize| MetricName::parse(&format!("m{n}")).expect("a name");
                spec.settings.metrics = (0..41).map(|n| (name(n), "(x)".to_owned())).collect();
            }),
            "41 metrics are read from the log, and SageMaker reads 40",
        ),
        (
            refused(|spec| drop(spec.settings.cloud.tags.insert("team{".to_owned(), "x".to_owned()))),
            "tag `team{` holds `{`",
        ),
        (
            refused(|spec| drop(spec.settings.cloud.tags.insert("aws:x".to_owned(), "x".to_owned()))),
            "tag `aws:x` begins with a reserved word",
        ),
        (
            refused(|spec| spec.settings.max_runtime = Some(Duration::from_secs(29 * 86_400))),
            "`max_runtime` is longer than 28 days",
        ),
        (
            refused(|spec| {
                if let Some(instance) = &mut spec.settings.cloud.instance {
                    instance.spot = true;
                    instance.max_wait = Some(Duration::from_secs(60));
                }
            }),
            "`instance.max_wait` is shorter than `max_runtime`",
        ),
        (
            refused(|spec| {
                spec.settings.cloud.entrypoint = Entrypoint::Toolkit;
                spec.settings.command = Some("make && ./train".to_owned());
            }),
            "with `entrypoint: toolkit` the command names one program",
        ),
    ] {
        assert!(said.contains(expected), "{said}\n  does not say\n{expected}");
    }
}

#[test]
fn failures_of_amazon_have_our_causes() {
    let tail = ["ValueError: empty frame".to_owned()];
    for (reason, cause, text) in [
        (
            "AlgorithmError: , exit code: 1",
            Cause::Code,
            "`python3 train.py` exited with code 1: ValueError: empty frame",
        ),
        ("AlgorithmError: no rows, exit code: 3", Cause::Code, "no rows (`python3 train.py` exited with code 3)"),
        (
            "AlgorithmError: , exit code: 127",
            Cause::Configuration,
            "`python3 train.py`: command not found: ValueError: empty frame",
        ),
        (
            "AlgorithmError: , exit code: 137",
            Cause::Code,
            "`python3 train.py` was killed by signal 9 (out of memory?): ValueError: empty frame",
        ),
        (
            "ClientError: Data download failed:No S3 objects found under S3 URL \"s3://a/b\" given in input data source.",
            Cause::Data,
            "SageMaker could not run it: Data download failed:No S3 objects found under S3 URL \"s3://a/b\" given in input \
             data source.",
        ),
        (
            "ClientError: Cannot pull image: no basic auth",
            Cause::Configuration,
            "SageMaker could not run it: Cannot pull image: no basic auth",
        ),
        (
            "ClientError: Artifact upload failed:Insufficient disk space",
            Cause::Configuration,
            "SageMaker could not run it: Artifact upload failed:Insufficient disk space",
        ),
        (
            "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.",
            Cause::Capacity,
            "no machine could be had: Unable to provision requested ML compute capacity. Please retry using a different ML \
             instance type.",
        ),
        (
            "InternalServerError: We encountered an internal error.  Please try again.",
            Cause::LostWorker,
            "SageMaker failed, not the training: We encountered an internal error. Please try again.",
        ),
        // Words that somebody else chose decide nothing.
        (
            "ClientError: No such bucket: CapacityError-insufficient capacity-no space left",
            Cause::Configuration,
            "SageMaker could not run it: No such bucket: CapacityError-insufficient capacity-no space left",
        ),
        (
            "AlgorithmError: InternalServerError: unable to provision requested ML compute capacity, exit code: 1",
            Cause::Code,
            "InternalServerError: unable to provision requested ML compute capacity (`python3 train.py` exited with code 1)",
        ),
        ("", Cause::LostWorker, "SageMaker does not say why"),
        ("SomethingNew: who knows", Cause::LostWorker, "SageMaker says: SomethingNew: who knows"),
    ] {
        assert_eq!(explain(&spec(), reason, &tail), (cause, text.to_owned()), "{reason}");
    }
}

#[test]
fn an_image_is_pinned_whatever_stands_behind_its_name() {
    let digest = Some("sha256:d");
    assert_eq!(job::pinned_image("a.b/c:1", digest), "a.b/c@sha256:d");
    assert_eq!(job::pinned_image("a.b:5000/c", digest), "a.b:5000/c@sha256:d");
    assert_eq!(job::pinned_image("a.b/c@sha256:e", digest), "a.b/c@sha256:d");
    assert_eq!(job::pinned_image("a.b/c:1", None), "a.b/c:1");
}

/// Runs the environment file in a real shell and returns what the command would see.
fn shell_sees(file: &str, name: &str) -> String {
    let script = format!("set --\nknown=''\n{file}\nexec env \"$@\" sh -c 'printf %s \"${name}\"'");
    let output = std::process::Command::new("sh").arg("-c").arg(script).output().expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn no_hyperparameter_is_taken_for_a_command() {
    let mut spec = spec();
    let evil = "a'; echo oops; '$(touch x)`id`\n\"\\ ü";
    spec.settings.hyperparameters.insert("evil".to_owned(), evil.to_owned());
    spec.settings.hyperparameters.insert("with-dash".to_owned(), "0.5".to_owned());
    let file = environment_file(&spec, "/opt/ml", &[]);
    assert_eq!(shell_sees(&file, "SM_HP_EVIL"), evil);
    assert_eq!(shell_sees(&file, "SM_MODEL_DIR"), "/opt/ml/model");
    assert!(shell_sees(&file, "SM_HPS").contains("\"with-dash\":0.5"));
}

proptest! {
    #[test]
    fn quoting_is_one_word(text in "[^\0]{0,40}") {
        // What single quotes enclose ends at the next one: every quote inside is taken out of them.
        let inside = quoted(&text);
        prop_assert_eq!(inside.replace("'\\''", "\u{1}").matches('\'').count(), 2);
        prop_assert_eq!(inside[1..inside.len() - 1].replace("'\\''", "'"), text);
    }
}
