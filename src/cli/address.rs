//! Where an artifact can be opened: by a program, and in a browser. Stores spell locations for themselves.

use crate::adapters::local::artifacts::LocalArtifacts;
use crate::adapters::local::home::Home;
use crate::config::Config;
use crate::model::artifact::Address;
use crate::model::artifact::Artifact;
use crate::model::region;
use std::path::Path;

/// Returns where an artifact can be opened. A location that no store here knows is returned as it is.
///
/// `home`: the state directory of the local backend.
pub(super) fn of(home: &Path, config: Option<&Config>, artifact: &Artifact) -> Address {
    if let Some((bucket, key)) = artifact.location.strip_prefix("s3://").and_then(|rest| rest.split_once('/')) {
        let url = config.and_then(|config| region_of(config, bucket)).map(|region| console(region, bucket, key));
        return Address { location: artifact.location.clone(), url };
    }
    let file = LocalArtifacts::new(Home::at(home.to_path_buf())).as_file(artifact);
    let location = match &file {
        Ok(file) => file.location.strip_prefix("file:").unwrap_or(&file.location).to_owned(),
        Err(_) => artifact.location.clone(),
    };
    Address { location, url: None }
}

/// The region of a bucket that the configuration names.
fn region_of<'c>(config: &'c Config, bucket: &str) -> Option<&'c str> {
    let places = config.accounts.values().chain(&config.cloud);
    places.into_iter().find(|place| place.bucket == bucket).map(|place| place.region.as_str())
}

/// The page of an object in Amazon's console.
fn console(region: &str, bucket: &str, key: &str) -> String {
    let mut encoded = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    format!("{}/s3/object/{bucket}?region={region}&prefix={encoded}", region::console(region))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::artifact::ObjectDigest;
    use crate::model::digest::Sha256Digest;

    #[test]
    fn a_page_of_the_console_is_for_the_partition_of_the_region_and_encodes_the_key() {
        assert_eq!(
            console("eu-west-1", "acme", "a b/c+d&e.tar.gz"),
            "https://eu-west-1.console.aws.amazon.com/s3/object/acme?region=eu-west-1&prefix=a%20b/c%2Bd%26e.tar.gz"
        );
        assert!(
            console("cn-north-1", "acme", "k").starts_with("https://cn-north-1.console.amazonaws.cn/s3/object/acme?")
        );
        assert!(console("us-gov-west-1", "acme", "k").contains(".console.amazonaws-us-gov.com/"));
    }

    #[test]
    fn an_artifact_of_the_local_store_is_a_file_and_an_unknown_location_stays() {
        let digest = Sha256Digest::of(b"model");
        let artifact = |location: String| Artifact {
            name: "model.tar.gz".to_owned(),
            digest: ObjectDigest::Sha256(Sha256Digest::of(b"model")),
            size: 5,
            location,
        };
        let found = of(Path::new("/state"), None, &artifact(format!("blob:sha256:{digest}")));
        assert!(
            found.location.starts_with("/state/artifacts/") && found.location.ends_with(&digest.as_str()[2..]),
            "{found:?}"
        );
        assert_eq!(of(Path::new("/state"), None, &artifact("ftp://x/y".to_owned())).location, "ftp://x/y");
        let cloud = of(Path::new("/state"), None, &artifact("s3://elsewhere/key".to_owned()));
        assert_eq!(cloud, Address { location: "s3://elsewhere/key".to_owned(), url: None });
    }
}
