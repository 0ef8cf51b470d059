//! Bearer tokens for programs, with a role and an expiry. Only their hashes are stored.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use model::{Actor, ActorKind, Role, Token, TokenId, UserId};
use rand::RngExt;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::audit::{Entry, entry};
use crate::error::{Error, Result};
use crate::services::Services;
use crate::users::require_admin_sudo;

/// All tokens that are not revoked, newest first.
///
/// # Errors
/// The state database is unavailable.
pub async fn list(services: &Services) -> Result<Vec<Token>> {
    Ok(sqlx::query_as!(
        Token,
        r#"select id as "id: TokenId", name, role as "role: Role", sudo, created_at, expires_at, last_used_at
           from toygres.token where revoked_at is null order by created_at desc"#
    )
    .fetch_all(services.db())
    .await?)
}

/// Creates a token and returns its value, which cannot be read again.
///
/// # Errors
/// The user is not an admin in sudo mode, or the name is empty or too long.
pub async fn create(
    services: &Services,
    actor: &Actor,
    name: &str,
    role: Role,
    expires: Option<DateTime<Utc>>,
    sudo: bool,
) -> Result<String> {
    let db = services.db();
    let entry = entry(actor, "token.create", name);
    entry
        .perform(db, async {
            require_admin_sudo(actor)?;
            let owner = owner(db, actor).await?;
            add(db, &entry, owner, NewToken { by: &actor.name, name, role, expires, sudo }).await
        })
        .await
}

/// The values of a new token.
pub struct NewToken<'a> {
    /// The name of its creator.
    pub by: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its role.
    pub role: Role,
    /// When it expires; `None` if it never does.
    pub expires: Option<DateTime<Utc>>,
    /// Whether destructive actions need no confirmation of a password.
    pub sudo: bool,
}

/// The account that answers for what the actor creates: a token that creates a token passes on its owner.
async fn owner(db: &PgPool, actor: &Actor) -> Result<Option<UserId>> {
    if actor.kind == ActorKind::Account {
        return Ok(Some(actor.user));
    }
    let owner = sqlx::query_scalar!(
        r#"select owner as "owner: UserId" from toygres.token where id = $1"#,
        actor.user.0
    );
    Ok(owner.fetch_optional(db).await?.flatten())
}

/// Creates a token and records it as the success of `entry`. It is valid as long as its `owner` is enabled and has at least
/// its role.
///
/// # Errors
/// The name is empty or too long.
pub async fn add(db: &PgPool, entry: &Entry<'_>, owner: Option<UserId>, new: NewToken<'_>) -> Result<String> {
    let NewToken { by, name, role, expires, sudo } = new;
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "name",
            "Enter a name of 1 to 100 characters without control characters.",
        ));
    }
    let token = format!("toy_{}", HEXLOWER.encode(&rand::rng().random::<[u8; 32]>()));
    let mut tx = db.begin().await?;
    sqlx::query!(
        "insert into toygres.token (id, name, hash, role, sudo, created_by, expires_at, owner)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        TokenId::new().0,
        name,
        hash(&token),
        role.as_str(),
        sudo,
        by,
        expires,
        owner.map(|owner| owner.0)
    )
    .execute(&mut *tx)
    .await?;
    entry.succeed(&mut tx, None).await?;
    tx.commit().await?;
    Ok(token)
}

/// Revokes a token.
///
/// # Errors
/// The user is not an admin in sudo mode, or the token does not exist.
pub async fn revoke(services: &Services, actor: &Actor, token: TokenId) -> Result<()> {
    let db = services.db();
    let entry = entry(actor, "token.revoke", token.to_string());
    entry
        .perform(db, async {
            require_admin_sudo(actor)?;
            let mut tx = db.begin().await?;
            let revoked = sqlx::query!(
            "update toygres.token set revoked_at = clock_timestamp() where id = $1 and revoked_at is null",
            token.0
        )
        .execute(&mut *tx)
        .await?;
            if revoked.rows_affected() == 0 {
                return Err(Error::NotFound("The token does not exist.".to_owned()));
            }
            entry.succeed(&mut tx, None).await?;
            Ok(tx.commit().await?)
        })
        .await
}

/// The actor of a token.
///
/// # Errors
/// [`Error::Unauthenticated`]: the token is unknown, revoked or expired, or its owner is disabled or has a lower role.
pub async fn authenticate(services: &Services, token: &str) -> Result<Actor> {
    let row = sqlx::query!(
        r#"update toygres.token t set last_used_at = clock_timestamp()
           where hash = $1 and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())
             and (owner is null or exists (
                 select from toygres.account a where a.id = t.owner and not a.disabled
                   and array_position(array['viewer', 'operator', 'admin'], a.role)
                       >= array_position(array['viewer', 'operator', 'admin'], t.role)))
           returning id, name, role as "role: Role", sudo"#,
        hash(token)
    )
    .fetch_optional(services.db())
    .await?
    .ok_or(Error::Unauthenticated("The token is unknown, revoked or expired."))?;
    let name = format!("token {}", row.name);
    Ok(Actor { kind: ActorKind::Token, user: UserId(row.id), name, role: row.role, sudo: row.sudo })
}

/// A fast hash is sufficient, because a token has 256 random bits.
fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}
