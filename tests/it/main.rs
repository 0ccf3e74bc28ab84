//! The one integration binary.

mod events;
mod stories;
mod tidy;
mod world;
