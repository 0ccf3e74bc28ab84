//! The two digests that S3 keeps of whole objects, computed here for bytes that pass by: files that are uploaded, and
//! artifacts that somebody wants on this machine.

use crate::model::artifact::ObjectDigest;
use crate::model::digest::Sha256Digest;
use sha2::Digest as _;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::Path;

/// A hash in the making.
pub(super) struct Hashing {
    sha256: sha2::Sha256,
    crc64: crc_fast::Digest,
    size: u64,
}

/// The digests of a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hashed {
    pub(super) sha256: Sha256Digest,
    /// Base64, as S3 spells it.
    pub(super) crc64: String,
    pub(super) size: u64,
}

impl Hashing {
    pub(super) fn new() -> Self {
        let crc64 = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
        Self { sha256: sha2::Sha256::new(), crc64, size: 0 }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.crc64.update(bytes);
        self.size += bytes.len() as u64;
    }

    pub(super) fn finish(self) -> Hashed {
        Hashed {
            sha256: Sha256Digest::finish(self.sha256),
            crc64: aws_smithy_types::base64::encode(self.crc64.finalize().to_be_bytes()),
            size: self.size,
        }
    }
}

impl Hashed {
    /// Returns the digest in the algorithm of another one.
    pub(super) fn like(&self, other: &ObjectDigest) -> ObjectDigest {
        match other {
            ObjectDigest::Sha256(_) => ObjectDigest::Sha256(self.sha256.clone()),
            ObjectDigest::Crc64Nvme(_) => ObjectDigest::Crc64Nvme(self.crc64.clone()),
        }
    }
}

/// Hashes a file. `on_bytes` hears how many bytes are read.
pub(super) fn hash_file(path: &Path, on_bytes: &dyn Fn(u64)) -> io::Result<Hashed> {
    const EVERY: u64 = 64 << 20;
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 256 << 10];
    let (mut hashing, mut told) = (Hashing::new(), 0);
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if let Some(bytes) = buffer.get(..count) {
            hashing.take(bytes);
        }
        if hashing.size - told >= EVERY {
            told = hashing.size;
            on_bytes(told);
        }
    }
    Ok(hashing.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-64/NVME, from the catalogue of parametrised CRC algorithms.
    #[test]
    fn the_checksum_is_the_one_that_s3_computes() {
        let mut hashing = Hashing::new();
        hashing.take(b"1234");
        hashing.take(b"56789");
        let hashed = hashing.finish();
        let check: u64 = 0xae8b_1486_0a79_9888;
        assert_eq!(hashed.crc64, aws_smithy_types::base64::encode(check.to_be_bytes()));
        assert_eq!(hashed.sha256, Sha256Digest::of(b"123456789"));
        assert_eq!(hashed.size, 9);
    }
}
