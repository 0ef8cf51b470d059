//! Giving an account back to its owner, with the commands of `toygres-server` on the machine.

use model::UserId;
use sqlx::{PgConnection, PgPool};

use super::password::hash;
use super::throttle;
use crate::audit::Entry;
use crate::error::{Error, Result};

/// Sets the password of the account of that name, enables it and forgets its failed logins. Records it as the success of
/// `entry`.
///
/// # Errors
/// The account does not exist, or the password is too short.
pub async fn reset_password(db: &PgPool, entry: &Entry<'_>, name: &str, password: &str) -> Result<()> {
    let hash = hash(password).await?;
    let mut tx = db.begin().await?;
    let user = id_of(&mut tx, name).await?;
    sqlx::query!(
        "update toygres.account set password_hash = $2, must_change_password = false, auth_epoch = auth_epoch + 1,
             disabled = false where id = $1",
        user.0,
        hash
    )
    .execute(&mut *tx)
    .await?;
    throttle::unlock(&mut *tx, user, name).await?;
    entry.succeed(&mut tx, None).await?;
    Ok(tx.commit().await?)
}

/// Forgets the failed logins of the account of that name, so that its owner can log in at once. Records it as the success of
/// `entry`.
///
/// # Errors
/// The account does not exist.
pub async fn unlock(db: &PgPool, entry: &Entry<'_>, name: &str) -> Result<()> {
    let mut tx = db.begin().await?;
    let user = id_of(&mut tx, name).await?;
    throttle::unlock(&mut *tx, user, name).await?;
    entry.succeed(&mut tx, None).await?;
    Ok(tx.commit().await?)
}

async fn id_of(tx: &mut PgConnection, name: &str) -> Result<UserId> {
    sqlx::query_scalar!(
        r#"select id as "id: UserId" from toygres.account where lower(name) = lower($1)"#,
        name
    )
    .fetch_optional(tx)
    .await?
    .ok_or_else(|| Error::NotFound(format!("Account {name} does not exist.")))
}
