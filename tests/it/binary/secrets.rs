//! The token of a run stays in its process: a training of the same user finds it neither in `/proc` nor in a file.

#![cfg(target_os = "linux")]

use super::harness::PROGRAM;
use super::harness::Project;
use super::harness::TRAINS;
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
