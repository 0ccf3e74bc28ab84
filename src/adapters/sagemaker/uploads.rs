//! Data of a training that do not lie in a bucket already: uploaded once by their digest, as plain files, large ones in
//! parts. What lies there already is compared, never written again.

use crate::adapters::local::DataPlaces;
use crate::adapters::local::Home;
use crate::adapters::local::SourceMaterial;
use crate::adapters::local::prepare::Preparation;
use crate::adapters::s3::CopySizes;
use crate::adapters::s3::objects::Objects;
use crate::adapters::sagemaker::keys::Keys;
use crate::adapters::sagemaker::source::off_the_runtime;
use crate::adapters::sagemaker::source::temporary;
use crate::model::dataset::Dataset;
use crate::model::dataset::DatasetKind;
use crate::model::name::ChannelName;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::trainer::TrainingSpec;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A file: its path below the data, with `/` between parts, where it lies, and its size in bytes.
type PlainFile = (String, PathBuf, u64);

/// What uploading needs of this machine.
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
        let prefix = objects.location(&keys.data(&dataset.digest, ""));
        let complete = keys.data_complete(&dataset.digest);
        let doing = format!("upload the data {} of channel {channel}", dataset.uri);
        if self.lie_there(objects, keys, dataset, &doing).await? {
            return Ok(prefix);
        }
        let (folder, files) = self.gather(spec, channel, dataset).await?;
        for (path, file, _) in &files {
            let doing = format!("upload {path} of the data {} of channel {channel}", dataset.uri);
            objects.send(&keys.data(&dataset.digest, path), file, self.sizes, &doing).await?;
        }
        let list: Vec<(&String, &u64)> = files.iter().map(|(path, _, size)| (path, size)).collect();
        objects.create_json(&complete, &list, &doing).await?;
        drop(folder);
        Ok(prefix)
    }

    /// Tells whether data were uploaded before, and every file of them still lies there.
    ///
    /// The mark alone says nothing of what somebody, or a rule of the bucket, took away since.
    async fn lie_there(
        &self,
        objects: &Objects,
        keys: Keys<'_>,
        dataset: &Dataset,
        doing: &str,
    ) -> Result<bool, PortError> {
        let complete = keys.data_complete(&dataset.digest);
        let Some(wanted) = objects.get_json::<Vec<(String, u64)>>(&complete, doing).await? else { return Ok(false) };
        let folder = keys.data(&dataset.digest, "");
        let there = objects.list_while(&folder, None, usize::MAX, |_| true, doing).await?;
        let there: BTreeMap<&str, u64> =
            there.iter().filter_map(|listed| Some((listed.key.strip_prefix(&folder)?, listed.size))).collect();
        Ok(wanted.value.iter().all(|(path, size)| there.get(path.as_str()) == Some(size)))
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
            let preparation = Preparation { home: &home, places: &places, material: material.as_ref(), spec: &spec };
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
