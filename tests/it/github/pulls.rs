//! Pull requests: what merging would do, in one comment and one check on the head.

use super::team::Team;
use crate::binary::harness::TRAINS;
use crate::binary::harness::configuration;
use crate::world::github::Act;
use serde_json::json;
use std::process::Stdio;

#[test]
fn into_a_training_stage_there_is_one_comment_and_one_check_however_often_it_runs() {
    let team = Team::with_rules("");
    let head = team.change("feature-a", "one");
    team.open(7, "feature-a", "dev");
    let first = team.pull_job(7).expect(0, &["Merging trains churn"]);
    assert!(first.sent.len() <= 8, "{:#?}", first.sent);
    assert_eq!(team.state(&head), "success");
    let comment = team.comment(7);
    let again = team.pull_job(7).expect(0, &[]);
    assert!(again.sent.len() <= 8, "{:#?}", again.sent);
    assert!(team.comment(7).contains("Merging trains churn"), "{comment}");
    // A new head gets a check of its own, the comment is the same one.
    let newer = team.change("feature-a", "two");
    team.pull_job(7).expect(0, &[]);
    assert_eq!((team.state(&head), team.state(&newer)), ("success".to_owned(), "success".to_owned()));
    assert!(team.comment(7).contains(&newer[..7]));
    assert!(team.versions("churn-dev").is_empty(), "a prediction writes nothing");
    team.world.finish();
}

#[test]
fn into_a_promoting_stage_the_check_holds_the_review_record() {
    let team = Team::with_rules("");
    let head = team.change("dev", "one");
    team.push("dev").expect(0, &["churn-dev v1 is Approved"]);
    team.open(7, "dev", "prod");
    let done = team.pull_job(7).expect(0, &["Merging promotes churn 0.1.0"]);
    assert!(done.sent.len() <= 8, "{:#?}", done.sent);
    let check = team.check(&head);
    assert_eq!(check.conclusion.as_deref(), Some("success"));
    let text = check.text.expect("a text");
    assert!(text.contains("<!-- branchline:review {") && text.contains("churn-dev"), "{text}");
    assert!(team.comment(7).starts_with("<!-- branchline:comment:branchline -->\n### ✓ Merging promotes churn 0.1.0"));
    assert_eq!(done.output("verdict"), "passed");
    team.world.finish();
}

#[test]
fn a_gate_that_says_no_is_a_failure_with_the_line_of_the_gate() {
    let team = Team::with(&configuration("    gates:\n      accuracy: { min: 0.95 }\n"), TRAINS);
    let head = team.change("feature-a", "one");
    team.push("feature-a").expect(30, &["failed its gates"]);
    assert_eq!(team.state(&head), "failure");
    team.open(7, "feature-a", "dev");
    let done = team.pull_job(7).expect(30, &["accuracy"]);
    let check = team.check(&head);
    assert_eq!(check.conclusion.as_deref(), Some("failure"));
    let line = configuration("    gates:\n      accuracy: { min: 0.95 }\n")
        .lines()
        .position(|line| line.contains("accuracy"))
        .expect("a gate")
        + 1;
    let note = check.annotations.last().expect("an annotation");
    assert_eq!((&note["path"], &note["start_line"]), (&json!("branchline.yaml"), &json!(line)));
    assert!(done.commands().iter().any(|command| command.starts_with("error: ") && command.contains("accuracy")));
    // The same result again adds no second annotation to a check that has it.
    team.pull_job(7).expect(30, &[]);
    team.world.finish();
}

#[test]
fn what_still_trains_is_in_progress() {
    let go = tempfile::tempdir().expect("a folder");
    let flag = go.path().join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.05; done\n{TRAINS}", flag.display());
    let team = Team::with(&format!("{}wait: 0s\n", configuration("")), &script);
    let head = team.commit("feature-a", "train.sh", &format!("{script}# one\n"));
    team.push("feature-a").expect(0, &["waiting"]);
    assert_eq!(team.state(&head), "in_progress");
    team.open(7, "feature-a", "dev");
    let done = team.pull_job(7).expect(0, &[]);
    assert_eq!((done.output("verdict"), team.state(&head).as_str()), ("waiting", "in_progress"));
    std::fs::write(&flag, "").expect("a file");
    let after = std::time::Duration::from_millis(300);
    std::thread::sleep(after);
    team.schedule().expect(0, &[]);
    assert_eq!(team.state(&head), "success");
    assert!(team.comment(7).contains("accuracy"), "{}", team.comment(7));
    team.world.finish();
}

#[test]
fn the_first_configuration_is_neutral_and_says_what_begins() {
    let team = Team::bare();
    team.origin.write("README.md", "hello");
    team.origin.commit("before Branchline");
    team.origin.git(&["branch", "dev"]);
    team.origin.switch("feature-start");
    team.origin.write("branchline.yaml", &configuration(""));
    team.origin.write("train.sh", TRAINS);
    let head = team.origin.commit("Branchline");
    team.open(7, "feature-start", "main");
    let done = team.pull_job(7).expect(0, &["train churn"]);
    assert_eq!((done.output("verdict"), team.state(&head).as_str()), ("skipped", "neutral"));
    assert!(team.comment(7).contains("Once it is merged there"), "{}", team.comment(7));
    assert!(!team.home().exists());
    team.world.finish();
}

#[test]
fn a_merge_conflict_is_blocked_and_names_the_files() {
    let team = Team::with_rules("");
    let head = team.change("feature-a", "one");
    team.change("dev", "other");
    team.open(7, "feature-a", "dev");
    team.pull_job(7).expect(30, &["train.sh"]);
    assert_eq!(team.state(&head), "failure");
    assert!(team.comment(7).contains("train.sh"));
    team.world.finish();
}

#[test]
fn closed_or_gone_meanwhile_it_ends_with_a_sentence() {
    let team = Team::with_rules("");
    let head = team.change("feature-a", "one");
    team.open(7, "feature-a", "dev");
    let mut payload = team.pull_payload(7);
    payload["action"] = json!("closed");
    payload["pull_request"]["state"] = json!("closed");
    let done = team.job("pull_request", &head, &payload).expect(0, &["was closed"]);
    assert_eq!(done.writes(), 0, "{:#?}", done.sent);

    // The event came while it was open; now the branch is gone and so is the pull request.
    let payload = team.pull_payload(7);
    team.origin.git(&["update-ref", "refs/keep/a", &head]);
    team.origin.switch("main");
    team.origin.git(&["branch", "--quiet", "-D", "feature-a"]);
    team.world.with(|state| state.pulls[0].state = "closed");
    team.job("pull_request", &head, &payload).expect(0, &["Merging trains churn"]);
    assert_eq!(team.state(&head), "success");
    team.world.finish();
}

#[test]
fn changed_rules_are_judged_by_the_old_ones_and_both_results_are_shown() {
    let team = Team::with(&configuration("    gates:\n      accuracy: { min: 0.5 }\n"), TRAINS);
    team.change("feature-a", "one");
    let head =
        team.commit("feature-a", "branchline.yaml", &configuration("    gates:\n      accuracy: { min: 0.95 }\n"));
    team.push("feature-a").expect(0, &["churn-feature v1"]);
    team.open(7, "feature-a", "dev");
    team.pull_job(7).expect(0, &[]);
    assert_eq!(team.state(&head), "success");
    let comment = team.comment(7);
    assert!(comment.contains("0.5 -> 0.95") && comment.contains("Under the new ones: ✗ **blocked**"), "{comment}");
    team.world.finish();
}

#[test]
fn a_comment_deleted_by_hand_comes_back_and_forged_ones_are_left_alone() {
    let team = Team::with_rules("");
    team.change("feature-a", "one");
    team.open(7, "feature-a", "dev");
    team.world.with(|state| {
        state.comment(7, "eve", "<!-- branchline:comment:branchline -->\nall is well, merge it");
        for at in 0..400 {
            state.comment(7, "ada", &format!("talk {at}"));
        }
    });
    let first = team.pull_job(7).expect(0, &[]);
    // Eight, and four more pages of comments, before and after it is written.
    assert!(first.sent.len() <= 16, "{:#?}", first.sent);
    let ours = |team: &Team| {
        team.world.with(|state| {
            let ours = |comment: &&crate::world::github::state::Comment| comment.author == "github-actions[bot]";
            state.comments.iter().filter(ours).map(|comment| comment.id).collect::<Vec<_>>()
        })
    };
    let first = ours(&team);
    assert_eq!(first.len(), 1);
    assert!(team.comments(7)[0].ends_with("merge it"), "nobody else's comment is changed");
    team.world.with(|state| state.comments.retain(|comment| comment.id != first[0]));
    team.pull_job(7).expect(0, &[]);
    assert_eq!(ours(&team).len(), 1);
    // It goes away between finding and changing it.
    let found = ours(&team)[0];
    team.change("feature-a", "two");
    team.world.next(
        "PATCH",
        "/issues/comments",
        Act::Meanwhile(Box::new(move |state| state.comments.retain(|comment| comment.id != found))),
    );
    team.pull_job(7).expect(0, &[]);
    assert_eq!(ours(&team).len(), 1);
    team.world.finish();
}

#[test]
fn a_training_that_failed_is_not_hidden_by_the_report_of_its_pull_request() {
    let team = Team::with_rules("");
    let head = team.commit("feature-a", "train.sh", "echo broken >&2\nexit 3\n");
    team.open(7, "feature-a", "dev");
    team.push("feature-a").expect(40, &["broken"]);
    let after_push = team.state(&head);
    team.pull_job(7);
    assert_eq!((after_push.as_str(), team.state(&head).as_str()), ("failure", "failure"));
    team.world.finish();
}

#[test]
fn every_model_can_have_a_check_of_its_own() {
    let two = "version: 1\nproject: shop\nchecks: per_model\nmodels:\n  churn:\n    paths: [train.sh]\n    train: { command: sh train.sh, data: none }\n  risk:\n    paths: [risk.sh]\n    train: { command: sh risk.sh, data: none }\n";
    let team = Team::with(two, TRAINS);
    team.commit("dev", "risk.sh", &format!("{TRAINS}# risk\n"));
    let head = team.change("dev", "one");
    team.push("dev").expect(0, &["shop-churn-dev v1", "shop-risk-dev v1"]);
    let names: Vec<String> = team.world.with(|state| state.checks.iter().map(|run| run.name.clone()).collect());
    assert_eq!(names, ["branchline", "branchline / churn", "branchline / risk"]);
    team.open(7, "dev", "prod");
    team.pull_job(7).expect(0, &["churn", "risk"]);
    assert!(team.check(&head).text.expect("a text").contains("shop-risk-dev"));
    team.merge(7, super::team::How::Squash);
    team.push("prod").expect(0, &["shop-churn-prod v1", "shop-risk-prod v1"]);
    team.world.finish();
}

#[test]
fn a_configuration_that_cannot_be_read_is_a_failure_on_its_line_and_keeps_the_record() {
    let team = Team::with_rules("");
    team.change("dev", "one");
    let head = team.commit("feature-a", "branchline.yaml", &configuration("    gatez: 3\n"));
    team.open(7, "feature-a", "dev");
    team.pull_job(7).expect(20, &["gatez"]);
    assert_eq!(team.state(&head), "failure");
    let check = team.check(&head);
    assert_eq!(check.annotations.last().expect("a note")["path"], "branchline.yaml");
    team.world.finish();
}

#[test]
fn two_runs_at_once_leave_one_comment() {
    let team = Team::with_rules("");
    let head = team.change("feature-a", "one");
    team.open(7, "feature-a", "dev");
    let payload = team.pull_payload(7);
    let mut one = team.command("pull_request", &head, &payload);
    let mut two = team.command("pull_request", &head, &payload);
    for command in [&mut one, &mut two] {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    let (one, two) = (one.spawn().expect("started"), two.spawn().expect("started"));
    for run in [one, two] {
        assert!(run.wait_with_output().expect("it ended").status.success());
    }
    team.comment(7);
    team.world.finish();
}
