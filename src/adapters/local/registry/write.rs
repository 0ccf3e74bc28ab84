//! What is written. Each function runs in one immediate transaction, compares everything that it expects before
//! it changes anything, and leaves its lines in the history.
//!
//! Lines of one transaction happen at one instant: each carries what was current after all of it.

use crate::adapters::local::registry::read;
use crate::adapters::local::registry::read::GroupRow;
use crate::adapters::local::registry::rows;
use crate::model::approval::Approval;
use crate::model::git::RepositoryId;
use crate::model::history::Attribution;
use crate::model::history::HistoryAction;
use crate::model::name::GroupName;
use crate::model::version::Rejection;
use crate::model::version::Version;
use crate::model::version::VersionNumber;
use crate::ports::registry::ApprovalChange;
use crate::ports::registry::Changed;
use crate::ports::registry::Registered;
use crate::ports::registry::Registration;
use crate::ports::registry::Stale;
use rusqlite::Connection;
use rusqlite::params;

/// A line to be written: what happened to which version.
type Line = (HistoryAction, Option<VersionNumber>);

/// Registers a version, or finds the one that this very operation made before.
pub(super) fn register(
    connection: &Connection,
    registration: &Registration,
    now: jiff::Timestamp,
) -> rusqlite::Result<Registered> {
    let Registration { group: name, repository, expected, content, approval, by, .. } = registration;
    let group = read::group(connection, name)?;
    let owner = group.as_ref().and_then(|group| group.owner.as_ref());
    if owner.is_some_and(|owner| owner.is_foreign_to(repository)) {
        return Ok(Registered::Stale(Stale::Owner));
    }
    let operation = registration.operation_key();
    if let Some(version) = read::by_operation(connection, name, operation.as_str())? {
        return Ok(Registered::Found(version));
    }
    let (newest, current) = match &group {
        Some(group) => (read::newest_number(connection, group.id)?, read::current_number(connection, group.id)?),
        None => (None, None),
    };
    if group.as_ref().is_some_and(|group| group.frozen.is_some()) != expected.frozen {
        return Ok(Registered::Stale(Stale::Freeze));
    }
    if (newest, current) != (expected.newest, expected.current) {
        return Ok(Registered::Stale(Stale::Versions { newest, current }));
    }

    let id = own(connection, name, group.as_ref(), repository, now)?;
    let number = VersionNumber(newest.map_or(1, |newest| newest.0.saturating_add(1)));
    let version = Version {
        group: name.clone(),
        number,
        registered_at: now,
        approval: *approval,
        rejection: None,
        superseded: registration.superseded,
        once_approved: *approval == Approval::Approved,
        content: content.clone(),
    };
    insert(connection, id, &version, operation.as_str())?;
    let mut lines = vec![(registration.action, Some(number))];
    if version.once_approved {
        lines.push((HistoryAction::Approved, Some(number)));
    }
    if registration.supersedes_older {
        lines.extend(supersede_older(connection, id, number)?);
    }
    record(connection, id, current, &lines, by, now)?;
    Ok(Registered::New(version))
}

/// Changes the approval of a version; `None` if there is no such version.
///
/// Approving lifts the marks `rejected` and `superseded`: an approved version is neither. Reinstating lifts the mark
/// `superseded`, whatever the version becomes.
pub(super) fn set_approval(
    connection: &Connection,
    change: &ApprovalChange,
    now: jiff::Timestamp,
) -> rusqlite::Result<Option<Changed>> {
    let Some((group, version)) = find(connection, &change.group, change.number)? else { return Ok(None) };
    // A lost race bans nothing, so that a person's no to the same version is news.
    let ban_is_news = change.to == Approval::Rejected
        && version.rejection == Some(Rejection::Duplicate)
        && change.rejection != Some(Rejection::Duplicate);
    let lifts = change.reinstates && version.superseded;
    if version.approval == change.to && !ban_is_news && !lifts {
        return Ok(Some(Changed::Already));
    }
    if version.approval != change.from || (change.reinstates && !lifts) {
        return Ok(Some(Changed::Stale(Stale::Approval(version.approval))));
    }
    let current = read::current_number(connection, group.id)?;
    if current != change.expected_current {
        let newest = read::newest_number(connection, group.id)?;
        return Ok(Some(Changed::Stale(Stale::Versions { newest, current })));
    }

    let approved = change.to == Approval::Approved;
    let rejection = if change.to == Approval::Rejected { change.rejection } else { None };
    connection
        .prepare_cached(
            "UPDATE versions SET approval = ?3, rejection = ?4, superseded = superseded AND NOT ?6,
             once_approved = once_approved OR ?5 WHERE group_id = ?1 AND number = ?2",
        )?
        .execute(params![
            group.id,
            change.number.0,
            change.to.as_str(),
            rejection.map(rows::rejection_word),
            approved,
            approved || lifts
        ])?;
    let action = match (change.to, rejection) {
        (Approval::Rejected, Some(Rejection::RolledBack)) => HistoryAction::RolledBack,
        (Approval::Rejected, _) => HistoryAction::Rejected,
        (Approval::Approved | Approval::PendingManualApproval, _) => HistoryAction::Approved,
    };
    let number = Some(change.number);
    let lines: &[Line] = match (lifts, approved) {
        (false, _) => &[(action, number)],
        (true, true) => &[(HistoryAction::Reinstated, number), (action, number)],
        (true, false) => &[(HistoryAction::Reinstated, number)],
    };
    record(connection, group.id, current, lines, &change.by, now)?;
    Ok(Some(Changed::Done))
}

/// Takes a version out of its group; the history keeps its line.
///
/// The newest version is the group's high-water mark: it stays, so that no number is ever given out twice.
pub(super) fn forget(
    connection: &Connection,
    name: &GroupName,
    number: VersionNumber,
    by: &Attribution,
    now: jiff::Timestamp,
) -> rusqlite::Result<Changed> {
    let Some((group, version)) = find(connection, name, number)? else { return Ok(Changed::Already) };
    if group.frozen.is_some() {
        return Ok(Changed::Stale(Stale::Freeze));
    }
    if version.awaits_approval() || version.is_banned() {
        return Ok(Changed::Stale(Stale::Approval(version.approval)));
    }
    let (newest, current) = (read::newest_number(connection, group.id)?, read::current_number(connection, group.id)?);
    if newest == Some(number) || current == Some(number) {
        return Ok(Changed::Stale(Stale::Versions { newest, current }));
    }
    connection
        .prepare_cached("DELETE FROM versions WHERE group_id = ?1 AND number = ?2")?
        .execute(params![group.id, number.0])?;
    record(connection, group.id, current, &[(HistoryAction::Pruned, Some(number))], by, now)?;
    Ok(Changed::Done)
}

/// Stops or allows automatic changes. A group may be frozen before it has a version; it belongs to nobody then.
pub(super) fn set_frozen(
    connection: &Connection,
    name: &GroupName,
    frozen: bool,
    by: &Attribution,
    now: jiff::Timestamp,
) -> rusqlite::Result<Changed> {
    let group = read::group(connection, name)?;
    if group.as_ref().is_some_and(|group| group.frozen.is_some()) == frozen {
        return Ok(Changed::Already);
    }
    let id = match &group {
        Some(group) => group.id,
        None => create(connection, name, None, now)?,
    };
    let action = if frozen {
        connection
            .prepare_cached("INSERT INTO freezes (group_id, since, by) VALUES (?1, ?2, ?3)")?
            .execute(params![id, now.as_microsecond(), rows::to_json(by)?])?;
        HistoryAction::Frozen
    } else {
        connection.prepare_cached("DELETE FROM freezes WHERE group_id = ?1")?.execute([id])?;
        HistoryAction::Unfrozen
    };
    let current = read::current_number(connection, id)?;
    record(connection, id, current, &[(action, None)], by, now)?;
    Ok(Changed::Done)
}

fn find(
    connection: &Connection,
    name: &GroupName,
    number: VersionNumber,
) -> rusqlite::Result<Option<(GroupRow, Version)>> {
    let Some(group) = read::group(connection, name)? else { return Ok(None) };
    Ok(read::by_number(connection, name, group.id, number)?.map(|version| (group, version)))
}

/// Returns the key of a group that belongs to the repository from now on.
fn own(
    connection: &Connection,
    name: &GroupName,
    group: Option<&GroupRow>,
    repository: &RepositoryId,
    now: jiff::Timestamp,
) -> rusqlite::Result<i64> {
    let Some(group) = group else { return create(connection, name, Some(repository), now) };
    let completed = match &group.owner {
        None => repository.clone(),
        Some(owner) => completed(owner, repository),
    };
    if group.owner.as_ref() != Some(&completed) {
        connection
            .prepare_cached("UPDATE groups SET owner = ?2 WHERE id = ?1")?
            .execute(params![group.id, rows::to_json(&completed)?])?;
    }
    Ok(group.id)
}

/// Fills in what was not known of an owner before, if the two are known to be the same repository. Two that
/// merely have nothing to compare stay apart: else a stranger could make himself part of the identity.
fn completed(owner: &RepositoryId, seen: &RepositoryId) -> RepositoryId {
    let comparable = (owner.host_id.is_some() && seen.host_id.is_some())
        || (owner.remote.is_some() && seen.remote.is_some())
        || (owner.root.is_some() && seen.root.is_some());
    if !comparable && *owner != RepositoryId::default() {
        return owner.clone();
    }
    RepositoryId {
        host_id: owner.host_id.clone().or_else(|| seen.host_id.clone()),
        remote: owner.remote.clone().or_else(|| seen.remote.clone()),
        root: owner.root.clone().or_else(|| seen.root.clone()),
    }
}

fn create(
    connection: &Connection,
    name: &GroupName,
    owner: Option<&RepositoryId>,
    now: jiff::Timestamp,
) -> rusqlite::Result<i64> {
    let owner = owner.map(rows::to_json).transpose()?;
    connection.prepare_cached("INSERT INTO groups (name, owner, created_at) VALUES (?1, ?2, ?3)")?.insert(params![
        name.as_str(),
        owner,
        now.as_microsecond()
    ])
}

fn insert(connection: &Connection, id: i64, version: &Version, operation: &str) -> rusqlite::Result<()> {
    let content = &version.content;
    connection
        .prepare_cached(
            "INSERT INTO versions (group_id, number, semver, semver_key, fingerprint, code_id, content_id, approval,
             superseded, once_approved, registered_at, operation_key, content)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            id,
            version.number.0,
            content.semver.to_string(),
            rows::semver_key(&content.semver),
            content.fingerprint.digest().as_str(),
            content.code_id.digest().as_str(),
            content.content.digest().as_str(),
            version.approval.as_str(),
            version.superseded,
            version.once_approved,
            version.registered_at.as_microsecond(),
            operation,
            rows::content_to_json(content)?,
        ])?;
    Ok(())
}

/// Marks every pending version below a number, and returns the lines that say so, oldest first.
fn supersede_older(connection: &Connection, id: i64, number: VersionNumber) -> rusqlite::Result<Vec<Line>> {
    let mut statement = connection.prepare_cached(
        "SELECT number FROM versions INDEXED BY versions_pending WHERE group_id = ?1 AND number < ?2
         AND approval = 'PendingManualApproval' AND superseded = 0 ORDER BY number",
    )?;
    let older = statement.query_map(params![id, number.0], |row| row.get(0).map(VersionNumber))?;
    let older: Vec<VersionNumber> = older.collect::<rusqlite::Result<_>>()?;
    for number in &older {
        mark_superseded(connection, id, *number)?;
    }
    Ok(older.into_iter().map(|number| (HistoryAction::Superseded, Some(number))).collect())
}

fn mark_superseded(connection: &Connection, id: i64, number: VersionNumber) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE versions SET superseded = 1 WHERE group_id = ?1 AND number = ?2")?
        .execute(params![id, number.0])?;
    Ok(())
}

/// Writes the history of a change, and remembers by which line a version became the current one.
fn record(
    connection: &Connection,
    id: i64,
    current_before: Option<VersionNumber>,
    lines: &[Line],
    by: &Attribution,
    now: jiff::Timestamp,
) -> rusqlite::Result<()> {
    let current = read::current_number(connection, id)?;
    let by = rows::to_json(by)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO history (group_id, at, action, number, current, by) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut last = 0;
    for (action, number) in lines {
        let (number, current) = (number.map(|number| number.0), current.map(|number| number.0));
        last = statement.insert(params![id, now.as_microsecond(), action.as_str(), number, current, by])?;
    }
    if let Some(current) = current.filter(|_| current != current_before) {
        connection
            .prepare_cached("UPDATE versions SET became_current = ?3 WHERE group_id = ?1 AND number = ?2")?
            .execute(params![id, current.0, last])?;
    }
    Ok(())
}
