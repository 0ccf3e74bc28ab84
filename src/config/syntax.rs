//! What a person meant when YAML itself could not be read: the common slips, each with its way out.
//!
//! The parser's own message is the fallback. Where it is replaced, the text is looked at, never the wording
//! of the parser alone.

use crate::config::problem::Place;
use crate::config::problem::Problem;
use crate::config::problem::quoted;
use crate::config::route::Route;
use crate::config::tree::TEXT_LIMIT;
use saphyr_parser::Marker;
use saphyr_parser::ScanError;

/// Says what is wrong with a text before it is parsed at all.
pub fn before_parsing(text: &str) -> Option<Problem> {
    if text.len() > TEXT_LIMIT {
        return Some(problem(
            Place::START,
            format!("the file has {} bytes, and at most {TEXT_LIMIT} are read", text.len()),
            Some("is this the right file?"),
        ));
    }
    if text.starts_with('\u{feff}') {
        return Some(problem(
            Place::START,
            "the file begins with a byte-order mark, which is not part of YAML text",
            Some("save the file as UTF-8 without a byte-order mark (BOM)"),
        ));
    }
    if text.trim().is_empty() {
        return Some(empty());
    }
    for (index, line) in text.lines().enumerate() {
        let found = line.chars().enumerate().find(|(_, c)| (c.is_control() && *c != '\t') || *c == '\u{feff}');
        if let Some((column, c)) = found {
            return Some(problem(
                Place { line: index + 1, column: column + 1, width: 1, file: 0 },
                format!("the control character U+{:04X} cannot stand in this file", u32::from(c)),
                Some("remove it; inside double quotes it can be written as an escape, such as `\\x1b`"),
            ));
        }
    }
    None
}

/// Says that there is nothing in the file.
pub fn empty() -> Problem {
    problem(
        Place::START,
        "the file is empty",
        Some("`branchline init` writes a first one; the least is `version`, `project` and one model"),
    )
}

/// Says that a value carries a tag. Nearly always it is text that begins with `!`, such as a branch pattern:
/// that word is returned too.
pub fn tag(text: &str, value: Place, route: Route) -> (Problem, String) {
    let line = text.lines().nth(value.line.saturating_sub(1)).unwrap_or_default();
    let chars: Vec<char> = line.chars().collect();
    // The parser places some tagged values at the tag and others behind it.
    let from = chars.iter().take(value.column).rposition(|c| *c == '!').unwrap_or(0);
    let from = if from > 0 && chars.get(from - 1) == Some(&'!') { from - 1 } else { from };
    let word: String = chars[from.min(chars.len())..]
        .iter()
        .take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}'))
        .collect();
    let place = Place { line: value.line, column: from + 1, width: word.chars().count().max(1), file: 0 };
    let problem = Problem {
        place,
        message: format!(
            "{} is read as a YAML tag because it begins with `!`, and tags are not used here",
            quoted(&word)
        ),
        hint: Some(format!("if it is text, quote it: {}", quoted(&format!("\"{word}\"")))),
        route,
    };
    (problem, word)
}

/// Explains why the text could not be parsed on.
pub fn explain(text: &str, last: Marker, error: &ScanError) -> Problem {
    let mark = *error.marker();
    let place = Place { line: mark.line().max(1), column: mark.col() + 1, width: 1, file: 0 };
    let lines: Vec<&str> = text.lines().collect();
    let line = lines.get(place.line - 1).copied().unwrap_or_default();

    // The tab is often one line above or below the place where the parser gave up.
    let first = last.line().clamp(1, place.line);
    for number in (first..=place.line + 1).rev() {
        if let Some(tab) = lines.get(number - 1).and_then(|line| tab_indentation(line)) {
            return problem(
                Place { line: number, column: tab + 1, width: 1, file: 0 },
                "this line is indented with a tab, and YAML knows only spaces",
                Some("replace the tab by spaces; most editors do it with \"convert indentation to spaces\""),
            );
        }
    }

    let word: String = line
        .chars()
        .skip(place.column - 1)
        .take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}'))
        .collect();
    let info = error.info();
    if word.starts_with('*') {
        return problem(
            Place { width: word.chars().count(), ..place },
            format!("{} is read as a YAML reference because it begins with `*`", quoted(&word)),
            Some(&format!("quote it: {}", quoted(&format!("\"{word}\"")))),
        );
    }
    // Alone, or before a glob with a flow character in it, the star is not even a reference.
    if let Some(star) = lone_star(line) {
        return problem(
            Place { line: place.line, column: star + 1, width: 1, file: 0 },
            "text that begins with `*` is read as a YAML reference",
            Some("quote it, as in `\"*.py\"`"),
        );
    }
    if let Some(start) = word.chars().next().filter(|c| matches!(c, '@' | '`' | '%' | '&' | '|' | '>')) {
        return problem(
            place,
            format!("text cannot begin with `{start}` without quotes"),
            Some("quote the whole value: `\"…\"`"),
        );
    }
    if let Some((number, line)) = key_without_colon(&lines, place.line).filter(|_| info.contains("mapping values")) {
        let indentation = line.chars().take_while(|c| c.is_whitespace()).count();
        let key: String = line.trim_start().chars().take_while(|c| !c.is_whitespace()).collect();
        return problem(
            Place { line: number, column: indentation + 1, width: key.chars().count().max(1), file: 0 },
            format!("there is no `:` after {}", quoted(&key)),
            Some(&format!("write {}", quoted(&format!("{key}: …")))),
        );
    }
    if info.contains("escape") {
        return problem(
            place,
            "a backslash inside double quotes begins an escape, and this is not one",
            Some("in single quotes a backslash is a backslash: `'loss=(\\d+)'`"),
        );
    }
    if info.contains("mapping values are not allowed") || line.matches(": ").count() > 1 && info.contains("mapping") {
        return problem(
            place,
            "a `: ` inside a value is read as the border between a key and its value",
            Some("quote the value: `key: \"a: b\"`; if this is a key, check its indentation"),
        );
    }
    if info.contains("quoted scalar") {
        return problem(place, "a quote is opened and never closed", Some("close it with the same quote sign"));
    }
    if let Some((bracket, opened)) = open_bracket(&lines, place) {
        return problem(
            opened,
            format!("this `{bracket}` is not closed, or a comma is missing behind it"),
            Some("separate the items by commas, and close the bracket behind the last one"),
        );
    }
    if info.contains("indent") || info.contains("block") || info.contains("simple key") || info.contains("':'") {
        return problem(
            place,
            "this line does not continue what stands above it",
            Some("check its indentation, and whether a `:` or a closing quote is missing here or in the line before"),
        );
    }
    problem(
        place,
        format!("this is not YAML: {}", clean(info)),
        Some("check the indentation and the quotes of this line"),
    )
}

/// Finds the line above that looks like a key whose colon was forgotten.
fn key_without_colon<'t>(lines: &[&'t str], number: usize) -> Option<(usize, &'t str)> {
    let here = lines.get(number.checked_sub(1)?)?;
    let above = number.checked_sub(2)?;
    let (index, line) = lines.get(..=above)?.iter().enumerate().rev().find(|(_, line)| !line.trim().is_empty())?;
    let indentation = |line: &str| line.chars().take_while(|c| c.is_whitespace()).count();
    let forgotten =
        !line.contains(':') && !line.trim_start().starts_with(['-', '#']) && indentation(line) == indentation(here);
    (forgotten && here.matches(": ").count() <= 1).then_some((index + 1, *line))
}

/// Finds the last bracket before a place that opens a list or a mapping and is not closed.
fn open_bracket(lines: &[&str], place: Place) -> Option<(char, Place)> {
    let mut open: Vec<(char, Place)> = Vec::new();
    let mut quote: Option<char> = None;
    for (index, line) in lines.iter().enumerate().take(place.line) {
        // What stands before the next character, spaces left out: only there can a value begin.
        let mut before = '\n';
        let mut last = ' ';
        for (column, c) in line.chars().enumerate() {
            if index + 1 == place.line && column + 1 >= place.column {
                break;
            }
            match (quote, c) {
                (Some(sign), c) if c == sign && last != '\\' => quote = None,
                (Some(_), _) => {}
                (None, '#') if last.is_whitespace() => break,
                (None, '"' | '\'') if matches!(before, '\n' | ':' | '-' | ',' | '[' | '{') => quote = Some(c),
                (None, '[' | '{') if matches!(before, '\n' | ':' | '-' | ',' | '[' | '{') => {
                    open.push((c, Place { line: index + 1, column: column + 1, width: 1, file: 0 }));
                }
                (None, ']' | '}') => {
                    open.pop();
                }
                (None, _) => {}
            }
            if !c.is_whitespace() {
                before = c;
            }
            last = c;
        }
    }
    open.pop()
}

fn clean(info: &str) -> String {
    quoted(info).trim_matches('`').to_owned()
}

fn tab_indentation(line: &str) -> Option<usize> {
    let content = line.trim_start();
    if content.is_empty() || content.starts_with('#') {
        return None;
    }
    line.chars().take_while(|c| c.is_whitespace()).position(|c| c == '\t')
}

/// Finds a `*` at the beginning of a value.
fn lone_star(line: &str) -> Option<usize> {
    let chars: Vec<char> = line.chars().collect();
    (0..chars.len()).find(|&at| {
        let before = chars[..at].iter().rev().find(|c| !c.is_whitespace());
        let spaced = at == 0 || matches!(chars[at - 1], ' ' | '[' | ',' | '{');
        chars[at] == '*' && spaced && matches!(before, None | Some('[' | ',' | '{' | ':' | '-'))
    })
}

fn problem(place: Place, message: impl Into<String>, hint: Option<&str>) -> Problem {
    Problem { place, message: message.into(), hint: hint.map(str::to_owned), route: Route::root() }
}
