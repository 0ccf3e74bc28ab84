//! The one integration binary.

mod local_artifacts;
mod local_trainer;
