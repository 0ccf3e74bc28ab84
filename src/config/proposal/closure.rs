//! What a training script needs of the repository: modules that it imports, files that it names, locks of versions.

use crate::config::proposal::How;
use crate::config::proposal::Seen;
use crate::config::proposal::Start;
use crate::config::proposal::Unit;
use crate::config::proposal::folder_of;
use crate::config::proposal::join;
use crate::config::proposal::python;
use crate::config::proposal::scripts;
use crate::model::command::FileKind;
use crate::model::command::Files as _;
use std::collections::BTreeSet;
use std::collections::VecDeque;

/// Files that are read for what they need, at most: a proposal is not worth more.
const MAX_READ: usize = 300;

/// Files that fix the versions of what a script uses, at the root and in the folder of the model.
const LOCKS: [&str; 22] = [
    "requirements.txt",
    "requirements.lock",
    "requirements.in",
    "constraints.txt",
    "uv.lock",
    "poetry.lock",
    "Pipfile",
    "Pipfile.lock",
    "pdm.lock",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "environment.yml",
    "environment.yaml",
    "conda.yml",
    "conda.yaml",
    ".python-version",
    "renv.lock",
    "DESCRIPTION",
    "Project.toml",
    "Manifest.toml",
    "pixi.lock",
];

/// Endings of files that hold settings.
const SETTINGS: [&str; 7] = ["yaml", "yml", "json", "toml", "cfg", "ini", "sql"];

/// Endings of files that hold data.
pub(super) const DATA: [&str; 14] =
    ["csv", "tsv", "parquet", "jsonl", "ndjson", "feather", "arrow", "npz", "npy", "h5", "hdf5", "arff", "avro", "rds"];

/// Files and folders of settings that many frameworks read without their script naming a path.
const FRAMEWORK_SETTINGS: [&str; 8] =
    ["params.yaml", "config.yaml", "config.yml", "config.json", "config.toml", "conf", "config", "configs"];

/// What a script needs.
#[derive(Debug, Default)]
pub(super) struct Closure {
    /// Files and folders, in the order in which they were found.
    pub(super) watched: Vec<String>,
    /// Folders that Python must search beside the script's own.
    pub(super) python_path: Vec<String>,
    /// Whether the script imports relatively: it runs as a module then.
    pub(super) relative_imports: bool,
    /// The script as a module, with dots.
    pub(super) module: Option<String>,
    /// Data that it names.
    pub(super) data: Vec<String>,
}

impl Closure {
    /// Follows what a start needs.
    pub(super) fn of(seen: &Seen<'_>, unit: &Unit, start: &Start) -> Self {
        let mut closure = Self::default();
        let mut queue: VecDeque<String> = VecDeque::from([start.script.clone()]);
        queue.extend(start.needs.iter().filter(|path| seen.has(path)).cloned());
        let mut read: BTreeSet<String> = BTreeSet::new();
        let own_folder = |path: &str| match &start.how {
            // What is imported from a line on the command line is looked for where the command runs.
            How::Function { .. } => String::new(),
            How::Script | How::Written(_) if matches!(scripts::ending(&start.script), "py" | "ipynb") => {
                folder_of(&start.script).to_owned()
            }
            // A shell script begins each file as a script of its own.
            How::Script | How::Written(_) => folder_of(path).to_owned(),
        };
        let roots = python::roots(seen, unit);
        if let How::Written(line) = &start.how {
            closure.of_line(seen, line, &start.script, &mut queue);
        }
        if let How::Function { module, .. } = &start.how {
            closure.import(seen, module.split('.').next().unwrap_or(module), "", &roots, &mut queue);
        }
        while let Some(path) = queue.pop_front() {
            if read.len() >= MAX_READ || !read.insert(path.clone()) {
                continue;
            }
            let Some(text) = seen.text(&path) else { continue };
            let text = if scripts::ending(&path) == "ipynb" { python::code_of_notebook(&text) } else { text };
            if matches!(scripts::ending(&path), "py" | "ipynb") {
                let imports = python::imports(&text);
                if path == start.script && imports.relative {
                    closure.relative_imports = true;
                }
                for top in &imports.tops {
                    closure.import(seen, top, &own_folder(&path), &roots, &mut queue);
                }
            }
            closure.mentions(seen, &path, &text, &mut queue);
        }
        if closure.relative_imports {
            closure.as_module(seen, &start.script);
        }
        closure.watched.retain(|path| *path != start.script);
        closure
    }

    /// What a written command names beside its script; a module's packages run before it.
    fn of_line(&mut self, seen: &Seen<'_>, line: &str, script: &str, queue: &mut VecDeque<String>) {
        // As a script names them: in quotes.
        let words: Vec<String> = line.split([' ', '=', '\'', '"']).map(|word| format!("\"{word}\"")).collect();
        self.mentions(seen, "", &words.join(" "), queue);
        if line.split_whitespace().any(|word| word == "-m") {
            let mut folder = folder_of(script);
            while !folder.is_empty() {
                let init = join(folder, "__init__.py");
                if seen.has(&init) && !self.watched.contains(&init) {
                    self.watched.push(init.clone());
                    queue.push_back(init);
                }
                folder = folder_of(folder);
            }
        }
    }

    /// Finds a module in the script's folder, else in one that Python has to be told.
    fn import(&mut self, seen: &Seen<'_>, top: &str, own: &str, roots: &[String], queue: &mut VecDeque<String>) {
        let (path, root) = match python::module_in(seen, own, top) {
            Some(path) => (path, None),
            None => {
                let found = roots.iter().find_map(|root| Some((python::module_in(seen, root, top)?, root)));
                let Some((path, root)) = found else { return };
                (path, Some(root))
            }
        };
        if let Some(root) = root.filter(|root| !self.python_path.contains(root)) {
            self.python_path.push(root.clone());
        }
        if !self.watched.contains(&path) {
            queue.extend(seen.below(&path).filter(|file| file.ends_with(".py")).map(str::to_owned));
            queue.extend(Some(path.clone()).filter(|path| seen.has(path)));
            self.watched.push(path);
        }
    }

    /// The script as a module of the outermost package around it.
    fn as_module(&mut self, seen: &Seen<'_>, script: &str) {
        let mut package = folder_of(script).to_owned();
        if package.is_empty() {
            return;
        }
        while !folder_of(&package).is_empty() && seen.has(&join(folder_of(&package), "__init__.py")) {
            package = folder_of(&package).to_owned();
        }
        let root = folder_of(&package).to_owned();
        let below = if root.is_empty() { script } else { &script[root.len() + 1..] };
        self.module = Some(below.trim_end_matches(".py").replace('/', "."));
        self.watched.insert(0, package);
        if !root.is_empty() && !self.python_path.contains(&root) {
            self.python_path.push(root);
        }
    }

    /// Finds files of the repository that a text names.
    fn mentions(&mut self, seen: &Seen<'_>, path: &str, text: &str, queue: &mut VecDeque<String>) {
        let legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        let folder = folder_of(path);
        for word in text.split(|c: char| !legal(c)).filter(|word| word.contains('.') && word.len() > 3) {
            let word = word.trim_start_matches("./").trim_end_matches('.');
            let named = [word.to_owned(), join(folder, word)].into_iter().find(|path| seen.has(path));
            let Some(named) = named.filter(|named| named != path) else { continue };
            let ending = named.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
            if DATA.contains(&ending.as_str()) {
                if !self.data.contains(&named) {
                    self.data.push(named);
                }
            } else if !scripts::ending(&named).is_empty() {
                if !self.watched.contains(&named) {
                    self.watched.push(named.clone());
                }
                queue.push_back(named);
            } else if SETTINGS.contains(&ending.as_str()) && !named.contains("metric") && !self.watched.contains(&named)
            {
                self.watched.push(named);
            }
        }
        for name in FRAMEWORK_SETTINGS {
            let there = [name.to_owned(), join(folder, name)].into_iter().find(|path| seen.kind(path).is_some());
            let quoted = [format!("\"{name}\""), format!("'{name}'"), format!("../{name}"), format!("/{name}")];
            if let Some(there) = there.filter(|there| !self.watched.contains(there))
                && quoted.iter().any(|quoted| text.contains(quoted.as_str()))
                && there != *path
            {
                self.watched.push(there);
            }
        }
    }

    /// Adds what fixes versions: at the root, and in the folder of the model.
    pub(super) fn watch_locks(&mut self, seen: &Seen<'_>, unit: &Unit) {
        let mut found: Vec<String> = LOCKS.iter().map(|name| (*name).to_owned()).collect();
        if !unit.folder.is_empty() {
            found.extend(LOCKS.iter().map(|name| join(&unit.folder, name)));
        }
        if seen.has("renv.lock") {
            found.extend([".Rprofile".to_owned(), "renv/activate.R".to_owned()]);
        }
        for project in found.clone().iter().filter(|path| path.ends_with("pyproject.toml")) {
            let Some(text) = seen.text(project) else { continue };
            // uv reads the project files of all members, and a build reads the page that a project names.
            if text.contains("[tool.uv.workspace]") {
                found.extend(seen.files.iter().filter(|file| file.ends_with("/pyproject.toml")).cloned());
            }
            let readme = text.lines().find_map(|line| line.trim().strip_prefix("readme"));
            let readme = readme.and_then(|rest| rest.trim_start().strip_prefix('='));
            found.extend(readme.map(|name| join(folder_of(project), name.trim().trim_matches(['"', '\'']))));
        }
        for path in found {
            if seen.kind(&path) == Some(FileKind::File) && !self.watched.contains(&path) {
                self.watched.push(path);
            }
        }
    }
}
