//! Events of a CI host: payloads and variables instead of arguments, and whose rules count.

use super::harness::Project;
use super::harness::TRAINS;
use super::harness::configuration;
use std::fs;
use std::path::PathBuf;

/// A clone as a CI job has it: `origin` is the repository itself, with `main` as the default branch.
fn checked_out() -> Project {
    let project = Project::with_script(TRAINS);
    project.git.git(&["branch", "main"]);
    fetched(&project);
    project
}

fn fetched(project: &Project) {
    project.git.git(&["remote", "add", "origin", "."]);
    project.git.git(&["fetch", "--quiet", "origin"]);
}

fn push_payload(project: &Project, branch: &str) -> PathBuf {
    let after = project.git.git(&["rev-parse", branch]);
    let payload = serde_json::json!({
        "ref": format!("refs/heads/{branch}"),
        "before": "0".repeat(40),
        "after": after,
        "created": true,
        "deleted": false,
        "forced": false,
        "repository": { "id": 4711, "full_name": "acme/churn", "default_branch": "main" },
        "sender": { "login": "ada" },
    });
    let path = project.outside().join("payload.json");
    fs::write(&path, payload.to_string()).expect("a file");
    path
}

#[test]
fn a_push_event_trains_under_the_rules_of_the_default_branch() {
    let project = checked_out();
    // The pushed commit would let itself in under a lower gate; the default branch's counts.
    let strict = configuration("    gates: { accuracy: { min: 0.95 } }\n");
    let lax = configuration("    gates: { accuracy: { min: 0.1 } }\n");
    project.git.switch("main");
    project.git.write("branchline.yaml", &strict);
    project.git.commit("strict");
    project.git.switch("dev");
    project.git.write("branchline.yaml", &lax);
    project.git.commit("lax");
    project.git.git(&["fetch", "--quiet", "origin"]);
    let payload = push_payload(&project, "dev").display().to_string();
    project
        .run(&["run", "--event", "push", "--payload", &payload])
        .expect(30, &["failed its gates: accuracy 0.9, required >= 0.95"]);
}

#[test]
fn variables_of_the_runner_stand_for_the_flags() {
    let mut project = checked_out();
    let payload = push_payload(&project, "dev").display().to_string();
    let flags = ["run", "--event", "push", "--payload", &payload];
    let planned = project.run(&[&["plan"], &flags[1..], &["--format", "json"]].concat()).expect(0, &[]).json();
    project.in_ci();
    for (name, value) in [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_EVENT_PATH", payload.as_str()),
        ("GITHUB_REF", "refs/heads/dev"),
        ("GITHUB_ACTOR", "ada"),
        ("GITHUB_RUN_ID", "77"),
        ("GITHUB_RUN_ATTEMPT", "1"),
        ("GITHUB_REPOSITORY", "acme/churn"),
        ("GITHUB_SERVER_URL", "https://github.com"),
    ] {
        project.set(name, value);
    }
    let by_variables = project.run(&["plan", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(by_variables["event"], planned["event"]);
    assert_eq!(by_variables["models"], planned["models"]);
    project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
    let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
    let lineage = &super::harness::group(&status, "churn-dev")["versions"][0]["lineage"];
    assert_eq!(lineage["actor"], "ada", "{lineage:#}");
}

#[test]
fn events_that_cannot_be_read_or_are_not_ours() {
    let mut project = checked_out();
    let broken = project.outside().join("broken.json");
    fs::write(&broken, "{").expect("a file");
    let broken = broken.display().to_string();
    project.run(&["run", "--event", "push", "--payload", &broken]).expect(21, &["it is not JSON"]);
    project
        .run(&["run", "--event", "push", "--payload", "nowhere.json"])
        .expect(21, &["could not read the payload nowhere.json"]);
    project.run(&["run", "--event", "push"]).expect(2, &["--payload <FILE>"]);
    let payload = push_payload(&project, "dev").display().to_string();
    project.run(&["run", "--event", "zork", "--payload", &payload]).expect(0, &["the event `zork`", "skipped"]);
    assert!(!project.home().exists(), "an event that is not ours leaves no trace");
    project.set("GITHUB_EVENT_NAME", "push");
    project.run(&["run"]).expect(21, &["GITHUB_EVENT_PATH is not"]);
}

#[test]
fn the_first_configuration_says_what_merging_it_begins() {
    let project = Project::with_script(TRAINS);
    project.git.git(&["switch", "--quiet", "--orphan", "main"]);
    project.git.git(&["commit", "--quiet", "--allow-empty", "-m", "before Branchline"]);
    project.git.git(&["switch", "--quiet", "dev"]);
    fetched(&project);
    let payload = push_payload(&project, "dev").display().to_string();
    let said =
        project.run(&["run", "--event", "push", "--payload", &payload, "--format", "json"]).expect(0, &[]).json();
    // No branch has rules yet that this push must obey: it trains by its own file, as its pull request said.
    assert_eq!((&said["verdict"], &said["reasons"][0]["code"]), (&"passed".into(), &"first-rules".into()));
    assert_eq!(said["models"][0]["versions"][0]["group"], "churn-dev");
}

/// A pull request from one branch into another, as a payload.
fn pull_payload(project: &Project, from: &str, into: &str) -> String {
    let head = project.git.git(&["rev-parse", from]);
    let side = |branch: &str, sha: &str| serde_json::json!({ "ref": branch, "sha": sha, "repo": { "id": 4711, "full_name": "acme/churn", "default_branch": "main" } });
    let base = project.git.git(&["rev-parse", into]);
    let payload = serde_json::json!({
        "action": "opened",
        "number": 7,
        "pull_request": {
            "number": 7, "title": "Better", "draft": false, "merged": false, "merge_commit_sha": null,
            "user": { "login": "ada" }, "head": side(from, &head), "base": side(into, &base),
        },
        "repository": { "id": 4711, "full_name": "acme/churn", "default_branch": "main" },
        "sender": { "login": "ada" },
    });
    let path = project.outside().join("pull.json");
    fs::write(&path, payload.to_string()).expect("a file");
    path.display().to_string()
}

#[test]
fn a_pull_request_is_told_what_merging_begins_and_writes_nothing() {
    let project = checked_out();
    project.git.switch("feature-x");
    project.git.write("train.sh", &format!("# better\n{TRAINS}"));
    project.git.commit("better");
    let path = pull_payload(&project, "feature-x", "dev");
    project
        .run(&["run", "--event", "pull_request", "--payload", &path])
        .expect(0, &["merging will train; nothing was written", "train     planned"]);
    assert!(!project.home().exists(), "a pull request wrote something");
}

#[test]
fn a_pull_request_that_changes_rules_shows_both_results() {
    let lax = configuration("    gates: { accuracy: { min: 0.5 } }\n");
    let project = Project::with(&lax, TRAINS);
    project.git.git(&["branch", "main"]);
    fetched(&project);
    project.git.switch("feature-x");
    project.git.write("train.sh", &format!("# better\n{TRAINS}"));
    project.git.commit("better");
    project.git.git(&["fetch", "--quiet", "origin"]);
    let pushed = push_payload(&project, "feature-x").display().to_string();
    project.run(&["run", "--event", "push", "--payload", &pushed]).expect(0, &["churn-feature"]);
    // The same code, judged more strictly from the merge on.
    project.git.write("branchline.yaml", &configuration("    gates: { accuracy: { min: 0.95 } }\n"));
    project.git.commit("strict");
    let path = pull_payload(&project, "feature-x", "dev");
    let asked = ["run", "--event", "pull_request", "--payload", &path];
    project.run(&asked).expect(
        0,
        &[
            "candidate: 0.1.0 (churn-feature v1), PendingManualApproval",
            "under the rules of this pull request, which hold after the merge: blocked",
            "models.churn.gates.accuracy.min: 0.5 -> 0.95",
            "required >= 0.95",
        ],
    );
    let said = project.run(&[&asked[..], &["--format", "json"]].concat()).expect(0, &[]).json();
    let codes: Vec<_> = said["reasons"].as_array().expect("reasons").iter().map(|reason| &reason["code"]).collect();
    assert_eq!(codes, ["predicted", "rules-ignored"]);
    assert_eq!((&said["verdict"], &said["after_merge"]["verdict"]), (&"passed".into(), &"blocked".into()));
    let model = &said["models"][0];
    assert_eq!(model["candidate"]["before_merging"], false);
    assert_eq!(model["candidate"]["sha256"].as_str().map(str::len), Some(64));
    assert_eq!((&model["merging"]["into"], &model["merging"]["does"]), (&"dev".into(), &"train".into()));
    assert!(model["merging"]["expected_seconds"].is_number(), "{model:#}");
    let row = &model["compared"][0]["metrics"][0];
    assert_eq!(
        (&row["metric"], &row["gate"], &row["standing"]),
        (&"accuracy".into(), &">= 0.5".into(), &"pass".into())
    );
    let after = &said["after_merge"]["models"][0]["compared"][0]["metrics"][0];
    assert_eq!((&after["gate"], &after["standing"]), (&">= 0.95".into(), &"fail".into()));
}

#[test]
fn a_pull_request_that_brings_the_first_configuration_is_told_what_it_begins() {
    let project = Project::with_script(TRAINS);
    project.git.git(&["branch", "with-rules"]);
    project.git.git(&["switch", "--quiet", "--orphan", "base"]);
    project.git.git(&["commit", "--quiet", "--allow-empty", "-m", "before Branchline"]);
    project.git.git(&["branch", "--force", "dev"]);
    project.git.git(&["switch", "--quiet", "-C", "feature-x", "base"]);
    project.git.git(&["checkout", "--quiet", "with-rules", "--", "."]);
    project.git.commit("bring Branchline");
    fetched(&project);
    let path = pull_payload(&project, "feature-x", "dev");
    project
        .run(&["run", "--event", "pull_request", "--payload", &path])
        .expect(0, &["dev has no branchline.yaml yet", "pushes to feature-*, feature/**, dev train churn", "skipped"]);
    assert!(!project.home().exists());
}

#[test]
fn the_variable_alone_makes_no_ci_of_a_repository_that_came_from_nowhere() {
    let mut project = Project::with_script(TRAINS);
    project.set("CI", "true");
    project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
    // Whoever names a default branch there means a checkout.
    for command in [&["run"][..], &["reconcile"], &["approve", "--group", "dev", "--version", "1"]] {
        let named = [command, &["--default-branch", "dev"]].concat();
        project.run(&named).expect(20, &["this repository has no remote", "git remote add origin URL"]);
    }
    // With an origin it is a checkout: then it must be known whose rules count.
    project.git.git(&["remote", "add", "origin", "./nowhere"]);
    for command in [&["run"][..], &["reconcile"], &["prune", "--yes"], &["approve", "--group", "dev", "--version", "1"]]
    {
        project.run(command).expect(20, &["which branch is the default one", "--default-branch"]);
    }
    // What only shows something does without.
    project.run(&["status"]).expect(0, &["churn-dev"]);
}
