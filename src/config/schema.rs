//! The JSON Schema of `branchline.yaml`, generated from the raw structs: for editors, for the documentation,
//! and for `shape`, which holds every file against it.

use crate::config::raw::RawFile;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;
use std::sync::LazyLock;

/// Where the schema of this format version is published.
pub const SCHEMA_URL: &str =
    "https://raw.githubusercontent.com/branchline/branchline/v1/fixtures/branchline.schema.json";

static SCHEMA: LazyLock<Value> = LazyLock::new(generate);

/// Returns the schema as pretty-printed JSON that ends with a line end. The same build always gives the same text.
pub fn json_schema() -> String {
    // `{:#}` of a JSON value is its pretty form, and cannot fail.
    format!("{:#}\n", *SCHEMA)
}

/// Returns the schema as a value.
pub(in crate::config) fn schema() -> &'static Value {
    &SCHEMA
}

/// Marks every key of a struct as a rule.
pub(in crate::config) fn mark_rules(schema: &mut Schema) {
    mark(schema, "rule");
}

/// Marks every key of a struct as a setting.
pub(in crate::config) fn mark_settings(schema: &mut Schema) {
    mark(schema, "setting");
}

fn mark(schema: &mut Schema, word: &str) {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut().filter_map(Value::as_object_mut) {
            property.insert("x-branchline".to_owned(), Value::String(word.to_owned()));
        }
    }
}

fn generate() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(without_null))
        .with_transform(RecursiveTransform(say_the_mark))
        .into_generator()
        .into_root_schema_for::<RawFile>();
    schema.insert("$id".to_owned(), Value::String(SCHEMA_URL.to_owned()));
    let schema = named_for_people(schema.to_value());
    // What says of itself what it is stands first.
    let heads = ["$schema", "$id", "title", "description"];
    let head = heads.iter().filter_map(|key| Some(((*key).to_owned(), schema.get(*key)?.clone())));
    let body = schema.as_object().into_iter().flatten().filter(|(key, _)| !heads.contains(&key.as_str()));
    Value::Object(head.chain(body.map(|(key, value)| (key.clone(), value.clone()))).collect())
}

/// Takes the prefix of the Rust names away: editors show the names of definitions.
fn named_for_people(value: Value) -> Value {
    let short = |name: &str| name.strip_prefix("Raw").unwrap_or(name).to_owned();
    match value {
        Value::Object(map) => {
            let entries = map.into_iter().map(|(key, value)| match (key.as_str(), value) {
                ("$ref", Value::String(target)) => (key, Value::String(target.replace("/Raw", "/"))),
                ("$defs", Value::Object(definitions)) => {
                    let definitions =
                        definitions.into_iter().map(|(name, value)| (short(&name), named_for_people(value)));
                    (key, Value::Object(definitions.collect()))
                }
                (_, value) => (key, named_for_people(value)),
            });
            Value::Object(entries.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(named_for_people).collect()),
        leaf => leaf,
    }
}

/// Takes `null` away: a key that may be absent must still not be written without a value.
fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    let alternatives = match schema.get_mut("anyOf") {
        Some(Value::Array(alternatives)) => {
            alternatives.retain(|alternative| alternative.get("type").is_none_or(|kind| kind != "null"));
            alternatives.clone()
        }
        _ => return,
    };
    if let [Value::Object(only)] = alternatives.as_slice() {
        schema.remove("anyOf");
        for (key, value) in only {
            schema.insert(key.clone(), value.clone());
        }
    }
}

/// Writes the mark of a key in front of its description, where people look.
fn say_the_mark(schema: &mut Schema) {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut().filter_map(Value::as_object_mut) {
            let Some(mark) = property.get("x-branchline").and_then(Value::as_str).map(str::to_owned) else { continue };
            if let Some(Value::String(description)) = property.get_mut("description") {
                *description = format!("({mark}) {}", description.replace('\n', " "));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect_file;

    #[test]
    fn the_committed_schema_is_current() {
        expect_file!["../../fixtures/branchline.schema.json"].assert_eq(&json_schema());
    }

    #[test]
    fn every_key_is_described_and_marked_as_rule_or_setting() {
        let mut keys = 0;
        let definitions = schema()["$defs"].as_object().expect("definitions").values();
        for object in definitions.chain([schema()]) {
            for (name, property) in object["properties"].as_object().into_iter().flatten() {
                keys += 1;
                let mark = property["x-branchline"].as_str().unwrap_or_default();
                assert!(matches!(mark, "rule" | "setting"), "{name} is not marked");
                let description = property["description"].as_str().unwrap_or_default();
                assert!(description.starts_with(&format!("({mark}) ")), "{name}: {description}");
            }
        }
        assert!(keys > 60, "{keys}");
    }

    #[test]
    fn nothing_may_be_null_or_unknown() {
        fn walk(value: &Value) {
            match value {
                Value::Object(map) => {
                    assert!(map.get("type").is_none_or(|kind| kind != "null"), "{value}");
                    if map.contains_key("properties") && map.contains_key("type") {
                        assert_eq!(map.get("additionalProperties"), Some(&Value::Bool(false)), "{value}");
                    }
                    map.values().for_each(walk);
                }
                Value::Array(items) => {
                    assert!(items.iter().all(|item| item != "null"));
                    items.iter().for_each(walk);
                }
                _ => {}
            }
        }
        walk(schema());
    }
}
