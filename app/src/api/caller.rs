//! The caller of a server function, from the context that the server provides, and redirects to the login pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use control::Services;
use leptos::prelude::*;
use model::{Actor, Role};

use crate::error::{Result, UiError};
use crate::url;

/// Whether a server function refused the role of its caller. The server provides it and records the refusal in the audit log.
#[derive(Clone, Debug, Default)]
pub struct RoleRefusal(pub Arc<AtomicBool>);

/// The services and the user of this request, if the user's role is at least `role`.
///
/// # Errors
/// The user is not logged in (the browser is redirected to the login page), or the role is lower.
pub(crate) fn caller(role: Role) -> Result<(Services, Actor)> {
    let services =
        use_context::<Services>().ok_or_else(|| UiError::new("internal", "An internal error occurred."))?;
    let Some(actor) = use_context::<Option<Actor>>().flatten() else {
        leptos_axum::redirect(&format!("/login?next={}", url::encode(&page_url())));
        return Err(UiError::new("unauthenticated", "Your session has expired. Log in again."));
    };
    if !actor.is(role) {
        if let Some(refusal) = use_context::<RoleRefusal>() {
            refusal.0.store(true, Ordering::Relaxed);
        }
        return Err(UiError::role(role, actor.role));
    }
    Ok((services, actor))
}

/// Redirects the browser to the password page if the result requires sudo mode.
pub(crate) fn redirect_to_sudo<T>(result: control::Result<T>) -> Result<T> {
    result.inspect_err(redirect_if_sudo_required).map_err(Into::into)
}

/// Redirects the browser to the password page if the error requires sudo mode.
pub(crate) fn redirect_if_sudo_required(error: &control::Error) {
    if matches!(error, control::Error::SudoRequired) {
        leptos_axum::redirect(&format!("/sudo?next={}", url::encode(&page_url())));
    }
}

/// The path and query of the page that sent the request, without the parameters of an earlier error.
fn page_url() -> String {
    let Some(parts) = use_context::<http::request::Parts>() else { return "/".to_owned() };
    let referer = parts.headers.get(http::header::REFERER).and_then(|value| value.to_str().ok());
    let from = match referer.and_then(|text| text.parse::<http::Uri>().ok()) {
        // A server function is called from a page; a page that is being rendered is the request itself.
        Some(uri) if parts.uri.path().starts_with("/api/") => uri,
        _ => parts.uri.clone(),
    };
    let query: Vec<&str> = from
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("__err=") && !pair.starts_with("__path="))
        .collect();
    if query.is_empty() { from.path().to_owned() } else { format!("{}?{}", from.path(), query.join("&")) }
}
