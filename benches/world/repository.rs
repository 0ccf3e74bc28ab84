//! Repositories of any size, made by one stream into `git fast-import`.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

/// How many files lie in one folder of `src/`.
const FILES_PER_FOLDER: usize = 100;

/// What a model watches.
#[derive(Debug, Clone, Copy)]
pub enum Watches {
    /// One small folder of its own.
    OwnFolder,
    /// The whole of `src/`.
    Everything,
}

/// The shape of a repository.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How many models `branchline.yaml` has.
    pub models: usize,
    /// How many files there are in all, beside the configuration.
    pub files: usize,
    /// How many commits `dev` has.
    pub commits: usize,
    /// What each model watches.
    pub watches: Watches,
    /// The training command.
    pub command: String,
    /// `parallel` of the configuration.
    pub parallel: usize,
}

impl Shape {
    /// Returns the name of a model.
    pub fn model(index: usize) -> String {
        format!("m{index:04}")
    }

    /// Writes `branchline.yaml`.
    pub fn configuration(&self) -> String {
        let mut text = format!("version: 1\nproject: bench\nparallel: {}\nmodels:\n", self.parallel);
        for index in 0..self.models {
            let model = Self::model(index);
            let path = match self.watches {
                Watches::OwnFolder => format!("models/{model}"),
                Watches::Everything => "src".to_owned(),
            };
            let _ = write!(
                text,
                "  {model}:\n    paths: [{path}]\n    train:\n      command: '{}'\n      data: none\n",
                self.command
            );
        }
        text
    }

    fn paths(&self) -> Vec<String> {
        let own = match self.watches {
            Watches::OwnFolder => self.models,
            Watches::Everything => 0,
        };
        let models = (0..own).map(|index| format!("models/{}/train.py", Self::model(index)));
        let rest = (0..self.files.saturating_sub(own))
            .map(|index| format!("src/d{:04}/f{:04}.py", index / FILES_PER_FOLDER, index % FILES_PER_FOLDER));
        models.chain(rest).collect()
    }

    /// Makes the repository in `folder`, on the branch `dev`, checked out, packed, with an `origin`.
    pub fn make(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("the folder can be made");
        git(folder, &["init", "--quiet", "--initial-branch", "dev"]);
        for (name, value) in [("user.name", "Bench"), ("user.email", "bench@example.com"), ("gc.auto", "0")] {
            git(folder, &["config", name, value]);
        }
        git(folder, &["remote", "add", "origin", "https://github.com/acme/bench.git"]);
        let mut import = Command::new("git")
            .current_dir(folder)
            .args(["fast-import", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("git fast-import starts");
        let mut stream = import.stdin.take().expect("a pipe");
        stream.write_all(self.stream().as_bytes()).expect("git takes the stream");
        drop(stream);
        assert!(import.wait().expect("git ends").success(), "git fast-import failed");
        git(folder, &["reset", "--quiet", "--hard"]);
    }

    fn stream(&self) -> String {
        let paths = self.paths();
        let mut text = String::new();
        let file = |text: &mut String, path: &str, content: &str| {
            let _ = write!(text, "M 100644 inline {path}\ndata {}\n{content}\n", content.len());
        };
        for commit in 0..self.commits {
            let subject = format!("change {commit}");
            let _ = write!(
                text,
                "commit refs/heads/dev\ncommitter Bench <bench@example.com> {} +0000\ndata {}\n{subject}\n",
                1_700_000_000 + commit * 60,
                subject.len()
            );
            if commit == 0 {
                file(&mut text, "branchline.yaml", &self.configuration());
                for path in &paths {
                    file(&mut text, path, &format!("# {path}\n"));
                }
            } else {
                let path = &paths[paths.len() - 1 - commit % paths.len().min(1000)];
                file(&mut text, path, &format!("# {path}, change {commit}\n"));
            }
        }
        text
    }
}

/// Runs Git.
pub fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git").current_dir(folder).args(arguments).status().expect("git starts");
    assert!(status.success(), "git {arguments:?} failed");
}
