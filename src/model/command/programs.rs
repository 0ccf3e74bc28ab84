//! What the usual programs name on their command lines: a script, a module, a notebook, a makefile.
//!
//! A program that is not known here ends the reading: it may make the files that later commands name.

use crate::model::command::FileKind;
use crate::model::command::Files;
use crate::model::command::NamedFile;
use crate::model::command::named;
use crate::model::command::words::Simple;
use crate::model::command::words::Word;

/// Programs that start other programs may stand in front of each other, within reason.
const MAX_DEPTH: usize = 16;

/// Whether the commands after one can still be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It makes no files that later commands name.
    Continue,
    /// It may, or it changes the folder.
    Stop,
}

/// What was read of one command.
pub(super) struct Reading {
    pub(super) files: Vec<NamedFile>,
    pub(super) next: Next,
}

impl Reading {
    fn of(file: Option<NamedFile>, next: Next) -> Self {
        Self { files: file.into_iter().collect(), next }
    }

    const UNKNOWN: Self = Self { files: Vec::new(), next: Next::Stop };
}

/// What earlier commands of the line set.
#[derive(Debug, Default)]
pub(super) struct Setting {
    /// The folders of an exported `PYTHONPATH`.
    python_roots: Vec<String>,
}

/// A command that a Python project declares, from `[project.scripts]` or `[tool.poetry.scripts]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPoint {
    /// The command's name.
    pub name: String,
    /// The module, with dots.
    pub module: String,
    /// The function that is called.
    pub function: String,
}

/// Reads the declared commands out of a `pyproject.toml`.
pub fn entry_points(pyproject: &str) -> Vec<EntryPoint> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in pyproject.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = matches!(line, "[project.scripts]" | "[tool.poetry.scripts]");
        } else if let (true, Some((name, value))) = (inside, line.split_once('=')) {
            let value = value.split('#').next().unwrap_or("").trim();
            let value = value.trim_matches(['"', '\'']);
            if let Some((module, function)) = value.split_once(':') {
                found.push(EntryPoint {
                    name: name.trim().trim_matches(['"', '\'']).to_owned(),
                    module: module.trim().to_owned(),
                    function: function.trim().to_owned(),
                });
            }
        }
    }
    found
}

/// Reads one command.
pub(super) fn read(simple: &Simple, setting: &mut Setting, files: &dyn Files) -> Reading {
    let mut roots = setting.python_roots.clone();
    let assigned = simple.words.iter().take_while(|word| assignment(word).is_some()).count();
    for (name, value) in simple.words.iter().take(assigned).filter_map(assignment) {
        if name == "PYTHONPATH" {
            roots = python_roots(value);
        }
    }
    let words = &simple.words[assigned..];
    let Some(first) = words.first() else { return Reading { files: Vec::new(), next: Next::Continue } };
    if first.text == "export" && !first.expands {
        for (name, value) in words.iter().filter_map(assignment) {
            if name == "PYTHONPATH" {
                setting.python_roots = python_roots(value);
            }
        }
        return Reading { files: Vec::new(), next: Next::Continue };
    }
    let mut reading = Line { roots: &roots, files }.program(words, 0);
    let known = reading.next == Next::Continue || !reading.files.is_empty() || is_notebook_runner(first);
    if let Some(input) = simple.input.as_ref().filter(|_| known) {
        reading.files.extend(file(input));
    }
    reading
}

/// Tells whether a command only asks something: what follows it with `&&` runs where the answer is yes.
pub(super) fn asks(simple: &Simple) -> bool {
    let words = simple.words.iter().skip_while(|word| assignment(word).is_some() || word.text == "!");
    let mut words = words.map(base);
    match words.next() {
        Some("test" | "[" | "[[" | "which" | "grep") => true,
        Some("command") => words.next() == Some("-v"),
        _ => false,
    }
}

fn is_notebook_runner(word: &Word) -> bool {
    base(word) == "papermill"
}

/// One command, and what its modules are looked for in.
struct Line<'a> {
    roots: &'a [String],
    files: &'a dyn Files,
}

impl Line<'_> {
    fn program(&self, words: &[Word], depth: usize) -> Reading {
        let Some(first) = words.first().filter(|word| !word.expands && depth < MAX_DEPTH) else {
            return Reading::UNKNOWN;
        };
        let rest = &words[1..];
        let mut reading = match base(first) {
            "exec" | "nohup" | "command" | "time" | "xvfb-run" => self.program(past_options(rest, &[]), depth + 1),
            "nice" => self.program(past_options(rest, &["-n"]), depth + 1),
            "stdbuf" => self.program(past_options(rest, &["-i", "-o", "-e"]), depth + 1),
            "timeout" => {
                let rest = past_options(rest, &["-k", "-s"]);
                self.program(rest.get(1..).unwrap_or_default(), depth + 1)
            }
            "env" => {
                let rest = past_options(rest, &["-u"]);
                let assigned = rest.iter().take_while(|word| assignment(word).is_some()).count();
                self.program(&rest[assigned..], depth + 1)
            }
            "poetry" | "pipenv" | "pdm" | "hatch" | "rye" | "pixi" => self.environment(rest, &[], depth),
            "conda" | "mamba" | "micromamba" => self.environment(rest, &["-n", "--name", "-p", "--prefix"], depth),
            "uv" => self.uv(rest, depth),
            "pip" | "pip3" => pip(rest),
            "set" | "unset" | "echo" | "printf" | "mkdir" | "true" | ":" | "umask" | "ulimit" | "sleep" | "date"
            | "pwd" | "ls" | "test" | "[" | "which" | "hostname" | "nvidia-smi" | "exit" | "false" | "virtualenv"
            | "tee" | "cat" | "grep" | "head" | "tail" | "sort" | "cut" | "tr" | "wc" | "ts" => {
                Reading { files: Vec::new(), next: Next::Continue }
            }
            "source" | "." => Reading::of(rest.first().and_then(file), Next::Continue),
            "torchrun" | "deepspeed" | "accelerate" | "horovodrun" | "mpirun" | "mpiexec" => launched(rest),
            "papermill" | "jupyter" | "jupyter-nbconvert" | "jupyter-execute" | "runipy" => notebook(rest),
            "Rscript" => script_after(rest, &["-e"], &[]),
            "R" => r(rest),
            "julia" => script_after(rest, &["-e", "-E", "--eval"], &["-t", "-p", "-J", "-L", "-H"]),
            "node" | "ruby" | "perl" => script_after(rest, &["-e", "-E", "--eval"], &["-r", "-I", "-M"]),
            "sh" | "bash" | "zsh" | "dash" | "ksh" => self.shell(rest),
            "make" | "gmake" => make(rest),
            "dvc" if rest.first().is_some_and(|word| word.text == "repro") => {
                Reading::of(at("dvc.yaml".to_owned(), &["dvc.yaml"]), Next::Stop)
            }
            name if is_python(name) => self.python(rest, depth),
            name if first.text.contains('/') || is_script(name) => Reading::of(file(first), Next::Stop),
            _ => Reading::UNKNOWN,
        };
        // An interpreter of the repository's own, such as one in a virtual environment.
        if first.text.contains('/') {
            let own = file(first).filter(|own| !reading.files.contains(own));
            reading.files.splice(0..0, own);
        }
        reading
    }

    /// `poetry run python x.py` and its relatives.
    fn environment(&self, rest: &[Word], with_value: &[&str], depth: usize) -> Reading {
        match rest.first().map(|word| word.text.as_str()) {
            Some("run") => self.program(past_options(&rest[1..], with_value), depth + 1),
            Some("install" | "sync" | "activate" | "env" | "create" | "lock") => {
                Reading { files: Vec::new(), next: Next::Continue }
            }
            _ => Reading::UNKNOWN,
        }
    }

    fn uv(&self, rest: &[Word], depth: usize) -> Reading {
        match rest.first().map(|word| word.text.as_str()) {
            Some("run") => self.uv_run(&rest[1..], depth),
            Some("pip") => pip(&rest[1..]),
            Some("sync" | "venv" | "lock" | "tool" | "python") => Reading { files: Vec::new(), next: Next::Continue },
            _ => Reading::UNKNOWN,
        }
    }

    fn uv_run(&self, words: &[Word], depth: usize) -> Reading {
        let mut rest = words;
        while let Some((first, after)) = rest.split_first() {
            match first.text.as_str() {
                "-m" | "--module" => return self.module(after, depth),
                "-s" | "--script" | "--gui-script" | "--" => {
                    return Reading::of(after.first().and_then(file), Next::Continue);
                }
                "--with"
                | "--with-editable"
                | "--with-requirements"
                | "--extra"
                | "--group"
                | "--only-group"
                | "--package"
                | "--python"
                | "-p"
                | "--env-file"
                | "--index"
                | "--index-url" => {
                    rest = after.get(1..).unwrap_or_default();
                }
                "--frozen" | "--locked" | "--no-sync" | "--isolated" | "--no-project" | "--active" | "--all-extras"
                | "--exact" | "--no-dev" | "--dev" | "--quiet" | "-q" | "--verbose" | "-v" | "--all-groups"
                | "--all-packages" | "--offline" | "--no-cache" | "--managed-python" => rest = after,
                option if option.starts_with("--directory") || option.starts_with("--project") => {
                    return Reading::UNKNOWN;
                }
                option if option.starts_with("--") && option.contains('=') => rest = after,
                option if option.starts_with('-') => return Reading::UNKNOWN,
                name if name.ends_with(".py") => return Reading::of(file(first), Next::Continue),
                name => {
                    let reading = self.program(rest, depth + 1);
                    let unknown = reading.files.is_empty() && reading.next == Next::Stop;
                    let declared = self.files.text("pyproject.toml").filter(|_| unknown);
                    let declared = declared.map(|text| entry_points(&text)).unwrap_or_default();
                    let entry = declared.into_iter().find(|entry| entry.name == name);
                    return match entry {
                        Some(entry) => Reading::of(self.entry(&entry), Next::Continue),
                        None => reading,
                    };
                }
            }
        }
        Reading::UNKNOWN
    }

    /// The file of a declared command's module.
    fn entry(&self, entry: &EntryPoint) -> Option<NamedFile> {
        let roots = ["", "src"].into_iter().chain(self.roots.iter().map(String::as_str));
        self.module_in(&entry.module, roots, "__init__.py")
    }

    fn python(&self, words: &[Word], depth: usize) -> Reading {
        let nothing = Reading { files: Vec::new(), next: Next::Continue };
        let mut rest = words;
        while let Some((first, after)) = rest.split_first() {
            match first.text.as_str() {
                "-" | "-c" => return nothing,
                "-W" | "-X" | "--check-hash-based-pycs" => rest = after.get(1..).unwrap_or_default(),
                option if option.starts_with("--") => rest = after,
                option if option.starts_with('-') && option.ends_with('m') => return self.module(after, depth),
                option if option.starts_with('-') && option.ends_with('c') => return nothing,
                option if option.starts_with('-') => rest = after,
                _ => return Reading::of(python_script(first), Next::Continue),
            }
        }
        nothing
    }

    /// `-m NAME` and what follows.
    fn module(&self, words: &[Word], depth: usize) -> Reading {
        let Some((name, rest)) = words.split_first().filter(|(name, _)| !name.expands && depth < MAX_DEPTH) else {
            return Reading { files: Vec::new(), next: Next::Continue };
        };
        match name.text.as_str() {
            "pip" => pip(rest),
            "torch.distributed.run" | "torch.distributed.launch" | "accelerate.commands.launch" => launched(rest),
            module => {
                let roots = std::iter::once("").chain(self.roots.iter().map(String::as_str));
                Reading::of(self.module_in(module, roots, "__main__.py"), Next::Continue)
            }
        }
    }

    /// The file of a module, if its first part is in one of the folders: else it is an installed one.
    fn module_in<'r>(
        &self,
        module: &str,
        mut roots: impl Iterator<Item = &'r str>,
        of_package: &str,
    ) -> Option<NamedFile> {
        if module.is_empty() || module.split('.').any(|part| part.is_empty() || part.contains('/')) {
            return None;
        }
        let top = module.split('.').next().unwrap_or(module);
        let below = |root: &str, path: &str| if root.is_empty() { path.to_owned() } else { format!("{root}/{path}") };
        let root = roots.find(|root| {
            let package = below(root, top);
            self.files.kind(&package) == Some(FileKind::Folder)
                || self.files.kind(&format!("{package}.py")) == Some(FileKind::File)
        })?;
        let path = below(root, &module.replace('.', "/"));
        let candidates = [format!("{path}.py"), format!("{path}/{of_package}")];
        Some(NamedFile { word: module.to_owned(), candidates: candidates.to_vec() })
    }

    fn shell(&self, words: &[Word]) -> Reading {
        let mut rest = words;
        while let Some((first, after)) = rest.split_first() {
            match first.text.as_str() {
                option if option.starts_with('-') && !option.starts_with("--") && option.contains('c') => {
                    // Whatever the inner line does, it is judged by itself.
                    let line = after.first().filter(|line| !line.text.contains('$'));
                    let files = line.map(|line| named(&line.text, self.files)).unwrap_or_default();
                    return Reading { files, next: Next::Stop };
                }
                option if option.starts_with(['-', '+']) && option.ends_with('o') => {
                    rest = after.get(1..).unwrap_or_default();
                }
                option if option.starts_with(['-', '+']) => rest = after,
                _ => return Reading::of(file(first), Next::Stop),
            }
        }
        Reading::UNKNOWN
    }
}

fn is_python(name: &str) -> bool {
    ["python", "pypy"].iter().any(|known| {
        name.strip_prefix(known).is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
    })
}

fn is_script(name: &str) -> bool {
    [".py", ".sh", ".R", ".r", ".jl"].iter().any(|ending| name.len() > ending.len() && name.ends_with(ending))
}

/// The last part of a program's path.
pub(super) fn base(word: &Word) -> &str {
    word.text.rsplit('/').next().unwrap_or(&word.text)
}

/// Reads `NAME=value`.
fn assignment(word: &Word) -> Option<(&str, &str)> {
    let (name, value) = word.text.split_once('=')?;
    let legal = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    legal.then_some((name, value))
}

fn python_roots(value: &str) -> Vec<String> {
    value
        .split(':')
        .filter(|root| !root.is_empty() && !root.contains('$') && !root.starts_with('/'))
        .filter_map(path)
        .collect()
}

/// Skips the options in front of a program. Those of `with_value` take the next word with them.
fn past_options<'w>(words: &'w [Word], with_value: &[&str]) -> &'w [Word] {
    let mut rest = words;
    while let Some(first) = rest.first().filter(|word| word.text.starts_with('-')) {
        let skipped = if with_value.contains(&first.text.as_str()) { 2 } else { 1 };
        rest = rest.get(skipped..).unwrap_or_default();
    }
    rest
}

/// A program whose first word without `-` is its script.
fn script_after(words: &[Word], inline: &[&str], with_value: &[&str]) -> Reading {
    let mut rest = words;
    while let Some((first, after)) = rest.split_first() {
        let option = first.text.as_str();
        if inline.contains(&option) {
            break;
        }
        if with_value.contains(&option) {
            rest = after.get(1..).unwrap_or_default();
        } else if option.starts_with('-') {
            rest = after;
        } else {
            return Reading::of(file(first), Next::Continue);
        }
    }
    Reading { files: Vec::new(), next: Next::Continue }
}

/// A launcher: the first word that is a Python file, whatever stands before it.
fn launched(words: &[Word]) -> Reading {
    let script = words.iter().find(|word| word.text.ends_with(".py"));
    Reading::of(script.and_then(file), Next::Continue)
}

/// A program that runs a notebook: the first one that it does not write.
fn notebook(words: &[Word]) -> Reading {
    let written = |index: usize| {
        index.checked_sub(1).is_some_and(|before| matches!(words[before].text.as_str(), "--output" | "-o"))
    };
    if words.first().is_some_and(|word| word.text == "-") {
        return Reading::of(None, Next::Stop);
    }
    let read = words.iter().enumerate().find(|(index, word)| word.text.ends_with(".ipynb") && !written(*index));
    Reading::of(read.and_then(|(_, word)| file(word)), Next::Stop)
}

fn r(words: &[Word]) -> Reading {
    let found = match words {
        [cmd, batch, rest @ ..] if cmd.text == "CMD" && batch.text == "BATCH" => past_options(rest, &[]).first(),
        _ => words
            .iter()
            .position(|word| word.text == "-f")
            .and_then(|at| words.get(at + 1))
            .filter(|_| !words.iter().any(|word| word.text == "-e")),
    };
    let by_option = words.iter().find_map(|word| word.text.strip_prefix("--file="));
    let by_option = by_option.and_then(|text| file(&Word { text: text.to_owned(), expands: text.contains('$') }));
    Reading::of(found.and_then(file).or(by_option), Next::Continue)
}

fn make(words: &[Word]) -> Reading {
    let mut folder = String::new();
    let mut makefile = None;
    let mut rest = words;
    while let Some((first, after)) = rest.split_first() {
        if first.expands {
            return Reading::UNKNOWN;
        }
        match first.text.as_str() {
            "-C" | "-f" => {
                let Some(value) = after.first().filter(|value| !value.expands) else { return Reading::UNKNOWN };
                if first.text == "-C" {
                    folder.clone_from(&value.text)
                } else {
                    makefile = Some(value.text.clone())
                }
                rest = &after[1..];
            }
            option if option.starts_with("--") && option.contains('=') => return Reading::UNKNOWN,
            _ => rest = after,
        }
    }
    let names: Vec<&str> = match &makefile {
        Some(name) => vec![name.as_str()],
        None => vec!["Makefile", "makefile", "GNUmakefile"],
    };
    let paths: Vec<String> = names.iter().map(|name| format!("{folder}/{name}")).collect();
    let paths: Vec<&str> = paths.iter().map(|path| path.trim_start_matches('/')).collect();
    if folder.starts_with('/') || names.iter().any(|name| name.starts_with('/')) {
        return Reading::UNKNOWN;
    }
    Reading::of(at(names[0].to_owned(), &paths), Next::Stop)
}

fn pip(words: &[Word]) -> Reading {
    let mut files = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let text = word.text.as_str();
        let named = match text {
            "-r" | "--requirement" | "-c" | "--constraint" => words.get(index + 1).cloned(),
            _ => text
                .strip_prefix("--requirement=")
                .or_else(|| text.strip_prefix("-r"))
                .map(|text| Word { text: text.to_owned(), expands: word.expands }),
        };
        files.extend(named.as_ref().and_then(file));
        if text == "." {
            files.extend(at(".".to_owned(), &["pyproject.toml", "setup.py"]));
        }
    }
    Reading { files, next: Next::Continue }
}

/// A Python script, or a folder with a `__main__.py`.
fn python_script(word: &Word) -> Option<NamedFile> {
    let mut named = file(word)?;
    if !named.candidates[0].ends_with(".py") {
        named.candidates.push(format!("{}/__main__.py", named.candidates[0]));
    }
    Some(named)
}

/// A word as a file of the repository; `None` where the shell decides what it is, or it lies outside on purpose.
fn file(word: &Word) -> Option<NamedFile> {
    if word.expands || word.text.is_empty() || word.text.starts_with(['/', '-']) {
        return None;
    }
    Some(NamedFile { word: word.text.clone(), candidates: vec![path(&word.text)?] })
}

fn at(word: String, paths: &[&str]) -> Option<NamedFile> {
    let candidates: Vec<String> = paths.iter().filter_map(|text| path(text)).collect();
    (!candidates.is_empty()).then_some(NamedFile { word, candidates })
}

/// A path from the root of the repository, without `.` and inner `..`. What leaves the repository keeps its `..`.
pub(super) fn path(text: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}
