//! What the roles of one configuration may do: everything that they send, and nothing that nothing sends.

use super::subjects::as_iam;
use super::*;
use crate::adapters::aws::actions::Action;
use crate::config::SourceText;
use crate::config::load;

const CONFIG: &str = r#"
version: 1
project: churn
backend:
  sagemaker: { region: eu-west-1, bucket: acme-models, execution_role_arn: "arn:aws:iam::111122223333:role/SageMakerExecution", kms_key: alias/models }
accounts:
  prod: { id: "222222222222", assume_role_arn: "arn:aws:iam::222222222222:role/branchline-prod", bucket: acme-models-prod, kms_key: "alias/models" }
models:
  churn:
    paths: [train.py]
    train:
      image: 111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/churn:2026.11
      command: python3 train.py
      instance: { type: ml.m5.xlarge }
      volume_kms_key: alias/volumes
      vpc: { subnets: [subnet-1], security_groups: [sg-1] }
      data: { train: { uri: "s3://acme-data/churn/train/", version_from: "s3://acme-data/churn/MANIFEST.json" } }
    group_names: { prod: ChurnModelGroup }
"#;

fn all() -> Vec<AccountPermissions> {
    let source = SourceText::new("branchline.yaml", CONFIG);
    let config = load(&source, &source).unwrap_or_else(|problems| panic!("{problems}"));
    let trust = Trust {
        subject_prefix: "repo:acme/churn".to_owned(),
        issuer: "token.actions.githubusercontent.com".to_owned(),
    };
    permissions(&config, &trust).expect("permissions")
}

fn role<'a>(all: &'a [AccountPermissions], name: &str) -> &'a Role {
    all.iter().flat_map(|account| &account.roles).find(|role| role.name == name).expect("the role")
}

/// Which parties a role stands for.
fn parties(role: &Role) -> Vec<Party> {
    match role.name.as_str() {
        "branchline-churn-pull-request" => vec![Party::Reader],
        "branchline-churn-dev" | "branchline-churn-feature" => vec![Party::Reader, Party::Trainer],
        "branchline-prod" => vec![Party::Reader, Party::Promoter],
        "SageMakerExecution" => vec![Party::Execution],
        other => panic!("{other} was not expected"),
    }
}

#[test]
fn every_action_is_allowed_for_the_role_that_sends_it_and_nothing_else_is() {
    let all = all();
    let mut seen = 0;
    for role in all.iter().flat_map(|account| &account.roles) {
        seen += 1;
        let parties = parties(role);
        let needed = |action: &&Action| action.needs.iter().any(|(party, _)| parties.contains(party));
        let allowed: BTreeSet<&str> =
            role.policy.iter().flat_map(|statement| &statement.actions).map(String::as_str).collect();
        for action in ACTIONS.iter().filter(needed) {
            assert!(allowed.contains(action.name), "{} may not {}", role.name, action.name);
        }
        for action in allowed {
            let known = ACTIONS.iter().filter(needed).any(|known| known.name == action);
            let network = role.name == "SageMakerExecution" && IN_A_NETWORK.contains(&action);
            assert!(known || network, "{} may {action}, and nothing needs it", role.name);
        }
    }
    // Pull requests in both accounts, feature, dev, prod, and the trainings.
    assert_eq!(seen, 6);
}

#[test]
fn a_stage_writes_only_what_it_feeds() {
    const WRITES: &[&str] = &[
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "sagemaker:CreateModelPackage",
        "sagemaker:UpdateModelPackage",
        "sagemaker:DeleteModelPackage",
        "sagemaker:CreateModelPackageGroup",
    ];
    let all = all();
    for (name, own, foreign) in [
        ("branchline-churn-dev", "churn-dev", ["churn-feature", "ChurnModelGroup", "acme-models-prod"]),
        ("branchline-churn-feature", "churn-feature", ["churn-dev", "ChurnModelGroup", "222222222222"]),
        ("branchline-prod", "ChurnModelGroup", ["churn-dev", "churn-feature", "arn:aws:s3:::acme-models/"]),
    ] {
        let writing: Vec<&Statement> = role(&all, name)
            .policy
            .iter()
            .filter(|statement| statement.actions.iter().any(|action| WRITES.contains(&action.as_str())))
            .collect();
        let resources: Vec<&String> = writing.iter().flat_map(|statement| &statement.resources).collect();
        assert!(resources.iter().any(|arn| arn.contains(own)), "{name}: {resources:?}");
        for arn in resources {
            assert!(arn.as_str() != "*" && foreign.iter().all(|text| !arn.contains(text)), "{name} writes {arn}");
        }
    }
    let reader = role(&all, "branchline-churn-pull-request");
    let writes = reader.policy.iter().flat_map(|statement| &statement.actions).any(|a| WRITES.contains(&a.as_str()));
    assert!(!writes);
}

#[test]
fn each_role_is_taken_on_by_its_own_jobs_alone() {
    let all = all();
    let subjects = |name: &str| {
        let trust = &role(&all, name).trust[0];
        let condition = trust.conditions.iter().find(|(_, key, _)| key.ends_with(":sub")).expect("a subject");
        condition.2.join(" ")
    };
    // Trainings compare with what stands elsewhere: they read there, and nothing promotes from there by that role.
    let readers = subjects("branchline-churn-pull-request");
    assert!(readers.starts_with("repo:acme/churn:pull_request "), "{readers}");
    assert!(readers.contains("refs/heads/dev") && !readers.contains("prod"), "{readers}");
    assert_eq!(subjects("branchline-prod"), "repo:acme/churn:ref:refs/heads/prod repo:acme/churn:environment:prod");
    assert_eq!(
        subjects("branchline-churn-feature"),
        "repo:acme/churn:ref:refs/heads/feature-* repo:acme/churn:ref:refs/heads/feature/* \
         repo:acme/churn:environment:feature"
    );
}

#[test]
fn prod_reads_in_the_account_of_dev() {
    let all = all();
    let dev = all.iter().find(|account| account.account == "111122223333").expect("the default account");
    let (bucket, statements) = dev.buckets.first().expect("a policy of the bucket");
    assert_eq!(bucket, "acme-models");
    let reader = ("AWS", vec!["arn:aws:iam::222222222222:role/branchline-prod".to_owned()]);
    assert!(statements.iter().all(|statement| statement.principals.as_ref() == Some(&reader)), "{statements:?}");
    assert_eq!(statements[0].resources, ["arn:aws:s3:::acme-models/branchline/churn/*"]);
    assert_eq!(dev.keys.len(), 1);
    let sources = role(&all, "branchline-prod").policy.iter().find(|one| one.sid == "ProdPromoterSources");
    assert_eq!(sources.expect("sources").resources, ["arn:aws:s3:::acme-models/branchline/churn/*"]);
}

#[test]
fn names_of_statements_differ_and_policies_fit() {
    for role in all().iter().flat_map(|account| &account.roles) {
        let sids: BTreeSet<&str> = role.policy.iter().map(|statement| statement.sid.as_str()).collect();
        assert_eq!(sids.len(), role.policy.len(), "{}", role.name);
        assert!(sids.iter().all(|sid| sid.chars().all(|c| c.is_ascii_alphanumeric())), "{sids:?}");
        // Amazon's bound on the policies inside of a role.
        let size = crate::model::iam::document(&role.policy).to_string().len();
        assert!(size < 10_240, "{}: {size}", role.name);
    }
}

#[test]
fn images_and_branches_are_written_as_amazon_does() {
    let arn = repository("aws", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/churn@sha256:0");
    assert_eq!(arn.as_deref(), Some("arn:aws:ecr:eu-west-1:111122223333:repository/team/churn"));
    assert_eq!(repository("aws", "docker.io/library/python:3"), None);
    assert_eq!(as_iam("feature/**"), "feature/*");
    assert_eq!(as_iam("release-[0-9]+"), "release-*");
}
