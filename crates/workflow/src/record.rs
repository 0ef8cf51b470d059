//! Every write of a worker to a run that it holds. Each names the epoch that the worker believes in; when that is not the
//! run's any more, nothing changes and the answer is [`Lost`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

/// Why a write was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRecorded {
    /// The run is another worker's by now: stop, discard, never repeat.
    #[error("the run was taken over")]
    Lost,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

pub(crate) type Recorded<T = ()> = Result<T, NotRecorded>;

/// A run as its worker holds it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) version: i32,
    pub(crate) input: Value,
    pub(crate) epoch: i64,
    pub(crate) claims: i32,
}

/// Where a held run is.
pub(crate) struct Standing {
    pub(crate) undoing: bool,
    pub(crate) cancel: bool,
    pub(crate) position: i32,
    pub(crate) steps: i32,
    pub(crate) step_state: String,
    pub(crate) attempt: i32,
    pub(crate) attempts: i32,
    pub(crate) undo_attempt: i32,
    pub(crate) overdue: bool,
    /// Seconds until the step's deadline, where it has begun.
    pub(crate) left: Option<f64>,
}

/// Reads where the run is.
pub(crate) async fn standing(db: &PgPool, held: &Held) -> Recorded<Standing> {
    sqlx::query_as!(
        Standing,
        r#"select r.state = 'undoing' as "undoing!", r.cancel, r.position,
               (select count(*) from toygres.step where run_id = r.id)::int as "steps!",
               s.state as step_state, s.attempt, s.attempts, s.undo_attempt,
               coalesce(s.deadline <= clock_timestamp(), false) as "overdue!",
               extract(epoch from s.deadline - clock_timestamp())::float8 as left
         from toygres.run r join toygres.step s on s.run_id = r.id and s.position = r.position
         where r.id = $1 and r.epoch = $2 and r.worker is not null"#,
        held.id,
        held.epoch
    )
    .fetch_optional(db)
    .await?
    .ok_or(NotRecorded::Lost)
}

/// The outputs of the steps that are done.
pub(crate) async fn outputs(db: &PgPool, run: Uuid) -> sqlx::Result<BTreeMap<String, Value>> {
    let rows = sqlx::query!(
        r#"select name, output as "output!" from toygres.step where run_id = $1 and output is not null"#,
        run
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.output)).collect())
}

/// Locks the run's row, if it is still this worker's, until the transaction ends.
async fn fence(db: &PgPool, held: &Held) -> Recorded<Transaction<'static, Postgres>> {
    let mut tx = db.begin().await?;
    sqlx::query_scalar!(
        "select 1 from toygres.run where id = $1 and epoch = $2 and worker is not null for update",
        held.id,
        held.epoch
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(NotRecorded::Lost)?;
    Ok(tx)
}

/// The step begins, or goes on after a wait, a pause or the death of a worker; returns its attempt.
pub(crate) async fn begin(db: &PgPool, held: &Held, position: i32) -> Recorded<i32> {
    let mut tx = fence(db, held).await?;
    let attempt = sqlx::query_scalar!(
        "update toygres.step
         set state = 'running', attempt = greatest(attempt, 1),
             started_at = coalesce(started_at, clock_timestamp()),
             deadline = coalesce(deadline, clock_timestamp() + allowed)
         where run_id = $1 and position = $2 returning attempt",
        held.id,
        position
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(attempt)
}

/// The step is done; the run comes forward, or has succeeded. False: it was the last one and somebody cancelled first.
pub(crate) async fn done(
    db: &PgPool,
    held: &Held,
    position: i32,
    last: bool,
    output: &Value,
) -> Recorded<bool> {
    let mut tx = fence(db, held).await?;
    sqlx::query!(
        "update toygres.step set state = 'done', output = $3, error = null, finished_at = clock_timestamp()
         where run_id = $1 and position = $2",
        held.id,
        position,
        output
    )
    .execute(&mut *tx)
    .await?;
    let came_forward = if last {
        let ended = sqlx::query!(
            "update toygres.run set state = 'succeeded', finished_at = clock_timestamp(), due_at = null, claims = 0,
                 worker = null, lease_until = null where id = $1 and not cancel",
            held.id
        )
        .execute(&mut *tx)
        .await?;
        if ended.rows_affected() > 0 {
            sqlx::query!("delete from toygres.run_lock where run_id = $1", held.id).execute(&mut *tx).await?;
        }
        ended.rows_affected() > 0
    } else {
        sqlx::query!("update toygres.run set position = position + 1, claims = 0 where id = $1", held.id)
            .execute(&mut *tx)
            .await?;
        true
    };
    tx.commit().await?;
    Ok(came_forward)
}

/// The step waits; no worker is held. A wake that came meanwhile counts.
pub(crate) async fn wait(db: &PgPool, held: &Held, position: i32, pause: Duration) -> Recorded {
    let mut tx = fence(db, held).await?;
    sqlx::query!(
        "update toygres.step set state = 'waiting' where run_id = $1 and position = $2",
        held.id,
        position
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update toygres.run r set worker = null, lease_until = null, claims = 0,
             due_at = case when woken or cancel then clock_timestamp() else
                 least(clock_timestamp() + make_interval(secs => $3), s.deadline) end
         from toygres.step s where r.id = $1 and s.run_id = r.id and s.position = $2",
        held.id,
        position,
        pause.as_secs_f64()
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Nothing came of the call, and nothing of it counts: the step, or its undo, is called again.
pub(crate) async fn later(db: &PgPool, held: &Held, pause: Duration) -> Recorded {
    let mut tx = fence(db, held).await?;
    give_back(&mut tx, held, pause).await?;
    tx.commit().await?;
    Ok(())
}

/// The try failed and there will be another one.
pub(crate) async fn retry(db: &PgPool, held: &Held, position: i32, error: &str, pause: Duration) -> Recorded {
    let mut tx = fence(db, held).await?;
    sqlx::query!(
        "update toygres.step set state = 'retrying', attempt = attempt + 1, error = $3
         where run_id = $1 and position = $2",
        held.id,
        position,
        error
    )
    .execute(&mut *tx)
    .await?;
    give_back(&mut tx, held, pause).await?;
    tx.commit().await?;
    Ok(())
}

async fn give_back(
    tx: &mut Transaction<'static, Postgres>,
    held: &Held,
    pause: Duration,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update toygres.run set worker = null, lease_until = null, claims = 0,
             due_at = case when cancel and state = 'running' then clock_timestamp()
                 else least(clock_timestamp() + make_interval(secs => $2),
                     (select deadline from toygres.step s
                      where s.run_id = $1 and s.position = run.position and run.state = 'running')) end
         where id = $1",
        held.id,
        pause.as_secs_f64()
    )
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The step failed for good, or somebody cancelled: undoing begins with this step. Later steps are never begun.
pub(crate) async fn turn_back(db: &PgPool, held: &Held, position: i32, error: Option<&str>) -> Recorded {
    let mut tx = fence(db, held).await?;
    sqlx::query!(
        "update toygres.step
         set state = case when position > $2 or attempt = 0 then 'skipped' when $3::text is null then 'undoing'
                 else 'failed' end,
             error = case when position = $2 then coalesce($3, error) else error end,
             finished_at = case when position = $2 and attempt > 0 then clock_timestamp() else finished_at end
         where run_id = $1 and position >= $2",
        held.id,
        position,
        error
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update toygres.run set state = 'undoing', claims = 0, error = coalesce(error, $2) where id = $1",
        held.id,
        error
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// The undo of a step begins, or goes on.
pub(crate) async fn begin_undo(db: &PgPool, held: &Held, position: i32) -> Recorded {
    let mut tx = fence(db, held).await?;
    sqlx::query!(
        "update toygres.step set state = 'undoing' where run_id = $1 and position = $2",
        held.id,
        position
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// The step is undone, or had nothing to undo; with the first one the run has ended.
pub(crate) async fn undone(db: &PgPool, held: &Held, position: i32) -> Recorded {
    let mut tx = fence(db, held).await?;
    sqlx::query!(
        "update toygres.step set state = 'undone', finished_at = clock_timestamp()
         where run_id = $1 and position = $2 and state not in ('skipped', 'undone')",
        held.id,
        position
    )
    .execute(&mut *tx)
    .await?;
    if position > 0 {
        sqlx::query!("update toygres.run set position = position - 1, claims = 0 where id = $1", held.id)
            .execute(&mut *tx)
            .await?;
    } else {
        sqlx::query!(
            "update toygres.run set state = case when error is null then 'cancelled' else 'failed' end,
                 finished_at = clock_timestamp(), due_at = null, claims = 0, worker = null, lease_until = null
             where id = $1",
            held.id
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("delete from toygres.run_lock where run_id = $1", held.id).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The undo failed and will be tried again.
pub(crate) async fn retry_undo(
    db: &PgPool,
    held: &Held,
    position: i32,
    error: &str,
    pause: Duration,
) -> Recorded {
    let mut tx = fence(db, held).await?;
    sqlx::query!(
        "update toygres.step set undo_attempt = undo_attempt + 1, error = coalesce(error, $3)
         where run_id = $1 and position = $2",
        held.id,
        position,
        error
    )
    .execute(&mut *tx)
    .await?;
    give_back(&mut tx, held, pause).await?;
    tx.commit().await?;
    Ok(())
}

/// The undo failed for good: a person is needed. The locks stay held.
pub(crate) async fn stuck(db: &PgPool, held: &Held, position: i32, error: &str) -> Recorded {
    let mut tx = fence(db, held).await?;
    sqlx::query!(
        "update toygres.step set state = 'stuck', error = $3 where run_id = $1 and position = $2",
        held.id,
        position,
        error
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update toygres.run set state = 'stuck', due_at = null, claims = 0, worker = null, lease_until = null,
             error = case when cancel then error else coalesce(error, $2) end where id = $1",
        held.id,
        error
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}
