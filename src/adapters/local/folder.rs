//! The folder of one training: its layout, its records, its lock, and the state that these add up to.
//!
//! ```text
//! training.json   what it is; with spec.json written before the folder gets its name
//! spec.json       all that the worker needs
//! notes.json      what was left out of the checkout
//! code/           the checkout, the working folder of the command
//! ml/             what a container would see as /opt/ml
//! started.json    the worker has begun; never begun twice
//! command.json    the process group of the command
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

use crate::adapters::local::ending::EVIDENCE_LINES;
use crate::adapters::local::home::Home;
use crate::adapters::local::home::storage_error;
use crate::adapters::local::home::write_atomically;
use crate::adapters::local::home::write_whole;
use crate::adapters::local::joblog;
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
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

/// The folder of one training attempt.
#[derive(Debug, Clone)]
pub(super) struct TrainingFolder {
    name: TrainingName,
    path: PathBuf,
    lock: PathBuf,
}

/// What a training is: the part of the specification that every look needs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Card {
    pub(super) name: TrainingName,
    pub(super) project: ProjectName,
    pub(super) attempt: u32,
    pub(super) origin: TrainingOrigin,
}

/// The worker has begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Started {
    pub(super) at: jiff::Timestamp,
}

/// The process group of the command, for the one case that nobody supervises it any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CommandGroup {
    pub(super) group: u32,
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

    fn state(self) -> TrainingState {
        match self {
            Self::Succeeded { metrics, artifacts, notes } => TrainingState::Succeeded {
                metrics: metrics
                    .into_iter()
                    .filter_map(|(name, text)| text.parse().ok().map(|value| (name, value)))
                    .collect(),
                artifacts,
                // Training reads the stored copy of exactly what was identified; it cannot move under way.
                data_moved: false,
                notes,
            },
            Self::Failed { cause, message, log_tail } => TrainingState::Failed { cause, message, log_tail },
            Self::Stopped { cause } => TrainingState::Stopped { cause },
        }
    }
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
}

impl Standing {
    /// Tells whether nothing about it will change any more.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Lost { .. })
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
        let text = std::fs::read_to_string(self.packing()).ok()?;
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

    pub(super) fn card(&self) -> Result<Card, PortError> {
        self.required("training.json")
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

    pub(super) fn command_group(&self) -> Result<Option<CommandGroup>, PortError> {
        self.read("command.json")
    }

    pub(super) fn stop_request(&self) -> Result<Option<StopRequest>, PortError> {
        self.read("stop.json")
    }

    pub(super) fn end(&self) -> Result<Option<EndRecord>, PortError> {
        self.read("result.json")
    }

    pub(super) fn write_started(&self, started: &Started) -> Result<(), PortError> {
        self.write("started.json", started)
    }

    pub(super) fn write_command_group(&self, group: &CommandGroup) -> Result<(), PortError> {
        // Without a sync: after a power failure no process is left that it could mean.
        write_json_by(write_whole, &self.path.join("command.json"), group)
    }

    /// Asks for the end. The first request gives the cause.
    pub(super) fn request_stop(&self, cause: StopCause) -> Result<(), PortError> {
        if self.stop_request()?.is_none() { self.write("stop.json", &StopRequest { cause }) } else { Ok(()) }
    }

    /// Writes the end down, once: whoever holds the lock calls it, and an end that is there already stays.
    pub(super) fn write_end(&self, record: &EndRecord) -> Result<(), PortError> {
        if self.end()?.is_none() {
            self.write("result.json", record)?;
        }
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
            return Ok(None);
        }
        if let Some(record) = self.end()? {
            return Ok(Some(self.ended(record)?));
        }
        let Some(started) = self.started()? else { return Ok(Some(Standing::Prepared)) };
        if is_held(&self.lock)? {
            return Ok(Some(Standing::Open { started: started.at }));
        }
        // The end is written before the lock becomes free, so now it must be there, if there is one.
        if let Some(record) = self.end()? {
            return Ok(Some(self.ended(record)?));
        }
        // Unless the folder was removed between two looks.
        Ok(self.exists().then_some(Standing::Lost { started: started.at }))
    }

    /// Tells whether its worker lives, as opposed to a command that outlived it.
    pub(super) fn has_worker(&self) -> Result<bool, PortError> {
        is_held(&self.worker_lock())
    }

    /// Reads the whole training.
    pub(super) fn training(&self) -> Result<Option<Training>, PortError> {
        let Some(standing) = self.standing()? else { return Ok(None) };
        match self.training_with(standing) {
            // It was removed between two looks.
            Err(_) if !self.exists() => Ok(None),
            result => result.map(Some),
        }
    }

    /// Reads what it is, and adds where it stands.
    pub(super) fn training_with(&self, standing: Standing) -> Result<Training, PortError> {
        let card = self.card()?;
        let (started_at, ended_at, state) = match standing {
            Standing::Prepared => (None, None, TrainingState::Prepared),
            Standing::Open { started } => (Some(started), None, TrainingState::Open),
            Standing::Ended { started, record } => (started, Some(record.ended_at), record.end.state()),
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
        };
        Ok(Training {
            name: card.name,
            attempt: card.attempt,
            origin: card.origin,
            started_at,
            ended_at,
            state,
            url: None,
            bill: None,
        })
    }

    fn ended(&self, record: EndRecord) -> Result<Standing, PortError> {
        Ok(Standing::Ended { started: self.started()?.map(|started| started.at), record })
    }

    fn required<T: DeserializeOwned>(&self, file: &str) -> Result<T, PortError> {
        self.read(file)?.ok_or_else(|| {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            storage_error("read the training", &self.path.join(file), missing)
        })
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>, PortError> {
        let path = self.path.join(file);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(storage_error("read the training", &path, error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            PortError::because(PortErrorKind::Corrupt, format!("read the training ({})", path.display()), error).hint(
                format!(
                    "Look at {} and move it away; the next run then trains again under the same name.",
                    self.path.display()
                ),
            )
        })
    }

    fn write<T: Serialize>(&self, file: &str, value: &T) -> Result<(), PortError> {
        write_json(&self.path.join(file), value)
    }
}

/// Writes a record, whole or not at all, and durably.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), PortError> {
    write_json_by(write_atomically, path, value)
}

/// Writes the record of a folder that has no name yet. Whoever names it syncs the folder first.
pub(super) fn write_json_aside<T: Serialize>(path: &Path, value: &T) -> Result<(), PortError> {
    let durably = |path: &Path, text: &[u8]| {
        let mut file = File::create_new(path)?;
        file.write_all(text)?;
        file.sync_all()
    };
    write_json_by(durably, path, value)
}

fn write_json_by<T: Serialize>(
    write: impl FnOnce(&Path, &[u8]) -> io::Result<()>,
    path: &Path,
    value: &T,
) -> Result<(), PortError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| {
        PortError::because(PortErrorKind::Bug, format!("write the training ({})", path.display()), error)
    })?;
    text.push(b'\n');
    write(path, &text).map_err(|error| storage_error("write the training", path, error))
}

/// Tells whether somebody holds a lock.
///
/// Asking takes the lock for an instant, shared; so whoever wants it for good tries more than once.
fn is_held(lock: &Path) -> Result<bool, PortError> {
    let file = match File::open(lock) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
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
    let failed = |error| storage_error("take the lock", lock, error);
    let file = File::options().create(true).truncate(false).write(true).open(lock).map_err(failed)?;
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
        match end.state() {
            TrainingState::Succeeded { metrics: read, .. } => assert_eq!(read, metrics),
            other => panic!("not {other:?}"),
        }
    }
}
