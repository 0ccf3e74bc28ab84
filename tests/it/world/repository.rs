//! A real Git repository in a temporary folder, made by the `git` program in a scrubbed environment.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

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
        let output = Command::new(git())
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
            // Housekeeping of a repository that lives for a second: a process after every commit.
            .envs([
                ("GIT_CONFIG_COUNT", "1"),
                ("GIT_CONFIG_KEY_0", "maintenance.auto"),
                ("GIT_CONFIG_VALUE_0", "false"),
            ])
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
        let name = format!("refs/heads/{branch}");
        let repository = self.open();
        let head =
            repository.find_reference("HEAD").expect("a head").symbolic_target().expect("a name").map(str::to_owned);
        if repository.find_reference(&name).is_ok() {
            if head.as_deref() != Some(name.as_str()) {
                self.git(&["switch", "--quiet", branch]);
            }
        } else if repository.branches(Some(git2::BranchType::Local)).expect("branches").next().is_none() {
            self.git(&["symbolic-ref", "HEAD", &name]);
        } else {
            self.git(&["switch", "--quiet", "--create", branch]);
        }
    }

    /// Looks up the id of a commit, without starting a process for it.
    pub fn id_of(&self, name: &str) -> String {
        let repository = self.open();
        let found = repository.revparse_single(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        found.peel_to_commit().expect("a commit").id().to_string()
    }

    fn open(&self) -> git2::Repository {
        git2::Repository::open(&self.root).expect("a repository")
    }

    /// Commits everything, also nothing.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.id_of("HEAD")
    }
}

/// `git`, by its address: a name that is looked up on a path of the child's own would need a fork of this whole
/// process, many times as dear as starting it.
fn git() -> &'static Path {
    static GIT: OnceLock<PathBuf> = OnceLock::new();
    GIT.get_or_init(|| {
        let path = path();
        let mut found = std::env::split_paths(&path).map(|folder| folder.join("git"));
        found.find(|file| file.is_file()).expect("git is on the PATH")
    })
}

/// The search path of this process: `git`, `sh` and `python3` come from there.
#[expect(clippy::disallowed_methods, reason = "the one variable that a scrubbed child keeps")]
pub fn path() -> String {
    std::env::var("PATH").expect("PATH is set")
}
