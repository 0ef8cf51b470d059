//! The worker: the engine with every workflow, the log collector, the look after instances, the sweeper.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use workflow::Engine;

use crate::services::Services;
use crate::workflows::{
    CreateImage, CreateInstance, DeleteImage, DeleteInstance, RestoreImage, StartInstance, StopInstance,
    TestPlatform, VerifyImage,
};
use crate::{collector, health};

/// Works until `stop` ends; what it holds is handed over then.
///
/// # Errors
/// None as of now; a CMS that does not answer is waited for.
pub async fn run(services: Services, worker: String, stop: CancellationToken) -> anyhow::Result<()> {
    let engine = Engine::new(services.db().clone(), services.clone(), worker.clone())
        .pool(services.platform_id().to_string())
        // The registry: every workflow, and every old version of which runs may live.
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

/// Everything but the engine: follows jobs, looks after instances, sweeps. A test of workflows brings an engine of its own.
pub async fn beside(services: Services, worker: String, stop: CancellationToken) {
    tokio::join!(
        collector::run(services.clone(), worker.clone(), stop.clone()),
        health::run(services.clone(), worker, stop.clone()),
        sweep(services, stop),
    );
}

/// Ends every lease of this platform at once. Only for who knows that no other server works on it: what a killed server
/// held is then gone on with at once, not when its leases end.
///
/// # Errors
/// The CMS does not answer.
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
    tx.commit().await
}

/// Takes away jobs that no run knows any more, and sessions and runs that are over for long.
async fn sweep(services: Services, stop: CancellationToken) {
    loop {
        if let Err(error) = sweep_once(&services).await {
            tracing::warn!(%error, "sweeping failed; trying again later");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(300)) => {}
        }
    }
}

async fn sweep_once(services: &Services) -> crate::Result<()> {
    let orphans = services.platform().jobs().await?;
    let known: Vec<String> = sqlx::query_scalar!(
        "select j.name from toygres.job j join toygres.run r on r.id = j.run_id
         where j.name = any($1) and (j.ended_at is null or r.finished_at is null)",
        &orphans
    )
    .fetch_all(services.db())
    .await?;
    // A probe has no run and lives a minute; it is not an orphan while it works.
    for name in orphans.iter().filter(|name| !known.contains(name)) {
        if matches!(services.platform().observe(name).await?, platform::JobState::Ended(_)) {
            tracing::info!(job.name = name, "an orphan job is taken away");
            services.platform().remove(name).await?;
        }
    }
    sqlx::query!("delete from toygres.session where expires_at < clock_timestamp()")
        .execute(services.db())
        .await?;
    sqlx::query!("delete from toygres.login_guess where last_at < clock_timestamp() - interval '1 day'")
        .execute(services.db())
        .await?;
    Ok(())
}
