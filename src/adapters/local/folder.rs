//! The folder of one training: its layout, its records, its lock, and the state that these add up to.
//!
//! ```text
//! training.json   what it is; with spec.json written before the folder gets its name
//! spec.json       all that the worker needs
//! notes.json      what was left out of the checkout
//! code/           the checkout, the working folder of the command
//! ml/             what a container would see as /opt/ml
//! started.json    the worker has begun; never begun twice
//! stop.json       somebody wants it to end
//! log.txt, log-…  what the command printed
//! model.tar.gz    the packed model
//! result.json     how it ended; written once, never changed
//! ```
//!
//! Whether a training runs is told by an operating system lock on `open/<name>` alone, never by a process id: the
//! worker holds it, and the command inherits it, so two attempts cannot run at once even where the worker was
//! killed. A free lock with `started.json` and without `result.json` is a lost worker; that is computed whenever
//! it is read, and stays true, because nobody begins a training twice.
//!
//! The command can write all of it, and can remove it. So nothing is read here without a limit or from anything but a
//! regular file; and `attempts/<name>` beside the folders keeps what has begun, so that an attempt whose folder vanished
//! still counts as one.

use crate::adapters::local::contract::MlPaths;
use crate::adapters::local::ending::EVIDENCE_LINES;
use crate::adapters::local::ending::EVIDENCE_WIDTH;
use crate::adapters::local::home::Home;
use crate::adapters::local::home::storage_error;
use crate::adapters::local::joblog;
use crate::adapters::local::prepare::remove_folder;
use crate::adapters::local::records::read_json;
use crate::adapters::local::records::write_json;
use crate::adapters::regular;
use crate::adapters::regular::Links;
use crate::adapters::system;
use crate::model::artifact::Artifact;
use crate::model::metric::MetricName;
use crate::model::metric::MetricNote;
use crate::model::metric::Metrics;
use crate::model::name::ProjectName;
use crate::model::name::TrainingName;
use crate::model::training::Cause;
use crate::model::training::StopCause;
use crate::model::training::Training;
use crate::model::training::TrainingOrigin;
use crate::model::training::TrainingState;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use crate::ports::trainer::TrainingSpec;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// The longest message of a failure that is read back, in characters.
const MESSAGE_WIDTH: usize = 4000;

/// The folder of one training attempt.
#[derive(Debug, Clone)]
pub(super) struct TrainingFolder {
    name: TrainingName,
    path: PathBuf,
    lock: PathBuf,
    attempt: PathBuf,
}

/// What a training is: the part of the specification that every look needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Card {
    pub(super) name: TrainingName,
    pub(super) project: ProjectName,
    pub(super) attempt: u32,
    pub(super) origin: TrainingOrigin,
}

/// What has begun, kept outside of its folder.
#[derive(Debug, Serialize, Deserialize)]
struct Attempt {
    card: Card,
    at: jiff::Timestamp,
}

/// The worker has begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Started {
    pub(super) at: jiff::Timestamp,
}

/// Somebody wants it to end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StopRequest {
    pub(super) cause: StopCause,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EndRecord {
    pub(super) ended_at: jiff::Timestamp,
    pub(super) end: End,
    /// How many of its processes could not be ended.
    #[serde(default)]
    pub(super) still_running: usize,
}

/// The end as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(super) enum End {
    /// It made a model.
    Succeeded {
        /// Values as shortest decimal text, which reads back exactly.
        metrics: BTreeMap<MetricName, String>,
        artifacts: Vec<Artifact>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<MetricNote>,
    },
    /// It ended badly.
    Failed { cause: Cause, message: String, log_tail: Vec<String> },
    /// It was ended from outside.
    Stopped { cause: StopCause },
}

impl End {
    /// Stores metrics.
    pub(super) fn succeeded(metrics: &Metrics, notes: Vec<MetricNote>, artifacts: Vec<Artifact>) -> Self {
        let metrics = metrics.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        Self::Succeeded { metrics, artifacts, notes }
    }

    /// Reads it back. The command could have written it: so the archive is the one of its folder whatever a record says,
    /// and the evidence has the length that it has elsewhere.
    fn state(self, archive: &Path) -> TrainingState {
        let location = format!("file:{}", archive.display());
        let here = |artifact: Artifact| Artifact { location: location.clone(), ..artifact };
        match self {
            Self::Succeeded { metrics, artifacts, notes } => TrainingState::Succeeded {
                metrics: metrics
                    .into_iter()
                    .filter_map(|(name, text)| text.parse().ok().map(|value| (name, value)))
                    .collect(),
                artifacts: artifacts.into_iter().map(here).collect(),
                // Training reads the stored copy of exactly what was identified; it cannot move under way.
                data_moved: false,
                notes,
            },
            Self::Failed { cause, message, log_tail } => TrainingState::Failed {
                cause,
                message: cut(&message, MESSAGE_WIDTH),
                log_tail: log_tail[log_tail.len().saturating_sub(EVIDENCE_LINES)..]
                    .iter()
                    .map(|line| cut(line, EVIDENCE_WIDTH))
                    .collect(),
            },
            Self::Stopped { cause } => TrainingState::Stopped { cause },
        }
    }
}

fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

/// Where a training stands, without what it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    /// Never begun.
    Prepared,
    /// Its lock is held: by its worker or at least by its command.
    Open { started: jiff::Timestamp },
    /// Its end is written down.
    Ended { started: Option<jiff::Timestamp>, record: EndRecord },
    /// It began, nobody runs it any more, and no end was written down.
    Lost { started: jiff::Timestamp },
    /// It began, nobody runs it any more, and its folder was removed by somebody else than `prune`.
    Vanished { started: jiff::Timestamp },
}

impl Standing {
    /// Tells whether nothing about it will change any more.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Lost { .. } | Self::Vanished { .. })
    }
}

impl TrainingFolder {
    /// Finds the folder that a name has in a home. A name that no training can have has none.
    pub(super) fn of(home: &Home, name: &TrainingName) -> Option<Self> {
        let text = name.as_str();
        // A derived name is a safe file name; a reported one might be any text.
        let legal =
            !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        legal.then(|| Self {
            name: name.clone(),
            path: home.trainings().join(text),
            lock: home.open_locks().join(text),
            attempt: home.attempts().join(text),
        })
    }

    /// Finds the training whose folder is given: what the worker starts from.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        let name = TrainingName::reported(path.file_name()?.to_str()?);
        let home = Home::at(path.parent()?.parent()?.to_owned());
        Self::of(&home, &name).filter(|folder| folder.path == path)
    }

    pub(super) fn name(&self) -> &TrainingName {
        &self.name
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn lock_path(&self) -> &Path {
        &self.lock
    }

    pub(super) fn code(&self) -> PathBuf {
        self.path.join("code")
    }

    pub(super) fn ml(&self) -> PathBuf {
        self.path.join("ml")
    }

    /// Where the worker says how far packing is, while it packs.
    pub(super) fn packing(&self) -> PathBuf {
        self.path().join("packing")
    }

    /// Reads how far packing is: bytes done and in all.
    pub(super) fn packed_so_far(&self) -> Option<(u64, u64)> {
        let text = String::from_utf8(regular::read(&self.packing(), Links::Follow, 64).ok()?).ok()?;
        let (done, total) = text.split_once(' ')?;
        Some((done.parse().ok()?, total.parse().ok()?))
    }

    pub(super) fn model_archive(&self) -> PathBuf {
        self.path.join("model.tar.gz")
    }

    pub(super) fn worker_log(&self) -> PathBuf {
        self.path.join("worker.log")
    }

    /// Kept free for the result, so that a full disk cannot hide how a training ended.
    pub(super) fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }

    /// The lock that only the worker holds: the command does not inherit it.
    pub(super) fn worker_lock(&self) -> PathBuf {
        self.path.join("worker.lock")
    }

    pub(super) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Tells whether what it was prepared with is there: a folder gets its name whole, and only its command removes from it.
    pub(super) fn is_whole(&self) -> bool {
        ["training.json", "spec.json"].iter().all(|file| fs::symlink_metadata(self.path.join(file)).is_ok())
    }

    /// Tells whether it ever was: its folder is there, or it vanished.
    pub(super) fn is_known(&self) -> bool {
        self.exists() || self.attempt.exists()
    }

    /// Reads what it is: of a folder that vanished, from the record of the attempt.
    pub(super) fn card(&self) -> Result<Card, PortError> {
        match self.read("training.json")? {
            Some(card) => Ok(card),
            // Its command may remove one record after the other.
            None => match self.attempt()? {
                Some(attempt) => Ok(attempt.card),
                None => self.required("training.json"),
            },
        }
    }

    pub(super) fn spec(&self) -> Result<TrainingSpec, PortError> {
        self.required("spec.json")
    }

    pub(super) fn notes(&self) -> Result<Vec<String>, PortError> {
        Ok(self.read("notes.json")?.unwrap_or_default())
    }

    pub(super) fn started(&self) -> Result<Option<Started>, PortError> {
        self.read("started.json")
    }

    pub(super) fn stop_request(&self) -> Result<Option<StopRequest>, PortError> {
        self.read("stop.json")
    }

    pub(super) fn end(&self) -> Result<Option<EndRecord>, PortError> {
        self.read("result.json")
    }

    /// Writes down that it begins. Whoever sees that waits for its end, so it is never taken back.
    pub(super) fn record_beginning(&self) -> Result<(), PortError> {
        self.write("started.json", &Started { at: system::now() })
    }

    /// Keeps that it began where its command does not take it along when it removes the folder: after the record inside, so
    /// that one that never began is not taken for one that vanished, and before the command runs.
    pub(super) fn record_attempt(&self) -> Result<(), PortError> {
        if let Some(folder) = self.attempt.parent() {
            fs::create_dir_all(folder).map_err(|error| storage_error("record the attempt", folder, error))?;
        }
        write_json(&self.attempt, &Attempt { card: self.card()?, at: system::now() })
    }

    /// Forgets what has begun: the training run is removed on purpose.
    pub(super) fn forget_attempt(&self) -> Result<(), PortError> {
        match std::fs::remove_file(&self.attempt) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(storage_error("remove the record of the attempt", &self.attempt, error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn attempt(&self) -> Result<Option<Attempt>, PortError> {
        read_json(&self.attempt)
    }

    /// Returns the variables of the contract by which the processes of this training run are known: each names a place in
    /// its folder.
    pub(super) fn marks(&self) -> Vec<String> {
        let mut places = vec![self.path.clone()];
        places.extend(std::fs::canonicalize(&self.path).ok().filter(|path| *path != self.path));
        let of = |place: &PathBuf| {
            let paths = MlPaths::new(place.join("ml"), place.join("code"));
            paths.places().map(|(name, path)| format!("{name}={}", path.display()))
        };
        places.iter().flat_map(of).collect()
    }

    /// Asks for the end. The first request gives the cause.
    pub(super) fn request_stop(&self, cause: StopCause) -> Result<(), PortError> {
        match self.stop_request() {
            Ok(Some(_)) => Ok(()),
            // What cannot be read is no request of ours, and is replaced by one.
            Ok(None) | Err(_) => self.write("stop.json", &StopRequest { cause }),
        }
    }

    /// Writes the end down as its worker, which found none when it began: whatever is there now, the command put there.
    pub(super) fn replace_end(&self, record: &EndRecord) -> Result<(), PortError> {
        let path = self.path.join("result.json");
        if path.is_dir() {
            remove_folder(&path).map_err(|error| storage_error("write the training", &path, error))?;
        }
        self.write("result.json", record)?;
        self.close()
    }

    /// Tells whether its lock is held, whatever its records say.
    pub(super) fn is_running(&self) -> Result<bool, PortError> {
        is_held(&self.lock)
    }

    /// Writes the end down, once: whoever holds the lock calls it, and an end that is there already stays.
    pub(super) fn write_end(&self, record: &EndRecord) -> Result<(), PortError> {
        if self.end()?.is_none() {
            self.write("result.json", record)?;
        }
        self.close()
    }

    fn close(&self) -> Result<(), PortError> {
        // From here on the end is told by the record, and the training is listed as open no more.
        match std::fs::remove_file(&self.lock) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(storage_error("close the training", &self.lock, error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Tells where it stands. `None`: there is no such training.
    pub(super) fn standing(&self) -> Result<Option<Standing>, PortError> {
        if !self.exists() {
            return self.vanished();
        }
        let supervised = self.has_worker()?;
        match self.end() {
            Ok(Some(record)) if !supervised => return Ok(Some(self.ended(record))),
            // Its command may have written that: an end counts once its worker has left it behind.
            Ok(Some(_)) => {}
            // Its command put it there; its worker will replace it.
            Err(error) if error.kind == PortErrorKind::Corrupt && is_held(&self.lock)? => {}
            other => drop(other?),
        }
        let Some(started) = self.began()? else { return self.not_begun() };
        if supervised || is_held(&self.lock)? {
            return Ok(Some(Standing::Open { started }));
        }
        // The end is written before the lock becomes free, so now it must be there, if there is one.
        if let Some(record) = self.end()? {
            return Ok(Some(self.ended(record)));
        }
        // Unless the folder was removed between two looks.
        if self.exists() { Ok(Some(Standing::Lost { started })) } else { self.vanished() }
    }

    /// Tells where it stands without a record in its folder that it began: its command may have removed that, and more.
    fn not_begun(&self) -> Result<Option<Standing>, PortError> {
        if self.attempt()?.is_none() && self.is_whole() { Ok(Some(Standing::Prepared)) } else { self.vanished() }
    }

    /// Tells where it stands without its folder.
    fn vanished(&self) -> Result<Option<Standing>, PortError> {
        let Some(attempt) = self.attempt()? else { return Ok(None) };
        let started = attempt.at;
        // What it began may still run.
        Ok(Some(if is_held(&self.lock)? { Standing::Open { started } } else { Standing::Vanished { started } }))
    }

    /// Tells whether its worker lives, as opposed to a command that outlived it.
    pub(super) fn has_worker(&self) -> Result<bool, PortError> {
        is_held(&self.worker_lock())
    }

    /// Reads the whole training.
    pub(super) fn training(&self) -> Result<Option<Training>, PortError> {
        match self.standing()? {
            Some(standing) => self.training_at(standing),
            None => Ok(None),
        }
    }

    /// Reads what it is, where it stands as was seen just now. `None`: it was removed since.
    pub(super) fn training_at(&self, standing: Standing) -> Result<Option<Training>, PortError> {
        match self.training_with(standing) {
            Err(_) if !self.is_whole() => self.vanished()?.map(|standing| self.training_with(standing)).transpose(),
            result => result.map(Some),
        }
    }

    /// Reads what it is, and adds where it stands.
    fn training_with(&self, standing: Standing) -> Result<Training, PortError> {
        let card = self.card()?;
        let (started_at, ended_at, state) = match standing {
            Standing::Prepared => (None, None, TrainingState::Prepared),
            Standing::Open { started } => (Some(started), None, TrainingState::Open),
            Standing::Ended { started, record } => {
                (started, Some(record.ended_at), record.end.state(&self.model_archive()))
            }
            Standing::Lost { started } => {
                let state = TrainingState::Failed {
                    cause: Cause::LostWorker,
                    message: "the process that supervised it vanished before it had ended".to_owned(),
                    log_tail: joblog::tail(&self.path, EVIDENCE_LINES)
                        .map_err(|error| storage_error("read the log", &self.path, error))?,
                };
                // The last sign of life is when its log last grew.
                let ended = joblog::last_change(&self.path).unwrap_or(started).max(started);
                (Some(started), Some(ended), state)
            }
            Standing::Vanished { started } => {
                let message = format!("its folder {} was removed, and with it what it made", self.path.display());
                let state = TrainingState::Failed { cause: Cause::LostWorker, message, log_tail: Vec::new() };
                (Some(started), Some(started), state)
            }
        };
        // The folder's name is what it is known by; what stands in its records cannot make it another one.
        Ok(Training {
            name: self.name.clone(),
            attempt: card.attempt,
            origin: card.origin,
            started_at,
            ended_at,
            state,
            url: None,
            bill: None,
        })
    }

    fn ended(&self, record: EndRecord) -> Standing {
        // The end says all that matters; without the beginning only a duration is missing.
        Standing::Ended { started: self.began().unwrap_or_default(), record }
    }

    /// Reads when it began: from the record outside of its folder, where the one inside cannot be read.
    fn began(&self) -> Result<Option<jiff::Timestamp>, PortError> {
        match self.started() {
            Err(error) if error.kind == PortErrorKind::Corrupt => {
                self.attempt()?.map(|attempt| Some(attempt.at)).ok_or(error)
            }
            other => Ok(other?.map(|started| started.at)),
        }
    }

    fn required<T: DeserializeOwned>(&self, file: &str) -> Result<T, PortError> {
        self.read(file)?.ok_or_else(|| {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            storage_error("read the training", &self.path.join(file), missing)
        })
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>, PortError> {
        read_json(&self.path.join(file))
    }

    fn write<T: Serialize>(&self, file: &str, value: &T) -> Result<(), PortError> {
        write_json(&self.path.join(file), value)
    }
}

/// Tells whether somebody holds a lock.
///
/// Asking takes the lock for an instant, shared; so whoever wants it for good tries more than once.
fn is_held(lock: &Path) -> Result<bool, PortError> {
    let file = match regular::open(lock, Links::Follow) {
        Ok((file, _)) => file,
        Err(error) if error.is_absent() => return Ok(false),
        // No lock of ours: nobody can hold it.
        Err(error) if error.is_unusable() => return Ok(false),
        Err(error) => return Err(storage_error("look at the lock", lock, error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(storage_error("look at the lock", lock, error)),
    }
}

/// Takes a lock for good, creating its file. `None`: somebody else holds it.
pub(super) fn take_lock(lock: &Path) -> Result<Option<File>, PortError> {
    let failed = |error: io::Error| storage_error("take the lock", lock, error);
    let file = regular::open_to_write(lock).map_err(|error| failed(error.into()))?;
    for round in 0..40_u64 {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            // It may only be somebody who looks whether it is held.
            Err(TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(2 + round)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_home() {
        let home = Home::at(PathBuf::from("/home/x/.branchline"));
        for name in ["", "..", "a/b", "a\\b", ".hidden", "a\0b"] {
            assert!(TrainingFolder::of(&home, &TrainingName::reported(name)).is_none(), "{name:?}");
        }
        assert!(TrainingFolder::of(&home, &TrainingName::reported("churn-dev-0123456789ab-1")).is_some());
    }

    #[test]
    fn an_end_reads_back_exactly() {
        let value = 0.1_f64 + 0.2;
        let metrics: Metrics = [(MetricName::parse("accuracy").expect("a name"), value)].into();
        let text = serde_json::to_string(&End::succeeded(&metrics, Vec::new(), Vec::new())).expect("it can be written");
        let end: End = serde_json::from_str(&text).expect("it can be read");
        match end.state(Path::new("model.tar.gz")) {
            TrainingState::Succeeded { metrics: read, .. } => assert_eq!(read, metrics),
            other => panic!("not {other:?}"),
        }
    }
}
