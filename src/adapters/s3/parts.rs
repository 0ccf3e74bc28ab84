//! A large object, made of parts that S3 copies or receives side by side. An upload that is not completed is aborted
//! on every way out; what a killed process leaves is swept away a day later (`stale_uploads`) or by the rule of the
//! bucket.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::aws::Session;
use crate::adapters::s3::copy::CopyFailure;
use crate::adapters::s3::copy::CopySizes;
use crate::adapters::s3::copy::End;
use crate::adapters::s3::copy::OnBytes;
use crate::adapters::s3::copy::Order;
use crate::adapters::s3::look::look_for;
use crate::adapters::s3::look::sharpen;
use crate::adapters::s3::place::S3Place;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::ChecksumAlgorithm;
use aws_sdk_s3::types::ChecksumType;
use aws_sdk_s3::types::CompletedMultipartUpload;
use aws_sdk_s3::types::CompletedPart;
use std::sync::Arc;
use tokio::task::JoinSet;

/// S3 allows no more in one object.
const MOST_PARTS: u64 = 10_000;

/// How often the answer to the completion may be lost before that is an error.
const COMPLETIONS: u32 = 5;

/// An upload that must be completed or aborted. Dropped before, it aborts itself.
pub(super) struct OpenUpload {
    target: Arc<Session>,
    client: Client,
    to: S3Place,
    id: Option<String>,
}

/// What the parts must add up to.
pub(super) struct Whole {
    pub(super) size: u64,
    /// CRC64NVME of the whole, base64, where it is known: S3 refuses parts that add up to another.
    pub(super) crc64: Option<String>,
    /// The account that must own the bucket, where that is known.
    pub(super) owner: Option<String>,
}

impl OpenUpload {
    pub(super) fn new(target: &Arc<Session>, client: &Client, to: &S3Place, id: String) -> Self {
        Self { target: Arc::clone(target), client: client.clone(), to: to.clone(), id: Some(id) }
    }

    pub(super) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// Aborts it now. What goes wrong with that is left to the sweep.
    pub(super) async fn abort(mut self) {
        if let Some(id) = self.id.take() {
            let _ = abort(&self.target, &self.client, &self.to, &id).await;
        }
    }

    /// Completes it from its parts, which are in order.
    pub(super) async fn complete(mut self, parts: Vec<CompletedPart>, whole: &Whole) -> Result<End, Refused> {
        let listed = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let mut last = None;
        for _ in 0..COMPLETIONS {
            // Not sent again blindly: a completion that met another writer ends the upload, and one whose answer was
            // lost may have done its work.
            let sent = self
                .target
                .call(Kind::Change, "s3:PutObject", || {
                    self.client
                        .complete_multipart_upload()
                        .bucket(&self.to.bucket)
                        .key(&self.to.key)
                        .upload_id(self.id())
                        .if_none_match("*")
                        .checksum_type(ChecksumType::FullObject)
                        .set_checksum_crc64_nvme(whole.crc64.clone())
                        .set_mpu_object_size(i64::try_from(whole.size).ok())
                        .set_expected_bucket_owner(whole.owner.clone())
                        .multipart_upload(listed.clone())
                        .send()
                })
                .await;
            match sent {
                Ok(_) => {
                    self.id = None;
                    return Ok(End::Copied);
                }
                Err(refused) if matches!(refused.class, Class::Lost | Class::NotFound) => {
                    if look_for(&self.target, &self.client, &self.to).await?.is_some() {
                        // Ours, or equal to it, or neither: it is compared above. If another writer was faster, the
                        // upload is still open.
                        self.abort().await;
                        return Ok(End::Copied);
                    }
                    if refused.class == Class::NotFound {
                        self.id = None;
                        return Ok(End::Refused(refused));
                    }
                    last = Some(refused);
                }
                Err(refused) => {
                    self.abort().await;
                    return Ok(End::Refused(sharpen(refused)));
                }
            }
        }
        self.abort().await;
        Ok(End::Refused(last.unwrap_or_else(|| Refused::said("s3:PutObject", "InternalError", "no answer", 500))))
    }
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        // Without a runtime the process is on its way out; the sweep finds it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (target, client, to) = (Arc::clone(&self.target), self.client.clone(), self.to.clone());
        runtime.spawn(async move { abort(&target, &client, &to, &id).await });
    }
}

/// Aborts an upload. One that is gone is as good as aborted.
pub(super) async fn abort(target: &Session, client: &Client, to: &S3Place, id: &str) -> Result<(), Refused> {
    let sent = target
        .call(Kind::Repeatable, "s3:AbortMultipartUpload", || {
            client.abort_multipart_upload().bucket(&to.bucket).key(&to.key).upload_id(id).send()
        })
        .await;
    match sent {
        Ok(_) => Ok(()),
        Err(refused) if refused.class == Class::NotFound => Ok(()),
        Err(refused) => Err(refused),
    }
}

/// Returns the size of the parts of an object: all alike, but for the last.
pub(super) fn part_size(size: u64, sizes: CopySizes) -> u64 {
    const MEBIBYTE: u64 = 1 << 20;
    let needed = size.div_ceil(MOST_PARTS).div_ceil(MEBIBYTE) * MEBIBYTE;
    sizes.part_least.max(needed).max(5 * MEBIBYTE)
}

/// Copies an object by its parts.
pub(super) async fn copy(order: &Order, progress: Option<OnBytes<'_>>) -> Result<End, CopyFailure> {
    let upload = match begin(order).await {
        Ok(upload) => upload,
        Err(refused) => return Ok(End::Refused(sharpen(refused))),
    };
    match copy_parts(order, upload.id(), progress).await {
        Ok(parts) => {
            let whole = Whole { size: order.found.size, crc64: order.found.crc64.clone(), owner: order.owner() };
            Ok(upload.complete(parts, &whole).await?)
        }
        Err(refused) => {
            upload.abort().await;
            Ok(End::Refused(sharpen(refused)))
        }
    }
}

async fn begin(order: &Order) -> Result<OpenUpload, Refused> {
    let about = &order.found.about;
    let (encryption, key) = order.encryption();
    let begun = order
        .target
        .call(Kind::Repeatable, "s3:PutObject", || {
            // A copy by parts carries nothing by itself: what describes the source is said anew.
            order
                .writing
                .create_multipart_upload()
                .bucket(&order.to.bucket)
                .key(&order.to.key)
                .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                .checksum_type(ChecksumType::FullObject)
                .set_metadata(Some(order.metadata()))
                .set_content_type(about.content_type().map(str::to_owned))
                .set_content_encoding(about.content_encoding().map(str::to_owned))
                .set_content_disposition(about.content_disposition().map(str::to_owned))
                .set_content_language(about.content_language().map(str::to_owned))
                .set_cache_control(about.cache_control().map(str::to_owned))
                .set_tagging(order.tags.clone())
                .set_server_side_encryption(encryption.clone())
                .set_ssekms_key_id(key.clone())
                .set_expected_bucket_owner(order.owner())
                .send()
        })
        .await?;
    let id = begun.upload_id().unwrap_or_default().to_owned();
    Ok(OpenUpload::new(&order.target, &order.writing, &order.to, id))
}

async fn copy_parts(order: &Order, id: &str, progress: Option<OnBytes<'_>>) -> Result<Vec<CompletedPart>, Refused> {
    let size = order.found.size;
    let step = part_size(size, order.sizes);
    let mut waiting = (0..size.div_ceil(step)).map(|index| {
        let start = index * step;
        (i32::try_from(index + 1).unwrap_or(i32::MAX), start, (start + step).min(size))
    });
    // Dropping the set, on whatever way out, ends what is under way.
    let mut running = JoinSet::new();
    let mut parts = Vec::new();
    let mut done = 0;
    loop {
        while running.len() < order.sizes.at_once.max(1)
            && let Some((number, start, end)) = waiting.next()
        {
            let part = OnePart {
                target: Arc::clone(&order.target),
                client: order.writing.clone(),
                from: order.from.clone(),
                to: order.to.clone(),
                id: id.to_owned(),
                number,
                range: format!("bytes={start}-{}", end - 1),
            };
            running.spawn(async move { (part.copy().await, end - start) });
        }
        let Some(ended) = running.join_next().await else { break };
        let Ok((part, bytes)) = ended else {
            return Err(Refused::said("s3:PutObject", "InternalError", "the copy of a part was given up", 500));
        };
        parts.push(part?);
        done += bytes;
        if let Some(progress) = progress {
            progress(done);
        }
    }
    parts.sort_by_key(CompletedPart::part_number);
    Ok(parts)
}

/// One part that is copied.
struct OnePart {
    target: Arc<Session>,
    client: Client,
    from: S3Place,
    to: S3Place,
    id: String,
    number: i32,
    range: String,
}

impl OnePart {
    async fn copy(&self) -> Result<CompletedPart, Refused> {
        let said = self
            .target
            .call(Kind::Repeatable, "s3:PutObject", || {
                self.client
                    .upload_part_copy()
                    .copy_source(self.from.copy_source())
                    .set_copy_source_if_match(self.from.etag.clone())
                    .copy_source_range(&self.range)
                    .bucket(&self.to.bucket)
                    .key(&self.to.key)
                    .upload_id(&self.id)
                    .part_number(self.number)
                    .send()
            })
            .await?;
        let result = said.copy_part_result();
        Ok(CompletedPart::builder()
            .part_number(self.number)
            .set_e_tag(result.and_then(|result| result.e_tag()).map(str::to_owned))
            .set_checksum_crc64_nvme(result.and_then(|result| result.checksum_crc64_nvme()).map(str::to_owned))
            .build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fit_whatever_the_size() {
        let sizes = CopySizes::default();
        const GIB: u64 = 1 << 30;
        for size in [sizes.single_most + 1, 5 * GIB + 1, 100 * GIB, 5 << 40, 50_000_000_000_000] {
            let part = part_size(size, sizes);
            assert!(size.div_ceil(part) <= MOST_PARTS, "{size}");
            assert!((5 << 20..=5 * GIB).contains(&part), "{size}: {part}");
        }
        assert_eq!(part_size(6 * GIB, sizes), 128 << 20);
        let tiny = CopySizes { single_most: 0, part_least: 1, at_once: 1 };
        assert_eq!(part_size(1, tiny), 5 << 20);
    }
}
