//! What a group is after a story, whichever registry keeps it: the one on the laptop or the one in the cloud.

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
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

/// A clock that only a test moves, in either direction.
pub struct HeldClock(pub Mutex<jiff::Timestamp>);

#[async_trait::async_trait]
impl Clock for HeldClock {
    fn now(&self) -> jiff::Timestamp {
        *self.0.lock().expect("clock")
    }

    async fn sleep(&self, _duration: Duration) {}
}

pub fn at(text: &str) -> jiff::Timestamp {
    text.parse().expect("time")
}

/// Where a registry lives.
pub trait Place: Sized {
    /// The registry there.
    type Registry: Registry;

    /// Makes a place where nothing was written yet.
    async fn new() -> Self;

    /// Opens the registry there.
    fn open(&self, clock: Arc<HeldClock>) -> Self::Registry;
}

/// A home with one group in it.
pub struct Home<P: Place> {
    pub place: P,
    pub clock: Arc<HeldClock>,
    pub registry: P::Registry,
    pub group: GroupName,
}

impl<P: Place> Home<P> {
    pub async fn new() -> Self {
        Self::at(P::new().await)
    }

    pub fn at(place: P) -> Self {
        let clock = Arc::new(HeldClock(Mutex::new(at("2026-11-09T08:00:00Z"))));
        let registry = place.open(clock.clone());
        Self { place, clock, registry, group: GroupName::parse("risk-churn-prod").expect("name") }
    }

    pub fn again(&self) -> P::Registry {
        self.place.open(self.clock.clone())
    }

    pub fn set_clock(&self, time: &str) {
        *self.clock.0.lock().expect("clock") = at(time);
    }

    pub async fn look(&self) -> GroupFacts {
        self.look_for(GroupLook { with_former: true, ..GroupLook::default() }).await
    }

    pub async fn look_for(&self, look: GroupLook) -> GroupFacts {
        self.registry.look(&self.group, &look).await.expect("look")
    }

    /// A registration of the content `what`, decided on what is there now.
    pub async fn decide(&self, what: &str, approval: Approval) -> Registration {
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

    pub async fn register(&self, what: &str, approval: Approval) -> Version {
        let registration = self.decide(what, approval).await;
        new(self.registry.register(&registration).await.expect("register"))
    }

    pub async fn set(&self, number: u32, from: Approval, to: Approval, rejection: Option<Rejection>) -> Changed {
        let change = ApprovalChange {
            group: self.group.clone(),
            number: VersionNumber(number),
            from,
            to,
            rejection,
            reinstates: false,
            expected_current: self.look().await.current_number(),
            by: by("reviewer"),
        };
        self.registry.set_approval(&change).await.expect("set approval")
    }

    /// The history as `action version -> current`, and who.
    pub async fn story(&self) -> Vec<String> {
        let entries = self.registry.history(&self.group, None, None).await.expect("history");
        let number = |n: Option<VersionNumber>| n.map_or("-".to_owned(), |n| n.to_string());
        let line = |e: &branchline::model::history::HistoryEntry| {
            let who = e.by.actor.as_deref().unwrap_or("nobody");
            format!("{} {} -> {} by {who}", e.action.as_str(), number(e.version), number(e.current))
        };
        entries.iter().map(line).collect()
    }
}

pub fn by(actor: &str) -> Attribution {
    Attribution { actor: Some(actor.to_owned()), event: "push".to_owned(), ..Attribution::default() }
}

pub fn repository() -> RepositoryId {
    RepositoryId { remote: Some("github.com/acme/risk".to_owned()), ..RepositoryId::default() }
}

pub fn content(what: &str) -> VersionContent {
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

pub fn new(registered: Registered) -> Version {
    match registered {
        Registered::New(version) => version,
        other => panic!("not a new version: {other:?}"),
    }
}

pub fn numbers(versions: &[Version]) -> Vec<u32> {
    versions.iter().map(|version| version.number.0).collect()
}

pub const PENDING: Approval = Approval::PendingManualApproval;
pub const APPROVED: Approval = Approval::Approved;
pub const REJECTED: Approval = Approval::Rejected;

/// Tells every story about the registry of a place.
macro_rules! registry_stories {
    ($place:ty: $($story:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $story() {
                $crate::registry_stories::$story::<$place>().await;
            }
        )*
    };
    ($place:ty) => {
        $crate::registry_stories::registry_stories!(
            $place:
            a_version_is_read_back_as_it_was_registered,
            a_look_finds_what_it_asks_for,
            the_way_back_is_what_was_current_before,
            a_registration_that_expects_another_world_changes_nothing,
            an_owner_is_completed_but_never_by_a_stranger,
            the_same_operation_finds_its_first_result,
            a_promotion_overtakes_the_pending_ones_before_it,
            a_late_training_enters_overtaken,
            approval_changes_once_and_only_from_what_was_seen,
            a_persons_no_is_stronger_than_a_lost_race,
            a_freeze_keeps_who_was_first,
            a_clock_that_jumps_back_reorders_nothing,
        );
    };
}
pub(crate) use registry_stories;

pub async fn a_version_is_read_back_as_it_was_registered<P: Place>() {
    let home = Home::<P>::new().await;
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

pub async fn a_look_finds_what_it_asks_for<P: Place>() {
    let home = Home::<P>::new().await;
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
            ..GroupLook::default()
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
    let frozen = GroupName::parse("risk-churn-dev").expect("name");
    home.registry.set_frozen(&frozen, true, &by("on-call")).await.expect("freeze");
    assert_eq!(Registry::groups(&home.registry).await.expect("groups"), [frozen, home.group.clone()]);
}

pub async fn the_way_back_is_what_was_current_before<P: Place>() {
    let home = Home::<P>::new().await;
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

pub async fn a_registration_that_expects_another_world_changes_nothing<P: Place>() {
    let home = Home::<P>::new().await;
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
    assert_eq!(Registry::groups(&home.registry).await.expect("groups"), std::slice::from_ref(&home.group));
    assert_eq!((home.look().await, home.story().await), (before, story));
}

pub async fn an_owner_is_completed_but_never_by_a_stranger<P: Place>() {
    let home = Home::<P>::new().await;
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
    let other = Home::<P>::new().await;
    other.register("a", APPROVED).await;
    let mut incomparable = other.decide("b", APPROVED).await;
    incomparable.repository = RepositoryId { host_id: Some("1".to_owned()), ..RepositoryId::default() };
    new(other.registry.register(&incomparable).await.expect("register"));
    assert_eq!(other.look().await.owner, Some(repository()));
}

pub async fn the_same_operation_finds_its_first_result<P: Place>() {
    let home = Home::<P>::new().await;
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

pub async fn a_promotion_overtakes_the_pending_ones_before_it<P: Place>() {
    let home = Home::<P>::new().await;
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

pub async fn a_late_training_enters_overtaken<P: Place>() {
    let home = Home::<P>::new().await;
    let mut late = home.decide("a", PENDING).await;
    late.superseded = true;
    let version = new(home.registry.register(&late).await.expect("register"));
    assert!(version.superseded && !version.awaits_approval());
    assert_eq!(home.look().await.recent, [version]);
}

pub async fn approval_changes_once_and_only_from_what_was_seen<P: Place>() {
    let home = Home::<P>::new().await;
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
        reinstates: false,
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

pub async fn a_persons_no_is_stronger_than_a_lost_race<P: Place>() {
    let home = Home::<P>::new().await;
    home.register("a", PENDING).await;
    home.set(1, PENDING, REJECTED, Some(Rejection::Duplicate)).await;
    assert!(!home.look().await.recent[0].is_banned());
    assert_eq!(home.set(1, REJECTED, REJECTED, Some(Rejection::Person)).await, Changed::Done);
    assert!(home.look().await.recent[0].is_banned());
    assert_eq!(home.set(1, REJECTED, REJECTED, Some(Rejection::Duplicate)).await, Changed::Already);
    assert!(home.look().await.recent[0].is_banned());
}

pub async fn a_freeze_keeps_who_was_first<P: Place>() {
    let home = Home::<P>::new().await;
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

pub async fn a_clock_that_jumps_back_reorders_nothing<P: Place>() {
    let home = Home::<P>::new().await;
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
