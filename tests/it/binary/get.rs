//! `get`, the addresses of artifacts, and refusals as JSON.

use super::harness::Project;
use super::harness::TRAINS;
use serde_json::Value;
use std::fs;

/// A repository whose `dev` has an approved version.
fn trained() -> Project {
    let project = Project::with_script(TRAINS);
    project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
    project
}

fn sha256(path: &std::path::Path) -> String {
    branchline::model::digest::Sha256Digest::of(&fs::read(path).expect("the file")).to_string()
}

#[test]
fn the_current_version_is_written_verified_and_nothing_is_replaced() {
    let project = trained();
    let said = project.run(&["get", "dev", "-o", "out.tar.gz", "--format", "json"]).expect(0, &[]).json();
    let file = project.git.root().join("out.tar.gz");
    assert_eq!((&said["schema"], &said["version"], &said["current"]), (&1.into(), &1.into(), &true.into()));
    assert_eq!(said["digest"], format!("sha256:{}", sha256(&file)));
    let shown = project.run(&["show", "churn-dev", "1", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(shown["sha256"], sha256(&file));

    fs::write(&file, "mine").expect("a file");
    project.run(&["get", "dev", "-o", "out.tar.gz"]).expect(2, &["out.tar.gz exists already", "--force"]);
    assert_eq!(fs::read_to_string(&file).expect("the file"), "mine");
    project.run(&["get", "churn-dev", "--version", "v1", "-o", "out.tar.gz", "--force"]).expect(0, &["verified"]);
    assert_eq!(shown["sha256"], sha256(&file));
    project.run(&["get", "dev", "-o", "."]).expect(2, &["is a folder"]);
    project.run(&["get", "dev", "-o", "nowhere/x"]).expect(2, &["there is no folder nowhere"]);
    project.run(&["get", "dev", "--version", "9", "-o", "x"]).expect(2, &["has no v9"]);
    project.run(&["get", "prod", "-o", "x"]).expect(30, &["churn-prod has no current version"]);
    let left: Vec<_> = fs::read_dir(project.git.root()).expect("the folder").flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".out") || name == "x"), "{left:?}");
}

#[test]
fn a_damaged_artifact_is_never_handed_out() {
    let project = trained();
    let shown = project.run(&["show", "dev", "1", "--format", "json"]).expect(0, &[]).json();
    let kept = shown["location"].as_str().expect("a path");
    let mut permissions = fs::metadata(kept).expect("the artifact").permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "the file is in a temporary folder")]
    permissions.set_readonly(false);
    fs::set_permissions(kept, permissions).expect("a mode");
    fs::write(kept, "something else").expect("written");
    project.run(&["get", "dev", "-o", "out.tar.gz"]).expect(50, &["sha256"]);
    let left: Vec<_> = fs::read_dir(project.git.root()).expect("the folder").flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("out.tar.gz")), "{left:?}");
}

#[test]
fn an_artifact_is_shown_where_it_can_be_opened_and_every_version_has_a_schema_number() {
    let project = trained();
    let one = project.run(&["show", "dev", "1", "--format", "json"]).expect(0, &[]).json();
    let path = one["location"].as_str().expect("a path");
    assert_eq!(
        (sha256(std::path::Path::new(path)), &one["location_url"]),
        (one["sha256"].as_str().expect("text").to_owned(), &Value::Null)
    );
    let list = project.run(&["show", "dev", "--format", "json"]).expect(0, &[]).json();
    assert_eq!((&list[0]["schema"], &list[0]["location"]), (&1.into(), &one["location"]));
    project.run(&["show", "dev", "1"]).expect(0, &[path]);
}

#[test]
fn a_refusal_is_json_where_json_was_asked_for() {
    let project = trained();
    let refused = |args: &[&str], exit: i32, code: &str| {
        let said = project.run(args).expect(exit, &[]);
        let json = said.json();
        assert_eq!((&json["schema"], &json["error"]["code"]), (&1.into(), &code.into()), "{json}");
        assert_eq!(json["error"]["exit_code"], exit, "{json}");
        let message = json["error"]["message"].as_str().expect("a message").to_owned();
        assert!(said.err.contains(message.lines().next().expect("a line")), "{message}\n{}", said.err);
        json
    };
    let json = refused(&["show", "nothing", "--format", "json"], 2, "usage");
    assert!(json["error"]["message"].as_str().is_some_and(|text| text.contains("`nothing`")), "{json}");
    let json = refused(&["status", "--no-such-flag", "--format=json"], 2, "usage");
    assert!(json["error"]["message"].as_str().is_some_and(|text| text.contains("--no-such-flag")), "{json}");
    let json = refused(&["run", "--model", "frod", "--format", "json"], 2, "usage");
    assert_eq!(json["error"]["hints"][0], "the models are: churn");
    refused(&["get", "prod", "-o", "x", "--format", "json"], 30, "blocked");
    project.git.write("branchline.yaml", "version: 1\nmodles: {}\n");
    project.git.commit("broken");
    let json = refused(&["plan", "--format", "json"], 20, "configuration");
    assert_eq!(
        (&json["error"]["places"][0]["line"], &json["error"]["places"][0]["file"]),
        (&1.into(), &"branchline.yaml".into())
    );
    let said = project.run(&["status", "--format", "text"]).expect(20, &[]);
    assert_eq!(said.out, "", "a person reads standard error");
}
