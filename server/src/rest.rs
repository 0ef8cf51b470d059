//! REST: each handler finds out what is asked, calls control, and answers in JSON. What is allowed, control decides.

pub(crate) mod images;
pub(crate) mod instances;
pub(crate) mod place;
pub(crate) mod runs;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use control::Started;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::errors::Refusal;

/// A body of JSON; what is wrong with it is said in our words.
#[derive(FromRequest)]
#[from_request(via(Json), rejection(Refusal))]
pub(crate) struct Body<T>(pub(crate) T);

/// A value of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Refusal))]
pub(crate) struct Path<T>(pub(crate) T);

/// The query.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Refusal))]
pub(crate) struct Query<T>(pub(crate) T);

const _: fn(JsonRejection) -> Refusal = Refusal::from;
const _: fn(PathRejection) -> Refusal = Refusal::from;
const _: fn(QueryRejection) -> Refusal = Refusal::from;

/// What was started: the answer of a POST and a DELETE.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The id of what will be there, or will be gone.
    id: uuid::Uuid,
    /// Its name.
    name: String,
    /// Where it stands now.
    status: &'static str,
    /// The run that does it; its events are at `/api/runs/{run_id}/events`.
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

/// The name again, for what cannot be taken back.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct Confirm {
    /// The name of what is to be deleted.
    #[serde(default)]
    confirm: String,
}
