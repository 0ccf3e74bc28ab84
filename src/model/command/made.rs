//! What a command of the line makes for the ones after it: files that output goes to, virtual environments.
//!
//! Such a file is in no commit, and yet a later command finds it.

use crate::model::command::programs::base;
use crate::model::command::programs::path;
use crate::model::command::words::Simple;
use crate::model::command::words::Word;

/// Programs that make the folder `.venv` where they begin, and by which words.
const PROJECT_TOOLS: [(&str, &[&str]); 6] = [
    ("uv", &["sync", "run"]),
    ("poetry", &["install", "sync", "run"]),
    ("pdm", &["install", "sync", "run"]),
    ("pipenv", &["install", "sync", "run"]),
    ("rye", &["sync", "run"]),
    ("hatch", &["env", "run"]),
];

/// What earlier commands of a line made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Files and folders, from the root of the repository.
    paths: Vec<String>,
    /// Whether something was made that only the shell can name.
    anything: bool,
}

impl Made {
    /// Adds what one command makes.
    pub(super) fn add(&mut self, simple: &Simple) {
        for output in &simple.outputs {
            // What the contract names lies outside of the checkout.
            let by_contract = ["$SM_", "${SM_"].iter().any(|name| output.text.starts_with(name));
            self.anything |= output.expands && !by_contract;
            self.path(&output.text);
        }
        let words: Vec<&str> = simple.words.iter().map(base).collect();
        for (index, name) in words.iter().enumerate() {
            let rest = simple.words.get(index + 1..).unwrap_or_default();
            let next = words.get(index + 1).copied().unwrap_or("");
            match (*name, next) {
                ("virtualenv" | "tee", _) => self.plain(rest),
                ("-m", "venv" | "virtualenv") => self.plain(&rest[1..]),
                ("uv", "venv") => {
                    self.path(".venv");
                    self.plain(&rest[1..]);
                }
                ("-p" | "--prefix", _) if words.contains(&"create") => self.plain(rest.get(..1).unwrap_or_default()),
                (tool, word) if PROJECT_TOOLS.iter().any(|(name, by)| *name == tool && by.contains(&word)) => {
                    self.path(".venv");
                }
                _ => {}
            }
        }
    }

    /// The words that are no options. The value of an option is taken for a path, too, which refuses nothing.
    fn plain(&mut self, words: &[Word]) {
        for word in words.iter().filter(|word| !word.text.starts_with('-')) {
            self.anything |= word.expands;
            self.path(&word.text);
        }
    }

    fn path(&mut self, text: &str) {
        if !text.starts_with('/') {
            self.paths.extend(path(text));
        }
    }

    /// Tells whether a path was made, or may have been.
    pub(super) fn covers(&self, path: &str) -> bool {
        let inside = |made: &String| {
            path.strip_prefix(made.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.anything || self.paths.iter().any(inside)
    }
}
