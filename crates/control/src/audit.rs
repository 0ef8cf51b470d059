//! The audit: who did what to what, when, and how it went. Rows are only ever added.

use model::page::Page;
use model::user::AuditRow;
use model::{Actor, RunId};
use sqlx::{PgExecutor, PgPool};

use crate::error::{Error, Result};
use crate::services::Services;

const PER_PAGE: i64 = 50;
/// Who does what is done without a server.
pub const COMMAND_LINE: &str = "the command line";

/// Adds a row.
///
/// # Errors
/// The CMS does not answer.
pub async fn record(
    db: impl PgExecutor<'_>,
    actor: &str,
    action: &str,
    subject: &str,
    outcome: &str,
    run: Option<RunId>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into toygres.audit (actor, action, subject, outcome, run) values ($1, $2, $3, $4, $5)",
        actor,
        action,
        subject,
        outcome,
        run.map(|run| run.0)
    )
    .execute(db)
    .await
    .map(drop)
}

/// Writes down how an action went that somebody took at the command line.
///
/// # Errors
/// Those of the action; and the CMS does not answer.
pub async fn by_command<T>(
    db: &PgPool,
    action: &str,
    subject: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    written_down(db, COMMAND_LINE, action, subject, |_| None, work).await
}

/// Writes down how an action went: a refusal too.
pub(crate) async fn audited<T>(
    db: &PgPool,
    actor: &Actor,
    action: &str,
    subject: &str,
    run: impl Fn(&T) -> Option<RunId>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    written_down(db, &actor.name, action, subject, run, work).await
}

async fn written_down<T>(
    db: &PgPool,
    actor: &str,
    action: &str,
    subject: &str,
    run: impl Fn(&T) -> Option<RunId>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let result = work.await;
    let (outcome, run) = match &result {
        Ok(done) => ("ok", run(done)),
        Err(error) => (error.code(), None),
    };
    let subject: String = subject.chars().filter(|c| !c.is_control()).take(200).collect();
    let recorded = record(db, actor, action, &subject, outcome, run).await;
    match (result, recorded) {
        // What was done and could not be written down is not hidden.
        (Ok(_), Err(error)) => Err(Error::from(error)),
        (result, _) => result,
    }
}

/// A page of it, the newest row first.
///
/// # Errors
/// The CMS does not answer.
pub async fn list(services: &Services, page: i64) -> Result<Page<AuditRow>> {
    let page = page.clamp(1, 1_000_000);
    let rows = sqlx::query_as!(
        AuditRow,
        r#"select id, at, actor, action, subject, outcome, run as "run: RunId" from toygres.audit
           order by id desc limit $1 offset $2"#,
        PER_PAGE,
        (page - 1) * PER_PAGE
    )
    .fetch_all(services.db())
    .await?;
    let total = sqlx::query_scalar!(r#"select count(*) as "count!" from toygres.audit"#)
        .fetch_one(services.db())
        .await?;
    Ok(Page { rows, total, page, per_page: PER_PAGE })
}
