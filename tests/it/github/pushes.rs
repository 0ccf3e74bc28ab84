//! Pushes: what is trained, and how the commit, its pull request, the summary and the outputs tell of it.

use super::team::Team;
use super::team::sha;
use crate::binary::harness::TRAINS;
use crate::binary::harness::configuration;
use crate::world::github::Act;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn a_push_trains_and_tells_everybody_and_the_next_one_costs_next_to_nothing() {
    let team = Team::with_rules("");
    let head = team.change("feature-a", "one");
    let done = team.push("feature-a").expect(0, &["churn-feature v1"]);
    assert_eq!(team.state(&head), "success");
    assert_eq!(
        (done.output("verdict"), done.output("version"), done.output("group")),
        ("passed", "1", "churn-feature")
    );
    assert!(done.sent.len() <= 5, "{:#?}", done.sent);

    // The same event once more: nothing to do.
    let again = team.push("feature-a").expect(0, &["not trained"]);
    assert!(again.sent.len() <= 5, "{:#?}", again.sent);
    assert_eq!(team.state(&head), "success");
    team.world.finish();
}

#[test]
fn a_push_brings_the_open_pull_request_up_to_date() {
    let team = Team::with_rules("");
    let head = team.change("feature-a", "one");
    team.open(7, "feature-a", "dev");
    team.pull_job(7).expect(0, &[]);
    team.push("feature-a").expect(0, &["churn-feature v1"]);
    assert_eq!(team.state(&head), "success");
    assert!(team.comment(7).contains("accuracy"), "{}", team.comment(7));
    team.world.finish();
}

#[test]
fn a_branch_of_no_stage_gets_no_check() {
    let team = Team::with_rules("");
    let head = team.change("docs", "one");
    let done = team.push("docs").expect(0, &["skipped"]);
    assert_eq!(done.writes(), 0, "{:#?}", done.sent);
    assert!(team.world.with(|state| state.checks.iter().all(|check| check.sha != head)));
    assert_eq!(done.output("verdict"), "skipped");
    team.world.finish();
}

#[test]
fn an_old_event_moves_nothing_although_its_shallow_checkout_knows_no_better() {
    let team = Team::with_rules("");
    let old = team.change("dev", "one");
    let payload = team.push_payload("dev");
    team.change("dev", "two");
    team.push("dev").expect(0, &["churn-dev v1"]);
    team.depth_one.set(true);
    let done = team.job("push", &old, &payload).expect(0, &["skipped"]);
    assert!(done.output("plan").contains("superseded"), "{}", done.output("plan"));
    // Where nobody can say where the branch stands, it is not taken for the newest.
    team.world.next("GET", "heads", Act::Answer(403, "Resource not accessible by integration"));
    team.job("push", &old, &payload).expect(50, &["errored"]);
    team.world.finish();
}

#[test]
fn a_training_that_a_newer_push_overtook_is_registered_late_and_approves_nothing() {
    let marks = tempfile::tempdir().expect("a folder");
    let f = marks.path().display();
    let script = format!("touch {f}/began\nwhile [ ! -e {f}/go ]; do sleep 0.05; done\n{TRAINS}");
    let team = Team::with(&configuration(""), &script);
    let head = team.commit("dev", "train.sh", &format!("{script}# one\n"));
    let mut command = team.command("push", &head, &team.push_payload("dev"));
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    while !marks.path().join("began").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let newer = team.change("dev", "two");
    team.world.with(|state| {
        state.commits.insert(sha(&newer));
        state.branches.insert("dev".to_owned(), sha(&newer));
    });
    // What was read when the training began is no longer "now".
    std::thread::sleep(Duration::from_millis(2_100));
    std::fs::write(marks.path().join("go"), "").expect("a file");
    assert!(run.wait_with_output().expect("it ended").status.success());
    team.push("dev").expect(0, &["churn-dev v2 is Approved"]);
    let versions = team.group("churn-dev");
    assert_eq!(versions[0]["approval"], "PendingManualApproval");
    assert_eq!(versions[0]["superseded"], true);
    team.world.finish();
}

#[test]
fn beside_json_the_log_goes_to_standard_error() {
    let mut team = Team::with_rules("");
    team.set("GITHUB_TOKEN", "ghs_wrong");
    let head = team.change("dev", "one");
    let mut command = team.command("push", &head, &team.push_payload("dev"));
    let done = team.done(command.args(["--format", "json"]));
    let value = done.said.json();
    assert_eq!(value["verdict"], "passed");
    assert!(done.said.err.contains("::warning title=Branchline::"), "{}", done.said.err);
    assert!(done.summary.contains("churn-dev"), "{}", done.summary);
    team.world.finish();
}
