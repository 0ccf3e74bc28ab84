//! The step's log: lines, groups, annotations and masks, one after another in one stream.
//!
//! Everything that may hold foreign text is made neutral here, so that only this file's own commands are commands.
//! One stream is used for all of it, because the runner reads the two streams side by side: a group on one would
//! open before or after the lines of the other.

use crate::adapters::runner::command;
use crate::adapters::runner::command::Annotation;
use crate::adapters::runner::command::Level;
use crate::adapters::runner::foreign::log_line;
use crate::model::variables;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// The runner keeps this many annotations of each level from one step, and drops the others in silence.
pub const ANNOTATIONS_PER_LEVEL: u32 = 10;

/// Shorter texts are never masked: hiding `dev` would blank half of every log and drop outputs that hold it.
pub const SHORTEST_MASK: usize = 8;

/// The step's log.
pub struct Console {
    state: Mutex<State>,
    debug: bool,
}

struct State {
    out: Box<dyn Write + Send>,
    group: Option<String>,
    annotated: BTreeMap<Level, u32>,
    warned_of_old_commands: bool,
}

impl Console {
    /// Writes to a stream that the runner reads. `debug` also writes lines for people who look for faults.
    pub fn new(out: Box<dyn Write + Send>, debug: bool) -> Self {
        let state = State { out, group: None, annotated: BTreeMap::new(), warned_of_old_commands: false };
        Self { state: Mutex::new(state), debug }
    }

    /// Prints text as lines outside of any group.
    pub fn say(&self, text: &str) {
        let mut state = self.state();
        state.leave_group();
        state.lines(text);
    }

    /// Prints text as lines of a group. Groups do not nest: the one that is open is closed first, unless it is the
    /// very same.
    pub fn say_in(&self, group: &str, text: &str) {
        let mut state = self.state();
        if state.group.as_deref() != Some(group) {
            state.leave_group();
            state.command(&command::group(&log_line(group)));
            state.group = Some(group.to_owned());
        }
        state.lines(text);
    }

    /// Tells which group is open.
    pub fn open_group(&self) -> Option<String> {
        self.state().group.clone()
    }

    /// Closes the open group.
    pub fn end_group(&self) {
        self.state().leave_group();
    }

    /// Shows an annotation. Of those that the runner would drop, the text is printed as lines; returns whether this
    /// one counts as shown.
    pub fn annotate(&self, annotation: &Annotation) -> bool {
        let mut state = self.state();
        let count = state.annotated.entry(annotation.level).or_default();
        *count += 1;
        let shown = *count <= ANNOTATIONS_PER_LEVEL;
        if shown {
            let lines: Vec<String> = annotation.message.lines().map(crate::report::terminal::plain).collect();
            let plain = Annotation {
                message: lines.join("\n"),
                title: annotation.title.as_deref().map(crate::report::terminal::plain),
                ..annotation.clone()
            };
            state.command(&plain.command());
        } else {
            let place = annotation.file.as_ref().map_or_else(String::new, |file| match annotation.line {
                Some(line) => format!(" {file}:{line}:"),
                None => format!(" {file}:"),
            });
            state.lines(&format!("{}:{place} {}", annotation.level, annotation.message));
        }
        shown
    }

    /// Hides a secret from everything that is printed from now on, each of its lines by itself. Returns whether all
    /// of it is hidden: a line shorter than [`SHORTEST_MASK`] never is.
    pub fn mask(&self, secret: &str) -> bool {
        let mut state = self.state();
        let mut all = !secret.trim().is_empty();
        for line in secret.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()) {
            if line.chars().count() < SHORTEST_MASK {
                all = false;
            } else {
                state.command(&command::add_mask(line));
            }
        }
        all
    }

    /// Prints a line that only shows where debug logging is on.
    pub fn debug(&self, text: &str) {
        if self.debug {
            self.state().command(&command::debug(&log_line(text)));
        }
    }

    /// Warns, once, that somebody brought the old commands back, with which any printed line can set variables.
    pub fn warn_of_old_commands(&self) {
        if std::mem::replace(&mut self.state().warned_of_old_commands, true) {
            return;
        }
        self.annotate(
            &Annotation::new(
                Level::Warning,
                format!(
                    "{} is set: any line that a program in this job prints can set variables and paths of later steps. Remove it from the workflow or the runner.",
                    variables::ACTIONS_ALLOW_UNSECURE_COMMANDS
                ),
            )
            .titled("unsafe runner setting"),
        );
    }

    /// Closes what is open, and says how many annotations the runner would have dropped.
    pub fn finish(&self) {
        let mut state = self.state();
        state.leave_group();
        let dropped: Vec<String> = std::mem::take(&mut state.annotated)
            .into_iter()
            .filter(|(_, count)| *count > ANNOTATIONS_PER_LEVEL)
            .map(|(level, count)| format!("{} of level {level}", count - ANNOTATIONS_PER_LEVEL))
            .collect();
        if !dropped.is_empty() {
            state.lines(&format!(
                "not shown as annotations, because the runner keeps {ANNOTATIONS_PER_LEVEL} of each level: {}; they are in the log above",
                dropped.join(", ")
            ));
        }
        // Nobody can be told that nobody can be told.
        drop(state.out.flush());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn leave_group(&mut self) {
        if self.group.take().is_some() {
            self.command(command::END_GROUP);
        }
    }

    fn lines(&mut self, text: &str) {
        for line in text.lines() {
            self.write(&log_line(line));
        }
    }

    fn command(&mut self, command: &str) {
        self.write(command);
    }

    /// One write for each line, so that lines of several threads and streams stay whole.
    fn write(&mut self, line: &str) {
        drop(self.out.write_all(format!("{line}\n").as_bytes()));
    }
}
