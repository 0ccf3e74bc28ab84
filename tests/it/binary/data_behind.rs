//! Data that change without a push: everything that looks says so, and nothing trains automatically.

use super::harness::Project;
use super::harness::TRAINS;
use super::harness::codes;
use super::harness::configuration;
use serde_json::Value;

/// A dev v1, and data that changed since.
fn behind() -> Project {
    let file = configuration("").replace("data: none", "data: { train: data.csv }");
    let project = Project::with(&file, TRAINS);
    project.git.write(".gitignore", "data.csv\n");
    project.git.write("data.csv", "week 45\n");
    project.git.commit("data are not committed");
    project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
    let current = project.run(&["status"]).expect(0, &[]);
    assert!(!current.out.contains("behind"), "{}", current.out);
    project.git.write("data.csv", "week 46\n");
    project
}

const SENTENCE: &str = "dev is behind its data: the data of train changed since";

#[test]
fn status_and_reconcile_say_that_a_branch_is_behind_and_how_to_train() {
    let project = behind();
    project.run(&["status"]).expect(0, &[SENTENCE, "branchline run --branch dev --model churn"]);
    let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(status["behind_data"][0]["branch"], "dev", "{status:#}");
    assert_eq!(status["behind_data"][0]["channels"][0], "train", "{status:#}");
    let said = project.run(&["reconcile", "--format", "json"]).expect(0, &[]).json();
    let model = &said["models"][0];
    assert_eq!(codes(model), ["data-behind"], "{said:#}");
    assert_eq!(model["steps"], Value::Array(Vec::new()), "nothing trains automatically: {said:#}");
    project.run(&["reconcile"]).expect(0, &[SENTENCE, "branchline run --branch dev --model churn"]);

    project.run(&["run", "--branch", "dev", "--model", "churn"]).expect(0, &["churn-dev v2 is Approved"]);
    let status = project.run(&["status"]).expect(0, &[]);
    assert!(!status.out.contains("behind"), "{}", status.out);
    let said = project.run(&["reconcile", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(codes(&said["models"][0]), ["already-registered"], "{said:#}");
}

#[test]
fn data_that_return_to_what_was_trained_on_are_not_behind_and_other_code_is_none_of_it() {
    let project = behind();
    project.git.write("data.csv", "week 45\n");
    let status = project.run(&["status"]).expect(0, &[]);
    assert!(!status.out.contains("behind"), "{}", status.out);
    // With other code too it is a commit that nobody pushed yet, and no matter of the data alone.
    project.git.write("data.csv", "week 46\n");
    project.git.write("train.sh", &format!("{TRAINS}# other code\n"));
    project.git.commit("other code");
    let status = project.run(&["status"]).expect(0, &[]);
    assert!(!status.out.contains("behind"), "{}", status.out);
}
