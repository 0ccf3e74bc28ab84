//! s3s-fs 0.14.1: signatures, parts, preconditions of the source and of completions. It keeps no checksum of an object
//! made of parts, ignores `If-None-Match` on a copy, and lists no uploads.

use super::THREE_PARTS;
use super::address;
use super::bytes;
use super::fresh;
use super::get;
use super::keys;
use super::put;
use super::session;
use branchline::adapters::aws::Class;
use branchline::adapters::aws::Session;
use branchline::adapters::s3::CopyFailure;
use branchline::adapters::s3::CopyOptions;
use branchline::adapters::s3::CopySizes;
use branchline::adapters::s3::S3Place;
use branchline::adapters::s3::copy_object;
use branchline::adapters::s3::upload_file;
use branchline::model::artifact::ObjectDigest;
use branchline::model::digest::Sha256Digest;
use std::sync::Arc;

const BY_PARTS: CopySizes = CopySizes { single_most: 1 << 20, part_least: 5 << 20, at_once: 4 };

async fn bucket(name: &str) -> Arc<Session> {
    let address = address("BRANCHLINE_S3S", "tests/s3s/run");
    let session = session(&address, &fresh(name), keys("branchline", "second-opinion")).await;
    session.s3.create_bucket().bucket(&session.place.bucket).send().await.expect("it can be made");
    session
}

fn object(session: &Session, key: &str) -> S3Place {
    S3Place::new(&session.place.bucket, key)
}

#[tokio::test]
#[ignore = "needs s3s-fs: s3s_agrees runs it"]
async fn an_object_is_copied_whole_with_what_describes_it() {
    let (dev, prod) = (bucket("dev").await, bucket("prod").await);
    let content = bytes(70_000);
    let digest = Sha256Digest::of(&content);
    let sent = dev.s3.put_object().bucket(&dev.place.bucket).key("a b/ü+model.tar.gz");
    let base64 = aws_smithy_types::base64::encode(hex::decode(digest.as_str()).expect("hexadecimal"));
    let sent = sent.checksum_sha256(base64).metadata("made-by", "a test").content_type("application/gzip");
    sent.body(content.clone().into()).send().await.expect("it can be put");
    let from = object(&dev, "a b/ü+model.tar.gz");
    let to = object(&prod, "model.tar.gz");
    let expected = ObjectDigest::Sha256(digest);
    let options = CopyOptions { expected: Some(&expected), ..CopyOptions::default() };
    let copied = copy_object(&dev, &prod, &from, &to, &options).await.expect("it can be copied");
    assert_eq!((copied.digest, copied.size, copied.was_there), (expected.clone(), 70_000, false));
    assert_eq!(get(&prod, "model.tar.gz").await, content);
    let head = prod.s3.head_object().bucket(&prod.place.bucket).key("model.tar.gz").send().await.expect("it is there");
    assert_eq!(head.content_type(), Some("application/gzip"));
    assert_eq!(head.metadata().and_then(|all| all.get("made-by")).map(String::as_str), Some("a test"));
    // The same once more: nothing is copied.
    let again = copy_object(&dev, &prod, &from, &to, &options).await.expect("it is there");
    assert!(again.was_there);
}

#[tokio::test]
#[ignore = "needs s3s-fs: s3s_agrees runs it"]
async fn parts_make_the_same_bytes() {
    let (dev, prod) = (bucket("dev").await, bucket("prod").await);
    let content = bytes(THREE_PARTS);
    put(&dev, "model.tar.gz", &content).await;
    let to = object(&prod, "model.tar.gz");
    let options = CopyOptions { sizes: BY_PARTS, ..CopyOptions::default() };
    let came = copy_object(&dev, &prod, &object(&dev, "model.tar.gz"), &to, &options).await;
    // Its gap: it keeps no checksum of what was made of parts. That is never taken for a verified copy.
    assert_eq!(came, Err(CopyFailure::NoDigest { uri: to.uri() }));
    assert!(get(&prod, "model.tar.gz").await == content);
    let head = prod.s3.head_object().bucket(&prod.place.bucket).key("model.tar.gz").send().await.expect("it is there");
    assert_eq!(head.content_type(), Some("application/gzip"));
    assert_eq!(head.metadata().and_then(|all| all.get("made-by")).map(String::as_str), Some("a test"));
    assert!(head.e_tag().is_some_and(|etag| etag.trim_matches('"').ends_with("-3")), "{:?}", head.e_tag());
}

#[tokio::test]
#[ignore = "needs s3s-fs: s3s_agrees runs it"]
async fn a_file_goes_up_whole_or_in_parts_and_over_nothing() {
    let dev = bucket("dev").await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("it can be written");
        path
    };
    let (large, small, empty) = (bytes(THREE_PARTS), bytes(70_000), Vec::new());
    for content in [&small, &empty] {
        let (name, digest) = (content.len().to_string(), ObjectDigest::Sha256(Sha256Digest::of(content)));
        let sent = upload_file(&dev, &file(&name, content), &object(&dev, &name), BY_PARTS).await.expect("it goes up");
        assert_eq!((sent.digest, sent.size, sent.was_there), (digest, content.len() as u64, false));
        assert!(get(&dev, &name).await == *content);
    }
    let to = object(&dev, "large");
    let came = upload_file(&dev, &file("large", &large), &to, BY_PARTS).await;
    // The same gap: no checksum of what was made of parts, so it is not taken for compared.
    assert_eq!(came, Err(CopyFailure::NoDigest { uri: to.uri() }));
    assert!(get(&dev, "large").await == large);
    let other = file("other", b"other");
    let came = upload_file(&dev, &other, &object(&dev, "70000"), BY_PARTS).await;
    assert!(matches!(came, Err(CopyFailure::Taken { .. })), "{came:?}");
    assert!(get(&dev, "70000").await == small);
}

#[tokio::test]
#[ignore = "needs s3s-fs: s3s_agrees runs it"]
async fn nothing_is_overwritten_and_no_other_source_is_taken() {
    let (dev, prod) = (bucket("dev").await, bucket("prod").await);
    put(&dev, "model.tar.gz", &bytes(1000)).await;
    put(&prod, "model.tar.gz", b"somebody else's").await;
    let (from, to) = (object(&dev, "model.tar.gz"), object(&prod, "model.tar.gz"));
    let came = copy_object(&dev, &prod, &from, &to, &CopyOptions::default()).await;
    assert!(matches!(came, Err(CopyFailure::Taken { .. })), "{came:?}");
    assert_eq!(get(&prod, "model.tar.gz").await, b"somebody else's");
    let other = S3Place { etag: Some("\"0\"".to_owned()), ..from };
    let came = copy_object(&dev, &prod, &other, &object(&prod, "other"), &CopyOptions::default()).await;
    assert!(matches!(came, Err(CopyFailure::SourceChanged { .. })), "{came:?}");
}

#[tokio::test]
#[ignore = "needs s3s-fs: s3s_agrees runs it"]
async fn a_wrong_secret_is_refused() {
    let dev = bucket("dev").await;
    put(&dev, "model.tar.gz", b"x").await;
    let address = address("BRANCHLINE_S3S", "tests/s3s/run");
    let stranger = session(&address, &dev.place.bucket, keys("branchline", "wrong")).await;
    let from = object(&dev, "model.tar.gz");
    let came = copy_object(&stranger, &stranger, &from, &object(&dev, "copy"), &CopyOptions::default()).await;
    let Err(CopyFailure::Refused(refused)) = came else { panic!("{came:?}") };
    assert!(matches!(refused.class, Class::Denied | Class::Credentials), "{refused}");
}
