//! What only matters where SageMaker trains, once rules and settings have met: the service's own limits on a training
//! job, and words that do not go together. The service would say the same later, after everything was uploaded.

use crate::config::duration;
use crate::config::problem::quoted;
use crate::config::resolve::Inquiry;
use crate::config::route::Route;
use crate::config::shape::name;
use crate::model::cloud::Entrypoint;
use crate::model::cloud::HyperparameterFormat;
use crate::model::cloud::Instance;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::settings::TrainingSettings;
use std::time::Duration;

/// The longest that SageMaker trains, and that it waits and trains on Spot capacity.
const LONGEST_RUN: Duration = Duration::from_secs(28 * 86_400);
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 86_400);
/// How long a training may run where nobody says: Amazon's default.
const DEFAULT_RUN: Duration = Duration::from_secs(86_400);
const HYPERPARAMETERS: usize = 100;
const HYPERPARAMETER: usize = 2500;
const VARIABLES: usize = 100;
const VARIABLE: usize = 512;
const METRICS: usize = 40;
const EXPRESSION: usize = 500;
const CHANNELS: usize = 20;
const CHANNEL_NAME: usize = 64;
const ADDRESS: usize = 1024;
const IMAGE: usize = 255;
/// Channels by which our bootstrap brings the source.
const OUR_CHANNELS: [&str; 2] = ["branchline", "branchline-run"];

/// Where the settings of one training stage are written.
struct Written<'a> {
    own: Route,
    overlay: Route,
    stage: &'a StageName,
}

impl Written<'_> {
    /// Returns where a key stands that counts for the stage: in its overlay, else in the model's own settings.
    fn at(&self, inquiry: &Inquiry<'_>, keys: &[&str]) -> Route {
        let below = |route: &Route| keys.iter().fold(route.clone(), |route, key| route.key(key));
        let overlay = below(&self.overlay);
        if inquiry.is_written(&overlay) { overlay } else { below(&self.own) }
    }

    /// Says a problem once, however many stages share what is wrong.
    fn say(&self, inquiry: &mut Inquiry<'_>, keys: &[&str], message: impl FnOnce(&Route) -> String, hint: &str) {
        let route = self.at(inquiry, keys);
        if !inquiry.is_damaged(&route) {
            let message = message(&route);
            inquiry.say(&route, message, hint);
        }
    }
}

/// Says what SageMaker would refuse of the settings of one training stage.
pub(in crate::config) fn settings(
    inquiry: &mut Inquiry<'_>,
    model: &ModelName,
    stage: &StageName,
    settings: &TrainingSettings,
) {
    let own = Route::model(model);
    let overlay = own.key("stages").key(stage.as_str()).key("train");
    let at = Written { own: own.key("train"), overlay, stage };
    words(inquiry, &at, settings);
    inputs(inquiry, &at, settings);
    if let Some(instance) = &settings.cloud.instance {
        machines(inquiry, &at, settings, instance);
    }
    if settings.max_runtime.is_some_and(|longest| longest > LONGEST_RUN) {
        let hint = "shorten it to at most `28d`";
        at.say(inquiry, &["max_runtime"], |route| format!("{} is longer than SageMaker trains", name(route)), hint);
    }
    let bootstrap = settings.command.is_some() && settings.cloud.entrypoint == Entrypoint::Bootstrap;
    if !settings.outputs.is_empty() && !bootstrap {
        let key = if settings.outputs.values.is_empty() { "outputs" } else { "metrics" };
        at.say(
            inquiry,
            &[key],
            |route| format!("{} needs a command that Branchline runs in the container", name(route)),
            "write to $SM_MODEL_DIR and $SM_OUTPUT_DATA_DIR, or use `entrypoint: bootstrap` with a command",
        );
    }
    if let Some(command) = &settings.command
        && settings.cloud.entrypoint == Entrypoint::Toolkit
        && !is_program(command)
    {
        at.say(
            inquiry,
            &["command"],
            |_| format!("with `entrypoint: toolkit` the command names one program, not {}", quoted(command)),
            "write `python3 train.py` and pass its arguments as hyperparameters, or take `entrypoint` away",
        );
    }
}

/// Tells whether a command is one program that the toolkit can start: `python3 train.py` or `train.py`.
fn is_program(command: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["python" | "python3", program] | [program] => !program.starts_with('-'),
        _ => false,
    }
}

fn machines(inquiry: &mut Inquiry<'_>, at: &Written<'_>, settings: &TrainingSettings, instance: &Instance) {
    if let Some(wait) = instance.max_wait {
        let run = settings.max_runtime.unwrap_or(DEFAULT_RUN);
        let keys = ["instance", "max_wait"];
        if !instance.spot {
            at.say(
                inquiry,
                &keys,
                |route| {
                    format!("{} has no meaning without `spot: true`: only Spot capacity is waited for", name(route))
                },
                "add `spot: true`, or take it away",
            );
        } else if wait < run {
            at.say(
                inquiry,
                &keys,
                |route| {
                    let (wait, run) = (duration::display(wait), duration::display(run));
                    format!("{} ({wait}) is shorter than the training may take ({run})", name(route))
                },
                "it counts waiting and training together: make it longer than `max_runtime`, which is `1d` by default",
            );
        } else if wait > LONGEST_WAIT {
            let hint = "shorten it to at most `30d`";
            at.say(inquiry, &keys, |route| format!("{} is longer than SageMaker waits", name(route)), hint);
        }
    }
    if instance.spot && instance.keep_alive.is_some() {
        at.say(
            inquiry,
            &["instance", "keep_alive"],
            |route| format!("{} does not go with `spot: true`: Spot capacity does not stay warm", name(route)),
            "keep one of the two",
        );
    }
}

fn words(inquiry: &mut Inquiry<'_>, at: &Written<'_>, settings: &TrainingSettings) {
    if settings.image.as_ref().is_some_and(|image| image.len() > IMAGE || image.contains(char::is_whitespace)) {
        let hint = "an image has at most 255 characters and no spaces";
        at.say(inquiry, &["image"], |route| format!("{} is not an image", name(route)), hint);
    }
    let (count, hint) = (settings.hyperparameters.len(), "put some into a file of the repository that `paths` names");
    count_of(inquiry, at, "hyperparameters", count, HYPERPARAMETERS, hint);
    for (key, value) in &settings.hyperparameters {
        if settings.cloud.entrypoint == Entrypoint::Toolkit
            && matches!(key.as_str(), "sagemaker_program" | "sagemaker_submit_directory")
        {
            let route = at.at(inquiry, &["hyperparameters", key]);
            if !inquiry.is_damaged(&route) {
                let message =
                    format!("{} names the program for the training toolkit, which the command does", quoted(key));
                inquiry.say_of_key(&route, message, "take the line away");
            }
        }
        let length = spelled(settings, value);
        if length > HYPERPARAMETER {
            at.say(
                inquiry,
                &["hyperparameters", key],
                |route| format!("{} has {length} characters, and SageMaker takes {HYPERPARAMETER}", name(route)),
                "put it into a file of the repository that `paths` names",
            );
        }
    }
    let hint = "put some into a file of the repository that `paths` names";
    count_of(inquiry, at, "environment", settings.environment.len(), VARIABLES, hint);
    for (key, value) in &settings.environment {
        let length = key.len().max(value.chars().count());
        if length > VARIABLE {
            at.say(
                inquiry,
                &["environment", key],
                |route| format!("{} has {length} characters, and SageMaker takes {VARIABLE}", name(route)),
                "put it into a file of the repository that `paths` names",
            );
        }
    }
    let hint = "write the others into `metrics.json`";
    count_of(inquiry, at, "metrics", settings.metrics.len(), METRICS, hint);
    for (metric, expression) in &settings.metrics {
        let length = expression.chars().count();
        if length > EXPRESSION {
            at.say(
                inquiry,
                &["metrics", metric.as_str()],
                |route| format!("{} has {length} characters, and SageMaker takes {EXPRESSION}", name(route)),
                "shorten the expression, or write the metric into `metrics.json`",
            );
        }
    }
}

/// Counts the characters of a hyperparameter as it is sent: as JSON, what is no JSON gets quotes and escapes.
fn spelled(settings: &TrainingSettings, value: &str) -> usize {
    let is_raw = settings.cloud.hyperparameter_format == HyperparameterFormat::Raw;
    if is_raw || serde_json::from_str::<serde_json::Value>(value).is_ok() {
        return value.chars().count();
    }
    serde_json::Value::String(value.to_owned()).to_string().chars().count()
}

fn inputs(inquiry: &mut Inquiry<'_>, at: &Written<'_>, settings: &TrainingSettings) {
    let bootstrap = settings.command.is_some() && settings.cloud.entrypoint == Entrypoint::Bootstrap;
    let most = if bootstrap { CHANNELS - OUR_CHANNELS.len() } else { CHANNELS };
    count_of(inquiry, at, "data", settings.data.len(), most, "put several into one prefix");
    for (channel, source) in &settings.data {
        let text = channel.as_str();
        if text.len() > CHANNEL_NAME || (bootstrap && OUR_CHANNELS.contains(&text)) {
            let route = at.at(inquiry, &["data", text]);
            if !inquiry.is_damaged(&route) {
                let (why, hint) = match text.len() > CHANNEL_NAME {
                    true => ("is longer than SageMaker's 64 characters", "shorten it"),
                    false => ("is a channel that branchline needs for the source", "choose another name"),
                };
                inquiry.say_of_key(&route, format!("{} {why}", quoted(text)), hint);
            }
        }
        if source.uri.len() > ADDRESS {
            let hint = "shorten the address";
            let why = |route: &Route| format!("{} is longer than SageMaker's {ADDRESS} characters", name(route));
            at.say(inquiry, &["data", text], why, hint);
        }
    }
}

fn count_of(inquiry: &mut Inquiry<'_>, at: &Written<'_>, key: &str, count: usize, most: usize, hint: &str) {
    if count > most {
        at.say(
            inquiry,
            &[key],
            |_| {
                let stage = quoted(at.stage.as_str());
                format!("there are {count} {} for the stage {stage}, and SageMaker takes {most}", counted(key))
            },
            hint,
        );
    }
}

fn counted(key: &str) -> &str {
    match key {
        "environment" => "environment variables",
        "metrics" => "metrics that are read from the log",
        "data" => "channels of data",
        other => other,
    }
}
