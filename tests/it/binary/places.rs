//! Where the program is started: subfolders, linked worktrees, bare repositories; and `plan`, which leaves no
//! trace anywhere.

use super::harness::Project;
use super::harness::TRAINS;
use super::harness::configuration;
use super::harness::steps;

#[test]
fn plan_leaves_no_trace_and_run_begins_with_what_it_printed() {
    let project = Project::with_script(TRAINS);
    let planned = project.run(&["plan", "--format", "json"]).expect(0, &[]);
    assert_eq!(planned.err, "", "JSON alone on standard output, and nothing to say beside it");
    assert!(!project.home().exists(), "plan made a folder");
    assert_eq!(project.git.git(&["status", "--porcelain"]), "");
    let planned = planned.json();
    let planned = steps(&planned["models"][0]);
    assert_eq!(planned, [("train", "planned")]);

    let said = project.run(&["run", "--format", "json"]).expect(0, &[]);
    assert!(said.err.contains("churn: train: done"), "signs of life stand on standard error: {}", said.err);
    let ran = said.json();
    let ran = steps(&ran["models"][0]);
    let begun: Vec<&str> = ran.iter().map(|(kind, _)| *kind).take(planned.len()).collect();
    assert_eq!(begun, planned.iter().map(|(kind, _)| *kind).collect::<Vec<_>>());
    assert_eq!(ran, [("train", "done"), ("copy", "done"), ("register", "done")]);
    assert_eq!(project.git.git(&["status", "--porcelain"]), "", "Git does not see the home");

    project.git.git(&["switch", "--quiet", "--create", "prod"]);
    let planned = project.run(&["plan", "--format", "json"]).expect(0, &[]).json();
    let planned: Vec<String> = steps(&planned["models"][0]).into_iter().map(|(kind, _)| kind.to_owned()).collect();
    let ran = project.run(&["run", "--format", "json"]).expect(0, &[]).json();
    let ran: Vec<String> = steps(&ran["models"][0]).into_iter().map(|(kind, _)| kind.to_owned()).collect();
    assert!(!planned.is_empty() && ran.starts_with(&planned), "planned {planned:?}, ran {ran:?}");
    let settled = project.run(&["plan", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(steps(&settled["models"][0]), []);
}

#[test]
fn a_subfolder_and_a_linked_worktree_share_the_main_home() {
    let project = Project::with_script(TRAINS);
    let root = project.git.root();
    let sub = root.join("notes/deep");
    std::fs::create_dir_all(&sub).expect("a folder");
    project.run_in(&sub, &["run"]).expect(0, &["churn-dev v1 is Approved"]);
    project.run_in(project.outside(), &["-C", "repository/notes", "run"]).expect(0, &["not trained"]);

    project.git.git(&["worktree", "add", "--quiet", "-b", "feature-w", "../linked"]);
    let linked = project.outside().join("linked");
    std::fs::write(linked.join("train.sh"), format!("# another\n{TRAINS}")).expect("a file");
    project.git.git(&["-C", "../linked", "commit", "--quiet", "--all", "-m", "another"]);
    project.run_in(&linked, &["run"]).expect(0, &["push to feature-w", "churn-feature v1 is PendingManualApproval"]);
    assert!(project.home().join("branchline.db").exists());
    for folder in [&sub, &linked, project.outside()] {
        assert!(!folder.join(".branchline").exists(), "a second home in {}", folder.display());
    }
    project.run(&["status"]).expect(0, &["v1 0.1.0"]);
}

#[test]
fn a_bare_repository_works_for_a_named_branch() {
    let project = Project::with_script(TRAINS);
    project.git.git(&["clone", "--quiet", "--bare", ".", "../bare.git"]);
    let bare = project.outside().join("bare.git");
    project.run_in(&bare, &["run", "--branch", "dev"]).expect(0, &["churn-dev v1 is Approved"]);
    project.run_in(&bare, &["status"]).expect(0, &["v1 0.1.0"]);
    project.run_in(&bare, &["init"]).expect(20, &["this repository is bare"]);
}

#[test]
fn a_run_can_be_narrowed_to_models() {
    let two = "  fraud:\n    paths: [train.sh]\n    train: { command: sh train.sh, data: none }\n";
    let project = Project::with(&configuration(two), TRAINS);
    let said = project.run(&["run", "--model", "fraud", "--format", "json"]).expect(0, &[]).json();
    let models: Vec<&str> =
        said["models"].as_array().expect("models").iter().map(|m| m["model"].as_str().expect("a name")).collect();
    assert_eq!(models, ["fraud"]);
    project.run(&["run", "--model", "frod"]).expect(2, &["there is no model `frod`", "the models are: churn, fraud"]);
}

#[test]
fn uncommitted_changes_are_named_and_not_trained() {
    let project = Project::with_script(TRAINS);
    project.git.write("train.sh", &format!("{TRAINS}exit 7\n"));
    project.git.write("notes.md", "nothing watches this\n");
    let said = project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
    assert!(
        said.err.contains("these changes are NOT part of this run: train.sh (+1). Commit them first."),
        "{}",
        said.err
    );
}

#[test]
fn no_color_and_no_terminal_mean_no_escape_codes() {
    // `Said::expect` looks for them in whatever any test here prints; colour that is asked for comes.
    let mut project = Project::with_script("printf '\\033[31mred\\033[0m and \\007 bell\\n'; exit 3\n");
    let said = project.run(&["run"]).expect(40, &["red"]);
    assert!(!said.out.contains('\u{7}') && !said.err.contains('\u{7}'), "foreign control characters: {said:?}");
    project.set("CLICOLOR_FORCE", "1");
    assert!(project.run(&["run"]).out.contains("\u{1b}["), "colour was asked for");
    project.set("NO_COLOR", "1");
    project.set("CLICOLOR_FORCE", "0");
    project.run(&["run"]).expect(40, &[]);
}
