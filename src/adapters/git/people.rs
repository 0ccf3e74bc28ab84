//! What the repository's configuration says of people and of the host: who works here, and the default branch.

use crate::adapters::git::GitRepository;
use crate::model::git::BranchName;

impl GitRepository {
    /// Returns `user.name`, as Git itself would put it on a commit. Foreign text.
    pub fn user_name(&self) -> Option<String> {
        let config = self.repo().config().ok()?;
        config.get_string("user.name").ok().filter(|name| !name.is_empty())
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
        let name = std::str::from_utf8(target).ok()?;
        BranchName::parse(name.strip_prefix("refs/remotes/origin/")?).ok()
    }
}
