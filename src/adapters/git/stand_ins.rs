//! What a commit holds in place of content: Git LFS pointers, files of DVC, submodules, and links that lead nowhere
//! in a checkout. Found for watched paths and for data alike, also inside of folders.
//!
//! Whether any of it matters is not known here. The look is bounded, and what an object id names is remembered.

use crate::adapters::git::checkout;
use crate::adapters::git::error::GitError;
use crate::adapters::git::open::GitRepository;
use crate::adapters::git::pointer::annex_data;
use crate::adapters::git::pointer::dvc_data;
use crate::adapters::git::pointer::is_dvc_file;
use crate::adapters::git::pointer::lfs_data;
use crate::adapters::git::pointer::small_blob;
use crate::adapters::git::tree::Budget;
use crate::adapters::git::tree::SUBMODULE;
use crate::adapters::git::tree::SYMLINK;
use crate::adapters::git::tree::blob;
use crate::adapters::git::tree::lookup;
use crate::adapters::git::tree::tree_id;
use crate::adapters::git::tree::walk;
use crate::adapters::git::watch::Selector;
use crate::adapters::git::watch::plain;
use crate::model::git::ObjectId;
use crate::model::pointer::LFS_LIMIT;
use crate::model::pointer::PointedData;
use crate::model::pointer::annex_pointer;
use crate::model::pointer::lfs_pointer;
use crate::model::settings::Watched;
use git2::Oid;
use git2::Repository;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Most files of watched paths that are looked at for pointers: a plan is not worth more. Checking them out looks at all.
const LOOKED_AT: usize = 5_000;

/// Most folders and files whose stand-ins are remembered.
const REMEMBERED: usize = 20_000;

/// Something that is not the content that its path promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandIn {
    /// A Git LFS pointer.
    Lfs(PointedData),
    /// A pointer of git-annex.
    Annex(PointedData),
    /// A file of DVC, and the data that it describes.
    Dvc {
        /// The file.
        file: String,
        /// The data.
        data: Vec<PointedData>,
    },
    /// Another repository, which is not included.
    Submodule(String),
    /// A link that leads out of what a training run gets, or to a path that the commit does not have.
    Link {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
}

impl StandIn {
    /// Returns the data that it points at.
    pub fn into_pointed(self) -> Vec<PointedData> {
        match self {
            Self::Lfs(data) | Self::Annex(data) => vec![data],
            Self::Dvc { data, .. } => data,
            Self::Submodule(_) | Self::Link { .. } => Vec::new(),
        }
    }
}

impl fmt::Display for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lfs(data) => write!(f, "{} is a Git LFS pointer: the training run gets the pointer", data.path),
            Self::Annex(data) => write!(f, "{} is a git-annex pointer: the training run gets the pointer", data.path),
            Self::Dvc { file, .. } => write!(f, "{file} is a file of DVC: the training run gets no data of it"),
            Self::Submodule(path) => write!(f, "{path} is a submodule, which is not included"),
            Self::Link { path, target } => write!(f, "{path} links to {target}, which is not included"),
        }
    }
}

/// What stands in for content below folders, remembered by the ids of the root and of the folder.
pub(super) type Known = HashMap<String, Arc<Vec<StandIn>>>;

impl GitRepository {
    /// Finds what stands in for content among the watched paths of a commit. Files of DVC do not count: code that
    /// reads them is as good as any. A look at many files ends before all of them were looked at.
    pub fn watched_stand_ins(&self, commit: &ObjectId, watched: &Watched) -> Result<Vec<StandIn>, GitError> {
        let selector = Selector::new(watched)?;
        let repo = self.repo();
        let root = tree_id(&repo, commit)?;
        let mut found = Vec::new();
        let mut left = LOOKED_AT;
        // Globs name single files; their walk is the same as that of the watched entries.
        let walks = selector.all || !selector.is_plain();
        if walks {
            let mut budget = Budget::new("list the watched files");
            self.once_bounded(root, || {
                walk(&repo, root, &mut budget, &mut |folder| selector.may_contain(folder), &mut |path, mode, id| {
                    if selector.covers(path) {
                        found.extend(stand_in(&repo, path, mode, id, &mut left, false)?);
                    }
                    Ok(())
                })
            })?;
            return left_out(&repo, root, &selector, "", found);
        }
        for literal in &selector.literals {
            let Some(entry) = lookup(&repo, root, literal)? else { continue };
            if entry.is_folder() {
                found.extend(self.below(&repo, literal, entry.id, &mut left, false)?);
            } else {
                let one = stand_in(&repo, literal.as_bytes(), entry.mode, entry.id, &mut left, false)?;
                found.extend(one);
            }
        }
        left_out(&repo, root, &selector, "", found)
    }

    /// Finds what stands in for content in a folder of data that Git tracks, or in one file of data. Complete: data are
    /// right only where every file of them is.
    pub fn data_stand_ins(&self, commit: &ObjectId, path: &str) -> Result<Vec<StandIn>, GitError> {
        let repo = self.repo();
        let root = tree_id(&repo, commit)?;
        let path = plain(path);
        let Some(entry) = lookup(&repo, root, path)?.filter(|entry| entry.is_folder()) else { return Ok(Vec::new()) };
        let mut all = usize::MAX;
        let found = self.below(&repo, path, entry.id, &mut all, true)?;
        let selector = Selector::new(&Watched::Paths(vec![path.to_owned()]))?;
        left_out(&repo, root, &selector, path, found)
    }

    /// Tells whether data of a commit hold a byte: a folder that only keeps its place does not, with empty files or with
    /// files of Git's own such as `.gitkeep` and `.gitignore`.
    pub fn holds_content(&self, commit: &ObjectId, path: &str) -> Result<bool, GitError> {
        let repo = self.repo();
        let root = tree_id(&repo, commit)?;
        let path = plain(path);
        let Some(entry) = lookup(&repo, root, path)?.filter(|entry| entry.is_folder()) else { return Ok(true) };
        // The first byte ends the look: no folder is entered after it.
        let holds = Cell::new(false);
        let mut budget = Budget::new("look at the files of a folder");
        walk(&repo, entry.id, &mut budget, &mut |_| !holds.get(), &mut |path, _, id| {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
            if !holds.get() && !name.starts_with(b".git") {
                // What cannot be looked at, such as a file of a partial clone, counts as content.
                let size = repo.odb().and_then(|odb| odb.read_header(id)).map_or(1, |(size, _)| size);
                holds.set(size > 0);
            }
            Ok(())
        })?;
        Ok(holds.get())
    }

    fn below(
        &self,
        repo: &Repository,
        folder: &str,
        id: Oid,
        left: &mut usize,
        is_data: bool,
    ) -> Result<Vec<StandIn>, GitError> {
        let key = format!("{id} {is_data} {folder}");
        if let Some(known) = self.stand_ins().get(&key) {
            return Ok(known.as_ref().clone());
        }
        let mut found = Vec::new();
        let mut budget = Budget::new("look at the files of a folder");
        self.once_bounded(id, || {
            walk(repo, id, &mut budget, &mut |_| true, &mut |path, mode, id| {
                let whole = [folder.as_bytes(), b"/", path].concat();
                let whole = if folder.is_empty() { path } else { whole.as_slice() };
                found.extend(stand_in(repo, whole, mode, id, left, is_data)?);
                Ok(())
            })
        })?;
        let mut known = self.stand_ins();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, Arc::new(found.clone()));
        Ok(found)
    }
}

/// Keeps of the links only those that lead to nothing in the checkout: what the checkout itself would say of them.
fn left_out(
    repo: &Repository,
    root: Oid,
    selector: &Selector,
    above: &str,
    mut found: Vec<StandIn>,
) -> Result<Vec<StandIn>, GitError> {
    if found.iter().any(|one| matches!(one, StandIn::Link { .. })) {
        let layout = checkout::layout(repo, root, selector, above)?;
        found.retain(|one| match one {
            StandIn::Link { path, .. } => !layout.is_there(checkout::below(path.as_bytes(), above.as_bytes())),
            StandIn::Lfs(_) | StandIn::Annex(_) | StandIn::Dvc { .. } | StandIn::Submodule(_) => true,
        });
    }
    Ok(found)
}

/// Tells what a file is in place of content. Every link is one here: where it leads depends on what else is there.
fn stand_in(
    repo: &Repository,
    path: &[u8],
    mode: i32,
    id: Oid,
    left: &mut usize,
    is_data: bool,
) -> Result<Option<StandIn>, GitError> {
    let shown = String::from_utf8_lossy(path).into_owned();
    match mode {
        SUBMODULE => return Ok(Some(StandIn::Submodule(shown))),
        SYMLINK => {
            let target = String::from_utf8_lossy(&blob(repo, id, &shown)?).into_owned();
            return Ok(Some(StandIn::Link { path: shown, target }));
        }
        _ => {}
    }
    if is_data && is_dvc_file(&shown) && !shown.ends_with("dvc.lock") {
        let data = dvc_data(repo, id, &shown)?;
        return Ok(Some(StandIn::Dvc { file: shown, data }));
    }
    if *left == 0 {
        return Ok(None);
    }
    *left -= 1;
    let content = small_blob(repo, id, LFS_LIMIT, &shown)?;
    let Some(bytes) = content else { return Ok(None) };
    if let Some(annex) = annex_pointer(&bytes) {
        return Ok(Some(StandIn::Annex(annex_data(&shown, annex))));
    }
    Ok(lfs_pointer(&bytes).map(|lfs| StandIn::Lfs(lfs_data(&shown, lfs.sha256, lfs.size))))
}
