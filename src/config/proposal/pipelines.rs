//! Commands that a repository writes down itself: targets of a makefile, declared commands of a Python project.

use crate::config::proposal::How;
use crate::config::proposal::Seen;
use crate::config::proposal::Start;
use crate::config::proposal::Unit;
use crate::config::proposal::join;
use crate::model::command::EntryPoint;
use crate::model::command::Files as _;
use crate::model::command::entry_points;
use crate::model::command::named;

/// Names of makefiles, and of targets that train, best first.
const MAKEFILES: [&str; 3] = ["Makefile", "makefile", "GNUmakefile"];
const TARGETS: [&str; 4] = ["train", "training", "train-model", "train_model"];

/// Reads the target that trains. Its own line becomes the command where it is one; else `make` runs it.
pub(super) fn make_target(seen: &Seen<'_>, unit: &Unit) -> Option<Start> {
    if !unit.folder.is_empty() {
        // Its recipe runs in that folder; a command runs at the root.
        return None;
    }
    let makefile = MAKEFILES.into_iter().find(|name| seen.has(name))?;
    let text = seen.text(makefile)?;
    let (target, prerequisites, recipe) = TARGETS.iter().find_map(|target| {
        let (prerequisites, recipe) = rule(&text, target)?;
        Some((*target, prerequisites, recipe))
    })?;
    let files: Vec<String> = recipe
        .iter()
        .flat_map(|line| named(line, seen))
        .filter_map(|file| file.candidates.into_iter().find(|path| seen.has(path)))
        .collect();
    let script = files.first()?.clone();
    let simple = |line: &&String| !line.contains("$(") && !line.contains("${") && !line.contains("$$");
    match recipe.as_slice() {
        [line] if simple(&line) && prerequisites.is_empty() => {
            Some(Start { script, how: How::Written(line.clone()), needs: files, ..Start::default() })
        }
        _ => {
            let mut needs = vec![makefile.to_owned()];
            needs.extend(files);
            Some(Start { script, how: How::Written(format!("make {target}")), needs, ..Start::default() })
        }
    }
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
