//! CI hosts that are not GitHub: the flags that stand in for an event, and every command that `docs/other-ci.md` shows.

use super::harness::Project;
use super::harness::TRAINS;
use super::harness::codes;
use super::harness::configuration;
use std::fs;
use std::path::Path;

const GATED: &str = "    gates: { accuracy: { min: 0.5 } }\n";

/// A clone as a CI job has it, with `dev` trained and a feature branch that changes the model. `main` holds the rules.
fn project() -> Project {
    let mut project = Project::with(&configuration(GATED), TRAINS);
    project.git.git(&["branch", "main"]);
    project.git.git(&["branch", "prod"]);
    project.git.write("train.sh", &format!("# deeper\n{TRAINS}"));
    project.git.commit("deeper");
    project.git.git(&["switch", "--quiet", "-c", "feature-x"]);
    project.git.write("train.sh", &format!("# wider\n{TRAINS}"));
    project.git.commit("wider");
    project.git.git(&["remote", "add", "origin", "."]);
    fetch(&project);
    project.in_ci();
    project
}

fn fetch(project: &Project) {
    project.git.git(&["fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*"]);
}

const PUSHED: [&str; 5] = ["run", "--branch", "dev", "--default-branch", "main"];

#[test]
fn who_asked_and_where_stand_in_lineage_and_history() {
    let project = project();
    let asked = [&PUSHED[..], &["--actor", "ada.l", "--run-url", "https://ci.example/jobs/17"]].concat();
    project.run(&asked).expect(0, &["churn-dev v1 is Approved"]);
    let version = project.run(&["show", "churn-dev", "1", "--format", "json"]).expect(0, &[]).json();
    let lineage = &version["lineage"];
    assert_eq!(
        (&lineage["actor"], &lineage["run_url"]),
        (&"ada.l".into(), &"https://ci.example/jobs/17".into()),
        "{version:#}"
    );
    let history = project.run(&["history", "churn-dev", "--changes", "--format", "json"]).expect(0, &[]).out;
    assert!(history.contains("ada.l") && history.contains("https://ci.example/jobs/17"), "{history}");
}

#[test]
fn what_merging_would_do_is_told_of_a_branch_and_nothing_is_written() {
    let project = project();
    project.run(&PUSHED).expect(0, &["churn-dev v1 is Approved"]);
    let asked = ["plan", "--branch", "dev", "--into", "prod"];
    project.run(&asked).expect(0, &["merge of dev at", "into prod", "candidate: 0.1.0 (churn-dev v1)"]);
    let said = project.run(&["run", "--branch", "dev", "--into", "prod", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(said["reasons"][0]["code"], "predicted", "{said:#}");
    let model = &said["models"][0];
    assert_eq!((&model["merging"]["into"], &model["merging"]["does"]), (&"prod".into(), &"promote".into()));
    let prod = project.run(&["show", "churn-prod", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(prod.as_array().map(Vec::len), Some(0), "`run --into` wrote something");
    // A branch that would train says so, and names no version.
    project.run(&["plan", "--branch", "feature-x", "--into", "dev"]).expect(0, &["merging will train"]);
}

#[test]
fn a_merge_that_cannot_be_made_is_blocked() {
    let project = project();
    project.git.git(&["switch", "--quiet", "-C", "feature-y", "main"]);
    project.git.write("train.sh", &format!("# narrower\n{TRAINS}"));
    project.git.commit("narrower");
    fetch(&project);
    let said = project.run(&["plan", "--branch", "feature-y", "--into", "dev", "--format", "json"]);
    let said = said.expect(30, &[]).json();
    assert_eq!(codes(&said), ["merge-conflict"]);
    project
        .run(&["plan", "--branch", "feature-y", "--into", "dev", "--format", "md"])
        .expect(30, &["### ", "cannot be merged into dev", "train.sh"]);
}

#[test]
fn the_branch_that_is_asked_judges() {
    let project = project();
    project.run(&["run", "--branch", "feature-x", "--default-branch", "main"]).expect(0, &["churn-feature v1"]);
    // Stricter on `dev` only: what `feature-x` brings of its own does not count.
    project.git.switch("feature-x");
    project.git.write("branchline.yaml", &configuration("    gates: { accuracy: { min: 0.1 } }\n"));
    project.git.commit("laxer");
    project.git.switch("dev");
    fetch(&project);
    let said =
        project.run(&["plan", "--branch", "feature-x", "--into", "dev", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(codes(&said), ["predicted", "rules-ignored"]);
    assert_eq!(said["models"][0]["compared"][0]["metrics"][0]["gate"], ">= 0.5", "{said:#}");
}

#[test]
fn markdown_goes_to_standard_output_alone_and_keeps_the_exit_code() {
    let project = project();
    let said = project.run(&[&PUSHED[..], &["--format", "md"]].concat()).expect(0, &[]);
    assert!(said.out.starts_with("### "), "{}", said.out);
    assert!(said.out.contains("| Metric |") && said.out.contains("| accuracy |"), "{}", said.out);
    let asked = ["plan", "--branch", "dev", "--into", "prod", "--format", "md"];
    let said = project.run(&asked).expect(0, &[]);
    assert!(said.out.contains("Merging promotes churn 0.1.0"), "{}", said.out);
    // Manual commands have it, commands that answer otherwise do not.
    project.run(&["freeze", "--group", "dev", "--reason", "audit", "--format", "md"]).expect(0, &["### "]);
    project.run(&["status", "--format", "md"]).expect(2, &["invalid value 'md'"]);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let mut project = project();
    for (flags, why) in [
        (&["--actor", ""][..], "a login has 1 to 100 visible characters"),
        (&["--actor", "a\u{202e}b"], "a login has 1 to 100 visible characters"),
        (&["--run-url", "javascript:alert(1)"], "begins with http:// or https://"),
        (&["--run-url", "https://ci.example/a b"], "without spaces"),
        (&["--into", "a..b"], "a..b"),
        (&["--into", "nowhere"], "there is no branch nowhere here"),
        (&["--into", "dev", "--event", "push", "--payload", "x.json"], "cannot be used with"),
    ] {
        project.run(&[&["plan", "--branch", "dev"][..], flags].concat()).expect(2, &[why]);
    }
    // Inside a job of GitHub the event says who it was: no argument may say otherwise.
    let payload = project.outside().join("payload.json");
    fs::write(&payload, "{}").expect("a file");
    project.set("GITHUB_ACTIONS", "true");
    project.set("GITHUB_EVENT_NAME", "workflow_dispatch");
    project.set("GITHUB_EVENT_PATH", &payload.display().to_string());
    project.run(&["run", "--actor", "somebody-who-may"]).expect(2, &["says already who caused it"]);
}

/// Every `branchline ...` that the page lets a host run, with the host's variables still in it.
fn commands_of_the_page() -> Vec<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/other-ci.md")).expect("the page");
    let lines = page.lines().map(|line| line.trim().trim_start_matches("- ").trim_start_matches("sh '"));
    lines.filter(|line| line.starts_with("branchline ")).map(|line| line.trim_end_matches('\'').to_owned()).collect()
}

#[test]
fn every_command_for_another_host_works_as_it_is_written() {
    let commands = commands_of_the_page();
    assert!(commands.len() >= 5, "{commands:?}");
    let mut project = project();
    let head = project.git.git(&["rev-parse", "dev"]);
    for (name, value) in [
        ("CI_COMMIT_BRANCH", "dev"),
        ("CI_COMMIT_SHA", &head),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_JOB_URL", "https://gitlab.example/acme/churn/-/jobs/17"),
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "dev"),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "prod"),
        ("GITLAB_USER_LOGIN", "ada"),
        ("BRANCH_NAME", "dev"),
        ("GIT_COMMIT", &head),
        ("BUILD_URL", "https://jenkins.example/job/churn/17/"),
        ("CHANGE_BRANCH", "dev"),
        ("CHANGE_TARGET", "prod"),
    ] {
        project.set(name, value);
    }
    for command in &commands {
        // The page speaks of nothing that is not set here, or the shell says so.
        let script = format!("set -eu; branchline() {{ \"$PROGRAM\" \"$@\"; }}; {command}");
        let mut shell = project.command(project.git.root(), "sh");
        let said = super::harness::finish(shell.env("PROGRAM", super::harness::PROGRAM).args(["-c", &script]));
        said.expect(0, &[]);
    }
    let report = fs::read_to_string(project.git.root().join("branchline.md")).expect("the report for a comment");
    assert!(report.contains("Merging promotes churn 0.1.0"), "{report}");
}
