//! The thin binary: everything is in the library.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(command), Some(folder)) if command == "train-worker" => {
            branchline::adapters::local::worker::main(&PathBuf::from(folder))
        }
        _ => ExitCode::from(2),
    }
}
