//! The OpenAPI document, generated from the handlers. A test compares it with the router.

use axum::Json;
use utoipa::OpenApi;

use crate::{doors, events, metrics, rest};

/// All there is for programs.
#[derive(OpenApi)]
#[openapi(
    info(title = "Toygres", description = "Images of PostgreSQL instances, made and restored."),
    paths(
        metrics::health,
        metrics::ready,
        metrics::metrics,
        doors::login,
        doors::logout,
        doors::api_sudo,
        rest::instances::list,
        rest::instances::get,
        rest::instances::create,
        rest::instances::add,
        rest::instances::delete,
        rest::instances::start,
        rest::instances::stop,
        rest::instances::plan,
        rest::images::list,
        rest::images::get,
        rest::images::create,
        rest::images::verify,
        rest::images::delete,
        rest::runs::list,
        rest::runs::get,
        rest::runs::log,
        rest::runs::cancel,
        rest::runs::retry,
        rest::runs::accept,
        events::all,
        events::run,
        document,
    )
)]
pub(crate) struct Document;

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "operations", responses((status = 200, description = "The OpenAPI document"), (status = 401, body = crate::errors::ErrorBody)))]
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_what_the_router_has() {
        let document = serde_json::to_value(Document::openapi()).expect("a document");
        let paths = document["paths"].as_object().expect("paths");
        let mut documented: Vec<(String, String)> = paths
            .iter()
            .flat_map(|(path, operations)| {
                operations
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(move |(method, _)| (path.clone(), method.clone()))
            })
            .collect();
        let routed = crate::router::API.iter();
        let mut routed: Vec<(String, String)> = routed
            .flat_map(|(path, methods)| {
                methods.iter().map(|method| ((*path).to_owned(), (*method).to_owned()))
            })
            .collect();
        documented.sort();
        routed.sort();
        assert_eq!(documented, routed);
    }
}
