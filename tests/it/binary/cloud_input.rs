//! The program where what it was told about the cloud is wrong or not allowed: found before anything is spent, in words that
//! name the key, or the role and the subject.

use super::harness::Project;
use super::harness::TRAINS;
use crate::aws_credentials::GitHub;
use crate::world::aws::DEV;
use crate::world::aws::REGION;
use crate::world::aws::World;
use crate::world::cloud;
use branchline::adapters::system::Stopwatch;
use std::time::Duration;

const WRITER: &str = "arn:aws:iam::222222222222:role/branchline-prod";
const READER: &str = "arn:aws:iam::222222222222:role/branchline-churn-pull-request";
const DEV_WRITER: &str = "arn:aws:iam::111111111111:role/branchline-dev";
const DEV_READER: &str = "arn:aws:iam::111111111111:role/branchline-churn-pull-request";

/// Two models that train in one region: `roles` are more of the place, `more` more rules.
fn configured(region: &str, roles: &str, more: &str) -> String {
    let model = |name: &str| {
        format!(
            "  {name}:
    paths: [train.sh]
    train:
      image: 111111111111.dkr.ecr.eu-central-1.amazonaws.com/churn:1
      command: sh train.sh
      instance: {{ type: ml.m5.large, count: 2, volume_gb: 10 }}
      max_runtime: 2h
      data: none
"
        )
    };
    format!(
        "version: 1
project: churn
backend:
  sagemaker:
    region: {region}
    bucket: acme-ml-dev
    execution_role_arn: arn:aws:iam::111111111111:role/training
{roles}{more}models:
{}{}",
        model("churn"),
        model("fraud")
    )
}

/// A repository whose runs have the keys of `dev` and nothing else.
fn project(world: &World, configuration: &str) -> Project {
    let mut project = Project::with(configuration, TRAINS);
    for (name, value) in world.environment(DEV) {
        project.set(&name, &value);
    }
    project
}

/// No request came that changes or costs anything.
fn is_untouched(world: &World) {
    assert_eq!((world.mutations(), world.count("CreateTrainingJob")), (0, 0), "{:?}", world.requests());
    assert!(world.with(|state| state.place(DEV, REGION).jobs.is_empty()));
}

#[test]
fn a_misspelled_region_is_found_before_any_request() {
    let world = cloud::world();
    let project = project(&world, &configured("eu-wets-1", "", ""));
    for command in ["check", "doctor", "plan", "run", "status", "bootstrap", "iam"] {
        project.run(&[command]).expect(
            20,
            &[
                "branchline.yaml:5:13: `backend.sagemaker.region` is not a region: `eu-wets-1`",
                "    region: eu-wets-1",
                "hint: did you mean `eu-west-1`?",
            ],
        );
    }
    assert_eq!(world.requests().len(), 0);
    project.git.write("branchline.yaml", &configured("eu-west-1a", "", ""));
    project.run(&["check"]).expect(20, &["hint: it is an availability zone of `eu-west-1`: write that"]);
}

/// Nobody waits for minutes to be told of a letter.
#[test]
fn a_region_that_may_be_misspelled_is_said_at_once_where_nobody_answers() {
    let world = cloud::world();
    let mut project = project(&world, &configured("ue-west-1", "", "").replace(REGION, "ue-west-1"));
    project.set("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let waiting = Stopwatch::start();
    let says = "ue-west-1 is no region that this release knows, did you mean us-west-1, eu-west-1 or me-west-1?";
    project.run(&["check"]).expect(0, &["is valid"]);
    project
        .run(&["plan"])
        .expect(50, &["Connection refused", says, "-> Correct `region` in branchline.yaml: in `backend.sagemaker`"]);
    let advice = "advice     region ue-west-1: is not known to this release";
    project.run(&["doctor"]).expect(30, &[advice, "missing    credentials", says, "-> correct `region`"]);
    assert!(waiting.elapsed() < Duration::from_secs(30), "{:?}", waiting.elapsed());
}

#[test]
fn a_region_that_is_newer_than_the_program_works() {
    let world = cloud::world();
    world.add_bucket("acme-ml-alps", DEV, "eu-alpine-1");
    let configuration = configured("eu-alpine-1", "", "").replace("acme-ml-dev", "acme-ml-alps");
    let project = project(&world, &configuration.replace(REGION, "eu-alpine-1"));
    world.with(|state| state.place(DEV, "eu-alpine-1").push_image("churn", "1", "python and sh"));
    project.run(&["bootstrap"]).expect(0, &["group churn-dev made"]);
    let advice = ["advice     region eu-alpine-1: is not known", "bucket acme-ml-alps: is there, in eu-alpine-1"];
    project.run(&["doctor", "--read-only"]).expect(0, &advice);
    project.run(&["plan"]).expect(0, &["would run"]);
}

#[test]
fn limits_of_a_whole_event_cost_nothing() {
    for (limits, says) in [
        (
            "max_hours: 7",
            "limits.max_hours allows 7 machine hours, and the trainings of this event may take 8 (machines times max_runtime): nothing was started",
        ),
        ("max_trainings_per_event: 1", "limits.max_trainings_per_event allows 1, and this event asks for 2"),
    ] {
        let world = cloud::world();
        let project = project(&world, &configured(REGION, "", &format!("limits: {{ {limits} }}\n")));
        for command in ["plan", "run"] {
            project.run(&[command]).expect(30, &[says, "-> "]);
        }
        is_untouched(&world);
        // In CI a branch of one's own does not lift a rule, and who asks for a merge is told before it.
        project.git.git(&["switch", "--quiet", "-c", "feature/more"]);
        project.git.write("branchline.yaml", &configured(REGION, "", ""));
        project.git.commit("no limits");
        project.git.git(&["remote", "add", "origin", "."]);
        project.git.git(&["fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*"]);
        let ci = [("CI", "true")];
        project.run_with(&ci, &["run", "--branch", "feature/more", "--default-branch", "dev"]).expect(30, &[says]);
        let merge = ["plan", "--branch", "feature/more", "--into", "dev", "--format", "md"];
        project.run_with(&ci, &merge).expect(30, &["Merging is blocked by 2 of 2 models: churn: limits."]);
        is_untouched(&world);
        // One model alone is within it.
        if limits.starts_with("max_hours") {
            project.git.switch("dev");
            project.run(&["plan", "--model", "churn"]).expect(0, &["would run"]);
        }
    }
}

#[test]
fn a_role_that_does_not_trust_the_job_is_named_with_its_subject() {
    let world = cloud::world();
    let github = GitHub::start();
    let roles = format!("    assume_role_arn: {DEV_WRITER}\n");
    let mut project = on_github(&world, &github, &configured(REGION, &roles, ""));
    world.trust_identity(DEV_WRITER, "sts.amazonaws.com", "repo:acme/churn:ref:refs/heads/dev");
    for command in ["plan", "run"] {
        let said = project.run(&[command]).expect(
            50,
            &[
                "sts:AssumeRoleWithWebIdentity was refused: AccessDenied",
                DEV_WRITER,
                "may not be assumed by `repo:acme/churn:environment:prod`",
                "(the other form of the same: `repo:acme@7/churn@42:environment:prod`)",
                "-> Let the role's trust policy name this subject, and nothing wider: `branchline iam` prints it.",
            ],
        );
        keeps_its_secrets(&github, &format!("{}{}", said.out, said.err));
    }
    is_untouched(&world);
    // With keys of an account: who asked is named, too.
    project = self::project(&world, &configured(REGION, &roles, ""));
    world.with(|state| state.trust.remove(DEV_WRITER));
    let user = "arn:aws:iam::111111111111:user/tests";
    project.run(&["run"]).expect(
        50,
        &["sts:AssumeRole was refused: AccessDenied", DEV_WRITER, user, "-> Let the role's trust policy name who asks"],
    );
    is_untouched(&world);
}

#[test]
fn a_pull_request_with_the_reading_roles_alone_is_looked_at_and_told() {
    let world = cloud::world();
    let github = GitHub::start();
    let roles = format!("    assume_role_arn: {DEV_WRITER}\n    read_role_arn: {DEV_READER}\n");
    let feature = "arn:aws:iam::111111111111:role/branchline-feature";
    let prod = format!(
        "accounts:\n  feature: {{ assume_role_arn: \"{feature}\", read_role_arn: \"{DEV_READER}\" }}\n  prod: {{ id: \"222222222222\", assume_role_arn: \"{WRITER}\", read_role_arn: \"{READER}\", bucket: acme-ml-prod }}\n"
    );
    let configuration = configured(REGION, &roles, &prod);
    let owner = project(&world, &configuration);
    for role in [DEV_WRITER, WRITER, feature] {
        world.trust_account(role, DEV);
    }
    owner.run(&["bootstrap"]).expect(0, &["group churn-prod made"]);
    for role in [DEV_WRITER, WRITER, feature] {
        world.with(|state| state.trust.remove(role));
        world.trust_identity(role, "sts.amazonaws.com", "repo:acme/churn:ref:refs/heads/dev");
    }
    let pull_request = on_github(&world, &github, &configuration);
    let neither = pull_request.run(&["doctor"]).expect(
        30,
        &[
            "missing    credentials: sts:AssumeRoleWithWebIdentity was refused: AccessDenied",
            DEV_WRITER,
            DEV_READER,
            "repo:acme/churn:environment:prod",
        ],
    );
    keeps_its_secrets(&github, &neither.out);
    for role in [DEV_READER, READER] {
        world.trust_identity(role, "sts.amazonaws.com", "repo:acme/churn:*");
    }
    let before = world.mutations();
    let said = pull_request.run(&["doctor"]).expect(
        0,
        &[
            "arn:aws:sts::111111111111:assumed-role/branchline-churn-pull-request/",
            "arn:aws:sts::222222222222:assumed-role/branchline-churn-pull-request/",
            "bucket acme-ml-prod: is there",
            "group churn-prod: is there",
            "unchecked  writing to s3://acme-ml-dev: is not tried: this job was given `read_role_arn`, because \
             `assume_role_arn` does not trust it",
            "-> ask again in a job of the stage's own branch or environment",
            "0 missing",
        ],
    );
    keeps_its_secrets(&github, &said.out);
    assert_eq!(world.mutations(), before, "who may only read tries nothing else");
}

/// What a developer's machine has in most companies.
#[test]
fn a_profile_that_logs_in_by_identity_center_is_told_how_to_go_on() {
    let mut project = Project::with(&configured(REGION, "", ""), TRAINS);
    let file = project.outside().join("aws.config");
    let profile = "[default]\nsso_start_url = https://acme.awsapps.com/start\nsso_region = eu-central-1\n\
                   sso_account_id = 111111111111\nsso_role_name = developer\n";
    std::fs::write(&file, profile).expect("it can be written");
    project.set("AWS_CONFIG_FILE", &file.display().to_string());
    project.set("AWS_EC2_METADATA_DISABLED", "true");
    for (command, exit) in [("plan", 50), ("doctor", 30)] {
        let says = ["IAM Identity Center (SSO)", "`eval \"$(aws configure export-credentials --format env)\"`"];
        let said = project.run(&[command]).expect(exit, &says);
        assert!(!said.out.contains("cargo"), "{}", said.out);
    }
}

/// A repository whose runs are jobs on GitHub: no keys, but a token for the asking.
fn on_github(world: &World, github: &GitHub, configuration: &str) -> Project {
    let mut project = Project::with(configuration, TRAINS);
    for (name, value) in world.environment(DEV) {
        if !name.contains("KEY") {
            project.set(&name, &value);
        }
    }
    project.set("ACTIONS_ID_TOKEN_REQUEST_URL", &github.environment().url);
    project.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token-of-the-job");
    project
}

/// Neither the token that asks nor one that was given is said.
fn keeps_its_secrets(github: &GitHub, text: &str) {
    assert!(!text.contains("request-token-of-the-job"), "{text}");
    let tokens = github.tokens();
    assert!(!tokens.is_empty() && tokens.iter().all(|token| !text.contains(token.as_str())), "{text}");
}
