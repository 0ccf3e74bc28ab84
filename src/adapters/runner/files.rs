//! The files through which a step says something to the runner: its outputs and its summary.
//!
//! Deliberately absent: the files for environment variables, the search path and saved state. Nothing is ever written
//! to those, because in a privileged workflow that would let foreign text run code.

use crate::adapters::regular;
use crate::model::variables;
use crate::report::limit;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

/// What went wrong with one of the runner's files.
#[derive(Debug, thiserror::Error)]
pub enum RunnerFileError {
    /// A name that the runner could take for something else.
    #[error("writing the step output `{name}`: a name is letters, digits, `_` and `-` and starts with a letter")]
    Name {
        /// The name.
        name: String,
    },
    /// A value with the text that marks its end.
    #[error("writing the step output `{name}`: it contains the random mark for its own end; run this step again")]
    Delimiter {
        /// The name.
        name: String,
    },
    /// More than the host takes.
    #[error(
        "writing the step outputs: {size} bytes are more than the {limit} that a job may put out, `{largest}` being the largest; read the JSON that the command prints instead"
    )]
    TooLarge {
        /// All outputs, as the host counts them.
        size: usize,
        /// What it takes.
        limit: usize,
        /// The name of the largest.
        largest: String,
    },
    /// The file could not be written.
    #[error("writing {what} to {}: the file that the runner made for it could not be written", path.display())]
    Io {
        /// What was written.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// What became of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SummaryWritten {
    /// It is all there.
    Whole,
    /// The step's summary is nearly full: it was cut, and says so.
    Cut,
    /// There was no room for anything.
    NoRoom,
    /// The runner gave no file.
    NoFile,
}

/// The runner's files for this step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunnerFiles {
    output: Option<PathBuf>,
    summary: Option<PathBuf>,
}

impl RunnerFiles {
    /// Takes the paths from a look-up of variables.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let path = |name: &str| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self { output: path(variables::GITHUB_OUTPUT), summary: path(variables::GITHUB_STEP_SUMMARY) }
    }

    /// Appends outputs in one write. Where the runner gave no file, nothing is written and that is no error.
    ///
    /// # Errors
    ///
    /// Nothing is written where a name is not a plain word, a value contains its own random end mark, all together
    /// are more than [`limit::OUTPUTS`], or the file cannot be written.
    pub fn append_outputs(&self, outputs: &[(&str, &str)]) -> Result<(), RunnerFileError> {
        let Some(path) = &self.output else { return Ok(()) };
        let size =
            outputs.iter().map(|(name, value)| limit::OUTPUTS.measure(name) + limit::OUTPUTS.measure(value)).sum();
        if size > limit::OUTPUTS.size {
            let largest = outputs.iter().max_by_key(|(_, value)| value.len()).map(|(name, _)| (*name).to_owned());
            return Err(RunnerFileError::TooLarge {
                size,
                limit: limit::OUTPUTS.size,
                largest: largest.unwrap_or_default(),
            });
        }
        let text = encode(outputs, || format!("branchline_{}", uuid::Uuid::new_v4()))?;
        append("the step's outputs", path, &text)
    }

    /// Tells whether the step has any output so far: each step has a file of its own, which is empty at first.
    pub fn has_outputs(&self) -> bool {
        self.output.as_deref().is_some_and(|path| length(path) > 0)
    }

    /// Appends Markdown to the step's summary, cut to the room that is left. `full` is the address of the whole
    /// report, where there is one.
    ///
    /// The runner drops a summary above 1 MiB altogether, so several commands in one step share that room.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn append_summary(&self, markdown: &str, full: Option<&str>) -> Result<SummaryWritten, RunnerFileError> {
        let Some(path) = &self.summary else { return Ok(SummaryWritten::NoFile) };
        // Two bytes for the line breaks before and after.
        let taken = usize::try_from(length(path)).unwrap_or(usize::MAX).saturating_add(2);
        let room = limit::Limit { size: limit::STEP_SUMMARY.size.saturating_sub(taken), ..limit::STEP_SUMMARY };
        let text = limit::markdown(markdown, room, full);
        if text.is_empty() {
            return Ok(if markdown.is_empty() { SummaryWritten::Whole } else { SummaryWritten::NoRoom });
        }
        let written = if text == markdown { SummaryWritten::Whole } else { SummaryWritten::Cut };
        let end = if text.ends_with('\n') { "" } else { "\n" };
        append("the step's summary", path, &format!("{text}{end}"))?;
        Ok(written)
    }
}

/// Writes outputs the way the runner reads them, each with an end mark of its own.
fn encode(outputs: &[(&str, &str)], mut delimiter: impl FnMut() -> String) -> Result<String, RunnerFileError> {
    let mut text = String::new();
    for (name, value) in outputs {
        let legal = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if !legal {
            return Err(RunnerFileError::Name { name: (*name).to_owned() });
        }
        let delimiter = delimiter();
        if name.contains(&delimiter) || value.contains(&delimiter) {
            return Err(RunnerFileError::Delimiter { name: (*name).to_owned() });
        }
        text.push_str(&format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"));
    }
    Ok(text)
}

fn append(what: &'static str, path: &Path, text: &str) -> Result<(), RunnerFileError> {
    let io = |source| RunnerFileError::Io { what, path: path.to_path_buf(), source };
    // A training command of the same user may have put something else there, which would keep the run waiting.
    let mut file = regular::open_to_append(path).map_err(|error| io(error.into()))?;
    // Whoever wrote before us may have left a line without its end, into which ours would run. The runner passes
    // over empty lines.
    let gap = if length(path) > 0 { "\n" } else { "" };
    file.write_all(format!("{gap}{text}").as_bytes()).map_err(io)
}

fn length(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_hold_its_own_end() {
        let error = encode(&[("a", "x"), ("b", "one\nEOF\nc=1")], || "EOF".to_owned()).expect_err("refused");
        assert!(error.to_string().contains("`b`"), "{error}");
        assert!(encode(&[("EOF", "x")], || "EOF".to_owned()).is_err());
    }

    #[test]
    fn a_name_is_a_plain_word() {
        for name in ["", "a=b", "a<<b", "a\nb", "-a", "\u{feff}a", "ä"] {
            let error = encode(&[(name, "x")], || "mark".to_owned()).expect_err(name);
            assert!(matches!(error, RunnerFileError::Name { .. }), "{error}");
        }
        assert!(encode(&[("code-id", "x")], || "mark".to_owned()).is_ok());
    }
}
