//! S3's uploads in parts.

use super::checksum;
use super::checksum::md5_hex;
use super::objects;
use super::s3;
use super::s3::Stored;
use super::s3::error;
use super::s3::escaped;
use super::state::State;
use super::wire::Reply;
use super::wire::Request;
use hyper::body::Bytes;
use std::collections::BTreeMap;

const SMALLEST_PART: u64 = 5 * 1024 * 1024;

/// An upload that is not finished.
pub struct Pending {
    /// Where it shall be.
    pub key: String,
    /// Seconds of the epoch.
    pub begun: f64,
    /// What the object will carry.
    pub headers: BTreeMap<String, String>,
    /// As the query string that set them.
    pub tags: String,
    /// The algorithm that was asked for.
    pub algorithm: Option<String>,
    /// Whether the checksum shall be that of the whole.
    pub full: bool,
    /// By number.
    pub parts: BTreeMap<u32, Part>,
}

/// A part.
pub struct Part {
    bytes: Bytes,
    declared: Option<u64>,
    etag: String,
    checksum: Option<(String, String)>,
}

impl Part {
    fn size(&self) -> u64 {
        self.declared.unwrap_or(self.bytes.len() as u64)
    }
}

fn no_such_upload() -> Reply {
    error(404, "NoSuchUpload", "The specified upload does not exist. It may have been aborted or completed.")
}

fn upload_of(request: &Request) -> &str {
    request.asked("uploadId").unwrap_or_default()
}

fn number_of(request: &Request) -> Result<u32, Reply> {
    request
        .asked("partNumber")
        .and_then(|number| number.parse().ok())
        .filter(|number| (1..=10_000).contains(number))
        .ok_or_else(|| error(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive"))
}

/// `CreateMultipartUpload`
pub fn create(state: &mut State, request: &Request, bucket: &str, key: &str) -> Result<Reply, Reply> {
    let algorithm = request.header("x-amz-checksum-algorithm").map(str::to_owned);
    let full = match (request.header("x-amz-checksum-type"), algorithm.as_deref()) {
        (Some("FULL_OBJECT"), Some("SHA256")) => {
            let message = "The FULL_OBJECT checksum type cannot be used with the sha256 checksum algorithm.";
            return Err(error(400, "InvalidRequest", message));
        }
        (Some("COMPOSITE"), Some("CRC64NVME")) => {
            let message = "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.";
            return Err(error(400, "InvalidRequest", message));
        }
        (Some(kind), _) => kind == "FULL_OBJECT",
        (None, algorithm) => matches!(algorithm, None | Some("CRC64NVME")),
    };
    let id = format!("upload-{:08}", state.next());
    let pending = Pending {
        key: key.to_owned(),
        begun: state.now(),
        headers: objects::kept_headers(request),
        tags: request.header("x-amz-tagging").unwrap_or_default().to_owned(),
        algorithm,
        full,
        parts: BTreeMap::new(),
    };
    let mut reply = Reply::xml(
        200,
        format!(
            "<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{}</Key><UploadId>{id}</UploadId>\
             </InitiateMultipartUploadResult>",
            escaped(key)
        ),
    );
    if let Some(algorithm) = &pending.algorithm {
        reply = reply
            .with("x-amz-checksum-algorithm", algorithm)
            .with("x-amz-checksum-type", if full { "FULL_OBJECT" } else { "COMPOSITE" });
    }
    state.buckets.get_mut(bucket).expect("it was found").uploads.insert(id, pending);
    Ok(reply)
}

/// `UploadPart`
pub fn part(state: &mut State, request: &Request, bucket: &str) -> Result<Reply, Reply> {
    let number = number_of(request)?;
    let upload = checksum::upload(request)?;
    let found = state.buckets.get_mut(bucket).expect("it was found");
    let pending = found.uploads.get_mut(upload_of(request)).ok_or_else(no_such_upload)?;
    if let (Some(wanted), Some((sent, _))) = (&pending.algorithm, &upload.checksum)
        && wanted != sent
    {
        let message =
            format!("Checksum Type mismatch occurred, expected checksum Type: {wanted}, actual checksum Type: {sent}");
        return Err(error(400, "InvalidRequest", &message));
    }
    let etag = md5_hex(&upload.bytes);
    let mut reply = Reply::empty(200).with("etag", format!("\"{etag}\""));
    if let Some((algorithm, value)) = &upload.checksum {
        reply = reply.with(&format!("x-amz-checksum-{}", algorithm.to_ascii_lowercase()), value);
    }
    let part = Part { bytes: upload.bytes, declared: None, etag, checksum: upload.checksum };
    pending.parts.insert(number, part);
    Ok(reply)
}

/// `UploadPartCopy`
pub fn part_copy(state: &mut State, request: &Request, bucket: &str) -> Result<Reply, Reply> {
    let number = number_of(request)?;
    let source = objects::source(state, request)?;
    let range = request.header("x-amz-copy-source-range").and_then(|range| range.strip_prefix("bytes="));
    let (bytes, declared) = match range.and_then(|range| range.split_once('-')) {
        None => (source.bytes.clone(), source.declared),
        Some((from, to)) => {
            let (Ok(from), Ok(to)) = (from.parse::<u64>(), to.parse::<u64>()) else {
                return Err(error(
                    400,
                    "InvalidArgument",
                    "The x-amz-copy-source-range value must be bytes=first-last",
                ));
            };
            if to < from || to >= source.size() {
                let message = format!("Range specified is not valid for source object of size: {}", source.size());
                return Err(error(400, "InvalidArgument", &message));
            }
            if source.size() <= SMALLEST_PART {
                let message = "The specified copy source is smaller than or equal to the smallest part: copy it whole";
                return Err(error(400, "InvalidRequest", message));
            }
            let real = source.bytes.len() as u64;
            let bytes = source.bytes.slice(from.min(real) as usize..(to + 1).min(real) as usize);
            (bytes, source.declared.map(|_| to + 1 - from))
        }
    };
    let size = declared.unwrap_or(bytes.len() as u64);
    if size > 5 * 1024 * 1024 * 1024 {
        return Err(error(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"));
    }
    let now = state.now();
    let found = state.buckets.get_mut(bucket).expect("it was found");
    let pending = found.uploads.get_mut(upload_of(request)).ok_or_else(no_such_upload)?;
    let algorithm = pending.algorithm.clone().unwrap_or_else(|| "CRC64NVME".to_owned());
    let sum = checksum::checksum(&algorithm, &bytes).map(|value| (algorithm, value));
    let etag = md5_hex(&bytes);
    let told = match &sum {
        Some((algorithm, value)) if pending.algorithm.is_some() => {
            format!("<Checksum{algorithm}>{value}</Checksum{algorithm}>")
        }
        _ => String::new(),
    };
    let body = format!(
        "<CopyPartResult><LastModified>{}</LastModified><ETag>&quot;{etag}&quot;</ETag>{told}</CopyPartResult>",
        s3::iso(now)
    );
    pending.parts.insert(number, Part { bytes, declared, etag, checksum: sum });
    Ok(Reply::xml(200, body))
}

/// `CompleteMultipartUpload`
pub fn complete(state: &mut State, request: &Request, bucket: &str, key: &str) -> Result<Reply, Reply> {
    let found = &state.buckets[bucket];
    let pending = found.uploads.get(upload_of(request)).filter(|one| one.key == key).ok_or_else(no_such_upload)?;
    objects::conditions(found, key, request)?;
    let xml = String::from_utf8_lossy(&request.body).into_owned();
    let listed = s3::elements(&xml, "Part");
    if listed.is_empty() {
        return Err(error(400, "MalformedXML", "The XML you provided was not well-formed"));
    }
    let (mut bytes, mut etags, mut sums, mut declared) = (Vec::new(), Vec::new(), Vec::new(), None);
    let (mut size, mut last) = (0, 0);
    for (at, entry) in listed.iter().enumerate() {
        let one = |name: &str| s3::elements(entry, name).first().map(|text| text.replace("&quot;", ""));
        let number: u32 = one("PartNumber").and_then(|number| number.parse().ok()).unwrap_or_default();
        if number <= last {
            return Err(error(400, "InvalidPartOrder", "The list of parts was not in ascending order."));
        }
        last = number;
        let invalid = || error(400, "InvalidPart", "One or more of the specified parts could not be found.");
        let part = pending.parts.get(&number).ok_or_else(invalid)?;
        if one("ETag").is_none_or(|etag| etag.trim_matches('"') != part.etag) {
            return Err(invalid());
        }
        if part.size() < SMALLEST_PART && at + 1 < listed.len() {
            let message = "Your proposed upload is smaller than the minimum allowed size";
            return Err(error(400, "EntityTooSmall", message));
        }
        if let Some(algorithm) = &pending.algorithm {
            let claimed = one(&format!("Checksum{algorithm}"));
            let name = algorithm.to_ascii_lowercase();
            match (claimed, &part.checksum) {
                (None, _) if !pending.full => {
                    let message = format!(
                        "The upload was created using a {name} checksum. The complete request must include the \
                         checksum for each part. It was missing for part {number} in the request."
                    );
                    return Err(error(400, "InvalidRequest", &message));
                }
                (Some(claimed), Some((_, actual))) if claimed != *actual => return Err(invalid()),
                _ => {}
            }
            sums.extend(part.checksum.as_ref().and_then(|(_, value)| checksum::decode(value)).unwrap_or_default());
        }
        etags.extend(hex::decode(&part.etag).expect("an MD5"));
        bytes.extend_from_slice(&part.bytes);
        size += part.size();
        declared = declared.or(part.declared);
    }
    if request.header("x-amz-mp-object-size").is_some_and(|claimed| claimed != size.to_string()) {
        return Err(error(400, "InvalidRequest", "The provided object size does not match the parts"));
    }
    let algorithm = pending.algorithm.clone().unwrap_or_else(|| "CRC64NVME".to_owned());
    let sum = if pending.full {
        checksum::checksum(&algorithm, &bytes)
    } else {
        checksum::checksum(&algorithm, &sums).map(|value| format!("{value}-{}", listed.len()))
    };
    let claimed = request.header(&format!("x-amz-checksum-{}", algorithm.to_ascii_lowercase()));
    if claimed.is_some() && claimed != sum.as_deref() {
        let message = format!("The {algorithm} you specified did not match the calculated checksum.");
        return Err(error(400, "BadDigest", &message));
    }
    let stored = Stored {
        etag: format!("{}-{}", md5_hex(&etags), listed.len()),
        checksum: sum.map(|sum| (algorithm, sum)),
        composite: !pending.full,
        headers: pending.headers.clone(),
        tags: pending.tags.clone(),
        declared: declared.map(|_| size),
        bytes: Bytes::from(bytes),
        parts: listed.len(),
        ..Stored::default()
    };
    let told = match &stored.checksum {
        Some((algorithm, value)) => format!(
            "<Checksum{algorithm}>{value}</Checksum{algorithm}><ChecksumType>{}</ChecksumType>",
            if stored.composite { "COMPOSITE" } else { "FULL_OBJECT" }
        ),
        None => String::new(),
    };
    let body = format!(
        "<CompleteMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{}</Key><ETag>&quot;{}&quot;</ETag>{told}\
         </CompleteMultipartUploadResult>",
        escaped(key),
        stored.etag
    );
    state.buckets.get_mut(bucket).expect("it was found").uploads.remove(upload_of(request));
    let version = state.store(bucket, key, stored);
    let reply = Reply::xml(200, body);
    Ok(if version == "null" { reply } else { reply.with("x-amz-version-id", version) })
}

/// `AbortMultipartUpload`
pub fn abort(state: &mut State, request: &Request, bucket: &str) -> Result<Reply, Reply> {
    let found = state.buckets.get_mut(bucket).expect("it was found");
    found.uploads.remove(upload_of(request)).map(|_| Reply::empty(204)).ok_or_else(no_such_upload)
}

/// `ListMultipartUploads`
pub fn list(state: &State, request: &Request, bucket: &str) -> Result<Reply, Reply> {
    let prefix = request.asked("prefix").unwrap_or_default();
    let mut body = String::new();
    for (id, pending) in state.buckets[bucket].uploads.iter().filter(|(_, one)| one.key.starts_with(prefix)) {
        body += &format!(
            "<Upload><Key>{}</Key><UploadId>{id}</UploadId><Initiated>{}</Initiated></Upload>",
            escaped(&pending.key),
            s3::iso(pending.begun)
        );
    }
    Ok(Reply::xml(
        200,
        format!(
            "<ListMultipartUploadsResult><Bucket>{bucket}</Bucket><IsTruncated>false</IsTruncated>{body}\
             </ListMultipartUploadsResult>"
        ),
    ))
}

/// `ListParts`
pub fn list_parts(state: &State, request: &Request, bucket: &str) -> Result<Reply, Reply> {
    let pending = state.buckets[bucket].uploads.get(upload_of(request)).ok_or_else(no_such_upload)?;
    let size = request.asked("max-parts").and_then(|size| size.parse().ok()).unwrap_or(1000_usize);
    let after = request.asked("part-number-marker").and_then(|number| number.parse().ok()).unwrap_or(0_u32);
    let parts: Vec<(&u32, &Part)> = pending.parts.iter().filter(|(number, _)| **number > after).collect();
    let mut body = String::new();
    for (number, part) in parts.iter().take(size) {
        let sum = part.checksum.as_ref().filter(|_| pending.algorithm.is_some());
        let sum = sum.map(|(algorithm, value)| format!("<Checksum{algorithm}>{value}</Checksum{algorithm}>"));
        body += &format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>&quot;{}&quot;</ETag><Size>{}</Size>{}</Part>",
            part.etag,
            part.size(),
            sum.unwrap_or_default()
        );
    }
    let next = parts.iter().take(size).next_back().map_or(0, |(number, _)| **number);
    Ok(Reply::xml(
        200,
        format!(
            "<ListPartsResult><IsTruncated>{}</IsTruncated><NextPartNumberMarker>{next}</NextPartNumberMarker>{body}\
             </ListPartsResult>",
            parts.len() > size
        ),
    ))
}
