//! Claims of runs: how a worker takes a run, keeps it, writes under it and returns it. It knows nothing of steps.

use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::connection::limited;

/// A run that this worker claimed.
#[derive(Clone, Debug)]
pub(crate) struct ClaimedRun {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) version: i32,
    pub(crate) input: Value,
    pub(crate) epoch: i64,
    pub(crate) claims: i32,
}

/// Why a write was rejected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Another worker holds the run: stop and discard the result.
    #[error("another worker holds the run")]
    Lost,
    /// The database reported an error.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

pub(crate) type WriteResult<T = ()> = Result<T, WriteError>;

/// Claims up to `limit` due runs. Concurrent callers never claim the same run. `statement_timestamp()` is stable, unlike
/// `clock_timestamp()`, so that the index on `due_at` can be used.
pub(crate) async fn claim(
    db: &PgPool,
    worker: &str,
    pools: &[String],
    names: &[String],
    versions: &[i32],
    lease: Duration,
    limit: i64,
) -> sqlx::Result<Vec<ClaimedRun>> {
    let claimed = sqlx::query_as!(
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
        limit
    );
    limited(claimed.fetch_all(db)).await
}

/// Seconds until the next run is due that this worker can claim. Runs of unregistered workflows are excluded: a due run
/// that cannot be claimed would make the worker poll without a pause.
pub(crate) async fn next_due(
    db: &PgPool,
    pools: &[String],
    names: &[String],
    versions: &[i32],
) -> sqlx::Result<Option<f64>> {
    let next = sqlx::query_scalar!(
        "select extract(epoch from min(greatest(due_at, coalesce(lease_until, due_at))) - clock_timestamp())::float8
         from toygres.run where due_at is not null and pool = any($1)
           and (name, version) in (select * from unnest($2::text[], $3::int[]))",
        pools,
        names,
        versions
    );
    limited(next.fetch_one(db)).await
}

/// Extends the lease. Returns whether a cancellation of the run was requested.
pub(crate) async fn renew(db: &PgPool, run: &ClaimedRun, lease: Duration) -> WriteResult<bool> {
    sqlx::query_scalar!(
        r#"update toygres.run set lease_until = clock_timestamp() + make_interval(secs => $3)
         where id = $1 and epoch = $2 and worker is not null returning cancel and state = 'running' as "cancel!""#,
        run.id,
        run.epoch,
        lease.as_secs_f64()
    )
    .fetch_optional(db)
    .await?
    .ok_or(WriteError::Lost)
}

/// Runs `write` in a transaction that locks the run's row, and commits. Writes nothing if this worker no longer holds the
/// run.
pub(crate) async fn fenced<T>(
    db: &PgPool,
    run: &ClaimedRun,
    write: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
) -> WriteResult<T> {
    limited(async {
        let mut tx = db.begin().await?;
        sqlx::query_scalar!(
            "select 1 from toygres.run where id = $1 and epoch = $2 and worker is not null for update",
            run.id,
            run.epoch
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(WriteError::Lost)?;
        let written = write(&mut tx).await?;
        tx.commit().await?;
        Ok(written)
    })
    .await
}

/// A claim that its worker gave up, because the database did not respond.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AbandonedClaim {
    pub(crate) run: Uuid,
    pub(crate) epoch: i64,
}

/// Returns the runs of abandoned claims that no other worker has taken over. Their claims do not count as lost workers.
pub(crate) async fn give_back(db: &PgPool, abandoned: &[AbandonedClaim]) -> sqlx::Result<()> {
    let (runs, epochs): (Vec<Uuid>, Vec<i64>) =
        abandoned.iter().map(|claim| (claim.run, claim.epoch)).unzip();
    let given_back = sqlx::query!(
        "update toygres.run r set worker = null, lease_until = null, due_at = clock_timestamp(),
             claims = greatest(r.claims - 1, 0)
         from unnest($1::uuid[], $2::bigint[]) as a (id, epoch)
         where r.id = a.id and r.epoch = a.epoch and r.worker is not null",
        &runs,
        &epochs
    );
    limited(given_back.execute(db)).await.map(drop)
}

/// Returns an unchanged run when the worker stops. Another worker can claim it immediately.
pub(crate) async fn hand_over(db: &PgPool, run: &ClaimedRun) -> WriteResult {
    let handed_over = sqlx::query!(
        "update toygres.run set worker = null, lease_until = null, due_at = clock_timestamp(),
             claims = greatest(claims - 1, 0)
         where id = $1 and epoch = $2 and worker is not null",
        run.id,
        run.epoch
    );
    let changed = limited(handed_over.execute(db)).await?;
    if changed.rows_affected() > 0 { Ok(()) } else { Err(WriteError::Lost) }
}

/// Returns the run until the pause or the step's deadline is over. A cancelled run that does not roll back yet is due at
/// once.
pub(crate) async fn release(tx: &mut PgConnection, run: &ClaimedRun, pause: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "update toygres.run set worker = null, lease_until = null, claims = 0,
             due_at = case when cancel and state = 'running' then clock_timestamp()
                 else least(clock_timestamp() + make_interval(secs => $2),
                     (select deadline from toygres.step s
                      where s.run_id = $1 and s.position = run.position and run.state = 'running')) end
         where id = $1",
        run.id,
        pause.as_secs_f64()
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Deletes the locks of a run that has ended.
pub(crate) async fn release_locks(tx: &mut PgConnection, run: Uuid) -> sqlx::Result<()> {
    sqlx::query!("delete from toygres.run_lock where run_id = $1", run).execute(tx).await.map(drop)
}
