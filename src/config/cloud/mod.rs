//! The words of `branchline.yaml` that only matter in Amazon's cloud: where the backend lives, in which accounts,
//! on which machines a model trains and how it is served.
//!
//! What can be wrong with one key by itself is said wherever it is written; what only matters where SageMaker trains
//! is said in `check`, once rules and settings have met. Whether any of it exists is for `branchline doctor` to find.

pub(in crate::config) mod check;
pub(in crate::config) mod limits;
mod names;
pub(in crate::config) mod place;
pub(in crate::config) mod raw;
pub(in crate::config) mod serve;
pub(in crate::config) mod training;
pub(in crate::config) mod view;
