//! The review record on its way: read from our check on a pull request's head (or beside the registry, where checks
//! are not written), made of a prediction, and handed to the promotion that it binds.

use crate::adapters::local::reviews::LocalReviews;
use crate::cli::host::Host;
use crate::cli::host::report::CHECK_NAME;
use crate::cli::host::shared::Shared;
use crate::config::Config;
use crate::config::resolved::ReportAs;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::name::ModelName;
use crate::model::review::REVIEW_SCHEMA;
use crate::model::review::Review;
use crate::model::review::ReviewRecord;
use crate::model::review::Reviewed;
use crate::outcome::ModelOutcome;
use crate::outcome::Outcome;
use crate::plan::approval;
use crate::plan::approval::Said;
use crate::plan::goal::Aim;
use crate::plan::goal::Task;
use crate::plan::step::Step;
use crate::ports::Check;
use crate::ports::Forge;
use crate::ports::Permission;
use crate::ports::PortError;
use crate::ports::PullRequest;
use crate::ports::PullRequestState;
use crate::ports::ReviewState;

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
                Found::Nothing { why: "the host could not be asked".to_owned() }
            }
            Ok(found) => found,
        };
        for task in tasks {
            if let Aim::Promote { review, .. } = &mut task.goal.aim {
                *review = found.of(&task.rules.model);
                if let Found::Record(record) = &found {
                    task.goal.by.pull_request = Some(record.pull_request);
                }
            }
        }
        Ok(())
    }

    /// Finds the record of the pull request that brought a commit to a branch; or says why there is none. Where the rules
    /// require a review, only a pull request counts that somebody approved.
    async fn reviewed_by(&self, config: &Config, branch: &BranchName, commit: &CommitSha) -> Result<Found, PortError> {
        let unreviewed = |why| if config.require_review { Found::Unapproved { why } } else { Found::Nothing { why } };
        let Some(forge) = self.forge() else {
            return Ok(unreviewed("there is no token to ask GitHub with".to_owned()));
        };
        let mut pulls = forge.pull_requests_of_commit(commit).await?;
        pulls.retain(|pull| &pull.base_branch == branch && pull.state != PullRequestState::Closed);
        // Merged ones first: an open one only happens to contain the commit.
        pulls.sort_by_key(|pull| pull.state != PullRequestState::Merged);
        if pulls.is_empty() {
            return Ok(unreviewed(format!("no pull request brought commit {} to {branch}", commit.short())));
        }
        if config.require_review {
            let mut refused = Vec::new();
            let mut approved = Vec::new();
            for pull in pulls {
                match self.approval_of(forge.as_ref(), config, &pull).await? {
                    Ok(()) => approved.push(pull),
                    Err(why) => refused.push(why),
                }
            }
            pulls = approved;
            if pulls.is_empty() {
                return Ok(Found::Unapproved { why: refused.join("; ") });
            }
        }
        for pull in &pulls {
            if let Some(record) = self.record_of(config, pull.number, &pull.head).await? {
                return Ok(Found::Record(record));
            }
        }
        let numbers: Vec<String> = pulls.iter().map(|pull| format!("#{}", pull.number)).collect();
        Ok(Found::Nothing { why: format!("the report of pull request {} named no version", numbers.join(", ")) })
    }

    /// Tells whether somebody approved a pull request as it is at its head, or says why nobody did.
    async fn approval_of(
        &self,
        forge: &dyn Forge,
        config: &Config,
        pull: &PullRequest,
    ) -> Result<Result<(), String>, PortError> {
        let reviews = forge.reviews(pull.number).await?;
        let mut authors: Vec<String> = pull.author.iter().cloned().collect();
        if config.not_author {
            authors.extend(forge.pull_request_authors(pull.number).await?);
        }
        let said = reviews.iter().filter_map(|review| {
            Some(Said {
                reviewer: review.reviewer.as_deref()?,
                verdict: match review.state {
                    ReviewState::Approved => Some(review.commit.as_ref() == Some(&pull.head)),
                    ReviewState::ChangesRequested | ReviewState::Dismissed => Some(false),
                    ReviewState::Remark => None,
                },
            })
        });
        let approving = approval::approving(said, &authors);
        for login in &approving {
            if forge.permission(login).await? >= Permission::Write {
                return Ok(approval::of_draft(pull.number, pull.draft));
            }
        }
        Ok(Err(approval::nobody(pull.number, pull.head.short(), &approving)))
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
            let found = forge.find_check(head, CHECK_NAME).await?;
            found.and_then(|check| shared_of(head, &check).record(pull_request).cloned())
        } else {
            self.reviews().read(pull_request)?
        };
        Ok(record.filter(|record| &record.head == head && record.pull_request == pull_request))
    }

    /// Keeps a record where no check holds it.
    pub(super) fn keep_record(&self, config: &Config, record: &ReviewRecord) -> Result<(), PortError> {
        if in_checks(config) { Ok(()) } else { self.reviews().write(record) }
    }

    pub(super) fn reviews(&self) -> LocalReviews {
        LocalReviews::new(&self.home, self.repository.as_deref().unwrap_or("repository"))
    }
}

/// What was found of a pushed commit's pull request.
enum Found {
    /// It has a record, and the approval that the rules require.
    Record(ReviewRecord),
    /// It has no record.
    Nothing { why: String },
    /// The rules require an approval that it has not.
    Unapproved { why: String },
}

impl Found {
    /// Returns what that says of one model.
    fn of(&self, model: &ModelName) -> Review {
        match self {
            Self::Nothing { why } => Review::None { why: why.clone() },
            Self::Unapproved { why } => Review::Unapproved { why: why.clone() },
            Self::Record(record) => match record.of(model) {
                Some(reviewed) => Review::Recorded { pull_request: record.pull_request, reviewed: reviewed.clone() },
                None => Review::None {
                    why: format!("the report of pull request #{} named no version of it", record.pull_request),
                },
            },
        }
    }
}

/// Reads what our checks of one name on a commit hold.
pub(super) fn shared_of(commit: &CommitSha, check: &Check) -> Shared {
    Shared::read(commit, check.text.iter().chain(&check.older).map(String::as_str))
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
