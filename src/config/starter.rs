//! The first `branchline.yaml`: commented, with what was found in the repository already filled in.
//!
//! Looking into the repository is the caller's work. Whatever it found, the text that comes out loads.

use crate::config::paths;
use crate::config::schema::SCHEMA_URL;
use crate::config::training;
use crate::model::git::BranchName;
use crate::model::metric::MetricName;
use crate::model::name::ProjectName;
use crate::model::stage::BranchPatterns;

/// Longest project name that is proposed; a person may choose a longer one.
const PROJECT_LENGTH: usize = 40;
/// Patterns of feature branches where none were found.
const FEATURE_PATTERNS: [&str; 2] = ["feature-*", "feature/**"];

/// What was found in a repository that has no configuration yet. Nothing of it is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// A name for the project, such as the repository's. Characters that a name cannot have are replaced.
    pub project: String,
    /// Patterns that the existing feature branches have in common.
    pub feature_patterns: Vec<String>,
    /// The branch that feature branches are merged into.
    pub dev_branch: Option<String>,
    /// The branch that is released.
    pub prod_branch: Option<String>,
    /// The models that seem to be trained here; none is one without a script.
    pub models: Vec<FoundModel>,
}

/// What was found of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundModel {
    /// A name for the model; `None`: that of the project.
    pub name: Option<String>,
    /// The script that seems to train.
    pub training_script: Option<String>,
    /// How it seems to be run; empty if unknown.
    pub command: String,
    /// Files and folders that it seems to need.
    pub watched: Vec<String>,
    /// Where its data seem to be.
    pub data: Option<String>,
    /// Names of the metrics that it seems to write.
    pub metrics: Vec<String>,
    /// What a person must know of the command: one sentence.
    pub note: Option<String>,
}

/// Writes the first configuration file.
pub fn starter(found: &Found) -> String {
    let project = project(&found.project);
    let branches = Branches::of(found);
    let unnamed = FoundModel::default();
    let found_models = if found.models.is_empty() { std::slice::from_ref(&unnamed) } else { &found.models };
    let mut names: Vec<String> = Vec::new();
    let mut models = String::new();
    for (index, model) in found_models.iter().enumerate() {
        let wished = model.name.as_deref().map_or_else(|| project.clone(), self::project);
        let mut name = wished.clone();
        // Group names are built of it, so it differs by more than its punctuation and its case.
        let key = |name: &str| -> String {
            name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
        };
        while names.iter().any(|other| key(other) == key(&name)) {
            name = format!("{wished}-{}", names.len() + 1);
        }
        models.push_str(&model_text(&name, model, index == 0));
        names.push(name);
    }
    let group = match names.as_slice() {
        [first, _, ..] => format!("{project}-{first}"),
        _ => project.clone(),
    };
    let Branches { feature, dev, prod, dev_note, prod_note } = branches;
    let feature: Vec<String> = feature.iter().map(|pattern| scalar(pattern)).collect();
    format!(
        "\
# yaml-language-server: $schema={SCHEMA_URL}
#
# Git branches drive the models of this repository. `branchline check` checks this file, `branchline plan`
# says what a push would do, and `branchline config show --resolved` shows every default.

version: 1

# The first part of the name of every model group: {group}-dev, {group}-prod.
project: {project}

# baseline: feature -> dev -> prod. advanced: prod feeds a champion and a challenger.
topology: baseline

# Which branches reach which stage; everything else comes from the topology.
stages:
  # A push trains, and registers a version that a person may approve.
  feature:
    branches: [{feature}]
  # A push trains, and registers an approved version if its gates pass.{dev_note}
  dev:
    branches: [{dev}]
  # A push never trains: it copies the tested version forward, and a person approves it.{prod_note}
  prod:
    branches: [{prod}]

models:
{models}",
        feature = feature.join(", "),
        dev = scalar(&dev),
        prod = scalar(&prod),
    )
}

/// Writes one model; the first one with everything that a person may want to know.
fn model_text(name: &str, found: &FoundModel, first: bool) -> String {
    let (data, data_note) = match found.data.as_deref().and_then(|uri| training::located(uri).ok()) {
        Some(uri) => (
            format!("\n        train: {}", scalar(&uri)),
            "      # Data, by channel: the script finds them in $SM_CHANNEL_TRAIN.\n",
        ),
        None => {
            (" none".to_owned(), "      # No data were found. If there are some: data: { train: data/train.csv }\n")
        }
    };
    // A line of its own in front of the command, whatever the sentence holds.
    let note = found.note.as_deref().map(|note| note.replace(|c: char| c.is_control() || !c.is_ascii(), " "));
    let note = note.map_or_else(String::new, |note| format!("# Not complete: {note}.\n      "));
    let command = scalar(&command(found));
    let (paths, checkout) = watched(found, first);
    if !first {
        return format!(
            "\n  {name}:\n{paths}\n    train:\n      {note}command: {command}\n{checkout}      data:{data}\n"
        );
    }
    let metrics: Vec<&str> =
        found.metrics.iter().map(String::as_str).filter(|name| MetricName::parse(name).is_some()).collect();
    let metrics = if metrics.is_empty() { vec!["accuracy"] } else { metrics };
    let gates: String =
        metrics.iter().take(5).map(|name| format!("    #   {}: {{ {} }}\n", scalar(name), bounds(name))).collect();
    format!(
        "  {name}:
{paths}
    train:
      # Run in a checkout of exactly the commit. Write the model to $SM_MODEL_DIR, and metrics.json to
      # $SM_OUTPUT_DATA_DIR.
      {note}command: {command}
      # For a script that writes both beside itself instead:
      # outputs: {{ model: [model.pkl], metrics: metrics.json }}
{checkout}{data_note}      data:{data}
      # Each arrives as text, exactly as it is written here.
      # hyperparameters:
      #   max_depth: 5
      # The longest that one training may take.
      # max_runtime: 2h

    # Conditions on metrics: what misses one is not registered. max_drop compares with the current version
    # one stage further.
    # gates:
{gates}"
    )
}

struct Branches {
    feature: Vec<String>,
    dev: String,
    prod: String,
    dev_note: &'static str,
    prod_note: &'static str,
}

impl Branches {
    fn of(found: &Found) -> Self {
        let legal = |name: &Option<String>| {
            name.as_deref()
                .filter(|name| BranchName::parse(name).is_ok() && !name.starts_with("refs/heads/"))
                .map(exactly)
        };
        let prod = legal(&found.prod_branch);
        let dev = legal(&found.dev_branch).filter(|dev| prod.as_ref() != Some(dev));
        let note = |branch: &Option<String>| {
            if branch.is_some() { "" } else { "\n  # (No such branch was found yet: change the name, or create it.)" }
        };
        let (dev_note, prod_note) = (note(&dev), note(&prod));
        let unless = |taken: &Option<String>, first: &str, second: &str| {
            if taken.as_deref() == Some(first) { second.to_owned() } else { first.to_owned() }
        };
        let dev = dev.unwrap_or_else(|| unless(&prod, "dev", "develop"));
        let prod = prod.unwrap_or_else(|| unless(&Some(dev.clone()), "prod", "main"));
        let mut feature: Vec<String> = Vec::new();
        for pattern in &found.feature_patterns {
            let legal = BranchPatterns::parse(std::slice::from_ref(pattern)).is_ok()
                && !pattern.starts_with('!')
                && !pattern.starts_with("refs/heads/")
                && (pattern.contains(['*', '?', '+', '[', '\\']) || BranchName::parse(pattern).is_ok());
            if legal && *pattern != dev && *pattern != prod && !feature.contains(pattern) {
                feature.push(pattern.clone());
            }
        }
        if feature.is_empty() {
            feature = FEATURE_PATTERNS.iter().map(|pattern| (*pattern).to_owned()).collect();
        }
        Self { feature, dev, prod, dev_note, prod_note }
    }
}

/// Writes a branch as a pattern that matches it alone.
fn exactly(branch: &str) -> String {
    let mut pattern = String::new();
    for (index, c) in branch.chars().enumerate() {
        // All other special characters of patterns cannot be part of a branch's name.
        if c == '+' || (c == '!' && index == 0) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// Makes a project name of any text.
fn project(text: &str) -> String {
    let replaced: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '-' }).collect();
    let name: String = replaced.trim_matches(['-', '_', '.']).chars().take(PROJECT_LENGTH).collect();
    let name = name.trim_end_matches(['-', '_', '.']);
    match ProjectName::parse(name) {
        // A name that reads as a number or as nothing would have to be quoted wherever it is written.
        Ok(name) if scalar(name.as_str()) == name.as_str() => name.to_string(),
        Ok(_) | Err(_) => "model".to_owned(),
    }
}

fn command(found: &FoundModel) -> String {
    let given = found.command.trim();
    if !given.is_empty() && !given.contains('\0') {
        return given.to_owned();
    }
    match found.training_script.as_deref().and_then(|script| paths::normalise(script).ok()) {
        Some(script) => format!("python3 '{}'", script.replace('\'', "'\\''"))
            .replace("'", if plain_word(&script) { "" } else { "'" }),
        None => "python3 train.py".to_owned(),
    }
}

fn plain_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'))
}

/// Returns the lines of `paths`, and the line that stands under `train` where nothing can be named.
fn watched(found: &FoundModel, first: bool) -> (String, &'static str) {
    let mut watched: Vec<String> = Vec::new();
    for text in found.training_script.iter().chain(&found.watched) {
        if let Ok(path) = paths::normalise(text) {
            let covered = watched.iter().any(|folder| path == *folder || path.starts_with(&format!("{folder}/")));
            if !covered {
                watched.push(path);
            }
        }
    }
    // What a folder covers is not named beside it.
    let folders = watched.clone();
    watched.retain(|path| !folders.iter().any(|folder| path.starts_with(&format!("{folder}/"))));
    if watched.is_empty() {
        let paths = "    # What the model is made of: files, folders and globs. Name them, and take `checkout: all` away;\n    # as long as everything is watched, every commit is a new model.\n    # paths: [train.py, features/]";
        return (paths.to_owned(), "      checkout: all\n");
    }
    let lines: Vec<String> = watched.iter().map(|path| format!("\n      - {}", scalar(path))).collect();
    let head = if first {
        "    # What the model is made of: training gets these and nothing else, and only their changes train.\n"
    } else {
        ""
    };
    (format!("{head}    paths:{}", lines.concat()), "")
}

/// Proposes bounds for a metric by what its name says about its direction.
fn bounds(name: &str) -> &'static str {
    let lower = name.to_lowercase();
    let falls = ["loss", "error", "rmse", "mse", "mae", "mape"].iter().any(|word| lower.contains(word));
    if falls { "max: 0.50, max_rise: 1%" } else { "min: 0.80, max_drop: 1%" }
}

/// Writes text so that YAML reads exactly it: plain where that is safe, else in double quotes.
fn scalar(text: &str) -> String {
    let first = text.chars().next();
    let plain = first.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '.' | '/' | '_'))
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_' | '-' | ' ' | '*' | '+' | '='))
        && !text.ends_with(' ')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | ".nan" | ".inf" | "..."
        );
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}') =>
            {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::SourceText;
    use crate::config::load;
    use expect_test::expect;
    use proptest::prelude::*;

    fn loaded(found: &Found) -> Config {
        let text = starter(found);
        let source = SourceText::new("branchline.yaml", text);
        load(&source, &source).unwrap_or_else(|problems| panic!("{problems}\n{}", source.text))
    }

    fn stage_of(config: &Config, branch: &str) -> Option<String> {
        config.stage_of_branch(&BranchName::parse(branch).expect("branch")).map(|stage| stage.name.to_string())
    }

    #[test]
    fn the_first_file_is_commented_and_loads() {
        let found = Found {
            project: "churn".to_owned(),
            dev_branch: Some("develop".to_owned()),
            prod_branch: Some("main".to_owned()),
            models: vec![FoundModel {
                training_script: Some("train.py".to_owned()),
                watched: vec!["train.py".to_owned(), "features/".to_owned(), "requirements.txt".to_owned()],
                data: Some("data/train.csv".to_owned()),
                metrics: vec!["accuracy".to_owned(), "log_loss".to_owned()],
                ..FoundModel::default()
            }],
            ..Found::default()
        };
        let config = loaded(&found);
        assert_eq!(stage_of(&config, "develop").as_deref(), Some("dev"));
        assert_eq!(stage_of(&config, "main").as_deref(), Some("prod"));
        assert_eq!(stage_of(&config, "feature/a/b").as_deref(), Some("feature"));
        assert_eq!(stage_of(&config, "dev"), None);
        expect![[r#"
            # yaml-language-server: $schema=https://raw.githubusercontent.com/branchline/branchline/v1/fixtures/branchline.schema.json
            #
            # Git branches drive the models of this repository. `branchline check` checks this file, `branchline plan`
            # says what a push would do, and `branchline config show --resolved` shows every default.

            version: 1

            # The first part of the name of every model group: churn-dev, churn-prod.
            project: churn

            # baseline: feature -> dev -> prod. advanced: prod feeds a champion and a challenger.
            topology: baseline

            # Which branches reach which stage; everything else comes from the topology.
            stages:
              # A push trains, and registers a version that a person may approve.
              feature:
                branches: [feature-*, feature/**]
              # A push trains, and registers an approved version if its gates pass.
              dev:
                branches: [develop]
              # A push never trains: it copies the tested version forward, and a person approves it.
              prod:
                branches: [main]

            models:
              churn:
                # What the model is made of: training gets these and nothing else, and only their changes train.
                paths:
                  - train.py
                  - features
                  - requirements.txt
                train:
                  # Run in a checkout of exactly the commit. Write the model to $SM_MODEL_DIR, and metrics.json to
                  # $SM_OUTPUT_DATA_DIR.
                  command: python3 train.py
                  # For a script that writes both beside itself instead:
                  # outputs: { model: [model.pkl], metrics: metrics.json }
                  # Data, by channel: the script finds them in $SM_CHANNEL_TRAIN.
                  data:
                    train: data/train.csv
                  # Each arrives as text, exactly as it is written here.
                  # hyperparameters:
                  #   max_depth: 5
                  # The longest that one training may take.
                  # max_runtime: 2h

                # Conditions on metrics: what misses one is not registered. max_drop compares with the current version
                # one stage further.
                # gates:
                #   accuracy: { min: 0.80, max_drop: 1% }
                #   log_loss: { max: 0.50, max_rise: 1% }
        "#]].assert_eq(&starter(&found));
    }

    #[test]
    fn an_empty_repository_gets_a_file_that_loads_too() {
        let config = loaded(&Found::default());
        assert_eq!(config.project.as_str(), "model");
        assert_eq!(stage_of(&config, "dev").as_deref(), Some("dev"));
        assert_eq!(stage_of(&config, "prod").as_deref(), Some("prod"));
    }

    #[test]
    fn one_branch_alone_is_never_two_stages() {
        for name in ["main", "dev", "prod", "develop"] {
            let only = Some(name.to_owned());
            let config = loaded(&Found { dev_branch: only.clone(), prod_branch: only, ..Found::default() });
            assert_eq!(stage_of(&config, name).as_deref(), Some("prod"), "{name}");
        }
    }

    proptest! {
        #[test]
        fn whatever_was_found_the_file_loads(
            project in any::<String>(),
            patterns in proptest::collection::vec("[!a-c*+?\\[\\]\\\\/ \"'{}:#-]{0,8}", 0..4),
            dev in proptest::option::of("[!a-z+/\"'{}#-]{1,8}"),
            prod in proptest::option::of("[!a-z+/\"'{}#-]{1,8}"),
            script in proptest::option::of(any::<String>()),
            command in any::<String>(),
            watched in proptest::collection::vec(any::<String>(), 0..4),
            data in proptest::option::of(any::<String>()),
            metrics in proptest::collection::vec(any::<String>(), 0..4),
            names in proptest::collection::vec(proptest::option::of("[a-b.A_ -]{0,4}|churn"), 0..5),
        ) {
            let model = |name| FoundModel {
                name, training_script: script.clone(), command: command.clone(), watched: watched.clone(),
                data: data.clone(), metrics: metrics.clone(), note: data.clone(),
            };
            let found = Found {
                project, feature_patterns: patterns, dev_branch: dev, prod_branch: prod,
                models: names.iter().cloned().map(model).collect(),
            };
            prop_assert_eq!(loaded(&found).models.len(), names.len().max(1));
        }

        #[test]
        fn a_given_command_arrives_as_it_is(command in "[^\\x00]{0,30}") {
            let config = loaded(&Found {
                models: vec![FoundModel { command: command.clone(), ..FoundModel::default() }],
                ..Found::default()
            });
            let settings = config.models.values().next().and_then(|model| model.settings.values().next());
            let command = if command.trim().is_empty() { "python3 train.py" } else { command.trim() };
            prop_assert_eq!(settings.and_then(|s| s.command.as_deref()), Some(command));
        }
    }
}
