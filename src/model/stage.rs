//! Stages: named rungs, the branches that reach them, what they do and the groups they feed.

use crate::model::approval::ApprovalRule;
use crate::model::git::BranchName;
use crate::model::name::StageName;
use crate::model::name::TargetName;
use regex::Regex;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What a push to a stage's branch does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Does {
    /// Train and register.
    Train {
        /// Lower stages whose trainings and versions this one trusts enough to take over.
        reuse_from: Vec<StageName>,
    },
    /// Copy forward from these stages, in this order of preference. Never trains.
    Promote {
        /// Where versions are taken from.
        from: Vec<StageName>,
    },
}

/// What happens to an open training of a branch when a newer push arrives there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNewerPush {
    /// Stop it, unless another branch head wants its fingerprint.
    Stop,
    /// Let it finish.
    Keep,
}

/// A named rung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: StageName,
    /// The branches whose pushes reach it. Later patterns win; `!` excludes.
    pub branches: BranchPatterns,
    /// What it does.
    pub does: Does,
    /// The groups that it feeds, and who approves there.
    pub groups: BTreeMap<TargetName, ApprovalRule>,
    /// The target whose current version relative gates compare with.
    pub compare_with: Option<TargetName>,
    /// What a newer push does to an older open training.
    pub on_newer_push: OnNewerPush,
}

impl Stage {
    /// Tells whether many branches feed this stage's groups, as with `feature-*`.
    ///
    /// In such a group any version of a fingerprint satisfies: the branches are siblings, not a sequence.
    pub fn is_shared_by_branches(&self) -> bool {
        self.branches.can_match_many()
    }
}

/// Branch patterns with the meaning of GitHub's own workflow filters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct BranchPatterns {
    patterns: Vec<BranchPattern>,
}

impl BranchPatterns {
    /// Parses patterns in the order in which they apply.
    pub fn parse(texts: &[String]) -> Result<Self, PatternError> {
        let patterns = texts.iter().map(|text| BranchPattern::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// Tells whether a branch is matched: the last pattern that speaks of it decides.
    pub fn matches(&self, branch: &BranchName) -> bool {
        let mut matched = false;
        for pattern in &self.patterns {
            if pattern.regex.is_match(branch.as_str()) {
                matched = !pattern.negative;
            }
        }
        matched
    }

    /// Tells whether more than one branch can match.
    pub fn can_match_many(&self) -> bool {
        let mut positive = self.patterns.iter().filter(|pattern| !pattern.negative);
        match (positive.next(), positive.next()) {
            (Some(only), None) => only.literal().is_none(),
            (None, _) => false,
            (Some(_), Some(_)) => true,
        }
    }

    /// Returns the branch that is meant where the patterns name exactly one.
    pub fn only_branch(&self) -> Option<BranchName> {
        if self.can_match_many() {
            return None;
        }
        let pattern = self.patterns.iter().find(|pattern| !pattern.negative)?;
        BranchName::parse(&pattern.literal()?).ok()
    }
}

impl PartialEq for BranchPatterns {
    fn eq(&self, other: &Self) -> bool {
        self.patterns.iter().map(|p| &p.text).eq(other.patterns.iter().map(|p| &p.text))
    }
}

impl Eq for BranchPatterns {}

impl TryFrom<Vec<String>> for BranchPatterns {
    type Error = PatternError;
    fn try_from(texts: Vec<String>) -> Result<Self, PatternError> {
        Self::parse(&texts)
    }
}

impl From<BranchPatterns> for Vec<String> {
    fn from(patterns: BranchPatterns) -> Vec<String> {
        patterns.patterns.into_iter().map(|pattern| pattern.text).collect()
    }
}

impl fmt::Display for BranchPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.patterns.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(&pattern.text)?;
        }
        Ok(())
    }
}

/// A pattern that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a branch pattern: {why}")]
pub struct PatternError {
    text: String,
    why: String,
}

#[derive(Debug, Clone)]
struct BranchPattern {
    text: String,
    negative: bool,
    regex: Regex,
}

impl BranchPattern {
    /// Translates one filter. The rules are GitHub's "Filter pattern cheat sheet": `*` stops at `/`, `**` does
    /// not, `?` and `+` repeat the preceding character, `[]` is a set, `!` at the start excludes, and `\`
    /// quotes.
    fn parse(text: &str) -> Result<Self, PatternError> {
        let error = |why: &str| PatternError { text: text.to_owned(), why: why.to_owned() };
        let (negative, body) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if body.is_empty() {
            return Err(error("it is empty"));
        }
        let mut source = String::from("^(?s:");
        let mut chars = body.chars().peekable();
        let mut repeatable = false;
        while let Some(c) = chars.next() {
            match c {
                '*' => {
                    if chars.next_if_eq(&'*').is_some() {
                        source.push_str(".*");
                    } else {
                        source.push_str("[^/]*");
                    }
                    repeatable = false;
                    continue;
                }
                '?' | '+' => {
                    if !repeatable {
                        return Err(error("`?` and `+` repeat the character before them, and there is none"));
                    }
                    source.push(c);
                    repeatable = false;
                    continue;
                }
                '[' => {
                    let mut set = String::new();
                    loop {
                        match chars.next() {
                            Some(']') if !set.is_empty() => break,
                            Some(inner) if inner.is_ascii_alphanumeric() || matches!(inner, '-' | '_' | '.') => {
                                set.push(inner);
                            }
                            Some(inner) => return Err(error(&format!("`{inner}` cannot stand inside `[]`"))),
                            None => return Err(error("a `[` is never closed")),
                        }
                    }
                    source.push('[');
                    source.push_str(&set.replace('.', "\\."));
                    source.push(']');
                }
                '\\' => match chars.next() {
                    Some(quoted) => source.push_str(&regex::escape(&quoted.to_string())),
                    None => return Err(error("it ends with a lone `\\`")),
                },
                plain => source.push_str(&regex::escape(&plain.to_string())),
            }
            repeatable = true;
        }
        source.push_str(")$");
        let regex = Regex::new(&source).map_err(|_| error("its set or range is not one"))?;
        Ok(Self { text: text.to_owned(), negative, regex })
    }

    /// Returns the only branch that it can match, if it has no special character.
    fn literal(&self) -> Option<String> {
        let body = self.text.strip_prefix('!').unwrap_or(&self.text);
        (!body.contains(['*', '?', '+', '[', '\\'])).then(|| body.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(patterns: &[&str], branch: &str) -> bool {
        let texts: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        BranchPatterns::parse(&texts).expect("patterns").matches(&BranchName::parse(branch).expect("branch"))
    }

    #[test]
    fn stars_have_githubs_meaning() {
        assert!(matches(&["feature-*"], "feature-x"));
        assert!(!matches(&["feature-*"], "feature-x/y"));
        assert!(matches(&["feature/**"], "feature/a/b"));
        assert!(!matches(&["feature/*"], "feature/a/b"));
        assert!(matches(&["**"], "a/b/c"));
        assert!(matches(&["**-old"], "a/b-old"));
    }

    #[test]
    fn repetition_sets_and_negation() {
        assert!(matches(&["v[12].[0-9]+.[0-9]+"], "v1.10.3"));
        assert!(matches(&["v2?"], "v"));
        assert!(!matches(&["releases/**", "!releases/**-alpha"], "releases/1-alpha"));
        assert!(matches(&["a**", "!ab**", "abc"], "abc"));
    }

    #[test]
    fn a_dot_is_a_dot() {
        assert!(!matches(&["a.b"], "axb"));
    }

    #[test]
    fn only_patterns_with_specials_match_many() {
        let parse = |texts: &[&str]| {
            BranchPatterns::parse(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()).expect("patterns")
        };
        assert!(parse(&["feature-*"]).can_match_many());
        assert!(parse(&["a", "b"]).can_match_many());
        assert!(!parse(&["dev"]).can_match_many());
        assert_eq!(parse(&["dev"]).only_branch().map(|b| b.to_string()), Some("dev".to_owned()));
    }

    #[test]
    fn broken_patterns_say_why() {
        for text in ["", "!", "+x", "[a", "[]", "a\\", "[z-a]"] {
            assert!(BranchPatterns::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }
}
