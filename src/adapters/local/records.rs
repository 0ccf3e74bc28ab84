//! Records of training runs as JSON files: read within bounds, written whole or not at all.
//!
//! A command may replace what stands in its own folder, so reading trusts nothing but a regular file of our shape.
//! Deliberately absent: what each record means (`folder`).

use crate::adapters::local::home::storage_error;
use crate::adapters::local::home::write_atomically;
use crate::adapters::regular;
use crate::adapters::regular::Links;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::path::Path;

/// The most that a record of ours takes, in bytes. A specification lists what is watched, so it may be long.
pub(super) const RECORD_LIMIT: u64 = 64 << 20;

/// Reads a record. `None`: there is none.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, PortError> {
    let corrupt = |why: &dyn std::fmt::Display| {
        PortError::because(PortErrorKind::Corrupt, format!("read the training ({})", path.display()), why.to_string())
            .hint(format!(
                "Look at {} and move it away; the next run then begins the next attempt.",
                path.parent().unwrap_or(path).display()
            ))
    };
    let bytes = match regular::read(path, Links::Follow, RECORD_LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) if error.is_unusable() => return Err(corrupt(&error)),
        Err(error) => return Err(storage_error("read the training", path, error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| corrupt(&error))
}

/// Writes a record, whole or not at all, and durably.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), PortError> {
    write_json_by(write_atomically, path, value)
}

/// Writes the record of a folder that has no name yet. Whoever names it syncs the folder first.
pub(super) fn write_json_aside<T: Serialize>(path: &Path, value: &T) -> Result<(), PortError> {
    let durably = |path: &Path, text: &[u8]| {
        let mut file = File::create_new(path)?;
        file.write_all(text)?;
        file.sync_all()
    };
    write_json_by(durably, path, value)
}

fn write_json_by<T: Serialize>(
    write: impl FnOnce(&Path, &[u8]) -> io::Result<()>,
    path: &Path,
    value: &T,
) -> Result<(), PortError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| {
        PortError::because(PortErrorKind::Bug, format!("write the training ({})", path.display()), error)
    })?;
    text.push(b'\n');
    write(path, &text).map_err(|error| storage_error("write the training", path, error))
}
