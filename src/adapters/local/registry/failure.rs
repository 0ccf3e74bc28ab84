//! What went wrong with the registry file, in the words of the person who has to do something about it.

use crate::adapters::local::registry::rows::RowError;
use crate::adapters::local::registry::schema::SCHEMA;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use rusqlite::ErrorCode;
use rusqlite::ffi;
use std::error::Error;
use std::path::Path;

/// Says what a failure means to people, and keeps what the database said beneath it.
#[derive(Debug, thiserror::Error)]
#[error("{meaning}")]
struct Because {
    meaning: String,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

/// Explains a failure of the database while `doing` something with the registry at `path`.
pub(super) fn explain(path: &Path, doing: &str, error: rusqlite::Error) -> PortError {
    let shown = path.display();
    let error = match row_error(error) {
        Ok(row) => return explain_row(path, doing, row),
        Err(error) => error,
    };
    let (code, extended) = match &error {
        rusqlite::Error::SqliteFailure(failure, _) => (failure.code, failure.extended_code),
        _ => (ErrorCode::Unknown, 0),
    };
    let (kind, meaning, hint) = match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => (
            PortErrorKind::Throttling,
            format!("another Branchline is writing to {shown}"),
            "run this again when the other one is done; nothing was changed".to_owned(),
        ),
        _ if is_disk_full(code, extended) => (
            PortErrorKind::DiskFull,
            format!("the disk that holds {shown} is full"),
            "free some space and run this again: nothing was written by halves".to_owned(),
        ),
        ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => (
            PortErrorKind::Corrupt,
            format!("{shown} is damaged, or not a registry at all"),
            format!("restore {shown} from a copy; or move it away, and an empty registry is begun in its place"),
        ),
        ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure => (
            PortErrorKind::Storage,
            format!("{shown} cannot be used"),
            format!("make {shown} and its folder readable and writable for this user, on a local disk"),
        ),
        _ => (
            PortErrorKind::Bug,
            format!("the database refused a statement on {shown}"),
            "this is a bug in Branchline: please report it with this message".to_owned(),
        ),
    };
    // As text: beneath it, the error only repeats its own words with the number.
    let said = if extended == 0 { error.to_string() } else { format!("{error} (SQLite {extended})") };
    PortError::because(kind, doing, Because { meaning, source: said.into() }).hint(hint)
}

/// A registry that was written by a newer release.
pub(super) fn newer(path: &Path, doing: &str, schema: i32) -> PortError {
    let meaning = format!(
        "{} was written by a newer Branchline (schema {schema}; this one knows up to {SCHEMA}): upgrade",
        path.display()
    );
    PortError::because(PortErrorKind::NewerRegistry, doing, meaning).hint("install the newest release of Branchline")
}

/// A database that another program made.
pub(super) fn foreign(path: &Path, doing: &str) -> PortError {
    let shown = path.display();
    PortError::because(PortErrorKind::Corrupt, doing, format!("{shown} is a database, but not a Branchline registry"))
        .hint(format!("move {shown} away, or choose another home with BRANCHLINE_HOME"))
}

/// A file or folder that cannot be reached.
pub(super) fn unreachable_file(path: &Path, doing: &str, error: std::io::Error) -> PortError {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => PortErrorKind::DiskFull,
        _ => PortErrorKind::Storage,
    };
    let meaning = format!("{} cannot be reached", path.display());
    PortError::because(kind, doing, Because { meaning, source: error.into() })
        .hint("make it reachable for this user, or choose another home with BRANCHLINE_HOME")
}

/// A row that was read well, but whose text makes no sense.
fn explain_row(path: &Path, doing: &str, row: RowError) -> PortError {
    let kind = match &row {
        RowError::Newer { .. } => PortErrorKind::NewerRegistry,
        RowError::Unreadable { .. } => PortErrorKind::Corrupt,
    };
    let hint = match &row {
        RowError::Newer { .. } => "install the newest release of Branchline".to_owned(),
        RowError::Unreadable { .. } => format!("restore {} from a copy", path.display()),
    };
    let meaning = format!("{} holds something unreadable", path.display());
    PortError::because(kind, doing, Because { meaning, source: row.into() }).hint(hint)
}

/// Takes our own error out of the wrapping that a row conversion puts around it.
fn row_error(error: rusqlite::Error) -> Result<RowError, rusqlite::Error> {
    match error {
        rusqlite::Error::FromSqlConversionFailure(column, kind, source) => match source.downcast::<RowError>() {
            Ok(row) => Ok(*row),
            Err(source) => Err(rusqlite::Error::FromSqlConversionFailure(column, kind, source)),
        },
        rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::IntegralValueOutOfRange(..) => {
            Ok(RowError::Unreadable { what: "a column".to_owned(), source: error.into() })
        }
        error => Err(error),
    }
}

/// A full disk is `FULL`, but a quota is an I/O error on write, and no room for the shared index of the
/// write-ahead log an I/O error on its size: <https://www.sqlite.org/rescode.html>.
fn is_disk_full(code: ErrorCode, extended: i32) -> bool {
    code == ErrorCode::DiskFull || matches!(extended, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE)
}
