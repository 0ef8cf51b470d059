//! The security headers of every response. A page's Content-Security-Policy with its nonce comes from rendering; everything
//! else may not load or run anything.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::state::AppState;

/// The policy of a page: its own scripts by nonce, its own style sheet, nothing from other origins.
pub(crate) fn page_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; style-src 'self'; \
         connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'; object-src 'none'; manifest-src 'self'"
    )
}

/// The policy of a page without scripts.
pub(crate) const PLAIN_PAGE: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; \
                          form-action 'self'; frame-ancestors 'none'";

/// Adds the headers that a response does not have yet.
pub(crate) async fn secure(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let is_static = request.uri().path().starts_with("/pkg/") || request.uri().path() == "/favicon.svg";
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/html") && !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        tracing::warn!("a page was rendered without a Content-Security-Policy");
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
    // File names do not change between builds, so browsers must revalidate.
    set(header::CACHE_CONTROL, if is_static { "no-cache" } else { "no-store" });
    if app.https {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}
