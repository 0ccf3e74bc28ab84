//! The proof of identity: test vectors that another implementation can check, and what does and does not make another
//! code id in real repositories.

use crate::git::Repo;
use crate::git::id;
use crate::git::open;
use crate::git::paths;
use branchline::adapters::git::GitRepository;
use branchline::adapters::git::Merged;
use branchline::model::cloud::CloudSettings;
use branchline::model::dataset::Dataset;
use branchline::model::dataset::DatasetKind;
use branchline::model::digest::Sha256Digest;
use branchline::model::git::ObjectId;
use branchline::model::identity::CodeId;
use branchline::model::identity::WatchedEntry;
use branchline::model::identity::code_id;
use branchline::model::identity::code_id_fields;
use branchline::model::identity::content_id;
use branchline::model::identity::fingerprint;
use branchline::model::identity::fingerprint_fields;
use branchline::model::metric::MetricName;
use branchline::model::name::ChannelName;
use branchline::model::settings::DataSource;
use branchline::model::settings::Outputs;
use branchline::model::settings::TrainingSettings;
use branchline::model::settings::Watched;
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    #[serde(rename = "about")]
    _about: String,
    input: Input,
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    settings: TrainingSettings,
    entries: Vec<WatchedEntry>,
    datasets: BTreeMap<ChannelName, Dataset>,
    image_digest: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    code_id_bytes: String,
    code_id: String,
    content_bytes: String,
    content_id: String,
    fingerprint_bytes: String,
    fingerprint: String,
}

#[test]
fn the_test_vectors_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/identity");
    let mut seen = 0;
    for file in fs::read_dir(&folder).expect("the test vectors") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        seen += 1;
        let name = path.display();
        let text = fs::read_to_string(&path).expect("a test vector");
        let Vector { input, expected, .. } = serde_json::from_str(&text).expect("a test vector");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");

        let code = code_id(&input.settings, &input.entries);
        assert_eq!(text(code_id_fields(&input.settings, &input.entries).bytes()), expected.code_id_bytes, "{name}");
        assert_eq!(code.to_string(), expected.code_id, "{name}");
        assert_eq!(Sha256Digest::of(expected.content_bytes.as_bytes()).as_str(), expected.content_id, "{name}");
        assert_eq!(content_id(&code, &input.datasets).to_string(), expected.content_id, "{name}");
        let image = input.image_digest.as_deref();
        let bytes = fingerprint_fields(&code, &input.datasets, image);
        assert_eq!(text(bytes.bytes()), expected.fingerprint_bytes, "{name}");
        assert_eq!(fingerprint(&code, &input.datasets, image).to_string(), expected.fingerprint, "{name}");
    }
    assert_eq!(seen, 5, "every vector was found");
}

fn settings(watched: Watched) -> TrainingSettings {
    let channel = |name: &str| ChannelName::parse(name).expect("a name");
    let source = DataSource { uri: "data/train.csv".to_owned(), version: None, version_from: None };
    TrainingSettings {
        watched,
        command: Some("python3 train.py".to_owned()),
        image: Some("train:1.2".to_owned()),
        hyperparameters: BTreeMap::from([("max_depth".to_owned(), "5".to_owned())]),
        environment: BTreeMap::from([("PYTHONHASHSEED".to_owned(), "0".to_owned())]),
        data: BTreeMap::from([(channel("train"), source)]),
        metrics: BTreeMap::from([(MetricName::parse("accuracy").expect("a name"), "acc=(.*)".to_owned())]),
        outputs: Outputs::default(),
        signature: None,
        max_runtime: None,
        cloud: CloudSettings::default(),
        serve: None,
    }
}

/// The code id of a commit or tree, as a run would find it.
fn code_at(git: &GitRepository, at: &ObjectId, watched: &[&str]) -> CodeId {
    let watched = paths(watched);
    let entries = git.watched_entries(at, &watched).expect("all paths exist");
    code_id(&settings(watched), &entries)
}

const WATCHED: [&str; 3] = ["features", "libs/*.py", "train.py"];

/// A repository whose branch `feature` changes what is watched in two commits, while `dev` went on elsewhere.
fn two_branches() -> (Repo, CodeId) {
    let repo = Repo::new();
    let files = [("train.py", "1\n"), ("features/a.py", "1\n"), ("libs/x.py", "1\n"), ("README.md", "1\n")];
    repo.commit_files(&files, "base");
    repo.git(&["checkout", "-q", "-b", "feature"]);
    repo.commit_files(&[("train.py", "2\n")], "one");
    repo.commit_files(&[("features/b.py", "2\n")], "two");
    let code = code_at(&repo.open(), &repo.at("feature"), &WATCHED);
    repo.git(&["checkout", "-q", "dev"]);
    repo.commit_files(&[("README.md", "2\n"), ("docs/x.md", "x")], "docs");
    assert_ne!(code_at(&repo.open(), &repo.at("dev"), &WATCHED), code);
    (repo, code)
}

#[test]
fn every_way_to_merge_keeps_the_code_id() {
    let ways: [(&str, &[&[&str]]); 5] = [
        ("merge commit", &[&["merge", "-q", "--no-ff", "-m", "merge", "feature"]]),
        ("squash", &[&["merge", "-q", "--squash", "feature"], &["commit", "-q", "-m", "squashed (#7)"]]),
        ("rebase", &[&["checkout", "-q", "feature"], &["rebase", "-q", "dev"]]),
        ("cherry-pick", &[&["cherry-pick", "dev..feature"]]),
        ("other order", &[&["cherry-pick", "feature"], &["cherry-pick", "feature~1"]]),
    ];
    let mut commits = Vec::new();
    for (way, commands) in ways {
        let (repo, code) = two_branches();
        for command in commands {
            repo.git(command);
        }
        let head = repo.at("HEAD");
        assert_eq!(code_at(&repo.open(), &head, &WATCHED), code, "{way}");
        commits.push(head);
    }
    commits.sort();
    commits.dedup();
    assert_eq!(commits.len(), 5, "the commits are all different, only the code is the same");
}

#[test]
fn what_a_merge_would_make_is_known_before_it() {
    let (repo, code) = two_branches();
    let git = repo.open();
    match git.merged_tree(&repo.at("dev"), &repo.at("feature"), None).expect("an answer") {
        Merged::Tree(tree) => assert_eq!(code_at(&git, &tree, &WATCHED), code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn clones_amended_messages_and_other_files_keep_the_code_id() {
    let (repo, code) = two_branches();
    repo.git(&["checkout", "-q", "feature"]);
    let before = repo.at("HEAD");
    let clone = repo.root.path().join("clone");
    let (from, to) = (repo.dir.display().to_string(), clone.display().to_string());
    repo.git(&["clone", "-q", &from, &to]);
    assert_eq!(code_at(&open(&clone), &before, &WATCHED), code);

    repo.git(&["commit", "-q", "--amend", "-m", "a better message"]);
    repo.git(&["commit", "-q", "--amend", "--no-edit", "--author", "Bob <bob@example.com>"]);
    assert_ne!(repo.at("HEAD"), before);
    assert_eq!(code_at(&repo.open(), &repo.at("HEAD"), &WATCHED), code);

    repo.commit_files(
        &[("libs/notes.txt", "x"), ("libs/deep/y.py", "x"), ("train.py.bak", "x"), ("zzz", "x")],
        "beside",
    );
    assert_eq!(code_at(&repo.open(), &repo.at("HEAD"), &WATCHED), code);
    // The working tree has no say.
    repo.write("train.py", "dirty\n");
    repo.git(&["add", "-A"]);
    assert_eq!(code_at(&repo.open(), &repo.at("HEAD"), &WATCHED), code);
    let commit = repo.commit("now it has");
    assert_ne!(code_at(&repo.open(), &commit, &WATCHED), code);
    // Back to the old content is back to the old id.
    repo.git(&["revert", "--no-edit", "HEAD"]);
    assert_eq!(code_at(&repo.open(), &repo.at("HEAD"), &WATCHED), code);
}

/// One file of a generated tree.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    content: Vec<u8>,
    mode: i32,
}

type Files = BTreeMap<String, Made>;

/// Files in two watched folders, beside one of them, and of a watched ending.
fn any_files() -> impl Strategy<Value = Files> {
    let path =
        prop_oneof!["(src|lib)/[a-c]{1,2}", "(src|lib)/[a-c]/[d-f]\\.py", "other/[a-c]\\.(py|txt)", "[x-z]\\.py"];
    let made = (proptest::collection::vec(any::<u8>(), 0..6), prop_oneof![Just(0o100_644), Just(0o100_755)])
        .prop_map(|(content, mode)| Made { content, mode });
    proptest::collection::btree_map(path, made, 1..8).prop_map(|mut files: Files| {
        // A name is a file or a folder, not both, and the watched paths exist.
        let names: Vec<String> = files.keys().cloned().collect();
        files.retain(|path, _| !names.iter().any(|other| other.starts_with(&format!("{path}/"))));
        for path in ["src/main.py", "lib/main.py"] {
            files.insert(path.to_owned(), Made { content: path.into(), mode: 0o100_644 });
        }
        files
    })
}

const FOLDERS: [&str; 3] = ["src", "lib", "**/*.py"];

fn is_watched(path: &str) -> bool {
    path.starts_with("src/") || path.starts_with("lib/") || path.ends_with(".py")
}

/// Writes a tree. Nothing of it is ever on disk as files.
fn store(repo: &git2::Repository, files: &Files) -> ObjectId {
    let mut index = git2::Index::new().expect("an index");
    for (path, made) in files {
        let blob = repo.blob(&made.content).expect("a blob");
        let zero = git2::IndexTime::new(0, 0);
        index
            .add(&git2::IndexEntry {
                ctime: zero,
                mtime: zero,
                dev: 0,
                ino: 0,
                mode: made.mode.cast_unsigned(),
                uid: 0,
                gid: 0,
                file_size: 0,
                id: blob,
                flags: 0,
                flags_extended: 0,
                path: path.clone().into_bytes(),
            })
            .expect("an entry");
    }
    id(&index.write_tree_to(repo).expect("a tree").to_string())
}

struct Bench {
    writer: git2::Repository,
    reader: GitRepository,
    _repo: Repo,
}

impl Bench {
    fn new() -> Self {
        let repo = Repo::new();
        Self { writer: git2::Repository::open(&repo.dir).expect("a repository"), reader: repo.open(), _repo: repo }
    }

    fn code(&self, files: &Files, watched: &[&str]) -> CodeId {
        code_at(&self.reader, &store(&self.writer, files), watched)
    }
}

fn picked<'a>(files: &'a Files, by: &prop::sample::Index, watched: bool) -> Option<&'a String> {
    let some: Vec<&String> = files.keys().filter(|path| is_watched(path) == watched).collect();
    (!some.is_empty()).then(|| *by.get(&some))
}

#[test]
fn any_byte_mode_or_name_of_a_watched_file_counts_and_nothing_else_does() {
    let bench = Bench::new();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    let input = (any_files(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>());
    runner
        .run(&input, |(files, which, place, byte)| {
            let code = bench.code(&files, &FOLDERS);
            let differs = |change: &str, path: &String, edit: &dyn Fn(&mut Files)| {
                let mut other = files.clone();
                edit(&mut other);
                prop_assert_eq!(bench.code(&other, &FOLDERS) != code, is_watched(path), "{} {}", change, path);
                Ok(())
            };
            for watched in [true, false] {
                let Some(path) = picked(&files, &which, watched) else { continue };
                let made = |files: &mut Files, edit: &dyn Fn(&mut Made)| {
                    files.entry(path.clone()).and_modify(|made| edit(made));
                };
                differs("byte added", path, &|files| made(files, &|made| made.content.push(byte)))?;
                differs("mode flipped", path, &|files| made(files, &|made| made.mode ^= 0o111))?;
                differs("bit flipped", path, &|files| {
                    made(files, &|made| match made.content.len() {
                        0 => made.content.push(0),
                        length => made.content[place.index(length)] ^= 1 << (byte % 8),
                    });
                })?;
                differs("renamed", path, &|files| {
                    let made = files.remove(path).expect("picked from them");
                    let (stem, ending) = path.rsplit_once('.').unwrap_or((path, "renamed"));
                    files.insert(format!("{stem}-renamed.{ending}"), made);
                })?;
                if !matches!(path.as_str(), "src/main.py" | "lib/main.py") {
                    differs("removed", path, &|files| drop(files.remove(path)))?;
                }
            }
            let mut turned = FOLDERS;
            turned.rotate_left(place.index(3));
            let texts = turned.map(str::to_owned);
            let tree = store(&bench.writer, &files);
            let entries = bench.reader.watched_entries(&tree, &Watched::Paths(texts.into())).expect("all exist");
            let mut backwards = entries.clone();
            backwards.reverse();
            let settings = settings(paths(&FOLDERS));
            prop_assert_eq!(&code_id(&settings, &entries), &code);
            prop_assert_eq!(&code_id(&settings, &backwards), &code);
            Ok(())
        })
        .expect("the property holds");
}

#[test]
fn two_trees_have_one_code_id_exactly_where_their_watched_files_are_the_same() {
    let bench = Bench::new();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    runner
        .run(&(any_files(), any_files(), any::<bool>()), |(one, mut two, same)| {
            if same {
                two.retain(|path, _| !is_watched(path));
                two.extend(one.iter().filter(|(path, _)| is_watched(path)).map(|(a, b)| (a.clone(), b.clone())));
            }
            let watched = |files: &Files| {
                files
                    .iter()
                    .filter(|(path, _)| is_watched(path))
                    .map(|(a, b)| (a.clone(), b.clone()))
                    .collect::<Files>()
            };
            let codes = (bench.code(&one, &FOLDERS), bench.code(&two, &FOLDERS));
            prop_assert_eq!(codes.0 == codes.1, watched(&one) == watched(&two));
            Ok(())
        })
        .expect("the property holds");
}

#[test]
fn every_setting_that_shapes_the_result_counts() {
    let base = settings(paths(&["train.py"]));
    let entries =
        [WatchedEntry { path: "train.py".to_owned(), mode: "100644".to_owned(), object: id(&"a".repeat(40)) }];
    let channel = |name: &str| ChannelName::parse(name).expect("a name");
    let metric = |name: &str| MetricName::parse(name).expect("a name");
    type Edit<'a> = &'a dyn Fn(&mut TrainingSettings);
    let counts: [(&str, Edit<'_>); 17] = [
        ("command", &|s| s.command = Some("python3 train.py ".to_owned())),
        ("no command", &|s| s.command = None),
        ("image", &|s| s.image = Some("train:1.3".to_owned())),
        ("no image", &|s| s.image = None),
        ("hyperparameter value", &|s| drop(s.hyperparameters.insert("max_depth".to_owned(), "5.0".to_owned()))),
        ("hyperparameter name", &|s| s.hyperparameters = BTreeMap::from([("maxdepth".to_owned(), "5".to_owned())])),
        ("hyperparameter added", &|s| drop(s.hyperparameters.insert("eta".to_owned(), String::new()))),
        ("hyperparameter removed", &|s| s.hyperparameters.clear()),
        ("environment value", &|s| drop(s.environment.insert("PYTHONHASHSEED".to_owned(), "1".to_owned()))),
        ("environment added", &|s| drop(s.environment.insert("A".to_owned(), String::new()))),
        ("environment removed", &|s| s.environment.clear()),
        ("metric pattern", &|s| drop(s.metrics.insert(metric("accuracy"), "acc: (.*)".to_owned()))),
        ("metric added", &|s| drop(s.metrics.insert(metric("loss"), "acc=(.*)".to_owned()))),
        ("metric removed", &|s| s.metrics.clear()),
        ("channel added", &|s| {
            let source = s.data[&channel("train")].clone();
            s.data.insert(channel("test"), source);
        }),
        ("channel removed", &|s| s.data.clear()),
        ("checkout: all", &|s| s.watched = Watched::All),
    ];
    let code = code_id(&base, &entries);
    let mut all = vec![code.clone()];
    for (name, edit) in counts {
        let mut other = base.clone();
        edit(&mut other);
        let other = code_id(&other, &entries);
        assert!(!all.contains(&other), "{name}");
        all.push(other);
    }
    // A pair moved from one place to another is not the same pair.
    let mut moved = base.clone();
    std::mem::swap(&mut moved.hyperparameters, &mut moved.environment);
    assert_ne!(code_id(&moved, &entries), code);

    let silent: [(&str, Edit<'_>); 4] = [
        ("signature", &|s| s.signature = Some("v2".to_owned())),
        ("run time", &|s| s.max_runtime = Some(Duration::from_secs(60))),
        ("location of data", &|s| s.data.values_mut().for_each(|source| source.uri = "s3://elsewhere/".to_owned())),
        ("order of paths", &|s| s.watched = paths(&["./train.py", "train.py"])),
    ];
    for (name, edit) in silent {
        let mut other = base.clone();
        edit(&mut other);
        assert_eq!(code_id(&other, &entries), code, "{name}");
    }
}

#[test]
fn data_count_in_the_fingerprint_and_where_the_commit_fixes_them_in_the_content() {
    let code = code_id(&settings(paths(&["train.py"])), &[]);
    let channel = ChannelName::parse("train").expect("a name");
    let with = |kind, uri: &str, digest: &str| {
        BTreeMap::from([(channel.clone(), Dataset { uri: uri.to_owned(), kind, digest: digest.to_owned() })])
    };
    let kinds = [DatasetKind::Git, DatasetKind::Pointer, DatasetKind::Stated, DatasetKind::Local, DatasetKind::Remote];
    for kind in kinds {
        let (one, two) = (with(kind, "a", "sha256:1"), with(kind, "a", "sha256:2"));
        assert_ne!(fingerprint(&code, &one, None), fingerprint(&code, &two, None), "{kind:?}");
        let same_content = content_id(&code, &one) == content_id(&code, &two);
        assert_eq!(same_content, !kind.is_fixed_by_commit(), "{kind:?}");
        let moved = with(kind, "b", "sha256:1");
        assert_eq!(fingerprint(&code, &one, None), fingerprint(&code, &moved, None), "the place does not count");
        assert_eq!(content_id(&code, &one), content_id(&code, &moved), "the place does not count");
    }
    let data = with(DatasetKind::Local, "a", "sha256:1");
    let images = [None, Some("sha256:a"), Some("sha256:b")].map(|image| fingerprint(&code, &data, image));
    assert!(images[0] != images[1] && images[1] != images[2] && images[0] != images[2]);
    assert_ne!(fingerprint(&code, &data, None), fingerprint(&code, &BTreeMap::new(), None));
}
