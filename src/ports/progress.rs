//! What is told while something goes on. Nothing is decided from it.

use crate::model::name::ModelName;

/// One sign of life.
#[derive(Debug, Clone, PartialEq)]
pub enum Tick<'a> {
    /// A sentence worth a line: what will be done, what was done.
    Says(&'a str),
    /// A line that training printed: foreign text.
    LogLine(&'a str),
    /// Something that takes a while moves on.
    Moves {
        /// What: `packing model.tar.gz`, `copying model.tar.gz`, `training`.
        what: &'a str,
        /// How far, in bytes or in seconds.
        done: u64,
        /// How far in all, where that is known.
        total: Option<u64>,
    },
}

/// Somebody who wants to know.
pub trait Progress: Send + Sync {
    /// Takes a sign of life of one model.
    fn tick(&self, model: &ModelName, tick: Tick<'_>);
}

/// Nobody wants to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn tick(&self, _model: &ModelName, _tick: Tick<'_>) {}
}
