//! The transitions of a claimed run towards its last step. Each is fenced by the run's epoch: if another worker has claimed
//! the run since, nothing changes and the result is [`WriteError::Lost`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::claim::{ClaimedRun, WriteError, WriteResult, fenced, release, release_locks};
use crate::connection::limited;
use crate::failure::Failure;

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
}

impl RunPosition {
    /// Whether the step has no effect that the rollback must undo.
    pub(crate) fn has_nothing_to_undo(&self) -> bool {
        self.attempt == 0 || self.step_state == "undone"
    }
}

/// Reads the current step of the run.
pub(crate) async fn position(db: &PgPool, run: &ClaimedRun) -> WriteResult<RunPosition> {
    let position = sqlx::query_as!(
        RunPosition,
        r#"select r.state = 'undoing' as "undoing!", r.cancel, r.position,
               (select count(*) from toygres.step where run_id = r.id)::int as "steps!",
               s.state as step_state, s.attempt, s.attempts, s.undo_attempt,
               coalesce(s.deadline <= clock_timestamp(), false) as "overdue!"
         from toygres.run r join toygres.step s on s.run_id = r.id and s.position = r.position
         where r.id = $1 and r.epoch = $2 and r.worker is not null"#,
        run.id,
        run.epoch
    );
    limited(position.fetch_optional(db)).await?.ok_or(WriteError::Lost)
}

/// The outputs of the completed steps, by step name.
pub(crate) async fn outputs(db: &PgPool, run: Uuid) -> sqlx::Result<BTreeMap<String, Value>> {
    let outputs = sqlx::query!(
        r#"select name, output as "output!" from toygres.step where run_id = $1 and output is not null"#,
        run
    );
    let rows = limited(outputs.fetch_all(db)).await?;
    Ok(rows.into_iter().map(|row| (row.name, row.output)).collect())
}

/// A step that has begun.
pub(crate) struct Begun {
    pub(crate) attempt: i32,
    /// Seconds until its deadline.
    left: f64,
}

impl Begun {
    /// The time until its deadline.
    pub(crate) fn left(&self) -> Duration {
        Duration::try_from_secs_f64(self.left.max(0.0)).unwrap_or(Duration::MAX)
    }
}

/// Starts the step, or continues it after a wait, a pause or the loss of a worker.
pub(crate) async fn begin(db: &PgPool, run: &ClaimedRun, position: i32) -> WriteResult<Begun> {
    fenced(db, run, async |tx| {
        sqlx::query_as!(
            Begun,
            r#"update toygres.step
             set state = 'running', attempt = greatest(attempt, 1),
                 started_at = coalesce(started_at, clock_timestamp()),
                 deadline = coalesce(deadline, clock_timestamp() + allowed)
             where run_id = $1 and position = $2
             returning attempt, extract(epoch from deadline - clock_timestamp())::float8 as "left!""#,
            run.id,
            position
        )
        .fetch_one(tx)
        .await
    })
    .await
}

/// Moves the deadline of the step, because the database's clock jumped.
pub(crate) async fn move_deadline(
    db: &PgPool,
    run: &ClaimedRun,
    position: i32,
    left: Duration,
) -> WriteResult {
    fenced(db, run, async |tx| {
        sqlx::query!(
            "update toygres.step set deadline = clock_timestamp() + make_interval(secs => $3)
             where run_id = $1 and position = $2",
            run.id,
            position,
            left.as_secs_f64()
        )
        .execute(tx)
        .await
        .map(drop)
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

/// Lets the step wait without a worker. A wake-up since the claim makes the run due at once.
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
    fenced(db, run, async |tx| release(tx, run, pause).await).await
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
        release(tx, run, pause).await
    })
    .await
}
