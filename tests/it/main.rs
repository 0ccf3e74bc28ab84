//! The one integration binary.

mod events;
mod local_registry;
mod stories;
mod tidy;
mod world;
