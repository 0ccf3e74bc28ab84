//! Data that Git does not track: which data is it, now?

use crate::model::dataset::Dataset;
use crate::model::settings::DataSource;
use crate::ports::error::PortError;

/// Identifies data outside Git.
#[async_trait::async_trait]
pub trait Datasets: Send + Sync {
    /// Identifies the data at a local path or a remote prefix. `Ok(Err(why))` says that there is no such data.
    ///
    /// A local path is relative to the root of the main working tree. Its content is what counts, and a copy of
    /// exactly that content is kept, so that training sees what was identified.
    async fn identify(&self, source: &DataSource) -> Result<Result<Dataset, String>, PortError>;
}
