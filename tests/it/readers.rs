//! Commands that only read, as the real program answers them in a real repository.

use crate::world::repository::Repository;
use crate::world::repository::path;
use serde_json::Value;
use std::process::Command;

const CONFIG: &str = "version: 1
project: churn
models:
  churn:
    paths: [train.sh, score]
    train: { command: sh train.sh, data: { train: data.csv }, hyperparameters: { depth: 5 } }
stages:
  feature: { branches: [\"feature-*\", \"feature/**\", \"!feature/old-*\"] }
";

const SCRIPT: &str = "cp score \"$SM_MODEL_DIR/model.txt\"
printf '{\"accuracy\": %s}' \"$(cat score)\" > \"$SM_OUTPUT_DATA_DIR/metrics.json\"
";

/// A repository with its home, and the program in it.
struct Desk {
    folder: tempfile::TempDir,
    repository: Repository,
}

/// What the program said.
struct Said {
    out: String,
    err: String,
    exit: i32,
}

impl Said {
    fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out));
        assert_eq!(value["schema"], 1, "{value}");
        value
    }
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let repository = Repository::new(&folder.path().join("repository"), "dev");
        repository.git(&["config", "user.name", "Ada"]);
        repository.write("branchline.yaml", CONFIG);
        repository.write("train.sh", SCRIPT);
        repository.write("data.csv", "x,y\n1,2\n");
        repository.write("score", "0.8");
        repository.commit("Begin");
        Self { folder, repository }
    }

    fn say(&self, args: &[&str]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_branchline"))
            .args(args)
            .current_dir(self.repository.root())
            .env_clear()
            .env("PATH", path())
            .env("HOME", self.folder.path())
            .env("BRANCHLINE_HOME", self.folder.path().join("home"))
            .output()
            .expect("the program can be started");
        Said {
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
            exit: output.status.code().unwrap_or(-1),
        }
    }

    /// Runs it and expects it to end well.
    fn ok(&self, args: &[&str]) -> Said {
        let said = self.say(args);
        assert_eq!(said.exit, 0, "{args:?}\n{}{}", said.out, said.err);
        said
    }

    /// Commits a score on dev and trains it.
    fn train(&self, score: &str, subject: &str) -> String {
        self.repository.switch("dev");
        self.repository.write("score", score);
        let commit = self.repository.commit(subject);
        self.ok(&["run"]);
        commit
    }

    /// Two versions in dev, both brought to prod: the first approved, then the second, then the second rejected.
    fn released() -> (Self, [String; 2]) {
        let desk = Self::new();
        let first = desk.train("0.81", "Better | `x` @ada");
        desk.ok(&["promote", "--from", "dev", "--to", "prod", "--reason", "=HYPERLINK(\"x\")"]);
        desk.ok(&["approve", "--group", "prod", "--version", "1", "--reason", "=1+1 | @all <b>"]);
        let second = desk.train("0.9", "Much better");
        desk.ok(&["promote", "--from", "dev", "--to", "prod"]);
        desk.ok(&["approve", "--group", "prod", "--version", "2"]);
        desk.ok(&["reject", "--group", "prod", "--version", "2", "--reason", "false alarms"]);
        (desk, [first, second])
    }
}

#[test]
fn history_tells_what_was_current_and_who_approved_it() {
    let (desk, [first, second]) = Desk::released();
    let history = desk.ok(&["history", "prod", "--format", "json"]).json();
    let periods = history["periods"].as_array().expect("periods");
    let shown: Vec<(u64, &str, bool)> = periods
        .iter()
        .map(|p| {
            (p["version"].as_u64().expect("a number"), p["commit"].as_str().expect("a commit"), p["until"].is_null())
        })
        .collect();
    assert_eq!(shown, [(1, first.as_str(), false), (2, second.as_str(), false), (1, first.as_str(), true)]);
    for period in periods {
        assert_eq!(period["approved"]["by"]["actor"], "Ada");
        assert_eq!(period["approved"]["by_rule"], false);
        assert!(period["data"]["train"]["digest"].as_str().is_some_and(|d| d.starts_with("git:")), "{period}");
        assert!(period["copied_from"].as_str().is_some_and(|source| source.starts_with("churn-dev v")), "{period}");
    }
    assert_eq!(periods[1]["ended"]["action"], "rejected");
    assert_eq!(periods[1]["ended"]["by"]["reason"], "false alarms");
    assert_eq!(periods[0]["until"], periods[1]["from"]);
    let changes = history["changes"].as_array().expect("changes");
    let actions: Vec<&str> = changes.iter().filter_map(|change| change["action"].as_str()).collect();
    assert_eq!(actions, ["promoted", "approved", "promoted", "approved", "rejected"]);

    // What a rule approved was not approved by whoever pushed.
    let dev = desk.ok(&["history", "dev", "--format", "json"]).json();
    assert_eq!(dev["periods"][0]["approved"]["by_rule"], true);

    // At the very moment in which the second became current, and before anything was.
    let from = periods[1]["from"].as_str().expect("a time");
    let at = desk.ok(&["history", "churn-prod", "--at", from, "--format", "json"]).json();
    assert_eq!(at["periods"].as_array().map(Vec::len), Some(1));
    assert_eq!(at["periods"][0]["version"], 2);
    assert!(desk.ok(&["history", "prod", "--at", from]).out.contains(&second));
    let before = desk.ok(&["history", "prod", "--at", "1d"]);
    assert!(before.out.starts_with("nothing was current in churn-prod at "), "{}", before.out);
    let range = desk.ok(&["history", "prod", "--from", from, "--format", "json"]).json();
    assert_eq!(range["periods"].as_array().map(Vec::len), Some(2));
    let table = desk.ok(&["history", "prod"]).out;
    assert_eq!(table.lines().count(), 5, "{table}");
    assert!(table.contains("rejected v2"), "{table}");
    assert!(!table.contains("PULL REQUEST"), "a column in which nobody has anything: {table}");
}

#[test]
fn history_tells_of_a_rollback() {
    let (desk, _) = Desk::released();
    desk.ok(&["approve", "--group", "prod", "--version", "2", "--reason", "false alarms are fixed"]);
    desk.ok(&["rollback", "--group", "prod", "--reason", "they were not"]);
    let history = desk.ok(&["history", "prod", "--format", "json"]).json();
    let periods = history["periods"].as_array().expect("periods");
    let versions: Vec<u64> = periods.iter().filter_map(|period| period["version"].as_u64()).collect();
    assert_eq!(versions, [1, 2, 1, 2, 3]);
    let last = &periods[4];
    assert_eq!((&last["began"]["action"], &last["until"]), (&"restored".into(), &Value::Null));
    assert_eq!(last["approved"]["by_rule"], false, "a person asked for it: {last}");
    assert_eq!(last["approved"]["by"]["reason"], "they were not");
    assert_eq!(last["commit"], periods[0]["commit"], "the same artifacts");
    let changes = history["changes"].as_array().expect("changes");
    let actions: Vec<&str> = changes.iter().rev().take(4).filter_map(|change| change["action"].as_str()).collect();
    assert_eq!(actions, ["rolled-back", "approved", "restored", "frozen"]);
}

#[test]
fn history_in_a_document_is_only_text() {
    let (desk, _) = Desk::released();
    let csv = desk.ok(&["history", "prod", "--changes", "--format", "csv"]).out;
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines[0], "when,change,version,current_after,who,event,pull_request,reviewed_by,run,reason");
    assert!(lines[1].ends_with(",\"'=HYPERLINK(\"\"x\"\")\""), "{csv}");
    assert!(lines[2].ends_with(",'=1+1 | @all <b>"), "{csv}");
    let periods = desk.ok(&["history", "prod", "--format", "csv"]).out;
    assert_eq!(periods.split("\r\n").filter(|line| !line.is_empty()).count(), 4);
    let markdown = desk.ok(&["history", "prod", "--format", "md"]).out;
    let widths: Vec<usize> = markdown.lines().map(|line| line.replace("\\|", "").matches('|').count()).collect();
    assert!(widths.iter().all(|width| *width == widths[0]), "{markdown}");
    assert!(markdown.contains("=1+1 \\| @\u{200b}all &lt;b&gt;"), "{markdown}");
}

#[test]
fn wrong_questions_to_history_are_usage_errors() {
    let desk = Desk::new();
    for (args, sentence) in [
        (&["history", "prod", "--at", "soon"][..], "`soon` is not a point in time"),
        (&["history", "prod", "--from", "1d", "--to", "2d"], "is not before `--to`"),
        (&["history", "prd"], "did you mean"),
    ] {
        let said = desk.say(args);
        assert_eq!((said.exit, said.out.as_str()), (2, ""), "{args:?} {}", said.err);
        assert!(said.err.contains(sentence), "{args:?} {}", said.err);
    }
    assert_eq!(desk.ok(&["history", "prod"]).out, "nothing was current in churn-prod\n");
    assert!(!desk.folder.path().join("home").exists(), "reading made a home");
}

#[test]
fn log_shows_what_each_commit_gave() {
    let (desk, [first, second]) = Desk::released();
    desk.repository.write("notes.md", "not watched");
    desk.repository.commit("Only notes");
    let log = desk.ok(&["log", "--format", "json"]).json();
    assert_eq!(log["models"][0]["branch"], "dev");
    let commits = log["models"][0]["commits"].as_array().expect("commits");
    let ids: Vec<&str> = commits.iter().filter_map(|commit| commit["commit"].as_str()).collect();
    assert_eq!(ids[..2], [second.as_str(), first.as_str()]);
    assert_eq!(ids.len(), 3, "the commit that the model does not watch is not listed");
    let given = |at: usize| -> Vec<String> {
        let versions = commits[at]["versions"].as_array().expect("versions");
        versions.iter().map(|v| format!("{} {} {}", v["group"], v["version"], v["metrics"]["accuracy"])).collect()
    };
    assert_eq!(given(0), ["\"churn-dev\" 2 0.9", "\"churn-prod\" 2 0.9"]);
    assert_eq!(given(1), ["\"churn-dev\" 1 0.81", "\"churn-prod\" 1 0.81"]);
    assert!(given(2).is_empty());
    let text = desk.ok(&["log", "--limit", "1"]).out;
    assert!(text.contains("Much better") && text.contains("churn-dev v2"), "{text}");
    assert!(!text.contains("Better |") && text.contains("there may be more: branchline log --limit 2"), "{text}");
    let unknown = desk.say(&["log", "--branch", "nowhere"]);
    assert_eq!((unknown.exit, unknown.out.as_str()), (2, ""));
}

#[test]
fn diff_tells_versions_apart() {
    let (desk, [first, second]) = Desk::released();
    desk.repository.write("branchline.yaml", &CONFIG.replace("depth: 5", "depth: 7"));
    desk.train("0.95", "Deeper");
    let diff = desk.ok(&["diff", "dev:1", "churn-dev:v3", "--format", "json"]).json();
    assert_eq!(diff["a"]["commit"], first.as_str());
    let difference = diff["metrics"][0]["difference"].as_f64().expect("both have it");
    assert!((difference - 0.14).abs() < 1e-9);
    let setting = &diff["settings"][0];
    assert_eq!([&setting["name"], &setting["a"], &setting["b"]], ["depth", "5", "7"]);
    assert_eq!(diff["data"][0]["same"], true);
    assert_eq!(diff["code"]["paths"], serde_json::json!(["score"]));
    assert_eq!(diff["who"]["b"], "rule (push)");
    let text = desk.ok(&["diff", "dev:1", "dev"]).out;
    assert!(text.contains("+0.14") && text.contains("settings: depth differ"), "{text}");
    assert!(text.contains("code: 1 watched file differs: score"), "{text}");

    // A promotion is the same bytes; without a number the current version is meant.
    let copied = desk.ok(&["diff", "dev:1", "prod"]).out;
    assert!(copied.contains("churn-prod v1") && copied.contains("artifact: the same bytes"), "{copied}");
    assert!(copied.contains("Approved, current"), "{copied}");
    let prod = desk.ok(&["diff", "prod:1", "prod:2", "--format", "json"]).json();
    assert_eq!((&prod["who"]["b"], &prod["b"]["commit"]), (&"Ada".into(), &second.as_str().into()));

    for (args, sentence) in [
        (&["diff", "dev:9", "dev"][..], "churn-dev has no v9: its newest is v3"),
        (&["diff", "feature", "dev"], "churn-feature has no current version"),
        (&["diff", "dev:x", "dev"], "`x` is not a version number"),
    ] {
        let said = desk.say(args);
        assert_eq!(said.exit, 2, "{args:?}");
        assert!(said.err.contains(sentence), "{args:?} {}", said.err);
    }
}

#[test]
fn fingerprint_is_what_training_uses_and_easy_to_read_by_a_script() {
    let desk = Desk::new();
    desk.train("0.82", "Train");
    let version = desk.ok(&["show", "dev", "1", "--format", "json"]).out;
    let version: Value = serde_json::from_str(&version).expect("JSON");
    let text = desk.ok(&["fingerprint"]).out;
    let expected = format!(
        "code-id {}\nfingerprint {}\n",
        version["code_id"].as_str().expect("text"),
        version["fingerprint"].as_str().expect("text")
    );
    assert_eq!(text, expected);

    // Neither what is not committed nor what is not watched counts.
    desk.repository.write("score", "0.1");
    assert_eq!(desk.ok(&["fingerprint"]).out, text);
    desk.repository.git(&["checkout", "--quiet", "score"]);
    desk.repository.write("notes.md", "x");
    desk.repository.commit("Only notes");
    assert_eq!(desk.ok(&["fingerprint"]).out, text);
    assert_ne!(desk.ok(&["fingerprint", "--commit", "HEAD~2"]).out, text);

    let explained = desk.ok(&["fingerprint", "--explain"]).out;
    for line in
        ["  command = sh train.sh\n", "  hyperparameter = depth, value = 5\n", "  channel = train, digest = git:"]
    {
        assert!(explained.contains(line), "{explained}");
    }
    let json = desk.ok(&["fingerprint", "--explain", "--format", "json"]).json();
    assert_eq!(json["models"][0]["fingerprint"], version["fingerprint"]);
    assert_eq!(json["models"][0]["code_fields"][0]["value"], "branchline/code-id/1");

    let wrong = desk.say(&["fingerprint", "--stage", "prod"]);
    assert_eq!(wrong.exit, 2, "{}", wrong.err);
    assert!(wrong.err.contains("it is trained in: dev, feature"), "{}", wrong.err);

    // Missing data: what can be told is told, and the exit code says that the rest is missing.
    desk.repository.git(&["rm", "--quiet", "data.csv"]);
    desk.repository.commit("Lose the data");
    let missing = desk.say(&["fingerprint"]);
    assert_eq!(missing.exit, 30, "{}{}", missing.out, missing.err);
    assert!(missing.out.starts_with("code-id ") && !missing.out.contains("fingerprint"), "{}", missing.out);
    assert!(missing.err.contains("data missing"), "{}", missing.err);
    desk.repository.git(&["rm", "--quiet", "score"]);
    desk.repository.commit("Lose the score");
    assert_eq!(desk.say(&["fingerprint"]).exit, 20);
}

#[test]
fn explain_knows_its_codes_and_guesses_slips() {
    let desk = Desk::new();
    let one = desk.ok(&["explain", "gate-failed"]).out;
    assert!(one.starts_with("gate-failed (reason)\n  means: "), "{one}");
    let all = desk.ok(&["explain", "--format", "json"]).json();
    assert!(all["entries"].as_array().is_some_and(|entries| entries.len() > 60));
    let slip = desk.say(&["explain", "gate-faild"]);
    assert_eq!((slip.exit, slip.out.as_str()), (2, ""));
    assert!(slip.err.contains("did you mean gate-failed?"), "{}", slip.err);
    assert!(desk.ok(&["explain", "30"]).out.contains("blocked"));
}

#[test]
fn check_says_what_a_branch_reaches() {
    let desk = Desk::new();
    let feature = desk.ok(&["check", "--explain-branch", "feature/a/b"]).out;
    assert!(feature.starts_with("feature/a/b reaches the stage feature by `feature/**`\n"), "{feature}");
    assert!(feature.contains("churn-feature") && feature.contains("version of dev: churn-dev"), "{feature}");
    let prod = desk.ok(&["check", "--explain-branch", "prod", "--format", "json"]).json();
    assert_eq!(prod["stage"], "prod");
    assert_eq!(prod["groups"][0]["approval"], "manual");
    let none = desk.ok(&["check", "--explain-branch", "featrue-x"]).out;
    assert!(none.contains("a push to it is skipped") && none.contains("`feature-*` (feature)"), "{none}");
    let out = desk.ok(&["check", "--explain-branch", "feature/old-1"]).out;
    assert!(out.contains("feature takes it out again by `!feature/old-*`"), "{out}");
    assert_eq!(desk.say(&["check", "--explain-branch", "a..b"]).exit, 2);
    assert_eq!(desk.ok(&["check", "--format", "json"]).json()["valid"], true);
    desk.repository.write("branchline.yaml", "version: 1\nproject: churn\nmodel: {}\n");
    let broken = desk.say(&["check", "--format", "json"]);
    assert_eq!(broken.exit, 20);
    assert_eq!(broken.json()["problems"][0]["line"], 3);
}

#[test]
fn config_show_shows_the_file_and_what_it_means() {
    let desk = Desk::new();
    assert_eq!(desk.ok(&["config", "show", "--branch", "dev"]).out, CONFIG);
    let resolved = desk.ok(&["config", "show", "--resolved"]).out;
    assert!(resolved.contains("compare_with: dev") && resolved.contains("- feature/**"), "{resolved}");
    desk.repository.write("branchline.yaml", &CONFIG.replace("churn", "risk"));
    let json = desk.ok(&["config", "show", "--format", "json"]).json();
    assert_eq!(json["resolved"]["project"], "risk", "the file on disk counts");
    let committed = desk.ok(&["config", "show", "--commit", "HEAD", "--format", "json"]).json();
    assert_eq!(committed["resolved"]["project"], "churn");
    assert_eq!(desk.say(&["config", "show", "--commit", "0123456"]).exit, 2);
}

#[test]
fn shells_can_complete() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.ok(&["completions", shell]).out;
        assert!(script.contains("explain-branch") && !script.contains('\u{1b}'), "{shell}");
    }
}

/// Every command that the page shows is one that the program understands.
#[test]
fn the_page_of_commands_shows_real_ones() {
    let (desk, _) = Desk::released();
    desk.repository.git(&["branch", "--force", "prod"]);
    let page = include_str!("../../docs/commands.md");
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("$ branchline ")).collect();
    assert!(commands.len() > 8, "the page was not read right");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().take_while(|word| *word != ">").collect();
        let said = desk.say(&words);
        assert!(!said.err.contains("Usage:"), "branchline {command}\n{}", said.err);
        // These two bring files in, which this desk does not have.
        let brings = command.starts_with("register") || command.starts_with("import");
        // What dev holds was rejected in prod, and prod has that very commit: merging changes nothing, so it is prod's own.
        let known = said.exit == 0 || brings || command.contains("gate-faild");
        assert!(known, "branchline {command}\n{}{}", said.out, said.err);
    }
}

/// A training that failed before and was tried again is not forgotten when its version is shown.
#[test]
fn show_has_the_attempts_and_where_a_version_comes_from() {
    let desk = Desk::new();
    desk.repository.write("train.sh", &format!("test -e \"$HOME/fixed\" || exit 3\n{SCRIPT}"));
    desk.repository.commit("Need something outside");
    assert_eq!(desk.say(&["run"]).exit, 40);
    let version = desk.say(&["show", "dev", "1"]);
    assert_eq!(version.exit, 2, "nothing was registered");
    std::fs::write(desk.folder.path().join("fixed"), "").expect("a written file");
    let again = desk.say(&["train", "--model", "churn", "--again", "--reason", "the disk is fixed"]);
    assert_eq!(again.exit, 0, "{}{}", again.out, again.err);
    let text = desk.ok(&["show", "dev", "1"]).out;
    assert!(text.contains("attempt 2") && text.contains("1 failed, cause code"), "{text}");
    assert!(text.contains("the disk is fixed") && text.contains("trained in"), "{text}");
}
