//! Python: what a text imports, where modules of the repository are found, and which interpreter runs them.

use crate::config::proposal::Seen;
use crate::config::proposal::Unit;
use crate::config::proposal::closure::Closure;
use crate::config::proposal::join;
use crate::model::command::FileKind;
use crate::model::command::Files as _;
use serde_json::Value;
use std::collections::BTreeSet;

/// What a text imports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Imports {
    /// The first parts of absolute imports.
    pub(super) tops: BTreeSet<String>,
    /// Whether there are relative ones: the file is part of a package then.
    pub(super) relative: bool,
}

/// Reads the imports of a text.
pub(super) fn imports(text: &str) -> Imports {
    let mut imports = Imports::default();
    for line in text.lines().map(str::trim_start) {
        let modules = if let Some(rest) = line.strip_prefix("import ") {
            rest
        } else if let Some(rest) = line.strip_prefix("from ") {
            let Some((module, _)) = rest.split_once(" import") else { continue };
            module
        } else {
            continue;
        };
        for module in modules.split(',') {
            let module = module.split_whitespace().next().unwrap_or("");
            let top = module.split('.').next().unwrap_or("");
            if module.starts_with('.') {
                imports.relative = true;
            } else if !top.is_empty() && top.chars().all(|c| c.is_alphanumeric() || c == '_') {
                imports.tops.insert(top.to_owned());
            }
        }
    }
    imports
}

/// The code of a notebook, as one text.
pub(super) fn code_of_notebook(text: &str) -> String {
    let Ok(notebook) = serde_json::from_str::<Value>(text) else { return String::new() };
    let mut code = String::new();
    let cells = notebook["cells"].as_array().into_iter().flatten();
    for cell in cells.filter(|cell| cell["cell_type"] == "code") {
        match &cell["source"] {
            Value::String(source) => code.push_str(source),
            Value::Array(lines) => lines.iter().filter_map(Value::as_str).for_each(|line| code.push_str(line)),
            _ => {}
        }
        code.push('\n');
    }
    code
}

/// Finds a module of the repository in a folder: its file, or its folder if that holds Python.
pub(super) fn module_in(seen: &Seen<'_>, folder: &str, top: &str) -> Option<String> {
    let path = join(folder, top);
    let file = format!("{path}.py");
    if seen.has(&file) {
        return Some(file);
    }
    let is_package = seen.kind(&path) == Some(FileKind::Folder) && seen.below(&path).any(|file| file.ends_with(".py"));
    is_package.then_some(path)
}

/// Folders that modules are looked for in, beside that of the script: nearest first.
pub(super) fn roots(seen: &Seen<'_>, unit: &Unit) -> Vec<String> {
    let mut roots = Vec::new();
    for folder in [join(&unit.folder, "src"), unit.folder.clone(), String::new(), "src".to_owned()] {
        if !roots.contains(&folder) {
            roots.push(folder);
        }
    }
    // Packages of the same repository may import each other.
    for project in seen.files.iter().filter_map(|file| file.strip_suffix("/pyproject.toml")) {
        for folder in [join(project, "src"), project.to_owned()] {
            if !roots.contains(&folder) {
                roots.push(folder);
            }
        }
    }
    roots
}

/// How Python is begun: through uv where the versions are fixed by its lock.
pub(super) fn program(seen: &Seen<'_>, unit: &Unit) -> String {
    if !(seen.has("uv.lock") && seen.has("pyproject.toml")) {
        return "python3".to_owned();
    }
    let own = seen.text(&join(&unit.folder, "pyproject.toml")).filter(|_| !unit.folder.is_empty());
    match own.as_deref().and_then(project_name) {
        Some(name) => format!("uv run --package {name} python"),
        None => "uv run python".to_owned(),
    }
}

fn project_name(pyproject: &str) -> Option<String> {
    let project = pyproject.split("[project]").nth(1)?;
    let own = project.lines().take_while(|line| !line.trim_start().starts_with('['));
    let value = own.filter_map(|line| line.split_once('=')).find(|(key, _)| key.trim() == "name")?.1;
    let name = value.trim().trim_matches(['"', '\'']);
    let legal = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    legal.then(|| name.to_owned())
}

/// Puts the folders in front that the imports need: whatever is installed there, the commit's own files are imported.
pub(super) fn prefixed(command: &str, closure: &Closure) -> String {
    if closure.python_path.is_empty() || command.contains("PYTHONPATH=") {
        return command.to_owned();
    }
    let roots: Vec<&str> =
        closure.python_path.iter().map(|root| if root.is_empty() { "." } else { root.as_str() }).collect();
    let plain = |root: &&str| root.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'));
    if roots.iter().all(plain) { format!("PYTHONPATH={} {command}", roots.join(":")) } else { command.to_owned() }
}
