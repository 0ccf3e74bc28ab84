//! Commit statuses.

use super::job;
use super::sha;
use super::told;
use crate::world::github::Act;
use crate::world::github::GitHubWorld;
use branchline::ports::Forge;
use branchline::ports::PortErrorKind;
use branchline::ports::StatusReport;
use branchline::ports::StatusState;
use branchline::ports::Write;

fn report(state: StatusState, description: &str) -> StatusReport {
    StatusReport {
        commit: sha('a'),
        context: "branchline".to_owned(),
        state,
        description: description.to_owned(),
        target_url: Some("https://github.example.com/acme/churn/actions/runs/1".to_owned()),
    }
}

fn world() -> GitHubWorld {
    let world = GitHubWorld::new();
    world.with(|state| state.push(sha('a')));
    world
}

#[tokio::test]
async fn a_status_is_written_when_it_says_something_new() {
    let world = world();
    let forge = job(&world).await;
    let pending = report(StatusState::Pending, "training");
    assert_eq!(forge.put_status(&pending).await.expect("written").write, Write::Created);
    assert_eq!(forge.put_status(&pending).await.expect("written").write, Write::Unchanged);
    // GitHub takes contexts of another case for the same.
    let mut done = report(StatusState::Success, "trained");
    done.context = "Branchline".to_owned();
    assert_eq!(forge.put_status(&done).await.expect("written").write, Write::Updated);
    let found = forge.find_status(&sha('a'), "branchline").await.expect("read").expect("a status");
    assert_eq!((found.state, found.description.as_str()), (StatusState::Success, "trained"));
    assert!(forge.find_status(&sha('a'), "other").await.expect("read").is_none());
    assert_eq!(world.count("POST", "/statuses/{sha}"), 2);
    world.finish();
}

#[tokio::test]
async fn a_lost_answer_does_not_double_the_status() {
    let world = world();
    world.next("POST", "/statuses/", Act::LoseAnswer);
    job(&world).await.put_status(&report(StatusState::Failure, "no")).await.expect("written");
    assert_eq!(world.with(|state| state.statuses.len()), 1);
    assert_eq!(world.count("POST", "/statuses/{sha}"), 1);
    world.finish();
}

#[tokio::test]
async fn a_long_description_and_an_unknown_commit_are_refused() {
    let world = world();
    let forge = job(&world).await;
    let error = forge.put_status(&report(StatusState::Success, &"x".repeat(141))).await.expect_err("too long");
    assert_eq!(error.kind, PortErrorKind::Quota);
    assert_eq!(world.requests(), 0);
    forge.put_status(&report(StatusState::Success, &"ä".repeat(140))).await.expect("just fits");
    let mut unknown = report(StatusState::Success, "x");
    unknown.commit = sha('b');
    let error = forge.put_status(&unknown).await.expect_err("no such commit");
    assert_eq!(error.kind, PortErrorKind::NotFound);
    world.with(|state| {
        state.tokens.get_mut("ghs_job").expect("a token").permissions.remove("statuses: write");
    });
    let error = forge.put_status(&report(StatusState::Error, "x")).await.expect_err("may not");
    assert!(told(&error).contains("`statuses: write`"), "{}", told(&error));
    world.finish();
}
