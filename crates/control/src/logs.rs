//! The log of a run: lines numbered from 1 without gaps, kept in chunks. It knows nothing of where lines come from.

use chrono::{DateTime, Utc};
use model::{Level, LogLine, RunId};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::error::Result;
use crate::services::Services;

/// A line before it has a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) at: DateTime<Utc>,
    pub(crate) level: Level,
    pub(crate) step: String,
    pub(crate) message: String,
}

/// Adds lines to a run's log, in the caller's transaction: numbers are given under the run's row lock.
pub(crate) async fn append(db: &mut PgConnection, run: RunId, lines: &[Line]) -> sqlx::Result<()> {
    let count = i64::try_from(lines.len()).unwrap_or(0);
    if count == 0 {
        return Ok(());
    }
    let last = sqlx::query_scalar!(
        "insert into toygres.run_log as l (run_id, lines) values ($1, $2)
         on conflict (run_id) do update set lines = l.lines + $2 returning lines",
        run.0,
        count
    )
    .fetch_one(&mut *db)
    .await?;
    sqlx::query!(
        "insert into toygres.log_chunk (run_id, first, last, lines) values ($1, $2, $3, $4)",
        run.0,
        last - count + 1,
        last,
        sqlx::types::Json(lines) as _
    )
    .execute(&mut *db)
    .await
    .map(drop)
}

/// The lines after number `after`, at most about `limit`.
pub(crate) async fn read(services: &Services, run: RunId, after: i64, limit: i64) -> Result<Vec<LogLine>> {
    let chunks = sqlx::query!(
        r#"select first, lines as "lines: sqlx::types::Json<Vec<Line>>" from (
               select first, lines, (sum(last - first + 1) over (order by first))::bigint - (last - first + 1) as before
               from toygres.log_chunk where run_id = $1 and last > $2
           ) chunks where before < $3 order by first"#,
        run.0,
        after,
        limit
    )
    .fetch_all(services.db())
    .await?;
    Ok(chunks
        .into_iter()
        .flat_map(|chunk| (chunk.first..).zip(chunk.lines.0))
        .map(|(n, line)| LogLine {
            n,
            at: line.at,
            level: line.level,
            step: line.step,
            message: line.message,
        })
        .filter(|line| line.n > after)
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .collect())
}
