//! The lease on an open job: which worker follows it, and how far its events are stored.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{AgentResult, Failure};
use sqlx::types::Json;
use tokio::time::Instant;
use uuid::Uuid;

use crate::services::Services;

/// Seconds until an unrenewed lease expires.
pub(super) const SECONDS: f64 = 30.0;
/// Interval of renewals, and the time limit of one.
const RENEW: Duration = Duration::from_secs(7);
const LOST: &str = "the lease was lost: another worker follows the job";

/// A job that this worker follows.
#[derive(Clone, Debug)]
pub(super) struct FollowedJob {
    pub(super) name: String,
    pub(super) run_id: Uuid,
    pub(super) step: String,
    pub(super) position: i32,
    pub(super) store: Option<Uuid>,
    pub(super) log_prefix: Option<String>,
    /// The number of the last stored event.
    pub(super) seq: i64,
    /// The number of the first log segment that may contain later events.
    pub(super) segment: i32,
    /// The job's result, if its event was received.
    pub(super) result: Option<Json<AgentResult>>,
    /// How often each unnumbered line was stored, by digest.
    pub(super) unnumbered: Json<BTreeMap<String, u32>>,
    /// What the job waits for before it starts.
    pub(super) waiting: Option<Json<Failure>>,
    /// The lease's fencing number: each claim increments it.
    pub(super) epoch: i64,
}

/// Claims up to 32 open jobs without a valid lease.
pub(super) async fn claim(services: &Services, worker: &str) -> sqlx::Result<Vec<FollowedJob>> {
    let claimed = sqlx::query_as!(
        FollowedJob,
        r#"update toygres.job j set worker = $2, lease_until = clock_timestamp() + make_interval(secs => $3), epoch = epoch + 1
         from (select name from toygres.job
               where ended_at is null and platform = $1 and (lease_until is null or lease_until < clock_timestamp())
               order by created_at limit 32 for update skip locked) open
         where j.name = open.name
         returning j.name, j.run_id, j.step, j.position, j.store, j.log_prefix, j.seq, j.segment,
             j.result as "result: Json<AgentResult>", j.said as "unnumbered: Json<BTreeMap<String, u32>>",
             j.waiting as "waiting: Json<Failure>", j.epoch"#,
        services.platform_id().0,
        worker,
        SECONDS
    );
    workflow::limited(claimed.fetch_all(services.db())).await
}

/// Renews the lease, whatever the work beside it waits for, until it is lost. Returns why.
pub(super) async fn keep(services: &Services, name: &str, epoch: i64) -> anyhow::Error {
    let mut held_until = Instant::now() + Duration::from_secs_f64(SECONDS);
    loop {
        tokio::time::sleep(RENEW).await;
        let requested = Instant::now();
        match tokio::time::timeout(RENEW, renew(services, name, epoch)).await {
            Ok(Ok(true)) => held_until = requested + Duration::from_secs_f64(SECONDS),
            Ok(Ok(false)) => return anyhow::anyhow!(LOST),
            Ok(Err(error)) => {
                tracing::warn!(%error, job.name = name, "cannot renew the lease of a job; retrying");
            }
            Err(_) => tracing::warn!(job.name = name, "renewing the lease of a job takes too long; retrying"),
        }
        if Instant::now() >= held_until {
            return anyhow::anyhow!("the lease expired: the state database is unavailable");
        }
    }
}

/// Extends the lease; false if another worker holds it.
async fn renew(services: &Services, name: &str, epoch: i64) -> sqlx::Result<bool> {
    let renewed = sqlx::query!(
        "update toygres.job set lease_until = clock_timestamp() + make_interval(secs => $3)
         where name = $1 and epoch = $2 and ended_at is null",
        name,
        epoch,
        SECONDS
    );
    Ok(renewed.execute(services.db()).await?.rows_affected() == 1)
}

/// Fails unless the fenced update of a job's row found the row.
pub(super) fn ensure_held(updated: sqlx::postgres::PgQueryResult) -> anyhow::Result<()> {
    anyhow::ensure!(updated.rows_affected() == 1, LOST);
    Ok(())
}

/// Releases the lease, so that the next worker need not wait for its expiry. An error has no other consequence.
pub(super) async fn release(services: &Services, name: &str, epoch: i64) {
    let released = sqlx::query!(
        "update toygres.job set worker = null, lease_until = null where name = $1 and epoch = $2",
        name,
        epoch
    );
    if let Err(error) = workflow::limited(released.execute(services.db())).await {
        tracing::debug!(%error, job.name = name, "cannot release the lease of a job; it expires");
    }
}
