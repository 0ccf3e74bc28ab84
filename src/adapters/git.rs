//! Facts from a Git repository, read with libgit2.
