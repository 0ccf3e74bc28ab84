//! The outputs of the step, which are written however the command ends: a later step must not read those of nothing.
//!
//! A run writes them with its outcome. What has none, as `check`, or ends before any outcome, writes the
//! verdict and the exit code here. Deliberately absent: what the outputs mean (`report::outputs`).

use crate::adapters::runner::Runner;
use crate::adapters::runner::RunnerFileError;
use crate::cli::env_vars;
use crate::cli::failure;
use crate::cli::notice;
use crate::model::verdict::Verdict;
use crate::report::outputs::StepOutputs;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// Whether this process wrote them.
static WRITTEN: AtomicBool = AtomicBool::new(false);

/// Writes the outputs of an outcome.
pub fn write(runner: &Runner, outputs: &StepOutputs) -> Result<(), RunnerFileError> {
    runner.files().append_outputs(&outputs.pairs())?;
    WRITTEN.store(true, Ordering::SeqCst);
    Ok(())
}

/// Writes verdict and exit code of a command that ended without an outcome. Does nothing where outputs were written,
/// and outside of a runner.
///
/// A command that only answers, as `status` does, writes none over those of a run before it in the same step.
pub fn write_end(exit: u8) {
    if WRITTEN.load(Ordering::SeqCst) {
        return;
    }
    let Some(runner) = Runner::from_lookup(env_vars::get) else { return };
    if exit == 0 && runner.files().has_outputs() {
        return;
    }
    if let Err(error) = write(&runner, &StepOutputs::without_outcome(verdict(exit), exit)) {
        notice(&format!("warning: {error}"));
    }
}

/// What an exit code without an outcome says.
fn verdict(exit: u8) -> Verdict {
    match exit {
        0 => Verdict::Passed,
        failure::BLOCKED => Verdict::Blocked,
        failure::FAILED => Verdict::Failed,
        130 | 143 => Verdict::Cancelled,
        _ => Verdict::Errored,
    }
}
