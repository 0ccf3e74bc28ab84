//! The tables, and how a registry of an older release is brought up to date.
//!
//! Deliberately absent: a way back. A newer registry is refused, never guessed at.

use rusqlite::Connection;
use rusqlite::Transaction;
use rusqlite::TransactionBehavior;

/// Marks the file as ours (`PRAGMA application_id`): "BRLN".
const APPLICATION_ID: i32 = 0x4252_4C4E;

/// One script for each schema; a script that was released is never edited. `PRAGMA user_version` counts them.
const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2];

/// The schema that this release writes.
pub(super) const SCHEMA: i32 = MIGRATIONS.len() as i32;

/// Times are microseconds since 1970, UTC. `became_current` is the history line by which a version last became
/// the current one, so that what was current before is found by an index instead of by reading the history.
const VERSION_1: &str = "
CREATE TABLE groups (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    owner      TEXT,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE freezes (
    group_id INTEGER PRIMARY KEY REFERENCES groups (id),
    since    INTEGER NOT NULL,
    by       TEXT    NOT NULL
) STRICT;

CREATE TABLE history (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id INTEGER NOT NULL REFERENCES groups (id),
    at       INTEGER NOT NULL,
    action   TEXT    NOT NULL,
    number   INTEGER,
    current  INTEGER,
    by       TEXT    NOT NULL
) STRICT;
CREATE INDEX history_by_time ON history (group_id, at);
CREATE TRIGGER history_is_never_changed BEFORE UPDATE ON history
    BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER history_is_never_deleted BEFORE DELETE ON history
    BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;

CREATE TABLE versions (
    id             INTEGER PRIMARY KEY,
    group_id       INTEGER NOT NULL REFERENCES groups (id),
    number         INTEGER NOT NULL CHECK (number BETWEEN 1 AND 4294967295),
    semver         TEXT    NOT NULL,
    semver_key     TEXT    NOT NULL,
    fingerprint    TEXT    NOT NULL,
    code_id        TEXT    NOT NULL,
    content_id     TEXT    NOT NULL,
    approval       TEXT    NOT NULL CHECK (approval IN ('PendingManualApproval', 'Approved', 'Rejected')),
    rejection      TEXT,
    superseded     INTEGER NOT NULL CHECK (superseded IN (0, 1)),
    once_approved  INTEGER NOT NULL CHECK (once_approved IN (0, 1)),
    became_current INTEGER REFERENCES history (id),
    registered_at  INTEGER NOT NULL,
    operation_key  TEXT    NOT NULL UNIQUE,
    content        TEXT    NOT NULL,
    UNIQUE (group_id, number)
) STRICT;
CREATE INDEX versions_by_fingerprint ON versions (group_id, fingerprint, number);
CREATE INDEX versions_by_content ON versions (group_id, content_id, number);
CREATE INDEX versions_by_semver ON versions (group_id, semver_key, number);
CREATE INDEX versions_approved ON versions (group_id, number) WHERE approval = 'Approved';
CREATE INDEX versions_pending ON versions (group_id, number)
    WHERE approval = 'PendingManualApproval' AND superseded = 0;
CREATE INDEX versions_once_current ON versions (group_id, became_current) WHERE became_current IS NOT NULL;
";

/// Versions by the commit that was trained, for `branchline log`. A damaged row has no commit here, so that it
/// stops neither the update nor a write; it is named where it is read.
const VERSION_2: &str = "
CREATE INDEX versions_by_commit ON versions
    (group_id, (CASE WHEN json_valid(content) THEN content ->> '$.content.lineage.commit' END), number);
";

/// What a database file turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing was ever written: an empty file, or one whose maker was stopped before its first commit.
    Nothing,
    /// A registry of the schema that this release writes.
    Registry,
    /// A registry of an older release.
    Older,
    /// A registry of a newer release.
    Newer(i32),
    /// Another program's database.
    Foreign,
}

/// Tells what the file is, at one moment: another Branchline may be making it right now.
pub(super) fn inspect(connection: &mut Connection) -> rusqlite::Result<Found> {
    let transaction = connection.transaction()?;
    inspect_within(&transaction)
}

fn inspect_within(connection: &Transaction<'_>) -> rusqlite::Result<Found> {
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0));
    let (application, schema) = (pragma("application_id")?, pragma("user_version")?);
    if application == APPLICATION_ID {
        return Ok(match schema {
            SCHEMA => Found::Registry,
            newer if newer > SCHEMA => Found::Newer(newer),
            _ => Found::Older,
        });
    }
    let empty: bool = connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
    Ok(if application == 0 && schema == 0 && empty { Found::Nothing } else { Found::Foreign })
}

/// Makes or updates the tables, whole or not at all. Whoever comes second finds it done.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<Found> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = inspect_within(&transaction)?;
    if matches!(found, Found::Newer(_) | Found::Foreign | Found::Registry) {
        return Ok(found);
    }
    let done: i32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for script in &MIGRATIONS[usize::try_from(done).unwrap_or(0)..] {
        transaction.execute_batch(script)?;
    }
    transaction.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA}"))?;
    transaction.commit()?;
    Ok(Found::Registry)
}
