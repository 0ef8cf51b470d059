//! Verifying user names and passwords, and throttling attempts to guess them.

use model::{Actor, Role, UserId};
use sqlx::PgPool;

use super::password;
use crate::audit;
use crate::error::{Error, Result};
use crate::services::Services;

/// Failed attempts without a pause. From then on the pause doubles, up to [`MAX_PAUSE`].
const FREE_ATTEMPTS: i32 = 5;
/// The longest pause, in seconds.
const MAX_PAUSE: f64 = 900.0;

/// An account as the login needs it.
#[derive(Clone, Debug)]
pub struct UserRecord {
    /// The user, not in sudo mode.
    pub actor: Actor,
    /// A session that was opened under an earlier epoch is invalid.
    pub auth_epoch: i64,
    /// Whether the password was set by another person.
    pub must_change_password: bool,
}

/// Verifies a user name and password; `peer` is the client's address.
///
/// # Errors
/// [`Error::Unauthenticated`] whichever of the two is wrong, after the same time; [`Error::TooMany`] after several failures.
pub async fn authenticate(services: &Services, name: &str, password: &str, peer: &str) -> Result<UserRecord> {
    let db = services.db();
    let name: String = name.trim().chars().take(100).collect();
    let keys = [format!("account/{}", name.to_lowercase()), format!("address/{peer}")];
    ensure_not_blocked(db, &keys).await?;
    let mut row = sqlx::query!(
        r#"select id as "id: UserId", name, role as "role: Role", password_hash, auth_epoch, must_change_password
           from toygres.account where lower(name) = lower($1) and not disabled"#,
        name
    )
    .fetch_optional(db)
    .await?;
    let hash = row.as_mut().map(|row| std::mem::take(&mut row.password_hash));
    let matches = password::verify(hash, password).await?;
    let Some(row) = row.filter(|_| matches) else {
        count_failure(db, &keys).await?;
        audit::record(db, &name, "login", "session", "unauthenticated", None).await?;
        return Err(Error::Unauthenticated);
    };
    delete_failures(db, &keys).await?;
    sqlx::query!("update toygres.account set last_login_at = clock_timestamp() where id = $1", row.id.0)
        .execute(db)
        .await?;
    audit::record(db, &row.name, "login", "session", "ok", None).await?;
    Ok(UserRecord {
        actor: Actor { user: row.id, name: row.name, role: row.role, sudo: false },
        auth_epoch: row.auth_epoch,
        must_change_password: row.must_change_password,
    })
}

/// Verifies the password of an account, for sudo mode. Failures are throttled as at login.
///
/// # Errors
/// [`Error::Unauthenticated`] or [`Error::TooMany`].
pub async fn verify_password(services: &Services, user: UserId, password: &str) -> Result<()> {
    let db = services.db();
    let keys = [format!("sudo/{user}")];
    ensure_not_blocked(db, &keys).await?;
    let row = sqlx::query!(
        "select name, password_hash from toygres.account where id = $1 and not disabled",
        user.0
    )
    .fetch_optional(db)
    .await?
    .ok_or(Error::Unauthenticated)?;
    let matches = password::verify(Some(row.password_hash), password).await?;
    let outcome = if matches { "ok" } else { "unauthenticated" };
    audit::record(db, &row.name, "sudo", "session", outcome, None).await?;
    if matches {
        return delete_failures(db, &keys).await;
    }
    count_failure(db, &keys).await?;
    Err(Error::Unauthenticated)
}

async fn ensure_not_blocked(db: &PgPool, keys: &[String]) -> Result<()> {
    let wait = sqlx::query_scalar!(
        r#"select ceil(extract(epoch from max(blocked_until) - clock_timestamp()))::bigint as "wait"
           from toygres.login_guess where key = any($1) and blocked_until > clock_timestamp()"#,
        keys
    )
    .fetch_one(db)
    .await?;
    match wait {
        Some(retry_after_seconds) if retry_after_seconds > 0 => Err(Error::TooMany { retry_after_seconds }),
        _ => Ok(()),
    }
}

/// Counts a failed attempt and blocks further ones for a while. An account is never locked for longer, so that an attacker
/// cannot lock out the only admin. The count restarts after an hour without failures.
async fn count_failure(db: &PgPool, keys: &[String]) -> Result<()> {
    for key in keys {
        sqlx::query!(
            "insert into toygres.login_guess as g (key, failures, blocked_until) values ($1, 1, clock_timestamp())
             on conflict (key) do update set
                 failures = case when g.last_at < clock_timestamp() - interval '1 hour' then 1
                     else least(g.failures + 1, 1000000) end,
                 last_at = clock_timestamp(),
                 blocked_until = clock_timestamp() + make_interval(secs => case
                     when g.last_at < clock_timestamp() - interval '1 hour' or g.failures + 1 < $2 then 0
                     else least(power(2, least(g.failures + 1 - $2, 20)), $3) end)",
            key,
            FREE_ATTEMPTS,
            MAX_PAUSE
        )
        .execute(db)
        .await?;
    }
    Ok(())
}

async fn delete_failures(db: &PgPool, keys: &[String]) -> Result<()> {
    sqlx::query!("delete from toygres.login_guess where key = any($1)", keys).execute(db).await?;
    Ok(())
}

/// Deletes the counts of failed attempts that are older than a day.
pub(crate) async fn delete_old_failures(db: &PgPool) -> Result<()> {
    sqlx::query!("delete from toygres.login_guess where last_at < clock_timestamp() - interval '1 day'")
        .execute(db)
        .await?;
    Ok(())
}
