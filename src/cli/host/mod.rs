//! The CI host as this run knows it: the runner that it is a step of, the forge that it may ask and report to, and
//! who may be told what.
//!
//! Outside of GitHub Actions both are absent, and everything here does nothing. A host that cannot be reached or
//! lacks a permission never decides a verdict, unless the rules asked a question that only it can answer: it
//! becomes a warning, and the report stands in the job's summary.

mod annotate;
mod permission;
mod report;
mod review;
mod shared;

pub use permission::Judged;
pub use report::About;
pub use report::Pin;
pub use review::record;

use crate::adapters::github::GitHub;
use crate::adapters::github::GitHubSettings;
use crate::adapters::github::Patience;
use crate::adapters::github::TimeLimits;
use crate::adapters::network::Network;
use crate::adapters::runner::Annotation;
use crate::adapters::runner::Console;
use crate::adapters::runner::Level;
use crate::adapters::runner::Runner;
use crate::adapters::runner::RunnerProgress;
use crate::adapters::system::SystemClock;
use crate::cli::compose::Place;
use crate::cli::env_vars;
use crate::cli::failure::Failure;
use crate::cli::notice;
use crate::cli::progress::TerminalProgress;
use crate::event::Event;
use crate::event::Job;
use crate::event::RepositorySlug;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::secret::Secret;
use crate::model::variables;
use crate::ports::Forge;
use crate::ports::PortError;
use crate::ports::Progress;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Where the program's token is said to be.
const TOKEN_LINE: &str = "give the step one: `with: { token: ${{ github.token }} }`, which is the Action's default";

/// What the host of the repository is to this run.
pub struct Host {
    forge: Option<Arc<dyn Forge>>,
    runner: Option<Runner>,
    console: Option<Arc<Console>>,
    /// `owner/name`.
    repository: Option<String>,
    server_url: Option<String>,
    /// Whether anything may be written because of the event.
    may_write: bool,
    /// Where records are kept that no check can hold.
    home: PathBuf,
    warned: Mutex<BTreeSet<String>>,
}

/// What stays on the screen while a run goes on, and must be ended before its report.
pub enum Shown {
    /// Moving lines on a terminal.
    Terminal(Arc<TerminalProgress>),
    /// Lines and groups of a CI log.
    Runner(Arc<RunnerProgress>),
}

impl Shown {
    /// Returns it as the loop needs it.
    pub fn progress(&self) -> Arc<dyn Progress> {
        match self {
            Self::Terminal(progress) => progress.clone(),
            Self::Runner(progress) => progress.clone(),
        }
    }

    /// Takes moving lines away, prints what still waits.
    pub fn finish(&self) {
        match self {
            Self::Terminal(progress) => progress.finish(),
            Self::Runner(progress) => progress.finish(),
        }
    }
}

impl Host {
    /// Finds out what the host is. Nothing is sent yet.
    ///
    /// `document`: standard output is for JSON or Markdown alone, so the log goes to standard error, which the runner
    /// reads in the same way.
    pub async fn of(event: &Event, home: PathBuf, document: bool) -> Self {
        Self::told(event.repository.as_ref(), event.trust.may_write(), home, document).await
    }

    /// Finds out what the host is to a command of the command line.
    pub async fn of_job(job: Option<&Job>, home: PathBuf, document: bool) -> Self {
        let may_write = job.is_none_or(|job| job.trust.may_write());
        Self::told(job.and_then(|job| job.repository.as_ref()), may_write, home, document).await
    }

    async fn told(repository: Option<&RepositorySlug>, may_write: bool, home: PathBuf, document: bool) -> Self {
        let runner = Runner::from_lookup(env_vars::get);
        let log = || -> Box<dyn Write + Send> {
            if document { Box::new(std::io::stderr()) } else { Box::new(std::io::stdout()) }
        };
        let console = runner.as_ref().map(|runner| Arc::new(runner.console(log())));
        let repository =
            repository.map(|slug| slug.as_str().to_owned()).or_else(|| env_vars::get(variables::GITHUB_REPOSITORY));
        let mut host = Self {
            forge: None,
            runner,
            console,
            repository,
            server_url: env_vars::get(variables::GITHUB_SERVER_URL),
            may_write,
            home,
            warned: Mutex::new(BTreeSet::new()),
        };
        if host.runner.is_some() {
            host.connect().await;
        }
        host
    }

    async fn connect(&mut self) {
        let (Some(repository), Some(api_url)) = (self.repository.clone(), env_vars::get(variables::GITHUB_API_URL))
        else {
            self.warn(
                "the runner does not say which repository or API this is about: no check and no comment is written",
            );
            return;
        };
        let token = env_vars::get(variables::GITHUB_TOKEN);
        if let (Some(console), Some(token)) = (&self.console, &token) {
            console.mask(token);
        }
        let Some(token) = token else {
            self.warn(&format!("there is no token, so no check and no comment is written; {TOKEN_LINE}"));
            return;
        };
        let settings = GitHubSettings {
            api_url,
            repository,
            token: Some(Secret::new(token)),
            author: None,
            network: Network::from_variables(env_vars::get),
            time_limits: TimeLimits::default(),
            patience: Patience::default(),
        };
        match GitHub::connect(settings, Arc::new(SystemClock)).await {
            Ok(forge) => self.forge = Some(Arc::new(forge)),
            Err(error) => self.warn_of(&error),
        }
    }

    /// Returns the forge, where there is one that may be asked.
    pub fn forge(&self) -> Option<&Arc<dyn Forge>> {
        self.forge.as_ref()
    }

    /// Returns the head of a branch, read now: from the forge where there is one, else from the checkout.
    pub async fn branch_head(&self, place: &Place, branch: &BranchName) -> Result<CommitSha, Failure> {
        let known = match self.forge() {
            Some(forge) => forge.branch_head(branch).await.map_err(|error| Failure::port(&error))?,
            None => None,
        };
        let head = match known {
            Some(head) => Some(head),
            None => place.git.branch_head(branch, place.heads()).map_err(|error| Failure::git(&error))?,
        };
        head.ok_or_else(|| Failure::usage(format!("there is no branch {branch}")))
    }

    /// Tells whether this is a step of a GitHub Actions job.
    pub fn is_runner(&self) -> bool {
        self.runner.is_some()
    }

    /// Begins to show what goes on.
    pub fn show_progress(&self) -> Shown {
        match &self.console {
            Some(console) => Shown::Runner(Arc::new(RunnerProgress::new(Arc::clone(console), Arc::new(SystemClock)))),
            None => Shown::Terminal(Arc::new(TerminalProgress::new(true))),
        }
    }

    /// Says something that went wrong beside the work, once.
    pub fn warn(&self, text: &str) {
        if !self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned()) {
            return;
        }
        match &self.console {
            Some(console) => {
                console.annotate(&Annotation::new(Level::Warning, text).titled("Branchline"));
            }
            None => notice(&format!("warning: {text}")),
        }
    }

    /// Says that the host could not be asked or told something, with the way out. What has the same way out is
    /// said once: a missing permission stands in the way of many requests.
    pub fn warn_of(&self, error: &PortError) {
        let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!(". {hint}"));
        let said = error.kind.is_denial()
            && !hint.is_empty()
            && self.warned.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|text| text.ends_with(&hint));
        if !said {
            self.warn(&format!("{}{hint}", error.chain()));
        }
    }

    /// Returns what was warned of, for the summary.
    fn warnings(&self) -> Vec<String> {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
