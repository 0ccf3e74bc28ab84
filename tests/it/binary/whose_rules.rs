//! Whose rules hold in another CI, and who may decide there and at a desk.

use super::harness::Project;
use super::harness::TRAINS;
use super::harness::configuration;

fn gate(min: &str) -> String {
    configuration(&format!("    gates: {{ accuracy: {{ min: {min} }} }}\n"))
}

/// A clone of a repository whose default branch was `master` when it was made, and is the stricter `main` by now.
fn renamed() -> Project {
    let mut project = Project::with(&gate("0.5"), TRAINS);
    let at = project.outside().join("up");
    let up = at.display().to_string();
    project.git.git(&["branch", "master"]);
    project.git.git(&["clone", "--quiet", "--bare", ".", &up]);
    project.git.git(&["--git-dir", &up, "symbolic-ref", "HEAD", "refs/heads/master"]);
    project.git.git(&["remote", "add", "origin", &up]);
    project.git.git(&["fetch", "--quiet", "origin"]);
    project.git.git(&["remote", "set-head", "origin", "master"]);
    project.git.switch("main");
    project.git.write("branchline.yaml", &gate("0.95"));
    project.git.commit("stricter");
    project.git.git(&["push", "--quiet", "origin", "main"]);
    project.git.git(&["--git-dir", &up, "symbolic-ref", "HEAD", "refs/heads/main"]);
    project.git.git(&["--git-dir", &up, "update-ref", "-d", "refs/heads/master"]);
    project.git.git(&["fetch", "--quiet", "--prune", "origin"]);
    project.git.switch("dev");
    project.git.git(&["branch", "--quiet", "-D", "main"]);
    project.in_ci();
    project
}

#[test]
fn a_clone_made_before_the_default_branch_was_renamed_reads_the_rules_of_the_new_one() {
    let project = renamed();
    // `origin/HEAD` dangles, and a local `master` is left over: neither is asked.
    project.run(&["run", "--branch", "dev"]).expect(30, &[">= 0.95"]);
    // Nobody answers: there are no rules, whatever is left over here.
    project.git.git(&["remote", "set-url", "origin", "./nowhere"]);
    project.run(&["run", "--branch", "dev"]).expect(20, &["which branch is the default one", "git ls-remote"]);
    project.run(&["run", "--branch", "dev", "--default-branch", "master"]).expect(20, &["does not have origin/master"]);
    project.run(&["reconcile", "--default-branch", "main"]).expect(0, &[]);
}

#[test]
fn rules_that_were_fetched_too_long_ago_are_not_the_rules() {
    let project = renamed();
    let other = project.outside().join("other");
    let other = other.display().to_string();
    let up = project.outside().join("up").display().to_string();
    project.git.git(&["clone", "--quiet", &up, &other]);
    project.git.git(&[
        "-C",
        &other,
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t",
        "commit",
        "--quiet",
        "--allow-empty",
        "-m",
        "newer",
    ]);
    project.git.git(&["-C", &other, "push", "--quiet", "origin", "HEAD:main"]);
    project.run(&["run", "--branch", "dev"]).expect(20, &["older main than origin", "git fetch origin"]);
    project.git.git(&["fetch", "--quiet", "origin"]);
    project.run(&["run", "--branch", "dev"]).expect(30, &["failed its gates"]);
}

#[test]
fn rules_that_came_with_another_branch_are_the_rules() {
    let project = renamed();
    // The newer `main` came with `dev`, which merged it; `origin/main` is what an earlier job fetched.
    project.git.switch("dev");
    project.git.git(&["checkout", "--quiet", "-b", "main", "origin/main"]);
    project.git.write("branchline.yaml", &gate("0.99"));
    project.git.commit("stricter still");
    let up = project.outside().join("up").display().to_string();
    project.git.git(&["push", "--quiet", &up, "main"]);
    project.git.switch("dev");
    project.git.git(&["branch", "--quiet", "-D", "main"]);
    for more in [&[][..], &["--default-branch", "main"]] {
        project.run(&[&["run", "--branch", "dev"], more].concat()).expect(30, &[">= 0.99"]);
    }
    // A branch that origin has no more vouches for nothing.
    project.git.git(&["--git-dir", &up, "branch", "--quiet", "kept", "main"]);
    project.git.git(&["--git-dir", &up, "symbolic-ref", "HEAD", "refs/heads/kept"]);
    project.git.git(&["--git-dir", &up, "update-ref", "-d", "refs/heads/main"]);
    let gone = ["run", "--branch", "dev", "--default-branch", "main"];
    project.run(&gone).expect(20, &["does not have origin/main"]);
}

#[test]
fn a_remote_of_another_name_is_no_way_to_rules_of_one_s_own() {
    let project = renamed();
    project.git.git(&["remote", "rename", "origin", "upstream"]);
    for command in
        [&["run", "--branch", "dev"][..], &["reconcile"], &["run", "--branch", "dev", "--default-branch", "dev"]]
    {
        project.run(command).expect(20, &["the remote `upstream` instead", "git remote rename upstream origin"]);
    }
}

/// A repository where dev v1 awaits a decision in `prod`, under these rules.
fn awaiting(rules: &str) -> Project {
    let mut project = Project::with(&format!("{}{rules}", configuration("")), TRAINS);
    project.keep_state_outside();
    project.git.git(&["branch", "prod"]);
    project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
    project.git.switch("prod");
    project.run(&["run"]).expect(0, &["churn-prod v1) awaits approval"]);
    project.git.git(&["config", "user.name", "Ana"]);
    project
}

const APPROVE: [&str; 5] = ["approve", "--group", "prod", "--version", "1"];

#[test]
fn approvers_hold_at_a_desk_and_the_output_says_that_nobody_was_asked() {
    let project = awaiting("approvers: [bob]\n");
    project.run(&APPROVE).expect(30, &["Ana may not approve: the rules name who may: bob"]);
    for command in [
        &["reject", "--group", "prod", "--version", "1", "--reason", "x"][..],
        &["reject", "--group", "dev", "--version", "1", "--reason", "x"],
    ] {
        project.run(command).expect(30, &["Ana may not reject"]);
    }
    project.run(&["freeze", "--group", "prod", "--reason", "x"]).expect(0, &["frozen"]);
    let said = project.run(&[&APPROVE[..], &["--actor", "bob"]].concat()).expect(0, &["becomes current"]);
    assert!(said.err.contains("the name bob is not verified"), "{}", said.err);
    let history = project.run(&["history", "churn-prod", "--changes", "--format", "json"]).expect(0, &[]).out;
    assert!(history.contains("\"bob\""), "{history}");
}

#[test]
fn in_another_ci_a_person_is_named_or_decides_nothing_that_the_rules_guard() {
    for rules in ["approvers: [bob]\n", "not_author: true\n"] {
        let mut project = awaiting(rules);
        project.git.git(&["remote", "add", "origin", "."]);
        project.git.git(&["fetch", "--quiet", "origin"]);
        project.set("CI", "true");
        let asks = |more: &[&str]| project.run(&[&APPROVE[..], &["--default-branch", "dev"], more].concat());
        // What Git is configured for is the machine's name, and nobody's decision.
        asks(&[]).expect(30, &["a person whom nobody names may not approve", "--actor LOGIN"]);
        asks(&["--actor", "bob", "--run-url", "https://ci.example/jobs/3"]).expect(0, &["becomes current"]);
        let history = project.run(&["history", "churn-prod", "--changes", "--format", "json"]).expect(0, &[]).out;
        assert!(history.contains("\"bob\"") && history.contains("https://ci.example/jobs/3"), "{history}");
    }
}

#[test]
fn whoever_wrote_the_commits_of_a_release_does_not_approve_it_at_a_desk_either() {
    let project = awaiting("not_author: true\n");
    let author = project.git.git(&["log", "-1", "--format=%an", "dev"]);
    project.run(&[&APPROVE[..], &["--actor", &author]].concat()).expect(30, &["somebody else than its author"]);
    project.run(&APPROVE).expect(0, &["becomes current"]);
}

#[test]
fn an_unnamed_person_decides_where_no_rule_looks_at_names() {
    let mut project = awaiting("");
    project.git.git(&["remote", "add", "origin", "."]);
    project.git.git(&["fetch", "--quiet", "origin"]);
    project.set("CI", "true");
    let said = project.run(&[&APPROVE[..], &["--default-branch", "dev"]].concat()).expect(0, &["becomes current"]);
    assert!(!said.err.contains("not verified"), "{}", said.err);
}

#[test]
fn what_is_registered_into_a_last_group_that_approves_automatically_is_decided_by_approvers() {
    let rules = "approvers: [bob]\nstages:\n  dev: { branches: [dev] }\n  prod: { branches: [prod], does: train, groups: { prod: { approval: auto } } }\n";
    let mut project = Project::with(&format!("{}{rules}", configuration("")), TRAINS);
    project.keep_state_outside();
    let (model, metrics) = (project.outside().join("m.bin"), project.outside().join("m.json"));
    std::fs::write(&model, "weights").expect("writable");
    std::fs::write(&metrics, "{\"accuracy\": 0.99}").expect("writable");
    let (model, metrics) = (model.display().to_string(), metrics.display().to_string());
    let register = ["register", "--model", "churn", "--artifact", &model, "--metrics", &metrics];
    let into = |group: &'static str, more: &[&'static str]| [&register[..], &["--group", group], more].concat();
    project.run(&into("prod", &["--actor", "ann"])).expect(30, &["ann may not register: the rules name who may: bob"]);
    project.run(&into("prod", &["--actor", "bob"])).expect(0, &["churn-prod v1 is Approved"]);
    project.git.git(&["remote", "add", "origin", "."]);
    project.git.git(&["fetch", "--quiet", "origin"]);
    project.set("CI", "true");
    project.run(&[&into("prod", &[])[..], &["--default-branch", "dev"]].concat()).expect(30, &["--actor LOGIN"]);
}

#[test]
fn what_is_registered_where_a_promotion_decides_is_asked_for_as_little_as_a_push() {
    let mut project = Project::with(&format!("{}approvers: [bob]\n", configuration("")), TRAINS);
    project.keep_state_outside();
    let (model, metrics) = (project.outside().join("m.bin"), project.outside().join("m.json"));
    std::fs::write(&model, "weights").expect("writable");
    std::fs::write(&metrics, "{\"accuracy\": 0.99}").expect("writable");
    let (model, metrics) = (model.display().to_string(), metrics.display().to_string());
    project
        .run(&["register", "--model", "churn", "--artifact", &model, "--metrics", &metrics, "--actor", "ann"])
        .expect(0, &["churn-dev v1 is Approved"]);
}
