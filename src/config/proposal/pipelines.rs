//! Commands that a repository writes down itself: targets of a makefile, declared commands of a Python project.

use crate::config::proposal::How;
use crate::config::proposal::Seen;
use crate::config::proposal::Start;
use crate::config::proposal::Unit;
use crate::config::proposal::closure::DATA;
use crate::config::proposal::join;
use crate::config::proposal::scripts;
use crate::config::proposal::scripts::Script;
use crate::model::command::EntryPoint;
use crate::model::command::Files as _;
use crate::model::command::entry_points;
use crate::model::command::named;
use std::collections::BTreeMap;

/// Names of makefiles, and of targets that train, best first.
const MAKEFILES: [&str; 3] = ["Makefile", "makefile", "GNUmakefile"];
const TARGETS: [&str; 4] = ["train", "training", "train-model", "train_model"];

/// So many makefiles are read, and so many times a variable is filled in: a proposal is not worth more.
const MAX_READ: usize = 20;

/// Reads the target that trains. Its own line becomes the command where it is one; else `make` runs it.
pub(super) fn make_target(seen: &Seen<'_>, unit: &Unit, scripts: &[Script]) -> Option<Start> {
    if !unit.folder.is_empty() {
        // Its recipe runs in that folder; a command runs at the root.
        return None;
    }
    let makefile = MAKEFILES.into_iter().find(|name| seen.has(name))?;
    let (makefiles, text) = with_included(seen, makefile);
    let (target, prerequisites, recipe) = TARGETS.iter().find_map(|target| {
        let (prerequisites, recipe) = rule(&text, target)?;
        Some((*target, prerequisites, recipe))
    })?;
    let files: Vec<String> = recipe
        .iter()
        .flat_map(|line| named(line, seen))
        .filter_map(|file| file.candidates.into_iter().find(|path| seen.has(path)))
        .collect();
    let simple = |line: &&String| !line.contains("$(") && !line.contains("${") && !line.contains("$$");
    if let ([line], Some(script)) = (recipe.as_slice(), files.first())
        && simple(&line)
        && prerequisites.is_empty()
    {
        return Some(Start {
            script: script.clone(),
            how: How::Written(line.clone()),
            needs: files,
            ..Start::default()
        });
    }
    let filled = filled(&recipe.join("\n"), &variables(&text));
    let mentioned = mentioned(seen, &filled);
    let runs = mentioned.iter().find(|path| !scripts::ending(path).is_empty());
    // What only make can read is left to make: a script without its arguments would be another training run.
    let unreadable = || scripts::best(unit, scripts).filter(|_| filled.contains('$')).map(|start| start.script);
    let script = files.first().or(runs).cloned().or_else(unreadable)?;
    let needs =
        makefiles.into_iter().chain(files).chain(mentioned.iter().filter(|path| !is_data(path)).cloned()).collect();
    Some(Start { script, how: How::Written(format!("make {target}")), needs, ..Start::default() })
}

fn is_data(path: &str) -> bool {
    DATA.contains(&path.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase().as_str())
}

/// A makefile with those that it includes, and the text of all.
fn with_included(seen: &Seen<'_>, makefile: &str) -> (Vec<String>, String) {
    let mut found = vec![makefile.to_owned()];
    let mut all = String::new();
    let mut next = 0;
    while let Some(path) = found.get(next).filter(|_| next < MAX_READ) {
        let text = seen.text(path).unwrap_or_default();
        all.push_str(&text);
        all.push('\n');
        next += 1;
        let known = variables(&all);
        for line in text.lines() {
            let names = ["include ", "-include ", "sinclude "].iter().find_map(|word| line.trim().strip_prefix(word));
            let names = names.map(|names| filled(names.split('#').next().unwrap_or(""), &known)).unwrap_or_default();
            for name in names.split_whitespace() {
                let name = name.trim_start_matches("./");
                let fits = |file: &&String| match name.split_once('*') {
                    Some((before, after)) => file
                        .strip_prefix(before)
                        .and_then(|rest| rest.strip_suffix(after))
                        .is_some_and(|between| !between.contains('/')),
                    None => file.as_str() == name,
                };
                let new: Vec<String> =
                    seen.files.iter().filter(fits).filter(|file| !found.contains(file)).cloned().collect();
                found.extend(new);
            }
        }
    }
    (found, all)
}

/// The variables that a makefile sets, as far as they stand in one line.
fn variables(makefile: &str) -> BTreeMap<String, String> {
    let set = |line: &str| {
        let (name, value) = line.split_once('=').filter(|_| !line.starts_with(['\t', '#']))?;
        let name = name.trim_end_matches([':', '?', '+']).trim();
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        let legal = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        legal.then(|| (name.to_owned(), value.split('#').next().unwrap_or("").trim().to_owned()))
    };
    makefile.lines().filter_map(set).collect()
}

/// A text with the variables that are known filled in. For reading only: people set them when they run make.
fn filled(text: &str, variables: &BTreeMap<String, String>) -> String {
    const LONGEST: usize = 1 << 16;
    let mut text = text.to_owned();
    for _ in 0..MAX_READ {
        let before = text.len();
        let known = variables.iter().find_map(|(name, value)| {
            [format!("$({name})"), format!("${{{name}}}")]
                .into_iter()
                .find(|used| text.contains(used))
                .map(|used| (used, value))
        });
        let Some((used, value)) = known else { break };
        text = text.replace(&used, value);
        if before.max(text.len()) > LONGEST {
            break;
        }
    }
    text
}

/// The files that a recipe mentions, also from a folder that it changes into.
fn mentioned(seen: &Seen<'_>, recipe: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in recipe.lines() {
        let words: Vec<&str> = line
            .split([' ', '\t', '=', ';', '&', '|', '<', '>', '(', ')', '"', '\''])
            .filter(|word| !word.is_empty())
            .collect();
        let mut folder = String::new();
        for (index, word) in words.iter().enumerate() {
            let word = word.trim_start_matches("./").trim_end_matches('/');
            if index.checked_sub(1).is_some_and(|before| words[before] == "cd") {
                folder = join(&folder, word);
                continue;
            }
            let there = [join(&folder, word), word.to_owned()].into_iter().find(|path| seen.has(path));
            found.extend(there.filter(|path| !found.contains(path)));
        }
    }
    found
}

/// The prerequisites and the recipe of a rule.
fn rule(makefile: &str, target: &str) -> Option<(String, Vec<String>)> {
    let joined = makefile.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut lines = joined.lines();
    let prerequisites = lines.by_ref().find_map(|line| {
        let (names, rest) = line.split_once(':')?;
        let is_rule = !line.starts_with(['\t', ' ', '.', '#']) && !rest.starts_with('=');
        (is_rule && names.split_whitespace().any(|name| name == target))
            .then(|| rest.split('#').next().unwrap_or("").trim().to_owned())
    })?;
    let recipe: Vec<String> = lines
        .take_while(|line| line.starts_with('\t') || line.trim().is_empty() || line.trim_start().starts_with('#'))
        .filter(|line| line.starts_with('\t'))
        .map(|line| line.trim().trim_start_matches(['@', '-', '+']).trim().to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("echo "))
        .collect();
    (!recipe.is_empty()).then_some((prerequisites, recipe))
}

/// The declared command of a project file that trains.
pub(super) fn training_entry(seen: &Seen<'_>, pyproject: &str) -> Option<EntryPoint> {
    entry_points(&seen.text(pyproject)?).into_iter().find(|entry| entry.name.contains("train"))
}

/// Reads the declared command that trains. Its function is called from the commit's own files, installed or not.
pub(super) fn entry(seen: &Seen<'_>, unit: &Unit) -> Option<Start> {
    let entry = training_entry(seen, &join(&unit.folder, "pyproject.toml"))?;
    let identifier = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !identifier(&entry.function) || !entry.module.split('.').all(identifier) {
        return None;
    }
    let path = entry.module.replace('.', "/");
    let roots = ["src", ""].map(|root| join(&unit.folder, root));
    let script = roots
        .iter()
        .flat_map(|root| [format!("{path}.py"), format!("{path}/__init__.py")].map(|file| join(root, &file)))
        .find(|file| seen.has(file))?;
    let how = How::Function { module: entry.module, function: entry.function };
    Some(Start { script, how, ..Start::default() })
}
