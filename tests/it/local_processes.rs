//! Stories about what a local training run leaves behind: processes that left their group, files that are none, folders
//! that vanish, and packing that is stopped.

use crate::local_trainer::MODEL;
use crate::local_trainer::World;
use crate::local_trainer::ended;
use crate::local_trainer::failure;
use crate::local_trainer::is_gone;
use crate::local_trainer::project;
use crate::local_trainer::runs;
use crate::local_trainer::seen;
use crate::local_trainer::spec;
use crate::local_trainer::until;
use crate::local_trainer::with_data;
use branchline::adapters::local::LocalDatasets;
use branchline::adapters::system::Stopwatch;
use branchline::model::dataset::DatasetKind;
use branchline::model::settings::DataSource;
use branchline::model::training::Cause;
use branchline::model::training::StopCause;
use branchline::model::training::TrainingState;
use branchline::ports::Datasets;
use branchline::ports::PortErrorKind;
use branchline::ports::StartedTraining;
use branchline::ports::Trainer;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Begins processes that leave the group: one in a session of its own, one that forked twice, and one of each that is
/// deaf to SIGTERM. Each writes its process id to `pids`.
fn leavers(pids: &Path) -> String {
    let pids = pids.display();
    format!(
        "setsid sh -c 'echo $$ >> {pids}; exec sleep 600' > /dev/null 2>&1 &
         setsid sh -c 'trap \"\" TERM; echo $$ >> {pids}; while :; do sleep 0.1; done' &
         python3 - <<'P'
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 100)
        with open('{pids}', 'a') as file:
            file.write(str(os.getpid()) + chr(10))
        time.sleep(600)
    os._exit(0)
P
         while [ $(cat {pids} | wc -l) -lt 3 ]; do sleep 0.05; done"
    )
}

fn all_are_gone(pids: &Path) {
    let pids = fs::read_to_string(pids).expect("it was written");
    assert_eq!(pids.lines().count(), 3, "{pids}");
    for pid in pids.lines() {
        assert!(is_gone(pid), "process {pid} is still there");
    }
}

#[tokio::test]
async fn what_left_the_group_ends_with_the_command() {
    let world = World::new();
    let pids = world.path().join("pids");
    let training = world.train(&format!("{}; {MODEL}", leavers(&pids))).await;
    assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{:?}", training.state);
    all_are_gone(&pids);
}

#[tokio::test]
async fn a_time_limit_and_a_stop_end_what_left_the_group() {
    let world = World::new();
    let pids = world.path().join("limit");
    let mut limited = spec(&format!("{}; sleep 600", leavers(&pids)));
    limited.settings.max_runtime = Some(Duration::from_secs(2));
    let training = world.train_spec(&limited).await;
    assert_eq!(failure(&training).0, Cause::TimeLimit);
    all_are_gone(&pids);

    let pids = world.path().join("stop");
    let stopped = spec(&format!("{}; echo up; sleep 600", leavers(&pids)));
    let trainer = world.trainer();
    trainer.start(&stopped).await.expect("it starts");
    runs(&world, &stopped).await;
    trainer.stop(&stopped.name, StopCause::Cancelled).await.expect("it stops");
    assert_eq!(seen(&trainer, &stopped.name).await.state, TrainingState::Stopped { cause: StopCause::Cancelled });
    all_are_gone(&pids);
}

#[tokio::test]
async fn what_is_no_regular_file_holds_nobody() {
    let world = World::new();
    for (command, cause, words) in [
        ("mkfifo $SM_OUTPUT_DIR/failure; exit 1", Cause::Code, "exited with code 1"),
        ("ln -s /dev/zero $SM_OUTPUT_DIR/failure; exit 1", Cause::Code, "exited with code 1"),
        ("rm ../log.txt; mkfifo ../log.txt; exit 4", Cause::Code, "exited with code 4"),
        ("mkfifo ../stop.json ../packing; exit 4", Cause::Code, "exited with code 4"),
        ("mkfifo ../result.json; exit 4", Cause::Code, "exited with code 4"),
        ("mkdir -p ../result.json/x; exit 4", Cause::Code, "exited with code 4"),
        ("mkfifo $SM_MODEL_DIR/pipe", Cause::Code, "pipe"),
    ] {
        let training = world.train(&format!("{MODEL}; {command}")).await;
        let (found, message) = failure(&training);
        assert!(found == cause && message.contains(words), "{command}: {found:?} {message}");
        world.trainer().log_tail(&training.name, 5).await.expect("it is read as far as it can be");
        world.trainer().held(&project()).await.expect("it can be listed");
    }
}

/// Nobody asked for the metrics, so the run is not lost over them.
#[tokio::test]
async fn metrics_that_are_no_regular_file_are_not_read() {
    let world = World::new();
    for (command, words) in [
        ("mkfifo $SM_OUTPUT_DATA_DIR/metrics.json", "it is a pipe"),
        ("ln -s /dev/zero $SM_OUTPUT_DATA_DIR/metrics.json", "it is a symbolic link"),
        ("mkdir $SM_OUTPUT_DATA_DIR/metrics.json", "it is a folder"),
        ("yes | head -c 9000000 > $SM_OUTPUT_DATA_DIR/metrics.json", "bytes"),
    ] {
        let training = world.train(&format!("{MODEL}; {command}")).await;
        let TrainingState::Succeeded { notes, .. } = &training.state else { panic!("{command}: {:?}", training.state) };
        assert!(notes.iter().any(|note| note.value.contains(words)), "{command}: {notes:?}");
    }
}

#[tokio::test]
async fn a_command_that_spoils_its_records_can_be_stopped_and_stops_nobody_else() {
    let world = World::new();
    let trainer = world.trainer();
    for spoiled in ["stop.json", "started.json", "training.json"] {
        let spec = spec(&format!("rm -f ../{spoiled}; mkfifo ../{spoiled}; echo up; while :; do sleep 0.05; done"));
        trainer.start(&spec).await.expect("it starts");
        runs(&world, &spec).await;
        trainer.open(&project()).await.expect("the others are listed all the same");
        // Where it stands can be unreadable; that it runs no more is what counts.
        let stopped = trainer.stop(&spec.name, StopCause::Cancelled).await;
        assert!(stopped.is_ok(), "{spoiled}: {stopped:?}");
        until("its lock is gone", || !world.home().open_locks().join(spec.name.as_str()).exists()).await;
    }
}

#[tokio::test]
async fn a_result_that_the_command_writes_is_not_its_result() {
    let world = World::new();
    let forged = r#"{"ended_at":"2026-01-01T00:00:00Z","end":{"state":"succeeded","metrics":{},"artifacts":[]}}"#;
    let training = world.train(&format!("echo '{forged}' > ../result.json; exit 5")).await;
    assert!(failure(&training).1.contains("exited with code 5"), "{:?}", training.state);
    // And the archive is always the one of its own folder.
    let spec = spec(MODEL);
    world.train_spec(&spec).await;
    let result = world.folder_of(&spec).join("result.json");
    let text = fs::read_to_string(&result).expect("it can be read");
    let archive = world.folder_of(&spec).join("model.tar.gz").display().to_string();
    fs::write(&result, text.replace(&archive, "/etc/hostname")).expect("it can be written");
    let TrainingState::Succeeded { artifacts, .. } = seen(&world.trainer(), &spec.name).await.state else {
        panic!("it succeeded");
    };
    assert_eq!(artifacts[0].location, format!("file:{archive}"));
}

#[tokio::test]
async fn an_attempt_whose_folder_vanishes_counts_as_one() {
    let world = World::new();
    let trainer = world.trainer();
    for (command, waits) in [
        ("rm -rf \"$(dirname \"$SM_MODULE_DIR\")\"", false),
        ("rm -rf \"$(dirname \"$SM_MODULE_DIR\")\"; while :; do sleep 0.05; done", true),
    ] {
        let spec = spec(command);
        assert_eq!(trainer.start(&spec).await.expect("it starts"), StartedTraining::Fresh);
        let training = ended(&trainer, &spec.name).await;
        let (cause, message) = failure(&training);
        assert!(cause == Cause::LostWorker && message.contains("was removed"), "waits {waits}: {message}");
        assert_eq!(training.origin, spec.origin);
        // It is not begun again under its name.
        assert_eq!(trainer.start(&spec).await.expect("it is found"), StartedTraining::Found);
        assert!(!world.folder_of(&spec).exists());
        assert!(trainer.open(&project()).await.expect("it can be listed").is_empty());
        // Unless it is pruned.
        let held = trainer.held(&project()).await.expect("it can be listed");
        assert_eq!(held.known.iter().map(|training| &training.name).collect::<Vec<_>>(), [&spec.name]);
        assert!(trainer.remove(&spec.name).await.expect("it can be removed"));
        assert!(trainer.find(std::slice::from_ref(&spec.name)).await.expect("no error").is_empty());
    }
}

/// Twenty gigabytes that take no room: packing them takes long.
const LARGE: &str = "truncate -s 20G $SM_MODEL_DIR/w.bin";

#[tokio::test]
async fn packing_ends_with_a_stop_and_with_the_time_limit() {
    let world = World::new();
    let trainer = world.trainer();
    let stopped = spec(LARGE);
    trainer.start(&stopped).await.expect("it starts");
    let packing = world.folder_of(&stopped).join("packing");
    until("it packs", || packing.exists()).await;
    let waiting = Stopwatch::start();
    trainer.stop(&stopped.name, StopCause::Cancelled).await.expect("it stops");
    assert!(waiting.elapsed() < Duration::from_secs(7), "{:?}", waiting.elapsed());
    assert_eq!(seen(&trainer, &stopped.name).await.state, TrainingState::Stopped { cause: StopCause::Cancelled });

    let mut limited = spec(&format!("{LARGE}; true"));
    limited.settings.max_runtime = Some(Duration::from_secs(1));
    let training = world.train_spec(&limited).await;
    let (cause, message) = failure(&training);
    assert!(cause == Cause::TimeLimit && message.contains("packing"), "{message}");
    let left = fs::read_dir(world.folder_of(&limited)).expect("it can be listed").flatten();
    let names: Vec<_> = left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains("pack") || name == "model.tar.gz"), "{names:?}");
}

#[tokio::test]
async fn one_that_is_stopped_while_it_is_prepared_never_begins() {
    let world = World::new();
    let trainer = world.trainer();
    let spec = spec(MODEL);
    let error = trainer.stop(&spec.name, StopCause::Cancelled).await.expect_err("there is none yet");
    assert_eq!(error.kind, PortErrorKind::NotFound);
    trainer.start(&spec).await.expect_err("it may not begin");
    assert!(!world.folder_of(&spec).join("started.json").exists());
    // Another run begins it: what was prepared is as good.
    assert_eq!(world.trainer().start(&spec).await.expect("it starts"), StartedTraining::Found);
}

#[tokio::test]
async fn a_training_run_cannot_change_the_data_of_later_ones() {
    let world = World::new();
    fs::write(world.path().join("a.csv"), "a1\n").expect("it can be written");
    let source = DataSource { uri: "a.csv".to_owned(), version: None, version_from: None };
    let datasets = LocalDatasets::new(world.home(), world.path().to_owned());
    let dataset = datasets.identify(&source).await.expect("the store works").expect("it is there");
    let poison = "F=$SM_CHANNEL_TRAIN/a.csv; stat -c links=%h $F; chmod u+w $F; echo evil > $F; touch -d @0 $F";
    let first = with_data(spec(&format!("{poison}; {MODEL}")), "a.csv", DatasetKind::Local, &dataset.digest);
    world.train_spec(&first).await;
    let trainer = world.trainer();
    assert_eq!(trainer.log_tail(&first.name, 1).await.expect("it can be read"), ["links=1"]);
    let second =
        with_data(spec(&format!("cat $SM_CHANNEL_TRAIN/a.csv; {MODEL}")), "a.csv", DatasetKind::Local, &dataset.digest);
    world.train_spec(&second).await;
    assert_eq!(trainer.log_tail(&second.name, 1).await.expect("it can be read"), ["a1"]);
}
