//! Tests a store from the server and from a job, which may have different networks, accounts and identities; and its keys for
//! reading.

use std::time::Duration;

use image::StoreOptions;
use model::agent::Work;
use model::{Failure, FailureCode};

use crate::error::{Error, Result};
use crate::jobs;
use crate::services::Services;
use crate::stores::access::Opening;

/// How long requests are retried: a user waits for the result.
const RETRY_LIMIT: Duration = Duration::from_secs(10);

/// Writes, reads, lists and deletes an object from the server and from a job.
///
/// # Errors
/// [`Error::Failed`]: one of them failed. The failure says which one, unless both failed in the same way.
pub(super) async fn probe_store(services: &Services, opening: &Opening) -> Result<()> {
    let is_directory = opening.url.starts_with("file:") || opening.url.starts_with("pvc:");
    let (job, server) = if is_directory {
        // The job first: it creates a missing directory as the account that writes there later.
        (from_job(services, opening).await, from_server(opening).await)
    } else {
        tokio::join!(from_job(services, opening), from_server(opening))
    };
    match (failure_of(server)?, failure_of(job)?) {
        (None, None) => reading_keys(opening).await,
        // The details differ in the key of the test object.
        (Some(server), Some(job)) if server.code == job.code => Err(job.into()),
        (Some(server), None) => Err(with_detail(&server, format!("from the server only: {server}"))),
        (None, Some(job)) => Err(with_detail(&job, format!("from a job only: {job}"))),
        (Some(server), Some(job)) => {
            Err(with_detail(&job, format!("from a job: {job}; from the server: {server}")))
        }
    }
}

async fn from_server(opening: &Opening) -> Result<()> {
    let options = opening.options.clone().with_retry_limit(RETRY_LIMIT);
    Ok(image::Store::existing(&opening.url, &options)?.probe().await?)
}

/// Tests the keys for reading, if there are any.
async fn reading_keys(opening: &Opening) -> Result<()> {
    let Some(reading) = &opening.reading else { return Ok(()) };
    let open = |options: &StoreOptions| {
        image::Store::existing(&opening.url, &options.clone().with_retry_limit(RETRY_LIMIT))
    };
    let tested = open(&opening.options)?.probe_reading(&open(reading)?).await;
    match tested.map_err(|error| error.failure()) {
        Err(failure) if failure.code != FailureCode::StoreReadingKeysTooWide => {
            Err(with_detail(&failure, format!("with the keys for reading: {failure}")))
        }
        other => Ok(other?),
    }
}

async fn from_job(services: &Services, opening: &Opening) -> Result<()> {
    let work = Work::ProbeStore { store: opening.url.clone() };
    jobs::run_alone(services, work, None, None, Some(opening)).await.map(drop)
}

fn failure_of(probed: Result<()>) -> Result<Option<Failure>> {
    match probed {
        Ok(()) => Ok(None),
        Err(Error::Failed(failure)) => Ok(Some(failure)),
        Err(error) => Err(error),
    }
}

fn with_detail(failure: &Failure, detail: String) -> Error {
    Failure { detail, ..failure.clone() }.into()
}
