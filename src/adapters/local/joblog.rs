//! The log of a training: kept within 16 MiB whatever the command prints, and always with its last lines.
//!
//! `log.txt` holds the first 8 MiB. What follows goes to `log-<offset>.txt`, each at most 4 MiB, of which the last two
//! stay. Offsets count all text that was ever written, so a reader's cursor keeps its meaning when a file goes.
//! Every file holds whole lines of valid UTF-8. What a line overwrote by carriage returns (progress bars) is
//! dropped, as a terminal would show it, and a line is cut at 64 KiB.

use crate::adapters::regular;
use crate::adapters::regular::Links;
use std::collections::VecDeque;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

/// What the first file may hold.
const HEAD_LIMIT: u64 = 8 << 20;
/// What each later file may hold.
const SEGMENT_LIMIT: u64 = 4 << 20;
/// How many later files stay.
const SEGMENTS_KEPT: usize = 2;
/// The longest line that is kept whole, in bytes.
const LINE_LIMIT: usize = 64 << 10;
/// How many entries of the folder are looked at for files of the log.
const ENTRIES_LIMIT: usize = 10_000;
/// How much one look at the log reads at most.
const READ_LIMIT: u64 = 1 << 20;

/// Writes a log.
pub(super) struct LogWriter {
    folder: PathBuf,
    file: File,
    written: u64,
    limit: u64,
    offset: u64,
    later: VecDeque<PathBuf>,
    failed: Option<io::Error>,
}

impl LogWriter {
    /// Begins the log of a training.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let file = File::create(folder.join("log.txt"))?;
        Ok(Self {
            folder: folder.to_owned(),
            file,
            written: 0,
            limit: HEAD_LIMIT,
            offset: 0,
            later: VecDeque::new(),
            failed: None,
        })
    }

    /// Appends whole lines. A failure is kept, not told: printing must never stop because the log cannot be stored.
    pub(super) fn append(&mut self, lines: &str) {
        if self.failed.is_none()
            && let Err(error) = self.try_append(lines)
        {
            self.failed = Some(error);
        }
    }

    /// Returns why the log is incomplete, if it is.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        self.failed.as_ref()
    }

    fn try_append(&mut self, lines: &str) -> io::Result<()> {
        let size = lines.len() as u64;
        if self.written + size > self.limit {
            self.next_file()?;
        }
        self.file.write_all(lines.as_bytes())?;
        self.written += size;
        self.offset += size;
        Ok(())
    }

    fn next_file(&mut self) -> io::Result<()> {
        // The oldest goes first, so that the limit holds at every moment.
        while self.later.len() >= SEGMENTS_KEPT {
            if let Some(oldest) = self.later.pop_front() {
                remove(&oldest)?;
            }
        }
        let path = self.folder.join(format!("log-{:020}.txt", self.offset));
        // The command may have put something under this name: a pipe would hold the log, and the command with it.
        remove(&path)?;
        self.file = File::create_new(&path)?;
        self.later.push_back(path);
        self.written = 0;
        self.limit = SEGMENT_LIMIT;
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Cuts a stream of bytes into whole lines of valid text.
#[derive(Default)]
pub(super) struct LineCutter {
    pending: Vec<u8>,
    cut: bool,
}

impl LineCutter {
    /// Takes bytes and hands on the lines that they complete, one or many at once, each ending in a newline.
    pub(super) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&str)) {
        let mut rest = bytes;
        if !self.pending.is_empty() || self.cut {
            let Some(end) = rest.iter().position(|b| *b == b'\n') else {
                self.hold(rest);
                return;
            };
            self.hold(&rest[..end]);
            self.flush(sink);
            rest = &rest[end + 1..];
        }
        let whole = rest.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
        let (lines, tail) = rest.split_at(whole);
        match std::str::from_utf8(lines) {
            // Nothing to change: the usual case, and the fast one.
            Ok(text) if lines.len() <= LINE_LIMIT && !lines.contains(&b'\r') => {
                if !text.is_empty() {
                    sink(text);
                }
            }
            _ => {
                for line in lines.split_inclusive(|b| *b == b'\n') {
                    self.hold(line.strip_suffix(b"\n").unwrap_or(line));
                    self.flush(sink);
                }
            }
        }
        self.hold(tail);
    }

    /// Hands on what is left without a newline.
    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(&str)) {
        if !self.pending.is_empty() || self.cut {
            self.flush(sink);
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.cut {
            return;
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() > LINE_LIMIT
            && let Some(last) = self.pending[..self.pending.len() - 1].iter().rposition(|b| *b == b'\r')
        {
            self.pending.drain(..=last);
        }
        if self.pending.len() > LINE_LIMIT {
            self.pending.truncate(LINE_LIMIT);
            self.cut = true;
        }
    }

    fn flush(&mut self, sink: &mut dyn FnMut(&str)) {
        let line = self.pending.strip_suffix(b"\r").unwrap_or(&self.pending);
        let shown = line.iter().rposition(|b| *b == b'\r').map_or(line, |last| &line[last + 1..]);
        let mut text = String::from_utf8_lossy(shown).into_owned();
        if self.cut {
            text.push_str(" … (the line goes on and was cut)");
        }
        text.push('\n');
        sink(&text);
        self.pending.clear();
        self.cut = false;
    }
}

/// What a look at the log found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) lines: Vec<String>,
    pub(super) cursor: u64,
}

/// Reads whole lines from `cursor` on, up to a limit.
pub(super) fn read_from(folder: &Path, cursor: u64) -> io::Result<Reading> {
    // A file may go while it is being looked for; then the next look finds the one after it.
    for _ in 0..3 {
        match try_read_from(folder, cursor) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    Ok(Reading { lines: Vec::new(), cursor })
}

fn try_read_from(folder: &Path, cursor: u64) -> io::Result<Reading> {
    let mut lines = Vec::new();
    for (start, path) in files(folder)? {
        let Some(mut file) = open(&path)? else { continue };
        let size = file.metadata()?.len();
        if start.saturating_add(size) <= cursor {
            continue;
        }
        let from = if cursor < start {
            lines.push(format!("… {} bytes of log left out …", start - cursor));
            start
        } else {
            cursor
        };
        file.seek(SeekFrom::Start(from - start))?;
        let mut bytes = Vec::new();
        file.take(READ_LIMIT).read_to_end(&mut bytes)?;
        // Its last line may be half written at this moment.
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
        lines.extend(String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned));
        return Ok(Reading { lines, cursor: from.saturating_add(whole as u64) });
    }
    Ok(Reading { lines, cursor })
}

/// Returns the last lines.
pub(super) fn tail(folder: &Path, count: usize) -> io::Result<Vec<String>> {
    let mut lines: VecDeque<String> = VecDeque::new();
    for (_, path) in files(folder)?.into_iter().rev() {
        let mut file = match open(&path) {
            Ok(Some(file)) => file,
            Ok(None) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let size = file.metadata()?.len();
        let from = size.saturating_sub(READ_LIMIT);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(READ_LIMIT).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        // The first line of a part is a part of a line.
        let skipped = usize::from(from > 0);
        for line in text.lines().skip(skipped).collect::<Vec<_>>().into_iter().rev() {
            if lines.len() == count {
                break;
            }
            lines.push_front(line.to_owned());
        }
        if lines.len() == count || from > 0 {
            break;
        }
    }
    Ok(lines.into())
}

/// Returns when the log last grew.
pub(super) fn last_change(folder: &Path) -> Option<jiff::Timestamp> {
    let (_, path) = files(folder).ok()?.pop()?;
    jiff::Timestamp::try_from(fs::metadata(path).ok()?.modified().ok()?).ok()
}

/// Opens a file of the log. `None`: something else has its name, so that there is nothing to read.
fn open(path: &Path) -> io::Result<Option<File>> {
    match regular::open(path, Links::Follow) {
        Ok((file, _)) => Ok(Some(file)),
        Err(error) if error.is_unusable() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Lists the files of the log with the offset at which each begins, in order. Of a folder with more entries than a
/// training run has reason to make, only some are looked at.
fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)?.take(ENTRIES_LIMIT) {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name == "log.txt" {
            found.push((0, entry.path()));
        } else if let Some(digits) = name.strip_prefix("log-").and_then(|name| name.strip_suffix(".txt"))
            && let Ok(start) = digits.parse()
        {
            found.push((start, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(chunks: &[&[u8]]) -> String {
        let mut text = String::new();
        let mut cutter = LineCutter::default();
        for chunk in chunks {
            cutter.feed(chunk, &mut |lines| text.push_str(lines));
        }
        cutter.finish(&mut |lines| text.push_str(lines));
        text
    }

    fn size(folder: &Path) -> u64 {
        files(folder)
            .expect("it can be listed")
            .iter()
            .map(|(_, path)| fs::metadata(path).expect("it exists").len())
            .sum()
    }

    #[test]
    fn lines_come_out_whole() {
        assert_eq!(cut(&[b"one\ntw", b"o\n", b"three"]), "one\ntwo\nthree\n");
        assert_eq!(cut(&[b"\n\nx\n"]), "\n\nx\n");
        assert_eq!(cut(&[b"\xff\xfe\n"]), "\u{fffd}\u{fffd}\n");
    }

    #[test]
    fn carriage_returns_read_as_on_a_terminal() {
        assert_eq!(cut(&[b"10%\r20%\r", b"100%\r\ndone\r\n"]), "100%\ndone\n");
        assert_eq!(cut(&[b"dos\r", b"\nline\r\n"]), "dos\nline\n");
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_not() {
        let long = vec![b'x'; 3 * LINE_LIMIT];
        let text = cut(&[&long, b"\nnext\n"]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("xxx") && lines[0].ends_with("was cut)") && lines[0].len() < LINE_LIMIT + 100);
        assert_eq!(lines[1], "next");
    }

    proptest! {
        #[test]
        fn where_the_chunks_end_does_not_matter(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), any::<u8>()], 0..200),
            at in 0usize..200,
        ) {
            let at = at.min(bytes.len());
            prop_assert_eq!(cut(&[&bytes]), cut(&[&bytes[..at], &bytes[at..]]));
        }

        #[test]
        fn any_bytes_in_a_log_are_read_to_their_last_newline(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300),
            cursor in 0u64..400,
            count in 0usize..5,
        ) {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            fs::write(folder.path().join("log.txt"), &bytes).expect("a file can be written");
            // Not one of ours, and at the edge of what a number can be.
            fs::write(folder.path().join("log-18446744073709551615.txt"), "x\ny").expect("a file can be written");
            let _ = read_from(folder.path(), cursor).expect("it can be read");
            fs::remove_file(folder.path().join("log-18446744073709551615.txt")).expect("a file can be removed");
            let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
            prop_assert_eq!(read_from(folder.path(), 0).expect("it can be read").cursor, whole as u64);
            prop_assert!(tail(folder.path(), count).expect("it can be read").len() <= count);
        }
    }

    #[test]
    fn a_flood_stays_within_the_limit_and_keeps_both_ends() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut log = LogWriter::create(folder.path()).expect("it can be made");
        log.append("first\n");
        let block = "0123456789abcde\n".repeat(4096);
        for _ in 0..600 {
            log.append(&block);
            assert!(size(folder.path()) <= 16 << 20);
        }
        log.append("last\n");
        assert!(log.failure().is_none());
        assert_eq!(tail(folder.path(), 1).expect("it can be read"), ["last"]);
        let start = read_from(folder.path(), 0).expect("it can be read");
        assert_eq!(start.lines[0], "first");

        // Reading on passes the hole, says so, and arrives at the end.
        let (mut cursor, mut seen_hole, mut last) = (start.cursor, false, String::new());
        loop {
            let reading = read_from(folder.path(), cursor).expect("it can be read");
            if reading.lines.is_empty() {
                break;
            }
            seen_hole |= reading.lines[0].contains("left out");
            last = reading.lines.last().cloned().unwrap_or_default();
            assert!(reading.cursor > cursor);
            cursor = reading.cursor;
        }
        assert!(seen_hole);
        assert_eq!(last, "last");
        assert_eq!(cursor, 6 + 600 * block.len() as u64 + 5);
    }

    #[test]
    fn a_half_written_line_waits() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::write(folder.path().join("log.txt"), "one\ntw").expect("it can be written");
        let reading = read_from(folder.path(), 0).expect("it can be read");
        assert_eq!(reading, Reading { lines: vec!["one".to_owned()], cursor: 4 });
    }

    #[cfg(unix)]
    #[test]
    fn what_the_command_put_in_place_of_the_log_holds_nobody() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let make_pipe = |name: &str| {
            let status = std::process::Command::new("mkfifo").arg(folder.path().join(name)).status();
            assert!(status.expect("mkfifo runs").success());
        };
        let mut log = LogWriter::create(folder.path()).expect("it can be made");
        log.append("first\n");
        fs::remove_file(folder.path().join("log.txt")).expect("it can be removed");
        make_pipe("log.txt");
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("log-00000000000000000001.txt")).expect("it can be");
        assert_eq!(tail(folder.path(), 3).expect("it can be read"), Vec::<String>::new());
        assert_eq!(read_from(folder.path(), 0).expect("it can be read").lines, Vec::<String>::new());

        // The next file of the log has a name that the command can tell beforehand.
        let block = "0123456789abcde\n".repeat(4096);
        make_pipe(&format!("log-{:020}.txt", 6 + 127 * block.len()));
        for _ in 0..128 {
            log.append(&block);
        }
        assert!(log.failure().is_none(), "{:?}", log.failure());
        assert_eq!(tail(folder.path(), 1).expect("it can be read"), ["0123456789abcde"]);
    }

    #[test]
    fn the_tail_reaches_back_over_files() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::write(folder.path().join("log.txt"), "a\nb\n").expect("it can be written");
        fs::write(folder.path().join("log-00000000000000000004.txt"), "c\n").expect("it can be written");
        assert_eq!(tail(folder.path(), 2).expect("it can be read"), ["b", "c"]);
        assert_eq!(tail(folder.path(), 9).expect("it can be read"), ["a", "b", "c"]);
    }
}
