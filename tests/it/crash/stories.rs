//! The worlds that are struck: for each kind of step a prepared repository and home, and the command that does it.

use crate::crash::shim::Call;
use crate::crash::shim::Program;
use crate::crash::shim::Role;
use crate::world::repository::Repository;
use branchline::adapters::local::LocalArtifacts;
use branchline::adapters::local::home::Home;
use branchline::adapters::local::registry::LocalRegistry;
use branchline::adapters::system::SystemClock;
use branchline::ports::ArtifactStore;
use branchline::ports::Registry;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

const BASELINE: &str = "version: 1
project: churn
models:
  churn:
    paths: [train.sh, score]
    train: { command: sh train.sh, data: none }
";

const ADVANCED: &str = "version: 1
project: churn
topology: advanced
models:
  churn:
    paths: [train.sh, score]
    train: { command: sh train.sh, data: none }
";

/// Leaves a mark each time it is executed, so that a second execution of one training would be seen.
const SCRIPT: &str = "echo ran >> \"$SM_OUTPUT_DATA_DIR/ran\"
echo trained
cp score \"$SM_MODEL_DIR/model.txt\"
printf '{\"accuracy\": %s}' \"$(cat score)\" > \"$SM_OUTPUT_DATA_DIR/metrics.json\"
";

/// Stays until it is ended, unless the score says that it is the newer one.
const SLOW_SCRIPT: &str = "echo ran >> \"$SM_OUTPUT_DATA_DIR/ran\"
echo trained
[ \"$(cat score)\" = 0.82 ] || exec sleep 600
cp score \"$SM_MODEL_DIR/model.txt\"
";

/// Stays a while, so that several processes meet at one training.
pub const MEETING_SCRIPT: &str = "echo ran >> \"$SM_OUTPUT_DATA_DIR/ran\"
sleep 0.5
cp score \"$SM_MODEL_DIR/model.txt\"
";

/// How many calls, at least, it takes to ask for the end of a training: the request is the first that is written.
const STOPPING: u32 = 8;

/// A kind of story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Train,
    Promote,
    FanOut,
    Approve,
    Reject,
    Restore,
    StopOlder,
    Elsewhere,
    Import,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Train,
        Self::Promote,
        Self::FanOut,
        Self::Approve,
        Self::Reject,
        Self::Restore,
        Self::StopOlder,
        Self::Elsewhere,
        Self::Import,
    ];

    /// The command that is struck, and repeated.
    pub fn act(self) -> &'static [&'static str] {
        match self {
            Self::Train | Self::Restore => &["run", "--branch", "dev"],
            Self::Promote | Self::FanOut => &["run", "--branch", "prod"],
            Self::Approve => &["approve", "--group", "churn-prod", "--version", "1"],
            Self::Reject => &["reject", "--group", "churn-prod", "--version", "1", "--reason", "too slow"],
            Self::StopOlder => &["run", "--branch", "feature-x"],
            Self::Elsewhere => {
                &["register", "--model", "churn", "--artifact", "elsewhere", "--metrics", "elsewhere/metrics.json"]
            }
            Self::Import => &["import", "--model", "churn", "--group", "churn-dev", "--to", "feature"],
        }
    }

    /// The command that says what would be left to do.
    pub fn plan(self) -> Vec<&'static str> {
        let mut args = self.act().to_vec();
        if args[0] == "run" {
            args[0] = "plan";
        } else {
            args.push("--dry-run");
        }
        args.extend(["--format", "json"]);
        args
    }

    /// The kind of step that a call belongs to.
    pub fn step_of(self, call: &Call) -> &'static str {
        // SQLite syncs the folder of its file; making the folder is everybody's.
        let in_registry =
            call.path.contains("/home/branchline.db") || (call.path.ends_with("/home") && call.name == "fsync");
        let in_artifacts = call.path.contains("/artifacts") || call.path.contains("/tmp/blob-");
        match self {
            Self::Train if in_artifacts => "copy",
            Self::Train if in_registry => "register",
            Self::Train => "train",
            Self::Promote => "promote",
            Self::FanOut => "promote to two groups",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Restore => "restore",
            Self::StopOlder => "stop an older training",
            Self::Elsewhere => "register manually",
            Self::Import => "import",
        }
    }

    /// Tells whether a call belongs to what this kind is about. What follows once an older training is stopped is a
    /// training like any other.
    pub fn is_struck_at(self, call: &Call) -> bool {
        self != Self::StopOlder || (call.role == Role::Main && call.number <= STOPPING)
    }

    /// The name of all its steps, where they are struck together.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train, copy, register",
            Self::Promote => "promote",
            Self::FanOut => "promote to two groups",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Restore => "restore",
            Self::StopOlder => "stop an older training",
            Self::Elsewhere => "register manually",
            Self::Import => "import",
        }
    }
}

/// A prepared world, from which each strike gets a copy.
pub struct World {
    pub kind: Kind,
    folder: tempfile::TempDir,
}

/// A copy of a world's home.
pub struct Ground {
    pub program: Program,
    _folder: tempfile::TempDir,
}

impl World {
    /// Makes a world in which only the story's own command is missing.
    pub fn new(kind: Kind) -> Self {
        let world = Self { kind, folder: tempfile::tempdir().expect("a temporary folder") };
        let program = world.program();
        let repository = Repository::new(&program.repository, "dev");
        fs::create_dir_all(&program.folder).expect("a folder");
        let config = if kind == Kind::FanOut { ADVANCED } else { BASELINE };
        let script = if kind == Kind::StopOlder { SLOW_SCRIPT } else { SCRIPT };
        commit(&repository, config, script, "0.80");
        match kind {
            Kind::Train => {}
            Kind::Promote | Kind::FanOut => {
                done(&program, &["run"]);
                repository.git(&["branch", "prod"]);
            }
            Kind::Approve | Kind::Reject => {
                done(&program, &["run"]);
                repository.git(&["branch", "prod"]);
                done(&program, &["run", "--branch", "prod"]);
            }
            Kind::Restore => {
                done(&program, &["run"]);
                commit(&repository, config, script, "0.82");
                done(&program, &["run"]);
                repository.git(&["revert", "--no-edit", "HEAD"]);
            }
            // A folder that nothing watches, so that the tree is as its commit has it.
            Kind::Elsewhere => {
                fs::create_dir(program.repository.join("elsewhere")).expect("a folder");
                repository.write("elsewhere/model.txt", "weights");
                repository.write("elsewhere/metrics.json", "{\"accuracy\": 0.9}");
            }
            // One that is approved after one that is rejected: every way of taking over.
            Kind::Import => {
                done(&program, &["run"]);
                commit(&repository, config, script, "0.82");
                done(&program, &["run"]);
                done(&program, &["reject", "--group", "dev", "--version", "1"]);
            }
            // Its older training is begun in each copy: a process cannot be copied.
            Kind::StopOlder => {
                repository.switch("feature-x");
                commit(&repository, &format!("{config}wait: 0\n"), script, "0.80");
                repository.switch("newer");
                commit(&repository, config, script, "0.82");
                repository.switch("dev");
            }
        }
        world
    }

    /// Makes a world with another script, and as many models as are named.
    pub fn of_models(models: &[String], script: &str) -> Self {
        let world = Self { kind: Kind::Train, folder: tempfile::tempdir().expect("a temporary folder") };
        let program = world.program();
        let repository = Repository::new(&program.repository, "dev");
        fs::create_dir_all(&program.folder).expect("a folder");
        let mut config = "version: 1\nproject: churn\nmodels:\n".to_owned();
        for model in models {
            config.push_str(&format!(
                "  {model}:\n    paths: [train.sh, score]\n    train: {{ command: sh train.sh, data: none }}\n"
            ));
        }
        commit(&repository, &config, script, "0.80");
        world
    }

    fn program(&self) -> Program {
        Program { repository: self.folder.path().join("repository"), folder: self.folder.path().join("ground") }
    }

    /// Returns a fresh copy.
    pub fn ground(&self) -> Ground {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut program = Program { repository: self.program().repository, folder: folder.path().to_path_buf() };
        if self.program().home().exists() {
            copy_folder(&self.program().home(), &program.home());
        }
        if self.kind == Kind::StopOlder {
            // A branch is moved, so it takes a repository of its own.
            let own = folder.path().join("repository");
            copy_folder(&program.repository, &own);
            program.repository = own;
            done(&program, &["run", "--branch", "feature-x"]);
            let moved = Command::new("git")
                .args(["branch", "--force", "feature-x", "newer"])
                .current_dir(&program.repository)
                .output()
                .expect("git can be started");
            assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
        }
        Ground { program, _folder: folder }
    }
}

fn commit(repository: &Repository, config: &str, script: &str, score: &str) {
    repository.write("branchline.yaml", config);
    repository.write("train.sh", script);
    repository.write("score", score);
    repository.commit("the score moves");
}

fn done(program: &Program, args: &[&str]) {
    let finished = program.run(args);
    assert_eq!(finished.code, Some(0), "{args:?}:\n{}", finished.said);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder that can be read") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).expect("a copied file");
        }
    }
}

/// What a home holds, as far as it must be the same however it came about: no times, no run keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Holdings {
    /// The versions of each group, oldest first.
    pub versions: BTreeMap<String, Vec<String>>,
    /// The history of each group, oldest first.
    pub history: BTreeMap<String, Vec<String>>,
    /// Versions whose artifact is not what was recorded.
    pub damaged: Vec<String>,
    /// How each training ended, by name.
    pub trainings: BTreeMap<String, String>,
    /// How often the command of each training was executed.
    pub executions: BTreeMap<String, usize>,
}

impl Holdings {
    /// Reads a home.
    pub fn of(program: &Program) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut holdings = Self::default();
        runtime.block_on(holdings.read_registry(&program.home()));
        holdings.read_trainings(&program.home().join("trainings"));
        holdings
    }

    async fn read_registry(&mut self, home: &Path) {
        let home = Home::at(home.to_path_buf());
        let registry = LocalRegistry::at(&home.database(), Arc::new(SystemClock));
        let artifacts = LocalArtifacts::new(home);
        for group in registry.groups("").await.expect("a sound registry") {
            let mut lines = Vec::new();
            for version in registry.list(&group, None, 1000).await.expect("a sound registry").into_iter().rev() {
                let content = &version.content;
                let source = content.source.as_ref().map(|source| format!(" from {source}")).unwrap_or_default();
                let restores = content.restores.map(|number| format!(" restores {number}")).unwrap_or_default();
                lines.push(format!(
                    "{} {} {}{}{} {}{source}{restores}",
                    version.number,
                    content.semver,
                    version.approval,
                    if version.superseded { " superseded" } else { "" },
                    if version.rejection.is_some() { " marked" } else { "" },
                    content.fingerprint,
                ));
                for artifact in &content.artifacts {
                    if let Err(error) = artifacts.verify(artifact).await {
                        self.damaged.push(format!("{group} {}: {}", version.number, error.chain()));
                    }
                }
            }
            self.versions.insert(group.to_string(), lines);
            let history = registry.history(&group, None, None).await.expect("a sound registry");
            let mut lines: Vec<String> = history
                .iter()
                .map(|entry| {
                    let number = |n: Option<branchline::model::version::VersionNumber>| {
                        n.map_or_else(|| "-".to_owned(), |n| n.to_string())
                    };
                    format!("{} {} current {}", entry.action.as_str(), number(entry.version), number(entry.current))
                })
                .collect();
            lines.sort();
            self.history.insert(group.to_string(), lines);
        }
    }

    fn read_trainings(&mut self, folder: &PathBuf) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let state = match fs::read(path.join("result.json")) {
                Ok(bytes) => {
                    let value: serde_json::Value = serde_json::from_slice(&bytes).expect("a whole result");
                    value["end"]["state"].as_str().expect("a state").to_owned()
                }
                Err(_) => "lost".to_owned(),
            };
            self.trainings.insert(name.clone(), state);
            let ran = fs::read_to_string(path.join("ml/output/data/ran")).unwrap_or_default();
            self.executions.insert(name, ran.lines().count());
        }
    }

    fn trainings_that(&self, state: &str) -> usize {
        self.trainings.values().filter(|found| *found == state).count()
    }

    /// Holds this against what an undisturbed run left.
    pub fn compare(&self, wanted: &Self) -> Difference {
        let mut difference = Difference::default();
        for (what, found, wanted) in
            [("versions", &self.versions, &wanted.versions), ("history", &self.history, &wanted.history)]
        {
            let groups: std::collections::BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
            for group in groups {
                let none = Vec::new();
                let (found, wanted) = (found.get(group).unwrap_or(&none), wanted.get(group).unwrap_or(&none));
                difference.duplicates += found.len().saturating_sub(wanted.len());
                difference.lost += wanted.len().saturating_sub(found.len());
                if found != wanted {
                    difference.says.push(format!("{what} of {group}: {found:?} instead of {wanted:?}"));
                }
            }
        }
        difference.lost += self.damaged.len();
        difference.says.extend(self.damaged.iter().cloned());
        let (succeeded, expected) = (self.trainings_that("succeeded"), wanted.trainings_that("succeeded"));
        difference.duplicates += succeeded.saturating_sub(expected);
        difference.lost += expected.saturating_sub(succeeded);
        if succeeded != expected {
            difference.says.push(format!("trainings: {:?} instead of {:?}", self.trainings, wanted.trainings));
        }
        // A training whose worker was killed is followed by one more attempt, and not by two.
        if self.trainings.len() > wanted.trainings.len() + 1 {
            difference.duplicates += self.trainings.len() - wanted.trainings.len() - 1;
            difference.says.push(format!("attempts: {:?}", self.trainings));
        }
        for (training, times) in self.executions.iter().filter(|(_, times)| **times > 1) {
            difference.duplicates += times - 1;
            difference.says.push(format!("{training} was executed {times} times"));
        }
        difference
    }
}

/// How a home differs from the one of an undisturbed run.
#[derive(Debug, Default)]
pub struct Difference {
    pub duplicates: usize,
    pub lost: usize,
    pub says: Vec<String>,
}
