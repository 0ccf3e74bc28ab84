//! Which data lie under an `s3://` prefix, now? A digest of what the listing says of every object, or of the content of
//! a manifest; never by reading the data.
//!
//! Everything that is no `s3://` address is a path on this machine, and the local side identifies it.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::aws::Session;
use crate::adapters::local::LocalDatasets;
use crate::adapters::s3::place::S3Place;
use crate::model::dataset::Dataset;
use crate::model::dataset::DatasetKind;
use crate::model::digest::CanonicalFields;
use crate::model::digest::Sha256Digest;
use crate::model::settings::DataSource;
use crate::ports::datasets::Datasets;
use crate::ports::error::PortError;
use sha2::Digest as _;
use std::sync::Arc;

/// The largest manifest that is read, in bytes.
const MANIFEST_LIMIT: usize = 64 << 20;

/// The most objects whose listing identifies data: each page of a thousand is one request.
const MOST_OBJECTS: usize = 2_000_000;

/// Identifies data in buckets, and hands everything else to the local side.
#[derive(Clone)]
pub struct S3Datasets {
    session: Arc<Session>,
    local: LocalDatasets,
}

impl S3Datasets {
    /// Reads buckets with the clients of a session.
    pub fn new(session: Arc<Session>, local: LocalDatasets) -> Self {
        Self { session, local }
    }
}

#[async_trait::async_trait]
impl Datasets for S3Datasets {
    async fn identify(&self, source: &DataSource) -> Result<Result<Dataset, String>, PortError> {
        let uri = &source.uri;
        let manifest = source.version_from.as_deref().filter(|manifest| manifest.contains("://"));
        if uri.starts_with("s3://") {
            identify(&self.session, source).await
        } else if uri.contains("://") {
            Ok(Err(format!("{uri} is no place that SageMaker reads: name an s3:// address, or a path on this machine")))
        } else if let Some(manifest) = manifest {
            Ok(Err(format!(
                "{uri} is a path on this machine, and `version_from` names {manifest}: both are in a bucket, or neither is"
            )))
        } else {
            self.local.identify(source).await
        }
    }
}

/// Data that cannot be identified: a sentence for people. Or S3 refused.
enum Missing {
    Data(String),
    Refused(Refused),
}

/// Identifies data in a bucket, by their listing or by a manifest beside them.
pub async fn identify(session: &Session, source: &DataSource) -> Result<Result<Dataset, String>, PortError> {
    let uri = &source.uri;
    let found = match &source.version_from {
        Some(manifest) => by_manifest(session, uri, manifest).await,
        None => by_listing(session, uri).await,
    };
    match found {
        Ok(digest) => {
            Ok(Ok(Dataset { uri: uri.clone(), kind: DatasetKind::Remote, digest: format!("sha256:{digest}") }))
        }
        Err(Missing::Data(why)) => Ok(Err(why)),
        Err(Missing::Refused(refused)) => Err(refused.into_port(format!("identify the data {uri}"))),
    }
}

async fn by_manifest(session: &Session, uri: &str, manifest: &str) -> Result<Sha256Digest, Missing> {
    let Some(address) = S3Place::parse(manifest) else {
        return Err(Missing::Data(format!(
            "`version_from` of {uri} is {manifest}: name an object such as s3://bucket/MANIFEST.json"
        )));
    };
    let got = session
        .call(Kind::Read, "s3:GetObject", || session.s3.get_object().bucket(&address.bucket).key(&address.key).send())
        .await;
    let mut got = got.map_err(|refused| missing(session, refused, manifest, &address))?;
    let mut hasher = sha2::Sha256::new();
    let mut size = 0;
    loop {
        match got.body.try_next().await {
            Ok(Some(bytes)) => {
                size += bytes.len();
                if size > MANIFEST_LIMIT {
                    return Err(Missing::Data(format!(
                        "{manifest}, named by `version_from`, is larger than 64 MiB: a manifest is a small file that \
                         changes whenever the data change"
                    )));
                }
                hasher.update(&bytes);
            }
            Ok(None) => return Ok(Sha256Digest::finish(hasher)),
            Err(error) => return Err(Missing::Refused(broken("s3:GetObject", &error))),
        }
    }
}

/// Digests the key, size, entity tag and version of every object under the prefix, in byte order of the keys.
///
/// The version is the one that the entity tag stands for: a listing of versions would need another permission, and two
/// versions with the same content are the same data.
async fn by_listing(session: &Session, uri: &str) -> Result<Sha256Digest, Missing> {
    let Some(address) = prefix(uri) else {
        return Err(Missing::Data(format!("{uri} is no address of a bucket: s3://bucket/prefix/")));
    };
    let mut objects: Vec<(String, i64, String)> = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let page = session
            .call(Kind::Read, "s3:ListBucket", || {
                session
                    .s3
                    .list_objects_v2()
                    .bucket(&address.bucket)
                    .prefix(&address.key)
                    .set_continuation_token(next.clone())
                    .send()
            })
            .await
            .map_err(|refused| missing(session, refused, uri, &address))?;
        for object in page.contents() {
            let Some(key) = object.key() else { continue };
            // What consoles make for a folder holds nothing.
            if key.ends_with('/') && object.size().unwrap_or_default() == 0 {
                continue;
            }
            let tag = object.e_tag().unwrap_or_default().trim_matches('"').to_owned();
            objects.push((key.to_owned(), object.size().unwrap_or_default(), tag));
        }
        next = page.next_continuation_token().map(str::to_owned);
        if next.is_none() {
            break;
        }
        if objects.len() > MOST_OBJECTS {
            return Err(Missing::Data(format!(
                "{uri} has more than {MOST_OBJECTS} objects: name a manifest as `version_from`, which changes whenever the \
                 data change"
            )));
        }
    }
    if objects.is_empty() {
        return Err(Missing::Data(format!("{uri} is empty: no object begins with this prefix")));
    }
    objects.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    let mut hasher = sha2::Sha256::new();
    hasher.update(CanonicalFields::new("branchline/s3-prefix/1").bytes());
    for (key, size, tag) in &objects {
        // The place of the data does not count, only what is below it.
        let relative = key.strip_prefix(&address.key).unwrap_or(key);
        let mut fields = CanonicalFields::default();
        fields.field("key", relative.as_bytes()).field("size", size.to_string().as_bytes());
        fields.field("etag", tag.as_bytes());
        hasher.update(fields.bytes());
    }
    Ok(Sha256Digest::finish(hasher))
}

/// Takes a prefix apart. It may be empty: the whole bucket.
fn prefix(uri: &str) -> Option<S3Place> {
    let rest = uri.strip_prefix("s3://")?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    (!bucket.is_empty()).then(|| S3Place::new(bucket, key))
}

fn missing(session: &Session, refused: Refused, shown: &str, address: &S3Place) -> Missing {
    match (refused.class, refused.code.as_deref()) {
        (Class::WrongRegion, _) => Missing::Data(format!(
            "{shown}: the bucket {} is not in region {}, and training reads data of its own region only: copy them there",
            address.bucket, session.place.region
        )),
        (Class::NotFound, Some("NoSuchBucket")) => {
            Missing::Data(format!("{shown}: there is no bucket {}", address.bucket))
        }
        (Class::NotFound, _) => Missing::Data(format!("{shown} does not exist")),
        _ => Missing::Refused(refused),
    }
}

/// Makes the refusal of an answer whose body broke off. `action`: as a policy names it.
pub fn broken(action: &str, error: &(dyn std::error::Error + 'static)) -> Refused {
    Refused {
        class: Class::Lost,
        action: action.to_owned(),
        code: None,
        message: format!("the answer broke off: {error}"),
        status: None,
        request_id: None,
    }
}
