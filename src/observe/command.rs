//! The files of a commit, as a command is judged by them.

use crate::adapters::git::GitRepository;
use crate::adapters::git::ObjectKind;
use crate::model::command::FileKind;
use crate::model::command::Files;
use crate::model::git::CommitSha;
use crate::model::identity::WatchedEntry;

/// Largest file that is read to judge a command, in bytes: a project file, never data.
const MAX_TEXT: usize = 1 << 20;

/// A commit, and what of it a model watches.
pub(super) struct AtCommit<'a> {
    pub(super) git: &'a GitRepository,
    pub(super) commit: &'a CommitSha,
    pub(super) entries: &'a [WatchedEntry],
}

impl Files for AtCommit<'_> {
    /// What Git cannot tell counts as there: a read that failed must not stop a training run.
    fn kind(&self, path: &str) -> Option<FileKind> {
        match self.git.tree_object(self.commit, path) {
            Ok(Some(object)) if object.kind == ObjectKind::Folder => Some(FileKind::Folder),
            Ok(Some(_)) | Err(_) => Some(FileKind::File),
            Ok(None) => None,
        }
    }

    fn is_watched(&self, path: &str) -> bool {
        self.entries.iter().any(|entry| {
            entry.path.is_empty()
                || path.strip_prefix(entry.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    fn text(&self, path: &str) -> Option<String> {
        let bytes = self.git.read_file(self.commit, path).ok().flatten().filter(|bytes| bytes.len() <= MAX_TEXT)?;
        String::from_utf8(bytes).ok()
    }
}
