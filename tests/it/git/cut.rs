//! Clones that do not hold everything: shallow and partial. They answer rightly or say why they cannot.

use crate::git::Repo;
use crate::git::open;
use crate::git::paths;
use branchline::adapters::git::GitError;
use branchline::adapters::git::Heads;
use branchline::adapters::git::HistoryEnd;
use branchline::adapters::git::MergeBase;
use branchline::adapters::git::Merged;
use branchline::adapters::git::Uncommitted;
use branchline::adapters::git::WhyUnknown;
use branchline::model::git::BranchName;
use branchline::model::settings::Watched;

#[test]
fn a_cut_history_is_never_read_as_a_root() {
    let origin = Repo::new();
    let first = origin.commit_files(&[("train.py", "1")], "first");
    let second = origin.commit_files(&[("train.py", "2")], "second");
    let git = open(&origin.clone_to("cut", &["--depth", "1"]));
    assert!(git.is_shallow());
    let info = git.commit(&second).expect("the commit is here");
    assert_eq!((info.parents, info.shallow), (vec![first.clone()], true));

    let error = git.resolve_commit("HEAD~1").expect_err("behind the cut");
    assert!(error.to_string().contains("fetch-depth: 0"), "{error}");
    assert!(matches!(git.commit(&first), Err(GitError::NoSuchCommit { shallow: true, .. })));

    let history = git.history(&second, &Watched::All, 10).expect("a history");
    assert_eq!((history.commits.len(), history.end), (0, HistoryEnd::Shallow));
    // What needs no history works as ever.
    assert_eq!(git.watched_entries(&second, &paths(&["train.py"])).expect("watched").len(), 1);
    let dev = BranchName::parse("dev").expect("a name");
    assert_eq!(git.branch_head(&dev, Heads::Remote).expect("an answer"), Some(second));

    // A true root in a shallow clone is a root all the same.
    let deep = open(&origin.clone_to("deep", &["--depth", "5"]));
    assert!(!deep.commit(&first).expect("a commit").shallow);
}

#[test]
fn a_merge_base_behind_the_cut_is_unknown() {
    let origin = Repo::new();
    let base = origin.commit_files(&[("x", "1")], "base");
    origin.git(&["checkout", "-q", "-b", "feature"]);
    origin.commit_files(&[("f", "1")], "feature 1");
    let head = origin.commit_files(&[("f", "2")], "feature 2");
    origin.git(&["checkout", "-q", "dev"]);
    let dev = origin.commit_files(&[("d", "1")], "dev 1");
    let git = open(&origin.clone_to("cut", &["--depth", "1", "--no-single-branch"]));
    assert_eq!(git.merge_base(&dev, &head).expect("an answer"), MergeBase::Unknown(WhyUnknown::Shallow));
    match git.merged_tree(&dev, &head, None).expect("an answer") {
        Merged::Unknown(why) => assert!(why.to_string().contains("fetch-depth: 0"), "{why}"),
        other => panic!("{other:?}"),
    }
    // Of a commit that is not here at all, likewise.
    assert_eq!(git.merge_base(&dev, &base).expect("an answer"), MergeBase::Unknown(WhyUnknown::Shallow));
    // Deep enough is deep enough, although it is still cut.
    origin.git(&["checkout", "-q", "feature"]);
    for number in 0..3 {
        origin.commit_files(&[("f", &format!("{number}"))], "more");
    }
    let enough = open(&origin.clone_to("enough", &["--depth", "6", "--no-single-branch"]));
    assert_eq!(enough.merge_base(&dev, &head).expect("an answer"), MergeBase::Found(base));
}

#[test]
fn a_common_ancestor_before_a_cut_may_not_be_the_best_one() {
    // old <- best <- (cut) x <- one, and old <- one; best <- two. The cut hides that `best` is an ancestor of `one`.
    let repo = Repo::new();
    let old = repo.commit("old");
    let best = repo.commit("best");
    let x = repo.commit("x");
    repo.git(&["checkout", "-q", "-b", "other", old.as_str()]);
    repo.commit("beside");
    repo.git(&["merge", "-q", "--no-ff", "-m", "one", "dev"]);
    let one = repo.at("HEAD");
    repo.git(&["checkout", "-q", "-b", "second", best.as_str()]);
    let two = repo.commit("two");
    assert_eq!(repo.open().merge_base(&one, &two).expect("an answer"), MergeBase::Found(best));
    // Cut it at `x`, as a shallow fetch does.
    repo.write(".git/shallow", format!("{x}\n"));
    assert_eq!(repo.open().merge_base(&one, &two).expect("an answer"), MergeBase::Unknown(WhyUnknown::Shallow));
}

#[test]
fn the_test_merge_of_a_pull_request_needs_no_history() {
    let origin = Repo::new();
    origin.commit_files(&[("x", "1")], "base");
    origin.git(&["checkout", "-q", "-b", "feature"]);
    let head = origin.commit_files(&[("f", "1")], "feature");
    origin.git(&["checkout", "-q", "dev"]);
    let dev = origin.commit_files(&[("d", "1")], "dev");
    origin.git(&["checkout", "-q", "-b", "merge"]);
    origin.git(&["merge", "-q", "--no-ff", "-m", "test merge", "feature"]);
    let merge = origin.at("HEAD");
    // What actions/checkout does by default: that one commit, detached.
    let clone = origin.clone_to("ci", &["--depth", "1", "--branch", "merge"]);
    let git = open(&clone);
    assert!(!git.has_commit(&dev) && !git.has_commit(&head));
    let tree = origin.at("HEAD^{tree}");
    assert_eq!(git.merged_tree(&dev, &head, Some(&merge)).expect("an answer"), Merged::Tree(tree));
    assert_eq!(git.merged_tree(&dev, &head, None).expect("an answer"), Merged::Unknown(WhyUnknown::Shallow));
}

#[test]
fn a_partial_clone_knows_names_but_not_contents() {
    let origin = Repo::new();
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let base = origin.commit_files(&[("train.py", "1\n2\n3\n"), ("a/b", "x")], "first");
    origin.git(&["checkout", "-q", "-b", "feature"]);
    let head = origin.commit_files(&[("train.py", "one\n2\n3\n")], "feature");
    origin.git(&["checkout", "-q", "dev"]);
    let dev = origin.commit_files(&[("train.py", "1\n2\nthree\n")], "dev");
    let clone = origin.clone_to("partial", &["--filter=blob:none", "--no-checkout"]);
    let git = open(&clone);
    assert_eq!(git.watched_entries(&dev, &paths(&["*.py", "a"])).expect("trees are here").len(), 2);
    assert_eq!(git.changed_paths(&base, &head, None).expect("trees are here").len(), 1);

    let error = git.read_file(&dev, "train.py").expect_err("the content is not");
    assert!(matches!(error, GitError::MissingObject { why: WhyUnknown::Partial, .. }), "{error}");
    assert!(error.to_string().contains("`filter:`"), "{error}");
    let dest = origin.root.path().join("dest");
    let error = git.checkout(&dev, &Watched::All, &dest).expect_err("the content is not here");
    assert!(matches!(error, GitError::MissingObject { why: WhyUnknown::Partial, .. }), "{error}");
    assert_eq!(git.merged_tree(&dev, &head, None).expect("an answer"), Merged::Unknown(WhyUnknown::Partial));
    let uncommitted = git.uncommitted(&[&Watched::All]).expect("an answer");
    assert_eq!(uncommitted, Uncommitted::Unknown(WhyUnknown::Partial));
}
