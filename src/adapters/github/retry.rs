//! When a request is tried again, and how long to wait before that.
//!
//! Source of the rules about limits: "Best practices for using the REST API" in GitHub's documentation. A POST is
//! never simply repeated: see `Client::create`.

use crate::adapters::github::client::Answer;
use backon::BackoffBuilder;
use backon::ExponentialBuilder;
use jiff::Timestamp;
use std::time::Duration;

/// How often and how long a request is tried.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Tries of one request, the first one included.
    pub tries: usize,
    /// The pause before the second try; it doubles, with jitter.
    pub first_pause: Duration,
    /// The longest pause that we choose ourselves.
    pub longest_pause: Duration,
    /// The longest wait that GitHub may ask for. A longer one is an error that says until when.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 4,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(10),
            longest_wait: Duration::from_secs(120),
        }
    }
}

impl Patience {
    /// The pauses between the tries.
    pub(super) fn pauses(self) -> impl Iterator<Item = Duration> + Send {
        ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_max_times(self.tries.saturating_sub(1))
            .with_jitter()
            .build()
    }
}

/// What an answer means for trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is the answer.
    Final,
    /// The service stumbled: whether the request was carried out is not known. It may say when to come again.
    Unsure(Option<Duration>),
    /// Too many requests: this one was not carried out. Wait so long, or for a while if GitHub does not say.
    Limited(Option<Duration>),
}

/// Judges an answer.
pub(super) fn judge(answer: &Answer, now: Timestamp) -> Judgement {
    let status = answer.status;
    if status.is_server_error() {
        return Judgement::Unsure(answer.header("retry-after").and_then(seconds));
    }
    if !matches!(status.as_u16(), 403 | 429) {
        return Judgement::Final;
    }
    if let Some(wait) = answer.header("retry-after").and_then(seconds) {
        return Judgement::Limited(Some(wait));
    }
    if answer.header("x-ratelimit-remaining") == Some("0")
        && let Some(reset) = answer.header("x-ratelimit-reset").and_then(|text| text.trim().parse::<i64>().ok())
    {
        // One second more: the reset is a whole second, and clocks differ.
        let left = reset.saturating_sub(now.as_second()).clamp(0, 86_400) + 1;
        return Judgement::Limited(Some(Duration::from_secs(left.unsigned_abs())));
    }
    // A secondary limit may come as a plain 403; what tells it from a missing permission is only its text.
    let says_limit = answer.error().is_some_and(|error| error.is_about_limits());
    if status.as_u16() == 429 || says_limit { Judgement::Limited(None) } else { Judgement::Final }
}

/// Without any hint, GitHub asks for at least a minute, and longer each time.
pub(super) fn unsaid_wait(earlier: u32) -> Duration {
    Duration::from_secs(60u64 << earlier.min(4))
}

fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse::<u64>().ok().map(Duration::from_secs)
}
