//! Texts of which only the form is known: groups, commits and reasons as people write them.

use crate::event::command_inputs::CommandError;
use crate::event::command_inputs::GROUP_ACCEPTS;
use crate::event::command_inputs::illegal;
use crate::model::name::ModelName;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = CommandError;
            fn try_from(text: String) -> Result<Self, CommandError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text!(
    /// The full name of a group, or a target: which of the two, only the rules can tell.
    GroupText
);
checked_text!(
    /// A commit as a person names it: 7 or more hexadecimal digits, in lower case.
    CommitText
);
checked_text!(
    /// Why a person asked: one line of at most 1000 characters.
    Reason
);

impl GroupText {
    /// Parses a group or a target given as the input `group`.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        Self::parse_input("group", text)
    }

    pub(super) fn parse_input(input: &'static str, text: &str) -> Result<Self, CommandError> {
        // Names of targets and of groups are both of this form.
        match ModelName::parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(illegal(input, text, GROUP_ACCEPTS)),
        }
    }
}

impl CommitText {
    /// Parses a whole or a shortened commit id.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let legal = (7..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_hexdigit())
            && text.bytes().any(|b| b != b'0');
        if legal {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(illegal("commit", text, "a commit id, all of it or its first 7 or more digits"))
        }
    }
}

impl Reason {
    const LIMIT: usize = 1000;

    /// Parses a reason. Line breaks and other control characters become spaces.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line = line.trim();
        if line.is_empty() || line.chars().count() > Self::LIMIT {
            return Err(illegal("reason", text, "a sentence of 1 to 1000 characters"));
        }
        Ok(Self(line.to_owned()))
    }
}
