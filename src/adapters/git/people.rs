//! What the repository's configuration says of people and of the host: who works here, and the default branch.

use crate::adapters::git::GitRepository;
use crate::adapters::git::trust;
use crate::model::git::BranchName;

impl GitRepository {
    /// Returns `user.name`, as Git itself would put it on a commit. Foreign text.
    pub fn user_name(&self) -> Option<String> {
        let config = self.repo().config().ok();
        let read = config.and_then(|config| config.get_string("user.name").ok()).filter(|name| !name.is_empty());
        // Git also reads files and variables that libgit2 does not know.
        read.or_else(|| trust::config_value(self.git_dir(), "user.name"))
    }

    /// Tells whether the repository came from somewhere: whether it has an `origin`.
    pub fn has_origin(&self) -> bool {
        self.repo().find_remote("origin").is_ok()
    }

    /// Returns the branch that `origin` calls its default one, where a clone recorded it.
    pub fn default_branch(&self) -> Option<BranchName> {
        let repo = self.repo();
        let head = repo.find_reference("refs/remotes/origin/HEAD").ok()?;
        let target = head.symbolic_target_bytes()?;
        let name = String::from_utf8_lossy(target).into_owned();
        BranchName::parse(name.strip_prefix("refs/remotes/origin/")?).ok()
    }
}
