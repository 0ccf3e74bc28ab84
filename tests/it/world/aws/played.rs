//! The headers and parameters of S3 and STS that this World honours. One that it does not know is refused: a test
//! that passes because a condition was not looked at would prove nothing.

use super::wire::Request;

/// Such as say nothing about the operation.
const EVERYWHERE: &[&str] = &[
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-security-token",
    "x-amz-user-agent",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
    "x-amz-expected-bucket-owner",
    "x-amz-source-expected-bucket-owner",
];

const WRITES: &[&str] = &["PutObject", "CopyObject", "CreateMultipartUpload"];
const UPLOADS: &[&str] = &["PutObject", "UploadPart", "CompleteMultipartUpload", "PutObjectTagging"];
const COPIES: &[&str] = &["CopyObject", "UploadPartCopy"];
const READS: &[&str] = &["GetObject", "HeadObject"];

/// A beginning of headers' names and the operations that honour them. The first that fits counts.
const HEADERS: &[(&str, &[&str])] = &[
    ("x-amz-meta-", WRITES),
    ("x-amz-tagging-directive", &["CopyObject"]),
    ("x-amz-metadata-directive", &["CopyObject"]),
    ("x-amz-tagging", WRITES),
    ("x-amz-storage-class", WRITES),
    ("x-amz-server-side-encryption-customer", &[]),
    ("x-amz-server-side-encryption", WRITES),
    ("x-amz-checksum-mode", READS),
    ("x-amz-checksum-algorithm", &["CopyObject", "CreateMultipartUpload"]),
    ("x-amz-checksum-type", &["CreateMultipartUpload", "CompleteMultipartUpload"]),
    ("x-amz-checksum-", UPLOADS),
    ("x-amz-sdk-checksum-algorithm", UPLOADS),
    ("x-amz-copy-source-if-match", COPIES),
    ("x-amz-copy-source-range", &["UploadPartCopy"]),
    ("x-amz-copy-source-", &[]),
    ("x-amz-copy-source", COPIES),
    ("x-amz-mp-object-size", &["CompleteMultipartUpload"]),
    ("x-amz-object-attributes", &["GetObjectAttributes"]),
    ("if-none-match", &["PutObject", "CopyObject", "CompleteMultipartUpload", "GetObject", "HeadObject"]),
    ("if-match", &["PutObject", "CopyObject", "CompleteMultipartUpload", "GetObject", "HeadObject", "DeleteObject"]),
    ("if-", &[]),
    ("range", &["GetObject"]),
    ("expires", &[]),
    ("x-amz-", &[]),
];

/// Operations by parameter of the query.
const QUERY: &[(&str, &[&str])] = &[
    ("versionId", &["GetObject", "HeadObject", "DeleteObject", "GetObjectTagging", "GetObjectAttributes"]),
    ("tagging", &["GetObjectTagging", "PutObjectTagging"]),
    ("attributes", &["GetObjectAttributes"]),
    ("uploadId", &["UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts"]),
    ("partNumber", &["UploadPart", "UploadPartCopy"]),
    ("uploads", &["CreateMultipartUpload", "ListMultipartUploads"]),
    ("max-parts", &["ListParts"]),
    ("part-number-marker", &["ListParts"]),
    ("list-type", &["ListObjectsV2"]),
    ("prefix", &["ListObjectsV2", "ListMultipartUploads"]),
    ("delimiter", &["ListObjectsV2"]),
    ("max-keys", &["ListObjectsV2"]),
    ("continuation-token", &["ListObjectsV2"]),
    ("start-after", &["ListObjectsV2"]),
    ("versioning", &["GetBucketVersioning"]),
    ("lifecycle", &["GetBucketLifecycleConfiguration"]),
    ("location", &["GetBucketLocation"]),
    ("encryption", &["GetBucketEncryption"]),
];

/// Parameters of STS.
const FORM: &[&str] = &["Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds", "WebIdentityToken"];

/// Names what this World would pass over in silence.
pub fn unplayed(request: &Request) -> Vec<String> {
    let operation = request.operation.as_str();
    if request.service == "STS" {
        let strange = request.query.iter().map(|(name, _)| name).filter(|name| !FORM.contains(&name.as_str()));
        return strange.map(|name| format!("parameter {name}")).collect();
    }
    let headers = request.headers.keys().filter(|name| {
        let entry = HEADERS.iter().find(|(begin, _)| name.starts_with(begin));
        !EVERYWHERE.contains(&name.as_str()) && entry.is_some_and(|(_, operations)| !operations.contains(&operation))
    });
    let query = request.query.iter().map(|(name, _)| name).filter(|name| {
        let entry = QUERY.iter().find(|(known, _)| known == name);
        name.as_str() != "x-id" && entry.is_none_or(|(_, operations)| !operations.contains(&operation))
    });
    headers.map(|name| format!("header {name}")).chain(query.map(|name| format!("parameter {name}"))).collect()
}
