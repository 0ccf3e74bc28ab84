//! The only place that knows an SDK, a disk, a process or a clock. One folder or file for each.

pub mod aws;
pub mod git;
pub mod github;
pub mod local;
pub mod material;
pub mod network;
pub mod regular;
pub mod runner;
pub mod s3;
pub mod sagemaker;
pub mod system;
pub(crate) mod unfinished;
