//! Texts cut to what their place takes, so that a long report is shortened and never refused.
//!
//! Hosts say "characters" and mean different things by it. A document is measured in bytes of UTF-8, which are never
//! fewer than characters or UTF-16 units: what fits here fits there. One line is measured in UTF-16 units, because
//! 140 bytes would be very little in some languages. Deliberately absent: any wish to fill a place to the last byte.

use crate::report::escape::link_target;
use std::collections::BTreeSet;

/// How a place counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Bytes of UTF-8.
    Bytes,
    /// UTF-16 units: what GitHub's own front end and the .NET runner count.
    Utf16,
    /// Bytes of UTF-16: how GitHub adds up outputs.
    Utf16Bytes,
}

/// What a place takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// How much.
    pub size: usize,
    /// Of what.
    pub unit: Unit,
}

/// Summary and text of a check run, each.
pub const CHECK_TEXT: Limit = Limit { size: 65_535, unit: Unit::Bytes };
/// A comment.
pub const COMMENT: Limit = Limit { size: 65_536, unit: Unit::Bytes };
/// The description of a commit status.
pub const STATUS_DESCRIPTION: Limit = Limit { size: 140, unit: Unit::Utf16 };
/// The description of a deployment status.
pub const DEPLOYMENT_DESCRIPTION: Limit = Limit { size: 140, unit: Unit::Utf16 };
/// The title of an annotation of a check run.
pub const ANNOTATION_TITLE: Limit = Limit { size: 255, unit: Unit::Utf16 };
/// The message of an annotation of a check run.
pub const ANNOTATION_MESSAGE: Limit = Limit { size: 64 * 1024, unit: Unit::Bytes };
/// The summary of one step: the size of its file. A larger one is dropped whole by the runner.
pub const STEP_SUMMARY: Limit = Limit { size: 1024 * 1024, unit: Unit::Bytes };
/// All outputs of one job.
pub const OUTPUTS: Limit = Limit { size: 1_000_000, unit: Unit::Utf16Bytes };

impl Limit {
    /// Measures a text the way the place does.
    pub fn measure(&self, text: &str) -> usize {
        match self.unit {
            Unit::Bytes => text.len(),
            Unit::Utf16 => text.encode_utf16().count(),
            Unit::Utf16Bytes => text.encode_utf16().count() * 2,
        }
    }

    /// Tells whether the text may stay as it is.
    pub fn fits(&self, text: &str) -> bool {
        self.measure(text) <= self.size
    }

    /// Returns the longest beginning that fits, whole characters only.
    fn beginning<'a>(&self, text: &'a str) -> &'a str {
        let mut size = 0;
        for (at, c) in text.char_indices() {
            size += match self.unit {
                Unit::Bytes => c.len_utf8(),
                Unit::Utf16 => c.len_utf16(),
                Unit::Utf16Bytes => c.len_utf16() * 2,
            };
            if size > self.size {
                return &text[..at];
            }
        }
        text
    }
}

/// Cuts one line of plain text between two words, so that no name is shown in half. What was cut ends with ` …`.
pub fn line(text: &str, limit: Limit) -> String {
    if limit.fits(text) {
        return text.to_owned();
    }
    let mark = " …";
    let room = Limit { size: limit.size.saturating_sub(limit.measure(mark)), ..limit };
    let beginning = room.beginning(text);
    let in_a_word = !text[beginning.len()..].starts_with(char::is_whitespace);
    let words = beginning.rsplit_once(char::is_whitespace).filter(|_| in_a_word);
    let kept = words.map_or(beginning, |(whole, _)| whole).trim_end();
    if limit.fits(mark) { format!("{kept}{mark}") } else { String::new() }
}

/// A part of a document that is kept or left out as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it is called where it is left out: `the chart`.
    pub name: String,
    /// 0 is never left out; otherwise the highest number goes first.
    pub rank: u8,
    /// Its Markdown.
    pub text: String,
}

impl Section {
    /// Makes one.
    pub fn new(name: impl Into<String>, rank: u8, text: impl Into<String>) -> Self {
        Self { name: name.into(), rank, text: text.into() }
    }
}

/// Joins sections into a document that fits. Whole sections go first, least important first (of equals, the later
/// one); only when none but the indispensable are left is text cut. A sentence says what is missing, with a link to
/// the full report where there is one.
pub fn document(sections: &[Section], limit: Limit, full: Option<&str>) -> String {
    let mut left_out = BTreeSet::new();
    loop {
        let text = joined(sections, &left_out, full);
        if limit.fits(&text) {
            return text;
        }
        let next = (0..sections.len())
            .filter(|at| sections[*at].rank > 0 && !left_out.contains(at))
            .max_by_key(|at| (sections[*at].rank, *at));
        match next {
            Some(at) => left_out.insert(at),
            None => return markdown(&text, limit, full),
        };
    }
}

fn joined(sections: &[Section], left_out: &BTreeSet<usize>, full: Option<&str>) -> String {
    let kept: Vec<&str> = sections
        .iter()
        .enumerate()
        .filter(|(at, section)| !left_out.contains(at) && !section.text.trim().is_empty())
        .map(|(_, section)| section.text.trim_matches('\n'))
        .collect();
    let mut text = kept.join("\n\n");
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().map(|at| sections[*at].name.as_str()).collect();
        text.push_str(&format!("\n\n_Left out here for length: {}{}._", names.join(", "), elsewhere(full)));
    }
    text.push('\n');
    text
}

fn elsewhere(full: Option<&str>) -> String {
    full.and_then(link_target).map_or_else(String::new, |target| format!("; see [the full report]({target})"))
}

/// Cuts a Markdown text at the end of a line, closes what is open there, and says how much is missing.
///
/// Text that fits is returned untouched. A table loses rows from its end and never its head alone. Only where not
/// even one line fits is a line cut. The result never exceeds the limit; a limit too small for the sentence gives the
/// beginning alone, or nothing.
pub fn markdown(text: &str, limit: Limit, full: Option<&str>) -> String {
    if limit.fits(text) {
        return text.to_owned();
    }
    let all = limit.measure(text);
    // The longest that the sentence can be: nothing is kept.
    let longest_notice = limit.measure(&notice(all, all, full));
    let mut open = Open::default();
    let (mut best, mut size, mut end) = (None, 0, 0);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (at, line) in lines.iter().enumerate() {
        size += limit.measure(line);
        end += line.len();
        if size > limit.size {
            break;
        }
        open.pass(line);
        let begins_table = open.is_plain() && is_table_head(line, lines.get(at + 1));
        let is_bare_head = open.is_plain() && at > 0 && is_table_head(lines[at - 1], Some(line));
        if begins_table || is_bare_head {
            continue;
        }
        // A line may end without its break only where the text ends, which is not reached.
        if size + limit.measure(&open.closing()) + longest_notice <= limit.size {
            best = Some((end, open.clone()));
        }
    }
    if let Some((end, open)) = best {
        let kept = &text[..end];
        let missing = all - limit.measure(kept);
        return format!("{kept}{}{}", open.closing(), notice(missing, all, full));
    }
    // Not one line fits with what it needs. A first line that opens something is no use without the rest.
    let first = lines.first().map_or("", |line| line.trim_end_matches('\n'));
    let mut state = Open::default();
    state.pass(first);
    let room = Limit { size: limit.size.saturating_sub(longest_notice), ..limit };
    let kept = if state.is_plain() && !first.contains(['<', '|']) { room.beginning(first).trim_end() } else { "" };
    let cut = format!("{kept}{}", notice(all - limit.measure(kept), all, full));
    if limit.fits(&cut) { cut.trim_start_matches('\n').to_owned() } else { String::new() }
}

fn notice(missing: usize, all: usize, full: Option<&str>) -> String {
    format!("\n\n_Cut here: {missing} of {all} bytes are missing{}._\n", elsewhere(full))
}

fn is_table_head(line: &str, next: Option<&&str>) -> bool {
    let delimiter = |line: &str| {
        let line = line.trim();
        line.contains('-') && line.contains('|') && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '))
    };
    line.contains('|') && !delimiter(line) && next.is_some_and(|next| delimiter(next))
}

/// What is open at the end of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Open {
    fence: Option<(char, usize)>,
    comment: bool,
    details: usize,
}

impl Open {
    fn is_plain(&self) -> bool {
        self.fence.is_none() && !self.comment
    }

    fn pass(&mut self, line: &str) {
        let trimmed = line.trim();
        if let Some((mark, length)) = self.fence {
            let run = trimmed.len() - trimmed.trim_start_matches(mark).len();
            if run >= length && run == trimmed.len() {
                self.fence = None;
            }
            return;
        }
        if !self.comment {
            for mark in ['`', '~'] {
                let run = trimmed.len() - trimmed.trim_start_matches(mark).len();
                // A backtick after the opening ones makes it a span of code.
                if run >= 3 && !(mark == '`' && trimmed[run..].contains('`')) {
                    self.fence = Some((mark, run));
                    return;
                }
            }
        }
        self.pass_html(line);
    }

    fn pass_html(&mut self, line: &str) {
        let mut rest = line;
        while let Some(at) = rest.find(if self.comment { "-->" } else { "<" }) {
            rest = &rest[at..];
            let skip = if self.comment {
                self.comment = false;
                3
            } else if rest.starts_with("<!--") {
                self.comment = true;
                4
            } else if starts_with_ignoring_case(rest, "</details") {
                self.details = self.details.saturating_sub(1);
                9
            } else if starts_with_ignoring_case(rest, "<details") {
                self.details += 1;
                8
            } else {
                1
            };
            rest = &rest[skip..];
        }
    }

    fn closing(&self) -> String {
        let mut text = String::new();
        if let Some((mark, length)) = self.fence {
            text.push_str(&format!("{}\n", mark.to_string().repeat(length)));
        }
        if self.comment {
            text.push_str("-->\n");
        }
        text.push_str(&"\n</details>\n".repeat(self.details));
        text
    }
}

fn starts_with_ignoring_case(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(size: usize) -> Limit {
        Limit { size, unit: Unit::Bytes }
    }

    #[test]
    fn a_line_is_cut_at_a_character() {
        assert_eq!(line("short", STATUS_DESCRIPTION), "short");
        let cut = line(&"🦀".repeat(100), STATUS_DESCRIPTION);
        assert_eq!((cut.chars().count(), STATUS_DESCRIPTION.measure(&cut)), (71, 140));
        assert!(cut.ends_with('…'));
        let tight = Limit { size: 20, unit: Unit::Utf16 };
        assert_eq!(line("promoting churn-with-a-long-name v3", tight), "promoting …");
        assert_eq!(line("promoting churn v3 to production", tight), "promoting churn v3 …");
        assert_eq!(line("abc", Limit { size: 0, unit: Unit::Utf16 }), "");
    }

    #[test]
    fn a_table_keeps_its_head_and_loses_rows() {
        let rows: String = (0..100).map(|row| format!("| {row} | x |\n")).collect();
        let text = format!("Answer.\n\n| a | b |\n|---|---|\n{rows}");
        let cut = markdown(&text, bytes(300), Some("https://x.y/run"));
        assert!(cut.starts_with("Answer.\n\n| a | b |\n|---|---|\n| 0 | x |\n"), "{cut}");
        assert!(cut.contains("of 1119 bytes are missing; see [the full report](https://x.y/run)._"), "{cut}");
        // Where no row fits, the head goes too.
        let cut = markdown(&text, bytes(120), Some("https://x.y/run"));
        assert!(cut.starts_with("Answer.\n\n\n\n_Cut here"), "{cut}");
    }

    #[test]
    fn what_is_open_is_closed() {
        let body = "line\n".repeat(100);
        for (head, tail) in [
            ("````text\n", "\n````\n"),
            ("<details><summary>Log</summary>\n\n~~~\n", "\n~~~\n\n</details>\n"),
            ("<!-- hidden\n", "\n-->\n"),
            ("<DETAILS>\n<details>\n", "\n\n</details>\n\n</details>\n"),
        ] {
            let cut = markdown(&format!("{head}{body}"), bytes(250), None);
            let (kept, notice) = cut.split_once("\n\n_Cut here").expect("a notice");
            assert!(kept.trim_end().ends_with(tail.trim()), "{cut}");
            assert!(notice.contains("bytes are missing._"), "{cut}");
        }
    }

    #[test]
    fn sections_go_before_text_is_cut() {
        let sections = [
            Section::new("the answer", 0, "Answer."),
            Section::new("the chart", 2, "c".repeat(100)),
            Section::new("the table", 1, "t".repeat(100)),
            Section::new("the plan", 2, "p".repeat(100)),
        ];
        let all = document(&sections, bytes(10_000), None);
        assert!(!all.contains("Left out") && all.ends_with("p\n"));
        let some = document(&sections, bytes(300), Some("https://x.y"));
        assert!(some.contains("ccc") && some.contains("ttt") && !some.contains("ppp"), "{some}");
        assert!(some.contains("_Left out here for length: the plan; see [the full report](https://x.y)._"), "{some}");
        let few = document(&sections, bytes(220), Some("https://x.y"));
        assert!(few.contains("Answer.") && few.contains("the chart, the plan;"), "{few}");
        assert!(few.contains("ttt") || few.contains("the table"), "{few}");
    }

    #[test]
    fn one_endless_line_is_cut_inside() {
        let cut = markdown(&"é".repeat(1_000), bytes(200), None);
        assert!(cut.starts_with("ééé") && cut.contains("_Cut here"), "{cut}");
        assert_eq!(markdown(&format!("<b>{}", "é".repeat(1_000)), bytes(200), None).matches('é').count(), 0);
    }
}
