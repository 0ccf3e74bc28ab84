//! Holds a tree against the JSON Schema: unknown keys, wrong kinds of value, missing keys, words that are not
//! one of the choices; all of them, each where it stands.
//!
//! What comes out is a value for serde in which every problem was left out and every text is a string with
//! the file's own characters, whatever number it looks like. Whether names, patterns and references make
//! sense is not known here.

use crate::config::problem::Place;
use crate::config::problem::Problem;
use crate::config::problem::nearest;
use crate::config::problem::one_of;
use crate::config::problem::quoted;
use crate::config::raw::RawFile;
use crate::config::route::Route;
use crate::config::schema::schema;
use crate::config::tree::Entry;
use crate::config::tree::Kind;
use crate::config::tree::Node;
use crate::config::tree::Tree;
use serde_json::Value as Schema;
use serde_yaml::Mapping;
use serde_yaml::Number;
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// A file read as typed, as far as it could be.
#[derive(Debug)]
pub struct Shaped {
    /// What was understood. Absent fields may have been left out because of a problem.
    pub raw: RawFile,
    /// What was not.
    pub problems: Vec<Problem>,
    /// The parts of the file that a problem was said about, so that nothing is said twice.
    pub damaged: BTreeSet<Route>,
}

/// Reads a tree as typed.
///
/// `damaged` are the parts of the file that something was said about already.
pub fn read(tree: &Tree, damaged: BTreeSet<Route>) -> Shaped {
    let mut walker = Walker { root: schema(), problems: Vec::new(), damaged };
    let value = walker.value(&tree.root, schema(), &Route::root(), tree.root.place);
    let raw = value.map(serde_yaml::from_value).transpose();
    let raw = raw.unwrap_or_else(|error| {
        // The schema is generated from the same structs, so this is a disagreement that a test would show.
        let message = format!("the file could not be read: {error}");
        walker.problems.push(Problem { place: Place::START, message, hint: None, route: Route::root() });
        None
    });
    Shaped { raw: raw.unwrap_or_default(), problems: walker.problems, damaged: walker.damaged }
}

/// What a schema allows at one place, its references followed and its alternatives put together.
#[derive(Default)]
struct Allowed<'s> {
    words: Vec<&'s str>,
    text: bool,
    number: bool,
    integer: bool,
    boolean: bool,
    mapping: Option<&'s Schema>,
    list: Option<&'s Schema>,
    range: (Option<f64>, Option<f64>),
    examples: Vec<&'s Schema>,
}

impl<'s> Allowed<'s> {
    fn of(root: &'s Schema, schema: &'s Schema) -> Self {
        let mut allowed = Self::default();
        allowed.add(root, schema);
        allowed
    }

    fn add(&mut self, root: &'s Schema, schema: &'s Schema) {
        self.examples.extend(schema["examples"].as_array().into_iter().flatten());
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.trim_start_matches("#/$defs/");
            self.add(root, &root["$defs"][name]);
        }
        for alternative in ["oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten() {
            self.add(root, alternative);
        }
        let words: Vec<&str> = match (schema["enum"].as_array(), schema["const"].as_str()) {
            (Some(words), _) => words.iter().filter_map(Schema::as_str).collect(),
            (None, Some(word)) => vec![word],
            (None, None) => Vec::new(),
        };
        let closed = !words.is_empty();
        self.words.extend(words);
        let kinds = schema["type"].as_array().map_or_else(|| vec![&schema["type"]], |kinds| kinds.iter().collect());
        for kind in kinds.iter().filter_map(|kind| kind.as_str()) {
            match kind {
                "string" => self.text |= !closed,
                "number" => self.number = true,
                "integer" => self.integer = true,
                "boolean" => self.boolean = true,
                "object" => self.mapping = Some(schema),
                "array" => self.list = Some(schema),
                _ => {}
            }
        }
        self.range.0 = self.range.0.or(schema["minimum"].as_f64());
        self.range.1 = self.range.1.or(schema["maximum"].as_f64());
    }

    /// Says in words what may stand here.
    fn in_words(&self) -> String {
        let mut kinds = Vec::new();
        if !self.words.is_empty() {
            kinds.push(one_of(self.words.iter().copied()));
        }
        if self.text {
            kinds.push("text".to_owned());
        } else if self.integer {
            kinds.push("a whole number".to_owned());
        } else if self.number {
            kinds.push("a number".to_owned());
        } else if self.boolean {
            kinds.push("`true` or `false`".to_owned());
        }
        if self.list.is_some() {
            kinds.push("a list".to_owned());
        }
        if self.mapping.is_some() {
            kinds.push("a mapping (`key: value`)".to_owned());
        }
        kinds.join(" or ")
    }
}

struct Walker {
    root: &'static Schema,
    problems: Vec<Problem>,
    damaged: BTreeSet<Route>,
}

impl Walker {
    /// Reads one value; `None` if it cannot stand here. `holder` is where the key that holds it stands.
    fn value(&mut self, node: &Node, schema: &Schema, route: &Route, holder: Place) -> Option<Value> {
        let allowed = Allowed::of(self.root, schema);
        match &node.kind {
            _ if node.is_null() => {
                self.nothing(route, holder, &allowed);
                None
            }
            Kind::Mapping(entries) => match allowed.mapping {
                Some(object) => Some(self.mapping(entries, object, route, holder)),
                None => self.wrong_kind(node, "a mapping".to_owned(), route, &allowed),
            },
            Kind::List(items) => match allowed.list {
                Some(list) => {
                    let items = items.iter().enumerate();
                    let values = items
                        .filter_map(|(index, item)| self.value(item, &list["items"], &route.item(index), item.place));
                    Some(Value::Sequence(values.collect()))
                }
                None => self.wrong_kind(node, "a list".to_owned(), route, &allowed),
            },
            Kind::Scalar { text, plain } => match scalar(text, *plain, &allowed) {
                Ok(value) => Some(value),
                Err(Mismatch::Kind) => self.wrong_kind(node, scalar_kind(text, *plain), route, &allowed),
                Err(Mismatch::Word) => {
                    let hint = nearest(text, allowed.words.iter().copied()).map_or_else(
                        || example(route, &allowed),
                        |word| Some(format!("did you mean {}?", quoted(word))),
                    );
                    let message =
                        format!("{} cannot be {}: expected {}", name(route), quoted(text), allowed.in_words());
                    self.say(node.place, message, hint, route);
                    None
                }
                Err(Mismatch::Range) => {
                    let message =
                        format!("{} must be {}, but it is {}", name(route), range(allowed.range), quoted(text));
                    self.say(node.place, message, example(route, &allowed), route);
                    None
                }
            },
        }
    }

    fn mapping(&mut self, entries: &[Entry], object: &Schema, route: &Route, holder: Place) -> Value {
        let mut mapping = Mapping::new();
        let known: BTreeMap<&str, &Schema> =
            object["properties"].as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value)).collect();
        let whole = !self.damaged.contains(route);
        let mut meant = BTreeSet::new();
        for entry in entries {
            let below = route.key(&entry.key);
            let schema = match known.get(entry.key.as_str()) {
                Some(schema) => Some(*schema),
                None => Some(&object["additionalProperties"]).filter(|schema| schema.is_object()),
            };
            let Some(schema) = schema else {
                let free = known.keys().copied().filter(|key| !entries.iter().any(|entry| entry.key == *key));
                meant.extend(nearest(&entry.key, free));
                self.unknown_key(entry, &known, entries, route);
                continue;
            };
            let value = self.value(&entry.value, schema, &below, entry.place).or_else(|| {
                // A name keeps existing although its value is wrong, so that references to it are not said too.
                let named = known.is_empty() && Allowed::of(self.root, schema).mapping.is_some();
                named.then(|| Value::Mapping(Mapping::new()))
            });
            if let Some(value) = value {
                mapping.insert(Value::String(entry.key.clone()), value);
            }
        }
        for key in object["required"].as_array().into_iter().flatten().filter_map(Schema::as_str) {
            if whole && !entries.iter().any(|entry| entry.key == key) && !meant.contains(key) {
                let below = route.key(key);
                let allowed = Allowed::of(self.root, &object["properties"][key]);
                let message = match route.segments().is_empty() {
                    true => format!("the file has no {}", quoted(key)),
                    false => format!("{} has no {}", name(route), quoted(key)),
                };
                self.say(holder, message, example(&below, &allowed), &below);
            }
        }
        Value::Mapping(mapping)
    }

    fn unknown_key(&mut self, entry: &Entry, known: &BTreeMap<&str, &Schema>, entries: &[Entry], route: &Route) {
        let inside = if route.segments().is_empty() { String::new() } else { format!(" in {}", name(route)) };
        let free = known.keys().copied().filter(|key| !entries.iter().any(|entry| entry.key == *key));
        let message = format!("unknown key {}{inside}", quoted(&entry.key));
        let hint = if route.last_key() == Some("backend") && entry.key == "s3" {
            "S3 keeps artifacts: write `artifacts: { s3: {…} }`, or `sagemaker: {…}` for everything".to_owned()
        } else if let Some(meant) = nearest(&entry.key, free) {
            format!("did you mean {}?", quoted(meant))
        } else if let Some(home) = home_of(&entry.key) {
            format!("{} belongs {home}", quoted(&entry.key))
        } else {
            format!("the keys here are {}", one_of(known.keys().copied()).replace(" or ", " and "))
        };
        let below = route.key(&entry.key);
        self.say(entry.place, message, Some(hint), &below);
        // Whatever is missing here may be what the unknown key was meant to be.
        self.damaged.insert(route.clone());
    }

    fn nothing(&mut self, route: &Route, holder: Place, allowed: &Allowed<'_>) {
        let parent = route.parent().and_then(|parent| parent.last_key().map(str::to_owned));
        let hint = match parent.as_deref() {
            Some("hyperparameters" | "environment") => {
                Some("write a value; the empty text is `\"\"`, and the word is `\"null\"`".to_owned())
            }
            Some("keep") => Some(
                "a comma ends the value inside `{ }`: quote it, as in `{ feature: \"3 per branch, 30d\" }`".to_owned(),
            ),
            _ if route.last_key() == Some("data") => Some("if it needs no data, say so: `data: none`".to_owned()),
            _ => example(route, allowed)
                .map(|example| format!("{example}; or take the line away"))
                .or_else(|| Some("write a value, or take the line away".to_owned())),
        };
        self.say(holder, format!("{} has no value", name(route)), hint, route);
    }

    fn wrong_kind(&mut self, node: &Node, found: String, route: &Route, allowed: &Allowed<'_>) -> Option<Value> {
        let message = format!("{} must be {}, but it is {found}", name(route), allowed.in_words());
        let hint = match &node.kind {
            Kind::Scalar { text, plain: true } if allowed.boolean && !allowed.text => {
                match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "y" => Some("write `true`".to_owned()),
                    "no" | "off" | "n" => Some("write `false`".to_owned()),
                    _ => example(route, allowed),
                }
            }
            Kind::Scalar { plain: false, text }
                if (allowed.number || allowed.integer || allowed.boolean) && fits_unquoted(text, allowed) =>
            {
                Some("take the quotes away".to_owned())
            }
            Kind::Scalar { text, .. }
                if allowed.list.is_some() && allowed.mapping.is_none() && text.chars().count() <= 40 =>
            {
                Some(format!("a list of one is written {}", quoted(&format!("[{}]", flow_text(text)))))
            }
            _ => example(route, allowed),
        };
        self.say(node.place, message, hint, route);
        None
    }

    fn say(&mut self, place: Place, message: String, hint: Option<String>, route: &Route) {
        self.damaged.insert(route.clone());
        let hint = hint.unwrap_or_else(|| match route.segments().is_empty() {
            true => "begin with `version: 1`; `branchline init` writes a first file".to_owned(),
            false => "write a single value; text that contains `[`, `{` or `: ` is quoted".to_owned(),
        });
        self.problems.push(Problem { place, message, hint: Some(hint), route: route.clone() });
    }
}

enum Mismatch {
    Kind,
    Word,
    Range,
}

fn scalar(text: &str, plain: bool, allowed: &Allowed<'_>) -> Result<Value, Mismatch> {
    if allowed.words.contains(&text) || allowed.text {
        return Ok(Value::String(text.to_owned()));
    }
    if plain && allowed.boolean {
        match text {
            "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
            _ => {}
        }
    }
    if plain && allowed.integer && is_integer(text) {
        return match text.trim_start_matches('+').parse::<i64>() {
            Ok(number) if within(number as f64, allowed.range) => Ok(Value::Number(number.into())),
            _ => Err(Mismatch::Range),
        };
    }
    if plain && allowed.number && is_number(text) {
        return match text.parse::<f64>() {
            Ok(number) if number.is_finite() && within(number, allowed.range) => {
                Ok(Value::Number(Number::from(number)))
            }
            _ => Err(Mismatch::Range),
        };
    }
    if allowed.words.is_empty() { Err(Mismatch::Kind) } else { Err(Mismatch::Word) }
}

fn fits_unquoted(text: &str, allowed: &Allowed<'_>) -> bool {
    scalar(text, true, allowed).is_ok()
}

fn scalar_kind(text: &str, plain: bool) -> String {
    match text {
        _ if !plain => "text in quotes".to_owned(),
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => format!("the truth value {}", quoted(text)),
        _ if is_number(text) => format!("the number {}", quoted(text)),
        _ => format!("the text {}", quoted(text)),
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Tells whether text is a decimal number as YAML's core schema writes it; never `.nan` or `.inf`.
fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !(whole.is_empty() && part.is_empty()) && all_digits(whole) && all_digits(part) && exponent.is_none_or(is_integer)
}

fn within(number: f64, (least, most): (Option<f64>, Option<f64>)) -> bool {
    least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most)
}

fn range((least, most): (Option<f64>, Option<f64>)) -> String {
    match (least, most) {
        (Some(least), Some(most)) => format!("between {least} and {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => "a finite number".to_owned(),
    }
}

/// Names a part of the file for a message.
pub(in crate::config) fn name(route: &Route) -> String {
    if route.segments().is_empty() { "the file".to_owned() } else { quoted(&route.to_string()) }
}

fn example(route: &Route, allowed: &Allowed<'_>) -> Option<String> {
    if let (Some(key), Some(example)) = (route.last_key(), allowed.examples.first()) {
        return Some(format!("for example `{key}: {}`", flow(example)));
    }
    let key = route.last_key()?;
    if allowed.words.first().is_some_and(|word| *word == "local") {
        let (word, place) = match key {
            "artifacts" => ("s3", "region: eu-west-1, bucket: acme-models"),
            _ => ("sagemaker", "region: eu-west-1, bucket: acme-models, execution_role_arn: \"…\""),
        };
        return Some(format!("write `{key}: local` or `{key}: {{ {word}: {{ {place} }} }}`"));
    }
    if let Some(word) = allowed.words.first() {
        return Some(format!("for example `{key}: {word}`"));
    }
    let properties = allowed.mapping?["properties"].as_object()?;
    let (name, property) = properties.iter().find(|(_, property)| property["examples"].is_array())?;
    Some(format!("for example `{key}: {{ {name}: {} }}`", flow(&property["examples"][0])))
}

/// Says in words what may stand at a place of the schema.
pub(in crate::config) fn value_in_words(property: &Schema) -> String {
    Allowed::of(schema(), property).in_words()
}

/// Returns the first example of a key, as it would be written.
pub(in crate::config) fn example_of(key: &str, property: &Schema) -> Option<String> {
    let allowed = Allowed::of(schema(), property);
    allowed.examples.first().map(|example| format!("{key}: {}", flow(example)))
}

/// Writes a JSON value in YAML's flow style.
fn flow(value: &Schema) -> String {
    match value {
        Schema::String(text) => flow_text(text),
        Schema::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Schema::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Schema::Null | Schema::Bool(_) | Schema::Number(_) => value.to_string(),
    }
}

fn flow_text(text: &str) -> String {
    let special = text.contains([',', ':', '#', '[', ']', '{', '}', '"', '\''])
        || text.starts_with(['*', '&', '!', '%', '@', '`', '-', '?', '|', '>']);
    if special && !text.contains("://") { format!("\"{text}\"") } else { text.to_owned() }
}

/// Says where a key belongs that was written in the wrong place.
fn home_of(key: &str) -> Option<String> {
    let homes: &[(&str, &str)] = &[
        ("Model", "under a model: `models.<name>`"),
        ("Train", "under `models.<name>.train`"),
        ("Stage", "under a stage: `stages.<name>`"),
        ("Gate", "under a gate: `models.<name>.gates.<metric>`"),
        ("Limits", "under `limits`"),
        ("Source", "under a channel: `models.<name>.train.data.<channel>`"),
        ("Instance", "under `models.<name>.train.instance`"),
        ("Vpc", "under `models.<name>.train.vpc`"),
        ("Place", "under `backend.sagemaker`"),
    ];
    let root = schema();
    let has = |schema: &Schema| schema["properties"].get(key).is_some();
    let mut found = homes.iter().filter(|(definition, _)| has(&root["$defs"][*definition])).map(|(_, home)| *home);
    let first = found.next();
    match (has(root), first, found.next()) {
        (true, None, None) => Some("at the top of the file, without indentation".to_owned()),
        (false, Some(home), None) => Some(home.to_owned()),
        _ => None,
    }
}
