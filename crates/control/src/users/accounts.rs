//! Creating accounts and changing their passwords, roles and state.

use model::{Actor, Role, UserId};
use platform::{ExposeSecret, Secret};
use sqlx::PgPool;

use super::login::verify_password;
use super::password::{hash, random_password};
use super::permissions::require_admin_sudo;
use crate::audit;
use crate::error::{Error, Result};
use crate::services::Services;

/// Creates an admin account unless an account of that name exists. Returns whether it was created.
///
/// # Errors
/// The password is too short, or the state database is unavailable.
pub async fn ensure_admin(db: &PgPool, name: &str, password: &Secret) -> Result<bool> {
    let hash = hash(password.expose_secret()).await?;
    let created = insert(db, name, Role::Admin, hash, false).await?;
    if created {
        audit::record(db, "system", "user.create", name, "ok", None).await?;
    }
    Ok(created)
}

/// Creates the account `admin` with a generated one-time password if there is no account at all. Returns both.
///
/// # Errors
/// The state database is unavailable.
pub async fn bootstrap_one_time(db: &PgPool) -> Result<Option<(String, Secret)>> {
    let any =
        sqlx::query_scalar!(r#"select exists (select from toygres.account) as "any!""#).fetch_one(db).await?;
    if any {
        return Ok(None);
    }
    let password = random_password();
    let hash = hash(password.expose_secret()).await?;
    let created = insert(db, "admin", Role::Admin, hash, true).await?;
    Ok(created.then(|| ("admin".to_owned(), password)))
}

/// Creates an account whose owner must change the password.
///
/// # Errors
/// The user is not an admin in sudo mode, the name exists, or the password is too short.
pub async fn create(
    services: &Services,
    actor: &Actor,
    name: &str,
    role: Role,
    password: &str,
) -> Result<UserId> {
    let db = services.db();
    audit::audited(db, actor, "user.create", name, |_| None, async {
        require_admin_sudo(actor)?;
        add(db, name, role, password, true).await
    })
    .await
}

/// Creates an account, for the command line.
///
/// # Errors
/// The name exists, or the password is too short.
pub async fn add(db: &PgPool, name: &str, role: Role, password: &str, must_change: bool) -> Result<UserId> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "username",
            "Enter a name of 1 to 100 characters without control characters.",
        ));
    }
    let hash = hash(password).await?;
    if !insert(db, name, role, hash, must_change).await? {
        return Err(Error::invalid("username", format!("User {name} already exists. Enter another name.")));
    }
    let id = sqlx::query_scalar!("select id from toygres.account where lower(name) = lower($1)", name)
        .fetch_one(db)
        .await?;
    Ok(UserId(id))
}

async fn insert(db: &PgPool, name: &str, role: Role, hash: String, must_change: bool) -> Result<bool> {
    let inserted = sqlx::query!(
        "insert into toygres.account (id, name, role, password_hash, must_change_password) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        UserId::new().0,
        name,
        role.as_str(),
        hash,
        must_change
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Sets the password of an account and ends its sessions.
///
/// # Errors
/// The user is not an admin in sudo mode, the account does not exist, or the password is too short.
pub async fn set_password(services: &Services, actor: &Actor, user: UserId, password: &str) -> Result<()> {
    let db = services.db();
    audit::audited(db, actor, "user.password", &user.to_string(), |()| None, async {
        require_admin_sudo(actor)?;
        let hash = hash(password).await?;
        let updated = sqlx::query!(
            "update toygres.account set password_hash = $2, must_change_password = $3, auth_epoch = auth_epoch + 1 where id = $1",
            user.0,
            hash,
            user != actor.user
        )
        .execute(db)
        .await?;
        ensure_found(updated.rows_affected())
    })
    .await
}

/// Sets the password of the account of that name and enables it, for the command line.
///
/// # Errors
/// The account does not exist, or the password is too short.
pub async fn reset_password(db: &PgPool, name: &str, password: &str) -> Result<()> {
    let hash = hash(password).await?;
    let updated = sqlx::query!(
        "update toygres.account set password_hash = $2, must_change_password = false, auth_epoch = auth_epoch + 1,
             disabled = false where lower(name) = lower($1)",
        name,
        hash
    )
    .execute(db)
    .await?;
    if updated.rows_affected() == 0 {
        return Err(Error::NotFound(format!("User {name} does not exist.")));
    }
    Ok(())
}

/// Changes the user's own password and ends the account's other sessions. Returns the new auth epoch.
///
/// # Errors
/// The old password is incorrect, or the new one is too short or the same.
pub async fn change_own_password(services: &Services, actor: &Actor, old: &str, new: &str) -> Result<i64> {
    let db = services.db();
    audit::audited(db, actor, "user.password", &actor.name, |_| None, async {
        verify_password(services, actor.user, old).await.map_err(|error| match error {
            Error::Unauthenticated => Error::invalid("old", "The current password is incorrect."),
            other => other,
        })?;
        if old == new {
            return Err(Error::invalid("new", "The new password equals the current one. Choose another one."));
        }
        let hash = hash(new).await?;
        Ok(sqlx::query_scalar!(
            "update toygres.account set password_hash = $2, must_change_password = false, auth_epoch = auth_epoch + 1
             where id = $1 returning auth_epoch",
            actor.user.0,
            hash
        )
        .fetch_one(db)
        .await?)
    })
    .await
}

/// Disables or enables an account and ends its sessions.
///
/// # Errors
/// The user is not an admin in sudo mode, or the account is the user's own.
pub async fn disable(services: &Services, actor: &Actor, user: UserId, disabled: bool) -> Result<()> {
    let db = services.db();
    audit::audited(db, actor, "user.disable", &user.to_string(), |()| None, async {
        require_admin_sudo(actor)?;
        ensure_not_own(actor, user)?;
        let updated = sqlx::query!(
            "update toygres.account set disabled = $2, auth_epoch = auth_epoch + 1 where id = $1",
            user.0,
            disabled
        )
        .execute(db)
        .await?;
        ensure_found(updated.rows_affected())
    })
    .await
}

/// Changes the role of an account and ends its sessions.
///
/// # Errors
/// The user is not an admin in sudo mode, or the account is the user's own.
pub async fn set_role(services: &Services, actor: &Actor, user: UserId, role: Role) -> Result<()> {
    let db = services.db();
    audit::audited(db, actor, "user.role", &user.to_string(), |()| None, async {
        require_admin_sudo(actor)?;
        ensure_not_own(actor, user)?;
        let updated = sqlx::query!(
            "update toygres.account set role = $2, auth_epoch = auth_epoch + 1 where id = $1",
            user.0,
            role.as_str()
        )
        .execute(db)
        .await?;
        ensure_found(updated.rows_affected())
    })
    .await
}

fn ensure_not_own(actor: &Actor, user: UserId) -> Result<()> {
    if actor.user == user {
        return Err(Error::Conflict("You cannot change your own user. Ask another admin.".to_owned()));
    }
    Ok(())
}

fn ensure_found(rows: u64) -> Result<()> {
    if rows == 0 { Err(Error::NotFound("The user does not exist.".to_owned())) } else { Ok(()) }
}
