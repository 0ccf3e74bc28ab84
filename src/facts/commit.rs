//! What was seen of a commit: its content for one model, and whether its branch has moved on.

use crate::model::cloud::CloudSettings;
use crate::model::cloud::Serve;
use crate::model::command::UnusableFile;
use crate::model::dataset::Dataset;
use crate::model::git::BranchName;
use crate::model::git::CommitSha;
use crate::model::git::ObjectId;
use crate::model::identity::CodeId;
use crate::model::identity::ContentId;
use crate::model::identity::Fingerprint;
use crate::model::name::ChannelName;
use crate::model::name::StageName;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// A commit, and what one model is at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitFacts {
    /// The commit.
    pub commit: CommitSha,
    /// Its tree.
    pub tree: ObjectId,
    /// The first line of its message: foreign text.
    pub subject: String,
    /// The model's content, by the stage whose training settings apply. A training stage has one entry; a
    /// promoting stage one for each stage that it promotes from.
    pub content: BTreeMap<StageName, Result<ContentFacts, ContentProblem>>,
}

/// What a model is at a commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContentFacts {
    /// The code id.
    pub code_id: CodeId,
    /// The content.
    pub content: ContentId,
    /// The fingerprint; `None` where a dataset could not be identified.
    pub fingerprint: Option<Fingerprint>,
    /// The data.
    pub datasets: BTreeMap<ChannelName, Dataset>,
    /// Data that could not be identified: the channel, where it should be, and why not.
    pub missing_data: Vec<MissingData>,
    /// Data that are identified, and that a training run could not get: what blocks one that would start.
    #[serde(default)]
    pub unusable_data: Vec<MissingData>,
    /// What stands in the commit in place of watched content, such as a submodule: sentences for people.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// The declared signature.
    pub signature: Option<String>,
    /// The hyperparameters, for the lineage.
    pub hyperparameters: BTreeMap<String, String>,
    /// The image as written, for the lineage.
    pub image: Option<String>,
    /// The digest that the image has now, where the backend uses images.
    #[serde(default)]
    pub image_digest: Option<String>,
    /// Why the image has no digest: there is none of that name, say.
    #[serde(default)]
    pub missing_image: Option<String>,
    /// How it is trained in the cloud: what the limits judge.
    #[serde(default)]
    pub cloud: CloudSettings,
    /// The longest that one training may take.
    #[serde(default)]
    pub max_runtime: Option<std::time::Duration>,
    /// How the model is served.
    #[serde(default)]
    pub serve: Option<Serve>,
    /// A file that the command names and that a training run would not find.
    #[serde(default)]
    pub unusable_file: Option<UnusableFile>,
}

/// Data that could not be identified, or cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingData {
    /// The channel.
    pub channel: ChannelName,
    /// Where it should be.
    pub uri: String,
    /// Why it could not be identified.
    pub why: String,
    /// What kind of problem it is.
    #[serde(default)]
    pub problem: DataProblem,
}

/// What is wrong with data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataProblem {
    /// There are none, or they are not what data must be.
    #[default]
    Missing,
    /// Nothing may read them here.
    Refused,
    /// The commit points at them, and they are not on this machine.
    NotHere,
}

/// What is known of a watched path that a commit does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingNote {
    /// The commit has a path of a similar name, which may have been meant.
    Near(String),
    /// The path lies in the working tree, and was not committed.
    Uncommitted,
}

impl MissingNote {
    /// Chooses what is worth saying. A path that lies in the working tree explains itself; but a file system that
    /// ignores case finds there what the commit has in another case.
    pub fn of(path: &str, near: Option<String>, uncommitted: bool) -> Option<Self> {
        let other_case = near.as_ref().is_some_and(|near| near.to_lowercase() == path.to_lowercase());
        if uncommitted && !other_case { Some(Self::Uncommitted) } else { near.map(Self::Near) }
    }
}

/// Why a model has no content at a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum ContentProblem {
    /// The commit's configuration does not know the model.
    NoSuchModel,
    /// Watched paths that the commit does not have, each with what is known of it.
    MissingPaths {
        /// The path, and what is known of it.
        paths: Vec<(String, Option<MissingNote>)>,
    },
    /// The repository could not answer.
    Unreadable {
        /// Why, with the way out.
        why: String,
    },
}

/// Where the event's branch is by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "head", rename_all = "kebab-case")]
pub enum HeadFacts {
    /// At the event's commit.
    Here,
    /// Elsewhere.
    Moved {
        /// The commit that it is at.
        to: CommitSha,
        /// Its content for the model, where it could be read.
        content: Option<ContentId>,
        /// Its fingerprint for the model, where it could be read.
        fingerprint: Option<Fingerprint>,
    },
    /// The branch does not exist any more.
    Gone,
}

/// A branch head of another branch that may want the same fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedElsewhere {
    /// The branch.
    pub branch: BranchName,
    /// The fingerprint that its head wants.
    pub fingerprint: Fingerprint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_the_working_tree_is_not_taken_for_another_one() {
        let near = |name: &str| Some(name.to_owned());
        assert_eq!(MissingNote::of("lib", None, true), Some(MissingNote::Uncommitted));
        assert_eq!(MissingNote::of("lib", near("libs"), true), Some(MissingNote::Uncommitted));
        assert_eq!(MissingNote::of("Lib", near("lib"), true), Some(MissingNote::Near("lib".to_owned())));
        assert_eq!(MissingNote::of("lib", near("libs"), false), Some(MissingNote::Near("libs".to_owned())));
        assert_eq!(MissingNote::of("lib", None, false), None);
    }
}
