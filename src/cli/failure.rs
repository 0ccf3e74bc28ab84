//! Failures before any verdict, as a user sees them: what, why, and the next move; and the exit code of each.

use crate::adapters::git::GitError;
use crate::config::Problems;
use crate::event::EventError;
use crate::event::EventErrorKind;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::report::json::JSON_SCHEMA;
use crate::report::terminal::plain;
use serde::Serialize;
use std::error::Error;

/// Exit code of a wrong command line.
pub const USAGE: u8 = 2;
/// Exit code of a missing or wrong configuration, or no repository.
pub const CONFIGURATION: u8 = 20;
/// Exit code of an event that cannot be read.
pub const EVENT: u8 = 21;
/// Exit code of a rule that says no.
pub const BLOCKED: u8 = 30;
/// Exit code of a training that ended badly, also of one elsewhere.
pub const FAILED: u8 = 40;
/// Exit code of a state that could not be found out.
pub const ERRORED: u8 = 50;
/// Exit code of an internal error.
pub const BUG: u8 = 1;

/// A failure before any verdict.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: u8,
    /// What failed, and why: may have several lines.
    pub text: String,
    /// What to do next.
    pub hints: Vec<String>,
    /// Lines of files that it is about.
    pub places: Vec<FailurePlace>,
}

/// A line of a file, and what is wrong there.
#[derive(Debug, Clone, Serialize)]
pub struct FailurePlace {
    /// The file, relative to the root of the repository.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// A failure as a program reads it.
#[derive(Debug, Serialize)]
pub struct RefusalJson<'f> {
    schema: u32,
    error: ErrorJson<'f>,
}

#[derive(Debug, Serialize)]
struct ErrorJson<'f> {
    code: &'static str,
    exit_code: u8,
    message: &'f str,
    hints: &'f [String],
    places: &'f [FailurePlace],
}

impl Failure {
    /// Returns it as the document that takes the place of an answer.
    pub fn as_json(&self) -> RefusalJson<'_> {
        let code = match self.exit {
            USAGE => "usage",
            CONFIGURATION => "configuration",
            EVENT => "event",
            BLOCKED => "blocked",
            FAILED => "failed",
            BUG => "internal-error",
            130 | 143 => "cancelled",
            _ => "errored",
        };
        let error =
            ErrorJson { code, exit_code: self.exit, message: &self.text, hints: &self.hints, places: &self.places };
        RefusalJson { schema: JSON_SCHEMA, error }
    }

    /// Takes over a command line that does not parse.
    pub fn command_line(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let mut paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
        let message = paragraphs.next().unwrap_or("the command line cannot be read");
        let failure = Self::usage(message.strip_prefix("error: ").unwrap_or(message));
        paragraphs
            .fold(failure, |failure, paragraph| failure.hint(paragraph.strip_prefix("tip: ").unwrap_or(paragraph)))
    }

    /// Makes a failure.
    pub fn new(exit: u8, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), hints: Vec::new(), places: Vec::new() }
    }

    /// Adds a next move.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// A wrong command line.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(USAGE, text)
    }

    /// A missing or wrong configuration.
    pub fn configuration(text: impl Into<String>) -> Self {
        Self::new(CONFIGURATION, text)
    }

    /// Takes over a failure of Git: without a readable repository nothing can be configured.
    pub fn git(error: &GitError) -> Self {
        let exit = match error {
            GitError::NoSuchCommit { .. } | GitError::Ambiguous { .. } => USAGE,
            _ => CONFIGURATION,
        };
        Self::new(exit, chain(error))
    }

    /// Takes over all problems of a configuration.
    pub fn problems(problems: &Problems) -> Self {
        let places = problems.iter().map(|(file, problem)| FailurePlace {
            file: file.to_owned(),
            line: problem.place.line,
            message: problem.message.clone(),
        });
        Self { places: places.collect(), ..Self::new(CONFIGURATION, problems.to_string()) }
    }

    /// Takes over an event that cannot be read.
    pub fn event(error: &EventError) -> Self {
        let exit = match error.kind() {
            EventErrorKind::Usage => USAGE,
            EventErrorKind::Payload => EVENT,
        };
        Self::new(exit, chain(error))
    }

    /// Takes over a failure of a port.
    pub fn port(error: &PortError) -> Self {
        let exit = if error.kind == PortErrorKind::Configuration { CONFIGURATION } else { ERRORED };
        let failure = Self::new(exit, error.chain());
        match &error.hint {
            Some(hint) => failure.hint(hint.clone()),
            None => failure,
        }
    }

    /// Takes over a failed write to the terminal or a file of the user's.
    pub fn io(doing: &str, error: &std::io::Error) -> Self {
        Self::new(ERRORED, format!("could not {doing}: {error}"))
    }

    /// Renders it for standard error.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (index, line) in self.text.lines().enumerate() {
            let prefix = if index == 0 { "error: " } else { "" };
            text.push_str(&format!("{prefix}{}\n", plain(line)));
        }
        for hint in &self.hints {
            text.push_str(&format!("  -> {}\n", plain(hint)));
        }
        text
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
