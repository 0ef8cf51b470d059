//! Accounts: logging in, and who may do what. It knows no sessions.

use std::sync::LazyLock;

use anyhow::Context;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use model::user::User;
use model::{Actor, Role, UserId};
use platform::Secret;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::audit;
use crate::error::{Error, Result};
use crate::services::Services;

/// Each takes 19 MiB for a moment: this many at once, whoever asks.
static HASHING: Semaphore = Semaphore::const_new(4);
/// The longest password: hashing is dear, and nobody types more.
const LONGEST: usize = 1024;
const SHORTEST: usize = 8;
/// So many guesses are free; from then on the pause doubles, up to [`LONGEST_PAUSE`] seconds.
const FREE_GUESSES: i32 = 5;
const LONGEST_PAUSE: i64 = 900;

/// An account as logging in needs it.
#[derive(Clone, Debug)]
pub struct UserRecord {
    /// Who it is; never in sudo mode by itself.
    pub actor: Actor,
    /// Sessions opened under an older one do not count.
    pub auth_epoch: i64,
    /// Whether the password was given by somebody else.
    pub must_change_password: bool,
}

/// The account with this name and password.
///
/// # Errors
/// [`Error::Unauthenticated`], whichever of the two is wrong and at the same cost; [`Error::TooMany`] after some guesses.
pub async fn authenticate(services: &Services, name: &str, password: &str, peer: &str) -> Result<UserRecord> {
    let db = services.db();
    let name: String = name.trim().chars().take(100).collect();
    let keys = [format!("account/{}", name.to_lowercase()), format!("address/{peer}")];
    refuse_if_guessing(db, &keys).await?;
    let row = sqlx::query!(
        r#"select id as "id: UserId", name, role as "role: Role", password_hash, auth_epoch, must_change_password
           from toygres.account where lower(name) = lower($1) and not disabled"#,
        name
    )
    .fetch_optional(db)
    .await?;
    // Somebody who does not exist costs as much as somebody who does.
    let hash = row.as_ref().map_or_else(|| NOBODY.clone(), |row| row.password_hash.clone());
    let right = verify(hash, password).await? && row.is_some();
    let (true, Some(row)) = (right, row) else {
        count_guess(db, &keys).await?;
        audit::record(db, &name, "login", "session", "unauthenticated", None).await?;
        return Err(Error::Unauthenticated);
    };
    sqlx::query!("delete from toygres.login_guess where key = any($1)", &keys).execute(db).await?;
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

/// A hash of a password that nobody has, with the parameters of all others.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let hash = Argon2::default().hash_password(random_password().reveal().as_bytes());
    hash.map(|hash| hash.to_string()).unwrap_or_default()
});

async fn refuse_if_guessing(db: &PgPool, keys: &[String]) -> Result<()> {
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

/// The pause depends on how many guesses there were; an account is never closed by them, so that nobody can lock the
/// only admin out for good. An hour without guesses forgets them.
async fn count_guess(db: &PgPool, keys: &[String]) -> Result<()> {
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
            FREE_GUESSES,
            LONGEST_PAUSE as f64
        )
        .execute(db)
        .await?;
    }
    Ok(())
}

/// Whether this is the account's password, for sudo mode; guesses count as at logging in.
///
/// # Errors
/// [`Error::Unauthenticated`] or [`Error::TooMany`].
pub async fn verify_password(services: &Services, user: UserId, password: &str) -> Result<()> {
    let db = services.db();
    let keys = [format!("sudo/{user}")];
    refuse_if_guessing(db, &keys).await?;
    let row = sqlx::query!(
        "select name, password_hash from toygres.account where id = $1 and not disabled",
        user.0
    )
    .fetch_optional(db)
    .await?
    .ok_or(Error::Unauthenticated)?;
    let right = verify(row.password_hash, password).await?;
    audit::record(db, &row.name, "sudo", "session", if right { "ok" } else { "unauthenticated" }, None)
        .await?;
    if right {
        sqlx::query!("delete from toygres.login_guess where key = any($1)", &keys).execute(db).await?;
        return Ok(());
    }
    count_guess(db, &keys).await?;
    Err(Error::Unauthenticated)
}

/// The account with this id, unless it is closed.
///
/// # Errors
/// The CMS does not answer.
pub async fn by_id(services: &Services, user: UserId) -> Result<Option<UserRecord>> {
    let row = sqlx::query!(
        r#"select name, role as "role: Role", auth_epoch, must_change_password from toygres.account
           where id = $1 and not disabled"#,
        user.0
    )
    .fetch_optional(services.db())
    .await?;
    Ok(row.map(|row| UserRecord {
        actor: Actor { user, name: row.name, role: row.role, sudo: false },
        auth_epoch: row.auth_epoch,
        must_change_password: row.must_change_password,
    }))
}

/// Makes the first account if there is no account of that name; one that is there is left as it is.
///
/// # Errors
/// The password is too short, or the CMS does not answer.
pub async fn ensure_admin(db: &PgPool, name: &str, password: &Secret) -> Result<bool> {
    let hash = hash(password.reveal()).await?;
    let made = insert(db, name, Role::Admin, hash, false).await?;
    if made {
        audit::record(db, "system", "user.create", name, "ok", None).await?;
    }
    Ok(made)
}

/// Makes the account `admin` with a password made up, if there is no account at all: the name and the password, once.
///
/// # Errors
/// The CMS does not answer.
pub async fn bootstrap_one_time(db: &PgPool) -> Result<Option<(String, Secret)>> {
    let any =
        sqlx::query_scalar!(r#"select exists (select from toygres.account) as "any!""#).fetch_one(db).await?;
    if any {
        return Ok(None);
    }
    let password = random_password();
    let hash = hash(password.reveal()).await?;
    let made = insert(db, "admin", Role::Admin, hash, true).await?;
    Ok(made.then(|| ("admin".to_owned(), password)))
}

/// A password that nobody guesses: 24 characters that are not taken for one another.
#[must_use]
pub fn random_password() -> Secret {
    use rand::seq::IndexedRandom;
    let alphabet: Vec<char> = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789".chars().collect();
    let mut random = rand::rng();
    Secret::new((0..24).filter_map(|_| alphabet.choose(&mut random)).collect())
}

/// All accounts, by name.
///
/// # Errors
/// The CMS does not answer.
pub async fn list(services: &Services) -> Result<Vec<User>> {
    Ok(sqlx::query_as!(
        User,
        r#"select id as "id: UserId", name, role as "role: Role", created_at, last_login_at, must_change_password, disabled
           from toygres.account order by name"#
    )
    .fetch_all(services.db())
    .await?)
}

/// Makes an account; its owner must change the password.
///
/// # Errors
/// The caller may not, the name is taken, or the password is too short.
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

/// Makes an account, for the command line.
///
/// # Errors
/// The name is taken, or the password is too short.
pub async fn add(db: &PgPool, name: &str, role: Role, password: &str, must_change: bool) -> Result<UserId> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(Error::invalid("username", "A name has 1 to 100 characters, none of them invisible."));
    }
    let hash = hash(password).await?;
    if !insert(db, name, role, hash, must_change).await? {
        return Err(Error::invalid(
            "username",
            format!("There is an account {name} already. Choose another name."),
        ));
    }
    let id = sqlx::query_scalar!("select id from toygres.account where lower(name) = lower($1)", name)
        .fetch_one(db)
        .await?;
    Ok(UserId(id))
}

async fn insert(db: &PgPool, name: &str, role: Role, hash: String, must_change: bool) -> Result<bool> {
    let done = sqlx::query!(
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
    Ok(done.rows_affected() > 0)
}

/// Gives an account another password and ends its sessions.
///
/// # Errors
/// The caller may not, there is no such account, or the password is too short.
pub async fn set_password(services: &Services, actor: &Actor, user: UserId, password: &str) -> Result<()> {
    let db = services.db();
    audit::audited(db, actor, "user.password", &user.to_string(), |()| None, async {
        require_admin_sudo(actor)?;
        let hash = hash(password).await?;
        let done = sqlx::query!(
            "update toygres.account set password_hash = $2, must_change_password = $3, auth_epoch = auth_epoch + 1 where id = $1",
            user.0,
            hash,
            user != actor.user
        )
        .execute(db)
        .await?;
        found(done.rows_affected())
    })
    .await
}

/// Sets the password of the account of that name, for the command line.
///
/// # Errors
/// There is no such account, or the password is too short.
pub async fn reset_password(db: &PgPool, name: &str, password: &str) -> Result<()> {
    let hash = hash(password).await?;
    let done = sqlx::query!(
        "update toygres.account set password_hash = $2, must_change_password = false, auth_epoch = auth_epoch + 1,
             disabled = false where lower(name) = lower($1)",
        name,
        hash
    )
    .execute(db)
    .await?;
    if done.rows_affected() == 0 {
        return Err(Error::NotFound(format!("There is no account {name}.")));
    }
    Ok(())
}

/// Changes the caller's own password; other sessions of the account end. Returns the new auth epoch.
///
/// # Errors
/// The old one is not right, or the new one is too short.
pub async fn change_own_password(services: &Services, actor: &Actor, old: &str, new: &str) -> Result<i64> {
    let db = services.db();
    audit::audited(db, actor, "user.password", &actor.name, |_| None, async {
        verify_password(services, actor.user, old).await.map_err(|error| match error {
            Error::Unauthenticated => Error::invalid("old", "This is not your password."),
            other => other,
        })?;
        if old == new {
            return Err(Error::invalid("new", "This is the password that you have. Choose another one."));
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

/// Closes an account and ends its sessions, or opens it again.
///
/// # Errors
/// The caller may not, or it is the caller's own.
pub async fn disable(services: &Services, actor: &Actor, user: UserId, disabled: bool) -> Result<()> {
    let db = services.db();
    audit::audited(db, actor, "user.disable", &user.to_string(), |()| None, async {
        require_admin_sudo(actor)?;
        not_oneself(actor, user)?;
        let done = sqlx::query!(
            "update toygres.account set disabled = $2, auth_epoch = auth_epoch + 1 where id = $1",
            user.0,
            disabled
        )
        .execute(db)
        .await?;
        found(done.rows_affected())
    })
    .await
}

/// Gives an account another role; its sessions end.
///
/// # Errors
/// The caller may not, or it is the caller's own.
pub async fn set_role(services: &Services, actor: &Actor, user: UserId, role: Role) -> Result<()> {
    let db = services.db();
    audit::audited(db, actor, "user.role", &user.to_string(), |()| None, async {
        require_admin_sudo(actor)?;
        not_oneself(actor, user)?;
        let done = sqlx::query!(
            "update toygres.account set role = $2, auth_epoch = auth_epoch + 1 where id = $1",
            user.0,
            role.as_str()
        )
        .execute(db)
        .await?;
        found(done.rows_affected())
    })
    .await
}

fn not_oneself(actor: &Actor, user: UserId) -> Result<()> {
    if actor.user == user {
        return Err(Error::Conflict("You cannot do this to your own account. Ask another admin.".to_owned()));
    }
    Ok(())
}

fn found(rows: u64) -> Result<()> {
    if rows == 0 { Err(Error::NotFound("There is no such account.".to_owned())) } else { Ok(()) }
}

/// Refuses whoever has a smaller role.
pub(crate) fn require_role(actor: &Actor, role: Role) -> Result<()> {
    if actor.is(role) {
        return Ok(());
    }
    Err(Error::Forbidden(format!("This needs the role {role}; {} has the role {}.", actor.name, actor.role)))
}

/// Refuses whoever is no admin, and asks an admin for the password again.
pub(crate) fn require_admin_sudo(actor: &Actor) -> Result<()> {
    require_role(actor, Role::Admin)?;
    if actor.sudo { Ok(()) } else { Err(Error::SudoRequired) }
}

async fn hash(password: &str) -> Result<String> {
    if password.chars().count() < SHORTEST {
        return Err(Error::invalid("password", format!("A password has at least {SHORTEST} characters.")));
    }
    if password.len() > LONGEST {
        return Err(Error::invalid("password", format!("A password has at most {LONGEST} bytes.")));
    }
    let password = Secret::new(password.to_owned());
    blocking(move || {
        let hash = Argon2::default().hash_password(password.reveal().as_bytes());
        hash.map(|hash| hash.to_string()).map_err(|error| anyhow::anyhow!("hash a password: {error}"))
    })
    .await
}

async fn verify(hash: String, password: &str) -> Result<bool> {
    if password.len() > LONGEST {
        return Ok(false);
    }
    let password = Secret::new(password.to_owned());
    blocking(move || {
        let hash =
            PasswordHash::new(&hash).map_err(|error| anyhow::anyhow!("read a password's hash: {error}"))?;
        Ok(Argon2::default().verify_password(password.reveal().as_bytes(), &hash).is_ok())
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> Result<T> {
    let _turn = HASHING.acquire().await.context("wait for a turn to hash")?;
    Ok(tokio::task::spawn_blocking(work).await.context("hash")??)
}
