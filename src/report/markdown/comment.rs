//! The comment of a pull request: one, kept current. Its hidden mark is the sender's.

use crate::outcome::Outcome;
use crate::report::limit::COMMENT;
use crate::report::limit::Limit;
use crate::report::markdown::Context;
use crate::report::markdown::sections;

/// Kept free for the hidden mark that the sender puts before it.
const MARK: usize = 512;

/// Writes the comment, at most as long as a comment may be, with room for a hidden mark of 512 bytes.
pub fn comment(outcome: &Outcome, context: &Context) -> String {
    let room = Limit { size: COMMENT.size - MARK, ..COMMENT };
    sections::fitted(&sections::report(outcome, context, true), room, context.run_url.as_deref())
}
