//! Duties: tasks that one worker does at a time. The lease of a duty says until when no other worker does it.

use std::time::Duration;

use sqlx::PgExecutor;

/// Takes a duty for `lease`, if it is due.
pub(crate) async fn claim(
    db: impl PgExecutor<'_>,
    name: &str,
    worker: &str,
    lease: Duration,
) -> sqlx::Result<bool> {
    let claimed = sqlx::query!(
        "insert into toygres.duty as d (name, worker, lease_until)
         values ($1, $2, clock_timestamp() + make_interval(secs => $3))
         on conflict (name) do update set worker = $2, lease_until = excluded.lease_until
             where d.lease_until < clock_timestamp()",
        name,
        worker,
        lease.as_secs_f64()
    );
    Ok(claimed.execute(db).await?.rows_affected() == 1)
}

/// Ends a duty that `worker` has. It is due again after `interval`.
pub(crate) async fn end(
    db: impl PgExecutor<'_>,
    name: &str,
    worker: &str,
    interval: Duration,
) -> sqlx::Result<()> {
    let ended = sqlx::query!(
        "update toygres.duty set lease_until = clock_timestamp() + make_interval(secs => $3)
         where name = $1 and worker = $2",
        name,
        worker,
        interval.as_secs_f64()
    );
    ended.execute(db).await.map(drop)
}
