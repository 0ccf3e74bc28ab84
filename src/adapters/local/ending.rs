//! Why a command that did not end well failed: a class and one sentence, from its exit and its last lines. Pure.

use crate::model::training::Cause;
use regex::Regex;
use std::path::Path;
use std::sync::LazyLock;

/// How many log lines a failed training keeps as evidence.
pub const EVIDENCE_LINES: usize = 30;
/// The longest line that evidence shows, in characters.
pub const EVIDENCE_WIDTH: usize = 1000;

/// How the command's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With a code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl Exit {
    /// Reads a process status.
    pub fn of(status: std::process::ExitStatus) -> Self {
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
            return Self::Signal(signal);
        }
        Self::Code(status.code().unwrap_or(-1))
    }

    /// A shell tells of its child's signal by 128 and the number.
    fn signal(self) -> Option<i32> {
        match self {
            Self::Signal(signal) => Some(signal),
            Self::Code(code) => (129..=128 + 31).contains(&code).then(|| code - 128),
        }
    }
}

/// What is known of a command that failed.
pub struct Failure<'a> {
    /// How the process ended.
    pub exit: Exit,
    /// The command line, for people.
    pub command: &'a str,
    /// Its last lines: foreign text.
    pub tail: &'a [String],
    /// What it wrote to `output/failure`.
    pub said: Option<String>,
    /// The checkout, to tell a file of the repository from one of the machine.
    pub code: &'a Path,
    /// The disk has no room left: a write of our own failed, or the file system says so.
    pub disk_full: bool,
}

impl Failure<'_> {
    /// Finds the class and the sentence.
    pub fn explain(&self) -> (Cause, String) {
        let command = short(self.command, 120);
        let last = self.tail.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty());
        let because = last.map(|line| format!(": {}", short(line, 240))).unwrap_or_default();
        // A fact about the disk, never the words of a log: what any program prints there would decide about attempts.
        if self.disk_full {
            return (Cause::DiskFull, format!("the disk was full while `{command}` ran{because}"));
        }
        let what = match (self.exit, self.exit.signal()) {
            (_, Some(9)) => format!("`{command}` was killed by signal 9 (out of memory?)"),
            (_, Some(signal)) => format!("`{command}` was killed by signal {signal}{}", signal_name(signal)),
            (Exit::Code(code), None) => format!("`{command}` exited with code {code}"),
            (Exit::Signal(signal), None) => format!("`{command}` was killed by signal {signal}"),
        };
        let hint = self.missing().map(|missing| missing.hint()).unwrap_or_default();
        if let Some(said) = &self.said {
            return (Cause::Code, format!("{said} ({what}){hint}"));
        }
        // By POSIX, 127: the shell did not find the command; 126: it could not be run.
        match self.exit {
            Exit::Code(127) => (Cause::Configuration, format!("`{command}`: command not found{because}")),
            Exit::Code(126) => (Cause::Configuration, format!("`{command}`: command cannot be run{because}")),
            Exit::Code(_) | Exit::Signal(_) => (Cause::Code, format!("{what}{because}{hint}")),
        }
    }

    /// Finds what the checkout lacked, by the words of Python and of the system.
    fn missing(&self) -> Option<Missing> {
        static MODULE: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"(?:ModuleNotFoundError|ImportError): No module named '?([\w.]+)").ok());
        static NAME: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"ImportError: cannot import name '[^']*' from '([\w.]+)'").ok());
        static FILE: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(r"(?:No such file or directory: |can't open file )'([^']+)'|(?:cannot open|can't open) (\S+)")
                .ok()
        });
        static TARGET: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"No rule to make target ['`]([^'`]+)'").ok());
        let first = |regex: &LazyLock<Option<Regex>>, line: &str| {
            let captures = regex.as_ref()?.captures(line)?;
            captures.iter().skip(1).flatten().next().map(|found| found.as_str().to_owned())
        };
        for line in self.tail.iter().rev() {
            if let Some(module) = first(&MODULE, line).or_else(|| first(&NAME, line)) {
                return Some(Missing::Module(module));
            }
            if let Some(target) = first(&TARGET, line) {
                return Some(Missing::Target(target));
            }
            if let Some(file) = first(&FILE, line) {
                let path = Path::new(&file);
                let inside = if path.is_absolute() { path.strip_prefix(self.code).ok() } else { Some(path) };
                return inside.map(|path| {
                    let text = path.display().to_string();
                    Missing::File(text.trim_start_matches("./").trim_end_matches(':').to_owned())
                });
            }
        }
        None
    }
}

/// Says that a command used up its time.
pub fn too_long(command: &str, limit: std::time::Duration) -> String {
    format!("`{command}` ran longer than max_runtime ({}) and was ended", shown(limit))
}

/// Says that reading and packing what a command made used up the rest of its time.
pub fn too_long_to_pack(command: &str, limit: std::time::Duration) -> String {
    let limit = shown(limit);
    format!("`{command}` exited, but reading and packing what it wrote took longer than max_runtime ({limit})")
}

fn shown(limit: std::time::Duration) -> String {
    jiff::SignedDuration::try_from(limit).map_or_else(|_| "…".to_owned(), |limit| format!("{limit:#}"))
}

enum Missing {
    Module(String),
    File(String),
    Target(String),
}

impl Missing {
    fn hint(&self) -> String {
        match self {
            Self::Module(name) => {
                let path = name.replace('.', "/");
                format!(
                    ". Training gets only the watched paths: if `{name}` is part of this repository ({path}.py or {path}/), \
                     add it to `paths`; else install it"
                )
            }
            Self::Target(name) => format!(
                ". Training gets only the watched paths: if `{name}` is a file of this repository, or a rule in a makefile \
                 that another one includes, add that file to `paths`"
            ),
            Self::File(path) => format!(
                ". Training gets only the watched paths: if {path} is a file of this repository, add it to `paths`; \
                 data come in through `data`"
            ),
        }
    }
}

fn short(text: &str, limit: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit { line } else { line.chars().take(limit).chain(['…']).collect() }
}

fn signal_name(signal: i32) -> &'static str {
    // The numbers that POSIX fixes; others differ between systems.
    match signal {
        1 => " (hangup)",
        2 => " (interrupt)",
        3 => " (quit)",
        4 => " (illegal instruction)",
        6 => " (abort)",
        8 => " (arithmetic error)",
        11 => " (segmentation fault)",
        13 => " (broken pipe)",
        15 => " (terminated)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(exit: Exit, tail: &[&str]) -> (Cause, String) {
        let tail: Vec<String> = tail.iter().map(|line| (*line).to_owned()).collect();
        Failure {
            exit,
            command: "python3 train.py",
            tail: &tail,
            said: None,
            code: Path::new("/h/trainings/t/code"),
            disk_full: false,
        }
        .explain()
    }

    #[test]
    fn the_class_follows_from_exit_and_log() {
        let (cause, text) = explain(Exit::Code(3), &["Traceback", "ValueError: bad", ""]);
        assert_eq!((cause, text.as_str()), (Cause::Code, "`python3 train.py` exited with code 3: ValueError: bad"));
        let (cause, text) = explain(Exit::Code(127), &["sh: 1: python3: not found"]);
        assert_eq!(cause, Cause::Configuration);
        assert_eq!(text, "`python3 train.py`: command not found: sh: 1: python3: not found");
        let (cause, text) = explain(Exit::Code(137), &[]);
        assert_eq!((cause, text.as_str()), (Cause::Code, "`python3 train.py` was killed by signal 9 (out of memory?)"));
        let (cause, text) = explain(Exit::Signal(11), &[]);
        assert_eq!(cause, Cause::Code);
        assert!(text.ends_with("signal 11 (segmentation fault)"), "{text}");
        for words in
            ["OSError: [Errno 28] No space left on device", "Disk quota exceeded", "CapacityError", "worker lost"]
        {
            assert_eq!(explain(Exit::Code(1), &[words]).0, Cause::Code, "{words}");
        }
    }

    #[test]
    fn what_the_checkout_lacks_is_named_with_the_key_to_change() {
        let (_, text) = explain(Exit::Code(1), &["ModuleNotFoundError: No module named 'features.text'"]);
        assert!(text.contains("(features/text.py or features/text/), add it to `paths`"), "{text}");
        let (_, text) =
            explain(Exit::Code(1), &["FileNotFoundError: [Errno 2] No such file or directory: 'conf/a.yaml'"]);
        assert!(text.contains("conf/a.yaml is a file of this repository, add it to `paths`"), "{text}");
        let line = "python3: can't open file '/h/trainings/t/code/train.py': [Errno 2] No such file or directory";
        let (_, text) = explain(Exit::Code(2), &[line]);
        assert!(text.contains(" if train.py is a file"), "{text}");
        let line = "make: *** No rule to make target 'setup', needed by 'train'.  Stop.";
        let (_, text) = explain(Exit::Code(2), &[line]);
        assert!(text.contains("if `setup` is a file of this repository, or a rule in a makefile"), "{text}");
        let (_, text) = explain(Exit::Code(1), &["FileNotFoundError: No such file or directory: '/etc/none'"]);
        assert!(!text.contains("paths"), "{text}");
    }

    #[test]
    fn its_own_words_come_first() {
        let failure = Failure {
            exit: Exit::Code(1),
            command: "x",
            tail: &[],
            said: Some("no labels in the data".to_owned()),
            code: Path::new("/c"),
            disk_full: false,
        };
        assert_eq!(failure.explain().1, "no labels in the data (`x` exited with code 1)");
    }
}
