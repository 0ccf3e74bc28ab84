//! What a model watches: entries, globs, missing paths, single files and pointers.

use crate::git::Repo;
use crate::git::id;
use crate::git::paths;
use branchline::adapters::git::GitError;
use branchline::adapters::git::GitRepository;
use branchline::adapters::git::ObjectKind;
use branchline::adapters::git::WatchError;
use branchline::model::git::ObjectId;
use branchline::model::settings::Watched;

fn listed(git: &GitRepository, commit: &ObjectId, watched: &Watched) -> Vec<String> {
    let entries = git.watched_entries(commit, watched).expect("all paths exist");
    entries.into_iter().map(|entry| format!("{} {} {}", entry.mode, entry.path, entry.object.short())).collect()
}

fn names(git: &GitRepository, commit: &ObjectId, texts: &[&str]) -> Vec<String> {
    let entries = git.watched_entries(commit, &paths(texts)).expect("all paths exist");
    entries.into_iter().map(|entry| entry.path).collect()
}

#[test]
fn files_folders_globs_and_everything() {
    let repo = Repo::new();
    let files = ["train.py", "features/a.py", "features/deep/b.py", "features/deep/b.txt", "docs/a.py"];
    let files: Vec<_> = files.iter().map(|path| (*path, *path)).collect();
    let commit = repo.commit_files(&files, "first");
    let git = repo.open();
    let short = |text: &str| repo.at(text).short().to_owned();

    let expected = vec![
        format!("040000 features {}", short("HEAD:features")),
        format!("100644 train.py {}", short("HEAD:train.py")),
    ];
    assert_eq!(listed(&git, &commit, &paths(&["train.py", "features"])), expected);
    assert_eq!(listed(&git, &commit, &Watched::All), [format!("040000  {}", short("HEAD^{tree}"))]);
    // A tree is as good as a commit: predictions are made on the tree of a merge.
    assert_eq!(listed(&git, &repo.at("HEAD^{tree}"), &paths(&["train.py", "features"])), expected);

    assert_eq!(names(&git, &commit, &["features/*.py"]), ["features/a.py"]);
    assert_eq!(names(&git, &commit, &["**/*.py"]), ["docs/a.py", "features/a.py", "features/deep/b.py", "train.py"]);
    assert_eq!(names(&git, &commit, &["features/**"]), ["features/a.py", "features/deep/b.py", "features/deep/b.txt"]);
    assert_eq!(names(&git, &commit, &["{docs,features}/[a-b].py"]), ["docs/a.py", "features/a.py"]);
    assert_eq!(names(&git, &commit, &["**/b.*", "features/deep/*"]), ["features/deep/b.py", "features/deep/b.txt"]);
}

#[test]
fn a_glob_agrees_with_ls_tree_on_every_file() {
    let repo = Repo::new();
    let mut files = Vec::new();
    for folder in ["", "a/", "a/b/", "a/b/c/", "x/", "x/b/"] {
        for name in ["one.py", "two.txt", "three.py", ".hidden.py"] {
            files.push((format!("{folder}{name}"), name));
        }
    }
    let files: Vec<_> = files.iter().map(|(path, content)| (path.as_str(), *content)).collect();
    let commit = repo.commit_files(&files, "first");
    let listing = repo.git(&["ls-tree", "-r", "--name-only", "HEAD"]);
    for pattern in ["**/*.py", "a/**/*.py", "*/b/*", "a/*/c/**", "**/b/**", "?/*.py", "**", "{a,x}/**/o*", "[ax]/t*"] {
        let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build().expect("a glob");
        let matcher = glob.compile_matcher();
        let expected: Vec<&str> = listing.lines().filter(|path| matcher.is_match(path)).collect();
        assert!(!expected.is_empty(), "{pattern} proves something");
        assert_eq!(names(&repo.open(), &commit, &[pattern]), expected, "{pattern}");
    }
}

#[test]
fn a_name_with_brackets_is_found_as_written() {
    let repo = Repo::new();
    let commit = repo.commit_files(&[("data[1].csv", "x"), ("data1.csv", "y")], "first");
    assert_eq!(names(&repo.open(), &commit, &["data[1].csv"]), ["data1.csv", "data[1].csv"]);
}

#[test]
fn all_missing_paths_are_named_with_what_was_meant() {
    let repo = Repo::new();
    let commit = repo.commit_files(&[("train.py", "x"), ("features/build.py", "x"), ("src/model.py", "x")], "first");
    repo.write("new.py", "not committed");
    let watched = paths(&["trian.py", "feature/build.py", "lib/model.py", "*.toml", "new.py", "train.py", "zzz"]);
    let error = repo.open().watched_entries(&commit, &watched).expect_err("missing paths");
    let expected = format!(
        "not in commit {}: `trian.py` (did you mean `train.py`?), `feature/build.py` (did you mean \
         `features/build.py`?), `lib/model.py` (did you mean `src/model.py`?), `*.toml`, `new.py` (on disk, but not \
         committed), `zzz`; correct `paths`, or commit the files",
        commit.short()
    );
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error, WatchError::Missing { paths, .. } if paths.len() == 6));
}

#[test]
fn a_path_through_a_file_is_missing() {
    let repo = Repo::new();
    let commit = repo.commit_files(&[("train.py", "x")], "first");
    for path in ["train.py/x", "../train.py", "/train.py", "train.py//"] {
        let found = repo.open().watched_entries(&commit, &paths(&[path]));
        assert_eq!(found.is_err(), path != "train.py//", "{path}");
    }
}

#[test]
fn names_that_are_not_utf8_are_refused_only_where_a_glob_meets_them() {
    let repo = Repo::new();
    let blob = repo.blob(b"x");
    let tree = repo.raw_tree(&[("100644", b"caf\xe9.py", &blob), ("100644", b"train.py", &blob)]);
    let git = repo.open();
    assert_eq!(names(&git, &tree, &["train.py"]), ["train.py"]);
    assert_eq!(names(&git, &tree, &["t*.py"]), ["train.py"]);
    let error = git.watched_entries(&tree, &paths(&["*.py"])).expect_err("not UTF-8");
    assert!(matches!(error, WatchError::Git(GitError::NotUtf8 { .. })), "{error}");
}

#[test]
fn single_entries_and_files() {
    let repo = Repo::new();
    repo.write("run.sh", "#!/bin/sh\n");
    repo.write("conf/branchline.yaml", "version: 1\n");
    repo.git(&["add", "-A"]);
    repo.git(&["update-index", "--chmod=+x", "run.sh"]);
    let link = repo.blob(b"run.sh");
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("120000,{link},link")]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},sub", "1".repeat(40))]);
    repo.git(&["commit", "-q", "-m", "first"]);
    let (git, commit) = (repo.open(), repo.at("HEAD"));
    let kind = |path: &str| git.tree_object(&commit, path).expect("readable").map(|object| (object.mode, object.kind));
    assert_eq!(kind("run.sh"), Some(("100755".to_owned(), ObjectKind::Executable)));
    assert_eq!(kind("conf"), Some(("040000".to_owned(), ObjectKind::Folder)));
    assert_eq!(kind("conf/branchline.yaml"), Some(("100644".to_owned(), ObjectKind::File)));
    assert_eq!(kind("link"), Some(("120000".to_owned(), ObjectKind::Symlink)));
    assert_eq!(kind("sub"), Some(("160000".to_owned(), ObjectKind::Submodule)));
    assert_eq!(kind("nope"), None);

    assert_eq!(git.read_file(&commit, "conf/branchline.yaml").expect("a file"), Some(b"version: 1\n".to_vec()));
    assert_eq!(git.read_file(&commit, "branchline.yaml").expect("no file"), None);
    for path in ["conf", "link", "sub"] {
        assert!(matches!(git.read_file(&commit, path), Err(GitError::NotAFile { .. })), "{path}");
    }
}

#[test]
fn a_tree_that_is_deeper_than_any_project_is_an_error() {
    let repo = Repo::new();
    let blob = repo.blob(b"x");
    let mut tree = repo.raw_tree(&[("100644", b"x.py", &blob)]);
    let odb = git2::Repository::open(&repo.dir).expect("a repository");
    for _ in 0..600 {
        let mut builder = odb.treebuilder(None).expect("a builder");
        let oid = git2::Oid::from_str(tree.as_str()).expect("an id");
        builder.insert("d", oid, 0o040_000).expect("an entry");
        tree = id(&builder.write().expect("a tree").to_string());
    }
    let error = repo.open().watched_entries(&tree, &paths(&["**/*.py"])).expect_err("too deep");
    assert!(matches!(error, WatchError::Git(GitError::TooLarge { .. })), "{error}");
}

#[test]
fn pointers_fix_data_that_git_does_not_hold() {
    let repo = Repo::new();
    let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
    let lfs = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
    let dvc = "outs:\n- md5: a304afb96060aad90176268345e10355\n  size: 37\n  hash: md5\n  path: train.csv\n";
    let folder = "wdir: ..\nouts:\n- md5: 0a0b.dir\n  nfiles: 2\n  path: data/images\n";
    let lock = "schema: '2.0'\nstages:\n  prepare:\n    cmd: python prepare.py\n    deps:\n    - path: data/train.csv\n      \
                md5: ffff\n    outs:\n    - path: out/a.csv\n      md5: '1111'\n    - path: out/b\n      md5: 2222.dir\n";
    let commit = repo.commit_files(
        &[
            ("data/big.bin", &lfs),
            ("data/plain.csv", "1,2\n"),
            ("data/train.csv.dvc", dvc),
            ("data/images.dvc", folder),
            ("dvc.lock", lock),
            ("bad.dvc", "outs:\n- path: x\n"),
        ],
        "first",
    );
    let git = repo.open();
    let pointer = |path: &str| git.pointer(&commit, path).expect("readable").map(|hash| hash.to_string());
    assert_eq!(pointer("data/big.bin"), Some(format!("sha256:{oid}")));
    assert_eq!(pointer("data/plain.csv"), None);
    assert_eq!(pointer("data"), None);
    assert_eq!(pointer("nowhere.csv"), None);
    let train = Some("md5:a304afb96060aad90176268345e10355".to_owned());
    assert_eq!(pointer("data/train.csv"), train);
    assert_eq!(pointer("data/train.csv.dvc"), train);
    assert_eq!(pointer("data/images"), Some("md5:0a0b.dir".to_owned()));
    assert_eq!(pointer("data/images/one.png"), Some("md5:0a0b.dir".to_owned()));
    assert_eq!(pointer("out/a.csv"), Some("md5:1111".to_owned()));
    assert_eq!(pointer("out/b/part-0"), Some("md5:2222.dir".to_owned()));
    let whole = pointer("dvc.lock").expect("a lock");
    assert!(whole.starts_with("sha256:") && whole.len() == 71, "{whole}");
    let error = git.pointer(&commit, "bad.dvc").expect_err("no hash");
    assert_eq!(error.to_string(), "cannot identify the data of `bad.dvc`");
}
