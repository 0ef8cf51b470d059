//! Cookies of the pages: the color scheme, and a new token on its way from a plain form to the page that shows it.

use cookie::{Cookie, SameSite, time::Duration};
use http::header::{ACCEPT, CACHE_CONTROL, COOKIE, HeaderValue, SET_COOKIE};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

const TOKEN: &str = "fresh-token";
const SCHEME: &str = "scheme";

/// Whether users reach the server by HTTPS: then browsers send the cookies over HTTPS only. The server provides it.
#[derive(Clone, Copy, Debug)]
pub struct SecureCookies(pub bool);

/// Stores a new token for the next page if the request is a plain form: its response is a redirect and cannot carry a
/// value. Scripts and other sites cannot read the cookie. It expires after a minute.
pub(super) fn set_token(token: &str) {
    let Some(parts) = use_context::<http::request::Parts>() else { return };
    let header = |name| {
        parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default()
    };
    if header(ACCEPT).contains("text/html") {
        set(token_cookie(token.to_owned(), Duration::minutes(1)));
    }
}

/// Returns the stored token and removes it.
pub(super) fn take_token() -> Option<String> {
    let parts = use_context::<http::request::Parts>()?;
    let token = cookie(&parts, TOKEN)?;
    forbid_caching();
    set(token_cookie(String::new(), Duration::ZERO));
    Some(token)
}

fn token_cookie(token: String, max_age: Duration) -> cookie::CookieBuilder<'static> {
    Cookie::build((TOKEN, token))
        .path("/settings")
        .max_age(max_age)
        .http_only(true)
        .same_site(SameSite::Strict)
}

/// Forbids caching of the response, because it contains a secret.
pub(super) fn forbid_caching() {
    if let Some(response) = use_context::<ResponseOptions>() {
        response.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Stores the color scheme for a year; anything but `light` and `dark` removes it, which means the system's.
pub(super) fn set_scheme(scheme: &str) {
    let (scheme, max_age) = match scheme {
        "light" | "dark" => (scheme.to_owned(), Duration::days(365)),
        _ => (String::new(), Duration::ZERO),
    };
    set(Cookie::build((SCHEME, scheme)).path("/").max_age(max_age).same_site(SameSite::Lax));
}

/// The color scheme that the request's cookie asks for.
pub(crate) fn scheme(parts: &http::request::Parts) -> Option<String> {
    cookie(parts, SCHEME).filter(|scheme| scheme == "light" || scheme == "dark")
}

/// The value of a cookie of the request; `None` if it is empty.
fn cookie(parts: &http::request::Parts, name: &str) -> Option<String> {
    let headers = parts.headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
    headers
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned())
        .filter(|value| !value.is_empty())
}

fn set(cookie: cookie::CookieBuilder<'static>) {
    let secure = use_context::<SecureCookies>().is_some_and(|secure| secure.0);
    let cookie = cookie.secure(secure);
    if let (Some(response), Ok(value)) =
        (use_context::<ResponseOptions>(), HeaderValue::from_str(&cookie.build().to_string()))
    {
        response.append_header(SET_COOKIE, value);
    }
}
