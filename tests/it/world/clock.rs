//! A clock that stands still until it is moved.

use branchline::ports::Clock;
use std::sync::Mutex;
use std::time::Duration;

/// Time by hand. Sleeping passes at once, so that no test waits for a duration.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<jiff::Timestamp>,
}

impl ManualClock {
    /// Starts at a fixed moment.
    pub fn new() -> Self {
        Self { now: Mutex::new("2026-11-01T08:00:00Z".parse().expect("a timestamp")) }
    }

    /// Moves on, or back where `seconds` is negative.
    pub fn advance(&self, seconds: i64) {
        let mut now = self.now.lock().expect("nobody panics with the clock");
        *now = now.checked_add(jiff::SignedDuration::from_secs(seconds)).expect("within the calendar");
    }
}

#[async_trait::async_trait]
impl Clock for ManualClock {
    fn now(&self) -> jiff::Timestamp {
        *self.now.lock().expect("nobody panics with the clock")
    }

    async fn sleep(&self, _duration: Duration) {
        tokio::task::yield_now().await;
    }
}
