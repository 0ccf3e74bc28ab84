//! The program with its backend in the cloud: from a push to production in another account, left and finished, and as
//! a job that may only read.

use super::harness::Project;
use super::harness::TRAINS;
use super::harness::group;
use crate::aws_credentials::GitHub;
use crate::world::aws::DEV;
use crate::world::aws::PROD;
use crate::world::aws::PROD_BUCKET;
use crate::world::aws::REGION;
use crate::world::aws::World;
use crate::world::cloud;

/// The role that writes in the account of production.
const WRITER: &str = "arn:aws:iam::222222222222:role/branchline-prod";
/// The role that reads there.
const READER: &str = "arn:aws:iam::222222222222:role/branchline-churn-pull-request";

/// A configuration: `backend` and `prod` are more of these two places.
fn configured(backend: &str, prod: &str, more: &str) -> String {
    format!(
        r#"version: 1
project: churn
backend:
  sagemaker: {{ region: eu-central-1, bucket: acme-ml-dev, execution_role_arn: "arn:aws:iam::111111111111:role/training"{backend} }}
accounts:
  prod: {{ id: "222222222222", assume_role_arn: "{WRITER}", bucket: acme-ml-prod{prod} }}
{more}models:
  churn:
    paths: [train.sh]
    train:
      image: 111111111111.dkr.ecr.eu-central-1.amazonaws.com/churn:1
      command: sh train.sh
      instance: {{ type: ml.m5.large, count: 1, volume_gb: 10 }}
      max_runtime: 1h
      data: none
    gates: {{ accuracy: {{ min: 0.5, max_drop: 0.1 }} }}
"#
    )
}

/// A project whose runs work with the key of the account of `dev`, and its AWS, in which the role of `prod` trusts
/// that account.
fn scene(configuration: &str) -> (World, Project) {
    let world = cloud::world();
    world.trust_account(WRITER, DEV);
    let mut project = Project::with(configuration, TRAINS);
    for (name, value) in world.environment(DEV) {
        project.set(&name, &value);
    }
    (world, project)
}

/// Nobody of an account may take on a role any more.
fn distrust(world: &World, role: &str) {
    world.with(|state| state.trust.remove(role));
}

fn jobs(world: &World) -> Vec<String> {
    world.with(|state| state.place(DEV, REGION).jobs.keys().cloned().collect())
}

fn release(project: &Project, number: &str) {
    project.git.switch("dev");
    project.git.write("train.sh", &format!("# {number}\n{TRAINS}"));
    project.git.commit(number);
    project.run(&["run"]).expect(0, &[&format!("churn-dev v{number} is Approved")]);
    project.git.switch("prod");
    project.git.git(&["merge", "--quiet", "dev"]);
    project.run(&["run"]).expect(0, &[&format!("churn-prod v{number} is PendingManualApproval")]);
    project.run(&["approve", "--group", "prod", "--version", number]).expect(0, &["becomes current"]);
}

#[test]
fn a_model_goes_from_a_push_to_production_in_another_account_and_back() {
    let (world, project) = scene(&configured("", "", ""));
    let pushed = project.run(&["run"]);
    pushed.expect(
        0,
        &["churn-dev v1 is Approved", "1 x ml.m5.large", "charged", "https://eu-central-1.console.aws.amazon.com/"],
    );
    assert_eq!(jobs(&world).len(), 1);
    let before = world.mutations();
    project.run(&["run"]).expect(0, &["not trained"]);
    assert_eq!(world.mutations(), before, "a second look changes nothing");

    project.git.switch("prod");
    project.run(&["run"]).expect(0, &["churn-prod v1 is PendingManualApproval"]);
    let copied = world.versions(PROD, "churn-prod");
    let request = copied[0].request.to_string();
    assert!(request.contains(PROD_BUCKET) && !request.contains("s3://acme-ml-dev/"), "{request}");
    project.run(&["approve", "--group", "prod", "--version", "1"]).expect(0, &["becomes current"]);
    release(&project, "2");

    let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(
        (&group(&status, "churn-dev")["current"], &group(&status, "churn-prod")["current"]),
        (&2.into(), &2.into())
    );
    project.run(&["status"]).expect(0, &["churn-dev", "churn-prod"]);
    project.run(&["show", "churn-prod", "1"]).expect(0, &["1 x ml.m5.large, charged", "accuracy 0.9"]);
    project.run(&["history", "churn-prod", "--changes"]).expect(0, &["approve"]);
    // The artifact comes out of the bucket of its own account, verified, and its page can be opened.
    let got = project.run(&["get", "prod", "-o", "../prod.tar.gz", "--format", "json"]).expect(0, &[]).json();
    let shown = project.run(&["show", "prod", "2", "--format", "json"]).expect(0, &[]).json();
    let file = std::fs::read(project.outside().join("prod.tar.gz")).expect("the file");
    assert_eq!(shown["sha256"], branchline::model::digest::Sha256Digest::of(&file).to_string());
    assert_eq!((&got["version"], &got["location"]), (&2.into(), &shown["location"]));
    assert!(shown["location"].as_str().is_some_and(|uri| uri.starts_with(&format!("s3://{PROD_BUCKET}/"))), "{shown}");
    let page = format!("https://{REGION}.console.aws.amazon.com/s3/object/{PROD_BUCKET}?region={REGION}&prefix=");
    assert!(shown["location_url"].as_str().is_some_and(|url| url.starts_with(&page)), "{shown}");
    project.run(&["diff", "prod:1", "prod:2"]).expect(0, &["churn-prod v1", "accuracy"]);

    project
        .run(&["rollback", "--group", "prod", "--reason", "false alarms"])
        .expect(0, &["to 0.1.0 (churn-prod v1)", "churn-prod v3 is Approved"]);
    project.run(&["unfreeze", "--group", "prod", "--reason", "fixed"]).expect(0, &["may change automatically again"]);
    project.run(&["freeze", "--group", "prod", "--reason", "holidays"]).expect(0, &["churn-prod"]);
    let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
    let prod = group(&status, "churn-prod");
    assert_eq!((&prod["current"], &prod["frozen"]["by"]["reason"]), (&3.into(), &"holidays".into()));
    assert!(world.keys(PROD_BUCKET, "branchline/churn/churn-prod/").len() > 3);
    assert!(!project.home().join("registry.db").exists(), "nothing is kept on this machine");
    world.assert_clean();
}

#[test]
fn a_run_that_does_not_wait_leaves_and_reconcile_finishes() {
    let (world, project) = scene(&configured("", "", "wait: 0s\n"));
    project.git.write("train.sh", &format!("sleep 4\n{TRAINS}"));
    project.git.commit("slow");
    project.run(&["run"]).expect(0, &["waiting"]);
    let names = jobs(&world);
    assert_eq!(names.len(), 1);
    world.wait_for_job(DEV, &names[0]);
    assert!(world.versions(DEV, "churn-dev").is_empty());
    project.run(&["reconcile"]).expect(0, &["churn-dev v1 is Approved"]);
    let before = world.mutations();
    project.run(&["reconcile"]).expect(0, &["not trained"]);
    assert_eq!((jobs(&world).len(), world.mutations()), (1, before));
    world.assert_clean();
}

#[test]
fn in_the_wrong_account_nothing_is_written() {
    let (world, project) = scene(&configured(r#", account_id: "111111111111""#, "", ""));
    world.trust_account(WRITER, PROD);
    let mut stranger = Project::with(&configured(r#", account_id: "111111111111""#, "", ""), TRAINS);
    for (name, value) in world.environment(PROD) {
        stranger.set(&name, &value);
    }
    stranger
        .run(&["run"])
        .expect(50, &["WrongAccount", "account 222222222222", "says 111111111111", "nothing was written"]);
    let said = stranger.run(&["doctor", "--stage", "dev"]);
    said.expect(
        30,
        &["missing    credentials", "and the configuration says 111111111111", "-> use credentials of that"],
    );
    assert_eq!(world.mutations(), 0);
    // The right account, and a bucket that is somebody else's.
    world.add_bucket("acme-ml-others", "333333333333", REGION);
    let others = configured("", "", "").replace("bucket: acme-ml-dev", "bucket: acme-ml-others");
    project.git.write("branchline.yaml", &others);
    project.git.commit("another bucket");
    project.run(&["run"]).expect(50, &["AccessDenied", "branchline iam"]);
    assert!(jobs(&world).is_empty() && world.keys("acme-ml-others", "").is_empty());
}

#[test]
fn a_job_that_may_only_read_compares_with_production_and_leaves_it_alone() {
    let reads = format!(", read_role_arn: \"{READER}\"");
    let (world, project) = scene(&configured("", &reads, ""));
    release(&project, "1");
    // From here on, this job is one of `dev`.
    distrust(&world, WRITER);
    project.git.switch("dev");
    project.git.write("train.sh", &format!("# 2\n{}", TRAINS.replace("0.9", "0.6")));
    project.git.commit("worse");
    project.run(&["plan"]).expect(50, &[WRITER, "may not be assumed", "read_role_arn"]);
    world.trust_account(READER, DEV);
    project.run(&["run"]).expect(30, &["accuracy 0.6", "churn-prod"]);
    let named =
        |role: &str| world.with(|state| state.assumed.iter().filter(|one| one.role == role && one.granted).count());
    assert!(named(READER) > 0);

    // What waits there is left to a job that may.
    let prod = world.versions(PROD, "churn-prod").len();
    let left = project.run(&["reconcile"]);
    left.expect(0, &["may not assume the role of the stage prod", "branchline reconcile --stage prod"]);
    let refused = project.run(&["freeze", "--group", "prod", "--reason", "no right to"]);
    refused.expect(50, &["ReadingRole", "only reads: nothing was written", "in a job of the stage's own branch"]);
    assert_eq!(world.versions(PROD, "churn-prod").len(), prod);
    project.run(&["status"]).expect(0, &["churn-prod"]);
    let looked = project.run(&["doctor", "--stage", "prod"]);
    looked
        .expect(0, &["unchecked  writing to s3://acme-ml-prod: is not tried", "owner of churn-prod: this repository"]);
    // A job of production may.
    world.trust_account(WRITER, DEV);
    project.run(&["reconcile", "--stage", "prod"]).expect(0, &["churn (prod at "]);

    let said = project.run(&["iam", "--repository", "acme/churn", "--role", "pull-request", "--account", PROD]);
    for subject in ["repo:acme/churn:pull_request", "repo:acme/churn:ref:refs/heads/dev", "read_role_arn"] {
        assert!(said.out.contains(subject), "{subject} in {}", said.out);
    }
    // Jobs of every stage may read there, and this role writes nothing.
    assert!(said.out.contains("refs/heads/prod") && !said.out.contains("s3:PutObject"), "{}", said.out);
}

#[test]
fn prune_leaves_what_this_job_only_reads_to_one_that_may_change_it() {
    let reads = format!(", read_role_arn: \"{READER}\"");
    let keep = "keep:\n  dev: { last: 1, per: group }\n  prod: { last: 1, per: group }\n";
    let (world, project) = scene(&configured("", &reads, keep));
    for number in ["1", "2", "3", "4"] {
        release(&project, number);
    }
    distrust(&world, WRITER);
    // Without a look at production nobody knows what it needs of dev.
    project.run(&["prune", "--yes"]).expect(50, &["may not be assumed", "read_role_arn"]);
    world.trust_account(READER, DEV);
    let before = world.versions(PROD, "churn-prod").len();
    // What production has come from, dev keeps for it.
    let said = project.run(&["prune", "--yes"]);
    said.expect(0, &["left: group churn-prod: this job only reads it", "nothing to remove"]);
    assert_eq!((world.versions(PROD, "churn-prod").len(), world.versions(DEV, "churn-dev").len()), (before, before));
    // A job of production may take its own away, and what only those needed.
    world.trust_account(WRITER, DEV);
    project.run(&["prune", "--yes"]).expect(0, &["removed version churn-prod v1", "removed version churn-dev v1"]);
    assert!(world.versions(PROD, "churn-prod").len() < before);
    project.run(&["prune"]).expect(0, &["nothing to remove"]);
    world.assert_clean();
}

#[test]
fn a_job_on_github_takes_its_roles_on_with_its_own_token() {
    let writer = "arn:aws:iam::111111111111:role/branchline-dev";
    let world = cloud::world();
    let github = GitHub::start();
    let feature = "arn:aws:iam::111111111111:role/branchline-feature";
    let configuration = configured(&format!(", assume_role_arn: \"{writer}\""), "", "")
        .replace("accounts:\n", &format!("accounts:\n  feature: {{ assume_role_arn: \"{feature}\" }}\n"));
    let mut project = Project::with(&configuration, TRAINS);
    for (name, value) in world.environment(DEV) {
        if !name.contains("KEY") {
            project.set(&name, &value);
        }
    }
    project.set("ACTIONS_ID_TOKEN_REQUEST_URL", &github.environment().url);
    project.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token-of-the-job");
    let doctor = ["doctor", "--stage", "dev", "--read-only"];
    let refused = project.run(&doctor).expect(30, &["missing    credentials", "repo:acme/churn:environment:prod"]);
    assert!(!refused.out.contains("request-token-of-the-job"), "{}", refused.out);
    for role in [writer, feature, WRITER] {
        world.trust_identity(role, "sts.amazonaws.com", "repo:acme/churn:*");
    }
    project.run(&["bootstrap"]).expect(0, &["group churn-dev made", "group churn-prod made"]);
    let seen = project.run(&doctor).expect(0, &["arn:aws:sts::111111111111:assumed-role/branchline-dev/branchline"]);
    assert!(seen.out.contains("owner of churn-dev: nobody yet"), "{}", seen.out);
    project.run(&["plan"]).expect(0, &["would run"]);
    world.assert_clean();
}
