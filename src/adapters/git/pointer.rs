//! Data that Git keeps only a pointer to: Git LFS, and DVC (`.dvc` files and `dvc.lock`).
//!
//! A pointer records a hash of the data, so the commit fixes them although it does not hold them. Formats:
//! <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>, <https://dvc.org/doc/user-guide/project-structure>.
//! The `wdir` of a stage is not in `dvc.lock`, so there paths count from the folder of the file.

use crate::adapters::git::error::GitError;
use crate::adapters::git::open::GitRepository;
use crate::adapters::git::tree::blob;
use crate::adapters::git::tree::lookup;
use crate::adapters::git::tree::tree_id;
use crate::adapters::git::watch::is_in;
use crate::adapters::git::watch::plain;
use crate::model::digest::CanonicalFields;
use crate::model::git::ObjectId;
use git2::Oid;
use git2::Repository;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// The first line of every LFS pointer.
const LFS_MAGIC: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";

/// An LFS pointer is shorter than this, by its specification.
pub(super) const LFS_LIMIT: usize = 1024;

/// The largest DVC file that is read: they are small, and a commit is foreign text.
const DVC_LIMIT: usize = 4 * 1024 * 1024;

/// The hash that a pointer records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointerHash {
    /// How it was made: `sha256`, `md5`.
    pub algorithm: String,
    /// The hash as recorded; DVC writes `.dir` behind that of a folder.
    pub value: String,
}

impl fmt::Display for PointerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.value)
    }
}

/// An LFS pointer: what the real file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LfsPointer {
    /// SHA-256 of the data, 64 digits.
    pub(super) sha256: String,
    /// Size of the data in bytes.
    pub(super) size: u64,
}

#[derive(Deserialize)]
struct DvcFile {
    #[serde(default)]
    wdir: Option<String>,
    #[serde(default)]
    outs: Vec<DvcOut>,
}

#[derive(Deserialize)]
struct DvcLock {
    #[serde(default)]
    stages: BTreeMap<String, DvcStage>,
}

#[derive(Deserialize)]
struct DvcStage {
    #[serde(default)]
    outs: Vec<DvcOut>,
}

#[derive(Deserialize)]
struct DvcOut {
    path: String,
    md5: Option<String>,
    etag: Option<String>,
    checksum: Option<String>,
}

/// One output: its path from the root of the repository, and its hash where one is recorded.
type Output = (String, Option<PointerHash>);

impl GitRepository {
    /// Returns the hash that a pointer in the commit records for the data at `path`. None where there is no pointer.
    ///
    /// `path` may be an LFS file, a `.dvc` file or a `dvc.lock` itself, or data that one of them describes: `<path>.dvc`
    /// beside it or beside a folder above it, or a `dvc.lock` in a folder above it.
    pub fn pointer(&self, commit: &ObjectId, path: &str) -> Result<Option<PointerHash>, GitError> {
        let repo = self.repo();
        let root = tree_id(&repo, commit)?;
        let path = plain(path);
        if let Some(entry) = lookup(&repo, root, path)? {
            if entry.is_folder() {
                return Ok(None);
            }
            if path.ends_with(".dvc") || path.rsplit('/').next() == Some("dvc.lock") {
                return outputs(&repo, entry.id, path)?.map(|outs| combined(path, outs)).transpose();
            }
            let content = small_blob(&repo, entry.id, LFS_LIMIT, path)?;
            return Ok(content
                .and_then(|bytes| lfs_pointer(&bytes))
                .map(|lfs| PointerHash { algorithm: "sha256".to_owned(), value: lfs.sha256 }));
        }
        described(&repo, root, path)
    }
}

/// Looks for a DVC file that describes `path`, the nearest first.
fn described(repo: &Repository, root: Oid, path: &str) -> Result<Option<PointerHash>, GitError> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    let folders: Vec<&str> = std::iter::once("").chain(ends.clone().map(|at| &path[..at])).collect();
    let subjects = ends.map(|at| &path[..at]).chain(std::iter::once(path));
    let beside: Vec<String> = subjects.map(|subject| format!("{subject}.dvc")).collect();
    let locks = folders.iter().map(|folder| join(folder, "dvc.lock"));
    for file in beside.into_iter().rev().chain(locks.rev()) {
        let Some(entry) = lookup(repo, root, &file)? else { continue };
        if entry.is_folder() {
            continue;
        }
        let Some(outs) = outputs(repo, entry.id, &file)? else { continue };
        let out = outs.into_iter().find(|(out, _)| !out.is_empty() && is_in(path.as_bytes(), out.as_bytes()));
        if let Some((out, hash)) = out {
            return hash.map(Some).ok_or_else(|| no_hash(&file, &out));
        }
    }
    Ok(None)
}

/// Reads the outputs of a `.dvc` file or a `dvc.lock`. None for a file that is neither, such as a large one.
fn outputs(repo: &Repository, id: Oid, file: &str) -> Result<Option<Vec<Output>>, GitError> {
    let Some(bytes) = small_blob(repo, id, DVC_LIMIT, file)? else { return Ok(None) };
    let unreadable = |error: serde_yaml::Error| GitError::Failed {
        doing: format!("read `{file}` as a file of DVC"),
        source: Box::new(error),
    };
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (base, outs) = if file.ends_with(".dvc") {
        let parsed: DvcFile = serde_yaml::from_slice(&bytes).map_err(unreadable)?;
        (join(folder, parsed.wdir.as_deref().unwrap_or(".")), parsed.outs)
    } else {
        let parsed: DvcLock = serde_yaml::from_slice(&bytes).map_err(unreadable)?;
        (folder.to_owned(), parsed.stages.into_values().flat_map(|stage| stage.outs).collect())
    };
    Ok(Some(outs.into_iter().map(|out| (join(&base, &out.path), hash_of(out))).collect()))
}

fn hash_of(out: DvcOut) -> Option<PointerHash> {
    let named = [("md5", out.md5), ("etag", out.etag), ("checksum", out.checksum)];
    named.into_iter().find_map(|(algorithm, value)| {
        let value = value?;
        Some(PointerHash { algorithm: algorithm.to_owned(), value })
    })
}

/// Makes one hash of a file's outputs: the only one as it is, several by a digest over their paths and hashes.
fn combined(file: &str, mut outs: Vec<Output>) -> Result<PointerHash, GitError> {
    outs.sort_by(|a, b| a.0.cmp(&b.0));
    let mut fields = CanonicalFields::new("branchline/dvc-outputs/1");
    for (path, hash) in &outs {
        let hash = hash.as_ref().ok_or_else(|| no_hash(file, path))?;
        fields.field("path", path.as_bytes()).field("hash", hash.to_string().as_bytes());
    }
    match outs.pop() {
        Some((_, Some(hash))) if outs.is_empty() => Ok(hash),
        Some(_) => Ok(PointerHash { algorithm: "sha256".to_owned(), value: fields.digest().as_str().to_owned() }),
        None => Err(no_hash(file, "any output")),
    }
}

fn no_hash(file: &str, out: &str) -> GitError {
    GitError::Failed {
        doing: format!("identify the data of `{file}`"),
        source: format!("it records no hash for {out}: run `dvc commit` and commit the file").into(),
    }
}

/// Joins paths of the repository, resolving `.` and `..`.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Reads a blob that is not larger than the limit, without loading a larger one.
fn small_blob(repo: &Repository, id: Oid, limit: usize, path: &str) -> Result<Option<Vec<u8>>, GitError> {
    let size = repo.odb().and_then(|odb| odb.read_header(id)).map(|(size, _)| size);
    match size {
        Ok(size) if size > limit => Ok(None),
        // A missing blob is explained by the reading.
        Ok(_) | Err(_) => blob(repo, id, path).map(Some),
    }
}

/// Reads an LFS pointer. None for anything else.
pub(super) fn lfs_pointer(bytes: &[u8]) -> Option<LfsPointer> {
    if bytes.len() > LFS_LIMIT || !bytes.starts_with(LFS_MAGIC) {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let sha256 = value("oid sha256:")?;
    let legal = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
    let size = value("size ")?.trim().parse().ok()?;
    legal.then(|| LfsPointer { sha256: sha256.to_ascii_lowercase(), size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_told_from_data_that_only_begins_alike() {
        let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let text = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
        assert_eq!(lfs_pointer(text.as_bytes()), Some(LfsPointer { sha256: oid.to_owned(), size: 12_345 }));
        assert_eq!(lfs_pointer(LFS_MAGIC), None);
        assert_eq!(lfs_pointer(format!("{text}{}", "x".repeat(1024)).as_bytes()), None);
        assert_eq!(lfs_pointer(text.replace("sha256", "md5").as_bytes()), None);
    }

    #[test]
    fn paths_are_joined_inside_the_repository() {
        assert_eq!(join("data", "raw/x.csv"), "data/raw/x.csv");
        assert_eq!(join("data", "../x.csv"), "x.csv");
        assert_eq!(join("", "./a//b"), "a/b");
    }
}
