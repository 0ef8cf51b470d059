//! The pages and server functions of the dashboard, rendered by Leptos.

use std::sync::atomic::Ordering;

use app::api::{RoleRefusal, SecureCookies};
use app::{App, Notice, shell};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::post;
use futures::future::BoxFuture;
use leptos::prelude::*;
use leptos_axum::{LeptosRoutes, ResponseOptions, generate_route_list};
use model::Actor;

use crate::auth::{Caller, CurrentUser};
use crate::errors::{ErrorResponse, ErrorSummary};
use crate::state::AppState;
use crate::{headers, session_routes};

/// The pages, and the forms of two of them.
pub(crate) fn routes(app: &AppState) -> Router<AppState> {
    let routes = generate_route_list(App);
    let shell_options = app.leptos.clone();
    Router::new()
        .route("/sudo", post(session_routes::sudo))
        .route("/password", post(session_routes::password))
        .leptos_routes_with_context(app, routes, context(app), move || shell(shell_options.clone()))
}

/// Renders the page for paths that do not exist. Leptos' own handler is not used: it also serves files, and gives their
/// responses the headers and cookies of the page that is being rendered on the same thread.
pub(crate) fn not_found(
    app: &AppState,
) -> impl Fn(Request) -> BoxFuture<'static, Response> + Clone + Send + Sync + 'static {
    let options = app.leptos.clone();
    let render = leptos_axum::render_app_async_with_context(context(app), move || shell(options.clone()));
    move |request| {
        let page = render(request);
        Box::pin(async move {
            let mut response = page.await;
            if response.status() == StatusCode::OK {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            response
        })
    }
}

/// Calls a server function.
pub(crate) async fn server_function(State(app): State<AppState>, request: Request) -> Response {
    leptos_axum::handle_server_fns_with_context(context(&app), request).await.into_response()
}

/// Audits that a server function refuses the role of its caller, because then it ends before it calls `control`.
pub(crate) async fn audit_refusals(
    State(app): State<AppState>,
    caller: Option<CurrentUser>,
    mut request: Request,
    next: Next,
) -> Result<Response, ErrorResponse> {
    let Some(function) = request.uri().path().strip_prefix("/api/fn/").map(str::to_owned) else {
        return Ok(next.run(request).await);
    };
    let refusal = RoleRefusal::default();
    request.extensions_mut().insert(refusal.clone());
    let response = next.run(request).await;
    if let Some(CurrentUser(actor)) = caller.filter(|_| refusal.0.load(Ordering::Relaxed)) {
        control::audit::record_outcome(&app.services, &actor, "function", &function, "forbidden").await?;
    }
    Ok(response)
}

/// Provides pages and server functions with the services, the caller and the notice, and sets the page's policy with its
/// nonce.
fn context(app: &AppState) -> impl Fn() + Clone + Send + Sync + 'static {
    let app = app.clone();
    move || {
        provide_context(app.services.clone());
        provide_context(SecureCookies(app.https));
        let parts = use_context::<http::request::Parts>();
        let caller =
            parts.as_ref().and_then(|parts| parts.extensions.get::<Caller>().cloned()).unwrap_or_default();
        provide_context::<Option<Actor>>(caller.actor);
        if let Some(refusal) = parts.as_ref().and_then(|parts| parts.extensions.get::<RoleRefusal>()) {
            provide_context(refusal.clone());
        }
        if !app.https && !app.loopback {
            let notice =
                "Passwords are sent unencrypted. Put Toygres behind HTTPS and set TOYGRES_PUBLIC_URL.";
            provide_context(Notice(notice.to_owned()));
        }
        let nonce = leptos::nonce::use_nonce();
        if let (Some(response), Some(nonce)) = (use_context::<ResponseOptions>(), nonce)
            && let Ok(policy) = HeaderValue::from_str(&headers::page_policy(&nonce))
        {
            response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}

/// Presents an error response as a page if a browser requested a page.
pub(crate) async fn errors_as_pages(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_api = path.starts_with("/api/") || ["/metrics", "/health", "/ready"].contains(&path);
    let is_page = !is_api && session_routes::wants_page(request.headers());
    let is_get = request.method() == Method::GET;
    let response = next.run(request).await;
    let Some(error) = response.extensions().get::<ErrorSummary>().filter(|_| is_page) else {
        return response;
    };
    let status = response.status();
    let reload = is_get && status == StatusCode::SERVICE_UNAVAILABLE;
    let page = app::pages::errors::document(&app.leptos, status.as_u16(), error.code, &error.message, reload);
    let mut page = (status, Html(page)).into_response();
    let policy = HeaderValue::from_static(headers::PLAIN_PAGE);
    page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    page.headers_mut().extend(preserved_headers(response.headers()));
    page
}

/// The headers of an error response that the page keeps.
fn preserved_headers(headers: &HeaderMap) -> HeaderMap {
    let values = |name: HeaderName| {
        let values: Vec<_> = headers.get_all(&name).iter().cloned().collect();
        values.into_iter().map(move |value| (name.clone(), value))
    };
    [header::RETRY_AFTER, header::SET_COOKIE].into_iter().flat_map(values).collect()
}
