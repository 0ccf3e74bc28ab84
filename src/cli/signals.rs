//! SIGINT and SIGTERM: the first ends the loop cleanly, the second ends the process at once. Where no loop goes on, the
//! first one ends the process, with a word and without anything unfinished.

use crate::adapters::unfinished;
use crate::cli::failure::Failure;
use crate::cli::refuse_in_json;
use crate::cli::step_outputs;
use crate::cli::streams;
use crate::model::verdict::Verdict;
use crate::outcome::Outcome;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use tokio_util::sync::CancellationToken;

/// Exit code of a process that SIGINT ended.
const INTERRUPTED: u8 = 130;
/// Exit code of a process that SIGTERM ended.
const TERMINATED: u8 = 143;

/// Whether a loop takes the signals.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Begins to end the process at a signal, for as long as no loop takes it.
pub fn watch(runtime: &tokio::runtime::Runtime) {
    runtime.spawn(async {
        loop {
            let code = next().await;
            if !TAKEN.load(Ordering::SeqCst) {
                let failure = cancelled(code);
                streams::err(&failure.render());
                refuse_in_json(&failure);
                leave_at_once(code);
            }
        }
    });
}

/// What a command says that was cancelled half-way.
fn cancelled(code: u8) -> Failure {
    let signal = if code == TERMINATED { "SIGTERM" } else { "SIGINT" };
    Failure::new(code, format!("cancelled by {signal} before the command had ended"))
        .hint("run it again: what it had written in part was removed")
}

/// Listens for signals while a run goes on.
pub struct Signals {
    seen: Arc<AtomicU8>,
}

impl Signals {
    /// Begins to listen: the first signal sets the token. Must be called inside a runtime.
    pub fn listen(cancelled: CancellationToken) -> Self {
        TAKEN.store(true, Ordering::SeqCst);
        let seen = Arc::new(AtomicU8::new(0));
        let mark = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let code = next().await;
                if mark.swap(code, Ordering::SeqCst) != 0 {
                    leave_at_once(code);
                }
                cancelled.cancel();
            }
        });
        Self { seen }
    }

    /// Returns the exit code of an outcome: a cancelled one says by which signal.
    pub fn exit_code(&self, outcome: &Outcome) -> u8 {
        match (outcome.verdict, self.seen.load(Ordering::SeqCst)) {
            (Verdict::Cancelled, code) if code != 0 => code,
            _ => outcome.exit_code(),
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::SeqCst);
    }
}

#[expect(clippy::exit, clippy::disallowed_methods, reason = "the second signal means: now")]
fn leave_at_once(code: u8) {
    unfinished::remove_all();
    step_outputs::write_end(code);
    std::process::exit(i32::from(code));
}

#[cfg(unix)]
async fn next() -> u8 {
    use tokio::signal::unix::SignalKind;
    use tokio::signal::unix::signal;
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the default action ends the process, which any later run repairs.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => INTERRUPTED,
        _ = terminate.recv() => TERMINATED,
    }
}

#[cfg(not(unix))]
async fn next() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => INTERRUPTED,
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_shell() {
        assert_eq!((INTERRUPTED, TERMINATED), (128 + 2, 128 + 15));
    }

    #[test]
    fn a_cancelled_command_says_by_which_signal() {
        let failure = cancelled(TERMINATED);
        assert_eq!(failure.exit, 143);
        assert!(failure.text.contains("cancelled by SIGTERM"), "{}", failure.text);
        assert!(serde_json::to_string(&failure.as_json()).is_ok_and(|text| text.contains("\"code\":\"cancelled\"")));
    }
}
