//! Finding, opening and refusing repositories; what they are called; their heads and branches.

use crate::git::Repo;
use crate::git::id;
use crate::git::open;
use crate::git::paths;
use branchline::adapters::git::GitError;
use branchline::adapters::git::GitRepository;
use branchline::adapters::git::Head;
use branchline::adapters::git::Heads;
use branchline::adapters::git::Uncommitted;
use branchline::adapters::git::Unsupported;
use branchline::model::git::BranchName;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

fn branch(name: &str) -> BranchName {
    BranchName::parse(name).expect("a branch name")
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().expect("an existing folder")
}

#[test]
fn it_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<GitRepository>();
}

#[test]
fn any_folder_inside_finds_the_repository() {
    let repo = Repo::new();
    repo.commit_files(&[("a/b/c.txt", "x")], "first");
    let found = open(&repo.dir.join("a/b"));
    assert_eq!(found.work_dir(), Some(real(&repo.dir)));
    assert_eq!(found.main_work_dir(), Some(real(&repo.dir)));
    assert_eq!(found.git_dir(), real(&repo.dir.join(".git")));
    assert_eq!(found.common_dir(), found.git_dir());
}

#[test]
fn no_repository_is_an_error_with_the_checkout_step() {
    let dir = TempDir::new().expect("a temporary folder");
    let error = GitRepository::discover(dir.path()).expect_err("nothing there");
    assert!(matches!(error, GitError::NotARepository { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("actions/checkout") && text.contains("fetch-depth: 0"), "{text}");
}

#[test]
fn a_bare_repository_is_read_like_any_other() {
    let repo = Repo::new();
    let commit = repo.commit_files(&[("train.py", "x")], "first");
    let bare = open(&repo.clone_to("bare.git", &["--bare"]));
    assert_eq!((bare.work_dir(), bare.main_work_dir()), (None, None));
    assert_eq!(bare.resolve_commit("dev").expect("a branch"), commit);
    assert_eq!(bare.watched_entries(&commit, &paths(&["train.py"])).expect("watched").len(), 1);
    assert_eq!(bare.uncommitted(&[&paths(&["train.py"])]).expect("an answer"), Uncommitted::Clean);
}

#[test]
fn a_linked_worktree_knows_the_main_one() {
    let repo = Repo::new();
    let first = repo.commit_files(&[("train.py", "x")], "first");
    repo.git(&["worktree", "add", "-q", "-b", "feature/x", "../linked"]);
    let linked = open(&repo.root.path().join("linked"));
    assert_eq!(linked.work_dir(), Some(real(&repo.root.path().join("linked"))));
    assert_eq!(linked.main_work_dir(), Some(real(&repo.dir)));
    assert_eq!(linked.common_dir(), real(&repo.dir.join(".git")));
    assert_ne!(linked.git_dir(), linked.common_dir());
    assert_eq!(linked.head().expect("a head"), Head::Branch { branch: branch("feature/x"), commit: first });
    fs::write(repo.root.path().join("linked/train.py"), "y").expect("a file");
    let dirty = |repo: &GitRepository| repo.uncommitted(&[&paths(&["train.py"])]).expect("an answer");
    assert!(matches!(dirty(&linked), Uncommitted::Changed(_)));
    assert_eq!(dirty(&repo.open()), Uncommitted::Clean);
}

/// Opens a repository of another user. When `open-this` lies in the current folder, this is the child process that the
/// other half of the test started, with the home that is to be honoured.
#[test]
fn a_repository_of_another_user_is_refused_until_the_named_line_is_run() {
    if let Ok(path) = fs::read_to_string("open-this") {
        GitRepository::discover(Path::new(&path)).expect("trusted by the configuration of this home");
        return;
    }
    let repo = Repo::new();
    repo.commit_files(&[("a/b", "x")], "first");
    let line = format!("git config --global --add safe.directory {}", real(&repo.dir).display());
    let given_away = Command::new("chown").arg("-R").arg("12345").arg(&repo.dir).status().expect("chown is installed");
    if !given_away.success() {
        // Only root can give a file away, so without root the refusal itself cannot be produced. What is left to
        // prove is that it would name the line.
        let error = GitError::ForeignOwner { path: real(&repo.dir) };
        assert!(error.to_string().contains(&line), "{error}");
        return;
    }
    let error = GitRepository::discover(&repo.dir.join("a")).expect_err("another user's");
    assert!(matches!(&error, GitError::ForeignOwner { path } if *path == real(&repo.dir)), "{error}");
    assert!(error.to_string().contains(&line), "{error}");

    let probe = repo.root.path().join("probe");
    fs::create_dir(&probe).expect("a folder");
    fs::write(probe.join("open-this"), repo.dir.join("a").display().to_string()).expect("a file");
    let child = || {
        Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "git::open::a_repository_of_another_user_is_refused_until_the_named_line_is_run"])
            .current_dir(&probe)
            .env_clear()
            .env("HOME", &probe)
            .output()
            .expect("this test runs again")
    };
    assert!(!child().status.success(), "an empty home trusts nobody");
    let obeyed = Command::new("sh").arg("-c").arg(&line).env("HOME", &probe).env_remove("GIT_CONFIG_GLOBAL").status();
    assert!(obeyed.expect("a shell").success());
    let output = child();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the child ran the test");
}

/// Opens a repository of another user, trusted on each way that Git knows. When `open-this` lies in the current folder,
/// this is the child process that the other half of the test started.
#[test]
fn what_git_trusts_is_trusted_however_git_is_told() {
    const NAME: &str = "git::open::what_git_trusts_is_trusted_however_git_is_told";
    if let Ok(path) = fs::read_to_string("open-this") {
        let found = GitRepository::discover(Path::new(&path)).expect("trusted");
        let told = [found.work_dir(), found.main_work_dir(), Some(found.common_dir().to_owned())];
        fs::write("found", format!("{told:?}")).expect("a file");
        return;
    }
    let repo = Repo::new();
    repo.commit_files(&[("a/b", "x")], "first");
    repo.git(&["worktree", "add", "-q", "-b", "feature/x", "../linked"]);
    let linked = repo.root.path().join("linked");
    for path in [&repo.dir, &linked] {
        let given_away = Command::new("chown").arg("-R").arg("12345").arg(path).status().expect("chown is installed");
        if !given_away.success() {
            // Only root can give a file away. An own one opens without being trusted.
            open(path);
            return;
        }
    }
    let (dir, root) = (real(&repo.dir).display().to_string(), real(repo.root.path()).display().to_string());
    let probe = repo.root.path().join("probe");
    fs::create_dir(&probe).expect("a folder");
    let file = |directory: &str| {
        let path = probe.join("config-file");
        fs::write(&path, format!("[safe]\n\tdirectory = {directory}\n")).expect("a file");
        path.display().to_string()
    };
    let child = |start: &Path, variables: &[(&str, &str)]| {
        fs::write(probe.join("open-this"), start.display().to_string()).expect("a file");
        let _ = fs::remove_file(probe.join("found"));
        let output = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", NAME])
            .current_dir(&probe)
            .env_clear()
            .env("PATH", crate::world::repository::path())
            .env("HOME", &probe)
            .envs(variables.iter().copied())
            .output()
            .expect("this test runs again");
        output.status.success().then(|| fs::read_to_string(probe.join("found")).expect("it wrote what it found"))
    };
    assert_eq!(child(&repo.dir, &[]), None, "an empty home trusts nobody");
    let main = format!("{:?}", [Some(real(&repo.dir)), Some(real(&repo.dir)), Some(real(&repo.dir.join(".git")))]);
    let count = |value: &'static str| {
        [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", value)]
    };
    for directory in ["*", &dir, &format!("{root}/*")] {
        let path = file(directory);
        for variable in ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"] {
            assert_eq!(
                child(&repo.dir.join("a"), &[(variable, &path)]).as_ref(),
                Some(&main),
                "{variable} {directory}"
            );
        }
    }
    assert_eq!(child(&repo.dir, &count("*")).as_ref(), Some(&main));
    assert_eq!(child(&repo.dir, &count("/elsewhere")), None);
    let path = file("*");
    let worktree = child(&linked, &[("GIT_CONFIG_GLOBAL", &path)]).expect("a linked worktree is trusted, too");
    let told = format!("{:?}", [Some(real(&linked)), Some(real(&repo.dir)), Some(real(&repo.dir.join(".git")))]);
    assert_eq!(worktree, told);
    // What the home trusts, Git does not where another file stands in its place: neither does this program.
    fs::write(probe.join(".gitconfig"), "[safe]\n\tdirectory = *\n").expect("a file");
    assert_eq!(child(&repo.dir, &[]).as_ref(), Some(&main));
    assert_eq!(child(&repo.dir, &[("GIT_CONFIG_GLOBAL", "/dev/null")]), None);
}

#[test]
fn a_foreign_bare_repository_names_its_own_folder() {
    let repo = Repo::new();
    repo.commit("first");
    let bare = repo.clone_to("bare.git", &["--bare"]);
    let given_away = Command::new("chown").arg("-R").arg("12345").arg(&bare).status().expect("chown is installed");
    if !given_away.success() {
        // See above: only root can give a file away. An own one opens.
        open(&bare);
        return;
    }
    let error = GitRepository::discover(&bare).expect_err("another user's");
    assert!(matches!(&error, GitError::ForeignOwner { path } if *path == real(&bare)), "{error}");
}

#[test]
fn the_environment_of_git_is_not_read() {
    if let Ok(expected) = fs::read_to_string("expect-this") {
        assert_eq!(open(Path::new(".")).work_dir(), Some(PathBuf::from(expected)));
        return;
    }
    let (here, elsewhere) = (Repo::new(), Repo::new());
    here.write("expect-this", real(&here.dir).display().to_string());
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "git::open::the_environment_of_git_is_not_read"])
        .current_dir(&here.dir)
        .env("GIT_DIR", elsewhere.dir.join(".git"))
        .env("GIT_WORK_TREE", &elsewhere.dir)
        .output()
        .expect("this test runs again");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the child ran the test");
}

#[test]
fn forms_that_cannot_be_read_are_named() {
    let refused = |init: &[&str], config: &[&str]| {
        let repo = Repo::beside("repo");
        fs::create_dir(&repo.dir).expect("a folder");
        repo.git(&[&["init", "-q"], init].concat());
        for pair in config {
            let (key, value) = pair.split_once('=').expect("a pair");
            repo.git(&["config", key, value]);
        }
        match GitRepository::discover(&repo.dir).expect_err("not readable") {
            GitError::Unsupported { path, feature } => {
                assert_eq!(path, real(&repo.dir));
                feature
            }
            other => panic!("{other}"),
        }
    };
    assert_eq!(refused(&["--ref-format=reftable"], &[]), Unsupported::Reftable);
    assert_eq!(refused(&["--object-format=sha256"], &[]), Unsupported::Sha256);
    let partial = ["core.repositoryformatversion=1", "extensions.partialclone=origin"];
    assert_eq!(refused(&[], &partial), Unsupported::PartialClone);
    let odd = ["core.repositoryformatversion=1", "extensions.fancy=true"];
    assert_eq!(refused(&[], &odd), Unsupported::Extension("fancy".to_owned()));
    assert!(Unsupported::PartialClone.to_string().contains("filter:"), "it says what to change");
}

#[test]
fn head_is_a_branch_a_commit_or_nothing_yet() {
    let repo = Repo::new();
    assert_eq!(repo.open().head().expect("a head"), Head::Unborn { branch: branch("dev") });
    let commit = repo.commit("first");
    assert_eq!(repo.open().head().expect("a head"), Head::Branch { branch: branch("dev"), commit: commit.clone() });
    repo.git(&["checkout", "-q", "--detach"]);
    assert_eq!(repo.open().head().expect("a head"), Head::Detached { commit });
}

#[test]
fn the_caller_says_whose_word_on_a_branch_counts() {
    let origin = Repo::new();
    let old = origin.commit("first");
    origin.git(&["branch", "only-there"]);
    let clone = origin.clone_to("clone", &[]);
    origin.git_in(&clone, &["branch", "only-here"], b"");
    let new = origin.commit("second");
    origin.git_in(&clone, &["fetch", "-q"], b"");
    let repo = open(&clone);
    let head = |name: &str, heads| repo.branch_head(&branch(name), heads).expect("an answer");
    assert_eq!(head("dev", Heads::Local), Some(old.clone()));
    assert_eq!(head("dev", Heads::Remote), Some(new.clone()));
    assert_eq!(head("only-there", Heads::Local), Some(old.clone()));
    assert_eq!(head("only-here", Heads::Remote), Some(old.clone()));
    assert_eq!(head("nowhere", Heads::Remote), None);
    // Read now, not remembered.
    origin.git_in(&clone, &["merge", "-q", "--ff-only", "origin/dev"], b"");
    assert_eq!(head("dev", Heads::Local), Some(new.clone()));
    let all = |heads| {
        let names = repo.branches(heads).expect("branches");
        names.into_iter().map(|(name, commit)| (name.to_string(), commit)).collect::<Vec<_>>()
    };
    let expected = [("dev", &new), ("only-here", &old), ("only-there", &old)];
    let expected: Vec<_> = expected.map(|(name, commit)| (name.to_owned(), commit.clone())).into();
    assert_eq!(all(Heads::Local), expected);
}

#[test]
fn people_name_commits_in_many_ways() {
    let repo = Repo::new();
    let first = repo.commit("first");
    let second = repo.commit("second");
    repo.git(&["tag", "-a", "v1", "-m", "a tag object", first.as_str()]);
    repo.git(&["update-ref", "refs/remotes/origin/release", first.as_str()]);
    let git = repo.open();
    for text in [second.as_str(), second.short(), "HEAD", "dev", "refs/heads/dev", " dev\n"] {
        assert_eq!(git.resolve_commit(text).expect(text), second, "{text}");
    }
    for text in ["HEAD~1", "dev^", "v1", "release", "origin/release"] {
        assert_eq!(git.resolve_commit(text).expect(text), first, "{text}");
    }
    for text in ["", "nope", "HEAD~7", "-x", ":/first", "HEAD^{/first}", "HEAD:train.py", "a\0b", &"f".repeat(40)] {
        assert!(matches!(git.resolve_commit(text), Err(GitError::NoSuchCommit { .. })), "{text:?}");
    }
    assert!(git.resolve_commit("dve").expect_err("a slip").to_string().contains("did you mean `dev`?"));
}

#[test]
fn a_commit_tells_its_story() {
    let repo = Repo::new();
    let first = repo.commit("first");
    let second = repo.commit("Second thing (#71)\n\nA body.");
    let info = repo.open().commit(&second).expect("a commit");
    assert_eq!((info.id.clone(), info.parents.clone(), info.shallow), (second, vec![first], false));
    assert_eq!(info.tree, repo.at("HEAD^{tree}"));
    assert_eq!(info.subject, "Second thing (#71)");
    assert_eq!((info.author_name.as_str(), info.author_email.as_str()), ("Ada", "ada@example.com"));
    assert_eq!(info.time.to_string()[..10], *"2023-11-14");
}

#[test]
fn a_repository_is_its_remote_or_else_its_first_commit() {
    let repo = Repo::new();
    let first = repo.commit("first");
    repo.commit("second");
    let identity = repo.open().identity();
    assert_eq!((identity.remote, identity.root.clone()), (None, Some(first.clone())));

    // A clone of a local folder has a remote that is only a path.
    let clone = repo.clone_to("clone", &[]);
    assert!(!open(&clone).identity().is_foreign_to(&repo.open().identity()));
    assert_eq!(open(&clone).identity().root, Some(first.clone()));
    // Where the history is cut, its end is not its beginning.
    let cut = repo.clone_to("cut", &["--depth", "1"]);
    assert_eq!(open(&cut).identity().root, None);

    // What is checked out does not change what the repository is.
    repo.git(&["checkout", "-q", "--orphan", "pages"]);
    repo.commit("a page");
    assert_eq!(repo.open().identity().root, Some(first));

    repo.git(&["remote", "add", "origin", "https://user:secret@github.com/Acme/churn.git"]);
    let identity = repo.open().identity();
    assert_eq!(identity.remote.as_deref(), Some("github.com/Acme/churn"));
    assert_eq!(identity.root, None);

    let empty = Repo::new();
    assert_eq!(empty.open().identity(), branchline::model::git::RepositoryId::default());
}

#[test]
fn unknown_ids_are_errors() {
    let repo = Repo::new();
    repo.commit("first");
    let git = repo.open();
    for text in ["a".repeat(40), "a".repeat(64)] {
        let unknown = id(&text);
        assert!(matches!(git.commit(&unknown), Err(GitError::NoSuchCommit { .. })));
        assert!(matches!(git.read_file(&unknown, "x"), Err(GitError::NoSuchCommit { .. })));
        assert!(!git.has_commit(&unknown));
    }
}
