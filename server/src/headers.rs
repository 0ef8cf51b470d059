//! The headers that every answer has. A page's own policy with its nonce comes from rendering; all else may run nothing.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::router::App;

/// A page: its own scripts by nonce, its own style sheet, nothing from elsewhere.
pub(crate) fn page_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; style-src 'self'; \
         connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'; object-src 'none'; manifest-src 'self'"
    )
}

/// A page without scripts, or one whose own policy got lost: its style and its plain forms work.
pub(crate) const PLAIN_PAGE: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; \
                          form-action 'self'; frame-ancestors 'none'";

/// Adds what is missing.
pub(crate) async fn secure(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_static = request.uri().path().starts_with("/pkg/") || request.uri().path() == "/favicon.svg";
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/html") && !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        tracing::warn!("a page was rendered without its policy");
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PLAIN_PAGE));
    }
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()");
    // A new build has the same names: browsers ask whether theirs is the newest.
    set(header::CACHE_CONTROL, if is_static { "no-cache" } else { "no-store" });
    if app.https {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
        lock_cookies(headers);
    }
    response
}

/// Has every cookie sent back over https only. The library removes a session's without saying so, which browsers ignore for a
/// name like `__Host-…`.
fn lock_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies {
        let text = String::from_utf8_lossy(cookie.as_bytes()).into_owned();
        let locked = text.split(';').any(|part| part.trim().eq_ignore_ascii_case("secure"));
        let value = if locked { Ok(cookie) } else { HeaderValue::try_from(format!("{text}; Secure")) };
        if let Ok(value) = value {
            headers.append(header::SET_COOKIE, value);
        }
    }
}
