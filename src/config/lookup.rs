//! Questions to a configuration: which stage a branch reaches, which group a person means, where something
//! stands in its file.

use crate::config::problem::Place;
use crate::config::problem::all_of;
use crate::config::problem::nearest;
use crate::config::problem::quoted;
use crate::config::resolved::BackendKind;
use crate::config::resolved::Config;
use crate::config::resolved::Model;
use crate::config::resolved::Wait;
use crate::config::route::Route;
use crate::config::route::Segment;
use crate::config::tree::Tree;
use crate::model::cloud::AccountPlace;
use crate::model::git::BranchName;
use crate::model::name::GroupName;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use crate::model::stage::Does;
use crate::model::stage::Stage;
use std::sync::Arc;

/// Most groups that one message lists.
const LISTED_GROUPS: usize = 12;

/// A name of a group that means none, or several.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupLookup {
    /// Several models have a group for the target.
    #[error("{} is a target of {}: say which one with `--model`", quoted(.target.as_str()), all_of(.models.iter().map(ModelName::as_str)))]
    Ambiguous {
        /// The target.
        target: TargetName,
        /// The models that have it.
        models: Vec<ModelName>,
    },
    /// There is no such model.
    #[error("there is no model {}: {}", quoted(.text), suggestion(.nearest.as_deref(), "models", .known))]
    UnknownModel {
        /// What was asked for.
        text: String,
        /// The nearest model.
        nearest: Option<String>,
        /// All models.
        known: Vec<String>,
    },
    /// There is no such group or target.
    #[error("there is no group or target {}: {}", quoted(.text), suggestion(.nearest.as_deref(), "groups", .known))]
    UnknownGroup {
        /// What was asked for.
        text: String,
        /// The nearest group or target.
        nearest: Option<String>,
        /// All groups that could be meant.
        known: Vec<String>,
    },
}

fn suggestion(nearest: Option<&str>, what: &str, known: &[String]) -> String {
    let start = nearest.map_or_else(String::new, |word| format!("did you mean {}? ", quoted(word)));
    let shown = known.iter().take(LISTED_GROUPS).map(String::as_str);
    let more = known.len().saturating_sub(LISTED_GROUPS);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let words: Vec<String> = shown.map(quoted).collect();
    format!("{start}the {what} are {}{rest}", words.join(", "))
}

impl Config {
    /// Returns the stage that a push to a branch reaches.
    ///
    /// A branch belongs to one stage: a name that a stage writes out goes before every pattern, and among
    /// patterns the lowest stage wins.
    pub fn stage_of_branch(&self, branch: &BranchName) -> Option<&Stage> {
        let named = self.literal_branches.get(branch).and_then(|stage| self.stage(stage));
        named
            .filter(|stage| stage.branches.matches(branch))
            .or_else(|| self.stages.iter().find(|stage| stage.branches.matches(branch)))
    }

    /// Returns a stage by name.
    pub fn stage(&self, name: &StageName) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == *name)
    }

    /// Returns the one stage that feeds a target.
    pub fn stage_of_target(&self, target: &TargetName) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.groups.contains_key(target))
    }

    /// Returns the training stages, low to high.
    pub fn training_stages(&self) -> impl Iterator<Item = &Stage> {
        self.stages.iter().filter(|stage| matches!(stage.does, Does::Train { .. }))
    }

    /// Returns a stage's place in the order, the lowest being 0.
    pub fn rank(&self, name: &StageName) -> Option<usize> {
        self.stages.iter().position(|stage| stage.name == *name)
    }

    /// Returns a model by name.
    pub fn model(&self, name: &ModelName) -> Option<&Model> {
        self.models.get(name)
    }

    /// Returns the group of a model for a target.
    pub fn group(&self, model: &ModelName, target: &TargetName) -> Option<&GroupName> {
        self.models.get(model)?.groups.get(target)
    }

    /// Returns every group with its model and target.
    pub fn groups(&self) -> impl Iterator<Item = (&ModelName, &TargetName, &GroupName)> {
        self.models
            .values()
            .flat_map(|model| model.groups.iter().map(move |(target, group)| (&model.name, target, group)))
    }

    /// Returns where a stage lives in the cloud: in its own account, else where the backend does.
    pub fn account_of(&self, stage: &StageName) -> Option<&AccountPlace> {
        self.accounts.get(stage).or(self.cloud.as_ref())
    }

    /// Returns how long a run waits: what the file says, else what suits the backend.
    pub fn wait(&self) -> Wait {
        self.wait.unwrap_or(match self.backend.trainer {
            // A training here would die with the run that started it.
            BackendKind::Local => Wait::Done,
            BackendKind::Cloud => Wait::Leave(std::time::Duration::from_secs(30 * 60)),
        })
    }

    /// Finds the group that a person means: a group's name in full, or a target with or without its model.
    pub fn find_group(
        &self,
        text: &str,
        model: Option<&ModelName>,
    ) -> Result<(ModelName, TargetName, GroupName), GroupLookup> {
        if let Some(model) = model.filter(|model| !self.models.contains_key(model)) {
            let known: Vec<String> = self.models.keys().map(ModelName::to_string).collect();
            let nearest = nearest(model.as_str(), known.iter().map(String::as_str)).map(str::to_owned);
            return Err(GroupLookup::UnknownModel { text: model.to_string(), nearest, known });
        }
        let groups: Vec<_> = self.groups().filter(|(owner, _, _)| model.is_none_or(|model| model == *owner)).collect();
        let owned = |(model, target, group): &(&ModelName, &TargetName, &GroupName)| {
            ((*model).clone(), (*target).clone(), (*group).clone())
        };
        if let Some(found) = groups.iter().find(|(_, _, group)| group.as_str() == text) {
            return Ok(owned(found));
        }
        let of_target: Vec<_> = groups.iter().filter(|(_, target, _)| target.as_str() == text).collect();
        match of_target.as_slice() {
            [only] => Ok(owned(only)),
            [] => {
                let names = groups.iter().flat_map(|(_, target, group)| [target.as_str(), group.as_str()]);
                Err(GroupLookup::UnknownGroup {
                    text: text.to_owned(),
                    nearest: nearest(text, names).map(str::to_owned),
                    known: groups.iter().map(|(_, _, group)| group.to_string()).collect(),
                })
            }
            [(_, target, _), ..] => Err(GroupLookup::Ambiguous {
                target: (*target).clone(),
                models: of_target.iter().map(|(model, _, _)| (*model).clone()).collect(),
            }),
        }
    }

    /// Returns where a part of the configuration stands: file, line and column, counted from 1.
    ///
    /// Rules are looked up in the rules' file, settings in the commit's. What comes from a default has the
    /// place of what holds it; nothing has a place if even that is not written.
    pub fn place(&self, route: &Route) -> Option<(&str, usize, usize)> {
        self.places.find(route).map(|(file, place)| (file, place.line, place.column))
    }

    /// Tells whether a part of the configuration is written in its file, and is no default.
    pub fn is_written(&self, route: &Route) -> bool {
        self.places.of(route).1.find(route).is_some()
    }

    /// As [`Config::place`], with how much of the line is meant.
    pub fn span(&self, route: &Route) -> Option<(&str, Place)> {
        self.places.find(route)
    }
}

/// The files that a configuration came from.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) struct Places {
    /// The rules' file, with those that it includes.
    pub(in crate::config) rules: (Vec<String>, Arc<Tree>),
    /// The commit's file, likewise.
    pub(in crate::config) settings: (Vec<String>, Arc<Tree>),
}

impl Places {
    fn find(&self, route: &Route) -> Option<(&str, Place)> {
        let (files, tree) = self.of(route);
        let mut route = route.clone();
        while !route.segments().is_empty() {
            if let Some(place) = tree.place(&route) {
                return Some((files.get(place.file)?, place));
            }
            route = route.parent()?;
        }
        None
    }

    /// The file that a part belongs to.
    fn of(&self, route: &Route) -> &(Vec<String>, Arc<Tree>) {
        if self.is_setting(route) { &self.settings } else { &self.rules }
    }

    fn is_setting(&self, route: &Route) -> bool {
        let mut keys = route.segments().iter().map(|segment| match segment {
            Segment::Key(key) => key.as_str(),
            Segment::Item(_) => "",
        });
        if keys.next() != Some("models") {
            return false;
        }
        let (model, part) = (keys.next(), keys.next());
        let known_to_rules = || model.is_some_and(|name| self.rules.1.find(&Route::of(&["models", name])).is_some());
        !(matches!(part, Some("gates" | "group_names" | "max_attempts")) && known_to_rules())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SourceText;
    use crate::config::load;
    use crate::model::metric::MetricName;

    const TWO_MODELS: &str = "\
version: 1
project: risk
stages:
  feature: { branches: ['**', '!dev-*'] }
  dev: { branches: [develop] }
  prod: { branches: [main] }
models:
  churn:
    paths: [churn/]
    train: { command: make churn, data: none }
    gates: { accuracy: { min: 0.8 } }
  fraud:
    paths: [fraud/]
    train: { command: make fraud, data: none }
    group_names: { prod: FraudModels }
";

    fn config(text: &str) -> Config {
        let source = SourceText::new("branchline.yaml", text);
        load(&source, &source).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn model(name: &str) -> ModelName {
        ModelName::parse(name).expect("model")
    }

    #[test]
    fn a_branch_that_is_written_out_goes_before_patterns() {
        let config = config(TWO_MODELS);
        let stage = |branch: &str| {
            let branch = BranchName::parse(branch).expect("branch");
            config.stage_of_branch(&branch).map(|stage| stage.name.to_string())
        };
        assert_eq!(stage("main").as_deref(), Some("prod"));
        assert_eq!(stage("develop").as_deref(), Some("dev"));
        assert_eq!(stage("anything/else").as_deref(), Some("feature"));
        assert_eq!(stage("dev-x"), None);
    }

    #[test]
    fn a_pattern_can_take_away_the_branch_that_it_names() {
        let config = config(&TWO_MODELS.replace("[main]", "[main, '!main', release]"));
        let branch = BranchName::parse("main").expect("branch");
        assert_eq!(config.stage_of_branch(&branch).map(|stage| stage.name.as_str()), Some("feature"));
    }

    #[test]
    fn a_group_is_found_in_full_or_by_target() {
        let config = config(TWO_MODELS);
        let find = |text: &str, model: Option<&ModelName>| {
            config.find_group(text, model).map(|(model, target, group)| format!("{model} {target} {group}"))
        };
        let said = |text: &str, model: Option<&ModelName>| find(text, model).expect_err("no group").to_string();
        assert_eq!(find("FraudModels", None).as_deref(), Ok("fraud prod FraudModels"));
        assert_eq!(find("risk-churn-prod", None).as_deref(), Ok("churn prod risk-churn-prod"));
        assert_eq!(find("prod", Some(&model("churn"))).as_deref(), Ok("churn prod risk-churn-prod"));
        assert_eq!(said("prod", None), "`prod` is a target of `churn` and `fraud`: say which one with `--model`");
        assert_eq!(
            said("prdo", Some(&model("fraud"))),
            "there is no group or target `prdo`: did you mean `prod`? the groups are `risk-fraud-dev`, \
             `risk-fraud-feature`, `FraudModels`"
        );
        assert_eq!(
            said("prod", Some(&model("frau"))),
            "there is no model `frau`: did you mean `fraud`? the models are `churn`, `fraud`"
        );
        assert_eq!(
            said("FraudModels", Some(&model("churn"))),
            "there is no group or target `FraudModels`: the groups are `risk-churn-dev`, `risk-churn-feature`, \
             `risk-churn-prod`"
        );
    }

    #[test]
    fn with_one_model_a_target_is_enough() {
        let one = &TWO_MODELS[..TWO_MODELS.find("  fraud:").expect("the second model")];
        let found = config(one).find_group("dev", None).map(|(_, _, group)| group.to_string());
        assert_eq!(found.as_deref(), Ok("risk-churn-dev"));
    }

    #[test]
    fn rules_stand_in_one_file_and_settings_in_the_other() {
        let source = |file: &str, text: &str| SourceText::new(file, text);
        // A gate is a mapping: it is shown by its name.
        let mine = format!("# a line more\n{}", TWO_MODELS.replace("churn/", "churn/, lib/"));
        let mine = format!(
            "{mine}  third:\n    paths: [x]\n    train: {{ command: x, data: none }}\n    gates: {{ f1: {{ min: 0.5 }} }}\n"
        );
        let config =
            load(&source("base", TWO_MODELS), &source("head", &mine)).unwrap_or_else(|problems| panic!("{problems}"));
        let metric = |name: &str| MetricName::parse(name).expect("metric");
        assert_eq!(config.place(&Route::gate(&model("churn"), &metric("accuracy"))), Some(("base", 11, 14)));
        assert_eq!(config.place(&Route::gate(&model("third"), &metric("f1"))), Some(("head", 20, 14)));
        assert_eq!(config.place(&Route::paths(&model("churn"))), Some(("head", 10, 5)));
        // Not written: the place of what holds it.
        assert_eq!(config.place(&Route::model(&model("churn")).key("max_attempts")), Some(("base", 8, 3)));
        assert_eq!(config.place(&Route::of(&["wait"])), None);
    }
}
