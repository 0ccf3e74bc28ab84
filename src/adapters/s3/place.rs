//! Where an object lies, and how requests spell it.

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    /// The bucket.
    pub bucket: String,
    /// The key, without a slash before it.
    pub key: String,
    /// The version in a versioned bucket. `None`: the newest. Naming one needs `s3:GetObjectVersion`.
    pub version: Option<String>,
    /// The ETag that it must have, as S3 wrote it, with its quotes.
    pub etag: Option<String>,
}

impl S3Place {
    /// Names the newest version of a key.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into(), version: None, etag: None }
    }

    /// Reads `s3://bucket/key`. `None`: it is not that, or names no key.
    pub fn parse(uri: &str) -> Option<Self> {
        let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty() && !key.is_empty()).then(|| Self::new(bucket, key))
    }

    /// Spells it as `s3://bucket/key`.
    pub fn uri(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    /// Spells it as the source of a copy: percent-encoded, because it travels in a header.
    pub(super) fn copy_source(&self) -> String {
        let mut text = self.bucket.clone();
        text.push('/');
        encode(&self.key, &mut text);
        if let Some(version) = &self.version {
            text.push_str("?versionId=");
            encode(version, &mut text);
        }
        text
    }

    /// Spells pairs as a query string, as the tags of an upload are.
    pub(super) fn query<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
        let mut text = String::new();
        for (name, value) in pairs {
            if !text.is_empty() {
                text.push('&');
            }
            encode(name, &mut text);
            text.push('=');
            encode(value, &mut text);
        }
        text
    }
}

fn encode(text: &str, into: &mut String) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~') {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(HEX[usize::from(byte >> 4)]);
            into.push(HEX[usize::from(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written() {
        let place = S3Place::parse("s3://acme-models/branchline/churn/model.tar.gz").expect("it is one");
        assert_eq!((place.bucket.as_str(), place.key.as_str()), ("acme-models", "branchline/churn/model.tar.gz"));
        assert_eq!(place.uri(), "s3://acme-models/branchline/churn/model.tar.gz");
        for other in ["s3://acme-models", "s3://acme-models/", "s3:///key", "https://acme-models/key", "file:/tmp/x"] {
            assert_eq!(S3Place::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_source_of_a_copy_is_encoded() {
        let mut place = S3Place::new("b", "a b/ü+?&=%.gz");
        assert_eq!(place.copy_source(), "b/a%20b/%C3%BC%2B%3F%26%3D%25.gz");
        place.version = Some("v/1=".to_owned());
        assert_eq!(place.copy_source(), "b/a%20b/%C3%BC%2B%3F%26%3D%25.gz?versionId=v/1%3D");
    }
}
