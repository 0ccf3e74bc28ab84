//! How fast requests may come and when one is tried again.
//!
//! SageMaker allows about two lists and one creation a second for an account; many runs share that. Nothing that
//! changes something is sent twice unless it is certain that the first did nothing: whoever asked reads first.

use crate::adapters::aws::refused::Class;
use crate::adapters::aws::refused::Refused;
use crate::adapters::system::Stopwatch;
use backon::BackoffBuilder;
use backon::ExponentialBuilder;
use std::future::Future;
use std::time::Duration;
use tokio::sync::Mutex;

/// What kind of request it is: how fast they may come, and whether one may be sent again blindly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Reads one thing.
    Read,
    /// Lists or searches: two a second.
    List,
    /// Makes something: one a second. Sent again only if it certainly did nothing.
    Create,
    /// Changes something. Sent again only if it certainly did nothing.
    Change,
    /// Changes something, and doing it twice is the same as once: S3 objects under a precondition or with fixed content.
    Repeatable,
}

impl Kind {
    fn may_repeat(self, class: Class) -> bool {
        match class {
            Class::Throttled | Class::Unreachable => true,
            Class::Lost => matches!(self, Self::Read | Self::List | Self::Repeatable),
            Class::Conflict => self == Self::Repeatable,
            Class::NotFound
            | Class::Exists
            | Class::Precondition
            | Class::Denied
            | Class::Credentials
            | Class::Expired
            | Class::ClockSkew
            | Class::Quota
            | Class::WrongRegion
            | Class::UnknownRegion
            | Class::Invalid
            | Class::Other => false,
        }
    }
}

/// How often and how long a request is tried.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Tries of one request, the first one included.
    pub tries: usize,
    /// The pause before the second try; it doubles, with jitter.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// Between two lists.
    pub between_lists: Duration,
    /// Between two creations.
    pub between_creations: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            // A burst of throttling lasts longer than a few tries: an account is shared by many runs.
            tries: 24,
            first_pause: Duration::from_millis(300),
            longest_pause: Duration::from_secs(15),
            between_lists: Duration::from_millis(500),
            between_creations: Duration::from_secs(1),
        }
    }
}

/// Where a session stands in time: the earliest moment for the next request of a kind.
pub(super) struct Pacer {
    patience: Patience,
    since: Stopwatch,
    lists: Mutex<Duration>,
    creations: Mutex<Duration>,
}

impl Pacer {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, since: Stopwatch::start(), lists: Mutex::default(), creations: Mutex::default() }
    }

    /// Waits until a request of this kind may be sent.
    async fn turn(&self, kind: Kind) {
        let (next, between) = match kind {
            Kind::List => (&self.lists, self.patience.between_lists),
            Kind::Create => (&self.creations, self.patience.between_creations),
            Kind::Read | Kind::Change | Kind::Repeatable => return,
        };
        let wait = {
            let mut next = next.lock().await;
            let now = self.since.elapsed();
            // A short burst is fine: what counts is the rate over a few seconds.
            let slack = between * 3;
            let at = (*next).max(now.saturating_sub(slack));
            *next = at + between;
            at.saturating_sub(now)
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends a request in its turn, and again where that is safe and may help.
    pub(super) async fn send<T, F, A>(&self, kind: Kind, mut attempt: A) -> Result<T, Refused>
    where
        A: FnMut() -> F + Send,
        F: Future<Output = Result<T, Refused>> + Send,
    {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(self.patience.first_pause)
            .with_max_delay(self.patience.longest_pause)
            .with_max_times(self.patience.tries.saturating_sub(1))
            .with_jitter()
            .build();
        loop {
            self.turn(kind).await;
            let refused = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(refused) => refused,
            };
            if !kind.may_repeat(refused.class) {
                return Err(refused);
            }
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(refused),
            }
        }
    }
}
