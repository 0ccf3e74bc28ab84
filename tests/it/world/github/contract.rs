//! GitHub's own description of its API, as a judge of requests and answers, and as a source of whole answers.

use jsonschema::Registry;
use jsonschema::Validator;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;

/// The description, made ready once.
pub struct Contract {
    spec: &'static Value,
    registry: &'static Registry<'static>,
    validators: Mutex<BTreeMap<String, Arc<Validator>>>,
}

/// A path of the description and the values of its parameters.
pub struct Route {
    /// Such as `/repos/{owner}/{repo}/check-runs`.
    pub template: String,
    /// By name.
    pub values: BTreeMap<String, String>,
}

/// Returns the description.
pub fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let text = include_str!("../../../../fixtures/contracts/github-openapi-subset.json");
        let mut spec: Value = serde_json::from_str(text).expect("JSON");
        say_null_in_types(&mut spec);
        // Seen on github.com, where the fork of a pull request is gone, against what the description says.
        for name in ["pull-request", "pull-request-simple"] {
            let repo = &mut spec["components"]["schemas"][name]["properties"]["head"]["properties"]["repo"];
            *repo = json!({ "anyOf": [repo.clone(), { "type": "null" }] });
        }
        let spec: &'static Value = Box::leak(Box::new(spec));
        let registry = Registry::new()
            .add("urn:gh", spec)
            .and_then(|builder| builder.prepare())
            .expect("a description to refer to");
        Contract { spec, registry: Box::leak(Box::new(registry)), validators: Mutex::default() }
    })
}

/// OpenAPI 3.0 writes `nullable: true` where JSON Schema has a type `null`.
fn say_null_in_types(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable") == Some(&Value::Bool(true)) {
                if let Some(kind) = map.get("type").filter(|kind| kind.is_string()).cloned() {
                    map.insert("type".to_owned(), json!([kind, "null"]));
                }
                if let Some(Value::Array(options)) = map.get_mut("enum")
                    && !options.contains(&Value::Null)
                {
                    options.push(Value::Null);
                }
            }
            map.values_mut().for_each(say_null_in_types);
        }
        Value::Array(items) => items.iter_mut().for_each(say_null_in_types),
        _ => {}
    }
}

impl Contract {
    /// Finds the path of the description that a request means, the one with the most fixed parts.
    pub fn route(&self, method: &str, path: &str) -> Option<Route> {
        let asked: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let paths = self.spec["paths"].as_object().expect("paths");
        paths
            .iter()
            .filter(|(_, methods)| methods.get(method.to_ascii_lowercase()).is_some())
            .filter_map(|(template, _)| {
                matched(template, &asked).map(|values| Route { template: template.clone(), values })
            })
            .min_by_key(|route| route.values.len())
    }

    /// Says what is wrong with a request.
    pub fn faults_of_request(
        &self,
        method: &str,
        route: &Route,
        query: &[(String, String)],
        body: Option<&Value>,
    ) -> Vec<String> {
        let method = method.to_ascii_lowercase();
        let operation = &self.spec["paths"][&route.template][&method];
        let mut faults = Vec::new();
        let none = Vec::new();
        let parameters: Vec<&Value> = operation["parameters"]
            .as_array()
            .unwrap_or(&none)
            .iter()
            .map(|parameter| self.resolve(parameter))
            .collect();
        for (name, value) in query {
            match parameters.iter().find(|parameter| parameter["in"] == "query" && parameter["name"] == name.as_str()) {
                None => faults.push(format!("no parameter `{name}` in the query")),
                Some(parameter) => faults.extend(wrong_value(name, value, self.resolve(&parameter["schema"]))),
            }
        }
        for (name, value) in &route.values {
            if let Some(parameter) =
                parameters.iter().find(|parameter| parameter["in"] == "path" && parameter["name"] == name.as_str())
            {
                faults.extend(wrong_value(name, value, self.resolve(&parameter["schema"])));
            }
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        match (body, schema.is_null()) {
            (Some(body), false) => {
                let place =
                    format!("/paths/{}/{method}/requestBody/content/application~1json/schema", part(&route.template));
                faults.extend(self.faults(&place, body));
            }
            (Some(_), true) => faults.push("it has a body, and none is described".to_owned()),
            (None, false) if operation["requestBody"]["required"] == json!(true) => {
                faults.push("it has no body".to_owned())
            }
            (None, _) => {}
        }
        faults
    }

    /// Says what is wrong with an answer. Statuses that are not described only have to carry GitHub's form of error.
    pub fn faults_of_answer(&self, method: &str, route: &Route, status: u16, body: Option<&Value>) -> Vec<String> {
        match (self.answer_schema(method, route, status), body) {
            (Some(place), Some(body)) => self.faults(&place, body),
            (Some(_), None) => vec!["it has no body".to_owned()],
            (None, Some(body)) if status >= 300 => self.faults("/components/schemas/basic-error", body),
            (None, Some(_)) => vec![format!("status {status} with a body is not described")],
            (None, None) => Vec::new(),
        }
    }

    /// Makes the smallest whole answer of a described status, to be filled with what is true.
    pub fn sample(&self, method: &str, template: &str, status: u16) -> Value {
        let route = Route { template: template.to_owned(), values: BTreeMap::new() };
        let place = self.answer_schema(method, &route, status).expect("a described answer");
        self.smallest(self.spec.pointer(&place).expect("a schema"))
    }

    /// Makes the smallest whole value of a named schema.
    pub fn sample_of(&self, name: &str) -> Value {
        let mut schema = self.spec["components"]["schemas"][name].clone();
        // Asked for by name, one that may be null is not.
        if let Value::Array(kinds) = &schema["type"] {
            schema["type"] = kinds[0].clone();
        }
        self.smallest(&schema)
    }

    fn answer_schema(&self, method: &str, route: &Route, status: u16) -> Option<String> {
        let method = method.to_ascii_lowercase();
        let mut place = format!("/paths/{}/{method}/responses/{status}", part(&route.template));
        let response = self.spec.pointer(&place)?;
        if let Some(target) = response["$ref"].as_str() {
            place = target.trim_start_matches('#').to_owned();
        }
        let place = format!("{place}/content/application~1json/schema");
        self.spec.pointer(&place).is_some().then_some(place)
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(target) => self.resolve(self.spec.pointer(target.trim_start_matches('#')).expect("a target")),
            None => value,
        }
    }

    fn faults(&self, place: &str, value: &Value) -> Vec<String> {
        let validator = {
            let mut validators = self.validators.lock().expect("nobody panics here");
            let make = || {
                let reference = format!("urn:gh#{}", place.replace('{', "%7B").replace('}', "%7D"));
                let validator = jsonschema::options()
                    .with_registry(self.registry)
                    .build(&json!({ "$ref": reference }))
                    .unwrap_or_else(|why| panic!("{place}: {why}"));
                Arc::new(validator)
            };
            validators.entry(place.to_owned()).or_insert_with(make).clone()
        };
        validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).take(5).collect()
    }

    fn smallest(&self, schema: &Value) -> Value {
        let schema = self.resolve(schema);
        for one_of in ["oneOf", "anyOf"] {
            if let Some(options) = schema[one_of].as_array() {
                return self.smallest(&options[0]);
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return parts.iter().fold(json!({}), |whole, part| overlaid(whole, self.smallest(part)));
        }
        if let Some(options) = schema["enum"].as_array() {
            return options[0].clone();
        }
        let kind = match &schema["type"] {
            Value::Array(_) => return Value::Null,
            Value::String(kind) => kind.as_str(),
            _ => "object",
        };
        match kind {
            "string" => json!(match schema["format"].as_str() {
                Some("uri") => "https://github.example.com/",
                Some("date-time") => "2026-11-01T08:00:00Z",
                Some("email") => "a@example.com",
                _ => "",
            }),
            "integer" | "number" => json!(1),
            "boolean" => json!(false),
            "array" => json!([]),
            _ => {
                let none = Vec::new();
                let required = schema["required"].as_array().unwrap_or(&none);
                let members = required.iter().filter_map(Value::as_str);
                Value::Object(
                    members.map(|name| (name.to_owned(), self.smallest(&schema["properties"][name]))).collect(),
                )
            }
        }
    }
}

/// Lays one value over another, member by member.
pub fn overlaid(under: Value, over: Value) -> Value {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            let mut whole: Map<String, Value> = under;
            for (name, value) in over {
                let before = whole.remove(&name).unwrap_or(Value::Null);
                whole.insert(name, overlaid(before, value));
            }
            Value::Object(whole)
        }
        (_, over) => over,
    }
}

fn part(template: &str) -> String {
    template.replace('~', "~0").replace('/', "~1")
}

fn matched(template: &str, asked: &[&str]) -> Option<BTreeMap<String, String>> {
    let parts: Vec<&str> = template.trim_start_matches('/').split('/').collect();
    let mut values = BTreeMap::new();
    for (at, part) in parts.iter().enumerate() {
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            // The one parameter that GitHub takes with slashes in it.
            Some("path") => {
                let rest: Vec<String> = asked.get(at..)?.iter().map(|part| decoded(part)).collect();
                values.insert("path".to_owned(), rest.join("/"));
                return Some(values);
            }
            Some(name) => {
                values.insert(name.to_owned(), decoded(asked.get(at)?));
            }
            None if asked.get(at) == Some(part) => {}
            None => return None,
        }
    }
    (parts.len() == asked.len()).then_some(values)
}

fn wrong_value(name: &str, value: &str, schema: &Value) -> Option<String> {
    if schema["type"] == "integer" && value.parse::<u64>().is_err() {
        return Some(format!("`{name}` is not a number: {value}"));
    }
    let options = schema["enum"].as_array()?;
    (!options.contains(&json!(value))).then(|| format!("`{name}` may not be `{value}`"))
}

/// Undoes percent-encoding.
pub fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
