//! The log of a run: lines numbered from 1 without gaps, stored in chunks. It does not know where lines come from.

mod events;

use chrono::{DateTime, Utc};
use model::log::single_line;
use model::run::step_title;
use model::{Level, LogFilter, LogLine, LogPage, LogStretch, RunId, WorkflowName};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor};

use self::events::Event;
use crate::error::Result;
use crate::services::Services;

/// A line without its number: the text of a job or the platform, or an event of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) at: DateTime<Utc>,
    pub(crate) level: Level,
    pub(crate) step: String,
    pub(crate) message: String,
    #[serde(flatten)]
    pub(crate) event: Option<Event>,
}

impl Line {
    /// A line of text, by the clock of this process.
    pub(crate) fn new(level: Level, step: &str, message: &str) -> Self {
        Self::at(Utc::now(), level, step, message)
    }

    /// A line of text. Foreign text may contain line breaks, terminal escapes and characters that reorder text; none of
    /// them is stored.
    pub(crate) fn at(at: DateTime<Utc>, level: Level, step: &str, message: &str) -> Self {
        Self { at, level, step: step.to_owned(), message: single_line(message), event: None }
    }

    fn numbered(self, n: i64, workflow: WorkflowName) -> LogLine {
        let message = match self.event {
            // A trigger wrote the event with the raw text of the failure.
            Some(event) => single_line(&event.message(&step_title(workflow, &self.step))),
            None => self.message,
        };
        LogLine { n, at: self.at, level: self.level, step: self.step, message }
    }
}

/// Appends lines to a run's log in the caller's transaction; a row lock serializes the numbers.
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

/// Appends a line unless the step has one with the same text.
pub(crate) async fn append_once(db: &mut PgConnection, run: RunId, line: &Line) -> sqlx::Result<()> {
    let exists = sqlx::query_scalar!(
        r#"select exists (
               select from toygres.log_chunk c cross join lateral jsonb_array_elements(c.lines) e (line)
               where c.run_id = $1 and e.line ->> 'step' = $2 and e.line ->> 'message' = $3) as "exists!""#,
        run.0,
        line.step,
        line.message
    )
    .fetch_one(&mut *db)
    .await?;
    if exists { Ok(()) } else { append(db, run, std::slice::from_ref(line)).await }
}

/// The lines after number `after`, at most about `limit`.
pub(crate) async fn read(
    db: impl PgExecutor<'_>,
    run: RunId,
    after: i64,
    limit: i64,
) -> Result<Vec<LogLine>> {
    let chunks = sqlx::query!(
        r#"select first, lines as "lines: sqlx::types::Json<Vec<Line>>",
               (select name from toygres.run where id = $1) as workflow from (
               select first, lines, (sum(last - first + 1) over (order by first))::bigint - (last - first + 1) as before
               from toygres.log_chunk where run_id = $1 and last > $2
           ) chunks where before < $3 order by first"#,
        run.0,
        after,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(chunks
        .into_iter()
        .flat_map(|chunk| {
            let workflow = WorkflowName::of(chunk.workflow.as_deref().unwrap_or_default());
            (chunk.first..).zip(chunk.lines.0).map(move |(n, line)| line.numbered(n, workflow))
        })
        .filter(|line| line.n > after)
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .collect())
}

/// A range of at most `limit` of the lines that pass the filter.
pub(crate) async fn page(
    services: &Services,
    run: RunId,
    filter: &LogFilter,
    stretch: LogStretch,
    limit: i64,
) -> Result<LogPage> {
    // One snapshot, so that a line written in between cannot be newer than the newest number of the page.
    let mut db = services.db().begin_with("begin isolation level repeatable read read only").await?;
    let newest = sqlx::query_scalar!("select lines from toygres.run_log where run_id = $1", run.0)
        .fetch_optional(&mut *db)
        .await?
        .unwrap_or(0);
    // One line more than requested shows whether there are more.
    let (mut lines, matches) = if filter.is_empty() {
        (whole(&mut db, run, stretch, newest, limit + 1).await?, newest)
    } else {
        let titles = StepTitles::of(&mut db, run).await?;
        let found = found(&mut db, run, &titles, filter, stretch, limit + 1).await?;
        (found, count(&mut db, run, &titles, filter).await?)
    };
    db.commit().await?;
    let limit = usize::try_from(limit).unwrap_or(0);
    let more = lines.len() > limit;
    let (earlier, later) = match stretch {
        LogStretch::After(after) => (after > 0, more),
        LogStretch::Before(_) => (more, true),
        LogStretch::Last => (more, false),
    };
    match stretch {
        LogStretch::After(_) => lines.truncate(limit),
        LogStretch::Before(_) | LogStretch::Last => drop(lines.drain(..lines.len().saturating_sub(limit))),
    }
    Ok(LogPage { lines, earlier, later, matches, newest })
}

/// A range of the unfiltered log. Numbers have no gaps, so it is computed from them.
async fn whole(
    db: &mut PgConnection,
    run: RunId,
    stretch: LogStretch,
    newest: i64,
    limit: i64,
) -> Result<Vec<LogLine>> {
    let (after, before) = match stretch {
        LogStretch::After(after) => (after, i64::MAX),
        LogStretch::Before(before) => (before.saturating_sub(1 + limit).max(0), before),
        LogStretch::Last => ((newest - limit).max(0), i64::MAX),
    };
    let mut lines = read(db, run, after, limit).await?;
    lines.retain(|line| line.n < before);
    Ok(lines)
}

/// The titles of a run's steps, which the messages of its events begin with.
struct StepTitles {
    workflow: WorkflowName,
    names: Vec<String>,
    titles: Vec<String>,
}

impl StepTitles {
    async fn of(db: &mut PgConnection, run: RunId) -> Result<Self> {
        let workflow = sqlx::query_scalar!("select name from toygres.run where id = $1", run.0);
        let workflow = WorkflowName::of(&workflow.fetch_optional(&mut *db).await?.unwrap_or_default());
        let names = sqlx::query_scalar!("select name from toygres.step where run_id = $1", run.0);
        let names = names.fetch_all(db).await?;
        let titles = names.iter().map(|name| step_title(workflow, name)).collect();
        Ok(Self { workflow, names, titles })
    }
}

/// A range of the lines that pass the filter, which the database applies to all lines.
async fn found(
    db: &mut PgConnection,
    run: RunId,
    titles: &StepTitles,
    filter: &LogFilter,
    stretch: LogStretch,
    limit: i64,
) -> Result<Vec<LogLine>> {
    let (after, before) = match stretch {
        LogStretch::After(after) => (after, i64::MAX),
        LogStretch::Before(before) => (0, before),
        LogStretch::Last => (0, i64::MAX),
    };
    let forward = matches!(stretch, LogStretch::After(_));
    let rows = sqlx::query!(
        r#"select c.first + e.n - 1 as "n!", e.line as "line!: sqlx::types::Json<Line>"
           from toygres.log_chunk c cross join lateral jsonb_array_elements(c.lines) with ordinality e (line, n)
           where c.run_id = $1 and c.last > $4 and c.first < $5 and c.first + e.n - 1 > $4 and c.first + e.n - 1 < $5
             and concat(e.line ->> 'message', case when e.line ? 'event' then concat(
                 ($9::text[])[array_position($8::text[], e.line ->> 'step')], ': ',
                 replace(replace(e.line ->> 'event', 'step_', ''), '_', ' '), ' ', e.line ->> 'detail') end) ilike $2
             and e.line ->> 'level' = any($3)
           order by case when $6 then c.first + e.n - 1 else 1 - c.first - e.n end limit $7"#,
        run.0,
        pattern(filter),
        &levels(filter),
        after,
        before,
        forward,
        limit,
        &titles.names,
        &titles.titles
    )
    .fetch_all(db)
    .await?;
    let mut lines: Vec<LogLine> =
        rows.into_iter().map(|row| row.line.0.numbered(row.n, titles.workflow)).collect();
    lines.sort_by_key(|line| line.n);
    Ok(lines)
}

async fn count(db: &mut PgConnection, run: RunId, titles: &StepTitles, filter: &LogFilter) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!"
           from toygres.log_chunk c cross join lateral jsonb_array_elements(c.lines) e (line)
           where c.run_id = $1
             and concat(e.line ->> 'message', case when e.line ? 'event' then concat(
                 ($5::text[])[array_position($4::text[], e.line ->> 'step')], ': ',
                 replace(replace(e.line ->> 'event', 'step_', ''), '_', ' '), ' ', e.line ->> 'detail') end) ilike $2
             and e.line ->> 'level' = any($3)"#,
        run.0,
        pattern(filter),
        &levels(filter),
        &titles.names,
        &titles.titles
    );
    Ok(count.fetch_one(db).await?)
}

/// The search text as a LIKE pattern that matches it literally.
fn pattern(filter: &LogFilter) -> String {
    let text = filter.search.replace('\0', "");
    format!("%{}%", text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_"))
}

fn levels(filter: &LogFilter) -> Vec<String> {
    let passing = Level::ALL.iter().filter(|level| **level >= filter.level);
    passing.map(ToString::to_string).collect()
}
