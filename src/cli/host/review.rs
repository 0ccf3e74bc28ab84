//! The review record on its way: read from our check on a pull request's head (or beside the registry, where checks
//! are not written), made of a prediction, and handed to the promotion that it binds.

use crate::adapters::local::reviews::LocalReviews;
use crate::cli::host::Host;
use crate::cli::host::report::CHECK_NAME;
use crate::config::Config;
use crate::config::resolved::ReportAs;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::review::REVIEW_SCHEMA;
use crate::model::review::Review;
use crate::model::review::ReviewRecord;
use crate::model::review::Reviewed;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::plan::goal::Aim;
use crate::plan::goal::Task;
use crate::plan::step::Step;
use crate::ports::PortError;
use crate::ports::PullRequestState;

/// Opens the data in a check's text. An HTML comment: people do not see it.
const OPEN: &str = "<!-- branchline:review ";
const CLOSE: &str = " -->";

impl Host {
    /// Tells promotions of a pushed commit what its pull request showed.
    ///
    /// A failure to find out is an error where the rules demand a review, else a warning: then nothing was reviewed.
    pub async fn bind_reviews(
        &self,
        config: &Config,
        branch: &BranchName,
        commit: &CommitSha,
        tasks: &mut [Task],
    ) -> Result<(), PortError> {
        if !self.is_runner() || !tasks.iter().any(|task| matches!(task.goal.aim, Aim::Promote { .. })) {
            return Ok(());
        }
        let found = match self.reviewed_by(config, branch, commit).await {
            Err(error) if config.require_review => return Err(error),
            Err(error) => {
                self.warn_of(&error);
                Err("the host could not be asked".to_owned())
            }
            Ok(found) => found,
        };
        for task in tasks {
            if let Aim::Promote { review, .. } = &mut task.goal.aim {
                *review = match &found {
                    Err(why) => Review::None { why: why.clone() },
                    Ok(record) => {
                        task.goal.by.pull_request = Some(record.pull_request);
                        match record.of(&task.rules.model) {
                            Some(reviewed) => {
                                Review::Recorded { pull_request: record.pull_request, reviewed: reviewed.clone() }
                            }
                            None => Review::None {
                                why: format!(
                                    "the report of pull request #{} named no version of it",
                                    record.pull_request
                                ),
                            },
                        }
                    }
                };
            }
        }
        Ok(())
    }

    /// Finds the record of the pull request that brought a commit to a branch; or says why there is none.
    async fn reviewed_by(
        &self,
        config: &Config,
        branch: &BranchName,
        commit: &CommitSha,
    ) -> Result<Result<ReviewRecord, String>, PortError> {
        let Some(forge) = self.forge() else { return Ok(Err("there is no token to ask GitHub with".to_owned())) };
        let mut pulls = forge.pull_requests_of_commit(commit).await?;
        pulls.retain(|pull| &pull.base_branch == branch && pull.state != PullRequestState::Closed);
        // Merged ones first: an open one only happens to contain the commit.
        pulls.sort_by_key(|pull| pull.state != PullRequestState::Merged);
        if pulls.is_empty() {
            return Ok(Err(format!("no pull request brought commit {} to {branch}", commit.short())));
        }
        for pull in &pulls {
            if let Some(record) = self.record_of(config, pull.number, &pull.head).await? {
                return Ok(Ok(record));
            }
        }
        let numbers: Vec<String> = pulls.iter().map(|pull| format!("#{}", pull.number)).collect();
        Ok(Err(format!("the report of pull request {} named no version", numbers.join(", "))))
    }

    /// Returns what was pinned for a head, where its report has named a version already.
    pub async fn record_of(
        &self,
        config: &Config,
        pull_request: u64,
        head: &CommitSha,
    ) -> Result<Option<ReviewRecord>, PortError> {
        let record = if in_checks(config) {
            let Some(forge) = self.forge() else { return Ok(None) };
            forge.find_check(head, CHECK_NAME).await?.and_then(|check| parse(check.text.as_deref()?))
        } else {
            self.reviews().read(pull_request)?
        };
        Ok(record.filter(|record| &record.head == head && record.pull_request == pull_request))
    }

    /// Keeps a record where no check holds it.
    pub(super) fn keep_record(&self, config: &Config, record: &ReviewRecord) -> Result<(), PortError> {
        if in_checks(config) { Ok(()) } else { self.reviews().write(record) }
    }

    fn reviews(&self) -> LocalReviews {
        LocalReviews::new(&self.home, self.repository.as_deref().unwrap_or("repository"))
    }
}

fn in_checks(config: &Config) -> bool {
    matches!(config.report, ReportAs::Checks | ReportAs::Both)
}

/// Makes the record of a prediction: what was pinned stays pinned as long as it is about the same content.
pub fn record(
    pull_request: u64,
    head: &CommitSha,
    pinned: Option<&ReviewRecord>,
    outcome: &Outcome,
) -> Option<ReviewRecord> {
    let mut versions: Vec<Reviewed> = Vec::new();
    for model in &outcome.models {
        let shown = shown(model);
        let old = pinned.and_then(|record| record.of(&model.model));
        let keeps = match (old, &shown) {
            (Some(old), Some(new)) => old.content == new.content,
            (Some(_), None) => true,
            (None, _) => false,
        };
        versions.extend(if keeps { old.cloned() } else { shown });
    }
    (!versions.is_empty()).then(|| ReviewRecord { schema: REVIEW_SCHEMA, pull_request, head: head.clone(), versions })
}

/// The version that the merge would promote.
fn shown(model: &ModelOutcome) -> Option<Reviewed> {
    model.steps.iter().find_map(|record| {
        let Step::Promote(step) = &record.step else { return None };
        let content = &step.registration.content;
        Some(Reviewed {
            model: model.model.clone(),
            content: content.content.clone(),
            version: content.source.clone()?,
            digests: content.artifacts.iter().map(|artifact| artifact.digest.to_string()).collect(),
        })
    })
}

/// Writes a record as data that people do not see. Names have no `>`, so none can end it early.
pub(super) fn render(record: &ReviewRecord) -> String {
    // Plain data with string keys always serialises.
    format!("{OPEN}{}{CLOSE}", serde_json::to_string(record).unwrap_or_default())
}

pub(super) fn parse(text: &str) -> Option<ReviewRecord> {
    let (_, rest) = text.rsplit_once(OPEN)?;
    let (json, _) = rest.split_once(CLOSE)?;
    let record: ReviewRecord = serde_json::from_str(json).ok()?;
    (record.schema <= REVIEW_SCHEMA).then_some(record)
}
