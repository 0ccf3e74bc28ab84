//! Signs of life in a CI log: plain lines with their time, and training logs folded into groups.
//!
//! Nothing moves and nothing is coloured: a log is read later, by somebody who scrolls.

use crate::adapters::runner::console::Console;
use crate::model::name::ModelName;
use crate::ports::Clock;
use crate::ports::Progress;
use crate::ports::Tick;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// While nothing else happens, something that takes a while says so this often, in seconds.
const STILL_MOVING_SECONDS: i64 = 60;

/// Lines of a model that wait while another model's group is open, at most.
const WAITING_LINES: usize = 200;

/// The longest that they wait, in seconds.
const WAITING_SECONDS: i64 = 10;

/// Tells a CI log what goes on.
///
/// Training logs of several models come at once and groups do not nest. The lines of one model are shown as they
/// come; those of the others wait for a little, so that each group holds more than a line or two.
pub struct RunnerProgress {
    console: Arc<Console>,
    clock: Arc<dyn Clock>,
    models: Mutex<BTreeMap<ModelName, Lines>>,
}

#[derive(Default)]
struct Lines {
    waiting: Vec<String>,
    /// Seconds since the epoch at which the first of them came.
    since: i64,
    /// When something was last said to move, by what moves.
    moved: BTreeMap<String, i64>,
}

impl RunnerProgress {
    /// Makes one. `clock` gives each line its time, UTC.
    pub fn new(console: Arc<Console>, clock: Arc<dyn Clock>) -> Self {
        Self { console, clock, models: Mutex::new(BTreeMap::new()) }
    }

    /// Prints the lines that still wait, and closes the open group.
    pub fn finish(&self) {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        for (model, lines) in models.iter_mut() {
            self.release(model, lines);
        }
        self.console.end_group();
    }

    fn release(&self, model: &ModelName, lines: &mut Lines) {
        for line in lines.waiting.drain(..) {
            self.console.say_in(&title(model), &line);
        }
    }

    fn log(&self, model: &ModelName, lines: &mut Lines, text: &str) {
        let open = self.console.open_group();
        if open.is_none() || open.as_deref() == Some(title(model).as_str()) {
            self.release(model, lines);
            return self.console.say_in(&title(model), text);
        }
        let now = self.clock.now().as_second();
        if lines.waiting.is_empty() {
            lines.since = now;
        }
        lines.waiting.push(text.to_owned());
        if lines.waiting.len() >= WAITING_LINES || now - lines.since >= WAITING_SECONDS {
            self.release(model, lines);
        }
    }

    fn moves(&self, model: &ModelName, lines: &mut Lines, what: &str, done: u64, total: Option<u64>) {
        let now = self.clock.now().as_second();
        // The first sign is only remembered: most of what moves is over before anybody would ask.
        let last = *lines.moved.entry(what.to_owned()).or_insert(now);
        let ended = total.is_some_and(|total| done >= total);
        if ended {
            lines.moved.remove(what);
        }
        if ended || now - last < STILL_MOVING_SECONDS {
            return;
        }
        lines.moved.insert(what.to_owned(), now);
        let how = match total {
            Some(total) if total > 0 => format!("{} %", u128::from(done) * 100 / u128::from(total)),
            Some(_) | None => format!("{done} s"),
        };
        // Inside of the model's own group, where it is open: a line outside would end it.
        let text = format!("{} {model}: {what}, {how}", self.time());
        if self.console.open_group().as_deref() == Some(title(model).as_str()) {
            self.console.say_in(&title(model), &text);
        } else {
            self.console.say(&text);
        }
    }

    fn time(&self) -> String {
        self.clock.now().strftime("%H:%M:%SZ").to_string()
    }
}

fn title(model: &ModelName) -> String {
    format!("{model}: training log")
}

impl Progress for RunnerProgress {
    fn tick(&self, model: &ModelName, tick: Tick<'_>) {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = models.entry(model.clone()).or_default();
        match tick {
            Tick::Says(text) => {
                self.release(model, lines);
                self.console.say(&format!("{} {model}: {text}", self.time()));
            }
            Tick::LogLine(text) => self.log(model, lines, text),
            Tick::Moves { what, done, total } => self.moves(model, lines, what, done, total),
        }
    }
}
