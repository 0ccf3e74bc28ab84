//! What an earlier run left is finished by a later one: `reconcile` on a schedule, and signals.

use super::team::Team;
use crate::binary::harness::Said;
use crate::binary::harness::TRAINS;
use crate::binary::harness::configuration;
use rustix::process::Pid;
use rustix::process::Signal;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("it never came to pass: {what}");
}

/// A script that says it began and ends once it may.
fn waits(folder: &Path) -> String {
    let f = folder.display();
    format!("touch {f}/began\nwhile [ ! -e {f}/go ]; do sleep 0.05; done\n{TRAINS}")
}

#[test]
fn a_schedule_finishes_trainings_and_the_promotions_that_waited_for_them() {
    let marks = tempfile::tempdir().expect("a folder");
    let script = waits(marks.path());
    let team = Team::with(&format!("{}wait: 0s\n", configuration("")), &script);
    let head = team.commit("dev", "train.sh", &format!("{script}# one\n"));
    team.push("dev").expect(0, &["waiting"]);
    assert_eq!(team.state(&head), "in_progress");
    team.open(7, "dev", "prod");
    team.pull_job(7).expect(0, &[]);
    assert_eq!(team.state(&head), "in_progress");
    // Somebody merges all the same.
    let merged = team.merge(7, super::team::How::Squash);
    team.push("prod").expect(0, &["waiting"]);
    assert_eq!(team.state(&merged), "in_progress");
    team.schedule().expect(0, &[]);
    assert_eq!(team.state(&head), "in_progress", "nothing is settled yet");

    std::fs::write(marks.path().join("go"), "").expect("a file");
    until("both are settled", || {
        team.schedule().expect(0, &[]);
        team.state(&merged) != "in_progress"
    });
    assert_eq!(team.state(&head), "success");
    assert_eq!(team.state(&merged), "success");
    assert_eq!(team.versions("churn-prod").len(), 1);
    team.world.finish();
}

#[test]
fn a_training_that_failed_elsewhere_ends_its_check_too() {
    let marks = tempfile::tempdir().expect("a folder");
    let f = marks.path().display();
    let script = format!("while [ ! -e {f}/go ]; do sleep 0.05; done\necho broken >&2\nexit 3\n");
    let team = Team::with(&format!("{}wait: 0s\n", configuration("")), &script);
    let head = team.commit("feature-a", "train.sh", &format!("{script}# one\n"));
    team.push("feature-a").expect(0, &["waiting"]);
    assert_eq!(team.state(&head), "in_progress");
    std::fs::write(marks.path().join("go"), "").expect("a file");
    for _ in 0..40 {
        team.schedule();
        if team.state(&head) != "in_progress" {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(team.state(&head), "failure");
    team.world.finish();
}

/// Pushes a commit whose training run nobody waits for, and what comes of it once the branch has moved on or is gone.
fn overtaken(script: &str, leave: fn(&Team)) -> (Team, String) {
    let marks = tempfile::tempdir().expect("a folder");
    let f = marks.path().display();
    let script = format!("touch {f}/began\nwhile [ ! -e {f}/go ]; do sleep 0.05; done\n{script}");
    let team = Team::with(&format!("{}wait: 0s\n", configuration("")), &script);
    let head = team.commit("feature-a", "train.sh", &format!("{script}# one\n"));
    team.push("feature-a").expect(0, &["waiting"]);
    until("it trains", || marks.path().join("began").exists());
    assert_eq!(team.state(&head), "in_progress");
    leave(&team);
    std::fs::write(marks.path().join("go"), "").expect("a file");
    until("the report on it has ended", || {
        team.schedule();
        team.state(&head) != "in_progress"
    });
    (team, head)
}

fn moves_on(team: &Team) {
    team.commit("feature-a", "train.sh", TRAINS);
    team.push("feature-a").expect(0, &[]);
}

#[test]
fn a_report_on_what_was_overtaken_or_deleted_ends_too() {
    let failing = "echo broken >&2\nexit 3\n";
    let (team, head) = overtaken(failing, moves_on);
    assert_eq!(team.state(&head), "neutral");
    team.world.finish();
    let (team, head) = overtaken(TRAINS, |team| {
        team.origin.switch("main");
        team.origin.git(&["branch", "--quiet", "-D", "feature-a"]);
    });
    assert_eq!(team.state(&head), "neutral");
    assert!(team.versions("churn-feature").is_empty());
    let asked = team.schedule().expect(0, &[]);
    assert!(asked.sent.iter().filter(|sent| sent.contains(&head)).count() <= 1, "{:#?}", asked.sent);
    team.world.finish();
}

#[test]
fn a_signal_ends_the_check_as_the_rules_say() {
    for (rules, state) in [("", "cancelled"), ("on_cancel: leave\n", "in_progress")] {
        let marks = tempfile::tempdir().expect("a folder");
        let script = waits(marks.path());
        let team = Team::with(&format!("{}{rules}", configuration("")), &script);
        let head = team.commit("dev", "train.sh", &format!("{script}# one\n"));
        let mut command = team.command("push", &head, &team.push_payload("dev"));
        let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        until("training has begun", || marks.path().join("began").exists());
        let pid = Pid::from_raw(i32::try_from(run.id()).expect("a process id")).expect("not zero");
        let sent = now();
        rustix::process::kill_process(pid, Signal::INT).expect("a running process");
        let output = run.wait_with_output().expect("it ended");
        let took = sent.elapsed();
        let said = Said {
            exit: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        let done = team.read(said, 0).expect(130, &[]);
        assert!(took < Duration::from_secs(7), "{took:?}");
        assert_eq!(team.state(&head), state, "{rules}");
        assert_eq!(done.output("verdict"), "cancelled");
        std::fs::write(marks.path().join("go"), "").expect("a file");
        if state == "in_progress" {
            until("it is finished", || {
                team.schedule().expect(0, &[]);
                team.state(&head) == "success"
            });
        }
        team.world.finish();
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a real program takes is real time")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
