//! Versions, artifacts and groups that somebody changed from outside.

use super::MODEL;
use super::Team;
use crate::stories::told;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::PROD;
use crate::world::aws::PROD_BUCKET;
use crate::world::aws::REGION;
use crate::world::cloud::session;
use aws_sdk_sagemaker::types::ModelApprovalStatus;
use branchline::facts::group::GroupLook;
use branchline::model::git::CommitSha;
use branchline::model::history::Attribution;
use branchline::model::name::TargetName;
use branchline::model::verdict::Verdict;
use branchline::model::version::VersionNumber;
use branchline::plan::goal::Aim;
use branchline::plan::goal::Goal;
use branchline::plan::goal::Task;
use branchline::plan::route::model_rules;
use serde_json::Value;
use serde_json::json;

/// The artifact of the one version in a bucket.
fn artifact(team: &Team, bucket: &str) -> Option<String> {
    let keys = team.world().keys(bucket, "branchline/").into_iter();
    let mut found = keys.filter(|key| {
        key.ends_with("/model.tar.gz")
            && key.contains("/churn-")
            && !key.contains("/stages/")
            && !key.contains("/runs/")
    });
    found.next()
}

/// Somebody decides in SageMaker Studio.
fn in_studio(team: &Team, account: &str, approval: &str) {
    let arn = team.newest(account).arn;
    team.world().set_approval(account, &arn, approval);
    team.world().with(|state| {
        let package = state.place(account, REGION).packages.get_mut(&arn).expect("it is there");
        package.request["LastModifiedBy"] = json!({ "UserProfileName": "ana" });
    });
}

/// What the history of a group tells, newest last: action, actor and where it was done.
async fn history(team: &Team, number: usize) -> String {
    let head = CommitSha::parse(&team.laptop.repository.git(&["rev-parse", "HEAD"])).expect("a commit");
    let (config, drive) = team.laptop.run_for(&head).await;
    let (_, _, group) = config.groups().nth(number).expect("a group");
    let entries = drive.ports.registry.history(group, None, None).await.expect("a readable history");
    serde_json::to_string(&entries).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_was_deleted_is_not_promoted() {
    let team = Team::new();
    team.trained().await;
    let key = artifact(&team, DEV_BUCKET).expect("an artifact");
    team.world().with(|state| state.buckets.get_mut(DEV_BUCKET).expect("a bucket").objects.remove(&key));
    team.push("prod").await.ends(Verdict::Errored, &["promoting", "port-failed"]).says(&[
        &format!("s3://{DEV_BUCKET}/{key}"),
        "-> The object was removed from outside. Restore it in the bucket, or make it anew: `branchline train --again",
    ]);
    assert_eq!((team.versions(PROD), artifact(&team, PROD_BUCKET)), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_was_replaced_is_not_promoted() {
    let team = Team::new();
    team.trained().await;
    let key = artifact(&team, DEV_BUCKET).expect("an artifact");
    team.world().put(DEV_BUCKET, &key, "something else");
    team.push("prod").await.ends(Verdict::Errored, &["promoting", "port-failed"]).says(&[
        &format!("s3://{DEV_BUCKET}/{key}"),
        "is not what it was: sha256:",
        "was expected, and it is sha256:",
        "-> Somebody replaced the object. Restore its former version in the bucket, or train again",
    ]);
    assert_eq!((team.versions(PROD), artifact(&team, PROD_BUCKET)), (0, None));
    assert_eq!(team.world().object(DEV_BUCKET, &key).as_deref(), Some(&b"something else"[..]), "it stays as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_object_where_the_artifact_goes_is_not_overwritten() {
    let team = Team::new();
    team.trained().await;
    let key = artifact(&team, DEV_BUCKET).expect("an artifact");
    let theirs = key.replace("churn-dev", "churn-prod");
    assert_ne!(key, theirs);
    team.world().put(PROD_BUCKET, &theirs, "theirs");
    team.push("prod").await.ends(Verdict::Errored, &["promoting", "port-failed"]).says(&[&theirs, "-> "]);
    assert_eq!(team.versions(PROD), 0);
    assert_eq!(team.world().object(PROD_BUCKET, &theirs).as_deref(), Some(&b"theirs"[..]));
}

/// Branchline has no artifact of a version that others registered: nobody can have it copied, also by its number.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_others_is_not_promoted_although_a_person_names_it() {
    let team = Team::new();
    team.trained().await;
    let theirs = session(team.world(), DEV, DEV_BUCKET).await;
    let made = theirs.sagemaker.create_model_package().model_package_group_name("churn-dev");
    made.model_approval_status(ModelApprovalStatus::Approved).send().await.expect("somebody may do that");
    let head = CommitSha::parse(&team.laptop.repository.git(&["rev-parse", "HEAD"])).expect("a commit");
    let (config, drive) = team.laptop.run_for(&head).await;
    let target = |name: &str| TargetName::parse(name).expect("a name");
    let version = VersionNumber(2);
    let aim = Aim::PromoteByHand { from: target("dev"), to: target("prod"), version, named: true };
    let rules = config.models.keys().find_map(|model| model_rules(&config, model)).expect("a model");
    let goal = Goal { aim, by: Attribution::default(), run_attempt: 1, predicts: false };
    let outcomes = drive.run(vec![Task { goal, rules }]).await;
    assert_eq!(outcomes[0].verdict, Verdict::Blocked, "{}", told(&outcomes));
    assert!(told(&outcomes).contains("Branchline keeps no artifact of it"), "{}", told(&outcomes));
    assert_eq!(team.versions(PROD), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_in_studio_blocks_a_promotion() {
    let team = Team::new();
    team.trained().await;
    in_studio(&team, DEV, "Rejected");
    team.push("prod").await.ends(Verdict::Blocked, &["no-promotable-version"]).says(&[
        "no version in churn-dev matches this commit's content: 0.1.0 (churn-dev v1) is Rejected\n",
        "-> commit something better; or, to take the rejection back: branchline approve --group churn-dev --version 1",
    ]);
    assert_eq!((team.versions(PROD), team.jobs().len()), (0, 1));
    // The next writer of the group journals what Ana did.
    team.commit(&[("score", "0.90")]);
    team.push("dev").await.ends(Verdict::Passed, &["registering"]);
    let told = history(&team, 0).await;
    assert!(told.contains(r#""actor":"ana","event":"SageMaker""#), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_in_studio_counts() {
    let team = Team::new();
    team.trained().await;
    team.push("prod").await.ends(Verdict::Passed, &["promoting"]);
    assert_eq!(team.newest(PROD).approval(), "PendingManualApproval");
    in_studio(&team, PROD, "Approved");
    team.push("prod").await.ends(Verdict::Passed, &["already-current"]);
    assert_eq!(team.versions(PROD), 1);
    let head = CommitSha::parse(&team.laptop.repository.git(&["rev-parse", "prod"])).expect("a commit");
    let (config, drive) = team.laptop.run_for(&head).await;
    let (_, _, group) = config.groups().last().expect("a group");
    let facts = drive.ports.registry.look(group, &GroupLook::default()).await.expect("a readable group");
    assert_eq!(facts.current_number().map(|number| number.0), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_another_repository_is_left_alone() {
    let team = Team::new();
    team.push("dev").await.ends(Verdict::Passed, &["registering"]);
    let keys = team.world().keys(DEV_BUCKET, "branchline/");
    let key = keys.iter().find(|key| key.ends_with("/group.json")).expect("the group's record").clone();
    let mut record: Value =
        serde_json::from_slice(&team.world().object(DEV_BUCKET, &key).expect("it is there")).expect("JSON");
    record["owner"] = json!({ "host_id": null, "remote": "github.com/acme/other", "root": "1".repeat(40) });
    team.world().put(DEV_BUCKET, &key, record.to_string());
    team.commit(&[("score", "0.90")]);
    team.world().reset_requests();
    team.push("dev").await.ends(Verdict::Blocked, &["foreign-group"]).says(&["github.com/acme/other", "-> "]);
    assert_eq!((team.jobs().len(), team.versions(DEV), team.changes()), (1, 1, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_nobody_here_may_make() {
    let team = Team::new();
    team.world().deny(DEV, "sagemaker:CreateModelPackageGroup");
    team.push("dev").await.ends(Verdict::Errored, &["registering", "port-failed"]).says(&[
        "sagemaker:CreateModelPackageGroup",
        "User: arn:aws:iam::111111111111:user/tests is not authorized to perform",
        "-> Allow sagemaker:CreateModelPackageGroup for this role",
    ]);
    assert_eq!((team.jobs().len(), team.versions(DEV)), (1, 0));
    team.world().with(|state| state.denied.clear());
    team.push("dev").await.ends(Verdict::Passed, &["registering"]);
    assert_eq!((team.jobs().len(), team.versions(DEV)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_metrics_and_parameters_than_a_package_takes() {
    let parameters: Vec<String> = (0..45).map(|n| format!("p{n}: 'value {n}'")).collect();
    let train = "train: { command: sh train.sh, data: none";
    let with = format!("{train}, hyperparameters: {{ {} }}", parameters.join(", "));
    let script = "cp score \"$SM_MODEL_DIR/model.txt\"
{ printf '{\"accuracy\": 0.8'; for n in $(seq 60); do printf ', \"m%s\": 0.%s' $n $n; done; printf '}'; } \
> \"$SM_OUTPUT_DATA_DIR/metrics.json\"
";
    let team = Team::writing(&MODEL.replace(train, &with), script);
    team.push("dev").await.ends(Verdict::Passed, &["registering"]);
    assert_eq!(team.newest(DEV).metadata().len(), 50);
    let head = CommitSha::parse(&team.laptop.repository.git(&["rev-parse", "dev"])).expect("a commit");
    let (config, drive) = team.laptop.run_for(&head).await;
    let (_, _, group) = config.groups().next().expect("a group");
    let facts = drive.ports.registry.look(group, &GroupLook::default()).await.expect("a readable group");
    let content = facts.current.expect("a version").content;
    assert_eq!((content.metrics.len(), content.lineage.hyperparameters.len()), (61, 45));
    assert_eq!(content.lineage.hyperparameters["p44"], "value 44");
    assert!(team.world().violations().is_empty(), "{:?}", team.world().violations());
    // Nothing is lost on the way to prod either.
    team.merged();
    team.push("prod").await.ends(Verdict::Passed, &["promoting"]);
    assert_eq!(team.newest(PROD).metadata().len(), 50);
}
