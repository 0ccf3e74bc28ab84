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
    fn every_version_of_the_format_is_read() {
        for version in LFS_VERSIONS {
            let text = format!("{version}\next-0-foo sha256:{OID}\noid sha256:{OID}\nsize 7\n");
            assert_eq!(lfs_pointer(text.as_bytes()), Some(LfsPointer { sha256: OID.to_owned(), size: 7 }), "{version}");
            assert!(lfs_pointer(text.replace('\n', "\r\n").as_bytes()).is_some(), "{version}");
        }
    }
}
