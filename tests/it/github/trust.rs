//! Foreign code, foreign rules, machines that forget.

use super::team::Team;
use crate::binary::harness::TRAINS;
use crate::binary::harness::configuration;
use serde_json::Value;
use serde_json::json;

#[test]
fn forks_and_dependabot_cause_no_write_and_get_their_plan_in_the_summary() {
    for dependabot in [false, true] {
        let team = Team::with_rules("");
        let head = team.change("feature-a", "one");
        team.open(7, "feature-a", "dev");
        let mut payload = team.pull_payload(7);
        if dependabot {
            payload["pull_request"]["user"]["login"] = json!("dependabot[bot]");
        } else {
            payload["pull_request"]["head"]["repo"] = json!({ "id": 99, "full_name": "eve/churn", "fork": true });
        }
        let done = team.job("pull_request", &head, &payload).expect(0, &["Merging trains churn"]);
        assert_eq!(done.writes(), 0, "{:#?}", done.sent);
        assert!(done.summary.contains("Merging trains churn"), "{}", done.summary);
        assert!(team.versions("churn-dev").is_empty());
        team.world.finish();
    }
}

#[test]
fn an_event_of_a_fork_reads_the_checkout_only_and_leaves_no_trace() {
    let outside = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(outside.path().join("sets")).expect("a folder");
    std::fs::write(outside.path().join("sets/key"), "topsecret").expect("a file");
    let sets = outside.path().join("sets").display().to_string();
    for (data, words) in [
        (format!("{{ train: {sets} }}"), "Branchline reads nothing there for an event of a fork"),
        (format!("{{ train: {sets}/no-such-file }}"), "Branchline reads nothing there for an event of a fork"),
        ("{ train: /proc/self/environ }".to_owned(), "a folder of the system"),
        ("{ train: train.sh }".to_owned(), "Merging trains churn"),
    ] {
        // Not even what the rules allow for this repository's own pushes.
        let team = Team::with_rules(&format!("data_roots: [{sets}]\n"));
        let rules = format!("{}data_roots: [{sets}]\n", configuration(""));
        let head = team.commit("feature-a", "branchline.yaml", &rules.replace("data: none", &format!("data: {data}")));
        team.open(7, "feature-a", "dev");
        let mut payload = team.pull_payload(7);
        payload["pull_request"]["head"]["repo"] = json!({ "id": 99, "full_name": "eve/churn", "fork": true });
        let done = team.job("pull_request", &head, &payload);
        assert!(done.summary.contains(words), "{data}: {}", done.summary);
        assert_eq!(done.writes(), 0, "{:#?}", done.sent);
        assert!(!team.home().exists(), "{data}: something was written");
        team.world.finish();
    }
}

#[test]
fn an_event_with_our_rights_and_foreign_code_is_refused() {
    let team = Team::with_rules("");
    let head = team.change("feature-a", "one");
    team.open(7, "feature-a", "dev");
    let pull = team.pull_payload(7);
    let run = json!({
        "action": "completed", "workflow_run": { "head_sha": head, "head_branch": "feature-a", "event": "pull_request" },
        "repository": Team::repository(), "sender": { "login": "eve" },
    });
    for (event, payload) in [("pull_request_target", &pull), ("workflow_run", &run)] {
        let done =
            team.job(event, &head, payload).expect(30, &[&format!("`{event}` runs with this repository's rights")]);
        assert_eq!(done.writes(), 0, "{:#?}", done.sent);
        assert!(!team.home().exists());
    }
    // Where the base is checked out, no foreign code is here: it counts as foreign, and nothing is written.
    let base = team.head("dev");
    let done = team.job("pull_request_target", &base, &pull);
    assert_eq!(done.writes(), 0, "{:#?}", done.sent);
    team.world.finish();
}

#[test]
fn rules_come_through_the_host_where_the_checkout_has_them_not() {
    let team = Team::with(&configuration("    gates: { accuracy: { min: 0.95 } }\n"), TRAINS);
    let head = team.commit("dev", "branchline.yaml", &configuration("    gates: { accuracy: { min: 0.1 } }\n"));
    team.depth_one.set(true);
    let done = team.push("dev").expect(30, &["failed its gates: accuracy 0.9, required >= 0.95"]);
    assert!(done.sent.iter().any(|sent| sent.contains("/contents/branchline.yaml?ref=")), "{:#?}", done.sent);
    assert_eq!(team.state(&head), "failure");
    team.world.finish();
}

#[test]
fn a_branch_that_an_earlier_job_left_in_a_shallow_checkout_vouches_for_nothing() {
    let team = Team::with(&configuration("    gates: { accuracy: { min: 0.1 } }\n"), TRAINS);
    team.depth_one.set(true);
    team.commit("main", "README.md", "an earlier job fetches main");
    team.push("main");
    team.commit("main", "branchline.yaml", &configuration("    gates: { accuracy: { min: 0.95 } }\n"));
    team.commit("dev", "README.md", "a later job fetches dev alone");
    team.push("dev").expect(30, &["failed its gates: accuracy 0.9, required >= 0.95"]);
    team.world.finish();
}

#[test]
fn rules_that_were_fetched_too_long_ago_are_not_the_rules_of_the_host() {
    let team = Team::with(&configuration("    gates: { accuracy: { min: 0.1 } }\n"), TRAINS);
    team.push("main");
    team.commit("main", "branchline.yaml", &configuration("    gates: { accuracy: { min: 0.95 } }\n"));
    team.commit("dev", "README.md", "a later job");
    team.fetches_only.set(true);
    team.push("dev").expect(30, &["failed its gates: accuracy 0.9, required >= 0.95"]);
    team.world.finish();
}

#[test]
fn a_registry_that_ends_with_the_job_is_refused() {
    let mut team = Team::with_rules("");
    team.change("dev", "one");
    let home = team.home().display().to_string();
    let work = team.outside().join("work").display().to_string();
    let inside = format!("{work}/not/../state");
    for (hosting, home, why) in [
        ("github-hosted", home.as_str(), "a GitHub-hosted runner is deleted after the job"),
        ("github-hosted", "", "no state directory is named"),
        ("self-hosted", "", "no state directory is named"),
        ("self-hosted", "./state", "is inside the checkout"),
        ("self-hosted", inside.as_str(), "is inside the checkout"),
        ("", inside.as_str(), "is inside the checkout"),
    ] {
        team.set("RUNNER_ENVIRONMENT", hosting);
        team.set("BRANCHLINE_HOME", home);
        let done = team.push("dev").expect(20, &[why]);
        for way in ["sagemaker", "BRANCHLINE", "self-hosted"] {
            assert!(done.summary.contains(way), "{way}: {}", done.summary);
        }
        assert_eq!((done.output("verdict"), done.output("exit-code")), ("errored", "20"));
    }
    team.set("RUNNER_ENVIRONMENT", "self-hosted");
    team.set("BRANCHLINE_HOME", &home);
    // The runner clears its temporary folder with each job; other folders of the machine stay.
    team.set("RUNNER_TEMP", &team.outside().display().to_string());
    team.push("dev").expect(20, &["is inside the runner's temporary folder"]);
    team.set("RUNNER_TEMP", "");
    team.push("dev").expect(0, &["churn-dev v1"]);
    team.world.finish();
}

#[test]
fn the_rules_may_say_that_a_disk_outlives_a_hosted_runner() {
    let mut team = Team::with_rules("state: { outlives_job: true }\n");
    team.set("RUNNER_ENVIRONMENT", "github-hosted");
    team.change("dev", "one");
    team.push("dev").expect(0, &["churn-dev v1"]);
    team.set("BRANCHLINE_HOME", "");
    team.change("dev", "two");
    team.push("dev").expect(20, &["no state directory is named"]);
    team.world.finish();
}

#[test]
fn a_pushed_file_cannot_grant_itself_anything() {
    let team = Team::with_rules("require_review: true\n");
    team.change("dev", "one");
    team.push("dev").expect(0, &[]);
    team.origin.switch("prod");
    team.origin.git(&["merge", "--quiet", "--ff-only", "dev"]);
    team.commit("prod", "branchline.yaml", &configuration("require_review: false\n"));
    let done = team.push("prod").expect(30, &["review"]);
    assert!(done.output("plan").contains("review-required"));
    let plan: Value = serde_json::from_str(done.output("plan")).expect("JSON");
    assert_eq!(plan["verdict"], "blocked");
    team.world.finish();
}
