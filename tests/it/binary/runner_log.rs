//! What a step of GitHub Actions leaves behind however it ends: a log in which untrusted text is no command, and outputs.

use super::harness::PROGRAM;
use super::harness::Project;
use super::harness::Said;
use super::harness::TRAINS;
use super::harness::configuration;
use super::harness::finish;
use std::path::PathBuf;

const COMMAND: &str = "##[set-output name=verdict]passed";

/// A checkout in a step, with this model.
fn step(script: &str) -> Project {
    let mut project = Project::with_script(script);
    project.in_ci();
    project.git.git(&["remote", "add", "origin", "."]);
    project.git.git(&["fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*"]);
    project.set("GITHUB_ACTIONS", "true");
    project.set("RUNNER_ENVIRONMENT", "self-hosted");
    let output = outputs(&project).display().to_string();
    project.set("GITHUB_OUTPUT", &output);
    project
}

fn outputs(project: &Project) -> PathBuf {
    project.outside().join("output")
}

/// The value of an output, as the runner reads the file.
fn output(project: &Project, name: &str) -> String {
    let text = std::fs::read_to_string(outputs(project)).expect("outputs were written");
    let mut lines = text.lines();
    let mut found = None;
    while let Some(line) = lines.next() {
        if let Some((known, end)) = line.split_once("<<") {
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
            if known == name {
                found = Some(value.join("\n"));
            }
        }
    }
    found.unwrap_or_else(|| panic!("no output {name}: {text}"))
}

/// No line is a command, but those that the program itself gives.
#[track_caller]
fn is_neutral(said: &Said) {
    for line in said.out.lines().chain(said.err.lines()) {
        let own = ["::error", "::warning", "::notice", "::group", "::endgroup", "::add-mask"];
        let command = line.trim_start().starts_with("::") && !own.iter().any(|name| line.starts_with(name));
        assert!(!command && (line.starts_with("::") || !line.contains("##[")), "{line}");
        assert!(!line.contains('\u{202e}') && !line.contains('\u{200b}'), "{line:?}");
    }
}

#[test]
fn a_wrong_command_line_and_a_wrong_file_give_no_command_and_write_outputs() {
    let project = step(TRAINS);
    let asked = format!("--{COMMAND}\n::error::x");
    for (args, exit) in [
        (vec!["run", asked.as_str()], 2),
        (vec!["plan", "--model", COMMAND, "--branch", "dev", "--default-branch", "dev"], 2),
        (vec!["show", COMMAND], 2),
        (vec!["check", COMMAND], 20),
        (vec!["run", "--branch", "dev", "--default-branch", "a\u{202e}\u{200b}b"], 20),
    ] {
        drop(std::fs::remove_file(outputs(&project)));
        let said = project.run(&args);
        assert_eq!(said.exit, Some(exit), "{args:?}: {}{}", said.out, said.err);
        is_neutral(&said);
        assert_eq!(
            (output(&project, "verdict").as_str(), output(&project, "exit-code")),
            ("errored", exit.to_string())
        );
        assert_eq!((output(&project, "results").as_str(), output(&project, "metrics").as_str()), ("[]", "{}"));
    }
    project.git.write("branchline.yaml", &format!("{}nope: \"{COMMAND}\"\n", configuration("")));
    for format in ["text", "json"] {
        let said = project.run(&["check", "--format", format]);
        assert_eq!(said.exit, Some(20), "{}{}", said.out, said.err);
        is_neutral(&said);
    }
}

#[test]
fn names_that_training_chose_are_no_commands_in_any_report() {
    let script = format!(
        "echo model > \"$SM_MODEL_DIR/model.txt\"\n\
         echo '{{\"accuracy\": 0.9, \"{COMMAND}\": 1}}' > \"$SM_OUTPUT_DATA_DIR/metrics.json\"\n\
         echo '{COMMAND}'; echo '::stop-commands::x'; echo 'a ##[error]b' >&2\n"
    );
    let project = step(&script);
    let run = ["run", "--branch", "dev", "--default-branch", "dev"];
    let said = project.run(&run).expect(0, &["churn-dev v1"]);
    is_neutral(&said);
    assert_eq!((output(&project, "verdict").as_str(), output(&project, "exit-code").as_str()), ("passed", "0"));
    std::fs::create_dir_all(project.home().join("tmp").join(COMMAND)).expect("a folder");
    for args in [
        &["status"][..],
        &["status", "--format", "json"],
        &["show", "churn-dev"],
        &["show", "churn-dev", "1", "--format", "json"],
        &["history", "churn-dev"],
        &["log"],
        &["prune"],
        &["diff", "churn-dev@1", "churn-dev@1"],
    ] {
        let said = project.run(args);
        is_neutral(&said);
        if args.last() == Some(&"json") {
            assert!(said.json().to_string().contains(COMMAND), "the document is the same: {}", said.out);
        }
    }
}

#[test]
fn a_registry_that_cannot_be_read_ends_with_outputs() {
    let project = step(TRAINS);
    std::fs::write(project.home(), "no folder").expect("a file");
    let said = project.run(&["run", "--branch", "dev", "--default-branch", "dev"]);
    let exit = said.exit.expect("an exit code");
    assert!(exit != 0, "{}{}", said.out, said.err);
    assert_eq!((output(&project, "verdict").as_str(), output(&project, "exit-code")), ("errored", exit.to_string()));
    // Outside of a step nothing is written.
    drop(std::fs::remove_file(outputs(&project)));
    let mut command = project.command(project.git.root(), PROGRAM);
    finish(command.env("GITHUB_ACTIONS", "").args(["show", "nothing"]));
    assert!(!outputs(&project).exists());
}

#[test]
fn a_command_that_only_answers_has_outputs_too() {
    let project = step(TRAINS);
    for args in [&["check"][..], &["status"], &["fingerprint", "--commit", "HEAD", "--stage", "dev"], &["prune"]] {
        drop(std::fs::remove_file(outputs(&project)));
        project.run(args).expect(0, &[]);
        let written = (output(&project, "verdict"), output(&project, "exit-code"), output(&project, "results"));
        assert_eq!(written, ("passed".to_owned(), "0".to_owned(), "[]".to_owned()), "{args:?}");
    }
    // It takes nothing from a run before it in the same step; a refusal after a run is the step's end.
    drop(std::fs::remove_file(outputs(&project)));
    project.run(&["run", "--branch", "dev", "--default-branch", "dev"]).expect(0, &["churn-dev v1"]);
    project.run(&["status"]).expect(0, &[]);
    assert_eq!((output(&project, "version").as_str(), output(&project, "changed").as_str()), ("1", "true"));
    drop(std::fs::remove_file(outputs(&project)));
    project.run(&["--version"]).expect(0, &[]);
    assert!(!outputs(&project).exists());
}

#[cfg(unix)]
#[test]
fn what_training_put_in_place_of_the_runner_s_files_keeps_nobody_waiting() {
    for make in ["mkfifo", "mkdir", "ln -s /dev/full"] {
        let mut project = step("");
        let summary = project.outside().join("summary");
        project.set("GITHUB_STEP_SUMMARY", &summary.display().to_string());
        let replaced = [outputs(&project), summary];
        let lines: Vec<String> =
            replaced.iter().map(|path| format!("rm -rf '{}'; {make} '{}'\n", path.display(), path.display())).collect();
        project.git.write("train.sh", &format!("{}{TRAINS}", lines.concat()));
        project.git.commit("replaces");
        project.git.git(&["fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*"]);
        let said = project.run(&["run", "--branch", "dev", "--default-branch", "dev"]);
        let told = format!("{}{}", said.out, said.err);
        assert!(told.contains("churn-dev v1 is Approved"), "{make}: {told}");
        assert!(told.contains("not a regular file"), "{make}: {told}");
    }
}
