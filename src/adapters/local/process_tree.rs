//! Which processes belong to a training run, as Linux tells it in `/proc`.
//!
//! A group is not enough: a process may begin a session of its own, or be detached by forking twice. So the worker
//! is the "child subreaper" of all that its command starts (`prctl(2)`): whatever loses its parent becomes its child, and
//! nothing can leave the tree below it. Where the system has no `/proc`, the answer is `None`, and only the group is known.

use crate::adapters::regular;
use crate::adapters::regular::Links;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The most that is read of the environment of a process. Linux itself allows no more than a few MiB.
const ENVIRONMENT_LIMIT: u64 = 8 << 20;

/// A process at one moment. Its number may be given to another one later; its start tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    parent: u32,
    pub(super) group: u32,
    is_zombie: bool,
    start: u64,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let text = String::from_utf8_lossy(
            &regular::read_start(Path::new(&format!("/proc/{pid}/stat")), Links::Follow, 4096).ok()?,
        )
        .into_owned();
        Self::parse(pid, &text)
    }

    /// Reads `proc_pid_stat(5)`. The second field is the name in parentheses, which may hold any text itself.
    fn parse(pid: u32, text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Self {
            pid,
            is_zombie: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }

    /// Tells whether this very process still runs.
    pub(super) fn is_alive(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.start == self.start && !now.is_zombie)
    }
}

impl Process {
    /// Names it for people, by its program and its number.
    pub(super) fn shown(&self) -> String {
        let path = format!("/proc/{}/comm", self.pid);
        let name = regular::read_start(Path::new(&path), Links::Follow, 64).unwrap_or_default();
        let name: String = String::from_utf8_lossy(&name).trim().chars().filter(|c| !c.is_control()).collect();
        format!("{name} ({})", self.pid)
    }

    /// Lists the files that it holds open for writing.
    fn written(&self) -> Vec<PathBuf> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten().flatten();
        let writes = |number: &OsStr| {
            let path = Path::new("/proc").join(self.pid.to_string()).join("fdinfo").join(number);
            let text = regular::read_start(&path, Links::Follow, 4096).unwrap_or_default();
            is_for_writing(&String::from_utf8_lossy(&text))
        };
        open.filter(|entry| writes(&entry.file_name())).filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
    }
}

/// Reads the access mode out of `proc_pid_fdinfo(5)`: the last two bits of an octal number are 0 for reading alone.
fn is_for_writing(text: &str) -> bool {
    let flags = text.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & 3 != 0)
}

/// Finds a file at or below one of these places that a process holds open for writing, and the process.
pub(super) fn writer(processes: &[Process], places: &[PathBuf]) -> Option<(PathBuf, Process)> {
    // The system names files by their real paths.
    let places: Vec<PathBuf> = places.iter().filter_map(|place| fs::canonicalize(place).ok()).collect();
    let is_output = |path: &PathBuf| places.iter().any(|place| path.starts_with(place)) && path.is_file();
    processes.iter().find_map(|process| Some((process.written().into_iter().find(is_output)?, *process)))
}

fn all() -> Option<Vec<Process>> {
    let entries = fs::read_dir("/proc").ok()?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let found: Vec<Process> = numbers.filter_map(Process::read).collect();
    // Without ourselves in it, it is not what it should be.
    found.iter().any(|process| process.pid == std::process::id()).then_some(found)
}

/// Makes this process the one that inherits whatever its descendants leave behind.
pub(super) fn become_subreaper() {
    #[cfg(target_os = "linux")]
    {
        // Without it only the group can be ended, as elsewhere.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
}

/// Lists the living descendants of this process. `None`: the system does not tell.
pub(super) fn descendants() -> Option<Vec<Process>> {
    let all = all()?;
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![std::process::id()];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent && process.pid != parent) {
            parents.push(process.pid);
            found.push(*process);
        }
    }
    found.retain(|process| !process.is_zombie);
    Some(found)
}

/// Takes the status of adopted children that have ended, except `first`, whose status somebody else takes.
pub(super) fn reap_adopted(first: u32) {
    #[cfg(target_os = "linux")]
    for process in all().unwrap_or_default() {
        let ours = process.parent == std::process::id() && process.is_zombie && process.pid != first;
        if let Some(pid) = crate::adapters::local::process::pid(process.pid).filter(|_| ours) {
            // It has ended already, so this does not wait.
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = first;
}

/// Lists the living processes whose environment says that they belong to the training run of a folder: one of the
/// variables of the contract that `marks` names. A process writes its own environment and no other's, so none can make
/// another one look like a part of it.
pub(super) fn marked(marks: &[String]) -> Vec<Process> {
    let own = std::process::id();
    let is_marked = |process: &Process| {
        let path = format!("/proc/{}/environ", process.pid);
        regular::read_start(Path::new(&path), Links::Follow, ENVIRONMENT_LIMIT).is_ok_and(|bytes| {
            bytes.split(|byte| *byte == 0).any(|entry| marks.iter().any(|mark| mark.as_bytes() == entry))
        })
    };
    all()
        .unwrap_or_default()
        .into_iter()
        .filter(|process| process.pid != own && !process.is_zombie && is_marked(process))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_mode_tells_who_writes() {
        assert!(is_for_writing("pos:\t0\nflags:\t0100001\nmnt_id:\t1\n"), "O_WRONLY");
        assert!(is_for_writing("pos:\t0\nflags:\t0102002\n"), "O_RDWR");
        assert!(!is_for_writing("pos:\t0\nflags:\t0100000\n") && !is_for_writing(""));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_is_open_for_writing_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("model.bin");
        std::fs::write(&file, "half").expect("writable");
        let own = [Process::read(std::process::id()).expect("this process")];
        let places = [folder.path().to_owned()];
        let reading = std::fs::File::open(&file).expect("readable");
        assert_eq!(writer(&own, &places), None);
        let writing = std::fs::File::options().append(true).open(&file).expect("writable");
        let found = writer(&own, &places).map(|(path, process)| (path, process.pid));
        assert_eq!(found, Some((std::fs::canonicalize(&file).expect("a path"), std::process::id())));
        drop((reading, writing));
    }

    #[test]
    fn a_name_cannot_forge_the_fields_behind_it() {
        let tail = "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 77 0 0";
        let text = format!("7 (a) Z 1 1 (x) S 5 6 {tail}");
        let process = Process::parse(7, &text).expect("it can be read");
        assert_eq!((process.parent, process.group, process.is_zombie, process.start), (5, 6, false, 77));
        assert_eq!(Process::parse(7, "7 (a) S 1"), None);
        assert_eq!(Process::parse(7, ""), None);
    }
}
