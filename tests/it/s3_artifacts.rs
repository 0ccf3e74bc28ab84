//! Stories about artifacts that are kept in S3.

use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use crate::world::aws::PROD;
use crate::world::aws::PROD_BUCKET;
use crate::world::aws::REGION;
use crate::world::aws::World as Aws;
use branchline::adapters::aws::Accounts;
use branchline::adapters::aws::Patience;
use branchline::adapters::aws::Session;
use branchline::adapters::aws::SessionOptions;
use branchline::adapters::s3::CopySizes;
use branchline::adapters::s3::S3Artifacts;
use branchline::adapters::system::SystemClock;
use branchline::model::artifact::Artifact;
use branchline::model::artifact::ObjectDigest;
use branchline::model::cloud::AccountPlace;
use branchline::model::digest::Sha256Digest;
use branchline::model::identity::Fingerprint;
use branchline::model::name::GroupName;
use branchline::model::name::ModelName;
use branchline::model::name::ProjectName;
use branchline::model::name::StageName;
use branchline::ports::ArtifactPlace;
use branchline::ports::ArtifactStore;
use branchline::ports::PortError;
use branchline::ports::PortErrorKind;
use branchline::ports::progress::Quiet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const PARTS: CopySizes = CopySizes { single_most: 1 << 20, part_least: 5 << 20, at_once: 2 };

/// Two accounts; prod may read what dev made, and dev sees nothing of prod.
struct World {
    aws: Aws,
    store: S3Artifacts,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        Self::with_sizes(CopySizes::default()).await
    }

    async fn with_sizes(sizes: CopySizes) -> Self {
        let aws = Aws::start();
        aws.with(|state| state.buckets.get_mut(DEV_BUCKET).expect("a bucket").friends.push(PROD.to_owned()));
        let (dev, prod) = (session(&aws, DEV, DEV_BUCKET).await, session(&aws, PROD, PROD_BUCKET).await);
        let stage = StageName::parse("prod").expect("a name");
        let accounts = Accounts::one(dev).with_stage(stage, &prod, [group("churn-prod")]);
        let project = ProjectName::parse("churn").expect("a name");
        let store = S3Artifacts::new(accounts, project, Arc::new(SystemClock)).with_sizes(sizes);
        Self { aws, store, folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }

    fn file(&self, name: &str, content: &[u8]) -> Artifact {
        let path = self.path(name);
        std::fs::write(&path, content).expect("it can be written");
        artifact(name, content, format!("file:{}", path.display()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn copy(&self, from: &Artifact, to: &str) -> Result<(Artifact, u64), PortError> {
        self.store.copy(from, &place(to), &Quiet).await.map(|copied| (copied.artifact, copied.bytes_moved))
    }
}

async fn session(aws: &Aws, account: &str, bucket: &str) -> Arc<Session> {
    let place = AccountPlace {
        account_id: Some(account.to_owned()),
        region: REGION.to_owned(),
        bucket: bucket.to_owned(),
        prefix: "branchline".to_owned(),
        assume_role_arn: None,
        read_role_arn: None,
        execution_role_arn: None,
        kms_key: None,
    };
    let pause = Duration::from_millis(1);
    let patience = Patience { first_pause: pause, longest_pause: pause * 3, ..Patience::default() };
    let credentials = Some(aws.credentials(account));
    let options = SessionOptions {
        endpoint: Some(aws.endpoint().to_owned()),
        credentials,
        patience,
        ..SessionOptions::default()
    };
    Arc::new(Session::new(place, &options).await)
}

fn group(name: &str) -> GroupName {
    GroupName::parse(name).expect("a name")
}

fn place(to: &str) -> ArtifactPlace {
    ArtifactPlace {
        project: ProjectName::parse("churn").expect("a name"),
        group: group(to),
        model: ModelName::parse("churn").expect("a name"),
        fingerprint: Fingerprint::from_digest(Sha256Digest::of(b"fingerprint")),
    }
}

fn artifact(name: &str, content: &[u8], location: String) -> Artifact {
    let digest = ObjectDigest::Sha256(Sha256Digest::of(content));
    Artifact { name: name.to_owned(), digest, size: content.len() as u64, location }
}

fn key(artifact: &Artifact) -> &str {
    artifact.location.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).expect("it is in S3").1
}

/// Makes a fault when it is time.
type Strike = fn() -> Fault;

#[tokio::test]
async fn every_artifact_of_a_version_is_brought_along() {
    let world = World::new().await;
    let mut promoted = Vec::new();
    for (name, content) in [("model.tar.gz", &b"the model"[..]), ("baseline.json", b"{}")] {
        let made = world.file(name, content);
        let (dev, moved) = world.copy(&made, "churn-dev").await.expect("it can be stored");
        assert_eq!((dev.digest.clone(), moved), (made.digest.clone(), content.len() as u64));
        let (prod, moved) = world.copy(&dev, "churn-prod").await.expect("it can be promoted");
        assert_eq!((prod.digest.clone(), moved), (made.digest.clone(), content.len() as u64));
        assert_eq!(world.aws.object(PROD_BUCKET, key(&prod)).as_deref(), Some(content));
        world.store.verify(&prod).await.expect("it is what it was");
        // Once more: nothing moves.
        world.aws.reset_requests();
        assert_eq!(world.copy(&dev, "churn-prod").await.expect("it is there"), (prod.clone(), 0));
        assert_eq!(world.aws.mutations(), 0);
        promoted.push(prod);
    }
    let locations: Vec<&str> = promoted.iter().map(|artifact| artifact.location.as_str()).collect();
    assert_eq!(
        locations,
        [
            "s3://acme-ml-prod/branchline/churn/churn-prod/44863b03e9909b71-36cc7e3d6f62/model.tar.gz",
            "s3://acme-ml-prod/branchline/churn/churn-prod/44863b03e9909b71-44136fa355b3/baseline.json",
        ]
    );
    // Dev is emptied: what is in prod points nowhere else.
    world.aws.with(|state| state.buckets.get_mut(DEV_BUCKET).expect("a bucket").objects.clear());
    for artifact in &promoted {
        world.store.verify(artifact).await.expect("it stands by itself");
    }
    assert_eq!(world.aws.count("GetObject"), 0, "nothing passes through this machine");
    world.aws.assert_clean();
}

#[tokio::test]
async fn a_large_file_goes_up_in_parts_whatever_befalls_them() {
    let content: Vec<u8> = (0..(11 << 20) + 3).map(|at: usize| (at / 3) as u8).collect();
    let faults: [(&str, &str, Strike); 6] = [
        ("all is well", "", || Fault::Dropped),
        ("a part is lost", "UploadPart", || Fault::Dropped),
        ("a part's answer is lost", "UploadPart", || Fault::LostAnswer),
        ("the completion is lost", "CompleteMultipartUpload", || Fault::Dropped),
        ("the completion's answer is lost", "CompleteMultipartUpload", || Fault::LostAnswer),
        ("two writers at once", "CompleteMultipartUpload", Fault::conflict),
    ];
    for (story, operation, fault) in faults {
        let world = World::with_sizes(PARTS).await;
        if !operation.is_empty() {
            world.aws.fail_next(operation, fault());
        }
        let made = world.file("model.tar.gz", &content);
        let (dev, _) = world.copy(&made, "churn-dev").await.unwrap_or_else(|e| panic!("{story}: {}", e.chain()));
        assert!(matches!(dev.digest, ObjectDigest::Crc64Nvme(_)), "{story}: {:?}", dev.digest);
        assert!(world.aws.object(DEV_BUCKET, key(&dev)).as_deref() == Some(&content), "{story}");
        world.store.verify(&dev).await.expect("it is what it was");
        let (open, versions) = world.aws.with(|state| {
            let bucket = &state.buckets[DEV_BUCKET];
            (bucket.uploads.len(), bucket.objects[key(&dev)].len())
        });
        assert_eq!((open, versions), (0, 1), "{story}");
        // And from there on S3 copies it by itself, with the digest that it keeps.
        let (prod, _) = world.copy(&dev, "churn-prod").await.expect("it can be promoted");
        assert_eq!(prod.digest, dev.digest, "{story}");
        world.aws.assert_clean();
    }
}

#[tokio::test]
async fn whatever_befalls_a_small_file_it_is_there_once() {
    let faults: [(&str, Strike); 4] = [
        ("lost", || Fault::Dropped),
        ("the answer is lost", || Fault::LostAnswer),
        ("two writers at once", Fault::conflict),
        ("too many", || Fault::Throttle),
    ];
    for (story, fault) in faults {
        let world = World::new().await;
        world.aws.fail_next("PutObject", fault());
        let made = world.file("model.tar.gz", b"small");
        let (dev, _) = world.copy(&made, "churn-dev").await.unwrap_or_else(|e| panic!("{story}: {}", e.chain()));
        assert_eq!(dev.digest, made.digest, "{story}");
        assert_eq!(world.aws.with(|state| state.buckets[DEV_BUCKET].objects[key(&dev)].len()), 1, "{story}");
        world.aws.assert_clean();
    }
}

#[tokio::test]
async fn a_damaged_or_missing_file_is_not_stored() {
    let world = World::new().await;
    let made = world.file("model.tar.gz", b"the model");
    std::fs::write(world.path("model.tar.gz"), b"the m0del").expect("it can be written");
    let failed = world.copy(&made, "churn-dev").await.expect_err("it is damaged");
    assert_eq!(failed.kind, PortErrorKind::Corrupt, "{}", failed.chain());
    std::fs::remove_file(world.path("model.tar.gz")).expect("it is there");
    let failed = world.copy(&made, "churn-dev").await.expect_err("it is gone");
    assert_eq!(failed.kind, PortErrorKind::NotFound, "{}", failed.chain());
    let foreign = artifact("model.tar.gz", b"", "blob:sha256:00".to_owned());
    let failed = world.copy(&foreign, "churn-dev").await.expect_err("it is on another machine");
    assert_eq!(failed.kind, PortErrorKind::Configuration, "{}", failed.chain());
    assert_eq!(world.aws.mutations(), 0);
}

#[tokio::test]
async fn what_was_replaced_after_registration_is_noticed() {
    let world = World::new().await;
    let made = world.file("model.tar.gz", b"the model");
    let (dev, _) = world.copy(&made, "churn-dev").await.expect("it can be stored");
    world.store.verify(&dev).await.expect("it is what it was");
    // Somebody replaces it manually: with the same size, and a checksum that we did not ask for.
    world.aws.put(DEV_BUCKET, key(&dev), b"the m0del".to_vec());
    let failed = world.store.verify(&dev).await.expect_err("it was replaced");
    assert_eq!(failed.kind, PortErrorKind::Corrupt, "{}", failed.chain());
    let failed = world.copy(&dev, "churn-prod").await.expect_err("it was replaced");
    assert_eq!(failed.kind, PortErrorKind::Corrupt, "{}", failed.chain());
    assert!(world.aws.keys(PROD_BUCKET, "").is_empty(), "nothing that was not reviewed reaches prod");
    world.aws.with(|state| state.buckets.get_mut(DEV_BUCKET).expect("a bucket").objects.remove(key(&dev)));
    let failed = world.store.verify(&dev).await.expect_err("it was deleted");
    assert_eq!(failed.kind, PortErrorKind::NotFound, "{}", failed.chain());
}

#[tokio::test]
async fn what_others_stored_is_verified_by_reading_it() {
    let world = World::new().await;
    world.aws.put(DEV_BUCKET, "studio/model.tar.gz", b"made in Studio".to_vec());
    let location = "s3://acme-ml-dev/studio/model.tar.gz".to_owned();
    world.store.verify(&artifact("model.tar.gz", b"made in Studio", location.clone())).await.expect("it is equal");
    let failed =
        world.store.verify(&artifact("model.tar.gz", b"made in Stud10", location)).await.expect_err("not equal");
    assert_eq!(failed.kind, PortErrorKind::Corrupt, "{}", failed.chain());
}

#[tokio::test]
async fn an_artifact_is_fetched_whole_or_not_at_all() {
    let world = World::new().await;
    let content = vec![5; 300_000];
    let (dev, _) = world.copy(&world.file("model.tar.gz", &content), "churn-dev").await.expect("it can be stored");
    world.aws.fail_next("GetObject", Fault::HalfAnswer);
    let to = world.path("fetched.tar.gz");
    world.store.fetch(&dev, &to).await.expect("it can be fetched");
    assert!(std::fs::read(&to).expect("it is there") == content);
    let wrong = Artifact { digest: ObjectDigest::Sha256(Sha256Digest::of(b"other")), ..dev };
    let other = world.path("other.tar.gz");
    let failed = world.store.fetch(&wrong, &other).await.expect_err("it is something else");
    assert_eq!(failed.kind, PortErrorKind::Corrupt, "{}", failed.chain());
    assert!(!other.exists());
    let names: Vec<String> = std::fs::read_dir(world.folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".fetch-"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
    world.aws.assert_clean();
}

#[tokio::test]
async fn only_our_own_artifacts_are_listed_and_removed() {
    let world = World::new().await;
    let (dev, _) = world.copy(&world.file("model.tar.gz", b"a"), "churn-dev").await.expect("it can be stored");
    let (prod, _) = world.copy(&dev, "churn-prod").await.expect("it can be promoted");
    for key in [
        "branchline/churn/churn-dev/group.json",
        "branchline/churn/churn-dev/versions/000000001.json",
        "branchline/churn/trainings/churn-dev-1/spec.json",
        "branchline/other/churn-dev/252f10c83610ebca-e3b0c44298fc/model.tar.gz",
        "notes/252f10c83610ebca-e3b0c44298fc/model.tar.gz",
    ] {
        world.aws.put(DEV_BUCKET, key, b"x".to_vec());
    }
    world.aws.put(DEV_BUCKET, "branchline/churn/readme.txt", b"x".to_vec());
    world.aws.with(|state| state.page.insert("ListObjectsV2".to_owned(), 2));
    let held = world.store.held().await.expect("it can be listed");
    let known: Vec<Artifact> = held.known.into_iter().map(|held| held.artifact).collect();
    assert_eq!(known, [dev.clone(), prod.clone()]);
    assert_eq!(held.unknown, ["s3://acme-ml-dev/branchline/churn/readme.txt"]);
    // What a killed process left open more than a day ago goes with the first thing that is removed.
    for hours in [0, 30] {
        let request = session(&world.aws, DEV, DEV_BUCKET).await;
        let begun = request.s3.create_multipart_upload().bucket(DEV_BUCKET).key("branchline/churn/churn-dev/left");
        begun.send().await.expect("it can be begun");
        world.aws.with(|state| {
            let uploads = &mut state.buckets.get_mut(DEV_BUCKET).expect("a bucket").uploads;
            let newest = uploads.values_mut().next_back().expect("it was begun");
            newest.begun -= f64::from(hours) * 3600.0;
        });
    }
    assert!(world.store.remove(&dev).await.expect("it can be removed"));
    assert!(!world.store.remove(&dev).await.expect("it is gone"));
    assert_eq!(world.aws.with(|state| state.buckets[DEV_BUCKET].uploads.len()), 1);
    for foreign in [
        "s3://acme-ml-dev/branchline/other/churn-dev/252f10c83610ebca-e3b0c44298fc/model.tar.gz",
        "s3://acme-ml-dev/branchline/churn/churn-dev/group.json",
        "s3://acme-ml-dev/notes/252f10c83610ebca-e3b0c44298fc/model.tar.gz",
        "s3://elsewhere/branchline/churn/churn-dev/252f10c83610ebca-e3b0c44298fc/model.tar.gz",
    ] {
        let removed = world.store.remove(&artifact("model.tar.gz", b"x", foreign.to_owned())).await;
        assert!(!removed.expect("it is left alone"), "{foreign}");
    }
    assert_eq!(world.aws.keys(DEV_BUCKET, "").len(), 6);
    world.store.verify(&prod).await.expect("prod is not touched");
}

#[tokio::test]
async fn a_role_that_sees_one_stage_lists_that_one() {
    let world = World::new().await;
    let (dev, _) = world.copy(&world.file("model.tar.gz", b"a"), "churn-dev").await.expect("it can be stored");
    world.aws.deny(PROD, "s3:ListBucket");
    let held = world.store.held().await.expect("the rest can be listed");
    assert_eq!(held.known.len(), 1);
    assert_eq!(held.known[0].artifact, dev);
    assert_eq!(held.unknown, ["s3://acme-ml-prod/branchline/churn/ (may not be listed)"]);
}
