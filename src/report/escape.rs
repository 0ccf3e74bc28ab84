//! Foreign text in documents that others open: spreadsheets and Markdown pages.
//!
//! Deliberately absent: the terminal, whose rule is `terminal::plain`.

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

/// Writes foreign text for a cell of a Markdown table: no markup, no link to a person or an issue.
pub fn markdown_cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '$' => {
                safe.push('\\');
                safe.push(c);
            }
            // Hosts look for people and issues in the finished text, so that no escape helps: a character without
            // width comes in between.
            '@' | '#' => {
                safe.push(c);
                safe.push('\u{200b}');
            }
            plain => safe.push(plain),
        }
    }
    safe
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

    #[test]
    fn markdown_stays_text() {
        assert_eq!(markdown_cell("| `x` <img src=y> @ada #7"), "\\| \\`x\\` &lt;img src=y&gt; @\u{200b}ada #\u{200b}7");
        assert_eq!(markdown_cell("[a](b) **c**"), "\\[a\\](b) \\*\\*c\\*\\*");
        assert!(!markdown_cell("a\n\n# b").contains('\n'));
    }
}
