//! Amazon Web Services, as far as we use them: stateful, in process, on one port of 127.0.0.1, so that the adapters
//! themselves are under test, and the real binary too.
//!
//! SageMaker, ECR and CloudWatch Logs are checked against AWS's own models, requests and answers. A training job that
//! nobody scripted really runs its command. Left out: signatures are read, not verified; there is no KMS and no IAM
//! beyond roles, bucket owners and actions that a test denies.

pub mod archive;
pub mod checksum;
pub mod container;
pub mod contract;
pub mod ecr;
pub mod faults;
pub mod jobs;
pub mod logs;
pub mod multipart;
pub mod objects;
pub mod played;
pub mod registry;
pub mod s3;
pub mod sagemaker;
pub mod state;
pub mod sts;
pub mod wire;

pub use faults::Crash;
pub use faults::Fault;
pub use jobs::Script;
pub use state::Seen;
pub use state::State;

use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::config::SharedCredentialsProvider;
use faults::Planned;
use registry::Package;
use s3::Bucket;
use s3::Stored;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

/// The account that `World::start` begins with.
pub const DEV: &str = "111111111111";
/// A second one.
pub const PROD: &str = "222222222222";
/// Where both work.
pub const REGION: &str = "eu-central-1";
/// The bucket of [`DEV`], versioned.
pub const DEV_BUCKET: &str = "acme-ml-dev";
/// The bucket of [`PROD`], versioned.
pub const PROD_BUCKET: &str = "acme-ml-prod";

/// An AWS of its own for a test.
pub struct World {
    state: Arc<Mutex<State>>,
    endpoint: String,
    crashed: tokio::sync::watch::Receiver<bool>,
    stop: Option<tokio::sync::oneshot::Sender<Infallible>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl World {
    /// Starts one with two accounts, each with a key and a versioned bucket.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener for tokio");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let (tell, crashed) = tokio::sync::watch::channel(false);
        let state = Arc::new(Mutex::new(State { crashed: Some(tell), ..State::default() }));
        state.lock().expect("new").this = Arc::downgrade(&state);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        // A thread of its own: a test that waits for the binary does not run the server.
        let thread = std::thread::spawn({
            let state = Arc::clone(&state);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async move {
                    tokio::select! {
                        () = wire::serve(listener, state) => {}
                        _ = stopped => {}
                    }
                });
            }
        });
        let world = Self { state, endpoint, crashed, stop: Some(stop), thread: Some(thread) };
        for (account, bucket) in [(DEV, DEV_BUCKET), (PROD, PROD_BUCKET)] {
            world.with(|state| state.add_key(&key_of(account), account));
            world.add_bucket(bucket, account, REGION);
        }
        world
    }

    /// The address of every service.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Credentials of an account.
    pub fn credentials(&self, account: &str) -> SharedCredentialsProvider {
        let id = key_of(account);
        self.with(|state| {
            if !state.keys.contains_key(&id) {
                state.add_key(&id, account);
            }
        });
        SharedCredentialsProvider::new(Credentials::new(id, "not-a-secret", None, None, "world"))
    }

    /// The environment of a process that works in an account: names and values.
    pub fn environment(&self, account: &str) -> Vec<(String, String)> {
        let _ = self.credentials(account);
        let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            of("AWS_ENDPOINT_URL", &self.endpoint),
            of("AWS_ACCESS_KEY_ID", &key_of(account)),
            of("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
            of("AWS_REGION", REGION),
            of("AWS_EC2_METADATA_DISABLED", "true"),
            of("AWS_CONFIG_FILE", "/nowhere/config"),
            of("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/credentials"),
        ]
    }

    /// Looks at what is true, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().expect("the server does not panic"))
    }

    /// Adds a versioned bucket.
    pub fn add_bucket(&self, name: &str, account: &str, region: &str) {
        self.with(|state| state.buckets.insert(name.to_owned(), Bucket::new(account, region)));
    }

    /// Puts an object, as somebody else would. It carries a CRC-64 only.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) {
        self.with(|state| state.write_object(bucket, key, bytes.into()));
    }

    /// Returns the bytes of an object.
    pub fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        self.with(|state| state.buckets.get(bucket)?.current(key).map(|stored| stored.bytes.to_vec()))
    }

    /// Returns all that is stored of an object.
    pub fn stored(&self, bucket: &str, key: &str) -> Option<Stored> {
        self.with(|state| state.buckets.get(bucket)?.current(key).cloned())
    }

    /// Returns the keys below a prefix.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        self.with(|state| {
            let bucket = &state.buckets[bucket];
            let live = bucket.objects.keys().filter(|key| key.starts_with(prefix) && bucket.current(key).is_some());
            live.cloned().collect()
        })
    }

    /// Says that an object is of this size, whatever its bytes.
    pub fn declare_size(&self, bucket: &str, key: &str, size: u64) {
        self.with(|state| {
            let versions = state.buckets.get_mut(bucket).and_then(|bucket| bucket.objects.get_mut(key));
            versions.and_then(|versions| versions.last_mut()).expect("an object").declared = Some(size);
        });
    }

    /// Pushes an image and moves the tag to it. Returns its digest.
    pub fn push_image(&self, account: &str, repository: &str, tag: &str, content: &str) -> String {
        self.with(|state| state.place(account, REGION).push_image(repository, tag, content))
    }

    /// The address of an image, without tag and digest.
    pub fn image(&self, account: &str, repository: &str) -> String {
        format!("{account}.dkr.ecr.{REGION}.amazonaws.com/{repository}")
    }

    /// The next job goes like this.
    pub fn next_job(&self, script: Script) {
        self.with(|state| state.scripts.push_back(script));
    }

    /// Jobs go like this, by their request, when no script waits.
    pub fn jobs_go(&self, choose: impl Fn(&Value) -> Option<Script> + Send + 'static) {
        self.with(|state| state.choices.push(Box::new(choose)));
    }

    /// Moves the time on.
    pub fn advance(&self, by: Duration) {
        self.with(|state| state.ahead += by);
    }

    /// The next such request meets this.
    pub fn fail_next(&self, operation: &str, fault: Fault) {
        self.on_nth(operation, 1, fault);
    }

    /// The next requests of this kind are throttled, so often.
    pub fn throttle(&self, operation: &str, times: usize) {
        for _ in 0..times {
            self.fail_next(operation, Fault::Throttle);
        }
    }

    /// The n-th such request from now on meets this, counted from 1.
    pub fn on_nth(&self, operation: &str, nth: usize, fault: Fault) {
        let planned = Planned { operation: operation.to_owned(), after: nth - 1, fault };
        self.with(|state| state.faults.push(planned));
    }

    /// How many faults still wait for their request.
    pub fn faults_left(&self) -> usize {
        self.with(|state| state.faults.len())
    }

    /// An account may not do this, such as `sagemaker:CreateModelPackage` or `s3:PutObject`.
    pub fn deny(&self, account: &str, action: &str) {
        self.with(|state| state.denied.insert((account.to_owned(), action.to_owned())));
    }

    /// A listing is behind by this many writes: `ListModelPackages` or `ListTrainingJobs`.
    pub fn lag(&self, operation: &str, writes: usize) {
        self.with(|state| state.lag.insert(operation.to_owned(), writes));
    }

    /// The client dies at the n-th request that changes something, counted from 1 and from now: that request is
    /// never answered. Wait for [`World::crashed`] beside the client.
    pub fn crash_at(&self, nth: usize, crash: Crash) {
        self.with(|state| {
            state.crash_at = Some((state.mutations + nth, crash));
            if let Some(tell) = &state.crashed {
                tell.send_replace(false);
            }
        });
    }

    /// Waits until the client has died.
    pub async fn crashed(&self) {
        let mut crashed = self.crashed.clone();
        let _ = crashed.wait_for(|crashed| *crashed).await;
    }

    /// How many requests changed something, or tried to.
    pub fn mutations(&self) -> usize {
        self.with(|state| state.mutations)
    }

    /// What came, in order.
    pub fn requests(&self) -> Vec<Seen> {
        self.with(|state| state.seen.clone())
    }

    /// How many requests came of an operation.
    pub fn count(&self, operation: &str) -> usize {
        self.with(|state| state.seen.iter().filter(|seen| seen.operation == operation).count())
    }

    /// How many requests came to a service.
    pub fn count_of(&self, service: &str) -> usize {
        self.with(|state| state.seen.iter().filter(|seen| seen.service == service).count())
    }

    /// Begins to count anew.
    pub fn reset_requests(&self) {
        self.with(|state| {
            state.seen.clear();
            state.mutations = 0;
        });
    }

    /// How many bytes came to a service, and how many went from it.
    pub fn bytes_of(&self, service: &str) -> (usize, usize) {
        self.with(|state| {
            let of = state.seen.iter().filter(|seen| seen.service == service);
            of.fold((0, 0), |(came, went), seen| (came + seen.bytes_in, went + seen.bytes_out))
        })
    }

    /// The next version that is registered ends as `Failed`, for this reason.
    pub fn next_version_fails(&self, reason: &str) {
        self.with(|state| state.next_version_fails = Some(reason.to_owned()));
    }

    /// Fails if a request broke AWS's models, or a fault was never met.
    pub fn assert_clean(&self) {
        self.with(|state| {
            assert!(state.violations.is_empty(), "{}", state.violations.join("\n"));
            let left: Vec<&str> = state.faults.iter().map(|planned| planned.operation.as_str()).collect();
            assert!(left.is_empty(), "faults that nothing met: {left:?}");
        });
    }

    /// Requests that AWS's models forbid, with what is wrong.
    pub fn violations(&self) -> Vec<String> {
        self.with(|state| state.violations.clone())
    }

    /// The status of a training job, as `Describe` would say it, without asking.
    pub fn job_status(&self, account: &str, name: &str) -> Option<String> {
        self.with(|state| state.place(account, REGION).jobs.get(name).map(|job| job.status.clone()))
    }

    /// What `DescribeTrainingJob` would say, without asking.
    pub fn job(&self, account: &str, name: &str) -> Option<Value> {
        self.with(|state| state.place(account, REGION).jobs.get(name).map(jobs::Job::described))
    }

    /// The versions of a group, by number.
    pub fn versions(&self, account: &str, group: &str) -> Vec<Package> {
        self.with(|state| {
            let all = state.place(account, REGION).packages.values();
            let mut found: Vec<Package> = all.filter(|package| package.group == group).cloned().collect();
            found.sort_by_key(|package| package.version);
            found
        })
    }

    /// Somebody changes the approval of a version in the console.
    pub fn set_approval(&self, account: &str, arn: &str, approval: &str) {
        self.with(|state| {
            let place = state.place(account, REGION);
            let package = place.packages.get_mut(arn).expect("a version");
            package.request["ModelApprovalStatus"] = Value::from(approval);
            place.remember();
        });
    }

    /// A role may be taken on by principals of an account.
    pub fn trust_account(&self, role: &str, account: &str) {
        self.with(|state| state.trust.entry(role.to_owned()).or_default().accounts.push(account.to_owned()));
    }

    /// A role may be taken on by web identities of this audience whose subject is like this; `*` is any text.
    pub fn trust_identity(&self, role: &str, audience: &str, subject: &str) {
        self.with(|state| {
            let trust = state.trust.entry(role.to_owned()).or_default();
            audience.clone_into(&mut trust.audience);
            trust.subjects.push(subject.to_owned());
        });
    }

    /// Every key that somebody was given for a time is expired from now on.
    pub fn expire_sessions(&self) {
        self.with(|state| {
            for key in state.keys.values_mut().filter(|key| key.expires.is_some()) {
                key.expires = Some(0.0);
            }
        });
    }

    /// Waits, in real time, until a job that really runs has ended.
    pub fn wait_for_job(&self, account: &str, name: &str) {
        for _ in 0..1200 {
            let over = self.with(|state| state.place(account, REGION).jobs.get(name).is_some_and(jobs::Job::is_over));
            if over {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{name} did not end within a minute");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let threads = match self.state.lock() {
            Ok(mut state) => {
                state.ending = true;
                std::mem::take(&mut state.threads)
            }
            Err(_) => Vec::new(),
        };
        for thread in threads {
            let _ = thread.join();
        }
        self.stop.take();
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        if std::thread::panicking() {
            return;
        }
        assert!(ended.is_none_or(|ended| ended.is_ok()), "the server panicked");
        let state = self.state.lock().expect("a panic came while the state was held");
        assert!(state.own_faults.is_empty(), "this World is wrong:\n{}", state.own_faults.join("\n"));
    }
}

/// The id of the key that an account begins with.
pub fn key_of(account: &str) -> String {
    format!("AKIA{account}")
}
