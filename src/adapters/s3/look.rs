//! What S3 says about an object without handing it out: size, checksums of the whole object, what travels with it.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::aws::Session;
use crate::adapters::s3::place::S3Place;
use crate::model::artifact::ObjectDigest;
use crate::model::digest::Sha256Digest;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Region;
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::ChecksumMode;
use aws_sdk_s3::types::ChecksumType;
use std::time::Duration;

/// Metadata of a copy: the ETag that its source had. It tells our own copy apart where no checksum is shared.
pub(super) const COPIED_FROM: &str = "branchline-copied-from";

/// How long a copy may say nothing. The SDK's own limit of a minute would give a slow copy up, and begin it again.
const LONGEST_SILENCE: Duration = Duration::from_secs(10 * 60);

/// An object, as S3 describes it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) sha256: Option<Sha256Digest>,
    pub(super) crc64: Option<String>,
    /// Everything else that was said: what a copy by parts must carry explicitly.
    pub(super) about: HeadObjectOutput,
}

impl Found {
    fn of(about: HeadObjectOutput) -> Self {
        // A composite checksum depends on how the object was cut: it says nothing about the content alone.
        let whole = about.checksum_type() != Some(&ChecksumType::Composite);
        let sha256 = about.checksum_sha256().filter(|_| whole).and_then(sha256_of);
        // This algorithm has no composite form.
        let crc64 = about.checksum_crc64_nvme().map(str::to_owned);
        Self {
            size: about.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            etag: about.e_tag().unwrap_or_default().to_owned(),
            sha256,
            crc64,
            about,
        }
    }

    /// Returns the digest of the whole object, the strongest that S3 keeps.
    pub(super) fn digest(&self) -> Option<ObjectDigest> {
        let sha256 = self.sha256.clone().map(ObjectDigest::Sha256);
        sha256.or_else(|| self.crc64())
    }

    /// Returns the checksum that S3 keeps for large objects, as a digest.
    pub(super) fn crc64(&self) -> Option<ObjectDigest> {
        self.crc64.clone().map(ObjectDigest::Crc64Nvme)
    }

    /// Returns the digest in the algorithm of another one.
    pub(super) fn digest_like(&self, other: &ObjectDigest) -> Option<ObjectDigest> {
        match other {
            ObjectDigest::Sha256(_) => self.sha256.clone().map(ObjectDigest::Sha256),
            ObjectDigest::Crc64Nvme(_) => self.crc64(),
        }
    }

    /// Returns the ETag of what it was copied from, if we copied it.
    pub(super) fn copied_from(&self) -> Option<&str> {
        self.about.metadata().and_then(|metadata| metadata.get(COPIED_FROM)).map(String::as_str)
    }
}

/// Reads a SHA-256 of a whole object as S3 spells it. `<base64>-<parts>` is that of a list of parts, and is none.
fn sha256_of(base64: &str) -> Option<Sha256Digest> {
    let bytes = aws_smithy_types::base64::decode(base64).ok()?;
    Sha256Digest::parse(&hex::encode(bytes)).ok()
}

/// Looks at an object with the credentials of a session. `client` may be one of another region.
pub(super) async fn look(session: &Session, client: &Client, place: &S3Place) -> Result<Found, Refused> {
    let about = session
        .call(Kind::Read, "s3:GetObject", || {
            client
                .head_object()
                .bucket(&place.bucket)
                .key(&place.key)
                .set_version_id(place.version.clone())
                .checksum_mode(ChecksumMode::Enabled)
                .send()
        })
        .await
        .map_err(|refused| explain_head(refused, place))?;
    Ok(Found::of(about))
}

/// Looks at an object that may not be there.
pub(super) async fn look_for(session: &Session, client: &Client, place: &S3Place) -> Result<Option<Found>, Refused> {
    match look(session, client, place).await {
        Ok(found) => Ok(Some(found)),
        Err(refused) if refused.class == Class::NotFound => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// An answer to a look has no body: Amazon's own sentence is missing.
fn explain_head(mut refused: Refused, place: &S3Place) -> Refused {
    let uri = place.uri();
    match refused.class {
        Class::NotFound => refused.message = format!("{uri} does not exist"),
        Class::Denied => {
            refused.message = format!(
                "{uri} may not be read, or does not exist: without s3:ListBucket on the bucket S3 says the same for both"
            );
        }
        _ => {}
    }
    refused
}

/// Names the action and the resource that Amazon's sentence names, instead of the one that was sent: a copy is denied
/// by the source, by the target and by either key.
pub(super) fn sharpen(mut refused: Refused) -> Refused {
    if refused.class == Class::Denied
        && let Some((_, rest)) = refused.message.split_once("not authorized to perform: ")
        && let Some(action) = rest.split_whitespace().next()
    {
        refused.action = action.trim_end_matches(['.', ',']).to_owned();
    }
    refused
}

/// Returns the client that reads a source: the target's credentials, in the source's region.
pub(super) fn reader(source: &Session, target: &Session) -> Client {
    if source.place.region == target.place.region {
        return target.s3.clone();
    }
    let region = Region::new(source.place.region.clone());
    Client::from_conf(target.s3.config().to_builder().region(region).build())
}

/// Returns the client that reads a bucket of which only the name is known: S3 says where it is, even when it refuses.
pub(super) async fn elsewhere(target: &Session, bucket: &str) -> Result<Client, Refused> {
    let region = match target.s3.head_bucket().bucket(bucket).send().await {
        Ok(said) => said.bucket_region().map(str::to_owned),
        Err(error) => {
            let said = error.raw_response().and_then(|raw| raw.headers().get("x-amz-bucket-region")).map(str::to_owned);
            if said.is_none() {
                return Err(Refused::of("s3:ListBucket", &error));
            }
            said
        }
    };
    let region = region.unwrap_or_else(|| target.place.region.clone());
    Ok(Client::from_conf(target.s3.config().to_builder().region(Region::new(region)).build()))
}

/// Returns the client for requests whose answer takes long or trickles: S3 keeps a long copy alive with single blanks,
/// which the SDK would call a stalled stream, and copies a large part before it says its first word.
pub(super) fn patient(session: &Session) -> Client {
    let off = StalledStreamProtectionConfig::disabled();
    let timeouts = TimeoutConfig::builder().connect_timeout(Duration::from_secs(10)).read_timeout(LONGEST_SILENCE);
    let config = session.s3.config().to_builder().stalled_stream_protection(off).timeout_config(timeouts.build());
    Client::from_conf(config.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_digest_of_the_whole_object_counts() {
        let of_nothing = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(sha256_of(of_nothing), Some(Sha256Digest::of(b"")));
        assert_eq!(sha256_of(&format!("{of_nothing}-3")), None);
        let head = HeadObjectOutput::builder()
            .checksum_sha256(of_nothing)
            .checksum_type(ChecksumType::Composite)
            .checksum_crc64_nvme("AAAAAAAAAAA=")
            .build();
        assert_eq!(Found::of(head).digest(), Some(ObjectDigest::Crc64Nvme("AAAAAAAAAAA=".to_owned())));
    }

    #[test]
    fn a_denial_by_a_key_names_the_key_s_action() {
        let text = "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: kms:GenerateDataKey on resource: \
                    arn:aws:kms:eu-west-1:1:key/k because no identity-based policy allows it";
        let refused = sharpen(Refused::said("s3:PutObject", "AccessDenied", text, 403));
        assert_eq!(refused.action, "kms:GenerateDataKey");
        let plain = sharpen(Refused::said("s3:PutObject", "AccessDenied", "Access Denied", 403));
        assert_eq!(plain.action, "s3:PutObject");
    }
}
