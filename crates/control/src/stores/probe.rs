//! Whether a store can be used, by the server and by jobs: the two may be different people to it.

use std::time::Duration;

use model::Outcome;
use model::agent::Work;

use super::access::Opening;
use super::sentence;
use crate::error::{Error, Result};
use crate::jobs;
use crate::services::Services;

/// Somebody waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes, reads, lists and deletes an object, here and in a job.
///
/// # Errors
/// The store refuses one of them; the sentence says what each was told.
pub(super) async fn both(services: &Services, opening: &Opening) -> std::result::Result<(), String> {
    let is_directory = opening.url.starts_with("file:") || opening.url.starts_with("pvc:");
    let (job, server) = if is_directory {
        // The job first: one that is not there yet is then made by the user that writes there.
        (in_a_job(services, opening).await, here(opening).await)
    } else {
        tokio::join!(in_a_job(services, opening), here(opening))
    };
    let told = |side: &str, answer: &std::result::Result<(), String>| match answer {
        Ok(()) => format!("{side}: it works."),
        Err(words) => format!("{side}: {words}"),
    };
    match (&server, &job) {
        (Ok(()), Ok(())) => Ok(()),
        // Said once where both were told the same.
        (Err(one), Err(other)) if one == other => Err(format!("From the server and from a job: {one}")),
        _ => Err(format!("{} {}", told("From the server", &server), told("From a job", &job))),
    }
}

async fn here(opening: &Opening) -> std::result::Result<(), String> {
    let options = opening.options.clone().with_patience(PATIENCE);
    let probed = async { image::Store::existing(&opening.url, &options)?.probe().await };
    probed.await.map_err(|error| sentence(&error.to_string()))
}

async fn in_a_job(services: &Services, opening: &Opening) -> std::result::Result<(), String> {
    let work = Work::ProbeStore { store: opening.url.clone() };
    let found: Result<Outcome> = jobs::alone(services, work, None, Some(opening)).await;
    match found {
        Ok(_) => Ok(()),
        Err(Error::Internal(cause)) => Err(sentence(&format!("the job could not be started: {cause:#}"))),
        Err(error) => Err(error.to_string()),
    }
}
