//! Files that stand in for data: what a Git LFS pointer or a file of DVC records of the data that it points at.
//!
//! Formats: <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md> and
//! <https://dvc.org/doc/user-guide/project-structure>. Deliberately absent: where such files are looked for.

use serde::Deserialize;
use serde::Serialize;

/// The first lines that Git LFS accepts: of version 1, and of the two releases before it had its name.
/// Source: `v1Aliases` in `lfs/pointer.go`.
const LFS_VERSIONS: [&str; 3] = [
    "version https://git-lfs.github.com/spec/v1",
    "version https://hawser.github.com/spec/v1",
    "version http://git-media.io/v/2",
];

/// An LFS pointer is shorter than this in bytes, by its specification.
pub const LFS_LIMIT: usize = 1024;

/// How the hash of a pointer was made, and so how data are verified against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointerKind {
    /// Git LFS: SHA-256 of the file.
    Lfs,
    /// DVC 3 (`hash: md5`): MD5 of the file as it is.
    DvcMd5,
    /// DVC up to 2: MD5 of the file; of text, with the line endings CRLF read as LF.
    DvcMd5Text,
    /// git-annex, a key of a SHA-256 backend.
    AnnexSha256,
    /// git-annex, a key of an MD5 backend.
    AnnexMd5,
    /// Any other hash, which cannot be verified on this machine.
    Other,
}

/// Data that a commit only points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointedData {
    /// Where the data belong: a path from the root of the repository, or as DVC names a place outside of it.
    pub path: String,
    /// How the hash was made.
    pub kind: PointerKind,
    /// The hash in hexadecimal digits, without DVC's `.dir`.
    pub hash: String,
    /// Whether the data are a folder.
    pub is_folder: bool,
    /// The size in bytes, where the pointer of a file records it.
    pub size: Option<u64>,
}

/// An LFS pointer: what the real file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LfsPointer {
    /// SHA-256 of the data, 64 digits.
    pub sha256: String,
    /// Size of the data in bytes.
    pub size: u64,
}

/// Reads an LFS pointer: the version, extensions, the object id and the size, in this order, and nothing else.
/// None for anything else.
pub fn lfs_pointer(bytes: &[u8]) -> Option<LfsPointer> {
    if bytes.len() >= LFS_LIMIT || !bytes.starts_with(b"version ") {
        return None;
    }
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    let version = lines.next()?;
    if !LFS_VERSIONS.contains(&version) {
        return None;
    }
    let mut rest = lines.skip_while(|line| line.starts_with("ext-")).take_while(|line| !line.is_empty());
    let sha256 = rest.next()?.strip_prefix("oid sha256:")?;
    let legal = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
    let size = rest.next()?.strip_prefix("size ")?.parse().ok()?;
    (legal && rest.next().is_none()).then(|| LfsPointer { sha256: sha256.to_ascii_lowercase(), size })
}

/// What an unlocked file of git-annex holds where its content was not fetched.
/// Source: <https://git-annex.branchable.com/internals/pointer_file/>.
const ANNEX: &str = "/annex/objects/";

/// The longest key: it is the name of a file.
const ANNEX_KEY: usize = 255;

/// A pointer of git-annex: the key of the real file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnexPointer {
    /// The key as it stands there.
    pub key: String,
    /// How the hash in it was made.
    pub kind: PointerKind,
    /// The hash; the whole key where its kind is not known.
    pub hash: String,
    /// Size of the data in bytes, where the key says it.
    pub size: Option<u64>,
}

/// Reads a pointer of git-annex: one line, `/annex/objects/BACKEND[-sSIZE][-mTIME]--NAME`, and nothing else. None for
/// anything else, such as a text that only begins alike.
pub fn annex_pointer(bytes: &[u8]) -> Option<AnnexPointer> {
    if bytes.len() > ANNEX.len() + ANNEX_KEY + 2 {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let key = line.strip_suffix('\r').unwrap_or(line).strip_prefix(ANNEX)?;
    if key.len() > ANNEX_KEY || key.contains(['/', '\\', '\n', '\r']) {
        return None;
    }
    let (fields, name) = key.split_once("--")?;
    let mut fields = fields.split('-');
    let backend = fields.next()?;
    let is_backend = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if backend.is_empty() || !backend.bytes().all(is_backend) || name.is_empty() {
        return None;
    }
    let mut size = None;
    for field in fields {
        let value = field.get(1..)?.parse().ok()?;
        match field.get(..1)? {
            "s" => size = Some(value),
            "m" | "S" | "C" => {}
            _ => return None,
        }
    }
    // Backends that end in E keep the ending of the file's name behind the hash.
    let digits = name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    let is_hash = |length| digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (kind, hash) = match backend {
        "SHA256" | "SHA256E" if is_hash(64) => (PointerKind::AnnexSha256, digits),
        "MD5" | "MD5E" if is_hash(32) => (PointerKind::AnnexMd5, digits),
        _ => (PointerKind::Other, key.to_owned()),
    };
    Some(AnnexPointer { key: key.to_owned(), kind, hash, size })
}

/// Names the kind of pointer that a small file is, and how the real file is fetched. None: it is no pointer.
pub fn pointer_kind(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if lfs_pointer(bytes).is_some() {
        return Some(("a Git LFS pointer", "git lfs pull"));
    }
    annex_pointer(bytes).map(|_| ("a git-annex pointer", "git annex get"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";

    #[test]
    fn a_pointer_is_told_from_data_that_only_begins_alike() {
        let text = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 12345\n");
        assert_eq!(lfs_pointer(text.as_bytes()), Some(LfsPointer { sha256: OID.to_owned(), size: 12_345 }));
        assert_eq!(lfs_pointer(b"version https://git-lfs.github.com/spec/v1\n"), None);
        assert_eq!(lfs_pointer(format!("{text}{}", "x".repeat(1024)).as_bytes()), None);
        assert_eq!(lfs_pointer(format!("{text}more").as_bytes()), None);
        assert_eq!(lfs_pointer(text.replace("sha256", "md5").as_bytes()), None);
        assert_eq!(lfs_pointer(text.replace("spec/v1", "spec/v9").as_bytes()), None);
    }

    #[test]
    fn a_pointer_of_git_annex_is_told_from_texts_that_begin_alike() {
        let read = annex_pointer(format!("/annex/objects/SHA256E-s42--{OID}.csv\n").as_bytes()).expect("a pointer");
        assert_eq!((read.kind, read.hash.as_str(), read.size), (PointerKind::AnnexSha256, OID, Some(42)));
        let md5 = annex_pointer(b"/annex/objects/MD5E-s4--d41d8cd98f00b204e9800998ecf8427e.tar.gz").expect("a pointer");
        assert_eq!(md5.kind, PointerKind::AnnexMd5);
        let worm = annex_pointer(b"/annex/objects/WORM-s3-m1289672605--file\n").expect("a pointer");
        assert_eq!((worm.kind, worm.hash.as_str()), (PointerKind::Other, "WORM-s3-m1289672605--file"));
        for other in [
            "/annex/objects/",
            "/annex/objects/notes",
            "/annex/objects/SHA256E-s42--x\nmore\n",
            "/annex/objects/a/SHA256E-s42--x",
            "see /annex/objects/SHA256E-s42--x",
            "/annex/objects/sha-s42--x",
            "/annex/objects/SHA256E-sx--x",
        ] {
            assert_eq!(annex_pointer(other.as_bytes()), None, "{other}");
        }
        assert_eq!(pointer_kind(b"weights"), None);
    }

    #[test]
    fn every_version_of_the_format_is_read() {
        for version in LFS_VERSIONS {
            let text = format!("{version}\next-0-foo sha256:{OID}\noid sha256:{OID}\nsize 7\n");
            assert_eq!(lfs_pointer(text.as_bytes()), Some(LfsPointer { sha256: OID.to_owned(), size: 7 }), "{version}");
            assert!(lfs_pointer(text.replace('\n', "\r\n").as_bytes()).is_some(), "{version}");
        }
    }
}
