//! Foreign text in documents that others open: spreadsheets, Markdown pages and charts.
//!
//! Deliberately absent: the terminal, whose rule is `terminal::plain`, and the CI log, whose rule is the runner's.

mod markdown;
mod mermaid;

pub use markdown::code_block;
pub use markdown::code_cell;
pub use markdown::code_span;
pub use markdown::comment_text;
pub use markdown::link;
pub use markdown::link_target;
pub use markdown::markdown_cell;
pub use markdown::markdown_text;
pub use mermaid::CHART_TEXT_LIMIT;
pub use mermaid::chart_number;
pub use mermaid::chart_text;

use crate::report::terminal::plain;

/// Characters with which a spreadsheet takes a cell for a formula, also in their wide forms.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Writes one cell of a CSV file (RFC 4180). Text that a spreadsheet would run as a formula gets a leading `'`,
/// as OWASP's "CSV injection" page advises.
pub fn csv_cell(text: &str) -> String {
    let text = plain(text);
    let safe = if text.trim_start().starts_with(FORMULA) { format!("'{text}") } else { text };
    if safe.contains([',', '"', ';']) { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_runs_nothing() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "＝1"] {
            assert!(csv_cell(text).trim_start_matches('"').starts_with('\''), "{text}");
        }
        assert_eq!(csv_cell("\t=cmd|'/c calc'!A1"), "\u{fffd}=cmd|'/c calc'!A1");
        assert_eq!(csv_cell("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(csv_cell("two\nlines"), "two\u{fffd}lines");
        assert_eq!(csv_cell("plain"), "plain");
    }
}
