//! A pull request is judged by what it changes: what its base suffers from is listed, and decides nothing.

use super::harness::Project;
use super::harness::TRAINS;
use super::harness::codes;

const BAD: &str =
    "echo model > \"$SM_MODEL_DIR/model.txt\"\necho '{\"accuracy\": 0.3}' > \"$SM_OUTPUT_DATA_DIR/metrics.json\"\n";

/// Two models on `dev`; `fraud` fails its gate there.
fn with_a_bad_model() -> Project {
    let mut project = Project::empty();
    project.keep_state_outside();
    project.git.write(
        "branchline.yaml",
        "version: 1\nproject: risk\nmodels:\n  churn: { paths: [churn.sh], train: { command: sh churn.sh, data: none }, gates: { accuracy: { min: 0.5 } } }\n  fraud: { paths: [fraud.sh], train: { command: sh fraud.sh, data: none }, gates: { accuracy: { min: 0.5 } } }\n",
    );
    project.git.write("churn.sh", TRAINS);
    project.git.write("fraud.sh", BAD);
    project.git.commit("first");
    project.git.git(&["branch", "main"]);
    project.run(&["run"]).expect(30, &["failed its gates"]);
    project
}

fn model<'a>(said: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let models = said["models"].as_array().expect("models");
    models.iter().find(|model| model["model"] == name).unwrap_or_else(|| panic!("no {name}: {said:#}"))
}

#[test]
fn a_model_that_a_pull_request_leaves_alone_does_not_hold_it_up() {
    let project = with_a_bad_model();
    project.git.switch("feature-docs");
    project.git.write("README.md", "docs");
    project.git.commit("docs only");
    let asked = ["plan", "--branch", "feature-docs", "--into", "dev"];
    let said = project.run(&[&asked[..], &["--format", "json"]].concat()).expect(0, &[]).json();
    let fraud = model(&said, "fraud");
    assert_eq!((&fraud["verdict"], codes(fraud)[0]), (&"skipped".into(), "unchanged"), "{said:#}");
    assert!(codes(fraud).contains(&"gate-failed"), "what dev suffers from is listed: {said:#}");
    project.run(&asked).expect(0, &["unchanged by this merge: dev already has", "failed its gates"]);
    project.run(&[&asked[..], &["--format", "md"]].concat()).expect(0, &["unchanged by this merge"]);
}

#[test]
fn its_own_change_of_a_model_is_red_and_the_other_models_are_not() {
    let project = with_a_bad_model();
    project.git.switch("feature-churn");
    project.git.write("churn.sh", &format!("# worse\n{BAD}"));
    project.git.commit("worse");
    project.run(&["run"]).expect(30, &["failed its gates"]);
    let asked = ["plan", "--branch", "feature-churn", "--into", "dev", "--format", "json"];
    let said = project.run(&asked).expect(30, &[]).json();
    assert_eq!(model(&said, "churn")["verdict"], "blocked", "{said:#}");
    assert_eq!(model(&said, "fraud")["verdict"], "skipped", "{said:#}");
}

#[test]
fn data_that_the_base_lacks_already_do_not_hold_up_a_change_elsewhere() {
    let project = Project::empty();
    let file = |description: &str| {
        format!(
            "version: 1\nproject: risk\n# {description}\nmodels:\n  churn: {{ paths: [churn.sh], train: {{ command: sh churn.sh, data: none }} }}\n  fraud: {{ paths: [fraud.sh], train: {{ command: sh fraud.sh, data: {{ train: nowhere/data }} }} }}\n"
        )
    };
    project.git.write("branchline.yaml", &file("one"));
    project.git.write("churn.sh", TRAINS);
    project.git.write("fraud.sh", TRAINS);
    project.git.commit("first");
    project.git.switch("feature-docs");
    project.git.write("README.md", "docs");
    project.git.commit("docs only");
    let asked = ["plan", "--branch", "feature-docs", "--into", "dev", "--format", "json"];
    let said = project.run(&asked).expect(0, &[]).json();
    assert_eq!(codes(model(&said, "fraud")), ["unchanged", "missing-data"], "{said:#}");
    // A change of that very model is its own, and what it lacks is its own to bring.
    project.git.write("fraud.sh", &format!("# better\n{TRAINS}"));
    project.git.commit("better");
    let said = project.run(&asked).json();
    assert_eq!(codes(model(&said, "fraud"))[0], "missing-data", "{said:#}");
    assert_ne!(model(&said, "fraud")["verdict"], "skipped", "{said:#}");
}

#[test]
fn rules_that_a_pull_request_changes_are_its_own_change() {
    let project = with_a_bad_model();
    project.git.switch("feature-rules");
    let text = project.git.git(&["show", "dev:branchline.yaml"]).replace("min: 0.5", "min: 0.2");
    project.git.write("branchline.yaml", &format!("{text}\n"));
    project.git.commit("laxer");
    let mut ci = project;
    ci.git.git(&["remote", "add", "origin", "."]);
    ci.git.git(&["fetch", "--quiet", "origin"]);
    ci.set("CI", "true");
    let asked = ["plan", "--branch", "feature-rules", "--into", "dev", "--default-branch", "main", "--format", "json"];
    let said = ci.run(&asked).expect(0, &[]).json();
    assert_eq!(model(&said, "fraud")["verdict"], "skipped", "{said:#}");
    assert_eq!(model(&said["after_merge"], "fraud")["verdict"], "passed", "{said:#}");
}
