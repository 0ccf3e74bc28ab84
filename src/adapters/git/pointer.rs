//! Data that Git keeps only a pointer to: Git LFS, and DVC (`.dvc` files and `dvc.lock`).
//!
//! A pointer records a hash of the data, so the commit fixes them although it does not hold them. Formats: see
//! `model::pointer`. The `wdir` of a stage is not in `dvc.lock`, so there paths count from the folder of the file.
//! A file that cannot be read as what its name says is [`GitError::Pointer`]: the fault of the commit, and of no other.

use crate::adapters::git::error::GitError;
use crate::adapters::git::open::GitRepository;
use crate::adapters::git::tree::blob;
use crate::adapters::git::tree::lookup;
use crate::adapters::git::tree::tree_id;
use crate::adapters::git::watch::is_in;
use crate::adapters::git::watch::plain;
use crate::adapters::git::yaml;
use crate::model::digest::CanonicalFields;
use crate::model::git::ObjectId;
use crate::model::pointer::AnnexPointer;
use crate::model::pointer::LFS_LIMIT;
use crate::model::pointer::PointedData;
use crate::model::pointer::PointerKind;
use crate::model::pointer::annex_pointer;
use crate::model::pointer::lfs_pointer;
use git2::Oid;
use git2::Repository;
use serde_json::Value;
use std::fmt;

/// The largest DVC file that is read, in bytes: they are small, and a commit is untrusted text.
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

/// A pointer to data, as a commit holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// What identifies the data.
    pub hash: PointerHash,
    /// What they are made of, and where each part belongs.
    pub data: Vec<PointedData>,
}

/// One output of DVC: its path from the root of the repository, and its hash where one is recorded.
#[derive(Debug, Clone)]
pub(super) struct Output {
    path: String,
    hash: Option<PointerHash>,
    /// `hash: md5`, which DVC writes since its version 3.
    is_plain_md5: bool,
    size: Option<u64>,
}

impl Output {
    fn pointed(&self) -> Option<PointedData> {
        let hash = self.hash.as_ref()?;
        let value = hash.value.strip_suffix(".dir");
        let kind = match hash.algorithm.as_str() {
            "md5" if self.is_plain_md5 => PointerKind::DvcMd5,
            "md5" => PointerKind::DvcMd5Text,
            _ => PointerKind::Other,
        };
        Some(PointedData {
            path: self.path.clone(),
            kind,
            hash: value.unwrap_or(&hash.value).to_owned(),
            is_folder: value.is_some(),
            size: self.size,
        })
    }
}

impl GitRepository {
    /// Returns what a pointer in the commit records for the data at `path`. None where there is no pointer.
    ///
    /// `path` may be an LFS file, a `.dvc` file or a `dvc.lock` itself, or data that one of them describes: `<path>.dvc`
    /// beside it or beside a folder above it, or a `dvc.lock` in a folder above it.
    pub fn pointer(&self, commit: &ObjectId, path: &str) -> Result<Option<Pointer>, GitError> {
        let repo = self.repo();
        let root = tree_id(&repo, commit)?;
        let path = plain(path);
        if let Some(entry) = lookup(&repo, root, path)? {
            if !entry.is_file() {
                return Ok(None);
            }
            if is_dvc_file(path) {
                return combined(path, outputs(&repo, entry.id, path)?).map(Some);
            }
            let content = small_blob(&repo, entry.id, LFS_LIMIT, path)?;
            let Some(bytes) = content else { return Ok(None) };
            if let Some(annex) = annex_pointer(&bytes) {
                let hash = PointerHash { algorithm: "annex".to_owned(), value: annex.key.clone() };
                return Ok(Some(Pointer { hash, data: vec![annex_data(path, annex)] }));
            }
            return Ok(lfs_pointer(&bytes).map(|lfs| Pointer {
                hash: PointerHash { algorithm: "sha256".to_owned(), value: lfs.sha256.clone() },
                data: vec![lfs_data(path, lfs.sha256, lfs.size)],
            }));
        }
        described(&repo, root, path)
    }
}

/// Tells whether a file of this name is DVC's.
pub(super) fn is_dvc_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "dvc.lock" || (name.ends_with(".dvc") && name != ".dvc")
}

pub(super) fn lfs_data(path: &str, sha256: String, size: u64) -> PointedData {
    PointedData { path: path.to_owned(), kind: PointerKind::Lfs, hash: sha256, is_folder: false, size: Some(size) }
}

pub(super) fn annex_data(path: &str, annex: AnnexPointer) -> PointedData {
    PointedData { path: path.to_owned(), kind: annex.kind, hash: annex.hash, is_folder: false, size: annex.size }
}

/// Looks for a DVC file that describes `path`, the nearest first.
fn described(repo: &Repository, root: Oid, path: &str) -> Result<Option<Pointer>, GitError> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    let folders: Vec<&str> = std::iter::once("").chain(ends.clone().map(|at| &path[..at])).collect();
    let subjects = ends.map(|at| &path[..at]).chain(std::iter::once(path));
    let beside: Vec<String> = subjects.map(|subject| format!("{subject}.dvc")).collect();
    let locks = folders.iter().map(|folder| under(folder, "dvc.lock"));
    for file in beside.into_iter().rev().chain(locks.rev()) {
        let Some(entry) = lookup(repo, root, &file)? else { continue };
        if !entry.is_file() {
            continue;
        }
        let outs = outputs(repo, entry.id, &file)?;
        let out = outs.into_iter().find(|out| !out.path.is_empty() && is_in(path.as_bytes(), out.path.as_bytes()));
        if let Some(out) = out {
            let (Some(hash), Some(data)) = (out.hash.clone(), out.pointed()) else {
                return Err(no_hash(&file, &out.path));
            };
            return Ok(Some(Pointer { hash, data: vec![data] }));
        }
    }
    Ok(None)
}

/// Reads the data that a DVC file in a folder of data describes.
pub(super) fn dvc_data(repo: &Repository, id: Oid, file: &str) -> Result<Vec<PointedData>, GitError> {
    let outs = outputs(repo, id, file)?;
    outs.iter().map(|out| out.pointed().ok_or_else(|| no_hash(file, &out.path))).collect()
}

/// Reads the outputs of a `.dvc` file or a `dvc.lock`, of every version of their formats.
fn outputs(repo: &Repository, id: Oid, file: &str) -> Result<Vec<Output>, GitError> {
    let wrong = |why: String| GitError::Pointer { file: file.to_owned(), why };
    let Some(bytes) = small_blob(repo, id, DVC_LIMIT, file)? else {
        return Err(wrong("it is larger than 4 MiB".to_owned()));
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("it is not text".to_owned()))?;
    let parsed = yaml::read(text).map_err(|error| wrong(error.to_string()))?;
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    if file.ends_with(".dvc") {
        let wdir = parsed.get("wdir").and_then(Value::as_str).unwrap_or(".");
        let base = join(folder, wdir).ok_or_else(|| wrong(format!("its `wdir` {wdir} leaves the repository")))?;
        outputs_in(&parsed, &base, &wrong, &mut found)?;
    } else {
        // `stages` since schema 2.0; before, the file was the mapping of the stages.
        let stages = if parsed.get("schema").is_some() { parsed.get("stages") } else { Some(&parsed) };
        for stage in stages.and_then(Value::as_object).into_iter().flat_map(|stages| stages.values()) {
            outputs_in(stage, folder, &wrong, &mut found)?;
        }
    }
    Ok(found)
}

fn outputs_in(
    holder: &Value,
    base: &str,
    wrong: &dyn Fn(String) -> GitError,
    found: &mut Vec<Output>,
) -> Result<(), GitError> {
    let outs = match holder.get("outs") {
        None | Some(Value::Null | Value::String(_)) => return Ok(()),
        Some(Value::Array(outs)) => outs,
        Some(_) => return Err(wrong("its `outs` is not a list".to_owned())),
    };
    for out in outs {
        let text = |key: &str| out.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let path = text("path").ok_or_else(|| wrong("an output has no `path`".to_owned()))?;
        let path = if path.contains("://") || path.starts_with('/') {
            path.to_owned()
        } else {
            join(base, path).ok_or_else(|| wrong(format!("the output {path} leaves the repository")))?
        };
        let named = ["md5", "etag", "checksum"].into_iter().find_map(|algorithm| Some((algorithm, text(algorithm)?)));
        if let Some((_, value)) = named.filter(|(algorithm, value)| *algorithm == "md5" && !is_md5(value)) {
            return Err(wrong(format!("{value} is no MD5 hash")));
        }
        found.push(Output {
            path,
            hash: named
                .map(|(algorithm, value)| PointerHash { algorithm: algorithm.to_owned(), value: value.to_owned() }),
            is_plain_md5: text("hash") == Some("md5"),
            size: text("size").and_then(|size| size.parse().ok()),
        });
    }
    Ok(())
}

fn is_md5(text: &str) -> bool {
    let digits = text.strip_suffix(".dir").unwrap_or(text);
    digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Makes one pointer of a file's outputs: the only one as it is, several with a digest over their paths and hashes.
fn combined(file: &str, mut outs: Vec<Output>) -> Result<Pointer, GitError> {
    outs.sort_by(|a, b| a.path.cmp(&b.path));
    let mut fields = CanonicalFields::new("branchline/dvc-outputs/1");
    let mut data = Vec::new();
    for out in &outs {
        let (Some(hash), Some(one)) = (&out.hash, out.pointed()) else { return Err(no_hash(file, &out.path)) };
        fields.field("path", out.path.as_bytes()).field("hash", hash.to_string().as_bytes());
        data.push(one);
    }
    match outs.as_slice() {
        [Output { hash: Some(hash), .. }] => Ok(Pointer { hash: hash.clone(), data }),
        [] => Err(no_hash(file, "any output")),
        _ => {
            let value = fields.digest().as_str().to_owned();
            Ok(Pointer { hash: PointerHash { algorithm: "sha256".to_owned(), value }, data })
        }
    }
}

fn no_hash(file: &str, out: &str) -> GitError {
    let why = format!("it records no hash for {out}: run `dvc commit` and commit the file");
    GitError::Pointer { file: file.to_owned(), why }
}

fn under(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Joins paths of the repository, resolving `.` and `..`. None where the result leaves it.
fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Reads a blob that is not larger than the limit, without loading a larger one.
pub(super) fn small_blob(repo: &Repository, id: Oid, limit: usize, path: &str) -> Result<Option<Vec<u8>>, GitError> {
    let size = repo.odb().and_then(|odb| odb.read_header(id)).map(|(size, _)| size);
    match size {
        Ok(size) if size > limit => Ok(None),
        // A missing blob is explained by the reading.
        Ok(_) | Err(_) => blob(repo, id, path).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_inside_the_repository() {
        assert_eq!(join("data", "raw/x.csv").as_deref(), Some("data/raw/x.csv"));
        assert_eq!(join("data", "../x.csv").as_deref(), Some("x.csv"));
        assert_eq!(join("", "./a//b").as_deref(), Some("a/b"));
        assert_eq!(join("data", "../../x.csv"), None);
    }

    #[test]
    fn files_of_dvc_are_known_by_their_names() {
        for name in ["dvc.lock", "data/dvc.lock", "x.csv.dvc", "data/raw.dvc"] {
            assert!(is_dvc_file(name), "{name}");
        }
        for name in ["dvc.yaml", "my-dvc.lock", "data/.dvc", "x.dvc.csv"] {
            assert!(!is_dvc_file(name), "{name}");
        }
    }
}
