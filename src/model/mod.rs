//! The vocabulary as values: names, identities, settings, versions and their lineage.
//!
//! Everything here can be made, compared, printed and stored without a network, a disk, a clock or an
//! environment. Deliberately absent: how any of it is read (`config`, `event`, `adapters`) and what to do
//! about it (`plan`).

pub mod approval;
pub mod artifact;
pub mod change;
pub mod cloud;
pub mod command;
pub mod dataset;
pub mod digest;
pub mod finding;
pub mod gate;
pub mod git;
pub mod history;
pub mod iam;
pub mod identity;
pub mod lineage;
pub mod metric;
pub mod name;
pub mod region;
pub mod review;
pub mod secret;
pub mod settings;
pub mod stage;
pub mod text;
pub mod timeline;
pub mod training;
pub mod variables;
pub mod verdict;
pub mod version;
