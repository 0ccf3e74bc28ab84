//! The sample project and the edits of its story, carried inside the program.

use crate::cli::failure::Failure;
use std::path::Path;

/// A file: its path in the project, and its content.
type File = (&'static str, &'static str);

macro_rules! sample {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../fixtures/projects/sample/", $path)))),+]
    };
}

macro_rules! edit {
    ($step:literal, $path:literal) => {
        &[($path, include_str!(concat!("../../../fixtures/projects/sample-story/", $step, "/", $path)))]
    };
}

/// The project as it begins.
pub(super) const BASE: &[File] = sample![
    ".gitignore",
    "README.md",
    "branchline.yaml",
    "data/LICENCE.md",
    "data/tumours.csv",
    "docs/notes.md",
    "features/__init__.py",
    "features/scale.py",
    "requirements.txt",
    "train.py",
];

/// A change that helps.
pub(super) const SCALE_FEATURES: &[File] = edit!("scale-features", "features/scale.py");
/// A change that hurts.
pub(super) const TRAIN_FASTER: &[File] = edit!("train-faster", "branchline.yaml");
/// The change that fixes it.
pub(super) const TRAIN_LONG_ENOUGH: &[File] = edit!("train-long-enough", "branchline.yaml");
/// A change that the model does not watch.
pub(super) const DOCS_ONLY: &[File] = edit!("docs-only", "docs/notes.md");

/// Writes files into the sample.
pub(super) fn write(dir: &Path, files: &[File]) -> Result<(), Failure> {
    for (path, content) in files {
        let path = dir.join(path);
        let doing = || format!("write {}", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| Failure::io(&doing(), &error))?;
        }
        std::fs::write(&path, content).map_err(|error| Failure::io(&doing(), &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_whole_sample_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/projects/sample");
        let on_disk: BTreeSet<String> = walkdir::WalkDir::new(&root)
            .into_iter()
            .map(|entry| entry.expect("readable"))
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| entry.path().strip_prefix(&root).expect("inside").display().to_string())
            .filter(|path| !path.contains("__pycache__"))
            .collect();
        let carried: BTreeSet<String> = BASE.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(on_disk, carried);
    }
}
