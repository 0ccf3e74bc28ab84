//! YAML that a commit brings, read within bounds: no reference, no deep nesting, not many values. What is beyond them
//! is an error after a bounded time, whatever the text holds.
//!
//! Every single value is text here: what it means, its reader knows.

use saphyr_parser::Event;
use saphyr_parser::Parser;
use serde_json::Map;
use serde_json::Value;

/// Deepest nesting. The files of DVC need 6.
const DEPTH: usize = 32;

/// Most values.
const VALUES: usize = 200_000;

/// Text that is not read as YAML: what is wrong with it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct YamlError(String);

/// A list or a mapping whose end has not come yet.
enum Open {
    List(Vec<Value>),
    Mapping(Map<String, Value>, Option<String>),
}

/// Reads one document into lists, mappings and texts. Of a key that is written twice, the last value counts.
pub(super) fn read(text: &str) -> Result<Value, YamlError> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = Value::Null;
    let mut values = 0;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| YamlError(format!("it cannot be read as YAML: {error}")))?;
        values += 1;
        if values > VALUES {
            return Err(YamlError(format!("it holds more than {VALUES} values")));
        }
        let done = match event {
            Event::Scalar(text, ..) => Value::String(text.into_owned()),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == DEPTH => {
                return Err(YamlError(format!("its values are nested deeper than {DEPTH} levels")));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Mapping(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Value::Array(items),
                Some(Open::Mapping(entries, _)) => Value::Object(entries),
                None => continue,
            },
            Event::Alias(_) => {
                return Err(YamlError("it holds a reference (`*name`), which is not followed".to_owned()));
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                continue;
            }
        };
        match open.last_mut() {
            None => root = done,
            Some(Open::List(items)) => items.push(done),
            Some(Open::Mapping(entries, key)) => match (key.take(), done) {
                (Some(key), value) => drop(entries.insert(key, value)),
                (None, Value::String(name)) => *key = Some(name),
                (None, _) => return Err(YamlError("a key is not a single word".to_owned())),
            },
        }
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_texts_in_lists_and_mappings() {
        let text = "outs:\n- md5: 0123\n  size: 4\n  path: x.csv\n  nothing:\nempty: {}\n";
        let outs = json!([{"md5": "0123", "size": "4", "path": "x.csv", "nothing": ""}]);
        assert_eq!(read(text), Ok(json!({"outs": outs, "empty": {}})));
    }

    #[test]
    fn what_has_no_bounds_of_its_own_ends_at_these() {
        let deep = format!("outs: {}", "[".repeat(300_000));
        let deep_blocks = "- ".repeat(300_000);
        let deep_keys = format!("outs: {}", "{a: ".repeat(100_000));
        let wide = format!("outs: [{}]", "a,".repeat(VALUES));
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n".to_owned();
        let keys = format!("? {}", "[a, ".repeat(100_000));
        for text in [deep, deep_blocks, deep_keys, wide, bomb, keys] {
            let error = read(&text).expect_err("it is beyond the bounds").to_string();
            assert!(error.starts_with("it"), "{error}");
        }
    }
}
