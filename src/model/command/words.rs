//! A shell line in words, as far as a small rule reads it: quotes, comments, redirections, and what joins commands.
//!
//! Reading ends where the line does something that words alone cannot tell: a subshell, a here-document, an unclosed
//! quote, a reserved word. What stands before that is returned.

use std::iter::Peekable;
use std::str::Chars;

/// A word of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Its text, without quotes.
    pub(super) text: String,
    /// Whether the shell would put something else in its place: a variable, a pattern, the output of a command.
    pub(super) expands: bool,
}

/// How a command follows the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// It is the first.
    First,
    /// It runs afterwards: `;`, a line end.
    Then,
    /// It runs where the one before succeeded.
    And,
    /// It runs where the one before failed.
    Or,
    /// It reads what the one before writes.
    Pipe,
}

/// One command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) join: Join,
    pub(super) words: Vec<Word>,
    /// The file that it reads as its standard input.
    pub(super) input: Option<Word>,
    /// The files that its output goes to.
    pub(super) outputs: Vec<Word>,
}

enum Token {
    Word(Word),
    Joint(Join),
    Input,
    Output,
    Unknown,
}

/// Words that begin what is more than a command.
const RESERVED: [&str; 14] =
    ["if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "function", "!"];

/// Splits a line into its commands, up to the first thing that this rule does not read.
pub(super) fn commands(line: &str) -> Vec<Simple> {
    let mut chars = line.chars().peekable();
    let mut commands = Vec::new();
    let mut now = Simple { join: Join::First, words: Vec::new(), input: None, outputs: Vec::new() };
    loop {
        match token(&mut chars) {
            None => break,
            // The words before it are those of this command; only its end is not read.
            Some(Token::Unknown) => break,
            Some(Token::Word(word)) => {
                if now.words.is_empty() && !word.expands && RESERVED.contains(&word.text.as_str()) {
                    return commands;
                }
                now.words.push(word);
            }
            Some(Token::Input) => match token(&mut chars) {
                Some(Token::Word(word)) => now.input = Some(word),
                _ => return commands,
            },
            Some(Token::Output) => match token(&mut chars) {
                Some(Token::Word(word)) => now.outputs.push(word),
                _ => return commands,
            },
            Some(Token::Joint(join)) => {
                let next = Simple { join, words: Vec::new(), input: None, outputs: Vec::new() };
                if now.words.is_empty() {
                    // Empty lines and double separators.
                    now.join = if now.join == Join::First { Join::First } else { join };
                } else {
                    commands.push(std::mem::replace(&mut now, next));
                }
            }
        }
    }
    if !now.words.is_empty() {
        commands.push(now);
    }
    commands
}

fn token(chars: &mut Peekable<Chars<'_>>) -> Option<Token> {
    skip_blanks(chars);
    let first = *chars.peek()?;
    let joint = |join| Some(Token::Joint(join));
    match first {
        '\n' | '\r' | ';' => {
            chars.next();
            // `;;` belongs to `case`.
            if first == ';' && chars.next_if_eq(&';').is_some() { Some(Token::Unknown) } else { joint(Join::Then) }
        }
        '&' => {
            chars.next();
            if chars.next_if_eq(&'&').is_some() {
                return joint(Join::And);
            }
            if chars.next_if_eq(&'>').is_some() {
                chars.next_if_eq(&'>');
                return Some(Token::Output);
            }
            joint(Join::Then)
        }
        '|' => {
            chars.next();
            if chars.next_if_eq(&'|').is_some() {
                return joint(Join::Or);
            }
            chars.next_if_eq(&'&');
            joint(Join::Pipe)
        }
        '<' => {
            chars.next();
            match chars.peek() {
                Some('<' | '(' | '&' | '>') => Some(Token::Unknown),
                _ => Some(Token::Input),
            }
        }
        '>' => {
            chars.next();
            if matches!(chars.peek(), Some('>' | '&' | '|')) {
                chars.next();
            }
            Some(Token::Output)
        }
        '(' | ')' => Some(Token::Unknown),
        _ => word(chars),
    }
}

/// Skips blanks, joined lines and comments.
fn skip_blanks(chars: &mut Peekable<Chars<'_>>) {
    loop {
        match chars.peek() {
            Some(' ' | '\t') => {
                chars.next();
            }
            Some('\\') => {
                let mut ahead = chars.clone();
                ahead.next();
                if ahead.peek() != Some(&'\n') {
                    return;
                }
                ahead.next();
                *chars = ahead;
            }
            Some('#') => while chars.next_if(|c| *c != '\n').is_some() {},
            _ => return,
        }
    }
}

fn word(chars: &mut Peekable<Chars<'_>>) -> Option<Token> {
    let mut word = Word::default();
    while let Some(c) = chars.peek().copied() {
        match c {
            ' ' | '\t' | '\n' | '\r' | ';' | '&' | '|' => break,
            '<' | '>' => {
                // The number of a file descriptor is no word.
                if !word.text.is_empty() && word.text.bytes().all(|b| b.is_ascii_digit()) {
                    return token(chars);
                }
                break;
            }
            '(' | ')' | '`' => return Some(Token::Unknown),
            '\'' => {
                chars.next();
                loop {
                    match chars.next() {
                        None => return Some(Token::Unknown),
                        Some('\'') => break,
                        Some(c) => word.text.push(c),
                    }
                }
            }
            '"' => {
                chars.next();
                if !double_quoted(chars, &mut word) {
                    return Some(Token::Unknown);
                }
            }
            '\\' => {
                chars.next();
                match chars.next() {
                    None => return Some(Token::Unknown),
                    Some('\n') => {}
                    Some(c) => word.text.push(c),
                }
            }
            _ => {
                chars.next();
                word.expands |= matches!(c, '$' | '*' | '?' | '[' | '{' | '}');
                word.expands |= c == '~' && word.text.is_empty();
                word.text.push(c);
            }
        }
    }
    Some(Token::Word(word))
}

/// Reads up to the closing quote; `false` where there is none, or a command stands inside.
fn double_quoted(chars: &mut Peekable<Chars<'_>>, word: &mut Word) -> bool {
    loop {
        match chars.next() {
            None | Some('`') => return false,
            Some('"') => return true,
            Some('\\') => match chars.next() {
                None => return false,
                Some('\n') => {}
                Some(c @ ('"' | '\\' | '$' | '`')) => word.text.push(c),
                Some(c) => word.text.extend(['\\', c]),
            },
            Some('$') => {
                if chars.peek() == Some(&'(') {
                    return false;
                }
                word.expands = true;
                word.text.push('$');
            }
            Some(c) => word.text.push(c),
        }
    }
}
