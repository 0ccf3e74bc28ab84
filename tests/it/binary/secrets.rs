//! The token of a run stays in its process: a training of the same user finds it neither in `/proc` nor in a file.

#![cfg(target_os = "linux")]

use super::harness::PROGRAM;
use super::harness::Project;
use super::harness::TRAINS;
use crate::world::repository::path;
use std::fs;
use std::path::Path;
use std::process::Command;

const TOKEN: &str = "ghs_0123456789abcdefghijklmnopqrstuvwxyz";

/// Looks into every process that may be looked into.
const LOOKS: &str = "for p in /proc/[0-9]*; do\n\
                     for f in environ cmdline; do tr '\\0' '\\n' < $p/$f 2>/dev/null | grep -q 'ghs_01234' && echo \"FOUND $p/$f\"; done\n\
                     head -c 1 $p/mem > /dev/null 2>&1\n\
                     done 2>/dev/null\n\
                     echo looked\n";

fn allow(folder: &Path) {
    let done = Command::new("chown").args(["-R", "65534:65534"]).arg(folder).status().expect("chown");
    assert!(done.success());
}

#[test]
fn a_training_of_the_same_user_cannot_read_the_token() {
    let project = Project::with_script(&format!("{TRAINS}{LOOKS}"));
    let state = project.outside().join("state");
    let program = project.outside().join("program");
    fs::copy(PROGRAM, &program).expect("a copy that anybody may start");
    // Root reads every process: then the run is another user's.
    let mut command = if rustix::process::geteuid().is_root() {
        allow(project.outside());
        let mut command = project.command(project.git.root(), "setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        command
    } else {
        project.command(project.git.root(), &program.display().to_string())
    };
    command.env("BRANCHLINE_HOME", &state).env("GITHUB_TOKEN", TOKEN).env("AWS_SECRET_ACCESS_KEY", TOKEN);
    super::harness::finish(command.arg("run")).expect(0, &["churn-dev v1"]);
    let mut looked = false;
    for entry in walkdir::WalkDir::new(&state) {
        let entry = entry.expect("a readable folder");
        if !entry.file_type().is_file() {
            continue;
        }
        let bytes = fs::read(entry.path()).expect("a readable file");
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("ghs_01234567"), "the token is in {}", entry.path().display());
        assert!(!text.contains("FOUND /proc"), "{text}");
        looked |= entry.file_name() == "log.txt" && text.contains("looked");
    }
    assert!(looked, "the training looked");
}

#[test]
fn git_is_started_without_the_secrets_of_the_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut project = Project::with_script(TRAINS);
    project.in_ci();
    project.git.git(&["remote", "add", "origin", "."]);
    project.git.git(&["fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*"]);
    let bin = project.outside().join("bin");
    fs::create_dir(&bin).expect("a folder");
    let seen = project.outside().join("seen");
    let script = format!("#!/bin/sh\nenv >> '{}'\nPATH=${{PATH#*:}}; export PATH; exec git \"$@\"\n", seen.display());
    fs::write(bin.join("git"), script).expect("a script");
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).expect("it can be started");
    let mut command = project.command(project.git.root(), PROGRAM);
    command.env("PATH", format!("{}:{}", bin.display(), path()));
    for secret in branchline::model::variables::SECRETS {
        command.env(secret, TOKEN);
    }
    super::harness::finish(command.args(["run", "--branch", "dev"]));
    let seen = fs::read_to_string(&seen).expect("git was asked for the default branch");
    assert!(seen.contains("GIT_TERMINAL_PROMPT") && !seen.contains("ghs_01234"), "{seen}");
}
