//! What is read. Every query goes by an index and has a limit, so that a look costs the same however long the
//! group's series is; a test reads the query plans and counts the steps.

use crate::adapters::local::registry::rows;
use crate::adapters::local::registry::rows::RowError;
use crate::facts::group::GroupFacts;
use crate::facts::group::GroupLook;
use crate::facts::group::MATCHING_LIMIT;
use crate::facts::group::RECENT_LIMIT;
use crate::facts::group::SemverHighWater;
use crate::model::git::CommitSha;
use crate::model::git::RepositoryId;
use crate::model::history::Freeze;
use crate::model::history::HistoryAction;
use crate::model::history::HistoryEntry;
use crate::model::name::GroupName;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::Params;
use rusqlite::Row;
use rusqlite::params;
use std::collections::BTreeMap;

/// How many versions that were current before are read for a rollback.
pub const FORMER_LIMIT: usize = 50;

macro_rules! select_versions {
    ($rest:literal) => {
        concat!(
            "SELECT number, registered_at, approval, rejection, superseded, once_approved, content FROM versions ",
            $rest
        )
    };
}

pub(super) const GROUP: &str = "SELECT g.id, g.owner, f.since, f.by FROM groups g
    LEFT JOIN freezes f ON f.group_id = g.id WHERE g.name = ?1";
// `INDEXED BY`: the other index would do too, and read every pending version on the way.
pub(super) const CURRENT: &str = select_versions!(
    "INDEXED BY versions_approved WHERE group_id = ?1 AND approval = 'Approved' ORDER BY number DESC LIMIT 1"
);
pub(super) const BELOW: &str = select_versions!("WHERE group_id = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3");
pub(super) const BY_NUMBER: &str = select_versions!("WHERE group_id = ?1 AND number = ?2");
pub(super) const BY_FINGERPRINT: &str =
    select_versions!("WHERE group_id = ?1 AND fingerprint = ?2 ORDER BY number DESC LIMIT ?3");
pub(super) const BY_CONTENT: &str =
    select_versions!("WHERE group_id = ?1 AND content_id = ?2 ORDER BY number DESC LIMIT ?3");
// The expression is that of the index, to the letter: else SQLite would not use it.
pub(super) const BY_COMMIT: &str = select_versions!(
    "WHERE group_id = ?1 AND (CASE WHEN json_valid(content) THEN content ->> '$.content.lineage.commit' END) = ?2
     ORDER BY number DESC LIMIT ?3"
);
pub(super) const HIGHEST: &str = select_versions!("WHERE group_id = ?1 ORDER BY semver_key DESC, number DESC LIMIT 1");
pub(super) const FORMER: &str = select_versions!(
    "INDEXED BY versions_once_current WHERE group_id = ?1 AND became_current IS NOT NULL
     ORDER BY became_current DESC LIMIT ?2"
);
pub(super) const BY_OPERATION: &str = select_versions!("WHERE operation_key = ?1");
pub(super) const CURRENT_NUMBER: &str = "SELECT number FROM versions INDEXED BY versions_approved
    WHERE group_id = ?1 AND approval = 'Approved' ORDER BY number DESC LIMIT 1";
pub(super) const NEWEST_NUMBER: &str = "SELECT number FROM versions WHERE group_id = ?1 ORDER BY number DESC LIMIT 1";

/// The row of a group.
pub(super) struct GroupRow {
    /// Its key in the other tables.
    pub(super) id: i64,
    /// The repository it belongs to; `None` while it was only frozen.
    pub(super) owner: Option<RepositoryId>,
    /// Set while automatic changes are stopped.
    pub(super) frozen: Option<Freeze>,
}

/// Finds a group.
pub(super) fn group(connection: &Connection, name: &GroupName) -> rusqlite::Result<Option<GroupRow>> {
    connection.prepare_cached(GROUP)?.query_row([name.as_str()], |row| group_row(name, row)).optional()
}

fn group_row(name: &GroupName, row: &Row<'_>) -> rusqlite::Result<GroupRow> {
    let owner = match row.get::<_, Option<String>>("owner")? {
        Some(text) => Some(rows::from_json(&format!("the owner of {name}"), &text)?),
        None => None,
    };
    let frozen = match row.get::<_, Option<i64>>("since")? {
        Some(since) => {
            let what = format!("the freeze of {name}");
            let by: String = row.get("by")?;
            Some(Freeze { since: rows::time(&what, since)?, by: rows::from_json(&what, &by)? })
        }
        None => None,
    };
    Ok(GroupRow { id: row.get("id")?, owner, frozen })
}

/// Looks at a group. The caller holds one transaction around it, so that all of it is of one moment.
pub(super) fn look(connection: &Connection, name: &GroupName, look: &GroupLook) -> rusqlite::Result<GroupFacts> {
    let mut facts = GroupFacts::empty(name.clone());
    let Some(GroupRow { id, owner, frozen }) = group(connection, name)? else { return Ok(facts) };
    facts.owner = owner;
    facts.frozen = frozen;
    facts.recent = below(connection, name, id, None, RECENT_LIMIT)?;
    facts.newest = facts.recent.first().map(|version| version.number);
    // Mostly one and the same version, which need not be understood again.
    let known = |row: &Row<'_>| {
        let number = VersionNumber(row.get("number")?);
        match facts.recent.iter().find(|version| version.number == number) {
            Some(version) => Ok(version.clone()),
            None => rows::version(name, row),
        }
    };
    facts.current = connection.prepare_cached(CURRENT)?.query_row([id], known).optional()?;
    let highest = connection.prepare_cached(HIGHEST)?.query_row([id], known).optional()?;
    facts.highest = highest.map(|version| SemverHighWater {
        semver: version.content.semver,
        code_id: version.content.code_id,
        signature: version.content.signature,
    });
    facts.matching = matching(connection, name, id, look)?;
    for number in &look.numbers {
        facts.asked.extend(by_number(connection, name, id, *number)?);
    }
    if look.with_former {
        let current = facts.current_number();
        // One more than wanted: the first is the current version itself, where there is one.
        let former = many(connection, name, FORMER, params![id, limit(FORMER_LIMIT + 1)])?;
        facts.formerly_current = former.into_iter().filter(|version| Some(version.number) != current).collect();
        facts.formerly_current.truncate(FORMER_LIMIT);
    }
    Ok(facts)
}

/// Versions with a wanted content or fingerprint, each once, newest first.
fn matching(connection: &Connection, name: &GroupName, id: i64, look: &GroupLook) -> rusqlite::Result<Vec<Version>> {
    let mut found = BTreeMap::new();
    let mut keep = |versions: Vec<Version>| found.extend(versions.into_iter().map(|version| (version.number, version)));
    let most = limit(MATCHING_LIMIT);
    if let Some(fingerprint) = &look.fingerprint {
        keep(many(connection, name, BY_FINGERPRINT, params![id, fingerprint.digest().as_str(), most])?);
    }
    for content in &look.contents {
        keep(many(connection, name, BY_CONTENT, params![id, content.digest().as_str(), most])?);
    }
    Ok(found.into_values().rev().take(MATCHING_LIMIT).collect())
}

/// Reads the versions that were trained from these commits.
pub(super) fn of_commits(
    connection: &Connection,
    name: &GroupName,
    commits: &[CommitSha],
) -> rusqlite::Result<Vec<Version>> {
    let Some(GroupRow { id, .. }) = group(connection, name)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for commit in commits {
        found.extend(many(connection, name, BY_COMMIT, params![id, commit.as_str(), limit(MATCHING_LIMIT)])?);
    }
    Ok(found)
}

/// Reads versions below a number, newest first.
pub(super) fn below(
    connection: &Connection,
    name: &GroupName,
    id: i64,
    before: Option<VersionNumber>,
    most: usize,
) -> rusqlite::Result<Vec<Version>> {
    let before = before.map_or(i64::MAX, |number| i64::from(number.0));
    many(connection, name, BELOW, params![id, before, limit(most)])
}

/// Reads one version.
pub(super) fn by_number(
    connection: &Connection,
    name: &GroupName,
    id: i64,
    number: VersionNumber,
) -> rusqlite::Result<Option<Version>> {
    one(connection, name, BY_NUMBER, params![id, number.0])
}

/// Reads the version that an operation made. The key names the group, so it is this group's.
pub(super) fn by_operation(connection: &Connection, name: &GroupName, key: &str) -> rusqlite::Result<Option<Version>> {
    one(connection, name, BY_OPERATION, [key])
}

/// The highest number given out.
pub(super) fn newest_number(connection: &Connection, id: i64) -> rusqlite::Result<Option<VersionNumber>> {
    connection.prepare_cached(NEWEST_NUMBER)?.query_row([id], |row| row.get(0).map(VersionNumber)).optional()
}

/// The number of the newest approved version.
pub(super) fn current_number(connection: &Connection, id: i64) -> rusqlite::Result<Option<VersionNumber>> {
    connection.prepare_cached(CURRENT_NUMBER)?.query_row([id], |row| row.get(0).map(VersionNumber)).optional()
}

/// Reads the history from `from` until before `to` in the order in which it was written: the clock may jump.
pub(super) fn history(
    connection: &Connection,
    name: &GroupName,
    from: Option<jiff::Timestamp>,
    to: Option<jiff::Timestamp>,
) -> rusqlite::Result<Vec<HistoryEntry>> {
    let mut statement = connection.prepare_cached(
        "SELECT h.at, h.action, h.number, h.current, h.by FROM history h JOIN groups g ON g.id = h.group_id
         WHERE g.name = ?1 AND h.at >= ?2 AND h.at < ?3 ORDER BY h.id",
    )?;
    let from = from.map_or(i64::MIN, microseconds);
    let to = to.map_or(i64::MAX, microseconds);
    let entries = statement.query_map(params![name.as_str(), from, to], |row| {
        let what = format!("the history of {name}");
        let action: String = row.get(1)?;
        let by: String = row.get(4)?;
        Ok(HistoryEntry {
            at: rows::time(&what, row.get(0)?)?,
            group: name.clone(),
            action: HistoryAction::parse(&action).ok_or_else(|| {
                RowError::unreadable(what.as_str(), format!("unknown action `{action}`")).into_sqlite()
            })?,
            version: row.get::<_, Option<u32>>(2)?.map(VersionNumber),
            current: row.get::<_, Option<u32>>(3)?.map(VersionNumber),
            by: rows::from_json(&what, &by)?,
        })
    })?;
    entries.collect()
}

/// Reads the names of all groups that begin with `prefix`, in byte order.
pub(super) fn groups(connection: &Connection, prefix: &str) -> rusqlite::Result<Vec<GroupName>> {
    // `~` sorts after every character of a name.
    let mut statement =
        connection.prepare_cached("SELECT name FROM groups WHERE name >= ?1 AND name < ?2 ORDER BY name")?;
    let names = statement.query_map([prefix, &format!("{prefix}~")], |row| row.get::<_, String>(0))?;
    let parse = |name: rusqlite::Result<String>| {
        GroupName::parse(&name?).map_err(|error| RowError::unreadable("the name of a group", error).into_sqlite())
    };
    names.map(parse).collect()
}

/// Counts the versions of a group.
pub(super) fn versions_count(connection: &Connection, name: &GroupName) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM versions WHERE group_id = (SELECT id FROM groups WHERE name = ?1)";
    let count: i64 = connection.query_row(sql, [name.as_str()], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Returns the stored form of a time, rounded up: what was stored is never before a bound that it equalled.
fn microseconds(time: jiff::Timestamp) -> i64 {
    let floor = time.as_microsecond();
    if jiff::Timestamp::from_microsecond(floor).is_ok_and(|floored| floored < time) { floor + 1 } else { floor }
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

fn one(
    connection: &Connection,
    name: &GroupName,
    sql: &str,
    parameters: impl Params,
) -> rusqlite::Result<Option<Version>> {
    connection.prepare_cached(sql)?.query_row(parameters, |row| rows::version(name, row)).optional()
}

fn many(
    connection: &Connection,
    name: &GroupName,
    sql: &str,
    parameters: impl Params,
) -> rusqlite::Result<Vec<Version>> {
    connection.prepare_cached(sql)?.query_map(parameters, |row| rows::version(name, row))?.collect()
}
