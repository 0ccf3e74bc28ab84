//! Raw -> resolved: what the keys of one file mean, and every problem with that; then rules and settings of
//! two files put together.

use crate::config::SourceText;
use crate::config::cloud;
use crate::config::duration;
use crate::config::duration::DurationError;
use crate::config::layers;
use crate::config::lookup::Places;
use crate::config::models;
use crate::config::models::ModelDraft;
use crate::config::problem::Place;
use crate::config::problem::Problem;
use crate::config::problem::quoted;
use crate::config::resolved::AUTO_RETRIES;
use crate::config::resolved::BackendKind;
use crate::config::resolved::Config;
use crate::config::resolved::Model;
use crate::config::route::Route;
use crate::config::rules;
use crate::config::rules::Rules;
use crate::config::shape;
use crate::config::shape::name;
use crate::config::tree;
use crate::config::tree::Tree;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::settings::TrainingSettings;
use crate::model::stage::Does;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What one file says, checked by itself.
#[derive(Debug)]
pub(in crate::config) struct Resolved {
    /// The file itself, then those that it includes.
    pub(in crate::config) files: Vec<String>,
    pub(in crate::config) tree: Arc<Tree>,
    pub(in crate::config) rules: Rules,
    pub(in crate::config) models: BTreeMap<ModelName, ModelDraft>,
}

/// Where the problems of one file are collected while it is resolved.
pub(in crate::config) struct Inquiry<'t> {
    pub(in crate::config) tree: &'t Tree,
    damaged: BTreeSet<Route>,
    problems: Vec<Problem>,
}

impl<'t> Inquiry<'t> {
    /// Says a problem with the value at a route, or with the nearest thing above it that is written.
    pub(in crate::config) fn say(&mut self, route: &Route, message: impl Into<String>, hint: impl Into<String>) {
        let place = self.nearest_place(route, Tree::place);
        self.push(place, route, message.into(), hint.into());
    }

    /// Says a problem with the key at a route.
    pub(in crate::config) fn say_of_key(&mut self, route: &Route, message: impl Into<String>, hint: impl Into<String>) {
        let place = self.nearest_place(route, Tree::key_place);
        self.push(place, route, message.into(), hint.into());
    }

    /// Says that a key is missing, unless something was said already that may be the reason.
    pub(in crate::config) fn say_missing(
        &mut self,
        holder: &Route,
        key: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let missing = holder.key(key);
        if !self.is_damaged(holder) && !self.is_damaged(&missing) {
            let place = self.nearest_place(holder, Tree::key_place);
            self.push(place, &missing, message.into(), hint.into());
        }
    }

    /// Tells whether a problem was said about this very part of the file.
    pub(in crate::config) fn is_damaged(&self, route: &Route) -> bool {
        self.damaged.contains(route)
    }

    /// Tells whether a part is written in this file.
    pub(in crate::config) fn is_written(&self, route: &Route) -> bool {
        self.tree.find(route).is_some()
    }

    /// Reads a chosen name, or says what is wrong with it.
    pub(in crate::config) fn name<T, E>(
        &mut self,
        route: &Route,
        what: &str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let parsed = parse(text).ok();
        if parsed.is_none() {
            let at_key = route.last_key() == Some(text);
            let message = format!("{} cannot be the name of a {what}", quoted(text));
            let hint = "a name has 1 to 128 letters, digits, `.`, `_` and `-`, and begins with a letter or digit";
            if at_key { self.say_of_key(route, message, hint) } else { self.say(route, message, hint) }
        }
        parsed
    }

    /// Reads a length of time, or says what is wrong with it.
    pub(in crate::config) fn duration(&mut self, route: &Route, text: &str) -> Option<Duration> {
        match duration::parse(text) {
            Ok(duration) => Some(duration),
            Err(DurationError::NoUnit) => {
                let message = format!("{} has no unit of time: {}", name(route), quoted(text));
                self.say(
                    route,
                    message,
                    format!("write {} or {}", quoted(&format!("{text}m")), quoted(&format!("{text}s"))),
                );
                None
            }
            Err(DurationError::Unreadable) => {
                let message = format!("{} is not a length of time: {}", name(route), quoted(text));
                self.say(route, message, "write it as `45s`, `30m`, `2h`, `1h30m` or `30d`");
                None
            }
            Err(DurationError::TooLong) => {
                let message = format!("{} is longer than ten years: {}", name(route), quoted(text));
                self.say(route, message, "leave it out where there is no bound");
                None
            }
        }
    }

    fn nearest_place(&self, route: &Route, place: impl Fn(&Tree, &Route) -> Option<Place>) -> Place {
        if let Some(place) = place(self.tree, route) {
            return place;
        }
        let mut route = route.clone();
        while let Some(parent) = route.parent() {
            if let Some(place) = self.tree.place(&parent) {
                return place;
            }
            route = parent;
        }
        Place::START
    }

    fn push(&mut self, place: Place, route: &Route, message: String, hint: String) {
        self.damaged.insert(route.clone());
        self.problems.push(Problem { place, message, hint: Some(hint), route: route.clone() });
    }
}

/// Reads one file for itself, with what it includes. It is sound if and only if there are no problems.
pub(in crate::config) fn read(source: &SourceText) -> Result<Resolved, Vec<Problem>> {
    let reading = tree::read(&source.text);
    let mut problems = reading.problems;
    let Some(mut tree) = reading.tree else { return Err(problems) };
    let unread = source.included.is_none() && !layers::patterns(&tree).is_empty();
    problems.extend(layers::include(&mut tree, source));
    let shared = layers::defaults(&mut tree);
    problems.extend(shared.problems);
    let shaped = shape::read(&tree, problems.iter().map(|problem| problem.route.clone()).collect());
    problems.extend(shaped.problems);
    let mut inquiry = Inquiry { tree: &tree, damaged: shaped.damaged, problems: Vec::new() };
    let rules = rules::resolve(&mut inquiry, &shaped.raw);
    let models = models::resolve(&mut inquiry, &shaped.raw, &rules.names);
    let damaged = inquiry.damaged;
    problems.extend(inquiry.problems);
    if unread {
        // What is not written here may be written there.
        problems.retain(|problem| tree.find(&problem.route).is_some());
    }
    let included = source.included.iter().flatten().map(|included| included.file.clone());
    let files = std::iter::once(source.file.clone()).chain(included).collect();
    let resolved = Resolved { files, tree: Arc::new(tree), rules, models };
    // Also with itself: what is only seen once models and stages meet.
    if let (false, Err(more)) = (unread, combined(&resolved, &resolved, damaged)) {
        problems.extend(more);
    }
    layers::say_once(&mut problems, &shared.places);
    if problems.is_empty() { Ok(resolved) } else { Err(problems) }
}

/// Puts the rules of one file and the settings of another together. Problems are the settings' file's.
pub(in crate::config) fn combine(rules: &Resolved, settings: &Resolved) -> Result<Config, Vec<Problem>> {
    combined(rules, settings, BTreeSet::new())
}

fn combined(rules: &Resolved, settings: &Resolved, damaged: BTreeSet<Route>) -> Result<Config, Vec<Problem>> {
    let mut inquiry = Inquiry { tree: &settings.tree, damaged, problems: Vec::new() };
    let mut models = BTreeMap::new();
    for (name, draft) in &settings.models {
        let trained = trained(&mut inquiry, rules, name, draft);
        // A model unknown to the rules gets its own commit's gates; of the names of groups, the defaults.
        let (gates, names, max_attempts) = match rules.models.get(name) {
            Some(ruled) => (&ruled.gates, Some(&ruled.group_names), ruled.max_attempts),
            None => (&draft.gates, None, models::DEFAULT_ATTEMPTS),
        };
        let groups = rules.rules.stages.iter().flat_map(|stage| stage.groups.keys()).map(|target| {
            let given = names.and_then(|names| names.get(target));
            let group = given.cloned().unwrap_or_else(|| GroupName::derive(&rules.rules.project, name, target));
            (target.clone(), group)
        });
        let model = Model {
            name: name.clone(),
            settings: trained,
            gates: gates.clone(),
            groups: groups.collect(),
            max_attempts,
            max_auto_retries: AUTO_RETRIES.min(max_attempts.saturating_sub(1)),
        };
        models.insert(name.clone(), model);
    }
    say_shared_groups(&mut inquiry, &models);
    if !inquiry.problems.is_empty() {
        return Err(inquiry.problems);
    }
    let places = Places {
        rules: (rules.files.clone(), Arc::clone(&rules.tree)),
        settings: (settings.files.clone(), Arc::clone(&settings.tree)),
    };
    Ok(rules.rules.with(models, places))
}

/// Lays the settings of every training stage over the model's own.
fn trained(
    inquiry: &mut Inquiry<'_>,
    rules: &Resolved,
    model: &ModelName,
    draft: &ModelDraft,
) -> BTreeMap<StageName, TrainingSettings> {
    let mut settings = BTreeMap::new();
    let mut missing: BTreeMap<models::Missing, Vec<&str>> = BTreeMap::new();
    let stages: Vec<_> = rules.rules.stages.iter().filter(|stage| matches!(stage.does, Does::Train { .. })).collect();
    let limit = rules.rules.limits.max_runtime;
    let trainer = rules.rules.places.backend.trainer;
    for stage in &stages {
        let place = rules.rules.places.of_stage(&stage.name);
        let has_role = rules.rules.places.role_is_damaged || place.is_some_and(|at| at.execution_role_arn.is_some());
        match draft.settings(&stage.name, limit, trainer, has_role) {
            Ok(trained) => {
                if trainer == BackendKind::Cloud {
                    cloud::check::settings(inquiry, model, &stage.name, &trained);
                }
                settings.insert(stage.name.clone(), trained);
            }
            Err(keys) => keys.into_iter().for_each(|key| missing.entry(key).or_default().push(stage.name.as_str())),
        }
    }
    for (key, lacking) in missing {
        let everywhere = lacking.len() == stages.len();
        key.say(inquiry, model, &lacking, everywhere);
    }
    models::say_too_long(inquiry, model, draft, limit);
    settings
}

/// Two models or targets must never write into one group.
fn say_shared_groups(inquiry: &mut Inquiry<'_>, models: &BTreeMap<ModelName, Model>) {
    let mut owners: BTreeMap<&GroupName, (&ModelName, &TargetName)> = BTreeMap::new();
    for model in models.values() {
        for (target, group) in &model.groups {
            let Some((other_model, other_target)) = owners.insert(group, (&model.name, target)) else { continue };
            let named = Route::model(&model.name).key("group_names").key(target.as_str());
            let other = Route::model(other_model).key("group_names").key(other_target.as_str());
            let route = if inquiry.is_written(&named) || !inquiry.is_written(&other) { named } else { other };
            inquiry.say(
                &route,
                format!(
                    "the group {} would belong to {} of model {} and to {} of model {}",
                    quoted(group.as_str()),
                    quoted(other_target.as_str()),
                    quoted(other_model.as_str()),
                    quoted(target.as_str()),
                    quoted(model.name.as_str()),
                ),
                "give one of them another name under `group_names`",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::Problems;
    use crate::config::SourceText;
    use crate::config::load;
    use crate::model::name::ModelName;
    use crate::model::name::StageName;
    use expect_test::expect;
    use proptest::prelude::*;
    use std::time::Duration;

    const BASE: &str = "\
version: 1
project: churn
models:
  churn:
    paths: [train.py]
    train: { command: make, data: none, max_runtime: 1h }
    gates: { accuracy: { min: 0.8 } }
";
    const EVERYTHING: &str = include_str!("../../fixtures/configs/valid/everything.yaml");

    fn loaded(rules: &str, settings: &str) -> Result<Config, Problems> {
        let source = |file: &str, text: &str| SourceText::new(file, text);
        load(&source("rules.yaml", rules), &source("settings.yaml", settings))
    }

    fn sound(rules: &str, settings: &str) -> Config {
        loaded(rules, settings).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn only_model(config: &Config) -> &crate::config::Model {
        config.models.values().next().expect("a model")
    }

    fn hyperparameter(text: &str) -> Result<Option<String>, Problems> {
        let file = BASE.replace("max_runtime: 1h }", &format!("hyperparameters: {{ x: {text} }} }}"));
        let config = loaded(&file, &file)?;
        Ok(only_model(&config).settings.values().next().and_then(|settings| settings.hyperparameters.get("x").cloned()))
    }

    #[test]
    fn nobody_grants_themselves_rules() {
        let mine = BASE.replace("min: 0.8", "min: 0.1").replace("make", "make fast").replace(
            "models:",
            "stages: { prod: { groups: { prod: { approval: auto } } } }\npermissions: { approve: read }\nmodels:",
        );
        let config = sound(BASE, &mine);
        assert_eq!(only_model(&config).gates[0].min, Some(0.8));
        let rules = sound(BASE, BASE);
        assert_eq!(config.stages, rules.stages);
        assert_eq!(config.permissions, rules.permissions);
        let dev = StageName::parse("dev").expect("stage");
        assert_eq!(only_model(&config).settings[&dev].command.as_deref(), Some("make fast"));
    }

    #[test]
    fn a_model_unknown_to_the_rules_brings_its_gates_but_no_group_names() {
        let mine = BASE
            .replace("  churn:", "  other:")
            .replace("    gates", "    max_attempts: 9\n    group_names: { prod: Theirs }\n    gates");
        let config = sound(BASE, &mine);
        let model = &config.models[&ModelName::parse("other").expect("model")];
        assert_eq!(config.models.len(), 1);
        assert_eq!(model.gates[0].min, Some(0.8));
        assert_eq!(model.max_attempts, 3);
        assert!(model.groups.values().all(|group| group.as_str().starts_with("churn-other-")), "{:?}", model.groups);
    }

    #[test]
    fn stages_that_only_one_side_knows_do_no_harm() {
        let stage = "stages: { qa: { branches: [qa], does: train, groups: { qa: {} } } }\nmodels:";
        let overlay = "    stages: { qa: { train: { command: make qa } } }\n    gates";
        let qa = StageName::parse("qa").expect("stage");
        let with = BASE.replace("models:", stage);
        assert_eq!(only_model(&sound(&with, BASE)).settings[&qa].command.as_deref(), Some("make"));
        assert!(!only_model(&sound(BASE, &with.replace("    gates", overlay))).settings.contains_key(&qa));
    }

    #[test]
    fn what_only_the_meeting_of_both_files_shows_is_said_of_the_settings() {
        let rules = format!("{BASE}limits: {{ max_runtime: 30m }}\n").replace("max_runtime: 1h", "max_runtime: 10m");
        expect![[r#"
            settings.yaml:6:54: `1h` is more than the rules allow: `30m`
              |
            6 |     train: { command: make, data: none, max_runtime: 1h }
              |                                                      ^^
              = hint: shorten it, or raise `limits.max_runtime` in the rules"#]]
        .assert_eq(&loaded(&rules, BASE).expect_err("too long").to_string());
    }

    #[test]
    fn problems_name_the_file_that_they_are_in() {
        let problems = loaded(&BASE.replace("project", "projekt"), &BASE.replace("paths", "pahts")).expect_err("typos");
        let said: Vec<String> = problems.iter().map(|(file, problem)| format!("{file}: {}", problem.message)).collect();
        assert_eq!(said, ["rules.yaml: unknown key `projekt`", "settings.yaml: unknown key `pahts` in `models.churn`"]);
        assert_eq!(problems.count(), 2);
    }

    #[test]
    fn the_rules_limit_is_the_time_of_trainings_without_their_own() {
        let file = format!("{}limits: {{ max_runtime: 30m }}\n", BASE.replace(", max_runtime: 1h", ""));
        let config = sound(&file, &file);
        let times: Vec<_> = only_model(&config).settings.values().map(|settings| settings.max_runtime).collect();
        assert_eq!(times, [Some(Duration::from_secs(1800)); 2]);
    }

    #[test]
    fn attempts_bound_the_retries_that_nobody_asked_for() {
        for (most, retries) in [(1, 0), (2, 1), (3, 2), (9, 2)] {
            let file = format!("{BASE}    max_attempts: {most}\n");
            assert_eq!(only_model(&sound(&file, &file)).max_auto_retries, retries, "{most}");
        }
    }

    #[test]
    fn line_ends_of_windows_change_nothing() {
        let windows = BASE.replace('\n', "\r\n");
        assert_eq!(sound(BASE, BASE).models, sound(&windows, &windows).models);
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in any::<String>()) {
            if let Err(problems) = loaded(&text, &text) {
                prop_assert!(!problems.to_string().is_empty());
                prop_assert!(problems.count() > 0);
            }
        }

        #[test]
        fn yaml_in_pieces_is_not_too_much(
            pieces in proptest::collection::vec("(version|project|models|stages|dev|: |\n|  |- |\\[|\\]|\\{|\\}|, |&a |\\*a|!x|'|\"|#|~|1|\\||>|\t|---\n|<<|\\? |é)", 0..40)
        ) {
            let text = pieces.concat();
            if let Err(problems) = loaded(&text, BASE) {
                prop_assert!(!problems.to_string().is_empty());
            }
        }

        #[test]
        fn a_damaged_file_is_still_read_to_its_end(
            edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[ a-z:\\[\\]{}*&!#'\"~0-9\n-]{0,6}"), 1..4)
        ) {
            let mut chars: Vec<char> = EVERYTHING.chars().collect();
            for (at, gone, new) in edits {
                let start = at.index(chars.len());
                let end = (start + gone).min(chars.len());
                chars.splice(start..end, new.chars());
            }
            let text: String = chars.into_iter().collect();
            if let Err(problems) = loaded(&text, &text) {
                for (_, problem) in problems.iter() {
                    prop_assert!(problem.hint.is_some() && problem.place.line > 0 && problem.place.column > 0, "{problem:?}");
                    prop_assert!(!problem.message.contains("could not be read"), "{problem:?}");
                }
            }
        }

        #[test]
        fn hyperparameters_arrive_byte_for_byte_in_single_quotes(text in "[^\\p{Cc}\u{feff}]{0,20}") {
            let quoted = format!("'{}'", text.replace('\'', "''"));
            prop_assert_eq!(hyperparameter(&quoted), Ok(Some(text)));
        }

        #[test]
        fn hyperparameters_arrive_byte_for_byte_in_double_quotes(text in any::<String>()) {
            let text = text.replace('\0', "");
            let escaped: String = text.chars().map(|c| match c {
                '"' | '\\' => format!("\\{c}"),
                c if c.is_control() || c == '\u{feff}' => format!("\\U{:08x}", u32::from(c)),
                c => c.to_string(),
            }).collect();
            prop_assert_eq!(hyperparameter(&format!("\"{escaped}\"")), Ok(Some(text)));
        }

        #[test]
        fn hyperparameters_arrive_byte_for_byte_without_quotes(text in "[0-9A-Za-z_.+][0-9A-Za-z_.+:eE-]{0,10}[0-9A-Za-z]") {
            prop_assume!(!matches!(text.as_str(), "null" | "Null" | "NULL"));
            prop_assert_eq!(hyperparameter(&text), Ok(Some(text)));
        }
    }
}
