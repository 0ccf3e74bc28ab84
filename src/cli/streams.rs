//! Standard output and standard error: every line that a command prints goes through here.
//!
//! The one exception is `adapters::runner::Console`, which gives the runner commands of its own. In a step of GitHub
//! Actions the runner reads both streams for commands, so untrusted text is made neutral there, whichever command
//! printed it. Elsewhere text passes as it is; styles are stripped where the stream is no terminal.

use crate::adapters::runner::neutral;
use crate::cli::env_vars;
use crate::model::text::is_invisible;
use crate::report::terminal::plain;
use std::io;
use std::io::Write as _;

/// Writes text to standard output.
pub fn out(text: &str) -> io::Result<()> {
    anstream::stdout().write_all(fit(text, in_runner()).as_bytes())
}

/// Writes a JSON document to standard output.
pub fn out_json(document: &str) -> io::Result<()> {
    let text = if in_runner() { neutral_json(document) } else { document.to_owned() };
    anstream::stdout().write_all(text.as_bytes())
}

/// Writes text to standard error. Where that fails, there is nowhere left to say so.
pub fn err(text: &str) {
    drop(anstream::stderr().write_all(fit(text, in_runner()).as_bytes()));
}

/// Tells whether a runner of GitHub reads what is printed.
fn in_runner() -> bool {
    env_vars::get(env_vars::GITHUB_ACTIONS).is_some_and(|value| value == "true")
}

fn fit(text: &str, runner: bool) -> String {
    if !runner {
        return text.to_owned();
    }
    // A style at the start of a line would hide a command that stands behind it.
    let text = anstream::adapter::strip_str(text).to_string();
    text.split_inclusive('\n').map(neutral_line).collect()
}

fn neutral_line(line: &str) -> String {
    match line.strip_suffix('\n') {
        Some(line) => neutral(&seen(line.strip_suffix('\r').unwrap_or(line))) + "\n",
        None => neutral(&seen(line)),
    }
}

/// Shows what cannot be seen as its escape. A tab stays, and a carriage return becomes a space with what is neutral.
fn seen(line: &str) -> String {
    line.split_inclusive(['\t', '\r'])
        .map(|part| match part.char_indices().next_back() {
            Some((at, end @ ('\t' | '\r'))) => format!("{}{end}", plain(&part[..at])),
            Some(_) | None => plain(part),
        })
        .collect()
}

/// The same document: what the runner could read as a command can only stand inside of a string, where JSON has escapes.
fn neutral_json(document: &str) -> String {
    let mut text = String::with_capacity(document.len());
    let mut characters = document.chars().peekable();
    while let Some(c) = characters.next() {
        let in_a_word = characters.peek().is_none_or(|next| next.is_ascii_alphanumeric() || matches!(next, ' ' | '"'));
        match c {
            '#' if !in_a_word => text.push_str("\\u0023"),
            c if (c.is_control() || is_invisible(c)) && c != '\n' => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_runner_s_log_is_a_command() {
        for (printed, shown) in [
            ("error: x\n::error::boom\n", "error: x\n\\::error::boom\n"),
            ("\u{1b}[1m::add-mask::x\u{1b}[0m\n", "\\::add-mask::x\n"),
            ("a ##[set-output name=verdict]passed", "a ##\\[set-output name=verdict]passed"),
            ("a\r\n::warning::b\r::stop-commands::c\n", "a\n\\::warning::b ::stop-commands::c\n"),
            ("plain  text\n\n", "plain  text\n\n"),
            ("a\tb\u{202e}c\u{200b}\n", "a\tb\\u{202e}c\\u{200b}\n"),
        ] {
            assert_eq!(fit(printed, true), shown);
            assert_eq!(fit(printed, false), printed);
        }
    }

    #[test]
    fn a_document_stays_the_same_document() {
        let value = serde_json::json!({ "##[error]": "a\u{202e}b ##\u{200b}[group]\u{e0041}", "list": [1, 2] });
        let document = serde_json::to_string_pretty(&value).expect("JSON");
        let shown = neutral_json(&document);
        assert!(!shown.contains("##") && !shown.contains('\u{202e}') && !shown.contains('\u{200b}'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }
}
