//! What a reason says about the whole run: is it a refusal before any verdict, or is there nothing to do?
//!
//! Deliberately absent: texts (`wording`) and exit codes (`outcome`).

use crate::model::version::VersionRef;
use crate::plan::reason::Reason;

/// What a refusal before any verdict is about: decides between exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeforeVerdict {
    /// Exit 2: the command asks for something that does not exist.
    Usage,
    /// Exit 20: the configuration and the commit do not fit.
    Configuration,
    /// Exit 60: the loop goes round in circles.
    DoesNotConverge,
    /// Exit 1: an internal error.
    Bug,
}

impl Reason {
    /// Tells whether this is a refusal before any verdict.
    pub fn before_verdict(&self) -> Option<BeforeVerdict> {
        match self {
            Self::NoSuchVersion { .. } => Some(BeforeVerdict::Usage),
            Self::MissingPaths { .. } | Self::CommandFileUnusable { .. } | Self::NoSuchModel { .. } => {
                Some(BeforeVerdict::Configuration)
            }
            Self::DoesNotConverge { .. } => Some(BeforeVerdict::DoesNotConverge),
            Self::PlanBroken { .. } => Some(BeforeVerdict::Bug),
            _ => None,
        }
    }

    /// Tells whether this only says that the world is as wanted: noise after a run that made it so.
    pub fn says_nothing_to_do(&self) -> bool {
        matches!(
            self,
            Self::AlreadyRegistered { .. }
                | Self::AlreadyCurrent { .. }
                | Self::AlreadySo { .. }
                | Self::AlreadyFrozen { .. }
                | Self::NotFrozen { .. }
                | Self::HeldAlready(_)
                | Self::ImportedAlready { .. }
        )
    }

    /// Returns the version that stands for what was asked, where the reason names it.
    pub fn stands(&self) -> Option<&VersionRef> {
        match self {
            Self::AlreadyRegistered { version, .. }
            | Self::Adopted { version, .. }
            | Self::AlreadyCurrent { version }
            | Self::AwaitsApproval { version, .. }
            | Self::AlreadySo { version, .. }
            | Self::RolledBack { version, .. }
            | Self::ImportedAlready { here: version, .. } => Some(&version.version),
            Self::HeldAlready(held) => Some(&held.version.version),
            _ => None,
        }
    }
}
