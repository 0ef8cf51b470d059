//! The REST API: each handler parses the request, calls `control`, and responds in JSON. `control` checks permissions.

pub(crate) mod audit;
pub(crate) mod images;
pub(crate) mod instances;
pub(crate) mod platform;
pub(crate) mod runs;
pub(crate) mod stores;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use control::Started;
use model::Page;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use crate::errors::{ErrorBody, ErrorResponse};

/// A JSON body. Errors are [`ErrorResponse`]s.
#[derive(FromRequest)]
#[from_request(via(Json), rejection(ErrorResponse))]
pub(crate) struct Body<T>(pub(crate) T);

/// The parameters of the path. Errors are [`ErrorResponse`]s.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ErrorResponse))]
pub(crate) struct Path<T>(pub(crate) T);

/// The query. Errors are [`ErrorResponse`]s.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ErrorResponse))]
pub(crate) struct Query<T>(pub(crate) T);

/// The error responses of queries.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only the derive macro reads it")]
pub(crate) enum QueryErrors {
    /// Invalid query
    #[response(status = 400)]
    BadRequest(ErrorBody),
    /// Not logged in
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// The object does not exist
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// The state database is unavailable
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// The error responses of commands.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only the derive macro reads it")]
pub(crate) enum CommandErrors {
    /// Invalid JSON or query
    #[response(status = 400)]
    BadRequest(ErrorBody),
    /// Not logged in
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// The role does not allow it, or the password must be confirmed first
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// The object does not exist
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// The state of the object, or a running operation, does not allow it
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// Request body too large
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The body is not JSON
    #[response(status = 415)]
    UnsupportedMediaType(ErrorBody),
    /// A field is invalid
    #[response(status = 422)]
    Invalid(ErrorBody),
    /// The state database or the platform is unavailable
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// A started operation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The id of the object that is created, changed or deleted.
    id: uuid::Uuid,
    /// Its name.
    name: String,
    /// Its status now.
    status: &'static str,
    /// The run that performs the operation; its events are at `/api/runs/{run_id}/events`.
    run_id: uuid::Uuid,
}

fn accepted<T: Into<uuid::Uuid>>(started: Started<T>) -> Response {
    let body = Accepted {
        id: started.id.into(),
        name: started.name,
        status: started.status,
        run_id: started.run_id.0,
    };
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

/// The rows of a page, with the total number of rows in `X-Total-Count`.
fn paged<T: Serialize>(page: Page<T>) -> Response {
    let total = (HeaderName::from_static("x-total-count"), page.total.to_string());
    ([total], Json(page.rows)).into_response()
}

/// The confirmation of an action that cannot be taken back.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Confirmation {
    /// The name of the object.
    #[serde(default)]
    #[param(required = true)]
    confirm: String,
}
