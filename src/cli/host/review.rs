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
use std::collections::BTreeMap;

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
                Found::nothing("the host could not be asked")
            }
            Ok(found) => found,
        };
        for task in tasks {
            if let Aim::Promote { review, .. } = &mut task.goal.aim {
                *review = found.review.of(&task.rules.model);
                task.goal.by.pull_request = found.pull_request;
                task.goal.by.reviewed_by.clone_from(&found.reviewed_by);
            }
        }
        Ok(())
    }

    /// Finds the record of the pull request that brought a commit to a branch; or says why there is none. Where the rules
    /// require a review, only a pull request counts that somebody approved.
    async fn reviewed_by(&self, config: &Config, branch: &BranchName, commit: &CommitSha) -> Result<Found, PortError> {
        let unreviewed = |why| {
            let review =
                if config.require_review { FoundReview::Unapproved { why } } else { FoundReview::None { why } };
            Found { pull_request: None, reviewed_by: Vec::new(), review }
        };
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
        let mut refused = Vec::new();
        let mut approved: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        if config.require_review {
            for pull in &pulls {
                match self.approval_of(forge.as_ref(), config, pull).await? {
                    Ok(reviewers) => {
                        approved.insert(pull.number, reviewers);
                    }
                    Err(why) => refused.push(why),
                }
            }
            pulls.retain(|pull| approved.contains_key(&pull.number));
        }
        let mut bound = None;
        for pull in &pulls {
            if let Some(record) = self.record_of(config, pull.number, &pull.head).await? {
                bound = Some((pull, record));
                break;
            }
        }
        // What brought the commit is told also where its report named nothing.
        let brought = match &bound {
            Some((pull, _)) => Some(*pull),
            None => pulls.first().filter(|pull| pull.state == PullRequestState::Merged),
        };
        let reviewed_by = match brought {
            None => Vec::new(),
            Some(pull) => match approved.remove(&pull.number) {
                Some(reviewers) => reviewers,
                None => self.reviewers_to_tell(forge.as_ref(), pull).await,
            },
        };
        let pull_request = brought.map(|pull| pull.number);
        let review = match bound {
            Some((_, record)) => FoundReview::Record(record),
            None if pulls.is_empty() => FoundReview::Unapproved { why: refused.join("; ") },
            None => {
                let numbers: Vec<String> = pulls.iter().map(|pull| format!("#{}", pull.number)).collect();
                FoundReview::None { why: format!("the report of pull request {} named no version", numbers.join(", ")) }
            }
        };
        Ok(Found { pull_request, reviewed_by, review })
    }

    /// Returns who approved a pull request as it is at its head, or says why nobody's approval counts.
    async fn approval_of(
        &self,
        forge: &dyn Forge,
        config: &Config,
        pull: &PullRequest,
    ) -> Result<Result<Vec<String>, String>, PortError> {
        let mut authors: Vec<String> = pull.author.iter().cloned().collect();
        if config.not_author {
            authors.extend(forge.pull_request_authors(pull.number).await?);
        }
        let approving = approving(forge, pull, &authors).await?;
        let mut may = Vec::new();
        for login in &approving {
            if forge.permission(login).await? >= Permission::Write {
                may.push(login.clone());
            }
        }
        if may.is_empty() {
            let approving: Vec<&str> = approving.iter().map(String::as_str).collect();
            return Ok(Err(approval::nobody(pull.number, pull.head.short(), &approving)));
        }
        Ok(approval::of_draft(pull.number, pull.draft).map(|()| may))
    }

    /// Returns who approved a pull request, for the history. Nothing hangs on it: what cannot be read is a warning.
    async fn reviewers_to_tell(&self, forge: &dyn Forge, pull: &PullRequest) -> Vec<String> {
        let authors: Vec<String> = pull.author.iter().cloned().collect();
        match approving(forge, pull, &authors).await {
            Ok(reviewers) => reviewers,
            Err(error) => {
                self.warn_of(&error);
                Vec::new()
            }
        }
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

/// Returns whose latest word approves a pull request at its head, in the order of their logins.
async fn approving(forge: &dyn Forge, pull: &PullRequest, authors: &[String]) -> Result<Vec<String>, PortError> {
    let reviews = forge.reviews(pull.number).await?;
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
    Ok(approval::approving(said, authors).into_iter().map(str::to_owned).collect())
}

/// What was found of a pushed commit's pull request.
struct Found {
    /// The pull request that brought the commit, where one is known.
    pull_request: Option<u64>,
    /// Who approved it at its head.
    reviewed_by: Vec<String>,
    /// What its report showed.
    review: FoundReview,
}

impl Found {
    fn nothing(why: &str) -> Self {
        Self { pull_request: None, reviewed_by: Vec::new(), review: FoundReview::None { why: why.to_owned() } }
    }
}

/// What the report of a pull request showed.
enum FoundReview {
    /// It has a record, and the approval that the rules require.
    Record(ReviewRecord),
    /// It has no record.
    None { why: String },
    /// The rules require an approval that it has not.
    Unapproved { why: String },
}

impl FoundReview {
    /// Returns what that says of one model.
    fn of(&self, model: &ModelName) -> Review {
        match self {
            Self::None { why } => Review::None { why: why.clone() },
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
