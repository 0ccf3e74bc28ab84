//! What is told to the host once an outcome is known: the check, the status, the comment, the step's outputs, its
//! summary and its annotations.
//!
//! Nothing here changes a verdict. What cannot be written becomes a warning, and stands in the summary.

use crate::adapters::runner::Annotation;
use crate::adapters::runner::Level;
use crate::adapters::runner::Runner;
use crate::cli::env_vars;
use crate::cli::failure::Failure;
use crate::cli::failure::FailurePlace;
use crate::cli::host::Host;
use crate::cli::host::annotate;
use crate::cli::host::review;
use crate::cli::step_outputs;
use crate::config::Config;
use crate::config::resolved::Checks;
use crate::config::resolved::ReportAs;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::review::ReviewRecord;
use crate::model::verdict::Verdict;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::outcome::check_conclusion;
use crate::plan::reason::Reason;
use crate::ports;
use crate::ports::AnnotationLevel;
use crate::ports::CheckConclusion;
use crate::ports::CheckReport;
use crate::ports::CheckState;
use crate::ports::Forge;
use crate::ports::PortError;
use crate::ports::StatusReport;
use crate::ports::StatusState;
use crate::report::escape;
use crate::report::limit;
use crate::report::limit::Limit;
use crate::report::markdown;
use crate::report::markdown::CheckText;
use crate::report::markdown::Context;
use crate::report::outputs::StepOutputs;

/// The name of our check and of our commit status: what a branch protection can require.
pub const CHECK_NAME: &str = "branchline";

/// The key of our comment on a pull request.
const COMMENT_KEY: &str = "branchline";

/// What a report is about.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The commit that checks belong to. `None`: none is written.
    pub commit: Option<CommitSha>,
    /// The pull request whose comment is kept.
    pub pull_request: Option<u64>,
    /// The branch that was pushed, or that a pull request goes into.
    pub base: Option<BranchName>,
    /// The branch that a pull request comes from.
    pub head: Option<BranchName>,
    /// Who caused it.
    pub actor: Option<String>,
    /// What the review has pinned, where a check is to hold it.
    pub pin: Pin,
}

/// What becomes of the review record in a check that is written anew.
#[derive(Debug, Clone, Default)]
pub enum Pin {
    /// It stays as it was: the report is not about the pull request's review.
    #[default]
    AsItWas,
    /// It is this one now.
    Now(Option<ReviewRecord>),
}

impl Pin {
    /// Returns the record, where this report knows it.
    fn record(&self) -> Option<&ReviewRecord> {
        match self {
            Self::AsItWas => None,
            Self::Now(record) => record.as_ref(),
        }
    }
}

impl Host {
    /// Reports to the people who look at the commit and the pull request.
    ///
    /// `config`: the rules, where they are known. Without them the report is a check.
    pub async fn publish(&self, config: Option<&Config>, outcome: &Outcome, about: &About) {
        let Some(forge) = self.forge().filter(|_| self.may_write) else { return };
        let how = config.map_or(ReportAs::Checks, |config| config.report);
        let context = self.context(about);
        if let Some(commit) = &about.commit {
            for named in self.named_checks(config, outcome, &context) {
                if matches!(how, ReportAs::Checks | ReportAs::Both) {
                    self.check(forge.as_ref(), config, commit, &named, about, &context).await;
                }
                if matches!(how, ReportAs::Statuses | ReportAs::Both) {
                    self.status(forge.as_ref(), commit, &named, &context).await;
                }
            }
        }
        if let (Some(config), Some(record)) = (config, about.pin.record())
            && let Err(error) = self.keep_record(config, record)
        {
            self.warn_of(&error);
        }
        if let (Some(number), false) = (about.pull_request, how == ReportAs::None) {
            let body = markdown::comment(outcome, &context);
            if let Err(error) = forge.put_comment(number, COMMENT_KEY, &body).await {
                self.warn_of(&error);
            }
        }
    }

    /// Tells the step itself: outputs, annotations and the summary. Last, because the summary names the warnings.
    ///
    /// `exit`: the code that this command ends with.
    pub fn tell_step(&self, config: Option<&Config>, outcome: &Outcome, exit: u8, about: &About) {
        let (Some(runner), Some(console)) = (&self.runner, &self.console) else { return };
        let outputs = StepOutputs::of(outcome, None).ending_with(exit);
        if let Some(sentence) = outputs.sentence() {
            self.warn(&sentence);
        }
        if let Err(error) = step_outputs::write(runner, &outputs) {
            self.warn(&chain(&error));
        }
        if outcome.verdict.badness() >= Verdict::Blocked.badness() && outcome.verdict != Verdict::Cancelled {
            let pointed = config.map(|config| annotate::pointed(config, outcome)).unwrap_or_default();
            for place in &pointed {
                let annotation = Annotation::new(Level::Error, &place.message).titled(&place.title);
                console.annotate(&annotation.at(&place.file, u32::try_from(place.line).ok(), None));
            }
            if pointed.is_empty() {
                let headline = markdown::headline(outcome);
                console.annotate(&Annotation::new(Level::Error, headline).titled("Branchline"));
            }
        }
        let mut summary = markdown::summary(outcome, &self.context(about));
        for warning in self.warnings() {
            let text = crate::report::escape::markdown_text(&warning);
            summary.push_str(&format!("\n> **Warning:** {text}\n"));
        }
        if let Err(error) = runner.files().append_summary(&summary, None) {
            self.warn(&chain(&error));
        }
        console.finish();
    }

    /// Tells that the event itself could not be read, before anything is known of the host.
    pub fn tell_of_failure(failure: &Failure) {
        if let Some(runner) = Runner::from_lookup(env_vars::get) {
            let console = runner.console(Box::new(std::io::stdout()));
            console.annotate(&Annotation::new(Level::Error, sentence(failure)).titled("Branchline"));
            if let Err(error) = runner.files().append_summary(&could_not_begin(failure), None) {
                console.annotate(&Annotation::new(Level::Warning, chain(&error)).titled("Branchline"));
            }
            console.finish();
        }
    }

    /// Tells whether our report on a commit says that something goes on.
    pub async fn is_open(&self, config: &Config, commit: &CommitSha) -> Result<bool, PortError> {
        let Some(forge) = self.forge().filter(|_| self.may_write) else { return Ok(false) };
        Ok(match config.report {
            ReportAs::Checks | ReportAs::Both => forge
                .find_check(commit, CHECK_NAME)
                .await?
                .is_some_and(|check| check.state == Some(CheckState::InProgress)),
            ReportAs::Statuses => {
                forge.find_status(commit, CHECK_NAME).await?.is_some_and(|status| status.state == StatusState::Pending)
            }
            ReportAs::None => false,
        })
    }

    /// Reports a failure before any verdict: as annotations, in the summary and, for a pull request, as a check.
    pub async fn report_failure(&self, failure: &Failure, about: &About) {
        let (Some(runner), Some(console)) = (&self.runner, &self.console) else { return };
        for place in &failure.places {
            let line = u32::try_from(place.line).ok();
            console.annotate(&Annotation::new(Level::Error, &place.message).titled("Branchline").at(
                &place.file,
                line,
                None,
            ));
        }
        if failure.places.is_empty() {
            console.annotate(&Annotation::new(Level::Error, sentence(failure)).titled("Branchline"));
        }
        let summary = text_of(failure);
        if let (Some(forge), Some(commit), true) =
            (self.forge().filter(|_| self.may_write), &about.commit, about.pull_request.is_some())
        {
            let report = CheckReport {
                commit: commit.clone(),
                name: CHECK_NAME.to_owned(),
                external_id: String::new(),
                state: CheckState::Completed(CheckConclusion::Failure),
                title: limit::line(&sentence(failure), limit::ANNOTATION_TITLE),
                summary: limit::markdown(&summary, limit::CHECK_TEXT, None),
                text: None,
                details_url: runner.run_url().map(str::to_owned),
                annotations: failure.places.iter().filter_map(note).collect(),
            };
            if let Err(error) = forge.put_check(&report).await {
                self.warn_of(&error);
            }
        }
        if let Err(error) = runner.files().append_summary(&could_not_begin(failure), None) {
            self.warn(&chain(&error));
        }
        console.finish();
    }

    /// Prints the report where people read the log.
    pub fn print(&self, text: &str) -> bool {
        match &self.console {
            Some(console) => {
                console.end_group();
                console.say(text);
                true
            }
            None => false,
        }
    }

    /// Returns what a Markdown report can say and link beside its outcome.
    pub fn context(&self, about: &About) -> Context {
        Context {
            repository: self.repository.clone(),
            server_url: self.server_url.clone(),
            run_url: self.runner.as_ref().and_then(|runner| runner.run_url().map(str::to_owned)),
            commit: about.commit.clone(),
            actor: about.actor.clone(),
            pull_request: about.pull_request,
            base: about.base.clone(),
            head: about.head.clone(),
            review: about.pin.record().cloned(),
        }
    }

    fn named_checks(&self, config: Option<&Config>, outcome: &Outcome, context: &Context) -> Vec<NamedCheck> {
        let mut checks = vec![NamedCheck {
            name: CHECK_NAME.to_owned(),
            state: state(outcome.verdict, outcome.models.iter().flat_map(|model| &model.reasons)),
            text: markdown::check(outcome, context),
            notes: config.map(|config| notes(config, outcome)).unwrap_or_default(),
            holds_record: true,
        }];
        if config.is_some_and(|config| config.checks == Checks::PerModel) {
            checks.extend(outcome.models.iter().map(|model: &ModelOutcome| NamedCheck {
                name: format!("{CHECK_NAME} / {}", model.model),
                state: state(model.verdict, &model.reasons),
                text: markdown::model_check(outcome, model, context),
                notes: Vec::new(),
                holds_record: false,
            }));
        }
        checks
    }

    async fn check(
        &self,
        forge: &dyn Forge,
        config: Option<&Config>,
        commit: &CommitSha,
        check: &NamedCheck,
        about: &About,
        context: &Context,
    ) {
        let record = match self.record_for(forge, commit, check, about).await {
            Ok(record) => record.as_ref().map(review::render).unwrap_or_default(),
            // Written without the record, the check would lose what was reviewed.
            Err(error) => return self.warn_of(&error),
        };
        let room = Limit { size: limit::CHECK_TEXT.size.saturating_sub(record.len() + 2), ..limit::CHECK_TEXT };
        let mut text = limit::markdown(&check.text.text, room, context.run_url.as_deref());
        if !record.is_empty() {
            text.push_str("\n\n");
            text.push_str(&record);
        }
        let project = config.map_or_else(String::new, |config| config.project.to_string());
        let report = CheckReport {
            commit: commit.clone(),
            name: check.name.clone(),
            external_id: project.chars().take(100).collect(),
            state: check.state,
            title: check.text.title.clone(),
            summary: check.text.summary.clone(),
            text: (!text.trim().is_empty()).then_some(text),
            details_url: context.run_url.clone(),
            annotations: check.notes.clone(),
        };
        if let Err(error) = forge.put_check(&report).await {
            self.warn_of(&error);
        }
    }

    /// The record that a check is to hold. One check on a commit serves its push and its pull request.
    async fn record_for(
        &self,
        forge: &dyn Forge,
        commit: &CommitSha,
        check: &NamedCheck,
        about: &About,
    ) -> Result<Option<ReviewRecord>, PortError> {
        match &about.pin {
            _ if !check.holds_record => Ok(None),
            Pin::Now(record) => Ok(record.clone()),
            Pin::AsItWas => {
                let found = forge.find_check(commit, CHECK_NAME).await?;
                Ok(found.and_then(|found| review::parse(found.text.as_deref()?)))
            }
        }
    }

    async fn status(&self, forge: &dyn Forge, commit: &CommitSha, check: &NamedCheck, context: &Context) {
        let report = StatusReport {
            commit: commit.clone(),
            context: check.name.clone(),
            state: match check.state {
                CheckState::InProgress => StatusState::Pending,
                CheckState::Completed(CheckConclusion::Success | CheckConclusion::Neutral) => StatusState::Success,
                CheckState::Completed(CheckConclusion::Failure | CheckConclusion::ActionRequired) => {
                    StatusState::Failure
                }
                CheckState::Completed(CheckConclusion::Cancelled) => StatusState::Error,
            },
            description: check.text.description.clone(),
            target_url: context.run_url.clone(),
        };
        if let Err(error) = forge.put_status(&report).await {
            self.warn_of(&error);
        }
    }
}

struct NamedCheck {
    name: String,
    state: CheckState,
    text: CheckText,
    notes: Vec<ports::Annotation>,
    holds_record: bool,
}

/// How a check stands for a verdict. What goes on without this run stays in progress: a later run completes it.
fn state<'a>(verdict: Verdict, reasons: impl IntoIterator<Item = &'a Reason>) -> CheckState {
    let goes_on =
        reasons.into_iter().any(|reason| matches!(reason, Reason::Cancelled { left, .. } if !left.is_empty()));
    match check_conclusion(verdict) {
        Some("cancelled") if goes_on => CheckState::InProgress,
        Some("success") => CheckState::Completed(CheckConclusion::Success),
        Some("neutral") => CheckState::Completed(CheckConclusion::Neutral),
        Some("cancelled") => CheckState::Completed(CheckConclusion::Cancelled),
        Some(_) => CheckState::Completed(CheckConclusion::Failure),
        None => CheckState::InProgress,
    }
}

fn notes(config: &Config, outcome: &Outcome) -> Vec<ports::Annotation> {
    if outcome.verdict.badness() < Verdict::Blocked.badness() {
        return Vec::new();
    }
    annotate::pointed(config, outcome)
        .into_iter()
        .filter_map(|place| {
            let line = u32::try_from(place.line).ok()?;
            Some(ports::Annotation {
                path: place.file,
                start_line: line,
                end_line: line,
                level: AnnotationLevel::Failure,
                title: Some(limit::line(&place.title, limit::ANNOTATION_TITLE)),
                message: limit::markdown(&place.message, limit::ANNOTATION_MESSAGE, None),
            })
        })
        .collect()
}

fn note(place: &FailurePlace) -> Option<ports::Annotation> {
    let line = u32::try_from(place.line).ok()?;
    Some(ports::Annotation {
        path: place.file.clone(),
        start_line: line,
        end_line: line,
        level: AnnotationLevel::Failure,
        title: None,
        message: limit::markdown(&place.message, limit::ANNOTATION_MESSAGE, None),
    })
}

/// The failure and its next moves, as Markdown.
fn text_of(failure: &Failure) -> String {
    let mut text = format!("{}\n", escape::code_block(&failure.text, "text"));
    for hint in &failure.hints {
        text.push_str(&format!("\n- {}\n", escape::markdown_text(hint)));
    }
    text
}

fn could_not_begin(failure: &Failure) -> String {
    format!("### Branchline could not begin\n\n{}", text_of(failure))
}

/// The failure and its next moves, in one line.
fn sentence(failure: &Failure) -> String {
    let first = failure.text.lines().next().unwrap_or_default().to_owned();
    failure.hints.iter().fold(first, |text, hint| format!("{text} -> {hint}"))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
