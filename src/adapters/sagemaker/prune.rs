//! What ended trainings left in the bucket, for `prune`: their output, their model, what they were given.
//!
//! The name of a job is taken for ever, so a training run that is removed stays as two small records: what it was, and
//! that it was removed. The same content then trains again, as the next attempt. Deliberately absent: trainings
//! whose end is not written down, sources and data, which several trainings share and none of them owns, and the jobs
//! and logs in SageMaker.

use crate::adapters::s3::objects::Listed;
use crate::adapters::s3::objects::Objects;
use crate::adapters::s3::objects::Replaced;
use crate::adapters::sagemaker::end::EndRecord;
use crate::adapters::sagemaker::look::Inner;
use crate::adapters::sagemaker::look::Layout;
use crate::facts::holdings::Held;
use crate::facts::holdings::HeldTraining;
use crate::model::name::ProjectName;
use crate::model::name::StageName;
use crate::model::name::TrainingName;
use crate::model::training::StopCause;
use crate::model::training::TrainingState;
use crate::ports::PortError;
use crate::ports::PortErrorKind;
use crate::ports::trainer::TrainingSpec;
use serde_json::Value;
use std::collections::BTreeMap;

/// What the folder of a training has.
#[derive(Default)]
struct Folder {
    spec: bool,
    end: bool,
    /// Of everything beside the two records.
    others: usize,
    bytes: u64,
}

impl Inner {
    /// Lists the trainings of a project that take up room, and names what lies between them and is not known.
    pub(super) async fn held(&self, project: &ProjectName) -> Result<Held<HeldTraining>, PortError> {
        let mut held = Held::default();
        for (stage, session) in self.places(None) {
            let keys = self.keys_of(stage);
            self.held_of_stage(project, stage, Objects::of(session), (keys.trainings(), keys.outputs()), &mut held)
                .await?;
        }
        Ok(held)
    }

    /// Lists those of one stage: their records, and what their jobs wrote.
    async fn held_of_stage(
        &self,
        project: &ProjectName,
        stage: &StageName,
        objects: Objects,
        (prefix, outputs): (String, String),
        held: &mut Held<HeldTraining>,
    ) -> Result<(), PortError> {
        let doing = format!("list the trainings of {project} in stage {stage}");
        let uri = objects.location(&prefix);
        let mut lists = Vec::with_capacity(2);
        for list in [&prefix, &outputs] {
            match objects.list_while(list, None, usize::MAX, |_| true, &doing).await {
                // What a role cannot see it takes nothing from.
                Err(error) if error.kind == PortErrorKind::Permission => {
                    held.unknown.push(format!("{} (may not be listed)", objects.location(list)));
                    return Ok(());
                }
                other => lists.push(other?),
            }
        }
        let [records, written] = lists.as_slice() else { return Ok(()) };
        let mut folders = folders(&prefix, records);
        let unknown = folders.iter().filter(|(_, folder)| !folder.spec).map(|(name, _)| name.clone());
        held.unknown.extend(unknown.map(|name| format!("{uri}{name}")));
        for (name, output) in self::folders(&outputs, written) {
            match folders.get_mut(&name).filter(|folder| folder.spec) {
                Some(folder) => {
                    folder.others += output.others;
                    folder.bytes += output.bytes;
                }
                None => held.unknown.push(format!("{}{name}", objects.location(&outputs))),
            }
        }
        // Two records and nothing else: there is nothing to delete.
        folders.retain(|_, folder| folder.spec && folder.others > 0);
        let key = |name: &String, what| format!("{prefix}{name}/{what}");
        let specs = folders.keys().map(|name| key(name, "spec.json")).collect();
        let ended = folders.iter().filter(|(_, folder)| folder.end).map(|(name, _)| key(name, "end.json")).collect();
        let specs = objects.get_many::<Value>(specs, &doing).await?;
        let mut ends = objects.get_many::<Value>(ended, &doing).await?.into_iter();
        for ((name, folder), spec) in folders.into_iter().zip(specs) {
            let end = if folder.end { ends.next().flatten() } else { None };
            let spec = spec.and_then(|spec| serde_json::from_value::<TrainingSpec>(spec.value).ok());
            let ours = spec
                .filter(|spec| spec.project == *project && spec.name.as_str() == name && spec.origin.stage == *stage);
            let end = end.map(|end| serde_json::from_value::<EndRecord>(end.value));
            let (Some(spec), None | Some(Ok(_))) = (ours, &end) else {
                held.unknown.push(format!("{uri}{name}"));
                continue;
            };
            let ended_at = end.and_then(Result::ok).map(|end| end.ended_at);
            held.known.push(HeldTraining {
                name: spec.name,
                model: spec.origin.model,
                fingerprint: spec.origin.fingerprint,
                open: ended_at.is_none(),
                ended_at,
                bytes: folder.bytes,
            });
        }
        Ok(())
    }

    /// Takes away what an ended training left. `false`: there is no such training, or nothing of it is left.
    pub(super) async fn remove(&self, name: &TrainingName) -> Result<bool, PortError> {
        let doing = format!("remove training {name}");
        let Some(known) = self.known(name).await?.filter(|known| known.layout == Layout::OfStage) else {
            return Ok(false);
        };
        let (objects, keys) = (Objects::of(&known.session), self.keys(&known.spec));
        let end_key = keys.training(name, "end.json");
        let Some(end) = objects.get_json::<EndRecord>(&end_key, &doing).await? else {
            return Err(PortError::because(PortErrorKind::Configuration, &doing, "it is still open")
                .hint("Stop it first, or wait for its end."));
        };
        let gone = TrainingState::Stopped { cause: StopCause::Pruned };
        let ended_at = end.value.ended_at;
        // First the word, then the deed: nobody may find a training that says it has a model and has none.
        if end.value.end != gone {
            let record = EndRecord { end: gone, ..end.value };
            if objects.replace_json(&end_key, &end.etag, &record, &doing).await? == Replaced::Moved {
                return Err(PortError::because(PortErrorKind::Throttling, &doing, "somebody else is at it")
                    .hint("Run again: what is there then is looked at anew."));
            }
        }
        self.followed.lock().await.remove(name);
        self.proved.lock().await.remove(name);
        objects.delete(&keys.ended_at(name, ended_at), None, &doing).await?;
        let folder = keys.training(name, "");
        let records = [keys.training(name, "spec.json"), end_key];
        let mut left = objects.list(&folder, None, usize::MAX, &doing).await?;
        left.retain(|key| !records.contains(key));
        left.extend(objects.list(&keys.outputs_of(name), None, usize::MAX, &doing).await?);
        for key in &left {
            objects.delete(key, None, &doing).await?;
        }
        Ok(!left.is_empty())
    }
}

/// Sorts objects by the training that they belong to.
fn folders(prefix: &str, listed: &[Listed]) -> BTreeMap<String, Folder> {
    let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
    for object in listed {
        let Some(rest) = object.key.strip_prefix(prefix) else { continue };
        let (name, what) = rest.split_once('/').unwrap_or((rest, ""));
        let folder = folders.entry(name.to_owned()).or_default();
        match what {
            "spec.json" => folder.spec = true,
            "end.json" => folder.end = true,
            _ => {
                folder.others += 1;
                folder.bytes += object.size;
            }
        }
    }
    folders
}
