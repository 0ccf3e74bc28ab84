//! The local trainer: begins, finds, watches and stops trainings, each supervised by a worker of its own.
//!
//! A training outlives the run that began it; any later run finds it by its name and goes on from there. What runs is
//! told by the state of its folder (`folder`), the supervising itself is the worker's (`worker`).

use crate::adapters::local::folder::End;
use crate::adapters::local::folder::EndRecord;
use crate::adapters::local::folder::Standing;
use crate::adapters::local::folder::TrainingFolder;
use crate::adapters::local::folder::take_lock;
use crate::adapters::local::home::Home;
use crate::adapters::local::home::blocking;
use crate::adapters::local::home::brief;
use crate::adapters::local::home::storage_error;
use crate::adapters::local::inventory;
use crate::adapters::local::joblog;
use crate::adapters::local::outputs;
use crate::adapters::local::prepare::Preparation;
use crate::adapters::local::prepare::SourceMaterial;
use crate::adapters::local::prepare::remove_folder;
use crate::adapters::local::process;
use crate::adapters::local::process::Firmness;
use crate::adapters::local::reach::DataPlaces;
use crate::adapters::local::reach::DataReach;
use crate::adapters::local::records::RECORD_LIMIT;
use crate::adapters::local::workers::Heard;
use crate::adapters::local::workers::Workers;
use crate::adapters::regular;
use crate::adapters::regular::Links;
use crate::adapters::system;
use crate::adapters::system::Stopwatch;
use crate::adapters::system::SystemClock;
use crate::facts::holdings::Held;
use crate::facts::holdings::HeldTraining;
use crate::facts::holdings::Leftover;
use crate::model::name::ProjectName;
use crate::model::name::TrainingName;
use crate::model::training::StopCause;
use crate::model::training::Training;
use crate::ports::clock::Clock as _;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use crate::ports::trainer::StartedTraining;
use crate::ports::trainer::Trainer;
use crate::ports::trainer::TrainingSpec;
use crate::ports::trainer::WatchedTraining;
use std::collections::HashSet;
use std::fs;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// How long a worker may take to begin, on a machine that does something else.
const BEGIN: Duration = Duration::from_secs(30);
/// How often it is looked whether another worker has begun, while ours says nothing.
const BEGIN_LOOK: Duration = Duration::from_millis(50);
/// The shortest and the longest pause between two looks at a training.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// How long a command whose worker vanished may take to end, once it was ended firmly.
const ORPHAN: Duration = Duration::from_secs(10);

/// Trains on this machine.
#[derive(Clone)]
pub struct LocalTrainer {
    home: Home,
    places: DataPlaces,
    worker: PathBuf,
    material: Arc<dyn SourceMaterial>,
    workers: Workers,
    /// What this process may not begin any more, because it was told to stop it.
    stopped: Arc<Mutex<HashSet<TrainingName>>>,
}

impl LocalTrainer {
    /// Trains in a home. `root` is the root of the main working tree, where relative local paths begin; `worker` is
    /// the program that has the command `train-worker`: our own; `material` gives what a commit holds.
    pub fn new(home: Home, root: PathBuf, worker: PathBuf, material: Arc<dyn SourceMaterial>) -> Self {
        let places = DataPlaces::new(&home, root, DataReach::Machine);
        Self { home, places, worker, material, workers: Workers::default(), stopped: Arc::default() }
    }

    /// Reads data only in these places.
    pub fn within(self, places: DataPlaces) -> Self {
        Self { places, ..self }
    }

    /// Returns what a person should know of the checkout, such as a submodule that was left out.
    pub async fn notes(&self, name: &TrainingName) -> Result<Vec<String>, PortError> {
        let folder = self.existing(name)?;
        blocking(move || folder.notes()).await
    }

    /// Returns how many bytes a training takes, for pruning. `None`: there is no such training.
    pub async fn size(&self, name: &TrainingName) -> Result<Option<u64>, PortError> {
        let Some(folder) = TrainingFolder::of(&self.home, name).filter(TrainingFolder::exists) else { return Ok(None) };
        blocking(move || {
            let files = walkdir::WalkDir::new(folder.path()).into_iter().flatten();
            Ok(Some(files.filter_map(|file| file.metadata().ok()).filter(fs::Metadata::is_file).map(|m| m.len()).sum()))
        })
        .await
    }

    /// Removes a training that has ended, for pruning. `false`: there is no such training. One that is open stays,
    /// and is an error.
    pub async fn remove(&self, name: &TrainingName) -> Result<bool, PortError> {
        let Some(folder) = TrainingFolder::of(&self.home, name) else { return Ok(false) };
        let aside = self.home.temporary();
        blocking(move || {
            match folder.standing()? {
                None => return Ok(false),
                Some(standing) if standing.is_final() => {}
                Some(_) => {
                    let doing = format!("remove training {}", folder.name());
                    return Err(PortError::because(PortErrorKind::Configuration, doing, "it is still open")
                        .hint("Stop it first, or wait for its end."));
                }
            }
            let failed = |error| storage_error("remove the training", folder.path(), error);
            folder.forget_attempt()?;
            if !folder.exists() {
                return remove_lock(&folder).map(|()| true);
            }
            // Out of sight first: a half removed training must never be found.
            let gone = tempfile::Builder::new().prefix("removed-").tempdir_in(&aside).map_err(failed)?.keep();
            fs::rename(folder.path(), gone.join("training")).map_err(failed)?;
            remove_lock(&folder)?;
            remove_folder(&gone).map_err(failed)?;
            Ok(true)
        })
        .await
    }

    fn existing(&self, name: &TrainingName) -> Result<TrainingFolder, PortError> {
        TrainingFolder::of(&self.home, name).filter(TrainingFolder::exists).ok_or_else(|| {
            let why = format!("there is none of this name in {}", self.home.root().display());
            PortError::because(PortErrorKind::NotFound, format!("find training {name}"), why)
        })
    }

    fn start_now(&self, spec: &TrainingSpec) -> Result<StartedTraining, PortError> {
        let folder = TrainingFolder::of(&self.home, &spec.name).ok_or_else(|| {
            PortError::because(
                PortErrorKind::Bug,
                format!("start training {}", spec.name),
                "the name is not a derived one",
            )
        })?;
        let started = match folder.standing()? {
            Some(Standing::Prepared) => StartedTraining::Found,
            Some(
                Standing::Open { .. } | Standing::Ended { .. } | Standing::Lost { .. } | Standing::Vanished { .. },
            ) => return Ok(StartedTraining::Found),
            None => {
                wait_for_the_last(&folder)?;
                let preparation = Preparation {
                    home: &self.home,
                    places: &self.places,
                    material: self.material.as_ref(),
                    spec,
                    notes: end_earlier_attempts(&self.home, spec),
                };
                if preparation.run(&folder)? { StartedTraining::Fresh } else { StartedTraining::Found }
            }
        };
        self.begin(&folder)?;
        Ok(started)
    }

    /// Starts a worker and returns when the training has begun: by this worker or by another one.
    fn begin(&self, folder: &TrainingFolder) -> Result<(), PortError> {
        let log_path = folder.worker_log();
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(|error| storage_error("start the training", &log_path, error))?;
        let handed_on = folder.spec()?.pass_env;
        let mut command = Command::new(&self.worker);
        command
            .arg("train-worker")
            .arg(folder.path())
            // It must not hold a folder that somebody wants to remove, nor see what the command must not see.
            .current_dir(self.home.root())
            .env_clear()
            .envs(system::environment_with(&handed_on))
            .stdin(Stdio::null())
            // It says nothing there: it closes it when it has begun.
            .stdout(Stdio::piped())
            .stderr(log);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        // Held until the worker is there: whoever stops it now stops either this or the worker.
        let stopped = self.locked();
        if stopped.contains(folder.name()) {
            let doing = format!("begin training {}", folder.name());
            return Err(PortError::because(PortErrorKind::Storage, doing, "this run was told to stop it"));
        }
        let worker = command.spawn().map_err(|error| {
            let doing = format!("start the training worker {}", self.worker.display());
            PortError::because(PortErrorKind::Storage, doing, error)
                .hint("Was the program moved or replaced while it ran? Run again with the installed one.")
        })?;
        drop(stopped);
        let heard = self.workers.follow(folder.name(), worker);
        let waiting = Stopwatch::start();
        let mut in_peace = false;
        loop {
            let mut failed = false;
            if in_peace {
                // Another worker holds the lock and is about to begin.
                std::thread::sleep(PAUSES.0);
            } else if let Ok(Heard::Ended(status)) = heard.recv_timeout(BEGIN_LOOK) {
                in_peace = status.is_some_and(|status| status.success());
                failed = !in_peace;
            }
            // After it was heard, so that what it wrote just before it ended is seen.
            if folder.standing()? != Some(Standing::Prepared) {
                return Ok(());
            }
            if failed || waiting.elapsed() > BEGIN {
                let said = regular::read(&folder.worker_log(), Links::Follow, RECORD_LIMIT).unwrap_or_default();
                let said = String::from_utf8_lossy(&said);
                let why = said.lines().last().unwrap_or("it did not say why").to_owned();
                let doing = format!("begin training {}", folder.name());
                return Err(PortError::because(PortErrorKind::Storage, doing, why).hint(format!(
                    "Look at {}, then run again: the training is prepared.",
                    folder.worker_log().display()
                )));
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashSet<TrainingName>> {
        // One insertion or one look: a panic elsewhere cannot have left it half done.
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a training run, whoever supervises it.
    async fn end(&self, name: &TrainingName, cause: StopCause) -> Result<(), PortError> {
        let folder = TrainingFolder::of(&self.home, name)
            .filter(TrainingFolder::is_known)
            .map_or_else(|| self.existing(name), Ok)?;
        let mut pause = PAUSES.0;
        let mut alone: Option<Stopwatch> = None;
        loop {
            let standing = match self.standing(&folder).await {
                // Its command made its records unreadable, and runs all the same.
                Err(error) if error.kind == PortErrorKind::Corrupt => {
                    if !folder.is_running()? {
                        return Err(error);
                    }
                    Some(Standing::Open { started: system::now() })
                }
                other => other?,
            };
            match standing {
                Some(Standing::Ended { record, .. }) if record.still_running > 0 => return Err(unstoppable(&folder)),
                None | Some(Standing::Ended { .. } | Standing::Lost { .. } | Standing::Vanished { .. }) => {
                    return Ok(());
                }
                Some(Standing::Prepared) => {
                    let at = folder.clone();
                    if blocking(move || settle_prepared(&at, cause)).await? {
                        return Ok(());
                    }
                }
                Some(Standing::Open { .. }) => {
                    let at = folder.clone();
                    let supervised = blocking(move || {
                        // A worker that cannot be asked sees its command end.
                        Ok(at.exists() && at.request_stop(cause).is_ok() && at.has_worker()?)
                    })
                    .await?;
                    if supervised {
                        alone = None;
                    } else {
                        let since = alone.get_or_insert_with(Stopwatch::start).elapsed();
                        // The first look may fall between the worker's end and its last words.
                        let firmness = if since > process::GRACE { Firmness::Firm } else { Firmness::Polite };
                        if since > ORPHAN + process::GRACE {
                            return Err(unstoppable(&folder));
                        }
                        let at = folder.clone();
                        blocking(move || {
                            process::signal_marked(&at.marks(), firmness);
                            Ok(())
                        })
                        .await?;
                    }
                }
            }
            SystemClock.sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn standing(&self, folder: &TrainingFolder) -> Result<Option<Standing>, PortError> {
        let folder = folder.clone();
        blocking(move || folder.standing()).await
    }
}

/// Waits until nothing runs any more under a name whose folder and record were both removed. Its worker sees that they
/// are gone, and ends; it must not write its end into what is prepared now.
fn wait_for_the_last(folder: &TrainingFolder) -> Result<(), PortError> {
    let waiting = Stopwatch::start();
    while folder.is_running()? {
        if waiting.elapsed() > ORPHAN {
            return Err(unstoppable(folder));
        }
        std::thread::sleep(BEGIN_LOOK);
    }
    Ok(())
}

/// Ends what still runs of the earlier attempts of a training run, and says what. Their workers and locks are gone: a
/// process that closed the files it inherited is known by its environment alone. It would take memory and devices away.
fn end_earlier_attempts(home: &Home, spec: &TrainingSpec) -> Vec<String> {
    let Some(stem) = spec.name.as_str().strip_suffix(&spec.attempt.to_string()) else { return Vec::new() };
    let mut notes = Vec::new();
    for attempt in 1..spec.attempt {
        let name = TrainingName::reported(&format!("{stem}{attempt}"));
        let Some(folder) = TrainingFolder::of(home, &name) else { continue };
        let process::Ended { found, running } = process::end_marked(&folder.marks());
        if !running.is_empty() {
            let text = outputs::listed(&running);
            notes.push(format!("processes of attempt {attempt} still run, and could not be ended: {text}"));
        } else if !found.is_empty() {
            let text = outputs::listed(&found);
            notes.push(format!("attempt {attempt} left processes behind, which were ended: {text}"));
        }
    }
    notes
}

fn remove_lock(folder: &TrainingFolder) -> Result<(), PortError> {
    match fs::remove_file(folder.lock_path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(storage_error("remove the lock", folder.lock_path(), error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads the training of a folder, where it is open and one of this project.
fn open_in(folder: &TrainingFolder, project: &ProjectName) -> Result<Option<Training>, PortError> {
    if folder.standing()?.is_none_or(|standing| standing.is_final()) {
        return Ok(None);
    }
    let Some(training) = folder.training()?.filter(Training::is_open) else { return Ok(None) };
    Ok((folder.card()?.project == *project).then_some(training))
}

/// Ends a training that never began. `false`: it has begun meanwhile.
fn settle_prepared(folder: &TrainingFolder, cause: StopCause) -> Result<bool, PortError> {
    let Some(lock) = take_lock(folder.lock_path())? else { return Ok(false) };
    let unbegun = folder.started()?.is_none();
    if unbegun {
        folder.write_end(&EndRecord { ended_at: system::now(), end: End::Stopped { cause }, still_running: 0 })?;
    }
    lock.unlock().map_err(|error| storage_error("free the lock", folder.lock_path(), error))?;
    Ok(unbegun)
}

#[async_trait::async_trait]
impl Trainer for LocalTrainer {
    async fn find(&self, names: &[TrainingName]) -> Result<Vec<Training>, PortError> {
        let folders: Vec<TrainingFolder> =
            names.iter().filter_map(|name| TrainingFolder::of(&self.home, name)).collect();
        brief(move || folders.iter().filter_map(|folder| folder.training().transpose()).collect()).await
    }

    async fn ended_since(&self, project: &ProjectName, since: jiff::Timestamp) -> Result<Vec<Training>, PortError> {
        let (home, project) = (self.home.clone(), project.clone());
        blocking(move || inventory::ended_since(&home, &project, since)).await
    }

    async fn open(&self, project: &ProjectName) -> Result<Vec<Training>, PortError> {
        let (home, project) = (self.home.clone(), project.clone());
        brief(move || {
            let locks = home.open_locks();
            let entries = match fs::read_dir(&locks) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(storage_error("list open trainings", &locks, error)),
            };
            let mut open = Vec::new();
            for entry in entries {
                let entry = entry.map_err(|error| storage_error("list open trainings", &locks, error))?;
                let Some(name) = entry.file_name().to_str().map(TrainingName::reported) else { continue };
                let Some(folder) = TrainingFolder::of(&home, &name) else { continue };
                // A lock without a folder: somebody is preparing it, or died doing so. A lock of an ended training is
                // left by a worker that died between its last two steps, or by one that was lost.
                match open_in(&folder, &project) {
                    Ok(found) => open.extend(found),
                    // What one training run did to its records must not stop the runs of all others.
                    Err(error) if error.kind == PortErrorKind::Corrupt => {}
                    Err(error) => return Err(error),
                }
            }
            open.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(open)
        })
        .await
    }

    async fn start(&self, spec: &TrainingSpec) -> Result<StartedTraining, PortError> {
        let (trainer, spec) = (self.clone(), spec.clone());
        blocking(move || trainer.start_now(&spec)).await
    }

    async fn watch(
        &self,
        name: &TrainingName,
        cursor: u64,
        patience: Duration,
    ) -> Result<Option<WatchedTraining>, PortError> {
        let Some(folder) = TrainingFolder::of(&self.home, name) else { return Ok(None) };
        let waiting = Stopwatch::start();
        let mut pause = PAUSES.0;
        let mut first: Option<Standing> = None;
        let mut told = false;
        loop {
            let at = folder.clone();
            let look = move || {
                let Some(standing) = at.standing()? else { return Ok(None) };
                // The log second: with a final standing it is then known to be all there is.
                let reading = joblog::read_from(at.path(), cursor)
                    .map_err(|error| storage_error("read the log", at.path(), error))?;
                Ok(Some((standing, reading, at.packed_so_far())))
            };
            let Some((standing, reading, packing)) = brief(look).await? else { return Ok(None) };
            let changed = first.as_ref().is_some_and(|first| *first != standing);
            let left = patience.saturating_sub(waiting.elapsed());
            // What nobody has begun does not change by waiting.
            let rests = standing.is_final() || standing == Standing::Prepared;
            if rests || changed || !reading.lines.is_empty() || left.is_zero() {
                let Some(training) = brief(move || folder.training_at(standing)).await? else { return Ok(None) };
                return Ok(Some(WatchedTraining {
                    training,
                    lines: reading.lines,
                    cursor: reading.cursor,
                    packing,
                    status: None,
                }));
            }
            first.get_or_insert(standing);
            tokio::select! {
                () = SystemClock.sleep(pause.min(left)) => {}
                // Once only: what its command left behind may hold the lock for longer.
                () = self.workers.ended(name), if !told => told = true,
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn stop(&self, name: &TrainingName, cause: StopCause) -> Result<(), PortError> {
        self.locked().insert(name.clone());
        let ended = self.end(name, cause).await;
        // One that is not there yet may be in the making on another thread, and must not begin when it is made.
        if !matches!(&ended, Err(error) if error.kind == PortErrorKind::NotFound) {
            self.locked().remove(name);
        }
        ended
    }

    async fn held(&self, project: &ProjectName) -> Result<Held<HeldTraining>, PortError> {
        let (home, project) = (self.home.clone(), project.clone());
        blocking(move || inventory::trainings(&home, &project)).await
    }

    async fn remove(&self, name: &TrainingName) -> Result<bool, PortError> {
        self.remove(name).await
    }

    async fn leftovers(&self) -> Result<Held<Leftover>, PortError> {
        let home = self.home.clone();
        blocking(move || inventory::leftovers(&home)).await
    }

    async fn sweep(&self, name: &str) -> Result<bool, PortError> {
        let (home, name) = (self.home.clone(), name.to_owned());
        blocking(move || inventory::sweep(&home, &name)).await
    }

    async fn log_tail(&self, name: &TrainingName, lines: usize) -> Result<Vec<String>, PortError> {
        let folder = self.existing(name)?;
        blocking(move || {
            joblog::tail(folder.path(), lines).map_err(|error| storage_error("read the log", folder.path(), error))
        })
        .await
    }
}

/// Says that processes of a training run still run. What they are is only what they say themselves, so no command is
/// suggested that would end one.
fn unstoppable(folder: &TrainingFolder) -> PortError {
    PortError::because(
        PortErrorKind::Storage,
        format!("stop training {}", folder.name()),
        "some of its processes could not be ended, or no longer say that they belong to it",
    )
    .hint(format!(
        "Find the processes that use {} (on Linux: `fuser -v` with that file), end them, then run again.",
        folder.lock_path().display()
    ))
}
