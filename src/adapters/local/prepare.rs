//! Preparing a training: everything that its command will find, put together aside and then given its name at once.

use crate::adapters::local::blob::hash_file;
use crate::adapters::local::contract::MlPaths;
use crate::adapters::local::data_store::DataStore;
use crate::adapters::local::folder::Card;
use crate::adapters::local::folder::TrainingFolder;
use crate::adapters::local::folder::write_json_aside;
use crate::adapters::local::home::Home;
use crate::adapters::local::home::storage_error;
use crate::adapters::local::home::sync_folder;
use crate::adapters::local::python_path;
use crate::model::dataset::Dataset;
use crate::model::dataset::DatasetKind;
use crate::model::name::ChannelName;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use crate::ports::trainer::TrainingSpec;
use md5::Digest as _;
use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// Writes what a commit holds, from the object database and never from a working tree.
pub trait SourceMaterial: Send + Sync {
    /// Writes exactly the specification's entries at its commit into `to`, an empty folder. Returns what a person
    /// should know, such as a submodule that was left out.
    fn checkout(&self, spec: &TrainingSpec, to: &Path) -> Result<Vec<String>, PortError>;

    /// Writes the data of a channel into `to`, an empty folder: a file under its own name, a folder's content.
    ///
    /// `Ok(None)`: the commit does not hold the data themselves, because they are not tracked, or because what is
    /// tracked only points at them (DVC, LFS).
    fn git_data(&self, spec: &TrainingSpec, channel: &ChannelName, to: &Path)
    -> Result<Option<Vec<String>>, PortError>;
}

/// Prepares trainings in a home.
pub struct Preparation<'a> {
    /// The home.
    pub home: &'a Home,
    /// The root of the main working tree: where relative local paths begin.
    pub root: &'a Path,
    /// What a commit holds.
    pub material: &'a dyn SourceMaterial,
    /// What is prepared.
    pub spec: &'a TrainingSpec,
}

impl Preparation<'_> {
    /// Prepares the training under its name. `false`: somebody else was faster, and theirs is as good.
    pub(super) fn run(&self, folder: &TrainingFolder) -> Result<bool, PortError> {
        self.home.ensure()?;
        let aside = self.home.temporary();
        let failed = |error| storage_error("prepare the training", &aside, error);
        // Dropping it removes it, whatever fails from here on.
        let temporary = tempfile::Builder::new().prefix("training-").tempdir_in(&aside).map_err(failed)?;
        self.fill(temporary.path(), folder)?;

        // The lock first: from its name on, the training is found among the open ones.
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.lock_path())
            .map_err(|error| storage_error("open the training", folder.lock_path(), error))?;
        match fs::rename(temporary.path(), folder.path()) {
            Ok(()) => {
                // Its name is another one now; there is nothing left to remove.
                let _ = temporary.keep();
                sync_folder(&self.home.trainings()).map_err(failed)?;
                Ok(true)
            }
            // The kind of error for "exists and is not empty" differs between systems.
            Err(_) if folder.exists() => {
                if folder.end()?.is_some() {
                    let _ = fs::remove_file(folder.lock_path());
                }
                Ok(false)
            }
            Err(error) => Err(storage_error("prepare the training", folder.path(), error)),
        }
    }

    fn fill(&self, aside: &Path, folder: &TrainingFolder) -> Result<(), PortError> {
        let code = aside.join("code");
        fs::create_dir(&code).map_err(|error| storage_error("prepare the training", &code, error))?;
        let paths = MlPaths::new(aside.join("ml"), code.clone());
        paths.create(self.spec).map_err(|error| storage_error("prepare the training", folder.path(), error))?;
        let mut notes = self.material.checkout(self.spec, &code)?;
        for (channel, dataset) in &self.spec.origin.datasets {
            let to = paths.channel(channel);
            fs::create_dir_all(&to).map_err(|error| storage_error("prepare the data", &to, error))?;
            notes.extend(self.place(channel, dataset, &to)?);
        }
        let card = Card {
            name: self.spec.name.clone(),
            project: self.spec.project.clone(),
            attempt: self.spec.attempt,
            origin: self.spec.origin.clone(),
        };
        python_path::write(aside, self.root).map_err(|error| storage_error("prepare the training", aside, error))?;
        write_json_aside(&aside.join("notes.json"), &notes)?;
        write_json_aside(&aside.join("spec.json"), self.spec)?;
        write_json_aside(&aside.join("training.json"), &card)?;
        sync_folder(aside).map_err(|error| storage_error("prepare the training", aside, error))
    }

    /// Puts the data of a channel into `to`, an empty folder.
    pub fn place(&self, channel: &ChannelName, dataset: &Dataset, to: &Path) -> Result<Vec<String>, PortError> {
        let unusable = |why: &str| {
            PortError::because(
                PortErrorKind::Configuration,
                format!("provide channel {channel} ({})", dataset.uri),
                why.to_owned(),
            )
        };
        let by_manifest = self.spec.settings.data.get(channel).is_some_and(|source| source.version_from.is_some());
        match dataset.kind {
            DatasetKind::Git => self
                .material
                .git_data(self.spec, channel, to)?
                .ok_or_else(|| unusable("the commit does not hold it any more")),
            DatasetKind::Local if !by_manifest => {
                DataStore::new(self.home).place(&dataset.digest, file_name(&dataset.uri), to).map(|()| Vec::new())
            }
            DatasetKind::Local => self.place_as_it_lies(dataset, to).map(|()| Vec::new()),
            DatasetKind::Pointer | DatasetKind::Stated => match self.material.git_data(self.spec, channel, to)? {
                Some(notes) => Ok(notes),
                None => self.place_as_it_lies(dataset, to).map(|()| Vec::new()),
            },
            DatasetKind::Remote => Err(unusable("the local trainer reads no object store")
                .hint("Name a path on this machine in `data`, or use the SageMaker trainer.")),
        }
    }

    /// Copies data from the working tree's side, and compares them with the hash that a pointer file records.
    fn place_as_it_lies(&self, dataset: &Dataset, to: &Path) -> Result<(), PortError> {
        let uri = dataset.uri.strip_suffix(".dvc").unwrap_or(&dataset.uri);
        let from = self.root.join(uri);
        let reading = |error| {
            PortError::because(PortErrorKind::NotFound, format!("read the data {}", from.display()), error)
                .hint(format!("Put the data there (`dvc pull`, `git lfs pull`, or a copy), then run again: {uri}"))
        };
        if !fs::metadata(&from).map_err(reading)?.is_dir() {
            let copy = to.join(file_name(uri));
            fs::copy(&from, &copy).map_err(|error| storage_error("copy the data", &copy, error))?;
            return check_pointer(dataset, &copy);
        }
        for found in walkdir::WalkDir::new(&from).min_depth(1).follow_links(true).sort_by_file_name() {
            let found = found.map_err(|error| reading(error.into()))?;
            let copy = to.join(found.path().strip_prefix(&from).unwrap_or(found.path()));
            let copied = if found.file_type().is_dir() {
                fs::create_dir_all(&copy)
            } else {
                fs::copy(found.path(), &copy).map(|_| ())
            };
            copied.map_err(|error| storage_error("copy the data", &copy, error))?;
        }
        check_pointer(dataset, to)
    }
}

/// Compares what was copied with the hash in a pointer file. A stated version (`version:`) is believed.
fn check_pointer(dataset: &Dataset, copy: &Path) -> Result<(), PortError> {
    if dataset.kind != DatasetKind::Pointer {
        return Ok(());
    }
    let reading = |error| storage_error("read the data", copy, error);
    let found = if dataset.digest.starts_with("sha256:") {
        hash_file(copy, &mut |_| {}).map(|(digest, _)| format!("sha256:{digest}")).map_err(reading)?
    } else if dataset.digest.starts_with("md5:") && dataset.digest.ends_with(".dir") {
        format!("md5:{}.dir", dvc_folder_hash(copy).map_err(reading)?)
    } else if dataset.digest.starts_with("md5:") {
        format!("md5:{}", md5_of(copy).map_err(reading)?)
    } else {
        return Ok(());
    };
    if found == dataset.digest {
        return Ok(());
    }
    Err(PortError::because(
        PortErrorKind::Configuration,
        format!("use the data {}", dataset.uri),
        format!("they are {found} here, but the commit's pointer file says {}", dataset.digest),
    )
    .hint(
        "Bring the data to the state of the commit (`dvc checkout`, `git lfs pull`), or commit the new pointer file.",
    ))
}

fn md5_of(path: &Path) -> io::Result<String> {
    let mut hasher = md5::Md5::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hex::encode(hasher.finalize()))
}

/// Hashes a folder as DVC does for its `.dir` files: the MD5 of the JSON list of its files, as Python writes it,
/// sorted by path (`dvc-data`, `hashfile/tree.py`).
fn dvc_folder_hash(dir: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for found in walkdir::WalkDir::new(dir).min_depth(1) {
        let found = found?;
        if found.file_type().is_file() {
            let relative = found.path().strip_prefix(dir).unwrap_or(found.path()).to_owned();
            let parts: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            files.push((parts.join("/"), md5_of(found.path())?));
        }
    }
    files.sort();
    let list: Vec<String> =
        files.iter().map(|(path, md5)| format!("{{\"md5\": \"{md5}\", \"relpath\": {}}}", python_json(path))).collect();
    Ok(hex::encode(md5::Md5::digest(format!("[{}]", list.join(", ")))))
}

/// Writes text as Python's `json.dumps` does: ASCII only.
fn python_json(text: &str) -> String {
    let quoted = serde_json::Value::String(text.to_owned()).to_string();
    let mut ascii = String::new();
    for unit in quoted.chars() {
        if unit.is_ascii() {
            ascii.push(unit);
        } else {
            let mut units = [0; 2];
            for code in unit.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{code:04x}"));
            }
        }
    }
    ascii
}

fn file_name(uri: &str) -> &str {
    uri.trim_end_matches('/')
        .rsplit(['/', std::path::MAIN_SEPARATOR])
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or("data")
}

/// Removes a folder whatever modes a training left in it.
pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path)?;
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

fn make_writable(path: &Path) -> io::Result<()> {
    let mut folders: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        #[cfg(unix)]
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_hashes_as_dvc_hashes_it() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::create_dir(folder.path().join("sub")).expect("it can be made");
        fs::write(folder.path().join("b.csv"), "2\n").expect("it can be written");
        fs::write(folder.path().join("sub/ä.csv"), "1\n").expect("it can be written");
        // python3: hashlib.md5(json.dumps([{"md5": hashlib.md5(b"2\n").hexdigest(), "relpath": "b.csv"},
        //          {"md5": hashlib.md5(b"1\n").hexdigest(), "relpath": "sub/ä.csv"}]).encode()).hexdigest()
        assert_eq!(dvc_folder_hash(folder.path()).expect("it can be read"), "b3ab983b3c0b98018509b732613a7223");
    }

    #[test]
    fn a_channel_file_keeps_its_name() {
        assert_eq!(file_name("data/train.csv"), "train.csv");
        assert_eq!(file_name("/abs/folder/"), "folder");
        assert_eq!(file_name("/"), "data");
    }
}
