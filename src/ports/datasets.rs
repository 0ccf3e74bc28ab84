//! Data that Git does not track: which data is it, now, and may it be used?

use crate::model::dataset::Dataset;
use crate::model::pointer::PointedData;
use crate::model::settings::DataSource;
use crate::ports::error::PortError;

/// Why data cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// Nothing may read them: a sentence for people.
    Refused(String),
    /// They may be read, and are not here: a sentence for people, with what brings them here.
    NotHere(String),
}

/// Identifies data outside Git. Only [`remember`](Self::remember) writes.
#[async_trait::async_trait]
pub trait Datasets: Send + Sync {
    /// Tells why the place of the data may not be read, before anything of it is. `None`: it may.
    async fn refused(&self, source: &DataSource) -> Result<Option<String>, PortError>;

    /// Identifies the data at a local path or a remote prefix. `Ok(Err(why))` says that there is no such data.
    ///
    /// A local path is relative to the root of the main working tree. Its content is what counts. Nothing is kept: what
    /// trains makes a copy of exactly that content, or fails where it is another one by then.
    async fn identify(&self, source: &DataSource) -> Result<Result<Dataset, String>, PortError>;

    /// Tells what keeps a training run from data that are identified already: by the commit, or by `version`.
    /// `pointed`: what the commit only points at. `None`: nothing that is known before the training run starts.
    async fn unusable(
        &self,
        source: &DataSource,
        dataset: &Dataset,
        pointed: &[PointedData],
    ) -> Result<Option<Unusable>, PortError>;

    /// Writes down what was identified, so that unchanged files are not read again. Only what acts calls it.
    async fn remember(&self) -> Result<(), PortError>;
}
