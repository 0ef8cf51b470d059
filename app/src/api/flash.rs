//! Small things that travel in cookies: the choice of light or dark, and a secret from a plain form to the page that shows it.

use http::header::{ACCEPT, CACHE_CONTROL, COOKIE, HeaderValue, ORIGIN, SET_COOKIE};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

const TOKEN: &str = "fresh-token";

/// Keeps a new token for the one page that follows, when it was asked for without WASM: the answer to such a form is a
/// way on, not a value. No script can read it, no other site sends it, and a minute later it is gone.
pub(super) fn keep(token: &str) {
    let Some(parts) = use_context::<http::request::Parts>() else { return };
    let header = |name| {
        parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default()
    };
    if header(ACCEPT).contains("text/html") {
        let secure = if header(ORIGIN).starts_with("https:") { "; Secure" } else { "" };
        set(&format!("{TOKEN}={token}; Path=/settings; Max-Age=60; HttpOnly; SameSite=Strict{secure}"));
    }
}

/// Keeps the answer that is being made out of every cache: there is a secret in it.
pub(super) fn never_cached() {
    if let Some(response) = use_context::<ResponseOptions>() {
        response.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Takes what was kept, once.
pub(super) fn take() -> Option<String> {
    let parts = use_context::<http::request::Parts>()?;
    let token = cookie(&parts, TOKEN)?;
    never_cached();
    set(&format!("{TOKEN}=; Path=/settings; Max-Age=0; HttpOnly; SameSite=Strict"));
    Some(token)
}

/// Keeps the choice of light or dark; anything else means: as the system has it.
pub(super) fn set_scheme(scheme: &str) {
    set(&match scheme {
        "light" | "dark" => format!("scheme={scheme}; Path=/; Max-Age=31536000; SameSite=Lax"),
        _ => "scheme=; Path=/; Max-Age=0; SameSite=Lax".to_owned(),
    });
}

/// A cookie of the request.
pub(crate) fn cookie(parts: &http::request::Parts, name: &str) -> Option<String> {
    parts
        .headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
        .filter(|value| !value.is_empty())
}

fn set(cookie: &str) {
    if let (Some(response), Ok(value)) = (use_context::<ResponseOptions>(), HeaderValue::from_str(cookie)) {
        response.append_header(SET_COOKIE, value);
    }
}
