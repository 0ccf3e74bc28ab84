//! The CI runner: the one place, beside the command line, that writes to its log and its files.
//!
//! Deliberately absent: reading the environment (`cli::env_vars` hands in a look-up), what the texts say (`report`),
//! and any other CI host: those get plain text.

mod command;
mod console;
mod files;
mod foreign;
mod progress;

pub use command::Annotation;
pub use command::Level;
pub use console::ANNOTATIONS_PER_LEVEL;
pub use console::Console;
pub use console::SHORTEST_MASK;
pub use files::RunnerFileError;
pub use files::RunnerFiles;
pub use files::SummaryWritten;
pub use foreign::LINE_LIMIT;
pub use foreign::NeutralWriter;
pub use foreign::log_line;
pub use foreign::neutral;
pub use progress::RunnerProgress;

use crate::model::variables;
use std::io::Write;

/// Whose machine a job runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hosting {
    /// GitHub's own: deleted after the job, with everything that was written on it.
    GitHub,
    /// Somebody's own.
    SelfHosted,
    /// The runner does not say.
    Unknown,
}

/// The runner that this process is a step of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    files: RunnerFiles,
    hosting: Hosting,
    debug: bool,
    old_commands: bool,
    run_url: Option<String>,
}

impl Runner {
    /// Takes what a look-up of variables knows. `None` where this is not GitHub Actions.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        if get(variables::GITHUB_ACTIONS)? != "true" {
            return None;
        }
        let hosting = match get(variables::RUNNER_ENVIRONMENT).as_deref() {
            Some("github-hosted") => Hosting::GitHub,
            Some("self-hosted") => Hosting::SelfHosted,
            Some(_) | None => Hosting::Unknown,
        };
        let attempt = get(variables::GITHUB_RUN_ATTEMPT);
        let run_url =
            match (get(variables::GITHUB_SERVER_URL), get(variables::GITHUB_REPOSITORY), get(variables::GITHUB_RUN_ID))
            {
                (Some(server), Some(repository), Some(run)) => {
                    let attempt = attempt.map_or_else(String::new, |attempt| format!("/attempts/{attempt}"));
                    Some(format!("{server}/{repository}/actions/runs/{run}{attempt}"))
                }
                _ => None,
            };
        Some(Self {
            files: RunnerFiles::from_lookup(get),
            hosting,
            debug: get(variables::RUNNER_DEBUG).as_deref() == Some("1"),
            old_commands: get(variables::ACTIONS_ALLOW_UNSECURE_COMMANDS)
                .is_some_and(|value| !value.trim().eq_ignore_ascii_case("false")),
            run_url,
        })
    }

    /// Tells whose machine this is.
    pub fn hosted(&self) -> Hosting {
        self.hosting
    }

    /// Tells whether somebody asked for debug logging.
    pub fn debug(&self) -> bool {
        self.debug
    }

    /// Returns the files of this step.
    pub fn files(&self) -> &RunnerFiles {
        &self.files
    }

    /// Returns the address of this attempt of the run, whose page shows the summary.
    pub fn run_url(&self) -> Option<&str> {
        self.run_url.as_deref()
    }

    /// Opens the log on a stream that the runner reads, and warns where the old commands are switched on.
    pub fn console(&self, out: Box<dyn Write + Send>) -> Console {
        let console = Console::new(out, self.debug);
        if self.old_commands {
            console.warn_of_old_commands();
        }
        console
    }
}
