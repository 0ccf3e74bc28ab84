//! An outcome as text, pure: for terminals and for programs. Nothing here writes anything anywhere.

pub mod json;
pub mod terminal;
