//! The local backend: the same promises as the cloud, kept with files, a database and processes on one machine.

pub mod registry;
