//! Every environment variable that the program itself reads, in one place.
//!
//! The names of the CI host's variables, with their meanings, are the table `model::variables`, because events and
//! adapters need them too; they are read here all the same. Those that training gets are in
//! `adapters::local::contract`.

pub use crate::model::variables::GITHUB_ACTIONS;
pub use crate::model::variables::GITHUB_EVENT_NAME;
pub use crate::model::variables::GITHUB_EVENT_PATH;

/// Where the local backend keeps its registry, artifacts and trainings, instead of `.branchline/` in the main
/// working tree.
pub const HOME: &str = "BRANCHLINE_HOME";

/// Set by nearly every CI host. Then rules come from the default branch and not from the pushed commit.
pub const CI: &str = "CI";

/// Returns a variable that is set, not empty, and text.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
