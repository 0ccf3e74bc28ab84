//! Signs of life on standard error: a moving line on a terminal, plain timed lines elsewhere.

use crate::cli::streams;
use crate::model::name::ModelName;
use crate::ports::Progress;
use crate::ports::Tick;
use crate::report::terminal::plain;
use indicatif::MultiProgress;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Tells people what goes on.
pub struct TerminalProgress {
    bars: Option<MultiProgress>,
    spinners: Mutex<HashMap<ModelName, ProgressBar>>,
    with_log: bool,
}

impl TerminalProgress {
    /// Makes one for this process's standard error. `with_log` also shows what training prints.
    pub fn new(with_log: bool) -> Self {
        let moving = std::io::stderr().is_terminal();
        Self { bars: moving.then(MultiProgress::new), spinners: Mutex::new(HashMap::new()), with_log }
    }

    /// Takes the moving lines away before a report is printed.
    pub fn finish(&self) {
        for (_, spinner) in self.spinners.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            spinner.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            // Nobody can be told that nobody can be told.
            Some(bars) => drop(bars.println(text)),
            None => {
                let now = jiff::Zoned::now().strftime("%H:%M:%S");
                streams::err(&format!("{now} {text}\n"));
            }
        }
    }
}

impl Progress for TerminalProgress {
    fn tick(&self, model: &ModelName, tick: Tick<'_>) {
        match tick {
            Tick::Says(text) => self.line(&format!("{model}: {}", plain(text))),
            Tick::LogLine(text) => {
                if self.with_log {
                    self.line(&format!("{model} | {}", plain(text)));
                }
            }
            Tick::Moves { what, done, total } => {
                let Some(bars) = &self.bars else { return };
                let mut spinners = self.spinners.lock().unwrap_or_else(PoisonError::into_inner);
                let spinner = spinners.entry(model.clone()).or_insert_with(|| {
                    let bar = bars.add(ProgressBar::new_spinner());
                    bar.set_style(
                        ProgressStyle::with_template("{spinner} {msg}")
                            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
                    );
                    bar
                });
                let how = match total {
                    Some(total) if total > 0 => format!("{} %", done.saturating_mul(100) / total),
                    Some(_) | None => format!("{done} s"),
                };
                spinner.set_message(format!("{model}: {what}, {how}"));
                spinner.tick();
            }
        }
    }
}
