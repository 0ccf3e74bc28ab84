//! Stories about stored artifacts and local data.

use branchline::adapters::local::Home;
use branchline::adapters::local::LocalArtifacts;
use branchline::adapters::local::LocalDatasets;
use branchline::model::artifact::Artifact;
use branchline::model::artifact::ObjectDigest;
use branchline::model::dataset::DatasetKind;
use branchline::model::digest::Sha256Digest;
use branchline::model::identity::Fingerprint;
use branchline::model::name::GroupName;
use branchline::model::name::ModelName;
use branchline::model::name::ProjectName;
use branchline::model::settings::DataSource;
use branchline::ports::ArtifactPlace;
use branchline::ports::ArtifactStore;
use branchline::ports::Datasets;
use branchline::ports::PortErrorKind;
use branchline::ports::Progress;
use branchline::ports::Tick;
use branchline::ports::progress::Quiet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn home(&self) -> Home {
        Home::at(self.path(".branchline"))
    }

    fn artifacts(&self) -> LocalArtifacts {
        LocalArtifacts::new(self.home())
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(&path, content).expect("it can be written");
        path
    }

    fn artifact(&self, content: &[u8]) -> Artifact {
        artifact_at(&self.file("model.tar.gz", content), content)
    }

    fn blob(&self, artifact: &Artifact) -> PathBuf {
        let hex = artifact.location.strip_prefix("blob:sha256:").expect("it is stored");
        self.home().artifacts().join("sha256").join(&hex[..2]).join(&hex[2..])
    }

    fn leftovers(&self) -> usize {
        fs::read_dir(self.home().temporary()).expect("it can be listed").count()
    }

    async fn identify(&self, uri: &str) -> Result<String, String> {
        self.identify_source(&DataSource { uri: uri.to_owned(), version: None, version_from: None }).await
    }

    async fn identify_source(&self, source: &DataSource) -> Result<String, String> {
        let datasets = LocalDatasets::new(self.home(), self.folder.path().to_owned());
        let dataset = datasets.identify(source).await.expect("the store works")?;
        assert_eq!(dataset.kind, DatasetKind::Local);
        assert_eq!(dataset.uri, source.uri);
        Ok(dataset.digest)
    }
}

fn artifact_at(path: &Path, content: &[u8]) -> Artifact {
    Artifact {
        name: "model.tar.gz".to_owned(),
        digest: ObjectDigest::Sha256(Sha256Digest::of(content)),
        size: content.len() as u64,
        location: format!("file:{}", path.display()),
    }
}

fn place(group: &str) -> ArtifactPlace {
    ArtifactPlace {
        project: ProjectName::parse("churn").expect("a name"),
        group: GroupName::parse(group).expect("a name"),
        model: ModelName::parse("churn").expect("a name"),
        fingerprint: Fingerprint::from_digest(Sha256Digest::of(b"fingerprint")),
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<(u64, Option<u64>)>>);

impl Progress for Heard {
    fn tick(&self, _model: &ModelName, tick: Tick<'_>) {
        if let Tick::Moves { what: "copying model.tar.gz", done, total } = tick {
            self.0.lock().expect("nobody panicked").push((done, total));
        }
    }
}

#[tokio::test]
async fn a_promotion_moves_no_bytes() {
    let world = World::new();
    let content = vec![7; 20 << 20];
    let made = world.artifact(&content);
    let heard = Heard::default();
    let dev = world.artifacts().copy(&made, &place("churn-dev"), &heard).await.expect("it can be stored");
    assert_eq!(dev.bytes_moved, content.len() as u64);
    let ticks = heard.0.into_inner().expect("nobody panicked");
    assert!(ticks.len() > 1 && ticks.is_sorted());
    assert_eq!(ticks.last(), Some(&(content.len() as u64, Some(content.len() as u64))));

    let prod = world.artifacts().copy(&dev.artifact, &place("churn-prod"), &Quiet).await.expect("it is there");
    assert_eq!((prod.bytes_moved, &prod.artifact), (0, &dev.artifact));
    // The training may be made again: its archive is the same content.
    let again = world.artifacts().copy(&made, &place("churn-dev"), &Quiet).await.expect("it is there");
    assert_eq!((again.bytes_moved, &again.artifact), (0, &dev.artifact));
    world.artifacts().verify(&dev.artifact).await.expect("it is whole");
    assert_eq!(world.leftovers(), 0);

    // Later changes of the source do not reach the stored file.
    world.artifact(b"other");
    world.artifacts().verify(&dev.artifact).await.expect("it is whole");
    let out = world.path("out.tar.gz");
    world.artifacts().fetch(&dev.artifact, &out).await.expect("it can be fetched");
    assert_eq!(fs::read(out).expect("it is there"), content);
}

#[cfg(unix)]
#[tokio::test]
async fn a_stored_file_is_read_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let stored = world.artifacts().copy(&world.artifact(b"x"), &place("g"), &Quiet).await.expect("it can be stored");
    let mode = fs::metadata(world.blob(&stored.artifact)).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
}

#[tokio::test]
async fn a_damaged_file_is_told_and_left_as_it_is() {
    let world = World::new();
    let made = world.artifact(b"good");
    let stored = world.artifacts().copy(&made, &place("g"), &Quiet).await.expect("it can be stored").artifact;
    let blob = world.blob(&stored);
    fs::remove_file(&blob).expect("it can be removed");
    fs::write(&blob, b"evil").expect("it can be written");

    let good = Sha256Digest::of(b"good");
    let evil = Sha256Digest::of(b"evil");
    let copy = world.artifacts().copy(&made, &place("g"), &Quiet).await.expect_err("it is damaged");
    let verify = world.artifacts().verify(&stored).await.expect_err("it is damaged");
    let fetch = world.artifacts().fetch(&stored, &world.path("out")).await.expect_err("it is damaged");
    for error in [copy, verify, fetch] {
        assert_eq!(error.kind, PortErrorKind::Corrupt);
        let chain = error.chain();
        for part in [good.as_str(), evil.as_str(), &blob.display().to_string()] {
            assert!(chain.contains(part), "{chain}");
        }
        assert!(error.hint.expect("there is one").contains("branchline train --again"));
    }
    assert_eq!(fs::read(&blob).expect("it is there"), b"evil");
    assert!(!world.path("out").exists());
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_and_leaves_nothing() {
    let world = World::new();
    let made = world.artifact(b"good");
    world.file("model.tar.gz", b"changed");
    let error = world.artifacts().copy(&made, &place("g"), &Quiet).await.expect_err("it changed");
    assert_eq!(error.kind, PortErrorKind::Corrupt);
    assert_eq!(world.leftovers(), 0);

    let gone = Artifact { location: "file:/no/such/file".to_owned(), ..made.clone() };
    assert_eq!(
        world.artifacts().copy(&gone, &place("g"), &Quiet).await.expect_err("it is gone").kind,
        PortErrorKind::Storage
    );
    let blob = Artifact { location: LocalArtifacts::location(&Sha256Digest::of(b"good")), ..made.clone() };
    assert_eq!(world.artifacts().verify(&blob).await.expect_err("it is not stored").kind, PortErrorKind::NotFound);
    let remote = Artifact { location: "s3://bucket/key".to_owned(), ..made.clone() };
    let crc = Artifact { digest: ObjectDigest::Crc64Nvme("AAAA".to_owned()), ..made };
    for artifact in [remote, crc] {
        let error = world.artifacts().copy(&artifact, &place("g"), &Quiet).await.expect_err("it is elsewhere");
        assert_eq!(error.kind, PortErrorKind::Configuration);
    }
}

/// Not a test by itself: storing in a process that has a file size limit.
/// The other half of a test above: it is only something where that test starts this binary again.
#[expect(clippy::disallowed_methods, reason = "how the process that starts this one tells it what to do")]
#[tokio::test]
async fn store_in_another_process() {
    let Ok(root) = std::env::var("IT_STORE_ROOT") else { return };
    let home = Home::at(Path::new(&root).join(".branchline"));
    let content = vec![7; 1 << 20];
    let made = artifact_at(&Path::new(&root).join("model.tar.gz"), &content);
    let error = LocalArtifacts::new(home).copy(&made, &place("g"), &Quiet).await.expect_err("there is no room");
    assert_eq!(error.kind, PortErrorKind::DiskFull, "{}", error.chain());
    assert!(error.hint.expect("there is one").starts_with("Free space"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_full_disk_is_told_and_leaves_nothing() {
    let world = World::new();
    world.artifact(&vec![7; 1 << 20]);
    let program = std::env::current_exe().expect("it is known");
    let output = Command::new("sh")
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 1000; exec \"$0\" local_artifacts::store_in_another_process --exact")
        .arg(program)
        .env("IT_STORE_ROOT", world.folder.path())
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(world.leftovers(), 0);
    assert_eq!(fs::read_dir(world.home().artifacts()).expect("it can be listed").count(), 0);
}

#[tokio::test]
async fn stored_artifacts_can_be_counted_and_removed() {
    let world = World::new();
    let digest = Sha256Digest::of(b"x");
    let artifacts = world.artifacts();
    assert_eq!(artifacts.size_of(&digest), None);
    artifacts.copy(&world.artifact(b"x"), &place("g"), &Quiet).await.expect("it can be stored");
    assert_eq!(artifacts.size_of(&digest), Some(1));
    assert!(artifacts.remove(&digest).expect("it can be removed"));
    assert!(!artifacts.remove(&digest).expect("there is none"));
}

#[tokio::test]
async fn data_are_their_content() {
    let world = World::new();
    let file = world.file("data/train.csv", b"1,2\n");
    let one = world.identify("data/train.csv").await.expect("it is there");
    assert_eq!(one, format!("sha256:{}", Sha256Digest::of(b"1,2\n")));
    assert_eq!(world.identify(&file.display().to_string()).await.expect("it is there"), one);
    fs::write(&file, "1,3\n").expect("it can be written");
    let two = world.identify("data/train.csv").await.expect("it is there");
    assert_ne!(one, two);
    // The same size and time do not hide a change, even at once.
    let time = filetime::FileTime::from_last_modification_time(&fs::metadata(&file).expect("it is there"));
    fs::write(&file, "1,4\n").expect("it can be written");
    filetime::set_file_mtime(&file, time).expect("it can be set");
    assert_ne!(world.identify("data/train.csv").await.expect("it is there"), two);
}

#[tokio::test]
async fn an_unchanged_file_is_not_read_again() {
    let world = World::new();
    let file = world.file("big.bin", &vec![1; 1 << 20]);
    // Remembered only once its last change is long enough ago: what is newer might change within its tick.
    let waiting = branchline::adapters::system::Stopwatch::start();
    while waiting.elapsed() < std::time::Duration::from_millis(2100) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let digest = world.identify("big.bin").await.expect("it is there");
    assert!(!world.home().root().exists(), "identifying writes nothing");
    let datasets = LocalDatasets::new(world.home(), world.folder.path().to_owned());
    let source = DataSource { uri: "big.bin".to_owned(), version: None, version_from: None };
    datasets.identify(&source).await.expect("it can be asked").expect("it is there");
    datasets.remember().await.expect("it can be written");
    let cache = world.home().data_cache();
    let text = fs::read_to_string(&cache).expect("it is remembered");
    assert!(text.contains(&file.display().to_string()));
    // A memory that says something else is believed, which shows that the file was not read.
    let other = Sha256Digest::of(b"other");
    let hex = digest.strip_prefix("sha256:").expect("a digest");
    fs::write(&cache, text.replace(hex, other.as_str())).expect("it can be written");
    assert_eq!(world.identify("big.bin").await.expect("it is there"), format!("sha256:{other}"));
    // But not when it is broken.
    fs::write(&cache, "{").expect("it can be written");
    assert_eq!(world.identify("big.bin").await.expect("it is there"), digest);
}

#[tokio::test]
async fn pointers_are_no_data_wherever_they_lie() {
    let world = World::new();
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 7\n", Sha256Digest::of(b"x").as_str());
    world.file("data/deep/a.csv", b"1");
    world.file("data/deep/b.csv", pointer.as_bytes());
    let manifest =
        DataSource { uri: "data".to_owned(), version: None, version_from: Some("data/deep/b.csv".to_owned()) };
    for why in [
        world.identify("data").await.expect_err("a folder with a pointer"),
        world.identify("data/deep/b.csv").await.expect_err("a pointer"),
        world.identify_source(&manifest).await.expect_err("a pointer as manifest"),
    ] {
        assert!(why.contains("data/deep/b.csv is a Git LFS pointer"), "{why}");
    }
    fs::remove_file(world.path("data/deep/b.csv")).expect("it can be removed");
    world.identify("data").await.expect("the rest is data");
    assert!(!world.home().root().exists(), "identifying writes nothing");
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_is_its_paths_and_contents() {
    use std::os::unix::fs::symlink;
    let world = World::new();
    world.file("data/a.csv", b"1");
    world.file("data/sub/b.csv", b"2");
    let one = world.identify("data").await.expect("it is there");
    assert_eq!(world.identify("data/").await.expect("it is there"), one);
    fs::rename(world.path("data/a.csv"), world.path("data/c.csv")).expect("it can be renamed");
    let renamed = world.identify("data").await.expect("it is there");
    assert_ne!(one, renamed);
    symlink("sub/b.csv", world.path("data/link.csv")).expect("it can be made");
    assert_ne!(world.identify("data").await.expect("it is there"), renamed);
    symlink("/etc/passwd", world.path("data/out")).expect("it can be made");
    let why = world.identify("data").await.expect_err("it leads out");
    assert!(why.contains("data/out is a link to /etc/passwd"), "{why}");
}

#[tokio::test]
async fn what_is_not_there_says_why() {
    let world = World::new();
    fs::create_dir(world.path("empty")).expect("it can be made");
    for (uri, words) in [
        ("data/none.csv", "data/none.csv does not exist"),
        ("empty", "empty is an empty folder"),
        ("s3://bucket/data/", "needs the S3 backend"),
        ("gs://bucket/data/", "needs a backend for gs://"),
    ] {
        let why = world.identify(uri).await.expect_err("it is not there");
        assert!(why.contains(words), "{why}");
    }
    world.file("data/x.csv", b"1");
    let mut source =
        DataSource { uri: "data".to_owned(), version: None, version_from: Some("data/manifest.json".to_owned()) };
    assert!(
        world.identify_source(&source).await.expect_err("no manifest").contains("data/manifest.json does not exist")
    );
    world.file("data/manifest.json", b"{}");
    let digest = format!("sha256:{}", Sha256Digest::of(b"{}"));
    assert_eq!(world.identify_source(&source).await.expect("it is there"), digest);
    world.file("data/x.csv", b"2");
    assert_eq!(world.identify_source(&source).await.expect("it is there"), digest);
    source.version_from = Some("s3://bucket/manifest".to_owned());
    assert!(world.identify_source(&source).await.expect_err("elsewhere").contains("needs the S3 backend"));
}
