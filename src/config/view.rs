//! The resolved configuration as YAML for people: what `config show --resolved` prints.

use crate::config::cloud::view::CloudLimitsView;
use crate::config::cloud::view::CloudView;
use crate::config::cloud::view::PlaceView;
use crate::config::cloud::view::ServeView;
use crate::config::duration;
use crate::config::resolved::Action;
use crate::config::resolved::Backend;
use crate::config::resolved::Checks;
use crate::config::resolved::Config;
use crate::config::resolved::Keep;
use crate::config::resolved::KeepPer;
use crate::config::resolved::Model;
use crate::config::resolved::OnCancel;
use crate::config::resolved::ReportAs;
use crate::config::resolved::Role;
use crate::config::resolved::Topology;
use crate::config::resolved::Wait;
use crate::model::approval::ApprovalRule;
use crate::model::gate::Gate;
use crate::model::gate::Tolerance;
use crate::model::gate::WhenDataDiffers;
use crate::model::name::StageName;
use crate::model::settings::DataSource;
use crate::model::settings::TrainingSettings;
use crate::model::settings::Watched;
use crate::model::stage::Does;
use crate::model::stage::OnNewerPush;
use crate::model::stage::Stage;
use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeMap;
use std::collections::BTreeMap;

/// Writes the whole configuration with every default, in the order of the file's documentation.
///
/// The same configuration always gives the same text. It is for reading: stages are shown one below the other
/// with all that a topology gave them, and models with the settings of each training stage.
pub fn resolved_yaml(config: &Config) -> String {
    let view = ConfigView { rules: RulesView::of(config), models: models(config) };
    // Maps of text, numbers and lists cannot fail to be written.
    serde_yaml::to_string(&view).unwrap_or_default()
}

/// As [`resolved_yaml`], for programs.
pub fn resolved_json(config: &Config) -> serde_json::Value {
    let view = ConfigView { rules: RulesView::of(config), models: models(config) };
    serde_json::to_value(&view).unwrap_or_default()
}

/// The rules outside the models.
#[derive(Serialize)]
pub(in crate::config) struct RulesView {
    project: String,
    topology: Topology,
    stages: Ordered<StageView>,
    backend: Backend,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud: Option<PlaceView>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    accounts: BTreeMap<String, PlaceView>,
    wait: String,
    parallel: usize,
    limits: LimitsView,
    keep: BTreeMap<String, KeepView>,
    require_review: bool,
    permissions: BTreeMap<Action, Role>,
    approvers: Vec<String>,
    not_author: bool,
    report: ReportAs,
    checks: Checks,
    on_cancel: OnCancel,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<StateView>,
}

/// What the rules know about the state directory.
#[derive(Serialize)]
struct StateView {
    outlives_job: bool,
}

impl RulesView {
    pub(in crate::config) fn of(config: &Config) -> Self {
        Self {
            project: config.project.to_string(),
            topology: config.topology,
            stages: Ordered(config.stages.iter().map(|stage| (stage.name.to_string(), StageView::of(stage))).collect()),
            backend: config.backend,
            cloud: config.cloud.as_ref().map(PlaceView::of),
            accounts: config.accounts.iter().map(|(stage, at)| (stage.to_string(), PlaceView::of(at))).collect(),
            wait: match config.wait() {
                Wait::Done => "done".to_owned(),
                Wait::Leave(longest) => duration::display(longest),
            },
            parallel: config.parallel,
            limits: LimitsView {
                max_trainings_per_event: config.limits.max_trainings_per_event,
                max_runtime: config.limits.max_runtime.map(duration::display),
                cloud: CloudLimitsView::of(&config.cloud_limits),
            },
            keep: config.keep.iter().map(|(target, keep)| (target.to_string(), KeepView::of(keep))).collect(),
            require_review: config.require_review,
            permissions: config.permissions.clone(),
            approvers: config.approvers.clone(),
            not_author: config.not_author,
            report: config.report,
            checks: config.checks,
            on_cancel: config.on_cancel,
            state: config.state_outlives_job.then_some(StateView { outlives_job: true }),
        }
    }
}

/// The rules of one model.
#[derive(Serialize)]
pub(in crate::config) struct ModelRulesView {
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    gates: Ordered<GateView>,
    groups: BTreeMap<String, String>,
    max_attempts: u32,
}

impl ModelRulesView {
    pub(in crate::config) fn of(model: &Model) -> Self {
        Self {
            gates: Ordered(model.gates.iter().map(|gate| (gate.metric.to_string(), GateView::of(gate))).collect()),
            groups: model.groups.iter().map(|(target, group)| (target.to_string(), group.to_string())).collect(),
            max_attempts: model.max_attempts,
        }
    }
}

#[derive(Serialize)]
struct ConfigView {
    #[serde(flatten)]
    rules: RulesView,
    models: BTreeMap<String, ModelView>,
}

#[derive(Serialize)]
struct ModelView {
    #[serde(flatten)]
    rules: ModelRulesView,
    stages: Ordered<TrainingView>,
}

fn models(config: &Config) -> BTreeMap<String, ModelView> {
    let of_stages = |model: &Model| {
        let trained = config.training_stages().filter_map(|stage| {
            let settings = model.settings.get(&stage.name)?;
            Some((stage.name.to_string(), TrainingView::of(settings)))
        });
        Ordered(trained.collect())
    };
    let view = |model: &Model| ModelView { rules: ModelRulesView::of(model), stages: of_stages(model) };
    config.models.iter().map(|(name, model)| (name.to_string(), view(model))).collect()
}

#[derive(Serialize)]
struct StageView {
    branches: Vec<String>,
    does: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    promote_from: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reuse_from: Option<Vec<String>>,
    groups: BTreeMap<String, ApprovalRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_with: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_newer_push: Option<OnNewerPush>,
}

impl StageView {
    fn of(stage: &Stage) -> Self {
        let names = |stages: &[StageName]| stages.iter().map(ToString::to_string).collect();
        let (does, promote_from, reuse_from) = match &stage.does {
            Does::Train { reuse_from } => ("train", None, Some(names(reuse_from))),
            Does::Promote { from } => ("promote", Some(names(from)), None),
        };
        Self {
            branches: stage.branches.clone().into(),
            does,
            on_newer_push: reuse_from.is_some().then_some(stage.on_newer_push),
            promote_from,
            reuse_from,
            groups: stage.groups.iter().map(|(target, rule)| (target.to_string(), *rule)).collect(),
            compare_with: stage.compare_with.as_ref().map(ToString::to_string),
        }
    }
}

#[derive(Serialize)]
struct LimitsView {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_trainings_per_event: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_runtime: Option<String>,
    #[serde(flatten)]
    cloud: CloudLimitsView,
}

#[derive(Serialize)]
struct KeepView {
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per: Option<KeepPer>,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    young: Option<String>,
}

impl KeepView {
    fn of(keep: &Keep) -> Self {
        Self { last: keep.last, per: keep.last.map(|_| keep.per), young: keep.young.map(duration::display) }
    }
}

#[derive(Serialize)]
struct GateView {
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_drop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rise: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when_data_differs: Option<WhenDataDiffers>,
}

impl GateView {
    fn of(gate: &Gate) -> Self {
        let relative = gate.max_drop.is_some() || gate.max_rise.is_some();
        Self {
            min: gate.min,
            max: gate.max,
            max_drop: gate.max_drop.as_ref().map(Tolerance::to_string),
            max_rise: gate.max_rise.as_ref().map(Tolerance::to_string),
            when_data_differs: relative.then_some(gate.when_data_differs),
        }
    }
}

#[derive(Serialize)]
struct TrainingView {
    #[serde(skip_serializing_if = "Option::is_none")]
    paths: Option<Vec<String>>,
    checkout: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    data: DataView,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    hyperparameters: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    environment: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metrics: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_runtime: Option<String>,
    #[serde(flatten)]
    cloud: CloudView,
    #[serde(skip_serializing_if = "Option::is_none")]
    serve: Option<ServeView>,
}

impl TrainingView {
    fn of(settings: &TrainingSettings) -> Self {
        let (paths, checkout) = match &settings.watched {
            Watched::Paths(paths) => (Some(paths.clone()), "paths"),
            Watched::All => (None, "all"),
        };
        let channels = settings.data.iter().map(|(channel, source)| (channel.to_string(), SourceView::of(source)));
        Self {
            paths,
            checkout,
            signature: settings.signature.clone(),
            command: settings.command.clone(),
            image: settings.image.clone(),
            data: if settings.data.is_empty() {
                DataView::None("none")
            } else {
                DataView::Channels(channels.collect())
            },
            hyperparameters: settings.hyperparameters.clone(),
            environment: settings.environment.clone(),
            metrics: settings.metrics.iter().map(|(metric, text)| (metric.to_string(), text.clone())).collect(),
            max_runtime: settings.max_runtime.map(duration::display),
            cloud: CloudView::of(&settings.cloud),
            serve: settings.serve.as_ref().map(ServeView::of),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum DataView {
    None(&'static str),
    Channels(BTreeMap<String, SourceView>),
}

#[derive(Serialize)]
struct SourceView {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_from: Option<String>,
}

impl SourceView {
    fn of(source: &DataSource) -> Self {
        Self { uri: source.uri.clone(), version: source.version.clone(), version_from: source.version_from.clone() }
    }
}

/// A map that is written in its own order.
pub(in crate::config) struct Ordered<T>(Vec<(String, T)>);

impl<T> Ordered<T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
