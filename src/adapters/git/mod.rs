//! Facts from a Git repository, read with libgit2: commits, branches, watched paths, differences, merges, and a
//! checkout that holds only what a model watches.
//!
//! Deliberately absent: the network (nothing is fetched; `origin` is only asked which branch is its default one), the
//! environment (`GIT_DIR` and its relatives are not read), and any write to the repository: trees of merges are made in
//! memory. What a shallow, partial, foreign or exotic repository cannot tell is an error or a stated reason, never a
//! guess. Types of git2 stay in this folder.

mod branches;
mod changes;
mod checkout;
mod commits;
mod error;
mod files;
mod folders;
mod index;
mod links;
mod merge;
mod near;
mod open;
mod origin;
mod people;
mod pointer;
mod remote;
mod stand_ins;
mod tree;
mod trust;
mod uncommitted;
mod watch;
mod yaml;

pub use branches::Head;
pub use branches::Heads;
pub use changes::Differing;
pub use changes::PathChange;
pub use checkout::CheckedOut;
pub use checkout::CheckoutNote;
pub use commits::CommitInfo;
pub use commits::History;
pub use commits::HistoryEnd;
pub use error::GitError;
pub use error::MissingPath;
pub use error::Unsupported;
pub use error::WatchError;
pub use error::WhyUnknown;
pub use files::Coverage;
pub use files::NextCommit;
pub use merge::MergeBase;
pub use merge::Merged;
pub use open::GitRepository;
pub use origin::OriginError;
pub use pointer::Pointer;
pub use pointer::PointerHash;
pub use remote::normalise_remote;
pub use stand_ins::StandIn;
pub use tree::ObjectKind;
pub use tree::TrackedBy;
pub use tree::TreeObject;
pub use uncommitted::ChangedFile;
pub use uncommitted::Uncommitted;
