//! The composition root: from the place, the environment and the arguments to a loop that is ready to run.

use crate::adapters::aws::Accounts;
use crate::adapters::git::GitError;
use crate::adapters::git::GitRepository;
use crate::adapters::git::Head;
use crate::adapters::git::Heads;
use crate::adapters::git::NextCommit;
use crate::adapters::local::DataReach;
use crate::adapters::local::Home;
use crate::adapters::system::SystemClock;
use crate::cli::backend::Backend;
use crate::cli::env_vars;
use crate::cli::failure::Failure;
use crate::cli::state::StateDirectory;
use crate::config::Config;
use crate::config::IncludePattern;
use crate::config::IncludedText;
use crate::config::SourceText;
use crate::config::resolved::OnCancel;
use crate::config::resolved::Wait;
use crate::drive;
use crate::drive::Drive;
use crate::drive::Patience;
use crate::event::Event;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::RepositoryId;
use crate::model::history::Attribution;
use crate::model::name::ModelName;
use crate::observe::Observer;
use crate::observe::read_config;
use crate::ports::Clock;
use crate::ports::Forge;
use crate::ports::Ports;
use crate::ports::Progress;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use tokio_util::sync::CancellationToken;

/// The largest configuration file that is read from the disk, in bytes.
const ON_DISK_LIMIT: u64 = 16 << 20;

/// The place: a repository, and where its local state lives.
pub struct Place {
    /// The repository.
    pub git: Arc<GitRepository>,
    /// Where the local backend keeps its state.
    pub home: PathBuf,
    /// Whether rules come from the default branch and heads from the remote.
    pub in_ci: bool,
    state: StateDirectory,
    /// How far configuration reaches on this machine: settled once, by whoever may say it first.
    reach: OnceLock<DataReach>,
}

/// Tells whether a job of a CI host names whose rules count: they do then, wherever its repository came from.
pub fn names_rules(default_branch: Option<&BranchName>) -> bool {
    default_branch.is_some() && env_vars::get(env_vars::CI).is_some()
}

impl Place {
    /// Finds the repository around a folder. `event`: an event was handed over, as in CI, or a default branch was named
    /// there ([`names_rules`]).
    pub fn find(directory: Option<&Path>, event: bool) -> Result<Self, Failure> {
        let start = directory.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        let start = std::fs::canonicalize(&start)
            .map_err(|error| Failure::usage(format!("could not enter {}: {error}", start.display())))?;
        let git = GitRepository::discover(&start).map_err(|error| Failure::git(&error))?;
        let named = env_vars::get(env_vars::HOME).map(PathBuf::from);
        let named = named.map(|home| if home.is_absolute() { home } else { start.join(home) });
        let state = StateDirectory::find(&git, named)?;
        let home = state.root.clone();
        // A CI host checks out from somewhere. `CI` alone around a repository without a remote is nobody's checkout.
        let in_ci = event
            || env_vars::get(env_vars::GITHUB_ACTIONS).is_some()
            || (env_vars::get(env_vars::CI).is_some() && git.any_remote().is_some());
        Ok(Self { git: Arc::new(git), home, in_ci, state, reach: OnceLock::new() })
    }

    /// Prepares for an event: one of somebody who may not write reads data of the checkout only and writes nothing; one
    /// that acts moves a state directory that an earlier release left in the working tree.
    pub fn prepare_for(&mut self, event: &Event, acts: bool) {
        if !event.trust.may_write() {
            self.reach = OnceLock::from(DataReach::Checkout);
        } else if acts {
            self.state.settle();
            self.home.clone_from(&self.state.root);
        }
    }

    /// Returns the state directory, whether it exists or not.
    pub fn state(&self) -> Home {
        self.state.home()
    }

    /// Tells how far configuration reaches on this machine, by the first rules that were put together: later ones may be
    /// those of a pull request, which only say what would hold after the merge.
    pub fn data_reach(&self, rules: &Config) -> DataReach {
        let below = || DataReach::Below(rules.data_roots.iter().map(PathBuf::from).collect());
        self.reach.get_or_init(|| if self.in_ci { below() } else { DataReach::Machine }).clone()
    }

    /// Makes a look in CI read data of the repository only: nobody vouches for the rules that it is under.
    pub fn reach_without_rules(&self) {
        if self.in_ci {
            // Set already: by the event, which knows better.
            let _ = self.reach.set(DataReach::Below(Vec::new()));
        }
    }

    /// Which word on a branch counts here.
    pub fn heads(&self) -> Heads {
        if self.in_ci { Heads::Remote } else { Heads::Local }
    }

    /// Lists the branches with their heads. In CI those of `origin`: a local one may be left over from an earlier job.
    pub fn branches(&self) -> Result<Vec<(BranchName, CommitSha)>, GitError> {
        if self.in_ci && self.git.has_origin() { self.git.fetched_branches() } else { self.git.branches(self.heads()) }
    }

    /// Returns the branch that is checked out, or says why there is none.
    pub fn current_branch(&self) -> Result<(BranchName, CommitSha), Failure> {
        match self.git.head().map_err(|error| Failure::git(&error))? {
            Head::Branch { branch, commit } => Ok((branch, commit)),
            Head::Detached { commit } => Err(Failure::usage(format!(
                "HEAD is detached at {}: no branch is checked out, so no stage is meant",
                commit.short()
            ))
            .hint("name it: branchline run --branch BRANCH")),
            Head::Unborn { branch } => {
                Err(Failure::usage(format!("{branch} has no commit yet")).hint("commit something first"))
            }
        }
    }

    /// Reads the configuration of a commit.
    pub fn config_text(&self, commit: &CommitSha) -> Result<Option<SourceText>, Failure> {
        read_config(&self.git, commit).map_err(|error| Failure::git(&error))
    }

    /// Reads the configuration on disk.
    pub fn config_on_disk(&self) -> Result<Option<SourceText>, Failure> {
        let Some(root) = self.git.work_dir() else { return Ok(None) };
        for name in crate::config::FILE_NAMES {
            let path = root.join(name);
            // Opening a pipe would wait for a writer; and what is larger than any configuration is not read whole.
            if std::fs::metadata(&path).is_ok_and(|about| !about.is_file() || about.len() > ON_DISK_LIMIT) {
                return Err(Failure::configuration(format!("{} is not a file of at most 16 MiB", path.display())));
            }
            match std::fs::read(&path) {
                Ok(bytes) => {
                    return self.with_included(SourceText::of_bytes(name, &bytes)).map(Some);
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::io(&format!("read {}", path.display()), &error)),
            }
        }
        Ok(None)
    }

    /// Reads what a configuration on disk includes: files of the working tree, no links.
    pub fn with_included(&self, source: SourceText) -> Result<SourceText, Failure> {
        let patterns = crate::config::include_patterns(&source.text);
        let Some(root) = self.git.work_dir().filter(|_| !patterns.is_empty()) else { return Ok(source) };
        let patterns: Vec<IncludePattern> = patterns.iter().map(|pattern| IncludePattern::of(pattern)).collect();
        let NextCommit { tracked, untracked } = self.git.next_commit().map_err(|error| Failure::git(&error))?;
        let mut included = Vec::new();
        for file in tracked.union(&untracked).filter(|file| **file != source.file) {
            let path = root.join(file);
            let meant = patterns.iter().any(|pattern| pattern.is_match(file));
            let readable = meant && path.symlink_metadata().is_ok_and(|meta| meta.is_file());
            if readable && included.len() <= crate::config::MAX_INCLUDED {
                let bytes =
                    std::fs::read(&path).map_err(|error| Failure::io(&format!("read {}", path.display()), &error))?;
                included.push(IncludedText::of_bytes(file.clone(), &bytes));
            }
        }
        Ok(SourceText { included: Some(included), ..source })
    }

    /// Says that a commit has no configuration, and what to do.
    pub fn no_config(&self, commit: &CommitSha) -> Failure {
        let failure = Failure::configuration(format!("commit {} has no branchline.yaml", commit.short()));
        if let Ok(Head::Branch { branch, commit: head }) = self.git.head()
            && head != *commit
            && self.config_text(&head).ok().flatten().is_some()
        {
            return failure.hint(format!("{branch} has one: merge {branch} into that branch"));
        }
        if self.config_on_disk().ok().flatten().is_some() {
            failure.hint("branchline.yaml is there, but not committed: git add branchline.yaml && git commit")
        } else {
            failure.hint("write one: branchline init")
        }
    }
}

/// Everything that a run needs, put together.
pub struct Composed {
    /// The configuration: rules and settings.
    pub config: Arc<Config>,
    /// The loop.
    pub drive: Arc<Drive>,
    /// The accounts that are used, where any part of the backend is in the cloud.
    pub accounts: Option<Accounts>,
}

/// Puts a run together. `forge`: whom to ask where branches stand now.
pub async fn compose(
    place: &Place,
    rules: SourceText,
    settings: &SourceText,
    repository: RepositoryId,
    progress: Arc<dyn Progress>,
    cancelled: CancellationToken,
    forge: Option<Arc<dyn Forge>>,
) -> Result<Composed, Failure> {
    let config = crate::config::load(&rules, settings).map_err(|problems| Failure::problems(&problems))?;
    let config = Arc::new(config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Backend { trainer, registry, artifacts, datasets, accounts } =
        Backend::of(place, &config, &repository, &clock).await?;
    let ports = Ports { trainer, registry, artifacts, datasets, clock, progress };
    let observer = Observer::new(Arc::clone(&place.git), repository, place.heads(), rules)
        .with_loaded(settings.clone(), Arc::clone(&config))
        .asking(forge);
    let drive = Drive {
        observer: Arc::new(observer),
        ports,
        patience: match config.wait() {
            Wait::Done => Patience::UntilDone,
            Wait::Leave(after) => Patience::For(after),
        },
        on_cancel: match config.on_cancel {
            OnCancel::Stop => drive::OnCancel::Stop,
            OnCancel::Leave => drive::OnCancel::Leave,
        },
        parallel: config.parallel,
        cancelled,
    };
    Ok(Composed { config, drive: Arc::new(drive), accounts })
}

/// Puts a prediction together under other rules: those of a base branch, or those that a merge brings.
///
/// Whatever is asked, is asked through the clients of the run: a file that nobody merged into the default branch names no
/// account, role or bucket that anything is sent to.
pub fn to_predict(
    place: &Place,
    rules: SourceText,
    settings: &SourceText,
    run: &Composed,
) -> Result<Composed, Failure> {
    let config = crate::config::load(&rules, settings).map_err(|problems| Failure::problems(&problems))?;
    let config = Arc::new(config);
    let repository = run.drive.observer.repository().clone();
    let observer = Observer::new(Arc::clone(&place.git), repository, place.heads(), rules)
        .with_loaded(settings.clone(), Arc::clone(&config));
    let drive = Drive {
        observer: Arc::new(observer),
        ports: run.drive.ports.clone(),
        patience: run.drive.patience,
        on_cancel: run.drive.on_cancel,
        parallel: run.drive.parallel,
        cancelled: run.drive.cancelled.clone(),
    };
    Ok(Composed { config, drive: Arc::new(drive), accounts: run.accounts.clone() })
}

/// Says who acts, from where and why.
pub fn attribution(place: &Place, event: &Event, reason: Option<String>) -> Attribution {
    let local_key = || format!("local/{}", uuid::Uuid::new_v4());
    Attribution {
        actor: event.acted_by().map(str::to_owned).or_else(|| place.git.user_name()),
        event: event.name.clone(),
        run_url: event.run.url.clone(),
        run_key: event.run.key.clone().unwrap_or_else(local_key),
        pull_request: None,
        reviewed_by: Vec::new(),
        reason,
    }
}

/// Joins what the host and what Git know of the repository.
pub fn repository_id(place: &Place, host: &RepositoryId) -> RepositoryId {
    let local = place.git.identity();
    RepositoryId {
        host_id: host.host_id.clone().or(local.host_id),
        remote: host.remote.clone().or(local.remote),
        root: host.root.clone().or(local.root),
    }
}

/// Parses the models that a run is narrowed to.
pub fn chosen_models(config: &Config, names: &[String]) -> Result<Vec<ModelName>, Failure> {
    names
        .iter()
        .map(|name| {
            let found = ModelName::parse(name).ok().filter(|model| config.models.contains_key(model));
            found.ok_or_else(|| {
                let known: Vec<&str> = config.models.keys().map(ModelName::as_str).collect();
                Failure::usage(format!("there is no model `{}`", crate::report::terminal::plain(name)))
                    .hint(format!("the models are: {}", known.join(", ")))
            })
        })
        .collect()
}
