//! What a training command leaves: whatever it is, the run ends, and a model is only what is one.

use super::MODEL;
use super::World;
use super::failure;
use super::metric;
use super::spec;
use branchline::model::settings::JsonMetric;
use branchline::model::settings::Outputs;
use branchline::model::training::Cause;
use branchline::model::training::TrainingState;
use branchline::ports::Trainer;
use std::fs;

const METRICS: &str = "$SM_OUTPUT_DATA_DIR/metrics.json";

#[tokio::test]
async fn nothing_that_is_no_regular_file_is_read() {
    let world = World::new();
    for (make, what) in [
        (format!("mkfifo {METRICS}"), "a pipe"),
        (format!("ln -s /dev/zero {METRICS}"), "a symbolic link"),
        (format!("mkdir {METRICS}"), "a folder"),
        (format!("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'; mv s {METRICS}"), "a socket"),
    ] {
        let mut asked = spec(&format!("{MODEL}; {make}"));
        asked.required_metrics = vec![metric("accuracy")];
        let training = world.train_spec(&asked).await;
        let (cause, message) = failure(&training);
        assert_eq!(cause, Cause::Code);
        assert!(message.contains(&format!("it is {what}, not a regular file")), "{make}: {message}");
        // Without a gate it is a note: the run is not lost.
        let training = world.train(&format!("{MODEL}; {make}; :")).await;
        let TrainingState::Succeeded { notes, .. } = &training.state else { panic!("{:?}", training.state) };
        assert!(notes[0].name == "metrics.json" && notes[0].value.contains(what), "{notes:?}");
    }
    let training = world.train("mkfifo $SM_OUTPUT_DIR/failure; exit 3").await;
    assert!(failure(&training).1.contains("exited with code 3"));
}

#[tokio::test]
async fn what_stands_in_place_of_a_model_is_named() {
    let world = World::new();
    for (command, words) in [
        ("rmdir $SM_MODEL_DIR; echo weights > $SM_MODEL_DIR", "wrote no model: $SM_MODEL_DIR is a file, not a folder"),
        ("rmdir $SM_MODEL_DIR; mkdir real; echo w > real/w; ln -s \"$PWD/real\" $SM_MODEL_DIR", "is a symbolic link"),
        ("rmdir $SM_MODEL_DIR", "wrote no model: the folder $SM_MODEL_DIR was removed"),
        (": > $SM_MODEL_DIR/model.pkl", "wrote no model: the files in $SM_MODEL_DIR are all empty"),
        ("echo w > $SM_MODEL_DIR/w; mkfifo $SM_MODEL_DIR/pipe", "pipe in the model's folder is a pipe"),
    ] {
        let training = world.train(command).await;
        let (cause, message) = failure(&training);
        assert!(cause == Cause::Code && message.contains(words), "{command}: {message}");
    }
}

#[tokio::test]
async fn every_name_reaches_the_command_under_a_posix_shell() {
    let world = World::new();
    let check = "import os; e = os.environ; assert e[\"SM_HP_LEARNING_RATE\"] == \"0.1\" and e[\"SM_HP_A_B\"] == \"x y\", e; \
                 assert e[\"MY_VAR\"] == \"$HOME\"";
    let mut named = spec(&format!("python3 -c '{check}' && {MODEL}"));
    named.settings.hyperparameters =
        [("learning-rate".to_owned(), "0.1".to_owned()), ("a.b".to_owned(), "x y".to_owned())].into();
    named.settings.environment = [("MY_VAR".to_owned(), "$HOME".to_owned())].into();
    let training = world.train_spec(&named).await;
    assert!(matches!(training.state, TrainingState::Succeeded { .. }), "{:?}", training.state);
}

#[tokio::test]
async fn metrics_that_nobody_asked_for_lose_no_run() {
    let world = World::new();
    let json = r#"{"test": {"acc": 0.9}, "loss": NaN, "labels": ["a", "b"], "lib": "xgboost"}"#;
    let mut named = spec(&format!("{MODEL}; echo '{json}' > {METRICS}"));
    named.required_metrics = vec![metric("test.acc")];
    let training = world.train_spec(&named).await;
    let TrainingState::Succeeded { metrics, notes, .. } = &training.state else { panic!("{:?}", training.state) };
    assert_eq!(*metrics, [(metric("test.acc"), 0.9)].into());
    let notes: Vec<String> = notes.iter().map(|note| format!("{} is {}", note.name, note.value)).collect();
    assert_eq!(notes, ["labels is a list of 2", "lib is the text \"xgboost\"", "loss is NaN"]);
}

#[tokio::test]
async fn a_script_that_writes_beside_itself_is_collected() {
    let world = World::new();
    let script = "echo w > model.pkl; mkdir eval; echo '{\"test\": {\"acc\": 0.75}}' > eval/r.json; \
                  echo '{\"loss\": 2}' > metrics.json";
    let mut declared = spec(script);
    declared.settings.outputs = Outputs {
        model: vec!["*.pkl".to_owned()],
        metrics: Some("metrics.json".to_owned()),
        values: [(metric("acc"), JsonMetric { json: "eval/r.json".to_owned(), path: "test.acc".to_owned() })].into(),
    };
    declared.required_metrics = vec![metric("acc"), metric("loss")];
    let training = world.train_spec(&declared).await;
    let TrainingState::Succeeded { metrics, artifacts, .. } = &training.state else { panic!("{:?}", training.state) };
    assert_eq!(*metrics, [(metric("acc"), 0.75), (metric("loss"), 2.0)].into());
    assert!(artifacts[0].size > 0 && world.folder_of(&declared).join("ml/model/model.pkl").is_file());

    // Undeclared, the failure says what there is to declare.
    let training = world.train(&format!("{script}; :")).await;
    let message = failure(&training).1;
    assert!(
        message.contains("it wrote eval/r.json, metrics.json, model.pkl (`outputs` collects from there)"),
        "{message}"
    );
    let mut wrong = spec(&format!("{script}; : wrong"));
    wrong.settings.outputs.model = vec!["weights/*".to_owned()];
    let training = world.train_spec(&wrong).await;
    let message = failure(&training).1;
    assert!(message.starts_with("wrote nothing that `outputs.model` names: weights/*; in its working"), "{message}");
}

/// An environment in the repository, whose project is installed in editable mode in three ways.
#[tokio::test]
async fn python_sees_the_commit_and_not_the_working_tree() {
    let world = World::new();
    let root = world.path();
    for (folder, value) in [("code", 1), ("", 99)] {
        for module in ["of_pth", "of_finder", "of_egg"] {
            fs::write(root.join(folder).join(format!("{module}.py")), format!("V = {value}\n")).expect("writable");
        }
    }
    fs::create_dir_all(root.join("libs")).expect("a folder");
    fs::write(root.join("libs/unwatched.py"), "V = 99\n").expect("writable");
    let site = root.join("site");
    fs::create_dir_all(&site).expect("a folder");
    let at = root.display();
    fs::write(site.join("__editable__.a.pth"), format!("{at}\nimport __editable___b_finder as f; f.install()\n"))
        .expect("writable");
    fs::write(site.join("easy-install.pth"), format!("{at}\n{at}/libs\n")).expect("writable");
    let finder = format!(
        "import sys\nfrom importlib.util import spec_from_file_location\nMAPPING = {{'of_finder': {at:?}}}\nNAMESPACES = {{}}\n\
         class _EditableFinder:\n    @classmethod\n    def find_spec(cls, name, path=None, target=None):\n        \
         if name in MAPPING:\n            return spec_from_file_location(name, MAPPING[name] + '.py')\n\
         def install():\n    sys.meta_path.insert(0, _EditableFinder)\n",
        at = format!("{at}/of_finder"),
    );
    fs::write(site.join("__editable___b_finder.py"), finder).expect("writable");
    // As an environment does it: the folder's .pth files are read while Python starts.
    let check = "import of_pth, of_finder, of_egg; assert [m.V for m in (of_pth, of_finder, of_egg)] == [1, 1, 1]\n\
                 try:\n    import unwatched\nexcept ImportError:\n    raise SystemExit(0)\nraise SystemExit(7)\n";
    fs::write(root.join("code/check.py"), check).expect("writable");
    let venv = root.join("venv");
    let command = format!(
        "python3 -m venv --without-pip {venv} && cp {site}/* {venv}/lib/python3*/site-packages && \
         {venv}/bin/python3 check.py && {MODEL}",
        venv = venv.display(),
        site = site.display(),
    );
    let training = world.train(&command).await;
    let TrainingState::Succeeded { .. } = &training.state else { panic!("{:?}", training.state) };
    let tail = Trainer::log_tail(&world.trainer(), &spec(&command).name, 20).await.expect("readable");
    assert!(
        tail.iter().any(|line| line.contains("libs is in the working tree, not in the commit: it is hidden")),
        "{tail:?}"
    );
}
