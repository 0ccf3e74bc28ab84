//! The command line as it is typed.

use crate::cli::flag;
use crate::model::git::BranchName;
use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use std::path::PathBuf;

/// Git branches drive your machine-learning models.
///
/// A push to a feature branch trains, gates and registers; a merge to prod copies the tested artifact forward;
/// a person approves. On this machine, or in CI.
#[derive(Debug, Parser)]
#[command(name = "branchline", version, disable_help_subcommand = true, propagate_version = false)]
pub struct Cli {
    /// Act as if started in this folder.
    #[arg(short = 'C', long = "directory", global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How a reading command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: a documented shape with a `schema` number.
    Json,
}

/// How a command answers that plans or acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutcomeFormat {
    /// For people.
    Text,
    /// For programs: a documented shape with a `schema` number.
    Json,
    /// For a page or a comment: Markdown.
    Md,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a sample repository and walk through the whole story in it.
    Demo {
        /// Where to make it. It must not exist yet, or be empty.
        #[arg(default_value = "branchline-demo")]
        dir: PathBuf,
    },
    /// Write a commented `branchline.yaml` from what is found here. Never overwrites.
    Init {
        /// Write the workflow files for GitHub too, for the branches of the configuration.
        #[arg(long)]
        github: bool,
        /// The Action that the workflow files use: OWNER/REPOSITORY@COMMIT, as the page of a release shows it.
        #[arg(long, value_name = "USES", requires = "github")]
        action: Option<String>,
    },
    /// Check the configuration file on disk: every problem at once, with its line.
    Check {
        /// The file; by default the repository's own.
        file: Option<PathBuf>,
        /// Say which stage a branch of this name reaches, by which pattern, and what a push to it would do.
        #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
        explain_branch: Option<String>,
        /// How to answer.
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Look whether everything that a run needs in the cloud is there and allowed, without spending anything.
    Doctor(DoctorArgs),
    /// Print the least permissions that this configuration needs in the cloud, and who may assume them.
    Iam(IamArgs),
    /// Make the model groups that do not exist yet in the cloud. Doing it again changes nothing.
    Bootstrap(BootstrapArgs),
    /// Show what `run` would do now, and why, without doing it.
    Plan(EventArgs),
    /// Act on the push of a branch, or on an event: train, gate, register, promote.
    Run(EventArgs),
    /// Show what every group stands for.
    Status {
        /// How to answer.
        #[arg(long, default_value = "text")]
        format: Format,
        /// Only these models.
        #[arg(long = "model", value_name = "MODEL")]
        models: Vec<String>,
        /// How many versions of each group to list at most, newest first.
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
    },
    /// Show the versions of a group, or everything about one of them.
    Show {
        /// The group: in full, or by target with `--model`.
        group: String,
        /// The version: `12` or `v12`.
        version: Option<String>,
        /// The model, where the group is given by target.
        #[arg(long)]
        model: Option<String>,
        /// How to answer.
        #[arg(long, default_value = "text")]
        format: Format,
        /// How many versions to list at most, newest first.
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
    },
    /// Write the artifact of a group's current version, or of one of its versions, to a file. Verified.
    Get(GetArgs),
    /// Show what a group stood for at any time: who approved it, from which pull request, commit and data.
    History(HistoryArgs),
    /// Show the commits that changed a model, with the versions that each of them gave.
    Log {
        /// Only these models.
        #[arg(long = "model", value_name = "MODEL")]
        models: Vec<String>,
        /// The branch; by default the current one.
        #[arg(long)]
        branch: Option<String>,
        /// How many commits of each model to show at most, newest first.
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: usize,
        /// How to answer.
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Compare two versions: metrics, settings, data, code, approval.
    Diff {
        /// The one: `dev:3`, `churn-dev:3`, or `prod` for the current version.
        a: String,
        /// The other.
        b: String,
        /// The model, where the groups are given by target.
        #[arg(long)]
        model: Option<String>,
        /// How to answer.
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Print the code id and the fingerprint of a commit, one line each.
    Fingerprint {
        /// Only these models.
        #[arg(long = "model", value_name = "MODEL")]
        models: Vec<String>,
        /// The commit; by default what is checked out. Uncommitted changes never count.
        #[arg(long)]
        commit: Option<String>,
        /// The stage whose settings count; by default that of the current branch.
        #[arg(long)]
        stage: Option<String>,
        /// Show what went into each.
        #[arg(long)]
        explain: bool,
        /// How to answer.
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Say what a reason, a verdict or an exit code means, why it comes, and what to do.
    Explain {
        /// The code, as in `gate-failed`, `blocked` or `30`; without it, all are listed.
        code: Option<String>,
        /// How to answer.
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Show the configuration.
    Config {
        /// What to do.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print what makes a shell complete commands and options.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Copy an approved version into another group.
    Promote {
        /// The model, where the groups are given by target.
        #[arg(long)]
        model: Option<String>,
        /// The group to copy from.
        #[arg(long, value_name = "GROUP")]
        from: String,
        /// The group to copy to.
        #[arg(long, value_name = "GROUP")]
        to: String,
        /// Which version of `from`; by default its current one.
        #[arg(long)]
        version: Option<String>,
        #[command(flatten)]
        by_hand: ByHandArgs,
    },
    /// Approve a version: it becomes current.
    Approve(ApprovalArgs),
    /// Reject a version: it never comes back automatically.
    Reject(ApprovalArgs),
    /// Bring back the version that was current before, withdraw the current one, and freeze the group.
    Rollback {
        #[command(flatten)]
        freeze: FreezeArgs,
        /// The version to bring back; by default the last one that was current.
        #[arg(long, value_name = "VERSION")]
        to: Option<String>,
    },
    /// Stop every automatic change of a group.
    Freeze(FreezeArgs),
    /// Allow automatic changes of a group again.
    Unfreeze(FreezeArgs),
    /// Register an externally trained model as a version, judged by the same gates.
    Register(RegisterArgs),
    /// Import the versions of another group, or of a group in another state directory, with their lineage, metrics and approval.
    Import(ImportArgs),
    /// Train a commit manually, also again.
    Train {
        #[command(flatten)]
        run: RunArgs,
        /// Train although it was trained already; the result becomes a new version.
        #[arg(long, requires = "reason")]
        again: bool,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Finish what is open on every stage branch; begin nothing new.
    Reconcile {
        /// Only this stage.
        #[arg(long)]
        stage: Option<String>,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Take away what nothing current, pending or kept by `keep` needs. Only says so without `--yes`.
    Prune(PruneArgs),
    /// Print the JSON Schema of `branchline.yaml`.
    Schema,
    /// Supervise one training.
    #[command(hide = true)]
    TrainWorker {
        /// Its folder.
        dir: PathBuf,
    },
}

/// What `config` does.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the file as it is on disk, or that of a branch or a commit.
    Show {
        /// With every default filled in, as it is meant.
        #[arg(long)]
        resolved: bool,
        /// That of the head of this branch.
        #[arg(long, conflicts_with = "commit")]
        branch: Option<String>,
        /// That of this commit.
        #[arg(long)]
        commit: Option<String>,
        /// How to answer.
        #[arg(long, default_value = "text")]
        format: Format,
    },
}

/// How `history` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HistoryFormat {
    /// For people.
    Table,
    /// The same.
    #[value(hide = true)]
    Text,
    /// For programs: a documented shape with a `schema` number.
    Json,
    /// For a spreadsheet.
    Csv,
    /// For a Markdown page.
    Md,
}

/// Which part of which history.
///
/// A TIME is RFC 3339, a date, a date with a time (both UTC), or how long ago it was, such as `3d`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The group: in full, or by target with `--model`.
    pub group: String,
    /// The model, where the group is given by target.
    #[arg(long)]
    pub model: Option<String>,
    /// Only what was current at this time: `2026-11-09 14:00` (UTC), RFC 3339, or how long ago, as in `3d`.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["from", "to"])]
    pub at: Option<String>,
    /// Only what was current from this time on.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Only what was current before this time.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Every recorded change instead of the periods: also what was registered, rejected or frozen.
    #[arg(long)]
    pub changes: bool,
    /// How to answer.
    #[arg(long, default_value = "table")]
    pub format: HistoryFormat,
}

/// Which artifact `get` writes, and where.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The group: in full, or by target with `--model`.
    pub group: String,
    /// The file to write. An existing file is not replaced.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The version: `12` or `v12`; by default the current one.
    #[arg(long)]
    pub version: Option<String>,
    /// The model, where the group is given by target.
    #[arg(long)]
    pub model: Option<String>,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
    /// How to answer.
    #[arg(long, default_value = "text")]
    pub format: Format,
}

/// What `prune` removes.
#[derive(Debug, Args)]
pub struct PruneArgs {
    #[command(flatten)]
    pub caller: CallerArgs,
    /// Do it.
    #[arg(long)]
    pub yes: bool,
    /// Only versions, artifacts and trainings of these models.
    #[arg(long = "model", value_name = "MODEL")]
    pub models: Vec<String>,
    /// How to answer.
    #[arg(long, default_value = "text")]
    pub format: Format,
}

/// What `run` and `plan` act on: what was pushed, or what would be merged.
#[derive(Debug, Args)]
pub struct EventArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Say what merging the branch into this one would do, as for a pull request. Nothing is written.
    #[arg(long, value_name = "BRANCH", value_parser = flag::branch, conflicts_with = "event")]
    into: Option<BranchName>,
}

impl EventArgs {
    /// Returns all of it in one.
    pub fn joined(self) -> RunArgs {
        RunArgs { into: self.into, ..self.run }
    }
}

/// What a run acts on, and who asks.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Act as if this branch had just been pushed; by default the current one.
    #[arg(long)]
    pub branch: Option<String>,
    /// Act as if the branch had been pushed at this commit; by default its head.
    #[arg(long)]
    pub commit: Option<String>,
    /// Act on this event, as the CI host names it: `push`, `pull_request`, ...
    #[arg(long, value_name = "NAME", requires = "payload")]
    pub event: Option<String>,
    /// The event's payload, a JSON file.
    #[arg(long, value_name = "FILE", requires = "event")]
    pub payload: Option<PathBuf>,
    /// Only these models.
    #[arg(long = "model", value_name = "MODEL")]
    pub models: Vec<String>,
    /// The branch whose rules count, where the CI host does not say it.
    #[arg(long, value_name = "BRANCH", value_parser = flag::branch)]
    pub default_branch: Option<BranchName>,
    /// Who caused it, as the CI host names them: for lineage and history.
    #[arg(long, value_name = "LOGIN", value_parser = flag::actor, conflicts_with = "event")]
    pub actor: Option<String>,
    /// The address of the CI host's job: for lineage and history.
    #[arg(long, value_name = "URL", value_parser = flag::run_url, conflicts_with = "event")]
    pub run_url: Option<String>,
    /// How to answer.
    #[arg(long, default_value = "text")]
    pub format: OutcomeFormat,
    /// The branch that a merge would go into. Only `run` and `plan` are asked that.
    #[arg(skip)]
    pub into: Option<BranchName>,
}

impl RunArgs {
    /// Returns who gives the command, and whose rules hold.
    pub fn caller(&self) -> CallerArgs {
        let RunArgs { actor, run_url, default_branch, .. } = self.clone();
        CallerArgs { actor, run_url, default_branch }
    }
}

/// Which version a person speaks of.
#[derive(Debug, Args)]
pub struct ApprovalArgs {
    /// The group: in full, or by target with `--model`.
    #[arg(long)]
    pub group: String,
    /// The version: `12` or `v12`; by default the newest that awaits approval.
    #[arg(long)]
    pub version: Option<String>,
    /// The model, where the group is given by target.
    #[arg(long)]
    pub model: Option<String>,
    #[command(flatten)]
    pub by_hand: ByHandArgs,
}

/// An externally trained model.
#[derive(Debug, Args)]
pub struct RegisterArgs {
    /// The model.
    #[arg(long)]
    pub model: String,
    /// The model's file, taken as it is; or its folder, which is packed.
    #[arg(long, value_name = "PATH")]
    pub artifact: PathBuf,
    /// What was measured: a JSON object of names and numbers.
    #[arg(long, value_name = "FILE")]
    pub metrics: PathBuf,
    /// The commit that it was trained from; by default the one that is checked out, if nothing is changed.
    #[arg(long)]
    pub commit: Option<String>,
    /// The group, in full or by target; by default that of the current branch's training stage.
    #[arg(long)]
    pub group: Option<String>,
    #[command(flatten)]
    pub by_hand: ByHandArgs,
}

/// What is imported.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The group to import from, in full. It need not be configured.
    #[arg(long, value_name = "SOURCE")]
    pub group: String,
    /// The model.
    #[arg(long)]
    pub model: String,
    /// The group to import into: in full, or by target.
    #[arg(long, value_name = "GROUP")]
    pub to: String,
    /// The state directory that holds the group; by default this one.
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Also from a group of another repository.
    #[arg(long, requires = "reason")]
    pub foreign: bool,
    #[command(flatten)]
    pub by_hand: ByHandArgs,
}

/// Which group is rolled back, frozen or unfrozen, and why.
#[derive(Debug, Args)]
pub struct FreezeArgs {
    /// The group: in full, or by target with `--model`.
    #[arg(long)]
    pub group: String,
    /// The model, where the group is given by target.
    #[arg(long)]
    pub model: Option<String>,
    #[command(flatten)]
    pub caller: CallerArgs,
    /// Why: it stands in the history, and wherever the freeze is shown.
    #[arg(long)]
    pub reason: String,
    /// Say what would be done, without doing it.
    #[arg(long)]
    pub dry_run: bool,
    /// How to answer.
    #[arg(long, default_value = "text")]
    pub format: OutcomeFormat,
}

impl FreezeArgs {
    /// Returns what every manual command takes.
    pub fn by_hand(&self) -> ByHandArgs {
        let caller = self.caller.clone();
        ByHandArgs { caller, reason: Some(self.reason.clone()), dry_run: self.dry_run, format: self.format }
    }
}

/// Who gives a command, and whose rules hold, where no event of the CI host says it.
#[derive(Debug, Clone, Default, Args)]
pub struct CallerArgs {
    /// Who gives the command, as the CI host names them: for `approvers`, and for the history.
    #[arg(long, value_name = "LOGIN", value_parser = flag::actor)]
    pub actor: Option<String>,
    /// The address of the CI host's job: for the history.
    #[arg(long, value_name = "URL", value_parser = flag::run_url)]
    pub run_url: Option<String>,
    /// The branch whose rules count, where the CI host does not say it.
    #[arg(long, value_name = "BRANCH", value_parser = flag::branch)]
    pub default_branch: Option<BranchName>,
}

/// What every manual command takes.
#[derive(Debug, Args)]
pub struct ByHandArgs {
    #[command(flatten)]
    pub caller: CallerArgs,
    /// Why: it stands in the history.
    #[arg(long)]
    pub reason: Option<String>,
    /// Say what would be done, without doing it.
    #[arg(long)]
    pub dry_run: bool,
    /// How to answer.
    #[arg(long, default_value = "text")]
    pub format: OutcomeFormat,
}

/// As what permissions are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IamFormat {
    /// Policy documents, for every account.
    Json,
    /// A Terraform file, for one account.
    Terraform,
    /// A CloudFormation template, for one account.
    Cloudformation,
}

/// `iam`.
#[derive(Debug, Args)]
pub struct IamArgs {
    /// As what to print them.
    #[arg(long, default_value = "json")]
    pub format: IamFormat,
    /// Only this role: its name, a stage, or `pull-request`.
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Only this account.
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    /// The repository on GitHub whose jobs assume the roles; by default that of `origin`.
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<String>,
    /// How the subject of GitHub's identity tokens begins, where it is not `repo:OWNER/NAME`:
    /// `gh api repos/OWNER/NAME/actions/oidc/customization/sub` tells.
    #[arg(long, value_name = "TEXT")]
    pub subject_prefix: Option<String>,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Only what this stage needs: for the role that works for it.
    #[arg(long)]
    pub stage: Option<String>,
    /// Write nothing, not even an object that is removed again: for the role of pull requests.
    #[arg(long)]
    pub read_only: bool,
    /// How to answer.
    #[arg(long, default_value = "text")]
    pub format: Format,
}

/// `bootstrap`.
#[derive(Debug, Args)]
pub struct BootstrapArgs {
    /// Only the groups that this stage feeds.
    #[arg(long)]
    pub stage: Option<String>,
    /// Say what would be done, without doing it.
    #[arg(long)]
    pub dry_run: bool,
}
