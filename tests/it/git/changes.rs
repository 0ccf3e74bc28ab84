//! Differences, history, merges, and what is not committed.

use crate::git::Repo;
use crate::git::paths;
use branchline::adapters::git::GitRepository;
use branchline::adapters::git::HistoryEnd;
use branchline::adapters::git::MergeBase;
use branchline::adapters::git::Merged;
use branchline::adapters::git::Uncommitted;
use branchline::adapters::git::WhyUnknown;
use branchline::model::git::ObjectId;
use branchline::model::settings::Watched;
use std::fs;

#[test]
fn differences_go_down_to_files() {
    let repo = Repo::new();
    repo.write("run.sh", "x");
    repo.write("swap", "a file");
    let first = repo.commit_files(&[("a/one", "1"), ("a/two", "2"), ("b/three", "3")], "first");
    repo.git(&["rm", "-q", "a/two", "swap"]);
    repo.git(&["update-index", "--chmod=+x", "run.sh"]);
    repo.git(&["mv", "b/three", "b/four"]);
    repo.write("swap/inside", "now a folder");
    repo.write("a/one", "changed");
    repo.git(&["add", "a", "b", "swap"]);
    repo.git(&["commit", "-q", "-m", "second"]);
    let (git, second) = (repo.open(), repo.at("HEAD"));
    let changes = git.changed_paths(&first, &second, None).expect("comparable");
    let told: Vec<String> = changes
        .iter()
        .map(|change| {
            let kind = match (&change.from, &change.to) {
                (Some(from), Some(to)) if from == to => "mode",
                (Some(_), Some(_)) => "content",
                (Some(_), None) => "gone",
                (None, Some(_)) => "new",
                (None, None) => "nothing",
            };
            format!("{} {kind}", change.path)
        })
        .collect();
    let expected =
        ["a/one content", "a/two gone", "b/four new", "b/three gone", "run.sh mode", "swap gone", "swap/inside new"];
    assert_eq!(told, expected);

    // Git itself lists the same paths.
    let listed = repo.git(&["diff", "--name-only", "--no-renames", first.as_str(), second.as_str()]);
    let ours: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(ours, listed.lines().collect::<Vec<_>>());

    let watched = git.changed_paths(&first, &second, Some(&paths(&["a", "**/four"]))).expect("comparable");
    assert_eq!(watched.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["a/one", "a/two", "b/four"]);
    let some = git.differing_paths(&first, &second, &Watched::All, 2).expect("comparable");
    assert_eq!((some.paths.len(), some.total), (2, 7));
    assert!(git.changed_paths(&first, &first, None).expect("comparable").is_empty());
}

#[test]
fn history_names_the_commits_that_changed_what_is_watched() {
    let repo = Repo::new();
    repo.commit_files(&[("train.py", "1"), ("README.md", "1")], "begin");
    repo.commit_files(&[("README.md", "2")], "docs");
    repo.git(&["checkout", "-q", "-b", "hotfix"]);
    repo.commit_files(&[("train.py", "2")], "hotfix #71");
    repo.git(&["checkout", "-q", "dev"]);
    repo.commit_files(&[("README.md", "3")], "more docs");
    repo.git(&["merge", "-q", "--no-ff", "-m", "Merge hotfix", "hotfix"]);
    repo.git(&["rm", "-q", "README.md"]);
    let head = repo.commit("away with docs");
    let git = repo.open();
    let watched = paths(&["train.py"]);
    let history = git.history(&head, &watched, 10).expect("a history");
    let subjects: Vec<&str> = history.commits.iter().map(|commit| commit.subject.as_str()).collect();
    assert_eq!((subjects, history.end), (vec!["hotfix #71", "begin"], HistoryEnd::Root));
    let one = git.history(&head, &watched, 1).expect("a history");
    assert_eq!((one.commits.len(), one.end), (1, HistoryEnd::Limit));
    let last = git.last_commit_touching(&head, &watched, 100).expect("a history").expect("touched");
    assert_eq!(last.subject, "hotfix #71");
    assert_eq!(git.last_commit_touching(&head, &watched, 1).expect("a history"), None);
    assert_eq!(git.last_commit_touching(&head, &paths(&["nothing"]), 100).expect("a history"), None);
}

fn objects(repo: &Repo) -> String {
    repo.git(&["count-objects", "-v"])
}

fn tree(merged: Merged) -> ObjectId {
    match merged {
        Merged::Tree(tree) => tree,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_merge_is_made_in_memory_and_equals_that_of_git() {
    let repo = Repo::new();
    let base = repo.commit_files(&[("train.py", "1\n2\n3\n4\n5\n6\n7\n"), ("old.py", "same\nsame\nsame\n")], "base");
    repo.git(&["checkout", "-q", "-b", "feature"]);
    repo.git(&["mv", "old.py", "new.py"]);
    let head = repo.commit_files(&[("train.py", "one\n2\n3\n4\n5\n6\n7\n")], "feature");
    repo.git(&["checkout", "-q", "dev"]);
    let dev = repo.commit_files(&[("train.py", "1\n2\n3\n4\n5\n6\nseven\n"), ("old.py", "same\nsame\nSAME\n")], "dev");
    let before = objects(&repo);
    let git = repo.open();
    assert_eq!(git.merge_base(&dev, &head).expect("an answer"), MergeBase::Found(base.clone()));
    let merged = tree(git.merged_tree(&dev, &head, None).expect("an answer"));
    assert_eq!(objects(&repo), before, "nothing was written");
    // The tree lives in memory, and every question can be asked of it.
    let text = git.read_file(&merged, "train.py").expect("readable").expect("there");
    assert_eq!(text, b"one\n2\n3\n4\n5\n6\nseven\n");
    assert_eq!(git.read_file(&merged, "new.py").expect("readable"), Some(b"same\nsame\nSAME\n".to_vec()));
    assert_eq!(git.watched_entries(&merged, &paths(&["*.py"])).expect("watched").len(), 2);
    assert_eq!(git.changed_paths(&dev, &merged, None).expect("comparable").len(), 3);

    repo.git(&["merge", "-q", "--no-ff", "-m", "merge", "feature"]);
    assert_eq!(merged, repo.at("HEAD^{tree}"));

    // Merging what is there already, or into what is behind, needs no merge.
    assert_eq!(tree(git.merged_tree(&base, &head, None).expect("an answer")), repo.at("feature^{tree}"));
    assert_eq!(tree(git.merged_tree(&head, &base, None).expect("an answer")), repo.at("feature^{tree}"));
}

#[test]
fn the_hosts_own_merge_counts_only_with_exactly_these_parents() {
    let repo = Repo::new();
    repo.commit_files(&[("x", "1")], "base");
    repo.git(&["checkout", "-q", "-b", "feature"]);
    let head = repo.commit_files(&[("f", "1")], "feature");
    repo.git(&["checkout", "-q", "dev"]);
    let dev = repo.commit_files(&[("d", "1")], "dev");
    // A merge that holds more than its parents, so that it can be told from ours.
    repo.git(&["merge", "-q", "--no-ff", "--no-commit", "feature"]);
    let merge = repo.commit_files(&[("by-hand", "1")], "merge");
    let git = repo.open();
    let theirs = repo.at("HEAD^{tree}");
    assert_eq!(tree(git.merged_tree(&dev, &head, Some(&merge)).expect("an answer")), theirs);
    assert_ne!(tree(git.merged_tree(&head, &dev, Some(&merge)).expect("an answer")), theirs);
    assert_ne!(tree(git.merged_tree(&dev, &head, Some(&head)).expect("an answer")), theirs);
}

#[test]
fn conflicts_name_their_paths() {
    let repo = Repo::new();
    repo.commit_files(&[("train.py", "1\n"), ("gone.py", "1\n"), ("calm.py", "1\n")], "base");
    repo.git(&["checkout", "-q", "-b", "feature"]);
    repo.git(&["rm", "-q", "gone.py"]);
    let head = repo.commit_files(&[("train.py", "2\n")], "feature");
    repo.git(&["checkout", "-q", "dev"]);
    let dev = repo.commit_files(&[("train.py", "3\n"), ("gone.py", "3\n")], "dev");
    let merged = repo.open().merged_tree(&dev, &head, None).expect("an answer");
    assert_eq!(merged, Merged::Conflict(vec!["gone.py".to_owned(), "train.py".to_owned()]));
}

#[test]
fn unrelated_histories_have_no_merge() {
    let repo = Repo::new();
    let one = repo.commit_files(&[("x", "1")], "one");
    repo.git(&["checkout", "-q", "--orphan", "other"]);
    let two = repo.commit_files(&[("y", "1")], "two");
    let git = repo.open();
    assert_eq!(git.merge_base(&one, &two).expect("an answer"), MergeBase::None);
    assert_eq!(git.merged_tree(&one, &two, None).expect("an answer"), Merged::Unknown(WhyUnknown::Unrelated));
}

fn said(git: &GitRepository, watched: &[&Watched]) -> Vec<String> {
    match git.uncommitted(watched).expect("an answer") {
        Uncommitted::Clean => Vec::new(),
        Uncommitted::Changed(files) => {
            files.into_iter().map(|file| format!("{} +{} -{}", file.path, file.added, file.removed)).collect()
        }
        Uncommitted::Unknown(why) => panic!("{why}"),
    }
}

#[test]
fn uncommitted_changes_are_counted_where_they_are_watched() {
    let repo = Repo::new();
    repo.write(".gitignore", "*.pyc\n");
    repo.commit_files(
        &[("train.py", "1\n2\n"), ("gone.py", "1\n"), ("features/a.py", "1\n"), ("README.md", "1\n")],
        "first",
    );
    let git = repo.open();
    let watched = paths(&["train.py", "gone.py", "features", "**/*.md"]);
    assert!(said(&git, &[&watched, &Watched::All]).is_empty());

    repo.write("train.py", "1\n2\n3\n4\n");
    fs::remove_file(repo.dir.join("gone.py")).expect("a file");
    repo.write("features/a.py", "staged\n");
    repo.git(&["add", "features/a.py"]);
    repo.write("features/new/b.py", "1\n2\n3\n");
    repo.write("features/c.pyc", "ignored");
    repo.write("notes.txt", "not watched\n");
    repo.write(".branchline/registry.db", "our own");
    let expected = ["features/a.py +1 -1", "features/new/b.py +3 -0", "gone.py +0 -1", "train.py +2 -0"];
    assert_eq!(said(&git, &[&watched]), expected);
    assert_eq!(said(&git, &[&paths(&["train.py"]), &paths(&["notes.txt"])]), ["notes.txt +1 -0", "train.py +2 -0"]);
    assert_eq!(said(&git, &[&Watched::All]).len(), 5);
    assert!(said(&git, &[&paths(&["README.md"])]).is_empty());
    assert!(said(&git, &[]).is_empty());

    let index = fs::read(repo.dir.join(".git/index")).expect("an index");
    said(&git, &[&Watched::All]);
    assert_eq!(fs::read(repo.dir.join(".git/index")).expect("an index"), index, "looking changes nothing");
}

#[cfg(unix)]
#[test]
fn a_mode_is_a_change_too() {
    use std::os::unix::fs::PermissionsExt as _;
    let repo = Repo::new();
    repo.commit_files(&[("run.sh", "x\n")], "first");
    fs::set_permissions(repo.dir.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("a mode");
    assert_eq!(said(&repo.open(), &[&paths(&["run.sh"])]), ["run.sh +0 -0"]);
}

#[test]
fn before_the_first_commit_everything_is_uncommitted() {
    let repo = Repo::new();
    repo.write("train.py", "1\n");
    assert_eq!(said(&repo.open(), &[&Watched::All]), ["train.py +1 -0"]);
}

#[test]
fn what_a_sparse_checkout_left_out_is_not_deleted() {
    let repo = Repo::new();
    let commit = repo.commit_files(&[("in/a.py", "1\n"), ("out/b.py", "1\n")], "first");
    repo.git(&["sparse-checkout", "set", "in"]);
    assert!(!repo.dir.join("out").exists(), "left out");
    let git = repo.open();
    assert!(said(&git, &[&Watched::All, &paths(&["out"])]).is_empty());
    let dest = repo.root.path().join("dest");
    assert_eq!(git.checkout(&commit, &paths(&["out"]), &dest).expect("a checkout").files, 1);
    assert!(dest.join("out/b.py").exists(), "from the object database");
}

#[test]
fn a_file_that_lfs_expanded_is_not_changed() {
    let repo = Repo::new();
    let data = "the real data\n";
    let digest = branchline::model::digest::Sha256Digest::of(data.as_bytes());
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {}\n", data.len());
    repo.commit_files(&[("data.bin", pointer.as_str())], "first");
    repo.write("data.bin", data);
    assert!(said(&repo.open(), &[&paths(&["data.bin"])]).is_empty());
    repo.write("data.bin", "the REAL data\n");
    assert_eq!(said(&repo.open(), &[&paths(&["data.bin"])]).len(), 1);
}
