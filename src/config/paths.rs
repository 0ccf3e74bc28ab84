//! Watched paths: files, folders and globs from the root of the repository, in the one form that identity is
//! computed from. Whether they exist at a commit is not known here.

use globset::GlobBuilder;

/// A path that cannot be watched: what is wrong, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathError {
    /// What is wrong, to be put after the path.
    pub why: String,
    /// The next move.
    pub hint: &'static str,
}

/// The longest path in bytes: what Linux takes.
const LONGEST: usize = 4096;

/// Brings a path into its one form: no `./`, no `//`, no trailing `/`.
pub fn normalise(text: &str) -> Result<String, PathError> {
    let error = |why: &str, hint| Err(PathError { why: why.to_owned(), hint });
    if text.len() > LONGEST {
        return error("is longer than 4,096 bytes", "no file system keeps such a path");
    }
    if text.contains('\\') {
        return error("contains a backslash", "paths are written with `/` on every system");
    }
    if text.chars().any(char::is_control) {
        return error("contains a control character", "rename the file");
    }
    if text.starts_with('/') || text.starts_with('~') {
        return error(
            "is not inside the repository",
            "paths begin at the root of the repository: `train.py`, not `/code/train.py`",
        );
    }
    if text.starts_with('!') {
        return error("begins with `!`", "paths only add; name the folders and globs that you do want");
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return error("leaves the repository with `..`", "paths begin at the root of the repository");
    }
    if parts.is_empty() {
        return match text.is_empty() {
            true => error("is empty", "name a file, a folder or a glob"),
            false => error(
                "is the whole repository",
                "to watch everything, write `checkout: all` under `train` and leave `paths` out",
            ),
        };
    }
    if parts.first().is_some_and(|part| part.eq_ignore_ascii_case(".git")) {
        return error("is Git's own folder", "name files of the project");
    }
    let path = parts.join("/");
    if is_glob(&path)
        && let Err(problem) = GlobBuilder::new(&path).literal_separator(true).build()
    {
        return Err(PathError {
            why: format!("is not a glob: {}", problem.kind()),
            hint: "globs know `*`, `**`, `?` and `[a-z]`",
        });
    }
    Ok(path)
}

/// Tells whether a normalised path is a glob rather than the name of a file or folder.
pub fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '[', ']', '{', '}'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_form_for_one_path() {
        for (text, path) in [
            ("train.py", "train.py"),
            ("./train.py", "train.py"),
            ("features/", "features"),
            ("a//b/./c/", "a/b/c"),
            ("src/**/*.py", "src/**/*.py"),
            ("..x/y", "..x/y"),
        ] {
            assert_eq!(normalise(text).as_deref(), Ok(path), "{text}");
        }
    }

    #[test]
    fn what_is_outside_or_unclear_is_refused() {
        for text in
            ["", ".", "./", "/", "/abs", "~/x", "a/../b", "..", "a\\b", "a\nb", "!x", "[z", "a/[z-a]", ".git/config"]
        {
            assert!(normalise(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "[a-c./*]{0,12}") {
            if let Ok(path) = normalise(&text) {
                prop_assert_eq!(normalise(&path), Ok(path.clone()));
                prop_assert!(!path.starts_with('/') && !path.ends_with('/') && !path.contains("//"));
            }
        }
    }
}
