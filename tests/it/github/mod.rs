//! The real program as a step of a job, against a stateful GitHub, on repositories as `actions/checkout` leaves them.

mod by_hand;
mod first;
mod foreign;
mod later;
mod merges;
mod payloads;
mod pulls;
mod pushes;
mod team;
mod trouble;
mod trust;
