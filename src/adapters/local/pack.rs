//! Packing a model: the same files always make the same `model.tar.gz`, byte for byte, and fast.
//!
//! Deterministic: entries sorted by the bytes of their path, no times, no owners, modes normalised to 755 or 644. The
//! gzip file is a sequence of members (RFC 1952, section 2.2), one for each block of the tar stream. Blocks have a
//! fixed size and are compressed apart, so that the bytes do not depend on how many threads did it; every gzip reader
//! reads such a file as one. Memory is that of a few blocks, whatever the size of the model.

use crate::adapters::local::home::is_disk_full;
use crate::adapters::local::home::sync_folder;
use crate::adapters::local::model_files;
use crate::adapters::local::model_files::Entry;
use crate::adapters::local::model_files::Kind;
use crate::adapters::regular;
use crate::adapters::regular::Links;
use crate::adapters::unfinished;
use crate::model::digest::Sha256Digest;
use libdeflater::CompressionLvl;
use libdeflater::Compressor;
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;

/// How much of the tar stream one gzip member holds. Part of the format of our archives: another size makes other
/// bytes, and so another digest.
const BLOCK: usize = 1 << 20;
/// libdeflate's level; also part of the format. Level 6 compresses about as well as `gzip -6`.
const LEVEL: i32 = 6;
/// More threads than this only wait for the disk.
const THREADS_LIMIT: usize = 8;

/// An archive that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The digest of the whole archive.
    pub sha256: Sha256Digest,
    /// Its size in bytes.
    pub size: u64,
    /// How many regular files it holds.
    pub files: u64,
    /// How many bytes these files have in all: a model of none is no model.
    pub content: u64,
}

/// Why a folder cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The folder or something in it cannot be read.
    #[error("could not read {path}")]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error("could not write {path}")]
    Write {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something that does not belong into a model.
    #[error("{path} in the model's folder {what}")]
    Unsupported {
        /// What, relative to the folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// There is something else in place of the folder.
    #[error("{path} is {what}, not a folder")]
    NotAFolder {
        /// The place.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// A process that outlived the command may still write.
    #[error("{path} is still open for writing in {by}, a process that the command left behind")]
    Held {
        /// What.
        path: PathBuf,
        /// The process.
        by: String,
    },
    /// Somebody still writes.
    #[error("{path} in the model's folder {what} while it was packed: it is still being written")]
    Changed {
        /// What, relative to the folder.
        path: PathBuf,
        /// What happened to it.
        what: &'static str,
    },
}

impl PackError {
    /// Tells whether there was no room for the archive.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Write { source, .. } => is_disk_full(source),
            Self::Read { .. }
            | Self::Unsupported { .. }
            | Self::NotAFolder { .. }
            | Self::Held { .. }
            | Self::Changed { .. } => false,
        }
    }
}

/// Packs everything in `dir` into the archive `dest`, which appears whole or not at all.
///
/// `progress` is told how many bytes of all bytes are done.
pub fn pack_directory(dir: &Path, dest: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Packed, PackError> {
    pack_with(dir, dest, None, &AtomicBool::new(false), progress)
}

/// Packs as [`pack_directory`] does, until `stop` is set: then it fails soon, and leaves nothing.
pub(super) fn pack_directory_until(
    dir: &Path,
    dest: &Path,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Packed, PackError> {
    pack_with(dir, dest, None, stop, progress)
}

/// `threads`: how many compress; by default as many as the machine and the model have use for.
fn pack_with(
    dir: &Path,
    dest: &Path,
    threads: Option<usize>,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Packed, PackError> {
    let entries = model_files::list_until(dir, stop)?;
    model_files::refuse_pointers(dir, &entries)?;
    let unwritable = |source| PackError::Write { path: dest.to_owned(), source };
    let folder = dest.parent().unwrap_or(Path::new("."));
    let beside = || tempfile::Builder::new().prefix(".pack-").tempfile_in(folder);
    let (mut temporary, _mark) = unfinished::make(beside, |made| made.path().to_owned()).map_err(unwritable)?;
    let total: u64 = entries.iter().map(|entry| entry.size).sum();
    let threads = threads.unwrap_or_else(|| {
        // A small model is one block, and there is nothing to share out.
        let small = total < BLOCK as u64;
        if small { 1 } else { thread::available_parallelism().map_or(1, usize::from).min(THREADS_LIMIT) }
    });
    let mut archive = Archive { file: temporary.as_file_mut(), hasher: sha2::Sha256::new(), size: 0 };
    let mut on_bytes = |done: u64| {
        progress(done.min(total), total);
        if stop.load(Ordering::Relaxed) { Err(io::Error::other(Stopped)) } else { Ok(()) }
    };
    stream(dir, &entries, threads, &mut archive, &mut on_bytes).map_err(|error| match error {
        StreamError::Pack(error) => error,
        StreamError::Write(source) => unwritable(source),
    })?;
    let (hasher, size) = (archive.hasher, archive.size);
    // What came, went or was written again meanwhile is not in the archive, or only half of it.
    model_files::unchanged(dir, &entries)?;
    temporary.as_file().sync_all().map_err(unwritable)?;
    temporary.persist(dest).map_err(|error| unwritable(error.error))?;
    sync_folder(folder).map_err(unwritable)?;
    progress(total, total);
    let files = entries.iter().filter(|entry| matches!(entry.kind, Kind::File { .. })).count() as u64;
    Ok(Packed { sha256: Sha256Digest::finish(hasher), size, files, content: total })
}

enum StreamError {
    Pack(PackError),
    Write(io::Error),
}

/// A block on its way: its place in the stream, and its bytes.
type Block = (u64, Vec<u8>);
/// A compressed block: its place, its bytes, and how many they were before.
type Member = (u64, Vec<u8>, usize);

/// One thread reads and cuts, some compress, and this one puts the members in order, hashes and writes them.
fn stream(
    dir: &Path,
    entries: &[Entry],
    threads: usize,
    archive: &mut Archive<'_>,
    on_bytes: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<(), StreamError> {
    thread::scope(|scope| {
        // Each block under way needs a permit. So memory is bounded although members may wait for an earlier one.
        let (permits, permitted) = mpsc::channel();
        for _ in 0..threads * 2 + 2 {
            // The other end is at hand, so this cannot fail.
            let _ = permits.send(Vec::new());
        }
        let (blocks, work) = mpsc::channel::<Block>();
        let (members, finished) = mpsc::channel::<Result<Member, io::Error>>();
        let work = std::sync::Arc::new(Mutex::new(work));
        for _ in 0..threads {
            let (work, members) = (std::sync::Arc::clone(&work), members.clone());
            scope.spawn(move || compress(&work, &members));
        }
        drop((work, members));
        let reading = scope.spawn(move || read(dir, entries, Cutter::new(permitted, blocks)));

        let written = write(finished, &permits, archive, on_bytes);
        // Ends the reader where it waits for a permit although nobody writes any more.
        drop(permits);
        let read = reading.join().unwrap_or(Err(ReadError::Stopped));
        written.map_err(StreamError::Write)?;
        read.map_err(|error| match error {
            ReadError::Pack(error) => StreamError::Pack(error),
            ReadError::Stopped => StreamError::Write(io::Error::other("the packing stopped half-way")),
        })
    })
}

fn write(
    finished: mpsc::Receiver<Result<Member, io::Error>>,
    permits: &mpsc::Sender<Vec<u8>>,
    archive: &mut Archive<'_>,
    on_bytes: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<()> {
    let (mut next, mut done, mut early) = (0, 0_u64, BTreeMap::new());
    for member in finished {
        let (place, bytes, plain) = member?;
        early.insert(place, (bytes, plain));
        while let Some((mut bytes, plain)) = early.remove(&next) {
            archive.append(&bytes)?;
            next += 1;
            done += plain as u64;
            on_bytes(done)?;
            bytes.clear();
            // The reader may have ended already.
            let _ = permits.send(bytes);
        }
    }
    Ok(())
}

fn compress(work: &Mutex<mpsc::Receiver<Block>>, members: &mpsc::Sender<Result<Member, io::Error>>) {
    let mut compressor = Compressor::new(CompressionLvl::new(LEVEL).unwrap_or_default());
    let mut scratch = Vec::new();
    loop {
        let block = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((place, mut bytes)) = block else { return };
        scratch.resize(compressor.gzip_compress_bound(bytes.len()), 0);
        let member = match compressor.gzip_compress(&bytes, &mut scratch) {
            Ok(size) => {
                let plain = bytes.len();
                // The block's own memory carries its member, and later the next block.
                bytes.clear();
                bytes.extend_from_slice(&scratch[..size]);
                Ok((place, bytes, plain))
            }
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        if members.send(member).is_err() {
            return;
        }
    }
}

enum ReadError {
    Pack(PackError),
    /// Nobody reads the blocks any more; the reason is reported elsewhere.
    Stopped,
}

fn read(dir: &Path, entries: &[Entry], cutter: Cutter) -> Result<(), ReadError> {
    let mut builder = tar::Builder::new(cutter);
    for entry in entries {
        let path = dir.join(&entry.path);
        append(&mut builder, entry, &path).map_err(|source| {
            if source.get_ref().is_some_and(|inner| inner.is::<Stopped>()) {
                ReadError::Stopped
            } else {
                ReadError::Pack(PackError::Read { path, source })
            }
        })?;
    }
    builder.into_inner().and_then(Cutter::finish).map_err(|_| ReadError::Stopped)
}

fn append(builder: &mut tar::Builder<Cutter>, entry: &Entry, path: &Path) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(entry.size);
    match &entry.kind {
        Kind::Folder => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            builder.append_data(&mut header, &entry.path, io::empty())
        }
        Kind::File { executable, .. } => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(if *executable { 0o755 } else { 0o644 });
            let (file, _) = regular::open(path, Links::Refuse).map_err(io::Error::other)?;
            let content = Exactly { file, left: entry.size };
            builder.append_data(&mut header, &entry.path, content)
        }
        Kind::Link { target } => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            builder.append_link(&mut header, &entry.path, target)
        }
    }
}

/// A file that must have the size that its header announces.
struct Exactly {
    file: fs::File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(&mut buffer[..wanted])?;
        if count == 0 && wanted > 0 {
            return Err(io::Error::other("it became shorter while it was packed"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// It was asked to end.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the archive any more")]
pub(super) struct Stopped;

/// Cuts the tar stream into blocks.
struct Cutter {
    permitted: mpsc::Receiver<Vec<u8>>,
    blocks: mpsc::Sender<Block>,
    block: Option<Vec<u8>>,
    next: u64,
}

impl Cutter {
    fn new(permitted: mpsc::Receiver<Vec<u8>>, blocks: mpsc::Sender<Block>) -> Self {
        Self { permitted, blocks, block: None, next: 0 }
    }

    fn send(&mut self) -> io::Result<()> {
        if let Some(block) = self.block.take() {
            self.blocks.send((self.next, block)).map_err(|_| io::Error::other(Stopped))?;
            self.next += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.send()
    }
}

impl Write for Cutter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let block = match &mut self.block {
            Some(block) => block,
            None => {
                let mut fresh = self.permitted.recv().map_err(|_| io::Error::other(Stopped))?;
                fresh.reserve_exact(BLOCK);
                self.block.insert(fresh)
            }
        };
        let count = bytes.len().min(BLOCK - block.len());
        block.extend_from_slice(&bytes[..count]);
        if block.len() == BLOCK {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The archive as it grows.
struct Archive<'a> {
    file: &'a mut fs::File,
    hasher: sha2::Sha256,
    size: u64,
}

impl Archive<'_> {
    fn append(&mut self, member: &[u8]) -> io::Result<()> {
        self.hasher.update(member);
        self.file.write_all(member)?;
        self.size += member.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
