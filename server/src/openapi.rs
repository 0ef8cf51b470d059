//! The OpenAPI document: the addresses come from the router, which has them from the handlers.

use axum::Json;
use utoipa::OpenApi;

use crate::router;

/// What is said about all of it.
#[derive(OpenApi)]
#[openapi(info(title = "Toygres", description = "Images of PostgreSQL instances, made and restored."))]
struct Document;

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "operations", responses((status = 200, description = "The OpenAPI document"), (status = 401, body = crate::errors::ErrorBody)))]
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    let mut document = Document::openapi();
    document.merge(router::open_routes().into_openapi());
    document.merge(router::routes().into_openapi());
    Json(document)
}
