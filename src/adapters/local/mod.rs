//! The local backend: training as a supervised process, and artifacts and data as files known by their content.
//!
//! Everything lives in one folder, the [`Home`]. What happens there has the semantics of the cloud: names are
//! derived, a training outlives the run that began it, and "exists already" means "found".

pub mod artifacts;
pub mod bring;
pub mod datasets;
pub mod ending;
pub mod home;
pub mod hyperparameters;
pub mod metrics;
pub mod model_files;
pub mod outputs;
pub mod pack;
pub mod prepare;
pub mod registry;
pub mod reviews;
pub mod trainer;
pub mod worker;

mod blob;
mod contract;
mod data_store;
mod devices;
mod files;
mod folder;
mod inventory;
mod joblog;
mod metrics_file;
mod pointed;
mod process;
mod process_tree;
mod python_path;
mod reach;
mod records;
mod workers;
mod zip;

pub use artifacts::LocalArtifacts;
pub use datasets::LocalDatasets;
pub use home::Home;
pub use prepare::SourceMaterial;
pub use process::outlive_size_limit;
pub use reach::DataPlaces;
pub use reach::DataReach;
pub use trainer::LocalTrainer;
