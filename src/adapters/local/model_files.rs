//! What may be a model: the files of a folder as they are found, and whether they stay as they were; and whether an
//! archive or a single file that somebody made is whole.
//!
//! One rule at every door: a model is regular files, folders and links inside it, it holds at least one byte, and
//! nobody writes it any more. Deliberately absent: packing (`pack`).

use crate::adapters::local::pack::PackError;
use crate::adapters::local::pack::Stopped;
use crate::adapters::local::zip;
use crate::adapters::regular;
use crate::adapters::regular::Links;
use crate::adapters::regular::RegularError;
use crate::model::pointer::LFS_LIMIT;
use crate::model::pointer::pointer_kind;
use flate2::read::MultiGzDecoder;
use std::fs;
use std::io;
use std::io::Read;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// Something in the folder of a model.
pub(super) struct Entry {
    /// Relative to the folder.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    /// In bytes; 0 for what is not a regular file.
    pub(super) size: u64,
}

/// What it is.
pub(super) enum Kind {
    Folder,
    File { executable: bool, stamp: Stamp },
    Link { target: PathBuf },
}

/// By what a file that was written again is recognized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    number: u64,
}

impl Stamp {
    fn of(about: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(about);
        #[cfg(not(unix))]
        let number = 0;
        Self { modified: about.modified().ok(), number }
    }
}

/// Lists the folder, sorted by the bytes of the paths. A folder comes before what is in it.
pub(super) fn list(dir: &Path) -> Result<Vec<Entry>, PackError> {
    list_until(dir, &AtomicBool::new(false))
}

/// Lists as [`list`] does, until `stop` is set: then it fails soon.
pub(super) fn list_until(dir: &Path, stop: &AtomicBool) -> Result<Vec<Entry>, PackError> {
    let unreadable = |path: &Path, source| PackError::Read { path: path.to_owned(), source };
    let about = fs::symlink_metadata(dir).map_err(|source| unreadable(dir, source))?;
    if !about.is_dir() {
        return Err(PackError::NotAFolder { path: dir.to_owned(), what: regular::kind(&about) });
    }
    let mut entries = Vec::new();
    for found in walkdir::WalkDir::new(dir).min_depth(1) {
        if stop.load(Ordering::Relaxed) {
            return Err(unreadable(dir, io::Error::other(Stopped)));
        }
        let found = found.map_err(|error| {
            let path = error.path().unwrap_or(dir).to_owned();
            PackError::Read { path, source: error.into_io_error().unwrap_or_else(|| io::Error::other("a loop")) }
        })?;
        let relative = found.path().strip_prefix(dir).unwrap_or(found.path()).to_owned();
        let about = found.metadata().map_err(|error| unreadable(found.path(), error.into()))?;
        let (kind, size) = if about.is_dir() {
            (Kind::Folder, 0)
        } else if about.is_file() {
            (Kind::File { executable: is_executable(&about), stamp: Stamp::of(&about) }, about.len())
        } else if about.is_symlink() {
            let target = fs::read_link(found.path()).map_err(|source| unreadable(found.path(), source))?;
            check_link(dir, found.path(), &relative, &target)?;
            (Kind::Link { target }, 0)
        } else {
            let what = format!(
                "is {}, neither a file, a folder nor a link: remove it before training ends",
                regular::kind(&about)
            );
            return Err(PackError::Unsupported { path: relative, what });
        };
        entries.push(Entry { path: relative, kind, size });
    }
    entries.sort_by_cached_key(|entry| entry.path.as_os_str().as_encoded_bytes().to_vec());
    Ok(entries)
}

/// Refuses files that only point at what the model should be: nobody fetched the real ones.
pub(super) fn refuse_pointers(dir: &Path, entries: &[Entry]) -> Result<(), PackError> {
    for entry in entries {
        let is_file = matches!(entry.kind, Kind::File { .. });
        if !is_file || entry.size == 0 || entry.size >= LFS_LIMIT as u64 {
            continue;
        }
        // What cannot be read is explained by the packing.
        let bytes = regular::read(&dir.join(&entry.path), Links::Refuse, LFS_LIMIT as u64);
        if let Some((what, fetch)) = bytes.ok().and_then(|bytes| pointer_kind(&bytes)) {
            let what = format!("is {what}, not the file that it stands for: run `{fetch}` where it comes from");
            return Err(PackError::Unsupported { path: entry.path.clone(), what });
        }
    }
    Ok(())
}

/// How much a folder holds.
pub(super) struct Content {
    /// Regular files.
    pub(super) files: usize,
    /// Their bytes in all.
    pub(super) bytes: u64,
}

/// Counts what a folder holds.
pub(super) fn content(dir: &Path) -> Result<Content, PackError> {
    let entries = list(dir)?;
    let files = entries.iter().filter(|entry| matches!(entry.kind, Kind::File { .. }));
    Ok(Content { files: files.clone().count(), bytes: files.map(|entry| entry.size).sum() })
}

/// Checks that a folder still is what was listed.
pub(super) fn unchanged(dir: &Path, before: &[Entry]) -> Result<(), PackError> {
    let changed = |path: &Path, what| Err(PackError::Changed { path: path.to_owned(), what });
    let after = match list(dir) {
        Ok(after) => after,
        // A file that went away between the list and the look at it.
        Err(PackError::Read { path, source }) if source.kind() == io::ErrorKind::NotFound => {
            return changed(path.strip_prefix(dir).unwrap_or(&path), "disappeared");
        }
        Err(error) => return Err(error),
    };
    let mut left = before.iter().peekable();
    for entry in &after {
        match left.peek() {
            Some(known) if known.path == entry.path => {
                if !is_same(known, entry) {
                    return changed(&entry.path, "changed");
                }
                left.next();
            }
            // Both lists are sorted by the bytes of their paths.
            Some(known) if known.path.as_os_str().as_encoded_bytes() < entry.path.as_os_str().as_encoded_bytes() => {
                return changed(&known.path, "disappeared");
            }
            Some(_) | None => return changed(&entry.path, "appeared"),
        }
    }
    left.next().map_or(Ok(()), |gone| changed(&gone.path, "disappeared"))
}

fn is_same(one: &Entry, other: &Entry) -> bool {
    let kinds = match (&one.kind, &other.kind) {
        (Kind::Folder, Kind::Folder) => true,
        (Kind::File { stamp, .. }, Kind::File { stamp: now, .. }) => stamp == now,
        (Kind::Link { target }, Kind::Link { target: now }) => target == now,
        (Kind::Folder | Kind::File { .. } | Kind::Link { .. }, _) => false,
    };
    kinds && one.size == other.size
}

/// A link may only point at something that is packed as well.
fn check_link(dir: &Path, link: &Path, relative: &Path, target: &Path) -> Result<(), PackError> {
    let refused = |what: String| PackError::Unsupported { path: relative.to_owned(), what };
    let shown = target.display();
    if target.is_absolute() {
        return Err(refused(format!("is a link to {shown}: only relative links inside the folder can be packed")));
    }
    if leads_out(relative, target) {
        return Err(refused(format!("is a link to {shown}, outside of the folder: copy the file instead")));
    }
    let inside = fs::canonicalize(dir)
        .and_then(|root| fs::canonicalize(link).map(|path| path.starts_with(root)))
        .map_err(|_| refused(format!("is a link to {shown}, which does not exist")))?;
    if inside {
        Ok(())
    } else {
        Err(refused(format!("is a link to {shown}, outside of the folder: copy the file instead")))
    }
}

/// Follows a link step by step, so that no part of the way leaves the folder either.
fn leads_out(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}

fn is_executable(about: &fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o111 != 0
    }
    #[cfg(not(unix))]
    {
        let _ = about;
        false
    }
}

/// Why a file is not a whole model. Each is the end of a sentence that names the file.
#[derive(Debug, thiserror::Error)]
pub enum NotWhole {
    /// It is no regular file, or cannot be read.
    #[error(transparent)]
    File(#[from] RegularError),
    /// It has no byte, or an archive without any byte in its files.
    #[error("it is empty: there is no model in it")]
    Empty,
    /// It ends early, or its bytes are not those that were packed.
    #[error("it is torn: {why}")]
    Torn {
        /// How that is known.
        why: String,
    },
    /// An archive that holds what no model may hold.
    #[error("{path} in it {what}")]
    Unsupported {
        /// What, as the archive names it.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It only points at the model.
    #[error("{path} is {what}, not the file that it stands for: run `{fetch}` where it comes from")]
    Pointer {
        /// It, or what in it is one.
        path: String,
        /// The kind of pointer.
        what: &'static str,
        /// How the real file is fetched.
        fetch: &'static str,
    },
}

/// Refuses the bytes of a small file that is a pointer. `path`: how the sentence names it.
pub(super) fn refuse_pointer(bytes: &[u8], path: &str) -> Result<(), NotWhole> {
    match pointer_kind(bytes) {
        Some((what, fetch)) => Err(NotWhole::Pointer { path: path.to_owned(), what, fetch }),
        None => Ok(()),
    }
}

const GZIP: &[u8] = &[0x1f, 0x8b];

/// Checks that a file is a whole model, as far as its format says where it ends: a gzip file, a ZIP file, an archive.
pub fn check_file(path: &Path, name: &str) -> Result<(), NotWhole> {
    let (mut file, size) = regular::open(path, Links::Follow)?;
    if size == 0 {
        return Err(NotWhole::Empty);
    }
    let mut begin = Vec::new();
    Read::by_ref(&mut file).take(LFS_LIMIT as u64).read_to_end(&mut begin).map_err(RegularError::Io)?;
    if size < LFS_LIMIT as u64 {
        refuse_pointer(&begin, "it")?;
    }
    let lower = name.to_ascii_lowercase();
    if lower.ends_with(".tar.gz") || lower.ends_with(".tgz") {
        let (file, _) = regular::open(path, Links::Follow)?;
        return check_archive(MultiGzDecoder::new(io::BufReader::new(file)), End::Marked);
    }
    if begin.starts_with(GZIP) {
        let (file, _) = regular::open(path, Links::Follow)?;
        let mut unpacked = MultiGzDecoder::new(io::BufReader::new(file));
        return match io::copy(&mut unpacked, &mut io::sink()) {
            Ok(0) => Err(NotWhole::Empty),
            Ok(_) => Ok(()),
            Err(error) => Err(torn(&error)),
        };
    }
    if lower.ends_with(".tar") || is_tar(&begin) {
        let (file, _) = regular::open(path, Links::Follow)?;
        return check_archive(io::BufReader::new(file), End::Any);
    }
    if zip::is_zip(&begin, size) {
        return zip::check(path, size);
    }
    Ok(())
}

/// How a tar archive ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// With its two empty records: a packed one could have been cut anywhere.
    Marked,
    /// With them, or with its last member.
    Any,
}

/// Tells whether a file begins with the header of a tar archive: its mark, and a sum of its bytes that is right.
fn is_tar(begin: &[u8]) -> bool {
    let Some(header) = begin.get(..512) else { return false };
    let sum = header.get(148..156).unwrap_or_default();
    let text = String::from_utf8_lossy(sum).trim_matches(['\0', ' ']).to_owned();
    // The sum is made with spaces in its own place.
    let counted: u32 = header.iter().map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32
        - sum.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    header.get(257..262) == Some(b"ustar") && u32::from_str_radix(&text, 8).is_ok_and(|sum| sum == counted)
}

/// Checks an unpacked archive to its end: its end, what is in it, and that there is a byte in it.
fn check_archive(unpacked: impl Read, end: End) -> Result<(), NotWhole> {
    let mut archive = tar::Archive::new(Tail { inner: unpacked, last: Vec::new() });
    let mut content = 0;
    for entry in archive.entries().map_err(|error| torn(&error))? {
        let mut entry = entry.map_err(|error| torn(&error))?;
        let path = entry.path().map_err(|error| torn(&error))?.into_owned();
        let refused = |what| NotWhole::Unsupported { path: path.display().to_string(), what };
        if path.is_absolute() || leads_out(Path::new("x"), &path) {
            return Err(refused("lies outside of the archive's own folder"));
        }
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name().map_err(|error| torn(&error))?.unwrap_or_default();
            // A hard link names its target from the top of the archive.
            let link = if kind.is_symlink() { path.as_path() } else { Path::new("x") };
            if target.is_absolute() || leads_out(link, &target) {
                return Err(refused("is a link that leads out of the archive"));
            }
        } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            let mut begin = Vec::new();
            let read = Read::by_ref(&mut entry).take(LFS_LIMIT as u64).read_to_end(&mut begin);
            content += read.map_err(|error| torn(&error))? as u64;
            content += io::copy(&mut entry, &mut io::sink()).map_err(|error| torn(&error))?;
            refuse_pointer(&begin, &format!("{} in it", path.display()))?;
        } else if !kind.is_dir() && !kind.is_pax_global_extensions() {
            return Err(refused("is neither a file, a folder nor a link"));
        }
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|error| torn(&error))?;
    // POSIX, "pax Interchange Format": two records of zeros end an archive.
    if end == End::Marked && (rest.last.len() < 1024 || rest.last.iter().any(|byte| *byte != 0)) {
        return Err(NotWhole::Torn { why: "the two empty records that end a tar archive are missing".to_owned() });
    }
    if content == 0 { Err(NotWhole::Empty) } else { Ok(()) }
}

fn torn(error: &io::Error) -> NotWhole {
    NotWhole::Torn { why: error.to_string() }
}

/// Remembers the last bytes that were read.
struct Tail<R> {
    inner: R,
    last: Vec<u8>,
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.last.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let surplus = self.last.len().saturating_sub(1024);
        self.last.drain(..surplus);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn packed(tar: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(tar).expect("it can be packed");
        gzip.finish().expect("it can be packed")
    }

    fn tarred(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        builder.into_inner().expect("it can be made")
    }

    fn add(builder: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content).expect("it can be added");
    }

    fn link(builder: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, target: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        builder.append_link(&mut header, name, target).expect("it can be added");
    }

    fn said(name: &str, bytes: &[u8]) -> Option<String> {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("f");
        fs::write(&path, bytes).expect("writable");
        check_file(&path, name).err().map(|error| error.to_string())
    }

    #[test]
    fn a_whole_archive_is_taken_and_a_torn_one_is_not() {
        let tar = tarred(|tar| {
            add(tar, "sub/model.bin", &[7; 100_000]);
            add(tar, "empty", b"");
            link(tar, tar::EntryType::Symlink, "sub/latest", "model.bin");
            link(tar, tar::EntryType::Link, "same", "sub/model.bin");
        });
        let whole = packed(&tar);
        assert_eq!(said("m.tar.gz", &whole), None);
        for cut in [whole.len() - 1, whole.len() - 9, whole.len() / 2, 5] {
            let text = said("m.tar.gz", &whole[..cut]).expect("it is torn");
            assert!(text.starts_with("it is torn: "), "{cut}: {text}");
        }
        // Members of gzip end anywhere: each of these is whole for gzip.
        for cut in [tar.len() - 1024, 50_000, 512] {
            let text = said("m.tgz", &packed(&tar[..cut])).expect("it is torn");
            assert!(text.starts_with("it is torn: "), "{cut}: {text}");
        }
        assert!(said("m.tar.gz", b"weights").is_some_and(|text| text.starts_with("it is torn: ")));
    }

    #[test]
    fn an_archive_without_a_byte_is_no_model() {
        assert_eq!(said("m.tar.gz", &packed(&tarred(|_| {}))).as_deref(), Some("it is empty: there is no model in it"));
        let only_empty = packed(&tarred(|tar| add(tar, "model.pkl", b"")));
        assert_eq!(said("m.tar.gz", &only_empty).as_deref(), Some("it is empty: there is no model in it"));
        assert_eq!(said("m.pkl", b"").as_deref(), Some("it is empty: there is no model in it"));
        assert_eq!(said("m.pkl.gz", &packed(b"")).as_deref(), Some("it is empty: there is no model in it"));
    }

    #[test]
    fn what_leads_out_of_an_archive_is_named() {
        for (target, kind) in [
            ("/etc/passwd", tar::EntryType::Symlink),
            ("../../x", tar::EntryType::Symlink),
            ("../x", tar::EntryType::Link),
        ] {
            let bytes = packed(&tarred(|tar| {
                add(tar, "w", b"x");
                link(tar, kind, "sub/link", target);
            }));
            assert_eq!(
                said("m.tar.gz", &bytes).as_deref(),
                Some("sub/link in it is a link that leads out of the archive"),
                "{target}"
            );
        }
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Fifo);
        header.set_size(0);
        let pipe = tarred(|tar| tar.append_data(&mut header, "pipe", io::empty()).expect("it can be added"));
        let text = said("m.tar.gz", &packed(&pipe)).expect("no model");
        assert_eq!(text, "pipe in it is neither a file, a folder nor a link");
    }

    #[test]
    fn single_files_are_checked_where_their_format_says_how_they_end() {
        assert_eq!(said("m.pkl", b"any bytes"), None);
        assert_eq!(said("m.pkl.gz", &packed(b"weights")), None);
        assert!(said("m.pkl.gz", &packed(&[9; 5000])[..20]).is_some_and(|text| text.starts_with("it is torn")));
    }

    #[test]
    fn a_plain_tar_is_judged_and_a_file_that_is_none_is_not() {
        let whole = tarred(|tar| add(tar, "model.bin", &[7; 50_000]));
        assert_eq!(said("m.tar", &whole), None);
        assert_eq!(said("m.pt", &whole), None);
        assert_eq!(said("m.tar", &whole[..whole.len() - 1024]), None);
        for name in ["m.tar", "m.pt"] {
            assert!(said(name, &whole[..30_000]).is_some_and(|text| text.starts_with("it is torn: ")), "{name}");
        }
        let empty = tarred(|tar| add(tar, "a", b""));
        assert_eq!(said("m.tar", &empty).as_deref(), Some("it is empty: there is no model in it"));
        let mut alike = vec![1; 2000];
        alike[257..262].copy_from_slice(b"ustar");
        assert_eq!(said("m.bin", &alike), None);
    }

    #[test]
    fn a_pointer_is_no_model() {
        let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 412345678\n");
        let rest = "is a Git LFS pointer, not the file that it stands for: run `git lfs pull` where it comes from";
        assert_eq!(said("m.bin", pointer.as_bytes()), Some(format!("it {rest}")));
        let archive = packed(&tarred(|tar| add(tar, "sub/m.bin", pointer.as_bytes())));
        assert_eq!(said("m.tar.gz", &archive), Some(format!("sub/m.bin in it {rest}")));
        let place = tempfile::tempdir().expect("a folder");
        fs::write(place.path().join("m.bin"), &pointer).expect("writable");
        let entries = list(place.path()).expect("it can be listed");
        let error = refuse_pointers(place.path(), &entries).expect_err("it is refused");
        assert_eq!(error.to_string(), format!("m.bin in the model's folder {rest}"));
    }
}
