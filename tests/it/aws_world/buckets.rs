//! S3.

use super::session;
use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::PROD;
use crate::world::aws::PROD_BUCKET;
use crate::world::aws::World;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use aws_sdk_s3::types::ChecksumMode;
use aws_sdk_s3::types::ChecksumType;
use aws_sdk_s3::types::CompletedMultipartUpload;
use aws_sdk_s3::types::CompletedPart;

fn code<T: std::fmt::Debug, E: ProvideErrorMetadata>(result: Result<T, E>) -> String {
    result.expect_err("a refusal").code().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn what_is_put_is_there_with_its_checksum() {
    let world = World::start();
    let s3 = session(&world, DEV).await.s3;
    let put = s3
        .put_object()
        .bucket(DEV_BUCKET)
        .key("a/b c+d.txt")
        .body(ByteStream::from_static(b"hello"))
        .content_type("text/plain")
        .metadata("commit", "abc")
        .tagging("a=1&b=2")
        .checksum_algorithm(ChecksumAlgorithm::Sha256);
    let put = put.send().await.expect("room");
    assert_eq!(put.checksum_sha256(), Some("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="));
    let get = s3.get_object().bucket(DEV_BUCKET).key("a/b c+d.txt").send().await.expect("it");
    assert_eq!(get.content_type(), Some("text/plain"));
    assert_eq!(get.metadata().and_then(|all| all.get("commit")).map(String::as_str), Some("abc"));
    assert_eq!(get.body.collect().await.expect("bytes").into_bytes().as_ref(), b"hello");
    let part = s3.get_object().bucket(DEV_BUCKET).key("a/b c+d.txt").range("bytes=1-3").send().await.expect("it");
    assert_eq!(part.body.collect().await.expect("bytes").into_bytes().as_ref(), b"ell");
    let head = s3.head_object().bucket(DEV_BUCKET).key("a/b c+d.txt").checksum_mode(ChecksumMode::Enabled);
    let head = head.send().await.expect("it");
    assert_eq!(head.checksum_sha256(), Some("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="));
    assert_eq!(head.checksum_type(), Some(&ChecksumType::FullObject));
    assert_eq!(head.content_length(), Some(5));
    let missing = s3.head_object().bucket(DEV_BUCKET).key("nothing").send().await.expect_err("nothing");
    assert!(missing.into_service_error().is_not_found());
    assert_eq!(code(s3.get_object().bucket(DEV_BUCKET).key("nothing").send().await), "NoSuchKey");
}

#[tokio::test]
async fn a_file_goes_up_in_chunks_with_its_checksum_behind() {
    let world = World::start();
    let s3 = session(&world, DEV).await.s3;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large");
    std::fs::write(&path, vec![7_u8; 300_000]).expect("a file");
    let body = ByteStream::from_path(&path).await.expect("a file");
    let put = s3.put_object().bucket(DEV_BUCKET).key("large").body(body);
    put.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).send().await.expect("room");
    assert_eq!(world.object(DEV_BUCKET, "large").map(|bytes| bytes.len()), Some(300_000));
    // What the World writes itself has no SHA-256, and the client still accepts its checksum.
    world.put(DEV_BUCKET, "theirs", "123456789");
    let get = s3.get_object().bucket(DEV_BUCKET).key("theirs").checksum_mode(ChecksumMode::Enabled).send().await;
    let get = get.expect("it");
    assert_eq!((get.checksum_sha256(), get.checksum_crc64_nvme()), (None, Some("rosUhgp5mIg=")));
    assert_eq!(get.body.collect().await.expect("bytes").into_bytes().as_ref(), b"123456789");
    assert_eq!(crate::world::aws::checksum::crc64(b"123456789"), 0xae8b_1486_0a79_9888);
}

#[tokio::test]
async fn conditions_hold_on_every_write() {
    let world = World::start();
    let s3 = session(&world, DEV).await.s3;
    let put =
        |body: &'static str| s3.put_object().bucket(DEV_BUCKET).key("k").body(ByteStream::from_static(body.as_bytes()));
    let first = put("1").if_none_match("*").send().await.expect("new");
    assert_eq!(code(put("2").if_none_match("*").send().await), "PreconditionFailed");
    assert_eq!(code(put("2").if_match("\"00000000000000000000000000000000\"").send().await), "PreconditionFailed");
    put("2").if_match(first.e_tag().expect("an ETag")).send().await.expect("as expected");
    assert_eq!(world.object(DEV_BUCKET, "k").as_deref(), Some(b"2".as_slice()));
    let copy = |key: &str| s3.copy_object().bucket(DEV_BUCKET).key(key).copy_source(format!("{DEV_BUCKET}/k"));
    let copied = copy("c").if_none_match("*").checksum_algorithm(ChecksumAlgorithm::Sha256).send().await.expect("new");
    let sum = copied.copy_object_result().and_then(|result| result.checksum_sha256()).map(str::to_owned);
    assert_eq!(sum.as_deref(), Some("1HNeOiZeFu7gP1lxi5tdAwGcB9i2xR+Q2jpmbuwTqzU="));
    assert_eq!(code(copy("c").if_none_match("*").send().await), "PreconditionFailed");
    let stale = copy("d").copy_source_if_match(first.e_tag().expect("an ETag")).send().await;
    assert_eq!(code(stale), "PreconditionFailed");
    let old = format!("{DEV_BUCKET}/k?versionId={}", first.version_id().expect("a version"));
    s3.copy_object().bucket(DEV_BUCKET).key("old").copy_source(old).send().await.expect("a version");
    assert_eq!(world.object(DEV_BUCKET, "old").as_deref(), Some(b"1".as_slice()));
    let foreign = put("3").expected_bucket_owner(PROD).send().await;
    assert_eq!(code(foreign), "AccessDenied");
    assert_eq!(code(s3.head_bucket().bucket(PROD_BUCKET).send().await), "none");
}

#[tokio::test]
async fn large_objects_are_copied_in_parts() {
    let world = World::start();
    let s3 = session(&world, DEV).await.s3;
    world.put(DEV_BUCKET, "source", vec![1_u8; 6_000_000]);
    world.declare_size(DEV_BUCKET, "source", 6_000_000_000);
    let whole =
        s3.copy_object().bucket(DEV_BUCKET).key("copy").copy_source(format!("{DEV_BUCKET}/source")).send().await;
    assert_eq!(code(whole), "InvalidRequest");
    let begun = s3
        .create_multipart_upload()
        .bucket(DEV_BUCKET)
        .key("copy")
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .checksum_type(ChecksumType::FullObject)
        .send()
        .await
        .expect("an upload");
    let id = begun.upload_id().expect("an id");
    let mut parts = Vec::new();
    for (number, range) in [(1, "bytes=0-5368709119"), (2, "bytes=5368709120-5999999999")] {
        let part = s3
            .upload_part_copy()
            .bucket(DEV_BUCKET)
            .key("copy")
            .upload_id(id)
            .part_number(number)
            .copy_source(format!("{DEV_BUCKET}/source"))
            .copy_source_range(range)
            .send()
            .await
            .expect("a part");
        let result = part.copy_part_result().expect("a result");
        parts.push(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(result.e_tag().map(str::to_owned))
                .set_checksum_crc64_nvme(result.checksum_crc64_nvme().map(str::to_owned))
                .build(),
        );
    }
    let finish = |parts: Vec<CompletedPart>| {
        s3.complete_multipart_upload()
            .bucket(DEV_BUCKET)
            .key("copy")
            .upload_id(id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .if_none_match("*")
    };
    world.fail_next("CompleteMultipartUpload", crate::world::aws::Fault::OkWithError("InternalError"));
    assert_eq!(code(finish(parts.clone()).send().await), "InternalError");
    finish(parts.clone()).send().await.expect("an object");
    assert_eq!(code(finish(parts).send().await), "NoSuchUpload");
    let head = s3.head_object().bucket(DEV_BUCKET).key("copy").send().await.expect("it");
    assert_eq!(head.content_length(), Some(6_000_000_000));
    assert!(head.e_tag().is_some_and(|tag| tag.ends_with("-2\"")));
    assert_eq!(world.object(DEV_BUCKET, "copy").map(|bytes| bytes.len()), Some(6_000_000));
}

#[tokio::test]
async fn an_upload_in_parts_with_sha256_has_a_composite_checksum() {
    let world = World::start();
    let s3 = session(&world, DEV).await.s3;
    let begin = s3.create_multipart_upload().bucket(DEV_BUCKET).key("m").checksum_algorithm(ChecksumAlgorithm::Sha256);
    let begun = begin.send().await.expect("an upload");
    let id = begun.upload_id().expect("an id");
    let mut parts = Vec::new();
    for (number, size) in [(1, 5 * 1024 * 1024), (2, 10)] {
        let part = s3.upload_part().bucket(DEV_BUCKET).key("m").upload_id(id).part_number(number);
        let part = part.body(ByteStream::from(vec![number as u8; size])).checksum_algorithm(ChecksumAlgorithm::Sha256);
        let part = part.send().await.expect("a part");
        let done = CompletedPart::builder().part_number(number).set_e_tag(part.e_tag().map(str::to_owned));
        parts.push(done.set_checksum_sha256(part.checksum_sha256().map(str::to_owned)).build());
    }
    let listed = s3.list_multipart_uploads().bucket(DEV_BUCKET).send().await.expect("a list");
    assert_eq!(listed.uploads().len(), 1);
    let done = s3.complete_multipart_upload().bucket(DEV_BUCKET).key("m").upload_id(id);
    let done = done.multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
    let done = done.send().await.expect("an object");
    assert!(done.checksum_sha256().is_some_and(|sum| sum.ends_with("-2")));
    let again = s3.copy_object().bucket(DEV_BUCKET).key("n").copy_source(format!("{DEV_BUCKET}/m"));
    let again = again.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await.expect("a copy");
    let sum = again.copy_object_result().and_then(|result| result.checksum_sha256()).unwrap_or_default();
    assert_eq!((sum.len(), sum.contains('-')), (44, false));
}

#[tokio::test]
async fn a_list_comes_in_pages_and_folders() {
    let world = World::start();
    let s3 = session(&world, DEV).await.s3;
    for at in 0..7 {
        world.put(DEV_BUCKET, &format!("x/{at}"), "1");
        world.put(DEV_BUCKET, &format!("y/{at}/z&"), "1");
    }
    let mut pages = s3.list_objects_v2().bucket(DEV_BUCKET).prefix("x/").max_keys(3).into_paginator().send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.expect("a page").contents().len());
    }
    assert_eq!(sizes, [3, 3, 1]);
    let folders = s3.list_objects_v2().bucket(DEV_BUCKET).prefix("y/").delimiter("/").send().await.expect("a list");
    assert_eq!(folders.common_prefixes().len(), 7);
    s3.delete_object().bucket(DEV_BUCKET).key("x/0").send().await.expect("gone");
    let left = s3.list_objects_v2().bucket(DEV_BUCKET).start_after("x/3").prefix("x/").send().await.expect("a list");
    assert_eq!(left.contents().len(), 3);
    assert_eq!(world.keys(DEV_BUCKET, "x/").len(), 6);
    assert_eq!(world.count("ListObjectsV2"), 5);
    assert_eq!(world.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn tags_attributes_and_buckets_can_be_asked_for() {
    let world = World::start();
    let s3 = session(&world, DEV).await.s3;
    let put = s3.put_object().bucket(DEV_BUCKET).key("k").body(ByteStream::from_static(b"1")).tagging("a%20b=c");
    put.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await.expect("room");
    let tags = s3.get_object_tagging().bucket(DEV_BUCKET).key("k").send().await.expect("tags");
    assert_eq!((tags.tag_set()[0].key(), tags.tag_set()[0].value()), ("a b", "c"));
    let attributes = s3.get_object_attributes().bucket(DEV_BUCKET).key("k");
    let attributes = attributes.object_attributes(aws_sdk_s3::types::ObjectAttributes::Checksum);
    let attributes = attributes.object_attributes(aws_sdk_s3::types::ObjectAttributes::ObjectSize);
    let attributes = attributes.send().await.expect("attributes");
    assert_eq!(attributes.object_size(), Some(1));
    assert!(attributes.checksum().and_then(|sum| sum.checksum_sha256()).is_some());
    let versioning = s3.get_bucket_versioning().bucket(DEV_BUCKET).send().await.expect("it");
    assert_eq!(versioning.status().map(|status| status.as_str()), Some("Enabled"));
    s3.get_bucket_encryption().bucket(DEV_BUCKET).send().await.expect("it");
    let place = s3.get_bucket_location().bucket(DEV_BUCKET).send().await.expect("it");
    assert_eq!(place.location_constraint().map(|place| place.as_str()), Some("eu-central-1"));
    let rules = || s3.get_bucket_lifecycle_configuration().bucket(DEV_BUCKET).send();
    assert_eq!(code(rules().await), "NoSuchLifecycleConfiguration");
    let rule = "<Rule><ID>a</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter><AbortIncompleteMultipartUpload>\
                <DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>";
    world.with(|state| state.buckets.get_mut(DEV_BUCKET).expect("it").lifecycle = Some(rule.to_owned()));
    assert_eq!(rules().await.expect("rules").rules().len(), 1);
    world.assert_clean();
}

#[tokio::test]
async fn what_is_not_played_is_refused_and_remembered() {
    let world = World::start();
    let s3 = session(&world, DEV).await.s3;
    world.put(DEV_BUCKET, "k", "1");
    let copy = s3.copy_object().bucket(DEV_BUCKET).key("c").copy_source(format!("{DEV_BUCKET}/k"));
    assert_eq!(code(copy.copy_source_if_none_match("x").send().await), "NotImplemented");
    assert_eq!(code(s3.list_buckets().send().await), "NotImplemented");
    assert_eq!(world.violations().len(), 2);
}

#[tokio::test]
async fn an_upload_in_parts_may_be_listed_and_given_up() {
    let world = World::start();
    let s3 = session(&world, DEV).await.s3;
    let begun = s3.create_multipart_upload().bucket(DEV_BUCKET).key("m").send().await.expect("an upload");
    let id = begun.upload_id().expect("an id");
    let mut parts = Vec::new();
    for number in [1, 2] {
        let part = s3.upload_part().bucket(DEV_BUCKET).key("m").upload_id(id).part_number(number);
        let part = part.body(ByteStream::from_static(b"small")).send().await.expect("a part");
        parts.push(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(part.e_tag().map(str::to_owned))
                .set_checksum_crc32(part.checksum_crc32().map(str::to_owned))
                .build(),
        );
    }
    let listed = s3.list_parts().bucket(DEV_BUCKET).key("m").upload_id(id).send().await.expect("parts");
    assert_eq!(listed.parts().len(), 2);
    let done = s3.complete_multipart_upload().bucket(DEV_BUCKET).key("m").upload_id(id);
    let done = done.multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
    assert_eq!(code(done.send().await), "EntityTooSmall");
    let give_up = || s3.abort_multipart_upload().bucket(DEV_BUCKET).key("m").upload_id(id).send();
    give_up().await.expect("gone");
    assert_eq!(code(give_up().await), "NoSuchUpload");
    world.assert_clean();
}
