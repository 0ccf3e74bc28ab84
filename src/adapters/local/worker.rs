//! The worker: supervises one training command to its end, and writes that end down.
//!
//! It is our own binary, started again as `branchline train-worker <folder>`, in a process group of its own, so a
//! training outlives the run that began it. It knows only the folder. Deliberately absent: Git, data and the
//! registry, and any retry: a worker begins its command at most once.

use crate::adapters::local::contract::METRICS;
use crate::adapters::local::contract::MlPaths;
use crate::adapters::local::contract::failure_text;
use crate::adapters::local::contract::measured;
use crate::adapters::local::devices;
use crate::adapters::local::ending;
use crate::adapters::local::ending::EVIDENCE_LINES;
use crate::adapters::local::ending::EVIDENCE_WIDTH;
use crate::adapters::local::ending::Exit;
use crate::adapters::local::ending::Failure;
use crate::adapters::local::folder::End;
use crate::adapters::local::folder::EndRecord;
use crate::adapters::local::folder::TrainingFolder;
use crate::adapters::local::folder::take_lock;
use crate::adapters::local::home::is_disk_full;
use crate::adapters::local::home::storage_error;
use crate::adapters::local::home::write_whole;
use crate::adapters::local::joblog;
use crate::adapters::local::joblog::LineCutter;
use crate::adapters::local::joblog::LogWriter;
use crate::adapters::local::metrics;
use crate::adapters::local::metrics::LogScan;
use crate::adapters::local::metrics::Measured;
use crate::adapters::local::model_files;
use crate::adapters::local::outputs;
use crate::adapters::local::outputs::Before;
use crate::adapters::local::pack::PackError;
use crate::adapters::local::pack::pack_directory_until;
use crate::adapters::local::process;
use crate::adapters::local::process::Group;
use crate::adapters::local::process::Remains;
use crate::adapters::local::process_tree;
use crate::adapters::local::process_tree::Process;
use crate::adapters::local::python_path;
use crate::adapters::local::workers::BEGUN;
use crate::adapters::system;
use crate::adapters::system::Stopwatch;
use crate::model::artifact::Artifact;
use crate::model::artifact::ObjectDigest;
use crate::model::training::Cause;
use crate::model::training::StopCause;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use crate::ports::trainer::TrainingSpec;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::io;
use std::io::PipeReader;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

/// How long the model is watched where processes outlive the command.
const SETTLING: Duration = Duration::from_millis(300);

/// How often a run that watches is told how far packing is. A small model is packed before the first time.
const PACKING_TOLD_EVERY: Duration = Duration::from_millis(200);

/// How much room is kept for the result.
const RESERVE: usize = 128 << 10;
/// How long the last output may take to arrive once all processes have ended.
const DRAIN: Duration = Duration::from_secs(2);
/// How long a result that nobody wants any more may take to be given up.
const ABANDON: Duration = Duration::from_secs(1);
/// How often the status of ended processes is taken that the command left behind.
const REAP_EVERY: Duration = Duration::from_secs(5);
/// How often the worker looks whether somebody wants it to end.
const LOOK: Duration = Duration::from_millis(40);

/// Supervises the training in this folder. Failures of ours go to standard error, which is `worker.log`.
pub fn main(folder: &Path) -> ExitCode {
    process::outlive_size_limit();
    let result = match TrainingFolder::at(folder) {
        Some(found) if found.exists() => supervise(&found),
        Some(_) | None => Err(PortError::because(
            PortErrorKind::NotFound,
            format!("supervise a training ({})", folder.display()),
            "this is not the folder of a training",
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be reading; there is nowhere else to say it.
            let _ = writeln!(io::stderr(), "{}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn supervise(folder: &TrainingFolder) -> Result<(), PortError> {
    // First of all: until the handlers are there, a signal would end us without a word.
    let interrupted = interruption();
    let spec = folder.spec()?;
    let Some(lock) = take_lock(folder.lock_path())? else { return Ok(()) };
    if folder.started()?.is_some() || folder.end()?.is_some() {
        // Somebody was faster, or it is lost. Either way it is not ours to begin.
        if folder.end()?.is_some() {
            let _ = fs::remove_file(folder.lock_path());
        }
        return Ok(());
    }
    // Held until we end, and not inherited: it tells a worker from a command that outlived it.
    let _alive = take_lock(&folder.worker_lock())?;
    let mut still_running = 0;
    let end = match folder.stop_request()? {
        Some(request) => End::Stopped { cause: request.cause },
        None => {
            folder.record_beginning()?;
            // Whoever started us may be gone.
            let _ = io::stdout().write_all(BEGUN).and_then(|()| io::stdout().flush());
            let paths = MlPaths::new(folder.ml(), folder.code());
            let run = Run { folder: folder.clone(), spec: Arc::new(spec), paths, interrupted };
            run.to_the_end(&lock, &mut still_running)
        }
    };
    write_down(folder, end, still_running)?;
    // The command's leftovers may still hold the lock's file; freeing it frees it for them, too.
    lock.unlock().map_err(|error| storage_error("free the lock", folder.lock_path(), error))
}

/// Writes the end down, on a full disk as well: that is what the reserve is for.
fn write_down(folder: &TrainingFolder, end: End, still_running: usize) -> Result<(), PortError> {
    let _ = fs::remove_file(folder.reserve());
    let record = EndRecord { ended_at: system::now(), end, still_running };
    match folder.replace_end(&record) {
        // It has its name already, and only its folder could not be synced: then it holds, and so must the archive.
        Err(error) if error.kind == PortErrorKind::DiskFull && folder.end()?.is_some() => folder.write_end(&record),
        Err(error) if error.kind == PortErrorKind::DiskFull => {
            let _ = fs::remove_file(folder.model_archive());
            let end = End::Failed {
                cause: Cause::DiskFull,
                message: "the disk was full when the training ended".to_owned(),
                log_tail: Vec::new(),
            };
            folder.replace_end(&EndRecord { end, ..record })
        }
        other => other,
    }
}

/// Returns a flag that SIGTERM and SIGINT set.
fn interruption() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        // Without a handler the signal ends us, and the training is told as lost: worse, but not wrong.
        let _ = signal_hook::flag::register(signal, Arc::clone(&flag));
    }
    flag
}

/// What the output goes through: the log, and the declared metrics.
struct Output {
    log: LogWriter,
    scan: LogScan,
}

/// Why the command is no longer running.
enum Outcome {
    Exited(Exit),
    Ended(Halt),
}

/// Why a command, or what is done with its result, is ended.
enum Halt {
    Stopped(StopCause),
    TimeLimit(Duration),
    FolderGone,
}

/// A command that ended without being asked to.
struct Exited {
    exit: Exit,
    /// What its working folder held when it began.
    before: Before,
    /// What was still changing in its model.
    unsettled: Option<PackError>,
}

/// One command under way.
#[derive(Clone)]
struct Run {
    folder: TrainingFolder,
    spec: Arc<TrainingSpec>,
    paths: MlPaths,
    interrupted: Arc<AtomicBool>,
}

impl Run {
    /// Counts in `still_running` what could not be ended.
    fn to_the_end(&self, lock: &File, still_running: &mut usize) -> End {
        self.try_to_the_end(lock, still_running).unwrap_or_else(|end| end)
    }

    /// The error, too, is an end.
    fn try_to_the_end(&self, lock: &File, still_running: &mut usize) -> Result<End, End> {
        let disk = |what: &str, error: io::Error| self.disk_failed(what, &error);
        self.folder.record_attempt().map_err(|error| {
            let cause = if error.kind == PortErrorKind::DiskFull { Cause::DiskFull } else { Cause::LostWorker };
            self.failed(cause, error.chain())
        })?;
        fs::write(self.folder.reserve(), vec![b'.'; RESERVE]).map_err(|error| disk("prepare the training", error))?;
        let mut log = LogWriter::create(self.folder.path()).map_err(|error| disk("begin the log", error))?;
        let given = system::environment_with(&self.spec.pass_env);
        let devices = devices::within_the_jobs(&given, self.spec.settings.environment.iter()).1;
        for note in self.folder.notes().unwrap_or_default().into_iter().chain(devices) {
            log.append(&format!("branchline: {}\n", note.replace(['\n', '\r'], " ")));
        }
        let Some(command) = self.spec.settings.command.as_deref() else {
            let message = "the settings name no command, and the local trainer runs no images: add `train: command:`";
            return Err(self.failed(Cause::Configuration, message.to_owned()));
        };
        let scan = LogScan::new(&self.spec.settings.metrics)
            .map_err(|error| self.failed(Cause::Configuration, error.to_string()))?;
        let output = Arc::new(Mutex::new(Output { log, scan }));

        let (reader, writer) = io::pipe().map_err(|error| disk("open a pipe", error))?;
        let drained = pump(reader, Arc::clone(&output));
        let before = Before::of(&self.folder.code());
        let group = self.begin(command, writer, lock)?;
        let running = Stopwatch::start();
        let (mut unsettled, mut ended) = (None, Vec::new());
        let (outcome, remains) = self
            .wait(group, &drained, &running, &mut unsettled, &mut ended)
            .map_err(|error| disk("supervise the command", error))?;
        // What could not be ended may hold the pipe open for ever; the log ends here all the same.
        let _ = drained.recv_timeout(DRAIN);
        *still_running = remains.running;
        if !ended.is_empty() {
            let text = outputs::listed(&ended);
            let note = format!("branchline: the command left processes behind, which were ended: {text}\n");
            locked(&output).log.append(&note);
        }
        if remains.running > 0 {
            let note = format!("branchline: {} processes of the training run could not be ended\n", remains.running);
            locked(&output).log.append(&note);
        }
        match outcome {
            Outcome::Ended(halt) => Ok(self.ended_by(&halt, command)),
            Outcome::Exited(exit) => Ok(self.conclude(Exited { exit, before, unsettled }, command, &output, &running)),
        }
    }

    /// Finds out what a command that exited came to: reads what it left, and packs the model.
    ///
    /// All of that may take as long as the command wants it to. So it is done on a thread of its own, and the time limit
    /// and a request to stop hold for it as they hold for the command; a thread that does not end, ends with this process.
    fn conclude(&self, exited: Exited, command: &str, output: &Arc<Mutex<Output>>, running: &Stopwatch) -> End {
        let (tell, told) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (run, line, output, stopped) = (self.clone(), command.to_owned(), Arc::clone(output), Arc::clone(&stop));
        std::thread::spawn(move || {
            let Exited { exit, before, unsettled } = exited;
            let end = match exit {
                Exit::Code(0) => run.success(&output, &before, unsettled, &stopped).unwrap_or_else(|end| end),
                Exit::Code(_) | Exit::Signal(_) => run.explain(&line, exit, &output),
            };
            // Nobody waits for it any more where it was stopped.
            let _ = tell.send(end);
        });
        loop {
            match told.recv_timeout(LOOK) {
                Ok(end) => return end,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return self.failed(Cause::LostWorker, "the result could not be read".to_owned());
                }
            }
            let Some(halt) = self.halt(running) else { continue };
            stop.store(true, Ordering::Relaxed);
            let _ = told.recv_timeout(ABANDON);
            return match halt {
                Halt::TimeLimit(limit) => self.failed(Cause::TimeLimit, ending::too_long_to_pack(command, limit)),
                Halt::Stopped(_) | Halt::FolderGone => self.ended_by(&halt, command),
            };
        }
    }

    fn ended_by(&self, halt: &Halt, command: &str) -> End {
        match halt {
            Halt::Stopped(cause) => End::Stopped { cause: *cause },
            Halt::TimeLimit(limit) => self.failed(Cause::TimeLimit, ending::too_long(command, *limit)),
            Halt::FolderGone => {
                let message = format!("its folder {} was removed while it ran", self.folder.path().display());
                End::Failed { cause: Cause::LostWorker, message, log_tail: Vec::new() }
            }
        }
    }

    fn begin(&self, line: &str, writer: io::PipeWriter, lock: &File) -> Result<Group, End> {
        let cannot = |error: io::Error| self.failed(Cause::Configuration, format!("cannot start `{line}`: {error}"));
        let mut command = shell(line);
        command
            .current_dir(self.folder.code())
            .env_clear()
            .envs(self.environment())
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(cannot)?)
            .stderr(writer);
        Group::begin(&mut command, lock).map_err(cannot)
    }

    /// Puts the environment of the command together: what of this machine is handed on, what is declared, and the
    /// contract, which nothing overrides.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut all = system::environment_with(&self.spec.pass_env);
        // Without it a log would arrive in blocks of some kilobytes, and the last one not at all after a crash.
        all.push(("PYTHONUNBUFFERED".into(), "1".into()));
        all.extend(devices::within_the_jobs(&all, self.spec.settings.environment.iter()).0);
        let more = all.iter().rev().find(|(name, _)| name == "PYTHONPATH").map(|(_, value)| value.clone());
        let path = python_path::value(self.folder.path(), &self.folder.code(), more.as_ref());
        all.extend(path.map(|path| ("PYTHONPATH".into(), path)));
        let gpus = devices::gpus(&all);
        all.extend(self.paths.variables(&self.spec, gpus));
        all
    }

    /// Waits for the command, or ends it. All that it started has ended when this returns, or is counted.
    ///
    /// Output that has ended is nearly always the command that has ended: it is looked for at once.
    fn wait(
        &self,
        mut group: Group,
        drained: &mpsc::Receiver<()>,
        running: &Stopwatch,
        unsettled: &mut Option<PackError>,
        ended: &mut Vec<String>,
    ) -> io::Result<(Outcome, Remains)> {
        let mut talking = true;
        let mut last_look: Option<Stopwatch> = None;
        let mut last_reaping = Stopwatch::start();
        let mut pause = Duration::from_millis(1);
        loop {
            if group.has_exited()? {
                let left = group.left();
                if !left.is_empty() {
                    *unsettled = self.output_at_work(&group);
                    ended.extend(left.iter().map(Process::shown));
                }
                let remains = group.finish()?;
                // It has exited, so its status is there.
                let exit = remains.status.map_or(Exit::Code(-1), Exit::of);
                return Ok((Outcome::Exited(exit), remains));
            }
            if last_look.is_none_or(|look| look.elapsed() >= LOOK) {
                last_look = Some(Stopwatch::start());
                if let Some(halt) = self.halt(running) {
                    return Ok((Outcome::Ended(halt), group.end()?));
                }
            }
            if last_reaping.elapsed() >= REAP_EVERY {
                group.reap_adopted();
                last_reaping = Stopwatch::start();
            }
            if talking {
                talking = drained.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout);
            } else {
                std::thread::sleep(pause);
                pause = (pause * 2).min(LOOK);
            }
        }
    }

    /// Tells whether processes that the command left behind still change the model, or hold a file of the output open
    /// for writing, however slowly they write. They are ended before it is packed, and what they were writing would look
    /// finished then.
    fn output_at_work(&self, group: &Group) -> Option<PackError> {
        let model = self.paths.model();
        let before = model_files::list(&model).ok();
        std::thread::sleep(SETTLING);
        let mut places = outputs::declared(&self.spec.settings.outputs, &self.folder.code());
        places.extend([self.paths.output_data().join(METRICS), model.clone()]);
        if let Some((path, process)) = process_tree::writer(&group.left(), &places) {
            let path = path.file_name().map_or_else(|| path.clone(), PathBuf::from);
            return Some(PackError::Held { path, by: process.shown() });
        }
        model_files::unchanged(&model, &before?).err()
    }

    /// Tells whether there is a reason not to go on.
    fn halt(&self, running: &Stopwatch) -> Option<Halt> {
        let limit = self.spec.settings.max_runtime.filter(|limit| running.elapsed() >= *limit);
        if let Some(limit) = limit {
            return Some(Halt::TimeLimit(limit));
        }
        if let Some(cause) = self.wanted_end() {
            return Some(Halt::Stopped(cause));
        }
        (!self.folder.exists()).then_some(Halt::FolderGone)
    }

    fn wanted_end(&self) -> Option<StopCause> {
        // An unreadable request is none: it is written whole or not at all.
        let asked = self.folder.stop_request().ok().flatten().map(|request| request.cause);
        asked.or_else(|| self.interrupted.load(Ordering::Relaxed).then_some(StopCause::Cancelled))
    }

    fn success(
        &self,
        output: &Mutex<Output>,
        before: &Before,
        unsettled: Option<PackError>,
        stop: &AtomicBool,
    ) -> Result<End, End> {
        let model = self.paths.model();
        let measured = self.measured(output);
        outputs::collect(&self.spec.settings.outputs, &self.folder.code(), &model)
            .map_err(|why| self.failed(Cause::Code, format!("{why}{}", self.written(before))))?;
        self.check_model(&model, before)?;
        if let Some(error) = unsettled {
            return Err(self.not_packed(&error));
        }
        let (metrics, notes) = metrics::complete(measured, &self.spec.required_metrics)
            .map_err(|error| self.failed(Cause::Code, error.to_string()))?;
        let archive = self.folder.model_archive();
        let told = Stopwatch::start();
        let mut tells = 0;
        let mut tell = |done: u64, total: u64| {
            let due = told.elapsed().as_millis() / PACKING_TOLD_EVERY.as_millis();
            if due > tells {
                tells = due;
                // Only a sign of life: a disk that has no room for it will say so of the archive.
                drop(write_whole(&self.folder.packing(), format!("{done} {total}").as_bytes()));
            }
        };
        let packed = pack_directory_until(&model, &archive, stop, &mut tell);
        if tells > 0 {
            drop(fs::remove_file(self.folder.packing()));
        }
        let packed = packed.map_err(|error| self.not_packed(&error))?;
        let artifact = Artifact {
            name: "model.tar.gz".to_owned(),
            digest: ObjectDigest::Sha256(packed.sha256),
            size: packed.size,
            location: format!("file:{}", archive.display()),
        };
        Ok(End::succeeded(&metrics, notes, vec![artifact]))
    }

    /// Refuses what is no model before anything else is read.
    fn check_model(&self, model: &Path, before: &Before) -> Result<(), End> {
        let what = match model_files::content(model) {
            Ok(content) if content.bytes > 0 => return Ok(()),
            Ok(content) if content.files > 0 => "the files in $SM_MODEL_DIR are all empty".to_owned(),
            Ok(_) => "nothing in $SM_MODEL_DIR".to_owned(),
            Err(PackError::NotAFolder { what, .. }) => format!("$SM_MODEL_DIR is {what}, not a folder"),
            Err(PackError::Read { path, source }) if path == model && source.kind() == io::ErrorKind::NotFound => {
                "the folder $SM_MODEL_DIR was removed".to_owned()
            }
            Err(error) => return Err(self.not_packed(&error)),
        };
        Err(self.failed(Cause::Code, format!("wrote no model: {what}{}", self.written(before))))
    }

    fn not_packed(&self, error: &PackError) -> End {
        self.failed(packing_cause(error), format!("could not pack the model: {}", chain(error)))
    }

    /// Reads all that measured something, the later over the earlier.
    fn measured(&self, output: &Mutex<Output>) -> Vec<Measured> {
        let mut parts = vec![measured(&self.paths.output_data().join(METRICS), METRICS)];
        parts.extend(outputs::metrics(&self.spec.settings.outputs, &self.folder.code()));
        parts.push(locked(output).scan.measured());
        parts
    }

    /// Says what the command wrote instead, as a clause of its own.
    fn written(&self, before: &Before) -> String {
        match before.written(&self.folder.code()) {
            text if text.is_empty() => String::new(),
            text => format!("; in its working folder it wrote {text} (`outputs` collects from there)"),
        }
    }

    fn explain(&self, command: &str, exit: Exit, output: &Mutex<Output>) -> End {
        let tail = self.tail();
        let disk_full =
            locked(output).log.failure().is_some_and(is_disk_full) || process::is_out_of_space(self.folder.path());
        let code = self.folder.code();
        let failure =
            Failure { exit, command, tail: &tail, said: failure_text(&self.paths.failure()), code: &code, disk_full };
        let (cause, message) = failure.explain();
        End::Failed { cause, message, log_tail: tail }
    }

    fn failed(&self, cause: Cause, message: String) -> End {
        End::Failed { cause, message, log_tail: self.tail() }
    }

    fn disk_failed(&self, what: &str, error: &io::Error) -> End {
        let cause = if is_disk_full(error) { Cause::DiskFull } else { Cause::LostWorker };
        self.failed(cause, format!("could not {what}: {error}"))
    }

    fn tail(&self) -> Vec<String> {
        let lines = joblog::tail(self.folder.path(), EVIDENCE_LINES).unwrap_or_default();
        lines.into_iter().map(|line| line.chars().take(EVIDENCE_WIDTH).collect()).collect()
    }
}

/// Tells whose fault it is that a model was not packed. A disk that refuses the archive is not the code's: another
/// attempt may end differently.
fn packing_cause(error: &PackError) -> Cause {
    match error {
        PackError::Write { .. } if error.is_disk_full() => Cause::DiskFull,
        PackError::Write { .. } => Cause::LostWorker,
        PackError::Read { .. }
        | PackError::Unsupported { .. }
        | PackError::NotAFolder { .. }
        | PackError::Held { .. }
        | PackError::Changed { .. } => Cause::Code,
    }
}

/// Reads the output until nobody can write any more. It never waits for anything but the output itself, so that
/// the command is never held up.
fn pump(mut reader: PipeReader, output: Arc<Mutex<Output>>) -> mpsc::Receiver<()> {
    let (done, drained) = mpsc::channel();
    std::thread::spawn(move || {
        let mut cutter = LineCutter::default();
        let mut buffer = vec![0; 64 << 10];
        let take = |lines: &str| {
            let mut output = locked(&output);
            output.log.append(lines);
            output.scan.feed(lines);
        };
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => cutter.feed(&buffer[..count], &mut |lines| take(lines)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        cutter.finish(&mut |lines| take(lines));
        // The worker may have stopped waiting.
        let _ = done.send(());
    });
    drained
}

fn locked(output: &Mutex<Output>) -> std::sync::MutexGuard<'_, Output> {
    output.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn shell(line: &str) -> Command {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("/bin/sh", "-c") };
    let mut command = Command::new(shell);
    command.arg(flag).arg(line);
    command
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwritable(kind: io::ErrorKind) -> Cause {
        packing_cause(&PackError::Write { path: PathBuf::from("model.tar.gz"), source: io::Error::from(kind) })
    }

    #[test]
    fn a_disk_that_fails_is_not_blamed_on_the_code() {
        assert_eq!(unwritable(io::ErrorKind::StorageFull), Cause::DiskFull);
        assert!(unwritable(io::ErrorKind::Other).is_transient());
        let unreadable =
            PackError::Read { path: PathBuf::from("model"), source: io::Error::from(io::ErrorKind::NotFound) };
        assert_eq!(packing_cause(&unreadable), Cause::Code);
    }
}
