//! The OpenAPI document, which the router collects from its handlers.

use std::sync::Arc;

use axum::{Extension, Json};
use utoipa::OpenApi;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Required};

use crate::idempotency;
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
    for (path, item) in &mut document.paths.paths {
        if let Some(post) = item.post.as_mut().filter(|_| idempotency::accepts_key(path)) {
            post.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
        }
    }
    Arc::new(document)
}

/// The header that a layer reads, not the handlers.
fn idempotency_key() -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(200));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "1 to 200 visible ASCII characters. For a day, a repetition by the same caller with the same body gets the first answer; \
             another body is refused with status 422 and the code idempotency_key_reused.",
        ))
        .schema(Some(text))
        .build()
}

/// Get the OpenAPI document
#[utoipa::path(get, path = "/api/openapi.json", tag = "operations",
    responses((status = 200, description = "The OpenAPI document", content_type = "application/json"), QueryErrors))]
pub(crate) async fn document(
    Extension(document): Extension<Arc<utoipa::openapi::OpenApi>>,
) -> Json<Arc<utoipa::openapi::OpenApi>> {
    Json(document)
}
