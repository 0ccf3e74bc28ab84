//! `log`: the commits that changed a model, with the versions that each of them gave.

use crate::adapters::git::Head;
use crate::adapters::git::History;
use crate::adapters::git::HistoryEnd;
use crate::cli::args::Format;
use crate::cli::block_on;
use crate::cli::compose;
use crate::cli::compose::Composed;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::fingerprint::stage_of;
use crate::cli::print;
use crate::cli::print_json;
use crate::cli::read;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::name::ModelName;
use crate::model::version::Version;
use crate::ports::PortError;
use crate::report::log;
use crate::report::log::LogCommit;
use crate::report::log::LogJson;
use crate::report::log::LogView;
use crate::report::terminal::plain;
use std::collections::BTreeMap;
use std::path::Path;

/// Shows the history of what each model watches.
pub fn log(
    directory: Option<&Path>,
    models: &[String],
    branch: Option<&str>,
    limit: usize,
    format: Format,
) -> Result<u8, Failure> {
    let place = Place::find(directory, false)?;
    let (composed, _) = read::open(&place)?;
    let only = compose::chosen_models(&composed.config, models)?;
    let (branch, head) = start(&place, branch)?;
    let chosen = composed.config.models.keys().filter(|model| only.is_empty() || only.contains(model));
    let views = chosen.map(|model| one(&place, &composed, model, branch.as_ref(), &head, limit));
    let views: Vec<LogView> = views.collect::<Result<_, Failure>>()?;
    match format {
        Format::Text => print(&log::text(&views)),
        Format::Json => print_json(&LogJson::of(&views)),
    }
}

/// Finds where to begin: at the head of a branch, else at what is checked out.
pub(super) fn start(place: &Place, branch: Option<&str>) -> Result<(Option<BranchName>, CommitSha), Failure> {
    if let Some(text) = branch {
        let branch = BranchName::parse(text).map_err(|error| Failure::usage(plain(&error.to_string())))?;
        let head = place.git.branch_head(&branch, place.heads()).map_err(|error| Failure::git(&error))?;
        let head = head.ok_or_else(|| {
            Failure::usage(format!("there is no branch {} here", plain(branch.as_str())))
                .hint("fetch it first: git fetch")
        })?;
        return Ok((Some(branch), head));
    }
    match place.git.head().map_err(|error| Failure::git(&error))? {
        Head::Branch { branch, commit } => Ok((Some(branch), commit)),
        Head::Detached { commit } => Ok((None, commit)),
        Head::Unborn { branch } => {
            Err(Failure::usage(format!("{branch} has no commit yet")).hint("commit something first"))
        }
    }
}

fn one(
    place: &Place,
    composed: &Composed,
    model: &ModelName,
    branch: Option<&BranchName>,
    head: &CommitSha,
    limit: usize,
) -> Result<LogView, Failure> {
    let config = composed.drive.observer.config_at(head);
    let config = config.map_err(Failure::configuration)?;
    let (_, settings) = stage_of(&config, model, branch, None)?;
    let History { commits, end } =
        place.git.history(head, &settings.watched, limit).map_err(|error| Failure::git(&error))?;
    let ids: Vec<CommitSha> = commits.iter().map(|commit| commit.id.clone()).collect();
    let mut given = block_on(versions(composed, model, &ids))?.map_err(|error| Failure::port(&error))?;
    let more = match end {
        HistoryEnd::Root => None,
        HistoryEnd::Limit => {
            Some(format!("there may be more: branchline log --limit {}", limit.saturating_mul(2).max(1)))
        }
        HistoryEnd::Shallow => {
            Some("this clone is shallow: older commits are not here (git fetch --unshallow)".to_owned())
        }
    };
    Ok(LogView {
        model: model.clone(),
        branch: branch.cloned(),
        commits: commits
            .into_iter()
            .map(|commit| LogCommit {
                versions: given.remove(&commit.id).unwrap_or_default(),
                id: commit.id,
                time: commit.time,
                author: commit.author_name,
                subject: commit.subject,
            })
            .collect(),
        more,
    })
}

/// Looks up what each commit gave, lowest stage first and in each group oldest first.
async fn versions(
    composed: &Composed,
    model: &ModelName,
    commits: &[CommitSha],
) -> Result<BTreeMap<CommitSha, Vec<Version>>, PortError> {
    let mut given: BTreeMap<CommitSha, Vec<Version>> = BTreeMap::new();
    let targets = composed.config.stages.iter().flat_map(|stage| stage.groups.keys());
    for group in targets.filter_map(|target| composed.config.group(model, target)) {
        let found = composed.drive.ports.registry.of_commits(group, commits).await?;
        for version in found.into_iter().rev() {
            given.entry(version.content.lineage.commit.clone()).or_default().push(version);
        }
    }
    Ok(given)
}
