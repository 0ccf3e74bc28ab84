//! A stage of `dvc.yaml` that trains: its command, what it depends on, its parameters and its metrics.

use crate::config::proposal::How;
use crate::config::proposal::Seen;
use crate::config::proposal::Start;
use crate::config::proposal::Unit;
use crate::config::proposal::data;
use crate::config::proposal::join;
use crate::model::command::Files as _;
use crate::model::command::named;
use serde_yaml::Value;

/// Reads the stage that trains, if the unit has a `dvc.yaml` whose command names a file of the repository.
pub(super) fn stage(seen: &Seen<'_>, unit: &Unit) -> Option<Start> {
    let path = join(&unit.folder, "dvc.yaml");
    if !unit.folder.is_empty() {
        // DVC runs a stage in the folder of its file; a command runs at the root.
        return None;
    }
    let parsed: Value = serde_yaml::from_str(&seen.text(&path)?).ok()?;
    let stages = parsed.get("stages")?.as_mapping()?;
    let of_name = |word: &str| stages.iter().find(|(name, _)| name.as_str().is_some_and(|name| name.contains(word)));
    let (_, stage) = of_name("train").or_else(|| of_name("fit")).or_else(|| stages.iter().last())?;
    let command = match stage.get("cmd")? {
        Value::String(line) => line.trim().to_owned(),
        Value::Sequence(lines) => {
            lines.iter().filter_map(Value::as_str).map(str::trim).collect::<Vec<_>>().join(" && ")
        }
        _ => return None,
    };
    if command.contains("${") || stage.get("wdir").is_some() {
        return None;
    }
    let files = named(&command, seen);
    let script = files.iter().flat_map(|file| &file.candidates).find(|path| seen.has(path))?.clone();
    let mut start = Start { script, how: How::Written(command), ..Start::default() };
    for dependency in stage.get("deps").and_then(Value::as_sequence).into_iter().flatten().filter_map(Value::as_str) {
        let dependency = dependency.trim_end_matches('/');
        if data::is_data(seen, dependency) {
            start.data.get_or_insert_with(|| dependency.to_owned());
        } else if seen.kind(dependency).is_some() {
            start.needs.push(dependency.to_owned());
        }
    }
    for parameter in stage.get("params").and_then(Value::as_sequence).into_iter().flatten() {
        let file = match parameter {
            Value::String(_) => Some("params.yaml"),
            Value::Mapping(file) => file.keys().next().and_then(Value::as_str),
            _ => None,
        };
        start.needs.extend(file.filter(|file| seen.has(file)).map(str::to_owned));
    }
    start.needs.dedup();
    let metrics = stage.get("metrics").and_then(Value::as_sequence).into_iter().flatten();
    let metrics = metrics.filter_map(|metric| match metric {
        Value::String(path) => Some(path.as_str()),
        Value::Mapping(path) => path.keys().next().and_then(Value::as_str),
        _ => None,
    });
    start.metrics = metrics.filter_map(|path| seen.text(path)).flat_map(|text| numbers(&text)).collect();
    Some(start)
}

/// The names of the numbers in a file of metrics.
fn numbers(text: &str) -> Vec<String> {
    let parsed: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let map = parsed.as_ref().and_then(|value| value.as_object()).into_iter().flatten();
    map.filter(|(_, value)| value.is_number()).map(|(name, _)| name.clone()).collect()
}
