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
    project.run(&["plan", "--branch", "develop"]).expect(0, &["would run", "train     planned"]);
}

#[test]
fn init_github_writes_the_workflow_files_for_the_branches_that_are_there_and_never_overwrites() {
    let project = Project::empty();
    let git = &project.git;
    git.switch("main");
    git.write("train.py", "print(1)\n");
    git.commit("a project");
    git.git(&["branch", "develop"]);
    let at = format!("acme/branchline@{}", "0a".repeat(20));
    project.run(&["init", "--action", &at]).expect(2, &["--github"]);
    project.run(&["init", "--github", "--action", "acme/branchline@v1"]).expect(2, &["OWNER/REPOSITORY@COMMIT"]);
    assert!(!git.root().join("branchline.yaml").exists(), "a refused command writes nothing");

    let said = project
        .run(&["init", "--github", "--action", &at])
        .expect(0, &["wrote branchline.yaml", "git add branchline.yaml .github/workflows"]);
    let folder = git.root().join(".github/workflows");
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect(name);
    for kind in ["push", "pull-request", "by-hand", "reconcile", "prune"] {
        let name = format!("branchline-{kind}.yml");
        assert!(said.out.contains(&format!("wrote .github/workflows/{name}\n")), "{}", said.out);
        assert!(read(&name).contains(&format!("uses: {at} # v")), "{name}");
    }
    let push = read("branchline-push.yml");
    assert!(push.contains("branches: [\"feature-*\", \"feature/**\", develop, main] # branchline: branches"), "{push}");
    let bases = "branches: [develop, main] # branchline: bases";
    assert!(read("branchline-pull-request.yml").contains(bases), "{}", read("branchline-pull-request.yml"));

    // A second time, under another configuration: what is there stays, what is missing comes.
    git.write(".github/workflows/branchline-push.yml", "mine");
    fs::remove_file(folder.join("branchline-reconcile.yml")).expect("it was written");
    let text = fs::read_to_string(git.root().join("branchline.yaml")).expect("it was written");
    git.write("branchline.yaml", &text.replace("topology: baseline", "topology: baseline # mine"));
    project.run(&["init", "--github"]).expect(
        0,
        &[
            "wrote .github/workflows/branchline-reconcile.yml",
            "branchline-push.yml exists already",
            "must name a release",
        ],
    );
    assert_eq!(read("branchline-push.yml"), "mine");
    git.write("branchline.yaml", "version: 1\nmodles: {}\n");
    project.run(&["init", "--github"]).expect(20, &["unknown key `modles`"]);
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
