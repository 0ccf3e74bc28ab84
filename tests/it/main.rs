//! The one integration binary.

mod aws_world;
mod binary;
mod configs;
#[cfg(target_os = "linux")]
mod crash;
mod events;
mod foreign_text;
mod forge;
mod git;
mod github;
mod identity;
mod interleaving;
mod local_artifacts;
mod local_registry;
mod local_trainer;
mod plan_properties;
mod prune;
mod readers;
mod registry_stories;
mod runner;
mod sagemaker_registry;
mod stories;
mod tidy;
mod world;
