//! The audit log: who did what to which object, when, and with which outcome. Rows are only added.

use model::page::Page;
use model::user::AuditRow;
use model::{Actor, RunId};
use sqlx::{PgExecutor, PgPool};

use crate::error::{Error, Result};
use crate::services::Services;

const PER_PAGE: i64 = 50;
/// The longest subject that is recorded, in characters.
const MAX_SUBJECT: usize = 200;
/// The actor of actions that were taken with a command of `toygres-server`.
pub const COMMAND_LINE: &str = "the command line";

/// Adds a row.
///
/// # Errors
/// The state database is unavailable.
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

/// Performs an action of the command line and records its outcome.
///
/// # Errors
/// Those of the action, and: the state database is unavailable.
pub async fn by_command<T>(
    db: &PgPool,
    action: &str,
    subject: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    perform(db, COMMAND_LINE, action, subject, |_| None, work).await
}

/// Performs an action of a user and records its outcome, also if the action is refused.
pub(crate) async fn audited<T>(
    db: &PgPool,
    actor: &Actor,
    action: &str,
    subject: &str,
    run: impl Fn(&T) -> Option<RunId>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    perform(db, &actor.name, action, subject, run, work).await
}

async fn perform<T>(
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
    let subject: String = subject.chars().filter(|c| !c.is_control()).take(MAX_SUBJECT).collect();
    let recorded = record(db, actor, action, &subject, outcome, run).await;
    match (result, recorded) {
        // An action that succeeded without an audit row is reported as an error.
        (Ok(_), Err(error)) => Err(Error::from(error)),
        (result, _) => result,
    }
}

/// A page of the audit log, newest row first.
///
/// # Errors
/// The state database is unavailable.
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
