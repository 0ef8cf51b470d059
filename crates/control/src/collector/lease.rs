//! The lease on an open job: which worker follows it, and how far its events are stored.

use std::collections::BTreeMap;

use model::{AgentResult, Failure};
use sqlx::types::Json;
use uuid::Uuid;

use crate::services::Services;

/// Seconds until an unrenewed lease expires.
pub(super) const SECONDS: f64 = 30.0;

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
    sqlx::query_as!(
        FollowedJob,
        r#"update toygres.job j set worker = $2, lease_until = clock_timestamp() + make_interval(secs => $3), epoch = epoch + 1
         from (select name from toygres.job
               where ended_at is null and platform = $1 and (lease_until is null or lease_until < clock_timestamp())
               order by created_at limit 32 for update skip locked) open
         where j.name = open.name
         returning j.name, j.run_id, j.step, j.position, j.store, j.log_prefix, j.seq,
             j.result as "result: Json<AgentResult>", j.said as "unnumbered: Json<BTreeMap<String, u32>>",
             j.waiting as "waiting: Json<Failure>", j.epoch"#,
        services.platform_id().0,
        worker,
        SECONDS
    )
    .fetch_all(services.db())
    .await
}

/// Extends the lease.
///
/// # Errors
/// Another worker holds the lease, or the state database is unavailable.
pub(super) async fn renew(services: &Services, job: &FollowedJob) -> anyhow::Result<()> {
    let renewed = sqlx::query!(
        "update toygres.job set lease_until = clock_timestamp() + make_interval(secs => $3) where name = $1 and epoch = $2",
        job.name,
        job.epoch,
        SECONDS
    );
    ensure_held(renewed.execute(services.db()).await?)
}

/// Fails unless the fenced update of a job's row found the row.
pub(super) fn ensure_held(updated: sqlx::postgres::PgQueryResult) -> anyhow::Result<()> {
    anyhow::ensure!(updated.rows_affected() == 1, "the lease was lost: another worker follows the job");
    Ok(())
}

/// Releases the lease, so that the next worker need not wait for its expiry. An error has no other consequence.
pub(super) async fn release(services: &Services, name: &str, epoch: i64) {
    let released = sqlx::query!(
        "update toygres.job set worker = null, lease_until = null where name = $1 and epoch = $2",
        name,
        epoch
    );
    if let Err(error) = released.execute(services.db()).await {
        tracing::debug!(%error, job.name = name, "cannot release the lease of a job; it expires");
    }
}
