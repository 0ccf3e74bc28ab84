//! Which files of the repository a training command names, and whether a training run would find them.
//!
//! A command is a line for a shell, so this is a small rule for usual forms: interpreters with a script or a module,
//! launchers in front of them, notebooks, `make`. A form that is not known here is not judged, and neither is whatever
//! follows it. Deliberately absent: any look at a disk or a repository. [`Files`] answers what is there.

mod made;
mod programs;
mod words;

pub use programs::EntryPoint;
pub use programs::entry_points;

use crate::model::command::made::Made;
use crate::model::command::programs::Next;
use crate::model::command::programs::Setting;
use crate::model::command::words::Join;
use serde::Deserialize;
use serde::Serialize;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A file, or a link to one.
    File,
    /// A folder.
    Folder,
}

/// The files that a command is judged by: those of a commit, or those of the next one.
pub trait Files {
    /// Returns what stands at a path from the root of the repository; `None` where nothing does.
    fn kind(&self, path: &str) -> Option<FileKind>;
    /// Tells whether a training run gets the file: whether `paths` covers it.
    fn is_watched(&self, path: &str) -> bool;
    /// Returns the text of a file, where it can be read.
    fn text(&self, path: &str) -> Option<String>;
}

/// One thing that a command names: a file, or one of several that would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// As the command spells it.
    pub word: String,
    /// The paths from the root of the repository that would do, the usual one first. Never empty.
    pub candidates: Vec<String>,
}

/// A file that a command names and that its training run would not find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusableFile {
    /// Its path from the root of the repository.
    pub path: String,
    /// Why the training run would not find it.
    pub problem: FileProblem,
}

/// Why a training run would not find a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileProblem {
    /// The commit does not have it.
    NotInCommit,
    /// The commit has it, but `paths` does not cover it.
    NotWatched,
}

/// Returns what a command names, as far as it can be told.
pub fn named(command: &str, files: &dyn Files) -> Vec<NamedFile> {
    let mut setting = Setting::default();
    let mut named: Vec<NamedFile> = Vec::new();
    let mut made = Made::default();
    let mut is_asked = false;
    for simple in words::commands(command) {
        is_asked &= matches!(simple.join, Join::And | Join::Pipe);
        // What stands after `||` runs only where something failed; what stands after `|` reads what was written.
        let certain = !is_asked && !matches!(simple.join, Join::Or | Join::Pipe);
        let reading = programs::read(&simple, &mut setting, files);
        for file in reading.files.into_iter().filter(|_| certain) {
            let is_made = file.candidates.iter().any(|path| made.covers(path));
            if !is_made && !named.contains(&file) {
                named.push(file);
            }
        }
        made.add(&simple);
        is_asked |= programs::asks(&simple);
        if reading.next == Next::Stop {
            break;
        }
    }
    named
}

/// Returns the first file that a command names and that its training run would not find.
pub fn unusable(command: &str, files: &dyn Files) -> Option<UnusableFile> {
    named(command, files).into_iter().find_map(|named| {
        let there = named.candidates.iter().find(|path| files.kind(path) == Some(FileKind::File));
        match there {
            Some(path) if files.is_watched(path) => None,
            Some(path) => Some(UnusableFile { path: path.clone(), problem: FileProblem::NotWatched }),
            None => {
                let path = named.candidates.into_iter().next()?;
                Some(UnusableFile { path, problem: FileProblem::NotInCommit })
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Files with their texts; the second part of a key says whether the file is watched.
    struct Sample(BTreeMap<&'static str, (bool, &'static str)>);

    impl Files for Sample {
        fn kind(&self, path: &str) -> Option<FileKind> {
            if self.0.contains_key(path) {
                return Some(FileKind::File);
            }
            let inside = format!("{path}/");
            self.0.keys().any(|file| file.starts_with(&inside)).then_some(FileKind::Folder)
        }

        fn is_watched(&self, path: &str) -> bool {
            self.0.get(path).is_some_and(|(watched, _)| *watched)
        }

        fn text(&self, path: &str) -> Option<String> {
            self.0.get(path).map(|(_, text)| (*text).to_owned())
        }
    }

    fn sample() -> Sample {
        let scripts = "[project]\nname = \"x\"\n[project.scripts]\ntrain-churn = \"pack.cli:main\"\n";
        Sample(BTreeMap::from([
            ("train.py", (true, "")),
            ("unwatched.py", (false, "")),
            ("src/pack/cli.py", (false, "")),
            ("churn/train.py", (true, "")),
            ("churn/deep/__main__.py", (true, "")),
            ("Train.ipynb", (true, "")),
            ("train.R", (true, "")),
            ("run.sh", (true, "")),
            ("requirements.txt", (false, "")),
            ("Makefile", (true, "")),
            ("pyproject.toml", (true, scripts)),
        ]))
    }

    fn said(command: &str) -> String {
        match unusable(command, &sample()) {
            None => "fine".to_owned(),
            Some(UnusableFile { path, problem: FileProblem::NotInCommit }) => format!("{path} is missing"),
            Some(UnusableFile { path, problem: FileProblem::NotWatched }) => format!("{path} is not watched"),
        }
    }

    #[test]
    fn usual_commands_are_judged_by_the_file_that_they_name() {
        for (command, expected) in [
            ("python3 train.py", "fine"),
            ("python3 -u -W ignore train.py --epochs 3 other.py", "fine"),
            ("python3 ./tain.py", "tain.py is missing"),
            ("python unwatched.py", "unwatched.py is not watched"),
            ("python3 ../train.py", "../train.py is missing"),
            ("python -m churn.train", "fine"),
            ("python -m churn.deep", "fine"),
            ("python -m churn.tain", "churn/tain.py is missing"),
            ("PYTHONPATH=src:$PYTHONPATH python -m pack.cli", "src/pack/cli.py is not watched"),
            ("export PYTHONPATH=src; python -m pack.cli", "src/pack/cli.py is not watched"),
            ("CUDA_VISIBLE_DEVICES=0 LANG=C python3 tain.py", "tain.py is missing"),
            ("env -u X LANG=C python3 tain.py", "tain.py is missing"),
            ("Rscript --vanilla train.R", "fine"),
            ("Rscript fit.R", "fit.R is missing"),
            ("R --no-save -f fit.R", "fit.R is missing"),
            ("R CMD BATCH fit.R", "fit.R is missing"),
            ("julia --project=. fit.jl", "fit.jl is missing"),
            ("bash -euo pipefail run.sh", "fine"),
            ("sh go.sh", "go.sh is missing"),
            ("bash -c 'python3 tain.py'", "tain.py is missing"),
            ("./go.sh", "go.sh is missing"),
            ("uv run train.py", "fine"),
            ("uv run --frozen --with numpy python -u tain.py", "tain.py is missing"),
            ("uv run -m churn.tain", "churn/tain.py is missing"),
            ("uv run train-churn", "src/pack/cli.py is not watched"),
            ("poetry run python tain.py", "tain.py is missing"),
            ("papermill Train.ipynb out.ipynb", "fine"),
            ("papermill -p lr 0.1 Tain.ipynb out.ipynb", "Tain.ipynb is missing"),
            ("papermill - \"$SM_OUTPUT_DATA_DIR/out.ipynb\" < Tain.ipynb", "Tain.ipynb is missing"),
            ("jupyter nbconvert --to notebook --execute Tain.ipynb --output out.ipynb", "Tain.ipynb is missing"),
            ("make train", "fine"),
            ("make -C sub train LR=1", "sub/Makefile is missing"),
            ("torchrun --nproc_per_node 2 tain.py --lr 1", "tain.py is missing"),
            ("python -m torch.distributed.run --nnodes=1 tain.py", "tain.py is missing"),
            ("accelerate launch --mixed_precision fp16 tain.py", "tain.py is missing"),
            ("pip install -r requirements.txt && python3 train.py", "requirements.txt is not watched"),
            ("pip install -q numpy && python3 tain.py", "tain.py is missing"),
            ("set -e\npython3 train.py\npython3 tain.py", "tain.py is missing"),
            ("python3 train.py | tee log.txt && python3 tain.py", "tain.py is missing"),
            ("time nice -n 5 python3 tain.py 2>&1 > log", "tain.py is missing"),
            ("timeout 3h python3 tain.py", "tain.py is missing"),
            (". ./env.sh && python3 train.py", "env.sh is missing"),
            ("python3 -m venv .venv && . .venv/bin/activate && python3 tain.py", "tain.py is missing"),
            ("python3 train.py > \"$SM_OUTPUT_DATA_DIR/log\" && python3 tain.py", "tain.py is missing"),
            ("test -f x && sh x; python3 train.py", "fine"),
            ("test -f x && echo there; python3 tain.py", "tain.py is missing"),
            (". .venv/bin/activate && python3 train.py", ".venv/bin/activate is missing"),
            ("python3 train.py || exit 3; python3 tain.py", "tain.py is missing"),
            ("exec python3 'ta in.py'", "ta in.py is missing"),
        ] {
            assert_eq!(said(command), expected, "{command}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_judged() {
        for command in [
            "",
            "make -f \"$X\" train",
            "cd src && python3 tain.py",
            "(cd src; python3 tain.py)",
            "if true; then python3 tain.py; fi",
            "python3 $SCRIPT",
            "python3 \"$SM_CHANNEL_CODE/tain.py\"",
            "python3 /opt/program/tain.py",
            "python3 ~/tain.py",
            "python3 -c 'import tain'",
            "python3 - < /dev/stdin",
            "python3 -m sklearn.something",
            "python3 scripts/*.py",
            "python3 `which x`.py",
            "git clone x && python3 tain.py",
            "tar xf code.tar && python3 tain.py",
            "bash run.sh && python3 made.py",
            "jupyter nbconvert --to script Train.ipynb && python3 Train.py",
            "python3 train.py || python3 tain.py",
            "uv run --unknown-option x tain.py",
            "uv run pytest",
            "uv run --directory sub tain.py",
            "docker run x python3 tain.py",
            "python3 train.py # then tain.py",
            "'unclosed python3 tain.py",
            "cat <<EOF\npython3 tain.py\nEOF",
            "R -e 'source(\"tain.R\")'",
            "conda activate x && unknown && python3 tain.py",
            "python3 -m venv .venv && . .venv/bin/activate && python3 train.py",
            "python3 -m venv --prompt x env && env/bin/pip install -q numpy && env/bin/python train.py",
            "virtualenv -p python3 .venv && .venv/bin/python train.py",
            "uv venv && . .venv/bin/activate && python3 train.py",
            "uv sync && .venv/bin/python train.py",
            "conda create -y -p ./env && env/bin/python train.py",
            "printf 'x' > gen.sh && sh gen.sh",
            "printf 'x' >> ./gen.sh; ./gen.sh",
            "echo x | tee gen.sh && sh gen.sh",
            "cat a | grep x > gen.py; python3 gen.py",
            "echo x > $NAME && sh gen.sh",
            "test -f own.sh && sh own.sh || sh run.sh",
            "command -v uv && uv pip install -r none.txt; true",
            "test -d code || git clone x code; python3 code/train.py",
            "cat code.tar | tar x && python3 code/train.py",
        ] {
            assert_eq!(said(command), "fine", "{command}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_command_is_too_much(command in proptest::prelude::any::<String>(), more in "[ a-z.$<>|&;(){}'\"\\\\#\n=-]{0,40}") {
            for command in [&command, &more, &format!("python {command}"), &format!("uv run {more}")] {
                for file in named(command, &sample()) {
                    proptest::prop_assert!(!file.candidates.is_empty());
                }
            }
        }
    }
}
