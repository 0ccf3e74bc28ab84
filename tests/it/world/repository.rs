//! A real Git repository in a temporary folder, made by the `git` program in a scrubbed environment.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// A repository and its folder.
pub struct Repository {
    root: PathBuf,
    commits: Cell<u32>,
}

impl Repository {
    /// Makes one with a first branch and no commit.
    pub fn new(root: &Path, branch: &str) -> Self {
        fs::create_dir_all(root).expect("a folder");
        let repository = Self { root: root.to_path_buf(), commits: Cell::new(0) };
        repository.git(&["init", "--quiet", "--initial-branch", branch]);
        repository
    }

    /// Returns its root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs `git` and returns what it printed. Each call is a minute later than the last, so that commit ids
    /// are the same in every run.
    pub fn git(&self, args: &[&str]) -> String {
        let tick = self.commits.get() + 1;
        self.commits.set(tick);
        let date = format!("{} +0000", 1_760_000_000 + u64::from(tick) * 60);
        let output = Command::new("git")
            .args(args)
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", path())
            .env("HOME", &self.root)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
            .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date)
            .output()
            .expect("git can be started");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "git {args:?} failed:\n{out}{err}");
        out.trim().to_owned()
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("inside the repository")).expect("a folder");
        fs::write(path, content).expect("a written file");
    }

    /// Goes to a branch, making it where it does not exist.
    pub fn switch(&self, branch: &str) {
        let known = self.git(&["branch", "--list", "--format=%(refname:short)"]);
        if known.lines().any(|name| name == branch) {
            self.git(&["switch", "--quiet", branch]);
        } else if known.is_empty() {
            self.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
        } else {
            self.git(&["switch", "--quiet", "--create", branch]);
        }
    }

    /// Commits everything, also nothing.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// The search path of this process: `git`, `sh` and `python3` come from there.
#[expect(clippy::disallowed_methods, reason = "the one variable that a scrubbed child keeps")]
pub fn path() -> String {
    std::env::var("PATH").expect("PATH is set")
}
