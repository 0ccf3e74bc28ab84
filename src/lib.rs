//! Branchline: Git branches drive a team's machine-learning models.
//!
//! Every run is the same loop, and the tree spells it: an [`event`] and a [`config`] come in, [`observe`]
//! reads the world into [`facts`], [`plan`] decides the next steps and says why, [`apply`] does them, and
//! [`drive`] looks again until nothing is left to do. ARCHITECTURE.md draws it.

pub mod adapters;
pub mod apply;
pub mod cli;
pub mod config;
pub mod drive;
pub mod event;
pub mod facts;
pub mod model;
pub mod observe;
pub mod outcome;
pub mod plan;
pub mod ports;
pub mod report;
