//! The real program, as a person or a CI job starts it: in real repositories, in a scrubbed environment.
//!
//! What is decided and why is told by the stories; here it is what comes out: exit codes, the essential
//! sentence, what stands on which stream, and what is left behind.

mod bad_input;
mod bounds;
mod by_hand;
mod ci;
mod cloud;
mod cloud_input;
mod data_behind;
mod data_places;
mod demo;
mod doctor;
mod elsewhere;
mod ends;
mod first_file;
mod get;
pub mod harness;
mod network;
mod other_ci;
mod places;
mod readme;
mod refusals;
mod runner_log;
mod sagemaker;
mod secrets;
mod setup;
mod several_files;
mod unchanged;
mod whose_rules;
