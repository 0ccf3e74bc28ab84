//! A model from outside: a file as it is, or a folder packed as the trainer packs one; and the metrics beside it.
//!
//! Nothing is registered here. A folder's archive lies in `tmp/` until it was copied; what a killed run leaves there
//! is swept by `prune`.

use crate::adapters::local::blob::hash_file;
use crate::adapters::local::home::Home;
use crate::adapters::local::metrics;
use crate::adapters::local::metrics::METRICS_FILE_LIMIT;
use crate::adapters::local::metrics::MetricsError;
use crate::adapters::local::model_files;
use crate::adapters::local::model_files::NotWhole;
use crate::adapters::local::pack::PackError;
use crate::adapters::local::pack::pack_directory;
use crate::adapters::regular;
use crate::adapters::regular::Links;
use crate::adapters::regular::RegularError;
use crate::adapters::unfinished;
use crate::adapters::unfinished::Unfinished;
use crate::model::artifact::Artifact;
use crate::model::artifact::ObjectDigest;
use crate::model::metric::MetricName;
use crate::model::metric::MetricNote;
use crate::model::metric::Metrics;
use crate::ports::error::PortError;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use tempfile::TempDir;

/// What every archive is called, whatever its file was called.
const ARCHIVE: &str = "model.tar.gz";

/// The longest name of a stored file, in bytes.
const NAME_LIMIT: usize = 100;

/// A model that was found and digested.
#[derive(Debug)]
pub struct Brought {
    /// The name of the file or folder, for people.
    pub source: String,
    /// The artifact where it lies.
    pub artifact: Artifact,
    /// The folder of its archive, removed with this value.
    _archive: Option<(TempDir, Unfinished)>,
}

/// Why a file or folder cannot become a model, or its metrics.
#[derive(Debug, thiserror::Error)]
pub enum BringError {
    /// There is nothing.
    #[error("{path} does not exist")]
    Missing {
        /// What was named.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{path} is {what}, not {wanted}")]
    Kind {
        /// What was named.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// There is nothing in it.
    #[error("{path} is empty: there is no model in it")]
    Empty {
        /// What was named.
        path: PathBuf,
    },
    /// It is a part of a model, or something that no model may be.
    #[error("{path} cannot become a model: {source}")]
    NotWhole {
        /// What was named.
        path: PathBuf,
        /// Why.
        source: NotWhole,
    },
    /// Somebody still writes it.
    #[error("{path} changed while it was read: it is still being written")]
    Changed {
        /// What was named.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("could not read {path}")]
    Read {
        /// What was named.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be packed.
    #[error("could not pack {path}")]
    Pack {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: PackError,
    },
    /// The home cannot be used.
    #[error("could not make room for the archive of {path}")]
    Home {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: PortError,
    },
    /// The metrics are none.
    #[error("the metrics in {path} cannot be used")]
    Metrics {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: MetricsError,
    },
}

/// Finds a model. `home`: where a folder's archive may be made; without one it is made among the system's temporary
/// files, and nothing can be copied from it later.
pub fn bring(path: &Path, home: Option<&Home>, progress: &mut dyn FnMut(u64, u64)) -> Result<Brought, BringError> {
    let about = look(path, "a file or a folder")?;
    let unreadable = |source| BringError::Read { path: path.to_owned(), source };
    let path = &fs::canonicalize(path).map_err(unreadable)?;
    let source = path.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
    if !about.is_dir() {
        if about.len() == 0 {
            return Err(BringError::Empty { path: path.clone() });
        }
        let unreadable = |source| BringError::Read { path: path.clone(), source };
        model_files::check_file(path, &source).map_err(|error| match error {
            NotWhole::Empty => BringError::Empty { path: path.clone() },
            other => BringError::NotWhole { path: path.clone(), source: other },
        })?;
        let (digest, size) = hash_file(path, &mut |done| progress(done, about.len())).map_err(unreadable)?;
        let after = fs::metadata(path).map_err(unreadable)?;
        if size != about.len() || after.len() != size || after.modified().ok() != about.modified().ok() {
            return Err(BringError::Changed { path: path.clone() });
        }
        let artifact = Artifact {
            name: plain_name(&source),
            digest: ObjectDigest::Sha256(digest),
            size,
            location: format!("file:{}", path.display()),
        };
        return Ok(Brought { source, artifact, _archive: None });
    }
    let (folder, mark) = scratch(home).map_err(|source| BringError::Home { path: path.clone(), source })?;
    let archive = folder.path().join(ARCHIVE);
    let packed =
        pack_directory(path, &archive, progress).map_err(|source| BringError::Pack { path: path.clone(), source })?;
    if packed.content == 0 {
        return Err(BringError::Empty { path: path.clone() });
    }
    let artifact = Artifact {
        name: ARCHIVE.to_owned(),
        digest: ObjectDigest::Sha256(packed.sha256),
        size: packed.size,
        location: format!("file:{}", archive.display()),
    };
    Ok(Brought { source, artifact, _archive: Some((folder, mark)) })
}

/// Reads metrics under the rules of a training's own `metrics.json`. `required`: what gates name, which must be a number
/// where it stands in the file at all; a gate itself says what is missing.
pub fn bring_metrics(path: &Path, required: &[MetricName]) -> Result<(Metrics, Vec<MetricNote>), BringError> {
    let wrong = |source| BringError::Metrics { path: path.to_owned(), source };
    let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let bytes = regular::read(path, Links::Follow, METRICS_FILE_LIMIT).map_err(|error| match error {
        RegularError::Kind { what } => BringError::Kind { path: path.to_owned(), what, wanted: "a file" },
        RegularError::TooLarge { .. } => {
            wrong(MetricsError::NotAnObject { file: name.clone(), why: error.to_string() })
        }
        RegularError::Io(source) if source.kind() == io::ErrorKind::NotFound => {
            BringError::Missing { path: path.to_owned() }
        }
        RegularError::Io(source) => BringError::Read { path: path.to_owned(), source },
    })?;
    let mut measured = metrics::parse_file(&name, bytes.len() as u64, &bytes);
    match measured.unusable.take() {
        Some(error) => Err(wrong(error)),
        None => {
            metrics::usable(&measured, required).map_err(wrong)?;
            Ok(metrics::told(measured))
        }
    }
}

/// Looks without opening: opening a pipe would wait for ever.
fn look(path: &Path, wanted: &'static str) -> Result<fs::Metadata, BringError> {
    let about = fs::metadata(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => BringError::Missing { path: path.to_owned() },
        _ => BringError::Read { path: path.to_owned(), source },
    })?;
    if about.is_file() || about.is_dir() {
        return Ok(about);
    }
    Err(BringError::Kind { path: path.to_owned(), what: regular::kind(&about), wanted })
}

fn scratch(home: Option<&Home>) -> Result<(TempDir, Unfinished), PortError> {
    let failed = |path: &Path, error| crate::adapters::local::home::storage_error("make a folder", path, error);
    // `prune` knows what begins like this for ours.
    let mut builder = tempfile::Builder::new();
    builder.prefix("blob-packed-");
    match home {
        Some(home) => {
            home.ensure()?;
            let folder = home.temporary();
            unfinished::make(|| builder.tempdir_in(&folder), |made| made.path().to_owned())
                .map_err(|error| failed(&folder, error))
        }
        None => unfinished::make(|| builder.tempdir(), |made| made.path().to_owned())
            .map_err(|error| failed(Path::new("the system's temporary folder"), error)),
    }
}

/// Names a stored file in plain characters only. An archive is called as all archives are.
fn plain_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    if lower.ends_with(".tar.gz") || lower.ends_with(".tgz") {
        return ARCHIVE.to_owned();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let mut text: String = name.chars().map(plain).collect();
    // The end tells what kind of file it is.
    let cut = text.len().saturating_sub(NAME_LIMIT);
    text.drain(..cut);
    if text.starts_with(['.', '-']) { format!("model{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_keep_their_end() {
        assert_eq!(plain_name("mein Modell (2).pkl"), "mein-Modell--2-.pkl");
        assert_eq!(plain_name("churn-v3.TAR.GZ"), "model.tar.gz");
        assert_eq!(plain_name(".onnx"), "model.onnx");
        assert_eq!(plain_name("模型.onnx"), "model--.onnx");
        assert!(plain_name(&format!("{}.pkl", "x".repeat(300))).ends_with(".pkl"));
        assert!(plain_name(&"x".repeat(300)).len() <= NAME_LIMIT + 5);
    }

    #[test]
    fn a_folder_packs_the_same_wherever_it_lies() {
        let place = tempfile::tempdir().expect("a folder");
        let home = Home::at(place.path().join("home"));
        let mut digests = Vec::new();
        for name in ["one", "two"] {
            let folder = place.path().join(name);
            fs::create_dir(&folder).expect("a folder");
            fs::write(folder.join("model.txt"), "weights").expect("writable");
            let brought = bring(&folder, Some(&home), &mut |_, _| {}).expect("it can be packed");
            assert_eq!((brought.source.as_str(), brought.artifact.name.as_str()), (name, "model.tar.gz"));
            digests.push(brought.artifact.digest.clone());
        }
        assert_eq!(digests[0], digests[1]);
        let left = fs::read_dir(home.temporary()).expect("it is there").count();
        assert_eq!(left, 0, "the archive goes with the value");
    }
}
