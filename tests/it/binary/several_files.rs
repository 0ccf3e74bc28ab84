//! `include` and `defaults`: files of the same commit, by path or glob, and nothing but settings in them.

use super::harness::Project;
use super::harness::TRAINS;
use super::harness::codes;

const ROOT: &str = "version: 1\nproject: risk\ninclude: [models/*/branchline.yaml]\n\
                    defaults: { train: { data: none, environment: { WORD: shared } } }\n\
                    models:\n  churn:\n    gates: { accuracy: { min: 0.5 } }\n";

fn model(name: &str, command: &str) -> String {
    format!("models:\n  {name}:\n    paths: [models/{name}/train.sh]\n    train: {{ command: {command} }}\n")
}

fn monorepo() -> Project {
    let project = Project::empty();
    let git = &project.git;
    git.write("branchline.yaml", ROOT);
    for name in ["churn", "fraud"] {
        git.write(&format!("models/{name}/branchline.yaml"), &model(name, &format!("sh models/{name}/train.sh")));
        git.write(&format!("models/{name}/train.sh"), &format!("echo \"word is $WORD\"\n{TRAINS}"));
    }
    git.commit("two models");
    project
}

#[test]
fn models_come_from_the_included_files_of_the_commit_and_share_the_defaults() {
    let project = monorepo();
    project.run(&["check"]).expect(0, &["model churn: groups risk-churn-dev", "model fraud: groups risk-fraud-dev"]);
    // What lies in the working tree does not count: the commit's own files do.
    project.git.write("models/churn/branchline.yaml", "models: { churn: { train: { command: exit 3 } } }\n");
    let said = project.run(&["run"]).expect(0, &["risk-churn-dev v1 is Approved", "risk-fraud-dev v1 is Approved"]);
    assert!(said.err.contains("word is shared"), "{}", said.err);
    project.git.git(&["checkout", "--quiet", "--", "."]);

    // Only the model whose file changed its settings is another one.
    project.git.write("models/fraud/branchline.yaml", &model("fraud", "WORD=own sh models/fraud/train.sh"));
    project.git.commit("fraud says its own word");
    let plan = project.run(&["plan", "--format", "json"]).expect(0, &[]).json();
    let of =
        |name: &str| plan["models"].as_array().expect("models").iter().find(|one| one["model"] == name).expect(name);
    assert!(codes(of("fraud")).contains(&"training-needed"), "{plan:#}");
    assert!(codes(of("churn")).contains(&"already-registered"), "{plan:#}");
    let shown =
        project.run(&["config", "show", "--commit", "HEAD~1", "--resolved", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(shown["resolved"]["models"]["fraud"]["stages"]["dev"]["command"], "sh models/fraud/train.sh");
}

#[test]
fn problems_stand_where_they_are_written() {
    let project = monorepo();
    project.git.write("models/fraud/branchline.yaml", &model("fraud", "sh models/fraud/tran.sh"));
    project.run(&["check"]).expect(
        20,
        &["models/fraud/branchline.yaml:4:23: the command of the model `fraud` names `models/fraud/tran.sh`"],
    );
    project.git.write(
        "models/fraud/branchline.yaml",
        &format!("{}    gates: {{ accuracy: {{ min: 0 }} }}\n", model("fraud", "x")),
    );
    project.git.commit("a rule in the wrong file");
    for command in [["check"], ["plan"]] {
        project
            .run(&command)
            .expect(20, &["models/fraud/branchline.yaml:5:5: `gates` of `fraud` is a rule", "models.fraud"]);
    }
    let json = project.run(&["check", "--format", "json"]).expect(20, &[]).json();
    assert_eq!(json["problems"][0]["file"], "models/fraud/branchline.yaml", "{json}");
}

#[test]
fn nothing_outside_and_no_link_is_read() {
    let project = monorepo();
    let root = project.git.root();
    std::fs::write(project.outside().join("secret.yaml"), "models: { secret: {} }\n").expect("a file");
    for (include, says) in [
        ("[../secret.yaml]", "branchline.yaml:3:11: the path `../secret.yaml`"),
        ("[/etc/passwd]", "branchline.yaml:3:11: the path `/etc/passwd`"),
        (
            "[linked.yaml, \"models/*/branchline.yaml\"]",
            "`include` names `linked.yaml`, and the commit has no such file",
        ),
        ("[models, \"models/*/branchline.yaml\"]", "`include` names `models`, and the commit has no such file"),
        ("models", "`include` must be a list"),
    ] {
        project.git.write("branchline.yaml", &ROOT.replace("[models/*/branchline.yaml]", include));
        drop(std::os::unix::fs::symlink(project.outside().join("secret.yaml"), root.join("linked.yaml")));
        project.run(&["check"]).expect(20, &[says]);
        project.git.commit("include");
        project.run(&["plan"]).expect(20, &[says]);
    }
}

#[test]
fn rules_of_the_default_branch_hold_for_the_settings_of_another() {
    let project = monorepo();
    project.git.git(&["switch", "--quiet", "-c", "feature-own-gates"]);
    project.git.write("models/churn/train.sh", &TRAINS.replace("0.9", "0.4"));
    project.git.write("branchline.yaml", &ROOT.replace("min: 0.5", "min: 0.1"));
    project.git.commit("my own gate");
    project.git.git(&["clone", "--quiet", ".", "../ci"]);
    let ci = project.outside().join("ci");
    // In CI the default branch is `dev`, whose gate counts.
    let mut command = project.command(&ci, super::harness::PROGRAM);
    command.env("CI", "true").env("BRANCHLINE_HOME", project.outside().join("state"));
    let asked = ["run", "--branch", "feature-own-gates", "--default-branch", "dev", "--model", "churn"];
    let said = super::harness::finish(command.args(asked));
    said.expect(30, &["accuracy 0.4", "0.5"]);
}
