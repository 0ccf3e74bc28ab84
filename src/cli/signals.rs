//! SIGINT and SIGTERM: the first ends the loop cleanly, the second ends the process at once.

use crate::cli::step_outputs;
use crate::model::verdict::Verdict;
use crate::outcome::Outcome;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use tokio_util::sync::CancellationToken;

/// Exit code of a process that SIGINT ended.
const INTERRUPTED: u8 = 130;
/// Exit code of a process that SIGTERM ended.
const TERMINATED: u8 = 143;

/// Listens for signals while a run goes on.
pub struct Signals {
    seen: Arc<AtomicU8>,
}

impl Signals {
    /// Begins to listen: the first signal sets the token. Must be called inside a runtime.
    pub fn listen(cancelled: CancellationToken) -> Self {
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

#[expect(clippy::exit, clippy::disallowed_methods, reason = "the second signal means: now")]
fn leave_at_once(code: u8) {
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
}
