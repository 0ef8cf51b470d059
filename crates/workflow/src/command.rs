//! Commands for runs: wake, cancel, retry, accept. Each is one conditional statement, so that a race with a worker has
//! one winner.

use sqlx::{PgConnection, PgPool};

use crate::run::RunId;

/// Why a command was not executed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The run does not exist.
    #[error("run {0} does not exist")]
    Unknown(RunId),
    /// The command is not possible in this state of the run.
    #[error("the run is {0}")]
    State(String),
    /// The database reported an error.
    #[error("cannot change the run")]
    Database(#[from] sqlx::Error),
}

/// Ends the wait of a step before its time, because what it waits for has happened. No effect if the step does not wait.
///
/// # Errors
/// The database reported an error.
pub async fn wake(db: &PgPool, run: RunId) -> sqlx::Result<()> {
    sqlx::query!(
        "update toygres.run r
         set woken = true,
             due_at = case when s.state = 'waiting' then clock_timestamp() else r.due_at end
         from toygres.step s
         where r.id = $1 and r.state in ('running', 'undoing') and s.run_id = r.id and s.position = r.position",
        run.0
    )
    .execute(db)
    .await
    .map(drop)
}

/// Requests the cancellation of a run: the current call ends and the run rolls back.
///
/// # Errors
/// [`CommandError::State`] if the run has ended, is stuck or rolls back already.
pub async fn cancel(db: &PgPool, run: RunId) -> Result<(), CommandError> {
    cancel_in(&mut *db.acquire().await?, run).await
}

/// The same as [`cancel`], in the caller's transaction.
///
/// # Errors
/// As of [`cancel`].
pub async fn cancel_in(db: &mut PgConnection, run: RunId) -> Result<(), CommandError> {
    let changed = sqlx::query!(
        "update toygres.run set cancel = true, due_at = clock_timestamp() where id = $1 and state = 'running'",
        run.0
    )
    .execute(&mut *db)
    .await?;
    require_changed(db, run, changed.rows_affected()).await
}

/// Repeats the undo that failed.
///
/// # Errors
/// [`CommandError::State`] if the run is not stuck.
pub async fn retry(db: &PgPool, run: RunId) -> Result<(), CommandError> {
    retry_in(&mut *db.acquire().await?, run).await
}

/// The same as [`retry`], in the caller's transaction.
///
/// # Errors
/// As of [`retry`].
pub async fn retry_in(db: &mut PgConnection, run: RunId) -> Result<(), CommandError> {
    let changed = sqlx::query!(
        "with resumed as (
             update toygres.run set state = 'undoing', due_at = clock_timestamp(), claims = 0
             where id = $1 and state = 'stuck' returning id, position
         )
         update toygres.step s set state = 'undoing', undo_attempt = 0
         from resumed where s.run_id = resumed.id and s.position = resumed.position",
        run.0
    )
    .execute(&mut *db)
    .await?;
    require_changed(db, run, changed.rows_affected()).await
}

/// Marks the step whose undo failed as undone and continues the rollback with the steps before it.
///
/// # Errors
/// [`CommandError::State`] if the run is not stuck.
pub async fn accept(db: &PgPool, run: RunId) -> Result<(), CommandError> {
    accept_in(&mut *db.acquire().await?, run).await
}

/// The same as [`accept`], in the caller's transaction.
///
/// # Errors
/// As of [`accept`].
pub async fn accept_in(db: &mut PgConnection, run: RunId) -> Result<(), CommandError> {
    let changed = sqlx::query!(
        "with resumed as (
             update toygres.run set state = 'undoing', due_at = clock_timestamp(), claims = 0
             where id = $1 and state = 'stuck' returning id, position
         )
         update toygres.step s set state = 'undone', undo_finished_at = clock_timestamp()
         from resumed where s.run_id = resumed.id and s.position = resumed.position",
        run.0
    )
    .execute(&mut *db)
    .await?;
    require_changed(db, run, changed.rows_affected()).await
}

async fn require_changed(db: &mut PgConnection, run: RunId, rows: u64) -> Result<(), CommandError> {
    if rows > 0 {
        return Ok(());
    }
    let state =
        sqlx::query_scalar!("select state from toygres.run where id = $1", run.0).fetch_optional(db).await?;
    Err(state.map_or(CommandError::Unknown(run), CommandError::State))
}
