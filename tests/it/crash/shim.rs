//! Builds the shim, and runs the real program under it.

use crate::world::repository::path;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

/// How long one process may take on a busy machine before the test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which process of the program is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that a person starts.
    Main,
    /// The supervisor of a training.
    Worker,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Worker => "worker",
        }
    }
}

/// What happens at the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// SIGKILL before it.
    Before,
    /// SIGKILL after half of the bytes.
    Half,
    /// SIGKILL after it.
    After,
    /// It is done, and told as failed.
    Lost,
    /// No room from here on.
    Full,
    /// SIGSTOP before it.
    Stop,
    /// The wall clock jumps this many seconds.
    Clock(i64),
}

impl How {
    fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Half => "half",
            Self::After => "after",
            Self::Lost => "lost",
            Self::Full => "full",
            Self::Stop => "stop",
            Self::Clock(_) => "clock",
        }
    }

    /// Tells whether the struck process is gone by it.
    pub fn kills(self) -> bool {
        matches!(self, Self::Before | Self::Half | Self::After)
    }
}

/// One strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    pub role: Role,
    pub how: How,
    /// The number of the call, from 1.
    pub at: u32,
}

/// A call that an undisturbed run made below its home.
#[derive(Debug, Clone)]
pub struct Call {
    pub role: Role,
    pub number: u32,
    pub name: String,
    pub path: String,
}

impl Call {
    /// Tells whether it carries bytes, so that it can be cut in half.
    pub fn writes(&self) -> bool {
        ["write", "pwrite", "pwrite64", "writev", "copy_file_range", "sendfile"].contains(&self.name.as_str())
    }

    /// Tells whether it fails on a full disk.
    pub fn needs_room(&self) -> bool {
        !["unlink", "unlinkat", "rmdir", "chmod", "fchmod", "clock"].contains(&self.name.as_str())
    }

    /// Tells whether it asks for the time instead.
    pub fn is_clock(&self) -> bool {
        self.name == "clock"
    }
}

/// How a process ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None`: a signal ended it.
    pub code: Option<i32>,
    /// All that it printed.
    pub said: String,
}

/// Returns the compiled shim.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/crash/shim.c");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let library = folder.path().join("shim.so");
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl")
            .output()
            .expect("the fault table needs the C compiler `cc`, as building the bundled SQLite does: install one");
        assert!(output.status.success(), "cc refused shim.c:\n{}", String::from_utf8_lossy(&output.stderr));
        (folder, library)
    });
    library
}

/// The program around one repository and one home.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it is started.
    pub repository: PathBuf,
    /// Holds the home and what the shim leaves.
    pub folder: PathBuf,
}

impl Program {
    /// Where the local backend keeps its state.
    pub fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// The file that a strike leaves.
    pub fn mark(&self) -> PathBuf {
        self.folder.join("struck")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("calls")
    }

    /// Runs it to its end, undisturbed.
    pub fn run(&self, args: &[&str]) -> Finished {
        self.wait(self.begin(args, None))
    }

    /// Runs it to its end, or to the strike.
    pub fn run_struck(&self, args: &[&str], strike: Strike) -> Finished {
        self.wait(self.begin(args, Some(strike)))
    }

    /// Runs it undisturbed, and returns its calls.
    pub fn listen(&self, args: &[&str]) -> (Finished, Vec<Call>) {
        let mut command = self.command(args);
        self.shim(&mut command);
        command.env("CRASH_LOG", self.log());
        let finished = self.wait(command.spawn().expect("the program can be started"));
        (finished, self.calls())
    }

    /// Starts it. Its output goes to a file of its own: what a worker inherits of it must not keep us waiting.
    pub fn begin(&self, args: &[&str], strike: Option<Strike>) -> Child {
        let mut command = self.command(args);
        if let Some(strike) = strike {
            self.shim(&mut command);
            command
                .env("CRASH_ROLE", strike.role.word())
                .env("CRASH_HOW", strike.how.word())
                .env("CRASH_AT", strike.at.to_string())
                .env("CRASH_MARK", self.mark());
            if let How::Clock(jump) = strike.how {
                command.env("CRASH_JUMP", jump.to_string());
            }
        }
        command.spawn().expect("the program can be started")
    }

    fn shim(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).env("CRASH_ROOT", self.home());
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_branchline"));
        command
            .args(args)
            .current_dir(&self.repository)
            .env_clear()
            .env("PATH", path())
            .env("HOME", &self.repository)
            .env("BRANCHLINE_HOME", self.home())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Waits for the end of a process.
    pub fn wait(&self, child: Child) -> Finished {
        let number = child.id();
        let (done, watched) = std::sync::mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            if watched.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                signal(number, "KILL");
            }
        });
        let output = child.wait_with_output().expect("the program can be waited for");
        drop(done);
        watch.join().expect("the watch ends");
        let said = [output.stdout, output.stderr].concat();
        Finished { code: output.status.code(), said: String::from_utf8_lossy(&said).into_owned() }
    }

    fn calls(&self) -> Vec<Call> {
        let text = fs::read_to_string(self.log()).expect("the shim was loaded: it left its log");
        let call = |line: &str| {
            let mut parts = line.splitn(4, '\t');
            let role = if parts.next()? == "worker" { Role::Worker } else { Role::Main };
            let number = parts.next()?.parse().ok()?;
            Some(Call { role, number, name: parts.next()?.to_owned(), path: parts.next()?.to_owned() })
        };
        text.lines().map(|line| call(line).expect("a line of the shim's log")).collect()
    }

    /// Tells whether the strike happened, and in which process.
    pub fn struck(&self) -> Option<u32> {
        fs::read_to_string(self.mark()).ok()?.trim().parse().ok()
    }

    /// Waits until the strike has happened.
    pub fn await_strike(&self) -> u32 {
        let waiting = branchline::adapters::system::Stopwatch::start();
        loop {
            if let Some(process) = self.struck() {
                return process;
            }
            assert!(waiting.elapsed() < PATIENCE, "nothing was struck");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Sends a signal to a process that was started here.
pub fn signal(process: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).stderr(Stdio::null()).status();
    // It may have ended by itself meanwhile.
    status.expect("`kill` can be started");
}
