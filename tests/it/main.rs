//! The one integration binary.

mod local_registry;
