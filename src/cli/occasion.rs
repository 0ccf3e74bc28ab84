//! What happened, and whose file counts: the event, its rules and its settings, before anything is opened.

use crate::adapters::git::Merged;
use crate::cli::args::RunArgs;
use crate::cli::compose::Place;
use crate::cli::env_vars;
use crate::cli::failure;
use crate::cli::failure::Failure;
use crate::cli::host::Host;
use crate::cli::predict::Merge;
use crate::config::SourceText;
use crate::event::BranchMoved;
use crate::event::Event;
use crate::event::EventKind;
use crate::event::PullRequestChange;
use crate::event::Run;
use crate::event::RunnerVariables;
use crate::event::Trust;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::ObjectId;
use crate::model::git::RepositoryId;
use crate::model::stage::Does;
use crate::model::verdict::Verdict;
use crate::plan::reason::Reason;
use std::path::Path;

/// What a run is about.
pub enum Subject {
    /// A push: the event's own commit.
    Push,
    /// A branch that is gone.
    Deleted(BranchName),
    /// A command that a person dispatched.
    ByHand(crate::event::Command),
    /// Every branch head.
    Heads,
    /// What a merge would do.
    Prediction(Merge),
}

/// What there is to do, before anything is opened.
pub enum Occasion {
    /// It is answered already.
    Settled(Verdict, Box<Reason>),
    /// It is to be looked at under these files.
    Ready(Box<Ready>),
}

/// An occasion to look at, and the files under which.
pub struct Ready {
    /// What it is about.
    pub subject: Subject,
    /// The file whose rules hold.
    pub rules: SourceText,
    /// The branch that the rules are from. `None`: they are the commit's own.
    pub rules_branch: Option<BranchName>,
    /// The file whose settings hold.
    pub settings: SourceText,
    /// Set where no branch has rules yet that this event must obey, so that the commit's own count.
    pub first_rules: Option<Reason>,
}

/// Reads the event: given, from the CI host, or as if a branch had just been pushed.
pub fn event(place: &Place, args: &RunArgs) -> Result<Event, Failure> {
    let mut variables = RunnerVariables::from_lookup(env_vars::get);
    if let Some(name) = &args.event {
        let path = args.payload.as_deref().ok_or_else(|| Failure::usage("--event needs --payload"))?;
        variables.event_name = Some(name.clone());
        return crate::event::parse(&variables, &payload(path)?).map_err(|error| Failure::event(&error));
    }
    let by_hand = args.branch.is_some() || args.commit.is_some() || args.into.is_some();
    if env_vars::get(env_vars::GITHUB_EVENT_NAME).is_some() && !by_hand {
        // Who caused an event decides what they may do: no argument says it over the host.
        if args.actor.is_some() || args.run_url.is_some() {
            return Err(Failure::usage("the event of this job says already who caused it, and where")
                .hint("leave --actor and --run-url out"));
        }
        let path = env_vars::get(env_vars::GITHUB_EVENT_PATH).ok_or_else(|| {
            Failure::new(failure::EVENT, "GITHUB_EVENT_NAME is set, but GITHUB_EVENT_PATH is not")
                .hint("run this inside a GitHub Actions job, or pass --event and --payload")
        })?;
        return crate::event::parse(&variables, &payload(Path::new(&path))?).map_err(|error| Failure::event(&error));
    }
    pushed(place, args)
}

fn payload(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(failure::EVENT, format!("could not read the payload {}: {error}", path.display()))
    })
}

/// Acts as if a branch had just been pushed.
fn pushed(place: &Place, args: &RunArgs) -> Result<Event, Failure> {
    let named = args
        .branch
        .as_deref()
        .map(|text| BranchName::parse(text).map_err(|error| Failure::usage(error.to_string())))
        .transpose()?;
    let (branch, head) = match named {
        Some(branch) => {
            let head = place.git.branch_head(&branch, place.heads()).map_err(|error| Failure::git(&error))?;
            (branch, head)
        }
        None => {
            let (branch, head) = place.current_branch()?;
            (branch, Some(head))
        }
    };
    let after = match (&args.commit, head) {
        (Some(text), _) => place.git.resolve_commit(text).map_err(|error| Failure::git(&error))?,
        (None, Some(head)) => head,
        (None, None) => {
            return Err(Failure::usage(format!("there is no branch {branch} here"))
                .hint("fetch it first, or name the commit too: --commit SHA"));
        }
    };
    let default_branch = args
        .default_branch
        .as_deref()
        .map(|text| BranchName::parse(text).map_err(|error| Failure::usage(error.to_string())))
        .transpose()?
        .or_else(|| place.git.default_branch());
    Ok(Event {
        name: "push".to_owned(),
        kind: EventKind::BranchMoved(BranchMoved { branch, before: None, after, created: false, forced: false }),
        trust: Trust::Own,
        repository: None,
        repository_id: RepositoryId::default(),
        default_branch,
        actor: args.actor.clone(),
        rerun_by: None,
        started_on: None,
        run: Run { key: None, attempt: 1, url: args.run_url.clone(), workflow: None },
    })
}

/// Finds what the event is about and whose file counts.
pub async fn occasion(place: &Place, host: &Host, args: &RunArgs, event: &Event) -> Result<Occasion, Failure> {
    let settled = |verdict, reason| Ok(Occasion::Settled(verdict, Box::new(reason)));
    if let Trust::Refused { why, .. } = &event.trust {
        return settled(Verdict::Blocked, Reason::Refused { why: why.to_string() });
    }
    let (subject, commit) = match &event.kind {
        EventKind::BranchMoved(moved) => match &args.into {
            None => (Subject::Push, Some(moved.after.clone())),
            Some(base) => match merged_into(place, base, moved)? {
                Ok(merge) => {
                    let tree = merge.tree.clone();
                    (Subject::Prediction(merge), Some(tree))
                }
                Err((verdict, reason)) => return settled(verdict, reason),
            },
        },
        EventKind::BranchDeleted { branch, .. } => (Subject::Deleted(branch.clone()), None),
        EventKind::ByHand(command) => (Subject::ByHand(command.clone()), None),
        EventKind::Hint(_) | EventKind::Tick { .. } => (Subject::Heads, None),
        EventKind::NotOurs(why) => return settled(Verdict::Skipped, Reason::NotOurs { why: why.to_string() }),
        EventKind::PullRequest(pull) => {
            if let PullRequestChange::Closed { .. } = pull.change {
                let why = format!("pull request #{} was closed: a merge arrives as a push", pull.number);
                return settled(Verdict::Skipped, Reason::NotOurs { why });
            }
            let (base, head) = (&pull.base, &pull.head);
            match merged(place, &base.branch, &base.sha, &head.sha, pull.merge_commit.as_ref())? {
                Ok(tree) => {
                    let merge = Merge {
                        base: pull.base.branch.clone(),
                        tree: tree.clone(),
                        head: Some(pull.head.sha.clone()),
                        head_branch: (!pull.head.fork).then(|| pull.head.branch.clone()),
                        number: Some(pull.number),
                    };
                    (Subject::Prediction(merge), Some(tree))
                }
                Err((verdict, reason)) => return settled(verdict, reason),
            }
        }
        EventKind::MergeGroup(group) => {
            let tree = group.head_sha.clone();
            let base = group.base_branch.clone();
            (
                Subject::Prediction(Merge { base, tree: tree.clone(), head: None, head_branch: None, number: None }),
                Some(tree),
            )
        }
    };
    if !place.in_ci {
        let Some(commit) = commit else { return Err(Failure::usage("this event needs a CI host's rules")) };
        let settings = place.config_text(&commit)?.ok_or_else(|| place.no_config(&commit))?;
        return Ok(ready(Ready { subject, rules: settings.clone(), rules_branch: None, settings, first_rules: None }));
    }
    // What asks to be merged is judged by the rules of the branch that it asks.
    let rules_branch = args
        .into
        .clone()
        .or_else(|| args.default_branch.as_deref().and_then(|text| BranchName::parse(text).ok()))
        .or_else(|| event.rules_branch().cloned())
        .or_else(|| place.git.default_branch());
    let Some(rules_branch) = rules_branch else {
        return Err(Failure::configuration("cannot tell which branch is the default one, whose rules count in CI")
            .hint("name it: --default-branch main"));
    };
    let default_branch = args
        .default_branch
        .as_deref()
        .and_then(|text| BranchName::parse(text).ok())
        .or_else(|| event.default_branch.clone())
        .or_else(|| place.git.default_branch());
    let (rules, rules_branch) = holding(place, host, rules_branch, default_branch.as_ref()).await?;
    let settings = match &commit {
        Some(commit) => place.config_text(commit)?,
        None => rules.clone(),
    };
    match (rules, settings, commit) {
        (Some(rules), Some(settings), _) => {
            Ok(ready(Ready { subject, rules, rules_branch: Some(rules_branch), settings, first_rules: None }))
        }
        (None, Some(settings), _) if begins_with_own_rules(&subject, event, &settings, default_branch.as_ref())? => {
            let branch = default_branch.unwrap_or(rules_branch);
            let first_rules = Some(Reason::FirstRules { branch });
            Ok(ready(Ready { subject, rules: settings.clone(), rules_branch: None, settings, first_rules }))
        }
        (None, Some(settings), _) => {
            settled(Verdict::Skipped, Reason::NoRules { branch: rules_branch, begins: begins(&settings)? })
        }
        (_, None, Some(commit)) => Err(place.no_config(&commit)),
        (_, None, None) => settled(
            Verdict::Skipped,
            Reason::NotOurs {
                why: format!("{rules_branch} has no branchline.yaml yet, so there is nothing to look at"),
            },
        ),
    }
}

fn ready(ready: Ready) -> Occasion {
    Occasion::Ready(Box::new(ready))
}

/// Finds the rules of a branch. A base that has no file yet is judged by those that hold everywhere else.
async fn holding(
    place: &Place,
    host: &Host,
    branch: BranchName,
    default_branch: Option<&BranchName>,
) -> Result<(Option<SourceText>, BranchName), Failure> {
    let own = rules_of(place, host, &branch).await?;
    if let (None, Some(default)) = (&own, default_branch.filter(|default| *default != &branch))
        && let Some(rules) = rules_of(place, host, default).await?
    {
        return Ok((Some(rules), default.clone()));
    }
    Ok((own, branch))
}

/// Tells whether the file of the commit itself counts, where no branch has rules yet that it must obey.
///
/// A push may train by it, as its pull request said, and nothing is promoted. The pull request of a first release is
/// judged by the file that it brings to the default branch: that writes nothing.
fn begins_with_own_rules(
    subject: &Subject,
    event: &Event,
    settings: &SourceText,
    default_branch: Option<&BranchName>,
) -> Result<bool, Failure> {
    let (branch, trains) = match (subject, &event.kind) {
        (Subject::Push, EventKind::BranchMoved(moved)) => (&moved.branch, true),
        (Subject::Prediction(merge), _) if Some(&merge.base) == default_branch => (&merge.base, false),
        _ => return Ok(false),
    };
    let config = crate::config::load(settings, settings).map_err(|problems| Failure::problems(&problems))?;
    let stage = config.stage_of_branch(branch);
    Ok(stage.is_some_and(|stage| matches!(stage.does, Does::Train { .. }) == trains))
}

/// What `--into` asks about: the merge of a branch, as it is here, into another one.
fn merged_into(
    place: &Place,
    base: &BranchName,
    moved: &BranchMoved,
) -> Result<Result<Merge, (Verdict, Reason)>, Failure> {
    let into = place.git.branch_head(base, place.heads()).map_err(|error| Failure::git(&error))?.ok_or_else(|| {
        Failure::usage(format!("there is no branch {base} here, so nothing can be merged into it"))
            .hint(format!("fetch it first: git fetch origin {base}:refs/remotes/origin/{base}"))
    })?;
    let merged = merged(place, base, &into, &moved.after, None)?;
    Ok(merged.map(|tree| Merge {
        base: base.clone(),
        tree,
        head: Some(moved.after.clone()),
        head_branch: Some(moved.branch.clone()),
        number: None,
    }))
}

/// The tree that a merge would give, or why there is none.
fn merged(
    place: &Place,
    into: &BranchName,
    base: &CommitSha,
    head: &CommitSha,
    test_merge: Option<&CommitSha>,
) -> Result<Result<ObjectId, (Verdict, Reason)>, Failure> {
    let merged = place.git.merged_tree(base, head, test_merge).map_err(|error| Failure::git(&error))?;
    Ok(match merged {
        Merged::Tree(tree) => Ok(tree),
        Merged::Conflict(paths) => Err((
            Verdict::Blocked,
            Reason::MergeConflict { base: into.clone(), paths: paths.into_iter().take(10).collect() },
        )),
        Merged::Unknown(why) => Err((Verdict::Errored, Reason::Unreadable { why: why.to_string() })),
    })
}

/// Reads the rules of a branch: from the checkout, or through the host where the checkout does not have the branch.
pub async fn rules_of(place: &Place, host: &Host, branch: &BranchName) -> Result<Option<SourceText>, Failure> {
    let head = place.git.branch_head(branch, place.heads()).map_err(|error| Failure::git(&error))?;
    if let Some(head) = head {
        return place.config_text(&head);
    }
    let Some(forge) = host.forge() else {
        return Err(Failure::configuration(format!(
            "the rules of the default branch {branch} count here, but this checkout does not have that branch"
        ))
        .hint("check out with `fetch-depth: 0`"));
    };
    let at = format!("refs/heads/{branch}");
    for name in crate::config::FILE_NAMES {
        if let Some(text) = forge.file_at(name, &at).await.map_err(|error| Failure::port(&error))? {
            return Ok(Some(SourceText { file: (*name).to_owned(), text }));
        }
    }
    Ok(None)
}

/// What merging the first configuration will begin, in a clause.
fn begins(settings: &SourceText) -> Result<String, Failure> {
    let config = crate::config::load(settings, settings).map_err(|problems| Failure::problems(&problems))?;
    let models: Vec<&str> = config.models.keys().map(|model| model.as_str()).collect();
    let trains: Vec<String> = config
        .stages
        .iter()
        .filter(|stage| matches!(stage.does, Does::Train { .. }))
        .map(|stage| stage.branches.to_string())
        .collect();
    Ok(format!("pushes to {} train {}", trains.join(", "), models.join(", ")))
}
