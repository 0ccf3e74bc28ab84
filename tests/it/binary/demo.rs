//! `branchline demo`, and the shapes of JSON that its sample gives.

use super::harness::Project;
use super::harness::codes;
use super::harness::group;
use super::harness::steps;
use serde_json::Value;
use std::fs;

/// What each step of the story must say, in this order.
const STORY: &[&str] = &[
    "== The first release",
    "training tumours-dev-",
    "gates passed: accuracy 0.923077, required >= 0.85",
    "register  tumours-dev  done  tumours-dev v1 is Approved",
    "0.1.0 (tumours-dev v1) goes to tumours-prod as PendingManualApproval: copied, not trained",
    "becomes current: the first of its group",
    "== A better model on a feature branch",
    "register  tumours-feature  done  tumours-feature v1 is PendingManualApproval",
    "== A change that makes it worse",
    "tumours  blocked",
    "failed its gates: accuracy 0.657343, required >= 0.85",
    "== Mended",
    "tumours-feature v2 is PendingManualApproval",
    "== A squash merge to dev",
    "tumours-dev v2 is Approved",
    "== A merge to prod",
    "0.2.0 (tumours-dev v2) goes to tumours-prod as PendingManualApproval: copied, not trained",
    "becomes current in place of 0.1.0 (tumours-prod v1)",
    "== The same event again",
    "nothing to do: 0.2.0 (tumours-prod v2) is current and has exactly this content",
    "== A push that changes only documentation",
    "has the same code, settings and data as 0.2.0 (tumours-dev v2)",
    "== git revert on prod",
    "restoring 0.1.0 (tumours-prod v1) in place of 0.2.0 (tumours-prod v2) as PendingManualApproval: the group held",
    "== Where everything stands now",
    "== Yours to try",
];

#[test]
fn the_demo_tells_its_story_and_leaves_a_registry_that_programs_can_read() {
    let project = Project::empty();
    let said = project.run_in(project.outside(), &["demo", "sample"]).expect(0, STORY);
    let mut at = 0;
    for sentence in STORY {
        let found = said.out[at..].find(sentence);
        at += found.unwrap_or_else(|| panic!("out of order: {sentence}\n{}", said.out));
    }
    assert_eq!(said.err, "");
    the_readme_shows_this_demo(&said.out);

    let sample = project.outside().join("sample");
    let status = project.run_in(&sample, &["status", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(status["schema"], 1);
    let names: Vec<&str> =
        status["groups"].as_array().expect("groups").iter().map(|g| g["group"].as_str().expect("a name")).collect();
    assert_eq!(names, ["tumours-feature", "tumours-dev", "tumours-prod"]);
    let prod = group(&status, "tumours-prod");
    assert_eq!((&prod["model"], &prod["stage"], &prod["current"]), (&"tumours".into(), &"prod".into(), &2.into()));
    let versions = prod["versions"].as_array().expect("versions");
    let shown: Vec<(u64, &str, &str)> = versions
        .iter()
        .map(|v| {
            (v["version"].as_u64().expect("n"), v["semver"].as_str().expect("s"), v["approval"].as_str().expect("a"))
        })
        .collect();
    assert_eq!(
        shown,
        [(3, "0.1.0", "PendingManualApproval"), (2, "0.2.0", "Approved"), (1, "0.1.0", "Approved")],
        "newest first"
    );
    for version in versions {
        for digest in ["fingerprint", "content", "code_id"] {
            assert_eq!(version[digest].as_str().map(str::len), Some(64), "{digest} of {version:#}");
        }
        assert_eq!(version["commit"].as_str().map(str::len), Some(40));
        assert_eq!(version["branch"], "dev");
        assert!(version["metrics"]["accuracy"].is_f64(), "{version:#}");
        assert_eq!(version["source"]["group"], "tumours-dev");
    }
    let (third, first) = (&versions[0], &versions[2]);
    assert_eq!(third["restores"], 1);
    assert_eq!(third["sha256"], first["sha256"], "a restored version has the same bytes");
    let dev = &group(&status, "tumours-dev")["versions"][0];
    assert_eq!(dev["source"], Value::Null, "it was trained, not copied");
    assert_eq!(dev["sha256"], versions[1]["sha256"], "prod has the very artifact of dev");

    let again = project.run_in(&sample, &["run", "--format", "json"]).expect(0, &[]).json();
    assert_eq!((&again["verdict"], &again["exit_code"]), (&"passed".into(), &0.into()));
    let model = &again["models"][0];
    assert_eq!(model["model"], "tumours");
    assert_eq!(codes(model), ["awaits-approval"]);
    assert_eq!(steps(model), []);
    let message = model["reasons"][0]["message"].as_str().expect("a message");
    assert_eq!(message, "0.1.0 (tumours-prod v3) awaits approval");
}

#[test]
fn the_demo_never_writes_over_anything() {
    let project = Project::empty();
    let taken = project.outside().join("taken");
    fs::create_dir(&taken).expect("a folder");
    fs::write(taken.join("mine"), "mine").expect("a file");
    project
        .run_in(project.outside(), &["demo", "taken"])
        .expect(2, &["taken is not empty: the demo never writes over anything", "branchline demo DIR"]);
    assert_eq!(fs::read_dir(&taken).expect("readable").count(), 1);
}

/// Fixed lines of the README's excerpt must occur in what the demo printed. Commits and times differ each time.
#[track_caller]
fn the_readme_shows_this_demo(out: &str) {
    let excerpt = super::readme::demo_excerpt();
    assert!(excerpt.len() >= 10, "README.md shows no demo");
    for line in excerpt {
        let words = without_chance(&line);
        assert!(out.lines().any(|said| without_chance(said) == words), "the demo does not say: {line}\n{out}");
    }
}

/// A line without what differs each time: commits, times, durations and folding.
fn without_chance(line: &str) -> Vec<String> {
    let line = line.split("; the last training took").next().unwrap_or(line);
    let is_commit = |word: &str| word.len() == 7 && word.bytes().all(|b| b.is_ascii_hexdigit());
    line.split_whitespace()
        .map(|word| word.trim_end_matches([':', ')']).to_owned())
        .filter(|word| !is_commit(word))
        .collect()
}
