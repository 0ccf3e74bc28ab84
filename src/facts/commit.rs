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

/// Data that could not be identified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingData {
    /// The channel.
    pub channel: ChannelName,
    /// Where it should be.
    pub uri: String,
    /// Why it could not be identified.
    pub why: String,
}

/// Why a model has no content at a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum ContentProblem {
    /// The commit's configuration does not know the model.
    NoSuchModel,
    /// Watched paths that the commit does not have, each with a near name where there is one.
    MissingPaths {
        /// The path, and what may have been meant.
        paths: Vec<(String, Option<String>)>,
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
