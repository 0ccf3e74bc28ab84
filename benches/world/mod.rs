//! The worlds that the benches measure in: repositories, registries, model folders, and child processes.
//!
//! Deliberately absent: any goal or yardstick. Those stand beside each measure.

pub mod measure;
pub mod model_folder;
pub mod registry;
pub mod repository;
