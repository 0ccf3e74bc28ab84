//! What packing promises: the same bytes for the same files, whatever is in the way.

use super::*;
use std::process::Command;

struct Model {
    folder: tempfile::TempDir,
}

impl Model {
    fn new() -> Self {
        let model = Self { folder: tempfile::tempdir().expect("a temporary folder can be made") };
        fs::create_dir(model.dir()).expect("it can be made");
        model
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    fn file(&self, path: &str, content: &[u8]) -> &Self {
        let path = self.dir().join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(path, content).expect("it can be written");
        self
    }

    fn pack(&self, name: &str, threads: usize) -> Result<(Packed, Vec<u8>), PackError> {
        let dest = self.folder.path().join(name);
        let packed = pack_with(&self.dir(), &dest, Some(threads), &AtomicBool::new(false), &mut |_, _| {})?;
        let bytes = fs::read(dest).expect("it is there");
        assert_eq!(packed.sha256, Sha256Digest::of(&bytes));
        assert_eq!(packed.size, bytes.len() as u64);
        Ok((packed, bytes))
    }
}

/// Some megabytes that compress neither to nothing nor not at all.
fn bulk() -> Vec<u8> {
    let mut state = 1_u32;
    (0..5 << 20)
        .map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if at % 3 == 0 { (state >> 24) as u8 } else { b'a' }
        })
        .collect()
}

#[test]
fn threads_times_and_modes_do_not_change_the_bytes() {
    let model = Model::new();
    model.file("weights.bin", &bulk()).file("a/config.json", b"{}").file("a.txt", b"x");
    let (packed, one) = model.pack("one.tar.gz", 1).expect("it can be packed");
    assert_eq!(packed.files, 3);
    filetime::set_file_mtime(model.dir().join("a.txt"), filetime::FileTime::from_unix_time(1, 0))
        .expect("it can be set");
    let (_, many) = model.pack("many.tar.gz", 7).expect("it can be packed");
    assert_eq!(one, many);
    model.file("a.txt", b"y");
    let (_, other) = model.pack("other.tar.gz", 2).expect("it can be packed");
    assert_ne!(one, other);
}

#[test]
fn the_bytes_of_an_archive_never_change_between_releases() {
    let model = Model::new();
    model.file("model.json", b"{\"w\": [1, 2, 3]}\n").file("b/run.sh", b"#!/bin/sh\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(model.dir().join("b/run.sh"), fs::Permissions::from_mode(0o700)).expect("it can be set");
    }
    let (packed, _) = model.pack("m.tar.gz", 2).expect("it can be packed");
    expect_test::expect!["26e608aa4f44b236e78adfcbb03e88a1c1f6c36d7c4ecd0b52a018748c61c2e3"]
        .assert_eq(packed.sha256.as_str());
}

#[test]
fn other_tools_read_it() {
    let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
    let model = Model::new();
    model.file("weights.bin", &bulk()).file(&long, b"long").file("sub/real", b"real");
    fs::create_dir(model.dir().join("empty")).expect("it can be made");
    #[cfg(unix)]
    std::os::unix::fs::symlink("real", model.dir().join("sub/link")).expect("it can be made");
    model.pack("m.tar.gz", 2).expect("it can be packed");

    let run = |script: &str| {
        let output =
            Command::new("sh").arg("-c").arg(script).current_dir(model.folder.path()).output().expect("sh runs");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run("gzip -t m.tar.gz");
    run("mkdir out && tar xzf m.tar.gz -C out && diff -r model out && test -L out/sub/link && test -d out/empty");
    let names = run("python3 -c \"import tarfile; print(*[m.name for m in tarfile.open('m.tar.gz')], sep='\\n')\"");
    let mut sorted: Vec<&str> = names.lines().collect();
    sorted.sort_unstable();
    assert_eq!(names.lines().collect::<Vec<_>>(), sorted);
    assert_eq!(names.lines().count(), 7);
    assert!(names.contains(&long));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_and_strange_files_are_refused() {
    use std::os::unix::fs::symlink;
    for (target, words) in [
        ("/etc/passwd", "only relative links"),
        ("../../outside", "outside of the folder"),
        ("none", "does not exist"),
        ("../sub/../../model/ok", "outside of the folder"),
    ] {
        let model = Model::new();
        model.file("ok", b"");
        fs::create_dir(model.dir().join("sub")).expect("it can be made");
        symlink(target, model.dir().join("sub/link")).expect("it can be made");
        let error = model.pack("m.tar.gz", 1).expect_err("it is refused").to_string();
        assert!(error.contains("sub/link") && error.contains(words), "{error}");
        assert!(!model.folder.path().join("m.tar.gz").exists());
    }
    let model = Model::new();
    let status = Command::new("mkfifo").arg(model.dir().join("pipe")).status().expect("mkfifo runs");
    assert!(status.success());
    let error = model.pack("m.tar.gz", 1).expect_err("it is refused").to_string();
    assert!(error.contains("pipe"), "{error}");
}

/// What a process of the training command does that is still at work: it grows, replaces, adds or removes files.
#[test]
fn a_model_that_is_still_written_is_refused() {
    type Meddle = fn(&Path);
    let meddlers: [(Meddle, &str); 4] = [
        (
            |dir| drop(fs::File::options().append(true).open(dir.join("w")).and_then(|mut f| f.write_all(b"more"))),
            "changed",
        ),
        (|dir| drop(fs::write(dir.join("new"), "x")), "appeared"),
        (|dir| drop(fs::remove_file(dir.join("b"))), "disappeared"),
        (
            |dir| {
                fs::write(dir.join("other"), [b'x'; 9]).expect("writable");
                fs::rename(dir.join("other"), dir.join("b")).expect("it can be renamed");
            },
            "changed",
        ),
    ];
    for (meddle, word) in meddlers {
        let model = Model::new();
        model.file("w", &bulk()).file("b", &[b'y'; 9]);
        let (mut meddled, dest) = (false, model.folder.path().join("m.tar.gz"));
        let error = pack_with(&model.dir(), &dest, Some(1), &AtomicBool::new(false), &mut |done, _| {
            // The first blocks are packed; `b` comes before them, and `w` is half-way.
            if done > 0 && !std::mem::replace(&mut meddled, true) {
                meddle(&model.dir());
            }
        });
        let text = error.expect_err(word).to_string();
        assert!(text.contains(word) || text.contains("became shorter"), "{text}");
        assert!(!dest.exists(), "{word}");
    }
}

#[cfg(unix)]
#[test]
fn what_stands_in_place_of_the_folder_is_named() {
    let model = Model::new();
    model.file("w", b"x");
    let (file, link) = (model.folder.path().join("file"), model.folder.path().join("link"));
    fs::write(&file, "weights").expect("writable");
    std::os::unix::fs::symlink("model", &link).expect("it can be made");
    for (path, what) in [(&file, "is a file, not a folder"), (&link, "is a symbolic link, not a folder")] {
        let error = pack_directory(path, &model.folder.path().join("m"), &mut |_, _| {}).expect_err("no folder");
        assert!(error.to_string().ends_with(what), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_write_that_fails_ends_all_threads_and_leaves_nothing() {
    let model = Model::new();
    model.file("weights.bin", &bulk());
    let entries = model_files::list(&model.dir()).expect("it can be listed");
    let mut full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let mut archive = Archive { file: &mut full, hasher: sha2::Sha256::new(), size: 0 };
    match stream(&model.dir(), &entries, 2, &mut archive, &mut |_| Ok(())) {
        Err(StreamError::Write(source)) => {
            assert!(PackError::Write { path: PathBuf::new(), source }.is_disk_full());
        }
        Err(StreamError::Pack(error)) => panic!("not {error}"),
        Ok(()) => panic!("nothing can be written there"),
    }
}

#[test]
fn progress_arrives_at_the_end() {
    let model = Model::new();
    model.file("weights.bin", &bulk());
    let mut seen = Vec::new();
    pack_with(&model.dir(), &model.folder.path().join("m"), Some(2), &AtomicBool::new(false), &mut |done, total| {
        seen.push((done, total))
    })
    .expect("it can be packed");
    assert_eq!(seen.last(), Some(&(5 << 20, 5 << 20)));
    assert!(seen.len() > 4 && seen.is_sorted());
}

#[test]
fn a_packing_that_is_stopped_leaves_nothing() {
    let model = Model::new();
    model.file("weights.bin", &bulk());
    let dest = model.folder.path().join("m");
    // Before it begins, and under way.
    pack_directory_until(&model.dir(), &dest, &AtomicBool::new(true), &mut |_, _| {}).expect_err("it is stopped");
    let stop = AtomicBool::new(false);
    let mut most = 0;
    pack_directory_until(&model.dir(), &dest, &stop, &mut |done, _| {
        stop.store(true, Ordering::Relaxed);
        most = most.max(done);
    })
    .expect_err("it is stopped");
    assert!(most < 5 << 20, "{most}");
    let left: Vec<_> = fs::read_dir(model.folder.path()).expect("it can be listed").flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
