//! Checksums as S3 has them, base64, and the chunked bodies that carry a checksum behind them.

use super::s3;
use super::wire::Reply;
use super::wire::Request;
use hyper::body::Bytes;
use md5::Digest;
use std::sync::OnceLock;

/// The algorithms that this World computes, as headers and XML name them.
pub const ALGORITHMS: &[&str] = &["CRC32", "CRC64NVME", "SHA256"];

/// Computes a checksum, in base64. `None`: the algorithm is not among [`ALGORITHMS`].
pub fn checksum(algorithm: &str, bytes: &[u8]) -> Option<String> {
    let raw = match algorithm {
        "CRC32" => {
            let mut crc = libdeflater::Crc::new();
            crc.update(bytes);
            crc.sum().to_be_bytes().to_vec()
        }
        "CRC64NVME" => crc64(bytes).to_be_bytes().to_vec(),
        "SHA256" => sha2::Sha256::digest(bytes).to_vec(),
        _ => return None,
    };
    Some(encode(&raw))
}

/// The MD5 in hexadecimal digits.
pub fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(md5::Md5::digest(bytes))
}

/// CRC-64/NVME: reflected, all ones before and after.
pub fn crc64(bytes: &[u8]) -> u64 {
    static TABLE: OnceLock<[u64; 256]> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        std::array::from_fn(|at| {
            (0..8).fold(at as u64, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x9a6c_9329_ac4b_c9b5 } else { crc >> 1 })
        })
    });
    !bytes.iter().fold(!0, |crc, byte| table[((crc ^ u64::from(*byte)) & 0xff) as usize] ^ (crc >> 8))
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes base64.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0_u32, |word, (at, byte)| word | (u32::from(*byte) << (16 - 8 * at)));
        for at in 0..4 {
            let letter = LETTERS[((word >> (18 - 6 * at)) & 63) as usize] as char;
            out.push(if at <= chunk.len() { letter } else { '=' });
        }
    }
    out
}

/// Reads base64, of either alphabet, with or without its padding.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut word, mut bits) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let letter = match letter {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        };
        let value = LETTERS.iter().position(|known| *known == letter)?;
        word = (word << 6) | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(((word >> bits) & 0xff) as u8);
        }
    }
    Some(out)
}

/// What was uploaded.
pub struct Upload {
    /// Without chunks and trailers.
    pub bytes: Bytes,
    /// The checksum that came with it: algorithm and base64.
    pub checksum: Option<(String, String)>,
}

/// Reads the body of an upload, and compares every digest that came with it.
pub fn upload(request: &Request) -> Result<Upload, Reply> {
    let mut named: Vec<(String, String)> = request
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("x-amz-checksum-")?.to_owned(), value.clone())))
        .collect();
    let bytes = if request.header("x-amz-content-sha256").is_some_and(|value| value.starts_with("STREAMING-")) {
        let (bytes, trailers) = unchunked(&request.body)
            .ok_or_else(|| s3::error(400, "IncompleteBody", "The request body terminated unexpectedly"))?;
        let declared = request.header("x-amz-decoded-content-length").and_then(|length| length.parse().ok());
        if declared != Some(bytes.len()) {
            return Err(s3::error(400, "IncompleteBody", "You did not provide the number of bytes specified"));
        }
        let promised = request.header("x-amz-trailer").unwrap_or_default();
        for (name, value) in trailers {
            // Behind a body that is signed in pieces.
            if name == "x-amz-trailer-signature" {
                continue;
            }
            if name != promised {
                let message = format!("The request contained the trailer {name}, and promised {promised}");
                return Err(s3::error(400, "MalformedTrailerError", &message));
            }
            named.extend(name.strip_prefix("x-amz-checksum-").map(|name| (name.to_owned(), value)));
        }
        Bytes::from(bytes)
    } else {
        request.body.clone()
    };
    if let Some(claimed) = request.header("x-amz-content-sha256").filter(|claimed| claimed.len() == 64)
        && claimed != hex::encode(sha2::Sha256::digest(&bytes))
    {
        return Err(s3::error(
            400,
            "XAmzContentSHA256Mismatch",
            "The provided header does not match what was computed.",
        ));
    }
    if let Some(claimed) = request.header("content-md5")
        && claimed != encode(&md5::Md5::digest(&bytes))
    {
        return Err(s3::error(400, "BadDigest", "The Content-MD5 you specified did not match what we received."));
    }
    named.retain(|(name, _)| !matches!(name.as_str(), "algorithm" | "type" | "mode"));
    if named.len() > 1 {
        return Err(s3::error(400, "InvalidRequest", "Expecting a single x-amz-checksum- header."));
    }
    let mut checksum_of = None;
    for (name, claimed) in named {
        let algorithm = name.to_ascii_uppercase();
        let Some(actual) = checksum(&algorithm, &bytes) else {
            return Err(s3::error(501, "NotImplemented", &format!("this World does not compute {algorithm}")));
        };
        if actual != claimed {
            let message = format!("The {algorithm} you specified did not match the calculated checksum.");
            return Err(s3::error(400, "BadDigest", &message));
        }
        checksum_of = Some((algorithm, actual));
    }
    Ok(Upload { bytes, checksum: checksum_of })
}

/// What follows a body that comes in chunks: names and values.
type Trailers = Vec<(String, String)>;

/// Undoes `aws-chunked`: the bytes, and the trailers behind them.
fn unchunked(mut body: &[u8]) -> Option<(Vec<u8>, Trailers)> {
    let mut bytes = Vec::new();
    loop {
        let (line, rest) = line(body)?;
        let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        body = rest;
        if size == 0 {
            break;
        }
        bytes.extend_from_slice(body.get(..size)?);
        body = body.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let mut trailers = Vec::new();
    while let Some((line, rest)) = line(body) {
        body = rest;
        if let Some((name, value)) = line.split_once(':') {
            trailers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    Some((bytes, trailers))
}

fn line(body: &[u8]) -> Option<(&str, &[u8])> {
    let end = body.windows(2).position(|pair| pair == b"\r\n")?;
    Some((std::str::from_utf8(&body[..end]).ok()?, &body[end + 2..]))
}
