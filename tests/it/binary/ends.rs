//! Signals: a run ends quickly and cleanly, takes its training with it, and the next run goes on.

use super::harness::PROGRAM;
use super::harness::Project;
use super::harness::TRAINS;
use rustix::process::Pid;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

/// The bound that is promised.
const AT_MOST: Duration = Duration::from_secs(7);

#[test]
fn sigint_and_sigterm_end_a_run_and_its_training_and_the_next_run_goes_on() {
    for (signal, exit) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let project = Project::empty();
        // The first time it writes down its process id and that of a child and never ends; then it trains.
        let marks = project.outside().join("marks");
        fs::create_dir(&marks).expect("a folder");
        let m = marks.display();
        let script = format!(
            "if [ ! -e {m}/go ]; then sleep 600 & echo $! > {m}/child.new; mv {m}/child.new {m}/child; wait; fi\n{TRAINS}"
        );
        project.git.write("branchline.yaml", &super::harness::configuration(""));
        project.git.write("train.sh", &script);
        project.git.commit("long");

        let run = begin(&project);
        until("training has begun", || marks.join("child").exists());
        let child = number(&marks.join("child"));
        assert!(alive(child));
        let (code, out) = interrupt(run, signal);
        assert_eq!(code, Some(exit), "{out}");
        for sentence in ["churn  cancelled", "stopped by a signal", "run the same again"] {
            assert!(out.contains(sentence), "not said: {sentence}\n{out}");
        }
        until("the training's process group is gone", || !alive(child));

        fs::write(marks.join("go"), "").expect("a file");
        project.run(&["run"]).expect(0, &["was stopped before it ended", "churn-dev v1 is Approved"]);
        project.run(&["run"]).expect(0, &["not trained"]);
    }
}

fn number(path: &Path) -> i32 {
    fs::read_to_string(path).expect("readable").trim().parse().expect("a process id")
}

/// A zombie counts as gone: nobody but its parent can tell the difference.
fn alive(pid: i32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = state.rsplit(')').next().unwrap_or_default().trim().chars().next();
    state.is_some_and(|state| state != 'Z')
}

/// Waits for a state, never for a duration.
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never came true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[expect(clippy::disallowed_methods, reason = "the promise is about real time")]
fn now() -> Instant {
    Instant::now()
}

fn begin(project: &Project) -> Child {
    let mut command = project.command(project.git.root(), PROGRAM);
    command.arg("run").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
}

/// Sends a signal, and returns the exit code and standard output of a run that is gone in time.
fn interrupt(run: Child, signal: Signal) -> (Option<i32>, String) {
    let pid = Pid::from_raw(i32::try_from(run.id()).expect("a process id")).expect("not zero");
    let sent = now();
    rustix::process::kill_process(pid, signal).expect("a running process");
    let output = run.wait_with_output().expect("it ended");
    let (took, out) = (sent.elapsed(), String::from_utf8_lossy(&output.stdout).into_owned());
    assert!(took < AT_MOST, "took {took:?}: {out}");
    (output.status.code(), out)
}

/// A run that does not wait leaves its training; the branch moves on; `reconcile` finishes the one that was left.
#[test]
fn reconcile_finishes_a_training_that_its_branch_left_behind() {
    let project = Project::empty();
    let go = project.outside().join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.02; done\n{TRAINS}", go.display());
    let configuration = super::harness::configuration("wait: 0s\nstages: { dev: { on_newer_push: keep } }\n");
    project.git.write("branchline.yaml", &configuration);
    project.git.write("train.sh", &script);
    project.git.commit("first");
    project.run(&["run"]).expect(0, &["churn  waiting"]);
    project.git.write("train.sh", &format!("{script}\n# again"));
    project.git.commit("second");
    project.run(&["run"]).expect(0, &["churn  waiting"]);
    fs::write(&go, "").expect("a file");
    let finished = || {
        project.run(&["reconcile"]);
        project.run(&["show", "churn-dev"]).out.contains("v2")
    };
    until("both trainings are versions", finished);
    // Which of the two ends first, and so which number each has, is nobody's promise.
    let shown = project.run(&["show", "churn-dev"]).expect(0, &["PendingManualApproval (superseded)"]);
    assert_eq!(shown.out.matches(" *").count(), 1, "one is current:\n{}", shown.out);
    let current = shown.out.lines().find(|line| line.contains(" *")).expect("a current version");
    assert!(!current.contains("superseded"), "{}", shown.out);
}

/// What another branch holds wrong fails nobody's `reconcile`: its own push said so.
#[test]
fn reconcile_passes_over_a_branch_that_cannot_be_judged() {
    let project = Project::with_script(TRAINS);
    project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
    let configuration = super::harness::configuration("");
    for (branch, wrong) in [
        ("feature-a", configuration.replace("paths: [", "paths: [nothere, ")),
        ("feature-b", configuration.replace("command: sh train.sh", "command: sh missing.sh")),
        ("feature-c", format!("{configuration}  x: [\n")),
    ] {
        assert_ne!(wrong, configuration);
        project.git.git(&["checkout", "--quiet", "-b", branch, "dev"]);
        project.git.write("branchline.yaml", &wrong);
        project.git.commit(branch);
    }
    project.git.switch("dev");
    let said = project.run(&["reconcile"]).expect(0, &["passed"]);
    for branch in ["feature-a", "feature-c"] {
        assert!(said.err.contains(branch) && said.err.contains("was skipped"), "{branch}: {}", said.err);
    }
}

/// Whatever a training run does to its records, one run begins no more of them than `max_attempts` (3) says.
#[test]
fn one_run_begins_no_more_than_max_attempts() {
    let forged = "echo '{\"cause\": \"cancelled\"}' > ../stop.json; sleep 60";
    for (spoil, sentence) in [
        (forged, "begins no further one"),
        ("rm -rf \"$(dirname \"$SM_MODULE_DIR\")\"", "lost worker"),
        ("D=$(dirname \"$SM_MODULE_DIR\"); rm -rf \"$D/../../attempts\" \"$D\"", "begins no further one"),
        ("D=$(dirname \"$SM_MODULE_DIR\"); rm -rf \"$D/../../open\" \"$D\"", "lost worker"),
    ] {
        let project = Project::empty();
        let count = project.outside().join("count");
        project.git.write("branchline.yaml", &super::harness::configuration(""));
        project.git.write("train.sh", &format!("echo run >> {}\n{spoil}\n", count.display()));
        project.git.commit("spoils its records");
        project.run(&["run"]).expect(40, &[sentence]);
        let runs = fs::read_to_string(&count).expect("it ran").lines().count();
        assert_eq!(runs, 3, "{spoil}");
    }
}

#[test]
fn a_run_that_is_cancelled_while_a_model_is_packed_is_gone_in_time() {
    let project = Project::empty();
    project.git.write("branchline.yaml", &super::harness::configuration(""));
    project.git.write(
        "train.sh",
        "truncate -s 20G $SM_MODEL_DIR/w.bin\necho '{\"accuracy\": 0.9}' > $SM_OUTPUT_DATA_DIR/metrics.json\n",
    );
    project.git.commit("large");
    let run = begin(&project);
    let trainings = project.home().join("trainings");
    let packs = || {
        fs::read_dir(&trainings)
            .is_ok_and(|mut list| list.any(|one| one.is_ok_and(|one| one.path().join("packing").exists())))
    };
    until("it packs", packs);
    let (code, out) = interrupt(run, Signal::INT);
    assert_eq!(code, Some(130), "{out}");
    assert!(out.contains("ended with it") && out.contains("the next attempt begins anew"), "{out}");
}

#[test]
fn a_run_that_is_cancelled_while_data_are_identified_is_gone_in_time() {
    let project = Project::empty();
    let data = project.outside().join("large.bin");
    let file = fs::File::create(&data).expect("a file");
    file.set_len(6 << 30).expect("it takes no room");
    let configuration =
        super::harness::configuration("").replace("data: none", &format!("data: {{ train: {} }}", data.display()));
    assert!(configuration.contains("large.bin"), "{configuration}");
    project.git.write("branchline.yaml", &configuration);
    project.git.write("train.sh", TRAINS);
    project.git.commit("large data");
    let run = begin(&project);
    let parts = project.home().join("tmp");
    until("it begins to read the data", || parts.is_dir());
    let (code, out) = interrupt(run, Signal::TERM);
    assert_eq!(code, Some(143), "{out}");
}

#[test]
fn a_command_that_removes_records_of_its_training_run_ends_as_a_failed_one() {
    let folder = "f=$(dirname \"$SM_MODULE_DIR\")\n";
    for removes in [
        "rm -f \"$f\"/*.json; exit 3",
        "rm -f \"$f\"/*.json",
        "rm -f \"$f\"/training.json \"$f\"/spec.json; exit 3",
        "rm -f \"$f\"/started.json; sleep 1; exit 3",
        "rm -rf \"$f\"; mkdir -p \"$f\"; exit 3",
    ] {
        let project = Project::with_script(&format!("{folder}{removes}\n"));
        let said = project.run(&["run"]);
        let all = format!("{}{}", said.out, said.err);
        assert_eq!(said.exit, Some(40), "{removes}: {all}");
        assert!(all.contains("failed"), "{removes}: {all}");
        let again = project.run(&["run"]);
        assert_eq!(again.exit, Some(40), "{removes}: {}{}", again.out, again.err);
        project.run(&["status"]).expect(0, &[]);
        project.run(&["prune"]).expect(0, &[]);
    }
}

#[test]
fn a_group_that_is_frozen_while_its_training_runs_says_what_became_of_it() {
    let project = Project::empty();
    let marks = project.outside().join("marks");
    fs::create_dir(&marks).expect("a folder");
    let m = marks.display();
    project.git.write("branchline.yaml", &super::harness::configuration(""));
    project.git.write("train.sh", &format!(": > {m}/begun; until [ -e {m}/go ]; do sleep 0.05; done\n{TRAINS}"));
    project.git.commit("waits");
    let run = begin(&project);
    until("training has begun", || marks.join("begun").exists());
    project.run(&["freeze", "--group", "dev", "--reason", "audit"]).expect(0, &[]);
    fs::write(marks.join("go"), "").expect("a file");
    let output = run.wait_with_output().expect("the run ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(30), "{said}");
    let running = "is still running, and will not be registered";
    let ended = "ended, and is not registered";
    assert!((said.contains(running) || said.contains(ended)) && !said.contains("was not trained"), "{said}");
    project.run(&["run"]).expect(30, &["churn-dev is frozen since", ended]);
    project.run(&["unfreeze", "--group", "dev", "--reason", "done"]).expect(0, &[]);
    project.run(&["run"]).expect(0, &["churn-dev v1 is Approved"]);
}
