//! Who is asking: what the server put beside the request. It decides nothing but whether the role is enough.

use control::Services;
use leptos::prelude::*;
use model::{Actor, Role};

use crate::error::{Result, UiError};
use crate::url;

/// The services and the person of this request, if the person's role is at least `role`.
///
/// # Errors
/// Nobody is logged in (the browser is sent to the login page), or the role is too small.
pub(crate) fn caller(role: Role) -> Result<(Services, Actor)> {
    let services = use_context::<Services>()
        .ok_or_else(|| UiError::new("internal", "Something went wrong on our side."))?;
    let Some(actor) = use_context::<Option<Actor>>().flatten() else {
        leptos_axum::redirect(&format!("/login?next={}", url::encode(&page_url())));
        return Err(UiError::new("unauthenticated", "You are not logged in any more."));
    };
    if !actor.is(role) {
        return Err(UiError::role(role, actor.role));
    }
    Ok((services, actor))
}

/// Sends the browser to the password's page, and back, when that is what an answer asks for.
pub(crate) fn redirect_to_sudo<T>(answer: control::Result<T>) -> Result<T> {
    answer.map_err(|error| {
        if matches!(error, control::Error::SudoRequired) {
            leptos_axum::redirect(&format!("/sudo?next={}", url::encode(&page_url())));
        }
        error.into()
    })
}

/// The path and query of the page that asks, without what an earlier refusal left in it.
fn page_url() -> String {
    let Some(parts) = use_context::<http::request::Parts>() else { return "/".to_owned() };
    let referer = parts.headers.get(http::header::REFERER).and_then(|value| value.to_str().ok());
    let from = match referer.and_then(|text| text.parse::<http::Uri>().ok()) {
        // A page that is being rendered asks for itself; a server function for the page that it was called from.
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
