//! Whether jobs can use a store: an object is written, read, listed and deleted. It knows no server.

use std::time::Duration;

use anyhow::Result;
use image::Store;
use model::{Level, Outcome};

use crate::job::Job;

/// Somebody waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tries the store.
pub(crate) async fn probe(job: &Job, store: &str) -> Result<Outcome> {
    let options = job.store().clone().with_patience(PATIENCE);
    Store::open(store, &options)?.probe().await?;
    job.log(Level::Info, format!("{store}: an object was written, read, listed and deleted"));
    Ok(Outcome::ProbeStore)
}
