//! Foreign text in Markdown as GitHub renders it: no markup, no HTML, no link, nobody called.
//!
//! Hosts look for people, issues, addresses and emoji in the *finished* text, where no backslash helps: a
//! character without width comes in between. Rules: the GitHub Flavored Markdown specification, and "Autolinked
//! references and URLs" in GitHub's documentation. Deliberately absent: autolinks that a repository's owner defines
//! (`JIRA-1`): only they know those.

use crate::report::terminal::plain;

/// Comes between what a host would join to a link. It has no width, and is no part of any name.
const BREAK: char = '\u{200b}';

/// Writes foreign text for a cell of a Markdown table: one line, no markup, no link to a person or an issue.
pub fn markdown_cell(text: &str) -> String {
    inline(&plain(text))
}

/// Writes foreign text for a line of Markdown, also at its start: like [`markdown_cell`], and it begins no heading,
/// list or quotation.
pub fn markdown_text(text: &str) -> String {
    let text = plain(text);
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if text.starts_with(['-', '+', '=']) {
        format!("\\{}", inline(text))
    } else if digits > 0 && begins_item(&text[digits..]) {
        format!("{}\\{}", inline(&text[..digits]), inline(&text[digits..]))
    } else {
        inline(text)
    }
}

/// Tells whether what follows digits makes them the number of a list's item.
fn begins_item(text: &str) -> bool {
    text.strip_prefix(['.', ')']).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

fn inline(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    // Digits that could be a commit stay whole, so that names can be copied: a host links only commits of this very
    // repository.
    for (at, c) in text.char_indices() {
        let (before, rest) = (&text[..at], &text[at..]);
        match c {
            // Between letters or digits it is no markup, and the name stays as it is.
            '_' if before.ends_with(char::is_alphanumeric) && rest[1..].starts_with(char::is_alphanumeric) => {
                safe.push(c);
            }
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '$' => {
                safe.push('\\');
                safe.push(c);
            }
            '@' | '#' => {
                safe.push(c);
                safe.push(BREAK);
            }
            ':' => {
                safe.push(c);
                if rest.starts_with("://") || begins_emoji(rest) {
                    safe.push(BREAK);
                }
            }
            '.' if ends_with_ignoring_case(before, "www") => {
                safe.push(BREAK);
                safe.push(c);
            }
            '-' if ends_with_ignoring_case(before, "gh") && rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                safe.push(c);
                safe.push(BREAK);
            }
            plain => safe.push(plain),
        }
    }
    safe
}

/// Tells whether text that starts with `:` starts with `:name:`. Two digits are a time of day, not an emoji.
fn begins_emoji(text: &str) -> bool {
    let Some((name, _)) = text[1..].split_once(':') else { return false };
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-'));
    is_name && !(name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_digit()))
}

fn ends_with_ignoring_case(text: &str, end: &str) -> bool {
    text.len().checked_sub(end.len()).and_then(|at| text.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// Writes foreign text as code, whatever backticks it holds. Not for cells of a table: see [`code_cell`].
pub fn code_span(text: &str) -> String {
    let text = hidden_marks_broken(&plain(text));
    if text.trim().is_empty() {
        return "` `".to_owned();
    }
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    let padded = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let pad = if padded { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Writes foreign text as code in a cell of a table. A `|` cannot be told apart from a border inside of code by every
/// renderer, so that text which holds one is written as plain text.
pub fn code_cell(text: &str) -> String {
    if text.contains('|') { markdown_cell(text) } else { code_span(text) }
}

/// Writes foreign lines as a block of code. `language` is a word of ours, such as `mermaid`, or empty.
pub fn code_block(text: &str, language: &str) -> String {
    let lines: Vec<String> =
        text.lines().map(|line| hidden_marks_broken(&plain(&line.replace('\t', "    ")))).collect();
    let longest = lines.iter().map(|line| longest_run(line, '`')).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}\n", lines.join("\n"))
}

/// Inside of code a `<` cannot be escaped. Nothing there shall look like one of our own hidden marks.
fn hidden_marks_broken(text: &str) -> String {
    text.replace("<!--", &format!("<{BREAK}!--"))
}

fn longest_run(text: &str, of: char) -> usize {
    let (mut longest, mut now) = (0, 0);
    for c in text.chars() {
        now = if c == of { now + 1 } else { 0 };
        longest = longest.max(now);
    }
    longest
}

/// Writes an address for the brackets of a link, or `None` where it is not `http` or `https`.
pub fn link_target(url: &str) -> Option<String> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase())?;
    if scheme != "https" && scheme != "http" {
        return None;
    }
    let mut safe = String::with_capacity(url.len());
    for c in url.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            'a'..='z' | 'A'..='Z' | '0'..='9' => safe.push(c),
            '-' | '.' | '_' | '~' | ':' | '/' | '?' | '#' | '@' | '!' | '+' | ',' | ';' | '=' | '%' => safe.push(c),
            other => {
                let mut bytes = [0; 4];
                for byte in other.encode_utf8(&mut bytes).bytes() {
                    safe.push_str(&format!("%{byte:02X}"));
                }
            }
        }
    }
    Some(safe)
}

/// Writes a link with foreign text, or only the text where the address is not `http` or `https`.
pub fn link(text: &str, url: &str) -> String {
    match link_target(url) {
        Some(target) => format!("[{}]({target})", markdown_cell(text)),
        None => markdown_cell(text),
    }
}

/// Writes foreign text for the inside of a hidden comment (`<!-- here -->`), so that it cannot end it. Two different
/// texts stay different.
pub fn comment_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let kept = c.is_ascii_alphanumeric()
            || matches!(c, ' ' | '.' | '_' | '/' | '=' | ':' | ',')
            || (c == '-' && !safe.ends_with('-'));
        if kept {
            safe.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                safe.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_stays_text() {
        assert_eq!(markdown_cell("| `x` <img src=y> @ada #7"), "\\| \\`x\\` &lt;img src=y&gt; @\u{200b}ada #\u{200b}7");
        assert_eq!(markdown_cell("[a](b) **c**"), "\\[a\\](b) \\*\\*c\\*\\*");
        assert!(!markdown_cell("a\n\n# b").contains('\n'));
    }

    #[test]
    fn nothing_becomes_a_link() {
        assert_eq!(markdown_cell("a/b#1 GH-2"), "a/b#\u{200b}1 GH-\u{200b}2");
        assert_eq!(markdown_cell("https://x.y WWW.x.y"), "https:\u{200b}//x.y WWW\u{200b}.x.y");
        assert_eq!(markdown_cell(":x: :+1: at 12:30:45"), ":\u{200b}x: :\u{200b}+1: at 12:30:45");
    }

    #[test]
    fn what_people_copy_stays_whole() {
        for text in [
            "1a2b3c4",
            "0123456789abcdef0123456789abcdef01234567",
            "12345678",
            "loss 1234567",
            "v12",
            "a-b.c",
            "training churn-dev-939db766800d-1",
            "see deadbeef1.",
            "my_model_v2-dev",
            "gh-pages",
            "a1a2a3a4a5a6a7 x",
        ] {
            assert_eq!(markdown_cell(text), text);
        }
        assert_eq!(markdown_cell("_a_ __b__ a_"), "\\_a\\_ \\_\\_b\\_\\_ a\\_");
    }

    #[test]
    fn a_line_begins_nothing() {
        assert_eq!(markdown_text("- a"), "\\- a");
        assert_eq!(markdown_text("+ a"), "\\+ a");
        assert_eq!(markdown_text("==="), "\\===");
        assert_eq!(markdown_text("12. a"), "12\\. a");
        assert_eq!(markdown_text("3) a"), "3\\) a");
        assert_eq!(markdown_text("      code"), "code");
        assert_eq!(markdown_text("0.87"), "0.87");
        assert!(!markdown_text("# a").starts_with("# "));
    }

    #[test]
    fn code_keeps_its_backticks() {
        assert_eq!(code_span("a"), "`a`");
        assert_eq!(code_span("a`b"), "``a`b``");
        assert_eq!(code_span("``a`"), "``` ``a` ```");
        assert_eq!(code_span(" "), "` `");
        assert_eq!(code_cell("a|b"), "a\\|b");
        assert_eq!(code_block("a\n```\n# b", "text"), "````text\na\n```\n# b\n````\n");
        assert!(!code_span("<!-- x").contains("<!--"));
    }

    #[test]
    fn a_link_goes_where_it_says() {
        assert_eq!(link("a]b", "https://x.y/a(b) c|d?e&f"), "[a\\]b](https://x.y/a%28b%29%20c%7Cd?e&amp;f)");
        for url in ["javascript:alert(1)", "data:text/html,x", "//x.y", "x", "javascript://x"] {
            assert_eq!(link("a", url), "a");
        }
    }

    #[test]
    fn a_comment_is_not_ended_from_inside() {
        assert_eq!(comment_text("model-a --> <b>"), "model-a -%2D%3E %3Cb%3E");
        assert_ne!(comment_text("a%2D"), comment_text("a-"));
    }
}
