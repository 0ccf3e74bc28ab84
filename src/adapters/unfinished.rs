//! Files and folders that are being made: removed where a signal ends the program before they are whole.
//!
//! Each of them removes itself where a function fails. A process that is told to end runs no such code, and of a file
//! beside a person's own nobody would ever know whose it is.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// How often a folder is removed again into which another thread still writes.
const TRIES: usize = 20;

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Says for as long as it lives that a file or folder is not whole.
#[derive(Debug)]
pub(crate) struct Unfinished(PathBuf);

/// Makes a file or folder that is not whole yet. No signal gets between its first moment and its mark.
pub(crate) fn make<T>(
    make: impl FnOnce() -> io::Result<T>,
    path: impl FnOnce(&T) -> PathBuf,
) -> io::Result<(T, Unfinished)> {
    let mut known = locked();
    let made = make()?;
    let path = path(&made);
    known.insert(path.clone());
    Ok((made, Unfinished(path)))
}

/// Removes all that is not whole. From then on nothing new is made: the caller ends the program.
pub(crate) fn remove_all() {
    let known = locked();
    known.iter().for_each(|path| remove(path));
    // Whoever makes another one now waits for the end of the program.
    std::mem::forget(known);
}

fn remove(path: &Path) {
    for _ in 0..TRIES {
        let is_folder = fs::symlink_metadata(path).is_ok_and(|about| about.is_dir());
        let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        match removed {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            // Another thread may have put something into the folder meanwhile.
            Err(_) if is_folder => std::thread::sleep(Duration::from_millis(10)),
            // `prune` knows what lies in the state directory; more cannot be done here.
            Err(_) => return,
        }
    }
}

fn locked() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    // One insertion or one removal: a panic elsewhere cannot have left it half done.
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        locked().remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_known_until_it_is_whole() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("a");
        let (_, mark) = make(|| fs::File::create_new(&path), |_| path.clone()).expect("it is made");
        assert!(locked().contains(&path));
        drop(mark);
        assert!(!locked().contains(&path) && path.exists(), "it is whole now, and stays");
        remove(&path);
        let folder = place.path().join("b");
        fs::create_dir_all(folder.join("c")).expect("folders");
        remove(&folder);
        assert_eq!(fs::read_dir(place.path()).expect("it is there").count(), 0);
    }
}
