//! One check on a commit, several that look at it: pull requests of one head, the push, and Apps that are not ours.

use super::team::How;
use super::team::Team;
use crate::binary::harness::TRAINS;
use crate::binary::harness::configuration;
use crate::world::github::state::CheckRun;
use serde_json::json;
use std::net::TcpListener;

const GATED: &str = "    gates: { accuracy: { min: 0.95 } }\n";

/// A team whose `feature-x` misses the gate of every branch but `feature-decoy`, where the gate is lax.
fn with_a_decoy() -> (Team, String) {
    let team = Team::with(&configuration(GATED), TRAINS);
    team.commit("feature-decoy", "branchline.yaml", &configuration("    gates: { accuracy: { min: 0.0 } }\n"));
    team.origin.switch("main");
    let head = team.change("feature-x", "bad");
    team.push("feature-x").expect(30, &["failed its gates"]);
    (team, head)
}

#[test]
fn a_second_pull_request_of_the_same_head_turns_nothing_green() {
    let (team, head) = with_a_decoy();
    team.open(7, "feature-x", "dev");
    team.pull_job(7).expect(30, &["Merging is blocked"]);
    team.open(8, "feature-x", "feature-decoy");
    team.pull_job(8).expect(0, &[]);
    assert_eq!(team.state(&head), "failure");
    let check = team.check(&head);
    assert!(check.title.as_deref().is_some_and(|title| title.starts_with("#7: Merging is blocked")), "{check:#?}");
    // The other way round, and again: the order does not matter.
    team.pull_job(7).expect(30, &[]);
    team.pull_job(8).expect(0, &[]);
    assert_eq!(team.state(&head), "failure");
    // The one that says no is closed: the other's answer is what is left.
    team.world.with(|state| state.pulls[0].state = "closed");
    team.pull_job(8).expect(0, &[]);
    assert_eq!(team.state(&head), "success");
    team.world.finish();
}

#[test]
fn statuses_show_the_worst_of_the_pull_requests_of_a_head_too() {
    let rules = |min: &str| {
        format!("{}report: statuses\n", configuration(&format!("    gates: {{ accuracy: {{ min: {min} }} }}\n")))
    };
    let team = Team::with(&rules("0.95"), TRAINS);
    team.commit("feature-decoy", "branchline.yaml", &rules("0.0"));
    team.origin.switch("main");
    let head = team.change("feature-x", "bad");
    team.push("feature-x").expect(30, &["failed its gates"]);
    team.open(7, "feature-x", "dev");
    team.pull_job(7).expect(30, &[]);
    team.open(8, "feature-x", "feature-decoy");
    team.pull_job(8).expect(0, &[]);
    let state = team.world.with(|state| {
        let newest = state.statuses.iter().rfind(|status| status.sha == head && status.context == "branchline");
        newest.map(|status| status.state.clone())
    });
    assert_eq!(state.as_deref(), Some("failure"));
    team.world.finish();
}

#[test]
fn each_pull_request_keeps_its_own_review_record() {
    let team = Team::with_rules("");
    let head = team.change("dev", "one");
    team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
    team.open(7, "dev", "prod");
    team.pull_job(7).expect(0, &["Merging promotes churn 0.1.0"]);
    team.open(8, "dev", "main");
    team.pull_job(8);
    // A failure before any verdict is a report like any other.
    let mut payload = team.pull_payload(8);
    payload["pull_request"]["base"]["ref"] = json!("feature-broken");
    team.commit("feature-broken", "branchline.yaml", "models: 3\n");
    team.origin.switch("main");
    payload["pull_request"]["base"]["sha"] = json!(team.head("feature-broken"));
    team.job("pull_request", &head, &payload).expect(20, &[]);
    let text = team.check(&head).text.expect("a text");
    assert!(text.contains("\"pull_request\":7"), "{text}");
    assert_eq!(team.state(&head), "failure");
    team.merge(7, How::Squash);
    let done = team.push("prod").expect(0, &["churn-prod v1"]);
    assert!(!done.output("plan").contains("unreviewed"), "{}", done.output("plan"));
    team.world.finish();
}

#[test]
fn what_another_app_wrote_is_no_record_of_ours() {
    let team = Team::with_rules("require_review: true\n");
    let head = team.change("dev", "one");
    team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
    team.open(7, "dev", "prod");
    team.pull_job(7).expect(0, &["Merging promotes churn 0.1.0"]);
    // The same check, as an App of somebody else would write it; ours is gone.
    team.world.with(|state| {
        for run in state.checks.iter_mut().filter(|run| run.sha == head) {
            run.app = "other-app".to_owned();
        }
    });
    team.review(7, "mia", "APPROVED");
    team.merge(7, How::MergeCommit);
    team.push("prod").expect(30, &["named no version"]);
    let by_them: Vec<CheckRun> =
        team.world.with(|state| state.checks.iter().filter(|run| run.app == "other-app").cloned().collect());
    assert!(by_them.iter().all(|run| run.conclusion.as_deref() == Some("success")), "theirs is left alone");
    team.world.finish();
}

#[test]
fn no_role_or_account_that_a_base_branch_names_is_used() {
    let mut team = Team::with_rules("");
    let cloud = "version: 1\nproject: churn\nbackend:\n  sagemaker: { region: eu-west-1, bucket: attacker-bucket, execution_role_arn: \"arn:aws:iam::666666666666:role/x\", assume_role_arn: \"arn:aws:iam::666666666666:role/trap\" }\nmodels:\n  churn:\n    paths: [train.sh]\n    train: { image: \"x/y@sha256:1111111111111111111111111111111111111111111111111111111111111111\", command: sh train.sh, instance: { type: ml.m5.xlarge }, data: none }\n";
    team.commit("feature-decoy", "branchline.yaml", cloud);
    team.origin.git(&["switch", "--quiet", "-C", "feature-x", "feature-decoy"]);
    team.change("feature-x", "one");
    team.open(7, "feature-x", "feature-decoy");
    let amazon = TcpListener::bind("127.0.0.1:0").expect("a port");
    amazon.set_nonblocking(true).expect("a listener");
    let address = format!("http://{}", amazon.local_addr().expect("an address"));
    for (name, value) in [
        ("AWS_ENDPOINT_URL", address.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIAJOBJOBJOBJOB"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ] {
        team.set(name, value);
    }
    let pushed = team.push("feature-x");
    let asked = team.pull_job(7);
    let rules = team.commit("feature-own-rules", "branchline.yaml", cloud);
    team.open(8, "feature-own-rules", "dev");
    let own = team.pull_job(8);
    let met = amazon.accept().map(|(_, from)| from);
    assert!(met.is_err(), "{rules}: somebody called: {met:?}\n{pushed:#?}\n{asked:#?}\n{own:#?}");
    team.world.finish();
}
