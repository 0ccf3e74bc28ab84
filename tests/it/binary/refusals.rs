//! What the program refuses, and that it says why: places without a repository or a configuration, versions
//! that cannot be used, registries that cannot be trusted, hostile names.

use super::harness::Project;
use super::harness::TRAINS;
use super::harness::configuration;
use super::harness::group;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

#[test]
fn without_a_repository_it_says_where_to_run() {
    let project = Project::empty();
    for command in ["run", "plan", "status", "init", "check"] {
        project.run_in(project.outside(), &[command]).expect(20, &["no Git repository at or above"]);
    }
}

#[test]
fn without_a_configuration_it_says_whether_there_is_an_uncommitted_one() {
    let project = Project::empty();
    project.run(&["run"]).expect(2, &["dev has no commit yet"]);
    project.git.commit("nothing");
    for command in ["run", "plan"] {
        project.run(&[command]).expect(20, &["has no branchline.yaml", "-> write one: branchline init"]);
    }
    project.run(&["status"]).expect(20, &["there is no branchline.yaml here"]);
    project.git.write("branchline.yaml", &configuration(""));
    project.run(&["run"]).expect(20, &["not committed: git add branchline.yaml && git commit"]);
    project.git.write("train.sh", TRAINS);
    project.git.commit("configured");
    project.git.git(&["branch", "feature-old", "HEAD~1"]);
    project.run(&["run", "--branch", "feature-old"]).expect(20, &["dev has one: merge dev into that branch"]);
}

#[test]
fn a_branch_of_no_stage_is_skipped_and_a_detached_head_must_be_named() {
    let project = Project::with_script(TRAINS);
    project.git.switch("spike");
    project
        .run(&["run"])
        .expect(0, &["no stage has the branch spike: feature (feature-*, feature/**), dev (dev)", "skipped"]);
    project.git.git(&["checkout", "--quiet", "--detach"]);
    project.run(&["run"]).expect(2, &["HEAD is detached at", "branchline run --branch BRANCH"]);
    project.run(&["plan"]).expect(2, &["HEAD is detached at"]);
    project.run(&["run", "--branch", "dev"]).expect(0, &["churn-dev v1 is Approved"]);
    project.run(&["run", "--branch", "nowhere"]).expect(2, &["there is no branch nowhere here"]);
}

#[test]
fn versions_that_are_not_there_are_usage() {
    let project = Project::with_script(TRAINS);
    project.run(&["approve", "--group", "dev", "--version", "1"]).expect(2, &["churn-dev has no v1: it is empty"]);
    project.run(&["run"]).expect(0, &[]);
    let nine = ["--version", "9"];
    for command in [
        &["approve", "--group", "dev"][..],
        &["reject", "--group", "churn-dev"],
        &["promote", "--from", "dev", "--to", "prod"],
    ] {
        project.run(&[command, &nine].concat()).expect(2, &["churn-dev has no v9: its newest is v1"]);
    }
    project.run(&["show", "dev", "9"]).expect(2, &["churn-dev has no v9"]);
    project.run(&["show", "dev", "nine"]).expect(2, &["`nine` is not a version number"]);
    project
        .run(&["show", "devv"])
        .expect(2, &["no group or target `devv`", "`churn-dev`, `churn-feature`, `churn-prod`"]);
}

#[test]
fn only_an_approved_version_is_promoted() {
    let project = Project::with_script(TRAINS);
    project.run(&["run"]).expect(0, &[]);
    let promote = ["promote", "--from", "dev", "--to", "prod", "--version", "1"];
    project
        .run(&["reject", "--group", "dev", "--version", "1", "--reason", "biased"])
        .expect(0, &["does not come back automatically"]);
    project.run(&promote).expect(30, &["0.1.0 (churn-dev v1) is Rejected: only an approved version is promoted"]);

    project.git.switch("feature-x");
    project.run(&["run"]).expect(0, &["churn-feature v1 is PendingManualApproval"]);
    project
        .run(&["promote", "--from", "feature", "--to", "prod", "--version", "1"])
        .expect(30, &["is PendingManualApproval", "branchline approve --group churn-feature --version 1"]);
    let status = project.run(&["status", "--format", "json"]).json();
    assert_eq!(group(&status, "churn-prod")["versions"], serde_json::json!([]));
}

#[test]
fn a_registry_of_a_newer_release_is_left_alone() {
    let project = Project::with_script(TRAINS);
    project.run(&["run"]).expect(0, &[]);
    let database = rusqlite::Connection::open(project.home().join("branchline.db")).expect("a registry");
    database.pragma_update(None, "user_version", 99).expect("a newer schema");
    drop(database);
    for command in ["run", "plan", "status"] {
        project.run(&[command]).expect(50, &["written by a newer Branchline (schema 99", "install the newest release"]);
    }
}

#[test]
fn a_damaged_artifact_is_never_promoted() {
    let project = Project::with_script(TRAINS);
    project.run(&["run"]).expect(0, &[]);
    let artifact = the_only_artifact(&project);
    let mut bytes = fs::read(&artifact).expect("readable");
    bytes[20] ^= 1;
    fs::set_permissions(&artifact, fs::Permissions::from_mode(0o644)).expect("made writable");
    fs::write(&artifact, &bytes).expect("damaged");
    let promote = ["promote", "--from", "dev", "--to", "prod"];
    project.run(&promote).expect(50, &["its content is sha256:", "was recorded", "Nothing was overwritten"]);
    assert_eq!(fs::read(&artifact).expect("readable"), bytes, "the evidence is left as it is");

    bytes[20] ^= 1;
    fs::write(&artifact, &bytes).expect("restored from a backup");
    project.run(&promote).expect(0, &["churn-prod v1 is PendingManualApproval"]);
}

fn the_only_artifact(project: &Project) -> PathBuf {
    let files: Vec<PathBuf> = walkdir::WalkDir::new(project.home().join("artifacts"))
        .into_iter()
        .map(|entry| entry.expect("readable"))
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().expect("one")
}

#[test]
fn the_same_project_name_in_another_repository_is_foreign() {
    let mut ours = Project::with_script(TRAINS);
    let home = ours.outside().join("shared").display().to_string();
    ours.set("BRANCHLINE_HOME", &home);
    ours.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);

    let mut theirs = Project::with_script(&format!("# another history\n{TRAINS}"));
    theirs.set("BRANCHLINE_HOME", &home);
    let said = theirs.run(&["run", "--format", "json"]).expect(30, &["churn-dev belongs to the repository that began"]);
    assert_eq!(super::harness::codes(&said.json()["models"][0]), ["foreign-group"]);
    assert!(!theirs.git.root().join(".branchline").exists(), "BRANCHLINE_HOME stands for .branchline/");
}

#[test]
fn hostile_branch_names_train_and_never_reach_a_shell() {
    let stages = "stages: { feature: { branches: [\"**\", \"!dev\", \"!prod\"] } }\n";
    let project = Project::with(
        &format!("{}{stages}", configuration("")),
        &format!("echo a test > \"$SM_MODEL_DIR/canary\"; {TRAINS}"),
    );
    let long = format!("zzz/{}/{}", "x".repeat(200), "y".repeat(50));
    assert_eq!(long.len(), 255);
    let names = [
        "zzz\";echo${IFS}\"x\";#",
        "$(touch${IFS}owned)",
        "`touch${IFS}owned`",
        &long,
        "üñí/模型",
        "feature/a_b",
        "feature-a-b",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let number = number + 1;
        project.git.write("train.sh", &format!("# {number}\n{TRAINS}"));
        project.git.commit("another");
        // Set directly: `git switch` itself looks twice at some of these.
        project.git.git(&["update-ref", &format!("refs/heads/{name}"), "HEAD"]);
        project.git.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{name}")]);
        let said = project.run(&["run"]).expect(0, &[&format!("churn-feature v{number} is PendingManualApproval")]);
        assert!(said.out.contains(name), "{}", said.out);
    }
    let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
    let versions = group(&status, "churn-feature")["versions"].as_array().expect("versions").clone();
    let branches: Vec<&str> = versions.iter().rev().map(|v| v["branch"].as_str().expect("a branch")).collect();
    assert_eq!(branches, names);
    project.run(&["show", "feature"]).expect(0, &["üñí/模型"]);
    for entry in walkdir::WalkDir::new(project.outside()) {
        assert_ne!(entry.expect("readable").file_name(), "owned", "a branch name reached a shell");
    }
}
