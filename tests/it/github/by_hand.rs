//! Workflows started manually: every action, and who may.

use super::team::Done;
use super::team::Team;
use serde_json::json;

/// A team with an approved dev v1 whose content stands on prod, too, where it awaits approval as v1.
fn promoted(rules: &str) -> Team {
    let team = Team::with_rules(rules);
    team.change("dev", "one");
    team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
    team.origin.switch("prod");
    team.origin.git(&["merge", "--quiet", "--ff-only", "dev"]);
    team.push("prod").expect(0, &["churn-prod v1"]);
    team
}

fn by(team: &Team, who: &str, inputs: &[(&str, &str)]) -> Done {
    let inputs: serde_json::Map<String, serde_json::Value> =
        inputs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    team.dispatch(who, "main", &json!(inputs))
}

#[test]
fn every_action_does_what_the_command_line_does() {
    let team = promoted("");
    let prod = ("group", "churn-prod");
    by(&team, "mia", &[("action", "approve"), prod, ("version", "1"), ("reason", "good")])
        .expect(0, &["churn-prod v1"]);
    assert_eq!(team.versions("churn-prod"), [(1, "Approved".to_owned())]);
    by(&team, "mia", &[("action", "freeze"), prod, ("reason", "holidays")]).expect(0, &["frozen"]);
    by(&team, "mia", &[("action", "unfreeze"), prod, ("reason", "back")]).expect(0, &[]);
    // Something else comes to prod, and is taken back.
    team.change("dev", "two");
    team.push("dev").expect(0, &["churn-dev v2"]);
    by(
        &team,
        "mia",
        &[("action", "promote"), ("model", "churn"), ("from", "churn-dev"), prod, ("version", "2"), ("reason", "try")],
    )
    .expect(0, &["churn-prod v2"]);
    by(&team, "mia", &[("action", "approve"), prod, ("version", "v2"), ("reason", "good")]).expect(0, &[]);
    by(&team, "mia", &[("action", "rollback"), prod, ("reason", "it hallucinates")]).expect(0, &["churn-prod v3"]);
    let approvals: Vec<String> = team.versions("churn-prod").into_iter().map(|(_, approval)| approval).collect();
    assert_eq!(approvals, ["Approved", "Rejected", "Approved"]);
    by(&team, "mia", &[("action", "unfreeze"), prod, ("reason", "calm")]).expect(0, &[]);
    by(&team, "mia", &[("action", "reject"), ("group", "churn-dev"), ("version", "2"), ("reason", "bad")])
        .expect(0, &[]);
    by(&team, "mia", &[("action", "reconcile")]).expect(0, &[]);
    by(&team, "mia", &[("action", "prune")]).expect(0, &["with `yes` they do"]);
    // What a person rejected does not come back automatically; something new does.
    team.dispatch("ada", "dev", &json!({ "action": "run" })).expect(30, &["was rejected"]);
    let head = team.change("dev", "three");
    team.dispatch("ada", "dev", &json!({ "action": "run" })).expect(0, &["churn-dev v3"]);
    assert_eq!(team.state(&head), "success");
    let trained = team.dispatch("ada", "dev", &json!({ "action": "train", "again": "true", "reason": "luck" }));
    trained.expect(0, &["churn-dev v4"]);
    team.world.finish();
}

#[test]
fn the_rules_say_who_may() {
    let team = promoted("permissions: { approve: maintain }\napprovers: [mia, ada]\nnot_author: true\n");
    let approve = [("action", "approve"), ("group", "churn-prod"), ("version", "1")];
    for (who, why) in [
        ("eve", "eve may not approve: has the role read, and the rules ask for maintain"),
        ("ada", "ada may not approve: has the role write, and the rules ask for maintain"),
        ("bob", "bob may not approve: has no role in this repository"),
    ] {
        let done = by(&team, who, &approve).expect(30, &[why]);
        assert_eq!(done.writes(), 0);
    }
    // Ada trained it: whoever made it may not judge it, whatever her role.
    team.world.with(|state| state.people.insert("ada".to_owned(), ("admin", "admin")));
    by(&team, "ada", &approve).expect(30, &["somebody else than its author"]);
    team.world.with(|state| state.people.insert("bob".to_owned(), ("admin", "admin")));
    by(&team, "bob", &approve).expect(30, &["the rules name who may: mia, ada"]);
    assert_eq!(team.versions("churn-prod"), [(1, "PendingManualApproval".to_owned())]);
    by(&team, "mia", &approve).expect(0, &[]);
    assert_eq!(team.versions("churn-prod"), [(1, "Approved".to_owned())]);
    team.world.finish();
}

#[test]
fn a_run_again_by_somebody_else_asks_for_their_role() {
    let mut team = promoted("");
    team.set("GITHUB_TRIGGERING_ACTOR", "eve");
    team.set("GITHUB_RUN_ATTEMPT", "2");
    let payload = json!({
        "inputs": { "action": "approve", "group": "churn-prod", "version": "1" }, "ref": "refs/heads/main",
        "repository": Team::repository(), "sender": { "login": "mia" },
    });
    let mut command = team.command("workflow_dispatch", &team.head("main"), &payload);
    command.env("GITHUB_REF", "refs/heads/main").env("GITHUB_ACTOR", "mia");
    team.done(&mut command).expect(30, &["eve may not approve"]);
    team.world.finish();
}

#[test]
fn rules_come_from_the_default_branch_not_from_the_dispatched_one() {
    let team = promoted("permissions: { approve: admin }\n");
    team.commit(
        "feature-mine",
        "branchline.yaml",
        &crate::binary::harness::configuration("permissions: { approve: read }\n"),
    );
    let done =
        team.dispatch("eve", "feature-mine", &json!({ "action": "approve", "group": "churn-prod", "version": "1" }));
    done.expect(30, &["the rules ask for admin"]);
    team.world.finish();
}

#[test]
fn what_cannot_be_read_is_said_and_does_nothing() {
    let team = promoted("");
    for (inputs, exit, sentence) in [
        (json!({ "action": "explode" }), 2, "explode"),
        (json!(null), 0, "no stage has the branch main"),
        (json!({}), 0, "no stage has the branch main"),
        (json!({ "action": "approve", "group": "churn-prod", "version": "first" }), 2, "version"),
        (json!({ "action": "approve", "group": "nowhere", "version": "1" }), 2, "nowhere"),
        (json!({ "action": "approve", "group": "churn-prod", "version": "99" }), 2, "99"),
        (json!({ "action": "repin", "pull_request": "99" }), 2, "99"),
        (json!({ "action": "repin" }), 2, "no open pull request"),
    ] {
        let done = team.dispatch("mia", "main", &inputs);
        let (all, code) = (format!("{}{}{}", done.said.out, done.said.err, done.summary), done.said.exit);
        assert!(all.contains(sentence), "{inputs}: {all}");
        assert_eq!(code, Some(exit), "{inputs}: {all}");
        assert_eq!(done.writes(), 0, "{:#?}", done.sent);
    }
    team.world.finish();
}

#[test]
fn without_a_token_nobody_is_let_in() {
    let mut team = promoted("");
    team.set("GITHUB_TOKEN", "");
    by(&team, "mia", &[("action", "approve"), ("group", "churn-prod"), ("version", "1")])
        .expect(50, &["there is no token to ask GitHub with"]);
    assert_eq!(team.versions("churn-prod"), [(1, "PendingManualApproval".to_owned())]);
    team.world.finish();
}
