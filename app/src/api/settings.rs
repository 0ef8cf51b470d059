//! Server functions about accounts, tokens, the audit and how pages style.

use chrono::{DateTime, Utc};
use leptos::prelude::*;
use model::page::Page;
use model::user::{AuditRow, User};
use model::{Role, TokenId, UserId};
use serde::{Deserialize, Serialize};

use crate::error::Result;
#[cfg(feature = "ssr")]
use crate::error::UiError;

/// A bearer token, without itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Its id.
    pub id: TokenId,
    /// What somebody called it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it needs no second password.
    pub sudo: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// All accounts.
#[server(prefix = "/api/fn", endpoint = "users")]
pub async fn list_users() -> Result<Vec<User>> {
    let (services, _) = super::caller(Role::Admin)?;
    Ok(control::users::list(&services).await?)
}

/// Makes an account.
#[server(prefix = "/api/fn", endpoint = "create-user")]
pub async fn create_user(username: String, role: String, password: String) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    let remember = |error: UiError| error.with_input([("username", &*username), ("role", &*role)]);
    let role: Role =
        role.parse().map_err(|_| remember(UiError::invalid("role", "Choose one of the list.")))?;
    let made = control::users::create(&services, &actor, &username, role, &password).await;
    super::redirect_to_sudo(made).map_err(remember)?;
    Ok(())
}

/// Gives an account another role.
#[server(prefix = "/api/fn", endpoint = "set-role")]
pub async fn set_role(user: UserId, role: String) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    let role: Role = role.parse().map_err(|_| UiError::invalid("role", "Choose one of the list."))?;
    super::redirect_to_sudo(control::users::set_role(&services, &actor, user, role).await)?;
    Ok(())
}

/// Gives an account another password.
#[server(prefix = "/api/fn", endpoint = "set-password")]
pub async fn set_password(user: UserId, password: String) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    super::redirect_to_sudo(control::users::set_password(&services, &actor, user, &password).await)?;
    Ok(())
}

/// Closes an account, or opens it again.
#[server(prefix = "/api/fn", endpoint = "disable-user")]
pub async fn disable_user(user: UserId, disabled: bool) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    super::redirect_to_sudo(control::users::disable(&services, &actor, user, disabled).await)?;
    Ok(())
}

/// The caller's tokens; an admin's are everybody's.
#[server(prefix = "/api/fn", endpoint = "tokens")]
pub async fn list_tokens() -> Result<Vec<TokenRow>> {
    let (services, _) = super::caller(Role::Admin)?;
    let tokens = control::tokens::list(&services).await?;
    Ok(tokens
        .into_iter()
        .map(|token| TokenRow {
            id: token.id,
            name: token.name,
            role: token.role,
            sudo: token.sudo,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        })
        .collect())
}

/// Makes a token and returns it, once.
#[server(prefix = "/api/fn", endpoint = "create-token")]
pub async fn create_token(
    /// What to call it.
    name: String,
    /// What it may do.
    role: String,
    /// For how many days it works; for ever if empty.
    #[server(default)]
    days: String,
    /// Ticked: it needs no second password.
    #[server(default)]
    sudo: Option<String>,
) -> Result<String> {
    let (services, actor) = super::caller(Role::Admin)?;
    let remember = |error: UiError| {
        error.with_input([
            ("name", &*name),
            ("role", &*role),
            ("days", &*days),
            ("sudo", sudo.as_deref().unwrap_or_default()),
        ])
    };
    let chosen: Role =
        role.parse().map_err(|_| remember(UiError::invalid("role", "Choose one of the list.")))?;
    let expires = match days.trim() {
        "" => None,
        text => {
            let days = text.parse::<u16>().ok().filter(|days| *days > 0).ok_or_else(|| {
                remember(UiError::invalid("days", "Type a number of days, or nothing for ever."))
            })?;
            Some(Utc::now() + chrono::TimeDelta::days(days.into()))
        }
    };
    let made = control::tokens::create(&services, &actor, &name, chosen, expires, sudo.is_some()).await;
    let token = super::redirect_to_sudo(made).map_err(remember)?;
    super::cookies::set_token(&token);
    Ok(token)
}

/// The token that was just made by a plain form, shown once.
#[server(prefix = "/api/fn", endpoint = "fresh-token")]
pub async fn fresh_token() -> Result<Option<String>> {
    super::caller(Role::Admin)?;
    Ok(super::cookies::take_token())
}

/// Makes a token useless.
#[server(prefix = "/api/fn", endpoint = "revoke-token")]
pub async fn revoke_token(token: TokenId) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    super::redirect_to_sudo(control::tokens::revoke(&services, &actor, token).await)?;
    Ok(())
}

/// A page of the audit, the newest row first.
#[server(prefix = "/api/fn", endpoint = "audit")]
pub async fn list_audit(page: i64) -> Result<Page<AuditRow>> {
    let (services, _) = super::caller(Role::Admin)?;
    Ok(control::audit::list(&services, page).await?)
}

/// Keeps whether pages are light or dark, in a cookie.
#[server(prefix = "/api/fn", endpoint = "appearance")]
pub async fn set_appearance(scheme: String) -> Result<()> {
    super::cookies::set_scheme(&scheme);
    Ok(())
}
