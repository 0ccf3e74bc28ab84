//! The one integration binary.

mod events;
mod git;
mod identity;
mod local_registry;
mod stories;
mod tidy;
mod world;
