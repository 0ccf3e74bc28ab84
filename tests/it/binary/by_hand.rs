//! What a person does manually, from the command line to the registry: each decision with its reason.

use super::harness::Project;
use super::harness::TRAINS;
use super::harness::group;
use std::path::PathBuf;

/// Two approved versions in `prod`, the second one current.
fn two_releases() -> Project {
    let project = Project::with_script(TRAINS);
    for number in ["1", "2"] {
        project.git.switch("dev");
        project.git.write("train.sh", &format!("# {number}\n{TRAINS}"));
        project.git.commit(number);
        project.run(&["run"]).expect(0, &[&format!("churn-dev v{number} is Approved")]);
        project.git.switch("prod");
        project.git.git(&["merge", "--quiet", "dev"]);
        project.run(&["run"]).expect(0, &[&format!("churn-prod v{number} is PendingManualApproval")]);
        project.run(&["approve", "--group", "prod", "--version", number]).expect(0, &["becomes current"]);
    }
    project
}

#[test]
fn a_rollback_brings_back_freezes_and_is_lifted_again() {
    let project = two_releases();
    project.run(&["rollback", "--group", "prod"]).expect(2, &["--reason <REASON>"]);
    project
        .run(&["rollback", "--group", "prod", "--reason", "false alarms"])
        .expect(0, &["to 0.1.0 (churn-prod v1)", "churn-prod v3 is Approved", "branchline unfreeze --group"]);
    let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
    let prod = group(&status, "churn-prod");
    assert_eq!((&prod["current"], &prod["versions"][1]["rejection"]), (&3.into(), &"rolled-back".into()));
    assert_eq!(prod["frozen"]["by"]["reason"], "false alarms");

    project.git.switch("dev");
    project.git.write("train.sh", &format!("# 3\n{TRAINS}"));
    project.git.commit("3");
    project.run(&["run"]).expect(0, &["churn-dev v3 is Approved"]);
    project.git.switch("prod");
    project.git.git(&["merge", "--quiet", "dev"]);
    project.run(&["run"]).expect(30, &["churn-prod is frozen since", "\"false alarms\"", "branchline unfreeze"]);
    project.run(&["unfreeze", "--group", "prod", "--reason", "fixed"]).expect(0, &["may change automatically again"]);
    project.run(&["run"]).expect(0, &["churn-prod v4 is PendingManualApproval"]);
    // The one that was rolled back never comes back automatically.
    project.git.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    project.run(&["run"]).expect(30, &["was rolled back: it does not come back automatically"]);
}

#[test]
fn a_rollback_looks_at_what_comes_back_before_it_freezes() {
    let project = two_releases();
    let older = project.run(&["show", "prod", "1", "--format", "json"]).expect(0, &[]).json();
    let stored = PathBuf::from(older["location"].as_str().expect("a place"));
    let bytes = std::fs::read(&stored).expect("it can be read");
    let rollback = ["rollback", "--group", "prod", "--reason", "false alarms"];
    let untouched = || {
        let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
        let prod = group(&status, "churn-prod");
        assert_eq!((&prod["current"], &prod["frozen"]), (&2.into(), &serde_json::Value::Null));
    };
    std::fs::remove_file(&stored).expect("it can be removed");
    project.run(&rollback).expect(50, &["could not read", "Nothing was changed", "--to NUMBER"]);
    untouched();
    std::fs::write(&stored, &bytes[..bytes.len() - 1]).expect("it can be written");
    project.run(&rollback).expect(50, &["was recorded", "Nothing was changed"]);
    untouched();
    std::fs::write(&stored, bytes).expect("it can be written");
    project.run(&rollback).expect(0, &["churn-prod v3 is Approved"]);
}

#[test]
fn what_was_withdrawn_comes_back_by_its_number() {
    let project = two_releases();
    project.run(&["reject", "--group", "prod", "--version", "1", "--reason", "a doubt"]).expect(0, &[]);
    // No way leads in a circle: the refused approval names the command that does it.
    project
        .run(&["approve", "--group", "prod", "--version", "1", "--reason", "no doubt"])
        .expect(30, &["branchline rollback --group churn-prod --to 1"]);
    project
        .run(&["rollback", "--group", "prod", "--to", "1", "--reason", "no doubt"])
        .expect(0, &["was rejected in churn-prod: this command brings it back", "churn-prod v3 is Approved"]);
    // What a rollback withdrew, too.
    project
        .run(&["rollback", "--group", "prod", "--to", "2", "--reason", "it was better"])
        .expect(0, &["was rolled back in churn-prod: this command brings it back", "churn-prod v4 is Approved"]);
}

#[test]
fn training_again_and_reconciling_by_hand() {
    let project = Project::with_script(TRAINS);
    project.run(&["run"]).expect(0, &[]);
    project.run(&["train", "--model", "churn", "--again"]).expect(2, &["reason"]);
    project
        .run(&["train", "--model", "churn", "--again", "--reason", "new Python"])
        .expect(0, &["requested manually: \"new Python\"", "churn-dev v2 is Approved"]);
    project.run(&["reconcile"]).expect(0, &["churn (dev at ", "not trained"]);
    let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
    let versions = group(&status, "churn-dev")["versions"].as_array().expect("versions").len();
    assert_eq!(versions, 2, "reconcile begins nothing");
}

#[test]
fn an_approval_verifies_the_bytes_first() {
    let project = Project::with_script(TRAINS);
    project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
    project.git.switch("prod");
    project.git.git(&["merge", "--quiet", "dev"]);
    project.run(&["run"]).expect(0, &["churn-prod v1 is PendingManualApproval"]);
    let blobs = walkdir::WalkDir::new(project.home().join("artifacts")).into_iter().flatten();
    let stored: Vec<_> = blobs.filter(|entry| entry.file_type().is_file()).map(|entry| entry.into_path()).collect();
    assert_eq!(stored.len(), 1, "{stored:?}");
    let bytes = std::fs::read(&stored[0]).expect("it can be read");

    // Replaced, cut short, a pipe, and gone.
    let approve = ["approve", "--group", "prod", "--version", "1"];
    std::fs::remove_file(&stored[0]).expect("it can be removed");
    project.run(&approve).expect(50, &["removed from outside"]);
    for wrong in [b"evil".as_slice(), &bytes[..bytes.len() - 1]] {
        std::fs::write(&stored[0], wrong).expect("it can be written");
        project.run(&approve).expect(50, &["was recorded"]);
        std::fs::remove_file(&stored[0]).expect("it can be removed");
    }
    let made = std::process::Command::new("mkfifo").arg(&stored[0]).status().expect("mkfifo runs");
    assert!(made.success());
    project.run(&approve).expect(50, &["not a regular file"]);
    let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(group(&status, "churn-prod")["current"], serde_json::Value::Null);

    std::fs::remove_file(&stored[0]).expect("it can be removed");
    std::fs::write(&stored[0], bytes).expect("it can be written");
    project.run(&approve).expect(0, &["becomes current"]);
}
