//! Server functions of the settings: accounts, tokens, audit log, appearance.

use leptos::prelude::*;
use model::page::Page;
use model::user::{AuditRow, User};
use model::{Token, TokenId, UserId};

use crate::error::Result;
#[cfg(feature = "ssr")]
use {crate::error::UiError, chrono::Utc, model::Role};

/// All accounts.
#[server(prefix = "/api/fn", endpoint = "users")]
pub async fn list_users() -> Result<Vec<User>> {
    let (services, _) = super::caller(Role::Admin)?;
    Ok(control::users::list(&services).await?)
}

/// Creates an account.
#[server(prefix = "/api/fn", endpoint = "create-user")]
pub async fn create_user(username: String, role: String, password: String) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    let remember = |error: UiError| error.with_input([("username", &*username), ("role", &*role)]);
    let role: Role =
        role.parse().map_err(|_| remember(UiError::invalid("role", "Select a value from the list.")))?;
    let created = control::users::create(&services, &actor, &username, role, &password).await;
    super::redirect_to_sudo(created).map_err(remember)?;
    Ok(())
}

/// Changes the role of an account.
#[server(prefix = "/api/fn", endpoint = "set-role")]
pub async fn set_role(user: UserId, role: String) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    let role: Role = role.parse().map_err(|_| UiError::invalid("role", "Select a value from the list."))?;
    super::redirect_to_sudo(control::users::set_role(&services, &actor, user, role).await)?;
    Ok(())
}

/// Changes the password of an account.
#[server(prefix = "/api/fn", endpoint = "set-password")]
pub async fn set_password(user: UserId, password: String) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    super::redirect_to_sudo(control::users::set_password(&services, &actor, user, &password).await)?;
    Ok(())
}

/// Disables or enables an account.
#[server(prefix = "/api/fn", endpoint = "disable-user")]
pub async fn disable_user(user: UserId, disabled: bool) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    super::redirect_to_sudo(control::users::disable(&services, &actor, user, disabled).await)?;
    Ok(())
}

/// All tokens.
#[server(prefix = "/api/fn", endpoint = "tokens")]
pub async fn list_tokens() -> Result<Vec<Token>> {
    let (services, _) = super::caller(Role::Admin)?;
    Ok(control::tokens::list(&services).await?)
}

/// Creates a token and returns it. It cannot be read again.
#[server(prefix = "/api/fn", endpoint = "create-token")]
pub async fn create_token(
    /// Its name.
    name: String,
    /// Its role.
    role: String,
    /// The number of days until it expires; empty if it never expires.
    #[server(default)]
    days: String,
    /// Set if it may perform actions that require sudo mode.
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
        role.parse().map_err(|_| remember(UiError::invalid("role", "Select a value from the list.")))?;
    let expires = match days.trim() {
        "" => None,
        text => {
            let days = text.parse::<u16>().ok().filter(|days| *days > 0).ok_or_else(|| {
                remember(UiError::invalid("days", "Enter a number of days, or leave it empty for no expiry."))
            })?;
            Some(Utc::now() + chrono::TimeDelta::days(days.into()))
        }
    };
    let created = control::tokens::create(&services, &actor, &name, chosen, expires, sudo.is_some()).await;
    let token = super::redirect_to_sudo(created).map_err(remember)?;
    super::cookies::set_token(&token);
    Ok(token)
}

/// The token that a plain form has just created. It is returned once.
#[server(prefix = "/api/fn", endpoint = "fresh-token")]
pub async fn fresh_token() -> Result<Option<String>> {
    super::caller(Role::Admin)?;
    Ok(super::cookies::take_token())
}

/// Revokes a token.
#[server(prefix = "/api/fn", endpoint = "revoke-token")]
pub async fn revoke_token(token: TokenId) -> Result<()> {
    let (services, actor) = super::caller(Role::Admin)?;
    super::redirect_to_sudo(control::tokens::revoke(&services, &actor, token).await)?;
    Ok(())
}

/// A page of the audit log, the newest row first.
#[server(prefix = "/api/fn", endpoint = "audit")]
pub async fn list_audit(page: i64) -> Result<Page<AuditRow>> {
    let (services, _) = super::caller(Role::Admin)?;
    Ok(control::audit::list(&services, page).await?)
}

/// Stores the color scheme in a cookie.
#[server(prefix = "/api/fn", endpoint = "appearance")]
pub async fn set_appearance(scheme: String) -> Result<()> {
    super::cookies::set_scheme(&scheme);
    Ok(())
}
