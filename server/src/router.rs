//! All routes, and the layers that every request passes.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{self, HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::services::{ServeDir, ServeFile};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::errors::ErrorResponse;
use crate::rest::{audit, images, instances, platform, runs, stores};
use crate::state::AppState;
use crate::{auth, event_streams, headers, idempotency, metrics, openapi, pages, session, session_routes};

/// The largest request body, in bytes: forms and small JSON.
const MAX_BODY: usize = 256 * 1024;
/// Time limit of a response. Event streams have none.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The router of a server with the dashboard and the REST API.
pub(crate) fn build(app: AppState) -> Router {
    let (rest, rest_document) = rest_routes().split_for_parts();
    let (public, public_document) = public_routes().split_for_parts();
    // Only these routes depend on the caller: the others work while the state database is unavailable.
    let identified = Router::new()
        .merge(rest)
        .layer(Extension(openapi::document_of([public_document, rest_document])))
        .merge(pages::routes(&app))
        .fallback(pages::not_found(&app))
        .layer(from_fn_with_state(app.clone(), pages::audit_refusals))
        .layer(from_fn_with_state(app.clone(), idempotency::once))
        .layer(from_fn_with_state(app.clone(), auth::authenticate))
        .layer(from_fn_with_state(app.clone(), session::open));
    Router::new()
        .merge(identified)
        .merge(public)
        .merge(files(&app))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CompressionLayer::new().compress_when(is_compressible))
        .layer(from_fn_with_state(app.clone(), auth::same_origin))
        .layer(from_fn(limit_time))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(from_fn(body_limit_as_json))
        .layer(from_fn_with_state(app.clone(), pages::errors_as_pages))
        .layer(from_fn_with_state(app.clone(), headers::secure))
        .with_state(app)
}

/// The router of a worker without the dashboard: monitoring only.
pub(crate) fn build_for_worker(app: AppState) -> Router {
    let identified = OpenApiRouter::new().routes(routes!(metrics::metrics)).split_for_parts().0;
    identified
        .route_layer(from_fn_with_state(app.clone(), auth::authenticate))
        .route_layer(from_fn_with_state(app.clone(), session::open))
        .merge(public_routes().split_for_parts().0)
        .layer(from_fn(limit_time))
        .layer(from_fn_with_state(app.clone(), headers::secure))
        .with_state(app)
}

/// The routes for programs. Paths, methods and descriptions come from the handlers; the OpenAPI document is collected here.
fn rest_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(metrics::metrics))
        .routes(routes!(session_routes::login))
        .routes(routes!(session_routes::logout))
        .routes(routes!(session_routes::api_sudo))
        .routes(routes!(instances::list, instances::create))
        .routes(routes!(instances::connect))
        .routes(routes!(instances::get, instances::delete))
        .routes(routes!(instances::start))
        .routes(routes!(instances::stop))
        .routes(routes!(instances::plan))
        .routes(routes!(images::list, images::create))
        .routes(routes!(images::get, images::delete))
        .routes(routes!(images::verify))
        .routes(routes!(stores::unused))
        .routes(routes!(platform::test))
        .routes(routes!(runs::list))
        .routes(routes!(runs::get))
        .routes(routes!(runs::log))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::retry))
        .routes(routes!(runs::accept))
        .routes(routes!(audit::list))
        .routes(routes!(event_streams::run))
        .routes(routes!(event_streams::all))
        .routes(routes!(openapi::document))
        .route("/api/fn/{*function}", any(pages::server_function))
        .route("/api/{*rest}", any(|| async { ErrorResponse::no_route() }))
}

/// The routes that require no login.
fn public_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(metrics::health)).routes(routes!(metrics::ready))
}

/// The files of the built site.
fn files(app: &AppState) -> Router<AppState> {
    let site_root = std::path::Path::new(&*app.leptos.site_root);
    let pkg_dir = &*app.leptos.site_pkg_dir;
    let pkg = ServeDir::new(site_root.join(pkg_dir)).precompressed_br().precompressed_gzip();
    Router::new()
        .nest_service(&format!("/{pkg_dir}"), pkg)
        .route_service("/favicon.svg", ServeFile::new(site_root.join("favicon.svg")))
}

async fn method_not_allowed() -> ErrorResponse {
    ErrorResponse::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed.")
}

/// Ends a response that takes too long. A run that the request started continues.
async fn limit_time(request: Request, next: Next) -> Response {
    if request.uri().path().ends_with("/events") {
        return next.run(request).await;
    }
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ErrorResponse::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "The request timed out; it may still have been applied.",
        )
        .into_response(),
    }
}

/// Gives the rejection of a body by the limit layer the shape of all other error responses.
async fn body_limit_as_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let is_json = content_type(response.headers()).starts_with("application/json");
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE && !is_json {
        return ErrorResponse::body_too_large().into_response();
    }
    response
}

/// Event streams are not compressed, because compression would delay events.
fn is_compressible(_: StatusCode, _: http::Version, headers: &HeaderMap, _: &http::Extensions) -> bool {
    !content_type(headers).starts_with("text/event-stream")
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
