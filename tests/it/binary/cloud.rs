//! `iam`, `doctor` and `bootstrap`: setting a cloud backend up, as far as that can be seen without one.

use super::harness::Project;

const SCRIPT: &str = "exit 0\n";

const CONFIGURATION: &str = r#"version: 1
project: churn
backend:
  sagemaker: { region: eu-west-1, bucket: acme-models, execution_role_arn: "arn:aws:iam::111122223333:role/SageMakerExecution" }
accounts:
  prod: { id: "222222222222", assume_role_arn: "arn:aws:iam::222222222222:role/branchline-prod", bucket: acme-models-prod }
models:
  churn:
    paths: [train.sh]
    train: { image: "111122223333.dkr.ecr.eu-west-1.amazonaws.com/churn:1", command: sh train.sh, instance: { type: ml.m5.large }, data: none }
"#;

#[test]
fn iam_prints_the_roles_of_each_account_for_the_repository() {
    let project = Project::with(CONFIGURATION, SCRIPT);
    let all = project.run(&["iam", "--repository", "acme/churn"]).expect(0, &[]).json();
    let names = |account: usize| -> Vec<&str> {
        let roles = all["accounts"][account]["roles"].as_array().expect("roles");
        roles.iter().filter_map(|role| role["name"].as_str()).collect()
    };
    assert_eq!(
        names(0),
        [
            "branchline-churn-pull-request",
            "branchline-churn-feature",
            "branchline-churn-dev",
            "SageMakerExecution-feature",
            "SageMakerExecution"
        ]
    );
    assert_eq!(names(1), ["branchline-churn-pull-request", "branchline-prod"]);
    let feature = &all["configuration"]["accounts"]["feature"]["execution_role_arn"];
    assert_eq!(feature, "arn:aws:iam::111122223333:role/SageMakerExecution-feature");
    let characters = &all["accounts"][0]["roles"][1]["characters"];
    assert!(characters["policy"].as_u64() < characters["policy_allowed"].as_u64(), "{characters}");
    assert_eq!(all["accounts"][0]["bucket_policies"][0]["bucket"], "acme-models");

    let prod = project.run(&["iam", "--repository", "acme/churn", "--role", "prod"]).expect(0, &[]);
    let subjects = "repo:acme/churn:ref:refs/heads/prod";
    assert!(prod.out.contains(subjects) && !prod.out.contains("refs/heads/dev"), "{}", prod.out);

    let terraform = ["iam", "--format", "terraform", "--repository", "acme/churn"];
    project.run(&terraform).expect(2, &["each account is set up by itself", "111122223333, 222222222222"]);
    let one = [&terraform[..], &["--account", "222222222222"]].concat();
    project.run(&one).expect(0, &["resource \"aws_iam_role\" \"branchline_prod\""]);
    let template = ["iam", "--format", "cloudformation", "--repository", "acme/churn", "--account", "111122223333"];
    let template = project.run(&template).expect(0, &[]).json();
    assert_eq!(template["Resources"]["BranchlineChurnDev"]["Type"], "AWS::IAM::Role");

    project.run(&["iam", "--repository", "acme"]).expect(2, &["is not the name of a repository"]);
    project.run(&["iam", "--repository", "acme/churn", "--role", "x"]).expect(2, &["there is no role x"]);
    project.run(&["iam", "--repository", "acme/churn", "--account", "1"]).expect(2, &["uses no account 1"]);
    // Ids in the subject, as newer repositories have them.
    let prefix = ["iam", "--subject-prefix", "repo:acme@1/churn@2", "--role", "pull-request"];
    project.run(&prefix).expect(0, &["repo:acme@1/churn@2:pull_request"]);
}

const SHARED: &str = r#"version: 1
project: churn
backend:
  sagemaker: { region: eu-west-1, bucket: acme-models, execution_role_arn: "arn:aws:iam::111122223333:role/training", assume_role_arn: "arn:aws:iam::111122223333:role/branchline" }
models:
  churn:
    paths: [train.sh]
    train: { image: "111122223333.dkr.ecr.eu-west-1.amazonaws.com/churn:1", command: sh train.sh, instance: { type: ml.m5.large }, data: none }
"#;

#[test]
fn a_role_that_stages_share_is_refused_by_check_and_separated_by_iam() {
    let project = Project::with(SHARED, SCRIPT);
    let said =
        ["stages dev and prod share the role arn:aws:iam::111122223333:role/branchline", "the versions of churn-prod"];
    project.run(&["check"]).expect(20, &said);
    let json = project.run(&["check", "--format", "json"]).expect(20, &[]).json();
    assert_eq!(json["valid"], false);
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(3), "{json}");
    let printed = project.run(&["iam", "--repository", "acme/churn"]).expect(0, &[
        "Each stage has a role of its own here, and the configuration names one for several. For feature and prod, write",
        "  prod: { assume_role_arn: \"arn:aws:iam::111122223333:role/branchline-churn-prod\" }",
    ]);
    assert!(printed.out.contains("branchline-churn-feature"), "{}", printed.out);
    // A reader that writes cannot be separated: nothing is printed.
    let reader = SHARED
        .replace("assume_role_arn", "read_role_arn: \"arn:aws:iam::111122223333:role/branchline\", assume_role_arn");
    let mut project = Project::with(&reader, SCRIPT);
    for (name, value) in NOBODY {
        project.set(name, value);
    }
    let refused = project.run(&["iam", "--repository", "acme/churn"]).expect(20, &["pull requests could write"]);
    assert!(!refused.out.contains("Statement"), "{}", refused.out);
    project.run(&["doctor"]).expect(50, &["missing    separation of stages: `read_role_arn` names a role"]);
}

/// An AWS that does not answer.
const NOBODY: [(&str, &str); 4] = [
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
    ("AWS_ACCESS_KEY_ID", "nobody"),
    ("AWS_SECRET_ACCESS_KEY", "nothing"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

#[test]
fn doctor_says_what_could_not_be_found_out() {
    let mut project = Project::with(CONFIGURATION, SCRIPT);
    for (name, value) in NOBODY {
        project.set(name, value);
    }
    let said = project.run(&["doctor", "--stage", "dev"]);
    let said = said.expect(50, &["account 111122223333, eu-west-1 (dev)", "unknown    credentials", "1 unknown"]);
    assert!(!said.out.contains("222222222222"), "{}", said.out);
    let json = project.run(&["doctor", "--stage", "prod", "--format", "json"]).expect(50, &[]).json();
    let standings: Vec<&str> =
        json["findings"].as_array().expect("findings").iter().filter_map(|one| one["standing"].as_str()).collect();
    assert_eq!(standings, ["advice", "unknown"]);
    project.run(&["bootstrap", "--dry-run"]).expect(50, &["could not make the group", "Can this machine reach Amazon"]);
    project.run(&["doctor", "--stage", "qa"]).expect(2, &["there is no stage qa", "feature, dev, prod"]);
}

#[test]
fn without_a_cloud_there_is_nothing_to_set_up() {
    let project = Project::with_script(SCRIPT);
    project.run(&["doctor"]).expect(2, &["nothing of the backend is in the cloud"]);
    project.run(&["bootstrap"]).expect(2, &["nothing of the backend is in the cloud"]);
    project.run(&["iam", "--repository", "acme/churn"]).expect(20, &["nothing of the backend is in the cloud"]);
}

/// CloudFormation takes no longer template directly, as `iam` itself says where one is.
#[test]
fn the_template_of_a_hundred_models_is_one_that_cloudformation_takes() {
    let mut text = "version: 1\nproject: risk\nbackend: { sagemaker: { region: eu-west-1, bucket: acme-models, \
        account_id: \"111122223333\", execution_role_arn: \"arn:aws:iam::111122223333:role/t\", \
        assume_role_arn: \"arn:aws:iam::111122223333:role/branchline-risk-dev\" } }\nmodels:\n"
        .to_owned();
    for number in 1..=100 {
        text.push_str(&format!(
            "  model{number}: {{ paths: [m{number}/], train: {{ image: \"111122223333.dkr.ecr.eu-west-1.amazonaws.com/m{number}:1\", \
             instance: {{ type: ml.m5.xlarge }}, command: x, data: {{ train: \"s3://acme-data/m{number}/\" }} }} }}\n"
        ));
    }
    let project = Project::with(&text, "true");
    let said = project.run(&["iam", "--repository", "acme/risk", "--format", "cloudformation"]);
    assert_eq!(said.exit, Some(0), "{}", said.err);
    assert!(said.out.len() <= 51_200, "{} bytes", said.out.len());
}
