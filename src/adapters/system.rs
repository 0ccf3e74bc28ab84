//! The machine that we run on: its time, and the few environment variables that a training may see.
//!
//! Deliberately absent: what the CI host says in its variables (that is the runner's) and our own settings
//! (that is the command line's).

use crate::ports::clock::Clock;
use std::ffi::OsString;
use std::time::Duration;
use std::time::Instant;

/// The real clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait::async_trait]
impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Returns the present, UTC.
#[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Measures time that passes, whatever happens to the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to measure.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system how time passes")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns how long it has been.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The variables that local training keeps of the environment of whoever starts it. Those of CI and of cloud
/// accounts are not among them, so that training cannot depend on them and cannot read a secret from them.
#[cfg(not(windows))]
pub const KEPT_VARIABLES: &[&str] = &["PATH", "HOME", "VIRTUAL_ENV", "LANG"];

/// The variables that local training keeps, and those without which Windows starts no process at all.
#[cfg(windows)]
pub const KEPT_VARIABLES: &[&str] =
    &["PATH", "HOME", "VIRTUAL_ENV", "LANG", "SystemRoot", "PATHEXT", "COMSPEC", "TEMP", "TMP", "USERPROFILE"];

/// Lets no other process of the same user read the memory or the first environment of this one, which may hold a token:
/// on Linux `/proc/<pid>` belongs to root from here on. No core is dumped either.
pub fn close_to_other_processes() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::DumpableBehavior;
        // A kernel that refuses leaves things as they were.
        let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Returns those of [`KEPT_VARIABLES`] that are set.
#[expect(clippy::disallowed_methods, reason = "one of the two places that read the environment")]
pub fn kept_environment() -> Vec<(OsString, OsString)> {
    KEPT_VARIABLES.iter().filter_map(|name| std::env::var_os(name).map(|value| (OsString::from(name), value))).collect()
}
