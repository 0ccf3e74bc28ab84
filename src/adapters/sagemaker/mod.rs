//! Amazon SageMaker as a backend.

pub mod registry;
