//! The audit log: who did what to which object, when, and with which outcome. Rows are only added.

use std::sync::atomic::{AtomicBool, Ordering};

use model::page::Page;
use model::user::AuditRow;
use model::{Actor, ActorKind, RunId};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::services::Services;

const PER_PAGE: i64 = 50;
/// The longest name and subject that are recorded, in characters.
const MAX_TEXT: usize = 200;
/// The actor of actions that were taken with a command of `toygres-server`.
pub const COMMAND_LINE: &str = "the command line";

/// Who acts. The kind and the id tell an account from a token with the same name.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    kind: ActorKind,
    id: Option<Uuid>,
    name: &'a str,
}

impl<'a> Author<'a> {
    /// Toygres itself.
    pub(crate) const SYSTEM: Author<'static> = Author { kind: ActorKind::System, id: None, name: "system" };

    /// A command of `toygres-server`.
    pub const COMMAND_LINE: Author<'static> =
        Author { kind: ActorKind::CommandLine, id: None, name: COMMAND_LINE };

    /// The account or the token of a request.
    #[must_use]
    pub fn of(actor: &'a Actor) -> Self {
        Self { kind: actor.kind, id: Some(actor.user.0), name: &actor.name }
    }

    /// A client that is not logged in, with the name that it typed.
    #[must_use]
    pub fn anonymous(name: &'a str) -> Self {
        Self { kind: ActorKind::Anonymous, id: None, name }
    }
}

/// Adds a row.
///
/// # Errors
/// The state database is unavailable.
pub async fn record(
    db: impl PgExecutor<'_>,
    author: &Author<'_>,
    action: &str,
    subject: &str,
    outcome: &str,
    run: Option<RunId>,
) -> sqlx::Result<()> {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect::<String>();
    sqlx::query!(
        "insert into toygres.audit (actor, actor_kind, actor_id, action, subject, outcome, run)
         values ($1, $2, $3, $4, $5, $6, $7)",
        plain(author.name),
        author.kind.as_str(),
        author.id,
        action,
        plain(subject),
        outcome,
        run.map(|run| run.0)
    )
    .execute(db)
    .await
    .map(drop)
}

/// The entry of one action. [`Entry::perform`] guarantees that it has a row, whatever the outcome is.
pub struct Entry<'a> {
    author: Author<'a>,
    action: &'a str,
    subject: String,
    recorded: AtomicBool,
}

impl<'a> Entry<'a> {
    /// The entry of an action that has not been performed yet.
    pub fn new(author: Author<'a>, action: &'a str, subject: impl Into<String>) -> Self {
        Self { author, action, subject: subject.into(), recorded: AtomicBool::new(false) }
    }

    /// Adds the row of a success in the transaction of the change, so that there is neither a change without a row nor a row
    /// without a change.
    ///
    /// # Errors
    /// The state database is unavailable.
    pub async fn succeed(&self, tx: &mut PgConnection, run: Option<RunId>) -> sqlx::Result<()> {
        record(tx, &self.author, self.action, &self.subject, "ok", run).await?;
        self.recorded.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Performs the action and records a refusal or a failure. Records a success too, unless the action did so: only an
    /// action that changes no row of the state database may leave that to this function.
    ///
    /// # Errors
    /// Those of the action. A success that cannot be recorded is an error.
    pub async fn perform<T>(&self, db: &PgPool, work: impl Future<Output = Result<T>>) -> Result<T> {
        let result = work.await;
        let outcome = match &result {
            Ok(_) if self.recorded.load(Ordering::Relaxed) => return result,
            Ok(_) => "ok",
            Err(error) => error.code(),
        };
        let recorded = record(db, &self.author, self.action, &self.subject, outcome, None).await;
        match (result, recorded) {
            (Ok(_), Err(error)) => Err(Error::from(error)),
            (result, _) => result,
        }
    }
}

/// The entry of an action of a user.
pub(crate) fn entry<'a>(actor: &'a Actor, action: &'a str, subject: impl Into<String>) -> Entry<'a> {
    Entry::new(Author::of(actor), action, subject)
}

/// Records an action that no command of this crate performs, or the refusal of a request before its command.
///
/// # Errors
/// The state database is unavailable.
pub async fn record_outcome(
    services: &Services,
    actor: &Actor,
    action: &str,
    subject: &str,
    outcome: &str,
) -> Result<()> {
    Ok(record(services.db(), &Author::of(actor), action, subject, outcome, None).await?)
}

/// A page of the audit log, newest row first.
///
/// # Errors
/// The state database is unavailable.
pub async fn list(services: &Services, page: i64) -> Result<Page<AuditRow>> {
    let page = page.clamp(1, 1_000_000);
    let rows = sqlx::query_as!(
        AuditRow,
        r#"select id, at, actor, actor_kind as "actor_kind: ActorKind", actor_id, action, subject, outcome, run as "run: RunId"
           from toygres.audit order by id desc limit $1 offset $2"#,
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

/// The rows after the row `after`, oldest first, at most `limit`.
///
/// # Errors
/// The state database is unavailable.
pub(crate) async fn after(services: &Services, after: i64, limit: i64) -> Result<Vec<AuditRow>> {
    Ok(sqlx::query_as!(
        AuditRow,
        r#"select id, at, actor, actor_kind as "actor_kind: ActorKind", actor_id, action, subject, outcome, run as "run: RunId"
           from toygres.audit where id > $1 order by id limit $2"#,
        after,
        limit
    )
    .fetch_all(services.db())
    .await?)
}
