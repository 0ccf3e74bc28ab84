//! A laptop to tell stories on: a real Git repository, the real local backend in a temporary home, a clock that
//! is moved manually, scripted training, and one decorator that injects faults into every write.

#[allow(dead_code, reason = "a world offers more than its tests need today")]
pub mod aws;
pub mod clock;
pub mod cloud;
pub mod faults;
pub mod github;
pub mod laptop;
pub mod repository;
