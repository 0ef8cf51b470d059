//! The cookie of a device on which an account has logged in. It contains no session: it grants a budget of login attempts
//! of its own, which other devices cannot use up.

use axum::http::{HeaderMap, header};
use cookie::time::Duration;
use cookie::{Cookie, SameSite};

/// The token of the device, as the client states it.
pub(crate) fn token(headers: &HeaderMap, https: bool) -> Option<String> {
    let headers = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = headers.flat_map(Cookie::split_parse).filter_map(Result::ok);
    Some(cookies.find(|cookie| cookie.name() == name(https))?.value().to_owned())
}

/// The value of the `Set-Cookie` header that makes the device known.
pub(crate) fn cookie(token: String, https: bool) -> String {
    Cookie::build((name(https), token))
        .path("/")
        .max_age(Duration::days(control::users::KNOWN_DAYS))
        .http_only(true)
        .secure(https)
        .same_site(SameSite::Strict)
        .build()
        .to_string()
}

/// The name of the cookie. Browsers accept the prefix with HTTPS only.
fn name(https: bool) -> &'static str {
    if https { "__Host-toygres-device" } else { "toygres-device" }
}
