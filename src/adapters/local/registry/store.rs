//! The database file: opened when it is needed, made by the first write, one transaction for each operation.
//!
//! Deliberately absent: what is in it (`schema`, `rows`) and what is asked of it (`read`, `write`).

use crate::adapters::local::registry::failure;
use crate::adapters::local::registry::schema;
use crate::adapters::local::registry::schema::Found;
use crate::ports::error::PortError;
use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OpenFlags;
use rusqlite::TransactionBehavior;
use rusqlite::config::DbConfig;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// All statements of an operation stay prepared.
const PREPARED_STATEMENTS: usize = 48;

/// The file, and the connection to it once there is one.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    patience: Duration,
    connection: Mutex<Option<Connection>>,
}

impl Store {
    /// Names the file; opens nothing.
    pub(super) fn new(path: &Path, patience: Duration) -> Self {
        Self { path: path.to_owned(), patience, connection: Mutex::new(None) }
    }

    /// Reads at one moment of the registry. `None` if nothing was ever written to it; then nothing is made.
    pub(super) fn read<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, PortError> {
        let mut slot = self.slot();
        let mut unkept = None;
        let connection = match &mut *slot {
            Some(connection) => connection,
            empty => match self.open_to_read(doing)? {
                Opened::Nothing => return Ok(None),
                Opened::Live(connection) => empty.insert(connection),
                Opened::Still(connection) => unkept.insert(connection),
            },
        };
        let answer = connection.transaction().and_then(|transaction| work(&transaction));
        answer.map(Some).map_err(|error| failure::explain(&self.path, doing, error))
    }

    /// Writes, wholly or not at all. Makes the registry, and its folder, if this is the first write.
    pub(super) fn write<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, PortError> {
        let mut slot = self.slot();
        let connection = match &mut *slot {
            Some(connection) => connection,
            empty => empty.insert(self.open_to_write(doing)?),
        };
        let answer = connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            let answer = work(&transaction)?;
            transaction.commit()?;
            Ok(answer)
        });
        answer.map_err(|error| failure::explain(&self.path, doing, error))
    }

    /// A thread that panicked left no open transaction behind: dropping one rolls it back.
    fn slot(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_to_read(&self, doing: &str) -> Result<Opened, PortError> {
        let exists = self.path.try_exists().map_err(|error| failure::unreachable_file(&self.path, doing, error))?;
        if !exists {
            return Ok(Opened::Nothing);
        }
        let opened = self.connect(OpenFlags::empty()).and_then(|mut connection| {
            let found = schema::inspect(&mut connection)?;
            Ok((connection, found))
        });
        let (mut connection, found, still) = match opened {
            Ok((connection, found)) => (connection, found, false),
            Err(error) if self.is_settled_in_a_read_only_home(&error) => {
                let mut connection = self.connect_immutable().map_err(|e| failure::explain(&self.path, doing, e))?;
                let found = schema::inspect(&mut connection).map_err(|e| failure::explain(&self.path, doing, e))?;
                (connection, found, true)
            }
            Err(error) => return Err(failure::explain(&self.path, doing, error)),
        };
        let found = match found {
            Found::Older => schema::migrate(&mut connection).map_err(|e| failure::explain(&self.path, doing, e))?,
            found => found,
        };
        match found {
            Found::Nothing => Ok(Opened::Nothing),
            found => {
                self.refuse_what_is_not_ours(doing, found)?;
                Ok(if still { Opened::Still(connection) } else { Opened::Live(connection) })
            }
        }
    }

    fn open_to_write(&self, doing: &str) -> Result<Connection, PortError> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failure::unreachable_file(folder, doing, error))?;
        }
        let explain = |error| failure::explain(&self.path, doing, error);
        let mut connection = self.connect(OpenFlags::SQLITE_OPEN_CREATE).map_err(explain)?;
        let found = schema::inspect(&mut connection).map_err(explain)?;
        let found = match found {
            Found::Nothing | Found::Older => schema::migrate(&mut connection).map_err(explain)?,
            found => found,
        };
        self.refuse_what_is_not_ours(doing, found)?;
        match connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            // The switch needs the file for itself for a moment. Whatever the answer, every journal is
            // safe; this one only lets readers go on beside a writer. The next to open it asks again.
            Ok(_) => {}
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
            Err(error) => return Err(explain(error)),
        }
        Ok(connection)
    }

    fn refuse_what_is_not_ours(&self, doing: &str, found: Found) -> Result<(), PortError> {
        match found {
            Found::Nothing | Found::Older | Found::Registry => Ok(()),
            Found::Newer(schema) => Err(failure::newer(&self.path, doing, schema)),
            Found::Foreign => Err(failure::foreign(&self.path, doing)),
        }
    }

    fn connect(&self, more: OpenFlags) -> rusqlite::Result<Connection> {
        // Read-write falls back to read-only by itself where the file is write-protected.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.patience)?;
        reuse_statements(&connection)?;
        // FULL: once registered, a version outlives a power cut too, not only the end of the process. A run
        // writes a handful of times, so that the flush to the disk costs nothing that anybody notices.
        connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF")?;
        Ok(connection)
    }

    /// Opens a file that nobody can be writing to, without the files that a write-ahead log needs beside it.
    fn connect_immutable(&self) -> rusqlite::Result<Connection> {
        let mut uri = String::from("file:");
        for byte in self.path.as_os_str().as_encoded_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => uri.push(char::from(*byte)),
                byte => uri.push_str(&format!("%{byte:02x}")),
            }
        }
        uri.push_str("?immutable=1");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(uri, flags)?;
        reuse_statements(&connection)?;
        Ok(connection)
    }

    /// A write-ahead log cannot be opened where no file can be made beside it (<https://www.sqlite.org/wal.html>,
    /// "Read-only databases"). If it holds nothing, the main file is the whole truth.
    fn is_settled_in_a_read_only_home(&self, error: &rusqlite::Error) -> bool {
        let mut log = OsString::from(self.path.as_os_str());
        log.push("-wal");
        let empty_log = std::fs::metadata(log).map_or(true, |log| log.len() == 0);
        matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)) && empty_log
    }
}

/// Lets a statement be prepared once for many questions.
///
/// Without the "query planner stability guarantee" SQLite plans anew for each bound value, in case another index suited
/// it better (<https://www.sqlite.org/queryplanner-ng.html>): a quarter of the time of a plan of 1,000 models.
fn reuse_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// What opening for a read came to.
enum Opened {
    /// Nothing was ever written.
    Nothing,
    /// A connection that sees later writes.
    Live(Connection),
    /// A connection that may serve this one read only: it would not see later writes.
    Still(Connection),
}
