//! `branchline.yaml`: text in, resolved rules and settings out, or every problem at once.
//!
//! A file passes four doors: `tree` (is it YAML, and where stands what), `shape` (has it the keys and kinds of
//! value of the schema), `stages`, `rules` and `models` (do names, patterns and references make sense), and
//! `resolve`, which puts the rules of one file and the settings of another together. Which file is which is
//! the caller's to know; nothing here reads a disk, a clock or an environment.
//!
//! YAML syntax is read in one place only, by `saphyr-parser`, because it says where everything stands. The
//! typed reading and the writing of YAML are `serde_yaml`'s, in `shape` and `view`; it never sees the file's
//! text, so it can neither drop a duplicate key nor turn `1.10` into `1.1`.

mod changes;
mod cloud;
mod duration;
mod layers;
mod lookup;
mod models;
mod paths;
pub mod problem;
pub mod proposal;
mod raw;
mod reference;
mod resolve;
pub mod resolved;
pub mod route;
mod rules;
mod schema;
mod shape;
mod stages;
pub mod starter;
mod syntax;
mod topology;
mod training;
mod tree;
mod view;

pub use crate::config::changes::RuleChange;
pub use crate::config::changes::rules_differ;
pub use crate::config::layers::IncludePattern;
pub use crate::config::layers::MAX_INCLUDED;
pub use crate::config::lookup::GroupLookup;
pub use crate::config::problem::FileProblems;
pub use crate::config::problem::Place;
pub use crate::config::problem::Problem;
pub use crate::config::problem::Problems;
pub use crate::config::reference::reference_page;
pub use crate::config::resolved::Config;
pub use crate::config::resolved::Model;
pub use crate::config::route::Route;
pub use crate::config::schema::SCHEMA_URL;
pub use crate::config::schema::json_schema;
pub use crate::config::view::resolved_json;
pub use crate::config::view::resolved_yaml;

/// Where the file is looked for, from the root of the repository; the first that exists counts.
pub const FILE_NAMES: [&str; 2] = ["branchline.yaml", ".github/branchline.yaml"];

/// The text of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// How messages name it: a path, with the commit where it is not the file on disk.
    pub file: String,
    /// What it says.
    pub text: String,
    /// The files that its `include` names, at the same commit, by path; `None` where they were not read. They hold only
    /// settings, so whoever needs the rules alone may leave them unread.
    pub included: Option<Vec<IncludedText>>,
}

impl SourceText {
    /// Makes one that includes nothing.
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: text.into(), included: Some(Vec::new()) }
    }
}

/// The text of an included file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludedText {
    /// Its path from the root of the repository.
    pub file: String,
    /// What it says.
    pub text: String,
}

/// Loads a configuration: rules from one file, settings from another, often the same one.
///
/// Both files are checked whole, also the part that does not count: whoever changes rules wants to hear now
/// that they would break everything after the merge. All problems come together, in the order of the files.
pub fn load(rules: &SourceText, settings: &SourceText) -> Result<Config, Problems> {
    let ruling = resolve::read(rules);
    if rules.text == settings.text && rules.included == settings.included {
        return ruling
            .and_then(|ruling| resolve::combine(&ruling, &ruling))
            .map_err(|list| Problems { files: by_file(settings, &list) });
    }
    match (ruling, resolve::read(settings)) {
        (Ok(ruling), Ok(trained)) => {
            resolve::combine(&ruling, &trained).map_err(|list| Problems { files: by_file(settings, &list) })
        }
        (ruling, trained) => {
            let of_rules = ruling.err().map(|list| by_file(rules, &list)).unwrap_or_default();
            let of_settings = trained.err().map(|list| by_file(settings, &list)).unwrap_or_default();
            Err(Problems { files: of_rules.into_iter().chain(of_settings).collect() })
        }
    }
}

/// Returns the patterns of a file's `include`, as far as they can be read: what a reader of the commit looks for.
pub fn include_patterns(text: &str) -> Vec<String> {
    tree::read(text).tree.map(|tree| layers::patterns(&tree)).unwrap_or_default()
}

/// Sorts problems by the file that each stands in.
pub fn by_file(source: &SourceText, list: &[Problem]) -> Vec<FileProblems> {
    let own = (source.file.as_str(), source.text.as_str());
    let included = source.included.iter().flatten().map(|file| (file.file.as_str(), file.text.as_str()));
    let files = std::iter::once(own).chain(included).enumerate();
    let problems = files.map(|(number, (file, text))| {
        let here = list.iter().filter(|problem| problem.place.file == number);
        FileProblems::sorted(file, text, here.cloned().collect())
    });
    problems.filter(|file| !file.list.is_empty()).collect()
}
