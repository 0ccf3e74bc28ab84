//! Careful access to a payload: by path, with errors that name the event and the field.
//!
//! Only the fields that are asked for matter. Hosts add fields, leave some out, and change the type of
//! others between events (`pushed_at` is a number on `push` and text elsewhere), so the payload is never read
//! as one typed whole.

use crate::event::error::EventError;
use crate::event::shown;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use serde_json::Value;

const AS_SENT: &str = "pass on the payload as the host sent it";

/// A payload that is an object, and the event that it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    event: &'a str,
    payload: &'a Value,
}

impl<'a> Fields<'a> {
    /// Looks at a payload; anything but an object is an error.
    pub(super) fn new(event: &'a str, payload: &'a Value) -> Result<Self, EventError> {
        if payload.is_object() {
            Ok(Self { event, payload })
        } else {
            Err(EventError::NotAnObject { event: shown(event), found: type_of(payload) })
        }
    }

    /// Returns the event's name as it may stand in a sentence.
    pub(super) fn event(&self) -> String {
        shown(self.event)
    }

    /// Returns the value at a path of member names joined with `.`. `null` counts as missing, and so does
    /// everything below a value that is not an object.
    pub(super) fn at(&self, path: &str) -> Option<&'a Value> {
        path.split('.').try_fold(self.payload, |value, name| value.get(name)).filter(|value| !value.is_null())
    }

    /// Returns text. Empty text counts as missing; another type is an error.
    pub(super) fn text(&self, path: &str) -> Result<Option<&'a str>, EventError> {
        match self.at(path) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(other) => Err(self.wrong_type(path, other, "text")),
        }
    }

    /// Returns text that is only ever shown: another type counts as missing.
    pub(super) fn told(&self, path: &str) -> Option<&'a str> {
        self.at(path).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Returns text that must be there.
    pub(super) fn required(&self, path: &str) -> Result<&'a str, EventError> {
        self.text(path)?.ok_or_else(|| self.missing(path, None))
    }

    /// Returns a flag, `false` where it is missing.
    pub(super) fn flag(&self, path: &str) -> Result<bool, EventError> {
        match self.at(path) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong_type(path, other, "true or false")),
        }
    }

    /// Returns a whole number.
    pub(super) fn number(&self, path: &str) -> Result<Option<u64>, EventError> {
        match self.at(path) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong_type(path, value, "a whole number")),
            },
        }
    }

    /// Returns a commit; the all-zero id that hosts send for "no commit" counts as missing.
    pub(super) fn commit(&self, path: &str) -> Result<Option<CommitSha>, EventError> {
        match self.text(path)? {
            Some(text) if !is_zeros(text) => self.read_commit(path, text, AS_SENT).map(Some),
            _ => Ok(None),
        }
    }

    /// Returns a commit that must be there.
    pub(super) fn required_commit(&self, path: &str) -> Result<CommitSha, EventError> {
        self.commit(path)?.ok_or_else(|| self.missing(path, None))
    }

    /// Reads text from a field or a variable as a commit.
    pub(super) fn read_commit(&self, field: &str, text: &str, next: &'static str) -> Result<CommitSha, EventError> {
        CommitSha::parse(text).map_err(|_| self.illegal(field, text, "a full commit id", next))
    }

    /// Reads text from a field or a variable as a short branch name.
    pub(super) fn read_branch(&self, field: &str, text: &str) -> Result<BranchName, EventError> {
        BranchName::parse(text).map_err(|_| {
            self.illegal(
                field,
                text,
                "a branch name that Git allows",
                "rename the branch, or correct what passes it on",
            )
        })
    }

    /// Describes a missing field.
    pub(super) fn missing(&self, path: &str, variable: Option<&'static str>) -> EventError {
        EventError::Missing { event: self.event(), field: path.to_owned(), variable }
    }

    /// Describes text that cannot be what it stands for.
    pub(super) fn illegal(&self, field: &str, text: &str, expected: &'static str, next: &'static str) -> EventError {
        EventError::Illegal { event: self.event(), field: field.to_owned(), text: shown(text), expected, next }
    }

    /// Describes a field of the wrong type.
    pub(super) fn wrong_type(&self, path: &str, found: &Value, expected: &'static str) -> EventError {
        EventError::WrongType { event: self.event(), field: path.to_owned(), found: type_of(found), expected }
    }
}

/// Tells whether a host says "no commit".
pub(super) fn is_zeros(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b == b'0')
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
