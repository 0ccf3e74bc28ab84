//! What a model watches: entries, globs, missing paths, single files and pointers.

use crate::git::Repo;
use crate::git::id;
use crate::git::paths;
use branchline::adapters::git::GitError;
use branchline::adapters::git::GitRepository;
use branchline::adapters::git::ObjectKind;
use branchline::adapters::git::StandIn;
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
    let (ones, twos, threes) = ("1".repeat(32), "2".repeat(32), "3".repeat(32));
    let folder = format!("wdir: ..\nouts:\n- md5: {threes}.dir\n  nfiles: 2\n  path: data/images\n");
    let stages = format!(
        "prepare:\n    cmd: python prepare.py\n    deps:\n    - path: data/train.csv\n      md5: ffff\n    outs:\n    - \
         path: out/a.csv\n      md5: '{ones}'\n    - path: out/b\n      md5: {twos}.dir\n"
    );
    let lock = format!("schema: '2.0'\nstages:\n  {stages}");
    let commit = repo.commit_files(
        &[
            ("data/big.bin", &lfs),
            ("data/plain.csv", "1,2\n"),
            ("data/train.csv.dvc", dvc),
            ("data/images.dvc", &folder),
            ("dvc.lock", &lock),
            ("old/dvc.lock", &stages),
            ("bad.dvc", "outs:\n- path: x\n"),
        ],
        "first",
    );
    let git = repo.open();
    let pointer = |path: &str| git.pointer(&commit, path).expect("readable").map(|found| found.hash.to_string());
    assert_eq!(pointer("data/big.bin"), Some(format!("sha256:{oid}")));
    assert_eq!(pointer("data/plain.csv"), None);
    assert_eq!(pointer("data"), None);
    assert_eq!(pointer("nowhere.csv"), None);
    let train = Some("md5:a304afb96060aad90176268345e10355".to_owned());
    assert_eq!(pointer("data/train.csv"), train);
    assert_eq!(pointer("data/train.csv.dvc"), train);
    assert_eq!(pointer("data/images"), Some(format!("md5:{threes}.dir")));
    assert_eq!(pointer("data/images/one.png"), Some(format!("md5:{threes}.dir")));
    assert_eq!(pointer("out/a.csv"), Some(format!("md5:{ones}")));
    assert_eq!(pointer("out/b/part-0"), Some(format!("md5:{twos}.dir")));
    assert_eq!(pointer("old/out/a.csv"), Some(format!("md5:{ones}")), "dvc.lock before schema 2.0");
    let whole = pointer("dvc.lock").expect("a lock");
    assert!(whole.starts_with("sha256:") && whole.len() == 71, "{whole}");
    let error = git.pointer(&commit, "bad.dvc").expect_err("no hash");
    let told = error.to_string();
    assert!(told.starts_with("cannot read `bad.dvc` as a file of DVC: it records no hash for x"), "{told}");
}

#[test]
fn a_pointer_file_without_bounds_ends_soon_and_says_why() {
    let repo = Repo::new();
    let deep = format!("outs: {}", "[".repeat(300_000));
    let bomb = "a: &a [x, x, x]\nouts: [*a, *a]\n";
    let large = format!("outs:\n- md5: {}\n  path: x\n# {}\n", "1".repeat(32), "x".repeat(5 << 20));
    let leaving = format!("outs:\n- md5: {}\n  path: ../../etc/passwd\n", "1".repeat(32));
    let odd = "outs:\n- md5: 1234\n  path: x\n";
    let files = [("deep", deep.as_str()), ("bomb", bomb), ("large", &large), ("leaving", &leaving), ("odd", odd)];
    let named: Vec<(String, &str)> = files.iter().map(|(name, text)| (format!("data/{name}.dvc"), *text)).collect();
    let named: Vec<(&str, &str)> = named.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let commit = repo.commit_files(&named, "first");
    let git = repo.open();
    for (name, words) in [
        ("deep", "limit"),
        ("bomb", "reference"),
        ("large", "larger than"),
        ("leaving", "leaves the repository"),
        ("odd", "no MD5 hash"),
    ] {
        for path in [format!("data/{name}"), format!("data/{name}.dvc")] {
            let error = git.pointer(&commit, &path).expect_err("it is refused");
            assert!(matches!(&error, GitError::Pointer { why, .. } if why.contains(words)), "{path}: {error}");
        }
    }
}

#[test]
fn what_stands_in_for_content_is_found_inside_of_folders() {
    let repo = Repo::new();
    let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
    let lfs = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
    let dvc = format!("outs:\n- md5: {}\n  path: b.csv\n", "1".repeat(32));
    repo.commit_files(&[("data/deep/a.bin", &lfs), ("data/deep/b.csv.dvc", &dvc), ("train.py", "x\n")], "first");
    let head = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},data/sub", head.trim())]);
    repo.git(&["commit", "-q", "-m", "a submodule"]);
    let commit = ObjectId::parse(repo.git(&["rev-parse", "HEAD"]).trim()).expect("an id");
    let git = repo.open();
    let told = |found: Vec<StandIn>| found.iter().map(ToString::to_string).collect::<Vec<_>>();
    let inside = git.data_stand_ins(&commit, "data").expect("readable");
    let pointed: Vec<String> = inside
        .iter()
        .cloned()
        .flat_map(StandIn::into_pointed)
        .map(|one| format!("{} {}", one.path, one.hash))
        .collect();
    assert_eq!(pointed, [format!("data/deep/a.bin {oid}"), format!("data/deep/b.csv {}", "1".repeat(32))]);
    assert!(told(inside).contains(&"data/sub is a submodule, which is not included".to_owned()));
    for watched in [Watched::All, Watched::Paths(vec!["data".to_owned()]), Watched::Paths(vec!["data/**".to_owned()])] {
        let found = told(git.watched_stand_ins(&commit, &watched).expect("readable"));
        let lfs = "data/deep/a.bin is a Git LFS pointer: the training run gets the pointer".to_owned();
        assert!(found.contains(&lfs), "{watched:?}: {found:?}");
        assert!(found.contains(&"data/sub is a submodule, which is not included".to_owned()), "{watched:?}: {found:?}");
    }
    let code = Watched::Paths(vec!["train.py".to_owned()]);
    assert_eq!(git.watched_stand_ins(&commit, &code).expect("readable"), []);
    assert!(git.pointer(&commit, "data/sub").expect("a submodule is no pointer").is_none());
}

#[test]
fn a_link_to_what_the_training_run_does_not_get_is_left_out() {
    let repo = Repo::new();
    let first = [("lib/f.py", "x = 1\n"), ("conf/a", "a\n"), ("conf/deep/b", "b\n"), ("data/a.csv", "1\n")];
    repo.commit_files(&first, "first");
    for (link, target) in [
        ("conf/shared", "../lib"),
        ("conf/here", "deep"),
        ("conf/through", "here/b"),
        ("conf/gone", "none"),
        ("data/out.csv", "../conf/a"),
        ("data/same.csv", "a.csv"),
    ] {
        std::os::unix::fs::symlink(target, repo.dir.join(link)).expect("it can be linked");
    }
    let commit = repo.commit("links");
    let git = repo.open();
    let told = |found: Vec<StandIn>| found.iter().map(ToString::to_string).collect::<Vec<_>>();
    let of = |paths: &[&str]| Watched::Paths(paths.iter().map(|path| (*path).to_owned()).collect());
    let gone = "conf/gone links to none, which is not included";
    let shared = "conf/shared links to ../lib, which is not included";
    let watched = |watched: &Watched| told(git.watched_stand_ins(&commit, watched).expect("readable"));
    assert_eq!(watched(&of(&["conf"])), [gone, shared]);
    assert_eq!(watched(&of(&["conf/**"])), [gone, shared]);
    assert_eq!(watched(&of(&["conf", "lib/f.py"])), [gone]);
    assert_eq!(watched(&Watched::All), [gone]);
    let data = told(git.data_stand_ins(&commit, "data").expect("readable"));
    assert_eq!(data, ["data/out.csv links to ../conf/a, which is not included"]);
}

#[test]
fn a_folder_that_only_keeps_its_place_holds_no_data() {
    let repo = Repo::new();
    let files = [
        ("kept/.gitkeep", ""),
        ("ignored/.gitignore", "*\n!.gitignore\n"),
        ("empty/a.csv", ""),
        ("data/deep/a.csv", "1\n"),
    ];
    let commit = repo.commit_files(&[&files[..], &[("data/.gitkeep", "")]].concat(), "first");
    let git = repo.open();
    let holds = |path| git.holds_content(&commit, path).expect("readable");
    assert_eq!(["kept", "ignored", "empty", "data"].map(holds), [false, false, false, true]);
}
