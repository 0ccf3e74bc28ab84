//! Time, so that a test can hold it still.

use std::time::Duration;

/// The time, and waiting.
#[async_trait::async_trait]
pub trait Clock: Send + Sync {
    /// Returns the present, UTC.
    fn now(&self) -> jiff::Timestamp;

    /// Waits.
    async fn sleep(&self, duration: Duration);
}
