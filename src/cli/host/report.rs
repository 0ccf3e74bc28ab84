//! What is told to the host once an outcome is known: the check, the status, the comment, the step's outputs, its
//! summary and its annotations.
//!
//! Nothing here changes a verdict. What cannot be written becomes a warning, and stands in the summary.

use crate::adapters::runner::Annotation;
use crate::adapters::runner::Level;
use crate::adapters::runner::Runner;
use crate::cli::address;
use crate::cli::env_vars;
use crate::cli::failure::Failure;
use crate::cli::failure::FailurePlace;
use crate::cli::host::Host;
use crate::cli::host::annotate;
use crate::cli::host::review;
use crate::cli::host::shared::Line;
use crate::cli::host::shared::Shared;
use crate::cli::step_outputs;
use crate::config::Config;
use crate::config::resolved::Checks;
use crate::config::resolved::ReportAs;
use crate::model::artifact::Artifact;
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
use crate::ports::PullRequest;
use crate::ports::PullRequestState;
use crate::ports::StatusReport;
use crate::ports::StatusState;
use crate::ports::Write;
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

/// How often a check is written at most, where other runs write it at the same time.
const MOST_WRITES: u32 = 3;

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
                let mut of_check = None;
                if matches!(how, ReportAs::Checks | ReportAs::Both) {
                    of_check = self.check(forge.as_ref(), config, commit, &named, about, &context).await;
                }
                if matches!(how, ReportAs::Statuses | ReportAs::Both) {
                    self.status(forge.as_ref(), commit, &named, about, of_check, &context).await;
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
        let address = |artifact: &Artifact| address::of(&self.home, config, artifact);
        let outputs = StepOutputs::of(outcome, None, &address).ending_with(exit);
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
        if let (Some(forge), Some(commit), true) =
            (self.forge().filter(|_| self.may_write), &about.commit, about.pull_request.is_some())
        {
            let check = check_of_failure(failure);
            self.check(forge.as_ref(), None, commit, &check, about, &self.context(about)).await;
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

    /// Writes a check, and returns what it holds now. `None`: it could not be written.
    async fn check(
        &self,
        forge: &dyn Forge,
        config: Option<&Config>,
        commit: &CommitSha,
        check: &NamedCheck,
        about: &About,
        context: &Context,
    ) -> Option<Shared> {
        match self.write_check(forge, config, commit, check, about, context).await {
            Ok(shared) => Some(shared),
            Err(error) => {
                self.warn_of(&error);
                None
            }
        }
    }

    async fn write_check(
        &self,
        forge: &dyn Forge,
        config: Option<&Config>,
        commit: &CommitSha,
        check: &NamedCheck,
        about: &About,
        context: &Context,
    ) -> Result<Shared, PortError> {
        let project = config.map_or_else(String::new, |config| config.project.to_string());
        let mut shared = Shared::default();
        // Another run may write at the same time: whoever looks last finds both, and writes what both said.
        for _ in 0..MOST_WRITES {
            // Written without what it holds, the check would lose what was reviewed: so a failure to read ends it.
            let held = forge.find_check(commit, &check.name).await?;
            let held = held.map(|check| review::shared_of(commit, &check)).unwrap_or_default();
            shared = self.shared(forge, held, check, about).await;
            let report = report_of(commit, check, &shared, about, &project, context);
            let written = forge.put_check(&report).await?;
            if written.write != Write::Created && shared.is_alone(about.pull_request) {
                break;
            }
            let found = forge.find_check(commit, &check.name).await?;
            if found.is_some_and(|found| review::shared_of(commit, &found) == shared) {
                break;
            }
        }
        Ok(shared)
    }

    /// What a check is to hold once this report is in it. Pull requests that are not open any more wait for no answer.
    async fn shared(&self, forge: &dyn Forge, held: Shared, check: &NamedCheck, about: &About) -> Shared {
        let mut shared = held;
        let own = about.pull_request;
        shared.report(own, Line { state: check.state, title: check.text.title.clone() });
        if let (Pin::Now(record), Some(number), true) = (&about.pin, own, check.holds_record) {
            shared.keep(number, record.clone());
        }
        for other in shared.others(own) {
            let waits =
                |pull: &PullRequest| pull.state == PullRequestState::Open && Some(&pull.head) == about.commit.as_ref();
            match forge.pull_request(other).await {
                Ok(pull) if pull.as_ref().is_some_and(waits) => {}
                Ok(_) => shared.forget(other),
                // It counts until it is known that nothing waits for it.
                Err(error) => self.warn_of(&error),
            }
        }
        shared
    }

    async fn status(
        &self,
        forge: &dyn Forge,
        commit: &CommitSha,
        check: &NamedCheck,
        about: &About,
        of_check: Option<Shared>,
        context: &Context,
    ) {
        let mut shown = Line { state: check.state, title: check.text.description.clone() };
        // A status holds no data: what the others were told stands beside the registry, and in the check where there is one.
        match self.reviews().told(commit, &check.name) {
            Ok(told) => {
                let of_check = of_check.map(|shared| shared.render());
                let held = Shared::read(commit, of_check.iter().chain(&told).map(String::as_str));
                let shared = self.shared(forge, held, check, about).await;
                shown = line_shown(&shared, check, about, &check.text.description);
                if let Err(error) = self.reviews().tell(commit, &check.name, &shared.render()) {
                    self.warn_of(&error);
                }
            }
            Err(error) => self.warn_of(&error),
        }
        let report = StatusReport {
            commit: commit.clone(),
            context: check.name.clone(),
            state: match shown.state {
                CheckState::InProgress => StatusState::Pending,
                CheckState::Completed(CheckConclusion::Success | CheckConclusion::Neutral) => StatusState::Success,
                CheckState::Completed(CheckConclusion::Failure | CheckConclusion::ActionRequired) => {
                    StatusState::Failure
                }
                CheckState::Completed(CheckConclusion::Cancelled) => StatusState::Error,
            },
            description: limit::line(&shown.title, limit::STATUS_DESCRIPTION),
            target_url: context.run_url.clone(),
        };
        if let Err(error) = forge.put_status(&report).await {
            self.warn_of(&error);
        }
    }
}

/// The check of a failure before any verdict.
fn check_of_failure(failure: &Failure) -> NamedCheck {
    let title = limit::line(&sentence(failure), limit::ANNOTATION_TITLE);
    NamedCheck {
        name: CHECK_NAME.to_owned(),
        state: CheckState::Completed(CheckConclusion::Failure),
        text: CheckText {
            description: limit::line(&title, limit::STATUS_DESCRIPTION),
            title,
            summary: limit::markdown(&text_of(failure), limit::CHECK_TEXT, None),
            text: String::new(),
        },
        notes: failure.places.iter().filter_map(note).collect(),
        holds_record: true,
    }
}

/// How a check, or a status, is shown: by its own report, or by the pull request that says the worst.
fn line_shown(shared: &Shared, check: &NamedCheck, about: &About, title: &str) -> Line {
    match shared.shown() {
        Some((Some(of), line)) if Some(of) != about.pull_request => {
            Line { state: line.state, title: format!("#{of}: {}", line.title) }
        }
        _ => Line { state: check.state, title: title.to_owned() },
    }
}

/// Makes the report of a check that several may look at.
fn report_of(
    commit: &CommitSha,
    check: &NamedCheck,
    shared: &Shared,
    about: &About,
    project: &str,
    context: &Context,
) -> CheckReport {
    let shown = line_shown(shared, check, about, &check.text.title);
    let summary = if shown.title == check.text.title {
        check.text.summary.clone()
    } else {
        let whose =
            about.pull_request.map_or_else(|| "the push".to_owned(), |number| format!("pull request #{number}"));
        let title = escape::markdown_text(&shown.title);
        let summary = &check.text.summary;
        let text = format!(
            "**{title}**\n\nSeveral pull requests share this check. The report below is about {whose}.\n\n{summary}"
        );
        limit::markdown(&text, limit::CHECK_TEXT, context.run_url.as_deref())
    };
    let data = shared.render();
    let room = Limit { size: limit::CHECK_TEXT.size.saturating_sub(data.len() + 2), ..limit::CHECK_TEXT };
    let mut text = limit::markdown(&check.text.text, room, context.run_url.as_deref());
    text.push_str("\n\n");
    text.push_str(&data);
    CheckReport {
        commit: commit.clone(),
        name: check.name.clone(),
        external_id: project.chars().take(100).collect(),
        state: shown.state,
        title: limit::line(&shown.title, limit::ANNOTATION_TITLE),
        summary,
        text: Some(text),
        details_url: context.run_url.clone(),
        annotations: check.notes.clone(),
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
