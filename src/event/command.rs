//! What a person can ask for manually, from whichever host or terminal.
//!
//! Names are checked for their form only. Whether a model, a group, a version or a commit exists is not known
//! here: that takes the rules and the world.

use crate::event::command_inputs::CommandError;
use crate::event::command_text::CommitText;
use crate::event::command_text::GroupText;
use crate::event::command_text::Reason;
use crate::event::shown;
use crate::model::name::ModelName;
use crate::model::name::StageName;
use crate::model::version::VersionNumber;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// Something that a person asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Act as if the branch had just been pushed.
    Run,
    /// Train a model, or adopt what exists.
    Train {
        /// Which model; all of the stage's where it is left out.
        model: Option<ModelName>,
        /// Which commit; the branch's head where it is left out.
        commit: Option<CommitText>,
        /// Train although the fingerprint was trained already. Then there is a reason.
        again: bool,
        /// Why.
        reason: Option<Reason>,
    },
    /// Copy a version into another group.
    Promote {
        /// Which model, where the groups are given by target.
        model: Option<ModelName>,
        /// The group to copy from; what the rules promote from where it is left out.
        from: Option<GroupText>,
        /// The group to copy to.
        to: GroupText,
        /// Which version of `from`; the one that the rules select where it is left out.
        version: Option<VersionNumber>,
        /// Why.
        reason: Option<Reason>,
    },
    /// Approve a version.
    Approve {
        /// The group.
        group: GroupChoice,
        /// The version. It must be named: what is pending may have changed since it was looked at.
        version: VersionNumber,
        /// Why.
        reason: Option<Reason>,
    },
    /// Reject a version.
    Reject {
        /// The group.
        group: GroupChoice,
        /// The version.
        version: VersionNumber,
        /// Why.
        reason: Reason,
    },
    /// Put out the current version of a group and bring back an older one.
    Rollback {
        /// The group.
        group: GroupChoice,
        /// The version to bring back; the one that was current before where it is left out.
        to: Option<VersionNumber>,
        /// Why.
        reason: Reason,
    },
    /// Stop every automatic change of a group.
    Freeze {
        /// The group.
        group: GroupChoice,
        /// Why.
        reason: Reason,
    },
    /// Allow automatic changes of a group again.
    Unfreeze {
        /// The group.
        group: GroupChoice,
        /// Why.
        reason: Reason,
    },
    /// Take what is newest now instead of what was reviewed in a pull request.
    Repin {
        /// The pull request; that of the branch where it is left out.
        pull_request: Option<u64>,
        /// Which model; all where it is left out.
        model: Option<ModelName>,
        /// Why.
        reason: Option<Reason>,
    },
    /// Finish what is open, on every stage or on one.
    Reconcile {
        /// Which stage.
        stage: Option<StageName>,
    },
    /// Remove what is no longer referenced.
    Prune {
        /// Do it, rather than list it.
        yes: bool,
    },
}

impl Command {
    /// Returns the action that it is.
    pub fn action(&self) -> Action {
        match self {
            Self::Run => Action::Run,
            Self::Train { .. } => Action::Train,
            Self::Promote { .. } => Action::Promote,
            Self::Approve { .. } => Action::Approve,
            Self::Reject { .. } => Action::Reject,
            Self::Rollback { .. } => Action::Rollback,
            Self::Freeze { .. } => Action::Freeze,
            Self::Unfreeze { .. } => Action::Unfreeze,
            Self::Repin { .. } => Action::Repin,
            Self::Reconcile { .. } => Action::Reconcile,
            Self::Prune { .. } => Action::Prune,
        }
    }

    /// Returns the reason that the person gave.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Train { reason, .. }
            | Self::Promote { reason, .. }
            | Self::Approve { reason, .. }
            | Self::Repin { reason, .. } => reason.as_ref(),
            Self::Reject { reason, .. }
            | Self::Rollback { reason, .. }
            | Self::Freeze { reason, .. }
            | Self::Unfreeze { reason, .. } => Some(reason),
            Self::Run | Self::Reconcile { .. } | Self::Prune { .. } => None,
        }
    }
}

/// The word for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the variants of `Command` say what each does")]
pub enum Action {
    Run,
    Train,
    Promote,
    Approve,
    Reject,
    Rollback,
    Freeze,
    Unfreeze,
    Repin,
    Reconcile,
    Prune,
}

impl Action {
    /// Every action, in the order in which people meet them.
    pub const ALL: [Self; 11] = [
        Self::Run,
        Self::Train,
        Self::Promote,
        Self::Approve,
        Self::Reject,
        Self::Rollback,
        Self::Freeze,
        Self::Unfreeze,
        Self::Repin,
        Self::Reconcile,
        Self::Prune,
    ];

    /// Returns the word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Train => "train",
            Self::Promote => "promote",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Rollback => "rollback",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::Repin => "repin",
            Self::Reconcile => "reconcile",
            Self::Prune => "prune",
        }
    }

    /// Parses the word, in whichever case, or names the nearest one.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let word = text.trim().to_lowercase();
        if let Some(action) = Self::ALL.into_iter().find(|action| action.as_str() == word) {
            return Ok(action);
        }
        // Long foreign text is like no action, and comparing it would take long.
        let near = |action: &Self| strsim::damerau_levenshtein(&word, action.as_str());
        let nearest = (word.len() <= 40)
            .then(|| Self::ALL.into_iter().min_by_key(near))
            .flatten()
            .filter(|action| near(action) <= (action.as_str().len() / 3).max(1));
        Err(CommandError::UnknownAction { text: shown(text.trim()), nearest })
    }

    /// Tells whether it acts on an input that says *what* to act on. Only for those is it a mistake to give them
    /// to an action that would pass over them: a form with lists to choose from always sends the others.
    pub(super) fn heeds(self, input: &str) -> bool {
        match input {
            "version" => matches!(self, Self::Promote | Self::Approve | Self::Reject | Self::Rollback),
            "commit" | "again" => self == Self::Train,
            "pull_request" => self == Self::Repin,
            _ => true,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A group as a person names it: in full, or by its target with the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChoice {
    /// The full name or the target.
    pub group: GroupText,
    /// The model, where the person named one.
    pub model: Option<ModelName>,
}
