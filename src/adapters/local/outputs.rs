//! What a training command wrote in its working folder: the model and the metrics that `outputs` declares, brought to
//! where the training contract has them; and the names of what is new there, for people.
//!
//! For scripts as they are, which know nothing of `$SM_MODEL_DIR`. The bootstrap does the same in a container
//! (`bootstrap.sh`). Nothing outside of the working folder is ever read, and no link is followed.

use crate::adapters::local::metrics::METRICS_FILE_LIMIT;
use crate::adapters::local::metrics::Measured;
use crate::adapters::local::metrics_file;
use crate::adapters::regular;
use crate::adapters::regular::Links;
use crate::model::settings::Outputs;
use globset::GlobBuilder;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

/// Most files of a working folder that are looked at for what is new.
const LOOKED_AT: usize = 20_000;
/// Most names that a message lists.
const LISTED: usize = 10;

/// A working folder before the command ran.
#[derive(Debug, Default)]
pub(super) struct Before(HashMap<PathBuf, (u64, Option<SystemTime>)>);

impl Before {
    /// Looks at a folder.
    pub(super) fn of(code: &Path) -> Self {
        Self(files(code).collect())
    }

    /// Names what the command wrote since, as the end of a sentence. Empty: nothing.
    pub(super) fn written(&self, code: &Path) -> String {
        let mut new: Vec<String> = files(code)
            .filter(|(path, look)| self.0.get(path) != Some(look))
            .filter_map(|(path, _)| Some(path.strip_prefix(code).ok()?.display().to_string()))
            // What Python leaves beside every module is not what anybody looks for.
            .filter(|path| !path.contains("__pycache__"))
            .collect();
        new.sort();
        listed(&new)
    }
}

/// Lists names for a message: `a, b and 3 more`.
pub(super) fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(LISTED);
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn files(code: &Path) -> impl Iterator<Item = (PathBuf, (u64, Option<SystemTime>))> {
    walkdir::WalkDir::new(code).min_depth(1).into_iter().flatten().take(LOOKED_AT).filter_map(|found| {
        let about = found.metadata().ok().filter(fs::Metadata::is_file)?;
        Some((found.into_path(), (about.len(), about.modified().ok())))
    })
}

/// Reads the declared metrics: those of a file as a whole, then single values.
pub(super) fn metrics(outputs: &Outputs, code: &Path) -> Vec<Measured> {
    let read = |file: &str| match inside(code, Path::new(file)) {
        Ok(path) => regular::read(&path, Links::Refuse, METRICS_FILE_LIMIT).map_err(|error| {
            if error.is_absent() { "the training command did not write it".to_owned() } else { error.to_string() }
        }),
        Err(why) => Err(why),
    };
    of_files(outputs, read)
}

/// Reads the declared metrics through a look-up of files. Shared by the backends.
pub(crate) fn of_files(outputs: &Outputs, read: impl Fn(&str) -> Result<Vec<u8>, String>) -> Vec<Measured> {
    let mut parts = Vec::new();
    if let Some(file) = &outputs.metrics {
        parts.push(match read(file) {
            Ok(bytes) => crate::adapters::local::metrics::parse_file(file, bytes.len() as u64, &bytes),
            Err(why) => Measured::unusable(file, why),
        });
    }
    let mut values = Measured::default();
    for (name, at) in &outputs.values {
        let found = read(&at.json).and_then(|bytes| metrics_file::value_at(&bytes, &at.path));
        values.set(
            name,
            match found {
                Ok(value) => value,
                Err(why) => Err(format!("missing ({}: {why})", at.json)),
            },
        );
    }
    parts.push(values);
    parts
}

/// Brings the declared files and folders into the model folder, each under its own last name. The error is a sentence.
pub(super) fn collect(outputs: &Outputs, code: &Path, model: &Path) -> Result<(), String> {
    let mut taken: HashMap<PathBuf, PathBuf> = HashMap::new();
    for pattern in &outputs.model {
        let found = matches(code, pattern)?;
        if found.is_empty() {
            return Err(format!("wrote nothing that `outputs.model` names: {pattern}"));
        }
        for relative in found {
            let Some(name) = relative.file_name() else { continue };
            let to = model.join(name);
            match taken.get(&to) {
                // Two patterns may name the same file.
                Some(known) if *known == relative => continue,
                Some(known) => {
                    let (one, other) = (known.display(), relative.display());
                    return Err(format!("wrote two outputs of one name: {one} and {other}"));
                }
                None if fs::symlink_metadata(&to).is_ok() => {
                    return Err(format!("wrote {} to $SM_MODEL_DIR and as an output", name.display()));
                }
                None => {}
            }
            copy(&code.join(&relative), &to)
                .map_err(|why| format!("could not collect {}: {why}", relative.display()))?;
            taken.insert(to, relative);
        }
    }
    Ok(())
}

/// Lists what of a working folder belongs to the output: the files and folders of the model, and those of metrics.
pub(super) fn declared(outputs: &Outputs, code: &Path) -> Vec<PathBuf> {
    let model = outputs.model.iter().flat_map(|pattern| matches(code, pattern).unwrap_or_default());
    let metrics = outputs.metrics.iter().chain(outputs.values.values().map(|value| &value.json)).map(PathBuf::from);
    model.chain(metrics).map(|relative| code.join(relative)).collect()
}

/// Finds what a pattern names, part by part, as a shell does: a name that begins with a dot is only found by such a
/// pattern.
fn matches(code: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.split('/') {
        let mut next = Vec::new();
        for folder in &found {
            let literal = folder.join(part);
            if fs::symlink_metadata(code.join(&literal)).is_ok() {
                next.push(literal);
                continue;
            }
            let glob = GlobBuilder::new(part).literal_separator(true).build().map_err(|error| error.to_string())?;
            let glob = glob.compile_matcher();
            let names = fs::read_dir(code.join(folder)).into_iter().flatten().flatten().map(|entry| entry.file_name());
            let mut names: Vec<PathBuf> = names
                .filter(|name| part.starts_with('.') || !name.as_encoded_bytes().starts_with(b"."))
                .filter(|name| glob.is_match(name))
                .map(|name| folder.join(name))
                .collect();
            names.sort();
            next.extend(names);
        }
        found = next;
    }
    for relative in &found {
        inside(code, relative)?;
    }
    Ok(found)
}

/// Returns the path of a file in the working folder; no part of the way may be a link out of it.
fn inside(code: &Path, relative: &Path) -> Result<PathBuf, String> {
    let path = code.join(relative);
    let about = |path: &Path| fs::symlink_metadata(path);
    let mut way = code.to_owned();
    for part in relative.components() {
        way.push(part);
        if about(&way).is_ok_and(|about| about.is_symlink()) {
            let link = way.strip_prefix(code).unwrap_or(&way).display();
            return Err(format!("{link} is a symbolic link: name the file itself"));
        }
    }
    Ok(path)
}

/// Copies a file or a folder. The bytes are shared where the file system can: nobody writes them any more.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: io::Error| error.to_string();
    for found in walkdir::WalkDir::new(from).sort_by_file_name() {
        let found = found.map_err(|error| error.to_string())?;
        let below = found.path().strip_prefix(from).unwrap_or(Path::new(""));
        let target = if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) };
        let kind = found.file_type();
        if kind.is_dir() {
            fs::create_dir_all(&target).map_err(failed)?;
        } else if kind.is_file() {
            fs::hard_link(found.path(), &target)
                .or_else(|_| fs::copy(found.path(), &target).map(|_| ()))
                .map_err(failed)?;
        } else if kind.is_symlink() {
            // Whether it leads out of the model is asked where the model is packed.
            link(&fs::read_link(found.path()).map_err(failed)?, &target).map_err(failed)?;
        } else {
            let about = found.metadata().map_err(|error| error.to_string())?;
            return Err(format!("{} is {}", found.path().display(), regular::kind(&about)));
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(target: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::Error::other("symbolic links are not collected on this system"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::local::metrics;
    use crate::model::metric::MetricName;
    use crate::model::settings::JsonMetric;

    struct Work(tempfile::TempDir);

    impl Work {
        fn new(files: &[(&str, &str)]) -> Self {
            let work = Self(tempfile::tempdir().expect("a folder"));
            for (path, content) in files {
                let path = work.code().join(path);
                fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
                fs::write(path, content).expect("writable");
            }
            fs::create_dir_all(work.model()).expect("a folder");
            work
        }

        fn code(&self) -> PathBuf {
            self.0.path().join("code")
        }

        fn model(&self) -> PathBuf {
            self.0.path().join("model")
        }

        fn collect(&self, patterns: &[&str]) -> Result<Vec<String>, String> {
            let model = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            collect(&Outputs { model, ..Outputs::default() }, &self.code(), &self.model())?;
            let mut names: Vec<String> = files(&self.model())
                .filter_map(|(path, _)| Some(path.strip_prefix(self.model()).ok()?.display().to_string()))
                .collect();
            names.sort();
            Ok(names)
        }
    }

    #[test]
    fn files_globs_and_folders_are_collected_under_their_own_names() {
        let files =
            [("model.pkl", "w"), ("out/a.bin", "a"), ("out/b.bin", "b"), ("out/.hidden.bin", "h"), ("saved/v/x", "x")];
        let work = Work::new(&files);
        let names = work.collect(&["model.pkl", "out/*.bin", "out/a.bin", "saved"]).expect("all are there");
        assert_eq!(names, ["a.bin", "b.bin", "model.pkl", "saved/v/x"]);
        assert_eq!(Work::new(&files).collect(&["*/v", "out/[b].*"]).expect("globs"), ["b.bin", "v/x"]);
    }

    #[test]
    fn what_is_missing_doubled_or_leads_out_is_named() {
        let work = Work::new(&[("a/m.pkl", "1"), ("b/m.pkl", "2")]);
        assert_eq!(work.collect(&["m.pkl"]).expect_err("nothing"), "wrote nothing that `outputs.model` names: m.pkl");
        let text = work.collect(&["*/m.pkl"]).expect_err("two of one name");
        assert_eq!(text, "wrote two outputs of one name: a/m.pkl and b/m.pkl");
        let work = Work::new(&[("m.pkl", "1")]);
        fs::write(work.model().join("m.pkl"), "2").expect("writable");
        assert_eq!(work.collect(&["m.pkl"]).expect_err("both"), "wrote m.pkl to $SM_MODEL_DIR and as an output");
        #[cfg(unix)]
        {
            let work = Work::new(&[("m.pkl", "1")]);
            std::os::unix::fs::symlink("/etc", work.code().join("etc")).expect("a link");
            let text = work.collect(&["etc/passwd"]).expect_err("it leads out");
            assert_eq!(text, "etc is a symbolic link: name the file itself");
        }
    }

    #[test]
    fn metrics_come_from_a_declared_file_and_by_path() {
        let name = |text: &str| MetricName::parse(text).expect("a name");
        let work =
            Work::new(&[("m.json", r#"{"acc": 0.5, "loss": 2}"#), ("eval/r.json", r#"{"test": {"acc": 0.75}}"#)]);
        let at = |json: &str, path: &str| JsonMetric { json: json.to_owned(), path: path.to_owned() };
        let mut outputs = Outputs {
            model: Vec::new(),
            metrics: Some("m.json".to_owned()),
            values: [(name("acc"), at("eval/r.json", "test.acc"))].into(),
        };
        let (found, notes) =
            metrics::complete(metrics(&outputs, &work.code()), &[name("acc")]).expect("both are there");
        assert_eq!((found[&name("acc")], found[&name("loss")], notes.len()), (0.75, 2.0, 0));
        outputs.values.insert(name("auc"), at("eval/r.json", "test.auc"));
        let text = metrics::complete(self::metrics(&outputs, &work.code()), &[name("auc")]).expect_err("no such path");
        assert!(text.to_string().contains("it has no value at `test.auc`"), "{text}");
        outputs.metrics = Some("none.json".to_owned());
        let text = metrics::complete(self::metrics(&outputs, &work.code()), &[name("loss")]).expect_err("no such file");
        assert!(text.to_string().contains("none.json") && text.to_string().contains("did not write it"), "{text}");
    }

    #[test]
    fn what_a_command_wrote_is_listed() {
        let work = Work::new(&[("train.py", "1"), ("old.txt", "1")]);
        let before = Before::of(&work.code());
        assert_eq!(before.written(&work.code()), "");
        fs::write(work.code().join("old.txt"), "22").expect("writable");
        for number in 0..12 {
            fs::write(work.code().join(format!("new{number:02}")), "x").expect("writable");
        }
        let text = before.written(&work.code());
        assert!(text.starts_with("new00, new01") && text.ends_with("new09 and 3 more"), "{text}");
    }
}
