//! Values as text, pure: for terminals, for documents and for programs. Nothing here writes anything anywhere.

pub mod branch;
pub mod comparison;
pub mod diff;
pub mod doctor;
pub mod escape;
pub mod explain;
pub mod fingerprint;
pub mod history;
pub mod iam;
pub mod json;
pub mod limit;
pub mod log;
pub mod markdown;
pub mod outputs;
pub mod terminal;
