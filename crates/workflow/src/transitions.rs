//! The state transitions that a worker writes for a run that it holds. Each names the epoch that the worker believes in;
//! if the run has another epoch, nothing changes and the result is [`WriteError::Lost`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::step::Failure;

/// Why a transition was not written.
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

/// The current step of a claimed run.
pub(crate) struct RunPosition {
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

/// Reads the current step of the run.
pub(crate) async fn standing(db: &PgPool, run: &ClaimedRun) -> WriteResult<RunPosition> {
    sqlx::query_as!(
        RunPosition,
        r#"select r.state = 'undoing' as "undoing!", r.cancel, r.position,
               (select count(*) from toygres.step where run_id = r.id)::int as "steps!",
               s.state as step_state, s.attempt, s.attempts, s.undo_attempt,
               coalesce(s.deadline <= clock_timestamp(), false) as "overdue!",
               extract(epoch from s.deadline - clock_timestamp())::float8 as left
         from toygres.run r join toygres.step s on s.run_id = r.id and s.position = r.position
         where r.id = $1 and r.epoch = $2 and r.worker is not null"#,
        run.id,
        run.epoch
    )
    .fetch_optional(db)
    .await?
    .ok_or(WriteError::Lost)
}

/// The outputs of the completed steps, by step name.
pub(crate) async fn outputs(db: &PgPool, run: Uuid) -> sqlx::Result<BTreeMap<String, Value>> {
    let rows = sqlx::query!(
        r#"select name, output as "output!" from toygres.step where run_id = $1 and output is not null"#,
        run
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.output)).collect())
}

/// Runs `write` in a transaction that holds the run's row, and commits; nothing is written if the worker no longer holds it.
async fn fenced<T>(
    db: &PgPool,
    run: &ClaimedRun,
    write: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
) -> WriteResult<T> {
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
}

/// Starts the step, or continues it after a wait, a pause or the loss of a worker; returns its attempt.
pub(crate) async fn begin(db: &PgPool, run: &ClaimedRun, position: i32) -> WriteResult<i32> {
    fenced(db, run, async |tx| {
        sqlx::query_scalar!(
            "update toygres.step
             set state = 'running', attempt = greatest(attempt, 1),
                 started_at = coalesce(started_at, clock_timestamp()),
                 deadline = coalesce(deadline, clock_timestamp() + allowed)
             where run_id = $1 and position = $2 returning attempt",
            run.id,
            position
        )
        .fetch_one(tx)
        .await
    })
    .await
}

/// Marks the step done and advances the run, or ends it after the last step. Returns false if a cancellation came first.
pub(crate) async fn done(
    db: &PgPool,
    run: &ClaimedRun,
    position: i32,
    last: bool,
    output: &Value,
) -> WriteResult<bool> {
    fenced(db, run, async |tx| {
        sqlx::query!(
            "update toygres.step set state = 'done', output = $3, error = null, error_code = null, error_subject = null,
                 finished_at = clock_timestamp()
             where run_id = $1 and position = $2",
            run.id,
            position,
            output
        )
        .execute(&mut *tx)
        .await?;
        if last {
            return succeed(tx, run.id).await;
        }
        sqlx::query!("update toygres.run set position = position + 1, claims = 0 where id = $1", run.id)
            .execute(tx)
            .await?;
        Ok(true)
    })
    .await
}

/// Ends the run, unless it was cancelled.
async fn succeed(tx: &mut PgConnection, run: Uuid) -> sqlx::Result<bool> {
    let ended = sqlx::query!(
        "update toygres.run set state = 'succeeded', finished_at = clock_timestamp(), due_at = null, claims = 0,
             worker = null, lease_until = null where id = $1 and not cancel",
        run
    )
    .execute(&mut *tx)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(false);
    }
    release_locks(tx, run).await.map(|()| true)
}

async fn release_locks(tx: &mut PgConnection, run: Uuid) -> sqlx::Result<()> {
    sqlx::query!("delete from toygres.run_lock where run_id = $1", run).execute(tx).await.map(drop)
}

/// Lets the step wait without a worker. A wake-up that came in the meantime counts.
pub(crate) async fn wait(db: &PgPool, run: &ClaimedRun, position: i32, pause: Duration) -> WriteResult {
    fenced(db, run, async |tx| {
        sqlx::query!(
            "update toygres.step set state = 'waiting' where run_id = $1 and position = $2",
            run.id,
            position
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "update toygres.run r set worker = null, lease_until = null, claims = 0,
                 due_at = case when woken or cancel then clock_timestamp() else
                     least(clock_timestamp() + make_interval(secs => $3), s.deadline) end
             from toygres.step s where r.id = $1 and s.run_id = r.id and s.position = $2",
            run.id,
            position,
            pause.as_secs_f64()
        )
        .execute(tx)
        .await
        .map(drop)
    })
    .await
}

/// Schedules the same call of the step, or of its undo, without counting an attempt.
pub(crate) async fn later(db: &PgPool, run: &ClaimedRun, pause: Duration) -> WriteResult {
    fenced(db, run, async |tx| give_back(tx, run, pause).await).await
}

/// Records a failed attempt that will be followed by another one.
pub(crate) async fn retry(
    db: &PgPool,
    run: &ClaimedRun,
    position: i32,
    failure: &Failure,
    pause: Duration,
) -> WriteResult {
    fenced(db, run, async |tx| {
        sqlx::query!(
            "update toygres.step
             set state = 'retrying', attempt = attempt + 1, error = $3, error_code = $4, error_subject = $5,
                 first_failure = coalesce(first_failure, $6)
             where run_id = $1 and position = $2",
            run.id,
            position,
            failure.detail(),
            failure.code(),
            failure.subject(),
            failure.to_json()
        )
        .execute(&mut *tx)
        .await?;
        give_back(tx, run, pause).await
    })
    .await
}

async fn give_back(tx: &mut PgConnection, run: &ClaimedRun, pause: Duration) -> sqlx::Result<()> {
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

/// Starts the rollback at this step, after a permanent failure or (without one) a cancellation. Later steps are skipped.
pub(crate) async fn turn_back(
    db: &PgPool,
    run: &ClaimedRun,
    position: i32,
    failure: Option<&Failure>,
) -> WriteResult {
    let (error, code) = (failure.map(Failure::detail), failure.map(Failure::code));
    let subject = failure.and_then(Failure::subject);
    fenced(db, run, async |tx| {
        sqlx::query!(
            "update toygres.step
             set state = case when position > $2 or attempt = 0 then 'skipped' when $4::text is null then 'undoing'
                     else 'failed' end,
                 error = case when position = $2 and $4::text is not null then $3 else error end,
                 error_code = case when position = $2 and $4::text is not null then $4 else error_code end,
                 error_subject = case when position = $2 and $4::text is not null then $5 else error_subject end,
                 finished_at = case when position = $2 and attempt > 0 then clock_timestamp() else finished_at end
             where run_id = $1 and position >= $2",
            run.id,
            position,
            error,
            code,
            subject
        )
        .execute(&mut *tx)
        .await?;
        record_error(tx, run.id, failure).await?;
        sqlx::query!("update toygres.run set state = 'undoing', claims = 0 where id = $1", run.id)
            .execute(tx)
            .await
            .map(drop)
    })
    .await
}

/// Records the failure of a run that has none yet.
async fn record_error(tx: &mut PgConnection, run: Uuid, failure: Option<&Failure>) -> sqlx::Result<()> {
    let Some(failure) = failure else { return Ok(()) };
    sqlx::query!(
        "update toygres.run set error = $2, error_code = $3, error_subject = $4 where id = $1 and error is null",
        run,
        failure.detail(),
        failure.code(),
        failure.subject()
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Starts the undo of a step, or continues it.
pub(crate) async fn begin_undo(db: &PgPool, run: &ClaimedRun, position: i32) -> WriteResult {
    fenced(db, run, async |tx| {
        sqlx::query!(
            "update toygres.step set state = 'undoing', undo_started_at = coalesce(undo_started_at, clock_timestamp())
             where run_id = $1 and position = $2",
            run.id,
            position
        )
        .execute(tx)
        .await
        .map(drop)
    })
    .await
}

/// Marks the step rolled back, or skips one that has nothing to undo; the run ends after the first step.
pub(crate) async fn undone(db: &PgPool, run: &ClaimedRun, position: i32) -> WriteResult {
    fenced(db, run, async |tx| {
        sqlx::query!(
            "update toygres.step set state = 'undone', undo_finished_at = clock_timestamp()
             where run_id = $1 and position = $2 and state not in ('skipped', 'undone')",
            run.id,
            position
        )
        .execute(&mut *tx)
        .await?;
        if position > 0 {
            return sqlx::query!("update toygres.run set position = position - 1, claims = 0 where id = $1", run.id)
                .execute(tx)
                .await
                .map(drop);
        }
        sqlx::query!(
            "update toygres.run set state = case when error is null then 'cancelled' else 'failed' end,
                 finished_at = clock_timestamp(), due_at = null, claims = 0, worker = null, lease_until = null
             where id = $1",
            run.id
        )
        .execute(&mut *tx)
        .await?;
        release_locks(tx, run.id).await
    })
    .await
}

/// Records a failed undo that will be retried.
pub(crate) async fn retry_undo(
    db: &PgPool,
    run: &ClaimedRun,
    position: i32,
    failure: &Failure,
    pause: Duration,
) -> WriteResult {
    fenced(db, run, async |tx| {
        sqlx::query!(
            "update toygres.step set undo_attempt = undo_attempt + 1, undo_failure = $3
             where run_id = $1 and position = $2",
            run.id,
            position,
            failure.to_json()
        )
        .execute(&mut *tx)
        .await?;
        give_back(tx, run, pause).await
    })
    .await
}

/// Records a permanently failed undo: the run waits for a decision and keeps its locks.
pub(crate) async fn stuck(db: &PgPool, run: &ClaimedRun, position: i32, failure: &Failure) -> WriteResult {
    fenced(db, run, async |tx| {
        sqlx::query!(
            "update toygres.step set state = 'stuck', undo_failure = $3 where run_id = $1 and position = $2",
            run.id,
            position,
            failure.to_json()
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "update toygres.run set state = 'stuck', due_at = null, claims = 0, worker = null, lease_until = null,
                 error = case when cancel then error else coalesce(error, $2) end,
                 error_code = case when cancel or error is not null then error_code else $3 end
             where id = $1",
            run.id,
            failure.detail(),
            failure.code()
        )
        .execute(tx)
        .await
        .map(drop)
    })
    .await
}
