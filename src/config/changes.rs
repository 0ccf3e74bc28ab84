//! What differs between the rules of two configurations: for telling whoever changed rules in a commit that
//! the changed ones do not count for it.

use crate::config::resolved::Config;
use crate::config::resolved::Model;
use crate::config::view::ModelRulesView;
use crate::config::view::RulesView;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

/// One rule that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    /// The key, as `stages.prod.groups.prod`.
    pub key: String,
    /// What it is on the first side; `None` if it is not there.
    pub from: Option<String>,
    /// What it is on the second side; `None` if it is not there.
    pub to: Option<String>,
}

impl fmt::Display for RuleChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        write!(f, "{}: {} -> {}", self.key, side(&self.from), side(&self.to))
    }
}

/// Compares the rules of two configurations, in the order of their keys.
///
/// Of models, only those that both know: the rules of a new model are its own commit's.
pub fn rules_differ(a: &Config, b: &Config) -> Vec<RuleChange> {
    let (from, to) = (flat(a, b), flat(b, a));
    let keys: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let changes = keys.into_iter().filter(|key| from.get(*key) != to.get(*key));
    changes.map(|key| RuleChange { key: key.clone(), from: from.get(key).cloned(), to: to.get(key).cloned() }).collect()
}

fn flat(config: &Config, other: &Config) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    flatten("", &json(&RulesView::of(config)), &mut leaves);
    // The order of stages is a rule of its own.
    let order: Vec<&str> = config.stages.iter().map(|stage| stage.name.as_str()).collect();
    leaves.insert("stages (low to high)".to_owned(), order.join(", "));
    let shared = |model: &&Model| other.models.contains_key(&model.name);
    for model in config.models.values().filter(shared) {
        flatten(&format!("models.{}", model.name), &json(&ModelRulesView::of(model)), &mut leaves);
    }
    leaves
}

fn json(view: &impl Serialize) -> Value {
    // Maps of text, numbers and lists cannot fail to be written.
    serde_json::to_value(view).unwrap_or_default()
}

fn flatten(key: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(&below, value, leaves);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(leaf).collect();
            leaves.insert(key.to_owned(), format!("[{}]", items.join(", ")));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            leaves.insert(key.to_owned(), leaf(value));
        }
    }
}

fn leaf(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SourceText;
    use crate::config::load;

    const BASE: &str = "\
version: 1
project: churn
models:
  churn:
    paths: [train.py]
    train: { command: make, data: none }
    gates: { accuracy: { min: 0.8, max_drop: 1% } }
";

    fn config(text: &str) -> Config {
        let source = SourceText::new("branchline.yaml", text);
        load(&source, &source).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn changes(text: &str) -> Vec<String> {
        rules_differ(&config(BASE), &config(text)).iter().map(RuleChange::to_string).collect()
    }

    #[test]
    fn settings_are_not_rules() {
        assert_eq!(changes(BASE), Vec::<String>::new());
        assert_eq!(changes(&BASE.replace("make", "make fast").replace("train.py", "x.py")), Vec::<String>::new());
        let more = format!(
            "{BASE}  other: {{ paths: [x], train: {{ command: x, data: none }}, gates: {{ f1: {{ min: 1 }} }} }}\n"
        );
        assert_eq!(changes(&more), Vec::<String>::new());
    }

    #[test]
    fn every_changed_rule_is_named() {
        let text = BASE.replace("min: 0.8, max_drop: 1%", "min: 0.7").replace("project: churn", "project: churn\nrequire_review: true\nstages: { prod: { branches: [main] }, qa: { branches: [qa], does: train, groups: { qa: {} } } }");
        assert_eq!(
            changes(&text),
            [
                "models.churn.gates.accuracy.max_drop: 1% -> (none)",
                "models.churn.gates.accuracy.min: 0.8 -> 0.7",
                "models.churn.gates.accuracy.when_data_differs: mark -> (none)",
                "models.churn.groups.qa: (none) -> churn-qa",
                "require_review: false -> true",
                "stages (low to high): feature, dev, prod -> feature, dev, prod, qa",
                "stages.prod.branches: [prod] -> [main]",
                "stages.qa.branches: (none) -> [qa]",
                "stages.qa.does: (none) -> train",
                "stages.qa.groups.qa: (none) -> manual",
                "stages.qa.on_newer_push: (none) -> keep",
                "stages.qa.reuse_from: (none) -> []",
            ]
        );
    }

    #[test]
    fn a_default_written_out_changes_nothing() {
        assert_eq!(changes(&format!("{BASE}wait: done\nparallel: 4\ntopology: baseline\n")), Vec::<String>::new());
    }
}
