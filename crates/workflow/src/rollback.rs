//! The transitions of a claimed run back to its first step, fenced like those in [`crate::transitions`].

use std::time::Duration;

use sqlx::PgPool;

use crate::claim::{ClaimedRun, WriteResult, fenced, release, release_locks};
use crate::failure::Failure;

/// Starts the rollback at this step, after a permanent failure or (without one) a cancellation. Later steps are skipped.
pub(crate) async fn start(
    db: &PgPool,
    run: &ClaimedRun,
    position: i32,
    failure: Option<&Failure>,
) -> WriteResult {
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
            failure.map(Failure::detail),
            failure.map(Failure::code),
            failure.and_then(Failure::subject)
        )
        .execute(&mut *tx)
        .await?;
        if let Some(failure) = failure {
            sqlx::query!(
                "update toygres.run set error = $2, error_code = $3, error_subject = $4
                 where id = $1 and error is null",
                run.id,
                failure.detail(),
                failure.code(),
                failure.subject()
            )
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query!("update toygres.run set state = 'undoing', claims = 0 where id = $1", run.id)
            .execute(tx)
            .await
            .map(drop)
    })
    .await
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

/// Marks the step as undone unless it was skipped, and moves the run to the step before. The run ends at the first step.
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
            return sqlx::query!(
                "update toygres.run set position = position - 1, claims = 0 where id = $1",
                run.id
            )
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
        release(tx, run, pause).await
    })
    .await
}

/// Records a permanently failed undo. The run keeps its locks and waits for `retry` or `accept`. A cancelled run without a
/// failure keeps none, so that it ends as cancelled.
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
                 error_code = case when cancel or error is not null then error_code else $3 end,
                 error_subject = case when cancel or error is not null then error_subject else $4 end
             where id = $1",
            run.id,
            failure.detail(),
            failure.code(),
            failure.subject()
        )
        .execute(tx)
        .await
        .map(drop)
    })
    .await
}
