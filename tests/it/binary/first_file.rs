//! `init` in repositories of usual shapes: the command's file is in the commit and among the paths, `check` finds nothing,
//! and the first push of a feature branch begins to train.

use super::harness::Project;
use super::harness::Said;

/// Python that trains: a model and a metric.
const TRAINS: &str = "import json, os\n\
    open(os.path.join(os.environ['SM_MODEL_DIR'], 'model.txt'), 'w').write('model')\n\
    json.dump({'accuracy': 0.9}, open(os.path.join(os.environ['SM_OUTPUT_DATA_DIR'], 'metrics.json'), 'w'))\n";

/// A repository, what is proposed for it, and whether this machine can run it.
struct Shape {
    files: Vec<(&'static str, String)>,
    commands: Vec<&'static str>,
    /// Lines of the file, without the blanks in front.
    says: Vec<&'static str>,
    trains: bool,
}

fn file(path: &'static str, text: &str) -> (&'static str, String) {
    (path, text.to_owned())
}

/// A training script that imports something of the repository first.
fn python(path: &'static str, import: &str) -> (&'static str, String) {
    (path, format!("{import}\n{TRAINS}"))
}

/// Commits the files on `main`, writes the first configuration on a feature branch, and pushes that, as it were.
fn begun(shape: &Shape) -> (Project, Said) {
    let project = Project::empty();
    project.git.switch("main");
    for (path, text) in &shape.files {
        project.git.write(path, text);
    }
    project.git.commit("first");
    project.git.git(&["branch", "dev"]);
    project.git.git(&["switch", "--quiet", "-c", "feature-try"]);
    let said = project.run(&["init"]).expect(0, &["wrote branchline.yaml: project repository,"]);
    assert!(!said.out.contains("before the first push"), "{}", said.out);
    project.git.commit("init");
    (project, said)
}

#[track_caller]
fn assert_starts(shape: &Shape) {
    let (project, _) = begun(shape);
    let text = std::fs::read_to_string(project.git.root().join("branchline.yaml")).expect("it was written");
    project.run(&["check"]).expect(0, &["is valid: project repository"]);
    let config = project.run(&["config", "show", "--resolved", "--format", "json"]).expect(0, &[]).json();
    assert_eq!(config["resolved"]["project"], "repository");
    let models = config["resolved"]["models"].as_object().expect("models");
    let commands: Vec<&str> =
        models.values().map(|model| model["stages"]["dev"]["command"].as_str().expect("a command")).collect();
    assert_eq!(commands, shape.commands, "{text}");
    for command in commands {
        let script = command.split(' ').next_back().expect("a word");
        project.git.git(&["cat-file", "-e", &format!("HEAD:{script}")]);
    }
    for says in &shape.says {
        assert!(text.lines().any(|line| line.trim() == *says), "no line {says}:\n{text}");
    }
    if shape.trains {
        project.run(&["run"]).expect(0, &["is PendingManualApproval"]);
    } else {
        project.run(&["plan"]).expect(0, &["train", "planned"]);
    }
}

#[test]
fn a_script_in_a_package_below_src_with_data_and_requirements() {
    assert_starts(&Shape {
        files: vec![
            python("src/churn/train.py", "from churn.features import f"),
            file("src/churn/features.py", "def f(): pass\n"),
            file("src/churn/__init__.py", ""),
            file("data/raw/train.csv", "a\n"),
            file("requirements.txt", "x\n"),
        ],
        commands: vec!["PYTHONPATH=src python3 src/churn/train.py"],
        says: vec!["- src/churn", "- requirements.txt", "train: data"],
        trains: true,
    });
}

#[test]
fn a_notebook_alone() {
    assert_starts(&Shape {
        files: vec![
            file("Train.ipynb", r#"{"cells":[],"nbformat":4,"nbformat_minor":5,"metadata":{}}"#),
            file("requirements.txt", "papermill\n"),
        ],
        commands: vec!["papermill --kernel python3 - \"$SM_OUTPUT_DATA_DIR/Train.ipynb\" < Train.ipynb"],
        says: vec!["- Train.ipynb", "- requirements.txt"],
        trains: false,
    });
}

#[test]
fn a_model_in_each_folder_of_models_with_a_shared_package() {
    let models = ["models/churn/train.py", "models/fraud/train.py", "models/ltv/train.py"];
    let mut files: Vec<_> = models.iter().map(|path| python(path, "from libs import f")).collect();
    files.push(file("libs/__init__.py", "def f(): pass\n"));
    assert_starts(&Shape {
        files,
        commands: vec![
            "PYTHONPATH=. python3 models/churn/train.py",
            "PYTHONPATH=. python3 models/fraud/train.py",
            "PYTHONPATH=. python3 models/ltv/train.py",
        ],
        says: vec!["churn:", "fraud:", "ltv:", "- models/ltv/train.py", "- libs"],
        trains: true,
    });
}

#[test]
fn a_declared_command_of_a_project_with_a_lock_of_uv() {
    assert_starts(&Shape {
        files: vec![
            file(
                "pyproject.toml",
                "[project]\nname = \"churn\"\n[project.scripts]\ntrain-churn = \"churn.cli:main\"\n",
            ),
            file("src/churn/cli.py", "def main(): pass\n"),
            file("src/churn/__init__.py", ""),
            file("uv.lock", "v\n"),
        ],
        commands: vec![
            "PYTHONPATH=src uv run python -c 'import sys; from churn.cli import main; sys.exit(main())' # src/churn/cli.py",
        ],
        says: vec!["- src/churn", "- uv.lock", "- pyproject.toml"],
        trains: false,
    });
}

#[test]
fn a_stage_of_dvc_with_its_dependencies_parameters_and_metrics() {
    let dvc = "stages:\n  train:\n    cmd: python src/train.py\n    deps: [src/train.py, src/prepare.py, data/train.csv]\n    \
               params: [train.lr]\n    metrics: [metrics/eval.json: {cache: false}]\n";
    assert_starts(&Shape {
        files: vec![
            file("dvc.yaml", dvc),
            file("params.yaml", "train: {lr: 0.1}\n"),
            file("data/train.csv", "a\n"),
            python("src/train.py", "import prepare"),
            file("src/prepare.py", "x = 1\n"),
            file("metrics/eval.json", "{\"auc\": 0.9, \"log_loss\": 0.3}\n"),
        ],
        commands: vec!["python3 src/train.py"],
        says: vec!["- src/train.py", "- src/prepare.py", "- params.yaml", "train: data/train.csv"],
        trains: true,
    });
}

#[test]
fn data_that_dvc_keeps_is_named_by_its_path() {
    let (project, _) = begun(&Shape {
        files: vec![
            file("dvc.yaml", "stages:\n  train:\n    cmd: python src/train.py\n    deps: [src/train.py, data/raw]\n"),
            file("data/raw.dvc", "outs:\n- md5: a304afb96060aad90176268345e10355.dir\n  path: raw\n"),
            python("src/train.py", ""),
        ],
        commands: Vec::new(),
        says: Vec::new(),
        trains: false,
    });
    project.run(&["check"]).expect(0, &[]);
    let text = std::fs::read_to_string(project.git.root().join("branchline.yaml")).expect("it was written");
    assert!(text.contains("train: data/raw\n"), "{text}");
}

#[test]
fn r_with_a_lock_of_renv() {
    assert_starts(&Shape {
        files: vec![
            file("train.R", "source(\"R/features.R\")\nd <- read.csv(\"data/train.csv\")\n"),
            file("R/features.R", "f <- 1\n"),
            file("data/train.csv", "x\n"),
            file("renv.lock", "{}\n"),
            file(".Rprofile", "source(\"renv/activate.R\")\n"),
            file("renv/activate.R", "1\n"),
        ],
        commands: vec!["Rscript train.R"],
        says: vec![
            "- train.R",
            "- R/features.R",
            "- renv.lock",
            "- .Rprofile",
            "- renv/activate.R",
            "train: data/train.csv",
        ],
        trains: false,
    });
}

#[test]
fn a_target_of_a_makefile_and_a_package_at_the_root() {
    assert_starts(&Shape {
        files: vec![
            file("Makefile", ".PHONY: train\ntrain: ## trains\n\t@python churn/modeling/train.py\n"),
            python("churn/modeling/train.py", "from churn.config import X"),
            file("churn/config.py", "X = 1\n"),
            file("churn/__init__.py", ""),
            file("requirements.txt", "x\n"),
        ],
        commands: vec!["PYTHONPATH=. python3 churn/modeling/train.py"],
        says: vec!["- churn", "- requirements.txt"],
        trains: true,
    });
}

#[test]
fn a_script_far_below_beside_a_pipeline() {
    assert_starts(&Shape {
        files: vec![
            file("pipelines/abalone/pipeline.py", "def get_pipeline(): pass\n"),
            python("source_scripts/training/train.py", "import argparse"),
            file("requirements.txt", "sagemaker\n"),
        ],
        commands: vec!["python3 source_scripts/training/train.py"],
        says: vec!["- source_scripts/training/train.py", "- requirements.txt"],
        trains: true,
    });
}

#[test]
fn packages_with_their_own_source_folders_that_share_one() {
    let project = |name: &str| format!("[project]\nname = \"{name}\"\n");
    assert_starts(&Shape {
        files: vec![
            ("packages/churn/pyproject.toml", project("churn")),
            python("packages/churn/src/churn/train.py", "from churn.model import m\nimport shared.io, json"),
            file("packages/churn/src/churn/model.py", "m = 1\n"),
            ("packages/fraud/pyproject.toml", project("fraud")),
            python("packages/fraud/src/fraud/train.py", "import shared"),
            ("packages/shared/pyproject.toml", project("shared")),
            file("packages/shared/src/shared/__init__.py", ""),
            file("packages/shared/src/shared/io.py", ""),
        ],
        commands: vec![
            "PYTHONPATH=packages/churn/src:packages/shared/src python3 packages/churn/src/churn/train.py",
            "PYTHONPATH=packages/shared/src python3 packages/fraud/src/fraud/train.py",
        ],
        says: vec!["- packages/churn/src/churn", "- packages/shared/src/shared", "- packages/fraud/pyproject.toml"],
        trains: true,
    });
}

#[test]
fn a_workspace_of_uv_with_a_declared_command_in_each_member() {
    let member = |name: &str| {
        format!(
            "[project]\nname = \"acme-{name}\"\nreadme = \"README.md\"\n[project.scripts]\ntrain-{name} = \"{name}.run:main\"\n"
        )
    };
    assert_starts(&Shape {
        files: vec![
            file("pyproject.toml", "[tool.uv.workspace]\nmembers = [\"packages/*\"]\n"),
            file("uv.lock", "v\n"),
            ("packages/churn/pyproject.toml", member("churn")),
            file("packages/churn/README.md", "x\n"),
            file("packages/churn/src/churn/run.py", "def main(): pass\n"),
            ("packages/fraud/pyproject.toml", member("fraud")),
            file("packages/fraud/src/fraud/run.py", "def main(): pass\n"),
        ],
        commands: vec![
            "PYTHONPATH=packages/churn/src uv run --package acme-churn python -c 'import sys; from churn.run import main; sys.exit(main())' # packages/churn/src/churn/run.py",
            "PYTHONPATH=packages/fraud/src uv run --package acme-fraud python -c 'import sys; from fraud.run import main; sys.exit(main())' # packages/fraud/src/fraud/run.py",
        ],
        says: vec!["- packages/churn/README.md", "- packages/fraud/pyproject.toml", "- uv.lock"],
        trains: false,
    });
}

#[test]
fn a_shell_script_that_begins_python() {
    assert_starts(&Shape {
        files: vec![
            file(
                "scripts/train.sh",
                "#!/usr/bin/env bash\nset -euo pipefail\npython3 src/prepare.py\npython3 src/fit.py --config conf/base.yaml\n",
            ),
            file("src/prepare.py", "import common\n"),
            file("src/common.py", "x = 1\n"),
            python("src/fit.py", "import common"),
            file("conf/base.yaml", "lr: 1\n"),
            file("tests/test_train.py", "import fit\n"),
        ],
        commands: vec!["bash scripts/train.sh"],
        says: vec!["- scripts/train.sh", "- src/prepare.py", "- src/fit.py", "- src/common.py", "- conf/base.yaml"],
        trains: true,
    });
}

#[test]
fn a_script_with_relative_imports_runs_as_a_module() {
    assert_starts(&Shape {
        files: vec![
            python("src/churn/train.py", "from .features import f"),
            file("src/churn/features.py", "def f(): pass\n"),
            file("src/churn/__init__.py", ""),
        ],
        commands: vec!["PYTHONPATH=src python3 -m churn.train # src/churn/train.py"],
        says: vec!["- src/churn"],
        trains: true,
    });
}

#[test]
fn branches_are_those_of_the_repository() {
    let project = Project::empty();
    project.git.switch("main");
    project.git.write("train.py", TRAINS);
    project.git.commit("first");
    for branch in ["feat/trees", "exp-7", "release/1"] {
        project.git.git(&["branch", branch]);
    }
    project.run(&["init"]).expect(0, &["pushes to feature-*, feature/**, exp-*, feat/** and main train"]);
    project.run(&["check", "--explain-branch", "feat/trees"]).expect(0, &["reaches the stage feature by `feat/**`"]);
    project.run(&["check", "--explain-branch", "main"]).expect(0, &["reaches the stage dev"]);
}

#[test]
fn what_is_not_committed_yet_is_named_by_init_and_refused_by_check() {
    let project = Project::empty();
    project.git.switch("main");
    project.git.write("README.md", "x\n");
    project.git.commit("first");
    project.git.write("train.py", TRAINS);
    project
        .run(&["init"])
        .expect(0, &["training script train.py", "before the first push", "`train.py` is not tracked yet"]);
    project
        .run(&["check"])
        .expect(20, &["names `train.py`, which is not in the commit", "= hint: `train.py` is not tracked"]);
    project.git.git(&["add", "train.py"]);
    project.run(&["check"]).expect(0, &["is valid"]);
}

#[test]
fn what_a_script_needs_is_named_also_where_it_is_not_committed_yet() {
    let project = Project::empty();
    project.git.switch("main");
    project.git.write("train.py", &format!("import features\n{TRAINS}"));
    project.git.commit("first");
    project.git.write("features.py", "x = 1\n");
    project.git.write("old/train.py", TRAINS);
    let said = project.run(&["init"]).expect(0, &["training script train.py", "`features.py` is not tracked yet"]);
    assert!(!said.out.contains("old"), "{}", said.out);
    project.run(&["check"]).expect(20, &["the path `features.py` of the model `repository` is not in the commit"]);
}

#[test]
fn a_repository_with_nothing_to_train_says_so() {
    let project = Project::empty();
    project.git.switch("main");
    project.git.write("README.md", "x\n");
    project.git.commit("first");
    project.run(&["init"]).expect(0, &["no training script found", "before the first push", "names `train.py`"]);
}
