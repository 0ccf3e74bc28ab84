//! The hermetic checkout: exactly the watched files, and nothing that a hostile commit could smuggle out.

use crate::git::Repo;
use crate::git::paths;
use branchline::adapters::git::CheckedOut;
use branchline::adapters::git::CheckoutNote;
use branchline::adapters::git::GitError;
use branchline::adapters::git::WatchError;
use branchline::model::git::ObjectId;
use branchline::model::settings::Watched;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

fn dest(repo: &Repo, name: &str) -> PathBuf {
    repo.root.path().join(name)
}

fn checkout(repo: &Repo, commit: &ObjectId, watched: &Watched, name: &str) -> Result<CheckedOut, GitError> {
    repo.open().checkout(commit, watched, &dest(repo, name))
}

/// Lists a folder: modes, paths, and contents or link targets.
fn listed(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in walkdir::WalkDir::new(dir).min_depth(1).sort_by_file_name() {
        let entry = entry.expect("a readable folder");
        let path = entry.path().strip_prefix(dir).expect("below it").display().to_string();
        if entry.file_type().is_symlink() {
            lines.push(format!("link {path} -> {}", fs::read_link(entry.path()).expect("a link").display()));
        } else if entry.file_type().is_file() {
            let mode = entry.metadata().expect("a file").permissions().mode() & 0o777;
            lines.push(format!("{mode:o} {path} {:?}", fs::read_to_string(entry.path()).expect("text")));
        }
    }
    lines
}

#[test]
fn only_the_watched_files_of_that_very_commit() {
    let repo = Repo::new();
    repo.write("run.sh", "#!/bin/sh\r\n");
    repo.write("features/deep/a.py", "a");
    repo.write("docs/x.md", "x");
    repo.write("conf/a.yaml", "yaml");
    repo.write("conf/b.txt", "txt");
    repo.write(".gitattributes", "* text eol=crlf\n*.py filter=lfs\n");
    repo.git(&["add", "-A"]);
    repo.git(&["update-index", "--chmod=+x", "run.sh"]);
    repo.git(&["commit", "-q", "-m", "first"]);
    let commit = repo.at("HEAD");
    // The working tree and the index have moved on. Neither is looked at.
    repo.write("features/deep/a.py", "changed");
    repo.write("features/untracked.py", "new");
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "later"]);
    repo.write("run.sh", "dirty");

    let done = checkout(&repo, &commit, &paths(&["run.sh", "features", "conf/*.yaml"]), "out").expect("a checkout");
    let expected = ["644 conf/a.yaml \"yaml\"", "644 features/deep/a.py \"a\"", "755 run.sh \"#!/bin/sh\\n\""];
    assert_eq!(listed(&dest(&repo, "out")), expected, "the bytes of the commit, whatever filters would do");
    assert_eq!((done.files, done.bytes, done.notes.len()), (3, 15, 0));

    let all = checkout(&repo, &commit, &Watched::All, "all").expect("a checkout");
    assert_eq!(all.files, 6);
    assert!(!dest(&repo, "all/.git").exists());
}

#[test]
fn an_empty_folder_will_do_and_a_full_one_will_not() {
    let repo = Repo::new();
    let commit = repo.commit_files(&[("train.py", "x")], "first");
    fs::create_dir(dest(&repo, "empty")).expect("a folder");
    checkout(&repo, &commit, &Watched::All, "empty").expect("a checkout");
    let again = checkout(&repo, &commit, &Watched::All, "empty").expect_err("not empty");
    assert!(matches!(again, GitError::NotEmpty { .. }), "{again}");
}

#[test]
fn missing_paths_stop_before_anything_is_written() {
    let repo = Repo::new();
    let commit = repo.commit_files(&[("train.py", "x")], "first");
    let error = checkout(&repo, &commit, &paths(&["train.py", "nope"]), "out").expect_err("missing");
    assert!(matches!(&error, GitError::Watched(inner) if matches!(**inner, WatchError::Missing { .. })), "{error}");
    assert!(!dest(&repo, "out").exists());
}

#[test]
fn data_are_laid_out_without_the_folders_above_them() {
    let repo = Repo::new();
    let commit = repo.commit_files(&[("data/train.csv", "1"), ("data/images/a/1.png", "2")], "first");
    let git = repo.open();
    git.checkout_data(&commit, "data/train.csv", &dest(&repo, "file")).expect("a checkout");
    assert_eq!(listed(&dest(&repo, "file")), ["644 train.csv \"1\""]);
    git.checkout_data(&commit, "data/images/", &dest(&repo, "folder")).expect("a checkout");
    assert_eq!(listed(&dest(&repo, "folder")), ["644 a/1.png \"2\""]);
    assert!(git.checkout_data(&commit, "data/none", &dest(&repo, "none")).is_err());
}

#[test]
fn links_stay_inside_and_others_are_left_out() {
    let repo = Repo::new();
    let links = [
        ("inside", "lib/a.py"),
        ("lib/up", "../train.py"),
        ("folder", "lib"),
        ("absolute", "/etc/passwd"),
        ("outside", "../secret"),
        ("lib/far", "../../secret"),
        ("lib/top", ".."),
        ("sneaky", "lib/top/../../secret"),
        ("through", "outside"),
        ("circle", "circle"),
        ("dangling", "not-watched/x.py"),
    ];
    for (path, target) in links {
        fs::create_dir_all(dest(&repo, "repo/lib")).expect("a folder");
        std::os::unix::fs::symlink(target, repo.dir.join(path)).expect("a link");
    }
    fs::write(dest(&repo, "secret"), "secret").expect("a file");
    repo.write("not-watched/x.py", "x");
    let commit = repo.commit_files(&[("train.py", "t"), ("lib/a.py", "a")], "first");
    let watched =
        ["inside", "lib", "folder", "absolute", "outside", "sneaky", "through", "circle", "dangling", "train.py"];
    let done = checkout(&repo, &commit, &paths(&watched), "out").expect("a checkout");
    let expected = [
        "link dangling -> not-watched/x.py",
        "link folder -> lib",
        "link inside -> lib/a.py",
        "644 lib/a.py \"a\"",
        "link lib/top -> ..",
        "link lib/up -> ../train.py",
        "644 train.py \"t\"",
    ];
    assert_eq!(listed(&dest(&repo, "out")), expected);
    let refused: Vec<&str> = done
        .notes
        .iter()
        .filter_map(|note| match note {
            CheckoutNote::LinkRefused { path, .. } => Some(path.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(refused, ["absolute", "circle", "lib/far", "outside", "sneaky", "through"]);
    let dangling = CheckoutNote::LinkDangling { path: "dangling".to_owned(), target: "not-watched/x.py".to_owned() };
    assert!(done.notes.contains(&dangling));
}

#[test]
fn pointers_and_submodules_are_named() {
    let repo = Repo::new();
    let lfs = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 77\n", "a".repeat(64));
    repo.write("data.bin", lfs);
    repo.git(&["add", "-A"]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},sub", "1".repeat(40))]);
    repo.git(&["commit", "-q", "-m", "first"]);
    let done = checkout(&repo, &repo.at("HEAD"), &Watched::All, "out").expect("a checkout");
    let notes: Vec<String> = done.notes.iter().map(CheckoutNote::to_string).collect();
    assert_eq!(
        notes,
        [
            "data.bin is an LFS pointer, not the data (77 bytes): declare it under `data`",
            "sub is a submodule and is not included"
        ]
    );
}

#[test]
fn names_that_no_honest_commit_has_are_refused() {
    let repo = Repo::new();
    let blob = repo.blob(b"evil");
    let inner = repo.raw_tree(&[("100644", b"config", &blob)]);
    let evil: [(&str, &[u8], &ObjectId); 10] = [
        ("100644", b"..", &blob),
        ("40000", b"..", &inner),
        ("40000", b".", &inner),
        ("40000", b".git", &inner),
        ("40000", b".GIT", &inner),
        ("40000", b"git~1", &inner),
        ("100644", b"/etc/evil", &blob),
        ("100644", b"../evil", &blob),
        ("100644", b"a/b", &blob),
        ("40000", b".git ", &inner),
    ];
    for (mode, name, object) in evil {
        let tree = repo.raw_tree(&[(mode, name, object)]);
        let shown = String::from_utf8_lossy(name);
        let error = checkout(&repo, &tree, &Watched::All, "out").expect_err(&shown);
        assert!(matches!(error, GitError::Hostile { .. }), "{shown}: {error}");
        assert!(!dest(&repo, "out").exists(), "{shown}: nothing was written");
        assert!(!dest(&repo, "evil").exists());
    }
}

#[test]
fn a_file_is_never_written_through_a_link() {
    let repo = Repo::new();
    let blob = repo.blob(b"evil");
    fs::create_dir(dest(&repo, "elsewhere")).expect("a folder");
    let target = repo.blob(dest(&repo, "elsewhere").display().to_string().as_bytes());
    let inner = repo.raw_tree(&[("100644", b"evil", &blob)]);
    // The same name as a link and as a folder.
    let tree = repo.raw_tree(&[("120000", b"a", &target), ("40000", b"a", &inner)]);
    let done = checkout(&repo, &tree, &Watched::All, "one").expect("the link leads outside and is left out");
    assert!(matches!(done.notes[..], [CheckoutNote::LinkRefused { .. }]));
    assert!(!dest(&repo, "elsewhere/evil").exists());
    let inside = repo.blob(b"b");
    let tree = repo.raw_tree(&[("120000", b"a", &inside), ("40000", b"a", &inner), ("40000", b"b", &inner)]);
    assert!(matches!(checkout(&repo, &tree, &Watched::All, "two"), Err(GitError::Collision { .. })));
    assert!(fs::symlink_metadata(dest(&repo, "two/a")).expect("a folder").is_dir());
    // Twice the same file, and a file that is also a folder.
    let twice = repo.raw_tree(&[("100644", b"a", &blob), ("100644", b"a", &target)]);
    assert!(matches!(checkout(&repo, &twice, &Watched::All, "three"), Err(GitError::Hostile { .. })));
    let both = repo.raw_tree(&[("100644", b"a", &blob), ("40000", b"a", &inner)]);
    assert!(matches!(checkout(&repo, &both, &Watched::All, "four"), Err(GitError::Collision { .. })));
}

#[test]
fn names_that_differ_only_by_case_are_both_there() {
    let repo = Repo::new();
    let blob = repo.blob(b"x");
    let tree = repo.raw_tree(&[("100644", b"Makefile", &blob), ("100644", b"makefile", &blob)]);
    let done = checkout(&repo, &tree, &Watched::All, "out");
    if dest(&repo, "out/MAKEFILE").exists() {
        assert!(matches!(done, Err(GitError::Collision { .. })), "this file system ignores case");
    } else {
        assert_eq!(done.expect("a checkout").files, 2);
    }
}

#[test]
fn names_that_are_not_utf8_keep_their_bytes() {
    use std::os::unix::ffi::OsStrExt as _;
    let repo = Repo::new();
    let blob = repo.blob(b"x");
    let tree = repo.raw_tree(&[("100644", b"caf\xe9.py", &blob)]);
    checkout(&repo, &tree, &Watched::All, "out").expect("a checkout");
    assert!(dest(&repo, "out").join(std::ffi::OsStr::from_bytes(b"caf\xe9.py")).exists());
}
