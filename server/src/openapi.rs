//! The OpenAPI document, which the router collects from its handlers.

use std::sync::Arc;

use axum::{Extension, Json};
use utoipa::OpenApi;

use crate::rest::QueryErrors;

#[derive(OpenApi)]
#[openapi(info(
    title = "Toygres",
    description = "Backs up PostgreSQL instances into images and restores them."
))]
struct Document;

/// The document of these routes.
pub(crate) fn document_of(
    routes: impl IntoIterator<Item = utoipa::openapi::OpenApi>,
) -> Arc<utoipa::openapi::OpenApi> {
    let mut document = Document::openapi();
    for routes in routes {
        document.merge(routes);
    }
    Arc::new(document)
}

/// Get the OpenAPI document
#[utoipa::path(get, path = "/api/openapi.json", tag = "operations",
    responses((status = 200, description = "The OpenAPI document", content_type = "application/json"), QueryErrors))]
pub(crate) async fn document(
    Extension(document): Extension<Arc<utoipa::openapi::OpenApi>>,
) -> Json<Arc<utoipa::openapi::OpenApi>> {
    Json(document)
}
