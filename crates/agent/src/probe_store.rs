//! Tests whether jobs can use a store: writes, reads, lists and deletes an object.

use std::time::Duration;

use anyhow::Result;
use image::Store;
use model::{Level, Outcome};

use crate::job::Job;

/// How long requests are retried: a user waits for the answer.
const RETRY_LIMIT: Duration = Duration::from_secs(10);

/// Tests a store.
pub(crate) async fn probe(job: &Job, store: &str) -> Result<Outcome> {
    let options = job.store_options().clone().with_retry_limit(RETRY_LIMIT);
    Store::open(store, &options)?.probe().await?;
    job.log(Level::Info, format!("{store}: wrote, read, listed and deleted an object"));
    Ok(Outcome::ProbeStore)
}
