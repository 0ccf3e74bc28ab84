//! The one integration binary.

mod configs;
mod events;
mod git;
mod identity;
mod local_artifacts;
mod local_registry;
mod local_trainer;
mod plan_properties;
mod prune;
mod stories;
mod tidy;
mod world;
