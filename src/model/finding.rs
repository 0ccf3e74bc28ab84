//! What an examination of a place found: one line for each thing that was looked at.

use serde::Serialize;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// As it must be.
    Ok,
    /// Missing, forbidden or wrong: something would fail.
    Missing,
    /// It works, but something is better done otherwise.
    Advice,
    /// It cannot be tried without spending or changing something.
    Unchecked,
    /// It could not be found out.
    Unknown,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where: an account, or the configuration.
    pub place: String,
    /// What: `bucket acme-models`.
    pub what: String,
    /// How it stands.
    pub standing: Standing,
    /// What was seen, in words.
    pub seen: String,
    /// The action that lacks a permission, as a policy names it.
    pub action: Option<String>,
    /// What to do.
    pub fix: Option<String>,
}

impl Finding {
    /// Makes one.
    pub fn new(place: &str, what: impl Into<String>, standing: Standing, seen: impl Into<String>) -> Self {
        let (what, seen) = (what.into(), seen.into());
        Self { place: place.to_owned(), what, standing, seen, action: None, fix: None }
    }

    /// Adds what to do.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}
