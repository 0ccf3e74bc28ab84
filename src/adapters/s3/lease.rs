//! The lease: one writer of a group at a time, among machines that share nothing but a bucket.
//!
//! An object names the owner and until when it holds. It is taken, renewed and given back only by replacing exactly the
//! object that was read, so that two can never both believe they took it. A holder that died loses it after a minute;
//! the same run takes its own at once. It is a courtesy, not a proof: what is written under it carries its own
//! preconditions too.

use crate::adapters::s3::objects::Created;
use crate::adapters::s3::objects::Objects;
use crate::adapters::s3::objects::Replaced;
use crate::adapters::s3::objects::SCHEMA;
use crate::adapters::s3::objects::Stored;
use crate::ports::Clock;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use serde::Deserialize;
use serde::Serialize;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How long a lease holds without being renewed.
pub const TERM: Duration = Duration::from_secs(60);

/// How often a holder renews it.
const RENEWAL: Duration = Duration::from_secs(20);

/// The pause between two looks at a lease that another one holds.
const PAUSE: Duration = Duration::from_millis(1500);

/// How often a lease that another one holds is looked at: somewhat longer than a dead holder can keep it.
const LOOKS: usize = 60;

/// A lease, held.
pub struct Lease {
    objects: Objects,
    clock: Arc<dyn Clock>,
    key: String,
    doing: String,
    held: Held,
    etag: String,
    renewal: Duration,
}

/// The object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    schema: u32,
    /// The run; empty once it was given back.
    owner: String,
    /// Until when, UTC.
    until: jiff::Timestamp,
    /// Which holding it is, so that no two objects are alike.
    token: String,
}

impl Lease {
    /// Takes the lease under `key`, or waits for it. `owner`: the run, which takes over what it held itself.
    ///
    /// An error of the kind that may pass: another one did not give it back in time.
    pub async fn take(
        objects: &Objects,
        clock: &Arc<dyn Clock>,
        key: &str,
        owner: &str,
        doing: &str,
    ) -> Result<Self, PortError> {
        let mut holder = String::new();
        for look in 0..LOOKS {
            if look > 0 {
                clock.sleep(PAUSE).await;
            }
            let held = held(clock.as_ref(), owner);
            let found: Option<Stored<Held>> = objects.get_json(key, doing).await?;
            let etag = match found {
                None => match objects.create_json(key, &held, doing).await? {
                    Created::New(etag) => etag,
                    Created::Existing(_) => continue,
                },
                Some(Stored { value, etag }) => {
                    if value.owner != owner && !value.owner.is_empty() && value.until > clock.now() {
                        holder = value.owner;
                        continue;
                    }
                    match objects.replace_json(key, &etag, &held, doing).await? {
                        Replaced::Done(etag) => etag,
                        Replaced::Moved => continue,
                    }
                }
            };
            return Ok(Self {
                objects: objects.clone(),
                clock: Arc::clone(clock),
                key: key.to_owned(),
                doing: doing.to_owned(),
                held,
                etag,
                renewal: RENEWAL,
            });
        }
        let who = if holder.is_empty() { "another run".to_owned() } else { format!("the run {holder}") };
        Err(PortError::because(PortErrorKind::Throttling, doing, format!("{who} is writing to the group"))
            .hint("Run this again when the other one is done; nothing was changed."))
    }

    /// Renews it after another time than 20 seconds.
    pub fn renewed_every(mut self, renewal: Duration) -> Self {
        self.renewal = renewal;
        self
    }

    /// Does work while the lease is renewed, and gives it back. Work is abandoned if the lease is lost meanwhile.
    pub async fn holding<T>(mut self, work: impl Future<Output = Result<T, PortError>>) -> Result<T, PortError> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                result = &mut work => {
                    self.give_back().await;
                    return result;
                }
                () = tokio::time::sleep(self.renewal) => self.renew().await?,
            }
        }
    }

    async fn renew(&mut self) -> Result<(), PortError> {
        let next = held(self.clock.as_ref(), &self.held.owner);
        match self.objects.replace_json(&self.key, &self.etag, &next, &self.doing).await? {
            Replaced::Done(etag) => {
                self.etag = etag;
                self.held = next;
                Ok(())
            }
            Replaced::Moved => Err(lost(&self.doing)),
        }
    }

    /// Failing to give it back costs the next one a minute, and nobody the result.
    async fn give_back(self) {
        let free = Held { owner: String::new(), ..held(self.clock.as_ref(), "") };
        let _ = self.objects.replace_json(&self.key, &self.etag, &free, &self.doing).await;
    }
}

/// The lease was lost, or somebody wrote without one.
pub fn lost(doing: &str) -> PortError {
    PortError::because(PortErrorKind::Throttling, doing, "another run has taken over the group meanwhile")
        .hint("Run again: what was begun is found and finished.")
}

fn held(clock: &dyn Clock, owner: &str) -> Held {
    let now = clock.now();
    let until = now.checked_add(TERM).unwrap_or(now);
    Held { schema: SCHEMA, owner: owner.to_owned(), until, token: uuid::Uuid::new_v4().to_string() }
}
