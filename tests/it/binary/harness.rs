//! A repository with one small model, and the program run in it.

use crate::world::repository::Repository;
use crate::world::repository::path;
use serde_json::Value;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_branchline");

/// A training that works: a model of a few bytes, and one metric.
pub const TRAINS: &str = "echo model > \"$SM_MODEL_DIR/model.txt\"\n\
                          echo '{\"accuracy\": 0.9}' > \"$SM_OUTPUT_DATA_DIR/metrics.json\"\n";

/// A repository in a temporary folder, and what else a run sees: an empty home and chosen variables.
pub struct Project {
    folder: TempDir,
    /// The repository.
    pub git: Repository,
    variables: Vec<(String, String)>,
}

/// What came of one run.
#[derive(Debug)]
pub struct Said {
    /// The exit code; `None` after a signal.
    pub exit: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Project {
    /// A repository on `dev` with no commit.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let git = Repository::new(&folder.path().join("repository"), "dev");
        Self { folder, git, variables: Vec::new() }
    }

    /// A repository on `dev` whose model `churn` is trained by this shell script.
    pub fn with_script(script: &str) -> Self {
        Self::with(&configuration(""), script)
    }

    /// A repository on `dev` with this configuration and this `train.sh`.
    pub fn with(configuration: &str, script: &str) -> Self {
        let project = Self::empty();
        project.git.write("branchline.yaml", configuration);
        project.git.write("train.sh", script);
        project.git.commit("first");
        project
    }

    /// Sets a variable for every run from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The temporary folder around the repository.
    pub fn outside(&self) -> &Path {
        self.folder.path()
    }

    /// The state directory of the local backend.
    pub fn home(&self) -> PathBuf {
        let named = self.variables.iter().rev().find(|(name, _)| name == "BRANCHLINE_HOME");
        named.map_or_else(|| self.git.root().join(".branchline"), |(_, value)| PathBuf::from(value))
    }

    /// Makes this a job of a CI host, whose state directory is outside the checkout.
    pub fn in_ci(&mut self) {
        self.set("CI", "true");
        self.keep_state_outside();
    }

    /// Names a state directory outside the checkout, as a CI host must.
    pub fn keep_state_outside(&mut self) {
        let state = self.outside().join("state").display().to_string();
        self.set("BRANCHLINE_HOME", &state);
    }

    /// Runs the program in the repository.
    pub fn run(&self, args: &[&str]) -> Said {
        self.run_in(self.git.root(), args)
    }

    /// Runs the program with more variables.
    pub fn run_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Said {
        finish(self.command(self.git.root(), PROGRAM).envs(variables.iter().copied()).args(args))
    }

    /// Runs the program in another folder.
    pub fn run_in(&self, folder: &Path, args: &[&str]) -> Said {
        finish(self.command(folder, PROGRAM).args(args))
    }

    /// A command in the environment of these tests: nothing of the caller's but the search path.
    pub fn command(&self, folder: &Path, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .env_clear()
            .env("PATH", path())
            .env("HOME", self.folder.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Said {
    let output = command.output().expect("the program can be started");
    Said {
        exit: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Said {
    /// Asserts the exit code and sentences, wherever they stand.
    #[track_caller]
    pub fn expect(self, exit: i32, sentences: &[&str]) -> Self {
        let all = format!("{}{}", self.out, self.err);
        assert_eq!(self.exit, Some(exit), "{all}");
        for sentence in sentences {
            assert!(all.contains(sentence), "not said: {sentence}\n{all}");
        }
        assert!(!all.contains('\u{1b}'), "escape codes without a terminal: {all:?}");
        assert!(!all.contains("panicked"), "{all}");
        self
    }

    /// Parses standard output, which must hold JSON and nothing else.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }
}

/// The configuration of the model `churn`, with more lines of its `train:` at the end.
pub fn configuration(more: &str) -> String {
    format!(
        "version: 1\nproject: churn\nmodels:\n  churn:\n    paths: [train.sh]\n    train:\n      command: sh train.sh\n      data: none\n{more}"
    )
}

/// Finds a group in what `status --format json` printed.
#[track_caller]
pub fn group<'a>(status: &'a Value, name: &str) -> &'a Value {
    let groups = status["groups"].as_array().expect("groups");
    groups.iter().find(|group| group["group"] == name).unwrap_or_else(|| panic!("no group {name}: {status:#}"))
}

/// The codes of a model's reasons in what `run --format json` printed.
pub fn codes(model: &Value) -> Vec<&str> {
    model["reasons"]
        .as_array()
        .expect("reasons")
        .iter()
        .map(|reason| reason["code"].as_str().expect("a code"))
        .collect()
}

/// The kinds of a model's steps, each with its result.
pub fn steps(model: &Value) -> Vec<(&str, &str)> {
    let steps = model["steps"].as_array().expect("steps");
    steps
        .iter()
        .map(|step| (step["kind"].as_str().expect("a kind"), step["result"].as_str().expect("a result")))
        .collect()
}
