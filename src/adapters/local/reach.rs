//! Where data on this machine may be read: never in the system's own folders, in the state directory or in Git's; in
//! CI only in the repository and below the folders that the rules name; for a fork only in the checkout.
//!
//! Every reader of data asks here first. A place is judged after its links are resolved, and what may not be read is
//! not looked at: whether it exists stays unknown.

use crate::adapters::local::home::Home;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// Folders of the system that hold no data: what is read there is the state of processes and devices.
const SYSTEM: [&str; 3] = ["/proc", "/sys", "/dev"];

/// How far configuration reaches on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataReach {
    /// A person's own machine: any folder.
    Machine,
    /// CI: the repository, and what lies below these folders, which are the rules'.
    Below(Vec<PathBuf>),
    /// An event of somebody who may not write here: the checkout.
    Checkout,
}

/// The places where data may be read.
#[derive(Debug, Clone)]
pub struct DataPlaces {
    root: PathBuf,
    home: PathBuf,
    reach: DataReach,
    /// Where Git LFS keeps the files that pointers stand for, by their hash.
    lfs_objects: Option<PathBuf>,
}

/// Why a place is not used.
#[derive(Debug)]
pub(super) enum PlaceError {
    /// It may not be read: a sentence for people.
    Refused(String),
    /// It cannot be read.
    Io(io::Error),
}

impl DataPlaces {
    /// Names the places of one repository. Relative paths begin at `root`, the root of the main working tree.
    pub fn new(home: &Home, root: PathBuf, reach: DataReach) -> Self {
        Self { root: real(&root).unwrap_or(root), home: home.root().to_owned(), reach, lfs_objects: None }
    }

    /// Adds the folder where Git LFS keeps its objects.
    pub fn with_lfs_objects(self, folder: PathBuf) -> Self {
        Self { lfs_objects: Some(folder), ..self }
    }

    /// Returns the root of the main working tree.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns where Git LFS keeps the file of a hash, whether it exists or not.
    pub(super) fn lfs_object(&self, sha256: &str) -> Option<PathBuf> {
        let (one, two) = (sha256.get(..2)?, sha256.get(2..4)?);
        Some(self.lfs_objects.as_ref()?.join(one).join(two).join(sha256))
    }

    /// Returns where a path leads, with its links resolved, if it may be read.
    pub(super) fn resolve(&self, uri: &str) -> Result<PathBuf, PlaceError> {
        let path = self.root.join(uri);
        if let Some(why) = self.refused_as(&path) {
            return Err(PlaceError::Refused(format!("{uri} {why}")));
        }
        let real = fs::canonicalize(&path).map_err(PlaceError::Io)?;
        match self.refused_as(&real).or_else(|| self.holds_what_is_refused(&real)) {
            Some(why) if real == path => Err(PlaceError::Refused(format!("{uri} {why}"))),
            Some(why) => Err(PlaceError::Refused(format!("{uri} leads to {}, which {why}", real.display()))),
            None => Ok(real),
        }
    }

    /// Returns where a path is looked for, before its links are resolved.
    pub(super) fn looked_for(&self, uri: &str) -> PathBuf {
        self.root.join(uri)
    }

    /// Tells why a path may not be read. What cannot be looked at because it is missing is no reason.
    pub(super) fn refused(&self, uri: &str) -> Option<String> {
        match self.resolve(uri) {
            Err(PlaceError::Refused(why)) => Some(why),
            Ok(_) | Err(PlaceError::Io(_)) => None,
        }
    }

    /// Tells whether the reach ends at the checkout.
    pub(super) fn is_checkout_only(&self) -> bool {
        self.reach == DataReach::Checkout
    }

    /// Completes "PATH …" for a path that may not be read.
    fn refused_as(&self, path: &Path) -> Option<String> {
        let below = |folder: &Path| path.starts_with(folder) || real(folder).is_some_and(|real| path.starts_with(real));
        if let Some(system) = SYSTEM.iter().find(|system| path.starts_with(system)) {
            return Some(format!("is in {system}, a folder of the system: name a file or folder that holds data"));
        }
        if below(&self.home) {
            return Some(
                "is in Branchline's state directory: keep data in another folder, and name that in `data`".to_owned(),
            );
        }
        if path.components().any(|part| part.as_os_str() == OsStr::new(".git")) {
            return Some("is in a Git directory: keep data in another folder, and name that in `data`".to_owned());
        }
        let roots: &[PathBuf] = match &self.reach {
            DataReach::Machine => return None,
            DataReach::Below(roots) => roots,
            DataReach::Checkout => &[],
        };
        let leaves = path.components().any(|part| part.as_os_str() == OsStr::new(".."));
        if !leaves && (below(&self.root) || roots.iter().any(|root| below(root))) {
            return None;
        }
        Some(match &self.reach {
            DataReach::Checkout => "is outside of the checkout, and Branchline reads nothing there for an event of a \
                                    fork: a push to this repository may read it"
                .to_owned(),
            DataReach::Below(_) | DataReach::Machine => {
                "is outside of the repository, where a CI job reads data only below the folders of `data_roots`: add \
                 its folder to `data_roots` in the branchline.yaml of the default branch"
                    .to_owned()
            }
        })
    }

    /// Tells why a folder may not be read for what lies in it.
    fn holds_what_is_refused(&self, folder: &Path) -> Option<String> {
        let holds =
            |inner: &Path| inner.starts_with(folder) || real(inner).is_some_and(|real| real.starts_with(folder));
        if folder == Path::new("/") || (folder.is_dir() && holds(&self.home)) {
            return Some("holds Branchline's state directory: name the folder that holds only the data".to_owned());
        }
        // A folder, or in a worktree and a submodule a file that names it.
        if fs::symlink_metadata(folder.join(".git")).is_ok() {
            return Some("holds a `.git`, another repository: name a folder that holds only the data".to_owned());
        }
        None
    }
}

fn real(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    struct World {
        folder: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            for path in ["repo/data", "repo/.git/branchline", "mnt/sets", "private", "home"] {
                fs::create_dir_all(folder.path().join(path)).expect("it can be made");
            }
            for path in ["repo/data/a.csv", "mnt/sets/b.csv", "private/key", "home/x", "repo/.git/config"] {
                fs::write(folder.path().join(path), "x").expect("it can be written");
            }
            Self { folder }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.folder.path().join(path)
        }

        fn link(&self, path: &str, to: &Path) {
            std::os::unix::fs::symlink(to, self.at(path)).expect("it can be linked");
        }

        fn why(&self, reach: DataReach, uri: &str) -> Option<String> {
            DataPlaces::new(&Home::at(self.at("home")), self.at("repo"), reach).refused(uri)
        }
    }

    #[test]
    fn the_system_the_state_and_git_are_refused_everywhere() {
        let world = World::new();
        world.link("repo/environ", Path::new("/proc/self/environ"));
        world.link("repo/state", &world.at("home"));
        let roots = DataReach::Below(vec![PathBuf::from("/")]);
        for reach in [DataReach::Machine, roots, DataReach::Checkout] {
            for uri in ["/proc/self/environ", "/sys/kernel", "/dev/zero", "environ", "state/x", ".git/config", "/"] {
                assert!(world.why(reach.clone(), uri).is_some(), "{uri} {reach:?}");
            }
            for path in ["home/x", "home", "repo/.git/config"] {
                let uri = world.at(path).display().to_string();
                assert!(world.why(reach.clone(), &uri).is_some(), "{uri} {reach:?}");
            }
            assert_eq!(world.why(reach.clone(), "data/a.csv"), None);
            assert_eq!(world.why(reach, "data/none.csv"), None);
        }
        let above = world.folder.path().display().to_string();
        assert!(world.why(DataReach::Machine, &above).is_some_and(|why| why.contains("state directory")));
    }

    #[test]
    fn another_repository_is_no_data() {
        let world = World::new();
        fs::create_dir_all(world.at("repo/nested/.git")).expect("it can be made");
        fs::create_dir_all(world.at("repo/linked")).expect("it can be made");
        fs::write(world.at("repo/linked/.git"), "gitdir: ../x").expect("it can be written");
        for uri in ["nested", "linked"] {
            let why = world.why(DataReach::Machine, uri).expect("it is refused");
            assert!(why.starts_with(&format!("{uri} holds a `.git`")), "{why}");
        }
    }

    #[test]
    fn in_ci_data_outside_of_the_repository_need_a_rule() {
        let world = World::new();
        world.link("repo/out", &world.at("private"));
        world.link("mnt/sets/out", &world.at("private/key"));
        let [set, key] = ["mnt/sets/b.csv", "private/key"].map(|path| world.at(path).display().to_string());
        let beside = format!("{}-2/b.csv", world.at("mnt/sets").display());
        let dotted = world.at("mnt/sets/../../private/key").display().to_string();
        let linked = world.at("mnt/sets/out").display().to_string();
        let ci = DataReach::Below(vec![world.at("mnt/sets")]);
        assert_eq!(world.why(ci.clone(), &set), None);
        for uri in [&key, &beside, &dotted, &linked, "out/key"] {
            assert!(world.why(ci.clone(), uri).is_some_and(|why| why.contains("`data_roots`")), "{uri}");
        }
        // Whether it exists is not looked at.
        assert!(world.why(ci, "/etc/no-such-file").is_some());
        assert_eq!(world.why(DataReach::Machine, &key), None);
        assert_eq!(world.why(DataReach::Machine, "out/key"), None);
    }

    #[test]
    fn an_event_of_a_fork_reads_the_checkout_only() {
        let world = World::new();
        world.link("repo/out", &world.at("mnt/sets"));
        let set = world.at("mnt/sets/b.csv").display().to_string();
        for uri in [&set, "out/b.csv"] {
            assert!(world.why(DataReach::Checkout, uri).is_some_and(|why| why.contains("fork")), "{uri}");
        }
    }
}
