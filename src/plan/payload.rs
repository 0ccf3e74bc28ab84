//! What the variants of `Reason` carry, by name, so that the list of reasons is not longer than the reasons.
//!
//! Deliberately absent: any type of its own.

pub use crate::facts::commit::MissingData;
pub use crate::facts::commit::MissingNote;
pub use crate::facts::model::Nearest;
pub use crate::model::approval::Approval;
pub use crate::model::command::UnusableFile;
pub use crate::model::git::BranchName;
pub use crate::model::git::CommitSha;
pub use crate::model::git::RepositoryId;
pub use crate::model::history::Freeze;
pub use crate::model::metric::MetricNote;
pub use crate::model::name::GroupName;
pub use crate::model::name::ModelName;
pub use crate::model::name::StageName;
pub use crate::model::name::TargetName;
pub use crate::model::name::TrainingName;
pub use crate::model::training::Cause;
pub use crate::model::training::StopCause;
pub use crate::model::version::Rejection;
pub use crate::model::version::VersionNumber;
pub use crate::model::version::VersionRef;
pub use crate::plan::cloud::InstanceNotAllowed;
pub use crate::plan::cloud::MissingImage;
pub use crate::plan::cloud::Protection;
pub use crate::plan::cloud::TagsRequired;
pub use crate::plan::cloud::TrainingDetails;
pub use crate::plan::evidence::DataBehind;
pub use crate::plan::evidence::Excluded;
pub use crate::plan::evidence::Known;
pub use crate::plan::gate::GateResult;
