//! What stands under `train`: one file's words for it, checked, and how a stage's words are laid over them.

use crate::config::cloud;
use crate::config::cloud::training::CloudDraft;
use crate::config::paths;
use crate::config::problem::quoted;
use crate::config::raw::RawChannel;
use crate::config::raw::RawCheckout;
use crate::config::raw::RawData;
use crate::config::raw::RawJsonMetric;
use crate::config::raw::RawMetric;
use crate::config::raw::RawSource;
use crate::config::raw::RawTrain;
use crate::config::resolve::Inquiry;
use crate::config::route::Route;
use crate::config::shape::name;
use crate::model::contract;
use crate::model::metric::MetricName;
use crate::model::name::ChannelName;
use crate::model::settings::DataSource;
use crate::model::settings::JsonMetric;
use regex::RegexBuilder;
use std::collections::BTreeMap;
use std::time::Duration;

/// Largest compiled metric expression in bytes: ample for a line of a log, and no way to eat memory.
const EXPRESSION_LIMIT: usize = 1 << 20;

/// Most metric expressions of one `metrics`: SageMaker takes 40.
const EXPRESSIONS: usize = 100;

/// What all metric expressions of a file may cost in all, in steps that compiling takes. One as in the documentation
/// costs about a hundred.
const EXPRESSION_BUDGET: u64 = 2_000_000;

/// Training settings as far as they are written.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct Training {
    pub(in crate::config) command: Option<String>,
    pub(in crate::config) image: Option<String>,
    pub(in crate::config) checkout_all: Option<bool>,
    pub(in crate::config) data: Option<Data>,
    pub(in crate::config) hyperparameters: BTreeMap<String, String>,
    pub(in crate::config) environment: BTreeMap<String, String>,
    pub(in crate::config) metrics: Declared,
    pub(in crate::config) output_model: Option<Vec<String>>,
    pub(in crate::config) output_metrics: Option<String>,
    pub(in crate::config) max_runtime: Option<Duration>,
    pub(in crate::config) cloud: CloudDraft,
}

/// Metrics by where they come from.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct Declared {
    pub(in crate::config) of_log: BTreeMap<MetricName, String>,
    pub(in crate::config) of_file: BTreeMap<MetricName, JsonMetric>,
}

impl Declared {
    /// Lays a stage's words over these: one name comes from one place.
    fn laid_over(mut self, over: Self) -> Self {
        self.of_log.retain(|name, _| !over.of_file.contains_key(name));
        self.of_file.retain(|name, _| !over.of_log.contains_key(name));
        self.of_log.extend(over.of_log);
        self.of_file.extend(over.of_file);
        self
    }
}

/// The data, said in words or by channel.
#[derive(Debug, Clone)]
pub(in crate::config) enum Data {
    None,
    Channels(BTreeMap<ChannelName, DataSource>),
}

impl Data {
    pub(in crate::config) fn into_channels(self) -> BTreeMap<ChannelName, DataSource> {
        match self {
            Self::None => BTreeMap::new(),
            Self::Channels(channels) => channels,
        }
    }
}

impl Training {
    /// Lays a stage's words over these: maps are merged by name, everything else is replaced.
    pub(in crate::config) fn laid_over(mut self, over: &Self) -> Self {
        let over = over.clone();
        self.hyperparameters.extend(over.hyperparameters);
        self.environment.extend(over.environment);
        Self {
            command: over.command.or(self.command),
            image: over.image.or(self.image),
            checkout_all: over.checkout_all.or(self.checkout_all),
            data: match (self.data, over.data) {
                (Some(Data::Channels(mut channels)), Some(Data::Channels(more))) => {
                    channels.extend(more);
                    Some(Data::Channels(channels))
                }
                (data, over) => over.or(data),
            },
            hyperparameters: self.hyperparameters,
            environment: self.environment,
            metrics: self.metrics.laid_over(over.metrics),
            output_model: over.output_model.or(self.output_model),
            output_metrics: over.output_metrics.or(self.output_metrics),
            max_runtime: over.max_runtime.or(self.max_runtime),
            cloud: self.cloud.laid_over(over.cloud),
        }
    }
}

/// Resolves what stands under one `train`.
pub(in crate::config) fn resolve(inquiry: &mut Inquiry<'_>, route: &Route, raw: &RawTrain) -> Training {
    Training {
        command: written(inquiry, &route.key("command"), raw.command.as_deref()),
        image: written(inquiry, &route.key("image"), raw.image.as_deref()),
        checkout_all: raw.checkout.map(|checkout| checkout == RawCheckout::All),
        data: raw.data.as_ref().map(|data| self::data(inquiry, &route.key("data"), data)),
        hyperparameters: hyperparameters(inquiry, &route.key("hyperparameters"), raw.hyperparameters.as_ref()),
        environment: environment(inquiry, &route.key("environment"), raw.environment.as_ref()),
        metrics: metrics(inquiry, &route.key("metrics"), raw.metrics.as_ref()),
        output_model: raw.outputs.as_ref().and_then(|raw| {
            let at = route.key("outputs").key("model");
            let texts = raw.model.as_ref()?.iter().enumerate();
            Some(texts.filter_map(|(index, text)| output(inquiry, &at.item(index), text, true)).collect())
        }),
        output_metrics: raw
            .outputs
            .as_ref()
            .and_then(|raw| output(inquiry, &route.key("outputs").key("metrics"), raw.metrics.as_deref()?, false)),
        max_runtime: raw.max_runtime.as_deref().and_then(|text| {
            let at = route.key("max_runtime");
            let longest = inquiry.duration(&at, text)?;
            if longest.is_zero() {
                inquiry.say(&at, "no training ends within 0 seconds", "write a time such as `2h`");
            }
            Some(longest)
        }),
        cloud: cloud::training::resolve(inquiry, route, raw),
    }
}

/// Takes text that must not be empty. What is said of it stands at the very place, and the text goes on.
fn written(inquiry: &mut Inquiry<'_>, route: &Route, text: Option<&str>) -> Option<String> {
    let text = text?;
    if text.trim().is_empty() {
        inquiry.say(route, format!("{} is empty", name(route)), "write it, or take the line away");
    } else if text.contains('\0') {
        inquiry.say(route, format!("{} contains a NUL character", name(route)), "take it out");
    }
    Some(text.to_owned())
}

fn hyperparameters(
    inquiry: &mut Inquiry<'_>,
    at: &Route,
    raw: Option<&BTreeMap<String, String>>,
) -> BTreeMap<String, String> {
    let raw = raw.cloned().unwrap_or_default();
    for (key, value) in &raw {
        let below = at.key(key);
        let illegal = |c: char| c.is_control() || c == '=';
        if key.trim().is_empty() || key.chars().any(illegal) || key.chars().count() > 256 {
            inquiry.say_of_key(
                &below,
                format!("{} cannot be the name of a hyperparameter", quoted(key)),
                "a name has 1 to 256 characters, none of them a control character or `=`",
            );
        }
        if value.contains('\0') {
            inquiry.say(&below, format!("{} contains a NUL character", name(&below)), "take it out");
        }
    }
    raw
}

fn environment(
    inquiry: &mut Inquiry<'_>,
    at: &Route,
    raw: Option<&BTreeMap<String, String>>,
) -> BTreeMap<String, String> {
    let raw = raw.cloned().unwrap_or_default();
    for (key, value) in &raw {
        let below = at.key(key);
        let owner = contract::owner(key);
        if !contract::is_variable(key) {
            inquiry.say_of_key(
                &below,
                format!("{} cannot be the name of an environment variable", quoted(key)),
                "a name has letters, digits and `_`, and does not begin with a digit",
            );
        } else if owner == Some(contract::Owner::Contract) {
            inquiry.say_of_key(
                &below,
                format!("{} is set for every training and cannot be declared", quoted(key)),
                "variables that begin with `SM_` or `TRAINING_JOB_` belong to the training contract: choose another name",
            );
        } else if owner == Some(contract::Owner::Shell) {
            inquiry.say_of_key(
                &below,
                format!("{} is set by the shell that runs the command, so no declared value arrives", quoted(key)),
                "choose another name, or set it in the command itself",
            );
        } else if key == "PATH" && value.contains('$') {
            inquiry.say(
                &below,
                format!("{} is passed as it is written: `$` is replaced by nothing", name(&below)),
                "set it in the command, as in `command: PATH=/opt/bin:$PATH python3 train.py`",
            );
        }
        if value.contains('\0') {
            inquiry.say(&below, format!("{} contains a NUL character", name(&below)), "take it out");
        }
    }
    raw
}

/// Takes the path of something that a command leaves in its working folder.
fn output(inquiry: &mut Inquiry<'_>, at: &Route, text: &str, may_be_glob: bool) -> Option<String> {
    match paths::normalise(text) {
        Err(error) => inquiry.say(at, format!("the path {} {}", quoted(text), error.why), error.hint),
        Ok(path) if path.contains("**") || path.contains(['{', '}']) => inquiry.say(
            at,
            format!("the output {} is a glob that no shell has", quoted(&path)),
            "globs of outputs know `*`, `?` and `[a-z]`; a folder is collected as a whole",
        ),
        Ok(path) if !may_be_glob && paths::is_glob(&path) => {
            inquiry.say(at, format!("{} is a glob, and metrics come from one file", quoted(&path)), "name the file");
        }
        Ok(path) => return Some(path),
    }
    None
}

fn json_metric(inquiry: &mut Inquiry<'_>, at: &Route, name: &str, raw: &RawJsonMetric) -> Option<JsonMetric> {
    let json = output(inquiry, &at.key("json"), raw.json.as_deref()?, false)?;
    Some(JsonMetric { json, path: raw.path.clone().unwrap_or_else(|| name.to_owned()) })
}

fn metrics(inquiry: &mut Inquiry<'_>, at: &Route, raw: Option<&BTreeMap<String, RawMetric>>) -> Declared {
    let mut metrics = Declared::default();
    if raw.is_some_and(|raw| raw.len() > EXPRESSIONS) {
        inquiry.say_of_key(
            at,
            format!("{} holds more than {EXPRESSIONS} expressions", name(at)),
            "write other metrics to `metrics.json`: they need no expression",
        );
        return metrics;
    }
    for (key, raw) in raw.into_iter().flatten() {
        let below = at.key(key);
        let metric = MetricName::parse(key);
        if metric.is_none() {
            inquiry.say_of_key(
                &below,
                format!("{} cannot be the name of a metric", quoted(key)),
                "a name has 1 to 128 characters, none of them a control character",
            );
        }
        let expression = match raw {
            RawMetric::Expression(expression) => expression,
            RawMetric::Json(raw) => {
                if let (Some(found), Some(metric)) = (json_metric(inquiry, &below, key, raw), metric) {
                    metrics.of_file.insert(metric, found);
                }
                continue;
            }
        };
        inquiry.expressions = inquiry.expressions.saturating_add(cost(expression));
        if inquiry.expressions > EXPRESSION_BUDGET {
            inquiry.say(
                &below,
                "the metric expressions of this file cost more than a training run is worth",
                "write fewer or simpler expressions: large counted repetitions (`{1000}`) cost most",
            );
            return metrics;
        }
        match RegexBuilder::new(expression).size_limit(EXPRESSION_LIMIT).build() {
            Err(error) => {
                let why = error.to_string();
                let why =
                    why.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").trim_end_matches('.');
                let hint = "write a regular expression with one group around the number, as in `'loss=([0-9.]+)'`";
                inquiry.say(&below, format!("{} is not a regular expression: {why}", quoted(expression)), hint);
            }
            Ok(regex) if regex.captures_len() != 2 => {
                let (message, hint) = match regex.captures_len() {
                    1 => (
                        "no group, so it is not clear what the value is",
                        "put parentheses around the number, as in `'loss=([0-9.]+)'`",
                    ),
                    _ => (
                        "several groups, so it is not clear which is the value",
                        "write all but one of them as `(?:…)`",
                    ),
                };
                inquiry.say(&below, format!("{} has {message}", quoted(expression)), hint);
            }
            Ok(_) => {
                if let Some(metric) = metric {
                    metrics.of_log.insert(metric, expression.clone());
                }
            }
        }
    }
    metrics
}

/// Estimates what compiling an expression takes, without compiling it: one step for each state that it expands to.
fn cost(expression: &str) -> u64 {
    regex_syntax::parse(expression).map_or(1, |parsed| steps(&parsed))
}

fn steps(part: &regex_syntax::hir::Hir) -> u64 {
    use regex_syntax::hir::HirKind;
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(class) => match class {
            regex_syntax::hir::Class::Unicode(class) => 4 * class.ranges().len() as u64,
            regex_syntax::hir::Class::Bytes(class) => class.ranges().len() as u64,
        },
        HirKind::Repetition(repetition) => {
            let times = u64::from(repetition.max.unwrap_or(repetition.min).max(repetition.min).max(1));
            steps(&repetition.sub).saturating_mul(times)
        }
        HirKind::Capture(capture) => steps(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(1, |sum: u64, part| sum.saturating_add(steps(part)))
        }
    }
}

fn data(inquiry: &mut Inquiry<'_>, at: &Route, raw: &RawData) -> Data {
    let channels = match raw {
        RawData::Word(_) => return Data::None,
        RawData::Channels(channels) => channels,
    };
    if channels.is_empty() && !inquiry.is_damaged(at) {
        inquiry.say_of_key(at, format!("{} names no channel", name(at)), "if it needs no data, say so: `data: none`");
    }
    let mut sources = BTreeMap::new();
    for (text, raw) in channels {
        let route = at.key(text);
        let channel = inquiry.name(&route, "channel", text, ChannelName::parse);
        let source = match raw {
            RawChannel::Uri(text) => {
                uri(inquiry, &route, text).map(|uri| DataSource { uri, version: None, version_from: None })
            }
            RawChannel::Source(raw) => source(inquiry, &route, raw),
        };
        if let (Some(channel), Some(source)) = (channel, source) {
            sources.insert(channel, source);
        }
    }
    Data::Channels(sources)
}

fn source(inquiry: &mut Inquiry<'_>, route: &Route, raw: &RawSource) -> Option<DataSource> {
    if raw.version.is_some() && raw.version_from.is_some() {
        inquiry.say_of_key(
            &route.key("version_from"),
            "`version` and `version_from` both say which version this is",
            "keep one of the two",
        );
    }
    let version = written(inquiry, &route.key("version"), raw.version.as_deref());
    let version_from = raw.version_from.as_deref().and_then(|text| uri(inquiry, &route.key("version_from"), text));
    let uri = raw.uri.as_deref().and_then(|text| uri(inquiry, &route.key("uri"), text))?;
    Some(DataSource { uri, version, version_from })
}

/// Checks where data lie, and says what is wrong with it.
fn uri(inquiry: &mut Inquiry<'_>, route: &Route, text: &str) -> Option<String> {
    let found = located(text);
    if let Err((message, hint)) = &found {
        inquiry.say(route, message, *hint);
    }
    found.ok()
}

/// Brings the place of data into one form: a path in the repository, an absolute path, or an `s3://` prefix.
/// An error is a message and a hint.
pub(in crate::config) fn located(text: &str) -> Result<String, (String, &'static str)> {
    let hint = "data are a path in the repository (`data/train.csv`), an absolute path, or `s3://bucket/prefix`";
    if text.chars().any(char::is_control) {
        return Err((format!("{} contains a control character", quoted(text)), hint));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return match (scheme, rest.split('/').next()) {
            ("s3", Some("") | None) => Err((format!("{} names no bucket", quoted(text)), hint)),
            ("s3", Some(_)) => Ok(text.to_owned()),
            _ => Err((format!("data cannot come from {}", quoted(&format!("{scheme}://"))), hint)),
        };
    }
    if text.starts_with('/') && !text.contains('\\') {
        return Ok(text.to_owned());
    }
    match paths::normalise(text) {
        Ok(path) if paths::is_glob(&path) => Err((
            format!("{} is a glob, and a channel is one file or one folder", quoted(text)),
            "name the folder that holds the files",
        )),
        Ok(path) => Ok(path),
        Err(error) => Err((format!("the path {} {}", quoted(text), error.why), hint)),
    }
}
