//! What the forge reads: branch heads, files, pull requests, permissions.

use super::branch;
use super::connect;
use super::job;
use super::settings;
use super::sha;
use super::told;
use crate::world::github::GitHubWorld;
use crate::world::github::state::Node;
use crate::world::github::state::Pull;
use branchline::model::secret::Secret;
use branchline::ports::Forge;
use branchline::ports::Permission;
use branchline::ports::PortErrorKind;
use branchline::ports::PullRequestState;

fn pull(number: u64, head: char) -> Pull {
    Pull {
        number,
        state: "open",
        merged: false,
        title: format!("Number {number}"),
        author: Some("kim".to_owned()),
        head_branch: "feature/a".to_owned(),
        head: sha(head),
        base_branch: "main".to_owned(),
        head_repository: Some(4711),
        commits: vec![sha(head)],
        draft: false,
        authors: Vec::new(),
        reviews: Vec::new(),
    }
}

#[tokio::test]
async fn heads_of_branches_with_any_name() {
    for world in [GitHubWorld::new(), GitHubWorld::enterprise()] {
        let names = ["main", "feature/a", "zzz\";echo${IFS}\"x\";#", "feature/ünïcode", "100%", "a&b=c+d", "a`b`"];
        world.with(|state| {
            for (name, digit) in names.iter().zip('1'..) {
                state.branches.insert((*name).to_owned(), sha(digit));
            }
        });
        let forge = job(&world).await;
        for (name, digit) in names.iter().zip('1'..) {
            assert_eq!(forge.branch_head(&branch(name)).await.expect("read"), Some(sha(digit)), "{name}");
        }
        assert_eq!(forge.branch_head(&branch("feature")).await.expect("read"), None);
        assert_eq!(forge.branch_head(&branch("gone")).await.expect("read"), None);
        // Whether the repository is seen at all is asked once.
        assert_eq!(world.count("GET", ""), 1);
        world.finish();
    }
}

#[tokio::test]
async fn files_and_what_is_not_one() {
    let world = GitHubWorld::new();
    world.with(|state| {
        let mut put = |path: &str, node: Node| drop(state.files.insert(("main".to_owned(), path.to_owned()), node));
        put("branchline.yaml", Node::File("project: chürn\n".repeat(40).into_bytes()));
        put("a b/ü#?.yaml", Node::File(b"x".to_vec()));
        put("empty", Node::File(Vec::new()));
        put("binary", Node::File(vec![0xff, 0xfe, 0]));
        put("folder", Node::Folder);
        put("module", Node::Submodule);
        put("link", Node::Symlink("../outside".to_owned()));
        put("large", Node::Large(1_500_000));
    });
    let forge = job(&world).await;
    let file = |path: &'static str| forge.file_at(path, "main");
    assert_eq!(file("branchline.yaml").await.expect("read"), Some("project: chürn\n".repeat(40)));
    assert_eq!(file("a b/ü#?.yaml").await.expect("read").as_deref(), Some("x"));
    assert_eq!(file("empty").await.expect("read").as_deref(), Some(""));
    assert_eq!(file("missing.yaml").await.expect("read"), None);
    let wrong = [
        ("binary", "not UTF-8"),
        ("folder", "a folder"),
        ("module", "a submodule"),
        ("link", "../outside"),
        ("large", "at most 1 MB"),
    ];
    for (path, why) in wrong {
        let error = file(path).await.expect_err(path);
        assert_eq!(error.kind, PortErrorKind::Configuration, "{path}");
        assert!(told(&error).contains(why), "{}", told(&error));
    }
    let error = forge.file_at("branchline.yaml", "gone").await.expect_err("no such ref");
    assert_eq!(error.kind, PortErrorKind::NotFound);
    assert!(told(&error).contains("No commit found for the ref gone"), "{}", told(&error));
    assert!(forge.file_at("../secrets", "main").await.is_err());
    world.finish();
}

#[tokio::test]
async fn pull_requests_of_a_commit_of_a_branch_and_by_number() {
    let world = GitHubWorld::new();
    world.with(|state| {
        let merged = Pull { state: "closed", merged: true, commits: vec![sha('a'), sha('c')], ..pull(3, 'b') };
        let closed = Pull { state: "closed", ..pull(4, 'a') };
        let fork = Pull { head_repository: Some(99), ..pull(5, 'a') };
        let gone = Pull { head_repository: None, author: None, ..pull(6, 'a') };
        state.pulls.extend([merged, closed, fork, gone, pull(7, 'a'), pull(8, 'd')]);
    });
    let forge = job(&world).await;
    let of = forge.pull_requests_of_commit(&sha('a')).await.expect("read");
    assert_eq!(of.iter().map(|pull| pull.number).collect::<Vec<_>>(), [7, 6, 5, 4, 3]);
    let states: Vec<_> = of.iter().map(|pull| (pull.state, pull.from_fork)).collect();
    use PullRequestState::Closed;
    use PullRequestState::Merged;
    use PullRequestState::Open;
    assert_eq!(states, [(Open, false), (Open, true), (Open, true), (Closed, false), (Merged, false)]);
    assert_eq!(of[1].author, None);
    assert_eq!(of[0].author.as_deref(), Some("kim"));
    // Of a branch: open, at exactly this commit, and not of a fork's branch of the same name.
    let open = forge.open_pull_requests_with_head(&branch("feature/a"), &sha('a')).await.expect("read");
    assert_eq!(open.iter().map(|pull| pull.number).collect::<Vec<_>>(), [7]);
    let merged = forge.pull_request(3).await.expect("read").expect("there");
    assert_eq!((merged.state, merged.head, merged.base_branch), (Merged, sha('b'), branch("main")));
    assert!(forge.pull_request(99).await.expect("read").is_none());
    assert!(forge.pull_requests_of_commit(&sha('e')).await.expect("read").is_empty());
    world.finish();
}

/// Everything that a run about a pull request asks and says, for one model.
#[tokio::test]
async fn a_pull_request_is_updated_with_eight_requests() {
    use branchline::ports::CheckConclusion;
    use branchline::ports::CheckReport;
    use branchline::ports::CheckState;
    let world = GitHubWorld::new();
    world.with(|state| {
        state.branches.insert("main".to_owned(), sha('1'));
        state.push(sha('a'));
        state.pulls.push(pull(7, 'a'));
        state.files.insert(("main".to_owned(), "branchline.yaml".to_owned()), Node::File(b"version: 1".to_vec()));
        for n in 0..90 {
            state.comment(7, "kim", &format!("comment {n}"));
        }
    });
    for (round, budget) in [("first", 8), ("second", 8), ("second", 6)] {
        let before = world.requests();
        let forge = job(&world).await;
        forge.branch_head(&branch("main")).await.expect("read").expect("a head");
        forge.file_at("branchline.yaml", "main").await.expect("read").expect("a file");
        forge.pull_requests_of_commit(&sha('a')).await.expect("read");
        let report = CheckReport {
            commit: sha('a'),
            name: "branchline".to_owned(),
            external_id: "x".to_owned(),
            state: CheckState::Completed(CheckConclusion::Success),
            title: round.to_owned(),
            summary: String::new(),
            text: None,
            details_url: None,
            annotations: Vec::new(),
        };
        forge.put_check(&report).await.expect("written");
        forge.put_comment(7, "ci/churn", round).await.expect("written");
        let sent = world.requests() - before;
        assert!(sent <= budget, "{sent} requests in the {round} round");
    }
    world.finish();
}

#[tokio::test]
async fn what_people_may_do() {
    let world = GitHubWorld::new();
    world.with(|state| {
        state.people.insert("ann".to_owned(), ("admin", "admin"));
        state.people.insert("mia".to_owned(), ("write", "maintain"));
        state.people.insert("wim".to_owned(), ("write", "write"));
        state.people.insert("tim".to_owned(), ("read", "triage"));
        state.people.insert("rob".to_owned(), ("read", "read"));
        state.people.insert("own".to_owned(), ("write", "model-keeper"));
        state.people.insert("nil".to_owned(), ("none", ""));
    });
    let forge = job(&world).await;
    let expected = [
        ("ann", Permission::Admin),
        ("mia", Permission::Maintain),
        ("wim", Permission::Write),
        ("tim", Permission::Triage),
        ("rob", Permission::Read),
        ("own", Permission::Write),
        ("nil", Permission::None),
        ("nobody", Permission::None),
        ("../../user", Permission::None),
    ];
    for (login, permission) in expected {
        assert_eq!(forge.permission(login).await.expect(login), permission, "{login}");
    }
    assert!(Permission::Maintain > Permission::Write && Permission::Triage < Permission::Write);
    world.with(|state| {
        state.tokens.get_mut("ghs_job").expect("a token").permissions.remove("metadata: read");
    });
    let error = forge.permission("ann").await.expect_err("may not ask");
    assert!(told(&error).contains("`Metadata: read`"), "{}", told(&error));
    world.finish();
}

#[tokio::test]
async fn a_renamed_repository_is_read_and_writing_to_it_is_named() {
    let world = GitHubWorld::enterprise();
    world.with(|state| {
        state.branches.insert("main".to_owned(), sha('1'));
        state.commits.insert(sha('1'));
        state.old_name = Some("churn".to_owned());
        state.name = "retention".to_owned();
    });
    let forge = job(&world).await;
    assert_eq!(forge.branch_head(&branch("main")).await.expect("read"), Some(sha('1')));
    let report = branchline::ports::StatusReport {
        commit: sha('1'),
        context: "branchline".to_owned(),
        state: branchline::ports::StatusState::Success,
        description: "x".to_owned(),
        target_url: None,
    };
    let error = forge.put_status(&report).await.expect_err("moved");
    assert!(told(&error).contains("renamed or moved"), "{}", told(&error));
    assert_eq!(world.with(|state| state.statuses.len()), 0);
    world.finish();
}

#[tokio::test]
async fn tokens_that_are_missing_wrong_or_see_nothing() {
    let world = GitHubWorld::new();
    let clock = std::sync::Arc::new(super::Waits::default());
    for (token, why) in [(None, "there is no token"), (Some(""), "there is no token"), (Some("a\nb"), "two lines")] {
        let mut settings = settings(&world);
        settings.token = token.map(Secret::new);
        let connected =
            branchline::adapters::github::GitHub::connect(settings, std::sync::Arc::<super::Waits>::clone(&clock))
                .await;
        let error = connected.err().expect(why);
        assert!(told(&error).contains(why), "{}", told(&error));
    }
    let mut wrong = settings(&world);
    wrong.token = Some(Secret::new("ghs_expired"));
    let error = connect(wrong).await.0.branch_head(&branch("main")).await.expect_err("wrong token");
    assert_eq!(error.kind, PortErrorKind::Permission);
    assert!(told(&error).contains("Bad credentials") && told(&error).contains("has expired"), "{}", told(&error));
    assert!(!told(&error).contains("ghs_expired"), "a token is never shown");
    // What the token does not see looks like what is not there, but is not reported as that.
    let mut other = settings(&world);
    other.repository = "acme/secret".to_owned();
    let error = connect(other).await.0.file_at("branchline.yaml", "main").await.expect_err("not seen");
    assert_eq!(error.kind, PortErrorKind::NotFound);
    world.with(|state| {
        state.tokens.get_mut("ghs_job").expect("a token").permissions.remove("contents: read");
    });
    let error = job(&world).await.branch_head(&branch("main")).await.expect_err("may not");
    assert!(told(&error).contains("`contents: read`"), "{}", told(&error));
    world.finish();
}

#[tokio::test]
async fn an_address_that_would_show_the_token_is_refused() {
    let world = GitHubWorld::new();
    let clock = std::sync::Arc::new(super::Waits::default());
    for (address, repository) in [
        ("http://github.example.com/api/v3", "acme/churn"),
        ("github.example.com", "acme/churn"),
        ("https://api.github.com", "churn"),
        ("https://api.github.com", "acme/churn/../../user"),
        ("https://api.github.com", "acme/.."),
    ] {
        let mut settings = settings(&world);
        settings.api_url = address.to_owned();
        settings.repository = repository.to_owned();
        let connected =
            branchline::adapters::github::GitHub::connect(settings, std::sync::Arc::<super::Waits>::clone(&clock))
                .await;
        assert_eq!(connected.err().expect(address).kind, PortErrorKind::Configuration, "{address} {repository}");
    }
    world.finish();
}
