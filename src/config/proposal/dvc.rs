//! A stage of `dvc.yaml` that trains: its command, what it depends on, its parameters and its metrics.

use crate::config::proposal::How;
use crate::config::proposal::Seen;
use crate::config::proposal::Start;
use crate::config::proposal::Unit;
use crate::config::proposal::data;
use crate::config::proposal::scripts::Script;
use crate::model::command::Files as _;
use crate::model::command::named;
use serde_yaml::Mapping;
use serde_yaml::Value;
use std::collections::BTreeSet;

/// Reads the stage that trains, if the repository has a `dvc.yaml`. Where its command cannot be taken over, says why: what
/// is proposed instead lacks its arguments.
pub(super) fn stage(seen: &Seen<'_>, unit: &Unit, scripts: &[Script]) -> Option<Result<Start, String>> {
    if !unit.folder.is_empty() {
        // DVC runs a stage in the folder of its file; a command runs at the root.
        return None;
    }
    let parsed: Value = serde_yaml::from_str(&seen.text("dvc.yaml")?).ok()?;
    let stages = parsed.get("stages")?.as_mapping()?;
    let (name, stage) = training(seen, stages, scripts)?;
    let refused = |why: &str| {
        let legal = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '@');
        let name = name.as_str().filter(|name| name.chars().all(legal)).unwrap_or("that trains");
        Some(Err(format!(
            "the command of the stage {name} in dvc.yaml was not taken over, because {why}: add what is missing"
        )))
    };
    if ["foreach", "matrix"].iter().any(|key| stage.get(key).is_some()) {
        return refused("DVC runs it once for each item");
    }
    if stage.get("wdir").is_some() {
        return refused("DVC runs it in another folder (wdir)");
    }
    let command = command(stage)?;
    if command.contains("${") {
        return refused("DVC fills in its variables");
    }
    let files = named(&command, seen);
    match files.iter().flat_map(|file| &file.candidates).find(|path| seen.has(path)).cloned() {
        Some(script) => Some(Ok(start(seen, stages, stage, script, command))),
        None => refused("it names no file of the repository"),
    }
}

/// Chooses the stage: by its name, else by the script that it runs, else the last one.
fn training<'y>(seen: &Seen<'_>, stages: &'y Mapping, scripts: &[Script]) -> Option<(&'y Value, &'y Value)> {
    let of_name = |word: &str| stages.iter().find(|(name, _)| name.as_str().is_some_and(|name| name.contains(word)));
    let runs = |stage: &Value, path: &String| {
        let files = command(stage).map(|command| named(&command, seen)).unwrap_or_default();
        files.iter().any(|file| file.candidates.contains(path))
    };
    let of_script = || {
        let likely = scripts.iter().filter(|script| script.is_named_for_training());
        likely.map(|script| &script.path).find_map(|path| stages.iter().find(|(_, stage)| runs(stage, path)))
    };
    of_name("train").or_else(|| of_name("fit")).or_else(of_script).or_else(|| stages.iter().last())
}

/// The command of a stage as one line.
fn command(stage: &Value) -> Option<String> {
    match stage.get("cmd")? {
        Value::String(line) => Some(line.trim().to_owned()),
        Value::Sequence(lines) => {
            Some(lines.iter().filter_map(Value::as_str).map(str::trim).collect::<Vec<_>>().join(" && "))
        }
        _ => None,
    }
}

/// What stages make and DVC keeps, so that no commit has it.
fn outputs(seen: &Seen<'_>, stages: &Mapping) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    for out in stages.iter().flat_map(|(_, stage)| sequence(stage, "outs")) {
        match out {
            Value::String(path) => drop(kept.insert(path.clone())),
            Value::Mapping(out) => kept.extend(
                out.iter()
                    .filter(|(_, options)| options.get("cache").and_then(Value::as_bool) != Some(false))
                    .filter_map(|(path, _)| path.as_str().map(str::to_owned)),
            ),
            _ => {}
        }
    }
    let lock: Option<Value> = seen.text("dvc.lock").and_then(|text| serde_yaml::from_str(&text).ok());
    let locked = lock.as_ref().and_then(|lock| lock.get("stages")?.as_mapping());
    let outs = locked.into_iter().flatten().flat_map(|(_, stage)| sequence(stage, "outs"));
    kept.extend(outs.filter_map(|out| out.get("path")?.as_str().map(str::to_owned)));
    kept.into_iter().map(|path| path.trim_end_matches('/').to_owned()).filter(|path| !seen.has(path)).collect()
}

fn sequence<'y>(stage: &'y Value, key: &str) -> impl Iterator<Item = &'y Value> {
    stage.get(key).and_then(Value::as_sequence).into_iter().flatten()
}

/// What a stage says beside its command.
fn start(seen: &Seen<'_>, stages: &Mapping, stage: &Value, script: String, command: String) -> Start {
    let mut start = Start { script, how: How::Written(command), ..Start::default() };
    let outputs = outputs(seen, stages);
    let is_output = |path: &str| {
        let inside =
            |out: &String| path.strip_prefix(out.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        outputs.iter().any(inside)
    };
    for dependency in sequence(stage, "deps").filter_map(Value::as_str) {
        let dependency = dependency.trim_end_matches('/');
        if is_output(dependency) || data::is_data(seen, dependency) {
            start.data.get_or_insert_with(|| dependency.to_owned());
        } else if seen.kind(dependency).is_some() {
            start.needs.push(dependency.to_owned());
        }
    }
    for parameter in sequence(stage, "params") {
        let file = match parameter {
            Value::String(_) => Some("params.yaml"),
            Value::Mapping(file) => file.keys().next().and_then(Value::as_str),
            _ => None,
        };
        start.needs.extend(file.filter(|file| seen.has(file)).map(str::to_owned));
    }
    start.needs.dedup();
    let metrics = sequence(stage, "metrics");
    let metrics = metrics.filter_map(|metric| match metric {
        Value::String(path) => Some(path.as_str()),
        Value::Mapping(path) => path.keys().next().and_then(Value::as_str),
        _ => None,
    });
    start.metrics = metrics.filter_map(|path| seen.text(path)).flat_map(|text| numbers(&text)).collect();
    start
}

/// The names of the numbers in a file of metrics.
fn numbers(text: &str) -> Vec<String> {
    let parsed: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let map = parsed.as_ref().and_then(|value| value.as_object()).into_iter().flatten();
    map.filter(|(_, value)| value.is_number()).map(|(name, _)| name.clone()).collect()
}
