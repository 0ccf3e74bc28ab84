//! What a local training is made of, taken from Git: the checkout of the watched paths, and data that Git tracks.
//!
//! Always from the object database of the very commit, never from the user's working tree.

use crate::adapters::git::CheckedOut;
use crate::adapters::git::GitError;
use crate::adapters::git::GitRepository;
use crate::adapters::git::ObjectKind;
use crate::adapters::git::StandIn;
use crate::adapters::local::SourceMaterial;
use crate::model::dataset::DatasetKind;
use crate::model::name::ChannelName;
use crate::model::pointer::PointedData;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::TrainingSpec;
use std::path::Path;
use std::sync::Arc;

/// Takes source and data for trainings from one repository.
pub struct GitMaterial {
    git: Arc<GitRepository>,
}

impl GitMaterial {
    /// Makes one for a repository.
    pub fn new(git: Arc<GitRepository>) -> Self {
        Self { git }
    }
}

impl SourceMaterial for GitMaterial {
    fn checkout(&self, spec: &TrainingSpec, to: &Path) -> Result<Vec<String>, PortError> {
        let commit = &spec.origin.commit;
        let out = self.git.checkout(commit, &spec.settings.watched, to);
        notes(out, || format!("check out commit {} for training {}", commit.short(), spec.name))
    }

    fn git_data(
        &self,
        spec: &TrainingSpec,
        channel: &ChannelName,
        to: &Path,
    ) -> Result<Option<Vec<String>>, PortError> {
        let tracked = spec.origin.datasets.get(channel).filter(|dataset| dataset.kind == DatasetKind::Git);
        let Some(source) = spec.settings.data.get(channel) else { return Ok(None) };
        let path = source.uri.trim_start_matches("./");
        let doing = || format!("check out the data {path} for training {}", spec.name);
        // With `version_from`, the manifest is what Git identified; the data may lie outside.
        let object = self.git.tree_object(&spec.origin.commit, path).map_err(|error| failed(doing(), error))?;
        let holds = object.is_some_and(|object| {
            matches!(object.kind, ObjectKind::File | ObjectKind::Executable | ObjectKind::Folder)
        });
        if tracked.is_none() || !holds {
            return Ok(None);
        }
        notes(self.git.checkout_data(&spec.origin.commit, path, to), doing).map(Some)
    }

    fn pointed(&self, spec: &TrainingSpec, channel: &ChannelName) -> Result<Vec<PointedData>, PortError> {
        let Some(source) = spec.settings.data.get(channel) else { return Ok(Vec::new()) };
        let doing = || format!("find the data {} for training {}", source.uri, spec.name);
        let path = source.version_from.as_deref().unwrap_or(&source.uri).trim_start_matches("./");
        let pointer = self.git.pointer(&spec.origin.commit, path).map_err(|error| failed(doing(), error))?;
        if let Some(pointer) = pointer {
            return Ok(pointer.data);
        }
        let inside = self.git.data_stand_ins(&spec.origin.commit, path).map_err(|error| failed(doing(), error))?;
        Ok(inside.into_iter().flat_map(StandIn::into_pointed).collect())
    }
}

fn notes(out: Result<CheckedOut, GitError>, doing: impl Fn() -> String) -> Result<Vec<String>, PortError> {
    let out = out.map_err(|error| failed(doing(), error))?;
    Ok(out.notes.iter().map(ToString::to_string).collect())
}

fn failed(doing: String, error: GitError) -> PortError {
    let kind = match &error {
        GitError::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => PortErrorKind::DiskFull,
        GitError::Write { .. } => PortErrorKind::Storage,
        _ => PortErrorKind::Configuration,
    };
    PortError::because(kind, doing, error)
}
