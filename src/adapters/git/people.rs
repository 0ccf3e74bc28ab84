//! What the repository's configuration says of people: who works here.

use crate::adapters::git::GitRepository;
use crate::adapters::git::trust;

impl GitRepository {
    /// Returns `user.name`, as Git itself would put it on a commit. Foreign text.
    pub fn user_name(&self) -> Option<String> {
        // Git also reads files and variables that libgit2 does not know, and those count before the others.
        trust::config_value(self.git_dir(), "user.name").or_else(|| {
            let config = self.repo().config().ok()?;
            config.get_string("user.name").ok().filter(|name| !name.is_empty())
        })
    }

    /// Tells whether the repository came from somewhere: whether it has an `origin`.
    pub fn has_origin(&self) -> bool {
        self.repo().find_remote("origin").is_ok()
    }

    /// Names a remote, where there is one: any of them shows that somebody checked it out from somewhere.
    pub fn any_remote(&self) -> Option<String> {
        let remotes = self.repo().remotes().ok()?;
        remotes.iter_bytes().next().map(|name| String::from_utf8_lossy(name).into_owned())
    }
}
