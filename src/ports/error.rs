//! How a port fails: what was being done, the class of the failure, and the next move.

use std::error::Error;

/// The class of a failure, as far as anything depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortErrorKind {
    /// The configuration asks for something that the backend cannot do.
    Configuration,
    /// Somebody may not do it.
    Permission,
    /// This run was let in to read there, and may change nothing: another job may.
    ReadOnly,
    /// A limit of the service.
    Quota,
    /// Too many requests.
    Throttling,
    /// The network or the service in between.
    Network,
    /// The disk is full.
    DiskFull,
    /// The disk or the state directory cannot be written or read.
    Storage,
    /// What was read is not what was written.
    Corrupt,
    /// The registry was made by a newer release.
    NewerRegistry,
    /// Something named does not exist.
    NotFound,
    /// An internal error.
    Bug,
}

impl PortErrorKind {
    /// Returns the word for people and for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Permission => "permission",
            Self::ReadOnly => "read-only",
            Self::Quota => "quota",
            Self::Throttling => "throttling",
            Self::Network => "network",
            Self::DiskFull => "disk-full",
            Self::Storage => "storage",
            Self::Corrupt => "corrupt",
            Self::NewerRegistry => "newer-registry",
            Self::NotFound => "not-found",
            Self::Bug => "bug",
        }
    }

    /// Tells whether somebody else's rights would do.
    pub fn is_denial(self) -> bool {
        matches!(self, Self::Permission | Self::ReadOnly)
    }

    /// Tells whether running the same again, with nothing changed, may help.
    pub fn may_pass(self) -> bool {
        match self {
            Self::Throttling | Self::Network => true,
            Self::Configuration
            | Self::Permission
            | Self::ReadOnly
            | Self::Quota
            | Self::DiskFull
            | Self::Storage
            | Self::Corrupt
            | Self::NewerRegistry
            | Self::NotFound
            | Self::Bug => false,
        }
    }
}

/// A port could not do or find out something.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing}")]
pub struct PortError {
    /// The class.
    pub kind: PortErrorKind,
    /// What was being done, to what: completes "could not …".
    pub doing: String,
    /// What to do next, as a sentence.
    pub hint: Option<String>,
    /// Why it failed.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl PortError {
    /// Makes an error that has a cause.
    pub fn because(
        kind: PortErrorKind,
        doing: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, doing: doing.into(), hint: None, source: Some(source.into()) }
    }

    /// Says that a backend does not prune.
    pub fn no_pruning(doing: &str) -> Self {
        Self::because(PortErrorKind::Configuration, doing, "this backend does not prune")
            .hint("Take away what is not needed with the tools of the service.")
    }

    /// Adds the next move.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Renders the whole chain as one line: `could not open the registry: disk I/O error`.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause: Option<&dyn Error> = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
