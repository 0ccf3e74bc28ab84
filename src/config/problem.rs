//! Problems of a configuration file, and how they read: place, message, source line, caret, hint.
//!
//! Everything that comes from the file is shown through [`quoted`] or `clean_char`: a configuration file is
//! untrusted text and must not move a terminal's cursor or speak to a CI runner.

use crate::config::route::Route;
use crate::model::text::is_invisible;
use std::fmt;
use unicode_width::UnicodeWidthChar;

/// Columns of a source line that are shown around a problem.
const SHOWN_WIDTH: usize = 100;
/// Columns kept before the caret where a long line is cut.
const KEPT_BEFORE: usize = 40;
/// Characters of foreign text that a message repeats.
const QUOTED_LENGTH: usize = 60;

/// Where something stands: line and column counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
    /// How many characters of that line are meant, at least 1.
    pub width: usize,
    /// The file: 0 is the configuration file itself, then the included ones in their order.
    pub file: usize,
}

impl Place {
    /// Returns the first character of the file.
    pub const START: Self = Self { line: 1, column: 1, width: 1, file: 0 };
}

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong, in one sentence without a period.
    pub message: String,
    /// The next move.
    pub hint: Option<String>,
    /// Which part of the file it speaks of.
    pub route: Route,
}

/// The problems of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblems {
    /// The file, as messages name it.
    pub file: String,
    /// Its whole text.
    pub source: String,
    /// What is wrong, in the order of the file. Never empty.
    pub list: Vec<Problem>,
}

/// Everything that is wrong with a configuration, file by file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The files with problems. Never empty.
    pub files: Vec<FileProblems>,
}

impl Problems {
    /// Counts the problems of all files.
    pub fn count(&self) -> usize {
        self.files.iter().map(|file| file.list.len()).sum()
    }

    /// Returns every problem with the name of its file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Problem)> {
        self.files.iter().flat_map(|file| file.list.iter().map(|problem| (file.file.as_str(), problem)))
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    /// Writes every problem as plain text, one empty line between two, no line end after the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for file in &self.files {
            for problem in &file.list {
                if !first {
                    f.write_str("\n\n")?;
                }
                first = false;
                write_problem(f, file, problem)?;
            }
        }
        Ok(())
    }
}

impl FileProblems {
    /// Collects problems in the order of the file; the same problem is said once.
    pub fn sorted(file: &str, source: &str, mut list: Vec<Problem>) -> Self {
        // Messages of other crates may carry the file's text, so every message is cleaned here once more.
        for problem in &mut list {
            problem.message = clean_text(&problem.message);
            problem.hint = problem.hint.as_deref().map(clean_text);
        }
        list.sort_by_key(|problem| (problem.place.line, problem.place.column));
        list.dedup();
        Self { file: file.to_owned(), source: source.to_owned(), list }
    }
}

fn write_problem(f: &mut fmt::Formatter<'_>, file: &FileProblems, problem: &Problem) -> fmt::Result {
    let place = problem.place;
    write!(f, "{}:{}:{}: {}", clean_text(&file.file), place.line, place.column, problem.message)?;
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    if let Some(line) = source_line(&file.source, place.line) {
        let excerpt = Excerpt::of(line, place);
        write!(f, "\n{margin} |\n{number} | {}", excerpt.text)?;
        write!(f, "\n{margin} | {}{}", " ".repeat(excerpt.before), "^".repeat(excerpt.carets))?;
    }
    if let Some(hint) = &problem.hint {
        write!(f, "\n{margin} = hint: {hint}")?;
    }
    Ok(())
}

fn source_line(source: &str, line: usize) -> Option<&str> {
    let line = source.lines().nth(line.checked_sub(1)?)?;
    (!line.trim().is_empty()).then_some(line)
}

/// The part of a source line that is shown, in display columns.
struct Excerpt {
    text: String,
    before: usize,
    carets: usize,
}

impl Excerpt {
    fn of(line: &str, place: Place) -> Self {
        // One cell per source character: what is shown for it, and how wide that is.
        let cells: Vec<(String, usize)> = line.chars().map(cell).collect();
        let target = place.column.saturating_sub(1).min(cells.len());
        let end = target.saturating_add(place.width).min(cells.len());
        let width = |cells: &[(String, usize)]| cells.iter().map(|(_, width)| width).sum::<usize>();

        let mut start = 0;
        if width(&cells) > SHOWN_WIDTH {
            while start < target && width(&cells[start..target]) > KEPT_BEFORE {
                start += 1;
            }
        }
        let mut stop = start;
        let mut shown = 0;
        while stop < cells.len() && shown + cells[stop].1 <= SHOWN_WIDTH {
            shown += cells[stop].1;
            stop += 1;
        }

        let mut text = String::new();
        let mut before = width(&cells[start..target]);
        if start > 0 {
            text.push('…');
            before += 1;
        }
        text.extend(cells[start..stop].iter().map(|(cell, _)| cell.as_str()));
        if stop < cells.len() {
            text.push('…');
        }
        let carets = width(&cells[target..end.clamp(target, stop.max(target))]).max(1);
        Self { text: text.trim_end().to_owned(), before, carets }
    }
}

fn cell(c: char) -> (String, usize) {
    if c == '\t' {
        return ("    ".to_owned(), 4);
    }
    let c = clean_char(c);
    (c.to_string(), c.width().unwrap_or(1))
}

/// Replaces a character that could act on a terminal or reorder text by a visible stand-in.
fn clean_char(c: char) -> char {
    match c {
        // Bidirectional controls, zero-width characters, line separators and the byte-order mark.
        c if c.is_control() || is_invisible(c) => '\u{fffd}',
        c => c,
    }
}

/// Replaces every character that could act on a terminal.
fn clean_text(text: &str) -> String {
    text.chars().map(clean_char).collect()
}

/// Quotes foreign text for a message: in backticks, on one line, shortened.
pub fn quoted(text: &str) -> String {
    if text.is_empty() {
        return "`\"\"`".to_owned();
    }
    let mut clean: String = text.chars().take(QUOTED_LENGTH).map(clean_char).collect();
    if text.chars().nth(QUOTED_LENGTH).is_some() {
        clean.push('…');
    }
    format!("`{clean}`")
}

/// Returns the nearest of the known words, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Foreign text of any length must not cost more than a name can.
    if word.chars().count() > 2 * QUOTED_LENGTH {
        return None;
    }
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count().min(word.chars().count()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Lists words in backticks: `` `a`, `b` or `c` ``.
pub fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    listed(words, "or")
}

/// Lists words in backticks: `` `a`, `b` and `c` ``.
pub fn all_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    listed(words, "and")
}

fn listed<'a>(words: impl IntoIterator<Item = &'a str>, last: &str) -> String {
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    match words.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::Expect;
    use expect_test::expect;

    fn check(source: &str, line: usize, column: usize, width: usize, expect: Expect) {
        let problem = Problem {
            place: Place { line, column, width, file: 0 },
            message: "something is wrong".to_owned(),
            hint: Some("do this".to_owned()),
            route: Route::root(),
        };
        let problems = Problems { files: vec![FileProblems::sorted("branchline.yaml", source, vec![problem])] };
        expect.assert_eq(&problems.to_string());
    }

    #[test]
    fn the_caret_stands_under_the_word() {
        check(
            "a: 1\nprojct: x\n",
            2,
            1,
            6,
            expect![[r#"
                branchline.yaml:2:1: something is wrong
                  |
                2 | projct: x
                  | ^^^^^^
                  = hint: do this"#]],
        );
    }

    #[test]
    fn tabs_and_wide_characters_move_the_caret() {
        check(
            "\t日本: x\n",
            1,
            6,
            1,
            expect![[r#"
                branchline.yaml:1:6: something is wrong
                  |
                1 |     日本: x
                  |           ^
                  = hint: do this"#]],
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let line = format!("{}HERE{}", "a".repeat(300), "b".repeat(300));
        check(
            &line,
            1,
            301,
            4,
            expect![[r#"
                branchline.yaml:1:301: something is wrong
                  |
                1 | …aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaHEREbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…
                  |                                          ^^^^
                  = hint: do this"#]],
        );
    }

    #[test]
    fn text_from_the_file_cannot_act_on_a_terminal() {
        check(
            "a\u{1b}[2Jb\u{202e}: 1",
            1,
            2,
            1,
            expect![[r#"
                branchline.yaml:1:2: something is wrong
                  |
                1 | a�[2Jb�: 1
                  |  ^
                  = hint: do this"#]],
        );
        assert_eq!(quoted("a\nb"), "`a\u{fffd}b`");
        assert_eq!(quoted(&"x".repeat(80)), format!("`{}…`", "x".repeat(60)));
    }

    #[test]
    fn places_outside_the_text_are_still_said() {
        check(
            "",
            7,
            9,
            3,
            expect![[r#"
                branchline.yaml:7:9: something is wrong
                  = hint: do this"#]],
        );
    }

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(nearest("hyperparamters", ["data", "hyperparameters"]), Some("hyperparameters"));
        assert_eq!(nearest("Gates", ["gates", "paths"]), Some("gates"));
        assert_eq!(nearest("zebra", ["data", "hyperparameters"]), None);
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
