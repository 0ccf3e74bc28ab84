//! One object copied by S3 itself: nothing passes through this machine, nothing is overwritten, and the digest of the
//! whole copy is compared before anybody is told that it is there.
//!
//! Up to 5 GB it is one request, and S3 computes the SHA-256 of the copy. Above, parts are copied side by side
//! (`parts`), and the digest is CRC64NVME: S3 has no other for a whole object made of parts.
//!
//! The requests are sent with the target's credentials, the reading ones too: a role that may write a stage reads from
//! the one below it, never the other way.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::aws::Session;
use crate::adapters::s3::look::COPIED_FROM;
use crate::adapters::s3::look::Found;
use crate::adapters::s3::look::elsewhere;
use crate::adapters::s3::look::look;
use crate::adapters::s3::look::look_for;
use crate::adapters::s3::look::patient;
use crate::adapters::s3::look::reader;
use crate::adapters::s3::look::sharpen;
use crate::adapters::s3::parts;
use crate::adapters::s3::place::S3Place;
use crate::model::artifact::ObjectDigest;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::ChecksumAlgorithm;
use aws_sdk_s3::types::MetadataDirective;
use aws_sdk_s3::types::ServerSideEncryption;
use aws_sdk_s3::types::TaggingDirective;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How often a copy begins anew because another writer met it.
pub(super) const BEGINNINGS: u32 = 6;

/// Where one request ends and parts begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopySizes {
    /// The largest object that is copied in one request, in bytes.
    pub single_most: u64,
    /// The size of a part, in bytes. Objects that would have more than 10,000 of them get larger ones.
    pub part_least: u64,
    /// How many parts are copied at the same time.
    pub at_once: usize,
}

impl Default for CopySizes {
    fn default() -> Self {
        // S3 documents 5 GB without saying which: the smaller reading is right under both.
        Self { single_most: 5_000_000_000, part_least: 128 << 20, at_once: 16 }
    }
}

/// Hears how many bytes are copied so far.
pub type OnBytes<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// What a copy may be told beside its places.
#[derive(Clone, Copy, Default)]
pub struct CopyOptions<'a> {
    /// The digest that the object must have, where it is known already.
    pub expected: Option<&'a ObjectDigest>,
    /// Where one request ends and parts begin.
    pub sizes: CopySizes,
    /// Hears how many bytes are copied so far.
    pub progress: Option<OnBytes<'a>>,
}

/// A copy that lies at its place, compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedObject {
    /// The digest of the whole object, as S3 keeps it for the copy.
    pub digest: ObjectDigest,
    /// Its size in bytes.
    pub size: u64,
    /// The ETag of the copy.
    pub etag: String,
    /// The version of the copy, in a versioned bucket.
    pub version: Option<String>,
    /// Whether it lay there already, equal: nothing was copied.
    pub was_there: bool,
}

/// Why an object was not copied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyFailure {
    /// A request was refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The source is not the object that was meant.
    #[error("{uri} is not what it was: {expected} was expected, and it is {found}")]
    SourceChanged {
        /// The source.
        uri: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Something else lies at the target.
    #[error("{uri} holds something else: {expected} was expected, and it is {found}")]
    Taken {
        /// The target.
        uri: String,
        /// What should lie there.
        expected: String,
        /// What lies there.
        found: String,
    },
    /// S3 keeps no digest of the whole object.
    #[error("S3 keeps no digest of the whole of {uri}")]
    NoDigest {
        /// The object.
        uri: String,
    },
    /// The file on this machine cannot be read.
    #[error("{file} cannot be read: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// The file on this machine was written to while it was sent.
    #[error("{file} changed while it was sent")]
    FileChanged {
        /// The file.
        file: String,
    },
    /// S3 keeps no object of this size.
    #[error("{file} has {size} bytes, and an upload has at most 5 TiB")]
    TooLarge {
        /// The file.
        file: String,
        /// Its size in bytes.
        size: u64,
    },
    /// Other writers met every attempt.
    #[error("other writers were faster {BEGINNINGS} times at {uri}")]
    Contended {
        /// The target.
        uri: String,
    },
}

impl CopyFailure {
    /// Puts it in the words of a port. `doing` completes "could not …".
    pub fn into_port(self, doing: impl Into<String>) -> PortError {
        let (kind, hint) = match self {
            Self::Refused(refused) if is_gone(&refused) => {
                return refused.into_port(doing).hint(
                    "The object was removed from outside. Restore it in the bucket, or make it anew: `branchline train \
                     --again --reason \"lost artifact\"`.",
                );
            }
            Self::Refused(refused) => return refused.into_port(doing),
            Self::SourceChanged { .. } => (
                PortErrorKind::Corrupt,
                "Somebody replaced the object. Restore its former version in the bucket, or train again: \
                 `branchline train --again --reason \"replaced artifact\"`.",
            ),
            Self::Taken { .. } => (
                PortErrorKind::Corrupt,
                "Nothing was overwritten. See who wrote that object; move it away, and run again.",
            ),
            Self::NoDigest { .. } => {
                (PortErrorKind::Corrupt, "The service behind this bucket computes no checksums: use Amazon S3.")
            }
            Self::Unreadable { .. } => (PortErrorKind::Storage, "Is it still there, and may this user read it?"),
            Self::FileChanged { .. } => {
                (PortErrorKind::Corrupt, "Nothing of it was kept. Run again when nobody writes to it.")
            }
            Self::TooLarge { .. } => (
                PortErrorKind::Configuration,
                "Split it into several files, or put it into a bucket and name its s3:// address in `data`.",
            ),
            Self::Contended { .. } => (PortErrorKind::Throttling, "Run again: what was begun is found and finished."),
        };
        PortError::because(kind, doing, self).hint(hint)
    }
}

/// Tells whether an object is missing, and not its bucket or an upload.
fn is_gone(refused: &Refused) -> bool {
    let other = matches!(refused.code.as_deref(), Some("NoSuchBucket" | "NoSuchUpload"));
    refused.class == Class::NotFound && !other
}

/// Copies an object, unless an equal one lies at the target already. Safe to repeat.
///
/// `source` says the region to read from; every request is sent with the credentials of `target`, and the copy is
/// encrypted with the key of its place.
pub async fn copy_object(
    source: &Session,
    target: &Arc<Session>,
    from: &S3Place,
    to: &S3Place,
    options: &CopyOptions<'_>,
) -> Result<CopiedObject, CopyFailure> {
    let mut reading = reader(source, target);
    let found = match look(target, &reading, from).await {
        Err(refused) if refused.class == Class::WrongRegion => {
            reading = elsewhere(target, &from.bucket).await?;
            look(target, &reading, from).await?
        }
        other => other?,
    };
    let from = pinned(from, &found, options.expected)?;
    if let Some(there) = look_for(target, &target.s3, to).await? {
        return settled(&there, &found, to, options.expected, true);
    }
    let mut order = Order {
        target: Arc::clone(target),
        writing: patient(target),
        tags: None,
        found,
        from,
        to: to.clone(),
        sizes: options.sizes,
    };
    let by_parts = order.found.size > options.sizes.single_most;
    if by_parts && order.found.about.tag_count().unwrap_or(0) > 0 {
        order.tags = Some(tags(target, &reading, &order.from).await?);
    }
    for beginning in 0..BEGINNINGS {
        if beginning > 0 {
            tokio::time::sleep(Duration::from_millis(200 << beginning)).await;
        }
        let end = if by_parts { parts::copy(&order, options.progress).await? } else { whole(&order).await? };
        match end {
            End::Copied => {
                let there = look(target, &target.s3, to).await?;
                if let Some(progress) = options.progress {
                    progress(there.size);
                }
                let came = settled(&there, &order.found, to, options.expected, false);
                return match came {
                    Err(CopyFailure::Taken { expected, found, .. }) if order.is_ours(&there) => {
                        take_back(&order, &there).await;
                        Err(changed(&order.from, &expected, &found))
                    }
                    other => other,
                };
            }
            End::Refused(refused) if refused.class == Class::Precondition => {
                // Two preconditions travelled: the target's, that nothing lies there, and the source's.
                if let Some(there) = look_for(target, &target.s3, to).await? {
                    return settled(&there, &order.found, to, options.expected, true);
                }
                let now = look(target, &reading, &order.from).await?;
                if now.etag != order.found.etag {
                    return Err(changed(&order.from, &order.found.etag, &now.etag));
                }
            }
            // Another writer met this one, or somebody tidied the upload away.
            End::Refused(refused) if matches!(refused.class, Class::Conflict | Class::NotFound) => {}
            End::Refused(refused) => return Err(refused.into()),
        }
    }
    Err(CopyFailure::Contended { uri: to.uri() })
}

/// All that the requests of one copy need.
pub(super) struct Order {
    pub(super) target: Arc<Session>,
    pub(super) writing: Client,
    pub(super) found: Found,
    /// The source, with the ETag that was seen.
    pub(super) from: S3Place,
    pub(super) to: S3Place,
    /// The tags of the source, as a query string.
    pub(super) tags: Option<String>,
    pub(super) sizes: CopySizes,
}

/// How an attempt ended.
pub(super) enum End {
    /// S3 says that it lies there.
    Copied,
    /// A request was refused; whether that ends the copy is decided above.
    Refused(Refused),
}

impl Order {
    /// Returns the metadata of the copy: the source's, and the mark that it is ours.
    pub(super) fn metadata(&self) -> HashMap<String, String> {
        let mut metadata = self.found.about.metadata().cloned().unwrap_or_default();
        metadata.insert(COPIED_FROM.to_owned(), self.found.etag.trim_matches('"').to_owned());
        metadata
    }

    /// Tells whether an object is our copy of exactly this source.
    fn is_ours(&self, there: &Found) -> bool {
        there.copied_from() == Some(self.found.etag.trim_matches('"'))
    }

    /// Returns the key of the target's place, with the word that S3 wants beside it.
    pub(super) fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        let key = self.target.place.kms_key.clone();
        (key.as_ref().map(|_| ServerSideEncryption::AwsKms), key)
    }

    /// Returns the account that must own the target's bucket, where that is known.
    pub(super) fn owner(&self) -> Option<String> {
        let place = &self.target.place;
        place.account_id.clone().filter(|_| place.bucket == self.to.bucket)
    }
}

async fn whole(order: &Order) -> Result<End, CopyFailure> {
    let about = &order.found.about;
    let (encryption, key) = order.encryption();
    let sent = order
        .target
        .call(Kind::Repeatable, "s3:PutObject", || {
            order
                .writing
                .copy_object()
                .copy_source(order.from.copy_source())
                .set_copy_source_if_match(order.from.etag.clone())
                .bucket(&order.to.bucket)
                .key(&order.to.key)
                .if_none_match("*")
                .checksum_algorithm(ChecksumAlgorithm::Sha256)
                .metadata_directive(MetadataDirective::Replace)
                .set_metadata(Some(order.metadata()))
                .set_content_type(about.content_type().map(str::to_owned))
                .set_content_encoding(about.content_encoding().map(str::to_owned))
                .set_content_disposition(about.content_disposition().map(str::to_owned))
                .set_content_language(about.content_language().map(str::to_owned))
                .set_cache_control(about.cache_control().map(str::to_owned))
                .tagging_directive(TaggingDirective::Copy)
                .set_server_side_encryption(encryption.clone())
                .set_ssekms_key_id(key.clone())
                .set_expected_bucket_owner(order.owner())
                .send()
        })
        .await;
    match sent {
        Ok(_) => Ok(End::Copied),
        Err(refused) => Ok(End::Refused(sharpen(refused))),
    }
}

/// Removes a copy of ours that turned out to be of the wrong content: only the copy told its digest, and it must not
/// stand where the right one belongs. Where that may not be done, the next run names it.
async fn take_back(order: &Order, there: &Found) {
    let _ = order
        .target
        .call(Kind::Change, "s3:DeleteObject", || {
            let request = order.writing.delete_object().bucket(&order.to.bucket).key(&order.to.key);
            request.if_match(&there.etag).set_expected_bucket_owner(order.owner()).send()
        })
        .await;
}

/// Checks that the source is what was meant, and holds on to exactly that.
fn pinned(from: &S3Place, found: &Found, expected: Option<&ObjectDigest>) -> Result<S3Place, CopyFailure> {
    if let Some(etag) = &from.etag
        && etag.trim_matches('"') != found.etag.trim_matches('"')
    {
        return Err(changed(from, etag, &found.etag));
    }
    if let Some(expected) = expected
        && let Some(is) = found.digest_like(expected)
        && is != *expected
    {
        return Err(changed(from, &expected.to_string(), &is.to_string()));
    }
    Ok(S3Place { etag: Some(found.etag.clone()).filter(|etag| !etag.is_empty()), ..from.clone() })
}

fn changed(from: &S3Place, expected: &str, found: &str) -> CopyFailure {
    CopyFailure::SourceChanged { uri: from.uri(), expected: expected.to_owned(), found: found.to_owned() }
}

/// Decides whether what lies at the target is the source's content.
fn settled(
    there: &Found,
    source: &Found,
    to: &S3Place,
    expected: Option<&ObjectDigest>,
    was_there: bool,
) -> Result<CopiedObject, CopyFailure> {
    let taken = |expected: String, found: String| CopyFailure::Taken { uri: to.uri(), expected, found };
    if there.size != source.size {
        return Err(taken(format!("{} bytes", source.size), format!("{} bytes", there.size)));
    }
    let Some(digest) = there.digest() else { return Err(CopyFailure::NoDigest { uri: to.uri() }) };
    let wanted = [expected.cloned(), source.sha256.clone().map(ObjectDigest::Sha256), source.crc64()];
    let known = wanted.into_iter().flatten().find_map(|wanted| there.digest_like(&wanted).map(|is| (wanted, is)));
    match known {
        Some((wanted, is)) if wanted != is => return Err(taken(wanted.to_string(), is.to_string())),
        Some(_) => {}
        // No algorithm in common: our own copy of exactly this source is known by its mark.
        None if there.copied_from() == Some(source.etag.trim_matches('"')) => {}
        None => {
            let wanted = expected.cloned().or_else(|| source.digest());
            let wanted = wanted.map_or_else(|| "a copy of the source".to_owned(), |wanted| wanted.to_string());
            return Err(taken(wanted, digest.to_string()));
        }
    }
    Ok(CopiedObject {
        digest,
        size: there.size,
        etag: there.etag.clone(),
        version: there.about.version_id().map(str::to_owned),
        was_there,
    })
}

/// Reads the tags of the source as the query string that an upload wants.
async fn tags(target: &Session, reading: &Client, from: &S3Place) -> Result<String, CopyFailure> {
    let said = target
        .call(Kind::Read, "s3:GetObjectTagging", || {
            reading.get_object_tagging().bucket(&from.bucket).key(&from.key).set_version_id(from.version.clone()).send()
        })
        .await?;
    let pairs = said.tag_set().iter().map(|tag| (tag.key(), tag.value()));
    Ok(S3Place::query(pairs))
}
