//! The reference of `branchline.yaml` as a page: every key, generated from the JSON Schema, so that the page, the editor and
//! the program say the same.

use crate::config::schema::SCHEMA_URL;
use crate::config::schema::schema;
use crate::config::shape::example_of;
use crate::config::shape::value_in_words;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::VecDeque;

/// How the page begins.
const HEAD: &str = "\
# `branchline.yaml` reference

Every key. The page is generated from the JSON Schema, which `branchline schema` prints and editors read.
";

/// A mapping whose keys are still to be written.
struct Section {
    /// Where it stands: `models.<name>.train`.
    path: String,
    /// Its definition, where it has a name.
    definition: Option<String>,
    /// Its schema.
    object: &'static Value,
}

/// Returns the page. The same build always gives the same text.
pub fn reference_page() -> String {
    let mut page = Page { text: HEAD.to_owned(), written: BTreeMap::new(), waiting: VecDeque::new() };
    page.text.push_str(&format!("The schema's address: <{SCHEMA_URL}>.\n\n"));
    page.text.push_str(
        "A *rule* counts as it stands on the repository's default branch (for a pull request: on its base branch). A *setting* counts \
         as it stands in the commit that is trained.\n",
    );
    page.waiting.push_back(Section { path: String::new(), definition: None, object: schema() });
    while let Some(section) = page.waiting.pop_front() {
        page.section(&section);
    }
    page.text
}

struct Page {
    text: String,
    /// Definitions that have a section, with its path.
    written: BTreeMap<String, String>,
    waiting: VecDeque<Section>,
}

impl Page {
    fn section(&mut self, section: &Section) {
        let title = if section.path.is_empty() { "Top level".to_owned() } else { format!("`{}`", section.path) };
        self.text.push_str(&format!("\n## {title}\n\n"));
        if section.definition.is_some()
            && let Some(description) = section.object["description"].as_str()
        {
            self.text.push_str(&format!("{}\n\n", one_line(description)));
        }
        self.text.push_str("| Key | Kind | Value | Meaning |\n|---|---|---|---|\n");
        let required: Vec<&str> =
            section.object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (key, property) in section.object["properties"].as_object().into_iter().flatten() {
            let path = if section.path.is_empty() { key.clone() } else { format!("{}.{key}", section.path) };
            let mark = property["x-branchline"].as_str().unwrap_or_default();
            let description = property["description"].as_str().unwrap_or_default();
            let description = description.strip_prefix(&format!("({mark}) ")).unwrap_or(description);
            let mut meaning = one_line(description);
            if required.contains(&key.as_str()) {
                meaning.push_str(" Required.");
            }
            if let Some(example) = example_of(key, property) {
                meaning.push_str(&format!(" Example: `{}`.", cell(&example)));
            }
            for below in self.below(property, &path) {
                meaning.push_str(&below);
            }
            let value = cell(&value_in_words(property));
            self.text.push_str(&format!("| `{key}` | {mark} | {value} | {} |\n", cell(&meaning)));
        }
    }

    /// Plans the sections of the mappings that a value may be, and returns what refers to them.
    fn below(&mut self, value: &'static Value, path: &str) -> Vec<String> {
        let mut said = Vec::new();
        for (definition, object, path) in mappings(value, path, None) {
            let known = definition.as_ref().and_then(|name| self.written.get(name));
            match known {
                Some(first) => said.push(format!(" Keys: as in [`{first}`](#{}).", anchor(first))),
                None => {
                    said.push(format!(" Keys: [`{path}`](#{}).", anchor(&path)));
                    if let Some(name) = &definition {
                        self.written.insert(name.clone(), path.clone());
                    }
                    self.waiting.push_back(Section { path, definition, object });
                }
            }
        }
        said
    }
}

/// Finds the mappings with keys of their own that a value may be: itself, by name, or as items.
fn mappings(value: &'static Value, path: &str, name: Option<&str>) -> Vec<(Option<String>, &'static Value, String)> {
    let mut found = Vec::new();
    if let Some(definition) = value["$ref"].as_str().map(|target| target.trim_start_matches("#/$defs/")) {
        found.extend(mappings(&schema()["$defs"][definition], path, Some(definition)));
        return found;
    }
    for alternative in ["oneOf", "anyOf"].iter().filter_map(|key| value[*key].as_array()).flatten() {
        found.extend(mappings(alternative, path, None));
    }
    if value["properties"].is_object() {
        found.push((name.map(str::to_owned), value, path.to_owned()));
    } else if value["additionalProperties"].is_object() {
        found.extend(mappings(&value["additionalProperties"], &format!("{path}.<name>"), None));
    }
    if value["items"].is_object() {
        found.extend(mappings(&value["items"], &format!("{path}[]"), None));
    }
    found
}

/// The anchor that GitHub gives a heading in code: letters, digits, `-` and `_` stay.
fn anchor(path: &str) -> String {
    path.to_lowercase().chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect_file;

    #[test]
    fn the_committed_page_is_current() {
        expect_file!["../../docs/reference.md"].assert_eq(&reference_page());
    }

    #[test]
    fn every_key_of_the_schema_has_a_row_and_every_link_a_heading() {
        let page = reference_page();
        let definitions = schema()["$defs"].as_object().expect("definitions").values();
        for object in definitions.chain([schema()]) {
            for key in object["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
                assert!(page.contains(&format!("\n| `{key}` | ")), "{key} has no row");
            }
        }
        let headings: Vec<String> = page.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(headings.iter().any(|heading| heading == link), "{link} has no heading: {headings:?}");
        }
        for (number, heading) in headings.iter().enumerate() {
            assert!(!headings[number + 1..].contains(heading), "two headings {heading}");
        }
    }
}
