//! What only the inside can show: query plans, costs, a full disk, a transaction that was never finished.
//! What the registry does stands in `tests/it/local_registry.rs`.

use crate::adapters::local::registry::failure;
use crate::adapters::local::registry::read;
use crate::adapters::local::registry::rows;
use crate::adapters::local::registry::schema;
use crate::adapters::local::registry::schema::Found;
use crate::adapters::local::registry::store::Store;
use crate::adapters::local::registry::write;
use crate::facts::group::GroupLook;
use crate::model::approval::Approval;
use crate::model::digest::Sha256Digest;
use crate::model::git::CommitSha;
use crate::model::git::RepositoryId;
use crate::model::history::Attribution;
use crate::model::history::HistoryAction;
use crate::model::identity::ContentId;
use crate::model::identity::Fingerprint;
use crate::model::name::GroupName;
use crate::model::version::VersionNumber;
use crate::ports::error::PortErrorKind;
use crate::ports::registry::Expected;
use crate::ports::registry::Registered;
use crate::ports::registry::Registration;
use rusqlite::Connection;
use rusqlite::StatementStatus;
use std::path::Path;
use std::time::Duration;

/// The queries of a look and of what a write compares: those whose cost must not grow.
const QUERIES: &[&str] = &[
    read::GROUP,
    read::CURRENT,
    read::BELOW,
    read::BY_NUMBER,
    read::BY_FINGERPRINT,
    read::BY_CONTENT,
    read::BY_COMMIT,
    read::HIGHEST,
    read::FORMER,
    read::BY_OPERATION,
    read::CURRENT_NUMBER,
    read::NEWEST_NUMBER,
];

const FIXTURE: &str = include_str!("../../../../fixtures/registry/version-1.json");

fn group() -> GroupName {
    GroupName::parse("risk-churn-prod").expect("name")
}

/// A registration of other content for every `serial`, in a series whose first version alone is approved.
fn registration(serial: u32) -> Registration {
    let mut content = rows::content_from_json("fixture", FIXTURE).expect("fixture");
    let digest = |what: &str| Sha256Digest::of(format!("{what} {serial}").as_bytes());
    content.fingerprint = Fingerprint::from_digest(digest("fingerprint"));
    content.content = ContentId::from_digest(digest("content"));
    content.semver = semver::Version::new(0, 1, u64::from(serial));
    let approved = (serial > 1).then_some(VersionNumber(1));
    Registration {
        group: group(),
        repository: RepositoryId::default(),
        expected: Expected {
            newest: (serial > 1).then(|| VersionNumber(serial - 1)),
            current: approved,
            frozen: false,
        },
        content,
        approval: if serial == 1 { Approval::Approved } else { Approval::PendingManualApproval },
        superseded: false,
        supersedes_older: false,
        action: HistoryAction::Registered,
        by: Attribution::default(),
    }
}

fn filled(count: u32) -> Connection {
    let mut connection = Connection::open_in_memory().expect("database");
    connection.set_prepared_statement_cache_capacity(48);
    assert_eq!(schema::migrate(&mut connection).expect("migrate"), Found::Registry);
    let transaction = connection.transaction().expect("transaction");
    for serial in 1..=count {
        let registered = write::register(&transaction, &registration(serial), jiff::Timestamp::UNIX_EPOCH);
        assert!(matches!(registered, Ok(Registered::New(_))), "{serial}: {registered:?}");
    }
    transaction.commit().expect("commit");
    connection
}

/// Steps of the database's machine, in all statements of a look and of a write's comparisons.
fn steps_of_a_look(count: u32) -> Vec<i32> {
    let connection = filled(count);
    for sql in QUERIES {
        connection.prepare_cached(sql).expect("query").reset_status(StatementStatus::VmStep);
    }
    let middle = registration(count / 2).content;
    let wanted = GroupLook {
        contents: vec![middle.content],
        fingerprint: Some(middle.fingerprint),
        numbers: vec![VersionNumber(3)],
        with_former: true,
        ..GroupLook::default()
    };
    let facts = read::look(&connection, &group(), &wanted).expect("look");
    assert_eq!(facts.current_number(), Some(VersionNumber(1)));
    assert_eq!(facts.newest, Some(VersionNumber(count)));
    assert_eq!(facts.matching.len(), 1);
    let elsewhere = CommitSha::parse(&"e".repeat(40)).expect("commit");
    assert_eq!(read::of_commits(&connection, &group(), &[elsewhere]).expect("look up"), []);
    let again = write::register(&connection, &registration(1), jiff::Timestamp::UNIX_EPOCH).expect("register");
    assert!(matches!(again, Registered::Found(_)), "{again:?}");
    let stale = Registration { expected: registration(2).expected, ..registration(count + 7) };
    let stale = write::register(&connection, &stale, jiff::Timestamp::UNIX_EPOCH).expect("register");
    assert!(matches!(stale, Registered::Stale(_)), "{stale:?}");
    let steps = |sql: &&str| connection.prepare_cached(sql).expect("query").get_status(StatementStatus::VmStep);
    QUERIES.iter().map(steps).collect()
}

#[test]
fn a_look_costs_the_same_at_ten_thousand_versions() {
    let few = steps_of_a_look(100);
    assert!(few.iter().all(|steps| *steps > 0), "a query was not asked at all: {few:?}");
    assert_eq!(few, steps_of_a_look(10_000));
}

#[test]
fn every_query_goes_by_an_index() {
    let connection = filled(1);
    for sql in QUERIES {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("query");
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().expect("plan") {
            let detail: String = row.get("detail").expect("detail");
            assert!(detail.starts_with("SEARCH ") && detail.contains(" USING "), "{sql}\n{detail}");
        }
    }
}

#[test]
fn a_registry_of_the_first_schema_learns_to_find_commits() {
    let mut connection = filled(3);
    connection.execute("UPDATE versions SET content = '{' WHERE number = 2", []).expect("damage");
    connection.execute_batch("DROP INDEX versions_by_commit; PRAGMA user_version = 1").expect("as it was");
    assert_eq!(schema::inspect(&mut connection).expect("inspect"), Found::Older);
    assert_eq!(schema::migrate(&mut connection).expect("migrate"), Found::Registry);
    let commit = registration(1).content.lineage.commit;
    let elsewhere = CommitSha::parse(&"e".repeat(40)).expect("commit");
    let found = read::of_commits(&connection, &group(), &[elsewhere, commit]).expect("look up");
    let numbers: Vec<u32> = found.iter().map(|version| version.number.0).collect();
    assert_eq!(numbers, [3, 1], "newest first, and a damaged row stops nobody");
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing_behind() {
    let mut connection = filled(3);
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("count");
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).expect("limit");
    let mut big = registration(4);
    big.content.signature = Some("x".repeat(100_000));
    let transaction = connection.transaction().expect("transaction");
    let error = write::register(&transaction, &big, jiff::Timestamp::UNIX_EPOCH).expect_err("full");
    drop(transaction);
    let error = failure::explain(Path::new("/home/r.db"), "register 0.1.4 in risk-churn-prod", error);
    assert_eq!(error.kind, PortErrorKind::DiskFull);
    assert_eq!(
        error.chain(),
        "could not register 0.1.4 in risk-churn-prod: the disk that holds /home/r.db is full: \
         database or disk is full (SQLite 13)"
    );
    let facts = read::look(&connection, &group(), &GroupLook::default()).expect("look");
    assert_eq!(facts.newest, Some(VersionNumber(3)));
    assert_eq!(read::history(&connection, &group(), None, None).expect("history").len(), 4);
}

#[test]
fn what_was_never_committed_never_happened() {
    let home = tempfile::tempdir().expect("folder");
    let path = home.path().join("registry.db");
    let store = Store::new(&path, Duration::from_secs(5));
    let register =
        |serial: u32| move |c: &Connection| write::register(c, &registration(serial), jiff::Timestamp::UNIX_EPOCH);
    store.write("register", register(1)).expect("registered");
    let refused = store.write("register", |connection| {
        register(2)(connection)?;
        Err::<(), _>(rusqlite::Error::InvalidQuery)
    });
    assert_eq!(refused.expect_err("given up half-way").kind, PortErrorKind::Bug);

    // A writer that dies: its lock goes with it, its half version was never there.
    let dying = Connection::open(&path).expect("second connection");
    dying.execute_batch("BEGIN IMMEDIATE").expect("begin");
    register(2)(&dying).expect("half registered");
    let newest = |store: &Store| store.read("look", |c| read::look(c, &group(), &GroupLook::default()));
    assert_eq!(newest(&store).expect("look").and_then(|facts| facts.newest), Some(VersionNumber(1)));
    drop(dying);
    assert_eq!(newest(&store).expect("look").and_then(|facts| facts.newest), Some(VersionNumber(1)));
    let registered = store.write("register", register(2)).expect("free again");
    assert!(matches!(registered, Registered::New(version) if version.number == VersionNumber(2)));
}

#[test]
fn a_registry_survives_readers_and_a_power_cut() {
    let home = tempfile::tempdir().expect("folder");
    let store = Store::new(&home.path().join("registry.db"), Duration::from_secs(5));
    let pragma = |name: &'static str| {
        move |c: &Connection| c.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0))
    };
    let text = |text: &str| rusqlite::types::Value::Text(text.to_owned());
    assert_eq!(store.write("look", pragma("journal_mode")).expect("pragma"), text("wal"));
    assert_eq!(store.write("look", pragma("synchronous")).expect("pragma"), rusqlite::types::Value::Integer(2));
    assert_eq!(store.write("look", pragma("foreign_keys")).expect("pragma"), rusqlite::types::Value::Integer(1));
}

#[test]
fn history_can_only_grow() {
    let connection = filled(1);
    for sql in ["UPDATE history SET action = 'x'", "DELETE FROM history"] {
        let error = connection.execute(sql, []).expect_err("refused");
        assert!(error.to_string().contains("history is append-only"), "{error}");
    }
}
