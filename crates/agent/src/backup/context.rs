//! What the parts of a backup share.

use anyhow::Result;
use image::ImageWriter;
use model::agent::PreviousImage;
use model::{Connection, ImageId, ImageType, Location};
use tokio_postgres::Client;

use super::dump::Libpq;
use crate::catalog::Server;
use crate::connect::connect;
use crate::job::Job;
use crate::programs::Programs;

/// What to back up, and the location of the image.
#[derive(Clone, Debug)]
pub(crate) struct BackupTask {
    pub(crate) image: ImageId,
    pub(crate) to: Location,
    pub(crate) source: Connection,
    pub(crate) image_type: ImageType,
    pub(crate) databases: Vec<String>,
    pub(crate) streams: usize,
    pub(crate) bin_dir: Option<String>,
    /// Whether programs with known vulnerabilities are refused.
    pub(crate) fixed_clients: bool,
    /// The newest image of the same databases.
    pub(crate) previous: Option<PreviousImage>,
}

/// A running backup.
pub(super) struct BackupContext<'a> {
    pub(super) job: &'a Job,
    pub(super) task: &'a BackupTask,
    pub(super) image: ImageWriter,
    pub(super) programs: Programs,
    pub(super) libpq: Libpq<'a>,
    pub(super) server: Server,
}

impl BackupContext<'_> {
    /// Connects to a database of the source.
    pub(super) async fn connect(&self, database: &str) -> Result<Client> {
        Ok(connect(self.job, &self.task.source, database).await?)
    }
}
