//! People's rules: whose rules a command reads, who may give it, who is recorded, and whose review counts.

use super::team::Done;
use super::team::How;
use super::team::Team;
use crate::binary::harness::TRAINS;
use crate::binary::harness::configuration;
use crate::world::github::Act;
use serde_json::json;

/// Auto-approval in `prod`, which the default branch does not grant.
const LAX: &str = "stages: { prod: { branches: [prod], groups: { prod: { approval: auto } } } }\n";

/// A team with an approved dev v1 that stands on prod, too, where it awaits approval as v1.
fn promoted(rules: &str) -> Team {
    let team = Team::with_rules(rules);
    team.change("dev", "one");
    team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
    merge_by_push(&team);
    team.push("prod").expect(0, &["churn-prod v1"]);
    team
}

fn merge_by_push(team: &Team) {
    team.origin.switch("prod");
    team.origin.git(&["merge", "--quiet", "--ff-only", "dev"]);
    team.origin.switch("main");
}

fn by(team: &Team, who: &str, inputs: &[(&str, &str)]) -> Done {
    let inputs: serde_json::Map<String, serde_json::Value> =
        inputs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    team.dispatch(who, "main", &json!(inputs))
}

fn approval(team: &Team, group: &str) -> String {
    team.versions(group).last().map(|(_, approval)| approval.clone()).unwrap_or_default()
}

#[test]
fn reconcile_reads_the_rules_of_the_default_branch_and_says_who_started_it() {
    let team = Team::with_rules("");
    team.change("dev", "one");
    team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
    merge_by_push(&team);
    team.commit("feature-evil", "branchline.yaml", &configuration(LAX));
    team.origin.switch("main");
    team.asks("workflow_dispatch", "ada", "feature-evil", &["reconcile", "--stage", "prod"])
        .expect(0, &["churn-prod v1"]);
    assert_eq!(approval(&team, "churn-prod"), "PendingManualApproval");
    let actor = team.actor_of("churn-prod", "promoted");
    assert!(actor.starts_with("ada https://github.example.com/acme/churn/actions/runs/"), "{actor}");
    team.asks("workflow_dispatch", "eve", "feature-evil", &["reconcile"]).expect(30, &["eve may not reconcile"]);
    team.world.finish();
}

#[test]
fn every_command_of_a_job_reads_the_rules_of_the_default_branch() {
    let team = promoted("permissions: { approve: admin }\napprovers: [zoe]\n");
    team.commit("feature-evil", "branchline.yaml", &configuration(&format!("{LAX}permissions: {{ approve: read }}\n")));
    team.origin.switch("main");
    let approve = ["approve", "--group", "prod", "--version", "1"];
    team.asks("workflow_dispatch", "mia", "feature-evil", &approve)
        .expect(30, &["mia may not approve", "ask for admin"]);
    team.world.with(|state| state.people.insert("mia".to_owned(), ("admin", "admin")));
    team.asks("push", "mia", "feature-evil", &approve).expect(30, &["the rules name who may: zoe"]);
    let named = [&approve[..], &["--actor", "zoe"]].concat();
    team.asks("workflow_dispatch", "mia", "feature-evil", &named).expect(2, &["says already who caused it"]);
    let own_rules = [&approve[..], &["--default-branch", "feature-evil"]].concat();
    team.asks("workflow_dispatch", "mia", "feature-evil", &own_rules).expect(2, &["the default branch is main"]);
    assert_eq!(approval(&team, "churn-prod"), "PendingManualApproval");
    team.world.finish();
}

#[test]
fn nobody_started_a_schedule_and_a_schedule_approves_nothing() {
    let team = promoted("");
    team.asks("schedule", "ada", "main", &["approve", "--group", "prod", "--version", "1"])
        .expect(30, &["a person whom nobody names may not approve"]);
    team.origin.switch("dev");
    team.change("dev", "two");
    team.push("dev").expect(0, &["churn-dev v2"]);
    merge_by_push(&team);
    team.schedule().expect(0, &[]);
    let actor = team.actor_of("churn-prod", "promoted");
    assert!(actor.starts_with("schedule https://"), "{actor}");
    team.world.finish();
}

#[test]
fn a_run_again_is_recorded_as_of_whoever_ran_it() {
    let mut team = Team::with_rules("");
    team.change("dev", "one");
    team.set("GITHUB_TRIGGERING_ACTOR", "mia");
    team.set("GITHUB_RUN_ATTEMPT", "2");
    team.push("dev").expect(0, &["churn-dev v1"]);
    assert!(
        team.actor_of("churn-dev", "registered").starts_with("mia "),
        "{}",
        team.actor_of("churn-dev", "registered")
    );
    team.world.finish();
}

#[test]
fn approvers_bind_every_decision() {
    let team = promoted("permissions: { approve: write, reject: write, rollback: write }\napprovers: [mia]\n");
    let prod = ("group", "churn-prod");
    by(&team, "mia", &[("action", "approve"), prod, ("version", "1")]).expect(0, &[]);
    for inputs in [
        &[("action", "reject"), prod, ("version", "1"), ("reason", "x")][..],
        &[("action", "rollback"), prod, ("reason", "x")],
    ] {
        if inputs[0].1 == "rollback" {
            team.change("dev", "two");
            team.push("dev").expect(0, &["churn-dev v2"]);
            merge_by_push(&team);
            team.push("prod").expect(0, &["churn-prod v2"]);
            by(&team, "mia", &[("action", "approve"), prod, ("version", "2")]).expect(0, &[]);
        }
        by(&team, "ada", inputs).expect(30, &["the rules name who may: mia"]);
        assert_eq!(approval(&team, "churn-prod"), "Approved");
    }
    by(&team, "mia", &[("action", "rollback"), prod, ("reason", "x")]).expect(0, &["churn-prod v3"]);
    team.world.finish();
}

#[test]
fn whoever_wrote_a_commit_does_not_judge_it() {
    let team = promoted("not_author: true\n");
    team.open(7, "dev", "prod");
    team.world.with(|state| {
        state.pulls[0].authors = vec!["ada".to_owned(), "zoe".to_owned()];
        let head = state.pulls[0].head.clone();
        state.commit_authors.insert(head, "kim".to_owned());
        for login in ["ada", "zoe", "kim", "mia"] {
            state.people.insert(login.to_owned(), ("admin", "admin"));
        }
    });
    for who in ["ada", "zoe", "kim"] {
        by(&team, who, &[("action", "approve"), ("group", "churn-prod"), ("version", "1")])
            .expect(30, &["somebody else than its author"]);
    }
    by(&team, "mia", &[("action", "approve"), ("group", "churn-prod"), ("version", "1")]).expect(0, &[]);
    team.world.finish();
}

/// A team that requires reviews, whose pull request #7 from `dev` into `prod` was reported on.
fn to_be_reviewed() -> Team {
    let team = Team::with_rules("require_review: true\n");
    team.change("dev", "one");
    team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
    team.open(7, "dev", "prod");
    team.pull_job(7).expect(0, &["Merging promotes churn 0.1.0"]);
    team
}

#[test]
fn require_review_asks_for_an_approving_review_of_the_head_by_somebody_else_who_may_write() {
    type Reviews = fn(&Team);
    let refused: [(&str, Reviews); 7] = [
        ("nobody but its author approved pull request #7", |_| {}),
        ("nobody but its author approved", |team| team.review(7, "ada", "APPROVED")),
        ("eve approved, without write permission", |team| team.review(7, "eve", "APPROVED")),
        ("nobody but its author approved", |team| team.review(7, "mia", "COMMENTED")),
        ("nobody but its author approved", |team| {
            team.review(7, "mia", "APPROVED");
            team.review(7, "mia", "CHANGES_REQUESTED");
        }),
        ("nobody but its author approved", |team| {
            team.review(7, "mia", "APPROVED");
            team.review(7, "mia", "DISMISSED");
        }),
        ("pull request #7 is a draft", |team| {
            team.review(7, "mia", "APPROVED");
            team.world.with(|state| state.pulls[0].draft = true);
        }),
    ];
    for (why, reviews) in refused {
        let team = to_be_reviewed();
        reviews(&team);
        let merged = team.merge(7, How::MergeCommit);
        let done = team.push("prod").expect(30, &[why]);
        assert!(done.output("plan").contains("review-required"), "{}", done.output("plan"));
        assert_eq!(team.state(&merged), "failure");
        assert!(team.versions("churn-prod").is_empty());
        team.world.finish();
    }
    let team = to_be_reviewed();
    team.review(7, "mia", "APPROVED");
    team.review(7, "mia", "COMMENTED");
    team.merge(7, How::Squash);
    team.push("prod").expect(0, &["churn-prod v1"]);
    team.world.finish();
}

#[test]
fn an_approval_of_an_older_head_is_none_of_the_newer() {
    let team = to_be_reviewed();
    team.review(7, "mia", "APPROVED");
    team.change("dev", "two");
    team.push("dev").expect(0, &["churn-dev v2"]);
    team.pull_job(7).expect(0, &[]);
    team.merge(7, How::MergeCommit);
    team.push("prod").expect(30, &["nobody but its author approved pull request #7"]);
    team.world.finish();
}

#[test]
fn what_was_there_before_does_not_return_without_a_review_either() {
    let team = to_be_reviewed();
    team.review(7, "mia", "APPROVED");
    team.merge(7, How::MergeCommit);
    team.push("prod").expect(0, &["churn-prod v1"]);
    by(&team, "mia", &[("action", "approve"), ("group", "churn-prod"), ("version", "1")]).expect(0, &[]);
    team.change("dev", "two");
    team.push("dev").expect(0, &["churn-dev v2"]);
    by(
        &team,
        "mia",
        &[("action", "promote"), ("from", "churn-dev"), ("group", "churn-prod"), ("version", "2"), ("reason", "now")],
    )
    .expect(0, &["churn-prod v2"]);
    by(&team, "mia", &[("action", "approve"), ("group", "churn-prod"), ("version", "2")]).expect(0, &[]);
    // A push brings the content of v1 back: an older version of the same group, and still nobody looked at it.
    team.commit("prod", "README.md", "again");
    team.push("prod").expect(30, &["require_review"]);
    assert_eq!(team.versions("churn-prod").len(), 2);
    team.world.finish();
}

#[test]
fn the_history_names_the_pull_request_that_promoted_and_who_reviewed_it() {
    // Whether the report named a version, and whose review counts there: eve may not write to the repository.
    let cases = [("", true, json!(["eve", "mia"])), ("", false, json!(["eve", "mia"]))];
    let cases = cases.into_iter().chain([("require_review: true\n", true, json!(["mia"]))]);
    for (rules, reported, reviewers) in cases {
        let team = Team::with_rules(rules);
        team.change("dev", "one");
        team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
        team.open(7, "dev", "prod");
        if reported {
            team.pull_job(7).expect(0, &["Merging promotes churn 0.1.0"]);
        }
        team.review(7, "ada", "APPROVED");
        team.review(7, "mia", "APPROVED");
        team.review(7, "eve", "APPROVED");
        team.merge(7, How::Squash);
        team.push("prod").expect(0, &["churn-prod v1"]);
        by(&team, "mia", &[("action", "approve"), ("group", "churn-prod"), ("version", "1")]).expect(0, &[]);
        let history = team.by_hand(&["history", "churn-prod", "--changes", "--format", "json"]).json();
        let period = &history["periods"][0];
        assert_eq!((&period["pull_request"], &period["reviewed_by"]), (&json!(7), &reviewers), "{history:#}");
        assert_eq!(period["approved"]["by"]["actor"], "mia", "{history:#}");
        let promoted = &history["changes"][0];
        assert_eq!((&promoted["action"], &promoted["by"]["reviewed_by"]), (&json!("promoted"), &reviewers));
        let csv = team.by_hand(&["history", "churn-prod", "--format", "csv"]).out;
        let names: Vec<&str> = reviewers.as_array().expect("a list").iter().filter_map(|name| name.as_str()).collect();
        assert!(csv.contains(&names.join(", ")) && csv.contains("#7"), "{csv}");
        team.world.finish();
    }
}

#[test]
fn a_review_that_cannot_be_read_costs_the_history_a_name_and_nothing_else() {
    let team = Team::with_rules("");
    team.change("dev", "one");
    team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
    team.open(7, "dev", "prod");
    team.pull_job(7).expect(0, &["Merging promotes churn 0.1.0"]);
    team.review(7, "mia", "APPROVED");
    team.merge(7, How::MergeCommit);
    team.world.next("GET", "/pulls/7/reviews", Act::Answer(403, "Resource not accessible by integration"));
    team.push("prod").expect(0, &["churn-prod v1", "pull request 7"]);
    team.world.finish();
}

#[test]
fn limits_bind_a_dispatch_too() {
    let three = "version: 1\nproject: p\nlimits: { max_trainings_per_event: 1 }\nmodels:\n  a: { paths: [train.sh], train: { command: sh train.sh, data: none, hyperparameters: { m: a } } }\n  b: { paths: [train.sh], train: { command: sh train.sh, data: none, hyperparameters: { m: b } } }\n";
    let team = Team::with(three, TRAINS);
    team.change("dev", "one");
    for inputs in [json!({ "action": "run" }), json!({ "action": "train" }), json!(null)] {
        team.dispatch("ada", "dev", &inputs).expect(30, &["limits.max_trainings_per_event"]);
    }
    assert!(!team.home().join("trainings").exists(), "nothing was begun");
    team.dispatch("ada", "dev", &json!({ "action": "train", "model": "a" })).expect(0, &["p-a-dev v1"]);
    team.world.finish();
}

#[test]
fn a_branch_run_in_a_job_of_a_fork_changes_nothing() {
    let team = Team::with_rules("");
    let head = team.change("feature-a", "one");
    team.open(7, "feature-a", "dev");
    let mut payload = team.pull_payload(7);
    payload["pull_request"]["head"]["repo"] = json!({ "id": 99, "full_name": "eve/churn", "fork": true });
    let mut command = team.command("pull_request", &head, &payload);
    command.args(["--branch", "feature-a"]);
    team.done(&mut command).expect(30, &["the pull request comes from a fork"]);
    assert!(!team.home().exists());
    team.world.finish();
}
