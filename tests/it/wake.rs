//! The templates that wake the reconcile workflow: they match what SageMaker sends, nothing of anybody else's, and what
//! they send is what GitHub takes.
//!
//! EventBridge's patterns are played here as far as the templates use them: lists of values, and prefixes.

use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The template with its parameters put in, as CloudFormation would do it.
fn template() -> Value {
    let raw: serde_yaml::Value = serde_yaml::from_str(&text("workflows/aws/wake.cloudformation.yaml")).expect("YAML");
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, parameter) in raw["Parameters"].as_mapping().expect("parameters") {
        let name = name.as_str().expect("a name").to_owned();
        let given = match name.as_str() {
            "Repository" => Some("acme/churn"),
            "Project" => Some("churn"),
            _ => parameter["Default"].as_str(),
        };
        let value = given.unwrap_or_else(|| panic!("parameter {name} has no default")).to_owned();
        parameters.insert(name, value);
    }
    parameters.insert("AWS::AccountId".to_owned(), "123456789012".to_owned());
    let resources: Vec<String> = raw["Resources"]
        .as_mapping()
        .expect("resources")
        .keys()
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect();
    resolve(&raw["Resources"], &parameters, &resources)
}

fn resolve(value: &serde_yaml::Value, parameters: &BTreeMap<String, String>, resources: &[String]) -> Value {
    let inner = |value: &serde_yaml::Value| resolve(value, parameters, resources);
    match value {
        serde_yaml::Value::Tagged(tagged) => {
            let text = tagged.value.as_str().expect("a text").to_owned();
            match tagged.tag.to_string().as_str() {
                "!Sub" => {
                    let mut text = text;
                    for (name, value) in parameters {
                        text = text.replace(&format!("${{{name}}}"), value);
                    }
                    assert!(!text.contains("${"), "a parameter that is not there: {text}");
                    text.into()
                }
                "!Ref" => {
                    assert!(parameters.contains_key(&text) || resources.contains(&text), "{text} is not there");
                    parameters.get(&text).cloned().unwrap_or_else(|| format!("ref:{text}")).into()
                }
                "!GetAtt" => {
                    let resource = text.split('.').next().unwrap_or_default().to_owned();
                    assert!(resources.contains(&resource), "{resource} is not there");
                    format!("att:{text}").into()
                }
                other => panic!("{other} is not played here"),
            }
        }
        serde_yaml::Value::Mapping(mapping) => Value::Object(
            mapping.iter().map(|(key, value)| (key.as_str().expect("a key").to_owned(), inner(value))).collect(),
        ),
        serde_yaml::Value::Sequence(list) => list.iter().map(inner).collect(),
        other => serde_json::to_value(other).expect("plain"),
    }
}

fn matches(pattern: &Value, event: &Value) -> bool {
    pattern.as_object().expect("a pattern").iter().all(|(key, wanted)| match wanted {
        Value::Object(_) => matches(wanted, &event[key]),
        Value::Array(any) => any.iter().any(|one| match one {
            Value::Object(rule) => {
                let prefix = rule["prefix"].as_str().expect("only prefixes are played here");
                event[key].as_str().is_some_and(|text| text.starts_with(prefix))
            }
            plain => *plain == event[key],
        }),
        other => panic!("not a pattern: {other}"),
    })
}

fn events() -> Vec<(String, Value, String)> {
    let mut found: Vec<(String, Value, String)> = fs::read_dir(at("fixtures/wake"))
        .expect("fixtures/wake")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let event = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
            let wakes = fs::read_to_string(path.with_extension("wakes.txt")).expect("what it wakes");
            (path.display().to_string(), event, wakes.trim().to_owned())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() > 8);
    found
}

#[test]
fn each_event_wakes_the_rule_that_stands_beside_it_and_no_other() {
    let template = template();
    let rules: Vec<(&String, &Value)> = template
        .as_object()
        .expect("resources")
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Events::Rule")
        .map(|(name, resource)| (name, &resource["Properties"]["EventPattern"]))
        .collect();
    assert_eq!(rules.len(), 2);
    for (file, event, wakes) in events() {
        let woken: Vec<&str> =
            rules.iter().filter(|(_, pattern)| matches(pattern, &event)).map(|(name, _)| name.as_str()).collect();
        let wanted: Vec<&str> = if wakes == "nothing" { Vec::new() } else { vec![wakes.as_str()] };
        assert_eq!(woken, wanted, "{file}");
    }
}

#[test]
fn what_is_sent_is_what_github_takes_and_the_workflow_listens() {
    let template = template();
    let destination = &template["Reconcile"]["Properties"];
    let address = destination["InvocationEndpoint"].as_str().expect("an address");
    assert_eq!(destination["HttpMethod"], "POST");
    let file = "branchline-reconcile.yml";
    assert_eq!(address, format!("https://api.github.com/repos/acme/churn/actions/workflows/{file}/dispatches"));
    for rule in ["TrainingEnded", "ApprovalChanged"] {
        for target in template[rule]["Properties"]["Targets"].as_array().expect("targets") {
            let body: Value = serde_json::from_str(target["Input"].as_str().expect("an input")).expect("JSON");
            assert_eq!(body, json!({ "ref": "main" }), "nothing of the event goes along");
            assert_eq!(target["Arn"], "att:Reconcile.Arn");
        }
    }
    let workflow: serde_yaml::Value = serde_yaml::from_str(&text(&format!("workflows/{file}"))).expect("YAML");
    let on = workflow["on"].as_mapping().expect("events");
    let dispatch = on.get("workflow_dispatch").expect("the workflow can be started from outside");
    assert!(dispatch.is_null(), "the body gives no inputs, so none may be required");
}

/// The two templates are two spellings of one thing.
#[test]
fn terraform_says_the_same_words() {
    let terraform = text("workflows/aws/wake.tf");
    let template = template();
    let mut words: Vec<String> = vec!["events:InvokeApiDestination".into(), "sqs:SendMessage".into()];
    for rule in ["TrainingEnded", "ApprovalChanged"] {
        let pattern = &template[rule]["Properties"]["EventPattern"];
        let mut lists = vec![&pattern["detail-type"], &pattern["source"]];
        let detail = pattern["detail"].as_object().expect("a detail");
        words.extend(detail.keys().cloned());
        lists.extend(detail.values());
        let plain = lists.into_iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
        words.extend(plain.map(|word| format!("\"{word}\"")));
    }
    for word in words {
        assert!(terraform.contains(&word), "wake.tf does not say {word}");
    }
    assert_eq!(terraform.matches('{').count(), terraform.matches('}').count());
}
