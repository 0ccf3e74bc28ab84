//! Whether a ZIP file is whole, as its own directory says: PyTorch, Keras and NumPy write such files.
//!
//! Format: PKWARE's APPNOTE, sections 4.3.6 to 4.5.3. Deliberately absent: unpacking, and the sums of large members.

use crate::adapters::local::model_files::NotWhole;
use crate::adapters::local::model_files::refuse_pointer;
use crate::adapters::regular;
use crate::adapters::regular::Links;
use crate::adapters::regular::RegularError;
use crate::model::pointer::LFS_LIMIT;
use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek as _;
use std::path::Path;

const LOCAL: &[u8] = b"PK\x03\x04";
const ENTRY: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
/// The last record without its comment, and the longest comment.
const END_SIZE: usize = 22;
const COMMENT: u64 = 65_535;
/// A field of 32 bits that is kept in 64 elsewhere.
const ELSEWHERE: u64 = 0xffff_ffff;

/// Where the directory lies in the file.
struct Directory {
    start: u64,
    size: u64,
    /// What the offsets in it count from.
    base: u64,
}

/// A member as the directory tells of it.
struct Member {
    name: String,
    method: u64,
    packed: u64,
    size: u64,
    offset: u64,
}

/// Tells whether a file begins as a ZIP file: with a member, or with the last record of one that has none.
pub(super) fn is_zip(begin: &[u8], size: u64) -> bool {
    let ends = || number(begin, 20, 2).is_some_and(|comment| END_SIZE as u64 + comment == size);
    begin.starts_with(LOCAL) || (begin.starts_with(END) && ends())
}

/// Checks that its last record and its directory can be read, that each member is where the directory says, and that
/// one of them holds a byte.
pub(super) fn check(path: &Path, size: u64) -> Result<(), NotWhole> {
    let (mut members, _) = regular::open(path, Links::Follow)?;
    let (file, _) = regular::open(path, Links::Follow)?;
    let directory = directory(&mut members, size)?;
    let mut reader = io::BufReader::new(file);
    reader.seek(io::SeekFrom::Start(directory.start)).map_err(RegularError::Io)?;
    let mut rest = reader.take(directory.size);
    let mut holds = false;
    while let Some(member) = next(&mut rest)? {
        check_member(&mut members, &directory, &member)?;
        holds |= member.size > 0;
    }
    if holds { Ok(()) } else { Err(NotWhole::Empty) }
}

/// Finds the directory: behind it is the last record, which only a comment follows.
fn directory(file: &mut File, size: u64) -> Result<Directory, NotWhole> {
    let from = size.saturating_sub(END_SIZE as u64 + COMMENT);
    let tail = bytes_at(file, from, size - from)?;
    let mut ends = (0..tail.len()).rev().filter(|at| tail.get(*at..).is_some_and(|rest| rest.starts_with(END)));
    let end = ends.find_map(|at| {
        let record = tail.get(at..at + END_SIZE)?;
        let comment = usize::try_from(number(record, 20, 2)?).ok()?;
        (at + END_SIZE + comment <= tail.len()).then_some((from + at as u64, record))
    });
    let Some((at, record)) = end else { return Err(torn("the directory at the end of a ZIP file is missing")) };
    let field = |at, length| number(record, at, length).unwrap_or_default();
    let (mut behind, mut length, mut offset) = (at, field(12, 4), field(16, 4));
    if let Some((at_64, length_64, offset_64)) = end_64(file, at)? {
        (behind, length, offset) = (at_64, length_64, offset_64);
    }
    // Where something stands before the first member, offsets count from there.
    let base = behind.checked_sub(length).and_then(|start| Some((start, start.checked_sub(offset)?)));
    match base {
        Some((start, base)) => Ok(Directory { start, size: length, base }),
        None => Err(torn("a part before the directory of a ZIP file is missing")),
    }
}

/// Reads the last record of 64 bits, where there is one: its place, and the directory's size and offset.
fn end_64(file: &mut File, end: u64) -> Result<Option<(u64, u64, u64)>, NotWhole> {
    // The locator is 20 bytes; the record before it is 56, without what nobody writes behind it.
    let Some(at) = end.checked_sub(20 + 56) else { return Ok(None) };
    let bytes = bytes_at(file, at, 20 + 56)?;
    let is_there = bytes.starts_with(END_64) && bytes.get(56..).is_some_and(|rest| rest.starts_with(LOCATOR_64));
    Ok(is_there.then(|| number(&bytes, 40, 8).zip(number(&bytes, 48, 8))).flatten().map(|(l, o)| (at, l, o)))
}

/// Reads the next member of the directory.
fn next(rest: &mut impl Read) -> Result<Option<Member>, NotWhole> {
    let mut head = Vec::new();
    Read::by_ref(rest).take(46).read_to_end(&mut head).map_err(RegularError::Io)?;
    if head.is_empty() {
        return Ok(None);
    }
    if head.len() < 46 || !head.starts_with(ENTRY) {
        return Err(torn("the directory of a ZIP file cannot be read"));
    }
    let field = |at, length| number(&head, at, length).unwrap_or_default();
    let (name, extra, comment) = (field(28, 2), field(30, 2), field(32, 2));
    let mut texts = Vec::new();
    Read::by_ref(rest).take(name + extra + comment).read_to_end(&mut texts).map_err(RegularError::Io)?;
    if texts.len() as u64 != name + extra + comment {
        return Err(torn("the directory of a ZIP file ends early"));
    }
    let (name, extras) = texts.split_at(usize::try_from(name).unwrap_or_default());
    let extras = extras.get(..usize::try_from(extra).unwrap_or_default()).unwrap_or_default();
    let mut large = large_fields(extras);
    let mut whole = |at| match field(at, 4) {
        ELSEWHERE => large.next().unwrap_or(ELSEWHERE),
        value => value,
    };
    // In the order in which the fields of 64 bits stand.
    let (size, packed, offset) = (whole(24), whole(20), whole(42));
    Ok(Some(Member { name: String::from_utf8_lossy(name).into_owned(), method: field(10, 2), packed, size, offset }))
}

/// Returns the numbers of 64 bits among the extra fields of a member.
fn large_fields(mut extras: &[u8]) -> impl Iterator<Item = u64> {
    let mut found = Vec::new();
    while let (Some(kind), Some(length)) = (number(extras, 0, 2), number(extras, 2, 2)) {
        let length = usize::try_from(length).unwrap_or_default();
        let body = extras.get(4..4 + length).unwrap_or_default();
        if kind == 1 {
            found = body.chunks_exact(8).filter_map(|chunk| number(chunk, 0, 8)).collect();
        }
        extras = extras.get(4 + length..).unwrap_or_default();
    }
    found.into_iter()
}

fn check_member(file: &mut File, directory: &Directory, member: &Member) -> Result<(), NotWhole> {
    let missing = || torn(&format!("{} is not where the directory of a ZIP file says", member.name));
    let at = directory.base.checked_add(member.offset).filter(|at| *at < directory.start).ok_or_else(missing)?;
    let head = bytes_at(file, at, 30)?;
    if !head.starts_with(LOCAL) {
        return Err(missing());
    }
    let before = 30 + number(&head, 26, 2).unwrap_or_default() + number(&head, 28, 2).unwrap_or_default();
    let content = at + before;
    if content.checked_add(member.packed).is_none_or(|end| end > directory.start) {
        return Err(missing());
    }
    let is_encrypted = number(&head, 6, 2).unwrap_or_default() & 1 == 1;
    if member.size == 0 || member.size >= LFS_LIMIT as u64 || member.packed > 2 * LFS_LIMIT as u64 || is_encrypted {
        return Ok(());
    }
    let packed = bytes_at(file, content, member.packed)?;
    let bytes = match member.method {
        0 => packed,
        8 => {
            let mut bytes = Vec::new();
            let read = DeflateDecoder::new(packed.as_slice()).take(LFS_LIMIT as u64).read_to_end(&mut bytes);
            read.map_err(|error| torn(&format!("{} in it cannot be unpacked: {error}", member.name)))?;
            bytes
        }
        _ => return Ok(()),
    };
    refuse_pointer(&bytes, &format!("{} in it", member.name))
}

/// Reads so many bytes at a place, or as many as there are.
fn bytes_at(file: &mut File, at: u64, length: u64) -> Result<Vec<u8>, NotWhole> {
    let mut bytes = Vec::new();
    file.seek(io::SeekFrom::Start(at)).map_err(RegularError::Io)?;
    file.take(length).read_to_end(&mut bytes).map_err(RegularError::Io)?;
    Ok(bytes)
}

/// Reads a number, its lowest byte first.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let field = bytes.get(at..at + length)?;
    Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn torn(why: &str) -> NotWhole {
    NotWhole::Torn { why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ZIP file of one stored member.
    fn zip(content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len()).expect("small").to_le_bytes();
        let sizes = [&[0; 4][..], &size, &size, &[1, 0, 0, 0]].concat();
        let local = [LOCAL, &[20, 0, 0, 0, 0, 0, 0, 0, 0, 0], &sizes, b"m", content].concat();
        let entry = [ENTRY, &[20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0], &sizes, &[0; 14], b"m"].concat();
        let place = [u32::try_from(entry.len()), u32::try_from(local.len())].map(|n| n.expect("small").to_le_bytes());
        [&local, &entry, END, &[0, 0, 0, 0, 1, 0, 1, 0], &place.concat(), &[0, 0]].concat()
    }

    fn said(bytes: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.pt");
        std::fs::write(&path, bytes).expect("writable");
        assert!(is_zip(bytes, bytes.len() as u64));
        check(&path, bytes.len() as u64).err().map(|error| error.to_string())
    }

    #[test]
    fn a_whole_one_is_taken_and_a_torn_one_is_not() {
        let whole = zip(&[7; 5000]);
        assert_eq!(said(&whole), None);
        assert_eq!(said(&[&whole[..], b"padding"].concat()), None);
        for cut in [whole.len() - 10, whole.len() - 60, 1000] {
            assert!(said(&whole[..cut]).is_some_and(|text| text.starts_with("it is torn: ")), "{cut}");
        }
        let middle = [&whole[..1000], &whole[3000..]].concat();
        assert!(said(&middle).is_some_and(|text| text.starts_with("it is torn: ")));
    }

    #[test]
    fn one_without_a_byte_or_with_a_pointer_is_no_model() {
        let empty = Some("it is empty: there is no model in it".to_owned());
        assert_eq!(said(&[END, &[0; 18]].concat()), empty);
        assert_eq!(said(&zip(b"")), empty);
        assert!(said(&zip(b"/annex/objects/WORM-s3--m\n")).is_some_and(|text| text.contains("`git annex get`")));
        assert!(!is_zip(b"PK\x05\x06 weights that only begin alike", 36));
    }
}
