//! Models: names, watched paths, gates and groups, and the settings of every training stage.

use crate::config::cloud;
use crate::config::duration;
use crate::config::paths;
use crate::config::problem::all_of;
use crate::config::problem::quoted;
use crate::config::raw::RawFile;
use crate::config::raw::RawGate;
use crate::config::raw::RawModel;
use crate::config::raw::RawWhenDataDiffers;
use crate::config::resolve::Inquiry;
use crate::config::resolved::BackendKind;
use crate::config::route::Route;
use crate::config::stages::Names;
use crate::config::stages::meant;
use crate::config::training;
use crate::config::training::Training;
use crate::model::cloud::Serve;
use crate::model::gate::Gate;
use crate::model::gate::Tolerance;
use crate::model::gate::WhenDataDiffers;
use crate::model::metric::MetricName;
use crate::model::metric::display_value;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::settings::Outputs;
use crate::model::settings::TrainingSettings;
use crate::model::settings::Watched;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

/// Most paths that one model watches: a folder is one.
const PATHS: usize = 2_000;

/// Most globs among them: each is held against every file of the repository.
const GLOBS: usize = 200;

/// How many trainings of one fingerprint are tried where the file does not say.
pub(in crate::config) const DEFAULT_ATTEMPTS: u32 = 3;

/// A model as one file describes it, before stages are known for certain.
#[derive(Debug)]
pub(in crate::config) struct ModelDraft {
    /// Normalised and sorted; `None` if the file has none.
    paths: Option<Vec<String>>,
    signature: Option<String>,
    training: Training,
    overlays: BTreeMap<StageName, Training>,
    serve: Option<Serve>,
    pub(in crate::config) gates: Vec<Gate>,
    pub(in crate::config) group_names: BTreeMap<TargetName, GroupName>,
    pub(in crate::config) max_attempts: u32,
}

/// What a model lacks to be trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) enum Missing {
    Paths,
    Command,
    Data,
    Image,
    Instance,
    Subnets,
    SecurityGroups,
    ExecutionRole,
}

impl Missing {
    /// Says it of the stages that lack it; `everywhere`: all of them do.
    pub(in crate::config) fn say(
        self,
        inquiry: &mut Inquiry<'_>,
        model: &ModelName,
        stages: &[&str],
        everywhere: bool,
    ) {
        let route = Route::model(model);
        // A mapping that is only half there may be written for one stage alone.
        let half = |key: &str| {
            let overlays = stages.iter().map(|stage| route.key("stages").key(stage).key("train").key(key));
            std::iter::once(route.key("train").key(key)).chain(overlays).find(|holder| inquiry.is_written(holder))
        };
        let (holder, key, hint) = match self {
            Self::Paths => (
                route,
                "paths",
                "name what it is made of, as in `paths: [train.py, features/]`, or write `checkout: all` under `train`",
            ),
            Self::Command => {
                (route.key("train"), "command", "say how it is trained, as in `command: python3 train.py`")
            }
            Self::Data => (
                route.key("train"),
                "data",
                "name them, as in `data: { train: data/train.csv }`; if there are none, write `data: none`",
            ),
            Self::Image => (
                route.key("train"),
                "image",
                "SageMaker trains in a container: name its image, as in \
                 `image: 111122223333.dkr.ecr.eu-west-1.amazonaws.com/churn:2026.11`",
            ),
            Self::Instance => {
                let hint = "say which machine trains, as in `instance: { type: ml.m5.xlarge }`";
                half("instance").map_or((route.key("train"), "instance", hint), |holder| (holder, "type", hint))
            }
            Self::Subnets => {
                let hint = "name them, as in `subnets: [subnet-0a1b2c3d]`";
                (half("vpc").unwrap_or_else(|| route.key("train")), "subnets", hint)
            }
            Self::SecurityGroups => {
                let hint = "name them, as in `security_groups: [sg-0a1b2c3d]`";
                (half("vpc").unwrap_or_else(|| route.key("train")), "security_groups", hint)
            }
            Self::ExecutionRole => (
                route.key("train"),
                "execution_role_arn",
                "SageMaker trains under a role: write `execution_role_arn` under `backend.sagemaker`, under the stage's \
                 account, or here",
            ),
        };
        let place = match stages {
            _ if everywhere => String::new(),
            [only] => format!(" for the stage {}", quoted(only)),
            stages => format!(" for the stages {}", all_of(stages.iter().copied())),
        };
        let shown = match holder.last_key() {
            Some(half @ ("instance" | "vpc")) => format!("{half}.{key}"),
            _ => key.to_owned(),
        };
        let message = format!("the model {} has no {}{place}", quoted(model.as_str()), quoted(&shown));
        // Without `train` at all, one problem is enough.
        if inquiry.is_written(&holder) {
            inquiry.say_missing(&holder, key, message, hint);
        }
    }
}

impl ModelDraft {
    /// Returns the settings of one training stage, or what is missing for it. `has_role`: whether the place where it
    /// trains names a role for training jobs.
    pub(in crate::config) fn settings(
        &self,
        stage: &StageName,
        limit: Option<Duration>,
        trainer: BackendKind,
        has_role: bool,
    ) -> Result<TrainingSettings, Vec<Missing>> {
        let training = match self.overlays.get(stage) {
            Some(overlay) => self.training.clone().laid_over(overlay),
            None => self.training.clone(),
        };
        let lacking_of_vpc = training.cloud.lacks_of_vpc();
        let cloud = training.cloud.into_settings();
        let watched = match (training.checkout_all.unwrap_or(false), &self.paths) {
            (true, _) => Some(Watched::All),
            (false, Some(paths)) => Some(Watched::Paths(paths.clone())),
            (false, None) => None,
        };
        let in_cloud = trainer == BackendKind::Cloud;
        let missing: Vec<Missing> = [
            (Missing::Paths, watched.is_none()),
            // In the cloud, an image may train by itself.
            (Missing::Command, training.command.is_none() && !in_cloud),
            (Missing::Data, training.data.is_none()),
            (Missing::Image, training.image.is_none() && in_cloud),
            (Missing::Instance, cloud.instance.is_none() && in_cloud),
            (Missing::Subnets, lacking_of_vpc == Some("subnets") && in_cloud),
            (Missing::SecurityGroups, lacking_of_vpc == Some("security_groups") && in_cloud),
            (Missing::ExecutionRole, cloud.execution_role_arn.is_none() && !has_role && in_cloud),
        ]
        .into_iter()
        .filter(|(_, lacking)| *lacking)
        .map(|(key, _)| key)
        .collect();
        match (watched, training.data) {
            (Some(watched), Some(data)) if missing.is_empty() => Ok(TrainingSettings {
                watched,
                command: training.command,
                image: training.image,
                hyperparameters: training.hyperparameters,
                environment: training.environment,
                data: data.into_channels(),
                metrics: training.metrics.of_log,
                outputs: Outputs {
                    model: training.output_model.unwrap_or_default(),
                    metrics: training.output_metrics,
                    values: training.metrics.of_file,
                },
                signature: self.signature.clone(),
                max_runtime: training.max_runtime.or(limit),
                cloud,
                serve: self.serve.clone(),
            }),
            _ => Err(missing),
        }
    }
}

/// Says which `max_runtime` is more than the rules allow.
pub(in crate::config) fn say_too_long(
    inquiry: &mut Inquiry<'_>,
    model: &ModelName,
    draft: &ModelDraft,
    limit: Option<Duration>,
) {
    let Some(limit) = limit else { return };
    let route = Route::model(model);
    let own = (route.key("train"), &draft.training);
    let overlays =
        draft.overlays.iter().map(|(stage, overlay)| (route.key("stages").key(stage.as_str()).key("train"), overlay));
    for (holder, training) in std::iter::once(own).chain(overlays) {
        if let Some(longest) = training.max_runtime.filter(|longest| *longest > limit) {
            inquiry.say(
                &holder.key("max_runtime"),
                format!(
                    "{} is more than the rules allow: {}",
                    quoted(&duration::display(longest)),
                    quoted(&duration::display(limit))
                ),
                "shorten it, or raise `limits.max_runtime` in the rules",
            );
        }
    }
}

/// Resolves all models. What is unsound is said and left out.
pub(in crate::config) fn resolve(
    inquiry: &mut Inquiry<'_>,
    raw: &RawFile,
    names: &Names,
) -> BTreeMap<ModelName, ModelDraft> {
    let at = Route::of(&["models"]);
    let mut models = BTreeMap::new();
    for (text, raw) in raw.models.iter().flatten() {
        let route = at.key(text);
        let name = inquiry.name(&route, "model", text, ModelName::parse);
        let draft = one(inquiry, &route, raw, names);
        if let Some(name) = name {
            models.insert(name, draft);
        }
    }
    if raw.models.as_ref().is_some_and(BTreeMap::is_empty) && !inquiry.is_damaged(&at) {
        inquiry.say_of_key(&at, "`models` names no model", "name at least one");
    }
    models
}

fn one(inquiry: &mut Inquiry<'_>, route: &Route, raw: &RawModel, names: &Names) -> ModelDraft {
    let train = route.key("train");
    let training = raw.train.as_ref().map(|raw| training::resolve(inquiry, &train, raw)).unwrap_or_default();
    let mut overlays = BTreeMap::new();
    for (text, overlay) in raw.stages.iter().flatten() {
        let below = route.key("stages").key(text);
        let resolved =
            overlay.train.as_ref().map(|raw| training::resolve(inquiry, &below.key("train"), raw)).unwrap_or_default();
        if names.promoting.contains(text) {
            inquiry.say_of_key(
                &below,
                format!("nothing is trained in the stage {}: it promotes", quoted(text)),
                "lay settings over for the stage that it promotes from",
            );
        } else if !names.training.contains(text) {
            inquiry.say_of_key(
                &below,
                format!("there is no stage {}", quoted(text)),
                meant(text, "training stages", &names.training),
            );
        } else if let Ok(stage) = StageName::parse(text) {
            overlays.insert(stage, resolved);
        }
    }
    ModelDraft {
        paths: watched(inquiry, &route.key("paths"), raw.paths.as_deref()),
        signature: raw.signature.clone(),
        training,
        overlays,
        serve: cloud::serve::resolve(inquiry, &route.key("serve"), raw.serve.as_ref()),
        gates: gates(inquiry, &route.key("gates"), raw.gates.as_ref()),
        group_names: group_names(inquiry, &route.key("group_names"), raw.group_names.as_ref(), names),
        max_attempts: raw.max_attempts.unwrap_or(DEFAULT_ATTEMPTS),
    }
}

fn watched(inquiry: &mut Inquiry<'_>, at: &Route, texts: Option<&[String]>) -> Option<Vec<String>> {
    let texts = texts?;
    let mut paths: BTreeSet<String> = BTreeSet::new();
    let globs = texts.iter().filter(|text| paths::is_glob(text)).count();
    for (what, count, most) in [("paths", texts.len(), PATHS), ("globs", globs, GLOBS)] {
        if count > most {
            inquiry.say(
                at,
                format!("`paths` names {count} {what}, and one model watches at most {most}"),
                "name the folders that hold the files",
            );
            return Some(Vec::new());
        }
    }
    for (index, text) in texts.iter().enumerate() {
        let item = at.item(index);
        match paths::normalise(text) {
            Err(error) => inquiry.say(&item, format!("the path {} {}", quoted(text), error.why), error.hint),
            Ok(path) if paths.contains(&path) => {
                inquiry.say(&item, format!("the path {} is written twice", quoted(&path)), "keep one of the two");
            }
            Ok(path) => drop(paths.insert(path)),
        }
    }
    if texts.is_empty() && !inquiry.is_damaged(at) {
        inquiry.say(
            at,
            "`paths` names nothing, so no change could ever be seen",
            "name what the model is made of, as in `[train.py, features/]`",
        );
    }
    Some(paths.into_iter().collect())
}

fn gates(inquiry: &mut Inquiry<'_>, at: &Route, raw: Option<&BTreeMap<String, RawGate>>) -> Vec<Gate> {
    let Some(raw) = raw else { return Vec::new() };
    let mut gates = Vec::new();
    for text in inquiry.tree.keys(at) {
        let Some(gate) = raw.get(text) else { continue };
        let route = at.key(text);
        let Some(metric) = MetricName::parse(text) else {
            inquiry.say_of_key(
                &route,
                format!("{} cannot be the name of a metric", quoted(text)),
                "a name has 1 to 128 characters, none of them a control character",
            );
            continue;
        };
        let bounds = [gate.min.is_some(), gate.max.is_some(), gate.max_drop.is_some(), gate.max_rise.is_some()];
        if !bounds.contains(&true)
            && ["min", "max", "max_drop", "max_rise"].iter().all(|key| !inquiry.is_damaged(&route.key(key)))
        {
            inquiry.say_missing(
                &route,
                "min",
                format!("the gate {} has no bound, so it would let everything pass", quoted(text)),
                "write `min`, `max`, `max_drop` or `max_rise`, as in `{ min: 0.8 }`",
            );
        }
        if let (Some(min), Some(max)) = (gate.min, gate.max)
            && min > max
        {
            let message = format!(
                "`min` ({}) is above `max` ({}), so nothing could pass",
                display_value(min),
                display_value(max)
            );
            inquiry.say(&route.key("min"), message, "exchange the two, or take one away");
        }
        gates.push(Gate {
            metric,
            min: gate.min,
            max: gate.max,
            max_drop: gate.max_drop.as_deref().and_then(|text| tolerance(inquiry, &route.key("max_drop"), text)),
            max_rise: gate.max_rise.as_deref().and_then(|text| tolerance(inquiry, &route.key("max_rise"), text)),
            when_data_differs: match gate.when_data_differs {
                Some(RawWhenDataDiffers::Refuse) => WhenDataDiffers::Refuse,
                Some(RawWhenDataDiffers::Mark) | None => WhenDataDiffers::Mark,
            },
        });
    }
    gates
}

/// Reads `0.01` or `1%`.
fn tolerance(inquiry: &mut Inquiry<'_>, route: &Route, text: &str) -> Option<Tolerance> {
    let (number, relative) = match text.trim().strip_suffix('%') {
        Some(number) => (number.trim_end(), true),
        None => (text.trim(), false),
    };
    let digits = number.bytes().any(|b| b.is_ascii_digit());
    let value = number.parse::<f64>().ok().filter(|value| value.is_finite() && digits);
    match value {
        None => {
            inquiry.say(
                route,
                format!("{} is neither a number nor a percentage", quoted(text)),
                "write `0.01` in the metric's own unit, or `1%` of the compared value",
            );
            None
        }
        Some(value) if value < 0.0 => {
            inquiry.say(
                route,
                format!("{} is below zero: it says how far the metric may move", quoted(text)),
                format!("write {}", quoted(text.trim().trim_start_matches('-'))),
            );
            None
        }
        Some(value) if relative => Some(Tolerance::Relative(value / 100.0)),
        Some(value) => Some(Tolerance::Absolute(value)),
    }
}

fn group_names(
    inquiry: &mut Inquiry<'_>,
    at: &Route,
    raw: Option<&BTreeMap<String, String>>,
    names: &Names,
) -> BTreeMap<TargetName, GroupName> {
    let mut groups = BTreeMap::new();
    for (text, group) in raw.into_iter().flatten() {
        let route = at.key(text);
        if !names.targets.contains(text) {
            inquiry.say_of_key(
                &route,
                format!("there is no target {}", quoted(text)),
                meant(text, "targets", &names.targets),
            );
        }
        match GroupName::parse(group) {
            Err(_) => inquiry.say(
                &route,
                format!("{} cannot be the name of a group", quoted(group)),
                "a group has 1 to 63 letters, digits and `-`, and neither begins nor ends with `-`",
            ),
            Ok(group) => {
                if let Ok(target) = TargetName::parse(text) {
                    groups.insert(target, group);
                }
            }
        }
    }
    groups
}
