//! Open pull requests whose head has a new result: their prediction, check and comment are brought up to date by
//! whichever run settled it. Also `repin`, manually.

use crate::adapters::git::Merged;
use crate::cli::compose;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::host::About;
use crate::cli::host::Host;
use crate::cli::host::Pin;
use crate::cli::predict::Answer;
use crate::cli::predict::Merge;
use crate::cli::predict::Question;
use crate::cli::run::ignored_rules;
use crate::cli::whose_rules;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::history::Attribution;
use crate::model::verdict::Verdict;
use crate::outcome::Outcome;
use crate::plan::reason::Reason;
use crate::ports::PullRequest;
use crate::ports::PullRequestState;

/// Brings the open pull requests of a head up to date. What goes wrong is a warning: the run's own work is done.
pub async fn refresh(
    place: &Place,
    host: &Host,
    composed: &Composed,
    by: &Attribution,
    branch: &BranchName,
    commit: &CommitSha,
) {
    let Some(forge) = host.forge() else { return };
    let pulls = match forge.open_pull_requests_with_head(branch, commit).await {
        Ok(pulls) => pulls,
        Err(error) => return host.warn_of(&error),
    };
    for pull in pulls.iter().filter(|pull| !pull.from_fork) {
        if let Err(failure) = look_again(place, host, composed, by, pull, false).await {
            host.warn(&format!("pull request #{} was not brought up to date: {}", pull.number, failure.text));
        }
    }
}

/// Pins what is newest now instead of what was reviewed. `number` may be left out where the branch has one open
/// pull request.
pub async fn repin(
    place: &Place,
    host: &Host,
    composed: &Composed,
    by: &Attribution,
    number: Option<u64>,
    started_on: Option<(&BranchName, &CommitSha)>,
) -> Result<Outcome, Failure> {
    let forge = host.forge().ok_or_else(|| {
        Failure::usage("`repin` is about a pull request, and there is no host to ask for it")
            .hint("run the workflow manually on GitHub, with the action `repin`")
    })?;
    let found = match (number, started_on) {
        (Some(number), _) => {
            forge.pull_request(number).await.map_err(|error| Failure::port(&error))?.into_iter().collect()
        }
        (None, Some((branch, commit))) => {
            forge.open_pull_requests_with_head(branch, commit).await.map_err(|error| Failure::port(&error))?
        }
        (None, None) => Vec::new(),
    };
    let mut open = found.into_iter().filter(|pull| pull.state == PullRequestState::Open);
    let pull = open.next().ok_or_else(|| {
        let what = match number {
            Some(number) => format!("pull request #{number} is not open: there is nothing to pin a version in"),
            None => "there is no open pull request to pin a version in".to_owned(),
        };
        Failure::usage(what).hint("start the workflow on the branch of the pull request (\"Use workflow from\")")
    })?;
    let others: Vec<String> = open.map(|pull| format!("#{}", pull.number)).collect();
    if !others.is_empty() {
        let others = others.join(", ");
        return Err(Failure::usage(format!(
            "the branch has more than one open pull request: #{}, {others}",
            pull.number
        ))
        .hint("add an input `pull_request` to the workflow file, and give the number of the one that is meant"));
    }
    look_again(place, host, composed, by, &pull, true).await
}

async fn look_again(
    place: &Place,
    host: &Host,
    composed: &Composed,
    by: &Attribution,
    pull: &PullRequest,
    repin: bool,
) -> Result<Outcome, Failure> {
    let about = About {
        commit: Some(pull.head.clone()),
        pull_request: Some(pull.number),
        base: Some(pull.base_branch.clone()),
        head: Some(pull.head_branch.clone()),
        actor: by.actor.clone(),
        pin: Pin::AsItWas,
    };
    let text = format!("pull request #{}", pull.number);
    let base = host.branch_head(place, &pull.base_branch).await?;
    let merged = place.git.merged_tree(&base, &pull.head, None).map_err(|error| Failure::git(&error))?;
    let tree = match merged {
        Merged::Tree(tree) => tree,
        Merged::Conflict(paths) => {
            let paths = paths.into_iter().take(10).collect();
            let reason = Reason::MergeConflict { base: pull.base_branch.clone(), paths };
            let outcome = Outcome { verdict: Verdict::Blocked, ..Outcome::skipped(text, reason) };
            host.publish(Some(&composed.config), &outcome, &about).await;
            return Ok(outcome);
        }
        Merged::Unknown(why) => return Err(Failure::new(crate::cli::failure::ERRORED, why.to_string())),
    };
    let Some(rules) = whose_rules::rules_of(place, host, &pull.base_branch).await? else {
        return Ok(Outcome::skipped(text, Reason::NotOurs { why: format!("{} has no rules", pull.base_branch) }));
    };
    let Some(settings) = place.config_text(&tree)? else { return Err(place.no_config(&tree)) };
    let ignored = ignored_rules(&rules, &settings, pull.base_branch.clone());
    let under_base = compose::to_predict(place, rules, &settings, composed)?;
    let merge = Merge {
        base: pull.base_branch.clone(),
        base_commit: base,
        tree,
        head: Some(pull.head.clone()),
        head_branch: (!pull.from_fork).then(|| pull.head_branch.clone()),
        number: Some(pull.number),
    };
    let question = Question {
        place,
        host,
        composed: &under_base,
        settings: &settings,
        ignored: ignored.as_ref(),
        by,
        text,
        merge: &merge,
        repin,
        only: &[],
    };
    let Answer { outcome, pin } = question.answer().await?;
    host.publish(Some(&under_base.config), &outcome, &About { pin, ..about }).await;
    Ok(outcome)
}
