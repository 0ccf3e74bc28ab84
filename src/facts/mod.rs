//! What was seen: one observation of the world, as values.
//!
//! Facts are serialisable, so that a real run can become a fixture. Deliberately absent: opinions. Whether a
//! version may be promoted or an event is too old is decided in `plan`, from these.

pub mod commit;
pub mod group;
pub mod holdings;
pub mod model;
pub mod review;

pub use commit::CommitFacts;
pub use commit::ContentFacts;
pub use commit::ContentProblem;
pub use commit::HeadFacts;
pub use group::GroupFacts;
pub use group::SemverHighWater;
pub use holdings::Holdings;
pub use model::Facts;
pub use model::Nearest;
pub use model::PathDifference;
pub use model::Withdrawn;
pub use review::ReviewFacts;
