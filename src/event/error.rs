//! Why an event could not be understood, and what to do about it.
//!
//! Foreign text in these sentences is shortened and its control characters are escaped.

use crate::event::command_inputs::CommandError;

/// Whose mistake an [`EventError`] is, so that the caller can choose the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventErrorKind {
    /// What the host sent cannot be an event: exit code 21.
    Payload,
    /// A person filled in an input wrongly: exit code 2.
    Usage,
}

/// An event that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Nobody said which event it is.
    #[error(
        "no event is named: GITHUB_EVENT_NAME is not set; run inside a CI job, pass `--event`, or leave both out to work on a checkout manually"
    )]
    NoName,
    /// The payload is not JSON.
    #[error(
        "reading the payload of the event `{event}`: it is not JSON; GITHUB_EVENT_PATH must name the file that the runner wrote, unchanged"
    )]
    NotJson {
        /// The event.
        event: String,
        /// Where it stops being JSON.
        #[source]
        source: serde_json::Error,
    },
    /// The payload is JSON, but not an object.
    #[error(
        "reading the payload of the event `{event}`: it is {found}, not an object; GITHUB_EVENT_PATH must name the file that the runner wrote, unchanged"
    )]
    NotAnObject {
        /// The event.
        event: String,
        /// What it is.
        found: &'static str,
    },
    /// A field is missing that this event cannot do without.
    #[error("reading the payload of the event `{event}`: `{field}` is missing{}", instead(.variable))]
    Missing {
        /// The event.
        event: String,
        /// The field's path.
        field: String,
        /// The variable that would do as well, where there is one.
        variable: Option<&'static str>,
    },
    /// A field has another type than the host documents.
    #[error(
        "reading the payload of the event `{event}`: `{field}` is {found}, not {expected}; pass on the payload as the host sent it"
    )]
    WrongType {
        /// The event.
        event: String,
        /// The field's path.
        field: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A field or a variable holds text that cannot be what it stands for.
    #[error("reading the event `{event}`: `{field}` holds `{text}`, which is not {expected}; {next}")]
    Illegal {
        /// The event.
        event: String,
        /// The field's path, or the variable's name.
        field: String,
        /// What it holds, shortened.
        text: String,
        /// What it should be.
        expected: &'static str,
        /// What to do.
        next: &'static str,
    },
    /// A person filled in an input wrongly.
    #[error("reading the inputs of the event `{event}`")]
    Usage {
        /// The event.
        event: String,
        /// Which input, and what it accepts.
        #[source]
        source: CommandError,
    },
}

impl EventError {
    /// Tells whose mistake it is.
    pub fn kind(&self) -> EventErrorKind {
        match self {
            Self::Usage { .. } => EventErrorKind::Usage,
            Self::NoName
            | Self::NotJson { .. }
            | Self::NotAnObject { .. }
            | Self::Missing { .. }
            | Self::WrongType { .. }
            | Self::Illegal { .. } => EventErrorKind::Payload,
        }
    }
}

fn instead(variable: &Option<&'static str>) -> String {
    match variable {
        Some(variable) => {
            format!(" and {variable} is not set; pass on the payload as the host sent it, or set {variable}")
        }
        None => "; pass on the payload as the host sent it".to_owned(),
    }
}
