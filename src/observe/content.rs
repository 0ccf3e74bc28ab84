//! What a model is at a commit: watched entries, datasets, and the identities that follow from them.

use crate::adapters::git::ObjectKind;
use crate::adapters::git::StandIn;
use crate::adapters::git::WatchError;
use crate::facts::ContentFacts;
use crate::facts::ContentProblem;
use crate::facts::commit::DataProblem;
use crate::facts::commit::MissingData;
use crate::facts::commit::MissingNote;
use crate::model::command::unusable;
use crate::model::dataset::Dataset;
use crate::model::dataset::DatasetKind;
use crate::model::git::CommitSha;
use crate::model::identity::code_id;
use crate::model::identity::content_id;
use crate::model::identity::fingerprint;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::pointer::PointedData;
use crate::model::settings::DataSource;
use crate::model::settings::TrainingSettings;
use crate::observe::Observer;
use crate::observe::command;
use crate::observe::locked;
use crate::ports::PortError;
use crate::ports::Ports;
use crate::ports::Unusable;
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
                        let near = missing.near.into_iter().next();
                        let note = MissingNote::of(&missing.path, near, missing.uncommitted);
                        (missing.path, note)
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
        // A note: where a clone lacks the files, the identity stands all the same.
        let stand_ins = self.git.watched_stand_ins(commit, &settings.watched).unwrap_or_default();
        let left_out = stand_ins.iter().map(ToString::to_string).collect();
        let Data { datasets, missing: missing_data, unusable: unusable_data } =
            self.datasets(commit, settings, ports).await?;
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
            unusable_data,
            left_out,
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
    ) -> Result<Data, PortError> {
        let mut data = Data::default();
        for (channel, source) in &settings.data {
            let problem =
                |problem, why| MissingData { channel: channel.clone(), uri: source.uri.clone(), why, problem };
            match self.dataset(commit, source, ports).await? {
                Ok(found) => {
                    let unusable = ports.datasets.unusable(source, &found.dataset, &found.pointed).await?;
                    data.unusable.extend(found.broken.map(|why| problem(DataProblem::Missing, why)));
                    match unusable {
                        Some(Unusable::Refused(why)) => data.unusable.push(problem(DataProblem::Refused, why)),
                        Some(Unusable::NotHere(why)) => data.unusable.push(problem(DataProblem::NotHere, why)),
                        None => {}
                    }
                    data.datasets.insert(channel.clone(), found.dataset);
                }
                Err((kind, why)) => data.missing.push(problem(kind, why)),
            }
        }
        Ok(data)
    }

    /// Identifies one dataset: stated in the configuration, by the commit where Git tracks it or a pointer to it, else by
    /// whoever keeps data outside Git.
    async fn dataset(
        &self,
        commit: &CommitSha,
        source: &DataSource,
        ports: &Ports,
    ) -> Result<Result<Identified, (DataProblem, String)>, PortError> {
        let of = |kind: DatasetKind, digest: String| Identified {
            dataset: Dataset { uri: source.uri.clone(), kind, digest },
            pointed: Vec::new(),
            broken: None,
        };
        if let Some(version) = &source.version {
            let found = of(DatasetKind::Stated, format!("version:{version}"));
            let inside = repository_path(&source.uri).map(|path| self.git.data_stand_ins(commit, &path));
            let pointed = inside.map(|inside| pointed(inside.unwrap_or_default())).unwrap_or_default();
            return Ok(Ok(Identified { pointed, ..found }));
        }
        let identifying = source.version_from.as_deref().unwrap_or(&source.uri);
        if let Some(path) = repository_path(identifying) {
            match self.tracked(commit, &path) {
                Ok(Some((kind, digest, inside))) => {
                    let (pointed, broken) = match inside {
                        Ok(pointed) => (pointed, None),
                        Err(why) => (Vec::new(), Some(why)),
                    };
                    return Ok(Ok(Identified { pointed, broken, ..of(kind, digest) }));
                }
                Ok(None) => {}
                // A pathological file of one commit is that commit's problem, and no failure of the run.
                Err(why) => return Ok(Err((DataProblem::Missing, why))),
            }
        }
        if let Some(why) = ports.datasets.refused(source).await? {
            return Ok(Err((DataProblem::Refused, why)));
        }
        let found = ports.datasets.identify(source).await?;
        Ok(found
            .map(|dataset| Identified { dataset, pointed: Vec::new(), broken: None })
            .map_err(|why| (DataProblem::Missing, why)))
    }

    /// Identifies what the commit itself holds at a path: data, or a pointer to them. An error is a sentence for people.
    fn tracked(&self, commit: &CommitSha, path: &str) -> Result<Option<Tracked>, String> {
        if let Some(pointer) = self.git.pointer(commit, path).map_err(|error| chain(&error))? {
            let digest = pointer.hash.to_string();
            return Ok(Some((DatasetKind::Pointer, digest, Ok(pointer.data))));
        }
        let object = self.git.tree_object(commit, path).map_err(|error| chain(&error))?;
        let Some(object) = object else { return Ok(None) };
        match object.kind {
            ObjectKind::File | ObjectKind::Executable | ObjectKind::Folder => {}
            ObjectKind::Symlink => return Err("it is a symbolic link in Git: name what it points to".to_owned()),
            ObjectKind::Submodule => return Err("it is a submodule, which is not included".to_owned()),
        }
        Ok(Some((DatasetKind::Git, format!("git:{}", object.id), self.inside(commit, path))))
    }

    /// Returns what the commit only points at of data that it tracks, or why a training run would miss some of them.
    fn inside(&self, commit: &CommitSha, path: &str) -> Result<Vec<PointedData>, String> {
        let inside = self.git.data_stand_ins(commit, path).map_err(|error| chain(&error))?;
        for one in &inside {
            match one {
                StandIn::Lfs(_) | StandIn::Annex(_) | StandIn::Dvc { .. } => {}
                StandIn::Submodule(_) => return Err(format!("{one}: the data in it would be missing")),
                StandIn::Link { path, target } => {
                    return Err(format!(
                        "{path} is a link to {target}, which is not among the data of the commit: commit the file itself"
                    ));
                }
            }
        }
        if !self.git.holds_content(commit, path).map_err(|error| chain(&error))? {
            return Err(format!(
                "{path} holds no byte of data in the commit, and a training run does not get what Git ignores there: \
                 commit the data, track them with Git LFS or DVC, or remove the placeholder (such as .gitkeep) from \
                 Git, so that {path} is read as a folder outside of Git"
            ));
        }
        Ok(pointed(inside))
    }
}

/// How Git identifies data, and what it only points at of them, or why some would be missing.
type Tracked = (DatasetKind, String, Result<Vec<PointedData>, String>);

/// A dataset that is identified.
struct Identified {
    dataset: Dataset,
    /// What the commit only points at.
    pointed: Vec<PointedData>,
    /// Why a training run would get other data: a sentence for people.
    broken: Option<String>,
}

/// The data of a model.
#[derive(Default)]
struct Data {
    datasets: BTreeMap<crate::model::name::ChannelName, Dataset>,
    missing: Vec<MissingData>,
    unusable: Vec<MissingData>,
}

fn pointed(inside: Vec<StandIn>) -> Vec<PointedData> {
    inside.into_iter().flat_map(StandIn::into_pointed).collect()
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
