//! Bearer tokens for programs, with a role and an expiry. Only their hashes are stored.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use model::{Actor, Role, Token, TokenId, UserId};
use rand::RngExt;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::audit;
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
    audit::audited(db, actor, "token.create", name, |_| None, async {
        require_admin_sudo(actor)?;
        add(db, &actor.name, name, role, expires, sudo).await
    })
    .await
}

/// Creates a token, for the command line.
///
/// # Errors
/// The name is empty or too long.
pub async fn add(
    db: &PgPool,
    by: &str,
    name: &str,
    role: Role,
    expires: Option<DateTime<Utc>>,
    sudo: bool,
) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "name",
            "Enter a name of 1 to 100 characters without control characters.",
        ));
    }
    let token = format!("toy_{}", HEXLOWER.encode(&rand::rng().random::<[u8; 32]>()));
    sqlx::query!(
        "insert into toygres.token (id, name, hash, role, sudo, created_by, expires_at) values ($1, $2, $3, $4, $5, $6, $7)",
        TokenId::new().0,
        name,
        hash(&token),
        role.as_str(),
        sudo,
        by,
        expires
    )
    .execute(db)
    .await?;
    Ok(token)
}

/// Revokes a token.
///
/// # Errors
/// The user is not an admin in sudo mode, or the token does not exist.
pub async fn revoke(services: &Services, actor: &Actor, token: TokenId) -> Result<()> {
    let db = services.db();
    audit::audited(db, actor, "token.revoke", &token.to_string(), |()| None, async {
        require_admin_sudo(actor)?;
        let revoked = sqlx::query!(
            "update toygres.token set revoked_at = clock_timestamp() where id = $1 and revoked_at is null",
            token.0
        )
        .execute(db)
        .await?;
        if revoked.rows_affected() == 0 {
            Err(Error::NotFound("The token does not exist.".to_owned()))
        } else {
            Ok(())
        }
    })
    .await
}

/// The actor of a token.
///
/// # Errors
/// [`Error::Unauthenticated`]: the token is unknown, revoked or expired.
pub async fn authenticate(services: &Services, token: &str) -> Result<Actor> {
    let row = sqlx::query!(
        r#"update toygres.token set last_used_at = clock_timestamp()
           where hash = $1 and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())
           returning id, name, role as "role: Role", sudo"#,
        hash(token)
    )
    .fetch_optional(services.db())
    .await?
    .ok_or(Error::Unauthenticated)?;
    Ok(Actor { user: UserId(row.id), name: format!("token {}", row.name), role: row.role, sudo: row.sudo })
}

/// A fast hash is sufficient, because a token has 256 random bits.
fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}
