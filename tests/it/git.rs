//! Real repositories, made by the `git` command in a temporary folder, and what Branchline reads of them.

mod changes;
#[cfg(unix)]
mod checkout;
mod cut;
mod open;
mod watched;

use branchline::adapters::git::GitRepository;
use branchline::model::git::CommitSha;
use branchline::model::git::ObjectId;
use branchline::model::settings::Watched;
use std::cell::Cell;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

/// A repository and the `git` that works in it, with nothing of the user's own configuration.
pub(crate) struct Repo {
    /// Holds the repository, a home, and whatever else a test puts beside them.
    pub(crate) root: TempDir,
    /// The working tree.
    pub(crate) dir: PathBuf,
    seconds: Cell<u64>,
}

impl Repo {
    /// Makes an empty repository on branch `dev`.
    pub(crate) fn new() -> Self {
        let repo = Self::beside("repo");
        fs::create_dir(&repo.dir).expect("a new folder");
        repo.git(&["init", "-q", "-b", "dev"]);
        repo
    }

    /// Names a folder without making it.
    fn beside(name: &str) -> Self {
        let root = TempDir::new().expect("a temporary folder");
        let dir = root.path().join(name);
        Self { root, dir, seconds: Cell::new(0) }
    }

    /// Runs `git` in the working tree and returns what it prints, trimmed.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.dir, args, b"")
    }

    /// Runs `git` in a folder. Each call is ten seconds later than the one before.
    pub(crate) fn git_in(&self, dir: &Path, args: &[&str], input: &[u8]) -> String {
        self.seconds.set(self.seconds.get() + 10);
        let date = format!("@{} +0000", 1_700_000_000 + self.seconds.get());
        let mut child = Command::new("git")
            .args(args)
            .current_dir(dir)
            .env_clear()
            .env("PATH", env!("PATH"))
            .env("HOME", self.root.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.com")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.com")
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date)
            .env("GIT_MERGE_AUTOEDIT", "no")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("git is installed");
        child.stdin.take().expect("a pipe").write_all(input).expect("git reads its input");
        let output = child.wait_with_output().expect("git ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {args:?}: {said}");
        String::from_utf8(output.stdout).expect("git prints text").trim().to_owned()
    }

    /// Writes a file of the working tree.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().expect("a folder above")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// Commits everything.
    pub(crate) fn commit(&self, message: &str) -> CommitSha {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.at("HEAD")
    }

    /// Writes files and commits them.
    pub(crate) fn commit_files(&self, files: &[(&str, &str)], message: &str) -> CommitSha {
        for (path, content) in files {
            self.write(path, content);
        }
        self.commit(message)
    }

    /// Returns the object that `git` itself finds for a text.
    pub(crate) fn at(&self, text: &str) -> ObjectId {
        id(&self.git(&["rev-parse", "--verify", text]))
    }

    /// Stores a tree as it is, which `git` itself would never make.
    fn raw_tree(&self, entries: &[(&str, &[u8], &ObjectId)]) -> ObjectId {
        let mut bytes = Vec::new();
        for (mode, name, object) in entries {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend_from_slice(&hex::decode(object.as_str()).expect("hexadecimal digits"));
        }
        id(&self.git_in(&self.dir, &["hash-object", "-t", "tree", "-w", "--literally", "--stdin"], &bytes))
    }

    /// Stores a blob.
    fn blob(&self, content: &[u8]) -> ObjectId {
        id(&self.git_in(&self.dir, &["hash-object", "-w", "--stdin"], content))
    }

    /// Clones into a folder beside it with the given options, by the protocol that cuts and filters.
    fn clone_to(&self, name: &str, options: &[&str]) -> PathBuf {
        let url = format!("file://{}", self.dir.display());
        let dest = self.root.path().join(name);
        let dest_text = dest.display().to_string();
        let args = [&["clone", "-q"], options, &[url.as_str(), dest_text.as_str()]].concat();
        self.git_in(self.root.path(), &args, b"");
        dest
    }

    /// Opens it.
    pub(crate) fn open(&self) -> GitRepository {
        open(&self.dir)
    }
}

/// Opens the repository at a folder.
pub(crate) fn open(dir: &Path) -> GitRepository {
    GitRepository::discover(dir).expect("a readable repository")
}

/// Reads an object id.
pub(crate) fn id(text: &str) -> ObjectId {
    ObjectId::parse(text).expect("an object id")
}

/// Watches paths.
pub(crate) fn paths(texts: &[&str]) -> Watched {
    Watched::Paths(texts.iter().map(|text| (*text).to_owned()).collect())
}
