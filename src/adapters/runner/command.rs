//! The commands that we ourselves give the runner, as text.
//!
//! Source: "Workflow commands for GitHub Actions", and `ActionCommand.cs` in `actions/runner` for the escapes.
//! Deliberately absent: the commands that set variables or paths or stop others, and where any of it is printed
//! (`console`).

use std::fmt;

/// Longest message of an annotation, in bytes. The runner cuts at 4,096 characters.
const MESSAGE_LIMIT: usize = 4_000;

/// Longest title, in bytes. The API's limit for a title is 255 characters.
const TITLE_LIMIT: usize = 250;

/// How much an annotation matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Something said no or went wrong.
    Error,
    /// Something should be looked at.
    Warning,
    /// Worth knowing.
    Notice,
}

impl Level {
    /// Returns the command's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A remark that the host shows beside a line of a file, or on the page of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// How much it matters.
    pub level: Level,
    /// What it says. Foreign text may be in it; it may have several lines.
    pub message: String,
    /// A few words above it.
    pub title: Option<String>,
    /// The file, relative to the root of the repository.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
}

impl Annotation {
    /// Makes one that belongs to no file.
    pub fn new(level: Level, message: impl Into<String>) -> Self {
        Self { level, message: message.into(), title: None, file: None, line: None, column: None }
    }

    /// Sets the title.
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets the place.
    pub fn at(mut self, file: impl Into<String>, line: Option<u32>, column: Option<u32>) -> Self {
        self.file = Some(file.into());
        self.line = line;
        self.column = column;
        self
    }

    /// Writes it as a command.
    pub fn command(&self) -> String {
        let number = |value: Option<u32>| value.filter(|number| *number > 0).map(|number| number.to_string());
        let properties = [
            ("file", self.file.clone()),
            ("line", number(self.line)),
            ("col", number(self.column)),
            ("title", self.title.as_ref().map(|title| clipped(title, TITLE_LIMIT).to_owned())),
        ];
        command(self.level.as_str(), &properties, clipped(&self.message, MESSAGE_LIMIT))
    }
}

/// Writes the command that begins a group of lines. Groups do not nest.
pub fn group(title: &str) -> String {
    command("group", &[], clipped(title, TITLE_LIMIT))
}

/// The command that ends a group.
pub const END_GROUP: &str = "::endgroup::";

/// Writes the command that shows a line only where debug logging is on.
pub fn debug(message: &str) -> String {
    command("debug", &[], clipped(message, MESSAGE_LIMIT))
}

/// Writes the command that hides a text from the log from now on.
pub(super) fn add_mask(secret: &str) -> String {
    command("add-mask", &[], secret)
}

/// Writes any command. Properties without a value are left out.
fn command(name: &str, properties: &[(&str, Option<String>)], data: &str) -> String {
    let mut text = format!("::{name}");
    let mut separator = ' ';
    for (key, value) in properties {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            text.push(separator);
            text.push_str(key);
            text.push('=');
            text.push_str(&property(value));
            separator = ',';
        }
    }
    text.push_str("::");
    text.push_str(&self::data(data));
    text
}

/// Escapes what a command says.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property's value.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn clipped(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_has_its_place() {
        let annotation = Annotation::new(Level::Error, "50 % of: a, b\nmore").titled("gate: accuracy, 100 %").at(
            "a:b,c.yaml",
            Some(3),
            Some(7),
        );
        assert_eq!(
            annotation.command(),
            "::error file=a%3Ab%2Cc.yaml,line=3,col=7,title=gate%3A accuracy%2C 100 %25::50 %25 of: a, b%0Amore"
        );
        assert_eq!(Annotation::new(Level::Notice, "a::b").command(), "::notice::a::b");
        assert_eq!(Annotation::new(Level::Warning, "x").titled("").at("", Some(0), None).command(), "::warning::x");
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let command = Annotation::new(Level::Error, "é".repeat(4_000)).command();
        assert!(command.chars().count() <= 4_096 && command.ends_with('é'));
    }
}
