//! What a local training is made of, taken from Git: the checkout of the watched paths, and data in Git.

use crate::adapters::git::GitRepository;
use std::sync::Arc;

/// Takes source and data for trainings from one repository.
pub struct GitMaterial {
    git: Arc<GitRepository>,
}

impl GitMaterial {
    /// Makes one for a repository.
    pub fn new(git: Arc<GitRepository>) -> Self {
        Self { git }
    }
}
