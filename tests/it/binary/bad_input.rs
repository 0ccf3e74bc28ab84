//! Training that goes wrong: for each way the exit code, and the sentence that helps.

use super::harness::PROGRAM;
use super::harness::Project;
use super::harness::TRAINS;
use super::harness::configuration;
use super::harness::finish;
use super::harness::steps;

struct Case {
    name: &'static str,
    configuration: String,
    script: &'static str,
    exit: i32,
    says: &'static [&'static str],
}

fn by_script(name: &'static str, script: &'static str, exit: i32, says: &'static [&'static str]) -> Case {
    Case { name, configuration: configuration(""), script, exit, says }
}

#[test]
fn each_bad_training_ends_with_its_code_and_its_sentence() {
    let gate = "    gates: { accuracy: { min: 0.5 } }\n";
    let cases = [
        Case {
            name: "data missing",
            configuration: configuration("").replace("data: none", "data: { train: data/none.csv }"),
            script: TRAINS,
            exit: 30,
            says: &["data missing: channel train: data/none.csv", "correct `data:` in branchline.yaml"],
        },
        Case {
            name: "watched path missing",
            configuration: configuration("").replace("[train.sh]", "[train.sh, libs/none.py]"),
            script: TRAINS,
            exit: 20,
            says: &["watched path missing at commit", "`libs/none.py`", "correct `paths:`"],
        },
        Case {
            name: "command not found",
            configuration: configuration("").replace("sh train.sh", "no-such-command --fast"),
            script: TRAINS,
            exit: 40,
            says: &["cause configuration", "`no-such-command --fast`: command not found"],
        },
        by_script("exits with 3", "echo sorry\nexit 3\n", 40, &["exited with code 3: sorry", "| sorry"]),
        by_script("is killed", "kill -9 $$\n", 40, &["was killed by signal 9 (out of memory?)"]),
        by_script("writes no model", "true\n", 40, &["wrote no model: nothing in $SM_MODEL_DIR"]),
        Case {
            name: "a metric is NaN",
            configuration: configuration(gate),
            script: "echo m > \"$SM_MODEL_DIR/m\"\necho '{\"accuracy\": NaN}' > \"$SM_OUTPUT_DATA_DIR/metrics.json\"\n",
            exit: 40,
            says: &["metric `accuracy` is NaN, not a finite number"],
        },
        Case {
            name: "a metric is text",
            configuration: configuration(gate),
            script: "echo m > \"$SM_MODEL_DIR/m\"\necho '{\"accuracy\": \"good\"}' > \"$SM_OUTPUT_DATA_DIR/metrics.json\"\n",
            exit: 40,
            says: &["metric `accuracy` is the text \"good\""],
        },
        Case {
            name: "a metric is missing",
            configuration: configuration(gate),
            script: "echo m > \"$SM_MODEL_DIR/m\"\n",
            exit: 40,
            says: &["metric `accuracy` is missing", "metrics.json in $SM_OUTPUT_DATA_DIR"],
        },
        Case {
            name: "imports what is not watched",
            configuration: configuration("").replace("sh train.sh", "python3 train.sh"),
            script: "import helpers\n",
            exit: 40,
            says: &["No module named 'helpers'", "Training gets only the watched paths", "add it to `paths`"],
        },
    ];
    for case in &cases {
        let project = Project::with(&case.configuration, case.script);
        project.git.write("helpers.py", "x = 1\n");
        project.git.commit("a file that nothing watches");
        let said = project.run(&["run"]);
        let all = format!("{}{}", said.out, said.err);
        assert_eq!(said.exit, Some(case.exit), "{}: {all}", case.name);
        for sentence in case.says {
            assert!(all.contains(sentence), "{}: not said: {sentence}\n{all}", case.name);
        }
        // The same commit gives the same answer, and trains nothing again.
        let again = project.run(&["run", "--format", "json"]);
        assert_eq!(again.exit, Some(case.exit), "{}: {}", case.name, again.err);
        assert_eq!(steps(&again.json()["models"][0]), [], "{}", case.name);
        // Nothing came into the registry.
        let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
        for group in status["groups"].as_array().expect("groups") {
            assert_eq!(group["versions"], serde_json::json!([]), "{}", case.name);
        }
    }
}

#[test]
fn a_missing_path_stops_only_its_own_model() {
    let two = "  other:\n    paths: [none.py]\n    train: { command: sh train.sh, data: none }\n";
    let project = Project::with(&configuration(two), TRAINS);
    let said = project.run(&["run", "--format", "json"]).expect(20, &[]).json();
    let verdicts: Vec<_> = said["models"].as_array().expect("models").iter().map(|m| &m["verdict"]).collect();
    assert_eq!(verdicts, ["passed", "errored"]);
}

#[test]
fn a_training_that_prints_100_mb_neither_hangs_nor_fills_the_disk() {
    let noisy = format!("yes 'a line of log that says nothing' | head -c 100000000\n{TRAINS}");
    let project = Project::with_script(&noisy);
    let said = project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
    assert!(said.out.len() < 10_000, "the log does not belong into the report");
    let mut kept = 0;
    for entry in walkdir::WalkDir::new(project.home()) {
        kept += entry.expect("readable").metadata().expect("metadata").len();
    }
    assert!(kept < 20 << 20, "{kept} bytes are kept");
}

#[test]
fn a_home_that_cannot_be_is_told_with_the_way_out() {
    let mut project = Project::with_script(TRAINS);
    let file = project.outside().join("a-file");
    std::fs::write(&file, "").expect("a file");
    project.set("BRANCHLINE_HOME", &file.join("home").display().to_string());
    for command in ["run", "plan", "status"] {
        project.run(&[command]).expect(50, &["cannot be reached: Not a directory", "BRANCHLINE_HOME"]);
    }
}

/// A file size limit stands for a full disk: it needs no rights and no mount.
#[test]
fn a_full_disk_is_told_as_such_and_the_next_run_goes_on() {
    let project = Project::with_script(TRAINS);
    let limited = |kilobytes: u32, args: &str| {
        let script = format!("ulimit -f {kilobytes}; exec {PROGRAM} {args}");
        finish(project.command(project.git.root(), "bash").args(["-c", &script]))
    };
    // While a training run is prepared. Each counts as an attempt.
    for _ in 0..2 {
        limited(16, "run")
            .expect(40, &["cause disk full", "File too large", "free space on the disk, then run the same again"]);
    }
    project.run(&["run"]).expect(0, &["ended by disk full", "churn-dev v1 is Approved"]);
    // While the registry is written: nothing is half done.
    limited(1, "reject --group dev --version 1")
        .expect(50, &["branchline.db is full", "free some space and run this again"]);
    let status = project.run(&["status", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(super::harness::group(&status, "churn-dev")["versions"][0]["approval"], "Approved");
    project.run(&["reject", "--group", "dev", "--version", "1"]).expect(0, &["churn-dev v1 is Rejected"]);
}
