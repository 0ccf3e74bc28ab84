//! A file of this machine put into S3: read once for its digests, then sent, in parts where it is large. S3 computes
//! the digest of what arrived, and the two are compared.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::aws::Session;
use crate::adapters::s3::copy::BEGINNINGS;
use crate::adapters::s3::copy::CopiedObject;
use crate::adapters::s3::copy::CopyFailure;
use crate::adapters::s3::copy::CopySizes;
use crate::adapters::s3::copy::End;
use crate::adapters::s3::copy::OnBytes;
use crate::adapters::s3::hash::Hashed;
use crate::adapters::s3::hash::hash_file;
use crate::adapters::s3::look::Found;
use crate::adapters::s3::look::look;
use crate::adapters::s3::look::look_for;
use crate::adapters::s3::look::sharpen;
use crate::adapters::s3::parts::OpenUpload;
use crate::adapters::s3::parts::Whole;
use crate::adapters::s3::parts::part_size;
use crate::adapters::s3::place::S3Place;
use crate::model::artifact::ObjectDigest;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::primitives::Length;
use aws_sdk_s3::types::ChecksumAlgorithm;
use aws_sdk_s3::types::ChecksumType;
use aws_sdk_s3::types::CompletedPart;
use aws_sdk_s3::types::ServerSideEncryption;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Metadata of an upload: the SHA-256 of the file, for people. S3 keeps none of a whole that came in parts.
const SHA256: &str = "branchline-sha256";

/// How many parts are sent at the same time: each holds a connection of this machine.
const AT_ONCE: usize = 4;

/// The largest file that is sent, in bytes.
const MOST: u64 = 5 << 40;

/// Up to this size, in bytes, sending a file that lies there already costs less than asking for it first.
const UNASKED: u64 = 1 << 20;

/// A file on its way.
pub(super) struct Upload<'a> {
    pub(super) target: &'a Arc<Session>,
    pub(super) file: &'a Path,
    pub(super) hashed: &'a Hashed,
    pub(super) to: &'a S3Place,
    pub(super) sizes: CopySizes,
    /// Something of this name is known to lie there: it is asked for first, whatever its size.
    pub(super) lies_there: bool,
    pub(super) progress: Option<OnBytes<'a>>,
}

/// Puts a file of this machine into S3, unless an equal object lies there already. Safe to repeat.
///
/// The file is read twice: for its digests, and to be sent. One that changes in between is not kept.
pub async fn upload_file(
    target: &Arc<Session>,
    file: &Path,
    to: &S3Place,
    sizes: CopySizes,
) -> Result<CopiedObject, CopyFailure> {
    upload_known(target, file, to, sizes, false).await
}

/// As [`upload_file`]. `lies_there`: a listing has an object of this name.
pub(super) async fn upload_known(
    target: &Arc<Session>,
    file: &Path,
    to: &S3Place,
    sizes: CopySizes,
    lies_there: bool,
) -> Result<CopiedObject, CopyFailure> {
    let unreadable = |why: String| CopyFailure::Unreadable { file: file.display().to_string(), why };
    let size = tokio::fs::metadata(file).await.map_err(|error| unreadable(error.to_string()))?.len();
    fits(file, size)?;
    let path = file.to_owned();
    let hashed = tokio::task::spawn_blocking(move || hash_file(&path, &|_| {})).await;
    let hashed = hashed.map_err(|error| unreadable(error.to_string()))?;
    let hashed = hashed.map_err(|error| unreadable(error.to_string()))?;
    upload(&Upload { target, file, hashed: &hashed, to, sizes, lies_there, progress: None }).await
}

fn fits(file: &Path, size: u64) -> Result<(), CopyFailure> {
    if size > MOST { Err(CopyFailure::TooLarge { file: file.display().to_string(), size }) } else { Ok(()) }
}

/// Puts a file into S3, unless an equal object lies there already. Safe to repeat.
pub(super) async fn upload(upload: &Upload<'_>) -> Result<CopiedObject, CopyFailure> {
    let Upload { target, file, hashed, to, .. } = upload;
    fits(file, hashed.size)?;
    let parts = hashed.size > upload.sizes.single_most;
    if (parts || upload.lies_there || hashed.size > UNASKED)
        && let Some(there) = look_for(target, &target.s3, to).await?
    {
        return settled(&there, hashed, to, true);
    }
    for beginning in 0..BEGINNINGS {
        if beginning > 0 {
            tokio::time::sleep(Duration::from_millis(200 << beginning)).await;
        }
        let sent = if parts { upload.parts().await? } else { upload.whole().await };
        let refused = match sent {
            Ok(Some(stored)) => return Ok(stored),
            Ok(None) => {
                let there = look(target, &target.s3, to).await?;
                return settled(&there, hashed, to, false);
            }
            Err(refused) => refused,
        };
        // What arrived is not what was read for the digest: is the file still that?
        if refused.class == Class::Invalid && upload.file_changed().await {
            return Err(CopyFailure::FileChanged { file: file.display().to_string() });
        }
        // Another writer was faster, met this one, or somebody tidied the upload away.
        if !matches!(refused.class, Class::Precondition | Class::Conflict | Class::NotFound | Class::Lost) {
            return Err(refused.into());
        }
        if let Some(there) = look_for(target, &target.s3, to).await? {
            return settled(&there, hashed, to, true);
        }
        if refused.class == Class::Lost {
            return Err(refused.into());
        }
    }
    Err(CopyFailure::Contended { uri: to.uri() })
}

/// What S3 says it keeps, where its answer said that; else it must be looked at.
type Sent = Result<Option<CopiedObject>, Refused>;

impl Upload<'_> {
    /// Tells whether the file is another one by now, or cannot be read any more.
    async fn file_changed(&self) -> bool {
        let path = self.file.to_owned();
        let now = tokio::task::spawn_blocking(move || hash_file(&path, &|_| {})).await;
        !matches!(now, Ok(Ok(now)) if now == *self.hashed)
    }

    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        let key = self.target.place.kms_key.clone();
        (key.as_ref().map(|_| ServerSideEncryption::AwsKms), key)
    }

    fn owner(&self) -> Option<String> {
        let place = &self.target.place;
        place.account_id.clone().filter(|_| place.bucket == self.to.bucket)
    }

    async fn whole(&self) -> Sent {
        let digest = hex::decode(self.hashed.sha256.as_str()).map(aws_smithy_types::base64::encode).unwrap_or_default();
        let (encryption, key) = self.encryption();
        let sent = self
            .target
            .call(Kind::Repeatable, "s3:PutObject", || {
                let request = self
                    .target
                    .s3
                    .put_object()
                    .bucket(&self.to.bucket)
                    .key(&self.to.key)
                    .if_none_match("*")
                    .checksum_algorithm(ChecksumAlgorithm::Sha256)
                    .checksum_sha256(&digest)
                    .set_server_side_encryption(encryption.clone())
                    .set_ssekms_key_id(key.clone())
                    .set_expected_bucket_owner(self.owner());
                async move { request.body(body(self.file, 0, self.hashed.size).await).send().await }
            })
            .await;
        let answer = sent.map_err(sharpen)?;
        // Without the checksum the service has not compared it.
        Ok(answer.checksum_sha256().filter(|said| **said == *digest).map(|_| CopiedObject {
            digest: ObjectDigest::Sha256(self.hashed.sha256.clone()),
            size: self.hashed.size,
            etag: answer.e_tag().unwrap_or_default().to_owned(),
            version: answer.version_id().map(str::to_owned),
            was_there: false,
        }))
    }

    async fn parts(&self) -> Result<Sent, CopyFailure> {
        let (encryption, key) = self.encryption();
        let begun = self
            .target
            .call(Kind::Repeatable, "s3:PutObject", || {
                self.target
                    .s3
                    .create_multipart_upload()
                    .bucket(&self.to.bucket)
                    .key(&self.to.key)
                    .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                    .checksum_type(ChecksumType::FullObject)
                    .metadata(SHA256, self.hashed.sha256.as_str())
                    .set_server_side_encryption(encryption.clone())
                    .set_ssekms_key_id(key.clone())
                    .set_expected_bucket_owner(self.owner())
                    .send()
            })
            .await;
        let id = match begun {
            Ok(begun) => begun.upload_id().unwrap_or_default().to_owned(),
            Err(refused) => return Ok(Err(sharpen(refused))),
        };
        let open = OpenUpload::new(self.target, &self.target.s3, self.to, id);
        match self.send_parts(open.id()).await {
            Ok(parts) => {
                let crc64 = Some(self.hashed.crc64.clone());
                let whole = Whole { size: self.hashed.size, crc64, owner: self.owner() };
                Ok(match open.complete(parts, &whole).await? {
                    End::Copied => Ok(None),
                    End::Refused(refused) => Err(refused),
                })
            }
            Err(refused) => {
                open.abort().await;
                Ok(Err(sharpen(refused)))
            }
        }
    }

    async fn send_parts(&self, id: &str) -> Result<Vec<CompletedPart>, Refused> {
        let size = self.hashed.size;
        let step = part_size(size, self.sizes);
        let mut waiting = (0..size.div_ceil(step)).map(|index| {
            let start = index * step;
            (i32::try_from(index + 1).unwrap_or(i32::MAX), start, step.min(size - start))
        });
        let mut running = JoinSet::new();
        let (mut parts, mut done) = (Vec::new(), 0);
        loop {
            while running.len() < AT_ONCE
                && let Some((number, start, length)) = waiting.next()
            {
                let part = OnePart {
                    target: Arc::clone(self.target),
                    client: self.target.s3.clone(),
                    file: self.file.to_owned(),
                    to: self.to.clone(),
                    id: id.to_owned(),
                    number,
                    start,
                    length,
                };
                running.spawn(async move { (part.send().await, length) });
            }
            let Some(ended) = running.join_next().await else { break };
            let Ok((part, length)) = ended else {
                return Err(Refused::said("s3:PutObject", "InternalError", "a part was given up", 500));
            };
            parts.push(part?);
            done += length;
            if let Some(progress) = self.progress {
                progress(done);
            }
        }
        parts.sort_by_key(CompletedPart::part_number);
        Ok(parts)
    }
}

/// One part of a file.
struct OnePart {
    target: Arc<Session>,
    client: Client,
    file: PathBuf,
    to: S3Place,
    id: String,
    number: i32,
    start: u64,
    length: u64,
}

impl OnePart {
    async fn send(&self) -> Result<CompletedPart, Refused> {
        let said = self
            .target
            .call(Kind::Repeatable, "s3:PutObject", || {
                let request = self
                    .client
                    .upload_part()
                    .bucket(&self.to.bucket)
                    .key(&self.to.key)
                    .upload_id(&self.id)
                    .part_number(self.number)
                    .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
                async move { request.body(body(&self.file, self.start, self.length).await).send().await }
            })
            .await?;
        Ok(CompletedPart::builder()
            .part_number(self.number)
            .set_e_tag(said.e_tag().map(str::to_owned))
            .set_checksum_crc64_nvme(said.checksum_crc64_nvme().map(str::to_owned))
            .build())
    }
}

/// Streams a piece of a file. A file that cannot be read any more becomes an empty body, which S3 refuses: it was
/// told another length and another digest.
async fn body(file: &Path, start: u64, length: u64) -> ByteStream {
    let read = ByteStream::read_from().path(file).offset(start).length(Length::Exact(length)).build().await;
    read.unwrap_or_else(|_| ByteStream::from_static(b""))
}

fn settled(there: &Found, hashed: &Hashed, to: &S3Place, was_there: bool) -> Result<CopiedObject, CopyFailure> {
    let Some(digest) = there.digest() else { return Err(CopyFailure::NoDigest { uri: to.uri() }) };
    let wanted: ObjectDigest = hashed.like(&digest);
    if there.size != hashed.size || wanted != digest {
        return Err(CopyFailure::Taken {
            uri: to.uri(),
            expected: format!("{wanted}, {} bytes", hashed.size),
            found: format!("{digest}, {} bytes", there.size),
        });
    }
    Ok(CopiedObject {
        digest,
        size: there.size,
        etag: there.etag.clone(),
        version: there.about.version_id().map(str::to_owned),
        was_there,
    })
}
