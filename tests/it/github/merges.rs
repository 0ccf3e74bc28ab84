//! A merge into a promoting stage: exactly what its pull request showed goes forward.

use super::team::How;
use super::team::Team;
use crate::binary::harness::TRAINS;
use crate::binary::harness::configuration;
use serde_json::json;

/// A team whose pull request #7 from `dev` into `prod` has shown dev v1, and whose dev has v2 by now.
fn reviewed(rules: &str) -> (Team, String) {
    let team = Team::with_rules(rules);
    let head = team.change("dev", "one");
    team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
    team.open(7, "dev", "prod");
    team.pull_job(7).expect(0, &["Merging promotes churn 0.1.0"]);
    team.dispatch("ada", "dev", &json!({ "action": "train", "again": "true", "reason": "more luck" }))
        .expect(0, &["churn-dev v2"]);
    (team, head)
}

/// Which version of `dev` each version of `prod` came from.
fn sources(team: &Team) -> Vec<String> {
    team.group("churn-prod").iter().map(|version| version["source"].to_string()).collect()
}

#[test]
fn every_kind_of_merge_promotes_what_was_reviewed_though_a_newer_one_exists() {
    for how in [How::MergeCommit, How::Squash, How::Rebase] {
        let (team, head) = reviewed("");
        let comment = team.comment(7);
        assert!(
            comment.contains("(churn-dev v2) is newer and has the same content, but is not in the review"),
            "{how:?}\n{comment}"
        );
        let text = team.check(&head).text.expect("a text");
        assert!(text.contains("\"number\":1"), "{text}");
        let merged = team.merge(7, how);
        team.push("prod").expect(0, &["churn-prod v1"]);
        assert_eq!(team.state(&merged), "success", "{how:?}");
        assert!(sources(&team)[0].contains('1'), "{how:?}: {:?}", sources(&team));
        team.world.finish();
    }
}

#[test]
fn repin_takes_what_is_newest_now() {
    let (team, head) = reviewed("");
    let done =
        team.dispatch("ada", "dev", &json!({ "action": "repin", "pull_request": "7", "reason": "v2 is better" }));
    done.expect(0, &[]);
    let text = team.check(&head).text.expect("a text");
    assert!(text.contains("\"number\":2"), "{text}");
    assert!(!team.comment(7).contains("is newer"), "{}", team.comment(7));
    team.merge(7, How::Squash);
    team.push("prod").expect(0, &["churn-prod v1"]);
    assert!(sources(&team)[0].contains('2'), "{:?}", sources(&team));
    team.world.finish();
}

#[test]
fn a_reviewed_version_that_was_rejected_meanwhile_blocks_and_nothing_else_takes_its_place() {
    let (team, _) = reviewed("");
    team.dispatch(
        "mia",
        "dev",
        &json!({ "action": "reject", "group": "churn-dev", "version": "1", "reason": "biased" }),
    )
    .expect(0, &[]);
    let merged = team.merge(7, How::Squash);
    let done = team.push("prod").expect(30, &["#7"]);
    assert!(done.output("plan").contains("review-moved"), "{}", done.output("plan"));
    assert_eq!(team.state(&merged), "failure");
    assert!(team.versions("churn-prod").is_empty());
    team.world.finish();
}

#[test]
fn without_a_record_it_is_unreviewed_or_blocked_where_the_rules_ask_for_a_review() {
    for (rules, exit, code) in [("", 0, "unreviewed"), ("require_review: true\n", 30, "review-required")] {
        let team = Team::with_rules(rules);
        let head = team.change("dev", "one");
        team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
        team.origin.switch("prod");
        team.origin.git(&["merge", "--quiet", "--ff-only", "dev"]);
        let done = team.push("prod").expect(exit, &[]);
        assert!(done.output("plan").contains(code), "{}", done.output("plan"));
        assert_eq!(team.state(&head), if exit == 0 { "success" } else { "failure" });
        team.world.finish();
    }
}

#[test]
fn statuses_keep_the_record_beside_the_registry() {
    let (team, head) = reviewed("report: statuses\n");
    assert!(team.world.with(|state| state.checks.is_empty()), "no check is written");
    team.merge(7, How::Squash);
    let done = team.push("prod").expect(0, &["churn-prod v1"]);
    assert!(!done.output("plan").contains("unreviewed"), "{}", done.output("plan"));
    assert!(sources(&team)[0].contains('1'), "{:?}", sources(&team));
    team.world.with(|state| {
        assert!(state.statuses.iter().any(|status| status.sha == head && status.state == "success"));
    });
    team.world.finish();
}

#[test]
fn report_none_writes_nothing_and_still_keeps_the_record() {
    let (team, _) = reviewed("report: none\n");
    let merged = team.merge(7, How::MergeCommit);
    team.push("prod").expect(0, &["churn-prod v1"]);
    assert!(sources(&team)[0].contains('1'), "{:?}", sources(&team));
    team.world.with(|state| {
        assert!(state.checks.is_empty() && state.statuses.is_empty() && state.comments.is_empty(), "{merged}");
    });
    team.world.finish();
}

#[test]
fn a_run_of_the_push_again_does_not_take_the_record_away() {
    let team = Team::with(&configuration(""), TRAINS);
    let head = team.change("dev", "one");
    team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
    team.open(7, "dev", "prod");
    team.pull_job(7).expect(0, &[]);
    team.push("dev").expect(0, &["not trained"]);
    let text = team.check(&head).text.expect("a text");
    assert!(text.contains("<!-- branchline:review {"), "{text}");
    team.world.finish();
}

#[test]
fn a_promotion_with_nothing_to_do_asks_little() {
    let (team, _) = reviewed("");
    team.merge(7, How::MergeCommit);
    team.push("prod").expect(0, &["churn-prod v1"]);
    let again = team.push("prod").expect(0, &[]);
    assert!(again.sent.len() <= 6, "{:#?}", again.sent);
    team.world.finish();
}
