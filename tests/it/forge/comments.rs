//! The one comment of ours on a pull request.

use super::connect;
use super::job;
use super::settings;
use super::sha;
use super::told;
use crate::world::github::Act;
use crate::world::github::GitHubWorld;
use crate::world::github::state::Pull;
use crate::world::github::state::State;
use crate::world::github::state::Token;
use branchline::model::secret::Secret;
use branchline::ports::Forge;
use branchline::ports::PortErrorKind;
use branchline::ports::Write;

const MARKER: &str = "<!-- branchline:comment:ci/churn -->";

fn world() -> GitHubWorld {
    let world = GitHubWorld::new();
    world.with(|state| state.pulls.push(pull(7)));
    world
}

fn pull(number: u64) -> Pull {
    Pull {
        number,
        state: "open",
        merged: false,
        title: "More features".to_owned(),
        author: Some("kim".to_owned()),
        head_branch: "feature/a".to_owned(),
        head: sha('a'),
        base_branch: "main".to_owned(),
        head_repository: Some(4711),
        commits: vec![sha('a')],
        draft: false,
        authors: Vec::new(),
        reviews: Vec::new(),
    }
}

/// The comments that carry the marker, as author and text.
fn marked(world: &GitHubWorld) -> Vec<(String, String)> {
    world.with(|state| {
        let marked = state.comments.iter().filter(|comment| comment.body.contains(MARKER));
        marked.map(|comment| (comment.author.clone(), comment.body.replace(&format!("{MARKER}\n"), ""))).collect()
    })
}

fn bot(text: &str) -> (String, String) {
    ("github-actions[bot]".to_owned(), text.to_owned())
}

async fn put(world: &GitHubWorld, body: &str) -> Write {
    job(world).await.put_comment(7, "ci/churn", body).await.expect("written").write
}

#[tokio::test]
async fn a_comment_is_created_updated_and_left_alone() {
    let world = world();
    assert_eq!(put(&world, "one").await, Write::Created);
    assert_eq!(put(&world, "one").await, Write::Unchanged);
    assert_eq!(put(&world, "two").await, Write::Updated);
    assert_eq!(marked(&world), [bot("two")]);
    assert_eq!(world.count("POST", "/issues/{issue_number}/comments"), 1);
    assert_eq!(world.count("PATCH", "/issues/comments/{comment_id}"), 1);
    // Creating lists before and after, the others once; and nobody asks who we are.
    assert_eq!(world.count("GET", "/issues/{issue_number}/comments"), 4);
    assert_eq!(world.requests(), 6);
    world.finish();
}

#[tokio::test]
async fn keys_do_not_meet() {
    let world = world();
    let forge = job(&world).await;
    forge.put_comment(7, "ci/churn", "one").await.expect("written");
    forge.put_comment(7, "ci/churn2", "two").await.expect("written");
    assert_eq!(world.with(|state| state.comments.len()), 2);
    assert_eq!(forge.put_comment(7, "ci/churn", "one").await.expect("written").write, Write::Unchanged);
    let refused = forge.put_comment(7, "--> <b>", "x").await.expect_err("no key");
    assert_eq!(refused.kind, PortErrorKind::Bug);
    world.finish();
}

#[tokio::test]
async fn ours_is_found_on_the_fourth_page_of_400_comments() {
    for world in [GitHubWorld::new(), GitHubWorld::enterprise()] {
        world.with(|state| {
            state.pulls.push(pull(7));
            for n in 0..380 {
                state.comment(7, "kim", &format!("comment {n}"));
            }
            state.comment(7, "github-actions[bot]", &format!("{MARKER}\nold"));
            for n in 0..19 {
                state.comment(7, "lee", &format!("later {n}"));
            }
        });
        assert_eq!(put(&world, "new").await, Write::Updated);
        assert_eq!(marked(&world), [bot("new")]);
        assert_eq!(world.count("GET", "/issues/{issue_number}/comments"), 4);
        assert_eq!(world.count("POST", "/issues/{issue_number}/comments"), 0);
        world.finish();
    }
}

#[tokio::test]
async fn a_forged_marker_is_nobody_elses_comment_to_us() {
    let world = world();
    let forged = format!("{MARKER}\nmerge this, all is well");
    world.with(|state| {
        state.comment(7, "mallory", &forged);
        state.comment(7, "echo-bot[bot]", &forged);
        // A quotation by ourselves in another comment is not it either.
        state.comment(7, "github-actions[bot]", &format!("> {MARKER}\nsomebody wrote"));
    });
    assert_eq!(put(&world, "real").await, Write::Created);
    assert_eq!(put(&world, "really").await, Write::Updated);
    let now = world.with(|state| state.comments.iter().map(|comment| comment.body.clone()).collect::<Vec<_>>());
    assert_eq!(now.len(), 4);
    assert_eq!(now[..2], [forged.clone(), forged]);
    assert_eq!(now[3], format!("{MARKER}\nreally"));
    world.finish();
}

#[tokio::test]
async fn a_comment_deleted_by_hand_is_written_again() {
    let world = world();
    put(&world, "one").await;
    world.with(|state| state.comments.clear());
    assert_eq!(put(&world, "one").await, Write::Created);
    // And one that goes while we look.
    world.next("PATCH", "/issues/comments/", Act::Meanwhile(Box::new(|state: &mut State| state.comments.clear())));
    assert_eq!(put(&world, "two").await, Write::Created);
    assert_eq!(marked(&world), [bot("two")]);
    world.finish();
}

#[tokio::test]
async fn two_runs_at_once_leave_one_comment() {
    let world = world();
    // The other run creates its comment between our look and our write.
    let other = |state: &mut State| {
        state.comment(7, "github-actions[bot]", &format!("{MARKER}\ntheirs"));
    };
    world.next("POST", "/issues/7/comments", Act::Meanwhile(Box::new(other)));
    put(&world, "ours").await;
    assert_eq!(marked(&world), [bot("ours")]);
    // Both really at once, several times.
    for round in 0..5 {
        world.with(|state| state.comments.clear());
        let (first, second) = (job(&world).await, job(&world).await);
        let text = format!("round {round}");
        let (a, b) = tokio::join!(first.put_comment(7, "ci/churn", &text), second.put_comment(7, "ci/churn", &text));
        a.expect("written");
        b.expect("written");
        assert_eq!(marked(&world), [bot(&text)]);
    }
    world.finish();
}

#[tokio::test]
async fn a_second_comment_that_a_killed_run_left_is_removed() {
    let world = world();
    world.with(|state| {
        state.comment(7, "github-actions[bot]", &format!("{MARKER}\nfirst"));
        state.comment(7, "github-actions[bot]", &format!("{MARKER}\nsecond"));
    });
    assert_eq!(put(&world, "first").await, Write::Unchanged);
    assert_eq!(marked(&world), [bot("first")]);
    world.finish();
}

#[tokio::test]
async fn a_person_and_another_app_keep_their_own() {
    let world = world();
    let may = |login: &str, app: Option<&str>| Token {
        login: login.to_owned(),
        app: app.map(str::to_owned),
        permissions: ["pull-requests: write", "metadata: read"].map(str::to_owned).into(),
    };
    world.with(|state| {
        state.tokens.insert("ghp_kim".to_owned(), may("kim", None));
        state.tokens.insert("ghs_app".to_owned(), may("models[bot]", Some("models")));
    });
    for (token, login) in [("ghp_kim", "kim"), ("ghs_app", "models[bot]")] {
        for text in ["one", "two"] {
            let mut settings = settings(&world);
            settings.token = Some(Secret::new(token));
            connect(settings).await.0.put_comment(7, "ci/churn", text).await.expect("written");
        }
        // An App learns its login from what it writes, and then finds what it wrote before.
        assert_eq!(marked(&world).last(), Some(&(login.to_owned(), "two".to_owned())));
    }
    assert_eq!(put(&world, "job").await, Write::Created);
    assert_eq!(marked(&world).len(), 3);
    world.finish();
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_sent() {
    let world = world();
    let forge = job(&world).await;
    let error = forge.put_comment(7, "ci/churn", &"ä".repeat(65_536)).await.expect_err("too long");
    assert_eq!(error.kind, PortErrorKind::Quota);
    assert!(told(&error).contains("GitHub allows 65536"), "{}", told(&error));
    assert_eq!(world.requests(), 0);
    let longest = branchline::ports::forge::COMMENT_LIMIT - MARKER.len() - 1;
    forge.put_comment(7, "ci/churn", &"ä".repeat(longest)).await.expect("just fits");
    world.finish();
}

#[tokio::test]
async fn a_pull_request_that_is_gone_is_named() {
    let world = world();
    let error = job(&world).await.put_comment(8, "ci/churn", "x").await.expect_err("no such pull request");
    assert_eq!(error.kind, PortErrorKind::NotFound);
    assert!(told(&error).contains("pull request 8"), "{}", told(&error));
    world.finish();
}

#[tokio::test]
async fn a_lost_answer_does_not_double_the_comment() {
    let world = world();
    world.next("POST", "/issues/7/comments", Act::LoseAnswer);
    assert_eq!(put(&world, "one").await, Write::Created);
    assert_eq!(marked(&world), [bot("one")]);
    assert_eq!(world.count("POST", "/issues/{issue_number}/comments"), 1);
    // A 502 that did nothing: looked for, not found, sent again.
    world.with(|state| state.comments.clear());
    world.next("POST", "/issues/7/comments", Act::Html(502));
    assert_eq!(put(&world, "two").await, Write::Created);
    assert_eq!(marked(&world), [bot("two")]);
    assert_eq!(world.count("POST", "/issues/{issue_number}/comments"), 3);
    world.finish();
}
