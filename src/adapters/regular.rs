//! Reading files that another program wrote or replaced: regular files only, within bounds, and never a call that waits.
//!
//! A training command may leave anything behind under the name of a file, also in its own folder: a pipe, a socket, a
//! device, a link, or a file without end. Opening a pipe waits for its writer, so the kind is checked before the open, the open itself does
//! not block, and the kind is checked again on what was opened. Deliberately absent: what the bytes mean.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::path::Path;

/// What a symbolic link at the end of a path means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// The link is followed: a person named this path.
    Follow,
    /// The link is refused: a training command wrote this path.
    Refuse,
}

/// Why a file was not read. Each is the end of a sentence that names the file.
#[derive(Debug, thiserror::Error)]
pub enum RegularError {
    /// There is something else under this name.
    #[error("it is {what}, not a regular file")]
    Kind {
        /// What it is.
        what: &'static str,
    },
    /// It is larger than the bound.
    #[error("it has {size} bytes, and at most {limit} are read")]
    TooLarge {
        /// Its size in bytes; of a file that grows, what was seen of it.
        size: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl RegularError {
    /// Tells whether there is nothing under this name.
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == io::ErrorKind::NotFound,
            Self::Kind { .. } | Self::TooLarge { .. } => false,
        }
    }

    /// Tells whether it is about what stands there, and not about the disk: no other try would read it.
    pub(crate) fn is_unusable(&self) -> bool {
        match self {
            Self::Kind { .. } | Self::TooLarge { .. } => true,
            Self::Io(error) => is_loop(error),
        }
    }
}

impl From<RegularError> for io::Error {
    fn from(error: RegularError) -> Self {
        match error {
            RegularError::Io(error) => error,
            RegularError::Kind { .. } => Self::new(io::ErrorKind::InvalidInput, error),
            RegularError::TooLarge { .. } => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Links that lead to each other.
fn is_loop(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

/// Opens a regular file for reading, and returns its size in bytes at that moment. It never waits for another process.
pub fn open(path: &Path, links: Links) -> Result<(File, u64), RegularError> {
    open_with(File::options().read(true), path, links)
}

/// Opens a regular file for writing, and creates it where there is none. A link is followed.
pub(crate) fn open_to_write(path: &Path) -> Result<File, RegularError> {
    let mut options = File::options();
    options.write(true);
    match open_with(&mut options, path, Links::Follow) {
        Err(error) if error.is_absent() => {
            open_checked(options.create(true).truncate(false), path, Links::Follow).map(|(file, _)| file)
        }
        other => other.map(|(file, _)| file),
    }
}

/// Opens a regular file for appending, and creates it where there is none. A link is refused: the path is one that a
/// training command may have written to.
pub fn open_to_append(path: &Path) -> Result<File, RegularError> {
    let mut options = File::options();
    options.append(true);
    match open_with(&mut options, path, Links::Refuse) {
        Err(error) if error.is_absent() => {
            open_checked(options.create(true), path, Links::Refuse).map(|(file, _)| file)
        }
        other => other.map(|(file, _)| file),
    }
}

fn open_with(options: &mut OpenOptions, path: &Path, links: Links) -> Result<(File, u64), RegularError> {
    let about = match links {
        Links::Follow => fs::metadata(path)?,
        Links::Refuse => fs::symlink_metadata(path)?,
    };
    check(&about)?;
    open_checked(options, path, links)
}

fn open_checked(options: &mut OpenOptions, path: &Path, links: Links) -> Result<(File, u64), RegularError> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        if links == Links::Refuse {
            flags |= OFlags::NOFOLLOW;
        }
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    }
    let file = options.open(path)?;
    // It may have been replaced between the look and the open.
    let about = file.metadata()?;
    check(&about)?;
    Ok((file, about.len()))
}

/// Reads a whole regular file of at most `limit` bytes.
pub fn read(path: &Path, links: Links, limit: u64) -> Result<Vec<u8>, RegularError> {
    let (file, size) = open(path, links)?;
    if size > limit {
        return Err(RegularError::TooLarge { size, limit });
    }
    let mut bytes = Vec::new();
    // A file that grows while it is read has no end, either.
    let seen = file.take(limit.saturating_add(1)).read_to_end(&mut bytes)? as u64;
    if seen > limit { Err(RegularError::TooLarge { size: seen, limit }) } else { Ok(bytes) }
}

/// Reads the first `limit` bytes of a regular file, however long it is.
pub fn read_start(path: &Path, links: Links, limit: u64) -> Result<Vec<u8>, RegularError> {
    let (file, _) = open(path, links)?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn check(about: &fs::Metadata) -> Result<(), RegularError> {
    if about.is_file() { Ok(()) } else { Err(RegularError::Kind { what: kind(about) }) }
}

/// Names what is under a path, as a person would: `a folder`, `a pipe`.
pub fn kind(about: &fs::Metadata) -> &'static str {
    if about.is_file() {
        return "a file";
    }
    if about.is_dir() {
        return "a folder";
    }
    if about.is_symlink() {
        return "a symbolic link";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        let kind = about.file_type();
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_fifo() {
            return "a pipe";
        }
    }
    "a device"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn error(path: &Path, links: Links) -> String {
        read(path, links, 8).expect_err("it is refused").to_string()
    }

    #[test]
    fn a_regular_file_is_read_up_to_its_bound() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("f");
        assert!(read(&path, Links::Refuse, 8).expect_err("nothing is there").is_absent());
        fs::write(&path, "12345678").expect("writable");
        assert_eq!(read(&path, Links::Refuse, 8).expect("it fits"), b"12345678");
        assert_eq!(read_start(&path, Links::Refuse, 3).expect("readable"), b"123");
        fs::write(&path, "123456789").expect("writable");
        assert_eq!(error(&path, Links::Refuse), "it has 9 bytes, and at most 8 are read");
        assert_eq!(error(place.path(), Links::Refuse), "it is a folder, not a regular file");
    }

    #[cfg(unix)]
    #[test]
    fn what_would_wait_or_never_end_is_refused_at_once() {
        let place = tempfile::tempdir().expect("a folder");
        let pipe = place.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        assert_eq!(error(&pipe, Links::Follow), "it is a pipe, not a regular file");
        let _socket = std::os::unix::net::UnixListener::bind(place.path().join("s")).expect("a socket");
        assert_eq!(error(&place.path().join("s"), Links::Refuse), "it is a socket, not a regular file");
        assert_eq!(error(Path::new("/dev/zero"), Links::Follow), "it is a device, not a regular file");

        let link = place.path().join("link");
        fs::write(place.path().join("real"), "1").expect("writable");
        std::os::unix::fs::symlink("real", &link).expect("it can be made");
        assert_eq!(error(&link, Links::Refuse), "it is a symbolic link, not a regular file");
        assert_eq!(read(&link, Links::Follow, 8).expect("a person named it"), b"1");
        let to_pipe = place.path().join("to-pipe");
        std::os::unix::fs::symlink("pipe", &to_pipe).expect("it can be made");
        assert_eq!(error(&to_pipe, Links::Follow), "it is a pipe, not a regular file");

        std::os::unix::fs::symlink("loop", place.path().join("loop")).expect("it can be made");
        for name in ["pipe", "s", "to-pipe", "loop", "."] {
            let path = place.path().join(name);
            assert!(read(&path, Links::Follow, 8).expect_err("it is refused").is_unusable(), "{name}");
            assert!(open_to_write(&path).expect_err("it is refused").is_unusable(), "{name}");
            assert!(open_to_append(&path).expect_err("it is refused").is_unusable(), "{name}");
        }
        open_to_write(&place.path().join("new")).expect("it is made");
        open_to_write(&place.path().join("new")).expect("it is there");
        for text in ["a", "b"] {
            open_to_append(&place.path().join("log"))
                .expect("it is there")
                .write_all(text.as_bytes())
                .expect("written");
        }
        assert_eq!(fs::read(place.path().join("log")).expect("readable"), b"ab");
        assert!(open_to_append(&link).expect_err("it is refused").is_unusable());
    }

    /// The system says that such a file has no bytes, whatever it holds.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_denies_its_size_is_bounded_all_the_same() {
        assert!(error(Path::new("/proc/self/maps"), Links::Refuse).ends_with("at most 8 are read"));
    }
}
