//! Creating accounts and changing their passwords, roles and state.

use model::{Actor, Role, UserId};
use platform::{ExposeSecret, Secret};
use sqlx::{PgConnection, PgPool};

use super::login::{Client, verify_own};
use super::password::{hash, random_password};
use super::permissions::require_admin_sudo;
use crate::audit::{Author, Entry, entry};
use crate::error::{Error, Result};
use crate::services::Services;

/// Creates an admin account unless an account of that name exists. Returns whether it was created.
///
/// # Errors
/// The password is too short, or the state database is unavailable.
pub async fn ensure_admin(db: &PgPool, name: &str, password: &Secret) -> Result<bool> {
    let hash = hash(password.expose_secret()).await?;
    let account = NewAccount { name, role: Role::Admin, hash, must_change: false };
    create_by_system(db, &account).await
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
    let account = NewAccount { name: "admin", role: Role::Admin, hash, must_change: true };
    let created = create_by_system(db, &account).await?;
    Ok(created.then(|| ("admin".to_owned(), password)))
}

/// Creates an account at the start of the server. Returns false if one of that name exists.
async fn create_by_system(db: &PgPool, account: &NewAccount<'_>) -> Result<bool> {
    let mut tx = db.begin().await?;
    let created = insert(&mut tx, account).await?;
    if created.is_some() {
        let entry = Entry::new(Author::SYSTEM, "user.create", account.name);
        entry.succeed(&mut tx, None).await?;
    }
    tx.commit().await?;
    Ok(created.is_some())
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
    let entry = entry(actor, "user.create", name);
    entry
        .perform(db, async {
            require_admin_sudo(actor)?;
            add(db, &entry, name, role, password, true).await
        })
        .await
}

/// Creates an account and records it as the success of `entry`.
///
/// # Errors
/// The name exists, or the password is too short.
pub async fn add(
    db: &PgPool,
    entry: &Entry<'_>,
    name: &str,
    role: Role,
    password: &str,
    must_change: bool,
) -> Result<UserId> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "username",
            "Enter a name of 1 to 100 characters without control characters.",
        ));
    }
    let hash = hash(password).await?;
    let mut tx = db.begin().await?;
    let created = insert(&mut tx, &NewAccount { name, role, hash, must_change }).await?;
    let id = created.ok_or_else(|| {
        Error::invalid("username", format!("User {name} already exists. Enter another name."))
    })?;
    entry.succeed(&mut tx, None).await?;
    tx.commit().await?;
    Ok(id)
}

/// The values of a new account.
struct NewAccount<'a> {
    name: &'a str,
    role: Role,
    hash: String,
    must_change: bool,
}

/// Inserts an account. `None` if one of that name exists.
async fn insert(tx: &mut PgConnection, account: &NewAccount<'_>) -> Result<Option<UserId>> {
    let id = UserId::new();
    let inserted = sqlx::query!(
        "insert into toygres.account (id, name, role, password_hash, must_change_password) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        id.0,
        account.name,
        account.role.as_str(),
        account.hash,
        account.must_change
    )
    .execute(tx)
    .await?;
    Ok((inserted.rows_affected() > 0).then_some(id))
}

/// Sets the password of an account and ends its sessions.
///
/// # Errors
/// The user is not an admin in sudo mode, the account does not exist, or the password is too short.
pub async fn set_password(services: &Services, actor: &Actor, user: UserId, password: &str) -> Result<()> {
    let db = services.db();
    let entry = entry(actor, "user.password", user.to_string());
    entry.perform(db, async {
        require_admin_sudo(actor)?;
        let hash = hash(password).await?;
        let mut tx = db.begin().await?;
        let updated = sqlx::query!(
            "update toygres.account set password_hash = $2, must_change_password = $3, auth_epoch = auth_epoch + 1 where id = $1",
            user.0,
            hash,
            user != actor.user
        )
        .execute(&mut *tx)
        .await?;
        ensure_found(updated.rows_affected())?;
        entry.succeed(&mut tx, None).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// Changes the user's own password and ends the account's other sessions. Returns the new auth epoch.
///
/// # Errors
/// The old password is incorrect, or the new one is too short or the same.
pub async fn change_own_password(
    services: &Services,
    actor: &Actor,
    old: &str,
    new: &str,
    client: &Client,
) -> Result<i64> {
    const ACTION: &str = "user.password";
    let db = services.db();
    let entry = entry(actor, ACTION, &*actor.name);
    entry
        .perform(db, async {
            verify_own(services, actor, old, client, ACTION).await.map_err(|error| match error {
                Error::Unauthenticated(_) => Error::invalid("old", "The current password is incorrect."),
                other => other,
            })?;
            if old == new {
                return Err(Error::invalid(
                    "new",
                    "The new password equals the current one. Choose another one.",
                ));
            }
            let hash = hash(new).await?;
            let mut tx = db.begin().await?;
            let epoch = sqlx::query_scalar!(
                "update toygres.account set password_hash = $2, must_change_password = false, auth_epoch = auth_epoch + 1
                 where id = $1 returning auth_epoch",
                actor.user.0,
                hash
            )
            .fetch_one(&mut *tx)
            .await?;
            entry.succeed(&mut tx, None).await?;
            tx.commit().await?;
            Ok(epoch)
        })
        .await
}

/// Disables or enables an account and ends its sessions.
///
/// # Errors
/// The user is not an admin in sudo mode, or the account is the user's own.
pub async fn disable(services: &Services, actor: &Actor, user: UserId, disabled: bool) -> Result<()> {
    let db = services.db();
    let entry = entry(actor, "user.disable", user.to_string());
    entry
        .perform(db, async {
            require_admin_sudo(actor)?;
            ensure_not_own(actor, user)?;
            let mut tx = db.begin().await?;
            let updated = sqlx::query!(
                "update toygres.account set disabled = $2, auth_epoch = auth_epoch + 1 where id = $1",
                user.0,
                disabled
            )
            .execute(&mut *tx)
            .await?;
            ensure_found(updated.rows_affected())?;
            entry.succeed(&mut tx, None).await?;
            Ok(tx.commit().await?)
        })
        .await
}

/// Changes the role of an account and ends its sessions.
///
/// # Errors
/// The user is not an admin in sudo mode, or the account is the user's own.
pub async fn set_role(services: &Services, actor: &Actor, user: UserId, role: Role) -> Result<()> {
    let db = services.db();
    let entry = entry(actor, "user.role", user.to_string());
    entry
        .perform(db, async {
            require_admin_sudo(actor)?;
            ensure_not_own(actor, user)?;
            let mut tx = db.begin().await?;
            let updated = sqlx::query!(
                "update toygres.account set role = $2, auth_epoch = auth_epoch + 1 where id = $1",
                user.0,
                role.as_str()
            )
            .execute(&mut *tx)
            .await?;
            ensure_found(updated.rows_affected())?;
            entry.succeed(&mut tx, None).await?;
            Ok(tx.commit().await?)
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
