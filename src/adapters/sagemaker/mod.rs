//! Amazon SageMaker as a backend: it trains, and its model registry keeps groups and versions.
//!
//! A training job is found by its derived name, and everything that a later run needs lies in the bucket: what it was
//! started with, why it was stopped, how it ended. A training whose end is written down costs no request any more.

pub mod registry;
pub mod trainer;

mod contract;
mod end;
mod failure;
mod image;
mod job;
mod keys;
mod limits;
mod logs;
mod look;
mod output;
mod prune;
mod settle;
mod source;
mod start;
mod state;
mod uploads;
mod watch;

pub use self::registry::SageMakerRegistry;
pub use self::trainer::Pace;
pub use self::trainer::SageMakerTrainer;
pub use self::trainer::Setting;

#[cfg(test)]
mod tests;
