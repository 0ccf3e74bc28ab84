//! What happened, and whose file counts: the event, its rules and its settings, before anything is opened.

use crate::adapters::git::Merged;
use crate::adapters::regular;
use crate::adapters::regular::Links;
use crate::cli::args::RunArgs;
use crate::cli::caller;
use crate::cli::compose::Place;
use crate::cli::env_vars;
use crate::cli::failure;
use crate::cli::failure::Failure;
use crate::cli::host::Host;
use crate::cli::predict::Merge;
use crate::cli::state::refuse_tracked;
use crate::cli::whose_rules;
use crate::config::SourceText;
use crate::event::BranchMoved;
use crate::event::Event;
use crate::event::EventKind;
use crate::event::ForeignCause;
use crate::event::Job;
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
use std::io::Read as _;
use std::path::Path;

/// The largest payload that is read, in bytes. GitHub's own limit is 25 MB ("Webhook events and payloads").
const PAYLOAD_LIMIT: u64 = 32 << 20;

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
    /// The file whose backend, accounts and roles are used, where that is not the one whose rules judge: a base branch may
    /// be anybody's.
    pub backend_rules: Option<SourceText>,
    /// The file whose settings hold.
    pub settings: SourceText,
    /// Set where no branch has rules yet that this event must obey, so that the commit's own count.
    pub first_rules: Option<Reason>,
}

/// Who vouches for the accounts and roles that a base branch names.
enum Vouching {
    /// The base is the default branch.
    Same,
    /// These rules of the default branch say which are used.
    Rules(SourceText),
    /// This default branch has no rules, or they cannot be read.
    Nobody(BranchName),
    /// Nobody says which branch is the default one.
    Unknown(Failure),
}

impl Vouching {
    /// Returns the rules whose accounts and roles are used instead of the base's. With a base that names none there is
    /// nothing to vouch for.
    fn backend_rules(self, base: &SourceText) -> Result<Option<SourceText>, Failure> {
        let names_accounts = || {
            let config = crate::config::load(base, base).map_err(|problems| Failure::problems(&problems))?;
            Ok(config.backend.is_cloud())
        };
        match self {
            Self::Same => Ok(None),
            Self::Rules(rules) => Ok(Some(rules)),
            Self::Nobody(branch) if names_accounts()? => Err(Failure::configuration(format!(
                "the base branch names accounts and roles, and the default branch {branch} has no rules that allow them"
            ))
            .hint(format!("merge branchline.yaml into {branch} first, or fetch {branch}"))),
            Self::Unknown(failure) if names_accounts()? => Err(failure),
            Self::Nobody(_) | Self::Unknown(_) => Ok(None),
        }
    }
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
            return Err(says_already());
        }
        return crate::event::parse(&variables, &own_payload()?).map_err(|error| Failure::event(&error));
    }
    pushed(place, args)
}

/// The refusal of flags that the job's event answers.
pub fn says_already() -> Failure {
    Failure::usage("the event of this job says already who caused it, and where")
        .hint("leave --actor and --run-url out")
}

/// Reads the payload of the job that this is a step of.
pub fn own_payload() -> Result<Vec<u8>, Failure> {
    let path = env_vars::get(env_vars::GITHUB_EVENT_PATH).ok_or_else(|| {
        Failure::new(failure::EVENT, "GITHUB_EVENT_NAME is set, but GITHUB_EVENT_PATH is not")
            .hint("run this inside a GitHub Actions job, or pass --event and --payload")
    })?;
    // A training command of an earlier step may have put something else there, which nobody ever writes to.
    let path = Path::new(&path);
    regular::read(path, Links::Follow, PAYLOAD_LIMIT).map_err(|error| unusable(path, &error.to_string()))
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::new(failure::EVENT, format!("could not read the payload {}: {why}", path.display()))
}

fn payload(path: &Path) -> Result<Vec<u8>, Failure> {
    let unusable = |why: String| unusable(path, &why);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| unusable(error.to_string()))?;
    file.take(PAYLOAD_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| unusable(error.to_string()))?;
    if bytes.len() as u64 > PAYLOAD_LIMIT {
        return Err(unusable("it is larger than 32 MiB, and GitHub sends at most 25 MB".to_owned()));
    }
    Ok(bytes)
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
    let kind = EventKind::BranchMoved(BranchMoved { branch, before: None, after, created: false, forced: false });
    let name = "push".to_owned();
    // In a job of GitHub the job's event says who, where, and whose code this is, whatever the arguments ask for.
    if let Some(Job { trust, repository, repository_id, default_branch, actor, rerun_by, run, name: started_by }) =
        caller::job()?
    {
        if args.actor.is_some() || args.run_url.is_some() {
            return Err(says_already());
        }
        let by_nobody = rerun_by.is_none() && started_by == "schedule";
        let actor = if by_nobody { Some(started_by) } else { actor };
        let run = Run { key: None, attempt: 1, ..run };
        let started_on = None;
        return Ok(Event {
            name,
            kind,
            trust,
            repository,
            repository_id,
            default_branch,
            actor,
            rerun_by,
            started_on,
            run,
        });
    }
    Ok(Event {
        name,
        kind,
        trust: Trust::Own,
        repository: None,
        repository_id: RepositoryId::default(),
        default_branch: None,
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
    if let (EventKind::BranchMoved(_), Trust::Foreign { why }, None) = (&event.kind, &event.trust, &args.into)
        && *why != ForeignCause::EventUnknown
    {
        return settled(Verdict::Blocked, Reason::Refused { why: format!("{why}: this job changes nothing") });
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
                        base_commit: pull.base.sha.clone(),
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
            let merge = Merge {
                base: group.base_branch.clone(),
                base_commit: group.base_sha.clone(),
                tree: tree.clone(),
                head: None,
                head_branch: None,
                number: None,
            };
            (Subject::Prediction(merge), Some(tree))
        }
    };
    if let Some(commit) = &commit {
        refuse_tracked(&place.git, Some(commit))?;
    }
    if !place.in_ci {
        let Some(commit) = commit else { return Err(Failure::usage("this event needs a CI host's rules")) };
        let settings = place.config_text(&commit)?.ok_or_else(|| place.no_config(&commit))?;
        let rules = settings.clone();
        return Ok(ready(Ready {
            subject,
            rules,
            rules_branch: None,
            backend_rules: None,
            settings,
            first_rules: None,
        }));
    }
    let default_branch =
        whose_rules::default_branch(place, host, args.default_branch.as_ref(), event.default_branch.as_ref()).await;
    let known_default = default_branch.as_ref().ok().cloned();
    // What asks to be merged is judged by the rules of the branch that it asks, and everything else by the default branch's.
    let (rules_branch, vouching) = match asked_base(args, event) {
        Some(base) => {
            let vouching = match default_branch {
                Ok(default_branch) if default_branch == base => Vouching::Same,
                Ok(default_branch) => match whose_rules::rules_of(place, host, &default_branch).await {
                    Ok(Some(rules)) => Vouching::Rules(rules),
                    Ok(None) | Err(_) => Vouching::Nobody(default_branch),
                },
                Err(failure) => Vouching::Unknown(failure),
            };
            (base, vouching)
        }
        None => (default_branch?, Vouching::Same),
    };
    let own = whose_rules::rules_of(place, host, &rules_branch).await?;
    // A base that has no file yet is judged by the rules that hold everywhere else.
    let (rules, rules_branch, vouching) = match (own, vouching, &known_default) {
        (None, Vouching::Rules(rules), Some(default)) => (Some(rules), default.clone(), Vouching::Same),
        (own, vouching, _) => (own, rules_branch, vouching),
    };
    let settings = match &commit {
        Some(commit) => place.config_text(commit)?,
        None => rules.clone(),
    };
    match (rules, settings, commit) {
        (Some(rules), Some(settings), _) => {
            let backend_rules = vouching.backend_rules(&rules)?;
            Ok(ready(Ready {
                subject,
                rules,
                rules_branch: Some(rules_branch),
                backend_rules,
                settings,
                first_rules: None,
            }))
        }
        (None, Some(settings), _) if begins_with_own_rules(&subject, event, &settings, known_default.as_ref())? => {
            let first_rules = Some(Reason::FirstRules { branch: known_default.unwrap_or(rules_branch) });
            let rules = settings.clone();
            Ok(ready(Ready { subject, rules, rules_branch: None, backend_rules: None, settings, first_rules }))
        }
        (None, Some(settings), _) => {
            let (begins, names_accounts) = begins(&settings)?;
            // Only the default branch vouches for accounts and roles: elsewhere the file would begin nothing.
            let branch = known_default.filter(|_| names_accounts).unwrap_or(rules_branch);
            settled(Verdict::Skipped, Reason::NoRules { branch, begins })
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

/// The branch that an event asks to be merged into.
fn asked_base(args: &RunArgs, event: &Event) -> Option<BranchName> {
    match (&args.into, &event.kind) {
        (Some(base), _) => Some(base.clone()),
        (None, EventKind::PullRequest(pull)) => Some(pull.base.branch.clone()),
        (None, EventKind::MergeGroup(group)) => Some(group.base_branch.clone()),
        (None, _) => None,
    }
}

fn ready(ready: Ready) -> Occasion {
    Occasion::Ready(Box::new(ready))
}

/// Tells whether the file of the commit itself counts, where no branch has rules yet that it must obey.
///
/// A push may train by it, as its pull request said, and nothing is promoted. The pull request of a first release is
/// judged by the file that it brings to the default branch: that writes nothing, and opens no account that it names.
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
    if event.trust != Trust::Own {
        return Ok(false);
    }
    let config = crate::config::load(settings, settings).map_err(|problems| Failure::problems(&problems))?;
    // Nobody vouches for accounts and roles that this file names.
    let stage = config.stage_of_branch(branch).filter(|_| !config.backend.is_cloud());
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
        base_commit: into,
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

/// What merging the first configuration will begin, in a clause, and whether it names accounts and roles.
fn begins(settings: &SourceText) -> Result<(String, bool), Failure> {
    let config = crate::config::load(settings, settings).map_err(|problems| Failure::problems(&problems))?;
    let models: Vec<&str> = config.models.keys().map(|model| model.as_str()).collect();
    let trains: Vec<String> = config
        .stages
        .iter()
        .filter(|stage| matches!(stage.does, Does::Train { .. }))
        .map(|stage| stage.branches.to_string())
        .collect();
    Ok((format!("pushes to {} train {}", trains.join(", "), models.join(", ")), config.backend.is_cloud()))
}
