//! AWS's own service models, as a judge of requests and answers.
//!
//! Left out: the few patterns that this regular expression engine cannot compile ([`Contract::uncompiled`] lists
//! them), and S3 and STS, which do not speak JSON.

use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;

/// The models, read once.
pub struct Contract {
    models: BTreeMap<&'static str, Value>,
    patterns: Mutex<BTreeMap<String, Option<Arc<Regex>>>>,
}

/// Returns the models.
pub fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let read = |text: &str| serde_json::from_str::<Value>(text).expect("a model is JSON");
        let models = [
            ("SageMaker", read(include_str!("../../../../fixtures/contracts/sagemaker-model-subset.json"))),
            ("ECR", read(include_str!("../../../../fixtures/contracts/ecr-model-subset.json"))),
            ("Logs", read(include_str!("../../../../fixtures/contracts/logs-model-subset.json"))),
            ("S3", read(include_str!("../../../../fixtures/contracts/s3-model-subset.json"))),
            ("STS", read(include_str!("../../../../fixtures/contracts/sts-model-subset.json"))),
        ];
        Contract { models: BTreeMap::from(models), patterns: Mutex::default() }
    })
}

impl Contract {
    /// Returns whether the model has the operation.
    pub fn knows(&self, service: &str, operation: &str) -> bool {
        !self.models[service]["operations"][operation].is_null()
    }

    /// Says what is wrong with a request, as AWS says it.
    pub fn faults_of_request(&self, service: &str, operation: &str, body: &Value) -> Vec<String> {
        self.faults_of(service, operation, "input", body)
    }

    /// Says what is wrong with an answer.
    pub fn faults_of_answer(&self, service: &str, operation: &str, body: &Value) -> Vec<String> {
        self.faults_of(service, operation, "output", body)
    }

    /// Returns the members that the answer of an operation may have.
    pub fn members_of_answer(&self, service: &str, operation: &str) -> Vec<&str> {
        let model = &self.models[service];
        let name = model["operations"][operation]["output"]["shape"].as_str().unwrap_or_default();
        model["shapes"][name]["members"]
            .as_object()
            .map(|members| members.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    /// Returns the patterns that this engine cannot compile.
    pub fn uncompiled(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        for service in ["SageMaker", "ECR", "Logs"] {
            let shapes = self.models[service]["shapes"].as_object().expect("shapes");
            for pattern in shapes.values().filter_map(|shape| shape["pattern"].as_str()) {
                if self.compiled(pattern).is_none() {
                    out.insert(pattern.to_owned());
                }
            }
        }
        out
    }

    fn faults_of(&self, service: &str, operation: &str, side: &str, body: &Value) -> Vec<String> {
        let model = &self.models[service];
        match model["operations"][operation][side]["shape"].as_str() {
            Some(shape) => {
                let mut faults = Vec::new();
                self.look(model, shape, "", body, &mut faults);
                faults
            }
            None if body.as_object().is_none_or(|members| members.is_empty()) => Vec::new(),
            None => vec!["a body, and none is described".to_owned()],
        }
    }

    fn look(&self, model: &Value, name: &str, at: &str, value: &Value, faults: &mut Vec<String>) {
        let shape = &model["shapes"][name];
        let mut no = |what: &str| {
            let shown: String = value.to_string().chars().take(120).collect();
            faults.push(format!("Value '{shown}' at '{at}' failed to satisfy constraint: {what}"));
        };
        let within = |amount: f64| {
            let least = shape["min"].as_f64().unwrap_or(f64::MIN);
            let most = shape["max"].as_f64().unwrap_or(f64::MAX);
            (least, most, amount >= least && amount <= most)
        };
        match shape["type"].as_str().unwrap_or_default() {
            "structure" => {
                let Some(members) = value.as_object() else { return no("Member must be a structure") };
                for required in shape["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if members.get(required).is_none_or(Value::is_null) {
                        faults.push(format!(
                            "Value null at '{}' failed to satisfy constraint: Member must not be null",
                            below(at, required)
                        ));
                    }
                }
                for (member, value) in members {
                    match shape["members"][member]["shape"].as_str() {
                        Some(shape) => self.look(model, shape, &below(at, member), value, faults),
                        None => faults.push(format!("Unknown member '{}'", below(at, member))),
                    }
                }
            }
            "list" => {
                let Some(items) = value.as_array() else { return no("Member must be a list") };
                let (least, most, fits) = within(items.len() as f64);
                if !fits {
                    no(&format!("Member must have length between {least} and {most}"));
                }
                let item = shape["member"]["shape"].as_str().unwrap_or_default();
                for (index, value) in items.iter().enumerate() {
                    self.look(model, item, &format!("{at}.{}.member", index + 1), value, faults);
                }
            }
            "map" => {
                let Some(entries) = value.as_object() else { return no("Member must be a map") };
                let (least, most, fits) = within(entries.len() as f64);
                if !fits {
                    no(&format!("Member must have length between {least} and {most}"));
                }
                let (key_shape, value_shape) = (shape["key"]["shape"].as_str(), shape["value"]["shape"].as_str());
                for (key, value) in entries {
                    self.look(
                        model,
                        key_shape.unwrap_or_default(),
                        &format!("{at}.key"),
                        &Value::from(key.as_str()),
                        faults,
                    );
                    self.look(model, value_shape.unwrap_or_default(), &format!("{at}.{key}"), value, faults);
                }
            }
            "string" => {
                let Some(text) = value.as_str() else { return no("Member must be a string") };
                let (least, most, fits) = within(text.chars().count() as f64);
                if !fits && text.chars().count() as f64 > most {
                    no(&format!("Member must have length less than or equal to {most}"));
                } else if !fits {
                    no(&format!("Member must have length greater than or equal to {least}"));
                }
                if let Some(pattern) = shape["pattern"].as_str()
                    && self.compiled(pattern).is_some_and(|compiled| !compiled.is_match(text))
                {
                    no(&format!("Member must satisfy regular expression pattern: {pattern}"));
                }
                if let Some(options) = shape["enum"].as_array()
                    && !options.contains(value)
                {
                    let options: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
                    no(&format!("Member must satisfy enum value set: [{}]", options.join(", ")));
                }
            }
            "integer" | "long" => match value.as_i64() {
                None => no("Member must be an integer"),
                Some(number) if !within(number as f64).2 => {
                    no(&format!("Member must be between {} and {}", within(0.0).0, within(0.0).1));
                }
                Some(_) => {}
            },
            "float" | "double" | "timestamp" => match value.as_f64() {
                None => no("Member must be a number"),
                Some(number) if !within(number).2 => no("Member is out of its range"),
                Some(_) => {}
            },
            "boolean" if !value.is_boolean() => no("Member must be a boolean"),
            "boolean" => {}
            "blob" if !value.is_string() => no("Member must be base64"),
            "blob" => {}
            other => panic!("shape {name} has the type {other:?}"),
        }
    }

    fn compiled(&self, pattern: &str) -> Option<Arc<Regex>> {
        let mut patterns = self.patterns.lock().expect("nobody panics here");
        let make = || {
            // Two spellings of Java's, and a look back that only forbids a hyphen at the end.
            let ours = pattern.replace(r"\p{Alnum}", "[:alnum:]").replace("(?<!-)", "");
            let built = regex::RegexBuilder::new(&format!("(?s)^(?:{ours})$")).size_limit(1 << 26).build();
            built.ok().map(Arc::new)
        };
        patterns.entry(pattern.to_owned()).or_insert_with(make).clone()
    }
}

fn below(at: &str, member: &str) -> String {
    if at.is_empty() { lower_first(member) } else { format!("{at}.{}", lower_first(member)) }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_lowercase().to_string() + letters.as_str()).unwrap_or_default()
}
