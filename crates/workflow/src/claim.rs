//! Taking a run, keeping it and giving it back. It knows nothing of steps.

use std::time::Duration;

use sqlx::PgPool;

use crate::transitions::{ClaimedRun, WriteError, WriteResult};

/// Takes up to `most` runs that are due: each run once, however many workers ask. The statement's time, unlike the
/// clock's, can bound the scan of the index.
pub(crate) async fn claim(
    db: &PgPool,
    worker: &str,
    pools: &[String],
    names: &[String],
    versions: &[i32],
    lease: Duration,
    most: i64,
) -> sqlx::Result<Vec<ClaimedRun>> {
    sqlx::query_as!(
        ClaimedRun,
        "update toygres.run r
         set worker = $1, lease_until = clock_timestamp() + make_interval(secs => $2), epoch = r.epoch + 1,
             claims = r.claims + 1, woken = false
         from (
             select id from toygres.run
             where due_at <= statement_timestamp() and (lease_until is null or lease_until < statement_timestamp())
               and pool = any($3) and (name, version) in (select * from unnest($4::text[], $5::int[]))
             order by due_at limit $6
             for update skip locked
         ) due
         where r.id = due.id
         returning r.id, r.name, r.version, r.input, r.epoch, r.claims",
        worker,
        lease.as_secs_f64(),
        pools,
        names,
        versions,
        most
    )
    .fetch_all(db)
    .await
}

/// When the next run is due that this worker could take, in seconds from now. Runs of workflows that it does not know do
/// not count: it would look for them without end.
pub(crate) async fn next_due(
    db: &PgPool,
    pools: &[String],
    names: &[String],
    versions: &[i32],
) -> sqlx::Result<Option<f64>> {
    sqlx::query_scalar!(
        "select extract(epoch from min(greatest(due_at, coalesce(lease_until, due_at))) - clock_timestamp())::float8
         from toygres.run where due_at is not null and pool = any($1)
           and (name, version) in (select * from unnest($2::text[], $3::int[]))",
        pools,
        names,
        versions
    )
    .fetch_one(db)
    .await
}

/// Makes the lease longer; says whether somebody asked to cancel.
pub(crate) async fn renew(db: &PgPool, held: &ClaimedRun, lease: Duration) -> WriteResult<bool> {
    sqlx::query_scalar!(
        "update toygres.run set lease_until = clock_timestamp() + make_interval(secs => $3)
         where id = $1 and epoch = $2 and worker is not null returning cancel and state = 'running'",
        held.id,
        held.epoch,
        lease.as_secs_f64()
    )
    .fetch_optional(db)
    .await?
    .map(|cancel| cancel.unwrap_or(false))
    .ok_or(WriteError::Lost)
}

/// Gives a run back as it is, for the next worker to take at once.
pub(crate) async fn hand_over(db: &PgPool, held: &ClaimedRun) -> WriteResult {
    let done = sqlx::query!(
        "update toygres.run set worker = null, lease_until = null, due_at = clock_timestamp(),
             claims = greatest(claims - 1, 0)
         where id = $1 and epoch = $2 and worker is not null",
        held.id,
        held.epoch
    )
    .execute(db)
    .await?;
    held_still(done.rows_affected())
}

fn held_still(rows: u64) -> WriteResult {
    if rows > 0 { Ok(()) } else { Err(WriteError::Lost) }
}
