//! Reading what a training run may have written or replaced: regular files only, up to a limit, and without waiting.
//!
//! A training run owns its folder, so any name in it may be a pipe, a socket, a device, a link or an endless file.
//! Deliberately absent: what a file means.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::path::Path;

/// The most that a record of ours takes. A specification lists what is watched, so it may be long.
pub(super) const RECORD_LIMIT: u64 = 64 << 20;

/// Opens a regular file for reading. Links are followed to a regular file.
///
/// `InvalidInput`: it is something else. Opening a pipe would otherwise wait until somebody writes into it.
pub(super) fn open(path: &Path) -> io::Result<File> {
    regular(without_waiting(OpenOptions::new().read(true)).open(path)?)
}

/// Opens a regular file for writing, and creates it where there is none.
pub(super) fn open_to_write(path: &Path) -> io::Result<File> {
    regular(without_waiting(OpenOptions::new().create(true).truncate(false).write(true)).open(path)?)
}

/// Reads a regular file that has at most `limit` bytes. `InvalidData`: it has more.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let bytes = read_start(path, limit.saturating_add(1))?;
    if bytes.len() as u64 > limit {
        let why = format!("it has more than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(bytes)
}

/// Reads the first `limit` bytes of a regular file.
pub(super) fn read_start(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Tells whether an error is about what stands there, and not about the disk: no other try would read it.
pub(super) fn is_unusable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory)
        || matches!(error.kind(), io::ErrorKind::WouldBlock)
        || is_no_file(error)
}

/// What opening a socket, a pipe that nobody reads, or a loop of links comes to.
fn is_no_file(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        [Errno::NXIO, Errno::LOOP].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    }
    options
}

fn regular(file: File) -> io::Result<File> {
    let about = file.metadata()?;
    if about.is_file() {
        return Ok(file);
    }
    let what = if about.is_dir() { "it is a folder" } else { "it is not a regular file" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn fifo(path: &Path) {
        let status = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
        assert!(status.success());
    }

    #[test]
    fn whatever_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let at = |name: &str| folder.path().join(name);
        fifo(&at("pipe"));
        let _socket = UnixListener::bind(at("socket")).expect("it can be made");
        fs::create_dir(at("folder")).expect("it can be made");
        symlink("/dev/zero", at("endless")).expect("it can be made");
        symlink(at("pipe"), at("link")).expect("it can be made");
        symlink("loop", at("loop")).expect("it can be made");
        for name in ["pipe", "socket", "folder", "endless", "link", "loop"] {
            let error = read(&at(name), 10).expect_err("it is no regular file");
            assert!(is_unusable(&error), "{name}: {error:?}");
            let error = open_to_write(&at(name)).expect_err("it is no regular file");
            assert!(is_unusable(&error), "{name}: {error:?}");
        }
        assert_eq!(read(&at("none"), 10).expect_err("there is none").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn no_more_than_the_limit_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("file");
        fs::write(&path, "0123456789").expect("it can be written");
        assert_eq!(read(&path, 10).expect("it fits"), b"0123456789");
        assert_eq!(read(&path, 9).expect_err("it is too long").kind(), io::ErrorKind::InvalidData);
        assert_eq!(read_start(&path, 4).expect("it can be read"), b"0123");
    }
}
