//! The log collector: follows the open jobs of this platform, stores their log lines without gaps, and records their
//! progress and their end.
//!
//! One worker follows a job at a time, under a lease. The number of the last stored event is committed together with its
//! line, so that the next worker continues after it.

mod follow;
mod lease;
mod log_batch;
mod reorder_buffer;
mod segments;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::services::Services;
use lease::FollowedJob;

/// Pause between two searches for open jobs.
const POLL: Duration = Duration::from_millis(500);

/// Follows every open job of this platform that no other worker follows, until `stop` is cancelled.
pub(crate) async fn run(services: Services, worker: String, stop: CancellationToken) {
    let mut tasks = tokio::task::JoinSet::new();
    while !stop.is_cancelled() {
        match lease::claim(&services, &worker).await {
            Ok(jobs) => {
                for job in jobs {
                    tasks.spawn(follow_until_stopped(services.clone(), job, stop.clone()));
                }
            }
            Err(error) => tracing::warn!(%error, "cannot search for open jobs; retrying"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(POLL) => {}
            Some(_) = tasks.join_next() => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Follows one job until it ends, its lease is lost or `stop` is cancelled.
async fn follow_until_stopped(services: Services, job: FollowedJob, stop: CancellationToken) {
    let (name, epoch) = (job.name.clone(), job.epoch);
    tokio::select! {
        () = stop.cancelled() => {}
        followed = follow::follow(&services, job) => {
            if let Err(error) = followed {
                tracing::warn!(job.name = name, error = format!("{error:#}"), "following a job failed; retrying");
            }
        }
    }
    lease::release(&services, &name, epoch).await;
}
