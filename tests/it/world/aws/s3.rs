//! S3: buckets, what an object is, which operation a request means, and the forms of its answers.

use super::checksum::checksum;
use super::checksum::md5_hex;
use super::multipart;
use super::multipart::Pending;
use super::objects;
use super::state::State;
use super::wire::Reply;
use super::wire::Request;
use hyper::body::Bytes;
use std::collections::BTreeMap;

/// A bucket.
pub struct Bucket {
    /// Twelve digits.
    pub owner: String,
    /// Where it is.
    pub region: String,
    /// Whether old versions are kept.
    pub versioned: bool,
    /// Other accounts that may read it, and write to it.
    pub friends: Vec<String>,
    /// The document of its lifecycle rules, inside `LifecycleConfiguration`.
    pub lifecycle: Option<String>,
    /// By key, the newest version last.
    pub objects: BTreeMap<String, Vec<Stored>>,
    /// Multipart uploads that are not finished, by id.
    pub uploads: BTreeMap<String, Pending>,
}

impl Bucket {
    /// Makes an empty, versioned one.
    pub fn new(owner: &str, region: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            region: region.to_owned(),
            versioned: true,
            friends: Vec::new(),
            lifecycle: None,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
        }
    }

    /// Returns what a key means now.
    pub fn current(&self, key: &str) -> Option<&Stored> {
        self.objects.get(key)?.last().filter(|stored| !stored.marker)
    }

    /// Returns a version of an object, or the present one.
    pub fn version(&self, key: &str, version: Option<&str>) -> Option<&Stored> {
        match version {
            None => self.current(key),
            Some(version) => self.objects.get(key)?.iter().find(|stored| stored.version == version && !stored.marker),
        }
    }
}

/// A version of an object.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// What is in it.
    pub bytes: Bytes,
    /// The size to tell where it is not that of `bytes`.
    pub declared: Option<u64>,
    /// Without quotation marks.
    pub etag: String,
    /// `null` in a bucket that keeps no versions.
    pub version: String,
    /// Seconds of the epoch.
    pub modified: f64,
    /// `content-type` and the like, `x-amz-meta-…`, and the headers of its encryption.
    pub headers: BTreeMap<String, String>,
    /// As the query string that set them.
    pub tags: String,
    /// Algorithm and base64.
    pub checksum: Option<(String, String)>,
    /// Whether `checksum` is that of checksums of parts.
    pub composite: bool,
    /// It says that the object is deleted.
    pub marker: bool,
    /// How many parts it came in; 0: in one piece.
    pub parts: usize,
}

impl Stored {
    /// Returns the size that is told.
    pub fn size(&self) -> u64 {
        self.declared.unwrap_or(self.bytes.len() as u64)
    }
}

impl State {
    /// Writes an object as a service would: with a CRC-64 and no SHA-256.
    pub fn write_object(&mut self, bucket: &str, key: &str, bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        let stored = Stored {
            etag: md5_hex(&bytes),
            checksum: checksum("CRC64NVME", &bytes).map(|value| ("CRC64NVME".to_owned(), value)),
            headers: BTreeMap::from([("content-type".to_owned(), "application/octet-stream".to_owned())]),
            bytes,
            ..Stored::default()
        };
        self.store(bucket, key, stored);
    }

    /// Keeps a version. Returns its id.
    pub fn store(&mut self, bucket: &str, key: &str, mut stored: Stored) -> String {
        let id = self.next();
        let now = self.now();
        let bucket = self.buckets.get_mut(bucket).expect("a bucket");
        stored.modified = now;
        stored.version = if bucket.versioned { format!("v{id:08}") } else { "null".to_owned() };
        let version = stored.version.clone();
        let versions = bucket.objects.entry(key.to_owned()).or_default();
        if !bucket.versioned {
            versions.clear();
        }
        versions.push(stored);
        version
    }
}

/// Finds the operation that a request means.
pub fn operation(request: &Request) -> &'static str {
    let has = |name: &str| request.asked(name).is_some();
    let on_key = request.path.trim_start_matches('/').split_once('/').is_some_and(|(_, key)| !key.is_empty());
    let copies = request.header("x-amz-copy-source").is_some();
    match (request.method.as_str(), on_key) {
        ("GET", true) if has("uploadId") => "ListParts",
        ("GET", true) if has("tagging") => "GetObjectTagging",
        ("GET", true) if has("attributes") => "GetObjectAttributes",
        ("GET", true) => "GetObject",
        ("HEAD", true) => "HeadObject",
        ("PUT", true) if has("uploadId") && copies => "UploadPartCopy",
        ("PUT", true) if has("uploadId") => "UploadPart",
        ("PUT", true) if has("tagging") => "PutObjectTagging",
        ("PUT", true) if copies => "CopyObject",
        ("PUT", true) => "PutObject",
        ("DELETE", true) if has("uploadId") => "AbortMultipartUpload",
        ("DELETE", true) => "DeleteObject",
        ("POST", true) if has("uploads") => "CreateMultipartUpload",
        ("POST", true) if has("uploadId") => "CompleteMultipartUpload",
        ("HEAD", false) => "HeadBucket",
        ("GET", false) if has("uploads") => "ListMultipartUploads",
        ("GET", false) if has("versioning") => "GetBucketVersioning",
        ("GET", false) if has("lifecycle") => "GetBucketLifecycleConfiguration",
        ("GET", false) if has("location") => "GetBucketLocation",
        ("GET", false) if has("encryption") => "GetBucketEncryption",
        ("GET", false) if request.asked("list-type") == Some("2") => "ListObjectsV2",
        _ => "Unknown",
    }
}

/// The action of a policy that an operation needs.
fn action(operation: &str) -> &'static str {
    match operation {
        "GetObject" | "HeadObject" | "GetObjectAttributes" => "s3:GetObject",
        "ListObjectsV2" | "HeadBucket" => "s3:ListBucket",
        "DeleteObject" => "s3:DeleteObject",
        "AbortMultipartUpload" => "s3:AbortMultipartUpload",
        "GetObjectTagging" => "s3:GetObjectTagging",
        "PutObjectTagging" => "s3:PutObjectTagging",
        "GetBucketVersioning" => "s3:GetBucketVersioning",
        "GetBucketLocation" => "s3:GetBucketLocation",
        "GetBucketEncryption" => "s3:GetEncryptionConfiguration",
        "GetBucketLifecycleConfiguration" => "s3:GetLifecycleConfiguration",
        "ListMultipartUploads" => "s3:ListBucketMultipartUploads",
        "ListParts" => "s3:ListMultipartUploadParts",
        _ => "s3:PutObject",
    }
}

/// Answers.
pub fn answer(state: &mut State, request: &Request) -> Reply {
    if request.operation == "Unknown" {
        let what = format!("S3: {} {} {:?}", request.method, request.path, request.query);
        state.violations.push(what);
        return error(501, "NotImplemented", "this World does not know the operation");
    }
    let (bucket, key) = place(&request.path);
    if let Err(refusal) = may(state, request, bucket, action(&request.operation)) {
        return if request.method == "HEAD" { bare(refusal) } else { refusal };
    }
    let reply = match request.operation.as_str() {
        "GetObject" => objects::get(state, request, bucket, key),
        "HeadObject" => objects::head(state, request, bucket, key),
        "PutObject" => objects::put(state, request, bucket, key),
        "CopyObject" => objects::copy(state, request, bucket, key),
        "DeleteObject" => objects::delete(state, request, bucket, key),
        "ListObjectsV2" => objects::list(state, request, bucket),
        "GetObjectAttributes" => objects::attributes(state, request, bucket, key),
        "GetObjectTagging" => objects::tags(state, request, bucket, key),
        "PutObjectTagging" => objects::set_tags(state, request, bucket, key),
        "CreateMultipartUpload" => multipart::create(state, request, bucket, key),
        "UploadPart" => multipart::part(state, request, bucket),
        "UploadPartCopy" => multipart::part_copy(state, request, bucket),
        "CompleteMultipartUpload" => multipart::complete(state, request, bucket, key),
        "AbortMultipartUpload" => multipart::abort(state, request, bucket),
        "ListMultipartUploads" => multipart::list(state, request, bucket),
        "ListParts" => multipart::list_parts(state, request, bucket),
        _ => of_bucket(&state.buckets[bucket], &request.operation),
    };
    reply.unwrap_or_else(|refusal| if request.method == "HEAD" { bare(refusal) } else { refusal })
}

fn of_bucket(bucket: &Bucket, operation: &str) -> Result<Reply, Reply> {
    let xmlns = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
    match operation {
        "HeadBucket" => Ok(Reply::empty(200).with("x-amz-bucket-region", &bucket.region)),
        "GetBucketVersioning" => {
            let status = if bucket.versioned { "<Status>Enabled</Status>" } else { "" };
            Ok(Reply::xml(200, format!("<VersioningConfiguration {xmlns}>{status}</VersioningConfiguration>")))
        }
        "GetBucketLocation" => {
            let region = if bucket.region == "us-east-1" { "" } else { &bucket.region };
            Ok(Reply::xml(200, format!("<LocationConstraint {xmlns}>{region}</LocationConstraint>")))
        }
        "GetBucketEncryption" => Ok(Reply::xml(
            200,
            format!(
                "<ServerSideEncryptionConfiguration {xmlns}><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>\
                 AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
            ),
        )),
        _ => match &bucket.lifecycle {
            Some(rules) => {
                Ok(Reply::xml(200, format!("<LifecycleConfiguration {xmlns}>{rules}</LifecycleConfiguration>")))
            }
            None => {
                let message = "The lifecycle configuration does not exist";
                Err(error(404, "NoSuchLifecycleConfiguration", message))
            }
        },
    }
}

/// Whether the caller may do this with the bucket, in its region, and expects its true owner.
pub fn may(state: &State, request: &Request, bucket: &str, action: &str) -> Result<(), Reply> {
    let Some(found) = state.buckets.get(bucket) else {
        return Err(error(404, "NoSuchBucket", "The specified bucket does not exist"));
    };
    let expected =
        if action == "source" { "x-amz-source-expected-bucket-owner" } else { "x-amz-expected-bucket-owner" };
    let action = if action == "source" { "s3:GetObject" } else { action };
    let denied = state.denied.contains(&(request.account.clone(), action.to_owned()));
    let stranger = found.owner != request.account && !found.friends.contains(&request.account);
    if denied || stranger || request.header(expected).is_some_and(|owner| owner != found.owner) {
        return Err(error(403, "AccessDenied", "Access Denied"));
    }
    if found.region != request.region && expected != "x-amz-source-expected-bucket-owner" {
        let message = "The bucket you are attempting to access must be addressed using the specified endpoint.";
        return Err(error(301, "PermanentRedirect", message).with("x-amz-bucket-region", &found.region));
    }
    Ok(())
}

/// Splits a path into bucket and key.
pub fn place(path: &str) -> (&str, &str) {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').unwrap_or((path, ""))
}

/// Refuses as S3 does.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<Error><Code>{code}</Code><Message>{}</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>",
        escaped(message)
    );
    Reply::xml(status, body)
}

/// Refuses as S3 does where a key does not exist.
pub fn no_such_key() -> Reply {
    error(404, "NoSuchKey", "The specified key does not exist.")
}

/// Refuses as S3 does where a condition of the request does not hold.
pub fn precondition() -> Reply {
    error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
}

fn bare(refusal: Reply) -> Reply {
    Reply { body: Bytes::new(), ..refusal }
}

/// Writes text for XML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Returns the contents of every element of a name, without looking at what encloses it.
pub fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).collect()
}

/// Writes a time as S3's XML has it.
pub fn iso(seconds: f64) -> String {
    let time = jiff::Timestamp::from_millisecond((seconds * 1000.0) as i64).expect("a time");
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// Writes a time as HTTP headers have it.
pub fn http_date(seconds: f64) -> String {
    let time = jiff::Timestamp::from_second(seconds as i64).expect("a time");
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
