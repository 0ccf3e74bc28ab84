//! What the repository's configuration says of people: who works here.

use crate::adapters::git::GitRepository;

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
}
