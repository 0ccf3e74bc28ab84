//! An internal error, as a user sees it: where the program noticed it and what to do, in place of Rust's own words.
//!
//! The program ends there and then, whichever thread it was. Nothing needs to be put in order first: every change is made
//! so that it may be cut off at any moment, and the next run finishes it. Deliberately absent: catching a fault and going on.

use crate::cli::failure::BUG;
use crate::cli::failure::Failure;
use crate::cli::step_outputs;
use crate::cli::streams;
use std::panic::PanicHookInfo;

/// From here on a fault ends the program with [`BUG`] and a sentence.
pub fn tell_of_faults() {
    std::panic::set_hook(Box::new(|fault| {
        streams::err(&failure(fault).render());
        step_outputs::write_end(BUG);
        end();
    }));
}

#[expect(clippy::disallowed_methods, clippy::exit, reason = "there is no way back to `main` from a fault")]
fn end() -> ! {
    std::process::exit(i32::from(BUG))
}

fn failure(fault: &PanicHookInfo<'_>) -> Failure {
    let place = fault.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let said = fault.payload_as_str().unwrap_or("nothing more is known");
    Failure::new(BUG, format!("a fault in Branchline {} at {place}: {said}", env!("CARGO_PKG_VERSION")))
        .hint("run the same again: what was done stands, and a run finishes what another one began")
        .hint("please report it, with this text and the command: it is not your doing")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::Mutex;

    #[test]
    fn a_fault_is_told_in_a_sentence_with_its_place_and_what_to_do() {
        let told = Arc::new(Mutex::new(None));
        let heard = Arc::clone(&told);
        let theirs = Arc::new(std::panic::take_hook());
        let others = Arc::clone(&theirs);
        let mine = std::thread::current().id();
        std::panic::set_hook(Box::new(move |fault| {
            if std::thread::current().id() == mine {
                *heard.lock().expect("unlocked") = Some(failure(fault));
            } else {
                others(fault);
            }
        }));
        let caught = std::panic::catch_unwind(|| panic!("seven is not {}", "even\n::error::x"));
        std::panic::set_hook(Box::new(move |fault| theirs(fault)));
        caught.expect_err("it panicked");
        let failure = told.lock().expect("unlocked").take().expect("the hook heard of it");
        assert_eq!(failure.exit, 1);
        let text = failure.render();
        let version = env!("CARGO_PKG_VERSION");
        assert!(text.starts_with(&format!("error: a fault in Branchline {version} at src/cli/fault.rs:")), "{text}");
        assert!(text.contains(": seven is not even\n"), "{text}");
        assert!(text.contains("\n  -> please report it"), "{text}");
    }
}
