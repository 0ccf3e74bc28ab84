//! The local registry, told from outside: what a group is after a story, and what goes wrong by name.

use branchline::adapters::local::registry::LocalRegistry;
use branchline::facts::group::GroupFacts;
use branchline::facts::group::GroupLook;
use branchline::facts::group::RECENT_LIMIT;
use branchline::model::approval::Approval;
use branchline::model::digest::Sha256Digest;
use branchline::model::git::ObjectId;
use branchline::model::git::RepositoryId;
use branchline::model::history::Attribution;
use branchline::model::history::HistoryAction;
use branchline::model::identity::ContentId;
use branchline::model::identity::Fingerprint;
use branchline::model::name::GroupName;
use branchline::model::version::Rejection;
use branchline::model::version::Version;
use branchline::model::version::VersionContent;
use branchline::model::version::VersionNumber;
use branchline::ports::ApprovalChange;
use branchline::ports::Changed;
use branchline::ports::Clock;
use branchline::ports::Expected;
use branchline::ports::PortErrorKind;
use branchline::ports::Registered;
use branchline::ports::Registration;
use branchline::ports::Registry;
use branchline::ports::Stale;
use serde_json::Value;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;

/// A clock that only a test moves, in either direction.
struct HeldClock(Mutex<jiff::Timestamp>);

#[async_trait::async_trait]
impl Clock for HeldClock {
    fn now(&self) -> jiff::Timestamp {
        *self.0.lock().expect("clock")
    }

    async fn sleep(&self, _duration: Duration) {}
}

fn at(text: &str) -> jiff::Timestamp {
    text.parse().expect("time")
}

/// A home with one group in it.
struct Home {
    _folder: TempDir,
    path: PathBuf,
    clock: Arc<HeldClock>,
    registry: LocalRegistry,
    group: GroupName,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        // A name that means something in a URI, and to a shell.
        let path = folder.path().join("my home?x=1 #%41").join("registry.db");
        let clock = Arc::new(HeldClock(Mutex::new(at("2026-11-09T08:00:00Z"))));
        let registry = LocalRegistry::at(&path, clock.clone());
        Self { _folder: folder, path, clock, registry, group: GroupName::parse("risk-churn-prod").expect("name") }
    }

    fn again(&self) -> LocalRegistry {
        LocalRegistry::with_patience(&self.path, self.clock.clone(), Duration::from_millis(50))
    }

    fn set_clock(&self, time: &str) {
        *self.clock.0.lock().expect("clock") = at(time);
    }

    async fn look(&self) -> GroupFacts {
        self.look_for(GroupLook { with_former: true, ..GroupLook::default() }).await
    }

    async fn look_for(&self, look: GroupLook) -> GroupFacts {
        self.registry.look(&self.group, &look).await.expect("look")
    }

    /// A registration of the content `what`, decided on what is there now.
    async fn decide(&self, what: &str, approval: Approval) -> Registration {
        let facts = self.look().await;
        Registration {
            group: self.group.clone(),
            repository: repository(),
            expected: Expected {
                newest: facts.newest,
                current: facts.current_number(),
                frozen: facts.frozen.is_some(),
            },
            content: content(what),
            approval,
            superseded: false,
            supersedes_older: false,
            action: HistoryAction::Registered,
            by: by("author"),
        }
    }

    async fn register(&self, what: &str, approval: Approval) -> Version {
        let registration = self.decide(what, approval).await;
        new(self.registry.register(&registration).await.expect("register"))
    }

    async fn set(&self, number: u32, from: Approval, to: Approval, rejection: Option<Rejection>) -> Changed {
        let change = ApprovalChange {
            group: self.group.clone(),
            number: VersionNumber(number),
            from,
            to,
            rejection,
            expected_current: self.look().await.current_number(),
            by: by("reviewer"),
        };
        self.registry.set_approval(&change).await.expect("set approval")
    }

    /// The history as `action version -> current`, and who.
    async fn story(&self) -> Vec<String> {
        let entries = self.registry.history(&self.group, None, None).await.expect("history");
        let number = |n: Option<VersionNumber>| n.map_or("-".to_owned(), |n| n.to_string());
        let line = |e: &branchline::model::history::HistoryEntry| {
            let who = e.by.actor.as_deref().unwrap_or("nobody");
            format!("{} {} -> {} by {who}", e.action.as_str(), number(e.version), number(e.current))
        };
        entries.iter().map(line).collect()
    }
}

fn by(actor: &str) -> Attribution {
    Attribution { actor: Some(actor.to_owned()), event: "push".to_owned(), ..Attribution::default() }
}

fn repository() -> RepositoryId {
    RepositoryId { remote: Some("github.com/acme/risk".to_owned()), ..RepositoryId::default() }
}

fn content(what: &str) -> VersionContent {
    let text = include_str!("../../fixtures/registry/version-1.json");
    let mut stored: Value = serde_json::from_str(text).expect("fixture");
    let metrics = stored["content"]["metrics"].as_object_mut().expect("metrics");
    for value in metrics.values_mut() {
        *value = value.as_str().expect("text").parse::<f64>().expect("number").into();
    }
    let mut content: VersionContent = serde_json::from_value(stored["content"].take()).expect("content");
    content.content = ContentId::from_digest(Sha256Digest::of(format!("content {what}").as_bytes()));
    content.fingerprint = Fingerprint::from_digest(Sha256Digest::of(format!("fingerprint {what}").as_bytes()));
    content
}

fn new(registered: Registered) -> Version {
    match registered {
        Registered::New(version) => version,
        other => panic!("not a new version: {other:?}"),
    }
}

fn numbers(versions: &[Version]) -> Vec<u32> {
    versions.iter().map(|version| version.number.0).collect()
}

const PENDING: Approval = Approval::PendingManualApproval;
const APPROVED: Approval = Approval::Approved;
const REJECTED: Approval = Approval::Rejected;

#[tokio::test]
async fn reading_what_was_never_written_makes_nothing() {
    let home = Home::new();
    let registry = LocalRegistry::open(&home.path, home.clock.clone()).expect("nothing there is fine");
    assert_eq!(home.look().await, GroupFacts::empty(home.group.clone()));
    assert!(registry.list(&home.group, None, 10).await.expect("list").is_empty());
    assert!(registry.history(&home.group, None, None).await.expect("history").is_empty());
    assert!(registry.groups("").await.expect("groups").is_empty());
    assert_eq!(registry.versions_count(&home.group).await.expect("count"), 0);
    assert!(!home.path.exists());
    assert!(!home.path.parent().expect("folder").exists());

    // A maker that was stopped before its first commit leaves an empty file.
    std::fs::create_dir_all(home.path.parent().expect("folder")).expect("folder");
    std::fs::write(&home.path, "").expect("empty file");
    assert_eq!(home.look().await, GroupFacts::empty(home.group.clone()));
    assert_eq!(home.register("a", APPROVED).await.number, VersionNumber(1));
}

#[tokio::test]
async fn a_version_is_read_back_as_it_was_registered() {
    let home = Home::new();
    home.set_clock("2026-11-09T08:00:00.123456789Z");
    let version = home.register("a", APPROVED).await;
    assert_eq!(version.registered_at, at("2026-11-09T08:00:00.123456Z"));
    let facts = home.again().look(&home.group, &GroupLook::default()).await.expect("look");
    assert_eq!(facts.current.as_ref(), Some(&version));
    assert_eq!(facts.owner, Some(repository()));
    assert_eq!(facts.recent, std::slice::from_ref(&version));
    let highest = facts.highest.expect("highest");
    assert_eq!((highest.semver, highest.code_id), (version.content.semver.clone(), version.content.code_id.clone()));
    assert_eq!(highest.signature, version.content.signature);
    assert_eq!(home.registry.list(&home.group, None, 10).await.expect("list"), [version]);
}

#[tokio::test]
async fn a_look_finds_what_it_asks_for() {
    let home = Home::new();
    for (what, approval) in [("a", APPROVED), ("b", PENDING), ("a", APPROVED), ("c", PENDING), ("d", PENDING)] {
        home.register(what, approval).await;
    }
    let mut odd = home.decide("e", PENDING).await;
    odd.content.fingerprint = content("b").fingerprint;
    odd.content.semver = semver::Version::new(0, 10, 0);
    new(home.registry.register(&odd).await.expect("register"));
    home.register("f", PENDING).await;

    let facts = home
        .look_for(GroupLook {
            contents: vec![content("a").content, content("e").content, content("unknown").content],
            fingerprint: Some(content("b").fingerprint),
            numbers: [4, 99, 1].map(VersionNumber).to_vec(),
            with_former: false,
        })
        .await;
    assert_eq!(numbers(&facts.matching), [6, 3, 2, 1]);
    assert_eq!(numbers(&facts.asked), [4, 1]);
    assert_eq!(numbers(&facts.recent), [7, 6, 5, 4, 3]);
    assert_eq!(facts.recent.len(), RECENT_LIMIT);
    assert_eq!(facts.newest, Some(VersionNumber(7)));
    assert_eq!(facts.current_number(), Some(VersionNumber(3)));
    assert_eq!(facts.highest.expect("highest").semver, semver::Version::new(0, 10, 0));
    assert!(facts.formerly_current.is_empty(), "it was not asked for");

    let page = home.registry.list(&home.group, Some(VersionNumber(4)), 2).await.expect("list");
    assert_eq!(numbers(&page), [3, 2]);
    assert_eq!(home.registry.versions_count(&home.group).await.expect("count"), 7);
    let frozen = GroupName::parse("risk-churn-dev").expect("name");
    home.registry.set_frozen(&frozen, true, &by("on-call")).await.expect("freeze");
    assert_eq!(home.registry.groups("risk-churn-").await.expect("groups"), [frozen, home.group.clone()]);
    assert!(home.registry.groups("risk-x").await.expect("groups").is_empty());
}

#[tokio::test]
async fn the_way_back_is_what_was_current_before() {
    let home = Home::new();
    for what in ["a", "b"] {
        home.register(what, APPROVED).await;
    }
    home.register("c", PENDING).await;
    assert_eq!(numbers(&home.look().await.formerly_current), [1]);
    assert_eq!(home.set(3, PENDING, APPROVED, None).await, Changed::Done);
    assert_eq!(numbers(&home.look().await.formerly_current), [2, 1]);
    // Out goes v3, and v2 is current once more; v3 was so last.
    assert_eq!(home.set(3, APPROVED, REJECTED, Some(Rejection::RolledBack)).await, Changed::Done);
    let facts = home.look().await;
    assert_eq!(facts.current_number(), Some(VersionNumber(2)));
    assert_eq!(numbers(&facts.formerly_current), [3, 1]);
    assert!(facts.formerly_current[0].is_banned() && facts.formerly_current[0].once_approved);
    // Approving an older one beside it changes nothing about the order.
    assert_eq!(home.set(2, APPROVED, REJECTED, Some(Rejection::Person)).await, Changed::Done);
    assert_eq!(home.look().await.current_number(), Some(VersionNumber(1)));
    assert_eq!(numbers(&home.look().await.formerly_current), [2, 3]);
    assert_eq!(home.set(1, APPROVED, REJECTED, Some(Rejection::Person)).await, Changed::Done);
    let facts = home.look().await;
    assert_eq!((facts.current_number(), numbers(&facts.formerly_current)), (None, vec![1, 2, 3]));
    assert_eq!(
        home.story().await[4..],
        [
            "registered v3 -> v2 by author",
            "approved v3 -> v3 by reviewer",
            "rolled-back v3 -> v2 by reviewer",
            "rejected v2 -> v1 by reviewer",
            "rejected v1 -> - by reviewer",
        ]
    );
}

#[tokio::test]
async fn a_registration_that_expects_another_world_changes_nothing() {
    let home = Home::new();
    home.register("a", APPROVED).await;
    let decided = home.decide("b", APPROVED).await;
    home.register("c", PENDING).await;
    let (before, story) = (home.look().await, home.story().await);

    let stale = Stale::Versions { newest: Some(VersionNumber(2)), current: Some(VersionNumber(1)) };
    assert_eq!(home.registry.register(&decided).await.expect("register"), Registered::Stale(stale));

    let mut expects_frozen = home.decide("b", APPROVED).await;
    expects_frozen.expected.frozen = true;
    let answer = home.registry.register(&expects_frozen).await.expect("register");
    assert_eq!(answer, Registered::Stale(Stale::Freeze));

    let mut foreign = home.decide("b", APPROVED).await;
    foreign.repository.remote = Some("github.com/fork/risk".to_owned());
    assert_eq!(home.registry.register(&foreign).await.expect("register"), Registered::Stale(Stale::Owner));

    let mut elsewhere = decided.clone();
    elsewhere.group = GroupName::parse("not-there").expect("name");
    let nothing = Stale::Versions { newest: None, current: None };
    assert_eq!(home.registry.register(&elsewhere).await.expect("register"), Registered::Stale(nothing));
    assert_eq!(home.registry.groups("not").await.expect("groups"), []);
    assert_eq!((home.look().await, home.story().await), (before, story));
}

#[tokio::test]
async fn an_owner_is_completed_but_never_by_a_stranger() {
    let home = Home::new();
    home.register("a", APPROVED).await;
    let root = ObjectId::parse(&"7".repeat(40)).expect("id");
    let mut registration = home.decide("b", APPROVED).await;
    registration.repository.host_id = Some("90210".to_owned());
    registration.repository.root = Some(root.clone());
    let whole = registration.repository.clone();
    new(home.registry.register(&registration).await.expect("register"));
    assert_eq!(home.look().await.owner, Some(whole.clone()));
    // Less is known here, and nothing is lost by it.
    home.register("c", APPROVED).await;
    assert_eq!(home.look().await.owner, Some(whole));

    // A group that knows only a remote learns nothing from one who shows only a host's number.
    let other = Home::new();
    other.register("a", APPROVED).await;
    let mut incomparable = other.decide("b", APPROVED).await;
    incomparable.repository = RepositoryId { host_id: Some("1".to_owned()), ..RepositoryId::default() };
    new(other.registry.register(&incomparable).await.expect("register"));
    assert_eq!(other.look().await.owner, Some(repository()));
}

#[tokio::test]
async fn the_same_operation_finds_its_first_result() {
    let home = Home::new();
    let decided = home.decide("a", PENDING).await;
    let first = new(home.registry.register(&decided).await.expect("register"));
    home.register("b", APPROVED).await;
    home.set(1, PENDING, REJECTED, Some(Rejection::Person)).await;
    let story = home.story().await;
    match home.again().register(&decided).await.expect("register") {
        Registered::Found(found) => {
            assert_eq!((found.number, found.approval), (first.number, REJECTED), "as it is now");
        }
        other => panic!("not found again: {other:?}"),
    }
    assert_eq!(home.story().await, story);
}

#[tokio::test]
async fn a_promotion_overtakes_the_pending_ones_before_it() {
    let home = Home::new();
    home.register("a", PENDING).await;
    home.register("b", APPROVED).await;
    home.register("c", PENDING).await;
    home.register("d", PENDING).await;
    let mut promotion = home.decide("e", PENDING).await;
    promotion.supersedes_older = true;
    promotion.action = HistoryAction::Promoted;
    new(home.registry.register(&promotion).await.expect("register"));
    let marks: Vec<(u32, bool)> = home.look().await.recent.iter().map(|v| (v.number.0, v.superseded)).collect();
    assert_eq!(marks, [(5, false), (4, true), (3, true), (2, false), (1, true)]);
    assert_eq!(
        home.story().await[4..],
        [
            "registered v4 -> v2 by author",
            "promoted v5 -> v2 by author",
            "superseded v1 -> v2 by author",
            "superseded v3 -> v2 by author",
            "superseded v4 -> v2 by author",
        ]
    );

    // Approved all the same: then it is not overtaken any more.
    assert_eq!(home.set(4, PENDING, APPROVED, None).await, Changed::Done);
    let current = home.look().await.current.expect("current");
    assert_eq!((current.number.0, current.superseded, current.once_approved), (4, false, true));
}

#[tokio::test]
async fn a_late_training_enters_overtaken() {
    let home = Home::new();
    let mut late = home.decide("a", PENDING).await;
    late.superseded = true;
    let version = new(home.registry.register(&late).await.expect("register"));
    assert!(version.superseded && !version.awaits_approval());
    assert_eq!(home.look().await.recent, [version]);
}

#[tokio::test]
async fn approval_changes_once_and_only_from_what_was_seen() {
    let home = Home::new();
    home.register("a", PENDING).await;
    assert_eq!(home.set(1, REJECTED, APPROVED, None).await, Changed::Stale(Stale::Approval(PENDING)));
    assert_eq!(home.set(1, PENDING, REJECTED, Some(Rejection::Person)).await, Changed::Done);
    assert_eq!(home.set(1, PENDING, REJECTED, Some(Rejection::Person)).await, Changed::Already);
    let rejected = home.look().await.recent.remove(0);
    assert_eq!((rejected.approval, rejected.rejection), (REJECTED, Some(Rejection::Person)));
    assert_eq!(home.set(1, REJECTED, APPROVED, None).await, Changed::Done);
    let approved = home.look().await.recent.remove(0);
    assert_eq!((approved.approval, approved.rejection, approved.once_approved), (APPROVED, None, true));
    assert_eq!(
        home.story().await,
        ["registered v1 -> - by author", "rejected v1 -> - by reviewer", "approved v1 -> v1 by reviewer"]
    );

    home.register("b", PENDING).await;
    let seen_before = ApprovalChange {
        group: home.group.clone(),
        number: VersionNumber(2),
        from: PENDING,
        to: APPROVED,
        rejection: None,
        expected_current: None,
        by: by("reviewer"),
    };
    let stale = Stale::Versions { newest: Some(VersionNumber(2)), current: Some(VersionNumber(1)) };
    assert_eq!(home.registry.set_approval(&seen_before).await.expect("answer"), Changed::Stale(stale));

    let missing = ApprovalChange { number: VersionNumber(9), ..seen_before.clone() };
    let error = home.registry.set_approval(&missing).await.expect_err("no such version");
    assert_eq!(error.kind, PortErrorKind::NotFound);
    assert_eq!(error.chain(), "could not make risk-churn-prod v9 Approved: risk-churn-prod v9 does not exist");
    let back = ApprovalChange { to: PENDING, ..seen_before };
    assert_eq!(home.registry.set_approval(&back).await.expect_err("refused").kind, PortErrorKind::Bug);
}

#[tokio::test]
async fn a_persons_no_is_stronger_than_a_lost_race() {
    let home = Home::new();
    home.register("a", PENDING).await;
    home.set(1, PENDING, REJECTED, Some(Rejection::Duplicate)).await;
    assert!(!home.look().await.recent[0].is_banned());
    assert_eq!(home.set(1, REJECTED, REJECTED, Some(Rejection::Person)).await, Changed::Done);
    assert!(home.look().await.recent[0].is_banned());
    assert_eq!(home.set(1, REJECTED, REJECTED, Some(Rejection::Duplicate)).await, Changed::Already);
    assert!(home.look().await.recent[0].is_banned());
}

#[tokio::test]
async fn a_freeze_keeps_who_was_first() {
    let home = Home::new();
    let freeze = |frozen, actor: &'static str| {
        let home = &home;
        async move { home.registry.set_frozen(&home.group, frozen, &by(actor)).await.expect("freeze") }
    };
    assert_eq!(freeze(false, "author").await, Changed::Already);
    assert_eq!(freeze(true, "on-call").await, Changed::Done);
    home.set_clock("2026-11-09T09:00:00Z");
    assert_eq!(freeze(true, "author").await, Changed::Already);
    let facts = home.look().await;
    let frozen = facts.frozen.expect("frozen");
    assert_eq!((frozen.since, frozen.by), (at("2026-11-09T08:00:00Z"), by("on-call")));
    assert_eq!((facts.owner, facts.newest), (None, None), "it belongs to nobody yet");

    // By hand, knowing of the freeze.
    home.register("a", APPROVED).await;
    assert_eq!(home.look().await.owner, Some(repository()));
    assert_eq!(freeze(false, "on-call").await, Changed::Done);
    assert_eq!(home.look().await.frozen, None);
    assert_eq!(home.story().await.first().map(String::as_str), Some("frozen - -> - by on-call"));
    assert_eq!(home.story().await.last().map(String::as_str), Some("unfrozen - -> v1 by on-call"));
}

#[tokio::test]
async fn a_clock_that_jumps_back_reorders_nothing() {
    let home = Home::new();
    home.set_clock("2026-11-09T08:00:00Z");
    home.register("a", APPROVED).await;
    home.set_clock("2026-11-08T08:00:00Z");
    home.register("b", APPROVED).await;
    home.set_clock("2026-11-10T08:00:00Z");
    home.register("c", PENDING).await;
    let facts = home.look().await;
    assert_eq!(numbers(&facts.recent), [3, 2, 1]);
    assert_eq!((facts.current_number(), numbers(&facts.formerly_current)), (Some(VersionNumber(2)), vec![1]));
    assert_eq!(
        home.story().await,
        [
            "registered v1 -> v1 by author",
            "approved v1 -> v1 by author",
            "registered v2 -> v2 by author",
            "approved v2 -> v2 by author",
            "registered v3 -> v2 by author",
        ]
    );
    let between = async |from: &str, to: &str| {
        let entries = home.registry.history(&home.group, Some(at(from)), Some(at(to))).await.expect("history");
        entries.iter().filter_map(|entry| entry.version).map(|number| number.0).collect::<Vec<u32>>()
    };
    assert_eq!(between("2026-11-08T08:00:00Z", "2026-11-10T08:00:00Z").await, [1, 1, 2, 2]);
    assert_eq!(between("2026-11-08T08:00:00.000000001Z", "2026-11-10T08:00:00.000000001Z").await, [1, 1, 3]);
}

/// Registers until the world stands still long enough, as a run does.
async fn insist(registry: &LocalRegistry, group: &GroupName, what: &str) -> Version {
    loop {
        let facts = registry.look(group, &GroupLook::default()).await.expect("look");
        let registration = Registration {
            group: group.clone(),
            repository: repository(),
            expected: Expected { newest: facts.newest, current: facts.current_number(), frozen: false },
            content: content(what),
            approval: APPROVED,
            superseded: false,
            supersedes_older: true,
            action: HistoryAction::Registered,
            by: by(what),
        };
        match registry.register(&registration).await.expect("register") {
            Registered::New(version) => return version,
            Registered::Stale(Stale::Versions { .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
}

/// Runs one task for each of eight writers, each with its own connection, on eight threads.
fn eight_writers<T: Send>(home: &Home, work: impl Fn(usize, LocalRegistry) -> T + Sync) -> Vec<T> {
    let (work, start) = (&work, &std::sync::Barrier::new(8));
    std::thread::scope(|scope| {
        let spawn = |writer| {
            let registry = LocalRegistry::with_patience(&home.path, home.clock.clone(), Duration::from_secs(60));
            scope.spawn(move || {
                start.wait();
                work(writer, registry)
            })
        };
        let writers: Vec<_> = (0..8).map(spawn).collect();
        writers.into_iter().map(|writer| writer.join().expect("writer")).collect()
    })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime").block_on(work)
}

#[test]
fn eight_writers_number_without_gap_or_double() {
    let home = Home::new();
    let given = eight_writers(&home, |writer, registry| {
        block_on(async {
            let mut given = Vec::new();
            for round in 0..5 {
                given.push(insist(&registry, &home.group, &format!("{writer}/{round}")).await.number.0);
            }
            given
        })
    });
    let mut given = given.concat();
    given.sort_unstable();
    assert_eq!(given, (1..=40).collect::<Vec<u32>>());
    block_on(async {
        let listed = numbers(&home.registry.list(&home.group, None, 100).await.expect("list"));
        assert_eq!(listed, (1..=40).rev().collect::<Vec<u32>>());
        assert_eq!(home.story().await.len(), 80);
    });
}

#[test]
fn the_same_operation_from_eight_makes_one_version() {
    // A new home each time: eight make the registry itself at once, too.
    for _ in 0..20 {
        let home = Home::new();
        let decided = block_on(home.decide("a", APPROVED));
        let answers = eight_writers(&home, |_, registry| block_on(registry.register(&decided)).expect("register"));
        assert_eq!(answers.iter().filter(|answer| matches!(answer, Registered::New(_))).count(), 1);
        assert_eq!(answers.iter().filter(|answer| matches!(answer, Registered::Found(_))).count(), 7);
        assert_eq!(block_on(home.registry.versions_count(&home.group)).expect("count"), 1);
        assert_eq!(block_on(home.story()).len(), 2);
    }
}

/// A connection that does to the file what only another program, or another release, would.
fn meddle(path: &Path, sql: &str) -> rusqlite::Connection {
    std::fs::create_dir_all(path.parent().expect("folder")).expect("folder");
    let connection = rusqlite::Connection::open(path).expect("connection");
    connection.execute_batch(sql).expect(sql);
    connection
}

#[tokio::test]
async fn a_newer_registry_is_refused_and_left_alone() {
    let home = Home::new();
    home.register("a", APPROVED).await;
    drop(meddle(&home.path, "PRAGMA user_version = 7"));
    let look = home.again().look(&home.group, &GroupLook::default()).await.expect_err("newer");
    let write = home.again().set_frozen(&home.group, true, &by("x")).await.expect_err("newer");
    let shown = home.path.display();
    assert_eq!(
        look.chain(),
        format!(
            "could not look at the group risk-churn-prod: {shown} was written by a newer Branchline \
             (schema 7; this one knows up to 2): upgrade"
        )
    );
    let kinds = [look.kind, write.kind, LocalRegistry::open(&home.path, home.clock.clone()).err().expect("newer").kind];
    assert_eq!(kinds, [PortErrorKind::NewerRegistry; 3]);

    let other = Home::new();
    other.register("a", APPROVED).await;
    drop(meddle(&other.path, "UPDATE versions SET content = json_set(content, '$.schema', 2)"));
    let error = other.again().look(&other.group, &GroupLook::default()).await.expect_err("newer row");
    assert_eq!(error.kind, PortErrorKind::NewerRegistry);
}

#[tokio::test]
async fn what_is_not_a_registry_is_corrupt() {
    let home = Home::new();
    std::fs::create_dir_all(home.path.parent().expect("folder")).expect("folder");
    std::fs::write(&home.path, "not a database, but long enough to be read as one ".repeat(100)).expect("file");
    let look = home.registry.look(&home.group, &GroupLook::default()).await.expect_err("no database");
    let write = home.registry.set_frozen(&home.group, true, &by("x")).await.expect_err("no database");
    assert_eq!([look.kind, write.kind], [PortErrorKind::Corrupt; 2]);
    assert!(look.hint.is_some_and(|hint| hint.contains("registry.db")));

    let other = Home::new();
    drop(meddle(&other.path, "CREATE TABLE bookmarks (url TEXT)"));
    let look = other.registry.look(&other.group, &GroupLook::default()).await.expect_err("foreign");
    let write = other.registry.set_frozen(&other.group, true, &by("x")).await.expect_err("foreign");
    assert_eq!([look.kind, write.kind], [PortErrorKind::Corrupt; 2]);

    for damage in [
        "UPDATE versions SET content = '{'",
        "UPDATE versions SET content = '{\"schema\":1,\"content\":{}}'",
        "UPDATE versions SET rejection = 'whim'",
        "UPDATE versions SET registered_at = 9223372036854775807",
        "UPDATE groups SET owner = '{'",
        "INSERT INTO freezes VALUES (1, 0, 'nobody')",
    ] {
        let home = Home::new();
        home.register("a", APPROVED).await;
        drop(meddle(&home.path, damage));
        let error = home.again().look(&home.group, &GroupLook::default()).await.expect_err(damage);
        assert_eq!(error.kind, PortErrorKind::Corrupt, "{damage}: {}", error.chain());
        assert!(error.chain().contains("risk-churn-prod"), "{}", error.chain());
    }
}

#[tokio::test]
async fn a_writer_that_does_not_finish_is_named() {
    let home = Home::new();
    home.register("a", APPROVED).await;
    let other = meddle(&home.path, "BEGIN IMMEDIATE");
    let registry = home.again();
    let error = registry.set_frozen(&home.group, true, &by("x")).await.expect_err("locked");
    assert_eq!(error.kind, PortErrorKind::Throttling);
    assert!(error.kind.may_pass());
    assert!(error.chain().contains("another Branchline is writing to"), "{}", error.chain());
    // Readers are not held up.
    assert_eq!(registry.look(&home.group, &GroupLook::default()).await.expect("look").newest, Some(VersionNumber(1)));
    drop(other);
    assert_eq!(registry.set_frozen(&home.group, true, &by("x")).await.expect("free"), Changed::Done);
}

/// Keeps the shared index of the write-ahead log from being made, as a read-only folder does, but also for a
/// user whom permissions do not stop.
#[cfg(unix)]
fn forbid_shared_index(path: &Path) -> PathBuf {
    let index = beside(path, "-shm");
    std::os::unix::fs::symlink("/nowhere/at/all", &index).expect("link");
    index
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

#[cfg(unix)]
#[tokio::test]
async fn a_home_where_nothing_can_be_made_is_still_read() {
    let home = Home::new();
    let version = home.register("a", APPROVED).await;
    let Home { _folder, path, clock, registry, group } = home;
    // The last one to leave settles the log into the file.
    drop(registry);
    assert!(!beside(&path, "-wal").exists());
    let index = forbid_shared_index(&path);
    let registry = LocalRegistry::at(&path, clock.clone());
    let look = async || registry.look(&group, &GroupLook::default()).await.expect("look");
    assert_eq!(look().await.current, Some(version));
    let error = registry.set_frozen(&group, true, &by("x")).await.expect_err("cannot write");
    assert_eq!(error.kind, PortErrorKind::Storage);
    assert!(error.hint.is_some_and(|hint| hint.contains("writable")));
    std::fs::remove_file(index).expect("link");
    assert_eq!(registry.set_frozen(&group, true, &by("x")).await.expect("writable again"), Changed::Done);
    assert!(look().await.frozen.is_some(), "what was read before does not stick");

    let blocked = LocalRegistry::at(&path.join("below-a-file").join("registry.db"), clock);
    let error = blocked.set_frozen(&group, true, &by("x")).await.expect_err("not a folder");
    assert_eq!(error.kind, PortErrorKind::Storage);
}

#[cfg(unix)]
#[tokio::test]
async fn what_was_registered_before_a_kill_is_there_or_is_missed_aloud() {
    let home = Home::new();
    for what in ["a", "b", "c"] {
        home.register(what, APPROVED).await;
    }
    // The files as a kill leaves them: the log is not settled.
    let after = tempfile::tempdir().expect("folder");
    let path = after.path().join("registry.db");
    std::fs::copy(&home.path, &path).expect("copy");
    std::fs::copy(beside(&home.path, "-wal"), beside(&path, "-wal")).expect("copy");
    let index = forbid_shared_index(&path);
    let registry = LocalRegistry::at(&path, home.clock.clone());
    let error = registry.look(&home.group, &GroupLook::default()).await.expect_err("the log cannot be read");
    assert_eq!(error.kind, PortErrorKind::Storage);
    std::fs::remove_file(index).expect("link");
    assert_eq!(registry.look(&home.group, &GroupLook::default()).await.expect("look"), {
        home.look_for(GroupLook::default()).await
    });
    assert_eq!(registry.versions_count(&home.group).await.expect("count"), 3);
}
