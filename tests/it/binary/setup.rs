//! `init`, `check` and `schema`: the way into one's own repository.

use super::harness::Project;
use std::fs;
use std::path::Path;

#[test]
fn init_writes_a_file_that_passes_check_and_never_overwrites() {
    let project = Project::empty();
    let git = &project.git;
    git.switch("main");
    git.write("train.py", "import json\nimport features\nfrom features import scale\nprint(json, scale)\n");
    git.write("features/__init__.py", "");
    git.write("features/scale.py", "x = 1\n");
    git.write("requirements.txt", "numpy\n");
    git.commit("a project");
    git.git(&["branch", "develop"]);

    project.run(&["init"]).expect(0, &["training script train.py", "and develop train, merges to main promote"]);
    let path = git.root().join("branchline.yaml");
    let written = fs::read_to_string(&path).expect("written");
    for line in ["- train.py", "- features", "- requirements.txt", "branches: [develop]", "branches: [main]"] {
        assert!(written.contains(line), "no {line} in\n{written}");
    }
    project.run(&["check"]).expect(0, &["branchline.yaml is valid", "dev (develop) trains into dev"]);
    project.run(&["init"]).expect(2, &["branchline.yaml exists already, and init never overwrites"]);
    assert_eq!(fs::read_to_string(&path).expect("still there"), written);
    let changed = git.git(&["status", "--porcelain"]);
    assert_eq!(changed, "?? branchline.yaml", "init writes one file and nothing else");

    project.run(&["plan", "--branch", "develop"]).expect(20, &["has no branchline.yaml", "not committed"]);
    git.commit("let branches drive it");
    git.git(&["branch", "--force", "develop"]);
    project.run(&["plan", "--branch", "develop"]).expect(0, &["would go on", "train     planned"]);
}

#[test]
fn check_says_all_problems_at_once() {
    let project = Project::empty();
    let broken = "version: 1\nproject: \"a b\"\nmodles: {}\ntopology: basline\n";
    project.git.write("branchline.yaml", broken);
    let said = project.run(&["check"]).expect(
        20,
        &[
            "branchline.yaml:2:10: `a b` cannot be the name of a project",
            "branchline.yaml:3:1: unknown key `modles`",
            "did you mean `models`?",
            "branchline.yaml:4:11: `topology` cannot be `basline`",
            "did you mean `baseline`?",
        ],
    );
    assert_eq!(said.out, "", "problems are diagnostics");
    project.git.commit("broken");
    project.run(&["run"]).expect(20, &["unknown key `modles`"]);
    project.run(&["check", "elsewhere.yaml"]).expect(20, &["could not read elsewhere.yaml"]);
}

#[test]
fn schema_prints_the_committed_schema() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/branchline.schema.json");
    let committed = fs::read_to_string(committed).expect("the committed schema");
    let project = Project::empty();
    let said = project.run_in(project.outside(), &["schema"]).expect(0, &[]);
    assert_eq!(said.json()["type"], "object");
    assert_eq!(said.out.trim_end(), committed.trim_end());
}
