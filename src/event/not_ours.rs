//! Events that nothing follows from, each with the sentence that says why.

use crate::event::shown;
use crate::model::git::BranchName;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// The branches that GitHub's merge queue makes for itself.
pub(super) const MERGE_QUEUE_PREFIX: &str = "gh-readonly-queue/";

/// An event that nothing follows from. Texts are as the host sent them; the sentences shorten them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotOurs {
    /// A branch was created: the same act also raises a push.
    Create {
        /// The branch.
        branch: BranchName,
    },
    /// A tag was created, moved or deleted, or a run was started on one.
    Tag {
        /// Its short name.
        tag: String,
    },
    /// A reference that is neither a branch nor a tag.
    OtherReference {
        /// As the host named it.
        reference: String,
    },
    /// A push to a branch of a merge queue: the same act also raises `merge_group`.
    MergeQueueBranch {
        /// The branch.
        branch: BranchName,
    },
    /// A merge group that is no longer to be checked.
    MergeGroupAction {
        /// What happened to it.
        action: String,
    },
    /// Something happened to a pull request that changes no commit and no base.
    PullRequestAction {
        /// What.
        action: String,
        /// The pull request, where the host said so.
        number: Option<u64>,
    },
    /// Another workflow began or ended.
    WorkflowRun,
    /// An event that means nothing here.
    UnknownEvent {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { branch } => {
                write!(f, "`{}` was created: the push that follows says so too, and is acted on", shown(branch.as_str()))
            }
            Self::Tag { tag } => write!(f, "`{}` is a tag, and only branches drive models", shown(tag)),
            Self::OtherReference { reference } => {
                write!(f, "`{}` is not a branch, and only branches drive models", shown(reference))
            }
            Self::MergeQueueBranch { branch } => write!(
                f,
                "`{}` belongs to a merge queue: it is checked on the event `merge_group`, and nothing is trained for it",
                shown(branch.as_str())
            ),
            Self::MergeGroupAction { action } => {
                write!(f, "`{}` of a merge group: only `checks_requested` asks for an answer", shown(action))
            }
            Self::PullRequestAction { action, number } => {
                write!(f, "`{}` ", shown(action))?;
                match number {
                    Some(number) => write!(f, "of pull request #{number} ")?,
                    None => f.write_str("of a pull request ")?,
                }
                f.write_str("changes neither its commits nor its base, so what merging would do has not changed")
            }
            Self::WorkflowRun => f.write_str(
                "`workflow_run` only says that another workflow began or ended: use `push`, `pull_request` or `schedule`",
            ),
            Self::UnknownEvent { name } => write!(f, "nothing follows from the event `{}`", shown(name)),
        }
    }
}
