//! What is needed from outside, in our words. Adapters implement these; nothing here knows an SDK.
//!
//! The three ports of a backend (trainer, registry, artifacts) can be chosen apart.

pub mod artifacts;
pub mod clock;
pub mod datasets;
pub mod error;
pub mod forge;
pub mod progress;
pub mod registry;
pub mod trainer;

pub use artifacts::ArtifactPlace;
pub use artifacts::ArtifactStore;
pub use artifacts::Copied;
pub use clock::Clock;
pub use datasets::Datasets;
pub use error::PortError;
pub use error::PortErrorKind;
pub use forge::Annotation;
pub use forge::AnnotationLevel;
pub use forge::Check;
pub use forge::CheckConclusion;
pub use forge::CheckReport;
pub use forge::CheckState;
pub use forge::Forge;
pub use forge::Permission;
pub use forge::PullRequest;
pub use forge::PullRequestReview;
pub use forge::PullRequestState;
pub use forge::ReviewState;
pub use forge::Status;
pub use forge::StatusReport;
pub use forge::StatusState;
pub use forge::Write;
pub use forge::Written;
pub use progress::Progress;
pub use progress::Tick;
pub use registry::ApprovalChange;
pub use registry::Changed;
pub use registry::Expected;
pub use registry::Registered;
pub use registry::Registration;
pub use registry::Registry;
pub use registry::Stale;
pub use trainer::StartedTraining;
pub use trainer::Trainer;
pub use trainer::TrainingSpec;
pub use trainer::WatchedTraining;

use std::sync::Arc;

/// All ports of a run, chosen at the composition root.
#[derive(Clone)]
pub struct Ports {
    /// Runs trainings.
    pub trainer: Arc<dyn Trainer>,
    /// Keeps groups and versions.
    pub registry: Arc<dyn Registry>,
    /// Keeps artifacts.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// Identifies data outside Git.
    pub datasets: Arc<dyn Datasets>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who is told.
    pub progress: Arc<dyn Progress>,
}
