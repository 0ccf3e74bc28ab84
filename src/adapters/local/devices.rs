//! How many graphics processors a training run on this machine has. Asked of the system and of the variables by which a
//! scheduler gives devices to a job; never assumed.

use crate::adapters::system::Stopwatch;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::io::Seek as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

/// The variables that give devices to a job, the narrowest first.
const GIVEN: [&str; 4] =
    ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"];
/// How long `nvidia-smi` may take: it waits for a driver that hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes the declared variables that may stand beside what the scheduler gave to the job, and says which may not: a list
/// of devices may leave some of the job's out, and add none.
pub(super) fn within_the_jobs<'d>(
    given: &[(OsString, OsString)],
    declared: impl Iterator<Item = (&'d String, &'d String)>,
) -> (Vec<(OsString, OsString)>, Vec<String>) {
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for (name, value) in declared {
        let job = given.iter().find(|(known, _)| GIVEN.contains(&name.as_str()) && known == name.as_str());
        match job.map(|(_, job)| job.to_string_lossy()).filter(|job| !is_part_of(value, job)) {
            Some(job) => {
                refused.push(format!("{name} stays {job}, as this job has it: `train.environment` says {value}"))
            }
            None => taken.push((name.into(), value.into())),
        }
    }
    (taken, refused)
}

fn is_part_of(list: &str, of: &str) -> bool {
    let entries = |list: &str| -> Vec<String> { list.split(',').map(|entry| entry.trim().to_owned()).collect() };
    let nothing = matches!(list.trim(), "" | "-1" | "none" | "void" | "NoDevFiles");
    nothing || of.trim() == "all" || entries(list).iter().all(|entry| entries(of).contains(entry))
}

/// Counts the processors that a command with these variables can use.
pub(super) fn gpus(environment: &[(OsString, OsString)]) -> usize {
    let given = |name: &str| {
        environment.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.to_string_lossy().into_owned())
    };
    let there = present(Path::new("/dev"), Path::new("/sys/class/kfd/kfd/topology/nodes"))
        .or_else(|| told_by_driver(environment))
        .unwrap_or(0);
    GIVEN.iter().filter_map(|name| given(name)).map(|list| visible(&list, there)).min().unwrap_or(there)
}

/// Counts what a list of devices leaves of those that are there. As CUDA reads it, an entry that names no device ends the
/// list; `all` means all.
fn visible(list: &str, there: usize) -> usize {
    let list = list.trim();
    if list == "all" {
        return there;
    }
    if matches!(list, "" | "none" | "void" | "NoDevFiles") {
        return 0;
    }
    let is_device = |entry: &&str| match entry.parse::<i64>() {
        Ok(index) => usize::try_from(index).is_ok_and(|index| index < there),
        // A UUID, also of a part of a device.
        Err(_) => !entry.is_empty(),
    };
    list.split(',').map(str::trim).take_while(is_device).count().min(if list.contains("MIG") {
        usize::MAX
    } else {
        there
    })
}

/// Counts device files of NVIDIA, and AMD's nodes that are processors of this kind. `None`: there is neither.
fn present(dev: &Path, nodes: &Path) -> Option<usize> {
    let names = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let numbered = |name: &OsString| {
        let digits = name.to_str().and_then(|name| name.strip_prefix("nvidia"));
        digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let nvidia = names(dev).filter(numbered).count();
    let is_gpu = |node: &OsString| {
        fs::read_to_string(nodes.join(node).join("gpu_id")).is_ok_and(|id| !matches!(id.trim(), "" | "0"))
    };
    let amd = names(nodes).filter(is_gpu).count();
    Some(nvidia + amd).filter(|count| *count > 0)
}

/// Asks `nvidia-smi`, as the SageMaker training toolkit does: on some systems (WSL) there are no device files.
fn told_by_driver(environment: &[(OsString, OsString)]) -> Option<usize> {
    let mut command = Command::new("nvidia-smi");
    command.arg("--list-gpus").env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    // A file and no pipe: what it leaves behind could hold a pipe open for as long as it likes.
    let mut said = tempfile::tempfile().ok()?;
    command.stdin(Stdio::null()).stdout(said.try_clone().ok()?).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let waiting = Stopwatch::start();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break,
            Ok(None) if waiting.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            Ok(_) | Err(_) => {
                // It may have ended meanwhile; then there is nothing left to end.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
    let mut text = Vec::new();
    said.rewind().ok()?;
    said.take(64 << 10).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).lines().filter(|line| line.starts_with("GPU ")).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_list_takes_no_device_that_the_job_has_not() {
        let cuda = "CUDA_VISIBLE_DEVICES".to_owned();
        let kept = |job: &str, declared: &str| {
            let given = [(OsString::from(&cuda), OsString::from(job))];
            let declared = declared.to_owned();
            within_the_jobs(&given, std::iter::once((&cuda, &declared))).1
        };
        assert_eq!(
            kept("1", "0,1,2"),
            ["CUDA_VISIBLE_DEVICES stays 1, as this job has it: `train.environment` says 0,1,2"]
        );
        for (job, declared) in [("0,1", "1"), ("0,1", ""), ("all", "0"), ("3", "3"), ("2", "-1")] {
            assert!(kept(job, declared).is_empty(), "{job} {declared}");
        }
        let (other, value) = ("OMP_NUM_THREADS".to_owned(), "4".to_owned());
        let (taken, refused) = within_the_jobs(&[], std::iter::once((&other, &value)));
        assert_eq!((taken.len(), refused.len()), (1, 0));
    }

    #[test]
    fn devices_given_to_a_job_are_counted_as_cuda_reads_the_list() {
        for (list, there, count) in [
            ("0,1", 4, 2),
            ("3", 4, 1),
            ("0,9,1", 4, 1),
            ("-1", 4, 0),
            ("", 4, 0),
            ("all", 4, 4),
            ("none", 4, 0),
            ("GPU-5a1b, GPU-77", 4, 2),
            ("MIG-GPU-1/1/0,MIG-GPU-1/2/0", 1, 2),
            ("0,1", 0, 0),
        ] {
            assert_eq!(visible(list, there), count, "{list:?} of {there}");
        }
    }

    #[test]
    fn device_files_and_nodes_are_counted() {
        let place = tempfile::tempdir().expect("a folder");
        let (dev, nodes) = (place.path().join("dev"), place.path().join("nodes"));
        fs::create_dir_all(&dev).expect("a folder");
        assert_eq!(present(&dev, &nodes), None);
        for name in ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia", "null"] {
            fs::write(dev.join(name), "").expect("writable");
        }
        for (node, id) in [("0", "0\n"), ("1", "26720\n")] {
            fs::create_dir_all(nodes.join(node)).expect("a folder");
            fs::write(nodes.join(node).join("gpu_id"), id).expect("writable");
        }
        assert_eq!(present(&dev, &nodes), Some(3));
    }

    #[cfg(unix)]
    #[test]
    fn the_driver_is_asked_where_there_are_no_device_files() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().expect("a folder");
        let program = place.path().join("nvidia-smi");
        let script = "#!/bin/sh\n[ \"$1\" = --list-gpus ] && printf 'GPU 0: A (UUID: x)\\nGPU 1: B\\n'\n";
        fs::write(&program, script).expect("writable");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it can be set");
        let path = [(OsString::from("PATH"), place.path().as_os_str().to_owned())];
        assert_eq!(told_by_driver(&path), Some(2));
        fs::write(&program, "#!/bin/sh\nexit 9\n").expect("writable");
        assert_eq!(told_by_driver(&path), None);
    }
}
