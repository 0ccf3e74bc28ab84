//! Included files and shared defaults, put into the tree of the file before any key has a meaning.
//!
//! Everything keeps its place, so a problem is shown where it is written. An included file holds settings of models and
//! nothing else: rules stay in one file. Deliberately absent: reading those files, which is the caller's.

use crate::config::SourceText;
use crate::config::paths;
use crate::config::problem::Place;
use crate::config::problem::Problem;
use crate::config::problem::quoted;
use crate::config::route::Route;
use crate::config::schema::schema;
use crate::config::tree;
use crate::config::tree::Entry;
use crate::config::tree::Kind;
use crate::config::tree::NODE_LIMIT;
use crate::config::tree::Node;
use crate::config::tree::Tree;
use globset::GlobBuilder;
use globset::GlobMatcher;
use std::collections::BTreeSet;

/// Most files that one configuration includes.
pub const MAX_INCLUDED: usize = 200;

/// Largest size of all included files together, in bytes.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The settings of a model: what defaults and included files may hold.
const SETTINGS: [&str; 5] = ["paths", "signature", "train", "stages", "serve"];

/// Returns the patterns of `include`, normalised, as far as they can be read.
pub(in crate::config) fn patterns(tree: &Tree) -> Vec<String> {
    written(tree).into_iter().filter_map(|(_, _, text)| paths::normalise(text).ok()).collect()
}

/// The patterns as they are written, with their places.
fn written(tree: &Tree) -> Vec<(Route, Place, &str)> {
    let at = Route::of(&["include"]);
    let Some((_, Node { kind: Kind::List(items), .. })) = tree.find(&at) else { return Vec::new() };
    let texts = items.iter().enumerate().filter_map(|(index, item)| match &item.kind {
        Kind::Scalar { text, .. } if !item.is_null() => Some((at.item(index), item.place, text.as_str())),
        Kind::Scalar { .. } | Kind::Mapping(_) | Kind::List(_) => None,
    });
    texts.collect()
}

/// Puts the models of included files into the tree, and says what does not belong there.
pub(in crate::config) fn include(tree: &mut Tree, source: &SourceText) -> Vec<Problem> {
    let mut problems = patterns_that_name_nothing(tree, source);
    let Some(included) = source.included.as_deref().filter(|files| !files.is_empty()) else { return problems };
    let bytes: usize = included.iter().map(|file| file.text.len()).sum();
    if included.len() > MAX_INCLUDED || bytes > MAX_BYTES {
        let route = Route::of(&["include"]);
        let place = tree.place(&route).unwrap_or(Place::START);
        let message = format!("`include` names more than {MAX_INCLUDED} files, or more than 4 MiB");
        problems.push(problem(place, route, message, "name fewer files: one for each model is usual"));
        return problems;
    }
    for (index, file) in included.iter().enumerate() {
        let reading = tree::read(&file.text);
        problems.extend(reading.problems.into_iter().map(|mut problem| {
            problem.place.file = index + 1;
            // The route is that of another file.
            problem.route = Route::of(&["include"]).item(index);
            problem
        }));
        if let Some(other) = reading.tree {
            let mut merging = Merging { source, file: index + 1, problems: &mut problems };
            merging.put(tree, other.in_file(index + 1));
        }
    }
    problems
}

/// One pattern of `include`: the path of a file, or a glob for files. A folder is never meant.
pub struct IncludePattern {
    path: String,
    glob: Option<GlobMatcher>,
}

impl IncludePattern {
    /// Compiles a normalised pattern.
    pub fn of(pattern: &str) -> Self {
        let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build().ok();
        let glob = glob.filter(|_| paths::is_glob(pattern)).map(|glob| glob.compile_matcher());
        Self { path: pattern.to_owned(), glob }
    }

    /// Tells whether a file is meant, by its path from the root of the repository.
    pub fn is_match(&self, file: &str) -> bool {
        self.path == file || self.glob.as_ref().is_some_and(|glob| glob.is_match(file))
    }
}

/// Says which patterns cannot be read, and which match no file.
fn patterns_that_name_nothing(tree: &Tree, source: &SourceText) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (route, place, text) in written(tree) {
        let pattern = match paths::normalise(text) {
            Ok(pattern) => pattern,
            Err(error) => {
                let message = format!("the path {} {}", quoted(text), error.why);
                problems.push(problem(place, route, message, error.hint));
                continue;
            }
        };
        let Some(included) = &source.included else { continue };
        let wanted = IncludePattern::of(&pattern);
        if !included.iter().any(|file| wanted.is_match(&file.file)) {
            let message = format!("`include` names {}, and the commit has no such file", quoted(&pattern));
            let hint = "commit the file, or correct the path; links and folders are not read";
            problems.push(problem(place, route, message, hint));
        }
    }
    problems
}

/// One included file on its way into the tree.
struct Merging<'a> {
    source: &'a SourceText,
    file: usize,
    problems: &'a mut Vec<Problem>,
}

impl Merging<'_> {
    fn put(&mut self, tree: &mut Tree, other: Tree) {
        let Kind::Mapping(entries) = other.root.kind else {
            let place = Place { file: self.file, ..other.root.place };
            self.refuse(place, "an included file holds `models:`, and this is something else".to_owned());
            return;
        };
        for entry in entries {
            match entry.value.kind {
                Kind::Mapping(models) if entry.key == "models" => {
                    for model in models {
                        self.model(tree, entry.place, model);
                    }
                }
                _ if entry.key == "models" => {
                    self.refuse(entry.place, "`models` must be a mapping (`key: value`)".to_owned());
                }
                _ => self.refuse(entry.place, format!("{} does not belong into an included file", quoted(&entry.key))),
            }
        }
    }

    fn model(&mut self, tree: &mut Tree, place: Place, mut model: Entry) {
        let route = Route::of(&["models", &model.key]);
        if let Kind::Mapping(keys) = &mut model.value.kind {
            let rules = &schema()["$defs"]["Model"]["properties"];
            keys.retain(|key| {
                let is_rule = rules[&key.key]["x-branchline"] == "rule";
                if is_rule {
                    let message = format!("{} of {} is a rule", quoted(&key.key), quoted(&model.key));
                    let hint = format!("write it in the file that includes this one, under `models.{}`", model.key);
                    self.problems.push(problem(key.place, route.key(&key.key), message, hint));
                }
                !is_rule
            });
        }
        let Kind::Mapping(root) = &mut tree.root.kind else { return };
        let at = match root.iter().position(|entry| entry.key == "models") {
            Some(at) => at,
            None => {
                let value = Node { place, kind: Kind::Mapping(Vec::new()) };
                root.push(Entry { key: "models".to_owned(), place, value });
                root.len() - 1
            }
        };
        let Kind::Mapping(models) = &mut root[at].value.kind else { return };
        let Some(known) = models.iter_mut().find(|known| known.key == model.key) else {
            models.push(model);
            return;
        };
        match (&mut known.value.kind, model.value.kind) {
            (Kind::Mapping(known), Kind::Mapping(more)) => {
                for entry in more {
                    match known.iter().find(|known| known.key == entry.key) {
                        Some(first) => {
                            let of = first.place;
                            self.twice(&route.key(&entry.key), entry.place, of);
                        }
                        None => known.push(entry),
                    }
                }
            }
            _ => {
                let of = known.place;
                self.twice(&route, model.place, of);
            }
        }
    }

    fn twice(&mut self, route: &Route, place: Place, first: Place) {
        let names =
            std::iter::once(&self.source.file).chain(self.source.included.iter().flatten().map(|file| &file.file));
        let file = names.into_iter().nth(first.file).map_or("", String::as_str);
        let message = format!("{} is written twice: first in {file}, line {}", quoted(&route.to_string()), first.line);
        self.problems.push(problem(place, route.clone(), message, "keep one of the two"));
    }

    fn refuse(&mut self, place: Place, message: String) {
        let route = Route::of(&["include"]).item(self.file - 1);
        let hint = "an included file holds only settings of models: `models: { NAME: { paths: …, train: … } }`";
        self.problems.push(problem(place, route, message, hint));
    }
}

/// What laying the defaults under the models came to.
pub(in crate::config) struct Shared {
    /// Where parts of the defaults stand: a problem there is one problem, however many models share it.
    pub(in crate::config) places: BTreeSet<Place>,
    pub(in crate::config) problems: Vec<Problem>,
}

/// Lays the shared settings under each model's own.
pub(in crate::config) fn defaults(tree: &mut Tree) -> Shared {
    let mut shared = Shared { places: BTreeSet::new(), problems: Vec::new() };
    let route = Route::of(&["defaults"]);
    let Some((_, Node { kind: Kind::Mapping(entries), .. })) = tree.find(&route) else { return shared };
    let entries: Vec<Entry> = entries.iter().filter(|entry| SETTINGS.contains(&entry.key.as_str())).cloned().collect();
    for entry in &entries {
        collect(entry, &mut shared.places);
    }
    let size: usize = entries.iter().map(|entry| entry.value.size()).sum();
    let place = tree.key_place(&route).unwrap_or(Place::START);
    let Kind::Mapping(root) = &mut tree.root.kind else { return shared };
    let Some(Entry { value: Node { kind: Kind::Mapping(models), .. }, .. }) =
        root.iter_mut().find(|entry| entry.key == "models")
    else {
        return shared;
    };
    if size.saturating_mul(models.len()) > NODE_LIMIT {
        let message = format!("`defaults` come to more than {NODE_LIMIT} values in all models");
        shared.problems.push(problem(place, route, message, "is this the right file?"));
        return shared;
    }
    for model in models {
        if let Kind::Mapping(own) = &mut model.value.kind {
            entries.iter().for_each(|entry| lay_under(entry, own));
        }
    }
    shared
}

/// Adds what a mapping does not say itself. Mappings are joined key by key; a channel of data is taken whole.
fn lay_under(entry: &Entry, own: &mut Vec<Entry>) {
    let Some(known) = own.iter_mut().find(|known| known.key == entry.key) else {
        own.push(entry.clone());
        return;
    };
    if let (Kind::Mapping(more), Kind::Mapping(known)) = (&entry.value.kind, &mut known.value.kind) {
        for inner in more {
            let whole = entry.key == "data" && known.iter().any(|known| known.key == inner.key);
            if !whole {
                lay_under(inner, known);
            }
        }
    }
}

fn collect(entry: &Entry, places: &mut BTreeSet<Place>) {
    places.extend([entry.place, entry.value.place]);
    match &entry.value.kind {
        Kind::Scalar { .. } => {}
        Kind::Mapping(entries) => entries.iter().for_each(|entry| collect(entry, places)),
        Kind::List(items) => places.extend(items.iter().map(|item| item.place)),
    }
}

/// Keeps one problem for each place of the defaults: that of the defaults themselves, else that of the first model.
pub(in crate::config) fn say_once(problems: &mut Vec<Problem>, places: &BTreeSet<Place>) {
    let of_defaults = |problem: &Problem| problem.route.to_string().starts_with("defaults");
    problems.sort_by_key(|problem| !of_defaults(problem));
    let mut said = BTreeSet::new();
    problems.retain(|problem| !places.contains(&problem.place) || said.insert(problem.place));
}

fn problem(place: Place, route: Route, message: String, hint: impl Into<String>) -> Problem {
    Problem { place, message, hint: Some(hint.into()), route }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::IncludedText;
    use crate::config::Problems;
    use crate::config::SourceText;
    use crate::config::load;
    use crate::config::route::Route;
    use crate::model::name::ModelName;
    use crate::model::name::StageName;
    use crate::model::settings::TrainingSettings;

    const ROOT: &str = "\
version: 1
project: risk
include: [models/*/branchline.yaml]
defaults:
  paths: [libs]
  train:
    data: { train: { uri: data/all.csv, version: 1 } }
    environment: { LANG: C, TZ: UTC }
    max_runtime: 2h
  stages: { dev: { train: { hyperparameters: { epochs: 50 } } } }
models:
  churn:
    gates: { accuracy: { min: 0.8 } }
  fraud:
    paths: [fraud]
    train: { command: make fraud, data: none, environment: { TZ: CET } }
";
    const CHURN: &str = "models:\n  churn:\n    train: { command: make churn, data: { train: { uri: churn.csv } } }\n";

    fn source(text: &str, included: &[(&str, &str)]) -> SourceText {
        let included =
            included.iter().map(|(file, text)| IncludedText { file: (*file).to_owned(), text: (*text).to_owned() });
        SourceText { included: Some(included.collect()), ..SourceText::new("branchline.yaml", text) }
    }

    fn loaded(text: &str, included: &[(&str, &str)]) -> Result<Config, Problems> {
        let source = source(text, included);
        load(&source, &source)
    }

    fn said(text: &str, included: &[(&str, &str)]) -> Vec<String> {
        let problems = loaded(text, included).expect_err("a problem");
        let said = problems.iter().map(|(file, problem)| {
            format!("{file}:{}:{}: {}", problem.place.line, problem.place.column, problem.message)
        });
        said.collect()
    }

    fn settings<'c>(config: &'c Config, model: &str, stage: &str) -> &'c TrainingSettings {
        let model = ModelName::parse(model).expect("a model");
        &config.models[&model].settings[&StageName::parse(stage).expect("a stage")]
    }

    #[test]
    fn settings_come_from_the_included_file_and_rules_from_the_one_that_includes_it() {
        let config =
            loaded(ROOT, &[("models/churn/branchline.yaml", CHURN)]).unwrap_or_else(|problems| panic!("{problems}"));
        let churn = ModelName::parse("churn").expect("a model");
        assert_eq!(config.models[&churn].gates.len(), 1);
        assert_eq!(settings(&config, "churn", "dev").command.as_deref(), Some("make churn"));
        let command = Route::model(&churn).key("train").key("command");
        assert_eq!(config.place(&command), Some(("models/churn/branchline.yaml", 3, 23)));
        assert_eq!(config.place(&Route::model(&churn).key("gates").key("accuracy")), Some(("branchline.yaml", 13, 14)));
    }

    #[test]
    fn defaults_lie_under_what_a_model_says_itself() {
        let config =
            loaded(ROOT, &[("models/churn/branchline.yaml", CHURN)]).unwrap_or_else(|problems| panic!("{problems}"));
        let (churn, fraud) = (settings(&config, "churn", "dev"), settings(&config, "fraud", "feature"));
        assert_eq!(format!("{:?} {:?}", churn.watched, fraud.watched), "Paths([\"libs\"]) Paths([\"fraud\"])");
        // A channel is one thing: the version of other data says nothing of these.
        let train = churn.data.values().next().expect("a channel");
        assert_eq!((train.uri.as_str(), &train.version), ("churn.csv", &None));
        assert!(fraud.data.is_empty());
        assert_eq!((fraud.environment["LANG"].as_str(), fraud.environment["TZ"].as_str()), ("C", "CET"));
        assert_eq!(churn.hyperparameters.get("epochs").map(String::as_str), Some("50"));
        assert_eq!(fraud.hyperparameters.get("epochs"), None);
        assert_eq!(fraud.max_runtime, Some(std::time::Duration::from_secs(7200)));
    }

    #[test]
    fn defaults_written_out_in_each_model_come_to_the_same() {
        let out = |defaults: &str, own: &str| {
            format!(
                "version: 1\nproject: x\n{defaults}models:\n  a: {{ paths: [a]{own} }}\n  b: {{ paths: [b]{own} }}\n"
            )
        };
        let train = "train: { command: make, data: none, max_runtime: 1h }";
        let shared = loaded(&out(&format!("defaults: {{ {train} }}\n"), ""), &[])
            .unwrap_or_else(|problems| panic!("{problems}"));
        let own = loaded(&out("", &format!(", {train}")), &[]).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(shared.models, own.models);
    }

    #[test]
    fn an_included_file_holds_only_settings() {
        let rules = "version: 1\nmodels:\n  churn:\n    gates: {}\n    max_attempts: 9\n    trian: {}\n    train: { command: x, data: none }\n";
        assert_eq!(
            said(ROOT, &[("models/churn/branchline.yaml", rules)]),
            [
                "models/churn/branchline.yaml:1:1: `version` does not belong into an included file",
                "models/churn/branchline.yaml:4:5: `gates` of `churn` is a rule",
                "models/churn/branchline.yaml:5:5: `max_attempts` of `churn` is a rule",
                "models/churn/branchline.yaml:6:5: unknown key `trian` in `models.churn`",
            ]
        );
        let list = said(ROOT, &[("models/churn/branchline.yaml", "- a\n")]);
        let first = "models/churn/branchline.yaml:1:1: an included file holds `models:`, and this is something else";
        assert!(list.iter().any(|said| said == first), "{list:?}");
    }

    #[test]
    fn nothing_is_written_twice_and_every_pattern_names_a_file() {
        let twice = "models:\n  churn: { train: { command: other, data: none } }\n";
        assert_eq!(
            said(ROOT, &[("models/a/branchline.yaml", CHURN), ("models/b/branchline.yaml", twice)]),
            [
                "models/b/branchline.yaml:2:12: `models.churn.train` is written twice: first in models/a/branchline.yaml, line 3"
            ]
        );
        let patterns = ROOT.replace("[models/*/branchline.yaml]", "[models/*/branchline.yaml, ../x.yaml, gone.yaml]");
        let said = said(&patterns, &[("models/churn/branchline.yaml", CHURN)]);
        assert!(said[0].starts_with("branchline.yaml:3:37: the path `../x.yaml`"), "{said:?}");
        assert_eq!(said[1], "branchline.yaml:3:48: `include` names `gone.yaml`, and the commit has no such file");
    }

    #[test]
    fn a_problem_of_the_defaults_is_said_once_and_of_an_included_file_where_it_stands() {
        let text = ROOT.replace("max_runtime: 2h", "max_runtime: soon");
        let churn = CHURN.replace("make churn", "make churn, max_runtime: 5");
        assert_eq!(
            said(&text, &[("models/churn/branchline.yaml", &churn)]),
            [
                "branchline.yaml:9:18: `models.fraud.train.max_runtime` is not a length of time: `soon`",
                "models/churn/branchline.yaml:3:48: `models.churn.train.max_runtime` has no unit of time: `5`",
            ]
        );
        let unknown = ROOT.replace("    max_runtime: 2h\n", "    max_runtme: 2h\n");
        assert_eq!(said(&unknown, &[("models/churn/branchline.yaml", CHURN)]).len(), 1);
    }

    #[test]
    fn rules_alone_need_no_included_file() {
        let rules = SourceText { included: None, ..SourceText::new("rules", ROOT) };
        let settings = source(ROOT, &[("models/churn/branchline.yaml", CHURN)]);
        let config = load(&rules, &settings).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.models[&ModelName::parse("churn").expect("a model")].gates.len(), 1);
    }
}
