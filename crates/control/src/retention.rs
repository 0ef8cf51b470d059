//! Deletes log lines, runs and audit entries that are older than their retention, and the oldest log lines if there are too many.

use std::time::Duration;

use crate::duty;
use crate::error::Result;
use crate::services::Services;

/// How many rows one statement deletes, so that it stays within the time limit of statements.
const BATCH: i64 = 1000;
const DAILY: Duration = Duration::from_secs(24 * 3600);
const HOURLY: Duration = Duration::from_secs(3600);

/// Deletes log lines older than the retention and creates the partitions of the coming week: once a day. A failure rolls the
/// claim back.
pub(crate) async fn delete_old_logs(services: &Services, worker: &str) -> Result<()> {
    let mut tx = services.db().begin().await?;
    if duty::claim(&mut *tx, "log-retention", worker, DAILY).await? {
        let days = services.maintenance().log_retention_days;
        sqlx::query!("select toygres.keep_logs($1)", days).fetch_one(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}

/// Deletes the oldest log lines if all of them are too large: once an hour.
pub(crate) async fn limit_logs(services: &Services, worker: &str) -> Result<()> {
    let mut tx = services.db().begin().await?;
    if duty::claim(&mut *tx, "log-size", worker, HOURLY).await? {
        let bytes = services.maintenance().max_log_bytes;
        // Many lines can have to be deleted.
        sqlx::query!("set local statement_timeout = '4min'").execute(&mut *tx).await?;
        sqlx::query!("select toygres.limit_logs($1)", bytes).fetch_one(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}

/// Deletes old runs with their steps and jobs, and old audit entries: once a day.
pub(crate) async fn delete_old_rows(services: &Services, worker: &str) -> Result<()> {
    if duty::claim(services.db(), "row-retention", worker, DAILY).await? {
        while delete_runs(services).await? == BATCH.unsigned_abs() {}
        while delete_audit_entries(services).await? == BATCH.unsigned_abs() {}
    }
    Ok(())
}

/// Runs that existing instances and images refer to are kept, so that their pages have no dead links.
async fn delete_runs(services: &Services) -> Result<u64> {
    let deleted = sqlx::query!(
        "delete from toygres.run where id in (
             select r.id from toygres.run r
             where r.created_at < clock_timestamp() - make_interval(days => $1)
               and r.finished_at < clock_timestamp() - make_interval(days => $1)
               and not exists (select from toygres.image i where i.run = r.id)
               and not exists (select from toygres.instance i where i.run = r.id)
               and not exists (select from toygres.job j where j.run_id = r.id and j.ended_at is null)
             limit $2)",
        services.maintenance().run_retention_days,
        BATCH
    );
    Ok(deleted.execute(services.db()).await?.rows_affected())
}

async fn delete_audit_entries(services: &Services) -> Result<u64> {
    let deleted = sqlx::query!(
        "delete from toygres.audit where id in (
             select id from toygres.audit where at < clock_timestamp() - make_interval(days => $1) limit $2)",
        services.maintenance().audit_retention_days,
        BATCH
    );
    Ok(deleted.execute(services.db()).await?.rows_affected())
}
