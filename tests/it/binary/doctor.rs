//! `doctor` and `bootstrap` where there is a cloud: what is missing is named, each with what to do about it.

use super::harness::Project;
use super::harness::TRAINS;
use super::harness::configuration;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::REGION;
use crate::world::aws::World;
use crate::world::cloud;

const RULE: &str = "<Rule><ID>stale-uploads</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>\
                    <AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation>\
                    </AbortIncompleteMultipartUpload></Rule>";

/// The rules of a project that lives in one account.
fn rules() -> String {
    let train = "      image: 111111111111.dkr.ecr.eu-central-1.amazonaws.com/churn:1\n      \
                 instance: { type: ml.m5.large }\n      max_runtime: 1h\n";
    let backend = "project: churn\nbackend:\n  sagemaker: { region: eu-central-1, bucket: acme-ml-dev, \
                   account_id: \"111111111111\", execution_role_arn: \"arn:aws:iam::111111111111:role/training\" }\n";
    configuration(train).replace("project: churn\n", backend)
}

/// An account in which nothing is missing but the groups.
fn scene() -> (World, Project) {
    let world = cloud::world();
    world.with(|state| {
        state.buckets.get_mut(DEV_BUCKET).expect("a bucket").lifecycle = Some(RULE.to_owned());
    });
    let mut project = Project::with(&rules(), TRAINS);
    for (name, value) in world.environment(DEV) {
        project.set(&name, &value);
    }
    (world, project)
}

#[test]
fn bootstrap_makes_the_groups_once_and_then_nothing_is_missing() {
    let (world, project) = scene();
    let missing = ["missing    group churn-prod: does not exist", "-> branchline bootstrap"];
    project.run(&["doctor"]).expect(30, &missing);
    project.run(&["bootstrap", "--dry-run"]).expect(0, &["group churn-dev would be made", "churn-prod would be made"]);
    project.run(&["bootstrap", "--dry-run"]).expect(0, &["group churn-dev would be made"]);
    assert_eq!(world.count("CreateModelPackageGroup"), 0);
    project.run(&["bootstrap"]).expect(0, &["group churn-dev made", "group churn-prod made"]);
    project.run(&["bootstrap"]).expect(0, &["group churn-dev is there", "group churn-prod is there"]);
    assert_eq!(world.count("CreateModelPackageGroup"), 3);
    let green = [
        "account 111111111111, eu-central-1 (feature, dev, prod)",
        "arn:aws:iam::111111111111:user/tests of account 111111111111",
        "bucket acme-ml-dev: is there, in eu-central-1",
        "bucket versioning: is on",
        "rule that aborts stale uploads: is there",
        "group churn-dev: is there",
        "owner of churn-dev: nobody yet",
        "conditional writes: nothing is overwritten",
        "churn:1: has the digest sha256:",
        "unchecked  quota of ml.m5.large",
        "advice     separation of training jobs: training jobs of feature and dev share arn:aws:iam::111111111111:role/training",
        "0 missing, 1 advice",
    ];
    project.run(&["doctor"]).expect(0, &green);
    assert!(world.keys(DEV_BUCKET, "").is_empty(), "what it tried, it removed again");
    let json = project.run(&["doctor", "--format", "json", "--read-only"]).expect(0, &[]).json();
    assert_eq!((&json["findings"][0]["standing"], &json["findings"][1]["standing"]), (&"advice".into(), &"ok".into()));
    world.assert_clean();
}

#[test]
fn each_missing_thing_is_named_with_what_to_do() {
    let (world, project) = scene();
    project.run(&["bootstrap"]).expect(0, &[]);
    let says = |exit: i32, parts: &[&str]| drop(project.run(&["doctor"]).expect(exit, parts));
    let bucket = |change: fn(&mut crate::world::aws::s3::Bucket)| {
        world.with(|state| change(state.buckets.get_mut(DEV_BUCKET).expect("a bucket")));
    };
    bucket(|bucket| bucket.versioned = false);
    says(0, &["advice     bucket versioning: is off", "-> aws s3api put-bucket-versioning --bucket acme-ml-dev"]);
    bucket(|bucket| bucket.versioned = true);
    bucket(|bucket| bucket.lifecycle = None);
    says(0, &["advice     rule that aborts stale uploads: is missing", "AbortIncompleteMultipartUpload"]);
    world.deny(DEV, "s3:PutObject");
    says(30, &["missing    writing to s3://acme-ml-dev/", "-> allow s3:PutObject: `branchline iam` prints the policy"]);
    world.deny(DEV, "sagemaker:DescribeModelPackageGroup");
    says(30, &["missing    group churn-dev", "-> allow sagemaker:DescribeModelPackageGroup"]);
    world.with(|state| state.denied.clear());
    world.with(|state| state.place(DEV, REGION).repositories.clear());
    says(30, &["churn:1: does not exist", "-> push it, or correct `image:`"]);
    bucket(|bucket| "us-east-1".clone_into(&mut bucket.region));
    says(30, &["missing    bucket acme-ml-dev", "us-east-1"]);
    world.with(|state| state.buckets.remove(DEV_BUCKET));
    says(30, &["missing    bucket acme-ml-dev", "NoSuchBucket", "-> make it, or correct its name"]);
}

#[test]
fn a_group_of_another_repository_is_not_ours() {
    let (world, project) = scene();
    project.run(&["bootstrap"]).expect(0, &[]);
    project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
    project.run(&["doctor", "--stage", "dev"]).expect(0, &["owner of churn-dev: this repository"]);
    let mut other = Project::with(&rules(), "# of another history\nexit 0\n");
    for (name, value) in world.environment(DEV) {
        other.set(&name, &value);
    }
    let missing = ["missing    owner of churn-dev: another repository, and not this repository", "`group_names`"];
    other.run(&["doctor", "--stage", "dev"]).expect(30, &missing);
}

/// The first thing that a new user meets.
#[test]
fn without_credentials_one_sentence_says_so_and_what_to_do() {
    let mut project = Project::with(&rules(), TRAINS);
    project.set("AWS_EC2_METADATA_DISABLED", "true");
    for (command, exit) in [("doctor", 30), ("plan", 50)] {
        let said =
            project.run(&[command]).expect(exit, &["was not sent: no credentials were found", "id-token: write"]);
        for word in ["dispatch failure", "provider was not enabled", "Attempted"] {
            assert!(!said.out.contains(word), "{command} says {word}: {}", said.out);
        }
    }
}
