//! Every environment variable that the program itself reads, in one place.
//!
//! Variables of the CI host are listed in `event::RunnerVariables`; those that training gets, in
//! `adapters::local::contract`.

/// Where the local backend keeps its registry, artifacts and trainings, instead of `.branchline/` in the main
/// working tree.
pub const HOME: &str = "BRANCHLINE_HOME";

/// Set by nearly every CI host. Then rules come from the default branch and not from the pushed commit.
pub const CI: &str = "CI";

/// Set by GitHub Actions.
pub const GITHUB_ACTIONS: &str = "GITHUB_ACTIONS";

/// GitHub's name of the event.
pub const GITHUB_EVENT_NAME: &str = "GITHUB_EVENT_NAME";

/// GitHub's file with the event's payload.
pub const GITHUB_EVENT_PATH: &str = "GITHUB_EVENT_PATH";

/// Returns a variable that is set, not empty, and text.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
