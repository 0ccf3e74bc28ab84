//! Check runs.

use super::connect;
use super::job;
use super::settings;
use super::sha;
use super::told;
use crate::world::github::Act;
use crate::world::github::GitHubWorld;
use crate::world::github::state::CheckRun;
use crate::world::github::state::State;
use crate::world::github::state::Token;
use branchline::model::secret::Secret;
use branchline::ports::Annotation;
use branchline::ports::AnnotationLevel;
use branchline::ports::CheckConclusion;
use branchline::ports::CheckReport;
use branchline::ports::CheckState;
use branchline::ports::Forge;
use branchline::ports::PortErrorKind;
use branchline::ports::Write;

fn world() -> GitHubWorld {
    let world = GitHubWorld::new();
    world.with(|state| state.push(sha('a')));
    world
}

fn report(state: CheckState, title: &str) -> CheckReport {
    CheckReport {
        commit: sha('a'),
        name: "branchline".to_owned(),
        external_id: "churn-dev-1a2b-1".to_owned(),
        state,
        title: title.to_owned(),
        summary: "A summary.".to_owned(),
        text: Some("{\"version\":12}".to_owned()),
        details_url: Some("https://github.example.com/acme/churn/actions/runs/1".to_owned()),
        annotations: Vec::new(),
    }
}

fn done(title: &str) -> CheckReport {
    report(CheckState::Completed(CheckConclusion::Success), title)
}

fn notes(count: u32) -> Vec<Annotation> {
    (1..=count)
        .map(|line| Annotation {
            path: "branchline.yaml".to_owned(),
            start_line: line,
            end_line: line,
            level: AnnotationLevel::Failure,
            title: (line % 2 == 0).then(|| "no".to_owned()),
            message: format!("line {line} says no"),
        })
        .collect()
}

fn runs(world: &GitHubWorld) -> Vec<CheckRun> {
    world.with(|state| state.checks.clone())
}

const LIST: &str = "/commits/{ref}/check-runs";
const ONE: &str = "/check-runs/{check_run_id}";

#[tokio::test]
async fn a_check_is_begun_by_one_run_and_completed_by_a_later_one() {
    let world = world();
    let waiting = report(CheckState::InProgress, "training");
    assert_eq!(job(&world).await.put_check(&waiting).await.expect("written").write, Write::Created);
    let found = job(&world).await.find_check(&sha('a'), "branchline").await.expect("read").expect("a check");
    assert_eq!(found.state, Some(CheckState::InProgress));
    assert_eq!(found.external_id, "churn-dev-1a2b-1");
    assert_eq!(found.text.as_deref(), Some("{\"version\":12}"));
    assert_eq!(job(&world).await.put_check(&done("trained")).await.expect("written").write, Write::Updated);
    let all = runs(&world);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].conclusion.as_deref(), Some("success"));
    assert_eq!(all[0].title.as_deref(), Some("trained"));
    // Two requests each: find, write.
    assert_eq!((world.count("GET", LIST), world.count("POST", "/check-runs"), world.count("PATCH", ONE)), (3, 1, 1));
    assert_eq!(world.requests(), 5);
    world.finish();
}

#[tokio::test]
async fn a_check_that_says_the_same_is_left_alone() {
    let world = world();
    let forge = job(&world).await;
    forge.put_check(&done("trained")).await.expect("written");
    assert_eq!(forge.put_check(&done("trained")).await.expect("written").write, Write::Unchanged);
    assert_eq!((world.count("POST", "/check-runs"), world.count("PATCH", ONE)), (1, 0));
    // Each part counts.
    let changes: [fn(&mut CheckReport); 5] = [
        |report| report.summary.push('!'),
        |report| report.text = None,
        |report| report.details_url = None,
        |report| report.external_id.push('2'),
        |report| report.state = CheckState::Completed(CheckConclusion::Neutral),
    ];
    let mut now = done("trained");
    for change in changes {
        change(&mut now);
        assert_eq!(forge.put_check(&now).await.expect("written").write, Write::Updated);
        assert_eq!(forge.put_check(&now).await.expect("written").write, Write::Unchanged);
    }
    let run = runs(&world).remove(0);
    assert_eq!(run.text.as_deref(), Some(""), "a text of before does not stay");
    world.finish();
}

#[tokio::test]
async fn a_completed_check_that_goes_on_is_begun_anew() {
    let world = world();
    let forge = job(&world).await;
    forge.put_check(&done("trained")).await.expect("written");
    forge.put_check(&report(CheckState::InProgress, "again")).await.expect("written");
    let all = runs(&world);
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].status.as_str(), all[1].status.as_str()), ("completed", "in_progress"));
    let found = forge.find_check(&sha('a'), "branchline").await.expect("read").expect("a check");
    assert_eq!(found.id, all[1].id);
    world.finish();
}

#[tokio::test]
async fn checks_of_others_are_not_ours() {
    let world = world();
    let foreign = |id: u64, app: &str, external_id: Option<&str>| CheckRun {
        id,
        app: app.to_owned(),
        sha: sha('a').to_string(),
        name: "branchline".to_owned(),
        status: "completed".to_owned(),
        conclusion: Some("success".to_owned()),
        external_id: external_id.map(str::to_owned),
        details_url: None,
        title: None,
        summary: None,
        text: Some("{\"version\":99}".to_owned()),
        annotations: Vec::new(),
    };
    world.with(|state| {
        state.checks.push(foreign(1, "github-actions", None));
        state.checks.push(foreign(2, "other-ci", Some("42")));
        state.checks.push(foreign(3, "other-ci", Some("branchline:1:0011223344556677:x")));
    });
    let mut known = settings(&world);
    known.author = Some("github-actions[bot]".to_owned());
    let forge = connect(known).await.0;
    assert!(forge.find_check(&sha('a'), "branchline").await.expect("read").is_none());
    assert_eq!(forge.put_check(&done("ours")).await.expect("written").write, Write::Created);
    // Where it is not known as whom we write, GitHub says that the check is another App's, and ours is created.
    world.with(|state| state.checks.retain(|run| run.id <= 3));
    assert_eq!(job(&world).await.put_check(&done("ours")).await.expect("written").write, Write::Created);
    assert_eq!(runs(&world).len(), 4);
    world.finish();
}

#[tokio::test]
async fn annotations_go_in_batches_of_50_and_are_not_doubled() {
    let world = world();
    let mut many = done("says no");
    many.annotations = notes(120);
    let forge = job(&world).await;
    forge.put_check(&many).await.expect("written");
    assert_eq!(runs(&world)[0].annotations.len(), 120);
    assert_eq!((world.count("POST", "/check-runs"), world.count("PATCH", ONE)), (1, 2));
    assert_eq!(forge.put_check(&many).await.expect("written").write, Write::Unchanged);
    many.annotations = notes(130);
    forge.put_check(&many).await.expect("written");
    assert_eq!(runs(&world)[0].annotations.len(), 130, "only the ten new ones were sent");
    // A run that was killed between two batches is completed by the next.
    world.with(|state| state.checks[0].annotations.truncate(50));
    forge.put_check(&many).await.expect("written");
    assert_eq!(runs(&world)[0].annotations.len(), 130);
    world.finish();
}

#[tokio::test]
async fn annotations_whose_answer_is_lost_are_not_doubled() {
    let world = world();
    let mut many = done("says no");
    many.annotations = notes(60);
    world.next("PATCH", "/check-runs/", Act::LoseAnswer);
    job(&world).await.put_check(&many).await.expect("written");
    assert_eq!(runs(&world)[0].annotations.len(), 60);
    world.finish();
}

#[tokio::test]
async fn a_lost_answer_does_not_double_the_check() {
    let world = world();
    world.next("POST", "/check-runs", Act::LoseAnswer);
    assert_eq!(job(&world).await.put_check(&done("x")).await.expect("written").write, Write::Created);
    assert_eq!(runs(&world).len(), 1);
    assert_eq!((world.count("GET", LIST), world.count("POST", "/check-runs")), (2, 1));
    world.finish();
}

#[tokio::test]
async fn two_runs_at_once_leave_no_check_open() {
    let world = world();
    let waiting = report(CheckState::InProgress, "training");
    job(&world).await.put_check(&waiting).await.expect("written");
    // The other run made its own at the same time.
    world.with(|state: &mut State| {
        let mut twin = state.checks[0].clone();
        twin.id = state.next_id();
        state.checks.push(twin);
    });
    job(&world).await.put_check(&done("trained")).await.expect("written");
    assert!(runs(&world).iter().all(|run| run.conclusion.as_deref() == Some("success")));
    world.finish();
}

#[tokio::test]
async fn what_github_would_refuse_is_not_sent() {
    let world = world();
    let forge = job(&world).await;
    for change in [
        |report: &mut CheckReport| report.summary = "x".repeat(65_536),
        |report: &mut CheckReport| {
            report.text = Some("x".repeat(65_536));
        },
    ] {
        let mut long = done("x");
        change(&mut long);
        let error = forge.put_check(&long).await.expect_err("too long");
        assert_eq!(error.kind, PortErrorKind::Quota);
        assert!(told(&error).contains("GitHub allows 65535"), "{}", told(&error));
    }
    assert_eq!(world.requests(), 0);
    let mut unknown = done("x");
    unknown.commit = sha('b');
    let error = forge.put_check(&unknown).await.expect_err("no such commit");
    assert_eq!(error.kind, PortErrorKind::NotFound);
    assert!(told(&error).contains("never pushed"), "{}", told(&error));
    world.finish();
}

#[tokio::test]
async fn a_missing_permission_names_the_line_to_add() {
    let world = world();
    world.with(|state| {
        let job = state.tokens.get_mut("ghs_job").expect("a token");
        job.permissions.remove("checks: write");
        job.permissions.insert("checks: read".to_owned());
        let kim = Token { login: "kim".to_owned(), app: None, permissions: job.permissions.clone() };
        state.tokens.insert("ghp_kim".to_owned(), kim);
    });
    let error = job(&world).await.put_check(&done("x")).await.expect_err("may not");
    assert_eq!(error.kind, PortErrorKind::Permission);
    let text = told(&error);
    for part in [
        "could not write the check branchline on commit aaaaaaa",
        "\"Resource not accessible by integration\"",
        "https://docs.github.com/rest",
        "(request AB12:",
        "`checks: write`",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let mut personal = settings(&world);
    personal.token = Some(Secret::new("ghp_kim"));
    let error = connect(personal).await.0.put_check(&done("x")).await.expect_err("may not");
    assert!(told(&error).contains("GITHUB_TOKEN or a GitHub App"), "{}", told(&error));
    // One try each: a no is a no.
    assert_eq!(world.count("POST", "/check-runs"), 2);
    world.finish();
}
