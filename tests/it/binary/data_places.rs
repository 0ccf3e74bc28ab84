//! Where data may be read and what a look leaves behind: places outside of the repository, in CI and on a person's
//! machine; pointers; the state directory beside branches that track it.

use super::harness::Project;
use super::harness::TRAINS;
use super::harness::configuration;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every file below a folder with its content, links not followed.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let found = walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    found.map(|entry| (entry.path().display().to_string(), fs::read(entry.path()).expect("readable"))).collect()
}

/// A project whose one model has this under `data:`, and these rules.
fn project(rules: &str, data: &str) -> Project {
    let text = configuration("").replace("data: none", &format!("data: {data}"));
    Project::with(&format!("{text}{rules}"), TRAINS)
}

#[test]
fn commands_that_only_look_write_nothing_whatever_the_data_are() {
    let project = project("", "{ train: sets }");
    fs::create_dir_all(project.git.root().join("sets/deep")).expect("a folder");
    fs::write(project.git.root().join("sets/a.csv"), "x".repeat(5000)).expect("a file");
    fs::write(project.git.root().join("sets/deep/b.csv"), "1").expect("a file");
    let before = files(project.outside());
    for command in [
        ["plan"].as_slice(),
        &["fingerprint", "--explain"],
        &["status"],
        &["run", "--into", "dev", "--branch", "dev"],
        &["promote", "--model", "churn", "--from", "dev", "--to", "prod", "--dry-run", "--reason", "x"],
    ] {
        project.run(command);
        assert_eq!(files(project.outside()), before, "{command:?} wrote something");
    }
    assert!(!project.git.root().join(".branchline").exists());
    project.run(&["run"]).expect(0, &["is Approved"]);
    assert!(project.home().join("data").is_dir(), "what trains keeps the data");
    let after = files(project.outside());
    project.run(&["plan"]).expect(0, &[]);
    assert_eq!(files(project.outside()), after);
}

#[cfg(target_os = "linux")]
#[test]
fn configuration_does_not_reach_the_machine() {
    for data in [
        "{ train: /proc/self/environ }",
        "{ train: { uri: /proc/self/environ, version: one } }",
        "{ train: { uri: train.sh, version_from: /dev/zero } }",
        "{ train: ROOT/.git/config }",
        "{ train: ROOT }",
        "{ train: state/branchline.db }",
    ] {
        let blank = Project::empty();
        let data = data.replace("ROOT", &blank.git.root().display().to_string());
        blank.git.write("branchline.yaml", &configuration("").replace("data: none", &format!("data: {data}")));
        blank.git.write("train.sh", TRAINS);
        blank.git.commit("first");
        std::os::unix::fs::symlink(".git/branchline", blank.git.root().join("state")).expect("a link");
        fs::create_dir_all(blank.git.root().join(".git/branchline")).expect("a folder");
        fs::write(blank.git.root().join(".git/branchline/branchline.db"), "").expect("a file");
        let said = blank.run(&["run", "--format", "json"]);
        assert_eq!(said.exit, Some(30), "{data}: {} {}", said.out, said.err);
        assert!(said.out.contains("data-refused"), "{data}: {}", said.out);
        let explained = blank.run(&["explain", "data-refused"]);
        assert_eq!(explained.exit, Some(0));
    }
}

#[cfg(unix)]
#[test]
fn in_ci_a_rule_says_which_folders_hold_data() {
    let outside = tempfile::tempdir().expect("a temporary folder");
    let sets = outside.path().join("sets");
    fs::create_dir_all(&sets).expect("a folder");
    fs::write(sets.join("a.csv"), "1,2\n").expect("a file");
    let data = format!("{{ train: {} }}", sets.join("a.csv").display());
    let mut allowed = project(&format!("data_roots: [{}]\n", sets.display()), &data);
    let mut refused = project("data_roots: [/mnt/elsewhere]\n", &data);
    refused.run(&["plan"]).expect(0, &[]);
    for project in [&mut allowed, &mut refused] {
        project.git.git(&["clone", "--quiet", "--bare", ".", "../origin.git"]);
        project.git.git(&["remote", "add", "origin", "../origin.git"]);
        project.git.git(&["fetch", "--quiet", "origin"]);
        project.in_ci();
    }
    allowed.run(&["run", "--branch", "dev"]).expect(0, &["is Approved"]);
    let said = refused.run(&["run", "--branch", "dev"]).expect(30, &["data refused", "`data_roots`"]);
    assert!(!said.out.contains("does not exist"));
    // The pushed commit says more than the default branch: its own word does not count.
    refused.git.git(&["switch", "--quiet", "--create", "feature-x"]);
    let own = fs::read_to_string(refused.git.root().join("branchline.yaml")).expect("readable");
    refused.git.write("branchline.yaml", &own.replace("/mnt/elsewhere", &sets.display().to_string()));
    refused.git.commit("more");
    refused.git.git(&["push", "--quiet", "origin", "feature-x"]);
    refused.run(&["run", "--branch", "feature-x"]).expect(30, &["data refused"]);
    let said = refused.run(&["fingerprint"]);
    assert_eq!(said.exit, Some(30), "{} {}", said.out, said.err);
}

#[cfg(unix)]
#[test]
fn pointers_inside_of_a_data_folder_are_the_files_or_nothing() {
    let project = project("", "{ train: sets }");
    let script = format!("cat $SM_CHANNEL_TRAIN/a.csv; echo\n{TRAINS}");
    project.git.write("train.sh", &script);
    let oid = branchline::model::digest::Sha256Digest::of(b"real");
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 4\n", oid = oid.as_str());
    project.git.write("sets/a.csv", &pointer);
    project.git.commit("pointers");
    for command in ["plan", "run"] {
        project.run(&[command]).expect(30, &["data not on this machine", "git lfs pull"]);
    }
    project.git.write("sets/a.csv", "fake");
    let said = project.run(&["run"]);
    assert_ne!(said.exit, Some(0), "{}", said.out);
    assert!(said.out.contains("git lfs pull"), "{}", said.out);
    project.git.write("sets/a.csv", "real");
    let said = project.run(&["run"]).expect(0, &["is Approved"]);
    assert!(said.err.contains("real"), "{}", said.err);
}

#[cfg(unix)]
#[test]
fn no_branch_brings_or_takes_the_state_directory() {
    let project = Project::with_script(TRAINS);
    project.run(&["run"]).expect(0, &["is Approved"]);
    let git = &project.git;
    let before = project.run(&["status", "--format", "json"]).expect(0, &[]).out;
    let base = git.id_of("dev");
    let blob = git.git(&["hash-object", "-w", "train.sh"]);
    for (branch, mode, path) in [
        ("evil-files", "100644", ".branchline/branchline.db"),
        ("evil-link", "120000", ".branchline"),
        ("evil-case", "100644", ".Branchline/branchline.db"),
    ] {
        git.git(&["read-tree", &base]);
        git.git(&["update-index", "--add", "--cacheinfo", &format!("{mode},{blob},{path}")]);
        let tree = git.git(&["write-tree"]);
        let commit = git.git(&["commit-tree", "-p", &base, "-m", "evil", &tree]);
        git.git(&["read-tree", &base]);
        git.git(&["branch", branch, &commit]);
        let asked = project.run(&["plan", "--branch", "dev", "--commit", branch]);
        assert!(asked.err.contains("tracks `.branchline`"), "{branch}: {} {}", asked.out, asked.err);
        git.git(&["checkout", "--quiet", branch]);
        for command in [["status"].as_slice(), &["run"], &["show", "dev"]] {
            let said = project.run(command);
            assert_eq!(said.exit, Some(20), "{branch} {command:?}: {} {}", said.out, said.err);
            assert!(said.err.contains("git rm -r --cached .branchline"), "{branch} {command:?}: {}", said.err);
        }
        git.git(&["checkout", "--quiet", "dev"]);
        assert_eq!(project.run(&["status", "--format", "json"]).expect(0, &[]).out, before, "after {branch}");
    }
    git.git(&["clean", "-fdx", "--quiet"]);
    assert_eq!(project.run(&["status", "--format", "json"]).expect(0, &[]).out, before, "after git clean");
}

#[cfg(unix)]
#[test]
fn a_state_directory_that_a_working_tree_brings_is_refused_by_whatever_way() {
    let mut project = Project::with_script(TRAINS);
    project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
    let root = project.git.root().to_owned();
    let state = root.join("stash/state");
    fs::create_dir_all(&state).expect("a folder");
    fs::copy(root.join(".git/branchline/branchline.db"), state.join("branchline.db")).expect("a copy");
    project.git.git(&["checkout", "--quiet", "-b", "evil"]);
    project.git.git(&["add", "--force", "stash"]);
    project.git.commit("evil");
    let outside = project.outside().join("by-a-link");
    std::os::unix::fs::symlink(&state, &outside).expect("a link");
    let other = project.outside().join("other");
    for home in [&root, &state, &outside] {
        project.set("BRANCHLINE_HOME", &home.display().to_string());
        project.run(&["status"]).expect(20, &["BRANCHLINE_HOME"]);
    }
    project.git.git(&["checkout", "--quiet", "dev"]);
    project.git.git(&["worktree", "add", "--quiet", &other.display().to_string(), "evil"]);
    project.set("BRANCHLINE_HOME", &other.join("stash/state").display().to_string());
    project.run(&["status"]).expect(20, &["tracks `stash/state`"]);
}

#[cfg(unix)]
#[test]
fn a_state_directory_of_an_earlier_release_moves_with_the_next_run() {
    let project = Project::with_script(TRAINS);
    project.run(&["run"]).expect(0, &["is Approved"]);
    let (old, new) = (project.git.root().join(".branchline"), project.git.root().join(".git/branchline"));
    fs::remove_file(&old).expect("it is a link");
    fs::rename(&new, &old).expect("it can be moved");
    project.run(&["status"]).expect(0, &["v1 0.1.0"]);
    assert!(!new.exists(), "a command that reads moves nothing");
    fs::create_dir_all(old.join("open")).expect("a folder");
    fs::write(old.join("open/somebody"), "").expect("a file");
    assert!(project.run(&["run"]).expect(0, &[]).err.contains("stays in use"));
    fs::remove_file(old.join("open/somebody")).expect("it is there");
    let said = project.run(&["run"]).expect(0, &[]);
    assert!(said.err.contains("moved the state directory"), "{}", said.err);
    assert!(new.join("branchline.db").is_file() && old.join("branchline.db").is_file());
    assert!(fs::symlink_metadata(&old).expect("it is there").is_symlink());
    assert_eq!(project.git.git(&["status", "--porcelain"]), "");
    project.run(&["status"]).expect(0, &["v1 0.1.0"]);
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_the_state_directory_is_not_followed() {
    let project = Project::with_script(TRAINS);
    std::os::unix::fs::symlink("/tmp", project.git.root().join(".git/branchline")).expect("a link");
    project.run(&["status"]).expect(20, &["is a symbolic link"]);
}

#[test]
fn watched_submodules_and_pointers_are_named() {
    let text = configuration("").replace("[train.sh]", "[train.sh, libs, weights.bin]");
    let project = Project::with(&text, TRAINS);
    let oid = "a".repeat(64);
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 4\n");
    project.git.write("weights.bin", &pointer);
    project.git.write("libs/readme", "x");
    project.git.git(&["add", "--all"]);
    let head = project.git.id_of("HEAD");
    project.git.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},libs/feat")]);
    project.git.git(&["commit", "--quiet", "-m", "more"]);
    let parts = ["libs/feat is a submodule", "weights.bin is a Git LFS pointer"];
    project.run(&["plan"]).expect(0, &parts);
    project.run(&["run"]).expect(0, &parts);
    project.run(&["show", "dev", "1"]).expect(0, &parts);
}
