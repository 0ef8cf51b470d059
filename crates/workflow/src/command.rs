//! What may be asked of a run from outside: wake, cancel, retry, accept. Each is one conditional statement, so that a
//! race with a worker has one winner.

use sqlx::PgPool;

use crate::start::RunId;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such run.
    #[error("there is no run {0}")]
    Unknown(RunId),
    /// The run is not in a state for it; the state is named.
    #[error("the run is {0}")]
    State(String),
    /// The database did not answer.
    #[error("change the run")]
    Database(#[from] sqlx::Error),
}

/// Cuts a wait short: what the run waits for has happened. Costs nothing when it does not wait.
///
/// # Errors
/// The database did not answer.
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

/// Asks a run to turn back, whatever it does.
///
/// # Errors
/// It has ended, is stuck or turns back already.
pub async fn cancel(db: &PgPool, run: RunId) -> Result<(), CommandError> {
    let done = sqlx::query!(
        "update toygres.run set cancel = true, due_at = clock_timestamp() where id = $1 and state = 'running'",
        run.0
    )
    .execute(db)
    .await?;
    told(db, run, done.rows_affected()).await
}

/// Tries the undo that failed again.
///
/// # Errors
/// The run is not stuck.
pub async fn retry(db: &PgPool, run: RunId) -> Result<(), CommandError> {
    let done = sqlx::query!(
        "with woken as (
             update toygres.run set state = 'undoing', due_at = clock_timestamp(), claims = 0
             where id = $1 and state = 'stuck' returning id, position
         )
         update toygres.step s set state = 'undoing', undo_attempt = 0
         from woken where s.run_id = woken.id and s.position = woken.position",
        run.0
    )
    .execute(db)
    .await?;
    told(db, run, done.rows_affected()).await
}

/// Takes the undo that failed as done by a person, and undoes the steps before it.
///
/// # Errors
/// The run is not stuck.
pub async fn accept(db: &PgPool, run: RunId) -> Result<(), CommandError> {
    let done = sqlx::query!(
        "with woken as (
             update toygres.run set state = 'undoing', due_at = clock_timestamp(), claims = 0
             where id = $1 and state = 'stuck' returning id, position
         )
         update toygres.step s set state = 'undone', undo_finished_at = clock_timestamp()
         from woken where s.run_id = woken.id and s.position = woken.position",
        run.0
    )
    .execute(db)
    .await?;
    told(db, run, done.rows_affected()).await
}

async fn told(db: &PgPool, run: RunId, rows: u64) -> Result<(), CommandError> {
    if rows > 0 {
        return Ok(());
    }
    let state =
        sqlx::query_scalar!("select state from toygres.run where id = $1", run.0).fetch_optional(db).await?;
    Err(state.map_or(CommandError::Unknown(run), CommandError::State))
}
