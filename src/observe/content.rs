//! What a model is at a commit: watched entries, datasets, and the identities that follow from them.

use crate::adapters::git::ObjectKind;
use crate::adapters::git::WatchError;
use crate::facts::ContentFacts;
use crate::facts::ContentProblem;
use crate::facts::commit::MissingData;
use crate::model::command::unusable;
use crate::model::dataset::Dataset;
use crate::model::dataset::DatasetKind;
use crate::model::git::CommitSha;
use crate::model::identity::code_id;
use crate::model::identity::content_id;
use crate::model::identity::fingerprint;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::settings::DataSource;
use crate::model::settings::TrainingSettings;
use crate::observe::Observer;
use crate::observe::command;
use crate::observe::locked;
use crate::observe::unreadable;
use crate::ports::PortError;
use crate::ports::Ports;
use std::collections::BTreeMap;

impl Observer {
    /// Reads what a model is at a commit, as one stage would train it. Read once, then remembered: a run judges
    /// one observation of the data.
    pub async fn content(
        &self,
        commit: &CommitSha,
        model: &ModelName,
        stage: &StageName,
        ports: &Ports,
    ) -> Result<Result<ContentFacts, ContentProblem>, PortError> {
        let key = (commit.clone(), model.clone(), stage.clone());
        if let Some(known) = locked(&self.contents).get(&key) {
            return Ok(known.clone());
        }
        let read = self.read_content(commit, model, stage, ports).await?;
        locked(&self.contents).insert(key, read.clone());
        Ok(read)
    }

    async fn read_content(
        &self,
        commit: &CommitSha,
        model: &ModelName,
        stage: &StageName,
        ports: &Ports,
    ) -> Result<Result<ContentFacts, ContentProblem>, PortError> {
        let config = self.config_at(commit);
        let settings = match &config {
            Ok(config) => match config.models.get(model).and_then(|model| model.settings.get(stage)) {
                Some(settings) => settings,
                None => return Ok(Err(ContentProblem::NoSuchModel)),
            },
            Err(why) => return Ok(Err(ContentProblem::Unreadable { why: why.clone() })),
        };
        let entries = match self.git.watched_entries(commit, &settings.watched) {
            Ok(entries) => entries,
            Err(WatchError::Missing { paths, .. }) => {
                let paths = paths
                    .into_iter()
                    .map(|missing| {
                        let note =
                            if missing.uncommitted { Some(format!("{} is not committed", missing.path)) } else { None };
                        let near = missing.near.into_iter().next();
                        (missing.path, near.or(note))
                    })
                    .collect();
                return Ok(Err(ContentProblem::MissingPaths { paths }));
            }
            Err(error @ WatchError::Git(_)) => {
                return Ok(Err(ContentProblem::Unreadable { why: chain(&error) }));
            }
        };
        let at_commit = command::AtCommit { git: &self.git, commit, entries: &entries };
        let unusable_file = settings.command.as_deref().and_then(|command| unusable(command, &at_commit));
        let code_id = code_id(settings, &entries);
        let (datasets, missing_data) = self.datasets(commit, settings, ports).await?;
        let (image_digest, missing_image) = match &settings.image {
            Some(image) => match ports.trainer.image_digest(stage, image).await? {
                Ok(digest) => (digest, None),
                Err(why) => (None, Some(why)),
            },
            None => (None, None),
        };
        let identified = missing_data.is_empty() && missing_image.is_none();
        Ok(Ok(ContentFacts {
            content: content_id(&code_id, &datasets),
            fingerprint: identified.then(|| fingerprint(&code_id, &datasets, image_digest.as_deref())),
            code_id,
            datasets,
            missing_data,
            signature: settings.signature.clone(),
            hyperparameters: settings.hyperparameters.clone(),
            image: settings.image.clone(),
            image_digest,
            missing_image,
            cloud: settings.cloud.clone(),
            max_runtime: settings.max_runtime,
            serve: settings.serve.clone(),
            unusable_file,
        }))
    }

    async fn datasets(
        &self,
        commit: &CommitSha,
        settings: &TrainingSettings,
        ports: &Ports,
    ) -> Result<(BTreeMap<crate::model::name::ChannelName, Dataset>, Vec<MissingData>), PortError> {
        let (mut datasets, mut missing) = (BTreeMap::new(), Vec::new());
        for (channel, source) in &settings.data {
            match self.dataset(commit, source, ports).await? {
                Ok(dataset) => {
                    datasets.insert(channel.clone(), dataset);
                }
                Err(why) => {
                    missing.push(MissingData { channel: channel.clone(), uri: source.uri.clone(), why });
                }
            }
        }
        Ok((datasets, missing))
    }

    /// Identifies one dataset: stated by hand, by the commit where Git tracks it or a pointer to it, else by
    /// whoever keeps data outside Git.
    async fn dataset(
        &self,
        commit: &CommitSha,
        source: &DataSource,
        ports: &Ports,
    ) -> Result<Result<Dataset, String>, PortError> {
        let of = |kind: DatasetKind, digest: String| Ok(Ok(Dataset { uri: source.uri.clone(), kind, digest }));
        if let Some(version) = &source.version {
            return of(DatasetKind::Stated, format!("version:{version}"));
        }
        let identifying = source.version_from.as_deref().unwrap_or(&source.uri);
        if let Some(path) = repository_path(identifying) {
            let doing = format!("identify the data {}", source.uri);
            if let Some(pointer) = self.git.pointer(commit, &path).map_err(|error| unreadable(&doing, error))? {
                return of(DatasetKind::Pointer, format!("{}:{}", pointer.algorithm, pointer.value));
            }
            let object = self.git.tree_object(commit, &path).map_err(|error| unreadable(&doing, error))?;
            if let Some(object) = object {
                return match object.kind {
                    ObjectKind::File | ObjectKind::Executable | ObjectKind::Folder => {
                        of(DatasetKind::Git, format!("git:{}", object.id))
                    }
                    ObjectKind::Symlink => Ok(Err("it is a symbolic link in Git: name what it points to".to_owned())),
                    ObjectKind::Submodule => Ok(Err("it is a submodule, which is not included".to_owned())),
                };
            }
        }
        ports.datasets.identify(source).await
    }
}

/// Returns a path that Git could track: relative, inside the repository, normalised.
fn repository_path(uri: &str) -> Option<String> {
    if uri.contains("://") || uri.starts_with('/') {
        return None;
    }
    let parts: Vec<&str> = uri.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
