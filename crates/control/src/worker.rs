//! The worker: the engine with every workflow, the log collector, the checks of instances and stores, and the sweeper.

use std::collections::HashSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use workflow::Engine;

use crate::services::Services;
use crate::users::throttle;
use crate::workflows::{
    CreateImage, CreateInstance, DeleteImage, DeleteInstance, RestoreImage, StartInstance, StopInstance,
    TestPlatform, VerifyImage,
};
use crate::{collector, health, retention, store_checks};

/// Interval of the sweeper.
const SWEEP: Duration = Duration::from_secs(300);
/// The pause between two searches for orphaned jobs. Those of a probe whose worker was killed have a password.
const JOB_SWEEP: Duration = Duration::from_secs(30);

/// Works until `stop` is cancelled, then hands over the runs and jobs that it holds.
///
/// # Errors
/// None at present: an unavailable state database is waited for.
pub async fn run(services: Services, worker: String, stop: CancellationToken) -> anyhow::Result<()> {
    let engine = Engine::new(services.db().clone(), services.clone(), worker.clone())
        .pool(services.platform_id().to_string())
        // Every workflow, and every earlier version that a run may still have.
        .register::<CreateImage>()
        .register::<CreateInstance>()
        .register::<RestoreImage>()
        .register::<DeleteInstance>()
        .register::<StartInstance>()
        .register::<StopInstance>()
        .register::<DeleteImage>()
        .register::<VerifyImage>()
        .register::<TestPlatform>();
    let (result, ()) = tokio::join!(engine.run(stop.clone()), beside(services, worker, stop));
    result
}

/// The tasks beside the engine: the log collector, the checks of instances and stores, and the sweeper. Tests bring an engine of
/// their own.
pub async fn beside(services: Services, worker: String, stop: CancellationToken) {
    tokio::join!(
        collector::run(services.clone(), worker.clone(), stop.clone()),
        health::run(services.clone(), worker.clone(), stop.clone()),
        store_checks::run(services.clone(), worker.clone(), stop.clone()),
        sweep_jobs(services.clone(), stop.clone()),
        sweep(services, worker, stop),
    );
}

/// Ends every lease of this platform, so that this worker continues at once what a killed server held. Only for a caller
/// that knows that no other server uses the platform.
///
/// # Errors
/// The state database is unavailable.
pub async fn take_over(services: &Services) -> sqlx::Result<()> {
    let mut tx = services.db().begin().await?;
    sqlx::query!(
        "update toygres.run set lease_until = clock_timestamp() where pool = $1 and worker is not null",
        services.platform_id().to_string()
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update toygres.job set lease_until = clock_timestamp() where platform = $1 and worker is not null",
        services.platform_id().0
    )
    .execute(&mut *tx)
    .await?;
    health::take_over(services, &mut tx).await?;
    tx.commit().await
}

/// Removes what is no longer needed, until `stop` is cancelled. A failed task does not keep the others from running.
async fn sweep(services: Services, worker: String, stop: CancellationToken) {
    loop {
        let swept = async {
            [
                within_limit(throttle::delete_old_failures(services.db())).await,
                within_limit(retention::delete_old_logs(&services, &worker)).await,
                within_limit(retention::limit_logs(&services, &worker)).await,
                within_limit(retention::delete_old_rows(&services, &worker)).await,
            ]
        };
        let swept = tokio::select! {
            () = stop.cancelled() => return,
            swept = swept => swept,
        };
        for error in swept.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "sweeping failed; retrying later");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
}

/// Removes orphaned jobs, until `stop` is cancelled.
async fn sweep_jobs(services: Services, stop: CancellationToken) {
    let mut ended = HashSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            swept = within_limit(remove_orphaned_jobs(&services, &mut ended)) => if let Err(error) = swept {
                tracing::warn!(%error, "sweeping jobs failed; retrying later");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(JOB_SWEEP) => {}
        }
    }
}

/// Ends a task of the sweeper that takes too long, as when the state database does not respond.
async fn within_limit(task: impl Future<Output = crate::Result<()>>) -> crate::Result<()> {
    let ended = tokio::time::timeout(SWEEP, task).await;
    ended.unwrap_or_else(|_| Err(crate::Error::Unavailable("The task took too long.".to_owned())))
}

/// Removes jobs from the platform that had ended at the last search, too, and whose run is unknown or has ended. `ended` are
/// those of the last search: the one that launched a job has this long to read its end.
async fn remove_orphaned_jobs(services: &Services, ended: &mut HashSet<String>) -> crate::Result<()> {
    let jobs = services.platform().jobs().await?;
    let needed: Vec<String> = sqlx::query_scalar!(
        "select j.name from toygres.job j join toygres.run r on r.id = j.run_id
         where j.name = any($1) and (j.ended_at is null or r.finished_at is null)",
        &jobs
    )
    .fetch_all(services.db())
    .await?;
    let before = std::mem::take(ended);
    // The job of a probe has no run. It is not removed while it works.
    for name in jobs.into_iter().filter(|name| !needed.contains(name)) {
        match remove_if_ended(services, &name, before.contains(&name)).await {
            Ok(has_ended) => drop(has_ended.then(|| ended.insert(name))),
            Err(error) => {
                tracing::warn!(%error, job.name = name, "an orphaned job cannot be removed; retrying later");
            }
        }
    }
    Ok(())
}

/// Whether a job has ended. One that had ended before is removed.
async fn remove_if_ended(services: &Services, name: &str, ended_before: bool) -> crate::Result<bool> {
    if !matches!(services.platform().observe(name).await?, platform::JobState::Ended(_)) {
        return Ok(false);
    }
    if ended_before {
        tracing::info!(job.name = name, "removing an orphaned job");
        services.platform().remove(name).await?;
    }
    Ok(!ended_before)
}
