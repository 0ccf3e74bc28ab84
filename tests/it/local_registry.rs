//! The local registry, told from outside: what a group is after a story, and what goes wrong by name.

use crate::registry_stories;
use crate::registry_stories::APPROVED;
use crate::registry_stories::HeldClock;
use crate::registry_stories::Place;
use crate::registry_stories::by;
use crate::registry_stories::content;
use crate::registry_stories::numbers;
use crate::registry_stories::repository;
use branchline::adapters::local::registry::LocalRegistry;
use branchline::facts::group::GroupFacts;
use branchline::facts::group::GroupLook;
use branchline::model::history::HistoryAction;
use branchline::model::name::GroupName;
use branchline::model::version::Version;
use branchline::model::version::VersionNumber;
use branchline::ports::Changed;
use branchline::ports::Expected;
use branchline::ports::PortErrorKind;
use branchline::ports::Registered;
use branchline::ports::Registration;
use branchline::ports::Registry;
use branchline::ports::Stale;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A home of its own in a temporary folder.
struct Local {
    _folder: TempDir,
    path: PathBuf,
}

impl Place for Local {
    type Registry = LocalRegistry;

    async fn new() -> Self {
        Self::begin()
    }

    fn open(&self, clock: Arc<HeldClock>) -> LocalRegistry {
        LocalRegistry::with_patience(&self.path, clock, Duration::from_millis(50))
    }
}

impl Local {
    fn begin() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        // A name that means something in a URI, and to a shell.
        let path = folder.path().join("my home?x=1 #%41").join("registry.db");
        Self { _folder: folder, path }
    }
}

type Home = registry_stories::Home<Local>;

fn new_home() -> Home {
    Home::at(Local::begin())
}

registry_stories::registry_stories!(Local);

#[tokio::test]
async fn reading_what_was_never_written_makes_nothing() {
    let home = new_home();
    let registry = LocalRegistry::open(&home.place.path, home.clock.clone()).expect("nothing there is fine");
    assert_eq!(home.look().await, GroupFacts::empty(home.group.clone()));
    assert!(registry.list(&home.group, None, 10).await.expect("list").is_empty());
    assert!(registry.history(&home.group, None, None).await.expect("history").is_empty());
    assert!(registry.groups("").await.expect("groups").is_empty());
    assert_eq!(registry.versions_count(&home.group).await.expect("count"), 0);
    assert!(!home.place.path.exists());
    assert!(!home.place.path.parent().expect("folder").exists());

    // A maker that was stopped before its first commit leaves an empty file.
    std::fs::create_dir_all(home.place.path.parent().expect("folder")).expect("folder");
    std::fs::write(&home.place.path, "").expect("empty file");
    assert_eq!(home.look().await, GroupFacts::empty(home.group.clone()));
    assert_eq!(home.register("a", APPROVED).await.number, VersionNumber(1));
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
            let registry = LocalRegistry::with_patience(&home.place.path, home.clock.clone(), Duration::from_secs(60));
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
    let home = new_home();
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
        let home = new_home();
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
    let home = new_home();
    home.register("a", APPROVED).await;
    drop(meddle(&home.place.path, "PRAGMA user_version = 7"));
    let look = home.again().look(&home.group, &GroupLook::default()).await.expect_err("newer");
    let write = home.again().set_frozen(&home.group, true, &by("x")).await.expect_err("newer");
    let shown = home.place.path.display();
    assert_eq!(
        look.chain(),
        format!(
            "could not look at the group risk-churn-prod: {shown} was written by a newer Branchline \
             (schema 7; this one knows up to 2): upgrade"
        )
    );
    let kinds =
        [look.kind, write.kind, LocalRegistry::open(&home.place.path, home.clock.clone()).err().expect("newer").kind];
    assert_eq!(kinds, [PortErrorKind::NewerRegistry; 3]);

    let other = new_home();
    other.register("a", APPROVED).await;
    drop(meddle(&other.place.path, "UPDATE versions SET content = json_set(content, '$.schema', 2)"));
    let error = other.again().look(&other.group, &GroupLook::default()).await.expect_err("newer row");
    assert_eq!(error.kind, PortErrorKind::NewerRegistry);
}

#[tokio::test]
async fn what_is_not_a_registry_is_corrupt() {
    let home = new_home();
    std::fs::create_dir_all(home.place.path.parent().expect("folder")).expect("folder");
    std::fs::write(&home.place.path, "not a database, but long enough to be read as one ".repeat(100)).expect("file");
    let look = home.registry.look(&home.group, &GroupLook::default()).await.expect_err("no database");
    let write = home.registry.set_frozen(&home.group, true, &by("x")).await.expect_err("no database");
    assert_eq!([look.kind, write.kind], [PortErrorKind::Corrupt; 2]);
    assert!(look.hint.is_some_and(|hint| hint.contains("registry.db")));

    let other = new_home();
    drop(meddle(&other.place.path, "CREATE TABLE bookmarks (url TEXT)"));
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
        let home = new_home();
        home.register("a", APPROVED).await;
        drop(meddle(&home.place.path, damage));
        let error = home.again().look(&home.group, &GroupLook::default()).await.expect_err(damage);
        assert_eq!(error.kind, PortErrorKind::Corrupt, "{damage}: {}", error.chain());
        assert!(error.chain().contains("risk-churn-prod"), "{}", error.chain());
    }
}

#[tokio::test]
async fn a_writer_that_does_not_finish_is_named() {
    let home = new_home();
    home.register("a", APPROVED).await;
    let other = meddle(&home.place.path, "BEGIN IMMEDIATE");
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
    let home = new_home();
    let version = home.register("a", APPROVED).await;
    let Home { place: Local { _folder, path }, clock, registry, group } = home;
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
    let home = new_home();
    for what in ["a", "b", "c"] {
        home.register(what, APPROVED).await;
    }
    // The files as a kill leaves them: the log is not settled.
    let after = tempfile::tempdir().expect("folder");
    let path = after.path().join("registry.db");
    std::fs::copy(&home.place.path, &path).expect("copy");
    std::fs::copy(beside(&home.place.path, "-wal"), beside(&path, "-wal")).expect("copy");
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
