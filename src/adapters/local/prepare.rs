//! Preparing a training: everything that its command will find, put together aside and then given its name at once.

use crate::adapters::local::contract::MlPaths;
use crate::adapters::local::data_store::DataStore;
use crate::adapters::local::files::DataFile;
use crate::adapters::local::files::files_of;
use crate::adapters::local::files::refuse_pointer;
use crate::adapters::local::folder::Card;
use crate::adapters::local::folder::TrainingFolder;
use crate::adapters::local::folder::take_lock;
use crate::adapters::local::home::Home;
use crate::adapters::local::home::storage_error;
use crate::adapters::local::home::sync_folder;
use crate::adapters::local::pointed;
use crate::adapters::local::python_path;
use crate::adapters::local::reach::DataPlaces;
use crate::adapters::local::reach::PlaceError;
use crate::adapters::local::records::write_json_aside;
use crate::adapters::unfinished;
use crate::model::dataset::Dataset;
use crate::model::dataset::DatasetKind;
use crate::model::name::ChannelName;
use crate::model::pointer::PointedData;
use crate::ports::error::PortError;
use crate::ports::error::PortErrorKind;
use crate::ports::trainer::TrainingSpec;
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

    /// Returns what the commit only points at of a channel's data: all of it, or single files of a folder.
    fn pointed(&self, spec: &TrainingSpec, channel: &ChannelName) -> Result<Vec<PointedData>, PortError>;
}

/// Prepares trainings in a home.
pub struct Preparation<'a> {
    /// The home.
    pub home: &'a Home,
    /// Where data may be read.
    pub places: &'a DataPlaces,
    /// What a commit holds.
    pub material: &'a dyn SourceMaterial,
    /// What is prepared.
    pub spec: &'a TrainingSpec,
    /// What is said at the beginning of its log.
    pub notes: Vec<String>,
}

impl Preparation<'_> {
    /// Prepares the training under its name. `false`: somebody else was faster, and theirs is as good.
    pub(super) fn run(&self, folder: &TrainingFolder) -> Result<bool, PortError> {
        self.home.ensure()?;
        let aside = self.home.temporary();
        let failed = |error| storage_error("prepare the training", &aside, error);
        // Dropping it removes it, whatever fails from here on.
        let beside = || tempfile::Builder::new().prefix("training-").tempdir_in(&aside);
        let (temporary, _mark) = unfinished::make(beside, |made| made.path().to_owned()).map_err(failed)?;
        self.fill(temporary.path(), folder)?;

        // The lock first: from its name on, the training is found among the open ones.
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.lock_path())
            .map_err(|error| storage_error("open the training", folder.lock_path(), error))?;
        let mut named = fs::rename(temporary.path(), folder.path());
        if named.is_err() && folder.exists() && !folder.is_whole() {
            clear_remains(folder)?;
            named = fs::rename(temporary.path(), folder.path());
        }
        match named {
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
        let mut notes = self.notes.clone();
        notes.extend(self.material.checkout(self.spec, &code)?);
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
        python_path::write(aside, self.places.root())
            .map_err(|error| storage_error("prepare the training", aside, error))?;
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
            DatasetKind::Git => {
                let notes = self.material.git_data(self.spec, channel, to)?;
                let notes = notes.ok_or_else(|| unusable("the commit does not hold it any more"))?;
                let pointed = self.material.pointed(self.spec, channel)?;
                self.place_inside(dataset, &pointed, to)?;
                // The notes of the checkout are about the pointers, and those were replaced.
                Ok(if pointed.is_empty() { notes } else { Vec::new() })
            }
            DatasetKind::Local if !by_manifest => {
                let store = DataStore::new(self.home);
                store.keep(&dataset.digest, || self.resolve(&dataset.uri), &dataset.uri)?;
                store.place(&dataset.digest, file_name(&dataset.uri), to).map(|()| Vec::new())
            }
            DatasetKind::Pointer => {
                let pointed = self.material.pointed(self.spec, channel)?;
                if pointed.is_empty() {
                    return Err(unusable("the commit has no pointer to it any more"));
                }
                self.place_pointed(dataset, pointed, to).map(|()| Vec::new())
            }
            DatasetKind::Local | DatasetKind::Stated => self.place_as_it_lies(dataset, to).map(|()| Vec::new()),
            DatasetKind::Remote => Err(unusable("the local trainer reads no object store")
                .hint("Name a path on this machine in `data`, or use the SageMaker trainer.")),
        }
    }

    /// Copies data as they lie on this machine: what says which they are (`version`, a manifest) is believed.
    fn place_as_it_lies(&self, dataset: &Dataset, to: &Path) -> Result<(), PortError> {
        let uri = &dataset.uri;
        let unusable =
            |why: String| PortError::because(PortErrorKind::Configuration, format!("use the data {uri}"), why);
        let from = self.resolve(uri)?;
        let files = if from.is_dir() {
            files_of(&from, uri).map_err(unusable)?
        } else {
            vec![DataFile { path: file_name(uri).to_owned(), shown: uri.clone(), at: from }]
        };
        for file in files {
            refuse_pointer(&file.at, &file.shown).map_err(unusable)?;
            let copy = to.join(&file.path);
            let copying = |error| storage_error("copy the data", &copy, error);
            fs::create_dir_all(copy.parent().unwrap_or(to)).map_err(copying)?;
            fs::copy(&file.at, &copy).map_err(copying)?;
        }
        Ok(())
    }

    /// Puts data that the commit only points at into `to`, verified: one file under its own name, the content of one
    /// folder, or several outputs beside each other.
    fn place_pointed(&self, dataset: &Dataset, mut pointed: Vec<PointedData>, to: &Path) -> Result<(), PortError> {
        let uri = dataset.uri.trim_start_matches("./").trim_end_matches('/');
        if let [only] = pointed.as_mut_slice() {
            // A pointer that `version_from` names says which data lie at the place of `uri`.
            let describes = only.path == uri || uri.ends_with(".dvc") || uri.ends_with("dvc.lock");
            let below = uri.strip_prefix(only.path.as_str()).and_then(|rest| rest.strip_prefix('/')).map(str::to_owned);
            if !describes && below.is_none() {
                only.path = uri.to_owned();
            }
            let to = if only.is_folder { to.to_owned() } else { to.join(file_name(&only.path)) };
            return pointed::place(only, below.as_deref(), &to, self.places);
        }
        for one in &pointed {
            pointed::place(one, None, &to.join(file_name(&one.path)), self.places)?;
        }
        Ok(())
    }

    /// Puts the files into a folder of Git that the commit only points at, in place of their pointers.
    fn place_inside(&self, dataset: &Dataset, pointed: &[PointedData], to: &Path) -> Result<(), PortError> {
        let uri = dataset.uri.trim_start_matches("./").trim_end_matches('/');
        for one in pointed {
            let inside = one.path.strip_prefix(uri).map_or(file_name(&one.path), |rest| rest.trim_start_matches('/'));
            let inside = if inside.is_empty() { file_name(uri) } else { inside };
            pointed::place(one, None, &to.join(inside), self.places)?;
        }
        Ok(())
    }

    fn resolve(&self, uri: &str) -> Result<PathBuf, PortError> {
        let doing = || format!("read the data {uri}");
        self.places.resolve(uri).map_err(|error| match error {
            PlaceError::Refused(why) => PortError::because(PortErrorKind::Configuration, doing(), why),
            PlaceError::Io(error) => PortError::because(PortErrorKind::NotFound, doing(), error)
                .hint(format!("Put the data there (`dvc pull`, `git lfs pull`, or a copy), then run again: {uri}")),
        })
    }
}

fn file_name(uri: &str) -> &str {
    uri.trim_end_matches('/')
        .rsplit(['/', std::path::MAIN_SEPARATOR])
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or("data")
}

/// Removes what the command of an earlier training run left of its folder. Under its lock: whoever else prepares it must not
/// lose the whole one that they put there meanwhile.
fn clear_remains(folder: &TrainingFolder) -> Result<(), PortError> {
    let Some(lock) = take_lock(folder.lock_path())? else { return Ok(()) };
    if folder.exists() && !folder.is_whole() {
        remove_folder(folder.path()).map_err(|error| storage_error("prepare the training", folder.path(), error))?;
    }
    lock.unlock().map_err(|error| storage_error("free the lock", folder.lock_path(), error))
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
    fn a_channel_file_keeps_its_name() {
        assert_eq!(file_name("data/train.csv"), "train.csv");
        assert_eq!(file_name("/abs/folder/"), "folder");
        assert_eq!(file_name("/"), "data");
    }
}
