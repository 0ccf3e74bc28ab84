//! Data of a training that do not lie in a bucket already: uploaded once by their digest, as plain files, large ones in
//! parts. What lies there already is compared by its checksum, never written again, and never used because of its name.

use crate::adapters::local::DataPlaces;
use crate::adapters::local::Home;
use crate::adapters::local::SourceMaterial;
use crate::adapters::local::prepare::Preparation;
use crate::adapters::s3::CopySizes;
use crate::adapters::s3::objects::Objects;
use crate::adapters::sagemaker::keys::Keys;
use crate::adapters::sagemaker::source::occupied;
use crate::adapters::sagemaker::source::off_the_runtime;
use crate::adapters::sagemaker::source::temporary;
use crate::model::dataset::Dataset;
use crate::model::dataset::DatasetKind;
use crate::model::name::ChannelName;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::trainer::TrainingSpec;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinSet;

/// How many files are on their way at the same time.
const AT_ONCE: usize = 8;

/// A file: its path below the data, with `/` between parts, where it lies, and its size in bytes.
type PlainFile = (String, PathBuf, u64);

/// What uploading needs of this machine.
#[derive(Clone, Copy)]
pub(super) struct Machine<'a> {
    pub(super) home: &'a Home,
    /// Where data may be read.
    pub(super) places: &'a DataPlaces,
    pub(super) material: &'a Arc<dyn SourceMaterial>,
    /// Where one request ends and parts begin.
    pub(super) sizes: CopySizes,
}

impl Machine<'_> {
    /// Returns the address of a channel's data; uploads them before, where that is needed.
    pub(super) async fn place(
        &self,
        spec: &TrainingSpec,
        channel: &ChannelName,
        dataset: &Dataset,
        objects: &Objects,
        keys: Keys<'_>,
    ) -> Result<String, PortError> {
        if dataset.kind == DatasetKind::Remote || dataset.uri.starts_with("s3://") {
            return Ok(dataset.uri.clone());
        }
        let prefix = keys.data(&dataset.digest, "");
        let doing = format!("upload the data {} of channel {channel}", dataset.uri);
        let (folder, files) = self.gather(spec, channel, dataset).await?;
        self.upload(&prefix, &files, objects, &doing).await?;
        drop(folder);
        Ok(objects.location(&prefix))
    }

    /// Uploads the files, some at a time. A training job reads everything below the prefix, so nothing else may lie there.
    async fn upload(&self, prefix: &str, files: &[PlainFile], objects: &Objects, doing: &str) -> Result<(), PortError> {
        let ours: BTreeSet<&str> = files.iter().map(|(path, _, _)| path.as_str()).collect();
        let is_ours = |key: &str| key.strip_prefix(prefix).is_some_and(|path| ours.contains(path));
        let listed = objects.list(prefix, None, files.len().saturating_add(1), doing).await?;
        if let Some(key) = listed.iter().find(|key| !is_ours(key)) {
            return Err(occupied(&objects.location(key), doing));
        }
        let listed: BTreeSet<String> = listed.into_iter().collect();
        let mut waiting = files.iter();
        let mut sending: JoinSet<Result<(), PortError>> = JoinSet::new();
        loop {
            while sending.len() < AT_ONCE
                && let Some((path, file, _)) = waiting.next()
            {
                let (objects, key, file, sizes) =
                    (objects.clone(), format!("{prefix}{path}"), file.clone(), self.sizes);
                let doing = format!("{doing}: {path}");
                let lies_there = listed.contains(&key);
                sending.spawn(async move { objects.send(&key, &file, sizes, lies_there, &doing).await });
            }
            match sending.join_next().await {
                Some(Ok(sent)) => sent?,
                Some(Err(panic)) => return Err(PortError::because(PortErrorKind::Bug, doing, panic)),
                None => return Ok(()),
            }
        }
    }

    /// Puts the data into a folder, and lists it.
    async fn gather(
        &self,
        spec: &TrainingSpec,
        channel: &ChannelName,
        dataset: &Dataset,
    ) -> Result<(tempfile::TempDir, Vec<PlainFile>), PortError> {
        let (home, places, material) = (self.home.clone(), self.places.clone(), Arc::clone(self.material));
        let (spec, channel, dataset) = (spec.clone(), channel.clone(), dataset.clone());
        off_the_runtime(move || {
            let folder = temporary(&home, "data-")?;
            let notes = Vec::new();
            let preparation =
                Preparation { home: &home, places: &places, material: material.as_ref(), spec: &spec, notes };
            preparation.place(&channel, &dataset, folder.path())?;
            let listing =
                |why: String| PortError::because(PortErrorKind::Storage, format!("list the data {}", dataset.uri), why);
            let mut files = Vec::new();
            for found in walkdir::WalkDir::new(folder.path()).follow_links(true).sort_by_file_name() {
                let found = found.map_err(|error| listing(error.to_string()))?;
                if !found.file_type().is_file() {
                    continue;
                }
                let relative = found.path().strip_prefix(folder.path()).unwrap_or(found.path());
                let parts: Option<Vec<&str>> = relative.iter().map(|part| part.to_str()).collect();
                let path = parts.ok_or_else(|| listing(format!("{} is not valid text", relative.display())))?.join("/");
                let size = found.metadata().map_err(|error| listing(error.to_string()))?.len();
                files.push((path, found.path().to_owned(), size));
            }
            if files.is_empty() {
                return Err(listing("there is no file".to_owned()));
            }
            Ok((folder, files))
        })
        .await
    }
}
