//! The forge against a stateful GitHub over HTTP: what is there afterwards, and how many requests it took.

mod checks;
mod comments;
mod network;
mod reads;
mod statuses;
mod trouble;

use crate::world::github::GitHubWorld;
use branchline::adapters::github::GitHub;
use branchline::adapters::github::GitHubSettings;
use branchline::adapters::github::Patience;
use branchline::adapters::github::TimeLimits;
use branchline::adapters::network::Network;
use branchline::model::git::BranchName;
use branchline::model::git::CommitSha;
use branchline::model::secret::Secret;
use branchline::ports::Clock;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

/// The world's time: it stands at 2026-11-01 08:00 UTC.
const NOW: &str = "2026-11-01T08:00:00Z";

/// Time that passes at once, and remembers for how long anybody waited.
#[derive(Debug, Default)]
struct Waits(Mutex<Vec<Duration>>);

impl Waits {
    fn seconds(&self) -> Vec<u64> {
        self.0.lock().expect("nobody panics").iter().map(Duration::as_secs).collect()
    }

    fn count(&self) -> usize {
        self.0.lock().expect("nobody panics").len()
    }
}

#[async_trait::async_trait]
impl Clock for Waits {
    fn now(&self) -> jiff::Timestamp {
        NOW.parse().expect("a timestamp")
    }

    async fn sleep(&self, duration: Duration) {
        self.0.lock().expect("nobody panics").push(duration);
        tokio::task::yield_now().await;
    }
}

fn settings(world: &GitHubWorld) -> GitHubSettings {
    GitHubSettings {
        api_url: world.api_url.clone(),
        repository: "acme/churn".to_owned(),
        token: Some(Secret::new("ghs_job")),
        author: None,
        network: Network::default(),
        time_limits: TimeLimits::default(),
        patience: Patience::default(),
    }
}

async fn connect(settings: GitHubSettings) -> (GitHub, Arc<Waits>) {
    let waits = Arc::new(Waits::default());
    let forge = GitHub::connect(settings, Arc::<Waits>::clone(&waits)).await.expect("a forge");
    (forge, waits)
}

/// The forge of a job, which writes as `github-actions[bot]`.
async fn job(world: &GitHubWorld) -> GitHub {
    connect(settings(world)).await.0
}

fn sha(digit: char) -> CommitSha {
    CommitSha::parse(&digit.to_string().repeat(40)).expect("an id")
}

fn branch(name: &str) -> BranchName {
    BranchName::parse(name).expect("a branch")
}

/// What a person reads of an error: its chain and its hint.
fn told(error: &branchline::ports::PortError) -> String {
    format!("{} | {}", error.chain(), error.hint.as_deref().unwrap_or("no hint"))
}
