//! Stories about one object that S3 copies: what is carried, what is refused, and what is left when things go wrong.

use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use crate::world::aws::PROD;
use crate::world::aws::PROD_BUCKET;
use crate::world::aws::REGION;
use crate::world::aws::World;
use branchline::adapters::aws::Class;
use branchline::adapters::aws::Patience;
use branchline::adapters::aws::Session;
use branchline::adapters::aws::SessionOptions;
use branchline::adapters::s3::CopiedObject;
use branchline::adapters::s3::CopyFailure;
use branchline::adapters::s3::CopyOptions;
use branchline::adapters::s3::CopySizes;
use branchline::adapters::s3::S3Place;
use branchline::adapters::s3::copy_object;
use branchline::model::artifact::ObjectDigest;
use branchline::model::cloud::AccountPlace;
use branchline::model::digest::Sha256Digest;
use branchline::ports::PortErrorKind;
use std::sync::Arc;
use std::time::Duration;

const FROM: &str = "trainings/a b+ü/model.tar.gz";
const TO: &str = "branchline/churn/model.tar.gz";
const WHOLE: CopySizes = CopySizes { single_most: 5_000_000_000, part_least: 128 << 20, at_once: 16 };
const PARTS: CopySizes = CopySizes { single_most: 1 << 20, part_least: 5 << 20, at_once: 2 };
const KEY: &str = "alias/models";

/// A dev and a prod account; prod may read what dev made.
struct Scene {
    world: World,
    dev: Arc<Session>,
    prod: Arc<Session>,
    content: Vec<u8>,
}

impl Scene {
    async fn new(size: usize) -> Self {
        let world = World::start();
        world.with(|state| state.buckets.get_mut(DEV_BUCKET).expect("a bucket").friends.push(PROD.to_owned()));
        let content: Vec<u8> = (0..size).map(|at| (at * 31 / 7) as u8).collect();
        world.put(DEV_BUCKET, FROM, content.clone());
        world.with(|state| {
            let bucket = state.buckets.get_mut(DEV_BUCKET).expect("a bucket");
            let stored = bucket.objects.get_mut(FROM).and_then(|all| all.last_mut()).expect("an object");
            stored.headers.insert("x-amz-meta-job".to_owned(), "churn-dev-1".to_owned());
            stored.headers.insert("content-type".to_owned(), "application/gzip".to_owned());
            stored.tags = "team=growth%20%26%20co".to_owned();
        });
        let dev = session(&world, DEV, DEV_BUCKET, REGION).await;
        let prod = session(&world, PROD, PROD_BUCKET, REGION).await;
        Self { world, dev, prod, content }
    }

    async fn copy(&self, sizes: CopySizes) -> Result<CopiedObject, CopyFailure> {
        self.copy_from(S3Place::new(DEV_BUCKET, FROM), sizes, None).await
    }

    async fn copy_from(
        &self,
        from: S3Place,
        sizes: CopySizes,
        expected: Option<&ObjectDigest>,
    ) -> Result<CopiedObject, CopyFailure> {
        let options = CopyOptions { expected, sizes, ..CopyOptions::default() };
        copy_object(&self.dev, &self.prod, &from, &S3Place::new(PROD_BUCKET, TO), &options).await
    }

    fn uploads(&self) -> usize {
        self.world.with(|state| state.buckets[PROD_BUCKET].uploads.len())
    }

    /// How many versions the target ever had.
    fn written(&self) -> usize {
        self.world.with(|state| state.buckets[PROD_BUCKET].objects.get(TO).map_or(0, Vec::len))
    }

    fn assert_copied(&self, story: &str) {
        assert!(self.world.object(PROD_BUCKET, TO).as_deref() == Some(&self.content), "{story}: other bytes");
        assert_eq!(self.written(), 1, "{story}");
        let stored = self.world.stored(PROD_BUCKET, TO).expect("it is there");
        assert_eq!(stored.headers.get("x-amz-meta-job").map(String::as_str), Some("churn-dev-1"), "{story}");
        assert_eq!(stored.headers.get("content-type").map(String::as_str), Some("application/gzip"), "{story}");
        assert_eq!(
            stored.headers.get("x-amz-server-side-encryption-aws-kms-key-id").map(String::as_str),
            Some(KEY),
            "{story}"
        );
        assert_eq!(stored.tags, "team=growth%20%26%20co", "{story}");
        assert_eq!(self.world.count("GetObject"), 0, "{story}: nothing passes through this machine");
        self.world.assert_clean();
    }
}

async fn session(world: &World, account: &str, bucket: &str, region: &str) -> Arc<Session> {
    let place = AccountPlace {
        account_id: Some(account.to_owned()),
        region: region.to_owned(),
        bucket: bucket.to_owned(),
        prefix: "branchline".to_owned(),
        assume_role_arn: None,
        read_role_arn: None,
        execution_role_arn: None,
        kms_key: (account == PROD).then(|| KEY.to_owned()),
    };
    let pause = Duration::from_millis(1);
    let patience = Patience { first_pause: pause, longest_pause: pause * 3, ..Patience::default() };
    let credentials = Some(world.credentials(account));
    let options = SessionOptions {
        endpoint: Some(world.endpoint().to_owned()),
        credentials,
        patience,
        ..SessionOptions::default()
    };
    Arc::new(Session::new(place, &options).await)
}

#[tokio::test]
async fn one_request_copies_up_to_the_limit() {
    let scene = Scene::new(70_000).await;
    let copied = scene.copy(WHOLE).await.expect("it can be copied");
    assert_eq!(copied.digest, ObjectDigest::Sha256(Sha256Digest::of(&scene.content)));
    assert_eq!((copied.size, copied.was_there), (70_000, false));
    scene.assert_copied("one request");
    let requests = scene.world.requests();
    let sent = requests.iter().find(|seen| seen.operation == "CopyObject").expect("it was sent");
    let header = |name: &str| sent.headers.get(name).map(String::as_str);
    assert_eq!(header("if-none-match"), Some("*"));
    assert!(header("x-amz-copy-source-if-match").is_some());
    assert_eq!(header("x-amz-expected-bucket-owner"), Some(PROD));
    assert_eq!(sent.account, PROD, "the target's credentials read the source");
    scene.world.reset_requests();
    let again = scene.copy(WHOLE).await.expect("it is there");
    assert!(again.was_there && again.digest == copied.digest);
    assert_eq!(scene.world.mutations(), 0);
}

#[tokio::test]
async fn parts_carry_everything_by_hand() {
    let scene = Scene::new((12 << 20) + 7).await;
    let copied = scene.copy(PARTS).await.expect("it can be copied");
    assert!(matches!(copied.digest, ObjectDigest::Crc64Nvme(_)), "{:?}", copied.digest);
    scene.assert_copied("parts");
    assert_eq!((scene.world.count("UploadPartCopy"), scene.uploads()), (3, 0));
    let requests = scene.world.requests();
    let sent = requests.iter().find(|seen| seen.operation == "CompleteMultipartUpload").expect("it was sent");
    assert_eq!(sent.headers.get("if-none-match").map(String::as_str), Some("*"));
    for part in requests.iter().filter(|seen| seen.operation == "UploadPartCopy") {
        assert!(part.headers.contains_key("x-amz-copy-source-if-match"), "every part is of the same object");
    }
}

#[tokio::test]
async fn six_gigabytes_come_in_parts_of_the_right_size() {
    let scene = Scene::new(1000).await;
    scene.world.declare_size(DEV_BUCKET, FROM, 6 << 30);
    let heard = std::sync::Mutex::new(Vec::new());
    let hear = |done: u64| heard.lock().expect("nobody panicked").push(done);
    let options = CopyOptions { progress: Some(&hear), ..CopyOptions::default() };
    let (from, to) = (S3Place::new(DEV_BUCKET, FROM), S3Place::new(PROD_BUCKET, TO));
    let copied = copy_object(&scene.dev, &scene.prod, &from, &to, &options).await.expect("it can be copied");
    assert_eq!((copied.size, scene.world.count("UploadPartCopy")), (6 << 30, 48));
    assert_eq!(scene.world.count("CopyObject"), 0);
    let heard = heard.into_inner().expect("nobody panicked");
    assert!(heard.is_sorted() && heard.last() == Some(&(6 << 30)), "{heard:?}");
}

/// What may befall a request, by its name.
/// Makes a fault when it is time.
type Strike = fn() -> Fault;

fn faults() -> Vec<(&'static str, Strike)> {
    vec![
        ("the answer is lost", || Fault::LostAnswer),
        ("the request is lost", || Fault::Dropped),
        ("half of the answer comes", || Fault::HalfAnswer),
        ("a page in HTML", || Fault::Status500Html),
        ("200 with InternalError", || Fault::OkWithError("InternalError")),
        ("200 with SlowDown", || Fault::OkWithError("SlowDown")),
        ("two writers at once", Fault::conflict),
        ("503", || Fault::Refused(503, "ServiceUnavailable", "Reduce your request rate.")),
    ]
}

#[tokio::test]
async fn whatever_befalls_a_copy_there_is_one_and_it_is_equal() {
    for (name, fault) in faults() {
        let scene = Scene::new(5000).await;
        scene.world.fail_next("CopyObject", fault());
        scene.copy(WHOLE).await.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        scene.assert_copied(name);
    }
    let scene = Scene::new(5000).await;
    scene.world.throttle("CopyObject", 20);
    scene.copy(WHOLE).await.expect("20 times too many is borne");
    scene.assert_copied("throttled");
}

#[tokio::test]
async fn whatever_befalls_a_part_there_is_one_copy_and_no_open_upload() {
    for operation in ["CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload"] {
        for (name, fault) in faults() {
            let scene = Scene::new((6 << 20) + 1).await;
            scene.world.fail_next(operation, fault());
            let story = format!("{operation}: {name}");
            scene.copy(PARTS).await.unwrap_or_else(|failure| panic!("{story}: {failure}"));
            scene.assert_copied(&story);
            // An upload whose id never arrived is nobody's: it is swept away a day later.
            let orphan = operation == "CreateMultipartUpload"
                && matches!(name, "the answer is lost" | "half of the answer comes");
            assert_eq!(scene.uploads(), usize::from(orphan), "{story}");
        }
    }
}

#[tokio::test]
async fn a_refusal_in_the_middle_aborts_the_upload() {
    let scene = Scene::new((12 << 20) + 1).await;
    let text = "User: arn:aws:iam::222222222222:user/tests is not authorized to perform: kms:Decrypt on resource: \
                arn:aws:kms:eu-central-1:111111111111:key/1 because no resource-based policy allows it";
    scene.world.on_nth("UploadPartCopy", 2, Fault::Refused(403, "AccessDenied", text));
    let failure = scene.copy(PARTS).await.expect_err("it is refused");
    let CopyFailure::Refused(refused) = &failure else { panic!("{failure}") };
    assert_eq!((refused.class, refused.action.as_str()), (Class::Denied, "kms:Decrypt"));
    assert_eq!((scene.uploads(), scene.written()), (0, 0));
    let said = failure.into_port("copy the model");
    assert_eq!(said.kind, PortErrorKind::Permission);
    assert!(said.hint.as_deref().is_some_and(|hint| hint.contains("kms:Decrypt")), "{:?}", said.hint);
}

#[tokio::test]
async fn a_cancelled_copy_aborts_its_upload() {
    let scene = Scene::new((12 << 20) + 1).await;
    scene.world.on_nth("UploadPartCopy", 2, Fault::Slow(Duration::from_secs(30)));
    let copying = tokio::time::timeout(Duration::from_millis(1500), scene.copy(PARTS)).await;
    assert!(copying.is_err(), "it was still copying");
    for _ in 0..200 {
        if scene.uploads() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((scene.uploads(), scene.written()), (0, 0));
}

#[tokio::test]
async fn nothing_is_ever_overwritten() {
    for sizes in [WHOLE, PARTS] {
        let scene = Scene::new(2 << 20).await;
        scene.world.put(PROD_BUCKET, TO, vec![1; 2 << 20]);
        let failure = scene.copy(sizes).await.expect_err("something else lies there");
        assert!(matches!(failure, CopyFailure::Taken { .. }), "{failure}");
        let said = failure.into_port("copy the model");
        assert_eq!(said.kind, PortErrorKind::Corrupt);
        assert!(said.hint.as_deref().is_some_and(|hint| hint.contains("Nothing was overwritten")), "{:?}", said.hint);
        assert_eq!((scene.written(), scene.uploads()), (1, 0));
    }
}

#[tokio::test]
async fn another_writer_wins_and_is_compared() {
    for (sizes, operation) in [(WHOLE, "CopyObject"), (PARTS, "CompleteMultipartUpload")] {
        let other = Scene::new(6 << 20).await;
        let write =
            |content: Vec<u8>| Fault::Meanwhile(Box::new(move |state| state.write_object(PROD_BUCKET, TO, content)));
        other.world.fail_next(operation, write(vec![9; 6 << 20]));
        let failure = other.copy(sizes).await.expect_err("something else lies there");
        assert!(matches!(failure, CopyFailure::Taken { .. }), "{failure}");
        let equal = Scene::new(6 << 20).await;
        equal.world.fail_next(operation, write(equal.content.clone()));
        let copied = equal.copy(sizes).await.expect("it is equal");
        assert!(copied.was_there);
        assert_eq!((equal.written(), equal.uploads()), (1, 0));
    }
}

#[tokio::test]
async fn a_source_that_moved_is_not_copied() {
    for (sizes, operation) in [(WHOLE, "CopyObject"), (PARTS, "UploadPartCopy")] {
        let scene = Scene::new(6 << 20).await;
        let replace = |state: &mut crate::world::aws::State| state.write_object(DEV_BUCKET, FROM, vec![3; 6 << 20]);
        scene.world.fail_next(operation, Fault::Meanwhile(Box::new(replace)));
        let failure = scene.copy(sizes).await.expect_err("it moved");
        assert!(matches!(failure, CopyFailure::SourceChanged { .. }), "{failure}");
        assert_eq!((scene.written(), scene.uploads()), (0, 0));
    }
    // Before the copy: the pinned version is told apart by its ETag or its digest, and can still be copied by its version.
    let scene = Scene::new(5000).await;
    let first = scene.world.stored(DEV_BUCKET, FROM).expect("it is there");
    scene.world.put(DEV_BUCKET, FROM, b"somebody replaced it".to_vec());
    let pinned = S3Place { etag: Some(format!("\"{}\"", first.etag)), ..S3Place::new(DEV_BUCKET, FROM) };
    let failure = scene.copy_from(pinned.clone(), WHOLE, None).await.expect_err("it moved");
    assert!(matches!(failure, CopyFailure::SourceChanged { .. }), "{failure}");
    let expected = ObjectDigest::Crc64Nvme(first.checksum.clone().expect("it has one").1);
    let failure = scene.copy_from(S3Place::new(DEV_BUCKET, FROM), WHOLE, Some(&expected)).await.expect_err("it moved");
    assert!(matches!(failure, CopyFailure::SourceChanged { .. }), "{failure}");
    let version = S3Place { version: Some(first.version), ..pinned };
    scene.copy_from(version, WHOLE, Some(&expected)).await.expect("the old version is still there");
    assert!(scene.world.object(PROD_BUCKET, TO).as_deref() == Some(&scene.content));
}

#[tokio::test]
async fn another_region_is_found_by_itself() {
    let scene = Scene::new(10).await;
    scene.world.add_bucket("acme-far", PROD, "us-west-2");
    scene.world.put("acme-far", "model.tar.gz", b"far away".to_vec());
    for (sizes, dev) in [(WHOLE, &scene.dev), (PARTS, &session(&scene.world, DEV, "acme-far", "us-west-2").await)] {
        let to = S3Place::new(PROD_BUCKET, format!("copy of {}", dev.place.region));
        let options = CopyOptions { sizes, ..CopyOptions::default() };
        let copied = copy_object(dev, &scene.prod, &S3Place::new("acme-far", "model.tar.gz"), &to, &options).await;
        assert_eq!(copied.expect("it can be copied").size, 8);
    }
}

#[tokio::test]
async fn what_is_missing_or_foreign_is_named() {
    let scene = Scene::new(10).await;
    let gone = scene.copy_from(S3Place::new(DEV_BUCKET, "gone"), WHOLE, None).await.expect_err("it is gone");
    let said = gone.into_port("copy the model");
    assert_eq!(said.kind, PortErrorKind::NotFound);
    assert!(said.chain().contains("s3://acme-ml-dev/gone does not exist"), "{}", said.chain());
    scene.world.add_bucket("stranger", "999999999999", REGION);
    let denied = scene.copy_from(S3Place::new("stranger", "x"), WHOLE, None).await.expect_err("it is foreign");
    let said = denied.into_port("copy the model");
    assert_eq!(said.kind, PortErrorKind::Permission);
    assert!(said.chain().contains("s3:GetObject") && said.chain().contains("s3://stranger/x"), "{}", said.chain());
    // A bucket of the right name in somebody else's hands is not written to.
    scene.world.with(|state| state.buckets.get_mut(PROD_BUCKET).expect("a bucket").owner = "999999999999".to_owned());
    scene.world.with(|state| state.buckets.get_mut(PROD_BUCKET).expect("a bucket").friends.push(PROD.to_owned()));
    let failure = scene.copy(WHOLE).await.expect_err("it is somebody else's");
    assert!(matches!(&failure, CopyFailure::Refused(refused) if refused.class == Class::Denied), "{failure}");
    assert_eq!(scene.written(), 0);
}

#[tokio::test]
async fn credentials_of_another_account_write_nothing() {
    let scene = Scene::new(10).await;
    scene.world.with(|state| {
        let key = crate::world::aws::key_of(PROD);
        state.keys.get_mut(&key).expect("it has one").account = DEV.to_owned();
    });
    scene.world.with(|state| state.buckets.get_mut(PROD_BUCKET).expect("a bucket").friends.push(DEV.to_owned()));
    let failure = scene.copy(WHOLE).await.expect_err("the account is wrong");
    assert!(failure.to_string().contains("nothing was written"), "{failure}");
    assert_eq!(scene.written(), 0);
}
