//! What goes wrong on the way: how often a request is sent, how long is waited, and what is said in the end.

use super::branch;
use super::connect;
use super::settings;
use super::sha;
use super::told;
use crate::world::github::Act;
use crate::world::github::GitHubWorld;
use branchline::ports::Forge;
use branchline::ports::PortErrorKind;
use branchline::ports::StatusReport;
use branchline::ports::StatusState;
use std::time::Duration;

const REF: &str = "/git/ref/{ref}";

fn world() -> GitHubWorld {
    let world = GitHubWorld::new();
    world.with(|state| {
        state.branches.insert("main".to_owned(), sha('1'));
        state.commits.insert(sha('1'));
    });
    world
}

fn status() -> StatusReport {
    StatusReport {
        commit: sha('1'),
        context: "branchline".to_owned(),
        state: StatusState::Success,
        description: "x".to_owned(),
        target_url: None,
    }
}

#[tokio::test]
async fn a_read_is_tried_again_after_each_kind_of_trouble() {
    for trouble in [Act::Html(502), Act::Answer(500, "oops"), Act::HalfBody, Act::Reset, Act::LoseAnswer] {
        let world = world();
        world.next("GET", "/git/ref/", trouble);
        let (forge, waits) = connect(settings(&world)).await;
        assert_eq!(forge.branch_head(&branch("main")).await.expect("read"), Some(sha('1')));
        assert_eq!(world.count("GET", REF), 2);
        assert_eq!(waits.count(), 1);
        world.finish();
    }
}

#[tokio::test]
async fn a_service_that_is_down_is_given_up_after_four_tries() {
    let world = world();
    (0..4).for_each(|_| world.next("GET", "/git/ref/", Act::Html(502)));
    let (forge, waits) = connect(settings(&world)).await;
    let error = forge.branch_head(&branch("main")).await.expect_err("down");
    assert_eq!(error.kind, PortErrorKind::Network);
    assert!(error.kind.may_pass());
    let text = told(&error);
    assert!(text.contains("could not read the head of branch main") && text.contains("502"), "{text}");
    assert_eq!((world.count("GET", REF), waits.count()), (4, 3));
    world.finish();
}

#[tokio::test]
async fn a_hang_ends() {
    let world = world();
    world.next("GET", "/git/ref/", Act::Hang);
    let mut settings = settings(&world);
    settings.time_limits.total = Duration::from_secs(3);
    let (forge, _) = connect(settings).await;
    assert_eq!(forge.branch_head(&branch("main")).await.expect("read"), Some(sha('1')));
    assert_eq!(world.count("GET", REF), 2);
    world.finish();
}

#[tokio::test]
async fn a_write_is_looked_for_before_it_is_sent_again() {
    for (trouble, sent) in [
        (Act::LoseAnswer, 1),
        (Act::HalfBody, 1),
        (Act::Reset, 2),
        (Act::Html(502), 2),
        (Act::Answer(503, "unavailable"), 2),
    ] {
        let world = world();
        world.next("POST", "/statuses/", trouble);
        let (forge, _) = connect(settings(&world)).await;
        forge.put_status(&status()).await.expect("written");
        assert_eq!(world.with(|state| state.statuses.len()), 1);
        assert_eq!(world.count("POST", "/statuses/{sha}"), sent);
        assert_eq!(world.count("GET", "/commits/{ref}/status"), 2);
        world.finish();
    }
}

#[tokio::test]
async fn a_write_that_never_lands_is_given_up() {
    let world = world();
    (0..4).for_each(|_| world.next("POST", "/statuses/", Act::Reset));
    let (forge, _) = connect(settings(&world)).await;
    let error = forge.put_status(&status()).await.expect_err("never");
    assert_eq!(error.kind, PortErrorKind::Network);
    assert_eq!(world.count("POST", "/statuses/{sha}"), 4);
    assert_eq!(world.with(|state| state.statuses.len()), 0);
    world.finish();
}

#[tokio::test]
async fn limits_are_waited_for_as_github_asks() {
    let world = world();
    let (forge, waits) = connect(settings(&world)).await;
    world.next("GET", "/git/ref/", Act::TooMany(7));
    forge.branch_head(&branch("main")).await.expect("read");
    // Used up until 30 s from now, on the server's clock.
    let reset = super::NOW.parse::<jiff::Timestamp>().expect("a timestamp").as_second() + 30;
    world.next("GET", "/git/ref/", Act::Exhausted(reset));
    forge.branch_head(&branch("main")).await.expect("read");
    // A secondary limit that does not say: a minute.
    world.next("GET", "/git/ref/", Act::Secondary);
    forge.branch_head(&branch("main")).await.expect("read");
    assert_eq!(waits.seconds(), [7, 31, 60]);
    assert_eq!(world.count("GET", REF), 6);
    // A write that was limited did not land: it is sent again without a look.
    world.next("POST", "/statuses/", Act::TooMany(3));
    forge.put_status(&status()).await.expect("written");
    assert_eq!(world.count("GET", "/commits/{ref}/status"), 1);
    assert_eq!(world.with(|state| state.statuses.len()), 1);
    world.finish();
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_an_error_that_says_until_when() {
    let world = world();
    let (forge, waits) = connect(settings(&world)).await;
    let reset = super::NOW.parse::<jiff::Timestamp>().expect("a timestamp").as_second() + 1800;
    world.next("GET", "/git/ref/", Act::Exhausted(reset));
    let error = forge.branch_head(&branch("main")).await.expect_err("too long");
    assert_eq!(error.kind, PortErrorKind::Throttling);
    let text = told(&error);
    assert!(text.contains("after 08:30:01 UTC") && text.contains("API rate limit exceeded"), "{text}");
    assert_eq!((world.count("GET", REF), waits.count()), (1, 0));
    // Limited again and again: two minutes at most, then it is said.
    (0..3).for_each(|_| world.next("GET", "/git/ref/", Act::Secondary));
    let error = forge.branch_head(&branch("main")).await.expect_err("limited");
    assert_eq!(error.kind, PortErrorKind::Throttling);
    assert_eq!(waits.seconds(), [60, 120]);
    world.finish();
}

#[tokio::test]
async fn a_no_is_said_once_with_github_s_words() {
    let world = world();
    world.next("GET", "/git/ref/", Act::Answer(418, "I'm a teapot\n::error::x"));
    let (forge, waits) = connect(settings(&world)).await;
    let error = forge.branch_head(&branch("main")).await.expect_err("no");
    let text = told(&error);
    assert!(text.contains("GitHub answered 418 \"I'm a teapot ::error::x\", see https://docs.github.com"), "{text}");
    assert!(!text.contains('\n'));
    assert_eq!((world.count("GET", REF), waits.count()), (1, 0));
    world.finish();
}

#[tokio::test]
async fn nobody_there_is_an_error_of_the_network() {
    let world = world();
    let mut settings = settings(&world);
    // A port that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    settings.api_url = format!("http://127.0.0.1:{port}");
    let (forge, waits) = connect(settings).await;
    let error = forge.branch_head(&branch("main")).await.expect_err("nobody");
    assert_eq!(error.kind, PortErrorKind::Network);
    assert!(told(&error).to_lowercase().contains("refused"), "{}", told(&error));
    assert_eq!(waits.count(), 3);
    world.finish();
}
