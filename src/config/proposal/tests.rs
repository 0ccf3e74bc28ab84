//! What is proposed for repositories with pipelines: their commands, with everything that these name.

use super::*;

fn proposed(files: &[(&str, &str)]) -> FoundModel {
    let texts: BTreeMap<&str, &str> = files.iter().copied().collect();
    let all: BTreeSet<String> = texts.keys().map(|path| (*path).to_owned()).collect();
    let read = |path: &str| texts.get(path).map(|text| (*text).to_owned());
    models(&Seen { files: &all, candidates: &all, read: &read }).remove(0)
}

#[track_caller]
fn assert_proposed(files: &[(&str, &str)], command: &str, watched: &[&str]) -> FoundModel {
    let found = proposed(files);
    assert_eq!(found.command, command);
    for path in watched {
        assert!(found.watched.iter().any(|known| known == path), "{path} is not in {:?}", found.watched);
    }
    found
}

#[test]
fn a_recipe_that_only_make_reads_is_left_to_make() {
    let others = [("src/train.py", ""), ("configs/a.yaml", "")];
    for recipe in [
        "PYTHON ?= python3\ntrain:\n\t$(PYTHON) src/train.py --config configs/a.yaml\n",
        "SRC = src\ntrain:\n\tpython3 ${SRC}/train.py --config configs/a.yaml\n",
        "train:\n\t$(shell which python3) $(FILE) --config configs/a.yaml\n",
        "train:\n\tcd src && python3 train.py --config ../configs/a.yaml --lr 1 # configs/a.yaml\n",
    ] {
        let files = [&others[..], &[("Makefile", recipe)]].concat();
        let found = assert_proposed(&files, "make train", &["Makefile", "src/train.py", "configs/a.yaml"]);
        assert_eq!(found.training_script.as_deref(), Some("src/train.py"), "{recipe}");
    }
}

#[test]
fn included_makefiles_are_watched() {
    let files = [
        ("Makefile", "include common.mk\n-include mk/*.mk\ntrain: setup\n\tpython3 train.py\n"),
        ("common.mk", "include deep.mk\nsetup:\n\ttrue\n"),
        ("deep.mk", ""),
        ("mk/a.mk", ""),
        ("train.py", ""),
    ];
    assert_proposed(&files, "make train", &["Makefile", "common.mk", "deep.mk", "mk/a.mk", "train.py"]);
}

#[test]
fn what_a_written_command_names_is_watched() {
    let makefile = |line: &'static str| ("Makefile", line);
    let files =
        [("train.py", ""), ("configs/a.yaml", ""), makefile("train:\n\tpython3 train.py --config=configs/a.yaml\n")];
    assert_proposed(&files, "python3 train.py --config=configs/a.yaml", &["train.py", "configs/a.yaml"]);
    let files = [
        ("pkg/__init__.py", "from pkg.base import x"),
        ("pkg/base.py", ""),
        ("pkg/deep/__init__.py", ""),
        ("pkg/deep/train.py", ""),
        makefile("train:\n\tpython3 -m pkg.deep.train\n"),
    ];
    let found = proposed(&files);
    for path in ["pkg/__init__.py", "pkg/deep/__init__.py", "pkg/deep/train.py"] {
        let is_covered = found.watched.iter().any(|known| known == path || path.starts_with(&format!("{known}/")));
        assert!(is_covered, "{path} is not in {:?}", found.watched);
    }
}

#[test]
fn the_stage_that_runs_the_training_script_is_taken() {
    let stages = "stages:\n  data:\n    cmd: python src/data.py\n  model:\n    cmd: python src/train.py\n  report:\n    cmd: python src/report.py\n";
    let files = [("dvc.yaml", stages), ("src/data.py", ""), ("src/train.py", ""), ("src/report.py", "")];
    assert_proposed(&files, "python3 src/train.py", &["src/train.py"]);
}

#[test]
fn what_another_stage_makes_is_the_data() {
    let stages = "stages:\n  prepare:\n    cmd: python src/prepare.py\n    outs: [data/prepared]\n  train:\n    cmd: python src/train.py\n    deps: [src/train.py, data/prepared]\n";
    let lock = "stages:\n  prepare:\n    outs:\n    - path: data/prepared\n";
    let others = [("src/train.py", ""), ("src/prepare.py", ""), ("data/raw/a.csv", "")];
    let files = [&others[..], &[("dvc.yaml", stages)]].concat();
    assert_eq!(proposed(&files).data.as_deref(), Some("data/prepared"));
    let only_locked = stages.replace("    outs: [data/prepared]\n", "");
    let files = [&others[..], &[("dvc.yaml", only_locked.as_str()), ("dvc.lock", lock)]].concat();
    assert_eq!(proposed(&files).data.as_deref(), Some("data/prepared"));
    // What Git keeps is in the commit.
    let kept = stages.replace("[data/prepared]", "[{ data/prepared: { cache: false } }]");
    let files = [&others[..], &[("dvc.yaml", kept.as_str()), ("data/prepared/x.py", "")]].concat();
    assert_eq!(proposed(&files).data.as_deref(), Some("data"));
}

#[test]
fn a_command_that_only_dvc_reads_is_said() {
    for stage in [
        "    cmd: python src/train.py --lr ${lr}\n",
        "    foreach: [a, b]\n    do:\n      cmd: python src/train.py ${item}\n",
        "    wdir: src\n    cmd: python train.py --lr 1\n",
    ] {
        let stages = format!("stages:\n  train:\n{stage}");
        let found = proposed(&[("dvc.yaml", stages.as_str()), ("src/train.py", "")]);
        assert_eq!(found.command, "python3 src/train.py");
        assert!(found.note.is_some_and(|note| note.contains("the stage train in dvc.yaml")), "{stage}");
    }
}
