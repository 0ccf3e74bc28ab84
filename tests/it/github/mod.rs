//! The real program as a step of a job, against a stateful GitHub, on repositories as `actions/checkout` leaves them.

mod by_hand;
mod first;
mod foreign;
mod later;
mod merges;
mod payloads;
mod people;
mod pulls;
mod pushes;
mod shared_checks;
mod team;
mod trouble;
mod trust;
mod walk;
