//! `explain`: what a code means, why it comes, and what to do.

use crate::cli::args::Format;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::cli::print_json;
use crate::report::explain;
use crate::report::explain::ExplainJson;
use crate::report::terminal::plain;

/// Explains one code, or lists all.
pub fn explain(code: Option<&str>, format: Format) -> Result<u8, Failure> {
    let Some(code) = code else {
        return match format {
            Format::Text => print(&explain::list()),
            Format::Json => print_json(&ExplainJson::of(explain::all().collect())),
        };
    };
    let found = explain::find(code);
    if found.is_empty() {
        let failure = Failure::usage(format!("there is no code `{}`", plain(code)));
        return Err(match explain::nearest(code) {
            Some(near) => failure.hint(format!("did you mean {near}? branchline explain {near}")),
            None => failure.hint("all codes: branchline explain"),
        });
    }
    match format {
        Format::Text => print(&explain::text(&found)),
        Format::Json => print_json(&ExplainJson::of(found)),
    }
}
