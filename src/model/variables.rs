//! The environment variables of the CI host: every name that this program knows, with its meaning, once.
//!
//! The names follow GitHub's "Variables reference" and the sources of `actions/runner`. Whoever needs a variable
//! names the constant and asks a look-up that it was handed. Deliberately absent: reading the environment
//! (`cli::env_vars`), and the variables that training gets (`adapters::local::contract`). Also absent on purpose:
//! the files for environment, path and state, to which nothing is ever written.

/// One variable of the CI host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

macro_rules! variables {
    ($($name:ident: $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: &str = stringify!($name);)*

        /// All of them, in alphabetical order.
        pub const VARIABLES: &[Variable] = &[$(Variable { name: $name, meaning: $meaning }),*];
    };
}

variables! {
    ACTIONS_ALLOW_UNSECURE_COMMANDS: "Set by somebody who wants the old commands back with which a printed line can set variables. We warn.";
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: "What a request for an identity token is authorised with. There with `permissions: id-token: write`.";
    ACTIONS_ID_TOKEN_REQUEST_URL: "Where the job asks for an identity token of its own. There with `permissions: id-token: write`.";
    GITHUB_ACTIONS: "`true` on GitHub Actions.";
    GITHUB_ACTOR: "Who caused the event.";
    GITHUB_API_URL: "The address of the API, such as `https://api.github.com` or `https://HOST/api/v3`.";
    GITHUB_BASE_REF: "The branch that a pull request goes into. Only on its events.";
    GITHUB_EVENT_NAME: "The event, such as `push`.";
    GITHUB_EVENT_PATH: "The file with the event's payload.";
    GITHUB_HEAD_REF: "The branch of a pull request. Only on its events.";
    GITHUB_JOB: "The id of the job in its workflow.";
    GITHUB_OUTPUT: "The file to which a step appends its outputs.";
    GITHUB_REF: "The full reference, such as `refs/heads/dev`.";
    GITHUB_REF_NAME: "The short name of the reference.";
    GITHUB_REF_TYPE: "`branch` or `tag`.";
    GITHUB_REPOSITORY: "`owner/name`.";
    GITHUB_REPOSITORY_ID: "The host's number of the repository, which survives a rename.";
    GITHUB_RUN_ATTEMPT: "Which attempt of the run this is, from 1.";
    GITHUB_RUN_ID: "The run: the same over re-runs.";
    GITHUB_SERVER_URL: "Such as `https://github.com`.";
    GITHUB_SHA: "The commit of a push; on pull requests a test merge; on most other events the head of the default branch.";
    GITHUB_STEP_SUMMARY: "The file to which a step appends Markdown for the page of the run.";
    GITHUB_TOKEN: "The token for checks, statuses and comments. The Action sets it; the runner does not.";
    GITHUB_TRIGGERING_ACTOR: "Who started this attempt, which differs on a re-run.";
    GITHUB_WORKFLOW_REF: "`owner/name/<path of the workflow file>@<reference>`.";
    GITHUB_WORKSPACE: "The folder of the checkout, which the next job clears.";
    RUNNER_DEBUG: "`1` where somebody asked for debug logging.";
    RUNNER_ENVIRONMENT: "`github-hosted` or `self-hosted`.";
    RUNNER_TEMP: "A folder that the runner clears with each job.";
}

/// The variables that may hold a secret of this process. No program that this one starts gets them: its environment can
/// be read by every process of the same user.
pub const SECRETS: &[&str] = &[
    GITHUB_TOKEN,
    "GH_TOKEN",
    ACTIONS_ID_TOKEN_REQUEST_TOKEN,
    "ACTIONS_RUNTIME_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_says_something() {
        assert!(VARIABLES.is_sorted_by(|a, b| a.name < b.name), "keep the table in alphabetical order");
        assert!(VARIABLES.iter().all(|variable| variable.meaning.ends_with('.')));
    }
}
