//! What merging would do: planned on the tree of the merge, beside what the pull request already has, and never
//! applied. Where the pull request changes rules, once more under those, which hold after the merge.

use crate::cli::compose;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::host::Host;
use crate::cli::host::Pin;
use crate::cli::host::record;
use crate::cli::limits;
use crate::config::SourceText;
use crate::drive::port_failed;
use crate::facts::review::UnderReview;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::ObjectId;
use crate::model::history::Attribution;
use crate::model::name::ModelName;
use crate::model::review::Review;
use crate::model::review::ReviewRecord;
use crate::model::stage::Does;
use crate::model::verdict::Verdict;
use crate::outcome::AfterMerge;
use crate::outcome::Outcome;
use crate::plan::goal::Aim;
use crate::plan::reason::Reason;
use crate::plan::route;
use crate::plan::route::Route;
use crate::ports::PortError;
use crate::ports::PortErrorKind;

/// A merge that nobody has made yet.
pub struct Merge {
    /// The base branch.
    pub base: BranchName,
    /// The tree, or the commit, of the merge.
    pub tree: ObjectId,
    /// The head of the base branch that the merge is made with.
    pub base_commit: CommitSha,
    /// The newest commit of the pull request. `None`: a merge queue's group.
    pub head: Option<CommitSha>,
    /// Its branch, where that is this repository's own.
    pub head_branch: Option<BranchName>,
    /// The pull request's number. `None`: there is no pull request to keep a record of.
    pub number: Option<u64>,
}

/// What is asked about a merge, and under which rules.
pub struct Question<'a> {
    /// The repository.
    pub place: &'a Place,
    /// The host of the repository.
    pub host: &'a Host,
    /// The rules and settings that hold.
    pub composed: &'a Composed,
    /// The settings of the merged tree, whose rules hold after the merge.
    pub settings: &'a SourceText,
    /// The rules that the merge changes, where it does.
    pub ignored: Option<&'a Reason>,
    /// Who asks.
    pub by: &'a Attribution,
    /// What it is about, in words.
    pub text: String,
    /// The merge.
    pub merge: &'a Merge,
    /// Whether what was pinned is given up for what is newest now.
    pub repin: bool,
    /// Only these models; empty means all.
    pub only: &'a [ModelName],
}

/// What would come of a merge, and what its review has pinned.
pub struct Answer {
    /// The outcome.
    pub outcome: Outcome,
    /// The record for the pull request.
    pub pin: Pin,
}

impl Question<'_> {
    /// Looks and says. Nothing is written to the registry.
    pub async fn answer(self) -> Result<Answer, Failure> {
        let pinned = match self.pinned().await {
            Ok(pinned) => pinned,
            // A token that may not read checks has written none either: there is no record that could be lost.
            Err(error) if error.kind == PortErrorKind::Permission => {
                self.host.warn_of(&error);
                None
            }
            // A record that cannot be read must not be replaced: what was reviewed would change in silence.
            Err(error) => {
                let reason = port_failed(&error);
                let outcome = Outcome { verdict: Verdict::Errored, ..Outcome::skipped(self.text, reason) };
                return Ok(Answer { outcome, pin: Pin::AsItWas });
            }
        };
        let bound = pinned.as_ref().filter(|_| !self.repin);
        let base = Some(&self.merge.base_commit);
        let mut outcome = predict(self.composed, self.by, self.text.clone(), self.merge, base, self.only, bound).await;
        if let Some(Reason::RulesIgnored { changes, .. }) = self.ignored {
            let after = self.after_merge(changes.clone(), bound).await?;
            outcome.after_merge = Some(Box::new(after));
        }
        outcome.reasons.extend(self.ignored.cloned());
        let record = match (self.merge.number, &self.merge.head) {
            (Some(number), Some(head)) => record(number, head, bound, &outcome),
            _ => None,
        };
        Ok(Answer { outcome, pin: Pin::Now(record) })
    }

    async fn pinned(&self) -> Result<Option<ReviewRecord>, PortError> {
        match (self.merge.number, &self.merge.head) {
            (Some(number), Some(head)) => self.host.record_of(&self.composed.config, number, head).await,
            _ => Ok(None),
        }
    }

    /// Says what would come of it under the rules that the merge brings.
    async fn after_merge(&self, changes: Vec<String>, pinned: Option<&ReviewRecord>) -> Result<AfterMerge, Failure> {
        let under_new = compose::to_predict(self.place, self.settings.clone(), self.settings, self.composed)?;
        // Rules that the merge changes are its own change, whatever they say of a model.
        let outcome = predict(&under_new, self.by, self.text.clone(), self.merge, None, self.only, pinned).await;
        Ok(AfterMerge { changes, outcome })
    }
}

/// Says what the merge would do under one set of rules.
async fn predict(
    composed: &Composed,
    by: &Attribution,
    text: String,
    merge: &Merge,
    base: Option<&CommitSha>,
    only: &[ModelName],
    pinned: Option<&ReviewRecord>,
) -> Outcome {
    let config = &composed.config;
    let mut tasks = match route::push(config, &merge.base, &merge.tree, by, 1, only) {
        Route::Nothing(reason) => return Outcome::skipped(text, *reason),
        Route::Tasks(tasks) => tasks,
    };
    for task in &mut tasks {
        task.goal.predicts = true;
        let reviewed = pinned.and_then(|record| Some((record.pull_request, record.of(&task.rules.model)?.clone())));
        if let (Aim::Promote { review, .. }, Some((pull_request, reviewed))) = (&mut task.goal.aim, reviewed) {
            *review = Review::Recorded { pull_request, reviewed };
        }
    }
    let trains =
        |branch: &BranchName| config.stage_of_branch(branch).filter(|stage| matches!(stage.does, Does::Train { .. }));
    let own = merge.head_branch.as_ref().and_then(trains).map(|stage| stage.name.clone());
    let under_review = UnderReview { head: merge.head.clone(), stage: own, base: base.cloned() };
    let predicted = composed.drive.predict(&tasks, &under_review).await;
    let mut outcome = Outcome::of_models(text, limits::planned(config, predicted));
    let predicted = Reason::Predicted { base: merge.base.clone(), trains: trains(&merge.base).is_some() };
    outcome.reasons.push(predicted);
    outcome
}
