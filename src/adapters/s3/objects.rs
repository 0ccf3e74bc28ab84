//! Small objects of one account: read whole, written only under a precondition, listed in order. The records of the
//! registry and of trainings are such objects.
//!
//! Every write says what it expects to find. One whose answer was lost is sent again and then finds its own bytes,
//! which counts as done. Deliberately absent: artifacts, which are copied by the service and never pass through here.

use crate::adapters::aws::Class;
use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::aws::Session;
use crate::adapters::s3::copy::CopySizes;
use crate::adapters::s3::place::S3Place;
use crate::adapters::s3::upload::upload_known;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The schema of every JSON object that is written here. Readers accept every older one.
pub const SCHEMA: u32 = 1;

/// How many objects are read at once.
const AT_ONCE: usize = 16;

/// How often a body that broke off is read again.
const READS: usize = 4;

/// The largest object that is read whole, in bytes: ours have some thousand. Another one is not ours, whatever its name.
const LARGEST: usize = 64 << 20;

/// The most objects that one listing is followed through. Each costs some 200 bytes of memory here.
const MOST_LISTED: usize = 2_000_000;

/// The small objects below the prefix of one account.
#[derive(Clone)]
pub struct Objects {
    session: Arc<Session>,
}

/// What was read, and the mark under which it may be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// What it holds.
    pub value: T,
    /// The ETag, with its quotes.
    pub etag: String,
}

/// What creating came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is there now, by this write, or by one with the very same bytes. With its ETag.
    New(String),
    /// Something else was there first.
    Existing(Stored<Vec<u8>>),
}

/// What replacing came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// Done; its new ETag.
    Done(String),
    /// It is another one by now, or gone. Nothing was changed.
    Moved,
}

/// An object as a listing names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key below the prefix.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was stored, UTC. The far future where that was not said.
    pub stored_at: jiff::Timestamp,
}

/// The one thing that every schema has.
#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

impl Objects {
    /// Names the objects of an account.
    pub fn of(session: &Arc<Session>) -> Self {
        Self { session: Arc::clone(session) }
    }

    /// Spells the address of a key: `s3://bucket/prefix/key`.
    pub fn location(&self, key: &str) -> String {
        format!("s3://{}/{}", self.session.place.bucket, self.session.key(key))
    }

    /// Returns the place of a key, for what is copied or sent as a file.
    pub fn place(&self, key: &str) -> S3Place {
        S3Place::new(self.session.place.bucket.clone(), self.session.key(key))
    }

    /// Returns the key of an address, where it lies below our prefix in our bucket.
    pub fn key_of<'a>(&self, location: &'a str) -> Option<&'a str> {
        let key =
            location.strip_prefix("s3://")?.strip_prefix(self.session.place.bucket.as_str())?.strip_prefix('/')?;
        match self.session.place.prefix.as_str() {
            "" => Some(key),
            prefix => key.strip_prefix(prefix)?.strip_prefix('/'),
        }
    }

    /// Reads an object. `None`: there is none.
    pub async fn get(&self, key: &str, doing: &str) -> Result<Option<Stored<Vec<u8>>>, PortError> {
        const ACTION: &str = "s3:GetObject";
        let mut broken = None;
        for _ in 0..READS {
            let send = || {
                let place = &self.session.place;
                self.session
                    .s3
                    .get_object()
                    .bucket(&place.bucket)
                    .key(self.session.key(key))
                    .set_expected_bucket_owner(place.account_id.clone())
                    .send()
            };
            let answer = match self.session.call(Kind::Read, ACTION, send).await {
                Ok(answer) => answer,
                Err(refused) if is_missing(&refused) => return Ok(None),
                Err(refused) => return Err(self.failed(refused, doing, key)),
            };
            let etag = answer.e_tag().unwrap_or_default().to_owned();
            match whole(answer.body).await {
                Ok(Some(value)) => return Ok(Some(Stored { value, etag })),
                Ok(None) => return Err(self.too_large(key, doing)),
                Err(error) => broken = Some(error),
            }
        }
        let why = broken.unwrap_or_else(|| "the answer broke off".to_owned());
        Err(PortError::because(
            PortErrorKind::Network,
            doing,
            format!("reading {} broke off: {why}", self.location(key)),
        )
        .hint("Run again: what was begun is found and finished."))
    }

    /// Reads an object of ours. `None`: there is none.
    pub async fn get_json<T: DeserializeOwned>(&self, key: &str, doing: &str) -> Result<Option<Stored<T>>, PortError> {
        let Some(Stored { value, etag }) = self.get(key, doing).await? else { return Ok(None) };
        Ok(Some(Stored { value: self.read_json(key, &value, doing)?, etag }))
    }

    /// Reads many objects of ours, some at once, in the order asked.
    pub async fn get_many<T: DeserializeOwned + Send + 'static>(
        &self,
        keys: Vec<String>,
        doing: &str,
    ) -> Result<Vec<Option<Stored<T>>>, PortError> {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut reads = JoinSet::new();
        let mut found: Vec<Option<Stored<T>>> = Vec::with_capacity(keys.len());
        found.resize_with(keys.len(), || None);
        for (at, key) in keys.into_iter().enumerate() {
            let (objects, turns, doing) = (self.clone(), Arc::clone(&turns), doing.to_owned());
            reads.spawn(async move {
                // The semaphore is never closed; without a turn it would only be read a little sooner.
                let _turn = turns.acquire().await;
                (at, objects.get_json::<T>(&key, &doing).await)
            });
        }
        while let Some(read) = reads.join_next().await {
            let (at, read) = read.map_err(|error| PortError::because(PortErrorKind::Bug, doing, error))?;
            if let Some(place) = found.get_mut(at) {
                *place = read?;
            }
        }
        Ok(found)
    }

    /// Tells whether there is such an object.
    pub async fn has(&self, key: &str, doing: &str) -> Result<bool, PortError> {
        let send = || {
            let place = &self.session.place;
            let head = self.session.s3.head_object().bucket(&place.bucket).key(self.session.key(key));
            head.set_expected_bucket_owner(place.account_id.clone()).send()
        };
        match self.session.call(Kind::Read, "s3:GetObject", send).await {
            Ok(_) => Ok(true),
            Err(refused) if is_missing(&refused) => Ok(false),
            Err(refused) => Err(self.failed(refused, doing, key)),
        }
    }

    /// Makes an object that must not exist. `false`: something lies there, be it the same bytes, or bytes of ours whose
    /// answer was lost.
    pub async fn claim(&self, key: &str, bytes: &[u8], doing: &str) -> Result<bool, PortError> {
        match self.put(key, bytes, |put| put.if_none_match("*")).await {
            Ok(_) => Ok(true),
            Err(refused) if refused.class == Class::Precondition => Ok(false),
            Err(refused) => Err(self.failed(refused, doing, key)),
        }
    }

    /// Makes an object that must not exist. The same bytes again count as made.
    pub async fn create(&self, key: &str, bytes: Vec<u8>, doing: &str) -> Result<Created, PortError> {
        let sent = self.put(key, &bytes, |put| put.if_none_match("*")).await;
        match sent {
            Ok(etag) => Ok(Created::New(etag)),
            Err(refused) if refused.class == Class::Precondition => match self.get(key, doing).await? {
                Some(stored) if stored.value == bytes => Ok(Created::New(stored.etag)),
                Some(stored) => Ok(Created::Existing(stored)),
                None => Err(self.failed(refused, doing, key)),
            },
            Err(refused) => Err(self.failed(refused, doing, key)),
        }
    }

    /// Makes an object of ours that must not exist.
    pub async fn create_json<T: Serialize>(&self, key: &str, value: &T, doing: &str) -> Result<Created, PortError> {
        self.create(key, write_json(value, doing)?, doing).await
    }

    /// Makes an object of a file, in parts where it is large. One that lies there counts as made where its checksum is
    /// that of the file; another one is an error. `lies_there`: a listing has an object of this name.
    pub async fn send(
        &self,
        key: &str,
        file: &Path,
        sizes: CopySizes,
        lies_there: bool,
        doing: &str,
    ) -> Result<(), PortError> {
        let sent = upload_known(&self.session, file, &self.place(key), sizes, lies_there).await;
        sent.map(drop).map_err(|failure| failure.into_port(doing))
    }

    /// Replaces an object that must still be the one that was read.
    pub async fn replace(&self, key: &str, etag: &str, bytes: Vec<u8>, doing: &str) -> Result<Replaced, PortError> {
        let sent = self.put(key, &bytes, |put| put.if_match(etag)).await;
        match sent {
            Ok(etag) => Ok(Replaced::Done(etag)),
            Err(refused) if refused.class == Class::Precondition || is_missing(&refused) => {
                // Ours may have arrived although its answer did not.
                match self.get(key, doing).await? {
                    Some(stored) if stored.value == bytes && stored.etag != etag => Ok(Replaced::Done(stored.etag)),
                    Some(_) | None => Ok(Replaced::Moved),
                }
            }
            Err(refused) => Err(self.failed(refused, doing, key)),
        }
    }

    /// Replaces an object of ours that must still be the one that was read.
    pub async fn replace_json<T: Serialize>(
        &self,
        key: &str,
        etag: &str,
        value: &T,
        doing: &str,
    ) -> Result<Replaced, PortError> {
        self.replace(key, etag, write_json(value, doing)?, doing).await
    }

    /// Takes an object away, only if it is still the one that was read where `etag` says so. One that is gone is fine.
    pub async fn delete(&self, key: &str, etag: Option<&str>, doing: &str) -> Result<Replaced, PortError> {
        let send = || {
            let place = &self.session.place;
            self.session
                .s3
                .delete_object()
                .bucket(&place.bucket)
                .key(self.session.key(key))
                .set_if_match(etag.map(str::to_owned))
                .set_expected_bucket_owner(place.account_id.clone())
                .send()
        };
        match self.session.call(Kind::Repeatable, "s3:DeleteObject", send).await {
            Ok(_) => Ok(Replaced::Done(String::new())),
            Err(refused) if is_missing(&refused) => Ok(Replaced::Done(String::new())),
            Err(refused) if refused.class == Class::Precondition => Ok(Replaced::Moved),
            Err(refused) => Err(self.failed(refused, doing, key)),
        }
    }

    /// Lists the keys that begin with `prefix` and come after `after`, in byte order, at most `most`.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: usize,
        doing: &str,
    ) -> Result<Vec<String>, PortError> {
        let found = self.list_while(prefix, after, most, |_| true, doing).await?;
        Ok(found.into_iter().map(|listed| listed.key).collect())
    }

    /// As [`Self::list`], with what the listing says of each; it ends before the first key that is not `wanted`.
    pub async fn list_while(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: usize,
        wanted: impl Fn(&str) -> bool + Send + Sync,
        doing: &str,
    ) -> Result<Vec<Listed>, PortError> {
        let mut found = Vec::new();
        let mut next = None;
        while found.len() < most {
            let page = i32::try_from((most - found.len()).min(1000)).unwrap_or(1000);
            let send = || self.listing(prefix).set_start_after(after.map(|key| self.session.key(key))).max_keys(page);
            let send = || send().set_continuation_token(next.clone()).send();
            let answer = self.session.call(Kind::Read, "s3:ListBucket", send).await;
            let answer = answer.map_err(|refused| self.failed(refused, doing, prefix))?;
            for object in answer.contents() {
                let Some(key) = object.key().and_then(|key| self.below(key)) else { continue };
                if !wanted(key) {
                    return Ok(found);
                }
                let stored_at = object.last_modified().and_then(|at| jiff::Timestamp::from_second(at.secs()).ok());
                found.push(Listed {
                    key: key.to_owned(),
                    size: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                    stored_at: stored_at.unwrap_or(jiff::Timestamp::MAX),
                });
            }
            next = answer.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                break;
            }
            if found.len() > MOST_LISTED {
                let why = format!("more than {MOST_LISTED} objects lie below {}", self.location(prefix));
                return Err(PortError::because(PortErrorKind::Storage, doing, why)
                    .hint("Delete what is not needed there: `branchline prune` says what nothing refers to."));
            }
        }
        found.truncate(most);
        Ok(found)
    }

    /// Lists the names directly below `prefix` that others lie below, without the slash, at most `most`.
    pub async fn folders(&self, prefix: &str, most: usize, doing: &str) -> Result<Vec<String>, PortError> {
        let mut names = Vec::new();
        let mut next = None;
        while names.len() < most {
            let send = || self.listing(prefix).delimiter("/").set_continuation_token(next.clone()).send();
            let answer = self.session.call(Kind::Read, "s3:ListBucket", send).await;
            let answer = answer.map_err(|refused| self.failed(refused, doing, prefix))?;
            for folder in answer.common_prefixes() {
                let name = folder.prefix().and_then(|key| self.below(key)).and_then(|key| key.strip_prefix(prefix));
                names.extend(name.map(|name| name.trim_end_matches('/').to_owned()));
            }
            next = answer.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        Ok(names)
    }

    /// Understands the bytes of an object of ours.
    pub fn read_json<T: DeserializeOwned>(&self, key: &str, bytes: &[u8], doing: &str) -> Result<T, PortError> {
        let location = self.location(key);
        match serde_json::from_slice::<Schema>(bytes) {
            Ok(Schema { schema }) if schema > SCHEMA => {
                let why = format!(
                    "{location} was written by a newer Branchline (schema {schema}; this one knows up to {SCHEMA}): upgrade"
                );
                return Err(PortError::because(PortErrorKind::NewerRegistry, doing, why)
                    .hint("Install the newest release of Branchline."));
            }
            Ok(_) | Err(_) => {}
        }
        serde_json::from_slice(bytes).map_err(|error| {
            PortError::because(PortErrorKind::Corrupt, doing, format!("cannot understand {location}: {error}"))
                .hint("Bring back its older version, if the bucket keeps versions.")
        })
    }

    fn listing(&self, prefix: &str) -> aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder {
        let place = &self.session.place;
        self.session
            .s3
            .list_objects_v2()
            .bucket(&place.bucket)
            .prefix(self.session.key(prefix))
            .set_expected_bucket_owner(place.account_id.clone())
    }

    fn below<'a>(&self, key: &'a str) -> Option<&'a str> {
        match self.session.place.prefix.as_str() {
            "" => Some(key),
            prefix => key.strip_prefix(prefix)?.strip_prefix('/'),
        }
    }

    async fn put(
        &self,
        key: &str,
        bytes: &[u8],
        expect: impl Fn(PutObjectFluentBuilder) -> PutObjectFluentBuilder + Send + Sync,
    ) -> Result<String, Refused> {
        let send = || {
            let place = &self.session.place;
            let put = self
                .session
                .s3
                .put_object()
                .bucket(&place.bucket)
                .key(self.session.key(key))
                .set_content_type(key.ends_with(".json").then(|| "application/json".to_owned()))
                .set_expected_bucket_owner(place.account_id.clone())
                .set_server_side_encryption(place.kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
                .set_ssekms_key_id(place.kms_key.clone())
                .body(ByteStream::from(bytes.to_vec()));
            expect(put).send()
        };
        let answer = self.session.call(Kind::Repeatable, "s3:PutObject", send).await?;
        Ok(answer.e_tag().unwrap_or_default().to_owned())
    }

    fn too_large(&self, key: &str, doing: &str) -> PortError {
        let why = format!("{} is larger than {} MiB, and no record is", self.location(key), LARGEST >> 20);
        PortError::because(PortErrorKind::Corrupt, doing, why)
            .hint("Bring back its older version, if the bucket keeps versions.")
    }

    fn failed(&self, refused: Refused, doing: &str, key: &str) -> PortError {
        let missing = refused.code.as_deref() == Some("NoSuchBucket");
        let bucket = self.session.place.bucket.clone();
        let location = self.location(key);
        let mut error = refused.into_port(doing);
        if missing {
            error =
                error.hint(format!("Make the bucket {bucket}, or correct `bucket`: `branchline bootstrap` makes it."));
        }
        error.source = error.source.map(|source| format!("{location}: {source}").into());
        error
    }
}

/// Reads a body to its end. `None`: it is too large to be a record.
async fn whole(mut body: ByteStream) -> Result<Option<Vec<u8>>, String> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.try_next().await.map_err(|error| error.to_string())? {
        if bytes.len() + piece.len() > LARGEST {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Some(bytes))
}

/// Writes an object of ours.
pub fn write_json<T: Serialize>(value: &T, doing: &str) -> Result<Vec<u8>, PortError> {
    serde_json::to_vec(value).map_err(|error| PortError::because(PortErrorKind::Bug, doing, error))
}

fn is_missing(refused: &Refused) -> bool {
    refused.class == Class::NotFound && refused.code.as_deref() != Some("NoSuchBucket")
}
