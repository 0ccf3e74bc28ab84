//! Foreign text in the log: training output, branch names and commit messages, made unable to give the runner a
//! command.
//!
//! The runner reads both streams of a step line by line and takes `::name …::` at the start of a line (after white
//! space) and `##[name …]` anywhere in a line as commands (`ActionCommand.cs` in `actions/runner`). It compares by
//! the rules of a culture, in which characters without width do not count; so they do not count here either.
//!
//! Text is rewritten: a visible `\` breaks the command. The other way, `::stop-commands::`, is deliberately absent:
//! it is a state of the whole step. The streams are read side by side, so a line of one could come before the stop of
//! the other; our own annotations in between would be lost; and a run that is killed would leave the step stopped.

use crate::model::text;
use std::io;
use std::io::Write;

/// Longest line that is printed, in bytes, without the note that it was cut.
pub const LINE_LIMIT: usize = 4_000;

/// A line that comes in pieces is not collected beyond this.
const PENDING_LIMIT: usize = 64 * 1024;

/// Rewrites one line of text so that the runner sees no command in it.
///
/// A line break inside becomes a space, because it would begin a line of its own. What is no command stays as it
/// is, byte for byte.
pub fn neutral(line: &str) -> String {
    let mut safe = String::with_capacity(line.len() + 2);
    let mut at_start = true;
    let mut hashes = 0_u8;
    for (at, c) in line.char_indices() {
        if c == '\n' || c == '\r' {
            safe.push(' ');
            continue;
        }
        let invisible = is_invisible(c);
        if at_start && !invisible && !c.is_whitespace() {
            at_start = false;
            if c == ':' && line[at + 1..].chars().find(|next| !is_invisible(*next)) == Some(':') {
                safe.push('\\');
            }
        }
        match c {
            '#' => hashes = (hashes + 1).min(2),
            '[' => {
                if hashes == 2 {
                    safe.push('\\');
                }
                hashes = 0;
            }
            _ if invisible => {}
            _ => hashes = 0,
        }
        safe.push(c);
    }
    safe
}

/// Makes one line of foreign text fit for a log: no colour, no control character, no command, no endless line. Of a
/// line that was overwritten in place, as progress bars do, the last writing stays.
pub fn log_line(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    let last = text.trim_end_matches(['\r', '\n']).rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    let plain = crate::report::terminal::plain(&last.replace('\t', "    "));
    let (kept, cut) = bounded(&plain, LINE_LIMIT);
    let mut line = neutral(kept);
    if cut > 0 {
        line.push_str(&format!(" … ({cut} more bytes)"));
    }
    line
}

/// Cuts at a character's border; returns what stays, and how many bytes do not.
fn bounded(text: &str, limit: usize) -> (&str, usize) {
    let kept = &text[..text.floor_char_boundary(limit)];
    (kept, text.len() - kept.len())
}

/// Characters that a comparison by culture passes over: controls, marks without width, and what Unicode calls
/// "default ignorable".
fn is_invisible(c: char) -> bool {
    let is_space = c.is_whitespace();
    !is_space && (c.is_control() || text::is_invisible(c) || matches!(c, '\u{fe0e}'..='\u{fe0f}'))
}

/// A stream through which nothing can give the runner a command: everything printed passes [`neutral`], line by line.
///
/// A line is held back until it is whole, also when the stream is flushed; [`NeutralWriter::finish`] or dropping the
/// writer lets the last one go. A line that grows too long is broken in two.
pub struct NeutralWriter<W: Write> {
    inner: W,
    pending: Vec<u8>,
}

impl<W: Write> NeutralWriter<W> {
    /// Wraps a stream.
    pub fn new(inner: W) -> Self {
        Self { inner, pending: Vec::new() }
    }

    /// Lets go of a last line that has no end.
    pub fn finish(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.release()?;
        }
        self.inner.flush()
    }

    fn release(&mut self) -> io::Result<()> {
        let line = neutral(&String::from_utf8_lossy(&self.pending));
        self.pending.clear();
        self.inner.write_all(line.as_bytes())
    }
}

impl<W: Write> Write for NeutralWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            // The runner ends a line at either of them.
            if matches!(byte, b'\n' | b'\r') {
                self.release()?;
                self.inner.write_all(&[*byte])?;
                continue;
            }
            // Never inside of a character.
            if self.pending.len() >= PENDING_LIMIT && byte & 0xc0 != 0x80 {
                self.release()?;
                self.inner.write_all(b"\n")?;
            }
            self.pending.push(*byte);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> Drop for NeutralWriter<W> {
    fn drop(&mut self) {
        // Nobody can be told any more.
        drop(self.finish());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_broken_and_nothing_else() {
        assert_eq!(neutral("::error::boom"), "\\::error::boom");
        assert_eq!(neutral("  \u{a0}::set-output name=a::b"), "  \u{a0}\\::set-output name=a::b");
        assert_eq!(neutral("\u{200b}:\u{feff}:add-mask::x"), "\u{200b}\\:\u{feff}:add-mask::x");
        assert_eq!(neutral("x ##[error]boom ##[group]"), "x ##\\[error]boom ##\\[group]");
        assert_eq!(neutral("###\u{200b}[error]"), "###\u{200b}\\[error]");
        for plain in ["std::vec::Vec", "a ::b::", ": :", "# # [x]", "#[test]", "[##", "", "10:20:30"] {
            assert_eq!(neutral(plain), plain);
        }
    }

    #[test]
    fn a_log_line_is_one_line_of_plain_text() {
        assert_eq!(log_line("\u{1b}[31mloss\u{1b}[0m\t0.5"), "loss    0.5");
        assert_eq!(log_line("10 %\r50 %\r100 %\r\n"), "100 %");
        assert_eq!(log_line("a\r::error::b"), "\\::error::b");
        assert_eq!(log_line("a\n::error::b"), "a\u{fffd}::error::b");
        let long = log_line(&"é".repeat(5_000));
        assert!(long.ends_with("é … (6000 more bytes)"), "{}", &long[long.len() - 40..]);
    }

    #[test]
    fn a_stream_is_neutral_however_it_is_cut_into_pieces() {
        let text = "ok\n::error::a\r::error::b\r\nx ##[error]c\n  ::add-mask::é";
        for size in 1..text.len() {
            let mut out = Vec::new();
            let mut writer = NeutralWriter::new(&mut out);
            for piece in text.as_bytes().chunks(size) {
                writer.write_all(piece).expect("memory");
                writer.flush().expect("memory");
            }
            drop(writer);
            let out = String::from_utf8(out).expect("whole characters");
            assert_eq!(out, "ok\n\\::error::a\r\\::error::b\r\nx ##\\[error]c\n  \\::add-mask::é");
        }
    }

    #[test]
    fn an_endless_line_is_broken() {
        let mut out = Vec::new();
        NeutralWriter::new(&mut out).write_all("é".repeat(PENDING_LIMIT).as_bytes()).expect("memory");
        let out = String::from_utf8(out).expect("whole characters");
        assert_eq!(out.lines().count(), 2);
        assert_eq!(out.replace('\n', "").chars().count(), PENDING_LIMIT);
    }
}
