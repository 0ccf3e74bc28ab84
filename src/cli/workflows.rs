//! `init --github`: the workflow files of `workflows/`, adapted to the stages of a configuration. Never overwrites.
//!
//! A line that can be adapted ends with a `branchline:` comment that says by what; everything else is written as it is.

use crate::cli::failure::Failure;
use crate::config::Config;
use crate::config::resolved::BackendKind;
use std::path::Path;

/// Where GitHub looks for workflows.
const FOLDER: &str = ".github/workflows";

/// The files, with their names.
const FILES: [(&str, &str); 5] = [
    ("branchline-push.yml", include_str!("../../workflows/branchline-push.yml")),
    ("branchline-pull-request.yml", include_str!("../../workflows/branchline-pull-request.yml")),
    ("branchline-by-hand.yml", include_str!("../../workflows/branchline-by-hand.yml")),
    ("branchline-reconcile.yml", include_str!("../../workflows/branchline-reconcile.yml")),
    ("branchline-prune.yml", include_str!("../../workflows/branchline-prune.yml")),
];

/// What stands in the files for the Action: a commit that nothing has.
const UNPINNED: &str = "branchline/branchline@0000000000000000000000000000000000000000";

/// The permission that every job has, and beside which the one for roles stands.
const CHECKOUT_PERMISSION: &str = "      contents: read #";

/// The Action at one commit: `OWNER/REPOSITORY@COMMIT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedAction(String);

impl PinnedAction {
    /// Reads it. A tag or a branch is refused: both can be moved.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let name = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        let commit = |text: &str| text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit());
        let parts = text.split_once('@').and_then(|(repository, at)| Some((repository.split_once('/')?, at)));
        match parts {
            Some(((owner, repository), at)) if name(owner) && name(repository) && commit(at) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Failure::usage("`--action` takes OWNER/REPOSITORY@COMMIT, with all 40 digits of the commit")
                .hint("the page of a release shows the line to paste; a tag or a branch could be moved")),
        }
    }
}

/// What was written, and what was there already.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files that are new.
    pub new: Vec<String>,
    /// Files that were there, and were left as they are.
    pub kept: Vec<String>,
}

/// Writes the files that are not there yet.
pub fn write(root: &Path, config: &Config, action: Option<&PinnedAction>) -> Result<Written, Failure> {
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|error| Failure::io(&format!("make {}", folder.display()), &error))?;
    let lists = Lists::of(config);
    let mut written = Written::default();
    for (name, text) in FILES {
        let path = folder.join(name);
        let shown = format!("{FOLDER}/{name}");
        let text = adapted(text, &lists, action);
        let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
        match made.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes())) {
            Ok(()) => written.new.push(shown),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => written.kept.push(shown),
            Err(error) => return Err(Failure::io(&format!("write {}", path.display()), &error)),
        }
    }
    Ok(written)
}

/// What the marked lines become.
struct Lists {
    /// Patterns of branches whose push matters.
    branches: Vec<String>,
    /// Patterns of branches that pull requests go into.
    bases: Vec<String>,
    /// Stages, low to high.
    stages: Vec<String>,
    /// Nothing is kept on the machine that runs the job: any runner does, and it assumes a role.
    in_the_cloud: bool,
}

impl Lists {
    fn of(config: &Config) -> Self {
        let patterns = |text: &String| !text.starts_with('!');
        // What a `!` takes from one stage may belong to another. A push too many ends as `skipped`.
        let mut branches: Vec<String> = Vec::new();
        for stage in &config.stages {
            let own: Vec<String> = stage.branches.clone().into();
            branches.extend(own.into_iter().filter(patterns));
        }
        let mut seen = std::collections::BTreeSet::new();
        branches.retain(|pattern| seen.insert(pattern.clone()));
        let literal = |pattern: &&String| !pattern.contains(['*', '?', '+', '[', ']', '\\']);
        let mut bases: Vec<String> = branches.iter().filter(literal).cloned().collect();
        if bases.is_empty() {
            bases.clone_from(&branches);
        }
        let stages = config.stages.iter().map(|stage| stage.name.to_string()).collect();
        let parts = [config.backend.trainer, config.backend.registry, config.backend.artifacts];
        let in_the_cloud = parts.iter().all(|part| *part == BackendKind::Cloud);
        Self { branches, bases, stages, in_the_cloud }
    }
}

fn adapted(text: &str, lists: &Lists, action: Option<&PinnedAction>) -> String {
    let mut adapted = String::with_capacity(text.len());
    for line in text.lines() {
        let list = line.rsplit_once(" # branchline: ").and_then(|(before, by)| {
            let values = match by {
                "branches" => &lists.branches,
                "bases" => &lists.bases,
                "stages" => &lists.stages,
                _ => return None,
            };
            let (key, _) = before.split_once('[')?;
            let values: Vec<String> = values.iter().map(|value| scalar(value)).collect();
            Some(format!("{key}[{}] # branchline: {by}", values.join(", ")))
        });
        let pinned = || {
            let PinnedAction(action) = action?;
            let (key, _) = line.split_once(UNPINNED)?;
            Some(format!("{key}{action} # v{}", env!("CARGO_PKG_VERSION")))
        };
        let elsewhere = || lists.in_the_cloud.then(|| without_a_machine(line))?;
        adapted.push_str(&list.or_else(pinned).or_else(elsewhere).unwrap_or_else(|| line.to_owned()));
        adapted.push('\n');
        if lists.in_the_cloud && line.contains(CHECKOUT_PERMISSION) {
            adapted.push_str("      id-token: write # to assume the role of the stage in the cloud\n");
        }
    }
    adapted
}

/// A line that names a machine of one's own, for a backend that needs none.
fn without_a_machine(line: &str) -> Option<String> {
    let (before, by) = line.rsplit_once(" # branchline: ")?;
    let key = before.split_once(':')?.0;
    match by {
        "runner" => Some(format!("{key}: ubuntu-latest # branchline: {by}")),
        "home" => Some(format!("{key}: \"\" # branchline: {by}")),
        _ => None,
    }
}

/// A scalar of a YAML list: as it is where every reader takes it for text, else in quotes.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '.'));
    let word = matches!(text, "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n");
    // A JSON string is a YAML scalar.
    if plain && !word { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SourceText;

    const MODEL: &str = "models:\n  churn:\n    paths: [train.sh]\n    train: { command: sh train.sh, data: none }\n";

    fn config(stages: &str) -> Config {
        let text = format!("version: 1\nproject: churn\n{stages}{MODEL}");
        let source = SourceText::new("branchline.yaml", text);
        crate::config::load(&source, &source).unwrap_or_else(|_| panic!("a valid configuration: {}", source.text))
    }

    fn file(name: &str) -> &'static str {
        FILES.iter().find(|(file, _)| *file == name).expect("a file of this name").1
    }

    fn parsed(text: &str) -> serde_yaml::Value {
        serde_yaml::from_str(text).expect("YAML")
    }

    #[test]
    fn the_files_as_they_are_fit_the_presets() {
        let lists = Lists::of(&config(""));
        for (name, text) in FILES {
            assert_eq!(adapted(text, &lists, None), text, "{name} and the topology `baseline` differ");
        }
    }

    #[test]
    fn branches_bases_and_stages_are_those_of_the_configuration() {
        let stages = "stages:\n  feature: { branches: [\"feat/*\", \"!feat/old\", \"on\"] }\n  dev: { branches: [develop] }\n  prod: { branches: [main, \"release/**\"] }\n";
        let lists = Lists::of(&config(stages));
        let push = parsed(&adapted(file("branchline-push.yml"), &lists, None));
        let branches: Vec<&str> = push["on"]["push"]["branches"]
            .as_sequence()
            .expect("a list")
            .iter()
            .filter_map(|one| one.as_str())
            .collect();
        assert_eq!(branches, ["feat/*", "on", "develop", "main", "release/**"]);
        let proposal = adapted(file("branchline-pull-request.yml"), &lists, None);
        assert!(proposal.contains("    branches: [\"on\", develop, main] # branchline: bases\n"), "{proposal}");
        let reconcile = adapted(file("branchline-reconcile.yml"), &lists, None);
        assert!(reconcile.contains("stage: [feature, dev, prod] # branchline: stages\n"), "{reconcile}");
    }

    #[test]
    fn in_the_cloud_any_runner_does_and_takes_on_a_role() {
        let lists = Lists { in_the_cloud: true, ..Lists::of(&config("")) };
        for (name, text) in FILES {
            let text = adapted(text, &lists, None);
            assert!(!text.contains("self-hosted") && !text.contains("/var/lib"), "{name}: {text}");
            let workflow = parsed(&text);
            let job = &workflow["jobs"]["branchline"];
            assert_eq!(job["permissions"]["id-token"].as_str(), Some("write"), "{name}: {text}");
            assert_eq!(job["runs-on"].as_str(), Some("ubuntu-latest"), "{name}");
        }
    }

    #[test]
    fn an_action_is_pinned_by_its_whole_commit() {
        let at = format!("acme/branchline@{}", "a1".repeat(20));
        let action = PinnedAction::parse(&at).unwrap_or_else(|_| panic!("{at}"));
        for (name, text) in FILES {
            let text = adapted(text, &Lists::of(&config("")), Some(&action));
            assert!(!text.contains(UNPINNED), "{name}");
            assert_eq!(text.matches(&format!("uses: {at} # v")).count(), 1, "{name}");
        }
        for wrong in ["acme/branchline@v1", "acme/branchline", "branchline@", "a b/c@1", "", &at[..at.len() - 1]] {
            assert!(PinnedAction::parse(wrong).is_err(), "{wrong}");
        }
        assert!(PinnedAction::parse(&format!("acme/x y@{}", "a".repeat(40))).is_err());
    }
}
