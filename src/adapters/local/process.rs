//! The command's processes: begun as a group, and ended with all that they started, politely and then firmly.
//!
//! On Linux that includes what left the group (`process_tree`). On other Unix systems only the group can be ended; elsewhere
//! only the first process, and the lock is the worker's alone.

use crate::adapters::local::process_tree;
use crate::adapters::local::process_tree::Process;
use crate::adapters::system::Stopwatch;
use std::fs::File;
use std::io;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::time::Duration;

/// How long a group may take to end by itself once it was asked to. The cloud gives two minutes; here a person
/// waits at a terminal, and a cancelled run has seven seconds in all.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// What is left of a command after its first process ended gets less: nobody waits for its result.
const LEFTOVER_GRACE: Duration = Duration::from_secs(1);
/// How long killed processes may take to be gone. The system delays it while a process waits for a disk.
const FIRM_LIMIT: Duration = Duration::from_secs(1);

/// Makes a write beyond the file size limit (`ulimit -f`) an error that can be told, instead of a signal that ends
/// this process. Commands that it starts keep the system's behaviour.
pub fn outlive_size_limit() {
    #[cfg(unix)]
    {
        // Without it the signal ends the process: no worse than before.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
    }
}

/// A running command with all its children.
pub(super) struct Group {
    child: Child,
}

impl Group {
    /// Begins the command in a group of its own, as the only child of this process. It inherits the lock, and keeps it
    /// for as long as any process of it lives that did not close it.
    pub(super) fn begin(command: &mut Command, lock: &File) -> io::Result<Self> {
        #[cfg(unix)]
        {
            use rustix::io::FdFlags;
            use rustix::io::fcntl_setfd;
            use std::os::unix::process::CommandExt as _;
            // Before the first child: whatever loses its parent is ours from then on.
            process_tree::become_subreaper();
            command.process_group(0);
            fcntl_setfd(lock, FdFlags::empty())?;
            let child = command.spawn();
            fcntl_setfd(lock, FdFlags::CLOEXEC)?;
            Ok(Self { child: child? })
        }
        #[cfg(not(unix))]
        {
            let _ = lock;
            Ok(Self { child: command.spawn()? })
        }
    }

    /// Returns the number of the group.
    pub(super) fn number(&self) -> u32 {
        self.child.id()
    }

    /// Tells whether the first process has ended. It is not reaped yet, so that its number stays taken and
    /// ending the group can never meet a stranger.
    pub(super) fn has_exited(&mut self) -> io::Result<bool> {
        #[cfg(unix)]
        {
            use rustix::process::WaitId;
            use rustix::process::WaitIdOptions;
            use rustix::process::waitid;
            let Some(pid) = pid(self.child.id()) else { return Ok(true) };
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            match waitid(WaitId::Pid(pid), options) {
                Ok(status) => Ok(status.is_some()),
                Err(rustix::io::Errno::INTR) => Ok(false),
                Err(error) => Err(error.into()),
            }
        }
        #[cfg(not(unix))]
        {
            Ok(self.child.try_wait()?.is_some())
        }
    }

    /// Lists the processes of the command that still run after its first one ended. Where the system does not tell,
    /// there are none.
    pub(super) fn left(&self) -> Vec<Process> {
        process_tree::descendants().unwrap_or_default()
    }

    /// Ends the command and all that it started: politely, and after the grace firmly.
    pub(super) fn end(self) -> io::Result<Remains> {
        self.clear(GRACE)
    }

    /// Ends what a command that has exited left behind, and takes its status.
    pub(super) fn finish(self) -> io::Result<Remains> {
        self.clear(LEFTOVER_GRACE)
    }

    fn clear(mut self, grace: Duration) -> io::Result<Remains> {
        let waiting = Stopwatch::start();
        self.signal_all(Firmness::Polite);
        let mut running = self.count_running()?;
        while running > 0 && waiting.elapsed() < grace + FIRM_LIMIT {
            if waiting.elapsed() >= grace {
                // Each time anew: what is being ended may start something meanwhile.
                self.signal_all(Firmness::Firm);
                #[cfg(not(unix))]
                self.child.kill()?;
            }
            std::thread::sleep(Duration::from_millis(15));
            running = self.count_running()?;
        }
        let status = self.child.try_wait()?;
        Ok(Remains { status, running })
    }

    /// Signals the group, and each descendant that left it.
    fn signal_all(&self, firmness: Firmness) {
        let group = self.number();
        signal(group, firmness);
        for process in process_tree::descendants().unwrap_or_default() {
            if process.group != group {
                signal_one(process, firmness);
            }
        }
    }

    /// Counts what still runs of the command. Where only the group is known, it counts as one.
    fn count_running(&mut self) -> io::Result<usize> {
        match process_tree::descendants() {
            Some(living) => Ok(living.len()),
            None => Ok(usize::from(self.child.try_wait()?.is_none() || is_alive(self.number()))),
        }
    }

    /// Takes the status of processes that the command left behind and that have ended meanwhile.
    pub(super) fn reap_adopted(&self) {
        process_tree::reap_adopted(self.number());
    }
}

/// What is left of a command after it was ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remains {
    /// How its first process ended. `None`: it did not.
    pub(super) status: Option<ExitStatus>,
    /// How many of its processes could not be ended.
    pub(super) running: usize,
}

/// How a group is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Firmness {
    /// It may tidy up.
    Polite,
    /// At once.
    Firm,
}

#[cfg(unix)]
impl Firmness {
    fn signal(self) -> rustix::process::Signal {
        match self {
            Self::Polite => rustix::process::Signal::TERM,
            Self::Firm => rustix::process::Signal::KILL,
        }
    }
}

/// Asks a group to end. One that is gone is no failure.
#[cfg(unix)]
fn signal(group: u32, firmness: Firmness) {
    if let Some(pid) = pid(group) {
        // Nothing can be done about a process that refuses: the lock tells that it lives.
        let _ = rustix::process::kill_process_group(pid, firmness.signal());
    }
}

#[cfg(not(unix))]
fn signal(_group: u32, _firmness: Firmness) {}

#[cfg(unix)]
fn is_alive(group: u32) -> bool {
    pid(group).is_some_and(|pid| rustix::process::test_kill_process_group(pid).is_ok())
}

#[cfg(not(unix))]
fn is_alive(_group: u32) -> bool {
    false
}

#[cfg(unix)]
pub(super) fn pid(number: u32) -> Option<rustix::process::Pid> {
    // 0 and 1 would mean "my own group" and "everybody".
    rustix::process::Pid::from_raw(i32::try_from(number).ok()?).filter(|pid| pid.as_raw_nonzero().get() > 1)
}

/// Signals the processes of a training run that no worker supervises any more. They are known by their environment,
/// which names the folder; where the system does not tell (anywhere but on Linux), there are none.
pub(super) fn signal_marked(marks: &[String], firmness: Firmness) {
    for process in process_tree::marked(marks) {
        signal_one(process, firmness);
    }
}

/// Ends the processes of training runs whose workers are gone: politely, and after the grace firmly.
pub(super) fn end_marked(marks: &[String]) -> Ended {
    let waiting = Stopwatch::start();
    let mut running = process_tree::marked(marks);
    let found: Vec<String> = running.iter().map(Process::shown).collect();
    running.iter().for_each(|process| signal_one(*process, Firmness::Polite));
    while !running.is_empty() && waiting.elapsed() < LEFTOVER_GRACE + FIRM_LIMIT {
        if waiting.elapsed() >= LEFTOVER_GRACE {
            running.iter().for_each(|process| signal_one(*process, Firmness::Firm));
        }
        std::thread::sleep(Duration::from_millis(50));
        // Each time anew: what is being ended may start something meanwhile.
        running = process_tree::marked(marks);
    }
    Ended { found, running: running.iter().map(Process::shown).collect() }
}

/// What came of ending the processes of training runs that nobody supervises.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// What was found.
    pub(super) found: Vec<String>,
    /// What still runs of it.
    pub(super) running: Vec<String>,
}

#[cfg(unix)]
fn signal_one(process: Process, firmness: Firmness) {
    // Between the list and here its number may have become another's.
    if let Some(pid) = pid(process.pid).filter(|_| process.is_alive()) {
        // One that is gone, or that belongs to another user, shows in the next count.
        let _ = rustix::process::kill_process(pid, firmness.signal());
    }
}

#[cfg(not(unix))]
fn signal_one(_process: Process, _firmness: Firmness) {}

/// Tells whether the file system of a path has no room left for even a small file.
pub(super) fn is_out_of_space(path: &std::path::Path) -> bool {
    #[cfg(unix)]
    {
        rustix::fs::statvfs(path)
            .is_ok_and(|stat| stat.f_blocks > 0 && stat.f_bavail.saturating_mul(stat.f_frsize) < 64 << 10)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_a_mark_names_is_ended_and_nothing_else() {
        let mark = format!("SM_MODEL_DIR=/nowhere/{}", std::process::id());
        let begin = |value: &str| {
            let mut command = Command::new("sleep");
            command.arg("60").env_clear().env("PATH", "/usr/bin:/bin").env("SM_MODEL_DIR", value);
            command.spawn().expect("sleep starts")
        };
        let mut ours = begin(mark.trim_start_matches("SM_MODEL_DIR="));
        let mut other = begin("/nowhere/else");
        // The environment is a new one from `exec` on.
        std::thread::sleep(Duration::from_millis(100));
        let ended = end_marked(std::slice::from_ref(&mark));
        assert_eq!((ended.found.len(), ended.running.len()), (1, 0), "{ended:?}");
        assert!(ended.found[0].contains(&ours.id().to_string()), "{ended:?}");
        assert!(!ours.wait().expect("its status").success());
        assert!(other.try_wait().expect("its status").is_none(), "it belongs to somebody else");
        other.kill().expect("it can be ended");
        other.wait().expect("its status");
    }
}
