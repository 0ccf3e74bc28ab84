//! The command's processes: begun as a group, ended as a group, politely and then firmly.
//!
//! The one file that depends on the operating system. Elsewhere than on Unix only the first process is ended, and
//! the lock is the worker's alone.

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
/// What is left of a group after its first process ended by itself gets less: nobody waits for its result.
const LEFTOVER_GRACE: Duration = Duration::from_secs(1);

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
    /// Begins the command in a group of its own. It inherits the lock, and keeps it for as long as any process of
    /// it lives that did not close it.
    pub(super) fn begin(command: &mut Command, lock: &File) -> io::Result<Self> {
        #[cfg(unix)]
        {
            use rustix::io::FdFlags;
            use rustix::io::fcntl_setfd;
            use std::os::unix::process::CommandExt as _;
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

    /// Ends the first process and the whole group: politely, then firmly.
    pub(super) fn end(mut self) -> io::Result<ExitStatus> {
        signal(self.number(), Firmness::Polite);
        let waiting = Stopwatch::start();
        while !self.has_exited()? && waiting.elapsed() < GRACE {
            std::thread::sleep(Duration::from_millis(10));
        }
        if !self.has_exited()? {
            signal(self.number(), Firmness::Firm);
            #[cfg(not(unix))]
            self.child.kill()?;
        }
        self.finish()
    }

    /// Takes the status of the first process, and ends what it left behind in its group.
    pub(super) fn finish(mut self) -> io::Result<ExitStatus> {
        let group = self.number();
        signal(group, Firmness::Polite);
        let status = self.child.wait()?;
        let waiting = Stopwatch::start();
        while is_alive(group) {
            if waiting.elapsed() >= LEFTOVER_GRACE {
                signal(group, Firmness::Firm);
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(status)
    }
}

/// How a group is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Firmness {
    /// It may tidy up.
    Polite,
    /// At once.
    Firm,
}

/// Asks a group to end. One that is gone is no failure.
#[cfg(unix)]
pub(super) fn signal(group: u32, firmness: Firmness) {
    use rustix::process::Signal;
    let signal = match firmness {
        Firmness::Polite => Signal::TERM,
        Firmness::Firm => Signal::KILL,
    };
    if let Some(pid) = pid(group) {
        // Nothing can be done about a process that refuses: the lock tells that it lives.
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

#[cfg(not(unix))]
pub(super) fn signal(_group: u32, _firmness: Firmness) {}

#[cfg(unix)]
fn is_alive(group: u32) -> bool {
    pid(group).is_some_and(|pid| rustix::process::test_kill_process_group(pid).is_ok())
}

#[cfg(not(unix))]
fn is_alive(_group: u32) -> bool {
    false
}

#[cfg(unix)]
fn pid(number: u32) -> Option<rustix::process::Pid> {
    // 0 and 1 would mean "my own group" and "everybody".
    rustix::process::Pid::from_raw(i32::try_from(number).ok()?).filter(|pid| pid.as_raw_nonzero().get() > 1)
}

/// Tells whether the first process of a group is known to be the command of this training: its environment names
/// the training. Where the system does not tell (anywhere but on Linux), the answer is no.
pub(super) fn is_command_of(group: u32, variable: &str) -> bool {
    std::fs::read(format!("/proc/{group}/environ"))
        .is_ok_and(|bytes| bytes.split(|b| *b == 0).any(|entry| entry == variable.as_bytes()))
}

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
