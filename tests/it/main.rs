//! The one integration binary.

mod binary;
mod configs;
#[cfg(target_os = "linux")]
mod crash;
mod events;
mod git;
mod identity;
mod local_artifacts;
mod local_registry;
mod local_trainer;
mod plan_properties;
mod prune;
mod readers;
mod stories;
mod tidy;
mod world;
