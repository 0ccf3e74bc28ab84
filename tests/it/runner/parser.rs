//! What GitHub's runner makes of a step's log and of its files, written anew after the sources of `actions/runner`
//! (`ActionCommand.cs`, `ActionCommandManager.cs`, `OutputManager.cs`, `FileCommandManager.cs`).

use std::collections::BTreeMap;

/// A command that the runner would obey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub name: String,
    pub properties: BTreeMap<String, String>,
    pub data: String,
}

const REGISTERED: &[&str] = &[
    "stop-commands",
    "internal-set-repo-path",
    "set-env",
    "set-output",
    "save-state",
    "add-mask",
    "add-path",
    "add-matcher",
    "remove-matcher",
    "debug",
    "warning",
    "error",
    "notice",
    "group",
    "endgroup",
    "echo",
];

/// The lines of a stream: .NET ends one at LF, CR and CR LF.
pub fn lines(text: &str) -> Vec<String> {
    text.replace("\r\n", "\n").split(['\n', '\r']).map(str::to_owned).collect()
}

/// The command in a line, if there is one. The runner compares by culture, where characters without width do not
/// count; how far that goes depends on its platform, so both readings are tried.
pub fn command(line: &str) -> Option<Command> {
    exact(line).or_else(|| exact(&line.chars().filter(|c| !is_ignorable(*c)).collect::<String>()))
}

/// All commands of a stream.
pub fn commands(text: &str) -> Vec<Command> {
    lines(text).iter().filter_map(|line| command(line)).collect()
}

fn exact(line: &str) -> Option<Command> {
    modern(line).or_else(|| legacy(line))
}

fn modern(line: &str) -> Option<Command> {
    let rest = line.trim_start().strip_prefix("::")?;
    let (info, data) = rest.split_once("::")?;
    let unescape = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n");
    let property = |text: &str| unescape(text).replace("%3A", ":").replace("%2C", ",").replace("%25", "%");
    build(info, ',', true, property, unescape(data).replace("%25", "%"))
}

fn legacy(line: &str) -> Option<Command> {
    let rest = &line[line.find("##[")? + 3..];
    let (info, data) = rest.split_once(']')?;
    let unescape = |text: &str| {
        let text = text.replace("%3B", ";").replace("%0D", "\r").replace("%0A", "\n");
        text.replace("%5D", "]").replace("%25", "%")
    };
    build(info, ';', false, unescape, unescape(data))
}

fn build(info: &str, separator: char, trims: bool, unescape: impl Fn(&str) -> String, data: String) -> Option<Command> {
    let (name, properties) = info.split_once(' ').unwrap_or((info, ""));
    if !REGISTERED.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return None;
    }
    let properties = if trims { properties.trim() } else { properties };
    let properties = properties
        .split(separator)
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .map(|(key, value)| (key.to_owned(), unescape(value)))
        .collect();
    Some(Command { name: name.to_owned(), properties, data })
}

fn is_ignorable(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || "\u{ad}\u{34f}\u{61c}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{202a}\u{202e}\u{2060}\u{2066}\u{fe0f}\u{feff}\u{e0001}"
            .contains(c)
}

/// What the runner reads from the file of outputs. `windows` also ends a line at CR LF.
pub fn outputs(text: &str, windows: bool) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(line) = take(&mut rest, windows) {
        if line.is_empty() {
            continue;
        }
        let (equals, heredoc) = (line.find('='), line.find("<<"));
        match (equals, heredoc) {
            (Some(at), heredoc) if heredoc.is_none_or(|heredoc| at < heredoc) => {
                found.push((line[..at].to_owned(), line[at + 1..].to_owned()));
            }
            (_, Some(at)) => {
                let (name, delimiter) = (&line[..at], &line[at + 2..]);
                if name.is_empty() || delimiter.is_empty() {
                    return Err(format!("invalid format: {line}"));
                }
                let start = rest;
                let mut end = 0;
                loop {
                    let before = start.len() - rest.len();
                    match take(&mut rest, windows) {
                        None => return Err(format!("delimiter not found: {delimiter}")),
                        Some(line) if line == delimiter => break,
                        Some(line) => end = before + line.len(),
                    }
                }
                found.push((name.to_owned(), start[..end].to_owned()));
            }
            _ => return Err(format!("invalid format: {line}")),
        }
    }
    Ok(found)
}

/// Takes a line, without its end.
fn take<'a>(rest: &mut &'a str, windows: bool) -> Option<&'a str> {
    if rest.is_empty() {
        return None;
    }
    let (line, tail) = match rest.split_once('\n') {
        None => (*rest, ""),
        Some((line, tail)) if windows && line.ends_with('\r') => (&line[..line.len() - 1], tail),
        Some((line, tail)) => (line, tail),
    };
    *rest = tail;
    Some(line)
}

#[test]
fn the_parser_obeys_what_the_runner_obeys() {
    let found = command("  ::error file=a%3Ab,line=3::50 %25%0Ax").expect("a command");
    assert_eq!((found.name.as_str(), found.data.as_str()), ("error", "50 %\nx"));
    assert_eq!(found.properties["file"], "a:b");
    assert_eq!(command("12:00 ##[set-output name=x;]y").expect("a command").properties["name"], "x");
    assert_eq!(command("\u{feff}::ADD-MASK::x").expect("a command").data, "x");
    for harmless in ["a ::error::b", "::unknown::x", "::error", "##[error", "# #[error]x", "\\::error::x"] {
        assert_eq!(command(harmless), None, "{harmless}");
    }
    let file = "a=1\nb<<EOF\nx\ny\nEOF\n\nc<<E\nE\n";
    let read = outputs(file, false).expect("a file");
    assert_eq!(read, [("a", "1"), ("b", "x\ny"), ("c", "")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert!(outputs("a<<EOF\nx", false).is_err() && outputs("what", false).is_err());
}
