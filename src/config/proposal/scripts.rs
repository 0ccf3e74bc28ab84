//! Files that seem to train, best first, and how a shell begins each kind.

use crate::config::proposal::How;
use crate::config::proposal::Seen;
use crate::config::proposal::Start;
use crate::config::proposal::Unit;
use crate::config::proposal::folder_of;
use crate::config::proposal::quoted;
use crate::model::command::Files as _;

/// Folders whose files never are the project's own training.
const IGNORED: [&str; 16] = [
    "tests",
    "test",
    "docs",
    "doc",
    "node_modules",
    "vendor",
    "third_party",
    "site-packages",
    "venv",
    "env",
    "build",
    "dist",
    "deploy",
    "deployment",
    "infra",
    "renv",
];

/// Endings of files that can be run.
const ENDINGS: [&str; 5] = ["py", "r", "sh", "jl", "ipynb"];

/// Words in the names of files that others import.
const PARTS: [&str; 10] =
    ["utils", "util", "helpers", "helper", "common", "config", "data", "dataset", "split", "args"];

/// Where a rank stops saying "this trains" and begins saying "this may be it".
const NAMED_FOR_TRAINING: u32 = 40;

/// A file that may train.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Script {
    /// How unlikely it is.
    rank: u32,
    /// How many folders it lies in.
    depth: usize,
    /// Its path.
    pub(super) path: String,
}

impl Script {
    /// Tells whether its name says that it trains, and nothing else.
    pub(super) fn is_entry(&self) -> bool {
        self.rank < 20
    }

    /// Tells whether its name says that it trains.
    pub(super) fn is_named_for_training(&self) -> bool {
        self.rank < NAMED_FOR_TRAINING
    }
}

/// The ending of a file's name, in lower case.
pub(super) fn ending(path: &str) -> &'static str {
    let last = path.rsplit('/').next().unwrap_or(path);
    let ending = last.rsplit_once('.').map_or("", |(_, ending)| ending);
    ENDINGS.into_iter().find(|known| known.eq_ignore_ascii_case(ending)).unwrap_or("")
}

/// Lists every file that may train, best first.
pub(super) fn all(seen: &Seen<'_>) -> Vec<Script> {
    let mut found: Vec<Script> = seen.candidates.iter().filter_map(|path| script(path)).collect();
    found.sort();
    found
}

fn script(path: &str) -> Option<Script> {
    let ending = ending(path);
    let folder = folder_of(path);
    let ignored = |part: &str| part.starts_with('.') || IGNORED.contains(&part);
    if ending.is_empty() || folder.split('/').any(ignored) {
        return None;
    }
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).trim_start_matches(|c: char| {
        // Notebooks are often numbered: `02-train.ipynb`.
        c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | ' ')
    });
    if stem.starts_with("test") || stem.starts_with("conftest") {
        return None;
    }
    let words: Vec<&str> = stem.split(['_', '-', '.', ' ']).collect();
    let by_name = match stem {
        "train" => 0,
        "training" => 10,
        "train_model" | "model_train" | "train-model" | "run_training" | "run_train" => 12,
        _ if words.iter().any(|word| PARTS.contains(word)) => 70,
        _ if words.iter().any(|word| matches!(*word, "train" | "training")) => 20,
        "fit" | "fit_model" => 30,
        "trainer" => 35,
        "main" | "run" => 50,
        "model" => 60,
        _ => 70,
    };
    let by_kind = match ending {
        "py" | "r" | "jl" => 0,
        "sh" => 2,
        _ => 5,
    };
    Some(Script { rank: by_name + by_kind, depth: path.matches('/').count(), path: path.to_owned() })
}

/// Chooses the best script of a unit. One that is only not impossible counts where it is the only one.
pub(super) fn best(unit: &Unit, scripts: &[Script]) -> Option<Start> {
    let inside = |script: &&Script| {
        unit.folder.is_empty() || script.path.strip_prefix(&unit.folder).is_some_and(|rest| rest.starts_with('/'))
    };
    let own: Vec<&Script> = scripts.iter().filter(inside).collect();
    let first = own.first()?;
    let (named, likely) = (first.is_named_for_training(), first.rank < 60);
    let only = own.len() == 1;
    (named || likely || only).then(|| Start { script: first.path.clone(), how: How::Script, ..Start::default() })
}

/// Which shell a script asks for.
pub(super) fn shell(seen: &Seen<'_>, path: &str) -> &'static str {
    let text = seen.text(path).unwrap_or_default();
    let first = text.lines().next().unwrap_or("");
    if first.starts_with("#!") && first.contains("bash") { "bash" } else { "sh" }
}

/// Runs a notebook in its own folder, and keeps the executed copy beside the metrics.
///
/// It arrives on standard input, so the command ends with its path.
pub(super) fn notebook_command(seen: &Seen<'_>, path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let has_kernel = seen.text(path).is_some_and(|text| text.contains("\"kernelspec\""));
    let kernel = if has_kernel { "" } else { "--kernel python3 " };
    let folder = folder_of(path);
    let cwd = if folder.is_empty() { String::new() } else { format!("--cwd {} ", quoted(folder)) };
    let output: String = name.chars().map(|c| if matches!(c, '"' | '\\' | '$' | '`') { '_' } else { c }).collect();
    format!("papermill {kernel}{cwd}- \"$SM_OUTPUT_DATA_DIR/{output}\" < {}", quoted(path))
}
