//! The first day, step by step as docs/github.md tells it: the default branch trains, or it is the one that promotes.

use super::team::How;
use super::team::Team;
use crate::binary::harness::TRAINS;

/// The script on `main`, `dev` and `prod`, and the configuration on a branch of its own that nobody merged yet.
fn before_the_first_day(stages: &str) -> Team {
    let team = Team::bare();
    team.origin.write("train.sh", TRAINS);
    team.origin.commit("first");
    for branch in ["dev", "prod", "install"] {
        team.origin.git(&["branch", branch]);
    }
    let models = "models: { churn: { paths: [train.sh], train: { command: sh train.sh, data: none } } }";
    team.commit("install", "branchline.yaml", &format!("version: 1\nproject: acme\n{stages}{models}\n"));
    team
}

#[test]
fn the_first_release_is_judged_by_the_rules_of_the_default_branch() {
    let stages = "stages:\n  dev: { branches: [main] }\n  prod: { branches: [prod], promote_from: [dev] }\n";
    let team = before_the_first_day(stages);
    team.open(3, "install", "main");
    team.pull_job(3).expect(0, &[]);
    assert!(team.comment(3).contains("Once it is merged there, pushes to"), "{}", team.comment(3));
    team.merge(3, How::MergeCommit);
    team.push("main").expect(0, &["churn-dev v1 is Approved"]);
    team.open(4, "main", "prod");
    team.pull_job(4).expect(0, &["Merging promotes churn 0.1.0"]);
    team.merge(4, How::MergeCommit);
    let done = team.push("prod").expect(0, &["churn-prod v1"]);
    assert!(!done.output("plan").contains("unreviewed"), "{}", done.output("plan"));
    assert_eq!(done.output("version"), "1");
    team.world.finish();
}

#[test]
fn what_the_first_pull_request_promises_comes_true_where_the_default_branch_promotes() {
    let stages = "stages:\n  dev: { branches: [dev] }\n  prod: { branches: [main], promote_from: [dev] }\n";
    let team = before_the_first_day(stages);
    team.open(3, "install", "dev");
    team.pull_job(3).expect(0, &[]);
    assert!(team.comment(3).contains("Once it is merged there, pushes to"), "{}", team.comment(3));
    team.merge(3, How::MergeCommit);
    let done = team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
    assert!(done.output("plan").contains("first-rules"), "{}", done.output("plan"));
    team.open(4, "dev", "main");
    team.pull_job(4).expect(0, &["Merging promotes churn 0.1.0"]);
    team.merge(4, How::MergeCommit);
    let done = team.push("main").expect(0, &["churn-prod v1"]);
    assert!(!done.output("plan").contains("first-rules"), "{}", done.output("plan"));
    team.world.finish();
}

#[test]
fn in_the_cloud_the_first_pull_request_promises_nothing_that_only_the_default_branch_can_allow() {
    let team = before_the_first_day("");
    let cloud = "version: 1\nproject: acme\n\
        backend: { sagemaker: { region: eu-central-1, bucket: acme-ml, execution_role_arn: 'arn:aws:iam::111111111111:role/training' } }\n\
        models: { churn: { paths: [train.sh], train: { image: '111111111111.dkr.ecr.eu-central-1.amazonaws.com/churn:1', \
        command: sh train.sh, data: none, max_runtime: 2h, instance: { type: ml.m5.large, volume_gb: 10 } } } }\n";
    team.commit("install", "branchline.yaml", cloud);
    team.open(3, "install", "dev");
    team.pull_job(3).expect(0, &[]);
    let comment = team.comment(3);
    assert!(comment.contains("main has no branchline.yaml yet"), "{comment}");
    assert!(!comment.contains("dev has no branchline.yaml"), "{comment}");
    team.merge(3, How::MergeCommit);
    team.push("dev").expect(0, &["main has no branchline.yaml yet"]);
    team.world.finish();
}

#[test]
fn without_any_rules_nothing_is_promoted_to_a_branch_that_is_not_the_default_one() {
    let stages = "stages:\n  dev: { branches: [dev] }\n  prod: { branches: [prod], promote_from: [dev] }\n";
    let team = before_the_first_day(stages);
    for branch in ["dev", "prod"] {
        team.origin.switch(branch);
        team.origin.git(&["merge", "--quiet", "--ff-only", "install"]);
    }
    team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
    team.push("prod").expect(0, &["main has no branchline.yaml yet"]);
    assert!(team.versions("churn-prod").is_empty());
    team.world.finish();
}

#[test]
fn a_job_that_runs_again_hands_on_the_same_version_and_says_that_nothing_changed() {
    let team = Team::with_rules("");
    team.change("dev", "one");
    let first = team.push("dev").expect(0, &[]);
    let again = team.push("dev").expect(0, &[]);
    for name in ["group", "version", "semver", "fingerprint", "code-id", "sha256", "artifact", "metrics"] {
        assert!(!first.output(name).is_empty(), "{name}");
        assert_eq!(first.output(name), again.output(name), "{name}");
    }
    assert_eq!((first.output("changed"), again.output("changed")), ("true", "false"));
    team.world.finish();
}

#[test]
fn a_promotion_and_an_approval_hand_on_their_version_each_time() {
    let team = Team::with_rules("");
    team.change("dev", "one");
    team.push("dev").expect(0, &[]);
    team.origin.switch("prod");
    team.origin.git(&["merge", "--quiet", "--ff-only", "dev"]);
    for changed in ["true", "false"] {
        let done = team.push("prod").expect(0, &[]);
        assert_eq!((done.output("group"), done.output("version")), ("churn-prod", "1"));
        assert_eq!(done.output("changed"), changed);
    }
    let inputs = serde_json::json!({ "action": "approve", "group": "churn-prod", "version": "1", "reason": "good" });
    for changed in ["true", "false"] {
        let done = team.dispatch("mia", "dev", &inputs).expect(0, &[]);
        assert_eq!((done.output("version"), done.output("changed")), ("1", changed));
    }
    team.world.finish();
}

#[test]
fn a_configuration_that_cannot_be_read_still_writes_the_outputs() {
    let team = Team::with_rules("");
    team.commit("dev", "branchline.yaml", "version: 1\nproject: [\n");
    let done = team.push("dev").expect(20, &[]);
    assert_eq!((done.output("verdict"), done.output("results")), ("errored", "[]"));
    assert_eq!(done.output("changed"), "false");
    team.world.finish();
}
