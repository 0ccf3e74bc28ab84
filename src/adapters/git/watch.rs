//! What a model watches, made ready for matching: which paths are covered, and which folders can hold one.
//!
//! A text with `*`, `?`, `[` or `{` is a glob, and also the plain path where such a file exists. Globs have the meaning
//! of globset with `literal_separator`: `*` stays inside one folder, `**` does not. They match files, never folders.

use crate::adapters::git::error::GitError;
use crate::model::settings::Watched;
use globset::Candidate;
use globset::GlobBuilder;
use globset::GlobMatcher;
use globset::GlobSet;
use globset::GlobSetBuilder;

/// So many parts of a glob are used to leave out folders: each is compiled, and more of them gain little.
const PRUNED: usize = 8;

/// Watched paths, compiled.
pub(super) struct Selector {
    /// Everything is watched.
    pub(super) all: bool,
    /// Each text of the settings, in their order; a glob also as the plain path it may be.
    pub(super) literals: Vec<String>,
    globs: Vec<Glob>,
    set: GlobSet,
}

struct Glob {
    text: String,
    parts: Vec<Part>,
}

/// One part of a glob between two `/`, used only to leave out folders that cannot match.
enum Part {
    /// `**`: any number of folders.
    Deep,
    /// Plain text.
    Plain(String),
    /// A part with wildcards.
    Wild(GlobMatcher),
}

impl Selector {
    /// Compiles. Fails where a glob cannot be read.
    pub(super) fn new(watched: &Watched) -> Result<Self, GitError> {
        let texts: &[String] = match watched {
            Watched::All => &[],
            Watched::Paths(texts) => texts,
        };
        let mut literals = Vec::new();
        let mut globs = Vec::new();
        let mut set = GlobSetBuilder::new();
        for text in texts {
            let text = plain(text);
            if is_glob(text) {
                set.add(glob(text)?);
                globs.push(Glob { text: text.to_owned(), parts: parts(text)? });
            }
            literals.push(text.to_owned());
        }
        let set = set.build().map_err(|error| unusable("", &error))?;
        let all = *watched == Watched::All || literals.iter().any(String::is_empty);
        Ok(Self { all, literals, globs, set })
    }

    /// Tells whether there is no glob, so that every path can be looked up.
    pub(super) fn is_plain(&self) -> bool {
        self.globs.is_empty()
    }

    /// Returns the texts of the globs, in the order of [`Selector::matching`].
    pub(super) fn glob_texts(&self) -> impl Iterator<Item = &str> {
        self.globs.iter().map(|glob| glob.text.as_str())
    }

    /// Writes into `into` which globs match the file at `path`.
    pub(super) fn matching(&self, path: &[u8], into: &mut Vec<usize>) {
        self.set.matches_candidate_into(&Candidate::from_bytes(path), into);
    }

    /// Tells whether the file at `path` is watched.
    pub(super) fn covers(&self, path: &[u8]) -> bool {
        self.all
            || self.literals.iter().any(|literal| is_in(path, literal.as_bytes()))
            || self.set.is_match_candidate(&Candidate::from_bytes(path))
    }

    /// Tells whether a watched file can lie in the folder. Never wrongly no.
    pub(super) fn may_contain(&self, folder: &[u8]) -> bool {
        self.all
            || self
                .literals
                .iter()
                .any(|literal| is_in(folder, literal.as_bytes()) || is_in(literal.as_bytes(), folder))
            || self.glob_may_contain(folder)
    }

    /// Tells whether a glob can match a file in the folder.
    pub(super) fn glob_may_contain(&self, folder: &[u8]) -> bool {
        let names: Vec<&[u8]> = folder.split(|b| *b == b'/').collect();
        self.globs.iter().any(|glob| can_begin_with(&glob.parts, &names))
    }
}

/// Drops a trailing `/`; `.` is the root.
pub(super) fn plain(text: &str) -> &str {
    let text = text.trim_end_matches('/');
    let text = text.strip_prefix("./").unwrap_or(text);
    if text == "." { "" } else { text }
}

fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// Tells whether `path` is `folder` or lies in it.
pub(super) fn is_in(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

fn glob(text: &str) -> Result<globset::Glob, GitError> {
    GlobBuilder::new(text)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| unusable(text, &error))
}

fn unusable(text: &str, error: &globset::Error) -> GitError {
    GitError::Pattern { pattern: text.to_owned(), why: error.kind().to_string() }
}

/// Splits a glob for pruning. Alternatives, classes and escapes may span a `/`, so nothing is pruned from there on.
fn parts(text: &str) -> Result<Vec<Part>, GitError> {
    let mut parts = Vec::new();
    let opaque = text.contains(['{', '[', '\\']);
    for part in text.split('/') {
        if parts.len() == PRUNED {
            parts.push(Part::Deep);
            return Ok(parts);
        }
        if part == "**" || (opaque && (is_glob(part) || part.contains('\\'))) {
            parts.push(Part::Deep);
            if opaque {
                return Ok(parts);
            }
        } else if is_glob(part) {
            parts.push(Part::Wild(glob(part)?.compile_matcher()));
        } else {
            parts.push(Part::Plain(part.to_owned()));
        }
    }
    Ok(parts)
}

fn can_begin_with(parts: &[Part], names: &[&[u8]]) -> bool {
    match (parts.split_first(), names.split_first()) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some((Part::Deep, _)), Some(_)) => true,
        (Some((Part::Plain(text), parts)), Some((name, names))) => {
            text.as_bytes() == *name && can_begin_with(parts, names)
        }
        (Some((Part::Wild(matcher), parts)), Some((name, names))) => {
            matcher.is_match_candidate(&Candidate::from_bytes(name)) && can_begin_with(parts, names)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn selector(texts: &[&str]) -> Selector {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        Selector::new(&Watched::Paths(texts)).expect("readable globs")
    }

    #[test]
    fn a_star_stays_in_its_folder() {
        let star = selector(&["features/*.py"]);
        assert!(star.covers(b"features/a.py"));
        assert!(!star.covers(b"features/deep/a.py"));
        assert!(star.may_contain(b"features") && !star.may_contain(b"features/deep") && !star.may_contain(b"docs"));
        let deep = selector(&["features/**/*.py"]);
        assert!(deep.covers(b"features/a.py") && deep.covers(b"features/deep/a.py") && !deep.covers(b"a.py"));
        assert!(deep.may_contain(b"features/deep/deeper") && !deep.may_contain(b"docs"));
    }

    #[test]
    fn a_folder_covers_what_lies_in_it_and_nothing_beside_it() {
        let folder = selector(&["features/"]);
        assert!(folder.covers(b"features/x") && folder.covers(b"features"));
        assert!(!folder.covers(b"features2/x") && !folder.covers(b"featuresx"));
        assert!(selector(&["."]).covers(b"anything/at/all"));
    }

    #[test]
    fn an_unreadable_glob_is_named() {
        let error = Selector::new(&Watched::Paths(vec!["a/[".to_owned()])).err().expect("not a glob");
        assert!(error.to_string().starts_with("`a/[` is not a usable glob"), "{error}");
    }

    proptest! {
        /// Leaving folders out must never lose a match.
        #[test]
        fn every_match_lies_in_folders_that_may_contain_it(
            pattern in r"([ab*?]|\*\*|\[ab\]|\[!a\]|\{a,b/a\}){1,2}(/([ab*?]|\*\*|\{a,b\}|\[!b\]){1,2}){0,3}",
            path in "[ab]{1,2}(/[ab]{1,2}){0,4}",
        ) {
            let Ok(selector) = Selector::new(&Watched::Paths(vec![pattern.clone()])) else { return Ok(()) };
            if selector.covers(path.as_bytes()) {
                for (index, _) in path.match_indices('/') {
                    prop_assert!(selector.may_contain(&path.as_bytes()[..index]), "{pattern} {path}");
                }
            }
        }
    }
}
