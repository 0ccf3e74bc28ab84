//! The composition root and the commands: arguments in, text and an exit code out.
//!
//! Deliberately absent: business decisions. What may be promoted or trained is decided in `plan`.

mod address;
mod args;
mod backend;
mod by_hand;
mod caller;
mod check;
mod compose;
mod demo;
mod diff;
mod dispatch;
mod doctor;
mod elsewhere;
mod env_vars;
mod explain;
mod failure;
mod fault;
mod fingerprint;
mod flag;
mod get;
mod history;
mod host;
mod iam;
mod import;
mod init;
mod limits;
mod log;
mod named_files;
mod occasion;
mod predict;
mod progress;
mod prune;
mod pull_request;
mod read;
mod reconcile;
mod run;
mod signals;
mod state;
mod state_directory;
mod step_outputs;
mod streams;
mod when;
mod whose_rules;
mod workflows;

use crate::adapters::local::outlive_size_limit;
use crate::adapters::local::worker;
use crate::adapters::system;
use crate::adapters::unfinished;
use crate::cli::args::Cli;
use crate::cli::args::Command;
use crate::cli::args::ConfigCommand;
use crate::cli::failure::Failure;
use clap::CommandFactory as _;
use clap::Parser as _;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// Runs the program.
pub fn main() -> ExitCode {
    // First of all: another process of the same user must not read the token out of this one.
    system::close_to_other_processes();
    fault::tell_of_faults();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" of exit 0; clap prints each where it belongs.
            let exit = u8::try_from(error.exit_code()).unwrap_or(failure::USAGE);
            let text = error.render().ansi().to_string();
            if error.use_stderr() {
                streams::err(&text);
            } else {
                drop(print(&text));
            }
            if exit != 0 {
                refuse_in_json(&Failure::command_line(&error));
            }
            // Help and version are no command of a step.
            if exit != 0 {
                step_outputs::write_end(exit);
            }
            return ExitCode::from(exit);
        }
    };
    if let Command::TrainWorker { dir } = &cli.command {
        return worker::main(dir);
    }
    outlive_size_limit();
    let exit = match runtime().map(signals::watch).and_then(|()| dispatch(cli)) {
        Ok(exit) => exit,
        Err(failure) => {
            streams::err(&failure.render());
            refuse_in_json(&failure);
            failure.exit
        }
    };
    // A run that was cancelled does not wait for the threads that still write.
    unfinished::remove_all();
    step_outputs::write_end(exit);
    ExitCode::from(exit)
}

/// Whether standard output holds a document already. Some commands answer, and fail afterwards.
static ANSWERED: AtomicBool = AtomicBool::new(false);

/// Gives a program that reads standard output the refusal too, where it asked for JSON and has no answer.
fn refuse_in_json(failure: &Failure) {
    if !ANSWERED.load(Ordering::SeqCst) && wants_json(std::env::args_os()) {
        drop(print_json(&failure.as_json()));
    }
}

/// Tells whether the answer was asked for as JSON, also on a command line that does not parse.
fn wants_json(args: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<OsString> = args.collect();
    words.iter().any(|word| word == "--format=json")
        || words.windows(2).any(|two| two[0] == "--format" && two[1] == "json")
}

fn dispatch(cli: Cli) -> Result<u8, Failure> {
    let directory = cli.directory.as_deref();
    match cli.command {
        Command::Demo { dir } => demo::demo(directory, &dir),
        Command::Init { github, action } => init::init(directory, github, action.as_deref()),
        Command::Check { file, explain_branch, format } => {
            check::check(directory, file.as_deref(), explain_branch.as_deref(), format)
        }
        Command::Plan(args) => run::run(directory, &args.joined(), &run::Mode::Plan),
        Command::Run(args) => run::run(directory, &args.joined(), &run::Mode::Run),
        Command::Status { format, models, limit } => read::status(directory, format, &models, limit),
        Command::Show { group, version, model, format, limit } => {
            read::show(directory, &group, version.as_deref(), model.as_deref(), format, limit)
        }
        Command::Get(args) => get::get(directory, &args),
        Command::History(args) => history::history(directory, &args),
        Command::Log { models, branch, limit, format } => {
            log::log(directory, &models, branch.as_deref(), limit, format)
        }
        Command::Diff { a, b, model, format } => diff::diff(directory, &a, &b, model.as_deref(), format),
        Command::Fingerprint { models, commit, stage, explain, format } => {
            let (commit, stage) = (commit.as_deref(), stage.as_deref());
            let question = fingerprint::Question { models: &models, commit, stage, explain, format };
            fingerprint::fingerprint(directory, &question)
        }
        Command::Doctor(args) => doctor::doctor(directory, &args),
        Command::Bootstrap(args) => doctor::bootstrap(directory, &args),
        Command::Iam(args) => iam::iam(directory, &args),
        Command::Explain { code, format } => explain::explain(code.as_deref(), format),
        Command::Config { command: ConfigCommand::Show { resolved, branch, commit, format } } => {
            let (branch, commit) = (branch.as_deref(), commit.as_deref());
            check::config_show(directory, &check::Shown { branch, commit, resolved, format })
        }
        Command::Completions { shell } => completions(shell),
        Command::Promote { model, from, to, version, by_hand } => {
            by_hand::promote(directory, model.as_deref(), &from, &to, version.as_deref(), &by_hand)
        }
        Command::Approve(args) => by_hand::approve(directory, &args),
        Command::Reject(args) => by_hand::reject(directory, &args),
        Command::Rollback { freeze, to } => by_hand::rollback(directory, &freeze, to.as_deref()),
        Command::Freeze(args) => by_hand::freeze(directory, &args, true),
        Command::Unfreeze(args) => by_hand::freeze(directory, &args, false),
        Command::Register(args) => elsewhere::register(directory, &args),
        Command::Import(args) => import::import(directory, &args),
        Command::Train { run, again, reason } => run::train(directory, &run, again, reason),
        Command::Reconcile { stage, run } => run::reconcile(directory, stage.as_deref(), &run),
        Command::Prune(args) => prune::prune(directory, &args),
        Command::Schema => print(&crate::config::json_schema()),
        // Answered before: a worker prints nothing and has exit codes of its own.
        Command::TrainWorker { .. } => Ok(0),
    }
}

/// Prints what makes a shell complete commands and options.
fn completions(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "branchline", &mut text);
    print(&String::from_utf8_lossy(&text))
}

/// Prints to standard output. A reader that went away is not a failure.
fn print(text: &str) -> Result<u8, Failure> {
    printed(streams::out(text))
}

fn printed(result: std::io::Result<()>) -> Result<u8, Failure> {
    match result {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(Failure::io("write to standard output", &error)),
    }
}

/// Prints a value as JSON.
fn print_json(value: &impl serde::Serialize) -> Result<u8, Failure> {
    ANSWERED.store(true, Ordering::SeqCst);
    printed(streams::out_json(&json(value)?))
}

/// Writes a value as a JSON document.
fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::new(failure::BUG, format!("could not write JSON: {error}")))
}

/// Prints a notice to standard error.
fn notice(text: &str) {
    streams::err(&format!("{text}\n"));
}

/// Runs a future to its end on the program's one runtime: connections outlive the future that opened them.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(runtime()?.block_on(future))
}

/// The program's one runtime.
fn runtime() -> Result<&'static tokio::runtime::Runtime, Failure> {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("start the runtime", &error))?;
    Ok(RUNTIME.get_or_init(|| runtime))
}
