//! Whose rules hold in CI: those of the default branch, as the host or `origin` names it now.
//!
//! A file that is checked out never vouches for itself. So nothing here looks at `origin/HEAD`, which a clone writes
//! once, or at a local branch, which an earlier job may have left. Where nobody says which branch it is, there are no
//! rules (exit 20).

use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::host::Host;
use crate::config::SourceText;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;

/// Finds the default branch. `named`: by `--default-branch`. `told`: by the host, in the event.
pub async fn default_branch(
    place: &Place,
    host: &Host,
    named: Option<&BranchName>,
    told: Option<&BranchName>,
) -> Result<BranchName, Failure> {
    let told = match (told, host.forge()) {
        (None, Some(forge)) => Some(forge.default_branch().await.map_err(|error| Failure::port(&error))?),
        (told, _) => told.cloned(),
    };
    match (named, told) {
        (Some(named), Some(told)) if host.is_runner() && *named != told => Err(Failure::usage(format!(
            "GitHub says that the default branch is {told}, and --default-branch says {named}"
        ))
        .hint("leave --default-branch out: the rules of the default branch hold")),
        (Some(named), _) => Ok(named.clone()),
        (None, Some(told)) => Ok(told),
        (None, None) => of_origin(place),
    }
}

/// Asks `origin`, as Git does.
fn of_origin(place: &Place) -> Result<BranchName, Failure> {
    refuse_another_remote(place)?;
    place.git.origin_default().map_err(|error| {
        Failure::configuration(format!("cannot tell which branch is the default one, whose rules count in CI: {error}"))
            .hint("name it: --default-branch main")
    })
}

/// Refuses a checkout from a remote of another name: whose rules count there is never found out from local branches.
fn refuse_another_remote(place: &Place) -> Result<(), Failure> {
    match place.git.any_remote() {
        Some(remote) if !place.git.has_origin() => Err(Failure::configuration(format!(
            "the rules of the default branch of `origin` count in CI, and this checkout has the remote `{remote}` instead"
        ))
        .hint(format!("rename it: git remote rename {remote} origin"))),
        None => Err(Failure::configuration(
            "the rules of the default branch of `origin` count in CI, and this repository has no remote",
        )
        .hint("name where it came from: git remote add origin URL")
        .hint("where this is no CI job: env -u CI branchline ...")),
        Some(_) => Ok(()),
    }
}

/// Where a branch is, whose rules hold. What was fetched must be what the host or `origin` has now: older rules are other
/// rules, and another job may have left them. Where nobody can be asked, what this job fetched counts. `None`: this
/// checkout does not have it.
async fn head_of(place: &Place, host: &Host, branch: &BranchName) -> Result<Option<CommitSha>, Failure> {
    if host.forge().is_none() {
        // A runner that names no repository, around one that came from nowhere, is a trial of the Action: its own branches
        // are all that there is.
        if host.is_runner() && place.git.any_remote().is_none() {
            return place.git.branch_head(branch, place.heads()).map_err(|error| Failure::git(&error));
        }
        refuse_another_remote(place)?;
    }
    let fetched = place.git.fetched_head(branch).map_err(|error| Failure::git(&error))?;
    let is_here = |commit: &CommitSha| place.git.has_commit(commit);
    if let Some(forge) = host.forge() {
        // What the job's own fetch brought needs no request. Another branch may be left over from an earlier job.
        return match fetched {
            Some(commit) if !place.git.last_fetch_brought(branch, &commit) => {
                let now = forge.branch_head(branch).await.map_err(|error| Failure::port(&error))?;
                Ok(now.filter(is_here))
            }
            fetched => Ok(fetched),
        };
    }
    match place.git.origin_head(branch) {
        Ok(Some(now)) if is_here(&now) => Ok(Some(now)),
        Ok(Some(_)) if fetched.is_some() => Err(Failure::configuration(format!(
            "the rules of the default branch {branch} count here, and this checkout has an older {branch} than origin"
        ))
        .hint(format!("fetch it first: git fetch origin +refs/heads/{branch}:refs/remotes/origin/{branch}"))),
        Ok(Some(_)) | Err(_) => Ok(fetched),
        Ok(None) => Ok(None),
    }
}

/// Reads the rules of a branch: from the checkout, or through the host where the checkout does not have the branch.
pub async fn rules_of(place: &Place, host: &Host, branch: &BranchName) -> Result<Option<SourceText>, Failure> {
    if let Some(head) = head_of(place, host, branch).await? {
        return place.config_text(&head);
    }
    let Some(forge) = host.forge() else {
        return Err(Failure::configuration(format!(
            "the rules of the default branch {branch} count here, but this checkout does not have origin/{branch}"
        ))
        .hint("check out with `fetch-depth: 0`")
        .hint(format!("or fetch it: git fetch origin +refs/heads/{branch}:refs/remotes/origin/{branch}")));
    };
    let at = format!("refs/heads/{branch}");
    for name in crate::config::FILE_NAMES {
        if let Some(text) = forge.file_at(name, &at).await.map_err(|error| Failure::port(&error))? {
            // Rules stand in this file alone; the files that it includes hold only settings.
            return Ok(Some(SourceText { included: None, ..SourceText::new(name, text) }));
        }
    }
    Ok(None)
}

/// Reads the rules of the default branch for a command that acts.
pub async fn of_default_branch(
    place: &Place,
    host: &Host,
    named: Option<&BranchName>,
    told: Option<&BranchName>,
) -> Result<SourceText, Failure> {
    let branch = default_branch(place, host, named, told).await?;
    rules_of(place, host, &branch).await?.ok_or_else(|| {
        Failure::configuration(format!("the default branch {branch} has no branchline.yaml, so no rules hold yet"))
            .hint(format!("merge branchline.yaml into {branch} first"))
    })
}
