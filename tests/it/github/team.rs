//! A team on GitHub: its repository, the world that hosts it, and the machine on which its jobs run the real program.

use crate::binary::harness::PROGRAM;
use crate::binary::harness::Said;
use crate::binary::harness::TRAINS;
use crate::binary::harness::configuration;
use crate::binary::harness::finish;
use crate::runner::parser;
use crate::world::github::GitHubWorld;
use crate::world::github::state::CheckRun;
use crate::world::github::state::Node;
use crate::world::github::state::Pull;
use crate::world::github::state::Review;
use crate::world::repository::Repository;
use crate::world::repository::path;
use branchline::model::git::CommitSha;
use serde_json::Value;
use serde_json::json;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

/// All of it.
pub struct Team {
    folder: TempDir,
    /// What GitHub hosts.
    pub origin: Repository,
    /// GitHub.
    pub world: GitHubWorld,
    runs: Cell<u32>,
    /// How the next jobs check out.
    pub depth_one: Cell<bool>,
    /// Jobs fetch the branch that was pushed, and keep what an earlier job fetched of the others.
    pub fetches_only: Cell<bool>,
    /// Variables that differ from the usual ones; an empty value takes one away.
    pub variables: Vec<(String, String)>,
}

/// What came of a job.
#[derive(Debug)]
pub struct Done {
    /// Exit code and output.
    pub said: Said,
    /// The step's outputs.
    pub outputs: BTreeMap<String, String>,
    /// The step's summary.
    pub summary: String,
    /// Method, and path with query, of each request.
    pub sent: Vec<String>,
}

/// How a pull request is merged.
#[derive(Debug, Clone, Copy)]
pub enum How {
    MergeCommit,
    Squash,
    Rebase,
}

impl Team {
    /// A team with the model `churn` on `main`, `dev` and `prod`, with more lines of rules.
    pub fn with_rules(rules: &str) -> Self {
        Self::with(&format!("{}{rules}", configuration("")), TRAINS)
    }

    /// A team with this configuration and this script on `main`, `dev` and `prod`.
    pub fn with(configuration: &str, script: &str) -> Self {
        let team = Self::bare();
        team.origin.write("branchline.yaml", configuration);
        team.origin.write("train.sh", script);
        team.origin.commit("first");
        team.origin.git(&["branch", "dev"]);
        team.origin.git(&["branch", "prod"]);
        team
    }

    /// A team without a commit.
    pub fn bare() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let origin = Repository::new(&folder.path().join("churn"), "main");
        let world = GitHubWorld::new();
        world.with(|state| {
            state.people.insert("ada".to_owned(), ("write", "write"));
            state.people.insert("mia".to_owned(), ("write", "maintain"));
            state.people.insert("eve".to_owned(), ("read", "read"));
        });
        Self {
            folder,
            origin,
            world,
            runs: Cell::new(0),
            depth_one: Cell::new(false),
            fetches_only: Cell::new(false),
            variables: Vec::new(),
        }
    }

    /// Sets a variable for every job from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The folder around everything.
    pub fn outside(&self) -> &Path {
        self.folder.path()
    }

    /// The home of the local backend.
    pub fn home(&self) -> PathBuf {
        self.outside().join("home")
    }

    /// Commits one changed file on a branch.
    pub fn commit(&self, branch: &str, file: &str, content: &str) -> String {
        self.origin.switch(branch);
        self.origin.write(file, content);
        self.origin.commit(&format!("{file} changes"))
    }

    /// Changes the model's code on a branch, in a way that it trains well.
    pub fn change(&self, branch: &str, what: &str) -> String {
        self.commit(branch, "train.sh", &format!("{TRAINS}# {what}\n"))
    }

    /// The head of a branch.
    pub fn head(&self, branch: &str) -> String {
        self.origin.git(&["rev-parse", branch])
    }

    /// What a repository is in a payload.
    pub fn repository() -> Value {
        json!({ "id": 4711, "full_name": "acme/churn", "default_branch": "main" })
    }

    /// The job of a push to a branch's head.
    pub fn push(&self, branch: &str) -> Done {
        self.job("push", &self.head(branch), &self.push_payload(branch))
    }

    pub fn push_payload(&self, branch: &str) -> Value {
        json!({
            "ref": format!("refs/heads/{branch}"), "before": "0".repeat(40), "after": self.head(branch),
            "created": false, "deleted": false, "forced": false,
            "repository": Self::repository(), "sender": { "login": "ada" },
        })
    }

    /// Opens a pull request on GitHub; its job does not run yet.
    pub fn open(&self, number: u64, from: &str, into: &str) {
        let head = sha(&self.head(from));
        self.world.with(|state| {
            state.pulls.push(Pull {
                number,
                state: "open",
                merged: false,
                title: "Better".to_owned(),
                author: Some("ada".to_owned()),
                head_branch: from.to_owned(),
                head: head.clone(),
                base_branch: into.to_owned(),
                head_repository: Some(4711),
                commits: vec![head],
                draft: false,
                authors: Vec::new(),
                reviews: Vec::new(),
            });
        });
    }

    pub fn pull_payload(&self, number: u64) -> Value {
        let pull = self.pull(number);
        let side = |branch: &str, sha: &str| json!({ "ref": branch, "sha": sha, "repo": Self::repository() });
        json!({
            "action": "synchronize",
            "number": number,
            "pull_request": {
                "number": number, "title": pull.title, "draft": false, "merged": pull.merged, "state": pull.state,
                "merge_commit_sha": null, "user": { "login": pull.author },
                "head": side(&pull.head_branch, pull.head.as_str()),
                "base": side(&pull.base_branch, &self.head(&pull.base_branch)),
            },
            "repository": Self::repository(),
            "sender": { "login": "ada" },
        })
    }

    /// The job of a pull request, at its branch's head now.
    pub fn pull_job(&self, number: u64) -> Done {
        let branch = self.pull(number).head_branch;
        let head = sha(&self.head(&branch));
        self.world.with(|state| {
            let pull = state.pulls.iter_mut().find(|pull| pull.number == number).expect("a pull request");
            pull.head = head.clone();
            pull.commits.push(head);
        });
        self.job("pull_request", &self.head(&branch), &self.pull_payload(number))
    }

    pub fn pull(&self, number: u64) -> Pull {
        self.world.with(|state| state.pulls.iter().find(|pull| pull.number == number).expect("one").clone())
    }

    /// Merges a pull request, without the job of the push that follows. Returns the base's new head.
    pub fn merge(&self, number: u64, how: How) -> String {
        let pull = self.pull(number);
        self.origin.switch(&pull.base_branch);
        let head = pull.head.as_str();
        match how {
            How::MergeCommit => {
                self.origin.git(&["merge", "--quiet", "--no-ff", "-m", "Merge pull request", head]);
            }
            How::Squash => {
                self.origin.git(&["merge", "--quiet", "--squash", head]);
                self.origin.commit("Better (#7)");
            }
            How::Rebase => {
                let range = format!("{}..{head}", pull.base_branch);
                self.origin.git(&["cherry-pick", "--allow-empty", &range]);
            }
        }
        let merged = self.head(&pull.base_branch);
        self.world.with(|state| {
            let pull = state.pulls.iter_mut().find(|pull| pull.number == number).expect("a pull request");
            (pull.state, pull.merged) = ("closed", true);
            pull.commits.push(sha(&merged));
        });
        merged
    }

    /// The job of a workflow that somebody started manually.
    pub fn dispatch(&self, who: &str, branch: &str, inputs: &Value) -> Done {
        let payload = json!({
            "inputs": inputs, "ref": format!("refs/heads/{branch}"), "workflow": ".github/workflows/by-hand.yml",
            "repository": Self::repository(), "sender": { "login": who },
        });
        let mut command = self.command("workflow_dispatch", &self.head(branch), &payload);
        command.env("GITHUB_REF", format!("refs/heads/{branch}"));
        command.env("GITHUB_ACTOR", who).env("GITHUB_TRIGGERING_ACTOR", who);
        self.done(&mut command)
    }

    /// The job of a workflow that runs a command line of its own, started by somebody, or by an event.
    pub fn asks(&self, event: &str, who: &str, branch: &str, args: &[&str]) -> Done {
        let payload = json!({
            "ref": format!("refs/heads/{branch}"), "inputs": null, "repository": Self::repository(),
            "sender": { "login": who },
        });
        let prepared = self.command(event, &self.head(branch), &payload);
        let mut command = Command::new(PROGRAM);
        command.args(args).env_clear().stdin(Stdio::null());
        command.current_dir(prepared.get_current_dir().expect("a checkout"));
        command.envs(prepared.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("GITHUB_REF", format!("refs/heads/{branch}"));
        command.env("GITHUB_ACTOR", who).env("GITHUB_TRIGGERING_ACTOR", who);
        self.done(&mut command)
    }

    /// Somebody reviews a pull request as it is now.
    pub fn review(&self, number: u64, by: &str, state: &'static str) {
        let commit = self.pull(number).head;
        self.world.with(|state_of| {
            let pull = state_of.pulls.iter_mut().find(|pull| pull.number == number).expect("a pull request");
            pull.reviews.push(Review { by: by.to_owned(), state, commit });
        });
    }

    /// Who is recorded for the newest change of a kind in a group.
    pub fn actor_of(&self, group: &str, action: &str) -> String {
        let history = self.by_hand(&["history", group, "--changes", "--format", "json"]).json();
        let changes = history["changes"].as_array().unwrap_or_else(|| panic!("no changes: {history:#}"));
        let found =
            changes.iter().filter(|change| change["action"] == action).max_by_key(|change| change["at"].to_string());
        let found = found.unwrap_or_else(|| panic!("no {action}: {history:#}"));
        format!(
            "{} {}",
            found["by"]["actor"].as_str().unwrap_or("nobody"),
            found["by"]["run_url"].as_str().unwrap_or("nowhere")
        )
    }

    /// The job of a schedule.
    pub fn schedule(&self) -> Done {
        let payload = json!({ "schedule": "*/15 * * * *", "repository": Self::repository() });
        self.job("schedule", &self.head("main"), &payload)
    }

    /// Runs the job of an event on a checkout of a commit.
    pub fn job(&self, event: &str, commit: &str, payload: &Value) -> Done {
        self.done(&mut self.command(event, commit, payload))
    }

    /// Runs a prepared command as a job, and reads what it left.
    pub fn done(&self, command: &mut Command) -> Done {
        let before = self.world.requests();
        let said = finish(command);
        self.read(said, before)
    }

    /// Reads what a job left.
    pub fn read(&self, said: Said, before: usize) -> Done {
        let text = |name: &str| fs::read_to_string(self.outside().join(name)).unwrap_or_default();
        let outputs = parser::outputs(&text("output"), false).expect("a file of outputs");
        let sent = self
            .world
            .with(|state| state.seen[before..].iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect());
        let all = format!("{}{}", said.out, said.err);
        assert!(!all.contains("panicked"), "{all}");
        Done { said, outputs: outputs.into_iter().collect(), summary: text("summary"), sent }
    }

    /// The command of a job: what GitHub knows is brought up to date, the commit is checked out.
    pub fn command(&self, event: &str, commit: &str, payload: &Value) -> Command {
        self.publish();
        let work = self.check_out(commit);
        fs::write(self.outside().join("event.json"), payload.to_string()).expect("a payload");
        self.step(&work, event, commit)
    }

    /// The command of a job on the checkout that the last one left, whose payload is still to be written.
    pub fn command_again(&self) -> Command {
        self.step(&self.outside().join("work"), "push", &self.head("dev"))
    }

    fn step(&self, work: &Path, event: &str, commit: &str) -> Command {
        let run = self.runs.get() + 1;
        self.runs.set(run);
        for name in ["output", "summary"] {
            fs::write(self.outside().join(name), "").expect("a file");
        }
        let run = (1000 + run).to_string();
        let mut command = Command::new(PROGRAM);
        command
            .arg("run")
            .current_dir(work)
            .env_clear()
            .stdin(Stdio::null())
            .env("PATH", path())
            .env("HOME", self.outside())
            .env("BRANCHLINE_HOME", self.home())
            .env("GITHUB_EVENT_PATH", self.outside().join("event.json"))
            .env("GITHUB_OUTPUT", self.outside().join("output"))
            .env("GITHUB_STEP_SUMMARY", self.outside().join("summary"))
            .env("GITHUB_API_URL", &self.world.api_url);
        for (name, value) in [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", event),
            ("GITHUB_SHA", commit),
            ("GITHUB_ACTOR", "ada"),
            ("GITHUB_TRIGGERING_ACTOR", "ada"),
            ("GITHUB_RUN_ID", &run),
            ("GITHUB_RUN_ATTEMPT", "1"),
            ("GITHUB_JOB", "models"),
            ("GITHUB_REPOSITORY", "acme/churn"),
            ("GITHUB_REPOSITORY_ID", "4711"),
            ("GITHUB_SERVER_URL", "https://github.example.com"),
            ("GITHUB_WORKFLOW_REF", "acme/churn/.github/workflows/models.yml@refs/heads/main"),
            ("GITHUB_TOKEN", "ghs_job"),
            ("RUNNER_ENVIRONMENT", "self-hosted"),
        ] {
            command.env(name, value);
        }
        for (name, value) in &self.variables {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        command
    }

    /// GitHub sees what was pushed.
    fn publish(&self) {
        let heads = self.origin.git(&["for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads"]);
        let commits = self.origin.git(&["rev-list", "--all"]);
        let files: Vec<(String, Option<String>)> = heads
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(branch, _)| {
                let listed = self.origin.git(&["ls-tree", "--name-only", branch, "branchline.yaml"]);
                let text = (!listed.is_empty())
                    .then(|| self.origin.git(&["show", &format!("{branch}:branchline.yaml")]) + "\n");
                (format!("refs/heads/{branch}"), text)
            })
            .collect();
        self.world.with(|state| {
            state.branches = heads
                .lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(branch, id)| (branch.to_owned(), sha(id)))
                .collect();
            state.commits.extend(commits.lines().map(sha));
            state.files.clear();
            for (at, text) in files {
                state.files.insert((at.clone(), "README.md".to_owned()), Node::File(Vec::new()));
                if let Some(text) = text {
                    state.files.insert((at, "branchline.yaml".to_owned()), Node::File(text.into_bytes()));
                }
            }
        });
    }

    /// Leaves a commit as `actions/checkout` does: a detached head, and the branches of the remote.
    fn check_out(&self, commit: &str) -> PathBuf {
        let root = self.outside().join(if self.depth_one.get() { "shallow" } else { "work" });
        let fresh = !root.join(".git").exists();
        let work = Repository::new(&root, "main");
        if fresh {
            let from = format!("file://{}", self.origin.root().display());
            work.git(&["remote", "add", "origin", &from]);
            self.origin.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        }
        if self.fetches_only.get() {
            work.git(&["fetch", "--quiet", "origin", "+refs/heads/dev:refs/remotes/origin/dev"]);
        } else if self.depth_one.get() {
            // One commit, and the name of the branch that it was pushed to.
            let heads = self.origin.git(&["branch", "--format=%(refname:short)", "--points-at", commit]);
            let branch = heads.lines().next().unwrap_or("dev");
            let what = format!("+{commit}:refs/remotes/origin/{branch}");
            work.git(&["fetch", "--quiet", "--no-tags", "--depth=1", "origin", &what]);
        } else {
            work.git(&["fetch", "--quiet", "--prune", "origin", "+refs/heads/*:refs/remotes/origin/*"]);
        }
        work.git(&["checkout", "--quiet", "--force", "--detach", commit]);
        root
    }

    /// Runs the program manually against the same home, on the checkout of the last job.
    pub fn by_hand(&self, args: &[&str]) -> Said {
        let mut command = Command::new(PROGRAM);
        command.args(args).current_dir(self.outside().join("work")).env_clear().stdin(Stdio::null());
        command.env("PATH", path()).env("HOME", self.outside()).env("BRANCHLINE_HOME", self.home()).env("CI", "true");
        finish(&mut command)
    }

    /// The number, approval and the number of its source, of each version of a group.
    pub fn versions(&self, group: &str) -> Vec<(u64, String)> {
        self.group(group)
            .iter()
            .map(|version| {
                let number = version["version"].as_u64().unwrap_or_else(|| panic!("no number: {version:#}"));
                (number, version["approval"].as_str().unwrap_or_default().to_owned())
            })
            .collect()
    }

    /// The versions of a group as `status` prints them, oldest first.
    pub fn group(&self, group: &str) -> Vec<Value> {
        let status = self.by_hand(&["status", "--format", "json"]).json();
        let groups = status["groups"].as_array().unwrap_or_else(|| panic!("no groups: {status:#}"));
        let found = groups.iter().find(|found| found["group"] == group);
        let mut versions = found.and_then(|found| found["versions"].as_array()).cloned().unwrap_or_default();
        versions.sort_by_key(|version| version["version"].as_u64());
        versions
    }

    /// Our check on a commit, and no other of ours is open.
    #[track_caller]
    pub fn check(&self, commit: &str) -> CheckRun {
        let found: Vec<CheckRun> = self.world.with(|state| {
            state.checks.iter().filter(|run| run.sha == commit && run.name == "branchline").cloned().collect()
        });
        // One that ended is never reopened: GitHub shows the newest of a name.
        let open = found.iter().rev().skip(1).filter(|run| run.status != "completed").count();
        assert_eq!(open, 0, "checks on {commit}: {found:#?}");
        found.into_iter().next_back().unwrap_or_else(|| panic!("no check on {commit}"))
    }

    /// How our check on a commit stands: its conclusion, or its status while it has none.
    #[track_caller]
    pub fn state(&self, commit: &str) -> String {
        let check = self.check(commit);
        check.conclusion.unwrap_or(check.status)
    }

    /// The comments of ours on a pull request.
    pub fn comments(&self, number: u64) -> Vec<String> {
        self.world.with(|state| {
            let ours = |body: &str| body.contains("<!-- branchline:comment:");
            let found = state.comments.iter().filter(|comment| comment.issue == number && ours(&comment.body));
            found.map(|comment| comment.body.clone()).collect()
        })
    }

    /// The one comment of ours on a pull request.
    #[track_caller]
    pub fn comment(&self, number: u64) -> String {
        let found = self.comments(number);
        assert_eq!(found.len(), 1, "comments: {found:#?}");
        found.into_iter().next().expect("one")
    }
}

impl Done {
    /// Asserts the exit code and sentences, in the log or the summary.
    #[track_caller]
    pub fn expect(self, exit: i32, sentences: &[&str]) -> Self {
        let all = format!(
            "{}{}\n--- summary\n{}\n--- sent\n{}",
            self.said.out,
            self.said.err,
            self.summary,
            self.sent.join("\n")
        );
        assert_eq!(self.said.exit, Some(exit), "{all}");
        for sentence in sentences {
            assert!(all.contains(sentence), "not said: {sentence}\n{all}");
        }
        self
    }

    /// How many requests wrote.
    pub fn writes(&self) -> usize {
        self.sent.iter().filter(|sent| !sent.starts_with("GET ")).count()
    }

    /// Asserts what is one output of the step.
    #[track_caller]
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).unwrap_or_else(|| panic!("no output {name}: {:#?}", self.outputs))
    }

    /// The commands in the log that the runner would obey, as `name: data`.
    pub fn commands(&self) -> Vec<String> {
        let all = parser::commands(&self.said.out).into_iter().chain(parser::commands(&self.said.err));
        all.map(|command| format!("{}: {}", command.name, command.data)).collect()
    }
}

/// A commit id.
pub fn sha(text: &str) -> CommitSha {
    CommitSha::parse(text).expect("a commit id")
}
