//! S3's operations on whole objects.

use super::checksum;
use super::checksum::md5_hex;
use super::s3;
use super::s3::Bucket;
use super::s3::Stored;
use super::s3::error;
use super::s3::escaped;
use super::state::State;
use super::wire::Reply;
use super::wire::Request;
use crate::world::github::contract::decoded;
use std::collections::BTreeMap;

/// The most that one copy may copy.
const COPY_LIMIT: u64 = 5 * 1024 * 1024 * 1024;

/// The headers of a request that stay with the object.
pub fn kept_headers(request: &Request) -> BTreeMap<String, String> {
    const KEPT: &[&str] =
        &["content-type", "cache-control", "content-disposition", "content-language", "x-amz-storage-class"];
    let mut headers: BTreeMap<String, String> = request
        .headers
        .iter()
        .filter(|(name, _)| KEPT.contains(&name.as_str()) || name.starts_with("x-amz-meta-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let encoding = request.header("content-encoding").unwrap_or_default();
    let encoding: Vec<&str> = encoding.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let encoding: Vec<&str> = encoding.into_iter().filter(|part| *part != "aws-chunked").collect();
    if !encoding.is_empty() {
        headers.insert("content-encoding".to_owned(), encoding.join(","));
    }
    headers.extend(encryption(request));
    headers
}

/// The headers that say how an object is to be encrypted; S3's own key where none does.
pub fn encryption(request: &Request) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = request
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-amz-server-side-encryption"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    headers.entry("x-amz-server-side-encryption".to_owned()).or_insert_with(|| "AES256".to_owned());
    headers
}

/// The MD5, unless a key of KMS is used: then the ETag says nothing about the bytes.
pub fn etag(bytes: &[u8], headers: &BTreeMap<String, String>) -> String {
    match headers.get("x-amz-server-side-encryption").map(String::as_str) {
        Some("aws:kms") => md5_hex(&[b"kms".as_slice(), bytes].concat()),
        _ => md5_hex(bytes),
    }
}

/// Compares the conditions of a write with what is there.
pub fn conditions(bucket: &Bucket, key: &str, request: &Request) -> Result<(), Reply> {
    let there = bucket.current(key);
    if let Some(value) = request.header("if-none-match") {
        if value != "*" {
            return Err(error(501, "NotImplemented", "A header you provided implies functionality that is not there"));
        }
        if there.is_some() {
            return Err(s3::precondition());
        }
    }
    match (request.header("if-match"), there) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(s3::no_such_key()),
        (Some(wanted), Some(there)) if wanted == "*" || wanted.trim_matches('"') == there.etag => Ok(()),
        (Some(_), Some(_)) => Err(s3::precondition()),
    }
}

/// `PutObject`
pub fn put(state: &mut State, request: &Request, bucket: &str, key: &str) -> Result<Reply, Reply> {
    let upload = checksum::upload(request)?;
    conditions(&state.buckets[bucket], key, request)?;
    let headers = kept_headers(request);
    let sum = upload.checksum.or_else(|| default_checksum(&upload.bytes));
    let stored = Stored {
        etag: etag(&upload.bytes, &headers),
        tags: request.header("x-amz-tagging").unwrap_or_default().to_owned(),
        checksum: sum,
        headers,
        bytes: upload.bytes,
        ..Stored::default()
    };
    let reply = told(Reply::empty(200), &stored, true);
    let reply = reply.with("etag", format!("\"{}\"", stored.etag));
    Ok(versioned(reply, state.store(bucket, key, stored)))
}

fn default_checksum(bytes: &[u8]) -> Option<(String, String)> {
    checksum::checksum("CRC64NVME", bytes).map(|value| ("CRC64NVME".to_owned(), value))
}

fn versioned(reply: Reply, version: String) -> Reply {
    if version == "null" { reply } else { reply.with("x-amz-version-id", version) }
}

/// Adds encryption and, where asked for, the checksum.
fn told(mut reply: Reply, stored: &Stored, with_checksum: bool) -> Reply {
    let secret = |name: &&String| name.starts_with("x-amz-server-side-encryption");
    for name in stored.headers.keys().filter(secret) {
        reply = reply.with(name, &stored.headers[name]);
    }
    match &stored.checksum {
        Some((algorithm, value)) if with_checksum => {
            let kind = if stored.composite { "COMPOSITE" } else { "FULL_OBJECT" };
            reply
                .with(&format!("x-amz-checksum-{}", algorithm.to_ascii_lowercase()), value)
                .with("x-amz-checksum-type", kind)
        }
        _ => reply,
    }
}

fn described(request: &Request, stored: &Stored, whole: bool) -> Reply {
    let wants = request.header("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("ENABLED"));
    let mut reply = told(Reply::empty(200), stored, wants && whole)
        .with("etag", format!("\"{}\"", stored.etag))
        .with("last-modified", s3::http_date(stored.modified))
        .with("accept-ranges", "bytes");
    for (name, value) in stored.headers.iter().filter(|(name, _)| !name.contains("server-side-encryption")) {
        reply = reply.with(name, value);
    }
    if !stored.tags.is_empty() {
        reply = reply.with("x-amz-tagging-count", stored.tags.split('&').count().to_string());
    }
    versioned(reply, stored.version.clone())
}

fn found<'a>(state: &'a State, request: &Request, bucket: &str, key: &str) -> Result<&'a Stored, Reply> {
    let version = request.asked("versionId");
    let stored = state.buckets[bucket].version(key, version).ok_or_else(|| match version {
        Some(_) => error(404, "NoSuchVersion", "The specified version does not exist."),
        None => s3::no_such_key(),
    })?;
    if request.header("if-match").is_some_and(|wanted| wanted.trim_matches('"') != stored.etag) {
        return Err(s3::precondition());
    }
    if request.header("if-none-match").is_some_and(|known| known.trim_matches('"') == stored.etag) {
        return Err(Reply::empty(304));
    }
    Ok(stored)
}

/// `HeadObject`
pub fn head(state: &State, request: &Request, bucket: &str, key: &str) -> Result<Reply, Reply> {
    let stored = found(state, request, bucket, key)?;
    Ok(described(request, stored, true).with("content-length", stored.size().to_string()))
}

/// `GetObject`
pub fn get(state: &State, request: &Request, bucket: &str, key: &str) -> Result<Reply, Reply> {
    let stored = found(state, request, bucket, key)?;
    let Some(range) = request.header("range").and_then(|range| range.strip_prefix("bytes=")) else {
        return Ok(Reply { body: stored.bytes.clone(), ..described(request, stored, true) });
    };
    let (from, to) = range.split_once('-').unwrap_or((range, ""));
    let size = stored.bytes.len();
    let (from, to) = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) => (from, to.min(size.saturating_sub(1))),
        (Ok(from), Err(_)) => (from, size.saturating_sub(1)),
        (Err(_), Ok(last)) => (size.saturating_sub(last), size.saturating_sub(1)),
        _ => return Err(error(416, "InvalidRange", "The requested range is not satisfiable")),
    };
    if from >= size || from > to {
        return Err(error(416, "InvalidRange", "The requested range is not satisfiable"));
    }
    let reply = Reply { status: 206, body: stored.bytes.slice(from..=to), ..described(request, stored, false) };
    Ok(reply.with("content-range", format!("bytes {from}-{to}/{size}")))
}

/// `GetObjectAttributes`
pub fn attributes(state: &State, request: &Request, bucket: &str, key: &str) -> Result<Reply, Reply> {
    let stored = found(state, request, bucket, key)?;
    let sum = match &stored.checksum {
        Some((algorithm, value)) => format!(
            "<Checksum><Checksum{algorithm}>{value}</Checksum{algorithm}><ChecksumType>{}</ChecksumType></Checksum>",
            if stored.composite { "COMPOSITE" } else { "FULL_OBJECT" }
        ),
        None => String::new(),
    };
    let body = format!(
        "<GetObjectAttributesResponse xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><ETag>{}</ETag>{sum}\
         <ObjectSize>{}</ObjectSize></GetObjectAttributesResponse>",
        stored.etag,
        stored.size()
    );
    let reply = Reply::xml(200, body).with("last-modified", s3::http_date(stored.modified));
    Ok(versioned(reply, stored.version.clone()))
}

/// Reads `x-amz-copy-source` and its conditions. Returns the source.
pub fn source<'a>(state: &'a State, request: &Request) -> Result<&'a Stored, Reply> {
    let named = request.header("x-amz-copy-source").unwrap_or_default();
    let (path, version) = match named.split_once("?versionId=") {
        Some((path, version)) => (path, Some(version)),
        None => (named, None),
    };
    let path = decoded(path);
    let (bucket, key) = s3::place(&path);
    s3::may(state, request, bucket, "source")?;
    let stored = state.buckets[bucket].version(key, version).ok_or_else(s3::no_such_key)?;
    match request.header("x-amz-copy-source-if-match") {
        Some(wanted) if wanted.trim_matches('"') != stored.etag => Err(s3::precondition()),
        _ => Ok(stored),
    }
}

/// `CopyObject`
pub fn copy(state: &mut State, request: &Request, bucket: &str, key: &str) -> Result<Reply, Reply> {
    let from = source(state, request)?.clone();
    if from.size() > COPY_LIMIT {
        let message = format!(
            "The specified copy source is larger than the maximum allowable size for a copy source: {COPY_LIMIT}"
        );
        return Err(error(400, "InvalidRequest", &message));
    }
    conditions(&state.buckets[bucket], key, request)?;
    let replaces = |name: &str| request.header(name) == Some("REPLACE");
    let mut headers = if replaces("x-amz-metadata-directive") {
        kept_headers(request)
    } else {
        let mut headers = from.headers.clone();
        headers.retain(|name, _| !name.contains("server-side-encryption"));
        headers
    };
    headers.extend(encryption(request));
    let tags = if replaces("x-amz-tagging-directive") {
        request.header("x-amz-tagging").unwrap_or_default().to_owned()
    } else {
        from.tags.clone()
    };
    let algorithm = match (request.header("x-amz-checksum-algorithm"), &from.checksum) {
        (Some(algorithm), _) => algorithm.to_owned(),
        (None, Some((algorithm, _))) => algorithm.clone(),
        (None, None) => "CRC64NVME".to_owned(),
    };
    let Some(sum) = checksum::checksum(&algorithm, &from.bytes) else {
        return Err(error(501, "NotImplemented", &format!("this World does not compute {algorithm}")));
    };
    let stored = Stored {
        etag: etag(&from.bytes, &headers),
        checksum: Some((algorithm.clone(), sum.clone())),
        headers,
        tags,
        declared: from.declared,
        bytes: from.bytes,
        ..Stored::default()
    };
    let body = format!(
        "<CopyObjectResult><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><ChecksumType>FULL_OBJECT\
         </ChecksumType><Checksum{algorithm}>{sum}</Checksum{algorithm}></CopyObjectResult>",
        s3::iso(state.now()),
        stored.etag
    );
    let reply = told(Reply::xml(200, body), &stored, false).with("x-amz-copy-source-version-id", from.version);
    Ok(versioned(reply, state.store(bucket, key, stored)))
}

/// `DeleteObject`
pub fn delete(state: &mut State, request: &Request, bucket: &str, key: &str) -> Result<Reply, Reply> {
    conditions(&state.buckets[bucket], key, request)?;
    let versioned_bucket = state.buckets[bucket].versioned;
    let objects = &mut state.buckets.get_mut(bucket).expect("it was found").objects;
    match request.asked("versionId") {
        Some(version) => {
            if let Some(versions) = objects.get_mut(key) {
                versions.retain(|stored| stored.version != version);
            }
            Ok(Reply::empty(204).with("x-amz-version-id", version))
        }
        None if versioned_bucket => {
            let version = state.store(bucket, key, Stored { marker: true, ..Stored::default() });
            Ok(versioned(Reply::empty(204).with("x-amz-delete-marker", "true"), version))
        }
        None => {
            objects.remove(key);
            Ok(Reply::empty(204))
        }
    }
}

/// `GetObjectTagging`
pub fn tags(state: &State, request: &Request, bucket: &str, key: &str) -> Result<Reply, Reply> {
    let stored = found(state, request, bucket, key)?;
    let tag = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let read = |text: &str| escaped(&decoded(&text.replace('+', " ")));
        format!("<Tag><Key>{}</Key><Value>{}</Value></Tag>", read(name), read(value))
    };
    let tags: String = stored.tags.split('&').filter(|pair| !pair.is_empty()).map(tag).collect();
    Ok(Reply::xml(200, format!("<Tagging><TagSet>{tags}</TagSet></Tagging>")))
}

/// `PutObjectTagging`
pub fn set_tags(state: &mut State, request: &Request, bucket: &str, key: &str) -> Result<Reply, Reply> {
    found(state, request, bucket, key)?;
    let xml = String::from_utf8_lossy(&request.body).into_owned();
    let (names, values) = (s3::elements(&xml, "Key"), s3::elements(&xml, "Value"));
    let pairs: Vec<String> = names.iter().zip(values).map(|(name, value)| format!("{name}={value}")).collect();
    if pairs.len() > 10 {
        return Err(error(400, "BadRequest", "Object tags cannot be greater than 10"));
    }
    let versions = state.buckets.get_mut(bucket).and_then(|bucket| bucket.objects.get_mut(key));
    versions.and_then(|versions| versions.last_mut()).expect("it was found").tags = pairs.join("&");
    Ok(Reply::empty(200))
}

/// `ListObjectsV2`
pub fn list(state: &State, request: &Request, bucket: &str) -> Result<Reply, Reply> {
    let prefix = request.asked("prefix").unwrap_or_default();
    let delimiter = request.asked("delimiter").unwrap_or_default();
    let size = request.asked("max-keys").and_then(|size| size.parse().ok()).unwrap_or(1000_usize).min(1000);
    let size = state.page.get("ListObjectsV2").map_or(size, |page| size.min(*page));
    let after = match (request.asked("continuation-token"), request.asked("start-after")) {
        (Some(token), _) => checksum::decode(token).and_then(|bytes| String::from_utf8(bytes).ok()),
        (None, start) => Some(start.unwrap_or_default().to_owned()),
    };
    let Some(after) = after else {
        return Err(error(400, "InvalidArgument", "The continuation token provided is incorrect"));
    };
    let found = &state.buckets[bucket];
    let mut entries: Vec<(String, String)> = Vec::new();
    for key in found.objects.keys().filter(|key| key.starts_with(prefix)) {
        let Some(stored) = found.current(key) else { continue };
        let folder = key[prefix.len()..].find(delimiter).filter(|_| !delimiter.is_empty());
        let (name, xml) = match folder {
            Some(at) => {
                let name = &key[..prefix.len() + at + delimiter.len()];
                (name, format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(name)))
            }
            None => (
                key.as_str(),
                format!(
                    "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size>\
                     <StorageClass>STANDARD</StorageClass></Contents>",
                    escaped(key),
                    s3::iso(stored.modified),
                    stored.etag,
                    stored.size()
                ),
            ),
        };
        if name > after.as_str() && entries.last().is_none_or(|(last, _)| last != name) {
            entries.push((name.to_owned(), xml));
        }
    }
    let more = entries.len() > size;
    entries.truncate(size);
    let token = entries.last().filter(|_| more).map(|(last, _)| checksum::encode(last.as_bytes()));
    let token = token.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"));
    let body: String = entries.iter().map(|(_, xml)| xml.as_str()).collect();
    Ok(Reply::xml(
        200,
        format!(
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{bucket}</Name><Prefix>{}\
             </Prefix><KeyCount>{}</KeyCount><MaxKeys>{size}</MaxKeys><IsTruncated>{more}</IsTruncated>{}{body}\
             </ListBucketResult>",
            escaped(prefix),
            entries.len(),
            token.unwrap_or_default()
        ),
    ))
}
