//! What the roles of one configuration may do: everything that they send, and nothing that nothing sends.

use super::cover::overlap;
use super::scope::repository;
use super::subjects::as_iam;
use super::*;
use crate::adapters::aws::actions::ACTIONS;
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

fn configured(text: &str) -> Config {
    let source = SourceText::new("branchline.yaml", text);
    load(&source, &source).unwrap_or_else(|problems| panic!("{problems}"))
}

fn trust() -> Trust {
    Trust { subject_prefix: "repo:acme/churn".to_owned(), issuer: "token.actions.githubusercontent.com".to_owned() }
}

fn of(text: &str) -> Permissions {
    permissions(&configured(text), &trust()).expect("permissions")
}

fn all() -> Vec<AccountPermissions> {
    of(CONFIG).accounts
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
        "SageMakerExecution" | "SageMakerExecution-feature" => vec![Party::Execution],
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
            let network = role.name.starts_with("SageMakerExecution") && IN_A_NETWORK.contains(&action);
            assert!(known || network, "{} may {action}, and nothing needs it", role.name);
        }
    }
    // Pull requests in both accounts, feature, dev, prod, and the training jobs of feature and dev.
    assert_eq!(seen, 7);
}

const WRITES: &[&str] = &[
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "sagemaker:CreateModelPackage",
    "sagemaker:UpdateModelPackage",
    "sagemaker:DeleteModelPackage",
    "sagemaker:CreateModelPackageGroup",
    "sagemaker:CreateTrainingJob",
    "sagemaker:StopTrainingJob",
];

#[test]
fn a_stage_writes_only_what_it_feeds() {
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
    // Every stage looks at what others hold, and may do no more than that by this role.
    let readers = subjects("branchline-churn-pull-request");
    assert!(readers.starts_with("repo:acme/churn:pull_request "), "{readers}");
    assert!(readers.contains("refs/heads/dev") && readers.contains("refs/heads/prod"), "{readers}");
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

/// One account, and one role of each kind for everything.
const SHARED: &str = r#"
version: 1
project: churn
backend:
  sagemaker:
    region: eu-west-1
    bucket: acme-models
    execution_role_arn: "arn:aws:iam::111122223333:role/churn-training"
    assume_role_arn: "arn:aws:iam::111122223333:role/ml/branchline-churn-dev"
    read_role_arn: "arn:aws:iam::111122223333:role/branchline-churn-pull-request"
models:
  churn: { paths: [train.py], train: { image: "111122223333.dkr.ecr.eu-west-1.amazonaws.com/churn:1", command: x, instance: { type: ml.m5.xlarge }, data: none } }
"#;

/// Resources that a role may change, with what it may never change left out as IAM does it.
fn may_change(role: &Role, arn: &str) -> bool {
    let says = |effect: Effect| {
        role.policy
            .iter()
            .filter(|statement| statement.effect == effect)
            .filter(|statement| statement.actions.iter().any(|action| WRITES.contains(&action.as_str())))
            .any(|statement| statement.resources.iter().any(|pattern| overlap(pattern, arn)))
    };
    says(Effect::Allow) && !says(Effect::Deny)
}

#[test]
fn stages_that_share_a_role_get_one_each_and_the_configuration_to_write() {
    let permissions = of(SHARED);
    let names: Vec<&str> = permissions.accounts[0].roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "branchline-churn-pull-request",
            "branchline-churn-feature",
            "branchline-churn-dev",
            "branchline-churn-prod",
            "churn-training-feature",
            "churn-training"
        ]
    );
    for role in &permissions.accounts[0].roles {
        let subjects = format!("{:?}", role.trust);
        let changes_prod = may_change(role, "arn:aws:sagemaker:eu-west-1:111122223333:model-package/churn-prod/7")
            || may_change(role, "arn:aws:s3:::acme-models/branchline/churn/churn-prod/group.json");
        assert_eq!(changes_prod, role.name == "branchline-churn-prod", "{}", role.name);
        assert!(!changes_prod || !subjects.contains("feature"), "{subjects}");
    }
    let separated: Vec<String> = permissions
        .separated
        .iter()
        .map(|roles| {
            let arn =
                |arn: &Option<String>| arn.as_deref().unwrap_or("-").replace("arn:aws:iam::111122223333:role/", "");
            format!("{} {} {}", roles.stage, arn(&roles.assume_role_arn), arn(&roles.execution_role_arn))
        })
        .collect();
    assert_eq!(
        separated,
        ["feature ml/branchline-churn-feature churn-training-feature", "prod ml/branchline-churn-prod -"]
    );
    // What is written then is what is printed then, and nothing is left to separate.
    let mut written = SHARED.to_owned();
    written.push_str("accounts:\n");
    for roles in &permissions.separated {
        let execution =
            roles.execution_role_arn.as_ref().map_or(String::new(), |arn| format!(", execution_role_arn: \"{arn}\""));
        written.push_str(&format!(
            "  {}: {{ assume_role_arn: \"{}\", read_role_arn: \"{}\"{execution} }}\n",
            roles.stage,
            roles.assume_role_arn.as_deref().expect("a role"),
            roles.read_role_arn.as_deref().expect("a role"),
        ));
    }
    let then = of(&written);
    assert_eq!((then.accounts, then.separated), (permissions.accounts, Vec::new()));
    assert_eq!(conflicts(&configured(&written)), Vec::new());
    assert!(conflicts(&configured(SHARED)).iter().all(Conflict::is_separable));
}

#[test]
fn nothing_that_a_training_job_writes_decides() {
    for text in [CONFIG, SHARED] {
        for role in of(text).accounts.iter().flat_map(|account| &account.roles) {
            let stage = match role.purpose.strip_prefix("training jobs of stage ") {
                Some(rest) => rest.trim_end_matches(" run under it"),
                None => continue,
            };
            let ours = "arn:aws:s3:::acme-models/branchline/churn";
            for record in
                ["stages/dev/trainings/churn-dev-0123456789ab-1/end.json", "stages/feature/open/x", "group.json"]
            {
                assert!(!may_change(role, &format!("{ours}/{record}")), "{} writes {record}", role.name);
            }
            for part in ["runs", "checkpoints"] {
                assert!(may_change(role, &format!("{ours}/{part}/{stage}/a/b")), "{} {part}", role.name);
                let other = if stage == "dev" { "feature" } else { "dev" };
                assert!(!may_change(role, &format!("{ours}/{part}/{other}/a/b")), "{} {part}", role.name);
            }
        }
    }
}

#[test]
fn a_stage_keeps_its_sources_data_and_jobs_to_itself() {
    let all = all();
    for (name, own, other) in
        [("branchline-churn-feature", "feature", "dev"), ("branchline-churn-dev", "dev", "feature")]
    {
        let role = role(&all, name);
        for part in ["trainings/x/spec.json", "sources/0/source.tar.gz", "data/0/a.csv", "open/x", "ended/x"] {
            let at = |stage: &str| format!("arn:aws:s3:::acme-models/branchline/churn/stages/{stage}/{part}");
            assert!(may_change(role, &at(own)), "{name} {part}");
            assert!(!may_change(role, &at(other)), "{name} {part}");
        }
        let job = |stage: &str| {
            format!("arn:aws:sagemaker:eu-west-1:111122223333:training-job/churn-{stage}-0123456789ab-12")
        };
        assert!(may_change(role, &job(own)) && !may_change(role, &job(other)), "{name}");
        let passed = role.policy.iter().find(|one| one.actions == ["iam:PassRole"]).expect("a role to pass");
        assert_eq!(passed.resources.len(), 1, "{passed:?}");
        assert_eq!(passed.resources[0].ends_with("-feature"), own == "feature", "{passed:?}");
    }
}

fn of_many(models: usize, chosen: &str) -> String {
    let mut text = SHARED.split("models:").next().expect("a beginning").replace("project: churn", "project: risk");
    text.push_str("models:\n");
    for number in 1..=models {
        // Nothing that two of them have in common.
        let hash = crate::model::digest::Sha256Digest::of(number.to_string().as_bytes());
        let chosen = chosen.replace("HASH", hash.as_str().get(..60).unwrap_or_default());
        text.push_str(&format!(
            "  model{number}: {{ paths: [m{number}/], train: {{ image: \"111122223333.dkr.ecr.eu-west-1.amazonaws.com/m{number}:1\", \
             instance: {{ type: ml.m5.xlarge }}, command: x, data: {{ train: \"s3://acme-data/m{number}/\" }} }}{} }}\n",
            chosen.replace("NUMBER", &number.to_string())
        ));
    }
    text
}

#[test]
fn a_hundred_models_fit_and_no_pattern_reaches_another_stage() {
    for chosen in ["", ", group_names: { prod: Model-NUMBER-Group }"] {
        let all = of(&of_many(100, chosen)).accounts;
        let prod = if chosen.is_empty() { "risk-model7-prod" } else { "Model-7-Group" };
        for (name, own) in [
            ("branchline-risk-feature", "risk-model7-feature"),
            ("branchline-risk-dev", "risk-model7-dev"),
            ("branchline-risk-prod", prod),
        ] {
            let Some(role) = all[0]
                .roles
                .iter()
                .find(|role| role.name == name || role.purpose == name.replace("branchline-risk-", "stage "))
            else {
                panic!("there is no {name}");
            };
            assert!(role.policy_characters() <= LONGEST_POLICY, "{name}: {}", role.policy_characters());
            for group in ["risk-model7-feature", "risk-model7-dev", prod] {
                for arn in [
                    format!("arn:aws:sagemaker:eu-west-1:111122223333:model-package/{}/3", group.to_lowercase()),
                    format!("arn:aws:sagemaker:eu-west-1:111122223333:model-package-group/{group}"),
                    format!("arn:aws:s3:::acme-models/branchline/risk/{group}/group.json"),
                    // A `*` crosses slashes: a key in the folder of one group may look like that of another.
                    format!("arn:aws:s3:::acme-models/branchline/risk/{group}/index/{own}/x.json"),
                ] {
                    assert_eq!(may_change(role, &arn), group == own, "{name}: {arn}");
                }
            }
            assert!(!may_change(role, "arn:aws:s3:::acme-models/branchline/other/risk-model7-dev/x"), "{name}");
        }
    }
}

#[test]
fn what_iam_would_refuse_is_said_with_its_size() {
    let text = of_many(100, ", group_names: { prod: \"g-HASH\" }");
    let error = permissions(&configured(&text), &trust()).expect_err("it does not fit").to_string();
    assert!(error.starts_with("the policy of role ") && error.contains("IAM allows 10240"), "{error}");
    assert!(error.contains("most of them are ") && error.contains(" more"), "{error}");
}

#[test]
fn roles_that_would_let_a_lower_stage_write_are_refused() {
    let conflict = |change: &dyn Fn(&str) -> String| -> String {
        match permissions(&configured(&change(SHARED)), &trust()) {
            Err(PolicyError::Conflict(conflict)) => conflict.to_string(),
            other => panic!("it is not refused: {other:?}"),
        }
    };
    let reader = conflict(&|text| text.replace("role/branchline-churn-pull-request", "role/ml/branchline-churn-dev"));
    assert!(reader.starts_with("`read_role_arn` names a role that stage feature writes by"), "{reader}");
    // The role that pull requests may assume may be no other stage's, either; nor one that training runs work by.
    let apart = "accounts: { prod: { assume_role_arn: \"arn:aws:iam::111122223333:role/branchline-churn-pull-request\" } }\nmodels:";
    let above = conflict(&|text| text.replace("models:", apart));
    assert!(above.starts_with("`read_role_arn` names a role that stage prod writes by"), "{above}");
    let outputs = conflict(&|text| text.replace("role/branchline-churn-pull-request", "role/churn-training"));
    assert!(outputs.contains("role/churn-training): pull requests could write"), "{outputs}");
    let training = conflict(&|text| text.replace("role/churn-training", "role/ml/branchline-churn-dev"));
    assert!(training.contains("training code could change versions"), "{training}");
    let checkpoint = "data: none, checkpoint: { uri: \"s3://acme-models/branchline/churn/stages/dev/\" }";
    let records = conflict(&|text| text.replace("data: none", checkpoint));
    assert!(records.contains("where Branchline keeps its records"), "{records}");
    let stages = "stages: { feature: { branches: [\"**\"] }, prod: { branches: [\"release-*\"] } }\nmodels:";
    let branches = conflict(&|text| text.replace("models:", stages));
    assert!(branches.contains("`release-*`") && branches.contains("branches of stage feature (`**`)"), "{branches}");
    let digits = "stages: { feature: { branches: [\"v-*\"] }, prod: { branches: [\"v[0-9]+\"] } }\nmodels:";
    let widened = conflict(&|text| text.replace("models:", digits));
    assert!(widened.contains("would trust `v*` (IAM's form of `v[0-9]+`)"), "{widened}");
    // The lower stage leaves those branches out, and IAM reads the pattern as Branchline does.
    let apart =
        "stages: { feature: { branches: [\"**\", \"!release/**\"] }, prod: { branches: [\"release/**\"] } }\nmodels:";
    assert!(permissions(&configured(&SHARED.replace("models:", apart)), &trust()).is_ok());
}

#[test]
fn long_names_of_roles_stay_apart() {
    let project = "a-project-with-a-very-long-name-that-goes-on-and-on-for-ever";
    let text = CONFIG.replace("project: churn", &format!("project: {project}"));
    let names: Vec<String> = of(&text).accounts[0].roles.iter().map(|role| role.name.clone()).collect();
    let distinct: BTreeSet<&String> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
    assert!(names.iter().all(|name| name.len() <= 64), "{names:?}");
}
