//! What is true in this AWS: accounts, keys, buckets, jobs, groups, images, logs, and what was asked.

use super::faults::Crash;
use super::faults::Planned;
use super::jobs::Job;
use super::jobs::Script;
use super::registry::Group;
use super::registry::Package;
use super::s3::Bucket;
use super::sts::Assumed;
use super::sts::Trust;
use branchline::adapters::system;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::Weak;
use std::time::Duration;

/// Chooses how a job goes by its request.
pub type Choice = Box<dyn Fn(&Value) -> Option<Script> + Send>;

/// One account in one region.
#[derive(Default)]
pub struct Place {
    /// Training jobs by name.
    pub jobs: BTreeMap<String, Job>,
    /// Model package groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Model packages by ARN.
    pub packages: BTreeMap<String, Package>,
    /// What `packages` was after each of the last writes, for listings that lag.
    pub package_history: Vec<BTreeMap<String, Package>>,
    /// The highest number that a group, in lower case, ever gave.
    pub numbers: BTreeMap<String, u64>,
    /// ECR repositories by name.
    pub repositories: BTreeMap<String, super::ecr::Repository>,
    /// CloudWatch log groups: streams, and in them times (milliseconds) and lines.
    pub logs: BTreeMap<String, BTreeMap<String, Vec<(i64, String)>>>,
}

/// An access key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Whose it is.
    pub account: String,
    /// The user or role session.
    pub arn: String,
    /// When it stops to be good, in seconds of the epoch.
    pub expires: Option<f64>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `SageMaker`, `S3`, `ECR`, `Logs` or `STS`.
    pub service: &'static str,
    /// Such as `ListModelPackages`.
    pub operation: String,
    /// Of the key that signed it.
    pub account: String,
    /// Bucket and key, or the name of what was asked for.
    pub subject: String,
    /// The status that was sent, or none where no answer was.
    pub status: Option<u16>,
    /// The size of the body that came.
    pub bytes_in: usize,
    /// The size of the body that went.
    pub bytes_out: usize,
    /// All headers as they came, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body of a JSON request, else null.
    pub body: Value,
}

/// All that is true.
#[derive(Default)]
pub struct State {
    /// By account and region.
    pub places: BTreeMap<(String, String), Place>,
    /// Access keys by id.
    pub keys: BTreeMap<String, Key>,
    /// Buckets by name.
    pub buckets: BTreeMap<String, Bucket>,
    /// Who may become which role, by the role's ARN.
    pub trust: BTreeMap<String, Trust>,
    /// Every role that was assumed or asked for.
    pub assumed: Vec<Assumed>,
    /// Actions that are refused: account and action, such as `sagemaker:CreateModelPackage`.
    pub denied: BTreeSet<(String, String)>,
    /// How far its clock is ahead of the real one.
    pub ahead: Duration,
    /// How the next jobs go, in order.
    pub scripts: VecDeque<Script>,
    /// How jobs go that no script waits for.
    pub choices: Vec<Choice>,
    /// Describes until a package that is registered is `Completed`.
    pub package_polls: u32,
    /// Why the next version that is registered fails.
    pub next_version_fails: Option<String>,
    /// Whether the registry forgets client tokens.
    pub forgets_tokens: bool,
    /// Whether `ListModelPackages` answers an empty list for a group that does not exist.
    pub lists_missing_groups: bool,
    /// Whether `Search` is refused.
    pub search_off: bool,
    /// By how many writes a listing is behind, by operation.
    pub lag: BTreeMap<String, usize>,
    /// The most that a listing puts on a page, by operation.
    pub page: BTreeMap<String, usize>,
    /// Members laid over the answers of an operation after they were checked: unknown values and the like.
    pub overlays: BTreeMap<String, Value>,
    /// What came.
    pub seen: Vec<Seen>,
    /// Requests that change something, counted since the last reset.
    pub mutations: usize,
    /// The mutating request at which the client dies.
    pub crash_at: Option<(usize, Crash)>,
    /// Told when that request came.
    pub crashed: Option<tokio::sync::watch::Sender<bool>>,
    /// Requests that break the models.
    pub violations: Vec<String>,
    /// Answers of this World that break them: a fault of the World itself.
    pub own_faults: Vec<String>,
    /// Faults that wait.
    pub faults: Vec<Planned>,
    /// For threads that play containers.
    pub this: Weak<Mutex<State>>,
    /// Threads that play containers.
    pub threads: Vec<std::thread::JoinHandle<()>>,
    /// The World ends: containers stop.
    pub ending: bool,
    /// For numbers that are given once.
    pub counter: u64,
}

impl State {
    /// Returns the time of this World, in seconds of the epoch.
    pub fn now(&self) -> f64 {
        (system::now().as_millisecond() as f64) / 1000.0 + self.ahead.as_secs_f64()
    }

    /// Returns what is in an account and region.
    pub fn place(&mut self, account: &str, region: &str) -> &mut Place {
        self.places.entry((account.to_owned(), region.to_owned())).or_default()
    }

    /// Returns a number that was never returned.
    pub fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Adds a key of an account.
    pub fn add_key(&mut self, id: &str, account: &str) {
        let arn = format!("arn:aws:iam::{account}:user/tests");
        self.keys.insert(id.to_owned(), Key { account: account.to_owned(), arn, expires: None });
    }
}
