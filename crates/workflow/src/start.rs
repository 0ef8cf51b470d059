//! Starting a run: writes its row, all its steps and its locks in the caller's transaction. A trigger notifies workers.

use serde_json::Value;
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use crate::run::{Lock, RunId};
use crate::step::{StepDefinition, Workflow};

/// How to start a run.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// The id of the run. `None` generates one.
    pub id: Option<Uuid>,
    /// The pool of workers that may claim the run.
    pub pool: String,
    /// A JSON object that the engine stores and does not read.
    pub labels: Value,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self { id: None, pool: "default".into(), labels: Value::Object(serde_json::Map::new()) }
    }
}

/// Why a run was not started. Nothing was written. The transaction remains usable only after [`StartError::Locked`].
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another run holds a conflicting lock.
    #[error("{key} is locked by run {run}")]
    Locked {
        /// The lock's key.
        key: String,
        /// The run that holds it.
        run: RunId,
    },
    /// The input cannot be serialized as JSON.
    #[error("cannot serialize the input of the run")]
    Input(#[from] serde_json::Error),
    /// The database reported an error.
    #[error("cannot write the run")]
    Database(#[from] sqlx::Error),
}

/// Writes a run of workflow `W` with all its steps and locks. Workers can claim it when the transaction commits.
///
/// # Errors
/// [`StartError::Locked`] if another run holds a conflicting lock. The run is not queued: the caller must know at once.
pub async fn start<W: Workflow>(
    tx: &mut Transaction<'_, Postgres>,
    input: &W,
    options: StartOptions,
) -> Result<RunId, StartError> {
    let id = options.id.unwrap_or_else(Uuid::now_v7);
    // Exclusive locks sort before shared ones, so that the stronger of two locks on one key remains. The order also
    // prevents deadlocks between starts.
    let mut locks = input.locks();
    locks.sort();
    locks.dedup_by(|b, a| a.key == b.key);
    for lock in &locks {
        refuse_if_locked(tx, lock).await?;
    }
    let input = serde_json::to_value(input)?;
    sqlx::query!(
        "insert into toygres.run (id, name, version, pool, input, labels) values ($1, $2, $3, $4, $5, $6)",
        id,
        W::NAME,
        W::VERSION,
        options.pool,
        input,
        options.labels
    )
    .execute(&mut **tx)
    .await?;
    write_steps(tx, id, &W::steps().list).await?;
    write_locks(tx, id, &locks).await?;
    Ok(RunId(id))
}

async fn write_steps<W: Workflow>(
    tx: &mut PgConnection,
    run: Uuid,
    steps: &[StepDefinition<W>],
) -> sqlx::Result<()> {
    let positions: Vec<i32> = (0_i32..).take(steps.len()).collect();
    let names: Vec<String> = steps.iter().map(|step| step.name.to_owned()).collect();
    let attempts: Vec<i32> = steps.iter().map(|step| step.retry.attempts.max(1)).collect();
    let allowed: Vec<f64> = steps.iter().map(|step| step.allowed.as_secs_f64()).collect();
    sqlx::query!(
        "insert into toygres.step (run_id, position, name, attempts, allowed)
         select $1, s.position, s.name, s.attempts, make_interval(secs => s.allowed)
         from unnest($2::int[], $3::text[], $4::int[], $5::float8[]) as s (position, name, attempts, allowed)",
        run,
        &positions,
        &names,
        &attempts,
        &allowed
    )
    .execute(tx)
    .await
    .map(drop)
}

async fn write_locks(tx: &mut PgConnection, run: Uuid, locks: &[Lock]) -> sqlx::Result<()> {
    for lock in locks {
        sqlx::query!(
            "insert into toygres.run_lock (run_id, key, shared) values ($1, $2, $3)",
            run,
            lock.key,
            lock.shared
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// The advisory lock makes concurrent starts with the same key wait until the other transaction ends, so that its lock
/// rows are visible.
async fn refuse_if_locked(tx: &mut PgConnection, lock: &Lock) -> Result<(), StartError> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('toygres.run_lock/' || $1, 0))", lock.key)
        .execute(&mut *tx)
        .await?;
    let holder = sqlx::query_scalar!(
        "select run_id from toygres.run_lock where key = $1 and (not shared or not $2) limit 1",
        lock.key,
        lock.shared
    )
    .fetch_optional(&mut *tx)
    .await?;
    match holder {
        Some(run) => Err(StartError::Locked { key: lock.key.clone(), run: RunId(run) }),
        None => Ok(()),
    }
}
