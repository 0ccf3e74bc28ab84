//! Tokens that may not, hosts that moved, histories that are too short, texts that are too long.

use super::team::Team;
use crate::binary::harness::configuration;
use crate::world::github::Act;
use serde_json::json;

/// A team with a pull request of a branch that has not trained yet.
fn opened() -> (Team, String) {
    let team = Team::with_rules("");
    let head = team.change("feature-a", "one");
    team.open(7, "feature-a", "dev");
    (team, head)
}

#[test]
fn without_a_token_or_with_a_wrong_one_the_work_is_done_all_the_same() {
    for (token, sentence) in [("", "there is no token"), ("ghs_wrong", "Bad credentials")] {
        let (mut team, _) = opened();
        team.set("GITHUB_TOKEN", token);
        let done = team.push("feature-a").expect(0, &["churn-feature v1", sentence]);
        let warnings: Vec<_> = done.commands().into_iter().filter(|command| command.starts_with("warning")).collect();
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
        assert!(done.summary.contains("Warning"), "{}", done.summary);
        team.pull_job(7).expect(0, &[sentence]);
        assert!(team.world.with(|state| state.checks.is_empty() && state.comments.is_empty()));
        team.world.finish();
    }
}

#[test]
fn a_missing_permission_is_one_warning_that_names_the_line() {
    for line in ["checks: write", "pull-requests: write"] {
        let (team, _) = opened();
        team.world.with(|state| {
            let token = state.tokens.get_mut("ghs_job").expect("the job's token");
            token.permissions.remove(line);
            token.permissions.insert(line.replace("write", "read"));
        });
        let done = team.pull_job(7).expect(0, &[line, "Merging trains churn"]);
        let warnings: Vec<_> = done.commands().into_iter().filter(|command| command.starts_with("warning")).collect();
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
        assert!(warnings[0].contains(line), "{warnings:#?}");
        assert!(done.summary.contains("Merging trains churn"));
        assert_eq!(done.output("verdict"), "passed");
        team.world.finish();
    }
    let team = Team::with_rules("report: statuses\n");
    team.change("feature-a", "one");
    team.world.with(|state| {
        state.tokens.get_mut("ghs_job").expect("the job's token").permissions.remove("statuses: write");
    });
    team.push("feature-a").expect(0, &["statuses: write", "churn-feature v1"]);
    team.world.finish();
}

#[test]
fn no_right_at_all_beside_reading_is_still_no_failure() {
    let (team, _) = opened();
    team.world.with(|state| {
        let token = state.tokens.get_mut("ghs_job").expect("the job's token");
        token.permissions = ["metadata: read".to_owned()].into();
    });
    let done = team.pull_job(7);
    let done = done.expect(0, &["checks: write", "pull-requests: write"]);
    assert_eq!(done.output("verdict"), "passed");
    team.world.finish();
}

#[test]
fn a_token_that_expires_during_the_run_costs_the_report_and_nothing_else() {
    let (team, head) = opened();
    team.world.next("GET", "/check-runs", Act::Answer(401, "Bad credentials"));
    let done = team.push("feature-a").expect(0, &["churn-feature v1", "Bad credentials"]);
    assert_eq!(done.output("verdict"), "passed");
    assert!(done.summary.contains("Bad credentials"), "{}", done.summary);
    // The next run makes up for it.
    team.push("feature-a").expect(0, &[]);
    assert_eq!(team.state(&head), "success");
    team.world.finish();
}

#[test]
fn a_repository_that_was_renamed_is_read_and_the_report_stands_in_the_summary() {
    let (team, _) = opened();
    team.world.with(|state| {
        state.old_name = Some("churn".to_owned());
        state.name = "churn-models".to_owned();
    });
    let done = team.push("feature-a").expect(0, &["churn-feature v1", "renamed or moved"]);
    assert!(done.summary.contains("renamed or moved"), "{}", done.summary);
    team.pull_job(7).expect(0, &["Merging trains churn", "renamed or moved"]);
    team.world.finish();
}

#[test]
fn without_a_checkout_or_its_history_it_says_which_lines_are_missing() {
    let (team, head) = opened();
    let payload = team.pull_payload(7);
    let mut command = team.command("pull_request", &head, &payload);
    let empty = team.outside().join("empty");
    std::fs::create_dir(&empty).expect("a folder");
    let done = team.done(command.current_dir(&empty));
    assert!(done.said.out.contains("actions/checkout") || done.said.err.contains("actions/checkout"));
    assert!([Some(20), Some(50)].contains(&done.said.exit));
    assert!(done.commands().iter().any(|command| command.starts_with("error")), "{:#?}", done.commands());

    team.depth_one.set(true);
    let done = team.pull_job(7).expect(50, &["fetch-depth: 0"]);
    assert_eq!(done.output("verdict"), "errored");
    assert_eq!(team.state(&head), "failure");
    team.world.finish();
}

#[test]
fn a_payload_of_an_older_shape_is_understood() {
    let (team, head) = opened();
    let mut payload = team.push_payload("feature-a");
    payload["repository"] = json!({
        "id": 4711, "name": "churn", "owner": { "name": "acme" }, "default_branch": "main",
    });
    let done = team.job("push", &head, &payload);
    done.expect(0, &["churn-feature v1"]);
    assert_eq!(team.state(&head), "success");
    team.world.finish();
}

#[test]
fn a_text_that_is_too_long_is_shortened_and_the_record_stays_whole() {
    let metrics: Vec<String> =
        (0..900).map(|at| format!("\"a_metric_with_a_long_name_{at:04}\": 0.{at:04}1")).collect();
    let script = format!(
        "echo model > \"$SM_MODEL_DIR/model.txt\"\necho '{{{}}}' > \"$SM_OUTPUT_DATA_DIR/metrics.json\"\n",
        metrics.join(", ")
    );
    let team = Team::with(&configuration(""), &script);
    let head = team.commit("dev", "train.sh", &format!("{script}# one\n"));
    team.push("dev").expect(0, &["churn-dev v1"]);
    team.open(7, "dev", "prod");
    team.pull_job(7).expect(0, &[]);
    let (comment, check) = (team.comment(7), team.check(&head));
    assert!(comment.chars().count() <= 65_536);
    assert!(check.text.expect("a text").contains("<!-- branchline:review {"));
    assert!(comment.contains("full report"), "{}", &comment[comment.len() - 600..]);
    team.push("dev").expect(0, &[]);
    assert!(team.check(&head).text.expect("a text").contains("<!-- branchline:review {"));
    team.world.finish();
}
