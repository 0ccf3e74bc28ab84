//! Raw -> resolved: what the keys of one file mean, and every problem with that; then rules and settings of
//! two files put together.

use crate::config::duration;
use crate::config::duration::DurationError;
use crate::config::lookup::Places;
use crate::config::models;
use crate::config::models::ModelDraft;
use crate::config::problem::Place;
use crate::config::problem::Problem;
use crate::config::problem::quoted;
use crate::config::resolved::AUTO_RETRIES;
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
    pub(in crate::config) file: String,
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
        if !self.is_damaged(holder) && !self.is_damaged(&holder.key(key)) {
            self.say_of_key(holder, message, hint);
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

/// Reads one file for itself. It is sound if and only if there are no problems.
pub(in crate::config) fn read(file: &str, text: &str) -> Result<Resolved, Vec<Problem>> {
    let reading = tree::read(text);
    let mut problems = reading.problems;
    let Some(tree) = reading.tree else { return Err(problems) };
    let shaped = shape::read(&tree);
    problems.extend(shaped.problems);
    let mut inquiry = Inquiry { tree: &tree, damaged: shaped.damaged, problems: Vec::new() };
    let rules = rules::resolve(&mut inquiry, &shaped.raw);
    let models = models::resolve(&mut inquiry, &shaped.raw, &rules.names);
    let damaged = inquiry.damaged;
    problems.extend(inquiry.problems);
    let resolved = Resolved { file: file.to_owned(), tree: Arc::new(tree), rules, models };
    // Also with itself: what is only seen once models and stages meet.
    if let Err(more) = combined(&resolved, &resolved, damaged) {
        problems.extend(more);
    }
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
        rules: (rules.file.clone(), Arc::clone(&rules.tree)),
        settings: (settings.file.clone(), Arc::clone(&settings.tree)),
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
    for stage in &stages {
        match draft.settings(&stage.name, limit) {
            Ok(trained) => {
                settings.insert(stage.name.clone(), trained);
            }
            Err(keys) => keys.into_iter().for_each(|key| missing.entry(key).or_default().push(stage.name.as_str())),
        }
    }
    for (key, lacking) in missing {
        let everywhere = lacking.len() == stages.len();
        key.say(inquiry, model, (!everywhere).then_some(lacking.as_slice()));
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
