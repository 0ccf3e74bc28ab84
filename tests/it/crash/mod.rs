//! The proof that killing it anywhere does no harm: the real program is struck at every one of its writes, run again,
//! and must end where an undisturbed run ends.
//!
//! `cargo test --test it crash:: -- --nocapture` does all of it and prints the table that `docs/fault-table.md` keeps.
//! `shim.c` strikes; `shim` builds it and says where; `stories` has the worlds; `crowd` the processes that meet;
//! `table` compares. Deliberately absent: faults of the ports as values, which `stories.rs` next door injects.

mod crowd;
mod shim;
mod stories;
mod table;
