//! What a training left in `output.tar.gz`: `metrics.json`, read while the archive arrives and no further than needed.
//!
//! Also the one thing that a model archive is asked: whether there is anything in it.

use crate::adapters::aws::Kind;
use crate::adapters::aws::Refused;
use crate::adapters::aws::Session;
use crate::adapters::local::metrics::METRICS_FILE_LIMIT;
use crate::adapters::s3::S3Place;
use crate::adapters::s3::datasets::broken;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use aws_sdk_s3::primitives::ByteStream;
use flate2::read::MultiGzDecoder;
use std::collections::BTreeMap;
use std::io;
use std::io::Read;
use std::path::Path;
use tokio::sync::mpsc;

/// How much of the archive is read in search of the metrics, packed and unpacked, in bytes.
const PACKED_LIMIT: u64 = 512 << 20;
const UNPACKED_LIMIT: u64 = 4 << 30;
/// An archive with no byte in its files is no larger than this, in bytes. A larger one is not fetched to be sure.
pub(super) const NOTHING: u64 = 64 << 10;

/// A file of metrics as it was found.
pub(super) struct MetricsFile {
    /// Its size in bytes.
    pub(super) size: u64,
    /// Its content, unless it is too large to be read.
    pub(super) content: Vec<u8>,
}

/// Files by their paths in an archive.
pub(super) type Files = BTreeMap<String, MetricsFile>;

/// What a search in an archive came to.
pub(super) enum Search<T> {
    /// It was found.
    Found(T),
    /// There is no such archive, or nothing of the kind is in it.
    Absent,
    /// The archive cannot be read to where it might be: a sentence.
    Unusable(String),
}

/// Looks for files in an archive, by their paths in it. `Absent`: there is no archive, or it holds none of them.
pub(super) async fn files(session: &Session, place: &S3Place, wanted: Vec<String>) -> Result<Search<Files>, PortError> {
    let failed = |refused: Refused| refused.into_port(format!("read {}", place.uri()));
    let Some(body) = open(session, place).await.map_err(failed)? else { return Ok(Search::Absent) };
    let found = through(body, move |unpacked| find(unpacked, &wanted)).await?;
    Ok(match found {
        Ok(files) if !files.is_empty() => Search::Found(files),
        Ok(_) => Search::Absent,
        Err(error) => match lost(&error) {
            Some(why) => return Err(failed(broken("s3:GetObject", &io::Error::other(why)))),
            None => Search::Unusable(format!("output.tar.gz cannot be read: {error}")),
        },
    })
}

/// Tells whether the files of an archive have no byte at all. An archive that cannot be read is not called empty.
pub(super) async fn is_empty(session: &Session, place: &S3Place) -> Result<bool, PortError> {
    let failed = |refused: Refused| refused.into_port(format!("read {}", place.uri()));
    let Some(body) = open(session, place).await.map_err(failed)? else { return Ok(true) };
    Ok(through(body, has_content).await?.is_ok_and(|any| !any))
}

async fn open(session: &Session, place: &S3Place) -> Result<Option<ByteStream>, Refused> {
    let got = session
        .call(Kind::Read, "s3:GetObject", || session.s3.get_object().bucket(&place.bucket).key(&place.key).send())
        .await;
    match got {
        Ok(object) => Ok(Some(object.body)),
        Err(refused) if refused.code.as_deref() == Some("NoSuchKey") => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// Why a body broke off, told apart from an archive that is no archive.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BrokeOff(String);

fn lost(error: &io::Error) -> Option<String> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<BrokeOff>()).map(|broke| broke.0.clone())
}

/// Runs a reader over the unpacked bytes of a body, on a thread of its own: unpacking is work, and reading waits.
async fn through<T: Send + 'static>(
    mut body: ByteStream,
    reader: impl FnOnce(Box<dyn Read>) -> io::Result<T> + Send + 'static,
) -> Result<io::Result<T>, PortError> {
    let (chunks, arriving) = mpsc::channel::<Result<Vec<u8>, String>>(4);
    let reading = tokio::task::spawn_blocking(move || {
        let packed = Arriving { chunks: arriving, chunk: Vec::new(), at: 0, left: PACKED_LIMIT };
        let unpacked = MultiGzDecoder::new(packed).take(UNPACKED_LIMIT);
        reader(Box::new(unpacked))
    });
    loop {
        let chunk = match body.try_next().await {
            Ok(Some(bytes)) => Ok(bytes.to_vec()),
            Ok(None) => break,
            Err(error) => Err(error.to_string()),
        };
        let ended = chunk.is_err();
        // Nobody listens any more: what was looked for is found.
        if chunks.send(chunk).await.is_err() || ended {
            break;
        }
    }
    drop(chunks);
    reading.await.map_err(|error| PortError::because(PortErrorKind::Bug, "read an archive", error))
}

/// Bytes as they come in.
struct Arriving {
    chunks: mpsc::Receiver<Result<Vec<u8>, String>>,
    chunk: Vec<u8>,
    at: usize,
    left: u64,
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => (self.chunk, self.at) = (chunk, 0),
                Some(Err(why)) => return Err(io::Error::other(BrokeOff(why))),
                None => return Ok(0),
            }
        }
        if self.left == 0 {
            return Err(io::Error::other(
                "no metrics.json in its first 512 MiB: leave large files out of $SM_OUTPUT_DATA_DIR",
            ));
        }
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        for (to, from) in buffer.iter_mut().zip(rest.iter().take(count)) {
            *to = *from;
        }
        self.at += count;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Finds each file from the top of the archive, or from the folder of the first machine, where every machine has one.
/// Reads no further than needed.
fn find(unpacked: Box<dyn Read>, wanted: &[String]) -> io::Result<Files> {
    let (mut top, mut of_machine) = (Files::new(), Files::new());
    for entry in tar::Archive::new(unpacked).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let path = path.strip_prefix(".").unwrap_or(&path).to_owned();
        let below = path.strip_prefix("algo-1").ok();
        let Some(name) = wanted.iter().find(|name| {
            let name = Path::new(name.as_str());
            path == name || below == Some(name)
        }) else {
            continue;
        };
        // As on this machine, only a regular file is read.
        if !entry.header().entry_type().is_file() {
            return Err(io::Error::other(format!("{name} in it is not a regular file")));
        }
        let size = entry.size();
        let mut content = Vec::new();
        if size <= METRICS_FILE_LIMIT {
            entry.read_to_end(&mut content)?;
        }
        let file = MetricsFile { size, content };
        if path == Path::new(name.as_str()) {
            top.insert(name.clone(), file);
            if top.len() == wanted.len() {
                return Ok(top);
            }
        } else {
            of_machine.insert(name.clone(), file);
        }
    }
    of_machine.extend(top);
    Ok(of_machine)
}

fn has_content(unpacked: Box<dyn Read>) -> io::Result<bool> {
    for entry in tar::Archive::new(unpacked).entries()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() && entry.size() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, content.as_bytes()).expect("it can be packed");
        }
        builder.into_inner().and_then(GzEncoder::finish).expect("it can be packed")
    }

    fn found(bytes: Vec<u8>) -> io::Result<Option<String>> {
        let files = find(Box::new(MultiGzDecoder::new(io::Cursor::new(bytes))), &["metrics.json".to_owned()])?;
        Ok(files.into_values().next().map(|file| String::from_utf8(file.content).expect("text")))
    }

    async fn streamed(bytes: Vec<u8>) -> io::Result<Option<String>> {
        let wanted = ["metrics.json".to_owned()];
        let read =
            through(ByteStream::from(bytes), move |unpacked| find(unpacked, &wanted)).await.expect("no panic")?;
        Ok(read.into_values().next().map(|file| String::from_utf8(file.content).expect("text")))
    }

    #[test]
    fn the_metrics_of_the_top_win_over_those_of_a_machine() {
        assert_eq!(found(archive(&[("x/metrics.json", "no")])).expect("readable"), None);
        assert_eq!(found(archive(&[("./metrics.json", "1")])).expect("readable").as_deref(), Some("1"));
        let both = archive(&[("algo-1/metrics.json", "2"), ("plot.png", "…"), ("metrics.json", "1")]);
        assert_eq!(found(both).expect("readable").as_deref(), Some("1"));
        assert_eq!(found(archive(&[("algo-1/metrics.json", "2")])).expect("readable").as_deref(), Some("2"));
    }

    #[tokio::test]
    async fn an_archive_in_several_members_is_read_as_it_arrives() {
        let mut tar = Vec::new();
        MultiGzDecoder::new(io::Cursor::new(archive(&[("a", "x"), ("metrics.json", "{}")])))
            .read_to_end(&mut tar)
            .expect("readable");
        let mut members = Vec::new();
        for part in tar.chunks(512) {
            let mut member = GzEncoder::new(Vec::new(), Compression::fast());
            member.write_all(part).expect("it can be packed");
            members.extend(member.finish().expect("it can be packed"));
        }
        assert_eq!(streamed(members).await.expect("readable").as_deref(), Some("{}"));
    }

    #[tokio::test]
    async fn a_broken_archive_is_an_error_and_an_empty_one_is_not() {
        let whole = archive(&[("a", &"x".repeat(100_000)), ("metrics.json", "{}")]);
        let cut = whole.iter().copied().take(whole.len() / 2).collect();
        assert!(streamed(cut).await.is_err());
        assert!(streamed(b"no archive".to_vec()).await.is_err());
        assert_eq!(streamed(archive(&[])).await.expect("readable"), None);
        for files in [vec![], vec![("model.pkl", "")]] {
            let any = has_content(Box::new(MultiGzDecoder::new(io::Cursor::new(archive(&files)))));
            assert!(!any.expect("readable"));
        }
    }
}
